"""One folder full of like entries, read whole or again only where something changed."""

import hashlib
import os
import struct
from collections.abc import Callable, Collection, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from orlop.docker.model import Debris, Unreadable
from orlop.errors import NotFound, OrlopError
from orlop.fs import Folder, Root, join
from orlop.progress import Progress, Silent

T = TypeVar("T")

_STEP = 512
"""Entries between two reports of progress."""
_TIMES = struct.Struct(">QQqqQ")
SETTLED = 2_000_000_000
"""Nanoseconds after which a file that changes gets another time, whatever the file system keeps of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Area(Generic[T]):
    """What one folder held when it was read; a folder that is not there held nothing."""

    entries: Mapping[str, T] = field(default_factory=dict)
    """By name in the folder."""
    debris: tuple[Debris, ...] = ()
    """Names that are no entries: leftovers and foreign things."""
    unreadable: tuple[Unreadable, ...] = ()
    whole: bool = False
    """Whether the folder could be listed."""
    changed: frozenset[str] | None = None
    """Names whose entry may be another than in the read before; None: all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading(Generic[T]):
    """How the entries of a folder are read."""

    path: str
    """The folder, relative to the root."""
    read: Callable[[Folder, str, str], T]
    """Makes the value from the open folder, the name and its kind; a `NotFound` that it raises means that the entry
    went away meanwhile."""
    wanted: Callable[[str], bool]
    """Whether a name is an entry; every other name is debris or foreign."""
    same: Callable[[Folder, str, str, T], bool] | None = None
    """Whether reading an entry would give what it gave before, told without reading it; None: nothing tells."""
    what: str = ""
    """What the entries are, for the progress; empty: they are few."""


def scan(
    root: Root,
    reading: Reading[T],
    *,
    previous: Area[T] | None = None,
    touched: Set[str] | None = None,
    again: Collection[str] = (),
    progress: Progress | None = None,
) -> Area[T]:
    """Read every wanted entry of a folder.

    Args:
        root: the store.
        reading: which folder, and how.
        previous: what the folder held before.
        touched: the only names that may have changed since; None: any may.
        again: names that are read again even if they are the same.
        progress: told how far it is.

    Raises:
        Cancelled: `progress` stopped it.
    """
    if previous is None or not previous.whole:
        previous = touched = None
    elif touched is not None and not touched and not again and not previous.unreadable:
        return replace(previous, changed=frozenset())
    try:
        folder = root.folder(reading.path)
    except NotFound:
        return Area()
    except OrlopError as error:
        return Area(unreadable=(Unreadable(path=reading.path, why=error.why or error.what),))
    with folder:
        scanning = _Scan(root, reading, folder)
        if previous is not None and touched is not None:
            return scanning.some(previous, {*touched, *again})
        return scanning.all(previous, frozenset(again), progress or Silent())


class _Scan(Generic[T]):
    """One look into an open folder."""

    def __init__(self, root: Root, reading: Reading[T], folder: Folder) -> None:
        self._root = root
        self._how = reading
        self._folder = folder
        self._entries: dict[str, T] = {}
        self._debris: list[Debris] = []
        self._unreadable: list[Unreadable] = []

    def all(self, previous: Area[T] | None, again: Set[str], progress: Progress) -> Area[T]:
        """Every name that the folder has."""
        folder, entries = self._folder, self._entries
        read, wanted, what = self._how.read, self._how.wanted, self._how.what
        same = self._how.same if previous is not None else None
        known: Mapping[str, T] = previous.entries if previous is not None else {}
        changed: set[str] = set(known)
        try:
            kinds = folder.kinds()
        except OrlopError as error:
            return Area(unreadable=(Unreadable(path=folder.path, why=error.why or error.what),))
        for number, (name, kind) in enumerate(kinds):
            if what and number % _STEP == 0:
                progress.step(what, number, len(kinds))
            try:
                if not wanted(name):
                    self._debris.append(leftover(self._root, folder, name))
                    continue
                if same is not None and name in known and name not in again and same(folder, name, kind, known[name]):
                    entries[name] = known[name]
                    changed.discard(name)
                    continue
                changed.add(name)
                entries[name] = read(folder, name, kind)
            except NotFound:
                continue
            except OrlopError as error:
                self._failed(name, error)
        return self._area(frozenset(changed) if previous is not None else None)

    def some(self, previous: Area[T], names: set[str]) -> Area[T]:
        """Only some names; of all others it is known that nothing changed."""
        names |= {part.path.rpartition("/")[2] for part in previous.unreadable}
        self._entries = dict(previous.entries)
        self._debris = [found for found in previous.debris if found.path.rpartition("/")[2] not in names]
        for name in sorted(names):
            self._entries.pop(name, None)
            try:
                found = self._folder.stat(name)
                if self._how.wanted(name):
                    self._entries[name] = self._how.read(self._folder, name, found.kind)
                else:
                    self._debris.append(leftover(self._root, self._folder, name))
            except NotFound:
                continue
            except OrlopError as error:
                self._failed(name, error)
        self._debris.sort(key=lambda found: found.path)
        return self._area(frozenset(names))

    def _failed(self, name: str, error: OrlopError) -> None:
        self._unreadable.append(Unreadable(path=join(self._folder.path, name), why=error.why or error.what))

    def _area(self, changed: frozenset[str] | None) -> Area[T]:
        return Area(
            entries=self._entries,
            debris=tuple(self._debris),
            unreadable=tuple(self._unreadable),
            whole=True,
            changed=changed,
        )


def stamp(now: int, *files: os.stat_result | None) -> int:
    """A number for the version of some files: equal only if none was written to, replaced, made or removed.

    Args:
        now: when they were looked at, nanoseconds since 1970.
        files: as they were before their bytes were read; None: there was none.

    Returns:
        64 bits of a hash; 0, which is never equal to anything, where a file changed so short a time ago that
        one more change need not show.
    """
    packed = b""
    for found in files:
        if found is None:
            packed += b"-"
            continue
        changed = found.st_ctime_ns
        if changed > now - SETTLED:
            return 0
        packed += _TIMES.pack(found.st_dev, found.st_ino, found.st_mtime_ns, changed, found.st_size)
    return int.from_bytes(hashlib.blake2b(packed, digest_size=8).digest(), "big")


def leftover(root: Root, folder: Folder, name: str) -> Debris:
    """Describe a name that is no entry.

    Names of moby: ``.tmp-<name><digits>`` (pkg/ioutils, from 1.12), ``<name>.tmp`` (to 1.11),
    ``<chain>-<hex>-removing`` (layer/filestore.go, from 20.10), ``write-set-<digits>`` and
    ``layer-<digits>`` below layerdb/tmp.

    Raises:
        NotFound: it went away.
    """
    found = folder.stat(name)
    path = join(folder.path, name)
    return Debris(path=path, kind=leftover_kind(name), bytes=root.allocated(path), mtime=found.mtime)


def leftover_kind(name: str) -> str:
    """The word for a name that is no entry."""
    if name.startswith(".tmp-") or name.endswith(".tmp"):
        return "temporary file"
    if name.startswith(("write-set-", "layer-")):
        return "layer transaction"
    if name.endswith("-removing"):
        return "layer being removed"
    return "foreign"
