"""The bytes below a store's root: every inode once, each counted for whoever claims its place.

As ``du --block-size=1 -s -x`` (GNU coreutils 9): allocated blocks of 512 bytes, folders
too, a file with several links once, no link followed, no other file system entered.
Nothing is opened but folders.
"""

import errno
import os
import stat
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import nsmallest
from typing import Generic, TypeAlias, TypeVar

from orlop.errors import OrlopError
from orlop.fs import Root, join, split, translate
from orlop.progress import Progress
from orlop.space import ImageSpace, Part, Space, Use

A = TypeVar("A", bound=Hashable)

_BLOCK = 512
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_KEPT_OPEN = 48
"""Levels of folders that stay open while those below them are looked at; deeper ones are opened again."""
_DEEPEST = 4096
"""Levels that are looked at."""
_STEP = 2000
"""Files between two reports of progress."""
_DIGESTS = ("sha256:", "sha384:", "sha512:", "sha512-")
_SHOWN = 3
"""Names of who needs something."""
_NAMED = 8
"""Folders of one fault that are named one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tie(Generic[A]):
    """Files with several hard links that are not all in the place of one account."""

    accounts: frozenset[A]
    bytes: int
    whole: bool
    """Whether these accounts have all their links, so that without them the bytes are free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage(Generic[A]):
    """What was counted."""

    total: int
    """Bytes."""
    files: int
    """Names that were looked at, folders included."""
    counted: Mapping[A, int]
    """Bytes of each account; what hard links tie to several is the first one's, in the order of the claims."""
    alone: Mapping[A, int]
    """The same without anything that a hard link ties to another account, or to a place outside."""
    ties: Mapping[A, tuple[Tie[A], ...]]
    """By each account that has a part in them."""
    unreadable: tuple[tuple[str, str], ...]
    """Folders that cannot be looked into → why; what they hold is not counted."""
    mounts: tuple[str, ...]
    """What is of another file system, and so not counted."""
    gone: int
    """Names that went away while they were looked at."""
    closed: frozenset[str] = frozenset()
    """What nothing was counted of."""
    partly: frozenset[str] = frozenset()
    """Folders in which, at any depth, there is something that could not be read."""

    def is_whole(self, path: str) -> bool:
        """Whether everything of a path was counted: it is in no other file system, and all of it could be read."""
        if path in self.partly:
            return False
        while path and self.closed:
            if path in self.closed:
                return False
            path = path.rpartition("/")[0]
        return True

    def of(self, account: A) -> int:
        """Bytes that are counted for an account."""
        return self.counted.get(account, 0)

    def takes(self, accounts: Collection[A]) -> int:
        """Bytes of some accounts together, a file that several have once."""
        alone = sum(map(self.alone.__getitem__, filter(self.alone.__contains__, accounts)))
        return alone + sum(tie.bytes for tie in self._tied(accounts)) if self.ties else alone

    def freed(self, accounts: Collection[A]) -> int:
        """Bytes that are free once everything of some accounts is removed."""
        alone = sum(self.alone.get(account, 0) for account in accounts)
        return alone + sum(
            tie.bytes for tie in self._tied(accounts) if tie.whole and tie.accounts <= frozenset(accounts)
        )

    def _tied(self, accounts: Collection[A]) -> Iterator[Tie[A]]:
        if not self.ties:
            return
        seen: set[int] = set()
        for account in accounts:
            for tie in self.ties.get(account, ()):
                if id(tie) not in seen:
                    seen.add(id(tie))
                    yield tie


def measure(root: Root, claims: Mapping[str, A], *, rest: A, progress: Progress) -> Usage[A]:
    """Count every inode below a root, for the account that claims the nearest folder above it, or itself.

    Args:
        root: where to begin.
        claims: path relative to the root → account; an account may claim many.
        rest: the account of what nobody claims.
        progress: told of the names that were looked at, now and then.

    Raises:
        Cancelled: `progress` stopped it.
        StorageFailure, NoPermission: the root itself cannot be listed.
    """
    accounts: dict[A, int] = {}
    top = _Place()
    for path, account in claims.items():
        _claim(top, split(path), accounts.setdefault(account, len(accounts)))
    last = accounts.setdefault(rest, len(accounts))
    walk = _Walk(root, len(accounts), progress)
    walk.run(top, last)
    return _usage(walk, list(accounts))


# --- claims --------------------------------------------------------------------


class _Place:
    """A folder or file that is claimed, or has claims below it."""

    __slots__ = ("account", "below")

    def __init__(self) -> None:
        self.account = -1
        self.below: dict[str, _Place] | None = None


def _claim(top: _Place, parts: Iterable[str], account: int) -> None:
    here = top
    for part in parts:
        if here.below is None:
            here.below = {}
        found = here.below.get(part)
        if found is None:
            found = here.below[part] = _Place()
        here = found
    here.account = account


