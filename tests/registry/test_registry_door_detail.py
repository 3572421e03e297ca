"""One manifest whole, the further panes, finding by name or digest, and why a thing is there."""

import contextlib
from collections.abc import Iterator

import pytest

from orlop.errors import Ambiguous, NotFound
from orlop.fs import Root
from orlop.records import Absent, Detail, Facet, Fact, Key, Mapping, Remote, Upload
from orlop.registry.door import RegistryStore
from tests.registry.pushing import V2, Made, Registry

UUID = "0a1b2c3d-0000-4000-8000-00000000000a"


@contextlib.contextmanager
def opened(registry: Registry) -> Iterator[RegistryStore]:
    store = RegistryStore(Root.open(str(registry.path)), V2)
    try:
        yield store
    finally:
        store.close()


def detail(registry: Registry, key: Key) -> Detail:
    with opened(registry) as store:
        return store.detail(key)


def of(repository: str, made: Made, tag: str | None = None) -> Key:
    return Key(repository, made.digest, None if tag is None else f"{repository}:{tag}")


def section(found: Detail, title: str) -> tuple[Fact, ...]:
    return next((part.facts for part in found.sections if part.title == title), ())


# --- detail -----------------------------------------------------------------------


def test_an_image_has_its_documents_byte_for_byte(registry: Registry) -> None:
    made = registry.image("app", "v1", "v2")
    found = detail(registry, of("app", made, "v1"))
    assert found.row is not None
    assert found.names == ("app:v1", "app:v2")
    assert found.config_raw == registry.blob_path(made.config).read_bytes()
    assert found.config["architecture"] == "amd64"
    (document,) = found.documents
    assert document.title == "manifest"
    assert document.raw == registry.blob_path(made.digest).read_bytes()
    assert document.media_type == made.media_type
    assert document.path == str(registry.blob_path(made.digest).relative_to(registry.path))
    assert not found.problems


def test_history_is_joined_to_the_layers_that_it_made(registry: Registry) -> None:
    made = registry.image("app", "v1", layers=(b"one", b"two"))
    other = registry.image("other", "v1", layers=(b"one",))
    found = detail(registry, of("app", made, "v1"))
    assert [(entry.created_by, entry.layer) for entry in found.history] == [
        ("layer 0", 0),
        ("layer 1", 1),
        ("CMD", None),
    ]
    assert [(layer.digest, layer.diff_id, layer.size) for layer in found.layers] == [
        (made.layers[0], made.diff_ids[0], 3),
        (made.layers[1], made.diff_ids[1], 3),
    ]
    assert found.layers[0].shared_with == (other.digest,)
    assert found.layers[1].shared_with == ()
    assert found.layers[0].data_path is not None
    assert (registry.path / found.layers[0].data_path).read_bytes() == b"one"


def test_schema_1_has_a_history_oldest_first(registry: Registry) -> None:
    made = registry.schema_1("old", "v1")
    found = detail(registry, of("old", made, "v1"))
    assert [(entry.comment, entry.layer) for entry in found.history] == [("number 0", 0), ("number 1", 1)]
    assert [layer.digest for layer in found.layers] == list(made.layers)
    assert found.config_raw is None


def test_an_index_lists_its_platforms_and_each_leads_to_its_row(registry: Registry) -> None:
    amd = registry.image("app", "amd64")
    arm = registry.image("app", architecture="arm64")
    index = registry.index("app", "v1", children=[amd, arm])
    found = detail(registry, of("app", index, "v1"))
    assert found.children == (amd.digest, arm.digest)
    assert [(fact.name, fact.value, fact.leads_to) for fact in section(found, "Platforms")] == [
        ("linux/amd64", amd.digest, of("app", amd, "amd64")),
        ("linux/arm64", arm.digest, of("app", arm)),
    ]
    below = detail(registry, of("app", arm))
    assert [fact.leads_to for fact in section(below, "Named by indexes")] == [of("app", index, "v1")]


