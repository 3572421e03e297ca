"""Manifests and configs: each parsed once, and kept for as long as its file is the same."""

from collections.abc import Iterable, Iterator, Mapping

from orlop.errors import OrlopError
from orlop.fs import Root
from orlop.progress import Progress
from orlop.registry import imageconfig, manifest
from orlop.registry.blobfolders import read_contents
from orlop.registry.loose import Stamp, state_of
from orlop.registry.model import Blob, Config, Manifest, Repository, State, What


class Documents:
    """What blobs say that links mean as manifests, and the configs of the images among them.

    Args:
        root: the store.
        base: where ``v2`` is, relative to it.
    """

    def __init__(self, root: Root, base: str) -> None:
        self._root = root
        self._base = base
        self._manifests: dict[str, tuple[Stamp, Manifest]] = {}
        self._configs: dict[str, tuple[Stamp, Config]] = {}
        self._wanted: set[str] = set()

    def want(self, repositories: Iterable[Repository]) -> None:
        """Take the blobs that these mean or once meant for manifests from now on."""
        self._wanted = set(_named(repositories))

    def is_wanted(self, digest: str, stamp: Stamp) -> bool:
        """Whether a blob is a manifest that is not known as its file is now."""
        if digest not in self._wanted:
            return False
        known = self._manifests.get(digest)
        return known is None or known[0] != stamp

    def take(self, digest: str, stamp: Stamp, data: bytes) -> None:
        """Parse a manifest."""
        self._manifests[digest] = (stamp, manifest.parse(digest, data))

    def complete(self, blobs: Mapping[str, Blob], stamps: Mapping[str, Stamp], progress: Progress) -> None:
        """Let go of what files no longer hold; read the manifests that are wanted, what they name, and the configs.

        Args:
            blobs: all that there are.
            stamps: of their files.
            progress: told of each phase.

        Raises:
            Cancelled: `progress` stopped it.
        """
        self._manifests = {d: known for d, known in self._manifests.items() if stamps.get(d) == known[0]}
        self._configs = {d: known for d, known in self._configs.items() if stamps.get(d) == known[0]}
        looked: set[str] = set()
        pending = {digest for digest in (*self._wanted, *self._named_by_manifests()) if digest not in self._manifests}
        while pending:
            progress.step("manifests", len(looked), 0)
            looked |= pending
            there = [digest for digest in pending if digest in stamps]
            read_contents(
                self._root,
                self._base,
                there,
                self.take,
                lambda digest, error: self._failed(digest, blobs[digest], stamps[digest], error),
            )
            pending = {d for d in self._named_by_manifests() if d not in self._manifests and d not in looked}
        self._forget()
        progress.step("configs", 0, 0)
        configs = {config for _, found in self._manifests.values() if (config := _config_of(found)) is not None}
        self._configs = {digest: known for digest, known in self._configs.items() if digest in configs}
        read_contents(
            self._root,
            self._base,
            [digest for digest in configs if digest in stamps and digest not in self._configs],
            self._take_config,
            lambda digest, error: self._failed_config(digest, stamps[digest], error),
        )

    def _forget(self) -> None:
        """Let go of manifests that no link leads to any more, as if they had never been read."""
        kept: dict[str, tuple[Stamp, Manifest]] = {}
        pending = list(self._wanted)
        while pending:
            digest = pending.pop()
            known = self._manifests.get(digest)
            if known is None or digest in kept:
                continue
            kept[digest] = known
            pending.extend(_named_by(known[1]))
        if len(kept) < len(self._manifests):
            self._manifests = kept

    def _take_config(self, digest: str, stamp: Stamp, data: bytes) -> None:
        self._configs[digest] = (stamp, imageconfig.parse(digest, data))

    def _failed(self, digest: str, blob: Blob, stamp: Stamp, error: OrlopError) -> None:
        state, why = state_of(error)
        self._manifests[digest] = (stamp, manifest.unread(digest, state, blob.size, why))

    def _failed_config(self, digest: str, stamp: Stamp, error: OrlopError) -> None:
        state, why = state_of(error)
        self._configs[digest] = (stamp, Config(digest=digest, state=state, why=why))

    def _named_by_manifests(self) -> Iterator[str]:
        """What manifests name as manifests."""
        for _, found in self._manifests.values():
            yield from _named_by(found)

    def manifests(self, blobs: Mapping[str, Blob], repositories: Iterable[Repository]) -> dict[str, Manifest]:
        """Every manifest that is known or that something means now, those without a file too."""
        found: dict[str, Manifest] = {digest: value for digest, (_, value) in self._manifests.items()}
        named = set(_meant(repositories))
        named.update(child.digest for _, value in self._manifests.values() for child in value.children)
        for digest in named:
            if digest not in found:
                blob = blobs.get(digest)
                if blob is None:
                    found[digest] = manifest.missing(digest)
                else:
                    found[digest] = manifest.unread(digest, blob.state, blob.size, blob.why)
        return found

    def configs(self, blobs: Mapping[str, Blob]) -> dict[str, Config]:
        """The config of every image, those without a file too."""
        found = {digest: value for digest, (_, value) in self._configs.items()}
        for _, value in self._manifests.values():
            digest = _config_of(value)
            if digest is not None and digest not in found:
                blob = blobs.get(digest)
                state = State.MISSING if blob is None else blob.state
                why = "there is no such blob" if blob is None else blob.why
                found[digest] = Config(digest=digest, state=state, why=why)
        return found


def _named_by(found: Manifest) -> Iterator[str]:
    """What a manifest names as manifests: an index its children, a referrer the manifest that it belongs to."""
    for child in found.children:
        yield child.digest
    if found.subject is not None:
        yield found.subject.digest


def _config_of(found: Manifest) -> str | None:
    """The config of an image; artifacts have one that means something else."""
    return found.config.digest if found.config is not None and found.what is What.IMAGE else None


def _meant(repositories: Iterable[Repository]) -> Iterator[str]:
    """Digests that revisions and tags mean now."""
    for repository in repositories:
        for link in repository.revisions.values():
            yield link.named
            if link.target is not None:
                yield link.target
        for tag in repository.tags.values():
            if tag.current.target is not None:
                yield tag.current.target


def _named(repositories: Iterable[Repository]) -> Iterator[str]:
    """Digests that are manifests where their blobs are there: what `_meant` gives, and what tags once meant."""
    for repository in repositories:
        yield from _meant((repository,))
        for tag in repository.tags.values():
            yield from tag.history
