"""A storage driver in memory: for tests, and for what need not last.

Like an object store it has no folders of their own: one is there as long as
something lies in it.
"""

import io
import threading
from collections.abc import Iterable
from typing import BinaryIO, TypeAlias

from orlop import times
from orlop.errors import NotFound, TooLarge, WrongKind
from orlop.fs import PARSE_LIMIT
from orlop.registry.driver import DriverStat, check_offset, check_path


class _File:
    __slots__ = ("content", "modified", "version")

    def __init__(self, content: bytes, version: int) -> None:
        self.content = bytearray(content)
        self.touched(version)

    def touched(self, version: int) -> None:
        self.version = version
        self.modified = times.now()


_Folder: TypeAlias = "dict[str, _Folder | _File]"


class MemoryDriver:
    """See `orlop.registry.driver.Driver` for what each method does; safe between threads."""

    def __init__(self) -> None:
        self._root: _Folder = {}
        self._writes = 0
        self._lock = threading.RLock()

    def get(self, path: str, limit: int = PARSE_LIMIT) -> bytes:
        with self._lock:
            content = self._file(path).content
            if len(content) > limit:
                raise TooLarge(len(content), limit, path=path)
            return bytes(content)

    def put(self, path: str, content: bytes) -> None:
        with self._lock:
            folder, name = self._place(path)
            folder[name] = _File(content, self._next())

    def reader(self, path: str, offset: int = 0) -> BinaryIO:
        check_offset(offset, path)
        with self._lock:
            return io.BytesIO(self._file(path).content[offset:])

    def write(self, path: str, offset: int, chunks: Iterable[bytes]) -> int:
        check_offset(offset, path)
        with self._lock:
            folder, name = self._place(path)
            file = folder.setdefault(name, _File(b"", self._next()))
        assert isinstance(file, _File)
        written = 0
        for chunk in chunks:
            with self._lock:
                self._write(file, offset + written, chunk)
            written += len(chunk)
        return written

    def stat(self, path: str) -> DriverStat:
        with self._lock:
            found = self._find(path)
            if isinstance(found, dict):
                return DriverStat(path=path, size=0, modified=0, folder=True, version="")
            return DriverStat(
                path=path,
                size=len(found.content),
                modified=found.modified,
                folder=False,
                version=str(found.version),
            )

    def names(self, path: str) -> tuple[str, ...]:
        with self._lock:
            found = self._find(path)
            if isinstance(found, _File):
                raise WrongKind("file", "folder", path=path)
            return tuple(sorted(found))

    def move(self, source: str, target: str) -> None:
        with self._lock:
            file = self._file(source)
            folder, name = self._place(target)
            if folder.get(name) is file:
                return
            folder[name] = file
            file.touched(self._next())
            self._remove(source)

    def delete(self, path: str) -> None:
        with self._lock:
            self._find(path)
            self._remove(path)

    # --- inside ------------------------------------------------------------

    def _next(self) -> int:
        self._writes += 1
        return self._writes

    def _write(self, file: _File, offset: int, chunk: bytes) -> None:
        if not chunk:
            return
        gap = offset - len(file.content)
        if gap > 0:
            file.content.extend(bytes(gap))
        file.content[offset : offset + len(chunk)] = chunk
        file.touched(self._next())

    def _find(self, path: str) -> "_Folder | _File":
        here: _Folder | _File = self._root
        way = ""
        for part in check_path(path).split("/"):
            if isinstance(here, _File):
                raise WrongKind("file", "folder", path=way)
            way = f"{way}/{part}" if way else part
            found = here.get(part)
            if found is None:
                raise NotFound("nothing is there", path=path, why="no such file or folder")
            here = found
        return here

    def _file(self, path: str) -> _File:
        found = self._find(path)
        if isinstance(found, dict):
            raise WrongKind("folder", "file", path=path)
        return found

    def _place(self, path: str) -> tuple[_Folder, str]:
        """Where a file goes: the folder, made with all above it, and the name; nothing is made where it cannot go."""
        *above, name = check_path(path).split("/")
        self._refuse(path, above, name)
        here = self._root
        for part in above:
            child = here.setdefault(part, {})
            assert isinstance(child, dict)
            here = child
        return here, name

    def _refuse(self, path: str, above: list[str], name: str) -> None:
        here = self._root
        for part in above:
            child = here.get(part)
            if child is None:
                return
            if isinstance(child, _File):
                raise WrongKind("file", "folder", path=path)
            here = child
        if isinstance(here.get(name), dict):
            raise WrongKind("folder", "file", path=path)

    def _remove(self, path: str) -> None:
        """Take a name away, and the folders above it that nothing lies in any more."""
        *above, name = path.split("/")
        way = [self._root]
        for part in above:
            child = way[-1][part]
            assert isinstance(child, dict)
            way.append(child)
        del way[-1][name]
        for part in reversed(above):
            if way.pop():
                return
            del way[-1][part]
