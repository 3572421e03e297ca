"""The image list on the screen: only the lines in sight are drawn, whatever the number of rows."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from orlop.records import Condition, Key, Row, Trust
from orlop_tui.format import state_word
from orlop_tui.widgets.columns import MARGIN, cell, fields_for
from orlop_tui.widgets.lines import Painted, Role, Span, fit
from orlop_tui.widgets.listing import Column, Listing

_STATE_ROLES = {
    "BAD": Role.BAD,
    "partial": Role.BAD,
    "busy": Role.WARN,
    "listed": Role.WARN,
    "odd name": Role.WARN,
    "verified": Role.GOOD,
    "linked": Role.GOOD,
}


def state_role(row: Row) -> Role:
    """How a row's state word stands out; the word itself says it all."""
    return _STATE_ROLES.get(state_word(row), Role.PLAIN)


class TableHead(Painted):
    """The columns' names; a click sorts."""

    class Clicked(Message):
        """A column's name was clicked."""

        def __init__(self, column: Column) -> None:
            super().__init__()
            self.column = column

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.listing = Listing()
        self.kind = "docker"

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        pieces = [Span(" " * MARGIN)]
        for field in fields_for(width, self.kind):
            title = field.title
            if field.column is self.listing.sort.column:
                title += f" {self.listing.sort.arrow}"
            pieces.append(Span(fit(title, field.width, right=field.right) + " ", Role.LABEL))
        return self.paint(pieces if y == 0 else (), width)

    def on_click(self, event: events.Click) -> None:
        place = MARGIN
        for field in fields_for(self.size.width, self.kind):
            if place <= event.x <= place + field.width:
                self.post_message(self.Clicked(field.column))
                return
            place += field.width + 1


class StoreTable(ScrollView, Painted, can_focus=True, inherit_bindings=False):
    """The rows of one store's listing.

    The listing is changed by calling its methods and then `sync`; the table holds
    nothing that could be out of date.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "down", show=False, id="down"),
        Binding("k,up", "move(-1)", "up", show=False, id="up"),
        Binding("pagedown,ctrl+f", "page(1)", "page down", show=False, id="page_down"),
        Binding("pageup", "page(-1)", "page up", show=False, id="page_up"),
        Binding("ctrl+d", "page(0.5)", "half a page down", show=False, id="half_down"),
        Binding("ctrl+u", "page(-0.5)", "half a page up", show=False, id="half_up"),
        Binding("g,home", "end(-1)", "first row", show=False, id="first"),
        Binding("G,end", "end(1)", "last row", show=False, id="last"),
    ]

    class Moved(Message):
        """The cursor is on another row, or none."""

        def __init__(self, key: Key | None) -> None:
            super().__init__()
            self.key = key

    class Opened(Message):
        """The row under the cursor was double-clicked."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.listing = Listing()
        self.kind = "docker"
        """The kind of the store, which has columns of its own."""
        self.now = 0
        """The moment that ages are counted from."""
        self.empty: Callable[[int], Sequence[tuple[Span, ...]]] = lambda width: ()
        """What to say while no row is shown."""
        self._told: tuple[Key | None] | None = None
        """The row, or that there is none, of which was told last."""

    # --- drawing

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        place = y + self.scroll_offset.y
        shown = self.listing.shown
        if place < len(shown):
            return self._row_strip(shown[place], width)
        if not shown:
            said = self.empty(width)
            if 1 <= y <= len(said):
                return self.paint((Span(" " * MARGIN), *said[y - 1]), width)
        return self.paint((), width)

    def _row_strip(self, row: Row, width: int) -> Strip:
        under, marked = row.key == self.listing.cursor, self.listing.is_marked(row.key)
        signs = (">" if under else " ") + ("*" if marked else " ") + " "
        pieces = [Span(signs, Role.STRONG)]
        depth = self.listing.depth(row)
        fields = fields_for(width, self.kind)
        if depth and not row.tag:  # the platform has the room of the tag that is not there
            name, tag, *others = fields
            fields = [name._replace(width=name.width + 1 + tag.width), *others]
        for field in fields:
            said = self.listing.said.get(row.key, "") if field.column is Column.STATE else ""
            text = said or cell(row, field.column, self.now, depth=depth)
            text = fit(text, field.width, right=field.right, middle=True)
            pieces.append(Span(text + " ", Role.KEY if said else self._role(row, field.column)))
        return self.paint(pieces, width, over=self._over(under, marked))

    def _role(self, row: Row, column: Column) -> Role:
        if column is Column.STATE:
            return state_role(row)
        if column is Column.NAME and (not row.repository or row.under is not None):
            return Role.FAINT
        if row.condition is Condition.SOUND and row.trust is not Trust.LISTED:
            return Role.PLAIN if column in (Column.NAME, Column.TAG) else Role.FAINT
        return Role.PLAIN

    def _over(self, under: bool, marked: bool) -> Style | None:
        if under:
            return self.look("table--cursor" if self.has_focus else "table--cursor-away")
        return self.look("lines--marked") if marked else None

    # --- keeping up

    def sync(self, listing: Listing | None = None) -> None:
        """Draw what the listing now says, with the cursor in sight."""
        if listing is not None:
            self.listing = listing
        self.virtual_size = Size(self.size.width, len(self.listing))
        self.refresh()
        self._follow()
        self._tell()

    def _tell(self) -> None:
        told = (self.listing.cursor,)
        if told != self._told:
            self._told = told
            self.post_message(self.Moved(self.listing.cursor))

    def tell_again(self) -> None:
        """Forget which row was told of, so that the next `sync` tells of the cursor's row anew."""
        self._told = None

    def _follow(self) -> None:
        height = self.size.height
        if height <= 0 or not self.listing.shown:
            return
        top, place = round(self.scroll_target_y), self.listing.position
        edge = min(2, max(0, (height - 1) // 2))
        if place < top + edge:
            top = place - edge
        elif place > top + height - 1 - edge:
            top = place - height + 1 + edge
        self.scroll_to(y=max(0, min(top, len(self.listing) - height)), animate=False, immediate=True)

    def on_resize(self, event: events.Resize) -> None:
        self.virtual_size = Size(self.size.width, len(self.listing))
        self.call_after_refresh(self._follow)

    # --- moving

    def action_move(self, by: int) -> None:
        self._move_to(self.listing.position + by)

    def _move_to(self, position: int) -> None:
        """Move and draw anew only what differs: two lines, unless it scrolls or a range grows."""
        before, top = self.listing.position, self.scroll_offset.y
        self.listing.move_to(position)
        if self.listing.anchor is not None:
            self.sync()
            return
        self._follow()
        if self.scroll_offset.y == top:
            for place in (before, self.listing.position):
                self.refresh(Region(0, place - top, self.size.width, 1))
        self._tell()

    def action_page(self, pages: float) -> None:
        self.action_move(round(pages * max(1, self.size.height - 1)))

    def action_end(self, side: int) -> None:
        self._move_to(0 if side < 0 else len(self.listing) - 1)

    def on_click(self, event: events.Click) -> None:
        place = event.y + self.scroll_offset.y
        if place >= len(self.listing):
            return
        self._move_to(place)
        if event.chain > 1:
            self.post_message(self.Opened())
