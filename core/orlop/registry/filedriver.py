"""A storage driver on files below a folder, as distribution's ``filesystem`` driver lays them out.

Where that one writes in place (up to 3.0), here a file is replaced whole: a temporary file with a
random name beside it, fsync, rename, fsync of the folder. The name (``.tmp-link…``) is none
that the registry or its garbage collection looks at, and nothing is ever put into a ``tags``
folder itself, where any name would be served as a tag.
"""

import io
import os
from collections.abc import Iterable
from typing import BinaryIO

from orlop.errors import AlreadyExists, NotFound, WrongKind
from orlop.fs import PARSE_LIMIT, Root, Stat, translate
from orlop.fs.writer import SYSTEM, FileOps, Writer, parent
from orlop.registry.driver import DriverStat, check_offset, check_path

FILE_MODE = 0o644
"""Of new files, whatever the umask; a file that is replaced keeps its own."""
FOLDER_MODE = 0o755
"""Of new folders, under the umask."""

_BUFFER = 1 << 16


class FileDriver:
    """See `orlop.registry.driver.Driver` for what each method does.

    The folder is opened anew for each operation and no link below it is followed. New files
    and folders get the owner of the folder that they lie in. There is no lock: the registry
    has none, and must be stopped.

    Args:
        path: the registry's ``rootdirectory``, a folder that exists; it may be reached through links.
        ops: the system calls that change anything.
    """

    def __init__(self, path: str, *, ops: FileOps = SYSTEM) -> None:
        self.path = os.path.abspath(path)
        self._ops = ops

    def get(self, path: str, limit: int = PARSE_LIMIT) -> bytes:
        with self._open() as root:
            return root.read(check_path(path), limit)

    def put(self, path: str, content: bytes) -> None:
        check_path(path)
        with self._open() as root:
            writer = self._placed(root, path)
            writer.replace(path, content, mode=FILE_MODE)

    def reader(self, path: str, offset: int = 0) -> BinaryIO:
        check_offset(offset, path)
        with self._open() as root:
            stream = root.stream(check_path(path))
        # The descriptor goes over to a stream whose errors are the core's own.
        with stream:
            reading = _Reading(os.dup(stream.fileno()), path)
        reading.seek(offset)
        return io.BufferedReader(reading, _BUFFER)

    def write(self, path: str, offset: int, chunks: Iterable[bytes]) -> int:
        check_offset(offset, path)
        check_path(path)
        with self._open() as root:
            return self._placed(root, path).write_at(path, offset, chunks, mode=FILE_MODE)

    def stat(self, path: str) -> DriverStat:
        with self._open() as root:
            found = root.stat(check_path(path))
        if found.kind == "folder":
            return DriverStat(path=path, size=0, modified=found.mtime, folder=True, version="")
        if found.kind != "file":
            raise WrongKind(found.kind, "file", path=path)
        return DriverStat(path=path, size=found.size, modified=found.mtime, folder=False, version=_version(found))

    def names(self, path: str) -> tuple[str, ...]:
        with self._open() as root:
            return tuple(sorted(root.names(check_path(path))))

    def move(self, source: str, target: str) -> None:
        check_path(source)
        check_path(target)
        with self._open() as root:
            found = root.stat(source)
            if found.kind != "file":
                raise WrongKind(found.kind, "file", path=source)
            writer = self._placed(root, target)
            writer.write_at(source, 0, ())  # what another program wrote may not be on disk yet
            writer.move(source, target, replace=True)

    def delete(self, path: str) -> None:
        check_path(path)
        with self._open() as root:
            Writer(root, self._ops).remove_tree(path)

    # --- inside ------------------------------------------------------------

    def _open(self) -> Root:
        return Root.open(self.path)

    def _placed(self, root: Root, path: str) -> Writer:
        """A writer, once the folders above a file are there and nothing but a file has its name."""
        above, _name = parent(path)
        found = _look(root, path)
        if found is not None and found.kind != "file":
            raise WrongKind(found.kind, "file", path=path)
        writer = Writer(root, self._ops)
        while True:
            try:
                writer.create_folders(above, mode=FOLDER_MODE, masked=True)
            except AlreadyExists:
                continue  # another program was as quick; what it made is looked at
            return writer


class _Reading(io.FileIO):
    """A file whose reading fails with errors of the core."""

    def __init__(self, fd: int, path: str) -> None:
        super().__init__(fd, "rb")
        self._path = path

    def readinto(self, buffer: "bytearray | memoryview", /) -> int:  # type: ignore[override]
        try:
            return super().readinto(buffer) or 0
        except OSError as error:
            raise translate(error, "it cannot be read", self._path) from error

    def readall(self) -> bytes:
        try:
            return super().readall() or b""
        except OSError as error:
            raise translate(error, "it cannot be read", self._path) from error


def _look(root: Root, path: str) -> Stat | None:
    try:
        return root.stat(path)
    except NotFound:
        return None


def _version(found: Stat) -> str:
    return ".".join(map(str, found.version))
