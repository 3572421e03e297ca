"""Dialogs that come before a change: the plan, the new name, undo, purge, a change that was cut off.

None of them changes anything by itself. Each gives back what the person chose
with a key of its own, never with the key that opened it and never with Enter.
"""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input

from orlop import reference
from orlop.errors import Malformed, OrlopError
from orlop.intent import Clean, Intent, Repair
from orlop.plan import Plan
from orlop.records import Row
from orlop.text import masked
from orlop_tui import format as words
from orlop_tui.messages import PastChange, Previewed
from orlop_tui.screens.dialog import Dialog, Host
from orlop_tui.screens.stores import OpenStore
from orlop_tui.widgets.completing import of_name
from orlop_tui.widgets.entry import Entry
from orlop_tui.widgets.keyline import KeyHint
from orlop_tui.widgets.kindwords import engine_words
from orlop_tui.widgets.lines import BLANK, Line, Role, Spans, labelled, line, span

_MOST_NAMES = 6
"""Names of an image that the tag dialog shows."""

_MOST_HIDDEN = 5
"""Hidden rows that a plan names."""

_HOST = "registry.invalid"
"""Stands before a registry's own names where they are judged; no host has this name (RFC 2606)."""

_LOCKED = "writing is locked: ! unlocks it"


class Change(Dialog[str]):
    """A change that is shown and waits for its key; `D` gives back ``apply``."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("D", "apply", "do it", show=False),
        Binding("exclamation_mark", "lock", "unlock or lock writing", show=False),
    ]

    leaves = "keep everything"
    does = "do it"
    """What `D` does."""

    def __init__(self, store: OpenStore, host: Host) -> None:
        super().__init__()
        self.store = store
        self.host = host

    def hints(self) -> Iterable[KeyHint]:
        allowed = not self.why_not()
        yield KeyHint("D", self.does, "apply", allowed)
        if not self.store.unlocked:
            yield KeyHint("!", "unlock", "lock")

    def why_not(self) -> str:
        """Why `D` would do nothing now; empty where it would."""
        return "" if self.store.unlocked else _LOCKED

    def store_altered(self) -> None:
        """The store was unlocked or locked."""
        self._remark = ()
        self.draw(keep=True)

    def action_lock(self) -> None:
        self.host.lock_or_unlock(self.store.index)

    def action_apply(self) -> None:
        if reason := self.why_not():
            self.remark(reason)
            return
        self.consented()

    def consented(self) -> None:
        """`D` was pressed and may be followed."""
        self.dismiss("apply")

    def action_leave(self) -> None:
        if self.is_asking:
            self.stop_asking()
            self.remark("")
        else:
            self.dismiss(None)


class PlanDialog(Change):
    """A plan whole: what goes, what stays and why, the bytes, what it rests on, its command."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "save", "save the plan as JSON", show=False),
        Binding("p", "again", "plan again", show=False),
        Binding("x", "guess", "what is likely too, or what is proved only", show=False),
        Binding("c,y", "copy", "copy the command", show=False),
        Binding("h", "hidden", "marked rows that are hidden too", show=False),
        *(Binding(f"{n}", f"tick({n})", "with this part, or without it", show=False) for n in range(1, 10)),
    ]

    def __init__(
        self,
        store: OpenStore,
        host: Host,
        plan: Plan,
        *,
        left_out: int = 0,
        hidden: Sequence[str] = (),
        remarks: Sequence[str] = (),
    ) -> None:
        super().__init__(store, host)
        self.plan = plan
        self._parts = plan.parts
        """All that the plan could be made of."""
        self._hidden = tuple(hidden)
        """Names of marked rows that are left out because they are hidden."""
        self._widens = False
        self.is_saved = False
        """Whether it is in a file, and may be applied from there."""
        self._remarks = tuple(remarks)
        self._left_out = left_out
        self._seen_at = store.snapshot.seen_at
        self._changed = False
        self._saving = False
        self._planning: Intent | None = None
        """What is being planned in place of what is shown; None: nothing."""

    does = "apply"

    def heading(self) -> Spans:
        action = words.shortened(self.plan.action)
        return (span(action[:1].upper() + action[1:], Role.HEADING),)

    def hints(self) -> Iterable[KeyHint]:
        if self._changed:
            yield KeyHint("p", "plan again", "again")
        else:
            yield from super().hints()
        if self._is_repair:
            yield KeyHint("x", "proved only" if self._guesses else "guess too", "guess")
        if self._left_out:
            yield KeyHint("h", "hidden too", "hidden")
        if len(self._parts) > 1:
            yield KeyHint(f"1-{min(len(self._parts), 9)}", "tick parts", "tick(1)")
        yield KeyHint("s", "save", "save")
        yield KeyHint("c", "copy command", "copy")
        short = words.plan_lines(self.plan, listed=False)
        yield from self.list_hint(len(short), len(words.plan_lines(self.plan)))

    def body(self, width: int) -> Sequence[Line]:
        lines = list(labelled("Space", words.plan_space(self.plan), width, role=Role.STRONG))
        if not self.plan.steps:
            lines += labelled("Steps", "none: nothing has to be changed", width, role=Role.GOOD)
        if isinstance(self.plan.intent, Clean):
            since = f"what changed after {words.moment(self.plan.intent.before)} stays; Esc, c, a: another age"
            lines += labelled("Age", since, width, role=Role.PLAIN)
        lines += self._ticks(width)
        for word, text in words.plan_lines(self.plan, full=False, listed=self.listed):
            lines += labelled(word, text, width)
        for text in self._remarks:
            lines += labelled("Learned", text, width)
        if self._is_repair:
            tick = "[x] what is likely and cannot be proved is done too"
            lines += labelled("Guess", tick if self._guesses else "[ ] only what can be proved", width)
        if self._left_out:
            rows = words.count(self._left_out, "marked row")
            named = f": {', '.join(self._hidden[:_MOST_HIDDEN])}" if self._hidden else ""
            more = f" and {len(self._hidden) - _MOST_HIDDEN} more" if len(self._hidden) > _MOST_HIDDEN else ""
            said = f"{rows} hidden by the filter{named}{more}; h includes them"
            lines += labelled("Left out", said, width, role=Role.WARN)
        lines += labelled("Basis", self._basis(), width, role=Role.WARN if self._changed else Role.PLAIN)
        lines.append(BLANK)
        for command in self._command().splitlines():  # copied whole
            lines += labelled("Command", masked("", command), width, role=Role.FAINT)
        return lines

    def _ticks(self, width: int) -> Iterable[Line]:
        """The parts that a person can choose among, with what each frees."""
        if len(self._parts) < 2 or not isinstance(self.plan.intent, Clean):
            return
        label = "Parts"
        for number, part in enumerate(self._parts[:9], 1):
            tick = "x" if self.plan.intent.wants(part.name) else " "
            said = words.PART_WORDS.get(part.name, part.name)
            text = f"{number} [{tick}] {words.size(part.bytes):>8}  {part.things} {said}"
            yield from labelled(label, text, width)
            label = ""

    @property
    def _is_repair(self) -> bool:
        return isinstance(self.plan.intent, Repair)

    @property
    def _guesses(self) -> bool:
        return isinstance(self.plan.intent, Repair) and self.plan.intent.guess

    def _basis(self) -> str:
        snapshot = self.store.snapshot
        engine = engine_words(snapshot)
        state = "and CHANGED since: nothing can be applied" if self._changed else "unchanged since"
        return f"{self.store.label} seen {words.moment(self._seen_at)}, {state}; {engine}"

    def _command(self) -> str:
        return self.store.command(self.plan.intent)

    def store_changed(self) -> None:
        """Somebody changed the store while the plan was being read."""
        self._changed = True
        self.stop_asking()
        self.draw(keep=True)
        self.remark("the store changed under this plan: p plans again")

    @property
    def is_planning(self) -> bool:
        """Whether another plan was asked for, and did not come yet."""
        return self._planning is not None

    def plan_failed(self) -> None:
        """The other plan does not come."""
        if self.is_planning:
            self._planning, self._widens = None, False
            self.draw(keep=True)
            self.remark("it could not be planned anew: this is the plan of before")

    def planned_again(self, plan: Plan) -> None:
        """Show a newer plan in place of the old one; what was typed for that counts no more."""
        same = plan.fingerprint == self.plan.fingerprint
        self._planning = None
        self.stop_asking()
        self.plan = plan
        if isinstance(plan.intent, Clean) and plan.intent.only is None:
            self._parts = plan.parts
        if self._widens:
            self._widens, self._left_out = False, 0
        self._changed = False
        self._seen_at = self.store.snapshot.seen_at
        self.draw()
        self.remark("planned again: the same steps" if same else "planned again: the steps differ, read them")

    def why_not(self) -> str:
        if self.is_planning:
            return "it is still being planned: wait until it is shown"
        if not self.plan.steps:
            return "nothing has to be changed: there is nothing to apply"
        return "the store changed under this plan: p plans again" if self._changed else super().why_not()

    def consented(self) -> None:
        if not self._consent:
            self.dismiss("apply")
            return
        self._saving = False
        if self.plan.weighty:
            means = "this is a weighty change"
            number, noun = words.weight(self.plan)
            asked = f"{number} = the number of {noun}s that go"
        else:
            means, asked = "some of this is likely, and cannot be proved", "guess = do what is likely too"
        self.remark(f"{means}: type {self._consent} and Enter to apply it")
        self.ask(asked, enters="apply")

    @property
    def _consent(self) -> str:
        """What must be typed before the plan is done; empty where nothing."""
        if self.plan.weighty:
            return str(words.weight(self.plan)[0])
        return "guess" if self._guesses else ""

    def action_again(self) -> None:
        if self._changed:
            self.plan_anew(self._intent)

    @property
    def _intent(self) -> Intent:
        """What is planned, or is about to be."""
        return self.plan.intent if self._planning is None else self._planning

    def plan_anew(self, intent: Intent) -> None:
        """Have another plan made; what is shown cannot be done until that came."""
        self._planning = intent
        self.draw(keep=True)
        self.remark("planning …", Role.FAINT)
        self.host.plan_again(self.store.index, intent)

    def action_guess(self) -> None:
        """With what is likely, or without it again: another plan."""
        intent = self._intent
        if isinstance(intent, Repair):
            self.plan_anew(replace(intent, guess=not intent.guess))

    def action_hidden(self) -> None:
        """The same plan about all marked rows."""
        if self._left_out:
            self._widens, self._planning = True, self.plan.intent
            self.remark("planning …", Role.FAINT)
            self.host.plan_with_hidden(self.store.index, self.plan.intent)

    def action_tick(self, number: int) -> None:
        """With a part of the plan, or without it: another plan."""
        intent = self._intent
        if not isinstance(intent, Clean) or not 1 < len(self._parts) >= number:
            return
        name = self._parts[number - 1].name
        wanted = [part.name for part in self._parts if intent.wants(part.name) is not (part.name == name)]
        everything = len(wanted) == len(self._parts)
        self.plan_anew(replace(intent, only=None if everything else tuple(wanted)))

    def action_copy(self) -> None:
        self.host.offer_copy("command", self._command())

    def action_save(self) -> None:
        self._saving = True
        self.remark("a new file for the plan; `orlop apply` takes it", Role.FAINT)
        self.ask("file", f"orlop-plan-{self.plan.fingerprint[7:15]}.json", enters="save")

    def action_typed(self) -> None:
        text = self.typed
        if self._saving:
            if text:
                self.host.save_plan(self.plan, os.path.expanduser(text))
                self.is_saved = True
                self.stop_asking()
                self.remark("")
        elif text and text == self._consent and not self.why_not():
            self.dismiss("apply")
        else:
            self.remark(self.why_not() or f"that is not {self._consent}; Esc keeps everything")


