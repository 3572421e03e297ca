"""One manifest of a registry whole: its documents, its history joined to its layers, and all that names it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from orlop import jsonrules, times
from orlop.errors import Malformed, NotFound, OrlopError
from orlop.fs import Root
from orlop.records import Detail, Document, Fact, HistoryEntry, Key, LayerRecord, Row, Section
from orlop.registry import place
from orlop.registry.facets import paired
from orlop.registry.faults import short
from orlop.registry.model import Descriptor, Link, Manifest, Model, Repository, State, What
from orlop.verified import Dates

_MANY = 200
"""Facts of a section at most; the rest is counted."""


def detail(root: Root, model: Model, key: Key, row: Row | None, dates: Dates | None = None) -> Detail:
    """One row's manifest whole; reads manifest and config again from the disk.

    Raises:
        NotFound: the registry knows no such row.
    """
    repository = model.repositories.get(key.scope)
    if repository is None or not _is_known(repository, key):
        raise NotFound(f"no manifest {key.id} in {key.scope!r}", path=root.path)
    manifest = model.manifests.get(key.id)
    config_path = _config_path(model, manifest)
    config_raw = _raw(root, config_path)
    config = _parsed(config_raw)
    layers = _layers(model, repository, manifest, dates)
    return Detail(
        key=key,
        row=row,
        names=tuple(f"{key.scope}:{tag}" for tag in model.tags_of.get((key.scope, key.id), ())),
        config_path=config_path,
        config_raw=config_raw,
        config=config,
        problems=tuple(dict.fromkeys(_problems(model, repository, key, manifest, layers))),
        history=_schema_1_history(root, model, manifest) or _history(config, layers),
        layers=layers,
        children=tuple(dict.fromkeys(child.digest for child in manifest.children)) if manifest is not None else (),
        documents=_documents(root, model, key, manifest),
        sections=tuple(_sections(model, repository, key, manifest)),
    )


def _is_known(repository: Repository, key: Key) -> bool:
    if key.name is not None and key.name.removeprefix(f"{repository.name}:") in repository.tags:
        return True
    return bool(key.id) and (
        key.id in repository.revisions or any(tag.current.target == key.id for tag in repository.tags.values())
    )


# --- documents ---------------------------------------------------------------


def _documents(root: Root, model: Model, key: Key, manifest: Manifest | None) -> tuple[Document, ...]:
    if manifest is None:
        return ()
    path = place.blob_data(model.base, key.id)
    return (Document(title="manifest", path=path, media_type=manifest.media_type, raw=_raw(root, path)),)


def _config_path(model: Model, manifest: Manifest | None) -> str:
    if manifest is None or manifest.config is None:
        return ""
    return place.blob_data(model.base, manifest.config.digest)


def _raw(root: Root, path: str) -> bytes | None:
    if not path:
        return None
    try:
        return root.read(path)
    except OrlopError:
        return None  # the problems say why


def _parsed(raw: bytes | None) -> Mapping[str, object]:
    if raw is None:
        return {}
    try:
        value = jsonrules.loads(raw)
    except Malformed:
        return {}  # the problems say why
    return value if isinstance(value, dict) else {}


# --- layers and history ------------------------------------------------------


def _layers(
    model: Model, repository: Repository, manifest: Manifest | None, dates: Dates | None
) -> tuple[LayerRecord, ...]:
    if manifest is None:
        return ()
    diff_ids = [diff_id for diff_id, _, _ in paired(model, manifest)]
    return tuple(
        _layer(model, repository, manifest, layer, diff_ids[number] if number < len(diff_ids) else "", dates)
        for number, layer in enumerate(manifest.layers)
    )


def _layer(
    model: Model, repository: Repository, manifest: Manifest, layer: Descriptor, diff_id: str, dates: Dates | None
) -> LayerRecord:
    blob = model.blobs.get(layer.digest)
    return LayerRecord(
        diff_id=diff_id,
        chain_id="",
        size=blob.size if blob is not None else None,
        shared_with=tuple(user for user in model.users_of.get(layer.digest, ()) if user != manifest.digest),
        data_path=place.blob_data(model.base, layer.digest) if blob is not None else None,
        problem=_layer_problem(model, repository, layer),
        digest=layer.digest,
        media_type=layer.media_type,
        verified_at=dates.of(layer.digest, blob.version) if dates and blob is not None else None,
    )


def _layer_problem(model: Model, repository: Repository, layer: Descriptor) -> str:
    blob = model.blobs.get(layer.digest)
    if blob is None:
        if layer.foreign:
            return ""
        hidden = model.unseen(place.blob_folder(model.base, layer.digest))
        return "its blob cannot be looked at" if hidden else "its blob is missing"
    if blob.state is not State.GOOD:
        return blob.why
    if layer.size not in (None, blob.size):
        return f"its blob has {blob.size} bytes, where the manifest says {layer.size}"
    link = repository.layers.get(layer.digest)
    if link is None:
        return "the repository has no link to it"
    return "" if link.state is State.GOOD else f"the repository's link to it: {link.why}"


def _history(config: Mapping[str, object], layers: Sequence[LayerRecord]) -> tuple[HistoryEntry, ...]:
    """History joined to layers: an entry without ``empty_layer`` made the next one (OCI image-spec, config.md)."""
    listed = jsonrules.member(config, "history")
    if not isinstance(listed, list):
        return ()
    entries: list[HistoryEntry] = []
    next_layer = 0
    for item in listed:
        empty = jsonrules.member(item, "empty_layer") is True
        at = next_layer if not empty and next_layer < len(layers) else None
        next_layer += not empty
        entries.append(
            HistoryEntry(
                created=_time(_text(item, "created")),
                created_by=_text(item, "created_by"),
                comment=_text(item, "comment"),
                author=_text(item, "author"),
                empty=empty,
                layer=at,
            )
        )
    return tuple(entries)


def _schema_1_history(root: Root, model: Model, manifest: Manifest | None) -> tuple[HistoryEntry, ...]:
    """The history of a schema 1 manifest, oldest first: each entry is a v1 image with its own layer."""
    if manifest is None or manifest.what is not What.SCHEMA_1:
        return ()
    document = _parsed(_raw(root, place.blob_data(model.base, manifest.digest)))
    listed = jsonrules.member(document, "history")
    if not isinstance(listed, list):
        return ()
    entries: list[HistoryEntry] = []
    for number, item in enumerate(reversed(listed)):
        entry = _parsed(_text(item, "v1Compatibility").encode("utf-8", "surrogatepass"))
        command = jsonrules.member(jsonrules.member(entry, "container_config"), "Cmd")
        words = [word for word in command if isinstance(word, str)] if isinstance(command, list) else []
        entries.append(
            HistoryEntry(
                created=_time(_text(entry, "created")),
                created_by=" ".join(words),
                comment=_text(entry, "comment"),
                author=_text(entry, "author"),
                empty=jsonrules.member(entry, "throwaway") is True,
                layer=number if number < len(manifest.layers) else None,
            )
        )
    return tuple(entries)


def _text(value: object, name: str) -> str:
    found = jsonrules.member(value, name)
    return found if isinstance(found, str) else ""


def _time(text: str) -> int | None:
    try:
        return times.parse(text) if text else None
    except Malformed:
        return None


# --- problems ----------------------------------------------------------------


def _problems(
    model: Model, repository: Repository, key: Key, manifest: Manifest | None, layers: Sequence[LayerRecord]
) -> Iterator[str]:
    if key.name is not None:
        tag = repository.tags.get(key.name.removeprefix(f"{repository.name}:"))
        if tag is not None and tag.problem:
            yield f"{tag.path}: {tag.problem}"
        elif tag is not None and tag.current.state is not State.GOOD:
            yield f"{tag.current.path}: {tag.current.why}"
    if not key.id:
        return
    revision = repository.revisions.get(key.id)
    if revision is None:
        yield f"{repository.path}/_manifests/revisions: has no link to {key.id}, so that the registry does not serve it"
    elif revision.state is not State.GOOD:
        yield f"{revision.path}: {revision.why}"
    elif revision.target != key.id:
        yield f"{revision.path}: names {revision.target}"
    if manifest is None:
        return
    if manifest.state is not State.GOOD:
        yield f"{place.blob_data(model.base, manifest.digest)}: {manifest.why}"
    if manifest.config is not None:
        yield from _config_problems(model, repository, manifest, manifest.config)
    for layer in layers:
        if layer.problem:
            yield f"{place.blob_data(model.base, layer.digest)}: {layer.problem}"
    for child in manifest.children:
        yield from _child_problems(model, repository, child)


def _config_problems(model: Model, repository: Repository, manifest: Manifest, config: Descriptor) -> Iterator[str]:
    problem = _layer_problem(model, repository, config)
    if problem:
        yield f"{place.blob_data(model.base, config.digest)}: {problem}"
    found = model.configs.get(config.digest)
    if found is not None and found.state not in (State.GOOD, State.MISSING):
        yield f"{place.blob_data(model.base, config.digest)}: {found.why}"
    mismatch = next((problem for _, _, problem in paired(model, manifest) if problem), "")
    if mismatch and found is not None and found.state is State.GOOD:
        yield f"{place.blob_data(model.base, config.digest)}: {mismatch}"


def _child_problems(model: Model, repository: Repository, child: Descriptor) -> Iterator[str]:
    what = child.platform or short(child.digest)
    found = model.manifests.get(child.digest)
    if found is None or found.state is State.MISSING:
        yield f"{place.blob_data(model.base, child.digest)}: the manifest for {what} is missing"
        return
    if found.state is not State.GOOD:
        yield f"{place.blob_data(model.base, child.digest)}: {what}: {found.why}"
    if child.digest not in repository.revisions:
        yield f"{repository.path}/_manifests/revisions: has no link to {child.digest} ({what})"


# --- sections ----------------------------------------------------------------


def _sections(model: Model, repository: Repository, key: Key, manifest: Manifest | None) -> Iterator[Section]:
    """What only a registry's manifests have; empty sections are left out."""
    tagged = repository.tags.get(key.name.removeprefix(f"{repository.name}:")) if key.name is not None else None
    found = (
        ("Manifest", _manifest_facts(model, repository, key, manifest)),
        ("Annotations", _annotations(manifest)),
        ("Platforms", _platforms(model, repository, manifest)),
        ("Named by indexes", _naming(model, repository, model.indexes_of.get((repository.name, key.id), ()))),
        ("Belongs to", _subject(model, repository, manifest)),
        ("Referrers", _naming(model, repository, model.referrers_of.get((repository.name, key.id), ()))),
        ("Tag history", _history_of(model, repository, tagged.history.values()) if tagged is not None else ()),
        ("Once meant by", _once(repository, key)),
        ("Linked in", _linked(model, manifest)),
    )
    for title, facts in found:
        listed = tuple(facts)
        if len(listed) > _MANY:
            more = Fact(name="…", value=f"and {len(listed) - _MANY} more")
            listed = (*listed[:_MANY], more)
        if listed:
            yield Section(title=title, facts=listed)


