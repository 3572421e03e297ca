"""The layer store of January 2015: exists, fetch, upload, resume.

Source: distribution at commit 83d62628fc, ``storage/layerstore.go``, ``layerupload.go``,
``layerreader.go``, ``filewriter.go`` and ``filereader.go``. It differs from `LayerStore`
by more than names: a resumed upload begins at 0, seeking past the end counts as size,
an upload can be finished after it was closed, a closing answers with an error, the blob
that is there is kept unseen, and a layer is known by its TarSum only.
"""

import os
from collections.abc import Callable, Iterator
from typing import BinaryIO
from uuid import UUID, uuid4

from orlop import times
from orlop.errors import (
    DigestMismatch,
    Escapes,
    Malformed,
    NotFound,
    OrlopError,
    StorageFailure,
    TooLarge,
    Unsupported,
    WrongKind,
)
from orlop.registry import tarsum
from orlop.registry.driver import Driver, DriverStat
from orlop.registry.early import EARLY, EarlyDigest
from orlop.registry.earlydriver import EarlyDriver
from orlop.registry.layer import Layer
from orlop.registry.layout import Layout

_CHUNK = 1 << 20
_LINK_LIMIT = 1024
_TIME_LIMIT = 256
_SECOND = 1_000_000_000


class Closed(OrlopError, ValueError):
    """An upload or a layer that was closed; nothing can be written to it, or read from it."""


class BadSeek(OrlopError, ValueError):
    """A position before the beginning, or behind the end of a layer; the old one stays."""


