"""A link, pipe, socket, device or folder in the place of a file: told, never followed, never waited for."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from orlop import kinds
from orlop.docker import layout
from orlop.errors import OrlopError
from orlop.store import Statement

pytestmark = pytest.mark.timeout(20)

Put = Callable[[Any, str], None]


def test_a_sound_store_gives_no_complaint(small: Any, walk: Any) -> None:
    seen = walk(small.path)
    assert seen.complaints() == []
    assert len(seen.plans) > 8


def test_a_wrong_thing_is_told_and_not_followed(small: Any, walk: Any, place: Any, put: Put) -> None:
    put(small, place.path(small))
    seen = walk(small.path)
    if place.told:
        assert seen.complaints(), seen.snapshots


def test_a_rare_thing_is_told_and_not_waited_for(small: Any, walk: Any, notable_place: Any, put_rare: Put) -> None:
    put_rare(small, notable_place.path(small))
    assert walk(small.path).complaints()


def test_no_command_follows_a_link_outward(
    small: Any, place: Any, put_link_outward: Put, reading_commands: Any
) -> None:
    put_link_outward(small, place.path(small))
    ran = reading_commands(small.path, briefly=True)
    assert all(one.code in range(5) for one in ran), [one for one in ran if one.code not in range(5)]
    if place.told and place.name != "engine lock":
        assert any(one.code for one in ran)


def test_the_lock_of_a_linked_file_elsewhere_is_not_taken(small: Any, put_link_outward: Put) -> None:
    put_link_outward(small, layout.LOCK)
    store = kinds.open(small.path)
    with pytest.raises(OrlopError), store.guard(Statement(offline=False)):
        pass
    store.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_told(small: Any, walk: Any, notable_place: Any) -> None:
    small.at(notable_place.path(small)).chmod(0)
    assert walk(small.path).complaints()
    small.at(notable_place.path(small)).chmod(0o700)
