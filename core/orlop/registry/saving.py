"""Images out of a registry's storage, as archives that engines load.

As ``oci-archive`` everything is written as it is stored, so that each digest stays. As
``docker-archive`` one platform's image is written with its layers decompressed. How long
those are nothing says that could be trusted: each compressed layer is decompressed once
to be counted, and once more to be written. Nothing is kept, so that the output need not
be able to seek.
"""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, cast

from orlop import archives
from orlop.archives import Content, Gauge
from orlop.digest import hasher
from orlop.errors import DigestMismatch, Malformed, NotFound, OrlopError, Unsupported
from orlop.fs import Root, translate
from orlop.progress import Progress
from orlop.records import Key
from orlop.registry import place
from orlop.registry.manifest import DOCKER_LIST, DOCKER_MANIFEST
from orlop.registry.model import Config, Descriptor, Manifest, Model, State, What
from orlop.store import Saved

_PIECE = 1 << 20
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_DOCKER_TYPES = (DOCKER_MANIFEST, DOCKER_LIST)
_DEEPEST = 8
"""Indexes within indexes."""
_DO = "`orlop check PATH --content` names all that it hurts; push the image again after `orlop rm` took it away"


def save(
    root: Root, model: Model, keys: Iterable[Key], to: BinaryIO, *, form: str | None, progress: Progress
) -> tuple[Saved, ...]:
    """Write images as ``oci-archive`` (the default) or ``docker-archive``; see `orlop.store.Store.save`.

    An index is written with all that it names, or not at all: its digest is over the whole list.

    Raises:
        Unsupported: another form; schema 1; as ``docker-archive`` an index, an artifact, or layers compressed by
            anything but gzip.
        NotFound: no such image, or a part of it is not there.
        DigestMismatch, Malformed: a part of it.
        NoPermission, StorageFailure, Cancelled
    """
    chosen = form or archives.OCI
    if chosen not in (archives.OCI, archives.DOCKER):
        raise Unsupported(
            f"images of a registry cannot be saved as {chosen}", do=f"{archives.OCI} or {archives.DOCKER}"
        )
    work = _Saving(root, model, progress)
    wanted = _wanted(model, keys)
    if chosen == archives.OCI:
        alone = len(wanted) == 1 and len(next(iter(wanted.values())).names) < 2
        images = [work.whole(digest, names, alone=alone) for digest, names in wanted.items()]
        work.measure(images)
        written = archives.oci_archive(to, [made.image for made in images])
    else:
        images = [work.flat(digest, names) for digest, names in wanted.items()]
        work.measure(images)
        written = archives.docker_archive(to, [made.image for made in images])
    work.gauge.flush()
    return tuple(
        Saved(form=chosen, id=made.id, names=made.image.names, bytes=count, remarks=made.remarks)
        for made, count in zip(images, written, strict=True)
    )


@dataclass(slots=True)
class _Wanted:
    """What one manifest is asked for as."""

    names: list[str] = field(default_factory=list)
    repositories: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """One image, ready to be written."""

    id: str
    image: archives.Image
    remarks: tuple[str, ...]


def _wanted(model: Model, keys: Iterable[Key]) -> dict[str, _Wanted]:
    """Digests of manifests in the order of the keys."""
    found: dict[str, _Wanted] = {}
    for key in keys:
        if key.id not in model.manifests:
            called = key.name or key.id
            raise NotFound(f"no manifest of {called} is in the store", do="`orlop check PATH` says why")
        wanted = found.setdefault(key.id, _Wanted())
        tags = model.tags_of.get((key.scope, key.id), ())
        wanted.names += [key.name] if key.name is not None else [f"{key.scope}:{tag}" for tag in tags]
        wanted.repositories[key.scope] = None
    return found


