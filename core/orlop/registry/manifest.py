"""Manifests: which kind the bytes are, and what they name.

Nothing in a store says what type a manifest is but the manifest itself
(distribution 2.8: ``registry/storage/manifeststore.go``, ``Get``): schemaVersion 1 is
schema 1; 2 with a Docker or OCI type is what the type says; 2 without a type is an
index where it has ``manifests``, else an OCI manifest; anything else is refused.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from sys import intern
from typing import cast

from orlop import jsonrules, times
from orlop.digest import Digest
from orlop.errors import Malformed
from orlop.jsonrules.shapes import Integer, List, Map, Shape, Struct, Text
from orlop.registry.model import Descriptor, Manifest, State, What

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+json"
SCHEMA_1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"

IMAGE_CONFIGS = frozenset({OCI_CONFIG, DOCKER_CONFIG})
"""Media types of configs that are an image's."""
_FOREIGN = frozenset(
    {
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    }
)

_USUAL_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)

_TEXT = Text()
_TEXTS = List(_TEXT)
_TEXT_MAP = Map(_TEXT)
_PLATFORM = Struct(
    "manifestlist.PlatformSpec",
    {
        **dict.fromkeys(("architecture", "os", "os.version", "variant"), _TEXT),
        **dict.fromkeys(("os.features", "features"), _TEXTS),
    },
)
_DESCRIPTOR_FIELDS: dict[str, Shape] = {
    "mediaType": _TEXT,
    "size": Integer("int64"),
    "digest": Text("digest.Digest"),
    "urls": _TEXTS,
    "annotations": _TEXT_MAP,
    "platform": _PLATFORM,
}
_DESCRIPTOR = Struct("distribution.Descriptor", _DESCRIPTOR_FIELDS)
_VERSIONED = Struct("manifest.Versioned", {"schemaVersion": Integer("int"), "mediaType": _TEXT})
_IMAGE = Struct(
    "ocischema.Manifest",
    {"config": _DESCRIPTOR, "layers": List(_DESCRIPTOR), "annotations": _TEXT_MAP},
)
_INDEX = Struct(
    "manifestlist.ManifestList", {"manifests": List(Struct("manifestlist.ManifestDescriptor", _DESCRIPTOR_FIELDS))}
)
_SCHEMA_1 = Struct(
    "schema1.Manifest",
    {
        **dict.fromkeys(("name", "tag", "architecture"), _TEXT),
        "fsLayers": List(Struct("schema1.FSLayer", {"blobSum": Text("digest.Digest")})),
        "history": List(Struct("schema1.History", {"v1Compatibility": _TEXT})),
    },
)
_NAMES = frozenset(
    (
        *("schemaVersion", "mediaType", "artifactType", "config", "layers", "blobs", "manifests", "subject"),
        *("annotations", "fsLayers", "history", "architecture", "name", "tag", "signatures"),
    )
)
_DESCRIPTOR_NAMES = frozenset(
    ("mediaType", "size", "digest", "urls", "annotations", "platform", "artifactType", "data", "subject")
)
_PLATFORM_NAMES = frozenset(("architecture", "os", "os.version", "os.features", "variant", "features"))
_IMAGE_NAMES = frozenset(("schemaVersion", "mediaType", "config", "layers"))
_IMAGE_TYPES = frozenset((DOCKER_MANIFEST, OCI_MANIFEST))
_REQUIRED = frozenset(("mediaType", "size", "digest"))
_LARGEST = (1 << 63) - 1
_NO_ANNOTATIONS: Mapping[str, str] = {}


def missing(digest: str, why: str = "there is no such blob") -> Manifest:
    """The value for a manifest whose blob is not there."""
    return Manifest(digest=digest, state=State.MISSING, size=0, why=why, engine_says="manifest unknown")


def unread(digest: str, state: State, size: int, why: str) -> Manifest:
    """The value for a manifest whose bytes could not be read."""
    return Manifest(digest=digest, state=state, size=size, why=why)


def parse(digest: str, data: bytes) -> Manifest:
    """What the bytes of a blob are as a manifest, and whether they hash to its digest.

    Damage is a state. What an altered or refused manifest still names is given all the
    same, so that nothing which it may need is taken for garbage.
    """
    if not data:
        return _broken(digest, data, State.EMPTY, "the file is empty", "unexpected end of JSON input")
    algorithm = digest.partition(":")[0]
    actual = f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
    altered = "" if actual == digest else f"its bytes hash to {actual}"
    try:
        document = jsonrules.loads(data)
        if not altered and (usual := _usual_image(digest, data, document)) is not None:
            return usual
        if type(document) is not dict or not _is_plain(document):
            _VERSIONED.conform(document)
    except Malformed as error:
        why = "; ".join(filter(None, (f"no manifest: {error.why}", altered)))
        return _broken(digest, data, State.MALFORMED, why, error.engine or error.why)
    return _Reading(digest, data, document, altered).manifest()


