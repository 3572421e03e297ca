"""Around a change a store is checked as far as the change reaches, and no less."""

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from orlop import kinds
from orlop.apply import apply, undo
from orlop.docker import check, layout
from orlop.intent import Intent, Remove, Tag
from orlop.journal import Journal
from orlop.plan import Plan
from orlop.progress import Silent
from orlop.records import Key
from orlop.samples import DataRoot
from orlop.store import ChecksNear, Statement, Store

OFFLINE = Statement(offline=True)


@pytest.fixture
def data(tmp_path: Path) -> DataRoot:
    data = DataRoot.create(str(tmp_path / "docker"))
    base = data.image({"a": b"x"}, names=["base:1"])
    data.image({"b": b"y"}, on=base, names=["child:1"])
    return data


@pytest.fixture
def recipes() -> Iterator[list[int]]:
    """How many recipes were about to be read, each time that the rule ran."""
    asked: list[int] = []
    rule = check.recipes

    def count(root: object, model: object, chains: set[str] | None, *others: object) -> object:
        asked.append(-1 if chains is None else len(chains))
        return rule(root, model, chains, *others)  # type: ignore[arg-type]

    with mock.patch.object(check, "recipes", count):
        yield asked


def planned(store: Store, intent: Intent) -> Plan:
    plan = store.plan(intent)
    assert isinstance(plan, Plan), plan
    return plan


def test_a_name_reads_no_recipe_and_an_image_reads_all(data: DataRoot, recipes: list[int]) -> None:
    store = kinds.open(data.path)
    base = store.find("base:1")[0]
    journal = Journal.of(store.root)
    apply(store, planned(store, Tag(image=base.id, name="base:2")), journal, statement=OFFLINE)
    undo(store, journal, statement=OFFLINE)
    assert set(recipes) == {0}
    recipes.clear()
    apply(store, planned(store, Remove(keys=store.find("child:1"))), journal, statement=OFFLINE)
    assert set(recipes) == {-1}


def test_what_is_left_out_is_no_less_than_what_names_can_spoil(data: DataRoot) -> None:
    lost = Key("", "sha256:" + "0" * 64, "lost:1")
    data.tag("lost:1", lost.id)
    store = kinds.open(data.path)
    assert isinstance(store, ChecksNear)
    Path(data.at(layout.tar_split(data.driver, next(iter(store.model.layers))))).unlink()  # type: ignore[attr-defined]
    near = {f.rule for f in store.check_near([layout.tag_file(data.driver)], progress=Silent())}
    whole = {f.rule for f in store.check(None, content=False, progress=Silent())}
    assert "DK02" in near
    assert whole - near == {"DK09"}
    layer = layout.layers(data.driver) + "/x"
    assert {f.rule for f in store.check_near([layer], progress=Silent())} == whole
