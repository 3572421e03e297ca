"""How the stores that a person named are opened."""

import logging
import time
from collections.abc import Callable

from orlop.errors import OrlopError
from orlop.store import Store
from orlop_tui import messages
from orlop_tui.gateway.following import Following
from orlop_tui.gateway.journals import journal_of, past
from orlop_tui.gateway.slots import Slot
from orlop_tui.gateway.threads import fault

LOG = logging.getLogger("orlop.gateway")


class Opening(Following):
    """Opens what was named, then follows it."""

    def open(self) -> None:
        """Open every path; then follow what changes."""
        self._submit(self._readers, "open", None, self._open)

    def _open(self, _: Callable[[], bool]) -> None:
        for path in self._paths:
            try:
                self._open_path(path)
            except OrlopError as error:
                self._post(messages.OpenFailed(path, error))
            except Exception as error:
                LOG.exception("open %r", path)
                self._post(messages.OpenFailed(path, fault(error)))
        self._post(messages.AllOpened(len(self._slots)))
        if self._app is not None and self._watching:
            self._app.call_after_refresh(self._watch_all)

    def _open_path(self, path: str) -> None:
        since = time.time_ns()
        with self._job(None) as progress:
            stores = self._opener(path, progress)
        for store in stores:
            slot = Slot(len(self._slots), path, store, since)
            self._slots.append(slot)
            snapshot = store.rows()
            unfinished = self._unfinished(store)
            self._post(messages.StoreOpened(slot.index, snapshot, path=path, unfinished=unfinished))

    def _unfinished(self, store: Store) -> messages.PastChange | None:
        """The change that was cut off; a journal that cannot be read must not hide the store."""
        try:
            change = journal_of(store).unfinished()
        except OrlopError as error:
            LOG.warning("the journal of %r cannot be read: %s", store.identity.path, error)
            return None
        return None if change is None else past(change)
