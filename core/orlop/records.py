"""What a store of any kind shows: rows, one image whole, mappings, remote records.

Sizes are bytes, times integer nanoseconds UTC since 1970. Text comes from the
store as it is, invalid UTF-8 as surrogate escapes; whoever shows it passes it
through `orlop.text.visible`. All records are immutable and may cross threads.
"""

from collections.abc import Mapping as MappingABC
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, TypeAlias


class Key(NamedTuple):
    """What identifies a row for as long as the store lives.

    A row is a *name*; an image without a name is one row with ``name=None``; a
    name to nothing is a row with the id that is missing.
    """

    scope: str
    """Repository, namespace or driver, where ids are not unique by themselves; else empty."""
    id: str
    """The full id of the image, algorithm included."""
    name: str | None
    """A tag or digest reference in its familiar spelling."""


class Trust(StrEnum):
    """How Orlop knows what it says of an image."""

    LISTED = "listed"  # a record names it; nothing behind it could be read
    LINKED = "linked"  # its config was hashed, and every record it needs is there and agrees
    VERIFIED = "verified"  # all its bytes were hashed; the row carries the date


class Condition(StrEnum):
    """Whether an image can be used, as far as `Trust` reaches."""

    SOUND = "sound"
    INCOMPLETE = "incomplete"  # something it needs is absent or cannot be read
    DAMAGED = "damaged"  # bytes contradict their digest or do not parse


