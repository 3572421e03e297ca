"""Every fault of a Docker store, each with its file and what it affects.

Configs were hashed when the store was read; with `content` every layer is. Nothing
here stops at a bad file.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from orlop.digest import is_digest
from orlop.docker import detail, layout, overlaylinks, tarsplit, unrecorded
from orlop.docker.checkfinding import finding
from orlop.docker.model import ConfigState, Image, Layer, Model, Reference
from orlop.docker.unrecorded import Owner
from orlop.errors import Malformed, NoPermission, NotFound, OrlopError
from orlop.finding import Finding, Repair, Severity
from orlop.fs import Folder, Root, join
from orlop.progress import Progress
from orlop.records import EngineState, Key
from orlop.store import Hashing

_STEP = 200
"""Layer records between two reports of progress."""

_REMOVED = "no engine says anything: the record stays for ever"


def check(
    root: Root,
    model: Model,
    keys: Iterable[Key] | None,
    progress: Progress,
    *,
    content: bool = False,
    hashing: Hashing | None = None,
) -> Iterator[Finding]:
    """Findings of the whole store, or only those that affect the images and names of some rows; worst first.

    Args:
        content: whether the archive of every layer, or of every layer that those rows need, is rebuilt and hashed;
            what is unusable by that comes as it is found.
        hashing: what was verified before, and how far to go.

    Raises:
        Cancelled: `progress` stopped it; what was given stands.
        StorageFailure: as `orlop.spread.spread`.
    """
    wanted = None if keys is None else tuple(keys)
    images = {key.id for key in wanted or ()}
    names = {key.name for key in wanted or () if key.name is not None}
    chains = None
    if wanted is not None:
        chains = {chain_id for image in images if image in model.images for chain_id in model.images[image].chain}
    found = [
        one
        for one in _worst_first(_all(root, model, chains, progress))
        if wanted is None or not images.isdisjoint(one.images) or not names.isdisjoint(one.names)
    ]
    if not content:
        yield from found
        return
    bad = [one for one in found if one.severity in (Severity.BLOCKS, Severity.UNUSABLE)]
    yield from bad
    rest = found[len(bad) :]
    from orlop.docker import checkcontent

    unusable = {one.path for one in found if one.rule == "DK09"}
    for one in checkcontent.contents(root, model, chains, unusable, progress, hashing, asked=sorted(images)):
        if one.severity is Severity.UNUSABLE:
            yield one
        else:
            rest.append(one)
    yield from _worst_first(rest)


def check_near(root: Root, model: Model, paths: Iterable[str], progress: Progress) -> Iterator[Finding]:
    """As `orlop.store.ChecksNear` says.

    Names, configs, metadata and what is remembered of pulls say nothing of a layer's own
    files: DK06 and DK08 to DK11 are read from ``layerdb/sha256`` and the driver's folder
    alone, and the same before and after. Of a change that touches those everything is read.
    """
    beside = tuple(f"{path}/" for path in layout.beside_layers(model.driver))
    if all(f"{path}/".startswith(beside) for path in paths):
        yield from _worst_first(_all(root, model, set(), progress))
    else:
        yield from check(root, model, None, progress)


def _worst_first(findings: Iterable[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda one: one.severity)


def _all(root: Root, model: Model, chains: set[str] | None, progress: Progress) -> Iterator[Finding]:
    """Every rule in turn; only the layers in `chains` are read, where it is given."""
    yield from _tag_file(model)
    yield from _names(model)
    yield from _configs(model)
    yield from _layers(model)
    yield from overlaylinks.broken(root, model, chains, progress)
    yield from recipes(root, model, chains, progress)
    yield from _missing_layers(model)
    yield from orphan_layers(model)
    if chains is None:
        yield from _orphan_data(root, model)
    yield from _mounts(model)
    yield from _containers(model)
    yield from _debris(model)
    yield from _distribution(model)
    yield from _parents(model)
    yield from _hidden(model)
    yield from _untagged(model)


# --- names and configs -----------------------------------------------------


def _tag_file(model: Model) -> Iterator[Finding]:
    if model.tags.state == "bad" and not model.unseen(layout.tag_file(model.driver)):
        yield finding(
            model,
            "DK01",
            layout.tag_file(model.driver),
            f"the names of all images cannot be read: {model.tags.why}",
            says=model.tags.engine_says,
        )


def _names(model: Model) -> Iterator[Finding]:
    path = layout.tag_file(model.driver)
    for entry in sorted(_troubled(model), key=lambda entry: entry.text):
        image = model.images.get(entry.image)
        if entry.problem:
            says = "" if is_digest(entry.image) else "invalid checksum digest format"
            known = [entry.image] if image is not None else []
            detail = f"the name {entry.text} cannot be used: {entry.problem}"
            yield finding(model, "DK22", path, detail, images=known, names=[entry.text], says=says, subject=entry.text)
        if is_digest(entry.image) and (image is None or image.config is ConfigState.MISSING):
            yield finding(
                model,
                "DK02",
                path,
                f"the name {entry.text} leads to {entry.image}, which is not in the store",
                images=[entry.image],
                names=[entry.text],
                says=f"No such image: {entry.text}",
                subject=entry.text,
            )


def _troubled(model: Model) -> Iterator[Reference]:
    """Names that cannot be used, or that lead nowhere."""
    for entry in model.tags.references.values():
        image = model.images.get(entry.image)
        if entry.problem or image is None or image.config is ConfigState.MISSING:
            yield entry


def _configs(model: Model) -> Iterator[Finding]:
    fine = (ConfigState.GOOD, ConfigState.MISSING, ConfigState.TOO_LARGE)
    for image in _sorted(model.images.values()):
        if image.config in fine or (image.config is ConfigState.UNREADABLE and not image.engine_says):
            continue  # a config that this user may not read is no fault of the store
        yield finding(
            model,
            "DK03",
            layout.config(model.driver, image.id),
            image.why,
            images=[image.id],
            says=image.engine_says,
            size=image.size,
        )


def _sorted(images: Iterable[Image]) -> list[Image]:
    return sorted(images, key=lambda image: image.id)


# --- layers ----------------------------------------------------------------


def _layers(model: Model) -> Iterator[Finding]:
    for chain_id in sorted(model.layers):
        layer = model.layers[chain_id]
        path = layout.layer(model.driver, chain_id)
        users = model.users_of.get(chain_id, ())
        if layer.problems:
            yield _broken_record(model, layer, path, users)
        if layer.parent_lost:
            yield _parent_lost(model, layer, path, users)
        if layer.data_path is not None and not layer.data and not layer.problems:
            yield finding(
                model,
                "DK07",
                layer.data_path,
                f"the data of layer {chain_id} is not there",
                images=users,
                says=f"stat {layout.spelled(layer.data_path)}: no such file or directory",
                size=layer.size,
            )


def _broken_record(model: Model, layer: Layer, path: str, users: Sequence[str]) -> Finding:
    files = sorted(layer.problems)
    at = path if files[0] == "." else join(path, files[0])
    detail = "; ".join(why if file == "." else f"{file} is {why}" for file, why in sorted(layer.problems.items()))
    found = finding(model, "DK04", at, detail, images=users, says=layer.engine_says)
    return replace(found, repair=Repair.QUARANTINE) if "." in layer.problems else found


def _parent_lost(model: Model, layer: Layer, path: str, users: Sequence[str]) -> Finding:
    true_parent = _true_parent(model, layer.chain_id)
    if layer.parent is None:
        detail = "the file parent is missing, and diff alone does not give the record's name"
    else:
        detail = f"the file parent names {layer.parent}, which with diff does not give the record's name"
    if true_parent is not None:
        detail += f"; it must name {true_parent}"
    return finding(model, "DK05", join(path, "parent"), detail, images=users, size=layer.size)


def _true_parent(model: Model, chain_id: str) -> str | None:
    """The layer below, as the config of an image with this layer has it."""
    for user in model.users_of.get(chain_id, ()):
        chain = model.images[user].chain
        at = chain.index(chain_id)
        if at > 0:
            return chain[at - 1]
    return None


def recipes(root: Root, model: Model, chains: set[str] | None, progress: Progress) -> Iterator[Finding]:
    """tar-split records: readable, and the sizes in them add up to the layer's size."""
    wanted = [layer for chain_id, layer in sorted(model.layers.items()) if chains is None or chain_id in chains]
    try:
        records = root.folder(layout.layers(model.driver))
    except OrlopError:
        return  # there are no layers, or a note says that they cannot be read
    with records:
        for number, layer in enumerate(wanted):
            if number % _STEP == 0:
                progress.step("tar-split records", number, len(wanted))
            if not layer.problems:
                yield from _recipe(root, model, records, layer)


