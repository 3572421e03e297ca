"""Hashing what a registry keeps: every blob against the digest that its folder spells.

Each blob is a task that can be pickled and run anywhere (`orlop.spread`). Nothing is
kept in memory but one piece; a blob that cannot be read stops no other.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from orlop.digest import hasher
from orlop.errors import Cancelled, NotFound, OrlopError
from orlop.fs import Root, translate
from orlop.progress import CONTENTS, Progress
from orlop.spread import Told, spread

PIECE = 1 << 20
"""Bytes that are read at a time."""
_MANY = 64 << 20
"""Bytes of all blobs together from which on threads are worth their start."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One file to hash."""

    root: str
    """Absolute path of the store's root, links resolved."""
    path: str
    """Relative to it."""
    digest: str
    """What its bytes must hash to."""
    size: int
    """Bytes, as they were when the store was read."""

    @property
    def bytes(self) -> int:
        """For `orlop.spread`."""
        return self.size

    def run(self, told: Told) -> "Result":
        """Hash it.

        Raises:
            Cancelled: `told` said so.
        """
        read = 0
        try:
            with self._opened() as root, root.stream(self.path) as stream:
                hashing = hasher(self.digest.partition(":")[0])
                while piece := _piece(stream.fileno(), self.path):
                    hashing.update(piece)
                    read += len(piece)
                    told(len(piece))
        except NotFound:
            return Result(task=self, actual="", read=read, why="it went away", gone=True)
        except Cancelled:
            raise
        except OrlopError as error:
            return Result(task=self, actual="", read=read, why=error.why or error.what)
        return Result(task=self, actual=f"{hashing.name}:{hashing.hexdigest()}", read=read)

    def _opened(self) -> Root:
        try:
            return Root(os.open(self.root, _FOLDER), self.root)
        except OSError as error:
            raise translate(error, "the store cannot be opened", self.root) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What hashing one file gave."""

    task: Task
    actual: str
    """The digest of its bytes; empty where they could not be read."""
    read: int
    """Bytes that were read."""
    why: str = ""
    """Why it could not be read whole, one clause."""
    gone: bool = False
    """Whether it is no longer there: an engine may have removed it meanwhile."""

    @property
    def matches(self) -> bool:
        return self.actual == self.task.digest


def _piece(fd: int, path: str) -> bytes:
    try:
        return os.read(fd, PIECE)
    except OSError as error:
        raise translate(error, "it cannot be read", path) from error


def tasks(root: Root, items: Iterable[tuple[str, str, int]]) -> list[Task]:
    """Tasks in the order of their paths; items are digest, path, size."""
    made = [Task(root=root.path, path=path, digest=digest, size=size) for digest, path, size in items]
    return sorted(made, key=lambda task: task.path)


def hash_all(work: Sequence[Task], progress: Progress) -> Iterator[Result]:
    """Hash files, much of it in threads; each gives a result, whatever it is.

    Raises:
        Cancelled: `progress` stopped it; what was given stands.
        StorageFailure: as `orlop.spread.spread`.
    """
    total = sum(task.size for task in work)
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if workers == 1 or total < _MANY:
        yield from spread(work, progress, what=CONTENTS, total=total)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="hashing") as threads:
        yield from spread(work, progress, what=CONTENTS, total=total, executor=threads, window=2 * workers)
