"""The catalogue as the store door reads it: without a lock, and while other programs write it.

A transaction of rkt's is over within milliseconds, and until then its write-ahead log
holds something. So a reading counts only if neither the database nor its log changed
meanwhile, and one that meets a transaction is tried again. A log that nobody works on
is what a killed program left: the rows are shown as it would have them.
"""

import hashlib
import time
from collections.abc import Iterable
from typing import TypeAlias

from orlop import locks
from orlop.errors import Malformed, NotFound, OrlopError, Unsupported, WrongKind
from orlop.fs import Root
from orlop.rkt import layout, ql
from orlop.rkt.catalogue import VERSION, Contents
from orlop.rkt.model import CatalogueFile, CatalogueState
from orlop.rkt.ql import contents as ql_rows
from orlop.rkt.qlcatalogue import LOG

LIMIT = 64 << 20
"""Bytes of a catalogue that are read at most: some hundred thousand rows."""

QL, SQLITE = "ql", "sqlite"
"""`CatalogueFile.kind`."""

SQLITE_LOG = f"{layout.SQLITE}-wal"
SQLITE_JOURNAL = f"{layout.SQLITE}-journal"

NO_ROWS = Contents(version=VERSION, images=(), remotes=())

_TRIES = 6
_PAUSE = 0.01

RowsVersion: TypeAlias = tuple[tuple[int, ...] | None, ...]
"""Opaque; differs whenever a file of the catalogue is another one or was written to."""


def catalogue_file(root: Root) -> CatalogueFile:
    """Read the catalogue of a store: Orlop's own kind where there is one, else rkt's; nothing makes this fail."""
    kind = SQLITE if _is_there(root, layout.SQLITE) else QL
    path, logs = (layout.SQLITE, (SQLITE_LOG, SQLITE_JOURNAL)) if kind == SQLITE else (layout.QL, (LOG,))
    try:
        data, found, steady = _reading(root, path, logs)
    except NotFound:
        return _without_rows(kind, path, CatalogueState.MISSING, why="there is no such file")
    except WrongKind as error:
        return _without_rows(kind, path, CatalogueState.DAMAGED, why=f"{error.what}, and {error.why}")
    except OrlopError as error:
        return _without_rows(kind, path, CatalogueState.UNREADABLE, why=error.why or error.what)
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    log_path = next((log for log, content in zip(logs, found, strict=True) if content), "")
    try:
        contents = _contents(kind, data, found)
    except Unsupported as error:
        return _without_rows(kind, path, CatalogueState.LATER, error=error, digest=digest)
    except Malformed as error:
        return _without_rows(kind, path, CatalogueState.DAMAGED, error=error, digest=digest, log_path=log_path)
    except OrlopError as error:
        return _without_rows(kind, path, CatalogueState.UNREADABLE, why=str(error), digest=digest, log_path=log_path)
    state = CatalogueState.GOOD if contents.version == VERSION else CatalogueState.OLD
    why = (
        f"its tables have version {contents.version}, and only {VERSION} can be changed"
        if state is CatalogueState.OLD
        else ""
    )
    if log_path:
        state = CatalogueState.PENDING
        why = _pending(kind, found) if steady else "another program is in a transaction just now"
    return CatalogueFile(
        kind=kind,
        path=path,
        state=state,
        digest=digest,
        contents=contents,
        why=why,
        engine_says="(file-001) non empty WAL file exists" if log_path and kind == QL else "",
        log_path=log_path,
    )


def rows_version(root: Root) -> RowsVersion:
    """The version of every file that the rows may come from, or be in the way of."""
    try:
        return _versions(root, (layout.SQLITE, SQLITE_LOG, SQLITE_JOURNAL, layout.QL, LOG))
    except OrlopError:
        return ()  # it cannot be looked at, and reading it will say why


def _without_rows(
    kind: str,
    path: str,
    state: CatalogueState,
    *,
    why: str = "",
    error: OrlopError | None = None,
    digest: str | None = None,
    log_path: str = "",
) -> CatalogueFile:
    if error is not None:
        why = error.why if isinstance(error, Malformed) else error.what
    return CatalogueFile(
        kind=kind,
        path=path,
        state=state,
        digest=digest,
        contents=NO_ROWS,
        why=why,
        engine_says=error.engine if error is not None else "",
        log_path=log_path,
    )


# --- bytes that belong together ----------------------------------------------


def _reading(root: Root, path: str, logs: tuple[str, ...]) -> tuple[bytes, tuple[bytes, ...], bool]:
    """The bytes of the database and of its logs, and whether they stood still.

    Raises:
        NotFound, WrongKind, TooLarge, NoPermission, StorageFailure: the database cannot be read.
    """
    steady = False
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE)
        before = _versions(root, (path, *logs))
        found = tuple(_log(root, log) for log in logs)
        data = root.read(path, LIMIT)
        steady = _versions(root, (path, *logs)) == before
        if steady and not (any(found) and _in_transaction(root)):
            return data, found, True
    return data, found, steady and not _in_transaction(root)


def _versions(root: Root, paths: Iterable[str]) -> RowsVersion:
    found: list[tuple[int, ...] | None] = []
    for name in paths:
        try:
            found.append(root.stat(name).version)
        except NotFound:
            found.append(None)
    return tuple(found)


def _log(root: Root, path: str) -> bytes:
    try:
        return root.read(path, LIMIT)
    except NotFound:
        return b""


def _in_transaction(root: Root) -> bool:
    """Whether a program holds the folder of the database, as each does for a transaction."""
    try:
        return locks.held(root, layout.DATABASE)[0]
    except OrlopError:
        return False  # it cannot be asked: what lies there is then taken as it is


def _is_there(root: Root, path: str) -> bool:
    try:
        return root.exists(path)
    except OrlopError:
        return False


# --- rows --------------------------------------------------------------------


def _contents(kind: str, data: bytes, logs: tuple[bytes, ...]) -> Contents:
    """
    Raises:
        Malformed, Unsupported
    """
    return _sqlite_contents(data, logs[0]) if kind == SQLITE else _ql_contents(data, logs[0])


def _ql_contents(data: bytes, log: bytes) -> Contents:
    """The rows as a decided log would have them; of one that was not decided, or does not fit, as they are."""
    if ql.wal_state(log) is ql.LogState.COMPLETE:
        try:
            return ql_rows.contents(ql.applied(data, log))
        except Malformed:
            return ql_rows.contents(data)
    return ql_rows.contents(data)


def _sqlite_contents(data: bytes, log: bytes) -> Contents:
    from orlop.rkt.sqlitecatalogue import SqliteFormat  # deferred: few stores have one
    from orlop.rkt.sqlitewal import applied

    return SqliteFormat().contents(applied(data, log) if log else data)


def _pending(kind: str, logs: tuple[bytes, ...]) -> str:
    if kind == SQLITE:
        return "its log holds something: a program was killed in a transaction"
    if ql.wal_state(logs[0]) is ql.LogState.COMPLETE:
        return "its write-ahead log is complete: a commit was decided and cut off; the rows are shown as it has them"
    return "its write-ahead log is incomplete: a commit was cut off before it was decided; the rows are as before it"
