"""What was read in an earlier run is not read again, and never stands for anything else."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

import orlop.docker.area
from orlop import remembered
from orlop.docker import layout
from orlop.docker.configs import ConfigReader
from orlop.docker.model import ConfigState
from orlop.docker.store import DockerStore
from orlop.fs import Root
from orlop.remembered import Remembered
from orlop.samples import DataRoot
from orlop.verified import VerifiedCache


@pytest.fixture
def data(tmp_path: Path) -> DataRoot:
    data = DataRoot.create(str(tmp_path / "docker"))
    base = data.image({"a": b"x"}, names=["base:1"])
    data.image({"b": b"y"}, on=base, names=["child:1"], local=True)
    data.image({"c": b"z"}, extra={"variant": "v8"})
    return data


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written a moment ago counts as long unchanged."""
    monkeypatch.setattr(orlop.docker.area, "SETTLED", -(10**18))


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orlop.docker.remembering._FEW", 0)


@contextmanager
def opened(data: DataRoot, cache: Path) -> Iterator[DockerStore]:
    root = Root.open(data.path)
    store = DockerStore(root, data.driver, verified=VerifiedCache(str(cache), "store"))
    yield store
    store.close()


@contextmanager
def counted() -> Iterator[list[str]]:
    """The configs that are read while it lasts."""
    read: list[str] = []
    parsed = ConfigReader._parsed

    def count(self: ConfigReader, image: str, data: bytes, stamped: int) -> object:
        read.append(image)
        return parsed(self, image, data, stamped)

    with mock.patch.object(ConfigReader, "_parsed", count):
        yield read


def test_a_store_that_did_not_change_is_read_from_what_is_remembered(data: DataRoot, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with opened(data, cache) as store:
        first = (replace(store.model, seen_at=0), store.rows().rows)
    with counted() as read, opened(data, cache) as store:
        assert (replace(store.model, seen_at=0), store.rows().rows) == first
    assert read == []


def test_images_of_any_time_are_remembered(data: DataRoot, tmp_path: Path) -> None:
    for number, created in enumerate(
        ("0000-01-01T00:00:00Z", "0001-01-01T00:00:00.5Z", "9999-12-31T23:59:59.999999999Z")
    ):
        data.image({"a": b"x"}, names=[f"time:{number}"], created=created)
    cache = tmp_path / "cache"
    with opened(data, cache) as store:
        first = store.rows().rows
    with counted() as read, opened(data, cache) as store:
        assert store.rows().rows == first
    assert read == []


def test_a_file_that_changed_is_read_again(data: DataRoot, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with opened(data, cache) as store:
        spoilt, *others = sorted(store.model.images)
        layer = next(iter(store.model.layers))
    path = Path(data.at(layout.config(data.driver, spoilt)))
    was = os.stat(path)
    path.write_bytes(path.read_bytes()[:-1] + b" ")
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    Path(data.at(layout.layer(data.driver, layer) + "/size")).write_text("12345")
    with opened(data, cache) as store:
        assert store.model.images[spoilt].config is ConfigState.ALTERED
        assert {store.model.images[one].config for one in others} == {ConfigState.GOOD}
        assert store.model.layers[layer].size == 12345


def test_what_lies_beside_the_files_is_always_looked_at(data: DataRoot, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with opened(data, cache) as store:
        layer = next(layer for layer in store.model.layers.values())
    os.rename(data.at(str(layer.data_path)), tmp_path / "away")
    with opened(data, cache) as store:
        assert not store.model.layers[layer.chain_id].data


def test_what_changed_a_moment_ago_is_not_remembered(
    data: DataRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orlop.docker.area, "SETTLED", 2 * 10**9)
    cache = tmp_path / "cache"
    with opened(data, cache):
        pass
    monkeypatch.setattr(orlop.docker.area, "SETTLED", -(10**18))
    with counted() as read, opened(data, cache):
        pass
    assert len(read) == 3


@pytest.mark.parametrize("spoil", ["torn", "empty", "another version", "open to others"])
def test_a_file_that_cannot_be_believed_is_as_if_there_were_none(
    data: DataRoot, tmp_path: Path, spoil: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    with opened(data, cache) as store:
        first = store.rows().rows
    [file] = cache.glob("*.read")
    if spoil == "torn":
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif spoil == "empty":
        file.write_bytes(b"")
    elif spoil == "another version":
        monkeypatch.setattr(remembered, "__version__", "99")
    else:
        file.chmod(0o666)
    with counted() as read, opened(data, cache) as store:
        assert store.rows().rows == first
    assert len(read) == 3
    if spoil != "open to others":
        with counted() as read, opened(data, cache):
            pass
        assert read == []


def test_tables_come_back_as_they_were_saved(tmp_path: Path) -> None:
    kept = Remembered(str(tmp_path / "cache"), "a store")
    assert kept.tables() == {}
    kept.save({"one": b"x" * 1000, "none": b""})
    assert kept.tables() == {"one": b"x" * 1000, "none": b""}
    assert Remembered(str(tmp_path / "cache"), "another").tables() == {}
    Remembered(None, "a store").save({"one": b""})
    assert Remembered(None, "a store").tables() == {}


def test_where_nothing_can_be_written_the_store_opens_all_the_same(data: DataRoot, tmp_path: Path) -> None:
    cache = tmp_path / "file"
    cache.write_bytes(b"")
    with opened(data, cache) as store:
        assert len(store.rows().rows) == 3
