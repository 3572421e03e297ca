"""What something needs: the mark of mark and sweep.

Marked is what manifests name, followed through indexes, configs, layers and
referrers; what a pull-through cache has a record of; what a push may be about to
name; and, where something cannot be read, all that it may need. distribution's own
garbage collection (``registry/storage/garbagecollect.go``) follows less, and stops
at the first file that it cannot read.
"""

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field

from orlop.registry import layout, place
from orlop.registry.layout import MODERN
from orlop.registry.linking import resolved
from orlop.registry.model import Model, Repository, State
from orlop.registry.uploadplans import is_young

Known = tuple[str, str]
"""A repository, and the digest of a manifest that it knows."""

_HIDDEN = (State.UNREADABLE, State.WRONG_KIND)


@dataclass(slots=True, kw_only=True)
class Marks:
    """What stays, and why."""

    blobs: dict[str, str] = field(default_factory=dict)
    """Digest → why it stays, one clause."""
    going: dict[Known, str] = field(default_factory=dict)
    """Revisions that nothing needs → why, where those were asked for."""
    shielded: dict[str, str] = field(default_factory=dict)
    """Repositories of which everything linked stays → why."""
    whole: dict[str, str] = field(default_factory=dict)
    """Repositories of which every revision stays → why."""
    blocked: str = ""
    """Why no blob may go at all; empty where some may."""
    names: dict[str, set[str]] = field(default_factory=dict)
    """Repository → digests that its manifests which stay name, and what they resolve to."""


def mark(
    model: Model,
    *,
    before: int | None = None,
    untagged: bool = False,
    gone: Set[Known] = frozenset(),
    gone_repositories: Set[str] = frozenset(),
) -> Marks:
    """Mark what is needed.

    Args:
        model: the store.
        before: what changed at or after this time stays too, nanoseconds UTC; None for no such mercy.
        untagged: whether a revision needs a tag, an index or a subject to stay.
        gone: revisions that are as good as removed.
        gone_repositories: likewise.
    """
    marking = _Marking(model, before, gone)
    repositories = [found for name, found in sorted(model.repositories.items()) if name not in gone_repositories]
    marking.look_for_the_unseen()
    for repository in repositories:
        marking.uploads(repository)
    marking.cached()
    for repository in repositories:
        live = marking.live(repository) if untagged else marking.every(repository)
        marking.follow(repository, live)
    for repository in repositories:
        marking.links(repository)
    marking.young()
    return marking.marks


