"""The lines of a snapshot file: what each holds, and how they are written and read within bounds."""

import json
import zlib
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from orlop.errors import Malformed, TooLarge

MAGIC = "orlop-snapshot"
VERSION = 1
LINE_LIMIT = 16 << 20
"""Bytes of one line."""
WHOLE_LIMIT = 4 << 30
"""Bytes of all lines, unpacked."""
_GZIP = b"\x1f\x8b"
_BLOCK = 1 << 18
_GZIP_HEADER = bytes.fromhex("1f8b08000000000000ff")  # no name, no time: the same analysis gives the same bytes

Line = Mapping[str, object]


class Writer:
    """Writes lines, packed or not.

    Args:
        to: written once, from the start.
        packed: whether as gzip.
    """

    def __init__(self, to: BinaryIO, *, packed: bool) -> None:
        self._to = to
        self._deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS) if packed else None
        self._crc = 0
        self._length = 0
        self.count = 0
        """Lines so far."""
        self.bytes = 0
        """Written so far."""
        if packed:
            self._put(_GZIP_HEADER)

    def add(self, line: Line) -> bool:
        """Write a line; False, and nothing is written, for one that no reader takes."""
        data = json.dumps(line, separators=(",", ":")).encode("ascii") + b"\n"
        if len(data) > LINE_LIMIT:
            return False
        self.count += 1
        if self._deflate is None:
            self._put(data)
            return True
        self._crc = zlib.crc32(data, self._crc)
        self._length += len(data)
        self._put(self._deflate.compress(data))
        return True

    def close(self) -> None:
        """Write the last line, and the end."""
        self.add({"type": "end", "lines": self.count + 1})
        if self._deflate is not None:
            self._put(self._deflate.flush())
            self._put(self._crc.to_bytes(4, "little") + (self._length & 0xFFFFFFFF).to_bytes(4, "little"))

    def _put(self, data: bytes) -> None:
        self._to.write(data)
        self.bytes += len(data)


def is_snapshot(stream: BinaryIO) -> bool:
    """Whether a file begins as a snapshot does; the stream is at its beginning, and reads on from anywhere."""
    try:
        return next(lines(stream))[0].get("type") == MAGIC
    except (Malformed, TooLarge, StopIteration):
        return False


def lines(stream: BinaryIO) -> Iterator[tuple[dict[str, object], bytes]]:
    """The lines of a file, to its last one: each parsed, and as it is.

    Raises:
        Malformed: it is damaged, cut short, or no snapshot.
        TooLarge: a line, or all of them, have more bytes than are read.
        OSError: it cannot be read.
    """
    numbered = enumerate(_split(stream), 1)
    for count, raw in numbered:
        line = parsed(raw, count)
        if line.get("type") == "end":
            if line.get("lines") != count:
                raise Malformed(f"it has {count} lines, and its last one says {line.get('lines')}")
            if next(numbered, None) is not None:  # reading on also proves the checksum of a packed file
                raise Malformed("something follows its last line")
            return
        yield line, raw
    raise Malformed("it is cut short: its last line is missing", do="make or copy it again")


def parsed(raw: bytes, number: int = 0) -> dict[str, object]:
    """A line by its number, for the error.

    Raises:
        Malformed: it is no object.
    """
    try:
        line = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"line {number} is no JSON that Orlop wrote") from error
    if not isinstance(line, dict):
        raise Malformed(f"line {number} is no object")
    return line


def _split(stream: BinaryIO) -> Iterator[bytes]:
    begun: list[bytes] = []
    held = 0
    for block in _plain(stream):
        *whole, rest = block.split(b"\n")
        for line in whole:
            yield b"".join((*begun, line))
            begun, held = [], 0
        begun.append(rest)
        held += len(rest)
        if held > LINE_LIMIT:
            raise TooLarge(held, LINE_LIMIT)
    if held:
        raise Malformed("it is cut short, within a line", do="make or copy it again")


def _plain(stream: BinaryIO) -> Iterator[bytes]:
    """The bytes without compression, in blocks."""
    done = 0
    block = stream.read(_BLOCK)
    unpack = zlib.decompressobj(wbits=31) if block.startswith(_GZIP) else None
    while block:
        if unpack is None:
            text, block = block, b""
        else:
            try:
                text = unpack.decompress(block, _BLOCK)
            except zlib.error as error:
                raise Malformed(f"its compression is damaged: {error}") from error
            block = unpack.unconsumed_tail
        done += len(text)
        if done > WHOLE_LIMIT:
            raise TooLarge(done, WHOLE_LIMIT)
        yield text
        if not block:
            block = stream.read(_BLOCK)
            if unpack is not None and unpack.eof:
                return
    if unpack is not None and not unpack.eof:
        raise Malformed("it is cut short, within its compression", do="make or copy it again")
