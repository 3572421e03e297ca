"""The line for typing: what may follow is shown dim behind it, and taken with Tab or the right arrow."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeAlias

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen
from textual.suggester import Suggester
from textual.widgets import Input

Completer: TypeAlias = Callable[[str], Sequence[str]]
"""Gives whole lines that a line may become, the likeliest first; each begins with it."""


class Listening(Message):
    """A screen for typing is there: it can take the keys that were typed since it was asked for."""

    def __init__(self, screen: Screen[Any]) -> None:
        super().__init__()
        self.screen = screen


class _First(Suggester):
    """The likeliest line, for the framework to show."""

    def __init__(self, entry: "Entry") -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._entry = entry

    async def get_suggestion(self, value: str) -> str | None:
        return next(iter(self._entry.complete(value)), None)


def nothing(text: str) -> Sequence[str]:
    """Completes nothing."""
    return ()


class Entry(Input):
    """One line to be typed; Enter is the screen's own action `typed`, done before the next key is looked at."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "screen.typed", "take it", show=False),
        Binding("tab", "complete", "complete the word", show=False),
    ]

    def __init__(self, *, placeholder: str = "", id: str | None = None, select_on_focus: bool = False) -> None:
        super().__init__(placeholder=placeholder, id=id, select_on_focus=select_on_focus, suggester=_First(self))
        self.complete: Completer = nothing
        """What may follow; set by the screen."""

    def take(self, event: events.Key) -> bool:
        """Put a character in, at once; False where the key is none."""
        if not event.is_printable or event.character is None:
            return False
        self.replace(event.character, *self.selection)
        return True

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Where there is nothing to complete, the key is the screen's."""
        if action == "complete":
            return self._completion is not None
        return super().check_action(action, parameters)

    @property
    def _completion(self) -> str | None:
        return next(iter(self.complete(self.value)), None) if self.cursor_at_end else None

    def action_complete(self) -> None:
        """Take the likeliest line."""
        found = self._completion
        if found is not None:
            self.value = found
            self.action_end()
