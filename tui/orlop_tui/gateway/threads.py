"""The threads that work is done in, and how it tells of itself."""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from orlop.errors import Cancelled, OrlopError
from orlop.progress import Stoppable
from orlop_tui import messages
from orlop_tui.gateway.running import Running

if TYPE_CHECKING:
    from textual.app import App
    from textual.message import Message

LOG = logging.getLogger("orlop.gateway")
LOG.addHandler(logging.NullHandler())  # without a log file nothing may reach the terminal


class Told(Stoppable):
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


class Readers:
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


class Work:
    """Work in threads, whose answers are messages to the app."""

    def __init__(self) -> None:
        self._app: App[Any] | None = None
        self._readers = Readers()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="orlop-write")
        self._mutex = threading.Lock()
        self._asked: dict[tuple[str, int | None], int] = {}
        self._jobs: list[Told] = []
        self._running: list[Running] = []
        self._last_job = 0
        self._closed = False
        self._closing = threading.Event()

    def attach(self, app: "App[Any]") -> None:
        """Give the app that messages go to; called once, before anything else."""
        self._app = app

    def stop(self) -> bool:
        """Ask what was begun last to stop at its next safe point, short work before jobs; False where nothing runs."""
        with self._mutex:
            short = [job for job in self._jobs if not job.stopped]
            if short:
                short[-1].stopped = True
                return True
            long = [job for job in self._running if not job.job.state.is_over and not job.job.stopping]
        if long:
            long[-1].cancel()
        return bool(long)

    def _submit(
        self,
        pool: "ThreadPoolExecutor | Readers",
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
                self._fail(current, index, action, fault(error))

        pool.submit(run)

    def _fail(self, current: Callable[[], bool], index: int | None, action: str, error: OrlopError) -> None:
        if action in _OVERTAKEN and not current():
            return
        self._post(messages.Failed(index, action, error))

    @contextlib.contextmanager
    def _job(
        self, index: int | None, wanted: Callable[[], bool] = lambda: True, *, lasting: bool = False
    ) -> Iterator[Told]:
        """Progress of a piece of work that can be stopped; its end is told. A lasting one is not stopped by closing."""
        job = Told(lambda what, done, total: self._post(messages.Working(index, what, done, total)), wanted)
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


_OVERTAKEN = frozenset(
    {"detail", "check", "plan", "journal", "records remotes", "records uploads", "why", "holders", "freed"}
)
"""Work whose failure interests nobody once something newer was asked."""


def fault(error: Exception) -> OrlopError:
    """An error that Orlop did not expect, in the four answers that every message gives."""
    return OrlopError(
        "a fault of Orlop itself stopped this",
        why=f"{type(error).__name__}: {error}",
        do="the log file has the details; the store was left as its journal says",
    )
