"""Bars and boxes of characters: how much of what, to be seen at a glance and read without colour."""

from collections.abc import Sequence
from typing import NamedTuple

from orlop_tui import format as words
from orlop_tui.widgets.lines import fit

_SMALLEST = 3
"""Cells inside a box that is drawn by itself; smaller ones share the last box."""


class Share(NamedTuple):
    """A part of a whole."""

    title: str
    bytes: int


def bar(part: int, whole: int, width: int, *, plain: bool) -> str:
    """A bar in exactly `width` cells."""
    return fit(words.bar(part, whole, width, plain=plain), width)


def own_and_shared(own: int, total: int, most: int, width: int, *, plain: bool) -> str:
    """A bar of two parts in exactly `width` cells: first what is a thing's own, then what it shares."""
    if most <= 0 or total <= 0:
        return " " * width
    long = max(1, min(width, round(total * width / most)))
    first = min(long, round(own * long / total))
    full, light = ("#", ".") if plain else ("█", "░")
    return fit(full * first + light * (long - first), width)


def progress(done: int, total: int, width: int, *, plain: bool) -> str:
    """How far something is, with what is missing, in exactly `width` cells."""
    if total <= 0:
        return " " * width
    if plain:
        filled = min(width, width * done // total)
        return "#" * filled + "-" * (width - filled)
    drawn = words.bar(done, total, width)
    return drawn + "·" * (width - len(drawn))


def boxes(shares: Sequence[Share], width: int, *, plain: bool) -> list[str]:
    """Four lines: a box for each share, as wide as it is large, with its title and size where they fit.

    What is too small for a box of its own is in the last one, together.
    """
    shown, cells = _widths([share for share in shares if share.bytes > 0], width)
    if not shown:
        return []
    total = sum(share.bytes for share in shown)
    h, v, corners = ("-", "|", "+++++++") if plain else ("─", "│", "┌┬┐└┴┘")
    titles = [fit(share.title, room) for share, room in zip(shown, cells, strict=True)]
    sizes = [_size(share.bytes, total, room) for share, room in zip(shown, cells, strict=True)]
    return [
        corners[0] + corners[1].join(h * room for room in cells) + corners[2],
        v + v.join(titles) + v,
        v + v.join(sizes) + v,
        corners[3] + corners[4].join(h * room for room in cells) + corners[5],
    ]


def _size(count: int, total: int, room: int) -> str:
    size, percent = words.size(count), words.percent(count, total)
    for text in (f"{size}  {percent}", percent, ""):
        if len(text) <= room:
            return fit(text, room)
    return ""


def _widths(shares: list[Share], width: int) -> tuple[list[Share], list[int]]:
    """Which boxes there are, and how many cells each has inside."""
    shares.sort(key=lambda share: -share.bytes)
    total = sum(share.bytes for share in shares)
    for number in range(len(shares), 0, -1):
        shown = shares[:number]
        rest = shares[number - 1 :]
        if len(rest) > 1:
            shown[-1] = Share(f"{len(rest)} others", sum(share.bytes for share in rest))
        room = width - number - 1
        cells = [share.bytes * room // total for share in shown]
        missing = [max(0, _SMALLEST - each) for each in cells]
        if room >= number * _SMALLEST and sum(missing) <= max(cells) // 8:
            cells = [each + more for each, more in zip(cells, missing, strict=True)]
            cells[cells.index(max(cells))] += room - sum(cells)
            return shown, cells
    return shares[:1], [max(width - 2, 1)] if shares else []
