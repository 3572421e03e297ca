"""What of the records of a whole store are one image's: the same rule for who writes a snapshot and who reads it."""

from collections.abc import Iterable

from orlop.records import Absent, Detail, Facet, Key, LayerRecord, Mapping, Records, Remote, Upload


def derived(facet: Facet, whole: Records | Absent, key: Key, detail: Detail | None) -> Records | Absent:
    """The records of one image, of those of the store.

    Args:
        facet: which.
        whole: the records of the store.
        key: of the image.
        detail: of the image; None where it is not known: then it has no layers.
    """
    if isinstance(whole, Absent):
        return whole
    match facet:
        case Facet.MAPPINGS:
            by_layer: dict[str, list[Mapping]] = {}
            for one in whole:
                if isinstance(one, Mapping):
                    by_layer.setdefault(one.diff_id, []).append(one)
            layers = dict.fromkeys(layer.diff_id for layer in detail.layers) if detail is not None else {}
            return tuple(one for diff_id in layers for one in by_layer.get(diff_id, ()))
        case Facet.REMOTES:
            return tuple(one for one in whole if isinstance(one, Remote) and one.image == key.id)
        case Facet.UPLOADS:
            return tuple(one for one in whole if isinstance(one, Upload) and one.repository == key.scope)


def name_of(layer: LayerRecord) -> str:
    """What a layer is called where all that have it are listed once."""
    return layer.chain_id or layer.digest or layer.diff_id


def others(users: Iterable[str], image: str) -> tuple[str, ...]:
    """The images that share a layer with one of those that have it."""
    return tuple(user for user in users if user != image)


def typed(facet: Facet, found: Iterable[Mapping | Remote | Upload]) -> Records:
    """Records as those of a facet; any other is passed over."""
    match facet:
        case Facet.MAPPINGS:
            return tuple(one for one in found if isinstance(one, Mapping))
        case Facet.REMOTES:
            return tuple(one for one in found if isinstance(one, Remote))
        case Facet.UPLOADS:
            return tuple(one for one in found if isinstance(one, Upload))
