"""The browser's frame: what it consists of, what stands in its lines, and what it says.

It draws what is known of the stores; it has no keys and asks for nothing but a check.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.keys import format_key
from textual.screen import Screen
from textual.widgets import Input

from orlop.errors import OrlopError
from orlop.records import Facet, Key, Row
from orlop.text import visible
from orlop_tui import messages
from orlop_tui.screens import wording
from orlop_tui.screens.changes import Changes
from orlop_tui.screens.dialog import Notice
from orlop_tui.screens.logbook import Logbook
from orlop_tui.screens.reasons import Situation, why_not
from orlop_tui.screens.stores import OpenStore
from orlop_tui.screens.wording import WIDE
from orlop_tui.widgets.entry import Entry
from orlop_tui.widgets.keyline import KeyHint, KeyLine
from orlop_tui.widgets.lines import LOOKS, Bar, Line, LinesView, Role, Span, Spans, fit, fold, line, span
from orlop_tui.widgets.panes import builder
from orlop_tui.widgets.shown import Pane, Shown, ToFinding, ToMapping, ToRemote, ToUpload, panes_of
from orlop_tui.widgets.store_table import StoreTable, TableHead

CHECKED_UNASKED = 20_000
"""Rows up to which a store is checked by itself whenever it changed; larger ones when pane 4 is opened."""

_FILTER_HINT = "word  !word  repo: tag: state: src: layer:  own>100M  age>90d  Tab completes"


class Frame(Screen[None]):
    """List, panes, and the lines around them."""

    COMPONENT_CLASSES: ClassVar[set[str]] = LOOKS

    HORIZONTAL_BREAKPOINTS: ClassVar[list[tuple[int, str]]] = [  # type: ignore[misc]
        (0, "-tiny"),
        (60, "-narrow"),
        (120, "-wide"),
        (200, "-huge"),
    ]
    VERTICAL_BREAKPOINTS: ClassVar[list[tuple[int, str]]] = [  # type: ignore[misc]
        (0, "-flat"),
        (12, "-short"),
        (24, "-tall"),
    ]

    changes: Changes
    """The changes that are asked for in the browser; set by it."""

    def __init__(self, gateway: messages.Gateway, paths: Sequence[str], *, unlocked: bool, title: str | None) -> None:
        super().__init__()
        self.header_bar = Bar(id="header")
        self.rail = LinesView(self._rail_lines, id="rail")
        self.head = TableHead(id="head")
        self.table = StoreTable(id="table")
        self.side = Vertical(id="side")
        self.strip = Bar(id="strip")
        self.panes = LinesView(id="panes")
        self.entry = Entry(id="filter", placeholder=_FILTER_HINT)
        self.status_bar = Bar(id="status")
        self.keys = KeyLine(id="keys")
        self.small = LinesView(self._too_small, id="small")
        self.gateway = gateway
        self.stores: list[OpenStore] = []
        self.current = 0
        self.pane = Pane.META
        self.view = 0
        """-1 list only, 0 both, 1 panes only"""
        self._paths = tuple(paths)
        self._unlock_all = unlocked
        self._label = title
        self._failures: list[tuple[str, OrlopError]] = []
        self._opening = True
        self._shown = Shown(row=None, now=0)
        self._asked: tuple[int, Key] | None = None
        """The row whose detail is being read."""
        self._whole = {Pane.UPLOADS}
        """Panes that are about the whole store."""
        self._job: Spans = ()
        self._remark: Spans = ()
        self.logbook = Logbook()
        self.jobs: dict[int, messages.Job] = {}
        """By their number, oldest first; also those that are over."""
        self._bad_filter = ""

    # --- parts

    def compose(self) -> ComposeResult:
        yield self.header_bar
        with Horizontal(id="body"):
            yield self.rail
            with Vertical(id="list"):
                yield self.head
                yield self.table
            with self.side:
                yield self.strip
                yield self.panes
        yield self.entry
        yield self.status_bar
        yield self.keys
        yield self.small

    def on_mount(self) -> None:
        entry = self.entry
        entry.display = False
        entry.cursor_blink = False
        self.small.can_focus = False
        self.table.empty = self._said_when_empty
        self.set_focus(self.table)
        self.draw()

    @property
    def store(self) -> OpenStore | None:
        """The store on the screen; None while none is open."""
        return self.stores[self.current] if self.current < len(self.stores) else None

    @property
    def row(self) -> Row | None:
        return None if self.store is None else self.store.listing.row

    @property
    def is_stacked(self) -> bool:
        """Whether all sections stand below each other."""
        return self.size.width >= WIDE

    # --- drawing

    def draw(self) -> None:
        """Bring every part up to date with what is known."""
        store = self.store
        self.header_bar.show(*self._header())
        if store is not None:
            self.table.now = store.snapshot.seen_at
            self.table.kind = self.head.kind = store.kind
            self.head.listing = store.listing
            self.head.refresh()
            self.table.sync(store.listing)
        else:
            self.table.refresh()
        self.rail.show(self._rail_lines, keep=True)
        self.draw_panes(keep=True)
        self.draw_lines()

    def draw_lines(self) -> None:
        """The lines at the bottom."""
        self.status_bar.show(*self._status())
        self.keys.show(self._hints())

    def draw_panes(self, *, keep: bool = False) -> None:
        """The panes, from what was read of the row under the cursor."""
        there = self.panes_here
        if self.pane not in there:
            self.pane = Pane.META
        chosen = there if self.is_stacked else (self.pane,)
        self.ask_records()
        self.panes.show(builder(self._complete(self._shown), chosen), keep=keep)
        self._draw_strip()

    @property
    def panes_here(self) -> tuple[Pane, ...]:
        """The panes that the store on the screen has."""
        return panes_of("docker" if self.store is None else self.store.kind)

    def ask_records(self) -> None:
        """Ask for what the panes show of the whole store, unless it is known or under way."""
        store = self.store
        if store is None or store.is_partial:
            return
        panes = self.panes_here if self.is_stacked else (self.pane,)
        remotes = Pane.REMOTE in panes and Pane.REMOTE in self._whole
        for facet, wanted in ((Facet.UPLOADS, Pane.UPLOADS in panes), (Facet.REMOTES, remotes)):
            if wanted and facet not in store.awaited:
                store.awaited.add(facet)
                self.gateway.records(store.index, facet)

    def _draw_strip(self) -> None:
        titles = [f"{int(pane)} {pane.title}{self._number_in(pane)}" for pane in self.panes_here]
        more = span("more v", Role.FAINT)
        blank = " "
        if sum(len(title) + 2 for title in titles) + more.cells + 2 > self.strip.size.width:
            blank, more = "", span("")
        pieces: list[Span] = []
        for pane, title in zip(self.panes_here, titles, strict=True):
            if pane is self.pane:
                pieces.append(span(f"[{title}]{' ' if not blank else ''}", Role.HEADING))
            else:
                pieces.append(span(f"{blank}{title} ", Role.FAINT))
        self.strip.show(pieces, (more,) if more.text and self.panes.hidden_below else ())

    def _number_in(self, pane: Pane) -> str:
        """How much a pane holds, where that is worth a look; else empty."""
        store, row = self.store, self.row
        if store is None:
            return ""
        number = 0
        if pane is Pane.PROBLEMS and row is not None:
            number = len(store.findings_of(row) or ())
        elif pane is Pane.UPLOADS:
            found = store.records.get(Facet.UPLOADS)
            number = len(found) if isinstance(found, tuple) else 0
        return f" {number}" if number else ""

    def _complete(self, shown: Shown) -> Shown:
        """What was read, with what the check found."""
        store = self.store
        if store is None:
            return shown
        unchecked = store.findings_problem or "checking …"
        if len(store.snapshot.rows) > CHECKED_UNASKED and not store.checking:
            unchecked = store.findings_problem or "not checked yet: 4 checks this large store"
        return replace(
            shown,
            kind=store.kind,
            now=max(shown.now, store.looked_at),
            findings=store.findings,
            own=(store.findings_of(shown.row) or ()) if shown.row is not None else (),
            unchecked=unchecked,
            whole=frozenset(self._whole),
            all_remotes=store.records.get(Facet.REMOTES),
            uploads=store.records.get(Facet.UPLOADS),
        )

    def _header(self) -> tuple[list[Span], Spans]:
        store, width = self.store, self.size.width
        if store is not None:
            return wording.header(store, title=self._label, of=len(self.stores), width=width)
        said = "opening" if self._opening else "no store"
        return wording.bare_header(self._label, width, said), (span("READ-ONLY", Role.STRONG),)

    def _status(self) -> tuple[Iterable[Span], Spans]:
        going = self._job or self._job_words(self.size.width)
        if self._remark:
            return self._remark, going
        if self.store is not None:
            return wording.status(self.store, bad_filter=self._bad_filter, width=self.size.width), going
        return [span("opening …" if self._opening else "nothing is open")], going

    def _job_words(self, width: int) -> Spans:
        """The jobs that are under way, for the end of the status line."""
        return ()

    def _rail_jobs(self, width: int) -> list[Line]:
        """The same for the rail."""
        return []

    def _rail_lines(self, width: int) -> list[Line]:
        return [*wording.rail(self.stores, self.current, width), *self._rail_jobs(width)]

    def _too_small(self, width: int) -> list[Line]:
        return [line(part) for part in fold("orlop needs 60 columns and 12 lines; q quits", width)]

    def _said_when_empty(self, width: int) -> Sequence[Spans]:
        if self.store is not None:
            return wording.empty_store(self.store)
        if self._opening:
            return [(span(f"reading {', '.join(self._paths)} …"),)]
        return wording.no_store((error for _, error in self._failures), width)

    def _hints(self) -> list[KeyHint]:
        help_and_quit = [KeyHint("?", "help", "help"), KeyHint("q", "quit", "quit")]
        if self.focused is self.entry:
            hints = [KeyHint("Enter", "to the list", "leave_filter"), KeyHint("Tab", "complete", "complete")]
            return [*hints, KeyHint("Esc", "no filter", "back")]
        if self.focused is self.panes:
            panes = f"1-{max(self.panes_here):d}"
            chosen = [("Tab", "list", "to_list"), (panes, "panes", "next_pane(1)"), ("Enter", "follow", "follow")]
            chosen += [self._line_key(), ("u", "used by", "users"), ("y", "copy", "copy"), ("Esc", "back", "back")]
        else:
            chosen = [("space", "mark", "mark"), ("d", "delete", "delete"), ("t", "tag", "tag")]
            chosen += [("/", "filter", "filter"), ("s", "sort", "sort")]
            locked = self.store is None or not self.store.unlocked
            chosen.append(("!", "unlock", "lock") if locked else ("z", "undo", "undo"))
            chosen += [("p", "problems", "problems_only"), ("V", "verify", "verify"), ("c", "clean", "clean")]
            chosen += [("i", "bytes", "space")]
        hints = [KeyHint(key, label, action, not self.why_not(action)) for key, label, action in chosen]
        return [hint._replace(key=self._key_now(hint)) for hint in hints + help_and_quit]

    def _key_now(self, hint: KeyHint) -> str:
        """The key of a hint, where the person gave its action another one."""
        chosen = self.app._keymap
        if not chosen:
            return hint.key
        bound = (binding.id or "" for _, binding in self._merged_bindings or () if binding.action == hint.action)
        keys = next((chosen[name] for name in bound if name in chosen), "")
        return format_key(keys.partition(",")[0]) if keys else hint.key

    def _line_key(self) -> tuple[str, str, str]:
        """The key that acts on the line under the cursor."""
        match self._target():
            case ToFinding():
                return ("P", "repair", "repair")
            case ToRemote():
                return ("d", "forget", "delete")
            case ToUpload():
                return ("d", "drop", "delete")
            case ToMapping():
                return ("d", "unmap", "delete")
            case _:
                return ("d", "delete", "delete")

    def on_descendant_focus(self) -> None:
        self.draw_lines()
        self.table.refresh()

    def on_descendant_blur(self) -> None:
        self.panes.refresh()

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self.draw)

    def _listing_changed(self) -> None:
        self.head.refresh()
        self.table.sync()
        self.draw_lines()

    # --- saying things

    def say(self, text: str, role: Role = Role.WARN) -> None:
        """One line in place of the status, until the next key; the empty text takes it away."""
        self._remark = (span(text, role),) if text else ()
        if self.is_mounted:
            self.draw_lines()

    def toast(self, text: str) -> None:
        """A few words that go by themselves, for a success."""
        self.app.notify(visible(text), markup=False, timeout=4)

    def note(self, *texts: str) -> None:
        """Write into the log."""
        self.logbook.note(*texts)

    def _log_error(self, error: OrlopError) -> None:
        self.logbook.error(error)

    def show_error(self, error: OrlopError) -> None:
        """An error stays on the screen until it is closed, and in the log after that."""
        self.show("It was not done", wording.error_lines(error))

    def show(self, title: str, said: Sequence[tuple[str, str]]) -> None:
        """Labels and texts that stay until they are closed, and that can be copied."""
        lines = [line(span(fit(label, 9), Role.LABEL), span(text)) for label, text in said]
        copy = "\n".join(f"{label}: {text}" for label, text in said)
        self.app.push_screen(Notice(title, lines, copy=copy, host=self.changes))

    # --- why something can not be done now

    def why_not(self, action: str) -> str:
        """The reason in one line; empty where it can be done."""
        return why_not(action, Situation(store=self.store, busy=self.changes.busy, target=self._target()))

    def _stopped_by(self, action: str) -> bool:
        reason = self.why_not(action)
        if reason:
            self.say(reason)
        return bool(reason)

    def _target(self) -> object | None:
        """What the line under the cursor of the panes stands for, while they have the focus."""
        current = self.panes.current if self.focused is self.panes else None
        return current.target if current is not None else None

    # --- which store

    def _enter_store(self) -> None:
        self._bad_filter = ""
        entry = self.entry
        with self.prevent(Input.Changed):
            entry.value = self.store.wanted_filter if self.store else ""
        entry.display = bool(entry.value) or self.focused is entry
        self.table.tell_again()
        if self.store is not None and not self.store.is_partial:
            self.changes.ask_journal()
        self.draw()

    def _switch(self, index: object) -> None:
        if isinstance(index, int) and index != self.current and index < len(self.stores):
            self.current = index
            self._enter_store()

    def check(self, store: OpenStore, *, asked: bool = False) -> None:
        """Check a store; a large one only when that was asked for."""
        if asked or len(store.snapshot.rows) <= CHECKED_UNASKED:
            store.checking = True
            self.gateway.check(store.index)
