"""The filter language of the image list: one line, every word must hold.

Plain words match the name, or the start of an id. ``field:value`` looks into one
field, ``size>1G`` compares, ``re:/…/`` is a regular expression for the name, a leading
``!`` turns a word round. Matching is plain and blind to case: a filter never surprises.

What an image holds (``layer:``, ``digest:``, ``src:``) is not in its row: the store
answers it, and a filter with such a word is used once the answers are there.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from orlop.records import Condition, Flag, Holding, Row, Trust
from orlop_tui.format import state_word

Test: TypeAlias = Callable[[Row], bool]

FIELDS = ("repo", "tag", "id", "state", "platform", "digest", "layer", "src", "used", "what", "latest", "re")
"""What may stand before a colon."""

MEASURES = ("size", "own", "age", "used")
"""What may be compared, with ``<`` or ``>``."""

VALUES: Mapping[str, tuple[str, ...]] = {
    "state": tuple(
        dict.fromkeys(
            text.lower().replace(" ", "-")
            for text in (
                *("BAD", "partial", "busy", "listed", "odd name", "untagged", "linked", "verified"),
                *Condition,
                *Trust,
                *Flag,
            )
        )
    ),
    "what": ("image", "index", "artifact", "schema-1", "unknown"),
    "used": ("yes", "no"),
    "latest": ("yes", "no"),
}
"""All that some fields can be, as it is typed."""

_ONLY_IN: Mapping[str, tuple[str, str]] = {
    "latest": ("rkt", "only an ACI store marks the latest of a name"),
}
"""Fields of one kind of store, and why the others have none."""
_NOT_IN: Mapping[tuple[str, str], str] = {
    ("used", "registry"): "a registry does not know what uses an image",
}

_TOKEN = re.compile(r"!?re:/(?:\\.|[^/\\])*/(?=\s|$)|\S+")
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


class Held(NamedTuple):
    """A word that only the store can answer: which images hold something."""

    holding: Holding
    text: str


Answers: TypeAlias = Mapping[Held, frozenset[str]]
"""Ids of the images that a store named for such words."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter; the empty one lets everything through."""

    text: str
    words: tuple[tuple[bool, str | Test | Held], ...]
    """Whether a word is turned round, and what must hold: a plain word, a test of a row, or what a store answers."""

    def __bool__(self) -> bool:
        return bool(self.words)

    @property
    def held(self) -> tuple[Held, ...]:
        """What must be asked of the store."""
        return tuple(word for _, word in self.words if isinstance(word, Held))

    def choose(self, hay: Haystack, order: Iterable[int], answers: Answers | None = None) -> list[int]:
        """The positions of the rows that hold every word, in the order given; without its answer a word holds nowhere.

        Args:
            hay: the rows.
            order: positions in it.
            answers: what the store said to `held`.
        """
        chosen = list(order)
        rows = hay.rows
        for negated, word in self.words:
            if isinstance(word, str):
                chosen = _with_word(chosen, hay, word, negated)
            elif isinstance(word, Held):
                images = (answers or {}).get(word, frozenset())
                chosen = [i for i in chosen if (rows[i].key.id in images) is not negated]
            else:
                chosen = [i for i in chosen if word(rows[i]) is not negated]
        return chosen

    def doubt(self, hay: Haystack) -> str:
        """Which plain word looks like a field that was misspelled and is in no name; empty where all is well."""
        for _, word in self.words:
            nearest = _nearest_field(word) if isinstance(word, str) else ""
            if nearest and not any(str(word) in name for name in hay.names()):
                return f"{word} is in no name, and no field; nearest: {nearest}:"
        return ""


EVERYTHING = Filter("", ())


def tokens(text: str) -> list[str]:
    """The words of a filter; the blanks in a regular expression are its own."""
    return _TOKEN.findall(text)


