"""An ACI image store: rkt's data directory, or the ``cas`` folder in it."""

from orlop.finding import Rule
from orlop.fs import Root
from orlop.kinds.found import Early, Found, Verified, is_folder
from orlop.progress import Progress
from orlop.store import Store

_FOLDER = "cas"
_CATALOGUES = ("db/ql.db", "db/orlop.sqlite3")


def find(path: str) -> list[Found]:
    """The store that a path means.

    Raises:
        NotFound, WrongKind, NoPermission, StorageFailure: the path cannot be opened.
    """
    with Root.open(path) as root:
        here = root.path
        if _is_store(root, ""):
            return [_found(here)]
        return [_found(f"{here.rstrip('/')}/{_FOLDER}")] if _is_store(root, f"{_FOLDER}/") else []


def rules() -> tuple[Rule, ...]:
    """Every rule of the kind."""
    from orlop.rkt.rules import RULES

    return tuple(RULES.values())


def _is_store(root: Root, below: str) -> bool:
    """Whether there is a catalogue, or, where it was lost, the two folders of what it lists."""
    if any(root.exists(below + catalogue) for catalogue in _CATALOGUES):
        return True
    return is_folder(root, f"{below}blob/sha512") and is_folder(root, f"{below}imageManifest")


def _found(root: str) -> Found:
    return Found(kind="rkt", root=root, scope="", path=root, opener=_open)


def _open(root: Root, progress: Progress, verified: Verified | None, early: Early | None) -> Store:
    from orlop.rkt.door import RktStore, identity_of

    known = verified(identity_of(root)) if verified is not None else None
    return RktStore(root, progress=progress, verified=known)
