"""What is asked of stores about references: what a thing is, who holds it, what goes with it."""

import logging
from collections.abc import Callable, Sequence

from orlop.errors import NotFound, OrlopError
from orlop.records import Holding, Key
from orlop.store import Store
from orlop_tui import messages
from orlop_tui.gateway.journals import journal_of
from orlop_tui.gateway.reading import Reading

LOG = logging.getLogger("orlop.gateway")


class Answering(Reading):
    """Answers what lens, filter and marks ask."""

    def why(self, text: str) -> None:
        """`Explained` by every open store; that one fails is no reason not to hear the others."""

        def work(current: Callable[[], bool]) -> None:
            answers = tuple(
                _explained(slot.index, slot.store, text) for slot in self._slots if slot.is_open and current()
            )
            if current():
                self._post(messages.Explained(text, answers))

        self._submit(self._readers, "why", None, work)

    def holders(self, index: int, words: Sequence[tuple[Holding, str]]) -> None:
        """`HoldersReady` for the words that were asked for last."""

        def work(current: Callable[[], bool]) -> None:
            store = self._slots[index].store
            answers = tuple((holding, text, store.holders(holding, text)) for holding, text in words if current())
            if current():
                self._post(messages.HoldersReady(index, answers))

        self._submit(self._readers, "holders", index, work)

    def freed(self, index: int, keys: frozenset[Key]) -> None:
        """`FreedReady` for the rows that were asked for last."""

        def work(current: Callable[[], bool]) -> None:
            if not current():
                return
            freed = self._slots[index].store.freed(keys)
            if current():
                self._post(messages.FreedReady(index, keys, freed))

        self._submit(self._readers, "freed", index, work)

    def preview(self, index: int, change: str) -> None:
        """`Previewed` for the change that was asked for last."""

        def work(current: Callable[[], bool]) -> None:
            problem: OrlopError | None = None
            try:
                from orlop.apply import check_undo

                store = self._slots[index].store
                check_undo(store, journal_of(store), change)
            except OrlopError as error:
                problem = error
            if current():
                self._post(messages.Previewed(index, change, problem))

        self._submit(self._readers, "preview", index, work)


def _explained(index: int, store: Store, text: str) -> messages.Explanation:
    try:
        return messages.Explanation(index=index, why=store.why(text))
    except NotFound:
        return messages.Explanation(index=index, why=None)
    except OrlopError as error:
        LOG.info("why %r in %r: %s", text, store.identity.path, error)
        return messages.Explanation(index=index, why=None, error=error)