class EarlyLayerStore:
    """The layers of one repository, and its uploads.

    Methods raise, besides what they name: WrongKind, NoPermission, ReadOnly, NoSpace,
    StorageFailure, Malformed for a path that the drivers of the time refused, and Escapes
    for a name that leaves its folder; `engine` has the words of the original.

    Args:
        driver: where the registry lies.
        repository: its name; every part must be the name of a folder.
        new_uuid: names uploads.
        now: nanoseconds UTC.

    Raises:
        Escapes: the name leaves its folder.
    """

    def __init__(
        self,
        driver: Driver,
        repository: str,
        *,
        new_uuid: Callable[[], UUID] = uuid4,
        now: Callable[[], int] = times.now,
    ) -> None:
        self.layout: Layout = EARLY
        self.repository = repository
        self._driver = driver if isinstance(driver, EarlyDriver) else EarlyDriver(driver)
        self._new_uuid = new_uuid
        self._now = now
        self.layout.repository(repository)

    def exists(self, digest: str) -> bool:
        """Whether the repository serves a layer; its bytes are not hashed.

        Raises:
            Malformed, Unsupported: no digest that a layer can have, or a link that is damaged or leads to no blob.
            WrongKind: a folder is in the place of the blob.
        """
        try:
            self.fetch(digest)
        except NotFound:
            return False
        return True

    def fetch(self, digest: str) -> Layer:
        """A layer that the repository serves; its bytes are not hashed.

        Raises:
            NotFound: the repository has no link of it, whatever others have.
            Malformed, Unsupported: no digest that a layer can have, or a link that is damaged or leads to no blob.
            WrongKind: a folder is in the place of the blob.
        """
        link = self.layout.layer_link(self.repository, digest)
        try:
            canonical = self._read_link(link)
        except NotFound as error:
            raise NotFound(
                f"there is no layer {digest} in {self.repository}", path=link, engine=f"unknown layer {digest}"
            ) from error
        blob = self._blob(canonical, link)
        return Layer(
            repository=self.repository,
            digest=digest,
            canonical=canonical,
            size=blob.size,
            created_at=blob.modified,
            path=blob.path,
            driver=self._driver,
        )

    def upload(self) -> "EarlyUpload":
        """Begin an upload; there is no data file until something is written."""
        uuid = str(self._new_uuid())
        text = times.rfc3339(self._now() // _SECOND * _SECOND)
        self._driver.put(self.layout.upload_started_at(self.repository, uuid), text.encode("ascii"))
        return EarlyUpload(self._driver, self, uuid=uuid, started=text)

    def resume(self, uuid: str) -> "EarlyUpload":
        """Go on with an upload that this or another program began; it stands at 0, so seek to the end first.

        Raises:
            NotFound: there is no such upload.
            Malformed: its start time does not parse.
            WrongKind: a folder is in the place of its data.
        """
        if "/" in uuid or uuid in ("", ".", ".."):
            raise _unknown_upload(uuid, self.repository, None)  # never the name of one, wherever it may lead
        path = self.layout.upload_started_at(self.repository, uuid)
        try:
            text = self._driver.get(path, _TIME_LIMIT).decode("utf-8", "surrogateescape")
            times.parse(text)
        except NotFound as error:
            raise _unknown_upload(uuid, self.repository, path) from error
        except TooLarge as error:
            raise Malformed(f"{error.size} bytes, where a time must be", path=path) from error
        except Malformed as error:
            error.path = error.path or path
            raise
        return EarlyUpload(self._driver, self, uuid=uuid, started=text)

    def uploads(self) -> tuple[str, ...]:
        """The names of the uploads in progress, sorted."""
        try:
            return self._driver.names(self.layout.uploads_of(self.repository))
        except NotFound:
            return ()

    def _read_link(self, path: str) -> str:
        """The text of a link, a digest; nothing is trimmed.

        Raises:
            NotFound: there is no link.
            Malformed: it holds no digest.
        """
        try:
            text = self._driver.get(path, _LINK_LIMIT).decode("utf-8", "surrogateescape")
            return EarlyDigest.parse(text).text
        except TooLarge as error:
            raise Malformed(f"{error.size} bytes, where a link holds one digest", path=path) from error
        except Malformed as error:
            error.path = error.path or path
            raise

    def _blob(self, digest: str, link: str) -> DriverStat:
        try:
            return _file(self._driver, self.layout.blob_data(digest))
        except NotFound as error:
            words = f'link "/{link}" invalid: blob {digest} does not exist'
            raise Malformed(f"the blob {digest} does not exist", path=link, engine=words) from error
        except Escapes as error:
            raise Malformed("the link leads out of the blobs", path=link) from error
        except Malformed as error:
            error.path = error.path or link
            raise


class EarlyUpload:
    """A layer on its way in: bytes in a file that lasts until `finish` or `cancel`.

    It is made by `EarlyLayerStore.upload` and `EarlyLayerStore.resume`. What is written is
    on disk when a method returns.
    """

    def __init__(self, driver: Driver, layers: EarlyLayerStore, *, uuid: str, started: str) -> None:
        self.repository = layers.repository
        self.uuid = uuid
        self.started = started
        """RFC 3339, as the upload's file says it."""
        self.started_at = times.parse(started)
        """Nanoseconds UTC."""
        self._driver = driver
        self._layers = layers
        self._path = layers.layout.upload_data(layers.repository, uuid)
        self._closed = False
        self._offset = 0
        self._size = self._data_size()

    # --- writing -----------------------------------------------------------

    @property
    def size(self) -> int:
        """Bytes so far; seeking past them counts, `write_at` does not."""
        return self._size

    @property
    def offset(self) -> int:
        """Where the next byte goes."""
        return self._offset

    def write(self, data: bytes) -> int:
        """Write bytes at the offset, which moves behind them; how many they were.

        Raises:
            Closed
        """
        return self._write((data,))

    def read_from(self, stream: BinaryIO) -> int:
        """Write what a stream has at the offset, which moves behind it; how many bytes it had.

        Raises:
            Closed
            StorageFailure: the stream cannot be read; what it gave before is written, the offset stays.
        """
        return self._write(_chunks(stream))

    def write_at(self, data: bytes, offset: int) -> int:
        """Write bytes somewhere; neither the offset nor the known size change.

        Raises:
            Closed
            BadSeek: a negative offset.
        """
        self._refuse_closed()
        return self._driver.write(self._path, _position(offset), (data,))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the offset; past the end the known size grows with it. Another whence than 0, 1 and 2 moves nothing.

        Raises:
            Closed
            BadSeek: it would be negative; it stays where it was.
        """
        self._refuse_closed()
        self._offset = _position(_base(whence, offset, self._offset, self._size))
        self._size = max(self._size, self._offset)
        return self._offset

    # --- ending ------------------------------------------------------------

    def close(self) -> None:
        """Write no more with this object; the upload stays, and can be resumed or finished.

        Raises:
            Closed: always; so the original answered, and whoever closes must expect it.
        """
        self._closed = True
        self._refuse_closed()

    def cancel(self) -> None:
        """Give the upload up: its files are removed. May be repeated."""
        self._remove()
        self._closed = True

    def finish(self, digest: str) -> Layer:
        """Prove what the data unpacks to, and let the repository serve it.

        In order: the data becomes the blob, unless one is there (which stays, whatever it
        holds), the link is written, the upload goes. Everything is read once.

        Raises:
            Malformed: the text names no version of TarSum, or the data is no tar archive.
            Unsupported: another version than 1.
            DigestMismatch: the data has another sum; the upload stays, and can go on.
            NotFound: nothing was ever written, or it was finished or cancelled before.
        """
        layout = self._layers.layout
        canonical = self._proven(digest)
        blob = layout.blob_data(canonical)
        try:
            self._driver.stat(blob)
        except NotFound:
            self._driver.move(self._path, blob)
        self._driver.put(layout.layer_link(self.repository, canonical), canonical.encode("ascii"))
        self._remove()
        return self._layers.fetch(canonical)

    # --- inside ------------------------------------------------------------

    def _proven(self, digest: str) -> str:
        if tarsum.version_of(digest) != "v1":
            raise Unsupported(
                "layers are known by TarSums of version 1 only", why=digest, engine="unsupported tarsum version"
            )
        if ":" not in digest:
            raise Malformed("a digest is an algorithm, a colon and digits", engine="invalid checksum digest format")
        _file(self._driver, self._path)
        try:
            with self._driver.reader(self._path) as stream:
                found = tarsum.tarsum(stream)
        except Malformed as error:
            error.path = error.path or self._path
            raise
        if found != digest:
            words = f"invalid digest for referenced layer: {digest}"
            raise DigestMismatch(digest, found, path=self._path, engine=words)
        return found

    def _write(self, chunks: Iterator[bytes] | tuple[bytes, ...]) -> int:
        self._refuse_closed()
        written = self._driver.write(self._path, self._offset, chunks)
        self._offset += written
        self._size = max(self._size, self._offset)
        return written

    def _data_size(self) -> int:
        try:
            return _file(self._driver, self._path, "cannot write to a directory").size
        except NotFound:
            return 0

    def _remove(self) -> None:
        try:
            self._driver.delete(self._layers.layout.upload(self.repository, self.uuid))
        except NotFound:
            return  # what is not there need not go

    def _refuse_closed(self) -> None:
        if self._closed:
            raise Closed(
                f"the upload {self.uuid} is closed", path=self._path, engine=f"filewriter@/{self._path}: closed"
            )


class LayerReader:
    """The bytes of a layer from a position on; seeking stays within them. The file is opened at the first read."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self._offset = 0
        self._stream: BinaryIO | None = None
        self._closed = False

    @property
    def offset(self) -> int:
        """Where the next byte comes from."""
        return self._offset

    def read(self, size: int) -> bytes:
        """So many bytes; fewer at the end of the layer only.

        Raises:
            Closed
            NotFound: the blob has gone.
        """
        self._refuse_closed()
        if self._stream is None:
            self._stream = self.layer.reader(self._offset)
        parts: list[bytes] = []
        while size and (part := self._stream.read(size)):
            parts.append(part)
            size -= len(part)
        data = b"".join(parts)
        self._offset += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position; another whence than 0, 1 and 2 moves nothing.

        Raises:
            Closed
            BadSeek: before the beginning or behind the end; it stays where it was.
        """
        self._refuse_closed()
        position = _position(_base(whence, offset, self._offset, self.layer.size))
        if position > self.layer.size:
            raise BadSeek(f"position {position} lies behind the end", engine="cannot seek passed end of file")
        if position != self._offset:
            self._release()
            self._offset = position
        return position

    def close(self) -> None:
        """Read no more.

        Raises:
            Closed: always; so the original answered, and whoever closes must expect it.
        """
        self._release()
        self._closed = True
        self._refuse_closed()

    def _release(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _refuse_closed(self) -> None:
        if self._closed:
            raise Closed(f"the layer {self.layer.digest} is closed", path=self.layer.path, engine="layer closed")


def _file(driver: Driver, path: str, words: str = "cannot read a directory") -> DriverStat:
    found = driver.stat(path)
    if found.folder:
        error = WrongKind("folder", "file", path=path)
        error.engine = words
        raise error
    return found


def _unknown_upload(uuid: str, repository: str, path: str | None) -> NotFound:
    return NotFound(f"there is no upload {uuid} in {repository}", path=path, engine="layer upload unknown")


def _base(whence: int, offset: int, here: int, end: int) -> int:
    match whence:
        case os.SEEK_SET:
            return offset
        case os.SEEK_CUR:
            return here + offset
        case os.SEEK_END:
            return end + offset
    return here


def _position(offset: int) -> int:
    if offset < 0:
        raise BadSeek(f"position {offset} lies before the beginning", engine="cannot seek to negative position")
    return offset


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while True:
        try:
            chunk = stream.read(_CHUNK)
        except OSError as error:
            raise StorageFailure("what is uploaded cannot be read", why=str(error), errno=error.errno or 0) from error
        if not chunk:
            return
        yield chunk