def test_a_platform_that_is_missing_is_a_problem(registry: Registry) -> None:
    child = registry.image("app")
    index = registry.index("app", "v1", children=[child])
    registry.blob_path(child.digest).unlink()
    registry.revision_link("app", child.digest).unlink()
    found = detail(registry, of("app", index, "v1"))
    (fact,) = section(found, "Platforms")
    assert fact.problem
    assert fact.leads_to is None
    assert any("linux/amd64" in problem for problem in found.problems)


def test_referrers_and_their_subject_lead_to_each_other(registry: Registry) -> None:
    made = registry.image("app", "v1")
    sbom = registry.artifact("app", subject=made)
    found = detail(registry, of("app", made, "v1"))
    (fact,) = section(found, "Referrers")
    assert (fact.name, fact.leads_to) == ("application/vnd.example.sbom", of("app", sbom))
    (fact,) = section(detail(registry, of("app", sbom)), "Belongs to")
    assert fact.leads_to == of("app", made, "v1")


def test_annotations_are_shown_as_they_are(registry: Registry) -> None:
    made = registry.image("app", "v1", annotations={"org.example/\x1b[31m": "red", "b": ""})
    facts = section(detail(registry, of("app", made, "v1")), "Annotations")
    assert [(fact.name, fact.value) for fact in facts] == [("org.example/\x1b[31m", "red"), ("b", "")]


def test_a_tag_tells_what_it_meant_and_a_manifest_who_meant_it(registry: Registry) -> None:
    old = registry.image("app", "v1", layers=(b"old",))
    new = registry.image("app", "v1", layers=(b"new",))
    found = detail(registry, of("app", new, "v1"))
    assert {fact.value for fact in section(found, "Tag history")} == {old.digest, new.digest}
    (once,) = section(detail(registry, of("app", old)), "Once meant by")
    assert once.leads_to == of("app", new, "v1")


def test_where_blobs_are_linked_is_told(registry: Registry) -> None:
    made = registry.image("app", "v1", layers=(b"base",))
    registry.image("copy", "v1", layers=(b"base",))
    registry.layer_link("app", made.config).unlink()
    registry.layer_link("copy", made.config).unlink()
    facts = {fact.name: fact for fact in section(detail(registry, of("app", made, "v1")), "Linked in")}
    assert facts["manifest"].value == "app, copy"
    assert facts["config"].problem
    assert facts[f"layer {made.layers[0][7:19]}"].value == "app, copy"


def test_problems_name_their_files(registry: Registry) -> None:
    made = registry.image("app", "v1")
    registry.blob_path(made.layers[0]).unlink()
    registry.layer_link("app", made.layers[1]).write_bytes(b"")
    registry.revision_link("app", made.digest).unlink()
    found = detail(registry, of("app", made, "v1"))
    assert len(found.problems) == 3
    for problem, words in zip(found.problems, ("no link to", "missing", "the link is empty"), strict=True):
        assert words in problem
        assert problem.startswith(f"{V2}/")


def test_a_tag_that_means_nothing_is_shown(registry: Registry) -> None:
    registry.image("app", "v1")
    registry.current_link("app", "v1").write_bytes(b"")
    found = detail(registry, Key("app", "", "app:v1"))
    assert found.row is not None
    assert found.problems == (f"{V2}/repositories/app/_manifests/tags/v1/current/link: the link is empty",)
    assert section(found, "Tag history")


def test_a_manifest_that_is_no_json_is_shown_raw(registry: Registry) -> None:
    made = registry.image("app", "v1")
    registry.blob_path(made.digest).write_bytes(b"\x1f\x8b")
    found = detail(registry, of("app", made, "v1"))
    assert found.documents[0].raw == b"\x1f\x8b"
    assert found.problems


def test_what_is_not_there_is_not_found(registry: Registry) -> None:
    made = registry.image("app", "v1")
    with opened(registry) as store:
        for key in (Key("no", made.digest, None), Key("app", "sha256:" + "0" * 64, None), Key("app", "", None)):
            with pytest.raises(NotFound):
                store.detail(key)


