"""The one writer of files: every change below a root, by directory descriptors, following no link.

Few modules import it: the plan executor and the journal, the library's direct runner
and layer store (with `orlop.fs.trees`), the sample maker. Each method of `Writer` is
durable when it returns: the file and the folders that it touched are synced. The few
system calls that change anything are gathered in `FileOps`, so that a test can let
the n-th of them fail, or kill the process there.
"""

import contextlib
import errno
import functools
import os
import secrets
import stat as stat_module
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from orlop.errors import AlreadyExists, Changed, Escapes, NotFound, Refused, WrongKind
from orlop.fs import Folder, Root, Stat, join, kind_of, split, translate

_CREATE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITE_FLAGS = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY

_RENAME_NOREPLACE = 1  # linux/fs.h
_DEEPEST = 64  # folders held open at once while a tree is removed
_COPY_CHUNK = 1 << 20
_NAME_BYTES = 255

# Attributes that are a seal over the bytes they were made for; the kernel makes its own for new bytes.
_SEALS = frozenset({"security.ima", "security.evm"})
_NO_ATTRIBUTES = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS})
_NO_EXCLUSIVE_RENAME = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})


class FileOps(Protocol):
    """The system calls that change anything; `folder` is always a directory descriptor, `name` one name in it.

    Each raises OSError as the system does.
    """

    def create(self, name: str, mode: int, folder: int) -> int:
        """A descriptor for writing to a new file; fails where anything has the name."""
        ...

    def write(self, fd: int, data: bytes) -> int:
        """Write some of the bytes, and say how many."""
        ...

    def fsync(self, fd: int) -> None: ...

    def ftruncate(self, fd: int, size: int) -> None: ...

    def rename(self, source: str, source_folder: int, target: str, target_folder: int, *, replace: bool) -> None:
        """Rename atomically; without `replace` it fails with EEXIST where anything has the target's name."""
        ...

    def link(self, source: str, source_folder: int, target: str, target_folder: int) -> None:
        """Give a file a second name; a symbolic link is not followed."""
        ...

    def symlink(self, target: str, name: str, folder: int) -> None:
        """Make a symbolic link; fails where anything has the name."""
        ...

    def mkdir(self, name: str, mode: int, folder: int) -> None: ...

    def unlink(self, name: str, folder: int) -> None: ...

    def rmdir(self, name: str, folder: int) -> None: ...

    def fchmod(self, fd: int, mode: int) -> None: ...

    def fchown(self, fd: int, uid: int, gid: int) -> None: ...

    def setxattr(self, fd: int, name: str, value: bytes) -> None: ...


class System:
    """The real system calls."""

    def create(self, name: str, mode: int, folder: int) -> int:
        return os.open(name, _CREATE_FLAGS, mode, dir_fd=folder)

    def write(self, fd: int, data: bytes) -> int:
        return os.write(fd, data)

    def fsync(self, fd: int) -> None:
        os.fsync(fd)

    def ftruncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def rename(self, source: str, source_folder: int, target: str, target_folder: int, *, replace: bool) -> None:
        """Without `replace`: renameat2(2) with RENAME_NOREPLACE, which looks and renames in one.

        Where the C library or the file system has no such call (NFS, old FUSE) the
        target is looked at first; the caller's lock keeps the two together.
        """
        if replace:
            os.rename(source, target, src_dir_fd=source_folder, dst_dir_fd=target_folder)
            return
        try:
            _rename_exclusive(source, source_folder, target, target_folder)
            return
        except OSError as error:
            if error.errno not in _NO_EXCLUSIVE_RENAME:
                raise
        try:
            os.stat(target, dir_fd=target_folder, follow_symlinks=False)
        except FileNotFoundError:
            os.rename(source, target, src_dir_fd=source_folder, dst_dir_fd=target_folder)
        else:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)

    def link(self, source: str, source_folder: int, target: str, target_folder: int) -> None:
        os.link(source, target, src_dir_fd=source_folder, dst_dir_fd=target_folder, follow_symlinks=False)

    def symlink(self, target: str, name: str, folder: int) -> None:
        os.symlink(target, name, dir_fd=folder)

    def mkdir(self, name: str, mode: int, folder: int) -> None:
        os.mkdir(name, mode, dir_fd=folder)

    def unlink(self, name: str, folder: int) -> None:
        os.unlink(name, dir_fd=folder)

    def rmdir(self, name: str, folder: int) -> None:
        os.rmdir(name, dir_fd=folder)

    def fchmod(self, fd: int, mode: int) -> None:
        os.fchmod(fd, mode)

    def fchown(self, fd: int, uid: int, gid: int) -> None:
        os.fchown(fd, uid, gid)

    def setxattr(self, fd: int, name: str, value: bytes) -> None:
        os.setxattr(fd, name, value)


