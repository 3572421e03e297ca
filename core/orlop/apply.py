"""The one executor of plans: apply, undo, finish and purge, each under the store's guard.

A change is recorded whole before its first step (`orlop.journal`). Each step is one
rename: a thing goes to the quarantine, or new content that already waits there
takes the place of a file whose old self has been given a second name. So a kill
at any instant leaves every object old or new, and which of the two is read from
the disk, not from the journal's last line.

Afterwards the store is read again. If the change did damage that was not there
before, it is taken back.
"""

import contextlib
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from orlop.errors import Changed, Malformed, NoSpace, NotFound, OrlopError, Refused, Unfinished, WouldHarm, WrongKind
from orlop.finding import Finding, Severity
from orlop.fs import Root, Stat, changed_meanwhile, join
from orlop.fs.writer import Writer, parent, refuse_mounts
from orlop.intent import Intent
from orlop.journal import CHANGES, Change, Journal, Log, Recorded, Replaced, State, is_id, mark
from orlop.plan import Plan, Quarantine, Refusal, SavedPlan, Step, link_digest
from orlop.progress import Progress, Silent
from orlop.records import Condition
from orlop.store import ChecksNear, Statement, Store

_SILENT = Silent()
_CHUNK = 1 << 20
_TAKEN_BACK = "every step was taken back, the store is as it was"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What was done."""

    change: str
    """Id of the change in the journal; empty where nothing had to be done."""
    action: str
    steps: int
    bytes_freed: int
    """At once, by this."""
    bytes_quarantined: int
    """Kept for an undo, by this change; freed by a purge."""
    findings: tuple[Finding, ...] = ()
    """Damage found afterwards that was not there before; none after an `apply`, which would have been taken back."""
    remarks: tuple[str, ...] = ()
    """Further facts, each a clause."""


# --- the doors -----------------------------------------------------------------


def apply(
    store: Store,
    plan: Plan,
    journal: Journal,
    *,
    statement: Statement | None = None,
    progress: Progress = _SILENT,
) -> Receipt:
    """Do what a plan says, if the store is still what the plan saw.

    After a return the change is whole, durable and checked. After any error but
    `Unfinished` the store is as it was. A plan without steps is done at once.

    Raises:
        Locked, NeedsStatement, ReadOnly: as `Store.guard`; nothing was done.
        Unfinished: an earlier change was cut off; or this one failed and could not be taken back.
        Unsupported: a later version of Orlop was cut off.
        Refused: the store would refuse it now.
        Changed: the store is no longer what the plan saw; says what differs.
        WouldHarm: it did new damage and was taken back.
        NoSpace, StorageFailure, Cancelled and others: it failed and was taken back.
    """
    return _apply(store, plan.intent, plan.fingerprint, plan.to_json(), journal, statement, progress)


def apply_saved(
    store: Store,
    saved: SavedPlan,
    journal: Journal,
    *,
    statement: Statement | None = None,
    progress: Progress = _SILENT,
) -> Receipt:
    """Do what a plan file says: the plan is made anew from its intent and must come out the same.

    Raises:
        Refused: it was made for another store.
        Others as `apply`.
    """
    identity = store.identity
    if (saved.kind, saved.store) != (identity.kind, identity.token):
        raise Refused(
            "the plan was made for another store",
            (f"for the {saved.kind} store {saved.store}, and this is the {identity.kind} store {identity.token}",),
            do="make the plan again for this store",
        )
    return _apply(store, saved.intent, saved.fingerprint, saved.document, journal, statement, progress)


def undo(
    store: Store,
    journal: Journal,
    change_id: str | None = None,
    *,
    statement: Statement | None = None,
) -> Receipt:
    """Take a change back from the quarantine, last step first; also one that was cut off anywhere.

    Moved things come back by a rename, so with their own inodes; replaced files
    with their old bytes, owner, mode and attributes. It can be repeated after a
    failure or a kill.

    What others wrote in the place of something since is never overwritten. It
    keeps a whole change from being taken back; of one that was cut off, everything
    else is taken back, so that there always is a way out, and remarks name what stayed.

    Args:
        store: where it was done.
        journal: of that store.
        change_id: None for the last change that was not taken back.
        statement: as for `Store.guard`.

    Raises:
        NotFound: there is no such change, or none to take back.
        Refused: it was taken back already, its quarantine was emptied, or it was made in another store of this root.
        Changed: something that it would bring back is in the way, or has changed since; nothing was done.
            Of a change that was cut off only if its quarantine is no longer what it was.
        Malformed: its journal is damaged.
        Unfinished: another change was cut off.
        Unsupported: a later version of Orlop was cut off.
        Locked, NeedsStatement, ReadOnly, NoSpace, StorageFailure …
    """
    with store.guard(statement), journal.writing():
        change = _to_undo(journal, change_id)
        _refuse_another(store, change)
        store.refresh(None)
        before = _Health.of(store, _SILENT, _paths(change.steps))
        run = _Run(store, journal, change, cut_off=change.state is State.UNFINISHED)
        run.verify_backward()
        run.undo()
        return run.settled(before, f"undo of: {change.action}")


def check_undo(store: Store, journal: Journal, change_id: str) -> None:
    """Make sure that a change could be taken back as the store is now; changes nothing, and holds nothing.

    Raises:
        NotFound, Refused, Changed, Malformed, Unfinished, Unsupported: as `undo`.
    """
    change = _to_undo(journal, change_id)
    _refuse_another(store, change)
    _Run(store, journal, change, cut_off=change.state is State.UNFINISHED).verify_backward()


def finish(store: Store, journal: Journal, *, statement: Statement | None = None) -> Receipt:
    """Complete a change that was cut off; one that was being taken back is taken back wholly.

    Raises:
        NotFound: none was cut off.
        Unsupported: a later version of Orlop was cut off.
        Refused: it was made in another store of this root.
        Changed: the store is no longer what the change saw; nothing was done. `undo` takes back what was.
        WouldHarm: complete, it did new damage, and was taken back.
        Locked, NeedsStatement, ReadOnly, NoSpace, StorageFailure …
    """
    with store.guard(statement), journal.writing():
        journal.refuse_later()
        change = journal.unfinished()
        if change is None:
            raise NotFound("no change was cut off", do="there is nothing to finish")
        _refuse_another(store, change)
        store.refresh(None)
        run = _Run(store, journal, change, cut_off=True)
        if change.backward or run.was_going_back():
            before = _Health.of(store, _SILENT, _paths(change.steps))
            run.verify_backward()
            run.backward(State.ROLLED_BACK if change.toward is State.DONE else change.toward)
            return run.settled(before, f"undo of: {change.action}", "it was being taken back, and now is")
        try:
            run.verify_forward()
        except Changed as error:
            error.do = "`orlop undo PATH` takes back what was done of it"
            raise
        return run.forward(_Health.noted_in(change), _SILENT)


def purge(
    store: Store,
    journal: Journal,
    change_ids: Iterable[str] | None = None,
    *,
    statement: Statement | None = None,
) -> Receipt:
    """Empty the quarantine of changes that are done or taken back: their bytes are freed, and no undo remains.

    Needs no free space. Never touches a change that was cut off, nor one whose
    journal is damaged. It can be repeated after a failure or a kill.

    Args:
        store: where they were done.
        journal: of that store.
        change_ids: None for all.
        statement: as for `Store.guard`.

    Raises:
        NotFound: one of the ids is none.
        Refused: one of them was cut off or is damaged, or something is mounted in the quarantine.
        Locked, NeedsStatement, ReadOnly, StorageFailure …
    """
    with store.guard(statement), journal.writing():
        chosen, left = _to_purge(journal, change_ids)
        freed = sum(_purge_one(journal, change) for change in chosen)
        return Receipt(
            change=chosen[-1].id if len(chosen) == 1 else "",
            action=f"empty the quarantine of {len(chosen)} change{'' if len(chosen) == 1 else 's'}",
            steps=len(chosen),
            bytes_freed=freed,
            bytes_quarantined=0,
            remarks=tuple(f"{change.id} was left: it is {change.state.value}" for change in left),
        )


# --- apply ---------------------------------------------------------------------


def _apply(
    store: Store,
    intent: Intent,
    fingerprint: str,
    document: Mapping[str, object],
    journal: Journal,
    statement: Statement | None,
    progress: Progress,
) -> Receipt:
    if document.get("steps") == []:
        journal.refuse_unfinished()
        return Receipt(
            change="",
            action=str(document.get("action", "")),
            steps=0,
            bytes_freed=0,
            bytes_quarantined=0,
            remarks=("nothing had to be changed",),
        )
    with store.guard(statement) as exclusive, journal.writing():
        journal.refuse_unfinished()
        store.refresh(None)
        plan = _planned_again(store, intent, fingerprint, document)
        before = _Health.of(store, progress, _paths(plan.steps)).expecting(plan.reveals)
        log = journal.begin(
            plan,
            scope=store.identity.scope,
            held_by=exclusive.by,
            damage=before.damage,
            unsound=before.unsound,
        )
        return _Run(store, journal, log.change).forward(before, progress)


def _planned_again(store: Store, intent: Intent, fingerprint: str, document: Mapping[str, object]) -> Plan:
    """The same plan, made from what is on disk now."""
    try:
        plan = store.plan(intent)
    except NotFound as error:
        raise Changed(
            "the store changed since the plan was made", path=error.path, why=str(error), do="plan again"
        ) from error
    if isinstance(plan, Refusal):
        raise Refused(plan.action, plan.reasons, do=plan.do)
    if plan.fingerprint != fingerprint:
        raise Changed(
            "the store changed since the plan was made",
            why=_difference(document.get("steps"), plan.to_json()["steps"]),
            do="plan again",
        )
    return plan


def _difference(planned: object, now: object) -> str:
    """What a plan would do now and did not, and the reverse, in one clause."""
    before, after = Counter(_steps_in_words(planned)), Counter(_steps_in_words(now))
    parts = [
        f"{word} {step}" + (f" and {len(steps) - 1} more" if len(steps) > 1 else "")
        for word, steps in (
            ("it would now also", sorted((after - before).elements())),
            ("it would no longer", sorted((before - after).elements())),
        )
        for step in steps[:1]
    ]
    return "; ".join(parts) or "the reasons for its steps are no longer the same"


def _steps_in_words(steps: object) -> Iterator[str]:
    for step in steps if isinstance(steps, Sequence) else ():
        if isinstance(step, Mapping):
            seen = step.get("old") or step.get("inode") or "nothing"
            yield f"{step.get('op')} {step.get('path')} (having seen {seen} there)"


# --- health ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Health:
    """What was damaged, and which images were not sound, at one moment."""

    findings: tuple[Finding, ...]
    damage: frozenset[str]
    unsound: frozenset[str]
    images: frozenset[str] | None
    """Every image that was there; None where nobody noted it."""
    noted: bool = True

    @classmethod
    def of(cls, store: Store, progress: Progress, paths: Iterable[str]) -> "_Health":
        """As it is now, as far as a change of these paths can make a difference.

        What was good before is good after it if nothing of what the change could spoil is
        spoilt: the store is held meanwhile, so that nothing else changes. What a store leaves
        out before the change it leaves out after it, too, for the paths are the same.
        """
        if isinstance(store, ChecksNear):
            findings = store.check_near(paths, progress=progress)
        else:
            findings = store.check(None, content=False, progress=progress)
        found = tuple(f for f in findings if f.severity.is_damage)
        rows = store.rows().rows
        return cls(
            findings=found,
            damage=frozenset(text for f in found for text in _marks(f)),
            unsound=frozenset(row.id for row in rows if row.condition is not Condition.SOUND),
            images=frozenset(row.id for row in rows),
        )

    def expecting(self, reveals: Iterable[tuple[str, str, str]]) -> "_Health":
        """As if this damage had been found too: a plan told of it."""
        return replace(self, damage=self.damage | {mark(identity) for identity in reveals})

    @classmethod
    def noted_in(cls, change: Change) -> "_Health":
        """As the journal noted it before the change; what it did not note accuses nobody."""
        return cls(
            findings=(),
            damage=change.damage or frozenset(),
            unsound=change.unsound or frozenset(),
            images=None,
            noted=change.damage is not None and change.unsound is not None,
        )

    def new_since(self, before: "_Health") -> tuple[Finding, ...]:
        """Damage that was not there before."""
        if not before.noted:
            return ()
        return tuple(f for f in self.findings if before.damage.isdisjoint((mark(f.identity), *_place(f)[:1])))

    def lost_since(self, before: "_Health", expected: Iterable[str]) -> tuple[str, ...]:
        """Ids of images that were sound and are gone or are sound no more, those left out that a plan names."""
        broken = self.unsound - before.unsound if before.noted else frozenset()
        gone = (before.images - before.unsound - (self.images or frozenset())) if before.images is not None else set()
        return tuple(sorted((broken | gone) - set(expected)))

    def harm_since(self, before: "_Health", expected: Iterable[str]) -> tuple[str, ...]:
        """Each piece of new damage in words; none where all is as good as it was."""
        found = [f"{f.title} ({f.rule}) at {f.path}: {f.detail}" for f in self.new_since(before)]
        return (*found, *(f"image {image} was sound" for image in self.lost_since(before, expected)))


def _paths(steps: Iterable[Step | Recorded]) -> list[str]:
    """All that some steps write, move away or put in."""
    return [step.path for step in steps]


def _marks(finding: Finding) -> Iterator[str]:
    """What makes it the same damage afterwards: itself, and anything no worse of the same file."""
    yield mark(finding.identity)
    yield from _place(finding)


def _place(finding: Finding) -> tuple[str, ...]:
    """A mark of the file for this severity, then for each lesser one; none where a subject tells its findings apart.

    A file that was bad may be found bad by another rule once a change took away what needed it.
    """
    if finding.subject:
        return ()
    worst = _DAMAGE.index(finding.severity)
    return tuple(mark((severity, finding.path)) for severity in _DAMAGE[worst:])


_DAMAGE = tuple(severity for severity in Severity if severity.is_damage)


# --- steps ------------------------------------------------------------------------


class _Where(Enum):
    """How far a step has gone, as the disk tells it."""

    BEFORE = auto()
    AFTER = auto()
    TAKEN_BACK = auto()  # as before, and its new content is no longer kept
    GONE = auto()  # neither in its place nor in the quarantine


class _Run:
    """One recorded change being done or taken back; the store is held meanwhile.

    Of a change that was cut off an engine may have gone on since: it is taken back
    around what that wrote (`left`), for nothing else could ever settle it.
    """

    def __init__(self, store: Store, journal: Journal, change: Change, *, cut_off: bool = False) -> None:
        self.store = store
        self.change = change
        self.root: Root = journal.root
        self.writer: Writer = journal.writer
        self.log = Log(journal, change)
        self.cut_off = cut_off
        self.left: list[str] = []
        """Facts on what was not taken back."""

    # forward

    def verify_forward(self) -> None:
        """Make sure that every step that is still to be done can be.

        A step below or above the path of one that comes first is left to the moment it is done.

        Raises:
            Changed, Refused
        """
        for step in self.change.steps:
            if self._where(step) is _Where.GONE:
                raise _neither(step)
        self._verify(self.change.steps, _Where.BEFORE, self._can_be_done)

    def forward(self, before: "_Health", progress: Progress) -> Receipt:
        """Do every step that is not done, check, and say so in the journal; or take all of them back."""
        change = self.change
        try:
            for step in change.steps:
                progress.step("changes", step.number - 1, len(change.steps))
                self._do(step)
                self.log.add("step", number=step.number)
            progress.step("changes", len(change.steps), len(change.steps))
            self.store.refresh(None)
            harm = _Health.of(self.store, progress, _paths(change.steps)).harm_since(before, change.images)
            if harm:
                raise _would_harm(harm)
            self.log.add("done")
        except BaseException as error:
            self._roll_back(error)
            raise
        return Receipt(
            change=change.id,
            action=change.action,
            steps=len(change.steps),
            bytes_freed=0,
            bytes_quarantined=sum(step.step.bytes for step in change.steps),
        )

    def _do(self, step: Recorded) -> None:
        if self._where(step) is _Where.AFTER:
            return
        self._can_be_done(step)
        if isinstance(step.step, Quarantine):
            self.writer.move(step.path, step.old)
            return
        if step.step.old is None:
            self.writer.create_folders(parent(step.path)[0], mode=step.step.folder_mode)
            self.writer.move(step.new, step.path)
            return
        if self.root.exists(step.old):  # a second name from a run that was cut off here
            self.writer.remove(step.old)
        self.writer.keep(step.path, step.old)
        self.writer.move(step.new, step.path, replace=True)

    def _can_be_done(self, recorded: Recorded) -> None:
        step = recorded.step
        if isinstance(step, Quarantine):
            found = self._stat(step.path)
            if found is None or (found.kind, found.inode) != (step.kind, step.inode):
                raise changed_meanwhile(step.path)
            if recorded.mtime not in (None, found.mtime):
                raise changed_meanwhile(step.path)
            if step.kind == "folder":
                refuse_mounts(self.root, step.path)
            return
        if self._digest(step.path) != step.old:
            raise changed_meanwhile(step.path)
        if self._digest(recorded.new) != step.new:
            raise Changed("the new content that was kept for this file has changed", path=recorded.new)

    # backward

    def verify_backward(self) -> None:
        """Make sure that every step that was done can be taken back, likewise.

        Raises:
            Changed
        """
        self._verify(reversed(self.change.steps), _Where.AFTER, self._can_return)

    def was_going_back(self) -> bool:
        """Whether the disk shows that some step was taken back, whatever the journal could still say."""
        return any(self._where(step) is _Where.TAKEN_BACK for step in self.change.steps)

    def undo(self) -> None:
        """Take all back because a person asked for it."""
        if not self.change.backward:
            self.log.add("undoing", asked=True)
        try:
            self.backward(State.UNDONE)
        except OrlopError as error:
            error.why = _clauses(error.why, f"the change {self.change.id} is taken back in part")
            error.do = "`orlop undo PATH` goes on where this stopped"
            raise

    def backward(self, to: State) -> None:
        """Take back every step that was done, last first; then say so in the journal."""
        for step in reversed(self.change.steps):
            self._take_back(step)
        for folder in sorted({made for step in self.change.steps for made in step.folders}, reverse=True):
            self._remove_if_empty(folder)
        for step in self.change.steps:
            if isinstance(step.step, Replaced) and self.root.exists(step.new):
                self.writer.remove(step.new)
        self._leave_other_mounts()
        self.log.add("rolled-back" if to is State.ROLLED_BACK else "undone")

    def _take_back(self, step: Recorded) -> None:
        where = self._where(step)
        if where is _Where.GONE:
            self.left.append(f"{step.path} is gone: something else removed it")
        if where is _Where.AFTER:
            if self._stays(step):
                self.left.append(f"{step.path} was written since, and stays; what was there is at {step.old}")
                return
            self._can_return(step)
        if isinstance(step.step, Quarantine):
            if where is _Where.AFTER:
                self.writer.move(step.old, step.path)
        elif where is _Where.AFTER and step.step.old is None:
            self.writer.move(step.path, step.new)
        elif where is _Where.AFTER:
            self.writer.move(step.old, step.path, replace=True)
        elif where is _Where.BEFORE and self.root.exists(step.old):
            self.writer.remove(step.old)  # only the second name of a file that is still in place

    def _stays(self, recorded: Recorded) -> bool:
        """Whether something else is in the place of what would come back, and is left there."""
        if not self.cut_off:
            return False
        if isinstance(recorded.step, Quarantine):
            return self._stat(recorded.path) is not None
        return self._digest(recorded.path) != recorded.step.new

    def _can_return(self, recorded: Recorded) -> None:
        step = recorded.step
        if self._stays(recorded):
            return
        if isinstance(step, Quarantine):
            if self._stat(step.path) is not None:
                raise _in_the_way(step.path)
            kept = self._stat(recorded.old)
            if kept is None or kept.kind != step.kind:
                raise Changed("what was moved away is no longer in the quarantine", path=recorded.old)
            return
        if self._digest(step.path) != step.new:
            raise Changed(
                "the file was written to since the change",
                path=step.path,
                why="taking the change back would lose that",
                do="take later changes back first, the newest before the others: `orlop journal PATH` lists them",
            )
        if step.old is not None and self._digest(recorded.old) != step.old:
            raise Changed("the old content in the quarantine has changed", path=recorded.old)

    def _remove_if_empty(self, folder: str) -> None:
        if self.root.exists(folder) and not self.root.names(folder):
            self.writer.remove_folder(folder)

    def _leave_other_mounts(self) -> None:
        for home in self.change.homes:
            shelf = next((step.shelf for step in self.change.steps if step.home == home), "")
            if home and self.root.exists(shelf) and not self.root.names(shelf):
                self.writer.remove_folder(shelf)

    def _roll_back(self, error: BaseException) -> None:
        """Take all back after a failure, and add to the error what became of the store.

        Raises:
            Unfinished: that failed too.
        """
        try:
            # The store matters more than its journal; what was taken back is seen on the disk.
            with contextlib.suppress(OrlopError):
                self.log.add("undoing", asked=False, why=str(error) or type(error).__name__)
            self.backward(State.ROLLED_BACK)
        except OrlopError as second:
            stuck = Unfinished(self.change.id, path=self.change.path)
            stuck.why = f"{error}; and it could not be taken back: {second}"
            raise stuck from error
        finally:
            with contextlib.suppress(OrlopError):  # what is shown may be old; the first failure is the one to tell
                self.store.refresh(None)
        if isinstance(error, OrlopError):
            error.why = _clauses(error.why, "every other step was taken back" if self.left else _TAKEN_BACK, *self.left)

    def settled(self, before: "_Health", action: str, *remarks: str) -> Receipt:
        """The receipt of a change that was taken back, the store read anew."""
        self.store.refresh(None)
        left = [folder for step in self.change.steps for folder in step.folders if self.root.exists(folder)]
        return Receipt(
            change=self.change.id,
            action=action,
            steps=len(self.change.steps),
            bytes_freed=0,
            bytes_quarantined=0,
            findings=_Health.of(self.store, _SILENT, _paths(self.change.steps)).new_since(before),
            remarks=(*remarks, *self.left, *(f"{folder} was left: something else is in it" for folder in left)),
        )

    # both

    def _verify(self, steps: Iterable[Recorded], where: _Where, can: Callable[[Recorded], None]) -> None:
        first: list[str] = []
        for step in steps:
            if self._where(step) is not where:
                continue
            if not any(_overlap(step.path, path) for path in first):
                can(step)
            first.append(step.path)

    def _where(self, recorded: Recorded) -> _Where:
        """How far a step is, by what lies where.

        Raises:
            Changed: the thing is neither in its place nor in the quarantine, and the change was not cut off.
        """
        step = recorded.step
        if isinstance(step, Quarantine):
            if self.root.exists(recorded.old):
                return _Where.AFTER
            if self.root.exists(step.path):
                return _Where.BEFORE
            if self.cut_off:
                return _Where.GONE
            raise _neither(recorded)
        if self.root.exists(recorded.new):
            return _Where.BEFORE
        done = self.root.exists(recorded.old) if step.old is not None else self.root.exists(step.path)
        return _Where.AFTER if done else _Where.TAKEN_BACK

    def _stat(self, path: str) -> Stat | None:
        try:
            return self.root.stat(path)
        except (NotFound, WrongKind):
            return None

    def _digest(self, path: str) -> str | None:
        """The digest of a regular file, or `link_digest`; None where nothing is, and a text that is no digest else."""
        found = self._stat(path)
        if found is None:
            return None
        if found.kind == "link":
            return link_digest(self.root.link_target(path))
        if found.kind != "file":
            return found.kind
        with self.root.stream(path) as file:
            total = hashlib.sha256()
            while chunk := file.read(_CHUNK):
                total.update(chunk)
        return "sha256:" + total.hexdigest()


# --- purge and undo: which ones ---------------------------------------------------


def _to_undo(journal: Journal, change_id: str | None) -> Change:
    journal.refuse_later()
    unfinished = journal.unfinished()
    if change_id is not None:
        change = journal.find(change_id)
    elif unfinished is not None:
        return unfinished
    else:
        left = [
            change
            for change in journal.changes()
            if change.state not in (State.UNDONE, State.ROLLED_BACK) and is_id(change.id)
        ]
        if not left:
            raise NotFound("there is no change to undo", path=CHANGES)
        change = left[-1]
    match change.state:
        case State.DAMAGED:
            raise Malformed(change.why, path=change.path, do="name an earlier change to undo that one")
        case State.PURGED:
            raise Refused(
                f"the change {change.id} cannot be taken back",
                ("its quarantine was emptied",),
                do="pull or load the images again",
            )
        case State.UNDONE | State.ROLLED_BACK:
            raise Refused(f"the change {change.id} cannot be taken back", ("it was taken back already",))
    if unfinished is not None and change.id != unfinished.id:
        raise Unfinished(unfinished.id, path=unfinished.path)
    return change


def _refuse_another(store: Store, change: Change) -> None:
    """Make sure that a change is checked by the store that it was made in: one root may hold several."""
    identity = store.identity
    if (change.kind, change.scope) != (identity.kind, identity.scope):
        made_in = f"{change.kind}:{change.scope}" if change.scope else change.kind
        raise Refused(
            f"the change {change.id} cannot be handled from here",
            (f"it was made in {made_in}, and this is {identity.label}",),
            do=f"open {made_in} in the same folder",
        )


def _to_purge(journal: Journal, change_ids: Iterable[str] | None) -> tuple[list[Change], list[Change]]:
    """Changes to purge, and those that an unnamed purge leaves."""
    if change_ids is None:
        changes = journal.changes()
        left = [change for change in changes if change.state in (State.UNFINISHED, State.DAMAGED)]
        return [c for c in changes if c not in left and (c.state is State.DONE or _kept(journal, c))], left
    chosen = [journal.find(change_id) for change_id in change_ids]
    for change in chosen:
        if change.state in (State.UNFINISHED, State.DAMAGED):
            raise Refused(
                f"the quarantine of {change.id} cannot be emptied",
                (f"the change is {change.state.value}",),
                path=change.path,
                do="finish or undo it first" if change.state is State.UNFINISHED else "",
            )
    return chosen, []


def _kept(journal: Journal, change: Change) -> list[str]:
    """Everything that lies in the quarantine of a change."""
    shelves = [join(home, CHANGES, change.id) for home in change.homes]
    return [
        join(shelf, name)
        for shelf in shelves
        if journal.root.exists(shelf)
        for name in journal.root.names(shelf)
        if name.endswith((".old", ".new", ".gone"))
    ]


def _purge_one(journal: Journal, change: Change) -> int:
    """Free what one change keeps; bytes."""
    root, writer, log = journal.root, journal.writer, Log(journal, change)
    kept = _kept(journal, change)
    for path in kept:
        if root.stat(path).kind == "folder":
            refuse_mounts(root, path)
    if change.state is State.DONE:
        with contextlib.suppress(NoSpace):  # it is said afterwards too, when there is room
            log.add("purging")
    freed = 0
    doomed = [_doom(writer, path) for path in kept]
    for path in doomed:
        freed += root.allocated(path)
        writer.remove_tree(path)
    for home in change.homes:
        shelf = join(home, CHANGES, change.id)
        if home and root.exists(shelf):
            writer.remove_folder(shelf)
    if change.state in (State.DONE, State.PURGED):
        log.add("purged", bytes=freed)
    return freed


def _doom(writer: Writer, path: str) -> str:
    """Give a kept thing the name that says that it may be incomplete, so that no undo brings it back."""
    if path.endswith(".gone"):
        return path
    gone = path + ".gone"
    writer.move(path, gone)
    return gone


# --- words -------------------------------------------------------------------------


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(other + "/") or other.startswith(one + "/")


def _clauses(*clauses: str) -> str:
    return "; ".join(clause for clause in clauses if clause)


def _neither(recorded: Recorded) -> Changed:
    return Changed("it is neither in its place nor in the quarantine", path=recorded.path)


def _in_the_way(path: str) -> Changed:
    return Changed(
        "something is in the place of what would come back",
        path=path,
        why="it was made since the change",
        do="move it away, or keep the change",
    )


def _would_harm(harm: Sequence[str]) -> WouldHarm:
    more = f"; and {len(harm) - 5} more" if len(harm) > 5 else ""
    return WouldHarm("the change would damage something that was good", why="; ".join(harm[:5]) + more)
