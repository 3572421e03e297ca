"""How the library writes in an ACI store: at once, with the modes that rkt gives, each change atomic and durable.

Folders are 0770 whatever the umask, with the set-group-id bit where the folder above
has it; images 0600, manifests and locks 0660. Unlike rkt, which writes manifests in
place, everything goes through a temporary file, fsync, rename and fsync of the
folder. What a killed process leaves behind lies in ``tmp/``, where rkt leaves such
files too, or beside the database as ``.tmp-…``.

Facts: rkt v1.30.0, store/imagestore/store.go (modes, ``tmp``); diskv v2.0.0,
diskv.go (which folders are pruned).
"""

import contextlib
import os
import secrets
import stat as stat_module
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, TypeVar

from orlop.errors import AlreadyExists, NotFound, WrongKind
from orlop.fs import PARSE_LIMIT, Root, kind_of, translate
from orlop.fs.writer import FileOps, System, Writer, missing_folders, parent

FOLDER_MODE = 0o770
BLOB_MODE = 0o600
MANIFEST_MODE = 0o660
LOCK_MODE = 0o660
DATABASE_MODE = 0o666
"""What opening a store gives a new database, whatever the umask; the folder above keeps others out."""

TEMPORARY = "tmp"

_APPEND_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_WRITE_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_TRIES = 16

_Answer = TypeVar("_Answer")


class Member(System):
    """The real system calls, for a user who is not root too.

    rkt lets the members of its group fetch into a store of root's: they may write
    there, but not give files away. The set-group-id bit sees to the group.
    """

    def fchown(self, fd: int, uid: int, gid: int) -> None:
        if os.geteuid() == 0:
            super().fchown(fd, uid, gid)


MEMBER: FileOps = Member()


