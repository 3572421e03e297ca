"""A change that was killed on its way, judged by the engine.

A child process is killed between the steps of a change, or of its undo. The engine
must start on what is left and serve everything that the change does not touch.
From there `finish` and `undo` each reach exactly what they promise. After the engine
has run, undoing still does; finishing too, or it refuses and changes nothing. What
the engine wrote meanwhile is never lost.

A tree that is file for file one that the engine has judged is not judged again:
what differs then is the journal, which no engine reads.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

import orlop.kinds
from orlop import apply as executor
from orlop.errors import Changed, WouldHarm
from orlop.intent import Intent, Remove, Tag, Unmap, Untag
from orlop.journal import Journal, State
from orlop.plan import Plan
from orlop.progress import Silent
from orlop.records import Facet, Key
from orlop.records import Mapping as MappingRecord
from orlop.store import Store
from tests.crash.conftest import KILL, KILL_HALF, Fault, Faulty, in_child

if TYPE_CHECKING:
    from tests.engines.conftest import Engine, Made

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

Figure = Callable[[str], None]
Names: TypeAlias = Mapping[str, frozenset[str]]
Files: TypeAlias = dict[str, str]
"""What lies at each path."""
Act: TypeAlias = Callable[[Store, Journal], executor.Receipt]

SAMPLE = ("app1:v1", "app0:v2", "base:1.0", "single:1", "moved:latest")
"""Images of which those that a change does not touch are saved; the first share layers with images that go."""
ANOTHER = "written/meanwhile:1"
"""A name that the engine gives while a change is cut off."""


# --- the changes ---------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One change, and what the engine lists when it is done."""

    intent: Callable[[Store, "Made"], Intent]
    after: Callable[["Made"], Names]
    cuts: int = 2
    """How often it is killed, from before its first step to after its last."""
    undo_cuts: int = 1
    """How often its undo is killed, each time somewhere amid its steps where it has several."""


def renamed(taken: Sequence[str], given: Mapping[str, str] | None = None) -> Callable[["Made"], Names]:
    """As at first, with names taken away, and names given to the image of another name."""

    def after(made: "Made") -> Names:
        names = {id: found - set(taken) for id, found in made.names.items()}
        for name, image in (given or {}).items():
            names[made.id_of(image)] |= {name}
        return names

    return after


def without(*names: str) -> Callable[["Made"], Names]:
    """As at first, without these images and the unnamed ones that only they were built on."""

    def after(made: "Made") -> Names:
        left = dict(made.names)
        gone = [made.facts.get(name) or made.id_of(name) for name in names]
        for id in gone:
            while id:
                del left[id]
                parent = str(made.images[id].inspect["Parent"])
                id = parent if parent in left and not left[parent] and parent not in gone else ""
        return left

    return after


def every_mapping(store: Store, made: "Made") -> Intent:
    records = store.facet(Facet.MAPPINGS, None)
    assert isinstance(records, tuple)
    mine = [each for each in records if isinstance(each, MappingRecord) and each.source]
    return Unmap(mappings=tuple((each.diff_id, each.digest, each.source) for each in mine))


def rows(*names: str) -> Callable[[Store, "Made"], Intent]:
    return lambda store, made: Remove(keys=tuple(key for name in names for key in store.find(name)))


TURNS = {
    "a new name": Turn(
        intent=lambda store, made: Tag(image=made.id_of("single:1"), name="fresh/name:1"),
        after=renamed([], {"fresh/name:1": "single:1"}),
    ),
    "a tag that moves": Turn(
        intent=lambda store, made: Tag(image=made.id_of("app1:v1"), name="app2:latest"),
        after=renamed(["app2:latest"], {"app2:latest": "app1:v1"}),
    ),
    "one name of several taken away": Turn(
        intent=lambda store, made: Untag(names=("example/base:stable",)), after=renamed(["example/base:stable"])
    ),
    "one name of several deleted": Turn(intent=rows("base:latest"), after=renamed(["base:latest"])),
    "an image with its layers and all its names": Turn(
        intent=lambda store, made: Remove(keys=(Key("", made.facts["app1"], None),)),
        after=without("app1"),
        cuts=6,
        undo_cuts=2,
    ),
    "built images with their untagged parents": Turn(
        intent=rows("built:1", "built:2"), after=without("built:1", "built:2"), cuts=5, undo_cuts=2
    ),
    "every mapping": Turn(intent=every_mapping, after=lambda made: made.names),
}


# --- where to cut ----------------------------------------------------------------