class TagDialog(Dialog[str]):
    """One name for an image, judged while it is typed; Enter asks for the plan and changes nothing."""

    leaves = "back"
    leave_keys = "Esc"
    is_for_typing = True

    def __init__(self, store: OpenStore, row: Row) -> None:
        super().__init__()
        self.store = store
        self.row = row
        self._names = {shown.key.name: shown for shown in store.snapshot.rows if shown.key.name is not None}

    def heading(self) -> Spans:
        return (span(f"Tag {self.store.words.noun} {words.short(self.row.key.id)}", Role.HEADING),)

    def hints(self) -> Iterable[KeyHint]:
        return [KeyHint("Enter", "show the plan", "go"), KeyHint("Tab", "complete", "list")]

    def body(self, width: int) -> Sequence[Line]:
        lines = list(labelled(self.store.words.image, self.row.key.id, width))
        own = [name for name, row in self._names.items() if self._is_own(row) and "@" not in name]
        label = "Tags"
        for name in own[:_MOST_NAMES] or [words.NO_NAME]:
            lines += labelled(label, name, width)
            label = ""
        if len(own) > _MOST_NAMES:
            lines += labelled("", f"and {len(own) - _MOST_NAMES} more", width, role=Role.FAINT)
        lines += labelled("New name", "repository[:tag]; without a tag it is latest", width, role=Role.FAINT)
        return lines

    def _other_names(self, row: Row) -> bool:
        """Whether the image of a row has another name besides."""
        return any(other.key != row.key and other.key[:2] == row.key[:2] for other in self._names.values())

    def _is_own(self, row: Row) -> bool:
        return row.key[:2] == self.row.key[:2]

    def begin(self) -> None:
        scope = self.row.key.scope
        self.query_one("#typed", Entry).complete = lambda text: of_name(text, self.store.names, scope)
        self.ask("name:tag", f"{scope}:" if scope else "")

    def on_input_changed(self, message: Input.Changed) -> None:
        message.stop()
        self._judge(self.typed)

    def _judge(self, text: str) -> str | None:
        """Say what the name would do; the whole name where it would do something."""
        if not text:
            self.remark("")
            return None
        try:
            name = self._whole(text)
        except Malformed as error:
            self.remark(error.why)
            return None
        there = self._names.get(name)
        if there is None:
            self.remark(f"{name} is new", Role.GOOD)
        elif self._is_own(there):
            self.remark(f"{name} is a name of this {self.store.words.noun} already")
            return None
        else:
            moved = f"moves {name} from {words.short(there.key.id)} to {words.short(self.row.key.id)}"
            last = "" if self._other_names(there) else ", which loses its last name"
            self.remark(f"{moved}{last}; z undoes")
        return name

    def _whole(self, text: str) -> str:
        """The name with its tag, as the store would list it.

        A registry's names have no host, and mean just what they say: read below a host, none is taken for one.

        Raises:
            Malformed: it is no name.
        """
        if not self.row.key.scope:
            return reference.with_default_tag(reference.parse(text)).familiar
        if "@" in text:
            raise Malformed("a manifest is known by its digest already: give a name")
        found = reference.with_default_tag(reference.parse(f"{_HOST}/{text}"))
        return f"{found.path}:{found.tag}"

    def action_typed(self) -> None:
        self.action_go()

    def action_go(self) -> None:
        name = self._judge(self.typed)
        if name is not None:
            self.dismiss(name)


