"""Plans that tag and untag: one write of repositories.json that keeps everything else."""

import hashlib
import json
import os
from typing import Any

import pytest

from orlop.docker import layout
from orlop.errors import Malformed, NotFound
from orlop.intent import Tag, Untag
from orlop.plan import Plan, Replace

DIGEST = "sha256:" + "d" * 64


@pytest.fixture
def planning(data_root: Any) -> Any:
    """Names are the same for every driver."""
    return data_root("overlay2")


def written(plan: Plan) -> Any:
    [step] = plan.steps
    assert isinstance(step, Replace)
    return json.loads(step.new)["Repositories"]


def said(plan: Plan) -> str:
    return "\n".join(f"{reason.verb} {reason.subject}: {reason.because}" for reason in plan.reasons)


def test_a_new_tag_is_added_and_every_other_name_stays(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1", "host:5000/team/app:2"])
    plan = planning.plan(Tag(image=image.id, name="docker.io/library/app:2"))
    assert written(plan) == {
        "app": {"app:1": image.id, "app:2": image.id},
        "host:5000/team/app": {"host:5000/team/app:2": image.id},
    }
    assert plan.action == f"tag {image.id[:19]} as app:2"
    assert plan.images == (image.id,)
    assert not plan.weighty


def test_a_name_without_a_tag_becomes_latest(planning: Any) -> None:
    image = planning.data.image({"a": b"a"})
    assert written(planning.plan(Tag(image=image.id, name="app"))) == {"app": {"app:latest": image.id}}


def test_the_file_is_written_as_the_engine_writes_it(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, names=["zebra:1", "ape:1", "ape:<odd>&"])
    [step] = planning.plan(Tag(image=image.id, name="mole:1")).steps
    names = f'"ape:1":"{image.id}","ape:\\u003codd\\u003e\\u0026":"{image.id}"'
    expected = '{"Repositories":{"ape":{%s},"mole":{"mole:1":"%s"},"zebra":{"zebra:1":"%s"}}}'
    assert step.new == (expected % (names, image.id, image.id)).encode()


def test_the_write_is_bound_to_the_content_that_was_read(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1"])
    path = layout.tag_file(planning.data.driver)
    with open(planning.data.at(path), "rb") as file:
        digest = "sha256:" + hashlib.sha256(file.read()).hexdigest()
    [step] = planning.plan(Tag(image=image.id, name="app:2")).steps
    assert (step.path, step.old) == (path, digest)


def test_a_tag_file_that_is_absent_is_created(planning: Any) -> None:
    image = planning.data.image({"a": b"a"})
    os.unlink(planning.data.at(layout.tag_file(planning.data.driver)))
    plan = planning.plan(Tag(image=image.id, name="app:1"))
    [step] = plan.steps
    assert (step.old, step.mode) == (None, 0o600)
    assert written(plan) == {"app": {"app:1": image.id}}


def test_a_tag_that_exists_moves_and_says_from_where(planning: Any) -> None:
    old = planning.data.image({"a": b"a"}, names=["app:1"])
    new = planning.data.image({"b": b"b"})
    plan = planning.plan(Tag(image=new.id, name="app:1"))
    assert plan.action == "move the tag app:1"
    assert f"moves from {old.id} to {new.id}" in said(plan)
    assert f"keep image {old.id}: it stays without a name" in said(plan)
    assert plan.images == tuple(sorted((old.id, new.id)))
    assert written(plan) == {"app": {"app:1": new.id}}


def test_a_tag_that_is_there_already_needs_no_step(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1"])
    plan = planning.plan(Tag(image=image.id, name="app:1"))
    assert plan.steps == ()
    assert f"it names {image.id} already" in said(plan)


def test_an_image_without_layers_can_be_tagged(planning: Any) -> None:
    image = planning.data.image()
    assert planning.plan(Tag(image=image.id, name="empty:1")).steps


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (f"app@{DIGEST}", "refusing to create a tag with a digest reference"),
        ("sha256:1", "refusing to create an ambiguous tag using digest algorithm as name"),
    ],
)
def test_names_that_the_engine_refuses_are_refused_in_its_words(planning: Any, name: str, words: str) -> None:
    image = planning.data.image({"a": b"a"})
    assert planning.refusal(Tag(image=image.id, name=name)).reasons == (words,)


@pytest.mark.parametrize("name", ["App:1", "", "app:", "a b", "app:1\n", "0" * 64, "../app", "app:\x1b[2J"])
def test_a_text_that_is_no_name_is_malformed(planning: Any, name: str) -> None:
    image = planning.data.image({"a": b"a"})
    with pytest.raises(Malformed):
        planning.ask(Tag(image=image.id, name=name))


def test_an_unknown_image_is_not_found(planning: Any) -> None:
    with pytest.raises(NotFound):
        planning.ask(Tag(image=DIGEST, name="app:1"))


def test_an_image_without_its_config_is_not_tagged(planning: Any) -> None:
    planning.data.tag("app:1", DIGEST)
    [reason] = planning.refusal(Tag(image=DIGEST, name="app:2")).reasons
    assert "missing" in reason


def test_an_image_with_an_altered_config_is_not_tagged(planning: Any) -> None:
    image = planning.data.image({"a": b"a"})
    planning.data.write(layout.config(planning.data.driver, image.id), b"{}")
    [reason] = planning.refusal(Tag(image=image.id, name="app:2")).reasons
    assert "altered" in reason


@pytest.mark.parametrize("depth", [0, 1])
def test_an_image_whose_layers_do_not_load_is_not_tagged(planning: Any, depth: int) -> None:
    image = planning.data.image({"a": b"a"}, {"b": b"b"})
    record = layout.layer(planning.data.driver, image.layers[depth].chain_id)
    planning.data.write(f"{record}/size", b"")
    [reason] = planning.refusal(Tag(image=image.id, name="app:2")).reasons
    assert image.layers[depth].chain_id in reason


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[]", b'{"Repositories":{"a":1}}'])
def test_a_bad_tag_file_is_never_written_over(planning: Any, content: bytes) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1"])
    planning.data.write(layout.tag_file(planning.data.driver), content)
    for intent in (Tag(image=image.id, name="app:2"), Untag(names=("app:1",))):
        [reason] = planning.refusal(intent).reasons
        assert reason.startswith("DK01")


def test_odd_entries_and_empty_repositories_are_kept(planning: Any) -> None:
    image = planning.data.image({"a": b"a"})
    odd = {"UPPER": {"UPPER:x": image.id, "\u202e": "no digest"}, "b": {"a:1": image.id}, "void": {}}
    text = json.dumps({"Repositories": {"a": {"a:1": image.id}, **odd}})
    planning.data.write(layout.tag_file(planning.data.driver), text.encode())
    assert written(planning.plan(Untag(names=("a:1",)))) == {"UPPER": odd["UPPER"], "void": {}}
    assert written(planning.plan(Tag(image=image.id, name="c:1"))) == {
        "a": {"a:1": image.id},
        "c": {"c:1": image.id},
        **odd,
    }


def test_what_an_engine_would_lose_is_told(planning: Any) -> None:
    image = planning.data.image({"a": b"a"})
    text = json.dumps({"Other": 1, "repositories": {"a": {"a:1": image.id}}}) + " and more"
    planning.data.write(layout.tag_file(planning.data.driver), text.encode())
    plan = planning.plan(Tag(image=image.id, name="a:2"))
    assert written(plan) == {"a": {"a:1": image.id, "a:2": image.id}}
    assert "the text after the first JSON value is lost" in said(plan)
    assert "the member Other is lost" in said(plan)


def test_untagging_takes_exactly_the_names_asked_for(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1", "app:2", f"app@{DIGEST}"])
    plan = planning.plan(Untag(names=("app:2",)))
    assert written(plan) == {"app": {"app:1": image.id, f"app@{DIGEST}": image.id}}
    assert plan.action == "untag app:2"
    assert not plan.weighty


def test_untagging_the_last_name_keeps_the_image_and_drops_the_repository(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1"])
    plan = planning.plan(Untag(names=("app:1",)))
    assert written(plan) == {}
    assert f"keep image {image.id}: it stays without a name" in said(plan)
    assert plan.weighty
    assert (plan.bytes_freed, plan.bytes_kept) == (0, 0)


def test_a_digest_reference_goes_by_its_text(planning: Any) -> None:
    image = planning.data.image({"a": b"a"}, names=["app:1", f"app@{DIGEST}"])
    plan = planning.plan(Untag(names=(f"app@{DIGEST}",)))
    assert written(plan) == {"app": {"app:1": image.id}}
    assert not plan.weighty


@pytest.mark.parametrize(
    "spelling", ["app", "app:latest", "docker.io/library/app", "index.docker.io/library/app:latest"]
)
def test_any_spelling_of_a_name_finds_it(planning: Any, spelling: str) -> None:
    planning.data.image({"a": b"a"}, names=["app:latest", "app:1"])
    assert planning.plan(Untag(names=(spelling,))).action == "untag app:latest"


def test_a_name_that_does_not_parse_goes_by_its_text(planning: Any) -> None:
    planning.data.image({"a": b"a"}, names=["Odd Name:\x1b", "app:1"])
    assert set(written(planning.plan(Untag(names=("Odd Name:\x1b",))))) == {"app"}


def test_a_name_to_a_missing_image_goes(planning: Any) -> None:
    planning.data.tag("ghost:1", DIGEST)
    plan = planning.plan(Untag(names=("ghost:1",)))
    assert written(plan) == {}
    assert f"image {DIGEST}: it is not in the store" in said(plan)


def test_a_name_that_is_not_listed_is_not_found(planning: Any) -> None:
    with pytest.raises(NotFound, match="app:latest"):
        planning.ask(Untag(names=("app",)))
    with pytest.raises(Malformed):
        planning.ask(Untag(names=("NOT A NAME",)))


def test_the_same_state_gives_the_same_plan_whatever_the_order_asked(planning: Any) -> None:
    planning.data.image({"a": b"a"}, names=["app:1", "app:2", "app:3"])
    first = planning.plan(Untag(names=("app:3", "app:1")))
    second = planning.plan(Untag(names=("app:1", "app:3")))
    assert (first.steps, first.reasons) == (second.steps, second.reasons)
    assert first == planning.plan(Untag(names=("app:3", "app:1")))
    assert first.action == "untag 2 tags"
