"""Two images side by side, of one store or of two: what they share, and what only one of them has."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from orlop.records import Detail, LayerRecord
from orlop.text import visible
from orlop_tui import format as words
from orlop_tui.screens.dialog import Dialog
from orlop_tui.widgets.lines import BLANK, Line, Role, fit, fold, line, span

_LABEL = 10
_MOST_VALUES = 200
"""Members of the configs that differ and are shown."""
_DEEPEST = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two."""

    store: str
    """The store's label."""
    detail: Detail


def compared(left: Side, right: Side, now: int, width: int) -> Sequence[Line]:
    """Lines that say what is the same and what is not, in words."""
    return [
        *_heads(left, right, width),
        *_fields(left, right, now, width),
        BLANK,
        *_layers(left.detail, right.detail),
        BLANK,
        *_configs(left.detail, right.detail, width),
    ]


def _heads(left: Side, right: Side, width: int) -> Iterator[Line]:
    for word, side in (("left", left), ("right", right)):
        names = side.detail.names or (side.detail.key.name or "no name",)
        for number, text in enumerate(fold(visible(f"{side.store}  {', '.join(names)}"), width - _LABEL)):
            yield line(span(fit("" if number else word, _LABEL), Role.LABEL), span(text, Role.STRONG))


def _fields(left: Side, right: Side, now: int, width: int) -> Iterator[Line]:
    for label, one, other in zip(_FIELDS, _values(left.detail, now), _values(right.detail, now), strict=True):
        if one == other:
            yield from _labelled(label, f"{one}  (both)", width, Role.FAINT)
        else:
            yield from _labelled(label, f"left   {one}", width, Role.PLAIN)
            yield from _labelled("", f"right  {other}", width, Role.PLAIN)


_FIELDS = ("Id", "Platform", "Created", "Size", "State")


def _values(detail: Detail, now: int) -> tuple[str, ...]:
    row = detail.row
    if row is None:
        return (detail.key.id, "?", "?", "?", "gone")
    state = words.state_sentence(row, now)
    return (row.key.id, row.platform or "?", words.moment(row.created), words.both_sizes(row.size), state)


def _labelled(label: str, text: str, width: int, role: Role) -> Iterator[Line]:
    for number, part in enumerate(fold(visible(text), max(width - _LABEL, 20))):
        yield line(span(fit("" if number else label, _LABEL), Role.LABEL), span(part, role))


# --- layers


def _layers(left: Detail, right: Detail) -> Iterator[Line]:
    mine, others = [_name(one) for one in left.layers], [_name(one) for one in right.layers]
    here, there = set(mine), set(others)
    base = next((n for n, (one, other) in enumerate(zip(mine, others, strict=False)) if one != other), None)
    common = min(len(mine), len(others)) if base is None else base
    shared = sum(one.size or 0 for one in left.layers if _name(one) in there)
    said = f"{words.count(common, 'layer')} of {len(mine)} and {len(others)} from the base up are the same"
    yield line(span("Layers", Role.HEADING), span(f"  {said}; {words.size(shared)} shared", Role.FAINT))
    for one in left.layers:
        yield _layer("both" if _name(one) in there else "left", one)
    for one in right.layers:
        if _name(one) not in here:
            yield _layer("right", one)


def _name(layer: LayerRecord) -> str:
    """What tells a layer from others in any store: its diff id, else its blob."""
    return layer.diff_id or layer.digest


def _layer(where: str, layer: LayerRecord) -> Line:
    role = Role.FAINT if where == "both" else Role.PLAIN
    text = f"{words.short(_name(layer))}  {words.size(layer.size):>9}"
    return line(span(fit(where, _LABEL), Role.LABEL), span(text, role), copy=_name(layer))


# --- configs


def _configs(left: Detail, right: Detail, width: int) -> Iterator[Line]:
    one, other = _flat(left), _flat(right)
    names = [name for name in dict.fromkeys([*one, *other]) if one.get(name) != other.get(name)]
    said = "the same" if not names else words.count(len(names), "member") + " differ"
    yield line(span("Config", Role.HEADING), span(f"  {said}", Role.FAINT))
    for name in names[:_MOST_VALUES]:
        yield line(span(name, Role.LABEL))
        for word, values in (("left", one), ("right", other)):
            text = values.get(name, "(none)")
            yield from _labelled(f"  {word}", text, width, Role.PLAIN)
    if len(names) > _MOST_VALUES:
        yield line(span(f"… and {len(names) - _MOST_VALUES} more", Role.FAINT))


_ELSEWHERE = frozenset({"history", "rootfs"})


def _flat(detail: Detail) -> dict[str, str]:
    """The members of a config by their paths; what looks secret is masked."""
    found: dict[str, str] = {}
    config = {name: value for name, value in detail.config.items() if name.lower() not in _ELSEWHERE}
    _gather("", words.masked_config(config), found, 0)
    return found


def _gather(path: str, value: object, found: dict[str, str], depth: int) -> None:
    if isinstance(value, Mapping) and value and depth < _DEEPEST:
        for name, item in value.items():
            _gather(f"{path}.{name}" if path else str(name), item, found, depth + 1)
    elif isinstance(value, list | tuple) and value:
        for item in value:
            found[f"{path}: {item}"] = "has it"
    elif value not in (None, "", [], {}):
        found[path] = str(value)


class Comparison(Dialog[None]):
    """The dialog with two images in it."""

    def __init__(self, left: Side, right: Side, now: int) -> None:
        super().__init__()
        self.title_text = "Side by side"
        self._left, self._right, self._now = left, right, now

    def body(self, width: int) -> Sequence[Line]:
        return compared(self._left, self._right, self._now, width)
