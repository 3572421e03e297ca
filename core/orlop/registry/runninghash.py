"""The hash of a file that is being written, kept so that its bytes are not all read again at the end."""

from orlop.digest import CANONICAL, Digest, hasher
from orlop.progress import Progress
from orlop.registry.blobs import hash_stream
from orlop.registry.driver import Driver


class RunningHash:
    """The canonical hash of the first bytes of a file, so far as they were written one after the other.

    hashlib takes up no other program's state: what was there before is read at the end.
    """

    def __init__(self) -> None:
        self._hashing = hasher(CANONICAL)
        self._length = 0

    @property
    def length(self) -> int:
        """Bytes from the beginning of the file that are in the hash."""
        return self._length

    def take(self, offset: int, chunk: bytes) -> None:
        """Bytes were written at an offset; those that do not follow on the last are left to be read."""
        if offset == self._length:
            self._hashing.update(chunk)
            self._length += len(chunk)

    def forget(self, offset: int = 0) -> None:
        """Bytes from an offset on are other ones: where they are in the hash, it begins again."""
        if offset < self._length:
            self._hashing, self._length = hasher(CANONICAL), 0

    def digest(self, driver: Driver, path: str, size: int, progress: Progress) -> Digest:
        """The digest of the whole file; what is not in the hash is read.

        Raises:
            Cancelled: `progress` stopped it.
            NotFound, WrongKind, NoPermission, StorageFailure
        """
        hashing = self._hashing.copy()
        if self._length < size:
            with driver.reader(path, self._length) as stream:
                hash_stream(stream, hashing, progress, total=size - self._length)
        return Digest.of_hasher(hashing)
