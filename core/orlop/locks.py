"""The locks that engines respect: taken and probed on read-only descriptors, never created.

flock(2) on a file or folder that the engine itself locks. The descriptor is opened
for reading only and without truncation, so neither a byte nor a time of the
engine's file changes, and the kernel drops the lock when the process ends, however
it ends. (filelock truncates the file it locks: it is never pointed at a store.)
"""

import contextlib
import errno
import fcntl
import os
import stat as stat_module
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager

from orlop.errors import Locked, NeedsStatement, WrongKind
from orlop.fs import Root, kind_of, split, translate

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_UNSEEN = "a process that cannot be seen from here"
_SELF = "this process"
_NO_LOCKS = frozenset({errno.EBADF, errno.ENOLCK, errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP})

# A probe holds a shared lock for some microseconds: whoever meets one tries again.
_TRIES = 4
_PAUSE = 0.015

# Device and inode of what this process holds: a probe of its own lock meets no engine.
_ours: set[tuple[int, int]] = set()


def hold(root: Root, path: str) -> AbstractContextManager[None]:
    """Hold an exclusive lock on a file or folder for the length of a ``with`` block; the empty path is the root.

    It is taken when the block is entered, and never waits longer than a probe of
    another process may last (about 50 ms).

    Raises:
        Locked: another process holds it; `holder` names it where it can be seen.
        NotFound: there is no such file.
        WrongKind: it is a link, pipe, device or socket.
        NeedsStatement: the file system cannot lock a descriptor that only reads (NFS).
        NoPermission, StorageFailure, Escapes
    """
    return _holding(root, path)


@contextlib.contextmanager
def _holding(root: Root, path: str) -> Iterator[None]:
    fd = _locked(root, path)
    found = os.fstat(fd)
    _ours.add((found.st_dev, found.st_ino))
    try:
        yield
    finally:
        _ours.discard((found.st_dev, found.st_ino))
        os.close(fd)  # which releases the lock


def held(root: Root, path: str, *, shared: bool = False) -> tuple[bool, str]:
    """Whether another process holds an exclusive lock on a file or folder, and who.

    The probe is a shared lock, given back at once: it sees holders in other pid
    namespaces, which the kernel's list does not, and disturbs neither the holder
    nor another probe. A lock that this process itself took with `hold` is nobody
    else's, and counts as free.

    Args:
        root: the store.
        path: what an engine locks; the empty path is the root.
        shared: whether a shared lock of another process counts too. The probe then is an
            exclusive one, tried again where it may have met another probe.

    Returns:
        Whether it is held, and the holder as ``command (process id)``, or words
        that it cannot be seen from here; empty where it is free.

    Raises:
        NotFound, WrongKind, NeedsStatement, NoPermission, StorageFailure, Escapes: as `hold`.
    """
    fd = _open(root, path)
    try:
        if _is_ours(fd) or _is_free(fd, path, shared):
            return False, ""
        return True, holder(fd)
    finally:
        os.close(fd)


def _is_free(fd: int, path: str, shared: bool) -> bool:
    if not shared:
        return _try(fd, fcntl.LOCK_SH, path)
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE)
        if _try(fd, fcntl.LOCK_EX, path):
            return True
    return False


def holder(fd: int) -> str:
    """Who holds a lock on the file of this descriptor: best effort, from /proc/locks.

    A holder in another pid namespace, or on another host, is not listed there.
    """
    if _is_ours(fd):
        return _SELF
    found = os.fstat(fd)
    pids = {pid for device, inode, pid in _flocks() if inode == found.st_ino and _same_device(device, found.st_dev)}
    named = [f"{_command(pid)} (process {pid})" for pid in sorted(pids) if pid > 0]
    return ", ".join(named) or _UNSEEN


def _is_ours(fd: int) -> bool:
    found = os.fstat(fd)
    return (found.st_dev, found.st_ino) in _ours


def _locked(root: Root, path: str) -> int:
    """A descriptor that holds the exclusive lock of what is at the path now."""
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE)
        fd = _open(root, path)
        try:
            if _try(fd, fcntl.LOCK_EX, path) and _still_there(root, path, fd):
                return os.dup(fd)
            last = holder(fd)
        finally:
            os.close(fd)
    raise Locked("the store is in use", path=path, holder=last, do="stop that program, then try again")


def _still_there(root: Root, path: str, fd: int) -> bool:
    """Whether the locked file is still what the path names: a lock on a file that was replaced guards nothing."""
    now, locked = root.stat(path), os.fstat(fd)
    return (now.device, now.inode) == (locked.st_dev, locked.st_ino)


def _try(fd: int, operation: int, path: str) -> bool:
    try:
        fcntl.flock(fd, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise translate(error, "it cannot be locked", path) from error
        raise NeedsStatement(
            "this file system cannot be asked whether an engine uses the store",
            path=path,
            why=os.strerror(error.errno),
            do="make sure that no engine uses it, then state it with --offline",
        ) from error
    return True


def _open(root: Root, path: str) -> int:
    parts = split(path)
    if not parts:
        with root.folder("") as top:  # opened anew: a lock belongs to what was opened
            return os.dup(top.fd)
    with root.folder("/".join(parts[:-1])) as folder:
        found = folder.stat(parts[-1])
        if found.kind not in ("file", "folder"):  # looked at first: opening a device may already do something
            raise WrongKind(found.kind, "file", path=path)
        try:
            fd = os.open(parts[-1], _FLAGS, dir_fd=folder.fd)
        except OSError as error:
            raise translate(error, "it cannot be locked", path) from error
    mode = os.fstat(fd).st_mode
    if stat_module.S_ISREG(mode) or stat_module.S_ISDIR(mode):
        return fd
    os.close(fd)
    raise WrongKind(kind_of(mode), "file", path=path)


def _flocks() -> Iterator[tuple[tuple[int, int], int, int]]:
    """(device, inode, pid) of each flock in /proc/locks (proc(5)); nothing where it cannot be read.

    ``1: FLOCK  ADVISORY  WRITE 812 fe:00:1443 0 EOF``; a waiting one has ``->`` before FLOCK.
    """
    try:
        with open("/proc/locks", encoding="ascii", errors="replace") as table:
            lines = table.readlines()
    except OSError:
        return  # the holder is then somebody who cannot be seen, and that is what is said
    for line in lines:
        fields = line.split()
        if len(fields) < 6 or fields[1] != "FLOCK":
            continue
        major, _, rest = fields[5].partition(":")
        minor, _, inode = rest.partition(":")
        try:
            yield (int(major, 16), int(minor, 16)), int(inode), int(fields[4])
        except ValueError:
            continue


def _same_device(listed: tuple[int, int], device: int) -> bool:
    """Whether a listed device is this one; file systems with several roots (btrfs, overlay) list another number."""
    return listed == (os.major(device), os.minor(device)) or (listed[0] == 0 and os.major(device) == 0)


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", "rb") as name:
            return os.fsdecode(name.read().strip()) or "a process"
    except OSError:
        return "a process"  # it has ended meanwhile, or is hidden from this user
