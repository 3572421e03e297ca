"""What travels between the screens and the threads that work on stores.

A screen calls a method of the `Gateway`, which returns at once; the work runs in
a thread, and its answer arrives as one of the messages below, posted to the app.
Everything in a message is immutable. Texts may hold hostile bytes of a store:
whoever shows them passes them through `orlop.text.visible`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from textual.app import App
from textual.message import Message

from orlop.errors import OrlopError
from orlop.finding import Finding
from orlop.intent import Intent
from orlop.plan import Plan, Refusal
from orlop.records import Absent, Delta, Detail, Facet, Holding, Key, Records, Snapshot, Why
from orlop.space import Space


class Receipt(Protocol):
    """What a change did; `orlop.apply.Receipt` is one."""

    @property
    def change(self) -> str: ...
    @property
    def action(self) -> str: ...
    @property
    def steps(self) -> int: ...
    @property
    def bytes_freed(self) -> int: ...
    @property
    def bytes_quarantined(self) -> int: ...
    @property
    def findings(self) -> Sequence[Finding]: ...
    @property
    def remarks(self) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PastChange:
    """One line of a store's journal, as a screen shows it."""

    id: str
    at: int
    """Nanoseconds UTC."""
    action: str
    state: str
    """``done``, ``undone``, ``rolled back``, ``unfinished``, ``purged``, ``damaged``"""
    bytes: int
    """What its quarantine holds."""
    by: str = ""
    """Who did it, as far as the journal says."""
    lines: tuple[str, ...] = ()
    """What it did, one line a step, for people."""
    back: tuple[str, ...] = ()
    """What taking it back does, likewise, in the order in which that is done."""


