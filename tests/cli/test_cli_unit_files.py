"""The unit files in README.md: they parse, and what they run is understood."""

import configparser
import json
import re
import shlex
from pathlib import Path

import pytest

from orlop_tui.cli import exits
from orlop_tui.cli.arguments import parser
from orlop_tui.cli.history import seconds

SECTION = (Path(__file__).parents[2] / "README.md").read_text().partition("\n## Every byte\n")[2].partition("\n## ")[0]


def unit(name: str) -> configparser.ConfigParser:
    """A unit file by its name."""
    [text] = [block for block in re.findall(r"```ini\n(.*?)```", SECTION, re.DOTALL) if f"/{name}\n" in block]
    found = configparser.ConfigParser(interpolation=None)
    found.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's names have two cases
    found.read_string(text)
    return found


def test_the_service_runs_a_command_that_is_understood() -> None:
    service = unit("orlop-check.service")["Service"]
    program, *words = shlex.split(service["ExecStart"])
    arguments = parser().parse_args(words)
    assert program.endswith("/orlop")
    assert (arguments.command, arguments.path, arguments.content, arguments.json) == (
        "check",
        "/var/lib/docker",
        True,
        True,
    )
    assert seconds(arguments.seconds) == 30 * 60
    assert service["Type"] == "oneshot"


def test_the_service_fails_on_damage_and_on_nothing_less() -> None:
    service = unit("orlop-check.service")["Service"]
    assert [int(code) for code in service["SuccessExitStatus"].split()] == [exits.SPACE, exits.INTERRUPTED]
    assert service["KillSignal"] == "SIGINT"


def test_the_timer_starts_the_service() -> None:
    timer = unit("orlop-check.timer")
    assert "OnCalendar" in timer["Timer"]
    assert "Unit" not in timer["Timer"]  # so it is the service of the same name
    assert timer["Install"]["WantedBy"] == "timers.target"


@pytest.mark.parametrize("line", re.findall(r"```json\n(.*?)\n```", SECTION, re.DOTALL))
def test_the_object_that_is_shown_is_the_one_that_is_printed(line: str) -> None:
    from orlop.spread import Budget
    from orlop.store import Hashing
    from orlop_tui.cli.hashing import UnderWay

    shown = json.loads(line)
    assert shown.keys() == UnderWay(Hashing(budget=Budget())).object().keys()
    assert shown["type"] == "hashed"
