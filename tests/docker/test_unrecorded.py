"""Whose each folder below the driver's layer folder is."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from orlop.docker import layout
from orlop.docker.join import read
from orlop.docker.unrecorded import DataFolder, Owner, folders
from orlop.fs import Root
from orlop.progress import Silent

STRAY = "ab" * 32
CACHED = "k3v9mq0x7c1bz5t8w2y6r4p0d"
HOST = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"


def owners(planning: Any, **options: Any) -> dict[str, DataFolder]:
    with Root.open(planning.data.path) as root:
        model = read(root, planning.data.driver, progress=Silent())
        return {found.name: found for found in folders(root, model, **options)}


def add(planning: Any, name: str, *, modified: int = 1_600_000_000) -> str:
    path: str = planning.data.at(f"{layout.layer_data_folder(planning.data.driver)}/{name}")
    os.makedirs(path)
    os.utime(path, (modified, modified))
    return path


def snapshots(planning: Any, content: bytes) -> None:
    planning.data.write(layout.BUILD_CACHE, content)


def test_layers_and_containers_own_their_folders(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1"])
    container = planning.data.container("worker", image)
    found = owners(planning)
    layer = found.pop(image.layers[0].cache_id)
    assert (layer.owner, layer.subject) == (Owner.LAYER, image.layers[0].chain_id)
    assert {one.owner for one in found.values()} == {Owner.CONTAINER}
    assert {one.subject for one in found.values()} == {container}
    assert len(found) == 2, "the writable layer and the one that it was begun with; overlay2's l is none"


def test_a_folder_that_nothing_names_is_unrecorded(planning: Any) -> None:
    planning.data.image({"a": b"a"}, names=["app:1"])
    add(planning, STRAY)
    assert owners(planning)[STRAY].owner is Owner.UNRECORDED


def test_what_the_build_cache_names_is_its_own_even_across_blocks(planning: Any) -> None:
    add(planning, CACHED)
    add(planning, STRAY)
    snapshots(planning, b"\0" * ((1 << 20) - 12) + b"zz" + CACHED.encode() + b"size\0")
    found = owners(planning)
    assert found[CACHED].owner is Owner.BUILD_CACHE
    assert found[STRAY].owner is Owner.UNRECORDED


def test_nothing_is_told_where_the_build_cache_cannot_be_read(planning: Any) -> None:
    add(planning, CACHED)
    add(planning, STRAY)
    os.makedirs(planning.data.at(layout.BUILD_CACHE))
    found = owners(planning)
    assert {found[name].owner for name in (CACHED, STRAY)} == {Owner.UNKNOWN}
    assert layout.BUILD_CACHE in found[CACHED].because


def test_a_name_that_no_engine_gives_is_foreign(planning: Any) -> None:
    add(planning, "lost+found")
    assert owners(planning)["lost+found"].owner is Owner.FOREIGN


def test_a_record_that_lost_its_cache_id_leaves_nothing_certain(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1"])
    planning.data.write(f"{layout.layer(planning.data.driver, image.layers[0].chain_id)}/cache-id", b"")
    found = owners(planning)[image.layers[0].cache_id]
    assert found.owner is Owner.UNKNOWN
    assert image.layers[0].chain_id in found.because


@pytest.mark.parametrize("lost", ["mount-id", "record"])
def test_what_a_container_wrote_is_never_called_unrecorded(planning: Any, lost: str) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1"])
    container = planning.data.container("worker", image)
    record = planning.data.at(f"{layout.mounts(planning.data.driver)}/{container}")
    mount = Path(record, "mount-id").read_text()
    if lost == "record":
        shutil.rmtree(record)
    else:
        os.unlink(f"{record}/mount-id")
    found = owners(planning)[mount]
    assert found.owner is Owner.UNKNOWN
    assert "worker" in found.because or container in found.because


def test_a_layer_on_its_way_out_keeps_its_folder(planning: Any) -> None:
    image = planning.data.image({"a": b"a"})
    record = planning.data.at(layout.layer(planning.data.driver, image.layers[0].chain_id))
    os.rename(record, f"{record}-{'cd' * 32}-removing")
    found = owners(planning)[image.layers[0].cache_id]
    assert found.owner is Owner.DEBRIS
    assert found.subject.endswith("-removing")


def test_a_mount_of_the_build_cache_keeps_its_folder(planning: Any) -> None:
    add(planning, STRAY)
    planning.data.write(f"{layout.mounts(planning.data.driver)}/{CACHED}/mount-id", STRAY.encode())
    assert owners(planning)[STRAY].owner is Owner.DEBRIS


def test_what_is_mounted_now_is_told_also_by_its_short_name(data_root: Any, tmp_path: Path) -> None:
    planning = data_root("overlay2")
    image = planning.data.image({"a": b"a"}, {"b": b"b"})
    shutil.rmtree(planning.data.at(layout.layers("overlay2")))
    proc = tmp_path / "proc"
    (proc / "41" / "ns").mkdir(parents=True)
    (proc / "self").mkdir()
    (proc / "self" / "mountinfo").write_text(HOST)
    (proc / "41" / "comm").write_text("worker\n")
    low, high = image.layers
    options = f"lowerdir=l/{low.link},upperdir={planning.data.path}/overlay2/{high.cache_id}/diff,workdir=/w"
    (proc / "41" / "mountinfo").write_text(f"{HOST}90 22 0:55 / /merged rw - overlay overlay rw,{options}\n")
    found = owners(planning, proc=str(proc))
    assert {found[layer.cache_id].owner for layer in image.layers} == {Owner.MOUNTED}
    assert "worker (process 41)" in found[low.cache_id].because


def test_what_is_new_may_be_in_the_making_unless_the_engine_is_stopped(planning: Any) -> None:
    add(planning, STRAY)
    assert owners(planning)[STRAY].owner is Owner.UNRECORDED, "a free lock proves that no engine works"
    os.unlink(planning.data.at(layout.LOCK))
    assert owners(planning)[STRAY].owner is Owner.UNKNOWN


def test_a_given_time_tells_what_is_new_and_not_the_clock(planning: Any) -> None:
    add(planning, STRAY, modified=2_000)
    assert owners(planning, before=2_000 * 10**9)[STRAY].owner is Owner.UNKNOWN
    assert owners(planning, before=2_001 * 10**9)[STRAY].owner is Owner.UNRECORDED
