"""A layer's archive, read once: its members, and every raw byte between their contents.

Format: POSIX.1-2001 (ustar, pax) with the GNU long names, as Go's archive/tar reads
it, for that is the reader of the engine (tar-split v0.11, archive/tar/reader.go). Numbers and
checksums of headers are read by the standard library's tarfile; the rest is here, because
tarfile drops what tar-split must keep: the raw bytes.
"""

import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, cast

from orlop.digest import Digest
from orlop.docker.tarsplit import Content, Recipe, Segment, checksum
from orlop.errors import Malformed, Unsupported

_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 1 << 20
_SPECIAL_LIMIT = 1 << 20  # bytes of a pax or long-name header; Go 1.21's maxSpecialFileSize
_END = bytes(_BLOCK)
_XATTR = b"SCHILY.xattr."
_SPARSE = b"GNU.sparse."
_PATHS = frozenset({b"path", b"linkpath", b"uname", b"gname"})
_NANOSECONDS = 1_000_000_000
_LATEST = (1 << 63) - 1

_KINDS = {
    b"\0": "file",
    b"0": "file",
    b"1": "hard link",
    b"2": "link",
    b"3": "device",
    b"4": "device",
    b"5": "folder",
    b"6": "fifo",
    b"g": "global",
}
"""Type flags that the engine unpacks (moby, pkg/archive/archive.go, createTarFile)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member of an archive."""

    name: str
    """As the archive spells it, with ``./`` before and ``/`` behind; bytes that are not UTF-8 as surrogate escapes."""
    kind: str
    """``file``, ``folder``, ``link``, ``hard link``, ``fifo``, ``device``, or ``global`` for a global pax header."""
    size: int
    """Bytes of content; 0 for everything but files."""
    target: str
    """Of a link or hard link."""
    mode: int
    """Permission bits, the twelve of them."""
    uid: int
    gid: int
    mtime: int
    """Nanoseconds since 1970."""
    atime: int
    """Nanoseconds since 1970; `mtime` where that is later, as the engine sets it."""
    attributes: Mapping[str, bytes]
    """Extended attributes."""


