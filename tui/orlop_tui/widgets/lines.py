"""Lines of text as widgets draw them: the one way by which text reaches a screen.

`span` makes every text safe, so nothing of a store reaches the terminal raw, and
nothing in it is ever taken for markup: these widgets draw cells, not markup. The
framework's own text widgets (Static, Label, DataTable, Tree …) are not used.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, NamedTuple, TypeAlias

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from orlop.digest import is_digest
from orlop.text import runs, visible

ELLIPSIS = "…"

_DIGEST = re.compile(r"sha(?:256|512)[:-][0-9a-f]{64}", re.ASCII)


class Role(StrEnum):
    """What a piece of text is; its look is chosen in the style sheet."""

    PLAIN = "plain"
    STRONG = "strong"
    LABEL = "label"
    HEADING = "heading"
    FAINT = "faint"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    KEY = "key"
    ODD = "odd"


class Span(NamedTuple):
    """A piece of safe text on one line."""

    text: str
    role: Role = Role.PLAIN

    @property
    def cells(self) -> int:
        return cell_len(self.text)


Spans: TypeAlias = tuple[Span, ...]


def span(text: str, role: Role = Role.PLAIN) -> Span:
    """A text of any origin as a safe span."""
    return Span(visible(text), role)


def spans(text: str, role: Role = Role.PLAIN) -> Spans:
    """The same, with whatever had to be spelled out standing out."""
    return tuple(Span(part, Role.ODD if odd else role) for part, odd in runs(text))


def width_of(pieces: Iterable[Span]) -> int:
    """Cells that these take side by side."""
    return sum(piece.cells for piece in pieces)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a view.

    Attributes:
        spans: what is drawn.
        target: what the line stands for, such as a finding; given back when it is picked.
        copy: what the copy key offers for it.
    """

    spans: Spans
    target: object | None = None
    copy: str = ""


def line(*pieces: Span | str, target: object | None = None, copy: str = "") -> Line:
    """A line of spans and of texts, which are made safe."""
    return Line(tuple(p if isinstance(p, Span) else span(p) for p in pieces), target, copy)


BLANK = Line(())


# --- fitting -------------------------------------------------------------------


def fit(text: str, width: int, *, right: bool = False, middle: bool = False) -> str:
    """A safe text in exactly so many cells, cut with ``…`` where it is longer."""
    if width <= 0:
        return ""
    length = cell_len(text)
    if length > width:
        text = _cut_middle(text, width) if middle else set_cell_size(text, width - 1) + ELLIPSIS
        length = cell_len(text)
    blanks = " " * (width - length)
    return blanks + text if right else text + blanks


