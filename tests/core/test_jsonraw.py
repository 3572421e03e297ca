"""Members that keep their bytes, as Go's raw messages do."""

import pytest

from orlop.errors import Malformed
from orlop.jsonrules import loads
from orlop.jsonrules.raw import compacted, raw_members, write_members


def test_numbers_keep_their_spelling_and_blanks_between_tokens_go() -> None:
    found = raw_members(b' { "b" : [ 1.50 , 1e3 ] ,\n"a":{ "x y" : " , : { " } } ')

    assert found == {"b": b"[1.50,1e3]", "a": b'{"x y":" , : { "}'}
    assert list(found) == ["b", "a"]


def test_members_are_written_sorted_by_their_bytes() -> None:
    assert write_members({"é": b"1", "z": b"2", "a": b"3"}) == '{"a":3,"z":2,"é":1}'.encode()


def test_angle_brackets_ampersands_and_line_separators_are_escaped_in_raw_values() -> None:
    assert compacted('["<&>", "\u2028\u2029"]'.encode()) == rb'["\u003c\u0026\u003e","\u2028\u2029"]'


def test_escaped_quotes_and_backslashes_do_not_end_a_text() -> None:
    assert raw_members(rb'{"a\"}":"\\","b":"\"{"}') == {'a"}': rb'"\\"', "b": rb'"\"{"'}


def test_of_repeated_members_the_last_wins_and_case_tells_them_apart() -> None:
    assert raw_members(b'{"a":1,"A":2,"a":[]}') == {"a": b"[]", "A": b"2"}


@pytest.mark.parametrize(("data", "members"), [(b"{}", {}), (b" null ", {}), (b'{"":{}}', {"": b"{}"})])
def test_small_documents(data: bytes, members: dict[str, bytes]) -> None:
    assert raw_members(data) == members


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'"x"', b"{} x"])
def test_what_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        raw_members(data)


def test_what_is_written_reads_back_as_the_same_value() -> None:
    data = b'{"k":{"n":[1,2.50,{"deep":[[],{}]}],"t":"a,b:c"},"e":"\\ud83d\\ude00"}'

    assert loads(write_members(raw_members(data))) == loads(data)
