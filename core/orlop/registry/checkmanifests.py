"""Findings on manifests: their bytes, the parts of indexes, and what no tag leads to."""

from collections.abc import Iterator

from orlop.finding import Repair, Severity
from orlop.registry import place
from orlop.registry.checkfinding import (
    ENGINE_READS,
    MANIFEST_UNKNOWN,
    STOPPED_AT_MANIFEST,
    Findings,
    Found,
    counted,
    known,
    missing,
    reads_well,
    some,
)
from orlop.registry.checkspace import Owners
from orlop.registry.layout import LINK, MODERN, REVISIONS
from orlop.registry.model import Manifest, Model, Repository, State


def revision_link(repository: Repository, digest: str) -> str:
    """Where the link of a manifest is, or should be."""
    algorithm, _, hexadecimal = digest.partition(":")
    return f"{repository.path}/{MODERN.manifests}/{REVISIONS}/{algorithm}/{hexadecimal}/{LINK}"


def unreadable(why: str) -> Severity:
    """A file that this user may not read is no fault of the store; one that the disk does not give is."""
    return Severity.INFORMATION if "permission denied" in why else Severity.UNUSABLE


# --- bytes -------------------------------------------------------------------


def manifests(model: Model, findings: Findings) -> Iterator[Found]:
    """RG02, RG03 and RG04: every manifest that something names, once, however many repositories know it."""
    mentioned = findings.mentioned
    for digest in sorted(mentioned):
        manifest = model.manifests.get(digest)
        if manifest is None:
            continue
        if manifest.state is State.MISSING:
            yield from _missing(model, findings, digest)
        elif manifest.state is not State.GOOD or manifest.size > ENGINE_READS:
            yield _unusable(model, findings, manifest)


def _missing(model: Model, findings: Findings, digest: str) -> Iterator[Found]:
    """RG04, where a revision's link leads to nothing; what only a tag or an index names is RG10 or RG06."""
    path = place.blob_data(model.base, digest)
    at = [(repository, digest) for repository in model.repositories_of.get(digest, ())]
    if not at or model.unseen(path):
        return
    where = some([repository for repository, _ in at])
    detail = f"{where} {'knows' if len(at) == 1 else 'know'} this manifest, and its blob is not there"
    if model.cache is not None:
        detail += "; this cache fetches it again when it is asked for"
        yield findings.make("RG04", path, detail, at=at, severity=Severity.INFORMATION, says=MANIFEST_UNKNOWN)
        return
    count, size = _at_risk(model, findings, [repository for repository, _ in at])
    if count:
        detail += (
            f"; garbage collection would now delete the {counted(count, 'blob')} of {size} bytes "
            "that these repositories link and no other manifest needs"
        )
    else:
        detail += "; garbage collection takes the layers that only it needs for garbage"
    yield findings.make("RG04", path, detail, at=at, says=MANIFEST_UNKNOWN, size=size or None)


def _at_risk(model: Model, findings: Findings, repositories: list[str]) -> tuple[int, int]:
    """How many blobs some repositories link that no known manifest needs, and their bytes."""
    linked = {
        link.target
        for name in repositories
        for link in model.repositories[name].layers.values()
        if link.target is not None and not missing(model, link.target)
    }
    users = findings.needing(linked)
    lost = [digest for digest in linked if not users[digest] and digest not in model.manifests]
    return len(lost), sum(model.blobs[digest].size for digest in lost)


