"""The keys that lead from a thing to what it belongs to: any digest, who uses it, and the way back."""

from typing import ClassVar

from textual.binding import BindingType

from orlop_tui.screens.jobkeys import JobKeys


class LensKeys(JobKeys):
    """How a person follows references."""

    BINDINGS: ClassVar[list[BindingType]] = []
