"""What is at a path of a registry's storage that is no tag, manifest, blob or upload by itself."""

from dataclasses import replace

from orlop import asked, times
from orlop.errors import NotFound, OrlopError, WrongKind
from orlop.fs import Root, join
from orlop.records import Link, Why
from orlop.registry import layout, place
from orlop.registry.layout import MODERN
from orlop.registry.marking import mark
from orlop.registry.model import Model, Repository, State

_SHORTEST = 2
"""Characters of a folder's name that may stand for all of it."""


def whole(root: Root, path: str) -> str:
    """A path whose last name may be cut short, with that name whole where only one begins so."""
    folder, _, start = path.rpartition("/")
    if len(start) < _SHORTEST or not folder or _is_there(root, path):
        return path
    try:
        found = [name for name in root.names(folder) if name.startswith(start)]
    except (NotFound, WrongKind):
        return path
    return join(folder, found[0]) if len(found) == 1 else path


def stray(model: Model, path: str) -> Why | None:
    """What is at a path that is no part of the layout; None for any other."""
    for found in model.foreign:
        if f"{path}/".startswith(f"{found.path}/"):
            left = found.where == "temporary"
            remark = "a write that was cut off left it" if left else f"it is no part of {found.where}"
            kind = f"temporary {found.kind}" if left else f"foreign {found.kind}"
            related = {"bytes": str(found.bytes), "changed": times.rfc3339(found.mtime)}
            return asked.place(path, kind, remark, related)
    return None


def at(root: Root, model: Model, path: str) -> Why | None:
    """What is at a path that leads to nothing of its own; None where nothing is there.

    Raises:
        NoPermission, StorageFailure: the place cannot be looked at.
    """
    if path == layout.SCHEDULER:
        return _scheduler(model, path)
    if not _is_there(root, path):
        return None
    blobs, repositories = place.blobs(model.base), place.repositories(model.base)
    if path in model.empty_shards:
        return asked.place(path, "empty folder of blobs", "its blobs were deleted")
    if f"{path}/".startswith(f"{blobs}/"):
        return asked.place(path, "folder of blobs")
    if f"{path}/".startswith(f"{repositories}/"):
        within = [name for name in model.repositories if f"{repositories}/{name}/".startswith(f"{path}/")]
        related = {"repositories below it": ", ".join(within[:5]) + (", …" if len(within) > 5 else "")}
        return asked.place(path, "folder of repositories", related=related if within else None)
    if not path or f"{model.base}/".startswith(f"{path}/"):
        return asked.place(path, "the registry's storage")
    return asked.place(path, "no part of the registry", "it lies beside it")


def _is_there(root: Root, path: str) -> bool:
    try:
        return root.exists(path)
    except OrlopError:
        return True  # it cannot be looked at: then its name must do


def _scheduler(model: Model, path: str) -> Why | None:
    if model.cache is None:
        return None
    link = (Link(what="the pull-through cache, which expires by it", path=path),)
    related = {"entries": str(len(model.cache.entries))}
    remark = "" if model.cache.state is State.GOOD else f"it is {model.cache.state}: {model.cache.why}"
    is_a = ("the record of what a cache keeps until when",)
    return Why(subject=path, is_a=is_a, kept_by=(link,), related=related, remark=remark)


def as_link(answer: Why, repository: Repository, rest: list[str]) -> Why:
    """An answer on a digest, for the file or folder of a repository that means it."""
    match rest:
        case [MODERN.layers, *_]:
            what = f"link by which {repository.name} serves a blob"
        case [MODERN.manifests, layout.TAGS, tag, *_]:
            what = f"what tag {repository.name}:{tag} means or once meant"
        case [MODERN.manifests, layout.REVISIONS, _, _, layout.SIGNATURES, *_]:
            what = f"signatures of a manifest of {repository.name}"
        case _:
            what = f"link by which {repository.name} knows a manifest"
    return replace(answer, is_a=(what, *answer.is_a))


CANNOT_TELL = "cannot tell whether anything needs it"
_STAYS = "it stays"


def is_certain(remark: str) -> bool:
    """Whether `unkept` says that nothing keeps it."""
    return not remark.startswith((CANNOT_TELL, _STAYS))


def unkept(model: Model, digest: str) -> str:
    """What it means that no chain of references keeps a digest, one clause."""
    if digest not in model.blobs:
        return "there is no blob of it"
    marks = mark(model)
    because = marks.blobs.get(digest)
    if because:
        return f"{_STAYS}: {because}"
    if marks.blocked:
        return f"{CANNOT_TELL}: {marks.blocked}"
    for part in model.unreadable:
        return f"{CANNOT_TELL}: {part.path} cannot be read ({part.why})"
    return "nothing keeps it: `orlop clean` would remove it"
