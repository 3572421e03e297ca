"""What an archive holds: one image or index, with all its manifests and blobs by digest.

An OCI layout (image-spec, image-layout.md) names everything by digest already. What
``docker save`` writes does not: its layers are kept as they are there, uncompressed, under
their diff ids, and the manifest over them is made here: a Docker schema 2 manifest with
layers of type ``…image.rootfs.diff.tar``, as ``skopeo copy --dest-decompress`` makes it.
The same archive gives the same manifest.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from orlop import jsonrules, reference
from orlop.digest import Digest
from orlop.errors import Ambiguous, DigestMismatch, Malformed, NotFound, Unsupported
from orlop.registry import manifest as manifests
from orlop.registry.archives import ImageArchive
from orlop.registry.model import Descriptor, Manifest, State, What

MANIFEST_LIMIT = 4 * 1024 * 1024
"""Bytes of a manifest that a registry takes (2.8, ``registry/handlers/manifests.go``, ``maxManifestBodySize``)."""
CHILDREN_LIMIT = 1000
"""Manifests of one index; there are not so many platforms."""
_CONFIG_LIMIT = 8 * 1024 * 1024
_LAYOUT, _INDEX, _DOCKER = "oci-layout", "index.json", "manifest.json"
_REF_NAME = "org.opencontainers.image.ref.name"
_FULL_NAME = "io.containerd.image.name"
_DOCKER_TAR = "application/vnd.docker.image.rootfs.diff.tar"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One blob of an image."""

    digest: str
    size: int
    """Bytes."""
    file: str = ""
    """Where it lies in the archive; empty where `data` is all of it, or where the archive does not have it."""
    data: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """One image or index, whole."""

    name: str
    """What the archive calls it, ``repository:tag`` without a registry; empty where it has no name."""
    manifests: tuple[Manifest, ...]
    """The parts of an index first, the manifest that gets the name last."""
    blobs: tuple[Part, ...]
    """Layers and configs, then manifests, each once."""


Held = Callable[[str], bytes | None]
"""The bytes of a small blob that the store has already, hashed; None for none."""
Has = Callable[[str, int], bool]
"""Whether the store has a blob of so many bytes."""


def read_bundle(archive: ImageArchive, wanted: str, *, has: Has) -> Bundle:
    """Find out what an archive holds; the content of layers is not read.

    Args:
        archive: the opened one.
        wanted: the name that the image is to get, which also chooses one of several; may be empty.
        has: asked for what the archive does not have: a blob that the store has need not come along.

    Raises:
        Malformed, TooLarge, DigestMismatch: it is not what it must be.
        Unsupported: an index in an index, or one whose parts are not all there; schema 1.
        Ambiguous: it holds several images, and the name chooses none.
        NotFound: it is no archive of images.
    """
    if archive.size(_LAYOUT) is not None or (archive.size(_INDEX) is not None and archive.size(_DOCKER) is None):
        return _oci(archive, wanted, has)
    if archive.size(_DOCKER) is not None:
        return _docker(archive, wanted)
    raise Malformed(
        "the archive holds neither an OCI layout nor what docker save writes",
        do="`skopeo copy … oci-archive:FILE` or `docker save -o FILE` makes one",
    )


# --- OCI layouts ---------------------------------------------------------------


