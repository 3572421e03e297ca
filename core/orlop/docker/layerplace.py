"""Where layers lie, what each must hash to, and which version of it is there now."""

import os
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from orlop.docker import layout
from orlop.errors import OrlopError
from orlop.fs import Folder, Root

if TYPE_CHECKING:  # what hashes layers starts without them
    from orlop.docker.model import Layer, Model

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one layer lies, relative to the store's root."""

    recipe: str
    """Its ``tar-split.json.gz``."""
    tree: str
    """The folder below which its files are."""


def place_of(model: "Model", layer: "Layer") -> Place | None:
    """Where a layer lies; None where its files are no plain ones, or its record does not say where they are."""
    tree = layout.layer_tree(model.driver, layer.cache_id) if layer.cache_id is not None else None
    return None if tree is None else Place(recipe=layout.tar_split(model.driver, layer.chain_id), tree=tree)


def diff_id_of(model: "Model", layer: "Layer") -> str | None:
    """What a layer must hash to, by a config that lists it, or else by its own record; None where neither says it."""
    for user in model.users_of.get(layer.chain_id, ()):
        image = model.images[user]
        return image.diff_ids[image.chain.index(layer.chain_id)]
    return None if layer.parent_lost else layer.diff_id


def version_of(root: Root, place: Place) -> str:
    """What stands for a layer in `orlop.verified`: the versions of its recipe and of its folder.

    Raises:
        NotFound, WrongKind, NoPermission, StorageFailure
    """
    return f"{root.stat(place.recipe).version} {root.stat(place.tree).version}"


class Versions:
    """`version_of` for very many layers of one driver: the folders that hold them all are opened once.

    Raises:
        NotFound, WrongKind, NoPermission, StorageFailure: one of those folders cannot be opened.
    """

    def __init__(self, root: Root, driver: str) -> None:
        self._overlay = driver == "overlay2"
        self._recipes: Folder = root.folder(layout.layers(driver))
        try:
            self._data: Folder = root.folder(layout.layer_data_folder(driver) or "")
        except OrlopError:
            self._recipes.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._recipes.close()
        self._data.close()

    def of(self, layer: "Layer") -> str:
        """The version of a layer that has a cache id; empty where it cannot be looked at."""
        cache_id = layer.cache_id or ""
        try:
            recipe = _within(self._recipes.fd, layer.chain_id[7:], "tar-split.json.gz")
            data = _within(self._data.fd, cache_id, "diff") if self._overlay else _at(self._data.fd, cache_id)
        except OSError:
            return ""  # then nothing is proven; a check says what is wrong
        return f"{recipe} {data}"


def _within(above: int, folder: str, name: str) -> tuple[int, int, int, int, int]:
    """As `_at` for a name in a folder of an open one; neither may be a link to somewhere else."""
    here = os.open(folder, _FOLDER, dir_fd=above)
    try:
        return _at(here, name)
    finally:
        os.close(here)


def _at(folder: int, name: str) -> tuple[int, int, int, int, int]:
    """`orlop.fs.Stat.version` of a name in an open folder, for those who ask of ten thousands."""
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)
