"""What a check says of a storage that a test made."""

from collections.abc import Iterable
from pathlib import Path

from orlop.finding import Finding, Severity
from orlop.fs import Root
from orlop.progress import Progress, Silent
from orlop.records import Key
from orlop.registry.check import check
from orlop.registry.model import Model
from orlop.registry.read import read
from orlop.store import Hashing
from tests.registry.making import V2, Storage


def model_of(storage: Storage) -> Model:
    with Root.open(str(storage.path)) as root:
        return read(root, V2, progress=Silent())


def everything(
    storage: Storage,
    keys: Iterable[Key] | None = None,
    *,
    content: bool = False,
    progress: Progress | None = None,
    hashing: Hashing | None = None,
) -> list[Finding]:
    """All findings, information too."""
    with Root.open(str(storage.path)) as root:
        model = read(root, V2, progress=Silent())
        return list(check(root, model, keys, content=content, progress=progress or Silent(), hashing=hashing))


def findings(storage: Storage, keys: Iterable[Key] | None = None, *, content: bool = False) -> list[Finding]:
    """The findings that are no mere information."""
    return [f for f in everything(storage, keys, content=content) if f.severity is not Severity.INFORMATION]


def told(storage: Storage, rule: str) -> list[Finding]:
    """All findings of a rule."""
    return [f for f in everything(storage) if f.rule == rule]


def only(storage: Storage, rule: str, path: Path, *, content: bool = False) -> Finding:
    """The one finding that a storage has, which must be of this rule and at this path."""
    found = findings(storage, content=content)
    assert [(f.rule, f.path) for f in found] == [(rule, storage.relative(path))], found
    return found[0]
