"""Images of an ACI store that are, or are built on, a key, or that came from a URL."""

from collections.abc import Iterator

from orlop.records import Holding
from orlop.rkt import layout
from orlop.rkt.model import Model


def holders(model: Model, holding: Holding, text: str) -> frozenset[str]:
    """Keys of the images that hold what answers to a text.

    What stands for a layer is an image that another depends on. A digest is also that of a
    rendered tree: its id, or the hash that it was rendered with.
    """
    sought = text.lower()
    if holding is Holding.SOURCE:
        return frozenset(row.key for url, row in model.remotes.items() if sought in url.lower())
    start = sought.removeprefix(layout.PREFIX)
    found = set(_built_on(model, start))
    if holding is Holding.DIGEST:
        for tree in model.trees.values():
            if tree.image is not None and (tree.id.startswith(sought) or _starts(tree.hash, start)):
                found.add(tree.image)
    return frozenset(found)


def _built_on(model: Model, start: str) -> Iterator[str]:
    for key, image in model.images.items():
        if any(_starts(found, start) for found in (key, *image.dependencies)):
            yield key


def _starts(key: str | None, start: str) -> bool:
    return key is not None and key.removeprefix(layout.PREFIX).startswith(start)
