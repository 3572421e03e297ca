"""Plans that tag and untag: one folder a tag, and all that a repository needs to serve what it gets."""

from pathlib import Path

import pytest

from orlop.errors import Malformed, NotFound, Unsupported
from orlop.intent import SetLatest, Tag, Untag
from orlop.plan import Replace
from tests.registry.planned import Planning, moved, said, written


@pytest.fixture
def planning(tmp_path: Path) -> Planning:
    return Planning(tmp_path / "registry")


def folders(digest: str) -> str:
    return digest.replace(":", "/")


def test_a_new_tag_is_its_history_and_then_what_it_means(planning: Planning) -> None:
    image = planning.storage.image("team/app", "v1")
    plan = planning.plan(Tag(image=image.digest, name="team/app:v2"))
    top = "repositories/team/app/_manifests/tags/v2"
    assert written(plan) == [f"{top}/index/{folders(image.digest)}/link", f"{top}/current/link"]
    assert {step.new for step in plan.steps if isinstance(step, Replace)} == {image.digest.encode()}
    assert plan.images == (image.digest,)
    planning.do(plan.intent)
    assert planning.names() == {"team/app:v1", "team/app:v2"}
    assert planning.storage.tag_path("team/app", "v2").stat().st_mode & 0o777 == 0o644
    assert planning.storage.tag_path("team/app", "v2").parent.stat().st_mode & 0o777 == 0o755
    assert planning.damage() == []


