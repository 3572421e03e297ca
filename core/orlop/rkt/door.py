"""An ACI image store, as screens and commands see it."""

import threading
from collections.abc import Iterable, Iterator, Set
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from orlop.errors import OrlopError
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
    Records,
    Snapshot,
    StoreId,
    Why,
)
from orlop.rkt import layout
from orlop.rkt.find import find
from orlop.rkt.join import join_model
from orlop.rkt.model import Model
from orlop.rkt.parts import Parts, read_parts
from orlop.rkt.proven import proven
from orlop.rkt.rows import by_key, snapshot
from orlop.rkt.surroundings import engine_state
from orlop.rkt.touched import Touched
from orlop.store import Exclusive, Fetched, Hashing, Saved, Statement
from orlop.verified import Dates, VerifiedCache

if TYPE_CHECKING:
    from orlop.space import Space

KIND = "rkt"

_MOST_WATCHED = 1024
"""Folders that are watched at most: the kernel counts them per user."""


class RktStore:
    """One ACI store; see `orlop.store.Store` for what each method promises."""

    def __init__(self, root: Root, *, progress: Progress | None = None, verified: VerifiedCache | None = None) -> None:
        """Read the store.

        Args:
            root: its folder, rkt's ``cas``.
            progress: told of each phase.
            verified: what was hashed before: rows tell of it, also of what a check notes in it meanwhile.

        Raises:
            Cancelled: `progress` stopped it.
        """
        self._root = root
        self._dates = Dates(verified)
        self._taking = threading.Lock()
        self._dated: set[Key] = set()
        """Rows whose date changed since the last refresh: its delta names them, whatever others saw between."""
        self._identity = identity_of(root)
        self._parts: Parts = read_parts(root, progress=progress or Silent(), previous=None, touched=Touched(None))
        self._take(join_model(root, self._parts))

    def _take(self, model: Model) -> None:
        self._dates.renew()
        self._model = model
        found = snapshot(model, self._identity)
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
        return engine_state(self._root)

    def detail(self, key: Key) -> Detail:
        """As the Protocol says; the name in a key may be missing or outdated, the id decides."""
        from orlop.rkt.detail import detail

        row = next((row for row in self._snapshot.rows if row.id == key.id), None)
        return detail(self._root, self._model, key, row)

    def facet(self, facet: Facet, key: Key | None) -> Records | Absent:
        from orlop.rkt import detail, remotes

        image = key.id if key is not None else None
        match facet:
            case Facet.REMOTES:
                return remotes.remotes(self._model, image)
            case Facet.UPLOADS:
                return detail.uploads()
            case _:
                return detail.mappings(self._model, image)

    def find(self, image: str) -> tuple[Key, ...]:
        return find(self._model, image, path=self._root.path)

    def check(
        self, keys: Iterable[Key] | None, *, content: bool, progress: Progress, hashing: Hashing | None = None
    ) -> Iterator[Finding]:
        from orlop.rkt.check import check

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
        from orlop.rkt.rules import RULES

        return tuple(RULES.values())

    def why(self, subject: str) -> Why:
        from orlop.rkt.why import why

        return why(self._root, self._model, subject)

    def holders(self, holding: Holding, text: str) -> frozenset[str]:
        from orlop.rkt.holders import holders

        return holders(self._model, holding, text)

    def freed(self, keys: Iterable[Key]) -> int:
        from orlop.rkt.freed import freed

        return freed(self._model, keys)

    def plan(self, intent: Intent) -> Plan | Refusal:
        from orlop.rkt import plans

        return plans.plan(self._root, self._model, self._identity, intent)

    def stage(self, archive: str, *, name: str, latest: bool, at: int, progress: Progress) -> Import:
        from orlop.rkt import importing

        return importing.stage(self._root, self._model, archive, name=name, latest=latest, at=at, progress=progress)

    def fetch(self, url: str, *, at: int, progress: Progress) -> Fetched:
        from orlop.rkt import fetching

        return fetching.fetch(self._root, self._model, url, at=at, progress=progress)

    def space(self, progress: Progress) -> "Space":
        from orlop.rkt.space import space

        return space(self._root, self._model, progress=progress)

    def save(self, keys: Iterable[Key], to: BinaryIO, *, form: str | None, progress: Progress) -> tuple[Saved, ...]:
        from orlop.rkt.saving import save

        return save(self._root, self._model, keys, to, form=form, progress=progress)

    def refresh(self, hints: Iterable[str] | None = None) -> Delta:
        self._parts = read_parts(self._root, progress=Silent(), previous=self._parts, touched=Touched(hints))
        model = join_model(self._root, self._parts)
        with self._taking:
            before = self._snapshot
            self._take(model)
            dated, self._dated = self._dated, set()
            return delta(before, self._snapshot, dated)

    def watched(self) -> tuple[str, ...]:
        """As the Protocol says: the database, trees, ``tmp``, and the folders that hold archives and manifests."""
        folders = [layout.DATABASE, layout.TREES, layout.TEMPORARY]
        for base in (layout.BLOBS, layout.MANIFESTS):
            top = f"{base}/sha512"
            folders += [base, top, *(f"{top}/{name}" for name in self._folders(top))]
        folders += [tree.path for tree in self._model.trees.values()]
        return tuple(folder for folder in folders[:_MOST_WATCHED] if self._is_folder(folder))

    def _folders(self, path: str) -> list[str]:
        try:
            return [name for name, kind in self._root.kinds(path) if kind == "folder" and len(name) == 2]
        except OrlopError:
            return []  # nothing to watch there, and a note says why

    def _is_folder(self, path: str) -> bool:
        try:
            return self._root.stat(path).kind == "folder"
        except OrlopError:
            return False

    def guard(self, statement: Statement | None) -> AbstractContextManager[Exclusive]:
        from orlop.rkt.guard import guard

        return guard(self._root, statement)

    def close(self) -> None:
        self._root.close()


def identity_of(root: Root) -> StoreId:
    """Which store this is; the token is the folder's device and inode."""
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
