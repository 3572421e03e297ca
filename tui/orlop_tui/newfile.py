"""A new file of the user's, whole or not at all."""

import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from orlop.errors import AlreadyExists, NoPermission, NotFound, OrlopError, Refused
from orlop.fs import translate


@contextmanager
def new_file(path: str, *, what: str, stores: Iterable[str], replace: bool = False) -> Iterator[BinaryIO]:
    """Write a file: it is there once the block ends, and nothing is left of it where an error ends the block.

    Until then it has another name in the same folder, and nobody else may read it; then it gets the mode that
    the umask gives. File and folder are flushed to the disk.

    Args:
        path: where it is to be.
        what: what it is, for errors: ``the archive``.
        stores: roots of the stores that it is made from; it never lies in them.
        replace: whether it may take the place of a file that is there.

    Raises:
        Refused: it would lie in a store, or take the place of something that is no file.
        AlreadyExists: there is a file, and it may not be replaced.
        NotFound, NoPermission, NoSpace, ReadOnly, StorageFailure: it cannot be written.
    """
    folder, name = os.path.split(path)
    _refuse_inside(path, os.path.realpath(folder or "."), what, stores)
    _refuse_there(path, what, replace=replace)
    try:
        above = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _advised(error, what, path) from error
    temporary = f".orlop-{secrets.token_hex(6)}.part"
    try:
        with _written(above, temporary) as file:
            yield file
        _name(above, temporary, name, path, what, replace=replace)
    except OSError as error:
        raise _advised(error, what, path) from error
    finally:
        with suppress(FileNotFoundError):  # it has its own name by now, or was never made
            os.unlink(temporary, dir_fd=above)
        os.close(above)


@contextmanager
def _written(above: int, temporary: str) -> Iterator[BinaryIO]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    with os.fdopen(os.open(temporary, flags, 0o600, dir_fd=above), "wb") as file:
        yield file
        file.flush()
        os.fchmod(file.fileno(), 0o666 & ~_umask())
        os.fsync(file.fileno())


def _name(above: int, temporary: str, name: str, path: str, what: str, *, replace: bool) -> None:
    """Give the finished file its name, and never another one's place unasked."""
    if not replace:
        try:
            os.link(temporary, name, src_dir_fd=above, dst_dir_fd=above, follow_symlinks=False)
        except FileExistsError as error:
            raise _there(path, what) from error
        except OSError:  # a file system without hard links
            _refuse_there(path, what, replace=False)
            os.rename(temporary, name, src_dir_fd=above, dst_dir_fd=above)
    else:
        os.rename(temporary, name, src_dir_fd=above, dst_dir_fd=above)
    os.fsync(above)


def _refuse_inside(path: str, folder: str, what: str, stores: Iterable[str]) -> None:
    for store in stores:
        inside = os.path.realpath(store).rstrip("/") + "/"
        if f"{folder}/".startswith(inside):
            raise Refused(
                f"{what} is never written into the store", ["looking changes nothing"], path=path, do=_ELSEWHERE
            )


_ELSEWHERE = "name a file elsewhere"


def _refuse_there(path: str, what: str, *, replace: bool) -> None:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise _advised(error, what, path) from error
    if not stat.S_ISREG(mode):
        raise Refused(f"{what} was not written", ["something that is no file is there"], path=path, do=_ELSEWHERE)
    if not replace:
        raise _there(path, what)


def _there(path: str, what: str) -> AlreadyExists:
    return AlreadyExists(
        f"{what} was not written", path=path, why="the file exists", do="name another, or give --force"
    )


def _advised(error: OSError, what: str, path: str) -> OrlopError:
    told = translate(error, f"{what} cannot be written", path)
    if isinstance(told, NotFound | NoPermission):
        told.do = "name a file in a folder that is there, and that you may write in"
    return told


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    found = os.umask(0o077)
    os.umask(found)
    return found
