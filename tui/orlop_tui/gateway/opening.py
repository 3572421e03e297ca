"""How the stores that a person named are opened."""

import gc
import logging
import time
from collections.abc import Callable

from orlop.errors import OrlopError
from orlop.records import Snapshot, StoreId
from orlop.store import Store
from orlop_tui import messages
from orlop_tui.gateway.following import Following
from orlop_tui.gateway.journals import journal_of, past
from orlop_tui.gateway.slots import Slot, open_all
from orlop_tui.gateway.threads import fault

LOG = logging.getLogger("orlop.gateway")


class Opening(Following):
    """Opens what was named, then follows it."""

    def open(self) -> None:
        """Open every path; then follow what changes."""
        self._submit(self._readers, "open", None, self._open)

    def _open(self, _: Callable[[], bool]) -> None:
        # What a store holds is let go of by counting references: the collector would go through a
        # million objects again and again while they are made, and later with every key.
        gc.disable()
        try:
            self._open_paths()
        finally:
            gc.freeze()
            gc.enable()
        self._post(messages.AllOpened(sum(slot.is_open for slot in self._slots)))
        if self._app is not None and self._watching:
            self._app.call_after_refresh(self._watch_all)

    def _open_paths(self) -> None:
        for path in self._paths:
            try:
                self._open_path(path)
            except OrlopError as error:
                self._post(messages.OpenFailed(path, error))
            except Exception as error:
                LOG.exception("open %r", path)
                self._post(messages.OpenFailed(path, fault(error)))

    def _open_path(self, path: str) -> None:
        since = time.time_ns()
        early: dict[StoreId, Slot] = {}

        def names(snapshot: Snapshot) -> None:
            known = early.get(snapshot.identity)
            if known is not None:
                self._post(messages.StoreRead(known.index, snapshot))
                return
            slot = early[snapshot.identity] = self._slot(path, None, since)
            self._post(messages.StoreOpened(slot.index, snapshot, path=path))

        with self._job(None) as progress:
            stores = open_all(path, progress, names) if self._opener is open_all else self._opener(path, progress)
        for store in stores:
            unfinished = self._unfinished(store)
            slot = early.get(store.identity)
            if slot is None:
                slot = self._slot(path, store, since)
                self._post(messages.StoreOpened(slot.index, store.rows(), path=path, unfinished=unfinished))
            else:
                slot.store = store
                self._post(messages.StoreRead(slot.index, store.rows(), unfinished=unfinished))

    def _slot(self, path: str, store: Store | None, since: int) -> Slot:
        slot = Slot(len(self._slots), path, store, since)
        self._slots.append(slot)
        return slot

    def _unfinished(self, store: Store) -> messages.PastChange | None:
        """The change that was cut off; a journal that cannot be read must not hide the store."""
        try:
            change = journal_of(store).unfinished()
        except OrlopError as error:
            LOG.warning("the journal of %r cannot be read: %s", store.identity.path, error)
            return None
        return None if change is None else past(change)
