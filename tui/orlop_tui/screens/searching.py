"""Lines to look through by typing: all actions with their keys and why they cannot be done now, and the help."""

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input

from orlop_tui.screens.dialog import Dialog
from orlop_tui.widgets.keyline import KeyHint
from orlop_tui.widgets.lines import BLANK, Line, LinesView, Role, fit, line, span


class Deed:
    """Something that a key does: what a line of the list stands for."""

    def __init__(self, action: str, keys: str, about: str, reason: str) -> None:
        self.action = action
        self.keys = keys
        self.about = about
        self.reason = reason
        """Why it cannot be done now; empty where it can."""

    def drawn(self) -> Line:
        """Its key, what it does, and why it does not now."""
        faint = Role.FAINT if self.reason else Role.PLAIN
        said = f"{self.about}  (not now: {self.reason})" if self.reason else self.about
        return line(span(fit(self.keys, 20), Role.KEY), span(said, faint), target=self)


Group = tuple[str, Sequence[Line]]
"""A heading and the lines below it."""


class Search(Dialog[str]):
    """Groups of lines, narrowed by every word that is typed; Enter does what the line under the cursor stands for.

    Args:
        title: of the dialog.
        groups: all lines.
        enters: what Enter does; empty: it does nothing.
    """

    is_for_typing = True
    leave_keys = "Esc"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "move(1)", "down", show=False),
        Binding("up", "move(-1)", "up", show=False),
        Binding("pagedown", "page(1)", "page down", show=False),
        Binding("pageup", "page(-1)", "page up", show=False),
    ]

    def __init__(self, title: str, groups: Callable[[], Iterable[Group]], *, enters: str = "") -> None:
        super().__init__()
        self.title_text = title
        self._groups = tuple((heading, tuple(lines)) for heading, lines in groups())
        self._does = enters
        self._words: list[str] = []

    def body(self, width: int) -> Sequence[Line]:
        found: list[Line] = []
        for heading, lines in self._groups:
            kept = [each for each in lines if self._answers(heading, each)]
            if kept:
                found += [line(span(heading, Role.HEADING)), *kept, BLANK]
        return found or [line(span(f"nothing has {' and '.join(self._words)}", Role.FAINT))]

    def _answers(self, heading: str, each: Line) -> bool:
        text = f"{heading} {''.join(piece.text for piece in each.spans)}".lower()
        return all(word in text for word in self._words)

    def begin(self) -> None:
        self.query_one("#said", LinesView).always_shows_cursor = bool(self._does)
        self.ask("type to search", enters=self._does or "close")

    def hints(self) -> Iterable[KeyHint]:
        return [KeyHint("Enter", self._does, "typed")] if self._does else []

    def on_input_changed(self, message: Input.Changed) -> None:
        message.stop()
        self._words = message.value.lower().split()
        self.draw()

    def action_typed(self) -> None:
        current = self.query_one("#said", LinesView).current
        if not self._does:
            self.dismiss(None)
        elif current is not None and isinstance(current.target, Deed):
            self._choose(current.target)

    def _choose(self, deed: Deed) -> None:
        if deed.reason:
            self.remark(f"not now: {deed.reason}")
        else:
            self.dismiss(deed.action)

    def on_lines_view_picked(self, message: LinesView.Picked) -> None:
        message.stop()
        if self._does and isinstance(message.target, Deed):
            self._choose(message.target)

    def action_move(self, step: int) -> None:
        """Another line, though the line for typing has the keys."""
        said = self.query_one("#said", LinesView)
        if step > 0:
            said.action_down()
        else:
            said.action_up()

    def action_page(self, step: int) -> None:
        self.query_one("#said", LinesView).action_page(step)
