"""Plans that delete names and images: what goes, what stays, in which order, and what is refused."""

import json
import os
import shutil
from typing import Any

import pytest

from orlop.docker import layout
from orlop.errors import NotFound
from orlop.intent import Remove
from orlop.plan import Plan, Quarantine, Replace
from orlop.records import Key
from orlop.samples import Step

DIGEST = "sha256:" + "d" * 64
GONE = "sha256:" + "e" * 64


def names_left(plan: Plan) -> Any:
    [step] = [step for step in plan.steps if isinstance(step, Replace)]
    return json.loads(step.new)["Repositories"]


def moved(plan: Plan) -> list[str]:
    return [step.path for step in plan.steps if isinstance(step, Quarantine)]


def said(plan: Plan) -> str:
    return "\n".join(f"{reason.verb} {reason.subject}: {reason.because}" for reason in plan.reasons)


def by_id(*images: Any) -> Remove:
    return Remove(keys=tuple(Key("", image.id, None) for image in images))


def image_paths(driver: str, image: Any) -> list[str]:
    return [layout.metadata(driver, image.id), layout.config(driver, image.id)]


def layer_paths(driver: str, layer: Any) -> list[str]:
    record = layout.layer(driver, layer.chain_id)
    if driver == "vfs":
        return [record, f"vfs/dir/{layer.cache_id}"]
    return [f"overlay2/l/{layer.link}", record, f"overlay2/{layer.cache_id}"]


