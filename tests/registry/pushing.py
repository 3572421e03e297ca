"""Registry storage made file by file, deterministic, as registries of 2.x and 3.x lay it out."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

V2 = "docker/registry/v2"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@dataclass(frozen=True, kw_only=True)
class Made:
    """A manifest that was written, and what it names."""

    digest: str
    size: int
    media_type: str
    config: str = ""
    layers: tuple[str, ...] = ()
    diff_ids: tuple[str, ...] = ()
    platform: Mapping[str, str] | None = None


class Registry:
    """Writes a registry's storage below a folder that it makes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / V2 / "blobs").mkdir(parents=True, exist_ok=True)
        (path / V2 / "repositories").mkdir(exist_ok=True)

    # --- files ---------------------------------------------------------------

    def blob_path(self, digest: str) -> Path:
        algorithm, _, digits = digest.partition(":")
        return self.path / V2 / "blobs" / algorithm / digits[:2] / digits / "data"

    def blob(self, content: bytes, algorithm: str = "sha256") -> str:
        digest = f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
        path = self.blob_path(digest)
        if not path.exists():  # as a registry, which keeps what it has
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return digest

    def repository(self, name: str) -> Path:
        return self.path / V2 / "repositories" / name

    def layer_link(self, name: str, digest: str) -> Path:
        return self.repository(name) / "_layers" / digest.replace(":", "/") / "link"

    def revision_link(self, name: str, digest: str) -> Path:
        return self.repository(name) / "_manifests/revisions" / digest.replace(":", "/") / "link"

    def tag_path(self, name: str, tag: str) -> Path:
        return self.repository(name) / "_manifests/tags" / tag

    def current_link(self, name: str, tag: str) -> Path:
        return self.tag_path(name, tag) / "current/link"

    def index_link(self, name: str, tag: str, digest: str) -> Path:
        return self.tag_path(name, tag) / "index" / digest.replace(":", "/") / "link"

    def write(self, path: Path, content: bytes | str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    # --- names ---------------------------------------------------------------

    def link_blobs(self, name: str, *digests: str) -> None:
        for digest in digests:
            self.write(self.layer_link(name, digest), digest)

    def tag(self, name: str, tag: str, digest: str) -> None:
        self.write(self.index_link(name, tag, digest), digest)
        self.write(self.current_link(name, tag), digest)

    def manifest(self, name: str, tags: Iterable[str], document: Mapping[str, object] | bytes) -> Made:
        """Put a manifest; a document becomes JSON."""
        content = document if isinstance(document, bytes) else json.dumps(document, indent=1).encode()
        digest = self.blob(content)
        self.write(self.revision_link(name, digest), digest)
        for tag in tags:
            self.tag(name, tag, digest)
        media_type = "" if isinstance(document, bytes) else str(document.get("mediaType", OCI_MANIFEST))
        return Made(digest=digest, size=len(content), media_type=media_type)

    # --- images --------------------------------------------------------------

    def image(
        self,
        name: str,
        *tags: str,
        layers: Sequence[bytes] = (b"base", b"app"),
        architecture: str = "amd64",
        created: str = "2026-01-02T03:04:05Z",
        docker: bool = False,
        subject: Made | None = None,
        annotations: Mapping[str, str] | None = None,
        diff_ids: Sequence[str] | None = None,
    ) -> Made:
        """An image with everything that it needs."""
        if diff_ids is None:
            diff_ids = [f"sha256:{hashlib.sha256(b'tar of ' + layer).hexdigest()}" for layer in layers]
        config = {
            "architecture": architecture,
            "config": {"Env": ["PATH=/bin"]},
            "created": created,
            "history": [{"created": created, "created_by": f"layer {number}"} for number in range(len(layers))]
            + [{"created": created, "created_by": "CMD", "empty_layer": True}],
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
        }
        content = json.dumps(config).encode()
        config_digest = self.blob(content)
        digests = [self.blob(layer) for layer in layers]
        self.link_blobs(name, config_digest, *digests)
        document: dict[str, object] = {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST if docker else OCI_MANIFEST,
            "config": {
                "mediaType": DOCKER_CONFIG if docker else OCI_CONFIG,
                "size": len(content),
                "digest": config_digest,
            },
            "layers": [
                {"mediaType": DOCKER_LAYER if docker else OCI_LAYER, "size": len(layer), "digest": digest}
                for layer, digest in zip(layers, digests, strict=True)
            ],
        }
        if subject is not None:
            document["subject"] = descriptor(subject)
        if annotations is not None:
            document["annotations"] = dict(annotations)
        return replace(
            self.manifest(name, tags, document),
            config=config_digest,
            layers=tuple(digests),
            diff_ids=tuple(diff_ids),
            platform={"os": "linux", "architecture": architecture},
        )

    def index(self, name: str, *tags: str, children: Sequence[Made], typed: bool = True) -> Made:
        """An index of manifests that were put into the same repository."""
        document: dict[str, object] = {"schemaVersion": 2}
        if typed:
            document["mediaType"] = OCI_INDEX
        document["manifests"] = [
            {**descriptor(child), **({"platform": child.platform} if child.platform else {})} for child in children
        ]
        return self.manifest(name, tags, document)

    def artifact(
        self, name: str, *tags: str, subject: Made | None = None, kind: str = "application/vnd.example.sbom"
    ) -> Made:
        """An artifact with the empty config and one blob."""
        config = self.blob(b"{}")
        content = self.blob(f"bill of materials of {kind}".encode())
        self.link_blobs(name, config, content)
        document: dict[str, object] = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": kind,
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2, "digest": config},
            "layers": [{"mediaType": kind, "size": len(f"bill of materials of {kind}"), "digest": content}],
        }
        if subject is not None:
            document["subject"] = descriptor(subject)
        return replace(self.manifest(name, tags, document), config=config, layers=(content,))

    def schema_1(self, name: str, *tags: str, layers: Sequence[bytes] = (b"old base", b"old app")) -> Made:
        """A schema 1 manifest, unsigned."""
        digests = [self.blob(layer) for layer in layers]
        self.link_blobs(name, *digests)
        history = [
            json.dumps({"id": f"{n:064x}", "os": "linux", "created": "2015-03-04T05:06:07Z", "comment": f"number {n}"})
            for n in range(len(layers))
        ]
        document: dict[str, object] = {
            "schemaVersion": 1,
            "name": name,
            "tag": tags[0] if tags else "none",
            "architecture": "amd64",
            "fsLayers": [{"blobSum": digest} for digest in reversed(digests)],
            "history": [{"v1Compatibility": text} for text in reversed(history)],
        }
        return replace(self.manifest(name, tags, document), layers=tuple(digests))

    # --- the rest ------------------------------------------------------------

    def upload(
        self, name: str, uuid: str, data: bytes | None = b"so far", started: str | None = "2026-01-01T00:00:00Z"
    ) -> Path:
        path = self.repository(name) / "_uploads" / uuid
        path.mkdir(parents=True)
        if data is not None:
            (path / "data").write_bytes(data)
        if started is not None:
            (path / "startedat").write_bytes(started.encode())
        return path

    def cache(self, entries: Mapping[str, tuple[str, bool]]) -> None:
        """scheduler-state.json of a pull-through cache: key → (time of expiry, whether it is a manifest)."""
        value = {
            key: {"Key": key, "ExpiryData": expires, "EntryType": int(manifest)}
            for key, (expires, manifest) in sorted(entries.items())
        }
        (self.path / "scheduler-state.json").write_text(json.dumps(value, separators=(",", ":")))

    def age(self, seconds: int = 3600) -> None:
        """Make every file and folder older, so that a change shows by its time alone."""
        for top, folders, files in os.walk(self.path, topdown=False):
            for name in (*folders, *files):
                path = os.path.join(top, name)
                found = os.lstat(path)
                at = found.st_mtime_ns - seconds * 10**9
                os.utime(path, ns=(at, at), follow_symlinks=False)


def descriptor(made: Made) -> dict[str, object]:
    return {"mediaType": made.media_type or OCI_MANIFEST, "size": made.size, "digest": made.digest}
