"""The ids and hashes of rendered trees are rkt's."""

import hashlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from orlop.errors import Malformed, NotFound, Unsupported, WrongKind
from orlop.fs import Root
from orlop.rkt import treestore
from orlop.rkt.manifest import Dependency, ImageManifest, Pair

KEY = "sha512-" + "0123456789abcdef" * 4


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A rendered tree with an entry of each kind that needs no privilege."""
    tree = tmp_path / "cas" / "tree" / "deps-x"
    (tree / "rootfs" / "etc").mkdir(parents=True)
    for name, text in (("manifest", "{}"), ("hash", ""), ("rendered", ""), ("image", KEY)):
        (tree / name).write_text(text)
    (tree / "rootfs" / "etc" / "<name>").write_bytes(b"content")
    (tree / "rootfs" / "etc-more").write_bytes(b"")
    (tree / "rootfs" / "link").symlink_to("/etc/shadow")
    os.link(tree / "rootfs" / "etc-more", tree / "rootfs" / "z-again")
    os.mkfifo(tree / "rootfs" / "pipe")
    for path, mode in (
        ("rootfs", 0o755),
        ("rootfs/etc", 0o1777),
        ("rootfs/etc/<name>", 0o4755),
        ("rootfs/pipe", 0o600),
    ):
        (tree / path).chmod(mode)
    (tree / "rootfs" / "etc-more").chmod(0o644)
    return tree


@pytest.fixture
def root(tree: Path) -> Iterator[Root]:
    with Root.open(str(tree.parent.parent)) as opened:
        yield opened


def _by_hand(tree: Path, *, types: bool = False, owner: tuple[str, str] = ("UID", "GID")) -> str:
    """The hash from the format sheet, written out entry by entry."""
    uid, gid = os.getuid(), os.getgid()
    entries: list[tuple[str, int, int, int, str, int, bytes]] = [
        ("rootfs", 0o755, 0o040000, 0, "", ord("5"), b""),
        ("rootfs/etc", 0o1777, 0o040000, 0, "", ord("5"), b""),
        ("rootfs/etc/<name>", 0o4755, 0o100000, 7, "", ord("0"), b"content"),
        ("rootfs/etc-more", 0o644, 0o100000, 0, "", ord("0"), b""),
        ("rootfs/link", 0o777, 0o120000, 0, "/etc/shadow", ord("2"), b""),
        ("rootfs/pipe", 0o600, 0o010000, 0, "", ord("6"), b""),
        ("rootfs/z-again", 0o644, 0o100000, 0, "rootfs/etc-more", ord("1"), b""),
    ]
    digest = hashlib.sha512()
    for name, mode, kind, size, target, flag, content in entries:
        header = {
            "Name": name,
            "Mode": mode | (kind if types else 0),
            owner[0]: uid,
            owner[1]: gid,
            "Size": size,
            "Typeflag": flag,
            "Linkname": target,
            "Devmajor": 0,
            "Devminor": 0,
            "Xattrs": [],
        }
        text = json.dumps(header, separators=(",", ":")).replace("<", r"\u003c").replace(">", r"\u003e")
        digest.update(text.encode() + content)
    return "sha512-" + digest.hexdigest()[:64]


def test_the_hash_covers_names_modes_owners_and_content_in_walking_order(tree: Path, root: Root) -> None:
    assert treestore.tree_hash(root, "tree/deps-x") == _by_hand(tree)


@pytest.mark.parametrize("types", [False, True])
@pytest.mark.parametrize("owner", [("UID", "GID"), ("Uid", "Gid")])
def test_a_tree_that_another_build_of_rkt_rendered_is_whole_too(
    tree: Path, root: Root, types: bool, owner: tuple[str, str]
) -> None:
    expected = _by_hand(tree, types=types, owner=owner)

    assert treestore.matches(root, "tree/deps-x", expected) == (True, expected)


def test_what_is_changed_in_a_tree_is_seen_and_its_own_files_are_not_part_of_it(tree: Path, root: Root) -> None:
    whole = treestore.tree_hash(root, "tree/deps-x")
    (tree / "manifest").write_text('{"other":1}')
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tree / "s"))

    assert treestore.matches(root, "tree/deps-x", whole) == (True, whole)
    (tree / "rootfs" / "etc" / "<name>").write_bytes(b"CONTENT")
    matched, found = treestore.matches(root, "tree/deps-x", whole)
    assert not matched
    assert found == treestore.tree_hash(root, "tree/deps-x") != whole


def test_a_link_in_the_place_of_a_tree_is_not_followed(tree: Path, root: Root) -> None:
    (tree.parent / "deps-y").symlink_to(tree)

    with pytest.raises(WrongKind):
        treestore.tree_hash(root, "tree/deps-y")
    with pytest.raises(NotFound):
        treestore.tree_hash(root, "tree/deps-z")


def test_a_tree_without_end_is_refused(tree: Path, root: Root) -> None:
    deep = tree
    for _ in range(300):
        deep /= "d"
        deep.mkdir()

    with pytest.raises(Unsupported, match="in each other"):
        treestore.tree_hash(root, "tree/deps-x")


def test_the_size_is_the_sum_of_everything(tree: Path, root: Root) -> None:
    everything = [tree, *tree.rglob("*")]

    assert treestore.tree_size(root, "tree/deps-x") == sum(path.lstat().st_size for path in everything)


def test_the_id_of_an_image_without_dependencies_is_the_hash_of_its_key() -> None:
    assert treestore.tree_id([KEY]) == "deps-sha512-" + hashlib.sha512(KEY.encode()).hexdigest()[:64]
    assert treestore.tree_id(["a", "b"]) == "deps-sha512-" + hashlib.sha512(b"a,b").hexdigest()[:64]


def _image(name: str, *needs: str) -> ImageManifest:
    return ImageManifest(
        ac_version="0.8.11",
        name=name,
        labels=(Pair(name="a", value="b"),),
        app=None,
        annotations=(),
        dependencies=tuple(Dependency(image_name=need, image_id="", labels=(), size=0) for need in needs),
        path_whitelist=(),
    )


def test_dependencies_follow_their_image_the_last_one_first() -> None:
    images = {
        "top": _image("top", "one", "two"),
        "one": _image("one", "base"),
        "two": _image("two", "base", "more"),
        "base": _image("base"),
        "more": _image("more"),
    }

    keys = treestore.dependency_keys("top", images.__getitem__, lambda dependency: dependency.image_name)

    assert keys == ("top", "two", "more", "base", "one", "base")


def test_images_that_need_each_other_are_refused() -> None:
    images = {"a": _image("a", "b"), "b": _image("b", "a")}

    with pytest.raises(Malformed, match="circle"):
        treestore.dependency_keys("a", images.__getitem__, lambda dependency: dependency.image_name)
