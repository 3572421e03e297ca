"""Dialogs that find out what is wanted before there is a plan: what to clean up, what to fetch, what to put right.

None of them changes a store; Enter leads on to a plan, which changes nothing either.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar

from textual.binding import Binding, BindingType

from orlop.intent import Clean, DropUploads, Intent, Repair
from orlop.plan import Refusal
from orlop.records import Remote
from orlop.text import masked
from orlop_tui import format as words
from orlop_tui.screens import wording
from orlop_tui.screens.changing import Change
from orlop_tui.screens.dialog import Dialog, Host, Notice
from orlop_tui.screens.stores import OpenStore
from orlop_tui.widgets.filtering import seconds
from orlop_tui.widgets.keyline import KeyHint
from orlop_tui.widgets.lines import BLANK, Line, Role, Spans, fit, labelled, line, span
from orlop_tui.widgets.recordpanes import freshness

_GRACE = "24h"
"""Age that something must have before it is removed, if nobody says otherwise: a push takes no longer."""
_UPLOAD_GRACE = "7d"
"""The same of uploads: the age after which a registry's own timer removes them."""


class CleanDialog(Dialog[Intent]):
    """What is to be removed as unneeded, and how old it must be; Enter asks for the plan."""

    leaves = "back"
    leave_keys = "Esc"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "go", "show the plan", show=False),
        Binding("a", "age", "another age", show=False),
        Binding("n", "untagged", "images without a name too", show=False),
        Binding("u", "uploads", "uploads, or what nothing needs", show=False),
    ]

    def __init__(self, store: OpenStore, *, uploads: bool = False) -> None:
        super().__init__()
        self.store = store
        self._uploads = uploads and store.words.has_uploads
        self._untagged = False
        self._age = {False: _GRACE, True: _UPLOAD_GRACE}

    def heading(self) -> Spans:
        return (span(f"Clean up {self.store.label}", Role.HEADING),)

    def hints(self) -> Iterable[KeyHint]:
        yield KeyHint("Enter", "show the plan", "go")
        yield KeyHint("a", "age", "age")
        if self._has_untagged:
            yield KeyHint("n", "tagged only" if self._untagged else "untagged too", "untagged")
        if self.store.words.has_uploads:
            yield KeyHint("u", "what nothing needs" if self._uploads else "uploads", "uploads")

    def body(self, width: int) -> Sequence[Line]:
        age = self._age[self._uploads]
        lines = [*labelled("Removes", self._what(), width)]
        lines += labelled("Age", f"{age}: only what was begun and last changed before then", width)
        if self._has_untagged:
            said = self.store.words.untagged
            tick = f"[x] {said} go too" if self._untagged else f"[ ] {said} stay"
            lines += labelled("Untagged", f"{tick}, where nothing else needs them", width)
        lines.append(BLANK)
        said = "the plan names each thing, its bytes, and why nothing needs it"
        if not self._uploads:
            said += "; each part has a tick box"
        lines += labelled("", said, width, role=Role.FAINT)
        return lines

    def _what(self) -> str:
        if self._uploads:
            return "uploads that clients began and left"
        return f"what nothing needs: {self.store.words.cleans}"

    @property
    def _has_untagged(self) -> bool:
        return bool(self.store.words.untagged) and not self._uploads

    def action_age(self) -> None:
        self.remark("an age such as 24h, 7d or 4w", Role.FAINT)
        self.ask("age", self._age[self._uploads], enters="take it")

    def action_typed(self) -> None:
        if seconds(self.typed) is None:
            self.remark(f"{self.typed!r} is no age; s, min, h, d, w, y are: 24h, 7d, 4w")
            return
        self._age[self._uploads] = self.typed
        self.stop_asking()
        self.remark("")
        self.draw()

    def action_untagged(self) -> None:
        if self._has_untagged:
            self._untagged = not self._untagged
            self.draw()

    def action_uploads(self) -> None:
        if self.store.words.has_uploads:
            self._uploads = not self._uploads
            self.draw()

    def action_go(self) -> None:
        age = seconds(self._age[self._uploads])
        before = time.time_ns() - round((age or 0) * 1_000_000_000)
        if self._uploads:
            self.dismiss(DropUploads(before=before))
        else:
            self.dismiss(Clean(before=before, untagged=self._untagged))

    def action_leave(self) -> None:
        if self.is_asking:
            self.stop_asking()
            self.remark("")
        else:
            self.dismiss(None)


class FetchDialog(Change):
    """Which server would be asked for what; nothing goes out before `D`."""

    does = "ask this server"
    leaves = "ask nobody"

    def __init__(self, store: OpenStore, host: Host, url: str, record: Remote | None) -> None:
        super().__init__(store, host)
        self.url = url
        self.record = record

    def heading(self) -> Spans:
        return (span("Fetch an image over the network", Role.HEADING),)

    def body(self, width: int) -> Sequence[Line]:
        lines = list(labelled("URL", masked("", self.url), width, role=Role.STRONG))
        record = self.record
        if record is not None:
            for label, text in (("Signed", record.signature_url), ("ETag", record.etag), ("Image", record.image)):
                if text:
                    lines += labelled(label, masked("", text), width)
            if (said := freshness(record, self.store.looked_at)) is not None:
                lines += labelled("Max age", said, width)
            if record.etag:
                lines += labelled("", "where the server says that it is the same, only the record is renewed", width)
        lines.append(BLANK)
        lines += labelled(
            "Then", "what it gives waits beside the store; its plan is shown before anything changes", width
        )
        command = words.shell(["orlop", "fetch", self.store.path, self.url])
        lines += labelled("Command", masked("", command), width, role=Role.FAINT)
        return lines


class RefusalNotice(Notice):
    """Why the store will not make a plan; where a person's consent may be all that is missing, a key gives it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("x", "guess", "plan what is likely too", show=False)]

    def __init__(self, refusal: Refusal, intent: Intent | None, host: Host) -> None:
        said = wording.refusal_lines(refusal)
        lines = [line(span(fit(label, 9), Role.LABEL), span(text)) for label, text in said]
        super().__init__(
            "The store refuses this", lines, copy="\n".join(f"{label}: {text}" for label, text in said), host=host
        )
        self._refusal = refusal
        self._intent = intent
        self.consented: Intent | None = None
        """What a plan is to be made of instead, once the person said so."""

    @property
    def can_guess(self) -> bool:
        """Whether what is refused is likely and cannot be proved, so that consent is what is missing."""
        wants = any("guess" in reason for reason in self._refusal.reasons)
        return wants and isinstance(self._intent, Repair) and not self._intent.guess

    def hints(self) -> Iterable[KeyHint]:
        if self.can_guess:
            yield KeyHint("x", "plan what is likely too", "guess")
        yield from super().hints()

    def action_guess(self) -> None:
        if isinstance(self._intent, Repair) and self.can_guess:
            self.consented = replace(self._intent, guess=True)
            self.dismiss(None)
