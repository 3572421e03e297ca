"""What lies around one driver's image store: the engine, other stores in the same root, mounts."""

import re
from collections.abc import Iterator, Sequence

from orlop import locks
from orlop.docker import layout
from orlop.docker.model import Unreadable
from orlop.errors import NoPermission, NotFound, OrlopError
from orlop.fs import Root, join
from orlop.records import EngineState, Note

_ENGINES = ("docker", "balena")
"""How the commands of engines begin: dockerd; ``docker daemon`` of 1.11; dockerd-current of RHEL; balenad."""

_MANY = 8
"""Unreadable entries of one folder that are told one by one."""

_DIGEST = re.compile(rb"sha256:[0-9a-f]{64}")
_DIGEST_LENGTH = 71
_BLOCK = 1 << 20


def engine_state(root: Root) -> tuple[EngineState, str]:
    """Whether an engine runs on a data root, as far as its lock tells, and the clause that says so.

    Another program may hold the lock as well: an Orlop that writes, a backup.
    """
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
        state = EngineState.RUNNING if holder.startswith(_ENGINES) else EngineState.HELD
        return state, f"the lock on {layout.LOCK} is held" + (f" by {holder}" if holder else "")
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


def other_drivers(root: Root, driver: str) -> tuple[str, ...]:
    """Further drivers with an image store in the same root; none where image/ cannot be listed."""
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


def build_cache(root: Root) -> tuple[frozenset[str], tuple[Unreadable, ...]]:
    """Every digest in BuildKit's snapshot records: chain ids of layers that the build cache may hold.

    The bolt database is searched as bytes, so that pages freed long ago count too: rather
    a layer too many is taken for needed than one too few.
    """
    found: set[str] = set()
    try:
        with root.stream(layout.BUILD_CACHE) as stream:
            rest = b""
            while block := stream.read(_BLOCK):
                found.update(text.decode() for text in _DIGEST.findall(rest + block))
                rest = block[-_DIGEST_LENGTH:]
    except NotFound:
        return frozenset(), ()
    except (OrlopError, OSError) as error:
        why = error.why or error.what if isinstance(error, OrlopError) else str(error)
        return frozenset(), (Unreadable(path=layout.BUILD_CACHE, why=why),)
    return frozenset(found), ()


def _unreadable_notes(unreadable: Sequence[Unreadable]) -> Iterator[Note]:
    """One note for each part; one for all that a folder has of the same fault, where they are many."""
    alike: dict[tuple[str, str], list[str]] = {}
    for part in unreadable:
        alike.setdefault((part.path.rpartition("/")[0], part.why), []).append(part.path)
    for (folder, why), paths in alike.items():
        if len(paths) > _MANY:
            yield Note(text=f"{len(paths)} entries cannot be read: {why}", path=folder, unreadable=True)
        else:
            yield from (Note(text=f"cannot be read: {why}", path=path, unreadable=True) for path in paths)


def notes(
    driver: str,
    other: Sequence[str],
    containerd: bool,
    unreadable: Sequence[Unreadable],
    engine: EngineState,
    engine_text: str,
    hidden: int,
) -> tuple[Note, ...]:
    """What a person should know of the store as a whole."""
    found = list(_unreadable_notes(unreadable))
    if hidden:
        text = f"{hidden} image configs cannot be read: permission denied"
        found.append(Note(text=text, path=layout.configs(driver), unreadable=True))
    if engine is EngineState.RUNNING:
        found.append(Note(text=f"an engine runs on this store, and may change it while it is shown: {engine_text}"))
    if engine is EngineState.HELD:
        found.append(Note(text=f"another program holds this store, and may change it: {engine_text}"))
    if layout.layer_data_folder(driver) is None:
        found.append(Note(text=f"the layer folders of the driver {driver} are not understood: names and records only"))
    if containerd:
        found.append(
            Note(
                text="a containerd image store lies in the same root; its images are not shown here",
                path=layout.CONTAINERD,
            )
        )
    found += [
        Note(text=f"images of the driver {name} are a store of their own", path=f"image/{name}") for name in other
    ]
    return tuple(found)
