"""Bytes to values: the quick way, and the exact one behind it.

Go 1.22 ``encoding/json``: ``scanner.go``, ``decode.go``, ``stream.go``.
"""

import json
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NoReturn

from orlop.errors import Malformed

MAX_DEPTH = 10_000
"""Levels of lists and objects that the engine reads (Go ≥ 1.15, ``maxNestingDepth``)."""


class Repeated(dict[str, object]):
    """An object that names a member more than once.

    As a dict it is what a Go map becomes: the last of each name. `pairs` keeps all
    of them in order, for the fields of a struct, which merge.
    """

    __slots__ = ("pairs",)

    def __init__(self, pairs: Iterable[tuple[str, object]]) -> None:
        self.pairs = tuple(pairs)
        super().__init__(self.pairs)


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