class UndoDialog(Change):
    """What an undo would bring back, and whether it still can."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("c,y", "copy", "copy the command", show=False)]
    does = "undo it"

    def __init__(self, store: OpenStore, host: Host, change: PastChange) -> None:
        super().__init__(store, host)
        self.change = change
        self._answer: tuple[PastChange, OrlopError | None] | None = None

    def begin(self) -> None:
        self.host.preview(self.store.index, self.change.id)

    def previewed(self, message: Previewed) -> None:
        """Whether it can be taken back is known."""
        if message.index == self.store.index and message.change == self.change.id:
            self._answer = (self.change, message.problem)
            self.draw(keep=True)

    def heading(self) -> Spans:
        return (span(f"Undo: {words.shortened(self.change.action)}", Role.HEADING),)

    def hints(self) -> Iterable[KeyHint]:
        yield from super().hints()
        yield KeyHint("c", "copy command", "copy")
        yield from self.list_hint(MOST_STEPS, len(self.change.back))

    def why_not(self) -> str:
        problem = self._answer[1] if self._answer is not None else None
        return super().why_not() if problem is None else f"it can not be taken back: {problem}"

    def body(self, width: int) -> Sequence[Line]:
        lines = list(described(self.change, width, listed=self.listed, back=True))
        lines += whether(self._answer, width)
        lines.append(BLANK)
        lines += labelled("Command", self._command(), width, role=Role.FAINT)
        return lines

    def _command(self) -> str:
        return words.shell(["orlop", "undo", self.store.path, self.change.id])

    def action_copy(self) -> None:
        self.host.offer_copy("command", self._command())


class PurgeDialog(Change):
    """What emptying the quarantine frees and makes final; the word must be typed."""

    does = "empty it for good"

    def __init__(self, store: OpenStore, host: Host, changes: Sequence[PastChange]) -> None:
        super().__init__(store, host)
        self.changes = changes

    def heading(self) -> Spans:
        total = words.size(sum(change.bytes for change in self.changes))
        return (span(f"Empty the quarantine of {words.count(len(self.changes), 'change')}: {total}", Role.HEADING),)

    def body(self, width: int) -> Sequence[Line]:
        lines = [line(span("These can not be undone afterwards:", Role.WARN))]
        for change in self.changes:
            lines += labelled(words.size(change.bytes), words.shortened(change.action), width, margin=10)
        lines.append(BLANK)
        command = words.shell(["orlop", "purge", self.store.path, *(change.id for change in self.changes)])
        lines += labelled("Command", command, width, role=Role.FAINT)
        return lines

    def consented(self) -> None:
        self.remark("type purge and Enter")
        self.ask("purge", enters=self.does)

    def action_typed(self) -> None:
        if self.typed == "purge" and not self.why_not():
            self.dismiss("apply")
        else:
            self.remark(self.why_not() or "that is not purge; Esc keeps everything")


class UnfinishedDialog(Change):
    """A change that was cut off: it is completed, taken back, or left for later."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("F", "finish", "complete it", show=False),
        Binding("U", "undo", "take it back", show=False),
    ]
    leaves = "leave it"

    def __init__(self, store: OpenStore, host: Host, change: PastChange) -> None:
        super().__init__(store, host)
        self.change = change

    def heading(self) -> Spans:
        return (span("A change was cut off before its end", Role.HEADING),)

    def hints(self) -> Iterable[KeyHint]:
        allowed = not self.why_not()
        yield KeyHint("F", "complete it", "finish", allowed)
        yield KeyHint("U", "take it back", "undo", allowed)
        if not self.store.unlocked:
            yield KeyHint("!", "unlock", "lock")
        yield from self.list_hint(MOST_STEPS, len(self.change.lines))

    def body(self, width: int) -> Sequence[Line]:
        lines = list(described(self.change, width, listed=self.listed))
        lines.append(BLANK)
        lines += labelled("Left", "nothing is lost: every object is old or new", width)
        lines += labelled("", "until then no other change of this store is possible", width)
        command = words.shell(["orlop", "apply", self.store.path, "--finish"])
        lines += labelled("Command", command, width, role=Role.FAINT)
        return lines

    def consented(self) -> None:
        self.remark("F completes it, U takes it back")

    def action_finish(self) -> None:
        self._choose("finish")

    def action_undo(self) -> None:
        self._choose("undo")

    def _choose(self, what: str) -> None:
        if reason := self.why_not():
            self.remark(reason)
        else:
            self.dismiss(what)


