"""A snapshot file, as screens and commands see it: a store of its kind that can only be looked at."""

import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sized
from collections.abc import Mapping as DictOf
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property
from sys import intern
from typing import TYPE_CHECKING, BinaryIO, NoReturn

from orlop import times
from orlop.errors import Malformed, NotFound, OrlopError, ReadOnly, TooLarge, Unsupported
from orlop.finding import Finding, Rule
from orlop.fs import Folder, Root, translate
from orlop.intent import Import, Intent
from orlop.plan import Plan, Refusal
from orlop.progress import Progress
from orlop.records import (
    Absent,
    Delta,
    Detail,
    EngineState,
    Facet,
    Holding,
    Key,
    Mapping,
    Note,
    Records,
    Remote,
    Row,
    Snapshot,
    StoreId,
    Upload,
    Why,
)
from orlop.snapshots import index as indexes
from orlop.snapshots.find import find, named
from orlop.snapshots.index import Index, index, nameless
from orlop.snapshots.lines import MAGIC, VERSION, lines, parsed
from orlop.snapshots.rules import derived, others, typed
from orlop.snapshots.values import loaded
from orlop.snapshots.why import why
from orlop.store import Exclusive, Fetched, Hashing, Saved, Statement

if TYPE_CHECKING:
    from orlop.space import Space

_MOST = 1_000_000
"""Rows, records and findings that are taken, of each."""
_HELD = 1 << 30
"""Bytes of packed details that are held in memory."""
_TOLD = 1000
_RECORDS: dict[Facet, type[Mapping] | type[Remote] | type[Upload]] = {
    Facet.MAPPINGS: Mapping,
    Facet.REMOTES: Remote,
    Facet.UPLOADS: Upload,
}
_WHY = "a snapshot is what a store told once"
_DO = "open the store itself, where it lies"


class FileRoot(Root):
    """The root of a store that is one file: there is nothing below it.

    Its descriptor and its path are the file's own, so that whoever watches the root sees when
    the file is replaced; every path below it is not found, whatever a stranger wrote
    into the file.
    """

    @classmethod
    def open(cls, path: str) -> "FileRoot":
        """Open a file.

        Raises:
            NotFound, NoPermission, StorageFailure
        """
        try:
            real = os.path.realpath(path, strict=True)
            return cls(os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), real)
        except OSError as error:
            raise translate(error, "the snapshot cannot be opened", path) from error

    def folder(self, path: str) -> Folder:
        raise NotFound("a snapshot has no files of the store", path=path or self.path)

    def stream_all(self) -> BinaryIO:
        """The file itself, from its beginning."""
        return os.fdopen(os.open(f"/proc/self/fd/{self.fd}", os.O_RDONLY | os.O_CLOEXEC), "rb")


