"""`df` draws where the bytes of a store are, and says that it is all that du counts."""

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from orlop.samples import Sample
from orlop.space import Use
from orlop_tui import format

Orlop: TypeAlias = Callable[..., Any]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Gives the commands a terminal of 100 columns."""

    def be(*, colour: bool = False, columns: int = 100) -> None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("NO_COLOR", "" if colour else "1")

    return be


def test_the_sum_is_what_du_says(orlop: Orlop, sample: Sample) -> None:
    disk = subprocess.run(["du", "--block-size=1", "-s", "-x", sample.path], capture_output=True, text=True, check=True)

    ran = orlop("df", sample.path)

    assert ran.code == 0
    whole = format.exact_size(int(disk.stdout.split()[0]))
    assert f"The parts are all that `du -x` counts: {whole}." in ran.out.splitlines()


def test_objects_add_up(orlop: Orlop, sample: Sample) -> None:
    ran = orlop("df", sample.path, "--json")

    (space,) = ran.objects("space")
    parts = ran.objects("part")
    assert space["disk"] == space["parts"] == sum(space["uses"].values())
    assert sum(part["bytes"] for part in parts if part["part_of"] is None) == space["disk"]
    assert set(space["uses"]) == {use.replace(" ", "_") for use in Use}
    assert (space["differences"], space["unreadable"], space["scope"]) == ([], [], "overlay2")
    images = ran.objects("image_space")
    assert {one["id"] for one in images} >= {image for part in parts for image in part["images"]}
    assert all(one["own_bytes"] is None or one["own_bytes"] <= one["bytes"] for one in images)


def test_a_limit_cuts_the_lists_and_says_so(orlop: Orlop, sample: Sample) -> None:
    ran = orlop("df", sample.path, "--limit", "2", "--json")
    words = orlop("df", sample.path, "--limit", "2").out

    assert (len(ran.objects("part")), len(ran.objects("image_space"))) == (2, 2)
    assert re.search(r"and \d+ more parts, [\d.]+ MB together: --limit \d+ lists all", words)
    assert re.search(r"and \d+ more images: --images lists all", words)


def test_only_the_images_and_all_of_them(orlop: Orlop, sample: Sample) -> None:
    ran = orlop("df", sample.path, "--images", "--json")
    lines = orlop("df", sample.path, "--images").out.splitlines()

    assert ran.objects("part") == []
    start = lines.index("Images, by what each has to itself") + 2
    assert lines.index("", start) - start == len(ran.objects("image_space"))


def test_what_could_go_names_the_command(orlop: Orlop, sample: Sample) -> None:
    lines = orlop("df", sample.path).out.splitlines()

    (line,) = (line for line in lines if "that nothing needs:" in line)
    assert line.endswith(f"orlop clean {sample.path} --dry-run")


def test_a_terminal_gets_blocks_and_whole_lines_only(
    orlop: Orlop, sample: Sample, terminal: Callable[..., None]
) -> None:
    terminal()

    lines = orlop("df", sample.path).out.splitlines()

    assert any("█" in line for line in lines)
    said = [line.replace(sample.path, "/var/lib/docker") for line in lines[1:]]  # a path is never cut
    assert [line for line in said if format.cells(line) > 100] == []
    assert "\x1b" not in "".join(lines)


def test_a_terminal_gets_colours_unless_they_are_unwanted(
    orlop: Orlop, sample: Sample, terminal: Callable[..., None]
) -> None:
    terminal(colour=True)

    assert "\x1b[36m█" in orlop("df", sample.path).out


def test_a_pipe_gets_plain_characters(orlop: Orlop, sample: Sample) -> None:
    out = orlop("df", sample.path).out

    assert "█" not in out
    assert "####" in out


def test_a_folder_that_cannot_be_read_is_named(orlop: Orlop, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir
    refused = own / "volumes/secret"
    refused.mkdir()
    inode = refused.stat().st_ino

    def guarded(folder: int) -> Any:
        if os.fstat(folder).st_ino == inode:
            raise PermissionError(errno.EACCES, "no")
        return scandir(folder)

    monkeypatch.setattr("orlop.usage.os.scandir", guarded)

    ran = orlop("df", own)
    objects = orlop("df", own, "--json").objects("space")

    assert ran.code == 3
    assert "  - what is in volumes/secret is not counted: permission denied" in ran.out.splitlines()
    assert objects[0]["unreadable"] == ["volumes/secret"]


@pytest.mark.parametrize("words", [["--limit", "many"], ["--limit", "-1"], ["--limit", "٣"]])
def test_a_limit_is_a_number(orlop: Orlop, sample: Sample, words: list[str]) -> None:
    assert orlop("df", sample.path, *words).code == 64


@pytest.mark.parametrize(
    ("part", "drawn", "plain"),
    [
        (0, "", ""),
        (1, "▏", "."),
        (500, "█████", "#####"),
        (513, "█████▏", "#####"),
        (999, "██████████", "##########"),
        (2000, "██████████", "##########"),
    ],
)
def test_a_bar_is_true_to_an_eighth_of_a_column(part: int, drawn: str, plain: str) -> None:
    assert format.bar(part, 1000, 10) == drawn
    assert format.bar(part, 1000, 10, plain=True) == plain


@pytest.mark.parametrize(("part", "words"), [(0, "0 %"), (1, "<1 %"), (10, "1 %"), (996, "100 %"), (1000, "100 %")])
def test_a_share_is_never_nothing_for_something(part: int, words: str) -> None:
    assert format.percent(part, 1000) == words


def test_why_takes_a_path_from_the_working_folder(
    orlop: Orlop, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(os.path.dirname(sample.path))

    ran = orlop("why", sample.path, f"{os.path.basename(sample.path)}/overlay2/l")

    assert ran.out.splitlines() == ["overlay2/l", "  is  folder of the short names of all layers"]


def test_why_does_not_judge_what_no_reference_could_keep(orlop: Orlop, sample: Sample) -> None:
    folder = orlop("why", sample.path, "containers", "--json").objects("why")
    orphan = orlop("why", sample.path, sample.layers["orphan"], "--json").objects("why")

    assert (folder[0]["judged"], folder[0]["kept_by"]) == (False, [])
    assert (orphan[0]["judged"], orphan[0]["kept_by"]) == (False, [])  # a config beside it is damaged
    assert orphan[0]["remark"].startswith("cannot tell whether anything needs it: it may be of sha256:")