class Counted(Faulty):
    """Notes at which call, and after how many writes, each thing of the store itself was renamed."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.steps: list[tuple[int, int]] = []

    def write(self, fd: int, data: bytes) -> int:
        self.writes += 1
        return super().write(fd, data)

    def rename(self, source: str, source_folder: int, target: str, target_folder: int, *, replace: bool) -> None:
        super().rename(source, source_folder, target, target_folder, replace=replace)
        if not source.startswith(".new-"):  # that one begins a change
            self.steps.append((self.calls, self.writes))

    def cuts(self, count: int) -> list[tuple[Fault, int]]:
        """So many of the moments between steps, that before the first and that after the last among them.

        In turn just before the next step, just after the last one, and amid the
        journal's line about it.
        """
        last = len(self.steps)
        return [
            self._cut(done, turn) for turn, done in enumerate(sorted({last * n // (count - 1) for n in range(count)}))
        ]

    def inner_cuts(self, count: int) -> list[tuple[Fault, int]]:
        """So many of the moments between steps, neither the first nor the last if there are others."""
        last = len(self.steps)
        chosen = sorted({-(-last * n // (count + 1)) for n in range(1, count + 1)})
        return [self._cut(done, turn) for turn, done in enumerate(chosen, 1)]

    def _cut(self, done: int, turn: int) -> tuple[Fault, int]:
        """When so many steps are done."""
        if done == 0 or (turn % 3 == 0 and done < len(self.steps)):
            return KILL, self.steps[done][0]
        calls, writes = self.steps[done - 1]
        return (KILL, calls + 1) if turn % 3 == 1 else (KILL_HALF, writes + 1)


# --- what lies on disk -----------------------------------------------------------


def state_of(data: Path) -> Files:
    """Every file of the store by path: mode, owner, attributes and content, the journal left out.

    The time of a tag differs from one run to the next: only its file counts.
    """
    found = {}
    for here, folders, files in os.walk(data):
        if ".orlop" in folders:
            folders.remove(".orlop")
        for name in (*folders, *files):
            path = Path(here, name)
            if path.relative_to(data).parts[0] in ("image", "vfs", "overlay2"):
                found[str(path.relative_to(data))] = _state(path)
    return found


def kept_in(data: Path) -> Files:
    """The journal and the quarantine, likewise."""
    return {str(path.relative_to(data)): _state(path) for path in (data / ".orlop").rglob("*")}


def _state(path: Path) -> str:
    stat = path.lstat()
    line = f"{stat.st_mode:o} {stat.st_uid}:{stat.st_gid}"
    if path.is_symlink():
        return f"{line} -> {path.readlink()}"
    attributes = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    if not path.is_file() or path.name == "lastUpdated":
        return f"{line} {attributes}"
    return f"{line} {attributes} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def differences(found: Files, wanted: Files) -> dict[str, tuple[str | None, str | None]]:
    paths = sorted(found.keys() | wanted.keys())
    return {path: (found.get(path), wanted.get(path)) for path in paths if found.get(path) != wanted.get(path)}


# --- the bench -------------------------------------------------------------------


@dataclass(slots=True)
class Bench:
    """Makes cut stores of one change, and asks the engine about them."""

    made: "Made"
    engine: "Engine"
    turn: Turn
    folder: Path
    count: int = 0
    runs: int = 0
    """Cut stores on which the engine ran."""
    finished: int = 0
    """Those of them that could be finished afterwards."""
    original: Files = field(default_factory=dict)
    changed: Files = field(default_factory=dict)
    forward: Counted = field(default_factory=Counted)
    back: Counted = field(default_factory=Counted)

    def __post_init__(self) -> None:
        """Do it and take it back undisturbed, to know both trees and all calls."""
        self.folder.mkdir()
        data = self.copy(self.made.data)
        self.original = state_of(data)
        self.do(data, self.apply, self.forward)
        self.changed = state_of(data)
        self.do(data, executor.undo, self.back)
        assert differences(self.changed, self.original)
        assert differences(state_of(data), self.original) == {}

    # stores

    def copy(self, source: Path) -> Path:
        self.count += 1
        data = self.folder / f"store{self.count}"
        subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(data)], check=True)
        return data

    def apply(self, store: Store, journal: Journal) -> executor.Receipt:
        plan = store.plan(self.turn.intent(store, self.made))
        assert isinstance(plan, Plan), plan
        return executor.apply(store, plan, journal)

    def do(self, data: Path, act: Act, ops: Faulty | None = None) -> executor.Receipt:
        store = orlop.kinds.open(str(data))
        try:
            return act(store, Journal.of(store.root, ops or Faulty()))
        finally:
            store.close()

    def cut(self, act: Act, fault: Fault, number: int) -> Path:
        """A copy of the engine's store in which the act was killed there."""
        data = self.copy(self.made.data)
        if act != self.apply:
            self.do(data, self.apply)
        assert in_child(lambda: self.do(data, act, Faulty(fault, number))), "nobody was killed"
        assert self.journal_state(data) is State.UNFINISHED
        return data

    def journal_state(self, data: Path) -> State:
        store = orlop.kinds.open(str(data))
        try:
            return Journal.of(store.root).changes()[-1].state
        finally:
            store.close()

    # ways out

    def expect(self, data: Path, act: Act, wanted: Files) -> None:
        """Do it, and see the tree that it promises, and a check that finds nothing."""
        self.do(data, act)
        assert differences(state_of(data), wanted) == {}
        self.expect_sound(data)

    def expect_sound(self, data: Path) -> None:
        assert self.journal_state(data) is not State.UNFINISHED
        store = orlop.kinds.open(str(data))
        found = list(store.check(None, content=False, progress=Silent()))
        store.close()
        assert [finding for finding in found if finding.severity.is_damage] == []

    def refused(self, data: Path, act: Act) -> bool:
        """Whether it was refused; then it said where, and changed nothing at all."""
        before = state_of(data), kept_in(data)
        refusal = None
        try:
            self.do(data, act)
        except Changed as error:
            refusal = error
        if refusal is None:
            self.expect_sound(data)
            return False
        assert refusal.path
        assert (state_of(data), kept_in(data)) == before
        return True

    # the engine

    @property
    def touched(self) -> frozenset[str]:
        """Ids of the images of which the engine lists something else afterwards."""
        before, after = self.made.names, self.turn.after(self.made)
        return frozenset(id for id in before if before[id] != after.get(id))

    @property
    def sample(self) -> list[str]:
        ids = [self.made.id_of(name) for name in SAMPLE]
        return [id for id in ids if id not in self.touched][:3]

    def expect_served(self, data: Path, names: Names) -> None:
        """The engine lists just this, and saves some of it as at first, all that the change is about included."""
        self.engine.data = data
        with self.engine.running():
            assert self.engine.listed() == names
            self._expect_saves({*self.sample, *(self.touched & names.keys())})

    def expect_served_though_cut(self, data: Path, tree: Files, *, thorough: bool) -> None:
        """The engine starts, serves what the change does not touch, and shows the rest old, new or without its names.

        Args:
            data: the cut store.
            tree: what lies in it; if all is old or all is new, so is everything that the engine shows.
            thorough: whether it also saves those images of the change that it still lists.
        """
        before, after = self.made.names, self.turn.after(self.made)
        allowed: dict[str, set[frozenset[str] | None]] = {id: {names} for id, names in before.items()}
        for id in self.touched:
            allowed[id] |= {after[id]} if id in after else {frozenset(), None}
        if tree in (self.original, self.changed):
            allowed = {id: {(before if tree == self.original else after).get(id)} for id in before}
        self.engine.data = data
        with self.engine.running():
            listed = self.engine.listed()
            assert listed.keys() <= before.keys()
            assert {id: listed.get(id) for id in before if listed.get(id) not in allowed[id]} == {}
            if tree == self.original:
                assert self.engine.saved() == self.made.saved
            else:
                self._expect_saves({*self.sample, *(self.touched & listed.keys() if thorough else ())})
        assert differences(state_of(data), tree) == {}, "the engine changed the cut store"

    def _expect_saves(self, ids: set[str]) -> None:
        assert {id: self.engine._save(id) for id in ids} == {id: self.made.saved[id] for id in ids}


