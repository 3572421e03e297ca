"""Where the bytes of a store are: parts that do not overlap, and what each image has to itself.

All bytes are those that files take on their file system (blocks of 512 bytes that
are allocated, each inode once), as ``du`` counts them; sizes of images and layers
elsewhere in Orlop are those that records tell.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from orlop.records import Key


class Use(StrEnum):
    """What bytes are there for."""

    CONTENT = "content"  # layers, blobs, archives that an image needs
    RECORDS = "records"  # configs, links, catalogues, lock files: what the store knows
    CONTAINERS = "containers"  # written by containers, or kept for them
    BUILD_CACHE = "build cache"  # the builder's own, by its own records
    UPLOADS = "uploads"  # received, and not yet an image's
    UNREFERENCED = "unreferenced"  # recorded, and needed by no image and no container
    UNRECORDED = "unrecorded"  # data that no record of the store names
    DEBRIS = "debris"  # left by operations that were cut off
    QUARANTINE = "quarantine"  # what Orlop's journal can bring back
    HIDDEN = "hidden"  # of another store under the same root
    OTHER = "other"  # the engine's, and not of images: volumes, networks, logs
    UNKNOWN = "cannot tell"  # records that would tell cannot be read

    @property
    def is_waste(self) -> bool:
        """Whether nothing that works needs these bytes."""
        return self in (Use.UNREFERENCED, Use.UNRECORDED, Use.DEBRIS, Use.QUARANTINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Bytes of one place or one kind of thing; its own parts add up to it."""

    title: str
    """What it is, for people: ``layer sha256:…``, ``repository team/app``, ``12 uploads``."""
    use: Use
    bytes: int
    path: str = ""
    """The file or folder, relative to the store's root; empty where it is many."""
    remark: str = ""
    """One clause: who needs it, why nobody does, since when."""
    images: tuple[Key, ...] = ()
    """The rows that need it, sorted; an image once."""
    parts: tuple["Part", ...] = ()
    """What it is made of, the largest first; empty where nobody would look further."""

    def walk(self) -> Iterator["Part"]:
        """It and everything below it."""
        yield self
        for part in self.parts:
            yield from part.walk()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSpace:
    """What one image takes."""

    key: Key
    """Its first row."""
    names: tuple[str, ...]
    bytes: int | None
    """All it needs; None where a part of it cannot be read."""
    own: int | None
    """What would be free without it: needed by no other image and no container."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """A store's bytes."""

    disk: int
    """What ``du --block-size=1 -s -x`` says of the store's root."""
    parts: tuple[Part, ...]
    """What they are for, the largest first; together `disk`, but for what `differences` name."""
    images: tuple[ImageSpace, ...]
    """Largest own size first."""
    free: int
    """Bytes that the file system has left, as ``df`` tells: what only root may fill is left out."""
    capacity: int
    """Of the file system."""
    differences: tuple[str, ...] = ()
    """Why the parts are not `disk`, or `disk` is not all: folders that cannot be read, other file systems mounted
    below, what changed meanwhile. One clause each; empty where the sum is exact."""
    unreadable: tuple[str, ...] = ()
    """Folders that this user may not look into, so that what they hold is not counted."""

    def of(self, use: Use) -> int:
        """Bytes for one use."""
        return sum(part.bytes for part in self.parts if part.use is use)

    @property
    def waste(self) -> int:
        """Bytes that nothing that works needs."""
        return sum(part.bytes for part in self.parts if part.use.is_waste)
