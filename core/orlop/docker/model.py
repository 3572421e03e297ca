"""What one read of a Docker data root found, as plain values.

`orlop.docker.read` and `orlop.docker.join` fill it; rows, detail, check, plans and `why` are functions
over it. Ids, chain ids and diff ids are texts with their algorithm
(``sha256:<64 hex>``), interned, so that a hundred thousand images stay small.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from orlop.digest import Digest
from orlop.records import EngineState, Note


class ConfigState(StrEnum):
    """What reading an image's config gave."""

    GOOD = "good"  # its bytes hash to the id, and the engine can parse them
    MISSING = "missing"  # no file; something else names the id
    EMPTY = "empty"  # zero bytes, which is what a power cut leaves
    ALTERED = "altered"  # the bytes hash to something else
    MALFORMED = "malformed"  # the digest holds, and the engine cannot parse it
    TOO_LARGE = "too large"  # hashed, not parsed
    WRONG_KIND = "wrong kind"  # a folder, link, pipe or device in the file's place
    UNREADABLE = "unreadable"  # the system refused, or the disk failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One id under imagedb/content, or one that only other records name."""

    id: str
    config: ConfigState
    why: str
    """Details of a config that is not good, one clause; else empty."""
    engine_says: str
    """What the engine logs for it; empty for a good one."""
    size: int
    """Bytes of the config file."""
    created: int | None
    platform: str
    diff_ids: tuple[str, ...]
    """Empty where the config is not good."""
    chain: tuple[str, ...]
    """Chain id of each layer, bottom first; same length as `diff_ids`."""
    parent: str | None
    """Text of the metadata key ``parent``, stripped of nothing; None where there is no key."""
    parent_problem: str = ""
    """Why the parent key cannot be read; else empty."""
    stamp: int = field(default=0, compare=False)
    """As `orlop.docker.area.stamp`: of the config, when it was read."""


