import json
import math
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orlop.errors import Malformed
from orlop.jsonrules import (
    MAX_DEPTH,
    Fields,
    Repeated,
    boolean,
    command,
    dumps,
    integer,
    loads,
    mapping,
    mappings,
    member,
    reading,
    text,
    text_map,
    texts,
    the_object,
    time,
)


def exact(data: bytes, *, stream: bool = False) -> object:
    return reading._Decoder(data, stream).decode()


def plain(value: object) -> object:
    """A value with every pair and type of number spelled out, so that equal means the same; not for deep ones."""
    if isinstance(value, Repeated):
        return ("repeated", [(key, plain(item)) for key, item in value.pairs], sorted(value))
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return (type(value).__name__, repr(value))


# The two ways agree ----------------------------------------------------------

KEYS = st.sampled_from(["a", "A", "\\u0061", "Digest", "digest", "dige\u017ft", "", "k", "\u212a", "ü", "\\ud800"])
BLANKS = st.sampled_from(["", "", "", " ", "\n", "\t\r "])
SCALARS = st.one_of(
    st.sampled_from(["null", "true", "false", "0", "-0", "1.50", "-1e+5", "1E400", "1e-400", "12345678901234567890"]),
    st.sampled_from(["NaN", "-Infinity", "01", "1.", ".5", "+1", "-", "1e", "1e+", "tru", "nulll", "'a'", "\ufeff1"]),
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.text(max_size=8).map(lambda value: json.dumps(value, ensure_ascii=False)),
    st.text(max_size=8).map(json.dumps),
    st.sampled_from(['"\\ud83d\\ude00"', '"\\ud83d"', '"\\ude00\\ud83d"', '"\\uD83Dx\\n"', '"\\u003c\\/"']),
    st.sampled_from(['"\n"', '"\\x"', '"\\u12g4"', '"\x7f"', '"', '"\\', '"\\u00']),
)


def _containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    member_text = st.tuples(KEYS, BLANKS, BLANKS, inner).map(lambda p: f'"{p[0]}"{p[1]}:{p[2]}{p[3]}')
    listed = st.tuples(BLANKS, st.lists(inner, max_size=4)).map(lambda p: f"[{p[0]}{(p[0] + ',').join(p[1])}{p[0]}]")
    objects = st.tuples(BLANKS, st.lists(member_text, max_size=5)).map(
        lambda p: f"{{{p[0]}{(',' + p[0]).join(p[1])}{p[0]}}}"
    )
    return listed | objects


