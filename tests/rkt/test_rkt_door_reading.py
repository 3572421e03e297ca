"""An ACI store is read from either catalogue, of any version, whatever of it is damaged, and never changed by it."""

import dataclasses
import json
import lzma
import os
import sqlite3
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from orlop import times
from orlop.errors import OrlopError
from orlop.fs import Root
from orlop.progress import Silent
from orlop.records import Condition, EngineState, Facet, Key, Trust
from orlop.rkt import layout, usual
from orlop.rkt.catalogue import ZERO_TIME
from orlop.rkt.cataloguefile import catalogue_file
from orlop.rkt.manifest import ImageManifest
from orlop.rkt.model import CatalogueState, State
from orlop.rkt.qlcatalogue import LOG
from orlop.rkt.read import read
from orlop.rkt.store import AciStore
from orlop.samples.rkt import AciRoot
from tests.rkt.conftest import aci
from tests.rkt.rkt_stores import RECORDED, STORES, everything, opened, row_of, settled, unpacked


def instant(text: str) -> int:
    return ZERO_TIME if text == "zero" else times.parse(text)


@pytest.mark.parametrize("name", ["rkt-store", "rkt-store-large"])
def test_every_row_remote_and_manifest_is_as_recorded(tmp_path: Path, name: str) -> None:
    told: dict[str, Any] = json.loads(lzma.decompress((STORES / f"{name}.json.xz").read_bytes()))
    with opened(unpacked(name, tmp_path)) as store:
        model = store.model
        assert model.catalogue.state is CatalogueState.GOOD
        recorded = {row["blob_key"]: row for row in told["contains"]["aciinfos"]}
        assert model.images.keys() == recorded.keys()
        for key, expected in recorded.items():
            image = model.images[key]
            row = row_of(store, key)
            assert row.repository == expected["name"]
            assert row.created == instant(expected["import_time"])
            assert row.last_used == instant(expected["last_used"])
            assert row.size == expected["size"] + expected["tree_store_size"]
            assert image.manifest.raw == expected["manifest_json"].encode()
            assert image.row is not None
            assert image.row.latest is expected["latest"]
        urls = {remote["aci_url"]: remote for remote in told["contains"]["remotes"]}
        assert model.remotes.keys() == urls.keys()
        for url, expected in urls.items():
            remote = model.remotes[url]
            assert (remote.etag, remote.signature_url) == (expected["etag"], expected["sig_url"])
            assert (remote.max_age, remote.key) == (expected["cache_max_age"], expected["blob_key"])
            if not expected["download_time"].startswith("@"):  # the time of the recording
                assert remote.downloaded == instant(expected["download_time"])


@pytest.mark.parametrize("version", [2, 4, 6])
def test_an_older_database_shows_its_rows_and_is_read_only(tmp_path: Path, version: int) -> None:
    with opened(unpacked(f"rkt-store-dbv{version}", tmp_path)) as store:
        snapshot = store.rows()
        assert [row.key.name for row in snapshot.rows] == ["open.test/mig0:0", "open.test/mig1:1", "open.test/mig2:2"]
        assert all(row.condition is Condition.SOUND for row in snapshot.rows)
        assert store.model.catalogue.state is CatalogueState.OLD
        assert any(f"version {version}" in note.text and not note.unreadable for note in snapshot.notes)


def test_a_later_database_is_refused_with_both_versions_and_the_images_are_still_listed(tmp_path: Path) -> None:
    with opened(unpacked("rkt-store-dbv8", tmp_path)) as store:
        snapshot = store.rows()
        (note,) = (note for note in snapshot.notes if note.path == layout.QL)
        assert note.unreadable
        assert "version 8" in note.text
        assert "7" in note.text
        assert [row.key.name for row in snapshot.rows] == ["open.test/mig0:0", "open.test/mig1:1", "open.test/mig2:2"]
        assert {row.trust for row in snapshot.rows} == {Trust.LISTED}


@pytest.mark.parametrize("name", RECORDED)
def test_looking_and_checking_changes_no_byte_and_no_time(tmp_path: Path, name: str) -> None:
    cas = unpacked(name, tmp_path)
    before = everything(tmp_path)
    with opened(cas) as store:
        for row in store.rows().rows[:5]:
            store.detail(row.key)
            store.why(row.id)
        store.facet(Facet.REMOTES, None)
        list(store.check(None, content=True, progress=Silent()))
        store.refresh(None)
        store.watched()
        store.engine()
    assert everything(tmp_path) == before


