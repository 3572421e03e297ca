"""Which rows stand for images of which every byte was hashed, and since when."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from orlop.records import Row, Trust
from orlop.registry.model import Manifest, Model
from orlop.verified import Dates


def proven(model: Model, rows: tuple[Row, ...], dates: Dates) -> tuple[Row, ...]:
    """Rows with what is known of their bytes now; the same tuple where nothing differs.

    Args:
        model: what the rows are made of.
        rows: linked and verified ones are judged anew; of all others nothing is proven.
        dates: when blobs were verified.
    """
    images = _Images(model, dates)
    changed = False
    found: list[Row] = []
    for row in rows:
        if row.trust is Trust.LISTED:
            found.append(row)
            continue
        at = images.of(row.id) if dates else None
        if at != row.verified_at:
            changed = True
            row = replace(row, trust=Trust.LINKED if at is None else Trust.VERIFIED, verified_at=at)
        found.append(row)
    return tuple(found) if changed else rows


class _Images:
    """The oldest date of all bytes of a manifest, worked out once for each."""

    def __init__(self, model: Model, dates: Dates) -> None:
        self._model = model
        self._dates = dates
        self._known: dict[str, int | None] = {}

    def of(self, digest: str) -> int | None:
        """When the last of its bytes was verified that had not been before; None where one never was.

        Of an index, all manifests that it names count with theirs. Content that lies
        elsewhere by design is no part of the store.
        """
        if digest not in self._known:
            self._known[digest] = _oldest(self._own(manifest) for manifest in self._closure(digest))
        return self._known[digest]

    def _own(self, manifest: Manifest | None) -> int | None:
        """The same, without what it names as manifests."""
        if manifest is None:
            return None
        blobs, dates = self._model.blobs, self._dates
        blob = blobs.get(manifest.digest)
        oldest = dates.of(manifest.digest, blob.version) if blob is not None else None
        if oldest is None:
            return None
        for needed in manifest.needs:
            blob = blobs.get(needed.digest)
            if blob is None and needed.foreign:
                continue
            at = dates.of(needed.digest, blob.version) if blob is not None else None
            if at is None:
                return None
            oldest = min(oldest, at)
        return oldest

    def _closure(self, digest: str) -> Iterator[Manifest | None]:
        """A manifest, and all that it names as manifests, and what those name."""
        pending, seen = [digest], {digest}
        while pending:
            manifest = self._model.manifests.get(pending.pop())
            yield manifest
            if manifest is not None and manifest.children:
                below = {child.digest for child in manifest.children} - seen
                seen |= below
                pending += below


def _oldest(dates: Iterable[int | None]) -> int | None:
    """The first of all dates; None where one is missing."""
    oldest: int | None = None
    for at in dates:
        if at is None:
            return None
        oldest = at if oldest is None else min(oldest, at)
    return oldest
