"""Archives of images as they are written: a tar in one pass, the same bytes for the same images.

Two layouts. What ``docker save`` writes (moby 1.10 to 28, image/tarexport/save.go): ``manifest.json``,
``repositories``, configs as ``<hex>.json``, layers as ``<hex of the diff id>/layer.tar``, not
compressed. An OCI layout (image-spec 1.0, image-layout.md) with blobs by digest.

The list comes first, so that a reader need not wait for it. Every content is hashed while
it is written, and its last bytes go out only when it is what its digest says: what was
written up to an error is cut within a file, so that no reader takes it for a whole archive.
"""

import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from orlop import reference
from orlop.digest import Hasher, hasher
from orlop.errors import Changed, Malformed, OrlopError
from orlop.progress import CONTENTS, Progress

DOCKER = "docker-archive"
OCI = "oci-archive"

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"

_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_REF_NAME = "org.opencontainers.image.ref.name"
_FULL_NAME = "io.containerd.image.name"  # what containerd, docker from 25 and podman from 4 take before the other
_BLOCK = tarfile.BLOCKSIZE
_SMALL = 1 << 16
_TELL = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """One file of an archive."""

    digest: str
    """What its bytes must hash to."""
    size: int
    """Bytes, exactly."""
    pieces: Callable[[], Iterable[bytes]]
    """Reads it; an error of the reading is raised while it is written."""
    blame: Callable[[str], OrlopError]
    """The error for bytes that hash to something else, which it is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image to write."""

    contents: tuple[Content, ...]
    """Everything that it needs: for `docker_archive` its config, then its layers, bottom first; for `oci_archive`
    the manifest that gets the names, then the rest in any order."""
    names: tuple[str, ...] = ()
    """As `tags_of` gives them."""
    parent: str = ""
    """`docker_archive`: image id of the parent, if that is written too; else empty."""
    media_type: str = OCI_MANIFEST
    """`oci_archive`: of the first content."""


