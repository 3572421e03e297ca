"""The journal of a store: what was changed, and what can still be taken back."""

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, NamedTuple

from textual.binding import Binding, BindingType

from orlop.errors import OrlopError
from orlop_tui import format as words
from orlop_tui.messages import PastChange, Previewed
from orlop_tui.screens.changing import MOST_STEPS, described, whether
from orlop_tui.screens.dialog import Dialog, Host
from orlop_tui.screens.stores import OpenStore
from orlop_tui.widgets.keyline import KeyHint
from orlop_tui.widgets.lines import BLANK, Line, LinesView, Role, Span, fit, labelled, line, span


class Wish(NamedTuple):
    """What a person wants done with a change of the journal."""

    what: str
    """``undo``, ``finish``, ``purge``, ``purge all``"""
    changes: tuple[PastChange, ...]


_ROLES = {"done": Role.PLAIN, "unfinished": Role.WARN, "undone": Role.FAINT, "purged": Role.FAINT}


_SETTLED = {
    "undone": "it was taken back already",
    "rolled back": "it failed, and was taken back at once",
    "purged": "its quarantine was emptied: there is no way back",
    "damaged": "its record cannot be read",
}


def _no_undo(change: PastChange) -> str:
    """Why a change cannot be taken back; empty where it can."""
    if change.state == "unfinished":
        return "it was cut off: f completes it or takes it back"
    return _SETTLED.get(change.state, "")


def _no_finish(change: PastChange) -> str:
    """Why there is nothing of a change to be completed; empty where there is."""
    return "" if change.state == "unfinished" else _SETTLED.get(change.state, "it was not cut off")


def _no_purge(change: PastChange) -> str:
    """Why the quarantine of a change cannot be emptied; empty where it can."""
    if change.state == "unfinished":
        return "it was cut off: f completes it or takes it back"
    if change.state == "damaged":
        return _SETTLED["damaged"]
    return "" if change.bytes else "its quarantine is empty"


class JournalDialog(Dialog[Wish]):
    """The changes, newest first; a change under the cursor is spelled out below them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u", "undo", "undo this change", show=False),
        Binding("f", "finish", "complete it", show=False),
        Binding("e", "purge", "empty its quarantine", show=False),
        Binding("E", "purge_all", "empty the whole quarantine", show=False),
        Binding("c,y", "copy", "copy this change", show=False),
        Binding("q", "leave", "close", show=False),
    ]
    leaves = "back"

    def __init__(self, store: OpenStore, changes: Sequence[PastChange], host: Host) -> None:
        super().__init__()
        self.store = store
        self.host = host
        self.changes = tuple(reversed(changes))
        self._answer: tuple[PastChange, OrlopError | None] | None = None
        """Whether the change under the cursor can be taken back."""
        self._previewed: PastChange | None = None

    def heading(self) -> tuple[Span, ...]:
        held = sum(change.bytes for change in self.changes)
        text = f"Journal of {self.store.label}: {words.count(len(self.changes), 'change')}"
        return (span(text, Role.HEADING), span(f", {words.size(held)} in quarantine"))

    def hints(self) -> Iterable[KeyHint]:
        chosen = self._chosen()
        if chosen is not None:
            keys = (("u", "undo", "undo"), ("f", "complete", "finish"), ("e", "empty this", "purge"))
            for (key, label, action), why_not in zip(keys, (_no_undo, _no_finish, _no_purge), strict=True):
                if not why_not(chosen):
                    yield KeyHint(key, label, action)
        if any(not _no_purge(change) for change in self.changes):
            yield KeyHint("E", "empty all", "purge_all")
        if chosen is not None:
            yield KeyHint("c", "copy", "copy")
        yield from self.list_hint(MOST_STEPS, len(chosen.lines) if chosen is not None else 0)

    def body(self, width: int) -> Sequence[Line]:
        if not self.changes:
            return [line(span("nothing was changed with Orlop in this store yet", Role.FAINT))]
        lines = [self._line(change, width) for change in self.changes]
        chosen = self._chosen()
        if chosen is not None:
            lines += [BLANK, *described(chosen, width, listed=self.listed)]
            if reason := _no_undo(chosen):
                lines += labelled("Undo", reason, width, role=Role.FAINT)
            else:
                known = self._answer if self._answer is not None and self._answer[0] is chosen else None
                lines += whether(known, width)
        return lines

    def begin(self) -> None:
        self._preview()

    def _preview(self) -> None:
        """Ask about the change under the cursor, once."""
        chosen = self._chosen()
        if chosen is not None and chosen is not self._previewed and not _no_undo(chosen):
            self._previewed = chosen
            self.host.preview(self.store.index, chosen.id)

    def previewed(self, message: Previewed) -> None:
        """Whether the change under the cursor can be taken back is known."""
        chosen = self._previewed
        if chosen is not None and (message.index, message.change) == (self.store.index, chosen.id):
            self._answer = (chosen, message.problem)
            self.draw(keep=True)

    def _line(self, change: PastChange, width: int) -> Line:
        head = f"{words.moment(change.at)}  {fit(change.state, 10)}  {fit(words.size(change.bytes), 8, right=True)}  "
        role = _ROLES.get(change.state, Role.PLAIN)
        return line(span(head, role), span(words.shortened(change.action), role), target=change)

    def _chosen(self) -> PastChange | None:
        current = self.query_one("#said", LinesView).current if self.is_mounted else None
        if current is not None and isinstance(current.target, PastChange):
            return current.target
        return self.changes[0] if self.changes else None

    def on_lines_view_moved(self, message: LinesView.Moved) -> None:
        message.stop()
        self.remark("")
        self._preview()
        self.draw(keep=True)

    def action_copy(self) -> None:
        chosen = self._chosen()
        if chosen is not None:
            head = f"{chosen.id}  {words.moment(chosen.at)}  {chosen.state}  {chosen.action}"
            self.host.offer_copy("change", (head, *chosen.lines))

    def action_undo(self) -> None:
        self._give("undo", _no_undo)

    def action_finish(self) -> None:
        self._give("finish", _no_finish)

    def action_purge(self) -> None:
        self._give("purge", _no_purge)

    def _give(self, what: str, why_not: Callable[[PastChange], str]) -> None:
        chosen = self._chosen()
        if chosen is None:
            self.remark("there is no change")
        elif reason := why_not(chosen):
            self.remark(reason)
        else:
            self.dismiss(Wish(what, (chosen,)))

    def action_purge_all(self) -> None:
        held = tuple(change for change in self.changes if not _no_purge(change))
        if held:
            self.dismiss(Wish("purge", held))
        else:
            self.remark("the quarantine is empty")
