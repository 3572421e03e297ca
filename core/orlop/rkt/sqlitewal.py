"""SQLite's write-ahead log, applied in memory: what a store holds that must not be opened for writing.

After a change the log is always empty. One that is not was left by a killed process;
SQLite would apply it at its next opening, and so it is read here.

Facts: sqlite.org/fileformat2.html, section 4 (format since 3.7.0).
"""

import struct
from collections.abc import Iterator, Mapping

from orlop.errors import Malformed

LARGEST = 256 << 20
"""Bytes that a database may have, with or without its log: more than a million images."""

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_MAGIC = 0x377F0682
"""With the lowest bit set, checksums are over big-endian words."""
_MASK = 0xFFFFFFFF


def self_contained(data: bytes) -> bytes:
    """The same database in a journal mode that needs no other file: bytes 18 and 19 of the header are 1."""
    return data[:18] + b"\x01\x01" + data[20:] if data[18:20] == b"\x02\x02" else data


def applied(data: bytes, log: bytes) -> bytes:
    """The database with every commit of the log that is whole; a torn end of it is not there, as to SQLite.

    Args:
        data: the database file.
        log: the file ``…-wal``.

    Raises:
        Malformed: the log makes it larger than `LARGEST`; a log of a few bytes can say so.
    """
    pages: dict[int, bytes] = {}
    size = 0
    pending: dict[int, bytes] = {}
    for number, pages_after, page in _frames(log):
        pending[number] = page
        if pages_after:
            pages.update(pending)
            pending.clear()
            size = pages_after
    if not size:
        return data
    return with_pages(data, pages, size)


def with_pages(data: bytes, pages: Mapping[int, bytes], count: int) -> bytes:
    """A database of so many pages, with some of them in the place of its own.

    Args:
        data: the database file.
        pages: at least one, all of one length, by number; the first has 1.
        count: of pages that it is to have.

    Raises:
        Malformed: that is more than `LARGEST`.
    """
    width = len(next(iter(pages.values())))
    size = count * width
    if size > LARGEST:
        raise Malformed(f"its log makes a database of {size} bytes, and no more than {LARGEST} are read")
    whole = bytearray(data[:size].ljust(size, b"\0"))
    for number, page in pages.items():
        if number <= count:
            whole[(number - 1) * width : number * width] = page
    return bytes(whole)


def _frames(log: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(page number, pages of the database after a commit or 0, page) of each frame until one does not fit."""
    if len(log) < _HEADER.size:
        return
    magic, _, width, _, *salts, first, second = _HEADER.unpack_from(log)
    if magic & ~1 != _MAGIC or not 512 <= width <= 65_536 or width & (width - 1):
        return
    order = ">" if magic & 1 else "<"
    sums = _checksum(order, (0, 0), log[:24])
    if sums != (first, second):
        return
    at = _HEADER.size
    while at + _FRAME.size + width <= len(log):
        number, pages_after, salt_one, salt_two, first, second = _FRAME.unpack_from(log, at)
        page = log[at + _FRAME.size : at + _FRAME.size + width]
        sums = _checksum(order, _checksum(order, sums, log[at : at + 8]), page)
        if [salt_one, salt_two] != salts or sums != (first, second) or not number:
            return
        yield number, pages_after, page
        at += _FRAME.size + width


def _checksum(order: str, sums: tuple[int, int], data: bytes) -> tuple[int, int]:
    one, two = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        one = (one + even + two) & _MASK
        two = (two + odd + one) & _MASK
    return one, two
