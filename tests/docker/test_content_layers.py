"""Layers are rebuilt and hashed: what is wrong is found and its file named, and nothing else is told of."""

import gzip
import hashlib
import io
import os
import pickle
import random
import shutil
import tarfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orlop import kinds, workers
from orlop.docker import layout, tarsplit
from orlop.docker.content import NAMED, Result, Task
from orlop.docker.layerplace import Place
from orlop.docker.layerstore import LayerStore, StoredLayer
from orlop.errors import Cancelled
from orlop.finding import Finding, Severity
from orlop.progress import CONTENTS, Silent
from orlop.records import Key
from orlop.samples import DataRoot, Image
from orlop.samples.trees import Files, Symlink
from orlop.spread import spread
from orlop.store import Hashing
from tests.examples import examples

DRIVERS = pytest.mark.parametrize("driver", ["overlay2", "vfs"])
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="owners and overlayfs's marks need uid 0")
FILES: Files = {
    "etc/os": b"base\n",
    "bin/sh": b"#!" * 500,
    "srv/empty": b"",
    "lib": Symlink("usr/lib"),
    "usr/lib/x": b"x" * 90,
}


class Shop:
    """A base image, two images on it, one container."""

    def __init__(self, path: str, driver: str) -> None:
        self.data = DataRoot.create(path, driver=driver)
        self.driver = driver
        self.base = self.data.image(FILES, names=["base:1"])
        self.web = self.data.image({"srv/web": b"web" * 1000, "etc/os": b"web\n"}, on=self.base, names=["web:1"])
        self.api = self.data.image({"srv/api": b"api" * 9, "srv/conf": b"c"}, on=self.base, names=["api:1"])
        self.container = self.data.container("kept", self.api)

    def tree(self, image: Image) -> Path:
        top = image.top
        assert top is not None
        return Path(self.data.at(layout.layer_tree(self.driver, top.cache_id) or ""))

    def relative(self, path: Path) -> str:
        return os.path.relpath(path, self.data.path)

    def recipe(self, image: Image) -> Path:
        top = image.top
        assert top is not None
        return Path(self.data.at(layout.tar_split(self.driver, top.chain_id)))

    def rewrite(self, image: Image, change: Callable[[tarsplit.Entry], tarsplit.Entry | None]) -> None:
        """Change the recipe of an image's top layer, entry by entry."""
        written = tarsplit.Recipe()
        for entry in tarsplit.entries(io.BytesIO(self.recipe(image).read_bytes())):
            changed = change(entry)
            if changed is not None:
                written.add(changed)
        self.recipe(image).write_bytes(written.close())


