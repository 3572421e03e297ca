"""The image list of a Docker store: a row per name, and one per image without a name."""

from collections.abc import Iterable, Mapping

from orlop import reference
from orlop.digest import is_digest
from orlop.docker import layout
from orlop.docker.model import ConfigState, Image, Model
from orlop.docker.proven import Dates
from orlop.records import Condition, Flag, Key, Row, Snapshot, StoreId, Trust
from orlop.text import is_odd

_BAD = {
    ConfigState.EMPTY: Condition.DAMAGED,
    ConfigState.ALTERED: Condition.DAMAGED,
    ConfigState.MALFORMED: Condition.DAMAGED,
    ConfigState.WRONG_KIND: Condition.DAMAGED,
    ConfigState.UNREADABLE: Condition.INCOMPLETE,
    ConfigState.MISSING: Condition.INCOMPLETE,
}


class Sizes:
    """Sizes of layer stacks, each prefix added up once."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._layers = model.layers
        self._users = model.users_of
        self._total: dict[str, int | None] = {}
        self._faults: dict[str, str] = {}

    def total(self, chain: tuple[str, ...]) -> int | None:
        """Bytes of all layers of a stack; None where one record gives none."""
        if not chain:
            return 0
        known = self._total.get(chain[-1], -1)
        if known != -1:
            return known
        total: int | None = 0
        for chain_id in chain:
            layer = self._layers.get(chain_id)
            total = None if total is None or layer is None or layer.size is None else total + layer.size
            self._total[chain_id] = total
        return total

    def own(self, chain: tuple[str, ...]) -> int | None:
        """Bytes of the layers that one image alone uses: the top of its stack down to the first shared one."""
        if self.total(chain) is None:
            return None
        own = 0
        for chain_id in reversed(chain):
            if len(self._users.get(chain_id, ())) > 1:
                break
            own += self._layers[chain_id].size or 0
        return own

    def fault(self, chain: tuple[str, ...]) -> str:
        """Why a stack cannot be used, one clause; empty where every record is there and agrees."""
        if not chain:
            return ""
        known = self._faults.get(chain[-1])
        if known is None:
            known = next((why for why in map(self._layer_fault, chain) if why), "")
            self._faults[chain[-1]] = known
        return known

    def _layer_fault(self, chain_id: str) -> str:
        layer = self._layers.get(chain_id)
        short = chain_id[7:19]
        if layer is None:
            hidden = self._model.unseen(layout.layer(self._model.driver, chain_id))
            return f"the record of layer {short} cannot be read" if hidden else f"layer {short} has no record"
        if layer.problems:
            file, why = next(iter(layer.problems.items()))
            return f"layer {short}: {why}" if file == "." else f"layer {short}: {file} is {why}"
        if layer.parent_lost:
            return f"layer {short} lost its parent: the next delete may take layers it needs"
        if not layer.data:
            return f"layer {short} has no data: {layer.data_path} is missing"
        return ""


def rows(model: Model, dates: Dates | None = None) -> tuple[Row, ...]:
    """All rows, sorted by name, untagged images last by id; `dates` tell which of them are verified."""
    sizes = Sizes(model)
    flags = _Flags(model)
    known = dates or None
    named: list[Row] = []
    for text, entry in model.tags.references.items():
        image = model.images.get(entry.image)
        repository, tag = reference.split(text)
        key = Key("", entry.image, text)
        named.append(_row(key, repository, tag, image, sizes, flags.of(entry.image, text), known))
    named.sort(key=lambda row: (row.repository, row.tag))
    bare = [
        _row(Key("", image.id, None), "", "", image, sizes, flags.of(image.id, None), known)
        for image in sorted(model.images.values(), key=lambda image: image.id)
        if image.id not in model.names_of
    ]
    return (*named, *bare)


def snapshot(model: Model, identity: StoreId, dates: Dates | None = None) -> Snapshot:
    """Everything the image list shows; `dates` tell which rows are verified."""
    return Snapshot(
        identity=identity,
        rows=rows(model, dates),
        images=len(model.images),
        total_size=sum(layer.size or 0 for layer in model.layers.values()),
        seen_at=model.seen_at,
        engine=model.engine,
        engine_text=model.engine_text,
        notes=tuple(model.notes),
    )


class _Flags:
    """The flags of a row; equal sets are one object."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._sets: dict[frozenset[Flag], frozenset[Flag]] = {}

    def of(self, image: str, name: str | None) -> frozenset[Flag]:
        found = frozenset(self._each(image, name))
        return self._sets.setdefault(found, found)

    def _each(self, image: str, name: str | None) -> Iterable[Flag]:
        if name is None:
            yield Flag.UNTAGGED
        else:
            if self._model.tags.references[name].problem or is_odd(name):
                yield Flag.ODD_NAME
            if "@" in name:
                yield Flag.DIGEST_ONLY
        if image in self._model.containers_of:
            yield Flag.IN_USE
        if image in self._model.children_of:
            yield Flag.PARENT


def _row(
    key: Key,
    repository: str,
    tag: str,
    image: Image | None,
    sizes: Sizes,
    flags: frozenset[Flag],
    dates: Dates | None,
) -> Row:
    trust, condition, reason = _state(key, image, sizes)
    at = None
    if dates is not None and image is not None and trust is Trust.LINKED:
        at = dates.of_image(image)
    good = image is not None and image.config is ConfigState.GOOD
    return Row(
        key=key,
        repository=repository,
        tag=tag,
        created=image.created if image is not None else None,
        size=sizes.total(image.chain) if good and image is not None else None,
        own_size=sizes.own(image.chain) if good and image is not None else None,
        platform=image.platform if image is not None else "",
        trust=trust if at is None else Trust.VERIFIED,
        verified_at=at,
        condition=condition,
        flags=flags,
        reason=reason,
    )


def _state(key: Key, image: Image | None, sizes: Sizes) -> tuple[Trust, Condition, str]:
    if image is None:
        why = "no such image" if is_digest(key.id) else "its image id is no digest"
        return Trust.LISTED, Condition.INCOMPLETE, why
    if image.config is ConfigState.TOO_LARGE:
        return Trust.LISTED, Condition.SOUND, image.why
    if image.config is not ConfigState.GOOD:
        return Trust.LISTED, _BAD[image.config], image.why
    fault = sizes.fault(image.chain)
    if fault:
        return Trust.LISTED, Condition.INCOMPLETE, fault
    return Trust.LINKED, Condition.SOUND, ""


def by_key(rows: Iterable[Row]) -> Mapping[Key, Row]:
    """Rows by their key."""
    return {row.key: row for row in rows}
