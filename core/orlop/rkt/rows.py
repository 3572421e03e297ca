"""The image list of an ACI store: one row per key, images with one name beside each other."""

from collections.abc import Iterable, Mapping

from orlop.records import Condition, Flag, Key, Row, Snapshot, StoreId, Trust
from orlop.rkt.catalogue import ZERO_TIME
from orlop.rkt.model import CatalogueState, Image, Model, State
from orlop.text import is_odd

_DAMAGED = frozenset({State.EMPTY, State.MALFORMED, State.WRONG_KIND, State.TOO_LARGE})

ROWS_KNOWN = frozenset({CatalogueState.GOOD, CatalogueState.OLD, CatalogueState.PENDING})
"""States in which an image without a row is known to have none."""
_ROWS_HIDDEN = frozenset({CatalogueState.LATER, CatalogueState.UNREADABLE})
"""States in which the rows are there, and another program or user can read them."""

NO_ROW = "it has no row: rkt neither lists it nor removes it"


def rows(model: Model) -> tuple[Row, ...]:
    """All rows, sorted by name, of each name the newest first; images whose name is unknown last, by key."""
    found = [_row(model, image) for image in model.images.values()]
    found.sort(key=_order)
    return tuple(found)


def snapshot(model: Model, identity: StoreId) -> Snapshot:
    """Everything the image list shows."""
    found = rows(model)
    return Snapshot(
        identity=identity,
        rows=found,
        images=len(found),
        total_size=sum(row.size or 0 for row in found),
        seen_at=model.seen_at,
        engine=model.engine,
        engine_text=model.engine_text,
        notes=tuple(model.notes),
    )


def name_of(image: Image) -> str:
    """The name of an image, by its row, else by its manifest; empty where neither tells."""
    return image.row.name if image.row is not None else image.manifest.name


def key_of(image: Image) -> Key:
    """What identifies an image's row in the list: its key, and its name with the version label."""
    name = name_of(image)
    version = image.manifest.label("version")
    return Key("", image.key, (f"{name}:{version}" if version else name) or None)


def by_key(rows: Iterable[Row]) -> Mapping[Key, Row]:
    """Rows by their key."""
    return {row.key: row for row in rows}


def _order(row: Row) -> tuple[bool, str, int, str]:
    return (row.key.name is None, row.repository, -(row.created if row.created is not None else ZERO_TIME), row.id)


def _row(model: Model, image: Image) -> Row:
    row = image.row
    trust, condition, reason = _state(model, image)
    size = size_of(image)
    return Row(
        key=key_of(image),
        repository=name_of(image),
        tag=image.manifest.label("version"),
        created=_time(row.imported) if row is not None else None,
        size=size,
        own_size=size,  # every image is one archive: nothing of it is another's
        platform="/".join(part for part in map(image.manifest.label, ("os", "arch")) if part),
        trust=trust,
        verified_at=None,
        condition=condition,
        flags=frozenset(_flags(model, image)),
        reason=reason,
        last_used=_time(row.last_used) if row is not None else None,
    )


def _time(instant: int) -> int | None:
    return None if instant == ZERO_TIME else instant


def size_of(image: Image) -> int | None:
    """Archive and rendered tree, as rkt's row says; the archive's own where a row never got it, or is none."""
    row = image.row
    if row is None:
        return image.blob.size if image.blob.state is State.GOOD else None
    return max((row.size or image.blob.size) + row.tree_size, 0)


def _flags(model: Model, image: Image) -> Iterable[Flag]:
    if image.row is not None and image.row.latest:
        yield Flag.LATEST
    if image.key in model.pods:
        yield Flag.IN_USE
    if image.key in model.dependents_of:
        yield Flag.PARENT
    if is_odd(key_of(image).name or ""):
        yield Flag.ODD_NAME


def _state(model: Model, image: Image) -> tuple[Trust, Condition, str]:
    if image.blob.state in _DAMAGED:
        return Trust.LISTED, Condition.DAMAGED, image.blob.why
    if image.manifest.state in _DAMAGED:
        return Trust.LISTED, Condition.DAMAGED, f"its manifest: {image.manifest.why}"
    if image.blob.state is not State.GOOD:
        return Trust.LISTED, Condition.INCOMPLETE, image.blob.why
    if image.manifest.state is not State.GOOD:
        return Trust.LISTED, Condition.INCOMPLETE, image.manifest.why
    if image.row is None and model.catalogue.state in _ROWS_HIDDEN:
        return Trust.LISTED, Condition.SOUND, ""
    if image.row is None:
        known = model.catalogue.state in ROWS_KNOWN
        why = NO_ROW if known else f"its row cannot be known: {model.catalogue.why}"
        return Trust.LISTED, Condition.INCOMPLETE, why
    lost = missing_dependencies(image)
    if lost:
        return Trust.LISTED, Condition.INCOMPLETE, f"it depends on {lost[0]}, which is not in the store"
    return Trust.LINKED, Condition.SOUND, ""


def missing_dependencies(image: Image) -> tuple[str, ...]:
    """Names of the dependencies that no image of the store answers."""
    pairs = zip(image.manifest.dependencies, image.dependencies, strict=True)
    return tuple(wanted.name for wanted, key in pairs if key is None)
