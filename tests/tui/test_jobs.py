"""Jobs of the gateway: they run beside everything else, rest, end early, and keep what they did."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from textual.message import Message

from orlop import samples
from orlop.errors import StorageFailure
from orlop.finding import Finding, Severity
from orlop.fs import Root
from orlop.progress import CONTENTS, Progress
from orlop.records import Delta, EngineState, Key, Snapshot, StoreId, Trust
from orlop.space import Space
from orlop.store import Hashing, Store
from orlop_tui import hashed, messages
from orlop_tui.gateway import Gateway
from orlop_tui.gateway.running import Pace, Running
from orlop_tui.messages import Job, JobState

M = TypeVar("M", bound=Message)
PATIENCE = 20.0
NOBODY: frozenset[Key] = frozenset()


class Desk:
    """Stands in for the app: keeps what is posted, and lets a test wait for it."""

    def __init__(self) -> None:
        self.got: list[Message] = []
        self._changed = threading.Condition()

    def post_message(self, message: Message) -> bool:
        with self._changed:
            self.got.append(message)
            self._changed.notify_all()
        return True

    def all(self, kind: type[M]) -> list[M]:
        with self._changed:
            return [message for message in self.got if isinstance(message, kind)]

    def wait(self, kind: type[M], wanted: Callable[[M], bool] = lambda _: True) -> M:
        """The first such message, as soon as it is there."""

        def found() -> M | None:
            return next((m for m in self.got if isinstance(m, kind) and wanted(m)), None)

        with self._changed:
            message = self._changed.wait_for(found, PATIENCE)
            assert message is not None, f"no {kind.__name__} among {self.got}"
            return message

    def job(self, state: JobState, number: int = 1) -> Job:
        """The job, as soon as it is in this state."""
        return self.wait(messages.JobChanged, lambda told: told.job.id == number and told.job.state is state).job


def wrong(path: str) -> Finding:
    return Finding(
        rule="RG01",
        title="blob-wrong",
        severity=Severity.UNUSABLE,
        path=path,
        detail="its bytes hash to another digest",
        engine_says="",
        repair=None,
        images=("sha256:" + "1" * 64,),
    )


class StandIn:
    """A store that hashes as a test says."""

    def __init__(self, folder: Path, body: Callable[[Progress], Iterator[Finding]]) -> None:
        folder.mkdir()
        self.root = Root.open(str(folder))
        self.identity = StoreId(kind="docker", scope="", path=str(folder), token=str(folder))
        self.body = body
        self.asked: list[tuple[object, Hashing | None]] = []
        self.looked = 0

    def rows(self) -> Snapshot:
        return Snapshot(
            identity=self.identity,
            rows=(),
            images=0,
            total_size=0,
            seen_at=0,
            engine=EngineState.STOPPED,
            engine_text="",
            notes=(),
        )

    def check(
        self, keys: Iterable[Key] | None, *, content: bool, progress: Progress, hashing: Hashing | None = None
    ) -> Iterator[Finding]:
        if content:
            self.asked.append((keys, hashing))
            yield from self.body(progress)

    def space(self, progress: Progress) -> Space:
        progress.step("folders", 1, 1)
        return Space(disk=0, parts=(), images=(), free=1, capacity=2)

    def refresh(self, hints: Iterable[str] | None = None) -> Delta:
        self.looked += 1
        return Delta(snapshot=self.rows(), added=NOBODY, removed=NOBODY, changed=NOBODY)

    def close(self) -> None:
        self.root.close()


@pytest.fixture
def desk() -> Desk:
    return Desk()


Opened = Callable[..., Gateway]


@pytest.fixture
def opened(desk: Desk) -> Iterator[Opened]:
    """Makes gateways over stores; closes them afterwards."""
    made: list[Gateway] = []

    def build(*stores: StandIn | str) -> Gateway:
        by_path = {store.identity.path: store for store in stores if isinstance(store, StandIn)}

        def opener(path: str, progress: Progress) -> Sequence[Store]:
            return [cast(Store, by_path[path])]

        named = [store if isinstance(store, str) else store.identity.path for store in stores]
        gateway = Gateway(named, opener=opener if by_path else None, watching=False)
        made.append(gateway)
        gateway.attach(cast(Any, desk))
        gateway.open()
        desk.wait(messages.AllOpened)
        return gateway

    yield build
    for gateway in made:
        gateway.close()


class Steps:
    """Work of a hundred bytes that goes one byte further whenever the test lets it."""

    def __init__(self) -> None:
        self.may = threading.Semaphore(0)
        self.at = 0
        self.found: dict[int, Finding] = {}
        self.threads: list[str] = []

    def __call__(self, progress: Progress) -> Iterator[Finding]:
        self.threads.append(threading.current_thread().name)
        for done in range(1, 101):
            assert self.may.acquire(timeout=PATIENCE)
            progress.step(CONTENTS, done, 100)
            self.at = done
            if done in self.found:
                yield self.found[done]

    def go(self, bytes: int) -> None:
        self.may.release(bytes)


def test_a_job_tells_its_bytes_and_its_end(desk: Desk, opened: Opened, tmp_path: Path) -> None:
    steps = Steps()
    steps.go(100)
    store = StandIn(tmp_path / "s", steps)
    opened(store).verify(0, None)
    done = desk.job(JobState.DONE)
    assert (done.what, done.index, done.keys) == ("verify", 0, None)
    assert (done.done, done.total, done.in_bytes, done.hashed) == (100, 100, True, 100)
    assert [told.job.state for told in desk.all(messages.JobChanged)][:2] == [JobState.WAITING, JobState.RUNNING]
    assert len(desk.all(messages.JobChanged)) < 20, "ten a second, however many steps"
    assert store.looked == 1


def test_a_paused_job_waits_and_goes_on(desk: Desk, opened: Opened, tmp_path: Path) -> None:
    steps = Steps()
    gateway = opened(StandIn(tmp_path / "s", steps))
    gateway.verify(0, None)
    desk.job(JobState.RUNNING)
    gateway.pause(1)
    assert desk.job(JobState.PAUSED).rate == 0
    steps.go(100)
    assert steps.at == 0
    gateway.resume(1)
    desk.job(JobState.DONE)
    assert steps.at == 100


def test_whatever_works_for_a_paused_job_stands_still() -> None:
    told: list[Job] = []
    running = Running(Job(id=1, what="verify", index=0, state=JobState.RUNNING), lambda _: None, told.append)
    running.pause()
    budget = running.budget()
    workers = [
        threading.Thread(target=running.step, args=(CONTENTS, 1, 2), daemon=True),
        threading.Thread(target=budget.spend, args=(1,), daemon=True),
    ]
    for worker in workers:
        worker.start()
        worker.join(0.05)
        assert worker.is_alive()
    running.resume()
    for worker in workers:
        worker.join(PATIENCE)
        assert not worker.is_alive()
    assert (running.job.done, budget.done) == (1, 1)


def test_a_paused_job_can_be_cancelled(desk: Desk, opened: Opened, tmp_path: Path) -> None:
    steps = Steps()
    gateway = opened(StandIn(tmp_path / "s", steps))
    gateway.verify(0, None)
    gateway.pause(1)
    desk.job(JobState.PAUSED)
    steps.go(100)
    gateway.cancel(1)
    desk.job(JobState.CANCELLED)
    assert steps.at == 0


def test_a_paused_job_does_not_keep_the_program_from_ending(desk: Desk, opened: Opened, tmp_path: Path) -> None:
    steps = Steps()
    gateway = opened(StandIn(tmp_path / "s", steps))
    gateway.verify(0, None)
    gateway.pause(1)
    desk.job(JobState.PAUSED)
    steps.go(1)
    gateway.close()
    assert desk.job(JobState.CANCELLED).worked >= 0


def test_a_second_verify_of_a_store_waits_for_the_first(desk: Desk, opened: Opened, tmp_path: Path) -> None:
    steps = Steps()
    gateway = opened(StandIn(tmp_path / "s", steps))
    gateway.verify(0, None)
    gateway.verify(0, (Key("", "sha256:" + "1" * 64, None),))
    desk.job(JobState.WAITING, 2)
    assert steps.threads in ([], ["orlop-job-1"])
    steps.go(200)
    desk.job(JobState.DONE, 2)
    assert steps.threads == ["orlop-job-1", "orlop-job-2"]


def test_other_stores_and_other_work_do_not_wait(desk: Desk, opened: Opened, tmp_path: Path) -> None:
    first, second = Steps(), Steps()
    gateway = opened(StandIn(tmp_path / "one", first), StandIn(tmp_path / "two", second))
    gateway.verify(0, None)
    gateway.verify(1, None)
    second.go(100)
    desk.job(JobState.DONE, 2)
    gateway.measure(0)
    desk.job(JobState.DONE, 3)
    assert desk.wait(messages.SpaceReady).space.capacity == 2
    assert not [told for told in desk.all(messages.JobChanged) if told.job.id == 1 and told.job.state.is_over]
    first.go(100)
    desk.job(JobState.DONE, 1)


def test_a_job_that_waits_is_cancelled_at_once(desk: Desk, opened: Opened, tmp_path: Path) -> None:
    steps = Steps()
    gateway = opened(StandIn(tmp_path / "s", steps))
    gateway.verify(0, None)
    gateway.verify(0, None)
    desk.job(JobState.WAITING, 2)
    gateway.cancel(2)
    assert desk.job(JobState.CANCELLED, 2).id == 2
    steps.go(100)
    desk.job(JobState.DONE)
    assert steps.threads == ["orlop-job-1"]


def test_ctrl_c_ends_the_job_that_was_begun_last(desk: Desk, opened: Opened, tmp_path: Path) -> None:
    steps = Steps()
    gateway = opened(StandIn(tmp_path / "s", steps))
    gateway.verify(0, None)
    desk.job(JobState.RUNNING)
    assert gateway.stop()
    assert not gateway.stop(), "it was told already"
    steps.go(1)
    desk.job(JobState.CANCELLED)
    assert not gateway.stop()


def test_what_hashing_found_is_told_at_once_and_outlasts_a_check(desk: Desk, opened: Opened, tmp_path: Path) -> None:
    steps = Steps()
    store = StandIn(tmp_path / "s", steps)
    (tmp_path / "s" / "blob").write_bytes(b"rot")
    steps.found[3] = wrong("blob")
    gateway = opened(store)
    gateway.verify(0, None)
    steps.go(4)
    told = desk.wait(messages.Findings, lambda told: len(told.findings) == 1)
    assert told.hashed == {wrong("blob").identity}
    desk.got.clear()
    gateway.check(0)
    assert desk.wait(messages.Findings).findings == (wrong("blob"),)
    gateway.cancel(1)
    steps.go(1)
    desk.job(JobState.CANCELLED)
    desk.got.clear()
    (tmp_path / "s" / "blob").write_bytes(b"mended")
    gateway.check(0)
    assert desk.wait(messages.Findings).findings == (), "its file is another one now"


def test_what_is_right_again_is_forgotten_once_all_was_hashed(desk: Desk, opened: Opened, tmp_path: Path) -> None:
    steps = Steps()
    store = StandIn(tmp_path / "s", steps)
    (tmp_path / "s" / "blob").write_bytes(b"rot")
    steps.found[3] = wrong("blob")
    gateway = opened(store)
    steps.go(200)
    gateway.verify(0, None)
    assert desk.job(JobState.DONE).found == 1
    steps.found.clear()
    desk.got.clear()
    gateway.verify(0, None, again=True)
    desk.job(JobState.DONE, 2)
    assert desk.all(messages.Findings)[-1].findings == ()
    asked = store.asked[-1][1]
    assert asked is not None
    assert asked.again


def test_a_failure_ends_one_job_and_says_why(desk: Desk, opened: Opened, tmp_path: Path) -> None:
    def body(progress: Progress) -> Iterator[Finding]:
        raise StorageFailure("the disk does not answer")

    opened(StandIn(tmp_path / "s", body)).verify(0, None)
    error = desk.job(JobState.FAILED).error
    assert error is not None
    assert error.what == "the disk does not answer"


def test_a_fault_becomes_the_failure_of_its_job(desk: Desk, opened: Opened, tmp_path: Path) -> None:
    def body(progress: Progress) -> Iterator[Finding]:
        raise RuntimeError("nobody thought of that")

    opened(StandIn(tmp_path / "s", body)).verify(0, None)
    error = desk.job(JobState.FAILED).error
    assert error is not None
    assert "nobody thought of that" in error.why


def test_rows_of_a_real_store_are_verified_and_it_is_remembered(desk: Desk, opened: Opened, tmp_path: Path) -> None:
    samples.make_rkt(str(tmp_path / "rkt"), damage=False)
    opened(str(tmp_path / "rkt")).verify(0, None)
    done = desk.job(JobState.DONE)
    assert done.found == 0
    changed = desk.wait(messages.StoreChanged)
    assert changed.dated
    assert all(row.trust is Trust.VERIFIED for row in changed.delta.snapshot.rows)
    identity = changed.delta.snapshot.identity
    hashed.verified.cache_clear()
    assert len(hashed.verified(identity)) > 0, "another program knows it, too"


def test_speed_is_that_of_the_last_seconds() -> None:
    pace = Pace()
    assert pace.rate == 0
    pace.add(100.0, 0)
    assert pace.rate == 0
    for second in range(1, 31):
        pace.add(100.0 + second, 50 * second if second < 10 else 450 + 10 * (second - 10))
    assert pace.rate == pytest.approx(10)
