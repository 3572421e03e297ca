"""One image of an ACI store whole: its manifest by parts, and everything in the store that hangs on it."""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence

from orlop import jsonrules, times
from orlop.errors import Malformed, NotFound
from orlop.fs import Root
from orlop.records import Absent, ContainerRecord, Detail, Document, Fact, Key, Row, Section
from orlop.rkt import layout
from orlop.rkt.manifest import App, Pair
from orlop.rkt.model import Dependency, Image, Model, State
from orlop.rkt.remotes import expires, is_fresh, trouble
from orlop.rkt.rows import NO_ROW, ROWS_KNOWN, key_of
from orlop.text import decode

MEDIA_TYPE = "application/json"


def detail(root: Root, model: Model, key: Key, row: Row | None) -> Detail:
    """One image whole.

    Raises:
        NotFound: nothing in the store has this key.
    """
    image = model.images.get(key.id)
    if image is None:
        raise NotFound(f"no image {key.id}", path=root.path)
    name = key_of(image).name
    path = layout.manifest(image.key) if layout.is_key(image.key) else ""
    document = Document(title="manifest", path=path, media_type=MEDIA_TYPE, raw=image.manifest.raw)
    return Detail(
        key=key,
        row=row,
        names=(name,) if name is not None else (),
        config_path="",  # an ACI has no config beside its manifest
        config_raw=None,
        config=_parsed(image.manifest.raw),
        problems=tuple(_problems(model, image)),
        containers=tuple(_pods(model, image)),
        documents=(document,),
        sections=tuple(section for section in _sections(model, image) if section.facts),
    )


def _parsed(raw: bytes | None) -> Mapping[str, object]:
    if not raw:
        return {}
    try:
        value = jsonrules.loads(raw)
    except Malformed:
        return {}  # the manifest's state says why
    return value if isinstance(value, dict) else {}


def _pods(model: Model, image: Image) -> Iterator[ContainerRecord]:
    for identity, pod in model.pods_seen.items():
        if image.key in pod.images:
            yield ContainerRecord(id=identity, name="", running=pod.running, path=pod.path)


# --- problems ----------------------------------------------------------------


def _problems(model: Model, image: Image) -> Iterator[str]:
    known = layout.is_key(image.key)
    if image.blob.state is not State.GOOD:
        yield f"{layout.blob(image.key) if known else model.catalogue.path}: {image.blob.why}"
    if image.manifest.state is not State.GOOD:
        yield f"{layout.manifest(image.key) if known else model.catalogue.path}: {image.manifest.why}"
    if image.row is None:
        why = NO_ROW if model.catalogue.state in ROWS_KNOWN else f"its row cannot be known: {model.catalogue.why}"
        yield f"{model.catalogue.path}: {why}"
    elif image.manifest.name and image.row.name != image.manifest.name:
        yield f"{model.catalogue.path}: its row has the name {image.row.name}, its manifest {image.manifest.name}"
    for wanted, key in zip(image.manifest.dependencies, image.dependencies, strict=True):
        if key is None:
            yield f"{layout.manifest(image.key)}: it depends on {wanted.name}, which is not in the store"
    for tree in model.trees_of.get(image.key, ()):
        if problem := model.trees[tree].problem:
            yield f"{model.trees[tree].path}: {problem}"


# --- sections ----------------------------------------------------------------


def _sections(model: Model, image: Image) -> Iterator[Section]:
    manifest = image.manifest
    yield Section(title="files", facts=tuple(_files(image)))
    if manifest.parsed is not None and manifest.parsed.app is not None:
        yield from _app(manifest.parsed.app)
    yield Section(title="labels", facts=tuple(Fact(name=name, value=value) for name, value in manifest.labels))
    yield Section(title="dependencies", facts=tuple(_dependencies(model, image)))
    yield Section(title="path whitelist", facts=tuple(Fact(name=path, value="") for path in manifest.path_whitelist))
    notes = tuple(Fact(name=name, value=value) for name, value in manifest.annotations)
    yield Section(title="annotations", facts=notes)
    yield Section(title="remotes", facts=tuple(_remotes(model, image)))
    yield Section(title="rendered trees", facts=tuple(_trees(model, image)))
    yield Section(title="needed by", facts=tuple(_dependents(model, image)))


def _files(image: Image) -> Iterator[Fact]:
    if not layout.is_key(image.key):
        return
    sound = image.blob.state is State.GOOD
    remark = f"{image.blob.size} bytes, not hashed here" if sound else image.blob.why
    yield Fact(name="archive", value=layout.blob(image.key), remark=remark, problem=not sound)
    sound = image.manifest.state is State.GOOD
    path = layout.manifest(image.key)
    yield Fact(name="manifest", value=path, remark=image.manifest.why, problem=not sound)
    row = image.row
    if row is not None and sound and image.blob.state is State.GOOD and row.size and row.size != image.blob.size:
        remark = f"the archive has {image.blob.size}"
        yield Fact(name="size in its row", value=f"{row.size} bytes", remark=remark, problem=True)