def _usual_image(digest: str, data: bytes, document: object) -> Manifest | None:
    """An image with nothing unusual, as nearly all are; None for any other document, which `_Reading` takes.

    Only exact spellings, once each, of the members that every image has, and nothing else.
    """
    if type(document) is not dict or document.keys() != _IMAGE_NAMES:
        return None
    if type(version := document["schemaVersion"]) is not int or version != 2:
        return None
    media_type = document["mediaType"]
    listed = document["layers"]
    if type(media_type) is not str or media_type not in _IMAGE_TYPES or type(listed) is not list:
        return None
    config = _usual_descriptor(document["config"])
    if config is None or config.media_type not in IMAGE_CONFIGS:
        return None
    layers = tuple(map(_usual_descriptor, listed))
    if None in layers:
        return None
    return Manifest(
        digest=digest,
        state=State.GOOD,
        size=len(data),
        what=What.IMAGE,
        media_type=intern(media_type),
        config=config,
        layers=cast(tuple[Descriptor, ...], layers),
    )


def _usual_descriptor(value: object) -> Descriptor | None:
    if type(value) is not dict or value.keys() != _REQUIRED:
        return None
    digest, size, media_type = value["digest"], value["size"], value["mediaType"]
    if type(digest) is not str or _USUAL_DIGEST.fullmatch(digest) is None or type(size) is not int or size < 0:
        return None
    if type(media_type) is not str or media_type in _FOREIGN or size > _LARGEST:
        return None
    return Descriptor(digest=intern(digest), size=size, media_type=intern(media_type))


def _is_plain(document: dict[str, object]) -> bool:
    """Whether version and type are spelled and typed as nearly always, so that nothing can be wrong with them."""
    return (
        type(document.get("schemaVersion")) is int
        and type(document.get("mediaType", "")) is str
        and document.keys() <= _NAMES
    )


def _broken(digest: str, data: bytes, state: State, why: str, words: str) -> Manifest:
    says = f"failed to retrieve manifest for digest {digest}: {words}"
    return Manifest(digest=digest, state=state, size=len(data), why=why, engine_says=says)


class _Reading:
    """One document becoming a manifest."""

    def __init__(self, digest: str, data: bytes, document: object, altered: str) -> None:
        self._digest = digest
        self._data = data
        self._document = document
        self._fields = _fields(document, _NAMES)
        self._why = ""
        self._words = ""
        self._altered = altered

    def manifest(self) -> Manifest:
        found = self._fields
        media_type = _text(found, "mediaType")
        version = found.get("schemaVersion")
        what, media_type, shape = _decide(version, media_type, found)
        if shape is None:
            if version == 2:
                self._refuse(
                    "unrecognized manifest content type " + media_type, f"a type that no registry knows: {media_type!r}"
                )
            else:
                number = version if isinstance(version, int) else 0
                self._refuse(f"unrecognized manifest schema version {number}", f"schemaVersion is {version!r}")
        else:
            try:
                shape.conform(self._document)
            except Malformed as error:
                self._refuse(error.engine or error.why, f"no manifest: {error.why}")
        layers: Sequence[Descriptor] = ()
        created: int | None = None
        platform = ""
        if what is What.SCHEMA_1:
            layers = tuple(self._schema_1_layers(found.get("fsLayers")))
            created, platform = _schema_1_facts(found)
        else:
            layers = tuple(self._descriptors("layers", found.get("layers")))
            if what in (What.ARTIFACT, What.UNKNOWN) and not layers:
                layers = tuple(self._descriptors("blobs", found.get("blobs")))
        config = next(iter(self._descriptors("config", [found.get("config")])), None)
        subject = next(iter(self._descriptors("subject", [found.get("subject")])), None)
        artifact_type = _text(found, "artifactType")
        if what is What.IMAGE and config is not None and config.media_type not in IMAGE_CONFIGS:
            what = What.ARTIFACT
            artifact_type = artifact_type or config.media_type
        if what is What.IMAGE and config is None:
            self._refuse("", "it names no config")
        children = tuple(self._descriptors("manifests", found.get("manifests")))
        state = State.MALFORMED if self._why else State.ALTERED if self._altered else State.GOOD
        return Manifest(
            digest=self._digest,
            state=state,
            size=len(self._data),
            what=what,
            media_type=intern(media_type),
            artifact_type=intern(artifact_type),
            config=config,
            layers=layers,
            children=children,
            subject=subject,
            annotations=_annotations(found),
            why="; ".join(filter(None, (self._why, self._altered))),
            engine_says=f"failed to retrieve manifest for digest {self._digest}: {self._words}" if self._words else "",
            created=created,
            platform=platform,
        )

    def _refuse(self, words: str, why: str) -> None:
        """Note the first thing that is wrong."""
        if not self._why:
            self._why, self._words = why, words

    def _descriptors(self, name: str, listed: object) -> Iterator[Descriptor]:
        if not isinstance(listed, list):
            return
        for number, item in enumerate(listed):
            if item is None:
                continue
            found = _fields(item, _DESCRIPTOR_NAMES)
            digest = _digest(found.get("digest"))
            if digest is None:
                at = f"{name}[{number}]" if name in ("layers", "manifests", "blobs") else name
                self._refuse("", f"{at}.digest is no digest")
                continue
            size = found.get("size")
            media_type = intern(_text(found, "mediaType"))
            platform = found.get("platform")
            yield Descriptor(
                digest=digest,
                size=size if type(size) is int and size >= 0 else None,
                media_type=media_type,
                platform=_platform(platform) if platform is not None else "",
                annotations=_annotations(found),
                foreign=bool(found.get("urls")) or media_type in _FOREIGN,
            )

    def _schema_1_layers(self, listed: object) -> Iterator[Descriptor]:
        """The layers bottom first; schema 1 lists the top one first."""
        if not isinstance(listed, list):
            return
        for item in reversed(listed):
            digest = _digest(jsonrules.member(item, "blobSum"))
            if digest is None:
                self._refuse("", "fsLayers.blobSum is no digest")
                continue
            yield Descriptor(
                digest=digest, size=None, media_type="application/vnd.docker.container.image.rootfs.diff+x-gtar"
            )


