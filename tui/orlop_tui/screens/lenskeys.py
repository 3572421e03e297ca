"""The keys that lead from a thing to what it belongs to: any digest, who uses it, and the way back."""

from typing import ClassVar, NamedTuple

from textual import events
from textual.binding import Binding, BindingType

from orlop.records import Key
from orlop_tui import messages
from orlop_tui.screens.dialog import Ask
from orlop_tui.screens.jobkeys import JobKeys
from orlop_tui.screens.lens import LensDialog, Look, Narrow, There, Wish
from orlop_tui.screens.stores import OpenStore
from orlop_tui.widgets.completing import of_name
from orlop_tui.widgets.filtering import Held, digits
from orlop_tui.widgets.lines import Role
from orlop_tui.widgets.shown import Pane, ToDigest, ToFinding, ToMapping, ToRemote, ToRow, ToUpload

_MOST_PASTED = 4096
"""Characters of a paste that are looked up: the longest path."""
_WHOLE = 64
"""Hex digits of a digest."""
_MOST_PLACES = 100
"""Places that the way back remembers."""


class Place(NamedTuple):
    """Where a person was: store, row, what was shown of the list, pane, and line of it."""

    store: int
    key: Key | None
    filter: str
    pane: Pane
    view: int
    line: str
    """What the copy key had for the line under the cursor of the panes; empty: the list had the focus."""


