"""Which manifests of a registry hold a thing, and what the deletion of some of them frees."""

import contextlib
from collections.abc import Iterator

from orlop.fs import Root
from orlop.records import Holding, Key
from orlop.registry.door import RegistryStore
from tests.registry.pushing import V2, Registry


@contextlib.contextmanager
def opened(registry: Registry) -> Iterator[RegistryStore]:
    store = RegistryStore(Root.open(str(registry.path)), V2)
    try:
        yield store
    finally:
        store.close()


def keys(store: RegistryStore, *names: str) -> list[Key]:
    return [row.key for row in store.rows().rows if row.key.name in names]


def test_a_layer_is_held_by_manifests_and_by_their_indexes(registry: Registry) -> None:
    child = registry.image("team/app", layers=(b"shared",))
    index = registry.index("team/app", "v1", children=[child])
    twin = registry.image("twin", "v1", layers=(b"shared", b"more"))
    registry.image("other", "v1", layers=(b"else",))
    with opened(registry) as store:
        for text in (child.layers[0], child.layers[0][7:19], child.diff_ids[0]):
            assert store.holders(Holding.LAYER, text) == {child.digest, index.digest, twin.digest}, text
        assert store.holders(Holding.DIGEST, twin.digest[:20]) == {twin.digest}
        assert store.holders(Holding.SOURCE, "TEAM/") == {child.digest, index.digest, twin.digest}
        assert store.holders(Holding.LAYER, "nothing") == frozenset()


def test_a_set_frees_the_blobs_that_only_its_manifests_need(registry: Registry) -> None:
    one = registry.image("app", "v1", layers=(b"shared" * 100, b"one" * 100))
    two = registry.image("app", "v2", layers=(b"shared" * 100, b"two" * 200))
    registry.image("copy", "v2", layers=(b"shared" * 100, b"two" * 200))

    def bytes_of(*digests: str) -> int:
        return sum(registry.blob_path(digest).stat().st_size for digest in digests)

    with opened(registry) as store:
        own = bytes_of(one.digest, one.config, one.layers[1])
        assert store.freed(keys(store, "app:v1")) == own
        assert store.freed(keys(store, "app:v2")) == 0
        assert store.freed(keys(store, "app:v2", "copy:v2")) == bytes_of(two.digest, two.config, two.layers[1])
        everything = keys(store, "app:v1", "app:v2", "copy:v2")
        assert store.freed(everything) == own + bytes_of(two.digest, two.config, *two.layers)
        assert store.freed([Key("gone", "", "gone:1")]) == 0


def test_a_chain_to_a_manifest_leads_to_its_row(registry: Registry) -> None:
    made = registry.image("app", "v1", layers=(b"one",))
    with opened(registry) as store:
        (chain,) = store.why(made.layers[0]).kept_by
    assert [link.key for link in chain] == [Key("app", made.digest, "app:v1"), Key("app", made.digest, None), None]
