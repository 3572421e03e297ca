import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from orlop import __version__
from orlop.samples import Sample
from orlop_tui import format
from orlop_tui.cli.arguments import COMMANDS

Orlop: TypeAlias = Callable[..., Any]

TOP = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": f"{TOP / 'core'}{os.pathsep}{TOP / 'tui'}"}
COMMAND = [sys.executable, "-m", "orlop_tui"]

FOR_EACH = {
    "ls": ["STORE"],
    "show": ["STORE", "postgres:16"],
    "mappings": ["STORE"],
    "remotes": ["STORE"],
    "check": ["STORE"],
    "explain": ["DK05"],
    "why": ["STORE", "postgres:16"],
    "rm": ["STORE", "postgres:16", "--dry-run"],
    "tag": ["STORE", "postgres:16", "x:1", "--dry-run"],
    "untag": ["STORE", "postgres:16", "--dry-run"],
    "unmap": ["STORE", "--stale", "--dry-run"],
    "uploads": ["STORE"],
    "latest": ["STORE", "postgres:16", "--dry-run"],
    "forget": ["STORE", "https://example.com/a.aci", "--dry-run"],
    "clean": ["STORE", "--dry-run"],
    "repair": ["STORE", "DK05", "--dry-run"],
    "import": ["STORE", "a.tar", "--dry-run"],
    "fetch": ["STORE", "https://example.com/a.aci", "--yes"],
    "apply": ["STORE", "--finish"],
    "undo": ["STORE", "--dry-run"],
    "journal": ["STORE"],
    "purge": ["STORE", "--dry-run"],
    "demo": ["--check"],
    "df": ["STORE"],
    "save": ["STORE", "postgres:16", "-o", "ARCHIVE"],
    "snapshot": ["STORE", "-o", "SNAPSHOT"],
}
NOT_ON_DOCKER = {"uploads", "latest", "forget", "import", "fetch"}
OF_THE_SCREENS = {"config"}
"""Its answer is what keys the screens have."""


