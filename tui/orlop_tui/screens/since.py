"""What a store gained and lost since it was frozen: rows, mappings, remote records, uploads."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar

from textual.binding import Binding, BindingType

from orlop_tui import format as words
from orlop_tui.screens.dialog import Dialog, Host
from orlop_tui.screens.frozen import FACETS, Change, Frozen, changes, record_changes
from orlop_tui.widgets.keyline import KeyHint
from orlop_tui.widgets.lines import BLANK, Line, Role, fit, labelled, line, span

_MOST = 500
"""Lines of one sort that are shown."""


def since_lines(frozen: Frozen, width: int) -> Sequence[Line]:
    """All that changed, by what it is; or that nothing did."""
    after = frozen.after or frozen.before
    found = list(changes(frozen.before, after))
    for facet in FACETS:
        found += record_changes(frozen.records.get(facet), (frozen.then or {}).get(facet))
    grown = after.total_size - frozen.before.total_size
    sign = "+" if grown >= 0 else "-"
    took = words.duration(max(after.seen_at - frozen.before.seen_at, 0) / 1e9)
    head = f"{words.moment(frozen.before.seen_at)}, {took}; layers and blobs {sign}{words.size(abs(grown))}"
    lines = [line(span(fit("Since", 10), Role.LABEL), span(head)), BLANK]
    for what in ("name", "image", "mapping", "remote record", "upload"):
        of = [change for change in found if change.what == what]
        if of:
            lines += _group(what, of, width)
    return lines if found else [*lines, line(span("nothing changed", Role.FAINT))]


def _group(what: str, found: Sequence[Change], width: int) -> Iterable[Line]:
    yield line(span(words.count(len(found), what), Role.HEADING))
    for change in found[:_MOST]:
        size = f"  {words.size(change.bytes)}" if change.bytes is not None else ""
        for part in labelled(change.word, change.text + size, width, margin=10):
            yield replace(part, copy=change.copy)
    if len(found) > _MOST:
        yield line(span(f"… and {len(found) - _MOST} more; c copies all", Role.FAINT))
    yield BLANK


class Since(Dialog[None]):
    """The dialog that says what changed."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("c,y", "copy", "copy", show=False)]

    def __init__(self, frozen: Frozen, host: Host) -> None:
        super().__init__()
        self.title_text = "Since it was frozen"
        self._frozen, self._host = frozen, host

    def body(self, width: int) -> Sequence[Line]:
        return since_lines(self._frozen, width)

    def hints(self) -> Iterable[KeyHint]:
        return [KeyHint("c", "copy", "copy")]

    def action_copy(self) -> None:
        lines = since_lines(self._frozen, 1000)
        self._host.offer_copy("changes", ["".join(piece.text for piece in each.spans) for each in lines])
