"""Mappings, remote records and uploads of a registry."""

from collections.abc import Iterator, Sequence

from orlop.records import Key, Mapping, Remote, Upload
from orlop.registry import layout, place
from orlop.registry.faults import short
from orlop.registry.model import CacheEntry, Config, Descriptor, Manifest, Model, State, What

# --- mappings ----------------------------------------------------------------


def mappings(model: Model, key: Key | None) -> tuple[Mapping, ...]:
    """Diff ids and layer digests, as config and manifest pair them.

    One record for each repository that links the blob, one without a source where none does. Of
    one image they are in the order of its layers, bottom first; of an index those of its
    images; of the whole store by diff id.
    """
    chosen = _all(model) if key is None else _images(model, key.id)
    pairs: dict[tuple[str, str], tuple[Descriptor, str]] = {}
    images: dict[tuple[str, str], list[str]] = {}
    for manifest in chosen:
        for diff_id, layer, problem in paired(model, manifest):
            pair = (diff_id, layer.digest)
            pairs.setdefault(pair, (layer, problem))
            images.setdefault(pair, []).append(manifest.digest)
    diff_ids: dict[str, set[str]] = {}
    for diff_id, digest in pairs:
        diff_ids.setdefault(digest, set()).add(diff_id)
    wanted = sorted(pairs) if key is None else list(pairs)
    return tuple(
        record
        for pair in wanted
        for record in _mapping(model, pair, *pairs[pair], tuple(images[pair]), diff_ids[pair[1]])
    )


def paired(model: Model, manifest: Manifest) -> Iterator[tuple[str, Descriptor, str]]:
    """(diff id, layer, what is wrong) of each layer of an image, bottom first; an empty diff id where none is known."""
    if manifest.what is not What.IMAGE or manifest.config is None:
        return
    config = model.configs.get(manifest.config.digest)
    diff_ids = config.diff_ids if config is not None else ()
    problem = _pairing_problem(config, len(diff_ids), len(manifest.layers))
    for number, layer in enumerate(manifest.layers):
        yield diff_ids[number] if number < len(diff_ids) else "", layer, problem


def _pairing_problem(config: Config | None, diff_ids: int, layers: int) -> str:
    if config is None or config.state is State.MISSING:
        return "the config that names the diff ids is missing"
    if config.state is not State.GOOD:
        return f"the config that names the diff ids cannot be trusted: {config.why}"
    if diff_ids != layers:
        return f"the config names {diff_ids} diff ids, and the manifest {layers} layers"
    return ""


def _all(model: Model) -> list[Manifest]:
    return [model.manifests[digest] for digest in sorted(model.manifests)]


def _images(model: Model, digest: str) -> list[Manifest]:
    """The manifest, or of an index the manifests that it names, each once."""
    found: dict[str, Manifest] = {}
    pending = [digest]
    seen: set[str] = set()
    while pending:
        here = pending.pop(0)
        manifest = model.manifests.get(here)
        if manifest is None or here in seen:
            continue
        seen.add(here)
        if manifest.children:
            pending.extend(child.digest for child in manifest.children)
        else:
            found[here] = manifest
    return list(found.values())


def _mapping(
    model: Model,
    pair: tuple[str, str],
    layer: Descriptor,
    problem: str,
    images: tuple[str, ...],
    diff_ids: set[str],
) -> Iterator[Mapping]:
    diff_id, digest = pair
    blob = model.blobs.get(digest)
    reason = problem
    if blob is None and not layer.foreign:
        reason = "the blob is missing"
    elif blob is not None and blob.state is not State.GOOD:
        reason = f"the blob cannot be used: {blob.why}"
    elif not problem and len(diff_ids) > 1:
        reason = "configs name several diff ids for this blob"
    sources = model.linked_in.get(digest, ())
    unserved = not sources and not (layer.foreign and blob is None)
    for source in sources or ("",):
        yield Mapping(
            diff_id=diff_id,
            digest=digest,
            source=source,
            authenticated=False,
            images=images,
            layer_known=blob is not None,
            reverse=next(iter(diff_ids)) if len(diff_ids) == 1 else None,
            stale=bool(reason) or unserved,
            reason=reason or ("no repository links the blob, so that none serves it" if unserved else ""),
            path=_link_path(model, source, digest) or place.blob_data(model.base, digest),
        )


