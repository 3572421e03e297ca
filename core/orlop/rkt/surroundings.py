"""What a person should know of an ACI store as a whole: who uses it, and what of it cannot be seen or changed."""

from collections.abc import Iterator, Sequence

from orlop import locks
from orlop.errors import OrlopError
from orlop.fs import Root
from orlop.records import EngineState, Note
from orlop.rkt import layout
from orlop.rkt.catalogue import VERSION
from orlop.rkt.model import CatalogueFile, CatalogueState, Unreadable

LOCK = "the store's folder"
"""What the lock is on, in words: every program that uses the store holds it shared (rkt v1.30.0, NewStore)."""

_ENGINE = "rkt"
_MANY = 8
"""Unreadable entries of one folder that are told one by one."""


def engine_state(root: Root) -> tuple[EngineState, str]:
    """Whether a program uses the store, as far as its lock tells, and the clause that says so."""
    try:
        is_held, holder = locks.held(root, "", shared=True)
    except OrlopError as error:
        return EngineState.UNKNOWN, f"the lock on {LOCK} cannot be asked for: {error.why or error.what}"
    if is_held:
        state = EngineState.RUNNING if holder.startswith(_ENGINE) else EngineState.HELD
        return state, f"the lock on {LOCK} is held" + (f" by {holder}" if holder else "")
    return EngineState.STOPPED, f"the lock on {LOCK} is free"


def notes(
    root: Root,
    catalogue: CatalogueFile,
    unreadable: Sequence[Unreadable],
    engine: EngineState,
    engine_text: str,
    hidden: int,
) -> tuple[Note, ...]:
    """What the list says above its rows; `hidden` manifests may not be read by this user."""
    return (
        *_of_catalogue(root, catalogue),
        *_unreadable(unreadable),
        *_of_manifests(hidden),
        *_of_engine(engine, engine_text),
    )


def _of_catalogue(root: Root, catalogue: CatalogueFile) -> Iterator[Note]:
    path, why = catalogue.path, catalogue.why
    match catalogue.state:
        case CatalogueState.OLD:
            version = catalogue.contents.version
            text = f"the database has version {version} of its tables, and only version {VERSION} can be changed"
            yield Note(text=f"{text}: the store is read-only here until it is migrated", path=path)
        case CatalogueState.LATER:
            text = f"{why}: the images are listed from their files, and nothing can be changed"
            yield Note(text=text, path=path, unreadable=True)
        case CatalogueState.PENDING:
            yield Note(text=f"the database cannot be changed: {why}", path=catalogue.log_path)
        case CatalogueState.UNREADABLE:
            text = f"the database cannot be read: {why}; the images are listed from their files"
            yield Note(text=text, path=path, unreadable=True)
        case CatalogueState.MISSING | CatalogueState.DAMAGED:
            text = f"the database cannot be read: {why}; the images are listed from their files"
            yield Note(text=text, path=path)
        case _:
            pass
    if catalogue.path == layout.SQLITE and _is_there(root, layout.QL):
        yield Note(text="a database of rkt's lies beside Orlop's own; its rows are not shown here", path=layout.QL)


def _is_there(root: Root, path: str) -> bool:
    try:
        return root.exists(path)
    except OrlopError:
        return False


def _unreadable(unreadable: Sequence[Unreadable]) -> Iterator[Note]:
    """One note for each part; one for all that a folder has of the same fault, where they are many."""
    alike: dict[tuple[str, str], list[str]] = {}
    for part in unreadable:
        alike.setdefault((part.path.rpartition("/")[0], part.why), []).append(part.path)
    for (folder, why), paths in alike.items():
        if len(paths) > _MANY:
            yield Note(text=f"{len(paths)} entries cannot be read: {why}", path=folder, unreadable=True)
        else:
            yield from (Note(text=f"cannot be read: {why}", path=path, unreadable=True) for path in paths)


def _of_manifests(hidden: int) -> Iterator[Note]:
    if hidden:
        text = f"{hidden} manifest{'' if hidden == 1 else 's'} cannot be read: permission denied"
        yield Note(text=text, path=layout.MANIFESTS, unreadable=True)


def _of_engine(engine: EngineState, text: str) -> Iterator[Note]:
    if engine is EngineState.RUNNING:
        yield Note(text=f"rkt uses this store, and may change it while it is shown: {text}")
    if engine is EngineState.HELD:
        yield Note(text=f"another program uses this store, and may change it: {text}")
