"""scheduler-state.json: what a pull-through cache holds, and until when.

distribution 2.8: ``registry/proxy/scheduler/scheduler.go``. One object; each member is
``{"Key": "<repository>@<digest>", "ExpiryData": <RFC 3339>, "EntryType": 0 or 1}``, 0 for
a blob, 1 for a manifest. In 2.1 and 2.2 a blob's key is the bare digest, a manifest's
the bare repository.
"""

from collections.abc import Iterator

from orlop import jsonrules, times
from orlop.digest import Digest
from orlop.errors import Malformed, NotFound, OrlopError
from orlop.fs import Root
from orlop.registry import layout
from orlop.registry.loose import state_of
from orlop.registry.model import Cache, CacheEntry, State


def read_cache(root: Root) -> Cache | None:
    """The record of a pull-through cache; None where the store is none."""
    try:
        data = root.read(layout.SCHEDULER)
    except NotFound:
        return None
    except OrlopError as error:
        state, why = state_of(error)
        return Cache(state=state, why=why)
    return parse(data)


def parse(data: bytes) -> Cache:
    """What the bytes of the file say; an entry that is none makes the whole malformed, the others are given."""
    if not data:
        return Cache(state=State.EMPTY, why="the file is empty, so that a cache does not start on it")
    try:
        document = jsonrules.the_object(jsonrules.loads(data))
    except Malformed as error:
        return Cache(state=State.MALFORMED, why=error.why)
    entries: list[CacheEntry] = []
    wrong: list[str] = []
    for key, value in document.items():
        if isinstance(value, dict):
            entries += _entry(key, value, wrong)
        else:
            wrong.append(f"the entry {key!r} is no object")
    return Cache(
        state=State.MALFORMED if wrong else State.GOOD,
        entries=tuple(entries),
        why=wrong[0] if wrong else "",
    )


def _entry(name: str, value: dict[str, object], wrong: list[str]) -> Iterator[CacheEntry]:
    key = jsonrules.member(value, "Key")
    key = key if isinstance(key, str) and key else name
    repository, _, digest = key.rpartition("@")
    if not repository:
        repository, digest = ("", key) if _is_digest(key) else (key, "")
    if digest and not _is_digest(digest):
        wrong.append(f"the entry {key!r} names no digest")
        return
    text = jsonrules.member(value, "ExpiryData")
    expires: int | None = None
    try:
        expires = times.parse(text) if isinstance(text, str) else None
    except Malformed:
        wrong.append(f"the entry {key!r} has no time of expiry")
    kind = jsonrules.member(value, "EntryType")
    yield CacheEntry(key=key, repository=repository, digest=digest, expires=expires, manifest=kind == 1)


def _is_digest(text: str) -> bool:
    try:
        Digest.parse_any(text)
    except Malformed:
        return False
    return True
