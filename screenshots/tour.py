#!/usr/bin/env python3
"""Record the tour: the real program on a pseudo-terminal over the sample stores, as an asciinema cast.

    python screenshots/tour.py
    asciinema play screenshots/tour.cast

Needs Orlop and its dependencies; the colours are those of whoever plays it. What is
drawn between two keys becomes one moment of the recording, at a time that the script
below gives it, not the machine.
"""

import fcntl
import json
import os
import pty
import re
import select
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
CAST = HERE / "tour.cast"
WIDTH, HEIGHT = 110, 32
QUIET = 0.8
"""Seconds without output after which a key has done what it does."""
PATIENCE = 60.0

TOUR: tuple[tuple[str, float], ...] = (
    ("", 2.0),  # the list, with what is wrong
    ("p", 1.5),  # only the problems
    ("4", 3.0),  # what is wrong, where, and the cure
    ("\x1b", 0.5),
    ("\x1b", 0.8),
    ("/own>100K\r", 2.0),  # what is large
    ("\x1b", 0.8),
    ("i", 3.0),  # where the bytes are
    ("\x1b", 0.8),
    ("V", 1.5),  # verify …
    ("\x1b", 0.8),
    ("#ghcr.io/acme/web:2026.06\r", 1.5),
    ("M", 2.5),  # who shares its layers
    ("\x1b", 0.8),
    ("d", 3.0),  # the plan, before anything happens
    ("D", 2.0),  # done
    ("z", 2.5),  # and taken back …
    ("D", 2.0),
    ("?", 2.0),
    ("\x1b", 0.8),
    ("q", 0.5),
)
"""Keys, and for how many seconds one looks at what they did."""


def main() -> int:
    """Run the tour and write it down."""
    with tempfile.TemporaryDirectory(prefix="orlop-tour-") as folder:
        moments = recorded(folder)
    head = {"version": 2, "width": WIDTH, "height": HEIGHT, "title": "orlop demo", "env": {"TERM": "xterm-256color"}}
    lines = [json.dumps(head), *(json.dumps([round(at, 2), "o", text], ensure_ascii=False) for at, text in moments)]
    CAST.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{CAST.name}: {len(moments)} moments, {moments[-1][0]:.0f} s, {CAST.stat().st_size} bytes")
    return 0


def recorded(folder: str) -> list[tuple[float, str]]:
    """What the terminal was sent after each key, and when it is shown."""
    process, terminal = pty.fork()
    if process == 0:
        os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "HOME": folder, "LC_ALL": "C.UTF-8"}
        os.environ.pop("NO_COLOR", None)
        os.execv(sys.executable, [sys.executable, "-m", "orlop_tui", "demo", "--theme", "ansi-dark"])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    moments: list[tuple[float, str]] = []
    at = 0.0
    for keys, looked in TOUR:
        for key in re.findall(r"\x1b|.|\r", keys):
            os.write(terminal, key.encode())
        drawn = until_quiet(terminal)
        moments.append((at, drawn))
        at += looked
    os.close(terminal)
    os.waitpid(process, 0)
    return [(when, BLANKS.sub(erased, text)) for when, text in moments if text]


BLANKS = re.compile(" {12,}")


def erased(blanks: re.Match[str]) -> str:
    """The same blanks in a few bytes: erase so many cells, and step over them."""
    count = len(blanks[0])
    return f"\x1b[{count}X\x1b[{count}C"


def until_quiet(terminal: int) -> str:
    """All that is written until nothing more comes for a while."""
    data = b""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], QUIET if data else 10 * QUIET)[0]:
            break
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the program ended, and its terminal with it
            break
        if not piece:
            break
        data += piece
    return data.decode("utf-8", "replace")


if __name__ == "__main__":
    sys.exit(main())
