"""What a digest, name or folder of a registry is, and the references that keep it."""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from orlop import times
from orlop.digest import ALGORITHMS
from orlop.errors import Ambiguous, NotFound
from orlop.fs import Root
from orlop.records import Key, Link, Why
from orlop.registry import place
from orlop.registry.faults import DEEPEST
from orlop.registry.model import Model, Repository, State, Tag, Upload, What

_MANY = 20
"""Chains of references that are spelled out at most."""
_MOST = 1000
"""Chains that are looked for at most: indexes that name each other in many ways have more than can be counted."""
_SHORTEST_UPLOAD = len("0f6a1c2e-5b7d")
"""Characters of an upload's id that may stand for all of it: fewer could be digits of a digest."""
_HEX = re.compile(r"[0-9a-f]{2,128}", re.ASCII)

_Chain = tuple[Link, ...]


def why(root: Root, model: Model, subject: str) -> Why:
    """Answer for a digest, a tag, a repository, an upload, or a path of the store.

    A digest may be given without its algorithm and cut to two digits or more; a tag as
    ``repository:tag``, a manifest as ``repository@digest``, an upload by its UUID; a path
    absolute or relative to the root, at any depth, its last name cut short. What is no
    longer there is answered from the journal of changes.

    Raises:
        NotFound: the store knows nothing of it.
        Ambiguous: the start of several digests.
        NoPermission, StorageFailure: the place cannot be looked at.
    """
    from orlop import asked  # with it comes what writes files, which looking at a store does not need
    from orlop.registry import whypath

    repository, at, digest = subject.rpartition("@")
    if at and repository in model.repositories:
        return _digest(model, _whole(model, digest), model.repositories[repository])
    named = _tag_named(model, subject) or _repository_named(model, subject) or _upload_named(model, subject)
    if named is not None:
        return named
    path = asked.path_in(root, subject)
    if path is not None:
        path = whypath.whole(root, path)
        answer = asked.in_own_folder(root, path) or whypath.stray(model, path) or _at_path(model, path)
        if answer is not None:
            return answer
    try:
        return _digest(model, _whole(model, subject), None)
    except NotFound:
        answer = None if path is None else whypath.at(root, model, path)
        answer = answer or asked.gone(root, subject)
        if answer is None:
            raise
        return answer


# --- names -------------------------------------------------------------------


def _tag_named(model: Model, text: str) -> Why | None:
    at = text.rfind(":")
    while at > 0:
        repository = model.repositories.get(text[:at])
        if repository is not None and (tag := repository.tags.get(text[at + 1 :])) is not None:
            return _tag(repository, tag)
        at = text.rfind(":", 0, at)
    return None


def _tag(repository: Repository, tag: Tag) -> Why:
    target = tag.current.target
    related = {"repository": repository.name, "meant before": ", ".join(sorted(set(tag.history) - {target or ""}))}
    if target is not None:
        related["manifest"] = target
    return Why(
        subject=f"{repository.name}:{tag.name}",
        is_a=(f"tag of manifest {target}" if target is not None else "tag that means nothing",),
        kept_by=((_tag_link(repository.name, tag),),),
        related={name: value for name, value in related.items() if value},
        remark=tag.problem or ("" if target is not None else f"its link: {tag.current.why}"),
    )


def _repository_named(model: Model, text: str) -> Why | None:
    repository = model.repositories.get(text)
    return None if repository is None else _repository(repository)


def _repository(repository: Repository) -> Why:
    kept: list[_Chain] = [(_tag_link(repository.name, repository.tags[name]),) for name in sorted(repository.tags)]
    if not kept:
        kept = [
            (Link(what=f"manifest {link.named}", path=link.path, key=Key(repository.name, link.named, None)),)
            for _, link in sorted(repository.revisions.items())
        ]
    kept += [(_upload_link(upload),) for _, upload in sorted(repository.uploads.items())]
    related = {
        "folder": repository.path,
        "tags": str(len(repository.tags)),
        "manifests": str(len(repository.revisions)),
        "links to layers": str(len(repository.layers)),
        "uploads": str(len(repository.uploads)),
        "repositories below it": ", ".join(repository.nested),
    }
    return _why(
        repository.name,
        ("repository",),
        kept,
        {name: value for name, value in related.items() if value},
        "it has no tag, no manifest and no upload: the registry lists it all the same",
    )


