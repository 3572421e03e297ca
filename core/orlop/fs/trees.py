"""Whole trees of files, made below one folder: what the archive of a layer is unpacked into.

Like `orlop.fs.writer` this half writes, and few modules import it. Every part of a
path is opened by itself and no link is followed, so no name leads out of the tree.
Nothing here is synced file by file: a tree is made under a name that nothing refers
to yet, and `sync` brings all of it to disk before something does.
"""

import contextlib
import errno
import functools
import os
import stat as stat_module
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from orlop.errors import Escapes, WrongKind
from orlop.fs import Folder, Root, Stat, join, split, translate
from orlop.fs.writer import Writer

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 20
_NO_ATTRIBUTES = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
_WHITEOUT = stat_module.S_IFCHR  # with device number 0:0, as overlayfs marks a deleted name


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """What a file has besides its content."""

    mode: int = 0o755
    """Permission bits, the twelve of them."""
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    """Nanoseconds since 1970."""
    atime: int = 0
    attributes: Mapping[str, bytes] = field(default_factory=dict)
    """Extended attributes."""


class Tree:
    """A tree that is being made, below a folder that exists; close it when it is done.

    Every method raises, besides what it names: Escapes (the path leads through a
    link, or out), WrongKind (through a file), NoPermission, NoSpace, StorageFailure.
    """

    def __init__(self, root: Root, path: str) -> None:
        self._root = root
        self.path = path
        """Of the tree's folder, relative to the root."""
        self._last: tuple[str, Folder] | None = None  # the folder of the member before: the next is mostly beside it

    def close(self) -> None:
        self._forget()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def stat(self, path: str) -> Stat | None:
        """What is at a path of the tree; None for nothing."""
        with self._told(path), self._parent(path) as (folder, name):
            try:
                os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
            except FileNotFoundError:
                return None
            return folder.stat(name)

    def names(self, path: str) -> list[str]:
        """The names in a folder of the tree."""
        with self._told(path):
            return self._root.names(join(self.path, path))

    # --- making ------------------------------------------------------------

    def make_folders(self, path: str) -> None:
        """Make a folder and those above it, where they are missing: 0755, of this user."""
        parts = split(path)
        with self._told(path), contextlib.ExitStack() as stack:
            here = stack.enter_context(self._root.folder(self.path))
            for part in parts:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o755, dir_fd=here.fd)
                here = stack.enter_context(here.folder(part))

    def make_folder(self, path: str, looks: Looks) -> None:
        """Make a folder, or give one that is there these looks; its times need `date` once all is in it."""
        with self._told(path), self._parent(path, itself=True) as (folder, name):
            if name:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=folder.fd)
                with folder.folder(name) as made:
                    _dress(made.fd, looks)
            else:
                _dress(folder.fd, looks)

    def make_file(self, path: str, content: Iterator[bytes], looks: Looks) -> None:
        """Write a new file."""
        with self._told(path), self._parent(path) as (folder, name):
            fd = os.open(name, _CREATE, 0o600, dir_fd=folder.fd)
            try:
                for piece in content:
                    _write_all(fd, piece)
                _dress(fd, looks)
                os.utime(fd, ns=(looks.atime, looks.mtime))
            finally:
                os.close(fd)

    def make_link(self, path: str, target: str, looks: Looks) -> None:
        """Make a symbolic link; its target is a text and is not looked at."""
        with self._told(path), self._parent(path) as (folder, name):
            os.symlink(target, name, dir_fd=folder.fd)
            _dress_name(folder, name, looks)

    def make_hard_link(self, path: str, target: str) -> None:
        """Give a file of the tree a second name.

        Raises:
            NotFound: the target is not in the tree.
            WrongKind: it is a folder.
        """
        above, _, old = target.rpartition("/")
        split(target)
        with (
            self._told(target),
            self._root.folder(join(self.path, above)) as source,
            self._parent(path) as (folder, name),
        ):
            if source.stat(old).kind == "folder":
                raise WrongKind("folder", "file", path=target)
            os.link(old, name, src_dir_fd=source.fd, dst_dir_fd=folder.fd, follow_symlinks=False)

    def make_pipe(self, path: str, looks: Looks) -> None:
        """Make a named pipe."""
        with self._told(path), self._parent(path) as (folder, name):
            os.mkfifo(name, 0o600, dir_fd=folder.fd)
            os.chmod(name, looks.mode, dir_fd=folder.fd)
            _dress_name(folder, name, looks)

    def make_whiteout(self, path: str, looks: Looks) -> None:
        """Make overlayfs's mark that a name of the layers below is deleted: a character device 0:0."""
        with self._told(path), self._parent(path) as (folder, name):
            os.mknod(name, _WHITEOUT, 0, dir_fd=folder.fd)
            _own_name(folder, name, looks)

    def make_opaque(self, path: str) -> None:
        """Make overlayfs's mark that a folder hides all that the layers below have in it."""
        with self._told(path), self._root.folder(join(self.path, path)) as folder:
            os.setxattr(folder.fd, "trusted.overlay.opaque", b"y")

    def date(self, path: str, looks: Looks) -> None:
        """Give a folder its times."""
        with self._told(path), self._root.folder(join(self.path, path)) as folder:
            os.utime(folder.fd, ns=(looks.atime, looks.mtime))

    def remove(self, path: str) -> None:
        """Remove what is at a path, with all that is in it; nothing there is fine."""
        found = self.stat(path)
        if found is None:
            return
        if found.kind == "folder":
            self._forget()  # it may lie in what is removed
            Writer(self._root).remove_tree(join(self.path, path))
            return
        with self._told(path), self._parent(path) as (folder, name):
            os.unlink(name, dir_fd=folder.fd)

    # --- inside ------------------------------------------------------------

    @contextlib.contextmanager
    def _parent(self, path: str, *, itself: bool = False) -> Iterator[tuple[Folder, str]]:
        parts = split(path)
        if not parts and not itself:
            raise Escapes(path, "the tree itself is no name in it")
        above = "/".join(parts[:-1])
        if self._last is None or self._last[0] != above:
            self._forget()
            self._last = above, self._root.folder(join(self.path, above))
        yield self._last[1], parts[-1] if parts else ""

    def _forget(self) -> None:
        if self._last is not None:
            self._last[1].close()
            self._last = None

    @contextlib.contextmanager
    def _told(self, path: str) -> Iterator[None]:
        try:
            yield
        except WrongKind as error:
            if error.found == "link":
                raise Escapes(path, f"the path leads through the link {error.path}") from error
            raise
        except OSError as error:
            raise translate(error, "a file of the tree cannot be made", join(self.path, path)) from error


