"""Whose each folder below the driver's layer folder is: a layer's, a container's, the build cache's, or nobody's.

What names such a folder (moby 20.10 to 28):

- ``cache-id`` of a layer record (layer/filestore.go), of one on its way out (``-removing``) or in the making
  (``layerdb/tmp/write-set-*``);
- ``mount-id`` and ``init-id`` below ``layerdb/mounts`` (layer/layer_store.go), also of BuildKit's own mounts, whose
  names are 25 characters;
- BuildKit's snapshots, which are folders of the driver with 25 characters (builder/builder-next/adapters/snapshot):
  their names are in ``buildkit/snapshots.db``;
- mounts of any process.

What none of them names is waste, once every one of them could be read and nothing that
still works has lost its name of a folder.
"""

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from orlop import mounttables, times
from orlop.docker import layout
from orlop.docker.model import Model
from orlop.errors import NotFound, OrlopError
from orlop.fs import Root, join
from orlop.records import EngineState

YOUNGEST = 3600 * 10**9
"""Nanoseconds for which a folder may still be in the making, where no free lock proves that no engine works."""

YOUNG = "it is new, and an engine may be making it"
"""Why nothing can be told of a new folder; `DataFolder.because`."""

_ID = re.compile(r"([0-9a-f]{64}|[0-9a-z]{25})(-init)?", re.ASCII)
"""Names that engines give: 64 random hex digits, and BuildKit's identity.NewID of 25 characters of base 36."""
_WORD = re.compile(rb"[0-9a-z]{25,}")
_LONGEST = 64
_SMALL = 4096
_BLOCK = 1 << 20


class Owner(StrEnum):
    """Whose a folder is."""

    LAYER = "recorded layer"
    CONTAINER = "container"
    BUILD_CACHE = "build cache"
    MOUNTED = "mounted now"
    DEBRIS = "debris"  # of a layer that was being made or removed
    UNRECORDED = "unrecorded"
    UNKNOWN = "cannot tell"
    FOREIGN = "foreign"  # no engine gives such a name


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFolder:
    """One folder below the driver's layer folder."""

    name: str
    path: str
    """Relative to the data root."""
    owner: Owner
    because: str
    """One clause: what names it, or why nothing is known."""
    subject: str = ""
    """Chain id of the layer, name of the mount record, path of the debris; else empty."""


def folders(
    root: Root, model: Model, *, before: int | None = None, proc: str = mounttables.PROC
) -> tuple[DataFolder, ...]:
    """Every folder below the driver's layer folder, sorted by name; none for drivers of no known layout.

    Args:
        root: the data root.
        model: what the last read found.
        before: nanoseconds UTC; a folder modified since may be in the making. None: an hour ago, and
            none is where a free lock proves that no engine works.
        proc: the kernel's process folder.

    Raises:
        NoPermission, WrongKind, StorageFailure: the layer folder cannot be listed.
    """
    above = layout.layer_data_folder(model.driver)
    if above is None:
        return ()
    try:
        kinds = root.kinds(above)
    except NotFound:
        return ()
    names = sorted(name for name, kind in kinds if kind == "folder" and not _is_links(model.driver, name))
    owners = _Owners(root, model, names, before, proc)
    return tuple(owners.of(name, join(above, name)) for name in names)


def doubts(model: Model, there: Container[str]) -> Iterator[str]:
    """Why a folder that nothing names may be somebody's all the same, each one clause; none where it cannot be.

    Args:
        model: what the last read found.
        there: names of the folders that there are.
    """
    needed = (layout.layerdb(model.driver), layout.CONTAINERS, layout.IMAGE)
    for part in model.unreadable:
        if part.path.startswith((*(f"{path}/" for path in needed[:2]), *needed)):
            yield f"{part.path} cannot be read, and may name it: {part.why}"
    for chain_id, layer in sorted(model.layers.items()):
        if layer.cache_id is None or "cache-id" in layer.problems:
            yield f"it may be the data of layer {chain_id}, whose record does not name its folder"
        elif not layer.data:
            yield f"it may be the data of layer {chain_id}, whose folder is gone: repair that first (DK07)"
    for name, mount in sorted(model.mounts.items()):
        if mount.mount_id is None:
            yield f"it may be what container {name} wrote, whose mount record does not name its folder"
        elif mount.container_known and mount.mount_id not in there:
            yield f"it may be what container {name} wrote, whose mount record names a folder that is not there"
    for identity, container in sorted(model.containers.items()):
        if container.driver in ("", model.driver) and identity not in model.mounts:
            yield f"it may be what container {container.name or identity} wrote, which has no mount record"
    yield from _named_twice(model)


def _named_twice(model: Model) -> Iterator[str]:
    """Records that name one folder: one of them does not name its own."""
    whose: dict[str | None, str] = {}
    named = [(layer.cache_id, f"layer {chain_id}") for chain_id, layer in sorted(model.layers.items())]
    named += [(mount.mount_id, f"container {name}") for name, mount in sorted(model.mounts.items())]
    for folder, who in named:
        first = whose.setdefault(folder, who)
        if folder is not None and first is not who:
            yield f"it may belong to {who}, whose record names the folder of {first}"


