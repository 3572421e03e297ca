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
from orlop.fs import Folder, Root, join
from orlop.progress import Progress, Silent
from orlop.records import EngineState
from orlop.registry import place, processes
from orlop.registry.ahead import Ahead
from orlop.registry.blobfolders import Above, Shard, read_above, read_shard
from orlop.registry.documents import Documents
from orlop.registry.join import Parts, join_model
from orlop.registry.loose import Loose, Stamp, folder_stamp, stamp_at
from orlop.registry.model import Blob, Cache, Foreign, Model, Repository, State, Unreadable
from orlop.registry.repositoryfolder import OWN, RepositoryPart, read_repository
from orlop.registry.scheduler import read_cache
from orlop.registry.touched import Touched

DEEPEST = 128
"""Levels of folders of repositories that are read: a name of 255 characters has no more."""
TURN = 3000
"""Links, and likewise blobs, that one sweep looks at again although nothing says that they changed."""
WATCHES = 256
"""Folders that are watched at most, however many repositories there are."""

_TELLING = ("/tags", "/_uploads", "/revisions/sha256")
"""Ends of the paths of a repository's folders where a push or a delete shows."""


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
        self._documents = Documents(root, base)
        self._cache: Cache | None = None
        self._engine: tuple[EngineState, str] = (EngineState.UNKNOWN, "")
        self.looked_at = 0
        """When the store was last looked at, nanoseconds UTC."""
        self.watched: tuple[str, ...] = ()
        """Folders whose events tell of changes at once, `WATCHES` at most; existing ones."""

    def read(self, progress: Progress) -> Model:
        """Everything anew; manifests and configs whose file is the same are not parsed again.

        Raises:
            Cancelled: `progress` stopped it.
        """
        self.looked_at = times.now()
        self._branches.clear()
        before, self._repositories = self._repositories, {}
        with Ahead(self._root, (place.repositories(self._base), place.blobs(self._base))):
            try:
                self._walk_from_top(progress)
            except BaseException:
                self._repositories = before | self._repositories
                raise
            self._read_blobs(progress)
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

    # --- again ---------------------------------------------------------------

    def again(self, hints: Iterable[str]) -> Model | None:
        """Read what some changed paths name, and sweep over the rest; None where nothing is different.

        A sweep compares the times of folders: of the tree of repositories, of each one's
        ``tags``, ``revisions``, ``_layers`` and ``_uploads``, and of the blobs'. What changes none of
        them, as a tag that moves in place to a manifest that it meant before, is seen when its
        turn comes: each sweep also reads some `TURN` links and blobs whose last look is longest ago.
        """
        self.looked_at = times.now()
        touched = Touched(self._base, hints)
        if touched.everything:
            return self.read(Silent())
        different = self._sweep_tree(touched)
        different |= self._sweep_repositories(touched)
        different |= self._sweep_blobs(touched)
        cache = read_cache(self._root)
        different |= cache != self._cache or processes.engine_state(self._root) != self._engine
        if not different:
            return None
        self._complete(Silent())
        self._cache = cache
        return self._model(Silent())

    def _sweep_tree(self, touched: Touched) -> bool:
        """Look for repositories that came or went."""
        different = False
        for name, branch in list(self._branches.items()):
            if name not in self._branches:
                continue  # it went with a folder above it
            if branch.stamp is not None and name not in touched.branches and branch.stamp == self._stamp_of(name):
                continue
            different |= self._list_again(name, branch)
        return different

    def _stamp_of(self, name: str) -> Stamp | None:
        return stamp_at(self._root, join(place.repositories(self._base), name))

    def _list_again(self, name: str, before: _Branch) -> bool:
        path = join(place.repositories(self._base), name)
        try:
            folder = self._root.folder(path)
        except NotFound:
            if not name:
                self._branches = {"": _blind(path, "", NotFound(path))}
                different = bool(self._repositories)
                self._repositories = {}
                return different
            self._drop(name)
            return True
        except OrlopError as error:
            self._branches[name] = _blind(path, name, error)
            return self._branches[name] != before
        with folder:
            branch = self._branch(folder, name, name.count("/") + 1 if name else 0)
            self._branches[name] = branch
            for gone in set(before.below) - set(branch.below):
                self._drop(f"{name}/{gone}" if name else gone)
            if branch.own != before.own:
                self._repositories.pop(name, None)
                if branch.own:
                    self._repositories[name] = read_repository(self._root, folder, name)
            for below in branch.below:
                inner = f"{name}/{below}" if name else below
                if inner not in self._branches:
                    self._descend(folder, below, inner, name.count("/") + 2 if name else 1, Silent())
        return replace(branch, stamp=None) != replace(before, stamp=None)

    def _drop(self, name: str) -> None:
        """Forget a folder of the tree and all below it."""
        below = f"{name}/"
        self._branches = {n: branch for n, branch in self._branches.items() if n != name and not n.startswith(below)}
        self._repositories = {
            n: part for n, part in self._repositories.items() if n != name and not n.startswith(below)
        }

    def _sweep_repositories(self, touched: Touched) -> bool:
        due = set(_turn((part.read_at, part.links, name) for name, part in self._repositories.items()))
        different = False
        for name, part in list(self._repositories.items()):
            if name in due or name in touched.branches or self._moved(part):
                different |= self._read_again(name, part)
        return different

    def _moved(self, part: RepositoryPart) -> bool:
        """Whether the time of one of a repository's folders tells that something was done in it."""
        return any(stamp is None or stamp_at(self._root, path) != stamp for path, stamp in part.stamps.items())

    def _read_again(self, name: str, before: RepositoryPart) -> bool:
        try:
            with self._root.folder(before.repository.path) as folder:
                part = read_repository(self._root, folder, name)
        except OrlopError:
            return False  # its branch tells, now or at the next look
        self._repositories[name] = part
        return (part.repository, part.foreign, part.unreadable) != (
            before.repository,
            before.foreign,
            before.unreadable,
        )

    def _sweep_blobs(self, touched: Touched) -> bool:
        different = False
        above = self._above
        if touched.blobs or any(s is None or stamp_at(self._root, path) != s for path, s in above.stamps.items()):
            self._above = read_above(self._root, self._base)
            different = self._above.shards != above.shards or self._above.foreign != above.foreign
            here = set(self._above.shards)
            self._shards = {path: shard for path, shard in self._shards.items() if path in here}
        known = ((shard.read_at, 1 + len(shard.blobs), path) for path, shard in self._shards.items())
        due = set(_turn(known))
        for path in self._above.shards:
            before = self._shards.get(path)
            if (
                before is not None
                and path not in due
                and path not in touched.shards
                and before.stamp is not None
                and before.stamp == stamp_at(self._root, path)
            ):
                continue
            shard = read_shard(self._root, path, self._documents.is_wanted, self._documents.take)
            self._shards[path] = shard
            different |= before is None or _differs(shard, before)
        return different

    def oldest(self) -> int:
        """When the part that was not looked into for longest was read, nanoseconds UTC; 0 for an empty store."""
        times_read = [part.read_at for part in self._repositories.values()]
        times_read += [shard.read_at for shard in self._shards.values()]
        return min(times_read, default=0)

    def _telling(self) -> tuple[str, ...]:
        """Folders whose events tell of changes at once, `WATCHES` at most: first those of what changed last."""
        found = [self._base, place.repositories(self._base)] if self._base else [place.repositories(self._base)]
        recent = sorted(self._repositories.values(), key=_changed, reverse=True)[:WATCHES]
        found += [path for part in recent for path in part.stamps if path.endswith(_TELLING)]
        found += [part.repository.path for part in recent]
        for part in recent[: max(WATCHES - len(found), 0)]:
            tags = part.repository.tags.values()
            found += [tag.current.path.rpartition("/")[0] for tag in tags if tag.current.state is not State.MISSING]
        return tuple(sorted(dict.fromkeys(found[:WATCHES])))

    # --- blobs, manifests, configs -------------------------------------------

    def _read_blobs(self, progress: Progress) -> None:
        """Look at all blobs, and parse what links name on the way."""
        self._documents.want(part.repository for part in self._repositories.values())
        self._above = read_above(self._root, self._base)
        self._shards = {path: self._shards[path] for path in self._above.shards if path in self._shards}
        for number, path in enumerate(self._above.shards):
            progress.step("blobs", number, len(self._above.shards))
            self._shards[path] = read_shard(self._root, path, self._documents.is_wanted, self._documents.take)
        self._complete(progress)
        self._cache = read_cache(self._root)

    def _complete(self, progress: Progress) -> None:
        """Parse what is not known yet of what links name."""
        self._documents.want(part.repository for part in self._repositories.values())
        stamps = {digest: stamp for shard in self._shards.values() for digest, stamp in shard.stamps.items()}
        self._documents.complete(self._blobs(), stamps, progress)

    def _blobs(self) -> dict[str, Blob]:
        return {digest: blob for shard in self._shards.values() for digest, blob in shard.blobs.items()}

    # --- the model -----------------------------------------------------------

    def _model(self, progress: Progress) -> Model:
        progress.step("joining", 0, 0)
        shards = self._shards.values()
        blobs = self._blobs()
        beside: list[_Beside] = [*self._branches.values(), *self._repositories.values(), self._above, *shards]
        repositories = _nested({name: part.repository for name, part in sorted(self._repositories.items())})
        self._engine = processes.engine_state(self._root)
        self.watched = self._telling()
        return join_model(
            Parts(
                base=self._base,
                repositories=repositories,
                blobs=blobs,
                manifests=self._documents.manifests(blobs, repositories.values()),
                configs=self._documents.configs(blobs),
                cache=self._cache,
                foreign=tuple(item for found in beside for item in found.foreign),
                empty_shards=tuple(path for shard in shards for path in shard.empty),
                unreadable=tuple(item for found in beside for item in found.unreadable),
            ),
            *self._engine,
        )


