"""A registry's storage: the ``rootdirectory`` of its configuration, or a folder one to three levels inside it."""

import functools

from orlop.errors import OrlopError
from orlop.finding import Rule
from orlop.fs import Root
from orlop.kinds.found import Early, Found, Verified, is_folder
from orlop.progress import Progress
from orlop.store import Store

_BELOW = ("docker", "registry", "v2")
_SIGNS = ("repositories", "blobs")


def find(path: str) -> list[Found]:
    """The store that a path means.

    Where the three folders stand above it, the root is the ``rootdirectory``; a
    copy of a part of them is its own root.

    Raises:
        NotFound, WrongKind, NoPermission, StorageFailure: the path cannot be opened.
    """
    with Root.open(path) as root:
        here = root.path
        base = _base(root)
    if base is None:
        return []
    missing = len(_BELOW) - len([part for part in base.split("/") if part])
    if missing and here.rstrip("/").split("/")[-missing:] == list(_BELOW[:missing]):
        above = _above(here, missing)
        if above is not None:
            return [_found(above, "/".join(_BELOW))]
    return [_found(here, base)]


def rules() -> tuple[Rule, ...]:
    """Every rule of the kind."""
    from orlop.registry.rules import RULES

    return tuple(RULES.values())


def _base(root: Root) -> str | None:
    """Where ``v2`` is, relative to a folder; None where it holds none."""
    for inside in range(len(_BELOW) + 1):
        base = "/".join(_BELOW[inside:])
        if any(is_folder(root, f"{base}/{sign}" if base else sign) for sign in _signs(base)):
            return base
    return None


def _signs(base: str) -> tuple[str, ...]:
    """What must be there: a folder that is called ``blobs`` alone may be anything."""
    return _SIGNS if base else ("repositories",)


def _above(path: str, levels: int) -> str | None:
    """The folder so many levels up, if this user may open it and it still leads here."""
    parts = path.rstrip("/").split("/")
    above = "/".join(parts[:-levels]) or "/"
    try:
        with Root.open(above) as root:
            return root.path if is_folder(root, "/".join(_BELOW)) else None
    except OrlopError:
        return None


def _found(root: str, base: str) -> Found:
    path = f"{root.rstrip('/')}/{base}" if base else root
    return Found(kind="registry", root=root, scope="", path=path, opener=functools.partial(_open, base))


def _open(base: str, root: Root, progress: Progress, verified: Verified | None, early: Early | None) -> Store:
    from orlop.registry.door import RegistryStore, identity_of

    known = verified(identity_of(root)) if verified is not None else None
    return RegistryStore(root, base, progress=progress, verified=known)
