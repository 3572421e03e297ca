"""What this user may not read is told as that, and is never called missing or damaged."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from orlop import kinds
from orlop.docker import layout
from orlop.finding import Finding, Severity
from orlop.progress import Silent
from orlop.records import Snapshot
from orlop.samples import DataRoot
from orlop.samples.docker import Image

NOBODY = 65534


@dataclass
class Sample:
    """A small store with a container and mappings."""

    root: DataRoot
    base: Image
    app: Image
    container: str


@pytest.fixture
def sample() -> Iterator[Sample]:
    """In a folder of its own: pytest's lets nobody else in."""
    folder = tempfile.mkdtemp(prefix="orlop-")
    os.chmod(folder, 0o755)
    root = DataRoot.create(os.path.join(folder, "docker"), driver="overlay2")
    base = root.image({"a": b"a"}, names=["base:1"])
    app = root.image({"b": b"b"}, on=base, names=["app:1"], local=True)
    root.mapping(base.layers[0], "example.com/base")
    yield Sample(root, base, app, root.container("worker", app))
    shutil.rmtree(folder)


@contextlib.contextmanager
def somebody(sample: Sample) -> Iterator[None]:
    """Be the owner of the store, and not root."""
    if os.geteuid() != 0:
        yield
        return
    for here, folders, files in os.walk(sample.root.path):
        for name in (".", *folders, *files):
            os.chown(os.path.join(here, name), NOBODY, NOBODY, follow_symlinks=False)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def looked_at(sample: Sample, path: str, *, content: bool = False) -> tuple[Snapshot, list[Finding]]:
    """What somebody sees who may read everything but one path."""
    hidden = sample.root.at(path)
    mode = os.stat(hidden).st_mode
    with somebody(sample):
        os.chmod(hidden, 0)
        try:
            store = kinds.open(sample.root.path)
            found = list(store.check(None, content=content, progress=Silent()))
            snapshot = store.rows()
            store.close()
        finally:
            os.chmod(hidden, mode & 0o7777)
    return snapshot, found


def places(sample: Sample) -> dict[str, str]:
    driver = "overlay2"
    record = layout.layer(driver, sample.base.layers[0].chain_id)
    return {
        "layer data": "overlay2",
        "configs": layout.configs(driver),
        "imagedb": "image/overlay2/imagedb",
        "layer records": layout.layers(driver),
        "one record": record,
        "a file of a record": f"{record}/diff",
        "a recipe": f"{record}/tar-split.json.gz",
        "containers": layout.CONTAINERS,
        "one container": layout.container(sample.container),
        "a container's record": f"{layout.container(sample.container)}/config.v2.json",
        "a mount": f"{layout.mounts(driver)}/{sample.container}",
        "a file of a mount": f"{layout.mounts(driver)}/{sample.container}/parent",
        "metadata": layout.metadata_folders(driver),
        "a parent key": f"{layout.metadata(driver, sample.app.id)}/parent",
        "names": layout.tag_file(driver),
        "all of it": "image/overlay2",
    }


NAMES = (
    *("layer data", "configs", "imagedb", "layer records", "one record", "a file of a record", "a recipe"),
    *("containers", "one container", "a container's record", "a mount", "a file of a mount", "metadata"),
    *("a parent key", "names", "all of it"),
)


@pytest.mark.parametrize("place", NAMES)
def test_what_may_not_be_read_is_no_damage(sample: Sample, place: str) -> None:
    snapshot, found = looked_at(sample, places(sample)[place])
    assert [finding for finding in found if finding.severity.is_damage] == []
    told = [finding for finding in found if "may not read" in finding.detail]
    assert told or any(note.unreadable for note in snapshot.notes)


@pytest.mark.parametrize("place", ["layer data", "a file of a layer", "a folder of a layer"])
def test_layers_whose_bytes_may_not_be_read_are_one_note(sample: Sample, place: str) -> None:
    tree = layout.layer_tree("overlay2", sample.base.layers[0].cache_id) or ""
    paths = {"layer data": "overlay2", "a file of a layer": f"{tree}/a", "a folder of a layer": tree}
    _, found = looked_at(sample, paths[place], content=True)
    assert [finding for finding in found if finding.severity.is_damage] == []
    [note] = [finding for finding in found if finding.rule == "DK08"]
    assert (note.severity, note.subject) == (Severity.INFORMATION, "hindered")


@pytest.mark.parametrize("place", ["configs", "layer records", "a file of a record"])
def test_an_image_whose_parts_may_not_be_read_is_not_called_missing(sample: Sample, place: str) -> None:
    snapshot, _ = looked_at(sample, places(sample)[place])
    [row] = [row for row in snapshot.rows if row.key.name == "base:1"]
    assert "permission denied" in row.reason or "cannot be read" in row.reason


def test_many_entries_that_may_not_be_read_are_one_note(sample: Sample) -> None:
    for number in range(20):
        sample.root.container(f"c{number}", sample.app)
    with somebody(sample):
        for name in os.listdir(sample.root.at("containers")):
            os.chmod(sample.root.at(f"containers/{name}"), 0)
        store = kinds.open(sample.root.path)
        notes = [note.text for note in store.rows().notes if note.unreadable]
        store.close()
    assert notes == ["21 entries cannot be read: permission denied"]
