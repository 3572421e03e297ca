"""Records as JSON and back: by the fields of their dataclasses, strictly, because the JSON may be a stranger's.

A record is an object of its fields, those that have their default left out; a key is a list of its three
parts, bytes are base64, sets are sorted lists. Unknown members are passed over: a later
version may have more.
"""

import base64
import binascii
import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar, Union

from orlop.errors import Malformed
from orlop.records import Key

T = TypeVar("T")

_Decoder: TypeAlias = Callable[[object, str], Any]
_LARGEST = 1 << 63


def dumped(value: object) -> object:
    """A record, or any part of one, as `json` takes it."""
    match value:
        case Key():
            return list(value)
        case Enum():
            return value.value
        case None | str() | int() | float():
            return value
        case bytes():
            return base64.b64encode(value).decode("ascii")
        case tuple() | list():
            return [dumped(item) for item in value]
        case frozenset():
            return sorted(str(dumped(item)) for item in value)
        case Mapping():
            return {str(name): dumped(item) for name, item in value.items()}
    return {
        field.name: dumped(found)
        for field in dataclasses.fields(value)  # type: ignore[arg-type]  # nothing else is in a record
        if (found := getattr(value, field.name)) != field.default
    }


def loaded(kind: type[T], value: object, field: str = "") -> T:
    """A record from what `dumped` made of it.

    Args:
        kind: the class of the record.
        value: what a JSON reader gave.
        field: where it stands, for the error.

    Raises:
        Malformed: it is no such record.
    """
    made: T = _decoder_of(kind)(value, field)
    return made


def _decoder_of(hint: Any) -> _Decoder:
    return _decoder(hint)


def _wrong(field: str, wanted: str) -> Malformed:
    return Malformed(f"not {wanted}", field=field)


@lru_cache(maxsize=256)
def _decoder(hint: Any) -> _Decoder:
    """What reads values of one type of the records."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is object:
        return lambda value, field: value
    if hint in _PLAIN:
        return _PLAIN[hint]
    if hint is Key:
        return _key
    if origin in (Union, types.UnionType):
        return _optional(_decoder(next(arg for arg in args if arg is not types.NoneType)))
    if origin is tuple:
        return _listed(args[0], tuple) if args[-1] is Ellipsis else _fixed(args)
    if origin is frozenset:
        return _listed(args[0], frozenset)
    if origin is not None and issubclass(origin, Mapping):
        return _mapped(args[1])
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _chosen(hint)
    return _record(hint)


def _text(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise _wrong(field, "a text")
    return value


def _number(value: object, field: str) -> int:
    if type(value) is not int or not -_LARGEST <= value < _LARGEST:
        raise _wrong(field, "a whole number")
    return value


def _truth(value: object, field: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(field, "true or false")
    return value


def _bytes(value: object, field: str) -> bytes:
    try:
        return base64.b64decode(_text(value, field), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _wrong(field, "base64") from error


_PLAIN: Mapping[object, _Decoder] = {str: _text, int: _number, bool: _truth, bytes: _bytes}


def _key(value: object, field: str) -> Key:
    if not isinstance(value, list) or len(value) != len(Key._fields):
        raise _wrong(field, "a key")
    scope, identity, name = value
    return Key(_text(scope, field), _text(identity, field), None if name is None else _text(name, field))


def _optional(inner: _Decoder) -> _Decoder:
    return lambda value, field: None if value is None else inner(value, field)


def _listed(item: Any, made: Callable[[list[Any]], Any]) -> _Decoder:
    inner = _decoder(item)

    def decode(value: object, field: str) -> Any:
        if not isinstance(value, list):
            raise _wrong(field, "a list")
        return made([inner(each, f"{field}[{number}]") for number, each in enumerate(value)])

    return decode


def _fixed(items: tuple[Any, ...]) -> _Decoder:
    inner = [_decoder(item) for item in items]

    def decode(value: object, field: str) -> Any:
        if not isinstance(value, list) or len(value) != len(inner):
            raise _wrong(field, f"a list of {len(inner)}")
        return tuple(one(each, field) for one, each in zip(inner, value, strict=True))

    return decode


def _mapped(item: Any) -> _Decoder:
    inner = _decoder(item)

    def decode(value: object, field: str) -> Any:
        if not isinstance(value, dict):
            raise _wrong(field, "an object")
        return {name: inner(each, f"{field}.{name}") for name, each in value.items()}

    return decode


def _chosen(kind: type[Enum]) -> _Decoder:
    known = {member.value: member for member in kind}

    def decode(value: object, field: str) -> Any:
        found = known.get(_text(value, field))
        if found is None:
            raise _wrong(field, f"one of {', '.join(sorted(known))}")
        return found

    return decode


def _record(kind: Any) -> _Decoder:
    """Of a dataclass; its own parts are looked up when they are met, for a record may hold records of its kind."""
    hints = typing.get_type_hints(kind)
    fields = [(field.name, hints[field.name], _has_default(field)) for field in dataclasses.fields(kind)]

    def decode(value: object, field: str) -> Any:
        if not isinstance(value, dict):
            raise _wrong(field, "an object")
        members: dict[str, Any] = {}
        for name, hint, has_default in fields:
            if name in value:
                members[name] = _decoder(hint)(value[name], f"{field}.{name}" if field else name)
            elif not has_default:
                raise Malformed("it is missing", field=f"{field}.{name}" if field else name)
        return kind(**members)

    return decode


def _has_default(field: "dataclasses.Field[Any]") -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
