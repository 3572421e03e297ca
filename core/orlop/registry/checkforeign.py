"""RG18: what is no part of the layout, and where it stops the registry's garbage collection.

Tried with 2.8.2: the walk below ``blobs`` parses the folders of every file named ``data``
(registry/storage/blobstore.go, ``Enumerate`` and ``digestFromPath``), the one below ``revisions``
reads every file named ``link``, and whatever is in ``tags`` is taken for a tag.
"""

import re
from collections.abc import Iterator

from orlop.errors import OrlopError
from orlop.finding import Repair, Severity
from orlop.fs import Root
from orlop.registry.checkfinding import (
    GRACE,
    STOPPED_AT_BLOB,
    STOPPED_AT_MANIFEST,
    STOPPED_AT_REPOSITORY,
    Findings,
    Found,
    complaint,
    spelled,
)
from orlop.registry.layout import CURRENT, DATA, LINK, MODERN, NAME_LIMIT, SCHEDULER, TAGS, is_name, is_tag
from orlop.registry.linkfolders import meaning
from orlop.registry.model import Foreign, Model, Repository, State, Tag

_MOST = 4096
"""Names that are looked at in one foreign folder."""
_READ = 1024
_PATH = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
"""One part of a path that the registry's driver takes (registry/storage/driver/storagedriver.go, ``PathRegexp``)."""


def foreign(root: Root, model: Model, findings: Findings) -> Iterator[Found]:
    """RG18, one for each thing that is no part of the layout."""
    for entry in model.foreign:
        yield _entry(root, model, findings, entry)
    for repository in model.repositories.values():
        if not is_name(repository.name):
            yield _repository(findings, repository)
        for tag in repository.tags.values():
            if not tag.problem and not is_tag(tag.name):
                yield _tag(findings, repository, tag)


def _entry(root: Root, model: Model, findings: Findings, entry: Foreign) -> Found:
    detail = f"a {entry.kind} that is no part of the layout"
    says = _stops(root, model, entry)
    if says:
        detail += f"; {says[0]}"
        return findings.make("RG18", entry.path, detail, says=says[1], severity=Severity.BLOCKS, size=entry.bytes)
    if entry.where == "temporary":
        young = model.seen_at - entry.mtime < GRACE
        return findings.make(
            "RG18",
            entry.path,
            "what a write that was cut off left" if not young else "what a write left that was cut off or goes on",
            severity=Severity.INFORMATION if young else Severity.SPACE,
            repair=Repair.REMOVE,
            title="leftover",
            size=entry.bytes,
        )
    return findings.make("RG18", entry.path, detail, size=entry.bytes)


def _stops(root: Root, model: Model, entry: Foreign) -> tuple[str, str] | None:
    """Why the registry stumbles over an entry, and what it says; None where it does not."""
    if entry.where == "blobs":
        return _blob(root, entry)
    if entry.where == "revisions":
        return _revision(root, entry)
    if entry.where == "tags" and entry.path.rpartition("/")[0].endswith(f"/{MODERN.manifests}/{TAGS}"):
        if entry.kind in ("folder", "link"):
            return None  # it is followed, and gives a tag that means something or nothing
        why = f"filesystem: open {spelled(entry.path)}/{CURRENT}/{LINK}: not a directory"
        return (
            "it is listed as a tag, and stops deletions and `garbage-collect --delete-untagged`",
            f"{STOPPED_AT_MANIFEST}failed to retrieve tags for digest …: {why}",
        )
    return None


def _blob(root: Root, entry: Foreign) -> tuple[str, str] | None:
    for path in _files(root, entry, DATA):
        parts = path.split("/")
        hexadecimal, above = parts[-2], parts[-3] if len(parts) > 2 else ""
        if len(hexadecimal) < 2:
            says = "panic: runtime error: slice bounds out of range"
        else:
            algorithm = parts[-4] if above == hexadecimal[:2] and len(parts) > 3 else above
            content = f"{algorithm}:{hexadecimal}".encode("utf-8", "surrogateescape")
            if meaning(content)[1] is not None:
                continue  # taken for a blob of that digest, which it is not by place
            says = f"{STOPPED_AT_BLOB}{complaint(content)}"
        return f"garbage collection stops at {path.rpartition('/')[2]}, whose folders spell no digest", says
    return None


def _revision(root: Root, entry: Foreign) -> tuple[str, str] | None:
    for path in _files(root, entry, LINK):
        try:
            content = root.read(path, _READ)
        except OrlopError:
            continue  # gone, or nothing that can be read: the registry does not get further either
        if meaning(content)[1] is None:
            return "garbage collection stops at its link", f"{STOPPED_AT_MANIFEST}{complaint(content)}"
    return None


def _files(root: Root, entry: Foreign, name: str) -> Iterator[str]:
    """Files of a name in a foreign folder at any depth, or the entry itself; folders are looked at up to a limit."""
    if entry.kind == "file":
        if entry.path.rpartition("/")[2] == name:
            yield entry.path
        return
    if entry.kind != "folder":
        return
    waiting = [entry.path]
    looked = 0
    while waiting and looked < _MOST:
        here = waiting.pop()
        try:
            kinds = root.kinds(here)
        except OrlopError:
            continue  # what cannot be listed is in the model's notes
        looked += len(kinds)
        for found, kind in kinds:
            if kind == "file" and found == name:
                yield f"{here}/{found}"
            elif kind == "folder":
                waiting.append(f"{here}/{found}")


def _repository(findings: Findings, repository: Repository) -> Found:
    stops = repository.has_layers or repository.has_manifests
    why = "invalid reference format"
    if len(repository.name) > NAME_LIMIT:
        why = f"repository name must not be more than {NAME_LIMIT} characters"
    says = f"{STOPPED_AT_REPOSITORY}failed to parse repo name {repository.name}: {why}"
    at = [(repository.name, digest) for digest in repository.revisions]
    return findings.make(
        "RG18",
        repository.path,
        f"a repository whose name no reference can have: {repository.name}",
        at=at,
        says=says if stops else "",
        severity=Severity.BLOCKS if stops else None,
        title="foreign-repository",
    )


def _tag(findings: Findings, repository: Repository, tag: Tag) -> Found:
    stops = _PATH.fullmatch(tag.name) is None
    says = f"filesystem: invalid path: /{tag.path}/{CURRENT}/{LINK}"
    return findings.make(
        "RG18",
        tag.path,
        f"a tag whose name no client can ask for: {repository.name}:{tag.name}",
        names=[f"{repository.name}:{tag.name}"],
        says=f"{STOPPED_AT_MANIFEST}failed to retrieve tags for digest …: {says}" if stops else "",
        severity=Severity.BLOCKS if stops and repository.revisions else None,
        title="foreign-tag",
    )


def schedule(model: Model, findings: Findings) -> Iterator[Found]:
    """RG21: the cache's own record."""
    cache = model.cache
    if cache is None or cache.state is State.GOOD or cache.state is State.MISSING:
        return
    yield findings.make(
        "RG21", SCHEDULER, f"what expires in this cache cannot be read: {cache.why}", says=_panic(cache.state)
    )


def _panic(state: State) -> str:
    return "panic: unexpected end of JSON input" if state is State.EMPTY else ""