def _turn(parts: Iterable[tuple[int, int, str]]) -> Iterator[str]:
    """The parts whose turn it is, those read longest ago first, until `TURN` files come together.

    Args:
        parts: when each was read, how many files it has, its name.
    """
    files = 0
    for _, cost, name in sorted(parts):
        if files >= TURN:
            return
        files += cost
        yield name


def _differs(shard: Shard, before: Shard) -> bool:
    """Whether a shard holds something else than before."""
    return (shard.stamps, shard.blobs, shard.empty, shard.foreign, shard.unreadable) != (
        before.stamps,
        before.blobs,
        before.empty,
        before.foreign,
        before.unreadable,
    )


def _changed(part: RepositoryPart) -> int:
    """When a repository last changed, as its folders' times say; now where they are too fresh to tell."""
    return max((part.read_at if stamp is None else stamp[2] for stamp in part.stamps.values()), default=0)


def _blind(path: str, name: str, error: OrlopError) -> _Branch:
    """The value for a folder of the tree that cannot be opened; one that is not there has nothing in it."""
    unreadable = () if isinstance(error, NotFound) else (Unreadable(path=path, why=error.why or error.what),)
    return _Branch(name=name, below=(), own=frozenset(), stamp=None, foreign=(), unreadable=unreadable)


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
