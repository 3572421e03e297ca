"""The catalogue of an ACI store: image rows, remote records and the version of their schema.

One Protocol, two ways to keep it: `orlop.rkt.qlcatalogue` (rkt's own ``db/ql.db``)
and `orlop.rkt.sqlitecatalogue` (stores that Orlop makes). Times are integer
nanoseconds UTC; `ZERO_TIME` is what rkt writes for a time that was never set.

Facts: rkt v1.30.0, store/imagestore/{schema,aciinfo,remote}.go.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

VERSION = 7
"""The schema that rkt writes from 1.12.0 on."""

ZERO_TIME = -62_135_596_800_000_000_000
"""0001-01-01T00:00:00Z."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRow:
    """One row of ``aciinfo``."""

    key: str
    """``sha512-`` and 64 hex digits."""
    name: str
    imported: int
    last_used: int
    latest: bool
    """Whether it was fetched without a version, so that it is the newest of its name."""
    size: int
    """Bytes of the uncompressed archive; 0 where a migrated row never got it."""
    tree_size: int
    """Bytes of the rendered tree; 0 where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteRow:
    """One row of ``remote``."""

    url: str
    signature_url: str
    etag: str
    key: str
    """Of the image that it led to."""
    max_age: int
    """Seconds."""
    downloaded: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """All rows, in the order in which the table gives them: newest written first."""

    version: int
    images: tuple[ImageRow, ...]
    remotes: tuple[RemoteRow, ...]


# --- edits: each is one statement; an unknown key or url changes nothing unless it says otherwise ---


@dataclass(frozen=True, slots=True, kw_only=True)
class PutImage:
    """Delete the row of this key if there is one, and insert this one."""

    row: ImageRow


@dataclass(frozen=True, slots=True, kw_only=True)
class DropImage:
    """Delete the row of a key and every remote that leads to it."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLatest:
    """Set or clear the latest flag of a row, in its place; the other values keep their bytes."""

    key: str
    latest: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTreeSize:
    """Set the size of the rendered tree of a row, in its place."""

    key: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UseImage:
    """Set the last use of a row, which is written anew and so comes first; the other values keep their bytes."""

    key: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PutRemote:
    """Delete the remote of this url if there is one, and insert this one."""

    row: RemoteRow


@dataclass(frozen=True, slots=True, kw_only=True)
class DropRemote:
    """Delete the remote of a url."""

    url: str


Edit: TypeAlias = PutImage | DropImage | SetLatest | SetTreeSize | UseImage | PutRemote | DropRemote


class Catalogue(Protocol):
    """The rows of one store.

    `read` and `change` each open the file anew and are one transaction, exclusive
    between processes (flock on the folder ``db``, as rkt takes it).
    """

    @property
    def path(self) -> str:
        """The file, relative to the store's folder: ``db/ql.db``, …"""
        ...

    def read(self) -> Contents:
        """Every row.

        Raises:
            NotFound: there is no such file.
            Malformed: it does not parse; names the place in the file.
            Unsupported: a later schema or format; names both versions.
            Locked: another program is in a transaction.
        """
        ...

    def change(self, edits: Sequence[Edit]) -> None:
        """Make all edits, in order, or none; durable on return.

        Raises:
            Unsupported: the schema is older or later than `VERSION`.
            Locked: another program is in a transaction; or the write-ahead log holds something.
            As `read`.
        """
        ...


class Format(Protocol):
    """A catalogue file as bytes: what a plan works with, which may neither write nor lock."""

    def contents(self, data: bytes) -> Contents:
        """Every row of a file's bytes. Raises as `Catalogue.read`."""
        ...

    def edited(self, data: bytes, edits: Sequence[Edit]) -> bytes:
        """The file's bytes after these edits; the same input gives the same bytes. Raises as `Catalogue.change`."""
        ...

    def empty(self) -> bytes:
        """A file with the schema and no rows."""
        ...
