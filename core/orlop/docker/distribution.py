"""What was pushed and pulled where: V2 metadata by diff id, and diff ids by blob digest.

moby: distribution/metadata/v2_metadata_service.go. Only a cache: every file may go.
"""

from collections.abc import Iterable

from orlop import jsonrules
from orlop.docker.model import V2Entry, V2List, V2Reverse
from orlop.errors import Malformed, NoPermission, NotFound, OrlopError
from orlop.fs import Folder, join


def v2_list(folder: Folder, name: str, kind: str) -> V2List:
    """Read one list; one that the engine would take for empty has a problem.

    Raises:
        NotFound: it went away.
        NoPermission: this user may not read it.
    """
    path = join(folder.path, name)
    diff_id = "sha256:" + name
    try:
        found = entries(folder.read(name))
    except (NotFound, NoPermission):
        raise
    except OrlopError as error:
        return V2List(diff_id=diff_id, path=path, entries=(), problem=error.why or error.what)
    return V2List(diff_id=diff_id, path=path, entries=found, problem="")


def v2_reverse(folder: Folder, name: str, kind: str) -> V2Reverse:
    """Read one blob digest's diff id.

    Raises:
        NotFound: it went away.
        NoPermission: this user may not read it.
    """
    path = join(folder.path, name)
    digest = "sha256:" + name
    try:
        text = folder.read(name, 4096).decode("utf-8", "surrogateescape")
    except (NotFound, NoPermission):
        raise
    except OrlopError as error:
        return V2Reverse(digest=digest, path=path, diff_id=None, problem=error.why or error.what)
    return V2Reverse(digest=digest, path=path, diff_id=text, problem="" if text else "the file is empty")


def entries(raw: bytes) -> tuple[V2Entry, ...]:
    """The entries of a list's bytes, oldest first.

    Raises:
        Malformed: the engine could not read it.
    """
    value = jsonrules.loads(raw)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise Malformed("not a list")
    return tuple(_entry(item, f"[{index}]") for index, item in enumerate(value))


def _entry(value: object, at: str) -> V2Entry:
    if value is None:
        return V2Entry(digest="", source="", hmac=None)
    if not isinstance(value, dict):
        raise Malformed("not an object", field=at)
    digest = jsonrules.text(value, "Digest")
    source = jsonrules.text(value, "SourceRepository")
    hmac = jsonrules.member(value, "HMAC")
    if hmac is not None and not isinstance(hmac, str):
        raise Malformed("not a text", field=f"{at}.HMAC")
    return V2Entry(digest=digest or "", source=source or "", hmac=hmac)


def without(found: Iterable[V2Entry], entry: V2Entry) -> tuple[V2Entry, ...]:
    """The entries that are not equal to one; an ``HMAC`` that is not written counts as an empty one."""
    wanted = (entry.digest, entry.source, entry.hmac or "")
    return tuple(other for other in found if (other.digest, other.source, other.hmac or "") != wanted)


def spelled(left: Iterable[V2Entry]) -> bytes | None:
    """The bytes of a list with these entries; None where the list goes, for there is none without entries.

    As Go's Marshal writes it: members in the struct's order, ``HMAC`` only where it was.
    """
    members = [_members(entry) for entry in left]
    return jsonrules.dumps(members) if members else None


def _members(entry: V2Entry) -> jsonrules.Fields:
    members = jsonrules.Fields({"Digest": entry.digest, "SourceRepository": entry.source})
    if entry.hmac is not None:
        members["HMAC"] = entry.hmac
    return members
