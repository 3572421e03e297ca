"""What the engine's types take from a JSON document: whether it would read the whole of it.

The engine reads a document into a struct, and one field of another type makes it
refuse the whole, also a field that nobody here cares for. A `Shape` says what each
known field takes; unknown members are skipped, whatever they hold, and null fits
everywhere.

Go 1.22 ``encoding/json/decode.go``; names of members by the rules of this package.
"""

import re
from collections.abc import Mapping
from typing import NoReturn, Protocol

from orlop.errors import Malformed
from orlop.jsonrules.members import folded, instant, is_command, mismatch, pairs_of
from orlop.jsonrules.reading import Repeated
from orlop.times import USUAL, is_time

TEXT = r'"(?:[ !#-\[\]-\xff]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"'
"""What every text in JSON looks like, of bytes; those that are not UTF-8 the engine replaces, here as anywhere."""


def _listed(item: str) -> str:
    """The pattern of a list of what a pattern matches."""
    return rf"\[(?:{item}(?:,(?!\])|(?=\])))*+\]"


def braced(member: str) -> str:
    """The pattern of an object of members that a pattern matches."""
    return rf"\{{(?:{member}(?:,(?!\}})|(?=\}})))*+\}}"


class _Unfit(Exception):
    """A value that does not fit; what holds it adds where it is, from the inside out."""

    def __init__(self, value: object, shape: "Shape", wanted: str) -> None:
        self.value = value
        self.shape = shape
        self.wanted = wanted
        self.steps: list[str] = []
        self.struct = ""

    def refusal(self) -> Malformed:
        path = "".join(reversed(self.steps)).removeprefix(".")
        if isinstance(self.shape, Time):
            try:
                instant(self.value, path)
            except Malformed as error:
                return error
        named = "".join(step for step in reversed(self.steps) if step.startswith(".")).removeprefix(".")
        return mismatch(self.value, path, self.struct, self.shape.go_type, self.wanted, go_path=named)


class Shape(Protocol):
    """What one field takes."""

    @property
    def go_type(self) -> str:
        """The engine's type, for its words."""
        ...

    @property
    def fits(self) -> type | None:
        """Values of exactly this type fit without a closer look; None where every one needs it."""
        ...

    @property
    def plain(self) -> str:
        """A pattern of bytes: all that it matches is JSON, without blanks between its parts, that fits.

        Much that fits it does not match: other spellings, members that the engine does not know.
        """
        ...

    def check(self, value: object) -> None:
        """Look closer at a value that is not null; fails where the engine would."""
        ...


class Text:
    """A Go string, under any name of a type."""

    def __init__(self, go_type: str = "string") -> None:
        self.go_type = go_type
        self.fits: type | None = str

    @property
    def plain(self) -> str:
        return f"(?:{TEXT}|null)"

    def check(self, value: object) -> NoReturn:
        raise _Unfit(value, self, "a text")


class Boolean:
    """A Go bool."""

    go_type = "bool"
    fits: type | None = bool

    plain = "(?:true|false|null)"

    def check(self, value: object) -> NoReturn:
        raise _Unfit(value, self, "true or false")


class Integer:
    """A Go integer of 64 bits with a sign."""

    fits: type | None = None

    def __init__(self, go_type: str = "int64") -> None:
        self.go_type = go_type

    plain = "(?:-?(?:0|[1-9][0-9]{0,17})|null)"

    def check(self, value: object) -> None:
        if type(value) is not int or not -(1 << 63) <= value < 1 << 63:
            raise _Unfit(value, self, "a whole number of 64 bits")


class Time:
    """A Go time.Time."""

    go_type = "time.Time"
    fits: type | None = None

    plain = f'(?:"{USUAL}"|null)'

    def check(self, value: object) -> None:
        if type(value) is not str or not is_time(value):
            raise _Unfit(value, self, "a time")


class Command:
    """A command line: moby's strslice.StrSlice, which tries a text last."""

    go_type = "string"
    fits: type | None = str

    plain = f"(?:{TEXT}|{_listed(TEXT)}|null)"

    def check(self, value: object) -> None:
        if not is_command(value):
            raise _Unfit(value, self, "a text or a list of texts")


class List:
    """A Go slice."""

    fits: type | None = None

    def __init__(self, of: Shape) -> None:
        self.go_type = "[]" + of.go_type
        self._of = of

    @property
    def plain(self) -> str:
        return f"(?:{_listed(self._of.plain)}|null)"

    def check(self, value: object) -> None:
        if not isinstance(value, list):
            raise _Unfit(value, self, "a list")
        of, fits = self._of, self._of.fits
        index = -1
        try:
            for index, item in enumerate(value):  # noqa: B007 - read where a check fails
                if item.__class__ is not fits and item is not None:
                    of.check(item)
        except _Unfit as unfit:
            unfit.steps.append(f"[{index}]")
            raise


class Map:
    """A Go map with texts for keys; `name` is the engine's name of the type, where it has one."""

    fits: type | None = None

    def __init__(self, of: Shape, name: str = "") -> None:
        self.go_type = name or "map[string]" + of.go_type
        self._of = of

    @property
    def plain(self) -> str:
        return f"(?:{braced(f'{TEXT}:{self._of.plain}')}|null)"

    def check(self, value: object) -> None:
        if not isinstance(value, dict):
            raise _Unfit(value, self, "an object")
        of, fits = self._of, self._of.fits
        key = ""
        try:
            for key, item in pairs_of(value):  # noqa: B007 - read where a check fails
                if item.__class__ is not fits and item is not None:
                    of.check(item)
        except _Unfit as unfit:
            unfit.steps.append(f"[{key!r}]")
            raise


class Struct:
    """A Go struct, or a pointer to one; `go_type` with its package (``image.RootFS``), fields by the format's names."""

    fits: type | None = None

    def __init__(self, go_type: str, fields: Mapping[str, Shape]) -> None:
        self.go_type = go_type
        self._fields = dict(fields)
        self._folded = {folded(name): shape for name, shape in fields.items()}

    @property
    def plain(self) -> str:
        members = "|".join(f'"{re.escape(name)}":{shape.plain}' for name, shape in self._fields.items())
        return f"(?:{braced(f'(?:{members})')}|null)" if members else r"(?:\{\}|null)"

    def check(self, value: object) -> None:
        if not isinstance(value, dict):
            raise _Unfit(value, self, "an object")
        fields = self._fields
        key = ""
        try:
            for key, item in value.pairs if isinstance(value, Repeated) else value.items():
                shape = fields.get(key) or self._folded.get(folded(key))
                if shape is not None and item.__class__ is not shape.fits and item is not None:
                    shape.check(item)
        except _Unfit as unfit:
            unfit.steps.append("." + next((name for name in fields if folded(name) == folded(key)), key))
            unfit.struct = unfit.struct or self.go_type.rpartition(".")[2]
            raise

    def conform(self, document: object) -> None:
        """Refuse a whole document that the engine would refuse to read into this struct.

        Raises:
            Malformed: the first field, in the order of the document, that holds another
                type; `field` has its path and `engine` the engine's words.
        """
        if document is None:
            return
        try:
            self.check(document)
        except _Unfit as unfit:
            refusal = unfit.refusal()
            if unfit.steps:
                raise refusal from None
            words = _WHOLE.sub("Go value of type", refusal.engine)
            raise Malformed(refusal.why, engine=words) from None


_WHOLE = re.compile(r"Go struct field \.? ?of type")
