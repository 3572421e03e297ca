"""How a change is made from the screen: intent, plan, dialog, unlocking, applying, undo.

Each step waits for an answer of the gateway, and none blocks; the browser stays
usable, and a second change waits for the first.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from orlop.errors import (
    Cancelled,
    Changed,
    Locked,
    NeedsStatement,
    OrlopError,
    ReadOnly,
    Refused,
    Unsupported,
    WouldHarm,
)
from orlop.intent import Import, Intent, Remove, RemoveRepository, Untag
from orlop.plan import Plan, Refusal
from orlop.records import Key, Remote
from orlop.text import masked
from orlop_tui import format as words
from orlop_tui import messages
from orlop_tui.screens import wording
from orlop_tui.screens.asking import FetchDialog, RefusalNotice
from orlop_tui.screens.changing import Change, PlanDialog, PurgeDialog, UndoDialog, UnfinishedDialog
from orlop_tui.screens.dialog import Ask
from orlop_tui.screens.journal import JournalDialog, Wish
from orlop_tui.screens.stores import OpenStore
from orlop_tui.widgets.lines import BLANK, Role, line

if TYPE_CHECKING:
    from orlop_tui.screens.browse import Browse

WRITING = frozenset({"apply", "undo", "finish", "purge"})
"""Actions of the gateway that change a store."""

_NOTHING_DONE = (Changed, Locked, NeedsStatement, ReadOnly, Refused, WouldHarm)
"""Errors after which a store is as it was, so that nothing need wait for its completion."""


class Changes:
    """The changes that a person asks for in the browser; also what the dialogs ask of it."""

    def __init__(self, browse: "Browse") -> None:
        self._browse = browse
        self._gateway = browse.gateway
        self.busy = ""
        """What is being applied; empty: nothing."""
        self._acted_on: tuple[Key, ...] = ()
        self._left_out = 0
        self._journal_for: tuple[int, str] | None = None
        """The store whose journal is being read, and what for."""
        self.can_stop = False
        """Whether what is under way changes no store, and ends with the program."""
        self._wanted: Intent | None = None
        """What the plan under way is made of."""
        self._remarks: tuple[str, ...] = ()
        """What was learned from a server, for the dialog of the plan."""

    # --- plans

    def plan(self, intent: Intent, keys: tuple[Key, ...] = (), left_out: int = 0) -> None:
        """Ask for a plan; `keys` lose their marks once it is applied, `left_out` rows are hidden."""
        store = self._browse.store
        if store is not None:
            self._acted_on, self._left_out, self._wanted, self._remarks = keys, left_out, intent, ()
            self._browse.say("planning …", Role.PLAIN)
            self._gateway.plan(store.index, intent)

    def plan_ready(self, message: messages.PlanReady) -> None:
        """Show the plan, in the dialog that asked for it anew or in a new one."""
        browse, store, plan = self._browse, self._browse.stores[message.index], message.plan
        browse.say("")
        if isinstance(plan, Refusal):
            browse.note(f"refused: {plan.action}", *plan.reasons)
            notice = RefusalNotice(plan, self._wanted, self)
            self._plan_failed(store)

            def answered(_: object) -> None:
                if notice.consented is None:
                    return
                asked = [each for each in browse.app.screen_stack if isinstance(each, PlanDialog)]
                if asked and asked[-1].store is store:
                    asked[-1].plan_anew(notice.consented)
                else:
                    self.plan_again(store.index, notice.consented)

            browse.app.push_screen(notice, answered)
            self._let_go(store, self._wanted)
            return
        top = browse.app.screen
        if isinstance(top, PlanDialog) and top.store is store:
            if top.is_planning:
                top.planned_again(plan)
        elif top is browse and store is not browse.store:
            browse.say(f"a plan for {store.label} was made, but another store is shown by now: ask there again")
            self._let_go(store, plan.intent)
        elif top is browse:
            hidden = self._hidden(store) if self._left_out else ()
            dialog = PlanDialog(store, self, plan, left_out=self._left_out, hidden=hidden, remarks=self._remarks)
            browse.app.push_screen(dialog, lambda chosen: self._decided(store, dialog, chosen))

    def _plan_failed(self, store: OpenStore) -> None:
        """Tell the dialog that asked for another plan that none comes."""
        for screen in self._browse.app.screen_stack:
            if isinstance(screen, PlanDialog) and screen.store is store:
                screen.plan_failed()

    def _hidden(self, store: OpenStore) -> tuple[str, ...]:
        """The marked rows that are hidden, by name."""
        acted_on = set(self._acted_on)
        left = (row.key for row in store.listing.marked_rows() if row.key not in acted_on)
        return tuple(key.name or words.short(key.id) for key in left)

    def _decided(self, store: OpenStore, dialog: PlanDialog, chosen: str | None) -> None:
        if chosen:
            self._apply(store, dialog.plan)
        elif not dialog.is_saved:
            self._let_go(store, dialog.plan.intent)

    def _let_go(self, store: OpenStore, intent: Intent | None) -> None:
        """Discard what waits for a plan that nobody applies; a plan in a file still needs it."""
        if isinstance(intent, Import):
            self._gateway.discard(store.index, intent)

    # --- over the network

    def offer_fetch(self, url: str, record: Remote | None) -> None:
        """Show which server would be asked, and ask it once the person said so."""
        store = self._browse.store
        if store is not None:
            dialog = FetchDialog(store, self, url, record)
            self._browse.app.push_screen(dialog, lambda chosen: self._fetch(store, url) if chosen else None)

    def _fetch(self, store: OpenStore, url: str) -> None:
        self._begin(f"fetching {masked('', url)}")
        self.can_stop = True
        self._gateway.fetch(store.index, url)

    def fetched(self, message: messages.ImageFetched) -> None:
        """A server answered: show the plan of what it gave."""
        self._end()
        self._browse.note(*message.remarks)
        self._acted_on, self._left_out, self._wanted, self._remarks = (), 0, message.intent, message.remarks
        self._browse.say("planning …", Role.PLAIN)
        self._gateway.plan(message.index, message.intent)

    # --- applying

    def store_changed(self, store: OpenStore) -> None:
        """Disarm an open plan of a store that somebody else changed."""
        for screen in self._browse.app.screen_stack:
            if isinstance(screen, PlanDialog) and screen.store is store and not self.busy:
                screen.store_changed()

    def _begin(self, what: str) -> None:
        self.busy, self.can_stop = what, False
        self._browse.say(f"{what} …", Role.PLAIN)

    def _end(self) -> None:
        self.busy, self.can_stop = "", False

    def _apply(self, store: OpenStore, plan: Plan) -> None:
        self._wanted = plan.intent
        self._begin(plan.action)
        self._gateway.apply(store.index, plan, offline=store.offline)

    def applied(self, message: messages.Applied) -> None:
        """Say what was done; the marks of what was acted on are taken away."""
        browse, store = self._browse, self._browse.stores[message.index]
        self._end()
        store.listing.unmark(self._acted_on)
        self._acted_on = ()
        store.unfinished = None
        store.awaited.clear()  # a change of records changes no row
        text = self._done(message)
        browse.toast(text)
        browse.note(text, *message.receipt.remarks)
        browse.say("")
        self.ask_journal()
        browse.check(store)
        browse.table.tell_again()
        browse.draw()

    def _done(self, message: messages.Applied) -> str:
        action = message.receipt.action
        match message.action:
            case "apply":
                return f"done: {action}; z undoes it"
            case "undo":
                return f"done: {action}"
            case "purge":
                return f"{words.size(message.receipt.bytes_freed)} freed"
            case _:
                return f"completed: {action}"

    def failed(self, message: messages.Failed) -> bool:
        """Take note of a failure of a change; whether that is all there is to say of it."""
        store = self._browse.stores[message.index] if message.index is not None else None
        if message.action in WRITING:
            self._end()
            self._acted_on = ()
            self.ask_journal()
        if message.action == "fetch":
            self._end()
        if store is not None and self._is_lost(message):
            self._let_go(store, self._wanted)
        if message.action == "plan" and store is not None:
            self._plan_failed(store)
        if message.action == "journal":
            return not self._journal_asked(message.index)
        if message.action == "unlock" and isinstance(message.error, NeedsStatement) and store is not None:
            self._ask_statement(store, message.error)
            return True
        if message.action == "plan" and isinstance(message.error, Unsupported):
            self._browse.say("")
            self._browse.show("The store refuses this", wording.error_lines(message.error))
            return True
        if isinstance(message.error, Cancelled):
            self._browse.say(f"{message.action}: {message.error.what}")
            return True
        return False

    @staticmethod
    def _is_lost(message: messages.Failed) -> bool:
        """Whether what waited for a plan has no use any more."""
        return message.action == "plan" or (message.action == "apply" and isinstance(message.error, _NOTHING_DONE))

    # --- the journal

    def ask_journal(self, wanted: str = "") -> None:
        """Read the journal: for ``undo``, for the ``journal`` dialog, or only to know what is held."""
        store = self._browse.store
        if store is None:
            return
        waiting = self._journal_for is not None and self._journal_for[0] == store.index
        if wanted or not waiting:
            self._journal_for = (store.index, wanted) if wanted else None
            self._gateway.journal(store.index)

    def _journal_asked(self, index: int | None) -> str:
        """What the journal of a store that was read now is wanted for; empty: nothing but to know what is held."""
        if self._journal_for is None or self._journal_for[0] != index:
            return ""
        wanted, self._journal_for = self._journal_for[1], None
        return wanted

    def journal_ready(self, message: messages.JournalReady) -> None:
        """Take over what is held, and open what was asked for."""
        browse, store = self._browse, self._browse.stores[message.index]
        wanted = self._journal_asked(message.index)
        store.quarantine = sum(change.bytes for change in message.changes)
        store.changes = len(message.changes)
        browse.draw()
        if store is not browse.store or browse.app.screen is not browse:
            return  # the person went on to something else meanwhile
        if wanted == "undo":
            self._offer_undo(store, message.changes)
        elif wanted == "journal":
            browse.app.push_screen(JournalDialog(store, message.changes, self), lambda wish: self._grant(store, wish))

    def _grant(self, store: OpenStore, wish: Wish | None) -> None:
        if wish is None:
            return
        if self.busy:
            self._browse.say(f"wait: {self.busy}")
        elif wish.what == "undo":
            self._confirm_undo(store, wish.changes[0])
        elif wish.what == "finish":
            self.offer_finish(store, wish.changes[0])
        else:
            dialog = PurgeDialog(store, self, wish.changes)
            self._browse.app.push_screen(dialog, lambda chosen: self._purge(store, wish) if chosen else None)

    def _purge(self, store: OpenStore, wish: Wish) -> None:
        self._begin("emptying the quarantine")
        self._gateway.purge(store.index, tuple(change.id for change in wish.changes), offline=store.offline)

    def _offer_undo(self, store: OpenStore, changes: Sequence[messages.PastChange]) -> None:
        unfinished = next((change for change in changes if change.state == "unfinished"), None)
        last = next((change for change in reversed(changes) if change.state == "done"), None)
        if unfinished is not None:
            self.offer_finish(store, unfinished)
        elif last is None:
            self._browse.say("there is nothing to undo")
        else:
            self._confirm_undo(store, last)

    def _confirm_undo(self, store: OpenStore, change: messages.PastChange) -> None:
        dialog = UndoDialog(store, self, change)
        self._browse.app.push_screen(dialog, lambda chosen: self._undo(store, change) if chosen else None)

    def _undo(self, store: OpenStore, change: messages.PastChange) -> None:
        self._begin(f"undo of {change.action}")
        self._gateway.undo(store.index, change.id, offline=store.offline)

    def offer_finish(self, store: OpenStore, change: messages.PastChange) -> None:
        """Name a change that was cut off, and let the person complete it, take it back, or leave it."""

        def answered(chosen: str | None) -> None:
            if chosen == "undo":
                self._undo(store, change)
            elif chosen == "finish":
                self._begin(f"completing {change.action}")
                self._gateway.finish(store.index, offline=store.offline)

        self._browse.app.push_screen(UnfinishedDialog(store, self, change), answered)

    def previewed(self, message: messages.Previewed) -> None:
        """Tell the dialogs whether a change can be taken back."""
        for screen in self._browse.app.screen_stack:
            if isinstance(screen, JournalDialog | UndoDialog):
                screen.previewed(message)

    # --- what the dialogs ask for

    def preview(self, index: int, change: str) -> None:
        """Ask whether a change of a store can be taken back."""
        self._gateway.preview(index, change)

    def lock_or_unlock(self, index: int) -> None:
        """Lock a store at once; unlock it when the gateway could have its guard."""
        browse, store = self._browse, self._browse.stores[index]
        if not store.unlocked:
            browse.say("asking for the store's lock …", Role.PLAIN)
            self._gateway.probe(store.index, offline=False)
            return
        self.lock_again(store, "writing is locked")

    def lock_again(self, store: OpenStore, said: str) -> None:
        """Lock writing, and say why."""
        store.unlocked = store.offline = False
        self._browse.say(said)
        self._look_again()

    def writable(self, message: messages.Writable) -> None:
        """The guard could be had: writing is unlocked until it is locked again."""
        store = self._browse.stores[message.index]
        store.unlocked, store.offline = True, message.offline
        self._browse.say(f"writing is unlocked: {message.by}")
        self._look_again()

    def _look_again(self) -> None:
        self._browse.draw()
        for screen in self._browse.app.screen_stack:
            if isinstance(screen, Change):
                screen.store_altered()

    def _ask_statement(self, store: OpenStore, error: OrlopError) -> None:
        lines = [line(text) for _, text in words.words(error)]
        engine = store.words.engine
        lines += [BLANK, line(f"If no {engine} works on this store, and none will until the change is done,")]
        lines += [line("state it by typing the word: offline")]
        ask = Ask(f"Nothing proves that {store.words.the_engine} is stopped", "offline", lines, word="offline")
        self._browse.app.push_screen(ask, lambda text: self._gateway.probe(store.index, offline=True) if text else None)

    def plan_again(self, index: int, intent: Intent) -> None:
        """Ask for a plan of the same from what the store is now."""
        self._wanted = intent
        self._gateway.plan(index, intent)

    def plan_with_hidden(self, index: int, intent: Intent) -> None:
        """Ask for the same plan about every marked row, those that are hidden too."""
        keys = tuple(row.key for row in self._browse.stores[index].listing.marked_rows())
        self._acted_on = keys
        self.plan_again(index, _widened(intent, keys))

    def save_plan(self, plan: Plan, path: str) -> None:
        """Write a plan to a new file."""
        self._gateway.save_plan(plan, path)

    def offer_copy(self, what: str, text: str | Sequence[str]) -> None:
        """Put a text on the clipboard."""
        self._gateway.copy(what, text)


def _widened(intent: Intent, keys: Sequence[Key]) -> Intent:
    """The same about other rows."""
    match intent:
        case Remove():
            return replace(intent, keys=tuple(keys))
        case Untag():
            return replace(intent, names=tuple(key.name for key in keys if key.name is not None))
        case RemoveRepository():
            return replace(intent, names=tuple(dict.fromkeys(key.scope for key in keys)))
    return intent