def _recipe(root: Root, model: Model, records: Folder, layer: Layer) -> Iterator[Finding]:
    path = layout.tar_split(model.driver, layer.chain_id)
    users = model.users_of.get(layer.chain_id, ())
    try:
        with records.folder(layer.chain_id[7:]) as record, record.stream("tar-split.json.gz") as stream:
            content = tarsplit.content_size(stream)
    except Malformed as error:
        yield finding(model, "DK09", path, error.why, images=users, says=error.engine)
        return
    except NotFound:
        if not root.exists(join(layout.layer(model.driver, layer.chain_id), "diff")):
            return  # an engine removed the layer since the store was read
        says = f"open {layout.spelled(path)}: no such file or directory"
        yield finding(model, "DK09", path, "it is missing", images=users, says=says)
        return
    except NoPermission:
        yield finding(model, "DK09", path, "this user may not read it", severity=Severity.INFORMATION)
        return
    except OrlopError as error:
        yield finding(model, "DK09", path, error.why or error.what, images=users, says=error.why)
        return
    except OSError as error:
        yield finding(model, "DK09", path, f"it cannot be read: {error.strerror}", images=users)
        return
    if layer.size is not None and not _sized(root, model, layer, content):
        yield finding(
            model,
            "DK06",
            join(layout.layer(model.driver, layer.chain_id), "size"),
            f"it says {layer.size} bytes, the files of the layer have {content}",
            images=users,
            size=abs(layer.size - content),
        )


