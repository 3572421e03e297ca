"""What a person means by a text: a row of a registry."""

import re

from orlop.digest import ALGORITHMS
from orlop.errors import Ambiguous, NotFound
from orlop.records import Key
from orlop.registry.model import Model, Repository

_HEX = re.compile(r"[0-9a-f]+", re.ASCII)
_DO = "`orlop ls PATH` lists them"


def find(model: Model, text: str) -> Key:
    """The key of a row.

    In this order: ``repository:tag``; ``repository@digest``, where the digest may be cut to its
    first digits; a digest, or the first digits of one, with or without its algorithm; the
    name of a repository, which means its tag ``latest``. A digest that several
    repositories know is that of the first one by name.

    Raises:
        NotFound: nothing answers.
        Ambiguous: several digests start so.
    """
    named = _named(model, text)
    if named is not None:
        return named
    name, at, digest = text.rpartition("@")
    if at:
        return _digest(model, digest, text, model.repositories.get(name))
    if text in model.repositories and (latest := _named(model, f"{text}:latest")) is not None:
        return latest
    return _digest(model, text, text, None)


def revisions(model: Model) -> dict[str, str]:
    """Digest of every manifest that has a row → the first repository by name that has it."""
    found: dict[str, str] = {}
    for name, repository in model.repositories.items():
        for digest in _of(repository):
            found.setdefault(digest, name)
    return found


def _of(repository: Repository) -> set[str]:
    targets = {tag.current.target for tag in repository.tags.values()}
    return {*repository.revisions, *(target for target in targets if target is not None)}


def _named(model: Model, text: str) -> Key | None:
    """The row of a name; a name may hold anything, so every place where it can be cut is tried."""
    at = text.rfind(":")
    while at > 0:
        repository = model.repositories.get(text[:at])
        tag = repository.tags.get(text[at + 1 :]) if repository is not None else None
        if repository is not None and tag is not None:
            return Key(repository.name, tag.current.target or "", text)
        at = text.rfind(":", 0, at)
    return None


def _digest(model: Model, digest: str, text: str, repository: Repository | None) -> Key:
    algorithm, colon, digits = digest.rpartition(":")
    if _HEX.fullmatch(digits) is None or (colon and algorithm not in ALGORITHMS):
        raise _nothing(text)
    known = revisions(model) if repository is None else dict.fromkeys(_of(repository), repository.name)
    prefixes = (digest,) if colon else tuple(f"{name}:{digits}" for name in ALGORITHMS)
    found = sorted(whole for whole in known if whole.startswith(prefixes))
    if not found or (text != digest and repository is None):
        raise _nothing(text)
    if len(found) > 1:
        raise Ambiguous(text, found)
    return Key(known[found[0]], found[0], None)


def _nothing(text: str) -> NotFound:
    return NotFound(f"no image is called {text!r}", do=_DO)
