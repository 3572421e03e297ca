"""Every byte of a store's archives against their keys, and their manifests against those that are stored.

Large archives are hashed by several threads (hashlib lets go of the interpreter); small
ones go in batches, since handing over costs as much as hashing them. Memory is bounded
by a block for each thread, whatever the archives are.
"""

import hashlib
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from io import BufferedReader
from typing import BinaryIO, cast

from orlop.errors import Cancelled, NoPermission, NotFound, OrlopError
from orlop.fs import Root
from orlop.progress import Progress
from orlop.rkt import aci, layout, manifest
from orlop.rkt.manifest import ImageManifest
from orlop.rkt.model import Image, State

_BLOCK = 1 << 20
_BATCH = 4 << 20
"""Bytes of archives that are handed over together."""
_THREADS = min(os.cpu_count() or 1, 8)
_WAITING = 2 * _THREADS
"""Batches that are handed over at a time."""
_REPORT = 0.1
"""Seconds between two reports of progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What hashing one archive gave."""

    key: str
    actual: str = ""
    """The key that its bytes have; empty where they cannot be read."""
    manifest: ImageManifest | None = None
    """The one in the archive, where that hashes to its key and has a valid one."""
    gone: bool = False
    """Whether it was removed meanwhile."""
    denied: bool = False
    """Whether this user may not read it."""
    why: str = ""
    """Why it cannot be read; else empty."""

    @property
    def sound(self) -> bool:
        return self.actual == self.key


class _Meter:
    """Bytes that all threads hashed, and whether they should stop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.bytes = 0
        self.stopped = False

    def add(self, count: int) -> None:
        if self.stopped:
            raise Cancelled
        with self._lock:
            self.bytes += count


def verdicts(root: Root, images: Sequence[Image], progress: Progress) -> Iterator[Verdict]:
    """Hash the archives of some images, in their order; those that are not there are left out.

    Raises:
        Cancelled: `progress` stopped it.
    """
    present = [image for image in images if image.blob.state is State.GOOD and layout.is_key(image.key)]
    total = sum(image.blob.size for image in present)
    meter = _Meter()
    batches = _batches(present)
    waiting: deque[Future[list[Verdict]]] = deque()
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="orlop-hash") as pool:
        try:
            for batch in batches:
                waiting.append(pool.submit(_batch, root, batch, meter))
                if len(waiting) >= _WAITING:
                    yield from _result(waiting.popleft(), meter, total, progress)
            while waiting:
                yield from _result(waiting.popleft(), meter, total, progress)
        finally:
            meter.stopped = True
            pool.shutdown(wait=True, cancel_futures=True)


def _batches(images: Sequence[Image]) -> Iterator[list[str]]:
    keys: list[str] = []
    size = 0
    for image in images:
        keys.append(image.key)
        size += image.blob.size
        if size >= _BATCH:
            yield keys
            keys, size = [], 0
    if keys:
        yield keys


def _result(future: Future[list[Verdict]], meter: _Meter, total: int, progress: Progress) -> list[Verdict]:
    """Wait for a batch, telling how far all of them are."""
    while True:
        progress.step("archives", meter.bytes, total)
        if wait([future], timeout=_REPORT).done:
            return future.result()


def _batch(root: Root, keys: Sequence[str], meter: _Meter) -> list[Verdict]:
    block = memoryview(bytearray(_BLOCK))
    return [_verdict(root, key, block, meter) for key in keys]


def _verdict(root: Root, key: str, block: memoryview, meter: _Meter) -> Verdict:
    try:
        with root.stream(layout.blob(key)) as stream:
            actual = _key(stream, block, meter)
            found = _manifest(stream) if actual == key else None
    except NotFound:
        return Verdict(key=key, gone=True)
    except NoPermission as error:
        return Verdict(key=key, denied=True, why=error.why)
    except Cancelled:
        raise
    except OrlopError as error:
        return Verdict(key=key, why=error.why or error.what)
    except OSError as error:
        return Verdict(key=key, why=error.strerror or str(error))
    return Verdict(key=key, actual=actual, manifest=found)


def _key(stream: BinaryIO, block: memoryview, meter: _Meter) -> str:
    """The key of a stream's bytes.

    Raises:
        OSError: they cannot be read.
        Cancelled
    """
    hasher = hashlib.sha512()
    while count := cast("BufferedReader", stream).readinto(block):
        hasher.update(block[:count])
        meter.add(count)
    return layout.key_of(hasher.digest())


def _manifest(stream: BinaryIO) -> ImageManifest | None:
    """The manifest of an archive that is what its key says; None for one that appc does not allow today."""
    stream.seek(0)
    try:
        return manifest.parse(aci.manifest_of(stream))
    except OrlopError:
        return None
