"""Where a registry keeps what, below the root of its storage driver.

Drawn from distribution's ``registry/storage/paths.go`` (2.0 to 3.1), and seen on
stores of 2.8.2::

    scheduler-state.json                         only pull-through caches: what expires when
    docker/registry/v2/
      blobs/<alg>/<first two hex>/<hex>/data     every blob: layers, configs, manifests, indexes
      repositories/<name>/                       <name> may contain "/": folders nest
        _layers/<alg>/<hex>/link                 this repository may serve that blob
        _manifests/
          revisions/<alg>/<hex>/link             a manifest that the repository knows
          revisions/<alg>/<hex>/signatures/<alg>/<hex>/link      2.0 to 2.4, schema 1 only
          tags/<tag>/current/link                what the tag means now
          tags/<tag>/index/<alg>/<hex>/link      everything that the tag ever meant
        _uploads/<uuid>/
          data                                   the bytes so far
          startedat                              RFC 3339, UTC, seconds
          hashstates/<alg>/<offset>              the hash of the bytes so far, as Go saves it

Paths are relative to the driver's root, ``/`` between the parts. Every method
checks the names that it puts into a path, so none leaves its folder.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from orlop.digest import ALGORITHMS, Digest
from orlop.errors import Malformed

PREFIX = "docker/registry/v2"
"""Below the root, in every layout."""
SCHEDULER = "scheduler-state.json"
"""The pull-through cache's record of what expires (proxy/scheduler); beside ``docker``, not in it."""

BLOBS = "blobs"
REPOSITORIES = "repositories"
REVISIONS = "revisions"
SIGNATURES = "signatures"
TAGS = "tags"
CURRENT = "current"
INDEX = "index"
DATA = "data"
LINK = "link"
STARTED_AT = "startedat"
HASH_STATES = "hashstates"
PROVEN = "proven"
"""Orlop's own, in an upload whose data was proven and is about to become a blob; other programs do not look at it."""

NAME_LIMIT = 255
"""Characters of a repository's name at most."""

