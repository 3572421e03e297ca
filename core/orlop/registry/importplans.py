"""The plan that takes in what waits: blobs, then links, then manifests, then the name."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from orlop import incoming
from orlop.digest import Digest
from orlop.errors import Changed, Malformed, NotFound
from orlop.fs import Root
from orlop.intent import Import
from orlop.plan import Place, Plan, Refusal
from orlop.records import StoreId
from orlop.registry import place
from orlop.registry.importing import KIND, file_of
from orlop.registry.linking import Mount
from orlop.registry.model import Blob, Model, State
from orlop.registry.naming import in_the_way, put_tag, split_name
from orlop.registry.planning import FOLDER_MODE, Steps, content_digest, short


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What `orlop.registry.importing` noted."""

    manifests: tuple[tuple[str, tuple[str, ...]], ...]
    """Digest and needs of each, the one that gets the name last."""
    blobs: tuple[tuple[str, int], ...]
    """Digest and bytes of each."""


def plan_import(root: Root, model: Model, identity: StoreId, intent: Import) -> Plan | Refusal:
    """Take in an image that waits; a name that exists moves.

    A blob that the store has is kept where its bytes are true, and replaced where they are not.

    Raises:
        NotFound: nothing waits under that name, or not all of it.
        Malformed: the name does not parse, or what waits is for another kind of store.
        Changed: a blob that the store had when the archive was read is gone.
    """
    repository, tag = split_name(intent.name)
    waiting = _read(root, intent.staged)
    top = waiting.manifests[-1][0]
    name = f"{repository}:{tag}"
    action = f"import {short(top)} as {name}"
    steps = Steps(root, model)
    steps.obstacles += in_the_way(model, repository, tag)
    added = sum(_put_blob(steps, intent.staged, digest, size) for digest, size in waiting.blobs)
    mount = Mount(steps, repository)
    because = f"{name} needs it"
    for _, needs in waiting.manifests:
        for digest in needs:
            mount.layer(digest, because)
    for digest, _ in waiting.manifests:
        mount.revision(digest, "the image" if digest == top else f"a part of {top}")
        steps.images.add(digest)
    put_tag(steps, repository, tag, top)
    if steps.obstacles:
        return Refusal(
            action=action, reasons=tuple(steps.obstacles), do="`orlop check PATH` names what to repair first"
        )
    return steps.plan(identity, intent, action, added=added)


def _put_blob(steps: Steps, staged: str, digest: str, size: int) -> int:
    """Give a blob its place, unless the store has it already; the bytes that are added."""
    source = incoming.path_of(staged, file_of(digest))
    there = steps.model.blobs.get(digest)
    if not steps.root.exists(source):
        if there is None or there.state is not State.GOOD or there.size != size:
            raise Changed(
                "a blob that the store had when the archive was read is gone",
                path=place.blob_data(steps.model.base, digest),
                do="import the archive again",
            )
        return 0
    path = place.blob_data(steps.model.base, digest)
    old = _old(steps, path, there)
    new = _sha256(steps.root, source, digest)
    if old == new or steps.obstacles:
        return 0
    steps.put(Place(path=path, old=old, source=source, digest=new, size=size, folders=FOLDER_MODE))
    because = f"{size} bytes" if old is None else f"{size} bytes, in place of bytes that are something else"
    steps.say("add", f"blob {digest}", because)
    return size


def _old(steps: Steps, path: str, there: Blob | None) -> str | None:
    """The digest of what is in a blob's place; None for nothing, or for what moves away."""
    if there is None or there.state is State.MISSING:
        if steps.model.unseen(path):
            steps.obstacles.append(f"{path} cannot be seen")
        return None
    if there.state is State.UNREADABLE:
        steps.obstacles.append(f"{path} cannot be read: {there.why}")
        return None
    if there.state is State.WRONG_KIND:
        steps.move(path)
        steps.say("repair", path, "moved aside, it is no file")
        return None
    return content_digest(steps.root, path)


def _sha256(root: Root, source: str, digest: str) -> str:
    return digest if digest.startswith("sha256:") else content_digest(root, source)


# --- what waits -----------------------------------------------------------------


def _read(root: Root, staged: str) -> Waiting:
    try:
        note = incoming.noted(root, staged)
    except NotFound as error:
        raise NotFound("no image waits to be taken in", path=error.path, do="import the archive again") from error
    if note.get("kind") != KIND:
        raise Malformed("what waits there is for another kind of store", path=incoming.path_of(staged))
    manifests = tuple(
        (_digest(item.get("digest")), tuple(_digest(need) for need in _list(item.get("needs"))))
        for item in _objects(note.get("manifests"))
    )
    blobs = tuple((_digest(item.get("digest")), _size(item.get("size"))) for item in _objects(note.get("blobs")))
    if not manifests:
        raise Malformed("no manifest waits there", path=incoming.path_of(staged))
    return Waiting(manifests=manifests, blobs=blobs)


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def _objects(value: object) -> Iterator[Mapping[str, object]]:
    return (item for item in _list(value) if isinstance(item, dict))


def _digest(value: object) -> str:
    return str(Digest.parse_any(value if isinstance(value, str) else ""))


def _size(value: object) -> int:
    if type(value) is not int or value < 0:
        raise Malformed("not a number of bytes", field="size")
    return value
