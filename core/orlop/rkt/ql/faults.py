"""Where a database contradicts itself: what reading does not need to look at, and rkt stumbles over.

The rows come from their chain alone, as rkt's own listing takes them; rkt finds a row by
its key in an index, and room for a new one in the free lists. A file whose index knows
a row that the chain has lost must not be rewritten from the chain.
"""

from collections.abc import Iterator

from orlop.errors import Malformed
from orlop.rkt.ql import indexes
from orlop.rkt.ql.blocks import Blocks, FreeBlock
from orlop.rkt.ql.model import INDEXES
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
    return (*index_faults(reader), *_space_faults(reader.blocks))


def index_faults(reader: Reader) -> list[str]:
    """Contradictions between the rows and the indexes, and between the indexes and ql's own table of them."""
    found: list[str] = []
    roots: dict[tuple[str, str], int] = {}
    for table, rows, handles in zip(reader.database.tables, reader.row_handles, reader.index_handles, strict=True):
        for index, handle in zip(table.indexes or (), handles, strict=True):
            roots[table.name, index.name] = handle
            try:
                expected = indexes.entries(index, list(zip(table.rows, rows, strict=True)))
                agrees = list(indexes.walk(reader.blocks, handle)) == expected
                why = "it does not list the rows that the table has"
            except Malformed as error:
                agrees, why = False, error.why
            if not agrees:
                found.append(f"the index {index.name} of the table {table.name} is damaged: {why}")
    own = reader.database.table(INDEXES)
    for row in own.rows if own is not None else ():
        if roots.get((str(row.value(0)), str(row.value(1)))) != row.value(4):
            found.append(f"ql's own record of the index {row.value(1)} leads elsewhere")
    return found


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
