"""How bytes of a store are reached: below one directory descriptor, following no link.

This half reads. The half that writes is `orlop.fs.writer`, with `orlop.fs.trees` for the
content of layers; which modules may import it is a rule of the linter.

Paths are texts relative to the root with ``/`` between the parts; names that are
not UTF-8 are kept with surrogate escapes. Every part is opened by itself with
O_NOFOLLOW, so no symbolic link below the root is ever followed and nothing
outside it is opened. Files are opened with O_NONBLOCK and must be regular: a pipe
or a device answers with `WrongKind` instead of hanging.
"""

import errno
import os
import stat as stat_module
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO, Self

from orlop.errors import (
    AlreadyExists,
    Changed,
    Escapes,
    NoPermission,
    NoSpace,
    NotFound,
    OrlopError,
    ReadOnly,
    StorageFailure,
    TooLarge,
    WrongKind,
)

PARSE_LIMIT = 8 * 1024 * 1024
"""Bytes that are read into memory and parsed at most; larger files are only hashed."""

_DEEPEST = 1024
"""Levels of folders that are measured; a path that programs can use has not many more parts."""

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """What a name is, without following it."""

    kind: str
    """``file``, ``folder``, ``link``, ``fifo``, ``device``, ``socket``"""
    size: int
    """Bytes of content."""
    allocated: int
    """Bytes on disk."""
    mode: int
    """Permission bits, the twelve of them."""
    uid: int
    gid: int
    mtime: int
    """Nanoseconds."""
    ctime: int
    device: int
    inode: int
    links: int

    @property
    def version(self) -> tuple[int, int, int, int, int]:
        """Opaque; differs whenever the file is another one or was written to."""
        return (self.device, self.inode, self.mtime, self.ctime, self.size)


def kind_of(mode: int) -> str:
    """The word for a file type in a stat mode."""
    if stat_module.S_ISREG(mode):
        return "file"
    if stat_module.S_ISDIR(mode):
        return "folder"
    if stat_module.S_ISLNK(mode):
        return "link"
    if stat_module.S_ISFIFO(mode):
        return "fifo"
    if stat_module.S_ISSOCK(mode):
        return "socket"
    return "device"


def translate(error: OSError, what: str, path: str) -> OrlopError:
    """The one place that turns an answer of the file system into an error of Orlop."""
    match error.errno:
        case errno.ENOENT:
            return NotFound(what, path=path, why="no such file or folder")
        case errno.EACCES | errno.EPERM:
            return NoPermission(what, path=path)
        case errno.EROFS:
            return ReadOnly(what, path=path, why="the file system is mounted read-only", do="remount it for writing")
        case errno.ENOSPC | errno.EDQUOT:
            return NoSpace(
                what,
                path=path,
                why=os.strerror(error.errno),
                do="free some space on this file system: `orlop purge PATH` empties the quarantine",
            )
        case errno.ENOTDIR:
            return WrongKind("file", "folder", path=path)
        case errno.ELOOP:
            return WrongKind("link", "file", path=path)
        case errno.ENXIO:
            return WrongKind("socket", "file", path=path)
        case errno.EEXIST | errno.ENOTEMPTY:
            return AlreadyExists(what, path=path, why="something is there already")
        case errno.ENAMETOOLONG:
            return NotFound(what, path=path, why="no name can be that long here")
        case errno.EXDEV:
            return StorageFailure(what, path=path, why="it lies on another file system or mount", errno=errno.EXDEV)
        case errno.EBUSY:
            return StorageFailure(
                what, path=path, why="it is in use, or something is mounted there", errno=errno.EBUSY, do="unmount it"
            )
        case errno.EMFILE | errno.ENFILE:
            why = os.strerror(error.errno)
            return StorageFailure(what, path=path, why=why, errno=error.errno, do="raise the limit with `ulimit -n`")
        case _:
            why = os.strerror(error.errno) if error.errno else str(error)
            return StorageFailure(what, path=path, why=why, errno=error.errno or 0)


def split(path: str) -> list[str]:
    """The parts of a relative path; the empty path and ``.`` have none.

    Raises:
        Escapes: absolute, with an empty or ``..`` part, or with a NUL.
    """
    if path in ("", "."):
        return []
    parts = path.split("/")
    for part in parts:
        if part in ("", ".", "..") or "\0" in part:
            raise Escapes(path)
    return parts


