"""The tables that rkt 1.30.0 makes in a new database: schema version 7, no rows.

Facts: a store made by rkt 1.30.0 (order of the tables, ids of ql's own rows);
rkt v1.30.0, store/imagestore/schema.go.
"""

from orlop.rkt.ql.model import DEFAULTS, EXPRESSIONS, INDEXES, Column, Database, Index, Row, Table

_OWN_INDEXES = (
    # id of the row in __Index2, table, index, unique, column; the next id is the row of __Index2_Expr
    (18, "aciinfo", "nameidx", False, "name"),
    (16, "aciinfo", "blobkeyidx", True, "blobkey"),
    (12, DEFAULTS, "__Column2TableName", False, "TableName"),
    (10, "remote", "aciurlidx", True, "aciurl"),
    (8, INDEXES, "__xIndex2_IndexName", True, "IndexName"),
    (6, INDEXES, "__xIndex2_TableName", False, "TableName"),
    (4, INDEXES, "__xIndex2_ID", False, "id()"),
    (2, EXPRESSIONS, "__xIndex2_Expr_Index2_ID", False, "Index2_ID"),
)


def empty_database() -> Database:
    """A database with every table of version 7 and no image or remote."""
    return Database(
        last_id=19,
        tables=(
            _table("aciinfo", "sblobkey sname Timporttime Tlastused blatest lsize ltreestoresize"),
            _table(
                DEFAULTS,
                "sTableName sName bNotNull sConstraintExpr sDefaultExpr",
                Row(15, ("aciinfo", "treestoresize", False, "", "0")),
                Row(14, ("aciinfo", "size", False, "", "0")),
            ),
            _table(
                EXPRESSIONS,
                "lIndex2_ID sExpr",
                *(Row(row + 1, (row, column)) for row, _, _, _, column in _OWN_INDEXES),
            ),
            _table(
                INDEXES,
                "sTableName sIndexName bIsUnique bIsSimple lRoot",
                *(Row(row, (table, name, unique, True, 0)) for row, table, name, unique, _ in _OWN_INDEXES),
            ),
            _table("remote", "saciurl ssigurl setag sblobkey lcachemaxage Tdownloadtime"),
            _table("version", "lversion", Row(1, (7,))),
        ),
    )


def _table(name: str, columns: str, *rows: Row) -> Table:
    parsed = tuple(Column(type=part[0], name=part[1:]) for part in columns.split(" "))
    slots = {"id()": 0} | {column.name: slot for slot, column in enumerate(parsed, 1)}
    found = [
        Index(name=index, unique=unique, slot=slots[column])
        for _, table, index, unique, column in _OWN_INDEXES
        if table == name
    ]
    listed = tuple(sorted(found, key=lambda index: index.slot)) or None
    return Table(name=name, columns=parsed, indexes=listed, rows=rows)
