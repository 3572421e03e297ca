"""An app that leaves the terminal as it found it, however it ends, and sends it nothing unprintable."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from textual.app import App
from textual.filter import LineFilter

from orlop_tui import terminal
from orlop_tui.driver import TerminalDriver
from orlop_tui.printable import Printable

ENDINGS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
"""Signals that end the app in order, with 128 and their number as the exit code."""


class SafeApp(App[None]):
    """Textual's app, with five things that it does not do by itself.

    - SIGTERM, SIGHUP and SIGINT end it through `exit`, so that the screen, the mouse and the
      cursor are given back and a change under way ends its step.
    - A terminal that goes away ends it as SIGHUP does, whatever was still to be drawn.
    - A fault is written to the log file, and two lines go to standard error: no traceback and
      no local variables on the terminal.
    - Every line passes the filter `Printable` just before it is written.
    - NO_COLOR, where it is not empty, gives no colour at all; Textual's own gives greys.
    """

    def __init__(self, **options: Any) -> None:
        self._plain = terminal.no_color(os.environ)
        if os.environ.get("NO_COLOR") == "":
            del os.environ["NO_COLOR"]  # empty means unset (no-color.org); Textual takes it for set
        if self._plain:
            options.setdefault("ansi_color", True)
        self._ending: tuple[str, str] | None = None
        self._net = Printable()
        self._loop: asyncio.AbstractEventLoop | None = None
        super().__init__(driver_class=options.pop("driver_class", TerminalDriver), **options)
        if self._plain:
            self.theme = "ansi-dark"

    @property
    def is_plain(self) -> bool:
        """Whether the person wants no colour at all."""
        return self._plain

    def run(self, *arguments: Any, **options: Any) -> None:
        """As Textual's; what is logged from now on goes to the log file."""
        terminal.log_to_file()
        super().run(*arguments, **options)
        terminal.forget_lost_streams()

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [*super().get_line_filters(), self._net]

    def on_mount(self) -> None:
        """Take over the signals; Textual calls this besides a subclass's own."""
        if self.is_headless:
            return
        self._loop = loop = asyncio.get_running_loop()
        for number in ENDINGS:
            loop.add_signal_handler(number, self._end, number)

    def terminal_lost(self) -> None:
        """End as at SIGHUP; the driver calls this from its own thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._end, signal.SIGHUP)

    def _end(self, number: int) -> None:
        self.exit(return_code=128 + number)

    def _handle_exception(self, error: Exception) -> None:
        if self._ending is None:
            self._ending = terminal.report(error)
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        self._close_messages_no_wait()

    def _print_error_renderables(self) -> None:
        if self._ending is None:
            super()._print_error_renderables()
            return
        self._exit_renderables.clear()
        for line in self._ending:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()
