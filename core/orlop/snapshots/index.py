"""What the images of a snapshot have in common, made when it is first asked for."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from orlop.records import Detail, Holding, Key, LayerRecord, Mapping, Remote, Row
from orlop.snapshots.rules import name_of


@dataclass(slots=True)
class Layer:
    """One layer, by its chain id, or else by what it has."""

    record: LayerRecord
    users: dict[Key, None] = field(default_factory=dict)
    """The images that have it, without a name, in the order of the list."""

    @property
    def identities(self) -> Iterator[str]:
        """Every text that means it."""
        found = self.record
        place = (found.data_path or "").split("/")
        yield from (text for text in (found.diff_id, found.chain_id, found.digest, *place) if len(text) > 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Images and layers by each other."""

    layers: dict[str, Layer]
    layers_of: dict[Key, tuple[str, ...]]
    """An image without a name → its layers."""
    configs: dict[Key, str]
    """An image without a name → path of its config."""

    def layer_users(self, text: str) -> Iterator[tuple[Layer, Key]]:
        """Layers that one of their identities starts so, and the images that have them."""
        for layer in self.layers.values():
            if any(_starts(identity, text) for identity in layer.identities):
                yield from ((layer, user) for user in layer.users)


def nameless(key: Key) -> Key:
    """The image of a row."""
    return Key(key.scope, key.id, None)


def index(details: Iterable[Detail]) -> Index:
    """The index over each image once."""
    layers: dict[str, Layer] = {}
    layers_of: dict[Key, tuple[str, ...]] = {}
    configs: dict[Key, str] = {}
    for detail in details:
        image = nameless(detail.key)
        names = []
        for record in detail.layers:
            name = name_of(record)
            layers.setdefault(name, Layer(record)).users[image] = None
            names.append(name)
        layers_of[image] = tuple(dict.fromkeys(names))
        configs[image] = detail.config_path
    return Index(layers=layers, layers_of=layers_of, configs=configs)


def holders(
    found: Index, rows: Iterable[Row], mappings: Iterable[Mapping], remotes: Iterable[Remote], how: Holding, text: str
) -> frozenset[str]:
    """Ids of the images that hold what answers to a text; see `orlop.store.Store.holders`."""
    wanted = text.lower()
    ids: set[str] = set()
    if how in (Holding.LAYER, Holding.DIGEST):
        ids |= {user.id for _, user in found.layer_users(wanted)}
    if how is Holding.DIGEST:
        ids |= {row.id for row in rows if _starts(row.id, wanted) or _starts(row.tag, wanted)}
        ids |= {key.id for key, path in found.configs.items() if any(_starts(part, wanted) for part in path.split("/"))}
        ids |= {image for one in mappings if _starts(one.digest, wanted) for image in one.images}
    if how is Holding.SOURCE:
        ids |= {image for one in mappings if wanted in one.source.lower() for image in one.images}
        ids |= {one.image for one in remotes if one.image and wanted in f"{one.url} {one.reference}".lower()}
    return frozenset(ids - {""})


def freed(found: Index, rows: Iterable[Row], keys: Iterable[Key]) -> int:
    """Bytes that only these rows' images have; see `orlop.store.Store.freed`."""
    names: dict[Key, set[Key]] = {}
    sizes: dict[Key, int] = {}
    for row in rows:
        names.setdefault(nameless(row.key), set()).add(row.key)
        sizes[nameless(row.key)] = row.own_size or 0
    chosen = set(keys)
    gone = {image for image, own in names.items() if image in chosen or own <= chosen}
    bytes_of_layers = sum(
        layer.record.size or 0 for layer in found.layers.values() if layer.users and layer.users.keys() <= gone
    )
    return bytes_of_layers + sum(sizes[image] for image in gone if not found.layers_of.get(image))


def _starts(text: str, start: str) -> bool:
    bare = text.lower()
    return bool(start) and (bare.startswith(start) or bare.partition(":")[2].startswith(start))
