"""The registry library on a real registry's disk: each goes on with what the other began."""

import base64
import contextlib
import hashlib
import hmac
import io
import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orlop import times
from orlop.digest import Digest
from orlop.registry.filedriver import FileDriver
from orlop.registry.layout import MODERN
from orlop.registry.storage import RegistryStorage

if TYPE_CHECKING:
    from tests.engines.conftest import Server

pytestmark = pytest.mark.engine

SECRET = "known to the test, which makes a client's state with it"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
NAME = "team/app"
HALF = 3_000_000
LAYER = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(200_000))
"""6.4 MB that do not compress."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the registry said."""

    status: int
    headers: dict[str, str]
    """By lower-case names."""
    body: bytes


class Registry:
    """A docker-registry on one root, started and killed again and again."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.root.mkdir()
        self.storage = RegistryStorage(FileDriver(str(self.root)))
        self._folder = folder
        self._port = 0

    @contextlib.contextmanager
    def running(self, *, kill: bool = False) -> Iterator[None]:
        from tests.engines.conftest import Server, _answers, _free_port

        self._port = _free_port()
        settings = {
            "version": 0.1,
            "log": {"level": "warn"},
            "storage": {"filesystem": {"rootdirectory": str(self.root)}, "delete": {"enabled": True}},
            "http": {"addr": f"127.0.0.1:{self._port}", "secret": SECRET},
        }
        config = self._folder / "config.yml"
        config.write_text(json.dumps(settings))  # JSON is YAML
        server = Server.start(["docker-registry", "serve", str(config)], self._folder / "log")
        try:
            server.wait_until(lambda: _answers(self._port))
            yield
        finally:
            self._end(server, kill)

    def _end(self, server: "Server", kill: bool) -> None:
        if kill:
            server.process.kill()
            server.process.wait()
        server.stop()

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        url = path if path.startswith("http:") else f"http://127.0.0.1:{self._port}/v2/{path}"
        request = urllib.request.Request(url, method=method, data=body)
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as response:
                return Answer(response.status, _lower(response.headers.items()), response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, _lower(error.headers.items()), error.read())

    def tags(self) -> list[str]:
        """Its tags of the repository; 2.x lists them in any order."""
        return sorted(json.loads(self.ask("GET", f"{NAME}/tags/list").body)["tags"])

    def collect(self) -> str:
        """What its garbage collection would do; it must not abort."""
        command = ["docker-registry", "garbage-collect", "--dry-run", str(self._folder / "config.yml")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


def _lower(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    from tests.engines.conftest import PATH, _unfit

    for program in ("docker-registry", "skopeo"):
        if shutil.which(program, path=PATH) is None:
            _unfit(f"{program} is not installed (Debian: docker-registry, skopeo)")
    return Registry(tmp_path)


def upload(registry: Registry, content: bytes, name: str = NAME) -> Digest:
    with registry.storage.repository(name).layers.upload() as upload:
        upload.read_from(io.BytesIO(content))
        return Digest(upload.finish(Digest.of(content)).digest)


def image(registry: Registry, layer: Digest, name: str = NAME) -> bytes:
    """An image of one layer that is there, its config uploaded; the manifest's bytes."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [layer]}})
    size = registry.storage.repository(name).layers.fetch(layer).size
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": upload(registry, config.encode(), name),
            "size": len(config),
        },
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": size}],
    }
    return json.dumps(manifest, indent=3).encode()


def state(uuid: str, offset: int, started_at: int) -> str:
    """The state that the registry gives a client, signed (registry/handlers/hmac.go)."""
    told = {"Name": NAME, "UUID": uuid, "Offset": offset, "StartedAt": times.rfc3339(started_at)}
    text = json.dumps(told).encode()
    return base64.urlsafe_b64encode(hmac.digest(SECRET.encode(), text, "sha256") + text).decode()


def test_what_the_library_stores_is_served_byte_for_byte(registry: Registry, tmp_path: Path) -> None:
    app = registry.storage.repository(NAME)
    layer = upload(registry, LAYER)
    manifest = image(registry, layer)
    digest = app.manifests.put(manifest)
    app.tags.tag("v1", digest)
    app.tags.tag("latest", digest)
    empty = upload(registry, b"")
    alias = Digest.of(LAYER, "sha512")
    with app.layers.upload() as again:
        again.read_from(io.BytesIO(LAYER))
        again.finish(alias)
    nested = registry.storage.repository("team/app/nested").layers
    nested.mount(NAME, layer)

    with registry.running():
        for reference in ("v1", "latest", digest):
            got = registry.ask("GET", f"{NAME}/manifests/{reference}", Accept=MANIFEST)
            assert (got.status, got.body) == (200, manifest)
            assert got.headers["docker-content-digest"] == digest
        for name, blob, content in (
            (NAME, layer, LAYER),
            (NAME, alias, LAYER),
            (NAME, empty, b""),
            ("team/app/nested", layer, LAYER),
        ):
            assert registry.ask("GET", f"{name}/blobs/{blob}").body == content
        assert registry.ask("GET", f"team/app/nested/blobs/{empty}").status == 404
        assert registry.tags() == ["latest", "v1"]
        assert json.loads(registry.ask("GET", "_catalog").body)["repositories"] == ["team/app", "team/app/nested"]
        source = f"docker://127.0.0.1:{registry._port}/{NAME}:v1"
        target = f"dir:{tmp_path / 'copy'}"
        subprocess.run(["skopeo", "copy", "-q", "--src-tls-verify=false", source, target], check=True)
        assert (tmp_path / "copy" / layer.hex).read_bytes() == LAYER
    assert f"{NAME}: marking manifest {digest}" in registry.collect()


