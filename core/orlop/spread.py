"""Work that can be spread: tasks handed to any executor in batches by bytes, in a bounded window.

A task is a value that can be pickled and does its work wherever it is run; it
reads, and changes nothing, so that it may be run again when a worker was killed.
Results come as they are finished, in no order.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ThreadPoolExecutor, wait
from typing import Generic, Protocol, TypeAlias, TypeVar

from orlop.errors import Cancelled, StorageFailure
from orlop.progress import Progress

Told: TypeAlias = Callable[[int], None]
"""Called with bytes as they are worked off; raises `Cancelled` where the work should stop."""

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

BATCH = 64 << 20
"""Bytes of tasks that one worker is given at a time; a larger task is a batch of its own."""
_MOST_IN_BATCH = 512
_TRIES = 3
_LOOK = 0.1
"""Seconds between two reports while nothing is finished."""


class Task(Protocol[R_co]):
    """One piece of work."""

    @property
    def bytes(self) -> int:
        """What it will read, about."""
        ...

    def run(self, told: Told) -> R_co:
        """Do it; what goes wrong with it is a result, too.

        Raises:
            Cancelled: `told` said so.
        """
        ...


Batch: TypeAlias = tuple[Task[R], ...]


class Budget:
    """How long, how much and how fast work may go on; what was begun is finished.

    Args:
        seconds: after which no task is begun; None: no end.
        bytes: likewise.
        rate: bytes a second at most; None: as fast as it goes.
        clock: seconds from anywhere, never going back.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        *,
        seconds: float | None = None,
        bytes: int | None = None,
        rate: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._seconds = seconds
        self._bytes = bytes
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._start = clock()
        self._lock = threading.Lock()
        self._due = self._start
        self.done = 0
        """Bytes worked off."""
        self.reached = ""
        """Why no further task was begun, one clause; empty while nothing stood in the way."""

    @property
    def elapsed(self) -> float:
        """Seconds since it was made."""
        return self._clock() - self._start

    def allows(self, begun: int) -> bool:
        """Whether another task may be begun, where tasks of so many bytes have been."""
        if self._seconds is not None and self.elapsed >= self._seconds:
            self.reached = "the time was used up"
        elif self._bytes is not None and begun >= self._bytes:
            self.reached = "the bytes were used up"
        return not self.reached

    def spend(self, count: int) -> None:
        """Count bytes, from any thread; waits where they came too fast."""
        with self._lock:
            self.done += count
            if self._rate is None:
                return
            now = self._clock()
            self._due = max(self._due, now) + count / self._rate
            ahead = self._due - now
        if ahead > _LOOK:
            self._sleep(ahead - _LOOK)


def spread(
    tasks: Iterable[Task[R]],
    progress: Progress,
    *,
    what: str,
    total: int,
    executor: Executor | None = None,
    renew: Callable[[], Executor] | None = None,
    run: "Callable[[Batch[R], Told], list[R]] | None" = None,
    window: int = 4,
    batch: int = BATCH,
    budget: Budget | None = None,
) -> Iterator[R]:
    """Run tasks; each gives its result, in the order in which they are finished.

    Args:
        tasks: taken as they are needed, so that there may be very many.
        progress: told of bytes from the thread that iterates; what it raises stops the work.
        what: the phase that progress is told.
        total: bytes of all tasks.
        executor: where they run; None: here, one after the other. Threads report bytes as they
            go; any other executor gets tasks by pickling and reports with each finished batch.
        renew: gives a new executor where a worker was killed; without it the work goes on here.
        run: how a thread does a batch; None: task by task.
        window: batches that are under way at most.
        batch: bytes of a batch.
        budget: when to begin no more.

    Raises:
        Cancelled: `progress` stopped it; results that were given stand.
        StorageFailure: a batch killed its worker again and again.
    """
    purse = budget or Budget()
    meter = _Meter(progress, what, total, purse)
    meter.report()
    if executor is None:
        yield from _here(tasks, meter)
    else:
        yield from _Spreading[R](executor, renew, meter, window, run).run(_batches(tasks, batch, purse))
    meter.report()


