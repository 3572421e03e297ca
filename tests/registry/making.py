"""A small maker of registry storages, written file by file as docker-registry 2.8 leaves them."""

import datetime
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

V2 = "docker/registry/v2"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
DAY = 86400


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


@dataclass(frozen=True)
class Image:
    """What a push left."""

    repository: str
    digest: str
    config: str
    layers: tuple[str, ...]
    document: dict[str, object]


class Storage:
    """A rootdirectory that is filled as pushes would; nothing is checked, so that damage can be written too."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for folder in ("blobs", "repositories"):
            (path / V2 / folder).mkdir(parents=True)

    # --- places --------------------------------------------------------------

    def relative(self, path: Path) -> str:
        return os.path.relpath(path, self.path)

    def blob_path(self, digest: str) -> Path:
        algorithm, hexadecimal = digest.split(":")
        return self.path / V2 / "blobs" / algorithm / hexadecimal[:2] / hexadecimal / "data"

    def repository_path(self, repository: str) -> Path:
        return self.path / V2 / "repositories" / repository

    def layer_path(self, repository: str, digest: str) -> Path:
        return self.repository_path(repository) / "_layers" / digest.replace(":", "/") / "link"

    def revision_path(self, repository: str, digest: str) -> Path:
        return self.repository_path(repository) / "_manifests/revisions" / digest.replace(":", "/") / "link"

    def tag_path(self, repository: str, tag: str) -> Path:
        return self.repository_path(repository) / "_manifests/tags" / tag / "current/link"

    def history_path(self, repository: str, tag: str, digest: str) -> Path:
        return self.repository_path(repository) / "_manifests/tags" / tag / "index" / digest.replace(":", "/") / "link"

    # --- what a push writes --------------------------------------------------

    def put(self, path: Path, content: bytes | str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def blob(self, content: bytes, algorithm: str = "sha256") -> str:
        digest = digest_of(content, algorithm)
        self.put(self.blob_path(digest), content)
        return digest

    def layer(self, repository: str, content: bytes) -> str:
        digest = self.blob(content)
        self.put(self.layer_path(repository, digest), digest)
        return digest

    def manifest(self, repository: str, document: object, *tags: str) -> str:
        content = document if isinstance(document, bytes) else json.dumps(document, separators=(",", ":")).encode()
        digest = self.blob(content)
        self.put(self.revision_path(repository, digest), digest)
        for tag in tags:
            self.tag(repository, tag, digest)
        return digest

    def tag(self, repository: str, tag: str, digest: str) -> None:
        self.put(self.history_path(repository, tag, digest), digest)
        self.put(self.tag_path(repository, tag), digest)

    def image(
        self, repository: str, *tags: str, layers: Sequence[bytes] = (b"layer",), cmd: str = "", subject: str = ""
    ) -> Image:
        """Push an image; its config differs by `cmd`."""
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": [cmd]},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(b"tar of " + layer) for layer in layers]},
        }
        config_bytes = json.dumps(config).encode()
        config_digest = self.layer(repository, config_bytes)
        digests = [self.layer(repository, layer) for layer in layers]
        document: dict[str, object] = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": config_digest, "size": len(config_bytes)},
            "layers": [
                {"mediaType": OCI_LAYER, "digest": digest, "size": len(layer)}
                for digest, layer in zip(digests, layers, strict=True)
            ],
        }
        if subject:
            document["subject"] = {"mediaType": OCI_MANIFEST, "digest": subject, "size": 1}
        digest = self.manifest(repository, document, *tags)
        return Image(repository, digest, config_digest, tuple(digests), document)

    def index(self, repository: str, children: Sequence[str], *tags: str) -> str:
        manifests = [
            {
                "mediaType": OCI_MANIFEST,
                "digest": digest,
                "size": 1,
                "platform": {"os": "linux", "architecture": f"arch{number}"},
            }
            for number, digest in enumerate(children)
        ]
        return self.manifest(repository, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}, *tags)

    def upload(
        self, repository: str, name: str, started: datetime.datetime | str | None, data: bytes = b"half"
    ) -> Path:
        """Begin an upload; a text is written to startedat as it is, None writes none."""
        folder = self.repository_path(repository) / "_uploads" / name
        self.put(folder / "data", data)
        if started is not None:
            text = started if isinstance(started, str) else started.strftime("%Y-%m-%dT%H:%M:%SZ")
            self.put(folder / "startedat", text)
        return folder

    # --- time ----------------------------------------------------------------

    def age(self, days: float = 30) -> None:
        """Let everything be as old as this."""
        at = datetime.datetime.now(datetime.UTC).timestamp() - days * DAY
        for folder, names, files in os.walk(self.path):
            for name in (*names, *files):
                os.utime(os.path.join(folder, name), (at, at), follow_symlinks=False)
