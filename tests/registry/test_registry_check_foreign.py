"""What is no part of the layout: where it stops the registry's garbage collection, and where it does no harm."""

import os
import shutil
from pathlib import Path

import pytest

from orlop.finding import Repair, Severity
from tests.registry.judging import findings, only, told
from tests.registry.making import V2, Image, Storage


class Shop(Storage):
    web: Image


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path / "registry")
    shop.web = shop.image("web", "1", layers=[b"base", b"web"])
    shop.age()
    return shop


@pytest.mark.parametrize(
    ("place", "entry", "says"),
    [
        ("data", "data", "unsupported digest algorithm"),
        ("sha256/data", "sha256/data", "unsupported digest algorithm"),
        ("stray/aa/bb/data", "stray", "unsupported digest algorithm"),
        ("sha256/aa/aabb/data", "sha256/aa/aabb", "invalid checksum digest length"),
        ("sha256/aa/a/data", "sha256/aa/a", "panic: runtime error: slice bounds out of range"),
        (f"sha256/zz/{'ab' * 32}/data", "sha256/zz", "unsupported digest algorithm"),
    ],
)
def test_data_whose_folders_spell_no_digest_stops_collection(shop: Shop, place: str, entry: str, says: str) -> None:
    blobs = shop.path / V2 / "blobs"
    shop.put(blobs / place, b"x")
    found = only(shop, "RG18", blobs / entry)
    assert found.severity is Severity.BLOCKS
    assert says in found.engine_says
    assert found.repair is Repair.QUARANTINE


@pytest.mark.parametrize("place", ["stray", "README", "sha256/stray/file", "md5/aa/file", "sha256/lost+found/x"])
def test_other_strays_below_blobs_do_no_harm(shop: Shop, place: str) -> None:
    shop.put(shop.path / V2 / "blobs" / place, b"x")
    shop.age()
    assert findings(shop) == []
    assert [f.severity for f in told(shop, "RG18")] == [Severity.INFORMATION]


@pytest.mark.parametrize("kind", ["file", "fifo"])
def test_a_thing_among_the_tags_is_listed_as_one_and_stops_deletions(shop: Shop, kind: str) -> None:
    path = shop.tag_path("web", "1").parents[2] / "stray"
    path.write_bytes(b"x") if kind == "file" else os.mkfifo(path)
    found = only(shop, "RG18", path)
    assert found.severity is Severity.BLOCKS
    assert found.engine_says.endswith(f"{shop.relative(path)}/current/link: not a directory")


def test_a_link_among_the_tags_is_followed_by_the_registry_and_not_by_orlop(shop: Shop) -> None:
    (shop.tag_path("web", "1").parents[2] / "also").symlink_to("1")
    assert findings(shop) == []
    assert [f.severity for f in told(shop, "RG18")] == [Severity.INFORMATION]


@pytest.mark.parametrize(
    ("name", "stops"), [("odd tag", True), ("höher", True), (".hidden", False), ("x" * 200, False)]
)
def test_a_tag_that_no_client_can_ask_for(shop: Shop, name: str, stops: bool) -> None:
    shop.tag("web", name, shop.web.digest)
    shop.age()
    (found,) = told(shop, "RG18")
    assert found.path == shop.relative(shop.tag_path("web", name).parents[1])
    assert found.severity is (Severity.BLOCKS if stops else Severity.INFORMATION)
    assert ("invalid path" in found.engine_says) is stops


def test_a_tag_of_bytes_that_are_no_text_is_a_finding(shop: Shop) -> None:
    tags = os.fsencode(shop.tag_path("web", "1").parents[2])
    os.makedirs(tags + b"/\xff/current")
    shutil.copy(os.fsencode(shop.tag_path("web", "1")), tags + b"/\xff/current/link")
    (found,) = told(shop, "RG18")
    assert found.severity is Severity.BLOCKS
    assert os.fsencode(found.path).endswith(b"/\xff")


@pytest.mark.parametrize("name", ["WEB", "with space", "a..b", "x" * 250 + "/longer"])
def test_a_repository_whose_name_no_reference_can_have_stops_collection(shop: Shop, name: str) -> None:
    target = shop.repository_path(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(shop.repository_path("web"), target)
    found = only(shop, "RG18", target)
    assert found.severity is Severity.BLOCKS
    assert f"failed to parse repo name {name}" in found.engine_says


def test_a_stray_link_below_the_revisions_is_read_by_collection(shop: Shop) -> None:
    revisions = shop.revision_path("web", shop.web.digest).parents[1]
    shop.put(revisions / "good/link", shop.web.digest)
    shop.put(revisions / "file", b"")
    shop.age()
    assert findings(shop) == []
    shop.put(revisions / "bad/link", b"")
    found = only(shop, "RG18", revisions / "bad")
    assert found.severity is Severity.BLOCKS
    assert found.engine_says.endswith("failed to mark: filesystem: filesystem: invalid checksum digest format")


@pytest.mark.parametrize(
    "place",
    [
        "repositories/stray",
        "repositories/Stray Name/x",
        "repositories/web/_layers/stray",
        "repositories/web/_uploads/x",
    ],
)
def test_strays_elsewhere_do_no_harm(shop: Shop, place: str) -> None:
    shop.put(shop.path / V2 / place, b"x")
    shop.age()
    assert findings(shop) == []
    assert len(told(shop, "RG18")) == 1


def test_what_a_cut_write_left_is_space_once_it_is_old(shop: Shop) -> None:
    path = shop.tag_path("web", "1").with_name("link.1a2b3c4d-0000-4000-8000-000000000000.tmp")
    shop.put(path, b"sha256:")
    assert findings(shop) == []
    shop.age()
    found = only(shop, "RG18", path)
    assert (found.title, found.severity, found.repair) == ("leftover", Severity.SPACE, Repair.REMOVE)


def test_a_foreign_folder_of_many_names_is_not_walked_for_ever(shop: Shop) -> None:
    deep = shop.path / V2 / "blobs/stray"
    for _ in range(60):
        deep /= "x"
    deep.mkdir(parents=True)
    for number in range(50):
        (deep / str(number)).mkdir()
    shop.age()
    assert findings(shop) == []