def test_no_command_loads_what_only_the_screens_need(sample: Sample, tmp_path: Path) -> None:
    places = {"STORE": sample.path, "ARCHIVE": str(tmp_path / "a.tar"), "SNAPSHOT": str(tmp_path / "s.gz")}
    commands = [name for name in COMMANDS if name not in OF_THE_SCREENS]
    lines = [[name, *(places.get(word, word) for word in FOR_EACH[name])] for name in commands]
    code = (
        "import contextlib, io, sys\n"
        "from orlop_tui.__main__ import main\n"
        f"for words in {lines!r}:\n"
        "    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):\n"
        "        code = main(words)\n"
        f"    assert code in ((64,) if words[0] in {NOT_ON_DOCKER} else (0, 2, 3)), (words, code)\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stderr
    loaded = set(eval(done.stdout))
    assert not loaded & {"textual", "rich", "watchfiles", "asyncio", "filelock"}


def test_json_does_not_even_load_what_formats_for_people(sample: Sample) -> None:
    code = "import sys\nfrom orlop_tui.__main__ import main\nmain(sys.argv[1:])\nassert 'humanize' not in sys.modules"

    done = subprocess.run(
        [sys.executable, "-c", code, "ls", sample.path, "--json"],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr


def test_every_command_is_in_the_help(orlop: Orlop) -> None:
    ran = orlop("-h")

    assert ran.code == 0
    assert set(COMMANDS) <= set(ran.out.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(orlop: Orlop, command: str) -> None:
    ran = orlop(command, "-h")

    assert ran.code == 0
    assert f"  orlop {command}" in ran.out


def test_the_version_is_printed(orlop: Orlop) -> None:
    assert orlop("--version").out == f"orlop {__version__}\n"


@pytest.mark.parametrize("words", [["ls"], ["show", "x"], ["ls", "x", "--nonsense"], ["--nonsense"], ["tag", "x"]])
def test_wrong_usage_is_exit_code_64(orlop: Orlop, words: list[str]) -> None:
    ran = orlop(*words)

    assert ran.code == 64
    assert " -h" in ran.err


def test_a_mistyped_command_suggests_the_right_one(orlop: Orlop) -> None:
    ran = orlop("chekc")

    assert ran.code == 64
    assert "orlop check" in ran.err


def test_a_path_that_is_not_there_is_said_before_the_screens_open(orlop: Orlop, tmp_path: Path) -> None:
    ran = orlop(tmp_path / "none")

    assert ran.code == 3
    assert "no such file or folder" in ran.err


def test_without_a_terminal_the_screens_name_the_command_instead(orlop: Orlop, sample: Sample) -> None:
    ran = orlop(sample.path)

    assert ran.code == 64
    assert f"orlop ls {sample.path}" in ran.err


def test_a_folder_may_have_the_name_of_a_command(orlop: Orlop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ls").mkdir()
    monkeypatch.chdir(tmp_path)

    assert "orlop ls ./ls" in orlop("./ls").err
    assert "PATH" in orlop("ls").err


def on_a_terminal(*words: str | Path, term: str) -> tuple[int, str]:
    """Exit code and output of a command whose three streams are one terminal; the output is short."""
    leader, follower = pty.openpty()
    with os.fdopen(leader, "rb", buffering=0) as screen, os.fdopen(follower, "wb") as terminal:
        done = subprocess.run(
            [*COMMAND, *map(str, words)],
            env=ENVIRONMENT | {"TERM": term},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            check=False,
            timeout=60,
        )
        return done.returncode, screen.read(65536).decode()


def test_a_dumb_terminal_is_refused(sample: Sample) -> None:
    code, told = on_a_terminal(sample.path, term="dumb")

    assert code == 64
    assert "TERM=dumb" in told


def test_a_folder_without_a_store_is_said_before_the_screens_open(tmp_path: Path) -> None:
    code, told = on_a_terminal(tmp_path, term="xterm")

    assert code == 3
    assert "no container image store is here" in told


def drawn(*words: str, columns: int) -> str:
    """What a command writes to a terminal of this width."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in ENVIRONMENT.items() if name not in ("COLUMNS", "LINES")}
    with subprocess.Popen(
        [*COMMAND, *words], env=environment, stdin=follower, stdout=follower, stderr=follower
    ) as done:
        os.close(follower)
        data = b""
        with os.fdopen(leader, "rb", buffering=0) as screen, suppress(OSError):  # EIO: the last writer went away
            while piece := screen.read(65536):
                data += piece
    assert done.returncode in (0, 2)
    return data.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(
    "words", [["ls", "STORE"], ["check", "STORE"], ["show", "STORE", "redis:7"], ["mappings", "STORE"]]
)
def test_nothing_raw_reaches_a_terminal(sample: Sample, words: list[str]) -> None:
    text = drawn(*(sample.path if word == "STORE" else word for word in words), columns=80)

    assert all(line.isprintable() for line in text.split("\n"))


def test_a_table_fits_the_terminal_unless_asked_to_be_whole(sample: Sample) -> None:
    heading, *lines = drawn("ls", sample.path, columns=80).split("\nNot sound")[0].splitlines()
    whole = drawn("ls", sample.path, "--no-trunc", columns=80)

    assert sample.path in heading
    assert max(format.cells(line) for line in lines) <= 80
    assert "…" in "".join(lines)
    assert "…" not in whole
    assert all(image in whole for image in sample.images.values())


def test_a_reader_that_goes_away_is_no_fault(sample: Sample) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        done = subprocess.run(
            [*COMMAND, "ls", sample.path],
            env=ENVIRONMENT,
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )

    assert (done.returncode, done.stderr) == (141, "")


def test_an_output_that_was_closed_before_the_start_is_no_fault(small: Any) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *COMMAND, "ls", small.path],
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_behind_the_output_is_one_clear_error(sample: Sample) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, "ls", sample.path], env=ENVIRONMENT, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )

    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert "output" in done.stderr


def test_an_encoding_without_the_characters_spells_them_out(sample: Sample) -> None:
    done = subprocess.run(
        [*COMMAND, "ls", sample.path],
        env=ENVIRONMENT | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()


def test_ctrl_c_ends_without_a_traceback(own: Path) -> None:
    leader, follower = pty.openpty()
    words = ["tag", str(own), "postgres:16", "x:1"]
    with (
        os.fdopen(leader, "rb"),
        os.fdopen(follower, "wb") as terminal,
        subprocess.Popen(
            [*COMMAND, *words],
            env=ENVIRONMENT,
            stdin=terminal,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            # A shell ignores Ctrl-C for what it runs in the background, and the tests may run there.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        ) as running,
    ):
        assert running.stderr is not None
        said = running.stderr.readline() + running.stderr.read(8)  # the question has no end of line
        running.send_signal(signal.SIGINT)
        rest = running.stderr.read()

    assert running.returncode == 130
    assert "Type yes" in said
    assert "Traceback" not in rest
    assert not (own / ".orlop").exists()


def test_a_fault_of_the_program_is_two_lines(orlop: Orlop, sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("bad\x1bluck")

    monkeypatch.setattr("orlop.kinds.open_all", broken)

    ran = orlop("ls", sample.path)

    assert ran.code == 3
    assert len(ran.err.splitlines()) == 2
    assert "ZeroDivisionError: bad␛luck" in ran.err
    assert "Traceback" in orlop("ls", sample.path, "--debug").err


class TestDemo:
    def test_exactly_the_planted_faults_are_found(self, orlop: Orlop) -> None:
        ran = orlop("demo", "--check")

        assert ran.code == 0
        assert "planted faults were found, and nothing else" in ran.out

    def test_the_sample_is_gone_afterwards(self, orlop: Orlop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

        orlop("demo", "--check")

        assert list(tmp_path.iterdir()) == []

    def test_it_can_be_kept_in_a_new_folder(self, orlop: Orlop, tmp_path: Path) -> None:
        assert orlop("demo", "--check", "--keep", tmp_path / "kept").code == 0
        assert orlop("ls", tmp_path / "kept" / "docker").code == 0

    def test_a_folder_that_holds_something_is_left_alone(self, orlop: Orlop, tmp_path: Path) -> None:
        (tmp_path / "mine").write_text("")

        ran = orlop("demo", "--check", "--keep", tmp_path)

        assert ran.code == 3
        assert "not empty" in ran.err
        assert len(list(tmp_path.iterdir())) == 1

    def test_without_a_terminal_it_names_the_check(self, orlop: Orlop) -> None:
        ran = orlop("demo")

        assert ran.code == 64
        assert "orlop demo --check" in ran.err
