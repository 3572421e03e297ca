"""What was hashed of a store of any kind is remembered, shown with its date, and hashed again only with a reason."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from orlop import times, workers
from orlop.errors import Cancelled
from orlop.progress import CONTENTS, Progress
from orlop.records import Trust
from orlop.registry import content as registry_content
from orlop.rkt import content as rkt_content
from orlop.spread import Budget, spread
from orlop.store import Hashing, Store
from orlop.verified import VerifiedCache
from orlop.workers import Where
from tests.contracts.verifying import KINDS, Subject, Timeless, by_id, checked, flipped


@pytest.fixture(params=KINDS)
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
    made: Subject = KINDS[request.param](tmp_path)
    return made


@pytest.fixture(autouse=True)
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute has gone by: what is read in the tick of the clock in which it was written proves nothing."""
    now = times.now
    monkeypatch.setattr(times, "now", lambda: now() + 60_000_000_000)


@contextlib.contextmanager
def opened(subject: Subject, cache: VerifiedCache | None) -> Iterator[Store]:
    store = subject.open(cache)
    try:
        yield store
    finally:
        store.close()


def trust(store: Store) -> set[Trust]:
    return {row.trust for row in store.rows().rows}


def test_a_check_ends_unverified_and_the_rows_say_since_when(subject: Subject) -> None:
    cache = VerifiedCache(None, "store")
    with opened(subject, cache) as store:
        assert trust(store) == {Trust.LINKED}
        began = times.now()
        found, total = checked(store, Hashing(verified=cache))
        assert [one for one in found if one.severity.is_damage] == []
        assert total >= sum(path.stat().st_size for path in subject.files)
        rows = store.rows().rows
        assert {row.trust for row in rows} == {Trust.VERIFIED}
        assert all(row.verified_at is not None and began <= row.verified_at <= times.now() for row in rows)


def test_the_next_look_names_the_rows_that_were_verified(subject: Subject) -> None:
    cache = VerifiedCache(None, "store")
    with opened(subject, cache) as store:
        checked(store, Hashing(verified=cache))
        shown = store.rows()  # whoever asks in between takes nothing from the delta
        delta = store.refresh(())
        assert delta.changed == {row.key for row in shown.rows}
        assert not delta.added
        assert not delta.removed
        assert not store.refresh(())


def test_a_second_check_hashes_nothing_and_the_date_stays(subject: Subject) -> None:
    cache = VerifiedCache(None, "store")
    with opened(subject, cache) as store:
        first, _ = checked(store, Hashing(verified=cache))
        rows = store.rows().rows
        assert checked(store, Hashing(verified=cache)) == (first, 0)
        assert store.rows().rows == rows


def test_another_program_goes_on_with_what_was_saved(subject: Subject, tmp_path: Path) -> None:
    folder = str(tmp_path / "cache")
    cache = VerifiedCache(folder, "store")
    with opened(subject, cache) as store:
        checked(store, Hashing(verified=cache))
        rows = store.rows().rows
    cache.save()
    again = VerifiedCache(folder, "store")
    with opened(subject, again) as store:
        assert store.rows().rows == rows
        assert checked(store, Hashing(verified=again))[1] == 0


def test_what_was_written_to_is_linked_and_hashed_again(subject: Subject) -> None:
    cache = VerifiedCache(None, "store")
    with opened(subject, cache) as store:
        checked(store, Hashing(verified=cache))
        subject.victim.write_bytes(subject.victim.read_bytes())
        delta = store.refresh(None)
        rows = by_id(store.rows().rows)
        assert rows[subject.owner].trust is Trust.LINKED
        assert rows[subject.owner].verified_at is None
        assert rows[subject.owner].key in delta.changed
        assert {row.trust for id, row in rows.items() if id != subject.owner} == {Trust.VERIFIED}
        assert checked(store, Hashing(verified=cache))[1] == subject.victim.stat().st_size
        assert trust(store) == {Trust.VERIFIED}


def test_damage_that_shows_in_the_times_is_found_at_once(subject: Subject) -> None:
    cache = VerifiedCache(None, "store")
    with opened(subject, cache) as store:
        checked(store, Hashing(verified=cache))
        flipped(subject.victim)
        found, total = checked(store, Hashing(verified=cache))
        assert subject.rule in {one.rule for one in found if one.severity.is_damage}
        assert total == subject.victim.stat().st_size
        assert checked(store, Hashing(verified=cache)) == (found, total)


def test_rot_is_found_only_when_all_is_hashed_again_and_is_not_forgotten_then(subject: Subject) -> None:
    cache = Timeless()
    with opened(subject, cache) as store:
        sound, total = checked(store, Hashing(verified=cache))
        flipped(subject.victim)
        assert checked(store, Hashing(verified=cache)) == (sound, 0)
        assert trust(store) == {Trust.VERIFIED}
        found, again = checked(store, Hashing(verified=cache, again=True))
        assert again == total
        assert subject.rule in {one.rule for one in found}
        assert by_id(store.rows().rows)[subject.owner].trust is Trust.LINKED
        assert subject.rule in {one.rule for one in checked(store, Hashing(verified=cache))[0]}