class _Marking:
    def __init__(self, model: Model, before: int | None, gone: Set[Known]) -> None:
        self.model = model
        self.before = before
        self.gone = gone
        self.marks = Marks()
        self._entries = _cache_entries(model)

    # what cannot be seen

    def look_for_the_unseen(self) -> None:
        """Find the parts of the tree that may lead to blobs and that nobody can follow."""
        owners = {repository.path: repository for repository in self.model.repositories.values()}
        for path, why in _unseen(self.model):
            self._hide(path, why, _owner(owners, path))
        for repository in self.model.repositories.values():
            for link in (*repository.revisions.values(), *repository.layers.values()):
                if link.state in _HIDDEN:
                    self._keep_whole(repository.name, f"{link.path} cannot be read ({link.why})")

    def _hide(self, path: str, why: str, owner: Repository | None) -> None:
        """Keep what something that cannot be followed may lead to."""
        if owner is None:
            self._block(f"{path} {why}, so what repositories there need cannot be known")
            return
        part = path[len(owner.path) + 1 :]
        if part.startswith(MODERN.uploads):
            self.marks.shielded.setdefault(owner.name, f"{path} {why}: an upload may be in progress")
        elif part.startswith(f"{MODERN.manifests}/{layout.TAGS}/"):
            self._keep_whole(owner.name, f"{path} {why}, so what a tag means cannot be known")
        else:
            self._keep_whole(owner.name, f"{path} {why}")
            self._block(f"{path} {why}, so what {owner.name} needs cannot be known")

    def _block(self, why: str) -> None:
        self.marks.blocked = self.marks.blocked or why

    def _keep_whole(self, name: str, why: str) -> None:
        self.marks.whole.setdefault(name, why)
        self.marks.shielded.setdefault(name, why)

    # what may be about to be named

    def uploads(self, repository: Repository) -> None:
        """A push in progress may name any layer that its repository links."""
        before = self.before
        if before is None:
            return
        for _, upload in sorted(repository.uploads.items()):
            if is_young(upload, before):
                self.marks.shielded.setdefault(repository.name, f"the upload {upload.id} is in progress")

    def cached(self) -> None:
        """A pull-through cache serves what its record names, and removes it itself."""
        cache = self.model.cache
        if cache is None:
            return
        if cache.state is not State.GOOD:
            for name in self.model.repositories:
                self._keep_whole(name, f"{layout.SCHEDULER}, the record of this cache, is {cache.state}: {cache.why}")
        for entry in cache.entries:
            if not entry.digest:
                self._keep_whole(entry.repository, f"the cache's record names {entry.repository} as a whole")
            else:
                self._need(entry.digest, "the cache's record names it")

    # revisions

    def every(self, repository: Repository) -> set[str]:
        """All revisions, whatever state their links are in, and what the tags mean."""
        found = {digest for digest in repository.revisions if (repository.name, digest) not in self.gone}
        targets = {link.target for digest, link in repository.revisions.items() if link.target and digest in found}
        return found | targets | self._tagged(repository)

    def live(self, repository: Repository) -> set[str]:
        """The revisions that a tag, an index or a subject keeps; the others are noted as going."""
        every = self.every(repository)
        if repository.name in self.marks.whole:
            return every
        live = self._tagged(repository) | {digest for digest in every if self._stays(repository, digest)}
        waiting = sorted(live)
        while waiting:
            digest = waiting.pop()
            new = {near for near in self._near(repository, digest) if self._is_here(repository, near)} - live
            live |= new
            waiting.extend(sorted(new))
        for digest in sorted(live):
            if why := self._why_unknown(digest):
                self._keep_whole(repository.name, why)  # it may be an index, of any of the others
                return every | live
        for digest in sorted(every - live):
            self.marks.going[repository.name, digest] = "no tag, index or subject keeps it"
        return live

    def _tagged(self, repository: Repository) -> set[str]:
        """What tags mean; all that a tag ever meant where what it means cannot be read."""
        found: set[str] = set()
        for tag in repository.tags.values():
            target = tag.current.target
            if target is None:
                found.update(digest for digest in tag.history if digest in repository.revisions)
            elif (repository.name, target) not in self.gone:
                found.add(target)
        return found

    def _stays(self, repository: Repository, digest: str) -> bool:
        """Whether a revision stays by itself: it is new, damaged, or in the cache's record."""
        link = repository.revisions.get(digest)
        if link is None or link.target != digest or (repository.name, digest) in self._entries:
            return True
        manifest = self.model.manifests.get(digest)
        if manifest is None or manifest.state is not State.GOOD:
            return True
        return self._is_young(link.mtime) or self._is_young(self._blob_time(digest))

    def _near(self, repository: Repository, digest: str) -> Iterator[str]:
        """What a revision that stays keeps: what its link means, parts of an index, its subject, what belongs to it."""
        link = repository.revisions.get(digest)
        if link is not None and link.target is not None:
            yield link.target
        manifest = self.model.manifests.get(digest)
        if manifest is not None:
            yield from (child.digest for child in manifest.children)
            if manifest.subject is not None:
                yield manifest.subject.digest
        yield from self.model.referrers_of.get((repository.name, digest), ())

    def _is_here(self, repository: Repository, digest: str) -> bool:
        """Whether a manifest can lead on: the parts of an index need not all be here, nor be known by themselves."""
        return digest in repository.revisions or digest in self.model.blobs

    def _why_unknown(self, digest: str) -> str:
        """Why nobody can tell what a manifest needs, one clause; empty where it can be read."""
        manifest = self.model.manifests.get(digest)
        state = manifest.state if manifest is not None else State.MISSING
        return "" if state is State.GOOD else f"its manifest {digest} is {state}, so what it needs cannot be known"

    def follow(self, repository: Repository, live: Iterable[str]) -> None:
        """Mark what manifests name, indexes followed."""
        names = self.marks.names.setdefault(repository.name, set())
        seen = set(live)
        waiting = sorted(seen, reverse=True)
        while waiting:
            digest = waiting.pop()
            self._need(digest, f"{repository.name} knows it as a manifest")
            if why := self._why_unknown(digest):
                self.marks.shielded.setdefault(repository.name, why)
            manifest = self.model.manifests.get(digest)
            if manifest is None:
                continue
            for need in manifest.needs:
                for blob in (need.digest, resolved(repository, need.digest)):
                    names.add(blob)
                    self._need(blob, f"{digest} in {repository.name} needs it")
            for child in manifest.children:
                if child.digest not in seen and child.digest in self.model.blobs:
                    seen.add(child.digest)
                    waiting.append(child.digest)

    # links and ages

    def links(self, repository: Repository) -> None:
        """Mark the signatures of a repository, and what it links where it is shielded or the link is new."""
        for digest in repository.signature_blobs:
            self._need(digest, f"{repository.name} keeps it as a signature, which registries up to 2.4 serve")
        shield = self.marks.shielded.get(repository.name)
        for link in repository.layers.values():
            if shield is not None:
                because = f"{repository.name} links it, and {shield}"
            elif self._is_young(link.mtime):
                because = f"{repository.name} links it since the time that was given"
            else:
                continue
            self._need(link.named, because)
            if link.target is not None:
                self._need(link.target, because)
        if shield is not None:
            for digest in repository.revisions:
                self._need(digest, shield)

    def young(self) -> None:
        """Mark blobs that changed since the time that was given."""
        for digest, blob in self.model.blobs.items():
            if self._is_young(blob.mtime):
                self._need(digest, "it changed since the time that was given")

    def _blob_time(self, digest: str) -> int:
        blob = self.model.blobs.get(digest)
        return blob.mtime if blob is not None else 0

    def _is_young(self, at: int) -> bool:
        return self.before is not None and at >= self.before

    def _need(self, digest: str, because: str) -> None:
        self.marks.blobs.setdefault(digest, because)


def _unseen(model: Model) -> Iterator[tuple[str, str]]:
    """Every place below the repositories that may lead on, and cannot be followed → why."""
    top = place.repositories(model.base)
    for part in model.unreadable:
        if f"{part.path}/".startswith(f"{top}/") or not part.path or top.startswith(f"{part.path}/"):
            yield part.path, f"cannot be read ({part.why})"
    for stray in model.foreign:
        if stray.kind == "link" and stray.path.startswith(top + "/"):
            yield stray.path, "is a symbolic link, which a registry follows and Orlop does not"


def _owner(owners: dict[str, Repository], path: str) -> Repository | None:
    """The repository in one of whose own folders a path lies."""
    while path:
        path, _, name = path.rpartition("/")
        if name in MODERN.repository_folders and path in owners:
            return owners[path]
    return None


def _cache_entries(model: Model) -> frozenset[Known]:
    entries = model.cache.entries if model.cache is not None else ()
    return frozenset((entry.repository, entry.digest) for entry in entries)