def _app(app: App) -> Iterator[Section]:
    numbers = " ".join(map(str, app.supplementary_gids))
    facts = (
        ("exec", _line(app.command)),
        ("user", app.user),
        ("group", app.group),
        ("supplementary groups", numbers),
        ("working directory", app.working_directory),
    )
    yield Section(title="app", facts=tuple(Fact(name=name, value=value) for name, value in facts if value))
    handlers = tuple(Fact(name=handler.name, value=_line(handler.command)) for handler in app.event_handlers)
    yield Section(title="event handlers", facts=handlers)
    yield Section(title="environment", facts=_pairs(app.environment))
    mounts = tuple(
        Fact(name=point.name, value=point.path, remark="read-only" if point.read_only else "")
        for point in app.mount_points
    )
    yield Section(title="mount points", facts=mounts)
    ports = tuple(
        Fact(
            name=port.name,
            value=f"{port.port}/{port.protocol}" if port.protocol else str(port.port),
            remark=", ".join(
                [
                    *([f"{port.count} ports from there on"] if port.count > 1 else []),
                    *(["socket-activated"] if port.socket_activated else []),
                ]
            ),
        )
        for port in app.ports
    )
    yield Section(title="ports", facts=ports)
    limits = tuple(Fact(name=isolator.name, value=decode(isolator.value)) for isolator in app.isolators)
    yield Section(title="isolators", facts=limits)
    yield Section(title="user annotations", facts=_pairs(app.user_annotations))
    yield Section(title="user labels", facts=_pairs(app.user_labels))


def _pairs(pairs: Sequence[Pair]) -> tuple[Fact, ...]:
    return tuple(Fact(name=pair.name, value=pair.value) for pair in pairs)


def _line(command: Iterable[str] | None) -> str:
    return shlex.join(command) if command is not None else ""


def _dependencies(model: Model, image: Image) -> Iterator[Fact]:
    for wanted, key in zip(image.manifest.dependencies, image.dependencies, strict=True):
        found = model.images.get(key) if key is not None else None
        yield Fact(
            name=wanted.name,
            value=_wanted(wanted),
            remark=key_of(found).name or found.key if found is not None else "it is not in the store",
            problem=found is None,
            leads_to=key_of(found) if found is not None else None,
        )


def _wanted(wanted: Dependency) -> str:
    """What a dependency asks for besides its name."""
    labels = [f"{name}={value}" for name, value in wanted.labels]
    size = [f"{wanted.size} bytes"] if wanted.size else []
    return ", ".join([*([wanted.image_id] if wanted.image_id else []), *labels, *size])


def _remotes(model: Model, image: Image) -> Iterator[Fact]:
    for url in model.remotes_of.get(image.key, ()):
        row = model.remotes[url]
        end = expires(row)
        if is_fresh(row, model.seen_at):
            remark = f"fresh until {times.rfc3339(end or 0)}"
        else:
            remark = "never fresh: it has no max age" if end is None else f"expired since {times.rfc3339(end)}"
        why = trouble(model, row)
        value = f"ETag {row.etag}" if row.etag else "no ETag"
        yield Fact(name=url, value=value, remark=why or remark, problem=bool(why))


def _trees(model: Model, image: Image) -> Iterator[Fact]:
    for identity in model.trees_of.get(image.key, ()):
        tree = model.trees[identity]
        pods = len(model.tree_pods.get(identity, ()))
        use = f"{pods} pod{'' if pods == 1 else 's'} on it, " if pods else ""
        yield Fact(
            name=identity,
            value=tree.hash or "",
            remark=tree.problem or f"{use}not compared with its hash here",
            problem=bool(tree.problem),
        )
    if image.row is not None and image.row.tree_size:
        yield Fact(name="size in its row", value=f"{image.row.tree_size} bytes")


def _dependents(model: Model, image: Image) -> Iterator[Fact]:
    for key in model.dependents_of.get(image.key, ()):
        there = key_of(model.images[key])
        yield Fact(name=there.name or key, value=key, leads_to=there)


# --- panes that this kind does not have --------------------------------------


def mappings(model: Model, key: str | None) -> Absent:
    """What this kind has instead of layers and their digests, in one sentence."""
    text = "an ACI is one archive, known by its key alone, so there are no layers and no digests to map"
    image = model.images.get(key) if key is not None else None
    if image is None:
        return Absent(because=f"{text}; images stand on the images that their manifests name as dependencies")
    found = [wanted or "(missing)" for wanted in image.dependencies]
    below = f"it stands on {', '.join(found)}" if found else "it has no dependencies"
    trees = model.trees_of.get(image.key, ())
    rendered = f"its rendered tree is {', '.join(trees)}" if trees else "it is not rendered"
    return Absent(because=f"{text}; {below}, and {rendered}")


def uploads() -> Absent:
    """Why there are no uploads."""
    return Absent(
        because="an ACI store takes images whole: what a broken download left lies in tmp/, and the check lists it"
    )
