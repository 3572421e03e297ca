"""What one read of an ACI store found, as plain values.

`orlop.rkt.read` fills it; rows, detail, check, plans and `why` are functions over
it. Paths are relative to the store's folder (rkt's ``cas``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from orlop import jsonrules
from orlop.records import EngineState, Note
from orlop.rkt.catalogue import Contents, ImageRow, RemoteRow
from orlop.rkt.manifest import ImageManifest
from orlop.verified import Version


class State(StrEnum):
    """What looking at a file gave."""

    GOOD = "good"
    MISSING = "missing"
    EMPTY = "empty"
    MALFORMED = "malformed"  # it does not parse as what it must be
    TOO_LARGE = "too large"
    WRONG_KIND = "wrong kind"  # a folder, link, pipe or device in the file's place
    UNREADABLE = "unreadable"  # the system refused, or the disk failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """The archive of an image: looked at, not hashed."""

    state: State
    size: int = 0
    """Bytes."""
    mtime: int = 0
    why: str = ""
    version: Version | None = None
    """Of the regular file that is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The stored manifest of an image."""

    state: State
    raw: bytes | None = None
    """None where it cannot be read or is too large."""
    name: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    dependencies: tuple["Dependency", ...] = ()
    path_whitelist: tuple[str, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    ac_version: str = ""
    why: str = ""
    engine_says: str = ""
    """The words that rkt has for a manifest that does not parse, where they are known."""
    parsed: ImageManifest | None = None
    """All of it, where it is good."""
    version: Version | None = None
    """Of the file when it was read; None for one that was not."""

    @property
    def app(self) -> Mapping[str, object] | None:
        """The member ``app`` as the document has it; None where there is none."""
        if self.parsed is None or self.parsed.app is None or self.raw is None:
            return None
        found = jsonrules.member(jsonrules.loads(self.raw), "app")
        return found if isinstance(found, dict) else None

    def label(self, name: str) -> str:
        """The value of a label; empty where it has none of this name."""
        return next((value for label, value in self.labels if label == name), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """An image that another is built on."""

    name: str
    image_id: str
    """``sha512-<hex>`` as the manifest has it; empty where it does not say."""
    labels: tuple[tuple[str, str], ...] = ()
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One key: a row, a blob, a manifest, or any part of these."""

    key: str
    row: ImageRow | None
    blob: Blob
    manifest: Manifest
    dependencies: tuple[str | None, ...] = ()
    """For each dependency, the key in this store that rkt would choose for it; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """One rendered tree."""

    id: str
    path: str
    image: str | None
    """The key in its file ``image``; None where that is missing or cannot be read."""
    rendered: bool
    """Whether its flag says that it is complete."""
    hash: str | None
    """What its file ``hash`` says."""
    bytes: int | None
    """As rkt counts them, folders included; None until it was counted."""
    mtime: int
    problem: str = ""
    """Why it cannot be used; else empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One pod of the data directory beside the store."""

    id: str
    """Its UUID."""
    state: str
    """``embryo``, ``prepare``, ``prepared``, ``run``, ``exited-garbage``, ``garbage``"""
    path: str
    """Relative to the store's folder, which it lies beside: ``../pods/run/<id>``."""
    active: bool
    """Whether it runs, or is or may yet be prepared or run; an exited one is not."""
    running: bool
    images: tuple[str, ...] = ()
    """Keys of its apps' images, by its manifest."""
    trees: tuple[str, ...] = ()
    """Ids of the rendered trees that it stands on, its stage 1 included."""
    problem: str = ""
    """Why it does not tell all that it uses; else empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Debris:
    """A leftover: a temporary file, a lock of no key, something foreign."""

    path: str
    kind: str
    """``temporary file``, ``lock file``, ``foreign``"""
    bytes: int
    mtime: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A part of the store that could not be read: nothing below it counts as missing."""

    path: str
    why: str


class CatalogueState(StrEnum):
    """What reading the catalogue gave."""

    GOOD = "good"
    OLD = "old"  # an earlier schema: its rows are shown, and nothing can be changed
    MISSING = "missing"
    DAMAGED = "damaged"
    LATER = "later"  # a later schema
    PENDING = "pending"  # its write-ahead log holds something: the rows may be behind it
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueFile:
    """The catalogue as a whole."""

    kind: str
    """``ql`` or ``sqlite``"""
    path: str
    state: CatalogueState
    digest: str | None
    """sha256 of the file's bytes; None where they could not be read."""
    contents: Contents
    """Without rows where it cannot be read."""
    why: str = ""
    engine_says: str = ""
    log_path: str = ""
    """The write-ahead log that holds something; else empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Everything one read found, with the joins that every question needs."""

    catalogue: CatalogueFile
    images: Mapping[str, Image]
    """By key; also keys that only files have."""
    remotes: Mapping[str, RemoteRow]
    """By URL."""
    trees: Mapping[str, Tree]
    """By id."""
    pods: Mapping[str, tuple[str, ...]]
    """Key → ids of the active pods with an app of it, as far as the data directory beside the store tells."""
    tree_pods: Mapping[str, tuple[str, ...]]
    """Tree id → ids of the pods that use it, exited ones included, as rkt's gc counts them."""
    debris: Sequence[Debris]
    unreadable: Sequence[Unreadable]
    engine: EngineState
    engine_text: str
    notes: Sequence[Note]
    seen_at: int
    pods_known: bool = False
    """Whether the data directory could be looked at, so that a tree without a pod is known to have none."""

    pods_seen: Mapping[str, Pod] = field(default_factory=dict)
    """Every pod, by id."""

    # joins
    remotes_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Key → URLs that lead to it."""
    trees_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Key → ids of its rendered trees."""
    dependents_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Key → keys of the images that depend on it."""

    def unseen(self, path: str) -> bool:
        """Whether what is at a path could not be looked at, so that nobody can say that it is missing."""
        return any(path == part.path or path.startswith(part.path + "/") for part in self.unreadable)
