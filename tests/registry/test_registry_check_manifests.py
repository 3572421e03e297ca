"""Damage to manifests and indexes: one finding each, and what is healthy stays quiet."""

import json
import os
import shutil
from pathlib import Path

import pytest

from orlop.finding import Repair, Severity
from orlop.records import Key
from tests.registry.judging import everything, findings, only, told
from tests.registry.making import FOREIGN_LAYER, Image, Storage


class Shop(Storage):
    """An index of two images in ``multi``, an image of its own in ``web``; ``multi`` and ``web`` share a layer."""

    children: list[Image]
    index_digest: str
    web: Image


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path / "registry")
    shop.children = [shop.image("multi", layers=[b"base", name]) for name in (b"amd64", b"arm64")]
    shop.index_digest = shop.index("multi", [child.digest for child in shop.children], "all")
    shop.web = shop.image("web", "1", layers=[b"base", b"web"])
    shop.age()
    return shop


def test_a_healthy_storage_has_no_findings(shop: Shop) -> None:
    assert findings(shop) == []


# --- bytes -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "unexpected end of JSON input"),
        (b'{"schemaVersion":2,', "unexpected end of JSON input"),
        (b"null", "unrecognized manifest schema version 0"),
        (b"{}", "unrecognized manifest schema version 0"),
        (b'{"schemaVersion":2,"mediaType":"x/y"}', "unrecognized manifest content type x/y"),
        (b"[1]", "json: cannot unmarshal array into Go value of type manifest.Versioned"),
        (b"\x1f\x8b\x08", "invalid character '\\x1f' looking for beginning of value"),
        (b"{" + b" " * (9 << 20) + b"}", "storage: read exceeds limit"),
        (b'{"schemaVersion":2,' + b" " * (5 << 20) + b'"mediaType":""}', "storage: read exceeds limit"),
    ],
    ids=["empty", "cut", "null", "nothing", "odd type", "list", "a layer", "9 MiB", "5 MiB"],
)
def test_a_manifest_that_the_registry_cannot_read_stops_collection(shop: Shop, content: bytes, says: str) -> None:
    path = shop.put(shop.blob_path(shop.web.digest), content)
    found = only(shop, "RG03", path)
    assert found.severity is Severity.BLOCKS
    wanted = f"failed to mark: filesystem: filesystem: failed to retrieve manifest for digest {shop.web.digest}: "
    assert wanted in found.engine_says
    assert says in found.engine_says
    assert (found.images, found.names) == ((shop.web.digest,), ("web:1",))


def test_a_manifest_of_fifty_megabytes_is_a_finding_and_the_rest_is_served(shop: Shop) -> None:
    path = shop.blob_path(shop.web.digest)
    with path.open("wb") as file:
        file.truncate(50_000_000)
    found = only(shop, "RG03", path)
    assert "50000000 bytes" in found.detail
    assert found.bytes == 50_000_000


def test_a_manifest_of_other_bytes_that_parses_is_served_under_the_wrong_digest(shop: Shop) -> None:
    path = shop.put(shop.blob_path(shop.web.digest), json.dumps(shop.web.document, indent=3).encode())
    found = only(shop, "RG02", path)
    assert (found.severity, found.repair) == (Severity.UNUSABLE, Repair.QUARANTINE)
    assert "hash to sha256:" in found.detail


def test_what_an_altered_manifest_names_is_neither_missing_nor_garbage(shop: Shop) -> None:
    document = {**shop.web.document, "layers": [{"mediaType": "x", "digest": "sha256:" + "ab" * 32, "size": 1}]}
    path = shop.put(shop.blob_path(shop.web.digest), json.dumps(document).encode())
    assert only(shop, "RG02", path).names == ("web:1",)


def test_a_manifest_without_a_revision_does_not_stop_collection(shop: Shop) -> None:
    shop.put(shop.blob_path(shop.web.digest), b"")
    shop.revision_path("web", shop.web.digest).unlink()
    assert {f.rule: f.severity for f in findings(shop)} == {"RG03": Severity.UNUSABLE, "RG10": Severity.UNUSABLE}


@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
def test_a_thing_in_the_place_of_a_manifest_is_named_and_not_opened(shop: Shop, kind: str) -> None:
    path = shop.blob_path(shop.web.digest)
    path.unlink()
    {"fifo": os.mkfifo, "link": lambda at: at.symlink_to("/etc/passwd"), "folder": Path.mkdir}[kind](path)
    found = only(shop, "RG03", path)
    assert f"a {kind} is in the place of its file" in found.detail
    assert found.severity is Severity.UNUSABLE


