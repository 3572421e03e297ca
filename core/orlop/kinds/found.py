"""A store that a path holds, before it is opened."""

from collections.abc import Callable
from dataclasses import dataclass

from orlop.errors import OrlopError
from orlop.fs import Root
from orlop.progress import Progress
from orlop.store import Store


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
    opener: Callable[[Root, Progress], Store]

    def open(self, progress: Progress) -> Store:
        """Read the store.

        Raises:
            NotFound, WrongKind, NoPermission, StorageFailure: the root cannot be opened.
            Cancelled: `progress` stopped it.
        """
        root = Root.open(self.root)
        try:
            return self.opener(root, progress)
        except BaseException:
            root.close()
            raise


def is_folder(root: Root, path: str) -> bool:
    """Whether a folder is there, as far as this user may look."""
    try:
        return root.stat(path).kind == "folder"
    except OrlopError:
        return False
