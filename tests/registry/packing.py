"""Archives of images for tests: an OCI layout, what docker save writes, and what neither would."""

import gzip
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

from tests.registry.making import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, digest_of


def config_of(layers: list[bytes], cmd: str = "") -> bytes:
    """The config of an image over uncompressed layers."""
    document = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": [cmd]},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
    }
    return json.dumps(document).encode()


def pack(path: Path, files: Mapping[str, bytes], *, compressed: bool = False) -> Path:
    """A tar of some files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    data = buffer.getvalue()
    path.write_bytes(gzip.compress(data, mtime=0) if compressed else data)
    return path


class OciLayout:
    """The files of an OCI layout."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
        self.tops: list[dict[str, object]] = []

    def blob(self, content: bytes, algorithm: str = "sha256") -> str:
        digest = digest_of(content, algorithm)
        self.files[self.path(digest)] = content
        return digest

    def path(self, digest: str) -> str:
        return "blobs/" + digest.replace(":", "/")

    def image(self, *layers: bytes, cmd: str = "", algorithm: str = "sha256") -> dict[str, object]:
        """Add an image; gives its descriptor."""
        config = config_of(list(layers), cmd)
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": self.blob(config), "size": len(config)},
            "layers": [
                {"mediaType": OCI_LAYER, "digest": self.blob(layer, algorithm), "size": len(layer)} for layer in layers
            ],
        }
        return self.manifest(document)

    def manifest(self, document: Mapping[str, object]) -> dict[str, object]:
        data = json.dumps(document).encode()
        return {"mediaType": document.get("mediaType", ""), "digest": self.blob(data), "size": len(data)}

    def index(self, *children: dict[str, object]) -> dict[str, object]:
        return self.manifest({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(children)})

    def top(self, descriptor: dict[str, object], name: str = "") -> str:
        """List an image in the layout's own index; gives its digest."""
        notes = {"annotations": {"org.opencontainers.image.ref.name": name}} if name else {}
        self.tops.append({**descriptor, **notes})
        return str(descriptor["digest"])

    def all(self) -> dict[str, bytes]:
        index = {"schemaVersion": 2, "manifests": self.tops}
        return {**self.files, "index.json": json.dumps(index).encode()}

    def pack(self, path: Path, *, compressed: bool = False) -> Path:
        return pack(path, self.all(), compressed=compressed)


def docker_save(path: Path, layers: list[bytes], tags: list[str], *, compressed: bool = False) -> Path:
    """What docker save writes, up to 24."""
    config = config_of(layers)
    files = {f"{digest_of(config)[7:]}.json": config}
    names = [f"layer{number}/layer.tar" for number, _ in enumerate(layers)]
    files.update(zip(names, layers, strict=True))
    item = {"Config": f"{digest_of(config)[7:]}.json", "RepoTags": tags, "Layers": names}
    files["manifest.json"] = json.dumps([item]).encode()
    return pack(path, files, compressed=compressed)
