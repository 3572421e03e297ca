"""What the app adds to Textual's, without a terminal; `test_pty` looks at the bytes on a real one."""

import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.color import Color
from textual.widgets import Static

from orlop_tui import terminal
from orlop_tui.printable import Printable
from orlop_tui.safe_app import SafeApp

BACK = Color(0, 0, 0)
HOSTILE = {
    "osc 52": "\x1b]52;c;aGk=\x07",
    "clear": "\x1b[2J",
    "c1": "\x9b2J\x9d0;x\x9c",
    "del": "a\x7fb",
    "nul": "a\x00b",
    "bidi": "abc\u202egnp.exe",
    "isolate": "\u2066x\u2069",
    "zero width": "a\u200bb\ufeff",
    "surrogate": "a\udcffb",
    "tag characters": "\U000e0041x",
}


def applied(*segments: Segment) -> list[Segment]:
    return Printable().apply(list(segments), BACK)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_unprintable_character_passes_the_filter_and_no_cell_moves(text: str) -> None:
    (out,) = applied(Segment(text, Style(bold=True)))
    assert out.text.isprintable()
    assert out.cell_length == Segment(text).cell_length
    assert out.style == Style(bold=True)


def test_a_harmless_line_passes_as_it_is() -> None:
    line = [Segment("nginx"), Segment(" 漢字 ", Style(color="red"))]
    assert Printable().apply(line, BACK) is line


def test_an_address_behind_a_text_is_taken_away() -> None:
    (out,) = applied(Segment("click", Style(link="http://evil/\x1b]52;c;x\x07", bold=True)))
    assert out.style is not None
    assert out.style.link is None
    assert out.style.bold


class Careless(SafeApp):
    """Shows a store's text without the boundary."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def compose(self) -> ComposeResult:
        yield Static(self.text, markup=False)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_careless_widget_still_sends_nothing_unprintable(text: str) -> None:
    app = Careless(text)
    async with app.run_test() as pilot:
        await pilot.pause()
        filters = app.screen.get_line_filters()
        assert any(isinstance(found, Printable) for found in filters)
        lines = [strip.text for strip in app.screen._compositor.render_strips()]
    assert all(line.isprintable() for line in lines)


async def test_no_color_gives_a_theme_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = Careless("x")
    async with app.run_test():
        assert app.theme == "ansi-dark"
        assert app.native_ansi_color
        assert app.no_color


async def test_an_empty_no_color_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "")
    app = Careless("x")
    async with app.run_test():
        assert not app.no_color
        assert app.theme != "ansi-dark"


# --- the log


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    logger = logging.getLogger("orlop")
    before, propagate = logger.handlers[:], logger.propagate
    path = tmp_path / "folder" / "orlop.log"
    terminal.log_to_file(str(path))
    yield path
    for handler in logger.handlers[:]:
        if handler not in before:
            logger.removeHandler(handler)
            handler.close()
    logger.propagate = propagate


def fail() -> None:
    secret = "hunter2"
    raise ValueError(f"bad \x1b[2J name of {len(secret)}")


def test_a_fault_is_written_down_without_local_variables_and_told_in_two_lines(log: Path) -> None:
    with pytest.raises(ValueError, match="bad") as caught:
        fail()
    lines = terminal.report(caught.value)
    written = log.read_text()
    assert "Traceback" in written
    assert "in fail" in written
    assert "hunter2" not in written
    assert "\x1b" not in written
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
    assert "ValueError" in lines[0]
    assert str(log) in lines[1]


def test_the_log_is_for_this_user_only(log: Path) -> None:
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.parent.stat().st_mode) == 0o700


def test_a_home_that_cannot_be_written_keeps_nobody_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    logger = logging.getLogger("orlop")
    before, propagate = logger.handlers[:], logger.propagate
    try:
        terminal.log_to_file(str(tmp_path / "file" / "orlop.log"))
        first, second = terminal.report(ValueError("x"))
    finally:
        logger.handlers[:] = before
        logger.propagate = propagate
    assert "ValueError" in first
    assert "no log file" in second
