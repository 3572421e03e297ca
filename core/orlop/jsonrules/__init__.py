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

from orlop.jsonrules.members import (
    boolean,
    command,
    integer,
    mapping,
    mappings,
    member,
    occurrences,
    text,
    text_map,
    texts,
    the_object,
    time,
)
from orlop.jsonrules.reading import MAX_DEPTH, Repeated, loads
from orlop.jsonrules.writing import Fields, dumps

__all__ = [
    "MAX_DEPTH",
    "Fields",
    "Repeated",
    "boolean",
    "command",
    "dumps",
    "integer",
    "loads",
    "mapping",
    "mappings",
    "member",
    "occurrences",
    "text",
    "text_map",
    "texts",
    "the_object",
    "time",
]
