"""The one way from the screens to the stores: all work in threads, all answers as messages.

Reads of several screens run side by side. Changes run in one thread, so that two
never meet; while one runs, re-reading is held back and follows once at its end.
An error of the core becomes `Failed`; anything else is a fault of Orlop itself,
is logged and becomes `Failed` too: no worker can end the app.
"""

import contextlib
import json
import logging
import os
import pwd
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from orlop.errors import Cancelled, OrlopError
from orlop.fs import translate
from orlop.intent import Import, Intent
from orlop.plan import Plan
from orlop.progress import Stoppable
from orlop.records import Delta, Facet, Key, Snapshot
from orlop.store import Statement, Store
from orlop_tui import hashed, messages
from orlop_tui.watch import POLL, Watch

if TYPE_CHECKING:
    from textual.app import App
    from textual.message import Message

    from orlop.apply import Receipt
    from orlop.journal import Change, Journal
    from orlop.progress import Progress

LOG = logging.getLogger("orlop.gateway")
LOG.addHandler(logging.NullHandler())  # without a log file nothing may reach the terminal


class _Slot:
    """One open store, and what is under way on it."""

    def __init__(self, index: int, path: str, store: Store, since: int) -> None:
        self.index = index
        self.path = path
        self.store = store
        self.since = since
        self.turn = threading.RLock()
        """Held by whoever reads the store anew or changes it."""
        self.writing = False
        self.held_back: set[str] = set()
        """Hints that came while a change ran."""
        self.watch: Watch | None = None
        self.sweep_after = 0.0
        """When its unwatched parts may be looked at again, by the monotonic clock."""
        self.retired: list[Store] = []
        """Stores of folders that were replaced; a reader may still be in them."""


class _Told(Stoppable):
    """Progress that becomes `Working`, ten times a second at most; it stops what nobody wants any more."""

    def __init__(self, tell: Callable[[str, int, int], None], wanted: Callable[[], bool]) -> None:
        super().__init__()
        self._tell = tell
        self._wanted = wanted
        self.lasting = False
        self._next = 0.0

    def step(self, what: str, done: int, total: int) -> None:
        if not self._wanted():
            raise Cancelled
        super().step(what, done, total)
        now = time.monotonic()
        if now >= self._next:
            self._next = now + 0.1
            self._tell(what, done, total)


