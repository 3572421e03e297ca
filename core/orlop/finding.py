"""What is wrong in a store: rules with their meaning, and findings that name the file."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is; `S5` is information and never changes an exit code."""

    BLOCKS = "S1"  # stops the whole store
    UNUSABLE = "S2"  # an image cannot be used, or is wrong
    LATENT = "S3"  # works now; fails later or misreports
    SPACE = "S4"  # bytes that nothing needs
    INFORMATION = "S5"

    @property
    def is_damage(self) -> bool:
        return self in (Severity.BLOCKS, Severity.UNUSABLE, Severity.LATENT)


class Repair(StrEnum):
    """Which class of cure a finding has."""

    REBUILD = "A"  # rebuilt with proof, offline
    QUARANTINE = "B"  # moved aside, so that the engine can fetch it again
    REMOVE = "C"  # unreferenced data is removed
    LOSSY = "D"  # loses something; needs consent


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One thing that a check looks for, and what `explain` says of it."""

    id: str
    title: str
    severity: Severity
    repair: Repair | None
    """None where there is nothing to repair."""
    meaning: str
    """What the state on disk is, in whole sentences."""
    causes: str
    engine: str
    """What the engine does and says when it meets this, and since which version."""
    do: str
    """What a person can do, now and with Orlop's commands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One broken rule at one place."""

    rule: str
    title: str
    severity: Severity
    path: str
    """Relative to the store's root; the file or folder that breaks the rule."""
    detail: str
    """What was found there and what was expected: one sentence."""
    engine_says: str
    """The message that the engine gives for it; empty where it says nothing."""
    repair: Repair | None
    images: tuple[str, ...] = ()
    """Ids of the images affected."""
    names: tuple[str, ...] = ()
    """Their tags and digest references."""
    containers: tuple[str, ...] = ()
    subject: str = ""
    """What tells it from other findings of its rule at the same path, such as a name; else empty."""
    bytes: int | None = None
    """Bytes involved: lost, wrong or to be freed; None where that has no meaning."""

    @property
    def identity(self) -> tuple[str, str, str]:
        """What makes it the same finding in a later check."""
        return (self.rule, self.path, self.subject)
