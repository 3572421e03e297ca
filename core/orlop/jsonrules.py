"""JSON as the engine reads and writes it: by the rules of Go's encoding/json.

What differs from other readers, and decides what an engine sees in a file:

- a member's name matches in any case (Unicode's simple folding: ``ſ`` is ``s``,
  the Kelvin sign is ``k``);
- of repeated members the last wins, objects and lists are merged into the earlier ones;
- ``null`` leaves a text, number or boolean alone and empties everything else;
- bytes that are not UTF-8 and lone surrogates read as U+FFFD;
- 10,000 levels are the deepest; a byte order mark, NaN and text after the value are refused.

`loads` has one answer and two ways to it: the C scanner of the standard library,
taken only where it must agree, and an iterative decoder for everything else.

Source: Go 1.22 ``encoding/json``, files ``scanner.go``, ``decode.go``,
``stream.go``, ``fold.go``, ``encode.go``.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import takewhile
from typing import NoReturn

from orlop import times
from orlop.errors import Malformed

MAX_DEPTH = 10_000
"""Levels of lists and objects that the engine reads (Go ≥ 1.15, ``maxNestingDepth``)."""

Pairs = Sequence[tuple[str, object]]


class Repeated(dict[str, object]):
    """An object that names a member more than once.

    As a dict it is what a Go map becomes: the last of each name. `pairs` keeps all
    of them in order, for the fields of a struct, which merge.
    """

    __slots__ = ("pairs",)

    def __init__(self, pairs: Iterable[tuple[str, object]]) -> None:
        self.pairs = tuple(pairs)
        super().__init__(self.pairs)


class Fields(dict[str, object]):
    """An object that `dumps` writes in the order given, as Go writes a struct."""


# Reading -------------------------------------------------------------------


def loads(data: bytes, *, stream: bool = False) -> object:
    """The value that the engine sees in these bytes.

    Objects are dicts (`Repeated` where a name is given twice), lists are lists,
    whole numbers ints whatever their size (`decimal.Decimal` past 4,300 digits),
    other numbers floats. Read members with `member` and the getters below, which know
    about case and repetition.

    Args:
        data: a whole file.
        stream: read as Go's ``json.Decoder`` does: only the first value counts, anything may follow it.

    Raises:
        Malformed: not JSON by the engine's rules; `engine` has its words.
    """
    try:
        return _quick(data, stream)
    except (ValueError, RecursionError):
        # Either not JSON, or JSON that the quick way may read otherwise: decided below.
        return _Decoder(data, stream).decode()


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    plain = dict(pairs)
    return plain if len(plain) == len(pairs) else Repeated(pairs)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


_quick_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant)
_SURROGATE = re.compile(rb"\\u[dD]")


def _quick(data: bytes, stream: bool) -> object:
    """The standard library's answer; a ValueError or RecursionError where it has none, or one that may not be Go's.

    The C scanner has the same grammar, save for NaN and its kin (refused by the hook), lone
    surrogates, invalid UTF-8, depth, and a number that what follows it makes invalid (only
    where nothing need follow: a bare number in a stream).
    """
    if _SURROGATE.search(data) is not None:
        raise ValueError("perhaps a lone surrogate")
    text = data.decode("utf-8").lstrip(" \t\r\n")
    if stream and not text.startswith(("{", "[")):
        raise ValueError("perhaps a number that is cut short")
    value, end = _quick_decoder.raw_decode(text)
    if not stream and end < len(text) and text[end:].strip(" \t\r\n"):
        raise ValueError("something follows")
    # Interpreters differ in how deep their scanner goes; most bytes are too few to reach the limit.
    if end > 2 * MAX_DEPTH and data.count(b"[") + data.count(b"{") > MAX_DEPTH and _is_too_deep(value):
        raise ValueError("too deep")
    return value


def _is_too_deep(value: object) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [inner for outer in level for inner in _inside(outer) if isinstance(inner, (dict, list))]
        if not level:
            return False
    return True


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, Repeated):
        return [member for _, member in value.pairs]
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


_SPACE = re.compile(rb"[ \t\r\n]*")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_HEX4 = re.compile(rb"[0-9a-fA-F]{4}")
_ESCAPES = {
    0x22: '"',
    0x5C: "\\",
    0x2F: "/",
    0x62: "\b",
    0x66: "\f",
    0x6E: "\n",
    0x72: "\r",
    0x74: "\t",
}
_LITERALS: dict[int, tuple[bytes, object]] = {0x74: (b"true", True), 0x66: (b"false", False), 0x6E: (b"null", None)}
_INT_DIGITS = 4300
_OPEN_LIST, _CLOSE_LIST, _OPEN_OBJECT, _CLOSE_OBJECT, _QUOTE, _COLON, _COMMA, _BACKSLASH = b'[]{}":,\\'


class _Decoder:
    """The exact way: one pass over the bytes with a stack of its own."""

    def __init__(self, data: bytes, stream: bool) -> None:
        self._data = data
        self._stream = stream
        self._at = 0

    def decode(self) -> object:
        value = self._value()
        if not self._stream:
            self._skip_space()
            if self._at < len(self._data):
                raise self._wrong("after top-level value")
        return value

    def _value(self) -> object:
        # The containers that are open: a list, or an object's pairs with the name that waits for its value.
        stack: list[tuple[list[object] | None, list[tuple[str, object]] | None]] = []
        names: list[str] = []
        while True:
            # A value begins here.
            self._skip_space()
            value: object
            byte = self._byte()
            if byte == _OPEN_LIST:
                self._open(stack)
                stack.append(([], None))
                if not self._closes(_CLOSE_LIST):
                    continue
                stack.pop()
                value = []
            elif byte == _OPEN_OBJECT:
                self._open(stack)
                pairs: list[tuple[str, object]] = []
                stack.append((None, pairs))
                if not self._closes(_CLOSE_OBJECT):
                    names.append(self._name())
                    continue
                stack.pop()
                value = {}
            else:
                value = self._scalar(byte)
            # A value has ended: hand it to what holds it, and close what it closes.
            while True:
                if not stack:
                    return value
                items, members = stack[-1]
                self._skip_space()
                byte = self._byte()
                if items is not None:
                    items.append(value)
                    if byte == _COMMA:
                        self._at += 1
                        break
                    if byte != _CLOSE_LIST:
                        raise self._wrong("after array element")
                    value = items
                elif members is not None:
                    members.append((names.pop(), value))
                    if byte == _COMMA:
                        self._at += 1
                        names.append(self._name())
                        break
                    if byte != _CLOSE_OBJECT:
                        raise self._wrong("after object key:value pair")
                    value = _object(members)
                self._at += 1
                stack.pop()

    def _open(self, stack: Sequence[object]) -> None:
        if len(stack) >= MAX_DEPTH:
            raise self._wrong("exceeded max depth")
        self._at += 1

    def _closes(self, byte: int) -> bool:
        self._skip_space()
        if self._byte() != byte:
            return False
        self._at += 1
        return True

    def _name(self) -> str:
        self._skip_space()
        if self._byte() != _QUOTE:
            raise self._wrong("looking for beginning of object key string")
        name = self._text()
        self._skip_space()
        if self._byte() != _COLON:
            raise self._wrong("after object key")
        self._at += 1
        return name

    def _scalar(self, byte: int) -> object:
        if byte == _QUOTE:
            return self._text()
        if byte == 0x2D or 0x30 <= byte <= 0x39:
            return self._number()
        if byte in _LITERALS:
            return self._literal(*_LITERALS[byte])
        raise self._wrong("looking for beginning of value")

    def _literal(self, word: bytes, value: object) -> object:
        for expected in word:
            if self._byte() != expected:
                raise self._wrong(f"in literal {word.decode()} (expecting '{chr(expected)}')")
            self._at += 1
        return value

    def _number(self) -> object:
        match = _NUMBER.match(self._data, self._at)
        if match is None:  # a minus sign alone
            self._at += 1
            self._byte()
            raise self._wrong("in numeric literal")
        self._at = match.end()
        self._check_number_end(match.group(1) is not None, match.group(2) is not None)
        if match.group(1) is None and match.group(2) is None:
            return _whole(match.group().decode())
        return float(match.group())

    def _check_number_end(self, has_fraction: bool, has_exponent: bool) -> None:
        """Fail at a fraction or an exponent that begins and has no digits."""
        rest = self._data[self._at : self._at + 2]
        if rest[:1] == b"." and not has_fraction and not has_exponent:
            self._at += 1
            self._byte()
            raise self._wrong("after decimal point in numeric literal")
        if rest[:1] in (b"e", b"E") and not has_exponent:
            self._at += 2 if rest[1:] in (b"+", b"-") else 1
            self._byte()
            raise self._wrong("in exponent of numeric literal")

    def _text(self) -> str:
        self._at += 1
        parts: list[str] = []
        while True:
            match = _PLAIN.match(self._data, self._at)
            assert match is not None  # the pattern matches nothing, too
            if match.end() > self._at:
                parts.append(_replaced(match.group()))
                self._at = match.end()
            byte = self._byte()
            if byte == _QUOTE:
                self._at += 1
                return "".join(parts)
            if byte != _BACKSLASH:
                raise self._wrong("in string literal")
            self._at += 1
            parts.append(self._escape())

    def _escape(self) -> str:
        byte = self._byte()
        if byte in _ESCAPES:
            self._at += 1
            return _ESCAPES[byte]
        if byte != 0x75:
            raise self._wrong("in string escape code")
        code = self._hex4(self._at + 1)
        self._at += 5
        if not 0xD800 <= code <= 0xDFFF:
            return chr(code)
        if code < 0xDC00 and self._data[self._at : self._at + 2] == b"\\u":
            match = _HEX4.match(self._data, self._at + 2)
            low = int(match.group(), 16) if match is not None else 0
            if 0xDC00 <= low <= 0xDFFF:
                self._at += 6
                return chr(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00))
        return "\ufffd"

    def _hex4(self, at: int) -> int:
        match = _HEX4.match(self._data, at)
        if match is not None:
            return int(match.group(), 16)
        self._at = at
        while self._byte() in b"0123456789abcdefABCDEF":
            self._at += 1
        raise self._wrong("in \\u hexadecimal character escape")

    def _skip_space(self) -> None:
        match = _SPACE.match(self._data, self._at)
        assert match is not None  # the pattern matches nothing, too
        self._at = match.end()

    def _byte(self) -> int:
        if self._at < len(self._data):
            return self._data[self._at]
        words = "unexpected end of JSON input"
        if self._stream:
            words = "unexpected EOF" if self._data.strip(b" \t\r\n") else "EOF"
        why = "the file is empty" if not self._data else "the file ends before the JSON value does"
        raise Malformed(why, engine=words)

    def _wrong(self, where: str) -> Malformed:
        words = f"invalid character {_quoted(self._data[self._at])} {where}"
        return Malformed(f"not JSON at byte {self._at}: {words}", engine=words)


def _whole(digits: str) -> int | Decimal:
    if len(digits) <= 600:  # below the lowest limit that the interpreter can be told
        return int(digits)
    value = Decimal(digits)
    return int(value) if len(digits.lstrip("-")) <= _INT_DIGITS else value


def _replaced(data: bytes) -> str:
    """UTF-8 with one U+FFFD for each byte that is not (Go's ``utf8.DecodeRune``)."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return _ESCAPED_BYTE.sub("\ufffd", data.decode("utf-8", "surrogateescape"))


_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")


def _quoted(byte: int) -> str:
    """A byte as Go's scanner quotes it: taken for a Latin-1 character."""
    character = chr(byte)
    named = {"'": r"\'", "\\": r"\\", "\a": r"\a", "\b": r"\b", "\f": r"\f"} | {
        "\n": r"\n",
        "\r": r"\r",
        "\t": r"\t",
        "\v": r"\v",
    }
    if character in named:
        return f"'{named[character]}'"
    if byte < 0x20 or byte == 0x7F:
        return f"'\\x{byte:02x}'"
    return f"'{character}'" if character.isprintable() else f"'\\u{byte:04x}'"


# Members -------------------------------------------------------------------


def _folded(name: str) -> str:
    """A name by Unicode's simple case folding, as far as it reaches ASCII letters (Go, ``fold.go``)."""
    return name.replace("\u017f", "s").replace("\u212a", "k").lower()


def occurrences(value: object, name: str) -> Sequence[object]:
    """Every value that the engine reads into the field `name`, in order; empty where `value` is no object."""
    if not isinstance(value, dict):
        return ()
    length = len(name)  # simple folding keeps the number of characters
    if type(value) is not Repeated:
        near = [key for key in value if len(key) == length]
        if not near:
            return ()
        if near == [name]:
            return (value[name],)
        pairs: Iterable[tuple[str, object]] = [(key, value[key]) for key in near]
    else:
        pairs = value.pairs
    folded = _folded(name)
    return [item for key, item in pairs if len(key) == length and (key == name or _folded(key) == folded)]


def member(value: object, name: str) -> object | None:
    """What the engine has in the field `name` after reading `value` into a struct.

    None where the member is absent or null, or `value` is no object. Of several,
    the last wins; objects and lists merge.
    """
    return _all_merged(occurrences(value, name))


def _all_merged(values: Sequence[object]) -> object:
    """What Go has after decoding these values, in order, into the same variable; in time linear in their size.

    A list's elements are decoded over those that are there, as far as both lists
    reach (Go does not clear them, golang/go#21092); elements that a shorter list
    hid from a third one count as cleared here.
    """
    if not values:
        return None
    last = values[-1]
    if last is None:
        earlier = next((value for value in reversed(values) if value is not None), None)
        return None if isinstance(earlier, (dict, list)) else earlier
    if len(values) == 1 or not isinstance(last, (dict, list)):
        return last
    kind = dict if isinstance(last, dict) else list
    run = list(takewhile(lambda value: isinstance(value, kind), reversed(values)))[::-1]
    if len(run) == 1:
        return last
    if kind is dict:
        return Repeated([pair for value in run if isinstance(value, dict) for pair in _pairs(value)])
    return _merged_lists([value for value in run if isinstance(value, list)])


def _merged_lists(lists: Sequence[list[object]]) -> list[object]:
    columns: list[list[object]] = []  # for each index, the values decoded into it
    for items in lists:
        del columns[len(items) :]
        columns.extend([] for _ in items[len(columns) :])
        for column, item in zip(columns, items, strict=True):
            if item is not None:  # leaves an element alone, be it a text or a struct
                column.append(item)
    # Lists of lists are not merged: no format has them.
    return [column[-1] if column and isinstance(column[-1], list) else _all_merged(column) for column in columns]


def _pairs(value: Mapping[str, object]) -> Iterable[tuple[str, object]]:
    return value.pairs if isinstance(value, Repeated) else value.items()


# Typed getters --------------------------------------------------------------
#
# Each takes the object that holds the member and the member's name in the format's own
# spelling; for the words of an error also `at`, the path of that object (``history[2]``),
# `struct`, the engine's type of it (``History``), and the engine's type of the member.


def text(value: object, name: str, *, at: str = "", struct: str = "", go_type: str = "string") -> str:
    """A text; empty where absent or null.

    Raises:
        Malformed: another type, in any of the member's occurrences; `field` has the
            path and `engine` the engine's words.
    """
    result = ""
    for item in occurrences(value, name):
        if isinstance(item, str):
            result = item
        elif item is not None:
            raise _mismatch(item, _path(at, name), struct, go_type, "a text")
    return result


def boolean(value: object, name: str, *, at: str = "", struct: str = "") -> bool:
    """True or false; False where absent or null. Raises as `text`."""
    result = False
    for item in occurrences(value, name):
        if isinstance(item, bool):
            result = item
        elif item is not None:
            raise _mismatch(item, _path(at, name), struct, "bool", "true or false")
    return result


def integer(value: object, name: str, *, at: str = "", struct: str = "", go_type: str = "int64") -> int:
    """A whole number of 64 bits; 0 where absent or null. Raises as `text`, out of range too."""
    result = 0
    for item in occurrences(value, name):
        if isinstance(item, int) and not isinstance(item, bool) and -(1 << 63) <= item < 1 << 63:
            result = item
        elif item is not None:
            raise _mismatch(item, _path(at, name), struct, go_type, "a whole number of 64 bits")
    return result


def time(value: object, name: str, *, at: str = "", struct: str = "") -> int | None:
    """A time in nanoseconds UTC; None where absent or null. Raises as `text`, and where `times.parse` does."""
    result = None
    for item in occurrences(value, name):
        if item is None:
            continue
        path = _path(at, name)
        if not isinstance(item, str):
            raise Malformed(
                f"holds {_article(item)} where a time must be",
                field=path,
                engine="Time.UnmarshalJSON: input is not a JSON string",
            )
        try:
            result = times.parse(item)
        except Malformed as error:
            raise Malformed(error.why, field=path, engine=error.engine) from error
    return result


def texts(value: object, name: str, *, at: str = "", struct: str = "", go_type: str = "string") -> tuple[str, ...]:
    """A list of texts; empty where absent or null, an element that is null is "". Raises as `text`.

    Args:
        value: the object that holds it.
        name: the member.
        at: path of the object.
        struct: the engine's type of the object.
        go_type: the engine's type of an element.
    """
    found = occurrences(value, name)
    for item in found:
        _check_texts(item, _path(at, name), struct, go_type)
    return _as_texts(_all_merged(found))


def command(value: object, name: str, *, at: str = "", struct: str = "") -> tuple[str, ...]:
    """A command line: a list of texts, or one text (moby ``strslice.StrSlice``). Raises as `text`."""
    result: tuple[str, ...] = ()
    for item in occurrences(value, name):
        if isinstance(item, str):
            result = (item,)
        elif item is not None:
            _check_texts(item, _path(at, name), struct, "string")
            result = _as_texts(item)
    return result


def text_map(value: object, name: str, *, at: str = "", struct: str = "", go_type: str = "string") -> dict[str, str]:
    """An object of texts, a value that is null is ""; empty where absent or null. Raises as `text`."""
    path = _path(at, name)
    found = occurrences(value, name)
    for item in found:
        if item is None:
            continue
        if not isinstance(item, dict):
            raise _mismatch(item, path, struct, f"map[string]{go_type}", "an object of texts")
        for key, part in _pairs(item):
            if part is not None and not isinstance(part, str):
                raise _mismatch(part, f"{path}[{key!r}]", struct, go_type, "a text", go_path=path)
    merged = _all_merged(found)
    return (
        {key: part if isinstance(part, str) else "" for key, part in merged.items()} if isinstance(merged, dict) else {}
    )


def mapping(
    value: object, name: str, *, at: str = "", struct: str = "", go_type: str = "struct"
) -> dict[str, object] | None:
    """An object, to be read with these functions again; None where absent or null. Raises as `text`."""
    found = occurrences(value, name)
    for item in found:
        if item is not None and not isinstance(item, dict):
            raise _mismatch(item, _path(at, name), struct, go_type, "an object")
    merged = _all_merged(found)
    return merged if isinstance(merged, dict) else None


def mappings(
    value: object, name: str, *, at: str = "", struct: str = "", go_type: str = "struct"
) -> tuple[dict[str, object], ...]:
    """A list of objects; empty where absent or null, an element that is null is an empty object. Raises as `text`."""
    path = _path(at, name)
    found = occurrences(value, name)
    for item in found:
        if item is None:
            continue
        if not isinstance(item, list):
            raise _mismatch(item, path, struct, f"[]{go_type}", "a list of objects")
        for number, part in enumerate(item):
            if part is not None and not isinstance(part, dict):
                raise _mismatch(part, f"{path}[{number}]", struct, go_type, "an object", go_path=path)
    merged = _all_merged(found)
    return tuple(part if isinstance(part, dict) else {} for part in merged) if isinstance(merged, list) else ()


def the_object(value: object, *, go_type: str = "struct") -> dict[str, object]:
    """The whole document as an object; a bare ``null`` is an empty one.

    Args:
        value: what `loads` gave.
        go_type: the engine's type of it, such as ``image.Image``.

    Raises:
        Malformed: another value.
    """
    if isinstance(value, dict):
        return value
    if value is None:
        return {}
    raise Malformed(
        f"holds {_article(value)} where an object must be",
        engine=f"json: cannot unmarshal {_kind(value)} into Go value of type {go_type}",
    )


def _check_texts(item: object, path: str, struct: str, go_type: str) -> None:
    if item is None:
        return
    if not isinstance(item, list):
        raise _mismatch(item, path, struct, f"[]{go_type}", "a list of texts")
    for number, part in enumerate(item):
        if part is not None and not isinstance(part, str):
            raise _mismatch(part, f"{path}[{number}]", struct, go_type, "a text", go_path=path)


def _as_texts(item: object) -> tuple[str, ...]:
    return tuple(part if isinstance(part, str) else "" for part in item) if isinstance(item, list) else ()


def _path(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


_INDEX = re.compile(r"\[[0-9]+\]")


def _mismatch(item: object, path: str, struct: str, go_type: str, wanted: str, *, go_path: str = "") -> Malformed:
    kind = _kind(item)
    if kind == "number" and "int" in go_type:
        kind = f"number {str(item)[:40]}"  # the spelling in the file, save for fractions and exponents
    place = f"{struct}.{_INDEX.sub('', go_path or path)}"
    return Malformed(
        f"holds {_article(item)} where {wanted} must be",
        field=path,
        engine=f"json: cannot unmarshal {kind} into Go struct field {place} of type {go_type}",
    )


def _kind(item: object) -> str:
    """What Go calls a JSON value in its errors."""
    if isinstance(item, str):
        return "string"
    if isinstance(item, bool):
        return "bool"
    if isinstance(item, dict):
        return "object"
    return "array" if isinstance(item, list) else "number"


_ARTICLES = {
    "string": "a text",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "number": "a number",
}


def _article(item: object) -> str:
    return _ARTICLES[_kind(item)]


# Writing -------------------------------------------------------------------

_UNSAFE = re.compile('[\x00-\x1f"\\\\<>&\u2028\u2029\ud800-\udfff]')
_SHORT = {'"': r"\"", "\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t"}


def dumps(value: object) -> bytes:
    """The bytes that Go's ``json.Marshal`` writes, compact.

    A dict is a Go map, its keys sorted bytewise; `Fields` is a struct, written in its
    order. ``<``, ``>``, ``&``, U+2028 and U+2029 are escaped; surrogates become
    ``\\ufffd``; control characters are ``\\u0008`` in form, save ``\\n``, ``\\r``, ``\\t``
    (Go ≥ 1.22 also writes ``\\b`` and ``\\f``; every reader takes both).

    Raises:
        TypeError: a value that is no text, whole number, boolean, None, list or dict.
    """
    return "".join(_written(value)).encode()


def _written(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield _text_written(value)
    elif value is None:
        yield "null"
    elif isinstance(value, bool):
        yield "true" if value else "false"
    elif isinstance(value, int):
        yield str(int(value))
    elif isinstance(value, Mapping):
        yield from _object_written(value)
    elif isinstance(value, (list, tuple)):
        yield "["
        for number, item in enumerate(value):
            if number:
                yield ","
            yield from _written(item)
        yield "]"
    else:
        raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _object_written(value: Mapping[str, object]) -> Iterator[str]:
    items: Iterable[tuple[str, object]] = value.items()
    if not isinstance(value, Fields):
        items = sorted(items, key=lambda item: _bytes(item[0]))
    yield "{"
    for number, (key, item) in enumerate(items):
        if number:
            yield ","
        yield _text_written(key)
        yield ":"
        yield from _written(item)
    yield "}"


def _bytes(key: str) -> bytes:
    try:
        return key.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return key.encode("utf-8", "surrogatepass")


def _text_written(text: str) -> str:
    return f'"{_UNSAFE.sub(_escaped, text)}"'


def _escaped(match: re.Match[str]) -> str:
    character = match.group()
    if "\ud800" <= character <= "\udfff":
        return r"\ufffd"
    return _SHORT.get(character) or f"\\u{ord(character):04x}"
