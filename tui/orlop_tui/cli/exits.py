"""What the commands answer to the shell: one table from outcomes and errors to exit codes."""

from collections.abc import Iterable

from orlop.errors import (
    Cancelled,
    Changed,
    Locked,
    NeedsStatement,
    OrlopError,
    ReadOnly,
    Refused,
    Unfinished,
    Unsupported,
)
from orlop.finding import Severity
from orlop_tui.settings import BadSettings

DONE = 0
"""Clean, or done; findings of S5 included."""
SPACE = 1
"""Findings, and no damage among them: S4."""
DAMAGE = 2
"""Findings of S1 to S3."""
FAILED = 3
"""Something could not be read or done."""
REFUSED = 4
"""Refused: engine running, read-only, changed since, or the person said no."""
USAGE = 64
"""Wrong usage, a store kind that cannot do it, or not a terminal."""
INTERRUPTED = 130
"""Ctrl-C."""
BROKEN_PIPE = 141
"""The reader of the output went away."""


class Usage(OrlopError):
    """The command line asks for something that makes no sense."""


class Declined(OrlopError):
    """The person said no, or there was nobody to ask."""


_BY_ERROR: tuple[tuple[type[OrlopError], int], ...] = (
    (Usage, USAGE),
    (BadSettings, USAGE),
    (Unsupported, USAGE),
    (Declined, REFUSED),
    (Locked, REFUSED),
    (NeedsStatement, REFUSED),
    (ReadOnly, REFUSED),
    (Refused, REFUSED),
    (Changed, REFUSED),
    (Unfinished, REFUSED),
    (Cancelled, INTERRUPTED),
    (OrlopError, FAILED),
)


def of_error(error: OrlopError) -> int:
    """The exit code for an error: of the first class in the table that it belongs to."""
    return next(code for kind, code in _BY_ERROR if isinstance(error, kind))


def of_check(severities: Iterable[Severity], *, unreadable: bool) -> int:
    """The exit code of a check: damage beats unreadable parts, and those beat space."""
    found = set(severities)
    if any(severity.is_damage for severity in found):
        return DAMAGE
    if unreadable:
        return FAILED
    return SPACE if Severity.SPACE in found else DONE