def parse(text: str, *, now: int, kind: str = "docker") -> Filter:
    """Read a filter.

    Args:
        text: what was typed.
        now: the moment that ages are counted from, nanoseconds UTC.
        kind: the kind of store, some of which have further fields.

    Raises:
        BadFilter: a word cannot be understood: a comparison without an amount, an unknown unit or
            state, a regular expression that is none, a field that this kind has not.
    """
    return Filter(text, tuple(_word(word, now, kind) for word in tokens(text)))


def fields_of(kind: str) -> tuple[str, ...]:
    """The fields that mean something in a kind of store, as they are typed: ``repo:``, ``size>``."""
    own = (name for name in FIELDS if _why_no_field(name, kind) == "")
    return (*(f"{name}:" for name in own), *(f"{name}>" for name in MEASURES if name != "used" or kind == "rkt"))


def seconds(text: str) -> float | None:
    """An age such as ``24h`` or ``7d``; None where it is none."""
    found = _AMOUNT.fullmatch(text.strip().lower())
    return None if found is None or found[2] not in _SPANS else float(found[1]) * _SPANS[found[2]]


def _why_no_field(name: str, kind: str) -> str:
    """Why a field means nothing in a kind of store; empty where it does."""
    if name in _ONLY_IN and _ONLY_IN[name][0] != kind:
        return _ONLY_IN[name][1]
    return _NOT_IN.get((name, kind), "")


def _nearest_field(word: str) -> str:
    """The field that somebody may have meant; empty for none."""
    name, colon, _ = word.partition(":")
    if not colon or name in FIELDS:
        return ""
    found = difflib.get_close_matches(name, FIELDS, 1, 0.6)  # 0.6: whoever types source: means src:
    return found[0] if found else next((field for field in FIELDS if name.startswith(field)), "")


def _word(word: str, now: int, kind: str) -> tuple[bool, str | Test | Held]:
    negated = word.startswith("!")
    body = word[1:] if negated else word
    if not body:
        raise BadFilter("! needs a word after it")
    if body.startswith("re:"):
        return negated, _expression(body)
    if comparison := _COMPARISON.fullmatch(body.lower()):
        return negated, _compare(comparison[1], comparison[2], comparison[3], now)
    name, colon, value = body.lower().partition(":")
    if colon and name in FIELDS:
        if not value:
            raise BadFilter(f"{name}: needs {_needed(name)}")
        if why := _why_no_field(name, kind):
            raise BadFilter(f"{name}: {why}")
        if name in ("layer", "digest", "src"):
            return negated, Held(Holding(name), value)
        return negated, _in_field(name, _known(name, value))
    return negated, body.lower()


def _needed(name: str) -> str:
    return f"one of {', '.join(VALUES[name])}" if name in VALUES else "a text after it"


def _known(name: str, value: str) -> str:
    """A value that starts one of those that a field can have.

    Raises:
        BadFilter: it starts none.
    """
    known = VALUES.get(name)
    if known is None or any(each.startswith(value) for each in known):
        return value
    near = difflib.get_close_matches(value, known, 1, 0.4)
    nearest = f"nearest: {near[0]}" if near else f"it is one of {', '.join(known)}"
    raise BadFilter(f"{name}:{value} is unknown; {nearest}")


def _expression(body: str) -> Test:
    """A regular expression for the name.

    Raises:
        BadFilter: it is not closed, or is none.
    """
    if len(body) < 5 or not (body.startswith("re:/") and body.endswith("/")):
        raise BadFilter("re: needs an expression between slashes, such as re:/v[0-9]+$/")
    try:
        found = re.compile(body[4:-1], re.IGNORECASE)
    except re.error as error:
        raise BadFilter(f"{body} is no regular expression: {error}") from error
    return lambda row: found.search(row.key.name or row.repository) is not None


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
        case "platform":
            return lambda row: value in row.platform.lower()
        case "what":
            return lambda row: row.what.replace(" ", "-").startswith(value)
        case "used":
            return lambda row: (Flag.IN_USE in row.flags) is value.startswith("y")
        case "latest":
            return lambda row: (Flag.LATEST in row.flags) is value.startswith("y")
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
