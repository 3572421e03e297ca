"""What others change in a store, followed on the screen."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from orlop.errors import OrlopError
from orlop.progress import Stoppable
from orlop.records import Snapshot
from orlop.store import Store
from orlop_tui import messages
from orlop_tui.gateway.slots import Slot, beside_rows, difference, identity, open_all
from orlop_tui.gateway.threads import Work, fault
from orlop_tui.watch import POLL, Watch

if TYPE_CHECKING:
    from orlop.progress import Progress

LOG = logging.getLogger("orlop.gateway")

_NO_RECORD = ".orlop"
"""A hint that names no record of any kind: only what is asked of the system, as the engine's lock, is seen anew."""

_SWEPT = frozenset({"registry"})
"""Kinds that have too many folders to watch them all: a poll looks at the times of the others."""
_REST = 100
"""How many times what a sweep took of a processor the next one waits: a hundredth of it, whatever the store."""


class Following(Work):
    """The open stores, each read again where somebody changed it."""

    def __init__(
        self,
        paths: Sequence[str],
        *,
        opener: "Callable[[str, Progress], Sequence[Store]] | None" = None,
        watching: bool = True,
        poll: float = POLL,
    ) -> None:
        super().__init__()
        self._paths = tuple(paths)
        self._opener = opener or open_all
        self._watching = watching
        self._poll = poll
        self._slots: list[Slot] = []

    def _watch_all(self) -> None:
        for slot in self._slots:
            if slot.watch is None and slot.is_open and not self._closed:
                slot.watch = self._watch(slot)
                slot.watch.start()

    def _watch(self, slot: Slot) -> Watch:
        return Watch(
            slot.store.root.path,
            identity(slot.store),
            lambda: slot.store.watched(),
            changed=lambda hints: self._told(slot, hints),
            replaced=lambda: self._replaced(slot),
            polled=lambda: self._polled(slot),
            state=lambda text: self._post(messages.LiveState(slot.index, text)),
            since=slot.since,
            poll=self._poll,
        )

    def _told(self, slot: Slot, hints: Iterable[str]) -> None:
        """Read again what events named; where that is a sweep, further events wait as long as it took."""
        before = time.thread_time()
        self._changed(slot, hints)
        if slot.store.identity.kind in _SWEPT:
            self._closing.wait(time.thread_time() - before)

    def _changed(self, slot: Slot, hints: Iterable[str]) -> None:
        """Read again what the hints name; at the end of a change, where one runs."""
        self._hold_back(slot, hints)
        if slot.writing:
            return
        with slot.turn:
            self._reread(slot, slot.store.rows())

    def _polled(self, slot: Slot) -> None:
        """At a poll that found nothing: look at what has no watch, where the kind has such parts; else at the engine.

        A sweep takes longer the larger the store is, and the next one waits a hundred times as long.
        """
        if slot.store.identity.kind not in _SWEPT:
            self._follow_engine(slot)
        elif not slot.writing and time.monotonic() >= slot.sweep_after:
            before = time.thread_time()
            self._changed(slot, (_NO_RECORD,))
            slot.sweep_after = time.monotonic() + _REST * (time.thread_time() - before)

    def _follow_engine(self, slot: Slot) -> None:
        """Show that an engine was started or stopped, which changes no folder that is watched."""
        shown = slot.store.rows()
        if not slot.writing and slot.store.engine() != (shown.engine, shown.engine_text):
            self._changed(slot, (_NO_RECORD,))

    def _hold_back(self, slot: Slot, hints: Iterable[str]) -> None:
        with self._mutex:
            slot.held_back.update(hints)

    def _reread(self, slot: Slot, before: Snapshot) -> None:
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
            self._post(messages.Failed(slot.index, "refresh", fault(error)))
        after = store.rows()
        if delta is None:
            delta = difference(before, after)
        if delta or beside_rows(before) != beside_rows(after):
            self._post(messages.StoreChanged(slot.index, delta))
        elif after.seen_at != before.seen_at:
            self._post(messages.Looked(slot.index, after.seen_at))

    def _replaced(self, slot: Slot) -> tuple[int, int] | None:
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
                self._post(messages.StoreChanged(slot.index, difference(before.rows(), slot.store.rows())))
                return identity(slot.store)
        except OrlopError as error:
            LOG.info("nothing to open at %r yet: %s", slot.path, error)
            return None
