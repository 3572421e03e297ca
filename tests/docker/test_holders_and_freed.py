"""Which images of a Docker store hold a thing, and what the deletion of some of them frees."""

import pytest

from orlop import kinds
from orlop.records import Holding, Key
from orlop.samples import DataRoot
from orlop.store import Store


@pytest.fixture
def data(tmp_path_factory: pytest.TempPathFactory) -> DataRoot:
    return DataRoot.create(str(tmp_path_factory.mktemp("docker")))


def keys(store: Store, *names: str) -> list[Key]:
    return [row.key for row in store.rows().rows if row.key.name in names]


def test_a_layer_is_held_by_every_image_on_it_under_each_of_its_identities(data: DataRoot) -> None:
    base = data.image({"a": b"x"}, names=["base:1"])
    child = data.image({"b": b"y"}, on=base, names=["child:1"])
    data.image({"c": b"z"}, names=["other:1"])
    layer = base.layers[0]
    blob = data.mapping(layer, "localhost:5000/team/Base")
    store = kinds.open(data.path)
    for text in (layer.diff_id, layer.diff_id[7:19].upper(), layer.chain_id, layer.cache_id[:12], blob, blob[:20]):
        assert store.holders(Holding.LAYER, text) == {base.id, child.id}, text
    assert store.holders(Holding.LAYER, base.id) == frozenset()
    assert store.holders(Holding.SOURCE, "team/base") == {base.id, child.id}
    assert store.holders(Holding.SOURCE, "nowhere") == frozenset()


def test_a_digest_is_an_id_a_layer_or_a_name(data: DataRoot) -> None:
    base = data.image({"a": b"x"}, names=["base:1"])
    manifest = "sha256:" + "5" * 64
    data.tag(f"base@{manifest}", base.id)
    store = kinds.open(data.path)
    for text in (base.id, base.id[7:15], manifest[:12], base.layers[0].diff_id):
        assert store.holders(Holding.DIGEST, text) == {base.id}, text


def test_a_set_frees_the_layers_that_only_its_images_use(data: DataRoot) -> None:
    base = data.image({"a": b"x" * 10}, names=["base:1"])
    data.image({"b": b"y" * 100}, on=base, names=["one:1", "one:2"])
    data.image({"c": b"z" * 1000}, on=base, names=["two:1"])
    store = kinds.open(data.path)
    freed = {names: store.freed(keys(store, *names)) for names in (("one:1",), ("one:1", "one:2"), ("two:1",))}
    assert freed == {("one:1",): 0, ("one:1", "one:2"): 100, ("two:1",): 1000}
    assert store.freed(keys(store, "one:1", "one:2", "two:1")) == 1100
    assert store.freed([row.key for row in store.rows().rows]) == 1110
    assert store.freed([Key("", "sha256:" + "0" * 64, "gone:1")]) == 0


def test_a_chain_to_an_image_leads_to_its_row(data: DataRoot) -> None:
    base = data.image({"a": b"x"}, names=["base:1"])
    store = kinds.open(data.path)
    (chain,) = store.why(base.layers[0].diff_id).kept_by
    assert [link.key for link in chain] == [Key("", base.id, "base:1"), Key("", base.id, None), None]
