"""Which images are those of which every byte was hashed, and since when."""

from collections.abc import Set
from dataclasses import replace

from orlop.docker import layout
from orlop.docker.layerplace import Versions, diff_id_of
from orlop.docker.model import Image, Layer, Model
from orlop.errors import OrlopError
from orlop.fs import Root
from orlop.records import Row, Trust
from orlop.verified import VerifiedCache

NO_LAYERS = "no layers"
"""The version of an image without layers: its config is hashed whenever the store is read."""


class Dates:
    """When layers and images of a store were verified in the version that they have now.

    The version of a layer is looked up on disk once, and again only where it may have
    changed. A store of which nothing was ever verified costs nothing.

    Args:
        root: the store.
        cache: what was verified of it; None: nothing is known.
    """

    def __init__(self, root: Root, cache: VerifiedCache | None) -> None:
        self._root = root
        self._cache = cache
        self._as_of = -1
        self._model: Model | None = None
        self._versions: dict[str, tuple[Layer, str]] = {}
        """Chain id → the record as it was then, and the version."""
        self._stacks: dict[str, int | None] = {}
        """Chain id → the oldest date of the layer and of all below it."""

    def __bool__(self) -> bool:
        """Whether there is anything to ask."""
        return self._cache is not None and len(self._cache) > 0

    def look(self, model: Model, touched: Set[str] | None) -> Set[str] | None:
        """Learn which versions the layers that images use have now.

        Returns:
            Chain ids of which the date may be another than before, those left out of which the record is another
            object; None: any may be.

        Args:
            model: what was read just now; the questions that follow are about it.
            touched: names in the driver's folder that changed, beside the layers whose records are other
                objects than before; None for all.
        """
        self._model = model
        behind = self._cache is not None and self._cache.changes != self._as_of
        self._as_of = self._cache.changes if self._cache is not None else 0
        self._stacks = {}
        if not self or layout.layer_data_folder(model.driver) is None:
            self._versions = {}
            return None if behind else frozenset()
        kept: dict[str, tuple[Layer, str]] = {}
        unknown: list[Layer] = []
        for chain_id in model.users_of:
            layer = model.layers.get(chain_id)
            if layer is None or layer.cache_id is None:
                continue
            known = self._versions.get(chain_id) if touched is not None else None
            if known is not None and known[0] is layer and layer.cache_id not in (touched or ()):
                kept[chain_id] = known
            else:
                unknown.append(layer)
        self._versions = {**kept, **self._looked_up(model, unknown)} if unknown else kept
        return None if behind or touched is None else frozenset(layer.chain_id for layer in unknown)

    def _looked_up(self, model: Model, layers: list[Layer]) -> dict[str, tuple[Layer, str]]:
        try:
            with Versions(self._root, model.driver) as versions:
                return {layer.chain_id: (layer, versions.of(layer)) for layer in layers}
        except OrlopError:
            return {}  # then nothing is proven; the store's notes say what cannot be read

    def renew(self) -> bool:
        """Take up what was noted in the cache meanwhile; whether there was anything.

        A layer that is proven stays with the version that it has; all others are looked at again.
        """
        if self._cache is None or self._model is None or self._cache.changes == self._as_of:
            return False
        unproven = {layer.cache_id or "" for layer, _ in self._versions.values() if self.of_layer(layer) is None}
        self.look(self._model, unproven)
        return True

    def of_layer(self, layer: Layer) -> int | None:
        """When a layer was verified as it is now, nanoseconds UTC; None where it was not."""
        known = self._versions.get(layer.chain_id)
        if self._cache is None or self._model is None or known is None or not known[1]:
            return None
        diff_id = diff_id_of(self._model, layer)
        seen = self._cache.find(diff_id, known[1]) if diff_id is not None else None
        return seen.at if seen is not None else None

    def of_image(self, image: Image) -> int | None:
        """When the last byte of an image was verified that had not been before; None where one never was."""
        if self._cache is None or self._model is None:
            return None
        if not image.chain:
            seen = self._cache.find(image.id, NO_LAYERS)
            return seen.at if seen is not None else None
        top = image.chain[-1]
        if top not in self._stacks:
            self._add_up(image.chain)
        return self._stacks[top]

    def _add_up(self, chain: tuple[str, ...]) -> None:
        assert self._model is not None
        oldest: int | None = None
        for number, chain_id in enumerate(chain):
            if chain_id in self._stacks:
                oldest = self._stacks[chain_id]
                continue
            layer = self._model.layers.get(chain_id)
            at = self.of_layer(layer) if layer is not None else None
            oldest = None if at is None or (number and oldest is None) else min(at, oldest or at)
            self._stacks[chain_id] = oldest


def proven(model: Model, rows: tuple[Row, ...], dates: Dates) -> tuple[Row, ...]:
    """Rows with what is known of their bytes now; the same tuple where nothing differs.

    Args:
        model: what the rows are made of.
        rows: linked and verified ones are judged anew; of all others nothing is proven.
        dates: when layers were verified.
    """
    changed = False
    found: list[Row] = []
    for row in rows:
        if row.trust is not Trust.LISTED:
            at = dates.of_image(model.images[row.id]) if dates else None
            if at != row.verified_at:
                changed = True
                row = replace(row, trust=Trust.LINKED if at is None else Trust.VERIFIED, verified_at=at)
        found.append(row)
    return tuple(found) if changed else rows
