"""The filter language of the image list: one line, every word must hold.

Plain words match the name, or the start of an id. ``field:value`` looks into one
field, ``size>1G`` compares, a leading ``!`` turns a word round. Matching is plain
and blind to case: a filter never surprises.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from orlop.records import Condition, Row
from orlop_tui.format import state_word

Test: TypeAlias = Callable[[Row], bool]

FIELDS = ("repo", "tag", "id", "state", "platform", "digest", "what")
"""What may stand before a colon."""

MEASURES = ("size", "own", "age", "used")
"""What may be compared, with ``<`` or ``>``."""

_COMPARISON = re.compile(r"(size|own|age|used)([<>])(.*)", re.ASCII)
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)([a-z]*)", re.ASCII)
_BYTES = {
    "": 1,
    "b": 1,
    "k": 10**3,
    "kb": 10**3,
    "m": 10**6,
    "mb": 10**6,
    "g": 10**9,
    "gb": 10**9,
    "t": 10**12,
    "tb": 10**12,
}
_SPANS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}
_ALGORITHM = re.compile(r"sha(?:256|384|512)[:-]", re.ASCII)
_HEX = re.compile(rf"(?:{_ALGORITHM.pattern})?[0-9a-f]+", re.ASCII)


class BadFilter(ValueError):
    """The filter cannot be understood; the text says which word and what is expected."""


@dataclass(frozen=True, slots=True)
class Haystack:
    """Lower-case texts of some rows, made when a filter first needs them."""

    rows: Sequence[Row]
    _made: dict[str, list[str]] = field(default_factory=dict)

    def names(self) -> list[str]:
        if "names" not in self._made:
            self._made["names"] = [(row.key.name or row.repository).lower() for row in self.rows]
        return self._made["names"]

    def digits(self) -> list[str]:
        """The hex digits of the ids, without their algorithm."""
        if "digits" not in self._made:
            self._made["digits"] = [digits(row.key.id) for row in self.rows]
        return self._made["digits"]


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter; the empty one lets everything through."""

    text: str
    words: tuple[tuple[bool, str | Test], ...]
    """Whether a word is turned round, and what must hold: a plain word, or a test of a row."""

    def __bool__(self) -> bool:
        return bool(self.words)

    def choose(self, hay: Haystack, order: Iterable[int]) -> list[int]:
        """The positions of the rows that hold every word, in the order given."""
        chosen = list(order)
        for negated, word in self.words:
            if isinstance(word, str):
                chosen = _with_word(chosen, hay, word, negated)
            else:
                rows = hay.rows
                chosen = [i for i in chosen if word(rows[i]) is not negated]
        return chosen


EVERYTHING = Filter("", ())


def parse(text: str, *, now: int) -> Filter:
    """Read a filter.

    Args:
        text: what was typed.
        now: the moment that ages are counted from, nanoseconds UTC.

    Raises:
        BadFilter: a comparison without an amount, or an unknown unit.
    """
    return Filter(text, tuple(_word(word, now) for word in text.split()))


def seconds(text: str) -> float | None:
    """An age such as ``24h`` or ``7d``; None where it is none."""
    found = _AMOUNT.fullmatch(text.strip().lower())
    return None if found is None or found[2] not in _SPANS else float(found[1]) * _SPANS[found[2]]


def _word(word: str, now: int) -> tuple[bool, str | Test]:
    negated = word.startswith("!")
    body = word[1:] if negated else word
    if not body:
        raise BadFilter("! needs a word after it")
    if comparison := _COMPARISON.fullmatch(body.lower()):
        return negated, _compare(comparison[1], comparison[2], comparison[3], now)
    name, colon, value = body.lower().partition(":")
    if colon and name in FIELDS:
        if not value:
            raise BadFilter(f"{name}: needs a text after it")
        return negated, _in_field(name, value)
    return negated, body.lower()


def digits(identity: str) -> str:
    """The hex digits of an id or of its beginning, in lower case, whatever its algorithm and its sign after that."""
    lower = identity.lower()
    found = _ALGORITHM.match(lower)
    return lower[found.end() :] if found else lower


def _with_word(chosen: list[int], hay: Haystack, word: str, negated: bool) -> list[int]:
    names = hay.names()
    if _HEX.fullmatch(word) is None:
        return [i for i in chosen if (word in names[i]) is not negated]
    ids = hay.digits()
    start = digits(word)
    return [i for i in chosen if (word in names[i] or ids[i].startswith(start)) is not negated]


def _in_field(name: str, value: str) -> Test:
    match name:
        case "repo":
            return lambda row: value in row.repository.lower()
        case "tag":
            return lambda row: value in row.tag.lower()
        case "id":
            start = digits(value)
            return lambda row: digits(row.key.id).startswith(start)
        case "digest":
            return lambda row: value in row.key.id or ("@" in (row.key.name or "") and value in row.tag.lower())
        case "platform":
            return lambda row: value in row.platform.lower()
        case "what":
            return lambda row: row.what.startswith(value)
        case _:
            return lambda row: _has_state(row, value)


def _has_state(row: Row, value: str) -> bool:
    words = [state_word(row), row.condition, *row.flags]
    if row.condition is Condition.SOUND:  # nothing broken answers to how it was found sound
        words.append(row.trust)
    return any(word.lower().replace(" ", "-").startswith(value) or word.lower().startswith(value) for word in words)


def _compare(measure: str, sign: str, amount: str, now: int) -> Test:
    found = _AMOUNT.fullmatch(amount)
    is_time = measure in ("age", "used")
    units = _SPANS if is_time else _BYTES
    if found is None or found[2] not in units:
        example = f"{measure}>90d" if is_time else f"{measure}>100M"
        raise BadFilter(f"{measure}{sign} needs an amount, such as {example}")
    limit = float(found[1]) * units[found[2]]
    more = sign == ">"

    def test(row: Row) -> bool:
        value = _measure(row, measure, now)
        return value is not None and (value > limit if more else value < limit)

    return test


def _measure(row: Row, measure: str, now: int) -> float | None:
    if measure == "size":
        return row.size
    if measure == "own":
        return row.own_size
    at = row.last_used if measure == "used" else row.created
    return None if at is None else (now - at) / 1e9
