"""Textual's terminal driver, for terminals that go away and processes that are continued.

Textual writes in a thread of its own, which dies of the first write to a terminal
that is gone; the app then waits for that thread for ever. And it starts anew at
every SIGCONT, also one that follows no suspension, as the system sends it together
with SIGHUP to what ran in a closed terminal.
"""

from collections.abc import Callable
from typing import IO, Any, cast

from textual.drivers.linux_driver import LinuxDriver


class TerminalDriver(LinuxDriver):
    """A driver that outlives its terminal; the app learns of it by its method ``terminal_lost``, in any thread."""

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        self._file = cast(Any, Drawing(cast(IO[str], self._file), app.terminal_lost))

    def _sigcont_application(self, *arguments: Any) -> None:
        if self._must_signal_resume:
            super()._sigcont_application(*arguments)


class Drawing:
    """A stream to the terminal. After the first write that fails, all goes nowhere."""

    def __init__(self, stream: IO[str], lost: Callable[[], None]) -> None:
        self._stream = stream
        self._lost = lost
        self._gone = False

    def write(self, text: str) -> int:
        """As a file's, and never fails."""
        if not self._gone:
            try:
                return self._stream.write(text)
            except OSError:
                self._end()
        return len(text)

    def flush(self) -> None:
        """As a file's, and never fails."""
        if not self._gone:
            try:
                self._stream.flush()
            except OSError:
                self._end()

    def fileno(self) -> int:
        """The terminal's descriptor."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Whether it is a terminal, as long as it is there."""
        return self._stream.isatty()

    def _end(self) -> None:
        self._gone = True
        self._lost()