class _Readers:
    """Three threads that change no store; the end of the program does not wait for one that hangs in a dead disk."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._run, name=f"orlop-read-{n}", daemon=True) for n in range(3)]

    def submit(self, work: Callable[[], None]) -> None:
        """Run work, which must not raise, as soon as a thread is free."""
        if self._threads[0].ident is None:
            for thread in self._threads:
                thread.start()
        self._work.put(work)

    def close(self, timeout: float) -> bool:
        """Take no more work; False where a thread did not end in time."""
        for _ in self._threads:
            self._work.put(None)
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()


class Gateway:
    """Implements `orlop_tui.messages.Gateway` over `orlop.kinds` and `orlop.apply`.

    Args:
        paths: what the person named; each may hold several stores.
        opener: gives the stores at a path; `orlop.kinds.open_all` if None.
        watching: whether changes made by others are followed.
        poll: seconds between two looks where the kernel tells nothing.
    """

    def __init__(
        self,
        paths: Sequence[str],
        *,
        opener: "Callable[[str, Progress], Sequence[Store]] | None" = None,
        watching: bool = True,
        poll: float = POLL,
    ) -> None:
        self._paths = tuple(paths)
        self._opener = opener or _open_all
        self._watching = watching
        self._poll = poll
        self._app: App[Any] | None = None
        self._slots: list[_Slot] = []
        self._readers = _Readers()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="orlop-write")
        self._mutex = threading.Lock()
        self._asked: dict[tuple[str, int | None], int] = {}
        self._jobs: list[_Told] = []
        self._closed = False
        self._closing = threading.Event()

    # --- life

    def attach(self, app: "App[Any]") -> None:
        """Give the app that messages go to; called once, before anything else."""
        self._app = app

    def close(self) -> None:
        """Stop watching and let the stores go; waits for a change that is being applied."""
        with self._mutex:
            if self._closed:
                return
            self._closed = True
            for job in self._jobs:
                job.stopped = job.stopped or not job.lasting
        self._closing.set()
        watches = [slot.watch for slot in self._slots if slot.watch is not None]
        for watch in watches:
            watch.stop(0.0)
        self._writer.shutdown(wait=True, cancel_futures=True)
        ended = [watch.stop() for watch in watches]
        if self._readers.close(timeout=1.0) and all(ended):
            for slot in self._slots:
                for store in (slot.store, *slot.retired):
                    store.close()

    def stop(self) -> bool:
        """Ask the job that started last to stop at its next safe point; False where none runs."""
        with self._mutex:
            running = [job for job in self._jobs if not job.stopped]
            if not running:
                return False
            running[-1].stopped = True
            return True

    # --- reading

    def open(self) -> None:
        """Open every path; then follow what changes."""
        self._submit(self._readers, "open", None, self._open)

    def detail(self, index: int, key: Key) -> None:
        """`DetailReady` for the key that was asked for last."""

        def work(current: Callable[[], bool]) -> None:
            if not current():
                return
            store = self._slots[index].store
            detail = store.detail(key)
            mappings = store.facet(Facet.MAPPINGS, key)
            remotes = store.facet(Facet.REMOTES, key)
            if current():
                self._post(messages.DetailReady(index, key, detail, mappings, remotes))

        self._submit(self._readers, "detail", index, work)

    def records(self, index: int, facet: Facet) -> None:
        """`RecordsReady` of the whole store."""

        def work(current: Callable[[], bool]) -> None:
            found = self._slots[index].store.facet(facet, None)
            if current():
                self._post(messages.RecordsReady(index, facet, found))

        self._submit(self._readers, f"records {facet}", index, work)

    def check(self, index: int) -> None:
        """`Findings` of the whole store; a check that still runs is stopped."""

        def work(current: Callable[[], bool]) -> None:
            with self._job(index, current) as progress:
                findings = tuple(self._slots[index].store.check(None, content=False, progress=progress))
            if current():
                self._post(messages.Findings(index, findings))

        self._submit(self._readers, "check", index, work)

    def plan(self, index: int, intent: Intent) -> None:
        """`PlanReady` for the intent that was asked for last."""

        def work(current: Callable[[], bool]) -> None:
            plan = self._slots[index].store.plan(intent)
            if current():
                self._post(messages.PlanReady(index, plan))

        self._submit(self._readers, "plan", index, work)

    def journal(self, index: int) -> None:
        """`JournalReady`."""

        def work(current: Callable[[], bool]) -> None:
            changes = tuple(_past(change) for change in _journal(self._slots[index].store).changes())
            if current():
                self._post(messages.JournalReady(index, changes))

        self._submit(self._readers, "journal", index, work)

    def rescan(self, index: int) -> None:
        """Read everything again; `StoreChanged` even where nothing differs."""

        def work(_: Callable[[], bool]) -> None:
            slot = self._slots[index]
            with slot.turn:
                self._post(messages.StoreChanged(index, slot.store.refresh(None)))

        self._submit(self._writer, "rescan", index, work)

    # --- the network, and what waits beside the store

    def fetch(self, index: int, url: str) -> None:
        """Ask a URL for its image again; what it gives is written beside the store, and nothing in it."""

        def work(current: Callable[[], bool]) -> None:
            with self._job(index) as progress:
                fetched = self._slots[index].store.fetch(url, at=time.time_ns(), progress=progress)
            if current():
                self._post(messages.ImageFetched(index, fetched.intent, fetched.remarks))
            else:
                self._let_go(index, fetched.intent)

        self._submit(self._readers, "fetch", index, work)

    def discard(self, index: int, intent: Intent) -> None:
        """Let go of what waits for an intent."""
        self._submit(self._writer, "discard", index, lambda _: self._let_go(index, intent))

    def _let_go(self, index: int, intent: Intent) -> None:
        if isinstance(intent, Import):
            from orlop.incoming import discard

            discard(self._slots[index].store.root, intent.staged)

    # --- writing

    def probe(self, index: int, *, offline: bool) -> None:
        """Try the store's guard and let it go."""

        def work(current: Callable[[], bool]) -> None:
            slot = self._slots[index]
            with slot.turn:
                by = self._try_guard(slot, offline)
            if current():
                self._post(messages.Writable(index, by, offline=offline))

        self._submit(self._writer, "unlock", index, work)

    def _try_guard(self, slot: _Slot, offline: bool) -> str:
        """Take the guard and let it go; the screen follows where it said otherwise of the engine."""
        try:
            with slot.store.guard(Statement(offline=offline)) as exclusive:
                return exclusive.by
        finally:
            self._follow_engine(slot)

    def apply(self, index: int, plan: Plan, *, offline: bool) -> None:
        """Apply a plan as it was shown; refused where it would do anything else by now."""

        def work(store: Store, journal: "Journal", progress: "Progress") -> "Receipt":
            from orlop.apply import apply

            receipt = apply(store, plan, journal, statement=Statement(offline=offline), progress=progress)
            self._tidy(index, plan.intent)
            return receipt

        self._write("apply", index, work)

    def _tidy(self, index: int, intent: Intent) -> None:
        """Let go of what was taken in; where that fails the change is done all the same."""
        try:
            self._let_go(index, intent)
        except OrlopError as error:
            LOG.warning("what was staged for %r stays: %s", self._slots[index].path, error)

    def undo(self, index: int, change: str | None, *, offline: bool) -> None:
        """Undo a change; None: the last one that is not undone."""

        def work(store: Store, journal: "Journal", _: "Progress") -> "Receipt":
            from orlop.apply import undo

            return undo(store, journal, change, statement=Statement(offline=offline))

        self._write("undo", index, work)

    def finish(self, index: int, *, offline: bool) -> None:
        """Complete a change that was cut off."""

        def work(store: Store, journal: "Journal", _: "Progress") -> "Receipt":
            from orlop.apply import finish

            return finish(store, journal, statement=Statement(offline=offline))

        self._write("finish", index, work)

    def purge(self, index: int, changes: Sequence[str], *, offline: bool) -> None:
        """Empty the quarantine of these changes; none can be undone afterwards."""

        def work(store: Store, journal: "Journal", _: "Progress") -> "Receipt":
            from orlop.apply import purge

            return purge(store, journal, changes, statement=Statement(offline=offline))

        self._write("purge", index, work)

    # --- beside the store

    def save_plan(self, plan: Plan, path: str) -> None:
        """Write a plan as JSON to a new file, mode 0600; a file that is there is left alone."""

        def work(_: Callable[[], bool]) -> None:
            _write_new(path, json.dumps(plan.to_json(), indent=2).encode() + b"\n")
            self._post(messages.PlanSaved(path))

        self._submit(self._readers, "save plan", None, work)

    def copy(self, what: str, text: str) -> None:
        """Put a text on the clipboard of the terminal; called from the app's own thread."""
        from orlop_tui.clipboard import copy

        driver = self._app._driver if self._app is not None else None
        if driver is None:
            return
        try:
            how = copy(text, driver.write, os.environ)
        except OrlopError as error:
            self._post(messages.Failed(None, "copy", error))
            return
        self._post(messages.Copied(what, how))

    # --- the work itself

    def _open(self, _: Callable[[], bool]) -> None:
        for path in self._paths:
            try:
                self._open_path(path)
            except OrlopError as error:
                self._post(messages.OpenFailed(path, error))
            except Exception as error:
                LOG.exception("open %r", path)
                self._post(messages.OpenFailed(path, _fault(error)))
        self._post(messages.AllOpened(len(self._slots)))
        if self._app is not None and self._watching:
            self._app.call_after_refresh(self._watch_all)

    def _open_path(self, path: str) -> None:
        since = time.time_ns()
        with self._job(None) as progress:
            stores = self._opener(path, progress)
        for store in stores:
            slot = _Slot(len(self._slots), path, store, since)
            self._slots.append(slot)
            snapshot = store.rows()
            unfinished = self._unfinished(store)
            self._post(messages.StoreOpened(slot.index, snapshot, path=path, unfinished=unfinished))

    def _unfinished(self, store: Store) -> messages.PastChange | None:
        """The change that was cut off; a journal that cannot be read must not hide the store."""
        try:
            change = _journal(store).unfinished()
        except OrlopError as error:
            LOG.warning("the journal of %r cannot be read: %s", store.identity.path, error)
            return None
        return None if change is None else _past(change)

    def _write(self, action: str, index: int, body: "Callable[[Store, Journal, Progress], Receipt]") -> None:
        def work(_: Callable[[], bool]) -> None:
            slot = self._slots[index]
            with slot.turn, self._job(index, lasting=True) as progress:
                before = slot.store.rows()
                slot.writing = True
                try:
                    receipt = body(slot.store, _journal(slot.store), progress)
                except BaseException:
                    self._hold_back(slot, ("",))  # how far it came is known by reading everything
                    raise
                finally:
                    slot.writing = False
                    self._reread(slot, before)
            self._post(messages.Applied(index, action, receipt))

        self._submit(self._writer, action, index, work)

    # --- what others change

    def _watch_all(self) -> None:
        for slot in self._slots:
            if slot.watch is None and not self._closed:
                slot.watch = self._watch(slot)
                slot.watch.start()

    def _watch(self, slot: _Slot) -> Watch:
        return Watch(
            slot.store.root.path,
            _identity(slot.store),
            lambda: slot.store.watched(),
            changed=lambda hints: self._told(slot, hints),
            replaced=lambda: self._replaced(slot),
            polled=lambda: self._polled(slot),
            state=lambda text: self._post(messages.LiveState(slot.index, text)),
            since=slot.since,
            poll=self._poll,
        )

    def _told(self, slot: _Slot, hints: Iterable[str]) -> None:
        """Read again what events named; where that is a sweep, further events wait as long as it took."""
        before = time.thread_time()
        self._changed(slot, hints)
        if slot.store.identity.kind in _SWEPT:
            self._closing.wait(time.thread_time() - before)

    def _changed(self, slot: _Slot, hints: Iterable[str]) -> None:
        """Read again what the hints name; at the end of a change, where one runs."""
        self._hold_back(slot, hints)
        if slot.writing:
            return
        with slot.turn:
            self._reread(slot, slot.store.rows())

    def _polled(self, slot: _Slot) -> None:
        """At a poll that found nothing: look at what has no watch, where the kind has such parts; else at the engine.

        A sweep takes longer the larger the store is, and the next one waits a hundred times as long.
        """
        if slot.store.identity.kind not in _SWEPT:
            self._follow_engine(slot)
        elif not slot.writing and time.monotonic() >= slot.sweep_after:
            before = time.thread_time()
            self._changed(slot, (_NO_RECORD,))
            slot.sweep_after = time.monotonic() + _REST * (time.thread_time() - before)

    def _follow_engine(self, slot: _Slot) -> None:
        """Show that an engine was started or stopped, which changes no folder that is watched."""
        shown = slot.store.rows()
        if not slot.writing and slot.store.engine() != (shown.engine, shown.engine_text):
            self._changed(slot, (_NO_RECORD,))

    def _hold_back(self, slot: _Slot, hints: Iterable[str]) -> None:
        with self._mutex:
            slot.held_back.update(hints)

    def _reread(self, slot: _Slot, before: Snapshot) -> None:
        """Refresh once for all hints, and tell what differs; an error leaves the last state on screen.

        Without hints nothing is read: a change that succeeded has read the store again by itself.
        """
        with self._mutex:
            hints, slot.held_back = slot.held_back, set()
        store, delta = slot.store, None
        try:
            if hints:
                last = store.rows()
                delta = store.refresh(None if "" in hints else hints)
                delta = delta if last is before else None
        except OrlopError as error:
            self._post(messages.Failed(slot.index, "refresh", error))
        except Exception as error:
            LOG.exception("refresh of %r", slot.path)
            self._post(messages.Failed(slot.index, "refresh", _fault(error)))
        after = store.rows()
        if delta is None:
            delta = _difference(before, after)
        if delta or _beside_rows(before) != _beside_rows(after):
            self._post(messages.StoreChanged(slot.index, delta))
        elif after.seen_at != before.seen_at:
            self._post(messages.Looked(slot.index, after.seen_at))

    def _replaced(self, slot: _Slot) -> tuple[int, int] | None:
        """Open the store anew where another folder lies at its path."""
        try:
            with slot.turn:
                found = self._opener(slot.path, Stoppable())
                same = [store for store in found if store.identity.scope == slot.store.identity.scope]
                for store in found:
                    if store not in same[:1]:
                        store.close()
                if not same:
                    return None
                before = slot.store
                slot.retired.append(before)
                slot.store = same[0]
                self._post(messages.StoreChanged(slot.index, _difference(before.rows(), slot.store.rows())))
                return _identity(slot.store)
        except OrlopError as error:
            LOG.info("nothing to open at %r yet: %s", slot.path, error)
            return None

    # --- threads

    def _submit(
        self,
        pool: "ThreadPoolExecutor | _Readers",
        action: str,
        index: int | None,
        work: Callable[[Callable[[], bool]], None],
    ) -> None:
        """Run work in a thread; `current` tells it whether nothing newer was asked."""
        with self._mutex:
            if self._closed:
                return
            number = self._asked[action, index] = self._asked.get((action, index), 0) + 1

        def current() -> bool:
            return self._asked[action, index] == number and not self._closed

        def run() -> None:
            if self._closed and pool is self._readers:
                return
            try:
                work(current)
            except OrlopError as error:
                self._fail(current, index, action, error)
            except Exception as error:
                LOG.exception("%s", action)
                self._fail(current, index, action, _fault(error))

        pool.submit(run)

    def _fail(self, current: Callable[[], bool], index: int | None, action: str, error: OrlopError) -> None:
        if action in _OVERTAKEN and not current():
            return
        self._post(messages.Failed(index, action, error))

    @contextlib.contextmanager
    def _job(
        self, index: int | None, wanted: Callable[[], bool] = lambda: True, *, lasting: bool = False
    ) -> Iterator[_Told]:
        """Progress of a piece of work that can be stopped; its end is told. A lasting one is not stopped by closing."""
        job = _Told(lambda what, done, total: self._post(messages.Working(index, what, done, total)), wanted)
        with self._mutex:
            job.stopped = self._closed and not lasting
            job.lasting = lasting
            self._jobs.append(job)
        try:
            yield job
        finally:
            with self._mutex:
                self._jobs.remove(job)
            self._post(messages.Working(index, "", 0, 0))

    def _post(self, message: "Message") -> None:
        if self._app is None:
            return
        try:
            self._app.post_message(message)
        except RuntimeError:
            # The event loop closed between the work and its answer: nobody is there to be told.
            LOG.debug("too late for %r", type(message).__name__)


