"""repositories.json: which names an engine has for which image.

moby: reference/store.go. The engine reads the first JSON value of the file into
``{"Repositories": {repository: {reference: image id}}}`` and refuses to start
where that fails; what follows the first value is ignored and lost at its next write.
"""

from orlop import jsonrules, reference
from orlop.digest import Digest, is_digest
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
_STARTS = "Couldn't create reference store repository: "


def read_tag_file(root: Root, driver: str) -> TagFile:
    """Read the names; a file that the engine cannot read has state ``bad``."""
    path = layout.tag_file(driver)
    try:
        raw = root.read(path, TAG_FILE_LIMIT)
    except NotFound:
        return _without("absent")
    except NoPermission as error:  # of this user: the engine says nothing
        return _without("bad", why=error.why)
    except OrlopError as error:
        return _without("bad", why=f"{error.what}: {error.why}" if error.why else error.what, says=_STARTS + error.why)
    digest = Digest.of(raw)
    try:
        repositories = _repositories(jsonrules.loads(raw, stream=True))
    except Malformed as error:
        return TagFile(
            state="bad",
            raw=raw,
            digest=digest,
            references={},
            repositories={},
            why=error.why,
            engine_says=_STARTS + (error.engine or error.why),
        )
    references: dict[str, Reference] = {}
    for repository, entries in repositories.items():
        for text, image in entries.items():
            problem = _problem(text, repository, image)
            entry = Reference(text=text, repository=repository, image=image, problem=problem)
            references[text] = entry if text not in references else _listed_twice(references[text], entry)
    return TagFile(
        state="good",
        raw=raw,
        digest=digest,
        references=references,
        repositories={repository: tuple(entries) for repository, entries in repositories.items()},
    )


def check_tag_file(raw: bytes) -> None:
    """Make sure that the engine could read a file's bytes.

    Raises:
        Malformed: it could not, and would not start; `engine` has its words.
    """
    _repositories(jsonrules.loads(raw, stream=True))


def _listed_twice(first: Reference, second: Reference) -> Reference:
    """One name under two repositories: the entry that the engine looks up, with a word on the other."""
    found, other = (second, first) if first.problem and not second.problem else (first, second)
    problem = f"it is listed under another repository too, {other.repository}, and leads to {other.image} there"
    return Reference(text=found.text, repository=found.repository, image=found.image, problem=problem)


def _without(state: str, why: str = "", says: str = "") -> TagFile:
    return TagFile(state=state, raw=None, digest=None, references={}, repositories={}, why=why, engine_says=says)


def _repositories(value: object) -> dict[str, dict[str, str]]:
    if value is None:
        raise Malformed("the file holds null", engine="panic: runtime error: invalid memory address or nil pointer")
    _STORE.conform(value)
    found = jsonrules.member(value, "Repositories")
    repositories = found if isinstance(found, dict) else {}
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
