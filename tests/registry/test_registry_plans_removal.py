"""Plans that delete: names, manifests with their last name, whole repositories; nothing that others need."""

from pathlib import Path

import pytest

from orlop.errors import NotFound
from orlop.intent import Remove, RemoveRepository
from orlop.plan import Quarantine
from orlop.records import Key
from tests.registry.planned import Planning, moved, row, said


@pytest.fixture
def planning(tmp_path: Path) -> Planning:
    return Planning(tmp_path / "registry")


def revision(repository: str, digest: str) -> str:
    return f"repositories/{repository}/_manifests/revisions/{digest.replace(':', '/')}"


def tag(repository: str, name: str) -> str:
    return f"repositories/{repository}/_manifests/tags/{name}"


def test_parts_of_an_index_stay_while_another_one_cannot_be_read(planning: Planning) -> None:
    part = planning.storage.image("multi", cmd="one")
    other = planning.storage.image("multi", cmd="two")
    planning.storage.index("multi", [part.digest], "one")
    damaged = planning.storage.index("multi", [part.digest, other.digest], "two")
    planning.storage.blob_path(damaged).write_bytes(b"{")
    plan = planning.plan(planning.remove("multi:one"))
    assert not [path for path in moved(plan) if part.digest[7:] in path]


def test_a_manifest_goes_with_its_last_name_and_not_before(planning: Planning) -> None:
    image = planning.storage.image("app", "v1", "v2")
    first = planning.plan(planning.remove("app:v1"))
    assert moved(first) == [tag("app", "v1")]
    assert f"keep image {image.digest}: named by app:v2" in said(first)
    both = planning.plan(planning.remove("app:v1", "app:v2"))
    assert moved(both) == [tag("app", "v1"), tag("app", "v2"), revision("app", image.digest)]
    assert both.action == "delete 2 tags, 1 image"
    assert both.weighty
    planning.do(both.intent)
    assert planning.damage() == []
    planning.undo()
    assert planning.names() == {"app:v1", "app:v2"}


def test_by_its_digest_a_manifest_goes_with_all_its_names(planning: Planning) -> None:
    image = planning.storage.image("app", "v1", "v2")
    planning.storage.image("app", "other", cmd="other")
    plan = planning.plan(row("app", image.digest))
    assert moved(plan) == [tag("app", "v1"), tag("app", "v2"), revision("app", image.digest)]
    assert not plan.weighty