SYSTEM: FileOps = System()


class Writer:
    """Changes below a root, each durable when it returns.

    Every path is relative to the root, and each folder on the way is opened by
    itself with O_NOFOLLOW. All methods raise, besides what they name: NotFound,
    WrongKind, Escapes, NoPermission, ReadOnly, NoSpace, StorageFailure.
    """

    def __init__(self, root: Root, ops: FileOps = SYSTEM) -> None:
        self.root = root
        self.ops = ops

    # --- files -------------------------------------------------------------

    def create(self, path: str, data: bytes, *, mode: int = 0o600, like: str | None = None) -> None:
        """Write a new file whole; on any failure there is none.

        A reader may see it while it is written: where that matters, create it
        elsewhere and `move` it.

        Args:
            path: where nothing may be yet.
            data: the content.
            mode: the exact permission bits, whatever the umask.
            like: a file whose owner, mode and extended attributes it gets, or a
                folder whose owner it gets; None: the owner of the folder it lies in.

        Raises:
            AlreadyExists: something is there.
        """
        with self._parent(path) as (folder, name), _told("the file cannot be written", path):
            self._create(folder, name, (data,), mode, like)
            self._sync_folder(folder)

    def create_from(self, path: str, chunks: Iterable[bytes], *, mode: int = 0o600, like: str | None = None) -> int:
        """As `create`, of content that comes in pieces and need not fit into memory; gives its bytes.

        What `chunks` raises ends it, and the file is gone again.
        """
        with self._parent(path) as (folder, name), _told("the file cannot be written", path):
            size = self._create(folder, name, chunks, mode, like)
            self._sync_folder(folder)
            return size

    def create_link(self, path: str, target: str) -> None:
        """Make a symbolic link that holds `target` as it is.

        Raises:
            AlreadyExists: something is there.
        """
        with self._parent(path) as (folder, name), _told("the link cannot be made", path):
            self.ops.symlink(target, name, folder.fd)
            self._sync_folder(folder)

    def write_at(self, path: str, offset: int, chunks: Iterable[bytes], *, mode: int = 0o600) -> int:
        """Write into a file from an offset on, making it; what lies behind stays, a gap before it reads as zeros.

        Not atomic: after a failure some beginning of the chunks is there. Durable on return.

        Args:
            path: a regular file, or nothing.
            offset: bytes from its beginning.
            chunks: what is written; what this raises ends it.
            mode: the exact permission bits of a new file.

        Returns:
            The bytes written.
        """
        with self._parent(path) as (folder, name), _told("the file cannot be written to", path):
            made = _look(folder, name) is None
            if made:
                self._create(folder, name, (), mode, None)
            fd = self._open(folder, name, _WRITE_FLAGS)
            try:
                os.lseek(fd, offset, os.SEEK_SET)
                size = 0
                for chunk in chunks:
                    self._write_all(fd, chunk)
                    size += len(chunk)
                self.ops.fsync(fd)
            finally:
                os.close(fd)
            if made:
                self._sync_folder(folder)
            return size

    def replace(self, path: str, data: bytes, *, mode: int = 0o600, anew: bool = False) -> None:
        """Put new content in place of a file, or make it: a reader sees the old or the new, never a part.

        The bytes go to a temporary file beside it, named as the engines name
        theirs (``.tmp-<name><digits>``) so that they ignore a leftover. Owner,
        mode and extended attributes of the old file are kept. On a failure the
        target is untouched and the temporary file is gone; only if the last call,
        the sync of the folder, fails may the new content be in place already.

        Args:
            path: the file.
            data: its new content.
            mode: permission bits where no old file gives them.
            anew: as the engines do: nothing of the old file is kept, the mode is
                exactly `mode`, and a link there is itself replaced.

        Raises:
            WrongKind: what is there is no regular file.
        """
        with self._parent(path) as (folder, name), _told("the file cannot be replaced", path):
            old = _look(folder, name)
            if old is not None and old.kind != "file" and not (anew and old.kind == "link"):
                raise WrongKind(old.kind, "file", path=path)
            temporary = temporary_name(name)
            self._create(folder, temporary, (data,), mode, path if old is not None and not anew else None)
            with self._removing_on_failure(folder, temporary):
                self.ops.rename(temporary, folder.fd, name, folder.fd, replace=True)
            self._sync_folder(folder)

    def append(self, path: str, data: bytes, *, after: int) -> None:
        """Add bytes to a file; on a failure it ends where it ended.

        Args:
            path: a regular file.
            data: what is added.
            after: bytes of the file to keep; what follows them (a torn line) is cut off first.

        Raises:
            Changed: the file is shorter than `after`.
        """
        with self._parent(path) as (folder, name), _told("the file cannot be written to", path):
            fd = self._open(folder, name, _WRITE_FLAGS)
            try:
                size = os.fstat(fd).st_size
                if size < after:
                    raise Changed("the file is shorter than it was", path=path)
                if size > after:
                    self.ops.ftruncate(fd, after)
                os.lseek(fd, after, os.SEEK_SET)
                try:
                    self._write_all(fd, data)
                    self.ops.fsync(fd)
                except OSError:
                    # Best effort: a torn line is cut off by the next append anyway.
                    with contextlib.suppress(OSError):
                        self.ops.ftruncate(fd, after)
                    raise
            finally:
                os.close(fd)

    def keep(self, source: str, target: str) -> None:
        """Give a file a second name, so that it survives when the first is renamed over.

        A hard link, so inode, owner, mode, times and attributes are the file's own;
        a copy where the file system has no hard links.

        Raises:
            AlreadyExists: something has the target's name.
        """
        with (
            self._parent(source) as (source_folder, source_name),
            self._parent(target) as (folder, name),
            _told("the old file cannot be kept", source),
        ):
            try:
                self.ops.link(source_name, source_folder.fd, name, folder.fd)
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                self._copy(source_folder, source_name, folder, name)
            self._sync_folder(folder)

    def move(self, source: str, target: str, *, replace: bool = False) -> None:
        """Rename a file, link or folder within one file system; one atomic step.

        Args:
            source: what is moved.
            target: its new path; nothing may be there unless `replace`.
            replace: whether a regular file there is replaced.

        Raises:
            AlreadyExists: something is at the target.
            WrongKind: `replace`, and what is there is no regular file.
        """
        with (
            self._parent(source) as (source_folder, source_name),
            self._parent(target) as (target_folder, target_name),
            _told("it cannot be moved", source),
        ):
            if replace:
                there = _look(target_folder, target_name)
                if there is not None and there.kind != "file":
                    raise WrongKind(there.kind, "file", path=target)
            try:
                self.ops.rename(source_name, source_folder.fd, target_name, target_folder.fd, replace=replace)
            except FileExistsError as error:
                raise AlreadyExists("it cannot be moved", path=target, why="something is there already") from error
            self._sync_folder(target_folder)
            if source_folder.path != target_folder.path:
                self._sync_folder(source_folder)

    def remove(self, path: str, *, missing_ok: bool = False) -> None:
        """Remove a file or link, for good."""
        try:
            with self._parent(path) as (folder, name), _told("it cannot be removed", path):
                self.ops.unlink(name, folder.fd)
                self._sync_folder(folder)
        except NotFound:
            if not missing_ok:
                raise

    # --- folders -----------------------------------------------------------

    def create_folder(self, path: str, *, mode: int = 0o700, masked: bool = False) -> None:
        """Make a folder with exactly these permission bits and the owner of the folder it lies in.

        It is set-group-id where that folder is, as the system has it.

        Args:
            path: where nothing may be yet.
            mode: the permission bits.
            masked: let the umask take bits from `mode`, as the engines do.

        Raises:
            AlreadyExists: something is there.
        """
        with self._parent(path) as (folder, name), _told("the folder cannot be made", path):
            self.ops.mkdir(name, mode, folder.fd)
            try:
                with folder.folder(name) as made:
                    above = os.fstat(folder.fd)
                    self._own(made.fd, above)
                    if not masked:
                        self._permit(made.fd, mode | above.st_mode & stat_module.S_ISGID)
            except BaseException:
                # Best effort: the first failure is the one to tell.
                with contextlib.suppress(OSError):
                    self.ops.rmdir(name, folder.fd)
                raise
            self._sync_folder(folder)

    def create_folders(self, path: str, *, mode: int = 0o700, masked: bool = False) -> tuple[str, ...]:
        """Make a folder and those missing above it, each as `create_folder`; the made ones, topmost first.

        Raises:
            WrongKind: something on the way is no folder.
        """
        missing = missing_folders(self.root, path)
        for folder in missing:
            self.create_folder(folder, mode=mode, masked=masked)
        return missing

    def remove_folder(self, path: str) -> None:
        """Remove an empty folder.

        Raises:
            AlreadyExists: something is in it.
        """
        with self._parent(path) as (folder, name), _told("the folder cannot be removed", path):
            self.ops.rmdir(name, folder.fd)
            self._sync_folder(folder)

    def remove_tree(self, path: str) -> None:
        """Remove a file, link or a whole tree for good; it can be repeated after a failure.

        Raises:
            Refused: something is mounted in it; nothing was removed.
        """
        found = self.root.stat(path)
        if found.kind != "folder":
            self.remove(path)
            return
        refuse_mounts(self.root, path)
        with self._parent(path) as (folder, name), _told("the folder cannot be removed", path):
            with folder.folder(name) as top:
                while entries := top.kinds():
                    self._empty(top, entries, found.device)
            self.ops.rmdir(name, folder.fd)
            self._sync_folder(folder)

    def home(self, path: str) -> str:
        """The topmost folder from which `path` can be renamed: the root, or where its own mount begins.

        Relative to the root, empty for the root itself. What lies in a folder that
        is not there yet belongs to the nearest one above it that is.
        """
        home = ""
        place = _place(self.root.fd)
        here = ""
        for part in split(path)[:-1]:
            here = join(here, part)
            if not self.root.exists(here):
                break
            with self.root.folder(here) as folder:
                found = _place(folder.fd)
            if found != place:
                home, place = here, found
        return home

    # --- inside ------------------------------------------------------------

    @contextlib.contextmanager
    def _parent(self, path: str) -> Iterator[tuple[Folder, str]]:
        above, name = parent(path)
        with self.root.folder(above) as folder:
            yield folder, name

    def _create(self, folder: Folder, name: str, chunks: Iterable[bytes], mode: int, like: str | None) -> int:
        """Write a new file, and give its bytes; the folder is not synced yet."""
        fd = self.ops.create(name, 0o600, folder.fd)
        size = 0
        with self._removing_on_failure(folder, name):
            try:
                for chunk in chunks:
                    self._write_all(fd, chunk)
                    size += len(chunk)
                self._adopt(fd, folder, mode, like)
                self.ops.fsync(fd)
            finally:
                os.close(fd)
        return size

    def _adopt(self, fd: int, folder: Folder, mode: int, like: str | None) -> None:
        """Give a new file its owner, permission bits and attributes; in this order, for chown clears some bits."""
        if like is None:
            self._own(fd, os.fstat(folder.fd))
            self._permit(fd, mode)
            return
        above, name = parent(like)
        with self.root.folder(above) as beside:
            model = self._open(beside, name, _READ_FLAGS, folders=True)
        try:
            found = os.fstat(model)
            self._own(fd, found)
            if stat_module.S_ISREG(found.st_mode):
                self._permit(fd, stat_module.S_IMODE(found.st_mode))
                self._copy_attributes(model, fd)
            else:
                self._permit(fd, mode)
        finally:
            os.close(model)

    def _own(self, fd: int, like: os.stat_result) -> None:
        found = os.fstat(fd)
        if (found.st_uid, found.st_gid) != (like.st_uid, like.st_gid):
            self.ops.fchown(fd, like.st_uid, like.st_gid)

    def _permit(self, fd: int, mode: int) -> None:
        if stat_module.S_IMODE(os.fstat(fd).st_mode) != mode:
            self.ops.fchmod(fd, mode)

    def _copy_attributes(self, source: int, target: int) -> None:
        """Labels and other extended attributes; a file system without them has none to keep."""
        try:
            wanted = _attributes(source)
            present = _attributes(target)
        except OSError as error:
            if error.errno in _NO_ATTRIBUTES:
                return
            raise
        for name, value in wanted.items():
            if name not in _SEALS and present.get(name) != value:
                self.ops.setxattr(target, name, value)

    def _copy(self, source_folder: Folder, source: str, folder: Folder, name: str) -> None:
        reading = self._open(source_folder, source, _READ_FLAGS)
        try:
            found = os.fstat(reading)
            fd = self.ops.create(name, 0o600, folder.fd)
            with self._removing_on_failure(folder, name):
                try:
                    while chunk := os.read(reading, _COPY_CHUNK):
                        self._write_all(fd, chunk)
                    self._own(fd, found)
                    self._permit(fd, stat_module.S_IMODE(found.st_mode))
                    self._copy_attributes(reading, fd)
                    self.ops.fsync(fd)
                finally:
                    os.close(fd)
        finally:
            os.close(reading)

    def _open(self, folder: Folder, name: str, flags: int, *, folders: bool = False) -> int:
        """A descriptor of a regular file (or of a folder, if wanted); nothing else is ever opened.

        It is looked at first, for opening a device may already do something, and
        again once it is open.
        """
        found = folder.stat(name)
        if found.kind != "file" and not (folders and found.kind == "folder"):
            raise WrongKind(found.kind, "file", path=join(folder.path, name))
        fd = os.open(name, flags, dir_fd=folder.fd)
        mode = os.fstat(fd).st_mode
        if stat_module.S_ISREG(mode) or (folders and stat_module.S_ISDIR(mode)):
            return fd
        os.close(fd)
        raise WrongKind(kind_of(mode), "file", path=join(folder.path, name))

    def _write_all(self, fd: int, data: bytes) -> None:
        rest = data
        while rest:
            written = self.ops.write(fd, rest)
            rest = rest[written:]

    @contextlib.contextmanager
    def _removing_on_failure(self, folder: Folder, name: str) -> Iterator[None]:
        try:
            yield
        except BaseException:
            # Best effort: the first failure is the one to tell.
            with contextlib.suppress(OSError):
                self.ops.unlink(name, folder.fd)
            raise

    def _sync_folder(self, folder: Folder) -> None:
        try:
            self.ops.fsync(folder.fd)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems cannot sync a folder
                raise

    def _empty(self, top: Folder, entries: list[tuple[str, str]], device: int) -> None:
        """Remove what is in a folder, without recursion and with few descriptors.

        What lies deeper than `_DEEPEST` is first moved up into `top`, where the
        caller's next round finds it.
        """
        way: list[tuple[Folder, list[tuple[str, str]]]] = [(top, entries[::-1])]
        try:
            while way:
                folder, rest = way[-1]
                if not rest:
                    way.pop()
                    if way:
                        folder.close()
                        self.ops.rmdir(folder.path.rpartition("/")[2], way[-1][0].fd)
                    continue
                name, kind = rest.pop()
                if kind != "folder":
                    self.ops.unlink(name, folder.fd)
                elif len(way) >= _DEEPEST:
                    self.ops.rename(name, folder.fd, f".deep-{secrets.token_hex(8)}", top.fd, replace=False)
                else:
                    child = folder.folder(name)
                    if os.fstat(child.fd).st_dev != device:
                        child.close()
                        raise _mounted(join(folder.path, name))
                    way.append((child, child.kinds()[::-1]))
        finally:
            for folder, _rest in way[1:]:
                folder.close()