def test_a_name_goes_alone_while_others_stay(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1", "app:2"])
    plan = planning.plan(planning.rows("app:1"))
    assert names_left(plan) == {"app": {"app:2": image.id}}
    assert moved(plan) == []
    assert plan.action == "delete 1 tag"
    assert f"keep image {image.id}: named by app:2" in said(plan)


def test_the_last_name_takes_the_image_and_its_layers_along(planning: Any) -> None:
    driver = planning.data.driver
    image = planning.data.image({"a": b"a"}, {"b": b"b"}, names=["app:1"], local=True)
    plan = planning.plan(planning.rows("app:1"))
    below, top = image.layers
    assert names_left(plan) == {}
    assert moved(plan) == [*image_paths(driver, image), *layer_paths(driver, top), *layer_paths(driver, below)]
    assert isinstance(plan.steps[0], Replace)
    assert plan.action == "delete 1 tag, 1 image"
    assert plan.images == (image.id,)
    assert plan.weighty


def test_the_steps_are_bound_to_what_is_on_disk(planning: Any) -> None:
    planning.data.image({"a": b"a" * 10_000}, names=["app:1"])
    plan = planning.plan(planning.rows("app:1"))
    for step in plan.steps:
        if isinstance(step, Quarantine):
            found = os.lstat(planning.data.at(step.path))
            assert step.inode == found.st_ino
            assert step.bytes >= found.st_blocks * 512
    assert plan.bytes_freed == sum(step.bytes for step in plan.steps if isinstance(step, Quarantine)) > 10_000
    assert plan.bytes_now == 0


def test_by_id_all_names_go(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1", "other:1", f"other@{DIGEST}", "Odd \x1b"])
    planning.data.image({"b": b"b"}, names=["app:2"])
    plan = planning.plan(by_id(image))
    assert set(names_left(plan)) == {"app"}
    assert plan.action == "delete 3 tags, 1 digest reference, 1 image"


def test_the_last_tag_of_a_repository_takes_its_digest_references(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1", f"app@{DIGEST}", "other:1", f"other@{DIGEST}"])
    plan = planning.plan(planning.rows("app:1"))
    assert names_left(plan) == {"other": {"other:1": image.id, f"other@{DIGEST}": image.id}}
    assert moved(plan) == []
    assert "goes with the last tag of its repository" in said(plan)


def test_digest_references_stay_while_a_tag_of_their_repository_does(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1", "app:2", f"app@{DIGEST}"])
    plan = planning.plan(planning.rows("app:1"))
    assert names_left(plan) == {"app": {"app:2": image.id, f"app@{DIGEST}": image.id}}


def test_a_tag_of_another_image_does_not_hold_a_digest_reference(planning: Any) -> None:
    planning.data.image({"a": b"a"}, names=["app:1", f"app@{DIGEST}"])
    other = planning.data.image({"b": b"b"}, names=["app:2"])
    plan = planning.plan(planning.rows("app:1"))
    assert names_left(plan) == {"app": {"app:2": other.id}}
    assert plan.action == "delete 1 tag, 1 digest reference, 1 image"
    assert not plan.weighty


def test_removing_a_digest_reference_leaves_the_tags(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1", f"app@{DIGEST}"])
    plan = planning.plan(planning.rows(f"app@{DIGEST}"))
    assert names_left(plan) == {"app": {"app:1": image.id}}
    assert plan.action == "delete 1 digest reference"


def test_an_image_with_children_that_stay_is_refused_and_they_are_named(planning: Any) -> None:
    base = planning.data.image({"a": b"a"}, names=["base:1"])
    child = planning.data.image({"b": b"b"}, on=base, names=["app:1"], local=True)
    for intent in (planning.rows("base:1"), by_id(base)):
        refusal = planning.refusal(intent)
        assert [child.id in reason for reason in refusal.reasons] == [True]
        assert refusal.do


def test_a_damaged_child_still_counts(planning: Any) -> None:
    base = planning.data.image({"a": b"a"}, names=["base:1"])
    child = planning.data.image({"b": b"b"}, on=base, local=True)
    planning.data.write(layout.config(planning.data.driver, child.id), b"")
    assert child.id in planning.refusal(by_id(base)).reasons[0]


def test_metadata_left_behind_by_a_missing_image_is_no_child(planning: Any) -> None:
    base = planning.data.image({"a": b"a"}, names=["base:1"])
    built = planning.data.build(Step(created_by="RUN b", files={"b": b"b"}), on=base)[-1]
    os.unlink(planning.data.at(layout.config(planning.data.driver, built.id)))
    assert layout.config(planning.data.driver, base.id) in moved(planning.plan(planning.rows("base:1")))


def test_children_go_before_their_parents_in_one_plan(planning: Any) -> None:
    driver = planning.data.driver
    base = planning.data.image({"a": b"a"}, names=["base:1"], local=True)
    child = planning.data.image({"b": b"b"}, on=base, names=["app:1"], local=True)
    plan = planning.plan(planning.rows("base:1", "app:1"))
    assert moved(plan)[:4] == [*image_paths(driver, child), *image_paths(driver, base)]
    assert plan.action == "delete 2 tags, 2 images"


def test_untagged_parents_go_upward_with_their_last_child(planning: Any) -> None:
    base = planning.data.image({"base": b"base"}, names=["base:1"])
    steps = (Step(created_by="ENV A=1"), Step(created_by="COPY f", files={"f": b"f"}), Step(created_by="CMD x"))
    first, second, built = planning.data.build(*steps, on=base, names=["built:1"])
    plan = planning.plan(planning.rows("built:1"))
    assert plan.action == "delete 1 tag, 3 images"
    assert plan.images == tuple(sorted((first.id, second.id, built.id)))
    order = [path for path in moved(plan) if "/content/" in path]
    assert order == [layout.config(planning.data.driver, image.id) for image in (built, second, first)]
    assert f"remove image {second.id}: untagged parent of {built.id}" in said(plan)
    assert f"layer {base.layers[0].chain_id}" not in [r.subject for r in plan.reasons if r.verb == "layer"]


def test_pruning_stops_at_a_parent_that_is_named_used_or_has_other_children(planning: Any) -> None:
    base = planning.data.image({"base": b"base"}, names=["base:1"])
    named, left = planning.data.build(Step(created_by="A"), Step(created_by="B"), on=base, names=["left:1"])
    planning.data.tag("named:1", named.id)
    assert planning.plan(planning.rows("left:1")).images == (left.id,)

    shared, one = planning.data.build(Step(created_by="C"), Step(created_by="D"), on=base, names=["one:1"])
    planning.data.image({"two": b"2"}, on=shared, names=["two:1"], local=True)
    assert planning.plan(planning.rows("one:1")).images == (one.id,)

    used, three = planning.data.build(Step(created_by="E"), Step(created_by="F"), on=base, names=["three:1"])
    planning.data.container("worker", used)
    assert planning.plan(planning.rows("three:1")).images == (three.id,)


def test_a_parent_goes_when_all_its_children_go_together(planning: Any) -> None:
    base = planning.data.image({"base": b"base"}, names=["base:1"])
    shared, one = planning.data.build(Step(created_by="C"), Step(created_by="D"), on=base, names=["one:1"])
    two = planning.data.image({"two": b"2"}, on=shared, names=["two:1"], local=True)
    plan = planning.plan(planning.rows("one:1", "two:1"))
    assert plan.images == tuple(sorted((shared.id, one.id, two.id)))


def test_parent_keys_in_a_circle_end(planning: Any) -> None:
    one = planning.data.image({"a": b"a"}, names=["one:1"])
    two = planning.data.image({"b": b"b"}, names=["two:1"])
    planning.data.metadata(one.id, "parent", two.id.encode())
    planning.data.metadata(two.id, "parent", one.id.encode())
    assert planning.plan(by_id(one, two)).images == tuple(sorted((one.id, two.id)))
    assert planning.refusal(by_id(one)).reasons


def test_an_image_that_a_container_uses_is_refused_by_its_name_and_state(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1", "app:2"])
    container = planning.data.container("worker", image)
    [reason] = planning.refusal(by_id(image)).reasons
    assert "worker" in reason
    assert container in reason
    assert "not running" in reason
    assert names_left(planning.plan(planning.rows("app:1"))) == {"app": {"app:2": image.id}}
    assert planning.refusal(planning.rows("app:1", "app:2")).reasons == (reason,)


def test_a_container_whose_record_cannot_be_read_holds_what_it_stands_on(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1"])
    container = planning.data.container("worker", image)
    planning.data.write(f"{layout.container(container)}/config.v2.json", b"")
    [reason] = planning.refusal(planning.rows("app:1")).reasons
    assert container in reason


def test_a_mount_without_its_container_keeps_the_layers_only(planning: Any) -> None:
    driver = planning.data.driver
    image = planning.data.image({"a": b"a"}, {"b": b"b"}, names=["app:1"])
    container = planning.data.container("worker", image)
    shutil.rmtree(planning.data.at(layout.container(container)))
    plan = planning.plan(planning.rows("app:1"))
    assert moved(plan) == [layout.config(driver, image.id)]
    assert f"needed by container {container}" in said(plan)
    assert plan.bytes_kept == sum(layer.size for layer in image.layers)
    assert plan.kept_for == 0


@pytest.mark.parametrize("part", ["containers", "layerdb/mounts", "imagedb/metadata/sha256"])
def test_no_image_goes_while_a_part_that_could_need_it_is_unreadable(planning: Any, part: str) -> None:
    planning.data.image({"a": b"a"}, names=["app:1", "app:2"])
    path = part if part == "containers" else f"{layout.image_root(planning.data.driver)}/{part}"
    os.rmdir(planning.data.at(path))
    planning.data.write(path, b"")
    [reason] = planning.refusal(planning.rows("app:1", "app:2")).reasons
    assert path in reason
    assert planning.plan(planning.rows("app:1")).action == "delete 1 tag", "a name needs none of that"


@pytest.mark.parametrize("content", [b"", b"{", b"null"])
def test_nothing_goes_while_the_tag_file_is_bad(planning: Any, content: bytes) -> None:
    image = planning.data.image({"a": b"a"})
    planning.data.write(layout.tag_file(planning.data.driver), content)
    assert planning.refusal(by_id(image)).reasons[0].startswith("DK01")


def test_a_name_to_a_missing_image_goes_even_where_others_depend_on_that_id(planning: Any) -> None:
    planning.data.tag("ghost:1", GONE)
    child = planning.data.image({"a": b"a"}, names=["app:1"])
    planning.data.metadata(child.id, "parent", GONE.encode())
    plan = planning.plan(planning.rows("ghost:1"))
    assert set(names_left(plan)) == {"app"}
    assert moved(plan) == []
    assert plan.action == "delete 1 tag"


def test_metadata_left_behind_by_a_missing_image_goes_with_its_last_name(planning: Any) -> None:
    planning.data.tag("ghost:1", GONE)
    planning.data.metadata(GONE, "lastUpdated", b"")
    plan = planning.plan(planning.rows("ghost:1"))
    assert moved(plan) == [layout.metadata(planning.data.driver, GONE)]


@pytest.mark.parametrize("damage", ["empty", "altered", "folder", "link"])
def test_an_image_with_a_damaged_config_goes_and_its_layers_stay(planning: Any, damage: str) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1"], local=True)
    path = planning.data.at(layout.config(planning.data.driver, image.id))
    os.unlink(path)
    if damage == "folder":
        os.mkdir(path)
    elif damage == "link":
        os.symlink("/etc/hostname", path)
    else:
        planning.data.write(layout.config(planning.data.driver, image.id), b"" if damage == "empty" else b"{}")
    plan = planning.plan(planning.rows("app:1"))
    assert moved(plan) == image_paths(planning.data.driver, image)
    assert "its layers cannot be known: they stay" in said(plan)
    assert [step.kind for step in plan.steps[2:]] == [damage if damage in ("folder", "link") else "file"]


def test_a_pipe_in_the_place_of_a_config_is_not_moved(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1"])
    path = planning.data.at(layout.config(planning.data.driver, image.id))
    os.unlink(path)
    os.mkfifo(path)
    assert "fifo" in planning.refusal(planning.rows("app:1")).reasons[0]


def test_a_row_that_is_no_longer_true_is_not_found(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1"])
    for key in (Key("", GONE, None), Key("", GONE, "app:1"), Key("", image.id, "app:2")):
        with pytest.raises(NotFound):
            planning.ask(Remove(keys=(key,)))


def test_many_images_are_weighty(planning: Any) -> None:
    images = [planning.data.image({"n": b"%d" % number}) for number in range(21)]
    assert planning.plan(by_id(*images)).weighty
    assert not planning.plan(by_id(*images[:20])).weighty


def test_an_id_that_is_no_digest_never_becomes_a_path(planning: Any) -> None:
    planning.data.tag("odd:1", "sha256:../../../../etc")
    plan = planning.plan(planning.rows("odd:1"))
    assert names_left(plan) == {}
    assert moved(plan) == []


def test_the_same_state_gives_the_same_plan_whatever_the_order_asked(planning: Any) -> None:
    base = planning.data.image({"base": b"base"}, names=["base:1"])
    for number in range(4):
        planning.data.image({"f": b"%d" % number}, on=base, names=[f"app:{number}"], local=True)
    rows = planning.rows("app:0", "app:1", "app:2", "base:1", "app:3")
    first, second = planning.plan(rows), planning.plan(Remove(keys=rows.keys[::-1]))
    assert (first.steps, first.reasons) == (second.steps, second.reasons)
    assert first.fingerprint == planning.plan(rows).fingerprint


def test_making_a_plan_writes_nothing(planning: Any) -> None:
    planning.data.image({"a": b"a"}, names=["app:1"])
    planning.data.settle()

    def state() -> list[tuple[str, int, int]]:
        found = []
        for folder, folders, files in os.walk(planning.data.path):
            for name in (*folders, *files):
                stat = os.lstat(os.path.join(folder, name))
                found.append((os.path.join(folder, name), stat.st_ctime_ns, stat.st_ino))
        return sorted(found)

    before = state()
    planning.plan(planning.rows("app:1"))
    assert state() == before
