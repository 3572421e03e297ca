"""Every plan of a Docker store, cut off or failing at every file operation in turn.

After each failure every object is old or new, the journal tells the truth, and
both ways out, finishing and undoing, reach exactly what they promise; the check
finds no damage that was not there before.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orlop.docker import layout
from orlop.docker.store import DockerStore
from orlop.fs import Root
from orlop.intent import Clean, Intent, Remove, Repair, Tag, Unmap, Untag
from orlop.plan import Plan
from orlop.progress import Silent
from orlop.records import Key
from orlop.samples import DataRoot, Step
from orlop.store import Store

pytestmark = pytest.mark.long

FAR = 4_000_000_000 * 10**9
DIGEST = "sha256:" + "d" * 64


def opened(path: str) -> DockerStore:
    root = Root.open(path)
    [driver] = root.names("image")
    return DockerStore(root, driver)


def named(data: DataRoot) -> None:
    """Two small images, the second of them on no layer that matters."""
    image = data.image({"app": b"app"}, names=["app:1", "app:2", f"app@{DIGEST}"], local=True)
    data.image(names=["base:1"])
    data.mapping(image.layers[0], "host/app", pushed=True)
    data.mapping(image.layers[0], "host/other")


def shared(data: DataRoot) -> None:
    """An image with names in two repositories and two layers of its own, on a base that stays."""
    base = data.image({"base": b"base"}, names=["base:1"])
    data.image({"app": b"app"}, {"more": b"more"}, on=base, names=["app:1", f"app@{DIGEST}", "other:1"])
    data.metadata(data.image({"z": b"z"}, on=base).id, "lastUpdated", b"2026-08-01T10:00:00Z")


def built(data: DataRoot) -> None:
    """An image of a build, with its untagged parents, on a base that stays."""
    base = data.image({"base": b"base"}, names=["base:1"])
    data.build(Step(created_by="ENV A=1"), Step(created_by="COPY f", files={"f": b"f"}), on=base, names=["built:1"])


def wasted(data: DataRoot) -> None:
    """An orphan layer, half a layer, data that nothing names, a mount of no container, an untagged image."""
    base = data.image({"base": b"base"}, names=["base:1"])
    data.layer({"o": b"o"}, on=base.layers[0])
    data.image({"u": b"u"}, on=base)
    data.mapping("sha256:" + "5" * 64, "host/gone")
    data.write(f"{layout.layer_data_folder(data.driver)}/{'ab' * 32}/file", b"stray")
    data.write(f"{layout.transactions(data.driver)}/write-set-1/size", b"1")
    shutil.rmtree(data.at(layout.container(data.container("gone", base))))


def hurt(data: DataRoot) -> None:
    """Records that can be rebuilt, short names among them."""
    base = data.image({"base": b"base"}, {"more": b"more"}, names=["base:1"])
    app = data.image({"app": b"app"}, on=base, names=["app:1"])
    data.write(f"{layout.layer(data.driver, base.layers[1].chain_id)}/cache-id", b"")
    os.unlink(data.at(f"{layout.layer(data.driver, app.layers[2].chain_id)}/parent"))
    data.tag("gone:1", "sha256:" + "0" * 64)
    if data.driver == "overlay2":
        link = base.layers[0].link
        os.unlink(data.at(layout.link(link)))
        data.write(layout.link_file(base.layers[0].cache_id), b"")


def stuck(data: DataRoot) -> None:
    """An image whose lower layer lost its files, with a sound one beside it."""
    base = data.image({"base": b"base"}, names=["base:1"])
    app = data.image({"app": b"app"}, {"more": b"more"}, on=base, names=["app:1", f"app@{DIGEST}"])
    shutil.rmtree(data.at(layout.layer_data(data.driver, app.layers[1].cache_id) or ""))


def nameless(data: DataRoot) -> None:
    """A file of names that was cut."""
    data.container("worker", data.image({"a": b"a"}, names=["app:1"]), image_name="app:1")
    data.write(layout.tag_file(data.driver), b'{"Repositories":{')


def repair(store: Store) -> Intent:
    """All damage of a store."""
    found = store.check(None, content=False, progress=Silent())
    return Repair(findings=tuple(one.identity for one in found if one.severity.is_damage), guess=True)


def row(name: str) -> Callable[[Store], Intent]:
    """The removal of a named row."""
    return lambda store: Remove(keys=store.find(name))


def image(name: str) -> Callable[[Store], Intent]:
    """The removal of an image with all its names."""
    return lambda store: Remove(keys=(Key("", store.find(name)[0].id, None),))


def mappings(count: int) -> Callable[[Store], Intent]:
    """The removal of the first so many mappings."""

    def intent(store: Store) -> Intent:
        assert isinstance(store, DockerStore)
        [found] = store.model.v2_lists.values()
        return Unmap(mappings=tuple((found.diff_id, entry.digest, entry.source) for entry in found.entries[:count]))

    return intent


@dataclass(frozen=True)
class Case:
    """One plan on a store of its own."""

    driver: str
    fill: Callable[[DataRoot], None]
    intent: Callable[[Store], Intent]
    steps: int
    """How many steps the plan must have at least: a harness on less would prove less."""
    daily: bool = False
    """Whether a kill at every file operation is part of every run of the tests."""

    def make(self, path: str) -> None:
        data = DataRoot.create(path, driver=self.driver)
        self.fill(data)
        data.settle()

    def check(self, folder: Path) -> None:
        folder.mkdir()
        self.make(str(folder))
        store = opened(str(folder))
        plan = store.plan(self.intent(store))
        store.close()
        assert isinstance(plan, Plan), plan
        assert len(plan.steps) >= self.steps


CASES = {
    "tag": Case("overlay2", named, lambda store: Tag(image=store.find("app:1")[0].id, name="new:1"), 1, daily=True),
    "move a tag": Case("overlay2", named, lambda store: Tag(image=store.find("app:1")[0].id, name="base:1"), 1),
    "untag": Case("overlay2", named, lambda _: Untag(names=("app:1", f"app@{DIGEST}")), 1),
    "remove a name": Case("overlay2", named, row("app:1"), 1),
    "remove an image, overlay2": Case("overlay2", shared, image("app:1"), 8, daily=True),
    "remove an image, vfs": Case("vfs", shared, image("app:1"), 6),
    "remove with parents, overlay2": Case("overlay2", built, row("built:1"), 8),
    "remove with parents, vfs": Case("vfs", built, row("built:1"), 7),
    "clean, overlay2": Case("overlay2", wasted, lambda _: Clean(before=FAR, untagged=True), 14),
    "clean, vfs": Case("vfs", wasted, lambda _: Clean(before=FAR, untagged=True), 11),
    "rebuild, overlay2": Case("overlay2", hurt, repair, 5, daily=True),
    "rebuild, vfs": Case("vfs", hurt, repair, 3),
    "set aside, overlay2": Case("overlay2", stuck, repair, 5),
    "set aside, vfs": Case("vfs", stuck, repair, 4),
    "give back names": Case("overlay2", nameless, repair, 1),
    "unmap one": Case("overlay2", named, mappings(1), 1),
    "unmap all": Case("overlay2", named, mappings(2), 2, daily=True),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_plan_survives_every_failure(harness: Any, case: Case, tmp_path: Path) -> None:
    """Daily, each plan is done and taken back, and some are killed at every file operation.

    With ORLOP_EVERY_FAILURE in the environment all of them meet every failure at
    every file operation of applying, undoing, finishing and purging.
    """
    case.check(tmp_path / "sample")
    run = harness(case.make, opened, case.intent)
    if "ORLOP_EVERY_FAILURE" in os.environ:
        assert run.run() > 300
        return
    run.series = run.series[:1]
    assert run.run(acts=("apply",) if case.daily else ()) >= (20 if case.daily else 0)
