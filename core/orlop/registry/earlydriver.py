"""Paths as the storage drivers of January 2015 took them.

Source: distribution at commit 83d62628fc, ``storagedriver/storagedriver.go``: lower-case
letters and digits, joined by single ``.``, ``-`` and ``_``. The layer store relied on
this for names that it did not look at itself.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from orlop.errors import Malformed, NotFound
from orlop.fs import PARSE_LIMIT
from orlop.registry.driver import Driver, DriverStat

_PART = r"[a-z0-9]+(?:[._-][a-z0-9]+)*"
_PATH = re.compile(rf"{_PART}(?:/{_PART})*", re.ASCII)


class EarlyDriver:
    """A driver that refuses what those refused, in their words: `Malformed` for a path, `NotFound`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def get(self, path: str, limit: int = PARSE_LIMIT) -> bytes:
        with _told(path):
            return self._driver.get(path, limit)

    def put(self, path: str, content: bytes) -> None:
        with _told(path):
            self._driver.put(path, content)

    def reader(self, path: str, offset: int = 0) -> BinaryIO:
        with _told(path):
            return self._driver.reader(path, offset)

    def write(self, path: str, offset: int, chunks: Iterable[bytes]) -> int:
        with _told(path):
            return self._driver.write(path, offset, chunks)

    def stat(self, path: str) -> DriverStat:
        with _told(path):
            return self._driver.stat(path)

    def names(self, path: str) -> tuple[str, ...]:
        with _told(path):
            return self._driver.names(path)

    def move(self, source: str, target: str) -> None:
        with _told(source), _told(target):
            self._driver.move(source, target)

    def delete(self, path: str) -> None:
        with _told(path):
            self._driver.delete(path)


def is_path(text: str) -> bool:
    """Whether a text is a path, or a part of one, that those drivers took."""
    return _PATH.fullmatch(text) is not None


def check_path(path: str) -> str:
    """A path that those drivers took, unchanged.

    Raises:
        Malformed: it is none.
    """
    if not is_path(path):
        raise Malformed(
            f"a path has lower-case letters and digits, joined by single . - and _: {path!r}",
            engine=f"Invalid path: /{path}",
        )
    return path


@contextmanager
def _told(path: str) -> Iterator[None]:
    check_path(path)
    try:
        yield
    except NotFound as error:
        error.engine = error.engine or f"Path not found: /{path}"
        raise
