"""A store that the original programs wrote, read back whole with Orlop's library."""

import json
import lzma
import tarfile
from pathlib import Path
from typing import Any

import pytest

from orlop.docker.imagebackend import FileImageBackend
from orlop.docker.imagestore import ImageStore, MemoryLayerReferences
from orlop.docker.metadata import V1IdService, V2MetadataService
from orlop.docker.referencestore import ReferenceStore
from orlop.errors import OrlopError
from orlop.kv import FileKeyValue
from tests.vectors import adapter, images

STORES = Path(__file__).parent / "stores"


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """What the store must be found to contain."""
    value: dict[str, Any] = json.loads(lzma.decompress((STORES / "docker-image-root.json.xz").read_bytes()))
    return value


@pytest.fixture
def root(tmp_path: Path, told: dict[str, Any]) -> Path:
    with tarfile.open(STORES / "docker-image-root.tar.xz") as archive:
        archive.extractall(tmp_path, filter="fully_trusted")
    (tmp_path / str(told["top_directory"])).rename(tmp_path / "root")
    (tmp_path / "image").rmdir()
    return tmp_path / "root"


@pytest.fixture
def opened(root: Path, told: dict[str, Any]) -> images.Opened:
    layers = MemoryLayerReferences()
    backend = FileImageBackend(str(root / told["image_backend"]))
    return images.Opened(root=str(root), layers=layers, store=ImageStore(backend, layers))


def test_every_image_is_as_recorded(root: Path, told: dict[str, Any], opened: images.Opened) -> None:
    backend = FileImageBackend(str(root / told["image_backend"]))

    assert list(backend.walk()) == told["walk"]
    assert opened.store.skipped == {}
    assert set(opened.store.map()) == told["images"].keys()
    assert sorted(opened.store.heads()) == told["heads"]
    for image, recorded in told["images"].items():
        ours = {**images.get_image(opened, {"id": image}), "children": list(opened.store.children(image))}
        assert adapter.same_value(recorded, ours), image


def test_every_search_answers_as_recorded(told: dict[str, Any], opened: images.Opened) -> None:
    for search in told["search"]:
        try:
            answer = adapter.Answer(value=opened.store.search(search["term"]))
        except OrlopError as error:
            answer = adapter.Answer(error=error)
        assert adapter.same_answer(search["result"], answer), search["term"]


def test_every_name_leads_where_it_was_recorded(root: Path, told: dict[str, Any]) -> None:
    names = ReferenceStore.open(str(root / told["reference_file"]))

    assert told["references_by_name"]
    for name, recorded in told["references_by_name"].items():
        found = names.references_by_name(name)
        assert [{"id": entry.image, "ref": entry.name} for entry in found] == recorded
        assert all(names.get(entry.name) == entry.image for entry in found)
    for image, recorded in told["references_by_id"].items():
        assert list(names.references(image)) == recorded


def test_every_mapping_is_as_recorded(root: Path, told: dict[str, Any]) -> None:
    values = FileKeyValue(str(root / told["metadata_store"]))
    mappings, ids = V2MetadataService(values), V1IdService(values)

    for diff_id, recorded in told["v2_metadata"].items():
        entries = mappings.get_metadata(diff_id)
        assert [{"digest": entry.digest, "source_repository": entry.source} for entry in entries] == recorded
    for digest, diff_id in told["diffid_by_digest"].items():
        assert mappings.get_diff_id(digest) == diff_id
    for recorded in told["v1_ids"].values():
        assert ids.get(recorded["v1_id"], recorded["registry"]) == recorded["diff_id"]


def test_reading_all_of_it_changes_nothing(root: Path, told: dict[str, Any], opened: images.Opened) -> None:
    opened.store.heads()
    ReferenceStore.open(str(root / told["reference_file"]))
    V2MetadataService(FileKeyValue(str(root / told["metadata_store"])))

    assert adapter.differences(told["tree"], adapter.snapshot(root.parent)) == frozenset()
