"""Reading an ACI from a file into the store's incoming folder, every byte looked at.

The store itself stays as it is until the plan over what waits is applied. Cut off, the
same import begins anew; an archive that is refused leaves nothing.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from typing import BinaryIO, cast

from orlop import incoming
from orlop.errors import Malformed, WrongKind
from orlop.fs import Root, kind_of, translate
from orlop.intent import Import
from orlop.progress import Progress
from orlop.rkt.compression import LIMITS, Limits, decompressed
from orlop.rkt.manifest import ImageManifest
from orlop.rkt.model import Model
from orlop.rkt.staging import check_takes, discard, receive

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


def stage(
    root: Root,
    model: Model,
    archive: str,
    *,
    name: str,
    latest: bool,
    at: int,
    progress: Progress,
    limits: Limits = LIMITS,
) -> Import:
    """Read an ACI, plain or compressed, into `orlop.incoming`; `orlop.store.Store.stage` says more.

    Args:
        root: the store's folder.
        model: what the last read found.
        archive: path of the file; links are followed.
        name: that the image must have, with or without its version; empty for any.
        latest: whether it is to be marked as the latest of its name.
        at: the time of import, nanoseconds UTC.
        progress: told of the bytes read of the archive.
        limits: beyond which an archive is refused.

    Raises:
        Unsupported, Refused: the store's database is of another version, or cannot be read.
        BadImage: no image, or a hostile one; nothing of it waits.
        Malformed: it has another name.
        NotFound, WrongKind, NoPermission: the file cannot be read.
        Locked: another program is reading the same file in.
        ReadOnly, NoSpace, Cancelled
    """
    check_takes(root, model)
    with _opened(archive) as (file, size):
        found = os.fstat(file.fileno())
        identity = f"{found.st_dev} {found.st_ino} {found.st_mtime_ns} {size}"
        staged = hashlib.sha256(identity.encode()).hexdigest()[:32]
        with incoming.receiving(root, staged) as into:
            try:
                counting = cast("BinaryIO", _Counting(file, size, progress))
                _, manifest = receive(root, into, decompressed(counting, limits), limits)
                _check_name(manifest, name, archive)
            except BaseException as error:
                discard(root, staged)
                if isinstance(error, Malformed):
                    error.path = error.path or archive
                raise
    return Import(staged=staged, name=name, latest=latest, at=at)


def _check_name(manifest: ImageManifest, name: str, archive: str) -> None:
    version = manifest.label("version")
    if name in ("", manifest.name, f"{manifest.name}:{version}"):
        return
    here = f"{manifest.name}:{version}" if version else manifest.name
    raise Malformed(
        f"it is {here}, and an ACI's name is inside it: it cannot be taken in as {name}",
        path=archive,
        do="leave the name out",
    )


@contextlib.contextmanager
def _opened(archive: str) -> Iterator[tuple[BinaryIO, int]]:
    try:
        fd = os.open(archive, _FLAGS)
    except OSError as error:
        raise translate(error, "the archive cannot be opened", archive) from error
    found = os.fstat(fd)
    if (kind := kind_of(found.st_mode)) != "file":
        os.close(fd)
        raise WrongKind(kind, "file", path=archive)
    with os.fdopen(fd, "rb") as file:
        yield file, found.st_size


class _Counting:
    """A file that is read once, forwards, and tells how far."""

    def __init__(self, file: BinaryIO, size: int, progress: Progress) -> None:
        self._file = file
        self._size = size
        self._progress = progress
        self._done = 0

    def read(self, count: int = -1) -> bytes:
        try:
            data = self._file.read(count)
        except OSError as error:
            raise translate(error, "the archive cannot be read", str(self._file.name)) from error
        self._done += len(data)
        self._progress.step("archive", self._done, self._size)
        return data
