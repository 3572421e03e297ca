"""What an image store needs of a layer store: the top layer of each image, counted as long as the image is there.

The engine's layer.Store, as far as image.store uses it (moby v1.12.0-rc4
image/store.go: ``LayerGetReleaser``; layer/layer.go: ``Metadata``).
"""

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from orlop.errors import NotFound


@dataclass(frozen=True, slots=True, kw_only=True)
class FreedLayer:
    """A layer that is gone, since nothing referred to it any more."""

    chain_id: str
    diff_id: str = ""
    """Empty where it is not known."""
    size: int = 0
    """Bytes of content in this layer alone, as its record had it."""


class LayerMissing(NotFound):
    """The layer store has no layer of this chain id; `engine` has the engine's words."""

    def __init__(self, chain_id: str, *, path: str | None = None) -> None:
        super().__init__(f"the layer {chain_id} does not exist", path=path, engine="layer does not exist")
        self.chain_id = chain_id


class LayerReferences(Protocol):
    """Layers by chain id, each kept for as long as something refers to it. Safe between threads."""

    def get(self, chain_id: str) -> None:
        """Count one reference to a layer.

        Raises:
            LayerMissing: there is no such layer; nothing was counted.
            NotFound, Malformed, StorageFailure: it cannot be used.
        """
        ...

    def release(self, chain_id: str) -> tuple[FreedLayer, ...]:
        """Drop one reference; with the last one the layer goes, and those below it that nothing else needs.

        Gives the layers that are gone, top first.

        Raises:
            LayerMissing: nothing was counted for it.
            NoPermission, ReadOnly, StorageFailure: it could not be removed.
        """
        ...


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
            raise LayerMissing(chain_id)
        with self._lock:
            self._counts[chain_id] += 1

    def release(self, chain_id: str) -> tuple[FreedLayer, ...]:
        with self._lock:
            if not self._counts[chain_id]:
                raise LayerMissing(chain_id)
            self._counts[chain_id] -= 1
            if self._counts[chain_id]:
                return ()
            del self._counts[chain_id]
        return (FreedLayer(chain_id=chain_id),)

    def counts(self) -> dict[str, int]:
        """References by chain id, those that are counted at all."""
        with self._lock:
            return {chain_id: count for chain_id, count in self._counts.items() if count}
