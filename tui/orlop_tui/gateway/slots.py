"""Open stores, and what is under way on each."""

import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from orlop.errors import OrlopError
from orlop.finding import Finding
from orlop.fs import Stat
from orlop.records import Delta, Snapshot
from orlop.store import Store
from orlop_tui import hashed
from orlop_tui.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orlop.progress import Progress


class NotYet(OrlopError):
    """Something was asked of a store that is still being read."""


class Slot:
    """One open store, and what is under way on it."""

    def __init__(self, index: int, path: str, store: Store | None, since: int) -> None:
        self.index = index
        self.path = path
        self._store = store
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
        self.structure: tuple[Finding, ...] | None = None
        """What the last check of the whole store found without hashing contents; None before one."""
        self.wrong: dict[tuple[str, str, str], tuple[Finding, Stat | None]] = {}
        """What hashing found, by its identity, with what its file was then."""

    @property
    def is_open(self) -> bool:
        """Whether the store was read."""
        return self._store is not None

    @property
    def store(self) -> Store:
        """The store.

        Raises:
            NotYet: its names are known, and no more of it.
        """
        if self._store is None:
            raise NotYet("the store is still being read", path=self.path, do="wait until it is, or open it again")
        return self._store

    @store.setter
    def store(self, store: Store) -> None:
        self._store = store

    def note(self, finding: Finding) -> None:
        """Keep what hashing found for as long as its file stays what it is."""
        self.wrong[finding.identity] = (finding, _seen(self.store, finding))

    def findings(self) -> tuple[Finding, ...]:
        """What is known to be wrong: by the last check, and by what was hashed before and has not changed since."""
        structure = self.structure or ()
        known = {one.identity for one in structure}
        for identity, (finding, seen) in list(self.wrong.items()):
            if seen is None or _seen(self.store, finding) != seen:
                self.wrong.pop(identity, None)
            elif identity not in known:
                structure += (finding,)
        return structure


def open_all(path: str, progress: "Progress", early: "Callable[[Snapshot], None] | None" = None) -> "Sequence[Store]":
    """The stores at a path; raises what `orlop.kinds.open_all` does."""
    from orlop import kinds  # not before the first paint

    return kinds.open_all(path, progress=progress, verified=hashed.verified, early=early)


def identity(store: Store) -> tuple[int, int]:
    """The folder that a store lies in: device and inode."""
    found = os.fstat(store.root.fd)
    return (found.st_dev, found.st_ino)


def _seen(store: Store, finding: Finding) -> Stat | None:
    """What the file of a finding is now; None where it cannot be looked at."""
    try:
        return store.root.stat(finding.path)
    except OrlopError:
        return None


def is_dated(before: Snapshot, delta: Delta) -> bool:
    """Whether nothing differs but when rows were verified."""
    if delta.added or delta.removed:
        return False
    new = {row.key: row for row in delta.snapshot.rows if row.key in delta.changed}
    old = (row for row in before.rows if row.key in delta.changed)
    return all(
        replace(row, trust=new[row.key].trust, verified_at=new[row.key].verified_at) == new[row.key] for row in old
    )


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