# --- the walk ------------------------------------------------------------------

_Inner: TypeAlias = tuple[str, int, "dict[str, _Place] | None"]
"""A folder that is to be looked into: its name, its account, what is claimed below it."""


@dataclass(slots=True)
class _Level:
    """One folder on the way down."""

    name: str
    fd: int
    """-1 where it was closed, for there are too many."""
    waiting: list[_Inner]


class _Walk:
    """One walk over a tree: depth first, each folder opened from the one above it."""

    def __init__(self, root: Root, accounts: int, progress: Progress) -> None:
        self._root = root
        self._progress = progress
        self._told = 0
        self._levels: list[_Level] = []
        self._here = ""
        """The folder that is being looked into, below the last of the levels."""
        self.device = os.fstat(root.fd).st_dev
        self.blocks = [0] * accounts
        self.files = 0
        self.gone = 0
        self.linked: dict[int, list[int]] = {}
        """Inode of a file with several links → its blocks, its links, links seen, and the accounts that have one."""
        self.unreadable: list[tuple[str, str]] = []
        self.mounts: list[str] = []

    def run(self, top: _Place, account: int) -> None:
        own = top.account if top.account >= 0 else account
        levels = self._levels
        with self._root.folder("") as folder:
            self.blocks[own] += os.fstat(folder.fd).st_blocks
            self.files += 1
            levels.append(_Level("", folder.fd, self._look(folder.fd, own, top.below)))
            try:
                while levels:
                    level = levels[-1]
                    if level.waiting:
                        self._enter(level, *level.waiting.pop())
                    else:
                        self._leave(levels.pop())
            finally:
                while levels:
                    self._leave(levels.pop())

    def _leave(self, level: _Level) -> None:
        if level.fd >= 0 and level.name:  # the root's belongs to its folder
            os.close(level.fd)

    def _enter(self, above: _Level, name: str, account: int, below: "dict[str, _Place] | None") -> None:
        levels = self._levels
        self._here = name
        if len(levels) > _DEEPEST:
            self.unreadable.append((self._path(), f"it lies deeper than {_DEEPEST} folders"))
            return
        try:
            fd = os.open(name, _FOLDER_FLAGS, dir_fd=above.fd) if above.fd >= 0 else self._reopen(name)
        except OSError as error:
            self._failed(error)
            return
        waiting: list[_Inner] = []
        try:
            waiting = self._look(fd, account, below)
        finally:
            if not waiting or len(levels) >= _KEPT_OPEN:
                os.close(fd)
                fd = -1
        if waiting:
            levels.append(_Level(name, fd, waiting))
        if self.files - self._told >= _STEP:
            self._told = self.files
            self._progress.step("files", self.files, 0)

    def _reopen(self, name: str) -> int:
        """A folder below one that was closed, opened step by step from the deepest one that is open."""
        levels = self._levels
        at = max(index for index, level in enumerate(levels) if level.fd >= 0)
        fd = levels[at].fd
        for part in (*(level.name for level in levels[at + 1 :]), name):
            try:
                inner = os.open(part, _FOLDER_FLAGS, dir_fd=fd)
            finally:
                if fd != levels[at].fd:
                    os.close(fd)
            fd = inner
        return fd

    def _look(self, fd: int, account: int, claimed: "dict[str, _Place] | None") -> list[_Inner]:
        """Count what is in a folder; the folders in it are given back."""
        waiting: list[_Inner] = []
        device, linked = self.device, self.linked
        blocks = names = 0
        try:
            with os.scandir(fd) as entries:
                for entry in entries:
                    try:
                        found = entry.stat(follow_symlinks=False)
                    except OSError as error:
                        self._failed(error, entry.name)
                        continue
                    if found.st_dev != device:
                        self.mounts.append(self._path(entry.name))
                        continue
                    names += 1
                    own, below = account, None
                    if claimed is not None and (place := claimed.get(entry.name)) is not None:
                        below = place.below
                        if place.account >= 0:
                            own = place.account
                    if stat.S_ISDIR(found.st_mode):
                        waiting.append((entry.name, own, below))
                    elif found.st_nlink > 1:
                        _tie(linked, found, own)
                        continue
                    if own == account:
                        blocks += found.st_blocks
                    else:
                        self.blocks[own] += found.st_blocks
        except OSError as error:
            self._failed(error)
        self.blocks[account] += blocks
        self.files += names
        return waiting

    def _path(self, name: str = "") -> str:
        """Where the folder is that is being looked into, or a name in it."""
        return join(*(level.name for level in self._levels), self._here, name)

    def _failed(self, error: OSError, name: str = "") -> None:
        """Note what cannot be looked at; of names in one folder the first is enough."""
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            self.gone += 1
            return
        where = self._path()
        why = translate(error, "it cannot be looked at", where)
        if not self.unreadable or self.unreadable[-1][0] != where:
            self.unreadable.append((where or ".", why.why or why.what))


