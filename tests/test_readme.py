"""README.md says what the program has: every command, every rule, and commands that exist."""

import re
from pathlib import Path

import pytest

from orlop import kinds
from orlop_tui.cli.arguments import COMMANDS, parser

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_every_command_is_in_the_table() -> None:
    named = set(re.findall(r"`([a-z]+)(?: PATH[^`]*| \[RULE\])?`", README))

    assert set(COMMANDS) <= named


def test_the_table_of_findings_is_the_table_of_rules() -> None:
    rows = re.findall(r"^\| (DK\d\d) \| (\S+) \| (S\d) \| ([A-D]?) ?\| .+ \|$", README, re.MULTILINE)

    expected = [(rule.id, rule.title, rule.severity.value, rule.repair or "") for rule in kinds.rules()]
    assert rows == expected


@pytest.mark.parametrize("line", re.findall(r"^orlop [a-z].*$", README, re.MULTILINE))
def test_every_printed_command_is_understood(line: str) -> None:
    words = line.partition("#")[0].partition("|")[0].split()[1:]

    assert parser().parse_args(words).command == words[0]


def test_pictures_and_paths_are_there() -> None:
    top = Path(__file__).parents[1]
    pictures = re.findall(r"!\[.+?\]\((.+?)\)", README)

    assert pictures
    assert [path for path in pictures if not (top / path).is_file()] == []
