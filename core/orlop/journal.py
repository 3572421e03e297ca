"""What was done to a store, kept in the store: the journal, and the quarantine beside it.

Everything lies in ``.orlop`` (mode 0700) of the store's root, which engines ignore,
so that another person or another machine can finish or undo::

    .orlop/changes/<UTC time>-<random>/     one change
        journal                             JSON Lines, only ever added to
        000001.old                          what step 1 moved away, or the file that it replaced
        000001.new                          new content of step 1, until it is in place
        000001.old.gone                     the same while it is being purged
    .orlop/changes/.new-<…>/                a change that was cut off before it began: nothing was done

A step whose path lies on a mount of its own keeps its two files in ``.orlop`` of
that mount's topmost folder, and its record says so (`Recorded.home`).

The first line of a journal, ``begin``, holds the whole change; then comes a line
for every finished step, and one for each turn: ``done``, ``undoing``, ``undone``,
``rolled-back``, ``purging``, ``purged``. A last line without its newline is torn
and does not count. What a step has really done is read from the disk, never from
these lines (`orlop.apply`).

Reading writes nothing, and a journal is read as a stranger's: whatever does not
parse makes a change `State.DAMAGED` and nothing worse.
"""

import contextlib
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NoReturn, Self, TypeAlias

from orlop import locks, times
from orlop.errors import AlreadyExists, Malformed, NotFound, OrlopError, TooLarge, Unfinished, Unsupported
from orlop.fs import Root, join, split
from orlop.fs.writer import SYSTEM, FileOps, Writer, missing_folders, parent
from orlop.intent import Intent, intent_from_json, intent_to_json
from orlop.plan import Link, Place, Plan, Quarantine, Replace, Step, link_digest

FOLDER = ".orlop"
CHANGES = ".orlop/changes"
VERSION = 1

_JOURNAL = "journal"
_DRAFT = ".new-"
_ID = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{9}Z-[0-9a-f]{8}", re.ASCII)
_LIMIT = 64 << 20
_CHUNK = 1 << 20
_CLOSED = frozenset({"done", "undone", "rolled-back", "purging", "purged"})
_MOST_NOTED = 40_000
_MOST_TURNS = 1_000
_TURNS_A_STEP = 16  # a change that is cut off and finished again and again repeats no step, but may say so


class State(StrEnum):
    """Where a change stands."""

    DONE = "done"
    UNDONE = "undone"  # a person took it back
    ROLLED_BACK = "rolled back"  # it failed, and was taken back at once
    UNFINISHED = "unfinished"  # cut off; it must be finished or undone before anything else
    PURGED = "purged"  # done, and its quarantine emptied: no way back
    DAMAGED = "damaged"  # its record cannot be read


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """A `Replace`, `Place` or `Link` as the journal keeps it: the new content lies beside it, here is its digest."""

    path: str
    old: str | None
    new: str
    size: int
    """Bytes of the new content."""
    mode: int
    bytes: int
    """Allocated on disk for the old file."""
    folder_mode: int = 0o700
    """Permission bits of the folders that are missing above it."""
    target: str | None = None
    """Of a `Link`: what it holds."""

    def to_json(self) -> dict[str, object]:
        link = {} if self.target is None else {"target": self.target}
        return link | {
            "op": "replace" if self.target is None else "link",
            "path": self.path,
            "old": self.old,
            "new": self.new,
            "size": self.size,
            "mode": self.mode,
            "bytes": self.bytes,
            "folder_mode": self.folder_mode,
        }


