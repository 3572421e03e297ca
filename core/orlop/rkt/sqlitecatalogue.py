"""The catalogue of a store that Orlop made: ``db/orlop.sqlite3``.

Reading never opens the file with SQLite: its bytes, with what a write-ahead log adds,
are read into memory, so that looking writes nothing and works where nothing can be
written. A change is one transaction of SQLite in WAL mode, durable when it returns;
afterwards the log is emptied and gone.

A file from elsewhere may hold anything. It is read only if its tables are exactly
Orlop's and its pages are whole; no view, trigger or function of it is ever run.
"""

import contextlib
import functools
import sqlite3
from collections.abc import Iterator, Sequence

from orlop.errors import (
    AlreadyExists,
    Locked,
    Malformed,
    NoPermission,
    NoSpace,
    NotFound,
    OrlopError,
    ReadOnly,
    StorageFailure,
    Unsupported,
    WrongKind,
)
from orlop.fs import Root
from orlop.rkt import layout
from orlop.rkt.catalogue import (
    VERSION,
    ZERO_TIME,
    Contents,
    DropImage,
    DropRemote,
    Edit,
    ImageRow,
    PutImage,
    PutRemote,
    RemoteRow,
    SetLatest,
    SetTreeSize,
    UseImage,
)
from orlop.rkt.files import Files
from orlop.rkt.keylocks import PATIENCE, locked
from orlop.rkt.sqliteschema import APPLICATION, SCHEMA, VERSION_TABLE, Schema
from orlop.rkt.sqlitewal import LARGEST, applied, self_contained

MODE = 0o660
"""Of the database: the store's group writes there, as in all of its folders."""

_HEADER = b"SQLite format 3\0"
_LOG, _INDEX = "-wal", "-shm"


class SqliteFormat:
    """`orlop.rkt.catalogue.Format` of ``db/orlop.sqlite3``: pure functions over its bytes.

    `Contents.version` is `VERSION` for the present tables, and as much less as a file
    is older.
    """

    def __init__(self, schema: Schema = SCHEMA) -> None:
        self._schema = schema

    def contents(self, data: bytes) -> Contents:
        with _in_memory(data) as connection:
            version = _version(connection, self._schema)
            _migrate(connection, version, self._schema)
            _check(connection, self._schema)
            return _contents(connection, VERSION - (self._schema.version - version))

    def edited(self, data: bytes, edits: Sequence[Edit]) -> bytes:
        with _in_memory(data) as connection:
            _refuse_other(_version(connection, self._schema), self._schema)
            _check(connection, self._schema)
            if not edits:
                return data
            connection.execute("BEGIN")
            _apply(connection, edits)
            connection.execute("COMMIT")
            return connection.serialize()

    def empty(self) -> bytes:
        return _empty(self._schema.version, self._schema.statements)


