"""Values to bytes, as Go's ``json.Marshal`` writes them (Go 1.22 ``encoding/json/encode.go``)."""

import re
from collections.abc import Iterable, Iterator, Mapping


class Fields(dict[str, object]):
    """An object that `dumps` writes in the order given, as Go writes a struct."""


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