# --- the judge ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def judged() -> list[Files]:
    """Every tree that an engine was started on and served as it should."""
    return []


@pytest.mark.parametrize("what", TURNS)
def test_the_engine_runs_on_a_cut_store_and_both_ways_out_reach_what_they_promise(
    made: "Made", engine: "Engine", what: str, tmp_path: Path, figure: Figure, judged: list[Files]
) -> None:
    turn = TURNS[what]
    bench = Bench(made, engine, turn, tmp_path / "stores")
    cuts: list[tuple[Act, Files, Fault, int]] = []
    cuts += [(bench.apply, bench.changed, *cut) for cut in bench.forward.cuts(turn.cuts)]
    cuts += [(executor.undo, bench.original, *cut) for cut in bench.back.inner_cuts(turn.undo_cuts)]
    for judge in (_let_the_engine_run, _take_both_ways_out):
        for act, finished, fault, call in cuts:
            try:
                judge(bench, act, finished, fault, call, judged)
            except AssertionError as failure:
                failure.add_note(f"{getattr(act, '__name__', act)} cut by {fault.name} at {call}")
                raise
            shutil.rmtree(bench.folder)
            bench.folder.mkdir()
    figure(
        f"{made.driver}: {what}: {len(bench.forward.steps)} steps, {len(cuts)} cuts, {engine.starts} starts of the "
        f"engine; it ran on {bench.runs} cut stores: {bench.finished} could be finished after it, all be undone"
    )


