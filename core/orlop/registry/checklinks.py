"""Findings on links: what tags mean, which manifests and layers a repository knows."""

from collections.abc import Iterator

from orlop.digest import ALGORITHMS
from orlop.errors import OrlopError
from orlop.finding import Repair, Severity
from orlop.fs import Root
from orlop.registry import place
from orlop.registry.checkfinding import (
    BLOB_UNKNOWN,
    FORMAT,
    MANIFEST_UNKNOWN,
    STOPPED_AT_MANIFEST,
    Findings,
    Found,
    Place,
    complaint,
    counted,
    good,
    missing,
    reads_well,
    some,
    spelled,
)
from orlop.registry.checkmanifests import revision_link, unreadable
from orlop.registry.checkneeds import Shortfall
from orlop.registry.layout import LINK, MODERN, SIGNATURES
from orlop.registry.linkfolders import meaning
from orlop.registry.model import Link, Model, Repository, State, Tag

_READ = 1024
_BROKEN = (State.EMPTY, State.MALFORMED, State.TOO_LARGE)
"""What the registry reads and cannot take for a digest."""
_FROM_NOTHING = "nothing is known that it meant"


def _says(root: Root, link: Link) -> str:
    """What the registry says of a link that is not good."""
    if link.state is State.EMPTY:
        return FORMAT
    if link.state is State.WRONG_KIND:
        return f"filesystem: read {spelled(link.path)}: is a directory" if "folder" in link.why else ""
    if link.state in _BROKEN:
        try:
            return complaint(root.read(link.path, _READ))
        except OrlopError:
            return FORMAT  # too large to be a digest, or gone since
    return ""


# --- tags --------------------------------------------------------------------


def tags(root: Root, model: Model, findings: Findings) -> Iterator[Found]:
    """RG08, RG09 and RG10."""
    for repository in model.repositories.values():
        unknown: dict[str, list[str]] = {}
        for tag in repository.tags.values():
            if tag.problem or model.unseen(tag.current.path):
                continue  # RG18; a note
            if tag.current.target is None:
                yield _unresolvable(root, model, findings, repository, tag)
            elif repository.revisions.get(tag.current.target) is None:
                unknown.setdefault(tag.current.target, []).append(tag.name)
            yield from _history(model, findings, repository, tag)
        for digest, names in unknown.items():
            if not model.unseen(revision_link(repository, digest)):
                yield _unknown(model, findings, repository, digest, names)


def _unresolvable(root: Root, model: Model, findings: Findings, repository: Repository, tag: Tag) -> Found:
    name = f"{repository.name}:{tag.name}"
    candidates = _candidates(repository, tag)
    said = _words(candidates)
    repair = (Repair.REMOVE, Repair.REBUILD)[len(candidates)] if len(candidates) < 2 else Repair.LOSSY
    likely = candidates if len(candidates) == 1 else []
    link = tag.current
    if link.state is State.MISSING:
        return findings.make(
            "RG09",
            link.path,
            f"the tag {name} does not say what it means: {said}",
            images=likely,
            names=[name],
            says=MANIFEST_UNKNOWN,
            repair=repair,
        )
    says = _says(root, link)
    stops = bool(says and repository.revisions)
    severity = Severity.BLOCKS if stops else Severity.UNUSABLE
    if link.state is State.UNREADABLE:
        severity = unreadable(link.why)
    return findings.make(
        "RG08",
        link.path,
        f"what the tag {name} means cannot be read: {link.why}; {said}",
        images=likely,
        names=[name],
        says=says,
        severity=severity,
        repair=repair,
    )


def _candidates(repository: Repository, tag: Tag) -> list[str]:
    """What a tag's history names and the repository still knows, newest first."""
    known = [link for digest, link in tag.history.items() if digest in repository.revisions]
    return [link.named for link in sorted(known, key=lambda link: (-link.mtime, link.named))]


