"""Whether a change could be taken back is told without touching anything."""

import os
from pathlib import Path

import pytest

from orlop import kinds
from orlop.apply import apply, check_undo, undo
from orlop.errors import Changed, NotFound, Refused
from orlop.intent import Remove
from orlop.journal import Journal
from orlop.plan import Plan
from orlop.progress import Silent
from orlop.samples import DataRoot


def test_a_change_can_be_taken_back_until_something_is_in_its_way_or_it_was(tmp_path: Path) -> None:
    data = DataRoot.create(str(tmp_path / "docker"))
    data.image({"a": b"a"}, names=["app:1"])
    store = kinds.open(data.path)
    journal = Journal.of(store.root)
    plan = store.plan(Remove(keys=(store.rows().rows[0].key,)))
    assert isinstance(plan, Plan)
    change = apply(store, plan, journal, progress=Silent()).change
    check_undo(store, journal, change)
    moved = next(step.path for step in plan.steps if not os.path.lexists(data.at(step.path)))
    data.write(moved, b"in the way")
    with pytest.raises(Changed) as told:
        check_undo(store, journal, change)
    assert told.value.path == moved
    os.unlink(data.at(moved))
    undo(store, journal, change)
    with pytest.raises(Refused, match="cannot be taken back"):
        check_undo(store, journal, change)
    with pytest.raises(NotFound):
        check_undo(store, journal, "20000101T000000.000000Z-0000")
    store.close()
