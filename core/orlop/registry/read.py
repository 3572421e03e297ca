"""Read a registry's storage whole, and again only where something changed.

Links are read before blobs, and a registry writes them in the other order: what a
link names is there by the time that the blobs are looked at, also under a registry
that goes on working. Manifests and configs are parsed once, and kept for as long as
their file is the same.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from orlop import times
from orlop.errors import NotFound, OrlopError
from orlop.fs import Folder, Root
from orlop.progress import Progress
from orlop.registry import imageconfig, manifest, place
from orlop.registry.blobfolders import Above, Shard, read_above, read_contents, read_shard
from orlop.registry.join import Parts, join_model
from orlop.registry.loose import Loose, Stamp, folder_stamp, state_of
from orlop.registry.model import Blob, Cache, Config, Foreign, Manifest, Model, Repository, State, Unreadable, What
from orlop.registry.repositoryfolder import OWN, RepositoryPart, read_repository
from orlop.registry.scheduler import read_cache

DEEPEST = 128
"""Levels of folders of repositories that are read: a name of 255 characters has no more."""
TURN = 4000
"""Links that one sweep reads again although nothing says that they changed."""


def read(root: Root, base: str, *, progress: Progress) -> Model:
    """Read a registry's storage whole.

    Args:
        root: its ``rootdirectory``.
        base: where ``v2`` is, relative to it; may be empty.
        progress: told of each phase.

    Raises:
        Cancelled: `progress` stopped it.
    """
    return Reader(root, base).read(progress)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Branch:
    """One folder of the tree of repositories."""

    name: str
    below: tuple[str, ...]
    """Names of the folders in it that may lead to repositories."""
    own: frozenset[str]
    stamp: Stamp | None
    foreign: tuple[Foreign, ...]
    unreadable: tuple[Unreadable, ...]


_Beside: TypeAlias = _Branch | RepositoryPart | Above | Shard


class Reader:
    """What was read of one store so far; gives a new `Model` each time, and none of them changes any more."""

    def __init__(self, root: Root, base: str) -> None:
        self._root = root
        self._base = base
        self._branches: dict[str, _Branch] = {}
        self._repositories: dict[str, RepositoryPart] = {}
        self._above = Above(shards=(), stamps={}, empty=(), foreign=(), unreadable=())
        self._shards: dict[str, Shard] = {}
        self._manifests: dict[str, tuple[Stamp, Manifest]] = {}
        self._configs: dict[str, tuple[Stamp, Config]] = {}
        self._cache: Cache | None = None
        self._wanted: set[str] = set()
        self._turns: list[str] = []

    def read(self, progress: Progress) -> Model:
        """Everything anew; manifests and configs whose file is the same are not parsed again.

        Raises:
            Cancelled: `progress` stopped it.
        """
        self._branches.clear()
        before, self._repositories = self._repositories, {}
        try:
            self._walk_from_top(progress)
        except BaseException:
            self._repositories = before | self._repositories
            raise
        self._read_blobs(progress, None)
        return self._model(progress)

    # --- repositories --------------------------------------------------------

    def _walk_from_top(self, progress: Progress) -> None:
        path = place.repositories(self._base)
        try:
            top = self._root.folder(path)
        except OrlopError as error:
            self._branches[""] = _blind(path, "", error)
            return
        with top:
            self._walk(top, "", 0, progress)

    def _walk(self, folder: Folder, name: str, depth: int, progress: Progress) -> None:
        """Read a folder of the tree, the repository that it is, and all below it."""
        branch = self._branch(folder, name, depth)
        self._branches[name] = branch
        if branch.own:
            self._repositories[name] = read_repository(self._root, folder, name)
            progress.step("repositories", len(self._repositories), 0)
        for below in branch.below:
            self._descend(folder, below, f"{name}/{below}" if name else below, depth + 1, progress)

    def _descend(self, folder: Folder, below: str, name: str, depth: int, progress: Progress) -> None:
        try:
            inner = folder.folder(below)
        except NotFound:
            return  # it went away
        except OrlopError as error:
            self._branches[name] = _blind(f"{folder.path}/{below}", name, error)
            return
        with inner:
            self._walk(inner, name, depth, progress)

    def _branch(self, folder: Folder, name: str, depth: int) -> _Branch:
        loose = Loose(self._root)
        stamp = folder_stamp(folder, times.now())
        below: list[str] = []
        own: set[str] = set()
        for part, kind in loose.kinds(folder):
            if part in OWN and name:
                own.add(part)  # what is no folder is noted by the repository
            elif kind != "folder" or part.startswith("_") or depth >= DEEPEST:
                loose.stray(folder, part, "repositories")
            else:
                below.append(part)
        return _Branch(
            name=name,
            below=tuple(below),
            own=frozenset(own),
            stamp=stamp,
            foreign=tuple(loose.foreign),
            unreadable=tuple(loose.unreadable),
        )

    # --- blobs, manifests, configs -------------------------------------------

    def _read_blobs(self, progress: Progress, shards: Iterable[str] | None) -> None:
        """Look at all blobs, or those of some shards; parse what links name and is not known yet."""
        self._wanted = set(_named(part.repository for part in self._repositories.values()))
        if shards is None:
            self._above = read_above(self._root, self._base)
            shards = self._above.shards
            self._shards = {path: shard for path, shard in self._shards.items() if path in set(shards)}
        wanted = list(shards)
        for number, path in enumerate(wanted):
            progress.step("blobs", number, len(wanted))
            self._shards[path] = read_shard(self._root, path, self._is_wanted, self._take_manifest)
        self._forget()
        self._complete(progress)
        self._cache = read_cache(self._root)

    def _is_wanted(self, digest: str, stamp: Stamp) -> bool:
        if digest not in self._wanted:
            return False
        known = self._manifests.get(digest)
        return known is None or known[0] != stamp

    def _take_manifest(self, digest: str, stamp: Stamp, data: bytes) -> None:
        self._manifests[digest] = (stamp, manifest.parse(digest, data))

    def _take_config(self, digest: str, stamp: Stamp, data: bytes) -> None:
        self._configs[digest] = (stamp, imageconfig.parse(digest, data))

    def _forget(self) -> None:
        """Let go of what was parsed from files that are no more, or are others."""
        stamps = self._stamps()
        self._manifests = {d: known for d, known in self._manifests.items() if stamps.get(d) == known[0]}
        self._configs = {d: known for d, known in self._configs.items() if stamps.get(d) == known[0]}

    def _stamps(self) -> dict[str, Stamp]:
        return {digest: stamp for shard in self._shards.values() for digest, stamp in shard.stamps.items()}

    def _complete(self, progress: Progress) -> None:
        """Read the manifests that indexes name, and theirs; then the configs of all images."""
        stamps = self._stamps()
        blobs = {digest: blob for shard in self._shards.values() for digest, blob in shard.blobs.items()}
        pending = {digest for digest in self._wanted if digest not in self._manifests}
        looked: set[str] = set()
        pending |= {digest for digest in self._children() if digest not in self._manifests}
        while pending:
            progress.step("manifests", len(looked), 0)
            looked |= pending
            there = [digest for digest in pending if digest in stamps]
            read_contents(
                self._root,
                self._base,
                there,
                self._take_manifest,
                lambda digest, error: self._failed_manifest(digest, blobs[digest], stamps[digest], error),
            )
            pending = {digest for digest in self._children() if digest not in self._manifests and digest not in looked}
        progress.step("configs", 0, 0)
        configs = {
            config.digest
            for _, found in self._manifests.values()
            if (config := found.config) is not None and found.what is What.IMAGE
        }
        self._configs = {digest: known for digest, known in self._configs.items() if digest in configs}
        read_contents(
            self._root,
            self._base,
            [digest for digest in configs if digest in stamps and digest not in self._configs],
            self._take_config,
            lambda digest, error: self._failed_config(digest, stamps[digest], error),
        )

    def _failed_manifest(self, digest: str, blob: Blob, stamp: Stamp, error: OrlopError) -> None:
        state, why = state_of(error)
        self._manifests[digest] = (stamp, manifest.unread(digest, state, blob.size, why))

    def _failed_config(self, digest: str, stamp: Stamp, error: OrlopError) -> None:
        state, why = state_of(error)
        self._configs[digest] = (stamp, Config(digest=digest, state=state, why=why))

    def _children(self) -> Iterator[str]:
        """What manifests name as manifests: an index its children, a referrer the manifest that it belongs to."""
        for _, found in self._manifests.values():
            for child in found.children:
                yield child.digest
            if found.subject is not None:
                yield found.subject.digest

    # --- the model -----------------------------------------------------------

    def _model(self, progress: Progress) -> Model:
        progress.step("joining", 0, 0)
        shards = self._shards.values()
        blobs = {digest: blob for shard in shards for digest, blob in shard.blobs.items()}
        beside: list[_Beside] = [*self._branches.values(), *self._repositories.values(), self._above, *shards]
        repositories = _nested({name: part.repository for name, part in sorted(self._repositories.items())})
        return join_model(
            self._root,
            Parts(
                base=self._base,
                repositories=repositories,
                blobs=blobs,
                manifests=self._all_manifests(blobs),
                configs=self._all_configs(blobs),
                cache=self._cache,
                foreign=tuple(item for found in beside for item in found.foreign),
                empty_shards=tuple(path for shard in shards for path in shard.empty),
                unreadable=tuple(item for found in beside for item in found.unreadable),
            ),
        )

    def _all_manifests(self, blobs: Mapping[str, Blob]) -> dict[str, Manifest]:
        """Every manifest that something names, those without a file too."""
        found: dict[str, Manifest] = {digest: value for digest, (_, value) in self._manifests.items()}
        named = set(_meant(part.repository for part in self._repositories.values()))
        named.update(child.digest for _, value in self._manifests.values() for child in value.children)
        for digest in named:
            if digest not in found:
                blob = blobs.get(digest)
                if blob is None:
                    found[digest] = manifest.missing(digest)
                else:
                    found[digest] = manifest.unread(digest, blob.state, blob.size, blob.why)
        return found

    def _all_configs(self, blobs: Mapping[str, Blob]) -> dict[str, Config]:
        found = {digest: value for digest, (_, value) in self._configs.items()}
        for _, value in self._manifests.values():
            config = value.config
            if config is not None and value.what is What.IMAGE and config.digest not in found:
                blob = blobs.get(config.digest)
                state = State.MISSING if blob is None else blob.state
                why = "there is no such blob" if blob is None else blob.why
                found[config.digest] = Config(digest=config.digest, state=state, why=why)
        return found


def _blind(path: str, name: str, error: OrlopError) -> _Branch:
    """The value for a folder of the tree that cannot be opened; one that is not there has nothing in it."""
    unreadable = () if isinstance(error, NotFound) else (Unreadable(path=path, why=error.why or error.what),)
    return _Branch(name=name, below=(), own=frozenset(), stamp=None, foreign=(), unreadable=unreadable)


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


def _nested(repositories: Mapping[str, Repository]) -> dict[str, Repository]:
    """The same, each with the names of the repositories below it."""
    below: dict[str, list[str]] = {}
    for name in repositories:
        above = name
        while "/" in above:
            above = above.rpartition("/")[0]
            if above in repositories:
                below.setdefault(above, []).append(name)
    return {
        name: replace(repository, nested=tuple(below[name])) if name in below else repository
        for name, repository in repositories.items()
    }
