"""Layers that were verified before are passed over, until anything in them changes."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orlop import kinds
from orlop.docker import layout
from orlop.finding import Finding
from orlop.progress import Silent
from orlop.samples import DataRoot, Image
from orlop.spread import Budget
from orlop.store import Hashing
from orlop.verified import VerifiedCache


class Shop:
    """Three images of one layer each."""

    def __init__(self, path: str, driver: str) -> None:
        self.data = DataRoot.create(path, driver=driver)
        self.images = [self.data.image({f"dir/{name}": name.encode() * 1000}, names=[f"{name}:1"]) for name in "abc"]
        self.verified = VerifiedCache(None, "store")

    def tree(self, image: Image) -> Path:
        assert image.top is not None
        return Path(self.data.at(layout.layer_tree(self.data.driver, image.top.cache_id) or ""))

    def check(self, *, again: bool = False, budget: Budget | None = None) -> tuple[list[str], int]:
        """Rules of the damage that was found, and bytes that were hashed."""
        purse = budget or Budget()
        store = kinds.open(self.data.path)
        try:
            how = Hashing(verified=self.verified, again=again, budget=purse)
            found: list[Finding] = list(store.check(None, content=True, progress=Silent(), hashing=how))
        finally:
            store.close()
        return [one.rule for one in found if one.severity.is_damage], purse.done


@pytest.fixture(params=["overlay2", "vfs"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    return Shop(str(tmp_path / "docker"), request.param)


def rot(file: Path) -> None:
    """Other bytes, as a disk gives them that is failing: the file's times stay."""
    data = bytearray(file.read_bytes())
    data[5] ^= 4
    file.write_bytes(data)


def test_a_second_check_hashes_nothing(shop: Shop) -> None:
    assert shop.check() == ([], 3000)
    assert len(shop.verified) == 3
    assert shop.check() == ([], 0)


def test_again_hashes_everything(shop: Shop) -> None:
    shop.check()
    assert shop.check(again=True) == ([], 3000)


@pytest.mark.parametrize(
    "touch",
    [
        lambda file: os.utime(file, ns=(1, 1)),
        lambda file: file.chmod(0o600),
        lambda file: os.replace(_copy(file), file),
        lambda file: (file.parent / "more").write_bytes(b""),
    ],
    ids=["time", "mode", "replaced", "a file more"],
)
def test_a_layer_in_which_anything_changed_is_hashed_anew(shop: Shop, touch: Callable[[Path], object]) -> None:
    shop.check()
    touch(shop.tree(shop.images[1]) / "dir/b")
    assert shop.check() == ([], 1000)
    assert shop.check() == ([], 0)


def _copy(file: Path) -> Path:
    copy = file.with_name("copy")
    copy.write_bytes(file.read_bytes())
    return copy


def test_what_is_wrong_is_not_remembered(shop: Shop) -> None:
    shop.check()
    rot(shop.tree(shop.images[0]) / "dir/a")
    assert shop.check() == (["DK08"], 1000)
    assert len(shop.verified) == 2
    assert shop.check() == (["DK08"], 1000)


def test_a_budget_ends_it_and_the_next_check_goes_on_there(shop: Shop) -> None:
    budget = Budget(bytes=1500)
    assert shop.check(budget=budget) == ([], 2000)
    assert budget.reached
    assert len(shop.verified) == 2
    assert shop.check(budget=Budget(bytes=1500)) == ([], 1000)
    assert shop.check() == ([], 0)


def test_again_within_a_budget_begins_with_what_was_verified_longest_ago(shop: Shop) -> None:
    shop.check()
    trees = {image.layers[0].diff_id: shop.tree(image) for image in shop.images}
    hashed: list[str] = []
    for _ in range(3):
        before = _times(shop)
        shop.check(again=True, budget=Budget(bytes=1))
        hashed += [diff_id for diff_id, at in _times(shop).items() if at != before[diff_id]]
    assert sorted(hashed) == sorted(trees)


def _times(shop: Shop) -> dict[str, int]:
    from orlop.docker.layerplace import Place, version_of
    from orlop.fs import Root

    found = {}
    with Root.open(shop.data.path) as root:
        for image in shop.images:
            [layer] = image.layers
            tree = layout.layer_tree(shop.data.driver, layer.cache_id) or ""
            place = Place(recipe=layout.tar_split(shop.data.driver, layer.chain_id), tree=tree)
            seen = shop.verified.find(layer.diff_id, version_of(root, place))
            assert seen is not None
            found[layer.diff_id] = seen.at
    return found


def test_without_a_cache_nothing_is_noted(shop: Shop) -> None:
    store = kinds.open(shop.data.path)
    assert [one for one in store.check(None, content=True, progress=Silent()) if one.severity.is_damage] == []
    store.close()
    assert len(shop.verified) == 0
