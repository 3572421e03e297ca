"""The screen of jobs and of the log: what runs, what came of it, and what went wrong, whole."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input

from orlop_tui import format as words
from orlop_tui.messages import Job, JobState
from orlop_tui.screens import jobwords
from orlop_tui.screens.dialog import Choice, Menu
from orlop_tui.screens.logbook import Entry
from orlop_tui.screens.page import Page
from orlop_tui.widgets.bars import progress
from orlop_tui.widgets.keyline import KeyHint
from orlop_tui.widgets.lines import BLANK, Line, Role, Spans, fit, fold, line, span

if TYPE_CHECKING:
    from orlop_tui.screens.jobkeys import JobKeys
    from orlop_tui.screens.stores import OpenStore

_KEPT = 12
"""Jobs that are over and still shown."""


class JobsPage(Page[Job]):
    """Jobs above, the log below, newest first; gives the job whose findings are to be shown."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "pause, or go on", show=False),
        Binding("c", "cancel", "stop", show=False),
        Binding("enter", "findings", "its findings", show=False),
        Binding("y", "copy", "copy", show=False),
        Binding("slash", "narrow", "narrow", show=False),
    ]

    def __init__(self, desk: "JobKeys") -> None:
        super().__init__()
        self._desk = desk
        self._word = ""

    # --- what it shows

    def heading(self) -> Spans:
        narrowed = f"  only with {self._word}" if self._word else ""
        return (span("Jobs and log", Role.HEADING), span(narrowed, Role.WARN))

    def hints(self) -> Iterable[KeyHint]:
        job = self._job
        if job is not None and not job.state.is_over:
            yield KeyHint("p", "go on" if job.state is JobState.PAUSED else "pause", "pause")
            yield KeyHint("c", "stop", "cancel")
        if job is not None and job.what == "verify":
            yield KeyHint("Enter", "findings", "findings")
        if isinstance(self.target, Entry):
            yield KeyHint("y", "copy it whole", "copy")
        yield KeyHint("/", "narrow", "narrow")

    def body(self, width: int) -> Sequence[Line]:
        lines: list[Line] = []
        for job in self._jobs():
            lines += self._about(job, width)
        if not lines:
            lines.append(line(span("no job was begun yet: V verifies, i measures", Role.FAINT)))
        lines += [BLANK, line(span("Log, newest first", Role.HEADING))]
        entries = [entry for entry in reversed(self._desk.logbook.entries) if self._word in str(entry).lower()]
        for entry in entries:
            lines += _told(entry, width)
        if not entries:
            what = f"nothing with {self._word}" if self._word else "nothing happened yet"
            lines.append(line(span(what, Role.FAINT)))
        return lines

    def _jobs(self) -> Sequence[Job]:
        """Those under way, oldest first, then those that are over, newest first."""
        jobs = list(self._desk.jobs.values())
        over = [job for job in reversed(jobs) if job.state.is_over]
        return [*jobwords.under_way(jobs), *over[:_KEPT]]

    def _about(self, job: Job, width: int) -> Iterable[Line]:
        label = self._store(job).label
        role = jobwords.ROLES.get(job.state, Role.PLAIN)
        if job.found:
            role = Role.BAD
        said = jobwords.standing(job)
        if job.found and not job.state.is_over:
            said += f", {words.count(job.found, 'fault')}"
        head = f"{jobwords.title(job)}  {label}"
        strong = Role.PLAIN if job.state.is_over else Role.STRONG
        pieces = fold(said, max(width - len(head) - 3, 20))
        if len(head) + 3 + len(pieces[0]) > width:
            yield line(span(head, strong), target=job.id)
            yield from (line(span(f"   {part}", role)) for part in fold(said, width - 3))
        else:
            yield line(span(f"{head}   ", strong), span(pieces[0], role), target=job.id)
            yield from (line(span(" " * (len(head) + 3) + part, role)) for part in pieces[1:])
        if job.state in (JobState.RUNNING, JobState.PAUSED) and job.phase:
            said = jobwords.numbers(job, width - 16)
            room = min(max(width - len(said) - 6, 10), 48)
            drawn = progress(job.done, job.total, room, plain=self.plain) + "  " if job.total else ""
            yield line(span("   "), span(drawn, Role.GOOD), span(said))

    def _store(self, job: Job) -> "OpenStore":
        return self._desk.stores[job.index]

    @property
    def _job(self) -> Job | None:
        target = self.target
        return self._desk.jobs.get(target) if isinstance(target, int) else None

    # --- keys

    def action_pause(self) -> None:
        job = self._job
        if job is None or job.state.is_over:
            self.remark("nothing is under way on this line")
        elif job.state is JobState.PAUSED:
            self._desk.gateway.resume(job.id)
        else:
            self._desk.gateway.pause(job.id)

    def action_cancel(self) -> None:
        job = self._job
        if job is None or job.state.is_over:
            self.remark("nothing is under way on this line")
        else:
            self._desk.gateway.cancel(job.id)

    def action_findings(self) -> None:
        job = self._job
        if job is not None and job.what == "verify":
            self.dismiss(job)

    def action_copy(self) -> None:
        target = self.target
        if isinstance(target, Entry):
            self._desk.changes.offer_copy("log entry", str(target).split("\n"))
            self.remark("the entry was sent to the clipboard", Role.GOOD)
        elif self._job is not None:
            self._desk.changes.offer_copy("job", f"{jobwords.title(self._job)}: {jobwords.standing(self._job)}")
            self.remark("the job was sent to the clipboard", Role.GOOD)

    def action_narrow(self) -> None:
        self.ask("word", self._word, enters="narrow")

    def on_input_changed(self, message: Input.Changed) -> None:
        message.stop()
        self._word = message.value.strip().lower()
        self.draw_again()

    def action_typed(self) -> None:
        self.stop_asking()
        self.draw_again()

    def action_leave(self) -> None:
        if self.is_asking:
            self.stop_asking()
        elif self._word:
            self._word = ""
            self.draw_again()
        else:
            self.dismiss(None)


