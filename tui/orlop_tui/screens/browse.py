"""The browser: image list, panes, and every key that leads from them to a dialog.

It asks the gateway and draws what comes back; it never reads a store itself.
"""

import os
import time
from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.widgets import Input

from orlop.errors import OrlopError
from orlop.plan import Remove, Tag, Unmap, Untag
from orlop.records import EngineState, Key, Row
from orlop.text import visible
from orlop_tui import format as words
from orlop_tui import messages
from orlop_tui.screens import wording
from orlop_tui.screens.changes import Changes
from orlop_tui.screens.changing import TagDialog
from orlop_tui.screens.dialog import Ask, Choice, Confirm, Menu, Notice
from orlop_tui.screens.stores import OpenStore
from orlop_tui.screens.wording import WIDE
from orlop_tui.widgets.entry import Entry
from orlop_tui.widgets.filtering import BadFilter, parse
from orlop_tui.widgets.keyline import KeyHint, KeyLine
from orlop_tui.widgets.lines import LOOKS, Bar, Line, LinesView, Role, Span, Spans, fit, fold, line, span
from orlop_tui.widgets.listing import Column
from orlop_tui.widgets.panes import Pane, Shown, ToFinding, ToImage, ToMapping, builder, place_of
from orlop_tui.widgets.store_table import StoreTable, TableHead

CHECKED_UNASKED = 20_000
"""Rows up to which a store is checked by itself whenever it changed; larger ones when pane 4 is opened."""

_FILTER_HINT = "word  !word  repo: tag: id: state:  own>100M  age>90d"

_SORT_LETTERS = {
    Column.NAME: "n",
    Column.TAG: "t",
    Column.ID: "i",
    Column.SIZE: "s",
    Column.OWN: "o",
    Column.AGE: "a",
    Column.PLATFORM: "p",
    Column.STATE: "b",
}


