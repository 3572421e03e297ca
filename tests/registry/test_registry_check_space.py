"""What nothing needs: named with its bytes, and never what something may need."""

import datetime
import os
import shutil
from pathlib import Path

import pytest

from orlop.finding import Repair, Severity
from orlop.records import Key
from tests.registry.judging import everything, findings, only, told
from tests.registry.making import Image, Storage, digest_of

UPLOAD = "ffc3e199-ef49-4a8d-9878-b8aa5b264b08"


class Shop(Storage):
    """``app:1`` and ``web:1`` share the layer ``base``."""

    app: Image
    web: Image


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path / "registry")
    shop.app = shop.image("app", "1", layers=[b"base", b"app"])
    shop.web = shop.image("web", "1", layers=[b"base", b"web" * 1000])
    shop.age()
    return shop


def ago(days: float) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days)


# --- blobs and links -----------------------------------------------------------


def test_a_blob_that_no_manifest_needs_is_named_with_its_bytes(shop: Shop) -> None:
    lost = shop.blob(b"left over")
    shop.age()
    found = only(shop, "RG14", shop.blob_path(lost))
    assert (found.severity, found.repair, found.bytes) == (Severity.SPACE, Repair.REMOVE, 9)


def test_a_blob_that_is_only_linked_is_named_with_the_link(shop: Shop) -> None:
    lost = shop.layer("web", b"left over")
    shop.age()
    found = {f.rule: f for f in findings(shop)}
    assert found.keys() == {"RG14", "RG15"}
    assert "web links it" in found["RG14"].detail
    assert found["RG15"].path == shop.relative(shop.repository_path("web") / "_layers")
    assert lost in found["RG15"].detail


def test_links_that_are_left_are_told_once_for_a_repository(shop: Shop) -> None:
    for number in range(20):
        gone = digest_of(b"gone %d" % number)
        shop.put(shop.layer_path("web", gone), gone)
    shop.age()
    found = only(shop, "RG15", shop.repository_path("web") / "_layers")
    assert "20 links of web" in found.detail
    assert "20 of them lead to blobs that are gone" in found.detail


@pytest.mark.parametrize("content", [b"", b"{", b'{"schemaVersion":2,"mediaType":"x/y"}'], ids=["empty", "cut", "odd"])
def test_beside_a_manifest_that_cannot_be_read_orphans_are_information(shop: Shop, content: bytes) -> None:
    path = shop.put(shop.blob_path(shop.web.digest), content)
    only(shop, "RG03", path)
    orphans = {f.path: f for f in told(shop, "RG14")}
    assert shop.relative(shop.blob_path(shop.web.layers[1])) in orphans
    assert all("may belong to 1 manifest" in f.detail for f in orphans.values())


def test_what_a_damaged_link_leads_to_is_still_needed(shop: Shop) -> None:
    shop.put(shop.revision_path("web", shop.web.digest), b"")
    shop.put(shop.layer_path("app", shop.app.layers[1]), b"")
    assert {f.rule for f in everything(shop)} == {"RG11", "RG12", "RG20"}


def test_what_only_a_tag_still_names_is_still_needed(shop: Shop) -> None:
    shutil.rmtree(shop.revision_path("web", shop.web.digest).parent)
    assert {f.rule for f in everything(shop)} == {"RG10", "RG20"}


def test_what_only_an_index_still_names_is_still_needed(shop: Shop) -> None:
    child = shop.image("multi", layers=[b"base", b"child"])
    shop.index("multi", [child.digest], "all")
    shop.age()
    shutil.rmtree(shop.revision_path("multi", child.digest).parent)
    assert {f.rule for f in everything(shop)} == {"RG06", "RG20"}