def _upload_named(model: Model, text: str) -> Why | None:
    for repository in model.repositories.values():
        if text in repository.uploads:
            return _upload(repository, repository.uploads[text])
    if len(text) < _SHORTEST_UPLOAD:
        return None
    found = [
        (repository, upload)
        for repository in model.repositories.values()
        for upload in repository.uploads.values()
        if upload.id.startswith(text)
    ]
    return _upload(*found[0]) if len(found) == 1 else None


def _upload(repository: Repository, upload: Upload) -> Why:
    related = {"repository": repository.name, "folder": upload.path, "size": f"{upload.size} bytes"}
    if upload.started is not None:
        related["started"] = times.rfc3339(upload.started)
    if upload.changed:
        related["last written"] = times.rfc3339(upload.changed)
    remark = "nothing refers to it; its client may go on with it, until the registry or somebody purges it"
    return Why(
        subject=upload.id,
        is_a=("upload in progress",),
        kept_by=(),
        related=related,
        remark=f"{remark}; {upload.started_problem}" if upload.started_problem else remark,
    )


# --- paths -------------------------------------------------------------------


def _at_path(model: Model, path: str) -> Why | None:
    """What a path leads to; None where it is none of the store's."""
    blobs = place.blobs(model.base)
    if path.startswith(f"{blobs}/"):
        parts = path[len(blobs) + 1 :].split("/")
        return _known(model, f"{parts[0]}:{parts[2]}", None) if len(parts) >= 3 else None
    repositories = place.repositories(model.base)
    if not path.startswith(f"{repositories}/"):
        return None
    below = path[len(repositories) + 1 :]
    owner = _owner(model, below)
    if owner is None:
        return None
    rest = below[len(owner.name) + 1 :].split("/") if below != owner.name else []
    return _in_repository(model, owner, rest)


def _owner(model: Model, below: str) -> Repository | None:
    """The repository in whose folder a path is: the longest name that fits."""
    name = below
    while name:
        if name in model.repositories:
            return model.repositories[name]
        name = name.rpartition("/")[0]
    return None


def _in_repository(model: Model, repository: Repository, rest: list[str]) -> Why | None:
    from orlop.registry.whypath import as_link

    match rest:
        case []:
            return _repository(repository)
        case ["_uploads", identity, *_] if identity in repository.uploads:
            return _upload(repository, repository.uploads[identity])
        case ["_manifests", "tags", tag, "index", algorithm, digits, *_] if tag in repository.tags:
            found = _known(model, f"{algorithm}:{digits}", repository)
            return found and as_link(found, repository, rest)
        case ["_manifests", "tags", tag, *_] if tag in repository.tags:
            return _tag(repository, repository.tags[tag])
        case ["_manifests", "revisions", algorithm, digits, *_] | ["_layers", algorithm, digits, *_]:
            found = _known(model, f"{algorithm}:{digits}", repository)
            return found and as_link(found, repository, rest)
        case ["_manifests" | "_layers" | "_uploads", *_]:
            return _repository(repository)
    return None


def _known(model: Model, digest: str, only: Repository | None) -> Why | None:
    try:
        return _digest(model, digest, only)
    except NotFound:
        return None


# --- digests -----------------------------------------------------------------


