"""What the screens keep of one open store."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field, replace

from orlop.finding import Finding, Severity
from orlop.intent import Intent
from orlop.records import Absent, Condition, EngineState, Facet, Key, Records, Row, Snapshot, Trust
from orlop.space import Space
from orlop_tui import format as words
from orlop_tui.equivalent import command
from orlop_tui.messages import PastChange
from orlop_tui.screens.frozen import Frozen
from orlop_tui.widgets.completing import Names
from orlop_tui.widgets.kindwords import KindWords, of_kind
from orlop_tui.widgets.lines import Line, Role, Span, span
from orlop_tui.widgets.listing import Listing
from orlop_tui.widgets.panes import affected


@dataclass(frozen=True, slots=True)
class Counts:
    """How many images are not as they should be."""

    damaged: int
    incomplete: int
    listed: int

    def spans(self) -> list[Span]:
        """In words, the worst first; nothing where all is well."""
        return [
            span(f"{number} {word}", role)
            for number, word, role in (
                (self.damaged, "BAD", Role.BAD),
                (self.incomplete, "partial", Role.BAD),
                (self.listed, "listed", Role.WARN),
            )
            if number
        ]


class Odd:
    """The rows that are not as they should be, kept up with a list of rows that changes here and there."""

    def __init__(self) -> None:
        self._rows: tuple[Row, ...] = ()
        self._odd: dict[Key, Row] = {}

    def update(self, snapshot: Snapshot) -> None:
        """Take over newer rows; only those between the first and the last that differ are looked at."""
        rows = () if snapshot.partial else snapshot.rows  # of what is still being read nothing is wrong yet
        start, rest = differing(self._rows, rows)
        for row in self._rows[start : len(self._rows) - rest]:
            self._odd.pop(row.key, None)
        sound, listed_only = Condition.SOUND, Trust.LISTED
        for row in rows[start : len(rows) - rest]:
            if row.condition is not sound or row.trust is listed_only:
                self._odd[row.key] = row
        self._rows = rows

    def counts(self) -> Counts:
        """Each image once in each scope, by the worst of its rows; a name to nothing counts by itself."""
        odd = self._odd.values()
        damaged = {_image(row) for row in odd if row.condition is Condition.DAMAGED}
        incomplete = {_image(row) for row in odd if row.condition is Condition.INCOMPLETE} - damaged
        listed = {_image(row) for row in odd if row.trust is Trust.LISTED} - damaged - incomplete
        return Counts(len(damaged), len(incomplete), len(listed))


def differing(before: tuple[Row, ...], after: tuple[Row, ...]) -> tuple[int, int]:
    """How many rows are the same objects from the start, and how many of the others from the end."""
    most = min(len(before), len(after))
    start = bisect_left(range(1, most + 1), True, key=lambda count: before[:count] != after[:count])
    most -= start
    end = bisect_left(
        range(1, most + 1),
        True,
        key=lambda count: before[len(before) - count :] != after[len(after) - count :],
    )
    return start, end


def _image(row: Row) -> Key:
    key = row.key
    return Key(key.scope, key.id, None) if key.id else key


def _scopes(snapshot: Snapshot) -> int:
    """How many repositories the rows are in; 0 where the kind has none."""
    if snapshot.identity.kind in _WITHOUT_SCOPES:
        return 0
    return len({row.key.scope for row in snapshot.rows if row.key.scope})


_WITHOUT_SCOPES = frozenset({"docker", "rkt"})


@dataclass
class OpenStore:
    """One store: its newest snapshot, its list, what was found in it, and whether it may be written."""

    index: int
    path: str
    snapshot: Snapshot
    listing: Listing
    counts: Counts
    findings: tuple[Finding, ...] | None = None
    findings_problem: str = ""
    checking: bool = False
    live: str = ""
    unfinished: PastChange | None = None
    quarantine: int = 0
    changes: int = 0
    has_siblings: bool = False
    """Whether the same path holds further stores, so that commands must name the driver."""
    frozen: Frozen | None = None
    """What is shown stands still, as it was then; None: it follows the disk."""
    unlocked: bool = False
    offline: bool = False
    """Whether a person stated that no engine works on the store."""
    repositories: int = 0
    """In which the rows are, where the kind has repositories of its own."""
    looked_at: int = 0
    """When it was last looked at, though nothing had changed."""
    records: dict[Facet, Records | Absent] = field(default_factory=dict)
    """Of the whole store, as far as a pane showed them."""
    awaited: set[Facet] = field(default_factory=set)
    """Those that were asked for since the store last changed."""
    wanted_filter: str = ""
    """What was typed as a filter; the list has it once the store answered what only the store knows."""
    freed: tuple[frozenset[Key], int] | None = None
    """Rows, and what the deletion of exactly these frees."""
    verifying: dict[Key, str] = field(default_factory=dict)
    """What rows say of themselves while they are verified."""
    space: Space | None = None
    """Where its bytes are, once that was measured."""
    measured_at: int = 0
    space_is_old: bool = False
    """Whether the store changed since."""
    unread: str = ""
    """Why only names of it are known, where that lasts: one clause."""
    names: Names = field(default_factory=Names)
    """What can be completed."""
    read: Snapshot = field(init=False)
    """The snapshot as it was read."""
    _wrong: dict[str, str] = field(default_factory=dict)
    """What hashing found wrong, by image and by name."""
    _odd: Odd = field(default_factory=Odd)
    _by_image: dict[str, list[Finding]] = field(default_factory=dict)
    _by_name: dict[str, list[Finding]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.read = self.snapshot

    @classmethod
    def opened(cls, index: int, path: str, snapshot: Snapshot) -> "OpenStore":
        listing, none = Listing(snapshot.rows), Counts(0, 0, 0)
        scopes = _scopes(snapshot)
        store = cls(index, path, snapshot, listing, none, repositories=scopes, looked_at=snapshot.seen_at)
        store.names = Names(snapshot.rows)
        store._count()
        return store

    @property
    def is_partial(self) -> bool:
        """Whether only names of it are known."""
        return self.snapshot.partial

    @property
    def awaits_filter(self) -> bool:
        """Whether the rows are not yet those of the filter that was typed."""
        return self.wanted_filter != self.listing.filter.text

    @property
    def kind(self) -> str:
        return self.snapshot.identity.kind

    @property
    def words(self) -> KindWords:
        """The words of its kind."""
        return of_kind(self.kind)

    @property
    def label(self) -> str:
        return self.snapshot.identity.label

    def command(self, intent: Intent) -> str:
        """The command that makes the same change; one line a command."""
        driver = self.snapshot.identity.scope if self.has_siblings else ""
        return command(self.path, intent, driver=driver, offline=self.offline)

    def update(self, snapshot: Snapshot) -> None:
        """Take over a newer snapshot."""
        self.read = snapshot
        snapshot = self.snapshot = self._with_damage(snapshot)
        self._count()
        self.repositories = _scopes(snapshot)
        self.looked_at = snapshot.seen_at
        self.awaited.clear()
        self.listing.load(snapshot.rows)
        self.names = Names(snapshot.rows)
        self.freed = None

    def _count(self) -> None:
        self._odd.update(self.snapshot)
        self.counts = self._odd.counts()

    def _with_damage(self, snapshot: Snapshot) -> Snapshot:
        """A snapshot whose rows say what hashing found."""
        if not self._wrong:
            return snapshot
        return replace(snapshot, rows=tuple(self.as_hashed(row) for row in snapshot.rows))

    def as_hashed(self, row: Row) -> Row:
        """A row that says what hashing found wrong with its image: the store knows that from no record."""
        reason = self._wrong.get(row.key.name or "") or self._wrong.get(row.key.id)
        if reason is None or row.condition is not Condition.SOUND:
            return row
        return replace(row, condition=Condition.DAMAGED, reason=reason)

    def learn(self, findings: tuple[Finding, ...], hashed: frozenset[tuple[str, str, str]] = frozenset()) -> None:
        """Take over what a check found, the worst first, and which of it was found by hashing."""
        before, self._wrong = self._wrong, {}
        findings = tuple(sorted(findings, key=lambda finding: finding.severity))
        self.findings, self.findings_problem = findings, ""
        self._by_image.clear()
        self._by_name.clear()
        for finding in findings:
            for image in finding.images:
                self._by_image.setdefault(image, []).append(finding)
            for name in finding.names:
                self._by_name.setdefault(name, []).append(finding)
        bad = [finding for finding in findings if finding.severity.is_damage]
        images = (image for finding in bad if not finding.names for image in finding.images)
        self.listing.suspect(images, (name for finding in bad for name in finding.names))
        for finding in reversed(bad):
            if finding.identity in hashed:
                self._wrong.update(dict.fromkeys((*finding.images, *finding.names), finding.detail))
        if before != self._wrong:
            self.snapshot = self._with_damage(self.read)
            self._count()
            self.listing.load(self.snapshot.rows)

    def findings_of(self, row: Row) -> tuple[Finding, ...] | None:
        """What was found about a row's image and name; None before a check."""
        if self.findings is None:
            return None
        found = self._by_image.get(row.key.id, []) + self._by_name.get(row.key.name or "", [])
        return tuple(dict.fromkeys(found))

    def row_of(self, finding: Finding) -> Key | None:
        """The first row that a finding is about."""
        return affected(finding, self.snapshot.rows)

    def lock_word(self) -> Span:
        """Whether a change can be applied now."""
        if self.snapshot.engine is EngineState.RUNNING:
            return span(f"{self.words.engine.upper()} RUNNING", Role.WARN)
        if self.snapshot.engine is EngineState.HELD:
            return span("STORE HELD", Role.WARN)
        if self.unlocked:
            return span("UNLOCKED", Role.BAD)
        return span("READ-ONLY", Role.STRONG)

    def health(self) -> list[Line]:
        """What is wrong, a line each, for the rail."""
        lines = [Line((piece,)) for piece in self.counts.spans()]
        if self.findings is not None:
            of = Counter(finding.severity for finding in self.findings)
            lines += [Line((span(f"{of[severity]} {_MEANS[severity]}"),)) for severity in Severity if of[severity]]
        return lines or [Line((span("nothing found" if self.findings is not None else "not checked yet", Role.FAINT),))]

    def held(self) -> list[Line]:
        """What the quarantine holds, for the rail."""
        if not self.quarantine:
            return [Line((span("empty", Role.FAINT),))]
        return [Line((span(f"{words.size(self.quarantine)} of {words.count(self.changes, 'change')}"),))]


_MEANS = {
    Severity.BLOCKS: "S1 stops the store",
    Severity.UNUSABLE: "S2 unusable",
    Severity.LATENT: "S3 fails later",
    Severity.SPACE: "S4 space unused",
    Severity.INFORMATION: "S5 information",
}
