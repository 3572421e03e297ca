"""What one read of a registry's storage found, as plain values.

`orlop.registry.read` and `orlop.registry.join` fill it; rows, detail, check, plans
and `why` are functions over it. Digests are texts with their algorithm, interned.
Paths are relative to the ``rootdirectory``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from orlop.records import EngineState, Note
from orlop.verified import Version


class State(StrEnum):
    """What looking at a file gave."""

    GOOD = "good"
    MISSING = "missing"
    EMPTY = "empty"  # zero bytes, which a cut or a full disk leaves
    ALTERED = "altered"  # the bytes hash to something else
    MALFORMED = "malformed"  # it does not parse as what it must be
    TOO_LARGE = "too large"  # not read whole
    WRONG_KIND = "wrong kind"  # a folder, link, pipe or device in the file's place
    UNREADABLE = "unreadable"  # the system refused, or the disk failed


class What(StrEnum):
    """What a manifest describes."""

    IMAGE = "image"
    INDEX = "index"
    ARTIFACT = "artifact"  # an OCI manifest whose config is no image config
    SCHEMA_1 = "schema 1"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """One folder below ``blobs`` whose place is a digest; reading hashes only manifests and configs."""

    digest: str
    state: State
    """`GOOD` means that a regular file of at least one byte is there, or the digest of nothing."""
    size: int
    """Bytes of the content; 0 where it is missing."""
    mtime: int
    """Nanoseconds UTC; 0 where it is missing."""
    why: str = ""
    """Details of a state that is not good, one clause."""
    version: Version | None = None
    """Of the regular file that is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One link file, or a place where one should be."""

    path: str
    named: str
    """The digest that its folders spell; empty for a tag's ``current``."""
    target: str | None
    """The digest in it; None unless the state is good."""
    state: State
    mtime: int = 0
    """Nanoseconds UTC."""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A reference from a manifest to a blob."""

    digest: str
    size: int | None
    """Bytes, as the manifest says."""
    media_type: str
    platform: str = ""
    """``os/architecture[/variant]``; empty where the descriptor does not say."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    foreign: bool = False
    """Whether the content lies elsewhere by design (``urls``, non-distributable layers): it may be missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The content of a blob that some revision, tag or index means as a manifest."""

    digest: str
    state: State
    size: int
    """Bytes of the blob."""
    what: What = What.UNKNOWN
    media_type: str = ""
    artifact_type: str = ""
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    """Bottom first; of an artifact, its blobs."""
    children: tuple[Descriptor, ...] = ()
    """Manifests that an index names, in its order."""
    subject: Descriptor | None = None
    """The manifest that this one belongs to."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    why: str = ""
    engine_says: str = ""
    """What the registry answers or logs for a manifest that is not good."""
    created: int | None = None
    """Of schema 1 only, which has no config: when its newest history entry was made."""
    platform: str = ""
    """Likewise: ``os/architecture``."""

    @property
    def needs(self) -> tuple[Descriptor, ...]:
        """The blobs that it must have: config, then layers; not an index's children."""
        return ((self.config,) if self.config is not None else ()) + self.layers


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """An image config, as far as rows and mappings need it."""

    digest: str
    state: State
    created: int | None = None
    platform: str = ""
    diff_ids: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """One folder below ``_manifests/tags``."""

    name: str
    path: str
    current: Link
    history: Mapping[str, Link]
    """Digest that its folders spell → the link in ``index``."""
    problem: str = ""
    """Why the folder is none: a file or link in its place, which then is among `Model.foreign` too; else empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One folder below ``_uploads``."""

    id: str
    path: str
    started: int | None
    """What ``startedat`` says; None where it is missing or cannot be read."""
    started_problem: str
    size: int
    """Bytes of ``data``; 0 where there is none yet."""
    changed: int
    """The latest modification time in it, nanoseconds UTC."""
    known: bool
    """Whether its name is a UUID: the registry's own purging leaves others alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """One folder that holds ``_layers``, ``_manifests`` or ``_uploads``."""

    name: str
    path: str
    tags: Mapping[str, Tag]
    revisions: Mapping[str, Link]
    """Digest that the folders spell → its link; an emptied folder of a deleted revision is not among them."""
    deleted_revisions: frozenset[str]
    """Digests whose folder is there and empty, which is what deleting over the API leaves."""
    layers: Mapping[str, Link]
    """Likewise for ``_layers``."""
    deleted_layers: frozenset[str]
    uploads: Mapping[str, Upload]
    has_layers: bool
    has_manifests: bool
    signatures: frozenset[str] = frozenset()
    """Digests of revisions with a ``signatures`` folder (2.0 to 2.4)."""
    signature_blobs: frozenset[str] = frozenset()
    """Digests that the links in those folders spell and mean."""
    nested: tuple[str, ...] = ()
    """Names of the repositories below it."""

    @property
    def empty(self) -> bool:
        """Whether it has no tag, no revision and no upload."""
        return not self.tags and not self.revisions and not self.uploads


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEntry:
    """One entry of a pull-through cache's scheduler-state.json."""

    key: str
    repository: str
    digest: str
    """Empty in stores of 2.1 and 2.2, which note only one of the two."""
    expires: int | None
    manifest: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """scheduler-state.json as a whole."""

    state: State
    entries: tuple[CacheEntry, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """Something that is no part of the layout."""

    path: str
    kind: str
    """``file``, ``folder``, ``link``, …"""
    where: str
    """What it stops depends on it: ``blobs``, ``tags``, ``revisions``, ``layers``, ``repositories``, ``uploads``,
    ``signatures``; ``temporary`` for what a cut write leaves."""
    bytes: int
    mtime: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A part of the store that could not be read: nothing below it counts as missing."""

    path: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Everything one read found, with the joins that every question needs."""

    base: str
    """``docker/registry/v2``, relative to the root."""
    repositories: Mapping[str, Repository]
    """By name, sorted."""
    blobs: Mapping[str, Blob]
    """By digest; only those that are on disk, in whatever state."""
    manifests: Mapping[str, Manifest]
    """By digest; also those that a link or index names and that are missing."""
    configs: Mapping[str, Config]
    """By digest, of every image manifest that could be read."""
    cache: Cache | None
    """None where the store is no pull-through cache."""
    foreign: Sequence[Foreign]
    empty_shards: Sequence[str]
    """Folders below ``blobs`` with nothing in them, two-digit ones and whole digests; the registry leaves them."""
    unreadable: Sequence[Unreadable]
    engine: EngineState
    engine_text: str
    notes: Sequence[Note]
    seen_at: int

    # joins
    tags_of: Mapping[tuple[str, str], tuple[str, ...]]
    """(repository, digest) → tags whose ``current`` means it, sorted."""
    indexes_of: Mapping[tuple[str, str], tuple[str, ...]]
    """(repository, digest) → digests of the indexes of that repository that name it."""
    referrers_of: Mapping[tuple[str, str], tuple[str, ...]]
    """(repository, digest) → digests of the manifests of that repository whose subject it is."""
    repositories_of: Mapping[str, tuple[str, ...]]
    """Digest → repositories with a good revision link for it, sorted."""
    linked_in: Mapping[str, tuple[str, ...]]
    """Digest → repositories with a good layer link to it, sorted."""
    users_of: Mapping[str, tuple[str, ...]]
    """Digest of a config or layer → digests of the manifests that need it and that some repository knows."""

    def unseen(self, path: str) -> bool:
        """Whether what is at a path could not be looked at, so that nobody can say that it is missing."""
        return any(path == part.path or path.startswith(part.path + "/") for part in self.unreadable)