def _told(entry: Entry, width: int) -> Iterable[Line]:
    """An entry, folded; its first line stands for it."""
    head, target = fit(entry.at, 10), entry
    role = Role.BAD if entry.is_error else Role.PLAIN
    for label, text in entry.said:
        margin = 16 if entry.is_error else 10
        name = fit(label, 6) if entry.is_error else ""
        for part in fold(text, max(width - margin, 10)):
            yield line(span(head, Role.FAINT), span(name, Role.LABEL), span(part, role), target=target)
            head, name, target = " " * 10, " " * len(name), None  # type: ignore[assignment]
            role = Role.PLAIN


class VerifyMenu(Menu):
    """What is to be hashed; one key says whether also what was hashed before."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("x", "again", "also what was verified before", show=False)]

    def __init__(self, choices: Sequence[Choice], commands: dict[str, str], said: Sequence[str] = ()) -> None:
        super().__init__("Verify: hash every byte", choices)
        self.again = False
        self._commands = commands
        self._said = said

    def body(self, width: int) -> Sequence[Line]:
        tick = "[x] again, also what was verified before: rot keeps the time of a file"
        if not self.again:
            tick = "[ ] again, also what was verified before and not written to since"
        lines, key = [*super().body(width), BLANK], " x "
        for part in fold(tick, width - 4):
            lines.append(line(span(key, Role.KEY), span(f" {part}")))
            key = "   "
        lines += [line(span(f"    {part}", Role.FAINT)) for text in self._said for part in fold(text, width - 4)]
        current = self.target
        command = self._commands.get(current.letter, "") if isinstance(current, Choice) else ""
        if command:
            again = " --again" if self.again else ""
            lines += [BLANK, *(line(span(part, Role.FAINT)) for part in fold(command + again, width))]
        return lines

    @property
    def target(self) -> object:
        """The choice under the cursor."""
        from orlop_tui.widgets.lines import LinesView

        current = self.query_one("#said", LinesView).current if self.is_mounted else None
        return current.target if current is not None else self._choices[0]

    def hints(self) -> Iterable[KeyHint]:
        yield from super().hints()
        yield KeyHint("x", "not again" if self.again else "again, too", "again")

    def on_lines_view_moved(self, message: object) -> None:
        self.draw(keep=True)

    def action_again(self) -> None:
        self.again = not self.again
        self.draw(keep=True)
