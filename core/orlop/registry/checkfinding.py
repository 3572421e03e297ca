"""What the findings of a registry have in common: whom they affect, and the words of the registry.

Words are those of docker-registry 2.8.2, tried; `orlop.registry.rules` says what happens around them.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from orlop.digest import ALGORITHMS
from orlop.finding import Finding, Repair, Severity
from orlop.registry.model import Link, Manifest, Model, Repository, State
from orlop.registry.rules import RULES

Place: TypeAlias = tuple[str, str]
"""A repository, and the digest of a manifest in it: what a row stands for."""

DAY = 86_400_000_000_000
"""Nanoseconds."""
GRACE = DAY
"""What is younger may belong to a push under way, and is not said to be unneeded."""
UPLOAD_AGE = 7 * DAY
"""From which on an upload is abandoned: 168 hours, as the registry's own purging has it (``uploadpurging.age``)."""
ENGINE_READS = 4 * 1024 * 1024
"""Bytes of a manifest that the registry reads at most (2.8, ``registry/storage/io.go``, ``maxBlobGetSize``)."""

FORMAT = "invalid checksum digest format"
LENGTH = "invalid checksum digest length"
ALGORITHM = "unsupported digest algorithm"
MANIFEST_UNKNOWN = "manifest unknown"
BLOB_UNKNOWN = "blob unknown to registry"

STOPPED = "failed to garbage collect: "
STOPPED_AT_REPOSITORY = f"{STOPPED}failed to mark: filesystem: "
STOPPED_AT_MANIFEST = f"{STOPPED}failed to mark: filesystem: filesystem: "
STOPPED_AT_BLOB = f"{STOPPED}error enumerating blobs: filesystem: "
"""How garbage collection ends: the driver's name comes before what happened, once for each walk through the tree
(2.8, ``registry/storage/driver/base/base.go``, ``setDriverName``; that of revisions is within that of repositories)."""

_ANY = re.compile(rb"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")


class Found(NamedTuple):
    """A finding, and the rows that it touches."""

    finding: Finding
    places: frozenset[Place]


class Affected:
    """Whom damage to a manifest reaches: the tags and the indexes above it, in one repository.

    Answers are remembered; it serves one check.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._above: dict[Place, tuple[str, ...]] = {}

    def above(self, place: Place) -> tuple[str, ...]:
        """A manifest, then every index of its repository that holds it, at any depth."""
        found = self._above.get(place)
        if found is None:
            repository, digest = place
            seen = {digest: None}
            waiting = [digest]
            while waiting:
                for index in self._model.indexes_of.get((repository, waiting.pop()), ()):
                    if index not in seen:
                        seen[index] = None
                        waiting.append(index)
            found = self._above[place] = tuple(seen)
        return found

    def places(self, places: Iterable[Place]) -> frozenset[Place]:
        """Manifests in their repositories, with all above them."""
        return frozenset((place[0], digest) for place in places for digest in self.above(place))

    def names(self, places: Iterable[Place]) -> tuple[str, ...]:
        """The tags that lead to some places, each ``<repository>:<tag>``, sorted."""
        tags_of = self._model.tags_of
        return tuple(sorted({f"{place[0]}:{tag}" for place in places for tag in tags_of.get(place, ())}))


class Findings:
    """Makes the findings of one check."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.affected = Affected(model)
        self.mentioned = _mentioned(model)
        """Digest of a manifest → where a revision, a tag or an index names it, whatever state its link is in."""

    def readable(self) -> Iterator[tuple[Repository, Manifest]]:
        """Every manifest of `mentioned` whose bytes are true, in each of its repositories.

        What it needs is judged although a link to it is damaged: a repair of the link brings no new damage to light.
        """
        repositories, manifests = self._model.repositories, self._model.manifests
        for digest, places in self.mentioned.items():
            manifest = manifests.get(digest)
            if manifest is not None and manifest.state is State.GOOD:
                for name, _ in places:
                    yield repositories[name], manifest

    def needing(self, digests: Collection[str]) -> Mapping[str, list[Place]]:
        """Who needs some blobs, each a config or layer."""
        found: dict[str, dict[Place, None]] = {digest: {} for digest in digests}
        if found:
            for repository, manifest in self.readable():
                for need in manifest.needs:
                    users = found.get(resolved(repository, need.digest))
                    if users is not None:
                        users[repository.name, manifest.digest] = None
        return {digest: list(users) for digest, users in found.items()}

    def make(
        self,
        rule: str,
        path: str,
        detail: str,
        *,
        at: Iterable[Place] = (),
        images: Collection[str] = (),
        names: Collection[str] = (),
        says: str = "",
        severity: Severity | None = None,
        repair: Repair | None = None,
        title: str = "",
        subject: str = "",
        size: int | None = None,
        above: bool = True,
        quiet: bool = False,
        curable: bool = True,
    ) -> Found:
        """A finding with all that hangs on it.

        Args:
            rule: its id; title, severity and repair are the rule's where they are not given.
            path: the file or folder.
            detail: one sentence.
            at: the manifests that it affects.
            images: further manifests that it affects, whose rows it does not touch.
            names: further names that it affects.
            says: the engine's message.
            severity: another than the rule's.
            repair: another than the rule's.
            title: another than the rule's.
            subject: as `Finding.subject`.
            size: as `Finding.bytes`.
            above: whether the indexes and tags above those manifests are affected too.
            quiet: whether it is about those manifests without naming them.
            curable: whether there is anything to repair.
        """
        about = RULES[rule]
        first = tuple(dict.fromkeys(at))
        places = self.affected.places(first) if above else frozenset(first)
        own = dict.fromkeys(place[1] for place in first)
        others = sorted({digest for _, digest in places}.difference(own))
        return Found(
            Finding(
                rule=rule,
                title=title or about.title,
                severity=severity or about.severity,
                path=path,
                detail=detail,
                engine_says=says,
                repair=(repair or about.repair) if curable else None,
                images=(*images, *(() if quiet else (*own, *others))),
                names=tuple(sorted({*names, *(() if quiet else self.affected.names(places))})),
                subject=subject,
                bytes=size,
            ),
            places,
        )


