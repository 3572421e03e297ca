"""How the files of a layer are reached by the names that its archive has for them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orlop.docker.layertree import LayerTree, cleaned, pieces
from orlop.errors import Escapes, NotFound, WrongKind
from orlop.fs import Root


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    folder = tmp_path / "layer"
    (folder / "usr/lib/deep").mkdir(parents=True)
    (folder / "usr/lib/x").write_bytes(b"x of the layer")
    (tmp_path / "x").write_bytes(b"x outside")
    return folder


@pytest.fixture
def tree(layer: Path) -> Iterator[LayerTree]:
    with Root.open(str(layer.parent)) as root, LayerTree.at(root, "layer") as tree:
        yield tree


def read(tree: LayerTree, name: str) -> bytes:
    fd, size = tree.file(name)
    try:
        return b"".join(pieces(fd, size, name))
    finally:
        os.close(fd)


@pytest.mark.parametrize("name", ["usr/lib/x", "./usr//lib/x", "/usr/lib/x", "usr/lib/deep/../x"])
def test_a_name_leads_to_its_file_as_the_engine_joins_it(tree: LayerTree, name: str) -> None:
    assert read(tree, name) == b"x of the layer"


@pytest.mark.parametrize("name", ["../x", "usr/../../x", "", "/", ".", "a\0b"])
def test_a_name_that_leaves_the_layer_is_refused(tree: LayerTree, name: str) -> None:
    with pytest.raises(Escapes):
        tree.file(name)


@pytest.mark.parametrize("target", ["usr/lib", "/usr/lib", "../../../usr/lib", "usr/../usr/lib/deep/.."])
def test_a_link_in_the_place_of_a_folder_is_followed_below_the_layer_only(
    layer: Path, tree: LayerTree, target: str
) -> None:
    (layer / "lib").symlink_to(target)
    assert read(tree, "lib/x") == b"x of the layer"
    assert tree.place("lib/x") == "usr/lib/x"


def test_a_link_to_the_world_outside_leads_nowhere(layer: Path, tree: LayerTree) -> None:
    (layer / "out").symlink_to(str(layer.parent))
    (layer / "up").symlink_to("..")
    (layer / "round").symlink_to("round")
    with pytest.raises(NotFound):
        tree.file("out/x")
    with pytest.raises(NotFound):
        tree.file("up/x")
    with pytest.raises(WrongKind):
        tree.file("round/x")


def test_what_is_no_file_is_not_opened(layer: Path, tree: LayerTree) -> None:
    (layer / "link").symlink_to("usr/lib/x")
    os.mkfifo(layer / "pipe")
    for name, found in (("link", "link"), ("pipe", "fifo"), ("usr", "folder")):
        with pytest.raises(WrongKind) as raised:
            tree.file(name)
        assert raised.value.found == found


def test_folders_deeper_than_descriptors_reach_are_walked(layer: Path, tree: LayerTree) -> None:
    deep = "/".join(["d"] * 150)
    (layer / deep).mkdir(parents=True)
    (layer / deep / "a").write_bytes(b"a")
    (layer / deep / "e").mkdir()
    (layer / deep / "e/b").write_bytes(b"b")
    (layer / deep / "up").symlink_to("../" + "../" * 120 + "d")
    before = len(os.listdir("/proc/self/fd"))
    assert [read(tree, f"{deep}/{name}") for name in ("a", "e/b", "a")] == [b"a", b"b", b"a"]
    assert tree.place(f"{deep}/up/x") == "/".join(["d"] * 30) + "/x"
    assert len(os.listdir("/proc/self/fd")) - before < 100
    assert {path for path, _ in tree.walk()} == {"usr/lib/x", f"{deep}/a", f"{deep}/e/b", f"{deep}/up"}


def test_the_depth_tells_that_something_was_done_to_a_file(layer: Path, tree: LayerTree) -> None:
    first = tree.depth().versions
    assert first
    assert tree.depth().versions == first
    os.utime(layer / "usr/lib/x", ns=(1, 1))
    second = tree.depth().versions
    (layer / "usr/new").write_bytes(b"")
    assert len({first, second, tree.depth().versions}) == 3


def test_the_depth_tells_when_a_file_was_changed_last(layer: Path, tree: LayerTree) -> None:
    (layer / "usr/lib/x").chmod(0o600)
    assert tree.depth().newest == (layer / "usr/lib/x").stat().st_ctime_ns


def test_a_file_that_grows_is_not_read_for_ever(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"12345678")
    fd = os.open(tmp_path / "f", os.O_RDONLY)
    assert b"".join(pieces(fd, 4, "f")) == b"12345"
    os.close(fd)


def test_names_are_cleaned() -> None:
    assert cleaned("a/./b//../c/") == "a/c"
