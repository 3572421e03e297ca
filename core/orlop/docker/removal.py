"""Plans that delete: names, images with their last name, and the layers that only they used.

What goes follows the engine's own ``rmi`` (moby: daemon/images/image_delete.go,
20.10): a tag takes the digest references of its repository along when no other tag
of it is left, and an untagged, childless and unused parent goes with its last
child. Where the engine refuses, so does Orlop, without force.
"""

from collections.abc import Iterable, Iterator, Set

from orlop.digest import is_digest
from orlop.docker import imagefiles, layout
from orlop.docker.model import ConfigState, Container, Image, Model
from orlop.docker.release import Removal, listing, release
from orlop.docker.tagmap import TagMap, by_digest, refusal_of_bad_file
from orlop.errors import NotFound
from orlop.fs import Root
from orlop.intent import Remove
from orlop.plan import Plan, Reason, Refusal, Step
from orlop.records import Key, StoreId

MANY = 20
"""Images that a plan may take without being weighty."""

_LAYERS_LOST = (ConfigState.EMPTY, ConfigState.ALTERED, ConfigState.MALFORMED, ConfigState.WRONG_KIND)


def plan_removal(root: Root, model: Model, identity: StoreId, intent: Remove) -> Plan | Refusal:
    """Delete rows: names, and images with their last name; rows without a name delete the image by its id.

    Raises:
        NotFound: a name or image is not in the store, or a name leads to another image than its row says.
    """
    keys = tuple(sorted(set(intent.keys), key=lambda key: (key.id, key.name or "")))
    action = "delete " + _asked(keys)
    bad = refusal_of_bad_file(model, action)
    if bad is not None:
        return bad
    names = _names(model, keys)
    doomed = _doomed(model, keys, names.keys())
    obstacles = list(_obstacles(model, doomed))
    if obstacles:
        return Refusal(action=action, reasons=tuple(obstacles), do=_DO)
    parents = _parents(model, doomed, names.keys())
    return _Deletion(root, model, names, doomed, parents).plan(identity, intent, action)


_DO = "delete or untag what stands in the way first; a name alone goes with `orlop untag`"


def going(model: Model, keys: Iterable[Key]) -> frozenset[str]:
    """Images that go when these rows are deleted, parents included; whether anything stands in the way is not asked.

    Raises:
        NotFound: as `plan_removal`.
    """
    keys = tuple(keys)
    names = _names(model, keys)
    doomed = _doomed(model, keys, names.keys())
    return doomed | _parents(model, doomed, names.keys()).keys()


def _names(model: Model, keys: Iterable[Key]) -> dict[str, str]:
    """The names that go → why."""
    names: dict[str, str] = {}
    for key in keys:
        if key.name is None:
            if key.id not in model.images and key.id not in model.names_of:
                raise NotFound(f"no image {key.id} is in the store")
            names.update(dict.fromkeys(model.names_of.get(key.id, ()), f"all names of {key.id} go"))
            continue
        found = model.tags.references.get(key.name)
        if found is None or found.image != key.id:
            where = layout.tag_file(model.driver)
            raise NotFound(f"{key.name} does not name {key.id}", path=where, do="look again: the tag may have moved")
        names.setdefault(key.name, f"names {key.id}")
    for name in _digest_names(model, names.keys()):
        names.setdefault(name, "goes with the last tag of its repository for this image")
    return dict(sorted(names.items()))


def _digest_names(model: Model, names: Set[str]) -> Iterator[str]:
    """Digest references that follow: a tag was removed and no tag of its repository is left for the image."""
    references = model.tags.references
    for name in sorted(names):
        gone = references[name]
        if gone.problem or by_digest(name):
            continue
        alike = [
            other
            for other in model.names_of.get(gone.image, ())
            if other not in names and not references[other].problem and references[other].repository == gone.repository
        ]
        if all(by_digest(other) for other in alike):
            yield from alike


def _doomed(model: Model, keys: Iterable[Key], names: Set[str]) -> frozenset[str]:
    """Images that go: those asked for by id, and those that lose their last name."""
    asked = {key.id for key in keys if key.name is None}
    bare = {key.id for key in keys if key.name is not None and set(model.names_of.get(key.id, ())) <= names}
    return frozenset(image for image in asked | bare if image in model.images and is_digest(image))


