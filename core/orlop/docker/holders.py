"""Images of a Docker store that hold a layer, anything with a digest, or something from a repository."""

from collections.abc import Iterator

from orlop.docker.model import Model
from orlop.records import Holding


def holders(model: Model, holding: Holding, text: str) -> frozenset[str]:
    """Ids of the images that hold what answers to a text; see `Holding`."""
    if holding is Holding.SOURCE:
        return _users(model, _from(model, text.lower()))
    start = text.lower().removeprefix("sha256:")
    found = _users(model, _layers(model, start))
    return found | frozenset(_by_digest(model, start)) if holding is Holding.DIGEST else found


def _layers(model: Model, start: str) -> Iterator[str]:
    """Chain ids of the layers with an identity that starts so."""
    for chain_id, layer in model.layers.items():
        digests = (chain_id, layer.diff_id or "")
        if any(digest.startswith(start, 7) for digest in digests) or (layer.cache_id or "").startswith(start):
            yield chain_id
    for chain_id in model.users_of.keys() - model.layers.keys():  # whose record is missing
        if chain_id.startswith(start, 7):
            yield chain_id
    for diff_id, listed in model.v2_lists.items():
        if any(entry.digest.startswith(start, 7) for entry in listed.entries):
            yield from model.chain_of_diff.get(diff_id, ())
    for digest, reverse in model.v2_reverse.items():
        if digest.startswith(start, 7) and reverse.diff_id:
            yield from model.chain_of_diff.get(reverse.diff_id, ())


def _by_digest(model: Model, start: str) -> Iterator[str]:
    """Images with an id, or with a name by digest, that starts so."""
    yield from (image for image in model.images if image.startswith(start, 7))
    for name, entry in model.tags.references.items():
        if "@" in name and name.rpartition("@")[2].startswith(start, 7):
            yield entry.image


def _from(model: Model, text: str) -> Iterator[str]:
    """Chain ids of the layers that came from, or went to, a repository whose name has this text."""
    for diff_id, listed in model.v2_lists.items():
        if any(text in entry.source.lower() for entry in listed.entries):
            yield from model.chain_of_diff.get(diff_id, ())


def _users(model: Model, layers: Iterator[str]) -> frozenset[str]:
    return frozenset(image for chain_id in layers for image in model.users_of.get(chain_id, ()))
