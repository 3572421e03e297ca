"""What every dialog shares: a title, lines, keys that are shown, and deafness until it was painted."""

from collections.abc import Iterable, Sequence
from typing import ClassVar, Protocol, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from orlop.intent import Intent
from orlop.plan import Plan
from orlop_tui.widgets.entry import Completer, Entry, Listening, nothing
from orlop_tui.widgets.keyline import KeyHint, KeyLine
from orlop_tui.widgets.lines import LOOKS, Bar, Line, LinesView, Role, Spans, fold, span

Result = TypeVar("Result")

LIVE_AFTER = 0.5
"""Seconds after which a dialog hears keys though nothing told that it was painted."""

CHROME = 5
"""Lines of a dialog that are not its body: border, title, a remark, keys."""


class Host(Protocol):
    """What dialogs ask of the browser below them."""

    def lock_or_unlock(self, index: int) -> None: ...
    def plan_again(self, index: int, intent: Intent) -> None: ...
    def plan_with_hidden(self, index: int, intent: Intent) -> None: ...
    def save_plan(self, plan: Plan, path: str) -> None: ...
    def offer_copy(self, what: str, text: str | Sequence[str]) -> None: ...
    def preview(self, index: int, change: str) -> None: ...


class Dialog(ModalScreen[Result | None]):
    """A box over the browser. Enter and Esc leave everything as it is.

    Keys that were typed before the dialog was painted are dropped: nobody can have
    meant them for it. A dialog that is opened in order to type gets them all.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = LOOKS

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "leave", "keep", show=False),
        Binding("escape", "leave", "keep", show=False),
        Binding("tab", "list", "list what is summed up, or sum it up", show=False),
    ]

    title_text = ""
    leaves = "close"
    """What the keys that leave do, in a word or two."""
    leave_keys = "Enter/Esc"
    is_for_typing = False
    """Whether what is typed after the key that opens it is meant for it."""

    def __init__(self) -> None:
        super().__init__()
        self._painted = False
        self._remark: Spans = ()
        self._enters = ""
        self.complete: Completer = nothing
        """What may follow what is typed."""
        self.listed = False
        """Whether long lists are shown whole."""

    # --- what a dialog says; overridden

    def body(self, width: int) -> Sequence[Line]:
        """The lines for a width in cells."""
        return ()

    def hints(self) -> Iterable[KeyHint]:
        """The keys besides leaving."""
        return ()

    def heading(self) -> Spans:
        """The title's line."""
        return (span(self.title_text, Role.HEADING),)

    # --- how it is drawn

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield Bar(id="title")
            yield LinesView(self.body, id="said")
            yield Entry(id="typed")
            yield Bar(id="remark")
            yield KeyLine(id="dialog-keys")

    def on_mount(self) -> None:
        if not self.query("#typed"):
            return  # the app ends while the dialog opens: the framework gives it no parts any more
        typed = self.query_one("#typed", Entry)
        typed.display = False
        typed.cursor_blink = False
        typed.complete = self.complete
        self.set_focus(self.query_one("#said"))
        self.draw()
        self.begin()
        self.call_after_refresh(self.post_message, Listening(self))
        self.set_timer(LIVE_AFTER, self._listen_at_last)

    def _listen_at_last(self) -> None:
        """Hear keys in any case: a dialog that stays deaf could not even be left."""
        if not self._painted:
            self.app.post_message(Listening(self))

    def begin(self) -> None:
        """What a dialog does once its parts are there; overridden."""

    @property
    def is_painted(self) -> bool:
        """Whether it hears keys."""
        return self._painted

    def now_painted(self) -> None:
        """From here on every key is meant for the dialog; the app says so, in the order of the keys."""
        self._painted = True

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self._fit_body)

    def _fit_body(self) -> None:
        said = self.query_one("#said", LinesView)
        spare = 1 if self.query_one("#typed").display else 0
        said.styles.height = max(1, min(len(said.lines), self.size.height - CHROME - spare - 1))

    def draw(self, *, keep: bool = False) -> None:
        """Show what is now to be said."""
        self.query_one("#title", Bar).show(self.heading())
        self.query_one("#said", LinesView).show(self.body, keep=keep)
        self.query_one("#remark", Bar).show(self._remark)
        self._show_keys()
        self.call_after_refresh(self._fit_body)

    def _show_keys(self) -> None:
        """The keys that do something now; while a line is typed, letters are no keys."""
        keys = [*self.hints(), KeyHint(self.leave_keys, self.leaves, "leave")]
        if self._enters and self.is_asking:
            keys = [KeyHint("Enter", self._enters, "typed"), KeyHint("Esc", "back", "leave")]
        self.query_one(KeyLine).show(keys)

    def remark(self, text: str, role: Role = Role.WARN) -> None:
        """Say something in the line above the keys."""
        self._remark = (span(text, role),)
        if self.is_mounted:
            self.query_one("#remark", Bar).show(self._remark)

    # --- typing

    def ask(self, placeholder: str, value: str = "", *, enters: str = "") -> None:
        """Open the line for typing; `enters` says what Enter does then, where the dialog has other keys besides."""
        typed = self.query_one("#typed", Entry)
        typed.placeholder = placeholder
        typed.value = value
        typed.display = True
        self.set_focus(typed)
        self._enters = enters
        self._show_keys()
        self.call_after_refresh(self._fit_body)

    def stop_asking(self) -> None:
        typed = self.query_one("#typed", Entry)
        typed.display = False
        self.set_focus(self.query_one("#said"))
        self._show_keys()
        self.call_after_refresh(self._fit_body)

    @property
    def is_asking(self) -> bool:
        return bool(self.query_one("#typed").display)

    @property
    def typed(self) -> str:
        """What is in the line, without blanks at its ends."""
        return str(self.query_one("#typed", Entry).value).strip()

    def action_typed(self) -> None:
        """Enter in the line for typing; overridden."""

    # --- keys

    def heard(self, event: events.Key) -> bool:
        """A key, before any binding of it; True: it is used up."""
        return False

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self._painted

    def on_key_line_clicked(self, message: KeyLine.Clicked) -> None:
        message.stop()
        if self._painted:
            self.call_later(self.run_action, message.action)

    def action_list(self) -> None:
        """Show long lists whole, or sum them up again."""
        self.listed = not self.listed
        self.draw(keep=True)

    def list_hint(self, lines: int, of: int) -> Iterable[KeyHint]:
        """The key for the rest of a list, where there is a rest."""
        if lines < of:
            yield KeyHint("Tab", "sum up" if self.listed else "list all", "list")

    def action_leave(self) -> None:
        self.dismiss(None)


