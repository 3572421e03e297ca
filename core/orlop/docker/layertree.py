"""The files of one layer, reached by the names that its archive has for them.

A name may lead through a link that stands in the place of a folder: a layer whose archive
has ``lib/x`` on a base where ``lib`` is a link has its file behind the link, for the
engine unpacks as in a root of its own (moby, pkg/chrootarchive, 1.10 to 28). Such a
link is followed here in the same way, step by step below the layer's own folder; no link
is ever followed by the kernel, and none in the place of a file is followed at all.
"""

import errno
import hashlib
import os
import stat as stat_module
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain
from operator import itemgetter
from types import TracebackType
from typing import NamedTuple, Self

from orlop.errors import Escapes, NoPermission, NotFound, OrlopError, StorageFailure, WrongKind
from orlop.fs import Folder, Root, join, translate

PIECE = 1 << 20
"""Bytes that are read at a time."""
_KEPT = 64
"""Levels of folders that stay open; those below are walked again where a name leaves them."""
_MOST_LINKS = 40
"""Links on one way that are followed, as by Linux."""
_DEEPEST = 2048
"""Parts of a name: no program can use a path with more."""


class Depth(NamedTuple):
    """How all files of a layer are."""

    versions: bytes
    """A hash of the versions of all of them, 16 bytes: another one where any file was written or replaced."""
    newest: int
    """When one of them was changed last, nanoseconds UTC."""


