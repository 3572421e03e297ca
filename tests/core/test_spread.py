"""Spreading work: every result comes once, wherever it was made, whoever was killed, however little time there is."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TypeAlias

import pytest

from orlop.errors import Cancelled, StorageFailure
from orlop.progress import Silent, Stoppable
from orlop.spread import Budget, Task, Told, spread


@dataclass(frozen=True)
class Number:
    """Gives its square, and counts bytes."""

    value: int
    bytes: int = 10

    def run(self, told: Told) -> int:
        told(self.bytes)
        return self.value**2


@dataclass(frozen=True)
class KillsOnce:
    """Kills its process the first time that it is run."""

    mark: str
    bytes: int = 10

    def run(self, told: Told) -> int:
        try:
            os.close(os.open(self.mark, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return 1
        os.kill(os.getpid(), signal.SIGKILL)
        return 0


@dataclass(frozen=True)
class KillsAlways:
    bytes: int = 10

    def run(self, told: Told) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0


def processes() -> Executor:
    return ProcessPoolExecutor(2, mp_context=get_context("spawn"))


@contextmanager
def nothing() -> Iterator[None]:
    yield None


Place: TypeAlias = Callable[[], object]
PLACES: dict[str, Place] = {"here": nothing, "threads": lambda: ThreadPoolExecutor(2), "processes": processes}


class Steps:
    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []

    def step(self, what: str, done: int, total: int) -> None:
        assert what == "numbers"
        self.seen.append((done, total))


@pytest.mark.parametrize("place", PLACES)
def test_every_task_gives_one_result(place: str) -> None:
    steps = Steps()
    tasks = [Number(n) for n in range(300)]
    with PLACES[place]() as executor:  # type: ignore[attr-defined]
        found = sorted(spread(tasks, steps, what="numbers", total=3000, executor=executor, batch=100))
    assert found == [n**2 for n in range(300)]
    assert steps.seen[-1] == (3000, 3000)
    assert steps.seen == sorted(steps.seen)


@pytest.mark.parametrize("place", ["here", "threads"])
def test_work_that_is_stopped_begins_nothing_more(place: str) -> None:
    begun: list[int] = []

    def numbers() -> Iterator[Number]:
        for n in range(10_000):
            begun.append(n)
            yield Number(n)

    stoppable = Stoppable()
    with PLACES[place]() as executor:  # type: ignore[attr-defined]
        results = spread(numbers(), stoppable, what="", total=0, executor=executor, batch=20)
        for _ in range(5):
            next(results)
        stoppable.stopped = True
        with pytest.raises(Cancelled):
            list(results)
    assert len(begun) < 100


def test_no_more_is_under_way_than_the_window_holds() -> None:
    taken = 0

    def numbers() -> Iterator[Number]:
        nonlocal taken
        for n in range(1000):
            taken += 1
            yield Number(n, bytes=100)

    with ThreadPoolExecutor(1) as threads:
        results = spread(numbers(), Silent(), what="", total=0, executor=threads, batch=100, window=3)
        for got, _ in enumerate(results, 1):
            assert taken <= got + 5


def test_the_batch_of_a_killed_worker_is_run_again(tmp_path: Path) -> None:
    tasks: list[Task[int]] = [*(Number(n) for n in range(20)), KillsOnce(str(tmp_path / "mark"))]
    with processes() as executor:
        results: list[int] = list(
            spread(tasks, Silent(), what="", total=0, executor=executor, renew=processes, batch=50)
        )
    assert sorted(results) == sorted([1, *(n**2 for n in range(20))])


def test_what_kills_every_worker_ends_the_work_in_words() -> None:
    with processes() as executor, pytest.raises(StorageFailure, match="again and again"):
        list(spread([KillsAlways()], Silent(), what="", total=0, executor=executor, renew=processes))


class Clock:
    """A clock that stands still but while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


def test_no_task_is_begun_after_the_time() -> None:
    clock = Clock()
    budget = Budget(seconds=5, clock=clock, sleep=clock.sleep)
    found = []
    for result in spread([Number(n) for n in range(10)], Silent(), what="", total=0, budget=budget):
        found.append(result)
        clock.now += 2
    assert found == [0, 1, 4]
    assert budget.reached == "the time was used up"


@pytest.mark.parametrize("place", ["here", "threads"])
def test_no_task_is_begun_after_the_bytes(place: str) -> None:
    budget = Budget(bytes=35)
    with PLACES[place]() as executor:  # type: ignore[attr-defined]
        found = list(
            spread(
                [Number(n) for n in range(10)], Silent(), what="", total=0, executor=executor, batch=1, budget=budget
            )
        )
    assert sorted(found) == [0, 1, 4, 9]
    assert budget.reached == "the bytes were used up"


def test_a_budget_that_was_enough_says_nothing() -> None:
    budget = Budget(seconds=1000, bytes=1000)
    assert len(list(spread([Number(n) for n in range(10)], Silent(), what="", total=0, budget=budget))) == 10
    assert budget.reached == ""


def test_bytes_come_no_faster_than_the_rate() -> None:
    clock = Clock()
    budget = Budget(rate=100, clock=clock, sleep=clock.sleep)
    list(spread([Number(n, bytes=100) for n in range(20)], Silent(), what="", total=0, budget=budget))
    assert 18 <= clock.slept <= 20
