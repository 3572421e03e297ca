"""The allocator inside a database file: blocks of 16-byte atoms, reached by handles.

The file begins with 16 bytes of header; everything after counts from there. A table
of 14 free lists takes 112 bytes, then blocks follow without a gap. Handle h is the
block at byte 16·(h + 7) of the file. Its first byte tells what it is::

    00–fb  used, content of that many bytes
    fc     used, content of as many bytes as the next two tell
    fd     the content is in the block with the handle that follows
    fe     free, one atom
    ff     free, several atoms

A used block is padded with zeros; its last byte is 1 where the content is compressed.

Facts: cznic/ql file.go as vendored by rkt v1.30.0; cznic/exp/lldb (2015), falloc.go.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from orlop.errors import Malformed
from orlop.rkt.ql import zappy

MAGIC = b"\x60\xdbql"
HEADER = MAGIC + bytes(12)
ATOM = 16
FREE_LISTS = bytes(14 * 8)
MOST_CONTENT = 65_787
"""Bytes that one block holds at most."""

_LONG, _MOVED, _FREE_ATOM, _FREE = 0xFC, 0xFD, 0xFE, 0xFF
_MOST_SHORT = 0xFB
_FIRST = len(HEADER) + len(FREE_LISTS)

# What a file may unpack to as a whole: compressed blocks of a few bytes could each claim 64 KiB.
_UNPACKED_FLOOR = 4 << 20
_UNPACKED_FACTOR = 4


def offset_of(handle: int) -> int:
    """The byte of the file at which the block of a handle begins."""
    return _FIRST + ATOM * (handle - 1)


def malformed(offset: int, why: str) -> Malformed:
    """The error for bytes that are not what they must be, at this byte of the file."""
    return Malformed(why, field=f"byte {offset}")


def check_header(data: bytes) -> None:
    """Make sure that this is such a file at all.

    Raises:
        Malformed: it is empty, too short, or something else.
    """
    if not data:
        raise Malformed(
            "the database is an empty file: its rows are lost",
            field="byte 0",
            do="move it away and rebuild the rows from the blobs and manifests; rkt takes an empty file for a new one",
        )
    if data[: len(MAGIC)] != MAGIC:
        raise Malformed(
            "not a ql database: the first bytes are not 60 db 71 6c",
            field="byte 0",
            engine="(file-002) unknown file format",
        )
    if len(data) < _FIRST or (len(data) - _FIRST) % ATOM:
        raise malformed(len(data), "the database is cut off in the middle")


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeBlock:
    """A block that holds nothing, and its neighbours in its free list; 0 for none."""

    handle: int
    atoms: int
    before: int
    after: int


class Blocks:
    """The contents of blocks, by handle; every content is asked for a bounded number of bytes in all.

    Raises:
        Malformed: the bytes are no such file.
    """

    def __init__(self, data: bytes) -> None:
        check_header(data)
        self._data = data
        self._left = len(data) * _UNPACKED_FACTOR + _UNPACKED_FLOOR
        self._taken: set[int] = set()

    def take(self, handle: int) -> bytes:
        """The content of a block that nothing else may refer to: a second time is an error, so no chain has an end.

        Raises:
            Malformed: there is no used block, or it was taken before.
        """
        if handle in self._taken:
            raise malformed(offset_of(handle), f"block {handle} is referred to twice: a loop, or rows that share it")
        self._taken.add(handle)
        return self.get(handle)

    def get(self, handle: int) -> bytes:
        """The content of a used block.

        Raises:
            Malformed: there is none with this handle.
        """
        data = self._data
        offset = offset_of(handle)
        if handle < 1 or offset >= len(data):
            raise Malformed(f"there is no block {handle}: the file ends at byte {len(data)}", field=f"byte {offset}")
        tag = data[offset]
        if tag == _MOVED:
            offset = offset_of(int.from_bytes(data[offset + 1 : offset + 8], "big"))
            if not _FIRST <= offset < len(data):
                raise malformed(offset, f"block {handle} was moved to beyond the end of the file")
            tag = data[offset]
            if tag == _MOVED:
                raise malformed(offset, f"block {handle} was moved to one that was moved too")
        if tag <= _MOST_SHORT:
            start, length = offset + 1, tag
        elif tag == _LONG:
            start, length = offset + 3, int.from_bytes(data[offset + 1 : offset + 3], "big")
            if length <= _MOST_SHORT:
                length += 1 << 16
        else:
            raise malformed(offset, f"block {handle} is free, where one in use must be")
        last = offset + (start + length - offset) // ATOM * ATOM + ATOM - 1
        if last >= len(data):
            raise malformed(offset, f"block {handle} of {length} bytes reaches beyond the end of the file")
        return self._content(offset, data[start : start + length], data[last])

    def walk(self) -> Iterator[FreeBlock | int]:
        """Every block from the first to the end of the file; used ones by their handle alone.

        Raises:
            Malformed: one reaches beyond the end, or a free one has no end.
        """
        data, offset = self._data, _FIRST
        while offset < len(data):
            handle = (offset - _FIRST) // ATOM + 1
            atoms, free = self._extent(handle, offset)
            end = offset + atoms * ATOM
            if atoms < 1 or end > len(data):
                raise malformed(offset, f"block {handle} reaches beyond the end of the file")
            if free is not None and data[end - 1] != data[offset]:
                raise malformed(offset, f"the free block {handle} has no end")
            yield handle if free is None else free
            offset = end

    def _extent(self, handle: int, offset: int) -> tuple[int, FreeBlock | None]:
        """How many atoms a block takes, and what it says where it is free."""
        data = self._data
        tag = data[offset]
        if tag <= _MOST_SHORT:
            return (tag + 1) // ATOM + 1, None
        if tag == _LONG:
            length = int.from_bytes(data[offset + 1 : offset + 3], "big")
            return ((length if length > _MOST_SHORT else length + (1 << 16)) + 3) // ATOM + 1, None
        if tag == _MOVED:
            return 1, None
        at = offset + (1 if tag == _FREE_ATOM else 8)
        atoms = 1 if tag == _FREE_ATOM else int.from_bytes(data[offset + 1 : offset + 8], "big")
        before, after = int.from_bytes(data[at : at + 7], "big"), int.from_bytes(data[at + 7 : at + 14], "big")
        return atoms, FreeBlock(handle=handle, atoms=atoms, before=before, after=after)

    def free_lists(self) -> tuple[int, ...]:
        """The first block of each free list, 0 where it is empty."""
        heads = self._data[len(HEADER) : _FIRST]
        return tuple(int.from_bytes(heads[at : at + 8], "big") for at in range(0, len(heads), 8))

    def _content(self, offset: int, content: bytes, compressed: int) -> bytes:
        if compressed:
            if compressed != 1:
                raise malformed(offset, f"a block ends in {compressed}, which is neither plain nor compressed")
            try:
                content = zappy.unpack(content, MOST_CONTENT)
            except Malformed as error:
                raise malformed(offset, error.why) from error
        self._left -= len(content)
        if self._left < 0:
            raise malformed(offset, "the blocks unpack to far more than such a file can mean")
        return content


class Writer:
    """A new file, block by block: nothing free, nothing moved, nothing compressed."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.next = 1
        """The handle that the next block will get."""

    @staticmethod
    def atoms(length: int) -> int:
        """How many atoms a block with a content of this length takes."""
        return (length + (1 if length <= _MOST_SHORT else 3)) // ATOM + 1

    def add(self, content: bytes) -> int:
        """Append a block, and give its handle.

        Raises:
            Malformed: the content is larger than a block can be.
        """
        length = len(content)
        if length <= _MOST_SHORT:
            block = bytes((length,)) + content
        elif length <= MOST_CONTENT:
            block = b"\xfc" + (length & 0xFFFF).to_bytes(2, "big") + content
        else:
            raise Malformed(f"a row of {length} bytes, where a block of the database holds {MOST_CONTENT}")
        handle = self.next
        self._parts.append(block + bytes(ATOM - len(block) % ATOM))
        self.next += self.atoms(length)
        return handle

    def set(self, index: int, content: bytes) -> None:
        """Give the block that was added as the `index`-th another content, which must fit its single atom."""
        block = bytes((len(content),)) + content
        self._parts[index] = block + bytes(ATOM - len(block))

    def __len__(self) -> int:
        """Blocks added so far: the index of the next one, for `set`."""
        return len(self._parts)

    def data(self) -> bytes:
        """The whole file."""
        return b"".join((HEADER, FREE_LISTS, *self._parts))
