"""Members of objects as the fields of a Go struct get them: any case, repeated ones merged, typed.

Go 1.22 ``encoding/json``: ``decode.go``, ``fold.go``.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile

from orlop import times
from orlop.errors import Malformed
from orlop.jsonrules.reading import Repeated


def folded(name: str) -> str:
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
    wanted = folded(name)
    return [item for key, item in pairs if len(key) == length and (key == name or folded(key) == wanted)]


def member(value: object, name: str) -> object | None:
    """What the engine has in the field `name` after reading `value` into a struct.

    None where the member is absent or null, or `value` is no object. Of several,
    the last wins; objects and lists merge.
    """
    return _all_merged(occurrences(value, name))


def _all_merged(values: Sequence[object]) -> object:
    """What Go has after decoding these values, in order, into the same variable; in time linear in their size.

    A list's elements are decoded over those that an earlier list left, also over
    those that a shorter list in between has hidden: Go does not clear them
    (golang/go#21092; seen on dockerd 20.10).
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
        return Repeated([pair for value in run if isinstance(value, dict) for pair in pairs_of(value)])
    return _merged_lists([value for value in run if isinstance(value, list)])


def _merged_lists(lists: Sequence[list[object]]) -> list[object]:
    columns: list[list[object]] = []  # for each index, the values decoded into it
    for items in lists:
        if not items:  # an empty list is a new one
            columns.clear()
        columns.extend([] for _ in items[len(columns) :])
        for column, item in zip(columns, items, strict=False):
            if item is not None:  # null leaves an element alone, be it a text or a struct
                column.append(item)
    # Lists of lists are not merged: no format has them.
    return [
        column[-1] if column and isinstance(column[-1], list) else _all_merged(column)
        for column in columns[: len(lists[-1])]
    ]


def pairs_of(value: Mapping[str, object]) -> Iterable[tuple[str, object]]:
    """Every member of an object in order, repeated ones too."""
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
            raise mismatch(item, _path(at, name), struct, go_type, "a text")
    return result


def boolean(value: object, name: str, *, at: str = "", struct: str = "") -> bool:
    """True or false; False where absent or null. Raises as `text`."""
    result = False
    for item in occurrences(value, name):
        if isinstance(item, bool):
            result = item
        elif item is not None:
            raise mismatch(item, _path(at, name), struct, "bool", "true or false")
    return result


def integer(value: object, name: str, *, at: str = "", struct: str = "", go_type: str = "int64") -> int:
    """A whole number of 64 bits; 0 where absent or null. Raises as `text`, out of range too."""
    result = 0
    for item in occurrences(value, name):
        if isinstance(item, int) and not isinstance(item, bool) and -(1 << 63) <= item < 1 << 63:
            result = item
        elif item is not None:
            raise mismatch(item, _path(at, name), struct, go_type, "a whole number of 64 bits")
    return result


def time(value: object, name: str, *, at: str = "", struct: str = "") -> int | None:
    """A time in nanoseconds UTC; None where absent or null. Raises as `text`, and where `times.parse` does."""
    result = None
    for item in occurrences(value, name):
        if item is not None:
            result = instant(item, _path(at, name))
    return result


def instant(item: object, path: str) -> int:
    """The time in a value, by `times.parse`.

    Raises:
        Malformed: it is no text, or the text is no time; `field` is `path`.
    """
    if not isinstance(item, str):
        raise Malformed(
            f"holds {_article(item)} where a time must be",
            field=path,
            engine="Time.UnmarshalJSON: input is not a JSON string",
        )
    try:
        return times.parse(item)
    except Malformed as error:
        raise Malformed(error.why, field=path, engine=error.engine) from error


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
        if not is_command(item):
            raise mismatch(item, _path(at, name), struct, "string", "a text or a list of texts")
        result = (item,) if isinstance(item, str) else _as_texts(item)
    return result


def is_command(value: object) -> bool:
    """Whether a value reads as a command line: a text, a list of texts and nulls, or null."""
    if isinstance(value, list):
        return all(part is None or isinstance(part, str) for part in value)
    return value is None or isinstance(value, str)


def text_map(value: object, name: str, *, at: str = "", struct: str = "", go_type: str = "string") -> dict[str, str]:
    """An object of texts, a value that is null is ""; empty where absent or null. Raises as `text`."""
    path = _path(at, name)
    found = occurrences(value, name)
    for item in found:
        if item is None:
            continue
        if not isinstance(item, dict):
            raise mismatch(item, path, struct, f"map[string]{go_type}", "an object of texts")
        for key, part in pairs_of(item):
            if part is not None and not isinstance(part, str):
                raise mismatch(part, f"{path}[{key!r}]", struct, go_type, "a text", go_path=path)
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
            raise mismatch(item, _path(at, name), struct, go_type, "an object")
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
            raise mismatch(item, path, struct, f"[]{go_type}", "a list of objects")
        for number, part in enumerate(item):
            if part is not None and not isinstance(part, dict):
                raise mismatch(part, f"{path}[{number}]", struct, go_type, "an object", go_path=path)
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
        raise mismatch(item, path, struct, f"[]{go_type}", "a list of texts")
    for number, part in enumerate(item):
        if part is not None and not isinstance(part, str):
            raise mismatch(part, f"{path}[{number}]", struct, go_type, "a text", go_path=path)


def _as_texts(item: object) -> tuple[str, ...]:
    return tuple(part if isinstance(part, str) else "" for part in item) if isinstance(item, list) else ()


def _path(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


_INDEX = re.compile(r"\[[0-9]+\]")


def mismatch(item: object, path: str, struct: str, go_type: str, wanted: str, *, go_path: str = "") -> Malformed:
    """The refusal of a value of another type than its field has.

    Args:
        item: the value.
        path: the field, for people.
        struct: the engine's type of what holds the field.
        go_type: the engine's type of the field.
        wanted: that type in plain words.
        go_path: the field in the engine's words, where it is not `path` without its indices.
    """
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
