"""Hashing what a registry keeps: every blob against the digest that its folder spells.

Plain functions over descriptions that can be pickled, so that another process can do
the same work. Nothing is kept in memory but one piece; a blob that cannot be read
stops no other.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from orlop.digest import CANONICAL, hasher
from orlop.errors import NotFound, OrlopError
from orlop.fs import Root, translate
from orlop.progress import Progress

PIECE = 1 << 20
"""Bytes that are read at a time."""
_SMALL = 8 * PIECE
"""Bytes between two reports of progress."""
PHASE = "blob contents"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One file to hash."""

    digest: str
    """What its bytes must hash to."""
    path: str
    """Relative to the root."""
    size: int
    """Bytes, as they were when the store was read."""


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


def tasks(items: Iterable[tuple[str, str, int]]) -> list[Task]:
    """Tasks in the order of their paths; items are digest, path, size."""
    made = [Task(digest=digest, path=path, size=size) for digest, path, size in items]
    return sorted(made, key=lambda task: task.path)


def hash_one(root: Root, task: Task, progress: Progress, done: int, total: int) -> Result:
    """Hash one file.

    Args:
        root: the store.
        task: the file.
        progress: told of the bytes, every few MiB.
        done: bytes of the whole work that are finished.
        total: bytes of the whole work.

    Raises:
        Cancelled: `progress` stopped it.
    """
    hashing = hasher(task.digest.partition(":")[0] or CANONICAL)
    read = told = 0
    try:
        with root.stream(task.path) as stream:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
            while piece := _piece(stream.fileno(), task.path):
                hashing.update(piece)
                read += len(piece)
                if read - told >= _SMALL:
                    told = read
                    progress.step(PHASE, min(done + read, total), total)
    except NotFound:
        return Result(task=task, actual="", read=read, why="it went away", gone=True)
    except OrlopError as error:
        return Result(task=task, actual="", read=read, why=error.why or error.what)
    return Result(task=task, actual=f"{hashing.name}:{hashing.hexdigest()}", read=read)


def _piece(fd: int, path: str) -> bytes:
    try:
        return os.read(fd, PIECE)
    except OSError as error:
        raise translate(error, "it cannot be read", path) from error


def hash_all(root: Root, work: Iterable[Task], progress: Progress) -> Iterator[Result]:
    """Hash files one after the other; each gives a result, whatever it is.

    Raises:
        Cancelled: `progress` stopped it; what was given stands.
    """
    every = list(work)
    total = sum(task.size for task in every)
    done = told = 0
    progress.step(PHASE, 0, total)
    for task in every:
        yield hash_one(root, task, progress, done, total)
        done += task.size
        if done - told >= _SMALL:
            told = done
            progress.step(PHASE, done, total)
    progress.step(PHASE, total, total)