@pytest.fixture(params=["overlay2", "vfs"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    return Shop(str(tmp_path / "docker"), request.param)


def check(path: str, keys: Sequence[Key] | None = None, hashing: Hashing | None = None) -> list[Finding]:
    store = kinds.open(path)
    try:
        return list(store.check(keys, content=True, progress=Silent(), hashing=hashing))
    finally:
        store.close()


def damage(path: str) -> list[Finding]:
    return [one for one in check(path) if one.severity.is_damage]


def only(shop: Shop) -> Finding:
    [found] = damage(shop.data.path)
    return found


def flip(path: Path, at: int) -> None:
    """Change one byte, and nothing else that can be seen."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


# --- what is wrong -----------------------------------------------------------


def test_a_sound_store_has_no_findings_and_a_changed_time_is_none(shop: Shop) -> None:
    for folder, _, names in os.walk(shop.tree(shop.web)):
        for name in names:
            os.utime(os.path.join(folder, name), ns=(7, 7), follow_symlinks=False)
    assert damage(shop.data.path) == []


def test_one_flipped_byte_is_found_with_everything_it_affects(shop: Shop) -> None:
    file = shop.tree(shop.api) / "srv/api"
    flip(file, 3)
    found = only(shop)
    assert (found.rule, found.severity, found.path) == ("DK08", Severity.UNUSABLE, shop.relative(file))
    assert "srv/api (other bytes)" in found.detail
    assert found.engine_says == 'file integrity checksum failed for "srv/api"'
    assert (found.images, found.names, found.containers) == ((shop.api.id,), ("api:1",), (shop.container,))
    assert found.bytes == 27


def test_a_layer_is_hashed_once_and_told_of_with_every_image_on_it(tmp_path: Path) -> None:
    shop = Shop(str(tmp_path / "docker"), "overlay2")
    flip(shop.tree(shop.base) / "etc/os", 0)
    found = only(shop)
    assert set(found.images) == {shop.base.id, shop.web.id, shop.api.id}
    assert found.containers == (shop.container,)


def fifo_there(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize(
    ("hurt", "clause"),
    [
        (lambda file: file.unlink(), "(missing)"),
        (lambda file: file.write_bytes(b""), "(0 bytes instead of 3000)"),
        (lambda file: file.write_bytes(b"web" * 1001), "(3003 bytes instead of 3000)"),
        (lambda file: (file.unlink(), file.symlink_to("/etc/passwd")), "(a link is in the place of a file)"),
        (fifo_there, "(a fifo is in the place of a file)"),
        (lambda file: (file.unlink(), file.mkdir()), "(a folder is in the place of a file)"),
        (lambda file: shutil.rmtree(file.parent), "(missing)"),
    ],
    ids=["missing", "emptied", "longer", "link", "fifo", "folder", "folder missing"],
)
def test_what_is_in_the_place_of_a_file_is_told(shop: Shop, hurt: Callable[[Path], object], clause: str) -> None:
    hurt(shop.tree(shop.web) / "srv/web")
    found = only(shop)
    assert found.rule == "DK08"
    assert f"srv/web {clause}" in found.detail


def test_many_wrong_files_are_counted(tmp_path: Path) -> None:
    data = DataRoot.create(str(tmp_path / "docker"))
    image = data.image({f"f{number:02}": b"content" for number in range(20)}, names=["many:1"])
    assert image.top is not None
    tree = Path(data.at(layout.layer_tree("overlay2", image.top.cache_id) or ""))
    for file in tree.iterdir():
        flip(file, 6)
    [found] = damage(data.path)
    assert found.path == os.path.relpath(tree, data.path)
    assert "20 files are not what they were: f00 (other bytes)" in found.detail
    assert found.detail.endswith(f"and {20 - NAMED} more")
    assert found.bytes == 20 * 7


def test_a_layer_that_nobody_needs_fails_later_only(shop: Shop) -> None:
    layer = shop.data.layer({"lone": b"lone"}, on=shop.base.top)
    flip(Path(shop.data.at(layout.layer_tree(shop.driver, layer.cache_id) or "")) / "lone", 0)
    found = only(shop)
    assert (found.rule, found.severity, found.images) == ("DK08", Severity.LATENT, ())


def test_only_the_layers_of_some_rows_are_hashed(shop: Shop) -> None:
    flip(shop.tree(shop.web) / "srv/web", 0)
    assert not [f for f in check(shop.data.path, [Key("", shop.api.id, "api:1")]) if f.severity.is_damage]
    assert [f.rule for f in check(shop.data.path, [Key("", shop.web.id, "web:1")])] == ["DK08"]


@settings(max_examples=examples(0.25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 30))
def test_one_flipped_byte_anywhere_is_found_and_its_file_named(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    """In any regular file of any layer, of either driver, the copies that vfs makes included."""
    chance = random.Random(seed)
    shop = Shop(str(tmp_path_factory.mktemp("flip") / "docker"), chance.choice(["overlay2", "vfs"]))
    image = chance.choice([shop.base, shop.web, shop.api])
    files = sorted(file for file in shop.tree(image).rglob("*") if file.is_file() and not file.is_symlink())
    file = chance.choice([file for file in files if file.stat().st_size])
    flip(file, chance.randrange(file.stat().st_size))
    found = only(shop)
    assert (found.rule, found.path) == ("DK08", shop.relative(file))
    assert str(file.relative_to(shop.tree(image))) in found.detail


# --- the copies of vfs ---------------------------------------------------------


def test_vfs_tells_which_copy_is_wrong(tmp_path: Path) -> None:
    shop = Shop(str(tmp_path / "docker"), "vfs")
    flip(shop.tree(shop.base) / "bin/sh", 7)
    assert only(shop).path == shop.relative(shop.tree(shop.base) / "bin/sh")
    flip(shop.tree(shop.base) / "bin/sh", 7)
    flip(shop.tree(shop.api) / "bin/sh", 7)
    found = only(shop)
    assert found.path == shop.relative(shop.tree(shop.api) / "bin/sh")
    assert found.images == (shop.api.id,)
    assert "other bytes than in the layer below" in found.detail


def test_vfs_misses_a_copy_that_no_archive_took_away(tmp_path: Path) -> None:
    shop = Shop(str(tmp_path / "docker"), "vfs")
    (shop.tree(shop.web) / "usr/lib/x").unlink()
    found = only(shop)
    assert found.path == shop.relative(shop.tree(shop.web) / "usr/lib/x")


# --- recipes -------------------------------------------------------------------


def test_a_recipe_that_leaves_the_layer_cannot_be_used(shop: Shop) -> None:
    def climb(entry: tarsplit.Entry) -> tarsplit.Entry:
        if isinstance(entry, tarsplit.Content) and entry.size:
            return tarsplit.Content("../../../../etc/passwd", entry.size, entry.checksum)
        return entry

    shop.rewrite(shop.web, climb)
    found = only(shop)
    assert (found.rule, found.path) == ("DK09", shop.relative(shop.recipe(shop.web)))
    assert "leads out of the layer" in found.detail


def test_a_recipe_that_gives_another_archive_cannot_be_used(shop: Shop) -> None:
    def pad(entry: tarsplit.Entry) -> tarsplit.Entry:
        return tarsplit.Segment(entry.payload + b"x") if isinstance(entry, tarsplit.Segment) else entry

    shop.rewrite(shop.web, pad)
    found = only(shop)
    assert (found.rule, found.severity) == ("DK09", Severity.LATENT)
    assert "hashes to sha256:" in found.detail


def test_a_recipe_with_wrong_checksums_is_told_and_not_the_files(shop: Shop) -> None:
    def lie(entry: tarsplit.Entry) -> tarsplit.Entry:
        return tarsplit.Content(entry.name, entry.size, bytes(8)) if isinstance(entry, tarsplit.Content) else entry

    shop.rewrite(shop.web, lie)
    found = only(shop)
    assert found.rule == "DK09"
    assert found.engine_says.startswith("file integrity checksum failed")


def test_a_recipe_of_another_layer_names_what_is_not_there(shop: Shop) -> None:
    shutil.copyfile(shop.recipe(shop.api), shop.recipe(shop.web))
    [found] = [found for found in damage(shop.data.path) if found.rule == "DK08"]
    assert "srv/api (missing), srv/conf (missing)" in found.detail


@pytest.mark.parametrize("size", [1 << 62, 10**18, -5, "1e400"], ids=str)
def test_a_recipe_of_absurd_sizes_neither_hangs_nor_breaks(shop: Shop, size: object) -> None:
    text = gzip.decompress(shop.recipe(shop.web).read_bytes()).replace(b'"size":3000', f'"size":{size}'.encode())
    shop.recipe(shop.web).write_bytes(gzip.compress(text))
    found = damage(shop.data.path)
    assert found
    assert {one.rule for one in found} <= {"DK06", "DK08", "DK09"}


# --- what is sound -------------------------------------------------------------


def archive(*members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]) -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as tar:
        for member in members:
            info, content = member if isinstance(member, tuple) else (member, b"")
            info.size = len(content)
            info.uid, info.gid = os.geteuid(), os.getegid()
            tar.addfile(info, io.BytesIO(content))
    buffer.seek(0)
    return buffer


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.mtime = kind, target, mode, 1_500_000_000
    return info


def awkward(layers: LayerStore) -> list[StoredLayer]:
    """Three layers with all that archives of healthy images hold."""
    long = "d" * 120 + "/" + "f" * 150
    below = layers.register(
        archive(
            member("usr/", tarfile.DIRTYPE, mode=0o755),
            member("usr/lib/", tarfile.DIRTYPE, mode=0o755),
            member("lib", tarfile.SYMTYPE, "usr/lib"),
            (member("usr/lib/a"), b"a" * 700),
            member("usr/lib/hard", tarfile.LNKTYPE, "usr/lib/a"),
            (member("opt/gone"), b"gone"),
            (member("opt/kept"), b"kept"),
            (member("hidden/one"), b"one"),
            (member("hidden/two"), b"two"),
            (member("folder/inner/file"), b"becomes a file"),
            (member("replaced"), b"same size, other bytes"),
        )
    )
    middle = layers.register(
        archive(
            (member("usr/bin/sudo", mode=0o4755), b"setuid" * 9),
            (member("empty"), b""),
            (member("zeros"), bytes(3 << 20)),
            (member(long), b"a long name"),
            (member("caf\udce9"), b"not UTF-8"),
            (member('quote"\\new\nline'), b"a name with a line's end"),
            member("pipe", tarfile.FIFOTYPE),
            member("opt/", tarfile.DIRTYPE, mode=0o755),
            member("opt/.wh.gone"),
            member("hidden/", tarfile.DIRTYPE, mode=0o755),
            member("hidden/.wh..wh..opq"),
            (member("hidden/three"), b"three"),
            (member("folder"), b"a file in the place of a folder"),
            (member("replaced"), b"SAME SIZE, OTHER BYTES"),
            member("usr/lib/link-up", tarfile.LNKTYPE, "zeros"),
        ),
        below.chain_id,
    )
    top = layers.register(archive((member("srv/x"), b"x"), member("srv/.wh.y")), middle.chain_id)
    return [below, middle, top]


@ROOT_ONLY
@DRIVERS
def test_all_that_healthy_layers_hold_is_sound(tmp_path: Path, driver: str) -> None:
    (tmp_path / "image" / driver / "imagedb/content/sha256").mkdir(parents=True)
    layers = LayerStore(str(tmp_path), driver=driver)
    awkward(layers)
    assert damage(str(tmp_path)) == []
    store = layers.map()
    assert len(store) == 3


def test_a_file_behind_a_link_of_the_base_is_sound(tmp_path: Path) -> None:
    """The archive says lib/x, which the engine unpacked to usr/lib/x; the layer above brings usr/lib/x anew."""
    shop = Shop(str(tmp_path / "docker"), "vfs")
    base = shop.data.image({"usr/lib/y": b"y"}, names=["linked:0"])
    linked = shop.data.image({"lib/x": b"written through the link"}, on=base, names=["linked:1"])
    again = shop.data.image({"usr/lib/x": b"written directly now"}, on=linked, names=["again:1"])
    (shop.tree(base) / "lib").symlink_to("/usr/lib")
    for image, content in ((linked, b"written through the link"), (again, b"written directly now")):
        tree = shop.tree(image)
        shutil.rmtree(tree / "lib")
        (tree / "lib").symlink_to("/usr/lib")
        (tree / "usr/lib/x").write_bytes(content)
    assert damage(shop.data.path) == []
    flip(shop.tree(linked) / "usr/lib/x", 0)
    assert "lib/x (other bytes)" in only(shop).detail


# --- tasks ---------------------------------------------------------------------


def task(shop: Shop, image: Image) -> Task:
    top = image.top
    assert top is not None
    tree = layout.layer_tree(shop.driver, top.cache_id) or ""
    place = Place(recipe=layout.tar_split(shop.driver, top.chain_id), tree=tree)
    return Task(
        root=shop.data.path, chain_id=top.chain_id, diff_id=top.diff_id, place=place, size=top.size, remember=True
    )


def test_a_task_is_the_same_work_anywhere(tmp_path: Path) -> None:
    shop = Shop(str(tmp_path / "docker"), "overlay2")
    flip(shop.tree(shop.api) / "srv/api", 0)
    tasks = [task(shop, image) for image in (shop.base, shop.web, shop.api)]
    assert pickle.loads(pickle.dumps(tasks)) == tasks

    def run(executor: Executor | None) -> dict[str, tuple[bool, tuple[str, ...]]]:
        total = sum(one.size for one in tasks)
        results: list[Result] = list(spread(tasks, Silent(), what=CONTENTS, total=total, executor=executor, batch=1))
        return {one.task.chain_id: (one.matches, tuple(wrong.name for wrong in one.wrong)) for one in results}

    here = run(None)
    assert sorted(here.values()) == [(False, ("srv/api",)), (True, ()), (True, ())]
    with ThreadPoolExecutor(2) as threads:
        assert run(threads) == here
    with ProcessPoolExecutor(1) as processes:
        assert run(processes) == here


def test_a_layer_that_goes_away_is_no_damage(shop: Shop) -> None:
    work = task(shop, shop.web)
    shutil.rmtree(shop.tree(shop.web))
    assert work.run(lambda _: None).wrong_count == 1
    shutil.rmtree(shop.recipe(shop.web).parent)
    result = work.run(lambda _: None)
    assert result.gone
    assert not result.matches


def test_hashing_can_be_stopped_within_a_layer(shop: Shop) -> None:
    def stop(_: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        task(shop, shop.web).run(stop)


def test_what_is_read_is_told(shop: Shop) -> None:
    told: list[int] = []
    result = task(shop, shop.web).run(told.append)
    assert sum(told) == result.read == 3004
    assert result.actual == "sha256:" + hashlib.sha256(b"".join(_pieces(shop, shop.web))).hexdigest()


def _pieces(shop: Shop, image: Image) -> list[bytes]:
    assert image.top is not None
    return list(LayerStore(shop.data.path, driver=shop.driver).reassemble(image.top.chain_id))


def test_layers_of_a_driver_without_plain_files_are_one_note(tmp_path: Path) -> None:
    shop = Shop(str(tmp_path / "docker"), "overlay2")
    os.rename(shop.data.at("image/overlay2"), shop.data.at("image/btrfs"))
    found = [one for one in check(shop.data.path) if one.rule == "DK08"]
    assert [(one.severity, one.subject) for one in found] == [(Severity.INFORMATION, "driver")]
    assert "3 layers cannot be hashed: the driver btrfs" in found[0].detail


def test_large_layers_are_hashed_by_threads(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "fastest", lambda *_: workers.Where.THREADS)
    used: list[str] = []
    run = Task.run

    def noted(self: Task, told: Callable[[int], None]) -> Result:
        used.append(threading.current_thread().name)
        return run(self, told)

    monkeypatch.setattr(Task, "run", noted)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    flip(shop.tree(shop.api) / "srv/api", 3)
    assert only(shop).rule == "DK08"
    assert len(used) == 3
    assert all(name.startswith("hashing") for name in used)