def test_a_row_whose_manifest_went_gives_what_remains(registry: Registry) -> None:
    made = registry.image("app", "v1")
    with opened(registry) as store:
        registry.blob_path(made.digest).unlink()
        registry.blob_path(made.config).unlink()
        found = store.detail(of("app", made, "v1"))
    assert found.documents[0].raw is None
    assert found.config == {}
    assert len(found.layers) == 2


# --- panes ------------------------------------------------------------------------


def mappings(registry: Registry, key: Key | None) -> list[Mapping]:
    with opened(registry) as store:
        found = store.facet(Facet.MAPPINGS, key)
    assert not isinstance(found, Absent)
    return [record for record in found if isinstance(record, Mapping)]


def remotes(registry: Registry, key: Key | None) -> list[Remote]:
    with opened(registry) as store:
        found = store.facet(Facet.REMOTES, key)
    assert not isinstance(found, Absent)
    return [record for record in found if isinstance(record, Remote)]


def uploads(registry: Registry, key: Key | None) -> list[Upload]:
    with opened(registry) as store:
        found = store.facet(Facet.UPLOADS, key)
    assert not isinstance(found, Absent)
    return [record for record in found if isinstance(record, Upload)]


def test_diff_ids_are_paired_with_layers_for_every_repository_that_links_them(registry: Registry) -> None:
    made = registry.image("app", "v1", layers=(b"base", b"top"))
    registry.image("copy", "v1", layers=(b"base",))
    found = mappings(registry, of("app", made, "v1"))
    assert [(record.diff_id, record.digest, record.source) for record in found] == [
        (made.diff_ids[0], made.layers[0], "app"),
        (made.diff_ids[0], made.layers[0], "copy"),
        (made.diff_ids[1], made.layers[1], "app"),
    ]
    assert not any(record.stale for record in found)
    assert all((registry.path / record.path).read_text() == record.digest for record in found)


def test_a_pair_without_a_blob_or_link_is_stale_and_says_why(registry: Registry) -> None:
    made = registry.image("app", "v1")
    registry.blob_path(made.layers[0]).unlink()
    registry.layer_link("app", made.layers[1]).unlink()
    first, second = mappings(registry, of("app", made, "v1"))
    assert (first.stale, first.layer_known, first.reason) == (True, False, "the blob is missing")
    assert (second.stale, second.source) == (True, "")
    assert "no repository links" in second.reason


def test_counts_that_differ_are_said(registry: Registry) -> None:
    made = registry.image("app", "v1", layers=(b"a", b"b"), diff_ids=["sha256:" + "d" * 64])
    found = mappings(registry, of("app", made, "v1"))
    assert [record.diff_id for record in found] == ["sha256:" + "d" * 64, ""]
    assert "1 diff ids, and the manifest 2 layers" in found[0].reason


def test_one_blob_under_two_diff_ids_is_said(registry: Registry) -> None:
    registry.image("app", "v1", layers=(b"a",), diff_ids=["sha256:" + "d" * 64])
    registry.image("app", "v2", layers=(b"a",), diff_ids=["sha256:" + "e" * 64])
    found = mappings(registry, None)
    assert len(found) == 2
    assert all(record.stale and record.reverse is None for record in found)


def test_an_index_has_the_pairs_of_its_images(registry: Registry) -> None:
    amd = registry.image("app", layers=(b"base", b"amd"))
    arm = registry.image("app", layers=(b"base", b"arm"))
    index = registry.index("app", "v1", children=[amd, arm])
    found = mappings(registry, of("app", index, "v1"))
    assert [record.digest for record in found] == [*amd.layers, arm.layers[1]]
    assert found[0].images == (amd.digest, arm.digest)


def test_artifacts_have_no_pairs(registry: Registry) -> None:
    made = registry.artifact("app", "v1")
    assert mappings(registry, of("app", made, "v1")) == []


def test_other_repositories_that_know_a_manifest_are_remote_records(registry: Registry) -> None:
    made = registry.image("app", "v1", "v2")
    registry.image("copy", "latest")
    registry.image("bare")
    found = remotes(registry, of("app", made, "v1"))
    assert [(record.kind, record.reference, record.image) for record in found] == [
        ("same registry", f"bare@{made.digest}", made.digest),
        ("same registry", "copy:latest", made.digest),
    ]
    assert remotes(registry, None) == []


