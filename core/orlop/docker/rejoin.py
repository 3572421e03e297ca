"""Join again only what a re-read touched; the rest of the model is the model before.

Each join of `orlop.docker.join` is a table. A read that names what changed alters few
lines of a few tables: those are copied as they are, which costs next to nothing, and
the lines put right. Which rows of the image list can look different follows from that.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from orlop.digest import is_digest
from orlop.docker import join
from orlop.docker.area import Area
from orlop.docker.model import ConfigState, Image, Layer, Model, Reference
from orlop.docker.read import Parts
from orlop.fs import Root

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejoined:
    """A model, and what of the image list may differ from the model before."""

    model: Model
    images: frozenset[str] | None
    """Ids whose rows may differ, may have come or gone; None: all."""


def rejoin(root: Root, parts: Parts, old: Parts, before: Model) -> Rejoined:
    """The model of some parts, made from the model of the parts before; it equals what `join_model` gives."""
    if any(area.changed is None for area in parts.areas) or join.unreadable_in(parts) != list(before.unreadable):
        return Rejoined(model=join.join_model(root, parts), images=None)
    again = _Again(parts, old, before)
    tables = again.tables()
    return Rejoined(model=join.model_of(root, parts, tables), images=frozenset(again.rows))


class _Again:
    """One join, made of the one before."""

    def __init__(self, parts: Parts, old: Parts, before: Model) -> None:
        self._parts = parts
        self._old = old
        self._before = before
        self.rows: set[str] = set()
        """Ids whose rows may differ."""

    def tables(self) -> join.Tables:
        parts, before = self._parts, self._before
        texts = self._changed_names()
        old_tags, tags = self._old.tags.references, parts.tags.references
        names_of = regrouped(before.names_of, ((_image(old_tags, text), _image(tags, text), text) for text in texts))
        containers_of = join.containers_by_image(parts) if parts.containers.changed else before.containers_of
        ids = self._changed_images(texts, containers_of)
        images = self._images(ids, names_of, containers_of)
        users_of = self._users(ids, images)
        chains = ["sha256:" + name for name in parts.layers.changed or ()]
        layers = _updated(before.layers, parts.layers)
        pairs = [(before.layers.get(chain_id), layers.get(chain_id), chain_id) for chain_id in chains]
        layer_children_of = regrouped(
            before.layer_children_of, ((_parent_of(one), _parent_of(two), chain_id) for one, two, chain_id in pairs)
        )
        chain_of_diff = regrouped(
            before.chain_of_diff, ((_diff_of(one), _diff_of(two), chain_id) for one, two, chain_id in pairs)
        )
        for chain_id in chains:
            self.rows.update(before.users_of.get(chain_id, ()), users_of.get(chain_id, ()))
        return join.Tables(
            images=images,
            layers=layers,
            v2_lists=_updated(before.v2_lists, parts.v2_lists),
            v2_reverse=_updated(before.v2_reverse, parts.v2_reverse),
            metadata_only=self._metadata_only(ids, images),
            names_of=names_of,
            children_of=self._children(ids, images),
            users_of=users_of,
            layer_children_of=layer_children_of,
            mounts_on=join.mounts_by_layer(parts) if parts.mounts.changed else before.mounts_on,
            containers_of=containers_of,
            chain_of_diff=chain_of_diff,
            broken_chain=join.broken_chains(layers, layer_children_of) if chains else before.broken_chain,
            hidden=before.hidden
            + sum(join.is_hidden(images.get(one)) - join.is_hidden(before.images.get(one)) for one in ids),
        )

    def _changed_names(self) -> Iterable[str]:
        """Texts of names whose entry differs."""
        if self._parts.tags is self._old.tags:
            return ()
        if self._parts.tags.changed is not None:
            return self._parts.tags.changed
        before, after = self._old.tags.references, self._parts.tags.references
        found = [text for text, entry in after.items() if before.get(text) is not entry]
        return [*found, *(before.keys() - after.keys())]

    def _changed_images(self, texts: Iterable[str], containers_of: Mapping[str, tuple[str, ...]]) -> set[str]:
        """Ids of images that may be others, or that are named by something else than before."""
        parts = self._parts
        ids = {"sha256:" + name for name in (*(parts.configs.changed or ()), *(parts.parents.changed or ()))}
        for text in texts:
            for references in (self._old.tags.references, parts.tags.references):
                if text in references:
                    ids.add(references[text].image)
        if containers_of is not self._before.containers_of:
            ids.update(self._before.containers_of, containers_of)
        self.rows |= ids
        return ids

    def _images(
        self, ids: Iterable[str], names_of: Mapping[str, object], containers_of: Mapping[str, object]
    ) -> Mapping[str, Image]:
        parts, before = self._parts, self._before.images
        hidden = join.hidden_configs(parts)
        images: dict[str, Image] | None = None
        for identity in ids:
            name = identity.removeprefix("sha256:")
            image = parts.configs.entries.get(name)
            key = parts.parents.entries.get(name)
            if image is None and (key is not None or identity in names_of or identity in containers_of):
                image = join.nameless(parts, hidden, identity) if is_digest(identity) else None
            if image is not None and key is not None and (key.text is not None or key.problem):
                image = join.with_parent(image, key)
            if image == before.get(identity):
                continue
            if images is None:
                images = dict(before)
            images.pop(identity, None)
            if image is not None:
                images[identity] = image
        return before if images is None else images

    def _users(self, ids: Iterable[str], images: Mapping[str, Image]) -> Mapping[str, tuple[str, ...]]:
        before = self._before
        moves: list[tuple[str | None, str | None, str]] = []
        for identity in ids:
            old, new = _chain_of(before.images.get(identity)), _chain_of(images.get(identity))
            if old != new:
                moves += ((chain_id, None, identity) for chain_id in dict.fromkeys(old))
                moves += ((None, chain_id, identity) for chain_id in dict.fromkeys(new))
        users_of = regrouped(before.users_of, moves)
        for chain_id in {chain_id for one, two, _ in moves for chain_id in (one, two) if chain_id is not None}:
            was, now = before.users_of.get(chain_id, ()), users_of.get(chain_id, ())
            if (len(was) > 1) != (len(now) > 1):  # what is an image's own depends on no more than that
                self.rows.update(was, now)
        return users_of

    def _children(self, ids: Iterable[str], images: Mapping[str, Image]) -> Mapping[str, tuple[str, ...]]:
        moves = [(_kin(self._before.images.get(one)), _kin(images.get(one)), one) for one in ids]
        self.rows.update(parent for old, new, _ in moves if old != new for parent in (old, new) if parent is not None)
        return regrouped(self._before.children_of, moves)

    def _metadata_only(self, ids: set[str], images: Mapping[str, Image]) -> frozenset[str]:
        entries = self._parts.parents.entries
        now = {
            identity
            for identity in ids
            if identity.removeprefix("sha256:") in entries and images[identity].config is ConfigState.MISSING
        }
        before = self._before.metadata_only
        return before if before & ids == now else (before - ids) | now


def _chain_of(image: Image | None) -> tuple[str, ...]:
    return image.chain if image is not None else ()


def _kin(image: Image | None) -> str | None:
    """The parent that an image is a child of."""
    return (image.parent or None) if image is not None and image.config is not ConfigState.MISSING else None


def _parent_of(layer: Layer | None) -> str | None:
    return (layer.parent or None) if layer is not None else None


def _diff_of(layer: Layer | None) -> str | None:
    return (layer.diff_id or None) if layer is not None else None


def _image(references: Mapping[str, Reference], text: str) -> str | None:
    entry = references.get(text)
    return entry.image if entry is not None else None


def _updated(before: Mapping[str, T], area: Area[T]) -> Mapping[str, T]:
    """A table by digest with the entries of an area that changed."""
    if not area.changed:
        return before
    table = dict(before)
    for name in area.changed:
        table.pop("sha256:" + name, None)
        if name in area.entries:
            table["sha256:" + name] = area.entries[name]
    return table


def regrouped(
    before: Mapping[str, tuple[str, ...]], moves: Iterable[tuple[str | None, str | None, str]]
) -> Mapping[str, tuple[str, ...]]:
    """Groups as `orlop.docker.join.grouped` makes them, after values went from one key to another.

    Args:
        before: the groups.
        moves: for each value the key that it had and the one that it has, None for none; and the value.
    """
    groups: dict[str, tuple[str, ...]] | None = None
    for old, new, value in moves:
        if old == new:
            continue
        if groups is None:
            groups = dict(before)
        if old is not None:
            values = groups.pop(old)
            at = bisect_left(values, value)
            if len(values) > 1:
                groups[old] = values[:at] + values[at + 1 :]
        if new is not None:
            values = groups.get(new, ())
            at = bisect_left(values, value)
            groups[new] = (*values[:at], value, *values[at:])
    return before if groups is None else groups
