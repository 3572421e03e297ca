"""A registry's storage in every state that a healthy registry leaves, made by docker-registry and skopeo."""

import gzip
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orlop.digest import Digest
from tests.engines.conftest import CONTENT, archive
from tests.engines.registry_judge import (
    OCI_INDEX,
    OCI_MANIFEST,
    Everything,
    Question,
    Service,
    questions_of,
    skopeo,
)

CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DATE = "2020-09-13T12:26:40Z"
CACHED = ("library/base:1.0", "team/app:latest", "team/multi:all")
"""What is pulled through the cache."""


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


@dataclass(slots=True)
class Source:
    """An OCI layout, from which skopeo pushes."""

    folder: Path
    index: list[Mapping[str, object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "blobs" / "sha256").mkdir(parents=True)
        (self.folder / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))

    def blob(self, content: bytes, media_type: str) -> dict[str, object]:
        digest = Digest.of(content)
        (self.folder / "blobs" / "sha256" / digest.hex).write_bytes(content)
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    def image(self, name: str, *layers: bytes, architecture: str = "amd64") -> dict[str, object]:
        """An image of these layers, each a tar; its descriptor."""
        config = {
            "created": DATE,
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": [f"/bin/{name}"]},
            "rootfs": {"type": "layers", "diff_ids": [Digest.of(layer) for layer in layers]},
            "history": [{"created": DATE, "created_by": f"layer {n}"} for n, _ in enumerate(layers)],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self.blob(_json(config), CONFIG),
            "layers": [self.blob(gzip.compress(layer, 6, mtime=0), LAYER) for layer in layers],
        }
        made = self.blob(_json(manifest), OCI_MANIFEST)
        self._name(name, made)
        return made

    def multi(self, name: str, *platforms: tuple[str, dict[str, object]]) -> None:
        """An index of images, each with its architecture."""
        manifests = [{**image, "platform": {"architecture": kind, "os": "linux"}} for kind, image in platforms]
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}
        self._name(name, self.blob(_json(index), OCI_INDEX))

    def _name(self, name: str, descriptor: Mapping[str, object]) -> None:
        self.index.append({**descriptor, "annotations": {"org.opencontainers.image.ref.name": name}})
        (self.folder / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": self.index}))

    def archived(self, name: str, target: Path, kind: str) -> Path:
        """One image as an archive file: ``oci-archive`` or ``docker-archive``."""
        skopeo("copy", "-q", f"oci:{self.folder}:{name}", f"{kind}:{target}:{name}:v1")
        return target


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeRegistry:
    """A root as the registry left it, and what the registry answered before it was stopped."""

    root: Path
    source: Source
    answers: Everything
    facts: Mapping[str, str]
    """Digests and upload ids that tests ask for by a word."""

    def digest(self, name: str) -> str:
        """What ``REPOSITORY:TAG`` means."""
        repository, _, tag = name.rpartition(":")
        return self.answers.replies[Question(repository, "manifests", tag)].digest

    def needs(self, name: str) -> list[str]:
        """Config and layers of an image."""
        manifest = json.loads(self.manifest(self.digest(name)))
        return [manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]

    def manifest(self, digest: str) -> bytes:
        return (self.root / "docker/registry/v2/blobs/sha256" / digest[7:9] / digest[7:] / "data").read_bytes()

    @property
    def questions(self) -> Collection[Question]:
        return self.answers.replies.keys()


@dataclass(slots=True)
class Maker:
    """Fills a registry."""

    service: Service
    source: Source
    facts: dict[str, str] = field(default_factory=dict)

    def make(self) -> None:
        self._images()
        self._pushed()
        self._belonging()
        self._deleted()
        self._uploads()

    def _images(self) -> None:
        base = archive({"etc/": b"", "etc/base": CONTENT})
        self.source.image("base", base)
        for number in (1, 2, 3):
            self.source.image(f"app{number}", base, archive({"srv/": b"", "srv/app": b"%d\n" % number * 1000}))
        self.source.image("solo", archive({"solo": CONTENT[::-1]}))
        self.source.image("doomed", archive({"doomed": b"to be deleted\n" * 100}))
        self.source.image("later", base, archive({"later": b"pushed or imported later\n" * 100}))
        amd = self.source.image("amd", base, archive({"amd": b"amd64\n"}))
        arm = self.source.image("arm", archive({"arm": b"arm64\n" * 2000}), architecture="arm64")
        self.source.multi("multi", ("amd64", amd), ("arm64", arm))

    def _pushed(self) -> None:
        self._push("base", "library/base:1.0")
        self._push("base", "library/base:latest")
        self._push("base", "library/base:docker2", "--format", "v2s2")
        for number, name in ((1, "latest"), (1, "v1"), (2, "latest"), (2, "v2"), (3, "v3")):
            self._push(f"app{number}", f"team/app:{name}")
        self._push("app1", "team/app/nested:v1")
        self._push("app1", "team/app/nested/deep:v1")
        self._push("app1", "team/moved:latest")
        self.facts["untagged"] = self._digest("team/moved:latest")
        self._push("app2", "team/moved:latest")
        self._push("multi", "team/multi:all", "--all")
        self._push("solo", "other/solo:only")

    def _push(self, name: str, target: str, *options: str) -> None:
        self.service.push(self.source.folder, name, target, *options)

    def _digest(self, name: str) -> str:
        repository, _, tag = name.rpartition(":")
        return self.service.reply(Question(repository, "manifests", tag)).digest

    def _belonging(self) -> None:
        """A signature by its subject, and a bill of materials that has one and a tag too."""
        self._push("base", "team/signed:v1")
        subject = {"mediaType": OCI_MANIFEST, "digest": self._digest("team/signed:v1"), "size": 0}
        subject["size"] = len(self.service.ask("GET", "team/signed/manifests/v1", Accept=OCI_MANIFEST).body)
        for word, tagged in (("signature", False), ("materials", True)):
            content = f"the {word} of an image\n".encode()
            manifest = _json(
                {
                    "schemaVersion": 2,
                    "mediaType": OCI_MANIFEST,
                    "artifactType": f"application/vnd.example.{word}",
                    "config": self._blob("team/signed", b"{}", "application/vnd.oci.empty.v1+json"),
                    "layers": [self._blob("team/signed", content, f"application/vnd.example.{word}")],
                    "subject": subject,
                }
            )
            digest = Digest.of(manifest)
            done = self.service.put("team/signed", word if tagged else digest, manifest, OCI_MANIFEST)
            assert done.status == 201, done.body
            self.facts[word] = digest

    def _blob(self, repository: str, content: bytes, media_type: str) -> dict[str, object]:
        return {"mediaType": media_type, "digest": self.service.upload(repository, content), "size": len(content)}

    def _deleted(self) -> None:
        self._push("doomed", "team/deleted:gone")
        self._push("app1", "team/deleted:stays")
        self._push("solo", "team/emptied:gone")
        for name, word in (("team/deleted", "deleted"), ("team/emptied", "emptied")):
            self.facts[word] = self._digest(f"{name}:gone")
            assert self.service.ask("DELETE", f"{name}/manifests/{self.facts[word]}").status == 202
        self.facts["unlinked blob"] = self.service.upload("team/deleted", b"zz" * 100)
        done = self.service.ask("DELETE", f"team/deleted/blobs/{self.facts['unlinked blob']}")
        assert done.status == 202

    def _uploads(self) -> None:
        """Begun only, begun with some bytes, and in a repository that has nothing else."""
        for repository, parts in (("team/deleted", 0), ("team/deleted", 2), ("only-upload", 1)):
            at = self.service.ask("POST", f"{repository}/blobs/uploads/", b"")
            for _ in range(parts):
                at = self.service.ask("PATCH", at.headers["location"], b"a part of it " * 40)
                assert at.status == 202, at.body
            self.facts[f"upload of {parts} to {repository}"] = at.headers["docker-upload-uuid"]


def make(folder: Path) -> MadeRegistry:
    """Make a store below an empty folder."""
    (folder / "root").mkdir()
    service = Service(folder / "root", room=folder)
    maker = Maker(service, Source(folder / "source"))
    with service.running():
        maker.make()
        answers = service.everything(questions_of(service.root))
    return MadeRegistry(root=service.root, source=maker.source, answers=answers, facts=maker.facts)


def make_cache(folder: Path, made: MadeRegistry) -> MadeRegistry:
    """Make the store of a pull-through cache of a store, below an empty folder."""
    upstream = Service(made.root, room=folder)
    (folder / "root").mkdir()
    (folder / "cache").mkdir()
    schedule = folder / "root" / "scheduler-state.json"
    with upstream.running():
        cache = Service(folder / "root", upstream=upstream.host, room=folder / "cache")
        with cache.running():
            for number, name in enumerate(CACHED):
                image = f"docker://{cache.host}/{name}"
                skopeo("copy", "-q", "--all", "--src-tls-verify=false", image, f"dir:{folder / str(number)}")
            assert cache.server is not None
            wanted = sum(question.what == "blobs" for question in questions_of(cache.root))
            cache.server.wait_until(lambda: _entries(schedule) >= wanted)  # it saves every five seconds
            answers = cache.everything(questions_of(cache.root))
    return MadeRegistry(root=cache.root, source=made.source, answers=answers, facts={})


def _entries(schedule: Path) -> int:
    try:
        return len(json.loads(schedule.read_bytes()))
    except (FileNotFoundError, ValueError):  # not there yet, or being written in place
        return 0
