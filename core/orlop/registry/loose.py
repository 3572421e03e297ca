"""What a reader meets beside what it looks for, and the few calls that every part of the reading makes."""

import os
import re
from dataclasses import dataclass, field
from sys import intern
from typing import TypeAlias

from orlop.digest import ALGORITHMS
from orlop.errors import NotFound, OrlopError, TooLarge, WrongKind
from orlop.fs import Folder, Root, kind_of, translate
from orlop.registry.model import Foreign, State, Unreadable

Stamp: TypeAlias = tuple[int, int, int, int, int]
"""Device, inode, modification and change time in nanoseconds, size: differs when something was done to it."""

HOT = 50_000_000
"""Nanoseconds that a file must be older than the look at it: file times come from the kernel's coarse clock."""

_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_HEX = {name: re.compile(f"[0-9a-f]{{{digits}}}", re.ASCII) for name, digits in ALGORITHMS.items()}
_TEMPORARY = re.compile(r"(link|data|startedat|scheduler-state\.json)\..*\.tmp|\.tmp-.*", re.DOTALL)


@dataclass(slots=True)
class Loose:
    """Collects what is no part of the layout, and what could not be read."""

    root: Root
    foreign: list[Foreign] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)

    def stray(self, folder: Folder, name: str, where: str) -> None:
        """Note a name that the layout does not have; what a cut write leaves is told apart."""
        path = f"{folder.path}/{name}" if folder.path else name
        try:
            found = folder.stat(name)
            size = found.allocated if found.kind != "folder" else self.root.allocated(path)
        except NotFound:
            return  # it went away
        except OrlopError as error:
            self.unread(path, error)
            return
        if found.kind == "file" and is_temporary(name):
            where = "temporary"
        self.foreign.append(Foreign(path=path, kind=found.kind, where=where, bytes=size, mtime=found.mtime))

    def unread(self, path: str, error: OrlopError) -> None:
        """Note a part that cannot be read."""
        self.unreadable.append(Unreadable(path=path, why=error.why or error.what))

    def folder(self, parent: Folder, name: str) -> Folder | None:
        """Open a folder that the caller closes; None where it went away or cannot be read, which is noted."""
        try:
            return parent.folder(name)
        except NotFound:
            return None
        except OrlopError as error:
            self.unread(f"{parent.path}/{name}", error)
            return None

    def listing(self, folder: Folder) -> "tuple[list[str], list[str], list[str]]":
        """Names of the folders, of the files, and of all else in a folder; none where it cannot be listed."""
        try:
            return listing(folder.fd)
        except OSError as error:
            self.unread(folder.path, translate(error, "the folder cannot be listed", folder.path))
            return [], [], []

    def kinds(self, folder: Folder) -> list[tuple[str, str]]:
        """Names and kinds in a folder; none where it cannot be listed, which is noted."""
        try:
            return folder.kinds()
        except OrlopError as error:
            self.unread(folder.path, error)
            return []


def listing(fd: int) -> tuple[list[str], list[str], list[str]]:
    """Names of the folders, of the regular files, and of all else in an open folder, each sorted.

    Raises:
        OSError
    """
    folders: list[str] = []
    files: list[str] = []
    others: list[str] = []
    with os.scandir(fd) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            elif entry.is_file(follow_symlinks=False):
                files.append(entry.name)
            else:
                others.append(entry.name)
    folders.sort()
    files.sort()
    others.sort()
    return folders, files, others


def is_temporary(name: str) -> bool:
    """Whether a cut write leaves such a file: distribution 3.1 ``link.<uuid>.tmp``, Orlop ``.tmp-…``."""
    return _TEMPORARY.fullmatch(name) is not None


def is_hex(algorithm: str, name: str) -> bool:
    """Whether a folder's name is a digest's hex of this algorithm."""
    pattern = _HEX.get(algorithm)
    return pattern is not None and pattern.fullmatch(name) is not None


def stamp_of(found: os.stat_result) -> Stamp:
    """What tells that something was done to a file or folder."""
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)


def settled(stamp: Stamp, now: int) -> Stamp | None:
    """A stamp that proves something later; None where a change in the same tick of the clock would not show."""
    return None if now - max(stamp[2], stamp[3]) < HOT else stamp


def folder_stamp(folder: Folder, now: int) -> Stamp | None:
    """The stamp of an open folder, to be taken before it is listed."""
    try:
        return settled(stamp_of(os.fstat(folder.fd)), now)
    except OSError:
        return None  # it is then looked at again each time


def stamp_at(root: Root, path: str) -> Stamp | None:
    """The stamp of what is at a path, for nothing but comparing it; None where nothing can be seen there."""
    try:
        return stamp_of(os.stat(path or ".", dir_fd=root.fd, follow_symlinks=False))
    except (OSError, ValueError):
        return None


def read_file(folder: Folder, name: str, limit: int) -> tuple[bytes, os.stat_result]:
    """All bytes of a small regular file of an open folder, and what it was when it was opened.

    For names that a listing gave as regular files: a device is never opened.

    Raises:
        NotFound, WrongKind, NoPermission, StorageFailure
        TooLarge: it holds more than `limit` bytes.
    """
    try:
        fd = os.open(name, _FILE_FLAGS, dir_fd=folder.fd)
    except OSError as error:
        raise translate(error, "it cannot be opened", f"{folder.path}/{name}") from error
    try:
        found = os.fstat(fd)
        size = found.st_size
        if found.st_mode & 0o170000 != 0o100000:
            raise WrongKind(kind_of(found.st_mode), "file", path=f"{folder.path}/{name}")
        if size > limit:
            raise TooLarge(size, limit, path=f"{folder.path}/{name}")
        data = os.read(fd, size + 1)
        while 0 < len(data) < size and (more := os.read(fd, size - len(data))):
            data += more
        return data[:size], found
    except OSError as error:
        raise translate(error, "it cannot be read", f"{folder.path}/{name}") from error
    finally:
        os.close(fd)


def state_of(error: OrlopError) -> tuple[State, str]:
    """The state and the clause for a file that could not be read."""
    if isinstance(error, NotFound):
        return State.MISSING, "there is no such file"
    if isinstance(error, TooLarge):
        return State.TOO_LARGE, error.why
    if isinstance(error, WrongKind):
        return State.WRONG_KIND, f"a {error.found} is in its place"
    return State.UNREADABLE, error.why or error.what


def digest_text(algorithm: str, hexadecimal: str) -> str:
    """A digest's text, one object for each."""
    return intern(f"{algorithm}:{hexadecimal}")
