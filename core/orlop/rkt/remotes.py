"""Remote records: where an image came from, and whether what was fetched is still fresh.

Facts: rkt v1.30.0, rkt/image/common.go (useCached: fresh while less than ``max-age``
passed; without one, each fetch asks again, with the ETag if there is one).
"""

from orlop.records import Remote
from orlop.rkt.catalogue import ZERO_TIME, RemoteRow
from orlop.rkt.model import Model, State

KIND = "discovery"

_SECOND = 1_000_000_000


def remotes(model: Model, key: str | None) -> tuple[Remote, ...]:
    """Records that lead to one image, or all of them, by URL."""
    urls = sorted(model.remotes) if key is None else model.remotes_of.get(key, ())
    return tuple(_remote(model, model.remotes[url]) for url in urls)


def expires(row: RemoteRow) -> int | None:
    """When a record ceases to be fresh, nanoseconds UTC; None where it never is."""
    if row.max_age <= 0 or row.downloaded == ZERO_TIME:
        return None
    return row.downloaded + row.max_age * _SECOND


def is_fresh(row: RemoteRow, at: int) -> bool:
    """Whether rkt would take the image from the store without asking."""
    end = expires(row)
    return end is not None and at < end


def trouble(model: Model, row: RemoteRow) -> str:
    """Why a record leads nowhere, one clause; empty where it leads to an image."""
    image = model.images.get(row.key)
    if image is None:
        return "the image that it led to is not in the store"
    if image.row is None:
        return "the image that it led to has no row"
    if image.blob.state is not State.GOOD:
        return f"the image that it leads to cannot be used: {image.blob.why}"
    return ""


def _remote(model: Model, row: RemoteRow) -> Remote:
    image = model.images.get(row.key)
    return Remote(
        kind=KIND,
        reference=row.url,
        url=row.url,
        signature_url=row.signature_url or None,
        etag=row.etag or None,
        max_age=row.max_age or None,
        downloaded=row.downloaded if row.downloaded != ZERO_TIME else None,
        expires=expires(row),
        fresh=is_fresh(row, model.seen_at),
        image=row.key or None,
        image_known=image is not None and image.row is not None,
        path=model.catalogue.path,
        trouble=trouble(model, row),
    )
