"""One image of a Docker store whole, and its mappings and digest references."""

from collections.abc import Iterable, Mapping, Sequence

from orlop import jsonrules, times
from orlop.docker import layout
from orlop.docker.model import ConfigState, Image, Model, V2Entry
from orlop.docker.proven import Dates
from orlop.errors import Malformed, NotFound, OrlopError
from orlop.fs import Folder, Root
from orlop.records import (
    ContainerRecord,
    Detail,
    HistoryEntry,
    Key,
    LayerRecord,
    MetadataRecord,
    Remote,
    Row,
)
from orlop.records import (
    Mapping as MappingRecord,
)
from orlop.text import decode

_METADATA_LIMIT = 64 * 1024
"""Bytes of a metadata key that are shown."""


def detail(root: Root, model: Model, key: Key, row: Row | None, dates: Dates | None = None) -> Detail:
    """One image whole; reads its config and metadata keys again from the disk.

    Args:
        root, model: the store.
        key: the image.
        row: what the list shows of it.
        dates: when its layers were verified.

    Raises:
        NotFound: nothing in the store has this id.
    """
    image = model.images.get(key.id)
    names = model.names_of.get(key.id, ())
    if image is None and not names:
        raise NotFound(f"no image {key.id}", path=root.path)
    raw = _raw(root, model, key.id)
    config = _parsed(raw)
    layers = _layers(model, image, dates)
    parent = image.parent if image is not None else None
    return Detail(
        key=key,
        row=row,
        names=names,
        config_path=layout.config(model.driver, key.id) if image is not None else "",
        config_raw=raw,
        config=config,
        problems=tuple(_problems(model, key, image, layers)),
        history=_history(config, len(layers)),
        layers=layers,
        parent=parent,
        parent_known=parent is not None and parent in model.images,
        children=model.children_of.get(key.id, ()),
        metadata=_metadata(root, model, key.id) if image is not None else (),
        containers=tuple(_container(model, identity) for identity in model.containers_of.get(key.id, ())),
    )


def _raw(root: Root, model: Model, image: str) -> bytes | None:
    if image not in model.images:
        return None
    try:
        return root.read(layout.config(model.driver, image))
    except OrlopError:
        return None  # the image's state says why


def _parsed(raw: bytes | None) -> Mapping[str, object]:
    if raw is None:
        return {}
    try:
        value = jsonrules.loads(raw)
    except Malformed:
        return {}  # the image's state says why
    return value if isinstance(value, dict) else {}


def _layers(model: Model, image: Image | None, dates: Dates | None) -> tuple[LayerRecord, ...]:
    if image is None:
        return ()
    found = []
    for diff_id, chain_id in zip(image.diff_ids, image.chain, strict=True):
        layer = model.layers.get(chain_id)
        hidden = layer is None and model.unseen(layout.layer(model.driver, chain_id))
        problem = "the layer record cannot be read" if hidden else "there is no layer record"
        if layer is not None:
            problem = "; ".join(why if file == "." else f"{file} is {why}" for file, why in layer.problems.items())
            if layer.parent_lost:
                problem = "the record lost its parent"
            elif not problem and not layer.data:
                problem = "the driver's folder is missing"
        found.append(
            LayerRecord(
                diff_id=diff_id,
                chain_id=chain_id,
                size=layer.size if layer is not None else None,
                shared_with=tuple(user for user in model.users_of.get(chain_id, ()) if user != image.id),
                data_path=layer.data_path if layer is not None else None,
                problem=problem,
                verified_at=dates.of_layer(layer) if dates and layer is not None and not problem else None,
            )
        )
    return tuple(found)


def _problems(model: Model, key: Key, image: Image | None, layers: Sequence[LayerRecord]) -> Iterable[str]:
    if key.name is not None and (entry := model.tags.references.get(key.name)) is not None and entry.problem:
        yield f"{layout.tag_file(model.driver)}: {entry.problem}"
    if image is None:
        return
    if image.config is not ConfigState.GOOD:
        yield f"{layout.config(model.driver, image.id)}: {image.why}"
    if image.parent_problem:
        yield f"{layout.metadata(model.driver, image.id)}/parent: {image.parent_problem}"
    if image.parent is not None and image.parent not in model.images:
        yield f"{layout.metadata(model.driver, image.id)}/parent: names {image.parent}, which is not in the store"
    for layer in layers:
        if layer.problem:
            yield f"{layout.layer(model.driver, layer.chain_id)}: {layer.problem}"


def _history(config: Mapping[str, object], layers: int) -> tuple[HistoryEntry, ...]:
    """History joined to layers: an entry without ``empty_layer`` made the next one (image/image.go)."""
    listed = jsonrules.member(config, "history")
    if not isinstance(listed, list):
        return ()
    entries: list[HistoryEntry] = []
    next_layer = 0
    for item in listed:
        empty = jsonrules.member(item, "empty_layer") is True
        at = next_layer if not empty and next_layer < layers else None
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