class SnapshotStore:
    """A snapshot file; see `orlop.store.Store` for what each method promises.

    Everything was told by a store once, and nothing of it is proven here: the file may be a
    stranger's. It changes nothing and reads nothing but the file.
    """

    def __init__(
        self, root: FileRoot, rules: DictOf[str, Callable[[], tuple[Rule, ...]]], *, progress: Progress
    ) -> None:
        """Read the file.

        Args:
            root: the file; it belongs to the store from now on.
            rules: gives, by kind, those that its checks know.
            progress: told of lines.

        Raises:
            Malformed, TooLarge: it is damaged, cut short, or no snapshot that Orlop wrote.
            Unsupported: a later version wrote it.
            StorageFailure: it cannot be read.
            Cancelled: `progress` stopped it.
        """
        self._root = root
        self._rules = rules
        try:
            with root.stream_all() as stream:
                self._read = _Reading(root.path).all(stream, progress)
        except (Malformed, TooLarge) as error:
            error.path = error.path or root.path
            raise
        except OSError as error:
            raise translate(error, "the snapshot cannot be read", root.path) from error
        self._snapshot = self._read.snapshot
        if self.identity.kind not in rules:
            raise Unsupported(f"this snapshot is of a {self.identity.kind!r} store", why="that kind is not known")

    @property
    def identity(self) -> StoreId:
        return self._snapshot.identity

    @property
    def root(self) -> Root:
        return self._root

    def rows(self) -> Snapshot:
        return self._snapshot

    def engine(self) -> tuple[EngineState, str]:
        return self._snapshot.engine, self._snapshot.engine_text

    def detail(self, key: Key) -> Detail:
        if key in self._read.details:
            return self._read.detail(key)
        first = self._read.first_of.get(nameless(key)) if key.id else None
        if first is None:
            raise NotFound(f"the snapshot tells nothing of {key.name or key.id}", path=self._root.path)
        return replace(self._read.detail(first), key=key, row=named(self._snapshot.rows, key))

    def facet(self, facet: Facet, key: Key | None) -> Records | Absent:
        whole = self._read.whole(facet)
        if key is None:
            return whole
        own = self._read.own.get((facet, key))
        if own is not None:
            return own
        try:
            detail = self.detail(key) if facet is Facet.MAPPINGS else None
        except NotFound:
            detail = None
        return derived(facet, whole, key, detail)

    def find(self, image: str) -> tuple[Key, ...]:
        return find(self._snapshot.rows, image, path=self._root.path)

    def check(
        self, keys: Iterable[Key] | None, *, content: bool, progress: Progress, hashing: Hashing | None = None
    ) -> Iterator[Finding]:
        """As the Protocol says: what the check of the structure found when the snapshot was taken."""
        if content:
            _refuse("contents cannot be hashed", "it has no contents, only when they were verified")
        chosen = None if keys is None else list(keys)
        ids = {key.id for key in chosen or () if key.id}
        names = {key.name for key in chosen or () if key.name is not None}
        for finding in self._read.findings:
            if chosen is None or ids & set(finding.images) or names & set(finding.names):
                yield finding

    def rules(self) -> tuple[Rule, ...]:
        return self._rules[self.identity.kind]()

    def why(self, subject: str) -> Why:
        """As the Protocol says, of images and their layers; what lies beside them is not in a snapshot."""
        return why(self._index, self._snapshot.rows, self._mappings(), subject)

    def holders(self, holding: Holding, text: str) -> frozenset[str]:
        whole = self._read.whole(Facet.REMOTES)
        remotes = [] if isinstance(whole, Absent) else [one for one in whole if isinstance(one, Remote)]
        return indexes.holders(self._index, self._snapshot.rows, self._mappings(), remotes, holding, text)

    def freed(self, keys: Iterable[Key]) -> int:
        return indexes.freed(self._index, self._snapshot.rows, keys)

    @cached_property
    def _index(self) -> Index:
        return index(_detail(self._read.details[key]) for key in self._read.first_of.values())

    def _mappings(self) -> list[Mapping]:
        whole = self._read.whole(Facet.MAPPINGS)
        return [] if isinstance(whole, Absent) else [one for one in whole if isinstance(one, Mapping)]

    def plan(self, intent: Intent) -> Plan | Refusal:
        return Refusal(action="change the store", reasons=("a snapshot cannot be changed",), do=_DO)

    def stage(self, archive: str, *, name: str, latest: bool, at: int, progress: Progress) -> Import:
        _refuse("a snapshot takes no archives")

    def fetch(self, url: str, *, at: int, progress: Progress) -> Fetched:
        _refuse("nothing can be fetched into a snapshot")

    def space(self, progress: Progress) -> "Space":
        found = self._read.space
        if found is None:
            _refuse("this snapshot does not tell where the bytes are")
        from orlop.space import Space

        return loaded(Space, parsed(zlib.decompress(found)).get("space"), "space")

    def save(self, keys: Iterable[Key], to: BinaryIO, *, form: str | None, progress: Progress) -> tuple[Saved, ...]:
        _refuse("no image can be saved out of a snapshot", "it has no layers")

    def refresh(self, hints: Iterable[str] | None = None) -> Delta:
        """Nothing: the file was read whole."""
        return Delta(snapshot=self._snapshot, added=frozenset(), removed=frozenset(), changed=frozenset())

    def watched(self) -> tuple[str, ...]:
        return ()

    def guard(self, statement: Statement | None) -> AbstractContextManager[Exclusive]:
        raise ReadOnly("a snapshot cannot be changed", path=self._root.path, why=_WHY, do=_DO)

    def close(self) -> None:
        self._root.close()


def _refuse(what: str, why: str = _WHY) -> NoReturn:
    raise Unsupported(what, why=why, do=_DO)


def _detail(packed: bytes) -> Detail:
    return loaded(Detail, parsed(zlib.decompress(packed)).get("detail"), "detail")


# --- reading -------------------------------------------------------------------


