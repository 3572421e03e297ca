"""What the image list shows and where the cursor is: rows, filter, sort, marks; no screen needed.

Cursor, range start and marks are held by key, never by position. Rows arrive as
whole snapshots; what can be found again stays, what is gone is let go.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from orlop.records import Condition, Flag, Key, Row, Trust
from orlop_tui.format import state_word
from orlop_tui.widgets.filtering import EVERYTHING, Filter, Haystack, Held


class Column(StrEnum):
    """What the list can be sorted by."""

    NAME = "name"
    TAG = "tag"
    ID = "id"
    SIZE = "size"
    OWN = "own"
    AGE = "age"
    PLATFORM = "platform"
    STATE = "state"
    WHAT = "what"
    USED = "used"
    LATEST = "latest"


class Sort(NamedTuple):
    """An order of the rows."""

    column: Column = Column.NAME
    reverse: bool = False

    @property
    def arrow(self) -> str:
        """``^`` from small to large, ``v`` from large to small."""
        return "v" if self.reverse else "^"


BIGGEST_FIRST = frozenset({Column.SIZE, Column.OWN})
"""Columns that one sorts to see the largest first."""

_DEEPEST = 8
"""Rows below each other that are still indented further."""

_MOST_ANSWERS = 16
"""Words that a store answered and that no filter uses now: they may come again."""

_NEAR = 16
"""Rows to each side in which a key is looked for before an index of all rows is made."""

WORST_FIRST = ("BAD", "partial", "busy", "listed", "odd name", "untagged", "linked", "verified")
"""The state words, in the order of a sort by state."""

_VALUES: Mapping[Column, Callable[[Row], Any]] = {
    Column.TAG: lambda row: row.tag,
    Column.ID: lambda row: row.key.id,
    Column.SIZE: lambda row: row.size,
    Column.OWN: lambda row: row.own_size,
    Column.AGE: lambda row: None if row.created is None else -row.created,
    Column.PLATFORM: lambda row: row.platform or None,
    Column.STATE: lambda row: WORST_FIRST.index(state_word(row)),
    Column.WHAT: lambda row: row.what,
    Column.USED: lambda row: None if row.last_used is None else -row.last_used,
    Column.LATEST: lambda row: Flag.LATEST not in row.flags,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What an action is about."""

    keys: tuple[Key, ...]
    """In the order shown."""
    left_out: int
    """Marked rows that are not shown, and therefore not acted on."""
    marked: bool
    """Whether these are marks; else the row under the cursor."""


