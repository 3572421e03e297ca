"""Hold a registry's storage for writing, as far as that can be done: no registry locks anything.

So a person states that none runs, here or on another host, behind one name or several.
That statement never overrides a registry that is seen (`orlop.registry.processes`).
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from orlop.errors import Locked, NeedsStatement, ReadOnly
from orlop.fs import Root
from orlop.registry import processes
from orlop.store import Exclusive, Statement


def guard(root: Root, statement: Statement | None) -> AbstractContextManager[Exclusive]:
    """Make sure that nobody is known to write, for the length of a ``with`` block.

    Nothing is locked: a registry that starts meanwhile is not kept from it. Other Orlops are
    kept out by the journal.

    Args:
        root: the store.
        statement: what a person states; without it nothing can be written.

    Raises:
        ReadOnly: the file system is mounted read-only.
        Locked: a registry process of this host uses the folder.
        NeedsStatement: nobody stated that no registry does.
    """
    return _guarded(root, stated=statement is not None and statement.offline)


@contextmanager
def _guarded(root: Root, *, stated: bool) -> Iterator[Exclusive]:
    if os.fstatvfs(root.fd).f_flag & os.ST_RDONLY:
        raise ReadOnly(
            "the store cannot be written",
            path=root.path,
            why="the file system is mounted read-only",
            do="remount it for writing, or work on a copy of the folder",
        )
    running = processes.find(root)
    if running is not None:
        raise Locked(
            f"a registry uses this store: {running.how}",
            path=root.path,
            holder=running.holder,
            do="stop it, or work on a copy of the folder; --offline does not override this",
        )
    if not stated:
        raise NeedsStatement(
            "nothing can prove that no registry uses this store",
            path=root.path,
            why="a registry locks nothing, and it may run on another host",
            do="stop every registry that serves this folder, then state it with --offline",
        )
    yield Exclusive(by="stated by --offline")