MOST_STEPS = 4
"""Steps of a past change that are shown unasked."""

_HEX_NAME = re.compile(r"(?<![0-9a-f])([0-9a-f]{12})[0-9a-f]{52}(?![0-9a-f])", re.ASCII)


def whether(answer: tuple[PastChange, OrlopError | None] | None, width: int) -> Iterable[Line]:
    """Whether a change can be taken back now, and why not."""
    if answer is None:
        yield from labelled("Undo", "looking whether it can be taken back …", width, role=Role.FAINT)
        return
    problem = answer[1]
    if problem is None:
        yield from labelled("Undo", "all of it is still in the quarantine, and nothing is in its way", width)
        return
    for label, (_, text) in zip(("Undo", *[""] * 9), words.words(problem), strict=False):
        yield from labelled(label, text, width, role=Role.WARN)


def described(change: PastChange, width: int, *, listed: bool = False, back: bool = False) -> Iterable[Line]:
    """A change of the journal as lines: what it was and holds, then its steps, the first few or all.

    Args:
        change: the change.
        width: in cells.
        listed: whether all steps are shown.
        back: whether the steps are those of taking it back.
    """
    yield from labelled("Change", words.shortened(change.action), width)
    yield from labelled("Holds", f"{words.both_sizes(change.bytes)} in quarantine", width)
    by = f" by {change.by}" if change.by else ""
    yield from labelled("When", f"{words.moment(change.at)}{by}, {change.state}", width)
    label = "Back" if back else "Steps"
    steps = change.back if back else change.lines
    shown = steps if listed else steps[:MOST_STEPS]
    for text in shown:
        short = _HEX_NAME.sub(lambda found: f"{found[1]}…", text)
        for part in labelled(label, short, width):
            yield replace(part, copy=text)
        label = ""
    if len(shown) < len(steps):
        yield from labelled("", f"and {words.count(len(steps) - len(shown), 'more step')}", width)
