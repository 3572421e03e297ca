"""What a layer of the driver vfs has from the layers below: a copy of each of their files.

The recipe of a layer names its own files only, and yet a container sees the copies. Each
of them must be what it is in the layer below, unless the layer's own archive replaces it
or takes it away. Where two copies differ, the checksum in the recipe that brought the
file tells which of them is wrong.

moby: daemon/graphdriver/vfs/driver.go (create copies the whole parent), pkg/archive/diff.go (UnpackLayer).
"""

import contextlib
import os
import stat as stat_module
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from orlop.docker import tarsplit
from orlop.docker.layertree import LayerTree, cleaned, is_hindrance, pieces, why_of
from orlop.errors import Escapes, NotFound, OrlopError, StorageFailure, WrongKind
from orlop.fs import Root

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_MOST = 10_000
"""Copies that differ of which it is asked which one is wrong; beyond them the upper ones are."""


class _Place(Protocol):
    @property
    def recipe(self) -> str: ...
    @property
    def tree(self) -> str: ...


class Inherited:
    """The copies in one layer.

    Args:
        tree: the layer.
    """

    def __init__(self, tree: LayerTree) -> None:
        self._tree = tree
        self._own: set[int] = set()  # hashes of paths: a path itself takes ten times as much
        self._hidden: set[str] = set()
        self._opaque: set[str] = set()

    def note(self, name: str) -> None:
        """Take note of a member of the layer's own archive."""
        try:
            path = self._tree.place(name)
        except (Escapes, NotFound, WrongKind):
            return  # the layer itself, or what a later member took away
        above, _, last = path.rpartition("/")
        if last == _OPAQUE:
            self._opaque.add(above)
        elif last.startswith(_WHITEOUT):
            self._hidden.add(path[: len(path) - len(last)] + last.removeprefix(_WHITEOUT))
        else:
            self._own.add(hash(path))

    def compare(
        self, root: Root, below: Sequence[_Place], told: Callable[[int], None]
    ) -> Iterator[tuple[str, str, int]]:
        """Every copy that is not what it was: its path, why, and the bytes that it must have.

        Args:
            root: the store.
            below: the layers below, nearest first.
            told: called with the bytes of this layer's copies as they are read.

        Raises:
            NoPermission: this user may not read all of it.
        """
        differing: dict[str, tuple[str, int]] = {}
        try:
            with LayerTree.at(root, below[0].tree) as lower:
                for path, size, why in self._differing(lower, told):
                    if why == "missing" or len(differing) >= _MOST:
                        yield path, why, size
                    else:
                        differing[path] = (why, size)
        except OrlopError as error:  # the layer below is damaged, and told of by itself
            if is_hindrance(error):
                raise
        for path in list(self._settled(root, below, differing)):
            del differing[path]
        for path, (why, size) in differing.items():
            yield path, why, size

    def _differing(self, lower: LayerTree, told: Callable[[int], None]) -> Iterator[tuple[str, int, str]]:
        for path, found in lower.walk():
            told(0)
            if not stat_module.S_ISREG(found.st_mode) or hash(path) in self._own:
                continue
            try:
                if self._tree.place(path) != path:
                    continue  # a link of this layer is in the place of a folder
            except WrongKind:
                continue  # something of this layer is
            except NotFound:
                if not self._is_hidden(path):
                    yield path, found.st_size, "missing"
                continue
            why = self._unlike(path, found.st_size, lower, told)
            if why:
                yield path, found.st_size, why

    def _unlike(self, path: str, wanted: int, lower: LayerTree, told: Callable[[int], None]) -> str:
        """Why a copy is not what the layer below has; empty where it is, or is no copy any more."""
        try:
            fd, size = self._tree.file(path)
        except OrlopError as error:
            if is_hindrance(error):
                raise
            return "" if isinstance(error, NotFound) and self._is_hidden(path) else why_of(error)
        try:
            if size != wanted:
                return f"{size} bytes instead of {wanted}"
            return "" if _same(fd, size, lower, path, told) else "other bytes than in the layer below"
        except OrlopError as error:
            if is_hindrance(error):
                raise
            return why_of(error)
        finally:
            os.close(fd)

    def _is_hidden(self, path: str) -> bool:
        """Whether the layer's archive takes a path away, or a folder that it is in."""
        while path:
            above = path.rpartition("/")[0]
            if path in self._hidden or above in self._opaque:
                return True
            path = above
        return False

    def _settled(self, root: Root, below: Sequence[_Place], differing: Iterable[str]) -> Iterator[str]:
        """Those paths of which this layer has the right bytes, and the one below has not."""
        waiting = set(differing)
        for place in below:
            if not waiting:
                return
            for entry in _entries(root, place.recipe):
                with contextlib.suppress(Escapes):
                    path = cleaned(entry.name)
                    if path in waiting:
                        waiting.discard(path)
                        if self._is(path, entry):
                            yield path

    def _is(self, path: str, wanted: tarsplit.Content) -> bool:
        checksum = 0
        try:
            fd, size = self._tree.file(path)
            try:
                for piece in pieces(fd, size, path):
                    checksum = tarsplit.checksum(piece, checksum)
            finally:
                os.close(fd)
        except OrlopError as error:
            if is_hindrance(error):
                raise
            return False
        return size == wanted.size and checksum.to_bytes(8, "big") == wanted.checksum


def _entries(root: Root, recipe: str) -> Iterator[tarsplit.Content]:
    """The files of a recipe, as far as it can be read."""
    try:
        with root.stream(recipe) as lines:
            for entry in tarsplit.entries(lines):
                if isinstance(entry, tarsplit.Content) and entry.size:
                    yield entry
    except (OrlopError, OSError):
        return  # what is wrong with it is told of by itself


def _same(fd: int, size: int, lower: LayerTree, path: str, told: Callable[[int], None]) -> bool:
    """Whether an open file has the bytes that a path has in the layer below.

    Raises:
        StorageFailure: the file itself cannot be read.
    """
    try:
        other, length = lower.file(path)
    except OrlopError as error:
        if is_hindrance(error):
            raise
        return True  # the one below is told of by itself
    try:
        theirs = pieces(other, length, path)
        for mine in pieces(fd, size, path):
            told(len(mine))
            if mine != _next(theirs, mine):
                return False
        return True
    finally:
        os.close(other)


def _next(theirs: Iterator[bytes], otherwise: bytes) -> bytes:
    """The next piece of the file below; where the disk does not give it, that is told of by itself."""
    try:
        return next(theirs, b"")
    except StorageFailure:
        return otherwise
