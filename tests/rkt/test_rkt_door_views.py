"""The list, one image whole, finding, the panes and `why` of an ACI store."""

import json
import os
from pathlib import Path

import pytest

from orlop.errors import Ambiguous, NotFound
from orlop.records import Absent, Detail, Facet, Flag, Key, Remote, Section
from orlop.rkt import layout
from orlop.rkt.catalogue import ZERO_TIME, ImageRow
from orlop.samples.rkt import NOW, Aci, AciRoot
from tests.rkt.rkt_stores import opened, row_of, settled

HOUR = 3600 * 1_000_000_000


@pytest.fixture
def root(tmp_path: Path) -> AciRoot:
    return AciRoot.create(str(tmp_path / "rkt"))


def section(detail: Detail, title: str) -> Section:
    return next(section for section in detail.sections if section.title == title)


# --- rows --------------------------------------------------------------------


def test_images_of_one_name_are_beside_each_other_newest_first(root: AciRoot) -> None:
    old = root.image("example.com/app", version="1", imported=NOW - 3 * HOUR)
    new = root.image("example.com/app", version="2", imported=NOW - HOUR, latest=True, tree_size=4096)
    other = root.image("example.com/aaa", imported=NOW - 2 * HOUR)
    with opened(settled(root)) as store:
        rows = store.rows().rows
        assert [row.id for row in rows] == [other.key, new.key, old.key]
        assert [(row.repository, row.tag) for row in rows[1:]] == [("example.com/app", "2"), ("example.com/app", "1")]
        assert [row.key.name for row in rows] == ["example.com/aaa", "example.com/app:2", "example.com/app:1"]
        assert rows[1].flags == {Flag.LATEST}
        assert rows[1].size == rows[1].own_size == new.size + 4096
        assert rows[1].created == NOW - HOUR
        assert rows[1].last_used == NOW - HOUR + 45
        assert rows[1].platform == "linux/amd64"
        assert store.rows().total_size == sum(row.size or 0 for row in rows)


def test_a_name_on_several_images_without_versions_gives_rows_with_keys_of_their_own(root: AciRoot) -> None:
    one = root.image("example.com/app", files={"a": b"1"})
    two = root.image("example.com/app", files={"a": b"2"})
    with opened(settled(root)) as store:
        keys = {row.key for row in store.rows().rows}
        assert keys == {Key("", one.key, "example.com/app"), Key("", two.key, "example.com/app")}


def test_a_time_that_was_never_set_is_none(root: AciRoot) -> None:
    image = root.image("example.com/app", imported=ZERO_TIME, used=ZERO_TIME)
    with opened(settled(root)) as store:
        row = row_of(store, image.key)
        assert row.created is None
        assert row.last_used is None


def test_a_row_with_a_hostile_key_is_a_row_and_opens_nothing(root: AciRoot) -> None:
    for key in ("../../etc/passwd", "", "sha512-", "sha512-" + "A" * 64, "sha512-ab\0cd"):
        root.row(ImageRow(key=key, name="evil\x1b[2J", imported=NOW, last_used=NOW, latest=False, size=1, tree_size=0))
    with opened(settled(root)) as store:
        rows = store.rows().rows
        assert len(rows) == 5
        assert all(Flag.ODD_NAME in row.flags and row.reason for row in rows)
        for row in rows:
            assert store.detail(row.key).problems


# --- finding -----------------------------------------------------------------


@pytest.fixture
def three(root: AciRoot) -> tuple[AciRoot, Aci, Aci, Aci]:
    latest = root.image("example.com/app", version="1", imported=NOW - 3 * HOUR, latest=True)
    newer = root.image("example.com/app", version="2", imported=NOW - HOUR)
    other = root.image("example.com/other", version="2")
    return root, latest, newer, other


def test_a_name_is_the_image_that_rkt_would_take(three: tuple[AciRoot, Aci, Aci, Aci]) -> None:
    root, latest, newer, other = three
    with opened(settled(root)) as store:
        assert store.find("example.com/app") == (Key("", latest.key, "example.com/app:1"),)
        assert store.find("example.com/app:2") == (Key("", newer.key, "example.com/app:2"),)
        assert store.find("example.com/other") == (Key("", other.key, "example.com/other:2"),)


def test_a_key_its_start_and_the_whole_sum_are_the_image(three: tuple[AciRoot, Aci, Aci, Aci]) -> None:
    root, image, _, _ = three
    digits = image.key.removeprefix("sha512-")
    with opened(settled(root)) as store:
        for text in (
            image.key,
            digits,
            image.image_id,
            image.image_id.removeprefix("sha512-"),
            image.key[:20],
            digits[:9],
        ):
            assert store.find(text) == (Key("", image.key, None),), text