def _parents(model: Model, doomed: Set[str], names: Set[str]) -> dict[str, str]:
    """Parents that go too → the child whose end leaves them untagged, childless and unused."""
    found: dict[str, str] = {}
    going = set(doomed)
    pending = sorted(doomed, reverse=True)
    while pending:
        child = pending.pop()
        parent = model.images.get(model.images[child].parent or "")
        if parent is None or parent.id in going or parent.config is not ConfigState.GOOD:
            continue
        children = set(model.children_of.get(parent.id, ()))
        nameless = set(model.names_of.get(parent.id, ())) <= names
        if nameless and children <= going and not any(users_of_image(model, parent)):
            found[parent.id] = child
            going.add(parent.id)
            pending.append(parent.id)
    return found


# --- refusals ----------------------------------------------------------------


def _obstacles(model: Model, doomed: Set[str]) -> Iterator[str]:
    present = [model.images[image] for image in sorted(doomed) if model.images[image].config is not ConfigState.MISSING]
    if not present:
        return
    for part in model.unreadable:
        if part.path.startswith(_parts_needed(model)):
            yield f"{part.path} cannot be read ({part.why}), so what needs these images cannot be known"
    for image in present:
        children = [child for child in model.children_of.get(image.id, ()) if child not in doomed]
        if children:
            verb = "has" if len(children) == 1 else "have"
            yield f"{listing('image', children)} {verb} {image.id} as parent and would stay"
        yield from users_of_image(model, image, doomed)


def _parts_needed(model: Model) -> tuple[str, ...]:
    above = layout.image_root(model.driver)
    return (f"{above}/imagedb", f"{above}/layerdb", layout.CONTAINERS)


def users_of_image(model: Model, image: Image, doomed: Set[str] = frozenset()) -> Iterator[str]:
    """Containers that need an image, by their own record or, where that cannot be read, by what they stand on."""
    for identity in model.containers_of.get(image.id, ()):
        yield f"container {_described(model.containers[identity])} uses {image.id}"
    if not image.chain or any(
        _stands_for(model, image, other, doomed) for other in model.users_of.get(image.chain[-1], ())
    ):
        return
    for name in model.mounts_on.get(image.chain[-1], ()):
        container = model.containers.get(name)
        if container is not None and container.image is None:
            yield f"container {name} stands on the layers of {image.id}, and its own record cannot be read"


def _stands_for(model: Model, image: Image, other: str, doomed: Set[str]) -> bool:
    """Whether another image that stays has exactly the same layers."""
    return other != image.id and other not in doomed and model.images[other].chain == image.chain


def _described(container: Container) -> str:
    name = f"{container.name} ({container.id})" if container.name else container.id
    state = {True: "running when last recorded", False: "not running", None: "state not known"}[container.running]
    return f"{name}, {state},"


# --- the plan ----------------------------------------------------------------