def test_where_a_part_cannot_be_read_nothing_is_called_unneeded(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.blob(b"left over")
    shop.age()
    refused = shop.repository_path("web") / "_manifests"
    listed = os.scandir

    def scandir(path: int) -> object:
        if os.path.realpath(f"/proc/self/fd/{path}") == str(refused):
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr("orlop.fs.os.scandir", scandir)
    assert findings(shop) == []


def test_pushing_makes_no_findings_worth_an_exit_code(shop: Shop) -> None:
    """Layers come first, then the manifest: in between nothing needs them."""
    shop.layer("next", b"first layer")
    shop.upload("next", UPLOAD, ago(0))
    assert findings(shop) == []


# --- what was left -----------------------------------------------------------


def test_a_repository_with_nothing_in_it_is_named(shop: Shop) -> None:
    (shop.repository_path("gone") / "_manifests/tags").mkdir(parents=True)
    (shop.repository_path("gone") / "_uploads").mkdir()
    found = only(shop, "RG16", shop.repository_path("gone"))
    assert (found.severity, found.repair) == (Severity.SPACE, Repair.REMOVE)


def test_links_of_an_empty_repository_are_part_of_it(shop: Shop) -> None:
    gone = digest_of(b"gone")
    shop.put(shop.layer_path("gone", gone), gone)
    shop.age()
    found = only(shop, "RG16", shop.repository_path("gone"))
    assert "only 1 link to layers" in found.detail


def test_a_repository_above_others_is_none_by_itself(shop: Shop) -> None:
    shop.image("team/app/web", "1", layers=[b"base"])
    shop.age()
    assert findings(shop) == []


def test_empty_folders_of_blobs_are_information_and_one_finding(shop: Shop) -> None:
    for name in ("00", "01", "02"):
        (shop.blob_path("sha256:" + "ff" * 32).parents[2] / name).mkdir()
    assert findings(shop) == []
    (found,) = told(shop, "RG16")
    assert (found.title, found.severity) == ("empty-shard", Severity.INFORMATION)
    assert "3 empty folders" in found.detail


# --- uploads -----------------------------------------------------------------


@pytest.mark.parametrize(("days", "left"), [(0.5, False), (6.9, False), (7.1, True), (4000, True)])
def test_an_upload_is_abandoned_after_seven_days(shop: Shop, days: float, left: bool) -> None:
    path = shop.upload("web", UPLOAD, ago(days))
    found = findings(shop)
    assert [(f.rule, f.title, f.path, f.bytes) for f in found] == (
        [("RG17", "abandoned-upload", shop.relative(path), 4)] if left else []
    )


@pytest.mark.parametrize("started", [None, "", "\0" * 20, "yesterday", "9999-01-01T00:00:00Z"])
def test_an_upload_that_never_ages_is_told_at_once(shop: Shop, started: str | None) -> None:
    path = shop.upload("web", UPLOAD, started)
    found = only(shop, "RG17", path)
    assert (found.title, found.severity, found.bytes) == ("upload-undated", Severity.SPACE, 4)


def test_an_upload_whose_name_is_no_uuid_is_never_purged(shop: Shop) -> None:
    path = shop.upload("web", "backup", ago(30))
    assert "no UUID" in only(shop, "RG17", path).detail


def test_a_repository_of_nothing_but_an_upload_is_not_empty(shop: Shop) -> None:
    shop.upload("fresh", UPLOAD, ago(0))
    assert findings(shop) == []


# --- who shares what ---------------------------------------------------------


def test_sharing_tells_what_only_one_repository_needs(shop: Shop) -> None:
    found = {f.path.rpartition("/")[2]: f for f in told(shop, "RG20")}
    assert found.keys() == {"app", "web"}
    own = sum(shop.blob_path(d).stat().st_size for d in (shop.web.digest, shop.web.config, shop.web.layers[1]))
    assert found["web"].bytes == own
    assert f"web needs {own + len(b'base')} bytes, {own} of which no other repository needs" in found["web"].detail
    assert f"of its tags alone: 1 {own}" in found["web"].detail


def test_two_tags_of_one_repository_share_too(shop: Shop) -> None:
    other = shop.image("web", "2", layers=[b"base", b"web" * 1000, b"two"])
    shop.age()
    (found,) = [f for f in everything(shop, [Key("web", other.digest, "web:2")]) if f.rule == "RG20"]
    alone = sum(shop.blob_path(d).stat().st_size for d in (other.digest, other.config, other.layers[2]))
    assert f"2 {alone}" in found.detail
    assert found.severity is Severity.INFORMATION
