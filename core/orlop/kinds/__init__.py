"""Which stores a path holds, and opening them.

A kind is a module here: it recognises its stores without reading them, and
imports the rest of its package only when one is opened.
"""

import json
import os
from collections.abc import Iterable

from orlop.errors import Ambiguous, NotAStore, NotFound, OrlopError, Unsupported
from orlop.finding import Rule
from orlop.fs import Root
from orlop.kinds import docker, registry, rkt, snapshot
from orlop.kinds.found import Early, Found, Verified
from orlop.progress import Progress, Silent
from orlop.store import Store

_ELSEWHERE = (
    ("oci-layout", "an OCI image layout"),
    ("overlay-images", "a containers/storage root"),
    ("vfs-images", "a containers/storage root"),
    ("io.containerd.metadata.v1.bolt", "a containerd root"),
)
"""A folder or file that tells a kind of store which is known and cannot be opened yet."""

_DO = "give Docker's data root, a registry's rootdirectory, or rkt's data directory"


def open_all(
    path: str,
    *,
    progress: Progress | None = None,
    verified: Verified | None = None,
    early: Early | None = None,
) -> tuple[Store, ...]:
    """Open every store that a path holds: one per storage driver of a Docker data root, else one.

    Args:
        path: a Docker data root, ``image`` or ``image/<driver>`` in it; a registry's
            ``rootdirectory`` or a folder inside it down to ``docker/registry/v2``; rkt's
            data directory or its ``cas``.
        progress: told of each phase.
        verified: asked once for each store what was hashed of it before; the store shows that, and
            what a check notes there. None: nothing is known.
        early: given partial snapshots of a large store as soon as its names are known, in the thread that
            calls; each holds more than the one before. A kind that has none at once gives none.

    Raises:
        NotFound, WrongKind, NoPermission, StorageFailure: the path cannot be opened.
        NotAStore: no store is there.
        Unsupported: a store of a kind that cannot be opened yet is there.
        Cancelled: `progress` stopped it.
    """
    return tuple(found.open(progress or Silent(), verified, early) for found in _found(path))


def open(
    path: str, *, scope: str | None = None, progress: Progress | None = None, verified: Verified | None = None
) -> Store:
    """Open the one store that a path and a scope mean.

    Args:
        path: as for `open_all`.
        scope: the storage driver, where a root holds several.
        progress: told of each phase.
        verified: as for `open_all`.

    Raises:
        Ambiguous: several stores are there and no scope chooses one.
        NotFound: no store has this scope.
        The errors of `open_all`.
    """
    there = _found(path)
    chosen = [found for found in there if scope is None or found.scope == scope]
    if not chosen:
        names = ", ".join(found.scope or found.kind for found in there)
        raise NotFound(f"no store of the driver {scope!r} is there", path=path, why=f"there is: {names}")
    if len(chosen) > 1:
        raise Ambiguous(path, [found.path for found in chosen], do="name one of them as PATH, or give --driver")
    return chosen[0].open(progress or Silent(), verified)


def rules() -> tuple[Rule, ...]:
    """Every rule of every kind, sorted by id."""
    return tuple(sorted((*docker.rules(), *registry.rules(), *rkt.rules()), key=lambda rule: rule.id))


def host_folders(data_homes: Iterable[str], daemon_files: Iterable[str]) -> tuple[str, ...]:
    """Folders of this host that hold a store, in the order to show them.

    Args:
        data_homes: folders that engines use by default: ``/var/lib/docker``, rootless ones.
        daemon_files: daemon.json files whose ``data-root`` (or ``graph``) may name another.
    """
    configured = [root for file in daemon_files for root in _data_roots(file)]
    found: dict[str, None] = {}
    for folder in (*configured, *data_homes):
        try:
            if _recognised(folder):
                found[os.path.realpath(folder)] = None
        except OrlopError:
            continue  # not there, or not readable: opening it by name says why
    return tuple(found)


def _found(path: str) -> list[Found]:
    there = _recognised(path)
    if not there:
        raise _nothing(path)
    return there


def _recognised(path: str) -> list[Found]:
    return snapshot.find(path) or [found for kind in (docker, registry, rkt) for found in kind.find(path)]


def _data_roots(file: str) -> list[str]:
    try:
        with Root.open(os.path.dirname(file) or ".") as folder:
            value = json.loads(folder.read(os.path.basename(file)))
    except (OrlopError, ValueError):
        return []
    if not isinstance(value, dict):
        return []
    return [root for name in ("data-root", "graph") if isinstance(root := value.get(name), str) and root]


def _nothing(path: str) -> OrlopError:
    with Root.open(path) as root:
        for sign, kind in _ELSEWHERE:
            if root.exists(sign):
                return Unsupported(
                    f"this looks like {kind}",
                    path=root.path,
                    why="this version opens Docker's data roots, registries' storage and rkt's stores",
                )
        refused = docker.refusal(root)
        if refused is not None:
            return refused
        try:
            empty = not root.names("")
        except OrlopError:
            empty = False
        return NotAStore(
            "no container image store is here",
            path=root.path,
            why="the folder is empty" if empty else "nothing in it is laid out like one",
            do=_DO,
        )