def test_an_upload_that_a_client_began_is_finished_by_the_library(registry: Registry) -> None:
    with registry.running(kill=True):
        begun = registry.ask("POST", f"{NAME}/blobs/uploads/", b"")
        sent = registry.ask("PATCH", begun.headers["location"], LAYER[:HALF], Content_Type="application/octet-stream")
        assert sent.status == 202
        uuid = sent.headers["docker-upload-uuid"]
    layers = registry.storage.repository(NAME).layers
    assert layers.uploads() == (uuid,)
    states = registry.root / MODERN.upload_hash_states(NAME, uuid)
    assert (states / "sha256" / str(HALF)).exists()

    resumed = layers.resume(uuid)
    assert (resumed.size, resumed.offset) == (HALF, HALF)
    assert abs(resumed.started_at - times.now()) < 600 * 10**9
    resumed.read_from(io.BytesIO(LAYER[HALF:]))
    digest = Digest(resumed.finish(Digest.of(LAYER)).digest)
    with registry.running():
        assert registry.ask("GET", f"{NAME}/blobs/{digest}").body == LAYER


@pytest.mark.parametrize("began", ["library", "client"])
def test_an_upload_that_the_library_went_on_with_is_finished_by_the_registry(registry: Registry, began: str) -> None:
    layers = registry.storage.repository(NAME).layers
    if began == "library":
        uuid = layers.upload().uuid
    else:
        with registry.running(kill=True):
            begun = registry.ask("POST", f"{NAME}/blobs/uploads/", b"")
            sent = registry.ask(
                "PATCH", begun.headers["location"], LAYER[:1000], Content_Type="application/octet-stream"
            )
            uuid = sent.headers["docker-upload-uuid"]
    resumed = layers.resume(uuid)
    resumed.read_from(io.BytesIO(LAYER[resumed.offset : HALF]))
    resumed.close()
    assert not (registry.root / MODERN.upload_hash_states(NAME, uuid)).exists()

    digest = Digest.of(LAYER)
    with registry.running():
        there = registry.ask("GET", f"{NAME}/blobs/uploads/{uuid}?_state={state(uuid, HALF, resumed.started_at)}")
        assert (there.status, there.headers["range"]) == (204, f"0-{HALF - 1}")
        sent = registry.ask("PATCH", there.headers["location"], LAYER[HALF:], Content_Type="application/octet-stream")
        assert sent.status == 202, sent.body
        done = registry.ask("PUT", f"{sent.headers['location']}&digest={digest}", b"")
        assert done.status == 201, done.body
        assert registry.ask("GET", f"{NAME}/blobs/{digest}").body == LAYER
    assert layers.fetch(digest).size == len(LAYER)
    registry.storage.blobs.verify(digest)


def test_a_finish_that_was_cut_is_repeated_and_served(registry: Registry) -> None:
    layers = registry.storage.repository(NAME).layers
    with layers.upload() as cut:
        cut.read_from(io.BytesIO(LAYER))
        digest = Digest.of(LAYER)
        # As a kill leaves it between the move and the links.
        registry.storage.driver.put(MODERN.upload_proven(NAME, cut.uuid), f"{digest}\n{digest}".encode())
        registry.storage.driver.move(MODERN.upload_data(NAME, cut.uuid), registry.storage.blobs.path(digest))
    with registry.running():
        assert registry.ask("HEAD", f"{NAME}/blobs/{digest}").status == 404
        assert json.loads(registry.ask("GET", "_catalog").body)["repositories"] in ([], None)
    layers.resume(cut.uuid).finish(digest)
    with registry.running():
        assert registry.ask("GET", f"{NAME}/blobs/{digest}").body == LAYER


def test_what_stays_is_served_after_each_kind_of_removal(registry: Registry) -> None:
    app = registry.storage.repository(NAME)
    layer = upload(registry, LAYER)
    first = app.manifests.put(image(registry, layer))
    second = app.manifests.put(image(registry, layer) + b"\n")
    for tag, digest in (("a", first), ("b", first), ("b", second), ("c", second), ("d", first)):
        app.tags.tag(tag, digest)
    app.tags.untag("c")
    with registry.running():
        assert registry.tags() == ["a", "b", "d"]
        assert registry.ask("GET", f"{NAME}/manifests/{second}", Accept=MANIFEST).status == 200
    assert app.manifests.delete(first) == ("a", "d")
    with registry.running():
        assert registry.tags() == ["b"]
        got = registry.ask("GET", f"{NAME}/manifests/b", Accept=MANIFEST)
        assert (got.status, Digest.of(got.body)) == (200, second)
        assert registry.ask("GET", f"{NAME}/manifests/{first}", Accept=MANIFEST).status == 404
        # As the registry itself deletes: the same files are left.
        assert registry.ask("DELETE", f"{NAME}/manifests/{second}").status == 202
    assert app.tags.names() == ()
    assert list(app.manifests.digests()) == []
    left = [registry.root / MODERN.revision(NAME, digest) for digest in (first, second)]
    assert [list(folder.iterdir()) for folder in left] == [[], []]
    registry.collect()
