"""Locks that engines respect: taken and probed without a trace."""

import fcntl
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orlop import locks
from orlop.errors import Escapes, Locked, NotFound, WrongKind
from orlop.fs import Root

HOLDER = """
import fcntl, os, sys
file = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(file, getattr(fcntl, sys.argv[2]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "lock").write_bytes(b"the engine's own bytes")
    with Root.open(str(tmp_path / "store")) as opened:
        yield opened


@contextmanager
def held_by_another(path: str, how: str = "LOCK_EX") -> Iterator[int]:
    """Another process that holds the lock; its id."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"held\n"
        yield process.pid
        process.stdin.close()


def test_a_held_lock_keeps_others_out_until_the_block_ends(root: Root) -> None:
    fd = os.open(Path(root.path, "lock"), os.O_RDONLY)
    try:
        with locks.hold(root, "lock"), pytest.raises(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(fd)


def test_holding_and_probing_change_neither_bytes_nor_times(root: Root) -> None:
    before = os.stat(Path(root.path, "lock"))
    with locks.hold(root, "lock"):
        pass
    locks.held(root, "lock")
    after = os.stat(Path(root.path, "lock"))
    assert (after.st_mtime_ns, after.st_ctime_ns, after.st_size) == (
        before.st_mtime_ns,
        before.st_ctime_ns,
        before.st_size,
    )


def test_another_holder_is_named(root: Root) -> None:
    with held_by_another(str(Path(root.path, "lock"))) as pid:
        held, holder = locks.held(root, "lock")
        assert held
        with pytest.raises(Locked) as refused, locks.hold(root, "lock"):
            pass
        if "cannot be seen" in holder:
            pytest.skip("this file system lists its locks under another device")
        assert str(pid) in holder
        assert refused.value.holder == holder
    assert locks.held(root, "lock") == (False, "")


def test_a_probe_of_another_process_does_not_refuse_a_holder(root: Root) -> None:
    fd = os.open(Path(root.path, "lock"), os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
        assert locks.held(root, "lock") == (False, "")  # two probes at once
    finally:
        os.close(fd)


def test_a_folder_can_be_locked(root: Root) -> None:
    Path(root.path, "folder").mkdir()
    with held_by_another(str(Path(root.path, "folder"))):
        assert locks.held(root, "folder")[0]
    with locks.hold(root, "folder"):
        pass


def test_what_this_process_holds_itself_is_no_engine(root: Root) -> None:
    with locks.hold(root, "lock"):
        assert locks.held(root, "lock") == (False, "")
        with pytest.raises(Locked) as error, locks.hold(root, "lock"):
            pass
    assert error.value.holder == "this process"
    assert locks.held(root, "lock") == (False, "")


def test_nothing_is_created(root: Root) -> None:
    with pytest.raises(NotFound), locks.hold(root, "absent"):
        pass
    with pytest.raises(NotFound):
        locks.held(root, "folder/absent")
    assert root.names("") == ["lock"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make device nodes")
def test_a_device_is_not_even_opened(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mknod(Path(root.path, "device"), 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    really = os.open
    opened: list[object] = []

    def watched(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        opened.append(path)
        return really(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr("os.open", watched)
    with pytest.raises(WrongKind):
        locks.held(root, "device")
    assert "device" not in opened


def test_a_link_or_a_pipe_is_never_locked(root: Root) -> None:
    Path(root.path, "link").symlink_to("lock")
    os.mkfifo(Path(root.path, "pipe"))
    for name in ("link", "pipe"):
        with pytest.raises(WrongKind):
            locks.held(root, name)
        with pytest.raises(WrongKind), locks.hold(root, name):
            pass
    with pytest.raises(Escapes):
        locks.held(root, "../lock")


def test_the_root_itself_can_be_held(root: Root) -> None:
    with held_by_another(root.path) as pid:
        held, holder = locks.held(root, "")
        assert held
        assert f"(process {pid})" in holder
        with pytest.raises(Locked), locks.hold(root, ""):
            pass
    with locks.hold(root, ""):
        assert locks.held(root, "", shared=True) == (False, "")
    assert locks.held(root, "") == (False, "")


def test_a_shared_lock_counts_where_it_is_asked_for(root: Root) -> None:
    with held_by_another(root.path, "LOCK_SH") as pid:
        assert not locks.held(root, "")[0]
        held, holder = locks.held(root, "", shared=True)
        assert held
        assert f"(process {pid})" in holder
        with pytest.raises(Locked), locks.hold(root, ""):
            pass
    assert locks.held(root, "", shared=True) == (False, "")


def test_the_lock_dies_with_its_process(root: Root) -> None:
    script = (
        "import os, sys; sys.path[:0] = sys.argv[2:];"
        "from orlop import locks; from orlop.fs import Root;"
        "held = locks.hold(Root.open(sys.argv[1]), 'lock'); held.__enter__(); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script, root.path, *sys.path], check=False)
    assert done.returncode == -9
    assert locks.held(root, "lock") == (False, "")