class SqliteCatalogue:
    """`orlop.rkt.catalogue.Catalogue` of the ``db/orlop.sqlite3`` of a store.

    Args:
        root: the store's folder; it stays the caller's.
        files: what makes the file; None: as the library does.
        patience: seconds to wait for another program's transaction.
        schema: the tables; None: those of today.
    """

    path = layout.SQLITE

    def __init__(
        self, root: Root, *, files: Files | None = None, patience: float = PATIENCE, schema: Schema = SCHEMA
    ) -> None:
        self._root = root
        self._files = Files(root) if files is None else files
        self._patience = patience
        self._schema = schema
        self._format = SqliteFormat(schema)

    def read(self) -> Contents:
        with self._transaction():
            data = whole(self._root)
        with _named(self.path):
            return self._format.contents(data)

    def change(self, edits: Sequence[Edit]) -> None:
        with self._transaction():
            self._check(edits)
            with _named(self.path), self._writing() as connection:
                _apply(connection, edits)

    def create(self) -> None:
        """Make a database with no rows, and the folder where it is missing.

        Raises:
            AlreadyExists: there is one, and it was left alone.
            Locked: another program is in a transaction.
        """
        self._files.make_folders(layout.DATABASE)
        with self._transaction():
            if not self._files.create(self.path, self._format.empty(), mode=MODE):
                raise AlreadyExists("there is a database", path=self.path, why="it was left alone")

    def migrate(self) -> None:
        """Bring older tables to those of today, in one transaction; nothing where they are.

        Raises:
            Unsupported: they are newer, or of a version that no step leads on from.
            As `read`.
        """
        with self._transaction(), _named(self.path):
            with _in_memory(whole(self._root)) as connection:
                version = _version(connection, self._schema)
                _migrate(connection, version, self._schema)  # tried where nothing can be lost
                _check(connection, self._schema)
            if version != self._schema.version:
                with self._writing() as connection:
                    _migrate(connection, version, self._schema)

    # --- inside ------------------------------------------------------------

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with locked(self._root, layout.DATABASE, exclusive=True, patience=self._patience):
            yield

    def _check(self, edits: Sequence[Edit]) -> None:
        """Try the edits where nothing can be lost: a file that is damaged is not written to."""
        with _named(self.path):
            self._format.edited(whole(self._root), edits)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction on the file itself; committed if the block ends well."""
        path = f"{self._root.path}/{self.path}"
        with _told(), contextlib.closing(_connect(path, self._patience)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def whole(root: Root, path: str = layout.SQLITE) -> bytes:
    """The bytes of a database of a store, with every commit that still lies in its log; nothing is written.

    Raises:
        NotFound: there is no such file.
        WrongKind: it, its log or its index is no regular file.
        TooLarge: more than `LARGEST` bytes.
        Malformed: its log makes it as large.
        NoPermission, StorageFailure
    """
    data = root.read(path, LARGEST)
    if root.exists(path + _INDEX) and (kind := root.stat(path + _INDEX).kind) != "file":
        raise WrongKind(kind, "file", path=path + _INDEX)
    try:
        log = root.read(path + _LOG, LARGEST)
    except NotFound:
        return data
    with _named(path + _LOG):
        return applied(data, log) if log else data


# --- one connection ----------------------------------------------------------


def _connect(path: str, patience: float) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=patience, isolation_level=None)
    connection.text_factory = _decoded
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


@contextlib.contextmanager
def _in_memory(data: bytes) -> Iterator[sqlite3.Connection]:
    if not data.startswith(_HEADER) or len(data) < 512:
        raise Malformed("not a database of SQLite")
    if data[18:20] not in (b"\x01\x01", b"\x02\x02"):
        raise Malformed("a database of a later SQLite, or a damaged one", field="byte 18")
    with _told(), contextlib.closing(_connect(":memory:", 0)) as connection:
        connection.deserialize(self_contained(data))
        connection.execute("PRAGMA journal_mode = MEMORY")
        yield connection


@functools.cache
def _empty(version: int, statements: tuple[str, ...]) -> bytes:
    with contextlib.closing(_connect(":memory:", 0)) as connection:
        connection.execute("PRAGMA page_size = 4096")
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute("BEGIN")
        for statement in statements:
            connection.execute(statement)
        connection.execute("INSERT INTO version VALUES (?)", (version,))
        connection.execute("COMMIT")
        return connection.serialize()


def _version(connection: sqlite3.Connection, schema: Schema) -> int:
    """The version that a file says it has.

    Raises:
        Malformed: it says none.
        Unsupported: a newer one, or one that no step leads on from.
    """
    if connection.execute("PRAGMA application_id").fetchone() != (APPLICATION,):
        raise Malformed("a database of another program")
    if ("table", "version", "version", VERSION_TABLE) not in _objects(
        connection
    ):  # a view or virtual table is not read
        raise Malformed("it has no table version")
    rows = connection.execute("SELECT version FROM version LIMIT 2").fetchall()
    if len(rows) != 1 or not isinstance(rows[0][0], int):
        raise Malformed("its table version does not hold one number")
    version = int(rows[0][0])
    if version > schema.version or not schema.reaches(version):
        raise Unsupported(
            f"the tables of the database have version {version}, and this Orlop reads up to {schema.version}",
            do="use the Orlop that wrote it" if version > schema.version else "",
        )
    return version


def _refuse_other(version: int, schema: Schema) -> None:
    if version != schema.version:
        raise Unsupported(
            f"the tables of the database have version {version}, and only version {schema.version} is changed",
            do="open the store with the library once: it brings them to the present version",
        )


def _migrate(connection: sqlite3.Connection, version: int, schema: Schema) -> None:
    for number in range(version, schema.version):
        schema.migrations[number](connection)
        connection.execute("UPDATE version SET version = ?", (number + 1,))


def _check(connection: sqlite3.Connection, schema: Schema) -> None:
    """Make sure that a file holds the tables of a schema, nothing else, and whole pages.

    Raises:
        Malformed: it does not.
    """
    with contextlib.closing(_connect(":memory:", 0)) as model:
        model.deserialize(_empty(schema.version, schema.statements))
        expected = _objects(model)
    if _objects(connection) != expected:
        raise Malformed("it does not hold the tables that Orlop made, or others too")
    found = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != ("ok",):
        raise Malformed(f"its pages are damaged: {found[0] if found else 'nothing can be said'}")


def _objects(connection: sqlite3.Connection) -> frozenset[tuple[object, ...]]:
    return frozenset(connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master LIMIT 100").fetchall())


# --- rows --------------------------------------------------------------------

_IMAGES = "SELECT key, name, imported, last_used, latest, size, tree_size FROM image ORDER BY position DESC"
_REMOTES = "SELECT url, signature_url, etag, key, max_age, downloaded FROM remote ORDER BY position DESC"

_TEXT = "CAST(? AS TEXT)"  # of bytes, which need not be UTF-8


def _contents(connection: sqlite3.Connection, version: int) -> Contents:
    return Contents(
        version=version,
        images=tuple(_image(row) for row in connection.execute(_IMAGES)),
        remotes=tuple(_remote(row) for row in connection.execute(_REMOTES)),
    )


def _image(row: Sequence[object]) -> ImageRow:
    return ImageRow(
        key=_as_text(row[0]),
        name=_as_text(row[1]),
        imported=_as_time(row[2]),
        last_used=_as_time(row[3]),
        latest=bool(_as_number(row[4])),
        size=_as_number(row[5]),
        tree_size=_as_number(row[6]),
    )


def _remote(row: Sequence[object]) -> RemoteRow:
    return RemoteRow(
        url=_as_text(row[0]),
        signature_url=_as_text(row[1]),
        etag=_as_text(row[2]),
        key=_as_text(row[3]),
        max_age=_as_number(row[4]),
        downloaded=_as_time(row[5]),
    )


def _as_text(value: object) -> str:
    if not isinstance(value, str):
        raise Malformed("a row holds something else where a text must be")
    return value


def _as_number(value: object) -> int:
    if not isinstance(value, int):
        raise Malformed("a row holds something else where a number must be")
    return value


def _as_time(value: object) -> int:
    return ZERO_TIME if value is None else _as_number(value)


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise Malformed("a text holds half of a surrogate pair") from error


def _time(value: int) -> int | None:
    if value == ZERO_TIME:
        return None
    if not -(1 << 63) <= value < 1 << 63:
        raise Malformed("a time before 1677 or after 2262, which 64 bits of nanoseconds do not hold")
    return value


def _apply(connection: sqlite3.Connection, edits: Sequence[Edit]) -> None:
    for edit in edits:
        try:
            _edit(connection, edit)
        except OverflowError as error:
            raise Malformed("a number does not fit into 64 bits") from error


def _edit(connection: sqlite3.Connection, edit: Edit) -> None:
    run = connection.execute
    match edit:
        case PutImage(row=image):
            run(f"DELETE FROM image WHERE key = {_TEXT}", (_encoded(image.key),))
            run(
                "INSERT INTO image (key, name, imported, last_used, latest, size, tree_size)"
                f" VALUES ({_TEXT}, {_TEXT}, ?, ?, ?, ?, ?)",
                (
                    _encoded(image.key),
                    _encoded(image.name),
                    _time(image.imported),
                    _time(image.last_used),
                    int(image.latest),
                    image.size,
                    image.tree_size,
                ),
            )
        case DropImage():
            run(f"DELETE FROM image WHERE key = {_TEXT}", (_encoded(edit.key),))
            run(f"DELETE FROM remote WHERE key = {_TEXT}", (_encoded(edit.key),))
        case SetLatest():
            run(f"UPDATE image SET latest = ? WHERE key = {_TEXT}", (int(edit.latest), _encoded(edit.key)))
        case SetTreeSize():
            run(f"UPDATE image SET tree_size = ? WHERE key = {_TEXT}", (edit.size, _encoded(edit.key)))
        case UseImage():
            at, key = _time(edit.at), _encoded(edit.key)
            newest = "(SELECT max(position) + 1 FROM image)"
            run(f"UPDATE image SET last_used = ?, position = {newest} WHERE key = {_TEXT}", (at, key))
        case PutRemote(row=remote):
            run(f"DELETE FROM remote WHERE url = {_TEXT}", (_encoded(remote.url),))
            run(
                "INSERT INTO remote (url, signature_url, etag, key, max_age, downloaded)"
                f" VALUES ({_TEXT}, {_TEXT}, {_TEXT}, {_TEXT}, ?, ?)",
                (
                    _encoded(remote.url),
                    _encoded(remote.signature_url),
                    _encoded(remote.etag),
                    _encoded(remote.key),
                    remote.max_age,
                    _time(remote.downloaded),
                ),
            )
        case DropRemote():
            run(f"DELETE FROM remote WHERE url = {_TEXT}", (_encoded(edit.url),))


# --- errors ------------------------------------------------------------------


@contextlib.contextmanager
def _named(path: str) -> Iterator[None]:
    """Give an error about bytes the path of the file that they are of."""
    try:
        yield
    except OrlopError as error:
        error.path = error.path or path
        raise


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:  # SQLite's own words quote bytes of the file
        raise Malformed("SQLite cannot read it") from error
    except sqlite3.Error as error:
        raise _translated(error) from error


def _translated(error: sqlite3.Error) -> OrlopError:
    """The answer of SQLite as an error of Orlop (result codes: sqlite.org/rescode.html)."""
    what = "the database cannot be written"
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Locked("another program is in a transaction", do="try again when it has ended")
    if code == sqlite3.SQLITE_READONLY:
        return ReadOnly(what, why=str(error))
    if code == sqlite3.SQLITE_FULL:
        return NoSpace(what, why=str(error), do="free some space on this file system")
    if code in (sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_CANTOPEN):
        return NoPermission(what)
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM):
        return StorageFailure(what, why=str(error))
    return Malformed(f"SQLite cannot read it: {error}")
