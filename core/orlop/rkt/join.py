"""The model of an ACI store from its parts: every question answered from values, without the disk."""

from collections.abc import Iterable, Mapping, Sequence

from orlop import times
from orlop.fs import Root
from orlop.rkt import layout
from orlop.rkt.catalogue import ImageRow
from orlop.rkt.choosing import Chooser
from orlop.rkt.model import Blob, Image, Manifest, Model, State, Unreadable
from orlop.rkt.parts import Parts
from orlop.rkt.surroundings import engine_state, notes

_NO_BLOB = Blob(state=State.MISSING, why="the archive is missing")
_NO_MANIFEST = Manifest(state=State.MISSING, why="the manifest is missing")
_NO_KEY = "its row has no key that a file could have"


def join_model(root: Root, parts: Parts) -> Model:
    """The model as of now."""
    unreadable = (
        *parts.blobs.unreadable(),
        *parts.manifests.unreadable(),
        *parts.trees.unreadable,
        *parts.pods.unreadable,
        *parts.leftovers.unreadable,
    )
    engine, engine_text = engine_state(root)
    contents = parts.catalogue.contents
    images = _images(parts, contents.images, unreadable)
    remotes = {remote.url: remote for remote in contents.remotes}
    trees = parts.trees.entries
    debris = (
        *parts.leftovers.without_live_locks(images, trees),
        *parts.blobs.debris(),
        *parts.manifests.debris(),
        *parts.trees.debris,
    )
    return Model(
        catalogue=parts.catalogue,
        images=images,
        remotes=remotes,
        trees=trees,
        pods=parts.pods.images(),
        tree_pods=parts.pods.trees(),
        debris=debris,
        unreadable=unreadable,
        engine=engine,
        engine_text=engine_text,
        notes=notes(root, parts.catalogue, unreadable, engine, engine_text, _denied(parts)),
        seen_at=times.now(),
        pods_known=parts.pods.known,
        pods_seen=parts.pods.entries,
        remotes_of=_grouped((remote.key, url) for url, remote in remotes.items()),
        trees_of=_grouped((tree.image, tree.id) for tree in trees.values() if tree.image is not None),
        dependents_of=_grouped((key, image.key) for image in images.values() for key in image.dependencies if key),
    )


def _denied(parts: Parts) -> int:
    """How many manifests this user may not read."""
    return sum(found.state is State.UNREADABLE and not found.engine_says for _, found in parts.manifests.items())


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    groups: dict[str, set[str]] = {}
    for key, value in pairs:
        groups.setdefault(key, set()).add(value)
    return {key: tuple(sorted(values)) for key, values in groups.items()}


def _images(parts: Parts, rows: Sequence[ImageRow], unreadable: Sequence[Unreadable]) -> dict[str, Image]:
    """Every key that a row or a file has: those with rows in the table's order, then the others by key."""
    blobs = dict(parts.blobs.items())
    manifests = dict(parts.manifests.items())
    by_key = {row.key: row for row in reversed(rows)}
    chooser = Chooser(rows, manifests)
    hidden = _Hidden(unreadable)
    keys = [*dict.fromkeys(row.key for row in rows), *sorted((blobs.keys() | manifests.keys()) - by_key.keys())]
    images: dict[str, Image] = {}
    for key in keys:
        manifest = manifests.get(key) or hidden.manifest(key)
        images[key] = Image(
            key=key,
            row=by_key.get(key),
            blob=blobs.get(key) or hidden.blob(key),
            manifest=manifest,
            dependencies=tuple(map(chooser.dependency, manifest.dependencies)),
        )
    return images


class _Hidden:
    """What is said of a file that was not met: missing, unless it is in a part that could not be read."""

    def __init__(self, unreadable: Sequence[Unreadable]) -> None:
        self._why: Mapping[str, str] = {part.path: part.why for part in unreadable}

    def blob(self, key: str) -> Blob:
        if not layout.is_key(key):
            return Blob(state=State.MISSING, why=_NO_KEY)
        why = self._above(layout.blob(key))
        return Blob(state=State.UNREADABLE, why=why) if why else _NO_BLOB

    def manifest(self, key: str) -> Manifest:
        if not layout.is_key(key):
            return Manifest(state=State.MISSING, why=_NO_KEY)
        why = self._above(layout.manifest(key))
        return Manifest(state=State.UNREADABLE, why=why) if why else _NO_MANIFEST

    def _above(self, path: str) -> str:
        while path and self._why:
            if path in self._why:
                return self._why[path]
            path = path.rpartition("/")[0]
        return ""
