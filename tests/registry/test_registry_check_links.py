"""Damage to the links of a registry: one finding each, with the registry's words and whom it reaches."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from orlop.finding import Repair, Severity
from orlop.records import Key
from tests.registry.judging import everything, findings, only, told
from tests.registry.making import Image, Storage, digest_of

FORMAT = "invalid checksum digest format"
LENGTH = "invalid checksum digest length"
UNSUPPORTED = "unsupported digest algorithm"


class Shop(Storage):
    """Two repositories that share a layer; ``app:v1`` and ``app:latest`` are one image, ``latest`` once was another."""

    old: Image
    app: Image
    web: Image


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path / "registry")
    shop.old = shop.image("team/app", "latest", layers=[b"base", b"old"])
    shop.app = shop.image("team/app", "v1", "latest", "old", layers=[b"base", b"app"])
    shop.tag("team/app", "old", shop.old.digest)
    shop.web = shop.image("web", "1", layers=[b"base", b"web"])
    shop.age()
    return shop


BAD_LINKS = [
    (b"", FORMAT),
    (b"\0" * 71, FORMAT),
    (b"hello", FORMAT),
    (b"sha256:12", LENGTH),
    (b"md5:" + b"a" * 32, UNSUPPORTED),
    (b"SHA256:" + b"a" * 64, FORMAT),
    (b"sha256:" + b"A" * 64, FORMAT),
    (b"sha256:" + b"a" * 5000, ""),
]
IDS = ["empty", "zeros", "garbage", "short", "md5", "upper algorithm", "upper hex", "huge"]


def test_a_healthy_storage_has_no_findings(shop: Shop) -> None:
    assert findings(shop) == []


# --- tags --------------------------------------------------------------------


@pytest.mark.parametrize(("content", "says"), BAD_LINKS, ids=IDS)
def test_a_tag_link_that_is_no_digest_stops_collection_and_deletion(shop: Shop, content: bytes, says: str) -> None:
    path = shop.put(shop.tag_path("team/app", "v1"), content)
    found = only(shop, "RG08", path)
    assert found.severity is Severity.BLOCKS
    assert says in found.engine_says
    assert found.names == ("team/app:v1",)
    assert found.repair is Repair.REBUILD
    assert found.images == (shop.app.digest,)


def test_a_newline_at_the_end_of_a_link_is_damage(shop: Shop) -> None:
    path = shop.put(shop.tag_path("team/app", "v1"), shop.app.digest + "\n")
    found = only(shop, "RG08", path)
    assert found.engine_says == LENGTH
    assert "newline" in found.detail


def test_a_tag_of_several_in_its_history_can_only_be_guessed(shop: Shop) -> None:
    path = shop.put(shop.tag_path("team/app", "latest"), b"")
    found = only(shop, "RG08", path)
    assert found.repair is Repair.LOSSY
    assert found.images == ()
    assert f"{shop.app.digest} the newest" in found.detail or f"{shop.old.digest} the newest" in found.detail


def test_a_tag_whose_history_is_gone_can_only_be_dropped(shop: Shop) -> None:
    path = shop.put(shop.tag_path("team/app", "v1"), b"")
    shutil.rmtree(path.parents[1] / "index")
    assert only(shop, "RG08", path).repair is Repair.REMOVE


@pytest.mark.parametrize("whole", [False, True], ids=["file", "folder"])
def test_a_tag_without_current_is_listed_and_means_nothing(shop: Shop, whole: bool) -> None:
    path = shop.tag_path("team/app", "v1")
    path.unlink()
    if whole:
        path.parent.rmdir()
    found = only(shop, "RG09", path)
    assert (found.severity, found.engine_says, found.repair) == (
        Severity.UNUSABLE,
        "manifest unknown",
        Repair.REBUILD,
    )
    assert found.names == ("team/app:v1",)


def test_a_folder_in_the_place_of_a_tag_link_stops_collection(shop: Shop) -> None:
    path = shop.tag_path("team/app", "v1")
    path.unlink()
    path.mkdir()
    found = only(shop, "RG08", path)
    assert found.severity is Severity.BLOCKS
    assert found.engine_says.endswith("link: is a directory")


def test_tags_to_an_unknown_manifest_are_one_finding(shop: Shop) -> None:
    path = shop.revision_path("team/app", shop.app.digest)
    path.unlink()
    found = only(shop, "RG10", path)
    assert found.names == ("team/app:latest", "team/app:v1")
    assert found.repair is Repair.REBUILD
    assert found.engine_says == "manifest unknown"


def test_a_tag_to_what_was_never_here_can_only_be_dropped(shop: Shop) -> None:
    gone = "sha256:" + "5e" * 32
    shop.put(shop.tag_path("web", "1"), gone)
    found = next(f for f in findings(shop) if f.rule == "RG10")
    assert found.repair is Repair.REMOVE
    assert "its blob is not there" in found.detail


def test_a_tag_to_a_layer_cannot_be_rebuilt(shop: Shop) -> None:
    shop.put(shop.tag_path("web", "1"), shop.web.layers[0])
    assert next(f for f in findings(shop) if f.rule == "RG10").repair is Repair.REMOVE


def test_a_bad_link_in_the_history_is_information(shop: Shop) -> None:
    path = shop.put(shop.history_path("team/app", "latest", shop.old.digest), b"")
    assert findings(shop) == []
    (found,) = told(shop, "RG08")
    assert (found.path, found.severity) == (shop.relative(path), Severity.INFORMATION)


# --- revisions ---------------------------------------------------------------


@pytest.mark.parametrize(("content", "says"), BAD_LINKS, ids=IDS)
def test_a_revision_link_that_is_no_digest_stops_collection(shop: Shop, content: bytes, says: str) -> None:
    path = shop.put(shop.revision_path("team/app", shop.app.digest), content)
    found = only(shop, "RG11", path)
    assert found.severity is Severity.BLOCKS
    assert found.engine_says.startswith("failed to garbage collect: failed to mark: filesystem: filesystem: ")
    assert says in found.engine_says
    assert found.names == ("team/app:latest", "team/app:v1")
    assert found.repair is Repair.REBUILD


def test_a_revision_link_to_another_manifest_serves_that_one(shop: Shop) -> None:
    path = shop.put(shop.revision_path("team/app", shop.app.digest), shop.old.digest)
    found = only(shop, "RG11", path)
    assert (found.severity, found.repair) == (Severity.UNUSABLE, Repair.REBUILD)
    assert shop.old.digest in found.detail


def test_a_revision_link_to_a_layer_stops_collection(shop: Shop) -> None:
    path = shop.put(shop.revision_path("team/app", shop.app.digest), shop.app.layers[0])
    found = next(f for f in findings(shop) if f.rule == "RG11")
    assert (found.path, found.severity) == (shop.relative(path), Severity.BLOCKS)


def test_a_bad_link_of_a_signature_of_early_registries_stops_collection(shop: Shop) -> None:
    signatures = shop.revision_path("web", shop.web.digest).parent / "signatures/sha256"
    shop.put(signatures / ("aa" * 32) / "link", "sha256:" + "aa" * 32)
    shop.age()
    assert findings(shop) == []
    path = shop.put(signatures / ("bb" * 32) / "link", b"")
    found = only(shop, "RG11", path)
    assert (found.title, found.severity) == ("signature-link-invalid", Severity.BLOCKS)


# --- layers ------------------------------------------------------------------


@pytest.mark.parametrize(("content", "says"), BAD_LINKS, ids=IDS)
def test_a_layer_link_that_is_no_digest_blocks_pull_and_push(shop: Shop, content: bytes, says: str) -> None:
    path = shop.put(shop.layer_path("web", shop.web.layers[1]), content)
    found = only(shop, "RG12", path)
    assert says in found.engine_says
    assert (found.severity, found.repair) == (Severity.UNUSABLE, Repair.REBUILD)
    assert (found.images, found.names) == ((shop.web.digest,), ("web:1",))


def test_a_layer_link_to_another_blob_serves_wrong_bytes(shop: Shop) -> None:
    path = shop.put(shop.layer_path("web", shop.web.layers[1]), shop.web.config)
    assert "served instead" in only(shop, "RG12", path).detail


def test_a_layer_link_that_is_gone_is_found_from_the_manifest(shop: Shop) -> None:
    path = shop.layer_path("web", shop.web.layers[0])
    path.unlink()
    found = only(shop, "RG12", path)
    assert found.engine_says == "blob unknown to registry"
    assert found.names == ("web:1",)


def test_a_repository_without_its_layers_folder_is_one_finding(shop: Shop) -> None:
    path = shop.repository_path("web") / "_layers"
    shutil.rmtree(path)
    found = only(shop, "RG12", path)
    assert found.names == ("web:1",)
    assert "garbage collection of 2.x passes over" in found.detail


def test_a_link_from_another_algorithm_to_the_canonical_digest_is_healthy(shop: Shop) -> None:
    alias = digest_of(b"web", "sha512")
    shop.put(shop.layer_path("web", alias), shop.web.layers[1])
    shop.age()
    assert everything(shop, [Key("web", shop.web.digest, "web:1")])
    assert findings(shop) == []


def test_a_manifest_that_names_an_alias_needs_the_canonical_blob(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "registry")
    image = storage.image("web", layers=[b"one"])
    alias = digest_of(b"one", "sha512")
    storage.put(storage.layer_path("web", alias), image.layers[0])
    layers = [{"mediaType": "x", "digest": alias, "size": 3}]
    shutil.rmtree(storage.repository_path("web") / "_manifests")
    storage.blob_path(image.digest).unlink()
    storage.blob_path(image.digest).parent.rmdir()
    digest = storage.manifest("web", {**image.document, "layers": layers}, "1")
    storage.age()
    assert findings(storage) == []
    storage.blob_path(image.layers[0]).unlink()
    found = only(storage, "RG05", storage.blob_path(image.layers[0]))
    assert found.images == (digest,)


# --- whom it reaches ---------------------------------------------------------


def damage_tag(shop: Shop) -> None:
    shop.put(shop.tag_path("web", "1"), b"")


def damage_revision(shop: Shop) -> None:
    shop.put(shop.revision_path("web", shop.web.digest), b"")


def damage_layer(shop: Shop) -> None:
    shop.put(shop.layer_path("web", shop.web.layers[1]), b"")


@pytest.mark.parametrize("damage", [damage_tag, damage_revision, damage_layer])
def test_a_check_of_some_rows_tells_only_what_touches_them(shop: Shop, damage: Callable[[Shop], None]) -> None:
    damage(shop)
    assert len(findings(shop, [Key("web", shop.web.digest, "web:1")])) == 1
    assert findings(shop, [Key("team/app", shop.app.digest, "team/app:v1")]) == []
    assert findings(shop, []) == []
