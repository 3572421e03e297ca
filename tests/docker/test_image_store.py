"""Images over a backend: families, layers, searching, and opening on what is there."""

import json
from pathlib import Path

import pytest

from orlop.digest import Digest, chain_ids
from orlop.docker.imagebackend import FailedToVerify, FileImageBackend, MemoryImageBackend
from orlop.docker.imagestore import (
    ImageStore,
    LayerMissing,
    MemoryLayerReferences,
    NoSuchImage,
    UnknownParent,
    UnrecognizedImage,
)
from orlop.docker.layerreferences import CountedLayer
from orlop.errors import Ambiguous, Malformed, NotFound

DIFF_IDS = tuple(Digest.of(b"layer %d" % number) for number in range(3))
CHAIN = chain_ids(DIFF_IDS)


def config(comment: str = "", *, layers: int = 0, **more: object) -> bytes:
    rootfs = {"type": "layers", "diff_ids": DIFF_IDS[:layers]} if layers else {"type": "layers"}
    return json.dumps({"comment": comment, "rootfs": rootfs, **more}).encode()


class Opened:
    """A store in memory that can be opened anew."""

    def __init__(self) -> None:
        self.backend = MemoryImageBackend()
        self.layers = MemoryLayerReferences()
        self.store = ImageStore(self.backend, self.layers)

    def again(self, *, skip_missing_layers: bool = False) -> ImageStore:
        self.layers = MemoryLayerReferences(self.layers.missing)
        self.store = ImageStore(self.backend, self.layers, skip_missing_layers=skip_missing_layers)
        return self.store


@pytest.fixture
def opened() -> Opened:
    return Opened()


def test_an_image_is_read_back_with_all_that_the_engine_sees_in_it(opened: Opened) -> None:
    data = config("hi", layers=2, os="linux", architecture="arm64", variant="v8", created="2016-01-01T00:00:00.5+02:00")
    image = opened.store.create(data)

    record = opened.store.get(image)

    assert (record.id, record.parent, record.config.raw) == (image, "", data)
    assert (record.config.rootfs.diff_ids, record.config.chain_id) == (DIFF_IDS[:2], CHAIN[1])
    assert (record.config.os, record.config.architecture, record.config.variant) == ("linux", "arm64", "v8")
    assert record.config.created == "2016-01-01T00:00:00.5+02:00"
    assert record.config.created_at == 1451599200_500000000


def test_the_top_layer_is_held_once_for_each_image_until_the_last_one_goes(opened: Opened) -> None:
    one, other = opened.store.create(config("1", layers=3)), opened.store.create(config("2", layers=3))
    opened.store.create(config("1", layers=3))
    assert opened.layers.counts() == {CHAIN[2]: 2}

    assert opened.store.delete(one).freed == ()
    assert [layer.chain_id for layer in opened.store.delete(other).freed] == [CHAIN[2]]
    assert opened.layers.counts() == {}


def test_more_history_than_layers_is_refused_and_nothing_is_written(opened: Opened) -> None:
    history = [{"created_by": "a"}, {"created_by": "b", "empty_layer": True}, {"created_by": "c"}]

    with pytest.raises(Malformed) as refused:
        opened.store.create(config(layers=1, history=history))

    assert refused.value.engine == "too many non-empty layers in History section"
    assert list(opened.backend.walk()) == []
    opened.store.create(config(layers=2, history=history))


def test_an_image_whose_layer_is_missing_is_none_until_the_layer_is_there(opened: Opened) -> None:
    opened.layers.missing = frozenset({CHAIN[1]})
    kept = opened.store.create(config(layers=1))

    with pytest.raises(LayerMissing) as missing:
        opened.store.create(config(layers=2))
    assert (missing.value.chain_id, missing.value.engine) == (CHAIN[1], "layer does not exist")
    with pytest.raises(LayerMissing):
        opened.again()

    store = opened.again(skip_missing_layers=True)
    assert list(store.map()) == [kept]
    (reason,) = store.skipped.values()
    assert isinstance(reason, LayerMissing)
    opened.layers.missing = frozenset()
    assert len(opened.again().map()) == 2


def test_images_that_cannot_be_read_are_skipped_with_their_reasons(tmp_path: Path) -> None:
    backend = FileImageBackend(str(tmp_path))
    sound = ImageStore(backend, MemoryLayerReferences()).create(config())
    damaged, no_config = backend.set(b"x"), backend.set(b"{}")
    (tmp_path / "content/sha256" / damaged.hex).write_bytes(b"y")

    store = ImageStore(backend, MemoryLayerReferences())

    assert list(store.map()) == [sound]
    assert isinstance(store.skipped[damaged], FailedToVerify)
    assert isinstance(store.skipped[no_config], Malformed)
    with pytest.raises(UnrecognizedImage):
        store.delete(damaged)


