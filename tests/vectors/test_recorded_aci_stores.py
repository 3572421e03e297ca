"""Stores that rkt itself wrote, of its last and of older releases, read back whole with Orlop's library."""

import json
import lzma
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orlop.errors import OrlopError, Unsupported
from orlop.rkt import aci, layout, manifest
from orlop.rkt.store import AciStore
from tests.vectors import adapter, rkt_store

STORES = Path(__file__).parent / "stores"
OLDER = ("dbv2", "dbv4", "dbv6")


def _told(name: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(lzma.decompress((STORES / f"{name}.json.xz").read_bytes()))
    return value


def _extracted(name: str, folder: Path) -> Path:
    with tarfile.open(STORES / f"{name}.tar.xz") as archive:
        archive.extractall(folder, filter="fully_trusted")
    (folder / "cas").rename(folder / "root")
    return folder / "root"


@pytest.fixture
def cas(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return _extracted(request.param, tmp_path)


@pytest.fixture
def store(cas: Path) -> Iterator[AciStore]:
    with AciStore.open(str(cas)) as opened:
        yield opened


BOTH = pytest.mark.parametrize("cas", ["rkt-store", "rkt-store-large"], indirect=True)
SMALL = pytest.mark.parametrize("cas", ["rkt-store"], indirect=True)


def _as_told(value: object) -> object:
    return adapter.timed(value, [])


@BOTH
def test_every_row_and_remote_is_as_recorded(request: pytest.FixtureRequest, store: AciStore) -> None:
    told = _told(request.node.callspec.params["cas"])
    rows = {row.key: row for row in store.all_aci_infos()}

    assert len(rows) == len(told["contains"]["aciinfos"]) > 5
    for recorded in told["contains"]["aciinfos"]:
        key = recorded["blob_key"]
        expected = {name: value for name, value in recorded.items() if name not in ("blob", "manifest_json")}
        assert _as_told(rkt_store.told_image(rows[key])) == expected
        assert store.get_image_manifest_json(key).decode() == recorded["manifest_json"]
        assert store.get_image_manifest(key).marshal().decode() == recorded["manifest_json"]
    remotes = {row.url: row for row in store.all_remotes()}
    assert remotes.keys() == {remote["aci_url"] for remote in told["contains"]["remotes"]}
    for recorded in told["contains"]["remotes"]:
        # Times later than the recording were recorded as taken during it.
        expected = {name: value for name, value in recorded.items() if value != "@0"}
        ours = _as_told(rkt_store.told_remote(remotes[recorded["aci_url"]]))
        assert isinstance(ours, dict)
        assert expected.items() <= ours.items()


@BOTH
def test_rows_come_in_the_order_of_an_unsorted_scan(request: pytest.FixtureRequest, store: AciStore) -> None:
    order = _told(request.node.callspec.params["cas"])["db"]["natural_order"]

    assert [row.key for row in store.all_aci_infos()] == order["aciinfo"]
    assert [row.url for row in store.all_remotes()] == order["remote"]


@SMALL
def test_every_question_is_answered_as_recorded(cas: Path) -> None:
    with AciStore.open(str(cas)) as store:
        for question in _told("rkt-store")["queries"]:
            try:
                value = rkt_store.OPERATIONS[question["op"]](store, question["args"])
                answer = adapter.Answer(value=_as_told(value))
            except OrlopError as error:
                answer = adapter.Answer(error=error)
            expected = _without_stars(question["result"])
            assert adapter.same_answer(expected, _only(expected, answer)), question


def _without_stars(value: object) -> Any:
    if isinstance(value, dict):
        return {name: _without_stars(item) for name, item in value.items() if item != "*"}
    return [_without_stars(item) for item in value] if isinstance(value, list) else value


def _only(expected: dict[str, Any], answer: adapter.Answer) -> adapter.Answer:
    """Without the last uses that the recording leaves open."""
    rows, found = expected.get("value"), answer.value
    if not isinstance(rows, list) or not isinstance(found, list) or not rows or "last_used" in rows[0]:
        return answer
    return adapter.Answer(value=[{name: row[name] for name in row if name != "last_used"} for row in found])


@SMALL
def test_every_archive_gives_the_manifest_that_is_stored(store: AciStore) -> None:
    for row in store.all_aci_infos():
        with store.read_stream(row.key) as stream:
            found = manifest.parse(aci.examine(stream))

        assert found.marshal() == store.get_image_manifest_json(row.key)


@BOTH
def test_looking_at_all_of_it_changes_nothing(cas: Path) -> None:
    before = adapter.snapshot(cas.parent)

    with AciStore.open(str(cas), read_only=True) as store:
        for row in store.all_aci_infos():
            store.get_image_manifest(row.key)
        store.all_remotes()
        store.dump()

    assert adapter.differences(before, adapter.snapshot(cas.parent)) == frozenset()


@pytest.mark.parametrize("version", OLDER)
def test_an_older_store_opens_and_shows_its_rows_but_is_not_changed(version: str, tmp_path: Path) -> None:
    cas = _extracted(f"rkt-store-{version}", tmp_path)
    told = _told("rkt-migrations")[f"rkt-store-{version}.tar.gz"]["after_open"]
    before = (cas / layout.QL).read_bytes()

    with AciStore.open(str(cas)) as store:
        found = {row.key: _as_told(rkt_store.told_image(row)) for row in store.all_aci_infos()}
        remotes = {row.url: _as_told(rkt_store.told_remote(row)) for row in store.all_remotes()}
        key = next(iter(found))
        with pytest.raises(Unsupported, match="version"):
            store.set_latest(key, True)
        with pytest.raises(Unsupported, match="version"):
            store.remove_aci(key)

    for recorded in told["aciinfos"]:
        ours = found[recorded["blob_key"]]
        assert isinstance(ours, dict)
        # Only migrating sets the last use, and reads the blobs for their sizes.
        set_by_migration = {"last_used", "size"} if recorded["last_used"] == "time of the migration" else set()
        assert {name for name in recorded if ours[name] != recorded[name]} <= set_by_migration
    assert remotes == {remote["aci_url"]: remote for remote in told["remotes"]}
    assert (cas / layout.QL).read_bytes() == before


def test_a_newer_store_is_refused_with_both_versions_named(tmp_path: Path) -> None:
    cas = _extracted("rkt-store-dbv8", tmp_path)
    told = _told("rkt-migrations")["rkt-store-dbv8.tar.gz"]["open_result"]

    with pytest.raises(Unsupported, match=r"8.*7") as opening:
        AciStore.open(str(cas))
    with pytest.raises(Unsupported, match=r"8.*7") as making:
        AciStore.create(str(cas), "ql")
    assert opening.value.engine == making.value.engine == told["error"]
