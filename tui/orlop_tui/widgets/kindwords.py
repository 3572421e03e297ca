"""What differs between kinds of stores in the words around their images, and what each kind can do.

What a kind can do is said here so that a key may tell beforehand why it does nothing;
the store has the last word, when it is asked for a plan.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from orlop.records import Condition, EngineState, Row, Snapshot, Trust
from orlop_tui import format as words


@dataclass(frozen=True, slots=True, kw_only=True)
class KindWords:
    """The words of one kind of store."""

    image: str
    """What a row stands for, at a margin."""
    noun: str
    """The same in a sentence, counted."""
    created: str
    """What the time of a row is."""
    own: str
    """What the own size of a row counts."""
    linked: str = ""
    """What was looked at of an image whose state is linked, and what was not; empty: as of a Docker image."""
    beside: str
    """The title of what of the metadata comes after the other panes."""
    engine: str
    """The program that the store belongs to: in a state, as ``engine not running``."""
    the_engine: str
    """The same in a sentence."""
    user: str = "container"
    """What an image is used by."""
    has_layers: bool = True
    has_reverse: bool = False
    """Whether digest mappings are recorded both ways."""
    has_uploads: bool = False
    cleans: str
    """What is removed as unneeded."""
    untagged: str = ""
    """What goes besides, once a person says so; empty where the kind has no such."""
    cannot: Mapping[str, str]
    """Actions of the screen that mean nothing here, each with the reason in one line."""


_ONLY_DOCKER_MAPS = "only Docker keeps mappings as records of their own"
_ONLY_RKT_FETCHES = "only an ACI store keeps the URLs of its images"
_ONLY_REGISTRY = "only a registry has repositories of its own"
_NO_UPLOADS = "only a registry's storage keeps uploads"

DOCKER = KindWords(
    image="Image",
    noun="image",
    created="Created",
    own="layers that no other image uses",
    beside="Config, layers, history",
    engine="engine",
    the_engine="the engine",
    has_reverse=True,
    cleans="layers, their data, mount records, stale mappings and what was cut off",
    untagged="images without a name",
    cannot={
        "latest": "only an ACI store marks the latest image of a name",
        "fetch": _ONLY_RKT_FETCHES,
        "remove_repository": _ONLY_REGISTRY,
        "pane(5)": _NO_UPLOADS,
        "drop_remote": "a Docker store's remote names are digest references: T takes them away",
    },
)

REGISTRY = KindWords(
    image="Manifest",
    noun="manifest",
    created="Created",
    own="blobs that no other manifest uses",
    linked="linked: manifest and config hashed, all they name is there; layers not hashed",
    beside="Manifest, config, layers, history",
    engine="registry",
    the_engine="the registry",
    has_uploads=True,
    cleans="empty repositories, links, blobs and what was cut off",
    untagged="manifests without a tag",
    cannot={
        "latest": "in a registry latest is a tag like any other: t gives it",
        "fetch": _ONLY_RKT_FETCHES,
        "unmap": _ONLY_DOCKER_MAPS,
        "drop_remote": "a cache's entry goes with the manifest that it is about: d on that",
    },
)

RKT = KindWords(
    image="Image",
    noun="image",
    created="Imported",
    own="an ACI shares nothing",
    linked="linked: row, manifest, archive and dependencies are there and agree; archive not hashed",
    beside="Manifest: app, labels, dependencies",
    engine="rkt",
    the_engine="rkt",
    user="pod",
    has_layers=False,
    cleans="rendered trees, records and archives that lead nowhere, and leftovers",
    cannot={
        "tag": "an ACI's name is part of its manifest: none can be given to it",
        "untag": "an ACI's name is part of its manifest: none can be taken away",
        "remove_repository": _ONLY_REGISTRY,
        "unmap": _ONLY_DOCKER_MAPS,
        "pane(5)": _NO_UPLOADS,
    },
)

_KINDS: Mapping[str, KindWords] = {"docker": DOCKER, "registry": REGISTRY, "rkt": RKT}


def of_kind(kind: str) -> KindWords:
    """The words of a kind; a kind that is not known here has Docker's."""
    return _KINDS.get(kind, DOCKER)


def engine_words(snapshot: Snapshot) -> str:
    """What is known of the engine, a clause; where nothing locks, that nothing proves anything."""
    if snapshot.engine is EngineState.UNKNOWN and snapshot.identity.kind == "registry":
        return "no lock: stopped?"
    engine = of_kind(snapshot.identity.kind).engine
    return words.ENGINE_WORDS[snapshot.engine].replace("engine", engine, 1)


def state_sentence(row: Row, now: int, kind: str) -> str:
    """A row's state and how it is known, in the words of its kind."""
    linked = of_kind(kind).linked
    is_linked = row.condition is Condition.SOUND and row.trust is Trust.LINKED
    return linked if linked and is_linked else words.state_sentence(row, now)


def bytes_of(kind: str) -> str:
    """What the total size of a store of this kind counts: ``of layers``."""
    return words.BYTES_OF.get(kind, words.BYTES_OF["docker"])
