"""Where the commands print: people's lines and tables, or JSON Lines; errors to stderr.

Texts from a store are made safe by whoever composes a line (`orlop_tui.format`,
`orlop.text.visible`). JSON needs no such care: it is pure ASCII.
"""

import json
import shutil
import sys
import textwrap
import time
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self

from orlop.errors import OrlopError
from orlop.progress import CONTENTS
from orlop.text import visible
from orlop_tui import format

MARGIN = 2


class Output:
    """The two streams of one command.

    Attributes:
        json: whether stdout carries JSON Lines and nothing else.
        full: whether ids and digests are printed whole: asked for, or no terminal is there.
        width: columns of the terminal; None where nothing may be cut.
    """

    def __init__(self, *, json: bool = False, full: bool = False) -> None:
        terminal = sys.stdout.isatty()
        self.json = json
        self.terminal = terminal and not json
        self.full = full or not terminal
        self.width = shutil.get_terminal_size().columns if terminal and not full else None

    def line(self, text: str = "") -> None:
        """A line for people; nothing where JSON is asked for."""
        if not self.json:
            print(text)

    def lines(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.line(text)

    def record(self, value: Mapping[str, object]) -> None:
        """One JSON object on a line of its own; nothing where it is not asked for.

        The line is ASCII: anything else, lone surrogates of invalid UTF-8 too, is
        a ``\\uXXXX`` escape.
        """
        if self.json:
            print(json.dumps(value, ensure_ascii=True, separators=(",", ":")).replace("\x7f", "\\u007f"))

    def table(self, columns: Sequence[format.Column], rows: Iterable[Sequence[str]], *, indent: int = 0) -> None:
        """A plain table, cut only where a terminal is too narrow; for JSON the rows are not even made."""
        if self.json:
            return
        width = None if self.width is None else self.width - indent
        self.lines(" " * indent + line for line in format.table(columns, rows, width=width))

    def labelled(self, pairs: Iterable[tuple[str, str]], *, indent: int = MARGIN) -> None:
        """Lines with a word at the margin, aligned; an empty word continues the one above.

        A terminal too narrow gets them broken between words; no path or digest is ever broken.
        """
        if self.json:
            return
        found = list(pairs)
        room = max((len(label) for label, _ in found), default=0)
        width = None if self.width is None else max(self.width - indent - room - 2, 20)
        for label, text in found:
            for number, line in enumerate(_broken(text, width)):
                self.line(f"{' ' * indent}{'' if number else label:<{room}}  {line}".rstrip())

    def identity(self, text: str) -> str:
        """A digest or id: whole, or twelve digits where a terminal shows it."""
        return visible(text) if self.full else format.short(text)

    def sentence(self, text: str) -> str:
        """A sentence of the store, safe; the digests in it are shortened where a terminal shows it."""
        return visible(text) if self.full else format.shortened(text)

    def name(self, text: str) -> str:
        """A name, safe; the digest of a digest reference is shortened where a terminal shows it."""
        safe = visible(text)
        head, mark, digest = safe.rpartition("@sha256:")
        return f"{head}{mark}{digest[:12]}…" if mark and not self.full else safe

    def error(self, error: OrlopError) -> None:
        """What, where, why and what to do: for people on stderr, and as an object among the JSON lines."""
        self.record(error_object(error))
        print_error(error)

    def note(self, text: str) -> None:
        """A safe line on stderr, beside whatever stdout carries."""
        say(text)


def _broken(text: str, width: int | None) -> list[str]:
    if width is None or format.cells(text) <= width:
        return [text]
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def say(text: str) -> None:
    """A line on stderr, after what stdout already has."""
    sys.stdout.flush()
    print(text, file=sys.stderr)


def error_object(error: OrlopError) -> dict[str, object]:
    """An error as JSON members; absent answers are null."""
    return {
        "type": "error",
        "what": error.what,
        "path": error.path,
        "why": error.why or None,
        "do": error.do or None,
    }


def print_error(error: OrlopError) -> None:
    """An error on stderr, a line an answer."""
    (_, what), *others = format.words(error)
    say(f"orlop: {what}")
    for label, text in others:
        say(f"  {f'{label}:' if label else '':<6} {text}")


class Meter:
    """Progress on one line of stderr, where that is a terminal and the work takes long; bytes get a bar.

    Attributes:
        hashed: bytes of contents that were worked off, and of all of them; zeros while none were.
    """

    def __init__(self) -> None:
        self._wanted = sys.stderr.isatty()
        self._next = time.monotonic() + 0.5
        self._drawn = 0
        self._began: float | None = None
        self.hashed = (0, 0)

    def step(self, what: str, done: int, total: int) -> None:
        if what == CONTENTS:
            self.hashed = (done, total)
            self._began = self._began or time.monotonic()
        if not self._wanted or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + 0.1
        if what == CONTENTS and self._began is not None:
            room = max(shutil.get_terminal_size().columns - 1, 1)
            self._draw(format.hashing(done, total, time.monotonic() - self._began, width=room))
            return
        self._draw(f"{visible(what)}: {done} of {total}" if total else f"{visible(what)}: {done}")

    def _draw(self, text: str) -> None:
        text = text[: max(shutil.get_terminal_size().columns - 1, 1)]
        sys.stderr.write("\r" + text.ljust(self._drawn))
        sys.stderr.flush()
        self._drawn = len(text)

    def clear(self) -> None:
        """Take the line away again."""
        if self._drawn:
            self._draw("")
            sys.stderr.write("\r")
            sys.stderr.flush()
            self._drawn = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()