@dataclass(slots=True)
class _Reading:
    """What was read of a file so far."""

    path: str
    head: Snapshot | None = None
    rows: dict[Key, Row] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    records: dict[Facet, list[Mapping | Remote | Upload]] = field(default_factory=dict)
    absent: dict[Facet, Absent] = field(default_factory=dict)
    own: dict[tuple[Facet, Key], Records | Absent] = field(default_factory=dict)
    details: dict[Key, bytes] = field(default_factory=dict)
    """The lines, packed."""
    users: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Layer → ids of the images that have it."""
    first_of: dict[Key, Key] = field(default_factory=dict)
    """An image without a name → the key that its first detail has."""
    space: bytes | None = None
    held: int = 0

    def all(self, stream: BinaryIO, progress: Progress) -> "_Reading":
        for number, (line, raw) in enumerate(lines(stream), 1):
            if number % _TOLD == 0:
                progress.step("lines", number, 0)
            try:
                self._take(line, raw)
            except OrlopError as error:
                if isinstance(error, Malformed):
                    error.why = f"line {number}: {error.why}"
                raise
        if self.head is None:
            raise Malformed("it is empty")
        for row in self.rows.values():
            if row.under is not None and row.under not in self.rows:
                raise Malformed(f"a row stands under {row.under.id}, which is no row")
        return self

    @property
    def snapshot(self) -> Snapshot:
        """What the store showed, as a store at the file's place that nobody changes."""
        assert self.head is not None
        then = self.head
        taken = times.rfc3339(then.seen_at)
        text = f"this is a snapshot of {then.identity.label} at {then.identity.path}, taken {taken}; then: "
        identity = replace(then.identity, path=self.path, token=f"snapshot-{then.identity.token}-{then.seen_at:x}")
        return replace(
            then,
            identity=identity,
            rows=tuple(self.rows.values()),
            engine=EngineState.UNKNOWN,
            engine_text="a snapshot: nothing works on it",
            notes=(Note(text=text + (then.engine_text or then.engine.value)), *then.notes),
        )

    def detail(self, key: Key) -> Detail:
        """One that is there, with the users of its layers."""
        line = parsed(zlib.decompress(self.details[key]))
        found = loaded(Detail, line.get("detail"), "detail")
        named = line.get("shared")
        names = named if isinstance(named, list) and len(named) == len(found.layers) else [None] * len(found.layers)
        layers = (
            layer if not isinstance(name, str) else replace(layer, shared_with=others(self.users.get(name, ()), key.id))
            for layer, name in zip(found.layers, names, strict=True)
        )
        return replace(found, layers=tuple(layers))

    def whole(self, facet: Facet) -> Records | Absent:
        """The records of the whole store."""
        return self.absent.get(facet) or typed(facet, self.records.get(facet, ()))

    def _take(self, line: dict[str, object], raw: bytes) -> None:
        kind = line.get("type")
        if self.head is None:
            self.head = _head(line)
            return
        match kind:
            case "row":
                row = loaded(Row, line.get("row"), "row")
                _refuse_many(self.rows)
                if row.key in self.rows or (row.under is not None and row.under not in self.rows):
                    raise Malformed("it is there twice, or above the row that it stands under", field="row.key")
                self.rows[row.key] = row
            case "finding":
                _refuse_many(self.findings)
                self.findings.append(loaded(Finding, line.get("finding"), "finding"))
            case "absent":
                self.absent[loaded(Facet, line.get("facet"), "facet")] = Absent(
                    because=loaded(str, line.get("because"), "because")
                )
            case "record":
                facet = loaded(Facet, line.get("facet"), "facet")
                found = self.records.setdefault(facet, [])
                _refuse_many(found)
                found.append(loaded(_RECORDS[facet], line.get("record"), "record"))
            case "of":
                _refuse_many(self.own)
                facet = loaded(Facet, line.get("facet"), "facet")
                self.own[facet, loaded(Key, line.get("key"), "key")] = _own(facet, line)
            case "users":
                _refuse_many(self.users)
                users = loaded(tuple[str, ...], line.get("images"), "images")
                self.users[loaded(str, line.get("layer"), "layer")] = tuple(map(intern, users))
            case "detail":
                key = loaded(Key, line.get("key"), "key")
                loaded(Detail, line.get("detail"), "detail")
                self.details[key] = self._packed(raw)
                if key.id:
                    self.first_of.setdefault(nameless(key), key)
            case "space":
                self.space = self._packed(raw)
            case _:
                return  # of a later version, which says so where it matters

    def _packed(self, raw: bytes) -> bytes:
        packed = zlib.compress(raw, 1)
        self.held += len(packed)
        if self.held > _HELD:
            raise TooLarge(self.held, _HELD)
        return packed


def _head(line: dict[str, object]) -> Snapshot:
    version = line.get("version")
    if line.get("type") != MAGIC or type(version) is not int:
        raise Malformed("it is no snapshot that Orlop wrote")
    if version != VERSION:
        raise Unsupported(
            f"this snapshot is of version {version}",
            why=f"only version {VERSION} is known",
            do="use the Orlop that wrote it",
        )
    return loaded(Snapshot, line.get("snapshot"), "snapshot")


def _own(facet: Facet, line: dict[str, object]) -> Records | Absent:
    because, listed = line.get("because"), line.get("records")
    if because is not None:
        return Absent(because=loaded(str, because, "because"))
    if not isinstance(listed, list):
        raise Malformed("not a list", field="records")
    return typed(facet, [loaded(_RECORDS[facet], record, "records") for record in listed])


def _refuse_many(taken: Sized) -> None:
    if len(taken) >= _MOST:
        raise Malformed(f"it has more than {_MOST} lines of one type")
