"""The image backend on files: modes, links, what is left behind, and others who write at the same time."""

import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from orlop.digest import Digest
from orlop.direct import Place
from orlop.docker.imagebackend import FailedToVerify, FileImageBackend
from orlop.errors import NotFound, WrongKind

CONFIG = b'{"rootfs":{"type":"layers"}}' + b" " * 20_000
SETS = 10


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def files(root: Path) -> dict[str, int]:
    return {str(path.relative_to(root)): path.stat().st_mode & 0o7777 for path in root.rglob("*")}


def test_folders_are_0700_and_files_0600_whatever_the_umask(tmp_path: Path) -> None:
    with umask(0o027):
        backend = FileImageBackend(str(tmp_path / "deep" / "imagedb"))
        image = backend.set(b"{}")
        backend.set_metadata(image, "parent", b"x")

    assert files(tmp_path) == {
        "deep": 0o700,
        "deep/imagedb": 0o700,
        "deep/imagedb/content": 0o700,
        "deep/imagedb/content/sha256": 0o700,
        f"deep/imagedb/content/sha256/{image.hex}": 0o600,
        "deep/imagedb/metadata": 0o700,
        "deep/imagedb/metadata/sha256": 0o700,
        f"deep/imagedb/metadata/sha256/{image.hex}": 0o700,
        f"deep/imagedb/metadata/sha256/{image.hex}/parent": 0o600,
    }


def test_setting_an_image_anew_repairs_it(tmp_path: Path) -> None:
    backend = FileImageBackend(str(tmp_path))
    image = backend.set(b"{}")
    backend.set_metadata(image, "parent", b"x")
    (tmp_path / "content/sha256" / image.hex).write_bytes(b"[]")
    readings: tuple[Callable[[], bytes], ...] = (
        lambda: backend.get(image),
        lambda: backend.get_metadata(image, "parent"),
    )
    for reading in readings:
        with pytest.raises(FailedToVerify) as failed:
            reading()
        assert failed.value.engine == f"failed to verify image: {image}"
        assert failed.value.actual == Digest.of(b"[]")

    backend.set(b"{}")

    assert (backend.get(image), backend.get_metadata(image, "parent")) == (b"{}", b"x")


def test_a_link_is_never_followed_and_is_itself_replaced_or_removed(tmp_path: Path) -> None:
    backend = FileImageBackend(str(tmp_path / "imagedb"))
    (tmp_path / "real").write_bytes(b"{}")
    image = Digest.of(b"{}")
    link = tmp_path / "imagedb/content/sha256" / image.hex
    link.symlink_to(tmp_path / "real")
    with pytest.raises(WrongKind):
        backend.get(image)

    backend.set(b"{}")
    assert not link.is_symlink()
    link.unlink()
    link.symlink_to(tmp_path / "real")
    backend.delete(image)

    assert (tmp_path / "real").read_bytes() == b"{}"
    assert not link.is_symlink()


def test_a_folder_that_is_replaced_or_gone_is_noticed_at_once(tmp_path: Path) -> None:
    backend = FileImageBackend(str(tmp_path))
    image = backend.set(b"{}")
    assert backend.get(image) == b"{}"

    (tmp_path / "content").rename(tmp_path / "old")
    for call in (lambda: backend.get(image), lambda: backend.set(b"[]"), lambda: list(backend.walk())):
        with pytest.raises(NotFound):
            call()
    (tmp_path / "content/sha256").mkdir(parents=True)

    assert list(backend.walk()) == []
    with pytest.raises(NotFound):
        backend.get(image)
    assert backend.get(backend.set(b"[]")) == b"[]"
    assert (tmp_path / "old/sha256" / image.hex).exists()


def test_a_folder_turned_into_a_link_is_not_followed(tmp_path: Path) -> None:
    backend = FileImageBackend(str(tmp_path / "imagedb"))
    image = backend.set(b"{}")
    (tmp_path / "imagedb/content").rename(tmp_path / "elsewhere")
    (tmp_path / "imagedb/content").symlink_to(tmp_path / "elsewhere")

    for call in (lambda: FileImageBackend(str(tmp_path / "imagedb")).get(image), lambda: backend.delete(image)):
        with pytest.raises(WrongKind):
            call()
    assert (tmp_path / "elsewhere/sha256" / image.hex).exists()


def test_a_backend_can_be_handed_to_another_process(tmp_path: Path) -> None:
    backend = FileImageBackend(str(tmp_path))
    image = backend.set(b"{}")
    backend.get(image)

    assert pickle.loads(pickle.dumps(backend)).get(image) == b"{}"


def _set_many(root: str) -> None:
    backend = FileImageBackend(root)
    for number in range(SETS):
        image = backend.set(CONFIG)
        backend.set_metadata(image, "parent", str(number % 10).encode() * 1000)
        assert backend.get(image) == CONFIG


def test_four_processes_set_one_image_without_a_failure_or_a_torn_read(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    backend = FileImageBackend(str(tmp_path))
    image = backend.set(CONFIG)
    backend.set_metadata(image, "parent", b"0" * 1000)
    writers = [context.Process(target=_set_many, args=(str(tmp_path),)) for _ in range(4)]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        value = backend.get_metadata(image, "parent")  # verifies the image too
        assert value == value[:1] * 1000
        seen.add(value)
    for writer in writers:
        writer.join(60)

    assert [writer.exitcode for writer in writers] == [0, 0, 0, 0]
    assert len(seen) > 1, "no reading met a writing"
    assert os.listdir(tmp_path / "content/sha256") == [image.hex]
    assert os.listdir(tmp_path / "metadata/sha256" / image.hex) == ["parent"]


def test_content_that_was_replaced_as_a_folder_is_read_from_the_new_one(tmp_path: Path) -> None:
    backend = FileImageBackend(str(tmp_path / "imagedb"))
    image = backend.set(b"{}")
    backend.set_metadata(image, "k", b"old")
    assert backend.get_metadata(image, "k") == b"old"

    (tmp_path / "imagedb").rename(tmp_path / "away")
    other = FileImageBackend(str(tmp_path / "imagedb"))
    with pytest.raises(NotFound):
        backend.get(image)
    other.set(b"{}")
    other.set_metadata(image, "k", b"new")

    assert backend.get_metadata(image, "k") == b"new"


def test_an_image_that_is_deleted_while_its_metadata_waits_keeps_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, other = FileImageBackend(str(tmp_path)), FileImageBackend(str(tmp_path))
    image = backend.set(b"{}")
    exclusive = Place.exclusive
    calls: list[Place] = []

    def delayed(place: Place) -> AbstractContextManager[None]:
        calls.append(place)
        if len(calls) == 1:
            other.delete(image)
        return exclusive(place)

    monkeypatch.setattr(Place, "exclusive", delayed)
    with pytest.raises(NotFound):
        backend.set_metadata(image, "parent", b"x")

    assert os.listdir(tmp_path / "metadata/sha256") == []
