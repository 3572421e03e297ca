"""Which image is meant, by the beginning of its key, by name, by name and labels; and in what order rows are listed.

Pure functions over rows. Facts: rkt v1.30.0, store/imagestore/{store,aciinfo}.go.
"""

from collections.abc import Callable, Mapping, Sequence

from orlop.errors import Ambiguous, Malformed
from orlop.rkt import appc, layout
from orlop.rkt.catalogue import ImageRow
from orlop.rkt.errors import AciNotFound, BadIdentifier, BadKey, BadQuery, KeyNotFound, RowNotFound
from orlop.rkt.manifest import ImageManifest, Pair

SORT_FIELDS: Mapping[str, Callable[[ImageRow], str | int]] = {
    "blobkey": lambda row: row.key,
    "name": lambda row: row.name,
    "importtime": lambda row: row.imported,
    "lastused": lambda row: row.last_used,
    "size": lambda row: row.size,
    "treestoresize": lambda row: row.tree_size,
}
"""The columns that rows can be sorted by; ``latest`` is a boolean, which rkt's database does not sort by."""


def resolve_key(rows: Sequence[ImageRow], text: str) -> str:
    """The key of the only image whose key begins so; a text longer than a key is cut first.

    Raises:
        BadKey: another prefix than ``sha512-``, or fewer than two digits behind it.
        KeyNotFound: no key begins so.
        Ambiguous: several do.
    """
    if not text.startswith(layout.PREFIX):
        raise BadKey("a key begins with sha512-", engine="wrong key prefix")
    if len(text) < layout.SHORTEST_PREFIX:
        raise BadKey("at least two digits of the key are needed", engine="image ID too short")
    text = text[: layout.KEY_LENGTH]
    found = sorted(row.key for row in rows if row.key.startswith(text))
    if not found:
        raise KeyNotFound(f"no image has a key that begins with {text}", engine="no image IDs found")
    if len(found) > 1:
        raise Ambiguous(text, found, engine=f'ambiguous image ID: "{text}"')
    return found[0]


def resolve_name(rows: Sequence[ImageRow], name: str) -> tuple[str, ...]:
    """The keys of all images of exactly this name, in the order of the rows."""
    return tuple(row.key for row in rows if row.name == name)


def row_of(rows: Sequence[ImageRow], key: str) -> ImageRow:
    """The row of exactly this key.

    Raises:
        RowNotFound: there is none.
    """
    row = next((row for row in rows if row.key == key), None)
    if row is None:
        raise RowNotFound(f"no image has the key {key}", engine=f'ACI info not found with blob key "{key}"')
    return row


def check_request(name: str, labels: Sequence[Pair]) -> None:
    """Make sure that a name and the names of labels can be those of an image.

    Raises:
        BadIdentifier: one cannot.
    """
    for text in (name, *(label.name for label in labels)):
        try:
            appc.check_identifier(text)
        except Malformed as error:
            raise BadIdentifier(f"{text!r}: {error.why}", engine=error.engine) from error


def choose(
    rows: Sequence[ImageRow], name: str, labels: Sequence[Pair], manifest: Callable[[str], ImageManifest]
) -> str:
    """The key of the image that a name and labels mean.

    Every manifest of that name is read. Those that have all the labels are compared in
    the order of the rows: without a label ``version`` in the request, one marked latest
    beats one that is not; otherwise the later import wins, and of equals the earlier row.

    Args:
        rows: newest written first.
        name: of the image.
        labels: all must be there with this value; the image may have more.
        manifest: from a key to its manifest.

    Raises:
        AciNotFound: none has them all.
        What `manifest` raises.
    """
    by_version = any(label.name == "version" for label in labels)
    chosen: ImageRow | None = None
    for row in rows:
        if row.name != name:
            continue
        present = manifest(row.key).labels
        if all(label in present for label in labels) and (chosen is None or _beats(row, chosen, by_version)):
            chosen = row
    if chosen is None:
        wanted = " ".join(f'{{"{label.name}" "{label.value}"}}' for label in labels)
        raise AciNotFound(
            f"no image has the name {name}" + (" and these labels" if labels else ""),
            engine=f'cannot find aci satisfying name: "{name}" and labels: [{wanted}] in the local store',
        )
    return chosen.key


def _beats(row: ImageRow, chosen: ImageRow, by_version: bool) -> bool:
    if not by_version and row.latest != chosen.latest:
        return row.latest
    return row.imported > chosen.imported


def in_order(rows: Sequence[ImageRow], fields: Sequence[str], ascending: bool) -> tuple[ImageRow, ...]:
    """Rows sorted by these columns, all in one direction; by none, as they come.

    Raises:
        BadQuery: rows have no such column, or cannot be sorted by it.
    """
    for field in fields:
        if field not in SORT_FIELDS:
            words = "cannot order by true (type bool)" if field == "latest" else f"unknown field {field}"
            why = "it is true or false" if field == "latest" else "one of: " + ", ".join(SORT_FIELDS)
            raise BadQuery(f"images cannot be sorted by {field}: {why}", engine=words)
    getters = [SORT_FIELDS[field] for field in fields]
    if not getters:
        return tuple(rows)
    return tuple(sorted(rows, key=lambda row: tuple(get(row) for get in getters), reverse=not ascending))
