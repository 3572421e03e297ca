"""Indexes: keys, and the pages of the tree that they lie in.

An index is a block with the 7-byte handle of its root page, zeros where it is empty.
A data page is ``01``, the handles of the pages before and after it, and items of 38
bytes: a field of 19 for the key and one for the value. A field is a length below 19,
as many bytes and zeros; or ``ff``, the first 11 bytes and the handle of a block with
the rest. An inner page is ``00``, a child, and pairs of a data page and a child: the
keys below the child are those from the first one of that data page on.

A unique index maps (value, 0) to (row); any other, and null in a unique one, maps
(value, row) to (0). The row is its handle. Keys are ordered by what they decode to.

Facts: cznic/exp/lldb (2015), btree.go (kKV = 19, kData = kIndex = 256) and gb.go
(Collate); cznic/ql file.go as vendored by rkt v1.30.0.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orlop.errors import Malformed
from orlop.rkt.ql import scalars, times
from orlop.rkt.ql.blocks import Blocks, Writer, malformed, offset_of
from orlop.rkt.ql.model import TIME, Blob, Index, Row, Value

PER_DATA_PAGE = 384
"""Items that a page of a new file gets at most; ql keeps between 256 and 512, the last pages aside."""
PER_INNER_PAGE = 384
"""Children of an inner page of a new file; ql keeps between 256 and 515."""

_FULLEST_DATA_PAGE = 512
_FULLEST_INNER_PAGE = 514
_FIELD = 19
_HEAD = 11
_ITEM = 2 * _FIELD
_HANDLE = 7
_DATA, _INNER = 1, 0
_DEEPEST = 8

Key = tuple[int, int | bytes, int]
"""What keys are ordered by: the rank of the value's type, the value, the row's handle or 0."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One item of an index, as bytes."""

    key: bytes
    value: bytes


def order(value: Value, tail: int) -> Key:
    """What a key is ordered by: null, then false and true, numbers, times, and texts by their bytes.

    Raises:
        Malformed: values of this kind cannot be ordered here; no index of rkt is on such.
    """
    match value:
        case None:
            return (0, 0, tail)
        case bool():
            return (1, int(value), tail)
        case int():
            return (2, value, tail)
        case Blob(kind=kind, data=data) if kind == TIME:
            return (3, times.parse(data), tail)
        case str():
            return (4, scalars.text_bytes(value), tail)
    raise Malformed("an index is on a column whose values cannot be put in order")


def indexed(index: Index, row: Row) -> Value:
    """The value of a row that an index is on."""
    return row.id if index.slot == 0 else row.value(index.slot - 1)


def entries(index: Index, rows: Sequence[tuple[Row, int]]) -> list[Entry]:
    """The items of an index, in order.

    Args:
        index: which one.
        rows: every row of the table with its handle.

    Raises:
        Malformed: two rows have a value that must be unique; or a value cannot be put in order.
    """
    keyed: list[tuple[Key, Entry]] = []
    for row, handle in rows:
        value = indexed(index, row)
        alone = index.unique and value is not None
        tail = 0 if alone else handle
        inside = scalars.encode(TIME, value.data) if isinstance(value, Blob) else value
        entry = Entry(scalars.encode(inside, tail), scalars.encode(handle if alone else 0))
        keyed.append((order(value, tail), entry))
    keyed.sort(key=lambda pair: pair[0])
    for (before, _), (here, _) in itertools.pairwise(keyed):
        if before == here:
            raise Malformed(f"two rows have the same value in the unique index {index.name!r}: {here[1]!r}")
    return [entry for _, entry in keyed]


# --- writing -----------------------------------------------------------------


def build(
    writer: Writer, items: Sequence[Entry], *, per_page: int = PER_DATA_PAGE, children: int = PER_INNER_PAGE
) -> bytes:
    """Write the pages of an index, and give what its own block holds: the handle of the root page.

    Args:
        writer: where the pages go.
        items: in order.
        per_page: items of a page at most, where one page is not enough for all.
        children: of an inner page at most, where one is not enough for all.
    """
    if not items:
        return bytes(_HANDLE)
    limit = _FULLEST_DATA_PAGE if per_page == PER_DATA_PAGE else per_page
    groups = _shared(items, per_page) if len(items) > limit else [items]
    level = _data_pages(writer, groups)
    while len(level) > 1:
        level = [_inner_page(writer, group) for group in _shared(level, children)]
    return _handle_bytes(level[0][0])


