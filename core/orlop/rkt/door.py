"""An ACI image store, as screens and commands see it."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager

from orlop.errors import OrlopError
from orlop.finding import Finding, Rule
from orlop.fs import Root
from orlop.intent import Import, Intent
from orlop.plan import Plan, Refusal
from orlop.progress import Progress, Silent
from orlop.records import Absent, Delta, Detail, EngineState, Facet, Key, Records, Snapshot, StoreId, Why
from orlop.rkt import layout
from orlop.rkt.find import find
from orlop.rkt.join import join_model
from orlop.rkt.model import Model
from orlop.rkt.parts import Parts, read_parts
from orlop.rkt.rows import by_key, snapshot
from orlop.rkt.surroundings import engine_state
from orlop.rkt.touched import Touched
from orlop.store import Exclusive, Fetched, Hashing, Statement

KIND = "rkt"

_MOST_WATCHED = 1024
"""Folders that are watched at most: the kernel counts them per user."""


class RktStore:
    """One ACI store; see `orlop.store.Store` for what each method promises."""

    def __init__(self, root: Root, *, progress: Progress | None = None) -> None:
        """Read the store.

        Args:
            root: its folder, rkt's ``cas``.
            progress: told of each phase.

        Raises:
            Cancelled: `progress` stopped it.
        """
        self._root = root
        self._identity = identity_of(root)
        self._parts: Parts = read_parts(root, progress=progress or Silent(), previous=None, touched=Touched(None))
        self._take(join_model(root, self._parts))

    def _take(self, model: Model) -> None:
        self._model = model
        self._snapshot = snapshot(model, self._identity)

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

        return check(self._root, self._model, keys, content=content, progress=progress)

    def rules(self) -> tuple[Rule, ...]:
        from orlop.rkt.rules import RULES

        return tuple(RULES.values())

    def why(self, subject: str) -> Why:
        from orlop.rkt.why import why

        return why(self._root, self._model, subject)

    def plan(self, intent: Intent) -> Plan | Refusal:
        from orlop.rkt import plans

        return plans.plan(self._root, self._model, self._identity, intent)

    def stage(self, archive: str, *, name: str, latest: bool, at: int, progress: Progress) -> Import:
        from orlop.rkt import importing

        return importing.stage(self._root, self._model, archive, name=name, latest=latest, at=at, progress=progress)

    def fetch(self, url: str, *, at: int, progress: Progress) -> Fetched:
        from orlop.rkt import fetching

        return fetching.fetch(self._root, self._model, url, at=at, progress=progress)

    def refresh(self, hints: Iterable[str] | None = None) -> Delta:
        before = self._snapshot
        self._parts = read_parts(self._root, progress=Silent(), previous=self._parts, touched=Touched(hints))
        self._take(join_model(self._root, self._parts))
        return delta(before, self._snapshot)

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


def delta(before: Snapshot, after: Snapshot) -> Delta:
    """What differs between two snapshots of one store."""
    old = by_key(before.rows)
    new = by_key(after.rows)
    return Delta(
        snapshot=after,
        added=frozenset(new.keys() - old.keys()),
        removed=frozenset(old.keys() - new.keys()),
        changed=frozenset(key for key in new.keys() & old.keys() if new[key] != old[key]),
    )