# --- paths and places --------------------------------------------------------


def parent(path: str) -> tuple[str, str]:
    """The folder of a path, and its last name.

    Raises:
        Escapes: the path is no path below the root, or is the root itself.
    """
    parts = split(path)
    if not parts:
        raise Escapes(path, "the root itself is no name in a folder")
    return "/".join(parts[:-1]), parts[-1]


def missing_folders(root: Root, path: str) -> tuple[str, ...]:
    """The folders of a path, itself included, that are not there; topmost first.

    Raises:
        WrongKind: something on the way is no folder.
    """
    missing: list[str] = []
    here = ""
    for part in split(path):
        here = join(here, part)
        if missing or not root.exists(here):
            missing.append(here)
            continue
        found = root.stat(here)
        if found.kind != "folder":
            raise WrongKind(found.kind, "folder", path=here)
    return tuple(missing)


def temporary_name(name: str) -> str:
    """A name for a temporary file beside another, as moby's ioutils.AtomicWriteFile makes it.

    ``.tmp-<name><digits>``: every version of the engine ignores it (moby,
    pkg/ioutils/fswriters.go).
    """
    digits = str(secrets.randbelow(9 * 10**9) + 10**9)
    room = _NAME_BYTES - len(".tmp-") - len(digits)
    return f".tmp-{os.fsdecode(os.fsencode(name)[:room])}{digits}"


