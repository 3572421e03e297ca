"""What waits in `orlop.incoming` to be taken into an ACI store: an archive without compression, and its manifest.

::

    .orlop/incoming/<name>/image      the archive, mode 0600 as rkt keeps it
    .orlop/incoming/<name>/manifest   its manifest, as rkt marshals it
    .orlop/incoming/<name>/staged.json
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from orlop import incoming
from orlop.errors import Malformed, OrlopError, Refused, Unsupported
from orlop.fs import Root
from orlop.incoming import Incoming
from orlop.rkt import aci, layout, manifest
from orlop.rkt.changeable import unchangeable
from orlop.rkt.compression import LIMITS, Limits
from orlop.rkt.errors import BadImage
from orlop.rkt.files import BLOB_MODE
from orlop.rkt.manifest import ImageManifest
from orlop.rkt.model import CatalogueState, Model

ARCHIVE, MANIFEST = "image", "manifest"

_KIND = "aci"
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """An image that waits."""

    key: str
    name: str
    """As its manifest has it."""
    digest: str
    """sha256 of the archive."""
    size: int
    """Bytes of the archive."""
    manifest: bytes
    """As rkt stores it."""


def receive(root: Root, into: Incoming, chunks: Iterable[bytes], limits: Limits = LIMITS) -> tuple[str, ImageManifest]:
    """Write an archive, look at all of it, and note that it waits; gives its key and its manifest.

    Args:
        root: the store's folder.
        into: the import that is being filled.
        chunks: the archive without compression; what it raises ends it.
        limits: beyond which it is refused.

    Raises:
        BadImage: it is no image, or a hostile one.
        NoSpace and others of `Incoming.put`.
    """
    long, short = hashlib.sha512(), hashlib.sha256()
    like = layout.BLOBS if root.exists(layout.BLOBS) else None
    size = into.put(ARCHIVE, _hashed(chunks, long, short), mode=BLOB_MODE, like=like)
    with root.stream(incoming.path_of(into.name, ARCHIVE)) as file:
        try:
            found = manifest.parse(aci.examine(file, limits))
        except Malformed as error:
            raise BadImage(error.why, engine="error extracting image manifest") from error
    key = layout.key_of(long.digest())
    into.put(MANIFEST, (found.marshal(),), mode=BLOB_MODE)
    into.note(
        {
            "kind": _KIND,
            "version": _VERSION,
            "key": key,
            "name": found.name,
            "digest": "sha256:" + short.hexdigest(),
            "size": size,
        }
    )
    return key, found


def staged(root: Root, name: str) -> Staged:
    """What waits under a name. Reads only.

    Raises:
        NotFound: nothing whole does.
        Malformed: it is not what `receive` leaves.
    """
    note = incoming.noted(root, name)
    if (note.get("kind"), note.get("version")) != (_KIND, _VERSION):
        raise Malformed("what waits there is no ACI, or of a later version", path=incoming.path_of(name))
    key, title, digest, size = (note.get(member) for member in ("key", "name", "digest", "size"))
    if not (isinstance(key, str) and layout.is_key(key) and isinstance(title, str)):
        raise Malformed("its note has no key or no name", path=incoming.path_of(name))
    if not isinstance(digest, str) or type(size) is not int:
        raise Malformed("its note has no digest or no size", path=incoming.path_of(name))
    raw = root.read(incoming.path_of(name, MANIFEST))
    if manifest.parse(raw).name != title:
        raise Malformed("its manifest is that of another image", path=incoming.path_of(name))
    return Staged(key=key, name=title, digest=digest, size=size, manifest=raw)


def check_takes(root: Root, model: Model) -> None:
    """Make sure that a store takes images at all, before anything is read for it.

    Raises:
        Unsupported: its database is an older or a later one.
        Refused: its rows cannot be read, or a log beside them holds something.
        NoPermission, StorageFailure
    """
    refusal = unchangeable(root, model)
    if refusal is None:
        return
    found, what = model.catalogue, "the store takes no images"
    if found.state in (CatalogueState.OLD, CatalogueState.LATER):
        raise Unsupported(what, path=found.path, why=found.why, do=refusal.do)
    raise Refused(what, refusal.reasons, path=found.path, do=refusal.do)


def discard(root: Root, name: str) -> None:
    """Leave nothing of an import that failed; what keeps it from going is not told, the failure is."""
    try:
        incoming.discard(root, name)
    except OrlopError:
        return  # the next import of the same writes over it, and `orlop.incoming.waiting` lists it


def _hashed(chunks: Iterable[bytes], *totals: "hashlib._Hash") -> Iterator[bytes]:
    for chunk in chunks:
        for total in totals:
            total.update(chunk)
        yield chunk
