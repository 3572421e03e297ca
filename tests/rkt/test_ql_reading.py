"""Databases that rkt wrote, read: every row and remote, and their order."""

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

import pytest

from orlop import times
from orlop.errors import Malformed, Unsupported
from orlop.rkt import ql
from orlop.rkt.catalogue import ZERO_TIME, Contents, ImageRow, RemoteRow
from orlop.rkt.qlcatalogue import QlFormat
from tests.rkt.ql_files import CURRENT, EVERY, NEW, OLD, database, told
from tests.rkt.ql_verifier import verify

RECORDING = times.parse("2026-11-21T00:52:00Z")
"""Stands for the times that the recording does not tell: those after it was made."""


def _image(recorded: Mapping[str, Any]) -> ImageRow:
    return ImageRow(
        key=recorded["blob_key"],
        name=recorded["name"],
        imported=times.parse(recorded["import_time"]),
        last_used=times.parse(recorded["last_used"]),
        latest=recorded["latest"],
        size=recorded["size"],
        tree_size=recorded["tree_store_size"],
    )


def _remote(recorded: Mapping[str, Any]) -> RemoteRow:
    time = recorded["download_time"]
    return RemoteRow(
        url=recorded["aci_url"],
        signature_url=recorded["sig_url"],
        etag=recorded["etag"],
        key=recorded["blob_key"],
        max_age=recorded["cache_max_age"],
        downloaded=RECORDING if time == "@0" else times.parse(time),
    )


def _contents(name: str) -> Contents:
    return QlFormat().contents(database(name))


@pytest.mark.parametrize("name", ["rkt-store", "rkt-store-large"])
def test_every_row_and_remote_is_as_recorded(name: str) -> None:
    recorded = told()[name]
    assert hashlib.sha256(database(name)).hexdigest() == recorded["sha256"]

    found = _contents(name)

    assert found.version == 7
    assert {row.key: row for row in found.images} == {row["blob_key"]: _image(row) for row in recorded["aciinfos"]}
    unknown = {row["aci_url"] for row in recorded["remotes"] if row["download_time"] == "@0"}
    told_ones = {row["aci_url"]: _remote(row) for row in recorded["remotes"]}
    assert all(row.downloaded > RECORDING for row in found.remotes if row.url in unknown)
    assert {
        row.url: dataclasses.replace(row, downloaded=RECORDING) if row.url in unknown else row for row in found.remotes
    } == told_ones


@pytest.mark.parametrize("name", ["rkt-store", "rkt-store-large"])
def test_rows_come_in_the_order_of_an_unsorted_scan(name: str) -> None:
    recorded = told()[name]["natural_order"]

    found = _contents(name)

    assert [row.key for row in found.images] == recorded["aciinfo"]
    assert [row.url for row in found.remotes] == recorded["remote"]


def test_a_row_whose_tree_was_measured_keeps_its_place_and_id() -> None:
    images = ql.read(database("rkt-store")).table("aciinfo")
    assert images is not None

    measured = [(row.id, row.value(6)) for row in images.rows]

    assert measured == [(38, 0), (27, 0), (26, 0), (24, 123), (23, 4_096_000), (22, 0)]


def test_a_small_database_tells_its_three_images() -> None:
    found = _contents("sample")

    images = sorted(found.images, key=lambda row: row.imported)
    assert [(row.key[7:15], row.name, row.latest, row.tree_size) for row in images] == [
        ("33b880dc", "example.com/app", False, 0),
        ("cf7901f2", "example.com/app", True, 4242),
        ("d3e31b74", "example.com/other", False, 0),
    ]
    assert images[0].imported == times.parse("2026-11-21T00:39:01.593513681Z")
    assert {row.url: (row.key[7:15], row.etag, row.max_age) for row in found.remotes} == {
        "https://example.com/app-1.aci": ("33b880dc", '"etag1"', 3600),
        "https://example.com/gone.aci": ("d3e31b74", "", 3600),
    }


@pytest.mark.parametrize("name", OLD)
def test_an_older_version_shows_what_a_migration_would_keep(name: str) -> None:
    recorded = told()[name]

    found = _contents(name)

    assert found.version == recorded["schema_version"]
    migrated = {row["blob_key"]: row for row in recorded["after_open"]["aciinfos"]}
    assert {row.key for row in found.images} == migrated.keys()
    for row in found.images:
        after = migrated[row.key]
        assert (row.name, row.latest) == (after["name"], after["latest"])
        assert row.imported == times.parse(after["import_time"])
        if found.version >= 5:
            assert (row.size, row.tree_size) == (after["size"], after["tree_store_size"])
            assert row.last_used == times.parse(after["last_used"])
        else:
            assert (row.size, row.tree_size) == (0, 0)
    assert {row.url: row for row in found.remotes} == {
        row["aci_url"]: _remote(row) for row in recorded["after_open"]["remotes"]
    }


def test_what_an_older_version_does_not_have_is_never_a_guess() -> None:
    assert {row.last_used for row in _contents("rkt-store-dbv2").images} == {ZERO_TIME}
    assert ZERO_TIME not in {row.last_used for row in _contents("rkt-store-dbv4").images}


def test_an_older_version_is_not_changed() -> None:
    for name, version in zip(OLD, "246", strict=True):
        with pytest.raises(Unsupported, match=f"version {version} .* version 7"):
            QlFormat().edited(database(name), [])


def test_a_later_version_is_refused_with_both_versions() -> None:
    with pytest.raises(Unsupported, match=r"version 8 .* 7") as refused:
        _contents(NEW)
    assert refused.value.engine == told()[NEW]["open_result"]["error"]
    with pytest.raises(Unsupported, match=r"version 8 .* 7"):
        QlFormat().edited(database(NEW), [])


def test_an_empty_file_is_told_from_an_empty_database() -> None:
    assert QlFormat().contents(QlFormat().empty()) == Contents(version=7, images=(), remotes=())
    with pytest.raises(Malformed, match="empty file"):
        QlFormat().contents(b"")


def test_a_file_of_something_else_is_refused_in_words() -> None:
    with pytest.raises(Malformed, match="not a ql database"):
        QlFormat().contents(b"not a database, but longer than sixteen bytes")


def test_a_database_without_tables_is_refused_in_words() -> None:
    bare = ql.write(ql.Database(last_id=0, tables=()))

    with pytest.raises(Malformed, match="no table version"):
        QlFormat().contents(bare)


@pytest.mark.parametrize("name", EVERY)
def test_what_rkt_wrote_is_whole_to_reader_and_verifier(name: str) -> None:
    report = verify(database(name))

    assert ql.faults(database(name)) == ()
    assert report.packed
    assert report.moved


def test_the_recorded_databases_have_what_is_hard_to_read() -> None:
    large = verify(database("rkt-store-large"))

    assert large.free > 100
    assert large.packed > 100
    rows = [row for name in CURRENT for row in _contents(name).remotes]
    assert max(len(row.etag) for row in rows) > 255
    assert any(not row.etag.isascii() for row in rows)
    assert any(row.max_age < 0 for row in rows)
