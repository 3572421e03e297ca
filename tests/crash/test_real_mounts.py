"""A real disk that is full, and folders on mounts of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orlop import kinds
from orlop.apply import apply, purge, undo
from orlop.errors import NoSpace, Refused
from orlop.fs import Root
from orlop.fs.writer import Writer
from orlop.intent import Remove, Tag
from orlop.journal import Journal, State
from orlop.plan import Plan
from orlop.progress import Silent
from orlop.records import Key
from orlop.samples import DataRoot
from orlop.store import Store
from tests.crash.conftest import Tree, differences, read_tree

if TYPE_CHECKING:
    from tests.crash.conftest import Opener

REMOVE_ONE = Remove(keys=(Key("", "one", None),))


@contextmanager
def mounted(*arguments: str) -> Iterator[None]:
    """Something mounted for the length of a block; the test is skipped where that is not allowed."""
    if shutil.which("mount") is None:
        pytest.skip("there is no mount command here")
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", arguments[-1]], check=True)


@pytest.fixture
def little_disk(tmp_path: Path, small_store: tuple[Callable[[str], None], Opener]) -> Iterator[Store]:
    """A small store on a file system of 256 KiB, opened."""
    make, open_ = small_store
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted("-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)):
        make(str(disk))
        store = open_(str(disk))
        yield store
        store.close()


def fill(store: Store) -> Path:
    """Take every free byte; the file that holds them."""
    path = Path(store.root.path, "filling")
    with pytest.raises(OSError, match="No space"), path.open("wb", buffering=0) as file:  # noqa: PT012
        while True:
            file.write(b"x" * 4096)
    return path


def planned(store: Store, intent: Tag | Remove) -> Plan:
    plan = store.plan(intent)
    assert isinstance(plan, Plan)
    return plan


def test_a_change_on_a_full_disk_is_refused_and_leaves_nothing(little_disk: Store) -> None:
    plan = planned(little_disk, REMOVE_ONE)
    before = little_disk.root.read("names.json")
    fill(little_disk)
    with pytest.raises(NoSpace) as error:
        apply(little_disk, plan, Journal.of(little_disk.root))
    assert "purge" in error.value.do
    assert little_disk.root.read("names.json") == before
    assert Journal.of(little_disk.root).changes() == ()


def test_a_disk_that_fills_up_at_any_point_leaves_the_store_whole(little_disk: Store) -> None:
    journal = Journal.of(little_disk.root)
    plan = planned(little_disk, Tag(image="one", name="new:1"))
    before = little_disk.root.read("names.json")
    filling = fill(little_disk)
    outcomes = set()
    for pages in range(1, 12):
        os.truncate(filling, filling.stat().st_size - 4096)
        try:
            apply(little_disk, plan, journal)
        except NoSpace:
            assert little_disk.root.read("names.json") == before
            assert journal.unfinished() is None
            outcomes.add("refused")
        else:
            assert json.loads(little_disk.root.read("names.json"))["new:1"] == "one"
            undo(little_disk, journal)
            assert little_disk.root.read("names.json") == before
            outcomes.add("done")
        assert pages
    assert outcomes == {"refused", "done"}


def test_a_full_disk_can_be_purged(little_disk: Store) -> None:
    journal = Journal.of(little_disk.root)
    receipt = apply(little_disk, planned(little_disk, REMOVE_ONE), journal)
    log = Path(little_disk.root.path, ".orlop/changes", receipt.change, "journal")
    fill(little_disk)
    # A journal that ends with its block: the next line needs one that is not there.
    with log.open("ab", buffering=0) as file:
        file.write(b'{"type":"note","text":"' + b"." * (4096 - log.stat().st_size % 4096 - 26) + b'"}\n')
    assert log.stat().st_size % 4096 == 0
    freed = purge(little_disk, journal).bytes_freed
    assert freed > 0
    assert journal.changes()[0].state is State.PURGED


def test_a_disk_that_fills_up_amid_a_removal_leaves_a_docker_store_whole(tmp_path: Path) -> None:
    """Every number of free pages, and journals that cross into a new page at different steps."""
    outcomes: Counter[str] = Counter()
    with mounted("-t", "tmpfs", "-o", "size=2m", "tmpfs", str(tmp_path)):
        for layers in range(2, 8):
            folder = tmp_path / "docker"
            store = docker_store(folder, layers)
            plan = planned(store, Remove(keys=(Key("", store.find("app:1")[0].id, None),)))
            assert len(plan.steps) > 3 * layers
            before, outcome, pages = read_tree(str(folder)), "", 0
            while outcome != "done":
                outcome = removed_with_room(store, plan, pages, before)
                outcomes[outcome] += 1
                pages += 1
            store.close()
            shutil.rmtree(folder)
    assert outcomes.keys() == {"refused", "taken back", "done"}


def removed_with_room(store: Store, plan: Plan, pages: int, before: Tree) -> str:
    """Remove with so many pages free, see the store whole, and bring all back."""
    journal = Journal.of(store.root)
    filling = fill(store)
    os.truncate(filling, filling.stat().st_size - 4096 * pages)
    try:
        apply(store, plan, journal)
        outcome = "done"
    except NoSpace:
        outcome = "taken back" if journal.changes() else "refused"
    filling.unlink()
    assert journal.unfinished() is None
    assert (differences(read_tree(store.root.path), before) == []) == (outcome != "done")
    assert sound(store)
    if outcome == "done":
        undo(store, journal)
        assert differences(read_tree(store.root.path), before) == []
        assert sound(store)
    shutil.rmtree(Path(store.root.path, ".orlop"), ignore_errors=True)
    return outcome


def docker_store(folder: Path, layers: int) -> Store:
    """A store with an image of so many layers that only it needs, on a base that stays."""
    data = DataRoot.create(str(folder))
    base = data.image({"base": b"base"}, names=["base:1"])
    data.image(*({f"file{n}": b"data"} for n in range(layers)), on=base, names=["app:1"])
    data.settle()
    return kinds.open(str(folder))


def sound(store: Store) -> bool:
    store.refresh(None)
    return not [f for f in store.check(None, content=False, progress=Silent()) if f.severity.is_damage]


def test_what_lies_on_another_mount_is_kept_on_that_mount(
    small_folder: Path, small_store: tuple[Callable[[str], None], Opener]
) -> None:
    """A bind mount of the same file system too: a rename does not cross it."""
    _, open_ = small_store
    layers = str(small_folder / "layers")
    with mounted("--bind", layers, layers):
        store = open_(str(small_folder))
        try:
            journal = Journal.of(store.root)
            assert Writer(store.root).home("layers/first") == "layers"
            inode = store.root.stat("layers/first").inode
            receipt = apply(store, planned(store, REMOVE_ONE), journal)
            [change] = journal.changes()
            assert [step.home for step in change.steps] == ["", "", "layers"]
            kept = f"layers/.orlop/changes/{receipt.change}/000003.old"
            assert store.root.stat(kept).inode == inode
            assert store.root.stat("layers/.orlop").mode == 0o700
            undo(store, journal)
            assert store.root.stat("layers/first").inode == inode
            second = apply(store, planned(store, REMOVE_ONE), journal)
            assert purge(store, journal).bytes_freed > 0
            assert not store.root.exists(f"layers/.orlop/changes/{second.change}")
        finally:
            store.close()


def test_a_folder_in_which_something_is_mounted_is_neither_moved_nor_emptied(
    small_folder: Path, small_store: tuple[Callable[[str], None], Opener]
) -> None:
    _, open_ = small_store
    inside = small_folder / "layers/first/etc"
    with mounted("-t", "tmpfs", "tmpfs", str(inside)):
        (inside / "precious").touch()
        store = open_(str(small_folder))
        try:
            with pytest.raises(Refused, match="mounted"):
                apply(store, planned(store, REMOVE_ONE), Journal.of(store.root))
            with Root.open(str(small_folder)) as root, pytest.raises(Refused, match="mounted"):
                Writer(root).remove_tree("layers/first")
            assert (inside / "precious").exists()
            assert store.root.exists("images/one")
        finally:
            store.close()
