"""The JSON objects of the commands: one a line, each with ``type``, snake case.

Times are RFC 3339 UTC, sizes bytes, what is absent is null. Texts are as the
store has them; the escape to ASCII makes them safe for a terminal.
"""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from orlop import times
from orlop.finding import Finding, Rule
from orlop.records import Detail, Fact, Flag, Remote, Row, StoreId, Upload, Why
from orlop.records import Mapping as DigestMapping
from orlop.space import ImageSpace, Part, Space, Use
from orlop.store import Saved
from orlop_tui import format

Object: TypeAlias = dict[str, object]


def moment(at: int | None) -> str | None:
    """A time as the objects carry it."""
    return None if at is None else times.rfc3339(at)


def images(rows: Iterable[Row], scope: str) -> list[Object]:
    """One object an image, in the order of its first row, with all its names; `scope` is the storage driver."""
    together: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        together.setdefault((row.key.scope, row.key.id), []).append(row)
    return [image(of_one, scope) for of_one in together.values()]


def image(rows: list[Row], scope: str) -> Object:
    """The object of one image from all its rows."""
    first = rows[0]
    return {
        "type": "image",
        "id": first.key.id,
        "names": [row.key.name for row in rows if row.key.name is not None],
        "created": moment(first.created),
        "size": first.size,
        "own_size": first.own_size,
        "trust": first.trust,
        "verified_at": moment(first.verified_at),
        "condition": first.condition,
        "flags": flags(rows),
        "platform": first.platform or None,
        "scope": first.key.scope or scope or None,
        "reason": first.reason or None,
        "what": first.what,
        "in_index": None if first.under is None else first.under.id,
        "last_used": moment(first.last_used),
    }


def flags(rows: Sequence[Row]) -> list[str]:
    """The flags of an image: those of any of its names; ``digest only`` where it has no other name."""
    found: set[Flag] = set().union(*(row.flags for row in rows))
    if not all(Flag.DIGEST_ONLY in row.flags for row in rows):
        found.discard(Flag.DIGEST_ONLY)
    return sorted(found)


def detail(found: Detail, *, reveal: bool) -> Object:
    """The members that ``show`` adds to the object of an image; secrets masked unless `reveal`."""
    return {
        "config_path": found.config_path,
        "config": format.masked_config(found.config, reveal=reveal),
        "problems": list(found.problems),
        "parent": found.parent,
        "parent_known": found.parent_known,
        "children": list(found.children),
        "metadata": [{"name": one.name, "text": one.text, "path": one.path} for one in found.metadata],
        "containers": [
            {"id": one.id, "name": one.name, "running": one.running, "path": one.path} for one in found.containers
        ],
        "layers": [
            {
                "diff_id": one.diff_id,
                "chain_id": one.chain_id,
                "size": one.size,
                "shared_with": list(one.shared_with),
                "data_path": one.data_path,
                "digest": one.digest or None,
                "media_type": one.media_type or None,
                "problem": one.problem or None,
                "verified_at": moment(one.verified_at),
            }
            for one in found.layers
        ],
        "history": [
            {
                "created": moment(one.created),
                "created_by": one.created_by if reveal else format.masked_command(one.created_by),
                "comment": one.comment or None,
                "author": one.author or None,
                "empty": one.empty,
                "layer": one.layer,
            }
            for one in found.history
        ],
        "documents": [
            {"title": one.title, "path": one.path, "media_type": one.media_type or None} for one in found.documents
        ],
        "sections": [
            {"title": section.title, "facts": [fact_object(fact, reveal=reveal) for fact in section.facts]}
            for section in found.sections
        ],
    }


def fact_object(fact: Fact, *, reveal: bool) -> Object:
    """One line of a section; its value masked where its name looks secret, unless `reveal`."""
    return {
        "name": fact.name if reveal else format.masked_fact("", fact.name),
        "value": fact.value if reveal else format.masked_fact(fact.name, fact.value),
        "remark": fact.remark or None,
        "problem": fact.problem,
        "leads_to": None if fact.leads_to is None else fact.leads_to.id,
    }