def copy_tree(root: Root, source: str, target: str) -> None:
    """Copy a folder, with all that is in it, into an empty one: owners, modes, times, attributes, links between files.

    Blocks are shared where the file system can (FICLONE). Sockets are left out, as
    the engine's copy does (moby, daemon/graphdriver/copy/copy.go).

    Raises:
        NotFound, NoPermission, NoSpace, StorageFailure
    """
    known: dict[tuple[int, int], str] = {}
    pending = [""]
    folders = []
    while pending:
        here = pending.pop()
        folders.append(here)
        with root.folder(join(source, here)) as old, root.folder(join(target, here)) as new:
            try:
                for name, kind in old.kinds():
                    path = join(here, name)
                    found = os.stat(name, dir_fd=old.fd, follow_symlinks=False)
                    if kind == "folder":
                        os.mkdir(name, 0o700, dir_fd=new.fd)
                        pending.append(path)
                    elif found.st_nlink > 1 and (first := known.get((found.st_dev, found.st_ino))) is not None:
                        with root.folder(join(target, first.rpartition("/")[0])) as beside:
                            link = first.rpartition("/")[2]
                            os.link(link, name, src_dir_fd=beside.fd, dst_dir_fd=new.fd, follow_symlinks=False)
                    elif kind != "socket":
                        _copy(old, new, name, kind, found)
                        known[(found.st_dev, found.st_ino)] = path
            except OSError as error:
                raise translate(error, "the layer below cannot be copied", join(source, here)) from error
    for here in reversed(folders):
        with root.folder(join(source, here)) as old, root.folder(join(target, here)) as new:
            found = os.fstat(old.fd)
            try:
                _dress(new.fd, _looks(found, _attributes(old.fd)))
                os.utime(new.fd, ns=(found.st_atime_ns, found.st_mtime_ns))
            except OSError as error:
                raise translate(error, "the layer below cannot be copied", join(source, here)) from error


