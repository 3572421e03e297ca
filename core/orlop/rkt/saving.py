"""An image out of an ACI store: its stored archive as it is, hashed to its key while it is written.

rkt stores an archive without compression (rkt v1.30.0, store/imagestore/store.go, WriteACI), so what is
written has the key that it has here, in any store that takes it in; the bytes may differ from the file
that was once fetched, which may have been compressed.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from orlop.archives import Gauge, proven
from orlop.errors import DigestMismatch, NotFound, OrlopError, Unsupported
from orlop.fs import Root, translate
from orlop.progress import Progress
from orlop.records import Key
from orlop.rkt import layout
from orlop.rkt.model import Model
from orlop.rkt.rows import key_of
from orlop.store import Saved

FORM = "aci"
_PIECE = 1 << 20


def save(
    root: Root, model: Model, keys: Iterable[Key], to: BinaryIO, *, form: str | None, progress: Progress
) -> tuple[Saved, ...]:
    """Write the archive of one image; see `orlop.store.Store.save`.

    Raises:
        Unsupported: another form; more than one image, for an ACI holds one.
        NotFound: no such image, or its archive is not there.
        DigestMismatch: the archive does not have its key.
        WrongKind, NoPermission, StorageFailure, Cancelled
    """
    if form not in (None, FORM):
        raise Unsupported(
            f"an image of an ACI store cannot be saved as {form}",
            why="an engine that loads that would need a config, and an ACI has none",
            do="save it as aci; `docker2aci` and its kin only go the other way",
        )
    chosen = list(dict.fromkeys(key.id for key in keys))
    if len(chosen) != 1:
        raise Unsupported(
            f"{len(chosen)} images cannot be saved as one ACI", why="it holds one", do="save them in turn"
        )
    image = model.images.get(chosen[0])
    if image is None or not layout.is_key(image.key):
        raise NotFound(f"the image {chosen[0]} is not in the store", do="`orlop ls PATH` lists what is there")
    path = layout.blob(image.key)
    written = 0
    hashing = hashlib.sha512()

    def judge() -> OrlopError | None:
        actual = layout.key_of(hashing.digest())
        return _mismatch(image.key, actual, path) if actual != image.key else None

    with _opened(root, path) as stream:
        gauge = Gauge(progress, image.blob.size)
        for piece in proven(_pieces(stream, path, gauge), hashing, judge):
            to.write(piece)
            written += len(piece)
        gauge.flush()
    name = key_of(image).name
    remarks = _remarks(model, image.key)
    return (Saved(form=FORM, id=image.key, names=(name,) if name else (), bytes=written, remarks=remarks),)


def _opened(root: Root, path: str) -> BinaryIO:
    try:
        return root.stream(path)
    except NotFound as error:
        error.do = "`orlop fetch PATH URL` gets it again, where its remote still has it"
        raise


def _pieces(stream: BinaryIO, path: str, gauge: Gauge) -> Iterator[bytes]:
    try:
        while piece := stream.read(_PIECE):
            gauge(len(piece))
            yield piece
    except OSError as error:
        raise translate(error, "the archive cannot be read", path) from error


def _remarks(model: Model, key: str) -> tuple[str, ...]:
    """What of an image is not in its archive."""
    image = model.images[key]
    missing = []
    if image.dependencies:
        count = len(image.dependencies)
        others = "another image, which is" if count == 1 else f"{count} other images, which are"
        missing.append(f"it is built on {others} to be saved separately")
    if key in model.remotes_of:
        missing.append("where it was fetched from, and its signature's place, are not in an ACI")
    return tuple(missing)


def _mismatch(expected: str, actual: str, path: str) -> DigestMismatch:
    error = DigestMismatch(expected, actual, path=path)
    error.do = (
        "`orlop fetch PATH URL` gets it again, where its remote still has it; `orlop check PATH --content` checks all"
    )
    return error
