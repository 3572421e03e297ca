"""Plans that clean: what nothing needs goes, and nothing else, whatever is damaged beside it."""

import datetime
import hashlib
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from orlop.errors import NotFound
from orlop.intent import Clean, DropUploads, Remove
from orlop.records import Key
from orlop.registry import cleaning
from tests.registry.making import DAY
from tests.registry.planned import Planning, moved, said

UUID = "020aa250-bad4-4b1b-9157-bf7cf295e949"
NOW = time.time_ns()
YESTERDAY = NOW - DAY * 1_000_000_000
CLEAN = Clean(before=YESTERDAY)
UNTAGGED = Clean(before=YESTERDAY, untagged=True)


@pytest.fixture
def planning(tmp_path: Path) -> Planning:
    return Planning(tmp_path / "registry")


def blob(digest: str) -> str:
    algorithm, _, hexadecimal = digest.partition(":")
    return f"blobs/{algorithm}/{hexadecimal[:2]}/{hexadecimal}"


def revision(repository: str, digest: str) -> str:
    return f"repositories/{repository}/_manifests/revisions/{digest.replace(':', '/')}"


def long_ago() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=30)


def test_a_store_in_order_has_nothing_to_clean(planning: Planning) -> None:
    parts = [planning.storage.image("multi", cmd=name) for name in ("one", "two")]
    planning.storage.index("multi", [part.digest for part in parts], "all")
    planning.storage.image("app", "v1")
    planning.storage.age()
    plan = planning.plan(UNTAGGED)
    assert plan.steps == ()
    assert plan.action == "clean: nothing to remove"


def test_a_blob_that_nothing_names_goes_with_its_folder_and_its_bytes_are_said(planning: Planning) -> None:
    planning.storage.image("app", "v1")
    orphan = planning.storage.blob(b"nobody needs this")
    planning.storage.age()
    plan = planning.plan(CLEAN)
    assert moved(plan) == [blob(orphan)]
    assert f"blob {orphan}: 17 bytes; no manifest needs it, and no repository links it" in said(plan)
    planning.do(plan.intent)
    assert planning.damage(content=True) == []
    planning.undo()
    assert planning.storage.blob_path(orphan).read_bytes() == b"nobody needs this"


def test_links_that_no_manifest_needs_go_before_their_blobs(planning: Planning) -> None:
    planning.storage.image("app", "v1")
    layer = planning.storage.layer("app", b"left over")
    planning.storage.age()
    plan = planning.plan(CLEAN)
    assert moved(plan) == [f"repositories/app/_layers/{layer.replace(':', '/')}", blob(layer)]
    assert "though app links it" in said(plan)
    planning.do(plan.intent)
    assert planning.plan(CLEAN).steps == ()


