"""Where tasks are done: the fastest place, and processes that tell, stop, die and leave nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from orlop import workers
from orlop.errors import Cancelled, StorageFailure
from orlop.progress import Silent
from orlop.spread import Budget, Task
from orlop.workers import Where, fastest, work_off
from tests.core import worker_tasks
from tests.core.worker_tasks import Endless, Faulty, KillsAlways, KillsOnce

GIB = 1 << 30


@pytest.mark.parametrize(
    ("bytes", "alone", "cores", "where"),
    [
        (0, 0.0, 8, Where.HERE),
        (20 << 20, 0.01, 8, Where.HERE),
        (GIB, 0.001, 1, Where.HERE),
        (GIB, 0.001, 2, Where.THREADS),
        (300 * GIB, 0.1, 8, Where.THREADS),
        (345 << 20, 1.4, 2, Where.PROCESSES),
        (10 << 20, 60.0, 8, Where.PROCESSES),
    ],
)
def test_large_files_go_to_threads_and_very_many_small_ones_to_processes(
    bytes: int, alone: float, cores: int, where: Where
) -> None:
    assert fastest(bytes, alone, cores) is where


def done(tasks: "Sequence[Task[tuple[int, bool, int]]]", budget: Budget | None = None) -> list[tuple[int, bool, int]]:
    return list(work_off(tasks, Silent(), what="", alone=0, budget=budget))


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "fastest", lambda *_: Where.PROCESSES)
    monkeypatch.setattr(workers, "cores", lambda: 2)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "mark"


def gone(pid: int) -> bool:
    """Whether a process ended and nobody has to wait for it any more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):  # also where it ends while it is read
        return True


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.usefixtures("processes")
def test_helpers_do_the_work_import_nothing_else_and_are_gone_then() -> None:
    purse = Budget()
    results = done([worker_tasks.Where()] * 200, purse)
    pids = {pid for pid, _, _ in results}
    assert len(results) == 200
    assert 1 <= len(pids) <= 2
    assert os.getpid() not in pids
    assert not any(burdened for _, burdened, _ in results)
    assert {gentle for _, _, gentle in results} == {os.nice(0)}
    assert all(gone(pid) for pid in pids)
    assert purse.done == 2000


@pytest.mark.usefixtures("processes")
def test_the_batch_of_a_killed_helper_is_done_by_another_and_counted_once(mark: Path) -> None:
    purse = Budget()
    results = done([worker_tasks.Where(), KillsOnce(str(mark)), worker_tasks.Where()], purse)
    assert len(results) == 3
    assert purse.done == 30


@pytest.mark.usefixtures("processes")
def test_what_kills_every_helper_ends_the_work_in_words() -> None:
    with pytest.raises(StorageFailure, match="again and again"):
        done([KillsAlways()] * 2)


@pytest.mark.usefixtures("processes")
def test_a_fault_of_a_task_is_told_with_its_place() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError: a fault of the program"):
        done([Faulty()] * 2)


@pytest.mark.usefixtures("processes")
def test_who_stops_the_work_stops_the_helpers_amid_a_task(mark: Path) -> None:
    class Stopping:
        def step(self, what: str, done: int, total: int) -> None:
            if done > 20:
                raise Cancelled

    with pytest.raises(Cancelled):
        list(work_off([Endless(str(mark))] * 2, Stopping(), what="", alone=0))
    pids = [int(line) for line in mark.read_text().split()]
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("executable", ["", "/nothing/is/here", "/bin/false"])
def test_where_no_process_can_be_started_threads_do_the_work(monkeypatch: pytest.MonkeyPatch, executable: str) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    assert {pid for pid, _, _ in done([worker_tasks.Where()] * 5)} == {os.getpid()}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_program_that_is_ended_leaves_no_helper(mark: Path, number: signal.Signals) -> None:
    top = Path(__file__).parents[2]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(top / "core"), str(top)])}
    command = [sys.executable, "-m", "tests.core.worker_tasks", str(mark)]
    with subprocess.Popen(command, env=env, start_new_session=True, stderr=subprocess.DEVNULL) as program:
        try:
            until(lambda: mark.exists() and len(mark.read_text().split()) == 2)
            if number is signal.SIGINT:
                os.killpg(program.pid, number)  # as the terminal does
            else:
                program.send_signal(number)
            program.wait(30)
        finally:
            program.kill()
    pids = [int(line) for line in mark.read_text().split()]
    until(lambda: all(gone(pid) for pid in pids))
