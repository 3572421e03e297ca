"""A database file read whole: every table, column, index and row that it links to.

A table's record is ``[next table, columns, head, name]``, and with indexes
``[…, index list, roots]``; columns are ``<type><name>`` joined by ``|``. The head block
holds the handle of the first row, a row is ``[next row, id, values…]``. The index
list has a part for the row id and each column: empty, or ``u`` or ``n`` and a name.

Facts: cznic/ql storage.go and file.go as vendored by rkt v1.30.0; files that it wrote.
"""

from orlop.errors import Malformed
from orlop.rkt.ql import scalars
from orlop.rkt.ql.blocks import Blocks, malformed, offset_of
from orlop.rkt.ql.model import TIME, Blob, Column, Database, Index, Row, Table, Value

ROOT, COUNTER = 1, 2
"""The blocks that every file has: where the tables begin, and the row id given out last."""

# Far more than rkt has, so that no file of some megabytes fills the memory.
MOST_COLUMNS = 16
MOST_TABLES = 64
MOST_ROWS = 500_000

_PLAIN_TIME = bytes((0x55 + TIME, 0x27, 20))


def read(data: bytes) -> Database:
    """Everything that a file says; the indexes' pages are not looked at (`orlop.rkt.ql.faults` does).

    Args:
        data: the whole file.

    Raises:
        Malformed: it does not parse; the field names the byte of the file.
    """
    return Reader(data).database


class Reader:
    """One reading of a file, with where things lie in it.

    Attributes:
        blocks: the file's blocks.
        database: what it says.
        row_handles: the handles of the rows of each table, in the tables' order.
        index_handles: for each table the handle of each of its indexes.
    """

    def __init__(self, data: bytes) -> None:
        self.blocks = Blocks(data)
        self._rows_left = MOST_ROWS
        self.row_handles: list[list[int]] = []
        self.index_handles: list[tuple[int, ...]] = []
        root = self._record(ROOT, 1)
        counter = self.blocks.take(COUNTER)
        if len(counter) != 8:
            raise malformed(offset_of(COUNTER), f"the row counter has {len(counter)} bytes, not 8")
        tables: list[Table] = []
        handle = _handle(root, 0, ROOT) if root else 0
        while handle:
            if len(tables) == MOST_TABLES:
                raise malformed(offset_of(handle), f"more than {MOST_TABLES} tables")
            table, handle = self._table(handle)
            tables.append(table)
        self.database = Database(last_id=int.from_bytes(counter, "big", signed=True), tables=tuple(tables))

    def _record(self, handle: int, most: int) -> list[scalars.Scalar]:
        content = self.blocks.take(handle)
        try:
            return scalars.decode(content, most)
        except Malformed as error:
            raise malformed(offset_of(handle), error.why) from error

    def _table(self, handle: int) -> tuple[Table, int]:
        """One table, and the handle of the next."""
        record = self._record(handle, 6)
        if len(record) not in (4, 6):
            raise malformed(offset_of(handle), f"a table's record has {len(record)} values, not 4 or 6")
        name, columns = record[3], record[1]
        if not isinstance(name, str) or not isinstance(columns, str):
            raise malformed(offset_of(handle), "a table's name or columns are no text")
        parts = columns.split("|") if columns else []
        if len(parts) > MOST_COLUMNS or not all(parts):
            raise malformed(offset_of(handle), f"the table {name!r} has columns that cannot be read")
        table = Table(
            name=name,
            columns=tuple(Column(type=part[0], name=part[1:]) for part in parts),
            indexes=self._indexes(handle, record, len(parts)),
            rows=tuple(self._rows(_handle(record, 2, handle), len(parts))),
        )
        return table, _handle(record, 0, handle)

    def _indexes(self, handle: int, record: list[scalars.Scalar], columns: int) -> tuple[Index, ...] | None:
        if len(record) == 4:
            self.index_handles.append(())
            return None
        texts, roots_handle = record[4], _handle(record, 5, handle)
        roots = self._record(roots_handle, MOST_COLUMNS + 1) if roots_handle else []
        parts = texts.split("|") if isinstance(texts, str) and texts else []
        if len(parts) != len(roots) or len(parts) > columns + 1:
            raise malformed(offset_of(handle), "a table's list of indexes does not agree with their roots")
        found: list[Index] = []
        handles: list[int] = []
        for slot, (part, root) in enumerate(zip(parts, roots, strict=True)):
            if bool(part) != (root is not None) or (part and part[0] not in "un"):
                raise malformed(offset_of(handle), "a table's list of indexes does not agree with their roots")
            if part:
                handles.append(_handle(roots, slot, roots_handle))
                found.append(Index(name=part[1:], unique=part[0] == "u", slot=slot))
        self.index_handles.append(tuple(handles))
        return tuple(found)

    def _rows(self, head: int, columns: int) -> list[Row]:
        record = self._record(head, 1)
        handle = _handle(record, 0, head) if record else 0
        handles: list[int] = []
        rows: list[Row] = []
        while handle:
            if self._rows_left == 0:
                raise malformed(offset_of(handle), f"more than {MOST_ROWS} rows")
            self._rows_left -= 1
            values = self._record(handle, columns + 2)
            following = _handle(values, 0, handle)
            identity = values[1] if len(values) > 1 else None
            if type(identity) is not int:
                raise malformed(offset_of(handle), "a row has no id")
            handles.append(handle)
            rows.append(Row(identity, tuple([self._value(value, handle) for value in values[2:]])))
            handle = following
        self.row_handles.append(handles)
        return rows

    def _value(self, value: scalars.Scalar, handle: int) -> Value:
        if type(value) is not bytes:
            return value  # type: ignore[return-value]  # the exact type leaves no bytes
        if len(value) == 23 and value.startswith(_PLAIN_TIME):
            return Blob(TIME, value[3:])
        return self._blob(value, handle)

    def _blob(self, value: bytes, handle: int) -> Blob:
        """A value that tells its kind and may go on: ``[kind, (next,) bytes]``, then blocks of ``[(next,) bytes]``."""
        where = offset_of(handle)
        try:
            first = scalars.decode(value, 3)
        except Malformed as error:
            raise malformed(where, error.why) from error
        kind = first[0] if len(first) >= 2 else None
        if type(kind) is not int or not isinstance(first[-1], bytes):
            raise malformed(where, "a value of a row tells no kind, or has no bytes")
        parts = [first[-1]]
        following = _handle(first, 1, handle) if len(first) == 3 else 0
        while following:
            here, record = following, self._record(following, 2)
            if not record or not isinstance(record[-1], bytes):
                raise malformed(offset_of(here), "a value goes on in a block that has no bytes")
            parts.append(record[-1])
            following = _handle(record, 0, here) if len(record) == 2 else 0
        return Blob(kind, b"".join(parts))


def _handle(record: list[scalars.Scalar], index: int, owner: int) -> int:
    """A value that must be a handle, or 0 for none."""
    value = record[index] if index < len(record) else None
    if type(value) is not int or not 0 <= value < 1 << 56:
        raise malformed(offset_of(owner), "what must be a block's number is something else")
    return value
