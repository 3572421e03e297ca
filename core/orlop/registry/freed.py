"""What the deletion of a set of rows frees in a registry, once it is cleaned."""

from collections.abc import Iterable

from orlop.records import Key
from orlop.registry.model import Manifest, Model
from orlop.registry.removal import going


def freed(model: Model, keys: Iterable[Key]) -> int:
    """Bytes of the blobs that only manifests need which go with these rows; a row that is gone counts nothing.

    A manifest that another repository keeps stays, and all that it needs. Deleting leaves the
    blobs, as the engine does: they go when the registry is cleaned.
    """
    gone = going(model, [key for key in keys if _is_there(model, key)])
    lost = {digest for _, digest in gone if all((name, digest) in gone for name in _homes(model, digest))}
    manifests = [found for digest in lost if (found := model.manifests.get(digest)) is not None]
    return sum(model.blobs[digest].size for digest in _free(model, lost, manifests) if digest in model.blobs)


def _free(model: Model, lost: set[str], manifests: Iterable[Manifest]) -> set[str]:
    needed = {need.digest for manifest in manifests for need in manifest.needs}
    users = model.users_of
    return lost | {digest for digest in needed if lost.issuperset(users.get(digest, ())) and not _homes(model, digest)}


def _homes(model: Model, digest: str) -> tuple[str, ...]:
    """Repositories that know a digest as a manifest."""
    return model.repositories_of.get(digest, ())


def _is_there(model: Model, key: Key) -> bool:
    repository = model.repositories.get(key.scope)
    if repository is None:
        return False
    if key.name is None:
        return key.id in repository.revisions or bool(model.tags_of.get((repository.name, key.id)))
    tag = repository.tags.get(key.name.removeprefix(f"{key.scope}:"))
    return tag is not None and tag.current.target in (None, key.id)
