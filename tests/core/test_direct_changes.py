"""The direct runner: what it has done is on disk when it returns."""

import fcntl
import os
from pathlib import Path

import pytest

from orlop.change import Change, Drop, Put
from orlop.direct import Place
from orlop.fs.writer import System
from orlop.kv import FileKeyValue


class Watchful(System):
    """Knows the files and folders that were changed and not synced since."""

    def __init__(self) -> None:
        self.unsynced: set[str] = set()
        self.synced: list[str] = []

    def _changed(self, fd: int) -> None:
        self.unsynced.add(os.readlink(f"/proc/self/fd/{fd}"))

    def create(self, name: str, mode: int, folder: int) -> int:
        fd = super().create(name, mode, folder)
        self._changed(fd)
        return fd

    def write(self, fd: int, data: bytes) -> int:
        self._changed(fd)
        return super().write(fd, data)

    def fchmod(self, fd: int, mode: int) -> None:
        self._changed(fd)
        super().fchmod(fd, mode)

    def fsync(self, fd: int) -> None:
        path = os.readlink(f"/proc/self/fd/{fd}")
        self.unsynced.discard(path)
        self.synced.append(path)
        super().fsync(fd)

    def rename(self, source: str, source_folder: int, target: str, target_folder: int, *, replace: bool) -> None:
        assert self.unsynced == set(), f"before {source} became {target}"
        super().rename(source, source_folder, target, target_folder, replace=replace)
        self._changed(source_folder)
        self._changed(target_folder)

    def mkdir(self, name: str, mode: int, folder: int) -> None:
        super().mkdir(name, mode, folder)
        self._changed(folder)

    def unlink(self, name: str, folder: int) -> None:
        super().unlink(name, folder)
        self._changed(folder)

    def rmdir(self, name: str, folder: int) -> None:
        super().rmdir(name, folder)
        self._changed(folder)


def test_every_change_is_synced_with_the_folder_that_names_it(tmp_path: Path) -> None:
    ops = Watchful()
    place = Place(str(tmp_path), ops=ops)
    changes: list[Change] = [
        Put(path="a/b/file", data=b"old", mode=0o644),
        Put(path="a/b/file", data=b"new"),
        Put(path="a/b/second", data=b""),
        Drop(path="a/b/file"),
        Drop(path="a", tree=True),
    ]

    for change in changes:
        place.run(change)
        assert {path for path in ops.unsynced if os.path.lexists(path)} == set(), change


def test_folders_made_above_the_place_are_synced_too(tmp_path: Path) -> None:
    ops = Watchful()

    Place(str(tmp_path / "one/two"), ops=ops).create()

    assert ops.synced == [str(tmp_path), str(tmp_path / "one")]


def test_a_place_that_is_there_needs_no_reading_of_what_is_above_it(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    tmp_path.chmod(0o300)

    FileKeyValue(str(tmp_path / "store")).set("n", "k", b"x")

    assert (tmp_path / "store/n/k").read_bytes() == b"x"


def _is_held(folder: Path) -> bool:
    fd = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def test_changes_are_made_while_nobody_else_can_make_any(tmp_path: Path) -> None:
    held: list[bool] = []

    class Asking(System):
        def rename(self, source: str, source_folder: int, target: str, target_folder: int, *, replace: bool) -> None:
            held.append(_is_held(tmp_path))
            super().rename(source, source_folder, target, target_folder, replace=replace)

        def unlink(self, name: str, folder: int) -> None:
            held.append(_is_held(tmp_path))
            super().unlink(name, folder)

    Place(str(tmp_path), ops=Asking()).run(Put(path="f", data=b""), Drop(path="f"))

    assert held == [True, True]
    assert not _is_held(tmp_path)


def test_a_folder_that_is_replaced_while_one_waits_for_it_is_locked_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    flock = fcntl.flock
    calls: list[int] = []

    def replaced(fd: int, operation: int) -> None:
        calls.append(operation)
        if len(calls) == 1:
            folder.rename(tmp_path / "away")
            folder.mkdir()
        flock(fd, operation)

    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", replaced)
        lock = Place(str(folder)).exclusive()
        lock.__enter__()
    held = _is_held(folder), _is_held(tmp_path / "away")
    lock.__exit__(None, None, None)

    assert held == (True, False)
