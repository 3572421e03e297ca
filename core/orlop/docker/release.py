"""Which layers nothing needs any more once some images are gone, and the steps that take them away.

The engine counts references at its start (moby: layer/layer_store.go): one for
each child record, container mount and image. Here a layer goes only when the
configs' chains **and** the records' ``parent`` files both leave it unused: a
record that lost its ``parent`` would otherwise let go of layers still needed.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass

from orlop.change import Drop
from orlop.docker import layout
from orlop.docker.model import ConfigState, Image, Layer, Model
from orlop.errors import NotFound, OrlopError
from orlop.fs import Root, Stat, changed_meanwhile
from orlop.plan import Quarantine, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What becomes of the layers of some images that go."""

    going: tuple[str, ...]
    """Chain ids of the records that go, top-down."""
    staying: Mapping[str, str]
    """Chain id of each record that stays → because of what; top-down."""
    needed_by: int
    """Images that stay and use a layer that stays."""
    refusals: tuple[str, ...]
    """Why none may go; empty where they may."""


def release(model: Model, doomed: Set[str]) -> Release:
    """Find the layers of some images that nothing else needs.

    Args:
        model: the store.
        doomed: ids of the images that go, all in one plan.
    """
    chains = [model.images[image].chain for image in sorted(doomed)]
    depth = {chain_id: index for chain in chains for index, chain_id in enumerate(chain)}
    staying = _staying(model, doomed, chains)
    order = sorted((c for c in depth if c in model.layers), key=lambda c: (-depth[c], c))
    going = tuple(c for c in order if c not in staying)
    users = {image for chain_id in staying for image in model.users_of.get(chain_id, ())}
    return Release(
        going=going,
        needed_by=len(users - doomed),
        staying={c: staying[c] for c in order if c in staying},
        refusals=tuple(refusals(model, going, doomed)) if going else (),
    )


def _staying(model: Model, doomed: Set[str], chains: list[tuple[str, ...]]) -> dict[str, str]:
    """Walk each chain from its top; below the first layer that stays, everything stays.

    A layer that stays keeps the records below it, also those of another doomed chain: repeat until nothing changes.
    """
    staying: dict[str, str] = {}
    going = {chain_id for chain in chains for chain_id in chain}
    before = -1
    while before != len(staying):
        before = len(staying)
        for chain in chains:
            upper = ""
            for chain_id in reversed(chain):
                if chain_id not in staying:
                    because = _holder(model, chain_id, doomed, going)
                    if because or upper:
                        staying[chain_id] = because or f"layer {upper} stands on it"
                        going.discard(chain_id)
                if chain_id in staying:
                    upper = chain_id
    return staying


def _holder(model: Model, chain_id: str, doomed: Set[str], going: Set[str]) -> str:
    """What still needs a layer, one clause; empty for nothing."""
    users = [image for image in model.users_of.get(chain_id, ()) if image not in doomed]
    if users:
        return f"needed by {listing('image', users)}"
    mounts = model.mounts_on.get(chain_id, ())
    if mounts:
        return f"needed by {listing('container', mounts)}"
    if chain_id in model.build_cache:
        return "the build cache may use it"
    children = [child for child in model.layer_children_of.get(chain_id, ()) if child not in going]
    if children:
        return f"{listing('layer', children)} stands on it"
    return ""


def listing(noun: str, ids: Iterable[str]) -> str:
    """The first of some ids, and how many more there are."""
    found = sorted(ids)
    if len(found) == 1:
        return f"{noun} {found[0]}"
    more = len(found) - 2
    return f"{noun}s {found[0]}, {found[1]}" + (f" and {more} more" if more else "")


# --- refusals ----------------------------------------------------------------


def refusals(model: Model, going: tuple[str, ...], doomed: Set[str]) -> Iterator[str]:
    """Why layers may not go, each one clause.

    Args:
        model: the store.
        going: chain ids of their records.
        doomed: ids of the images that go with them.
    """
    if model.driver not in layout.READABLE_DRIVERS:
        yield f"Orlop cannot reach the data of driver {model.driver}, so it cannot free layers; names can be removed"
    yield from _parent_lost(model, frozenset(going))
    yield from _unknown_stacks(model)
    for image in sorted(model.images):
        if image not in doomed and _may_be_served(model.images[image]):
            yield f"which layers {image} needs cannot be known: its config is {model.images[image].config}"


