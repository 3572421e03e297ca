"""Join what was read into a `Model`: every question answered from values, without the disk."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orlop import times
from orlop.digest import is_digest
from orlop.docker import layout
from orlop.docker.configs import missing, unseen
from orlop.docker.model import ConfigState, Image, Layer, Model, TagFile, Unreadable, V2List, V2Reverse
from orlop.docker.read import ParentKey, Parts, Touched, read_parts
from orlop.docker.surroundings import containerd_store, engine_state, notes, other_drivers
from orlop.fs import Root
from orlop.mounttables import bind_mounted
from orlop.progress import Progress
from orlop.records import Note


def read(root: Root, driver: str, *, progress: Progress) -> Model:
    """Read one driver's image store whole.

    Raises:
        Cancelled: `progress` stopped it.
    """
    return join_model(root, read_parts(root, driver, progress=progress, previous=None, touched=Touched(None)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Those fields of a `Model` that have a line for each of very many things."""

    images: Mapping[str, Image]
    layers: Mapping[str, Layer]
    v2_lists: Mapping[str, V2List]
    v2_reverse: Mapping[str, V2Reverse]
    metadata_only: frozenset[str]
    names_of: Mapping[str, tuple[str, ...]]
    children_of: Mapping[str, tuple[str, ...]]
    users_of: Mapping[str, tuple[str, ...]]
    layer_children_of: Mapping[str, tuple[str, ...]]
    mounts_on: Mapping[str, tuple[str, ...]]
    containers_of: Mapping[str, tuple[str, ...]]
    chain_of_diff: Mapping[str, tuple[str, ...]]
    broken_chain: Mapping[str, str]
    hidden: int


def join_model(root: Root, parts: Parts) -> Model:
    """The model of some parts: every question answered from values, without the disk."""
    names_of = grouped((entry.image, entry.text) for entry in parts.tags.references.values())
    containers_of = containers_by_image(parts)
    images = _images(parts, names_of, containers_of)
    layers = {layer.chain_id: layer for layer in parts.layers.entries.values()}
    layer_children_of = grouped((layer.parent, layer.chain_id) for layer in layers.values() if layer.parent)
    present = (image for image in images.values() if image.config is not ConfigState.MISSING)
    tables = Tables(
        images=images,
        layers=layers,
        v2_lists={entry.diff_id: entry for entry in parts.v2_lists.entries.values()},
        v2_reverse={entry.digest: entry for entry in parts.v2_reverse.entries.values()},
        metadata_only=frozenset(
            identity
            for name in parts.parents.entries
            if images[identity := "sha256:" + name].config is ConfigState.MISSING
        ),
        names_of=names_of,
        # Metadata that a removed image left behind makes no child of it, as for the engine.
        children_of=grouped((image.parent, image.id) for image in present if image.parent),
        users_of=_users_of(images),
        layer_children_of=layer_children_of,
        mounts_on=mounts_by_layer(parts),
        containers_of=containers_of,
        chain_of_diff=grouped((layer.diff_id, layer.chain_id) for layer in layers.values() if layer.diff_id),
        broken_chain=broken_chains(layers, layer_children_of),
        hidden=sum(map(is_hidden, images.values())),
    )
    return model_of(root, parts, tables)


def model_of(root: Root, parts: Parts, tables: Tables) -> Model:
    """The model of some parts and their tables; asks the system what is around them."""
    driver = parts.driver
    engine, engine_text = engine_state(root)
    other = other_drivers(root, driver)
    containerd = containerd_store(root)
    unreadable = unreadable_in(parts)
    images = tables.images
    return Model(
        driver=driver,
        images=images,
        layers=tables.layers,
        tags=parts.tags,
        mounts=parts.mounts.entries,
        containers=parts.containers.entries,
        v2_lists=tables.v2_lists,
        v2_reverse=tables.v2_reverse,
        metadata_only=tables.metadata_only,
        debris=(*parts.debris, *(item for area in parts.areas[:-1] for item in area.debris)),
        unreadable=unreadable,
        other_drivers=other,
        containerd_store=containerd,
        build_cache=parts.build_cache.digests,
        bind_mounted=bind_mounted(root.path),
        engine=engine,
        engine_text=engine_text,
        hidden=tables.hidden,
        notes=(
            *_names_unknown(parts.tags, layout.tag_file(driver), len(images)),
            *notes(driver, other, containerd, unreadable, engine, engine_text, tables.hidden),
        ),
        seen_at=times.now(),
        names_of=tables.names_of,
        children_of=tables.children_of,
        users_of=tables.users_of,
        layer_children_of=tables.layer_children_of,
        mounts_on=tables.mounts_on,
        containers_of=tables.containers_of,
        chain_of_diff=tables.chain_of_diff,
        broken_chain=tables.broken_chain,
    )


def unreadable_in(parts: Parts) -> list[Unreadable]:
    """All that could not be read."""
    return [
        *parts.unreadable,
        *_unreadable_tags(parts),
        *parts.build_cache.unreadable,
        *(part for area in parts.areas for part in area.unreadable),
    ]


