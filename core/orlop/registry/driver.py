"""What the stores of a registry need of the place that holds their bytes.

A driver knows paths, bytes and nothing of what they mean. Paths are relative to
the driver's root, ``/`` between the parts; what does not match the grammar of
`check_path` is refused before anything is touched. An object store can be a
driver: no operation needs a rename that is atomic, a folder that exists by
itself, or a lock, and `names` is the cheap way to look.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from orlop.errors import Escapes

_PART = r"[A-Za-z0-9._-]+"
_PATH = re.compile(rf"{_PART}(/{_PART})*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverStat:
    """What a driver knows of one path."""

    path: str
    size: int
    """Bytes of a file's content; 0 for a folder."""
    modified: int
    """Nanoseconds UTC; 0 where the driver cannot tell."""
    folder: bool
    version: str
    """Opaque: differs when the content may have changed, as finely as the clock there ticks. Empty for a folder."""


class Driver(Protocol):
    """A place for files.

    Every method raises `NoPermission`, `NoSpace`, `ReadOnly` or `StorageFailure`
    for what the system answers, `Escapes` for a path outside the grammar or a negative
    offset, and `WrongKind` where a file or a link stands in the way to the path. No link
    is ever followed. A folder that nothing lies in may be there or not: `names` of it
    gives nothing or raises `NotFound`, and `delete` of it may too.
    """

    def get(self, path: str, limit: int = ...) -> bytes:
        """The whole content of a small file.

        Raises:
            NotFound: there is nothing.
            WrongKind: a folder, or anything but a regular file.
            TooLarge: more than `limit` bytes.
        """
        ...

    def put(self, path: str, content: bytes) -> None:
        """Make or replace a file whole: a reader sees the old content or the new; durable on return.

        Raises:
            WrongKind: a folder is there.
        """
        ...

    def reader(self, path: str, offset: int = 0) -> BinaryIO:
        """Read from an offset on; past the end there is nothing to read.

        Raises:
            NotFound, WrongKind
        """
        ...

    def write(self, path: str, offset: int, chunks: Iterable[bytes]) -> int:
        """Write at an offset, making the file; what lies behind stays, a gap before it reads as zeros.

        Not atomic: after a failure some beginning of the chunks is there. A chunk is written
        when the next one is asked for; what `chunks` raises ends it. Durable on return.

        Returns:
            The bytes written.

        Raises:
            WrongKind: there is anything but a regular file.
        """
        ...

    def stat(self, path: str) -> DriverStat:
        """What is known of a file or folder.

        Raises:
            NotFound: there is nothing.
            WrongKind: neither a regular file nor a folder.
        """
        ...

    def names(self, path: str) -> tuple[str, ...]:
        """Names directly below a folder, sorted; of anything, also of what no path can name.

        Raises:
            NotFound, WrongKind
        """
        ...

    def move(self, source: str, target: str) -> None:
        """Give a file another path; a file at the target is replaced. It and its bytes are durable on return.

        Raises:
            NotFound: nothing is at the source.
            WrongKind: anything but a regular file is at the source or the target.
        """
        ...

    def delete(self, path: str) -> None:
        """Remove a file, or a folder with all below it.

        Raises:
            NotFound: there is nothing.
        """
        ...


def check_path(path: str) -> str:
    """A path that a driver takes, unchanged.

    Raises:
        Escapes: it is empty, begins with ``/``, holds an empty part, ``.`` or ``..``, or other characters.
    """
    if _PATH.fullmatch(path) is None or any(part in (".", "..") for part in path.split("/")):
        raise Escapes(path, "no path that a storage driver takes")
    return path


def check_offset(offset: int, path: str) -> int:
    """An offset that a driver takes, unchanged.

    Raises:
        Escapes: it lies before the beginning.
    """
    if offset < 0:
        raise Escapes(path, f"the offset {offset} lies before the beginning of the file")
    return offset
