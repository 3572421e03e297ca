"""A harness that fails every system call of a change in turn, and a small store to run it on.

`Harness.run` is generic: it takes a maker of a store's folder, a way to open it
and an intent, and works for a store of any kind.
"""

import errno
import hashlib
import itertools
import json
import os
import shutil
import signal
import stat
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeAlias

import pytest

from orlop import apply as executor
from orlop import incoming, locks
from orlop.digest import Digest
from orlop.errors import NotFound, OrlopError, Refused, Unfinished, Unsupported
from orlop.finding import Finding, Repair, Rule, Severity
from orlop.fs import Root
from orlop.fs.writer import System
from orlop.intent import Import, Intent, Remove, Tag, Untag
from orlop.journal import Journal, State
from orlop.plan import Place, Plan, Quarantine, Reason, Refusal, Replace, Step
from orlop.progress import Progress
from orlop.records import (
    Absent,
    Condition,
    Delta,
    Detail,
    EngineState,
    Facet,
    Holding,
    Key,
    Records,
    Row,
    Snapshot,
    StoreId,
    Trust,
    Why,
)
from orlop.space import Space
from orlop.store import Exclusive, Fetched, Hashing, Saved, Statement, Store

# --- faults ------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens at the n-th system call that changes anything."""

    name: str
    number: int | None
    """The errno; None for a kill."""
    when: str = "before"
    """``before`` the call, ``after`` it, or ``half``: only writes fail, and do half their work first."""
    lasting: bool = False
    """Whether every later call fails too."""


KILL = Fault(name="SIGKILL", number=None)
KILL_HALF = Fault(name="SIGKILL amid a write", number=None, when="half")
FULL = Fault(name="ENOSPC", number=errno.ENOSPC)
FULL_HALF = Fault(name="ENOSPC amid a write", number=errno.ENOSPC, when="half")
BROKEN = Fault(name="EIO", number=errno.EIO)
BROKEN_HALF = Fault(name="EIO amid a write", number=errno.EIO, when="half")
BROKEN_AFTER = Fault(name="EIO though it was done", number=errno.EIO, when="after")
FULL_FOR_GOOD = Fault(name="ENOSPC for good", number=errno.ENOSPC, lasting=True)
READ_ONLY_FOR_GOOD = Fault(name="EROFS for good", number=errno.EROFS, lasting=True)
FAULTS = (
    KILL,
    KILL_HALF,
    FULL,
    FULL_HALF,
    FULL_FOR_GOOD,
    BROKEN,
    BROKEN_HALF,
    BROKEN_AFTER,
    READ_ONLY_FOR_GOOD,
)

# Faults take turns within a series: call 1 meets the first, call 2 the next, and so on.
EVERY_FAULT_AT_EVERY_CALL = tuple((fault,) for fault in FAULTS)
KILL_AND_ONE_OTHER_AT_EVERY_CALL = (
    (KILL,),
    (KILL_HALF,),
    (FULL, BROKEN_AFTER, FULL_FOR_GOOD, BROKEN, READ_ONLY_FOR_GOOD),
)
ACTS = ("apply", "undo", "finish", "undo unfinished", "purge")


class Dead(BaseException):
    """A process that was killed, for the purposes of a test that goes on in the same one."""


