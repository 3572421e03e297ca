"""The direct runner: changes done at once, without journal and quarantine; what the library's classes write with.

A `Place` is a folder of a store by its path. Each operation opens it anew, so that
it may be removed, replaced or mounted over meanwhile, and no descriptor outlives an
operation. Every single change is durable and atomic when it returns, by
`orlop.fs.writer`: temporary file with a random name, fsync, rename, fsync of the folder.
"""

import contextlib
import errno
import fcntl
import os
import threading
from collections.abc import Iterator

from orlop.change import Change, Drop, Put
from orlop.errors import NotFound
from orlop.fs import Root, translate
from orlop.fs.writer import SYSTEM, FileOps, Writer

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Place:
    """A folder whose files are read and changed at once, safely between threads and processes.

    Copying, pickling and forking are safe as long as no thread is inside `exclusive`.

    Args:
        path: the folder; it may be reached through links, but nothing below it is.
        folders: permission bits, under the umask, of the folder itself where a
            change or `create` has to make it, and of those missing above it.
        ops: the system calls that change anything.
    """

    def __init__(self, path: str, *, folders: int = 0o755, ops: FileOps = SYSTEM) -> None:
        self.path = os.path.abspath(path)
        self._folders = folders
        self._ops = ops
        self._thread = threading.RLock()
        self._depth = 0

    def __getstate__(self) -> tuple[str, int, FileOps]:
        return self.path, self._folders, self._ops

    def __setstate__(self, state: tuple[str, int, FileOps]) -> None:
        path, folders, ops = state
        Place.__init__(self, path, folders=folders, ops=ops)

    def open(self) -> Root:
        """The folder as it is now, for reading; the caller closes it.

        Raises:
            NotFound, WrongKind, NoPermission, StorageFailure
        """
        return Root.open(self.path)

    def create(self, *folders: str, mode: int | None = None) -> None:
        """Make the folder where it is missing, and folders below it.

        Args:
            folders: paths relative to it, made with those missing above them.
            mode: permission bits of all that is made, under the umask; None: as for the folder.

        Raises:
            WrongKind: something else has one of the names.
            NoPermission, ReadOnly, NoSpace, StorageFailure, Escapes
        """
        bits = self._folders if mode is None else mode
        self._make(bits)
        with self.open() as root:
            missing = [folder for folder in folders if not _is_folder(root, folder)]
        if missing:
            with self.exclusive(), self.open() as root:
                for folder in missing:
                    Writer(root, self._ops).create_folders(folder, mode=bits, masked=True)

    def read(self, path: str, limit: int) -> bytes:
        """All bytes of a regular file; a reader meets the old or the new content of a change, never a part.

        Raises:
            NotFound, WrongKind, NoPermission, StorageFailure, Escapes
            TooLarge: it holds more than `limit` bytes.
        """
        with self.open() as root:
            return root.read(path, limit)

    def run(self, *changes: Change) -> None:
        """Do changes in this order, alone; each is durable before the next begins.

        A failure ends it: those before it are done, and it and the rest are not.

        Raises:
            NotFound: a `Drop` found nothing, where something must be.
            WrongKind: a folder is in the place of a file, or the reverse.
            AlreadyExists: a `Drop` found a folder with something in it.
            Escapes: a path leaves the place; nothing was done.
            NoPermission, ReadOnly, NoSpace, StorageFailure
        """
        puts = [change for change in changes if isinstance(change, Put)]
        if puts:
            self._make(puts[0].folders)
        with self.exclusive(), self.open() as root:
            writer = Writer(root, self._ops)
            for change in changes:
                _run(writer, change)

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Be the only one who changes this place, for a read and the write that depends on it.

        Waits for the others: threads of this process and every process that uses
        this class. A block inside another of the same object is part of it. The lock is
        flock(2) on the folder itself, so no file appears that an engine could meet;
        it ends with the process. Readers are not kept out: they never see a part.

        Raises:
            NotFound: there is no such folder.
            WrongKind, NoPermission, StorageFailure
        """
        with self._thread:
            if self._depth:
                yield
                return
            fd = self._locked()
            self._depth = 1
            try:
                yield
            finally:
                self._depth = 0
                fcntl.flock(fd, fcntl.LOCK_UN)  # closing alone would leave it to a child that was forked meanwhile
                os.close(fd)

    def _locked(self) -> int:
        """A descriptor that holds the lock of the folder that has this path now."""
        while True:
            try:
                fd = os.open(self.path, _FOLDER)
            except OSError as error:
                raise translate(error, "the store cannot be opened", self.path) from error
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                if self._names(fd):
                    return fd
            except BaseException as error:
                os.close(fd)
                if isinstance(error, OSError):
                    raise translate(error, "the store cannot be locked", self.path) from error
                raise
            os.close(fd)

    def _names(self, fd: int) -> bool:
        """Whether the path still names the folder of a descriptor: a lock on one that was replaced guards nothing."""
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(fd))
        except FileNotFoundError:
            return False

    def _make(self, mode: int) -> None:
        if os.path.isdir(self.path):
            return
        missing = [self.path]
        while not os.path.lexists(above := os.path.dirname(missing[-1])):
            missing.append(above)
        for folder in reversed(missing):
            try:
                os.mkdir(folder, mode)
            except FileExistsError:
                continue  # another process was as quick, or `open` will tell what is there
            except OSError as error:
                raise translate(error, "the folder cannot be made", folder) from error
            self._sync_above(folder)

    def _sync_above(self, folder: str) -> None:
        try:
            above = os.open(os.path.dirname(folder), _FOLDER)
        except PermissionError:
            return  # a folder may be made where none may be opened
        except OSError as error:
            raise translate(error, "the folder cannot be opened", folder) from error
        try:
            self._ops.fsync(above)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems cannot sync a folder
                raise translate(error, "the folder cannot be brought to disk", folder) from error
        finally:
            os.close(above)


def _run(writer: Writer, change: Change) -> None:
    match change:
        case Put():
            writer.create_folders(change.path.rpartition("/")[0], mode=change.folders, masked=True)
            writer.replace(change.path, change.data, mode=change.mode, anew=True)
        case Drop():
            _drop(writer, change)


def _drop(writer: Writer, change: Drop) -> None:
    try:
        kind = writer.root.stat(change.path).kind
        if kind != "folder":
            writer.remove(change.path)
        elif change.tree:
            writer.remove_tree(change.path)
        else:
            writer.remove_folder(change.path)
    except NotFound:
        if not change.missing_ok:
            raise


def _is_folder(root: Root, path: str) -> bool:
    return root.exists(path) and root.stat(path).kind == "folder"
