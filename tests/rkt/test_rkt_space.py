"""Where the bytes of an ACI store are, and what each image has to itself."""

import subprocess
from pathlib import Path

import pytest

from orlop import kinds
from orlop.progress import Silent
from orlop.rkt import layout
from orlop.samples.company_rkt import make_rkt
from orlop.samples.rkt import AciRoot
from orlop.space import Part, Space, Use
from tests.rkt.rkt_stores import RECORDED, unpacked


@pytest.fixture
def root(tmp_path: Path) -> AciRoot:
    return AciRoot.create(str(tmp_path / "rkt"))


def measured(path: str) -> Space:
    """The space of a store, which must add up to what du says."""
    store = kinds.open(path)
    found = store.space(Silent())
    ran = subprocess.run(["du", "--block-size=1", "-s", "-x", store.identity.path], capture_output=True, check=True)
    store.close()
    assert found.disk == sum(part.bytes for part in found.parts) == int(ran.stdout.split()[0])
    for part in (inner for top in found.parts for inner in top.walk()):
        assert not part.parts or sum(inner.bytes for inner in part.parts) == part.bytes
    return found


def parts(found: Space) -> dict[str, Part]:
    return {part.path: part for top in found.parts for part in top.walk() if not part.parts}


def test_an_image_is_its_archive_and_its_manifest(root: AciRoot) -> None:
    base = root.image("example.com/base", version="1", files={"b": b"b" * 9000})
    root.image("example.com/app", version="2", needs=[base])
    root.settle()

    found = measured(root.path)

    part = parts(found)[layout.blob(base.key)]
    assert (part.title, part.remark) == (
        "image example.com/base:1",
        "its row keeps it; needed by image example.com/app:2",
    )
    one = next(one for one in found.images if one.key.id == base.key)
    assert one.bytes == one.own == part.bytes


def test_a_tree_without_a_pod_goes_with_its_image(root: AciRoot) -> None:
    app = root.image("example.com/app", version="1", files={"a": b"a"})
    tree = layout.tree(root.tree(app, {"a": b"a" * 20_000}))
    root.settle()
    unknown = measured(root.path)
    Path(root.path, "pods", "run").mkdir(parents=True)

    known = measured(root.path)

    assert (parts(unknown)[tree].use, parts(known)[tree].use) == (Use.UNKNOWN, Use.UNREFERENCED)
    assert parts(known)[tree].remark.startswith("of example.com/app:1; its file hash is empty; no pod")
    size = parts(known)[tree].bytes
    assert (
        known.images[0].own == known.images[0].bytes == unknown.images[0].bytes == (unknown.images[0].own or 0) + size
    )


def test_what_is_left_over_is_told_apart(root: AciRoot) -> None:
    app = root.image("example.com/app", version="1")
    loose = root.image("example.com/loose", version="1")
    root.forget(loose)
    root.write(f"{layout.TEMPORARY}/123", b"t" * 9000)
    root.write("beside", b"x")
    root.write(".orlop/changes/20260101T000000.000000000Z-00000000/000001.old", b"q")
    root.settle()

    found = measured(root.path)

    by_path = parts(found)
    assert by_path[f"{layout.TEMPORARY}/123"].use is Use.DEBRIS
    assert by_path["beside"].use is Use.OTHER
    assert by_path[layout.blob(app.key)].remark == "its row keeps it"
    assert by_path[layout.blob(loose.key)].remark == "no row leads to it"
    assert found.of(Use.QUARANTINE) > 0
    assert by_path[layout.DATABASE].title == "the catalogue"


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_stores_add_up(tmp_path: Path, name: str) -> None:
    assert measured(str(unpacked(name, tmp_path))).differences == ()


def test_the_damaged_sample_adds_up(tmp_path: Path) -> None:
    assert measured(make_rkt(str(tmp_path / "sample")).path).differences == ()
