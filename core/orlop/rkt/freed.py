"""What the deletion of a set of rows frees in an ACI store."""

from collections.abc import Iterable

from orlop.records import Key
from orlop.rkt.model import Model
from orlop.rkt.rows import size_of


def freed(model: Model, keys: Iterable[Key]) -> int:
    """Bytes of archives, manifests and rendered trees; an ACI shares nothing, and a row that is gone counts nothing."""
    gone = {key.id for key in keys if key.id in model.images}
    return sum(size_of(model.images[key]) or 0 for key in gone)
