"""The one way from the screens to the stores: all work in threads, all answers as messages.

Reads of several screens run side by side. Changes run in one thread, so that two
never meet; while one runs, re-reading is held back and follows once at its end.
An error of the core becomes `Failed`; anything else is a fault of Orlop itself,
is logged and becomes `Failed` too: no worker can end the app.
"""

import os
from collections.abc import Sequence

from orlop.errors import OrlopError
from orlop.text import visible
from orlop_tui import messages
from orlop_tui.gateway.jobs import Jobs

_PATIENCE = 3.0
"""Seconds that a job has to write down what it did, once the program ends."""


class Gateway(Jobs):
    """Implements `orlop_tui.messages.Gateway` over `orlop.kinds` and `orlop.apply`.

    Args:
        paths: what the person named; each may hold several stores.
        opener: gives the stores at a path; `orlop.kinds.open_all` if None.
        watching: whether changes made by others are followed.
        poll: seconds between two looks where the kernel tells nothing.
    """

    # --- life

    def close(self) -> None:
        """Stop watching and let the stores go; waits for a change that is being applied, and a little for jobs."""
        with self._mutex:
            if self._closed:
                return
            self._closed = True
            for job in self._jobs:
                job.stopped = job.stopped or not job.lasting
            running = tuple(self._running)
        for each in running:
            each.cancel()
        self._closing.set()
        watches = [slot.watch for slot in self._slots if slot.watch is not None]
        for watch in watches:
            watch.stop(0.0)
        self._writer.shutdown(wait=True, cancel_futures=True)
        ended = [watch.stop() for watch in watches]
        ended += [each.ended(_PATIENCE) for each in running]
        if self._readers.close(timeout=1.0) and all(ended):
            for slot in filter(lambda slot: slot.is_open, self._slots):
                for store in (slot.store, *slot.retired):
                    store.close()

    # --- beside the stores

    def copy(self, what: str, text: str | Sequence[str]) -> None:
        """Put a text, or lines of one, on the clipboard of the terminal; called from the app's own thread."""
        from orlop_tui.clipboard import copy

        driver = self._app._driver if self._app is not None else None
        if driver is None:
            return
        try:
            whole = text if isinstance(text, str) else "\n".join(map(visible, text))
            how = copy(whole, driver.write, os.environ, lines=not isinstance(text, str))
        except OrlopError as error:
            self._post(messages.Failed(None, "copy", error))
            return
        self._post(messages.Copied(what, how))
