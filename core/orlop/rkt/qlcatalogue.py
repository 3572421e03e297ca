"""The catalogue in rkt's own ``db/ql.db``: read in full, and changed by writing it anew.

Every transaction holds flock on the folder ``db``, as rkt does. Inside it, ql's own lock
is looked at and not taken: rkt takes it without waiting, and only while it has the
folder. What is written takes the place of the old file in one rename, which rkt meets
at its next transaction, since it opens the file anew for each.

Facts: rkt v1.30.0, store/db/db.go; cznic/ql file.go as vendored there (names of lock and log).
"""

import contextlib
import fcntl
import os
import struct
from collections.abc import Iterator, Sequence

from orlop.errors import AlreadyExists, Locked, NotFound, OrlopError
from orlop.fs import Root, translate
from orlop.rkt import layout, ql
from orlop.rkt.catalogue import Contents, Edit
from orlop.rkt.files import DATABASE_MODE, Files
from orlop.rkt.keylocks import PATIENCE, locked
from orlop.rkt.ql import contents as rows

FOLDER = layout.DATABASE
PATH = layout.QL
LOG = f"{FOLDER}/.34a8b4c1ad933745146fdbfef3073706ee571625"
"""The write-ahead log: a dot and the sha1 of ``ql.db``."""
LOCK = f"{FOLDER}/.f630cc97640448d8f823924a7df3ca00e4d9e53b"
"""ql's lock file, there while the database is open: a dot and the sha1 of ``ql.dblockfile``."""

READ_LIMIT = 64 << 20
"""Bytes of a database or its log that are read at most: more than a hundred thousand images."""

_FLOCK = struct.Struct("@hhqqi0q")  # struct flock of fcntl(2): type, whence, start, length, pid


class LogNotEmpty(Locked):
    """A commit was cut off and left its write-ahead log: nothing may be written before a person decides on it.

    Attributes:
        state: whether the log is complete.
    """

    def __init__(self, state: ql.LogState) -> None:
        complete = state is ql.LogState.COMPLETE
        super().__init__(
            "the database cannot be changed: its write-ahead log is not empty",
            path=LOG,
            do="repair the database: applying the log completes the commit"
            if complete
            else "repair the database: the log was never finished, and without it the database is as before the commit",
        )
        self.why = f"a program was killed in a commit, and the log is {state.value}"
        self.engine = "(file-001) non empty WAL file exists"
        self.state = state


class QlFormat:
    """`orlop.rkt.catalogue.Format` of ``ql.db``: pure functions over its bytes."""

    def contents(self, data: bytes) -> Contents:
        return rows.contents(data)

    def edited(self, data: bytes, edits: Sequence[Edit]) -> bytes:
        return rows.edited(data, edits)

    def empty(self) -> bytes:
        return ql.empty()


class QlCatalogue:
    """`orlop.rkt.catalogue.Catalogue` of the ``db/ql.db`` of a store.

    Args:
        root: the store's folder, rkt's ``cas``; it stays the caller's.
        files: what writes there; None: as the library does.
        patience: seconds to wait for another program's transaction.
    """

    path = PATH

    def __init__(self, root: Root, *, files: Files | None = None, patience: float = PATIENCE) -> None:
        self._root = root
        self._files = Files(root) if files is None else files
        self._patience = patience

    def read(self) -> Contents:
        """Every row. Where a commit was decided and cut off, as the log has it; nothing is written either way."""
        with self._transaction():
            data, log = self._root.read(PATH, READ_LIMIT), self._log()
        if ql.wal_state(log) is ql.LogState.COMPLETE:
            with _named(LOG):
                data = ql.applied(data, log)
        with _named(PATH):
            return rows.contents(data)

    def change(self, edits: Sequence[Edit]) -> None:
        with self._transaction():
            self._refuse_log()
            data = self._root.read(PATH, READ_LIMIT)
            with _named(PATH):
                new = rows.edited(data, edits)
            if new != data:
                self._files.replace(PATH, new, mode=DATABASE_MODE)

    def create(self) -> None:
        """Make a database with no rows, and the folder where it is missing.

        Raises:
            AlreadyExists: there is one, and it was left alone.
            LogNotEmpty: a log is there, which belongs to a database that is gone.
            Locked: another program is in a transaction.
        """
        self._files.make_folders(FOLDER)
        with self._transaction():
            self._refuse_log()
            if not self._files.create(PATH, ql.empty(), mode=DATABASE_MODE):
                raise AlreadyExists("there is a database", path=PATH, why="it was left alone")

    # --- inside ------------------------------------------------------------

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with locked(self._root, FOLDER, exclusive=True, patience=self._patience):
            _refuse_locked(self._root)
            yield

    def _log(self) -> bytes:
        try:
            return self._root.read(LOG, READ_LIMIT)
        except NotFound:
            return b""  # ql makes it anew at the next opening

    def _refuse_log(self) -> None:
        state = ql.wal_state(self._log())
        if state is not ql.LogState.EMPTY:
            raise LogNotEmpty(state)


@contextlib.contextmanager
def _named(path: str) -> Iterator[None]:
    """Give an error about bytes the path of the file that they are of."""
    try:
        yield
    except OrlopError as error:
        error.path = error.path or path
        raise


def _refuse_locked(root: Root) -> None:
    """Make sure that nobody holds ql's own lock; one that is only left over holds nobody off.

    Raises:
        Locked: a program has the database open without holding the folder: none of rkt's.
    """
    try:
        with root.stream(LOCK) as file:
            pid = _writer_of(file.fileno())
    except NotFound:
        return
    if pid is not None:
        raise Locked(
            "the database is open in another program",
            path=LOCK,
            holder=f"process {pid}" if pid > 0 else "a process that cannot be seen from here",
            do="end that program, then try again",
        )


def _writer_of(fd: int) -> int | None:
    """The process with a write lock (fcntl(2)) on a file; asked without taking any lock."""
    asked = _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
    try:
        kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_GETLK, asked))
    except OSError as error:
        raise translate(error, "the database's lock cannot be asked for", LOCK) from error
    return None if kind == fcntl.F_UNLCK else int(pid)
