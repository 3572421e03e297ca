"""A database as values: tables with their columns, indexes and rows, in the order in which they are stored."""

from dataclasses import dataclass
from typing import TypeAlias

TIME = 84
"""The kind of a `Blob` that is a time."""

INDEXES, EXPRESSIONS, DEFAULTS = "__Index2", "__Index2_Expr", "__Column2"
"""The tables in which the database keeps its own indexes, what they are on, and the columns' defaults."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A value that is no plain scalar; its bytes are kept as they are."""

    kind: int
    """`TIME`, or another number of a type of ql."""
    data: bytes


Value: TypeAlias = bool | int | str | Blob | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column; a dropped one keeps its place and has no name."""

    type: str
    """One letter: ``b`` bool, ``l`` integer, ``s`` text, ``T`` time."""
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """One index of a table."""

    name: str
    unique: bool
    slot: int
    """0: on the row id; n: on the column n − 1."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row; it may have fewer values than the table has columns, the rest are null."""

    id: int
    values: tuple[Value, ...]

    def value(self, index: int) -> Value:
        """The value of a column, by its place among all columns, dropped ones included."""
        return self.values[index] if index < len(self.values) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table."""

    name: str
    columns: tuple[Column, ...]
    indexes: tuple[Index, ...] | None
    """None where the table's record has no list of them, which differs on disk from an empty one."""
    rows: tuple[Row, ...]
    """Newest written first: the order of an unsorted scan."""

    def places(self) -> tuple[int, ...]:
        """The places in `Row.values` of the columns that are not dropped, in order."""
        return tuple(place for place, column in enumerate(self.columns) if column.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """All that a file says; what `read` gives and `write` takes."""

    last_id: int
    """The row id given out last, over all tables."""
    tables: tuple[Table, ...]
    """Newest first, as they are linked."""

    def table(self, name: str) -> Table | None:
        """The table of a name, or None."""
        return next((table for table in self.tables if table.name == name), None)