class Notice(Dialog[None]):
    """Something that a person should read: an error, notes, the log, the help."""

    def __init__(self, title: str, lines: Sequence[Line], *, copy: str = "", host: Host | None = None) -> None:
        super().__init__()
        self.title_text = title
        self._lines = lines
        self._copy = copy
        self._host = host

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c,y", "copy", "copy", show=False),
        Binding("q", "leave", "close", show=False),
    ]

    def body(self, width: int) -> Sequence[Line]:
        folded: list[Line] = []
        for said in self._lines:
            if sum(piece.cells for piece in said.spans) <= width or not said.spans:
                folded.append(said)
                continue
            head, last = said.spans[:-1], said.spans[-1]
            margin = sum(piece.cells for piece in head)
            for part in fold(last.text, width - margin):
                folded.append(Line((*head, span(part, last.role)), said.target, said.copy))
                head = (span(" " * margin),)
        return folded

    def hints(self) -> Iterable[KeyHint]:
        return [KeyHint("c", "copy", "copy")] if self._copy and self._host is not None else []

    def action_copy(self) -> None:
        if self._copy and self._host is not None:
            self._host.offer_copy("message", self._copy.split("\n"))


class Confirm(Dialog[bool]):
    """A question whose yes is a key of its own."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("Q", "yes", "yes", show=False)]
    leaves = "stay"

    def __init__(self, title: str, lines: Sequence[Line], yes: str) -> None:
        super().__init__()
        self.title_text = title
        self._lines = lines
        self._yes = yes

    def body(self, width: int) -> Sequence[Line]:
        return self._lines

    def hints(self) -> Iterable[KeyHint]:
        return [KeyHint("Q", self._yes, "yes")]

    def action_yes(self) -> None:
        self.dismiss(True)


class Choice:
    """One entry of a menu."""

    def __init__(self, letter: str, label: str, value: object, *, note: str = "") -> None:
        self.letter = letter
        self.label = label
        self.value = value
        self.note = note


class Menu(Dialog[object]):
    """Entries to choose from, by their letter or with the cursor and Enter."""

    leaves = "back"
    leave_keys = "Esc"

    def __init__(self, title: str, choices: Sequence[Choice]) -> None:
        super().__init__()
        self.title_text = title
        self._choices = choices

    def body(self, width: int) -> Sequence[Line]:
        return [
            Line(
                (span(f" {choice.letter} ", Role.KEY), span(f" {choice.label}"), span(f"  {choice.note}", Role.FAINT)),
                target=choice,
            )
            for choice in self._choices
        ]

    def hints(self) -> Iterable[KeyHint]:
        return [KeyHint("Enter", "choose", "choose")]

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "choose", "choose", show=False)]

    def action_choose(self) -> None:
        current = self.query_one("#said", LinesView).current
        if current is not None and isinstance(current.target, Choice):
            self.dismiss(current.target.value)

    def heard(self, event: events.Key) -> bool:
        for choice in self._choices:
            if event.character == choice.letter:
                self.dismiss(choice.value)
                return True
        return False

    def on_lines_view_picked(self, message: LinesView.Picked) -> None:
        message.stop()
        if isinstance(message.target, Choice):
            self.dismiss(message.target.value)


class Ask(Dialog[str]):
    """One line to be typed; Enter gives it, Esc takes it back."""

    leaves = "back"
    leave_keys = "Esc"
    is_for_typing = True

    def __init__(self, title: str, placeholder: str, lines: Sequence[Line] = (), *, word: str = "") -> None:
        super().__init__()
        self.title_text = title
        self._placeholder = placeholder
        self._lines = lines
        self._word = word
        """The only text that is taken; empty: any."""

    def body(self, width: int) -> Sequence[Line]:
        return self._lines

    def hints(self) -> Iterable[KeyHint]:
        return [KeyHint("Enter", "go", "go")]

    def begin(self) -> None:
        self.ask(self._placeholder)

    def action_typed(self) -> None:
        self.action_go()

    def action_go(self) -> None:
        text = self.typed
        if self._word and text != self._word:
            self.remark(f"type {self._word}, or Esc")
            return
        self.dismiss(text or None)