class LayerTree:
    """The files below one folder; folders stay open while names go on in them.

    Args:
        top: the layer's folder; it is closed with this object.
    """

    def __init__(self, top: Folder) -> None:
        self._open = [top]
        """The layer's folder, the first `_KEPT` of `_names`, and the last of them."""
        self._names: list[str] = []
        self._asked: str | None = ""

    @classmethod
    def at(cls, root: Root, path: str) -> "LayerTree":
        """The tree below a folder of a store.

        Raises:
            NotFound, WrongKind, NoPermission, StorageFailure, Escapes
        """
        return cls(root.folder(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for folder in self._open:
            folder.close()

    @property
    def path(self) -> str:
        """The layer's folder, relative to the store's root."""
        return self._open[0].path

    def file(self, name: str) -> tuple[int, int]:
        """A regular file by its name in the archive: its descriptor, which the caller closes, and its size in bytes.

        Raises:
            NotFound, NoPermission, StorageFailure
            WrongKind: something else is there, or on the way to it.
            Escapes: the name leaves the layer.
        """
        above, _, last = cleaned(name).rpartition("/")
        return self.folder(above).descriptor(last)

    def place(self, name: str) -> str:
        """Where a name of the archive leads to, without links on the way; whether it is there is not looked at.

        Raises:
            As `file`, for the folders on the way.
        """
        above, _, last = cleaned(name).rpartition("/")
        self.folder(above)
        return join(*self._names, last)

    def folder(self, path: str) -> Folder:
        """A folder by its name, open until another one is asked for; the empty name is the layer itself.

        Raises:
            NotFound, WrongKind, NoPermission, StorageFailure
        """
        if path != self._asked:
            self._asked = None
            self._go(path.split("/") if path else [])
            self._asked = path
        return self._open[-1]

    def _go(self, parts: Sequence[str]) -> None:
        if len(parts) > _DEEPEST:
            raise StorageFailure("it cannot be looked at", path=self.path, why="it is nested too deep", do="")
        self._up(_common(self._names, parts))
        waiting = deque(parts[len(self._names) :])
        links = 0
        while waiting:
            part = waiting.popleft()
            if part == "..":
                above = self._names[:-1]
                self._up(len(above))
                waiting.extendleft(reversed(above[len(self._names) :]))
                continue
            try:
                self._down(part)
            except WrongKind as error:
                links += 1
                if error.found != "link" or links > _MOST_LINKS:
                    raise
                target = self._open[-1].link_target(part)
                if target.startswith("/"):
                    self._up(0)
                waiting.extendleft(reversed([step for step in target.split("/") if step not in ("", ".")]))

    def _down(self, name: str) -> None:
        folder = self._open[-1].folder(name)
        if len(self._open) > _KEPT + 1:
            self._open.pop().close()
        self._open.append(folder)
        self._names.append(name)

    def _up(self, depth: int) -> None:
        """Go back to so many levels, or to the last one above that is still open."""
        if depth >= len(self._names):
            return
        depth = min(depth, _KEPT)
        while len(self._open) > depth + 1:
            self._open.pop().close()
        del self._names[depth:]

    def walk(self) -> Iterator[tuple[str, os.stat_result]]:
        """Everything but folders, with what it is; in the same order each time, and on this file system only.

        Raises:
            NotFound, WrongKind, NoPermission, StorageFailure: it is being changed, or cannot be read.
        """
        for path, listed in self._folders():
            for name, found in listed:
                yield join(path, name), found

    def _folders(self) -> Iterator[tuple[str, list[tuple[str, os.stat_result]]]]:
        """Each folder with what it holds besides folders."""
        device = os.fstat(self._open[0].fd).st_dev
        waiting = [""]
        while waiting:
            path = waiting.pop()
            listed = _listed(self.folder(path))
            folders = [(name, found) for name, found in listed if stat_module.S_ISDIR(found.st_mode)]
            waiting.extend(join(path, name) for name, found in reversed(folders) if found.st_dev == device)
            if folders:
                listed = [(name, found) for name, found in listed if not stat_module.S_ISDIR(found.st_mode)]
            yield path, listed

    def depth(self) -> Depth:
        """The versions of everything in it.

        Raises:
            As `walk`.
        """
        found = hashlib.blake2b(digest_size=16)
        newest = 0
        for path, listed in self._folders():
            lines = [path]
            for name, stat in listed:
                changed = stat.st_ctime_ns
                newest = changed if changed > newest else newest
                lines.append(f"{name}\0{stat.st_dev} {stat.st_ino} {stat.st_mtime_ns} {changed} {stat.st_size}")
            found.update("\0\0".join(lines).encode("utf-8", "surrogateescape"))
        return Depth(found.digest(), newest)


def cleaned(name: str) -> str:
    """A name of an archive as a path below the layer, as Go's ``filepath.Join`` makes it.

    Raises:
        Escapes: it climbs out of the layer, has a NUL, or is no name of a file.
    """
    if "\0" in name:
        raise Escapes(name, "a name with a NUL")
    if name and name[0] not in "./" and name[-1] != "/" and "//" not in name and "/." not in name:
        return name
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            if not parts:
                raise Escapes(name, "the name leads out of the layer")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    if not parts:
        raise Escapes(name, "the layer itself is no file")
    return "/".join(parts)


def pieces(fd: int, size: int, path: str) -> Iterator[bytes]:
    """The bytes of an open file to its end, and never more than one beyond its size.

    Raises:
        StorageFailure: the disk does not give them.
    """
    if size >= PIECE:
        return _pieces(fd, size + 1, path)
    try:
        whole = os.read(fd, size + 1)  # so that a file which grows is seen
    except OSError as error:
        raise translate(error, "it cannot be read", path) from error
    return iter((whole,)) if len(whole) >= size else chain((whole,), _pieces(fd, size + 1 - len(whole), path))


def _pieces(fd: int, left: int, path: str) -> Iterator[bytes]:
    try:
        while left > 0 and (piece := os.read(fd, min(left, PIECE))):
            left -= len(piece)
            yield piece
            if left == 1 and len(piece) < PIECE:
                return
    except OSError as error:
        raise translate(error, "it cannot be read", path) from error


def is_hindrance(error: OrlopError) -> bool:
    """Whether an error tells of this program, and nothing of the file."""
    if isinstance(error, StorageFailure):
        return error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
    return isinstance(error, NoPermission)


def why_of(error: OrlopError) -> str:
    """What is wrong with a file that cannot be opened or read, one clause."""
    if isinstance(error, NotFound):
        return "missing"
    if isinstance(error, WrongKind):
        return error.what
    return f"cannot be read: {error.why or error.what}"


def _common(names: Sequence[str], parts: Sequence[str]) -> int:
    count = 0
    for mine, asked in zip(names, parts, strict=False):
        if mine != asked:
            break
        count += 1
    return count


def _listed(folder: Folder) -> list[tuple[str, os.stat_result]]:
    try:
        with os.scandir(folder.fd) as entries:
            found = [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
    except OSError as error:
        raise translate(error, "the folder cannot be listed", folder.path) from error
    found.sort(key=itemgetter(0))
    return found
