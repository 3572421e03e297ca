"""Objects whose members keep their bytes: Go's ``map[string]*json.RawMessage``, read and written.

A member goes through untouched save for what Go's encoder does to raw values: blanks
between tokens are dropped and ``<``, ``>``, ``&``, U+2028 and U+2029 escaped; numbers
keep their spelling (``1.50``), texts their escapes.

Source: Go 1.22 ``encoding/json``: ``indent.go`` (appendCompact), ``decode.go``, ``encode.go``.
"""

import re
from collections.abc import Mapping

from orlop.jsonrules.members import the_object
from orlop.jsonrules.reading import loads
from orlop.jsonrules.writing import dumps

_TEXT = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_TEXT_OR_SPACE = re.compile(_TEXT + rb"|[ \t\r\n]+", re.DOTALL)
_TOKEN = re.compile(_TEXT + rb"|[\[\]{},:]", re.DOTALL)
_ESCAPED = (
    (b"<", rb"\u003c"),
    (b">", rb"\u003e"),
    (b"&", rb"\u0026"),
    ("\u2028".encode(), rb"\u2028"),
    ("\u2029".encode(), rb"\u2029"),
)


def compacted(data: bytes) -> bytes:
    """A JSON value as Go's encoder writes a raw one; `data` must be JSON already."""
    for character, escape in _ESCAPED:
        data = data.replace(character, escape)
    return _TEXT_OR_SPACE.sub(lambda found: found.group() if found.group()[:1] == b'"' else b"", data)


def raw_members(data: bytes) -> dict[str, bytes]:
    """The members of a JSON object, each value compacted; of repeated ones the last. ``null`` has none.

    Names are told apart by their exact spelling, as in a Go map.

    Raises:
        Malformed: not JSON, or another value than an object; `engine` has Go's words.
    """
    the_object(loads(data), go_type="map[string]*json.RawMessage")
    text = compacted(data)
    members: dict[str, bytes] = {}
    depth = start = 0
    name: str | None = None
    for token in _TOKEN.finditer(text):
        byte = text[token.start()]
        if byte in b"{[":
            depth += 1
            if depth == 1:
                start = token.end()
        elif byte in b"]}":
            depth -= 1
        if depth == 1 and byte == 0x3A and name is None:
            name = str(loads(text[start : token.start()]))
            start = token.end()
        elif name is not None and ((depth == 1 and byte == 0x2C) or depth == 0):
            members[name] = text[start : token.start()]
            name, start = None, token.end()
    return members


def write_members(members: Mapping[str, bytes]) -> bytes:
    """An object of members whose values are JSON bytes already; sorted by the names' bytes, as Go writes a map."""
    names = sorted(members, key=lambda name: name.encode("utf-8", "surrogatepass"))
    return b"{" + b",".join(dumps(name) + b":" + members[name] for name in names) + b"}"
