"""Which image a dependency, or a person who gives a name, gets, of what a reading found.

Facts: rkt v1.30.0, store/imagestore/store.go (GetACI, ResolveKey); appc/spec v0.8.11,
pkg/acirenderer (an id is looked up as a key, and its name and labels are not looked at).
"""

from collections.abc import Mapping, Sequence

from orlop.errors import NotFound
from orlop.rkt import layout
from orlop.rkt.catalogue import ImageRow
from orlop.rkt.manifest import ImageManifest, Pair
from orlop.rkt.model import Dependency, Manifest
from orlop.rkt.selection import choose


class Chooser:
    """Chooses as rkt does, but passes over images whose manifest cannot be read, where rkt fails.

    Args:
        rows: of the whole table, in its order.
        manifests: by key.
    """

    def __init__(self, rows: Sequence[ImageRow], manifests: Mapping[str, Manifest]) -> None:
        self._parsed: dict[str, ImageManifest] = {}
        self._by_name: dict[str, list[ImageRow]] = {}
        self._keys = frozenset(row.key for row in rows)
        for row in rows:
            found = manifests.get(row.key)
            if found is not None and found.parsed is not None:
                self._parsed[row.key] = found.parsed
                self._by_name.setdefault(row.name, []).append(row)

    def named(self, name: str, labels: Sequence[tuple[str, str]]) -> str | None:
        """Key of the image for a name and labels, or None."""
        rows = self._by_name.get(name)
        if rows is None:
            return None
        pairs = [Pair(name=label, value=value) for label, value in labels]
        try:
            return choose(rows, name, pairs, self._parsed.__getitem__)
        except NotFound:
            return None

    def dependency(self, wanted: Dependency) -> str | None:
        """Key of the image that a dependency would get, or None."""
        if not wanted.image_id:
            return self.named(wanted.name, wanted.labels)
        start = wanted.image_id[: layout.KEY_LENGTH]
        if start in self._keys:
            return start
        if not layout.SHORTEST_PREFIX <= len(start) < layout.KEY_LENGTH:
            return None
        found = [key for key in self._keys if key.startswith(start)]
        return found[0] if len(found) == 1 else None