class Archive:
    """An archive that is being read: iterate over its members, and take each one's `content`.

    The recipe of tar-split and the digest of the whole stream are made on the way; both are
    there once the iteration has ended.

    Args:
        stream: an uncompressed or gzip tar, at its beginning; it is read to its end and not closed.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = _plain(stream)
        self.compressed = isinstance(self._stream, gzip.GzipFile)
        """Whether the stream is gzip."""
        self._hash = hashlib.sha256()
        self._raw: list[bytes] = []
        self._left = 0
        self._recipe = Recipe()
        self.diff_id = Digest.of(b"")
        """Of the uncompressed stream."""
        self.tar_split = b""
        """The content of ``tar-split.json.gz``."""
        self.size = 0
        """Bytes of all contents."""
        self._names: set[str] = set()

    def __iter__(self) -> Iterator[Member]:
        """The members in order; content that was not taken is passed over.

        Raises:
            Malformed: no tar, damaged, cut short, or a name is in it twice (which tar-split cannot rebuild).
            Unsupported: a sparse file, or a member of a kind that the engine does not know.
        """
        while (member := self._next()) is not None:
            self._refuse_twice(member.name)
            self._recipe.add(Segment(self._take_raw()))
            self._left = member.size
            self._member = member
            self._sum = 0
            yield member
            for _rest in self.content():
                pass
            summed = self._sum.to_bytes(8, "big") if member.size else None
            self._recipe.add(Content(member.name, member.size, summed))
            self.size += member.size
            self._raw_exactly(-member.size % _BLOCK, short=True)
        self._recipe.add(Segment(self._take_raw()))
        self._add_tail()
        self.tar_split = self._recipe.close()
        self.diff_id = Digest("sha256:" + self._hash.hexdigest())

    def content(self) -> Iterator[bytes]:
        """The content of the member that came last, in pieces; once.

        Raises:
            Malformed: the archive ends before the content does.
        """
        while self._left:
            piece = self._read(min(self._left, _CHUNK))
            if not piece:
                raise Malformed("the archive ends within a file", engine="unexpected EOF")
            self._left -= len(piece)
            self._sum = checksum(piece, self._sum)
            yield piece

    def _add_tail(self) -> None:
        """What follows the end blocks: a segment for each read, and an empty one for the read that finds the end.

        Go's gzip reader tells the end together with the last bytes, so that after a compressed
        archive's tail the empty one is not there (seen on layers that 20.10.24 imported and pulled).
        """
        tail = self._read(_CHUNK)
        ends_with_it = bool(tail) and self.compressed
        while tail:
            self._recipe.add(Segment(tail))
            tail = self._read(_CHUNK)
        if not ends_with_it:
            self._recipe.add(Segment(b""))

    def _refuse_twice(self, name: str) -> None:
        """As tar-split's packer, which takes each cleaned path once (storage/packer.go, ErrDuplicatePath)."""
        clean = "/".join(part for part in name.split("/") if part not in ("", "."))
        if clean in self._names:
            raise Malformed(f"{name!r} is in the archive twice", engine="duplicates of file paths not supported")
        self._names.add(clean)

    # --- members -----------------------------------------------------------

    def _next(self) -> Member | None:
        """The next member that is not about another one; None at the end of the archive."""
        records: Mapping[bytes, bytes] = {}
        long_name = long_target = b""
        while True:
            block = self._raw_exactly(_BLOCK, empty=True)
            if not block or block == _END:
                self._check_end(block)
                return None
            header = _header(block)
            match header.type:
                case b"x":
                    records = _pax_records(self._special(header))
                case b"L":
                    long_name = self._special(header).split(b"\0")[0]
                case b"K":
                    long_target = self._special(header).split(b"\0")[0]
                case b"g":
                    _pax_records(self._special(header))
                    return _member(block, header, {}, b"", b"")
                case _:
                    return _member(block, header, records, long_name, long_target)

    def _check_end(self, block: bytes) -> None:
        if block and self._raw_exactly(_BLOCK, empty=True) not in (b"", _END):
            raise Malformed("a block of zeros stands within the archive", engine="archive/tar: invalid tar header")

    def _special(self, header: tarfile.TarInfo) -> bytes:
        if header.size > _SPECIAL_LIMIT:
            raise Malformed("a header is longer than any reader takes", engine="archive/tar: header field too long")
        data = self._raw_exactly(header.size)
        self._raw_exactly(-header.size % _BLOCK)
        return data

    # --- bytes -------------------------------------------------------------

    def _raw_exactly(self, count: int, *, short: bool = False, empty: bool = False) -> bytes:
        """Read raw bytes and keep them for the next segment.

        Args:
            count: how many.
            short: whether the stream may end on the way, as it may in padding at its end.
            empty: whether the stream may have ended before the first of them.
        """
        parts = []
        left = count
        while left and (piece := self._read(left)):
            parts.append(piece)
            left -= len(piece)
        data = b"".join(parts)
        if left and not short and not (empty and not data):
            raise Malformed("the archive ends within a header", engine="unexpected EOF")
        self._raw.append(data)
        return data

    def _take_raw(self) -> bytes:
        raw = b"".join(self._raw)
        self._raw.clear()
        return raw

    def _read(self, count: int) -> bytes:
        try:
            data = self._stream.read(count)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise Malformed("the compressed archive is damaged or cut short", engine=str(error)) from error
        self._hash.update(data)
        return data


def _plain(stream: BinaryIO) -> io.BufferedIOBase:
    """The stream, uncompressed where its first bytes say gzip."""
    buffered = io.BufferedReader(cast(io.RawIOBase, _Raw(stream)), _CHUNK)
    if buffered.peek(2)[:2] == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=buffered, mode="rb")
    return buffered


