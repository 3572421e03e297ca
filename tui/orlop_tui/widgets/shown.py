"""What the panes are made of: everything known of the row under the cursor, and what their lines lead to."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from orlop.finding import Finding
from orlop.records import Absent, Detail, Key, Records, Remote, Row, Upload
from orlop.records import Mapping as MappingRecord
from orlop.text import visible
from orlop_tui.widgets.kindwords import KindWords, of_kind
from orlop_tui.widgets.lines import Line, Role, Span, fold, line, span


class Pane(IntEnum):
    """The sections, by the digit that opens them."""

    META = 1
    DIGESTS = 2
    REMOTE = 3
    PROBLEMS = 4
    UPLOADS = 5

    @property
    def title(self) -> str:
        return {1: "Meta", 2: "Digests", 3: "Remote", 4: "Problems", 5: "Uploads"}[self]


def panes_of(kind: str) -> tuple[Pane, ...]:
    """The panes of a kind of store: uploads only where there can be any."""
    return tuple(pane for pane in Pane if pane is not Pane.UPLOADS or of_kind(kind).has_uploads)


@dataclass(frozen=True, slots=True)
class ToRow:
    """A line leads to a row of this store, or to another row of the same image."""

    key: Key


@dataclass(frozen=True, slots=True)
class ToMapping:
    """A line stands for one V2 digest mapping."""

    mapping: MappingRecord


@dataclass(frozen=True, slots=True)
class ToRemote:
    """A line stands for one remote record."""

    remote: Remote


@dataclass(frozen=True, slots=True)
class ToUpload:
    """A line stands for one upload."""

    upload: Upload


@dataclass(frozen=True, slots=True)
class ToDigest:
    """A line stands for something that is known by a digest: a layer."""

    digest: str


@dataclass(frozen=True, slots=True)
class ToFinding:
    """A line stands for one finding."""

    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Everything known of the row under the cursor; what is None has not been read yet."""

    row: Row | None
    now: int
    kind: str = "docker"
    detail: Detail | None = None
    mappings: Records | Absent | None = None
    remotes: Records | Absent | None = None
    findings: tuple[Finding, ...] | None = None
    """Of the whole store; None before a check."""
    own: tuple[Finding, ...] = ()
    """Those of them that are about this row."""
    unchecked: str = "checking …"
    """What to say while there are none yet."""
    problem: str = ""
    """Why the detail could not be read; else empty."""
    whole: frozenset[Pane] = frozenset()
    """The panes that are about the whole store, rather than about the row."""
    all_remotes: Records | Absent | None = None
    """Of the whole store."""
    uploads: Records | Absent | None = None
    """Of the whole store."""

    @property
    def words(self) -> KindWords:
        return of_kind(self.kind)

    def is_whole(self, pane: Pane) -> bool:
        """Whether a pane is about the whole store now; without a row problems and uploads are."""
        return pane in self.whole or (self.row is None and pane is not Pane.REMOTE)


def no_row() -> Line:
    """What a pane about a row says while there is none."""
    return line(span("no row is under the cursor", Role.FAINT))


def unread(records: Records | Absent | None, shown: Shown, width: int) -> Iterator[Line]:
    """Why there are no records: the kind has none, or they were not read, or not yet."""
    text = records.because if isinstance(records, Absent) else "not read" if shown.problem else "reading …"
    for part in fold(visible(text), width):
        yield Line((Span(part, Role.FAINT),))
