"""Docker data roots: one store for each storage driver."""

import functools
import re
from collections.abc import Sequence

from orlop.docker import layout
from orlop.docker.surroundings import containerd_store, drivers
from orlop.errors import NotFound, OrlopError, Unsupported
from orlop.finding import Rule
from orlop.fs import Root
from orlop.kinds.found import Early, Found, Verified
from orlop.progress import Progress
from orlop.store import Store

_USER_NAMESPACE = re.compile(r"[0-9]+\.[0-9]+", re.ASCII)


def find(path: str) -> list[Found]:
    """The stores that a path means: a data root, ``image`` or ``image/<driver>`` in it.

    Raises:
        NotFound, WrongKind, NoPermission, StorageFailure: the path cannot be opened.
    """
    with Root.open(path) as root:
        here = root.path
        inside = _drivers(root)
        folders = [name for name in _names(root) if _USER_NAMESPACE.fullmatch(name)]
    if inside:
        return [_found(here, driver) for driver in inside]
    remapped = [found for name in folders for found in _stores_in(f"{here}/{name}")]
    if remapped:
        return remapped
    above, wanted = _data_root_of(here)
    if above == here:
        return []
    return [found for found in _stores_in(above) if wanted in (None, found.scope)]


def refusal(root: Root) -> OrlopError | None:
    """Why an engine's data root holds no store that can be opened; None where it is no such root."""
    if not containerd_store(root):
        return None
    return Unsupported(
        "the images of this Docker engine are in a containerd image store",
        path=f"{root.path}/{layout.CONTAINERD}",
        why="there is no image/<driver> beside it, and this version reads graph-driver stores only",
        do="`docker info` says which image store the engine uses",
    )


def rules() -> tuple[Rule, ...]:
    """Every rule of the kind."""
    from orlop.docker.rules import RULES

    return tuple(RULES.values())


def _found(root: str, driver: str) -> Found:
    return Found(
        kind="docker",
        root=root,
        scope=driver,
        path=f"{root}/{layout.image_root(driver)}",
        opener=functools.partial(_open, driver),
    )


def _open(driver: str, root: Root, progress: Progress, verified: Verified | None, early: Early | None) -> Store:
    from orlop.docker.store import DockerStore, identity_of

    known = verified(identity_of(root, driver)) if verified is not None else None
    return DockerStore(root, driver, progress=progress, verified=known, early=early)


def _stores_in(path: str) -> list[Found]:
    with Root.open(path) as root:
        return [_found(root.path, driver) for driver in _drivers(root)]


def _drivers(root: Root) -> list[str]:
    try:
        return list(drivers(root))
    except NotFound:
        return []


def _names(root: Root) -> Sequence[str]:
    try:
        return root.names("")
    except OrlopError:
        return []


def _data_root_of(path: str) -> tuple[str, str | None]:
    """The data root that a path means, and the driver where the path names one."""
    parts = path.rstrip("/").split("/")
    if len(parts) >= 2 and parts[-1] == layout.IMAGE:
        return "/".join(parts[:-1]) or "/", None
    if len(parts) >= 3 and parts[-2] == layout.IMAGE:
        return "/".join(parts[:-2]) or "/", parts[-1]
    return path, None