class _Owners:
    """Everything that names a folder of the driver."""

    def __init__(self, root: Root, model: Model, names: Sequence[str], before: int | None, proc: str) -> None:
        self._root = root
        self._before = before
        self._may_be_made = before is not None or model.engine is not EngineState.STOPPED
        self._known = dict(_recorded(root, model))
        self._mounted = _mounted(root, model, proc)
        self._doubt = next(doubts(model, frozenset(names)), "")
        self._cache_unread = next((p.why for p in model.unreadable if p.path == layout.BUILD_CACHE), "")
        left = {name.removesuffix("-init") for name in names if name not in self._known and _ID.fullmatch(name)}
        self._cached: frozenset[str] = frozenset()
        if left and not self._cache_unread:
            self._cached, self._cache_unread = in_build_cache(root, left)

    def of(self, name: str, path: str) -> DataFolder:
        """Whose a folder is."""
        owner, because, subject = self._known.get(name) or (*self._judged(name, path), "")
        if owner is Owner.DEBRIS and self._doubt:  # a layer, or a container, may need it as well
            owner, because = Owner.UNKNOWN, self._doubt
        return DataFolder(name=name, path=path, owner=owner, because=because, subject=subject)

    def _judged(self, name: str, path: str) -> tuple[Owner, str]:
        if name in self._mounted:
            use = self._mounted[name]
            return Owner.MOUNTED, f"mounted at {use.at} by {use.command or 'a process'} (process {use.pid})"
        if _ID.fullmatch(name) is None:
            return Owner.FOREIGN, "no engine gives a folder such a name"
        if self._cache_unread:
            return Owner.UNKNOWN, f"{layout.BUILD_CACHE} cannot be read, and may name it: {self._cache_unread}"
        if name.removesuffix("-init") in self._cached:
            return Owner.BUILD_CACHE, f"{layout.BUILD_CACHE} names it"
        if self._doubt:
            return Owner.UNKNOWN, self._doubt
        if self._may_be_made and self._is_young(path):
            return Owner.UNKNOWN, YOUNG
        return Owner.UNRECORDED, "no layer, container, build cache or mount names it"

    def _is_young(self, path: str) -> bool:
        """Whether a folder is so new that it may be half made; also one that went away.

        The driver vfs gives a folder the time that its image says: only ctime tells when it was made,
        and only mtime is the same after an undo.
        """
        try:
            found = self._root.stat(path)
        except OrlopError:
            return True
        return found.ctime > times.now() - YOUNGEST if self._before is None else found.mtime >= self._before


def _is_links(driver: str, name: str) -> bool:
    return driver == "overlay2" and name == "l"


def _recorded(root: Root, model: Model) -> Iterator[tuple[str, tuple[Owner, str, str]]]:
    """What layerdb names, the strongest last."""
    for debris in model.debris:
        for file in ("cache-id", "mount-id", "init-id"):
            named = text_of(root, join(debris.path, file))
            if named:
                yield named, (Owner.DEBRIS, f"{debris.path} names it, a {_what(debris.kind)}", debris.path)
    for name, mount in model.mounts.items():
        told = model.containers.get(name)
        who = told.name if told is not None and told.name else name
        for identity in (mount.mount_id, mount.init_id, f"{mount.mount_id}-init"):
            if identity is not None:
                yield identity, (Owner.CONTAINER, f"container {who} writes to it or began with it", name)
    for chain_id, layer in model.layers.items():
        if layer.cache_id is not None:
            yield layer.cache_id, (Owner.LAYER, f"the data of layer {chain_id}", chain_id)


def _what(kind: str) -> str:
    return "name of no container" if kind == "foreign" else kind


def text_of(root: Root, path: str) -> str:
    """A record's small file; empty where there is none that can be read."""
    try:
        return root.read(path, _SMALL).decode("ascii").strip()
    except (OrlopError, UnicodeDecodeError):
        return ""


def _mounted(root: Root, model: Model, proc: str) -> Mapping[str, mounttables.InUse]:
    """Names of folders that some process has mounted; overlay2's short names followed."""
    above = layout.layer_data_folder(model.driver)
    if above is None:
        return {}
    found: dict[str, mounttables.InUse] = {}
    for name, use in mounttables.all_in_use(root.path, above, proc).items():
        if not name.startswith("l/"):
            found[name] = use
            continue
        try:
            target = root.link_target(join(above, name))
        except OrlopError:
            continue  # a short name of another store, or one that is gone: it leads to nothing here
        found.setdefault(target.removeprefix("../").partition("/")[0], use)
    return found


def in_build_cache(root: Root, names: Iterable[str]) -> tuple[frozenset[str], str]:
    """Which of some names BuildKit's snapshot records hold, and why that cannot be told; else empty.

    The bolt database is searched as bytes, so that pages freed long ago count too: rather
    a folder too many is taken for needed than one too few.
    """
    wanted = {name.encode("ascii") for name in names}
    if not wanted:
        return frozenset(), ""
    sizes = sorted({len(name) for name in wanted})
    found: set[bytes] = set()
    try:
        with root.stream(layout.BUILD_CACHE) as stream:
            rest = b""
            while block := stream.read(_BLOCK):
                for text in _WORD.findall(rest + block):
                    for size in sizes:
                        found.update(wanted.intersection(text[at : at + size] for at in range(len(text) - size + 1)))
                rest = (rest + block)[-_LONGEST:]
    except NotFound:
        return frozenset(), ""
    except (OrlopError, OSError) as error:
        return frozenset(), error.why or error.what if isinstance(error, OrlopError) else str(error)
    return frozenset(name.decode("ascii") for name in found), ""
