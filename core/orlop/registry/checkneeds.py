"""What manifests need and do not find as they should: one pass over all of them, for several rules."""

from dataclasses import dataclass, field

from orlop.registry.checkfinding import Findings, Place, missing
from orlop.registry.model import Link, Model, Repository, State


@dataclass(slots=True)
class Shortfall:
    """By what is wrong; every mapping is by digest or by repository and digest."""

    lost: dict[str, dict[Place, None]] = field(default_factory=dict)
    """Blobs that are not there → who needs them."""
    lost_sizes: dict[str, int | None] = field(default_factory=dict)
    """Their sizes, as a manifest says."""
    unlinked: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """Repository → blobs that are there and have no link in it → manifests that need them."""
    by_link: dict[Place, list[str]] = field(default_factory=dict)
    """Repository and digest of a link that is not plain → manifests that need it."""
    sized_otherwise: dict[str, dict[Place, int]] = field(default_factory=dict)
    """Blobs → who says that they have another size, and which."""


def shortfall(model: Model, findings: Findings) -> Shortfall:
    """Look at all that the manifests of `Findings.readable` need."""
    found = Shortfall()
    blobs = model.blobs
    for repository, manifest in findings.readable():
        links = repository.layers
        for need in manifest.needs:
            digest = need.digest
            link = links.get(digest)
            blob = blobs.get(digest)
            if (
                link is not None
                and blob is not None
                and link.target == digest
                and blob.state is State.GOOD
                and (need.size == blob.size or need.size is None)
            ):
                continue  # as nearly all are
            _note(model, found, repository, link, manifest.digest, digest, need.size, need.foreign)
    return found


def _note(
    model: Model,
    found: Shortfall,
    repository: Repository,
    link: Link | None,
    user: str,
    digest: str,
    size: int | None,
    foreign: bool,
) -> None:
    at = (repository.name, user)
    served = link.target if link is not None and link.target is not None else digest
    if missing(model, served):
        if not foreign:
            found.lost.setdefault(served, {})[at] = None
            found.lost_sizes.setdefault(served, size)
    elif link is None and not foreign:
        found.unlinked.setdefault(repository.name, {}).setdefault(digest, []).append(user)
    if link is not None and link.target != digest:
        found.by_link.setdefault((repository.name, digest), []).append(user)
    blob = model.blobs.get(digest) or model.blobs.get(served)
    if blob is not None and size is not None and size != blob.size and blob.state is State.GOOD:
        found.sized_otherwise.setdefault(blob.digest, {})[at] = size