def test_a_missing_manifest_warns_of_what_collection_would_now_delete(shop: Shop) -> None:
    path = shop.blob_path(shop.web.digest)
    path.unlink()
    found = only(shop, "RG04", path)
    assert found.engine_says == "manifest unknown"
    assert found.names == ("web:1",)
    own = shop.blob_path(shop.web.config).stat().st_size + len(b"web")
    assert f"delete the 2 blobs of {own} bytes" in found.detail
    assert found.bytes == own


def test_a_manifest_missing_in_several_repositories_is_one_finding(shop: Shop) -> None:
    shop.image("mirror/web", "2", layers=[b"base", b"web"])
    shop.age()
    path = shop.blob_path(shop.web.digest)
    path.unlink()
    assert only(shop, "RG04", path).names == ("mirror/web:2", "web:1")


# --- indexes -----------------------------------------------------------------


def test_a_missing_child_blob_is_told_once_with_the_index_and_its_tags(shop: Shop) -> None:
    child = shop.children[0].digest
    path = shop.blob_path(child)
    path.unlink()
    found = only(shop, "RG04", path)
    assert (found.images, found.names) == ((child, shop.index_digest), ("multi:all",))


def test_a_child_that_lost_its_link_can_be_linked_again(shop: Shop) -> None:
    path = shop.revision_path("multi", shop.children[0].digest)
    shutil.rmtree(path.parent)
    found = only(shop, "RG06", path)
    assert (found.severity, found.repair, found.names) == (Severity.UNUSABLE, Repair.REBUILD, ("multi:all",))


def test_a_child_that_was_deleted_over_the_api_is_missing(shop: Shop) -> None:
    path = shop.revision_path("multi", shop.children[0].digest)
    path.unlink()
    shop.blob_path(shop.children[0].digest).unlink()
    found = next(f for f in findings(shop) if f.rule == "RG06")
    assert (found.path, found.severity, found.repair) == (shop.relative(path), Severity.UNUSABLE, Repair.QUARANTINE)


def test_what_delete_untagged_destroys_is_named(shop: Shop) -> None:
    """2.8 removes the revision and what only it needed, and leaves the manifest's own blob and the links."""
    child = shop.children[0]
    shutil.rmtree(shop.revision_path("multi", child.digest).parent)
    for digest in (child.config, child.layers[1]):
        shutil.rmtree(shop.blob_path(digest).parent)
    found = {(f.rule, f.path): f for f in findings(shop)}
    lost = [("RG05", shop.relative(shop.blob_path(digest))) for digest in (child.config, child.layers[1])]
    assert found.keys() == {("RG06", shop.relative(shop.revision_path("multi", child.digest))), *lost}
    assert all(f.names == ("multi:all",) for f in found.values())


def test_an_index_whose_images_left_only_links_is_damaged(shop: Shop) -> None:
    child = shop.children[0]
    shutil.rmtree(shop.revision_path("multi", child.digest).parent)
    for digest in (child.digest, child.config, child.layers[1]):
        shutil.rmtree(shop.blob_path(digest).parent)
    found = [f for f in findings(shop) if f.severity.is_damage]
    assert [(f.rule, f.path) for f in found] == [("RG06", shop.relative(shop.revision_path("multi", child.digest)))]
    assert "layers that are gone" in found[0].detail


def test_an_index_none_of_whose_images_is_there_is_damaged(shop: Shop) -> None:
    index = shop.index("sparse", ["sha256:" + "aa" * 32, "sha256:" + "bb" * 32], "1")
    shop.age()
    found = findings(shop)
    assert [(f.rule, f.severity, f.images) for f in found] == [("RG06", Severity.UNUSABLE, (index,))] * 2


def test_an_index_pushed_for_some_platforms_only_is_information(shop: Shop) -> None:
    child = shop.image("sparse", layers=[b"base"])
    shop.index("sparse", [child.digest, "sha256:" + "aa" * 32, "sha256:" + "bb" * 32], "1")
    shop.age()
    assert findings(shop) == []
    (found,) = told(shop, "RG06")
    assert (found.title, found.severity, found.repair) == ("index-sparse", Severity.INFORMATION, None)
    assert "2 manifests" in found.detail


def test_children_without_a_tag_are_told_once_for_a_repository(shop: Shop) -> None:
    (found,) = told(shop, "RG07")
    assert set(found.images) == {shop.index_digest, *(child.digest for child in shop.children)}
    assert "2 manifests of multi have no tag" in found.detail
    assert found.repair is None


def test_an_index_of_indexes_reaches_up_to_the_tag(shop: Shop) -> None:
    top = shop.index("multi", [shop.index_digest], "top")
    shop.age()
    path = shop.blob_path(shop.children[1].config)
    path.unlink()
    found = only(shop, "RG05", path)
    assert set(found.images) == {shop.children[1].digest, shop.index_digest, top}
    assert found.names == ("multi:all", "multi:top")


