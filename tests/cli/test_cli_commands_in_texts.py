"""What a message tells a person to type can be typed."""

import re
from pathlib import Path

import pytest

from orlop_tui.cli.arguments import COMMANDS

_TOP = Path(__file__).parents[2]
_NAMED = re.compile(r"`orlop (?P<command>[a-z]+)")
SOURCES = sorted(path.relative_to(_TOP) for package in ("core", "tui") for path in (_TOP / package).rglob("*.py"))


@pytest.fixture(scope="module")
def named() -> dict[str, set[str]]:
    """Command → the files whose texts name it."""
    found: dict[str, set[str]] = {}
    for source in SOURCES:
        for match in _NAMED.finditer((_TOP / source).read_text()):
            found.setdefault(match["command"], set()).add(str(source))
    return found


def test_every_command_that_a_text_names_exists(named: dict[str, set[str]]) -> None:
    assert {command: files for command, files in named.items() if command not in COMMANDS} == {}
    assert len(named) > 10