class LensKeys(JobKeys):
    """How a person follows references."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("number_sign", "go_to", "go to a row number or name; say what a digest or path is", id="go_to"),
        Binding("u", "users", "who uses this: the row, or the line under the cursor of a pane", id="users"),
        Binding("minus", "return", "back to where you were", id="return"),
    ]

    _places: tuple[Place, ...] = ()
    _asks_users = False
    _seek: tuple[str, ...] = ()
    """What the line that is gone to has; it is looked for when the row's detail is there."""

    # --- the lens

    def action_go_to(self) -> None:
        store = self.store
        if self._stopped_by("go_to") or store is None:
            return
        ask = Ask("Go to", "row number, name, or any digest, id or path")
        ask.complete = lambda text: of_name(text, store.names)
        self.app.push_screen(ask, lambda text: self._go_to(text) if text else None)

    def on_paste(self, event: events.Paste) -> None:
        """A digest, id or name that is pasted into the browser is looked up."""
        event.stop()
        lines = event.text.strip().splitlines()
        if self.store is not None and lines and lines[0].strip():
            self._go_to(lines[0].strip()[:_MOST_PASTED])

    def _go_to(self, text: str) -> None:
        """Go to a row by its number or name; look up anything else."""
        store = self.store
        if store is None:
            return
        listing = store.listing
        if text.isdecimal() and 1 <= int(text) <= len(listing):
            self._leave_for()
            listing.move_to(int(text) - 1)
            self._listing_changed()
            return
        if (row := _row_of(text, store)) is None:
            self._look_up(_subject(text))
        else:
            self._jump(row)

    def _look_up(self, text: str, *, users: bool = False) -> None:
        self._asks_users = users
        self.say("looking …", Role.PLAIN)
        self.gateway.why(text)

    def explained(self, message: messages.Explained) -> None:
        """Show what the stores said."""
        self.say("")
        if self.app.screen is not self:
            return
        if not any(answer.why is not None or answer.error is not None for answer in message.answers):
            self.say(f"no open store knows anything of {message.text}")
            return
        dialog = LensDialog(self.stores, self.current, message, self.changes, users=self._asks_users)
        self.app.push_screen(dialog, self._wished)

    def _wished(self, wish: Wish | None) -> None:
        match wish:
            case There(store=index, key=key, seek=seek):
                self._go_there(index, key, seek)
            case Look(text=text):
                self._look_up(text)
            case Narrow(store=index, filter=text):
                self._leave_for()
                self._switch(index)
                self._show_filter(text)

    def _go_there(self, index: int, key: Key, seek: tuple[str, ...]) -> None:
        """Go to a row of any open store, and to the line of its panes that is meant."""
        self._leave_for()
        self._switch(index)
        if not self._jump(key, noted=True):
            self.say("that row is gone")
            return
        if seek:
            self._seek = seek
            self.action_pane(Pane.DIGESTS)
            self.set_focus(self.panes)
            self.call_after_refresh(self.find_line)

    def find_line(self, *, last: bool = False) -> None:
        """Put the cursor of the panes on the line that is sought, if one is; `last`: it comes no more.

        What is not among the digests is among the layers.
        """
        row, shown = self.row, self._shown
        if row is None or shown.row is None or shown.row.key != row.key or shown.detail is None:
            return  # what the panes show is not read yet, or of another row
        if not self._seek or self._line_found():
            return
        if last and self.pane is Pane.DIGESTS and not self.is_stacked:
            self.pane = Pane.META
            self.draw_panes()
            self._line_found()
        if last:
            self._seek = ()

    def _line_found(self) -> bool:
        lines = self.panes.lines
        place = next((place for place, shown in enumerate(lines) if shown.copy and shown.copy in self._seek), None)
        if place is None:
            return False
        self.panes.go_below(place)
        self._seek = ()
        return True

    # --- who uses it

    def action_users(self) -> None:
        if not self._stopped_by("users"):
            self._look_up(self._used(), users=True)

    def _used(self) -> str:
        """What the line under the cursor is about; without one, the row."""
        match self._target():
            case ToMapping(mapping=mapping):
                return mapping.digest or mapping.diff_id
            case ToDigest(digest=digest):
                return digest
            case ToRemote(remote=remote) if remote.url is not None:
                return remote.url
            case ToRow(key=key):
                return key.id
            case ToUpload(upload=upload):
                return upload.id
            case ToFinding(finding=finding):
                return finding.images[0] if finding.images else finding.path
        row = self.row
        return "" if row is None else row.key.id or row.key.name or ""

    # --- the way back

    def _leave_for(self) -> None:
        """Note where the person is, before going somewhere else."""
        store = self.store
        if store is None:
            return
        line = self.panes.current if self.focused is self.panes else None
        copied = line.copy if line is not None else ""
        text = store.listing.filter.text
        place = Place(self.current, store.listing.cursor, text, self.pane, self.view, copied)
        if not self._places or self._places[-1] != place:
            self._places = (*self._places, place)[-_MOST_PLACES:]

    def action_return(self) -> None:
        """Go back to the place that was left last; a row that is gone is said to be."""
        if not self._places:
            self.say("nowhere to go back to: Enter on a line, u and # lead on")
            return
        *before, place = self._places
        self._places = tuple(before)
        self._switch(place.store)
        store = self.store
        if store is None:
            return
        if store.wanted_filter != place.filter:
            self._show_filter(place.filter)
        if place.key is not None and not self._jump(place.key, noted=True):
            self.say("the row that you came from is gone")
            return
        self.pane = place.pane
        self._set_view(place.view)
        if place.line:
            self._seek = (place.line,)
            self.set_focus(self.panes)
            self.call_after_refresh(self.find_line)

    # --- what the store answers

    def holders_ready(self, message: messages.HoldersReady) -> None:
        """Take over which images hold something; a filter that waited for it is used."""
        store = self.stores[message.index]
        for holding, text, images in message.answers:
            store.listing.answer(Held(holding, text), images)
        if store.wanted_filter != store.listing.filter.text:
            self._narrow_to(store, store.wanted_filter)
        elif store is self.store:
            self._listing_changed()

    def freed_ready(self, message: messages.FreedReady) -> None:
        """Take over what the deletion of the marked rows frees."""
        store: OpenStore = self.stores[message.index]
        store.freed = (message.keys, message.freed)
        if store is self.store:
            self.draw_lines()


def _row_of(text: str, store: OpenStore) -> Key | None:
    """The row of a name, or of the start of an id; a whole digest may be many things, and is looked up."""
    rows = store.snapshot.rows
    named = next((row.key for row in rows if row.key.name == text), None)
    start = digits(text)
    if named is not None or len(start) >= _WHOLE or not start:
        return named
    return next((row.key for row in store.listing.shown if digits(row.key.id).startswith(start)), None)


def _subject(text: str) -> str:
    """What is looked up of a text that was pasted: of ``name@digest`` the digest."""
    _, at, digest = text.rpartition("@")
    return digest if at and ":" in digest else text
