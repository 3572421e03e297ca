"""A dialog over the whole screen, whose lines change while it is looked at."""

from collections.abc import Sequence
from typing import ClassVar, TypeVar

from textual.binding import Binding, BindingType

from orlop_tui.safe_app import SafeApp
from orlop_tui.screens.dialog import CHROME, Dialog
from orlop_tui.widgets.lines import Line, LinesView

Result = TypeVar("Result")


class Page(Dialog[Result]):
    """Lines over the whole screen; the cursor stays on what it stands for, wherever that goes."""

    leaves = "back"
    leave_keys = "Esc"
    is_for_typing = True
    """Nothing on it changes a store: who types ahead means it."""
    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "leave", "back", show=False)]

    def __init__(self) -> None:
        super().__init__()
        self.add_class("page")

    def begin(self) -> None:
        self.call_after_refresh(self.moved)

    @property
    def plain(self) -> bool:
        """Whether only ASCII is drawn: who wants no colour may have no blocks either."""
        return isinstance(self.app, SafeApp) and self.app.is_plain

    @property
    def said(self) -> LinesView:
        """The lines."""
        return self.query_one("#said", LinesView)

    @property
    def target(self) -> object | None:
        """What the line under the cursor stands for."""
        current = self.said.current if self.is_mounted else None
        return current.target if current is not None else None

    def draw_again(self) -> None:
        """Show what is now to be said, the cursor on the same thing as before."""
        if not self.is_mounted:
            return
        before = self.target
        self.draw(keep=True)
        self.put_on(before)
        self._show_keys()

    def put_on(self, target: object | None) -> None:
        """Put the cursor on the line of a target, where there is one."""
        place = _place(self.said.lines, target)
        if place is not None and place != self.said.cursor:
            self.said.put_on(place)

    def on_lines_view_moved(self, message: LinesView.Moved) -> None:
        message.stop()
        self.moved()

    def moved(self) -> None:
        """The cursor is on another line."""
        self.remark("")
        self._show_keys()

    def _fit_body(self) -> None:
        spare = 1 if self.query_one("#typed").display else 0
        self.said.styles.height = max(1, self.size.height - CHROME - spare)


def _place(lines: Sequence[Line], target: object | None) -> int | None:
    if target is None:
        return None
    same = (place for place, each in enumerate(lines) if each.target is target)
    equal = (place for place, each in enumerate(lines) if isinstance(target, int) and each.target == target)
    return next(same, next(equal, None))
