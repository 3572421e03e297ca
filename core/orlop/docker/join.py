"""Join what was read into a `Model`: every question answered from values, without the disk."""

from collections.abc import Iterable, Mapping, Sequence

from orlop import times
from orlop.digest import is_digest
from orlop.docker import layout
from orlop.docker.configs import missing, unseen
from orlop.docker.model import ConfigState, Image, Layer, Model, TagFile, Unreadable
from orlop.docker.read import ParentKey, Parts, Touched, read_parts
from orlop.docker.surroundings import build_cache, containerd_store, engine_state, notes, other_drivers
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


def join_model(root: Root, parts: Parts) -> Model:
    """The model of some parts: every question answered from values, without the disk."""
    driver = parts.driver
    names_of = _names_of(parts.tags)
    here = [found for found in parts.containers.entries.values() if found.driver in ("", driver)]
    containers_of = _grouped((found.image, found.id) for found in here if found.image)
    cached, hidden_cache = build_cache(root)
    images = _images(parts, names_of, containers_of)
    layers = {layer.chain_id: layer for layer in parts.layers.entries.values()}
    engine, engine_text = engine_state(root)
    other = other_drivers(root, driver)
    containerd = containerd_store(root)
    areas = (
        parts.configs,
        parts.parents,
        parts.layers,
        parts.mounts,
        parts.v2_lists,
        parts.v2_reverse,
    )
    unreadable = [
        *parts.unreadable,
        *_unreadable_tags(parts),
        *hidden_cache,
        *(part for found in (*(area.unreadable for area in areas), parts.containers.unreadable) for part in found),
    ]
    return Model(
        driver=driver,
        images=images,
        layers=layers,
        tags=parts.tags,
        mounts=parts.mounts.entries,
        containers=parts.containers.entries,
        v2_lists={entry.diff_id: entry for entry in parts.v2_lists.entries.values()},
        v2_reverse={entry.digest: entry for entry in parts.v2_reverse.entries.values()},
        metadata_only=frozenset(
            identity
            for name in parts.parents.entries
            if images[identity := "sha256:" + name].config is ConfigState.MISSING
        ),
        debris=(*parts.debris, *(item for found in (area.debris for area in areas) for item in found)),
        unreadable=unreadable,
        other_drivers=other,
        containerd_store=containerd,
        build_cache=cached,
        bind_mounted=bind_mounted(root.path),
        engine=engine,
        engine_text=engine_text,
        notes=(
            *_names_unknown(parts.tags, layout.tag_file(driver), len(images)),
            *notes(driver, other, containerd, unreadable, engine, engine_text, _hidden(images)),
        ),
        seen_at=times.now(),
        names_of=names_of,
        children_of=_children_of(images),
        users_of=_users_of(images),
        layer_children_of=_grouped((layer.parent, layer.chain_id) for layer in layers.values() if layer.parent),
        mounts_on=_grouped((mount.parent, mount.name) for mount in parts.mounts.entries.values() if mount.parent),
        containers_of=containers_of,
        chain_of_diff=_grouped((layer.diff_id, layer.chain_id) for layer in layers.values() if layer.diff_id),
        broken_chain=_broken(layers),
    )


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


def _grouped(pairs: Iterable[tuple[str | None, str]]) -> dict[str, tuple[str, ...]]:
    groups: dict[str, list[str]] = {}
    for key, value in pairs:
        if key is not None:
            groups.setdefault(key, []).append(value)
    return {key: tuple(sorted(values)) for key, values in groups.items()}


def _names_of(tags: TagFile) -> dict[str, tuple[str, ...]]:
    return _grouped((entry.image, entry.text) for entry in tags.references.values())


def _images(
    parts: Parts, names_of: Mapping[str, Sequence[str]], containers_of: Mapping[str, Sequence[str]]
) -> dict[str, Image]:
    """All images, with their parent keys; ids that only other records name come as missing ones."""
    images = {image.id: image for image in parts.configs.entries.values()}
    folder = layout.configs(parts.driver)
    hidden = {part.path: part.why for part in parts.configs.unreadable}
    named = [*names_of, *containers_of, *("sha256:" + name for name in parts.parents.entries)]
    for identity in named:
        if identity not in images and is_digest(identity):
            why = hidden.get(folder) or hidden.get(layout.config(parts.driver, identity))
            images[identity] = missing(identity, folder) if why is None else unseen(identity, why)
    for name, key in parts.parents.entries.items():
        if key.text is not None or key.problem:
            images["sha256:" + name] = _with_parent(images["sha256:" + name], key)
    return images


def _with_parent(image: Image, key: ParentKey) -> Image:
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
    )


def _hidden(images: Mapping[str, Image]) -> int:
    """How many configs this user may not read."""
    return sum(1 for image in images.values() if image.config is ConfigState.UNREADABLE and not image.engine_says)


def _children_of(images: Mapping[str, Image]) -> dict[str, tuple[str, ...]]:
    """Image id → its children; metadata that a removed image left behind makes no child of it, as for the engine."""
    present = (image for image in images.values() if image.config is not ConfigState.MISSING)
    return _grouped((image.parent, image.id) for image in present if image.parent)


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


def _broken(layers: Mapping[str, Layer]) -> dict[str, str]:
    """Chain id → nearest record at or below it that is absent or that the engine cannot load."""
    verdict: dict[str, str | None] = {}
    for start in layers:
        walked: list[str] = []
        here: str | None = start
        while here is not None and here not in verdict:
            layer = layers.get(here)
            verdict[here] = here if layer is None or not layer.loadable else None
            walked.append(here)
            here = layer.parent if layer is not None and verdict[here] is None else None
        below = verdict.get(here) if here is not None and here not in walked else None
        for chain_id in reversed(walked):
            below = verdict[chain_id] or below
            verdict[chain_id] = below
    return {chain_id: broken for chain_id, broken in verdict.items() if broken is not None and chain_id in layers}
