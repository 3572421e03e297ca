"""Plans that give manifests names and take names away.

A tag is a folder: what it means now, and all that it ever meant. distribution:
``registry/storage/tagstore.go``. The engine of 2.x can only delete a manifest with
all its tags; here a tag goes by itself, which is one rename.
"""

from collections.abc import Iterator

from orlop.errors import Malformed, NotFound
from orlop.fs import Root
from orlop.intent import Tag, Untag
from orlop.plan import Plan, Refusal
from orlop.records import StoreId
from orlop.registry import layout
from orlop.registry.linking import mount, unservable
from orlop.registry.model import Model, Repository, State, What
from orlop.registry.planning import (
    Steps,
    counted,
    current_link,
    history_link,
    named_tag,
    repository_path,
    short,
    tag_folder,
)

DEFAULT_TAG = "latest"


def plan_tag(root: Root, model: Model, identity: StoreId, intent: Tag) -> Plan | Refusal:
    """Give a manifest a name, also in another repository, which then links all that the manifest needs.

    Without a tag in the name it is ``latest``. A tag that exists moves, and keeps its history.

    Raises:
        NotFound: no repository, or not the one that is named, knows the manifest.
        Malformed: the name does not parse.
    """
    repository, tag = split_name(intent.name)
    source = _source(model, intent, repository)
    name = f"{repository}:{tag}"
    action = f"tag {short(intent.image)} as {name}"
    old = _meaning(model, repository, tag)
    if old == intent.image and _known(model, repository, intent.image):
        steps = Steps(root, model)
        steps.say("keep", name, f"it means {intent.image} already")
        return steps.plan(identity, intent, action)
    moving = repository != source.name
    obstacles = [*_unfit(model, source, intent.image, moving), *in_the_way(model, repository, tag)]
    if obstacles:
        return Refusal(action=action, reasons=tuple(obstacles), do="`orlop check PATH` names what to repair first")
    steps = Steps(root, model)
    steps.images.add(intent.image)
    if moving:
        mount(steps, source, model.manifests[intent.image], repository)
    put_tag(steps, repository, tag, intent.image)
    if model.cache is not None:
        steps.say("note", name, "this is a pull-through cache: it asks upstream what a tag means")
    if steps.obstacles:
        return Refusal(action=action, reasons=tuple(steps.obstacles))
    return steps.plan(identity, intent, f"move the tag {name}" if old is not None else action)


def plan_untag(root: Root, model: Model, identity: StoreId, intent: Untag) -> Plan | Refusal:
    """Take exactly these tags away, with their history; what they mean stays, even without a name.

    Raises:
        NotFound: a name is not in the store.
    """
    chosen = sorted({(found.name, tag) for found, tag in (named_tag(model, name) for name in intent.names)})
    steps = Steps(root, model)
    for repository, tag in chosen:
        take_tag(steps, model.repositories[repository], tag)
    gone = frozenset(chosen)
    for repository, digest in sorted(
        {(name, model.repositories[name].tags[tag].current.target) for name, tag in chosen}, key=str
    ):
        if digest is None:
            continue
        steps.images.add(digest)
        left = [tag for tag in model.tags_of.get((repository, digest), ()) if (repository, tag) not in gone]
        if not _known(model, repository, digest):
            steps.say("note", f"manifest {digest}", f"{repository} does not know it")
        elif not left:
            steps.say("keep", f"image {digest}", f"it stays in {repository} without a name")
    names = [f"{repository}:{tag}" for repository, tag in chosen]
    action = "untag " + (names[0] if len(names) == 1 else counted(len(names), "tag"))
    if steps.obstacles:
        return Refusal(action=action, reasons=tuple(steps.obstacles))
    return steps.plan(identity, intent, action, weighty=takes_last_tag(model, gone))


# --- parts that other plans use ----------------------------------------------


def put_tag(steps: Steps, repository: str, tag: str, digest: str) -> None:
    """Let a tag mean a manifest that the repository knows, as the registry does: its history, then what it means."""
    found = steps.model.repositories.get(repository)
    known = found.tags.get(tag) if found is not None else None
    path = repository_path(steps.model, repository)
    old = known.current.target if known is not None else None
    if old == digest:
        steps.say("keep", f"{repository}:{tag}", f"it means {digest} already")
        return
    history = known.history.get(digest) if known is not None else None
    steps.link(history_link(path, tag, digest), digest, history, again=True)
    steps.link(current_link(path, tag), digest, known.current if known is not None else None)
    steps.say("tag", f"{repository}:{tag}", f"for {digest}" if old is None else f"moves from {old} to {digest}")
    if old is not None:
        steps.images.add(old)
        if steps.model.tags_of.get((repository, old), ()) == (tag,):
            steps.say("keep", f"image {old}", f"it stays in {repository} without a name")


def take_tag(steps: Steps, repository: Repository, tag: str, because: str = "") -> None:
    """Take a tag away, with its history."""
    found = repository.tags[tag]
    if not because:
        because = found.problem or f"means {found.current.target or 'nothing that can be read'}"
    if steps.move(found.path):
        steps.say("untag", f"{repository.name}:{tag}", because)


def takes_last_tag(model: Model, gone: frozenset[tuple[str, str]]) -> bool:
    """Whether some repository has no tag left without these."""
    return any(all((name, tag) in gone for tag in model.repositories[name].tags) for name in {name for name, _ in gone})


def in_the_way(model: Model, repository: str, tag: str) -> Iterator[str]:
    """Why a tag cannot be written, each one clause."""
    path = tag_folder(repository_path(model, repository), tag)
    found = model.repositories.get(repository)
    known = found.tags.get(tag) if found is not None else None
    if known is not None and known.problem:
        yield f"{known.problem}, at {known.path}"
    elif known is not None and known.current.state is State.UNREADABLE:
        yield f"{known.current.path} cannot be read: {known.current.why}"
    elif model.unseen(path):
        yield f"{path} cannot be read"


def split_name(text: str) -> tuple[str, str]:
    """Repository and tag of a name that may be new.

    Raises:
        Malformed: it is none.
    """
    if "@" in text:
        raise Malformed(f"not a tag: {text!r}", do="a manifest is known by its digest already: give a name")
    name, colon, tag = text.partition(":")
    return layout.check_name(name), layout.check_tag(tag) if colon else DEFAULT_TAG


# --- inside --------------------------------------------------------------------


def _source(model: Model, intent: Tag, target: str) -> Repository:
    """The repository that a manifest is taken from: the one that is named, else the target itself, else the first."""
    having = list(model.repositories_of.get(intent.image, ()))
    if intent.scope:
        having = [name for name in having if name == intent.scope]
    if not having:
        where = f"{intent.scope} does not know" if intent.scope else "no repository knows"
        raise NotFound(f"{where} a manifest {intent.image}", do="`orlop ls PATH` lists the images")
    return model.repositories[target if target in having else having[0]]


def _known(model: Model, repository: str, digest: str) -> bool:
    found = model.repositories.get(repository)
    link = found.revisions.get(digest) if found is not None else None
    return link is not None and link.target == digest


def _meaning(model: Model, repository: str, tag: str) -> str | None:
    found = model.repositories.get(repository)
    known = found.tags.get(tag) if found is not None else None
    return known.current.target if known is not None else None


def _unfit(model: Model, source: Repository, digest: str, moving: bool) -> Iterator[str]:
    manifest = model.manifests.get(digest)
    if manifest is not None and manifest.what is What.SCHEMA_1:
        yield f"{digest} is a manifest of schema 1, which holds its own name and tag: clients refuse it under others"
        return
    yield from unservable(model, source, digest, whole=moving)
