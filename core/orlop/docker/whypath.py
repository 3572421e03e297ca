"""What is at a path of a Docker data root, and what keeps it."""

from dataclasses import replace

from orlop import asked
from orlop.docker import layout, unrecorded, why
from orlop.docker.model import Debris, Model
from orlop.docker.unrecorded import DataFolder, Owner
from orlop.errors import Ambiguous, NotFound, OrlopError, WrongKind
from orlop.fs import Root, join
from orlop.records import Link, Why

_SHORTEST = 2
"""Characters of a folder's name that may stand for all of it."""

_INSIDE = {
    "diff": "the files of a layer",
    "merged": "where the file system of a container is mounted while it runs",
    "work": "the working folder of the kernel's overlay",
    "lower": "the list of the layers below",
    "link": "the short name of a layer",
    "committed": "the mark of a layer that others stand on",
}
"""overlay2: what is in the folder of a layer."""

_ENGINES = {
    "buildkit": "records of the build cache",
    "containerd": "the engine's own containerd",
    "containers": "folder of all containers",
    "image": "folder of all image stores",
    "network": "networks of the engine",
    "plugins": "plugins of the engine",
    "runtimes": "runtimes of the engine",
    "swarm": "swarm state of the engine",
    "tmp": "what a pull or load receives; the engine empties it when it starts",
    "tmp-old": "what a pull or load received; the engine removes it when it starts",
    "trust": "keys of the engine",
    "volumes": "volumes",
}


def at(root: Root, model: Model, path: str) -> Why | None:
    """What is at a path; None where nothing is, and nothing of the store names it.

    Raises:
        Ambiguous: the start of several names in a folder.
        NoPermission, StorageFailure: the place cannot be looked at.
    """
    if not path:
        return asked.place(path, "the data root")
    if (own := asked.in_own_folder(root, path)) is not None:
        return own
    path = _whole(root, path)
    if (found := _debris(model, path)) is not None:
        return found
    parts = path.split("/")
    above = layout.layer_data_folder(model.driver)
    if above is not None and path.startswith(above + "/"):
        return _data(root, model, path, parts[above.count("/") + 1 :])
    if path.startswith(layout.image_root(model.driver) + "/"):
        return _record(root, model, path, parts[2:])
    if parts[0] == layout.CONTAINERS and len(parts) > 1 and parts[1] in model.containers:
        return replace(why.identity(root, model, parts[1]), subject=path)
    return _engines(root, model, path, parts)


def named(root: Root, model: Model, text: str) -> Why | None:
    """What a bare name is that is no digest: a container's, a folder's of the driver, a short name's of overlay2.

    Raises:
        Ambiguous: the start of several names of folders.
        NoPermission, StorageFailure: the driver's folder cannot be looked at.
    """
    for container in model.containers.values():
        if container.name == text:
            return why.identity(root, model, container.id)
    above = layout.layer_data_folder(model.driver)
    if above is None or len(text) < _SHORTEST:
        return None
    for folder in (above, f"{above}/l") if model.driver == "overlay2" else (above,):
        path = _whole(root, join(folder, text))
        if _is_there(root, path):
            return at(root, model, path)
    return None


def _whole(root: Root, path: str) -> str:
    """A path whose last name may be cut short, with that name whole."""
    folder, _, start = path.rpartition("/")
    if _is_there(root, path) or len(start) < _SHORTEST or not folder:
        return path
    try:
        found = [name for name in root.names(folder) if name.startswith(start)]
    except (NotFound, WrongKind):
        return path
    own = [name for name in found if name.removesuffix("-init") not in found or not name.endswith("-init")]
    if len(own) > 1:
        raise Ambiguous(path, [join(folder, name) for name in own])
    return join(folder, own[0]) if own else path


def _is_there(root: Root, path: str) -> bool:
    try:
        return root.exists(path)
    except OrlopError:
        return True  # it cannot be looked at: then its name must do


def _debris(model: Model, path: str) -> Why | None:
    found: Debris | None = next((one for one in model.debris if f"{path}/".startswith(f"{one.path}/")), None)
    if found is None:
        return None
    return Why(
        subject=path,
        is_a=(found.kind,),
        kept_by=(),
        related={"bytes": str(found.bytes)},
        remark="an operation that was cut off left it" if found.kind != "foreign" else "no engine gives such a name",
        judged=found.kind != "foreign",
    )


# --- the driver's folders --------------------------------------------------------


def _data(root: Root, model: Model, path: str, parts: list[str]) -> Why | None:
    """Something in the driver's layer folder."""
    name, inside = parts[0], parts[1:]
    if model.driver == "overlay2" and name == "l":
        return _short_name(root, model, path, inside)
    found = next((one for one in unrecorded.folders(root, model) if one.name == name), None)
    if found is None:
        known = [chain_id for chain_id, layer in model.layers.items() if layer.cache_id == name]
        return replace(why.identity(root, model, name), remark="it is not there") if known else None
    answer = _folder(root, model, found)
    what = _INSIDE.get(inside[0]) if inside and model.driver == "overlay2" else None
    is_a = (f"{what}: {'/'.join(inside)}" if what else f"a part of a layer: {'/'.join(inside)}",) if inside else ()
    return replace(answer, subject=path, is_a=(*is_a, *answer.is_a))