def refuse_mounts(root: Root, path: str) -> None:
    """Make sure that nothing is mounted at or below a folder, so far as this process can see.

    Raises:
        Refused: something is; it is named.
    """
    with root.folder(path) as folder:
        try:
            here = os.readlink(f"/proc/self/fd/{folder.fd}")
        except FileNotFoundError:
            return  # a bare chroot: what is mounted cannot be seen, and st_dev is still looked at on the way
    mounts = _mounts_at_or_below(here)
    if mounts:
        raise _mounted(mounts[0])


def _mounted(path: str) -> Refused:
    return Refused(
        "the folder cannot be moved or removed", ("something is mounted in it",), path=path, do="unmount it, then retry"
    )


def _mounts_at_or_below(path: str) -> list[str]:
    """Mount points from /proc/self/mountinfo (proc(5): field 5, with blanks and backslashes in octal)."""
    below = os.fsencode(path).rstrip(b"/") + b"/"
    points = (_unescape(line.split(b" ")[4]) for line in _kernel_lines("/proc/self/mountinfo"))
    return [os.fsdecode(point) for point in points if (point + b"/").startswith(below)]


def _kernel_lines(path: str) -> list[bytes]:
    """The lines of a file of /proc; none in a bare chroot, where it is not mounted."""
    try:
        with open(path, "rb") as table:
            return table.readlines()
    except FileNotFoundError:
        return []


