"""Blobs: bytes under the digest that they hash to, shared by all repositories.

distribution: ``registry/storage/blobstore.go``. The registry never hashes what it
reads; here whoever wants proof asks for it.
"""

from collections.abc import Iterator
from typing import BinaryIO

from orlop.digest import CANONICAL, Digest, Hasher, hasher
from orlop.errors import DigestMismatch, NotFound, TooLarge, WrongKind
from orlop.fs import PARSE_LIMIT
from orlop.progress import Progress, Silent
from orlop.registry.driver import Driver, DriverStat
from orlop.registry.layout import MODERN, Layout, algorithms, digest_of

CHUNK = 1 << 20
"""Bytes that are read, hashed and written at a time."""


class BlobStore:
    """The blobs of a registry.

    Methods raise, besides what they name: Malformed for what is no digest, and
    WrongKind, NoPermission, ReadOnly, NoSpace, StorageFailure.
    """

    def __init__(self, driver: Driver, *, layout: Layout = MODERN) -> None:
        self.driver = driver
        self.layout = layout

    def path(self, digest: str) -> str:
        """Where a blob's bytes lie, whether it is there or not; relative to the driver's root."""
        return self.layout.blob_data(digest)

    def stat(self, digest: str) -> DriverStat:
        """Size and time of a blob.

        Raises:
            NotFound: there is none.
            WrongKind: a folder is in its place.
        """
        found = self.driver.stat(self.path(digest))
        if found.folder:
            raise WrongKind("folder", "file", path=found.path)
        return found

    def exists(self, digest: str) -> bool:
        """Whether there are bytes under this digest; they are not hashed."""
        try:
            self.stat(digest)
        except NotFound:
            return False
        return True

    def open(self, digest: str, offset: int = 0) -> BinaryIO:
        """A blob's bytes from an offset on, not hashed; the caller closes it.

        Raises:
            NotFound: there is no such blob.
        """
        return self.driver.reader(self.path(digest), offset)

    def read(self, digest: str, limit: int = PARSE_LIMIT) -> bytes:
        """All bytes of a small blob, which hash to its digest.

        Raises:
            NotFound: there is no such blob.
            TooLarge: it has more than `limit` bytes.
            DigestMismatch: they are not what the digest says.
        """
        path = self.path(digest)
        content = self.driver.get(path, limit)
        actual = Digest.of(content, Digest.parse_any(digest).algorithm)
        if actual != digest:
            raise DigestMismatch(digest, actual, path=path)
        return content

    def verify(self, digest: str, progress: Progress | None = None) -> DriverStat:
        """Hash a blob of any size.

        Returns:
            What was known of the file before it was read.

        Raises:
            NotFound: there is no such blob.
            DigestMismatch: its bytes are not what the digest says.
            Cancelled: `progress` stopped it.
        """
        found = self.stat(digest)
        hashing = hasher(Digest.parse_any(digest).algorithm)
        with self.open(digest) as stream:
            hash_stream(stream, hashing, progress, total=found.size)
        actual = Digest.of_hasher(hashing)
        if actual != digest:
            raise DigestMismatch(digest, actual, path=found.path)
        return found

    def put(self, content: bytes, algorithm: str = CANONICAL) -> Digest:
        """Keep bytes under their digest; a damaged blob of that name is replaced, a sound one is left as it is.

        Atomic and durable.

        Raises:
            Unsupported: no algorithm that registries take.
        """
        digest = Digest.of(content, algorithm)
        if not self._holds(digest, content):
            self.driver.put(self.path(digest), content)
        return digest

    def digests(self) -> Iterator[Digest]:
        """Every digest that has bytes, in order of their text; what is no blob is passed over."""
        for algorithm in algorithms(names_in(self.driver, self.layout.blobs)):
            above = f"{self.layout.blobs}/{algorithm}"
            for shard in names_in(self.driver, above):
                for name in names_in(self.driver, f"{above}/{shard}") if len(shard) == 2 else ():
                    digest = digest_of(algorithm, name)
                    if digest is not None and name.startswith(shard) and self._is_file(digest):
                        yield digest

    def _holds(self, digest: Digest, content: bytes) -> bool:
        try:
            return self.driver.get(self.path(digest), len(content)) == content
        except (NotFound, TooLarge):
            return False

    def _is_file(self, digest: Digest) -> bool:
        try:
            return self.exists(digest)
        except WrongKind:
            return False


def hash_stream(stream: BinaryIO, hashing: Hasher, progress: Progress | None = None, *, total: int = 0) -> int:
    """Give a stream to a hasher, to its end; the bytes that it had."""
    told = progress or Silent()
    done = 0
    while chunk := stream.read(CHUNK):
        hashing.update(chunk)
        done += len(chunk)
        told.step("bytes hashed", done, total)
    return done


def names_in(driver: Driver, path: str) -> tuple[str, ...]:
    """The names in a folder; none where there is nothing, or a stray file.

    Raises:
        WrongKind: a link or a device is in its place, and may hide what belongs there.
        NoPermission, StorageFailure
    """
    try:
        return driver.names(path)
    except NotFound:
        return ()
    except WrongKind as error:
        if error.found != "file":
            raise
        return ()