def _whole(model: Model, text: str) -> str:
    """The digest that a text is, or is the start of.

    Raises:
        NotFound, Ambiguous
    """
    algorithm, colon, digits = text.rpartition(":")
    found: set[str] = set()
    if _HEX.fullmatch(digits) is not None and (not colon or algorithm in ALGORITHMS):
        prefixes = (text,) if colon else tuple(f"{name}:{digits}" for name in ALGORITHMS)
        found = {digest for digest in _digests(model) if digest.startswith(prefixes)}
    if not found:
        raise NotFound(
            f"the store knows nothing of {text!r}",
            do="give a digest, repository:tag, repository@digest, a repository, an upload's UUID, or a path",
        )
    if len(found) > 1:
        raise Ambiguous(text, sorted(found), do="give more digits of the digest")
    return found.pop()


def _digests(model: Model) -> Iterator[str]:
    """Every digest that anything in the store names."""
    yield from model.blobs
    yield from model.manifests
    yield from model.configs
    yield from model.users_of
    for config in model.configs.values():
        yield from config.diff_ids
    for repository in model.repositories.values():
        yield from repository.revisions
        yield from repository.layers
        yield from repository.deleted_revisions
        yield from repository.deleted_layers
        for tag in repository.tags.values():
            yield from tag.history


def _digest(model: Model, digest: str, only: Repository | None) -> Why:
    """Everything that a digest is; for one repository, what keeps it there.

    Raises:
        NotFound: nothing has or names it.
    """
    is_a: list[str] = []
    manifest = model.manifests.get(digest)
    if manifest is not None:
        is_a.append("manifest that is missing" if manifest.state is State.MISSING else f"manifest: {manifest.what}")
    if digest in model.configs:
        is_a.append("config of an image")
    if any(not _is_config(model, user, digest) for user in model.users_of.get(digest, ())):
        is_a.append("layer")
    pairs = sorted(_of_diff_id(model, digest))
    if pairs:
        is_a.append("diff id of a layer")
    if digest in model.blobs and not is_a:
        is_a.append("blob that no manifest names")
    once = list(_once(model, digest))
    if once and manifest is None:
        is_a.append("manifest that tags once meant")
    if not is_a:
        if digest not in set(_digests(model)):
            raise NotFound(f"the store knows nothing of {digest}")
        is_a.append("digest that only links name")
    kept = list(dict.fromkeys(islice(_kept(model, digest, only), _MOST)))
    for layer in pairs:
        kept += [chain for chain in islice(_kept(model, layer, only), _MOST) if chain not in kept]
    related = _related(model, digest, pairs)
    remark = "" if kept else _unkept(model, digest)
    if once and not kept:
        remark = f"{remark}; tags meant it once: {', '.join(once[:5])}"
    return replace(_why(digest, tuple(is_a), kept, related, remark), judged=bool(kept) or _is_certain(remark))


def _unkept(model: Model, digest: str) -> str:
    from orlop.registry.whypath import unkept

    return unkept(model, digest)


def _is_certain(remark: str) -> bool:
    from orlop.registry.whypath import is_certain

    return is_certain(remark)


def _is_config(model: Model, user: str, digest: str) -> bool:
    config = model.manifests[user].config
    return config is not None and config.digest == digest


def _of_diff_id(model: Model, digest: str) -> set[str]:
    """Layer blobs that a diff id stands for."""
    found: set[str] = set()
    holding = {config.digest for config in model.configs.values() if digest in config.diff_ids}
    if not holding:
        return found
    for manifest in model.manifests.values():
        if manifest.what is What.IMAGE and manifest.config is not None and manifest.config.digest in holding:
            diff_ids = model.configs[manifest.config.digest].diff_ids
            if len(diff_ids) == len(manifest.layers):
                found |= {layer.digest for diff, layer in zip(diff_ids, manifest.layers, strict=True) if diff == digest}
    return found


def _once(model: Model, digest: str) -> Iterator[str]:
    for repository in model.repositories.values():
        for name, tag in sorted(repository.tags.items()):
            if digest in tag.history and tag.current.target != digest:
                yield f"{repository.name}:{name}"


