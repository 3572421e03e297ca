"""Archives of images as files by name: a tar, plain or gzip, or a folder that holds the same.

Nothing is unpacked. Names that leave the archive, links other than those between
layers that ``docker save`` makes, devices, and names that come twice are refused.
"""

import gzip
import os
import posixpath
import zlib
from collections.abc import Iterator, Set
from contextlib import contextmanager
from typing import BinaryIO, Protocol, cast

from orlop.errors import Malformed, NotFound, TooLarge, Unsupported, WrongKind
from orlop.fs import Root, translate
from orlop.progress import Progress
from orlop.registry.tarentries import Entry, entries

CHUNK = 1 << 20
MEMBERS_LIMIT = 200_000
"""Names in one archive; an image has a few for each layer."""
_SMALL = 1 << 20
_HELD = 64 << 20  # bytes of small members that are kept from the first pass
_GZIP = b"\x1f\x8b"
_OTHERS = {b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zX": "xz", b"BZh": "bzip2"}
_FILES = (b"0", b"\0", b"7")
_FOLDER, _LINK, _GLOBAL = b"5", b"2", b"g"
_PHASE = "bytes read"


class ImageArchive(Protocol):
    """The files of an archive, by their names in it."""

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none."""
        ...

    def read(self, name: str, limit: int) -> bytes:
        """The whole of a small file.

        Raises:
            NotFound: there is none.
            TooLarge: it has more bytes than `limit`.
            Malformed: the archive is damaged.
        """
        ...

    def contents(self, names: Set[str]) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Some files with their content in pieces, in the order of the archive.

        Raises:
            Malformed: the archive is damaged.
        """
        ...


@contextmanager
def opened(path: str, progress: Progress) -> Iterator[ImageArchive]:
    """Open an archive, or a folder in its place.

    Args:
        path: of the file or folder.
        progress: told of the bytes as they are read.

    Raises:
        NotFound, NoPermission, StorageFailure: it cannot be opened.
        Malformed: it is damaged, or hostile.
        Unsupported: it is compressed by anything but gzip.
    """
    if os.path.isdir(path):
        with Root.open(path) as root:
            yield FolderArchive(root, progress)
        return
    above, name = os.path.split(os.path.realpath(path))  # a link to an archive is the person's own
    with Root.open(above) as folder, folder.stream(name) as stream:
        yield TarArchive(stream, path, progress)


class FolderArchive:
    """An archive that was unpacked."""

    def __init__(self, root: Root, progress: Progress) -> None:
        self._root = root
        self._progress = progress

    def size(self, name: str) -> int | None:
        try:
            found = self._root.stat(name)
        except (NotFound, WrongKind):
            return None
        return found.size if found.kind == "file" else None

    def read(self, name: str, limit: int) -> bytes:
        return self._root.read(name, limit)

    def contents(self, names: Set[str]) -> Iterator[tuple[str, Iterator[bytes]]]:
        for name in sorted(names):
            with self._root.stream(name) as file:
                yield name, _told(_pieces(file), self._progress, self.size(name) or 0)


class TarArchive:
    """A tar archive; it is read from its beginning for the list of its files, and again for what is large."""

    def __init__(self, stream: BinaryIO, path: str, progress: Progress) -> None:
        self._stream = stream
        self._path = path
        self._progress = progress
        self._sizes: dict[str, int] = {}
        self._links: dict[str, str] = {}
        self._held: dict[str, bytes] = {}
        self._look()

    def size(self, name: str) -> int | None:
        return self._sizes.get(self._target(name))

    def read(self, name: str, limit: int) -> bytes:
        name = self._target(name)
        size = self._sizes.get(name)
        if size is None:
            raise NotFound(f"the archive has no file {name}", path=self._path)
        if size > limit:
            raise TooLarge(size, limit, path=f"{self._path}: {name}")
        if name in self._held:
            return self._held[name]
        for _, content in self.contents({name}):
            return b"".join(content)
        raise Malformed(f"the archive has no file {name} any more", path=self._path)

    def contents(self, names: Set[str]) -> Iterator[tuple[str, Iterator[bytes]]]:
        asked: dict[str, list[str]] = {}
        for name in sorted(names):
            asked.setdefault(self._target(name), []).append(name)
        for name, _, content in self._members():
            if name in asked:
                yield asked.pop(name)[0], content
                if not asked:
                    return

    def _target(self, name: str) -> str:
        """The file that a name means: the one itself, or what a link in the archive leads to."""
        return self._links.get(name, name)

    def _look(self) -> None:
        links: dict[str, str] = {}
        held = 0
        for name, entry, content in self._members():
            if name in self._sizes or name in links:
                raise self._wrong(f"the file {name} is in it twice")
            if len(self._sizes) + len(links) >= MEMBERS_LIMIT:
                raise self._wrong(f"it has more than {MEMBERS_LIMIT} files")
            if entry.typeflag == _LINK:
                target = entry.link_name.decode("utf-8", "surrogateescape")
                links[name] = self._clean(posixpath.join(posixpath.dirname(name), target))
                continue
            self._sizes[name] = entry.size
            if entry.size <= _SMALL and held + entry.size <= _HELD:
                self._held[name] = b"".join(content)
                held += entry.size
        for name, target in links.items():
            if target not in self._sizes:
                raise self._wrong(f"the link {name} leads to {target}, which is no file of it")
        self._links = links

    def _members(self) -> Iterator[tuple[str, Entry, Iterator[bytes]]]:
        """Files and links with their cleaned names."""
        self._stream.seek(0)
        with self._reading():
            for entry, content in entries(self._plain()):
                if entry.typeflag in (_FOLDER, _GLOBAL):
                    continue
                if entry.typeflag not in (*_FILES, _LINK):
                    raise self._wrong(f"{_text(entry.name)} is neither a file nor a folder")
                yield self._clean(_text(entry.name)), entry, self._content(content, entry.size)

    def _content(self, content: Iterator[bytes], size: int) -> Iterator[bytes]:
        with self._reading():
            yield from _told(content, self._progress, size)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Give what goes wrong in reading the archive its place."""
        try:
            yield
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise self._wrong(f"its compression is damaged: {error}") from error
        except Malformed as error:
            error.path = error.path or self._path
            raise
        except OSError as error:
            raise translate(error, "the archive cannot be read", self._path) from error

    def _plain(self) -> BinaryIO:
        """The uncompressed stream."""
        head = self._stream.read(4)
        self._stream.seek(0)
        if head.startswith(_GZIP):
            return cast(BinaryIO, gzip.GzipFile(fileobj=self._stream, mode="rb"))
        for magic, name in _OTHERS.items():
            if head.startswith(magic):
                raise Unsupported(
                    f"archives that are compressed by {name} are not read",
                    path=self._path,
                    do="decompress it first, or use gzip",
                )
        return self._stream

    def _clean(self, name: str) -> str:
        cleaned = posixpath.normpath(name)
        if name.startswith("/") or cleaned == ".." or cleaned.startswith("../") or "\0" in name or cleaned == ".":
            raise self._wrong(f"the name {name!r} leads out of it")
        return cleaned

    def _wrong(self, why: str) -> Malformed:
        return Malformed(why, path=self._path, do="make the archive again: `skopeo copy … oci-archive:FILE`")


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(CHUNK):
        yield piece


def _told(content: Iterator[bytes], progress: Progress, total: int) -> Iterator[bytes]:
    done = 0
    for piece in content:
        yield piece
        done += len(piece)
        progress.step(_PHASE, done, total)
