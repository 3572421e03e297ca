"""Copies of the database's folder, made before its tables are changed: ``db-backups/0`` is the newest of five.

Facts: rkt v1.30.0, pkg/backup/backup.go.
"""

from orlop.errors import NotFound
from orlop.rkt import layout
from orlop.rkt.files import Files

_MODE = 0o750
_NEW = "new"


def back_up(files: Files) -> None:
    """Copy ``db/`` to ``db-backups/0``; what is there moves up by one, and what was the oldest of five is gone.

    The caller holds the store, so that nobody writes meanwhile. Cut off at any moment,
    no whole backup is lost but the oldest.

    Raises:
        NotFound: there is no ``db``.
        WrongKind, NoPermission, ReadOnly, NoSpace, StorageFailure
    """
    files.make_folders(layout.BACKUPS, mode=_MODE)
    new = f"{layout.BACKUPS}/{_NEW}"
    _remove(files, new)
    files.copy_folder(layout.DATABASE, new)
    _remove(files, layout.backup(layout.BACKUPS_KEPT - 1))
    for number in range(layout.BACKUPS_KEPT - 2, -1, -1):
        if files.root.exists(layout.backup(number)):
            files.writer.move(layout.backup(number), layout.backup(number + 1))
    files.writer.move(new, layout.backup(0))


def _remove(files: Files, path: str) -> None:
    try:
        files.writer.remove_tree(path)
    except NotFound:
        return
