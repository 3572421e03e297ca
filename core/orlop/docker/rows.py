"""The image list of a Docker store: a row per name, and one per image without a name."""

import heapq
from collections.abc import Callable, Iterable, Mapping

from orlop import reference, times
from orlop.digest import is_digest
from orlop.docker import layout
from orlop.docker.model import ConfigState, Image, Model, TagFile
from orlop.docker.proven import Dates
from orlop.docker.surroundings import engine_state
from orlop.fs import Root
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


class Maker:
    """Makes the rows of a model; what many of them have in common is one object.

    Args:
        model: what the rows show.
        dates: tell which of them are verified.
    """

    def __init__(self, model: Model, dates: Dates | None = None) -> None:
        self._model = model
        self._dates = dates or None
        self._sizes = Sizes(model)
        self._flags = _Flags(model)

    def named(self, text: str) -> Row:
        """The row of a name."""
        entry = self._model.tags.references[text]
        repository, tag = reference.split(text)
        if repository == entry.repository:
            repository = entry.repository
        return self._row(Key("", entry.image, text), repository, tag)

    def bare(self, identity: str) -> Row:
        """The row of an image without a name."""
        return self._row(Key("", identity, None), "", "")

    def of(self, identity: str) -> list[Row]:
        """The rows of an id: one for each name; of an image without any, one; of what is not there, none."""
        names = self._model.names_of.get(identity)
        if names is not None:
            return [self.named(text) for text in names]
        return [self.bare(identity)] if identity in self._model.images else []

    def _row(self, key: Key, repository: str, tag: str) -> Row:
        image = self._model.images.get(key.id)
        sizes = self._sizes
        trust, condition, reason = _state(key, image, sizes)
        at = None
        if self._dates is not None and image is not None and trust is Trust.LINKED:
            at = self._dates.of_image(image)
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
            flags=self._flags.of(key.id, key.name),
            reason=reason,
        )


def rows(model: Model, dates: Dates | None = None) -> tuple[Row, ...]:
    """All rows, sorted by name, untagged images last by id; `dates` tell which of them are verified."""
    maker = Maker(model, dates)
    named = [maker.named(text) for text in model.tags.references]
    named.sort(key=place)
    return (*named, *map(maker.bare, sorted(model.images.keys() - model.names_of.keys())))


def place(row: Row) -> tuple[bool, str, str, str]:
    """What rows are sorted by."""
    name = row.key.name
    return (True, row.key.id, "", "") if name is None else (False, row.repository, row.tag, name)


def snapshot(model: Model, identity: StoreId, rows: tuple[Row, ...]) -> Snapshot:
    """Everything the image list shows."""
    return Snapshot(
        identity=identity,
        rows=rows,
        images=len(model.images),
        total_size=sum(layer.size or 0 for layer in model.layers.values()),
        seen_at=model.seen_at,
        engine=model.engine,
        engine_text=model.engine_text,
        notes=tuple(model.notes),
    )


class Names:
    """The names of a large store, told while the rest is read: rows of which it is only known that they are listed.

    Args:
        identity: the store.
        root: the store, whose engine is asked for.
        tell: takes the snapshots.
    """

    def __init__(self, identity: StoreId, root: Root, tell: Callable[[Snapshot], None]) -> None:
        self._identity = identity
        self._root = root
        self._tell = tell

    def first(self, repositories: Mapping[str, Mapping[str, str]]) -> None:
        """Tell the names that come first: more than any screen has lines; of a small store none."""
        if sum(map(len, repositories.values())) < _FEW:
            return
        chosen: list[Row] = []
        for repository in heapq.nsmallest(_FIRST, repositories):
            chosen += (_listed(text, repository, image) for text, image in repositories[repository].items())
            if len(chosen) >= _FIRST:
                break
        self._show(chosen)

    def names(self, tags: TagFile) -> None:
        """Tell all names; of a small store none."""
        if len(tags.references) >= _FEW:
            self._show([_listed(each.text, each.repository, each.image) for each in tags.references.values()])

    def _show(self, found: list[Row]) -> None:
        found.sort(key=place)
        engine, engine_text = engine_state(self._root)
        self._tell(
            Snapshot(
                identity=self._identity,
                rows=tuple(found),
                images=len({row.key.id for row in found}),
                total_size=0,
                seen_at=times.now(),
                engine=engine,
                engine_text=engine_text,
                notes=(),
                partial=True,
            )
        )


_FEW = 2000
"""Names up to which a store is read before anybody could look at them."""
_FIRST = 500


def _listed(text: str, listed_under: str, image: str) -> Row:
    repository, tag = reference.split(text)
    return Row(
        key=Key("", image, text),
        repository=listed_under if repository == listed_under else repository,
        tag=tag,
        created=None,
        size=None,
        own_size=None,
        platform="",
        trust=Trust.LISTED,
        verified_at=None,
        condition=Condition.SOUND,
        flags=_NO_FLAGS,
        reason="",
    )


_NO_FLAGS: frozenset[Flag] = frozenset()


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
