"""Read a Docker data root into a `Model`, whole or again only where something changed."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from sys import intern

from orlop import locks, times
from orlop.digest import is_digest, is_hex
from orlop.docker import containers, distribution, layerdb, layout
from orlop.docker.area import Area, leftover, scan
from orlop.docker.configs import ConfigReader, missing
from orlop.docker.model import (
    ConfigState,
    Container,
    Debris,
    Image,
    Layer,
    Model,
    Mount,
    TagFile,
    Unreadable,
    V2List,
    V2Reverse,
)
from orlop.docker.tagfile import read_tag_file
from orlop.errors import NoPermission, NotFound, OrlopError
from orlop.fs import Folder, Root, join
from orlop.progress import Progress
from orlop.records import EngineState, Note


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentKey:
    """The metadata key ``parent`` of an image."""

    text: str | None
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Each folder of the format as it was last read; a re-read replaces the touched ones."""

    driver: str
    reader: ConfigReader
    tags: TagFile
    configs: Area[Image]
    parents: Area[ParentKey]
    layers: Area[Layer]
    mounts: Area[Mount]
    containers: Area[Container]
    v2_lists: Area[V2List]
    v2_reverse: Area[V2Reverse]
    data_names: Mapping[str, str]
    debris: tuple[Debris, ...]
    unreadable: tuple[Unreadable, ...]


class Touched:
    """Which entries of a folder a set of changed paths names; everything for None."""

    def __init__(self, hints: Iterable[str] | None) -> None:
        self._hints = None if hints is None else frozenset(hints)

    def below(self, path: str) -> frozenset[str] | None:
        """Names right below `path` that changed; None for all of them."""
        if self._hints is None:
            return None
        prefix = path + "/"
        names: set[str] = set()
        for hint in self._hints:
            if hint.startswith(prefix):
                names.add(hint[len(prefix) :].split("/", 1)[0])
            elif hint in ("", path) or path.startswith(hint + "/"):
                return None
        return frozenset(names)

    def at(self, path: str) -> bool:
        """Whether `path` itself, something above or something below it changed."""
        names = self.below(path)
        return names is None or bool(names) or path in (self._hints or ())


def read_parts(root: Root, driver: str, *, progress: Progress, previous: Parts | None, touched: Touched) -> Parts:
    """Read every folder of the format, or only what changed since `previous`.

    Raises:
        Cancelled: `progress` stopped it.
    """
    old = previous
    reader = old.reader if old is not None else ConfigReader()
    progress.step("names", 0, 0)
    tags_changed = old is None or touched.at(layout.tag_file(driver))
    tags = read_tag_file(root, driver) if tags_changed or old is None else old.tags

    progress.step("configs", 0, 0)
    path = layout.configs(driver)
    configs = scan(
        root,
        path,
        reader.read,
        wanted=is_hex,
        previous=old.configs if old is not None else None,
        touched=touched.below(path),
    )
    path = layout.metadata_folders(driver)
    parents = scan(
        root,
        path,
        _parent_key,
        wanted=is_hex,
        previous=old.parents if old is not None else None,
        touched=touched.below(path),
    )

    progress.step("layer records", 0, 0)
    data_names, unreadable_data = _data_names(root, driver)
    path = layout.layers(driver)
    layers = scan(
        root,
        path,
        partial(layerdb.record, driver, data_names),
        wanted=is_hex,
        previous=old.layers if old is not None else None,
        touched=_touched_layers(old, data_names, touched.below(path)),
    )

    progress.step("containers", 0, 0)
    path = layout.CONTAINERS
    changed = touched.below(path)
    found = scan(
        root,
        path,
        containers.container,
        wanted=is_hex,
        previous=old.containers if old is not None else None,
        touched=changed,
    )
    mounts = scan(
        root, layout.mounts(driver), partial(layerdb.mount, frozenset(found.entries)), wanted=layerdb.is_mount
    )

    progress.step("V2 metadata", 0, 0)
    path = layout.v2_lists(driver)
    lists = scan(
        root,
        path,
        distribution.v2_list,
        wanted=is_hex,
        previous=old.v2_lists if old is not None else None,
        touched=touched.below(path),
    )
    path = layout.v2_reverses(driver)
    reverse = scan(
        root,
        path,
        distribution.v2_reverse,
        wanted=is_hex,
        previous=old.v2_reverse if old is not None else None,
        touched=touched.below(path),
    )
    debris, unreadable = _loose(root, driver)
    return Parts(
        driver=driver,
        reader=reader,
        tags=tags,
        configs=configs,
        parents=parents,
        layers=layers,
        mounts=mounts,
        containers=found,
        v2_lists=lists,
        v2_reverse=reverse,
        data_names=data_names,
        debris=debris,
        unreadable=(*unreadable, *unreadable_data),
    )