def _sized(root: Root, model: Model, layer: Layer, content: int) -> bool:
    """Whether a layer's size is that of its files, or may be.

    overlay2 gives it as the layer's folder measures, where links count with the length of
    their text: without the folder, another size than that of the files proves nothing.
    moby: daemon/graphdriver/overlay2/overlay.go (ApplyDiff), pkg/directory/directory_unix.go (Size).
    """
    if layer.size == content:
        return True
    if model.driver != "overlay2" or layer.data_path is None:
        return False
    try:
        return layer.size == root.content_size(join(layer.data_path, "diff"))
    except OrlopError:
        return True  # DK07 says that it is not there, a note that it cannot be read


def _missing_layers(model: Model) -> Iterator[Finding]:
    for image in _sorted(model.images.values()):
        gone = [chain_id for chain_id in image.chain if _layer_missing(model, chain_id)]
        if gone:
            yield finding(
                model,
                "DK14",
                layout.layer(model.driver, gone[0]),
                f"image {image.id} needs {_counted(len(gone), 'layer')} without a record, the lowest {gone[0]}",
                images=[image.id],
                says=f"layer does not exist, not restoring image {image.id}",
                subject=image.id,
            )


def _layer_missing(model: Model, chain_id: str) -> bool:
    return chain_id not in model.layers and not model.unseen(layout.layer(model.driver, chain_id))


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def orphan_layers(model: Model) -> Iterator[Finding]:
    """Records that nothing needs; none while an image's layers, or a part of the store, cannot be known.

    A damaged config no longer says which layers are its own: beside one, an orphan is information only.
    """
    unknown = [image.id for image in model.images.values() if image.config in LAYERS_UNKNOWN]
    if unknown or model.unreadable:
        return
    needed = set(model.users_of)
    for top in (*(mount.parent for mount in model.mounts.values()), *model.build_cache):
        here = top
        while here is not None and here not in needed:
            needed.add(here)
            layer = model.layers.get(here)
            here = layer.parent if layer is not None else None
    corrupt = sum(1 for image in model.images.values() if image.config in LAYERS_LOST)
    remark = f"; it may belong to {_counted(corrupt, 'image')} whose config is damaged" if corrupt else ""
    for chain_id in sorted(model.layers.keys() - needed):
        layer = model.layers[chain_id]
        if not layer.problems:
            detail = f"no image and no container needs this layer{remark}"
            path = layout.layer(model.driver, chain_id)
            severity = Severity.INFORMATION if corrupt else Severity.SPACE
            yield finding(model, "DK12", path, detail, size=layer.size, severity=severity)


