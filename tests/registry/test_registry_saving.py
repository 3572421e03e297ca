"""Images out of a registry's storage as archives: every digest kept, or decompressed for docker."""

import gzip
import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest

from orlop.errors import DigestMismatch, Malformed, NotFound, OrlopError, Unsupported
from orlop.fs import Root
from orlop.progress import Silent
from orlop.registry.door import RegistryStore
from orlop.samples.registry import Pushed, RegistryRoot
from orlop.store import Saved

BASE, APP = {"etc/base": b"base\n" * 5000}, {"srv/app": b"app\n" * 100_000}


@pytest.fixture
def root(tmp_path: Path) -> RegistryRoot:
    return RegistryRoot.create(str(tmp_path / "registry"))


@pytest.fixture
def app(root: RegistryRoot) -> Pushed:
    base = root.image("library/base", BASE, tags=("1.0",))
    return root.image("team/app", APP, on=base, tags=("v1", "latest"))


def written(root: RegistryRoot, *images: str, form: str | None = None) -> tuple[bytes, tuple[Saved, ...]]:
    to = io.BytesIO()
    store = RegistryStore(Root.open(root.path), "docker/registry/v2")
    try:
        keys = [key for image in images for key in store.find(image)]
        saved = store.save(keys, to, form=form, progress=Silent())
    finally:
        store.close()
    return to.getvalue(), saved


def files(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
        contents = {member.name: tar.extractfile(member) for member in tar.getmembers() if member.isfile()}
        return {name: content.read() for name, content in contents.items() if content is not None}


def blobs(archive: bytes) -> dict[str, bytes]:
    """Contents by digest, each of them checked."""
    found = {}
    for name, content in files(archive).items():
        if name.startswith("blobs/"):
            algorithm, digits = name.split("/")[1:]
            assert hashlib.new(algorithm, content).hexdigest() == digits
            found[f"{algorithm}:{digits}"] = content
    return found


def stored(root: RegistryRoot, digest: str) -> Path:
    return Path(root.path, "docker/registry/v2/blobs/sha256", digest[7:9], digest[7:], "data")


def refused(root: RegistryRoot, error: type[OrlopError], *images: str, form: str | None = None) -> OrlopError:
    with pytest.raises(error) as caught:
        written(root, *images, form=form)
    assert caught.value.do
    return caught.value


# --- as stored -----------------------------------------------------------------


def test_an_image_is_written_as_it_is_stored(root: RegistryRoot, app: Pushed) -> None:
    archive, [saved] = written(root, "team/app:v1")
    found = blobs(archive)

    [entry] = json.loads(files(archive)["index.json"])["manifests"]
    assert (entry["digest"], entry["size"]) == (app.digest, stored(root, app.digest).stat().st_size)
    assert entry["annotations"]["org.opencontainers.image.ref.name"] == "team/app:v1"
    manifest = json.loads(found[app.digest])
    assert set(found) == {app.digest, manifest["config"]["digest"], *(layer.digest for layer in app.layers)}
    assert all(content == stored(root, digest).read_bytes() for digest, content in found.items())
    assert saved == Saved(form="oci-archive", id=app.digest, names=("team/app:v1",), bytes=len(archive), remarks=())


def test_an_image_by_its_digest_gets_all_names_of_its_repository(root: RegistryRoot, app: Pushed) -> None:
    _, [saved] = written(root, f"team/app@{app.digest}")

    assert saved.names == ("team/app:latest", "team/app:v1")


def test_an_index_comes_with_all_its_platforms_and_without_referrers(root: RegistryRoot, app: Pushed) -> None:
    arm = root.image("team/app", {"arm": b"arm"}, platform="linux/arm64")
    index = root.index("team/app", [app, arm], tags=("multi",))
    root.artifact("team/app", b"signature", kind="application/vnd.example.signature", subject=index)

    archive, [saved] = written(root, "team/app:multi")

    assert {index.digest, app.digest, arm.digest} <= set(blobs(archive))
    assert any("left out" in remark for remark in saved.remarks)


def test_an_index_without_a_platform_is_refused_and_names_it(root: RegistryRoot, app: Pushed) -> None:
    arm = root.image("team/app", {"arm": b"arm"}, platform="linux/arm64")
    root.index("team/app", [app, arm], tags=("multi",))
    shutil.rmtree(stored(root, arm.digest).parent)

    error = refused(root, NotFound, "team/app:multi")

    assert arm.digest in error.what
    assert "by its own digest" in error.do


def test_a_layer_that_is_missing_or_empty_is_named(root: RegistryRoot, app: Pushed) -> None:
    path = stored(root, app.layers[0].digest)
    path.write_bytes(b"")
    assert app.layers[0].digest in str(refused(root, DigestMismatch, "team/app:v1"))

    shutil.rmtree(path.parent)
    assert app.layers[0].digest in refused(root, NotFound, "team/app:v1").what


@pytest.mark.parametrize("form", ["oci-archive", "docker-archive"])
def test_one_flipped_byte_is_found_and_its_file_named(root: RegistryRoot, app: Pushed, form: str) -> None:
    path = stored(root, app.layers[1].digest)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)

    error = refused(root, DigestMismatch, "team/app:v1", form=form)

    assert error.path is not None
    assert path.match(error.path)


