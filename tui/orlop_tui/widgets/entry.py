"""The line for typing, and who hears a key while something is opening for it."""

from typing import Any, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input


class Listening(Message):
    """A screen for typing is there: it can take the keys that were typed since it was asked for."""

    def __init__(self, screen: Screen[Any]) -> None:
        super().__init__()
        self.screen = screen


class Entry(Input):
    """One line to be typed; Enter is the screen's own action `typed`, done before the next key is looked at."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "screen.typed", "take it", show=False)]

    def take(self, event: events.Key) -> bool:
        """Put a character in, at once; False where the key is none."""
        if not event.is_printable or event.character is None:
            return False
        self.replace(event.character, *self.selection)
        return True
