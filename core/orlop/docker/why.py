"""What a digest, id, name or folder of a Docker store is, and the references that keep it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from orlop import reference
from orlop.digest import is_digest
from orlop.docker import layout
from orlop.docker.model import ConfigState, Model, Mount
from orlop.errors import Ambiguous, Malformed, NotFound
from orlop.fs import Root
from orlop.records import Key, Link, Why

_CANNOT_TELL = "cannot tell whether anything needs it"
_MANY = 20
"""Chains of references that are spelled out at most."""


def why(root: Root, model: Model, subject: str) -> Why:
    """Answer for an id of an image or container, diff id, chain id, blob digest, cache id, name, or path of the root.

    A digest may be given without its algorithm, and cut to two digits or more; a tag in any
    spelling; a path absolute or relative to the data root, a folder's name in it cut short.
    What is no longer there is answered from the journal of changes.

    Raises:
        NotFound: the store knows nothing of it.
        Ambiguous: the start of several.
        NoPermission, StorageFailure: the place cannot be looked at.
    """
    from orlop import asked  # with it comes what writes files, which looking at a store does not need
    from orlop.docker import whypath

    name = _listed(model, subject)
    if name is not None:
        return _name(model, name)
    digits = subject.removeprefix("sha256:")
    if "/" not in subject and (found := _starting(model, digits)):
        if len(found) > 1 and digits not in found:
            raise Ambiguous(digits, found)
        return identity(root, model, digits if digits in found else found[0])
    path = asked.path_in(root, subject)
    answer = None if path is None else whypath.at(root, model, path)
    if answer is None and "/" not in subject and "\0" not in subject:
        answer = whypath.named(root, model, subject)
    if answer is None:
        answer = asked.gone(root, subject)
    if answer is not None:
        return answer
    raise NotFound(
        f"the store knows nothing of {digits!r}",
        do="give an id, diff id, chain id, blob digest, cache id, container id, tag, or a path in the store",
    )


def _listed(model: Model, subject: str) -> str | None:
    """The listed name that a text is, or is a longer or shorter spelling of with its tag; None for none."""
    if subject in model.tags.references:
        return subject
    try:
        name = reference.parse(subject).familiar if ":" in subject else ""
    except Malformed:
        return None
    return name if name in model.tags.references else None


def _identities(model: Model, prefix: str) -> set[str]:
    """Every hex identity of the store that starts so."""
    sources: tuple[Iterable[str], ...] = (
        model.images,
        model.layers,
        model.chain_of_diff,
        model.v2_lists,
        model.v2_reverse,
        (entry.digest for listed in model.v2_lists.values() for entry in listed.entries),
        (layer.cache_id for layer in model.layers.values() if layer.cache_id is not None),
        (
            value
            for mount in model.mounts.values()
            for value in (mount.name, mount.mount_id, mount.init_id)
            if value is not None
        ),
        model.containers,
    )
    return {bare for source in sources for text in source if (bare := text.removeprefix("sha256:")).startswith(prefix)}


def _starting(model: Model, prefix: str) -> list[str]:
    """Every hex identity of the store that starts so; none for less than two digits."""
    return sorted(_identities(model, prefix)) if len(prefix) >= 2 else []


def _name(model: Model, name: str) -> Why:
    entry = model.tags.references[name]
    return Why(
        subject=name,
        is_a=(f"name of image {entry.image}",),
        kept_by=((_name_link(model, name, entry.image),),),
        related={"image": entry.image},
    )


def _name_link(model: Model, name: str, image: str) -> Link:
    return Link(what=f"name {name}", path=layout.tag_file(model.driver), key=Key("", image, name))


def _image_link(model: Model, image: str) -> Link:
    return Link(what=f"image {image}", path=layout.config(model.driver, image), key=Key("", image, None))


def identity(root: Root, model: Model, bare: str) -> Why:
    """Everything that one hex identity is; a diff id is often the chain id of a bottom layer too."""
    digest = "sha256:" + bare
    is_a: list[str] = []
    kept: list[tuple[Link, ...]] = []
    related: dict[str, str] = {}
    layers: list[str] = []
    image = model.images.get(digest)
    if image is not None:
        is_a.append("image" if image.config is not ConfigState.MISSING else "image whose config is not here")
        kept += _image_chains(model, digest)
    if digest in model.layers or digest in model.users_of:
        is_a.append("layer (chain id)" if digest in model.layers else "layer whose record is not here (chain id)")
        layers.append(digest)
    if digest in model.chain_of_diff:
        is_a.append("diff id of a layer")
        layers += model.chain_of_diff[digest]
    elif digest in model.v2_lists:
        is_a.append("diff id of a layer that is not here (V2 mapping)")
        related["mapping"] = model.v2_lists[digest].path
    for chain_id in (layer.chain_id for layer in model.layers.values() if layer.cache_id == bare):
        is_a.append("data folder of a layer (cache id)")
        layers.append(chain_id)
    layers += _mapped(model, digest, is_a, related)
    for chain_id in dict.fromkeys(layers):
        related |= _layer_identities(model, chain_id)
        kept += _layer_chains(model, chain_id)
    for mount in model.mounts.values():
        if bare in (mount.name, mount.mount_id, mount.init_id):
            is_a.append(_of_mount(mount, bare))
            path = f"{layout.mounts(model.driver)}/{mount.name}"
            kept.append((Link(what=_container(model, mount.name), path=path),))
            related |= _mount_places(model, mount)
    if bare in model.containers and "container" not in is_a:
        is_a.append("container")
        kept.append((Link(what=_container(model, bare), path=model.containers[bare].path),))
    unique = tuple(dict.fromkeys(kept))
    remark = _remark(model, unique, layers)
    if not unique and image is not None and (before := _changed(root, digest)):
        related["once"] = before
    return Why(
        subject=digest if is_digest(digest) and "container" not in is_a else bare,
        is_a=tuple(dict.fromkeys(is_a)),
        kept_by=unique[:_MANY],
        related=related,
        remark=remark,
        judged=not remark.startswith(_CANNOT_TELL),
    )


def _changed(root: Root, image: str) -> str:
    from orlop import asked

    return asked.changed(root, image)


def _of_mount(mount: Mount, bare: str) -> str:
    if bare == mount.name:
        return "container"
    return "writable layer of a container" if bare == mount.mount_id else "what a container began with"


def _mount_places(model: Model, mount: Mount) -> Mapping[str, str]:
    """Where a container's files are."""
    found = {}
    if mount.mount_id is not None and (path := layout.layer_data(model.driver, mount.mount_id)) is not None:
        found["what it wrote"] = path
    if mount.parent is not None:
        found["stands on"] = mount.parent
    return found


