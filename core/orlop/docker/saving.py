"""Images out of a data root, as archives that engines load: configs unchanged, layers rebuilt byte for byte.

A layer's archive is rebuilt from its recipe and the driver's files, as the engine does it
(moby, layer/ro_layer.go, TarStream), and must hash to its diff id. How long it will be
the recipe says, so that nothing is kept and the output need not be able to seek.
"""

import os
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from orlop import archives
from orlop.archives import Content, Gauge
from orlop.digest import Digest
from orlop.docker import content, layout, tarsplit
from orlop.docker.layerplace import Place, place_of
from orlop.docker.layertree import LayerTree, is_hindrance, pieces
from orlop.docker.model import ConfigState, Image, Model
from orlop.errors import Changed, DigestMismatch, Malformed, NotFound, OrlopError, StorageFailure, Unsupported
from orlop.fs import Root, join, translate
from orlop.progress import Progress
from orlop.records import Key
from orlop.store import Saved

_MOST = 1 << 62
_DO = "`orlop check PATH --content` names all that it hurts; pull or build those again, or put the file back"


def save(
    root: Root, model: Model, keys: Iterable[Key], to: BinaryIO, *, form: str | None, progress: Progress
) -> tuple[Saved, ...]:
    """Write images as ``docker-archive`` (the default) or ``oci-archive``; see `orlop.store.Store.save`.

    Parents that are no layers of their own are not among them: each config has its whole
    history. Where both an image and its parent are saved, the archive says so.

    Raises:
        Unsupported: another form; layers of a driver whose folders are not known.
        NotFound: no such image; its config, a layer's record, recipe or folder is not there.
        DigestMismatch: a config, or a layer; the wrong files of the layer are named.
        Malformed: a config or a recipe that cannot be used.
        NoPermission, StorageFailure, Cancelled
    """
    chosen = form or archives.DOCKER
    if chosen not in (archives.DOCKER, archives.OCI):
        raise Unsupported(
            f"images of a Docker data root cannot be saved as {chosen}", do="docker-archive or oci-archive"
        )
    work = _Saving(root, model, progress)
    wanted = _wanted(model, keys)
    images = [work.image(identity, names) for identity, names in wanted.items()]
    work.measured()
    if chosen == archives.DOCKER:
        written = archives.docker_archive(to, [one.entry(parent=_parent(model, one.id, wanted)) for one in images])
    else:
        written = archives.oci_archive(to, [one.as_oci() for one in images])
    work.gauge.flush()
    return tuple(
        Saved(form=chosen, id=made.id, names=made.names, bytes=count, remarks=made.remarks)
        for made, count in zip(images, written, strict=True)
    )


def _wanted(model: Model, keys: Iterable[Key]) -> dict[str, list[str]]:
    """Image ids in the order of the keys, each with the names that it is to have."""
    found: dict[str, list[str]] = {}
    for key in keys:
        image = model.images.get(key.id)
        if image is None or image.config is ConfigState.MISSING:
            raise NotFound(
                f"the image {key.id} is not in the store",
                path=layout.config(model.driver, key.id) if image is not None else None,
                why=image.why if image is not None else "",
                do="`orlop ls PATH` lists what is there",
            )
        names = [key.name] if key.name is not None else list(model.names_of.get(key.id, ()))
        found.setdefault(key.id, []).extend(names)
    return found


def _parent(model: Model, image: str, saved: Container[str]) -> str:
    parent = model.images[image].parent
    return parent if parent is not None and parent in saved else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """One image, ready to be written."""

    id: str
    names: tuple[str, ...]
    remarks: tuple[str, ...]
    config: Content
    layers: tuple[Content, ...]

    def entry(self, *, parent: str) -> archives.Image:
        return archives.Image(contents=(self.config, *self.layers), names=self.names, parent=parent)

    def as_oci(self) -> archives.Image:
        manifest = archives.oci_manifest(self.config, self.layers)
        top = _kept(Digest.of(manifest), manifest, "")
        return archives.Image(contents=(top, self.config, *self.layers), names=self.names)


