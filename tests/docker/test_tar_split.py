"""The recipe of a layer's archive, and its checksum."""

import gzip
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orlop.docker.tarsplit import Content, Entry, Recipe, Segment, checksum, content_size, entries
from orlop.errors import Malformed


def bytewise(data: bytes) -> int:
    value = (1 << 64) - 1
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0xD800000000000000 if value & 1 else 0)
    return value ^ ((1 << 64) - 1)


def test_the_checksum_is_the_one_that_go_calls_iso() -> None:
    assert (checksum(b""), checksum(b"123456789")) == (0, 0xB90956C775A41001)


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_the_checksum_goes_on_where_it_ended(head: bytes, tail: bytes) -> None:
    assert checksum(tail, checksum(head)) == checksum(head + tail) == bytewise(head + tail)


ENTRIES = st.one_of(
    st.builds(Segment, st.binary(max_size=2000)),
    st.builds(
        Content,
        st.one_of(st.text(st.characters(codec="utf-8")), st.just("\udcff\udc80/é")),
        st.integers(0, 1 << 50),
        st.one_of(st.none(), st.binary(min_size=8, max_size=8)),
    ),
)


@given(st.lists(ENTRIES))
def test_what_is_written_is_read_again(given_entries: list[Entry]) -> None:
    recipe = Recipe()
    for entry in given_entries:
        recipe.add(entry)
    data = recipe.close()

    assert list(entries(io.BytesIO(data))) == given_entries
    assert content_size(io.BytesIO(data)) == sum(entry.size for entry in given_entries if isinstance(entry, Content))


@pytest.mark.parametrize("cut", [1, 5, 9, 40])
def test_a_recipe_that_is_cut_is_refused(cut: int) -> None:
    recipe = Recipe()
    recipe.add(Segment(bytes(range(256))))
    data = recipe.close()

    with pytest.raises(Malformed):
        list(entries(io.BytesIO(data[:-cut])))


@pytest.mark.parametrize("behind", [b"\0" * 40, b"garbage"], ids=["zeros", "garbage"])
def test_a_recipe_with_something_behind_its_end_is_malformed(behind: bytes) -> None:
    recipe = Recipe()
    recipe.add(Segment(b"header"))
    with pytest.raises(Malformed, match="follows the end"):
        list(entries(io.BytesIO(recipe.close() + behind)))


@given(st.lists(ENTRIES, max_size=5))
def test_entries_are_the_same_however_their_json_is_spelled(given_entries: list[Entry]) -> None:
    recipe = Recipe()
    for entry in given_entries:
        recipe.add(entry)
    usual = recipe.close()
    lines = gzip.decompress(usual).splitlines()
    spelled = b"\n".join(json.dumps(json.loads(line), sort_keys=True, indent=None).encode() for line in lines)
    otherwise = gzip.compress(spelled)
    assert list(entries(io.BytesIO(otherwise))) == list(entries(io.BytesIO(usual)))
    assert content_size(io.BytesIO(otherwise)) == content_size(io.BytesIO(usual))
