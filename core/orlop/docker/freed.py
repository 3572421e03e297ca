"""What the deletion of a set of rows frees in a Docker store."""

from collections.abc import Iterable

from orlop.docker.model import Model
from orlop.docker.removal import going
from orlop.records import Key


def freed(model: Model, keys: Iterable[Key]) -> int:
    """Bytes of the layers that only images use which go with these rows; a row that is gone counts nothing.

    Every layer counts once, however many of the images use it.
    """
    gone = going(model, [key for key in keys if _is_there(model, key)])
    used = {chain_id for image in gone for chain_id in model.images[image].chain}
    free = (model.layers.get(chain_id) for chain_id in used if gone.issuperset(model.users_of.get(chain_id, ())))
    return sum(layer.size or 0 for layer in free if layer is not None)


def _is_there(model: Model, key: Key) -> bool:
    if key.name is None:
        return key.id in model.images or key.id in model.names_of
    found = model.tags.references.get(key.name)
    return found is not None and found.image == key.id