def test_a_family_is_remembered_and_loses_its_parent_key_with_the_parent(opened: Opened) -> None:
    top, middle, bottom = (opened.store.create(config(name)) for name in "abc")
    opened.store.set_parent(middle, top)
    opened.store.set_parent(bottom, middle)
    store = opened.again()
    assert (store.children(top), store.children(middle), set(store.heads())) == ((middle,), (bottom,), {bottom})
    assert store.get(bottom).parent == middle

    assert store.delete(middle).failures == ()

    assert store.children(top) == ()
    assert set(store.heads()) == {top, bottom}
    with pytest.raises(NotFound):
        store.get_parent(bottom)


def test_a_child_that_moves_leaves_its_former_parent(opened: Opened) -> None:
    one, other, child = (opened.store.create(config(name)) for name in "abc")
    opened.store.set_parent(child, one)
    opened.store.set_parent(child, other)

    assert (opened.store.children(one), opened.store.children(other)) == ((), (child,))
    with pytest.raises(UnknownParent) as unknown:
        opened.store.set_parent(child, Digest.of(b"stranger"))
    assert unknown.value.engine == f"unknown parent image ID {Digest.of(b'stranger')}"


def test_an_image_is_found_by_the_start_of_its_id_with_and_without_the_algorithm(opened: Opened) -> None:
    images = sorted(opened.store.create(config(str(number))) for number in range(40))
    lone = next(image for image in images if sum(other.hex[:2] == image.hex[:2] for other in images) == 1)

    for term in (lone, lone.hex, lone.hex[:2], lone[:9], lone.hex[:63]):
        assert opened.store.search(term) == lone
    for term in (lone.upper(), lone.hex.upper()[:-1] + "G", "sha512:" + lone.hex, "sha256:", "zz", lone + "0"):
        with pytest.raises(NoSuchImage) as missing:
            opened.store.search(term)
        assert missing.value.engine == f"No such image: {term}"
    with pytest.raises(Ambiguous) as several:
        opened.store.search("")
    assert several.value.engine == "ambiguous digest string"


def test_a_deleted_image_is_found_no_more_and_no_longer_in_the_way(opened: Opened) -> None:
    one, other = opened.store.create(config("1")), opened.store.create(config("2"))
    opened.store.delete(one)

    assert opened.store.search("") == other
    with pytest.raises(NoSuchImage):
        opened.store.search(one)


def test_later_engines_keys_are_set_and_read(opened: Opened) -> None:
    image = opened.store.create(config())
    assert (opened.store.get_last_updated(image), opened.store.is_built_locally(image)) == (None, False)

    opened.store.set_last_updated(image, 1451599200_500000000)
    opened.store.set_built_locally(image)

    assert opened.backend.get_metadata(image, "lastUpdated") == b"2015-12-31T22:00:00.5Z"
    assert opened.backend.get_metadata(image, "builtLocally") == b"\x01"
    assert (opened.store.get_last_updated(image), opened.store.is_built_locally(image)) == (1451599200_500000000, True)
    opened.backend.set_metadata(image, "lastUpdated", b"")
    assert opened.store.get_last_updated(image) is None
    with pytest.raises(NotFound):
        opened.store.get_last_updated(Digest.of(b"stranger"))


def test_what_could_not_be_removed_is_told(tmp_path: Path) -> None:
    backend = FileImageBackend(str(tmp_path))
    store = ImageStore(backend, MemoryLayerReferences())
    image = store.create(config())
    content = tmp_path / "content/sha256" / image.hex
    content.unlink()
    (content / "in the way").mkdir(parents=True)

    deletion = store.delete(image)

    assert [type(failure).__name__ for failure in deletion.failures] == ["AlreadyExists"]
    assert store.map() == {}


def test_the_marshalled_config_has_the_parent_of_the_store_and_known_members_only(opened: Opened) -> None:
    parent = opened.store.create(config("p"))
    image = opened.store.create(config(unknown=1, parent="sha256:feed", Size=3))
    opened.store.set_parent(image, parent)

    written = json.loads(opened.store.get(image).marshal())

    assert (written["parent"], written["Size"], "unknown" in written) == (parent, 3, False)
    assert list(written) == sorted(written)


def test_layers_are_let_go_once_nothing_on_disk_needs_them(tmp_path: Path) -> None:
    backend = FileImageBackend(str(tmp_path))
    there: list[list[str]] = []

    class Watching(MemoryLayerReferences):
        def release(self, chain_id: str) -> tuple[CountedLayer, ...]:
            there.append(list(backend.walk()))
            return super().release(chain_id)

    store = ImageStore(backend, Watching())
    image = store.create(config(layers=1))

    store.delete(image)

    assert there == [[]]
