"""A layer as a repository serves it."""

from dataclasses import dataclass, field
from typing import BinaryIO

from orlop.registry.driver import Driver


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A blob that a repository links: a layer, or an image's config."""

    repository: str
    digest: str
    """The digest that was asked for."""
    canonical: str
    """The digest that the blob is kept under; another one where `digest` is an alias."""
    size: int
    """Bytes."""
    created_at: int
    """When the blob was last written: nanoseconds UTC."""
    path: str
    """Of the blob's bytes, relative to the driver's root."""
    driver: Driver = field(repr=False, compare=False)

    def reader(self, offset: int = 0) -> BinaryIO:
        """The bytes from an offset on, not hashed; the caller closes it.

        Raises:
            NotFound: the blob has gone.
            WrongKind, NoPermission, StorageFailure
        """
        return self.driver.reader(self.path, offset)
