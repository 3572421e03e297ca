"""The locks of an ACI store, exactly those that rkt takes, so that both can use a store at once.

All are flock(2): on the store's folder, shared for as long as the store is open
(exclusive for a migration); on ``imagelocks/<key>``, an empty file that is made where
it is missing and never removed; on the folder ``db``, exclusive around each transaction.
After a lock is taken, what it was taken on is compared with what has its path now: a
lock on a file that was replaced guards nothing.

rkt waits without end; here a wait ends after `PATIENCE` seconds, with the holder's name.

Facts: rkt v1.30.0, pkg/lock/file.go and keylock.go, store/db/db.go.
"""

import contextlib
import fcntl
import os
import stat as stat_module
import time
from collections.abc import Iterator

from orlop.errors import Locked, NotFound, StorageFailure, WrongKind
from orlop.fs import Root, kind_of, split, translate
from orlop.locks import holder

PATIENCE = 60.0
"""Seconds that a lock is waited for."""

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.05
_REPLACED = 3  # times that the file may be another one after the lock was taken, as rkt has it


@contextlib.contextmanager
def locked(root: Root, path: str, *, exclusive: bool, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock of a file or folder for the length of a ``with`` block.

    Args:
        root: the store's folder.
        path: relative to it; empty for the folder itself.
        exclusive: whether nobody else may hold it, shared or not.
        patience: seconds to wait for whoever holds it; 0: do not wait.

    Raises:
        Locked: another program holds it, and did not give it back in time.
        NotFound: nothing is there.
        WrongKind: a link, pipe, device or socket is.
        NoPermission, StorageFailure, Escapes
    """
    fd = acquire(root, path, exclusive=exclusive, patience=patience)
    try:
        yield
    finally:
        release(fd)


def acquire(root: Root, path: str, *, exclusive: bool, patience: float = PATIENCE) -> int:
    """As `locked`, but gives a descriptor that holds the lock until it is passed to `release`."""
    for _ in range(_REPLACED + 1):
        fd = _open(root, path)
        try:
            _wait(fd, path, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH, patience)
            if _has_path(root, path, fd):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
    raise StorageFailure("it cannot be locked", path=path, why="it is replaced again and again", do="try again")


def convert(fd: int, path: str, *, exclusive: bool, patience: float = PATIENCE) -> None:
    """Make a shared lock exclusive, or the reverse; on failure the lock may be lost.

    Raises:
        Locked, StorageFailure
    """
    _wait(fd, path, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH, patience)


def release(fd: int) -> None:
    """Give back what `acquire` took."""
    fcntl.flock(fd, fcntl.LOCK_UN)  # closing alone would leave it to a child that was forked meanwhile
    os.close(fd)


def _wait(fd: int, path: str, operation: int, patience: float) -> None:
    until = time.monotonic() + patience
    pause = _FIRST_PAUSE
    while True:
        try:
            fcntl.flock(fd, operation | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until:
                raise Locked(
                    "the store is in use", path=path or ".", holder=holder(fd), do="wait for that program, or stop it"
                ) from None
        except OSError as error:
            raise translate(error, "it cannot be locked", path) from error
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _has_path(root: Root, path: str, fd: int) -> bool:
    if not split(path):
        return True
    try:
        now = root.stat(path)
    except NotFound:
        return False
    found = os.fstat(fd)
    return (now.device, now.inode) == (found.st_dev, found.st_ino)


def _open(root: Root, path: str) -> int:
    *above, name = split(path) or ["."]
    with root.folder("/".join(above)) as folder:
        if name != "." and (kind := folder.stat(name).kind) not in ("file", "folder"):
            raise WrongKind(kind, "file", path=path)  # opening a device may already do something
        try:
            fd = os.open(name, _FLAGS, dir_fd=folder.fd)
        except OSError as error:
            raise translate(error, "it cannot be locked", path) from error
    mode = os.fstat(fd).st_mode
    if stat_module.S_ISREG(mode) or stat_module.S_ISDIR(mode):
        return fd
    os.close(fd)
    raise WrongKind(kind_of(mode), "file", path=path)
