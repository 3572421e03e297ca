"""Where tasks are done fastest: here, in threads, or in processes that do nothing else.

Threads suit large files, whose bytes are hashed without the interpreter's lock. At small
files Python itself is the work: one thread does them best, until there are so many that
processes are worth their start.

A helper is a process of this very interpreter that imports nothing but what its tasks
need. It is not of `multiprocessing`, whose workers import the main module of the program
that started them, tell nothing before a batch is done, and stay when that program is
killed. A helper asks after each report whether to go on, and ends with the line to its
parent, whatever cut that. It is as gentle to the host as its parent was at its start.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self, TypeVar, cast

from orlop.errors import Cancelled, StorageFailure
from orlop.progress import Progress
from orlop.spread import BATCH, Budget, Task, Told, run_batch, spread

R = TypeVar("R")

_HASHED = 1.5e9
"""Bytes that one core hashes in a second, about."""
_START = 0.35
"""Seconds until a helper does its first task, and a little for what nobody foresees."""
_MOST = 16
"""Workers at most: beyond them no disk is faster."""
_ROUNDS = 8
"""Batches for each worker at least, so that all of them end at about the same time."""
_TRIES = 3
_PATIENCE = 5.0
"""Seconds that a helper has to end by itself."""
_PROGRAM = "import sys; sys.path[:] = sys.argv[2:]; from orlop.workers import serve; serve(int(sys.argv[1]))"


class Where(StrEnum):
    """Where tasks are done."""

    HERE = "here"
    THREADS = "threads"
    PROCESSES = "processes"


def fastest(bytes: int, alone: float, cores: int) -> Where:
    """Where tasks are done fastest, as far as that can be told beforehand.

    Args:
        bytes: that there are to hash.
        alone: seconds that Python itself needs, which threads would take from each other.
        cores: that there are.
    """
    hashing = bytes / _HASHED
    times = {Where.HERE: alone + hashing}
    if cores > 1:
        times[Where.THREADS] = 2 * alone + hashing / cores + 0.01
        times[Where.PROCESSES] = (alone + hashing) / cores + _START
    return min(times, key=lambda where: times[where])


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def work_off(
    tasks: Sequence[Task[R]], progress: Progress, *, what: str, alone: float, budget: Budget | None = None
) -> Iterator[R]:
    """Run tasks where they are done fastest; each gives its result, in the order in which they are finished.

    Args:
        tasks: as for `orlop.spread.spread`.
        progress: likewise.
        what: the phase that progress is told.
        alone: as for `fastest`.
        budget: when to begin no more.

    Raises:
        Cancelled: `progress` stopped it; results that were given stand.
        StorageFailure: a helper was killed again and again.
    """
    total = sum(task.bytes for task in tasks)
    where = fastest(total, alone, cores()) if len(tasks) > 1 else Where.HERE
    if where is Where.HERE:
        yield from spread(tasks, progress, what=what, total=total, budget=budget)
        return
    workers = min(cores(), _MOST, len(tasks))
    with ThreadPoolExecutor(workers, thread_name_prefix="hashing") as threads, contextlib.ExitStack() as stack:
        run = stack.enter_context(Helpers()).run if where is Where.PROCESSES else run_batch
        yield from spread(
            tasks,
            progress,
            what=what,
            total=total,
            executor=threads,
            run=run,
            window=2 * workers,
            batch=max(1, min(BATCH, total // (workers * _ROUNDS))),
            budget=budget,
        )


# --- the side that hands out work ---------------------------------------------


class Helpers:
    """Processes that do what threads hand them, one for each thread; started when there is work, gone at the end.

    Where none can be started, each thread does its work itself.
    """

    def __init__(self) -> None:
        self._idle: list[_Child] = []
        self._lock = threading.Lock()
        self._unable = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for helper in self._idle:
            helper.close()
        self._idle.clear()

    def run(self, batch: Sequence[Task[R]], told: Told) -> list[R]:
        """As `orlop.spread.run_batch`, in a process; a batch whose process was killed is begun anew in another one.

        Raises:
            Cancelled, …: what `told` raises.
            StorageFailure: its process was killed again and again.
        """
        for _ in range(_TRIES):
            helper = self._take()
            if helper is None:
                return run_batch(batch, told)
            counted = 0

            def counting(count: int) -> None:
                nonlocal counted
                counted += count
                told(count)

            try:
                results = helper.run(batch, counting)
            except _Gone:
                helper.close()
                told(-counted)
                continue
            except BaseException:
                helper.kill()
                raise
            with self._lock:
                self._idle.append(helper)
            return results
        raise StorageFailure(
            "a worker was killed again and again", why="memory may be short", do="try with fewer workers"
        )

    def _take(self) -> "_Child | None":
        with self._lock:
            if self._idle:
                return self._idle.pop()
            if self._unable:
                return None
        try:
            return _Child()
        except (EOFError, OSError):  # no more processes, or no interpreter that could be one
            self._unable = True
            return None


class _Gone(Exception):
    """The process was killed, or could not go on."""


class _Child:
    """One process.

    Raises:
        OSError, EOFError: it cannot be started.
    """

    def __init__(self) -> None:
        if not sys.executable or getattr(sys, "frozen", False):
            raise OSError("this program is no interpreter that could be started once more")
        mine, theirs = socket.socketpair()
        with theirs:
            self._line = Connection(mine.detach())
            path = [entry for entry in sys.path if isinstance(entry, str)]
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-c", _PROGRAM, str(theirs.fileno()), *path],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                )
            except OSError:
                self._line.close()
                raise
        try:
            self._line.recv()
        except BaseException:
            self.close()
            raise

    def run(self, batch: Sequence[Task[R]], told: Told) -> list[R]:
        """Have a batch done.

        Raises:
            What `told` raises.
            _Gone
            RuntimeError: a task raised what no task may raise.
        """
        word, value = self._answer(batch)
        while word == "read":
            told(cast("int", value))
            word, value = self._answer(True)
        if word == "failed":
            raise RuntimeError(f"in a helper process: {value}")
        return cast("list[R]", value)

    def _answer(self, said: object) -> tuple[str, object]:
        try:
            self._line.send(said)
            word, value = self._line.recv()
        except (EOFError, OSError) as error:
            raise _Gone from error
        return word, value

    def kill(self) -> None:
        """End it at once, amid what it does: it only reads."""
        self._process.kill()
        self.close()

    def close(self) -> None:
        """End it; it stops at its next report, wherever it is, or is killed."""
        self._line.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


# --- the side that does it ----------------------------------------------------


def serve(descriptor: int) -> None:
    """What a helper does until the line to its parent is cut.

    Args:
        descriptor: of that line.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to hear
    line = Connection(descriptor)

    def told(count: int) -> None:
        try:
            line.send(("read", count))
            line.recv()
        except (EOFError, OSError) as error:
            raise Cancelled from error

    with contextlib.suppress(EOFError, OSError):  # the parent is gone, or has no use for it any more
        line.send(True)
        while True:
            line.send(_answer(line.recv(), told))


def _answer(batch: Sequence[Task[R]], told: Told) -> tuple[str, object]:
    try:
        return "done", run_batch(batch, told)
    except Cancelled as error:
        raise EOFError from error
    except Exception:  # noqa: BLE001 - a fault of the program, which the parent tells
        return "failed", traceback.format_exc()
