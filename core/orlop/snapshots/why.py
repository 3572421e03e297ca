"""What a digest, name or folder is, as far as a snapshot tells."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from orlop.errors import Ambiguous, NotFound
from orlop.records import Key, Link, Row, Why
from orlop.records import Mapping as DigestMapping
from orlop.snapshots.index import Index, Layer, nameless

_MANY = 20
"""Chains of references that are spelled out at most."""
_LEAST = 2


def why(found: Index, rows: Iterable[Row], mappings: Iterable[DigestMapping], subject: str) -> Why:
    """Answer for a name, an image's id, a diff id, chain id, blob digest, or the folder of a layer.

    Raises:
        NotFound: no image of the snapshot has anything to do with it.
        Ambiguous: the start of several.
    """
    names: dict[Key, list[str]] = {}
    for row in rows:
        names.setdefault(nameless(row.key), []).extend([row.key.name] if row.key.name is not None else [])
        if row.key.name == subject and row.id:
            return _image(nameless(row.key), names_of(rows, row.key), f"name of {row.id}", found, subject)
    whole = _whole(found, names, mappings, subject)
    is_a: dict[str, None] = {}
    chains: list[tuple[Link, ...]] = []
    related: dict[str, str] = {}
    for key, called in names.items():
        if key.id == whole:
            is_a["image"] = None
            chains += _kept(key, called, found)
    for layer in found.layers.values():
        if whole in layer.identities:
            is_a.update(dict.fromkeys(_kinds(layer, whole)))
            related.update(_related(layer, whole))
            chains += islice(_layer_chains(layer, names, found), _MANY)
    for mapping in mappings:
        if whole == mapping.digest:
            is_a[f"blob digest of the diff id {mapping.diff_id}"] = None
            related.setdefault("diff id", mapping.diff_id)
    remark = "" if chains else "no image of this snapshot needs it; what lies beside the images is not in it"
    return Why(subject=whole, is_a=tuple(is_a), kept_by=tuple(chains[:_MANY]), related=related, remark=remark)


def names_of(rows: Iterable[Row], key: Key) -> list[str]:
    """Names of an image."""
    return [row.key.name for row in rows if nameless(row.key) == nameless(key) and row.key.name is not None]


def _image(key: Key, names: list[str], is_a: str, found: Index, subject: str) -> Why:
    return Why(
        subject=subject, is_a=(is_a,), kept_by=tuple(_kept(key, names, found)[:_MANY]), related={"image": key.id}
    )


def _kept(key: Key, names: list[str], found: Index) -> list[tuple[Link, ...]]:
    image = Link(what=f"image {key.id}", path=found.configs.get(key) or None)
    return [(Link(what=f"tag {name}", path=None), image) for name in names] or [(image,)]


def _layer_chains(layer: Layer, names: Mapping[Key, list[str]], found: Index) -> Iterator[tuple[Link, ...]]:
    record = layer.record
    link = Link(what=f"layer {record.chain_id or record.digest or record.diff_id}", path=record.data_path)
    for user in layer.users:
        yield from ((*chain, link) for chain in _kept(user, names.get(user, []), found))


def _kinds(layer: Layer, whole: str) -> Iterator[str]:
    record = layer.record
    if whole == record.diff_id:
        yield "diff id"
    if whole == record.chain_id:
        yield "chain id"
    if whole == record.digest:
        yield "blob digest"
    if record.data_path is not None and whole in record.data_path.split("/"):
        yield "folder of a layer"


def _related(layer: Layer, whole: str) -> Iterator[tuple[str, str]]:
    record = layer.record
    for name, text in (
        ("diff id", record.diff_id),
        ("chain id", record.chain_id),
        ("blob digest", record.digest),
        ("folder", record.data_path or ""),
    ):
        if text and text != whole:
            yield name, text


def _whole(found: Index, names: Iterable[Key], mappings: Iterable[DigestMapping], subject: str) -> str:
    """The one identity that a text means: itself, or what starts so; of a path its last part that is one."""
    known = {key.id for key in names} | {text for layer in found.layers.values() for text in layer.identities}
    known |= {mapping.digest for mapping in mappings}
    for part in (subject, *reversed([part for part in subject.split("/") if part])):
        if part in known:
            return part
    matching = sorted(text for text in known if len(subject) >= _LEAST and _starts(text, subject))
    if not matching:
        raise NotFound(
            f"the snapshot knows nothing of {subject!r}",
            do="give a name, an image's id, a diff id, chain id, blob digest, or the folder of a layer",
        )
    if len(matching) > 1:
        raise Ambiguous(subject, matching)
    return matching[0]


def _starts(text: str, start: str) -> bool:
    return text.startswith(start) or text.partition(":")[2].startswith(start)