def _touched_layers(old: Parts | None, data_names: Mapping[str, str], changed: Set[str] | None) -> Set[str] | None:
    """Layer records to read again: those that changed, and those whose data came or went."""
    if old is None or changed is None:
        return None
    moved = {name for name, _ in old.data_names.items() ^ data_names.items()}
    if not moved:
        return changed
    return changed | {name for name, layer in old.layers.entries.items() if layer.cache_id in moved}


def read(root: Root, driver: str, *, progress: Progress) -> Model:
    """Read one driver's image store whole.

    Raises:
        Cancelled: `progress` stopped it.
    """
    return join_model(root, read_parts(root, driver, progress=progress, previous=None, touched=Touched(None)))


def _parent_key(folder: Folder, name: str, kind: str) -> ParentKey:
    if kind != "folder":
        return ParentKey(text=None, problem=f"a {kind} is in the place of the metadata folder")
    with folder.folder(name) as here:
        try:
            data = here.read("parent", 4096)
        except NotFound:
            return ParentKey(text=None, problem="")
        except OrlopError as error:
            return ParentKey(text=None, problem=error.why or error.what)
    return ParentKey(text=intern(data.decode("utf-8", "surrogateescape")), problem="")


def _data_names(root: Root, driver: str) -> tuple[dict[str, str], tuple[Unreadable, ...]]:
    """What lies in the driver's folder; nothing for drivers whose layout is not known."""
    path = layout.layer_data_folder(driver)
    if path is None:
        return {}, ()
    try:
        return dict(root.kinds(path)), ()
    except NotFound:
        return {}, ()
    except OrlopError as error:
        return {}, (Unreadable(path=path, why=error.why or error.what),)


def _loose(root: Root, driver: str) -> tuple[tuple[Debris, ...], tuple[Unreadable, ...]]:
    """Leftovers that lie in folders which no area covers."""
    debris: list[Debris] = []
    unreadable: list[Unreadable] = []
    expected = {"repositories.json", "imagedb", "layerdb", "distribution"}
    for path, known in ((layout.image_root(driver), expected), (layout.transactions(driver), set[str]())):
        try:
            with root.folder(path) as folder:
                debris += [leftover(root, folder, name) for name in folder.names() if name not in known]
        except NotFound:
            continue
        except OrlopError as error:
            unreadable.append(Unreadable(path=path, why=error.why or error.what))
    return tuple(debris), tuple(unreadable)


# --- joins -----------------------------------------------------------------


def join_model(root: Root, parts: Parts) -> Model:
    """The model of some parts: every question answered from values, without the disk."""
    driver = parts.driver
    names_of = _names_of(parts.tags)
    containers_of = _grouped((c.image, c.id) for c in parts.containers.entries.values() if c.image)
    images = _images(parts, names_of, containers_of)
    layers = {layer.chain_id: layer for layer in parts.layers.entries.values()}
    engine, engine_text = _engine(root)
    other = _other_drivers(root, driver)
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
            "sha256:" + name for name in parts.parents.entries if name not in parts.configs.entries
        ),
        debris=(*parts.debris, *(item for found in (area.debris for area in areas) for item in found)),
        unreadable=unreadable,
        other_drivers=other,
        containerd_store=containerd,
        bind_mounted=_bind_mounted(root),
        engine=engine,
        engine_text=engine_text,
        notes=_notes(driver, other, containerd, unreadable, engine, engine_text, _hidden(images)),
        seen_at=times.now(),
        names_of=names_of,
        children_of=_grouped((image.parent, image.id) for image in images.values() if image.parent),
        users_of=_users_of(images),
        layer_children_of=_grouped((layer.parent, layer.chain_id) for layer in layers.values() if layer.parent),
        mounts_on=_grouped((mount.parent, mount.name) for mount in parts.mounts.entries.values() if mount.parent),
        containers_of=containers_of,
        chain_of_diff=_grouped((layer.diff_id, layer.chain_id) for layer in layers.values() if layer.diff_id),
        broken_chain=_broken(layers),
    )


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
    named = [*names_of, *containers_of, *("sha256:" + name for name in parts.parents.entries)]
    for identity in named:
        if identity not in images and is_digest(identity):
            images[identity] = missing(identity, folder)
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