def _manifest_facts(model: Model, repository: Repository, key: Key, manifest: Manifest | None) -> Iterator[Fact]:
    if manifest is None:
        return
    yield Fact(name="kind", value=str(manifest.what))
    if manifest.media_type:
        yield Fact(name="media type", value=manifest.media_type)
    if manifest.artifact_type:
        yield Fact(name="artifact type", value=manifest.artifact_type)
    yield Fact(name="size", value=f"{manifest.size} bytes")
    revision = repository.revisions.get(key.id)
    if revision is not None and revision.mtime:
        yield Fact(name="pushed", value=times.rfc3339(revision.mtime), remark="as its revision link's time says")
    if key.id in repository.signatures:
        yield Fact(name="signatures", value="kept apart", remark="as registries up to 2.4 did; later ones ignore them")
    if manifest.engine_says:
        yield Fact(name="registry says", value=manifest.engine_says, problem=True)


def _annotations(manifest: Manifest | None) -> Iterator[Fact]:
    if manifest is not None:
        yield from (Fact(name=name, value=value) for name, value in manifest.annotations.items())


def _row_key(model: Model, repository: Repository, digest: str) -> Key | None:
    """The row of a manifest in a repository: its first tag's, else its own."""
    tags = model.tags_of.get((repository.name, digest), ())
    if tags:
        return Key(repository.name, digest, f"{repository.name}:{tags[0]}")
    return Key(repository.name, digest, None) if digest in repository.revisions else None