def test_a_name_without_a_tag_becomes_latest(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    assert planning.plan(Tag(image=image.digest, name="app")).action.endswith("as app:latest")


def test_a_tag_that_moves_keeps_its_history_and_says_from_where(planning: Planning) -> None:
    old = planning.storage.image("app", "v1")
    new = planning.storage.image("app", cmd="new")
    plan = planning.plan(Tag(image=new.digest, name="app:v1"))
    assert plan.action == "move the tag app:v1"
    assert f"moves from {old.digest} to {new.digest}" in said(plan)
    assert f"keep image {old.digest}: it stays in app without a name" in said(plan)
    planning.do(plan.intent)
    assert planning.storage.tag_path("app", "v1").read_text() == new.digest
    assert planning.storage.history_path("app", "v1", old.digest).read_text() == old.digest


def test_a_tag_that_moves_back_is_the_newest_of_its_history(planning: Planning) -> None:
    first = planning.storage.image("app", "v1")
    second = planning.storage.image("app", cmd="second")
    planning.storage.tag("app", "v1", second.digest)
    planning.storage.age()
    planning.do(Tag(image=first.digest, name="app:v1"))
    newer = planning.storage.history_path("app", "v1", first.digest).stat().st_mtime
    assert newer > planning.storage.history_path("app", "v1", second.digest).stat().st_mtime


def test_a_tag_that_is_there_already_needs_no_step(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    plan = planning.plan(Tag(image=image.digest, name="app:v1"))
    assert plan.steps == ()
    assert "it means" in said(plan)


def test_another_repository_gets_every_link_that_serving_it_takes(planning: Planning) -> None:
    image = planning.storage.image("app", "v1", layers=[b"one", b"two"])
    plan = planning.plan(Tag(image=image.digest, name="copies/app:v1"))
    kinds = [path.split("/")[3] + "/" + path.split("/")[4] for path in written(plan)]
    assert kinds == ["_layers/sha256"] * 3 + ["_manifests/revisions"] + ["_manifests/tags"] * 2
    assert all(f"add link to {layer} in copies/app" in said(plan) for layer in image.layers)
    planning.do(plan.intent)
    assert planning.damage() == []
    assert planning.storage.layer_path("copies/app", image.config).read_text() == image.config


def test_another_repository_gets_the_parts_of_an_index_before_the_index(planning: Planning) -> None:
    parts = [planning.storage.image("multi", cmd=name) for name in ("amd64", "arm64")]
    index = planning.storage.index("multi", [part.digest for part in parts], "all")
    plan = planning.plan(Tag(image=index, name="other:all", scope="multi"))
    revisions = [path for path in written(plan) if "/revisions/" in path]
    assert [path.rsplit("/", 2)[1] for path in revisions] == [*(p.digest[7:] for p in parts), index[7:]]
    planning.do(plan.intent)
    assert planning.damage() == []


def test_what_a_repository_links_already_is_not_linked_again(planning: Planning) -> None:
    planning.storage.image("there", "v1", layers=[b"shared"])
    image = planning.storage.image("app", "v1", layers=[b"shared", b"own"])
    plan = planning.plan(Tag(image=image.digest, name="there:v2"))
    assert image.layers[0] not in said(plan)
    assert image.layers[1] in said(plan)


def test_a_damaged_link_in_the_way_of_a_mount_is_replaced(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    planning.storage.image("there", "v1", layers=[b"else"])
    planning.storage.put(planning.storage.layer_path("there", image.layers[0]), "")
    planning.do(Tag(image=image.digest, name="there:v2"))
    assert planning.storage.layer_path("there", image.layers[0]).read_text() == image.layers[0]


@pytest.mark.parametrize(
    "name", ["App:v1", "", "app:", "a b", "app:v1\n", "../app:v1", "app/_layers:v1", "app:\x1b[2J", "x" * 256 + ":v1"]
)
def test_a_text_that_is_no_name_is_malformed(planning: Planning, name: str) -> None:
    image = planning.storage.image("app", "v1")
    with pytest.raises(Malformed):
        planning.ask(Tag(image=image.digest, name=name))


def test_a_digest_is_no_name(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    with pytest.raises(Malformed, match="not a tag"):
        planning.ask(Tag(image=image.digest, name=f"app@{image.digest}"))


def test_a_manifest_that_no_repository_knows_is_not_found(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    with pytest.raises(NotFound):
        planning.ask(Tag(image="sha256:" + "0" * 64, name="app:v2"))
    with pytest.raises(NotFound, match="other does not know"):
        planning.ask(Tag(image=image.digest, name="app:v2", scope="other"))


def test_a_damaged_manifest_gets_no_name(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    planning.storage.blob_path(image.digest).write_bytes(b"{}")
    [reason] = planning.refusal(Tag(image=image.digest, name="app:v2")).reasons
    assert image.digest in reason


def test_an_image_without_a_layer_gets_no_name(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    planning.storage.blob_path(image.layers[0]).unlink()
    [reason] = planning.refusal(Tag(image=image.digest, name="app:v2")).reasons
    assert reason == f"{image.digest} needs {image.layers[0]}, which is not in the store"


def test_an_index_that_is_not_whole_can_be_named_where_it_is_and_nowhere_else(planning: Planning) -> None:
    part = planning.storage.image("multi")
    index = planning.storage.index("multi", [part.digest, "sha256:" + "1" * 64], "all")
    assert planning.plan(Tag(image=index, name="multi:again")).steps
    [reason] = planning.refusal(Tag(image=index, name="other:all")).reasons
    assert "which multi does not know" in reason


def test_schema_1_holds_its_own_name_and_gets_no_other(planning: Planning) -> None:
    layer = planning.storage.layer("old", b"layer")
    document = {
        "schemaVersion": 1,
        "name": "old",
        "tag": "v1",
        "architecture": "amd64",
        "fsLayers": [{"blobSum": layer}],
        "history": [{"v1Compatibility": "{}"}],
    }
    digest = planning.storage.manifest("old", document, "v1")
    [reason] = planning.refusal(Tag(image=digest, name="old:v2")).reasons
    assert "schema 1" in reason


def test_a_file_in_the_place_of_a_tag_is_in_the_way(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    planning.storage.put(planning.storage.tag_path("app", "v2").parent.parent, b"stray")
    [reason] = planning.refusal(Tag(image=image.digest, name="app:v2")).reasons
    assert "a file is in the place" in reason


def test_a_tag_with_a_bad_link_is_written_anew(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    planning.storage.put(planning.storage.tag_path("app", "v1"), image.digest + "\n")
    planning.do(Tag(image=image.digest, name="app:v1"))
    assert planning.damage() == []


# --- untag ---------------------------------------------------------------------


def test_untagging_is_one_rename_and_leaves_the_manifest(planning: Planning) -> None:
    image = planning.storage.image("app", "v1", "v2")
    plan = planning.plan(Untag(names=("app:v1",)))
    assert moved(plan) == ["repositories/app/_manifests/tags/v1"]
    assert not plan.weighty
    planning.do(plan.intent)
    assert planning.names() == {"app:v2"}
    assert planning.storage.revision_path("app", image.digest).exists()
    planning.undo()
    assert planning.names() == {"app:v1", "app:v2"}


def test_taking_the_last_tag_of_a_repository_is_weighty_and_says_what_stays(planning: Planning) -> None:
    image = planning.storage.image("app", "v1", "v2")
    plan = planning.plan(Untag(names=("app:v1", "app:v2")))
    assert plan.weighty
    assert plan.action == "untag 2 tags"
    assert f"keep image {image.digest}: it stays in app without a name" in said(plan)


def test_broken_tags_and_stray_files_among_tags_can_be_untagged(planning: Planning) -> None:
    planning.storage.image("app", "v1")
    planning.storage.put(planning.storage.tag_path("app", "broken"), "")
    planning.storage.put(planning.storage.tag_path("app", "stray").parent.parent, b"x")
    planning.do(Untag(names=("app:broken", "app:stray")))
    assert planning.names() == {"app:v1"}
    assert planning.damage() == []


def test_a_tag_that_is_not_there_is_not_found(planning: Planning) -> None:
    planning.storage.image("app", "v1")
    with pytest.raises(NotFound):
        planning.ask(Untag(names=("app:v2",)))
    with pytest.raises(NotFound):
        planning.ask(Untag(names=("nothing:v1",)))


def test_an_intent_of_another_kind_is_said_to_be_one(planning: Planning) -> None:
    with pytest.raises(Unsupported, match="set-latest"):
        planning.ask(SetLatest(image="x", latest=True))
