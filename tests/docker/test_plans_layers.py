"""Which layers a removal takes along: only those that configs and records both leave unused."""

import os
import shutil
from typing import Any

import pytest

from orlop.docker import layout
from orlop.intent import Remove
from orlop.plan import Plan, Quarantine
from orlop.records import Key


def moved(plan: Plan) -> list[str]:
    return [step.path for step in plan.steps if isinstance(step, Quarantine)]


def layers_going(plan: Plan) -> list[str]:
    return [reason.subject for reason in plan.reasons if reason.verb == "layer"]


def kept(plan: Plan) -> dict[str, str]:
    return {r.subject.removeprefix("layer "): r.because for r in plan.reasons if r.verb == "keep"}


def notes(plan: Plan) -> str:
    return "\n".join(f"{reason.subject}: {reason.because}" for reason in plan.reasons if reason.verb == "note")


def by_id(*images: Any) -> Remove:
    return Remove(keys=tuple(Key("", image.id, None) for image in images))


def record(planning: Any, layer: Any) -> str:
    return layout.layer(planning.data.driver, layer.chain_id)


def data(planning: Any, layer: Any) -> str:
    found = layout.layer_data(planning.data.driver, layer.cache_id)
    assert found is not None
    return found


def test_shared_layers_stay_and_the_images_that_need_them_are_named(planning: Any) -> None:
    base = planning.data.image({"base": b"base"}, {"more": b"more"}, names=["base:1"])
    app = planning.data.image({"app": b"app"}, on=base, names=["app:1"])
    plan = planning.plan(planning.rows("app:1"))
    assert layers_going(plan) == [app.layers[2].chain_id]
    needed = f"needed by image {base.id}"
    assert kept(plan) == {app.layers[1].chain_id: needed, app.layers[0].chain_id: needed}
    assert plan.bytes_kept == app.layers[0].size + app.layers[1].size
    assert plan.kept_for == 1


def test_images_on_the_very_same_layers_hold_them_for_each_other(planning: Any) -> None:
    one = planning.data.image({"a": b"a"}, names=["one:1"])
    two = planning.data.image({"a": b"a"}, names=["two:1"], config={"User": "two"})
    assert layers_going(planning.plan(by_id(one))) == []
    assert layers_going(planning.plan(by_id(one, two))) == [one.layers[0].chain_id]


