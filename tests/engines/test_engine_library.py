"""An image that the library built in an empty data root, judged by the engine."""

import contextlib
import hashlib
import io
import json
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orlop import kinds
from orlop.docker import layout
from orlop.docker.imagebackend import FileImageBackend
from orlop.docker.imagestore import ImageStore
from orlop.docker.layerstore import LayerStore
from orlop.docker.metadata import V2MetadataService
from orlop.docker.model import V2Entry
from orlop.docker.referencestore import ReferenceStore
from orlop.jsonrules import dumps
from orlop.kv import FileKeyValue
from orlop.progress import Silent

if TYPE_CHECKING:
    from tests.engines.conftest import Engine, Made

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]


def archive(*members: tuple[str, bytes, bytes, str]) -> bytes:
    """A layer: name, kind, content, target of each member."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, content, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(content), target
            info.mtime, info.mode, info.uid, info.gid = 1_600_000_000, 0o4755, 1000, 1000
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


BASE = archive(
    ("bin", tarfile.DIRTYPE, b"", ""),
    ("bin/true", tarfile.REGTYPE, b"#!/bin/sh\n" * 1000, ""),
    ("bin/yes", tarfile.LNKTYPE, b"", "bin/true"),
    ("bin/maybe", tarfile.SYMTYPE, b"", "true"),
    ("etc", tarfile.DIRTYPE, b"", ""),
    ("etc/gone", tarfile.REGTYPE, b"gone\n", ""),
    ("opt/old/file", tarfile.REGTYPE, b"old\n", ""),
    ("run/pipe", tarfile.FIFOTYPE, b"", ""),
)
TOP = archive(
    ("etc/.wh.gone", tarfile.REGTYPE, b"", ""),
    ("opt/old/.wh..wh..opq", tarfile.REGTYPE, b"", ""),
    ("opt/old/new", tarfile.REGTYPE, b"new\n", ""),
    ("srv/" + "long" * 40, tarfile.REGTYPE, "häßlich\n".encode(), ""),
)


@pytest.fixture
def empty(tools: None, driver: str, tmp_path: Path) -> Iterator["Engine"]:
    """An engine that was never started, over an empty folder."""
    from tests.engines.conftest import _engine, _unfit

    data = tmp_path / "docker"
    data.mkdir(mode=0o710)
    room = Path(tempfile.mkdtemp(prefix="orlop-"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, room, ignore_errors=True)
        engine = stack.enter_context(_engine(data, driver))
        yield engine
        if "driver not supported" in engine.messages():
            _unfit(f"the engine cannot use the driver {driver} here")


def build(data: Path, driver: str) -> tuple[str, list[str]]:
    """Two layers, a config, a tag, a digest reference and a mapping; the image's id and its diff ids."""
    image_root = data / layout.image_root(driver)
    layers = LayerStore(str(data), driver=driver)
    base = layers.register(io.BytesIO(BASE))
    top = layers.register(io.BytesIO(TOP), parent=base.chain_id)
    diff_ids: list[str] = [base.diff_id, top.diff_id]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2026-01-02T03:04:05Z",
        "config": {"Cmd": ["/bin/true"], "Labels": {"by": "library"}},
        "history": [{"created_by": "base"}, {"created_by": "ENV", "empty_layer": True}, {"created_by": "top"}],
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    images = ImageStore(FileImageBackend(str(image_root / "imagedb")), layers)
    image = images.create(dumps(config))
    names = ReferenceStore.open(str(image_root / "repositories.json"))
    names.add_tag("built:1", image)
    names.add_digest("registry.example/built@sha256:" + "1" * 64, image)
    mappings = V2MetadataService(FileKeyValue(str(image_root / "distribution")))
    mappings.add(top.diff_id, V2Entry(digest="sha256:" + "2" * 64, source="registry.example/built", hmac=""))
    return image, diff_ids


def saved_layers(engine: "Engine", name: str) -> list[str]:
    """The digests of the layers that ``docker save`` gives, bottom first."""
    done = engine.try_docker("save", name)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as saved:
        files = {member.name: saved.extractfile(member) for member in saved.getmembers() if member.isreg()}
        manifest = files["manifest.json"]
        assert manifest is not None
        [entry] = json.loads(manifest.read())
        streams = [files[path] for path in entry["Layers"]]
        return ["sha256:" + hashlib.sha256(stream.read()).hexdigest() for stream in streams if stream is not None]