def test_both_catalogues_give_the_same_list(tmp_path: Path) -> None:
    lists = []
    for catalogue in ("ql", "sqlite"):
        with AciStore.create(str(tmp_path / catalogue), catalogue) as library:
            library.write_aci(BytesIO(aci("example.com/app", {"version": "1"})), latest=True)
            library.write_aci(BytesIO(aci("example.com/base")))
        with opened(tmp_path / catalogue) as store:
            rows = [dataclasses.replace(row, created=None, last_used=None) for row in store.rows().rows]
            lists.append(rows)
            assert store.model.catalogue.kind == catalogue
            assert store.rows().notes == ()
    assert lists[0] == lists[1]
    assert [row.key.name for row in lists[0]] == ["example.com/app:1", "example.com/base"]


def test_a_store_in_use_is_shown_with_a_word_on_who_uses_it(tmp_path: Path) -> None:
    with AciStore.create(str(tmp_path / "cas")) as library:
        library.write_aci(BytesIO(aci()))
        with opened(tmp_path / "cas") as store:
            state, text = store.engine()
            assert state is EngineState.HELD
            assert f"(process {os.getpid()})" in text
            assert [row.condition for row in store.rows().rows] == [Condition.SOUND]
    with opened(tmp_path / "cas") as store:
        assert store.engine()[0] is EngineState.STOPPED


# --- a catalogue that cannot be read -----------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> AciRoot:
    root = AciRoot.create(str(tmp_path / "rkt"))
    base = root.image("example.com/base", version="1.0", files={"bin/sh": b"#!"})
    root.image("example.com/app", version="2", needs=[base], latest=True)
    return root


@pytest.mark.parametrize(
    ("content", "state"),
    [(None, CatalogueState.MISSING), (b"", CatalogueState.DAMAGED), (b"\x60\xdb\x71\x6c", CatalogueState.DAMAGED)],
)
def test_without_rows_the_images_are_listed_from_their_files_each_with_its_reason(
    small: AciRoot, content: bytes | None, state: CatalogueState
) -> None:
    cas = settled(small)
    if content is None:
        os.unlink(small.at(layout.QL))
    else:
        Path(small.at(layout.QL)).write_bytes(content)
    with opened(cas) as store:
        assert store.model.catalogue.state is state
        rows = store.rows().rows
        assert [row.key.name for row in rows] == ["example.com/app:2", "example.com/base:1.0"]
        assert all(row.condition is Condition.INCOMPLETE and "row cannot be known" in row.reason for row in rows)
        assert all(row.size for row in rows)
        assert store.find("example.com/app")[0].id == rows[0].id


def test_a_folder_in_the_place_of_the_database_is_no_reason_to_fail(small: AciRoot) -> None:
    cas = settled(small)
    os.unlink(small.at(layout.QL))
    os.mkdir(small.at(layout.QL))
    with opened(cas) as store:
        assert store.model.catalogue.state is CatalogueState.DAMAGED
        assert "a folder is in the place" in store.model.catalogue.why
        assert len(store.rows().rows) == 2


def test_a_log_that_a_killed_program_left_is_told_and_its_rows_are_shown(tmp_path: Path) -> None:
    folder = Path(__file__).parent / "data"
    (tmp_path / "db").mkdir()
    (tmp_path / "blob" / "sha512").mkdir(parents=True)
    log = lzma.decompress((folder / "cut.wal.xz").read_bytes())
    (tmp_path / LOG).write_bytes(log)
    shown = {}
    for half in ("cut-half", "cut-whole"):
        (tmp_path / layout.QL).write_bytes(lzma.decompress((folder / f"{half}.ql.db.xz").read_bytes()))
        with Root.open(str(tmp_path)) as root:
            found = catalogue_file(root)
        assert found.state is CatalogueState.PENDING
        assert found.log_path == LOG
        assert found.contents.images
        shown[half] = found.contents
    assert shown["cut-half"] == shown["cut-whole"]  # the log has all of the commit, whatever the file has of it

    (tmp_path / LOG).write_bytes(log[:-16])
    with Root.open(str(tmp_path)) as root:
        assert "incomplete" in catalogue_file(root).why