def _related(model: Model, digest: str, layers: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    blob = model.blobs.get(digest)
    if blob is not None:
        found["data"] = place.blob_data(model.base, digest)
        found["size"] = f"{blob.size} bytes"
    if layers:
        found["layer"] = ", ".join(layers)
    diff_ids = sorted(_diff_ids_of(model, digest))
    if diff_ids:
        found["diff id"] = ", ".join(diff_ids)
    repositories = model.repositories_of.get(digest, ())
    if repositories:
        found["known in"] = _listed(repositories)
    links = model.linked_in.get(digest, ())
    if links:
        found["linked in"] = _listed(links)
    manifest = model.manifests.get(digest)
    if manifest is not None and manifest.subject is not None:
        found["belongs to"] = manifest.subject.digest
    return found


def _diff_ids_of(model: Model, digest: str) -> set[str]:
    found: set[str] = set()
    for user in model.users_of.get(digest, ()):
        manifest = model.manifests[user]
        config = model.configs.get(manifest.config.digest) if manifest.config is not None else None
        if config is not None and len(config.diff_ids) == len(manifest.layers):
            pairs = zip(config.diff_ids, manifest.layers, strict=True)
            found |= {diff_id for diff_id, layer in pairs if layer.digest == digest}
    return found


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


# --- chains ------------------------------------------------------------------


def _kept(model: Model, digest: str, only: Repository | None) -> Iterator[_Chain]:
    """Chains that keep a digest: as a manifest, and as what manifests need."""
    repositories = model.repositories.values() if only is None else (only,)
    for repository in repositories:
        yield from _manifest_chains(model, repository, digest, ())
    data = Link(what=f"blob {digest}", path=place.blob_data(model.base, digest) if digest in model.blobs else None)
    for user in model.users_of.get(digest, ()):
        what = "config" if _is_config(model, user, digest) else "layer"
        for repository in repositories:
            link = repository.layers.get(digest)
            last = (Link(what=f"{what} {digest}", path=link.path),) if link is not None else (data,)
            for chain in _manifest_chains(model, repository, user, ()):
                yield (*chain, *last)


def _manifest_chains(model: Model, repository: Repository, digest: str, seen: tuple[str, ...]) -> Iterator[_Chain]:
    """What keeps a manifest in a repository: its tags, the indexes that name it, the manifest that it belongs to.

    A revision that none of these keeps is kept by its own link.
    """
    revision = repository.revisions.get(digest)
    tags = model.tags_of.get((repository.name, digest), ())
    if (revision is None and not tags) or digest in seen or len(seen) > DEEPEST:
        return
    key = Key(repository.name, digest, None)
    own = Link(what=f"manifest {digest}", path=revision.path if revision is not None else None, key=key)
    found = False
    for tag in tags:
        found = True
        yield (_tag_link(repository.name, repository.tags[tag]), own)
    for index in model.indexes_of.get((repository.name, digest), ()):
        for chain in _manifest_chains(model, repository, index, (*seen, digest)):
            found = True
            yield (*chain, own)
    manifest = model.manifests.get(digest)
    if manifest is not None and manifest.subject is not None:
        for chain in _manifest_chains(model, repository, manifest.subject.digest, (*seen, digest)):
            found = True
            yield (*chain, own)
    if not found:
        yield (Link(what=f"manifest {digest} of {repository.name}, which has no tag", path=own.path, key=key),)


def _tag_link(repository: str, tag: Tag) -> Link:
    name = f"{repository}:{tag.name}"
    return Link(what=f"tag {name}", path=tag.current.path, key=Key(repository, tag.current.target or "", name))


def _upload_link(upload: Upload) -> Link:
    return Link(what=f"upload {upload.id}", path=upload.path)


def _why(subject: str, is_a: tuple[str, ...], kept: list[_Chain], related: dict[str, str], nothing: str) -> Why:
    remark = nothing if not kept else f"and {len(kept) - _MANY} more references" if len(kept) > _MANY else ""
    return Why(subject=subject, is_a=is_a, kept_by=tuple(kept[:_MANY]), related=related, remark=remark)