RecordedStep: TypeAlias = Replaced | Quarantine


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One step of a recorded change, and where its files lie."""

    change: str
    """The id of the change."""
    number: int
    """From 1."""
    step: RecordedStep
    home: str
    """The folder whose ``.orlop`` keeps its files; empty for the root."""
    folders: tuple[str, ...]
    """Folders that the step makes for its file, topmost first."""
    mtime: int | None
    """Of a thing to be moved away, in nanoseconds: an inode number alone is soon given to another file.

    None for a file to be replaced, and where another step writes in or above it.
    """

    @property
    def path(self) -> str:
        return self.step.path

    @property
    def shelf(self) -> str:
        """The folder that keeps this step's files."""
        return join(self.home, CHANGES, self.change)

    @property
    def old(self) -> str:
        """Where the thing lies that the step took away."""
        return join(self.shelf, f"{self.number:06}.old")

    @property
    def new(self) -> str:
        """Where new content waits."""
        return join(self.shelf, f"{self.number:06}.new")

    def to_json(self) -> dict[str, object]:
        return {**self.step.to_json(), "home": self.home, "folders": list(self.folders), "mtime": self.mtime}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change as its journal tells it."""

    id: str
    at: int
    """When it began."""
    action: str
    state: State
    bytes: int
    """In the quarantine, as they were counted when they went there."""
    kind: str
    scope: str
    """Which of the stores in this root it was made in, as `StoreId.scope`."""
    intent: Intent | None
    """None where the journal is damaged."""
    fingerprint: str
    images: tuple[str, ...]
    steps: tuple[Recorded, ...]
    finished: int
    """Steps that the journal says are finished; the disk may be one ahead."""
    toward: State
    """What it was on its way to when its journal ends: `DONE`, `UNDONE` or `ROLLED_BACK`."""
    user: int | None
    """User id of who made it."""
    held_by: str
    """What kept the engine away."""
    why: str
    """Why it was taken back, or why it cannot be read; else empty."""
    damage: frozenset[str] | None = None
    """Marks of the damage from before the change, as the executor makes them; None where they were too many to note."""
    unsound: frozenset[str] | None = None
    """Ids of images that were not sound before; None likewise."""
    length: int = 0
    """Bytes of the journal that count."""
    open_later: bool = False
    """Whether a later version of Orlop made it, and its last line does not close it: it may be half done."""

    @property
    def backward(self) -> bool:
        """Whether taking it back had begun."""
        return self.toward is not State.DONE

    @property
    def homes(self) -> tuple[str, ...]:
        """The folders whose ``.orlop`` keeps something of it, the root first."""
        return tuple(sorted({"", *(step.home for step in self.steps)}))

    @property
    def path(self) -> str:
        return join(CHANGES, self.id)


def is_id(name: str) -> bool:
    """Whether a text has the shape of a change's id."""
    return _ID.fullmatch(name) is not None


