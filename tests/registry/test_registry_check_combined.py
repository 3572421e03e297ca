"""Several kinds of damage at once: none hides another, and nothing makes a check stop."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from orlop.finding import Finding
from tests.registry.judging import everything, findings
from tests.registry.making import V2, Image, Storage

Damage = Callable[[Storage, Image], tuple[str, Path]]
"""Damages one repository; gives the finding to expect."""


def tag_empty(storage: Storage, image: Image) -> tuple[str, Path]:
    return "RG08", storage.put(storage.tag_path(image.repository, "1"), b"")


def tag_gone(storage: Storage, image: Image) -> tuple[str, Path]:
    path = storage.tag_path(image.repository, "1")
    path.unlink()
    return "RG09", path


def revision_gone(storage: Storage, image: Image) -> tuple[str, Path]:
    path = storage.revision_path(image.repository, image.digest)
    shutil.rmtree(path.parent)
    return "RG10", path


def revision_newline(storage: Storage, image: Image) -> tuple[str, Path]:
    return "RG11", storage.put(storage.revision_path(image.repository, image.digest), image.digest + "\n")


def layer_link_empty(storage: Storage, image: Image) -> tuple[str, Path]:
    return "RG12", storage.put(storage.layer_path(image.repository, image.layers[0]), b"")


def layer_link_gone(storage: Storage, image: Image) -> tuple[str, Path]:
    path = storage.layer_path(image.repository, image.layers[0])
    path.unlink()
    return "RG12", path


def manifest_empty(storage: Storage, image: Image) -> tuple[str, Path]:
    return "RG03", storage.put(storage.blob_path(image.digest), b"")


def manifest_altered(storage: Storage, image: Image) -> tuple[str, Path]:
    path = storage.blob_path(image.digest)
    return "RG02", storage.put(path, path.read_bytes() + b"\n")


def manifest_gone(storage: Storage, image: Image) -> tuple[str, Path]:
    path = storage.blob_path(image.digest)
    path.unlink()
    return "RG04", path


def layer_gone(storage: Storage, image: Image) -> tuple[str, Path]:
    path = storage.blob_path(image.layers[0])
    path.unlink()
    return "RG05", path


def layer_cut(storage: Storage, image: Image) -> tuple[str, Path]:
    return "RG01", storage.put(storage.blob_path(image.layers[0]), b"x")


def layer_folder(storage: Storage, image: Image) -> tuple[str, Path]:
    path = storage.blob_path(image.layers[0])
    path.unlink()
    path.mkdir()
    return "RG01", path


def config_altered(storage: Storage, image: Image) -> tuple[str, Path]:
    path = storage.blob_path(image.config)
    return "RG01", storage.put(path, path.read_bytes().replace(b"amd64", b"arm64"))


def child_gone(storage: Storage, image: Image) -> tuple[str, Path]:
    missing = "sha256:" + "ee" * 32
    storage.index(image.repository, [missing], "all")
    return "RG06", storage.revision_path(image.repository, missing)


def upload_undated(storage: Storage, image: Image) -> tuple[str, Path]:
    return "RG17", storage.upload(image.repository, "ffc3e199-ef49-4a8d-9878-b8aa5b264b08", "")


def stray_tag(storage: Storage, image: Image) -> tuple[str, Path]:
    return "RG18", storage.put(storage.tag_path(image.repository, "1").parents[2] / "stray", b"")


def stray_data(storage: Storage, image: Image) -> tuple[str, Path]:
    folder = storage.path / V2 / "blobs" / f"stray-{image.repository}"
    storage.put(folder / "aa/bb/data", b"")
    return "RG18", folder


def odd_repository(storage: Storage, image: Image) -> tuple[str, Path]:
    path = storage.repository_path(image.repository.upper())
    shutil.copytree(storage.repository_path(image.repository), path)
    return "RG18", path


DAMAGES: tuple[Damage, ...] = (
    tag_empty,
    tag_gone,
    revision_gone,
    revision_newline,
    layer_link_empty,
    layer_link_gone,
    manifest_empty,
    manifest_altered,
    manifest_gone,
    layer_gone,
    layer_cut,
    layer_folder,
    config_altered,
    child_gone,
    upload_undated,
    stray_tag,
    stray_data,
    odd_repository,
)


def places(storage: Storage, found: list[Finding]) -> set[tuple[str, str]]:
    return {(f.rule, f.path) for f in found}


@pytest.mark.parametrize("seed", range(12))
def test_no_damage_hides_another(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    storage = Storage(tmp_path / "registry")
    chosen = chance.sample(DAMAGES, k=chance.randint(2, len(DAMAGES)))
    images = [storage.image(f"r{number:02}", "1", layers=[b"layer %d" % number]) for number in range(len(chosen))]
    storage.age()
    assert findings(storage) == []
    expected = [damage(storage, image) for damage, image in zip(chosen, images, strict=True)]
    found = findings(storage, content=True)
    wanted = {(rule, storage.relative(path)) for rule, path in expected}
    damage = {(f.rule, f.path) for f in found if f.severity.is_damage or f.rule == "RG17"}
    assert damage == wanted
    assert all(f.detail and not f.detail.endswith(".") for f in found)


@pytest.mark.parametrize("seed", range(12))
def test_damage_of_one_image_in_many_ways_is_told_without_an_error(tmp_path: Path, seed: int) -> None:
    chance = random.Random(1000 + seed)
    storage = Storage(tmp_path / "registry")
    images = [storage.image("app", f"{number}", "1", layers=[b"base", b"own %d" % number]) for number in range(3)]
    storage.index("app", [image.digest for image in images], "all")
    for _ in range(8):
        harm(storage, chance)
    found = everything(storage, content=True)
    assert len({f.identity for f in found}) == len(found)
    assert [f.severity for f in found] == sorted(f.severity for f in found)


def harm(storage: Storage, chance: random.Random) -> None:
    """Do something at random to something at random."""
    every = sorted(path for path in storage.path.rglob("*") if len(path.relative_to(storage.path).parts) > 4)
    if not every:
        return
    target = chance.choice(every)
    what = chance.choice(("remove", "empty", "bytes", "folder", "link", "pipe", "swap"))
    if what == "swap":
        other = chance.choice(every)
        if target.is_file() and other.is_file() and not other.is_symlink():
            target.write_bytes(other.read_bytes())
        return
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    else:
        target.unlink()
    if what == "empty":
        target.write_bytes(b"")
    elif what == "bytes":
        target.write_bytes(chance.randbytes(chance.randint(1, 200)))
    elif what == "folder":
        target.mkdir()
    elif what == "link":
        target.symlink_to(chance.choice(("/etc/passwd", ".", "nowhere", str(storage.path))))
    elif what == "pipe":
        os.mkfifo(target)
