"""Reading ahead changes nothing but the time: it looks at everything, follows nothing, and ends with its reader."""

import os
import threading
from pathlib import Path

import pytest

from orlop.fs import Root
from orlop.registry import ahead
from orlop.registry.ahead import Ahead
from tests.registry.making import V2, Storage

PATHS = (f"{V2}/repositories", f"{V2}/blobs")


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    storage = Storage(tmp_path / "registry")
    for number in range(20):
        storage.image(f"team/app{number}", "1", layers=[b"base", b"own %d" % number])
    return storage


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("read-ahead")}


def finish(reading: Ahead) -> None:
    for thread in reading._threads[1:]:
        thread.join(30)
        assert not thread.is_alive()


def test_everything_is_looked_at_once(storage: Storage) -> None:
    files = sum(1 for path in storage.path.rglob("*") if path.is_file())
    digests = sum(1 for path in storage.path.rglob("*") if path.is_dir() and len(path.name) == 64)
    with Root.open(str(storage.path)) as root, Ahead(root, PATHS) as reading:
        reading.start()
        finish(reading)
        assert reading._looked == files + digests
    assert threads() == set()


def test_a_reader_that_is_done_ends_it(storage: Storage) -> None:
    with Root.open(str(storage.path)) as root, Ahead(root, PATHS) as reading:
        reading.start()
    assert threads() == set()


def test_hostile_things_are_neither_followed_nor_opened(storage: Storage, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / ("aa" * 32)).mkdir(parents=True)
    (outside / ("aa" * 32) / "data").write_bytes(b"secret")
    blobs = storage.path / V2 / "blobs/sha256"
    (blobs / "link").symlink_to(outside)
    (blobs / "loop").symlink_to("..")
    os.mkfifo(blobs / "pipe")
    digest = blobs / "00" / ("00" * 32)
    digest.mkdir(parents=True)
    os.mkfifo(digest / "data")
    with Root.open(str(storage.path)) as root, Ahead(root, (*PATHS, "nowhere")) as reading:
        before = sum(1 for path in storage.path.rglob("*") if path.is_file() and not path.is_symlink())
        reading.start()
        finish(reading)
        assert reading._looked > before


def test_a_tree_without_end_is_given_up(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_MOST", 10)
    with Root.open(str(storage.path)) as root, Ahead(root, PATHS) as reading:
        reading.start()
        finish(reading)
        assert reading._looked < 10 + 100 * ahead.WORKERS


@pytest.mark.parametrize(
    ("busy", "fetched", "waits"), [(0.1, 4096, True), (0.1, 0, False), (0.9, 1 << 30, False), (0.8, 4096, False)]
)
def test_it_begins_only_where_the_reader_waits_for_a_disk(
    monkeypatch: pytest.MonkeyPatch, busy: float, fetched: int, waits: bool
) -> None:
    reader = ahead._Reader()
    reader._before = (10.0, 5.0, 1000)
    after = (11.0, 5.0 + busy, 1000 + fetched)
    monkeypatch.setattr(ahead._Reader, "_now", lambda _: after)
    assert reader.waits() is waits


def test_a_reader_that_works_is_not_said_to_wait() -> None:
    reader = ahead._Reader()
    assert sum(number * number for number in range(200_000))
    assert not reader.waits()
