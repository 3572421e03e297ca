"""The keys of the image list: marks, order, filter, and jumps to a row."""

import contextlib
from functools import partial

from textual.widgets import Input

from orlop.records import Key
from orlop_tui.remembered import Remembered, Sorting
from orlop_tui.screens.dialog import Choice, Menu
from orlop_tui.screens.frame import Frame
from orlop_tui.screens.stores import OpenStore
from orlop_tui.widgets.columns import all_fields
from orlop_tui.widgets.completing import of_filter
from orlop_tui.widgets.filtering import BadFilter, parse
from orlop_tui.widgets.listing import Column, Sort
from orlop_tui.widgets.store_table import TableHead

_SORT_LETTERS = {
    Column.NAME: "n",
    Column.TAG: "t",
    Column.ID: "i",
    Column.SIZE: "s",
    Column.OWN: "o",
    Column.AGE: "a",
    Column.PLATFORM: "p",
    Column.STATE: "b",
    Column.WHAT: "w",
    Column.USED: "u",
    Column.LATEST: "l",
}


class RowKeys(Frame):
    """What a person does with the rows."""

    remembered: Remembered | None = None
    """How lists were shown in earlier sessions; None where nothing is to be remembered."""
    _freed_for = (-1, -1)
    """The store, and the state of its marks, that `freed` was asked for last."""

    def on_mount(self) -> None:
        """Complete filters with the names of the store on the screen."""
        self.entry.complete = self._completions

    def _completions(self, text: str) -> tuple[str, ...]:
        return () if self.store is None else of_filter(text, self.store.names, self.store.kind)

    # --- marks and order

    def draw_lines(self) -> None:
        """The lines at the bottom; where other rows are marked, what they free is asked anew."""
        store = self.store
        if (
            store is not None
            and store.listing.targets().marked
            and self._freed_for != (store.index, store.listing.stamp)
        ):
            self._freed_for = (store.index, store.listing.stamp)
            keys = frozenset(store.listing.targets().keys)
            if store.freed is None or store.freed[0] != keys:
                store.freed = None
                self.gateway.freed(store.index, keys)
        super().draw_lines()

    def action_mark(self) -> None:
        if not self._stopped_by("mark") and self.store is not None:
            self.store.listing.toggle_mark()
            self._listing_changed()

    def action_range(self) -> None:
        if self._stopped_by("range") or self.store is None:
            return
        listing = self.store.listing
        if listing.anchor is None:
            listing.start_range()
        else:
            listing.end_range()
        self._listing_changed()

    def action_mark_all(self) -> None:
        if not self._stopped_by("mark_all") and self.store is not None:
            self.store.listing.mark_all_shown()
            self._listing_changed()

    def action_clear_marks(self) -> None:
        if not self._stopped_by("clear_marks") and self.store is not None:
            self.store.listing.clear_marks()
            self._listing_changed()

    def action_marked_only(self) -> None:
        if self._stopped_by("marked_only") or self.store is None:
            return
        listing = self.store.listing
        if not listing.marks and not listing.only_marked:
            self.say("nothing is marked: space marks")
            return
        listing.show_only(marked=not listing.only_marked)
        self._listing_changed()

    def action_problems_only(self) -> None:
        if not self._stopped_by("problems_only") and self.store is not None:
            self.store.listing.show_only(problems=not self.store.listing.only_problems)
            self._listing_changed()

    def action_reverse(self) -> None:
        if not self._stopped_by("reverse") and self.store is not None:
            self.store.listing.reverse()
            self._sorted(self.store)

    def action_sort(self) -> None:
        if self._stopped_by("sort"):
            return
        columns = [(field.column, field.title) for field in all_fields(self.store.kind if self.store else "")]
        choices = [Choice(_SORT_LETTERS[column], column, column, note=title) for column, title in columns]
        self.app.push_screen(Menu("Sort by", choices), lambda chosen: self._sort(chosen))

    def _sort(self, chosen: object) -> None:
        if isinstance(chosen, Column) and self.store is not None:
            self.store.listing.sort_by(chosen)
            self._sorted(self.store)

    def _sorted(self, store: OpenStore) -> None:
        self._listing_changed()
        self._remember(store)

    def _remember(self, store: OpenStore) -> None:
        """Keep order and filter for the next session."""
        if self.remembered is not None:
            sort = store.listing.sort
            order = Sorting(column=sort.column, backwards=sort.reverse, filter=store.wanted_filter)
            if order != self.remembered.sorting(store.snapshot.identity.token):
                keep = partial(self.remembered.keep, store.snapshot.identity.token, order)
                self.run_worker(keep, thread=True, group="remember", exit_on_error=False)

    def _sort_as_before(self, store: OpenStore) -> None:
        """Give a list that was just opened the order and the filter that it had in the last session."""
        order = self.remembered.sorting(store.snapshot.identity.token) if self.remembered is not None else None
        if order is None:
            return
        with contextlib.suppress(ValueError):  # a column that this version does not have
            store.listing.sort_as(Sort(Column(order.column), order.backwards))
        with contextlib.suppress(BadFilter):  # a word that this version does not know
            self._filter_by(store, order.filter)

    def on_table_head_clicked(self, message: TableHead.Clicked) -> None:
        message.stop()
        self._sort(message.column)

    # --- filter

    def action_filter(self) -> None:
        if self._stopped_by("filter"):
            return
        entry = self.entry
        entry.display = True
        self.set_focus(entry)
        entry.select_all()  # what is typed takes the place of the last filter; an arrow key keeps it

    def on_input_changed(self, message: Input.Changed) -> None:
        message.stop()
        self._narrow()

    def _narrow(self) -> None:
        """Filter by what is in the line now."""
        if self.store is not None:
            self._narrow_to(self.store, self.entry.value)

    def _narrow_to(self, store: OpenStore, text: str) -> None:
        """Filter a store's list; a filter that cannot be understood leaves the last one in force, and says why."""
        said = ""
        try:
            self._filter_by(store, text)
            said = store.listing.filter.doubt(store.listing.hay)
        except BadFilter as error:
            said = str(error)
        if store is self.store:
            self._bad_filter = said
            self._listing_changed()

    def _filter_by(self, store: OpenStore, text: str) -> None:
        """Filter by a text, once the store answered what only the store knows; until then by the last one.

        Raises:
            BadFilter: it cannot be understood.
        """
        found = parse(text, now=store.snapshot.seen_at, kind=store.kind)
        store.wanted_filter = text
        if store.listing.unanswered(found):
            self.gateway.holders(store.index, found.held)
        else:
            store.listing.set_filter(found)

    def _show_filter(self, text: str) -> None:
        """Put a text into the line, and filter by it."""
        entry = self.entry
        with self.prevent(Input.Changed):
            entry.value = text
        entry.display = bool(text)
        self._narrow()
        self.set_focus(self.table)

    def action_typed(self) -> None:
        self.action_leave_filter()

    def action_leave_filter(self) -> None:
        self._narrow()
        self.set_focus(self.table)
        entry = self.entry
        entry.display = bool(entry.value)
        if self.store is not None:
            self._remember(self.store)

    def _drop_filter(self) -> None:
        self._show_filter("")
        if self.store is not None:
            self._remember(self.store)

    # --- jumps

    def _leave_for(self) -> None:
        """Note where the person is, before going somewhere else."""

    def _jump(self, key: Key, *, noted: bool = False) -> bool:
        """Put the cursor on a row, taking away what hides it; the way back leads here, unless it is noted already."""
        store = self.store
        if store is None:
            return False
        if not noted:
            self._leave_for()
        if store.listing.position_of(key) is None:
            store.listing.show_only(marked=False, problems=False)
            self._drop_filter()
        found = store.listing.jump(key)
        self._listing_changed()
        return found
