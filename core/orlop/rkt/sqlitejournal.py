"""SQLite's rollback journal, applied in memory: the pages from before a transaction that a killed process left.

A database that was never in WAL mode, or is just being brought into it, keeps the old
pages beside it until a transaction ends. SQLite puts them back at its next opening.

Facts: sqlite.org/fileformat2.html, section 3.
"""

import struct
from collections.abc import Iterator

from orlop.rkt.sqlitewal import with_pages

_HEADER = struct.Struct(">8s5I")
_MAGIC = bytes.fromhex("d9d505f920a163d7")
_NUMBER = struct.Struct(">I")
_TO_THE_END = 0xFFFFFFFF
_STEP = 200
_MASK = 0xFFFFFFFF


def rolled_back(data: bytes, journal: bytes) -> bytes:
    """The database as before the transaction; as it is where the journal holds nothing that counts.

    Args:
        data: the database file.
        journal: the file ``…-journal``.

    Raises:
        Malformed: as `with_pages`.
    """
    pages: dict[int, bytes] = {}
    count = 0
    for number, page, before in _records(journal):
        pages.setdefault(number, page)
        count = before
    return with_pages(data, pages, count) if pages else data


def _records(journal: bytes) -> Iterator[tuple[int, bytes, int]]:
    """(page number, page, pages of the database before) of each record, until one does not fit."""
    at = 0
    first: int | None = None
    while at + _HEADER.size <= len(journal):
        magic, count, nonce, before, sector, width = _HEADER.unpack_from(journal, at)
        if magic != _MAGIC or not _power(sector, 32, 65_536) or not _power(width, 512, 65_536):
            return
        first = before if first is None else first
        at += sector
        length = _NUMBER.size + width + _NUMBER.size
        if count == _TO_THE_END:
            count = max(len(journal) - at, 0) // length
        for _ in range(count):
            if at + length > len(journal):
                return
            (number,) = _NUMBER.unpack_from(journal, at)
            page = journal[at + _NUMBER.size : at + _NUMBER.size + width]
            (checksum,) = _NUMBER.unpack_from(journal, at + _NUMBER.size + width)
            if not number or checksum != _checksum(nonce, page):
                return
            yield number, page, first
            at += length
        at += -at % sector


def _power(value: int, least: int, most: int) -> bool:
    return least <= value <= most and value & (value - 1) == 0


def _checksum(nonce: int, page: bytes) -> int:
    """Over every two hundredth byte, from the end on."""
    return (nonce + sum(page[at] for at in range(len(page) - _STEP, 0, -_STEP))) & _MASK