class Flag(StrEnum):
    """Further facts on a row; none of them is damage."""

    UNTAGGED = "untagged"
    DIGEST_ONLY = "digest only"  # the name is a digest reference
    ODD_NAME = "odd name"  # the name does not parse, or holds characters that cannot be shown
    IN_USE = "in use"  # a container needs it
    PARENT = "parent"  # other images name it as their parent
    BUSY = "busy"  # it changed while it was read
    LATEST = "latest"  # the newest of its name, as its catalogue says
    CHILD = "in an index"  # an index names it, so that it needs no name of its own
    REFERRER = "referrer"  # it belongs to another manifest: a signature, a bill of materials
    CACHED = "cached"  # a copy of what another registry has, kept until it expires


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the image list."""

    key: Key
    repository: str
    """The part of the name before the tag or digest; empty for an untagged image."""
    tag: str
    """The tag, or the digest of a digest reference; empty for an untagged image."""
    created: int | None
    size: int | None
    """All layers together, as the layer records say; None where one cannot be read."""
    own_size: int | None
    """Layers that no other image uses; None where `size` is."""
    platform: str
    """``os/architecture[/variant]``; empty where unknown."""
    trust: Trust
    verified_at: int | None
    condition: Condition
    flags: frozenset[Flag]
    reason: str
    """Why the condition is not sound, one clause; else empty."""
    what: str = "image"
    """``image``, ``index``, ``artifact``, ``schema 1``, ``unknown``"""
    under: Key | None = None
    """The row that it is grouped under: the index that names it. That row is above it in every snapshot."""
    last_used: int | None = None
    """When the engine last read it, where it writes that down."""

    @property
    def id(self) -> str:
        return self.key.id


class EngineState(StrEnum):
    """What can be known of the engine that owns the store."""

    STOPPED = "stopped"  # its lock was free
    RUNNING = "running"  # its lock is held, by the engine
    HELD = "held"  # its lock is held, by a program that is not known to be the engine
    UNKNOWN = "unknown"  # nothing to lock, or the lock cannot be trusted


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreId:
    """Which store this is."""

    kind: str
    """``docker``, …"""
    scope: str
    """The driver, where one root holds several stores; else empty."""
    path: str
    """Absolute path of the store's root."""
    token: str
    """Opaque and short: the same for the same root folder, under any path to it."""

    @property
    def label(self) -> str:
        return f"{self.kind}:{self.scope}" if self.scope else self.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something a person should know about the store as a whole: a hidden store, an unreadable part."""

    text: str
    path: str | None = None
    unreadable: bool = False
    """Whether parts of the store could not be read (exit code 3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything the image list shows, at one moment."""

    identity: StoreId
    rows: tuple[Row, ...]
    """Sorted by name, untagged images last, by id; rows that are grouped under another follow it."""
    images: int
    """How many images the rows stand for, those that an engine would hide included."""
    total_size: int
    """Bytes of all layer records together, each once."""
    seen_at: int
    engine: EngineState
    engine_text: str
    """One clause: which lock says so, and who holds it where that is known."""
    notes: tuple[Note, ...]
    partial: bool = False
    """Whether the store is still being read: some or all of the names, of which nothing else is known yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """What a re-read changed; `snapshot` is the whole new state."""

    snapshot: Snapshot
    added: frozenset[Key]
    removed: frozenset[Key]
    changed: frozenset[Key]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRecord:
    """One layer of an image, bottom first."""

    diff_id: str
    chain_id: str
    size: int | None
    """Bytes of this layer alone, as its record says; None where it cannot be read."""
    shared_with: tuple[str, ...]
    """Ids of the other images that use this layer."""
    data_path: str | None
    """Where the storage driver keeps it, relative to the store's root."""
    problem: str
    """Why the record cannot be used; empty where it can."""
    digest: str = ""
    """Of the compressed blob, in a store that keeps layers so; `size` then is that of the blob."""
    media_type: str = ""
    verified_at: int | None = None
    """When all its bytes were hashed, in the version that is there now; None where they never were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One line of an image's history, oldest first, joined to the layer that it made."""

    created: int | None
    created_by: str
    comment: str
    author: str
    empty: bool
    layer: int | None
    """Index into the detail's layers; None for an entry that made none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRecord:
    """A container that uses an image."""

    id: str
    name: str
    running: bool | None
    """What its own record says of the last state; None where it cannot be read."""
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataRecord:
    """One key that the engine keeps beside an image's config."""

    name: str
    value: bytes
    text: str
    """The value for people: a time, an id; else the value decoded."""
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line of a `Section`: a name and what it is, as text."""

    name: str
    value: str
    remark: str = ""
    """What Orlop adds: where it leads, why it is wrong; else empty."""
    problem: bool = False
    leads_to: Key | None = None
    """The row of this store that it names, where it names one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A titled part of an image's detail that only some kinds have: referrers, annotations, dependencies, …"""

    title: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file behind an image, byte for byte."""

    title: str
    """``manifest``, ``config``"""
    path: str
    media_type: str
    raw: bytes | None
    """None where it cannot be read or is too large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """One image whole. Fields that a kind does not have stay empty."""

    key: Key
    row: Row | None
    names: tuple[str, ...]
    config_path: str
    """Relative to the store's root."""
    config_raw: bytes | None
    """The config's exact bytes; None where it cannot be read or is too large."""
    config: MappingABC[str, object]
    """The parsed config as the engine would read it; empty where it does not parse."""
    problems: tuple[str, ...]
    """What is wrong with this image, each one clause naming its file."""
    history: tuple[HistoryEntry, ...] = ()
    layers: tuple[LayerRecord, ...] = ()
    parent: str | None = None
    parent_known: bool = False
    """Whether an image with the parent's id is in the store."""
    children: tuple[str, ...] = ()
    metadata: tuple[MetadataRecord, ...] = ()
    containers: tuple[ContainerRecord, ...] = ()
    documents: tuple[Document, ...] = ()
    """What else there is to read raw, the manifest first; the config is in `config_raw`."""
    sections: tuple[Section, ...] = ()


class Facet(StrEnum):
    """Further panes of a store."""

    MAPPINGS = "mappings"
    REMOTES = "remotes"
    UPLOADS = "uploads"


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """This kind of store, or this image, has no such records, and why: one sentence."""

    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """A layer's diff id and the compressed blob that a registry knows it by."""

    diff_id: str
    digest: str
    source: str
    """Repository that the blob was pushed to or pulled from, with host; empty where only the reverse record exists."""
    authenticated: bool
    """Whether the record carries a keyed hash of the registry's credentials (``HMAC``)."""
    images: tuple[str, ...]
    """Ids of the images that hold the layer."""
    layer_known: bool
    """Whether the store has a layer with this diff id."""
    reverse: str | None
    """The diff id that the reverse record of `digest` names; None where there is none."""
    stale: bool
    """The layer is gone, or the two directions disagree."""
    reason: str
    """Why it is stale; else empty."""
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """Where an image is known outside this store."""

    kind: str
    """``digest reference``, ``pull-through cache``, ``same registry``, ``discovery`` (rkt), …"""
    reference: str
    url: str | None = None
    signature_url: str | None = None
    etag: str | None = None
    max_age: int | None = None
    """Seconds."""
    downloaded: int | None = None
    expires: int | None = None
    fresh: bool | None = None
    image: str | None = None
    """Id of the image that it leads to."""
    image_known: bool = False
    path: str = ""
    trouble: str = ""
    """What is wrong with the record, one clause: it leads nowhere; else empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """Content that a client began to send and has not finished."""

    repository: str
    id: str
    """The identifier that the engine gave it, a UUID."""
    started: int | None
    """None where the store does not say, or says what cannot be read."""
    changed: int
    """When its data was last written."""
    bytes: int
    """Received so far."""
    path: str
    problem: str = ""
    """Why it cannot go on, one clause; else empty."""


Records: TypeAlias = tuple[Mapping, ...] | tuple[Remote, ...] | tuple[Upload, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One step of the chain of references that keeps a thing, or that once did."""

    what: str
    """``tag app:v1``, ``image sha256:…``, ``layer sha256:…``, ``container …``"""
    path: str | None
    """The file that holds the reference."""
    key: "Key | None" = None
    """The row that it is, where it is a name or an image; one without a name stands for any row of the image."""


class Holding(StrEnum):
    """In what way an image holds a thing, where images are looked for by what they hold."""

    LAYER = "layer"  # a layer, by the start of its diff id, chain id, blob digest or cache id
    DIGEST = "digest"  # anything with a digest that starts so: the image, its config, its layers, its other names
    SOURCE = "src"  # a place that it, or a layer of it, is known in: a part of a repository's name or a URL


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """What a digest or folder is, and what keeps it."""

    subject: str
    """What was asked for, spelled whole."""
    is_a: tuple[str, ...]
    """What it is: ``layer record``, ``diff id of …``, ``blob digest of …``."""
    kept_by: tuple[tuple[Link, ...], ...]
    """Each chain from the root of the reference down to the subject; empty where nothing keeps it."""
    related: MappingABC[str, str] = field(default_factory=dict)
    """Other identities of the same thing: diff id, chain id, folder, blob digests."""
    remark: str = ""
    """Where nothing keeps it: what that means."""
    judged: bool = True
    """Whether references decide on it; not on folders of the layout, on what is no part of the store, on what
    cannot be told, and on what is no longer there."""
