"""The second net: nothing that acts on a terminal leaves in a rendered line.

Texts of a store are made harmless where they enter a widget. Should one be
forgotten, this filter, the last thing before output, still stops it. It
keeps the width that the layout counted with, so that nothing is shifted.
"""

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter


class Printable(LineFilter):
    """Rewrites the segments of a line that hold unprintable characters."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        if all(text.isprintable() and (style is None or style.link is None) for text, style, _ in segments):
            return segments
        return [_harmless(segment) for segment in segments]


def _harmless(segment: Segment) -> Segment:
    text, style, _ = segment
    if not text.isprintable():
        text = "".join(c if c.isprintable() else _stand_in(c) for c in text)
    return Segment(text, _without_link(style))


def _stand_in(character: str) -> str:
    """As many cells as the layout gave the character; a picture of it where there is room."""
    width = cell_len(character)
    code = ord(character)
    picture = chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"
    return picture + " " * (width - 1) if width else ""


def _without_link(style: Style | None) -> Style | None:
    """A link's address goes to the terminal as it is; Orlop has none that a store may choose."""
    return style.update_link(None) if style is not None and style.link is not None else style
