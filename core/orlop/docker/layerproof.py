"""What a damaged layer record must have said, where what is left of the store proves it.

A layer's chain id is the sha256 of ``<chain id below> <diff id>`` and the name of its
record, so a parent and a diff id that give the name are the true ones. The diff id is the
sha256 of the layer's archive, so a folder whose files give it, by the record's recipe,
holds that layer.
"""

import os
from collections.abc import Iterator
from typing import BinaryIO

from orlop.digest import chain_ids
from orlop.docker import layout, tarsplit, unrecorded
from orlop.docker.content import Result, Task
from orlop.docker.layerplace import Place
from orlop.docker.layertree import LayerTree
from orlop.docker.model import Layer, Model
from orlop.docker.overlaylinks import lists_names_of
from orlop.docker.unrecorded import Owner
from orlop.errors import OrlopError
from orlop.fs import PARSE_LIMIT, Root

_LOOKED_AT = 64
"""Files of a recipe that a folder must have before all its bytes are hashed."""


class Proofs:
    """What can be proved of the layers of one store."""

    def __init__(self, root: Root, model: Model) -> None:
        self._root = root
        self._model = model
        self._folders: tuple[str, ...] | None = None
        self._given: dict[str, str] = {}
        """Folders that were found, each with the chain id of its layer: none is of two."""

    # --- parent and diff -------------------------------------------------------

    def stack(self, layer: Layer) -> tuple[str | None, str] | None:
        """The chain id below a layer, None at the bottom, and its diff id; None where nothing proves them."""
        for user in self._model.users_of.get(layer.chain_id, ()):
            image = self._model.images[user]
            at = image.chain.index(layer.chain_id)
            return image.chain[at - 1] if at else None, image.diff_ids[at]
        diff_id = layer.diff_id
        if diff_id is None and layer.cache_id is not None:
            diff_id = self.hashed(layer, layer.cache_id, "", layer.parent).actual or None
        if diff_id is None:
            return None
        known = (layer.parent, None, *sorted(self._model.layers))
        return next(((parent, diff_id) for parent in known if _gives(layer.chain_id, parent, diff_id)), None)

    # --- size ------------------------------------------------------------------

    def size(self, layer: Layer, cache_id: str | None) -> int | None:
        """The size that the engine records for a layer; None where its recipe does not tell the bytes of its files.

        overlay2 records what the layer's folder measures, where links count with the length
        of their text; every other driver the bytes of its files.
        """
        content = self._content(layer)
        measured = self._measured(cache_id)
        return content if content is None or measured is None else max(content, measured)

    def is_wrong_size(self, layer: Layer) -> bool:
        """Whether a layer's size is neither that of its files nor what its folder measures."""
        content = self._content(layer)
        if content is None or layer.size is None or layer.size == content:
            return False
        if self._model.driver != "overlay2":
            return True
        return self._measured(layer.cache_id) not in (None, layer.size)

    def _content(self, layer: Layer) -> int | None:
        """The bytes of a layer's files, by its recipe."""
        try:
            with self._root.stream(layout.tar_split(self._model.driver, layer.chain_id)) as stream:
                return tarsplit.content_size(stream)
        except (OrlopError, OSError):
            return None

    def _measured(self, cache_id: str | None) -> int | None:
        """What overlay2 measures of a layer's folder."""
        tree = layout.layer_tree("overlay2", cache_id) if cache_id is not None else None
        if tree is None or self._model.driver != "overlay2":
            return None
        try:
            return self._root.content_size(tree)
        except OrlopError:
            return None

    # --- data ------------------------------------------------------------------

    def cache_id(self, layer: Layer, parent: str | None, diff_id: str) -> str | None:
        """The folder that holds a layer's files, found among those that nothing names; None where none proves to."""
        for name in self._candidates():
            if self._given.get(name, layer.chain_id) != layer.chain_id:
                continue
            if self._may_hold(layer, name, parent) and self.hashed(layer, name, diff_id, parent).matches:
                self._given[name] = layer.chain_id
                return name
        return None

    def hashed(
        self, layer: Layer, cache_id: str, diff_id: str, parent: str | None, *, recipe: str | None = None
    ) -> Result:
        """What hashing a folder's files as a layer gives.

        Args:
            layer: whose archive is rebuilt.
            cache_id: the driver's folder.
            diff_id: what it must hash to; empty to learn that.
            parent: chain id of the layer below.
            recipe: path of the tar-split record, where it is not the layer's own.
        """
        driver = self._model.driver
        place = Place(
            recipe=recipe or layout.tar_split(driver, layer.chain_id), tree=layout.layer_tree(driver, cache_id) or ""
        )
        below = tuple(self._places(parent)) if driver == "vfs" else ()
        task = Task(
            root=self._root.path,
            chain_id=layer.chain_id,
            diff_id=diff_id,
            place=place,
            below=below,
            size=max(layer.size or 0, 0),
        )
        return task.run(lambda count: None)

    def recipe(self, layer: Layer, parent: str | None, diff_id: str) -> bytes | None:
        """The recipe of another layer with the same diff id, by which this one's files hash to it; None for none."""
        if layer.cache_id is None:
            return None
        for other in self._model.chain_of_diff.get(diff_id, ()):
            path = layout.tar_split(self._model.driver, other)
            if other != layer.chain_id and self.hashed(layer, layer.cache_id, diff_id, parent, recipe=path).matches:
                try:
                    return self._root.read(path, PARSE_LIMIT)
                except OrlopError:
                    continue
        return None

    def _places(self, parent: str | None) -> Iterator[Place]:
        """Where the layers below lie, nearest first, as far as their records tell."""
        seen: set[str] = set()
        while parent is not None and parent not in seen:
            seen.add(parent)
            layer = self._model.layers.get(parent)
            tree = layout.layer_tree(self._model.driver, layer.cache_id) if layer and layer.cache_id else None
            if layer is None or tree is None or not layer.data or layer.parent_lost:
                return
            yield Place(recipe=layout.tar_split(self._model.driver, parent), tree=tree)
            parent = layer.parent

    def _candidates(self) -> tuple[str, ...]:
        """Folders that no record names, and that the build cache does not hold either."""
        if self._folders is None:
            self._folders = tuple(self._unnamed())
        return self._folders

    def _unnamed(self) -> Iterator[str]:
        if any(part.path == layout.BUILD_CACHE for part in self._model.unreadable):
            return
        try:
            found = unrecorded.folders(self._root, self._model)
        except OrlopError:
            return
        for folder in found:
            if folder.owner in (Owner.UNRECORDED, Owner.UNKNOWN) and not folder.name.endswith("-init"):
                yield folder.name

    def _may_hold(self, layer: Layer, name: str, parent: str | None) -> bool:
        """Whether a folder has the first files of a layer's recipe, and stands on the right layers."""
        if self._model.driver == "overlay2" and not lists_names_of(self._root, self._model, name, parent):
            return False
        tree_path = layout.layer_tree(self._model.driver, name) or ""
        try:
            with (
                self._root.stream(layout.tar_split(self._model.driver, layer.chain_id)) as lines,
                LayerTree.at(self._root, tree_path) as tree,
            ):
                return all(_has(tree, entry) for entry in _first_files(lines))
        except (OrlopError, OSError):
            return False


def _first_files(lines: BinaryIO) -> Iterator[tarsplit.Content]:
    count = 0
    for entry in tarsplit.entries(lines):
        if isinstance(entry, tarsplit.Content) and entry.size:
            yield entry
            count += 1
            if count == _LOOKED_AT:
                return


def _has(tree: LayerTree, entry: tarsplit.Content) -> bool:
    try:
        fd, size = tree.file(entry.name)
    except OrlopError:
        return False
    os.close(fd)
    return size == entry.size


def _gives(chain_id: str, parent: str | None, diff_id: str) -> bool:
    """Whether a parent and a diff id give a record's name."""
    return chain_ids((diff_id,) if parent is None else (parent, diff_id))[-1] == chain_id
