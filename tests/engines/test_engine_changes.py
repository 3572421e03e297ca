"""Every change of Orlop, judged by the engine.

Two copies of one store: Orlop changes the one while it lies still, the engine
changes the other by its own command. Both must then hold the same on disk, the
engine must serve the first as it serves the second, and undo must bring
everything back.
"""

import hashlib
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import orlop.kinds
from orlop import apply as executor
from orlop.finding import Severity
from orlop.intent import Intent, Remove, Tag, Unmap, Untag
from orlop.journal import Journal
from orlop.plan import Plan, Refusal
from orlop.progress import Silent
from orlop.records import Facet, Key, Mapping
from orlop.store import Store

if TYPE_CHECKING:
    from tests.engines.conftest import Engine, Made

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

Figure = Callable[[str], None]
Command = Callable[..., subprocess.CompletedProcess[str]]
Copies = Callable[[], "Engine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One change: for Orlop, as a command line, and as the engine's own command."""

    what: str
    intent: Callable[[Store, "Made"], Intent]
    line: Callable[["Made"], Sequence[str]]
    """Arguments of the command line; PATH stands for the store."""
    docker: Callable[["Made"], Sequence[str]]


def rows(*names: str) -> Callable[[Store, "Made"], Intent]:
    """Remove by the names that a person would type."""
    return lambda store, made: Remove(keys=tuple(key for name in names for key in store.find(name.format(made=made))))


def by_word(word: str) -> Callable[[Store, "Made"], Intent]:
    """Remove an image by its id."""
    return lambda store, made: Remove(keys=(Key("", made.facts[word], None),))


def removal(what: str, *names: str) -> Turn:
    def spelled(made: "Made") -> list[str]:
        return [name.format(made=made) for name in names]

    return Turn(
        what=what,
        intent=rows(*names),
        line=lambda made: ["rm", "PATH", *spelled(made), "--yes"],
        docker=lambda made: ["rmi", *spelled(made)],
    )


def removal_by_id(what: str, word: str) -> Turn:
    return Turn(
        what=what,
        intent=by_word(word),
        line=lambda made: ["rm", "PATH", made.facts[word], "--yes"],
        docker=lambda made: ["rmi", "--force", made.facts[word]],
    )


def tagging(what: str, old: str, new: str) -> Turn:
    return Turn(
        what=what,
        intent=lambda store, made: Tag(image=made.id_of(old), name=new),
        line=lambda made: ["tag", "PATH", old, new, "--yes"],
        docker=lambda made: ["tag", old, new],
    )


TURNS = (
    tagging("a new name", "single:1", "fresh/name:1"),
    tagging("a name without a tag", "single:1", "bare"),
    tagging("a tag that moves", "app1:v1", "app2:latest"),
    Turn(
        what="one name of several taken away",
        intent=lambda store, made: Untag(names=("example/base:stable",)),
        line=lambda made: ["untag", "PATH", "example/base:stable", "--yes"],
        docker=lambda made: ["rmi", "example/base:stable"],
    ),
    removal("one name of several deleted", "base:latest"),
    removal("an image with its last name and its layers", "moved:latest"),
    removal("a built image and its untagged parents, as far as no other needs them", "built:2"),
    removal("the other built image, and now all its untagged parents", "built:1"),
    removal("an image without layers", "nolayers:1"),
    removal_by_id("an untagged image", "untagged"),
    removal_by_id("an image with names in two repositories and a digest", "app1"),
    removal("the only digest reference of an image", "{made.facts[by digest]}"),
    removal("a pulled image", "{made.registry}/mirror/other:1"),
    removal("two names at once", "app2:latest", "app2:v2"),
)


# --- what lies on disk -----------------------------------------------------


def on_disk(engine: "Engine") -> dict[str, str]:
    """The image store by path: the digest of each file, the names of the driver's folders.

    The time of a tag differs from one run to the next: only its file counts.
    """
    found = {}
    images = engine.data / "image" / engine.driver
    for path in images.rglob("*"):
        name = str(path.relative_to(engine.data))
        found[name] = "file" if path.name == "lastUpdated" else _content(path)
    layers = engine.data / ("vfs/dir" if engine.driver == "vfs" else "overlay2")
    for folder in (layers, layers / "l"):
        if folder.is_dir():
            found |= {str(path.relative_to(engine.data)): "" for path in folder.iterdir()}
    return found


def whole(engine: "Engine") -> dict[str, str]:
    """Every file of the store by path with its mode and the digest of its content; the journal is left out."""
    found = {}
    for top in (engine.data / "image", engine.data / engine.driver):
        for path in [top, *top.rglob("*")]:
            stat = path.lstat()
            line = f"{stat.st_mode:o} {stat.st_uid}:{stat.st_gid} {_content(path)}"
            found[str(path.relative_to(engine.data))] = line
    return found


def _content(path: Path) -> str:
    if path.is_symlink():
        return f"-> {path.readlink()}"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"


def sound(store: Store) -> bool:
    """Whether nothing but information is found."""
    found = store.check(None, content=False, progress=Silent())
    return all(finding.severity is Severity.INFORMATION for finding in found)


def change(engine: "Engine", intent: Callable[[Store], Intent]) -> None:
    """Plan and apply, each time from a store opened anew."""
    store = orlop.kinds.open(str(engine.data))
    plan = store.plan(intent(store))
    assert isinstance(plan, Plan), plan
    receipt = executor.apply(store, plan, Journal.of(store.root))
    assert receipt.findings == ()
    store.close()


def undo_last(engine: "Engine") -> None:
    store = orlop.kinds.open(str(engine.data))
    executor.undo(store, Journal.of(store.root))
    store.refresh(None)
    assert sound(store)
    store.close()


# --- the judge -------------------------------------------------------------


def test_each_change_leaves_what_the_engine_itself_would_leave_and_undo_takes_all_back(
    made: "Made", copies: Copies, figure: Figure
) -> None:
    mine, twin = copies(), copies()
    states = [whole(mine)]
    starts = saves = 0
    with twin.running():
        for turn in TURNS:
            change(mine, lambda store, turn=turn: turn.intent(store, made))  # type: ignore[misc]
            twin.docker(*turn.docker(made))
            assert on_disk(mine) == on_disk(twin), turn.what
            states.append(whole(mine))
            with mine.running():
                assert mine.listed() == twin.listed(), turn.what
                saved = mine.saved()
            assert saved == {id: made.saved[id] for id in saved}, turn.what
            starts += 1
            saves += len(saved)
            assert whole(mine) == states[-1], f"the engine changed the store at its start after: {turn.what}"
        images = twin.images()
    with mine.running():
        assert {id: each.names for id, each in mine.images().items()} == {id: each.names for id, each in images.items()}
    for turn, before in zip(reversed(TURNS), reversed(states[:-1]), strict=True):
        undo_last(mine)
        assert whole(mine) == before, f"undo of: {turn.what}"
    with mine.running():
        assert mine.images() == made.images
        assert mine.saved() == made.saved
    figure(
        f"{made.driver}: {len(TURNS)} changes equal to the engine's own on disk, {starts} starts of the engine "
        f"after them, {saves} saves compared; all undone, {len(made.saved)} saves as at first"
    )


def test_the_same_by_the_command_line(made: "Made", copies: Copies, command: Command, figure: Figure) -> None:
    mine, twin = copies(), copies()
    before = whole(mine)
    with twin.running():
        for turn in TURNS:
            line = [str(mine.data) if word == "PATH" else word for word in turn.line(made)]
            done = command(*line)
            assert done.returncode == 0, (turn.what, done.stdout, done.stderr)
            twin.docker(*turn.docker(made))
            assert on_disk(mine) == on_disk(twin), turn.what
        listed = twin.listed()
    with mine.running():
        assert mine.listed() == listed
    for turn in reversed(TURNS):
        done = command("undo", str(mine.data), "--yes")
        assert done.returncode == 0, (turn.what, done.stdout, done.stderr)
    assert whole(mine) == before
    assert command("check", str(mine.data)).returncode == 0
    assert command("purge", str(mine.data), "--yes").returncode == 0
    with mine.running():
        assert mine.images() == made.images
    figure(f"{made.driver}: the same {len(TURNS)} changes and undos by the command line")


def test_a_deleted_image_can_be_pulled_again(made: "Made", engine: "Engine") -> None:
    name, id = f"{made.registry}/team/app1:v2", made.facts["app1"]
    change(engine, lambda store: Remove(keys=(Key("", id, None),)))
    with engine.running():
        assert id not in engine.listed()

        engine.docker("pull", name)

        assert engine.id_of(name) == id
        assert engine.saved()[id] == made.saved[id]


def test_mappings_that_are_removed_cost_a_transfer_and_nothing_else(made: "Made", engine: "Engine") -> None:
    def all_of_them(store: Store) -> Intent:
        records = store.facet(Facet.MAPPINGS, None)
        assert isinstance(records, tuple)
        mine = [each for each in records if isinstance(each, Mapping) and each.source]
        assert mine
        return Unmap(mappings=tuple((each.diff_id, each.digest, each.source) for each in mine))

    change(engine, all_of_them)
    lists = engine.data / "image" / engine.driver / "distribution" / "v2metadata-by-diffid" / "sha256"
    assert not list(lists.iterdir())
    with engine.running():
        assert engine.images() == made.images
        assert engine.saved() == made.saved
        assert ": Pushed" in engine.docker("push", f"{made.registry}/team/app1:v2")
        assert "Layer already exists" in engine.docker("push", f"{made.registry}/team/app1:v2")
        assert list(lists.iterdir())
        assert engine.images() == made.images


def test_removed_mappings_come_back_byte_for_byte(made: "Made", engine: "Engine") -> None:
    def one(store: Store) -> Intent:
        records = store.facet(Facet.MAPPINGS, None)
        assert isinstance(records, tuple)
        first = next(each for each in records if isinstance(each, Mapping) and each.source)
        return Unmap(mappings=((first.diff_id, first.digest, first.source),))

    before = whole(engine)
    change(engine, one)
    assert whole(engine) != before

    undo_last(engine)

    assert whole(engine) == before


@pytest.mark.parametrize(
    ("word", "because"),
    [("app0", "a container uses it"), ("base", "other images stand on it")],
)
def test_what_the_engine_refuses_orlop_refuses(made: "Made", engine: "Engine", word: str, because: str) -> None:
    id = made.facts["app0"] if word == "app0" else made.id_of("base:1.0")
    before = whole(engine)
    store = orlop.kinds.open(str(engine.data))

    refusal = store.plan(Remove(keys=(Key("", id, None),)))

    store.close()
    assert isinstance(refusal, Refusal), because
    assert refusal.reasons
    assert whole(engine) == before
    with engine.running():
        assert engine.try_docker("rmi", id).returncode != 0