def sync(root: Root) -> None:
    """Bring everything on the root's file system to disk: syncfs(2), and sync(2) where the C library has none.

    Raises:
        NoSpace, StorageFailure
    """
    call = _syncfs()
    if call is None:
        os.sync()
        return
    number = call(root.fd)
    if number:
        raise translate(OSError(number, os.strerror(number)), "what was written cannot be brought to disk", ".")


# --- files -------------------------------------------------------------------


def _copy(old: Folder, new: Folder, name: str, kind: str, found: os.stat_result) -> None:
    if kind == "file":
        source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=old.fd)
        try:
            fd = os.open(name, _CREATE, 0o600, dir_fd=new.fd)
            try:
                _copy_content(source, fd)
                _dress(fd, _looks(found, _attributes(source)))
                os.utime(fd, ns=(found.st_atime_ns, found.st_mtime_ns))
            finally:
                os.close(fd)
        finally:
            os.close(source)
        return
    if kind == "link":
        os.symlink(os.readlink(name, dir_fd=old.fd), name, dir_fd=new.fd)
    else:
        os.mknod(name, found.st_mode, found.st_rdev, dir_fd=new.fd)
        os.chmod(name, stat_module.S_IMODE(found.st_mode), dir_fd=new.fd)
    _dress_name(new, name, _looks(found, {}))


def _copy_content(source: int, target: int) -> None:
    import fcntl

    ficlone = 0x40049409  # linux/fs.h
    try:
        fcntl.ioctl(target, ficlone, source)
    except OSError:
        # Any file system without shared blocks has its own error for this; the copy tells what is really wrong.
        while piece := os.read(source, _CHUNK):
            _write_all(target, piece)


def _write_all(fd: int, data: bytes) -> None:
    rest = data
    while rest:
        rest = rest[os.write(fd, rest) :]


def _looks(found: os.stat_result, attributes: Mapping[str, bytes]) -> Looks:
    return Looks(
        mode=stat_module.S_IMODE(found.st_mode),
        uid=found.st_uid,
        gid=found.st_gid,
        mtime=found.st_mtime_ns,
        atime=found.st_atime_ns,
        attributes=attributes,
    )


def _attributes(fd: int) -> dict[str, bytes]:
    try:
        return {name: os.getxattr(fd, name) for name in os.listxattr(fd)}
    except OSError as error:
        if error.errno in _NO_ATTRIBUTES:
            return {}
        raise


def _dress(fd: int, looks: Looks) -> None:
    """Owner, attributes and mode of an open file; in this order, for chown clears capabilities and some bits."""
    found = os.fstat(fd)
    if (found.st_uid, found.st_gid) != (looks.uid, looks.gid):
        os.fchown(fd, looks.uid, looks.gid)
    for name, value in looks.attributes.items():
        try:
            os.setxattr(fd, name, value)
        except OSError as error:
            if error.errno not in _NO_ATTRIBUTES:  # the engine, too, goes without where there are none
                raise
    os.fchmod(fd, looks.mode)


def _dress_name(folder: Folder, name: str, looks: Looks) -> None:
    """Owner and times of what cannot be opened: links and pipes."""
    _own_name(folder, name, looks)
    os.utime(name, ns=(looks.atime, looks.mtime), dir_fd=folder.fd, follow_symlinks=False)


def _own_name(folder: Folder, name: str, looks: Looks) -> None:
    found = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
    if (found.st_uid, found.st_gid) != (looks.uid, looks.gid):
        os.chown(name, looks.uid, looks.gid, dir_fd=folder.fd, follow_symlinks=False)


@functools.cache
def _syncfs() -> Callable[[int], int] | None:
    """The C library's syncfs(2) (glibc 2.14 and later), which Python does not wrap; None where there is none."""
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    try:
        function = library.syncfs
    except AttributeError:
        return None
    function.argtypes = (ctypes.c_int,)
    function.restype = ctypes.c_int

    def call(fd: int) -> int:
        ctypes.set_errno(0)
        return ctypes.get_errno() if function(fd) else 0

    return call
