"""How long work tells what it does, and learns that it should stop."""

from typing import Protocol

from orlop.errors import Cancelled

CONTENTS = "contents"
"""The phase in which bytes are hashed: `done` and `total` are bytes, in every other they are items."""


class Progress(Protocol):
    """Told by the work, from the thread that works; cheap enough to be called per item."""

    def step(self, what: str, done: int, total: int) -> None:
        """Say how far the work is.

        Args:
            what: the phase, such as ``configs`` or ``layer records``.
            done: items (or bytes) finished in this phase.
            total: items (or bytes) of this phase; 0 while unknown.

        Raises:
            Cancelled: the person stopped the work.
        """


class Silent:
    """Progress that nobody watches."""

    def step(self, what: str, done: int, total: int) -> None:
        return None


class Stoppable:
    """Progress that can be stopped from another thread, and passes reports on.

    Setting `stopped` makes the next `step` raise `Cancelled` in the working thread.
    """

    def __init__(self, inner: Progress | None = None) -> None:
        self.inner: Progress = inner or Silent()
        self.stopped = False

    def step(self, what: str, done: int, total: int) -> None:
        if self.stopped:
            raise Cancelled
        self.inner.step(what, done, total)
