"""A store that a path holds, before it is opened."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from orlop.errors import OrlopError
from orlop.fs import Root
from orlop.progress import Progress
from orlop.records import Snapshot, StoreId
from orlop.store import Store

if TYPE_CHECKING:
    from orlop.verified import VerifiedCache

Verified: TypeAlias = Callable[[StoreId], "VerifiedCache"]
"""Gives what was hashed of a store before."""
Early: TypeAlias = Callable[[Snapshot], None]
"""Takes what is known of a store while it is still being read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Where a store is, and how it is opened."""

    kind: str
    """As `orlop.records.StoreId.kind`."""
    root: str
    """Absolute path of its root."""
    scope: str
    """As `StoreId.scope`."""
    path: str
    """What a person can give to mean this store and no other."""
    opener: Callable[[Root, Progress, Verified | None, Early | None], Store]

    def open(self, progress: Progress, verified: Verified | None = None, early: Early | None = None) -> Store:
        """Read the store.

        Args:
            progress: told of each phase.
            verified: asked what was hashed of it before, so that its rows tell; None: nothing is known.
            early: as for `orlop.kinds.open_all`.

        Raises:
            NotFound, WrongKind, NoPermission, StorageFailure: the root cannot be opened.
            Cancelled: `progress` stopped it.
        """
        root = Root.open(self.root)
        try:
            return self.opener(root, progress, verified, early)
        except BaseException:
            root.close()
            raise


def is_folder(root: Root, path: str) -> bool:
    """Whether a folder is there, as far as this user may look."""
    try:
        return root.stat(path).kind == "folder"
    except OrlopError:
        return False
