"""No false alarm: a check of every byte finds no damage in what rkt wrote, but for what the makers put there."""

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from orlop import kinds
from orlop.progress import Silent
from orlop.records import Trust
from orlop.samples import make, make_registry, make_rkt
from orlop.spread import Budget
from orlop.store import Hashing
from orlop.verified import VerifiedCache

STORES = Path(__file__).parent / "stores"
WRONG_SIZES = ["RK12", "RK12"]
"""Two rows of the store of version 6 were given sizes that tell them apart."""


def damage(path: str, trust: Trust = Trust.VERIFIED) -> list[str]:
    """The rules of the damage that is found; every row is so trusted then."""
    budget = Budget()
    cache = VerifiedCache(None, "store")
    store = kinds.open(path, verified=lambda _: cache)
    try:
        found = list(store.check(None, content=True, progress=Silent(), hashing=Hashing(verified=cache, budget=budget)))
        assert budget.done > 10_000
        assert {row.trust for row in store.rows().rows} == {trust}
    finally:
        store.close()
    return [one.rule for one in found if one.severity.is_damage]


@pytest.mark.parametrize("name", ["rkt-store", "rkt-store-large", "dbv2", "dbv4", "dbv6", "dbv8"])
def test_what_rkt_wrote_is_sound(tmp_path: Path, name: str) -> None:
    with tarfile.open(STORES / f"{name if name.startswith('rkt') else f'rkt-store-{name}'}.tar.xz") as archive:
        archive.extractall(tmp_path, filter="fully_trusted")
    trust = Trust.LISTED if name == "dbv8" else Trust.VERIFIED  # of a later rkt: its catalogue cannot be read
    assert damage(str(tmp_path / "cas"), trust) == (WRONG_SIZES if name == "dbv6" else [])


@pytest.mark.parametrize("made", [make, make_registry, make_rkt])
def test_samples_without_their_faults_are_sound(tmp_path: Path, made: Callable[..., object]) -> None:
    made(str(tmp_path / "sample"), damage=False)
    assert damage(str(tmp_path / "sample")) == []
