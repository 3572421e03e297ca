"""The keys of work that takes long: verifying, jobs, and where the bytes are."""

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from orlop.intent import Remove
from orlop.records import Key
from orlop_tui import format as words
from orlop_tui import messages
from orlop_tui.equivalent import image_term
from orlop_tui.messages import Job, JobState
from orlop_tui.screens import jobwords
from orlop_tui.screens.asking import CleanDialog
from orlop_tui.screens.changekeys import ChangeKeys
from orlop_tui.screens.dialog import Choice
from orlop_tui.screens.jobs import JobsPage, VerifyMenu
from orlop_tui.screens.page import Page
from orlop_tui.screens.spaceview import SpacePage, Wish
from orlop_tui.screens.stores import OpenStore
from orlop_tui.widgets.lines import Line, Role, Spans, span
from orlop_tui.widgets.shown import Pane

_WHOLE = "whole"
"""Chosen in place of rows."""


class JobKeys(ChangeKeys):
    """What a person lets run, and looks at meanwhile."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("V", "verify", "verify: hash every byte of rows, or of the store", id="verify"),
        Binding("L", "jobs", "jobs and log", id="log"),
        Binding("i", "space", "where the bytes are; the store as a whole", id="space"),
    ]

    # --- verifying

    def action_verify(self) -> None:
        store = self.store
        if self._stopped_by("verify") or store is None:
            return
        targets = store.listing.targets()
        shown = tuple(row.key for row in store.listing.shown)
        whole = f"{words.count(store.snapshot.images, store.words.noun)}, {words.size(store.snapshot.total_size)}"
        choices = []
        if targets.keys:
            marked = words.count(len(targets.keys), "marked row") if targets.marked else "this row"
            choices.append(Choice("r", marked, targets.keys, note=_size_of(store, targets.keys)))
        if store.listing.is_narrowed and shown:
            choices.append(Choice("a", f"all {len(shown)} rows shown", shown, note=_size_of(store, shown)))
        choices.append(Choice("w", "the whole store", _WHOLE, note=whole))
        said = [f"{words.count(targets.left_out, 'marked row')} hidden by the filter, and left out"]
        menu = VerifyMenu(choices, _commands(store, choices), said if targets.left_out else ())
        self.app.push_screen(menu, lambda chosen: self._verify(store, chosen, again=menu.again))

    def _verify(self, store: OpenStore, chosen: object, *, again: bool) -> None:
        if chosen is not None:
            self.gateway.verify(store.index, chosen if isinstance(chosen, tuple) else None, again=again)

    # --- jobs

    def action_jobs(self) -> None:
        self.app.push_screen(JobsPage(self), self._show_findings)

    def _show_findings(self, job: Job | None) -> None:
        if job is None:
            return
        self._switch(job.index)
        if job.keys:
            self._jump(job.keys[0])
        self._whole = self._whole - {Pane.PROBLEMS} if job.keys else self._whole | {Pane.PROBLEMS}
        self.action_pane(int(Pane.PROBLEMS))
        if self.panes.display:
            self.set_focus(self.panes)

    def job_changed(self, message: messages.JobChanged) -> None:
        """Show how a job stands, and write down what came of it."""
        job = message.job
        known = self.jobs.get(job.id)
        if known is not None and known.state.is_over:
            return
        self.jobs[job.id] = job
        if job.state.is_over:
            self._job_ended(job)
        elif known is None and job.what == "verify":
            self.say(f"{jobwords.title(job)}: L shows how far it is, browsing goes on", Role.PLAIN)
        self._show_rows_of_jobs()
        self.draw_lines()
        if self.rail.display:
            self.rail.show(self._rail_lines, keep=True)
        if isinstance(self.app.screen, Page):
            self.app.screen.draw_again()

    def _job_ended(self, job: Job) -> None:
        label = self.stores[job.index].label
        about = f"{jobwords.title(job)}, {label}"
        if job.error is not None:
            self.logbook.error(job.error, about=about)
            self.say(f"{jobwords.title(job)} failed: {job.error.what}  (L)", Role.BAD)
        else:
            self.logbook.note(f"{about}: {jobwords.standing(job)}")
            if job.what == "verify":
                said = jobwords.standing(job)
                if job.found and job.state is JobState.DONE:  # its figures are in the log
                    said = f"found {words.count(job.found, 'fault')}: p shows where, P repairs"
                self.say(f"{jobwords.title(job)} {said}", Role.BAD if job.found else Role.GOOD)

    def _show_rows_of_jobs(self) -> None:
        """Rows that are being verified say so in place of their state."""
        for store in self.stores:
            verifying: dict[Key, str] = {}
            for job in jobwords.under_way(self.jobs.values()):
                if job.index == store.index and job.what == "verify":
                    verifying.update(dict.fromkeys(job.keys or (), jobwords.of_row(job)))
            if verifying == store.verifying:
                continue
            said = store.listing.said
            for key, text in store.verifying.items():
                if said.get(key) == text:
                    del said[key]
            said.update(verifying)
            store.verifying = verifying
            if store is self.store:
                self.table.refresh()

    def unfinished_jobs(self) -> str:
        """What is said of jobs that the end of the program cuts off; empty where there are none."""
        verifying = [job for job in jobwords.under_way(self.jobs.values()) if job.what == "verify"]
        if not verifying:
            return ""
        at = jobwords.percent(verifying[0])
        return f"verify was stopped{f' at {at}' if at else ''}; what was verified is kept, and V goes on from there"

    # --- where the bytes are

    def action_space(self) -> None:
        store = self.store
        if self._stopped_by("space") or store is None:
            return
        if store.space is None:
            self.measure(store)
        self.app.push_screen(SpacePage(self, store), lambda wish: self._grant(store, wish))

    def measure(self, store: OpenStore) -> None:
        """Begin to measure, unless that is under way."""
        if self.measuring(store) is None:
            self.gateway.measure(store.index)

    def measuring(self, store: OpenStore) -> Job | None:
        """The job that measures a store now, or the last one where that failed."""
        mine = [job for job in self.jobs.values() if job.what == "measure" and job.index == store.index]
        return mine[-1] if mine and (not mine[-1].state.is_over or mine[-1].state is JobState.FAILED) else None

    def space_ready(self, message: messages.SpaceReady) -> None:
        store = self.stores[message.index]
        store.space, store.measured_at, store.space_is_old = message.space, message.at, False
        if isinstance(self.app.screen, SpacePage):
            self.app.screen.measured()

    def _grant(self, store: OpenStore, wish: Wish | None) -> None:
        """Do what was asked for on the screen of bytes."""
        if wish is None or store is not self.store:
            return
        match wish.what:
            case "go":
                self._jump(wish.keys[0])
            case "journal":
                if not self._stopped_by("journal"):
                    self.changes.ask_journal("journal")
            case "clean" | "uploads":
                if not self._stopped_by("clean"):
                    dialog = CleanDialog(store, uploads=wish.what == "uploads")
                    self.app.push_screen(dialog, lambda intent: self._plan(intent))
            case "delete":
                if not self._stopped_by("lock"):
                    self.changes.plan(Remove(keys=wish.keys), wish.keys)

    # --- the lines of the frame

    def _job_words(self, width: int) -> Spans:
        said = jobwords.short(self.jobs.values(), width)
        return (span(said, Role.STRONG),) if said else ()

    def _rail_jobs(self, width: int) -> list[Line]:
        """The jobs, for the rail."""
        going = jobwords.under_way(self.jobs.values())
        said = f"JOBS  {len(going)} under way" if going else "JOBS  L"
        lines = [Line(()), Line((span(said, Role.LABEL),))]
        for job in going:
            state = jobwords.percent(job) if job.state is JobState.RUNNING else str(job.state)
            about = "all" if job.keys is None else words.count(len(job.keys), "row")
            text = f"  {job.what} {about if job.what == 'verify' else ''}"
            lines.append(Line((span(text.ljust(max(0, width - len(state) - 1))), span(state))))
        return lines if going else [*lines, Line((span("none", Role.FAINT),))]


def _size_of(store: OpenStore, keys: Sequence[Key]) -> str:
    """At most how many bytes these rows are: what they share is counted once for each."""
    wanted = set(keys)
    sizes = {row.key.id: row.size for row in store.snapshot.rows if row.key in wanted}
    if any(size is None for size in sizes.values()):
        return ""
    total = sum(size or 0 for size in sizes.values())
    return f"{'at most ' if len(sizes) > 1 else ''}{words.size(total)}"


def _commands(store: OpenStore, choices: Sequence[Choice]) -> dict[str, str]:
    """The command that does the same, for each choice by its letter; none where it would not fit on a line."""
    driver = ["--driver", store.snapshot.identity.scope] if store.has_siblings else []
    commands = {}
    for choice in choices:
        keys = choice.value if isinstance(choice.value, tuple) else ()
        if len(keys) <= 3:
            terms = [image_term(key) for key in keys]
            commands[choice.letter] = words.shell(["orlop", "check", store.path, *terms, "--content", *driver])
    return commands