def containers_by_image(parts: Parts) -> dict[str, tuple[str, ...]]:
    """Image id → containers of this driver, or of an unknown one."""
    here = [found for found in parts.containers.entries.values() if found.driver in ("", parts.driver)]
    return grouped((found.image, found.id) for found in here if found.image)


def mounts_by_layer(parts: Parts) -> dict[str, tuple[str, ...]]:
    """Chain id → names of the mounts on it."""
    return grouped((mount.parent, mount.name) for mount in parts.mounts.entries.values() if mount.parent)


def _unreadable_tags(parts: Parts) -> tuple[Unreadable, ...]:
    """The tag file where this user may not read it: then the engine has no word for it."""
    if parts.tags.state != "bad" or parts.tags.engine_says:
        return ()
    return (Unreadable(path=layout.tag_file(parts.driver), why=parts.tags.why),)


def _names_unknown(tags: TagFile, path: str, images: int) -> Iterable[Note]:
    """A word on names that are not there: a list of untagged images may be one of lost names."""
    if tags.state == "bad" and tags.engine_says:
        text = f"the names of all images are unknown, and the engine does not start: {tags.why}"
        yield Note(text=text, path=path, unreadable=True)
    elif tags.state == "absent" and images:
        yield Note(text="there is no file of names: the engine starts, and every image is untagged", path=path)


def grouped(pairs: Iterable[tuple[str | None, str]]) -> dict[str, tuple[str, ...]]:
    """Values by key, sorted; those without a key are left out."""
    groups: dict[str, list[str]] = {}
    for key, value in pairs:
        if key is not None:
            groups.setdefault(key, []).append(value)
    return {key: tuple(sorted(values)) for key, values in groups.items()}


def _images(
    parts: Parts, names_of: Mapping[str, Sequence[str]], containers_of: Mapping[str, Sequence[str]]
) -> dict[str, Image]:
    """All images, with their parent keys; ids that only other records name come as missing ones."""
    images = {image.id: image for image in parts.configs.entries.values()}
    hidden = hidden_configs(parts)
    named = [*names_of, *containers_of, *("sha256:" + name for name in parts.parents.entries)]
    for identity in named:
        if identity not in images and is_digest(identity):
            images[identity] = nameless(parts, hidden, identity)
    for name, key in parts.parents.entries.items():
        if key.text is not None or key.problem:
            images["sha256:" + name] = with_parent(images["sha256:" + name], key)
    return images


def hidden_configs(parts: Parts) -> dict[str, str]:
    """Path → why, of configs that could not be looked at."""
    return {part.path: part.why for part in parts.configs.unreadable}


def nameless(parts: Parts, hidden: Mapping[str, str], identity: str) -> Image:
    """The image for an id that has no config here, though something names it."""
    folder = layout.configs(parts.driver)
    why = hidden.get(folder) or hidden.get(layout.config(parts.driver, identity))
    return missing(identity, folder) if why is None else unseen(identity, why)


def with_parent(image: Image, key: ParentKey) -> Image:
    """An image with what its metadata says of its parent."""
    return Image(
        id=image.id,
        config=image.config,
        why=image.why,
        engine_says=image.engine_says,
        size=image.size,
        created=image.created,
        platform=image.platform,
        diff_ids=image.diff_ids,
        chain=image.chain,
        parent=key.text,
        parent_problem=key.problem,
        stamp=image.stamp,
    )


def is_hidden(image: Image | None) -> bool:
    """Whether this user may not read an image's config."""
    return image is not None and image.config is ConfigState.UNREADABLE and not image.engine_says


def _users_of(images: Mapping[str, Image]) -> dict[str, tuple[str, ...]]:
    """Chain id → images that hold it. Images on the same stack share one chain, and so one walk."""
    by_stack: dict[tuple[str, ...], list[str]] = {}
    for image in images.values():
        if image.chain:
            by_stack.setdefault(image.chain, []).append(image.id)
    users: dict[str, list[str]] = {}
    for chain, ids in by_stack.items():
        for chain_id in chain:
            users.setdefault(chain_id, []).extend(ids)
    return {chain_id: tuple(sorted(ids)) for chain_id, ids in users.items()}


def broken_chains(layers: Mapping[str, Layer], layer_children_of: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Chain id → nearest record at or below it that is absent or that the engine cannot load."""
    bad = {chain_id for chain_id, layer in layers.items() if layer.problems}
    bad.update(chain_id for chain_id in layer_children_of if chain_id not in layers)
    nearest = {chain_id: chain_id for chain_id in bad}
    pending = list(bad)
    while pending:
        below = pending.pop()
        for chain_id in layer_children_of.get(below, ()):
            if chain_id not in nearest:
                nearest[chain_id] = nearest[below]
                pending.append(chain_id)
    return {chain_id: found for chain_id, found in nearest.items() if chain_id in layers}