def join(*parts: str) -> str:
    """A path of the store from its parts, the empty ones left out."""
    return "/".join(part for part in parts if part and part != ".")


class Folder:
    """One open folder; its names are reached by a single step, without walking the path again."""

    __slots__ = ("_fd", "path")

    def __init__(self, fd: int, path: str) -> None:
        self._fd = fd
        self.path = path
        """Relative to the root; empty for the root itself."""

    @property
    def fd(self) -> int:
        """The descriptor; it belongs to this object."""
        return self._fd

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _at(self, name: str) -> str:
        return f"{self.path}/{name}" if self.path else name

    def folder(self, name: str) -> "Folder":
        """Open a folder in this one.

        Raises:
            NotFound, WrongKind, NoPermission, StorageFailure, Escapes
        """
        _single(name)
        try:
            return Folder(os.open(name, _FOLDER_FLAGS, dir_fd=self._fd), self._at(name))
        except OSError as error:
            raise self._wrong(error, name, "folder") from error

    def names(self) -> list[str]:
        """The names in it, sorted by their bytes.

        Raises:
            NoPermission, StorageFailure
        """
        try:
            return sorted(os.listdir(self._fd), key=os.fsencode)
        except OSError as error:
            raise translate(error, "the folder cannot be listed", self.path or ".") from error

    def kinds(self) -> list[tuple[str, str]]:
        """Names with what each is (as in `Stat.kind`), sorted by the names' bytes.

        Raises:
            NoPermission, StorageFailure
        """
        try:
            with os.scandir(self._fd) as entries:
                found = [(entry.name, _entry_kind(entry)) for entry in entries]
        except OSError as error:
            raise translate(error, "the folder cannot be listed", self.path or ".") from error
        found.sort(key=lambda item: os.fsencode(item[0]))
        return found

    def stat(self, name: str) -> Stat:
        """What a name is; a link is not followed.

        Raises:
            NotFound, NoPermission, StorageFailure, Escapes
        """
        _single(name)
        try:
            return _stat(os.stat(name, dir_fd=self._fd, follow_symlinks=False))
        except OSError as error:
            raise translate(error, "it cannot be looked at", self._at(name)) from error

    def read(self, name: str, limit: int = PARSE_LIMIT) -> bytes:
        """All bytes of a regular file.

        Raises:
            NotFound, WrongKind, NoPermission, StorageFailure, Escapes
            TooLarge: it holds more than `limit` bytes.
        """
        fd, size = self._open(name)
        try:
            if size > limit:
                raise TooLarge(size, limit, path=self._at(name))
            data = os.read(fd, size + 1)
            if len(data) <= size and (len(data) == size or not data):
                return data
            return self._read_on(fd, name, data, limit)
        except OSError as error:
            raise translate(error, "it cannot be read", self._at(name)) from error
        finally:
            os.close(fd)

    def read_listed(self, name: str, limit: int = PARSE_LIMIT) -> tuple[bytes, os.stat_result]:
        """As `read`, of a name that a listing gave as a file just now, with what the file was before it was read.

        It is opened without being looked at once more: one question less to the system for each of very many.

        Raises:
            As `read`.
        """
        _single(name)
        try:
            fd = os.open(name, _FILE_FLAGS, dir_fd=self._fd)
        except OSError as error:
            raise self._wrong(error, name, "file") from error
        try:
            found = os.fstat(fd)
            size = found.st_size
            if not stat_module.S_ISREG(found.st_mode):
                raise WrongKind(kind_of(found.st_mode), "file", path=self._at(name))
            if size > limit:
                raise TooLarge(size, limit, path=self._at(name))
            data = os.read(fd, size + 1)
            if len(data) != size:
                data = self._read_on(fd, name, data, limit)
            return data, found
        except OSError as error:
            raise translate(error, "it cannot be read", self._at(name)) from error
        finally:
            os.close(fd)

    def stat_listed(self, name: str) -> os.stat_result | None:
        """What a name is, as the system says it; None where there is none, or it may not be looked at."""
        _single(name)
        try:
            return os.stat(name, dir_fd=self._fd, follow_symlinks=False)
        except OSError:
            return None

    def stat_inside(self, folder: str, name: str) -> os.stat_result | None:
        """As `stat_listed`, of a name in a folder in this one that a listing gave as a folder just now.

        Should that be a link by now, what is looked at lies elsewhere: good only to be compared with what was known.
        """
        _single(folder)
        _single(name)
        try:
            return os.stat(f"{folder}/{name}", dir_fd=self._fd, follow_symlinks=False)
        except OSError:
            return None

    def _read_on(self, fd: int, name: str, data: bytes, limit: int) -> bytes:
        """Go on where one read did not give the whole file: it grows, or the system gives less at a time."""
        parts = [data]
        total = len(data)
        while more := os.read(fd, 1 << 20):
            parts.append(more)
            total += len(more)
            if total > limit:
                raise TooLarge(total, limit, path=self._at(name))
        return b"".join(parts)

    def stream(self, name: str) -> BinaryIO:
        """A regular file, opened for reading.

        Raises:
            NotFound, WrongKind, NoPermission, StorageFailure, Escapes
        """
        fd, _ = self._open(name)
        return os.fdopen(fd, "rb")

    def descriptor(self, name: str) -> tuple[int, int]:
        """A regular file, opened for reading without a buffer: its descriptor, which the caller closes, and its size.

        Raises:
            NotFound, WrongKind, NoPermission, StorageFailure, Escapes
        """
        return self._open(name)

    def link_target(self, name: str) -> str:
        """The text of a symbolic link.

        Raises:
            NotFound, NoPermission, StorageFailure, Escapes
            WrongKind: it is no link.
        """
        _single(name)
        try:
            return os.readlink(name, dir_fd=self._fd)
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise WrongKind(self.stat(name).kind, "link", path=self._at(name)) from error
            raise translate(error, "the link cannot be read", self._at(name)) from error

    def _open(self, name: str) -> tuple[int, int]:
        """A descriptor of a regular file, and its size in bytes."""
        _single(name)
        try:
            mode = os.stat(name, dir_fd=self._fd, follow_symlinks=False).st_mode
            if not stat_module.S_ISREG(mode):  # looked at first: opening a device may already do something
                raise WrongKind(kind_of(mode), "file", path=self._at(name))
            fd = os.open(name, _FILE_FLAGS, dir_fd=self._fd)
        except OSError as error:
            raise self._wrong(error, name, "file") from error
        found = os.fstat(fd)
        if not stat_module.S_ISREG(found.st_mode):
            os.close(fd)
            raise WrongKind(kind_of(found.st_mode), "file", path=self._at(name))
        return fd, found.st_size

    def _wrong(self, error: OSError, name: str, wanted: str) -> OrlopError:
        """The error for an open that failed; what stands there is named where it is of the wrong kind."""
        if error.errno in (errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
            try:
                found = kind_of(os.stat(name, dir_fd=self._fd, follow_symlinks=False).st_mode)
            except OSError as gone:
                return translate(gone, "it cannot be looked at", self._at(name))
            return WrongKind(found, wanted, path=self._at(name))
        return translate(error, "it cannot be opened", self._at(name))


class Root:
    """The root folder of a store; every path is relative to it.

    The root itself may be reached through links; nothing below it is.
    """

    def __init__(self, fd: int, path: str) -> None:
        self._top = Folder(fd, "")
        self.path = path
        """Absolute, links resolved; for people and for the kernel's watches."""

    @classmethod
    def open(cls, path: str) -> "Root":
        """Open a folder as a root.

        Raises:
            NotFound, WrongKind, NoPermission, StorageFailure
        """
        try:
            real = os.path.realpath(path, strict=True)
            return cls(os.open(real, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), real)
        except OSError as error:
            raise translate(error, "the store cannot be opened", path) from error

    @property
    def fd(self) -> int:
        """The root's descriptor; it belongs to this object."""
        return self._top.fd

    def close(self) -> None:
        self._top.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def folder(self, path: str) -> Folder:
        """Open a folder below the root; the caller closes it.

        Raises:
            NotFound, WrongKind, NoPermission, StorageFailure, Escapes
        """
        here = self._fresh()
        for part in split(path):
            with here:
                here = here.folder(part)
        return here

    def _fresh(self) -> Folder:
        """The root opened once more: a duplicated descriptor would share its place in the listing."""
        try:
            return Folder(os.open(".", _FOLDER_FLAGS, dir_fd=self._top.fd), "")
        except OSError as error:
            raise translate(error, "the root cannot be opened", self.path) from error

    def _parent(self, path: str) -> tuple[Folder, str]:
        parts = split(path)
        if not parts:
            raise Escapes(path, "the root itself is no name in a folder")
        return self.folder("/".join(parts[:-1])), parts[-1]

    def read(self, path: str, limit: int = PARSE_LIMIT) -> bytes:
        """As `Folder.read`."""
        folder, name = self._parent(path)
        with folder:
            return folder.read(name, limit)

    def stat(self, path: str) -> Stat:
        """As `Folder.stat`; the empty path is the root."""
        if not split(path):
            return _stat(os.fstat(self._top.fd))
        folder, name = self._parent(path)
        with folder:
            return folder.stat(name)

    def exists(self, path: str) -> bool:
        """Whether anything is there; a link counts by itself.

        Raises:
            NoPermission, StorageFailure, Escapes
        """
        try:
            self.stat(path)
        except (NotFound, WrongKind):
            return False
        return True

    def names(self, path: str) -> list[str]:
        """As `Folder.names`, and as `folder` where it cannot be opened."""
        with self.folder(path) as folder:
            return folder.names()

    def kinds(self, path: str) -> list[tuple[str, str]]:
        """As `Folder.kinds`, and as `folder` where it cannot be opened."""
        with self.folder(path) as folder:
            return folder.kinds()

    def stream(self, path: str) -> BinaryIO:
        """As `Folder.stream`."""
        folder, name = self._parent(path)
        with folder:
            return folder.stream(name)

    def link_target(self, path: str) -> str:
        """As `Folder.link_target`."""
        folder, name = self._parent(path)
        with folder:
            return folder.link_target(name)

    def allocated(self, path: str) -> int:
        """Bytes on disk of a file or a whole tree; a file with several links counts once.

        Parts that cannot be read count as nothing. Other file systems mounted
        inside the tree are left out.

        Raises:
            NotFound, NoPermission, StorageFailure, Escapes
        """
        top = self.stat(path)
        if top.kind != "folder":
            return top.allocated
        seen: set[int] = set()
        total = top.allocated
        for found in self._walk(path):
            if found.device != top.device or (found.links > 1 and found.kind != "folder" and found.inode in seen):
                continue
            seen.add(found.inode)
            total += found.allocated
        return total

    def content_size(self, path: str) -> int:
        """Bytes of content in a tree: files, links' texts and the rest, folders left out; a file counts once.

        Raises:
            NotFound, NoPermission, StorageFailure, Escapes
        """
        self.stat(path)
        sizes = {(found.device, found.inode): found.size for found in self._walk(path) if found.kind != "folder"}
        return sum(sizes.values())

    def _walk(self, path: str) -> Iterator[Stat]:
        """Everything below a folder, on its own file system, `_DEEPEST` levels down."""
        device = self.stat(path).device
        pending = [(path, 0)]
        while pending:
            here, depth = pending.pop()
            try:
                with self.folder(here) as folder:
                    for name in folder.names():
                        found = folder.stat(name)
                        yield found
                        if found.kind == "folder" and found.device == device and depth < _DEEPEST:
                            pending.append((join(here, name), depth + 1))
            except (NotFound, NoPermission, WrongKind):
                continue


def changed_meanwhile(path: str) -> Changed:
    """The error for a thing that is no longer what a plan saw."""
    return Changed(
        "the store changed since the plan was made", path=path, why="another program wrote to it", do="plan again"
    )


def _single(name: str) -> None:
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise Escapes(name)


def _entry_kind(entry: "os.DirEntry[str]") -> str:
    if entry.is_symlink():
        return "link"
    if entry.is_file(follow_symlinks=False):
        return "file"
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    return kind_of(entry.stat(follow_symlinks=False).st_mode)


def _stat(found: os.stat_result) -> Stat:
    return Stat(
        kind=kind_of(found.st_mode),
        size=found.st_size,
        allocated=found.st_blocks * 512,
        mode=stat_module.S_IMODE(found.st_mode),
        uid=found.st_uid,
        gid=found.st_gid,
        mtime=found.st_mtime_ns,
        ctime=found.st_ctime_ns,
        device=found.st_dev,
        inode=found.st_ino,
        links=found.st_nlink,
    )