NO_PROBLEMS: Mapping[str, str] = {}
"""One object for all that have none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One folder below layerdb/sha256 whose name is a digest."""

    chain_id: str
    diff_id: str | None
    parent: str | None
    """Chain id in the file ``parent``; None where there is no such file."""
    size: int | None
    cache_id: str | None
    problems: Mapping[str, str] = field(default_factory=lambda: NO_PROBLEMS)
    """File name in the record (``diff``, ``size``, ``cache-id``, ``parent``; ``.`` for the folder) → what is wrong."""
    engine_says: str = ""
    """The debug-level words of the engine for the first problem."""
    parent_lost: bool = False
    """All files are well formed, yet parent and diff do not give the chain id that the folder is named by."""
    data: bool = True
    """Whether the driver's folder for `cache_id` is there; True where that cannot be known."""
    data_path: str | None = None
    """The driver's folder, relative to the data root; None where its layout is unknown or there is no cache id."""
    stamp: int = field(default=0, compare=False)
    """As `orlop.docker.area.stamp`: of the record's files, when they were read."""

    @property
    def loadable(self) -> bool:
        """Whether the engine loads this record by itself, its ancestors left aside."""
        return not self.problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One folder below layerdb/mounts."""

    name: str
    mount_id: str | None
    init_id: str | None
    parent: str | None
    """Chain id of the image's top layer; None: no file, the image has no layers."""
    problem: str
    container_known: bool
    """Whether containers/<name> is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One folder below containers."""

    id: str
    name: str
    image: str | None
    """The image id in config.v2.json; None where it cannot be read."""
    image_name: str
    """The name that the container was made from (``Config.Image``)."""
    running: bool | None
    problem: str
    path: str
    driver: str = ""
    """The storage driver that it was made with; empty where its record does not say."""
    going: bool = False
    """Whether the engine began to remove it, and has not done so yet, or could not: it is ``dead``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One entry of repositories.json."""

    text: str
    """The key as written: familiar name with tag or digest."""
    repository: str
    """The repository that it is listed under."""
    image: str
    problem: str
    """Why the engine cannot resolve it: unparsable, under another repository, its id is no digest; else empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TagFile:
    """repositories.json as a whole."""

    state: str
    """``good``, ``absent``, ``bad``"""
    raw: bytes | None
    references: Mapping[str, Reference]
    """By their text."""
    repositories: Mapping[str, tuple[str, ...]]
    """Repository → texts of its references, in file order; empty repositories too."""
    why: str = ""
    engine_says: str = ""
    compact: bool = False
    """Whether the file is spelled as engines write it, so that a part of it can be read by itself: no blank, no
    escape, no brace in a text, no name twice."""
    changed: frozenset[str] | None = field(default=None, compare=False)
    """Texts of which the entry may be another than in the file that was read before; None: any may be."""

    @property
    def digest(self) -> str | None:
        """Of `raw`; made anew for each who asks."""
        return None if self.raw is None else Digest.of(self.raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class V2Entry:
    """One member of a v2metadata-by-diffid list."""

    digest: str
    source: str
    hmac: str | None
    """None: the member is not written (1.10 to 1.12)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class V2List:
    """One file of v2metadata-by-diffid."""

    diff_id: str
    path: str
    entries: tuple[V2Entry, ...]
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class V2Reverse:
    """One file of diffid-by-digest."""

    digest: str
    path: str
    diff_id: str | None
    """The text in the file, unvalidated; None where it cannot be read."""
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Debris:
    """A leftover of an interrupted operation."""

    path: str
    kind: str
    """``temporary file``, ``layer transaction``, ``layer being removed``, ``foreign``"""
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

    driver: str
    images: Mapping[str, Image]
    """By id; also ids that only a tag, parent key, metadata folder or container names (state MISSING)."""
    layers: Mapping[str, Layer]
    """By chain id."""
    tags: TagFile
    mounts: Mapping[str, Mount]
    containers: Mapping[str, Container]
    v2_lists: Mapping[str, V2List]
    """By diff id."""
    v2_reverse: Mapping[str, V2Reverse]
    """By blob digest."""
    metadata_only: frozenset[str]
    """Ids with a metadata folder and no content file."""
    debris: Sequence[Debris]
    unreadable: Sequence[Unreadable]
    other_drivers: Sequence[str]
    """Further folders below image/."""
    containerd_store: bool
    """Whether a containerd image store holds images in the same root."""
    build_cache: frozenset[str]
    """Chain ids that BuildKit's records name: layers that the build cache may hold."""
    bind_mounted: bool
    """Whether the data root is still mounted on itself."""
    engine: EngineState
    engine_text: str
    hidden: int
    """How many configs this user may not read."""
    notes: Sequence[Note]
    seen_at: int

    # joins
    names_of: Mapping[str, tuple[str, ...]]
    """Image id → texts of its references, sorted."""
    children_of: Mapping[str, tuple[str, ...]]
    """Image id → ids of the images whose parent key names it."""
    users_of: Mapping[str, tuple[str, ...]]
    """Chain id → ids of the images (good configs) whose chain holds it."""
    layer_children_of: Mapping[str, tuple[str, ...]]
    """Chain id → chain ids of the layer records whose ``parent`` names it."""
    mounts_on: Mapping[str, tuple[str, ...]]
    """Chain id → names of the mounts that stand on it."""
    containers_of: Mapping[str, tuple[str, ...]]
    """Image id → ids of the containers made from it."""
    chain_of_diff: Mapping[str, tuple[str, ...]]
    """Diff id → chain ids of the layer records with it."""
    broken_chain: Mapping[str, str]
    """Chain id → chain id of the nearest record at or below it that the engine cannot load."""

    def unseen(self, path: str) -> bool:
        """Whether what is at a path could not be looked at, so that nobody can say that it is missing."""
        return any(path == part.path or path.startswith(part.path + "/") for part in self.unreadable)
