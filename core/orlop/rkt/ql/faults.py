"""Where a database contradicts itself: what reading does not need to look at, and rkt stumbles over.

The rows come from their chain alone, as rkt's own listing takes them; rkt finds a row by
its key in an index, and room for a new one in the free lists. A file whose index knows
a row that the chain has lost must not be rewritten from the chain.
"""

from collections.abc import Iterator
from itertools import islice

from orlop.errors import Malformed
from orlop.rkt.ql import indexes
from orlop.rkt.ql.blocks import Blocks, FreeBlock
from orlop.rkt.ql.model import EXPRESSIONS, INDEXES
from orlop.rkt.ql.reading import Reader

_LEAST_ATOMS = (*(1 << power for power in range(13)), 4112)


def faults(data: bytes) -> tuple[str, ...]:
    """Each contradiction as a clause; none for a file that is whole.

    Args:
        data: the whole file.

    Raises:
        Malformed: not even its rows can be read.
    """
    reader = Reader(data)
    return (*row_faults(reader), *_space_faults(reader.blocks))


def row_faults(reader: Reader) -> list[str]:
    """Contradictions between rows, indexes and ql's own tables: a file with any must not be written anew."""
    return [*_id_faults(reader), *_index_faults(reader)]


def _id_faults(reader: Reader) -> Iterator[str]:
    ids = [row.id for table in reader.database.tables for row in table.rows]
    if len(set(ids)) != len(ids):
        yield "two rows have the same id"
    if max(ids, default=0) > reader.database.last_id:
        yield f"the row counter stands at {reader.database.last_id}, and a row has the id {max(ids)}"


def _index_faults(reader: Reader) -> Iterator[str]:
    roots: dict[tuple[str, str], int] = {}
    for table, rows, handles in zip(reader.database.tables, reader.row_handles, reader.index_handles, strict=True):
        for index, handle in zip(table.indexes or (), handles, strict=True):
            roots[table.name, index.name] = handle
            try:
                expected = indexes.entries(index, list(zip(table.rows, rows, strict=True)))
                agrees = list(islice(indexes.walk(reader.blocks, handle), len(expected) + 1)) == expected
                why = "it does not list the rows that the table has"
            except Malformed as error:
                agrees, why = False, error.why
            if not agrees:
                yield f"the index {index.name} of the table {table.name} is damaged: {why}"
    own, expressions = reader.database.table(INDEXES), reader.database.table(EXPRESSIONS)
    if own is None and expressions is None:
        return  # an older ql had no such tables
    if own is None or {(row.value(0), row.value(1)): row.value(4) for row in own.rows} != roots:
        yield "ql's own table of the indexes does not agree with the tables"
    elif expressions is None or {row.value(0) for row in expressions.rows} != {row.id for row in own.rows}:
        yield "ql's own table of what the indexes are on does not agree with that of the indexes"


def _space_faults(blocks: Blocks) -> Iterator[str]:
    """Contradictions in how the file is cut into blocks, and in the lists of those that are free."""
    free: dict[int, FreeBlock] = {}
    try:
        last = None
        for block in blocks.walk():
            if isinstance(block, FreeBlock):
                if isinstance(last, FreeBlock):
                    yield f"two free blocks lie side by side at block {block.handle}"
                free[block.handle] = block
            last = block
        if isinstance(last, FreeBlock):
            yield f"the file ends in a free block, {last.handle}"
    except Malformed as error:
        yield f"the blocks do not follow each other: {error.why}"
        return
    listed: set[int] = set()
    for number, head in enumerate(blocks.free_lists()):
        before, handle = 0, head
        while handle:
            here = free.get(handle)
            if here is None or handle in listed:
                yield f"the free list {number} leads to block {handle}, which is not free or is in a list already"
                break
            if here.before != before or _list_of(here.atoms) != number:
                yield f"the free block {handle} is in the wrong place of the free list {number}"
            listed.add(handle)
            before, handle = handle, here.after
    for handle in sorted(free.keys() - listed)[:1]:
        yield f"the free block {handle} is in no free list"


def _list_of(atoms: int) -> int:
    return max(number for number, least in enumerate(_LEAST_ATOMS) if atoms >= least)
