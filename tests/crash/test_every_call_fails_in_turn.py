"""Every system call of every act on a small store fails in turn, in every way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from orlop.plan import Intent, Remove, Tag
from orlop.records import Key

if TYPE_CHECKING:
    from tests.crash.conftest import Harness

INTENTS: dict[str, Intent] = {
    "tag": Tag(image="one", name="new:1"),
    "remove": Remove(keys=(Key("", "one", None),)),
}


@pytest.mark.parametrize("intent", INTENTS.values(), ids=INTENTS)
def test_each_object_is_old_or_new_and_both_ways_out_work(
    intent: Intent,
    harness: Callable[..., Harness],
    small_store: tuple[Callable[[str], None], Callable[[str], object]],
    record_property: Callable[[str, object], None],
) -> None:
    make, open_ = small_store
    run = harness(make, open_, lambda _: intent)
    assert run.run() > 100
    record_property("failures injected", run.injected)