@pytest.mark.parametrize(
    "text",
    ["", "example.com", "example.com/app:3", "sha512-", "sha512-a", "sha512-zz", "sha256:" + "0" * 64, "::", ":2"],
)
def test_what_is_no_image_is_not_found(three: tuple[AciRoot, Aci, Aci, Aci], text: str) -> None:
    with opened(settled(three[0])) as store, pytest.raises(NotFound):
        store.find(text)


def test_the_start_of_several_keys_lists_them(root: AciRoot) -> None:
    keys = [root.image("example.com/app", version=str(number)).key for number in range(300)]
    start = next(key[:9] for key in keys if sum(other.startswith(key[:9]) for other in keys) > 1)
    with opened(settled(root)) as store, pytest.raises(Ambiguous) as error:
        store.find(start)
    assert list(error.value.candidates) == sorted(key for key in keys if key.startswith(start))
    assert error.value.engine == f'ambiguous image ID: "{start}"'


def test_an_image_without_a_readable_manifest_is_still_found_by_its_name(three: tuple[AciRoot, Aci, Aci, Aci]) -> None:
    root, _, _, other = three
    cas = settled(root)
    os.unlink(root.at(layout.manifest(other.key)))
    with opened(cas) as store:
        assert store.find("example.com/other")[0].id == other.key


# --- detail ------------------------------------------------------------------


def test_the_detail_has_the_manifest_byte_for_byte_and_by_its_parts(root: AciRoot) -> None:
    base = root.image("example.com/base", version="1")
    app = {
        "exec": ["/bin/app", "--with space"],
        "user": "0",
        "group": "1",
        "supplementaryGIDs": [7, 8],
        "workingDirectory": "/srv",
        "environment": [{"name": "MODE", "value": "fast"}, {"name": "DB_PASSWORD", "value": "hunter2"}],
        "mountPoints": [{"name": "data", "path": "/data", "readOnly": True}],
        "ports": [{"name": "http", "protocol": "tcp", "port": 80, "count": 2, "socketActivated": True}],
        "isolators": [{"name": "resource/memory", "value": {"limit": "1G"}}],
        "eventHandlers": [{"name": "pre-start", "exec": ["/bin/pre"]}],
    }
    image = root.image(
        "example.com/app", version="2", needs=[base], app=app, annotations={"homepage": "https://example.com"}
    )
    root.remote("https://example.com/app.aci", image, etag='"7"', max_age=3600, downloaded=NOW)
    cas = settled(root)
    with opened(cas) as store:
        found = store.detail(Key("", image.key, None))
        raw = Path(cas, layout.manifest(image.key)).read_bytes()
        assert [(document.title, document.raw) for document in found.documents] == [("manifest", raw)]
        assert found.config == json.loads(raw)
        assert found.problems == ()
        assert found.row is not None
        assert found.names == ("example.com/app:2",)

        facts = {fact.name: fact.value for fact in section(found, "app").facts}
        assert facts["exec"] == "/bin/app '--with space'"
        assert (facts["user"], facts["group"], facts["working directory"]) == ("0", "1", "/srv")
        assert facts["supplementary groups"] == "7 8"
        environment = [(fact.name, fact.value) for fact in section(found, "environment").facts]
        assert environment == [("MODE", "fast"), ("DB_PASSWORD", "hunter2")]
        (mount,) = section(found, "mount points").facts
        assert (mount.name, mount.value, mount.remark) == ("data", "/data", "read-only")
        (port,) = section(found, "ports").facts
        assert (port.value, port.remark) == ("80/tcp", "2 ports from there on, socket-activated")
        assert section(found, "isolators").facts[0].value == '{"limit":"1G"}'
        assert section(found, "event handlers").facts[0].value == "/bin/pre"
        assert {fact.name: fact.value for fact in section(found, "labels").facts}["version"] == "2"
        assert section(found, "annotations").facts[0].value == "https://example.com"
        (dependency,) = section(found, "dependencies").facts
        assert dependency.leads_to == Key("", base.key, "example.com/base:1")
        assert dependency.remark == "example.com/base:1"
        (remote,) = section(found, "remotes").facts
        assert remote.name == "https://example.com/app.aci"

        below = store.detail(Key("", base.key, None))
        (dependent,) = section(below, "needed by").facts
        assert dependent.leads_to == Key("", image.key, "example.com/app:2")
        assert row_of(store, base.key).flags == {Flag.PARENT}


