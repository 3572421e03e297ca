"""The journal as a stranger's: whatever is in it, reading it writes nothing, raises nothing and tells the truth."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orlop.errors import Locked, NotFound, Unfinished
from orlop.fs import Root
from orlop.intent import Remove
from orlop.journal import CHANGES, Change, Journal, Log, State
from orlop.plan import Plan, Quarantine, Reason, Replace
from orlop.records import Key
from tests.examples import examples

BEGIN: dict[str, object] = {
    "type": "begin",
    "version": 1,
    "at": "2026-11-21T10:14:07.5Z",
    "user": 0,
    "action": "delete 1 image",
    "kind": "docker",
    "scope": "overlay2",
    "store": "1234",
    "held_by": "a lock",
    "fingerprint": "sha256:00",
    "intent": {"do": "remove", "keys": [["", "sha256:ab", None]]},
    "images": ["sha256:ab"],
    "steps": [
        {"op": "quarantine", "path": "a/b", "kind": "file", "inode": 5, "bytes": 4096, "home": "", "folders": []}
    ],
    "damage": [],
    "unsound": [],
}
ID = "20261121T101407.500000000Z-0123abcd"


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    (tmp_path / "store").mkdir()
    with Root.open(str(tmp_path / "store")) as opened:
        yield opened


@pytest.fixture
def written(root: Root) -> Callable[[bytes], Change]:
    """What the journal says of one change with these bytes."""

    def write(data: bytes) -> Change:
        folder = Path(root.path, CHANGES, ID)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "journal").write_bytes(data)
        [change] = Journal.of(root).changes()
        return change

    return write


def line(**members: object) -> bytes:
    return json.dumps({**BEGIN, **members}).encode() + b"\n"


def turns(*kinds: str) -> bytes:
    return line() + b"".join(json.dumps({"type": kind}).encode() + b"\n" for kind in kinds)


def a_plan(root: Root, *steps: Replace | Quarantine) -> Plan:
    return Plan(
        action="delete 1 image",
        kind="docker",
        store="1234",
        intent=Remove(keys=(Key("", "sha256:ab", None),)),
        steps=steps,
        reasons=(Reason(verb="remove", subject="sha256:ab"),),
        images=("sha256:ab",),
        bytes_now=0,
        bytes_freed=0,
        bytes_kept=0,
    )


def test_a_store_without_a_journal_has_no_changes_and_gets_no_folder(root: Root) -> None:
    assert Journal.of(root).changes() == ()
    assert Journal.of(root).unfinished() is None
    assert root.names("") == []


@pytest.mark.parametrize(
    ("kinds", "state", "kept"),
    [
        ((), State.UNFINISHED, 0),
        (("step",), State.UNFINISHED, 4096),
        (("step", "done"), State.DONE, 4096),
        (("step", "undoing"), State.UNFINISHED, 4096),
        (("step", "done", "undoing", "undone"), State.UNDONE, 0),
        (("undoing", "rolled-back"), State.ROLLED_BACK, 0),
        (("step", "done", "purging"), State.PURGED, 0),
        (("step", "done", "purging", "purged"), State.PURGED, 0),
        (("step", "done", "something of a later version"), State.DONE, 4096),
    ],
)
def test_the_last_turn_is_the_state(
    written: Callable[[bytes], Change], kinds: tuple[str, ...], state: State, kept: int
) -> None:
    change = written(turns(*kinds))
    assert (change.state, change.bytes) == (state, kept)
    assert change.action == "delete 1 image"
    assert change.intent == Remove(keys=(Key("", "sha256:ab", None),))


def test_a_torn_last_line_does_not_count(written: Callable[[bytes], Change]) -> None:
    whole = turns("step")
    change = written(whole + b'{"type":"done"}')
    assert change.state is State.UNFINISHED
    assert change.length == len(whole)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"\0" * 100,
        b"{}\n",
        b"[" * 200_000 + b"\n",
        line().rstrip(b"\n"),
        line() + line(),
        line() + b"garbage\n" + b'{"type":"done"}\n',
        line() + b"{}\n" * 100_000,
        line(version=2),
        line(at="yesterday"),
        line(at=5),
        line(steps={}),
        line(steps=[5]),
        line(steps=[{"op": "burn", "path": "a", "home": "", "folders": []}]),
        line(intent=None),
        line(images=[1]),
        line(user=-1),
        line(user=1.5),
    ],
)
def test_what_does_not_parse_is_damaged_and_says_why(written: Callable[[bytes], Change], data: bytes) -> None:
    change = written(data)
    assert change.state is State.DAMAGED
    assert change.why
    assert change.id == ID


@pytest.mark.parametrize(
    "member",
    [
        {"path": "../outside"},
        {"path": "/etc/passwd"},
        {"path": ""},
        {"path": ".orlop/changes"},
        {"path": "a/.orlop/x"},
        {"path": "a/b", "home": "../x"},
        {"path": "a/b", "home": "c"},
        {"path": "a/b", "folders": ["/etc"]},
        {"path": "a/b", "folders": ["c"]},
        {"inode": -1},
        {"bytes": "many"},
        {"kind": None},
    ],
)
def test_a_step_that_leads_elsewhere_makes_the_change_damaged(
    written: Callable[[bytes], Change], member: dict[str, object]
) -> None:
    [step] = BEGIN["steps"] if isinstance(BEGIN["steps"], list) else []
    assert written(line(steps=[{**step, **member}])).state is State.DAMAGED


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(0.6), deadline=None)
@given(data=st.binary(max_size=200), cut=st.integers(0, 900), at=st.integers(0, 900))
def test_no_damage_to_a_journal_raises(written: Callable[[bytes], Change], data: bytes, cut: int, at: int) -> None:
    whole = turns("step", "done")
    assert written(whole[:at] + data + whole[at + cut :]).id == ID


def test_links_pipes_and_folders_in_the_place_of_a_journal_are_damaged(root: Root, tmp_path: Path) -> None:
    changes = Path(root.path, CHANGES)
    changes.mkdir(parents=True)
    (tmp_path / "outside").write_bytes(turns("step", "done"))
    folders = [changes / f"{ID[:-1]}{digit}" for digit in range(4)]
    for folder in folders:
        folder.mkdir()
    (folders[0] / "journal").symlink_to(tmp_path / "outside")
    os.mkfifo(folders[1] / "journal")
    (folders[2] / "journal").mkdir()
    (changes / "a file").touch()
    (changes / f"{ID[:-1]}9").symlink_to(tmp_path)
    found = Journal.of(root).changes()
    assert len(found) == 6
    assert {change.state for change in found} == {State.DAMAGED}
    assert Journal.of(root).unfinished() is None


@pytest.mark.parametrize("name", [".orlop", ".orlop/changes"])
def test_something_else_in_the_place_of_the_folder_is_one_damaged_change(root: Root, name: str, tmp_path: Path) -> None:
    path = Path(root.path, name)
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(tmp_path)
    [change] = Journal.of(root).changes()
    assert change.state is State.DAMAGED


def test_a_begun_change_is_read_back_whole(root: Root) -> None:
    Path(root.path, "names").write_bytes(b"old")
    Path(root.path, "image").write_bytes(b"x" * 5000)
    odd = os.fsdecode(b"odd\xff\n")
    Path(root.path, odd).mkdir()
    plan = a_plan(
        root,
        Replace(path="names", old="sha256:00", new=b"new"),
        Replace(path="made/for/it", old=None, new=b"at", mode=0o644),
        Quarantine(path=odd, kind="folder", inode=7, bytes=12),
    )
    journal = Journal.of(root)
    with journal.writing():
        begun = journal.begin(plan, held_by="a lock", damage={"m"}, unsound={"sha256:cd"}).change
    change = journal.unfinished()
    assert change == begun
    assert change is not None
    assert (change.user, change.held_by, change.fingerprint) == (os.getuid(), "a lock", plan.fingerprint)
    assert [step.path for step in change.steps] == ["names", "made/for/it", odd]
    assert change.steps[1].folders == ("made", "made/for")
    assert (change.damage, change.unsound) == (frozenset({"m"}), frozenset({"sha256:cd"}))
    assert root.read(change.steps[0].new) == b"new"
    assert root.stat(".orlop").mode == 0o700
    with pytest.raises(Unfinished) as error:
        journal.refuse_unfinished()
    assert error.value.change == change.id


def test_changes_keep_their_order_when_the_clock_is_set_back(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([2_000_000_000, 1_000_000_000])
    monkeypatch.setattr("orlop.times.now", lambda: next(clock))
    journal = Journal.of(root)
    with journal.writing():
        first = journal.begin(a_plan(root), held_by="", damage=(), unsound=()).change
        second = journal.begin(a_plan(root), held_by="", damage=(), unsound=()).change
    assert [change.id for change in journal.changes()] == [first.id, second.id]
    assert journal.find(second.id[:25]).id == second.id
    with pytest.raises(NotFound):
        journal.find("1970")


def test_a_line_follows_what_counts_and_not_what_was_torn(root: Root) -> None:
    journal = Journal.of(root)
    with journal.writing():
        log = journal.begin(a_plan(root), held_by="", damage=(), unsound=())
        path = Path(root.path, log.change.path, "journal")
        with path.open("ab") as file:
            file.write(b'{"type":"do')
        [change] = journal.changes()
        Log(journal, change).add("done")
    assert journal.changes()[0].state is State.DONE
    assert path.read_bytes().count(b"\n") == 2


def test_two_writers_exclude_each_other(root: Root) -> None:
    with Journal.of(root).writing(), pytest.raises(Locked), Journal.of(root).writing():
        pass


def test_writing_nothing_leaves_nothing(root: Root) -> None:
    with Journal.of(root).writing():
        assert root.names("") == [".orlop"]
    assert root.names("") == []


def test_what_never_began_is_cleared_by_the_next_writer(root: Root) -> None:
    draft = Path(root.path, CHANGES, ".new-" + ID)
    draft.mkdir(parents=True)
    (draft / "journal").write_bytes(line()[:20])
    (draft / "000001.new").touch()
    assert Journal.of(root).changes() == ()
    with Journal.of(root).writing():
        assert root.names(CHANGES) == []