def _let_the_engine_run(bench: Bench, act: Act, finished: Files, fault: Fault, call: int, judged: list[Files]) -> None:
    data = bench.cut(act, fault, call)
    tree = state_of(data)
    if tree in judged:
        return
    bench.expect_served_though_cut(data, tree, thorough=bench.runs % 2 == 0)
    judged.append(tree)
    bench.runs += 1
    bench.expect(bench.copy(data), executor.undo, bench.original)
    if bench.refused(data, executor.finish):
        bench.expect(data, executor.undo, bench.original)
    else:
        bench.finished += 1
        assert differences(state_of(data), finished) == {}


def _take_both_ways_out(bench: Bench, act: Act, finished: Files, fault: Fault, call: int, judged: list[Files]) -> None:
    for way_out, wanted in ((executor.finish, finished), (executor.undo, bench.original)):
        data = bench.cut(act, fault, call)
        bench.expect(data, way_out, wanted)
        if wanted not in judged:
            bench.expect_served(data, bench.made.names if wanted is bench.original else bench.turn.after(bench.made))
            judged.append(wanted)


def test_a_name_that_the_engine_gives_in_a_cut_store_is_never_lost(
    made: "Made", engine: "Engine", tmp_path: Path, figure: Figure
) -> None:
    turn = TURNS["a tag that moves"]
    bench = Bench(made, engine, turn, tmp_path / "stores")
    names = f"image/{made.driver}/repositories.json"
    for (fault, call), done in zip(bench.forward.cuts(2), (False, True), strict=True):
        data = engine.data = bench.cut(bench.apply, fault, call)
        with engine.running():
            engine.docker("tag", "single:1", ANOTHER)
        undone = bench.copy(data)
        remarks = bench.do(undone, executor.undo).remarks
        bench.expect_sound(undone)
        listed = {id: set(found) for id, found in (turn.after(made) if done else made.names).items()}
        listed[made.id_of("single:1")].add(ANOTHER)
        bench.expect_served(undone, {id: frozenset(found) for id, found in listed.items()})
        if not done:
            assert remarks == ()
            assert bench.refused(data, executor.finish)
            continue
        [remark] = remarks
        assert remark.startswith(f"{names} was written since, and stays")
        assert (undone / remark.rpartition(" ")[2]).read_bytes() == (made.data / names).read_bytes()
        assert not bench.refused(data, executor.finish)
        assert state_of(data) == state_of(undone)
    figure(f"{made.driver}: a name given by the engine in a cut store: 2 cuts, {engine.starts} starts of the engine")


def test_an_image_pulled_again_into_a_cut_store_is_served_whichever_way_out_is_taken(
    made: "Made", engine: "Engine", tmp_path: Path, figure: Figure
) -> None:
    bench = Bench(made, engine, TURNS["an image with its layers and all its names"], tmp_path / "stores")
    name, id = f"{made.registry}/team/app1:v2", made.facts["app1"]
    outcomes = []
    for fault, call in bench.forward.cuts(4)[1:]:
        data = engine.data = bench.cut(bench.apply, fault, call)
        with engine.running():
            engine.docker("pull", name)
            listed = engine.listed()
        assert name in listed[id]
        undone = bench.copy(data)
        bench.do(undone, executor.undo)
        bench.expect_sound(undone)
        bench.expect_served(undone, listed)
        outcomes.append(_finished(bench, data))
        bench.expect_sound(data)
        bench.expect_served(data, listed)
    figure(f"{made.driver}: pulled again into a cut store: {', '.join(outcomes)}; {engine.starts} starts of the engine")


def _finished(bench: Bench, data: Path) -> str:
    """What became of finishing it; undone where that was refused."""
    try:
        bench.do(data, executor.finish)
    except Changed:
        bench.do(data, executor.undo)
        return "refused, and undone"
    except WouldHarm:
        return "found harmful, and taken back"
    return "finished"
