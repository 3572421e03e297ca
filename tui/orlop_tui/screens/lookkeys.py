"""The keys of looking closely: raw records, two images side by side, what changed since."""

from typing import ClassVar

from textual.binding import BindingType

from orlop_tui.screens.lenskeys import LensKeys


class LookKeys(LensKeys):
    """What a person looks into."""

    BINDINGS: ClassVar[list[BindingType]] = []
