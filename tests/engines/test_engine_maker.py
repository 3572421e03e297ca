"""The maker by itself: the engine serves a copy of its store exactly as it served the store."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.engines.conftest import Engine, Made

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]


def test_the_engine_serves_a_copy_of_its_store_byte_for_byte(
    made: "Made", engine: "Engine", figure: Callable[[str], None]
) -> None:
    with engine.running():
        assert engine.images() == made.images
        assert engine.saved() == made.saved
    figure(f"{made.driver}: {len(made.saved)} saves of a copy are the same bytes")


def test_the_store_has_every_state_that_the_judge_needs(made: "Made") -> None:
    assert not made.images[made.facts["untagged"]].names
    assert not made.images[made.facts["moved"]].names
    assert made.images[made.id_of("built:1")].inspect["Parent"]
    assert not made.images[made.id_of("nolayers:1")].inspect["RootFS"].get("Layers")  # type: ignore[attr-defined]
    assert made.images[made.id_of(made.facts["by digest"])].names == {made.facts["by digest"]}
    assert (made.data / "containers" / made.facts["container"]).is_dir()