def _orphan_data(root: Root, model: Model) -> Iterator[Finding]:
    """Folders of the driver that nothing names; one finding for each reason why that cannot be told."""
    try:
        folders = unrecorded.folders(root, model)
    except OrlopError:
        return  # a note says that the folder cannot be listed
    unknown: dict[str, list[str]] = {}
    for folder in folders:
        if folder.owner is Owner.UNRECORDED:
            size = root.allocated(folder.path)
            yield finding(model, "DK11", folder.path, folder.because, size=size, subject=folder.name)
        elif folder.owner is Owner.UNKNOWN and folder.because != unrecorded.YOUNG:
            unknown.setdefault(folder.because, []).append(folder.path)
    for why, paths in unknown.items():
        above = layout.layer_data_folder(model.driver) or ""
        detail = f"whose {_counted(len(paths), 'folder')} are, the first {paths[0]}, cannot be told: {why}"
        text = detail.replace("1 folder are, the first", "1 folder is,")
        yield finding(model, "DK11", above, text, severity=Severity.INFORMATION, subject=why)


LAYERS_UNKNOWN = (ConfigState.TOO_LARGE, ConfigState.UNREADABLE)
"""States of a config whose image the engine may serve, and whose layers Orlop cannot know."""
LAYERS_LOST = (ConfigState.EMPTY, ConfigState.ALTERED, ConfigState.MALFORMED, ConfigState.WRONG_KIND)
"""States of a config that no longer says which layers it had."""


# --- containers ------------------------------------------------------------


def _mounts(model: Model) -> Iterator[Finding]:
    for name in sorted(model.mounts):
        mount = model.mounts[name]
        path = join(layout.mounts(model.driver), name)
        if not mount.container_known and not model.unseen(layout.container(name)):
            detail = f"there is no container {name}" + (f"; {mount.problem}" if mount.problem else "")
            yield finding(model, "DK13", path, detail, containers=[name], says=_REMOVED)
        elif mount.problem:
            yield finding(model, "DK21", path, mount.problem, containers=[name], says=_not_loaded(name))
        elif mount.parent is None and (top := _top_of(model, name)) is not None:
            detail = f"the file parent is missing; by the container's image it must name {top}"
            yield finding(model, "DK21", join(path, "parent"), detail, containers=[name])
        elif mount.parent is not None and _layer_missing(model, mount.parent):
            detail = f"the container stands on layer {mount.parent}, which has no record"
            yield finding(model, "DK21", join(path, "parent"), detail, containers=[name], says=_not_loaded(name))


def _top_of(model: Model, container: str) -> str | None:
    """The layer that a container stands on by its image's config; None where that has none or cannot be known."""
    found = model.containers.get(container)
    image = model.images.get(found.image) if found is not None and found.image is not None else None
    return image.chain[-1] if image is not None and image.chain else None


def _containers(model: Model) -> Iterator[Finding]:
    for identity, container in sorted(model.containers.items()):
        path = join(container.path, "config.v2.json")
        if container.problem:
            yield finding(model, "DK21", path, container.problem, containers=[identity], says=_not_loaded(identity))
        elif container.driver == model.driver and identity not in model.mounts:
            path = join(layout.mounts(model.driver), identity)
            if not model.unseen(path):
                says = f"Failed to load container mount {identity}: mount does not exist"
                yield finding(model, "DK21", path, "it has no mount record", containers=[identity], says=says)