def test_a_log_of_sqlite_is_told_and_its_rows_are_shown_without_a_byte_written(tmp_path: Path) -> None:
    cas = tmp_path / "cas"
    with AciStore.create(str(cas), "sqlite") as library:
        key = library.write_aci(BytesIO(aci()))
    connection = sqlite3.connect(cas / layout.SQLITE)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("UPDATE image SET latest = 1")
    connection.commit()  # and nobody closes it: the commit stays in the log
    before = everything(tmp_path)
    with opened(cas) as store:
        assert store.model.catalogue.state is CatalogueState.PENDING
        assert store.model.catalogue.log_path == layout.SQLITE + "-wal"
        image = store.model.images[key]
        assert image.row is not None
        assert image.row.latest
    assert everything(tmp_path) == before
    connection.close()


def test_an_unreadable_folder_makes_nothing_missing(small: AciRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    cas = settled(small)
    real = os.open

    def refusing(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == "blob":
            raise PermissionError(13, "Permission denied")
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refusing)
    with opened(cas) as store:
        assert {image.blob.state for image in store.model.images.values()} == {State.UNREADABLE}
        assert any(note.path == "blob" and note.unreadable for note in store.rows().notes)
        found = list(store.check(None, content=True, progress=Silent()))
        assert not [finding for finding in found if finding.severity.is_damage]


# --- refreshing --------------------------------------------------------------


def test_a_refresh_reads_only_what_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with AciStore.create(str(tmp_path / "cas"), "ql") as library:
        first = library.write_aci(BytesIO(aci("example.com/one")))
        with opened(tmp_path / "cas") as store:
            assert not store.refresh(None)
            reads: list[str] = []
            real = usual.parse

            def noting(data: bytes) -> ImageManifest:
                reads.append(json.loads(data)["name"])
                return real(data)

            second = library.write_aci(BytesIO(aci("example.com/two")))
            monkeypatch.setattr(usual, "parse", noting)
            delta = store.refresh(None)
            assert {key.id for key in delta.added} == {second}
            assert reads == ["example.com/two"]
            monkeypatch.undo()
            library.remove_aci(first)
            delta = store.refresh([layout.blob(first), layout.manifest(first), layout.QL])
            assert {key.id for key in delta.removed} == {first}


def test_a_hint_of_one_file_is_enough(small: AciRoot) -> None:
    cas = settled(small)
    with opened(cas) as store:
        key = store.find("example.com/app")[0].id
        Path(small.at(layout.manifest(key))).write_bytes(b"null")
        delta = store.refresh([layout.manifest(key)])
        assert key in {changed.id for changed in delta.changed | delta.added}
        assert row_of(store, key).condition is Condition.DAMAGED


def test_a_tree_that_is_finished_meanwhile_is_seen_without_a_hint_of_it(small: AciRoot) -> None:
    key = small.image("example.com/third").key
    tree = small.tree(small.image("example.com/third"), {"a": b"1"}, rendered=False, hash="x")
    with opened(settled(small)) as store:
        assert not store.model.trees[tree].rendered
        assert layout.tree(tree) in store.watched()
        small.write(f"{layout.tree(tree)}/rendered", b"")
        store.refresh(["tmp/other"])
        assert store.model.trees[tree].rendered
        assert store.model.trees_of == {key: (tree,)}


def test_folders_to_watch_exist_and_are_few(small: AciRoot) -> None:
    cas = settled(small)
    with opened(cas) as store:
        watched = store.watched()
    assert {"db", "tmp", "tree", "blob", "blob/sha512", "imageManifest/sha512"} <= set(watched)
    assert all((Path(cas) / folder).is_dir() for folder in watched)
    assert len(watched) == 7 + 4


def test_reading_whole_gives_what_the_door_has(small: AciRoot) -> None:
    cas = settled(small)
    with opened(cas) as store, Root.open(cas) as root:
        model = read(root, progress=Silent())
        assert model.images == store.model.images
        assert model.trees == store.model.trees


def test_an_image_that_is_not_there_is_named_in_the_error(small: AciRoot) -> None:
    with opened(settled(small)) as store, pytest.raises(OrlopError, match="no image sha512-nothing"):
        store.detail(Key("", "sha512-nothing", None))