def test_indexes_that_name_each_other_end(shop: Shop) -> None:
    """Only altered bytes can do so."""
    one, two = shop.index("loop", ["sha256:" + "aa" * 32], "1"), shop.index("loop", ["sha256:" + "bb" * 32], "2")
    for here, there in ((one, two), (two, one)):
        content = {"schemaVersion": 2, "manifests": [{"digest": there, "size": 1}]}
        shop.put(shop.blob_path(here), json.dumps(content))
    shop.age()
    found = findings(shop)
    assert {(f.rule, f.path) for f in found} == {("RG02", shop.relative(shop.blob_path(d))) for d in (one, two)}


# --- without a tag -----------------------------------------------------------


def test_a_manifest_without_a_tag_tells_what_it_was_and_what_it_holds(shop: Shop) -> None:
    shop.image("web", "1", layers=[b"base", b"newer"])
    shop.age()
    path = shop.revision_path("web", shop.web.digest)
    found = only(shop, "RG13", path)
    assert (found.severity, found.repair) == (Severity.SPACE, Repair.REMOVE)
    assert "it once was web:1" in found.detail
    own = [shop.web.digest, shop.web.config, shop.web.layers[1]]
    assert found.bytes == sum(shop.blob_path(digest).stat().st_size for digest in own)


def test_the_bytes_of_an_index_without_a_tag_are_those_of_its_images_too(shop: Shop) -> None:
    shutil.rmtree(shop.tag_path("multi", "all").parents[1])
    found = only(shop, "RG13", shop.revision_path("multi", shop.index_digest))
    own = [shop.index_digest]
    for child in shop.children:
        own += [child.digest, child.config, child.layers[1]]
    assert found.bytes == sum(shop.blob_path(digest).stat().st_size for digest in own)


def test_what_belongs_to_another_manifest_is_kept(shop: Shop) -> None:
    signature = shop.image("web", layers=[b"signature"], subject=shop.web.digest)
    shop.age()
    assert findings(shop) == []
    (found,) = told(shop, "RG19")
    assert found.images == (signature.digest,)


def test_beside_a_damaged_tag_an_untagged_manifest_is_information(shop: Shop) -> None:
    path = shop.put(shop.tag_path("web", "1"), b"")
    only(shop, "RG08", path)
    (found,) = told(shop, "RG13")
    assert "a damaged tag of this repository may mean it" in found.detail


# --- healthy oddities ----------------------------------------------------------


def test_schema_1_and_the_signatures_of_early_registries_are_healthy(shop: Shop) -> None:
    layer = shop.layer("early", b"gzip of nothing")
    document = {
        "schemaVersion": 1,
        "name": "early",
        "tag": "1",
        "architecture": "amd64",
        "fsLayers": [{"blobSum": layer}, {"blobSum": layer}],
        "history": [{"v1Compatibility": "{}"}, {"v1Compatibility": "{}"}],
    }
    digest = shop.manifest("early", document, "1")
    signature = shop.blob(b"a signature")
    path = shop.revision_path("early", digest).parent / "signatures" / signature.replace(":", "/") / "link"
    shop.put(path, signature)
    tarsum = shop.repository_path("early") / "_layers/tarsum/v1/sha256" / ("cd" * 32) / "link"
    shop.put(tarsum, layer)
    shop.age()
    assert [f for f in findings(shop) if f.severity.is_damage] == []


def test_layers_that_lie_elsewhere_by_design_may_be_missing(shop: Shop) -> None:
    away = {"mediaType": FOREIGN_LAYER, "digest": "sha256:" + "cd" * 32, "size": 9, "urls": ["https://example.com/x"]}
    shop.manifest("windows", {**shop.web.document, "layers": [away]}, "1")
    config = json.loads(json.dumps(shop.web.document["config"]))["digest"]
    shop.put(shop.layer_path("windows", config), config)
    shop.age()
    assert findings(shop) == []


def test_a_manifest_deleted_over_the_api_leaves_no_damage(shop: Shop) -> None:
    shop.revision_path("web", shop.web.digest).unlink()
    shutil.rmtree(shop.tag_path("web", "1").parents[1])
    assert [f for f in findings(shop) if f.severity.is_damage] == []


def test_a_check_of_an_index_tells_what_is_wrong_with_its_images(shop: Shop) -> None:
    shop.blob_path(shop.children[0].config).unlink()
    keys = [Key("multi", shop.index_digest, "multi:all")]
    assert [f.rule for f in everything(shop, keys) if f.severity.is_damage] == ["RG05"]
    assert [f.rule for f in findings(shop, [Key("web", shop.web.digest, "web:1")])] == []
