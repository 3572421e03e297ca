"""How an age of the registry names layers, and what it takes as proof that bytes are the layer they are said to be.

The layer store works with any `LayerRules`; with `Sha256Rules` it does what 2.0 to
3.x do (distribution ``registry/storage/blobwriter.go``).
"""

import io
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from orlop.digest import CANONICAL, Digest, Hasher, hasher
from orlop.errors import DigestMismatch, NotFound
from orlop.progress import Progress
from orlop.registry.blobs import BlobStore, hash_stream
from orlop.registry.driver import Driver


@dataclass(slots=True, kw_only=True)
class UploadData:
    """The bytes of an upload, at its end."""

    driver: Driver
    path: str
    size: int
    missing: bool
    """Whether there is no file at all: nothing was ever written."""
    hashing: Hasher | None = None
    """The canonical hash of the first `hashed` bytes, given while they were written."""
    hashed: int = 0

    def reader(self, offset: int = 0) -> BinaryIO:
        """The bytes from an offset on; none where the file is missing."""
        return io.BytesIO() if self.missing else self.driver.reader(self.path, offset)


class LayerRules(Protocol):
    """What differs between ages of the registry."""

    appends: bool
    """Whether a resumed upload goes on at the end of its data; else it begins at 0."""
    marks: bool
    """Whether an upload notes that its data was proven, so that a finish that was cut off can be repeated."""

    def parse(self, text: str) -> str:
        """A digest as this age knows it.

        Raises:
            Malformed: it is none.
            Unsupported: one that no layer can be stored under.
        """
        ...

    def hashing(self) -> Hasher | None:
        """A hash that is worth keeping while bytes are written; None where that is no use for `prove`."""
        ...

    def prove(self, asked: str, data: UploadData, progress: Progress) -> str:
        """Make sure that an upload's bytes have this digest.

        Returns:
            The digest that their blob is kept under.

        Raises:
            DigestMismatch: they have another.
            NotFound: there are no bytes, where some must be.
        """
        ...

    def sound(self, blobs: BlobStore, canonical: str, progress: Progress) -> bool:
        """Whether a blob is there that need not be replaced by proven bytes."""
        ...

    def links(self, canonical: str, asked: str) -> tuple[str, ...]:
        """The names of the links that let a repository serve the blob, in the order they are written."""
        ...


class Sha256Rules:
    """From 2.0 on: a blob is kept under its sha256; it may be asked for by another digest too."""

    appends = True
    marks = True

    def parse(self, text: str) -> str:
        return Digest.parse_any(text)

    def hashing(self) -> Hasher | None:
        return hasher(CANONICAL)

    def prove(self, asked: str, data: UploadData, progress: Progress) -> str:
        canonical = data.hashing or hasher(CANONICAL)
        if data.hashed < data.size:
            with data.reader(data.hashed) as stream:
                hash_stream(stream, canonical, progress, total=data.size - data.hashed)
        found = proof = Digest.of_hasher(canonical)
        algorithm = Digest.parse_any(asked).algorithm
        if algorithm != found.algorithm:
            other = hasher(algorithm)
            with data.reader() as stream:
                hash_stream(stream, other, progress, total=data.size)
            proof = Digest.of_hasher(other)
        if proof != asked:
            raise DigestMismatch(asked, proof, path=data.path, engine="provided digest did not match uploaded content")
        return found

    def sound(self, blobs: BlobStore, canonical: str, progress: Progress) -> bool:
        """Hashes the blob that is there: the registry keeps a damaged one, here it is replaced."""
        try:
            blobs.verify(canonical, progress)
        except (NotFound, DigestMismatch):
            return False
        return True

    def links(self, canonical: str, asked: str) -> tuple[str, ...]:
        return (canonical,) if asked == canonical else (canonical, asked)


SHA256_RULES = Sha256Rules()
"""What every registry from 2.0 on does."""