def _short_name(root: Root, model: Model, path: str, inside: list[str]) -> Why | None:
    if not inside:
        return asked.place(path, "folder of the short names of all layers")
    try:
        target = root.link_target(layout.link(inside[0]))
    except NotFound:
        return None
    except WrongKind as error:
        return asked.place(path, f"a {error.found} in the place of a short name")
    name = target.removeprefix("../").removesuffix("/diff")
    above = layout.layer_data_folder(model.driver) or ""
    answer = _data(root, model, join(above, name), [name]) if name and "/" not in name else None
    if answer is None:
        remark = f"it leads to {target}, which is no layer's folder of this store"
        return Why(subject=path, is_a=("short name of a layer",), kept_by=(), remark=remark)
    related = {"leads to": target, **answer.related}
    return replace(answer, subject=path, is_a=("short name of a layer", *answer.is_a), related=related)


def _folder(root: Root, model: Model, found: DataFolder) -> Why:
    match found.owner:
        case Owner.LAYER:
            return why.identity(root, model, found.name)
        case Owner.CONTAINER:
            answer = why.identity(root, model, found.subject)
            began = found.name.endswith("-init") or model.mounts[found.subject].init_id == found.name
            what = "what a container began with" if began else "writable layer of a container"
            return replace(answer, is_a=(what,))
        case Owner.BUILD_CACHE:
            link = Link(what="the build cache", path=layout.BUILD_CACHE)
            return Why(subject=found.path, is_a=("snapshot of the build cache",), kept_by=((link,),))
        case Owner.MOUNTED:
            link = Link(what=found.because, path=None)
            return Why(subject=found.path, is_a=("layer folder that is in use",), kept_by=((link,),))
        case Owner.DEBRIS:
            remark = f"{found.because}: it takes space only"
            return Why(subject=found.path, is_a=("layer folder that was cut off",), kept_by=(), remark=remark)
        case Owner.UNRECORDED:
            is_a = ("layer folder that no record names",)
            return Why(subject=found.path, is_a=is_a, kept_by=(), remark=f"{found.because}: it takes space only")
        case Owner.UNKNOWN:
            remark = f"cannot tell whose it is: {found.because}"
            return asked.place(found.path, "layer folder", remark)
        case Owner.FOREIGN:
            return asked.place(found.path, "foreign", found.because)


# --- the driver's records --------------------------------------------------------


def _record(root: Root, model: Model, path: str, parts: list[str]) -> Why | None:
    """Something in the image store of the driver."""
    match parts:
        case ["repositories.json"]:
            images = f"{len(model.tags.references)} names of {len(model.names_of)} images"
            link = Link(what="the engine reads it at its start", path=path)
            return Why(subject=path, is_a=("the file of all names",), kept_by=((link,),), related={"holds": images})
        case ["imagedb", "content", "sha256", digits]:
            return _known(root, model, path, digits, "config of an image")
        case ["imagedb", "metadata", "sha256", digits, *_]:
            return _known(root, model, path, digits, "metadata of an image")
        case ["layerdb", "sha256", digits, *rest]:
            return _known(root, model, path, digits, f"record of a layer{': ' if rest else ''}{'/'.join(rest)}")
        case ["layerdb", "mounts", name, *_] if name in model.mounts:
            answer = why.identity(root, model, name)
            return replace(answer, subject=path, is_a=("mount record of a container",))
        case ["distribution", "v2metadata-by-diffid", "sha256", digits]:
            return _known(root, model, path, digits, "V2 mapping of a layer, by its diff id")
        case ["distribution", "diffid-by-digest", "sha256", digits]:
            return _known(root, model, path, digits, "V2 mapping of a layer, by its blob's digest")
    return asked.place(path, "part of the image store") if _is_there(root, path) else None


def _known(root: Root, model: Model, path: str, digits: str, what: str) -> Why | None:
    answer = why.identity(root, model, digits)
    if not answer.is_a:
        return asked.place(path, what) if _is_there(root, path) else None
    return replace(answer, subject=path, is_a=(what, *answer.is_a))


# --- the rest ----------------------------------------------------------------------


def _engines(root: Root, model: Model, path: str, parts: list[str]) -> Why | None:
    """What is no part of this driver's images."""
    if not _is_there(root, path):
        return None
    if parts[0] == layout.IMAGE and len(parts) > 1:
        if parts[1] == model.driver:
            return asked.place(path, f"the image store of the driver {model.driver}")
        what = f"records of the driver {parts[1]}"
        return asked.place(path, what, "they are a store of their own: --driver shows it")
    if parts[0] == "volumes" and len(parts) > 1 and path != layout.LOCK:
        remark = "containers name it in their own records; image stores do not"
        return asked.place(path, f"volume {parts[1]}", remark)
    if path == layout.LOCK:
        return asked.place(path, "the record of volumes, which an engine locks while it runs")
    if parts[0] == model.driver:
        return asked.place(path, f"folder of the driver {model.driver}")
    other = f"layers of the driver {parts[0]}" if parts[0] in model.other_drivers else "no part of the image store"
    return asked.place(path, _ENGINES.get(parts[0], other), "Orlop leaves it to the engine")
