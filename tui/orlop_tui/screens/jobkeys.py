"""The keys of work that takes long: verifying, jobs, and where the bytes are."""

from typing import ClassVar

from textual.binding import BindingType

from orlop_tui.screens.changekeys import ChangeKeys


class JobKeys(ChangeKeys):
    """What a person lets run, and looks at meanwhile."""

    BINDINGS: ClassVar[list[BindingType]] = []
