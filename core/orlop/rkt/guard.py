"""Hold an ACI store for writing, by the lock that rkt itself respects.

Every program that uses the store holds flock on its folder, shared, for as long as it
does; rkt takes it exclusively to migrate the database, and while anybody has it so,
every rkt command waits (v1.30.0, store/imagestore/store.go: NewStore). The folder is
opened for reading only, and the kernel drops the lock with the process.

A write-ahead log that holds something is refused by the plans, not here: one of them
puts it right, and taking a change back must not be in its way.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from orlop import locks, mounttables
from orlop.errors import Locked, NeedsStatement, ReadOnly, Unsupported
from orlop.fs import Root
from orlop.rkt.catalogue import VERSION
from orlop.rkt.cataloguefile import QL, catalogue_file
from orlop.rkt.model import CatalogueState
from orlop.rkt.surroundings import LOCK
from orlop.store import Exclusive, Statement

_STATE_IT = "make sure that no rkt uses it, here or on another host, then state it with --offline"


def guard(root: Root, statement: Statement | None) -> AbstractContextManager[Exclusive]:
    """Hold the store for the length of a ``with`` block; while it is held, rkt waits.

    Args:
        root: the store's folder.
        statement: what a person states where nothing on disk can prove it; it never
            overrides a lock that is held.

    Raises:
        ReadOnly: the file system is mounted read-only.
        Locked: rkt, or another program, uses the store.
        NeedsStatement: it lies on a file system whose locks prove nothing, and nobody
            stated that no rkt uses it.
        Unsupported: an older rkt, or a later one, made the database.
        NoPermission, StorageFailure: the lock cannot be asked for.
    """
    return _guarded(root, stated=statement is not None and statement.offline)


@contextmanager
def _guarded(root: Root, *, stated: bool) -> Iterator[Exclusive]:
    _check_writable(root)
    _check_local(root, stated)
    with _lock(root, stated) as by:
        _check_version(root)
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
            "nothing can prove that no rkt uses this store",
            path=root.path,
            why=f"it lies on a network file system ({kind}), where a lock of another host may not be seen",
            do=_STATE_IT,
        )


@contextmanager
def _lock(root: Root, stated: bool) -> Iterator[str]:
    """Hold the lock; gives the words for what holds the store."""
    held: AbstractContextManager[None] = locks.hold(root, "")
    by = f"exclusive lock on {LOCK}"
    try:
        held.__enter__()
    except Locked as error:
        raise Locked(
            "rkt, or another program, uses this store",
            path=root.path,
            holder=error.holder,
            do="wait until it has ended, or work on a copy of the folder",
        ) from error
    except NeedsStatement:
        if not stated:
            raise
        held, by = nullcontext(), "stated by --offline"
        held.__enter__()
    try:
        yield by
    finally:
        held.__exit__(None, None, None)


def _check_version(root: Root) -> None:
    found = catalogue_file(root)
    version = found.contents.version
    if found.state is CatalogueState.LATER:
        raise Unsupported(
            "the store cannot be changed", path=found.path, why=found.why, do="use a later version of Orlop"
        )
    if version < VERSION:
        raise Unsupported(
            "the store cannot be changed",
            path=found.path,
            why=f"its tables have version {version}, and only version {VERSION} is written here",
            do="start rkt 1.12.0 or later on it as root: it keeps a copy and migrates the database"
            if found.kind == QL
            else "open the store with the library of this version: it keeps a copy and migrates the database",
        )