def _oci(archive: ImageArchive, wanted: str, has: Has) -> Bundle:
    if archive.size(_LAYOUT) is not None:
        version = jsonrules.member(_document(archive, _LAYOUT), "imageLayoutVersion")
        if version != "1.0.0":
            raise Unsupported(f"an OCI layout of version {version!r} is not read", why="only 1.0.0 is known")
    listed = jsonrules.member(_document(archive, _INDEX), "manifests")
    tops = [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    top = _chosen(tops, wanted, _oci_names)
    digest, size = _descriptor(top, f"{_INDEX}: manifests")
    reading = _Layout(archive, has)
    reading.add(digest, size)
    names = _oci_names(top)
    return reading.bundle(_called(names))


class _Layout:
    """An OCI layout that is being followed."""

    def __init__(self, archive: ImageArchive, has: Has) -> None:
        self._archive = archive
        self._has = has
        self._manifests: list[Manifest] = []
        self._documents: dict[str, Part] = {}
        self._blobs: dict[str, Part] = {}

    def bundle(self, name: str) -> Bundle:
        blobs = {**self._blobs, **self._documents}
        return Bundle(name=name, manifests=tuple(self._manifests), blobs=tuple(blobs.values()))

    def add(self, digest: str, size: int, *, index: str = "") -> None:
        """Read a manifest and all that it names, what it names first."""
        if digest in self._documents:
            return
        if size > MANIFEST_LIMIT:
            raise Malformed(f"the manifest {digest} has {size} bytes, where a registry takes {MANIFEST_LIMIT}")
        data = self._archive.read(_blob(digest), MANIFEST_LIMIT)
        _check(digest, size, data)
        found = manifests.parse(digest, data)
        if found.state is not State.GOOD:
            raise Malformed(f"the manifest {digest} cannot be read: {found.why}")
        self._judge(found, index)
        for child in found.children:
            if self._archive.size(_blob(child.digest)) is None:
                raise Unsupported(
                    f"the index {digest} names {child.digest}, which the archive does not have",
                    why="a part of an index cannot be taken in, because its digest is over all of it",
                    do="make the archive with all platforms: `skopeo copy --all`",
                )
            self.add(child.digest, _size(child), index=digest)
        for need in found.needs:
            self._need(need, digest)
        self._documents[digest] = Part(digest=digest, size=len(data), data=data)
        self._manifests.append(found)

    def _judge(self, found: Manifest, index: str) -> None:
        if found.what is What.SCHEMA_1 or found.what is What.UNKNOWN:
            raise Unsupported(f"{found.digest} is a manifest of type {found.media_type}, which is not taken in")
        if found.what is What.INDEX and index:
            raise Unsupported(f"the index {index} names the index {found.digest}: indexes in indexes are not taken in")
        if len(found.children) > CHILDREN_LIMIT:
            raise Malformed(
                f"the index {found.digest} names {len(found.children)} manifests; {CHILDREN_LIMIT} are read"
            )

    def _need(self, need: Descriptor, digest: str) -> None:
        size = self._archive.size(_blob(need.digest))
        said = _size(need)
        if size is None:
            if not need.foreign and not self._has(need.digest, said):
                raise NotFound(f"{digest} needs {need.digest}, which neither the archive nor the store has")
            if not need.foreign:
                self._blobs.setdefault(need.digest, Part(digest=need.digest, size=said))
            return
        if size != said:
            raise Malformed(f"{need.digest} has {size} bytes in the archive, and {said} by the manifest {digest}")
        self._blobs.setdefault(need.digest, Part(digest=need.digest, size=said, file=_blob(need.digest)))


def _oci_names(top: Mapping[str, object]) -> list[str]:
    notes = jsonrules.member(top, "annotations")
    found = [jsonrules.member(notes, name) for name in (_FULL_NAME, _REF_NAME)]
    return [name for name in found if isinstance(name, str) and name]


# --- docker save ---------------------------------------------------------------


def _docker(archive: ImageArchive, wanted: str) -> Bundle:
    listed = jsonrules.loads(archive.read(_DOCKER, MANIFEST_LIMIT))
    items = [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    chosen = _chosen(items, wanted, _docker_names)
    config_file = jsonrules.member(chosen, "Config")
    layer_files = jsonrules.member(chosen, "Layers")
    if not isinstance(config_file, str) or not isinstance(layer_files, list):
        raise Malformed("it names no config or no layers", field=_DOCKER)
    config = archive.read(_inside(config_file), _CONFIG_LIMIT)
    digest = Digest.of(config)
    stem = config_file.rpartition("/")[2].removesuffix(".json")
    if len(stem) == 64 and stem != digest.hex:
        raise DigestMismatch(f"sha256:{stem}", digest, path=config_file)
    layers = list(_docker_layers(archive, layer_files, _diff_ids(config)))
    data = _docker_manifest(digest, len(config), layers)
    found = manifests.parse(Digest.of(data), data)
    blobs = {layer.digest: layer for layer in layers}
    blobs[digest] = Part(digest=digest, size=len(config), data=config)
    blobs[found.digest] = Part(digest=found.digest, size=len(data), data=data)
    return Bundle(name=_called(_docker_names(chosen)), manifests=(found,), blobs=tuple(blobs.values()))


def _docker_names(item: Mapping[str, object]) -> list[str]:
    tags = jsonrules.member(item, "RepoTags")
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []


def _docker_layers(archive: ImageArchive, files: Sequence[object], diff_ids: Sequence[str]) -> Iterator[Part]:
    """The layers, bottom first; their bytes must hash to the diff ids, so they must not be compressed."""
    if len(files) != len(diff_ids):
        raise Malformed(f"it has {len(files)} layers, and the config {len(diff_ids)} diff ids", field=_DOCKER)
    for file, diff_id in zip(files, diff_ids, strict=True):
        name = _inside(file) if isinstance(file, str) else ""
        size = archive.size(name)
        if size is None:
            raise NotFound(f"the archive has no layer {name or file!r}")
        yield Part(digest=diff_id, size=size, file=name)


def _diff_ids(config: bytes) -> list[str]:
    found = jsonrules.member(jsonrules.member(jsonrules.loads(config), "rootfs"), "diff_ids")
    listed = found if isinstance(found, list) else []
    if not all(isinstance(item, str) for item in listed):
        raise Malformed("not a list of digests", field="rootfs.diff_ids")
    return [Digest.parse(str(item)) for item in listed]


def _docker_manifest(config: str, size: int, layers: Sequence[Part]) -> bytes:
    """As docker itself indents it (distribution, manifest/schema2/manifest.go)."""
    document = {
        "schemaVersion": 2,
        "mediaType": manifests.DOCKER_MANIFEST,
        "config": {"mediaType": manifests.DOCKER_CONFIG, "size": size, "digest": config},
        "layers": [{"mediaType": _DOCKER_TAR, "size": part.size, "digest": part.digest} for part in layers],
    }
    return json.dumps(document, indent=3).encode("ascii")


# --- both ----------------------------------------------------------------------


def _chosen(
    items: Sequence[dict[str, object]], wanted: str, names: Callable[[Mapping[str, object]], list[str]]
) -> dict[str, object]:
    """The only image, or the one that has the wanted name or tag."""
    if not items:
        raise Malformed("the archive holds no image")
    if len(items) == 1:
        return items[0]
    alike = [item for item in items if wanted and any(_is_alike(name, wanted) for name in names(item))]
    if len(alike) == 1:
        return alike[0]
    listed = [", ".join(names(item)) or "one without a name" for item in items]
    raise Ambiguous(
        wanted or "the archive",
        sorted(listed),
        do="give the name that one of them has, or make an archive of one image",
    )


def _is_alike(name: str, wanted: str) -> bool:
    """Whether a name of the archive is the wanted one, or its tag."""
    return wanted in (name, _called([name])) or wanted.partition(":")[2] == name


def _called(names: Sequence[str]) -> str:
    """The first name that is a repository with a tag, without its registry; empty for none."""
    for name in names:
        try:
            parsed = reference.parse(name)
        except Malformed:
            continue
        repository = parsed.repository if parsed.domain == reference.DEFAULT_DOMAIN else parsed.path
        if parsed.tag is not None:
            return f"{repository}:{parsed.tag}"
    return ""


def _document(archive: ImageArchive, name: str) -> object:
    return jsonrules.loads(archive.read(name, MANIFEST_LIMIT))


def _descriptor(item: Mapping[str, object], at: str) -> tuple[str, int]:
    digest, size = jsonrules.member(item, "digest"), jsonrules.member(item, "size")
    if not isinstance(digest, str) or type(size) is not int:
        raise Malformed("a descriptor needs a digest and a size", field=at)
    return Digest.parse_any(digest), size


def _size(need: Descriptor) -> int:
    if need.size is None:
        raise Malformed(f"the descriptor of {need.digest} has no size")
    return need.size


def _check(digest: str, size: int, data: bytes) -> None:
    if len(data) != size:
        raise Malformed(f"the manifest {digest} has {len(data)} bytes, and its descriptor says {size}")
    actual = Digest.of(data, digest.partition(":")[0])
    if actual != digest:
        raise DigestMismatch(digest, actual)


def _blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _inside(name: str) -> str:
    if name.startswith("/") or ".." in name.split("/"):
        raise Malformed(f"the name {name!r} leads out of the archive", field=_DOCKER)
    return name
