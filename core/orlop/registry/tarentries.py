"""The entries of a tar stream with the header fields as they are written there.

A checksum over header fields needs them to the letter: an ending ``/``, a leading
``./``, a NUL type flag, the size that a link claims, attributes as bytes. Python's
tarfile normalises all of these and reads ahead, so the blocks are read here; what is
read follows Go's archive/tar as moby v1.5.0 carried it: v7, ustar, star, GNU (long
names, sparse) and pax (GNU's sparse forms 0.0, 0.1 and 1.0). A global pax header is
an entry like any other, as it was there.

The stream is read once, forwards, in pieces; nothing of it is held but one header.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from orlop.errors import Malformed

BLOCK = 512
SPECIAL_LIMIT = 1 << 20
"""Bytes of one extension header, or of one sparse map: names and attributes are far shorter."""
HOLES_LIMIT = 1 << 36
"""Bytes that all holes of an archive may stand for; a few bytes could else ask for years of zeros."""

_PIECE = 1 << 16
_CHAIN = 16
_ZEROS = bytes(_PIECE)
_OCTAL = re.compile(rb"[0-7]+")
_DECIMAL = re.compile(rb"[+-]?[0-9]{1,19}")
_SECONDS = re.compile(rb"([+-]?[0-9]{1,19})(?:\.[0-9]*)?")
_ATTRIBUTE = b"SCHILY.xattr."
_SPARSE = b"GNU.sparse."


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry's header; texts are the bytes of the archive."""

    name: bytes
    mode: int
    user_id: int
    group_id: int
    size: int
    """Bytes of the content as it unpacks: with its holes."""
    modified: int
    """Whole seconds since 1970 UTC."""
    typeflag: bytes
    link_name: bytes
    user: bytes = b""
    group: bytes = b""
    device_major: int = 0
    device_minor: int = 0
    attributes: Mapping[bytes, bytes] = field(default_factory=dict)
    """Extended attributes by name."""


def entries(stream: BinaryIO) -> Iterator[tuple[Entry, Iterator[bytes]]]:
    """Every entry with its content in pieces, in the order of the archive.

    The content must be taken before the next entry; what was not taken is passed over.
    The stream ends at two zero blocks, or where it stops between two entries, be it in
    the padding of the last one; bytes behind the end are not read.

    Raises:
        Malformed: a header or an extension of one that does not parse, a content that
            stops short; `engine` has the words of the original's archive reader.
    """
    reader = _Reader(stream)
    while (found := reader.next_entry()) is not None:
        content = found[1]
        yield found
        for _ in content:
            pass


def _invalid(why: str) -> Malformed:
    return Malformed(f"a tar header {why}", engine="archive/tar: invalid tar header")


def _truncated() -> Malformed:
    return Malformed("the tar archive stops in the middle of an entry", engine="unexpected EOF")


@dataclass(slots=True)
class _Extensions:
    """What the headers before an entry say of it."""

    name: bytes | None = None
    link_name: bytes | None = None
    records: dict[bytes, bytes] | None = None