def _words(candidates: list[str]) -> str:
    if not candidates:
        return f"its history names no manifest that is still known, so {_FROM_NOTHING}"
    if len(candidates) == 1:
        return f"its history names {candidates[0]} and nothing else that is still known"
    return f"its history names {len(candidates)} manifests that are still known, {candidates[0]} the newest"


def _history(model: Model, findings: Findings, repository: Repository, tag: Tag) -> Iterator[Found]:
    """Bad links in a tag's history: the registry never reads them, only their names."""
    for digest, link in tag.history.items():
        if good(link) or link.state is State.MISSING or model.unseen(link.path):
            continue
        yield findings.make(
            "RG08",
            link.path,
            f"the history of the tag {repository.name}:{tag.name} has a link to {digest} that cannot be used: "
            f"{link.why or 'it names something else'}",
            names=[f"{repository.name}:{tag.name}"],
            severity=Severity.INFORMATION,
            title="tag-history-link-invalid",
        )


def _unknown(model: Model, findings: Findings, repository: Repository, digest: str, tags: list[str]) -> Found:
    path = revision_link(repository, digest)
    verb = "means" if len(tags) == 1 else "mean"
    detail = f"{some(f'{repository.name}:{tag}' for tag in tags)} {verb} {digest}, which the repository does not know"
    severity = None
    if missing(model, digest):
        detail += ", and its blob is not there"
        repair = Repair.REMOVE
    elif reads_well(model.manifests.get(digest)):
        detail += "; its blob is there and has that digest"
        repair = Repair.REBUILD
    else:
        detail += "; its blob is there and is no such manifest"
        repair = Repair.REMOVE
    if model.cache is not None:
        detail += "; this cache fetches it again when it is asked for"
        severity = Severity.INFORMATION
    at = [(repository.name, digest)]
    return findings.make("RG10", path, detail, at=at, says=MANIFEST_UNKNOWN, severity=severity, repair=repair)


# --- revisions ---------------------------------------------------------------


def revisions(root: Root, model: Model, findings: Findings) -> Iterator[Found]:
    """RG11: links of manifests, and those of the signatures that early registries kept below them."""
    for repository in model.repositories.values():
        for digest, link in repository.revisions.items():
            if link.target != digest and not model.unseen(link.path):
                yield _revision(root, model, findings, repository, digest, link)
        for digest in sorted(repository.signatures):
            yield from _signatures(root, findings, repository, digest)


def _revision(root: Root, model: Model, findings: Findings, repository: Repository, digest: str, link: Link) -> Found:
    severity = Severity.BLOCKS if link.state in _BROKEN else Severity.UNUSABLE
    says = _says(root, link)
    if link.state is State.UNREADABLE:
        severity = unreadable(link.why)
    if link.target is None:
        detail = f"the link of manifest {digest} in {repository.name} cannot be used: {link.why}"
        if severity is Severity.BLOCKS:
            says = f"{STOPPED_AT_MANIFEST}{says}"
    else:
        detail = f"the link of manifest {digest} in {repository.name} leads to {link.target}"
        target = model.manifests.get(link.target)
        if missing(model, link.target):
            says = MANIFEST_UNKNOWN
        elif link.target in model.blobs and (target is None or target.state is not State.GOOD):
            severity = Severity.BLOCKS  # garbage collection reads whatever the link leads to
            says = f"{STOPPED_AT_MANIFEST}failed to retrieve manifest for digest {link.target}"
    repair = Repair.REMOVE if missing(model, digest) else Repair.REBUILD
    at = [(repository.name, digest)]
    return findings.make("RG11", link.path, detail, at=at, says=says, severity=severity, repair=repair)


