"""The guard: exclusive by the engine's own lock, or by a person's word, or not at all."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orlop import mounttables
from orlop.docker import layout
from orlop.docker.guard import guard
from orlop.docker.store import DockerStore
from orlop.errors import Locked, NeedsStatement, OrlopError, ReadOnly, WrongKind
from orlop.fs import Root
from orlop.records import EngineState
from orlop.store import Statement

OFFLINE = Statement(offline=True)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    (tmp_path / "volumes").mkdir()
    (tmp_path / layout.LOCK).write_bytes(b"bolt")
    with Root.open(str(tmp_path)) as opened:
        yield opened


@contextmanager
def engine(root: Root, command: str = "dockerd") -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock as an engine does."""
    code = (
        "import fcntl, sys; open('/proc/self/comm', 'w').write(sys.argv[2]);"
        "file = open(sys.argv[1]); fcntl.flock(file, fcntl.LOCK_EX);"
        "print('held', flush=True); sys.stdin.read()"
    )
    path = os.path.join(root.path, layout.LOCK)
    process = subprocess.Popen(
        [sys.executable, "-c", code, path, command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.communicate()


def test_the_lock_is_held_for_the_whole_block_and_given_back(root: Root) -> None:
    with open(os.path.join(root.path, layout.LOCK), "rb") as engine_file:
        with guard(root, None) as exclusive:
            assert exclusive.by == "exclusive lock on volumes/metadata.db"
            with pytest.raises(BlockingIOError):
                fcntl.flock(engine_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(engine_file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize(
    ("command", "state"), [("dockerd", EngineState.RUNNING), ("orlop", EngineState.HELD), ("flock", EngineState.HELD)]
)
def test_a_probe_tells_an_engine_from_another_program_that_holds_the_store(
    root: Root, command: str, state: EngineState
) -> None:
    store = DockerStore(root, "overlay2")
    with engine(root, command) as process:
        told, text = store.engine()
        if "cannot be seen" not in text:
            assert (told, text) == (
                state,
                f"the lock on volumes/metadata.db is held by {command} (process {process.pid})",
            )
        assert store.rows().engine is EngineState.STOPPED, "a probe reads nothing anew"
        assert (store.refresh(()).snapshot.engine, store.rows().engine_text) == (told, text)
    assert store.engine() == (EngineState.STOPPED, "the lock on volumes/metadata.db is free")


def test_the_lock_is_given_back_after_an_error(root: Root) -> None:
    with pytest.raises(ZeroDivisionError), guard(root, None):
        raise ZeroDivisionError
    with guard(root, None):
        pass


def test_nothing_is_written(root: Root) -> None:
    path = os.path.join(root.path, layout.LOCK)
    before = os.stat(path)
    with guard(root, None):
        pass
    after = os.stat(path)
    assert (before.st_mtime_ns, before.st_ctime_ns, before.st_size) == (after.st_mtime_ns, after.st_ctime_ns, 4)
    assert os.listdir(root.path) == ["volumes"]


@pytest.mark.parametrize("statement", [None, OFFLINE])
def test_a_running_engine_is_named_and_no_statement_overrides_it(root: Root, statement: Statement | None) -> None:
    with engine(root) as process:
        with pytest.raises(Locked) as caught, guard(root, statement):
            pass
        assert str(process.pid) in caught.value.holder
        assert "systemctl stop docker docker.socket" in caught.value.do
        assert caught.value.path == layout.LOCK


def test_without_a_file_to_lock_a_person_must_state_it(root: Root) -> None:
    os.unlink(os.path.join(root.path, layout.LOCK))
    for statement in (None, Statement(offline=False)):
        with pytest.raises(NeedsStatement) as caught, guard(root, statement):
            pass
        assert "--offline" in caught.value.do
    with guard(root, OFFLINE) as exclusive:
        assert exclusive.by == "stated by --offline"
    assert os.listdir(os.path.join(root.path, "volumes")) == [], "no lock file may be made"


def test_without_the_folder_of_the_lock_it_is_the_same(root: Root) -> None:
    os.unlink(os.path.join(root.path, layout.LOCK))
    os.rmdir(os.path.join(root.path, "volumes"))
    with pytest.raises(NeedsStatement), guard(root, None):
        pass
    with guard(root, OFFLINE):
        pass


def test_something_else_in_the_place_of_the_lock_is_refused(root: Root) -> None:
    path = os.path.join(root.path, layout.LOCK)
    os.unlink(path)
    os.mkfifo(path)
    with pytest.raises(WrongKind), guard(root, OFFLINE):
        pass
    os.unlink(path)
    os.symlink("/etc/hostname", path)
    with pytest.raises(OrlopError), guard(root, OFFLINE):
        pass


def test_a_lock_on_a_network_file_system_needs_the_statement_too(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounttables, "file_system", lambda path: "nfs4")
    with pytest.raises(NeedsStatement, match="nfs4"), guard(root, None):
        pass
    with guard(root, OFFLINE) as exclusive:
        assert exclusive.by == "exclusive lock on volumes/metadata.db", "what can be held is held all the same"


def test_layers_that_are_mounted_keep_the_store_closed(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    use = mounttables.InUse(path=f"{root.path}/overlay2/abc/diff", at="/", pid=4711, command="redis")
    monkeypatch.setattr(mounttables, "in_use", lambda path, folders: use)
    with pytest.raises(Locked) as caught, guard(root, OFFLINE):
        pass
    assert caught.value.holder == "redis (process 4711)"
    assert caught.value.path == use.path


@contextmanager
def mounted(*arguments: str, at: Path) -> Iterator[None]:
    at.mkdir(exist_ok=True)
    if os.geteuid() or subprocess.run(["mount", *arguments, str(at)], capture_output=True).returncode:
        pytest.skip("this user, or this machine, may not mount")
    try:
        yield
    finally:
        subprocess.run(["umount", str(at)], check=True)


def test_a_read_only_file_system_is_said_before_anything_else(tmp_path: Path) -> None:
    at = tmp_path / "store"
    with (
        mounted("-t", "tmpfs", "-o", "ro", "none", at=at),
        Root.open(str(at)) as root,
        pytest.raises(ReadOnly),
        guard(root, None),
    ):
        pass


def test_a_real_overlay_on_a_layer_is_seen(root: Root, tmp_path: Path) -> None:
    for name in ("lower", "abc/diff", "abc/work"):
        (tmp_path / "overlay2" / name).mkdir(parents=True)
    base = f"{root.path}/overlay2"
    options = f"lowerdir={base}/lower,upperdir={base}/abc/diff,workdir={base}/abc/work"
    with (
        mounted("-t", "overlay", "-o", options, "overlay", at=tmp_path / "merged"),
        pytest.raises(Locked, match="mounted at"),
        guard(root, None),
    ):
        pass
    with guard(root, None):
        pass
