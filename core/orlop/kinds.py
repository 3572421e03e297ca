"""Detect which stores a path holds, and open them.

Opening never writes, creates nothing and takes no lasting lock.
"""

import json
import os
import re
from collections.abc import Iterable, Sequence

from orlop.docker import layout as docker_layout
from orlop.docker.rules import RULES as DOCKER_RULES
from orlop.docker.store import DockerStore, data_root_of
from orlop.docker.surroundings import containerd_store, drivers
from orlop.errors import Ambiguous, NotAStore, NotFound, OrlopError, Unsupported
from orlop.finding import Rule
from orlop.fs import Root
from orlop.progress import Progress, Silent
from orlop.store import Store

_USER_NAMESPACE = re.compile(r"[0-9]+\.[0-9]+", re.ASCII)
_ELSEWHERE = (
    ("docker/registry/v2", "a registry's storage"),
    ("registry/v2", "a registry's storage"),
    ("v2/repositories", "a registry's storage"),
    ("cas/db", "an rkt store"),
    ("db/ql.db", "an rkt store"),
    ("oci-layout", "an OCI image layout"),
    ("overlay-images", "a containers/storage root"),
    ("vfs-images", "a containers/storage root"),
    ("io.containerd.metadata.v1.bolt", "a containerd root"),
)
"""A folder or file that tells a kind of store which is known and cannot be opened yet."""

_DO = "give Docker's data root (`docker info` calls it Docker Root Dir), or `image` or `image/<driver>` in it"


def open_all(path: str, *, progress: Progress | None = None) -> tuple[Store, ...]:
    """Open every store that a path holds: one per storage driver of a Docker data root.

    Args:
        path: a data root, ``image`` or ``image/<driver>`` in it.
        progress: told of each phase.

    Raises:
        NotFound, WrongKind, NoPermission, StorageFailure: the path cannot be opened.
        NotAStore: no store is there.
        Unsupported: a store of a kind that cannot be opened yet is there.
        Cancelled: `progress` stopped it.
    """
    found = _docker(path)
    if not found:
        raise _nothing(path)
    return tuple(DockerStore(Root.open(root), driver, progress=progress or Silent()) for root, driver in found)


def open(path: str, *, scope: str | None = None, progress: Progress | None = None) -> Store:
    """Open the one store that a path and a scope mean.

    Args:
        path: as for `open_all`.
        scope: the storage driver, where a root holds several.
        progress: told of each phase.

    Raises:
        Ambiguous: several stores are there and no scope chooses one.
        NotFound: no store has this scope.
        The errors of `open_all`.
    """
    found = _docker(path)
    if not found:
        raise _nothing(path)
    chosen = [(root, driver) for root, driver in found if scope is None or driver == scope]
    if not chosen:
        names = ", ".join(driver for _, driver in found)
        raise NotFound(f"no store of the driver {scope!r} is there", path=path, why=f"there is: {names}")
    if len(chosen) > 1:
        stores = [f"{root}/image/{driver}" for root, driver in chosen]
        raise Ambiguous(path, stores, do="name one of them as PATH, or give --driver")
    root, driver = chosen[0]
    return DockerStore(Root.open(root), driver, progress=progress or Silent())


def rules() -> tuple[Rule, ...]:
    """Every rule of every kind, sorted by id."""
    return tuple(DOCKER_RULES[rule] for rule in sorted(DOCKER_RULES))


def host_folders(data_homes: Iterable[str], daemon_files: Iterable[str]) -> tuple[str, ...]:
    """Folders of this host that hold a store, in the order to show them.

    Args:
        data_homes: folders that engines use by default: ``/var/lib/docker``, rootless ones.
        daemon_files: daemon.json files whose ``data-root`` (or ``graph``) may name another.
    """
    wanted = [*(root for file in daemon_files for root in _data_roots(file)), *data_homes]
    found: dict[str, None] = {}
    for folder in wanted:
        try:
            if _docker(folder):
                found[os.path.realpath(folder)] = None
        except OrlopError:
            continue  # not there, or not readable: opening it by name says why
    return tuple(found)


def _data_roots(file: str) -> list[str]:
    try:
        with Root.open(os.path.dirname(file) or ".") as folder:
            value = json.loads(folder.read(os.path.basename(file)))
    except (OrlopError, ValueError):
        return []
    if not isinstance(value, dict):
        return []
    return [root for name in ("data-root", "graph") if isinstance(root := value.get(name), str) and root]


def _docker(path: str) -> list[tuple[str, str]]:
    """Data roots and drivers that a path means.

    Raises:
        NotFound, WrongKind, NoPermission, StorageFailure: the path cannot be opened.
    """
    with Root.open(path) as root:
        here = root.path
        inside = _drivers(root)
        folders = [name for name in _names(root) if _USER_NAMESPACE.fullmatch(name)]
    if inside:
        return [(here, driver) for driver in inside]
    remapped = [pair for name in folders for pair in _stores_in(f"{here}/{name}")]
    if remapped:
        return remapped
    above, wanted = data_root_of(here)
    if above == here:
        return []
    return [(root_path, driver) for root_path, driver in _stores_in(above) if wanted in (None, driver)]


def _stores_in(path: str) -> list[tuple[str, str]]:
    with Root.open(path) as root:
        return [(root.path, driver) for driver in _drivers(root)]


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


def _nothing(path: str) -> OrlopError:
    with Root.open(path) as root:
        for sign, kind in _ELSEWHERE:
            if root.exists(sign):
                return Unsupported(
                    f"this looks like {kind}",
                    path=root.path,
                    why="this version opens Docker's data roots only",
                )
        if containerd_store(root):
            return Unsupported(
                "the images of this Docker engine are in a containerd image store",
                path=f"{root.path}/{docker_layout.CONTAINERD}",
                why="there is no image/<driver> beside it, and this version reads graph-driver stores only",
                do="`docker info` says which image store the engine uses",
            )
        empty = not _names(root)
        return NotAStore(
            "no container image store is here",
            path=root.path,
            why="the folder is empty" if empty else "there is no image/<driver>/imagedb below it",
            do=_DO,
        )