def _decide(version: object, media_type: str, found: Mapping[str, object]) -> tuple[What, str, Struct | None]:
    """What a document is, its type, and the shape that the registry reads it into; None where it refuses it."""
    if version == 1:
        signed = found.get("signatures") is not None
        return What.SCHEMA_1, media_type or (SCHEMA_1_SIGNED if signed else SCHEMA_1), _SCHEMA_1
    if version != 2:
        return What.UNKNOWN, media_type, None
    if media_type in (DOCKER_MANIFEST, OCI_MANIFEST):
        return What.IMAGE, media_type, _IMAGE
    if media_type in (DOCKER_LIST, OCI_INDEX):
        return What.INDEX, media_type, _INDEX
    if media_type == OCI_ARTIFACT:
        return What.ARTIFACT, media_type, _IMAGE
    if media_type:
        return What.UNKNOWN, media_type, None
    if found.get("manifests") is not None:
        return What.INDEX, OCI_INDEX, _INDEX
    return What.IMAGE, OCI_MANIFEST, _IMAGE


def _schema_1_facts(found: Mapping[str, object]) -> tuple[int | None, str]:
    """When the image was made and for which platform, as its newest history entry says."""
    architecture = _text(found, "architecture")
    history = found.get("history")
    newest = jsonrules.member(history[0], "v1Compatibility") if isinstance(history, list) and history else None
    created: int | None = None
    system = "linux"
    if isinstance(newest, str):
        try:
            entry = jsonrules.loads(newest.encode("utf-8", "surrogatepass"))
            text = jsonrules.member(entry, "created")
            named = jsonrules.member(entry, "os")
            system = named if isinstance(named, str) and named else system
            created = times.parse(text) if isinstance(text, str) else None
        except Malformed:
            created = None
    return created, intern(f"{system}/{architecture}") if architecture else ""


def _fields(value: object, names: frozenset[str]) -> Mapping[str, object]:
    """The members of an object as Go's structs get them; none where it is no object."""
    if type(value) is dict and value.keys() <= names:
        return value
    if not isinstance(value, dict):
        return {}
    return {name: jsonrules.member(value, name) for name in names}


def _text(fields: Mapping[str, object], name: str) -> str:
    found = fields.get(name)
    return found if isinstance(found, str) else ""


def _digest(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    if _USUAL_DIGEST.fullmatch(value) is not None:
        return intern(value)
    try:
        return intern(str(Digest.parse_any(value)))
    except Malformed:
        return None


def _annotations(fields: Mapping[str, object]) -> Mapping[str, str]:
    found = fields.get("annotations")
    if not isinstance(found, dict) or not found:
        return _NO_ANNOTATIONS
    return {name: value for name, value in found.items() if isinstance(value, str)}


def _platform(value: object) -> str:
    found = _fields(value, _PLATFORM_NAMES)
    parts = (found.get(name) for name in ("os", "architecture", "variant"))
    return intern("/".join(part for part in parts if isinstance(part, str) and part))
