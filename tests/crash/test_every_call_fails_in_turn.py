"""Every system call of every act on a small store fails in turn, in every way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from orlop import incoming
from orlop.fs import Root
from orlop.intent import Import, Intent, Remove, Tag
from orlop.records import Key

if TYPE_CHECKING:
    from tests.crash.conftest import Harness

pytestmark = pytest.mark.long

INTENTS: dict[str, Intent] = {
    "tag": Tag(image="one", name="new:1"),
    "remove": Remove(keys=(Key("", "one", None),)),
    "take in": Import(staged="0123456789abcdef", name="taken"),
    "take in over another": Import(staged="0123456789abcdef", name="two"),
}


@pytest.mark.parametrize("intent", INTENTS.values(), ids=INTENTS)
def test_each_object_is_old_or_new_and_both_ways_out_work(
    intent: Intent,
    harness: Callable[..., Harness],
    small_store: tuple[Callable[[str], None], Callable[[str], object]],
    record_property: Callable[[str, object], None],
) -> None:
    make, open_ = small_store

    def make_with_content_waiting(folder: str) -> None:
        make(folder)
        with Root.open(folder) as root, incoming.receiving(root, "0123456789abcdef") as one:
            one.put("image", [b"base\n"], mode=0o604)

    run = harness(make_with_content_waiting if isinstance(intent, Import) else make, open_, lambda _: intent)
    assert run.run() > 100
    record_property("failures injected", run.injected)
