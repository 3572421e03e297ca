"""The tables of a store that Orlop made, and how older ones become those of today.

Times are whole nanoseconds UTC, NULL where none was ever set. `position` grows with
each row that is written, so that the newest written comes first, as in rkt's own
database; texts may hold bytes that are not UTF-8.
"""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

APPLICATION = 0x4F726C70
"""What marks the file as Orlop's (``PRAGMA application_id``): the letters ``Orlp``."""

VERSION_TABLE = "CREATE TABLE version (version INTEGER NOT NULL)"
"""One row, in every version."""

Migration = Callable[[sqlite3.Connection], None]
"""Takes the tables from one version to the next, inside a transaction that is not its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """The tables of one version, and what leads to it."""

    version: int
    statements: tuple[str, ...]
    """What makes them in an empty file; the row of `version` comes besides."""
    migrations: Mapping[int, Migration] = field(default_factory=dict)
    """From each older version that is understood, the step to the next."""

    def reaches(self, version: int) -> bool:
        """Whether there is a step from a version, and from each that follows, to this one."""
        return all(number in self.migrations for number in range(version, self.version))


SCHEMA = Schema(
    version=1,
    statements=(
        VERSION_TABLE,
        "CREATE TABLE image (position INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, name TEXT NOT NULL,"
        " imported INTEGER, last_used INTEGER, latest INTEGER NOT NULL, size INTEGER NOT NULL,"
        " tree_size INTEGER NOT NULL)",
        "CREATE TABLE remote (position INTEGER PRIMARY KEY, url TEXT NOT NULL UNIQUE, signature_url TEXT NOT NULL,"
        " etag TEXT NOT NULL, key TEXT NOT NULL, max_age INTEGER NOT NULL, downloaded INTEGER)",
    ),
)
"""The present one, the first."""