def mapping(found: DigestMapping, scope: str) -> Object:
    """A V2 digest mapping; `scope` is the storage driver."""
    return {
        "type": "mapping",
        "diff_id": found.diff_id,
        "digest": found.digest or None,
        "source": found.source or None,
        "images": list(found.images),
        "authenticated": found.authenticated,
        "stale": found.stale,
        "reason": found.reason or None,
        "path": found.path,
        "scope": scope or None,
    }


def remote(found: Remote, scope: str) -> Object:
    """A remote record; `scope` is the storage driver."""
    return {
        "type": "remote",
        "kind": found.kind,
        "url": found.url,
        "reference": found.reference,
        "signature_url": found.signature_url,
        "etag": found.etag,
        "max_age": found.max_age,
        "downloaded": moment(found.downloaded),
        "expires": moment(found.expires),
        "image": found.image,
        "image_known": found.image_known,
        "fresh": found.fresh,
        "trouble": found.trouble or None,
        "path": found.path or None,
        "scope": scope or None,
    }


def upload(found: Upload) -> Object:
    """An upload in progress."""
    return {
        "type": "upload",
        "repository": found.repository,
        "id": found.id,
        "started": moment(found.started),
        "changed": moment(found.changed),
        "bytes": found.bytes,
        "problem": found.problem or None,
        "path": found.path,
    }


def finding(found: Finding, scope: str) -> Object:
    """A finding of a check; `scope` is the storage driver, or empty."""
    return {
        "type": "finding",
        "rule": found.rule,
        "title": found.title,
        "severity": found.severity,
        "path": found.path,
        "images": list(found.images),
        "names": list(found.names),
        "containers": list(found.containers),
        "bytes": found.bytes,
        "engine_says": found.engine_says or None,
        "repair": found.repair,
        "detail": found.detail,
        "scope": scope or None,
    }


def saved(found: Saved, file: str) -> Object:
    """What was written of an image, and to which file."""
    return {
        "type": "saved",
        "form": found.form,
        "id": found.id,
        "names": list(found.names),
        "bytes": found.bytes,
        "remarks": list(found.remarks),
        "file": file,
    }


def rule(found: Rule) -> Object:
    """What ``explain`` knows of a rule."""
    return {
        "type": "rule",
        "rule": found.id,
        "title": found.title,
        "severity": found.severity,
        "repair": found.repair,
        "meaning": found.meaning,
        "causes": found.causes,
        "engine": found.engine,
        "do": found.do,
    }


def why(found: Why, scope: str) -> Object:
    """What a thing is, and the chains of references that keep it."""
    return {
        "type": "why",
        "subject": found.subject,
        "is_a": list(found.is_a),
        "kept_by": [[{"what": link.what, "path": link.path} for link in chain] for chain in found.kept_by],
        "judged": found.judged,
        "related": dict(found.related),
        "remark": found.remark or None,
        "scope": scope or None,
    }


def space(found: Space, identity: StoreId) -> Object:
    """The bytes of a store as a whole, and of each use."""
    return {
        "type": "space",
        "path": identity.path,
        "disk": found.disk,
        "parts": sum(part.bytes for part in found.parts),
        "uses": {use.replace(" ", "_"): found.of(use) for use in Use},
        "waste": found.waste,
        "free": found.free,
        "capacity": found.capacity,
        "differences": list(found.differences),
        "unreadable": list(found.unreadable),
        "scope": identity.scope or None,
    }


def part(found: Part, above: Part | None, scope: str) -> Object:
    """Bytes of one place or kind of thing; `above` is what it is a part of."""
    return {
        "type": "part",
        "title": found.title,
        "use": found.use.replace(" ", "_"),
        "bytes": found.bytes,
        "path": found.path or None,
        "remark": found.remark or None,
        "images": list(dict.fromkeys(key.id for key in found.images)),
        "part_of": None if above is None else above.title,
        "scope": scope or None,
    }


def image_space(found: ImageSpace, scope: str) -> Object:
    """What one image takes on disk, and what of it would be free without it."""
    return {
        "type": "image_space",
        "id": found.key.id,
        "names": list(found.names),
        "bytes": found.bytes,
        "own_bytes": found.own,
        "scope": found.key.scope or scope or None,
    }
