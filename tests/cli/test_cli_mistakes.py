"""What a person is told who gives a wrong path or word, or may not read the store."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orlop.records import Note
from orlop.samples import Sample
from orlop_tui.cli import opening, show
from orlop_tui.cli.arguments import COMMANDS
from orlop_tui.cli.output import Output

Orlop = Callable[..., Any]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_shows_how_that_command_is_called(orlop: Orlop, command: str) -> None:
    assert orlop(command, "-h").out.startswith(f"usage: orlop {command} [-h]")


def test_a_missing_argument_names_the_command_and_its_help(orlop: Orlop) -> None:
    ran = orlop("ls")

    assert ran.code == 64
    assert ran.err.splitlines() == ["orlop ls: the following arguments are required: PATH", "  try: orlop ls -h"]


def test_a_word_too_many_names_the_help_of_the_command(orlop: Orlop, sample: Sample) -> None:
    ran = orlop("ls", sample.path, "app:v1")

    assert ran.code == 64
    assert "app:v1" in ran.err
    assert "`orlop ls -h`" in ran.err


def test_a_path_that_is_not_there_says_what_to_give(orlop: Orlop, tmp_path: Path) -> None:
    ran = orlop("ls", tmp_path / "none")

    assert ran.code == 3
    assert str(tmp_path / "none") in ran.err
    assert "Docker's data root" in ran.err


def test_a_file_is_said_to_be_no_folder(orlop: Orlop, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    ran = orlop("ls", tmp_path / "file")

    assert ran.code == 3
    assert "it is no folder" in ran.err
    assert "Docker's data root" in ran.err


@pytest.mark.parametrize("inner", ["docker", "var/lib/docker"])
def test_a_store_on_a_mounted_disk_is_pointed_at(orlop: Orlop, own: Path, tmp_path: Path, inner: str) -> None:
    store = tmp_path / "disk" / inner
    store.parent.mkdir(parents=True)
    own.rename(store)

    ran = orlop("ls", tmp_path / "disk")

    assert ran.code == 3
    assert f"a store is near: {store}" in ran.err


def test_a_folder_deep_in_a_store_leads_to_the_store(orlop: Orlop, own: Path) -> None:
    ran = orlop("ls", own / "image" / "overlay2" / "imagedb" / "content")

    assert ran.code == 3
    assert f"a store is near: {own}" in ran.err


def test_what_is_no_plan_is_called_so(orlop: Orlop, own: Path, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text("root:x:0:0")

    ran = orlop("apply", own, tmp_path / "p.json", "--yes")

    assert ran.code == 3
    assert "this is no plan that Orlop wrote" in ran.err
    assert "--plan FILE" in ran.err


def test_a_plan_that_was_applied_already_is_refused(orlop: Orlop, own: Path, tmp_path: Path) -> None:
    orlop("untag", own, "redis:7", "--plan", tmp_path / "p.json")
    assert orlop("apply", own, tmp_path / "p.json", "--yes").code == 0

    ran = orlop("apply", own, tmp_path / "p.json", "--yes")

    assert ran.code == 4
    assert "changed since" in ran.err
    assert "nothing is named redis:7" in ran.err


def test_a_plan_file_in_no_folder_says_what_to_do(orlop: Orlop, own: Path, tmp_path: Path) -> None:
    ran = orlop("untag", own, "redis:7", "--plan", tmp_path / "none" / "p.json")

    assert ran.code == 3
    assert "name a file in a folder that is there" in ran.err


class _Unread:
    """A store of which twenty places could not be read."""

    def rows(self) -> Any:
        why = "cannot be read: permission denied"
        return SimpleNamespace(notes=[Note(text=why, path=f"d/{n}", unreadable=True) for n in range(20)])


def test_many_places_that_cannot_be_read_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    store: Any = _Unread()

    assert opening.notes(Output(), [store])

    said = capsys.readouterr().err.splitlines()
    assert said[0] == "could not read: permission denied  d/0"
    assert said[-2:] == [
        "could not read: permission denied  … and 12 places more; --json names them all",
        "  do:    run as root, or work on a readable copy",
    ]


def test_json_names_every_place_that_cannot_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    store: Any = _Unread()

    opening.notes(Output(json=True), [store])

    assert len(capsys.readouterr().out.splitlines()) == 20


def test_a_store_that_cannot_be_read_is_not_called_empty(capsys: pytest.CaptureFixture[str]) -> None:
    show._print_rows(Output(), [], unreadable=True)

    assert capsys.readouterr().out == "no image and no tag could be read\n"
