"""Who may write to an ACI store, and which pods stand on what is in it."""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orlop import mounttables
from orlop.errors import Locked, NeedsStatement, ReadOnly, Unsupported
from orlop.records import EngineState, Flag, Key
from orlop.rkt import layout
from orlop.rkt.store import AciStore
from orlop.samples.rkt import Aci, AciRoot
from orlop.store import Statement
from tests.rkt.rkt_stores import everything, opened, row_of, settled, unpacked

HOLDER = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(fd, getattr(fcntl, sys.argv[2]))
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(path: str, how: str = "LOCK_SH") -> Iterator[int]:
    """Another process that holds a lock, as rkt does; its id."""
    arguments = [sys.executable, "-c", HOLDER, path, how]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"held\n"
        yield process.pid
        process.stdin.close()


@pytest.fixture
def root(tmp_path: Path) -> AciRoot:
    return AciRoot.create(str(tmp_path / "rkt"))


# --- the lock ----------------------------------------------------------------


def test_while_the_store_is_held_no_rkt_can_use_it(root: AciRoot) -> None:
    root.image("example.com/app")
    cas = settled(root)
    before = everything(cas)
    with opened(cas) as store:
        with store.guard(None) as exclusive:
            assert exclusive.by == "exclusive lock on the store's folder"
            assert store.engine()[0] is EngineState.STOPPED  # nobody else has it
            fd = os.open(cas, os.O_RDONLY)
            with pytest.raises(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            os.close(fd)
        with AciStore.open(cas) as library:  # and afterwards it can
            assert len(library.all_aci_infos()) == 1
    assert {path: seen[2:] for path, seen in before.items() if path.startswith("blob")} == {
        path: seen[2:] for path, seen in everything(cas).items() if path.startswith("blob")
    }


def test_a_store_that_rkt_uses_is_not_changed_and_the_holder_is_named(root: AciRoot) -> None:
    cas = settled(root)
    with opened(cas) as store, held(cas) as pid:
        assert store.engine()[0] is EngineState.HELD
        with pytest.raises(Locked) as error, store.guard(Statement(offline=True)):
            pass
        assert f"(process {pid})" in error.value.holder
        assert any("another program uses this store" in note.text for note in store.refresh(None).snapshot.notes)


@pytest.mark.parametrize("version", [2, 4, 6, 8])
def test_another_version_of_the_database_is_refused_by_name(tmp_path: Path, version: int) -> None:
    with opened(unpacked(f"rkt-store-dbv{version}", tmp_path)) as store:
        with pytest.raises(Unsupported) as error, store.guard(None):
            pass
        assert f"version {version}" in str(error.value)
        assert error.value.path == layout.QL


def test_on_a_network_file_system_a_person_must_state_it(root: AciRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounttables, "file_system", lambda path: "nfs4")
    with opened(settled(root)) as store:
        with pytest.raises(NeedsStatement, match="nothing can prove"), store.guard(None):
            pass
        with store.guard(Statement(offline=True)):
            pass


def test_a_file_system_without_locks_is_written_only_on_a_statement(
    root: AciRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(fd: int, operation: int) -> None:
        raise OSError(9, "Bad file descriptor")

    with opened(settled(root)) as store:
        monkeypatch.setattr("fcntl.flock", no_locks)
        assert store.engine()[0] is EngineState.UNKNOWN
        with pytest.raises(NeedsStatement), store.guard(None):
            pass
        with store.guard(Statement(offline=True)) as exclusive:
            assert exclusive.by == "stated by --offline"


def test_a_read_only_mount_is_told_before_anything_is_locked(root: AciRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    cas = settled(root)
    really = os.fstatvfs

    class Mounted:
        f_flag = os.ST_RDONLY

    with opened(cas) as store:
        monkeypatch.setattr(os, "fstatvfs", lambda fd: Mounted() if fd == store.root.fd else really(fd))
        with pytest.raises(ReadOnly), store.guard(Statement(offline=True)):
            pass


# --- pods --------------------------------------------------------------------


def pod(root: AciRoot, state: str, number: int, *images: Aci, tree: str = "", stage1: str = "") -> str:
    """A pod with an app for each image; the tree is that of each app."""
    identity = f"{number:08x}-0000-4000-8000-000000000000"
    folder = Path(root.path, "pods", state, identity)
    folder.mkdir(parents=True)
    apps = [{"name": f"app{n}", "image": {"id": image.key}} for n, image in enumerate(images)]
    (folder / "pod").write_text(json.dumps({"acVersion": "0.8.11", "acKind": "PodManifest", "apps": apps}))
    if stage1:
        (folder / "stage1TreeStoreID").write_text(stage1)
    if tree:
        for app in apps:
            (folder / "appsinfo" / str(app["name"])).mkdir(parents=True)
            (folder / "appsinfo" / str(app["name"]) / "treeStoreID").write_text(tree)
    return identity


def test_pods_tell_which_images_and_trees_they_use(root: AciRoot) -> None:
    image, idle, stage1 = (root.image(f"example.com/{name}") for name in ("app", "idle", "stage1"))
    tree = root.tree(image, {"a": b"1"}, hash="x")
    stage1_tree = root.tree(stage1, {"a": b"1"}, hash="x")
    running = pod(root, "run", 1, image, tree=tree, stage1=stage1_tree)
    exited = pod(root, "run", 2, idle, image, tree=tree)
    prepared = pod(root, "prepared", 3, image)
    garbage = pod(root, "garbage", 4, idle, tree=root.tree(idle, {"a": b"1"}, hash="x"))
    with held(f"{root.path}/pods/run/{running}", "LOCK_EX"), opened(settled(root)) as store:
        model = store.model
        assert model.pods_known
        assert model.pods == {image.key: tuple(sorted((running, prepared)))}
        assert model.tree_pods == {tree: tuple(sorted((running, exited))), stage1_tree: (running,)}
        assert {identity for identity, seen in model.pods_seen.items() if seen.running} == {running}
        assert model.pods_seen[garbage].state == "garbage"
        assert Flag.IN_USE in row_of(store, image.key).flags
        assert Flag.IN_USE not in row_of(store, idle.key).flags
        containers = {found.id: found.running for found in store.detail(Key("", image.key, None)).containers}
        assert containers == {running: True, exited: False, prepared: False}
        assert store.why(running).related["state"] == "running"
        assert [chain[0].what for chain in store.why(tree).kept_by] == [
            f"pod {one}" for one in sorted((running, exited))
        ]


def test_a_pod_that_cannot_be_read_makes_it_unknown_which_trees_are_needed(root: AciRoot) -> None:
    image = root.image("example.com/app")
    one = pod(root, "run", 1, image)
    Path(root.path, "pods", "run", one, "pod").write_bytes(b"{")
    with opened(settled(root)) as store:
        assert not store.model.pods_known
        assert "manifest cannot be read" in store.model.pods_seen[one].problem


def test_pods_are_looked_for_only_beside_a_folder_that_is_called_as_rkt_calls_it(tmp_path: Path) -> None:
    root = AciRoot.create(str(tmp_path / "rkt"))
    pod(root, "run", 1, root.image("example.com/app"))
    cas = settled(root)
    os.rename(cas, f"{root.path}/copy")
    with opened(f"{root.path}/copy") as store:
        assert store.model.pods_seen == {}
        assert not store.model.pods_known


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b'{"apps":7}', b'{"apps":[{"image":{"id":7}}]}', b"\xff"])
def test_hostile_pods_are_only_a_problem_of_their_own(root: AciRoot, content: bytes) -> None:
    image = root.image("example.com/app")
    bad, good = pod(root, "run", 1), pod(root, "prepared", 2, image)
    folder = Path(root.path, "pods", "run", bad)
    (folder / "pod").write_bytes(content)
    (folder / "stage1TreeStoreID").symlink_to("/etc/passwd")
    os.mkfifo(Path(root.path, "pods", "run", "pipe"))
    with opened(settled(root)) as store:
        assert store.model.pods == {image.key: (good,)}
        assert not store.model.pods_known