class JobState(StrEnum):
    """How a job stands."""

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def is_over(self) -> bool:
        return self in (JobState.DONE, JobState.CANCELLED, JobState.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work that takes long, as it stands now."""

    id: int
    """Grows with every job of the program."""
    what: str
    """``verify``, ``measure``"""
    index: int
    """The store."""
    keys: tuple[Key, ...] | None = None
    """The rows that it is about; None: the whole store."""
    again: bool = False
    """Whether it hashes what was verified before, too."""
    state: JobState = JobState.WAITING
    stopping: bool = False
    """Whether it was asked to end, and has not yet."""
    phase: str = ""
    done: int = 0
    """Of the phase: bytes, or items."""
    total: int = 0
    """0 while unknown."""
    in_bytes: bool = False
    hashed: int = 0
    """Bytes that were hashed."""
    rate: float = 0.0
    """A second, lately; 0 while unknown."""
    left: float | None = None
    """Seconds, at this rate; None while unknown."""
    worked: float = 0.0
    """Seconds that it took, pauses left out; known once it is over."""
    found: int = 0
    """Faults that came to light."""
    error: OrlopError | None = None
    """Why it failed."""


class Gateway(Protocol):
    """The only way from the screens to the stores; no method blocks.

    ``index`` counts the stores in the order in which they were opened. Of each
    method that asks (`detail`, `check`, `plan`, …) only the last call counts: an
    answer that a newer question has overtaken is never posted.
    """

    def attach(self, app: App[Any]) -> None:
        """Give the app that messages go to and that threads belong to; called once, before anything else."""

    def open(self) -> None:
        """Open every path; `StoreOpened` for each store, `OpenFailed` for each path, then `AllOpened`.

        Watching for changes starts by itself after that.
        """

    def detail(self, index: int, key: Key) -> None:
        """`DetailReady`, or `Failed` with the action ``detail``."""

    def details(self, wanted: Sequence[tuple[int, Key]]) -> None:
        """`DetailsReady` of rows of one store or of several, or `Failed` with the action ``details``."""

    def records(self, index: int, facet: Facet) -> None:
        """`RecordsReady` of the whole store; they say themselves why there are none."""

    def check(self, index: int) -> None:
        """`Findings` of the whole store, or `Failed` with the action ``check``."""

    def why(self, text: str) -> None:
        """What a digest, id, name or folder is in each of the open stores: `Explained`."""

    def holders(self, index: int, words: Sequence[tuple[Holding, str]]) -> None:
        """Which images hold what answers to each of these: `HoldersReady`, or `Failed` with the action ``holders``."""

    def freed(self, index: int, keys: frozenset[Key]) -> None:
        """What the deletion of exactly these rows frees: `FreedReady`, or `Failed` with the action ``freed``."""

    def plan(self, index: int, intent: Intent) -> None:
        """`PlanReady`, or `Failed` with the action ``plan``."""

    def probe(self, index: int, *, offline: bool) -> None:
        """Try the store's guard and let it go: `Writable`, or `Failed` with the action ``unlock``."""

    def apply(self, index: int, plan: Plan, *, offline: bool) -> None:
        """`Applied`, or `Failed` with the action ``apply``; a `StoreChanged` comes before either where rows changed."""

    def undo(self, index: int, change: str | None, *, offline: bool) -> None:
        """Undo a change (None: the last); `Applied`, or `Failed` with the action ``undo``."""

    def finish(self, index: int, *, offline: bool) -> None:
        """Complete a change that was cut off; `Applied`, or `Failed` with the action ``finish``."""

    def purge(self, index: int, changes: Sequence[str], *, offline: bool) -> None:
        """Empty the quarantine of these changes; `Applied`, or `Failed` with the action ``purge``."""

    def fetch(self, index: int, url: str) -> None:
        """Ask a URL for its image again: `ImageFetched`, or `Failed` with the action ``fetch``.

        What it gave waits beside the store until it is applied or discarded.
        """

    def discard(self, index: int, intent: Intent) -> None:
        """Let go of what waits for an intent that nobody applies; answers nothing."""

    def preview(self, index: int, change: str) -> None:
        """Whether a change could be taken back now: `Previewed`."""

    def journal(self, index: int) -> None:
        """`JournalReady`, or `Failed` with the action ``journal``."""

    def rescan(self, index: int) -> None:
        """Read everything again; `StoreChanged` even where nothing differs, or `Failed` with the action ``rescan``."""

    def save_plan(self, plan: Plan, path: str) -> None:
        """Write a plan as JSON to a new file; `PlanSaved`, or `Failed` with the action ``save plan``."""

    def snapshot(self, index: int, path: str) -> None:
        """Write all that is known of a store to a new file; `SnapshotWritten`, or `Failed` with ``snapshot``."""

    def verify(self, index: int, keys: Sequence[Key] | None, *, again: bool = False) -> None:
        """Hash what these rows need (None: the whole store) in a job: `JobChanged`, and `Findings` as they are found.

        What was verified before and has not changed since is not hashed again, unless `again` says so.
        """

    def measure(self, index: int) -> None:
        """Find out where the bytes are in a job: `JobChanged`, then `SpaceReady`."""

    def pause(self, job: int) -> None:
        """Let a job rest at its next safe point; what is not under way is left alone."""

    def resume(self, job: int) -> None:
        """Let a job that rests go on."""

    def cancel(self, job: int) -> None:
        """End a job at its next safe point; what it did until then stands."""

    def copy(self, what: str, text: str | Sequence[str]) -> None:
        """Put a text, or lines of one, on the clipboard; `Copied`, or `Failed` with the action ``copy``."""

    def stop(self) -> bool:
        """Ask the running job to stop at its next safe point; False where none runs."""

    def close(self) -> None:
        """Stop watching and let the stores go; waits for a change that is being applied."""


class StoreOpened(Message):
    """A store was read for the first time; of a large one perhaps only the names (`Snapshot.partial`)."""

    def __init__(self, index: int, snapshot: Snapshot, *, path: str, unfinished: PastChange | None = None) -> None:
        super().__init__()
        self.index = index
        self.snapshot = snapshot
        self.path = path
        """As the person gave it: for equivalent commands."""
        self.unfinished = unfinished
        """A change that was cut off, and that must be finished or undone before the next."""


class StoreRead(Message):
    """More of a store is known whose first `StoreOpened` had only names; all of it once the snapshot is not partial."""

    def __init__(self, index: int, snapshot: Snapshot, *, unfinished: PastChange | None = None) -> None:
        super().__init__()
        self.index = index
        self.snapshot = snapshot
        self.unfinished = unfinished
        """As in `StoreOpened`."""


class OpenFailed(Message):
    """A path could not be opened."""

    def __init__(self, path: str, error: OrlopError) -> None:
        super().__init__()
        self.path = path
        self.error = error


class AllOpened(Message):
    """Every path was tried; ``count`` stores are open."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count


class DetailReady(Message):
    """One image whole, with what is known of its layers' blobs and of remote places."""

    def __init__(
        self, index: int, key: Key, detail: Detail, mappings: Records | Absent, remotes: Records | Absent
    ) -> None:
        super().__init__()
        self.index = index
        self.key = key
        self.detail = detail
        self.mappings = mappings
        self.remotes = remotes


class DetailsReady(Message):
    """Several images whole, in the order in which they were asked for."""

    def __init__(self, details: tuple[tuple[int, Key, Detail], ...]) -> None:
        super().__init__()
        self.details = details


class RecordsReady(Message):
    """What is recorded in a store as a whole: remote records, uploads."""

    def __init__(self, index: int, facet: Facet, records: Records | Absent) -> None:
        super().__init__()
        self.index = index
        self.facet = facet
        self.records = records


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What one store says of a text."""

    index: int
    why: Why | None
    """None where it knows nothing of it."""
    error: OrlopError | None = None
    """Why it cannot say; None where it could."""


class Explained(Message):
    """What each of the open stores says of a text, in their order."""

    def __init__(self, text: str, answers: tuple[Explanation, ...]) -> None:
        super().__init__()
        self.text = text
        self.answers = answers


class HoldersReady(Message):
    """Which images hold what was asked for, by their ids."""

    def __init__(self, index: int, answers: tuple[tuple[Holding, str, frozenset[str]], ...]) -> None:
        super().__init__()
        self.index = index
        self.answers = answers


class FreedReady(Message):
    """Bytes that the deletion of exactly these rows frees."""

    def __init__(self, index: int, keys: frozenset[Key], freed: int) -> None:
        super().__init__()
        self.index = index
        self.keys = keys
        self.freed = freed


class ImageFetched(Message):
    """A server answered; the intent says what is to be done with it, and the remarks what was learned."""

    def __init__(self, index: int, intent: Intent, remarks: tuple[str, ...]) -> None:
        super().__init__()
        self.index = index
        self.intent = intent
        self.remarks = remarks


class Findings(Message):
    """What a check of the whole store's structure found, and what hashing found before."""

    def __init__(
        self, index: int, findings: tuple[Finding, ...], *, hashed: frozenset[tuple[str, str, str]] = frozenset()
    ) -> None:
        super().__init__()
        self.index = index
        self.findings = findings
        self.hashed = hashed
        """The identities of those that hashing found: the rows alone would not show them."""


class PlanReady(Message):
    """A plan, or why there is none."""

    def __init__(self, index: int, plan: Plan | Refusal) -> None:
        super().__init__()
        self.index = index
        self.plan = plan


class Writable(Message):
    """The store's guard could be had; ``by`` says by which means."""

    def __init__(self, index: int, by: str, *, offline: bool) -> None:
        super().__init__()
        self.index = index
        self.by = by
        self.offline = offline


class Applied(Message):
    """A change, an undo, a completion or a purge is done."""

    def __init__(self, index: int, action: str, receipt: Receipt) -> None:
        super().__init__()
        self.index = index
        self.action = action
        """``apply``, ``undo``, ``finish``, ``purge``"""
        self.receipt = receipt


class JournalReady(Message):
    """The changes of a store, oldest first."""

    def __init__(self, index: int, changes: tuple[PastChange, ...]) -> None:
        super().__init__()
        self.index = index
        self.changes = changes


class Previewed(Message):
    """Whether a change can be taken back as the store is now."""

    def __init__(self, index: int, change: str, problem: OrlopError | None) -> None:
        super().__init__()
        self.index = index
        self.change = change
        self.problem = problem
        """Why it can not; None where it can."""


class PlanSaved(Message):
    """A plan was written to a file."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path


class SnapshotWritten(Message):
    """All that is known of a store was written to a file."""

    def __init__(self, index: int, path: str, images: int) -> None:
        super().__init__()
        self.index = index
        self.path = path
        self.images = images


class Copied(Message):
    """A text went to the clipboard; ``how`` says which way it went."""

    def __init__(self, what: str, how: str) -> None:
        super().__init__()
        self.what = what
        self.how = how


class Failed(Message):
    """Something asked of the gateway was not done."""

    def __init__(self, index: int | None, action: str, error: OrlopError) -> None:
        super().__init__()
        self.index = index
        self.action = action
        """Which method: ``detail``, ``check``, ``plan``, ``unlock``, ``apply``, …"""
        self.error = error


class Working(Message):
    """How far a job is; the same job's next message may replace this one."""

    def __init__(self, index: int | None, what: str, done: int, total: int) -> None:
        super().__init__()
        self.index = index
        self.what = what
        """Empty when the job ended."""
        self.done = done
        self.total = total

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, Working)


class StoreChanged(Message):
    """A re-read found the store changed; ``delta.snapshot`` is the whole new state."""

    def __init__(self, index: int, delta: Delta, *, dated: bool = False) -> None:
        super().__init__()
        self.index = index
        self.delta = delta
        self.dated = dated
        """Whether it was read again because something was verified."""


class JobChanged(Message):
    """How a job stands; the next message about the same job may replace this one."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, JobChanged) and message.job.id == self.job.id


class SpaceReady(Message):
    """Where the bytes of a store are."""

    def __init__(self, index: int, space: Space, at: int) -> None:
        super().__init__()
        self.index = index
        self.space = space
        self.at = at
        """When they were measured, nanoseconds UTC."""


class Looked(Message):
    """The store was looked at again, and nothing had changed: what is shown is that new."""

    def __init__(self, index: int, seen_at: int) -> None:
        super().__init__()
        self.index = index
        self.seen_at = seen_at


class LiveState(Message):
    """Whether the screen follows the disk: ``live``, ``poll 5 s``, ``not watched: …``."""

    def __init__(self, index: int, text: str) -> None:
        super().__init__()
        self.index = index
        self.text = text