def _mentioned(model: Model) -> Mapping[str, Sequence[Place]]:
    found: dict[str, dict[Place, None]] = {}
    for repository in model.repositories.values():
        for digest in repository.revisions:
            found.setdefault(digest, {})[repository.name, digest] = None
    for at in (*model.tags_of, *model.indexes_of):
        found.setdefault(at[1], {})[at] = None
    return {digest: tuple(places) for digest, places in found.items()}


# --- what the model means ----------------------------------------------------


def good(link: Link | None) -> bool:
    """Whether a link can be read and leads to what its folders spell, or to another name of it.

    A digest of another algorithm is such a name: sha512, or a tarsum of early registries.
    """
    if link is None or link.target is None:
        return False
    return link.target == link.named or _algorithm(link.target) != _algorithm(link.named)


def known(model: Model) -> Iterator[tuple[Repository, str]]:
    """Every manifest that a repository knows by a good link."""
    for repository in model.repositories.values():
        for digest, link in repository.revisions.items():
            if link.target == digest:
                yield repository, digest


def resolved(repository: Repository, digest: str) -> str:
    """The blob that a repository serves under a digest: what its link says, else the digest itself."""
    link = repository.layers.get(digest)
    return link.target if link is not None and link.target is not None else digest


def missing(model: Model, digest: str) -> bool:
    """Whether a blob is not there."""
    blob = model.blobs.get(digest)
    return blob is None or blob.state is State.MISSING


def reads_well(manifest: Manifest | None) -> bool:
    """Whether what a manifest names is known, and true."""
    return manifest is not None and manifest.state is State.GOOD


# --- words -------------------------------------------------------------------


def spelled(path: str) -> str:
    """A path as a message of the registry is quoted: below its root, wherever that is."""
    return f"<root>/{path}"


def complaint(content: bytes) -> str:
    """What the registry says of the bytes of a link that hold no digest.

    opencontainers/go-digest, digest.go and algorithm.go (``Validate``).
    """
    algorithm, colon, encoded = content.partition(b":")
    if not algorithm or not colon or not encoded:
        return FORMAT
    digits = ALGORITHMS.get(algorithm.decode("ascii", "replace"))
    if digits is not None:
        return FORMAT if len(encoded) == digits else LENGTH
    return ALGORITHM if _ANY.fullmatch(content) is not None else FORMAT


def counted(count: int, noun: str, plural: str = "") -> str:
    """A number with its noun."""
    return f"{count} {noun}" if count == 1 else f"{count} {plural or noun + 's'}"


def some(items: Iterable[str], limit: int = 3) -> str:
    """The first few of some texts."""
    every = list(items)
    return ", ".join(every[:limit]) + (f" and {len(every) - limit} more" if len(every) > limit else "")


def _algorithm(digest: str) -> str:
    return digest.partition(":")[0]
