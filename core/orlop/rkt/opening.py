"""How a store is opened: made where it is missing, told by its catalogue, migrated, held by its lock.

Facts: rkt v1.30.0, store/imagestore/store.go, NewStore.
"""

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orlop.errors import AlreadyExists, Malformed, NotAStore, NotFound, ReadOnly, Unsupported
from orlop.fs import Root, translate
from orlop.rkt import keylocks, layout, ql
from orlop.rkt.backups import back_up
from orlop.rkt.catalogue import VERSION, Contents, Edit, Format
from orlop.rkt.files import DATABASE_MODE, Files
from orlop.rkt.qlcatalogue import LOG, QlCatalogue, QlFormat
from orlop.rkt.sqlitecatalogue import SqliteCatalogue, SqliteFormat, whole

SQLITE, QL = "sqlite", "ql"

FilesOf = Callable[[Root], Files]
"""What makes the writer of a store's files."""

_PATHS = {SQLITE: layout.SQLITE, QL: layout.QL}
_TRIES = 3


@dataclass(slots=True, kw_only=True)
class Opened:
    """What an open store consists of."""

    root: Root
    files: Files
    catalogue: "SqliteCatalogue | QlCatalogue | Looking"
    held: int = -1
    """A descriptor that holds the shared lock of the store's folder; -1 where nothing is held."""
    read_only: bool = False
    patience: float = keylocks.PATIENCE
    """Seconds that a lock is waited for."""

    def close(self) -> None:
        """Give everything back; a second time does nothing."""
        if self.held >= 0:
            keylocks.release(self.held)
            self.held = -1
        self.root.close()


def create(path: str, catalogue: str, patience: float = keylocks.PATIENCE, files_of: FilesOf = Files) -> Opened:
    """Open a store and make what is missing of it; `AciStore.create` says more."""
    if catalogue not in _PATHS:
        raise Unsupported(f"no catalogue is called {catalogue}", do=f"one of: {', '.join(_PATHS)}")
    _make(path)
    root = Root.open(path)
    with contextlib.ExitStack() as undo:
        undo.callback(root.close)
        present = _present(root)
        if present not in (None, catalogue):
            raise AlreadyExists(
                f"the store has its rows in {_PATHS[present or catalogue]}",
                path=_PATHS[present or catalogue],
                do="open it, instead of making one",
            )
        files = files_of(root)
        files.make_folders(layout.LOCKS)
        opened = _opened(root, files, catalogue, patience)
        undo.callback(opened.close)
        _establish(opened, catalogue)
        _ready(opened)
        undo.pop_all()
    return opened


def open_store(path: str, patience: float = keylocks.PATIENCE, files_of: FilesOf = Files) -> Opened:
    """Open a store that is there; `AciStore.open` says more."""
    root = _root(path)
    with contextlib.ExitStack() as undo:
        undo.callback(root.close)
        catalogue = _told(root)
        files = files_of(root)
        files.make_folders(layout.LOCKS)
        opened = _opened(root, files, catalogue, patience)
        undo.callback(opened.close)
        _ready(opened)
        undo.pop_all()
    return opened


def look(path: str) -> Opened:
    """Open a store without any lock, and without changing anything in it."""
    root = _root(path)
    with contextlib.ExitStack() as undo:
        undo.callback(root.close)
        catalogue = Looking(root, _told(root))
        catalogue.read()
        undo.pop_all()
    return Opened(root=root, files=Files(root), catalogue=catalogue, read_only=True)


# --- inside ------------------------------------------------------------------


def _root(path: str) -> Root:
    try:
        return Root.open(path)
    except NotFound as error:
        raise NotAStore("no store is here", path=path, why="no such folder") from error


def _told(root: Root) -> str:
    catalogue = _present(root)
    if catalogue is None:
        raise NotAStore("no ACI store is here", path=root.path, why=f"neither {layout.QL} nor {layout.SQLITE} is there")
    return catalogue


def _present(root: Root) -> str | None:
    return next((name for name, path in _PATHS.items() if root.exists(path)), None)


def _make(path: str) -> None:
    """Make the store's folder and those missing above it."""
    absolute = os.path.abspath(path)
    above = absolute
    while not os.path.lexists(above):
        above = os.path.dirname(above)
    missing = os.path.relpath(absolute, above)
    if missing == ".":
        return
    try:
        with Root.open(above) as root:
            Files(root).make_folders(missing)
    except OSError as error:
        raise translate(error, "the store cannot be made", path) from error


def _opened(root: Root, files: Files, catalogue: str, patience: float) -> Opened:
    opener = SqliteCatalogue if catalogue == SQLITE else QlCatalogue
    return Opened(
        root=root,
        files=files,
        catalogue=opener(root, files=files, patience=patience),
        held=keylocks.acquire(root, "", exclusive=False, patience=patience),
        patience=patience,
    )


def _establish(opened: Opened, catalogue: str) -> None:
    """Make the database where there is none; an empty file counts as none, as it does for rkt."""
    root, rows = opened.root, opened.catalogue
    if not root.exists(rows.path):
        with contextlib.suppress(AlreadyExists):  # another process was as quick
            rows.create()
    elif (found := root.stat(rows.path)).kind == "file" and found.size == 0:
        empty = SqliteFormat().empty() if catalogue == SQLITE else QlFormat().empty()
        with keylocks.locked(root, layout.DATABASE, exclusive=True, patience=opened.patience):
            opened.files.replace(rows.path, empty, mode=found.mode)
    if catalogue == QL:
        opened.files.create(LOG, mode=DATABASE_MODE)


def _ready(opened: Opened) -> None:
    """Make sure that the database can be read; bring one of Orlop's own to the present version.

    Older ones of rkt's are only read: migrating them is rkt's.
    """
    if opened.catalogue.read().version == VERSION or not isinstance(opened.catalogue, SqliteCatalogue):
        return
    keylocks.convert(opened.held, "", exclusive=True, patience=opened.patience)
    if opened.catalogue.read().version != VERSION:  # nobody else was quicker
        back_up(opened.files)
        opened.catalogue.migrate()
    keylocks.convert(opened.held, "", exclusive=False, patience=opened.patience)


class Looking:
    """`orlop.rkt.catalogue.Catalogue` of a store that is only looked at: read without any lock.

    rkt writes its database in place: what is read in the middle of that is no whole
    file, and is read again.
    """

    def __init__(self, root: Root, catalogue: str) -> None:
        self._root = root
        self.path = _PATHS[catalogue]
        self._format: Format = SqliteFormat() if catalogue == SQLITE else QlFormat()

    def read(self) -> Contents:
        for _ in range(_TRIES - 1):
            with contextlib.suppress(Malformed):
                return self._read()
        return self._read()

    def create(self) -> None:
        self.change(())

    def change(self, edits: Sequence[Edit]) -> None:
        raise ReadOnly("the store was opened for reading only", path=self.path, do="open it for changing")

    def _read(self) -> Contents:
        if self.path == layout.SQLITE:
            return self._format.contents(whole(self._root))
        data = self._root.read(self.path)
        log = self._root.read(LOG) if self._root.exists(LOG) else b""
        return self._format.contents(ql.applied(data, log) if ql.wal_state(log) is ql.LogState.COMPLETE else data)