def _not_loaded(container: str) -> str:
    return f"failed to load container {container}"


# --- the rest --------------------------------------------------------------


def _debris(model: Model) -> Iterator[Finding]:
    for leftover in sorted(model.debris, key=lambda debris: debris.path):
        yield finding(model, "DK15", leftover.path, leftover.kind, size=leftover.bytes)
    for image in sorted(model.metadata_only):
        yield finding(
            model,
            "DK15",
            layout.metadata(model.driver, image),
            f"metadata of {image}, which has no config",
        )


def _distribution(model: Model) -> Iterator[Finding]:
    for problem, path in sorted(
        [(record.problem, record.path) for record in model.v2_lists.values() if record.problem]
        + [(record.problem, record.path) for record in model.v2_reverse.values() if record.problem],
        key=lambda found: found[1],
    ):
        yield finding(model, "DK16", path, f"it cannot be read: {problem}", severity=Severity.SPACE)
    stale = sorted((found for found in detail.mappings(model, None) if found.stale), key=lambda found: found.path)
    for path, group in groupby(stale, key=lambda found: found.path):
        records = list(group)
        reasons = sorted({record.reason for record in records})
        text = f"{_counted(len(records), 'stale mapping')}: {'; '.join(reasons)}"
        images = sorted({image for record in records for image in record.images})
        yield finding(model, "DK16", path, text, images=images)


def _parents(model: Model) -> Iterator[Finding]:
    for image in _sorted(model.images.values()):
        if image.config is ConfigState.MISSING:
            continue  # DK15: its metadata is a leftover
        path = join(layout.metadata(model.driver, image.id), "parent")
        if image.parent_problem:
            yield finding(model, "DK17", path, f"it cannot be read: {image.parent_problem}", images=[image.id])
        elif image.parent is not None and not _known(model, image.parent):
            detail = f"it names {image.parent}, which is not in the store"
            yield finding(model, "DK17", path, detail, images=[image.id])


def _known(model: Model, image: str) -> bool:
    found = model.images.get(image)
    return found is not None and found.config is not ConfigState.MISSING


def _hidden(model: Model) -> Iterator[Finding]:
    for driver in model.other_drivers:
        detail = f"images of the storage driver {driver} are kept beside those of {model.driver}"
        yield finding(model, "DK18", layout.image_root(driver), detail)
    if model.containerd_store:
        yield finding(model, "DK18", layout.CONTAINERD, "a containerd image store holds images in the same root")
    if model.bind_mounted and model.engine not in (EngineState.RUNNING, EngineState.HELD):
        yield finding(model, "DK19", ".", "the data root is mounted on itself, and no engine holds its lock")


def _untagged(model: Model) -> Iterator[Finding]:
    for image in _sorted(model.images.values()):
        if image.config is ConfigState.MISSING:
            continue
        path = layout.config(model.driver, image.id)
        names = model.names_of.get(image.id, ())
        if not names and image.id not in model.children_of and model.tags.state != "bad":
            yield finding(
                model, "DK20", path, "no name leads to this image, and no image has it as its parent", images=[image.id]
            )
        for repository, tags in _tags_by_repository(model, names):
            if len(tags) > 1:
                detail = f"{len(tags)} tags of {repository} lead to the same image: {', '.join(tags)}"
                twice = finding(
                    model,
                    "DK20",
                    path,
                    detail,
                    images=[image.id],
                    names=tags,
                    title="duplicate-tags",
                    subject=repository,
                )
                yield replace(twice, repair=None)  # an image with two names lacks nothing


def _tags_by_repository(model: Model, names: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    tags = [name for name in names if "@" not in name]
    key: Callable[[str], str] = lambda name: model.tags.references[name].repository  # noqa: E731
    for repository, group in groupby(sorted(tags, key=lambda name: (key(name), name)), key=key):
        yield repository, list(group)