def _data_pages(writer: Writer, groups: Sequence[Sequence[Entry]]) -> list[tuple[int, int]]:
    """Write linked data pages; each as (handle, first data page below it), as inner pages take them."""
    fields = [b"".join(_field(writer, e.key) + _field(writer, e.value) for e in group) for group in groups]
    first = writer.next
    sizes = [(1 + 2 * _HANDLE + len(items)) for items in fields]
    handles = [first]
    for size in sizes:
        handles.append(handles[-1] + Writer.atoms(size))
    for index, items in enumerate(fields):
        before = handles[index - 1] if index else 0
        after = handles[index + 1] if index + 1 < len(fields) else 0
        writer.add(bytes((_DATA,)) + _handle_bytes(before) + _handle_bytes(after) + items)
    return [(handle, handle) for handle in handles[:-1]]


def _inner_page(writer: Writer, group: Sequence[tuple[int, int]]) -> tuple[int, int]:
    parts = [bytes((_INNER,)), _handle_bytes(group[0][0])]
    for child, first in group[1:]:
        parts += (_handle_bytes(first), _handle_bytes(child))
    return writer.add(b"".join(parts)), group[0][1]


def _shared(items: Sequence, most: int) -> list:  # type: ignore[type-arg]
    """Items in groups that differ by one at most, so that none is too small."""
    count = -(-len(items) // most)
    return [items[len(items) * i // count : len(items) * (i + 1) // count] for i in range(count)]


def _field(writer: Writer, content: bytes) -> bytes:
    if len(content) < _FIELD:
        return bytes((len(content),)) + content + bytes(_FIELD - 1 - len(content))
    return b"\xff" + content[:_HEAD] + _handle_bytes(writer.add(content[_HEAD:]))


def _handle_bytes(handle: int) -> bytes:
    return handle.to_bytes(_HANDLE, "big")


# --- reading -----------------------------------------------------------------


def walk(blocks: Blocks, handle: int) -> Iterator[Entry]:
    """Every item of an index as its pages have it, in their order.

    Args:
        blocks: the file.
        handle: of the index.

    Raises:
        Malformed: the pages do not parse, form a loop, or are not linked in the order of the tree.
    """
    root = blocks.take(handle)
    if len(root) != _HANDLE:
        raise malformed(offset_of(handle), f"an index has {len(root)} bytes, not {_HANDLE}")
    before = 0
    expected: int | None = None
    for page, content in _pages(blocks, int.from_bytes(root, "big")):
        here = offset_of(page)
        if int.from_bytes(content[1:8], "big") != before or (expected is not None and expected != page):
            raise malformed(here, "a page of an index is not linked to the one before it")
        before, expected = page, int.from_bytes(content[8:15], "big")
        for at in range(15, len(content), _ITEM):
            yield Entry(
                _content(blocks, content[at : at + _FIELD], here),
                _content(blocks, content[at + _FIELD : at + _ITEM], here),
            )
    if expected:
        raise malformed(offset_of(before), "the last page of an index is linked to another")


def _pages(blocks: Blocks, root: int) -> Iterator[tuple[int, bytes]]:
    """The data pages below a root, left to right."""
    pending = [(root, 0, 0)] if root else []
    while pending:
        handle, depth, first = pending.pop()
        content = blocks.take(handle)
        size = len(content)
        if size >= 15 and content[0] == _DATA and (size - 15) % _ITEM == 0 and size <= 15 + _ITEM * _FULLEST_DATA_PAGE:
            if first not in (0, handle):
                raise malformed(offset_of(handle), "a page of an index is not where the page above says")
            yield handle, content
        elif size >= 8 and content[0] == _INNER and (size - 8) % 14 == 0 and size <= 8 + 14 * _FULLEST_INNER_PAGE:
            if depth == _DEEPEST:
                raise malformed(offset_of(handle), f"an index has more than {_DEEPEST} levels")
            handles = [int.from_bytes(content[at : at + _HANDLE], "big") for at in range(1, size, _HANDLE)]
            firsts = [first, *handles[1::2]]
            pending += [(child, depth + 1, low) for child, low in zip(handles[::2], firsts, strict=True)][::-1]
        else:
            raise malformed(offset_of(handle), f"a page of an index has {size} bytes, which no page can have")


def _content(blocks: Blocks, field: bytes, here: int) -> bytes:
    length = field[0]
    if length < _FIELD:
        return field[1 : 1 + length]
    handle = int.from_bytes(field[1 + _HEAD :], "big")
    try:
        return field[1 : 1 + _HEAD] + blocks.take(handle)
    except Malformed as error:
        raise malformed(here, f"an item of an index: {error.why}") from error