def test_a_link_goes_where_another_repository_needs_the_blob(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    planning.storage.image("other", "v1", layers=[b"else"])
    planning.storage.put(planning.storage.layer_path("other", image.layers[0]), image.layers[0])
    planning.storage.age()
    assert moved(planning.plan(CLEAN)) == [f"repositories/other/_layers/{image.layers[0].replace(':', '/')}"]


def test_what_is_new_stays(planning: Planning) -> None:
    planning.storage.image("app", "v1")
    old, linked = planning.storage.blob(b"old"), planning.storage.layer("app", b"linked anew")
    planning.storage.age()
    new = planning.storage.blob(b"new")
    os.utime(planning.storage.layer_path("app", linked))
    plan = planning.plan(CLEAN)
    assert moved(plan) == [blob(old)]
    assert "keep 2 blobs: 14 bytes that no manifest names" in said(plan)
    assert plan.bytes_kept == len(b"new") + len(b"linked anew")
    assert new not in said(plan)


def test_manifests_without_a_name_stay_unless_it_is_asked_for(planning: Planning) -> None:
    planning.storage.image("app", "v1")
    old = planning.storage.image("app", layers=[b"old layer"], cmd="old")
    planning.storage.age()
    assert planning.plan(CLEAN).steps == ()
    plan = planning.plan(UNTAGGED)
    assert moved(plan)[0] == revision("app", old.digest)
    assert set(moved(plan)[3:]) == {blob(old.digest), blob(old.config), blob(old.layers[0])}
    assert plan.images == (old.digest,)
    assert f"revision app@{old.digest}: no tag, index or subject keeps it" in said(plan)
    assert "only manifests that go need it" in said(plan)
    planning.do(plan.intent)
    assert planning.damage(content=True) == []


def test_parts_of_indexes_and_signatures_stay_for_as_long_as_what_they_belong_to(planning: Planning) -> None:
    parts = [planning.storage.image("multi", layers=[name.encode()], cmd=name) for name in ("one", "two")]
    index = planning.storage.index("multi", [part.digest for part in parts], "all")
    signature = planning.storage.image("multi", layers=[b"signature"], subject=index)
    planning.storage.age()
    assert planning.plan(UNTAGGED).steps == ()
    (planning.storage.tag_path("multi", "all")).unlink()
    (planning.storage.history_path("multi", "all", index)).unlink()
    planning.storage.image("multi", "other", cmd="other")
    planning.storage.age()
    gone = [path for path in moved(planning.plan(UNTAGGED)) if "/revisions/" in path]
    assert gone[0] == revision("multi", index)
    assert set(gone) == {revision("multi", digest) for digest in (index, signature.digest, *(p.digest for p in parts))}


def test_a_subject_stays_while_something_with_a_name_belongs_to_it(planning: Planning) -> None:
    image = planning.storage.image("app")
    planning.storage.image("app", "signed", layers=[b"signature"], subject=image.digest)
    planning.storage.age()
    assert planning.plan(UNTAGGED).steps == ()


def test_all_that_a_tag_ever_meant_stays_where_it_cannot_be_read(planning: Planning) -> None:
    old = planning.storage.image("app", "v1", cmd="old")
    planning.storage.image("app", "v1", cmd="new")
    planning.storage.put(planning.storage.tag_path("app", "v1"), "")
    planning.storage.age()
    assert revision("app", old.digest) not in moved(planning.plan(UNTAGGED))


def test_everything_that_a_repository_links_stays_while_one_of_its_manifests_cannot_be_read(planning: Planning) -> None:
    image = planning.storage.image("app", "v1", layers=[b"needed by what cannot be read"])
    orphan = planning.storage.blob(b"orphan")
    planning.storage.blob_path(image.digest).write_bytes(b"")
    planning.storage.age()
    plan = planning.plan(UNTAGGED)
    assert moved(plan) == [blob(orphan)]
    assert f"keep everything that app links: its manifest {image.digest} is empty" in said(plan)


@pytest.mark.parametrize("damage", [b"", b"{", b'{"schemaVersion": 2, "mediaType": "application/x"}', None])
@pytest.mark.parametrize("nested", [False, True])
def test_parts_of_an_index_that_cannot_be_read_stay_however_often_it_is_cleaned(
    planning: Planning, damage: bytes | None, nested: bool
) -> None:
    parts = [planning.storage.image("multi", layers=[name.encode()], cmd=name) for name in ("one", "two")]
    index = planning.storage.index("multi", [part.digest for part in parts], *(() if nested else ("all",)))
    if nested:
        planning.storage.index("multi", [index], "all")
    if damage is None:
        planning.storage.blob_path(index).unlink()
    else:
        planning.storage.blob_path(index).write_bytes(damage)
    planning.storage.age()
    for _ in range(2):
        plan = planning.plan(UNTAGGED)
        assert set(moved(plan)) <= {blob(index), blob(index).rpartition("/")[0]}
        assert "so what it needs cannot be known" in said(plan)
        planning.do(plan.intent)
        planning.storage.age()


def test_a_manifest_stays_while_it_is_known_under_the_digest_of_another_algorithm(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    content = planning.storage.blob_path(image.digest).read_bytes()
    alias = f"repositories/app/_manifests/revisions/sha512/{hashlib.sha512(content).hexdigest()}/link"
    planning.storage.tag_path("app", "v1").unlink()
    planning.storage.put(planning.path / "docker/registry/v2" / alias, image.digest)
    planning.storage.age()
    plan = planning.plan(UNTAGGED)
    assert revision("app", image.digest) not in moved(plan)
    assert blob(image.digest) not in moved(plan)


@pytest.mark.parametrize("damaged", [False, True])
def test_signatures_that_old_registries_keep_apart_stay(planning: Planning, damaged: bool) -> None:
    image = planning.storage.image("app", "v1")
    signature = planning.storage.blob(b"signature")
    folder = planning.storage.revision_path("app", image.digest).parent / "signatures"
    planning.storage.put(folder / signature.replace(":", "/") / "link", "" if damaged else signature)
    planning.storage.age()
    assert moved(planning.plan(UNTAGGED)) == []
    assert "RG14" not in {found.rule for found in planning.findings()}


def test_a_manifest_that_is_lost_keeps_its_layers_unlike_with_the_engine(planning: Planning) -> None:
    image = planning.storage.image("app", "v1", layers=[b"layer"])
    planning.storage.blob_path(image.digest).unlink()
    planning.storage.age()
    assert [path for path in moved(planning.plan(CLEAN)) if "data" not in path and image.layers[0][7:] in path] == []


def test_no_blob_goes_while_a_part_of_the_repositories_is_a_link_to_elsewhere(planning: Planning) -> None:
    planning.storage.image("app", "v1")
    orphan = planning.storage.blob(b"orphan")
    planning.storage.repository_path("elsewhere").symlink_to("/nowhere")
    planning.storage.age()
    plan = planning.plan(CLEAN)
    assert plan.steps == ()
    assert "keep every blob: " in said(plan)
    assert "elsewhere is a symbolic link, which a registry follows" in said(plan)
    assert orphan not in said(plan)


@pytest.mark.parametrize("part", ["_manifests/revisions/sha256/more", "_layers/sha256/more"])
def test_no_blob_goes_while_a_link_hides_what_a_repository_knows(planning: Planning, part: str) -> None:
    planning.storage.image("app", "v1")
    planning.storage.image("app", cmd="old")
    planning.storage.blob(b"orphan")
    (planning.storage.repository_path("app") / part).symlink_to("/nowhere")
    planning.storage.age()
    plan = planning.plan(UNTAGGED)
    assert plan.steps == ()
    assert "so what app needs cannot be known" in said(plan)


def test_no_blob_goes_while_the_folder_of_all_repositories_is_not_there(planning: Planning) -> None:
    planning.storage.image("app", "v1")
    planning.storage.age()
    repositories = planning.storage.repository_path("app").parent
    repositories.rename(planning.path / "elsewhere")
    plan = planning.plan(CLEAN)
    assert plan.steps == ()
    assert "repositories is not there, so what needs them cannot be known" in said(plan)


def test_a_tag_behind_a_link_keeps_the_manifests_of_its_repository_and_no_others(planning: Planning) -> None:
    planning.storage.image("app", "v1")
    planning.storage.image("app", cmd="old")
    orphan = planning.storage.blob(b"orphan")
    planning.storage.tag_path("app", "v2").parent.parent.symlink_to("v1")
    planning.storage.age()
    assert moved(planning.plan(UNTAGGED)) == [blob(orphan)]


def test_a_link_that_is_no_file_keeps_what_its_repository_links(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    layer = planning.storage.layer("app", b"left")
    orphan = planning.storage.blob(b"orphan")
    path = planning.storage.layer_path("app", image.layers[0])
    path.unlink()
    path.mkdir()
    planning.storage.age()
    plan = planning.plan(CLEAN)
    assert moved(plan) == [blob(orphan)]
    assert layer not in said(plan)


def test_a_clean_that_would_be_too_long_for_one_change_goes_on_with_the_next(
    planning: Planning, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaning, "MOST", 3)
    planning.storage.image("app", "v1")
    for number in range(4):
        planning.storage.layer("app", b"left %d" % number)
    planning.storage.age()
    rounds = []
    while (plan := planning.plan(CLEAN)).steps:
        rounds.append(len(plan.steps))
        assert ("one change removes 3 things at most" in said(plan)) == (len(plan.steps) == 3)
        planning.do(plan.intent)
        assert planning.damage() == []
        assert len(rounds) < 9
    assert rounds == [3, 3, 2]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_no_blob_goes_while_a_repository_cannot_be_read(planning: Planning) -> None:
    planning.storage.image("app", "v1")
    planning.storage.blob(b"orphan")
    planning.storage.age()
    folder = planning.storage.repository_path("app") / "_layers"
    folder.chmod(0)
    try:
        assert "keep every blob" in said(planning.plan(CLEAN))
    finally:
        folder.chmod(0o755)


def test_what_is_linked_stays_while_an_upload_is_in_progress(planning: Planning) -> None:
    planning.storage.image("app", "v1")
    layer = planning.storage.layer("app", b"for the push that goes on")
    planning.storage.age()
    planning.storage.upload("app", UUID, datetime.datetime.now(datetime.UTC))
    plan = planning.plan(CLEAN)
    assert plan.steps == ()
    assert f"keep everything that app links: the upload {UUID} is in progress" in said(plan)
    assert "keep 1 blob: 25 bytes" in said(plan)
    assert layer not in "".join(moved(plan))


def test_an_upload_that_was_given_up_keeps_nothing(planning: Planning) -> None:
    planning.storage.image("app", "v1")
    layer = planning.storage.layer("app", b"left")
    planning.storage.upload("app", UUID, long_ago())
    planning.storage.age()
    assert moved(planning.plan(CLEAN))[-1] == blob(layer)


def test_what_the_record_of_a_cache_names_stays(planning: Planning) -> None:
    planning.storage.image("app", "v1")
    layer = planning.storage.layer("app", b"cached")
    key = f"app@{layer}"
    record = {key: {"Key": key, "ExpiryData": "2026-12-01T00:00:00Z", "EntryType": 0}}
    planning.storage.put(planning.path / "scheduler-state.json", json.dumps(record))
    planning.storage.age()
    assert planning.plan(CLEAN).steps == ()
    planning.storage.put(planning.path / "scheduler-state.json", "")
    assert planning.plan(CLEAN).steps == ()


def test_empty_folders_and_what_cut_writes_left_go(planning: Planning) -> None:
    image = planning.storage.image("app", "v1")
    planning.storage.blob_path("sha256:" + "1" * 64).parent.mkdir(parents=True)
    beside = planning.storage.tag_path("app", "v1")
    left = planning.storage.put(beside.with_name(f"link.{UUID}.tmp"), image.digest)
    planning.storage.age()
    plan = planning.plan(CLEAN)
    assert moved(plan) == [
        blob("sha256:" + "1" * 64),
        planning.storage.relative(left).removeprefix("docker/registry/v2/"),
    ]
    assert plan.action == "clean: 1 empty folder, 1 piece of debris"


def test_a_repository_with_nothing_but_links_goes_and_one_nested_below_it_stays(planning: Planning) -> None:
    layer = planning.storage.layer("team", b"left")
    planning.storage.image("team/app", "v1")
    (planning.storage.repository_path("team") / "_uploads").mkdir()
    planning.storage.age()
    plan = planning.plan(CLEAN)
    assert moved(plan) == ["repositories/team/_layers", "repositories/team/_uploads", blob(layer)]
    assert "repository team: only 1 link to layers would be in it" in said(plan)
    planning.do(plan.intent)
    assert planning.names() == {"team/app:v1"}
    assert planning.damage(content=True) == []


def test_a_repository_goes_with_its_last_untagged_manifest(planning: Planning) -> None:
    image = planning.storage.image("old")
    planning.storage.age()
    plan = planning.plan(UNTAGGED)
    assert moved(plan)[0] == "repositories/old"
    assert plan.images == (image.digest,)
    planning.do(plan.intent)
    assert not list((planning.path / "docker/registry/v2/blobs/sha256").glob("*/*"))


def test_what_a_removal_said_is_what_the_next_clean_frees(planning: Planning) -> None:
    planning.storage.image("app", "v1", layers=[b"base", b"own layer"])
    image = planning.storage.image("app", "v2", layers=[b"base"], cmd="other")
    planning.storage.age()
    removal = planning.plan(planning.remove("app:v1"))
    [promise] = [reason for reason in removal.reasons if "orlop clean" in reason.because]
    planning.do(removal.intent)
    plan = planning.plan(CLEAN)
    freed = [reason for reason in plan.reasons if reason.verb == "blob"]
    assert promise.subject == f"{len(freed)} blobs"
    assert promise.because.startswith(f"{sum(int(reason.because.split()[0]) for reason in freed)} bytes")
    planning.do(plan.intent)
    assert planning.damage(content=True) == []
    assert planning.plan(Remove(keys=(Key("app", image.digest, "app:v2"),))).steps


# --- uploads ---------------------------------------------------------------------


def test_uploads_go_by_their_age(planning: Planning) -> None:
    planning.storage.upload("app", UUID, long_ago(), data=b"12345")
    planning.storage.age()
    young = UUID.replace("0", "1")
    planning.storage.upload("app", young, datetime.datetime.now(datetime.UTC))
    plan = planning.plan(DropUploads(before=YESTERDAY))
    assert moved(plan) == [f"repositories/app/_uploads/{UUID}"]
    assert plan.action == "remove 1 upload of 5 bytes"
    assert f"keep upload app/{young}: it was begun or written to since" in said(plan)


def test_an_upload_that_is_still_written_to_stays_however_long_ago_it_began(planning: Planning) -> None:
    planning.storage.upload("app", UUID, long_ago())
    assert planning.plan(DropUploads(before=YESTERDAY)).steps == ()


@pytest.mark.parametrize("started", ["", "nonsense", None, "2126-01-01T00:00:00Z"])
def test_an_upload_without_a_date_goes_by_the_time_of_its_files(planning: Planning, started: str | None) -> None:
    planning.storage.upload("app", UUID, started)
    assert planning.plan(DropUploads(before=YESTERDAY)).steps == ()
    planning.storage.age()
    assert len(planning.plan(DropUploads(before=YESTERDAY)).steps) == 1


def test_only_the_uploads_that_are_named_go(planning: Planning) -> None:
    other = UUID.replace("0", "1")
    for name in (UUID, other, "no-uuid"):
        planning.storage.upload("team/app", name, long_ago())
    planning.storage.age()
    plan = planning.plan(DropUploads(before=YESTERDAY, uploads=("team/app/no-uuid", f"team/app/{UUID}")))
    assert moved(plan) == [f"repositories/team/app/_uploads/{name}" for name in (UUID, "no-uuid")]
    every = planning.plan(DropUploads(before=YESTERDAY))
    assert len(every.steps) == 2
    assert "keep upload team/app/no-uuid: its name is no UUID" in said(every)


def test_a_named_upload_that_is_too_young_is_refused_and_one_that_is_gone_not_found(planning: Planning) -> None:
    planning.storage.upload("app", UUID, long_ago())
    [reason] = planning.refusal(DropUploads(before=YESTERDAY, uploads=(f"app/{UUID}",))).reasons
    assert reason.startswith(f"app/{UUID}: it was begun or written to since")
    with pytest.raises(NotFound):
        planning.ask(DropUploads(before=YESTERDAY, uploads=("app/other",)))


def test_a_blob_that_a_link_leads_to_stays_where_links_do(planning: Planning) -> None:
    planning.storage.image("app", "v1")
    loose = planning.storage.layer("app", b"no manifest names this")
    planning.storage.age()
    link = f"repositories/app/_layers/{loose.replace(':', '/')}"
    assert moved(planning.plan(replace(CLEAN, only=("blobs",)))) == []
    assert moved(planning.plan(replace(CLEAN, only=("links",)))) == [link]
    assert moved(planning.plan(replace(CLEAN, only=("blobs", "links")))) == [link, blob(loose)]
