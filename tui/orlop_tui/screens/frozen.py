"""A store that stands still on the screen, and what differs between two states of one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from orlop.records import Absent, Facet, Key, Records, Remote, Row, Snapshot, Upload
from orlop.records import Mapping as MappingRecord
from orlop_tui import format as words

FACETS = (Facet.MAPPINGS, Facet.REMOTES, Facet.UPLOADS)


@dataclass
class Frozen:
    """A store as it was, while the screen stands still."""

    before: Snapshot
    records: dict[Facet, Records | Absent] = field(default_factory=dict)
    """As far as they were read since."""
    after: Snapshot | None = None
    """The newest state that was not shown; None while nothing changed."""
    then: dict[Facet, Records | Absent] | None = None
    """What is recorded at the end, while it is being read; None before the end."""

    @property
    def is_whole(self) -> bool:
        """Whether everything that is compared was read."""
        return self.then is not None and all(facet in self.then for facet in FACETS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that is there now and was not, or the other way round."""

    word: str
    """``new``, ``gone``, ``changed``"""
    what: str
    """``name``, ``image``, ``mapping``, ``remote record``, ``upload``"""
    text: str
    bytes: int | None = None
    copy: str = ""


def changes(before: Snapshot, after: Snapshot) -> Iterator[Change]:
    """What differs between two lists: names and images by themselves, in the order of the newer list."""
    old, new = {row.key: row for row in before.rows}, {row.key: row for row in after.rows}
    for key, row in new.items():
        was = old.get(key)
        if was is None:
            yield Change(word="new", what=_what(key), text=_named(row), bytes=row.own_size, copy=key.name or key.id)
        elif _told(was) != _told(row):
            yield Change(word="changed", what=_what(key), text=f"{_named(row)}: {_differs(was, row)}", copy=key.id)
    for key, row in old.items():
        if key not in new:
            yield Change(word="gone", what=_what(key), text=_named(row), bytes=row.own_size, copy=key.name or key.id)


def record_changes(before: Records | Absent | None, after: Records | Absent | None) -> Iterator[Change]:
    """What differs between two lists of records."""
    if not isinstance(before, tuple) or not isinstance(after, tuple):
        return
    old, new = _by_name(before), _by_name(after)
    for name, record in new.items():
        if name not in old:
            yield _record("new", record)
        elif old[name] != record:
            yield _record("changed", record)
    for name, record in old.items():
        if name not in new:
            yield _record("gone", record)


def _what(key: Key) -> str:
    return "image" if key.name is None else "name"


def _named(row: Row) -> str:
    return f"{row.key.name}  {words.short(row.key.id)}" if row.key.name else words.short(row.key.id)


def _told(row: Row) -> tuple[object, ...]:
    return (row.size, row.trust, row.condition, row.flags, row.reason, row.created, row.last_used)


def _differs(was: Row, row: Row) -> str:
    now, before = words.state_word(row), words.state_word(was)
    if now != before:
        return f"{before}, now {now}"
    if row.size != was.size:
        return f"{words.size(was.size)}, now {words.size(row.size)}"
    return ", ".join(sorted(row.flags ^ was.flags)) or row.reason or "its record"


def _by_name(records: Records) -> Mapping[tuple[str, ...], MappingRecord | Remote | Upload]:
    return {_identity(record): record for record in records}


def _identity(record: MappingRecord | Remote | Upload) -> tuple[str, ...]:
    match record:
        case MappingRecord():
            return (record.diff_id, record.digest, record.source)
        case Remote():
            return (record.kind, record.reference, record.url or "")
        case Upload():
            return (record.repository, record.id)


def _record(word: str, record: MappingRecord | Remote | Upload) -> Change:
    match record:
        case MappingRecord():
            source = record.source or "no repository"
            text = f"{words.short(record.diff_id)} is {words.short(record.digest)} of {source}"
            return Change(word=word, what="mapping", text=text, copy=record.digest)
        case Remote():
            return Change(word=word, what="remote record", text=record.url or record.reference, copy=record.reference)
        case Upload():
            text = f"{record.repository}/{record.id}"
            return Change(word=word, what="upload", text=text, bytes=record.bytes, copy=text)