_NO_RECORD = ".orlop"
"""A hint that names no record of any kind: only what is asked of the system, as the engine's lock, is seen anew."""

_SWEPT = frozenset({"registry"})
"""Kinds that have too many folders to watch them all: a poll looks at the times of the others."""
_REST = 100
"""How many times what a sweep took of a processor the next one waits: a hundredth of it, whatever the store."""

_OVERTAKEN = frozenset({"detail", "check", "plan", "journal", "records remotes", "records uploads"})
"""Work whose failure interests nobody once something newer was asked."""


def _open_all(path: str, progress: "Progress") -> "Sequence[Store]":
    from orlop import kinds  # not before the first paint

    return kinds.open_all(path, progress=progress, verified=hashed.verified)


def _journal(store: Store) -> "Journal":
    from orlop.journal import Journal

    return Journal.of(store.root)


def _past(change: "Change") -> messages.PastChange:
    return messages.PastChange(
        id=change.id,
        at=change.at,
        action=change.action,
        state=change.state.value,
        bytes=change.bytes,
        by=_user_name(change.user),
        lines=tuple(f"{step.step.to_json()['op']} {step.path}" for step in change.steps),
    )


def _user_name(user: int | None) -> str:
    if user is None:
        return ""
    try:
        return pwd.getpwuid(user).pw_name
    except (KeyError, OverflowError):
        return f"user {user}"  # the store came from another machine


