"""Open stores, and what is under way on each."""

import os
import threading
from typing import TYPE_CHECKING

from orlop.records import Delta, Snapshot
from orlop.store import Store
from orlop_tui import hashed
from orlop_tui.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.progress import Progress


class Slot:
    """One open store, and what is under way on it."""

    def __init__(self, index: int, path: str, store: Store, since: int) -> None:
        self.index = index
        self.path = path
        self.store = store
        self.since = since
        self.turn = threading.RLock()
        """Held by whoever reads the store anew or changes it."""
        self.writing = False
        self.held_back: set[str] = set()
        """Hints that came while a change ran."""
        self.watch: Watch | None = None
        self.sweep_after = 0.0
        """When its unwatched parts may be looked at again, by the monotonic clock."""
        self.retired: list[Store] = []
        """Stores of folders that were replaced; a reader may still be in them."""


def open_all(path: str, progress: "Progress") -> "Sequence[Store]":
    """The stores at a path; raises what `orlop.kinds.open_all` does."""
    from orlop import kinds  # not before the first paint

    return kinds.open_all(path, progress=progress, verified=hashed.verified)


def identity(store: Store) -> tuple[int, int]:
    """The folder that a store lies in: device and inode."""
    found = os.fstat(store.root.fd)
    return (found.st_dev, found.st_ino)


def beside_rows(snapshot: Snapshot) -> tuple[object, ...]:
    """What a screen shows of a store besides its rows."""
    return (snapshot.engine, snapshot.engine_text, snapshot.notes, snapshot.images, snapshot.total_size)


def difference(before: Snapshot, after: Snapshot) -> Delta:
    """What differs between two stores at the same place."""
    old = {row.key: row for row in before.rows}
    new = {row.key: row for row in after.rows}
    return Delta(
        snapshot=after,
        added=frozenset(new.keys() - old.keys()),
        removed=frozenset(old.keys() - new.keys()),
        changed=frozenset(key for key in new.keys() & old.keys() if new[key] != old[key]),
    )