_HOST_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"{_HOST_PART}(?:\.{_HOST_PART})*"  # with a port it is no path of a driver
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*", re.ASCII)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The tree of one age of the registry; as it stands, that of 2.0 to 3.x.

    A layout with other digests overrides `digest_path`.
    """

    prefix: str = PREFIX
    layers: str = "_layers"
    manifests: str = "_manifests"
    uploads: str = "_uploads"

    # --- digests -----------------------------------------------------------

    def digest_path(self, digest: str, *, sharded: bool = False) -> str:
        """The folders of a digest: ``<alg>/<hex>``, or ``<alg>/<first two hex>/<hex>``.

        Raises:
            Malformed: no digest that this layout can hold.
        """
        checked = Digest.parse_any(digest)
        shard = f"{checked.hex[:2]}/" if sharded else ""
        return f"{checked.algorithm}/{shard}{checked.hex}"

    # --- blobs -------------------------------------------------------------

    @property
    def blobs(self) -> str:
        """The folder of all blobs."""
        return f"{self.prefix}/{BLOBS}"

    def blob(self, digest: str) -> str:
        """The folder of a blob."""
        return f"{self.blobs}/{self.digest_path(digest, sharded=True)}"

    def blob_data(self, digest: str) -> str:
        """The file of a blob's bytes."""
        return f"{self.blob(digest)}/{DATA}"

    # --- repositories ------------------------------------------------------

    @property
    def repositories(self) -> str:
        """The folder of all repositories."""
        return f"{self.prefix}/{REPOSITORIES}"

    def repository(self, name: str) -> str:
        """The folder of a repository; nested repositories lie in it too.

        Raises:
            Malformed: no name of a repository.
        """
        return f"{self.repositories}/{check_name(name)}"

    @property
    def repository_folders(self) -> tuple[str, str, str]:
        """The names in a folder that make it a repository: one of them is enough."""
        return (self.layers, self.manifests, self.uploads)

    # --- layers ------------------------------------------------------------

    def layer_links(self, name: str) -> str:
        """The folder of a repository's links to layers and configs."""
        return f"{self.repository(name)}/{self.layers}"

    def layer_link(self, name: str, digest: str) -> str:
        """The file that lets a repository serve a blob under this digest."""
        return f"{self.layer_links(name)}/{self.digest_path(digest)}/{LINK}"

    # --- manifests ---------------------------------------------------------

    def revisions(self, name: str) -> str:
        """The folder of the manifests that a repository knows."""
        return f"{self.repository(name)}/{self.manifests}/{REVISIONS}"

    def revision(self, name: str, digest: str) -> str:
        """The folder of one manifest that a repository knows."""
        return f"{self.revisions(name)}/{self.digest_path(digest)}"

    def revision_link(self, name: str, digest: str) -> str:
        """The file that makes a manifest known to a repository."""
        return f"{self.revision(name, digest)}/{LINK}"

    def signatures(self, name: str, digest: str) -> str:
        """The folder of the signatures of a manifest, schema 1 only."""
        return f"{self.revision(name, digest)}/{SIGNATURES}"

    def signature_link(self, name: str, digest: str, signature: str) -> str:
        """The file that ties a signature to a manifest."""
        return f"{self.signatures(name, digest)}/{self.digest_path(signature)}/{LINK}"

    # --- tags --------------------------------------------------------------

    def tags(self, name: str) -> str:
        """The folder of a repository's tags; each name in it is served as one."""
        return f"{self.repository(name)}/{self.manifests}/{TAGS}"

    def tag(self, name: str, tag: str) -> str:
        """The folder of a tag.

        Raises:
            Malformed: no tag, or no name of a repository.
        """
        return f"{self.tags(name)}/{check_tag(tag)}"

    def tag_current(self, name: str, tag: str) -> str:
        """The file that says what a tag means now."""
        return f"{self.tag(name, tag)}/{CURRENT}/{LINK}"

    def tag_index(self, name: str, tag: str) -> str:
        """The folder of everything that a tag ever meant."""
        return f"{self.tag(name, tag)}/{INDEX}"

    def tag_index_link(self, name: str, tag: str, digest: str) -> str:
        """The file that says that a tag once meant this manifest."""
        return f"{self.tag_index(name, tag)}/{self.digest_path(digest)}/{LINK}"

    # --- uploads -----------------------------------------------------------

    def uploads_of(self, name: str) -> str:
        """The folder of a repository's uploads in progress."""
        return f"{self.repository(name)}/{self.uploads}"

    def upload(self, name: str, uuid: str) -> str:
        """The folder of an upload in progress.

        Raises:
            Malformed: no UUID, or no name of a repository.
        """
        return f"{self.uploads_of(name)}/{check_uuid(uuid)}"

    def upload_data(self, name: str, uuid: str) -> str:
        """The bytes so far."""
        return f"{self.upload(name, uuid)}/{DATA}"

    def upload_started_at(self, name: str, uuid: str) -> str:
        """The time when an upload began; it also makes the folder an upload."""
        return f"{self.upload(name, uuid)}/{STARTED_AT}"

    def upload_hash_states(self, name: str, uuid: str) -> str:
        """The folder of the hashes that another program saved."""
        return f"{self.upload(name, uuid)}/{HASH_STATES}"

    def upload_proven(self, name: str, uuid: str) -> str:
        """Which digests the data was proven to have, once it is about to become a blob."""
        return f"{self.upload(name, uuid)}/{PROVEN}"


MODERN = Layout()
"""The layout of every registry from 2.0 on."""


def is_name(text: str) -> bool:
    """Whether a text is a repository's name as distribution's reference grammar has it, and a path at the same time."""
    return len(text) <= NAME_LIMIT and _NAME.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    """Whether a text is a tag."""
    return _TAG.fullmatch(text) is not None


def is_uuid(text: str) -> bool:
    """Whether a text is a UUID with its four hyphens, as the names of uploads are."""
    return _UUID.fullmatch(text) is not None


def check_name(text: str) -> str:
    """A repository's name, unchanged.

    Raises:
        Malformed: it is none.
    """
    if len(text) > NAME_LIMIT:
        raise Malformed(f"a repository's name of {len(text)} characters, where {NAME_LIMIT} is the most")
    if _NAME.fullmatch(text) is None:
        raise Malformed(f"not a repository's name: {text!r}", do="lower-case words, joined by . _ - and /")
    return text


def check_tag(text: str) -> str:
    """A tag, unchanged.

    Raises:
        Malformed: it is none.
    """
    if _TAG.fullmatch(text) is None:
        raise Malformed(f"not a tag: {text!r}", do="a letter, digit or _, then up to 127 of those, . and -")
    return text


def check_uuid(text: str) -> str:
    """The name of an upload, unchanged.

    Raises:
        Malformed: it is none.
    """
    if _UUID.fullmatch(text) is None:
        raise Malformed(f"not the name of an upload: {text!r}")
    return text


def digest_of(algorithm: str, hexadecimal: str) -> Digest | None:
    """What the folders ``<alg>/<hex>`` mean, or None where they make no digest."""
    try:
        return Digest.parse_any(f"{algorithm}:{hexadecimal}")
    except Malformed:
        return None


def algorithms(names: tuple[str, ...]) -> Iterator[str]:
    """Which of the names in a folder of digests are algorithms."""
    return (name for name in names if name in ALGORITHMS)