def _signatures(root: Root, findings: Findings, repository: Repository, digest: str) -> Iterator[Found]:
    """Nothing reads the signatures of 2.0 to 2.4 any more, but garbage collection parses every link below."""
    top = revision_link(repository, digest).removesuffix(LINK) + SIGNATURES
    try:
        folders = [
            f"{top}/{algorithm}/{name}"
            for algorithm in root.names(top)
            if algorithm in ALGORITHMS
            for name in root.names(f"{top}/{algorithm}")
        ]
    except OrlopError:
        return  # gone since, or no folder: nothing that the registry would parse
    for folder in folders:
        path = f"{folder}/{LINK}"
        try:
            content = root.read(path, _READ)
        except OrlopError:
            continue
        if meaning(content)[1] is None:
            yield findings.make(
                "RG11",
                path,
                f"the link of a signature of {digest} in {repository.name} holds no digest; nothing reads it, "
                "and garbage collection stops at it",
                at=[(repository.name, digest)],
                says=f"{STOPPED_AT_MANIFEST}{complaint(content)}",
                title="signature-link-invalid",
            )


# --- layers ------------------------------------------------------------------


def layers(root: Root, model: Model, findings: Findings, short: Shortfall) -> Iterator[Found]:
    """RG12: links that are wrong, and links that are not there where a manifest needs them."""
    for repository in model.repositories.values():
        for digest, link in repository.layers.items():
            if not good(link) and not model.unseen(link.path):
                who = short.by_link.get((repository.name, digest), ())
                yield _layer(root, model, findings, link, [(repository.name, user) for user in who])
        if repository.name in short.unlinked:
            yield from _absent(model, findings, repository, short.unlinked[repository.name])


def _layer(root: Root, model: Model, findings: Findings, link: Link, at: list[Place]) -> Found:
    severity = None
    says = _says(root, link)
    if link.state is State.UNREADABLE:
        severity = unreadable(link.why)
    if link.target is not None:
        detail = f"the link to {link.named} leads to {link.target}: its bytes are served instead"
    else:
        detail = f"the link to {link.named} cannot be used: {link.why}"
    repair = Repair.REBUILD
    if missing(model, link.named):
        detail += "; that blob is not there either"
        repair = Repair.REMOVE
    return findings.make("RG12", link.path, detail, at=at, says=says, severity=severity, repair=repair)


def _absent(model: Model, findings: Findings, repository: Repository, absent: dict[str, list[str]]) -> Iterator[Found]:
    top = f"{repository.path}/{MODERN.layers}"
    if not absent or model.cache is not None or model.unseen(top):
        return
    if not repository.layers and len(absent) > 1:
        at = dict.fromkeys((repository.name, user) for users in absent.values() for user in users)
        detail = f"the links of {repository.name} to {counted(len(absent), 'layer')} that its manifests need are gone"
        if not repository.has_layers:
            detail += "; garbage collection of 2.x passes over a repository without this folder, and deletes its blobs"
        yield findings.make("RG12", top, detail, at=at, says=BLOB_UNKNOWN)
        return
    for digest, users in sorted(absent.items()):
        algorithm, _, hexadecimal = digest.partition(":")
        path = f"{top}/{algorithm}/{hexadecimal}/{LINK}"
        if model.unseen(path):
            continue
        detail = f"{repository.name} has no link to {digest}, which its manifests need"
        if digest in repository.deleted_layers:
            detail += "; the link's folder is there and empty, as a deletion over the API leaves it"
        yield findings.make("RG12", path, detail, at=[(repository.name, user) for user in users], says=BLOB_UNKNOWN)


# --- blobs that links lead to --------------------------------------------------


def lost_blobs(model: Model, findings: Findings, short: Shortfall) -> Iterator[Found]:
    """RG05: blobs that are not there and that some manifest needs, each once for all who need it."""
    if model.cache is not None:
        return  # what was not asked for yet, or has expired, is fetched when it is
    for digest, at in sorted(short.lost.items()):
        path = place.blob_data(model.base, digest)
        if model.unseen(path):
            continue
        others = len({where for where, _ in at})
        detail = f"{digest} is not there, and {counted(len(at), 'manifest')} "
        detail += f"in {counted(others, 'repository', 'repositories')} {'needs' if len(at) == 1 else 'need'} it"
        yield findings.make("RG05", path, detail, at=at, says=BLOB_UNKNOWN, size=short.lost_sizes[digest])