def paths_in(engine: "Engine", name: str) -> dict[str, tarfile.TarInfo]:
    """What a container of an image sees, by ``docker export``."""
    container = engine.docker("create", name)
    try:
        done = engine.try_docker("export", container)
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
            return {member.name.rstrip("/"): member for member in tar.getmembers()}
    finally:
        engine.docker("rm", container)


def layer_folders(engine: "Engine") -> set[str]:
    """What the driver keeps, besides its own folder of links and device node."""
    folder = engine.data / str(layout.layer_data_folder(engine.driver))
    return {path.name for path in folder.iterdir()} - {"l", "backingFsBlockDev"}


def test_the_engine_serves_an_image_that_the_library_built(empty: "Engine") -> None:
    image, diff_ids = build(empty.data, empty.driver)
    with contextlib.closing(kinds.open(str(empty.data))) as store:
        assert list(store.check(None, content=False, progress=Silent())) == []

    empty.start()

    assert empty.listed() == {image: frozenset({"built:1", "registry.example/built@sha256:" + "1" * 64})}
    inspected = json.loads(empty.docker("image", "inspect", "built:1"))[0]
    assert (inspected["Id"], inspected["RootFS"]["Layers"]) == (image, diff_ids)
    assert inspected["Config"]["Labels"] == {"by": "library"}
    assert diff_ids == ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in (BASE, TOP)]
    assert saved_layers(empty, "built:1") == diff_ids

    seen = paths_in(empty, "built:1")
    assert "etc/gone" not in seen
    assert "opt/old/file" not in seen
    assert {"bin/true", "bin/yes", "bin/maybe", "opt/old/new", "srv/" + "long" * 40, "run/pipe"} <= seen.keys()
    true = seen["bin/true"]
    assert (true.mode & 0o7777, true.uid, true.mtime) == (0o4755, 1000, 1_600_000_000)

    empty.docker("tag", "built:1", "again:2")
    empty.docker("rmi", "built:1", "registry.example/built@sha256:" + "1" * 64)
    empty.docker("rmi", "again:2")
    assert empty.listed() == {}
    empty.stop()
    assert list((empty.data / layout.layers(empty.driver)).iterdir()) == []
    assert layer_folders(empty) == set()


def test_what_the_library_deletes_the_engine_does_not_miss(empty: "Engine") -> None:
    image, _diff_ids = build(empty.data, empty.driver)
    image_root = empty.data / layout.image_root(empty.driver)
    layers = LayerStore(str(empty.data), driver=empty.driver)
    images = ImageStore(FileImageBackend(str(image_root / "imagedb")), layers)
    names = ReferenceStore.open(str(image_root / "repositories.json"))
    for name in names.references(image):
        names.delete(name)

    freed = images.delete(image).freed

    assert len(freed) == 2
    assert layer_folders(empty) == set()
    empty.start()
    assert empty.listed() == {}


def test_every_layer_of_a_real_store_comes_back_byte_for_byte(made: "Made") -> None:
    layers = LayerStore(str(made.data), driver=made.driver)
    known = layers.map()

    assert len(known) > 10
    for chain_id, layer in known.items():
        found = hashlib.sha256(b"".join(layers.reassemble(chain_id))).hexdigest()
        assert "sha256:" + found == layer.diff_id


def test_a_layer_that_is_registered_again_is_recorded_as_the_engine_recorded_it(made: "Made", tmp_path: Path) -> None:
    theirs = LayerStore(str(made.data), driver=made.driver)
    ours = LayerStore(str(tmp_path), driver=made.driver)
    pending = list(theirs.map().values())
    while pending:
        layer = pending.pop(0)
        if layer.parent is not None and layer.parent not in ours.map():
            pending.append(layer)
            continue
        again = ours.register(io.BytesIO(b"".join(theirs.reassemble(layer.chain_id))), layer.parent)
        assert (again.chain_id, again.diff_id, again.size) == (layer.chain_id, layer.diff_id, layer.size)