def _remark(model: Model, kept: tuple[tuple[Link, ...], ...], layers: Sequence[str]) -> str:
    if len(kept) > _MANY:
        return f"and {len(kept) - _MANY} more references"
    if kept:
        return ""
    if not any(chain_id in model.layers for chain_id in layers):
        return "nothing of this store needs it"
    from orlop.docker.space import nothing_known
    from orlop.space import Use

    use, why = nothing_known(model)
    return f"{_CANNOT_TELL}: {why}" if use is Use.UNKNOWN else "it takes space only"


def _mapped(model: Model, digest: str, is_a: list[str], related: dict[str, str]) -> list[str]:
    """Layers that a blob digest stands for, by either direction of the V2 records."""
    diff_ids = {
        listed.diff_id for listed in model.v2_lists.values() for entry in listed.entries if entry.digest == digest
    }
    reverse = model.v2_reverse.get(digest)
    if reverse is not None and reverse.diff_id:
        diff_ids.add(reverse.diff_id)
    if not diff_ids:
        return []
    is_a.append("compressed blob of a layer (V2 mapping)")
    related["diff id"] = ", ".join(sorted(diff_ids))
    return [chain_id for diff_id in sorted(diff_ids) for chain_id in model.chain_of_diff.get(diff_id, ())]


def _layer_identities(model: Model, chain_id: str) -> Mapping[str, str]:
    layer = model.layers.get(chain_id)
    found = {"chain id": chain_id}
    if layer is None:
        return found
    if layer.diff_id is not None:
        found["diff id"] = layer.diff_id
        listed = model.v2_lists.get(layer.diff_id)
        digests = list(dict.fromkeys(entry.digest for entry in listed.entries)) if listed is not None else []
        if digests:
            found["blob digest"] = ", ".join(digests)
    if layer.data_path is not None:
        found["data"] = layer.data_path
    if layer.size is not None:
        found["size"] = f"{layer.size} bytes"
    return found


def _image_chains(model: Model, image: str) -> Iterator[tuple[Link, ...]]:
    """What keeps an image: its names, its containers, its children."""
    config = _image_link(model, image)
    for name in model.names_of.get(image, ()):
        yield (_name_link(model, name, image), config)
    for container in model.containers_of.get(image, ()):
        yield (Link(what=_container(model, container), path=model.containers[container].path), config)
    for child in model.children_of.get(image, ()):
        parent_key = f"{layout.metadata(model.driver, child)}/parent"
        what = f"image {child}, whose parent it is"
        yield (Link(what=what, path=parent_key, key=Key("", child, None)), config)


def _layer_chains(model: Model, chain_id: str) -> Iterator[tuple[Link, ...]]:
    """What keeps a layer: images that hold it with what keeps those, and containers that stand on it."""
    layer = Link(what=f"layer {chain_id}", path=layout.layer(model.driver, chain_id))
    for image in model.users_of.get(chain_id, ()):
        chains = list(_image_chains(model, image))
        for chain in chains or [(_image_link(model, image),)]:
            yield (*chain, layer)
    for mount in model.mounts.values():
        if mount.parent is not None and chain_id in _stack(model, mount.parent):
            path = f"{layout.mounts(model.driver)}/{mount.name}/parent"
            yield (Link(what=_container(model, mount.name), path=path), layer)
    if any(chain_id in _stack(model, top) for top in model.build_cache):
        yield (Link(what="the build cache, which may use it", path=layout.BUILD_CACHE), layer)


def _stack(model: Model, chain_id: str) -> Iterator[str]:
    seen: set[str] = set()
    here: str | None = chain_id
    while here is not None and here not in seen:
        seen.add(here)
        yield here
        layer = model.layers.get(here)
        here = layer.parent if layer is not None else None


def _container(model: Model, identity: str) -> str:
    found = model.containers.get(identity)
    if found is None:
        return f"container {identity}, which has no record of its own"
    return f"container {found.name or identity}"
