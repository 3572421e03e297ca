"""Findings on space: what nothing needs, what was left, and who shares what."""

from collections.abc import Iterable, Iterator

from orlop import times
from orlop.finding import Severity
from orlop.fs import join
from orlop.registry import place
from orlop.registry.checkfinding import (
    DAY,
    GRACE,
    UPLOAD_AGE,
    Findings,
    Found,
    Place,
    counted,
    good,
    known,
    missing,
    some,
)
from orlop.registry.layout import BLOBS, MODERN
from orlop.registry.model import Manifest, Model, Repository, State, Upload

_SHOWN_TAGS = 5


class Owners:
    """To which manifest in which repository a blob belongs, where it belongs to one alone."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._places: dict[str, Place | None] = {}
        self._repositories: dict[str, str | None] = {}
        self._blobs: dict[Place, tuple[str, ...]] = {}
        places, repositories = self._places, self._repositories
        for repository, digest in known(model):
            at = (repository.name, digest)
            mine = self._blobs[at] = tuple(_blobs_of(repository, digest, model.manifests.get(digest)))
            for blob in mine:
                if places.setdefault(blob, at) != at:
                    places[blob] = None
                if repositories.setdefault(blob, repository.name) != repository.name:
                    repositories[blob] = None

    def _size(self, blobs: Iterable[str]) -> int:
        found = (self._model.blobs.get(blob) for blob in blobs)
        return sum(blob.size for blob in found if blob is not None)

    def own_of(self, repository: str, digest: str) -> int:
        """Bytes that go when a manifest goes, the parts of an index that only it holds included."""
        group = {(repository, digest)}
        manifest = self._model.manifests.get(digest)
        for child in manifest.children if manifest is not None else ():
            at = (repository, child.digest)
            if self._model.indexes_of.get(at) == (digest,) and not self._model.tags_of.get(at):
                group.add(at)
        if len(group) == 1:
            at = (repository, digest)
            return self._size(blob for blob in {*self._blobs.get(at, ())} if self._places[blob] == at)
        blobs = {blob for at in group for blob in self._blobs.get(at, ())}
        return self._size(blob for blob in blobs if self._places[blob] in group)

    def of_repository(self, name: str) -> tuple[int, int]:
        """Bytes that a repository needs, and how many of them no other one does."""
        blobs: set[str] = set()
        for digest in self._model.repositories[name].revisions:
            blobs.update(self._blobs.get((name, digest), ()))
        return self._size(blobs), self._size(blob for blob in blobs if self._repositories[blob] == name)


def _blobs_of(repository: Repository, digest: str, manifest: Manifest | None) -> Iterator[str]:
    yield digest
    links = repository.layers
    for need in manifest.needs if manifest is not None else ():
        link = links.get(need.digest)
        yield need.digest if link is None or link.target is None else link.target


# --- what something needs ----------------------------------------------------


class Needs:
    """What the manifests of each repository need, or may need: more than garbage collection follows.

    A manifest counts as soon as a revision, a tag or an index of the repository names it, in
    whatever state the link is: a repair may bring it back.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._by_repository = {name: self._of(repository) for name, repository in model.repositories.items()}

    def _of(self, repository: Repository) -> tuple[set[str], int]:
        manifests = self._model.manifests
        links = repository.layers
        waiting = list(repository.revisions)
        waiting.extend(link.target for link in repository.revisions.values() if link.target is not None)
        waiting.extend(tag.current.target for tag in repository.tags.values() if tag.current.target is not None)
        seen: set[str] = set()
        needed: set[str] = set()
        unknown = 0
        while waiting:
            digest = waiting.pop()
            if digest in seen:
                continue
            seen.add(digest)
            manifest = manifests.get(digest)
            if manifest is None or manifest.state is not State.GOOD:
                unknown += 1
            if manifest is None:
                continue
            needed.update(need.digest for need in manifest.needs)
            waiting.extend(child.digest for child in manifest.children if not missing(self._model, child.digest))
        for digest in list(needed):
            link = links.get(digest)
            if link is not None and link.target is not None:
                needed.add(link.target)
        return needed | seen, unknown

    def of(self, repository: str) -> tuple[set[str], int]:
        """Digests that a repository needs, aliases and blobs; and how many of its manifests cannot say what they do."""
        return self._by_repository[repository]

    def all(self) -> tuple[set[str], int]:
        """The same of the whole registry."""
        needed: set[str] = set()
        for mine, _ in self._by_repository.values():
            needed |= mine
        return needed, sum(unknown for _, unknown in self._by_repository.values())


def _expiring(model: Model) -> set[str]:
    """What a pull-through cache will remove by itself."""
    return {entry.digest for entry in model.cache.entries} if model.cache is not None else set()


