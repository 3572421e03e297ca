"""README.md says what the program has: every command, every rule, and commands that exist."""

import os
import re
import tarfile
from pathlib import Path

import pytest

from orlop import kinds
from orlop_tui.cli.arguments import COMMANDS, parser
from orlop_tui.screens.keymap import bindings, spelled
from orlop_tui.widgets.listing import WORST_FIRST

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_every_command_is_in_the_table() -> None:
    named = set(re.findall(r"`([a-z]+)(?: PATH[^`]*| \[RULE\]| show)?`", README))

    assert set(COMMANDS) <= named


def test_the_table_of_findings_is_the_table_of_rules() -> None:
    rows = re.findall(r"^\| ([A-Z]{2}\d\d) \| (\S+) \| (S\d) \| ([A-D]?) ?\| .+ \|$", README, re.MULTILINE)

    expected = [(rule.id, rule.title, rule.severity.value, rule.repair or "") for rule in kinds.rules()]
    assert rows == expected


@pytest.mark.parametrize("line", re.findall(r"^orlop [a-z].*$", README, re.MULTILINE))
def test_every_printed_command_is_understood(line: str) -> None:
    words = line.partition("#")[0].partition("|")[0].split()[1:]

    assert parser().parse_args(words).command == words[0]


def test_the_library_does_what_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    section = README.partition("## As a library")[2]
    code = section.partition("```python\n")[2].partition("```")[0]
    (tmp_path / "docker").mkdir()
    with tarfile.open(tmp_path / "layer.tar", "w") as archive:
        archive.add(__file__, "srv/app", filter=_own)
    monkeypatch.chdir(tmp_path)
    known: dict[str, object] = {"path": str(tmp_path / "docker"), "blob": "sha256:" + "b" * 64}
    exec(compile(code, "README.md", "exec"), known)

    assert (tmp_path / "copy.tar").read_bytes() == (tmp_path / "layer.tar").read_bytes()
    store = kinds.open(str(tmp_path / "docker"))
    assert (store.rows().rows, os.listdir(tmp_path / "docker/image/overlay2/layerdb/sha256")) == ((), [])
    store.close()


def _own(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid, member.gid = os.geteuid(), os.getegid()
    return member


def test_every_state_word_is_explained_the_worst_first() -> None:
    words = README.partition("| state |")[2].partition("\n\n")[0]

    explained = re.findall(r"^\| `([\w ]+)` \| [a-z]", words, re.MULTILINE)
    assert explained == list(WORST_FIRST)


def test_pictures_and_paths_are_there() -> None:
    top = Path(__file__).parents[1]
    pictures = re.findall(r"!\[.+?\]\((.+?)\)", README)

    assert pictures
    assert [path for path in pictures if not (top / path).is_file()] == []


WORDS_FOR_KEYS = {"space": "Space", "tab": "Tab", "enter": "Enter", "pagedown": "Page Down", "pageup": "Page Up"}
BY_NATURE = {"back", "focus_before", "half_down", "half_up"}
"""What the help lists and a table of the keys that one must know does not."""


def test_every_action_of_the_browser_is_in_the_table_of_keys() -> None:
    table = README.partition("| keys | do |")[2].partition("\n\n")[0].replace("\\|", "|")

    missing = [
        name
        for name, binding in bindings().items()
        if name not in BY_NATURE
        and not any(
            f"`{key}`" in table or WORDS_FOR_KEYS.get(key, "\0") in table
            for key in spelled(binding.key).replace(" ", "").split(",")
        )
    ]

    assert missing == []