def _may_be_served(image: Image) -> bool:
    """Whether the engine may know an image whose layers Orlop cannot: it follows a link, and parses any size."""
    if image.config is ConfigState.WRONG_KIND:
        return not image.engine_says
    return image.config in (ConfigState.TOO_LARGE, ConfigState.UNREADABLE)


def _unknown_stacks(model: Model) -> Iterator[str]:
    """Containers whose image is gone, and whose own records no longer tell every layer that they stand on."""
    for name, mount in sorted(model.mounts.items()):
        container = model.containers.get(name)
        if container is None:
            continue
        image = model.images.get(container.image or "")
        if mount.parent is None and (image is None or image.config is not ConfigState.GOOD):
            why = mount.problem or "it has no file parent"
            yield f"which layers container {name} stands on cannot be known: of its mount record, {why}"
        elif (lost := _end_of_record(model, mount.parent)) is not None:
            yield f"container {name} stands on {lost}, whose record does not tell the layer below"


def _end_of_record(model: Model, top: str | None) -> str | None:
    """The record of a stack, from its top, that cannot tell its parent and that no image's chain explains."""
    seen: set[str] = set()
    while top is not None and top not in seen and not model.users_of.get(top):
        seen.add(top)
        layer = model.layers.get(top)
        if layer is None:
            return None
        if layer.parent is None and not layer.problems.keys().isdisjoint(("parent", "diff")):
            return top
        top = layer.parent
    return None


def _parent_lost(model: Model, going: frozenset[str]) -> Iterator[str]:
    """DK05: around a record that lost its parent nothing says for certain who needs what."""
    for lost in sorted(c for c, layer in model.layers.items() if layer.parent_lost):
        path = layout.layer(model.driver, lost)
        stack = _stack(model, lost)
        if not model.users_of.get(lost):
            yield f"DK05: {path} lost its parent, and no config tells which layers it stands on"
        elif not stack.isdisjoint(going):
            yield f"DK05: {path} lost its parent: freeing layers of its stack could destroy layers still needed"


def _stack(model: Model, lost: str) -> set[str]:
    """A record, its true ancestors and its descendants, as configs and parent files tell."""
    stack = {lost}
    for image in model.users_of.get(lost, ()):
        stack.update(model.images[image].chain)
    pending = [lost]
    while pending:
        above = [c for c in model.layer_children_of.get(pending.pop(), ()) if c not in stack]
        stack.update(above)
        pending.extend(above)
    return stack


# --- steps -------------------------------------------------------------------


