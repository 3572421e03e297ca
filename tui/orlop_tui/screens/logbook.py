"""What happened in this session: changes, errors whole, and how jobs ended."""

import time
from dataclasses import dataclass

from orlop.errors import OrlopError
from orlop_tui import format as words

MOST = 2000
"""Entries that are kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One thing that happened."""

    at: str
    said: tuple[tuple[str, str], ...]
    """Labels, which may be empty, and texts."""
    is_error: bool = False

    def __str__(self) -> str:
        lines = (f"{label}: {text}" if label else text for label, text in self.said)
        return f"{self.at}  " + "\n".join(lines)


class Logbook:
    """Entries, oldest first; the oldest are forgotten where they are too many."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def note(self, *texts: str) -> None:
        """Write down what was done or said."""
        if texts:
            self._add(Entry(_now(), tuple(("", text) for text in texts)))

    def error(self, error: OrlopError, *, about: str = "") -> None:
        """Write down an error, with what, where, why and what to do."""
        said = [("", about)] if about else []
        self._add(Entry(_now(), (*said, *words.words(error)), is_error=True))

    def _add(self, entry: Entry) -> None:
        self.entries.append(entry)
        del self.entries[:-MOST]


def _now() -> str:
    return time.strftime("%H:%M:%S")