def test_entries_of_a_cache_have_their_expiry(registry: Registry) -> None:
    made = registry.image("app", "v1")
    gone = "sha256:" + "0" * 64
    registry.cache(
        {
            f"app@{made.digest}": ("2999-01-01T00:00:00Z", True),
            f"app@{made.layers[0]}": ("2020-01-01T00:00:00Z", False),
            f"other@{gone}": ("2999-01-01T00:00:00Z", True),
        }
    )
    everything = {record.reference: record for record in remotes(registry, None)}
    assert everything[f"app@{made.digest}"].fresh
    assert everything[f"app@{made.layers[0]}"].fresh is False
    assert everything[f"other@{gone}"].trouble
    assert not everything[f"app@{made.digest}"].trouble
    found = remotes(registry, of("app", made, "v1"))
    assert sorted(record.reference for record in found) == sorted([f"app@{made.digest}", f"app@{made.layers[0]}"])


def test_uploads_are_listed_for_one_repository_and_for_all(registry: Registry) -> None:
    made = registry.image("app", "v1")
    registry.upload("app", UUID, b"12345")
    registry.upload("other", "odd name", None, "")
    one, two = uploads(registry, None)
    assert (one.repository, one.id, one.bytes, one.problem) == ("app", UUID, 5, "")
    assert (two.repository, two.started) == ("other", None)
    assert "no UUID" in two.problem
    assert uploads(registry, of("app", made, "v1")) == [one]


# --- finding ----------------------------------------------------------------------


def test_a_row_is_found_by_name_digest_and_prefix(registry: Registry) -> None:
    made = registry.image("team/app", "v1")
    registry.image("z/copy", "v1")
    with opened(registry) as store:
        assert store.find("team/app:v1") == (of("team/app", made, "v1"),)
        for text in (made.digest, made.digest[7:], made.digest[7:19], f"team/app@{made.digest}"):
            assert store.find(text) == (of("team/app", made),)
        assert store.find(f"z/copy@{made.digest[:20]}") == (of("z/copy", made),)
        assert store.find(f"z/copy@{made.digest[7:12]}") == (of("z/copy", made),)


def test_a_repository_alone_means_its_latest(registry: Registry) -> None:
    made = registry.image("app", "latest")
    with opened(registry) as store:
        assert store.find("app") == (of("app", made, "latest"),)


def test_a_tag_that_means_nothing_is_found(registry: Registry) -> None:
    registry.image("app", "v1")
    registry.current_link("app", "v1").unlink()
    with opened(registry) as store:
        assert store.find("app:v1") == (Key("app", "", "app:v1"),)


def test_names_with_colons_are_found(registry: Registry) -> None:
    made = registry.image("app", "a:b")
    with opened(registry) as store:
        assert store.find("app:a:b") == (of("app", made, "a:b"),)


def test_a_start_of_several_digests_is_ambiguous(registry: Registry) -> None:
    digests = [registry.image("app", layers=(str(number).encode(),)).digest for number in range(20)]
    starts = [digest[7:8] for digest in digests]
    start = next(letter for letter in starts if starts.count(letter) > 1)
    with opened(registry) as store, pytest.raises(Ambiguous) as caught:
        store.find(start)
    assert len(caught.value.candidates) == starts.count(start)


@pytest.mark.parametrize(
    "text", ["", ":", "@", "no", "app:no", "app@no", "no@sha256:00", "sha256:", "zz", "a\x00b", "md5:00"]
)
def test_what_is_not_there_cannot_be_found(registry: Registry, text: str) -> None:
    registry.image("app", "v1")
    with opened(registry) as store, pytest.raises((NotFound, Ambiguous)):
        store.find(text)


# --- why --------------------------------------------------------------------------


def chains(registry: Registry, subject: str) -> list[list[str]]:
    with opened(registry) as store:
        return [[link.what.split(" ")[0] for link in chain] for chain in store.why(subject).kept_by]


