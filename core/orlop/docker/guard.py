"""Hold a Docker data root for writing, by the lock that the engine itself respects.

A running engine (from 1.11) holds flock on ``volumes/metadata.db`` for its whole
life, and one that starts gives up after a second when another program holds it
(moby: volume/store/store.go; seen with 20.10.24). The descriptor is opened for
reading only, and the kernel drops the lock with the process, however that ends.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from orlop import locks, mounttables
from orlop.docker import layout
from orlop.errors import Locked, NeedsStatement, NotFound, ReadOnly
from orlop.fs import Root
from orlop.store import Exclusive, Statement

_STATE_IT = "make sure that no engine uses it, here or on another host, then state it with --offline"
_STOP_IT = "stop it with `systemctl stop docker docker.socket`, or work on a copy of the folder"


def guard(root: Root, statement: Statement | None) -> AbstractContextManager[Exclusive]:
    """Hold the store for the length of a ``with`` block; while it is held, dockerd does not start.

    Args:
        root: the data root.
        statement: what a person states where nothing on disk can prove it; it never
            overrides a lock that is held.

    Raises:
        ReadOnly: the file system is mounted read-only.
        Locked: an engine or another Orlop holds the lock, or a container still runs on layers of this root.
        NeedsStatement: there is no lock to take, or it lies on a file system whose locks prove
            nothing, and nobody stated that no engine uses the store.
        WrongKind, NoPermission, StorageFailure: the lock cannot be asked for.
    """
    return _guarded(root, stated=statement is not None and statement.offline)


@contextmanager
def _guarded(root: Root, *, stated: bool) -> Iterator[Exclusive]:
    _check_writable(root)
    _check_local(root, stated)
    with ExitStack() as stack:
        by = _lock(root, stack, stated)
        _check_mounts(root)
        yield Exclusive(by=by)


def _check_writable(root: Root) -> None:
    if os.fstatvfs(root.fd).f_flag & os.ST_RDONLY:
        raise ReadOnly(
            "the store cannot be written",
            path=root.path,
            why="the file system is mounted read-only",
            do="remount it for writing, or work on a copy of the folder",
        )


def _check_local(root: Root, stated: bool) -> None:
    kind = mounttables.file_system(root.path)
    if mounttables.is_network(kind) and not stated:
        raise NeedsStatement(
            "nothing can prove that no engine uses this store",
            path=root.path,
            why=f"it lies on a network file system ({kind}), where a lock of another host may not be seen",
            do=_STATE_IT,
        )


def _lock(root: Root, stack: ExitStack, stated: bool) -> str:
    """Take the engine's lock where there is one; gives the words for what holds the store."""
    try:
        if root.stat(layout.LOCK).kind == "folder":  # its lock would hold nobody
            raise NotFound("there is no file to lock", path=layout.LOCK, why="a folder is in its place")
        stack.enter_context(locks.hold(root, layout.LOCK))
    except Locked as error:
        raise Locked(
            "an engine, or another Orlop, uses this store", path=layout.LOCK, holder=error.holder, do=_STOP_IT
        ) from error
    except NotFound as error:
        if not stated:
            raise NeedsStatement(
                "nothing can prove that no engine uses this store",
                path=layout.LOCK,
                why="the file that an engine locks is not there: an old engine, a copy, or a part of a store",
                do=_STATE_IT,
            ) from error
    except NeedsStatement:
        if not stated:
            raise
    else:
        return f"exclusive lock on {layout.LOCK}"
    return "stated by --offline"


def _check_mounts(root: Root) -> None:
    folders = [folder for folder in map(layout.layer_data_folder, layout.READABLE_DRIVERS) if folder is not None]
    found = mounttables.in_use(root.path, folders)
    if found is not None:
        holder = f"{found.command or 'a process'} (process {found.pid})"
        raise Locked(
            f"layers of this store are mounted at {found.at}",
            path=found.path,
            holder=holder,
            do="stop the container that runs on them, or unmount them, then try again",
        )
