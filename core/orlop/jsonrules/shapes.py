"""What the engine's types take from a JSON document: whether it would read the whole of it.

The engine reads a document into a struct, and one field of another type makes it
refuse the whole, fields that nobody here cares for too. A `Shape` says what each
known field takes; unknown members are skipped, whatever they hold, and null fits
everywhere.

Source: Go 1.22 ``encoding/json/decode.go``; member names by the rules of `orlop.jsonrules`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from orlop.errors import Malformed
from orlop.jsonrules.members import folded, instant, is_command, mismatch, not_a_command, pairs_of
from orlop.times import is_time


class Shape(Protocol):
    """What one field takes."""

    @property
    def go_type(self) -> str:
        """The engine's type, for its words."""
        ...

    @property
    def fits(self) -> type | None:
        """Values of exactly this type fit without a closer look; None where all need one."""
        ...

    def check(self, value: object, path: str, struct: str) -> None:
        """Refuse a value that the engine would refuse; null has been let pass.

        Args:
            value: what `orlop.jsonrules.loads` gave.
            path: the field, for people.
            struct: the engine's type of what holds the field.

        Raises:
            Malformed: the first fault in the order of the document.
        """
        ...


@dataclass(frozen=True, slots=True)
class Text:
    """A Go string, by any name."""

    go_type: str = "string"
    fits: type | None = str

    def check(self, value: object, path: str, struct: str) -> None:
        if not isinstance(value, str):
            raise mismatch(value, path, struct, self.go_type, "a text")


@dataclass(frozen=True, slots=True)
class Boolean:
    """A Go bool."""

    go_type: str = "bool"
    fits: type | None = bool

    def check(self, value: object, path: str, struct: str) -> None:
        if not isinstance(value, bool):
            raise mismatch(value, path, struct, self.go_type, "true or false")


@dataclass(frozen=True, slots=True)
class Integer:
    """A Go integer of 64 bits with a sign."""

    go_type: str = "int64"
    fits: type | None = None

    def check(self, value: object, path: str, struct: str) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not -(1 << 63) <= value < 1 << 63:
            raise mismatch(value, path, struct, self.go_type, "a whole number of 64 bits")


@dataclass(frozen=True, slots=True)
class Time:
    """A Go time.Time."""

    go_type: str = "time.Time"
    fits: type | None = None

    def check(self, value: object, path: str, struct: str) -> None:
        if not isinstance(value, str) or not is_time(value):
            instant(value, path)


@dataclass(frozen=True, slots=True)
class Command:
    """A command line: moby's strslice.StrSlice."""

    go_type: str = "strslice.StrSlice"
    fits: type | None = str

    def check(self, value: object, path: str, struct: str) -> None:
        if not is_command(value):
            raise not_a_command(value, path)


@dataclass(frozen=True, slots=True)
class List:
    """A Go slice."""

    of: Shape
    fits: type | None = None

    @property
    def go_type(self) -> str:
        return "[]" + self.of.go_type

    def check(self, value: object, path: str, struct: str) -> None:
        if not isinstance(value, list):
            raise mismatch(value, path, struct, self.go_type, "a list")
        of = self.of
        for index, item in enumerate(value):
            if item is not None and item.__class__ is not of.fits:
                of.check(item, f"{path}[{index}]", struct)


@dataclass(frozen=True, slots=True)
class Map:
    """A Go map with texts for keys."""

    of: Shape
    name: str = ""
    """The engine's name for the type; empty where it has none."""
    fits: type | None = None

    @property
    def go_type(self) -> str:
        return self.name or "map[string]" + self.of.go_type

    def check(self, value: object, path: str, struct: str) -> None:
        if not isinstance(value, dict):
            raise mismatch(value, path, struct, self.go_type, "an object")
        of = self.of
        for key, item in pairs_of(value):
            if item is None or item.__class__ is of.fits:
                continue
            try:
                of.check(item, path, struct)
            except Malformed as error:
                raise Malformed(f"its member {key!r}: {error.why}", engine=error.engine, field="") from error


@dataclass(frozen=True, slots=True)
class Struct:
    """A Go struct, or a pointer to one."""

    go_type: str
    """With its package: ``image.RootFS``."""
    fields: Mapping[str, Shape]
    """By the names in the format."""
    fits: type | None = None
    _folded: dict[str, Shape] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._folded.update({folded(name): shape for name, shape in self.fields.items()})

    def check(self, value: object, path: str, struct: str) -> None:
        if not isinstance(value, dict):
            raise mismatch(value, path, struct, self.go_type, "an object")
        self._check_members(value, path)

    def conform(self, document: object) -> None:
        """Refuse a whole document that the engine would refuse to read into this struct.

        Raises:
            Malformed: the first field in the document that holds another type;
                `engine` has the engine's words.
        """
        if document is None:
            return
        if not isinstance(document, dict):
            refusal = mismatch(document, "", "", self.go_type, "an object")
            words = refusal.engine.replace("Go struct field . of type", "Go value of type")
            raise Malformed(refusal.why, engine=words)
        self._check_members(document, "")

    def _check_members(self, value: dict[str, object], path: str) -> None:
        fields = self.fields
        struct = self.go_type.rpartition(".")[2]
        for key, item in pairs_of(value):
            if item is None:
                continue
            shape = fields.get(key) or self._folded.get(folded(key))
            if shape is not None and item.__class__ is not shape.fits:
                shape.check(item, f"{path}.{key}" if path else key, struct)
