"""Plans that repair: only what is there proves how, and what is damaged makes room for a push."""

import os
from pathlib import Path

import pytest

from orlop.errors import NotFound
from orlop.finding import Finding
from orlop.intent import Repair
from orlop.plan import Plan
from tests.registry.planned import Planning, moved, said, written

OTHER = "sha256:" + "1" * 64
UUID = "020aa250-bad4-4b1b-9157-bf7cf295e949"


@pytest.fixture
def planning(tmp_path: Path) -> Planning:
    return Planning(tmp_path / "registry")


def found(planning: Planning, rule: str, *, content: bool = False) -> Finding:
    [finding] = [f for f in planning.findings(content=content) if f.rule == rule]
    return finding


def repair(planning: Planning, rule: str, *, guess: bool = False, content: bool = False) -> Repair:
    return Repair(findings=(found(planning, rule, content=content).identity,), guess=guess)


def mended(planning: Planning, rule: str) -> Plan:
    """The plan for the only finding of a rule, done: nothing is damaged afterwards."""
    plan = planning.plan(repair(planning, rule))
    planning.do(plan.intent)
    assert planning.damage(content=True) == []
    return plan


def test_a_tag_is_read_back_from_its_history_where_only_one_is_known(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    planning.storage.put(planning.storage.history_path("app", "v1", OTHER), OTHER)
    planning.storage.put(planning.storage.tag_path("app", "v1"), "")
    plan = mended(planning, "RG08")
    assert f"repair app:v1: means {image.digest}, the only one of its history" in said(plan)
    assert planning.storage.tag_path("app", "v1").read_text() == image.digest


def test_a_tag_whose_file_is_gone_is_read_back_too(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    planning.storage.tag_path("app", "v1").unlink()
    mended(planning, "RG09")
    assert planning.storage.tag_path("app", "v1").read_text() == image.digest


def test_of_several_in_a_history_the_newest_is_taken_only_with_consent(planning: Planning) -> None:
    older = planning.storage.image("app", "v1", cmd="older")
    newer = planning.storage.image("app", "v1", cmd="newer")
    os.utime(planning.storage.history_path("app", "v1", older.digest), (1, 1))
    planning.storage.put(planning.storage.tag_path("app", "v1"), newer.digest + "\n")
    refusal = planning.refusal(repair(planning, "RG08"))
    assert "names 2 manifests, and only a guess could choose" in refusal.reasons[0]
    plan = planning.plan(repair(planning, "RG08", guess=True))
    assert f"means {newer.digest}, a guess: the newest of 2" in said(plan)
    planning.do(plan.intent)
    assert planning.storage.tag_path("app", "v1").read_text() == newer.digest


def test_a_tag_without_a_history_is_left(planning: Planning) -> None:
    planning.storage.image("app", "v1")
    planning.storage.put(planning.storage.tag_path("app", "lost"), "")
    [reason] = planning.refusal(repair(planning, "RG08", guess=True)).reasons
    assert "`orlop untag` drops the tag" in reason


def test_a_tag_to_a_damaged_manifest_is_left(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    planning.storage.put(planning.storage.tag_path("app", "v1"), "")
    planning.storage.blob_path(image.digest).write_bytes(b"{}")
    assert f"{image.digest} is malformed" in planning.refusal(repair(planning, "RG08")).reasons[0]


def test_the_link_of_a_history_is_written_again(planning: Planning) -> None:
    old = planning.storage.image("app", "v1", cmd="old")
    planning.storage.image("app", "v1", cmd="new")
    planning.storage.put(planning.storage.history_path("app", "v1", old.digest), "")
    mended(planning, "RG08")
    assert planning.storage.history_path("app", "v1", old.digest).read_text() == old.digest


@pytest.mark.parametrize("content", ["", "sha256:" + "1" * 64, "nonsense", "sha256:"])
def test_the_link_of_a_manifest_is_written_again_from_its_folders(planning: Planning, content: str) -> None:
    image = planning.storage.image("app", "v1")
    planning.storage.put(planning.storage.revision_path("app", image.digest), content)
    mended(planning, "RG11")
    assert planning.storage.revision_path("app", image.digest).read_text() == image.digest
    planning.undo()
    assert planning.storage.revision_path("app", image.digest).read_text() == content


def test_a_folder_in_the_place_of_a_link_moves_aside(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    path = planning.storage.revision_path("app", image.digest)
    path.unlink()
    path.mkdir()
    mended(planning, "RG11")
    assert path.read_text() == image.digest


def test_the_link_of_a_manifest_that_is_not_there_is_left(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    planning.storage.put(planning.storage.revision_path("app", image.digest), "")
    planning.storage.blob_path(image.digest).unlink()
    assert "is not in the store: push the images again" in planning.refusal(repair(planning, "RG11")).reasons[0]


def test_the_link_of_a_signature_of_early_registries_is_written_again(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    path = planning.storage.revision_path("app", image.digest).parent / "signatures" / OTHER.replace(":", "/") / "link"
    planning.storage.put(path, "")
    mended(planning, "RG11")
    assert path.read_text() == OTHER


def test_a_tag_gets_back_the_manifest_that_its_repository_forgot(planning: Planning) -> None:
    image = planning.storage.image("app", "v1", layers=[b"one", b"two"])
    planning.storage.revision_path("app", image.digest).unlink()
    planning.storage.layer_path("app", image.layers[1]).unlink()
    plan = mended(planning, "RG10")
    assert [path.split("/")[2] for path in written(plan)] == ["_layers", "_manifests"]


def test_an_index_gets_back_a_part_that_its_repository_forgot(planning: Planning) -> None:
    parts = [planning.storage.image("multi", cmd=name) for name in ("one", "two")]
    planning.storage.index("multi", [part.digest for part in parts], "all")
    planning.storage.revision_path("multi", parts[0].digest).unlink()
    plan = planning.plan(repair(planning, "RG06"))
    planning.do(plan.intent)
    assert planning.storage.revision_path("multi", parts[0].digest).read_text() == parts[0].digest
    assert planning.damage() == []


@pytest.mark.parametrize("content", ["", "sha256:" + "1" * 64, "x" * 5000])
def test_the_link_of_a_layer_is_written_again(planning: Planning, content: str) -> None:
    image = planning.storage.image("app", "v1")
    planning.storage.put(planning.storage.layer_path("app", image.layers[0]), content)
    mended(planning, "RG12")
    assert planning.storage.layer_path("app", image.layers[0]).read_text() == image.layers[0]


def test_links_that_are_missing_are_made_where_the_blob_is_true(planning: Planning) -> None:
    image = planning.storage.image("app", "v1", layers=[b"one", b"two"])
    planning.storage.layer_path("app", image.layers[0]).unlink()
    mended(planning, "RG12")
    for digest in (*image.layers, image.config):
        planning.storage.layer_path("app", digest).unlink()
        planning.storage.layer_path("app", digest).parent.rmdir()
    plan = mended(planning, "RG12")
    assert len(written(plan)) == 3


def test_a_link_is_not_made_to_bytes_that_are_something_else(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    planning.storage.put(planning.storage.layer_path("app", image.layers[0]), "")
    planning.storage.blob_path(image.layers[0]).write_bytes(b"other")
    assert "are not what its name says" in planning.refusal(repair(planning, "RG12")).reasons[0]


def test_a_bad_link_to_a_blob_that_is_gone_makes_room_for_a_push(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    planning.storage.put(planning.storage.layer_path("app", image.layers[0]), "")
    planning.storage.blob_path(image.layers[0]).unlink()
    plan = planning.plan(repair(planning, "RG12"))
    assert len(moved(plan)) == 1
    planning.do(plan.intent)
    assert [rule for rule, _ in planning.damage()] == ["RG05"]


@pytest.mark.parametrize("content", [b"", b"Layer", b"something longer than it was"])
def test_a_damaged_blob_makes_room_for_a_push_and_says_of_what(planning: Planning, content: bytes) -> None:
    image = planning.storage.image("app", "v1")
    planning.storage.image("app", "good", cmd="good", layers=[b"good"])
    planning.storage.blob_path(image.layers[0]).write_bytes(content)
    plan = planning.plan(repair(planning, "RG01", content=True))
    assert f"repair {image.layers[0]}: moved aside, its bytes are something else: push app:v1 again" in said(plan)
    assert image.digest in plan.images
    planning.do(plan.intent)
    assert not planning.storage.blob_path(image.layers[0]).parent.exists()
    assert [rule for rule, _ in planning.damage()] == ["RG05"]
    planning.undo()
    assert planning.storage.blob_path(image.layers[0]).read_bytes() == content


def test_a_damaged_manifest_makes_room_and_names_the_indexes_over_it(planning: Planning) -> None:
    part = planning.storage.image("multi", cmd="part")
    index = planning.storage.index("multi", [part.digest], "all")
    planning.storage.blob_path(part.digest).write_bytes(b"{")
    plan = planning.plan(repair(planning, "RG03"))
    assert set(plan.images) == {part.digest, index}
    assert "push multi:all again" in said(plan)
    planning.do(plan.intent)


def test_an_altered_manifest_makes_room(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    data = planning.storage.blob_path(image.digest).read_bytes()
    planning.storage.blob_path(image.digest).write_bytes(data + b"\n")
    planning.do(repair(planning, "RG02"))
    assert not planning.storage.blob_path(image.digest).exists()


def test_a_sound_layer_that_a_revision_takes_for_a_manifest_stays(planning: Planning) -> None:
    layer = planning.storage.layer("app", b"a layer")
    planning.storage.put(planning.storage.revision_path("app", layer), layer)
    [reason] = planning.refusal(repair(planning, "RG03")).reasons
    assert "its bytes are what was pushed" in reason


def test_foreign_entries_move_aside(planning: Planning) -> None:
    planning.storage.image("app", "v1")
    stray = planning.storage.put(planning.storage.path / "docker/registry/v2/blobs/sha256/zz/data", b"x")
    plan = mended(planning, "RG18")
    assert len(plan.steps) == 1
    assert not stray.exists()


def test_a_broken_record_of_a_cache_moves_aside(planning: Planning) -> None:
    planning.storage.put(planning.path / "scheduler-state.json", "")
    mended(planning, "RG21")


def test_what_cannot_be_put_right_is_left_and_the_rest_is_done(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    planning.storage.image("app", "v2", cmd="two")
    planning.storage.put(planning.storage.tag_path("app", "v1"), "")
    planning.storage.put(planning.storage.tag_path("app", "lost"), "")
    findings = tuple(f.identity for f in planning.findings() if f.rule == "RG08")
    plan = planning.plan(Repair(findings=findings))
    assert plan.action == "repair 1 finding"
    assert len(written(plan)) == 2
    assert "tags/lost/current/link: the history of app:lost names no manifest" in said(plan)
    planning.do(plan.intent)
    assert planning.storage.tag_path("app", "v1").read_text() == image.digest


def test_a_finding_that_is_not_or_no_longer_true_is_not_found(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    planning.storage.put(planning.storage.tag_path("app", "v1"), "")
    intent = repair(planning, "RG08")
    planning.do(intent)
    with pytest.raises(NotFound):
        planning.ask(intent)
    storage = planning.storage
    for rule, path in (
        ("RG01", storage.blob_path(image.layers[0])),
        ("RG01", storage.path / "elsewhere"),
        ("RG06", storage.revision_path("app", image.digest)),
        ("RG10", storage.revision_path("app", OTHER)),
        ("RG11", storage.revision_path("app", image.digest)),
        ("RG12", storage.layer_path("app", image.layers[0])),
        ("RG12", storage.layer_path("app", OTHER)),
        ("RG18", storage.path / "nothing"),
        ("RG21", storage.path / "scheduler-state.json"),
        ("XX99", storage.path / "nothing"),
    ):
        with pytest.raises(NotFound):
            planning.ask(Repair(findings=((rule, storage.relative(path), ""),)))


def test_findings_that_another_command_cures_say_which(planning: Planning) -> None:
    planning.storage.image("app", "v1")
    planning.storage.blob(b"orphan")
    planning.storage.age()
    assert "`orlop clean PATH` removes it" in planning.refusal(repair(planning, "RG14")).reasons[0]


def test_every_repair_that_a_check_offers_with_proof_is_done(planning: Planning) -> None:
    storage = planning.storage
    one = storage.image("one", "v1", layers=[b"one"], cmd="one")
    two = storage.image("two", "v1", layers=[b"two"], cmd="two")
    storage.put(storage.tag_path("one", "v1"), "")
    storage.put(storage.revision_path("one", one.digest), "")
    storage.put(storage.layer_path("one", one.layers[0]), "")
    storage.tag_path("two", "v1").unlink()
    storage.layer_path("two", two.config).unlink()
    three = storage.image("three", "v1", layers=[b"three"], cmd="three")
    storage.revision_path("three", three.digest).unlink()
    for _ in range(3):
        offered = tuple(f.identity for f in planning.findings() if f.repair is not None and f.repair.value == "A")
        if not offered:
            break
        planning.do(Repair(findings=offered))
    assert planning.damage(content=True) == []
    assert planning.names() == {"one:v1", "two:v1", "three:v1"}


def test_a_manifest_that_is_known_again_may_still_lack_a_layer(planning: Planning) -> None:
    image = planning.storage.image("app", "v1", layers=[b"one", b"two"])
    planning.storage.put(planning.storage.revision_path("app", image.digest), "")
    planning.storage.blob_path(image.layers[0]).unlink()
    planning.storage.layer_path("app", image.layers[1]).unlink()
    planning.storage.blob_path(image.layers[1]).write_bytes(b"TWO")
    planning.do(repair(planning, "RG11"))
    assert planning.storage.revision_path("app", image.digest).read_text() == image.digest
    assert {rule for rule, _ in planning.damage()} == {"RG05", "RG12"}


def test_an_index_that_is_known_again_may_still_lack_a_part(planning: Planning) -> None:
    part, lost = (planning.storage.image("multi", cmd=name) for name in ("one", "two"))
    index = planning.storage.index("multi", [part.digest, lost.digest], "all")
    planning.storage.revision_path("multi", index).unlink()
    planning.storage.revision_path("multi", lost.digest).unlink()
    planning.do(repair(planning, "RG10"))
    assert [rule for rule, _ in planning.damage()] == ["RG06"]
    planning.do(repair(planning, "RG06"))
    assert planning.damage() == []