def orphan_blobs(model: Model, findings: Findings, needs: Needs) -> Iterator[Found]:
    """RG14; none while a part of the store cannot be read, mere information while a manifest cannot."""
    if model.unreadable:
        return
    needed, unknown = needs.all()
    needed = needed.union(*(repository.signature_blobs for repository in model.repositories.values()))
    remark = f"; it may belong to {counted(unknown, 'manifest')} that cannot be read" if unknown else ""
    for digest in sorted(model.blobs.keys() - needed - _expiring(model)):
        blob = model.blobs[digest]
        if blob.state is not State.GOOD:
            continue  # RG01
        young = model.seen_at - blob.mtime < GRACE
        linked = model.linked_in.get(digest, ())
        detail = f"no manifest of any repository needs {digest}{remark}"
        detail += f"; {some(linked)} {'links' if len(linked) == 1 else 'link'} it" if linked else ""
        detail += "; it is younger than a day and may belong to a push under way" if young else ""
        severity = Severity.INFORMATION if young or unknown else Severity.SPACE
        yield findings.make("RG14", place.blob_data(model.base, digest), detail, size=blob.size, severity=severity)


def orphan_links(model: Model, findings: Findings, needs: Needs) -> Iterator[Found]:
    """RG15, one for a repository."""
    if model.unreadable:
        return
    expiring = _expiring(model)
    for repository in model.repositories.values():
        if repository.empty:
            continue  # RG16
        needed, unknown = needs.of(repository.name)
        over = [
            link
            for digest, link in repository.layers.items()
            if digest not in needed and good(link) and link.target not in needed and link.target not in expiring
        ]
        if not over:
            continue
        old = [link for link in over if model.seen_at - link.mtime >= GRACE]
        counting = old or over
        gone = sum(1 for link in counting if link.target is not None and missing(model, link.target))
        detail = f"{counted(len(counting), 'link')} of {repository.name} that none of its manifests needs: "
        detail += some((link.named for link in counting), 2)
        detail += f"; {gone} of them {'leads' if gone == 1 else 'lead'} to blobs that are gone" if gone else ""
        detail += "" if old else "; all are younger than a day and may belong to a push under way"
        detail += f"; {counted(unknown, 'manifest')} that cannot be read may need them" if unknown else ""
        severity = Severity.SPACE if old and not unknown else Severity.INFORMATION
        yield findings.make("RG15", f"{repository.path}/{MODERN.layers}", detail, severity=severity)


# --- what was left -----------------------------------------------------------


def empty(model: Model, findings: Findings) -> Iterator[Found]:
    """RG16: repositories with nothing in them, one each; and empty folders below blobs, all in one."""
    for repository in model.repositories.values():
        if not repository.empty or model.unseen(repository.path) or _partly_unseen(model, repository):
            continue
        links = counted(len(repository.layers), "link")
        detail = f"{repository.name} has no tag, no manifest and no upload"
        detail += f", only {links} to layers" if repository.layers else ""
        young = any(model.seen_at - link.mtime < GRACE for link in repository.layers.values())
        detail += "; a push may be under way" if young else ""
        severity = Severity.INFORMATION if young or model.cache is not None else None
        yield findings.make("RG16", repository.path, detail, severity=severity)
    if model.empty_shards:
        yield findings.make(
            "RG16",
            join(model.base, BLOBS),
            f"{counted(len(model.empty_shards), 'empty folder')} of blobs that were deleted",
            severity=Severity.INFORMATION,
            title="empty-shard",
        )


def _partly_unseen(model: Model, repository: Repository) -> bool:
    top = repository.path + "/_"
    return any(part.path.startswith(top) for part in model.unreadable)


def uploads(model: Model, findings: Findings) -> Iterator[Found]:
    """RG17; ages are measured against the time of the reading."""
    for repository in model.repositories.values():
        for upload in repository.uploads.values():
            if not model.unseen(upload.path):
                yield from _upload(model, findings, repository, upload)


def _upload(model: Model, findings: Findings, repository: Repository, upload: Upload) -> Iterator[Found]:
    what = f"an upload to {repository.name} of {counted(upload.size, 'byte')}"
    if upload.started is None or upload.started > model.seen_at + DAY:
        why = upload.started_problem or f"startedat says {times.rfc3339(upload.started or 0)}, which is to come"
        yield findings.make(
            "RG17",
            upload.path,
            f"{what}, of which nothing tells when it began: {why}; last written {times.rfc3339(upload.changed)}",
            title="upload-undated",
            size=upload.size,
        )
        return
    age = model.seen_at - upload.started
    if age < UPLOAD_AGE:
        return
    detail = f"{what}, begun {counted(age // DAY, 'day')} ago, last written {times.rfc3339(upload.changed)}"
    detail += "" if upload.known else "; its name is no UUID, so the registry never purges it"
    yield findings.make("RG17", upload.path, detail, size=upload.size)


# --- who shares what ---------------------------------------------------------


def sharing(model: Model, findings: Findings, owners: Owners) -> Iterator[Found]:
    """RG20, one for a repository that has manifests."""
    for repository in model.repositories.values():
        if not repository.revisions:
            continue
        total, own = owners.of_repository(repository.name)
        by_tag = sorted(
            (-owners.own_of(repository.name, tag.current.target), tag.name)
            for tag in repository.tags.values()
            if tag.current.target is not None
        )
        tags = some((f"{name} {-size}" for size, name in by_tag), _SHOWN_TAGS)
        detail = f"{repository.name} needs {total} bytes, {own} of which no other repository needs"
        detail += f"; of its tags alone: {tags}" if tags else ""
        at = [(repository.name, digest) for digest in repository.revisions]
        yield findings.make("RG20", repository.path, detail, at=at, size=own, above=False, quiet=True)
