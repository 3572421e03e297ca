"""What the tests of the screens share."""

from weakref import WeakSet

import pytest
from rich.console import RenderableType
from textual._compositor import Compositor
from textual._context import visible_screen_stack
from textual.screen import Screen


@pytest.fixture(autouse=True)
def painted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A screen is painted when it is first seen and when a test looks at it.

    Without a terminal, Textual works out every later frame too and then drops it: half of all the time.
    """
    paint = Compositor.render_update
    seen: WeakSet[Compositor] = WeakSet()

    def first(
        self: Compositor, full: bool = False, screen_stack: list[Screen[object]] | None = None, simplify: bool = False
    ) -> RenderableType | None:
        if self not in seen:
            seen.add(self)
            return paint(self, full=full, screen_stack=screen_stack, simplify=simplify)
        visible_screen_stack.set(screen_stack or [])  # whose colours shine through, when a test looks
        self._dirty_regions.clear()
        return None

    monkeypatch.setattr(Compositor, "render_update", first)
