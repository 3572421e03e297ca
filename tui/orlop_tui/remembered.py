"""What the screens remember of each store between two sessions: how its list was sorted and filtered.

One small JSON file in the user's state folder, shared by all sessions: each change
is read, changed and replaced under a lock, so that none is lost. It is worth nothing
by itself: where it cannot be read or written, nothing is remembered, and that is all.
"""

import json
import logging
import os
import tempfile
from dataclasses import dataclass

from filelock import FileLock, Timeout

_MOST = 200
"""Stores that are remembered; the ones changed longest ago go first."""
_PATIENCE = 1.0
"""Seconds to wait for another session's write of a few bytes."""
_LIMIT = 1 << 20

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorting:
    """How a list is shown."""

    column: str
    """A column's own word; one that is not known any more counts for nothing."""
    backwards: bool
    filter: str = ""


class Remembered:
    """The memory in one folder; the folder is made when something is to be kept."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._path = os.path.join(folder, "sorting.json")
        self._known = self._read()

    def sorting(self, store: str) -> Sorting | None:
        """How the list of a store (`StoreId.token`) was sorted when this was made, or since; None where unknown."""
        found = self._known.get(store)
        match found:
            case [str(column), bool(backwards)]:
                return Sorting(column=column, backwards=backwards)
            case [str(column), bool(backwards), str(text)] if text.isprintable():
                return Sorting(column=column, backwards=backwards, filter=text)
        return None

    def keep(self, store: str, sorting: Sorting) -> bool:
        """Remember how a store's list is sorted; False, with a line in the log, where that cannot be.

        Waits a second at most for other sessions: not for the thread that draws.
        """
        self._known[store] = [sorting.column, sorting.backwards, sorting.filter]
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            with FileLock(self._path + ".lock", timeout=_PATIENCE):
                known = self._read()
                known.pop(store, None)
                known[store] = self._known[store]
                self._write(dict(list(known.items())[-_MOST:]))
        except (OSError, Timeout) as error:
            _log.info("the sorting is not remembered: %s", error)
            return False
        return True

    def _read(self) -> dict[str, object]:
        try:
            with open(self._path, "rb") as file:
                known = json.loads(file.read(_LIMIT))
        except (OSError, ValueError, RecursionError):
            return {}
        return known if isinstance(known, dict) else {}

    def _write(self, known: dict[str, object]) -> None:
        fd, path = tempfile.mkstemp(dir=self._folder, prefix=".sorting-")
        try:
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                json.dump(known, file)
            os.replace(path, self._path)
        except BaseException:
            os.unlink(path)
            raise