def test_other_repositories_keep_what_they_know(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    planning.storage.image("copy", "v1")
    planning.do(row("app", image.digest))
    assert planning.names() == {"copy:v1"}
    assert planning.damage() == []


def test_blobs_stay_and_are_counted(planning: Planning) -> None:
    planning.storage.image("app", "v1", layers=[b"base", b"own layer"])
    planning.storage.image("other", "v1", layers=[b"base"], cmd="other")
    plan = planning.plan(planning.remove("app:v1"))
    assert all(isinstance(step, Quarantine) and "/blobs/" not in step.path for step in plan.steps)
    assert "keep 3 blobs" in said(plan)
    assert "that nothing else needs; `orlop clean PATH` removes them" in said(plan)
    assert "keep 1 blob: 4 bytes that others need too" in said(plan)
    assert plan.kept_for == 1


def test_the_parts_of_an_index_go_with_it_unless_something_else_keeps_them(planning: Planning) -> None:
    only, tagged, shared = (planning.storage.image("multi", cmd=name) for name in ("one", "two", "three"))
    planning.storage.tag("multi", "two", tagged.digest)
    index = planning.storage.index("multi", [only.digest, tagged.digest, shared.digest], "all")
    planning.storage.index("multi", [shared.digest], "some")
    plan = planning.plan(planning.remove("multi:all"))
    assert moved(plan) == [tag("multi", "all"), revision("multi", index), revision("multi", only.digest)]
    assert f"a part of the index {index}, which goes" in said(plan)
    planning.do(plan.intent)
    assert planning.damage() == []


def test_a_part_of_an_index_does_not_go_alone(planning: Planning) -> None:
    part = planning.storage.image("multi")
    index = planning.storage.index("multi", [part.digest], "all")
    refusal = planning.refusal(row("multi", part.digest))
    [reason] = refusal.reasons
    assert reason == f"the index {index} (multi:all) of multi names {part.digest}, and would be broken"
    assert "remove the index too" in refusal.do


def test_a_part_of_an_index_may_go_together_with_it(planning: Planning) -> None:
    part = planning.storage.image("multi", "part")
    index = planning.storage.index("multi", [part.digest], "all")
    plan = planning.plan(Remove(keys=(Key("multi", part.digest, None), Key("multi", index, None))))
    assert moved(plan)[-2:] == [revision("multi", index), revision("multi", part.digest)]


def test_a_named_part_of_an_index_loses_its_name_and_stays(planning: Planning) -> None:
    part = planning.storage.image("multi", "part")
    index = planning.storage.index("multi", [part.digest], "all")
    plan = planning.plan(planning.remove("multi:part"))
    assert moved(plan) == [tag("multi", "part")]
    assert f"keep image {part.digest}: the index {index} names it" in said(plan)


def test_signatures_go_with_what_they_sign(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    signature = planning.storage.image("app", layers=[b"signature"], subject=image.digest)
    plan = planning.plan(planning.remove("app:v1"))
    assert moved(plan) == [tag("app", "v1"), revision("app", signature.digest), revision("app", image.digest)]
    assert f"remove image {signature.digest}: belongs to {image.digest}, which goes" in said(plan)


def test_the_list_of_signatures_goes_with_what_they_sign(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    signature = planning.storage.image("app", layers=[b"signature"], subject=image.digest)
    listing = planning.storage.index("app", [signature.digest], image.digest.replace(":", "-"))
    plan = planning.plan(planning.remove("app:v1"))
    assert moved(plan) == [
        tag("app", image.digest.replace(":", "-")),
        tag("app", "v1"),
        revision("app", listing),
        revision("app", signature.digest),
        revision("app", image.digest),
    ]
    planning.do(plan.intent)
    assert planning.damage() == []


def test_what_a_tagged_signature_belongs_to_stays(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    signature = planning.storage.image("app", "signed", layers=[b"signature"], subject=image.digest)
    plan = planning.plan(planning.remove("app:v1"))
    assert moved(plan) == [tag("app", "v1")]
    assert f"keep image {image.digest}: {signature.digest} belongs to it, and stays" in said(plan)
    forced = planning.plan(row("app", image.digest))
    assert f"note image {signature.digest}: belongs to {image.digest}, which goes" in said(forced)


def test_a_signature_that_loses_its_name_stays_with_what_it_signs(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    signature = planning.storage.image("app", "signed", layers=[b"signature"], subject=image.digest)
    plan = planning.plan(planning.remove("app:signed"))
    assert f"keep image {signature.digest}: it belongs to {image.digest}, which stays" in said(plan)


def test_indexes_in_a_circle_can_be_removed(planning: Planning) -> None:
    part = planning.storage.image("app", cmd="x")
    inner = planning.storage.index("app", [part.digest])
    outer = planning.storage.index("app", [inner], "all")
    plan = planning.plan(planning.remove("app:all"))
    assert set(moved(plan)[1:]) == {revision("app", digest) for digest in (part.digest, inner, outer)}


def test_damaged_rows_can_be_removed(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    planning.storage.image("app", "good", cmd="good")
    planning.storage.blob_path(image.digest).write_bytes(b"")
    planning.storage.put(planning.storage.tag_path("app", "broken"), "")
    planning.storage.put(planning.storage.revision_path("app", image.digest), "")
    planning.do(planning.remove("app:v1", "app:broken"))
    assert planning.names() == {"app:good"}
    [(rule, path)] = planning.damage()  # the empty blob, which a clean removes
    assert (rule, path) == ("RG01", planning.storage.relative(planning.storage.blob_path(image.digest)))


def test_a_tag_to_nothing_is_only_a_name(planning: Planning) -> None:
    planning.storage.image("app", "good")
    planning.storage.tag("app", "lost", "sha256:" + "1" * 64)
    assert moved(planning.plan(planning.remove("app:lost"))) == [tag("app", "lost")]


def test_a_row_that_is_not_there_is_not_found(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    with pytest.raises(NotFound):
        planning.ask(row("other", image.digest))
    with pytest.raises(NotFound):
        planning.ask(row("app", "sha256:" + "1" * 64))
    with pytest.raises(NotFound, match="does not mean"):
        planning.ask(Remove(keys=(Key("app", "sha256:" + "1" * 64, "app:v1"),)))


def test_many_images_at_once_are_weighty(planning: Planning) -> None:
    planning.storage.image("app", "keep", cmd="keep")
    images = [planning.storage.image("app", f"v{number}", cmd=str(number)) for number in range(21)]
    keys = tuple(Key("app", image.digest, None) for image in images)
    assert planning.plan(Remove(keys=keys)).weighty
    assert not planning.plan(Remove(keys=keys[:20])).weighty


# --- repositories ---------------------------------------------------------------


def test_a_repository_goes_whole_where_nothing_is_nested_below_it(planning: Planning) -> None:
    planning.storage.image("team/app", "v1")
    planning.storage.image("team/other", "v1", cmd="other")
    plan = planning.plan(RemoveRepository(names=("team/app",)))
    assert moved(plan) == ["repositories/team/app"]
    assert plan.weighty
    planning.do(plan.intent)
    assert planning.names() == {"team/other:v1"}
    assert planning.damage() == []


def test_repositories_below_one_that_goes_stay(planning: Planning) -> None:
    planning.storage.image("team", "v1")
    planning.storage.image("team/app", "v1", cmd="app")
    (planning.storage.repository_path("team") / "_uploads").mkdir()
    plan = planning.plan(RemoveRepository(names=("team",)))
    assert moved(plan) == [f"repositories/team/{part}" for part in ("_manifests", "_layers", "_uploads")]
    assert "keep 1 repository: team/app, nested below team" in said(plan)
    planning.do(plan.intent)
    assert planning.names() == {"team/app:v1"}
    assert planning.damage() == []


def test_a_repository_and_those_below_it_go_together(planning: Planning) -> None:
    planning.storage.image("team", "v1")
    planning.storage.image("team/app", "v1", cmd="app")
    planning.do(RemoveRepository(names=("team", "team/app")))
    assert planning.names() == set()
    planning.undo()
    assert planning.names() == {"team:v1", "team/app:v1"}


def test_a_folder_that_is_no_repository_is_not_found(planning: Planning) -> None:
    planning.storage.image("team/app", "v1")
    with pytest.raises(NotFound):
        planning.ask(RemoveRepository(names=("team",)))
