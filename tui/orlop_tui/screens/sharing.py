"""Which images share the layers of one: a table of layers and images."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from orlop.records import Detail, Key, LayerRecord
from orlop.text import visible
from orlop_tui import format as words
from orlop_tui.screens.dialog import Dialog
from orlop_tui.widgets.keyline import KeyHint
from orlop_tui.widgets.lines import BLANK, Line, LinesView, Role, fit, fold, line, span

_HEAD = 40
"""Cells before the first image's column."""
_BAR = 8
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def sharing_lines(detail: Detail, names: Mapping[str, Key], width: int) -> Sequence[Line]:
    """A line for each layer, bottom first, with a column for each image that shares one; then who the images are.

    Args:
        detail: of the image.
        names: the row of each image, by its id.
        width: cells.
    """
    if not detail.layers:
        return [line(span("nothing is known of this image's layers", Role.FAINT))]
    counted = Counter(image for layer in detail.layers for image in set(layer.shared_with))
    order = sorted(counted, key=lambda image: (-counted[image], _name(names, image)))
    columns = order[: min(len(_LETTERS), max((width - _HEAD) // 2, 1))]
    return [*_table(detail.layers, columns), BLANK, *_legend(detail.layers, order, columns, names, width)]


def _table(layers: Sequence[LayerRecord], columns: Sequence[str]) -> Iterator[Line]:
    largest = max((layer.size or 0 for layer in layers), default=0)
    head = fit(f"{'#':>3}  {'LAYER':<12}  {'SIZE':>9}", _HEAD)
    yield line(span(head, Role.LABEL), span(" ".join(_LETTERS[: len(columns)]), Role.LABEL))
    for number, layer in enumerate(layers, 1):
        bar = words.bar(layer.size or 0, largest, _BAR)
        name = words.short(layer.diff_id or layer.digest)
        text = fit(f"{number:>3}  {name:<12}  {words.size(layer.size):>9}  {bar}", _HEAD)
        used = " ".join("x" if image in layer.shared_with else "·" for image in columns)
        alone = Role.PLAIN if layer.shared_with else Role.STRONG
        yield line(span(text, alone), span(used), span("" if layer.shared_with else "  only this image", Role.FAINT))


def _legend(
    layers: Sequence[LayerRecord], order: Sequence[str], columns: Sequence[str], names: Mapping[str, Key], width: int
) -> Iterator[Line]:
    own = sum(layer.size or 0 for layer in layers if not layer.shared_with)
    whole = sum(layer.size or 0 for layer in layers)
    others = words.count(len(order), "other image")
    yield line(span(f"{words.size(own)} of {words.size(whole)} only here; {others} share the rest", Role.FAINT))
    for number, image in enumerate(order):
        mine = [layer for layer in layers if image in layer.shared_with]
        letter = _LETTERS[number] if number < len(columns) else " "
        size = words.size(sum(layer.size or 0 for layer in mine))
        said = f"  {words.count(len(mine), 'layer')}, {size}"
        head = f" {letter}  "
        for part in fold(visible(_name(names, image)) + said, width - len(head)):
            yield line(span(head, Role.KEY), span(part), target=names.get(image), copy=image)
            head = " " * len(head)


def _name(names: Mapping[str, Key], image: str) -> str:
    key = names.get(image)
    return (key.name if key is not None else None) or words.short(image)


class Sharing(Dialog[Key]):
    """The dialog with the table; Enter goes to the image under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "go", "go to the image", show=False)]
    leave_keys = "Esc"

    def __init__(self, detail: Detail, names: Mapping[str, Key]) -> None:
        super().__init__()
        self.title_text = f"Layers of {detail.key.name or words.short(detail.key.id)}"
        self._detail, self._names = detail, names

    def body(self, width: int) -> Sequence[Line]:
        return sharing_lines(self._detail, self._names, width)

    def hints(self) -> list[KeyHint]:
        return [KeyHint("Enter", "go to the image", "go")]

    def action_go(self) -> None:
        current = self.query_one("#said", LinesView).current
        self.dismiss(current.target if current is not None and isinstance(current.target, Key) else None)

    def on_lines_view_picked(self, message: LinesView.Picked) -> None:
        message.stop()
        self.action_go()
