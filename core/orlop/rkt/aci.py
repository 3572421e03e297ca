"""ACI archives: what is in them, where their manifest is, and which are refused.

An image is a tar archive, plain or compressed. It must hold a regular file
``manifest``; the first whose cleaned name is that counts, wherever it lies. Beyond
what rkt checks, an archive is refused that reaches out of itself, is cut off, or
holds more than `Limits` allows.

Nothing is unpacked, and memory is bounded: of headers `_HEADER_BYTES` at a time are
read, of the manifest `Limits.manifest`.

Facts: appc/spec v0.8.11, aci/file.go and spec/aci.md; rkt v1.30.0, store/imagestore/store.go.
"""

import contextlib
import posixpath
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

from orlop.errors import OrlopError
from orlop.rkt.compression import CHUNK, LIMITS, Limits, decompressed, head_of, kind_of
from orlop.rkt.errors import BadImage
from orlop.rkt.layout import MANIFEST_NAME, ROOTFS_NAME

_BLOCK = 512
_HEADER_BYTES = 1 << 20
"""Of one entry: its header, long names, extended attributes."""

_ENGINE = "error extracting image manifest"

_KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.CONTTYPE: "file",
    tarfile.DIRTYPE: "folder",
    tarfile.SYMTYPE: "link",
    tarfile.LNKTYPE: "hard link",
    tarfile.CHRTYPE: "device",
    tarfile.BLKTYPE: "device",
    tarfile.FIFOTYPE: "fifo",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of an archive."""

    name: str
    """As it is written there; bytes that are not UTF-8 as surrogate escapes."""
    path: str
    """The name, cleaned: ``./x/../manifest`` is ``manifest``."""
    kind: str
    """``file``, ``folder``, ``link``, ``hard link``, ``device``, ``fifo``; ``sparse file``, or ``other``."""
    size: int
    """Bytes of content."""
    target: str
    """Of a link."""


def manifest_of(stream: BinaryIO, limits: Limits = LIMITS) -> bytes:
    """The bytes of the manifest of an image; nothing behind it is read.

    Args:
        stream: at the first byte of the image, plain or compressed; it stays the caller's.
        limits: how much of it is read.

    Raises:
        BadImage: no archive, a damaged one, or one without a regular file ``manifest``.
    """
    archive = open_archive(stream, limits)
    for entry in archive:
        if entry.path == MANIFEST_NAME:
            return _manifest(archive, entry, limits)
    raise _missing()


def examine(stream: BinaryIO, limits: Limits = LIMITS) -> bytes:
    """As `manifest_of`, but the archive is read to its end, and each entry judged.

    Raises:
        BadImage: as `manifest_of`; it is cut off, or an entry reaches out of it.
    """
    archive = open_archive(stream, limits)
    judge = _Judge()
    manifest: bytes | None = None
    for entry in archive:
        judge.look(entry)
        if manifest is None and entry.path == MANIFEST_NAME:
            manifest = _manifest(archive, entry, limits)
    if manifest is None:
        raise _missing()
    return manifest


def open_archive(stream: BinaryIO, limits: Limits = LIMITS) -> "Archive":
    """The entries of an image, in order; content is read of the latest one only.

    Args:
        stream: at the first byte of the image, plain or compressed. A plain archive that
            can be sought in is not read where it holds content.
        limits: how much of it is read.

    Raises:
        BadImage: neither an archive nor compressed. Iterating raises it where the
            archive is damaged, or too much.
    """
    if stream.seekable():
        start = stream.tell()
        plain = kind_of(head_of(stream)) == "tar"
        stream.seek(start)
        if plain:
            return Archive(_File(stream), limits)
    return Archive(_Parts(decompressed(stream, limits)), limits)


class Archive:
    """An archive that is being read, from its first entry to its last."""

    def __init__(self, source: "_Source", limits: Limits) -> None:
        self._reader = _Reader(source)
        self._limits = limits

    def __iter__(self) -> Iterator[Entry]:
        tar: tarfile.TarFile | None = None
        for _ in range(self._limits.entries):
            self._reader.begin_header()
            with _refusing():
                if tar is None:
                    file = cast("BinaryIO", self._reader)
                    tar = tarfile.TarFile(fileobj=file, encoding="utf-8", errors="surrogateescape")
                found = tar.next()
                vars(tar)["members"].clear()  # which would grow with the archive
            if found is None:
                self._refuse_stop()
                return
            yield _entry(found)
        raise BadImage(f"more than {self._limits.entries} entries, which is the most that is taken", engine=_ENGINE)

    def read(self, entry: Entry) -> bytes:
        """The content of the file that was given last.

        Raises:
            BadImage: the archive ends before it.
        """
        self._reader.begin_header(entry.size)
        with _refusing():
            data = self._reader.read(entry.size)
        if len(data) < entry.size:
            raise BadImage(f"it is cut off in {entry.path}", engine=_ENGINE)
        return data

    def _refuse_stop(self) -> None:
        """The library takes a header that it cannot read for the end; only zeros, or nothing, are one."""
        last = self._reader.last
        if last and len(last) < _BLOCK:
            raise BadImage("it is cut off in a header", engine=_ENGINE)
        if last.strip(b"\0"):
            raise BadImage("a header is damaged", engine=_ENGINE)


class _Judge:
    """Which entries reach out of the archive."""

    def __init__(self) -> None:
        self._outward: set[str] = set()
        """Links with an absolute target: below the root file system they are usual, but nothing may lie below them."""

    def look(self, entry: Entry) -> None:
        """Refuse an entry that would be written, or point, outside."""
        _inside(entry.name, entry.path, entry.name)
        above = posixpath.dirname(entry.path) if self._outward else ""
        while above:
            if above in self._outward:
                raise _outside(entry.name, f"it lies below a link to an absolute path, {above}")
            above = posixpath.dirname(above)
        if entry.kind == "hard link":
            _inside(entry.target, posixpath.normpath(entry.target), entry.name)
        elif entry.kind == "link" and entry.target.startswith("/"):
            if not entry.path.startswith(f"{ROOTFS_NAME}/"):
                raise _outside(entry.name, "it is a link to an absolute path, and not in the image's own file system")
            self._outward.add(entry.path)
        elif entry.kind == "link":
            target = posixpath.normpath(posixpath.join(posixpath.dirname(entry.path), entry.target))
            _inside(entry.target, target, entry.name)


def _inside(text: str, cleaned: str, name: str) -> None:
    if text.startswith("/"):
        raise _outside(name, "an absolute path")
    if cleaned == ".." or cleaned.startswith("../"):
        raise _outside(name, "a path with .. that leads out")


def _outside(name: str, why: str) -> BadImage:
    return BadImage(f"the entry {name} leaves the archive: {why}", engine=_ENGINE)


def _missing() -> BadImage:
    return BadImage("it holds no manifest", engine=_ENGINE)


def _manifest(archive: Archive, entry: Entry, limits: Limits) -> bytes:
    if entry.kind != "file":
        raise BadImage(f"its manifest is a {entry.kind}, where it must be a regular file", engine=_ENGINE)
    if entry.size > limits.manifest:
        words = f"its manifest has {entry.size} bytes, where at most {limits.manifest} are parsed"
        raise BadImage(words, engine=_ENGINE)
    return archive.read(entry)


def _entry(found: tarfile.TarInfo) -> Entry:
    kind = "sparse file" if found.sparse is not None else _KINDS.get(found.type, "other")
    return Entry(
        name=found.name,
        path=posixpath.normpath(found.name),
        kind=kind,
        size=found.size if kind == "file" else 0,
        target=found.linkname,
    )


# --- reading -----------------------------------------------------------------


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """The errors that the library has for archives that were made to be none."""
    try:
        yield
    except OrlopError:
        raise
    except (tarfile.TarError, ValueError, OverflowError, LookupError, RecursionError) as error:
        raise BadImage(f"the archive is damaged: {error}", engine=_ENGINE) from error


class _Source(Protocol):
    """Bytes that can be read and skipped, forwards."""

    def read(self, size: int) -> bytes:
        """Up to so many bytes; fewer only at the end."""
        ...

    def skip(self, size: int) -> None:
        """Pass over so many bytes, or to the end."""
        ...


class _File:
    """A file that can be sought in."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        return self._stream.read(size)

    def skip(self, size: int) -> None:
        self._stream.seek(size, 1)