class _Meter:
    """Counts bytes from any thread, and reports them from one."""

    def __init__(self, progress: Progress, what: str, total: int, budget: Budget) -> None:
        self._progress = progress
        self._what = what
        self._total = total
        self.budget = budget
        self.stopped: BaseException | None = None

    def report(self) -> None:
        self._progress.step(self._what, min(self.budget.done, self._total), self._total)

    def here(self, count: int) -> None:
        """`Told` for the thread that iterates."""
        self.budget.spend(count)
        self.report()

    def elsewhere(self, count: int) -> None:
        """`Told` for a thread of an executor."""
        self.budget.spend(count)
        if self.stopped is not None:
            raise self.stopped


def _here(tasks: Iterable[Task[R]], meter: _Meter) -> Iterator[R]:
    begun = 0
    for task in tasks:
        if not meter.budget.allows(begun):
            return
        begun += task.bytes
        yield task.run(meter.here)


def _batches(tasks: Iterable[Task[R]], size: int, budget: Budget) -> Iterator[Batch[R]]:
    gathered: list[Task[R]] = []
    held = begun = 0
    for task in tasks:
        if not budget.allows(begun):
            break
        begun += task.bytes
        gathered.append(task)
        held += task.bytes
        if held >= size or len(gathered) >= _MOST_IN_BATCH:
            yield tuple(gathered)
            gathered, held = [], 0
    if gathered:
        yield tuple(gathered)


class _Spreading(Generic[R]):
    """Batches under way on one executor after another."""

    def __init__(
        self,
        executor: Executor,
        renew: Callable[[], Executor] | None,
        meter: _Meter,
        window: int,
        run: "Callable[[Batch[R], Told], list[R]] | None",
    ) -> None:
        self._executor: Executor | None = executor
        self._renew = renew
        self._renewed: list[Executor] = []
        self._meter = meter
        self._window = window
        self._run = run
        self._under_way: dict[Future[list[R]], tuple[Batch[R], int]] = {}

    def run(self, batches: Iterator[Batch[R]]) -> Iterator[R]:
        try:
            while True:
                self._fill(batches)
                if not self._under_way:
                    return
                finished, _ = wait(self._under_way, timeout=_LOOK, return_when=FIRST_COMPLETED)
                self._meter.report()
                for future in finished:
                    if future in self._under_way:  # else its executor broke, and its batch was begun anew
                        yield from self._results(future)
        except BaseException as error:
            self._meter.stopped = error if isinstance(error, Exception) else Cancelled()
            raise
        finally:
            for future in self._under_way:
                future.cancel()
            for executor in self._renewed:
                executor.shutdown(wait=False, cancel_futures=True)

    def _fill(self, batches: Iterator[Batch[R]]) -> None:
        while len(self._under_way) < self._window:
            batch = next(batches, None)
            if batch is None:
                return
            self._submit(batch, 1)

    def _submit(self, batch: Batch[R], tries: int) -> None:
        if tries > _TRIES:
            raise StorageFailure(
                "a worker was killed again and again", why="memory may be short", do="try with fewer workers"
            )
        future: Future[list[R]]
        if self._executor is None:
            future = Future()
            future.set_result([task.run(self._meter.here) for task in batch])
        else:
            try:
                if not isinstance(self._executor, ThreadPoolExecutor):
                    future = self._executor.submit(run_batch, batch, None)
                elif self._run is None:
                    future = self._executor.submit(run_batch, batch, self._meter.elsewhere)
                else:
                    future = self._executor.submit(self._run, batch, self._meter.elsewhere)
            except BrokenExecutor:
                self._replace()
                self._submit(batch, tries + 1)
                return
        self._under_way[future] = (batch, tries)

    def _results(self, future: "Future[list[R]]") -> Iterator[R]:
        batch, tries = self._under_way.pop(future)
        try:
            results = future.result()
        except BrokenExecutor:
            self._again(batch, tries)
            return
        if self._executor is not None and not isinstance(self._executor, ThreadPoolExecutor):
            self._meter.budget.spend(sum(task.bytes for task in batch))
        yield from results

    def _again(self, batch: Batch[R], tries: int) -> None:
        """Begin anew all that was under way on an executor that broke."""
        lost = [(batch, tries), *self._under_way.values()]
        self._under_way.clear()
        self._replace()
        for one, before in lost:
            self._submit(one, before + 1)

    def _replace(self) -> None:
        self._executor = self._renew() if self._renew is not None else None
        if self._executor is not None:
            self._renewed.append(self._executor)


def run_batch(batch: "Iterable[Task[R]]", told: Told | None) -> list[R]:
    """What a worker does: each task of a batch, one after the other."""
    return [task.run(told or _ignored) for task in batch]


def _ignored(_: int) -> None:
    return None
