"""What changes a store, or what waits beside it; the network, too."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from orlop.errors import OrlopError
from orlop.intent import Import, Intent
from orlop.plan import Plan
from orlop.store import Statement, Store
from orlop_tui import messages
from orlop_tui.gateway.answering import Answering
from orlop_tui.gateway.journals import journal_of
from orlop_tui.gateway.slots import Slot
from orlop_tui.gateway.threads import LOG

if TYPE_CHECKING:
    from orlop.apply import Receipt
    from orlop.journal import Journal
    from orlop.progress import Progress


class Writing(Answering):
    """Changes of one store after the other, never two at once."""

    # --- the store as it is on the disk

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

    def _try_guard(self, slot: Slot, offline: bool) -> str:
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

    def _write(self, action: str, index: int, body: "Callable[[Store, Journal, Progress], Receipt]") -> None:
        def work(_: Callable[[], bool]) -> None:
            slot = self._slots[index]
            with slot.turn, self._job(index, lasting=True) as progress:
                before = slot.store.rows()
                slot.writing = True
                try:
                    receipt = body(slot.store, journal_of(slot.store), progress)
                except BaseException:
                    self._hold_back(slot, ("",))  # how far it came is known by reading everything
                    raise
                finally:
                    slot.writing = False
                    self._reread(slot, before)
            self._post(messages.Applied(index, action, receipt))

        self._submit(self._writer, action, index, work)
