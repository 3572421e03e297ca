"""No text reaches a screen but through the one way that makes it safe: read from the source of the screens."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import orlop_tui

ROOT = Path(orlop_tui.__file__).parent
SOURCES = sorted([ROOT / "app.py", *ROOT.glob("screens/*.py"), *ROOT.glob("widgets/*.py")])
SAFE_WIDGETS = {"Input"}
"""The only ready-made widget in use: what is in it was typed by the person."""


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(id=name) | ast.Attribute(attr=name):
                    yield name, node


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((k.value for k in call.keywords if k.arg == name), None)


def is_false(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is False


def test_there_is_something_to_look_at() -> None:
    assert len(SOURCES) > 8


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_the_frameworks_text_widgets_are_not_used(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("textual.widgets"):
            assert {alias.name for alias in node.names} <= SAFE_WIDGETS, f"{path.name}:{node.lineno}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_a_toast_is_never_taken_for_markup_and_its_text_is_made_visible(path: Path) -> None:
    for name, call in calls(path):
        if name == "notify":
            assert is_false(keyword(call, "markup")), f"{path.name}:{call.lineno}"
            text = call.args[0]
            assert isinstance(text, ast.Call), f"{path.name}:{call.lineno}"
            assert isinstance(text.func, ast.Name), f"{path.name}:{call.lineno}"
            assert text.func.id == "visible", f"{path.name}:{call.lineno}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_nothing_is_parsed_as_markup(path: Path) -> None:
    for name, call in calls(path):
        assert name not in ("from_markup", "highlight", "from_ansi", "Markdown"), f"{path.name}:{call.lineno}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_titles_and_tooltips_that_take_markup_stay_unused(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            assert node.attr not in ("border_title", "border_subtitle", "tooltip", "sub_title"), (
                f"{path.name}:{node.lineno}"
            )


def test_cells_are_made_of_safe_text_in_one_place_only() -> None:
    for path in SOURCES:
        for name, call in calls(path):
            if name != "Segment":
                continue
            assert path.name == "lines.py", f"{path.name}:{call.lineno}"
            text = call.args[0]
            assert isinstance(text, ast.Call), f"{path.name}:{call.lineno}"
            assert isinstance(text.func, ast.Name), f"{path.name}:{call.lineno}"
            assert text.func.id == "visible", f"{path.name}:{call.lineno}"
