"""The browser: what the gateway tells it, and the keys that lead from it to a dialog.

It asks the gateway and draws what comes back; it never reads a store itself.
"""

import os
from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType

from orlop.errors import OrlopError
from orlop.records import Absent, EngineState, Facet, Row
from orlop_tui import format as words
from orlop_tui import messages
from orlop_tui.equivalent import image_term
from orlop_tui.remembered import Remembered
from orlop_tui.screens import wording
from orlop_tui.screens.changes import Changes
from orlop_tui.screens.dialog import Choice, Confirm, Menu
from orlop_tui.screens.lookkeys import LookKeys
from orlop_tui.screens.searching import Search
from orlop_tui.screens.stores import OpenStore
from orlop_tui.widgets.keyline import KeyLine
from orlop_tui.widgets.lines import Line, Role, line, span
from orlop_tui.widgets.shown import Shown
from orlop_tui.widgets.store_table import StoreTable


class Browse(LookKeys):
    """All open stores, one at a time."""

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
        Binding("d", "delete", "plan to delete the marked rows, this one, or a pane's record", id="delete"),
        Binding("t", "tag", "tag this image", id="tag"),
        Binding("T", "untag", "plan to take these names away", id="untag"),
        Binding("X", "remove_repository", "plan to remove the whole repository of these rows", id="remove_repository"),
        Binding("c", "clean", "plan to remove what nothing needs, or uploads that were left", id="clean"),
        Binding("P", "repair", "plan to put right what a check found", id="repair"),
        Binding("l", "latest", "plan to mark as the latest of its name, or no longer", id="latest"),
        Binding("F", "fetch", "ask the image's URL for it again", id="fetch"),
        Binding("z", "undo", "undo the last change", id="undo"),
        Binding("J", "journal", "journal and quarantine", id="journal"),
        Binding("exclamation_mark", "lock", "unlock or lock writing", id="lock"),
        Binding("y", "copy", "copy a name, id, digest, path or command", id="copy"),
        Binding("1", "pane(1)", "metadata", id="pane_meta"),
        Binding("2", "pane(2)", "V2 digest mappings", id="pane_digests"),
        Binding("3", "pane(3)", "remote records", id="pane_remote"),
        Binding("4", "pane(4)", "problems", id="pane_problems"),
        Binding("5", "pane(5)", "uploads", id="pane_uploads"),
        Binding("right_square_bracket", "next_pane(1)", "next pane", id="pane_next"),
        Binding("left_square_bracket", "next_pane(-1)", "pane before", id="pane_before"),
        Binding("a", "whole", "remote records, problems or uploads: the row's, or the whole store's", id="whole"),
        Binding("enter", "follow", "enlarge the panes; follow the line", id="follow"),
        Binding("escape", "back", "one step back", id="back"),
        Binding("plus,equals_sign", "zoom(1)", "more room for the panes", id="zoom_in"),
        Binding("underscore", "zoom(-1)", "more room for the list", id="zoom_out"),
        Binding("tab", "app.focus_next", "list, panes, stores", id="focus_next"),
        Binding("shift+tab", "app.focus_previous", "the other way round", id="focus_before"),
        Binding("o", "stores", "another store", id="stores"),
        Binding("R", "rescan", "read the store again", id="rescan"),
        Binding("colon", "app.command_palette", "all commands", id="palette"),
        Binding("x", "actions", "all actions, and why some cannot be done now", id="actions"),
        Binding("question_mark,f1", "help", "help", id="help"),
        Binding("q", "quit", "quit", id="quit"),
    ]

    def __init__(
        self,
        gateway: messages.Gateway,
        paths: Sequence[str],
        *,
        unlocked: bool,
        title: str | None,
        remembered: Remembered | None,
    ) -> None:
        super().__init__(gateway, paths, unlocked=unlocked, title=title)
        self.changes = Changes(self)
        self.remembered = remembered

    # --- what the gateway tells

    def store_opened(self, message: messages.StoreOpened) -> None:
        store = OpenStore.opened(message.index, message.path, message.snapshot)
        store.unfinished = message.unfinished
        self._sort_as_before(store)
        self.stores.append(store)
        for other in self.stores:
            other.has_siblings = sum(one.path == other.path for one in self.stores) > 1
        if not store.is_partial:
            self._begin(store)
        if store is self.store:
            self._enter_store()
        else:
            self.draw()
        if message.unfinished is not None:
            self.changes.offer_finish(store, message.unfinished)

    def _begin(self, store: OpenStore) -> None:
        """What is done with a store as soon as it was read."""
        if self._unlock_all:
            self.gateway.probe(store.index, offline=True)
        self.check(store)

    def store_read(self, message: messages.StoreRead) -> None:
        """More of a large store is known: the cursor and the marks stay where they are."""
        store = self.stores[message.index]
        store.update(message.snapshot)
        store.unfinished = message.unfinished
        if not store.is_partial:
            self._begin(store)
            if store is self.store:
                self.changes.ask_journal()
                self.table.tell_again()
        if store is self.store:
            self.draw()
        if message.unfinished is not None:
            self.changes.offer_finish(store, message.unfinished)

    def open_failed(self, message: messages.OpenFailed) -> None:
        self._failures.append((message.path, message.error))
        for store in self.stores:
            if store.is_partial and store.path == message.path:
                store.unread = "not read"
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
        if self.held_back(message):
            return
        store = self.stores[message.index]
        before = store.snapshot.engine
        store.update(message.delta.snapshot)
        if not message.dated:
            self.flash(store, message.delta)
        if not self.changes.busy:
            self._follow_engine(store, before)
        if message.delta and not message.dated:
            store.space_is_old = True
            self.check(store)
            self.changes.store_changed(store)
            if held := store.listing.filter.held:
                self.gateway.holders(store.index, held)
        if store is not self.store:
            return
        if message.delta and not message.dated and not self.changes.busy:
            delta = message.delta
            counted = ((delta.added, "added"), (delta.removed, "gone"), (delta.changed, "changed"))
            self.say("on disk: " + ", ".join(f"{len(keys)} {word}" for keys, word in counted if keys), Role.PLAIN)
        self.table.tell_again()
        self.draw()

    def _follow_engine(self, store: OpenStore, before: EngineState) -> None:
        """Lock writing where an engine was started; another program may let go of the store at once."""
        now = store.snapshot.engine
        if now is EngineState.RUNNING and store.unlocked:
            self.changes.lock_again(store, f"{store.words.the_engine} was started: writing is locked again")
        elif now is not before and store is self.store:
            if now is EngineState.HELD:
                self.say(f"the store is held: {store.snapshot.engine_text}")
            elif before is EngineState.HELD:
                self.say("the store is held no longer", Role.PLAIN)

    def looked(self, message: messages.Looked) -> None:
        store = self.stores[message.index]
        store.looked_at = message.seen_at
        store.awaited.clear()
        if store is self.store:
            self.ask_records()
            self.draw_lines()

    def records_ready(self, message: messages.RecordsReady) -> None:
        self.take_frozen(message)
        store = self.stores[message.index]
        if store.records.get(message.facet) != message.records:
            store.records[message.facet] = message.records
            if store is self.store:
                self.draw_panes(keep=True)

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
            row=store.as_hashed(message.detail.row or row),
            now=store.snapshot.seen_at,
            detail=message.detail,
            mappings=message.mappings,
            remotes=message.remotes,
        )
        self.draw_panes(keep=True)
        self.find_line(last=True)

    def findings_ready(self, message: messages.Findings) -> None:
        store = self.stores[message.index]
        store.checking = False
        store.learn(message.findings, message.hashed)
        self.draw()

    def image_fetched(self, message: messages.ImageFetched) -> None:
        self.changes.fetched(message)

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
        if action.startswith("records ") and message.index is not None:
            self.stores[message.index].records[Facet(action.partition(" ")[2])] = Absent(because=str(error))
            self.draw_panes(keep=True)
            return
        if self.changes.failed(message):
            return
        if action == "check" and message.index is not None:
            store = self.stores[message.index]
            store.checking, store.findings_problem = False, f"could not be checked: {error}"
            self.draw_panes(keep=True)
            return
        if action == "holders" and message.index is not None:
            store = self.stores[message.index]
            store.wanted_filter = store.listing.filter.text  # it waits for nothing any more
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

    # --- the row under the cursor

    def _ask_detail(self) -> None:
        """Ask for the row under the cursor, once what was asked before is answered."""
        store, row = self.store, self.row
        if self._asked is not None or store is None or row is None or store.is_partial:
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

    # --- keys

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

    # --- keys: stores

    def action_stores(self) -> None:
        if len(self.stores) < 2:
            self.say("one store is open; `orlop PATH PATH` opens several")
            return
        letters = "123456789abcdefghilmnopqrstuvwxyz"
        choices = [
            Choice(letters[store.index % len(letters)], store.label, store.index, note=wording.stores_note(store))
            for store in self.stores
        ]
        self.app.push_screen(Menu("Stores", choices), lambda chosen: self._switch(chosen))

    def action_rescan(self) -> None:
        if not self._stopped_by("rescan") and self.store is not None:
            self.say("reading everything again", Role.PLAIN)
            self.gateway.rescan(self.store.index)

    # --- keys: changes

    def action_undo(self) -> None:
        if not self._stopped_by("undo"):
            self.changes.ask_journal("undo")

    def action_journal(self) -> None:
        if not self._stopped_by("journal"):
            self.changes.ask_journal("journal")

    def action_lock(self) -> None:
        if not self._stopped_by("lock") and self.store is not None:
            self.changes.lock_or_unlock(self.store.index)

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
        if row.key.id:
            yield "i", "id", row.key.id
        detail = self._shown.detail
        if detail is not None and detail.key == row.key:
            for letter, name in zip("dab", (n for n in detail.names if "@" in n), strict=False):
                yield letter, "digest", name
            paths = [document.path for document in detail.documents]
            if detail.config_path and detail.config_path not in paths:
                paths.append(detail.config_path)
            for letter, path in zip("pq", paths, strict=False):
                yield letter, "path", os.path.join(store.snapshot.identity.path, path)
        yield "c", "command", words.shell(["orlop", "show", store.path, image_term(row.key)])

    def _copy(self, chosen: object) -> None:
        if isinstance(chosen, tuple):
            what, text = chosen
            self.gateway.copy(str(what), str(text))

    def action_help(self) -> None:
        self.app.push_screen(Search("Help", lambda: (*self._deeds(), *wording.glossary())))

    def action_actions(self) -> None:
        self.app.push_screen(Search("All actions", self._deeds, enters="do it"), self._do)

    def _deeds(self) -> Iterable[tuple[str, Sequence[Line]]]:
        return wording.deeds(
            self.active_bindings, self.why_not, lambda active: self.app.get_key_display(active.binding)
        )

    async def _do(self, action: str | None) -> None:
        if action is None:
            return
        if self.focused is not None and hasattr(self.focused, f"action_{action.partition('(')[0]}"):
            await self.app.run_action(action, self.focused)
        else:
            await self.run_action(action)

    def action_quit(self) -> None:
        self.leave()

    def leave(self) -> None:
        """Quit, after a question where something is being changed."""
        if self.changes.busy:
            then = "Quitting stops it." if self.changes.can_stop else "Quitting waits until it is done."
            self._ask_to_quit(f"{self.changes.busy} is still going on.", then)
        else:
            self.app.exit(message=self.unfinished_jobs() or None)

    def interrupt(self) -> None:
        """Ctrl+C: stop the running job, else ask whether to quit."""
        if self.gateway.stop():
            self.say("stopping …")
        elif isinstance(self.app.screen, Confirm):
            self.app.exit()
        else:
            self._ask_to_quit("Ctrl+C once more, or Q, quits.")

    def _ask_to_quit(self, *said: str) -> None:
        kept = self.unfinished_jobs()
        dialog = Confirm("Quit?", [line(text) for text in (*said, *([kept] if kept else []))], "quit")
        self.app.push_screen(dialog, lambda yes: self.app.exit() if yes else None)
