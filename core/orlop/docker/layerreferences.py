"""What an image store needs of a layer store: the top layer of each image, held as long as the image is there.

The engine's layer.Store as far as image.store uses it (moby v1.12.0-rc4
image/store.go: ``LayerGetReleaser``). `orlop.docker.layerstore.LayerStore` is one.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from orlop.errors import NotFound


class FreedLayer(Protocol):
    """A layer that is gone, since nothing held it any more."""

    @property
    def chain_id(self) -> str:
        """Its id in the layer store."""
        ...

    @property
    def size(self) -> int:
        """Bytes of content in this layer alone, as its record had it."""
        ...


class LayerReferences(Protocol):
    """Layers by chain id, each there for as long as something holds it. Safe between threads."""

    def get(self, chain_id: str) -> object:
        """Hold a layer once more.

        Raises:
            NotFound: there is no such layer, or it cannot be used; nothing is held.
        """
        ...

    def release(self, chain_id: str) -> Sequence[FreedLayer]:
        """Let go of a layer once; with the last holder it goes, and those below it that nothing else holds.

        Gives the layers that are gone, top first.

        Raises:
            NotFound, Refused: nobody holds it.
            NoPermission, ReadOnly, StorageFailure: it could not be removed.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedLayer:
    """A layer of `MemoryLayerReferences` that nobody holds any more."""

    chain_id: str
    size: int = 0


class MemoryLayerReferences:
    """`LayerReferences` that only count: every layer exists, save those that are said to be missing.

    For tests, and for looking at images without their layers. Nothing is below a layer here.
    """

    def __init__(self, missing: Iterable[str] = ()) -> None:
        self.missing = frozenset(missing)
        """Chain ids that do not exist."""
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def get(self, chain_id: str) -> None:
        if chain_id in self.missing:
            raise NotFound(f"the layer {chain_id} does not exist")
        with self._lock:
            self._counts[chain_id] += 1

    def release(self, chain_id: str) -> tuple[CountedLayer, ...]:
        with self._lock:
            if not self._counts[chain_id]:
                raise NotFound(f"nobody holds the layer {chain_id}")
            self._counts[chain_id] -= 1
            if self._counts[chain_id]:
                return ()
            del self._counts[chain_id]
        return (CountedLayer(chain_id=chain_id),)

    def counts(self) -> dict[str, int]:
        """How often each layer is held, those that are at all."""
        with self._lock:
            return {chain_id: count for chain_id, count in self._counts.items() if count}