class Files:
    """Changes below a store's folder (``cas``), done at once.

    Every path is relative to the root. All methods raise, besides what they name:
    WrongKind, Escapes, NoPermission, ReadOnly, NoSpace, StorageFailure.

    Args:
        root: the store's folder; it stays the caller's.
        ops: the system calls that change anything.
    """

    def __init__(self, root: Root, ops: FileOps = MEMBER) -> None:
        self.root = root
        self.writer = Writer(root, ops)

    # --- folders -----------------------------------------------------------

    def make_folders(self, path: str, *, mode: int = FOLDER_MODE, masked: bool = False) -> None:
        """Make a folder and those missing above it.

        The set-group-id bit is passed on from the folder above. It is no error if
        another process makes one of them at the same time.

        Args:
            path: the folder.
            mode: the permission bits of each that is made.
            masked: let the umask take bits from `mode`.
        """
        for folder in missing_folders(self.root, path):
            inherited = self.root.stat(parent(folder)[0]).mode & stat_module.S_ISGID
            with contextlib.suppress(AlreadyExists):  # another process was as quick
                self.writer.create_folder(folder, mode=mode | inherited, masked=masked)

    def prune(self, path: str, *, keep: str) -> None:
        """Remove empty folders from `path` upwards, up to but without `keep`; whatever is in one ends it silently."""
        here = path
        while here.startswith(f"{keep}/"):
            try:
                self.writer.remove_folder(here)
            except (AlreadyExists, NotFound):
                return
            here = parent(here)[0]

    # --- files -------------------------------------------------------------

    def create(self, path: str, data: bytes = b"", *, mode: int) -> bool:
        """Write a new file with exactly this mode, unless something is there; whether it was made.

        Raises:
            NotFound: there is no such folder.
        """
        try:
            self.writer.create(path, data, mode=mode)
        except AlreadyExists:
            return False
        return True

    def replace(self, path: str, data: bytes, *, mode: int) -> None:
        """Put new content in place of a file, whose owner and mode are kept, or make it with this mode.

        Raises:
            NotFound: there is no such folder.
        """
        self.writer.replace(path, data, mode=mode)

    def temporary(self, chunks: Iterable[bytes], *, mode: int = BLOB_MODE) -> str:
        """Write a new file ``tmp/<digits>`` and give its path; whatever ends it early, there is none."""
        self.make_folders(TEMPORARY)
        path = f"{TEMPORARY}/{secrets.randbits(63)}"
        self.writer.create_from(path, chunks, mode=mode)
        return path

    def touch(self, path: str, *, mode: int, masked: bool) -> None:
        """Make an empty file and its folder, both with this mode, where they are missing: a lock, as rkt makes it.

        Args:
            path: the file.
            mode: the permission bits; of the folder too, which rkt makes without the right to enter it.
            masked: let the umask take bits from `mode`.

        Raises:
            WrongKind: what is there is no regular file.
        """
        above, name = parent(path)
        self.make_folders(above, mode=mode, masked=masked)
        if not self.root.exists(path):
            if not masked:
                self.create(path, mode=mode)
                return
            with self.root.folder(above) as folder:
                try:
                    os.close(self.writer.ops.create(name, mode, folder.fd))
                except FileExistsError:
                    return  # another process was as quick
                except OSError as error:
                    raise translate(error, "the lock cannot be made", path) from error
        elif (kind := self.root.stat(path).kind) != "file":
            raise WrongKind(kind, "file", path=path)

    def place(self, temporary: str, path: str) -> None:
        """Rename a temporary file to where it belongs, over what is there; folders on the way are made.

        On a failure the temporary file is removed.

        Raises:
            WrongKind: what is there is no regular file.
        """
        above = parent(path)[0]
        with self.discarding(temporary):
            self._in_folder(above, lambda _: self.writer.move(temporary, path, replace=True))

    def write(self, path: str, data: bytes, *, mode: int) -> None:
        """Put content in place by way of ``tmp/``, always with this mode; folders on the way are made."""
        self.place(self.temporary((data,), mode=mode), path)

    @contextlib.contextmanager
    def discarding(self, temporary: str) -> Iterator[None]:
        """Remove a temporary file if the block fails."""
        try:
            yield
        except BaseException:
            self.writer.remove(temporary, missing_ok=True)
            raise

    def erase(self, path: str, *, keep: str) -> None:
        """Remove a regular file, and the folders that it leaves empty, up to but without `keep`.

        Raises:
            NotFound: nothing is there.
            WrongKind: something else than a regular file is.
        """
        found = self.root.stat(path)
        if found.kind != "file":
            raise WrongKind(found.kind, "file", path=path)
        self.writer.remove(path)
        self.prune(parent(path)[0], keep=keep)

    def named(self, name: str) -> BinaryIO:
        """``tmp/<name>``, opened for reading and appending, its position at the end; made with 0666 under the umask.

        Raises:
            NotFound: the name has a folder in it that is not there.
        """
        self.make_folders(TEMPORARY, masked=True)
        path = f"{TEMPORARY}/{name}"
        above, last = parent(path)
        with self.root.folder(above) as folder:
            if (
                self.root.exists(path) and (kind := folder.stat(last).kind) != "file"
            ):  # opening a device may do something
                raise WrongKind(kind, "file", path=path)
            try:
                fd = os.open(last, _APPEND_FLAGS, 0o666, dir_fd=folder.fd)
            except OSError as error:
                raise translate(error, "the temporary file cannot be opened", path) from error
        mode = os.fstat(fd).st_mode
        if not stat_module.S_ISREG(mode):
            os.close(fd)
            raise WrongKind(kind_of(mode), "file", path=path)
        file = os.fdopen(fd, "a+b")
        file.seek(0, os.SEEK_END)
        return file

    def unnamed(self) -> BinaryIO:
        """A new file ``tmp/<digits>`` for its owner only, opened for reading and writing; `name` is its whole path."""
        path = self.temporary(())
        above, last = parent(path)
        with self.root.folder(above) as folder:
            fd = os.open(last, _WRITE_FLAGS, dir_fd=folder.fd)
        return open(f"{self.root.path}/{path}", "r+b", opener=lambda _path, _flags: fd)

    def copy_folder(self, source: str, target: str) -> None:
        """Copy the regular files of a folder into a new one, both with their modes.

        Raises:
            NotFound: there is no source.
            TooLarge: a file holds more than is read into memory at once.
        """
        self.make_folders(target, mode=stat_module.S_IMODE(self.root.stat(source).mode) & 0o777)
        for name, kind in self.root.kinds(source):
            if kind != "file":
                continue
            found = self.root.stat(f"{source}/{name}")
            data = self.root.read(f"{source}/{name}", max(found.size, PARSE_LIMIT))
            self.writer.create(f"{target}/{name}", data, mode=found.mode)

    # --- inside ------------------------------------------------------------

    def _in_folder(self, folder: str, act: Callable[[str], _Answer]) -> _Answer:
        """Do something in a folder that another process may prune at the same moment."""
        for _ in range(_TRIES):
            self.make_folders(folder)
            with contextlib.suppress(NotFound):
                return act(folder)
        self.make_folders(folder)
        return act(folder)