def test_schema_1_is_refused_with_its_reason(root: RegistryRoot) -> None:
    digest = root.blob(
        json.dumps({"schemaVersion": 1, "name": "old", "tag": "1", "fsLayers": [], "history": []}).encode()
    )
    root.revision("old", digest)
    root.tag("old", "1", digest)

    assert "no config" in refused(root, Unsupported, "old:1").why


# --- decompressed --------------------------------------------------------------


def test_a_docker_archive_has_the_layers_decompressed(root: RegistryRoot, app: Pushed) -> None:
    archive, [saved] = (
        written(root, "team/app:v1", "library/base:1.0", form="docker-archive")[0],
        written(root, "team/app:v1", form="docker-archive")[1],
    )
    found = files(archive)

    first, second = json.loads(found["manifest.json"])
    assert (first["RepoTags"], second["RepoTags"]) == (["team/app:v1"], ["base:1.0"])
    layers = [f"sha256:{hashlib.sha256(found[name]).hexdigest()}" for name in first["Layers"]]
    assert layers == [layer.diff_id for layer in app.layers]
    assert second["Layers"] == first["Layers"][:1]
    config = found[first["Config"]]
    assert saved.id == f"sha256:{hashlib.sha256(config).hexdigest()}"


def test_layers_that_are_not_compressed_or_in_several_parts_are_taken_too(root: RegistryRoot, tmp_path: Path) -> None:
    tars = [b"first".ljust(10240, b"\0"), b"second".ljust(10240, b"\0")]
    packed = [tars[0], gzip.compress(tars[1][:5000], mtime=0) + gzip.compress(tars[1][5000:], mtime=0)]
    push(root, "odd", "1", packed, tars)

    found = files(written(root, "odd:1", form="docker-archive")[0])

    assert [found[name] for name in json.loads(found["manifest.json"])[0]["Layers"]] == tars


def test_layers_that_are_not_what_the_config_says_are_refused(root: RegistryRoot) -> None:
    push(root, "odd", "lie", [gzip.compress(b"one thing", mtime=0)], [b"another"])
    push(root, "odd", "cut", [gzip.compress(b"one thing", mtime=0)[:-4]], [b"one thing"])
    push(root, "odd", "zstd", [b"\x28\xb5\x2f\xfd" + b"frame"], [b"one thing"])
    push(root, "odd", "many", [b"one thing"], [b"one thing", b"more"])

    assert "not the diff id" in refused(root, DigestMismatch, "odd:lie", form="docker-archive").why
    assert "compression" in refused(root, Malformed, "odd:cut", form="docker-archive").why
    assert "oci-archive" in refused(root, Unsupported, "odd:zstd", form="docker-archive").do
    assert "lists 1 layers" in refused(root, Malformed, "odd:many", form="docker-archive").why
    assert written(root, "odd:zstd")[0]


def test_an_index_or_an_artifact_is_no_docker_archive(root: RegistryRoot, app: Pushed) -> None:
    root.index("team/app", [app], tags=("multi",))
    root.artifact("team/app", b"words", kind="application/vnd.example.words", tags=("words",))

    assert "oci-archive" in refused(root, Unsupported, "team/app:multi", form="docker-archive").do
    refused(root, Unsupported, "team/app:words", form="docker-archive")
    refused(root, Unsupported, "team/app:v1", form="aci")


def push(root: RegistryRoot, repository: str, tag: str, packed: list[bytes], plain: list[bytes]) -> None:
    """An image with any bytes as layers, whose config claims that they are others."""
    diff_ids = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in plain]
    config = json.dumps({"os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()
    kinds = ("config.v1+json", "layer.v1.tar")
    listed = [
        {"mediaType": f"application/vnd.oci.image.{kind}", "digest": root.blob(data), "size": len(data)}
        for kind, data in ((kinds[0], config), *((kinds[1], layer) for layer in packed))
    ]
    document = {"schemaVersion": 2, "config": listed[0], "layers": listed[1:]}
    digest = root.blob(json.dumps(document).encode())
    root.revision(repository, digest)
    root.tag(repository, tag, digest)
