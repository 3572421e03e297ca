"""Read the folders of a Docker data root, all of them or again only where something changed."""

from collections.abc import Iterable, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from sys import intern
from typing import Any, Protocol

from orlop import times
from orlop.digest import is_hex
from orlop.docker import containers, distribution, layerdb, layout
from orlop.docker.area import SETTLED, Area, Reading, leftover, scan
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
from orlop.docker.remembering import Memory
from orlop.docker.surroundings import build_cache
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
class BuildCache:
    """What BuildKit's records name."""

    version: tuple[int, ...] | None
    """Of the file that was searched; None: there is none, or it changes just now."""
    digests: frozenset[str]
    unreadable: tuple[Unreadable, ...]


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
    build_cache: BuildCache
    debris: tuple[Debris, ...]
    unreadable: tuple[Unreadable, ...]

    @property
    def areas(self) -> tuple[Area[Any], ...]:
        """Everything that is a folder of like entries."""
        return (
            self.configs,
            self.parents,
            self.layers,
            self.mounts,
            self.v2_lists,
            self.v2_reverse,
            self.containers,
        )


class Early(Protocol):
    """Takes what is known first."""

    def first(self, repositories: Mapping[str, Mapping[str, str]]) -> None:
        """Repositories with their names and image ids, before anything is known of any."""

    def names(self, tags: TagFile) -> None:
        """The names."""


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


def read_parts(
    root: Root,
    driver: str,
    *,
    progress: Progress,
    previous: Parts | None,
    touched: Touched,
    early: Early | None = None,
    memory: Memory | None = None,
) -> Parts:
    """Read every folder of the format, or only what changed since `previous`.

    Args:
        root: the store.
        driver: the storage driver.
        progress: told of each phase.
        previous: what the last read gave; what it says of a file is kept while the file's times are the same.
        touched: what may have changed since.
        early: given the names before anything else is read, and some of them before all.
        memory: what was read in an earlier run.

    Raises:
        Cancelled: `progress` stopped it.
    """
    old = previous
    progress.step("names", 0, 0)
    if old is None:
        tags = read_tag_file(root, driver, early=early.first if early is not None else None)
    else:
        tags = read_tag_file(root, driver, old.tags) if touched.at(layout.tag_file(driver)) else old.tags
    if early is not None:
        early.names(tags)

    progress.step("configs", 0, 0)
    reader = old.reader if old is not None else ConfigReader(memory)
    configs = reader.scan(
        root,
        driver,
        tags,
        previous=old.configs if old is not None else None,
        touched=touched.below(layout.configs(driver)),
        progress=progress,
    )
    parents = scan(
        root,
        Reading(path=layout.metadata_folders(driver), read=_parent_key, wanted=is_hex, what="metadata"),
        previous=old.parents if old is not None else None,
        touched=touched.below(layout.metadata_folders(driver)),
        progress=progress,
    )

    progress.step("layer records", 0, 0)
    data_names, unreadable_data = _data_names(root, driver, old, touched)
    layers = layerdb.scan_records(
        root,
        driver,
        data_names,
        previous=old.layers if old is not None else None,
        touched=touched.below(layout.layers(driver)),
        moved=_moved(old, data_names),
        progress=progress,
        memory=memory,
    )

    progress.step("containers", 0, 0)
    path = layout.CONTAINERS
    found = scan(
        root,
        Reading(path=path, read=containers.container, wanted=is_hex),
        previous=old.containers if old is not None else None,
        touched=touched.below(path),
    )
    mounts = _mounts(root, driver, old, found, touched)

    progress.step("V2 metadata", 0, 0)
    path = layout.v2_lists(driver)
    lists = scan(
        root,
        Reading(path=path, read=distribution.v2_list, wanted=is_hex, what="V2 metadata"),
        previous=old.v2_lists if old is not None else None,
        touched=touched.below(path),
        progress=progress,
    )
    path = layout.v2_reverses(driver)
    reverse = scan(
        root,
        Reading(path=path, read=distribution.v2_reverse, wanted=is_hex, what="V2 metadata, by digest"),
        previous=old.v2_reverse if old is not None else None,
        touched=touched.below(path),
        progress=progress,
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
        build_cache=_build_cache(root, old),
        debris=debris,
        unreadable=(*unreadable, *unreadable_data),
    )


def _mounts(root: Root, driver: str, old: Parts | None, found: Area[Container], touched: Touched) -> Area[Mount]:
    """The mounts; where a container came or went all of them, for each says whether its own is there."""
    path = layout.mounts(driver)
    reading = Reading(path=path, read=partial(layerdb.mount, frozenset(found.entries)), wanted=layerdb.is_mount)
    if old is not None and found.changed == frozenset():
        return scan(root, reading, previous=old.mounts, touched=touched.below(path))
    area = scan(root, reading)
    if old is None or not area.whole or not old.mounts.whole:
        return area
    before, now = old.mounts.entries, area.entries
    changed = frozenset(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    return replace(area, changed=changed)


def _build_cache(root: Root, old: Parts | None) -> BuildCache:
    version: tuple[int, ...] | None = None
    with suppress(OrlopError):  # searching it says what is wrong
        found = root.stat(layout.BUILD_CACHE)
        version = found.version if found.ctime < times.now() - SETTLED else None
    if old is not None and version is not None and old.build_cache.version == version:
        return old.build_cache
    digests, unreadable = build_cache(root)
    return BuildCache(version=version, digests=digests, unreadable=unreadable)


def _moved(old: Parts | None, data_names: Mapping[str, str] | None) -> Set[str] | None:
    """Names in the driver's folder that came or went, or are of another kind; None where that cannot be known."""
    if old is None or (old.data_names is None) != (data_names is None):
        return None
    before, now = old.data_names or {}, data_names or {}
    if before is now:
        return frozenset()
    return {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}


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


def _data_names(
    root: Root, driver: str, old: Parts | None, touched: Touched
) -> tuple[Mapping[str, str] | None, tuple[Unreadable, ...]]:
    """What lies in the driver's folder: nothing for drivers of no known layout, None where it cannot be listed."""
    path = layout.layer_data_folder(driver)
    if path is None:
        return {}, ()
    names = touched.below(path)
    try:
        if old is None or old.data_names is None or names is None:
            return {intern(name): kind for name, kind in root.kinds(path)}, ()
        return _data_names_again(root, path, old.data_names, names), ()
    except NotFound:
        return {}, ()
    except OrlopError as error:
        return None, (Unreadable(path=path, why=error.why or error.what),)


def _data_names_again(root: Root, path: str, before: Mapping[str, str], names: Set[str]) -> Mapping[str, str]:
    if not names:
        return before
    found = dict(before)
    with root.folder(path) as folder:
        for name in names:
            found.pop(name, None)
            with suppress(NotFound):  # it is no longer there
                found[name] = folder.stat(name).kind
    return found


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