class Faulty(System):
    """The real system calls, of which the n-th fails. Syncs are counted and left out: a kill loses no cache."""

    def __init__(self, fault: Fault = KILL, at: int = 0) -> None:
        self.fault = fault
        self.at = at
        self.calls = 0
        self.fired = False

    def _due(self, *, writing: bool = False) -> bool:
        if self.fault.when == "half" and not writing:
            return False
        self.calls += 1
        due = self.calls == self.at or (self.fault.lasting and 0 < self.at < self.calls)
        self.fired = self.fired or due
        return due

    def _fail(self) -> OSError:
        if self.fault.number is None:
            os.kill(os.getpid(), signal.SIGKILL)
        assert self.fault.number is not None
        return OSError(self.fault.number, os.strerror(self.fault.number))

    def _call(self, do: Callable[[], object]) -> None:
        if not self._due():
            do()
            return
        if self.fault.when == "after":
            do()
        raise self._fail()

    def create(self, name: str, mode: int, folder: int) -> int:
        if not self._due():
            return super().create(name, mode, folder)
        if self.fault.when == "after":
            os.close(super().create(name, mode, folder))
        raise self._fail()

    def write(self, fd: int, data: bytes) -> int:
        if not self._due(writing=True):
            return super().write(fd, data)
        if self.fault.when != "before":
            super().write(fd, data[: len(data) // 2] if self.fault.when == "half" else data)
        raise self._fail()

    def fsync(self, fd: int) -> None:
        self._call(lambda: None)

    def ftruncate(self, fd: int, size: int) -> None:
        self._call(lambda: os.ftruncate(fd, size))

    def rename(self, source: str, source_folder: int, target: str, target_folder: int, *, replace: bool) -> None:
        rename = super().rename
        self._call(lambda: rename(source, source_folder, target, target_folder, replace=replace))

    def link(self, source: str, source_folder: int, target: str, target_folder: int) -> None:
        link = super().link
        self._call(lambda: link(source, source_folder, target, target_folder))

    def symlink(self, target: str, name: str, folder: int) -> None:
        self._call(lambda: os.symlink(target, name, dir_fd=folder))

    def mkdir(self, name: str, mode: int, folder: int) -> None:
        self._call(lambda: os.mkdir(name, mode, dir_fd=folder))

    def unlink(self, name: str, folder: int) -> None:
        self._call(lambda: os.unlink(name, dir_fd=folder))

    def rmdir(self, name: str, folder: int) -> None:
        self._call(lambda: os.rmdir(name, dir_fd=folder))

    def fchmod(self, fd: int, mode: int) -> None:
        self._call(lambda: os.fchmod(fd, mode))

    def fchown(self, fd: int, uid: int, gid: int) -> None:
        self._call(lambda: os.fchown(fd, uid, gid))

    def setxattr(self, fd: int, name: str, value: bytes) -> None:
        self._call(lambda: os.setxattr(fd, name, value))


class Cut(Faulty):
    """The process dies when the n-th step is done: when the n-th thing of the store itself was renamed."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step
        self.dead = False

    def _due(self, *, writing: bool = False) -> bool:
        if self.dead:
            raise Dead
        return False

    def rename(self, source: str, source_folder: int, target: str, target_folder: int, *, replace: bool) -> None:
        super().rename(source, source_folder, target, target_folder, replace=replace)
        self.step -= not source.startswith(".new-")
        self.dead = self.step == 0


# --- trees -------------------------------------------------------------------

Entry: TypeAlias = tuple[str, int, int, int, str]
Tree: TypeAlias = dict[str, Entry]


def read_tree(folder: str) -> Tree:
    """Path → kind, mode, owner and content of everything below a folder, Orlop's own folders left aside."""
    tree: Tree = {}
    for here, folders, files in os.walk(folder):
        if ".orlop" in folders:
            folders.remove(".orlop")
        for name in (*folders, *files):
            path = os.path.join(here, name)
            found = os.lstat(path)
            if stat.S_ISLNK(found.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(found.st_mode):
                content = hashlib.sha256(Path(path).read_bytes()).hexdigest()
            else:
                content = ""
            tree[os.path.relpath(path, folder)] = (
                stat.filemode(found.st_mode)[0],
                stat.S_IMODE(found.st_mode),
                found.st_uid,
                found.st_gid,
                content,
            )
    return tree


def differences(found: Tree, wanted: Tree) -> list[str]:
    """Paths where two trees differ, with both sides."""
    return [
        f"{path}: {found.get(path)} instead of {wanted.get(path)}"
        for path in sorted(found.keys() | wanted.keys())
        if found.get(path) != wanted.get(path)
    ]


def copy_tree(source: Path, target: Path) -> None:
    """A copy with kinds, modes, owners and hard links; times are new, as are inodes."""
    target.mkdir()
    made: dict[int, Path] = {}
    for here, folders, files in os.walk(source):
        beside = target / os.path.relpath(here, source)
        for name in (*folders, *files):
            old, new = os.path.join(here, name), beside / name
            found = os.lstat(old)
            if found.st_nlink > 1 and found.st_ino in made:
                os.link(made[found.st_ino], new)
                continue
            if stat.S_ISLNK(found.st_mode):
                new.symlink_to(os.readlink(old))
            elif stat.S_ISDIR(found.st_mode):
                new.mkdir()
            elif stat.S_ISREG(found.st_mode):
                new.write_bytes(Path(old).read_bytes())
                made[found.st_ino] = new
            else:
                os.mknod(new, found.st_mode, found.st_rdev)
            os.chown(new, found.st_uid, found.st_gid, follow_symlinks=False)
            if not stat.S_ISLNK(found.st_mode):
                new.chmod(stat.S_IMODE(found.st_mode))
    target.chmod(stat.S_IMODE(source.stat().st_mode))


# --- the harness ---------------------------------------------------------------


Opener: TypeAlias = Callable[[str], Store]
Act: TypeAlias = Callable[[Store, Journal], object]


@dataclass(slots=True, kw_only=True)
class Harness:
    """Runs apply, undo, finish and purge with every fault at every system call, and looks at what is left.

    After each failure: every path is as before or as after the change; the journal
    tells the truth; `finish` reaches what an undisturbed run reaches; and, on a
    copy, `undo` reaches the original tree.
    """

    folder: Path
    make: Callable[[str], None]
    """Fills an empty folder with a store; called once."""
    open: Opener
    intent: Callable[[Store], Intent]
    statement: Statement | None = None
    series: tuple[tuple[Fault, ...], ...] = KILL_AND_ONE_OTHER_AT_EVERY_CALL
    injected: dict[str, int] = field(default_factory=dict)
    """Act and fault → how many failures were injected."""
    original: Tree = field(default_factory=dict)
    changed: Tree = field(default_factory=dict)
    damage: frozenset[tuple[str, str, str]] = frozenset()
    _cut: int = 1

    def run(self, acts: Iterable[str] = ACTS) -> int:
        """Let every call of these acts fail; how many failures were injected."""
        self._prepare()
        for act in acts:
            for faults in self.series:
                self._run_act(act, faults)
        total = sum(self.injected.values())
        lines = [f"{count:6} {what}\n" for what, count in self.injected.items()]
        sys.stdout.write("".join(lines) + f"{total:6} in all\n")
        return total

    # preparing

    def _prepare(self) -> None:
        base = self.folder / "base"
        base.mkdir()
        self.make(str(base))
        self.original = read_tree(str(base))
        with self._opened(base) as store:
            self.damage = _damage(store)
        work = self._copy(base, "undisturbed")
        with self._opened(work) as store:
            plan = _planned(store, self.intent(store))
            self._cut = (len(plan.steps) + 1) // 2
            self.damage |= frozenset(plan.reveals)
            self.apply(store, Journal.of(store.root, Faulty()))
        self.changed = read_tree(str(work))
        assert differences(self.changed, self.original), "the change changes nothing"
        with self._opened(work) as store:
            assert _damage(store) <= self.damage
            self.undo(store, Journal.of(store.root, Faulty()))
        assert differences(read_tree(str(work)), self.original) == []
        shutil.rmtree(work)

    def _copy(self, source: Path, name: str) -> Path:
        target = self.folder / name
        if target.exists():
            shutil.rmtree(target)
        copy_tree(source, target)
        return target

    @contextmanager
    def _opened(self, folder: Path) -> Iterator[Store]:
        store = self.open(str(folder))
        try:
            yield store
        finally:
            store.close()

    # the acts

    def apply(self, store: Store, journal: Journal) -> object:
        plan = store.plan(self.intent(store))
        assert isinstance(plan, Plan), plan
        return executor.apply(store, plan, journal, statement=self.statement)

    def undo(self, store: Store, journal: Journal) -> object:
        return executor.undo(store, journal, statement=self.statement)

    def finish(self, store: Store, journal: Journal) -> object:
        return executor.finish(store, journal, statement=self.statement)

    def purge(self, store: Store, journal: Journal) -> object:
        return executor.purge(store, journal, statement=self.statement)

    def _run_act(self, act: str, faults: tuple[Fault, ...]) -> None:
        do = {"apply": self.apply, "finish": self.finish, "purge": self.purge}.get(act, self.undo)
        for number in itertools.count(1):
            fault = faults[(number - 1) % len(faults)]
            work = self._copy(self.folder / "base", "work")
            self._lead_up_to(act, work)
            try:
                fired, error = self._disturbed(work, do, fault, number)
                if not fired:
                    return
                self._look_at(act, work, fault, error)
            except (AssertionError, OrlopError) as failure:
                failure.add_note(f"after {act}, {fault.name} at call {number}")
                raise
            what = f"{act}: {fault.name}"
            self.injected[what] = self.injected.get(what, 0) + 1

    def _lead_up_to(self, act: str, work: Path) -> None:
        """Bring a fresh store to where the act begins."""
        if act == "apply":
            return
        if act in ("undo", "purge"):
            with self._opened(work) as store:
                self.apply(store, Journal.of(store.root, Faulty()))
            return
        with self._opened(work) as store, pytest.raises(Dead):
            self.apply(store, Journal.of(store.root, Cut(self._cut)))

    def _disturbed(self, work: Path, do: Act, fault: Fault, number: int) -> tuple[bool, OrlopError | None]:
        """Do it with the fault; whether the fault was met, and the error that came of it."""
        if fault.number is None:
            return in_child(lambda: self._do(work, do, Faulty(fault, number))), None
        ops = Faulty(fault, number)
        try:
            self._do(work, do, ops)
        except OrlopError as error:
            assert ops.fired, "it failed by itself"
            return True, error
        return ops.fired, None

    def _do(self, work: Path, do: Act, ops: Faulty) -> None:
        with self._opened(work) as store:
            do(store, Journal.of(store.root, ops))

    # looking

    def _look_at(self, act: str, work: Path, fault: Fault, error: OrlopError | None) -> None:
        tree = read_tree(str(work))
        torn = [
            f"{path}: {tree.get(path)}"
            for path in sorted(tree.keys() | self.original.keys() | self.changed.keys())
            if tree.get(path) not in (self.original.get(path), self.changed.get(path))
        ]
        assert torn == [], "neither old nor new"
        with self._opened(work) as store:
            journal = Journal.of(store.root, Faulty())
            changes = journal.changes()
            assert [c for c in changes if c.state is State.DAMAGED] == []
            state = changes[-1].state if changes else None
            self._compare_with_journal(act, tree, state)
            if fault.number is not None and not fault.lasting and act == "apply" and error is not None:
                assert state in (None, State.ROLLED_BACK), state
        self._undo_a_copy(work, state)
        self._complete(act, work, state, tree)

    def _compare_with_journal(self, act: str, tree: Tree, state: State | None) -> None:
        match state:
            case None | State.UNDONE | State.ROLLED_BACK:
                assert differences(tree, self.original) == [], f"though the journal says {state}"
            case State.DONE | State.PURGED:
                assert differences(tree, self.changed) == [], f"though the journal says {state}"
        if act == "purge":
            assert state in (State.DONE, State.PURGED)

    def _undo_a_copy(self, work: Path, state: State | None) -> None:
        if state in (None, State.UNDONE, State.ROLLED_BACK, State.PURGED):
            with self._opened(work) as store, pytest.raises(Refused if state is State.PURGED else NotFound):
                self.undo(store, Journal.of(store.root, Faulty()))
            return
        copy = self._copy(work, "copy")
        with self._opened(copy) as store:
            self.undo(store, Journal.of(store.root, Faulty()))
            assert _damage(store) <= self.damage
        assert differences(read_tree(str(copy)), self.original) == []

    def _complete(self, act: str, work: Path, state: State | None, tree: Tree) -> None:
        """Finish what was cut off, or do again what never began: both end as an undisturbed run does."""
        with self._opened(work) as store:
            journal = Journal.of(store.root, Faulty())
            if state is State.UNFINISHED:
                cut_off = journal.unfinished()
                assert cut_off is not None
                with pytest.raises(Unfinished):
                    journal.refuse_unfinished()
                self.finish(store, journal)
                end = journal.find(cut_off.id).state
                assert end in (State.DONE, State.UNDONE, State.ROLLED_BACK)
                if act in ("apply", "finish") and not cut_off.backward and end is not State.DONE:
                    # Taken back without room to say so: the disk says it.
                    assert differences(tree, self.changed)
                wanted = self.changed if end is State.DONE else self.original
            elif act == "purge":
                self.purge(store, journal)
                assert journal.changes()[-1].state is State.PURGED
                assert os.listdir(work / ".orlop/changes" / journal.changes()[-1].id) == ["journal"]
                wanted = self.changed
            elif state in (State.DONE, State.PURGED):
                wanted = self.changed
            else:
                self.apply(store, journal)
                wanted = self.changed
            assert differences(read_tree(str(work)), wanted) == []
            assert _damage(store) <= self.damage
            assert journal.unfinished() is None
            assert [name for name in os.listdir(work / ".orlop/changes") if name.startswith(".new-")] == []


def in_child(do: Callable[[], object]) -> bool:
    """Do something in a forked child; whether it was killed there by SIGKILL.

    The child only makes system calls and ends with `os._exit`, so the threads of a
    test runner, which Python warns of, do it no harm.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 70
        try:
            do()
            code = 0
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return True
    assert status == 0, "the child failed by itself"
    return False


def _planned(store: Store, intent: Intent) -> Plan:
    plan = store.plan(intent)
    assert isinstance(plan, Plan), plan
    return plan


def _damage(store: Store) -> frozenset[tuple[str, str, str]]:
    store.refresh(None)
    found = store.check(None, content=False, progress=_Quiet())
    return frozenset(finding.identity for finding in found if finding.severity.is_damage)


class _Quiet:
    def step(self, what: str, done: int, total: int) -> None:
        return None


# --- a small store -------------------------------------------------------------


class SmallStore:
    """Names in one file, images that list their layers, layers as folders: enough to be changed and harmed.

    ::

        lock   names.json {name: id}   images/<id>: layers, one a line
        layers/<layer>/data            updated/<id>/at: made by a tag
    """

    def __init__(self, path: str) -> None:
        self._root = Root.open(path)
        self._careless = os.path.exists(os.path.join(path, "careless"))
        self.refresh()

    @property
    def identity(self) -> StoreId:
        return StoreId(kind="small", scope="", path=self._root.path, token="small")

    @property
    def root(self) -> Root:
        return self._root

    def refresh(self, hints: Iterable[str] | None = None) -> Delta:
        self._raw = self._root.read("names.json")
        self._names: dict[str, str] = json.loads(self._raw)
        self._images = {name: self._root.read(f"images/{name}").decode().split() for name in self._root.names("images")}
        self._layers = frozenset(self._root.names("layers"))
        return Delta(snapshot=self.rows(), added=frozenset(), removed=frozenset(), changed=frozenset())

    def rows(self) -> Snapshot:
        names: dict[str, list[str | None]] = {
            image: [n for n, i in self._names.items() if i == image] or [None] for image in self._images
        }
        rows = tuple(self._row(image, name) for image, texts in names.items() for name in texts)
        return Snapshot(
            identity=self.identity,
            rows=rows,
            images=len(self._images),
            total_size=0,
            seen_at=0,
            engine=EngineState.STOPPED,
            engine_text="",
            notes=(),
        )

    def engine(self) -> tuple[EngineState, str]:
        return EngineState.STOPPED, ""

    def _row(self, image: str, name: str | None) -> Row:
        sound = self._layers.issuperset(self._images[image])
        return Row(
            key=Key("", image, name),
            repository=name or "",
            tag="",
            created=None,
            size=None,
            own_size=None,
            platform="",
            trust=Trust.LISTED,
            verified_at=None,
            condition=Condition.SOUND if sound else Condition.INCOMPLETE,
            flags=frozenset(),
            reason="",
        )

    def check(
        self, keys: Iterable[Key] | None, *, content: bool, progress: Progress, hashing: Hashing | None = None
    ) -> Iterator[Finding]:
        for name, image in self._names.items():
            if image not in self._images:
                yield _finding("SM1", "names.json", f"{name} names {image}, which is not there")
        for image, layers in self._images.items():
            if not layers and image in self._names.values():
                yield _finding("SM3", f"images/{image}", "a name leads to an empty image", Severity.BLOCKS)
            elif not layers:
                yield _finding("SM4", f"images/{image}", "the image is empty")
            for layer in layers:
                if layer not in self._layers:
                    yield _finding("SM2", f"images/{image}", f"it needs {layer}, which is not there")

    def plan(self, intent: Intent) -> Plan | Refusal:
        match intent:
            case Tag(image=image, name=name):
                if self._names.get(name) == image:
                    return self._plan(intent, (), (image,))
                folder = f"updated/{image}"
                steps: list[Step] = [self._renamed({**self._names, name: image})]
                if not self._root.exists(folder):
                    steps.append(Replace(path=f"{folder}/at", old=None, new=b"now", mode=0o640))
                return self._plan(intent, steps, (image,))
            case Untag(names=names):
                for name in names:
                    if name not in self._names:
                        raise NotFound(f"no such name {name}")
                left = {name: image for name, image in self._names.items() if name not in names}
                return self._plan(intent, [self._renamed(left)], ())
            case Remove(keys=keys):
                return self._removal(intent, {key.id for key in keys})
            case Import(staged=staged, name=name):
                source = incoming.path_of(staged, "image")
                content = self._root.read(source)
                place = Place(
                    path=f"images/{name}",
                    old=Digest.of(self._root.read(f"images/{name}")) if name in self._images else None,
                    source=source,
                    digest=Digest.of(content),
                    size=len(content),
                )
                deep = Replace(path=f"updated/{name}/deep/at", old=None, new=b"now", mode=0o644, folders=0o755)
                return self._plan(intent, (place, deep), (name,))
        raise Unsupported("a small store cannot do that")

    def stage(self, archive: str, *, name: str, latest: bool, at: int, progress: Progress) -> Import:
        raise Unsupported("a small store takes no archives")

    def fetch(self, url: str, *, at: int, progress: Progress) -> Fetched:
        raise Unsupported("a small store has no remotes")

    def _removal(self, intent: Remove, doomed: set[str]) -> Plan | Refusal:
        if "keep" in doomed:
            return Refusal(action="remove keep", reasons=("it is in use",))
        if not doomed <= self._images.keys():
            raise NotFound("no such image")
        left = {name: image for name, image in self._names.items() if image not in doomed}
        used = {layer for image, layers in self._images.items() if image not in doomed for layer in layers}
        unused = sorted(
            {layer for image in doomed for layer in self._images[image]} - (set() if self._careless else used)
        )
        paths = [f"images/{image}" for image in sorted(doomed)] + [f"layers/{layer}" for layer in unused]
        steps: list[Step] = [self._renamed(left)] if left != self._names else []
        for path in paths:
            found = self._root.stat(path)
            steps.append(Quarantine(path=path, kind=found.kind, inode=found.inode, bytes=self._root.allocated(path)))
        return self._plan(intent, steps, tuple(sorted(doomed)))

    def _renamed(self, names: dict[str, str]) -> Replace:
        return Replace(path="names.json", old=Digest.of(self._raw), new=json.dumps(names).encode())

    def _plan(self, intent: Intent, steps: Iterable[Step], images: tuple[str, ...]) -> Plan:
        return Plan(
            action=f"change {', '.join(images)}",
            kind="small",
            store=self.identity.token,
            intent=intent,
            steps=tuple(steps),
            reasons=(Reason(verb="note", subject="test"),),
            images=images,
            bytes_now=0,
            bytes_freed=0,
            bytes_kept=0,
        )

    @contextmanager
    def _held(self) -> Iterator[Exclusive]:
        with locks.hold(self._root, "lock"):
            yield Exclusive(by="exclusive lock on lock")

    def guard(self, statement: Statement | None) -> AbstractContextManager[Exclusive]:
        return self._held()

    def detail(self, key: Key) -> Detail:
        raise NotFound("a small store has no details")

    def facet(self, facet: Facet, key: Key | None) -> Records | Absent:
        raise Unsupported("a small store has no facets")

    def find(self, image: str) -> tuple[Key, ...]:
        return (Key("", image, None),)

    def rules(self) -> tuple[Rule, ...]:
        return ()

    def why(self, subject: str) -> Why:
        raise NotFound("a small store knows no reasons")

    def holders(self, holding: Holding, text: str) -> frozenset[str]:
        return frozenset()

    def freed(self, keys: Iterable[Key]) -> int:
        return 0

    def space(self, progress: Progress) -> Space:
        raise Unsupported("a small store is not measured")

    def save(self, keys: Iterable[Key], to: BinaryIO, *, form: str | None, progress: Progress) -> tuple[Saved, ...]:
        raise Unsupported("a small store gives no archives")

    def watched(self) -> tuple[str, ...]:
        return ()

    def close(self) -> None:
        self._root.close()


def _finding(rule: str, path: str, detail: str, severity: Severity = Severity.UNUSABLE) -> Finding:
    return Finding(
        rule=rule,
        title="something is missing",
        severity=severity,
        path=path,
        detail=detail,
        engine_says="",
        repair=Repair.QUARANTINE,
    )


def make_small_store(folder: str) -> None:
    """Three images: ``one`` and ``two`` share the layer ``base``; ``keep`` stands alone."""
    top = Path(folder)
    (top / "lock").touch()
    images = {"one": ["base", "first"], "two": ["base", "second"], "keep": ["third"]}
    names = {"a:1": "one", "a:2": "one", "b:1": "two", "k:1": "keep"}
    (top / "names.json").write_text(json.dumps(names))
    (top / "names.json").chmod(0o640)
    (top / "images").mkdir()
    (top / "updated").mkdir()
    for image, layers in images.items():
        (top / "images" / image).write_text("\n".join(layers))
        for layer in layers:
            (top / "layers" / layer / "etc").mkdir(parents=True, exist_ok=True)
            (top / "layers" / layer / "data").write_bytes(layer.encode() * 100)
            link = top / "layers" / layer / "etc" / "link"
            if not link.is_symlink():
                link.symlink_to("/nowhere")


# --- fixtures --------------------------------------------------------------------


@pytest.fixture
def quick_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is such a place: a harness makes and removes thousands of folders."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="orlop-test-", dir=memory) as folder:
        yield Path(folder)


@pytest.fixture
def harness(quick_folder: Path) -> Callable[..., Harness]:
    """Makes a `Harness` in a folder of the test's own: ``harness(make=…, open=…, intent=…)``.

    Every call is met by a kill and by one other fault; with ORLOP_EVERY_FAILURE in
    the environment by all of them, which takes minutes.
    """
    folder = quick_folder / "harness"
    folder.mkdir()

    def build(
        make: Callable[[str], None],
        open: Opener,
        intent: Callable[[Store], Intent],
        *,
        statement: Statement | None = None,
        series: tuple[tuple[Fault, ...], ...] | None = None,
    ) -> Harness:
        every = "ORLOP_EVERY_FAILURE" in os.environ
        chosen = series or (EVERY_FAULT_AT_EVERY_CALL if every else KILL_AND_ONE_OTHER_AT_EVERY_CALL)
        return Harness(folder=folder, make=make, open=open, intent=intent, statement=statement, series=chosen)

    return build


@pytest.fixture
def small_folder(tmp_path: Path) -> Path:
    """A folder with a small store in it."""
    folder = tmp_path / "small"
    folder.mkdir()
    make_small_store(str(folder))
    return folder


@pytest.fixture
def small(small_folder: Path) -> Iterator[SmallStore]:
    """A small store, opened."""
    store = SmallStore(str(small_folder))
    yield store
    store.close()


@pytest.fixture
def small_store() -> tuple[Callable[[str], None], Opener]:
    """The maker of a small store, and its opener, for a harness."""
    return make_small_store, SmallStore


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every fault at every call takes minutes: give the tests of this folder an hour."""
    if "ORLOP_EVERY_FAILURE" in os.environ:
        for item in items:
            if item.path.parent == Path(__file__).parent:
                item.add_marker(pytest.mark.timeout(3600))


@pytest.fixture
def cut_after(small: "SmallStore") -> Callable[[Plan, int], None]:
    """Begins a change of the small store and dies when so many of its steps are done."""

    def begin(plan: Plan, steps: int) -> None:
        with pytest.raises(Dead):
            executor.apply(small, plan, Journal.of(small.root, Cut(steps)))

    return begin
