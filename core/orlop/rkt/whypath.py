"""What is at a path of an ACI store, or of the data directory that it lies in."""

from collections.abc import Sequence

from orlop import asked
from orlop.errors import NotFound, OrlopError, WrongKind
from orlop.fs import Root, join
from orlop.records import Link, Why
from orlop.rkt import layout
from orlop.rkt.model import Model

_SHORTEST = len(layout.PREFIX) + 2
"""Characters of a file's name that may stand for all of it."""

_FOLDERS = {
    layout.BLOBS: "folder of archives",
    layout.MANIFESTS: "folder of manifests",
    layout.LOCKS: "folder of the images' locks",
    layout.DATABASE: "folder of the catalogue",
    layout.BACKUPS: "folder of older catalogues",
    layout.TEMPORARY: "folder of what is being written",
    layout.TREES: "folder of rendered trees",
    layout.TREE_LOCKS: "folder of the trees' locks",
}

_IN_TREE = {
    layout.MANIFEST_NAME: "manifest of the image that it was rendered from",
    layout.ROOTFS_NAME: "files of the image",
    layout.HASH_NAME: "hash of the tree",
    layout.RENDERED_NAME: "flag that the tree is complete",
    layout.IMAGE_NAME: "key of the image that it was rendered from",
}


def path_of(root: Root, subject: str) -> str | None:
    """The path below the store's folder that a text means; it may begin at the data directory.

    The name of a file or tree may be cut short. None where it cannot be a path of this store.
    """
    path = asked.path_in(root, subject)
    if path is None:
        return None
    if path.startswith("cas/") and not _is_there(root, "cas"):
        path = path.removeprefix("cas/")
    return _whole(root, path)


def pod_of(model: Model, subject: str) -> str | None:
    """The pod in whose folder a path is; None for any other."""
    parts = subject.split("/")
    if "pods" not in parts:
        return None
    return next((part for part in parts[parts.index("pods") + 1 :] if part in model.pods_seen), None)


def at(root: Root, model: Model, path: str) -> Why | None:
    """What is at a path that is of no image or tree; None where nothing is there.

    Raises:
        NoPermission, StorageFailure: the place cannot be looked at.
    """
    if not path:
        return asked.place(path, "the store")
    if not _is_there(root, path):
        return None
    parts = path.split("/")
    if parts[0] == layout.BACKUPS and len(parts) > 1:
        remark = "copied before the catalogue was changed to a later schema; rkt keeps five"
        return asked.place(path, "an older catalogue", remark)
    if parts[0] == layout.DATABASE and len(parts) > 1:
        link = (Link(what="the catalogue", path=model.catalogue.path),)
        return Why(subject=path, is_a=("part of the catalogue",), kept_by=(link,))
    if parts[0] in _FOLDERS:
        return asked.place(path, _FOLDERS[parts[0]])
    return asked.place(path, "no part of the store", "rkt does not look at it")


def in_tree(inside: Sequence[str]) -> tuple[str, ...]:
    """What something in a rendered tree is; nothing for the tree itself."""
    return (_IN_TREE.get(inside[0], "no part of a tree"),) if inside else ()


def _whole(root: Root, path: str) -> str:
    folder, _, start = path.rpartition("/")
    if len(start) < _SHORTEST or not folder or _is_there(root, path):
        return path
    try:
        found = [name for name in root.names(folder) if name.startswith(start)]
    except (NotFound, WrongKind):
        return path
    return join(folder, found[0]) if len(found) == 1 else path


def _is_there(root: Root, path: str) -> bool:
    try:
        return root.exists(path)
    except OrlopError:
        return True  # it cannot be looked at: then its name must do