def test_a_budget_stops_and_the_next_check_goes_on_until_all_is_verified(subject: Subject) -> None:
    cache = VerifiedCache(None, "store")
    with opened(subject, cache) as store:
        left = [checked(store, None)[1]]
        while left[-1]:
            budget = Budget(bytes=1)
            found, total = checked(store, Hashing(verified=cache, budget=budget))
            assert not any(one.severity.is_damage for one in found)  # what was not reached is no damage
            assert bool(budget.reached) == (total > budget.done)
            left.append(total - budget.done)
        assert left == sorted(set(left), reverse=True)
        assert len(left) == len(subject.files) + 1
        assert trust(store) == {Trust.VERIFIED}


def test_again_within_a_budget_goes_round(subject: Subject) -> None:
    cache = VerifiedCache(None, "store")
    with opened(subject, cache) as store:
        checked(store, Hashing(verified=cache))
        began = times.now()
        for _ in subject.files:
            checked(store, Hashing(verified=cache, again=True, budget=Budget(bytes=1)))
        assert all(row.verified_at is not None and row.verified_at > began for row in store.rows().rows)


def test_a_budget_hides_damage_no_longer_than_until_it_is_reached(subject: Subject) -> None:
    flipped(subject.victim)
    cache = VerifiedCache(None, "store")
    rules: set[str] = set()
    with opened(subject, cache) as store:
        for _ in range(len(subject.files) + 1):
            damage = checked(store, Hashing(verified=cache, budget=Budget(bytes=20_000)))[0]
            rules |= {one.rule for one in damage if one.severity.is_damage}
    assert subject.rule in rules


def test_what_was_verified_before_a_check_was_stopped_stays_so(subject: Subject) -> None:
    class Stopping:
        def step(self, what: str, done: int, total: int) -> None:
            if what == CONTENTS and done > total * 2 // 3:  # some are hashed, and not all
                raise Cancelled

    cache = VerifiedCache(None, "store")
    with opened(subject, cache) as store:
        with pytest.raises(Cancelled):
            list(store.check(None, content=True, progress=Stopping(), hashing=Hashing(verified=cache)))
        assert len(cache)
        assert checked(store, Hashing(verified=cache))[1] < checked(store, None)[1]
        assert trust(store) == {Trust.VERIFIED}


def test_findings_are_the_same_with_and_without_a_memory(subject: Subject) -> None:
    for path in (subject.victim, *subject.files[-2:]):
        flipped(path)
    cache = VerifiedCache(None, "store")
    with opened(subject, None) as store:
        plain = sorted(checked(store, None)[0], key=repr)
        assert sorted(checked(store, Hashing(verified=cache))[0], key=repr) == plain
        assert sorted(checked(store, Hashing(verified=cache))[0], key=repr) == plain
        assert sorted(checked(store, Hashing(verified=cache, again=True))[0], key=repr) == plain
    with opened(subject, cache) as store:
        assert sorted(checked(store, Hashing(verified=cache))[0], key=repr) == plain
        listed = {image for one in plain if one.severity.is_damage for image in one.images}
        assert listed.isdisjoint(row.id for row in store.rows().rows if row.trust is Trust.VERIFIED)


def test_what_is_noted_elsewhere_does_not_show(subject: Subject) -> None:
    with opened(subject, VerifiedCache(None, "store")) as store:
        checked(store, Hashing(verified=VerifiedCache(None, "store")))
        assert trust(store) == {Trust.LINKED}
    with opened(subject, None) as store:
        checked(store, Hashing(verified=VerifiedCache(None, "store")))
        assert trust(store) == {Trust.LINKED}


# --- executors ---------------------------------------------------------------


class Killed(ProcessPoolExecutor):
    """Its worker is killed as soon as there is work."""

    def submit(self, *arguments: Any, **more: Any) -> Future[Any]:
        super().submit(_die)
        return super().submit(*arguments, **more)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _spread_over(executor: Callable[[], Executor]) -> Callable[..., Iterator[Any]]:
    """In the place of `work_off`: tasks are done by any executor."""

    def work_off(tasks: Sequence[Any], progress: Progress, *, what: str, budget: Budget, **_: object) -> Iterator[Any]:
        total = sum(task.bytes for task in tasks)
        with executor() as opened:
            yield from spread(tasks, progress, what=what, total=total, executor=opened, budget=budget)

    return work_off


def _work_off_in(where: Where) -> Callable[..., Iterator[Any]]:
    def work_off(tasks: Sequence[Any], progress: Progress, **more: Any) -> Iterator[Any]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(workers, "fastest", lambda *_: where)
            patch.setattr(workers, "cores", lambda: 2)
            yield from workers.work_off(tasks, progress, **more)

    return work_off


WAYS: dict[str, Callable[..., Iterator[Any]]] = {
    "threads": _work_off_in(Where.THREADS),
    "helpers": _work_off_in(Where.PROCESSES),
    "an executor of processes": _spread_over(lambda: ProcessPoolExecutor(1, mp_context=get_context("spawn"))),
    "a killed process": _spread_over(lambda: Killed(1, mp_context=get_context("spawn"))),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_same_is_found_wherever_it_is_hashed(subject: Subject, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    flipped(subject.victim)
    here = VerifiedCache(None, "store")
    with opened(subject, here) as store:
        found, total = checked(store, Hashing(verified=here))
        rows = [(row.id, row.trust) for row in store.rows().rows]
    for module in (registry_content, rkt_content):
        monkeypatch.setattr(module, "work_off", WAYS[way])
    cache = VerifiedCache(None, "store")
    with opened(subject, cache) as store:
        assert checked(store, Hashing(verified=cache)) == (found, total)
        assert [(row.id, row.trust) for row in store.rows().rows] == rows
    assert len(cache) == len(here)
