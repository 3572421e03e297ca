"""One job under way: what its thread tells of it, and what that thread is told."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from orlop.errors import Cancelled
from orlop.progress import CONTENTS
from orlop.spread import Budget
from orlop_tui.messages import Job, JobState

Body = Callable[["Running"], None]
"""The work of a job; it runs in a thread of its own."""

_TELLS = 0.1
"""Seconds between two messages about one job at least."""
_SPAN = 10.0
"""Seconds of work that its speed is taken from."""
_SHORTEST = 0.5


class Running:
    """A job, and the progress of its work; it blocks the work while a person wants it to pause.

    `pause`, `resume` and `cancel` may be called from any thread, `step` by those that work.
    """

    def __init__(self, job: Job, body: Body, tell: Callable[[Job], None]) -> None:
        self.job = job
        self.body = body
        self.thread: threading.Thread | None = None
        self._tell = tell
        self._gate = threading.Condition()
        self._pace = Pace()
        self._next = 0.0
        self._last: dict[str, Any] = {}
        """How far it is, also where that was not told yet."""
        self._began = 0.0
        self._worked = 0.0
        self._regular: Callable[[], object] = lambda: None
        self._every = self._due = 0.0

    # --- what it is told

    def pause(self) -> None:
        """Stop at the next safe point until `resume`; what is over stays over."""
        with self._gate:
            if self.job.state in (JobState.WAITING, JobState.RUNNING):
                self._pace = Pace()
                self._worked = self.worked
                self._change(state=JobState.PAUSED, rate=0.0, left=None)

    def resume(self) -> bool:
        """Go on; whether it has yet to be begun."""
        with self._gate:
            if self.job.state is not JobState.PAUSED:
                return False
            self._began = time.monotonic()
            self._change(state=JobState.WAITING if self.thread is None else JobState.RUNNING)
            self._gate.notify_all()
            return self.thread is None

    def cancel(self) -> bool:
        """End at the next safe point; True where it had not begun, and is over now."""
        with self._gate:
            if self.job.state.is_over:
                return False
            if self.thread is None:
                self._end(JobState.CANCELLED)
                return True
            self._change(stopping=True)
            self._gate.notify_all()
            return False

    def run(self, thread: threading.Thread) -> None:
        """Begin it in this thread."""
        with self._gate:
            self.thread = thread
            self._began = time.monotonic()
            self._change(state=JobState.RUNNING)
        thread.start()

    def end(self, state: JobState, **more: Any) -> None:
        """It is over."""
        with self._gate:
            self._end(state, **more)

    def ended(self, timeout: float) -> bool:
        """Wait for its thread; False where that did not end in time."""
        if self.thread is not None:
            self.thread.join(timeout)
        return self.thread is None or not self.thread.is_alive()

    def found(self, number: int) -> None:
        """Say how many faults came to light."""
        with self._gate:
            self._change(found=number)

    # --- what the work tells

    def step(self, what: str, done: int, total: int) -> None:
        """As `orlop.progress.Progress`; waits while the job is paused."""
        self.wait()
        now = time.monotonic()
        self._last = {"phase": what, "done": done, "total": total, "in_bytes": what == CONTENTS}
        if what == CONTENTS:
            self._last["hashed"] = done
        if now < self._next and what == self.job.phase:
            return
        self._next = now + _TELLS
        with self._gate:
            if what != self.job.phase:
                self._pace = Pace()
            self._pace.add(now, done)
            rate = self._pace.rate
            left = (total - done) / rate if rate and total else None
            self._change(**self._last, rate=rate, left=left)
        if self._every and now >= self._due:
            self._due = now + self._every
            self._regular()

    def wait(self) -> None:
        """Return when work may go on.

        Raises:
            Cancelled
        """
        with self._gate:
            while self.job.state is JobState.PAUSED and not self.job.stopping:
                self._gate.wait()
            if self.job.stopping:
                raise Cancelled

    def budget(self) -> Budget:
        """A budget without an end, which lets threads pause too."""
        return _Purse(self.wait)

    def every(self, seconds: float, do: Callable[[], object]) -> None:
        """Do something now and then, in the thread that works."""
        self._every, self._regular = seconds, do
        self._due = time.monotonic() + seconds

    @property
    def worked(self) -> float:
        """Seconds that it was at work, pauses left out."""
        going = self.thread is not None and self.job.state is JobState.RUNNING
        return self._worked + (time.monotonic() - self._began if going else 0.0)

    # --- under the gate

    def _end(self, state: JobState, **more: Any) -> None:
        self._change(**self._last)
        self._change(state=state, rate=0.0, left=None, stopping=False, worked=self.worked, **more)

    def _change(self, **changes: Any) -> None:
        if not self.job.state.is_over:
            self.job = replace(self.job, **changes)
            self._tell(self.job)


class Pace:
    """How fast something goes, by what was done in the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def add(self, now: float, done: int) -> None:
        """So much was done by now, by the monotonic clock."""
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[0][0] > _SPAN:
            self._seen.popleft()

    @property
    def rate(self) -> float:
        """A second; 0 while nobody can tell."""
        if not self._seen:
            return 0.0
        (began, first), (now, last) = self._seen[0], self._seen[-1]
        return max(0.0, (last - first) / (now - began)) if now - began >= _SHORTEST else 0.0


class _Purse(Budget):
    def __init__(self, wait: Callable[[], None]) -> None:
        super().__init__()
        self._wait = wait

    def spend(self, count: int) -> None:
        super().spend(count)
        self._wait()
