"""Which rows stand for images of which every byte was hashed, and since when."""

from dataclasses import replace

from orlop.records import Row, Trust
from orlop.rkt.model import Image, Model
from orlop.verified import Dates, Version, version_text


def proven(model: Model, rows: tuple[Row, ...], dates: Dates) -> tuple[Row, ...]:
    """Rows with what is known of their bytes now; the same tuple where nothing differs.

    Args:
        model: what the rows are made of.
        rows: linked and verified ones are judged anew; of all others nothing is proven.
        dates: when archives were hashed, and manifests compared with them.
    """
    changed = False
    found: list[Row] = []
    for row in rows:
        if row.trust is not Trust.LISTED:
            at = _verified_at(model.images[row.id], dates) if dates else None
            if at != row.verified_at:
                changed = True
                row = replace(row, trust=Trust.LINKED if at is None else Trust.VERIFIED, verified_at=at)
        found.append(row)
    return tuple(found) if changed else rows


def comparison(key: str, archive: Version) -> str:
    """What stands in the verified-cache for a stored manifest that is the one in this version of the archive."""
    return f"{key} manifest of {version_text(archive)}"


def _verified_at(image: Image, dates: Dates) -> int | None:
    archive = image.blob.version
    if archive is None:
        return None
    hashed = dates.of(image.key, archive)
    compared = dates.of(comparison(image.key, archive), image.manifest.version) if hashed is not None else None
    return min(hashed, compared) if hashed is not None and compared is not None else None