class _Deletion:
    """One plan in the making: names first, then images with their children before them, then layers from the top."""

    def __init__(
        self, root: Root, model: Model, names: dict[str, str], doomed: frozenset[str], parents: dict[str, str]
    ) -> None:
        self.model = model
        self.names = names
        self.parents = parents
        self.images = _children_first(model, doomed | parents.keys())
        self.tags = TagMap(model)
        self.removal = Removal(root, model)
        self.release = release(model, frozenset(self.images))

    def plan(self, identity: StoreId, intent: Remove, asked: str) -> Plan | Refusal:
        if self.release.refusals:
            return Refusal(
                action=asked, reasons=self.release.refusals, do="`orlop check PATH` names what to repair first"
            )
        steps: list[Step] = []
        reasons = [*self._untag()]
        if self.names:
            steps.append(self.tags.step())
        gone = [image for image in self.images if self._remove(image)]
        reasons.extend(self._image_reason(image) for image in gone)
        self.removal.add_layers(self.release.going)
        if self.removal.obstacles:
            return Refusal(action=asked, reasons=tuple(self.removal.obstacles))
        reasons += [*self.removal.reasons, *self._kept(), *self._remarks()]
        moved = self.removal.steps
        named = {self.model.tags.references[name].image for name in self.names}
        return Plan(
            action="delete " + _counted(self.names, len(gone)),
            kind=identity.kind,
            store=identity.token,
            intent=intent,
            steps=(*steps, *moved),
            reasons=tuple(reasons),
            images=tuple(sorted(set(self.images) | (named & self.model.images.keys()))),
            bytes_now=0,
            bytes_freed=sum(step.bytes for step in moved),
            bytes_kept=sum(self.model.layers[chain_id].size or 0 for chain_id in self.release.staying),
            kept_for=self.release.needed_by,
            weighty=len(gone) > MANY or bool(self.tags.without_tags),
        )

    def _untag(self) -> Iterator[Reason]:
        for name, because in self.names.items():
            self.tags.take(name, self.model.tags.references[name].image)
            yield Reason(verb="untag", subject=name, because=because)

    def _remove(self, image: str) -> bool:
        """Move an image's metadata folder and config; tells whether either was there."""
        imagedb = f"{layout.image_root(self.model.driver)}/imagedb"
        there = [self.removal.add(drop.path) for drop in imagefiles.removal(imagedb, image.replace(":", "/"))]
        return any(there)

    def _image_reason(self, image: str) -> Reason:
        if image in self.parents:
            because = f"untagged parent of {self.parents[image]}, which nothing else needs"
        elif self.model.names_of.get(image):
            because = "its last name goes"
        else:
            because = "asked for by its id"
        return Reason(verb="remove", subject=f"image {image}", because=because)

    def _kept(self) -> Iterator[Reason]:
        for image in sorted({self.model.tags.references[name].image for name in self.names} - set(self.images)):
            left = [name for name in self.model.names_of.get(image, ()) if name not in self.names]
            if left:
                yield Reason(verb="keep", subject=f"image {image}", because=f"named by {_some(left)}")
        for chain_id, because in self.release.staying.items():
            yield Reason(verb="keep", subject=f"layer {chain_id}", because=because)
        stale = self._stale_lists()
        if stale:
            subject = "the V2 mappings of 1 layer" if stale == 1 else f"the V2 mappings of {stale} layers"
            yield Reason(
                verb="keep", subject=subject, because="the engine keeps them too; they become stale and do no harm"
            )

    def _stale_lists(self) -> int:
        """How many diff ids with V2 mappings no layer has any more."""
        going = frozenset(self.release.going)
        diff_ids = {self.model.layers[chain_id].diff_id for chain_id in going}
        return sum(
            diff_id in self.model.v2_lists and going.issuperset(self.model.chain_of_diff.get(diff_id, ()))
            for diff_id in diff_ids
            if diff_id is not None
        )

    def _remarks(self) -> Iterator[Reason]:
        for image in self.images:
            found = self.model.images[image]
            if found.config not in (ConfigState.GOOD, ConfigState.MISSING):
                because = f"its config is {found.config}, so its layers cannot be known: they stay"
                yield Reason(verb="note", subject=f"image {image}", because=because)
        if self.release.going:
            yield from self._unknowable()
        if self.names:
            yield from self.tags.remarks()

    def _unknowable(self) -> Iterator[Reason]:
        """Damaged images that stay: the engine does not know them, and nothing tells which layers they had."""
        going = frozenset(self.images)
        for image in sorted(self.model.images):
            state = self.model.images[image].config
            if image not in going and state in _LAYERS_LOST:
                because = f"its config is {state}: if it had these layers, they come back with the next pull"
                yield Reason(verb="note", subject=f"image {image}", because=because)


def _children_first(model: Model, images: Set[str]) -> tuple[str, ...]:
    """Images in an order in which each comes before its parent; parent keys in a circle end where they began."""
    depth: dict[str, int] = {}
    for image in images:
        seen = {image}
        parent = model.images[image].parent
        while parent is not None and parent in images and parent not in seen:
            seen.add(parent)
            parent = model.images[parent].parent
        depth[image] = len(seen)
    return tuple(sorted(images, key=lambda image: (-depth[image], image)))


def _asked(keys: tuple[Key, ...]) -> str:
    if len(keys) == 1:
        return keys[0].name or f"image {keys[0].id}"
    return f"{len(keys)} rows"


def _counted(names: Iterable[str], images: int) -> str:
    found = list(names)
    digests = sum(by_digest(name) for name in found)
    counts = ((len(found) - digests, "tag"), (digests, "digest reference"), (images, "image"))
    parts = [f"{count} {noun}" if count == 1 else f"{count} {noun}s" for count, noun in counts if count]
    return ", ".join(parts) or "nothing"


def _some(names: list[str]) -> str:
    found = ", ".join(names[:2])
    return f"{found} and {len(names) - 2} more" if len(names) > 2 else found
