"""Whether the rows of a store can be changed, and the bytes of the catalogue that a change begins with."""

import hashlib

from orlop.errors import NotFound, WrongKind
from orlop.fs import Root, Stat, changed_meanwhile
from orlop.plan import Refusal
from orlop.rkt.catalogue import Format
from orlop.rkt.cataloguefile import LIMIT, QL, SQLITE_JOURNAL, SQLITE_LOG
from orlop.rkt.model import CatalogueState, Model
from orlop.rkt.qlcatalogue import LOG, QlFormat

_REPAIR = "`orlop repair PATH` puts the database right"


def unchangeable(root: Root, model: Model) -> Refusal | None:
    """Why the rows cannot be changed; None where they can.

    A log beside the database that holds something would be replayed over what was put in
    the database's place: it is dealt with first, and by itself.

    Raises:
        NoPermission, StorageFailure: a log cannot be looked at.
    """
    found = model.catalogue
    match found.state:
        case CatalogueState.GOOD:
            reason, do = "", ""
        case CatalogueState.MISSING if not model.images:
            reason, do = "", ""  # a store that is still empty: its database is made
        case CatalogueState.OLD:
            reason, do = found.why, "start rkt 1.12.0 or later on it as root: it keeps a copy and migrates the database"
        case CatalogueState.LATER:
            reason, do = found.why, "use a later version of Orlop"
        case CatalogueState.UNREADABLE:
            reason, do = f"{found.path} cannot be read: {found.why}", "run as root, or work on a readable copy"
        case CatalogueState.PENDING:
            reason, do = f"{found.log_path} is not empty: {found.why}", _REPAIR
        case _:
            reason, do = f"the rows in {found.path} cannot be read: {found.why}", _REPAIR
    if not reason and (left := full_logs(root, model)):
        reason, do = f"{left[0]} is not empty: a program was killed in a transaction", _REPAIR
    return Refusal(action="", reasons=(reason,), do=do) if reason else None


def full_logs(root: Root, model: Model) -> tuple[str, ...]:
    """Paths of the logs beside the catalogue that hold something.

    Raises:
        NoPermission, StorageFailure
    """
    paths = (LOG,) if model.catalogue.kind == QL else (SQLITE_LOG, SQLITE_JOURNAL)
    stats = ((path, stat_of(root, path)) for path in paths)
    return tuple(path for path, found in stats if found is not None and (found.size or found.kind != "file"))


def catalogue_bytes(root: Root, model: Model) -> bytes:
    """The catalogue file as it was read; one with no rows where there is none.

    Raises:
        Changed: it is no longer that.
        NoPermission, StorageFailure
    """
    found = model.catalogue
    if found.state is CatalogueState.MISSING:
        return catalogue_format(model).empty()
    try:
        data = root.read(found.path, LIMIT)
    except (NotFound, WrongKind) as error:
        raise changed_meanwhile(found.path) from error
    if "sha256:" + hashlib.sha256(data).hexdigest() != found.digest:
        raise changed_meanwhile(found.path)
    return data


def catalogue_format(model: Model) -> Format:
    """The format of the store's catalogue."""
    if model.catalogue.kind == QL:
        return QlFormat()
    from orlop.rkt.sqlitecatalogue import SqliteFormat  # deferred: few stores have one

    return SqliteFormat()


def stat_of(root: Root, path: str) -> Stat | None:
    """What is at a path; None where nothing is.

    Raises:
        NoPermission, StorageFailure
    """
    try:
        return root.stat(path)
    except (NotFound, WrongKind):
        return None