def tags_of(names: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names that an archive can give an image, and remarks on those that it cannot; neither twice, in their order."""
    good: dict[str, None] = {}
    left: dict[str, None] = {}
    for name in names:
        try:
            parsed = reference.parse(name)
        except Malformed:
            left[f"the name {name} is none that an engine reads: left out"] = None
            continue
        if parsed.digest is not None:
            left[f"the digest reference {name} is left out: archives give tags only"] = None
        elif parsed.tag is not None:
            good[name] = None
    return tuple(good), tuple(left)


def docker_archive(to: BinaryIO, images: Sequence[Image]) -> tuple[int, ...]:
    """Write images as ``docker save`` does; what several need is written once.

    Args:
        to: written once, from the start; it need not be able to seek.
        images: in the order in which they are to be listed.

    Returns:
        The bytes that were written for each: those of what several need count for the first. Together they are
        all that was written.

    Raises:
        DigestMismatch, …: as a content's `blame` and `pieces` say.
        Changed: a content is longer or shorter than it was.
    """
    out = _Writer(to)
    out.file("manifest.json", _json([_docker_entry(image) for image in images]))
    if tags := _repositories(images):
        out.file("repositories", _json(tags))
    written: list[int] = []
    for image in images:
        before = out.bytes if written else 0
        config, *layers = image.contents
        out.content(f"{_hex(config)}.json", config)
        for layer in layers:
            out.folder(_hex(layer))
            out.content(f"{_hex(layer)}/layer.tar", layer)
        written.append(out.bytes - before)
    return out.ended(written)


def oci_archive(to: BinaryIO, images: Sequence[Image]) -> tuple[int, ...]:
    """Write images as an OCI layout; arguments, result and errors as those of `docker_archive`."""
    out = _Writer(to)
    out.file("oci-layout", _LAYOUT)
    out.file("index.json", _json({"schemaVersion": 2, "manifests": [each for one in images for each in _entries(one)]}))
    out.folder("blobs")
    written: list[int] = []
    for image in images:
        before = out.bytes if written else 0
        for content in image.contents:
            algorithm, _, digits = content.digest.partition(":")
            out.folder(f"blobs/{algorithm}")
            out.content(f"blobs/{algorithm}/{digits}", content)
        written.append(out.bytes - before)
    return out.ended(written)


def oci_manifest(config: Content, layers: Iterable[Content]) -> bytes:
    """A manifest over a config and layers that are not compressed, the same for the same image."""
    return _json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": _descriptor(OCI_CONFIG, config),
            "layers": [_descriptor(OCI_LAYER, layer) for layer in layers],
        }
    )


# --- bytes -------------------------------------------------------------------


class Gauge:
    """Tells progress of bytes, gathered so that it is told seldom.

    Args:
        progress: told as `orlop.progress.CONTENTS`.
        total: bytes that there are.
    """

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0
        self._held = 0

    def __call__(self, count: int) -> None:
        """Note bytes that were worked off.

        Raises:
            Cancelled
        """
        self._held += count
        if self._held >= _TELL:
            self.flush()

    def flush(self) -> None:
        """Tell what was gathered.

        Raises:
            Cancelled
        """
        self._done += self._held
        self._held = 0
        self._progress.step(CONTENTS, min(self._done, self._total), self._total)


def gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of some size: headers and small files go together."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        if len(piece) >= _SMALL and not held:
            yield piece
            continue
        held.append(piece)
        size += len(piece)
        if size >= _SMALL:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def proven(pieces: Iterable[bytes], hashing: Hasher, judge: Callable[[], OrlopError | None]) -> Iterator[bytes]:
    """The same pieces, hashed; the last one comes when nothing is wrong with all of them.

    Args:
        pieces: of the content.
        hashing: updated with them.
        judge: asked at the end what is wrong by the hash.

    Raises:
        OrlopError: what `judge` gave; the last piece was not given.
    """
    last = b""
    for piece in pieces:
        if last:
            yield last
        hashing.update(piece)
        last = piece
    if (wrong := judge()) is not None:
        raise wrong
    if last:
        yield last


class _Writer:
    """A tar that is being written; a name that comes again is passed over."""

    def __init__(self, to: BinaryIO) -> None:
        self._to = to
        self._names: set[str] = set()
        self.bytes = 0
        """Written so far."""

    def folder(self, name: str) -> None:
        if self._is_new(name):
            self._put(_header(name, 0, tarfile.DIRTYPE))

    def file(self, name: str, data: bytes) -> None:
        if self._is_new(name):
            self._put(_header(name, len(data), tarfile.REGTYPE))
            self._put(data + bytes(-len(data) % _BLOCK))

    def content(self, name: str, content: Content) -> None:
        if not self._is_new(name):
            return
        hashing = hasher(content.digest.partition(":")[0])
        self._put(_header(name, content.size, tarfile.REGTYPE))
        end = self.bytes + content.size

        def judge() -> OrlopError | None:
            actual = f"{hashing.name}:{hashing.hexdigest()}"
            return content.blame(actual) if actual != content.digest else None

        for piece in proven(content.pieces(), hashing, judge):
            if self.bytes + len(piece) > end:
                raise _changed(content)
            self._put(piece)
        if self.bytes != end:
            raise _changed(content)
        self._put(bytes(-content.size % _BLOCK))

    def ended(self, written: list[int]) -> tuple[int, ...]:
        """Write the end; the same counts, the last one with it."""
        before = self.bytes
        self._put(bytes(2 * _BLOCK))
        written[-1] += self.bytes - before
        return tuple(written)

    def _is_new(self, name: str) -> bool:
        known = name in self._names
        self._names.add(name)
        return not known

    def _put(self, data: bytes) -> None:
        self._to.write(data)
        self.bytes += len(data)


def _header(name: str, size: int, kind: bytes) -> bytes:
    """Nobody's, of no time: the same for the same content; sizes of 8 GiB and more in a pax record."""
    found = tarfile.TarInfo(name)
    found.type = kind
    found.size = size
    found.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    return found.tobuf(tarfile.PAX_FORMAT)


def _changed(content: Content) -> Changed:
    return Changed(f"{content.digest} changed while it was read", why="another program wrote to it", do="try again")


# --- what is listed ----------------------------------------------------------


def _docker_entry(image: Image) -> dict[str, object]:
    config, *layers = image.contents
    entry: dict[str, object] = {
        "Config": f"{_hex(config)}.json",
        "RepoTags": [reference.parse(name).familiar for name in image.names] or None,
        "Layers": [f"{_hex(layer)}/layer.tar" for layer in layers],
    }
    return entry | ({"Parent": image.parent} if image.parent else {})


def _repositories(images: Iterable[Image]) -> Mapping[str, Mapping[str, str]]:
    """Repository → tag → top layer, as engines from 25 write it; an image without layers is not in it."""
    found: dict[str, dict[str, str]] = {}
    for image in images:
        for name in image.names if len(image.contents) > 1 else ():
            parsed = reference.parse(name)
            found.setdefault(parsed.repository, {})[parsed.tag or reference.DEFAULT_TAG] = _hex(image.contents[-1])
    return found


def _entries(image: Image) -> Iterator[dict[str, object]]:
    """The members of an index for an image: one for each name, or one without."""
    entry = _descriptor(image.media_type, image.contents[0])
    if not image.names:
        yield entry
    for name in image.names:
        yield entry | {"annotations": {_FULL_NAME: reference.parse(name).full, _REF_NAME: name}}


def _descriptor(media_type: str, content: Content) -> dict[str, object]:
    return {"mediaType": media_type, "digest": content.digest, "size": content.size}


def _hex(content: Content) -> str:
    return content.digest.partition(":")[2]


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")
