"""Whether a manifest can be pulled from a repository, from what was read of it."""

from collections.abc import Iterator

from orlop.records import Condition, Trust
from orlop.registry import place
from orlop.registry.model import Blob, Descriptor, Link, Manifest, Model, Repository, State, What

Fault = tuple[Condition, str]
"""What is wrong, and why in one clause; sound with a reason where it is not all known."""

SOUND: Fault = (Condition.SOUND, "")
DEEPEST = 16
"""Levels of indexes in indexes that are followed."""
ABSENT = frozenset({State.MISSING, State.UNREADABLE})
"""States that only say that something cannot be had; every other one contradicts its name."""


class Faults:
    """The first fault of each manifest in each repository, worked out once.

    In a pull-through cache what is absent is no fault: it is fetched again.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._known: dict[tuple[str, str], Fault] = {}
        self._depth = 0

    def of(self, repository: str, digest: str) -> Fault:
        """What is wrong with a manifest, with what it needs, and with an index's children, in this order."""
        key = (repository, digest)
        known = self._known.get(key)
        if known is not None:
            return known
        if self._depth > DEEPEST:
            return Condition.INCOMPLETE, f"more than {DEEPEST} indexes lie in each other"
        self._known[key] = SOUND  # for indexes that name each other
        self._depth += 1
        try:
            found = self._known[key] = next(self._each(repository, digest), SOUND)
        finally:
            self._depth -= 1
        return found

    def trust(self, repository: str, digest: str) -> Trust:
        """How far a manifest is known: linked when everything it needs was found, and manifest and config hashed."""
        manifest = self._model.manifests.get(digest)
        if manifest is None or manifest.state is not State.GOOD or self.of(repository, digest) != SOUND:
            return Trust.LISTED
        return Trust.LINKED

    def _each(self, repository: str, digest: str) -> Iterator[Fault]:
        manifest = self._model.manifests.get(digest)
        if manifest is None or manifest.state is State.MISSING:
            hidden = self._model.unseen(_blob_path(self._model, digest))
            yield self._absent("its manifest cannot be looked at" if hidden else "its manifest blob is missing")
            return
        if manifest.state is State.TOO_LARGE:
            yield Condition.SOUND, f"the manifest is {manifest.why}"
            return
        if manifest.state is not State.GOOD:
            condition = Condition.INCOMPLETE if manifest.state in ABSENT else Condition.DAMAGED
            yield condition, f"the manifest cannot be trusted: {manifest.why}"
        found = self._model.repositories.get(repository)
        if found is not None:
            yield from self._revision(found, digest)
            yield from self._needs(found, manifest)
        for child in manifest.children:
            condition, why = self.of(repository, child.digest)
            if why or condition is not Condition.SOUND:
                yield condition, f"{child.platform or short(child.digest)}: {why}"

    def _revision(self, repository: Repository, digest: str) -> Iterator[Fault]:
        link = repository.revisions.get(digest)
        yield from self._link(link, digest, "revision link")

    def _link(self, link: Link | None, digest: str, what: str) -> Iterator[Fault]:
        if link is None:
            yield self._absent(f"the repository has no {what} for it")
        elif link.state is not State.GOOD:
            condition = Condition.INCOMPLETE if link.state in ABSENT else Condition.DAMAGED
            yield condition, f"its {what} cannot be used: {link.why}"
        elif link.target != digest:
            yield Condition.DAMAGED, f"its {what} names {short(link.target or '')}"

    def _needs(self, repository: Repository, manifest: Manifest) -> Iterator[Fault]:
        """Config and layers, each by its blob and its link."""
        blobs, links = self._model.blobs, repository.layers
        for number, needed in enumerate(manifest.needs):
            blob = blobs.get(needed.digest)
            link = links.get(needed.digest)
            if blob is None and needed.foreign:
                continue
            if (
                blob is not None
                and blob.state is State.GOOD
                and needed.size in (None, blob.size)
                and link is not None
                and link.target is not None
            ):
                continue  # as nearly all are; an alias link may name another digest
            what = "config" if manifest.config is not None and number == 0 else "layer"
            yield from self._need(needed, blob, link, f"{what} {short(needed.digest)}")
        yield from self._config(manifest)

    def _need(self, needed: Descriptor, blob: Blob | None, link: Link | None, what: str) -> Iterator[Fault]:
        if blob is None:
            hidden = self._model.unseen(_blob_path(self._model, needed.digest))
            yield self._absent(f"{what} cannot be looked at" if hidden else f"{what} has no blob")
        elif blob.state is not State.GOOD:
            yield Condition.DAMAGED, f"{what}: {blob.why}"
        elif needed.size not in (None, blob.size):
            yield Condition.DAMAGED, f"{what} has {blob.size} bytes, where the manifest says {needed.size}"
        if link is None:
            if blob is not None:
                yield self._absent(f"the repository has no link to {what}, and does not serve it")
        elif link.state is not State.GOOD:
            condition = Condition.INCOMPLETE if link.state in ABSENT else Condition.DAMAGED
            yield condition, f"the link to {what} cannot be used: {link.why}"

    def _config(self, manifest: Manifest) -> Iterator[Fault]:
        if manifest.what is not What.IMAGE or manifest.config is None:
            return
        config = self._model.configs.get(manifest.config.digest)
        if config is None or config.state in (State.GOOD, State.MISSING):
            return
        if config.state is State.TOO_LARGE:
            yield Condition.SOUND, f"the config is {config.why}"
        else:
            condition = Condition.INCOMPLETE if config.state is State.UNREADABLE else Condition.DAMAGED
            yield condition, f"the config cannot be used: {config.why}"

    def _absent(self, why: str) -> Fault:
        if self._model.cache is not None:
            return Condition.SOUND, f"{why}; the cache fetches it again"
        return Condition.INCOMPLETE, why


def short(digest: str) -> str:
    """Twelve digits of a digest."""
    return digest.partition(":")[2][:12] or digest[:12]


def _blob_path(model: Model, digest: str) -> str:
    return place.blob_folder(model.base, digest)
