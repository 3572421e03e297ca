"""The row of a snapshot that a person means."""

from collections.abc import Iterable, Sequence

from orlop import reference
from orlop.errors import Ambiguous, Malformed, NotFound
from orlop.records import Flag, Key, Row
from orlop.snapshots.index import nameless


def find(rows: Sequence[Row], text: str, *, path: str) -> tuple[Key, ...]:
    """The key for a full id, an exact name, ``REPOSITORY@ID``, a repository, the start of an id, tried in that order.

    Of a repository it is what an engine takes: the one that is marked as latest, else the tag
    ``latest``, else the newest.

    Args:
        rows: of the snapshot.
        text: what a person gave; an id may lack its algorithm.
        path: of the file, for the error.

    Raises:
        NotFound: nothing answers.
        Ambiguous: several ids start so.
    """
    images = dict.fromkeys(nameless(row.key) for row in rows if row.id)
    whole = [key for key in images if text in (key.id, _bare(key.id))]
    if whole:
        return (whole[0],)
    for name in dict.fromkeys((text, _familiar(text))):
        if named := [row.key for row in rows if row.key.name == name and name]:
            return (named[0],)
    scope, at, digits = text.rpartition("@")
    matching = [key for key in images if at and key.scope == scope and _starts(key.id, digits)]
    if not at:
        if of_repository := [row for row in rows if row.key.name is not None and row.repository == text]:
            return (max(of_repository, key=_preferred).key,)
        matching = list({key.id: key for key in reversed(images) if _starts(key.id, text)}.values())
    if not matching:
        raise NotFound(f"no image is called {text!r}", path=path, do="`orlop ls PATH` lists them")
    if len(matching) > 1:
        raise Ambiguous(text, sorted(key.id for key in matching))
    return (matching[0],)


def named(rows: Iterable[Row], key: Key) -> Row | None:
    """The row of a key; None where it has none."""
    return next((row for row in rows if row.key == key), None)


def _preferred(row: Row) -> tuple[bool, bool, int]:
    return (Flag.LATEST in row.flags, row.tag == reference.DEFAULT_TAG, row.created or 0)


def _familiar(text: str) -> str:
    try:
        return reference.with_default_tag(reference.parse(text)).familiar
    except Malformed:
        return ""


def _bare(identity: str) -> str:
    """An id without its algorithm: ``sha256:…`` and rkt's ``sha512-…``."""
    return identity.partition(":")[2] or identity.partition("-")[2]


def _starts(identity: str, digits: str) -> bool:
    return bool(digits) and (identity.startswith(digits) or _bare(identity).startswith(digits))