def _unusable(model: Model, findings: Findings, manifest: Manifest) -> Found:
    """RG02 where the registry reads it, else RG03; S1 only where garbage collection comes to it and stops."""
    path = place.blob_data(model.base, manifest.digest)
    at = findings.mentioned[manifest.digest]
    too_large = manifest.size > ENGINE_READS and manifest.state not in (State.UNREADABLE, State.WRONG_KIND)
    if manifest.state is State.ALTERED and not too_large:
        return findings.make("RG02", path, manifest.why, at=at, size=manifest.size)
    why = manifest.why
    says = manifest.engine_says
    if too_large:
        why = f"it has {manifest.size} bytes, and the registry reads {ENGINE_READS} of a manifest"
        why += f"; {manifest.why}" if manifest.state in (State.ALTERED, State.MALFORMED) else ""
        says = f"failed to retrieve manifest for digest {manifest.digest}: storage: read exceeds limit"
    severity = Severity.UNUSABLE
    if manifest.state is State.UNREADABLE:
        severity = unreadable(manifest.why)
    elif manifest.state is State.WRONG_KIND:
        says = MANIFEST_UNKNOWN if "folder" in why else ""
    elif says and model.repositories_of.get(manifest.digest):
        severity = Severity.BLOCKS
        says = f"{STOPPED_AT_MANIFEST}{says}"
    return findings.make("RG03", path, why, at=at, says=says, severity=severity, size=manifest.size)


# --- indexes -----------------------------------------------------------------


def indexes(model: Model, findings: Findings) -> Iterator[Found]:
    """RG06 and RG07: the manifests that indexes name."""
    for repository in model.repositories.values():
        absent: dict[str, list[str]] = {}
        present: dict[str, None] = {}
        holders = 0
        for digest, link in repository.revisions.items():
            manifest = model.manifests.get(digest)
            if link.target != digest or manifest is None or not manifest.children or not reads_well(manifest):
                continue
            holders += 1
            for child in manifest.children:
                if child.foreign:
                    continue
                if child.digest in repository.revisions:
                    present[child.digest] = None
                else:
                    absent.setdefault(child.digest, []).append(digest)
        if not holders:
            continue
        yield from _absent(model, findings, repository, absent)
        yield from _by_digest(model, findings, repository, list(present), holders)


def _absent(model: Model, findings: Findings, repository: Repository, absent: dict[str, list[str]]) -> Iterator[Found]:
    if not absent or model.cache is not None:
        return
    elsewhere: list[str] = []
    swept: bool | None = None
    for digest in sorted(absent):
        path = revision_link(repository, digest)
        if model.tags_of.get((repository.name, digest)) or model.unseen(path):
            continue  # RG10 names the indexes too
        at = [(repository.name, index) for index in dict.fromkeys(absent[digest])]
        blob = not missing(model, digest)
        trace = _trace(model, repository, digest, absent)
        if not trace:
            swept = _swept(model, repository) if swept is None else swept
            trace = "links of this repository lead to layers that are gone" if swept else ""
        if not trace:
            elsewhere.append(digest)
            continue
        detail = f"an index of {repository.name} names {digest}, which the repository does not know: {trace}"
        repair = Repair.REBUILD if blob and reads_well(model.manifests.get(digest)) else Repair.QUARANTINE
        yield findings.make("RG06", path, detail, at=at, says=MANIFEST_UNKNOWN, repair=repair)
    if elsewhere:
        yield _sparse(findings, repository, elsewhere, absent)


def _sparse(findings: Findings, repository: Repository, digests: list[str], absent: dict[str, list[str]]) -> Found:
    """RG06 as information, one for a repository."""
    holders = dict.fromkeys(index for digest in digests for index in absent[digest])
    indexes_of = f"{counted(len(holders), 'index', 'indexes')} of {repository.name}"
    detail = f"{counted(len(digests), 'manifest')} that {indexes_of} {'names' if len(holders) == 1 else 'name'} "
    detail += f"never {'was' if len(digests) == 1 else 'were'} here: "
    detail += "it was pushed for some platforms only"
    return findings.make(
        "RG06",
        f"{repository.path}/{MODERN.manifests}/{REVISIONS}",
        detail,
        at=[(repository.name, index) for index in holders],
        says=MANIFEST_UNKNOWN,
        severity=Severity.INFORMATION,
        title="index-sparse",
        curable=False,
    )


