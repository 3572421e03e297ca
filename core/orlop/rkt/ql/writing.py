"""A database written anew as a whole: what `read` gave, with whatever was changed in it.

The order of the blocks is always the same, so equal databases give equal files: the
root, the row counter, a block for each index; then table by table, oldest first, the
rows, oldest first, so that each links to one that is already there; the pages of its
indexes; its head; its record. What ql reads in such a file is the same as in its own:
rkt 1.30.0 lists, adds, updates and removes in it.

Not kept are the indexes' pages, which are built from the rows, and the column ``Root``
of ``__Index2``, which repeats where the indexes lie.
"""

from collections.abc import Iterable

from orlop.errors import Malformed
from orlop.rkt.ql import indexes, scalars
from orlop.rkt.ql.blocks import Writer
from orlop.rkt.ql.model import INDEXES, Blob, Column, Database, Row, Table, Value
from orlop.rkt.ql.reading import MOST_COLUMNS, MOST_TABLES

_ROOT_COLUMN = 4
_SHORT_BLOB = 256
_CHUNK = 1 << 16

_Handles = dict[tuple[str, str], int]
"""Of the indexes, by the names of table and index."""


def write(database: Database) -> bytes:
    """The whole file of a database; the same database gives the same bytes.

    Raises:
        Malformed: it cannot be written: a value too large, two rows that a unique index
            does not allow, an index in the tables of ql that no table has.
    """
    _check(database)
    writer = Writer()
    writer.add(b"\0")
    writer.add(database.last_id.to_bytes(8, "big", signed=True))
    handles: _Handles = {}
    places: dict[tuple[str, str], int] = {}
    for table in database.tables:
        for index in table.indexes or ():
            places[table.name, index.name] = len(writer)
            handles[table.name, index.name] = writer.add(bytes(7))
    link = 0
    for table in reversed(database.tables):
        link = _table(writer, table, link, handles, places)
    writer.set(0, scalars.encode(link))
    return writer.data()


def _check(database: Database) -> None:
    names = [table.name for table in database.tables]
    if len(set(names)) != len(names) or len(names) > MOST_TABLES:
        raise Malformed("two tables have the same name, or there are too many")
    for table in database.tables:
        listed = table.indexes or ()
        slots = [index.slot for index in listed]
        if sorted(set(slots)) != slots or any(not 0 <= slot <= len(table.columns) for slot in slots):
            raise Malformed(f"the indexes of the table {table.name!r} are not in the order of its columns")
        if len(table.columns) > MOST_COLUMNS or any(len(row.values) > len(table.columns) for row in table.rows):
            raise Malformed(f"a row of the table {table.name!r} has more values than columns")
    if not -(1 << 63) <= database.last_id < 1 << 63:
        raise Malformed("the row counter does not fit 64 bits")


def _table(writer: Writer, table: Table, link: int, handles: _Handles, places: _Handles) -> int:
    """Write one table, and give the handle of its record."""
    rows = _rows(writer, table.name, _rooted(table.rows, handles) if table.name == INDEXES else table.rows)
    for index in table.indexes or ():
        content = indexes.build(writer, indexes.entries(index, rows))
        writer.set(places[table.name, index.name], content)
    head = writer.add(scalars.encode(rows[0][1] if rows else 0))
    record: list[scalars.Scalar] = [link, _columns(table.columns), head, table.name]
    if table.indexes is not None:
        by_slot = {index.slot: index for index in table.indexes}
        slots = [by_slot.get(slot) for slot in range(len(table.columns) + 1)]
        texts = "|".join("" if index is None else "nu"[index.unique] + index.name for index in slots)
        roots = scalars.encode(*(None if index is None else handles[table.name, index.name] for index in slots))
        record += [texts, writer.add(roots)]
    return writer.add(scalars.encode(*record))


def _rows(writer: Writer, table: str, rows: tuple[Row, ...]) -> list[tuple[Row, int]]:
    """Write rows, and give them with their handles, newest first."""
    written: list[tuple[Row, int]] = []
    link = 0
    for row in reversed(rows):
        try:
            link = writer.add(scalars.encode(link, row.id, *(_value(writer, value) for value in row.values)))
        except Malformed as error:
            raise Malformed(error.why, field=f"the row {row.id} of {table}") from error
        written.append((row, link))
    return written[::-1]


def _rooted(rows: Iterable[Row], handles: _Handles) -> tuple[Row, ...]:
    """The rows of ``__Index2`` with the new handles."""
    rooted = []
    for row in rows:
        handle = handles.get((str(row.value(0)), str(row.value(1))))
        if handle is None or len(row.values) != _ROOT_COLUMN + 1:
            raise Malformed(
                f"the index {row.value(1)!r} is in no table's list", field=INDEXES, do="rebuild the database"
            )
        rooted.append(Row(row.id, (*row.values[:_ROOT_COLUMN], handle)))
    return tuple(rooted)


def _value(writer: Writer, value: Value) -> scalars.Scalar:
    """A value as a row holds it; a long one goes on in further blocks, the last part written first."""
    if not isinstance(value, Blob):
        return value
    data, link = value.data, 0
    while len(data) > _SHORT_BLOB:
        part, data = data[-_CHUNK:], data[:-_CHUNK]
        link = writer.add(scalars.encode(link, part) if link else scalars.encode(part))
    return scalars.encode(value.kind, link, data) if link else scalars.encode(value.kind, data)


def _columns(columns: tuple[Column, ...]) -> str:
    return "|".join(column.type + column.name for column in columns)