def _text(value: object, name: str) -> str:
    found = jsonrules.member(value, name)
    return found if isinstance(found, str) else ""


def _time(text: str) -> int | None:
    try:
        return times.parse(text) if text else None
    except Malformed:
        return None


def _metadata(root: Root, model: Model, image: str) -> tuple[MetadataRecord, ...]:
    path = layout.metadata(model.driver, image)
    found = []
    try:
        with root.folder(path) as folder:
            for name in folder.names():
                value, text = _metadata_value(folder, name)
                found.append(MetadataRecord(name=name, value=value, text=text, path=f"{path}/{name}"))
    except NotFound:
        return ()
    except OrlopError as error:
        text = f"cannot be read: {error.why or error.what}"
        return (MetadataRecord(name="", value=b"", text=text, path=path),)
    return tuple(found)


def _metadata_value(folder: Folder, name: str) -> tuple[bytes, str]:
    try:
        value = folder.read(name, _METADATA_LIMIT)
    except OrlopError as error:
        return b"", f"cannot be read: {error.why or error.what}"
    if name == "builtLocally":  # one byte 0x01 (image/store.go, from 26.0)
        return value, "yes" if value == b"\x01" else value.hex()
    return value, decode(value)


def _container(model: Model, identity: str) -> ContainerRecord:
    found = model.containers[identity]
    return ContainerRecord(id=identity, name=found.name, running=found.running, path=found.path)


# --- facets ----------------------------------------------------------------


def mappings(model: Model, image: str | None) -> tuple[MappingRecord, ...]:
    """V2 digest mappings of one image's layers, bottom first, or of the whole store by diff id.

    A reverse record that no list backs is a mapping too, with an empty source.
    """
    if image is None:
        wanted = sorted({*model.v2_lists, *(r.diff_id for r in model.v2_reverse.values() if r.diff_id)})
    else:
        found = model.images.get(image)
        wanted = list(dict.fromkeys(found.diff_ids)) if found is not None else []
    reverse_of: dict[str, list[str]] = {}
    for record in model.v2_reverse.values():
        if record.diff_id is not None:
            reverse_of.setdefault(record.diff_id, []).append(record.digest)
    users = _users_by_diff(model)
    result: list[MappingRecord] = []
    for diff_id in wanted:
        listed = model.v2_lists.get(diff_id)
        entries = listed.entries if listed is not None else ()
        result += [_mapping(model, diff_id, entry, users, listed.path if listed else "") for entry in entries]
        known = {entry.digest for entry in entries}
        for digest in sorted(reverse_of.get(diff_id, ())):
            if digest not in known:
                entry = V2Entry(digest=digest, source="", hmac=None)
                result.append(_mapping(model, diff_id, entry, users, model.v2_reverse[digest].path))
    return tuple(result)


def _users_by_diff(model: Model) -> dict[str, tuple[str, ...]]:
    return {
        diff_id: tuple(sorted({user for chain_id in chains for user in model.users_of.get(chain_id, ())}))
        for diff_id, chains in model.chain_of_diff.items()
    }


def _mapping(
    model: Model, diff_id: str, entry: V2Entry, users: Mapping[str, tuple[str, ...]], path: str
) -> MappingRecord:
    reverse = model.v2_reverse.get(entry.digest)
    known = diff_id in model.chain_of_diff
    reason = ""
    if not known:
        reason = "the layer is gone"
    elif reverse is None:
        reason = "the digest has no reverse record"
    elif reverse.diff_id != diff_id:
        reason = f"the reverse record names {reverse.diff_id or 'nothing'}"
    return MappingRecord(
        diff_id=diff_id,
        digest=entry.digest,
        source=entry.source,
        authenticated=bool(entry.hmac),
        images=users.get(diff_id, ()),
        layer_known=known,
        reverse=reverse.diff_id if reverse is not None else None,
        stale=bool(reason),
        reason=reason,
        path=path,
    )


def remotes(model: Model, image: str | None) -> tuple[Remote, ...]:
    """Digest references: under which manifest digest an image is known in which repository."""
    texts = model.names_of.get(image, ()) if image is not None else sorted(model.tags.references)
    found = []
    for text in texts:
        entry = model.tags.references[text]
        if "@" in text:
            found.append(
                Remote(
                    kind="digest reference",
                    reference=text,
                    image=entry.image,
                    image_known=entry.image in model.images
                    and model.images[entry.image].config is not ConfigState.MISSING,
                    path=layout.tag_file(model.driver),
                )
            )
    return tuple(found)