def test_a_record_that_stands_on_a_layer_keeps_it_even_without_an_image(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1"])
    orphan = planning.data.layer({"orphan": b"o"}, on=image.layers[0])
    plan = planning.plan(planning.rows("app:1"))
    assert layers_going(plan) == []
    assert kept(plan) == {image.layers[0].chain_id: f"layer {orphan.chain_id} stands on it"}


def test_below_a_layer_that_stays_everything_stays(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, {"b": b"b"}, {"c": b"c"}, names=["app:1"])
    planning.data.layer({"orphan": b"o"}, on=image.layers[1])
    plan = planning.plan(planning.rows("app:1"))
    assert layers_going(plan) == [image.layers[2].chain_id]
    assert kept(plan)[image.layers[0].chain_id] == f"layer {image.layers[1].chain_id} stands on it"


def test_layers_of_several_images_go_top_down_each_once(planning: Any) -> None:
    base = planning.data.image({"base": b"base"}, names=["base:1"])
    one = planning.data.image({"one": b"1"}, on=base, names=["one:1"])
    two = planning.data.image({"two": b"2"}, on=base, names=["two:1"])
    plan = planning.plan(planning.rows("base:1", "one:1", "two:1"))
    going = layers_going(plan)
    assert going[:2] == sorted((one.layers[1].chain_id, two.layers[1].chain_id))
    assert going[2:] == [base.layers[0].chain_id]
    assert len(set(moved(plan))) == len(moved(plan))


def test_the_reverse_lookup_stays_and_is_said_to_become_stale(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1"])
    planning.data.mapping(image.layers[0], "host/app")
    plan = planning.plan(planning.rows("app:1"))
    assert not any("distribution" in path for path in moved(plan))
    assert kept(plan) == {"the V2 mappings of 1 layer": "the engine keeps them too; they become stale and do no harm"}


def test_a_diff_id_that_another_layer_still_has_is_not_called_stale(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1"])
    other = planning.data.image({"z": b"z"}, {"a": b"a"}, names=["other:1"])
    assert other.layers[1].diff_id == image.layers[0].diff_id
    planning.data.mapping(image.layers[0], "host/app")
    assert kept(planning.plan(planning.rows("app:1"))) == {}


# --- records that lost their parent -------------------------------------------


def lose_parent(planning: Any, layer: Any) -> None:
    os.unlink(planning.data.at(f"{record(planning, layer)}/parent"))


def test_nothing_is_freed_in_the_stack_of_a_record_that_lost_its_parent(planning: Any) -> None:
    base = planning.data.image({"a": b"a"}, {"b": b"b"}, {"c": b"c"}, names=["base:1"])
    app = planning.data.image({"d": b"d"}, on=base, names=["app:1"])
    aside = planning.data.image({"z": b"z"}, names=["aside:1"])
    lose_parent(planning, base.layers[1])
    [reason] = planning.refusal(planning.rows("app:1")).reasons
    assert reason.startswith("DK05")
    assert record(planning, base.layers[1]) in reason
    assert planning.refusal(planning.rows("app:1", "base:1")).reasons == (reason,)
    assert layers_going(planning.plan(planning.rows("aside:1"))) == [aside.layers[0].chain_id]
    assert planning.plan(planning.rows("base:1")).images == (base.id,), "it frees no layer: the app has them all"
    assert app.layers[:3] == base.layers


def test_true_ancestors_are_kept_even_where_only_the_damaged_stack_knows_them(planning: Any) -> None:
    """The silent one: the engine would destroy layers that the other image needs."""
    low = planning.data.image({"a": b"a"}, names=["low:1"])
    high = planning.data.image({"b": b"b"}, on=low, names=["high:1"])
    lose_parent(planning, high.layers[1])
    plan = planning.plan(planning.rows("low:1"))
    assert layers_going(plan) == []
    assert kept(plan) == {low.layers[0].chain_id: f"needed by image {high.id}"}


def test_where_no_config_tells_the_ancestors_nothing_at_all_is_freed(planning: Any) -> None:
    planning.data.image({"z": b"z"}, names=["aside:1"])
    base = planning.data.image({"a": b"a"})
    orphan = planning.data.layer({"o": b"o"}, on=base.layers[0])
    lose_parent(planning, orphan)
    [reason] = planning.refusal(planning.rows("aside:1")).reasons
    assert reason.startswith("DK05")
    assert "no config tells" in reason


def test_a_name_goes_beside_a_record_that_lost_its_parent(planning: Any) -> None:
    base = planning.data.image({"a": b"a"}, {"b": b"b"}, names=["base:1", "base:2"])
    lose_parent(planning, base.layers[1])
    assert planning.plan(planning.rows("base:1")).action == "delete 1 tag"


# --- incomplete records, unusual data ------------------------------------------


@pytest.mark.parametrize("file", ["diff", "size"])
def test_an_incomplete_record_goes_with_its_data_where_the_cache_id_is_known(planning: Any, file: str) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1"])
    planning.data.write(f"{record(planning, image.layers[0])}/{file}", b"")
    paths = moved(planning.plan(planning.rows("app:1")))
    assert record(planning, image.layers[0]) in paths
    assert data(planning, image.layers[0]) in paths


@pytest.mark.parametrize("content", [b"", b"../../image", b"..", b"a/b"])
def test_an_incomplete_record_goes_alone_where_the_cache_id_is_not_known(planning: Any, content: bytes) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1"])
    planning.data.write(f"{record(planning, image.layers[0])}/cache-id", content)
    plan = planning.plan(planning.rows("app:1"))
    assert moved(plan) == [layout.config(planning.data.driver, image.id), record(planning, image.layers[0])]
    assert "the driver's folder stays: the record does not name it" in notes(plan)


def test_data_that_another_record_names_too_stays(planning: Any) -> None:
    one = planning.data.image({"a": b"a"}, names=["one:1"])
    two = planning.data.image({"b": b"b"}, names=["two:1"])
    planning.data.write(f"{record(planning, two.layers[0])}/cache-id", one.layers[0].cache_id.encode())
    plan = planning.plan(planning.rows("one:1"))
    assert data(planning, one.layers[0]) not in moved(plan)
    assert f"layer {two.layers[0].chain_id} uses it too" in notes(plan)
    both = moved(planning.plan(planning.rows("one:1", "two:1")))
    assert both.count(data(planning, one.layers[0])) == 1


def test_data_that_a_container_writes_to_stays(planning: Any) -> None:
    base = planning.data.image({"z": b"z"}, names=["base:1"])
    container = planning.data.container("worker", base)
    image = planning.data.image({"a": b"a"}, names=["app:1"])
    mount = planning.model().mounts[container].mount_id
    planning.data.write(f"{record(planning, image.layers[0])}/cache-id", mount.encode())
    plan = planning.plan(planning.rows("app:1"))
    assert not any(mount in path for path in moved(plan))
    assert f"container {container} uses it too" in notes(plan)


def test_data_that_is_gone_already_is_said_and_does_not_stop_the_rest(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1"])
    shutil.rmtree(planning.data.at(data(planning, image.layers[0])))
    plan = planning.plan(planning.rows("app:1"))
    assert moved(plan) == [layout.config(planning.data.driver, image.id), record(planning, image.layers[0])]
    assert "is not there" in notes(plan)


def test_a_link_in_the_place_of_data_is_not_moved(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1"])
    path = planning.data.at(data(planning, image.layers[0]))
    shutil.rmtree(path)
    os.symlink("/etc", path)
    plan = planning.plan(planning.rows("app:1"))
    assert data(planning, image.layers[0]) not in moved(plan)
    assert "it is no layer's folder" in notes(plan)


def test_an_image_whose_layer_record_is_missing_frees_the_rest(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, {"b": b"b"}, names=["app:1"])
    shutil.rmtree(planning.data.at(record(planning, image.layers[1])))
    assert layers_going(planning.plan(planning.rows("app:1"))) == [image.layers[0].chain_id]


@pytest.mark.parametrize("content", [b"", b"../l", b"\xff", b"NOSUCHLINK"])
def test_a_short_link_that_is_not_known_stays(data_root: Any, content: bytes) -> None:
    planning = data_root("overlay2")
    image = planning.data.image({"a": b"a"}, names=["app:1"])
    planning.data.write(layout.link_file(image.layers[0].cache_id), content)
    plan = planning.plan(planning.rows("app:1"))
    assert not any(path.startswith("overlay2/l/") for path in moved(plan))
    assert "short link" in notes(plan)


def test_a_short_link_of_another_layer_is_never_taken(data_root: Any) -> None:
    planning = data_root("overlay2")
    image = planning.data.image({"a": b"a"}, names=["app:1"])
    other = planning.data.image({"b": b"b"}, names=["other:1"])
    planning.data.write(layout.link_file(image.layers[0].cache_id), other.layers[0].link.encode())
    assert layout.link(other.layers[0].link) not in moved(planning.plan(planning.rows("app:1")))


# --- what cannot be known --------------------------------------------------------


def test_layers_of_a_driver_that_is_not_understood_are_not_freed_and_names_go(data_root: Any) -> None:
    planning = data_root("overlay2")
    planning.data.image({"a": b"a"}, names=["app:1", "app:2"])
    os.rename(planning.data.at("image/overlay2"), planning.data.at("image/btrfs"))
    planning.data.driver = "btrfs"
    assert planning.plan(planning.rows("app:1")).action == "delete 1 tag"
    [reason] = planning.refusal(planning.rows("app:1", "app:2")).reasons
    assert "cannot reach the data of driver btrfs" in reason


def test_a_config_too_large_to_be_parsed_holds_all_layers(planning: Any) -> None:
    planning.data.image({"a": b"a"}, names=["app:1"])
    large = planning.data.config(b'{"rootfs":{"type":"layers"}}' + b" " * (9 << 20))
    [reason] = planning.refusal(planning.rows("app:1")).reasons
    assert large.id in reason


def test_a_config_behind_a_link_which_the_engine_follows_holds_all_layers(planning: Any) -> None:
    base = planning.data.image({"a": b"a"}, names=["base:1"])
    linked = planning.data.image(on=base, config={"User": "linked"}, names=["linked:1"])
    config = planning.data.at(layout.config(planning.data.driver, linked.id))
    os.rename(config, planning.data.at("elsewhere"))
    os.symlink(planning.data.at("elsewhere"), config)
    [reason] = planning.refusal(planning.rows("base:1")).reasons
    assert linked.id in reason


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_a_container_without_its_image_holds_all_layers_where_its_mount_does_not_tell_them(
    planning: Any, content: bytes | None
) -> None:
    base = planning.data.image({"a": b"a"}, names=["base:1"])
    container = _container_of_a_removed_image(planning, planning.data.image(on=base, config={"User": "gone"}))
    parent = f"{layout.mounts(planning.data.driver)}/{container}/parent"
    _break(planning, parent, content)
    [reason] = planning.refusal(planning.rows("base:1")).reasons
    assert container in reason


@pytest.mark.parametrize(("file", "content"), [("parent", b""), ("parent", b"garbage"), ("diff", None)])
def test_a_container_without_its_image_holds_all_layers_where_a_record_does_not_tell_them(
    planning: Any, file: str, content: bytes | None
) -> None:
    base = planning.data.image({"a": b"a"}, names=["base:1"])
    gone = planning.data.image({"b": b"b"}, {"c": b"c"}, on=base)
    container = _container_of_a_removed_image(planning, gone)
    _break(planning, f"{record(planning, gone.layers[1])}/{file}", content)
    if file == "diff":
        os.unlink(planning.data.at(f"{record(planning, gone.layers[1])}/parent"))
    [reason] = planning.refusal(planning.rows("base:1")).reasons
    assert container in reason
    assert gone.layers[1].chain_id in reason


def _container_of_a_removed_image(planning: Any, image: Any) -> str:
    container: str = planning.data.container("worker", image)
    os.unlink(planning.data.at(layout.config(planning.data.driver, image.id)))
    return container


def _break(planning: Any, path: str, content: bytes | None) -> None:
    if content is None:
        os.unlink(planning.data.at(path))
    else:
        planning.data.write(path, content)


def test_a_damaged_image_that_stays_is_mentioned_where_layers_go(planning: Any) -> None:
    planning.data.image({"a": b"a"}, names=["app:1"])
    broken = planning.data.image({"b": b"b"}, names=["broken:1"])
    planning.data.write(layout.config(planning.data.driver, broken.id), b"")
    assert broken.id in notes(planning.plan(planning.rows("app:1")))


def test_a_layer_that_the_build_cache_may_use_stays(planning: Any) -> None:
    base = planning.data.image({"a": b"x"}, names=["base:1"])
    app = planning.data.image({"b": b"y"}, on=base, names=["app:1"])
    planning.data.make("buildkit")
    planning.data.write(layout.BUILD_CACHE, b"\0" * 500 + app.layers[-1].chain_id.encode() + b"\0" * 500)
    plan = planning.plan(planning.rows("app:1"))
    assert not any(step.path == layout.layer(planning.data.driver, app.layers[-1].chain_id) for step in plan.steps)
    assert any("build cache" in reason.because for reason in plan.reasons)