def test_a_layer_is_kept_by_a_tag_over_index_and_manifest(registry: Registry) -> None:
    child = registry.image("app", layers=(b"only here",))
    registry.index("app", "v1", children=[child])
    with opened(registry) as store:
        found = store.why(child.layers[0])
    assert found.is_a == ("layer",)
    assert [link.what.split(" ")[0] for link in found.kept_by[0]] == ["tag", "manifest", "manifest", "layer"]
    assert found.related["diff id"] == child.diff_ids[0]
    for link in found.kept_by[0]:
        assert link.path is not None
        assert (registry.path / link.path).is_file()


def test_a_diff_id_leads_to_its_layer(registry: Registry) -> None:
    made = registry.image("app", "v1")
    with opened(registry) as store:
        found = store.why(made.diff_ids[0])
    assert found.is_a == ("diff id of a layer",)
    assert found.related["layer"] == made.layers[0]
    assert found.kept_by


def test_a_referrer_is_kept_by_its_subject(registry: Registry) -> None:
    made = registry.image("app", "v1")
    sbom = registry.artifact("app", subject=made)
    assert chains(registry, sbom.digest) == [["tag", "manifest", "manifest"]]


def test_an_untagged_manifest_is_kept_by_its_link_alone(registry: Registry) -> None:
    made = registry.image("app")
    with opened(registry) as store:
        (chain,) = store.why(made.digest).kept_by
    assert "which has no tag" in chain[0].what


def test_a_blob_that_nothing_names_is_kept_by_nothing(registry: Registry) -> None:
    digest = registry.blob(b"nobody")
    with opened(registry) as store:
        found = store.why(digest[7:20])
    assert (found.subject, found.is_a, found.kept_by) == (digest, ("blob that no manifest names",), ())
    assert "nothing keeps it" in found.remark


def test_what_tags_once_meant_is_remembered(registry: Registry) -> None:
    old = registry.image("app", "v1", layers=(b"old",))
    registry.image("app", "v1", layers=(b"new",))
    registry.revision_link("app", old.digest).unlink()
    registry.blob_path(old.digest).unlink()
    with opened(registry) as store:
        assert "app:v1" in store.why(old.digest).remark


def test_paths_lead_to_what_lies_there(registry: Registry) -> None:
    made = registry.image("team/app", "v1")
    registry.upload("team/app", UUID)
    base = f"{V2}/repositories/team/app"
    with opened(registry) as store:
        assert store.why(base).is_a == ("repository",)
        assert store.why(f"{registry.path}/{base}/_manifests/tags/v1/current/link").subject == "team/app:v1"
        assert store.why(str(registry.blob_path(made.config))).subject == made.config
        assert store.why(str(registry.layer_link("team/app", made.layers[0]).parent)).subject == made.layers[0]
        assert store.why(str(registry.revision_link("team/app", made.digest))).subject == made.digest
        assert store.why(f"{base}/_uploads/{UUID}/data").subject == UUID
        assert store.why(UUID).is_a == ("upload in progress",)
        assert store.why("team/app").related["tags"] == "1"
        assert store.why(f"team/app@{made.digest[7:20]}").subject == made.digest


@pytest.mark.parametrize("text", ["", "x", "zz", "sha256:" + "0" * 64, f"{V2}/repositories/no", f"{V2}/blobs/none"])
def test_what_nobody_knows_is_not_found(registry: Registry, text: str) -> None:
    registry.image("app", "v1")
    with opened(registry) as store, pytest.raises(NotFound):
        store.why(text)


def test_indexes_that_name_each_other_in_many_ways_are_told_in_time(registry: Registry) -> None:
    names = [f"sha256:{number:064x}" for number in range(1, 13)]
    for here in names:
        children = [{"digest": other, "size": 1, "mediaType": "x"} for other in names if other != here]
        registry.write(registry.blob_path(here), str({"schemaVersion": 2, "manifests": children}).replace("'", '"'))
        registry.write(registry.revision_link("app", here), here)
    with opened(registry) as store:
        found = store.why(names[0])
    assert len(found.kept_by) == 20
    assert "more references" in found.remark
