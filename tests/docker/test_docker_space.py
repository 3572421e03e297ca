"""Where the bytes of a Docker data root are, and what each image has to itself."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orlop.docker import layout
from orlop.docker.model import ConfigState
from orlop.docker.space import space
from orlop.fs import Root
from orlop.intent import Remove
from orlop.plan import Plan, Quarantine
from orlop.progress import Silent
from orlop.records import Key
from orlop.samples import DataRoot, make
from orlop.space import ImageSpace, Part, Space, Use
from tests.docker.conftest import Planning


def measured(planning: Planning) -> Space:
    """The space of a data root, which must add up to what du says."""
    model = planning.model()
    with Root.open(planning.data.path) as root:
        found = space(root, model, progress=Silent())
    ran = subprocess.run(["du", "--block-size=1", "-s", "-x", planning.data.path], capture_output=True, check=True)
    assert found.disk == int(ran.stdout.split()[0])
    assert sum(part.bytes for part in found.parts) == found.disk
    for part in (inner for top in found.parts for inner in top.walk()):
        assert not part.parts or sum(inner.bytes for inner in part.parts) == part.bytes
    return found


def part_at(found: Space, path: str) -> Part:
    return next(part for top in found.parts for part in top.walk() if part.path == path and not part.parts)


def image(found: Space, identity: str) -> ImageSpace:
    return next(one for one in found.images if one.key.id == identity)


def allocated(path: str) -> int:
    return sum(
        os.lstat(os.path.join(here, name)).st_blocks * 512 for here, _, files in os.walk(path) for name in (".", *files)
    )


def test_a_layer_says_who_needs_it(planning: Planning) -> None:
    data = planning.data
    base = data.image({"base": b"b" * 9000}, names=["base:1"])
    data.image({"app": b"a"}, on=base, names=["app:1"])
    data.image({"web": b"w"}, on=base, names=["web:1"])

    found = measured(planning)

    path = layout.layer_data(data.driver, base.layers[0].cache_id) or ""
    part = part_at(found, path)
    assert (part.use, part.remark) == (Use.CONTENT, "needed by 3 images: app:1, base:1, web:1")
    assert sorted(key.name or "" for key in part.images) == ["app:1", "base:1", "web:1"]
    layer = base.layers[0]
    link = os.lstat(data.at(layout.link(layer.link))).st_blocks * 512 if data.driver == "overlay2" else 0
    record = layout.layer(data.driver, layer.chain_id)
    assert part.bytes == allocated(data.at(path)) + allocated(data.at(record)) + link
    assert (image(found, base.id).own or 0) < part.bytes < (image(found, base.id).bytes or 0)


@pytest.mark.parametrize("driver", ["overlay2", pytest.param("vfs", marks=pytest.mark.long)])
def test_what_an_image_has_to_itself_is_what_deleting_it_would_move(tmp_path: Path, driver: str) -> None:
    planning = Planning(DataRoot(make(str(tmp_path / "store"), driver=driver, damage=False).path, driver))
    model = planning.model()
    compared = 0
    for one in measured(planning).images:
        plan = planning.ask(Remove(keys=(Key("", one.key.id, None),)))
        if not isinstance(plan, Plan) or model.children_of.get(one.key.id) or model.images[one.key.id].parent:
            continue  # the engine deletes untagged parents too
        moved = sum(
            step.bytes for step in plan.steps if isinstance(step, Quarantine) and "/distribution/" not in step.path
        )
        assert one.own == moved, one.names
        compared += 1
    assert compared > 10


def test_hard_links_between_layers_count_once(data_root: Callable[[str], Planning]) -> None:
    planning = data_root("overlay2")
    data = planning.data
    one = data.image({"big": b"x" * 50_000}, names=["one:1"])
    two = data.image({"other": b"y"}, names=["two:1"])
    before = measured(planning)
    big = data.at(f"overlay2/{one.layers[0].cache_id}/diff/big")
    os.link(big, data.at(f"overlay2/{two.layers[0].cache_id}/diff/big"))

    after = measured(planning)

    size = os.lstat(big).st_blocks * 512
    assert after.disk == before.disk
    assert image(after, one.id).own == (image(before, one.id).own or 0) - size
    assert image(after, two.id).bytes == (image(before, two.id).bytes or 0) + size
    assert image(after, two.id).own == image(before, two.id).own


def test_a_container_has_what_it_wrote_and_keeps_its_layers(planning: Planning) -> None:
    data = planning.data
    app = data.image({"app": b"a" * 5000}, names=["app:1"])
    identity = data.container("worker", app)
    mount = planning.model().mounts[identity]
    data.write(f"{layout.layer_tree(data.driver, mount.mount_id or '')}/written", b"w" * 40_000)

    found = measured(planning)

    containers = next(part for part in found.parts if part.use is Use.CONTAINERS)
    assert [(part.title, part.remark) for part in containers.parts] == [("container worker", "of app:1")]
    assert [part.title for part in containers.parts[0].parts] == ["what it wrote", "its records and logs"]
    assert containers.parts[0].parts[0].bytes > 40_000
    config = allocated(data.at(layout.config(data.driver, app.id)))
    assert (image(found, app.id).own or 0) - config < 20_000  # records only


def test_a_layer_only_a_container_needs_is_the_containers(planning: Planning) -> None:
    data = planning.data
    app = data.image({"app": b"a"}, names=["app:1"])
    data.container("worker", app)
    os.unlink(data.at(layout.config(data.driver, app.id)))

    found = measured(planning)

    part = part_at(found, layout.layer_data(data.driver, app.layers[0].cache_id) or "")
    assert (part.use, part.remark) == (Use.CONTAINERS, "needed by container worker, whose image is not here")


def test_what_nothing_needs_is_told_apart(planning: Planning) -> None:
    data = planning.data
    data.image({"app": b"a"}, names=["app:1"])
    orphan = data.layer({"left": b"l" * 9000})
    folder = layout.layer_data(data.driver, "e" * 64) or ""
    data.write(f"{folder}/diff/file", b"u" * 9000)
    os.utime(data.at(folder), ns=(1, 1))
    data.write(f"{layout.transactions(data.driver)}/write-set-1/diff", b"x")
    data.write(".orlop/changes/20260101T000000.000000000Z-00000000/000001.old", b"q" * 5000)
    data.write(".orlop/incoming/abcdef12/file", b"i")
    data.settle()

    found = measured(planning)

    layer = part_at(found, layout.layer_data(data.driver, orphan.cache_id) or "")
    assert (layer.use, layer.remark) == (Use.UNREFERENCED, "no image, container or build cache needs it")
    assert part_at(found, folder).use in (Use.UNRECORDED, Use.UNKNOWN)  # unknown while it is younger than an hour
    assert part_at(found, f"{layout.transactions(data.driver)}/write-set-1").use is Use.DEBRIS
    assert part_at(found, ".orlop/changes/20260101T000000.000000000Z-00000000").use is Use.QUARANTINE
    assert part_at(found, ".orlop/incoming").use is Use.UPLOADS
    assert found.waste == sum(found.of(use) for use in Use if use.is_waste)


def test_nothing_is_called_waste_while_a_config_cannot_be_read(planning: Planning) -> None:
    data = planning.data
    app = data.image({"app": b"a"}, names=["app:1"])
    data.image({"web": b"w"}, names=["web:1"])
    data.write(layout.config(data.driver, app.id), b"")

    found = measured(planning)

    part = part_at(found, layout.layer_data(data.driver, app.layers[0].cache_id) or "")
    assert (part.use, part.remark) == (Use.UNKNOWN, f"it may be of {app.id}, whose config is {ConfigState.EMPTY}")
    assert (image(found, app.id).bytes, image(found, app.id).own) == (None, None)
    assert found.waste == 0


def test_stores_beside_and_volumes_are_shown_as_what_they_are(data_root: Callable[[str], Planning]) -> None:
    planning = data_root("overlay2")
    data = planning.data
    data.image({"app": b"a"}, names=["app:1"])
    data.write("image/vfs/imagedb/content/sha256/x", b"x")
    data.write("vfs/dir/abc/file", b"x" * 9000)
    data.write("volumes/db/_data/table", b"x" * 9000)
    data.write("buildkit/cache.db", b"x" * 9000)
    data.write("tmp/GetImageBlob1", b"x" * 9000)
    data.write("anything", b"x" * 9000)

    found = measured(planning)

    assert part_at(found, "image/vfs").use is part_at(found, "vfs").use is Use.HIDDEN
    assert (part_at(found, "volumes/db").title, part_at(found, "volumes/db").use) == ("volume db", Use.OTHER)
    assert part_at(found, "buildkit").use is Use.BUILD_CACHE
    assert part_at(found, "tmp").use is Use.UPLOADS
    assert part_at(found, "anything").use is Use.OTHER


def test_layers_that_the_build_cache_names_are_its_own(planning: Planning) -> None:
    data = planning.data
    kept = data.layer({"cached": b"c"})
    data.write(layout.BUILD_CACHE, b"\0" + kept.chain_id.encode() + b"\0")

    found = measured(planning)

    part = part_at(found, layout.layer_data(data.driver, kept.cache_id) or "")
    assert (part.use, part.remark) == (Use.BUILD_CACHE, "the build cache may use it")


def test_a_layer_of_an_image_that_the_build_cache_names_is_not_free(planning: Planning) -> None:
    data = planning.data
    app = data.image({"app": b"a" * 9000}, names=["app:1"])
    before = image(measured(planning), app.id)
    data.write(layout.BUILD_CACHE, app.layers[0].chain_id.encode())

    after = image(measured(planning), app.id)

    assert after.bytes == before.bytes
    assert (after.own or 0) < 9000 < (before.own or 0)


def test_the_damaged_sample_adds_up(tmp_path: Path) -> None:
    planning = Planning(DataRoot(make(str(tmp_path / "store")).path, "overlay2"))

    found = measured(planning)

    assert found.differences == found.unreadable == ()
    owns = [one.own for one in found.images if one.own is not None]
    assert owns == sorted(owns, reverse=True)
    assert found.capacity > found.free > 0


def test_an_image_is_not_sized_by_what_could_not_be_counted(
    data_root: Callable[[str], Planning], monkeypatch: pytest.MonkeyPatch
) -> None:
    planning = data_root("overlay2")
    data = planning.data
    app = data.image({"etc/app": b"a"}, names=["app:1"])
    web = data.image({"web": b"w"}, names=["web:1"])
    closed = os.lstat(data.at(f"overlay2/{app.layers[0].cache_id}/diff/etc")).st_ino
    scandir = os.scandir

    def refuse(folder: int) -> Iterator[os.DirEntry[str]]:
        if os.fstat(folder).st_ino == closed:
            raise PermissionError(errno.EACCES, "no")
        return scandir(folder)

    monkeypatch.setattr("orlop.usage.os.scandir", refuse)
    with Root.open(data.path) as root:
        found = space(root, planning.model(), progress=Silent())

    assert (image(found, app.id).bytes, image(found, app.id).own) == (None, None)
    assert image(found, web.id).bytes is not None
    assert found.unreadable == (f"overlay2/{app.layers[0].cache_id}/diff/etc",)