DOCUMENTS = st.tuples(BLANKS, st.recursive(SCALARS, _containers, max_leaves=12), BLANKS).map("".join)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A document, now and then with bytes put in that a text cannot hold, cut short, or followed by more."""
    data = draw(DOCUMENTS).encode("utf-8", "surrogatepass")
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(data)))
        junk = draw(st.sampled_from([b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xe2\x82", b"\0", b"\xef\xbb\xbf", b'"']))
        data = data[:at] + junk + data[at + draw(st.integers(0, 1)) :]
    if draw(st.integers(0, 9)) == 0:
        data = data[: draw(st.integers(0, len(data)))]
    return data + draw(st.sampled_from([b"", b"", b"", b" ", b" x", b"{}", b"\xff", b"."]))


@given(files(), st.booleans())
@example(b'{"a":1,"a":2}', False)
@example(b'{"a":[{"a":1,"A":null,"a":{}}]}', False)
@example(b"12.", True)
@example(b"1e", True)
@example(b"[1.]", True)
@example(b'"a"b', True)
@example(b" {} x", True)
@example(b"-0", False)
@example(b'{"a":"\xed\xa0\x80"}', False)
def test_the_quick_way_never_has_another_answer_than_the_exact_one(data: bytes, stream: bool) -> None:
    try:
        quick = reading._quick(data, stream)
    except (ValueError, RecursionError):
        return
    assert plain(exact(data, stream=stream)) == plain(quick)


@given(files() | st.binary(max_size=30), st.booleans())
def test_any_bytes_give_a_value_or_are_refused_with_the_words_of_the_engine(data: bytes, stream: bool) -> None:
    try:
        value = loads(data, stream=stream)
    except Malformed as error:
        refusal = error
    else:
        assert plain(value) == plain(exact(data, stream=stream))
        return
    assert refusal.engine.startswith(("invalid character ", "unexpected e", "EOF", "unexpected EOF"))
    assert refusal.engine.isprintable()


# What is read ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b" {} ", {}),
        (b"[]", []),
        (b"[[],{}]", [[], {}]),
        (b"null", None),
        (b'"\\ud83d\\ude00"', "😀"),
        (b'"\\ud83d"', "\ufffd"),
        (b'"\\ud83d\\u0041"', "\ufffdA"),
        (b'"\\ud83d\\ud83d\\ude00"', "\ufffd😀"),
        (b'"\\ude00"', "\ufffd"),
        (b'"\\ud83dx"', "\ufffdx"),
        (b'"a\xff\xfeb"', "a\ufffd\ufffdb"),
        (b'"\xed\xa0\x80"', "\ufffd\ufffd\ufffd"),
        (b'"\xe2\x82"', "\ufffd\ufffd"),
        (b'"\xf0\x9f\x98\x80"', "😀"),
        (b'{"\xff":1}', {"\ufffd": 1}),
        (b"1" * 4000, int("1" * 4000)),
        (b"-" + b"1" * 5000, Decimal("-" + "1" * 5000)),
        (b'"\x7f"', "\x7f"),
    ],
)
def test_values_read_as_go_reads_them(data: bytes, value: object) -> None:
    assert loads(data) == value
    assert exact(data) == value


def test_numbers_keep_what_they_are() -> None:
    assert plain(loads(b"[1, 1.0, 1e3, -0, 123456789012345678901234567890]")) == [
        ("int", "1"),
        ("float", "1.0"),
        ("float", "1000.0"),
        ("int", "0"),
        ("int", "123456789012345678901234567890"),
    ]
    assert loads(b"1e999") == math.inf


def test_millions_of_digits_are_read_in_linear_time() -> None:
    assert isinstance(loads(b"[" + b"7" * 2_000_000 + b"]"), list)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "unexpected end of JSON input"),
        (b" \n", "unexpected end of JSON input"),
        (b"{", "unexpected end of JSON input"),
        (b'{"a"', "unexpected end of JSON input"),
        (b'{"a":1', "unexpected end of JSON input"),
        (b'"abc', "unexpected end of JSON input"),
        (b'"\\', "unexpected end of JSON input"),
        (b'"\\u00', "unexpected end of JSON input"),
        (b"tru", "unexpected end of JSON input"),
        (b"-", "unexpected end of JSON input"),
        (b"1.", "unexpected end of JSON input"),
        (b"1e+", "unexpected end of JSON input"),
        (b"\xef\xbb\xbf{}", "invalid character 'ï' looking for beginning of value"),
        (b"\0\0", r"invalid character '\x00' looking for beginning of value"),
        (b"{}\0", r"invalid character '\x00' after top-level value"),
        (b'{"rootfs":{}} x', "invalid character 'x' after top-level value"),
        (b"01", "invalid character '1' after top-level value"),
        (b"[1,]", "invalid character ']' looking for beginning of value"),
        (b"[,", "invalid character ',' looking for beginning of value"),
        (b"[1 2]", "invalid character '2' after array element"),
        (b"{,", "invalid character ',' looking for beginning of object key string"),
        (b'{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a":1 "b"', "invalid character '\"' after object key:value pair"),
        (b"NaN", "invalid character 'N' looking for beginning of value"),
        (b"-Infinity", "invalid character 'I' in numeric literal"),
        (b"[1.x]", "invalid character 'x' after decimal point in numeric literal"),
        (b"[1ex]", "invalid character 'x' in exponent of numeric literal"),
        (b"[1e+]", "invalid character ']' in exponent of numeric literal"),
        (b"not", "invalid character 'o' in literal null (expecting 'u')"),
        (b"trux", "invalid character 'x' in literal true (expecting 'e')"),
        (b"folse", "invalid character 'o' in literal false (expecting 'a')"),
        (b'"a\nb"', r"invalid character '\n' in string literal"),
        (b'"\\x"', "invalid character 'x' in string escape code"),
        (b'"\\u12g4"', r"invalid character 'g' in \u hexadecimal character escape"),
        (b"'a'", r"invalid character '\'' looking for beginning of value"),
        (b"\\", r"invalid character '\\' looking for beginning of value"),
        (b"\x7f", r"invalid character '\x7f' looking for beginning of value"),
        (b"\x85", r"invalid character '\u0085' looking for beginning of value"),
        (b"[\xff", "invalid character 'ÿ' looking for beginning of value"),
    ],
)
def test_what_is_no_json_is_refused_with_the_words_of_go(data: bytes, words: str) -> None:
    with pytest.raises(Malformed) as caught:
        loads(data)
    assert caught.value.engine == words


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a":1} rest', {"a": 1}),
        (b"{}\0\xff", {}),
        (b"null x", None),
        (b"12 x", 12),
        (b"12x", 12),
        (b'"a"\xff', "a"),
        (b"01", 0),
        (b" [1][", [1]),
    ],
)
def test_a_stream_ends_with_its_first_value(data: bytes, value: object) -> None:
    assert loads(data, stream=True) == value


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "EOF"),
        (b" \n", "EOF"),
        (b"{", "unexpected EOF"),
        (b'{"Repositories":{"a', "unexpected EOF"),
        (b"1.", "unexpected EOF"),
        (b"1.x", "invalid character 'x' after decimal point in numeric literal"),
        (b"}", "invalid character '}' looking for beginning of value"),
    ],
)
def test_a_stream_that_is_cut_ends_with_the_words_of_a_reader(data: bytes, words: str) -> None:
    with pytest.raises(Malformed) as caught:
        loads(data, stream=True)
    assert caught.value.engine == words


# Depth -----------------------------------------------------------------------


@pytest.mark.parametrize(("opening", "closing", "each"), [(b"[", b"]", 1), (b'{"a":', b"}", 1), (b'[{"a":', b"}]", 2)])
@pytest.mark.parametrize("levels", [900, 5_000, MAX_DEPTH])
def test_nesting_is_read_to_the_depth_that_the_engine_reads(
    opening: bytes, closing: bytes, each: int, levels: int
) -> None:
    times = levels // each
    value = loads(opening * times + b"1" + closing * times)
    for _ in range(levels):
        assert isinstance(value, (list, dict))
        value = value[0] if isinstance(value, list) else value["a"]
    assert value == 1


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 100_000, 4_000_000])
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_deeper_nesting_is_refused_and_not_crashed_on(opening: bytes, levels: int) -> None:
    with pytest.raises(Malformed) as caught:
        loads(opening * levels)
    assert caught.value.engine == f"invalid character '{chr(opening[0])}' exceeded max depth"


def test_many_flat_objects_are_not_taken_for_deep_ones() -> None:
    data = b"[" + b",".join([b'{"a":1}'] * (MAX_DEPTH + 5)) + b"]"
    assert reading._quick(data, False) == exact(data)


def test_depth_hidden_in_a_repeated_member_counts() -> None:
    deep = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    with pytest.raises(Malformed, match="max depth"):
        loads(b'{"a":' + deep + b',"a":1}')


# Members ---------------------------------------------------------------------


@pytest.mark.parametrize("key", ["rootfs", "RootFS", "ROOTFS", "rootf\u017f"])
def test_a_member_is_found_in_any_case(key: str) -> None:
    assert member(loads(json.dumps({"x": 0, key: 5}).encode()), "rootfs") == 5


def test_the_kelvin_sign_is_a_k_and_other_letters_are_themselves() -> None:
    assert member({"\u212aey": 1}, "key") == 1
    assert member({"kéy": 1, "ke": 2, "keys": 3, "\u0131d": 4, "\u0130d": 5}, "key") is None
    assert member({"\u0131d": 4, "\u0130d": 5}, "id") is None


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a":1,"a":2}', 2),
        (b'{"a":1,"A":2}', 2),
        (b'{"A":1,"a":2}', 2),
        (b'{"a":"x","A":null}', "x"),
        (b'{"a":{"x":1},"A":null}', None),
        (b'{"a":[1],"A":null}', None),
        (b'{"a":null,"A":null}', None),
        (b'{"a":{"x":1},"A":null,"a":{"y":2}}', {"y": 2}),
        (b'{"a":{"x":1,"y":1},"A":{"y":2}}', {"x": 1, "y": 2}),
        (b'{"a":{"x":1},"a":5}', 5),
        (b'{"a":["x","y","z"],"a":["p",null]}', ["p", "y"]),
        (b'{"a":["x"],"a":[]}', []),
        (b'{"a":["x","y"],"a":["p"],"a":[null,null]}', ["p", "y"]),
        (b'{"a":["x","y"],"a":[],"a":[null,null]}', [None, None]),
        (b'{"a":[null],"a":[null,null]}', [None, None]),
        (b'{"a":[[1],[2]],"a":[[3]]}', [[3]]),
        (b'{"b":1}', None),
        (b'["a"]', None),
        (b"null", None),
    ],
)
def test_of_repeated_members_the_last_wins_and_containers_merge(data: bytes, value: object) -> None:
    assert member(loads(data), "a") == value


def test_merging_goes_all_the_way_down_in_structs() -> None:
    value = loads(b'{"config":{"Labels":{"a":"1","b":"1"},"User":"u"},"Config":{"labels":{"b":"2"}}}')
    config = mapping(value, "config")
    assert text_map(config, "Labels") == {"a": "1", "b": "2"}
    assert text(config, "User") == "u"


def test_an_entry_of_a_map_is_replaced_and_not_merged() -> None:
    value = loads(b'{"Repositories":{"a":{"a:1":"x"},"a":{"a:2":"y"}}}')
    assert member(value, "Repositories") == {"a": {"a:2": "y"}}


def test_elements_of_a_repeated_list_are_read_over_the_earlier_ones() -> None:
    value = loads(b'{"history":[{"created_by":"a"},{"comment":"gone"}],"History":[{"comment":"b"}]}')
    (entry,) = mappings(value, "history")
    assert (text(entry, "created_by"), text(entry, "comment")) == ("a", "b")


@pytest.mark.timeout(20)
def test_merging_thousands_of_members_takes_linear_time() -> None:
    value = loads(b"{" + b",".join([b'"a":{"x":1},"b":[{"y":2}],"c":"z"'] * 10_000) + b"}")
    assert member(value, "a") == {"x": 1}
    assert member(value, "b") == [{"y": 2}]
    assert text(value, "c") == "z"


# Getters ---------------------------------------------------------------------


def test_absent_and_null_members_are_empty() -> None:
    nothing: tuple[object, ...] = ({}, {"a": None}, None, [], 5)
    for value in nothing:
        assert text(value, "a") == ""
        assert boolean(value, "a") is False
        assert integer(value, "a") == 0
        assert time(value, "a") is None
        assert texts(value, "a") == command(value, "a") == ()
        assert mappings(value, "a") == ()
        assert text_map(value, "a") == {}
        assert mapping(value, "a") is None
    assert the_object(None) == {}


def test_members_of_their_type_are_read() -> None:
    value = loads(
        b'{"t":"x","b":true,"n":-5,"at":"1970-01-01T00:00:01Z","l":["a",null],"c":"sh -c","m":{"k":"v","n":null},'
        b'"o":{"x":1},"h":[{"y":1},null]}'
    )
    assert text(value, "t") == "x"
    assert boolean(value, "b") is True
    assert integer(value, "n") == -5
    assert time(value, "at") == 1_000_000_000
    assert texts(value, "l") == command(value, "l") == ("a", "")
    assert command(value, "c") == ("sh -c",)
    assert command(loads(b'{"c":"x","C":null}'), "c") == ()
    assert text_map(value, "m") == {"k": "v", "n": ""}
    assert mapping(value, "o") == {"x": 1}
    assert mappings(value, "h") == ({"y": 1}, {})
    assert the_object(value) is value


def _refusal(read: object) -> Malformed:
    assert callable(read)
    with pytest.raises(Malformed) as caught:
        read()
    return caught.value


def test_a_wrong_type_is_refused_with_its_place_and_the_words_of_go() -> None:
    unmarshal = "json: cannot unmarshal "
    value = loads(
        b'{"os":5,"rootfs":[],"Labels":{"a":1},"Env":["x",true],"n":1.5,"big":1e400,"history":[{},"x"],"Cmd":{},"at":5,'
        b'"diff_ids":"x"}'
    )
    for read, field, words in [
        (lambda: text(value, "os", struct="Image"), "os", "number into Go struct field Image.os of type string"),
        (
            lambda: mapping(value, "rootfs", struct="Image", go_type="image.RootFS"),
            "rootfs",
            "array into Go struct field Image.rootfs of type image.RootFS",
        ),
        (
            lambda: texts(value, "diff_ids", at="rootfs", struct="RootFS", go_type="layer.DiffID"),
            "rootfs.diff_ids",
            "string into Go struct field RootFS.rootfs.diff_ids of type []layer.DiffID",
        ),
        (
            lambda: text_map(value, "Labels", at="config", struct="Config"),
            "config.Labels['a']",
            "number into Go struct field Config.config.Labels of type string",
        ),
        (
            lambda: texts(value, "Env", at="config", struct="Config"),
            "config.Env[1]",
            "bool into Go struct field Config.config.Env of type string",
        ),
        (lambda: integer(value, "n", struct="X"), "n", "number 1.5 into Go struct field X.n of type int64"),
        (lambda: boolean(value, "n", struct="X"), "n", "number into Go struct field X.n of type bool"),
        (
            lambda: mappings(value, "history", struct="Image", go_type="image.History"),
            "history[1]",
            "string into Go struct field Image.history of type image.History",
        ),
        (
            lambda: text(value, "os", at="history[2]", struct="History"),
            "history[2].os",
            "number into Go struct field History.history.os of type string",
        ),
        (lambda: command(value, "Cmd", struct="C"), "Cmd", "object into Go struct field C.Cmd of type string"),
    ]:
        error = _refusal(read)
        assert error.field == field
        assert error.engine == unmarshal + words
        assert error.why.startswith(field)


def test_a_wrong_type_counts_even_where_a_later_member_is_right() -> None:
    value = loads(b'{"os":5,"os":"linux","l":[1],"l":["x"]}')
    assert member(value, "os") == "linux"
    assert _refusal(lambda: text(value, "os")).field == "os"
    assert _refusal(lambda: texts(value, "l")).field == "l[0]"


def test_a_wrong_time_is_refused_with_its_place() -> None:
    assert "cannot parse" in _refusal(lambda: time({"created": "yesterday"}, "created")).engine
    assert _refusal(lambda: time({"created": 5}, "created", at="history[1]")).field == "history[1].created"


def test_whole_numbers_fit_64_bits() -> None:
    assert integer({"n": (1 << 63) - 1}, "n") == (1 << 63) - 1
    for wrong in (1 << 63, True, 1.0, Decimal("9" * 5000), "1"):
        assert len(_refusal(lambda wrong=wrong: integer({"n": wrong}, "n")).engine) < 200


@pytest.mark.parametrize(("data", "kind"), [(b"[]", "array"), (b'"x"', "string"), (b"5", "number"), (b"true", "bool")])
def test_a_document_that_is_no_object_is_refused(data: bytes, kind: str) -> None:
    error = _refusal(lambda: the_object(loads(data), go_type="image.Image"))
    assert error.engine == f"json: cannot unmarshal {kind} into Go value of type image.Image"


# Writing ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "data"),
    [
        ({"Repositories": {}}, b'{"Repositories":{}}'),
        ({"b": 1, "a": [True, False, None], "B": ""}, b'{"B":"","a":[true,false,null],"b":1}'),
        (Fields({"b": 1, "a": {"d": 1, "c": 2}}), b'{"b":1,"a":{"c":2,"d":1}}'),
        ("<a>&\u2028\u2029", rb'"\u003ca\u003e\u0026\u2028\u2029"'),
        ('"\\\n\r\t/', rb'"\"\\\n\r\t/"'),
        ("\0\b\f\x1f\x7f", b'"\\u0000\\u0008\\u000c\\u001f\x7f"'),
        ("é😀", '"é😀"'.encode()),
        ("a\udcffb\ud800", rb'"a\ufffdb\ufffd"'),
        ("\ufffd", '"\ufffd"'.encode()),
        ({"\U00010000": 1, "\uffff": 2}, '{"\uffff":2,"\U00010000":1}'.encode()),
        (("a", 1), b'["a",1]'),
        (-(1 << 70), b"-1180591620717411303424"),
    ],
)
def test_values_are_written_as_go_writes_them(value: object, data: bytes) -> None:
    assert dumps(value) == data


def test_a_value_that_json_cannot_hold_here_is_refused() -> None:
    for value in (1.5, b"x", {1}, object()):
        with pytest.raises(TypeError):
            dumps(value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=6),
        lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=4), x, max_size=4),
        max_leaves=10,
    )
)
def test_what_is_written_reads_back(value: object) -> None:
    data = dumps(value)
    assert loads(data) == exact(data) == json.loads(data) == value
    assert dumps(loads(data)) == data


@given(st.dictionaries(st.text(max_size=4), st.just(""), max_size=6))
def test_keys_are_sorted_by_their_bytes(value: dict[str, str]) -> None:
    assert list(json.loads(dumps(value))) == sorted(value, key=str.encode)
