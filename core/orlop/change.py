"""A change of a store as values: what becomes of which path, in order; described once and done in two ways.

The library door runs changes at once (`orlop.direct`); the store door turns each
into a step of a `Plan`, bound to what was seen there (`orlop.plan.Replace`,
`orlop.plan.Quarantine`), which the executor journals.
"""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """A file holds these bytes."""

    path: str
    """Relative to the root, ``/`` between the parts."""
    data: bytes
    mode: int = 0o600
    """Permission bits of the file, exactly, whatever the umask."""
    folders: int = 0o700
    """Permission bits of the folders that are missing above it, under the umask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """Nothing is there any more."""

    path: str
    tree: bool = False
    """Whether a folder goes with all that is in it; else only an empty one goes."""
    missing_ok: bool = False
    """Whether nothing needs to have been there."""


Change: TypeAlias = Put | Drop