class Browse(Screen[None]):
    """All open stores, one at a time."""

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

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "mark or unmark", id="mark"),
        Binding("v", "range", "mark a range", id="range"),
        Binding("asterisk", "mark_all", "mark all shown, or none of them", id="mark_all"),
        Binding("backslash", "clear_marks", "take all marks away", id="clear_marks"),
        Binding("m", "marked_only", "show only marked rows", id="marked_only"),
        Binding("p", "problems_only", "show only rows with a problem", id="problems_only"),
        Binding("slash", "filter", "filter", id="filter"),
        Binding("s", "sort", "sort by …", id="sort"),
        Binding("S", "reverse", "turn the order round", id="reverse"),
        Binding("number_sign", "go_to", "go to a row number, id, digest or name", id="go_to"),
        Binding("d", "delete", "plan to delete the marked rows, or this one", id="delete"),
        Binding("t", "tag", "tag this image", id="tag"),
        Binding("T", "untag", "plan to take these names away", id="untag"),
        Binding("u", "unmap", "plan to remove the digest mapping under the cursor", id="unmap"),
        Binding("z", "undo", "undo the last change", id="undo"),
        Binding("J", "journal", "journal and quarantine", id="journal"),
        Binding("exclamation_mark", "lock", "unlock or lock writing", id="lock"),
        Binding("c,y", "copy", "copy a name, id, digest, path or command", id="copy"),
        Binding("1", "pane(1)", "metadata", id="pane_meta"),
        Binding("2", "pane(2)", "V2 digest mappings", id="pane_digests"),
        Binding("3", "pane(3)", "remote records", id="pane_remote"),
        Binding("4", "pane(4)", "problems", id="pane_problems"),
        Binding("right_square_bracket", "next_pane(1)", "next pane", id="pane_next"),
        Binding("left_square_bracket", "next_pane(-1)", "pane before", id="pane_before"),
        Binding("a", "all_problems", "problems of the row, or of the whole store", id="all_problems"),
        Binding("enter", "follow", "enlarge the panes; follow the line", id="follow"),
        Binding("escape", "back", "one step back", id="back"),
        Binding("plus,equals_sign", "zoom(1)", "more room for the panes", id="zoom_in"),
        Binding("underscore,minus", "zoom(-1)", "more room for the list", id="zoom_out"),
        Binding("tab", "app.focus_next", "list, panes, stores", id="focus_next"),
        Binding("shift+tab", "app.focus_previous", "the other way round", id="focus_before"),
        Binding("o", "stores", "another store", id="stores"),
        Binding("i", "info", "this store as a whole", id="info"),
        Binding("R", "rescan", "read the store again", id="rescan"),
        Binding("L", "log", "what happened so far", id="log"),
        Binding("colon", "app.command_palette", "all commands", id="palette"),
        Binding("question_mark,f1", "help", "help", id="help"),
        Binding("q", "quit", "quit", id="quit"),
    ]

    def __init__(self, gateway: messages.Gateway, paths: Sequence[str], *, unlocked: bool, title: str | None) -> None:
        super().__init__()
        self.header_bar = Bar(id="header")
        self.rail = LinesView(self._rail_lines, id="rail")
        self.head = TableHead(id="head")
        self.table = StoreTable(id="table")
        self.side = Vertical(id="side")
        self.strip = Bar(id="strip")
        self.panes = LinesView(id="panes")
        self.entry = Entry(id="filter", placeholder=_FILTER_HINT, select_on_focus=False)
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
        self._whole_store = False
        self._job: Spans = ()
        self._remark: Spans = ()
        self.changes = Changes(self)
        self._log: list[Line] = []
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

    # --- drawing

    def draw(self) -> None:
        """Bring every part up to date with what is known."""
        store = self.store
        self.header_bar.show(*self._header())
        if store is not None:
            self.table.now = store.snapshot.seen_at
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
        stacked = self.is_stacked
        chosen = tuple(Pane) if stacked else (self.pane,)
        self.panes.show(builder(self._complete(self._shown), chosen), keep=keep)
        self._draw_strip()

    def _draw_strip(self) -> None:
        store, row = self.store, self.row
        found = store.findings_of(row) if store is not None and row is not None else None
        pieces: list[Span] = []
        for pane in Pane:
            text = f"{int(pane)} {pane.title}"
            if pane is Pane.PROBLEMS and found:
                text += f" {len(found)}"
            pieces.append(span(f"[{text}]", Role.HEADING) if pane is self.pane else span(f" {text} ", Role.FAINT))
        more = (span("more v", Role.FAINT),) if self.panes.hidden_below else ()
        self.strip.show(pieces, more)

    def _complete(self, shown: Shown) -> Shown:
        """What was read, with what the check found."""
        store = self.store
        if store is None:
            return shown
        unchecked = store.findings_problem or "checking …"
        if len(store.snapshot.rows) > CHECKED_UNASKED and not store.checking:
            unchecked = store.findings_problem or "not checked yet: 4 checks this large store"
        return Shown(
            row=shown.row,
            now=shown.now,
            detail=shown.detail,
            mappings=shown.mappings,
            remotes=shown.remotes,
            findings=store.findings,
            own=(store.findings_of(shown.row) or ()) if shown.row is not None else (),
            unchecked=unchecked,
            problem=shown.problem,
            whole_store=self._whole_store or shown.row is None,
        )

    @property
    def is_stacked(self) -> bool:
        """Whether all sections stand below each other."""
        return self.size.width >= WIDE

    def _header(self) -> tuple[list[Span], Spans]:
        store, width = self.store, self.size.width
        if store is not None:
            return wording.header(store, title=self._label, of=len(self.stores), width=width)
        said = "opening" if self._opening else "no store"
        return wording.bare_header(self._label, width, said), (span("READ-ONLY", Role.STRONG),)

    def _status(self) -> tuple[Iterable[Span], Spans]:
        if self._remark:
            return self._remark, self._job
        if self.store is not None:
            return wording.status(self.store, bad_filter=self._bad_filter), self._job
        return [span("opening …" if self._opening else "nothing is open")], self._job

    def _rail_lines(self, width: int) -> list[Line]:
        return wording.rail(self.stores, self.current, width)

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
            return [KeyHint("Enter", "to the list", "leave_filter"), KeyHint("Esc", "no filter", "back")]
        if self.focused is self.panes:
            chosen = [("Tab", "list", "to_list"), ("1-4", "panes", "next_pane(1)"), ("Enter", "follow", "follow")]
            chosen += [("u", "unmap", "unmap"), ("c", "copy", "copy"), ("Esc", "back", "back")]
        else:
            chosen = [("space", "mark", "mark"), ("d", "delete", "delete"), ("t", "tag", "tag")]
            chosen += [("/", "filter", "filter"), ("s", "sort", "sort")]
            locked = self.store is None or not self.store.unlocked
            chosen.append(("!", "unlock", "lock") if locked else ("z", "undo", "undo"))
        hints = [KeyHint(key, label, action, not self.why_not(action)) for key, label, action in chosen]
        return hints + help_and_quit

    # --- what the gateway tells

    def store_opened(self, message: messages.StoreOpened) -> None:
        store = OpenStore.opened(message.index, message.path, message.snapshot)
        store.unfinished = message.unfinished
        self.stores.append(store)
        for other in self.stores:
            other.has_siblings = sum(one.path == other.path for one in self.stores) > 1
        if self._unlock_all:
            self.gateway.probe(store.index, offline=True)
        self.check(store)
        if store is self.store:
            self._enter_store()
        else:
            self.draw()
        if message.unfinished is not None:
            self.changes.offer_finish(store, message.unfinished)

    def open_failed(self, message: messages.OpenFailed) -> None:
        self._failures.append((message.path, message.error))
        self._log_error(message.error)
        self.draw()

    def all_opened(self, message: messages.AllOpened) -> None:
        self._opening = False
        if self.stores:
            for _, error in self._failures:
                self.show_error(error)
        if self.stores and not self._remark:
            self.say("? keys, ! unlock, q quit", Role.PLAIN)
        self.draw()

    def store_changed(self, message: messages.StoreChanged) -> None:
        store = self.stores[message.index]
        store.update(message.delta.snapshot)
        if store.snapshot.engine is EngineState.RUNNING and store.unlocked and not self.changes.busy:
            store.unlocked = False
            self.say("the engine was started: writing is locked again")
        if message.delta:
            self.check(store)
            self.changes.store_changed(store)
        if store is not self.store:
            return
        if message.delta and not self.changes.busy:
            delta = message.delta
            counted = ((delta.added, "added"), (delta.removed, "gone"), (delta.changed, "changed"))
            self.say("on disk: " + ", ".join(f"{len(keys)} {word}" for keys, word in counted if keys), Role.PLAIN)
        self.table.tell_again()
        self.draw()

    def live_state(self, message: messages.LiveState) -> None:
        self.stores[message.index].live = message.text
        self.draw_lines()

    def detail_ready(self, message: messages.DetailReady) -> None:
        answered, self._asked = (message.index, message.key), None
        store, row = self.store, self.row
        if store is None or row is None or answered != (store.index, row.key):
            self._ask_detail()
            return
        self._shown = Shown(
            row=message.detail.row or row,
            now=store.snapshot.seen_at,
            detail=message.detail,
            mappings=message.mappings,
            remotes=message.remotes,
        )
        self.draw_panes(keep=True)

    def findings_ready(self, message: messages.Findings) -> None:
        store = self.stores[message.index]
        store.checking = False
        store.learn(message.findings)
        self.draw()

    def copied(self, message: messages.Copied) -> None:
        self.say(f"{message.what} sent to the clipboard through {message.how}", Role.GOOD)

    def working(self, message: messages.Working) -> None:
        if not message.what:
            self._job = ()
        else:
            share = f" {100 * message.done // message.total}%" if message.total else ""
            of = f"  {message.done}/{message.total}" if message.total and self.size.width >= 120 else ""
            self._job = (span(f"{self.changes.busy or message.what}{share}{of}"),)
        if self.is_mounted:
            self.status_bar.show(*self._status())

    def failed(self, message: messages.Failed) -> None:
        error, action = message.error, message.action
        if action == "detail":
            self._detail_failed(error)
            return
        self._log_error(error)
        if self.changes.failed(message):
            return
        if action == "check" and message.index is not None:
            store = self.stores[message.index]
            store.checking, store.findings_problem = False, f"could not be checked: {error}"
            self.draw_panes(keep=True)
            return
        self.say("")
        self.show_error(error)

    def plan_saved(self, message: messages.PlanSaved) -> None:
        self.toast(f"the plan is in {message.path}")
        self.note(f"the plan is in {message.path}")

    def _detail_failed(self, error: OrlopError) -> None:
        self._asked = None
        row = self.row
        if row is not None:
            self._shown = Shown(row=row, now=self._shown.now, problem=str(error))
        self.draw_panes()

    # --- asking the gateway

    def _enter_store(self) -> None:
        self._bad_filter = ""
        entry = self.entry
        with self.prevent(Input.Changed):
            entry.value = self.store.listing.filter.text if self.store else ""
        self.table.tell_again()
        self.changes.ask_journal()
        self.draw()

    def check(self, store: OpenStore, *, asked: bool = False) -> None:
        """Check a store; a large one only when that was asked for."""
        if asked or len(store.snapshot.rows) <= CHECKED_UNASKED:
            store.checking = True
            self.gateway.check(store.index)

    def _ask_detail(self) -> None:
        """Ask for the row under the cursor, once what was asked before is answered."""
        store, row = self.store, self.row
        if self._asked is not None or store is None or row is None:
            return
        self._asked = (store.index, row.key)
        self.gateway.detail(store.index, row.key)

    def on_store_table_moved(self, message: StoreTable.Moved) -> None:
        message.stop()
        row, store = self.row, self.store
        if row is None or store is None:
            self._shown = Shown(row=None, now=0)
            self.draw_panes()
        elif self._shown.row is None or self._shown.row.key != row.key:
            self._shown = Shown(row=row, now=store.snapshot.seen_at)
            self.draw_panes()
        if self._asked is not None and store is not None and self._asked[0] != store.index:
            self._asked = None
        self._ask_detail()
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
        at = time.strftime("%H:%M:%S")
        for text in texts:
            self._log.append(line(span(f"{at}  ", Role.FAINT), span(text)))
            at = " " * len(at)

    def _log_error(self, error: OrlopError) -> None:
        self.note(*(f"{label}: {text}" for label, text in words.words(error)))

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
        action = action.partition("(")[0]
        if action in _ALWAYS:
            return ""
        if self.store is None:
            return "no store is open"
        if action in _WRITES and self.changes.busy:
            return f"wait: {self.changes.busy}"
        listing = self.store.listing
        if action in ("delete", "untag") and not listing.targets().keys:
            left_out = listing.targets().left_out
            return f"all {left_out} marked rows are hidden: m shows them" if left_out else "no row is under the cursor"
        if action in ("tag", "copy", "mark", "range") and listing.row is None:
            return "no row is under the cursor"
        if action == "tag" and listing.targets().marked:
            return "a name leads to one image only: \\ takes the marks away"
        if action == "untag" and not self._names():
            return "there is no name to take away"
        if action == "unmap" and self._mapping() is None:
            return "u works on a line of 2 Digests: 2, Tab"
        return ""

    def _stopped_by(self, action: str) -> bool:
        reason = self.why_not(action)
        if reason:
            self.say(reason)
        return bool(reason)

    def _names(self) -> tuple[str, ...]:
        listing = self.store.listing if self.store is not None else None
        return tuple(key.name for key in listing.targets().keys if key.name is not None) if listing is not None else ()

    def _mapping(self) -> ToMapping | None:
        current = self.panes.current if self.focused is self.panes else None
        return current.target if current is not None and isinstance(current.target, ToMapping) else None

    # --- keys: the list

    def heard(self, event: events.Key) -> bool:
        """A key, before any binding of it: what was said is read. True: it is used up."""
        if self._remark and not self.changes.busy:
            self._remark = ()
            self.draw_lines()
        return False

    def on_key_line_clicked(self, message: KeyLine.Clicked) -> None:
        message.stop()
        self._remark = ()
        self.call_later(self.run_action, message.action)

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

    def action_mark(self) -> None:
        if not self._stopped_by("mark") and self.store is not None:
            self.store.listing.toggle_mark()
            self._listing_changed()

    def action_range(self) -> None:
        if self._stopped_by("range") or self.store is None:
            return
        listing = self.store.listing
        if listing.anchor is None:
            listing.start_range()
        else:
            listing.end_range()
        self._listing_changed()

    def action_mark_all(self) -> None:
        if not self._stopped_by("mark_all") and self.store is not None:
            self.store.listing.mark_all_shown()
            self._listing_changed()

    def action_clear_marks(self) -> None:
        if not self._stopped_by("clear_marks") and self.store is not None:
            self.store.listing.clear_marks()
            self._listing_changed()

    def action_marked_only(self) -> None:
        if self._stopped_by("marked_only") or self.store is None:
            return
        listing = self.store.listing
        if not listing.marks and not listing.only_marked:
            self.say("nothing is marked: space marks")
            return
        listing.show_only(marked=not listing.only_marked)
        self._listing_changed()

    def action_problems_only(self) -> None:
        if not self._stopped_by("problems_only") and self.store is not None:
            self.store.listing.show_only(problems=not self.store.listing.only_problems)
            self._listing_changed()

    def action_reverse(self) -> None:
        if not self._stopped_by("reverse") and self.store is not None:
            self.store.listing.reverse()
            self._listing_changed()

    def action_sort(self) -> None:
        if self._stopped_by("sort"):
            return
        choices = [Choice(letter, column, column) for column, letter in _SORT_LETTERS.items()]
        self.app.push_screen(Menu("Sort by", choices), lambda chosen: self._sort(chosen))

    def _sort(self, chosen: object) -> None:
        if isinstance(chosen, Column) and self.store is not None:
            self.store.listing.sort_by(chosen)
            self._listing_changed()

    def on_table_head_clicked(self, message: TableHead.Clicked) -> None:
        message.stop()
        self._sort(message.column)

    def on_store_table_opened(self, message: StoreTable.Opened) -> None:
        message.stop()
        self.action_follow()

    # --- keys: filter and jumps

    def action_filter(self) -> None:
        if self._stopped_by("filter"):
            return
        entry = self.entry
        entry.display = True
        self.set_focus(entry)

    def on_input_changed(self, message: Input.Changed) -> None:
        message.stop()
        self._narrow()

    def _narrow(self) -> None:
        """Filter by what is in the line now."""
        store = self.store
        if store is None:
            return
        try:
            store.listing.set_filter(parse(self.entry.value, now=store.snapshot.seen_at))
            self._bad_filter = ""
        except BadFilter as error:
            self._bad_filter = str(error)
        self._listing_changed()

    def action_typed(self) -> None:
        self.action_leave_filter()

    def action_leave_filter(self) -> None:
        self._narrow()
        self.set_focus(self.table)
        entry = self.entry
        entry.display = bool(entry.value)

    def _drop_filter(self) -> None:
        entry = self.entry
        entry.value = ""
        entry.display = False
        self._narrow()
        self.set_focus(self.table)

    def action_go_to(self) -> None:
        if not self._stopped_by("go_to"):
            ask = Ask("Go to", "row number, id, digest or name")
            self.app.push_screen(ask, lambda text: self._go_to(text) if text else None)

    def _go_to(self, text: str) -> None:
        store = self.store
        if store is None:
            return
        listing = store.listing
        if text.isdecimal() and 1 <= int(text) <= len(listing):
            listing.move_to(int(text) - 1)
            self._listing_changed()
            return
        start = text if text.startswith("sha256:") else f"sha256:{text}"
        for row in listing.shown:
            name = row.key.name or ""
            if row.key.id.startswith(start) or name == text or name.endswith("@" + text):
                listing.jump(row.key)
                self._listing_changed()
                return
        self.say(f"no row shown answers to {text}")

    def _jump(self, key: Key) -> bool:
        """Put the cursor on a row, taking away what hides it."""
        store = self.store
        if store is None:
            return False
        if store.listing.position_of(key) is None:
            store.listing.show_only(marked=False, problems=False)
            self._drop_filter()
        found = store.listing.jump(key)
        self._listing_changed()
        return found

    # --- keys: panes

    def action_pane(self, number: int) -> None:
        self.pane = Pane(number)
        if self.view < 0 or not self.side.display:
            self._set_view(1)
        store = self.store
        if self.pane is Pane.PROBLEMS and store is not None and store.findings is None and not store.checking:
            self.check(store, asked=True)
        self.draw_panes()
        if self.is_stacked:
            place = place_of(self.pane, self.panes.lines)
            self.panes.go_below(place)
        self.draw_lines()

    def action_next_pane(self, step: int) -> None:
        self.action_pane((int(self.pane) - 1 + step) % len(Pane) + 1)

    def action_all_problems(self) -> None:
        self._whole_store = not self._whole_store
        self.action_pane(Pane.PROBLEMS)

    def _set_view(self, view: int) -> None:
        self.view = max(-1, min(1, view))
        self.set_class(self.view < 0, "list-only")
        self.set_class(self.view > 0, "panes-only")
        self.set_focus(self.panes if self.view > 0 else self.table)
        self.call_after_refresh(self.draw)

    def action_zoom(self, step: int) -> None:
        self._set_view(self.view + step)

    def action_to_list(self) -> None:
        if self.view > 0:
            self._set_view(0)
        self.set_focus(self.table)

    def action_follow(self) -> None:
        if self.focused is self.rail:
            self.rail.pick()
        elif self.focused is self.panes and self.panes.pick():
            return
        elif self.store is not None:
            self._set_view(1)

    def on_lines_view_picked(self, message: LinesView.Picked) -> None:
        message.stop()
        match message.target:
            case OpenStore() as store:
                self._switch(store.index)
            case ToImage(id=identity):
                self._follow_image(identity)
            case ToMapping(mapping=mapping):
                self.say(f"u removes the mapping of {words.short(mapping.digest)}; c copies the digest", Role.PLAIN)
            case ToFinding(finding=finding):
                key = None if self.store is None else self.store.row_of(finding)
                if key is None or not self._jump(key):
                    self.say("this finding is about no image")

    def _follow_image(self, identity: str) -> None:
        store = self.store
        row = next((r for r in store.snapshot.rows if r.key.id == identity), None) if store is not None else None
        if row is None or not self._jump(row.key):
            self.say("that image is not in this store")

    def on_lines_view_moved(self, message: LinesView.Moved) -> None:
        message.stop()
        self._draw_strip()
        self.draw_lines()

    def action_back(self) -> None:
        """Esc takes one thing back: zoom, filter, range, narrowed views, marks."""
        store, entry = self.store, self.entry
        if self.view > 0:
            self._set_view(0)
        elif self.focused is entry or entry.value:
            self._drop_filter()
        elif self.focused is not self.table:
            self.set_focus(self.table)
        elif store is not None and store.listing.anchor is not None:
            store.listing.end_range()
        elif store is not None and store.listing.is_narrowed:
            store.listing.show_only(marked=False, problems=False)
        elif store is not None:
            store.listing.clear_marks()
        if store is not None:
            self._listing_changed()

    # --- keys: stores

    def action_stores(self) -> None:
        if len(self.stores) < 2:
            self.say("one store is open; `orlop PATH PATH` opens several")
            return
        letters = "123456789abcdefghilmnopqrstuvwxyz"
        choices = [
            Choice(letters[store.index % len(letters)], store.label, store.index, note=store.snapshot.identity.path)
            for store in self.stores
        ]
        self.app.push_screen(Menu("Stores", choices), lambda chosen: self._switch(chosen))

    def _switch(self, index: object) -> None:
        if isinstance(index, int) and index != self.current and index < len(self.stores):
            self.current = index
            self._enter_store()

    def action_info(self) -> None:
        if self.store is None:
            self.say("no store is open")
        else:
            self.show("This store", wording.facts(self.store))

    def action_rescan(self) -> None:
        if not self._stopped_by("rescan") and self.store is not None:
            self.say("reading everything again", Role.PLAIN)
            self.gateway.rescan(self.store.index)

    # --- keys: changes

    def action_delete(self) -> None:
        if self._stopped_by("delete") or self.store is None:
            return
        targets = self.store.listing.targets()
        self.changes.plan(Remove(keys=targets.keys), targets.keys, targets.left_out)

    def action_untag(self) -> None:
        if self._stopped_by("untag") or self.store is None:
            return
        targets = self.store.listing.targets()
        self.changes.plan(Untag(names=self._names()), targets.keys, targets.left_out)

    def action_tag(self) -> None:
        row, store = self.row, self.store
        if self._stopped_by("tag") or row is None or store is None:
            return
        self.app.push_screen(
            TagDialog(store, row), lambda name: self.changes.plan(Tag(image=row.key.id, name=name)) if name else None
        )

    def action_unmap(self) -> None:
        if self._stopped_by("unmap"):
            return
        chosen = self._mapping()
        if chosen is not None:
            mapping = chosen.mapping
            self.changes.plan(Unmap(mappings=((mapping.diff_id, mapping.digest, mapping.source),)))

    def action_undo(self) -> None:
        if not self._stopped_by("undo"):
            self.changes.ask_journal("undo")

    def action_journal(self) -> None:
        if not self._stopped_by("journal"):
            self.changes.ask_journal("journal")

    def action_lock(self) -> None:
        if not self._stopped_by("lock"):
            self.changes.lock_or_unlock()

    # --- keys: copy, help, log, end

    def action_copy(self) -> None:
        row, store = self.row, self.store
        if self._stopped_by("copy") or row is None or store is None:
            return
        texts = list(self._copies(store, row))
        choices = [Choice(letter, what, (what, text), note=text) for letter, what, text in texts]
        self.app.push_screen(Menu("Copy", choices), self._copy)

    def _copies(self, store: OpenStore, row: Row) -> Iterable[tuple[str, str, str]]:
        current = self.panes.current if self.focused is self.panes else None
        if current is not None and current.copy:
            yield "l", "this line", current.copy
        if row.key.name is not None:
            yield "n", "name", row.key.name
        yield "i", "id", row.key.id
        detail = self._shown.detail
        if detail is not None and detail.key == row.key:
            for letter, name in zip("dab", (n for n in detail.names if "@" in n), strict=False):
                yield letter, "digest", name
            yield "p", "path", os.path.join(store.snapshot.identity.path, detail.config_path)
        yield "c", "command", words.shell(["orlop", "show", store.path, row.key.name or row.key.id])

    def _copy(self, chosen: object) -> None:
        if isinstance(chosen, tuple):
            what, text = chosen
            self.gateway.copy(str(what), str(text))

    def action_log(self) -> None:
        lines = list(self._log) or [line(span("nothing happened yet", Role.FAINT))]
        self.app.push_screen(Notice("What happened so far", lines))

    def action_help(self) -> None:
        lines = wording.help_lines(
            self.active_bindings, self.why_not, lambda active: self.app.get_key_display(active.binding)
        )
        self.app.push_screen(Notice("Keys", list(lines)))

    def action_quit(self) -> None:
        self.leave()

    def leave(self) -> None:
        """Quit, after a question where something is being changed."""
        if self.changes.busy:
            self._ask_to_quit(f"{self.changes.busy} is still going on.", "Quitting waits until it is done.")
        else:
            self.app.exit()

    def interrupt(self) -> None:
        """Ctrl+C: stop the running job, else ask whether to quit."""
        if self.gateway.stop():
            self.say("stopping …")
        elif isinstance(self.app.screen, Confirm):
            self.app.exit()
        else:
            self._ask_to_quit("Ctrl+C once more, or Q, quits.")

    def _ask_to_quit(self, *said: str) -> None:
        dialog = Confirm("Quit?", [line(text) for text in said], "quit")
        self.app.push_screen(dialog, lambda yes: self.app.exit() if yes else None)


_ALWAYS = frozenset(
    {"help", "quit", "log", "info", "stores", "back", "pane", "next_pane", "zoom", "to_list", "follow"}
    | {"all_problems", "focus_next", "focus_previous", "command_palette", "leave_filter", "interrupt"}
    | {"move", "page", "end", "down", "up"}
)
_WRITES = frozenset({"delete", "tag", "untag", "unmap", "undo", "lock"})
