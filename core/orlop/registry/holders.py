"""Manifests of a registry that hold a layer, anything with a digest, or something that a repository links."""

from collections.abc import Iterable, Iterator

from orlop.digest import ALGORITHMS
from orlop.records import Holding
from orlop.registry.model import Model


def holders(model: Model, holding: Holding, text: str) -> frozenset[str]:
    """Digests of the manifests that hold what answers to a text, and of the indexes that name those."""
    if holding is Holding.SOURCE:
        return _with_indexes(model, _linked_in(model, text.lower()))
    start = _Start(text.lower())
    found = {user for need, users in model.users_of.items() if start.of(need) for user in users}
    found.update(_of_diff_ids(model, start))
    if holding is Holding.DIGEST:
        found.update(_by_digest(model, start))
    return _with_indexes(model, found)


class _Start:
    """The start of a digest, with or without its algorithm."""

    def __init__(self, text: str) -> None:
        known = ":" in text and text.partition(":")[0] in ALGORITHMS
        self._starts = (text,) if known else tuple(f"{algorithm}:{text}" for algorithm in ALGORITHMS)

    def of(self, digest: str) -> bool:
        return digest.startswith(self._starts)


def _of_diff_ids(model: Model, start: _Start) -> Iterator[str]:
    for config in model.configs.values():
        if any(start.of(diff_id) for diff_id in config.diff_ids):
            yield from model.users_of.get(config.digest, ())


def _by_digest(model: Model, start: _Start) -> Iterator[str]:
    """Manifests that are it, and those that belong to it."""
    for digest, manifest in model.manifests.items():
        if start.of(digest) or (manifest.subject is not None and start.of(manifest.subject.digest)):
            yield digest


def _linked_in(model: Model, text: str) -> Iterator[str]:
    for digest, repositories in model.linked_in.items():
        if any(text in name.lower() for name in repositories):
            yield from model.users_of.get(digest, ())


def _with_indexes(model: Model, digests: Iterable[str]) -> frozenset[str]:
    found = set(digests)
    if found:
        for (_, digest), indexes in model.indexes_of.items():
            if digest in found:
                found.update(indexes)
    return frozenset(found)
