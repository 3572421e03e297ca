"""Every plan of a registry's storage, cut off or failing at every file operation in turn.

After each failure every object is old or new, the journal tells the truth, and
both ways out, finishing and undoing, reach exactly what they promise; the check
finds no damage that was not there before.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orlop.fs import Root
from orlop.intent import Clean, DropUploads, Intent, Remove, RemoveRepository, Repair, Tag, Untag
from orlop.plan import Plan
from orlop.progress import Silent
from orlop.records import Key
from orlop.registry.door import RegistryStore
from orlop.store import Statement, Store
from tests.registry.making import V2, Storage, digest_of
from tests.registry.packing import OciLayout

pytestmark = pytest.mark.long

FUTURE = 1 << 62
UUID = "020aa250-bad4-4b1b-9157-bf7cf295e949"


def opened(path: str) -> RegistryStore:
    return RegistryStore(Root.open(path), V2)


def named(storage: Storage) -> None:
    """Two images in two repositories, a layer in common."""
    storage.image("app", "v1", "v2", layers=[b"base"])
    storage.image("other", "v1", layers=[b"base"], cmd="other")


def indexed(storage: Storage) -> None:
    """An index of two images, one of them signed, beside an image that stays."""
    parts = [storage.image("multi", layers=[name.encode()], cmd=name) for name in ("one", "two")]
    storage.index("multi", [part.digest for part in parts], "all")
    storage.image("multi", layers=[b"signature"], subject=parts[0].digest)
    storage.image("multi", "stays", layers=[b"one"], cmd="stays")


def left(storage: Storage) -> None:
    """A layer that nothing needs, beside an image that stays."""
    storage.image("app", "v1", layers=[b"base"])
    storage.layer("app", b"left")
    storage.age()


def littered(storage: Storage) -> None:
    """What nothing needs, of every sort, beside an image that stays."""
    storage.image("app", "v1", layers=[b"base"])
    storage.image("app", layers=[b"base", b"old"], cmd="old")
    storage.layer("empty", b"left")
    storage.blob(b"orphan")
    storage.blob_path("sha256:" + "1" * 64).parent.mkdir(parents=True)
    storage.put(storage.tag_path("app", "v1").with_name(f"link.{UUID}.tmp"), b"")
    storage.upload("app", UUID, "2026-01-01T00:00:00Z")
    storage.age()


def broken(storage: Storage) -> None:
    """A tag, a revision and a layer without a link that can be read, beside an image that stays."""
    image = storage.image("app", "v1", layers=[b"base", b"own"])
    storage.image("other", "v1", layers=[b"base"], cmd="other")
    storage.put(storage.tag_path("app", "v1"), "")
    storage.put(storage.layer_path("app", image.layers[0]), "")
    storage.put(storage.revision_path("other", storage.image("other", cmd="more").digest), "nonsense")
    storage.put(storage.path / V2 / "blobs/sha256/stray", b"x")


def waiting(storage: Storage) -> None:
    """An index that is about to be taken in, and a damaged blob that it brings anew."""
    named(storage)
    storage.blob_path(digest_of(b"base")).write_bytes(b"bASE")
    layout = OciLayout()
    layout.top(layout.index(layout.image(b"base", cmd="a"), layout.image(b"own", cmd="b")))
    layout.pack(storage.path / "archive.tar")


def image(store: Store, name: str) -> str:
    [key] = [row.key for row in store.rows().rows if row.key.name == name]
    return key.id


def rows(*names: str) -> Callable[[Store], Intent]:
    """The removal of named rows."""
    return lambda store: Remove(keys=tuple(row.key for row in store.rows().rows if row.key.name in names))


def whole(name: str) -> Callable[[Store], Intent]:
    """The removal of a manifest with all its names."""
    return lambda store: Remove(keys=(Key(name.partition(":")[0], image(store, name), None),))


def mending(store: Store) -> Intent:
    """The repair of all that can be repaired with proof, and of what is foreign."""
    found = store.check(None, content=False, progress=Silent())
    rules = ("RG08", "RG11", "RG12", "RG18")
    return Repair(findings=tuple(finding.identity for finding in found if finding.rule in rules))


def importing(store: Store) -> Intent:
    archive = os.path.join(store.root.path, "archive.tar")
    return store.stage(archive, name="new/app:v1", latest=False, at=0, progress=Silent())


@dataclass(frozen=True)
class Case:
    """One plan on a store of its own."""

    fill: Callable[[Storage], None]
    intent: Callable[[Store], Intent]
    steps: int
    """How many steps the plan must have at least: a harness on less would prove less."""
    daily: bool = False
    """Whether a kill at every file operation is part of every run of the tests."""

    def make(self, path: str) -> None:
        self.fill(Storage(Path(path)))

    def check(self, folder: Path) -> None:
        folder.mkdir()
        self.make(str(folder))
        store = opened(str(folder))
        plan = store.plan(self.intent(store))
        store.close()
        assert isinstance(plan, Plan), plan
        assert len(plan.steps) >= self.steps


CASES = {
    "tag": Case(named, lambda store: Tag(image=image(store, "app:v1"), name="app:v3"), 2, daily=True),
    "move a tag": Case(named, lambda store: Tag(image=image(store, "app:v1"), name="other:v1", scope="app"), 4),
    "tag elsewhere": Case(indexed, lambda store: Tag(image=image(store, "multi:all"), name="copy:all"), 9),
    "untag": Case(named, lambda _: Untag(names=("app:v1", "other:v1")), 2),
    "remove a name": Case(named, rows("app:v1"), 1),
    "remove an image": Case(named, whole("app:v1"), 3),
    "remove an index": Case(indexed, rows("multi:all"), 4),
    "remove a repository": Case(named, lambda _: RemoveRepository(names=("app",)), 1),
    "drop uploads": Case(littered, lambda _: DropUploads(before=FUTURE), 1),
    "clean a little": Case(left, lambda _: Clean(before=FUTURE), 2, daily=True),
    "clean": Case(littered, lambda _: Clean(before=FUTURE, untagged=True), 8),
    "repair": Case(broken, mending, 4),
    "import": Case(waiting, importing, 14),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_plan_survives_every_failure(harness: Any, case: Case, tmp_path: Path) -> None:
    """Daily, each plan is done and taken back, and some are killed at every file operation.

    With ORLOP_EVERY_FAILURE in the environment all of them meet every failure at
    every file operation of applying, undoing, finishing and purging.
    """
    case.check(tmp_path / "sample")
    run = harness(case.make, opened, case.intent, statement=Statement(offline=True))
    if "ORLOP_EVERY_FAILURE" in os.environ:
        assert run.run() > 300
        return
    run.series = run.series[:1]
    assert run.run(acts=("apply",) if case.daily else ()) >= (20 if case.daily else 0)
