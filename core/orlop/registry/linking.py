"""What a repository must link to serve a manifest: its layers and config, the manifests of an index, itself.

distribution: ``registry/storage/linkedblobstore.go``. A blob is served only to a
repository that links it; a manifest only where it is a revision.
"""

from collections.abc import Iterator

from orlop.registry.model import Manifest, Model, Repository, State, What
from orlop.registry.planning import Steps, layer_link, repository_path, revision_link


class Mount:
    """Lets one repository serve manifests whose blobs are in the store; nothing is made twice."""

    def __init__(self, steps: Steps, name: str) -> None:
        self._steps = steps
        self._model = steps.model
        self.name = name
        self._path = repository_path(steps.model, name)
        self._known = steps.model.repositories.get(name)
        self._done: set[str] = set()

    def layer(self, digest: str, because: str, target: str | None = None) -> None:
        """Let it serve a blob."""
        link = self._known.layers.get(digest) if self._known is not None else None
        if link is not None and link.state is State.GOOD:
            return
        path = layer_link(self._path, digest)
        if path not in self._done and self._steps.link(path, target or digest, link):
            self._done.add(path)
            self._steps.say("add", f"link to {digest} in {self.name}", because)

    def revision(self, digest: str, because: str) -> None:
        """Let it know a manifest."""
        link = self._known.revisions.get(digest) if self._known is not None else None
        path = revision_link(self._path, digest)
        if path not in self._done and self._steps.link(path, digest, link):
            self._done.add(path)
            self._steps.say("add", f"manifest {digest} in {self.name}", because)


def mount(steps: Steps, source: Repository, manifest: Manifest, target: str) -> None:
    """Let another repository serve what one serves: layers, then manifests, an index after what it names."""
    to = Mount(steps, target)
    because = f"as in {source.name}, for {manifest.digest}"
    parts = [*_children(steps.model, manifest), manifest]
    for part in parts:
        for need in part.needs:
            served = resolved(source, need.digest)
            if served in steps.model.blobs:
                to.layer(need.digest, because, served)
    for part in parts:
        to.revision(part.digest, because)


def unservable(model: Model, repository: Repository, digest: str, *, whole: bool) -> Iterator[str]:
    """Why a repository cannot serve a manifest, each one clause; nothing where it can.

    Args:
        model: the store.
        repository: the one that knows it.
        digest: of the manifest.
        whole: whether every manifest of an index must be there; some are pushed for a few platforms only.
    """
    manifest = model.manifests.get(digest)
    if manifest is None or manifest.state is not State.GOOD:
        yield wrong(manifest, digest)
        return
    if model.cache is not None:
        return  # what is not there is fetched when it is asked for
    for need in manifest.needs:
        if not need.foreign and not _there(model, resolved(repository, need.digest)):
            yield f"{digest} needs {need.digest}, which is not in the store"
    for child in manifest.children:
        link = repository.revisions.get(child.digest)
        if link is not None and link.target == child.digest:
            found = model.manifests.get(child.digest)
            if found is not None and found.what is What.INDEX:
                yield f"{digest} names the index {child.digest}, and Orlop does not follow indexes in indexes"
            else:
                yield from unservable(model, repository, child.digest, whole=whole)
        elif whole:
            yield f"{digest} names {child.digest}, which {repository.name} does not know"


def wrong(manifest: Manifest | None, digest: str) -> str:
    """Why the bytes of a manifest cannot be relied on, one clause."""
    if manifest is None or manifest.state is State.MISSING:
        return f"the manifest {digest} is not in the store"
    return f"the manifest {digest} is {manifest.state}: {manifest.why}"


def resolved(repository: Repository, digest: str) -> str:
    """The blob that a repository serves under a digest: what its link says, else the digest itself."""
    link = repository.layers.get(digest)
    return link.target if link is not None and link.target is not None else digest


def _there(model: Model, digest: str) -> bool:
    blob = model.blobs.get(digest)
    return blob is not None and blob.state is State.GOOD


def _children(model: Model, manifest: Manifest) -> Iterator[Manifest]:
    for child in manifest.children:
        found = model.manifests.get(child.digest)
        if found is not None:
            yield found