class Removal:
    """The steps and reasons of things that go to the quarantine."""

    def __init__(self, root: Root, model: Model) -> None:
        self._root = root
        self._model = model
        self.steps: list[Quarantine] = []
        self.reasons: list[Reason] = []
        self.obstacles: list[str] = []
        """What cannot be moved, each one clause."""

    def add(self, path: str) -> bool:
        """Move what is at a path, if anything is there; tells whether it is."""
        found = _stat(self._root, path)
        if found is None:
            return False
        if found.kind not in ("file", "folder", "link"):
            self.obstacles.append(f"a {found.kind} is at {path}; Orlop moves files, folders and links only")
        elif found.device != self._root.stat(path.rpartition("/")[0]).device:
            self.obstacles.append(f"another file system is mounted at {path}, which nothing can move")
        else:
            self.steps.append(quarantine(self._root, path))
        return True

    def add_layers(self, going: Iterable[str], because: Mapping[str, str] | None = None) -> None:
        """Move layers, top-down: their overlay2 link, their record, and the driver's folder that nothing else uses.

        Args:
            going: chain ids.
            because: chain id → why it goes, one clause, where that is not that nothing else needs it.
        """
        chain_ids = tuple(going)
        shared = _cache_ids_in_use(self._model, frozenset(chain_ids))
        moved: set[str] = set()
        for chain_id in chain_ids:
            layer = self._model.layers[chain_id]
            parts = self._parts(layer, shared, moved)
            if parts.link is not None:
                self.add(parts.link)
            self.add(layout.layer(self._model.driver, chain_id))
            if parts.data is not None:
                self.add(parts.data)
            why = (because or {}).get(chain_id, "nothing else needs it")
            size = "its size is not known" if layer.size is None else f"{layer.size} bytes"
            self.reasons.append(Reason(verb="layer", subject=chain_id, because=f"{size}; {why}"))

    def _parts(self, layer: Layer, shared: Mapping[str, str], moved: set[str]) -> "Parts":
        """What goes of a layer besides its record."""
        if layer.cache_id is None or layer.data_path is None:
            self._note(layer, "the driver's folder stays: the record does not name it")
            return Parts()
        if layer.cache_id in shared:
            self._note(layer, f"{layer.data_path} stays: {shared[layer.cache_id]} uses it too")
            return Parts()
        if layer.cache_id in moved:
            return Parts()
        moved.add(layer.cache_id)
        parts = parts_of(self._root, self._model.driver, layer.cache_id)
        for remark in parts.remarks:
            self._note(layer, remark)
        return parts

    def _note(self, layer: Layer, because: str) -> None:
        self.reasons.append(Reason(verb="note", subject=f"layer {layer.chain_id}", because=because))


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What belongs to a layer besides its record, as paths that are there."""

    link: str | None = None
    """overlay2: the short link that ``lower`` files name."""
    data: str | None = None
    """The driver's folder."""
    remarks: tuple[str, ...] = ()
    """What stays or is missing, each one clause."""

    def drops(self) -> tuple[Drop, ...]:
        """The changes that take them away for good, the link before the folder that it leads to, as overlay2 does."""
        return tuple(Drop(path=path, tree=True, missing_ok=True) for path in (self.link, self.data) if path is not None)


def parts_of(root: Root, driver: str, cache_id: str) -> Parts:
    """Find what belongs to a layer, or to one that is half made, by its cache id."""
    data = layout.layer_data(driver, cache_id)
    if data is None:
        return Parts()
    found = _stat(root, data)
    if found is None:
        return Parts(remarks=(f"{data} is not there",))
    if found.kind != "folder" or data == layout.link("").rstrip("/"):
        return Parts(remarks=(f"{data} stays: it is no layer's folder",))
    if driver != "overlay2":
        return Parts(data=data)
    link = _link_to(root, cache_id)
    if link is None:
        return Parts(data=data, remarks=("its short link below overlay2/l is not known and stays, if there is one",))
    return Parts(link=link, data=data)


def _link_to(root: Root, cache_id: str) -> str | None:
    """overlay2: the short link that a layer's folder names, if it leads back there."""
    try:
        name = root.read(layout.link_file(cache_id), 4096).decode("ascii").strip()
        target = root.link_target(layout.link(name)) if name else ""
    except (OrlopError, UnicodeDecodeError):
        return None
    return layout.link(name) if target == f"../{cache_id}/diff" else None


def quarantine(root: Root, path: str) -> Quarantine:
    """The step that moves what is at a path, bound to its inode; bytes are those on disk, the whole tree.

    Raises:
        Changed: nothing is there any more.
    """
    found = _stat(root, path)
    if found is None:
        raise changed_meanwhile(path)
    return Quarantine(path=path, kind=found.kind, inode=found.inode, bytes=root.allocated(path))


def _stat(root: Root, path: str) -> Stat | None:
    try:
        return root.stat(path)
    except NotFound:
        return None


def _cache_ids_in_use(model: Model, going: Set[str]) -> dict[str, str]:
    """Cache ids that records which stay, or containers, name → by which."""
    used = {
        layer.cache_id: f"layer {chain_id}"
        for chain_id, layer in model.layers.items()
        if chain_id not in going and layer.cache_id is not None
    }
    for mount in model.mounts.values():
        for identity in (mount.mount_id, mount.init_id):
            if identity is not None:
                used[identity] = f"container {mount.name}"
    return used