def _tie(linked: dict[int, list[int]], found: os.stat_result, account: int) -> None:
    """Note one link of a file that has several."""
    known = linked.get(found.st_ino)
    if known is None:
        linked[found.st_ino] = [found.st_blocks, found.st_nlink, 1, account]
        return
    known[2] += 1
    if account not in known[3:]:
        known.append(account)


def _usage(walk: _Walk, accounts: list[A]) -> Usage[A]:
    """What a walk found, with the files that have several links shared out."""
    counted = list(walk.blocks)
    alone = list(walk.blocks)
    tied: dict[tuple[frozenset[int], bool], int] = {}
    for blocks, links, seen, *owners in walk.linked.values():
        counted[min(owners)] += blocks
        whole = seen >= links
        if whole and len(owners) == 1:
            alone[owners[0]] += blocks
        else:
            key = (frozenset(owners), whole)
            tied[key] = tied.get(key, 0) + blocks
    ties: dict[A, list[Tie[A]]] = {}
    for (owners_of, whole), blocks in tied.items():
        tie = Tie(accounts=frozenset(accounts[owner] for owner in owners_of), bytes=blocks * _BLOCK, whole=whole)
        for owner in owners_of:
            ties.setdefault(accounts[owner], []).append(tie)
    return Usage(
        total=sum(counted) * _BLOCK,
        files=walk.files,
        counted={account: counted[index] * _BLOCK for index, account in enumerate(accounts)},
        alone={account: alone[index] * _BLOCK for index, account in enumerate(accounts)},
        ties={account: tuple(found) for account, found in ties.items()},
        unreadable=tuple(walk.unreadable),
        mounts=tuple(walk.mounts),
        gone=walk.gone,
        closed=frozenset((*walk.mounts, *(path for path, _ in walk.unreadable))),
        partly=frozenset(above for path, _ in walk.unreadable for above in _above(path)),
    )


def _above(path: str) -> Iterator[str]:
    """The folders that a path is in."""
    while path := path.rpartition("/")[0]:
        yield path


# --- what it makes -------------------------------------------------------------


def names_in(root: Root, path: str) -> list[str]:
    """What is in a folder, for claims on each; nothing where it cannot be listed, which `measure` then tells."""
    try:
        return root.names(path)
    except OrlopError:
        return []


def group(title: str, use: Use, parts: Iterable[Part], *, path: str = "", remark: str = "") -> Part:
    """A part that is the sum of its own, the largest first; those without a byte are left out."""
    inner = tuple(sorted((part for part in parts if part.bytes), key=lambda part: (-part.bytes, part.title)))
    return Part(title=title, use=use, bytes=sum(part.bytes for part in inner), path=path, remark=remark, parts=inner)


def space_of(root: Root, usage: Usage[A], parts: Iterable[Part], images: Iterable[ImageSpace]) -> Space:
    """A store's bytes; parts without a byte are left out.

    Raises:
        StorageFailure, NoPermission: the file system cannot be asked.
    """
    try:
        found = os.fstatvfs(root.fd)
    except OSError as error:
        raise translate(error, "the file system cannot be asked for its free space", root.path) from error
    return Space(
        disk=usage.total,
        parts=tuple(sorted((part for part in parts if part.bytes), key=lambda part: (-part.bytes, part.title))),
        images=tuple(sorted(images, key=lambda image: (-(image.own or 0), image.names or ("\uffff",), image.key[:2]))),
        free=found.f_bavail * found.f_frsize,
        capacity=found.f_blocks * found.f_frsize,
        differences=tuple(_differences(usage)),
        unreadable=tuple(path for path, _ in usage.unreadable),
    )


def _differences(usage: Usage[A]) -> Iterator[str]:
    """Why this is not all that the folder holds."""
    for path, why in usage.unreadable[:_NAMED]:
        yield f"what is in {path} is not counted: {why}"
    if len(usage.unreadable) > _NAMED:
        yield f"nor is what is in {len(usage.unreadable) - _NAMED} more folders, for the like"
    for path in usage.mounts[:_NAMED]:
        yield f"{path} is of another file system, and not counted"
    if len(usage.mounts) > _NAMED:
        yield f"nor are {len(usage.mounts) - _NAMED} more that are of other file systems"
    if usage.gone:
        names = "1 name" if usage.gone == 1 else f"{usage.gone} names"
        yield f"{names} went away while this was measured"


def needed_by(noun: str, names: Collection[str]) -> str:
    """``needed by 3 images: app:v1, app:v2, …``, names before digests; empty for none."""
    if not names:
        return ""
    first = nsmallest(_SHOWN, names, key=lambda name: (name.startswith(_DIGESTS), name))
    shown = ", ".join(first) + (", …" if len(names) > _SHOWN else "")
    return f"needed by {noun} {shown}" if len(names) == 1 else f"needed by {len(names)} {noun}s: {shown}"