def _identity(store: Store) -> tuple[int, int]:
    found = os.fstat(store.root.fd)
    return (found.st_dev, found.st_ino)


def _beside_rows(snapshot: Snapshot) -> tuple[object, ...]:
    """What a screen shows of a store besides its rows."""
    return (snapshot.engine, snapshot.engine_text, snapshot.notes, snapshot.images, snapshot.total_size)


def _difference(before: Snapshot, after: Snapshot) -> Delta:
    """What differs between two stores at the same place."""
    old = {row.key: row for row in before.rows}
    new = {row.key: row for row in after.rows}
    return Delta(
        snapshot=after,
        added=frozenset(new.keys() - old.keys()),
        removed=frozenset(old.keys() - new.keys()),
        changed=frozenset(key for key in new.keys() & old.keys() if new[key] != old[key]),
    )


def _fault(error: Exception) -> OrlopError:
    """An error that Orlop did not expect, in the four answers that every message gives."""
    return OrlopError(
        "a fault of Orlop itself stopped this",
        why=f"{type(error).__name__}: {error}",
        do="the log file has the details; the store was left as its journal says",
    )


def _write_new(path: str, data: bytes) -> None:
    """Write a file that must not exist yet, durably; outside any store."""
    try:
        fd = os.open(os.path.expanduser(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise translate(error, "the plan cannot be saved", path) from error
