"""Plans that delete images: row and remote records first, then archive and manifest, then the trees of its own.

An image has one name, so that its name and its key mean the same here. rkt's ``image rm``
(v1.30.0, rkt/image_rm.go) asks neither pods nor other images; here what they need stays.
The lock of a key stays, as with rkt: another program may wait for it.
"""

from collections.abc import Iterator

from orlop.errors import NotFound
from orlop.fs import Root
from orlop.intent import Remove
from orlop.plan import Plan, Refusal
from orlop.records import StoreId
from orlop.rkt import layout
from orlop.rkt.model import Image, Model, State
from orlop.rkt.planning import Steps, counted, image_of, short, some, title
from orlop.rkt.remoteplans import shown
from orlop.rkt.rows import key_of

_PODS = "`rkt list` shows the pods: stop and remove them first"
_OTHERS = "delete the images that need it in the same change"
_ANYWAY = "rkt itself removes an image whoever needs it"


def plan_removal(root: Root, model: Model, identity: StoreId, intent: Remove) -> Plan | Refusal:
    """Delete images, each with its remote records and those rendered trees that no pod stands on.

    Raises:
        NotFound: an image is not in the store, or has another name than its key says.
        Changed, NoPermission, StorageFailure: as `Steps.plan`.
    """
    keys = tuple(sorted({_known(model, key.id, key.name).key for key in intent.keys}))
    action = "delete " + (title(model, keys[0]) if len(keys) == 1 else counted(len(keys), "image"))
    steps = Steps(root, model)
    for key in keys:
        steps.obstacles += obstacles(model, model.images[key])
        steps.drop(key)
    needed = list(_needed(steps, frozenset(keys)))
    do = "; ".join(
        [
            *([_PODS] if any(one.startswith("pod ") for one in steps.obstacles) else []),
            *([_OTHERS] if needed else []),
            _ANYWAY,
        ]
    )
    steps.obstacles += needed
    for key in keys:
        _say(steps, model.images[key])
        _trees(steps, key)
    if keys and not model.pods_known:
        steps.say("note", "pods", "they cannot all be known here: make sure that none uses an image that goes")
    return steps.plan(identity, intent, action, do=do, rows=True)


def obstacles(model: Model, image: Image) -> Iterator[str]:
    """Why an image has to stay: parts that cannot be seen, and pods that use it."""
    if layout.is_key(image.key):
        for path in (layout.blob(image.key), layout.manifest(image.key)):
            if model.unseen(path):
                yield f"{path} cannot be looked at"
    for pod in model.pods.get(image.key, ()):
        yield f"pod {pod}, {_state(model, pod)}, has an app of {title(model, image.key)}"
    for tree in model.trees_of.get(image.key, ()):
        for pod in model.tree_pods.get(tree, ()):
            if model.pods_seen[pod].active and pod not in model.pods.get(image.key, ()):
                yield f"pod {pod}, {_state(model, pod)}, stands on the rendered tree of {title(model, image.key)}"


def _known(model: Model, key: str, name: str | None) -> Image:
    image = image_of(model, key)
    if name is not None and name != key_of(image).name:
        raise NotFound(f"{name} does not name {key}", do="look again: `orlop ls PATH` lists the images")
    return image


def _state(model: Model, pod: str) -> str:
    found = model.pods_seen[pod]
    return "which runs" if found.running else f"in {found.state}"


def _needed(steps: Steps, keys: frozenset[str]) -> Iterator[str]:
    """Images that stay and would lack one that goes; those that another image answers then get a remark."""
    for above, below, other in sorted(steps.lost(), key=lambda found: (found[0], found[1], found[2] or "")):
        if below not in keys:
            continue
        if other is None:
            yield f"{title(steps.model, above)} depends on {title(steps.model, below)} and would stay"
        else:
            steps.say("note", title(steps.model, above), f"depends on it by name, and gets {title(steps.model, other)}")


def _say(steps: Steps, image: Image) -> None:
    """What goes of an image, and why it may look different from others."""
    parts = ["its row" if image.row is not None else "it has no row"]
    if image.blob.state is not State.MISSING:
        parts.append(f"its archive ({image.blob.size} bytes)")
    if image.manifest.state is not State.MISSING:
        parts.append("its manifest")
    steps.say("remove", f"image {title(steps.model, image.key)}", ", ".join(parts))
    urls = steps.model.remotes_of.get(image.key, ())
    if urls and image.row is not None:
        because = f"led to {short(image.key)}: rkt forgets where an image came from with the image"
        steps.say("remove", f"{counted(len(urls), 'remote record')}: {some(map(shown, urls))}", because)


def _trees(steps: Steps, key: str) -> None:
    for identity in steps.model.trees_of.get(key, ()):
        tree = steps.model.trees[identity]
        pods = steps.model.tree_pods.get(identity, ())
        if pods:
            steps.say("keep", f"tree {identity}", f"{counted(len(pods), 'pod')} stood on it: {some(pods)}")
        elif not steps.model.pods_known:
            steps.say("keep", f"tree {identity}", "whether a pod stands on it cannot be known")
        elif steps.move(tree.path):
            steps.say("remove", f"tree {identity}", "rendered from it, and no pod stands on it")
