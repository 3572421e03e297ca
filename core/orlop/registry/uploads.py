"""Uploads: layers on their way in, which survive the program that writes them.

distribution: ``registry/storage/blobwriter.go`` and ``linkedblobstore.go`` (2.0 to 3.1).
"""

import os
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import BinaryIO, Self

from orlop.digest import CANONICAL, Digest, hasher
from orlop.errors import DigestMismatch, Malformed, NotFound, Refused, StorageFailure, WrongKind
from orlop.progress import Progress, Silent
from orlop.registry.blobs import CHUNK, BlobStore, hash_stream
from orlop.registry.driver import Driver, DriverStat
from orlop.registry.layer import Layer
from orlop.registry.layout import Layout
from orlop.registry.links import read_link, write_layer_links
from orlop.registry.runninghash import RunningHash

_EMPTY = Digest.of(b"")


class LayerUpload:
    """A layer on its way in: bytes in a file that lasts until `finish` or `cancel`.

    What is written is on disk when a method returns, so the upload can be resumed after a
    kill; `read_from` is the quick way in, for each `write` waits for the disk. Bytes are
    hashed while they are written one after the other; what was written before a resume, or
    over or behind a gap, is read once more at the end. One object is for one thread; two
    that write to one upload see each other's bytes in `finish`, where all is proven.

    It is made by `LayerStore.upload` and `LayerStore.resume`.

    Methods raise, besides what they name: WrongKind, NoPermission, ReadOnly, NoSpace,
    StorageFailure; and Refused once it is closed.
    """

    def __init__(
        self,
        *,
        blobs: BlobStore,
        repository: str,
        uuid: str,
        started_at: int,
        size: int,
        fetch: Callable[[str], Layer],
    ) -> None:
        self.repository = repository
        self.uuid = uuid
        self.started_at = started_at
        """Nanoseconds UTC, as the upload's file says it."""
        self._blobs = blobs
        self._fetch = fetch
        self._size = size
        self._offset = size
        self._closed = False
        self._hash = RunningHash()
        self._seen = ""
        self._states_gone = False

    # --- writing -----------------------------------------------------------

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._size

    @property
    def offset(self) -> int:
        """Where the next byte goes."""
        return self._offset

    def write(self, data: bytes) -> int:
        """Write bytes at the offset, which moves behind them; how many they were."""
        return self._write(self._offset, iter((data,)) if data else iter(()), moving=True)

    def read_from(self, stream: BinaryIO) -> int:
        """Write what a stream has at the offset, which moves behind it; how many bytes it had.

        After an error the offset stands behind what was surely written.

        Raises:
            StorageFailure: the stream cannot be read.
        """
        return self._write(self._offset, _chunks(stream), moving=True)

    def write_at(self, data: bytes, offset: int) -> int:
        """Write bytes somewhere, the offset stays; how many they were.

        Raises:
            Malformed: a negative offset.
        """
        return self._write(_position(offset), iter((data,)) if data else iter(()), moving=False)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the offset; past the end too, what lies between then reads as zeros once something is written.

        Raises:
            Malformed: it would lie before the beginning; it stays where it was.
        """
        self._refuse_closed()
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._offset, os.SEEK_END: self._size}.get(whence)
        if base is None:
            raise Malformed(f"whence {whence}, where 0, 1 and 2 are known")
        self._offset = _position(base + offset)
        return self._offset

    # --- ending ------------------------------------------------------------

    def close(self) -> None:
        """Write no more with this object; the upload stays, and can be resumed. May be repeated."""
        self._closed = True

    def cancel(self) -> None:
        """Give the upload up: its files are removed. May be repeated."""
        self._remove()
        self._closed = True

    def finish(self, digest: str, progress: Progress | None = None) -> Layer:
        """Prove the bytes, and let the repository serve them under this digest.

        The bytes become the blob, then the links are written, then the upload goes. A kill
        between any two of these leaves nothing half: the upload can be resumed and finished
        again. A blob that is there already is hashed: a damaged one is replaced, unlike the
        registry does.

        Raises:
            DigestMismatch: the bytes are not what the digest says; the upload stays, and can go on.
            Malformed: no digest.
            Cancelled: `progress` stopped the hashing; the upload stays.
        """
        self._refuse_closed()
        told = progress or Silent()
        asked = Digest.parse_any(digest)
        data = self._data()
        canonical = self._kept_before(asked, told) if data is None else None
        if canonical is None:
            canonical = self._prove(asked, data, told)
            self._keep(canonical, asked, data, told)
        write_layer_links(self._blobs, self.repository, canonical, asked)
        self._remove()
        self._closed = True
        return self._fetch(asked)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- inside: writing -----------------------------------------------------

    @property
    def _driver(self) -> Driver:
        return self._blobs.driver

    @property
    def _layout(self) -> Layout:
        return self._blobs.layout

    @property
    def _path(self) -> str:
        return self._layout.upload_data(self.repository, self.uuid)

    def _write(self, offset: int, chunks: Iterator[bytes], *, moving: bool) -> int:
        self._refuse_closed()
        self._forget_states()
        self._look_again()
        written = 0

        def passing() -> Iterator[bytes]:
            nonlocal written
            for chunk in chunks:
                self._hash.forget(offset + written)
                yield chunk
                # The driver asks for the next one: this one was written.
                self._hash.take(offset + written, chunk)
                written += len(chunk)

        try:
            self._driver.write(self._path, offset, passing())
        finally:
            if moving:
                self._offset = offset + written
            self._size, self._seen = self._look()
        return written

    def _look_again(self) -> None:
        """Forget the hash where somebody else wrote to the file."""
        if self._hash.length and self._look()[1] != self._seen:
            self._hash.forget()

    def _look(self) -> tuple[int, str]:
        """Size and version of the data; nothing where there is none."""
        try:
            found = self._driver.stat(self._path)
        except NotFound:
            return 0, ""
        return found.size, found.version

    def _forget_states(self) -> None:
        """Remove the hashes that docker-registry saved: they would no longer fit, and without them it reads again."""
        if not self._states_gone:
            _discard(self._driver, self._layout.upload_hash_states(self.repository, self.uuid))
            self._states_gone = True

    # --- inside: ending ------------------------------------------------------

    def _data(self) -> DriverStat | None:
        """The bytes as they are at the end; None where nothing was ever written, or all has moved away."""
        try:
            found = self._driver.stat(self._path)
        except NotFound:
            return None
        if found.folder:
            raise WrongKind("folder", "file", path=self._path)
        if found.version != self._seen:
            self._hash.forget()
        return found

    def _prove(self, asked: Digest, data: DriverStat | None, told: Progress) -> Digest:
        """The canonical digest of bytes that have the one that was asked for."""
        if data is None:
            canonical, proof = _EMPTY, Digest.of(b"", asked.algorithm)
        else:
            canonical = proof = self._hash.digest(self._driver, data.path, data.size, told)
            if asked.algorithm != CANONICAL:
                proof = self._digest_by(asked.algorithm, data, told)
        if proof != asked:
            raise DigestMismatch(asked, proof, path=self._path, engine="provided digest did not match uploaded content")
        return canonical

    def _digest_by(self, algorithm: str, data: DriverStat, told: Progress) -> Digest:
        hashing = hasher(algorithm)
        with self._driver.reader(data.path) as stream:
            hash_stream(stream, hashing, told, total=data.size)
        return Digest.of_hasher(hashing)

    def _keep(self, canonical: Digest, asked: Digest, data: DriverStat | None, told: Progress) -> None:
        """Let proven bytes be a blob; where a sound one is there they go with the upload."""
        if self._sound(canonical, told):
            return
        if data is None:
            self._driver.put(self._blobs.path(canonical), b"")
            return
        proven = "\n".join((canonical, asked)).encode("ascii")
        self._driver.put(self._layout.upload_proven(self.repository, self.uuid), proven)
        self._forget_states()
        self._driver.move(data.path, self._blobs.path(canonical))

    def _sound(self, digest: Digest, told: Progress) -> bool:
        """Whether a blob is there and hashes to its name."""
        try:
            self._blobs.verify(digest, told)
        except (NotFound, DigestMismatch):
            return False
        return True

    def _kept_before(self, asked: Digest, told: Progress) -> Digest | None:
        """The digest of the blob, where an earlier finish was cut off after it had been kept."""
        canonical = self._proven(asked) or self._linked(asked)
        return canonical if canonical is not None and self._sound(canonical, told) else None

    def _proven(self, asked: Digest) -> Digest | None:
        """What an earlier finish proved the data to be that it then moved away."""
        try:
            content = self._driver.get(self._layout.upload_proven(self.repository, self.uuid))
            digests = [Digest.parse_any(line) for line in content.decode("ascii").split("\n")]
        except (NotFound, UnicodeDecodeError, Malformed):
            return None
        return digests[0] if asked in digests else None

    def _linked(self, asked: Digest) -> Digest | None:
        """What the repository serves already under this digest: it is given no more than it had."""
        try:
            return read_link(self._driver, self._layout.layer_link(self.repository, asked))
        except (NotFound, Malformed):
            return None

    def _remove(self) -> None:
        _discard(self._driver, self._layout.upload(self.repository, self.uuid))

    def _refuse_closed(self) -> None:
        if self._closed:
            raise Refused(
                f"the upload {self.uuid} is closed", ("it was finished, cancelled or closed",), do="resume the upload"
            )


def _discard(driver: Driver, path: str) -> None:
    try:
        driver.delete(path)
    except NotFound:
        return  # what is not there need not go


def _position(offset: int) -> int:
    if offset < 0:
        raise Malformed(f"position {offset} lies before the beginning", engine="cannot seek to negative position")
    return offset


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while True:
        try:
            chunk = stream.read(CHUNK)
        except OSError as error:
            raise StorageFailure("what is uploaded cannot be read", why=str(error), errno=error.errno or 0) from error
        if not chunk:
            return
        yield chunk
