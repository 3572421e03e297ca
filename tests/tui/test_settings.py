import json
from collections.abc import Callable
from pathlib import Path

import pytest

from orlop.errors import NotFound
from orlop_tui.__main__ import main
from orlop_tui.app import OrlopApp
from orlop_tui.gateway import Gateway
from orlop_tui.screens.keymap import bindings, checked
from orlop_tui.screens.searching import Search
from orlop_tui.settings import BadSettings, load

Write = Callable[[str], dict[str, str]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the file of settings; gives the environment that names it."""

    def written(text: str) -> dict[str, str]:
        path = tmp_path / "config.toml"
        path.write_text(text, encoding="utf-8")
        return {"ORLOP_CONFIG": str(path)}

    return written


def test_without_a_file_everything_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    found = load({})
    assert [(one.name, one.value, one.origin) for one in found.each()] == [
        ("theme", "", "default"),
        ("mouse", True, "default"),
    ]


def test_the_command_line_beats_the_environment_beats_the_file(write: Write) -> None:
    environ = write('theme = "nord"\nmouse = false\n[keys]\ndelete = "delete"\n')
    path = environ["ORLOP_CONFIG"]
    assert [(one.name, one.value, one.origin) for one in load(environ).each()] == [
        ("theme", "nord", path),
        ("mouse", False, path),
        ("keys.delete", "delete", path),
    ]
    environ |= {"ORLOP_THEME": "gruvbox", "ORLOP_MOUSE": "yes"}
    found = load(environ)
    assert (found.theme, found.mouse) == ("gruvbox", True)
    assert found.origins["theme"] == "ORLOP_THEME in the environment"
    found = load(environ, theme="dracula", mouse=False)
    assert (found.theme, found.mouse, found.origins["mouse"]) == ("dracula", False, "--no-mouse")


@pytest.mark.parametrize(
    ("text", "why", "do"),
    [
        ('them = "nord"', "there is no setting 'them'", "did you mean theme?"),
        ("theme = 3", "theme is no text", "theme ="),
        ('mouse = "no"', "mouse is neither true nor false", "mouse = false"),
        ("keys = 3", "keys is no table", "[keys]"),
        ("[keys]\ndelete = 1", "keys.delete is no text", "delete ="),
        ('[keys]\ndelete = " "', "keys.delete is empty", "remove the line"),
        ("theme = ", "", "mend or remove the file"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_what_would_be_right(write: Write, text: str, why: str, do: str) -> None:
    environ = write(text)
    with pytest.raises(BadSettings) as raised:
        load(environ)
    assert raised.value.path == environ["ORLOP_CONFIG"]
    assert why in raised.value.why
    assert do in raised.value.do


def test_a_file_that_is_no_text_is_refused(write: Write) -> None:
    environ = write("")
    Path(environ["ORLOP_CONFIG"]).write_bytes(b"theme = '\xff'")
    with pytest.raises(BadSettings):
        load(environ)


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        load({"ORLOP_CONFIG": str(tmp_path / "none.toml")})


def test_the_environment_must_say_yes_or_no(write: Write) -> None:
    with pytest.raises(BadSettings, match="ORLOP_MOUSE"):
        load(write("") | {"ORLOP_MOUSE": "maybe"})


# --- keys


def test_keys_are_spelled_by_their_characters() -> None:
    assert checked({"delete": "W", "lock": "!, f5", "quit": "ctrl+g"}, "x") == {
        "delete": "W",
        "lock": "exclamation_mark,f5",
        "quit": "ctrl+g",
    }


def test_two_actions_can_change_places() -> None:
    assert checked({"tag": "d", "delete": "t"}, "x") == {"tag": "d", "delete": "t"}


@pytest.mark.parametrize(
    ("keys", "why", "do"),
    [
        ({"delte": "D"}, "keys.delte: there is no such action", "did you mean delete?"),
        ({"delete": "hyper+d"}, "is no key", "ctrl+g"),
        ({"delete": "del"}, "is no key", "ctrl+g"),
        ({"delete": "ctrl+m"}, "terminals send for Enter", "another key"),
        ({"delete": "q"}, "q would mean both delete", "give quit another key"),
        ({"delete": "j"}, "j would mean both delete", "give down another key"),
        ({"delete": "W", "quit": "W"}, "W would mean both delete", "another key"),
        ({"delete": "D"}, "keys.delete: D does what a dialog shows", "another key"),
        ({"quit": "shift+d"}, "keys.quit: shift+d does what a dialog shows", "another key"),
        ({"undo": "U"}, "keys.undo: U does what a dialog shows", "another key"),
    ],
)
def test_keys_that_cannot_be_are_named(keys: dict[str, str], why: str, do: str) -> None:
    with pytest.raises(BadSettings) as raised:
        checked(keys, "config.toml")
    assert why in raised.value.why
    assert do in raised.value.do


def test_every_action_that_has_a_name_says_what_it_does() -> None:
    assert {"delete", "down", "quit"} <= bindings().keys()
    assert all(binding.description for binding in bindings().values())


def test_what_config_show_prints_can_be_the_file(
    write: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = write('[keys]\ndelete = "delete"\n')
    monkeypatch.setenv("ORLOP_CONFIG", environ["ORLOP_CONFIG"])
    assert main(["config", "show"]) == 0
    printed = capsys.readouterr().out
    monkeypatch.setenv("ORLOP_CONFIG", write(printed)["ORLOP_CONFIG"])
    assert main(["config", "show"]) == 0
    assert capsys.readouterr().out == printed


def test_config_show_says_where_each_setting_comes_from(
    write: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write('theme = "nord"\n')["ORLOP_CONFIG"]
    monkeypatch.setenv("ORLOP_CONFIG", path)
    monkeypatch.setenv("ORLOP_MOUSE", "0")
    assert main(["config", "show", "--origin", "--json"]) == 0
    found = {one["name"]: one for one in map(json.loads, capsys.readouterr().out.splitlines())}
    assert found["theme"] | {"about": ""} == {
        "type": "setting", "name": "theme", "value": "nord", "origin": path, "about": ""
    }  # fmt: skip
    assert found["mouse"]["origin"] == "ORLOP_MOUSE in the environment"
    assert found["keys.delete"]["origin"] == "default"


def test_wrong_settings_are_wrong_usage(
    write: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORLOP_CONFIG", write('theme = "nrd"\n')["ORLOP_CONFIG"])
    assert main(["config", "show"]) == 64
    assert "did you mean nord?" in capsys.readouterr().err


async def test_a_key_that_was_chosen_does_what_it_should_and_is_shown(write: Write) -> None:
    settings = load(write('theme = "gruvbox"\n[keys]\nhelp = "H"\nlog = "?"\n'))
    app = OrlopApp(Gateway(()), settings=settings)
    async with app.run_test(size=(100, 24)) as pilot:
        assert app.theme == "gruvbox"
        hints = [hint.key for hint in app.browse._hints() if hint.action == "help"]
        assert hints == ["H"]
        await pilot.press("H")
        await pilot.pause()
        assert isinstance(app.screen, Search)


async def test_whoever_wants_no_colour_gets_none_in_any_theme(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = OrlopApp(Gateway(()), settings=load(write('theme = "gruvbox"\n')))
    assert app.theme == "ansi-dark"
