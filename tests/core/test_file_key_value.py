"""The key/value store on files: what others see of it, and many processes at once."""

import hashlib
import multiprocessing
import os
import pickle
import stat
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from orlop.errors import NotFound, WrongKind
from orlop.kv import FileKeyValue

PROCESSES = 4
UPDATES = 10


def test_files_and_folders_are_as_moby_makes_them(tmp_path: Path) -> None:
    store = FileKeyValue(str(tmp_path / "distribution"))
    store.set("v1id", "sha256/abc", b"x")
    modes = {
        os.path.relpath(path, tmp_path): stat.S_IMODE(path.stat().st_mode)
        for path in (tmp_path, *tmp_path.rglob("*"))
        if path != tmp_path
    }
    assert modes == {
        "distribution": 0o700,
        "distribution/v1id": 0o755,
        "distribution/v1id/sha256": 0o755,
        "distribution/v1id/sha256/abc": 0o644,
    }


def test_a_link_is_not_followed_but_replaced_and_removed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"secret")
    store = FileKeyValue(str(tmp_path / "store"))
    (tmp_path / "store" / "a").symlink_to(outside)
    (tmp_path / "store" / "b").symlink_to(outside)
    with pytest.raises(WrongKind):
        store.get("", "a")
    store.set("", "a", b"mine")
    store.delete("", "b")
    assert (store.get("", "a"), outside.read_bytes()) == (b"mine", b"secret")
    with pytest.raises(NotFound):
        store.get("", "b")


def test_a_root_that_is_removed_meanwhile_is_made_again(tmp_path: Path) -> None:
    store = FileKeyValue(str(tmp_path / "store"))
    os.rmdir(tmp_path / "store")
    with pytest.raises(NotFound):
        store.get("n", "k")
    store.set("n", "k", b"x")
    assert store.get("n", "k") == b"x"


def test_it_can_be_handed_to_another_process(tmp_path: Path) -> None:
    store = FileKeyValue(str(tmp_path / "store"))
    store.set("n", "k", b"x")
    assert pickle.loads(pickle.dumps(store)).get("n", "k") == b"x"


def _value(number: int) -> bytes:
    body = b"%d," % number * 5000
    return b"%d %s %s" % (number, hashlib.sha256(body).hexdigest().encode(), body)


def _number(value: bytes) -> int:
    """The number in a value; raises ValueError where it is torn."""
    number, checksum, body = value.split(b" ", 2)
    if hashlib.sha256(body).hexdigest().encode() != checksum:
        raise ValueError("torn")
    return int(number)


def _add(root: str) -> None:
    store = FileKeyValue(root)
    for _ in range(UPDATES):
        with store.exclusive():
            store.set("n", "count", _value(_number(store.get("n", "count")) + 1))


def _watch(root: str, ready: Event, done: Event) -> None:
    store = FileKeyValue(root)
    last = -1
    ready.set()
    while not done.is_set():
        number = _number(store.get("n", "count"))
        if number < last:
            raise ValueError("an older value came back")
        last = number


def test_no_update_of_many_processes_is_lost_and_no_reader_sees_a_part(tmp_path: Path) -> None:
    root = str(tmp_path / "store")
    FileKeyValue(root).set("n", "count", _value(0))
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    reader = context.Process(target=_watch, args=(root, ready, done))
    reader.start()
    assert ready.wait(60)
    writers = [context.Process(target=_add, args=(root,)) for _ in range(PROCESSES)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    done.set()
    reader.join(60)
    assert [process.exitcode for process in (reader, *writers)] == [0] * (PROCESSES + 1)
    assert _number(FileKeyValue(root).get("n", "count")) == PROCESSES * UPDATES
    assert [path.name for path in Path(root).rglob("*")] == ["n", "count"]
