"""Damage that a change brings to light, and that its plan told of, is no reason to take the change back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orlop.apply import apply, finish, undo
from orlop.errors import WouldHarm
from orlop.intent import Intent, Tag
from orlop.journal import Journal, State
from orlop.plan import Plan

if TYPE_CHECKING:
    from tests.crash.conftest import SmallStore

TAG_ONE = Tag(image="one", name="a:3")


@pytest.fixture
def outspoken(small: SmallStore, small_folder: Path) -> SmallStore:
    """A store with an empty image that no name leads to; its plans tell that a name will."""
    (small_folder / "images/one").write_text("")
    names = small.root.read("names.json").replace(b'"one"', b'"two"')
    (small_folder / "names.json").write_bytes(names)
    small.refresh()

    class Outspoken(type(small)):  # type: ignore[misc]
        def plan(self, intent: Intent) -> Plan:
            plan = super().plan(intent)
            assert isinstance(plan, Plan)
            return replace(plan, reveals=(("SM3", "images/one", ""),))

    found: SmallStore = Outspoken(str(small_folder))
    return found


def planned(store: SmallStore) -> Plan:
    plan = store.plan(TAG_ONE)
    assert isinstance(plan, Plan)
    return plan


def test_damage_that_the_plan_told_of_does_not_take_the_change_back(
    small: SmallStore, outspoken: SmallStore, small_folder: Path
) -> None:
    silent = type(small)(str(small_folder))
    with pytest.raises(WouldHarm):
        apply(silent, planned(silent), Journal.of(silent.root))
    receipt = apply(outspoken, planned(outspoken), Journal.of(outspoken.root))
    assert receipt.findings == ()
    silent.close()
    assert Journal.of(outspoken.root).changes()[-1].state is State.DONE


def test_nor_does_it_when_the_change_was_cut_off_and_is_finished(
    outspoken: SmallStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orlop.journal.Log.add", _dying)
    with pytest.raises(KeyboardInterrupt):
        apply(outspoken, planned(outspoken), Journal.of(outspoken.root))
    monkeypatch.undo()
    finish(outspoken, Journal.of(outspoken.root))
    assert Journal.of(outspoken.root).changes()[-1].state is State.DONE
    undo(outspoken, Journal.of(outspoken.root))


def _dying(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
