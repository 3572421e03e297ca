"""What the layer store leaves on disk, and what it makes of what others left there."""

import errno
import io
import multiprocessing
import os
import shutil
import stat
import tarfile
from pathlib import Path

import pytest

from orlop.docker import layout
from orlop.docker.layerstore import LayerStore, StoredLayer
from orlop.errors import AlreadyExists, NoSpace, NotFound, OrlopError, Refused, Unsupported
from orlop.fs import Root
from orlop.fs.trees import sync

DRIVERS = pytest.mark.parametrize("driver", ["overlay2", "vfs"])
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="owners and overlayfs's marks need uid 0")


def tar(**members: bytes | str | None) -> io.BytesIO:
    """An archive of names (``__`` for ``/``): bytes are a file, a text a link, None a folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for key, content in members.items():
            info = tarfile.TarInfo(key.replace("__", "/").replace("WH_", ".wh."))
            info.mode, info.mtime, info.uid, info.gid = 0o640, 1_500_000_000, os.geteuid(), os.getegid()
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o2751
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content if isinstance(content, bytes) else b""))
    buffer.seek(0)
    return buffer


def two(layers: LayerStore) -> tuple[StoredLayer, StoredLayer]:
    base = layers.register(tar(etc=None, etc__motd=b"hello", etc__old=b"old", sh="bin/sh"))
    return base, layers.register(tar(etc=None, etc__WH_old=b"", etc__new=b"new"), base.chain_id)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@DRIVERS
def test_a_record_holds_what_the_engine_writes(tmp_path: Path, driver: str) -> None:
    base, top = two(LayerStore(str(tmp_path), driver=driver))
    record = tmp_path / layout.layer(driver, top.chain_id)

    assert mode(record) == 0o700
    assert {path.name: mode(path) for path in record.iterdir()} == dict.fromkeys(
        ("diff", "size", "cache-id", "parent", "tar-split.json.gz"), 0o644
    )
    assert (record / "diff").read_text() == top.diff_id
    assert (record / "parent").read_text() == base.chain_id
    assert (record / "size").read_text() == "3"
    assert (record / "cache-id").read_text() == top.cache_id
    assert not (tmp_path / layout.layer(driver, base.chain_id) / "parent").exists()
    assert list((tmp_path / layout.transactions(driver)).iterdir()) == []


@ROOT_ONLY
def test_overlay2_holds_what_each_layer_changes(tmp_path: Path) -> None:
    base, top = two(LayerStore(str(tmp_path)))
    data, below = tmp_path / "overlay2" / top.cache_id, tmp_path / "overlay2" / base.cache_id

    assert {path.name: mode(path) for path in data.iterdir()} == {
        "diff": 0o755,
        "link": 0o644,
        "lower": 0o644,
        "work": 0o700,
    }
    assert {path.name for path in below.iterdir()} == {"committed", "diff", "link"}
    link = (data / "link").read_text()
    assert len(link) == 26
    assert os.readlink(tmp_path / "overlay2/l" / link) == f"../{top.cache_id}/diff"
    assert (data / "lower").read_text() == "l/" + (below / "link").read_text()
    whiteout = (data / "diff/etc/old").lstat()
    assert (stat.S_ISCHR(whiteout.st_mode), whiteout.st_rdev) == (True, 0)


@ROOT_ONLY
def test_an_opaque_folder_is_marked_for_overlayfs(tmp_path: Path) -> None:
    layers = LayerStore(str(tmp_path))
    base = layers.register(tar(etc=None, etc__old=b"old"))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("etc/.wh..wh..opq"))
    top = layers.register(io.BytesIO(buffer.getvalue()), base.chain_id)

    try:
        mark = os.getxattr(tmp_path / "overlay2" / top.cache_id / "diff/etc", "trusted.overlay.opaque")
    except OSError as error:
        pytest.skip(f"no such attributes here: {error}")
    assert mark == b"y"


def test_vfs_holds_the_whole_file_system_as_of_a_layer(tmp_path: Path) -> None:
    base, top = two(LayerStore(str(tmp_path), driver="vfs"))
    below, above = (tmp_path / "vfs/dir" / layer.cache_id for layer in (base, top))

    assert {path.name for path in (above / "etc").iterdir()} == {"motd", "new"}
    assert {path.name for path in (below / "etc").iterdir()} == {"motd", "old"}
    assert os.readlink(above / "sh") == "bin/sh"
    for path in (above / "etc/motd", above / "etc/new"):
        assert (mode(path), path.stat().st_mtime) == (0o640, 1_500_000_000)
    assert (mode(above / "etc"), (above / "etc").stat().st_mtime) == (0o2751, 1_500_000_000)
    assert (above / "sh").lstat().st_mtime == 1_500_000_000


def test_a_copied_layer_keeps_the_links_between_its_files(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind in (("one", tarfile.REGTYPE), ("d/two", tarfile.LNKTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.uid, info.gid = kind, "one", os.geteuid(), os.getegid()
            archive.addfile(info)
    layers = LayerStore(str(tmp_path), driver="vfs")
    base = layers.register(io.BytesIO(buffer.getvalue()))
    top = layers.register(tar(more=b""), base.chain_id)
    tree = tmp_path / "vfs/dir" / top.cache_id

    assert (tree / "one").samefile(tree / "d/two")
    assert not (tree / "one").samefile(tmp_path / "vfs/dir" / base.cache_id / "one")


@DRIVERS
def test_what_is_released_leaves_nothing(tmp_path: Path, driver: str) -> None:
    layers = LayerStore(str(tmp_path), driver=driver)
    base, top = two(layers)
    layers.release(base.chain_id)
    layers.release(top.chain_id)

    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert {path for path in left if not path.startswith("image")} <= {"overlay2", "overlay2/l", "vfs", "vfs/dir"}
    assert list((tmp_path / layout.layers(driver)).iterdir()) == []


# --- others ----------------------------------------------------------------------------


@DRIVERS
def test_another_store_sees_the_layers_and_what_stands_on_them(tmp_path: Path, driver: str) -> None:
    first, second = (LayerStore(str(tmp_path), driver=driver) for _ in range(2))
    base, top = two(first)
    second.get(base.chain_id)

    assert second.map() == first.map()
    assert second.release(base.chain_id) == ()
    first.release(base.chain_id)
    first.release(top.chain_id)
    with pytest.raises(NotFound):
        second.get(top.chain_id)


def test_a_container_keeps_the_layers_that_it_stands_on(tmp_path: Path) -> None:
    layers = LayerStore(str(tmp_path))
    base = layers.register(tar(a=b"1"))
    mount = tmp_path / layout.mounts("overlay2") / ("c" * 64)
    mount.mkdir()
    (mount / "mount-id").write_text("d" * 64)
    (mount / "parent").write_text(base.chain_id)

    assert layers.release(base.chain_id) == ()
    assert b"".join(layers.reassemble(base.chain_id))


@DRIVERS
def test_nothing_is_removed_beside_a_record_that_lost_its_parent(tmp_path: Path, driver: str) -> None:
    layers = LayerStore(str(tmp_path), driver=driver)
    base, top = two(layers)
    (tmp_path / layout.layer(driver, top.chain_id) / "parent").unlink()
    again = LayerStore(str(tmp_path), driver=driver)

    assert again.map().keys() == {base.chain_id}
    again.get(base.chain_id)
    with pytest.raises(Refused, match="its parent is lost"):
        again.release(base.chain_id)
    assert (tmp_path / layout.layer(driver, base.chain_id)).is_dir()


def test_a_copied_record_does_not_cost_the_other_its_files(tmp_path: Path) -> None:
    layers = LayerStore(str(tmp_path), driver="vfs")
    first, second = layers.register(tar(a=b"1")), layers.register(tar(b=b"2"))
    (tmp_path / layout.layer("vfs", second.chain_id) / "cache-id").write_text(first.cache_id)
    again = LayerStore(str(tmp_path), driver="vfs")
    again.get(second.chain_id)

    again.release(second.chain_id)

    assert b"".join(again.reassemble(first.chain_id)) == tar(a=b"1").getvalue()


@pytest.mark.parametrize("file", ["diff", "size", "cache-id"])
def test_a_damaged_record_is_no_layer_nor_are_those_above(tmp_path: Path, file: str) -> None:
    base, top = two(LayerStore(str(tmp_path)))
    (tmp_path / layout.layer("overlay2", base.chain_id) / file).write_text("")
    again = LayerStore(str(tmp_path))

    assert again.map() == {}
    for chain_id in (base.chain_id, top.chain_id):
        with pytest.raises(NotFound):
            again.get(chain_id)


def test_a_folder_that_has_the_new_cache_id_is_left_alone(tmp_path: Path) -> None:
    layers = LayerStore(str(tmp_path), token=lambda count: b"\x07" * count)
    first = layers.register(tar(a=b"1"))

    with pytest.raises(AlreadyExists):
        layers.register(tar(b=b"2"))
    assert b"".join(layers.reassemble(first.chain_id)) == tar(a=b"1").getvalue()


def test_the_names_can_be_chosen_so_that_a_store_is_the_same_each_time(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        layers = LayerStore(str(tmp_path / name), token=lambda count: b"\x07" * count)
        layers.register(tar(a=b"1"))
        made.append({str(path.relative_to(tmp_path / name)) for path in (tmp_path / name).rglob("*")})

    assert made[0] == made[1]


def test_other_drivers_are_refused_and_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(Unsupported):
        LayerStore(str(tmp_path), driver="zfs")
    assert list(tmp_path.iterdir()) == []


# --- failures and processes -----------------------------------------------------------------


@DRIVERS
@pytest.mark.parametrize("call", ["mkdir", "fsync", "write", "utime", "fchmod"])
def test_a_system_call_that_fails_leaves_nothing(
    tmp_path: Path, driver: str, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = LayerStore(str(tmp_path), driver=driver)
    base = layers.register(tar(a=b"1"))
    before = {path for path in tmp_path.rglob("*") if path.name != "committed"}
    real = getattr(os, call)
    left = 0

    def failing(*args: object, **options: object) -> object:
        nonlocal left
        left -= 1
        if left == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*args, **options)

    failures = 0
    while True:
        left = failures + 1
        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing)
            try:
                layers.register(tar(b=b"2", c="b", d=None), base.chain_id)
            except NoSpace:
                failures += 1
            else:
                break
        assert {path for path in tmp_path.rglob("*") if path.name != "committed"} == before
    assert failures > 0
    assert len(layers.map()) == 2


def _register_some(path: str, driver: str, number: int) -> None:
    layers = LayerStore(path, driver=driver)
    same = layers.register(tar(same=b"same"))
    layers.register(tar(**{f"own{number}": b"own"}), same.chain_id)
    gone = layers.register(tar(**{f"gone{number}": b"gone"}), same.chain_id)
    layers.release(gone.chain_id)


@DRIVERS
def test_processes_can_register_and_release_at_once(tmp_path: Path, driver: str) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_register_some, args=(str(tmp_path), driver, number)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)

    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    layers = LayerStore(str(tmp_path), driver=driver)
    assert len(layers.map()) == 4
    for chain_id in layers.map():
        assert b"".join(layers.reassemble(chain_id))
    folders = {path.name for path in (tmp_path / str(layout.layer_data_folder(driver))).iterdir()} - {"l"}
    assert folders == {layer.cache_id for layer in layers.map().values()}


def test_a_release_that_was_cut_off_leaves_a_name_that_engines_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = LayerStore(str(tmp_path), driver="vfs")
    made = layers.register(tar(a=b"1"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", lambda *args, **options: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        with pytest.raises(OrlopError):
            layers.release(made.chain_id)

    [left] = (tmp_path / layout.layers("vfs")).iterdir()
    assert left.name.startswith(made.chain_id[7:] + "-")
    assert left.name.endswith("-removing")
    assert LayerStore(str(tmp_path), driver="vfs").map() == {}
    shutil.rmtree(left)


@DRIVERS
def test_a_layer_that_went_and_came_again_is_the_new_one_for_every_store(tmp_path: Path, driver: str) -> None:
    one, other = (LayerStore(str(tmp_path), driver=driver) for _ in range(2))
    old = one.register(tar(f=b"x"))
    other.map()
    one.release(old.chain_id)
    new = one.register(tar(f=b"x"))

    assert old.cache_id != new.cache_id
    assert other.map() == {new.chain_id: new}
    assert b"".join(other.reassemble(new.chain_id)) == tar(f=b"x").read()
    assert other.register(tar(g=b"y"), new.chain_id).parent == new.chain_id


def test_nothing_is_removed_while_a_container_does_not_tell_what_it_stands_on(tmp_path: Path) -> None:
    layers = LayerStore(str(tmp_path))
    base = layers.register(tar(f=b"x"))
    mount = tmp_path / layout.mounts("overlay2") / ("c" * 64)
    mount.mkdir()
    for name, text in (("mount-id", "d" * 64), ("parent", "sha256:")):
        (mount / name).write_text(text)

    with pytest.raises(Refused) as refused:
        layers.release(base.chain_id)

    assert "parent is no digest" in str(refused.value)
    assert layers.find(base.chain_id) == base


@DRIVERS
def test_a_record_gets_its_name_once_all_of_the_layer_is_on_disk(
    tmp_path: Path, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = LayerStore(str(tmp_path), driver=driver)
    records, transactions = (tmp_path / of(driver) for of in (layout.layers, layout.transactions))
    seen: list[tuple[list[str], int]] = []

    def watched(root: Root) -> None:
        seen.append((os.listdir(records), sum(len(os.listdir(made)) for made in transactions.iterdir())))
        sync(root)

    monkeypatch.setattr("orlop.docker.layerstore.sync", watched)
    layers.register(tar(f=b"x"))

    assert seen == [([], 4)]