class _Saving:
    """What is shared by the images of one archive."""

    def __init__(self, root: Root, model: Model, progress: Progress) -> None:
        self._root = root
        self._model = model
        self._progress = progress
        self._flat: dict[str, Content] = {}
        """By diff id: layers decompressed."""
        self.gauge = Gauge(progress, 0)

    def measure(self, images: Iterable[_Made]) -> None:
        """All that is to be written is known now; what was counted so far is no longer."""
        contents = {content.digest: content.size for made in images for content in made.image.contents}
        self.gauge = Gauge(self._progress, sum(contents.values()))

    # --- as it is stored -------------------------------------------------------

    def whole(self, digest: str, wanted: _Wanted, *, alone: bool) -> _Made:
        """A manifest with all that it names; whether the archive lists it alone, and once."""
        tags, remarks = archives.tags_of(wanted.names)
        contents: dict[str, Content] = {}
        self._collect(digest, contents, remarked := list(remarks), ())
        referrers = sorted({each for name in wanted.repositories for each in self._referrers(name, contents)})
        if referrers:
            what = "1 manifest that belongs" if len(referrers) == 1 else f"{len(referrers)} manifests that belong"
            remarked.append(f"{what} to it (signatures, bills of materials) left out: {', '.join(referrers[:3])}")
        media_type = self._manifest(digest).media_type
        if not alone and media_type in _DOCKER_TYPES:
            remarked.append("its manifest is of Docker's type: skopeo finds it only where an archive has it alone")
        image = archives.Image(contents=tuple(contents.values()), names=tags, media_type=media_type)
        return _Made(id=digest, image=image, remarks=tuple(dict.fromkeys(remarked)))

    def _referrers(self, repository: str, contents: Iterable[str]) -> Iterator[str]:
        for digest in contents:
            yield from self._model.referrers_of.get((repository, digest), ())

    def _collect(self, digest: str, contents: dict[str, Content], remarks: list[str], above: tuple[str, ...]) -> None:
        if digest in contents:
            return
        manifest = self._manifest(digest, above[-1] if above else "")
        if manifest.what in (What.SCHEMA_1, What.UNKNOWN):
            raise self._no_form(manifest)
        contents[digest] = self._blob(digest, manifest.size)
        if manifest.children and len(above) >= _DEEPEST:
            raise Unsupported(f"the index {above[0]} has indexes in indexes, {_DEEPEST} deep", why="it is not followed")
        for child in manifest.children:
            self._collect(child.digest, contents, remarks, (*above, digest))
        for need in manifest.needs:
            if need.foreign and need.digest not in self._model.blobs:
                remarks.append(f"the layer {need.digest} left out: by design it lies elsewhere")
            else:
                contents[need.digest] = self._needed(need, digest)

    def _manifest(self, digest: str, index: str = "") -> Manifest:
        """One that can be read, as the store was read."""
        found = self._model.manifests.get(digest)
        path = place.blob_data(self._model.base, digest)
        of = f", which the index {index} names," if index else ""
        if found is None or found.state is State.MISSING:
            raise NotFound(
                f"the manifest {digest}{of} is not there",
                path=path,
                why="an index cannot be saved without a part of it" if index else "",
                do="save one that is there by its own digest: REPOSITORY@sha256:…" if index else _DO,
            )
        if found.state is not State.GOOD:
            raise Malformed(f"the manifest {digest}{of}: {found.why}", path=path, engine=found.engine_says, do=_DO)
        return found

    def _no_form(self, manifest: Manifest) -> Unsupported:
        path = place.blob_data(self._model.base, manifest.digest)
        if manifest.what is What.SCHEMA_1:
            return Unsupported(
                "an image of schema 1 cannot be saved",
                path=path,
                why="it has no config, so that no archive has a place for it",
                do="start the registry, `docker pull` it with an engine before 29, and push it again",
            )
        return Unsupported(f"a manifest of type {manifest.media_type or 'unknown'} cannot be saved", path=path)

    def _needed(self, need: Descriptor, manifest: str) -> Content:
        blob = self._model.blobs.get(need.digest)
        path = place.blob_data(self._model.base, need.digest)
        if blob is None or blob.state is State.MISSING:
            raise NotFound(f"the blob {need.digest} is not there", path=path, why=f"{manifest} needs it", do=_DO)
        if blob.state is not State.GOOD:
            raise _mismatch(need.digest, "", path, blob.why)
        return self._blob(need.digest, blob.size)

    def _blob(self, digest: str, size: int) -> Content:
        path = place.blob_data(self._model.base, digest)
        return Content(
            digest=digest,
            size=size,
            pieces=lambda: self._read(path),
            blame=lambda actual: _mismatch(digest, actual, path),
        )

    def _read(self, path: str) -> Iterator[bytes]:
        with self._root.stream(path) as stream:
            while piece := _piece(stream, path):
                self.gauge(len(piece))
                yield piece

    # --- decompressed ----------------------------------------------------------

    def flat(self, digest: str, wanted: _Wanted) -> _Made:
        """An image of one platform, its layers decompressed."""
        manifest = self._manifest(digest)
        if manifest.what in (What.SCHEMA_1, What.UNKNOWN):
            raise self._no_form(manifest)
        if manifest.what is not What.IMAGE or manifest.config is None:
            raise Unsupported(
                f"an {manifest.what} cannot be saved as a {archives.DOCKER}",
                path=place.blob_data(self._model.base, digest),
                why="that holds images of one platform each, and nothing else",
                do=f"save it as {archives.OCI}, or one platform's image by its digest: REPOSITORY@sha256:…",
            )
        config = self._config(manifest.config)
        tags, remarks = archives.tags_of(wanted.names)
        if len(config.diff_ids) != len(manifest.layers):
            why = f"the manifest lists {len(manifest.layers)} layers, and the config {len(config.diff_ids)}"
            raise Malformed(why, path=place.blob_data(self._model.base, digest), do=_DO)
        layers = [self._layer(*each, digest) for each in zip(manifest.layers, config.diff_ids, strict=True)]
        image = archives.Image(contents=(self._needed(manifest.config, digest), *layers), names=tags)
        remark = f"the engine makes another manifest than {digest}, which {archives.OCI} keeps; the image id stays"
        return _Made(id=manifest.config.digest, image=image, remarks=(*remarks, remark))

    def _config(self, need: Descriptor) -> Config:
        found = self._model.configs.get(need.digest)
        path = place.blob_data(self._model.base, need.digest)
        if found is None or found.state is State.MISSING:
            raise NotFound(f"the config {need.digest} is not there", path=path, do=_DO)
        if found.state is not State.GOOD:
            raise Malformed(f"the config {need.digest}: {found.why}", path=path, do=_DO)
        return found

    def _layer(self, need: Descriptor, diff_id: str, manifest: str) -> Content:
        if diff_id not in self._flat:
            if need.foreign and need.digest not in self._model.blobs:
                raise Unsupported(
                    f"the layer {need.digest} is not in the store",
                    why="by design it lies elsewhere",
                    do=f"save the image as {archives.OCI}",
                )
            stored = self._needed(need, manifest)
            self._flat[diff_id] = self._plain(stored, diff_id)
        return self._flat[diff_id]

    def _plain(self, stored: Content, diff_id: str) -> Content:
        """A layer without its compression; it is read whole here, for its size, and both its digests are proven."""
        path = place.blob_data(self._model.base, stored.digest)
        size = 0
        hashing = hasher(diff_id.partition(":")[0])
        for piece in self._decompressed(path, stored):
            self._progress.step("layers measured", len(self._flat), 0)
            hashing.update(piece)
            size += len(piece)

        def blame(actual: str) -> OrlopError:
            why = f"its layer {stored.digest}, decompressed, is not the diff id of the config"
            return _mismatch(diff_id, actual, path, why)

        actual = f"{hashing.name}:{hashing.hexdigest()}"
        if actual != diff_id:
            raise blame(actual)
        return Content(
            digest=diff_id,
            size=size,
            pieces=lambda: self._told(self._decompressed(path, stored)),
            blame=blame,
        )

    def _told(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.gauge(len(piece))
            yield piece

    def _decompressed(self, path: str, stored: Content) -> Iterator[bytes]:
        """The bytes of a layer without compression; what is stored is hashed on the way.

        Raises:
            DigestMismatch: what is stored is not what its name says.
            Malformed: it is, and it was damaged before it was pushed.
            Unsupported: it is compressed by zstd.
        """
        with self._root.stream(path) as stream:
            source = _Hashed(stream, path, stored.digest.partition(":")[0])
            head = source.head()
            if head.startswith(_ZSTD):
                raise Unsupported(
                    f"the layer {stored.digest} is compressed by zstd, which is not decompressed here",
                    path=path,
                    do=f"save the image as {archives.OCI}",
                )
            plain = gzip.GzipFile(fileobj=cast(BinaryIO, source)) if head.startswith(_GZIP) else source
            broken = ""
            try:
                while piece := plain.read(_PIECE):
                    yield piece
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                broken = f"its compression is damaged: {error}"
            while source.read(_PIECE):
                pass
            if source.digest != stored.digest:
                raise stored.blame(source.digest)
            if broken:
                raise Malformed(broken, path=path, do="push the image again")


class _Hashed:
    """A file that is hashed as it is read."""

    def __init__(self, stream: BinaryIO, path: str, algorithm: str) -> None:
        self._stream = stream
        self._path = path
        self._hashing = hasher(algorithm)

    @property
    def digest(self) -> str:
        """Of what was read so far."""
        return f"{self._hashing.name}:{self._hashing.hexdigest()}"

    def head(self) -> bytes:
        """The first bytes, which are read again."""
        first = _piece(self._stream, self._path, len(_ZSTD))
        self._stream.seek(0)
        return first

    def read(self, count: int = -1) -> bytes:
        piece = _piece(self._stream, self._path, count)
        self._hashing.update(piece)
        return piece


def _piece(stream: BinaryIO, path: str, count: int = _PIECE) -> bytes:
    try:
        return stream.read(count)
    except OSError as error:
        raise translate(error, "it cannot be read", path) from error


def _mismatch(expected: str, actual: str, path: str, why: str = "") -> DigestMismatch:
    error = DigestMismatch(expected, actual, path=path)
    if not actual:
        error.why = f"{expected}: {why}"
    elif why:
        error.why = f"{error.why}; {why}"
    error.do = _DO
    return error
