"""A row of a Docker store is verified when every layer below it was hashed in the version that is there now."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orlop.docker import layout
from orlop.docker.layerplace import Versions
from orlop.docker.model import Layer
from orlop.docker.store import DockerStore
from orlop.fs import Root
from orlop.progress import Silent
from orlop.records import Key, Trust
from orlop.samples import DataRoot, Image
from orlop.store import Hashing
from orlop.verified import VerifiedCache


class Shop:
    """An image on another, one that stands alone, and one without layers."""

    def __init__(self, path: str, driver: str) -> None:
        self.data = DataRoot.create(path, driver=driver)
        self.base = self.data.image({"dir/base": b"base" * 100}, names=["base:1"])
        self.app = self.data.image({"dir/app": b"app" * 100}, on=self.base, names=["app:1"])
        self.alone = self.data.image({"dir/alone": b"alone" * 100}, names=["alone:1"])
        self.bare = self.data.image(names=["bare:1"])
        self.verified = VerifiedCache(None, "store")

    def open(self, verified: VerifiedCache | None = None) -> DockerStore:
        return DockerStore(Root.open(self.data.path), self.data.driver, verified=verified)

    def recipe(self, image: Image) -> Path:
        assert image.top is not None
        return Path(self.data.at(layout.tar_split(self.data.driver, image.top.chain_id)))

    def tree(self, image: Image) -> Path:
        assert image.top is not None
        return Path(self.data.at(layout.layer_tree(self.data.driver, image.top.cache_id) or ""))


@pytest.fixture(params=["overlay2", "vfs"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    return Shop(str(tmp_path / "docker"), request.param)


@pytest.fixture
def store(shop: Shop) -> Iterator[DockerStore]:
    opened = shop.open(shop.verified)
    yield opened
    opened.close()


def check(store: DockerStore, shop: Shop, *images: Image, again: bool = False) -> list[str]:
    keys = [Key("", image.id, None) for image in images] or None
    how = Hashing(verified=shop.verified, again=again)
    return [one.rule for one in store.check(keys, content=True, progress=Silent(), hashing=how)]


def verified(store: DockerStore) -> set[str]:
    """Ids of the images whose rows say so; each then has a date, and no other has one."""
    rows = store.rows().rows
    assert {row.key for row in rows if row.trust is Trust.VERIFIED} == {row.key for row in rows if row.verified_at}
    return {row.id for row in rows if row.verified_at}


def test_a_check_of_the_contents_verifies_every_image(shop: Shop, store: DockerStore) -> None:
    assert verified(store) == set()
    check(store, shop)
    assert verified(store) == {shop.base.id, shop.app.id, shop.alone.id, shop.bare.id}
    again = shop.open(shop.verified)
    assert again.rows().rows == store.rows().rows
    again.close()


def test_what_is_checked_of_one_image_verifies_those_that_have_all_of_it(shop: Shop, store: DockerStore) -> None:
    check(store, shop, shop.base)
    assert verified(store) == {shop.base.id}
    check(store, shop, shop.app)
    assert verified(store) == {shop.base.id, shop.app.id}


def test_the_oldest_layer_gives_the_date(shop: Shop, store: DockerStore) -> None:
    check(store, shop, shop.base)
    check(store, shop, shop.app)
    dates = {row.id: row.verified_at for row in store.rows().rows}
    assert dates[shop.app.id] == dates[shop.base.id]
    low, high = store.detail(Key("", shop.app.id, None)).layers
    assert low.verified_at == dates[shop.base.id]
    assert high.verified_at is not None
    assert low.verified_at is not None
    assert high.verified_at > low.verified_at


def test_a_layer_of_an_image_that_is_not_verified_has_its_own_date(shop: Shop, store: DockerStore) -> None:
    check(store, shop, shop.base)
    low, high = store.detail(Key("", shop.app.id, None)).layers
    assert low.verified_at is not None
    assert high.verified_at is None


@pytest.mark.parametrize("part", ["recipe", "tree"])
@pytest.mark.parametrize("hints", ["all", "its own"])
def test_what_was_written_to_since_is_linked(shop: Shop, store: DockerStore, part: str, hints: str) -> None:
    check(store, shop)
    rows = {row.id: row for row in store.rows().rows}
    os.utime(shop.recipe(shop.base) if part == "recipe" else shop.tree(shop.base))
    assert shop.base.top is not None
    record, data = layout.layer(shop.data.driver, shop.base.top.chain_id), shop.base.top.cache_id
    own = [record if part == "recipe" else layout.layer_data(shop.data.driver, data) or ""]
    store.refresh(())  # takes up what the check noted
    delta = store.refresh(own if hints == "its own" else None)
    assert delta.changed == {rows[shop.base.id].key, rows[shop.app.id].key}
    assert verified(store) == {shop.alone.id, shop.bare.id}
    check(store, shop)
    assert verified(store) == rows.keys()


def test_the_next_refresh_names_the_rows_that_were_verified_and_no_other_does(shop: Shop, store: DockerStore) -> None:
    check(store, shop, shop.alone)
    assert {key.id for key in store.refresh(()).changed} == {shop.alone.id}
    assert not store.refresh(())
    assert not store.refresh(None)


def test_what_is_found_wrong_is_verified_no_more(shop: Shop, store: DockerStore) -> None:
    check(store, shop)
    file = shop.tree(shop.base) / "dir/base"
    before = file.stat()
    file.write_bytes(b"BASE" * 100)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "DK08" in check(store, shop, again=True)
    assert verified(store) == {shop.alone.id, shop.bare.id}


def test_a_store_that_nothing_is_known_of_looks_nothing_up(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("orlop.docker.proven.Versions", refuse)
    for cache in (None, shop.verified):
        store = shop.open(cache)
        store.refresh(None)
        assert verified(store) == set()
        store.close()


def test_a_refresh_looks_up_what_changed_and_nothing_else(
    shop: Shop, store: DockerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(store, shop)
    looked: list[str] = []
    of = Versions.of

    def watched(versions: Versions, layer: Layer) -> str:
        looked.append(layer.chain_id)
        return of(versions, layer)

    monkeypatch.setattr(Versions, "of", watched)
    store.refresh(())
    assert looked == []
    assert shop.base.top is not None
    store.refresh([layout.layer(shop.data.driver, shop.base.top.chain_id)])
    assert looked == [shop.base.top.chain_id]
