"""Read the folders of a Docker data root, all of them or again only where something changed."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from functools import partial
from sys import intern

from orlop.digest import is_hex
from orlop.docker import containers, distribution, layerdb, layout
from orlop.docker.area import Area, leftover, scan
from orlop.docker.configs import ConfigReader
from orlop.docker.model import (
    Container,
    Debris,
    Image,
    Layer,
    Mount,
    TagFile,
    Unreadable,
    V2List,
    V2Reverse,
)
from orlop.docker.tagfile import read_tag_file
from orlop.errors import NoPermission, NotFound, OrlopError
from orlop.fs import Folder, Root
from orlop.progress import Progress


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
    data_names: Mapping[str, str] | None
    """What lies in the driver's folder; None where it cannot be listed."""
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


def _touched_layers(
    old: Parts | None, data_names: Mapping[str, str] | None, changed: Set[str] | None
) -> Set[str] | None:
    """Layer records to read again: those that changed, and those whose data came or went."""
    if old is None or changed is None or (old.data_names is None) != (data_names is None):
        return None
    moved = {name for name, _ in (old.data_names or {}).items() ^ (data_names or {}).items()}
    if not moved:
        return changed
    return changed | {name for name, layer in old.layers.entries.items() if layer.cache_id in moved}


def _parent_key(folder: Folder, name: str, kind: str) -> ParentKey:
    if kind != "folder":
        return ParentKey(text=None, problem=f"a {kind} is in the place of the metadata folder")
    with folder.folder(name) as here:
        try:
            data = here.read("parent", 4096)
        except NotFound:
            return ParentKey(text=None, problem="")
        except NoPermission:
            raise  # no fault of the key: the scan notes that it may not be read
        except OrlopError as error:
            return ParentKey(text=None, problem=error.why or error.what)
    return ParentKey(text=intern(data.decode("utf-8", "surrogateescape")), problem="")


def _data_names(root: Root, driver: str) -> tuple[dict[str, str] | None, tuple[Unreadable, ...]]:
    """What lies in the driver's folder: nothing for drivers of no known layout, None where it cannot be listed."""
    path = layout.layer_data_folder(driver)
    if path is None:
        return {}, ()
    try:
        return dict(root.kinds(path)), ()
    except NotFound:
        return {}, ()
    except OrlopError as error:
        return None, (Unreadable(path=path, why=error.why or error.what),)


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
