"""The line of keys at the bottom: what can be done now, clickable, never more than fits."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from textual import events
from textual.message import Message
from textual.strip import Strip

from orlop_tui.widgets.lines import Painted, Role, Span

MOST = 14
"""Keys on the line at most; the help has all of them."""


class KeyHint(NamedTuple):
    """A key, what it does in a word or two, and whether it would do it now."""

    key: str
    label: str
    action: str
    enabled: bool = True

    @property
    def cells(self) -> int:
        return len(self.key) + 1 + len(self.label)


class KeyLine(Painted):
    """Keys with their words; what is not possible now is dim, and a click is a key press."""

    can_focus = False

    class Clicked(Message):
        """A key was clicked."""

        def __init__(self, action: str) -> None:
            super().__init__()
            self.action = action

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.hints: tuple[KeyHint, ...] = ()

    def show(self, hints: Iterable[KeyHint]) -> None:
        """Put other keys there, the most important first."""
        given = tuple(hints)
        chosen = given if len(given) <= MOST else given[: MOST - 2] + given[-2:]
        if chosen != self.hints:
            self.hints = chosen
            self.refresh()

    def _fitting(self) -> Sequence[KeyHint]:
        """The first keys that fit; the last two (help and quit) always do."""
        width = self.size.width - 1
        hints = list(self.hints)
        while len(hints) > 2 and sum(hint.cells + 2 for hint in hints) - 2 > width:
            del hints[-3]
        return hints

    def render_line(self, y: int) -> Strip:
        pieces = [Span(" ")]
        for hint in self._fitting():
            pieces.append(Span(hint.key, Role.KEY if hint.enabled else Role.FAINT))
            pieces.append(Span(f" {hint.label}  ", Role.PLAIN if hint.enabled else Role.FAINT))
        return self.paint(pieces if y == 0 else (), self.size.width)

    def on_click(self, event: events.Click) -> None:
        place = 1
        for hint in self._fitting():
            if place <= event.x < place + hint.cells:
                self.post_message(self.Clicked(hint.action))
                return
            place += hint.cells + 2