@dataclass(slots=True)
class _Saving:
    """What is shared by the images of one archive."""

    root: Root
    model: Model
    progress: Progress
    gauge: Gauge = field(init=False)
    _layers: dict[str, Content] = field(default_factory=dict)
    """By diff id: what images have in common is rebuilt once."""

    def __post_init__(self) -> None:
        self.gauge = Gauge(self.progress, 0)

    def image(self, identity: str, names: Iterable[str]) -> _Made:
        image = self.model.images[identity]
        config = self._config(image)
        tags, remarks = archives.tags_of(names)
        layers = [self._layer(*each) for each in zip(image.diff_ids, image.chain, strict=True)]
        return _Made(id=identity, names=tags, remarks=remarks, config=config, layers=tuple(layers))

    def measured(self) -> None:
        """All layers are known now: so is how much there is to write."""
        self.gauge = Gauge(self.progress, sum(layer.size for layer in self._layers.values()))

    def _config(self, image: Image) -> Content:
        path = layout.config(self.model.driver, image.id)
        data = self.root.read(path)
        actual = Digest.of(data)
        if actual != image.id:
            raise _mismatch(image.id, actual, path, "", _DO)
        if image.config is not ConfigState.GOOD:
            raise Malformed(image.why, path=path, engine=image.engine_says, do=_DO)
        return _kept(image.id, data, path)

    def _layer(self, diff_id: str, chain_id: str) -> Content:
        if diff_id not in self._layers:
            place = self._place(diff_id, chain_id)
            self.progress.step("recipes", len(self._layers), 0)
            self._layers[diff_id] = Content(
                digest=diff_id,
                size=self._size(place),
                pieces=lambda: self._told(self._rebuilt(diff_id, chain_id, place)),
                blame=lambda actual: self._blamed(diff_id, chain_id, place, actual),
            )
        return self._layers[diff_id]

    def _place(self, diff_id: str, chain_id: str) -> Place:
        driver = self.model.driver
        layer = self.model.layers.get(chain_id)
        record = layout.layer(driver, chain_id)
        if layer is None:
            raise NotFound(f"the layer {diff_id} has no record", path=record, do=_DO)
        if layer.cache_id is None:
            why = layer.problems.get("cache-id") or layer.problems.get(".") or "it does not say where its files are"
            raise Malformed(why, path=record, engine=layer.engine_says, do="`orlop check PATH` says more")
        place = place_of(self.model, layer)
        if place is None:
            raise Unsupported(
                f"layers of the driver {driver} cannot be saved",
                why=f"how it keeps files is known of {' and '.join(layout.READABLE_DRIVERS)} only",
                do="start the engine, and `docker save`",
            )
        return place

    def _size(self, place: Place) -> int:
        """How long a layer's archive is, by its recipe."""
        total = 0
        with self._recipe(place) as lines:
            try:
                for entry in tarsplit.entries(lines):
                    total += len(entry.payload) if isinstance(entry, tarsplit.Segment) else entry.size
                    if total > _MOST:
                        raise Malformed("its sizes add up to more than any disk has")
            except Malformed as error:
                raise _unusable(error, place) from error
        return total

    def _recipe(self, place: Place) -> BinaryIO:
        try:
            return self.root.stream(place.recipe)
        except NotFound as error:
            error.why = "this recipe for the layer's exact archive is missing, so that it cannot be rebuilt"
            error.do = _DO
            raise

    def _told(self, parts: Iterable[bytes]) -> Iterator[bytes]:
        for part in archives.gathered(parts):
            self.gauge(len(part))
            yield part

    def _rebuilt(self, diff_id: str, chain_id: str, place: Place) -> Iterator[bytes]:
        """The bytes of a layer's archive, as the recipe and the files give them; they may be wrong."""
        try:
            with self._recipe(place) as lines, LayerTree.at(self.root, place.tree) as tree:
                for entry in tarsplit.entries(lines):
                    if isinstance(entry, tarsplit.Segment):
                        yield entry.payload
                    elif entry.size:
                        yield from _file(tree, entry)
        except OSError as error:
            raise translate(error, "the recipe of a layer cannot be read", place.recipe) from error
        except OrlopError as error:
            if is_hindrance(error):
                raise
            raise self._blamed(diff_id, chain_id, place, "") from error

    def _blamed(self, diff_id: str, chain_id: str, place: Place, actual: str) -> OrlopError:
        """Which files of a layer are wrong, by reading it once more, as a check of its contents does."""
        size = self._layers[diff_id].size
        task = content.Task(root=self.root.path, chain_id=chain_id, diff_id=diff_id, place=place, size=size)
        found = task.run(lambda count: self.gauge(0))
        if found.gone:
            return NotFound(f"the layer {diff_id} went away while it was read", path=place.tree, do="try again")
        if found.hindered:
            return StorageFailure(f"the layer {diff_id} cannot be read", path=place.tree, why=found.hindered)
        if found.recipe:
            return _unusable(Malformed(found.recipe, engine=found.recipe_says), place)
        if found.wrong:
            return _of_files(found, actual)
        if found.matches:
            return Changed(
                f"the layer {diff_id} changed while it was read",
                path=place.tree,
                why="another program wrote to it",
                do="try again",
            )
        return _mismatch(diff_id, found.actual or actual, place.tree, "", _DO)


def _file(tree: LayerTree, entry: tarsplit.Content) -> Iterator[bytes]:
    """The bytes of one file of a layer, never more than it must have.

    Raises:
        OrlopError: it is not there, or longer or shorter.
    """
    fd, size = tree.file(entry.name)
    try:
        left = entry.size
        for piece in pieces(fd, size, entry.name) if size == left else ():
            left -= len(piece)
            if left < 0:
                break
            yield piece
        if left:
            raise Malformed(f"{size} bytes instead of {entry.size}", path=entry.name)
    finally:
        os.close(fd)


def _kept(digest: str, data: bytes, path: str) -> Content:
    """A content that is held already, and was hashed."""
    return Content(
        digest=digest,
        size=len(data),
        pieces=lambda: (data,),
        blame=lambda actual: DigestMismatch(digest, actual, path=path or None),
    )


def _of_files(found: content.Result, actual: str) -> OrlopError:
    first = found.wrong[0]
    named = ", ".join(f"{wrong.name or 'the folder itself'} ({wrong.why})" for wrong in found.wrong)
    more = f" and {found.wrong_count - len(found.wrong)} more" if found.wrong_count > len(found.wrong) else ""
    path = join(found.task.place.tree, first.name) if first.name else found.task.place.tree
    made = found.actual or actual or "nothing, for it cannot be rebuilt"
    return _mismatch(found.task.diff_id, made, path, f"wrong files: {named}{more}", _DO, first.says)


def _mismatch(expected: str, actual: str, path: str, why: str, do: str, engine: str = "") -> DigestMismatch:
    error = DigestMismatch(expected, actual, path=path, engine=engine)
    error.why = f"{error.why}; {why}" if why else error.why
    error.do = do
    return error


def _unusable(error: Malformed, place: Place) -> Malformed:
    why = f"the recipe for a layer's exact archive cannot be used: {error.why}"
    return Malformed(why, path=place.recipe, engine=error.engine, do=_DO)
