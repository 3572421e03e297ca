"""The database format ql, version 1, in which rkt keeps ``db/ql.db``: read whole, and written anew as a whole.

No program that is alive reads it. `read` gives a `Database` of values, `write` makes a
file of one, `empty` is what rkt 1.30.0 makes of a new store, and `faults` tells where a
file contradicts itself. All are pure functions over bytes.
"""

from orlop.rkt.ql.faults import faults
from orlop.rkt.ql.model import TIME, Blob, Column, Database, Index, Row, Table, Value
from orlop.rkt.ql.reading import read
from orlop.rkt.ql.schema import empty_database
from orlop.rkt.ql.wal import Log, LogState, applied, wal_state
from orlop.rkt.ql.writing import write

__all__ = [
    "TIME",
    "Blob",
    "Column",
    "Database",
    "Index",
    "Log",
    "LogState",
    "Row",
    "Table",
    "Value",
    "applied",
    "empty",
    "faults",
    "read",
    "wal_state",
    "write",
]


def empty() -> bytes:
    """The file of a database that has the tables of schema version 7 and no image or remote."""
    return write(empty_database())