def _leads(model: Model, repository: Repository, name: str, digest: str, remark: str = "") -> Fact:
    """A fact that names a manifest of the repository, and what is wrong with that."""
    key = _row_key(model, repository, digest)
    found = model.manifests.get(digest)
    trouble = ""
    if found is None or found.state is State.MISSING:
        trouble = "its manifest is not in the registry"
    elif found.state is not State.GOOD:
        trouble = found.why
    elif digest not in repository.revisions:
        trouble = "the repository has no link to it"
    return Fact(name=name, value=digest, remark=trouble or remark, problem=bool(trouble), leads_to=key)


def _platforms(model: Model, repository: Repository, manifest: Manifest | None) -> Iterator[Fact]:
    if manifest is None:
        return
    for child in manifest.children:
        name = child.platform or child.media_type or "manifest"
        yield _leads(model, repository, name, child.digest, _annotated(child))


def _annotated(child: Descriptor) -> str:
    """What kind of child it is where an annotation says so (BuildKit's attestations)."""
    kind = child.annotations.get("vnd.docker.reference.type", "")
    of = child.annotations.get("vnd.docker.reference.digest", "")
    return f"{kind} of {short(of)}" if kind and of else kind


def _naming(model: Model, repository: Repository, digests: Sequence[str]) -> Iterator[Fact]:
    for digest in digests:
        found = model.manifests.get(digest)
        tags = model.tags_of.get((repository.name, digest), ())
        name = (found.artifact_type if found is not None else "") or str(
            found.what if found is not None else "manifest"
        )
        yield _leads(model, repository, name, digest, ", ".join(tags))


