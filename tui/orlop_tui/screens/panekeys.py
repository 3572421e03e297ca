"""The keys of the panes: which is shown, how large, and where their lines lead."""

from orlop.records import Key, Mapping
from orlop_tui import format as words
from orlop_tui.screens.rowkeys import RowKeys
from orlop_tui.screens.stores import OpenStore
from orlop_tui.widgets.lines import LinesView, Role
from orlop_tui.widgets.panes import place_of
from orlop_tui.widgets.recordpanes import row_of
from orlop_tui.widgets.shown import Pane, ToDigest, ToFinding, ToMapping, ToRemote, ToRow, ToUpload
from orlop_tui.widgets.store_table import StoreTable


class PaneKeys(RowKeys):
    """What a person does with the panes."""

    def action_pane(self, number: int) -> None:
        if self._stopped_by(f"pane({number})"):
            return
        self.pane = Pane(number)
        if self.view < 0 or not self.side.display:
            self._set_view(1)
        store = self.store
        if self.pane is Pane.PROBLEMS and store is not None and store.findings is None and not store.checking:
            self.check(store, asked=True)
        self.draw_panes()
        self._go_to_pane()
        self.draw_lines()

    def _go_to_pane(self) -> None:
        """Bring the section that was chosen to the top, where all stand below each other."""
        if self.is_stacked:
            self.panes.go_below(place_of(self.pane, self.panes.lines))

    def action_next_pane(self, step: int) -> None:
        there = self.panes_here
        self.action_pane(there[(there.index(self.pane) + step) % len(there)])

    def action_whole(self) -> None:
        """Show of the pane what the whole store has, or the row's alone; from the first two panes it is problems."""
        pane = self.pane if self.pane in (Pane.REMOTE, Pane.UPLOADS) else Pane.PROBLEMS
        self._whole ^= {pane}
        self.action_pane(pane)

    def _set_view(self, view: int) -> None:
        self.view = max(-1, min(1, view))
        self.set_class(self.view < 0, "list-only")
        self.set_class(self.view > 0, "panes-only")
        self.set_focus(self.panes if self.view > 0 else self.table)
        self.call_after_refresh(self._draw_anew)

    def _draw_anew(self) -> None:
        self.draw()
        if self.pane is not Pane.META:
            self._go_to_pane()

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
            case ToRow(key=key):
                self._follow(key)
            case ToRemote(remote=remote):
                there = row_of(remote, self.row.key if self.row is not None else None)
                if there is None:
                    self.say("this record leads to no image of this store")
                else:
                    self._follow(there)
            case ToUpload():
                self.say("d drops this upload; y copies its name", Role.PLAIN)
            case ToMapping(mapping=mapping):
                self._follow_mapping(mapping)
            case ToDigest(digest=digest):
                self._look_up(digest)
            case ToFinding(finding=finding):
                found = None if self.store is None else self.store.row_of(finding)
                if found is None or not self._jump(found):
                    self.say("this finding is about no image")

    def _look_up(self, text: str, *, users: bool = False) -> None:
        """Ask the stores what a text is."""

    def _follow(self, key: Key) -> None:
        """Go to a row; where there is none with this name, to another of the same image."""
        rows = self.store.snapshot.rows if self.store is not None else ()
        same = [row.key for row in rows if row.key.id == key.id]
        best = next((found for found in same if found == key), None)
        best = best or next((found for found in same if found.scope == key.scope), None)
        if best is None and not key.scope:
            best = same[0] if same else None
        if best is None or not self._jump(best):
            self.say("that image is not in this store")

    def _follow_mapping(self, mapping: Mapping) -> None:
        if self.store is not None and self.store.words.has_reverse:
            self.say(f"d removes the mapping of {words.short(mapping.digest)}; u its images, y copies", Role.PLAIN)
        else:
            self.say(f"u shows who uses {words.short(mapping.digest)}; y copies the digest", Role.PLAIN)

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
