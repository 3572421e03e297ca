"""What an image is compressed with, and its bytes without: streamed, and only so far as they are in proportion.

Facts: appc/spec v0.8.11, aci/file.go: the first 512 bytes decide; a plain archive has
``ustar`` at 257. xz is decoded by liblzma, where rkt runs the program of that name.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from orlop.errors import OrlopError
from orlop.fs import PARSE_LIMIT
from orlop.rkt.errors import BadImage

CHUNK = 1 << 20
"""Bytes that are handed on at once, at most."""

_HEAD = 512
_TAR_AT, _TAR = 257, b"ustar"
_SIGNATURES = ((b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ\x00", "xz"))
_XZ_MEMORY = 256 * 1024 * 1024
"""Bytes that the decoder of xz may use; ``xz -9`` asks for 65 MiB, a hostile header for 4 GiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much an image may be, before it is taken for an attack; all of it can be set."""

    size: int = 64 << 30
    """Bytes of the archive without compression."""
    ratio: int = 250
    """How many bytes may come out of one, once more than `free` have."""
    free: int = 256 << 20
    """Bytes that may come out whatever the ratio: a file of zeros is no attack."""
    entries: int = 1_000_000
    """Entries of the archive."""
    manifest: int = PARSE_LIMIT
    """Bytes of the manifest."""


LIMITS = Limits()


def kind_of(head: bytes) -> str:
    """``gzip``, ``bzip2``, ``xz``, ``tar``, or empty for anything else; `head` are the first 512 bytes."""
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    end = _TAR_AT + len(_TAR)
    return "tar" if len(head) > end and head[_TAR_AT:end] == _TAR else ""


def head_of(stream: BinaryIO) -> bytes:
    """The first 512 bytes of a stream, which may come in parts."""
    head = b""
    while len(head) < _HEAD and (more := stream.read(_HEAD - len(head))):
        head += more
    return head


def decompressed(stream: BinaryIO, limits: Limits = LIMITS) -> Iterator[bytes]:
    """The archive without compression, in pieces of at most `CHUNK` bytes.

    What it is is looked at once, before anything is given; the rest as it is read.

    Args:
        stream: at the first byte of the image; it is read to its end and stays the caller's.
        limits: how much may come out.

    Raises:
        BadImage: at once where it is neither an archive nor compressed; later where it
            is cut off, damaged, or too much.
    """
    head = head_of(stream)
    kind = kind_of(head)
    if not kind:
        raise BadImage("neither a tar archive nor compressed with gzip, bzip2 or xz", engine=_REFUSED)
    return _metered(_parts(head, stream), kind, limits)


_REFUSED = "error decompressing image"
_CUT = "error copying image"


def _parts(head: bytes, stream: BinaryIO) -> Iterator[bytes]:
    yield head
    while part := stream.read(CHUNK):
        yield part


class _Counted:
    """An iterator that knows how many bytes went through it."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self.bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        for part in self._parts:
            self.bytes += len(part)
            yield part


def _metered(parts: Iterator[bytes], kind: str, limits: Limits) -> Iterator[bytes]:
    source = _Counted(parts)
    out = 0
    for part in _decoded(iter(source), kind):
        out += len(part)
        if out > limits.size:
            raise BadImage(f"more than {limits.size} bytes come out of it, and no more are taken", engine=_CUT)
        if kind != "tar" and out > limits.free and out > limits.ratio * source.bytes:
            raise BadImage(
                f"a decompression bomb: {out} bytes came out of the first {source.bytes},"
                f" where {limits.ratio} times as many are taken",
                engine=_CUT,
            )
        yield part


def _decoded(parts: Iterator[bytes], kind: str) -> Iterator[bytes]:
    if kind == "tar":
        yield from parts
        return
    try:
        yield from _streams(parts, _DECODERS[kind], padded=kind == "xz")
    except OrlopError:
        raise
    except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
        raise BadImage(f"the {kind} data is damaged: {error}", engine=_CUT) from error


def _streams(parts: Iterator[bytes], decoder: "type[_Decoder]", *, padded: bool) -> Iterator[bytes]:
    """Streams one after the other, as all three formats allow."""
    current: _Decoder | None = None
    for part in parts:
        data = part
        while data:
            if current is None and padded and not data.strip(b"\0"):
                break  # between streams of xz there may be zeros
            current = current or decoder()
            yield from current.feed(data)
            data = b""
            if current.ended:
                data = current.rest
                current = None
    if current is not None:
        raise BadImage("it is cut off: the compressed data has no end", engine=_CUT)


class _Decoder:
    """One stream of compressed data."""

    ended = False
    rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What comes out of some more of it, in pieces of at most `CHUNK` bytes."""
        raise NotImplementedError


class _Gzip(_Decoder):
    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    def feed(self, data: bytes) -> Iterator[bytes]:
        inner = self._inner
        while data and not inner.eof:
            part = inner.decompress(data, CHUNK)
            data = inner.unconsumed_tail
            if part:
                yield part
        while not inner.eof and (part := inner.decompress(b"", CHUNK)):
            yield part
        self.ended, self.rest = inner.eof, inner.unused_data


class _Buffered(_Decoder):
    """A decoder of the standard library that keeps what it has not decoded yet."""

    def __init__(self, make: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor]) -> None:
        self._inner = make()

    def feed(self, data: bytes) -> Iterator[bytes]:
        inner = self._inner
        while not inner.eof:
            part = inner.decompress(data, CHUNK)
            data = b""
            if part:
                yield part
            if inner.needs_input:
                break
        self.ended, self.rest = inner.eof, inner.unused_data if inner.eof else b""


class _Bzip2(_Buffered):
    def __init__(self) -> None:
        super().__init__(bz2.BZ2Decompressor)


class _Xz(_Buffered):
    def __init__(self) -> None:
        super().__init__(lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY))


_DECODERS: dict[str, type[_Decoder]] = {"gzip": _Gzip, "bzip2": _Bzip2, "xz": _Xz}
