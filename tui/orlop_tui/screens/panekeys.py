"""The keys of the panes: which is shown, how large, and where their lines lead."""

from orlop_tui import format as words
from orlop_tui.screens.rowkeys import RowKeys
from orlop_tui.screens.stores import OpenStore
from orlop_tui.widgets.lines import LinesView, Role
from orlop_tui.widgets.panes import Pane, ToFinding, ToImage, ToMapping, place_of
from orlop_tui.widgets.store_table import StoreTable


class PaneKeys(RowKeys):
    """What a person does with the panes."""

    def action_pane(self, number: int) -> None:
        self.pane = Pane(number)
        if self.view < 0 or not self.side.display:
            self._set_view(1)
        store = self.store
        if self.pane is Pane.PROBLEMS and store is not None and store.findings is None and not store.checking:
            self.check(store, asked=True)
        self.draw_panes()
        if self.is_stacked:
            place = place_of(self.pane, self.panes.lines)
            self.panes.go_below(place)
        self.draw_lines()

    def action_next_pane(self, step: int) -> None:
        self.action_pane((int(self.pane) - 1 + step) % len(Pane) + 1)

    def action_all_problems(self) -> None:
        self._whole_store = not self._whole_store
        self.action_pane(Pane.PROBLEMS)

    def _set_view(self, view: int) -> None:
        self.view = max(-1, min(1, view))
        self.set_class(self.view < 0, "list-only")
        self.set_class(self.view > 0, "panes-only")
        self.set_focus(self.panes if self.view > 0 else self.table)
        self.call_after_refresh(self.draw)

    def action_zoom(self, step: int) -> None:
        self._set_view(self.view + step)

    def action_to_list(self) -> None:
        if self.view > 0:
            self._set_view(0)
        self.set_focus(self.table)

    def action_follow(self) -> None:
        if self.focused is self.rail:
            self.rail.pick()
        elif self.focused is self.panes and self.panes.pick():
            return
        elif self.store is not None:
            self._set_view(1)

    def on_store_table_opened(self, message: StoreTable.Opened) -> None:
        message.stop()
        self.action_follow()

    def on_lines_view_picked(self, message: LinesView.Picked) -> None:
        message.stop()
        match message.target:
            case OpenStore() as store:
                self._switch(store.index)
            case ToImage(id=identity):
                self._follow_image(identity)
            case ToMapping(mapping=mapping):
                self.say(f"u removes the mapping of {words.short(mapping.digest)}; c copies the digest", Role.PLAIN)
            case ToFinding(finding=finding):
                key = None if self.store is None else self.store.row_of(finding)
                if key is None or not self._jump(key):
                    self.say("this finding is about no image")

    def _follow_image(self, identity: str) -> None:
        store = self.store
        row = next((r for r in store.snapshot.rows if r.key.id == identity), None) if store is not None else None
        if row is None or not self._jump(row.key):
            self.say("that image is not in this store")

    def on_lines_view_moved(self, message: LinesView.Moved) -> None:
        message.stop()
        self._draw_strip()
        self.draw_lines()

    def action_back(self) -> None:
        """Esc takes one thing back: zoom, filter, range, narrowed views, marks."""
        store, entry = self.store, self.entry
        if self.view > 0:
            self._set_view(0)
        elif self.focused is entry or entry.value:
            self._drop_filter()
        elif self.focused is not self.table:
            self.set_focus(self.table)
        elif store is not None and store.listing.anchor is not None:
            store.listing.end_range()
        elif store is not None and store.listing.is_narrowed:
            store.listing.show_only(marked=False, problems=False)
        elif store is not None:
            store.listing.clear_marks()
        if store is not None:
            self._listing_changed()