class _Reader:
    """Where the stream is: at a header, or so many bytes and padding before the next."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = 0
        self._padding = 0
        self._holes = 0

    # --- bytes -----------------------------------------------------------------

    def _read(self, size: int) -> bytes:
        """So many bytes, fewer only at the end of the stream."""
        parts: list[bytes] = []
        while size:
            part = self._stream.read(size)
            if not part:
                break
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _stored(self, size: int) -> Iterator[bytes]:
        """The next bytes of the entry as they are stored, in pieces."""
        while size:
            piece = self._read(min(size, self._left, _PIECE))
            if not piece:
                raise _truncated()
            self._left -= len(piece)
            size -= len(piece)
            yield piece

    def _special(self, what: str) -> bytes:
        """The whole content of an extension header."""
        if self._left > SPECIAL_LIMIT:
            raise _invalid(f"has {what} of {self._left} bytes, where at most {SPECIAL_LIMIT} are read")
        return b"".join(self._stored(self._left))

    def _block(self) -> bytes | None:
        """The next header block; None at the end of the archive."""
        if len(self._read(self._padding)) < self._padding:
            return None
        self._padding = 0
        block = self._read(BLOCK)
        if not block:
            return None
        if len(block) < BLOCK:
            raise _truncated()
        if block.count(0) < BLOCK:
            return block
        second = self._read(BLOCK)
        if second and len(second) < BLOCK:
            raise _truncated()
        if second.count(0) < len(second):
            raise _invalid("follows an end block")
        return None

    # --- entries ---------------------------------------------------------------

    def next_entry(self) -> tuple[Entry, Iterator[bytes]] | None:
        told = _Extensions()
        for _ in range(_CHAIN):
            block = self._block()
            if block is None:
                if told != _Extensions():
                    raise _truncated()
                return None
            entry = _header(block)
            self._open(entry.size)
            # A pax header speaks of the header behind it, whatever that is; of several
            # long names the first one counts.
            if told.records is None and entry.typeflag == b"x":
                told.records = _records(self._special("a pax header"))
            elif told.records is None and entry.typeflag == b"L":
                name = _text(self._special("a long name"))
                told.name = name if told.name is None else told.name
            elif told.records is None and entry.typeflag == b"K":
                name = _text(self._special("a long link name"))
                told.link_name = name if told.link_name is None else told.link_name
            else:
                return self._finished(block, entry, told)
        raise _invalid(f"stands behind {_CHAIN} extensions of it")

    def _open(self, stored: int) -> None:
        self._left = stored
        self._padding = -stored % BLOCK

    def _finished(self, block: bytes, entry: Entry, told: _Extensions) -> tuple[Entry, Iterator[bytes]]:
        pieces: list[tuple[int, int]] | None = None
        if entry.typeflag == b"S":
            entry = replace(entry, size=_octal(block[483:495]))
            pieces = self._old_map(block)
        if told.records is not None:
            if b"size" in told.records and pieces is None:
                self._open(_decimal(told.records[b"size"], "size"))
            entry = _merged(entry, told.records)
            if pieces is None and (version := _sparse_version(told.records)):
                entry = _sparse_entry(entry, told.records)
                pieces = self._new_map() if version == b"1.0" else _listed_map(told.records.get(_SPARSE + b"map", b""))
        if told.name is not None:
            entry = replace(entry, name=told.name)
        if told.link_name is not None:
            entry = replace(entry, link_name=told.link_name)
        if pieces is None:
            return entry, self._stored(self._left)
        self._check_map(pieces, entry.size)
        return entry, self._expanded(pieces, entry.size)

    # --- sparse files ------------------------------------------------------------

    def _old_map(self, block: bytes) -> list[tuple[int, int]]:
        """The map of an old GNU sparse header and of the blocks behind it (tar's tar.h)."""
        pieces = _old_pieces(block[386:482])
        more, blocks = block[482], 0
        while more:
            blocks += 1
            block = self._read(BLOCK)
            if len(block) < BLOCK:
                raise _truncated()
            if blocks * BLOCK > SPECIAL_LIMIT:
                raise _invalid("has too long a sparse map")
            pieces += _old_pieces(block[:504])
            more = block[504]
        return pieces

    def _new_map(self) -> list[tuple[int, int]]:
        """The map before the content: decimals, a line each, padded to a block (GNU tar manual, PAX 1)."""
        text = bytearray()
        lines, wanted = 0, 1
        while lines < wanted:
            if len(text) >= SPECIAL_LIMIT or self._left < BLOCK:
                raise _invalid("has no whole sparse map")
            block = b"".join(self._stored(BLOCK))
            text += block
            if lines == 0 and b"\n" in block:
                wanted = 1 + 2 * _natural(bytes(text.partition(b"\n")[0]))
            lines += block.count(b"\n")
        return _pairs(bytes(text).split(b"\n")[1:wanted])

    def _check_map(self, pieces: list[tuple[int, int]], size: int) -> None:
        position = 0
        for offset, length in pieces:
            if offset < position or offset + length > size:
                raise _invalid("has a sparse map out of order")
            position = offset + length
        self._holes += size - sum(length for _, length in pieces)
        if self._holes > HOLES_LIMIT:
            raise _invalid(f"asks for holes of more than {HOLES_LIMIT} bytes")

    def _expanded(self, pieces: list[tuple[int, int]], size: int) -> Iterator[bytes]:
        position = 0
        for offset, length in [*pieces, (size, 0)]:
            while position < offset:
                zeros = _ZEROS[: offset - position]
                position += len(zeros)
                yield zeros
            yield from self._stored(length)
            position += length
        for _ in self._stored(self._left):
            pass


# --- one header block ------------------------------------------------------------


def _header(block: bytes) -> Entry:
    """The fields of a header block.

    Raises:
        Malformed: the checksum is wrong, a number does not parse, or a size is negative.
    """
    _check_sum(block)
    entry = Entry(
        name=_text(block[:100]),
        mode=_octal(block[100:108]),
        user_id=_octal(block[108:116]),
        group_id=_octal(block[116:124]),
        size=_octal(block[124:136]),
        modified=_octal(block[136:148]),
        typeflag=block[156:157],
        link_name=_text(block[157:257]),
    )
    if entry.size < 0:
        raise _invalid("has a negative size")
    magic = block[257:265]
    if magic not in (b"ustar\x0000", b"ustar  \x00"):
        return entry
    star = magic == b"ustar\x0000" and block[508:512] == b"tar\x00"
    prefix = _text(block[345 : 476 if star else 500])
    if star:
        _octal(block[476:488])
        _octal(block[488:500])
    device = entry.typeflag in (b"3", b"4")
    return replace(
        entry,
        name=prefix + b"/" + entry.name if prefix else entry.name,
        user=_text(block[265:297]),
        group=_text(block[297:329]),
        device_major=_octal(block[329:337]) if device else 0,
        device_minor=_octal(block[337:345]) if device else 0,
    )


def _check_sum(block: bytes) -> None:
    """The sum of all bytes with blanks for the sum itself; old writers took them as signed."""
    given = _octal(block[148:156])
    total = sum(block) - sum(block[148:156]) + 8 * 32
    if given == total:
        return
    negative = sum(1 for byte in block[:148] + block[156:] if byte > 127)
    if given != total - 256 * negative:
        raise _invalid("has a wrong checksum")


def _text(text: bytes) -> bytes:
    return text.partition(b"\0")[0]


def _octal(text: bytes) -> int:
    """A number in octal, or in 64 bits of base 256 (star, GNU tar)."""
    if text[0] & 0x80:
        value = int.from_bytes(bytes([text[0] & 0x7F]) + text[1:]) & (1 << 64) - 1
        return value - (1 << 64) if value >> 63 else value
    digits = _text(text.strip(b" \0"))
    if not digits:
        return 0
    if not _OCTAL.fullmatch(digits):
        raise _invalid("has a field that is not octal")
    return int(digits, 8)


def _decimal(text: bytes, what: str) -> int:
    if not _DECIMAL.fullmatch(text):
        raise _invalid(f"has a pax record {what} that is not a number")
    value = int(text)
    if what == "size" and value < 0:
        raise _invalid("has a negative size")
    return value


def _natural(text: bytes) -> int:
    if not text.isdigit() or len(text) > 18:
        raise _invalid("has a sparse map that is not of numbers")
    return int(text)


# --- pax headers -------------------------------------------------------------------


def _records(text: bytes) -> dict[bytes, bytes]:
    """The records ``<length> <key>=<value>\\n`` of a pax header; the last one of a key counts.

    The offsets and lengths of sparse form 0.0, which repeat, are joined into the map of form 0.1.
    """
    found: dict[bytes, bytes] = {}
    pieces: list[bytes] = []
    position = 0
    while position < len(text):
        length, blank, _ = text[position : position + 20].partition(b" ")
        start = position + len(length) + 1
        end = position + int(length) if blank and length.isdigit() else 0
        key, equals, value = text[start : max(start, end - 1)].partition(b"=")
        if not equals or end > len(text):
            raise _invalid("has a pax record that does not parse")
        if key in (_SPARSE + b"offset", _SPARSE + b"numbytes"):
            pieces.append(value)
        else:
            found[key] = value
        position = end
    if pieces:
        found[_SPARSE + b"map"] = b",".join(pieces)
    return found


def _merged(entry: Entry, records: Mapping[bytes, bytes]) -> Entry:
    """The entry with what its pax header says in place of its own fields."""
    modified = entry.modified
    if b"mtime" in records:
        seconds = _SECONDS.fullmatch(records[b"mtime"])
        if seconds is None:
            raise _invalid("has a pax record mtime that is not a time")
        modified = int(seconds[1])

    def number(key: bytes, own: int) -> int:
        return _decimal(records[key], key.decode()) if key in records else own

    return replace(
        entry,
        name=records.get(b"path", entry.name),
        link_name=records.get(b"linkpath", entry.link_name),
        user=records.get(b"uname", entry.user),
        group=records.get(b"gname", entry.group),
        user_id=number(b"uid", entry.user_id),
        group_id=number(b"gid", entry.group_id),
        size=number(b"size", entry.size) if entry.typeflag != b"S" else entry.size,
        modified=modified,
        attributes={
            key.removeprefix(_ATTRIBUTE): value for key, value in records.items() if key.startswith(_ATTRIBUTE)
        },
    )


def _sparse_version(records: Mapping[bytes, bytes]) -> bytes:
    """``1.0``, ``0.1`` (which 0.0 was made into), or nothing."""
    major, minor = records.get(_SPARSE + b"major"), records.get(_SPARSE + b"minor")
    if major is not None and minor is not None:
        version = major + b"." + minor
        return version if version in (b"0.0", b"0.1", b"1.0") else b""
    return b"0.1" if _SPARSE + b"map" in records else b""


def _sparse_entry(entry: Entry, records: Mapping[bytes, bytes]) -> Entry:
    size = records.get(_SPARSE + b"size", records.get(_SPARSE + b"realsize"))
    return replace(
        entry,
        name=records.get(_SPARSE + b"name", entry.name),
        size=entry.size if size is None else _natural(size),
    )


def _listed_map(text: bytes) -> list[tuple[int, int]]:
    return _pairs(text.split(b",")) if text else []


def _pairs(numbers: list[bytes]) -> list[tuple[int, int]]:
    if len(numbers) % 2:
        raise _invalid("has a sparse map of an odd number of numbers")
    values = [_natural(number) for number in numbers]
    return list(zip(values[::2], values[1::2], strict=True))


def _old_pieces(text: bytes) -> list[tuple[int, int]]:
    pieces: list[tuple[int, int]] = []
    for start in range(0, len(text), 24):
        if text[start] == 0:
            break
        offset, length = _octal(text[start : start + 12]), _octal(text[start + 12 : start + 24])
        if offset < 0 or length < 0:
            raise _invalid("has a negative number in its sparse map")
        pieces.append((offset, length))
    return pieces
