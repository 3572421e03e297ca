"""Cleaning: what nothing needs goes, and everything that may be needed stays with the reason."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import orlop.kinds
from orlop.apply import apply, undo
from orlop.docker import layout
from orlop.intent import Clean
from orlop.journal import Journal
from orlop.plan import Plan, Quarantine
from orlop.progress import Silent

STRAY = "ab" * 32
CACHED = "k3v9mq0x7c1bz5t8w2y6r4p0d"
FAR = 4_000_000_000 * 10**9
"""Nanoseconds; everything is older."""


def moved(plan: Plan) -> list[str]:
    return [step.path for step in plan.steps if isinstance(step, Quarantine)]


def kept(plan: Plan) -> str:
    return "\n".join(f"{reason.subject}: {reason.because}" for reason in plan.reasons if reason.verb == "keep")


def record(planning: Any, layer: Any) -> str:
    return layout.layer(planning.data.driver, layer.chain_id)


def data(planning: Any, layer: Any) -> str:
    return layout.layer_data(planning.data.driver, layer.cache_id) or ""


def add_data(planning: Any, name: str) -> str:
    path = f"{layout.layer_data_folder(planning.data.driver)}/{name}"
    planning.data.write(f"{path}/file", b"stray")
    return path


def clean(planning: Any, *, untagged: bool = False, before: int = FAR) -> Plan:
    plan: Plan = planning.plan(Clean(before=before, untagged=untagged))
    return plan


def test_a_sound_store_has_nothing_to_clean(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1"])
    planning.data.container("worker", image)
    plan = clean(planning, untagged=True)
    assert (plan.action, plan.steps, plan.reasons) == ("clean: nothing to remove", (), ())


def test_everything_that_nothing_needs_goes_and_the_check_is_clean(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1"])
    low = planning.data.layer({"o": b"o"}, on=image.layers[0])
    high = planning.data.layer({"p": b"p"}, on=low)
    gone = planning.data.container("gone", image)
    mount = planning.model().mounts[gone]
    shutil.rmtree(planning.data.at(layout.container(gone)))
    planning.data.mapping("sha256:" + "5" * 64, "host/gone")
    planning.data.write(layout.v2_list(planning.data.driver, "sha256:" + "6" * 64), b"{")
    planning.data.write(f"{layout.configs(planning.data.driver)}/.tmp-{'ab' * 32}123", b"half")
    stray = add_data(planning, STRAY)
    half = add_data(planning, "cd" * 32)
    planning.data.write(f"{layout.transactions(planning.data.driver)}/write-set-1/cache-id", b"cd" * 32)
    plan = clean(planning)
    paths = moved(plan)
    assert {record(planning, low), record(planning, high), data(planning, low), data(planning, high)} <= set(paths)
    assert paths.index(record(planning, high)) < paths.index(record(planning, low)), "top-down"
    assert {stray, half, layout.layer_data(planning.data.driver, mount.mount_id or "")} <= set(paths)
    assert plan.action == (
        "clean: 1 mount record, 2 layers, 1 folder of layer data, 2 pieces of debris, 2 stale mappings"
    )
    store = orlop.kinds.open(planning.data.path)
    made = store.plan(Clean(before=FAR))
    assert isinstance(made, Plan)
    journal = Journal.of(store.root)
    apply(store, made, journal)
    assert list(store.check(None, content=True, progress=Silent())) == []
    undo(store, journal)
    again = store.plan(Clean(before=FAR))
    assert isinstance(again, Plan)
    assert again.fingerprint == made.fingerprint
    store.close()


def test_what_is_new_stays(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1"])
    planning.data.layer({"o": b"o"}, on=image.layers[0])
    planning.data.image({"u": b"u"})
    gone = planning.data.container("gone", image)
    shutil.rmtree(planning.data.at(layout.container(gone)))
    planning.data.mapping("sha256:" + "5" * 64, "host/gone")
    add_data(planning, STRAY)
    planning.data.write(f"{layout.transactions(planning.data.driver)}/write-set-1/size", b"1")
    plan = clean(planning, untagged=True, before=1_000)
    assert plan.steps == ()
    assert "1 layer: it was changed since" in kept(plan)
    assert "1 untagged image: it was changed since" in kept(plan)
    assert "1 folder of layer data: it is new" in kept(plan)
    assert "1 piece of debris: it was changed since" in kept(plan)


def test_a_new_layer_keeps_the_old_ones_below_it(planning: Any) -> None:
    low = planning.data.layer({"o": b"o"})
    high = planning.data.layer({"p": b"p"}, on=low)
    os.utime(planning.data.at(record(planning, low)), (1, 1))
    assert clean(planning, before=2 * 10**9).steps == ()
    os.utime(planning.data.at(record(planning, high)), (1, 1))
    assert len(clean(planning, before=2 * 10**9).steps) in (4, 6), "records, data, and overlay2's short links"


def test_untagged_images_go_with_their_parents_and_only_if_asked(planning: Any) -> None:
    base = planning.data.image({"a": b"a"}, names=["base:1"])
    parent = planning.data.image({"b": b"b"}, on=base, local=True)
    child = planning.data.image({"c": b"c"}, on=parent, local=True)
    assert clean(planning).steps == ()
    plan = clean(planning, untagged=True)
    assert plan.images == tuple(sorted((parent.id, child.id)))
    configs = [layout.config(planning.data.driver, image.id) for image in (child, parent)]
    assert [path for path in moved(plan) if path in configs] == configs, "children first"
    assert record(planning, base.layers[0]) not in moved(plan)
    assert record(planning, child.layers[1]) in moved(plan)


def test_an_untagged_image_stays_for_a_container_or_a_named_child(planning: Any) -> None:
    used = planning.data.image({"a": b"a"})
    planning.data.container("worker", used)
    parent = planning.data.image({"b": b"b"})
    planning.data.image({"c": b"c"}, on=parent, names=["child:1"], local=True)
    assert clean(planning, untagged=True).steps == ()


@pytest.mark.parametrize("content", [b"{", None])
def test_without_the_file_of_names_no_image_counts_as_untagged(planning: Any, content: bytes | None) -> None:
    planning.data.image({"a": b"a"}, names=["app:1"])
    path = layout.tag_file(planning.data.driver)
    if content is None:
        os.unlink(planning.data.at(path))
    else:
        planning.data.write(path, content)
    plan = clean(planning, untagged=True)
    assert plan.steps == ()
    assert "which ones have a name cannot be known" in kept(plan)


def test_the_build_cache_is_never_touched(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1"])
    cached = planning.data.layer({"o": b"o"}, on=image.layers[0])
    above = planning.data.layer({"p": b"p"}, on=cached)
    snapshot = add_data(planning, CACHED)
    planning.data.write(layout.BUILD_CACHE, b"\0" + cached.chain_id.encode() + b"\0" + CACHED.encode() + b"\0")
    plan = clean(planning)
    assert record(planning, above) in moved(plan)
    assert not any(cached.cache_id in path or path == record(planning, cached) for path in moved(plan))
    assert snapshot not in moved(plan)
    assert "docker builder prune" in kept(plan)


def test_a_mount_that_buildkit_left_keeps_its_layers(planning: Any) -> None:
    layer = planning.data.layer({"o": b"o"})
    planning.data.write(f"{layout.mounts(planning.data.driver)}/{CACHED}/parent", layer.chain_id.encode())
    planning.data.write(f"{layout.mounts(planning.data.driver)}/{CACHED}/mount-id", STRAY.encode())
    stray = add_data(planning, STRAY)
    plan = clean(planning)
    assert plan.steps == ()
    assert os.path.exists(planning.data.at(stray))


def test_a_layer_whose_folder_the_build_cache_has_stays(planning: Any) -> None:
    layer = planning.data.layer({"o": b"o"})
    above = layout.layer_data_folder(planning.data.driver)
    os.rename(planning.data.at(data(planning, layer)), planning.data.at(f"{above}/{CACHED}"))
    planning.data.write(f"{record(planning, layer)}/cache-id", CACHED.encode())
    planning.data.write(layout.BUILD_CACHE, b"\0" + CACHED.encode() + b"\0")
    plan = clean(planning)
    assert plan.steps == ()
    assert "the build cache has its folder" in kept(plan)


def test_where_the_build_caches_records_cannot_be_read_nothing_of_that_sort_goes(planning: Any) -> None:
    planning.data.layer({"o": b"o"})
    add_data(planning, CACHED)
    add_data(planning, STRAY)
    os.makedirs(planning.data.at(layout.BUILD_CACHE))
    planning.data.write(f"{layout.configs(planning.data.driver)}/.tmp-{'ab' * 32}123", b"half")
    plan = clean(planning)
    assert [Path(path).name[:5] for path in moved(plan)] == [".tmp-"]
    assert layout.BUILD_CACHE in kept(plan)
    assert "2 folders of layer data" in kept(plan)


def test_nothing_goes_where_what_containers_need_cannot_be_known(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1"])
    planning.data.layer({"o": b"o"}, on=image.layers[0])
    planning.data.container("worker", image)
    shutil.rmtree(planning.data.at(layout.CONTAINERS))
    plan = clean(planning)
    assert plan.steps == ()
    assert f"{layout.CONTAINERS} is not there" in kept(plan)


def test_orphans_stay_while_a_damaged_config_may_own_them(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1"])
    untagged = planning.data.image({"u": b"u"})
    planning.data.write(layout.config(planning.data.driver, image.id), b"")
    plan = clean(planning, untagged=True)
    assert "DK03" in kept(plan)
    assert record(planning, untagged.layers[0]) in moved(plan), "of this one it is known whose it was"
    assert record(planning, image.layers[0]) not in moved(plan)


def test_a_record_that_lost_its_parent_keeps_every_layer(planning: Any) -> None:
    low = planning.data.image({"a": b"a"}, names=["low:1"])
    orphan = planning.data.layer({"o": b"o"}, on=low.layers[0])
    planning.data.layer({"p": b"p"})
    os.unlink(planning.data.at(f"{record(planning, orphan)}/parent"))
    plan = clean(planning)
    assert plan.steps == ()
    assert "DK05" in kept(plan)


def test_an_incomplete_record_is_left_to_a_repair(planning: Any) -> None:
    orphan = planning.data.layer({"o": b"o"})
    planning.data.write(f"{record(planning, orphan)}/cache-id", b"")
    plan = clean(planning)
    assert plan.steps == ()
    assert "DK04" in kept(plan)


def test_foreign_names_stay_and_a_repair_is_named(planning: Any) -> None:
    planning.data.write(f"{layout.configs(planning.data.driver)}/notes.txt", b"mine")
    plan = clean(planning)
    assert plan.steps == ()
    assert "orlop repair PATH DK15" in kept(plan)


def test_layers_of_a_driver_that_is_not_understood_stay(data_root: Any) -> None:
    planning = data_root("overlay2")
    planning.data.layer({"o": b"o"})
    os.rename(planning.data.at("image/overlay2"), planning.data.at("image/btrfs"))
    planning.data.driver = "btrfs"
    plan = clean(planning)
    assert plan.steps == ()
    assert "btrfs are not understood" in kept(plan)
