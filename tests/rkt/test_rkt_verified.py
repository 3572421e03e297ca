"""An ACI is verified when its archive was hashed and its manifest compared; trees are remembered as they were."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orlop import times
from orlop.finding import Finding
from orlop.fs import Root
from orlop.records import Row, Trust
from orlop.rkt import layout, treestore
from orlop.rkt.catalogue import ImageRow
from orlop.rkt.content import ArchiveTask
from orlop.rkt.door import RktStore
from orlop.samples.rkt import NOW, Aci, AciRoot
from orlop.store import Hashing
from orlop.verified import VerifiedCache
from tests.contracts.verifying import checked
from tests.rkt.rkt_stores import RECORDED, row_of, unpacked


class Store:
    """A store with one image and its rendered tree, and what is known of it."""

    def __init__(self, root: AciRoot) -> None:
        self.root = root
        self.app: Aci = root.image("example.com/app", version="2", files={"srv/app": b"app" * 3000})
        self.tree = layout.tree(root.tree(self.app, {"a": b"1" * 5000, "b/c": b"2"}, hash="sha512-" + "0" * 64))
        with Root.open(root.at("")) as opened:
            size = treestore.tree_size(opened, self.tree)
            root.write(f"{self.tree}/hash", treestore.tree_hash(opened, self.tree).encode(), 0o644)
        row = ImageRow(
            key=self.app.key,
            name=self.app.name,
            imported=NOW,
            last_used=NOW,
            latest=False,
            size=self.app.size,
            tree_size=size,
        )
        root.row(row)
        root.settle()
        self.cache = VerifiedCache(None, "store")
        self.door = RktStore(Root.open(root.at("")), verified=self.cache)

    def at(self, path: str) -> Path:
        return Path(self.root.at(path))

    @property
    def manifest(self) -> Path:
        return self.at(layout.manifest(self.app.key))

    @property
    def row(self) -> Row:
        return row_of(self.door, self.app.key)

    def check(self, *, again: bool = False) -> tuple[list[Finding], int]:
        return checked(self.door, Hashing(verified=self.cache, again=again))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    now = times.now
    monkeypatch.setattr(times, "now", lambda: now() + 60_000_000_000)  # a minute has gone by
    return Store(AciRoot.create(str(tmp_path / "rkt")))


@pytest.mark.parametrize("name", [name for name in RECORDED if name != "rkt-store-dbv8"])  # whose rows are hidden
def test_every_image_that_rkt_wrote_can_be_verified(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cas = unpacked(name, tmp_path)
    now = times.now
    monkeypatch.setattr(times, "now", lambda: now() + 60_000_000_000)
    cache = VerifiedCache(None, "store")
    door = RktStore(Root.open(str(cas)), verified=cache)
    checked(door, Hashing(verified=cache))
    assert {row.trust for row in door.rows().rows} == {Trust.VERIFIED}
    assert checked(door, Hashing(verified=cache))[1] == 0
    door.close()


def test_a_manifest_that_is_written_anew_is_compared_and_nothing_is_hashed(store: Store) -> None:
    store.check()
    first = store.row
    assert first.trust is Trust.VERIFIED
    store.manifest.write_bytes(store.manifest.read_bytes())
    assert store.door.refresh(None).changed == {first.key}
    assert store.row.trust is Trust.LINKED
    assert store.check() == ([], 0)
    assert store.row == first  # the archive is the older part


def test_a_manifest_that_is_not_the_archive_s_is_told_each_time(store: Store) -> None:
    store.check()
    store.manifest.write_bytes(store.manifest.read_bytes().replace(b'"2"', b'"3"'))
    store.door.refresh(None)
    for _ in range(2):
        found, total = store.check()
        assert [(one.rule, one.subject) for one in found] == [("RK05", "archive")]
        assert total == 0
        assert store.row.trust is Trust.LINKED


def test_a_manifest_that_changed_since_the_read_proves_nothing(store: Store) -> None:
    store.manifest.write_bytes(store.manifest.read_bytes().replace(b'"2"', b'"3"'))
    assert store.check()[0] == []  # of what was read
    store.door.refresh(None)
    assert store.row.trust is Trust.LINKED
    assert [one.rule for one in store.check()[0]] == ["RK05"]


def touch(path: Path) -> None:
    path.write_bytes(path.read_bytes())


def make_and_remove(path: Path) -> None:
    path.mkdir()
    path.rmdir()


TOUCHES: dict[str, Callable[[Path], None]] = {
    "a file": lambda tree: touch(tree / "rootfs/a"),
    "a deep file": lambda tree: touch(tree / "rootfs/b/c"),
    "a name": lambda tree: make_and_remove(tree / "rootfs/new"),
    "a mode": lambda tree: (tree / "rootfs/a").chmod(0o644),
}


@pytest.mark.parametrize("what", TOUCHES)
def test_a_tree_is_hashed_again_when_anything_in_it_was_touched(store: Store, what: str) -> None:
    assert store.check()[0] == []
    assert store.check() == ([], 0)
    TOUCHES[what](store.at(store.tree))
    found, total = store.check()
    assert found == []
    assert total > 5000
    assert store.check() == ([], 0)


def test_a_tree_that_was_changed_is_found_each_time(store: Store) -> None:
    store.check()
    store.at(f"{store.tree}/rootfs/b/c").write_bytes(b"3")
    found, total = store.check()
    assert [one.rule for one in found] == ["RK08"]
    assert store.check() == (found, total)
    assert store.row.trust is Trust.VERIFIED  # the image can be rendered again


def test_the_size_of_a_tree_is_told_though_nothing_is_hashed(store: Store) -> None:
    row = store.door.model.images[store.app.key].row
    assert row is not None
    store.root.row(dataclasses.replace(row, tree_size=1))
    store.root.settle()
    store.door.refresh(None)
    first, _ = store.check()
    assert [one.rule for one in first] == ["RK12"]
    assert store.check() == (first, 0)


def test_an_archive_that_changes_while_it_is_hashed_is_not_remembered(store: Store) -> None:
    path = store.at(layout.blob(store.app.key))

    def touching(_: int) -> None:
        os.utime(path)

    task = ArchiveTask(root=store.root.at("").rstrip("/"), key=store.app.key, size=store.app.size)
    verdict = task.run(touching)
    assert verdict.sound
    assert not verdict.lasting


def test_an_archive_that_is_no_longer_what_was_verified_is_hashed(store: Store) -> None:
    path = store.at(layout.blob(store.app.key))
    old = (0, 0, 0, 0, store.app.size)
    path.write_bytes(b"x" * store.app.size)
    task = ArchiveTask(root=store.root.at("").rstrip("/"), key=store.app.key, size=store.app.size, known=old)
    verdict = task.run(lambda _: None)
    assert verdict.hashed
    assert not verdict.sound
