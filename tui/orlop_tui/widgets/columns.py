"""The columns of the image list: which a kind of store has, which fit a width, and what stands in a cell."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from orlop.records import Flag, Row
from orlop.text import visible
from orlop_tui.format import NO_NAME, age, short, size, state_word
from orlop_tui.widgets.listing import Column

MARGIN = 3
"""Cells for the cursor's ``>`` and the mark's ``*``."""


class Field(NamedTuple):
    """One column as drawn."""

    column: Column
    title: str
    width: int
    """0: takes what is left."""
    from_width: int
    """The table's width from which it is shown."""
    right: bool = False


_USUAL = "linux/"
"""What is left out of a platform where there is little room for it."""

_DOCKER: Sequence[Field] = (
    Field(Column.NAME, "REPOSITORY", 0, 0),
    Field(Column.TAG, "TAG", 10, 0),
    Field(Column.ID, "IMAGE ID", 12, 50),
    Field(Column.SIZE, "SIZE", 8, 81, right=True),
    Field(Column.OWN, "OWN", 8, 44, right=True),
    Field(Column.AGE, "AGE", 6, 81, right=True),
    Field(Column.PLATFORM, "PLATFORM", 14, 110),
    Field(Column.STATE, "STATE", 8, 0),
)

_REGISTRY: Sequence[Field] = (
    Field(Column.NAME, "REPOSITORY", 0, 0),
    Field(Column.TAG, "TAG", 10, 0),
    Field(Column.ID, "DIGEST", 12, 58),
    Field(Column.WHAT, "WHAT", 8, 72),
    Field(Column.PLATFORM, "PLATFORM", 14, 112),
    Field(Column.SIZE, "SIZE", 8, 83, right=True),
    Field(Column.OWN, "OWN", 8, 44, right=True),
    Field(Column.AGE, "CREATED", 7, 98, right=True),
    Field(Column.STATE, "STATE", 8, 0),
)

_RKT: Sequence[Field] = (
    Field(Column.NAME, "NAME", 0, 0),
    Field(Column.TAG, "VERSION", 10, 0),
    Field(Column.LATEST, "LATEST", 6, 62),
    Field(Column.ID, "ID", 12, 70),
    Field(Column.SIZE, "SIZE", 8, 44, right=True),
    Field(Column.AGE, "IMPORTED", 8, 92, right=True),
    Field(Column.USED, "USED", 6, 82, right=True),
    Field(Column.PLATFORM, "PLATFORM", 14, 118),
    Field(Column.STATE, "STATE", 8, 0),
)

_KINDS: Mapping[str, Sequence[Field]] = {"docker": _DOCKER, "registry": _REGISTRY, "rkt": _RKT}


def all_fields(kind: str) -> Sequence[Field]:
    """Every column of a kind of store."""
    return _KINDS.get(kind, _DOCKER)


def fields_for(width: int, kind: str = "docker") -> list[Field]:
    """The columns of a table so wide, with their widths; the tag grows where there is room.

    The last cell is the scroll bar's, whether there is one or not.
    """
    width -= 1
    chosen = [field for field in all_fields(kind) if width >= field.from_width]
    tag = 12 if 66 <= width < 81 else 10 if width < 90 else min(24, 10 + (width - 90) // 3)
    chosen = [field._replace(width=tag) if field.column is Column.TAG else field for field in chosen]
    rest = width - MARGIN - sum(field.width for field in chosen) - (len(chosen) - 1)
    return [field._replace(width=max(rest, 8)) if field.width == 0 else field for field in chosen]


def cell(row: Row, column: Column, now: int, *, depth: int = 0) -> str:
    """The safe text of one cell.

    Args:
        row: the row.
        column: which of its cells.
        now: the moment that ages are counted from.
        depth: how far it is indented under the index that names it; 0 where it stands by itself.
    """
    match column:
        case Column.NAME:
            if depth:
                return f"{'  ' * depth}└ {visible(row.tag or row.platform or row.what)}"
            return visible(row.repository) or NO_NAME
        case Column.TAG:
            if row.under is not None and not row.tag:
                return "" if depth else f"└ {visible(row.platform.removeprefix(_USUAL) or row.what)}"
            return short(row.tag) if Flag.DIGEST_ONLY in row.flags else visible(row.tag) or "-"
        case Column.ID:
            return short(row.key.id) or "?"
        case Column.WHAT:
            return visible(row.what)
        case Column.SIZE:
            return size(row.size)
        case Column.OWN:
            return size(row.own_size)
        case Column.AGE:
            return age(row.created, now)
        case Column.USED:
            return "-" if row.last_used is None else age(row.last_used, now)
        case Column.LATEST:
            return "latest" if Flag.LATEST in row.flags else ""
        case Column.PLATFORM:
            return visible(row.platform) or ("-" if row.what != "image" else "?")
        case Column.STATE:
            return state_word(row)