def _unescape(field: bytes) -> bytes:
    for code, character in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        field = field.replace(code, character)
    return field


def _place(fd: int) -> tuple[int, int]:
    """What two folders must share for a rename between them: the device, and the mount it is reached through."""
    device = os.fstat(fd).st_dev
    for line in _kernel_lines(f"/proc/self/fdinfo/{fd}"):
        if line.startswith(b"mnt_id:"):
            return device, int(line.split()[1])
    return device, 0


def _look(folder: Folder, name: str) -> Stat | None:
    """What has this name, or None."""
    try:
        os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return folder.stat(name)


def _attributes(fd: int) -> dict[str, bytes]:
    return {name: os.getxattr(fd, name) for name in os.listxattr(fd)}


@contextlib.contextmanager
def _told(what: str, path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise translate(error, what, path) from error


# --- renameat2 ---------------------------------------------------------------


@functools.cache
def _renameat2() -> Callable[[int, bytes, int, bytes, int], int] | None:
    """The C library's renameat2(2) (glibc 2.28 and later), which Python does not wrap; None where there is none."""
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    try:
        function = library.renameat2
    except AttributeError:
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    function.restype = ctypes.c_int

    def call(source_folder: int, source: bytes, target_folder: int, target: bytes, flags: int) -> int:
        ctypes.set_errno(0)
        if function(source_folder, source, target_folder, target, flags) == 0:
            return 0
        return ctypes.get_errno()

    return call


def _rename_exclusive(source: str, source_folder: int, target: str, target_folder: int) -> None:
    call = _renameat2()
    number = (
        errno.ENOSYS
        if call is None
        else call(source_folder, os.fsencode(source), target_folder, os.fsencode(target), _RENAME_NOREPLACE)
    )
    if number:
        raise OSError(number, os.strerror(number), source, None, target)
