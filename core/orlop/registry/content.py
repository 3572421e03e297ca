"""Hashing what a registry keeps: every blob against the digest that its folder spells.

Each blob is a task that can be pickled and run anywhere (`orlop.spread`). Nothing is
kept in memory but one piece; a blob that cannot be read stops no other. What was
verified before, in the version that its file still has, is passed over
(`orlop.verified`).
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

from orlop import times
from orlop.digest import hasher
from orlop.errors import Cancelled, NotFound, OrlopError
from orlop.fs import Folder, Root, translate
from orlop.progress import CONTENTS, Progress
from orlop.registry.loose import Stamp, stamp_of
from orlop.spread import Told
from orlop.store import Hashing
from orlop.verified import Proof, VerifiedCache, settled, version_text
from orlop.workers import work_off

PIECE = 1 << 20
"""Bytes that are read at a time."""
_ALONE = 120e-6
"""Seconds that Python needs for one blob, beside hashing."""
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
        stamp: Stamp | None = None
        try:
            with self._opened() as root, root.stream(self.path) as stream:
                stamp = stamp_of(os.fstat(stream.fileno()))
                lasting = settled(stamp)
                hashing = hasher(self.digest.partition(":")[0])
                while piece := _piece(stream.fileno(), self.path):
                    hashing.update(piece)
                    read += len(piece)
                    told(len(piece))
                lasting = lasting and stamp_of(os.fstat(stream.fileno())) == stamp
        except NotFound:
            return Result(task=self, actual="", read=read, why="it went away", gone=True)
        except Cancelled:
            raise
        except OrlopError as error:
            return Result(task=self, actual="", read=read, why=error.why or error.what, stamp=stamp)
        actual = f"{hashing.name}:{hashing.hexdigest()}"
        return Result(task=self, actual=actual, read=read, stamp=stamp, lasting=lasting)

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
    stamp: Stamp | None = None
    """Of the file when reading began; None where it could not be opened."""
    lasting: bool = False
    """Whether the stamp tells if the file was written to since."""

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


def hash_all(
    work: Sequence[Task], progress: Progress, hashing: Hashing | None = None, *, root: Root | None = None
) -> Iterator[Result]:
    """Hash files where that is fastest; each that is hashed gives a result, whatever it is.

    Args:
        work: what to hash.
        progress: told of the bytes that there are to hash.
        hashing: what was verified before, and how far to go; what is found is noted in it.
        root: the store, where something was verified before.

    Raises:
        Cancelled: `progress` stopped it; what was given stands.
        StorageFailure: as `orlop.spread.spread`.
    """
    how = hashing or Hashing()
    if how.verified is not None and root is not None:
        work = _waiting(how.verified, _stamped(root, work), again=how.again)
    for result in work_off(work, progress, what=CONTENTS, alone=_ALONE * len(work), budget=how.budget):
        yield _noted(how, result)


def _waiting(verified: VerifiedCache, work: Iterable[tuple[Task, Stamp | None]], *, again: bool) -> list[Task]:
    """What is left to hash: what never was; then, where all is to be hashed again, what was longest ago."""
    left: list[Task] = []
    seen: list[tuple[int, Task]] = []
    for task, stamp in work:
        found = verified.find(task.digest, version_text(stamp)) if stamp is not None else None
        if found is None:
            left.append(task)
        elif again:
            seen.append((found.at, task))
    return [*left, *(task for _, task in sorted(seen, key=itemgetter(0)))]


def _noted(how: Hashing, result: Result) -> Result:
    if how.verified is None or result.stamp is None:
        return result
    version = version_text(result.stamp)
    if not result.matches:
        how.verified.forget(result.task.digest, version)
    elif result.lasting:
        how.verified.add([Proof(digest=result.task.digest, version=version, at=times.now())])
    return result


def _stamped(root: Root, work: Iterable[Task]) -> Iterator[tuple[Task, Stamp | None]]:
    """Tasks with what their files are now; the folder that many of them are in is opened once."""
    above: Folder | None = None
    try:
        for task in work:
            folder, _, name = task.path.rpartition("/")
            shard, _, last = folder.rpartition("/")
            try:
                if above is None or above.path != shard:
                    if above is not None:
                        above.close()
                        above = None
                    above = root.folder(shard)
                with above.folder(last) as inner:
                    yield task, inner.stat(name).version
            except OrlopError:
                yield task, None  # hashing says what is wrong with it
    finally:
        if above is not None:
            above.close()
