"""The keys of the image list: marks, order, filter, and jumps to a row."""

import contextlib
from functools import partial

from textual.widgets import Input

from orlop.records import Key
from orlop_tui.remembered import Remembered, Sorting
from orlop_tui.screens.dialog import Ask, Choice, Menu
from orlop_tui.screens.frame import Frame
from orlop_tui.screens.stores import OpenStore
from orlop_tui.widgets.columns import all_fields
from orlop_tui.widgets.filtering import BadFilter, digits, parse
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
    """How lists were sorted in earlier sessions; None where nothing is to be remembered."""

    # --- marks and order

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
        if self.remembered is not None:
            order = Sorting(column=store.listing.sort.column, backwards=store.listing.sort.reverse)
            keep = partial(self.remembered.keep, store.snapshot.identity.token, order)
            self.run_worker(keep, thread=True, group="remember", exit_on_error=False)

    def _sort_as_before(self, store: OpenStore) -> None:
        """Give a list that was just opened the order that it had in the last session."""
        order = self.remembered.sorting(store.snapshot.identity.token) if self.remembered is not None else None
        if order is not None:
            with contextlib.suppress(ValueError):  # a column that this version does not have
                store.listing.sort_as(Sort(Column(order.column), order.backwards))

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

    def on_input_changed(self, message: Input.Changed) -> None:
        message.stop()
        self._narrow()

    def _narrow(self) -> None:
        """Filter by what is in the line now."""
        store = self.store
        if store is None:
            return
        try:
            store.listing.set_filter(parse(self.entry.value, now=store.snapshot.seen_at))
            self._bad_filter = ""
        except BadFilter as error:
            self._bad_filter = str(error)
        self._listing_changed()

    def action_typed(self) -> None:
        self.action_leave_filter()

    def action_leave_filter(self) -> None:
        self._narrow()
        self.set_focus(self.table)
        entry = self.entry
        entry.display = bool(entry.value)

    def _drop_filter(self) -> None:
        entry = self.entry
        entry.value = ""
        entry.display = False
        self._narrow()
        self.set_focus(self.table)

    # --- jumps

    def action_go_to(self) -> None:
        if not self._stopped_by("go_to"):
            ask = Ask("Go to", "row number, id, digest or name")
            self.app.push_screen(ask, lambda text: self._go_to(text) if text else None)

    def _go_to(self, text: str) -> None:
        store = self.store
        if store is None:
            return
        listing = store.listing
        if text.isdecimal() and 1 <= int(text) <= len(listing):
            listing.move_to(int(text) - 1)
            self._listing_changed()
            return
        start = digits(text)
        for row in listing.shown:
            name = row.key.name or ""
            if (start and digits(row.key.id).startswith(start)) or name == text or name.endswith("@" + text):
                listing.jump(row.key)
                self._listing_changed()
                return
        self.say(f"no row shown answers to {text}")

    def _jump(self, key: Key) -> bool:
        """Put the cursor on a row, taking away what hides it."""
        store = self.store
        if store is None:
            return False
        if store.listing.position_of(key) is None:
            store.listing.show_only(marked=False, problems=False)
            self._drop_filter()
        found = store.listing.jump(key)
        self._listing_changed()
        return found