def _cut_middle(text: str, width: int) -> str:
    if width < 5:
        return set_cell_size(text, width - 1) + ELLIPSIS
    front = (width - 1) // 2
    back = width - 1 - front
    tail = text
    while cell_len(tail) > back:
        tail = tail[max(1, (cell_len(tail) - back) // 2) :]
    return set_cell_size(text, front) + ELLIPSIS + tail


def fold(text: str, width: int) -> list[str]:
    """A safe text on lines of at most so many cells: a digest at its half, else at blanks where there are any."""
    width = max(width, 8)
    if cell_len(text) <= width:
        return [text]
    if (is_digest(text) or _DIGEST.fullmatch(text)) and width >= 39:
        return [text[:39], " " * 7 + text[39:]]
    name, at, digest = text.rpartition("@")
    if at and is_digest(digest):
        return [*fold(name + at, width), *fold(digest, width)]
    lines: list[str] = []
    current = ""
    for word in text.split(" "):
        joined = f"{current} {word}" if current else word
        if cell_len(joined) <= width:
            current = joined
            continue
        if current:
            lines.append(current)
        *full, current = _chopped(word, width)
        lines.extend(full)
    lines.append(current)
    return lines


def _chopped(word: str, width: int) -> list[str]:
    """A word that is wider than a line; one digest in it is broken at its half."""
    if cell_len(word) <= width:
        return [word]
    found = _DIGEST.search(word)
    if found is not None and width >= 39 + found.start():
        half = found.start() + 39
        return [word[:half], *fold(word[half:], width)]
    return chop_cells(word, width) or [""]


def labelled(label: str, text: str, width: int, *, role: Role = Role.PLAIN, margin: int = 9) -> Iterator[Line]:
    """A label at the margin and a text beside it, folded below itself."""
    safe = visible(text)
    head = fit(visible(label), margin)
    for part in fold(safe, width - margin):
        yield Line((Span(head, Role.LABEL), *spans(part, role)), copy=text)
        head = " " * margin


def beside(label: str, text: str, width: int, margin: int, role: Role) -> Iterator[Line]:
    """As `labelled`, further in, and with a role: what belongs to the line above."""
    head = " " * margin + fit(label, 8)
    for part in fold(visible(text), width - margin - 8):
        yield Line((Span(head, Role.LABEL), *spans(part, role)), copy=text)
        head = " " * (margin + 8)


def titled(pieces: Sequence[Span], hint: str, width: int) -> Iterator[Line]:
    """What a pane is about, and a hint beside it, or below it where there is no room."""
    head = tuple(pieces)
    if not hint:
        yield Line(head)
    elif width_of(head) + 2 + width_of((span(hint),)) <= width:
        yield Line((*head, Span("  "), span(hint, Role.FAINT)))
    else:
        yield Line(head)
        yield from (Line((Span(part, Role.FAINT),)) for part in fold(visible(hint), width))


def rule(title: str, width: int) -> Line:
    """A line across, with a title in it."""
    text = f"──── {visible(title)} "
    return Line((Span(text + "─" * max(0, width - cell_len(text)), Role.HEADING),))


# --- drawing -------------------------------------------------------------------


LOOKS = {f"lines--{role}" for role in Role} | {
    "lines--cursor",
    "lines--marked",
    "table--cursor",
    "table--cursor-away",
}
"""Component classes that every screen must have: the style sheet gives them their looks.

They belong to the screen and not to each widget, because the framework works
out every component class of every widget whenever anything is restyled.
"""


class Painted(Widget):
    """A widget that draws spans by their roles; its screen has `LOOKS`."""

    _styles: dict[Role, Style] | None = None
    """The looks of the roles over the widget's own; working them out anew for every line is what costs."""

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles = None

    def style_of(self, role: Role) -> Style:
        """How a role looks in this widget now."""
        if self._styles is None:
            self._styles = {Role.PLAIN: self.rich_style}
        if role not in self._styles:
            self._styles[role] = self._styles[Role.PLAIN] + self.look(f"lines--{role}")
        return self._styles[role]

    def look(self, name: str) -> Style:
        """What one of `LOOKS` changes; a colour that is partly transparent is blended first."""
        partial = self.screen.get_component_rich_style(name, partial=True)
        if partial.color is None:
            return partial
        return partial + Style(color=self.screen.get_component_rich_style(name).color)

    def paint(self, pieces: Iterable[Span], width: int, *, over: Style | None = None) -> Strip:
        """One line in exactly `width` cells; `over` is laid over every part of it."""
        base = self.style_of(Role.PLAIN)
        segments = []
        for piece in pieces:
            style = self.style_of(piece.role)
            segments.append(Segment(visible(piece.text), style if over is None else style + over))
        return Strip(segments).adjust_cell_length(width, base if over is None else base + over)


class Bar(Painted):
    """One line: something at the left, something at the right, the left one giving way."""

    can_focus = False

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.left: Spans = ()
        self.right: Spans = ()

    def show(self, left: Iterable[Span], right: Iterable[Span] = ()) -> None:
        """Put other texts there."""
        shown = (tuple(left), tuple(right))
        if shown != (self.left, self.right):
            self.left, self.right = shown
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y:
            return self.paint((), width)
        room = width - width_of(self.right) - (1 if self.right else 0)
        if room < 12:
            return self.paint((Span(" "), *self.left), width)
        left = _clip((Span(" "), *self.left), room)
        return self.paint((*left, Span(" " * (room - width_of(left))), *self.right, Span(" ")), width)


def _clip(pieces: Spans, width: int) -> Spans:
    if width_of(pieces) <= width:
        return pieces
    kept: list[Span] = []
    for piece in pieces:
        room = width - width_of(kept)
        if piece.cells > room:
            if room > 0:
                kept.append(Span(fit(piece.text, room), piece.role))
            break
        kept.append(piece)
    return tuple(kept)


Builder: TypeAlias = Callable[[int], Sequence[Line]]
"""Makes the lines for a width in cells."""


class LinesView(ScrollView, Painted, can_focus=True, inherit_bindings=False):
    """Lines that scroll, with a cursor on lines that stand for something.

    Lines without a target are stepped over while there is one to go to; in a view
    without targets the keys scroll.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "down", "down", show=False, id="down"),
        Binding("k,up", "up", "up", show=False, id="up"),
        Binding("pagedown,ctrl+f", "page(1)", "page down", show=False, id="page_down"),
        Binding("pageup", "page(-1)", "page up", show=False, id="page_up"),
        Binding("ctrl+d", "page(0.5)", "half a page down", show=False, id="half_down"),
        Binding("ctrl+u", "page(-0.5)", "half a page up", show=False, id="half_up"),
        Binding("g,home", "end(-1)", "to the top", show=False, id="first"),
        Binding("G,end", "end(1)", "to the end", show=False, id="last"),
    ]

    class Picked(Message):
        """A line was picked by Enter or by a click on the line under the cursor."""

        def __init__(self, view: "LinesView", target: object) -> None:
            super().__init__()
            self.view = view
            self.target = target

        @property
        def control(self) -> "LinesView":
            return self.view

    class Moved(Message):
        """The cursor is on another line, or other lines are in sight."""

        def __init__(self, view: "LinesView") -> None:
            super().__init__()
            self.view = view

    def __init__(self, build: Builder | None = None, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._build: Builder = build or (lambda width: ())
        self._built_for = -1
        self.lines: Sequence[Line] = ()
        self.cursor: int | None = None
        self.always_shows_cursor = False
        """Also while something else, such as a line for typing, has the keys."""

    # --- content

    def show(self, build: Builder, *, keep: bool = False) -> None:
        """Show other lines; `keep` leaves cursor and scrolling where they are."""
        self._build = build
        place = self.cursor if keep else None
        self._rebuild()
        if place is not None and place < len(self.lines) and self.lines[place].target is not None:
            self.cursor = place
        else:
            self.cursor = self._next_target(-1, 1)
        if not keep:
            self.scroll_to(0, 0, animate=False, immediate=True)

    def _rebuild(self) -> None:
        self._built_for = self.scrollable_content_region.width or self.size.width
        self.lines = tuple(self._build(self._built_for)) if self._built_for > 0 else ()
        self.virtual_size = Size(self._built_for, len(self.lines))
        if self.cursor is not None and self.cursor >= len(self.lines):
            self.cursor = self._next_target(-1, 1)
        self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        if self.scrollable_content_region.width != self._built_for:
            self._rebuild()
            if self.cursor is None:
                self.cursor = self._next_target(-1, 1)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._build(width)) if width > 0 else 1

    @property
    def current(self) -> Line | None:
        """The line under the cursor."""
        return None if self.cursor is None or self.cursor >= len(self.lines) else self.lines[self.cursor]

    @property
    def hidden_below(self) -> int:
        """Lines that scrolling down would bring into sight."""
        return max(0, len(self.lines) - self.size.height - self.scroll_offset.y) if self.size.height else 0

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self.post_message(self.Moved(self))

    def render_line(self, y: int) -> Strip:
        place = y + self.scroll_offset.y
        width = self.size.width
        if place >= len(self.lines):
            return self.paint((), width)
        over = None
        if place == self.cursor and (self.has_focus or self.always_shows_cursor):
            over = self.look("lines--cursor")
        return self.paint(self.lines[place].spans, width, over=over)

    # --- the cursor

    def _next_target(self, start: int, step: int) -> int | None:
        place = start + step
        while 0 <= place < len(self.lines):
            if self.lines[place].target is not None:
                return place
            place += step
        return None

    def _put(self, place: int) -> None:
        self.cursor = place
        self.scroll_to_region(Region(0, max(0, place - 1), 1, 3), animate=False, immediate=True)
        self.refresh()
        self.post_message(self.Moved(self))

    def _step(self, step: int) -> None:
        place = None if self.cursor is None else self._next_target(self.cursor, step)
        if place is None:
            self.scroll_relative(y=step, animate=False, immediate=True)
        else:
            self._put(place)

    def action_down(self) -> None:
        self._step(1)

    def action_up(self) -> None:
        self._step(-1)

    def action_page(self, pages: float) -> None:
        self.scroll_relative(y=round(pages * max(1, self.size.height - 1)), animate=False, immediate=True)
        if self.cursor is None:
            return
        top, height = round(self.scroll_target_y), self.size.height
        if not top <= self.cursor < top + height:
            place = self._next_target(top - 1, 1) if pages > 0 else self._next_target(top + height, -1)
            if place is not None:
                self._put(place)

    def action_end(self, side: int) -> None:
        place = self._next_target(-1, 1) if side < 0 else self._next_target(len(self.lines), -1)
        if place is not None:
            self._put(place)
        self.scroll_to(y=0 if side < 0 else len(self.lines), animate=False, immediate=True)

    def put_on(self, place: int) -> None:
        """Put the cursor on a line, and bring it into sight."""
        self._put(place)

    def go_below(self, place: int) -> None:
        """Scroll a line to the top, and put the cursor on the first target from there on."""
        self.scroll_to(0, place, animate=False, immediate=True)
        target = self._next_target(place - 1, 1)
        if target is not None:
            self.cursor = target
            self.refresh()

    def pick(self) -> bool:
        """Give out the target under the cursor; False where there is none."""
        current = self.current
        if current is None or current.target is None:
            return False
        self.post_message(self.Picked(self, current.target))
        return True

    def on_click(self, event: events.Click) -> None:
        place = event.y + self.scroll_offset.y
        if not 0 <= place < len(self.lines) or self.lines[place].target is None:
            return
        if place == self.cursor and event.chain > 1:
            self.pick()
        else:
            self._put(place)
