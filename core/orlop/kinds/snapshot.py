"""A snapshot: one file with all that a store told, written by Orlop."""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

from orlop.errors import OrlopError
from orlop.fs import Root
from orlop.kinds import docker, registry, rkt
from orlop.kinds.found import Found, Verified
from orlop.progress import Progress
from orlop.records import Snapshot
from orlop.store import Store

_RULES = {"docker": docker.rules, "registry": registry.rules, "rkt": rkt.rules}


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSnapshot(Found):
    """A snapshot file, before it is read."""

    def open(
        self, progress: Progress, verified: Verified | None = None, early: Callable[[Snapshot], None] | None = None
    ) -> Store:
        """As `Found.open`; nothing was ever verified of a file, and it is read at once.

        Raises:
            Malformed, TooLarge: it is damaged or cut short.
            Unsupported: a later version wrote it.
            NotFound, NoPermission, StorageFailure, Cancelled
        """
        from orlop.snapshots.store import FileRoot, SnapshotStore

        root = FileRoot.open(self.root)
        try:
            return SnapshotStore(root, _RULES, progress=progress)
        except BaseException:
            root.close()
            raise


def find(path: str) -> list[Found]:
    """The snapshot that a path is; none where it is anything else."""
    from orlop.snapshots.lines import is_snapshot
    from orlop.snapshots.store import FileRoot

    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return []
        with FileRoot.open(path) as root, root.stream_all() as stream:
            if not is_snapshot(stream):
                return []
            real = root.path
    except (OSError, OrlopError):
        return []  # the other kinds say what is wrong with the path
    return [FoundSnapshot(kind="snapshot", root=real, scope="", path=real, opener=_never)]


def _never(root: Root, *others: object) -> Store:
    raise AssertionError("a snapshot is opened as a file")