def _subject(model: Model, repository: Repository, manifest: Manifest | None) -> Iterator[Fact]:
    if manifest is not None and manifest.subject is not None:
        yield _leads(model, repository, "subject", manifest.subject.digest)


def _history_of(model: Model, repository: Repository, links: Iterable[Link]) -> Iterator[Fact]:
    """What a tag meant, newest first by the links' times."""
    for link in sorted(links, key=lambda link: (-link.mtime, link.named)):
        when = times.rfc3339(link.mtime) if link.mtime else "at some time"
        if link.state is not State.GOOD:
            yield Fact(name=when, value=link.named, remark=f"its link: {link.why}", problem=True)
            continue
        gone = link.named not in repository.revisions
        key = _row_key(model, repository, link.named)
        yield Fact(name=when, value=link.named, remark="no longer in this repository" if gone else "", leads_to=key)


def _once(repository: Repository, key: Key) -> Iterator[Fact]:
    """Tags that meant this manifest and mean another one now."""
    for name in sorted(repository.tags):
        tag = repository.tags[name]
        if key.id in tag.history and tag.current.target != key.id:
            now = tag.current.target
            leads = Key(repository.name, now or "", f"{repository.name}:{name}")
            remark = f"now {short(now)}" if now is not None else "what it means now is unknown"
            yield Fact(name=name, value=f"{repository.name}:{name}", remark=remark, leads_to=leads)


def _linked(model: Model, manifest: Manifest | None) -> Iterator[Fact]:
    """Which repositories serve the manifest, its config and its layers."""
    if manifest is None:
        return
    known = model.repositories_of.get(manifest.digest, ())
    yield Fact(name="manifest", value=_names(known), problem=not known)
    for number, needed in enumerate(manifest.needs):
        names = model.linked_in.get(needed.digest, ())
        is_config = manifest.config is not None and number == 0
        what = "config" if is_config else f"layer {short(needed.digest)}"
        yield Fact(name=what, value=_names(names), problem=not names and not needed.foreign)


def _names(names: Sequence[str]) -> str:
    if not names:
        return "no repository"
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