class _Raw(io.RawIOBase):
    """Any object with `read`, so that its first bytes can be looked at."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


# --- headers -----------------------------------------------------------------


def _header(block: bytes) -> tarfile.TarInfo:
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise Malformed("a header is damaged", engine="archive/tar: invalid tar header") from error
    if header.size < 0:
        raise Malformed("a member has a negative size", engine="archive/tar: invalid tar header")
    return header


def _member(
    block: bytes, header: tarfile.TarInfo, records: Mapping[bytes, bytes], long_name: bytes, long_target: bytes
) -> Member:
    if header.type == b"S" or any(key.startswith(_SPARSE) for key in records):
        raise Unsupported("a sparse file is in the archive", why="tar-split cannot rebuild it")
    name = long_name or records.get(b"path") or _short_name(block)
    kind = "folder" if header.type in (b"\0", b"0") and name.endswith(b"/") else _KINDS.get(header.type)
    if kind is None:
        raise Unsupported(f"the archive holds a member of type {header.type!r}", why="the engine knows no such members")
    size = _number(records, b"size", header.size)
    mtime = _time(records, b"mtime", header.mtime)
    return Member(
        name=_text(name),
        kind=kind,
        size=size if kind == "file" else 0,
        target=_text(long_target or records.get(b"linkpath") or _until_zero(block[157:257])),
        mode=header.mode & 0o7777,
        uid=_owner(records, b"uid", header.uid),
        gid=_owner(records, b"gid", header.gid),
        mtime=mtime,
        atime=max(mtime, _time(records, b"atime", 0)),
        attributes={_text(key[len(_XATTR) :]): value for key, value in records.items() if key.startswith(_XATTR)},
    )


def _short_name(block: bytes) -> bytes:
    """The name of a header; only ustar's own magic says that the prefix field is one."""
    name = _until_zero(block[0:100])
    prefix = _until_zero(block[345:500]) if block[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _until_zero(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _pax_records(data: bytes) -> dict[bytes, bytes]:
    """The records ``<length> <key>=<value>\\n`` of an extended header."""
    records = {}
    while data:
        digits, _, _ = data.partition(b" ")
        length = int(digits) if digits.isdigit() and len(digits) < 8 else 0
        record = data[len(digits) + 1 : length]
        key, equals, value = record[:-1].partition(b"=")
        if length > len(data) or not record.endswith(b"\n") or not equals or not _is_valid(key, value):
            raise Malformed("an extended header is damaged", engine="archive/tar: invalid tar header")
        records[key] = value
        data = data[length:]
    return records


def _is_valid(key: bytes, value: bytes) -> bool:
    """Whether a record may stand in an extended header (Go, archive/tar/strconv.go, validPAXRecord)."""
    return bool(key) and b"\0" not in (value if key in _PATHS else key)


def _owner(records: Mapping[bytes, bytes], key: bytes, otherwise: int) -> int:
    number = _number(records, key, otherwise)
    if not -1 <= number < 1 << 32:
        raise Malformed(f"no file can have the {key.decode()} {number}")
    return number


def _number(records: Mapping[bytes, bytes], key: bytes, otherwise: int) -> int:
    text = records.get(key)
    if not text:
        return otherwise
    if not text.isdigit() or len(text) > 19:
        raise Malformed("a number of an extended header is none", engine="archive/tar: invalid tar header")
    return int(text)


def _time(records: Mapping[bytes, bytes], key: bytes, otherwise: float) -> int:
    """Nanoseconds; what lies before 1970 or past any file system's end is 1970 (moby, pkg/system/chtimes.go)."""
    text = records.get(key)
    if not text:
        at = int(otherwise) * _NANOSECONDS
    else:
        seconds, _, fraction = text.partition(b".")
        if not seconds.removeprefix(b"-").isdigit() or len(seconds) > 19 or (fraction and not fraction.isdigit()):
            raise Malformed("a time of an extended header is none", engine="archive/tar: invalid tar header")
        at = int(seconds) * _NANOSECONDS + int(fraction[:9].ljust(9, b"0"))
    return at if 0 <= at <= _LATEST else 0
