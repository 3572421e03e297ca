"""What lies in a store and is none of its parts: temporary files, locks of keys that are gone, foreign names.

rkt never removes a lock, and leaves a refused or interrupted download in ``tmp`` for
ever (v1.30.0, store/imagestore/store.go: WriteACI, TmpFile).
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass

from orlop.errors import NotFound, OrlopError
from orlop.fs import Root, join
from orlop.rkt import layout
from orlop.rkt.model import Debris, Unreadable
from orlop.rkt.qlcatalogue import LOCK, LOG

TEMPORARY, LOCK_FILE, FOREIGN = "temporary file", "lock file", "foreign"
"""`Debris.kind`."""

OWN = ".orlop"
"""Where changes by Orlop keep their journal and quarantine."""

_IN_DATABASE = frozenset(
    {layout.QL, LOG, layout.SQLITE, f"{layout.SQLITE}-wal", f"{layout.SQLITE}-shm", f"{layout.SQLITE}-journal"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers:
    """What was found, besides what lies among the images' files."""

    debris: tuple[Debris, ...] = ()
    """Lock files of every key and tree included."""
    unreadable: tuple[Unreadable, ...] = ()

    def without_live_locks(self, keys: Container[str], trees: Container[str]) -> Iterator[Debris]:
        """All but the locks of what is in the store."""
        for found in self.debris:
            folder, _, name = found.path.rpartition("/")
            if folder == layout.LOCKS and name in keys and found.kind == LOCK_FILE:
                continue
            if folder == layout.TREE_LOCKS and name in trees and found.kind == LOCK_FILE:
                continue
            yield found


def leftovers(root: Root) -> Leftovers:
    """What is no part of the store in its folder, in ``tmp``, ``db`` and the two folders of locks."""
    debris: list[Debris] = []
    unreadable: list[Unreadable] = []
    for path in ("", layout.TEMPORARY, layout.DATABASE, layout.LOCKS, layout.TREE_LOCKS):
        try:
            names = root.names(path)
        except NotFound:
            continue
        except OrlopError as error:
            unreadable.append(Unreadable(path=path or ".", why=error.why or error.what))
            continue
        for name in names:
            at = join(path, name)
            if not _belongs(path, name) and (found := leftover(root, at)) is not None:
                debris.append(found)
    return Leftovers(debris=tuple(debris), unreadable=tuple(unreadable))


def _belongs(folder: str, name: str) -> bool:
    if folder == "":
        return name in layout.FOLDERS or name == OWN
    return join(folder, name) in _IN_DATABASE


def leftover(root: Root, path: str) -> Debris | None:
    """Describe what has no place where it is; None where it went away, or cannot be looked at."""
    try:
        found = root.stat(path)
        size = root.allocated(path)
    except OrlopError:
        return None
    return Debris(path=path, kind=_kind(path, found.kind), bytes=size, mtime=found.mtime)


def _kind(path: str, kind: str) -> str:
    folder, _, name = path.rpartition("/")
    if kind == "file" and (folder in (layout.LOCKS, layout.TREE_LOCKS) or path == LOCK):
        return LOCK_FILE
    if folder == layout.TEMPORARY or name.startswith(".tmp-"):
        return TEMPORARY
    return FOREIGN
