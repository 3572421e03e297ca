"""repositories.json: which names an engine has for which image.

moby: reference/store.go. The engine reads the first JSON value of the file into
``{"Repositories": {repository: {reference: image id}}}`` and refuses to start
where that fails; what follows the first value is ignored and lost at its next write.
"""

import re
from collections.abc import Callable, Iterator, Mapping

from orlop import jsonrules, reference
from orlop.digest import is_digest
from orlop.docker import layout
from orlop.docker.model import Reference, TagFile
from orlop.errors import Malformed, NoPermission, NotFound, OrlopError
from orlop.fs import Root
from orlop.jsonrules.shapes import Map, Struct, Text

TAG_FILE_LIMIT = 256 * 1024 * 1024
"""Bytes; a hundred thousand images with names make about 30 MB."""

_STORE = Struct(
    "reference.store",
    {"Repositories": Map(Map(Text("digest.Digest"), "reference.repository"), "map[string]reference.repository")},
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
_USUAL = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*(?:/[a-z0-9]+(?:[._-][a-z0-9]+)*)*", re.ASCII)
_LEFT_OUT = ("docker.io", "index.docker.io", "library")
"""What short spellings begin without."""
_STARTS = "Couldn't create reference store repository: "


def read_tag_file(
    root: Root,
    driver: str,
    previous: TagFile | None = None,
    early: Callable[[Mapping[str, Mapping[str, str]]], None] | None = None,
) -> TagFile:
    """Read the names; a file that the engine cannot read has state ``bad``.

    Args:
        root: the store.
        driver: the storage driver.
        previous: what the file held before: of one that is spelled as engines do, only what differs is read.
        early: given repositories, names and image ids as soon as they are known, before each name is looked at.
    """
    path = layout.tag_file(driver)
    try:
        raw = root.read(path, TAG_FILE_LIMIT)
    except NotFound:
        return _without("absent")
    except NoPermission as error:  # of this user: the engine says nothing
        return _without("bad", why=error.why)
    except OrlopError as error:
        return _without("bad", why=f"{error.what}: {error.why}" if error.why else error.what, says=_STARTS + error.why)
    if previous is not None and previous.raw is not None:
        if raw == previous.raw:
            return previous
        if previous.compact and (again := _read_again(raw, previous)) is not None:
            return again
    try:
        repositories = _repositories(jsonrules.loads(raw, stream=True))
    except Malformed as error:
        return TagFile(
            state="bad",
            raw=raw,
            references={},
            repositories={},
            why=error.why,
            engine_says=_STARTS + (error.engine or error.why),
        )
    if early is not None:
        early(repositories)
    references: dict[str, Reference] = {}
    before = previous.references if previous is not None else {}
    for entry in _references(repositories):
        first = references.get(entry.text)
        if first is not None:
            entry = _listed_twice(first, entry)
        known = before.get(entry.text)
        references[entry.text] = known if known == entry and known is not None else entry
    return TagFile(
        state="good",
        raw=raw,
        references=references,
        repositories={repository: tuple(entries) for repository, entries in repositories.items()},
        compact=_is_compact(raw, _HEAD, repositories, _TAIL)
        and len(references) == sum(len(entries) for entries in repositories.values()),
    )


def check_tag_file(raw: bytes) -> None:
    """Make sure that the engine could read a file's bytes.

    Raises:
        Malformed: it could not, and would not start; `engine` has its words.
    """
    _repositories(jsonrules.loads(raw, stream=True))


def _references(repositories: Mapping[str, Mapping[str, str]]) -> Iterator[Reference]:
    for repository, entries in repositories.items():
        before = len(repository) + 1
        usual = _is_usual(repository)
        for text, image in entries.items():
            problem = ""
            if not (
                usual
                and is_digest(image)
                and text.startswith(repository)
                and text[before - 1 : before] == ":"
                and _TAG.fullmatch(text, before) is not None
            ):
                problem = _problem(text, repository, image)
            yield Reference(text=text, repository=repository, image=image, problem=problem)


def _is_usual(repository: str) -> bool:
    """Whether a repository with a colon and a tag behind it surely is a name without fault."""
    return (
        len(repository) <= reference.NAME_LIMIT
        and len(repository) != 64  # of hex digits it would be no name
        and _USUAL.fullmatch(repository) is not None
        and repository.partition("/")[0] not in _LEFT_OUT
    )


def _listed_twice(first: Reference, second: Reference) -> Reference:
    """One name under two repositories: the entry that the engine looks up, with a word on the other."""
    found, other = (second, first) if first.problem and not second.problem else (first, second)
    problem = f"it is listed under another repository too, {other.repository}, and leads to {other.image} there"
    return Reference(text=found.text, repository=found.repository, image=found.image, problem=problem)


def _without(state: str, why: str = "", says: str = "") -> TagFile:
    return TagFile(state=state, raw=None, references={}, repositories={}, why=why, engine_says=says)


def _repositories(value: object) -> dict[str, dict[str, str]]:
    if value is None:
        raise Malformed("the file holds null", engine="panic: runtime error: invalid memory address or nil pointer")
    _STORE.conform(value)
    found = jsonrules.member(value, "Repositories")
    repositories = found if isinstance(found, dict) else {}
    if all(type(entries) is dict and None not in entries.values() for entries in repositories.values()):
        return repositories
    return {
        repository: {text: image if isinstance(image, str) else "" for text, image in entries.items()}
        if isinstance(entries, dict)
        else {}
        for repository, entries in repositories.items()
    }


def _problem(text: str, repository: str, image: str) -> str:
    if not is_digest(image):
        return "its image id is no digest"
    try:
        parsed = reference.parse(text)
    except Malformed as error:
        return f"the name does not parse: {error.why}"
    if parsed.tag is None and parsed.digest is None:
        return "the name has neither tag nor digest"
    if parsed.familiar != text:
        return f"the name is not in its short spelling, {parsed.familiar}"
    if parsed.repository != repository:
        return f"it is listed under another repository, {repository}"
    return ""


# --- a file that was read before ---------------------------------------------
#
# An engine writes the whole file for every name. Two versions of it share all but a few
# bytes, and between braces nothing depends on what stands elsewhere: the repositories that
# differ are read by themselves, and what is then known of the whole is what reading all of
# it would give.

_HEAD = b'{"Repositories":{'
_TAIL = b"}}"
_CHUNK = 1 << 16


def _is_compact(raw: bytes, head: bytes, repositories: Mapping[str, Mapping[str, str]], tail: bytes) -> bool:
    """Whether bytes that read as these repositories spell them so that no other bytes as long could.

    Without an escape every text is as long as its spelling; a blank, a name that is given twice, or a
    member of another name would make the whole longer.
    """
    if not (raw.startswith(head) and raw.endswith(tail) and raw.isascii() and b"\\" not in raw):
        return False
    braces = len(repositories) + head.count(b"{")
    if raw.count(b"{") != braces or raw.count(b"}") != len(repositories) + tail.count(b"}"):
        return False
    length = len(head) + len(tail) + max(0, len(repositories) - 1)
    for repository, entries in repositories.items():
        length += len(repository) + 5 + max(0, len(entries) - 1)
        length += 5 * len(entries) + sum(map(len, entries)) + sum(map(len, entries.values()))
    return length == len(raw)


def _read_again(raw: bytes, previous: TagFile) -> TagFile | None:
    """The file as `read_tag_file` gives it, from what differs; None where that alone does not tell."""
    old = previous.raw or b""
    same = _common_start(raw, old)
    same_end = _common_end(raw, old, min(len(raw), len(old)) - same)
    if same < len(_HEAD) or same_end < len(_TAIL):
        return None
    # Whole repositories: from behind the brace that ends the last equal one to the brace that ends the last other one.
    start = max(old.rfind(b"}", 0, same) + 1, len(_HEAD))
    rest = len(old) - old.find(b"}", len(old) - same_end) - 1
    rest = max(rest, len(_TAIL))
    before = _piece(old, start, rest)
    after = _piece(raw, start, rest)
    if before is None or after is None:
        return None
    references = dict(previous.references)
    repositories = dict(previous.repositories)
    changed: set[str] = set()
    for repository in before:
        for text in repositories.pop(repository):
            changed.add(text)
            del references[text]
    if not repositories.keys().isdisjoint(after):
        return None
    for entry in _references(after):
        if entry.text in references:
            return None
        changed.add(entry.text)
        known = previous.references.get(entry.text)
        if known is not None and known == entry:
            changed.discard(entry.text)
            entry = known
        references[entry.text] = entry
    repositories.update((repository, tuple(entries)) for repository, entries in after.items())
    return TagFile(
        state="good",
        raw=raw,
        references=references,
        repositories=repositories,
        compact=True,
        changed=frozenset(changed),
    )


def _piece(raw: bytes, start: int, rest: int) -> dict[str, dict[str, str]] | None:
    """The repositories between the first bytes of a compact file and its last; None where they do not join both."""
    piece = raw[start : len(raw) - rest]
    if start > len(_HEAD):  # behind another repository
        if piece[:1] not in (b"", b",") or piece == b",":
            return None
        piece = piece[1:]
    elif not piece and rest > len(_TAIL):
        return None
    whole = b"{" + piece + b"}"
    try:
        repositories = _repositories({"Repositories": jsonrules.loads(whole)})
    except Malformed:
        return None
    return repositories if _is_compact(whole, b"{", repositories, b"}") else None


def _common_start(one: bytes, other: bytes) -> int:
    """How many bytes are equal from the start."""
    most = min(len(one), len(other))
    at = 0
    while at < most and one[at : at + _CHUNK] == other[at : at + _CHUNK]:
        at += _CHUNK
    end = min(at + _CHUNK, most)
    while at < end:
        middle = (at + end + 1) // 2
        if one[at:middle] == other[at:middle]:
            at = middle
        else:
            end = middle - 1
    return min(at, most)


def _common_end(one: bytes, other: bytes, most: int) -> int:
    """How many bytes, `most` at most, are equal from the end."""
    count = 0
    while count < most:
        step = min(_CHUNK, most - count)
        if _ending(one, count, step) != _ending(other, count, step):
            break
        count += step
    end = min(count + _CHUNK, most)
    while count < end:
        middle = (count + end + 1) // 2
        if _ending(one, count, middle - count) == _ending(other, count, middle - count):
            count = middle
        else:
            end = middle - 1
    return count


def _ending(data: bytes, skipped: int, length: int) -> bytes:
    end = len(data) - skipped
    return data[end - length : end]
