"""Jobs: work that takes long, that a person watches, pauses and stops, and that runs beside everything else.

Each has a thread of its own. Of the same kind of work on the same store one runs at a
time, and the next one waits. None of them changes a store.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from orlop.errors import Cancelled, OrlopError
from orlop.finding import Finding
from orlop.records import Key
from orlop.store import Hashing
from orlop_tui import hashed, messages
from orlop_tui.gateway.running import Body, Running
from orlop_tui.gateway.slots import Slot, is_dated
from orlop_tui.gateway.threads import fault
from orlop_tui.gateway.writing import Writing
from orlop_tui.messages import Job, JobState

LOG = logging.getLogger("orlop.gateway")

_SAVES = 30.0
"""Seconds after which what was verified is written down while more is being verified."""


class Jobs(Writing):
    """Verifying and measuring."""

    def verify(self, index: int, keys: Sequence[Key] | None, *, again: bool = False) -> None:
        """Hash what these rows need, or everything, and remember it."""
        chosen = None if keys is None else tuple(keys)

        def work(running: Running) -> None:
            slot = self._slots[index]
            store, cache = slot.store, hashed.verified(slot.store.identity)

            def remember() -> None:
                cache.save()
                if store is slot.store:
                    self._show_dates(slot)

            running.every(_SAVES, remember)
            try:
                self._hash(slot, chosen, running, Hashing(verified=cache, again=again, budget=running.budget()))
            finally:
                remember()

        self._begin("verify", index, work, keys=chosen, again=again)

    def measure(self, index: int) -> None:
        """Find out where the bytes are."""

        def work(running: Running) -> None:
            space = self._slots[index].store.space(running)
            self._post(messages.SpaceReady(index, space, time.time_ns()))

        self._begin("measure", index, work)

    def pause(self, job: int) -> None:
        """Let a job rest at its next safe point."""
        self._with(job, Running.pause)

    def resume(self, job: int) -> None:
        """Let it go on."""
        self._with(job, Running.resume)
        self._run_next()

    def cancel(self, job: int) -> None:
        """End it at its next safe point; what it did until then stands."""
        self._with(job, Running.cancel)
        self._run_next()

    # --- hashing

    def _hash(self, slot: Slot, keys: tuple[Key, ...] | None, running: Running, how: Hashing) -> None:
        """Check contents; what it finds that the structure did not show is told as it is found."""
        store = slot.store
        if keys is None or slot.structure is None:
            slot.structure = tuple(store.check(None, content=False, progress=running))
            self._tell_findings(slot)
        known = {one.identity for one in slot.structure}
        if keys is not None:
            known.update(one.identity for one in store.check(keys, content=False, progress=running))
        wrong: dict[tuple[str, str, str], Finding] = {}
        told = 0.0
        for finding in store.check(keys, content=True, progress=running, hashing=how):
            if finding.identity in known or slot.store is not store:
                continue
            wrong[finding.identity] = finding
            slot.note(finding)
            if time.monotonic() >= told:
                told = time.monotonic() + 0.5
                running.found(len(wrong))
                self._tell_findings(slot)
        if slot.store is store:
            _forget(slot, keys, wrong)
            running.found(len(wrong))
            self._tell_findings(slot)

    def _show_dates(self, slot: Slot) -> None:
        """Let the rows say what was verified; while a change runs, that follows at its end."""
        if slot.writing or self._closed:
            return
        with slot.turn:
            before = slot.store.rows()
            delta = slot.store.refresh(())
        if delta:
            self._post(messages.StoreChanged(slot.index, delta, dated=is_dated(before, delta)))

    # --- life

    def _begin(
        self, what: str, index: int, body: Body, *, keys: tuple[Key, ...] | None = None, again: bool = False
    ) -> None:
        with self._mutex:
            if self._closed:
                return
            self._last_job += 1
            job = Job(id=self._last_job, what=what, index=index, keys=keys, again=again)
            running = Running(job, body, lambda told: self._post(messages.JobChanged(told)))
            self._running.append(running)
            self._post(messages.JobChanged(job))
        self._run_next()

    def _run_next(self) -> None:
        """Begin what waits, where nothing of the same kind is under way on the same store."""
        with self._mutex:
            self._running = [one for one in self._running if not one.job.state.is_over]
            busy = {(one.job.what, one.job.index) for one in self._running if one.thread is not None}
            for one in self._running:
                place = (one.job.what, one.job.index)
                if one.job.state is JobState.WAITING and place not in busy and not self._closed:
                    busy.add(place)
                    name = f"orlop-job-{one.job.id}"
                    one.run(threading.Thread(target=self._run_job, args=(one,), name=name, daemon=True))

    def _run_job(self, running: Running) -> None:
        try:
            running.body(running)
            running.end(JobState.DONE)
        except Cancelled:
            running.end(JobState.CANCELLED)
        except OrlopError as error:
            running.end(JobState.FAILED, error=error)
        except Exception as error:
            LOG.exception("%s", running.job.what)
            running.end(JobState.FAILED, error=fault(error))
        self._run_next()

    def _with(self, job: int, do: Callable[[Running], object]) -> None:
        with self._mutex:
            found = [one for one in self._running if one.job.id == job]
        for one in found:
            do(one)


def _forget(slot: Slot, keys: Iterable[Key] | None, found: dict[tuple[str, str, str], Finding]) -> None:
    """What was wrong before, and is not any more, after all of it was hashed."""
    images = None if keys is None else {key.id for key in keys}
    for identity, (finding, _) in list(slot.wrong.items()):
        if identity not in found and (images is None or not images.isdisjoint(finding.images)):
            del slot.wrong[identity]
