"""Building blocks for registries' storage: real manifests, configs and layers, every digest true.

::

    root = RegistryRoot.create(folder)
    base = root.image("library/base", {"bin/sh": b"#!"}, tags=["1.0", "latest"])
    app = root.image("team/app", {"srv/app": b"app"}, on=base, tags=["v1"])
    root.index("team/app", [app, arm], tags=["all"])
    root.settle()                                      # times fixed: same bytes, same times

Everything is derived from the content, so the same calls give the same bytes.
What it writes is what docker-registry 2.8 writes, and that serves it. Files are
given their place directly: a folder that is just being made has no reader yet.
"""

import json
import os
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orlop import times
from orlop.digest import Digest
from orlop.errors import AlreadyExists
from orlop.registry.layout import DATA, LINK, MODERN, STARTED_AT
from orlop.samples.trees import Files, archive

NOW = times.parse("2026-09-01T08:00:00Z")
"""When the sample registry was last stopped: the time of every file that says nothing else."""

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_EMPTY = b"{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer: what its archive holds, and the blob that it is kept as."""

    diff_id: str
    digest: str
    size: int
    """Bytes of the blob."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """A manifest that was pushed."""

    digest: str
    media_type: str
    size: int
    layers: tuple[Layer, ...] = ()
    config: str = ""
    """Digest of the config; empty for an index."""
    platform: tuple[tuple[str, str], ...] = ()

    def descriptor(self) -> dict[str, object]:
        """How another manifest names this one."""
        found: dict[str, object] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.platform:
            found["platform"] = dict(self.platform)
        return found


class RegistryRoot:
    """A registry's ``rootdirectory`` that is being made."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._times: dict[str, int] = {}

    @classmethod
    def create(cls, path: str) -> "RegistryRoot":
        """Begin an empty storage.

        Raises:
            AlreadyExists: there is something in the folder.
        """
        if os.path.lexists(path) and (not os.path.isdir(path) or os.listdir(path)):
            raise AlreadyExists("a sample store needs an empty folder", path=path)
        root = cls(os.path.abspath(path))
        root.make(MODERN.blobs)
        root.make(MODERN.repositories)
        return root

    # --- single files ------------------------------------------------------

    def at(self, path: str) -> str:
        """The absolute path of a path in the store."""
        return os.path.join(self.path, path)

    def make(self, path: str) -> None:
        """Make a folder, and those above it."""
        os.makedirs(self.at(path), mode=0o755, exist_ok=True)

    def write(self, path: str, data: bytes, *, at: int | None = None) -> str:
        """Write a file over whatever file is there, changed last at this time; gives its path."""
        os.makedirs(os.path.dirname(self.at(path)), exist_ok=True)
        with open(self.at(path), "wb") as file:
            file.write(data)
        if at is not None:
            self._times[path] = at
        return path

    def blob(self, data: bytes, *, at: int | None = None) -> str:
        """Keep bytes under their digest, which it gives; no repository may serve them yet."""
        digest = Digest.of(data)
        self.write(MODERN.blob_data(digest), data, at=at)
        return digest

    def serve(self, repository: str, digest: str, *, at: int | None = None) -> str:
        """Let a repository serve a blob; gives the path of the link."""
        return self.write(MODERN.layer_link(repository, digest), digest.encode(), at=at)

    # --- layers and manifests ----------------------------------------------

    def layer(self, files: Files) -> Layer:
        """Keep a layer, compressed; the same files give the same bytes everywhere."""
        tar = archive(files)
        packed = _gzip(tar)
        return Layer(diff_id=Digest.of(tar), digest=self.blob(packed), size=len(packed))

    def image(
        self,
        repository: str,
        *files: Files,
        on: Pushed | None = None,
        tags: Iterable[str] = (),
        platform: str = "linux/amd64",
        created: str = "2026-08-01T10:00:00.5Z",
        docker: bool = False,
        annotations: Mapping[str, str] | None = None,
        subject: Pushed | None = None,
    ) -> Pushed:
        """Push one image.

        Args:
            repository: where to.
            files: a layer each, bottom first.
            on: the image whose layers are below.
            tags: its names.
            platform: ``os/architecture[/variant]``.
            created: RFC 3339.
            docker: schema 2 of Docker in place of an OCI manifest.
            annotations: of the manifest.
            subject: the manifest that it belongs to.
        """
        layers = (*(on.layers if on is not None else ()), *(self.layer(one) for one in files))
        parts = dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))
        config = {
            "created": created,
            **parts,
            "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
            "history": [
                {"created": created, "created_by": f"COPY layer {number} / # buildkit"}
                for number, _ in enumerate(layers, 1)
            ],
        }
        document = self._manifest(
            repository,
            config_type=DOCKER_CONFIG if docker else OCI_CONFIG,
            config=_json(config),
            layers=[(DOCKER_LAYER if docker else OCI_LAYER, layer.digest, layer.size) for layer in layers],
            media_type=DOCKER_MANIFEST if docker else OCI_MANIFEST,
        )
        self._add(document, annotations, subject)
        return self._push(repository, document, tags, layers=layers, platform=tuple(parts.items()))

    def artifact(
        self, repository: str, content: bytes, *, kind: str, subject: Pushed | None = None, tags: Iterable[str] = ()
    ) -> Pushed:
        """Push something that is no image: a signature, a bill of materials."""
        digest = self.blob(content)
        document = self._manifest(
            repository,
            config_type="application/vnd.oci.empty.v1+json",
            config=_EMPTY,
            layers=[(kind, digest, len(content))],
            media_type=OCI_MANIFEST,
        )
        document["artifactType"] = kind
        self._add(document, None, subject)
        return self._push(repository, document, tags)

    def index(self, repository: str, children: Sequence[Pushed], *, tags: Iterable[str] = ()) -> Pushed:
        """Push an index of images that the repository knows already."""
        document: dict[str, object] = {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [child.descriptor() for child in children],
        }
        return self._push(repository, document, tags)

    def revision(self, repository: str, digest: str, *, at: int | None = None) -> str:
        """Let a repository know a manifest; gives the path of the link."""
        return self.write(MODERN.revision_link(repository, digest), digest.encode(), at=at)

    def tag(self, repository: str, tag: str, digest: str, *, at: int | None = None) -> None:
        """Give a manifest a name, as a push does: the history first."""
        self.write(MODERN.tag_index_link(repository, tag, digest), digest.encode(), at=at)
        self.write(MODERN.tag_current(repository, tag), digest.encode(), at=at)

    def upload(self, repository: str, uuid: str, data: bytes, *, started: str | None, at: int | None = None) -> str:
        """Begin an upload, and leave it; gives the path of its folder."""
        folder = MODERN.upload(repository, uuid)
        self.write(f"{folder}/{DATA}", data, at=at)
        if started is not None:
            self.write(f"{folder}/{STARTED_AT}", started.encode(), at=at)
        return folder

    def settle(self) -> None:
        """Give every file and folder its time, so that the same calls give the same store."""
        for here, _, names in os.walk(self.path, topdown=False):
            for name in names:
                path = os.path.join(here, name)
                at = self._times.get(os.path.relpath(path, self.path), NOW)
                os.utime(path, ns=(at, at), follow_symlinks=False)
            os.utime(here, ns=(NOW, NOW))

    # --- parts -------------------------------------------------------------

    def _manifest(
        self,
        repository: str,
        *,
        config_type: str,
        config: bytes,
        layers: Iterable[tuple[str, str, int]],
        media_type: str,
    ) -> dict[str, object]:
        listed = []
        for layer_type, digest, size in layers:
            self.serve(repository, digest)
            listed.append({"mediaType": layer_type, "digest": digest, "size": size})
        self.serve(repository, self.blob(config))
        return {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": {"mediaType": config_type, "digest": Digest.of(config), "size": len(config)},
            "layers": listed,
        }

    def _add(self, document: dict[str, object], annotations: Mapping[str, str] | None, subject: Pushed | None) -> None:
        if subject is not None:
            document["subject"] = {**subject.descriptor()}
        if annotations:
            document["annotations"] = dict(annotations)

    def _push(
        self,
        repository: str,
        document: Mapping[str, object],
        tags: Iterable[str],
        *,
        layers: tuple[Layer, ...] = (),
        platform: tuple[tuple[str, str], ...] = (),
    ) -> Pushed:
        data = _json(document)
        digest = self.blob(data)
        self.revision(repository, digest)
        for tag in tags:
            self.tag(repository, tag, digest)
        self.make(MODERN.uploads_of(repository))
        config = document.get("config")
        return Pushed(
            digest=digest,
            media_type=str(document["mediaType"]),
            size=len(data),
            layers=layers,
            config=str(config["digest"]) if isinstance(config, dict) else "",
            platform=platform,
        )


def link_folder(path: str) -> str:
    """The folder of a link, from the path of its file."""
    return path.removesuffix(f"/{LINK}")


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _gzip(data: bytes) -> bytes:
    """A gzip stream that stores its bytes as they are, so that no compressor's version changes the digest."""
    blocks = [data[at : at + 0xFFFF] for at in range(0, len(data), 0xFFFF)] or [b""]
    stored = b"".join(
        struct.pack("<BHH", number == len(blocks), len(block), len(block) ^ 0xFFFF) + block
        for number, block in enumerate(blocks, 1)
    )
    header = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    return header + stored + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)