def _trace(model: Model, repository: Repository, digest: str, absent: dict[str, list[str]]) -> str:
    """What shows that a repository once knew a manifest; empty where nothing does."""
    if digest in repository.deleted_revisions:
        return "the folder of its link is there and empty"
    if any(digest in tag.history for tag in repository.tags.values()):
        return "a tag once meant it"
    if not missing(model, digest) and not model.repositories_of.get(digest):
        return "its blob is there, its link is not"
    for index in absent[digest]:
        manifest = model.manifests[index]
        if all(child.digest in absent for child in manifest.children):
            return "none of the manifests of this index is here"
    return ""


def _swept(model: Model, repository: Repository) -> bool:
    """Whether a repository links blobs that are gone and no manifest of it names: what `--delete-untagged` leaves."""
    gone = {link.target for link in repository.layers.values() if link.target and missing(model, link.target)}
    if not gone:
        return False
    for digest in repository.revisions:
        manifest = model.manifests.get(digest)
        if manifest is not None:
            gone.difference_update(need.digest for need in manifest.needs)
    return bool(gone)


def _by_digest(
    model: Model, findings: Findings, repository: Repository, children: list[str], holders: int
) -> Iterator[Found]:
    """RG07, one for a repository: it is the normal state of images of several platforms."""
    untagged = [digest for digest in children if not model.tags_of.get((repository.name, digest))]
    if not untagged or model.cache is not None:
        return
    yield findings.make(
        "RG07",
        f"{repository.path}/{MODERN.manifests}/{REVISIONS}",
        f"{counted(len(untagged), 'manifest')} of {repository.name} {'has' if len(untagged) == 1 else 'have'} no tag "
        f"and {'is' if len(untagged) == 1 else 'are'} kept by {'an index' if holders == 1 else f'{holders} indexes'}: "
        "`garbage-collect --delete-untagged` of 2.7 and 2.8 would delete them",
        at=[(repository.name, digest) for digest in untagged],
    )


# --- without a tag -----------------------------------------------------------


def untagged(model: Model, findings: Findings, owners: Owners) -> Iterator[Found]:
    """RG13 and RG19: manifests that no tag means and no index names."""
    if model.cache is not None:
        return  # it expires by itself, and pulls by digest are what a cache is for
    belonging: dict[str, list[str]] = {}
    lost = {repository.name for repository in model.repositories.values() if _tags_unknown(repository)}
    histories: dict[str, dict[str, list[str]]] = {}
    for repository, digest in known(model):
        at = (repository.name, digest)
        if model.tags_of.get(at) or model.indexes_of.get(at):
            continue
        manifest = model.manifests.get(digest)
        if manifest is None or manifest.state is State.MISSING:
            continue  # RG04
        if manifest.subject is not None:
            belonging.setdefault(repository.name, []).append(digest)
            continue
        if repository.name not in histories:
            histories[repository.name] = _history(repository)
        was = histories[repository.name].get(digest, ())
        remark = f"; it once was {some(f'{repository.name}:{tag}' for tag in was)}" if was else ""
        unsure = repository.name in lost
        remark += "; a damaged tag of this repository may mean it" if unsure else ""
        yield findings.make(
            "RG13",
            revision_link(repository, digest),
            f"no tag of {repository.name} means {digest}, and no index names it{remark}",
            at=[at],
            size=owners.own_of(repository.name, digest),
            severity=Severity.INFORMATION if unsure else None,
        )
    for name, digests in belonging.items():
        repository = model.repositories[name]
        verb = "belongs" if len(digests) == 1 else "belong"
        yield findings.make(
            "RG19",
            f"{repository.path}/{MODERN.manifests}/{REVISIONS}",
            f"{counted(len(digests), 'manifest')} of {name} without a tag {verb} to other manifests by their subject",
            at=[(name, digest) for digest in digests],
        )


def _history(repository: Repository) -> dict[str, list[str]]:
    """Digest → the tags that once meant it."""
    found: dict[str, list[str]] = {}
    for tag in repository.tags.values():
        for digest in tag.history:
            found.setdefault(digest, []).append(tag.name)
    return found


def _tags_unknown(repository: Repository) -> bool:
    """Whether a tag's damage leaves open which manifest it means."""
    return any(not tag.problem and tag.current.target is None for tag in repository.tags.values())
