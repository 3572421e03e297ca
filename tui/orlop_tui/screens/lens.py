"""What a digest, id, name or folder is in the open stores, what else it is known as, and who needs it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, NamedTuple

from textual.binding import Binding, BindingType

from orlop.records import Holding, Key, Link, Why
from orlop.text import visible
from orlop_tui import format as words
from orlop_tui.messages import Explained, Explanation
from orlop_tui.screens.dialog import Dialog, Host
from orlop_tui.screens.stores import OpenStore
from orlop_tui.widgets.keyline import KeyHint
from orlop_tui.widgets.lines import BLANK, Line, LinesView, Role, Spans, fold, labelled, line, span

_ARROW = " > "
_IDENTITY = re.compile(r"(?:sha(?:256|384|512)[:-])?[0-9a-f]{64,128}", re.ASCII)


class There(NamedTuple):
    """A row to go to."""

    store: int
    """Counted as the gateway does."""
    key: Key
    seek: tuple[str, ...] = ()
    """What the line in its panes has that is meant; none: the row itself."""


class Look(NamedTuple):
    """Another thing to look up."""

    text: str


class Narrow(NamedTuple):
    """A filter that shows all images that need the thing."""

    store: int
    filter: str


Wish = There | Look | Narrow


class LensDialog(Dialog[Wish]):
    """The answer of each store; Enter goes to the line's row, or looks up what the line says."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "go", "go there", show=False),
        Binding("y,c", "copy", "copy the line", show=False),
        Binding("slash", "narrow", "show all that need it in the list", show=False),
        Binding("minus,q", "leave", "close", show=False),
    ]
    leaves = "back"
    leave_keys = "Esc"

    def __init__(
        self, stores: Sequence[OpenStore], current: int, message: Explained, host: Host, *, users: bool = False
    ) -> None:
        super().__init__()
        self.stores = stores
        self.host = host
        self.text = message.text
        self._users = users
        """Whether who needs it comes first, rather than what it is."""
        self._answers = sorted(message.answers, key=lambda answer: (answer.why is None, answer.index != current))
        self._rows: dict[int, Mapping[str, Sequence[Key]]] = {}

    def heading(self) -> Spans:
        title = "Who uses" if self._users else "What is"
        found = next((answer.why for answer in self._answers if answer.why is not None), None)
        return (span(f"{title} {words.shortened(found.subject if found is not None else self.text)}", Role.HEADING),)

    def begin(self) -> None:
        if not any(answer.why is not None for answer in self._answers):
            self.remark("no open store knows it")

    def hints(self) -> Iterable[KeyHint]:
        target = self._target
        if isinstance(target, There):
            yield KeyHint("Enter", "go there", "go")
        elif isinstance(target, Look):
            yield KeyHint("Enter", "look that up", "go")
        yield KeyHint("y", "copy line", "copy")
        if self._narrowing is not None:
            yield KeyHint("/", "all in the list", "narrow")

    def body(self, width: int) -> Sequence[Line]:
        lines: list[Line] = []
        for answer in self._answers:
            if lines:
                lines.append(BLANK)
            lines += self._store(answer, width)
        return lines

    # --- one store

    def _store(self, answer: Explanation, width: int) -> Iterable[Line]:
        store = self.stores[answer.index]
        where = f"{store.label}  {store.snapshot.identity.path}"
        if answer.why is None:
            said = f"{where}: " + (str(answer.error) if answer.error is not None else "knows nothing of it")
            for part in fold(visible(said), width):
                yield line(span(part, Role.FAINT if answer.error is None else Role.WARN))
            if answer.error is not None:
                yield from labelled("", getattr(answer.error, "why", ""), width, role=Role.FAINT)
            return
        why = answer.why
        yield line(span(where, Role.LABEL))
        identity, kept = self._identity(answer.index, why, width), self._kept(answer.index, why, width)
        yield from (*kept, *identity) if self._users else (*identity, *kept)

    def _identity(self, index: int, why: Why, width: int) -> Iterable[Line]:
        for number, text in enumerate(why.is_a):
            yield from labelled("It is" if number == 0 else "and", text, width, role=Role.STRONG)
        here = self._row(index, Key("", why.subject, why.subject))
        target = There(index, here) if here is not None else None
        for line_ in labelled("Subject", why.subject, width):
            yield Line(line_.spans, target, why.subject)
            target = None
        for name, value in why.related.items():
            for text in value.split(", "):
                for number, line_ in enumerate(labelled(name.capitalize(), text, width, margin=15)):
                    yield Line(line_.spans, self._sibling(index, text, why) if number == 0 else None, text)

    def _sibling(self, index: int, text: str, why: Why) -> Wish | None:
        """Where another identity leads: a row that has it, else what it is itself."""
        if text == why.subject:
            return None
        found = self._row(index, Key("", text, text))
        if found is not None:
            return There(index, found)
        return Look(text) if _is_identity(text) else None

    def _kept(self, index: int, why: Why, width: int) -> Iterable[Line]:
        if not why.kept_by and not why.judged:
            yield from labelled("", why.remark, width, role=Role.FAINT, margin=11)
            return
        if not why.kept_by:
            yield from labelled("Needed by", why.remark or "nothing", width, role=Role.WARN, margin=11)
            return
        label = "Needed by"
        for chain in why.kept_by:
            first = self._first_row(index, chain)
            target = There(index, first, _seek(why)) if first is not None else None
            text = _ARROW.join(words.shortened(link.what) for link in _told(chain, why.subject))
            for line_ in labelled(label, text, width, margin=11):
                yield Line(line_.spans, target, chain[0].what.partition(" ")[2])
                target = None
            label = ""
        if why.remark:
            yield from labelled("", why.remark, width, role=Role.FAINT, margin=11)

    # --- rows

    def _first_row(self, index: int, chain: Sequence[Link]) -> Key | None:
        """The row that a chain of references goes through first: a name before its image."""
        found = (self._row(index, link.key) for link in chain if link.key is not None)
        return next((key for key in found if key is not None), None)

    def _row(self, index: int, key: Key) -> Key | None:
        """The row that has this name, else the first one with this id, in the same scope where there is one."""
        if index not in self._rows:
            found: dict[str, list[Key]] = {}
            for row in self.stores[index].snapshot.rows:
                found.setdefault(row.key.id, []).append(row.key)
                if row.key.name is not None:
                    found.setdefault(row.key.name, []).append(row.key)
            self._rows[index] = found
        rows = self._rows[index]
        same = [known for known in rows.get(key.id, ()) if not key.scope or known.scope == key.scope]
        named = [known for known in same if known.name == key.name] or list(rows.get(key.name or "", ()))
        return next(iter(named or same), None)

    # --- keys

    def _fit_body(self) -> None:
        super()._fit_body()
        self._show_keys()  # the line under the cursor is known once there is a width

    @property
    def _target(self) -> object | None:
        current = self.query_one("#said", LinesView).current if self.is_mounted else None
        return current.target if current is not None else None

    def on_lines_view_moved(self, message: LinesView.Moved) -> None:
        message.stop()
        self._show_keys()

    def on_lines_view_picked(self, message: LinesView.Picked) -> None:
        message.stop()
        self.action_go()

    @property
    def _narrowing(self) -> Narrow | None:
        """The filter for all images that need it, in the first store that knows it."""
        answer = next((answer for answer in self._answers if answer.why is not None), None)
        if answer is None or answer.why is None or not _is_identity(answer.why.subject):
            return None
        return Narrow(answer.index, f"{Holding.DIGEST}:{answer.why.subject}")

    def action_go(self) -> None:
        target = self._target
        if isinstance(target, There | Look):
            self.dismiss(target)
        else:
            self.remark("this line leads to no row")

    def action_narrow(self) -> None:
        if self._narrowing is not None:
            self.dismiss(self._narrowing)

    def action_copy(self) -> None:
        current = self.query_one("#said", LinesView).current
        text = current.copy if current is not None and current.copy else self.text
        self.host.offer_copy("line", text)


def _is_identity(text: str) -> bool:
    """Whether a text is a digest, a key, or the whole hex of one."""
    return _IDENTITY.fullmatch(text) is not None


def _told(chain: Sequence[Link], subject: str) -> Sequence[Link]:
    """The steps of a chain that say more than what was asked for."""
    told = [link for link in chain if not link.what.endswith(subject)]
    return told or chain


def _seek(why: Why) -> tuple[str, ...]:
    """Texts by which the line about a thing is known in the panes of a row; none where it is the row itself."""
    if any(text == "image" or text.startswith(("image ", "manifest", "name of", "tag of")) for text in why.is_a):
        return ()
    return (why.subject, *(text for value in why.related.values() for text in value.split(", ") if _is_identity(text)))