def mark(identity: Iterable[str]) -> str:
    """A short text for what makes a finding the same later."""
    return hashlib.sha256("\0".join(identity).encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Journal:
    """The changes of one store. Reading needs nothing but the root; the rest is the executor's."""

    def __init__(self, root: Root, ops: FileOps = SYSTEM) -> None:
        self.root = root
        self.writer = Writer(root, ops)

    @classmethod
    def of(cls, root: Root, ops: FileOps = SYSTEM) -> Self:
        """The journal of a store; it may not have one yet."""
        return cls(root, ops)

    # --- reading -----------------------------------------------------------

    def changes(self) -> tuple[Change, ...]:
        """Every change, oldest first; what cannot be read, or may not be, is there as damaged. Writes nothing."""
        try:
            names = self.root.names(CHANGES)
        except NotFound:
            return ()
        except OrlopError as error:
            if self.root.exists(FOLDER):
                return (_damaged("changes", str(error)),)
            raise
        return tuple(self._read(name) for name in names if not name.startswith(_DRAFT))

    def unfinished(self) -> Change | None:
        """The change that was cut off, if there is one; the oldest, if a stranger's journal has several."""
        return next((change for change in self.changes() if change.state is State.UNFINISHED), None)

    def find(self, change_id: str) -> Change:
        """One change by its id, or by a beginning of the id that no other has.

        Raises:
            NotFound: there is none, or several begin so.
        """
        found = [change for change in self.changes() if change.id.startswith(change_id)]
        exact = [change for change in found if change.id == change_id]
        if len(exact or found) != 1:
            raise NotFound(
                "there is no such change in the journal", path=CHANGES, why=repr(change_id), do="`orlop journal PATH`"
            )
        return (exact or found)[0]

    def _read(self, name: str) -> Change:
        if not is_id(name):
            return _damaged(name, "its name is none that a change can have")
        try:
            data = self.root.read(join(CHANGES, name, _JOURNAL), _LIMIT)
            change = _parse(name, data)
            if change.state is State.DONE and any(n.endswith(".gone") for n in self.root.names(change.path)):
                # Cut off while it was emptied, on a disk too full to say so first.
                return replace(change, state=State.PURGED, bytes=0)
        except _Later as error:
            return replace(_damaged(name, str(error)), open_later=not _closed(data))
        except OrlopError as error:
            return _damaged(name, str(error))
        return change

    # --- writing (the executor's) --------------------------------------------

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Keep every other Orlop from writing to this store, and clear what one left that never began.

        Raises:
            Locked: another one is writing.
            ReadOnly, NoPermission, NoSpace: the folder cannot be made.
        """
        with contextlib.ExitStack() as stack:
            self._lock(stack)
            try:
                self._sweep()
                yield
            finally:
                self._tidy()

    def _lock(self, stack: contextlib.ExitStack) -> None:
        for _ in range(3):
            if not self.root.exists(FOLDER):
                with contextlib.suppress(AlreadyExists):  # another Orlop was quicker
                    self.writer.create_folder(FOLDER)
            try:
                stack.enter_context(locks.hold(self.root, FOLDER))
                return
            except NotFound:
                continue  # another Orlop found nothing to keep and removed it at this moment
        stack.enter_context(locks.hold(self.root, FOLDER))

    def _tidy(self) -> None:
        """Leave no empty folder behind where nothing was kept."""
        with contextlib.suppress(OrlopError):  # best effort: an empty folder harms nobody
            if self.root.exists(CHANGES) and not self.root.names(CHANGES):
                self.writer.remove_folder(CHANGES)
            if not self.root.names(FOLDER):
                self.writer.remove_folder(FOLDER)

    def _sweep(self) -> None:
        if not self.root.exists(CHANGES):
            return
        for name in self.root.names(CHANGES):
            if name.startswith(_DRAFT):
                self._discard(name)

    def _discard(self, draft: str) -> None:
        """Remove a change that never began, its folders on other mounts first: its journal names them."""
        change_id = draft.removeprefix(_DRAFT)
        path = join(CHANGES, draft)
        try:
            change = _parse(change_id, self.root.read(join(path, _JOURNAL), _LIMIT))
        except OrlopError:
            homes: tuple[str, ...] = ()  # its first line was not whole, so nothing lies elsewhere yet
        else:
            homes = change.homes
        for home in homes:
            shelf = join(home, CHANGES, change_id)
            if home and self.root.exists(shelf):
                self.writer.remove_tree(shelf)
        self.writer.remove_tree(path)

    def begin(
        self, plan: Plan, *, scope: str = "", held_by: str, damage: Iterable[str], unsound: Iterable[str]
    ) -> "Log":
        """Record a change before its first step, the new content of every file included; all of it durable.

        On any failure nothing of it is left. Nothing of the store itself is touched.

        Raises:
            Unfinished: the disk failed for good just after the change was recorded; none of its steps was done.
            TooLarge: a journal of so many steps could not be read again; change less at once.
            NotFound: something that a step names is no longer there.
            NoSpace and others of `Writer`.
        """
        at = self._next_instant()
        change_id = _identity(at)
        shared = _overlapping(plan.steps)
        steps = tuple(
            self._record(change_id, number, step, alone=step.path not in shared)
            for number, step in enumerate(plan.steps, 1)
        )
        line = {
            "type": "begin",
            "version": VERSION,
            "at": times.rfc3339(at),
            "user": os.getuid(),
            "action": plan.action,
            "kind": plan.kind,
            "scope": scope,
            "store": plan.store,
            "held_by": held_by,
            "fingerprint": plan.fingerprint,
            "intent": intent_to_json(plan.intent),
            "images": list(plan.images),
            "steps": [step.to_json() for step in steps],
            "damage": _few(damage),
            "unsound": _few(unsound),
        }
        data = _line(line)
        if len(data) > _LIMIT // 2:
            raise TooLarge(len(data), _LIMIT // 2, path=CHANGES)
        draft = join(CHANGES, _DRAFT + change_id)
        self.writer.create_folders(CHANGES)
        try:
            self.writer.create_folder(draft)
            self.writer.create(join(draft, _JOURNAL), data)
            self._stage(draft, steps, plan)
            self.writer.move(draft, join(CHANGES, change_id))
        except BaseException as error:
            self._forget(change_id)
            if self.root.exists(join(CHANGES, change_id)):
                raise Unfinished(change_id, path=join(CHANGES, change_id)) from error
            raise
        return Log(self, _parse(change_id, data))

    def _forget(self, change_id: str) -> None:
        """Remove a change of which no step was done; what this cannot remove, the next writer will."""
        draft, final = join(CHANGES, _DRAFT + change_id), join(CHANGES, change_id)
        with contextlib.suppress(OrlopError):
            if self.root.exists(final):
                self.writer.move(final, draft)
        with contextlib.suppress(OrlopError):
            if self.root.exists(draft):
                self._discard(_DRAFT + change_id)

    def _stage(self, draft: str, steps: Iterable[Recorded], plan: Plan) -> None:
        for recorded, step in zip(steps, plan.steps, strict=True):
            shelf = recorded.shelf if recorded.home else draft
            if recorded.home:
                self.writer.create_folders(shelf)
            waiting = join(shelf, recorded.new.rpartition("/")[2])
            if isinstance(step, Replace):
                self.writer.create(waiting, step.new, mode=step.mode, like=self._model(step))
            elif isinstance(step, Link):
                self.writer.create_link(waiting, step.target)
            elif isinstance(step, Place):
                self._keep(step.source, waiting, linked=not recorded.home)

    def _keep(self, source: str, waiting: str, *, linked: bool) -> None:
        """Give waiting content a second name, or a copy where that lies on another mount."""
        if linked:
            self.writer.keep(source, waiting)
            return
        with self.root.stream(source) as file:
            self.writer.create_from(waiting, iter(lambda: file.read(_CHUNK), b""), like=source)

    def _model(self, step: Replace) -> str | None:
        """What the new file takes its owner from: the old file, or the nearest folder."""
        if step.old is not None:
            return step.path
        above, _ = parent(step.path)
        missing = missing_folders(self.root, above)
        return (parent(missing[0])[0] if missing else above) or None

    def _record(self, change_id: str, number: int, step: Step, *, alone: bool) -> Recorded:
        if FOLDER in split(step.path):
            raise Malformed("a step would change the journal itself", path=step.path)
        above, _ = parent(step.path)
        makes = not isinstance(step, Quarantine) and step.old is None
        folders = missing_folders(self.root, above) if makes else ()
        kept = step if isinstance(step, Quarantine) else self._replaced(step)
        return Recorded(
            change=change_id,
            number=number,
            step=kept,
            home=self.writer.home(step.path),
            folders=folders,
            mtime=self.root.stat(step.path).mtime if isinstance(kept, Quarantine) and alone else None,
        )

    def _replaced(self, step: Replace | Place | Link) -> Replaced:
        if isinstance(step, Link):
            return _linked(step.path, step.target, step.folders)
        return Replaced(
            path=step.path,
            old=step.old,
            new=step.new_digest,
            size=len(step.new) if isinstance(step, Replace) else step.size,
            mode=step.mode if isinstance(step, Replace) else self.root.stat(step.source).mode,
            bytes=self.root.stat(step.path).allocated if step.old is not None else 0,
            folder_mode=step.folders,
        )

    def _next_instant(self) -> int:
        """Now, yet after the last recorded change, so that their order stays what it was if the clock is set back."""
        now = times.now()
        recorded = [name for name in self.root.names(CHANGES) if is_id(name)] if self.root.exists(CHANGES) else []
        return max(now, self._read(recorded[-1]).at + 1) if recorded else now

    def refuse_unfinished(self) -> None:
        """Make sure that no earlier change was cut off.

        Raises:
            Unfinished
            Unsupported: as `refuse_later`.
        """
        self.refuse_later()
        change = self.unfinished()
        if change is not None:
            raise Unfinished(change.id, path=change.path)

    def refuse_later(self) -> None:
        """Make sure that no later version of Orlop was cut off, whose change this one cannot read.

        Raises:
            Unsupported: one was.
        """
        change = next((change for change in self.changes() if change.open_later), None)
        if change is not None:
            raise Unsupported(
                f"the change {change.id} of a later version of Orlop was cut off before its end",
                path=change.path,
                why=change.why,
                do="finish it or take it back with that version",
            )


class Log:
    """The journal of one change, open for adding to; each line is durable when `add` returns."""

    def __init__(self, journal: Journal, change: Change) -> None:
        self.journal = journal
        self.change = change
        self._length = change.length

    def add(self, kind: str, **members: object) -> None:
        """Add a line; a torn one from before is cut off.

        Raises:
            NoSpace and others of `Writer.append`; the journal then ends where it ended.
        """
        data = _line({"type": kind, "at": times.rfc3339(times.now()), **members})
        self.journal.writer.append(join(self.change.path, _JOURNAL), data, after=self._length)
        self._length += len(data)


# --- the lines ---------------------------------------------------------------


class _Later(Malformed):
    """What only a later version of this program can have written."""


def _closed(data: bytes) -> bool:
    """Whether the last line that counts closes a change, whatever version wrote it."""
    last = data[: data.rfind(b"\n")].rpartition(b"\n")[2]
    try:
        value = json.loads(last)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and value.get("type") in _CLOSED


def _identity(at: int) -> str:
    seconds, _, fraction = times.rfc3339(at).removesuffix("Z").partition(".")
    compact = seconds.replace("-", "").replace(":", "")
    return f"{compact}.{fraction.ljust(9, '0')}Z-{secrets.token_hex(4)}"


def _overlapping(steps: Iterable[Step]) -> frozenset[str]:
    """Paths of steps that lie in the folder of another step's path, or above it."""
    paths = sorted((step.path for step in steps), key=lambda path: path.split("/"))
    found: set[str] = set()
    above = ""
    for path in paths:
        if above and (path == above or path.startswith(above + "/")):
            found |= {above, path}
        else:
            above = path
    return frozenset(found)


def _line(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _few(texts: Iterable[str]) -> list[str] | None:
    listed = sorted(texts)
    return listed if len(listed) <= _MOST_NOTED else None


def _damaged(change_id: str, why: str) -> Change:
    return Change(
        id=change_id,
        at=0,
        action="",
        state=State.DAMAGED,
        bytes=0,
        kind="",
        scope="",
        intent=None,
        fingerprint="",
        images=(),
        steps=(),
        finished=0,
        toward=State.DONE,
        user=None,
        held_by="",
        why=why,
    )


def _parse(change_id: str, data: bytes) -> Change:
    """A change from its journal.

    Raises:
        Malformed: a line that counts is not what it must be.
    """
    whole = data[: data.rfind(b"\n") + 1]
    first, _, rest = whole.partition(b"\n")
    if not whole:
        raise Malformed("its first line is missing or torn")
    begin = _object(first, 1)
    if begin.get("type") != "begin":
        _wrong(1, "not the beginning of a change")
    version = begin.get("version")
    if type(version) is int and version > VERSION:
        raise _Later(f"line 1: version {version}, where this program knows {VERSION}")
    if version != VERSION:
        _wrong(1, f"version {version!r}, where this program knows {VERSION}")
    change = _begun(change_id, begin, len(whole))
    if rest.count(b"\n") > _MOST_TURNS + _TURNS_A_STEP * len(change.steps):
        raise Malformed("it has more lines than a change can have")
    for number, line in enumerate(rest.split(b"\n")[:-1], 2):
        change = _turn(change, _object(line, number), number)
    if change.state in (State.DONE, State.UNFINISHED):
        kept = change.steps if change.state is State.DONE else change.steps[: change.finished]
        change = replace(change, bytes=sum(step.step.bytes for step in kept))
    return change


def _begun(change_id: str, line: Mapping[str, object], length: int) -> Change:
    raw = line.get("steps")
    if not isinstance(raw, list):
        _wrong(1, "it lists no steps")
    return Change(
        id=change_id,
        at=times.parse(_text(line, "at")),
        action=_text(line, "action"),
        state=State.UNFINISHED,
        bytes=0,
        kind=_text(line, "kind"),
        scope=_text(line, "scope"),
        intent=_intent(line.get("intent")),
        fingerprint=_text(line, "fingerprint"),
        images=_texts(line, "images"),
        steps=tuple(_step(change_id, number, value) for number, value in enumerate(raw, 1)),
        finished=0,
        toward=State.DONE,
        user=_whole(line, "user"),
        held_by=_text(line, "held_by"),
        why="",
        damage=None if line.get("damage") is None else frozenset(_texts(line, "damage")),
        unsound=None if line.get("unsound") is None else frozenset(_texts(line, "unsound")),
        length=length,
    )


def _intent(value: object) -> Intent:
    try:
        return intent_from_json(value)
    except Malformed as error:
        if error.field == "intent.do" and isinstance(value, dict) and isinstance(value.get("do"), str):
            raise _Later(f"line 1: {error.why}") from error
        raise


def _turn(change: Change, line: Mapping[str, object], number: int) -> Change:
    """The change after one more line; kinds of lines that are not known say nothing."""
    match line.get("type"):
        case "begin":
            _wrong(number, "it begins twice")
        case "step":
            return replace(change, finished=min(change.finished + 1, len(change.steps)))
        case "done":
            return replace(change, state=State.DONE, toward=State.DONE)
        case "undoing":
            why = line.get("why")
            toward = State.UNDONE if line.get("asked") is True else State.ROLLED_BACK
            return replace(change, state=State.UNFINISHED, toward=toward, why=why if isinstance(why, str) else "")
        case "undone":
            return replace(change, state=State.UNDONE, toward=State.UNDONE)
        case "rolled-back":
            return replace(change, state=State.ROLLED_BACK, toward=State.ROLLED_BACK)
        case "purging" | "purged" if change.state is State.DONE:
            return replace(change, state=State.PURGED)
    return change


def _step(change_id: str, number: int, value: object) -> Recorded:
    if not isinstance(value, dict):
        _wrong(1, f"step {number} is no object")
    path, home, folders = _text(value, "path"), _text(value, "home"), _texts(value, "folders")
    for place in (path, home, *folders):
        if FOLDER in split(place):
            _wrong(1, f"step {number} would change the journal itself")
    parent(path)
    if home and not path.startswith(home + "/"):
        _wrong(1, f"step {number} keeps its files elsewhere")
    if any(not path.startswith(folder + "/") for folder in folders):
        _wrong(1, f"step {number} makes a folder that it has no use for")
    step: RecordedStep
    match value.get("op"):
        case "replace":
            step = Replaced(
                path=path,
                old=None if value.get("old") is None else _text(value, "old"),
                new=_text(value, "new"),
                size=_whole(value, "size"),
                mode=_whole(value, "mode") & 0o7777,
                bytes=_whole(value, "bytes"),
                folder_mode=_whole(value, "folder_mode") & 0o7777 if "folder_mode" in value else 0o700,
            )
        case "link":
            folders_mode = _whole(value, "folder_mode") & 0o7777
            step = _linked(path, _text(value, "target"), folders_mode)
        case "quarantine":
            step = Quarantine(
                path=path, kind=_text(value, "kind"), inode=_whole(value, "inode"), bytes=_whole(value, "bytes")
            )
        case other:
            raise _Later(f"line 1: step {number} has the unknown operation {other!r}")
    mtime = value.get("mtime")  # before 1970 it is below nothing
    if mtime is not None and type(mtime) is not int:
        _wrong(1, f"step {number} has a time that is none")
    return Recorded(change=change_id, number=number, step=step, home=home, folders=folders, mtime=mtime)


def _linked(path: str, target: str, folder_mode: int) -> Replaced:
    return Replaced(
        path=path,
        old=None,
        new=link_digest(target),
        size=len(target),
        mode=0o777,
        bytes=0,
        folder_mode=folder_mode,
        target=target,
    )


def _object(line: bytes, number: int) -> Mapping[str, object]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        _wrong(number, "not JSON")
    if not isinstance(value, dict):
        _wrong(number, "not an object")
    return value


def _text(line: Mapping[str, object], name: str) -> str:
    value = line.get(name)
    if not isinstance(value, str):
        _wrong(1, f"{name} is no text")
    return value


def _texts(line: Mapping[str, object], name: str) -> tuple[str, ...]:
    value = line.get(name)
    if not isinstance(value, list):
        _wrong(1, f"{name} is no list of texts")
    texts = tuple(item for item in value if isinstance(item, str))
    if len(texts) != len(value):
        _wrong(1, f"{name} is no list of texts")
    return texts


def _whole(line: Mapping[str, object], name: str) -> int:
    value = line.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        _wrong(1, f"{name} is no count")
    return value


def _wrong(number: int, why: str) -> NoReturn:
    raise Malformed(f"line {number}: {why}")
