"""Rows that differ put into the rows that were there: what a change costs depends on it, not on the store."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Set

from orlop import reference
from orlop.docker.model import Model
from orlop.docker.rows import Maker, place
from orlop.records import Key, Row

_MANY = 1000
"""Rows from which on going through all is quicker than looking each up."""


def changed_rows(
    before: tuple[Row, ...], images: Set[str], old: Model, maker: Maker
) -> tuple[tuple[Row, ...], frozenset[Key], frozenset[Key], frozenset[Key]]:
    """The rows anew, and the keys that were added, removed and changed.

    Args:
        before: all rows as they were.
        images: ids whose rows may differ.
        old: the model that the rows before were made of.
        maker: makes rows of the new model.
    """
    was = {row.key: row for row in _rows_of(before, images, old)}
    now = {row.key: row for identity in images for row in maker.of(identity)}
    removed = frozenset(was.keys() - now.keys())
    added = frozenset(now.keys() - was.keys())
    changed = frozenset(key for key in now.keys() & was.keys() if now[key] != was[key])
    if not (removed or added or changed):
        return before, added, removed, changed
    gone = [was[key] for key in (*removed, *changed)]
    come = [now[key] for key in (*added, *changed)]
    return _merged(before, gone, come), added, removed, changed


def _rows_of(rows: tuple[Row, ...], images: Set[str], model: Model) -> Iterable[Row]:
    keys: list[Key] = []
    for identity in images:
        names = model.names_of.get(identity)
        if names is not None:
            keys += (Key("", identity, text) for text in names)
        elif identity in model.images:
            keys.append(Key("", identity, None))
    if len(keys) > _MANY:
        wanted = set(keys)
        return [row for row in rows if row.key in wanted]
    return [row for key in keys if (row := row_of(rows, key)) is not None]


def row_of(rows: tuple[Row, ...], key: Key) -> Row | None:
    """The row of a key among all rows, in their order; None where there is none."""
    at = bisect_left(rows, _place_of(key), key=place)
    return rows[at] if at < len(rows) and rows[at].key == key else None


def _place_of(key: Key) -> tuple[bool, str, str, str]:
    if key.name is None:
        return (True, key.id, "", "")
    return (False, *reference.split(key.name), key.name)


def _merged(before: tuple[Row, ...], gone: list[Row], come: list[Row]) -> tuple[Row, ...]:
    rows = list(before)
    if len(gone) + len(come) > _MANY:
        keys = {row.key for row in gone}
        rows = [row for row in rows if row.key not in keys]
        rows += come
        rows.sort(key=place)
        return tuple(rows)
    for row in gone:
        del rows[bisect_left(rows, place(row), key=place)]
    for row in come:
        insort(rows, row, key=place)
    return tuple(rows)


def compared(before: tuple[Row, ...], after: tuple[Row, ...]) -> tuple[frozenset[Key], frozenset[Key], frozenset[Key]]:
    """The keys that were added, removed and changed between any rows."""
    old = {row.key: row for row in before}
    new = {row.key: row for row in after}
    changed = frozenset(key for key in new.keys() & old.keys() if new[key] != old[key])
    return frozenset(new.keys() - old.keys()), frozenset(old.keys() - new.keys()), changed
