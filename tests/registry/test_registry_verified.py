"""A row of a registry is verified when every byte that a pull would send was hashed, and says since when."""

import os
from pathlib import Path

import pytest

from orlop.fs import Root
from orlop.records import Row, Trust
from orlop.registry.content import Task
from orlop.registry.door import RegistryStore
from orlop.verified import Proof, VerifiedCache, version_text
from tests.registry.making import FOREIGN_LAYER, OCI_CONFIG, OCI_MANIFEST, V2, Storage


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "registry")


class Memory(VerifiedCache):
    """Verified, blob by blob, as a test says; a second later each time."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(None, "store")
        self.storage = storage
        self.clock = 0

    def note(self, *digests: str) -> None:
        for digest in digests:
            self.clock += 1
            path = self.storage.blob_path(digest)
            with Root.open(str(path.parent)) as folder:
                version = version_text(folder.stat(path.name).version)
            self.add([Proof(digest=digest, version=version, at=self.clock)])


def rows(storage: Storage, memory: VerifiedCache) -> dict[str, Row]:
    """Rows by the digest of their manifest."""
    store = RegistryStore(Root.open(str(storage.path)), V2, verified=memory)
    try:
        return {row.id: row for row in store.rows().rows}
    finally:
        store.close()


def state(row: Row) -> tuple[Trust, int | None]:
    return row.trust, row.verified_at


def test_manifest_config_and_every_layer_count_and_the_oldest_date_is_shown(storage: Storage) -> None:
    image = storage.image("app", "v1", layers=(b"one", b"two"))
    parts = (image.layers[1], image.digest, image.config, image.layers[0])
    for missing in parts:
        memory = Memory(storage)
        memory.note(*(part for part in parts if part != missing))
        assert state(rows(storage, memory)[image.digest]) == (Trust.LINKED, None)
    memory = Memory(storage)
    memory.note(*parts)
    assert state(rows(storage, memory)[image.digest]) == (Trust.VERIFIED, 1)
    memory.note(parts[0])
    assert state(rows(storage, memory)[image.digest]) == (Trust.VERIFIED, 2)


def test_each_layer_says_when_it_was_verified(storage: Storage) -> None:
    image = storage.image("app", "v1", layers=(b"one", b"two"))
    memory = Memory(storage)
    memory.note(image.layers[1])
    store = RegistryStore(Root.open(str(storage.path)), V2, verified=memory)
    [row] = store.rows().rows
    assert [layer.verified_at for layer in store.detail(row.key).layers] == [None, 1]
    store.close()


def test_an_index_is_as_old_as_the_oldest_of_its_children(storage: Storage) -> None:
    first, second = storage.image("app", cmd="amd64"), storage.image("app", cmd="arm64")
    document = [first.digest, second.digest]
    inner = storage.index("app", document)
    outer = storage.index("app", [inner], "v1")
    memory = Memory(storage)
    memory.note(outer, inner, *first.layers, first.config, first.digest)
    found = rows(storage, memory)
    assert state(found[outer]) == state(found[inner]) == (Trust.LINKED, None)
    assert state(found[first.digest]) == (Trust.VERIFIED, 3)
    memory.note(second.config, second.digest)  # they share the layer
    found = rows(storage, memory)
    assert [state(found[digest]) for digest in (outer, inner, second.digest)] == [
        (Trust.VERIFIED, 1),
        (Trust.VERIFIED, 2),
        (Trust.VERIFIED, 3),
    ]


def test_a_layer_that_lies_elsewhere_by_design_is_not_waited_for(storage: Storage) -> None:
    config = storage.layer("app", b"{}")
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": config, "size": 2},
        "layers": [{"mediaType": FOREIGN_LAYER, "digest": "sha256:" + "f" * 64, "size": 9, "urls": ["https://x/y"]}],
    }
    digest = storage.manifest("app", document, "v1")
    memory = Memory(storage)
    memory.note(config, digest)
    assert state(rows(storage, memory)[digest]) == (Trust.VERIFIED, 1)


def test_what_is_damaged_is_never_verified(storage: Storage) -> None:
    image = storage.image("app", "v1", layers=(b"one", b"two"))
    memory = Memory(storage)
    memory.note(image.digest, image.config, *image.layers)
    storage.layer_path("app", image.layers[0]).unlink()
    assert state(rows(storage, memory)[image.digest]) == (Trust.LISTED, None)


def test_an_image_that_is_in_two_repositories_is_verified_in_both(storage: Storage) -> None:
    image = storage.image("app", "v1")
    assert storage.image("copy", "v1").digest == image.digest
    memory = Memory(storage)
    memory.note(image.digest, image.config, *image.layers)
    store = RegistryStore(Root.open(str(storage.path)), V2, verified=memory)
    assert [state(row) for row in store.rows().rows] == [(Trust.VERIFIED, 1)] * 2
    store.close()


def test_a_registry_that_stores_a_blob_anew_unverifies_what_needs_it(storage: Storage) -> None:
    image, other = storage.image("app", "v1"), storage.image("other", "v1", layers=(b"other",))
    memory = Memory(storage)
    memory.note(image.digest, image.config, *image.layers, other.digest, other.config, *other.layers)
    store = RegistryStore(Root.open(str(storage.path)), V2, verified=memory)
    path = storage.blob_path(image.layers[0])
    beside = path.with_name("new")
    beside.write_bytes(path.read_bytes())
    os.replace(beside, path)
    delta = store.refresh(None)
    found = {row.id: row for row in store.rows().rows}
    assert state(found[image.digest]) == (Trust.LINKED, None)
    assert found[other.digest].trust is Trust.VERIFIED
    assert delta.changed == {found[image.digest].key}
    memory.note(image.layers[0])
    assert store.refresh(()).changed == {found[image.digest].key}
    store.close()


def test_a_blob_that_changes_while_it_is_hashed_is_not_remembered(storage: Storage) -> None:
    digest = storage.blob(b"x" * 3_000_000)
    path = storage.blob_path(digest)
    told: list[int] = []

    def touching(count: int) -> None:
        told.append(count)
        os.utime(path)

    root = str(storage.path)
    result = Task(root=root, path=storage.relative(path), digest=digest, size=3_000_000).run(touching)
    assert result.matches
    assert not result.lasting
    assert sum(told) == result.read == 3_000_000