def _link_path(model: Model, repository: str, digest: str) -> str:
    """The link by which a repository serves a blob."""
    found = model.repositories.get(repository)
    if found is None:
        return ""
    link = found.layers.get(digest)
    if link is None:  # under another digest of the same bytes
        link = next((other for other in found.layers.values() if other.target == digest), None)
    return link.path if link is not None else ""


# --- remotes -----------------------------------------------------------------


def remotes(model: Model, key: Key | None) -> tuple[Remote, ...]:
    """Entries of a pull-through cache with their expiry; of one image, also where else in this registry it is known."""
    entries: Sequence[CacheEntry] = model.cache.entries if model.cache is not None else ()
    if key is not None:
        digests = _closure(model, key.id)
        entries = [
            entry
            for entry in entries
            if entry.repository in ("", key.scope) and (entry.digest in digests or not entry.digest)
        ]
    found = [_cached(model, entry) for entry in sorted(entries, key=lambda entry: entry.key)]
    if key is not None:
        found += _same_registry(model, key)
    return tuple(found)


def _closure(model: Model, digest: str) -> set[str]:
    """A manifest, all that it names, and what those need."""
    found: set[str] = set()
    pending = [digest]
    while pending:
        here = pending.pop()
        if here in found:
            continue
        found.add(here)
        manifest = model.manifests.get(here)
        if manifest is not None:
            found.update(needed.digest for needed in manifest.needs)
            pending.extend(child.digest for child in manifest.children)
    return found


def _cached(model: Model, entry: CacheEntry) -> Remote:
    repository = model.repositories.get(entry.repository)
    trouble = ""
    if entry.expires is None:
        trouble = "it says no time of expiry that can be read"
    if entry.digest and entry.digest not in model.blobs:
        trouble = "what it names is not in the cache"
    elif repository is None and entry.repository:
        trouble = "its repository is not in the cache"
    elif repository is not None and entry.digest:
        links = repository.revisions if entry.manifest else repository.layers
        if entry.digest not in links:
            trouble = "its repository has no link to it"
    return Remote(
        kind="pull-through cache",
        reference=entry.key,
        expires=entry.expires,
        fresh=None if entry.expires is None else entry.expires > model.seen_at,
        image=entry.digest if entry.manifest and entry.digest else None,
        image_known=entry.manifest and entry.digest in model.repositories_of,
        path=layout.SCHEDULER,
        trouble=trouble,
    )


def _same_registry(model: Model, key: Key) -> Iterator[Remote]:
    """Where other repositories know a manifest: their tags for it, or its digest in those that have none."""
    known = model.repositories_of.get(key.id, ())
    for name, repository in model.repositories.items():
        if name == key.scope:
            continue
        tags = model.tags_of.get((name, key.id), ())
        for tag in tags:
            yield _elsewhere(model, f"{name}:{tag}", key.id, repository.tags[tag].current.path)
        if not tags and name in known:
            yield _elsewhere(model, f"{name}@{key.id}", key.id, repository.revisions[key.id].path)


def _elsewhere(model: Model, reference: str, digest: str, path: str) -> Remote:
    there = digest in model.blobs
    return Remote(
        kind="same registry",
        reference=reference,
        image=digest,
        image_known=there,
        path=path,
        trouble="" if there else f"the manifest {short(digest)} has no blob",
    )


# --- uploads -----------------------------------------------------------------


def uploads(model: Model, key: Key | None) -> tuple[Upload, ...]:
    """Uploads in progress: of the repository that a row is in, or of all, by repository and id."""
    found: list[Upload] = []
    for name, repository in model.repositories.items():
        if key is not None and name != key.scope:
            continue
        for identity in sorted(repository.uploads):
            upload = repository.uploads[identity]
            problem = upload.started_problem
            if not upload.known:
                problem = "its name is no UUID, so that the registry never looks at it"
            found.append(
                Upload(
                    repository=name,
                    id=identity,
                    started=upload.started,
                    changed=upload.changed,
                    bytes=upload.size,
                    path=upload.path,
                    problem=problem,
                )
            )
    return tuple(found)
