"""Bytes of manifests with all that they need, and of what nothing else needs."""

from collections.abc import Mapping

from orlop.registry.model import Manifest, Model, State


class Sizes:
    """Sizes by digest, each worked out once; every blob counts once in each."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._parents = _parents(model)
        self._known: dict[str, tuple[int | None, int | None]] = {}

    def of(self, digest: str) -> tuple[int | None, int | None]:
        """Bytes of manifest, config and layers, of an index with its children; and those that nothing else needs.

        None and None where the manifest cannot be read or a blob is missing that must be there.
        """
        known = self._known.get(digest)
        if known is None:
            known = self._known[digest] = self._of(digest)
        return known

    def _of(self, digest: str) -> tuple[int | None, int | None]:
        manifests = self._closure(digest)
        blobs = self._model.blobs
        total = own = 0
        seen: set[str] = set()
        for manifest in manifests.values():
            if manifest.state in (State.MISSING, State.UNREADABLE, State.WRONG_KIND):
                return None, None
            total += manifest.size
            if manifest.digest == digest or self._parents.get(manifest.digest, set()) <= manifests.keys():
                own += manifest.size
            for needed in manifest.needs:
                if needed.digest in seen:
                    continue
                seen.add(needed.digest)
                blob = blobs.get(needed.digest)
                if blob is None:
                    if needed.foreign:
                        continue
                    return None, None
                total += blob.size
                if self._is_own(needed.digest, manifests):
                    own += blob.size
        return total, own

    def _is_own(self, digest: str, manifests: Mapping[str, Manifest]) -> bool:
        users = self._model.users_of.get(digest, ())
        return all(user in manifests for user in users)

    def _closure(self, digest: str) -> dict[str, Manifest]:
        """A manifest with all that it names as manifests, and what those name."""
        found: dict[str, Manifest] = {}
        pending = [digest]
        while pending:
            here = pending.pop()
            if here in found:
                continue
            manifest = self._model.manifests.get(here)
            if manifest is None:
                manifest = Manifest(digest=here, state=State.MISSING, size=0)
            found[here] = manifest
            pending.extend(child.digest for child in manifest.children)
        return found


def _parents(model: Model) -> dict[str, set[str]]:
    """Digest → indexes anywhere in the registry that name it."""
    found: dict[str, set[str]] = {}
    for (_, digest), indexes in model.indexes_of.items():
        found.setdefault(digest, set()).update(indexes)
    return found