class _Parts:
    """Bytes that come in pieces."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._rest = b""

    def read(self, size: int) -> bytes:
        taken = []
        while size and (part := self._next(size)):
            taken.append(part)
            size -= len(part)
        return b"".join(taken)

    def skip(self, size: int) -> None:
        while size and (part := self._next(min(size, CHUNK))):
            size -= len(part)

    def _next(self, size: int) -> bytes:
        if not self._rest:
            self._rest = next(self._parts, b"")
        part, self._rest = self._rest[:size], self._rest[size:]
        return part


class _Reader:
    """What the library reads headers from: forwards, and only so much at a time.

    It reads a header of whatever size the archive says whole into memory; here that ends.
    """

    def __init__(self, source: _Source) -> None:
        self._source = source
        self._position = 0
        self._budget = 0
        self.last = b""
        """What was read last."""

    def begin_header(self, size: int = _HEADER_BYTES) -> None:
        """Allow so many bytes to be read."""
        self._budget = size

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        if not self._position <= position < 1 << 62:
            raise BadImage("an entry does not begin where the one before it ends", engine=_ENGINE)
        self._source.skip(position - self._position)
        self._position = position

    def read(self, size: int) -> bytes:
        if size < 0 or size > self._budget:
            raise BadImage(f"a header has more than {_HEADER_BYTES} bytes", engine=_ENGINE)
        self._budget -= size
        self.last = self._source.read(size)
        self._position += len(self.last)
        return self.last
