"""A registry that the program of January 2015 wrote, read back whole with Orlop's library."""

import hashlib
import json
import lzma
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from orlop import times
from orlop.registry.earlystorage import EarlyStorage
from orlop.registry.filedriver import FileDriver
from orlop.registry.tarsum import tarsum
from tests.vectors import adapter

STORES = Path(__file__).parent / "stores"


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """What the registry must be found to contain."""
    value: dict[str, Any] = json.loads(lzma.decompress((STORES / "registry-root.json.xz").read_bytes()))
    return value


@pytest.fixture
def root(tmp_path: Path, told: dict[str, Any]) -> Path:
    with tarfile.open(STORES / "registry-root.tar.xz") as archive:
        archive.extractall(tmp_path, filter="fully_trusted")
    (tmp_path / str(told["top_directory"])).rename(tmp_path / "root")
    return tmp_path / "root"


@pytest.fixture
def storage(root: Path) -> EarlyStorage:
    return EarlyStorage(FileDriver(str(root)))


def test_each_repository_serves_its_layers_and_no_others(told: dict[str, Any], storage: EarlyStorage) -> None:
    assert sorted(storage.repositories()) == sorted(told["access"])
    for name, access in told["access"].items():
        layers = storage.repository(name).layers
        assert {digest: layers.exists(digest) for digest in access} == access, name


def test_every_layer_is_as_recorded_and_is_what_it_is_called(
    root: Path, told: dict[str, Any], storage: EarlyStorage
) -> None:
    seen = set()
    for name, access in told["access"].items():
        for digest in (digest for digest, granted in access.items() if granted):
            layer = storage.repository(name).layers.fetch(digest)
            with layer.reader() as stream:
                content = stream.read()
            recorded = told["layers"][digest]
            assert {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()} == recorded
            assert (layer.repository, layer.digest, layer.canonical, layer.size) == (name, digest, digest, len(content))
            assert layer.created_at == os.stat(root / layer.path).st_mtime_ns
            with layer.reader() as stream:
                assert tarsum(stream) == digest
            seen.add(digest)
    assert seen == told["layers"].keys()


def test_every_open_upload_can_be_resumed(told: dict[str, Any], storage: EarlyStorage) -> None:
    for recorded in told["open_uploads"]:
        upload = storage.repository(recorded["name"]).layers.resume(recorded["uuid"])
        assert (upload.uuid, upload.started, upload.offset) == (recorded["uuid"], recorded["started_at"], 0)
        assert upload.started_at == times.parse(recorded["started_at"])
        assert upload.size == upload.seek(0, os.SEEK_END) == recorded["size"]
    uploads = {name: storage.repository(name).layers.uploads() for name in told["access"]}
    found = {(name, uuid) for name, uuids in uploads.items() for uuid in uuids}
    assert found == {(recorded["name"], recorded["uuid"]) for recorded in told["open_uploads"]}


def test_reading_all_of_it_changes_nothing(root: Path, told: dict[str, Any], storage: EarlyStorage) -> None:
    for name in list(storage.repositories()):
        layers = storage.repository(name).layers
        for digest in told["layers"]:
            layers.exists(digest)
        for uuid in layers.uploads():
            layers.resume(uuid)
    found = {path: entry for path, entry in adapter.snapshot(root.parent).items() if path != "."}
    assert adapter.differences(told["tree"], found) == frozenset()