class Listing:
    """The image list of one store, apart from any screen.

    Attributes:
        rows: the snapshot's rows, in its order.
        shown: the rows that pass the filter, in the order of the sort.
        cursor: the key of the row under the cursor; None only while nothing is shown.
    """

    def __init__(self, rows: Sequence[Row] = ()) -> None:
        self.rows: tuple[Row, ...] = tuple(rows)
        self.sort = Sort()
        self.filter: Filter = EVERYTHING
        self.only_marked = False
        self.only_problems = False
        self._bad_images: frozenset[str] = frozenset()
        self._bad_names: frozenset[str] = frozenset()
        self.shown: list[Row] = list(self.rows)
        self.cursor: Key | None = self.shown[0].key if self.shown else None
        self.anchor: Key | None = None
        self._marks: set[Key] = set()
        self._before_range: frozenset[Key] = frozenset()
        self._chosen: Key | None = self.cursor
        self._hay = Haystack(self.rows)
        self._answers: dict[Held, frozenset[str]] = {}
        self._stamp = 0
        self._targets: tuple[int, Targets] | None = None
        self._positions: dict[Key, int] | None = None
        self._last = 0
        """Where the last key asked for was."""
        self._orders: dict[Sort, list[int]] = {}
        self._under: dict[Key, Key] | None = None
        """The row above of each row that is grouped under another; made when first needed."""
        self.said: dict[Key, str] = {}
        """Words that stand under STATE for a while: that a row is new, or how far its verifying is."""

    # --- what is where

    @property
    def stamp(self) -> int:
        """Another number whenever other rows are marked, or other rows are shown."""
        return self._stamp

    def __len__(self) -> int:
        return len(self.shown)

    @property
    def marks(self) -> frozenset[Key]:
        return frozenset(self._marks)

    @property
    def position(self) -> int:
        """The cursor's place among the shown rows; 0 while nothing is shown."""
        return 0 if self.cursor is None else self.position_of(self.cursor) or 0

    @property
    def row(self) -> Row | None:
        """The row under the cursor."""
        return self.shown[self.position] if self.shown else None

    @property
    def is_narrowed(self) -> bool:
        """Whether rows may be hidden."""
        return bool(self.filter) or self.only_marked or self.only_problems

    @property
    def is_grouped(self) -> bool:
        """Whether rows stand under the row that they belong to: in the order of names, with nothing hidden."""
        return self.sort.column is Column.NAME and not self.is_narrowed

    def depth(self, row: Row) -> int:
        """How many rows a row stands under now, one below the other; 0 where it stands by itself."""
        if row.under is None or not self.is_grouped:
            return 0
        under = self._groups()
        depth, above = 1, under.get(row.under)
        while above is not None and depth < _DEEPEST:
            depth, above = depth + 1, under.get(above)
        return depth

    def _groups(self) -> Mapping[Key, Key]:
        if self._under is None:
            self._under = {row.key: row.under for row in self.rows if row.under is not None}
        return self._under

    def position_of(self, key: Key) -> int | None:
        """Where a key is shown; None where it is not."""
        if self._positions is None:
            if (near := self._near(key)) is not None:
                return near
            self._positions = {row.key: i for i, row in enumerate(self.shown)}
        self._last = self._positions.get(key, self._last)
        return self._positions.get(key)

    def _near(self, key: Key) -> int | None:
        """Where a key is when it has hardly moved: an index of every row costs more than the whole redraw."""
        for place in range(max(0, self._last - _NEAR), min(len(self.shown), self._last + _NEAR + 1)):
            if self.shown[place].key == key:
                self._last = place
                return place
        return None

    def is_marked(self, key: Key) -> bool:
        return key in self._marks

    # --- rows come and go

    def load(self, rows: Sequence[Row]) -> None:
        """Put a new snapshot in place of the old one.

        The cursor keeps its key. Where that key is gone it follows the row if its
        image has a name that was not there before, and else goes to the nearest
        row that is still shown, the one below first. Marks of rows that are gone
        are dropped, and no mark is added.
        """
        old_rows, old_shown, old_position = self.rows, self.shown, self.position
        self.rows = tuple(rows)
        self._hay = Haystack(self.rows)
        self._under = None
        self._orders.clear()
        if self._marks or self.anchor is not None:
            present = {row.key for row in self.rows}
            self._marks &= present
            self._before_range &= present
            if self.anchor not in present:
                self.anchor = None
        self._arrange()
        if self.cursor is None or self.position_of(self.cursor) is None:
            renamed = self._renamed(old_rows) if self.cursor is not None else None
            self.cursor = renamed or self._nearest(old_shown, old_position)
        self._chosen = self.cursor

    def _renamed(self, old_rows: Sequence[Row]) -> Key | None:
        assert self.cursor is not None
        scope, identity = self.cursor.scope, self.cursor.id
        same = [row.key for row in self.rows if row.key.id == identity and row.key.scope == scope]
        if not same or self.cursor in same:
            return None
        before = {row.key for row in old_rows if row.key.id == identity}
        new = [key for key in same if key not in before and self.position_of(key) is not None]
        return new[0] if new else None

    def _nearest(self, old_shown: Sequence[Row], old_position: int) -> Key | None:
        for distance in range(len(old_shown)):
            for place in (old_position + distance, old_position - distance):
                if 0 <= place < len(old_shown) and self.position_of(old_shown[place].key) is not None:
                    return old_shown[place].key
        return self.shown[0].key if self.shown else None

    # --- narrowing and order

    def set_filter(self, filter: Filter) -> None:
        """Show only what passes; the cursor returns to the row it was put on, when that is shown again."""
        self._rearrange(lambda: setattr(self, "filter", filter))

    @property
    def hay(self) -> Haystack:
        """What filters look into."""
        return self._hay

    def unanswered(self, filter: Filter) -> tuple[Held, ...]:
        """What the store has not been asked yet, or not answered, of what a filter needs to know."""
        return tuple(held for held in filter.held if held not in self._answers)

    def answer(self, held: Held, images: frozenset[str]) -> None:
        """Take over which images hold something; where the filter needs it, the rows follow."""
        if self._answers.get(held) == images:
            return

        def change() -> None:
            self._answers.pop(held, None)
            self._answers[held] = images
            spare = [known for known in self._answers if known not in self.filter.held]
            for other in spare[:-_MOST_ANSWERS]:
                del self._answers[other]  # words that were typed on the way

        if held in self.filter.held:
            self._rearrange(change)
        else:
            change()

    def show_only(self, *, marked: bool | None = None, problems: bool | None = None) -> None:
        """Show only marked rows, or only rows that are not as they should be."""

        def change() -> None:
            self.only_marked = self.only_marked if marked is None else marked
            self.only_problems = self.only_problems if problems is None else problems

        self._rearrange(change)

    def suspect(self, images: Iterable[str], names: Iterable[str]) -> None:
        """Take over what a check found fault with: rows of these ids, and rows of these names, are problems."""

        def change() -> None:
            self._bad_images, self._bad_names = frozenset(images), frozenset(names)

        if self.only_problems:
            self._rearrange(change)
        else:
            change()

    def is_problem(self, row: Row) -> bool:
        """Whether a row needs a look: damaged, incomplete, never read, oddly named, or found fault with."""
        key = row.key
        return is_problem(row) or key.id in self._bad_images or key.name in self._bad_names

    def sort_by(self, column: Column) -> None:
        """Sort by a column, the way round that one wants first; the same column again turns it round."""
        if self.sort.column is column:
            self.reverse()
        else:
            self._rearrange(lambda: setattr(self, "sort", Sort(column, column in BIGGEST_FIRST)))

    def sort_as(self, sort: Sort) -> None:
        """Sort by a column, this way round."""
        self._rearrange(lambda: setattr(self, "sort", sort))

    def reverse(self) -> None:
        self._rearrange(lambda: setattr(self, "sort", Sort(self.sort.column, not self.sort.reverse)))

    def _rearrange(self, change: Callable[[], None]) -> None:
        old_shown, old_position = self.shown, self.position
        change()
        self._arrange()
        if self._chosen is not None and self.position_of(self._chosen) is not None:
            self.cursor = self._chosen
        elif self.cursor is None or self.position_of(self.cursor) is None:
            self.cursor = self._nearest(old_shown, old_position)

    def _arrange(self) -> None:
        order: Iterable[int] = self._order()
        if self.filter:
            order = self.filter.choose(self._hay, order, self._answers)
        rows = self.rows
        as_they_are = isinstance(order, range) and order.step == 1
        shown = list(rows) if as_they_are else [rows[i] for i in order]
        if self.only_marked:
            shown = [row for row in shown if row.key in self._marks]
        if self.only_problems:
            shown = [row for row in shown if self.is_problem(row)]
        self.shown = shown
        self._positions = None
        self._stamp += 1

    def _order(self) -> Iterable[int]:
        count = len(self.rows)
        if self.sort.column is Column.NAME and not (self.sort.reverse and self._groups()):
            return range(count - 1, -1, -1) if self.sort.reverse else range(count)
        if self.sort not in self._orders:
            by_name = self.sort.column is Column.NAME
            self._orders[self.sort] = self._backwards() if by_name else self._sorted(_VALUES[self.sort.column])
        return self._orders[self.sort]

    def _backwards(self) -> list[int]:
        """The names from last to first, each with what stands under it still below it."""
        order: list[int] = []
        end = len(self.rows)
        for place in range(end - 1, -1, -1):
            if self.rows[place].under is None:
                order.extend(range(place, end))
                end = place
        order.extend(range(end))  # what stands under a row that is not there
        return order

    def _sorted(self, value: Callable[[Row], Any]) -> list[int]:
        values = [value(row) for row in self.rows]
        known = [i for i, found in enumerate(values) if found is not None]
        unknown = [i for i, found in enumerate(values) if found is None]
        known.sort(key=values.__getitem__, reverse=self.sort.reverse)
        return known + unknown

    # --- the cursor

    def move_to(self, position: int) -> None:
        """Put the cursor on a shown row; past either end is the end. An open range follows."""
        if not self.shown:
            return
        self.cursor = self._chosen = self.shown[max(0, min(position, len(self.shown) - 1))].key
        if self.anchor is not None:
            self._mark_range()

    def move(self, by: int) -> None:
        self.move_to(self.position + by)

    def jump(self, key: Key) -> bool:
        """Put the cursor on a key; False where it is not shown."""
        position = self.position_of(key)
        if position is None:
            return False
        self.move_to(position)
        return True

    # --- marks

    def toggle_mark(self) -> None:
        """Mark or unmark the row under the cursor, and go on to the next."""
        if self.cursor is None:
            return
        self.end_range()
        self._marks ^= {self.cursor}
        self._stamp += 1
        if self.only_marked:
            self._rearrange(lambda: None)
        else:
            self.move(1)

    def start_range(self) -> None:
        """Mark from here to wherever the cursor goes, until `end_range`."""
        if self.cursor is None:
            return
        self.anchor = self.cursor
        self._before_range = frozenset(self._marks)
        self._mark_range()

    def end_range(self) -> None:
        """Keep what the range marked and stop following the cursor."""
        self.anchor = None
        self._before_range = frozenset()

    def mark_all_shown(self) -> None:
        """Mark every shown row, or take these marks away where all of them have one."""
        self.end_range()
        keys = {row.key for row in self.shown}
        if keys and keys <= self._marks:
            self._marks -= keys
        else:
            self._marks |= keys
        self._stamp += 1
        if self.only_marked:
            self._rearrange(lambda: None)

    def clear_marks(self) -> None:
        self.end_range()
        self._marks.clear()
        self._stamp += 1
        if self.only_marked:
            self.show_only(marked=False)

    def unmark(self, keys: Iterable[Key]) -> None:
        """Take some marks away, such as those of rows that were acted on."""
        self._marks.difference_update(keys)
        self._stamp += 1

    def _mark_range(self) -> None:
        start = None if self.anchor is None else self.position_of(self.anchor)
        if start is None:
            self.end_range()
            return
        low, high = sorted((start, self.position))
        self._marks = set(self._before_range) | {row.key for row in self.shown[low : high + 1]}
        self._stamp += 1

    def targets(self) -> Targets:
        """What an action is about: the marks that are shown; without any mark, the row under the cursor.

        Marked rows that are hidden are never among them. Where every mark is hidden
        there is no target at all, rather than a row that nobody chose.
        """
        if not self._marks:
            return Targets(keys=() if self.cursor is None else (self.cursor,), left_out=0, marked=False)
        if self._targets is None or self._targets[0] != self._stamp:
            keys = tuple(row.key for row in self.shown if row.key in self._marks)
            found = Targets(keys=keys, left_out=len(self._marks) - len(keys), marked=True)
            self._targets = (self._stamp, found)
        return self._targets[1]

    def hidden_marks(self) -> int:
        """How many marked rows are not shown."""
        if not self._marks or not self.is_narrowed:
            return 0
        return sum(self.position_of(key) is None for key in self._marks)

    def marked_rows(self) -> list[Row]:
        """Every marked row, hidden ones too, in the snapshot's order."""
        return [row for row in self.rows if row.key in self._marks] if self._marks else []


def is_problem(row: Row) -> bool:
    """Whether a row alone says that it needs a look: damaged, incomplete, never read, or oddly named."""
    return row.condition is not Condition.SOUND or row.trust is Trust.LISTED or Flag.ODD_NAME in row.flags
