"""What reaches a real pseudo-terminal, byte by byte, and how an app leaves it."""

import errno
import fcntl
import json
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from orlop import samples

TOP = Path(__file__).parents[2]
PATIENCE = 15.0

# The child has to make the pseudo-terminal its controlling one by itself.
_TAKE = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.executable, sys.argv[1:])"

LEFT = {
    "the alternate screen": "\x1b[?1049l",
    "mouse buttons": "\x1b[?1000l",
    "mouse movement": "\x1b[?1003l",
    "a hidden cursor": "\x1b[?25h",
    "bracketed paste": "\x1b[?2004l",
}


class Terminal:
    """A program on a pseudo-terminal of 100 by 30, and all that it wrote."""

    def __init__(self, arguments: list[str], environ: dict[str, str]) -> None:
        self.master, slave = os.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", _TAKE, sys.executable, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,  # where Textual draws
            env=environ,
            start_new_session=True,
        )
        os.close(slave)
        self.data = b""

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", "surrogateescape")

    @property
    def last_words(self) -> str:
        """What was written after the alternate screen was left."""
        return shown(self.text.rpartition("\x1b[?1049l")[2])

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def read(self, timeout: float) -> bool:
        """Take what is there; False at the end of the output."""
        if self.master < 0 or not select.select([self.master], [], [], timeout)[0]:
            return self.master >= 0
        try:
            piece = os.read(self.master, 65536)
        except OSError as error:
            if error.errno != errno.EIO:  # what Linux says when the other side is closed
                raise
            return False
        self.data += piece
        return bool(piece)

    def until(self, wanted: Callable[[str], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not wanted(self.text):
            if time.monotonic() > deadline or not self.read(0.1):
                pytest.fail(f"never came: {what}\n{self.text[-3000:]!r}")

    def until_shown(self, words: str) -> None:
        self.until(lambda text: words in shown(text), f"{words!r} on the screen")

    def ended(self) -> int:
        """Its exit code, once all its output was read."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                pytest.fail(f"it does not end\n{self.text[-1000:]!r}")
            self.read(0.05)
        while self.read(0.0) and select.select([self.master], [], [], 0.0)[0]:
            continue
        return self.process.returncode

    def hang_up(self) -> None:
        os.close(self.master)
        self.master = -1

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        if self.master >= 0:
            os.close(self.master)


def shown(text: str) -> str:
    """The characters that were drawn, in the order of drawing, without what moves or colours."""
    return re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\]22;[a-z]*\x07", "", text)


def assert_given_back(text: str) -> None:
    missing = [what for what, sequence in LEFT.items() if sequence not in text[text.rfind("\x1b[?1049h") :]]
    assert missing == [], f"the terminal was left with {missing}"


Spawn = Callable[..., Terminal]


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    terminals: list[Terminal] = []

    def start(*arguments: str, **environ: str) -> Terminal:
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        variables = {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": f"{TOP / 'core'}{os.pathsep}{TOP / 'tui'}",
            "HOME": str(home),
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "COLUMNS": "100",
            "LINES": "30",
            "LC_ALL": "C.UTF-8",
        }
        terminal = Terminal(list(arguments), variables | environ)
        terminals.append(terminal)
        return terminal

    yield start
    for terminal in terminals:
        terminal.close()


@pytest.fixture
def small_app(tmp_path: Path) -> str:
    """The app that all screens build on, with one widget and two ways to end."""
    path = tmp_path / "small_app.py"
    path.write_text(
        """
import sys
from textual.widgets import Static
from orlop_tui.safe_app import SafeApp

class Small(SafeApp):
    BINDINGS = [("q", "quit", "quit"), ("x", "fail", "fail")]
    def compose(self):
        yield Static("ready to " + "go \\x1b]52;c;b3Jsb3A=\\x1b\\\\\\x9b7mhidden", markup=False)
    def action_fail(self):
        secret = "hunter" + "2"
        raise ValueError("planted \\x1b[2Jfault")

app = Small()
app.run()
sys.exit(app.return_code)
"""
    )
    return str(path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_it_in_order_and_gives_the_terminal_back(
    spawn: Spawn, small_app: str, number: signal.Signals
) -> None:
    terminal = spawn(small_app)
    terminal.until_shown("ready to go")
    terminal.process.send_signal(number)
    assert terminal.ended() == 128 + number
    assert_given_back(terminal.text)
    assert terminal.last_words.strip() == ""


def test_a_quit_gives_the_terminal_back(spawn: Spawn, small_app: str) -> None:
    terminal = spawn(small_app)
    terminal.until_shown("ready to go")
    terminal.type("q")
    assert terminal.ended() == 0
    assert_given_back(terminal.text)


def test_a_terminal_that_goes_away_ends_it(spawn: Spawn, small_app: str) -> None:
    terminal = spawn(small_app)
    terminal.until_shown("ready to go")
    terminal.hang_up()
    assert terminal.process.wait(PATIENCE) == 128 + signal.SIGHUP


def test_a_shell_that_goes_away_with_its_terminal_leaves_no_app_behind(spawn: Spawn, hostile_store: str) -> None:
    """In a shell's terminal the app gets SIGCONT too, and no SIGHUP where the shell sends none."""
    terminal = spawn("-m", "orlop_tui", hostile_store)
    terminal.until_shown("quit")
    for _ in range(3):
        terminal.process.send_signal(signal.SIGCONT)
    terminal.process.send_signal(signal.SIGWINCH)
    terminal.hang_up()
    terminal.process.send_signal(signal.SIGCONT)
    assert terminal.ended() == 129


def test_a_fault_is_told_in_two_lines_and_written_to_the_log(spawn: Spawn, small_app: str, tmp_path: Path) -> None:
    terminal = spawn(small_app)
    terminal.until_shown("ready to go")
    terminal.type("x")
    assert terminal.ended() == 1
    assert_given_back(terminal.text)
    told = terminal.last_words.strip()
    assert len(told.splitlines()) == 2
    assert "ValueError: planted ␛[2Jfault" in told
    assert "Traceback" not in told + terminal.text
    assert "hunter2" not in told + terminal.text
    (log,) = (tmp_path / "home").rglob("orlop.log")
    assert str(log) in told
    assert "action_fail" in log.read_text()
    assert "hunter2" not in log.read_text()


def test_a_careless_widget_sends_no_sequence_of_the_store(spawn: Spawn, small_app: str) -> None:
    terminal = spawn(small_app)
    terminal.until_shown("hidden")
    drawn = shown(terminal.text)
    assert "\x1b" not in drawn
    assert "\x9b" not in drawn


def test_no_color_sends_no_colour(spawn: Spawn, small_app: str) -> None:
    terminal = spawn(small_app, NO_COLOR="1")
    terminal.until_shown("ready to go")
    colours = [
        code
        for sequence in re.findall(r"\x1b\[([0-9;]*)m", terminal.text)
        for code in sequence.split(";")
        if code and (30 <= int(code) <= 38 or 40 <= int(code) <= 48 or 90 <= int(code) <= 107)
    ]
    assert colours == []


# --- the whole program over a hostile store

HOSTILE = (
    "\x1b]52;c;b3Jsb3A=\x07",
    "\x1b]0;title\x1b\\",
    "\x1b[3;7;41mred",
    "\x1bPq\x1b\\",
    "\x9b31;44mc1",
    "\x9d0;c1\x9c",
    "line\nfeed",
    "carriage\rreturn",
    "tab\tbed",
    "back\x08space\x7f",
    "\u202egnp.exe",
    "\u2066isolate\u2069",
    "zero\u200bwidth\ufeff",
    "[@click=app.quit]link[/]",
    "[/nope]",
    "[$primary]x\\\\[",
    "nul\x00nul",
)


@pytest.fixture
def hostile_store(tmp_path: Path) -> str:
    """Every string above as a name, label, variable, history line, author, mapping's source and container's name."""
    root = samples.DataRoot.create(str(tmp_path / "docker"))
    base = root.image({"bin/sh": b"#!"}, names=["base:1"])
    for number, text in enumerate(HOSTILE):
        made = root.image(
            samples.Step(created_by=f"RUN {text}", files={f"file{number}": b"x"}),
            on=base,
            names=[f"{text}:{number}" if number % 2 else f"ok/{number}:{text}"],
            author=text,
            config={"Labels": {"label": text, text: "value"}, "Env": [f"NAME={text}", text]},
        )
        root.mapping(made.layers[-1], f"ghcr.io/{text}", pushed=True)
        root.container(text, made, image_name=text)
    (Path(root.path) / "image/overlay2/imagedb/content/sha256" / HOSTILE[0].replace("/", "")).write_text("stray")
    return root.path


def walk(terminal: Terminal) -> None:
    """Go down the rows, one for each image, waiting for the detail of every one."""
    for number in range(1, len(HOSTILE) + 2):
        terminal.until(partial(has_marks, number), f"the detail of {number} images")
        terminal.type("j")


def has_marks(number: int, text: str) -> bool:
    return len(marks(text)) >= number


def marks(text: str) -> set[str]:
    """Beginnings of the ids of all images whose detail was drawn so far."""
    return set(re.findall(r"Image +sha256:([0-9a-f]{24})", shown(text)))


def test_a_hostile_store_sends_nothing_of_its_own_to_the_terminal(spawn: Spawn, hostile_store: str) -> None:
    terminal = spawn("-m", "orlop_tui", hostile_store, COLUMNS="140", LINES="50")
    terminal.until_shown("ok/0")
    walk(terminal)
    for key in "dD":
        terminal.type(key)
        settle(terminal)
    terminal.type("\x1b")
    settle(terminal)
    terminal.type("q")
    assert terminal.ended() == 0
    assert_given_back(terminal.text)
    drawn = shown(terminal.text)
    strange = {character for character in drawn if not character.isprintable()} - {"\r", "\n"}
    assert strange == set()
    assert "\x1b[3;7;41m" not in terminal.text
    assert "]52;c;" in drawn, "the name is shown, in harmless characters"
    assert "[/nope]" in drawn, "markup is shown as it is"
    assert "click=app.quit]link[/]" in drawn or "[@click=app" in drawn


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_the_program_in_order(spawn: Spawn, hostile_store: str, number: signal.Signals) -> None:
    terminal = spawn("-m", "orlop_tui", hostile_store)
    terminal.until_shown("Platform")
    terminal.process.send_signal(number)
    assert terminal.ended() == 128 + number
    assert_given_back(terminal.text)
    assert terminal.last_words.strip() == ""


def test_a_signal_while_the_store_is_still_read_ends_it_too(spawn: Spawn, hostile_store: str) -> None:
    terminal = spawn("-m", "orlop_tui", hostile_store)
    terminal.until(lambda text: "\x1b[?1049h" in text, "the alternate screen")
    terminal.until_shown("orlop")
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.ended() == 143
    assert_given_back(terminal.text)


def test_looking_with_the_program_changes_no_byte_of_the_store(spawn: Spawn, hostile_store: str) -> None:
    before = tree(hostile_store)
    terminal = spawn("-m", "orlop_tui", hostile_store)
    terminal.until_shown("Platform")
    terminal.type("q")
    assert terminal.ended() == 0
    assert tree(hostile_store) == before


def tree(top: str) -> str:
    """Every path with its size, mode and times, accesses left out."""
    found = {}
    for folder, _, names in os.walk(top):
        for path in [folder, *(os.path.join(folder, name) for name in names)]:
            stat = os.lstat(path)
            found[path] = (stat.st_mode, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
    return json.dumps(found, sort_keys=True, indent=0)


DIALOGS = (
    ("?", "type to search"),
    ("x", "All actions"),
    ("#", "Go to"),
    ("u", ""),
    ("M", "Layers of"),
    ("r", ""),
    ("y", "Copy"),
    ("s", "Sort by"),
    ("t", "Tag"),
    ("J", "Journal"),
    ("L", ""),
    ("i", ""),
    ("V", ""),
    ("c", ""),
    ("d", "Enter/Esc"),
    (":", ""),
)
"""Keys that open a dialog or a screen, and what is then drawn; empty: more than there was."""


@pytest.mark.long
def test_no_dialog_sends_anything_of_a_hostile_store_to_the_terminal(spawn: Spawn, hostile_store: str) -> None:
    terminal = spawn("-m", "orlop_tui", hostile_store, COLUMNS="140", LINES="50")
    terminal.until_shown("ok/0")
    for _ in range(2):
        for key, said in DIALOGS:
            drawn = len(terminal.text)
            terminal.type(key)
            terminal.until(partial(came, drawn, said), f"what {key} opens")
            settle(terminal)
            if key == "r":
                terminal.type("1")  # the first record, where there are several
                settle(terminal)
            terminal.type("\x1b")
            settle(terminal)
        terminal.type("jjj")
        settle(terminal)
    terminal.type("q")
    assert terminal.ended() == 0
    strange = {character for character in shown(terminal.text) if not character.isprintable()} - {"\r", "\n"}
    assert strange == set()
    assert "\x1b]52" not in terminal.text
    assert "\x1b]0;" not in terminal.text


def came(drawn: int, said: str, text: str) -> bool:
    return said in shown(text[drawn:]) if said else len(text) > drawn


def settle(terminal: Terminal) -> None:
    """Until nothing more is drawn for a moment."""
    while True:
        before = len(terminal.data)
        terminal.read(0.4)
        if len(terminal.data) == before:
            return


def test_a_terminal_that_shrinks_to_nothing_and_grows_again_shows_everything_again(
    spawn: Spawn, hostile_store: str
) -> None:
    terminal = spawn("-m", "orlop_tui", hostile_store, COLUMNS="", LINES="")
    terminal.until(lambda text: "\x1b[?1049h" in text, "the alternate screen")
    for rows, columns in ((1, 1), (40, 3), (2, 200)):
        resize(terminal, rows, columns)
        terminal.type("jk")
        settle(terminal)
    drawn = len(terminal.text)
    resize(terminal, 30, 100)
    terminal.until(partial(came, drawn, "REPOSITORY"), "the list")
    terminal.type("q")
    assert terminal.ended() == 0
    assert_given_back(terminal.text)


def resize(terminal: Terminal, rows: int, columns: int) -> None:
    fcntl.ioctl(terminal.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    os.kill(terminal.process.pid, signal.SIGWINCH)


_SHELL = "import os; os.execv('/bin/bash', ['bash', '--norc', '--noprofile', '-i'])"


@pytest.mark.skipif(not os.path.exists("/bin/bash"), reason="needs a shell with job control")
def test_it_goes_to_the_background_at_ctrl_z_and_comes_back_whole(spawn: Spawn, hostile_store: str) -> None:
    terminal = spawn("-c", _SHELL, PS1="ready> ")
    terminal.until_shown("ready>")
    terminal.type(f"{sys.executable} -m orlop_tui {hostile_store}\n")
    terminal.until_shown("Platform")
    terminal.type("\x1a")
    terminal.until(lambda text: "Stopped" in text, "the shell")
    assert_given_back(terminal.text)
    drawn = len(terminal.text)
    terminal.type("fg\n")
    terminal.until(lambda text: "\x1b[?1049h" in text[drawn:], "the alternate screen again")
    terminal.until(partial(came, drawn, "REPOSITORY"), "the list")
    terminal.type("q")
    terminal.until(lambda text: text.rstrip().endswith("ready>"), "the shell at the end")
    assert_given_back(terminal.text)
    terminal.type("exit $?\n")
    assert terminal.ended() == 0
