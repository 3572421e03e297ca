"""Moving aside exactly what keeps the engine from fetching damaged layers again.

The engine says ``Image is up to date`` while an image's config is there, and fails with
``rename …: file exists`` while a record of one of its layers is (20.10): so the configs
of all images on a damaged layer go, the record with its data, and every record that
stands on it. Layers below stay, and the next pull uses them. Names stay too: they mean
the images again once those are back.
"""

from collections.abc import Iterable, Iterator, Set

from orlop.docker import layout
from orlop.docker.model import Model
from orlop.docker.planning import Steps, some
from orlop.docker.tagmap import by_digest
from orlop.fs import join

_ABOVE = "it stands on one that goes"
_LOADED = "load, build or pull it again: no digest tells where it came from"


def set_aside(steps: Steps, bottoms: Iterable[str], because: str) -> str:
    """Add what takes damaged layers, and all on them, out of the engine's way; why not where a container needs them.

    Args:
        steps: the plan in the making.
        bottoms: chain ids of the damaged layers; their records may be missing.
        because: what is wrong with them, one clause.

    Raises:
        NoPermission, StorageFailure
    """
    model = steps.model
    lowest = set(bottoms)
    layers = _above(model, lowest)
    images = sorted({image for chain_id in layers for image in model.users_of.get(chain_id, ())})
    users = list(_users(model, layers, images))
    if users:
        return "; ".join(users)
    for image in images:
        if steps.move(layout.config(model.driver, image)):
            steps.say("repair", f"image {image}", f"its config is moved aside: {_again(model, image)}")
        reveal_missing(steps, image)
    steps.move_layers(_topdown(model, layers), {one: because if one in lowest else _ABOVE for one in layers})
    if not model.build_cache.isdisjoint(layers):
        steps.say("note", "the build cache", "it may hold these layers: `docker builder prune` if a build misses one")
    _tell_kept(steps, layers, images)
    return ""


def reveal_missing(steps: Steps, image: str) -> None:
    """Tell what is said of an image whose config goes while its names stay."""
    model = steps.model
    steps.images.add(image)
    names = model.names_of.get(image, ())
    for name in names:
        steps.reveals.add(("DK02", layout.tag_file(model.driver), name))
    if names:
        steps.say("keep", some(names, 4), "they mean the image again when it is back; till then they lead to nothing")
    for child in model.children_of.get(image, ()):
        steps.reveals.add(("DK17", join(layout.metadata(model.driver, child), "parent"), ""))
        steps.images.add(child)


def _above(model: Model, bottoms: Iterable[str]) -> set[str]:
    """Layers and all that stand on them, as configs and parent files tell; those without a record too."""
    found: set[str] = set()
    waiting = list(bottoms)
    while waiting:
        here = waiting.pop()
        if here in found:
            continue
        found.add(here)
        for image in model.users_of.get(here, ()):
            chain = model.images[image].chain
            waiting.extend(chain[chain.index(here) :])
        waiting += [upper for upper in model.layer_children_of.get(here, ()) if not model.layers[upper].parent_lost]
    return found


def _topdown(model: Model, layers: Set[str]) -> list[str]:
    """Those that have a record, each before what it stands on."""
    depth: dict[str, int] = {}
    for chain_id in layers:
        for image in model.users_of.get(chain_id, ()):
            depth[chain_id] = model.images[image].chain.index(chain_id)
    for chain_id in sorted(layers):
        walked: list[str] = []
        here: str | None = chain_id
        while here is not None and here in layers and here not in depth and here not in walked:
            walked.append(here)
            layer = model.layers.get(here)
            here = layer.parent if layer is not None else None
        base = depth.get(here or "", -1)
        depth.update({one: base + number for number, one in enumerate(reversed(walked), 1)})
    return sorted((one for one in layers if one in model.layers), key=lambda one: (-depth[one], one))


def _users(model: Model, layers: Set[str], images: Iterable[str]) -> Iterator[str]:
    """Containers that need the layers, each with what to do, one clause."""
    names = {name for chain_id in layers for name in model.mounts_on.get(chain_id, ())}
    names.update(name for image in images for name in model.containers_of.get(image, ()))
    for name in sorted(names):
        container = model.containers.get(name)
        if container is None:
            yield f"the mount record {name} of no container holds it: `orlop clean PATH` removes that"
            continue
        called = f"{container.name} ({name})" if container.name else name
        yield f"container {called} needs it: take out what it wrote, `docker rm` it, then repair"


def _again(model: Model, image: str) -> str:
    """How an image comes back, one clause."""
    names = model.names_of.get(image, ())
    pulled = [name for name in names if by_digest(name) and not model.tags.references[name].problem]
    return f"`docker pull {pulled[0]}` brings it back" if pulled else _LOADED


def _tell_kept(steps: Steps, layers: Set[str], images: Iterable[str]) -> None:
    chains = {chain_id for image in images for chain_id in steps.model.images[image].chain}
    below = [chain_id for chain_id in chains - layers if chain_id in steps.model.layers]
    if below:
        subject = "1 layer" if len(below) == 1 else f"{len(below)} layers"
        steps.say("keep", subject, "they are sound, and a pull takes them as they are")