def test_a_dependency_that_is_not_there_is_a_problem_of_the_image(root: AciRoot) -> None:
    base = root.image("example.com/base", version="1")
    image = root.image("example.com/app", needs=[base])
    root.forget(base)
    cas = settled(root)
    os.unlink(root.at(layout.blob(base.key)))
    os.unlink(root.at(layout.manifest(base.key)))
    with opened(cas) as store:
        found = store.detail(Key("", image.key, None))
        (fact,) = section(found, "dependencies").facts
        assert fact.problem
        assert fact.leads_to is None
        assert any("example.com/base" in problem for problem in found.problems)
        assert "example.com/base" in row_of(store, image.key).reason


# --- panes -------------------------------------------------------------------


def test_remote_records_tell_where_from_how_fresh_and_where_to(root: AciRoot) -> None:
    image = root.image("example.com/app")
    gone = "sha512-" + "ab" * 32
    far = 4_000_000_000  # 126 years
    root.remote("https://example.com/1", image, etag='"1"', max_age=far, downloaded=NOW)
    root.remote("https://example.com/2", image, max_age=60, downloaded=NOW - HOUR)
    root.remote("https://example.com/3", gone, downloaded=ZERO_TIME)
    with opened(settled(root)) as store:
        found = store.facet(Facet.REMOTES, None)
        assert isinstance(found, tuple)
        one, two, three = found
        assert isinstance(one, Remote)
        assert isinstance(two, Remote)
        assert isinstance(three, Remote)
        assert (one.fresh, one.etag, one.signature_url) == (True, '"1"', "https://example.com/1.asc")
        assert one.expires == NOW + far * 1_000_000_000
        assert (one.image, one.image_known, one.trouble) == (image.key, True, "")
        assert (two.fresh, two.etag, two.expires) == (False, None, NOW - HOUR + 60 * 1_000_000_000)
        assert (three.fresh, three.downloaded, three.expires, three.image_known) == (False, None, None, False)
        assert "not in the store" in three.trouble
        assert store.facet(Facet.REMOTES, Key("", image.key, None)) == (one, two)


def test_panes_that_this_kind_has_not_say_what_it_has_instead(root: AciRoot) -> None:
    base = root.image("example.com/base")
    image = root.image("example.com/app", needs=[base])
    tree = root.tree(image, {"bin/sh": b"#!"}, hash="sha512-" + "0" * 64)
    with opened(settled(root)) as store:
        whole = store.facet(Facet.MAPPINGS, None)
        of_image = store.facet(Facet.MAPPINGS, Key("", image.key, None))
        uploads = store.facet(Facet.UPLOADS, None)
    assert isinstance(whole, Absent)
    assert isinstance(of_image, Absent)
    assert isinstance(uploads, Absent)
    assert base.key in of_image.because
    assert tree in of_image.because
    assert "tmp/" in uploads.because


# --- why ---------------------------------------------------------------------


def test_why_knows_keys_urls_trees_and_files(root: AciRoot) -> None:
    base = root.image("example.com/base", version="1")
    image = root.image("example.com/app", needs=[base])
    tree = root.tree(image, {"bin/sh": b"#!"}, hash="sha512-" + "0" * 64)
    root.remote("https://example.com/app.aci", image)
    root.write("tmp/123", b"cut")
    cas = settled(root)
    with opened(cas) as store:
        for subject in (base.key, base.key[:20], base.image_id, "example.com/base"):
            found = store.why(subject)
            assert found.is_a == ("image example.com/base:1",)
            assert [chain[0].what for chain in found.kept_by] == [
                "row of example.com/base:1",
                "image example.com/app, which depends on it",
            ]
        assert store.why(f"{cas}/{layout.blob(image.key)}").is_a == ("archive of an image example.com/app",)
        assert store.why(layout.manifest(image.key)).is_a == ("manifest of an image example.com/app",)
        assert store.why(layout.lock(image.key)).is_a == ("lock of an image example.com/app",)
        assert store.why("https://example.com/app.aci").related["image"] == image.key
        assert store.why(image.key).related["fetched from"] == "https://example.com/app.aci"
        for subject in (tree, tree[:20], f"{cas}/{layout.tree(tree)}/rootfs/bin"):
            assert store.why(subject).is_a[0] == "rendered tree"
            assert store.why(subject).related["image"] == f"example.com/app {image.key}"
        assert store.why("tmp/123").is_a == ("temporary file",)
        assert store.why("db/ql.db").is_a == ("the catalogue",)
        for nothing in ("deps-sha512-ffff", "nothing", "blob/sha512/zz/x", "/etc/passwd"):
            with pytest.raises(NotFound):
                store.why(nothing)


def test_why_says_of_files_without_a_row_that_nothing_keeps_them(root: AciRoot) -> None:
    image = root.image("example.com/app")
    root.forget(image)
    with opened(settled(root)) as store:
        found = store.why(image.key)
    assert found.kept_by == ()
    assert "no row" in found.remark
