"""Apply, undo, finish and purge: what each refuses, what it says, and what it leaves."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orlop.apply import apply, apply_saved, finish, purge, undo
from orlop.errors import (
    Cancelled,
    Changed,
    Locked,
    Malformed,
    NotFound,
    Refused,
    Unfinished,
    Unsupported,
    WouldHarm,
)
from orlop.intent import Intent, Remove, Tag, Untag
from orlop.journal import Journal, State
from orlop.plan import Plan, Quarantine, Replace, saved_plan_from_json
from orlop.progress import Stoppable
from orlop.records import Key

if TYPE_CHECKING:
    from tests.crash.conftest import SmallStore

REMOVE_ONE = Remove(keys=(Key("", "one", None),))


@pytest.fixture
def journal(small: SmallStore) -> Journal:
    return Journal.of(small.root)


def planned(store: SmallStore, intent: Intent) -> Plan:
    plan = store.plan(intent)
    assert isinstance(plan, Plan)
    return plan


def test_a_removed_image_is_in_the_quarantine_and_comes_back_with_its_inodes(
    small: SmallStore, journal: Journal
) -> None:
    names = small.root.stat("names.json").version
    inodes = {path: small.root.stat(path).inode for path in ("images/one", "layers/first", "layers/first/data")}
    receipt = apply(small, planned(small, REMOVE_ONE), journal)
    assert receipt.steps == 3
    assert receipt.bytes_quarantined > 0
    assert receipt.findings == ()
    assert not small.root.exists("images/one")
    assert not small.root.exists("layers/first")
    assert small.root.exists("layers/base")
    [change] = journal.changes()
    assert (change.id, change.state, change.bytes) == (receipt.change, State.DONE, receipt.bytes_quarantined)

    undo(small, journal)
    assert {path: small.root.stat(path).inode for path in inodes} == inodes
    back = small.root.stat("names.json").version
    assert (back[1], back[2], back[4]) == (names[1], names[2], names[4])
    assert journal.changes()[0].state is State.UNDONE
    assert "one" in {row.id for row in small.rows().rows}


def test_undo_takes_back_the_last_change_that_was_not_taken_back(small: SmallStore, journal: Journal) -> None:
    first = apply(small, planned(small, Untag(names=("a:1",))), journal)
    second = apply(small, planned(small, REMOVE_ONE), journal)
    assert undo(small, journal).change == second.change
    assert undo(small, journal).change == first.change
    with pytest.raises(NotFound):
        undo(small, journal)
    with pytest.raises(Refused, match="taken back already"):
        undo(small, journal, first.change)


def test_a_plan_without_steps_is_done_without_a_change(small: SmallStore, journal: Journal) -> None:
    receipt = apply(small, planned(small, Tag(image="one", name="a:1")), journal)
    assert (receipt.change, receipt.steps) == ("", 0)
    assert receipt.remarks
    assert not small.root.exists(".orlop")


def test_a_store_that_changed_since_is_left_alone_and_the_difference_is_said(
    small: SmallStore, journal: Journal, small_folder: Path
) -> None:
    plan = planned(small, REMOVE_ONE)
    (small_folder / "layers/first").rename(small_folder / "layers/other")
    shutil.copytree(small_folder / "layers/other", small_folder / "layers/first", symlinks=True)
    with pytest.raises(Changed, match="layers/first"):
        apply(small, plan, journal)
    assert not small.root.exists(".orlop")
    assert small.root.exists("images/one")


def test_a_plan_that_the_store_would_refuse_now_is_refused(small: SmallStore, journal: Journal) -> None:
    plan = planned(small, REMOVE_ONE)
    refused = Plan(**{f: getattr(plan, f) for f in plan.__slots__} | {"intent": Remove(keys=(Key("", "keep", None),))})
    with pytest.raises(Refused, match="in use"):
        apply(small, refused, journal)


def test_a_name_that_is_gone_meanwhile_is_a_change(small: SmallStore, journal: Journal, small_folder: Path) -> None:
    plan = planned(small, Untag(names=("a:1",)))
    (small_folder / "names.json").write_text("{}")
    with pytest.raises(Changed):
        apply(small, plan, journal)


def test_a_saved_plan_does_the_same_and_only_on_its_own_store(small: SmallStore, journal: Journal) -> None:
    import json

    document = planned(small, REMOVE_ONE).to_json()
    other = saved_plan_from_json(json.dumps({**document, "store": "another"}).encode())
    with pytest.raises(Refused, match="another store"):
        apply_saved(small, other, journal)
    saved = saved_plan_from_json(json.dumps(document).encode())
    assert apply_saved(small, saved, journal).steps == 3
    with pytest.raises(Changed):
        apply_saved(small, saved, journal)


def test_nothing_is_written_while_the_engine_holds_its_lock(small: SmallStore, journal: Journal) -> None:
    plan = planned(small, REMOVE_ONE)
    with small.guard(None):
        with pytest.raises(Locked):
            apply(small, plan, journal)
        with pytest.raises(Locked):
            undo(small, journal)
        with pytest.raises(Locked):
            purge(small, journal)
    assert not small.root.exists(".orlop")


def test_a_change_that_does_harm_is_taken_back_and_the_harm_is_named(
    small: SmallStore, journal: Journal, small_folder: Path
) -> None:
    (small_folder / "careless").touch()  # plans now remove layers that others need
    careless = type(small)(str(small_folder))
    with pytest.raises(WouldHarm, match=r"images/two.*needs base.*taken back"):
        apply(careless, planned(careless, REMOVE_ONE), Journal.of(careless.root))
    assert small.root.exists("layers/base")
    assert small.root.exists("images/one")
    [change] = journal.changes()
    assert change.state is State.ROLLED_BACK
    assert "needs base" in change.why
    assert "one" in {row.id for row in careless.rows().rows}
    careless.close()


def test_a_file_that_was_bad_may_be_found_bad_by_another_rule(
    small: SmallStore, journal: Journal, small_folder: Path
) -> None:
    (small_folder / "images/keep").write_text("")
    small.refresh()
    receipt = apply(small, planned(small, Untag(names=("k:1",))), journal)
    assert receipt.findings == ()
    assert journal.changes()[0].state is State.DONE


def test_a_bad_file_that_gets_worse_is_harm(small: SmallStore, journal: Journal, small_folder: Path) -> None:
    (small_folder / "images/keep").write_text("")
    names = small.root.read("names.json").replace(b"k:1", b"k:2").replace(b'"keep"', b'"two"')
    (small_folder / "names.json").write_bytes(names)
    small.refresh()
    with pytest.raises(WouldHarm, match="a name leads to an empty image"):
        apply(small, planned(small, Tag(image="keep", name="k:1")), journal)
    assert journal.changes()[0].state is State.ROLLED_BACK


def test_stopping_takes_back_what_was_done(small: SmallStore, journal: Journal) -> None:
    class StopAtTheSecondStep:
        def step(self, what: str, done: int, total: int) -> None:
            if what == "changes" and done == 2:
                raise Cancelled

    with pytest.raises(Cancelled):
        apply(small, planned(small, REMOVE_ONE), journal, progress=Stoppable(StopAtTheSecondStep()))
    assert journal.changes()[0].state is State.ROLLED_BACK
    assert small.root.exists("images/one")


def test_undo_refuses_where_something_took_the_place_and_touches_nothing(
    small: SmallStore, journal: Journal, small_folder: Path
) -> None:
    apply(small, planned(small, REMOVE_ONE), journal)
    (small_folder / "images/one").write_text("base")
    before = small.root.read("names.json")
    with pytest.raises(Changed) as error:
        undo(small, journal)
    assert error.value.path == "images/one"
    assert small.root.read("names.json") == before
    assert journal.changes()[0].state is State.DONE
    (small_folder / "images/one").unlink()
    undo(small, journal)


def test_undo_refuses_where_a_replaced_file_was_written_to(
    small: SmallStore, journal: Journal, small_folder: Path
) -> None:
    apply(small, planned(small, REMOVE_ONE), journal)
    (small_folder / "names.json").write_text('{"x:1": "two"}')
    with pytest.raises(Changed) as error:
        undo(small, journal)
    assert error.value.path == "names.json"
    assert "later changes" in error.value.do
    assert not small.root.exists("images/one")


def test_undo_leaves_a_folder_that_something_else_uses_now(
    small: SmallStore, journal: Journal, small_folder: Path
) -> None:
    apply(small, planned(small, Tag(image="one", name="n:1")), journal)
    assert small.root.stat("updated/one/at").mode == 0o640
    (small_folder / "updated/one/else").touch()
    receipt = undo(small, journal)
    assert small.root.names("updated/one") == ["else"]
    assert any("updated/one" in remark for remark in receipt.remarks)


def test_a_purged_change_is_gone_for_good_and_says_so(small: SmallStore, journal: Journal) -> None:
    first = apply(small, planned(small, REMOVE_ONE), journal)
    receipt = purge(small, journal)
    assert receipt.bytes_freed > 0
    assert receipt.change == first.change
    [change] = journal.changes()
    assert (change.state, change.bytes) == (State.PURGED, 0)
    assert small.root.names(change.path) == ["journal"]
    with pytest.raises(Refused, match="emptied"):
        undo(small, journal)
    assert purge(small, journal).bytes_freed == 0


def test_a_quarantine_that_is_half_emptied_is_never_brought_back(
    small: SmallStore, journal: Journal, small_folder: Path
) -> None:
    receipt = apply(small, planned(small, REMOVE_ONE), journal)
    shelf = small_folder / ".orlop/changes" / receipt.change
    (shelf / "000003.old").rename(shelf / "000003.old.gone")  # where a purge on a full disk was killed
    assert journal.changes()[0].state is State.PURGED
    with pytest.raises(Refused):
        undo(small, journal)
    purge(small, journal)
    assert os.listdir(shelf) == ["journal"]


def test_a_cut_off_change_blocks_others_until_it_is_finished(small: SmallStore, journal: Journal) -> None:
    plan = planned(small, REMOVE_ONE)
    other = planned(small, Untag(names=("b:1",)))
    with journal.writing():
        begun = journal.begin(plan, held_by="", damage=(), unsound=()).change
    with pytest.raises(Unfinished):
        apply(small, other, journal)
    with pytest.raises(Unfinished):
        apply(small, planned(small, Tag(image="one", name="a:1")), journal)
    with pytest.raises(Refused, match="unfinished"):
        purge(small, journal, [begun.id])
    assert begun.id in purge(small, journal).remarks[0]
    assert finish(small, journal).change == begun.id
    assert not small.root.exists("images/one")
    assert journal.changes()[0].state is State.DONE
    with pytest.raises(NotFound):
        finish(small, journal)


def test_a_finished_change_that_does_harm_is_taken_back(
    small: SmallStore, journal: Journal, small_folder: Path
) -> None:
    (small_folder / "careless").touch()
    careless = type(small)(str(small_folder))
    plan = planned(careless, REMOVE_ONE)
    with journal.writing():
        journal.begin(plan, held_by="", damage=(), unsound=())
    with pytest.raises(WouldHarm):
        finish(careless, journal)
    assert small.root.exists("layers/base")
    assert journal.changes()[0].state is State.ROLLED_BACK
    careless.close()


def test_a_cut_off_change_is_not_finished_on_something_else(
    small: SmallStore, journal: Journal, small_folder: Path
) -> None:
    with journal.writing():
        journal.begin(planned(small, REMOVE_ONE), held_by="", damage=(), unsound=())
    (small_folder / "images/one").unlink()
    (small_folder / "images/one").write_text("another")  # which may well get the same inode number
    os.utime(small_folder / "images/one", ns=(0, 0))
    before = small.root.read("names.json")
    with pytest.raises(Changed):
        finish(small, journal)
    assert small.root.read("names.json") == before
    undo(small, journal)


@pytest.mark.parametrize("steps_done", [1, 2, 3])
def test_a_cut_off_change_can_always_be_taken_back_around_what_others_wrote_since(
    small: SmallStore,
    journal: Journal,
    small_folder: Path,
    cut_after: Callable[[Plan, int], None],
    steps_done: int,
) -> None:
    cut_after(planned(small, REMOVE_ONE), steps_done)
    names, image, layer = (small_folder / path for path in ("names.json", "images/one", "layers/first"))
    image_was_there = image.exists()
    names.write_text("{}")
    image.write_text("pulled again")
    receipt = undo(small, journal)
    assert names.read_text() == "{}"
    assert image.read_text() == "pulled again"
    assert layer.exists(), "what nobody replaced is back"
    assert sum("stays" in remark for remark in receipt.remarks) == 1 + (not image_was_there)
    [change] = journal.changes()
    assert change.state is State.UNDONE
    assert small.root.exists(f"{change.path}/000001.old"), "the old names are still to be had"
    apply(small, planned(small, Tag(image="two", name="c:1")), journal)
    assert purge(small, journal, [change.id]).bytes_freed > 0


def test_a_cut_off_change_can_be_taken_back_where_something_of_it_is_gone(
    small: SmallStore, journal: Journal, small_folder: Path
) -> None:
    with journal.writing():
        journal.begin(planned(small, REMOVE_ONE), held_by="", damage=(), unsound=())
    shutil.rmtree(small_folder / "layers/first")
    with pytest.raises(Changed, match="neither") as error:
        finish(small, journal)
    assert "orlop undo" in error.value.do
    assert any("layers/first is gone" in remark for remark in undo(small, journal).remarks)
    assert journal.changes()[0].state is State.UNDONE


@pytest.mark.parametrize(
    ("old", "new"), [('"version":1', '"version":2'), ('"op":"quarantine"', '"op":"x"'), ('"do":"remove"', '"do":"x"')]
)
def test_a_change_that_a_later_version_left_half_done_blocks_others(
    small: SmallStore, journal: Journal, small_folder: Path, old: str, new: str
) -> None:
    first = apply(small, planned(small, Untag(names=("a:1",))), journal)
    other = planned(small, Tag(image="two", name="c:1"))
    with journal.writing():
        begun = journal.begin(planned(small, REMOVE_ONE), held_by="", damage=(), unsound=()).change
    lines = small_folder / begun.path / "journal"
    lines.write_text(lines.read_text().replace(old, new, 1))
    acts: tuple[Callable[[], object], ...] = (
        lambda: apply(small, other, journal),
        lambda: undo(small, journal, first.change),
        lambda: undo(small, journal),
        lambda: finish(small, journal),
    )
    for act in acts:
        with pytest.raises(Unsupported, match=begun.id):
            act()
    with lines.open("a") as file:
        file.write('{"type":"done"}\n')
    apply(small, other, journal)


def test_a_damaged_journal_is_not_undone_and_blocks_no_other(
    small: SmallStore, journal: Journal, small_folder: Path
) -> None:
    first = apply(small, planned(small, Untag(names=("a:1",))), journal)
    second = apply(small, planned(small, Untag(names=("a:2",))), journal)
    (small_folder / ".orlop/changes" / second.change / "journal").write_bytes(b"\0\0\n")
    with pytest.raises(Malformed):
        undo(small, journal)
    assert second.change in purge(small, journal).remarks[0]
    apply(small, planned(small, Untag(names=("b:1",))), journal)
    assert journal.find(first.change).state is State.PURGED


def test_a_change_of_another_store_in_the_same_root_is_left_to_that_store(small: SmallStore, journal: Journal) -> None:
    plan = planned(small, REMOVE_ONE)
    with journal.writing():
        journal.begin(plan, scope="another", held_by="", damage=(), unsound=())
    with pytest.raises(Refused, match="small:another"):
        finish(small, journal)
    with pytest.raises(Refused, match="small:another"):
        undo(small, journal)


def test_a_missing_quarantine_is_said_and_nothing_is_touched(
    small: SmallStore, journal: Journal, small_folder: Path
) -> None:
    receipt = apply(small, planned(small, REMOVE_ONE), journal)
    shutil.rmtree(small_folder / ".orlop/changes" / receipt.change / "000003.old")
    before = small.root.read("names.json")
    with pytest.raises(Changed, match="neither"):
        undo(small, journal)
    assert small.root.read("names.json") == before


def test_steps_on_the_same_path_are_done_and_taken_back_in_order(
    small: SmallStore, journal: Journal, small_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orlop.digest import Digest

    old = small.root.read("names.json")
    folder = small.root.stat("layers/third")
    steps = (
        Replace(path="names.json", old=Digest.of(old), new=b'{"k:1": "keep"}'),
        Replace(path="names.json", old=Digest.of(b'{"k:1": "keep"}'), new=b"{}"),
        Replace(path="layers/third/data", old=Digest.of(b"third" * 100), new=b"rewritten"),
        Quarantine(path="layers/third", kind="folder", inode=folder.inode, bytes=1),
    )
    plan = planned(small, REMOVE_ONE)
    twice = Plan(**{f: getattr(plan, f) for f in plan.__slots__} | {"steps": steps, "images": ("one", "two", "keep")})
    monkeypatch.setattr(type(small), "plan", lambda self, intent: twice)
    monkeypatch.setattr(type(small), "check", lambda self, keys, content, progress: iter(()))
    apply(small, twice, journal)
    assert small.root.read("names.json") == b"{}"
    assert not small.root.exists("layers/third")
    undo(small, journal)
    assert small.root.read("names.json") == old
    assert small.root.read("layers/third/data") == b"third" * 100


@pytest.mark.parametrize("path", [".orlop", ".orlop/changes", "layers/.orlop/x"])
def test_no_plan_may_touch_the_journal(
    small: SmallStore, journal: Journal, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    plan = planned(small, REMOVE_ONE)
    step = Quarantine(path=path, kind="folder", inode=1, bytes=1)
    bad = Plan(**{f: getattr(plan, f) for f in plan.__slots__} | {"steps": (step,)})
    monkeypatch.setattr(type(small), "plan", lambda self, intent: bad)
    with pytest.raises(Malformed):
        apply(small, bad, journal)
    assert journal.changes() == ()


def test_a_link_in_the_place_of_orlops_folder_is_refused(
    small: SmallStore, journal: Journal, small_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (small_folder / ".orlop").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Exception, match="link"):
        apply(small, planned(small, REMOVE_ONE), journal)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert small.root.exists("images/one")


def test_many_acts_leave_no_descriptor_open(small: SmallStore, journal: Journal) -> None:
    def once() -> None:
        apply(small, planned(small, REMOVE_ONE), journal)
        undo(small, journal)

    once()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        once()
    assert len(os.listdir("/proc/self/fd")) == before
