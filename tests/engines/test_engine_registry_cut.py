"""A change of a registry's storage that was killed at one of its steps, judged by the registry.

No registry heeds a journal: on what is left it must serve everything that the change
is not about, and never a name that leads nowhere. From there `finish` and `undo`
each reach exactly what they promise.
"""

import os
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from orlop import apply as executor
from orlop import times
from orlop.intent import Clean, Intent
from orlop.journal import Journal, State
from orlop.progress import Silent
from orlop.store import Store
from tests.crash.conftest import Faulty, in_child
from tests.engines.registry_judge import (
    MANIFESTS,
    OFFLINE,
    Everything,
    Files,
    Question,
    Service,
    copy_of,
    differences,
    findings,
    opened,
    planned,
    pulled,
    questions_of,
    state_of,
)
from tests.engines.test_engine_registry_import import archived

if TYPE_CHECKING:
    from tests.engines.registry_maker import MadeRegistry

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

Figure = Callable[[str], None]
Act: TypeAlias = Callable[[Store, Journal], object]


class Killed(Faulty):
    """Counts the steps that the store itself sees, and kills the process after one of them, or before the first."""

    def __init__(self, after: int | None = None) -> None:
        super().__init__()
        self.after = after
        self.steps = 0

    def rename(self, source: str, source_folder: int, target: str, target_folder: int, *, replace: bool) -> None:
        counts = not source.startswith(".new-")  # that one begins a change
        if counts and self.after == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        super().rename(source, source_folder, target, target_folder, replace=replace)
        self.steps += counts
        if counts and self.steps == self.after:
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass(slots=True)
class Bench:
    """Kills one change of one root again and again, and asks the registry about what is left.

    Things come back from the quarantine as they went, with their own inodes, so one root
    serves for all cuts; that it is file for file the first one is seen after each.
    """

    root: Path
    intent: Callable[[Store], Intent]
    answers: Everything
    """Before; of what is only there afterwards too, when it is made."""
    compared: int = 0
    copies: int = 0
    original: Files = field(default_factory=dict)
    changed: Files = field(default_factory=dict)
    after: Everything | None = None
    forward: int = 0
    back: int = 0

    def __post_init__(self) -> None:
        """Do it and take it back undisturbed, to know both trees, the answers after it and the number of steps."""
        self.original = state_of(self.root)
        counting = Killed()
        self.do(self.apply, counting)
        self.forward = counting.steps
        self.changed = state_of(self.root)
        service = Service(self.root)
        with service.running():
            self.after = service.everything({*self.answers.replies, *questions_of(self.root)})
        counting = Killed()
        self.do(undo, counting)
        self.back = counting.steps
        assert differences(state_of(self.root), self.original) == {}
        with service.running():
            self.answers = service.everything(self.after.replies)
        shutil.rmtree(service.room)

    @property
    def touched(self) -> list[str]:
        """Repositories of which the registry answers something else afterwards."""
        assert self.after is not None
        after = self.after.replies
        return sorted({each.repository for each, reply in self.answers.replies.items() if reply != after[each]})

    def apply(self, store: Store, journal: Journal) -> object:
        return executor.apply(store, planned(store, self.intent(store)), journal, statement=OFFLINE)

    def do(self, act: Act, ops: Faulty) -> None:
        with opened(self.root) as store:
            act(store, Journal.of(store.root, ops))

    def cut(self, act: Act, after: int) -> None:
        """Kill an act after so many steps of it; an undo is begun when all is done."""
        if act != self.apply:
            self.do(self.apply, Faulty())
        assert in_child(lambda: self.do(act, Killed(after))), "nobody was killed"
        with opened(self.root) as store:
            assert Journal.of(store.root).changes()[-1].state is State.UNFINISHED

    def expect_served(self) -> None:
        """Each answer is the old or the new one, the same wherever the two agree; what a tag means is there whole."""
        assert self.after is not None
        before = state_of(self.root)
        service = Service(self.root)
        with service.running():
            found = service.everything(self.answers.replies)
            allowed = {each: {self.answers.replies[each], self.after.replies[each]} for each in self.answers.replies}
            assert {each: reply for each, reply in found.replies.items() if reply not in allowed[each]} == {}
            for name, tags in found.tags.items():
                old, new = self.answers.tags[name] or frozenset(), self.after.tags[name] or frozenset()
                assert old & new <= (tags or frozenset()) <= old | new
            assert self.answers.catalog & self.after.catalog <= found.catalog
            self.compared += len(found.replies)
            tagged = [each for each in found.served() if each.is_tag]
            listed = {Question(name, MANIFESTS, tag) for name, tags in found.tags.items() for tag in tags or ()}
            assert listed == set(tagged), "a tag is listed and leads nowhere"
            self.copies += pulled(service, found, [each for each in tagged if each.repository in self.touched])
        shutil.rmtree(service.room)
        assert differences(state_of(self.root), before) == {}, "the registry changed the cut store"

    def expect(self, act: Act, wanted: Files) -> None:
        """Take a way out: the tree that it promises, and no damage."""
        self.do(act, Faulty())
        assert differences(state_of(self.root), wanted) == {}
        assert [finding for finding in findings(self.root) if finding.severity.is_damage] == []


def undo(store: Store, journal: Journal) -> object:
    return executor.undo(store, journal, statement=OFFLINE)


def finish(store: Store, journal: Journal) -> object:
    return executor.finish(store, journal, statement=OFFLINE)


@pytest.fixture
def prepared(made_registry: "MadeRegistry", tmp_path: Path) -> Mapping[str, tuple[Path, Callable[[Store], Intent]]]:
    """For each change a root that it begins with, and its intent."""
    staged, plain = (copy_of(made_registry.root, tmp_path / name) for name in ("staged", "plain"))
    with opened(staged) as store:
        archive = archived(made_registry, "oci-archive", tmp_path)
        importing = store.stage(str(archive), name="team/app:latest", latest=False, at=times.now(), progress=Silent())
    now = times.now()
    return {
        "import": (staged, lambda store: importing),
        "clean": (plain, lambda store: Clean(before=now, untagged=True)),
    }


@pytest.mark.parametrize("what", ["import", "clean"])
def test_the_registry_serves_a_cut_store_and_both_ways_out_reach_what_they_promise(
    made_registry: "MadeRegistry",
    prepared: Mapping[str, tuple[Path, Callable[[Store], Intent]]],
    what: str,
    tmp_path: Path,
    figure: Figure,
) -> None:
    root, intent = prepared[what]
    bench = Bench(root, intent, made_registry.answers)
    judged = [bench.original, bench.changed]
    cuts: list[tuple[Act, int]] = [(bench.apply, after) for after in range(bench.forward + 1)]
    cuts += [(undo, after) for after in (0, bench.back // 2)]
    for act, after in cuts:
        try:
            bench.cut(act, after)
            tree = state_of(root)
            if tree not in judged:
                bench.expect_served()
                judged.append(tree)
            bench.expect(undo, bench.original)
            bench.cut(act, after)
            bench.expect(finish, bench.original if act is undo else bench.changed)
            if act is not undo:
                bench.expect(undo, bench.original)
        except AssertionError as failure:
            failure.add_note(f"{getattr(act, '__name__', act)} cut after step {after}")
            raise
    figure(
        f"registry: {what} killed at each of its {bench.forward} steps and in its undo, {len(cuts)} cuts: "
        f"{len(judged) - 2} cut trees served ({bench.compared} answers, {bench.copies} copies by skopeo), "
        "all finished and all undone"
    )