# --- the store as a whole --------------------------------------------------


def _engine(root: Root) -> tuple[EngineState, str]:
    try:
        kind = root.stat(layout.LOCK).kind
        if kind != "file":
            return EngineState.UNKNOWN, f"a {kind} is in the place of {layout.LOCK}, whose lock could tell"
        is_held, holder = locks.held(root, layout.LOCK)
    except NotFound:
        return EngineState.UNKNOWN, f"there is no {layout.LOCK} whose lock could tell"
    except OrlopError as error:
        return EngineState.UNKNOWN, f"{layout.LOCK} cannot be asked: {error.why or error.what}"
    if is_held:
        return EngineState.RUNNING, f"the lock on {layout.LOCK} is held" + (f" by {holder}" if holder else "")
    return EngineState.STOPPED, f"the lock on {layout.LOCK} is free"


def drivers(root: Root) -> tuple[str, ...]:
    """Storage drivers that have an image store in a data root, sorted.

    Raises:
        NotFound, WrongKind, NoPermission, StorageFailure: image/ cannot be listed.
    """
    names = [name for name, kind in root.kinds(layout.IMAGE) if kind == "folder"]
    found = []
    for name in names:
        try:
            if root.exists(join(layout.image_root(name), "imagedb")) or root.exists(layout.tag_file(name)):
                found.append(name)
        except NoPermission:
            found.append(name)
    return tuple(found)


def _other_drivers(root: Root, driver: str) -> tuple[str, ...]:
    try:
        return tuple(name for name in drivers(root) if name != driver)
    except OrlopError:
        return ()


def containerd_store(root: Root) -> bool:
    """Whether a containerd image store holds images in this root (Engine 23 and later, where switched on).

    Its snapshots tell: graph-driver engines keep a containerd there as well, without any.
    """
    try:
        plugins = [name for name in root.names(layout.CONTAINERD) if name.startswith("io.containerd.snapshotter.v1.")]
        return any(root.names(path) for name in plugins if root.exists(path := f"{layout.CONTAINERD}/{name}/snapshots"))
    except OrlopError:
        return False


def _bind_mounted(root: Root) -> bool:
    """Whether the root is a mount point of its own file system: what an engine leaves when it is killed."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
            for line in table:
                fields = line.split(" ")
                if _unescaped(fields[4]) == root.path and fields[3] != "/":
                    inside = _unescaped(fields[3])
                    return inside.endswith(root.path) or root.path.endswith(inside)
    except (OSError, IndexError):
        return False
    return False


def _unescaped(path: str) -> str:
    """A path of the mount table: blank, tab, newline and backslash are written in octal (proc(5))."""
    for escape, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(escape, character)
    return path


def _notes(
    driver: str,
    other: Sequence[str],
    containerd: bool,
    unreadable: Sequence[Unreadable],
    engine: EngineState,
    engine_text: str,
    hidden: int,
) -> tuple[Note, ...]:
    notes = [Note(text=f"cannot be read: {part.why}", path=part.path, unreadable=True) for part in unreadable]
    if hidden:
        text = f"{hidden} image configs cannot be read: permission denied"
        notes.append(Note(text=text, path=layout.configs(driver), unreadable=True))
    if engine is EngineState.RUNNING:
        notes.append(Note(text=f"an engine runs on this store, and may change it while it is shown: {engine_text}"))
    if layout.layer_data_folder(driver) is None:
        notes.append(Note(text=f"the layer folders of the driver {driver} are not understood: names and records only"))
    if containerd:
        notes.append(
            Note(
                text="a containerd image store lies in the same root; its images are not shown here",
                path=layout.CONTAINERD,
            )
        )
    notes += [
        Note(text=f"images of the driver {name} are a store of their own", path=f"image/{name}") for name in other
    ]
    return tuple(notes)
