"""A registry's storage, as screens and commands see it."""

import threading
from collections.abc import Iterable, Iterator, Set
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from orlop.errors import Unsupported
from orlop.finding import Finding, Rule
from orlop.fs import Root
from orlop.intent import Import, Intent
from orlop.plan import Plan, Refusal
from orlop.progress import Progress, Silent
from orlop.records import (
    Absent,
    Delta,
    Detail,
    EngineState,
    Facet,
    Holding,
    Key,
    Note,
    Records,
    Snapshot,
    StoreId,
    Why,
)
from orlop.registry import processes
from orlop.registry.model import Model
from orlop.registry.proven import proven
from orlop.registry.read import Reader
from orlop.registry.rows import by_key, snapshot
from orlop.store import Exclusive, Fetched, Hashing, Saved, Statement
from orlop.verified import Dates, VerifiedCache

if TYPE_CHECKING:
    from orlop.space import Space

KIND = "registry"
_MINUTE = 60_000_000_000


class RegistryStore:
    """The storage of a registry; see `orlop.store.Store` for what each method promises."""

    def __init__(
        self, root: Root, base: str, *, progress: Progress | None = None, verified: VerifiedCache | None = None
    ) -> None:
        """Read the store.

        Args:
            root: the registry's ``rootdirectory``; it belongs to the store from now on.
            base: where ``v2`` is, relative to it: ``docker/registry/v2``, less in a copy of a part.
            progress: told of each phase.
            verified: what was hashed before: rows tell of it, also of what a check notes in it meanwhile.

        Raises:
            Cancelled: `progress` stopped it.
        """
        self._root = root
        self._identity = identity_of(root)
        self._reader = Reader(root, base)
        self._dates = Dates(verified)
        self._taking = threading.Lock()
        self._dated: set[Key] = set()
        """Rows whose date changed since the last refresh: its delta names them, whatever others saw between."""
        self._take(self._reader.read(progress or Silent()))

    def _take(self, model: Model) -> None:
        self._dates.renew()
        self._model = model
        found = snapshot(model, self._identity, self._notes())
        self._snapshot = replace(found, rows=proven(model, found.rows, self._dates)) if self._dates else found

    def _look_at_dates(self) -> None:
        """Show what was verified, or found wrong, since the rows were made."""
        if self._dates.renew():
            before = self._snapshot.rows
            self._snapshot = replace(self._snapshot, rows=proven(self._model, before, self._dates))
            self._dated.update(new.key for old, new in zip(before, self._snapshot.rows, strict=True) if new is not old)

    @property
    def identity(self) -> StoreId:
        return self._identity

    @property
    def root(self) -> Root:
        return self._root

    @property
    def model(self) -> Model:
        """What the last read found."""
        return self._model

    def rows(self) -> Snapshot:
        return self._snapshot

    def engine(self) -> tuple[EngineState, str]:
        return processes.engine_state(self._root)

    def detail(self, key: Key) -> Detail:
        from orlop.registry.detail import detail

        row = next((row for row in self._snapshot.rows if row.key == key), None)
        return detail(self._root, self._model, key, row, self._dates)

    def facet(self, facet: Facet, key: Key | None) -> Records | Absent:
        from orlop.registry import facets

        match facet:
            case Facet.MAPPINGS:
                return facets.mappings(self._model, key)
            case Facet.REMOTES:
                return facets.remotes(self._model, key)
            case Facet.UPLOADS:
                return facets.uploads(self._model, key)

    def find(self, image: str) -> tuple[Key, ...]:
        from orlop.registry.find import find

        return (find(self._model, image),)

    def check(
        self, keys: Iterable[Key] | None, *, content: bool, progress: Progress, hashing: Hashing | None = None
    ) -> Iterator[Finding]:
        from orlop.registry.check import check

        found = check(self._root, self._model, keys, content=content, progress=progress, hashing=hashing)
        return self._shown(found) if content else found

    def _shown(self, found: Iterator[Finding]) -> Iterator[Finding]:
        """Findings of a check that notes what it hashed; however it ends, the rows then show that."""
        try:
            yield from found
        finally:
            with self._taking:
                self._look_at_dates()

    def rules(self) -> tuple[Rule, ...]:
        from orlop.registry.rules import RULES

        return tuple(RULES.values())

    def why(self, subject: str) -> Why:
        from orlop.registry.why import why

        return why(self._root, self._model, subject)

    def holders(self, holding: Holding, text: str) -> frozenset[str]:
        from orlop.registry.holders import holders

        return holders(self._model, holding, text)

    def freed(self, keys: Iterable[Key]) -> int:
        from orlop.registry.freed import freed

        return freed(self._model, keys)

    def plan(self, intent: Intent) -> Plan | Refusal:
        from orlop.registry.plans import plan

        return plan(self._root, self._model, self._identity, intent)

    def stage(self, archive: str, *, name: str, latest: bool, at: int, progress: Progress) -> Import:
        from orlop.registry.importing import stage

        return stage(self._root, self._model, archive, name=name, latest=latest, at=at, progress=progress)

    def fetch(self, url: str, *, at: int, progress: Progress) -> Fetched:
        raise Unsupported(
            "a registry's storage keeps no record that could be fetched anew",
            path=url,
            why="images come into it by a push, or out of an archive",
            do="`orlop import` takes an archive in; `skopeo copy` pushes to the running registry",
        )

    def space(self, progress: Progress) -> "Space":
        from orlop.registry.space import space

        return space(self._root, self._model, progress=progress)

    def save(self, keys: Iterable[Key], to: BinaryIO, *, form: str | None, progress: Progress) -> tuple[Saved, ...]:
        from orlop.registry.saving import save

        return save(self._root, self._model, keys, to, form=form, progress=progress)

    def refresh(self, hints: Iterable[str] | None = None) -> Delta:
        """As the Protocol says; with hints, or none of them, a sweep by times follows (`Reader.again`)."""
        model = self._reader.read(Silent()) if hints is None else self._reader.again(hints)
        with self._taking:
            before = self._snapshot
            if model is not None:
                self._take(model)
            else:
                self._model = replace(self._model, seen_at=self._reader.looked_at)
                self._snapshot = replace(before, seen_at=self._reader.looked_at, notes=self._notes())
                self._look_at_dates()
            dated, self._dated = self._dated, set()
            return delta(before, self._snapshot, dated)

    def _notes(self) -> tuple[Note, ...]:
        """Those of the model, and how old the oldest part of it is where it does not all fit into one look."""
        minutes = (self._reader.looked_at - self._reader.oldest()) // _MINUTE if self._reader.oldest() else 0
        if minutes < 1:
            return tuple(self._model.notes)
        text = f"so many repositories are looked into in turn: some of what is shown is {minutes} min old"
        return (*self._model.notes, Note(text=text))

    def watched(self) -> tuple[str, ...]:
        return self._reader.watched

    def guard(self, statement: Statement | None) -> AbstractContextManager[Exclusive]:
        from orlop.registry.guard import guard

        return guard(self._root, statement)

    def close(self) -> None:
        self._root.close()


def identity_of(root: Root) -> StoreId:
    """Which store this is; the token is the root folder's device and inode."""
    found = root.stat("")
    return StoreId(kind=KIND, scope="", path=root.path, token=f"{KIND}-{found.device:x}-{found.inode:x}")


def delta(before: Snapshot, after: Snapshot, dated: Set[Key] = frozenset()) -> Delta:
    """What differs between two snapshots of one store, and what else was changed since a delta was told."""
    if before.rows is after.rows:
        return Delta(snapshot=after, added=frozenset(), removed=frozenset(), changed=frozenset(dated))
    old = by_key(before.rows)
    new = by_key(after.rows)
    return Delta(
        snapshot=after,
        added=frozenset(new.keys() - old.keys()),
        removed=frozenset(old.keys() - new.keys()),
        changed=frozenset(key for key in new.keys() & old.keys() if key in dated or new[key] != old[key]),
    )
