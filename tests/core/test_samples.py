"""The sample store is what an engine would have written, save for what was planted in it."""

import base64
import gzip
import hashlib
import json
import os
import struct
from pathlib import Path

import pytest

from orlop import kinds, samples
from orlop.digest import chain_ids
from orlop.docker import layout, tarsplit
from orlop.errors import AlreadyExists
from orlop.progress import Silent


@pytest.fixture(scope="module", params=["overlay2", "vfs"])
def clean(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> samples.Sample:
    folder = tmp_path_factory.mktemp("clean") / "docker"
    return samples.make(str(folder), driver=request.param, damage=False)


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> samples.Sample:
    return samples.make(str(tmp_path_factory.mktemp("damaged") / "docker"))


def files_of(root: str) -> dict[str, tuple[int, int, bytes]]:
    found = {}
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = os.path.join(folder, name)
            stat = os.lstat(path)
            if os.path.islink(path):
                content = os.readlink(path).encode()
            else:
                content = Path(path).read_bytes() if os.path.isfile(path) else b""
            found[os.path.relpath(path, root)] = (stat.st_mode, stat.st_mtime_ns, content)
    return found


def rebuilt_tar(record: Path, data: Path) -> bytes:
    tar = b""
    for position, line in enumerate(gzip.decompress((record / "tar-split.json.gz").read_bytes()).splitlines()):
        entry = json.loads(line)
        assert entry["position"] == position
        if entry["type"] == 2:
            tar += base64.b64decode(entry["payload"])
        elif entry.get("size"):
            content = (data / entry["name"]).read_bytes()
            assert base64.b64decode(entry["payload"]) == struct.pack(">Q", tarsplit.checksum(content))
            tar += content
    return tar


def test_two_samples_are_the_same_bytes_at_the_same_times(tmp_path: Path, damaged: samples.Sample) -> None:
    again = samples.make(str(tmp_path / "again"))
    assert files_of(again.path) == files_of(damaged.path)
    assert (again.expected, again.images, again.layers) == (damaged.expected, damaged.images, damaged.layers)


def test_every_layer_can_be_rebuilt_to_its_diff_id(clean: samples.Sample) -> None:
    root = Path(clean.path)
    records = sorted((root / layout.layers(clean.driver)).iterdir())
    assert len(records) > 30
    for record in records:
        data = root / str(layout.layer_data(clean.driver, (record / "cache-id").read_text()))
        tar = rebuilt_tar(record, data if clean.driver == "vfs" else data / "diff")
        diff_id = (record / "diff").read_text()
        assert "sha256:" + hashlib.sha256(tar).hexdigest() == diff_id
        parent = record / "parent"
        chain = (parent.read_text(), diff_id) if parent.exists() else (diff_id,)
        assert chain_ids(chain)[-1] == "sha256:" + record.name


def test_every_config_hashes_to_its_name_and_its_layers_are_there(clean: samples.Sample) -> None:
    root = Path(clean.path)
    for config in (root / layout.configs(clean.driver)).iterdir():
        data = config.read_bytes()
        assert hashlib.sha256(data).hexdigest() == config.name
        diff_ids = json.loads(data)["rootfs"].get("diff_ids", [])
        for chain_id in chain_ids(diff_ids):
            assert (root / layout.layer(clean.driver, chain_id) / "size").read_text().isdecimal()


def test_overlay_links_lead_to_the_layers_below_nearest_first(damaged: samples.Sample) -> None:
    root = Path(damaged.path)
    record = root / layout.layer("overlay2", damaged.layers["orphan"])
    data = root / "overlay2" / (record / "cache-id").read_text()
    below = root / layout.layer("overlay2", (record / "parent").read_text())
    assert [os.readlink(root / "overlay2" / link) for link in (data / "lower").read_text().split(":")] == [
        f"../{(below / 'cache-id').read_text()}/diff"
    ]
    assert os.readlink(root / "overlay2" / "l" / (data / "link").read_text()) == f"../{data.name}/diff"


def test_a_vfs_layer_holds_the_files_of_all_layers_below_it(tmp_path: Path) -> None:
    root = samples.DataRoot.create(str(tmp_path / "docker"), driver="vfs")
    base = root.image({"bin/sh": b"sh", "etc/motd": b"old"})
    app = root.image({"etc/motd": b"new"}, on=base)
    tree = tmp_path / "docker/vfs/dir" / app.layers[-1].cache_id
    assert ((tree / "bin/sh").read_bytes(), (tree / "etc/motd").read_bytes()) == (b"sh", b"new")


def test_only_the_planted_faults_tell_the_damaged_sample_from_the_clean_one(
    tmp_path: Path, damaged: samples.Sample
) -> None:
    sound = files_of(samples.make(str(tmp_path / "sound"), damage=False).path)
    found = files_of(damaged.path)
    changed = {path for path in sound if found.get(path, (0, 0, b""))[2] != sound[path][2]}
    corrupt = layout.config("overlay2", damaged.images["corrupt"])
    lost = layout.layer("overlay2", damaged.layers["parent-lost"])
    assert f"{lost}/parent" not in found
    assert found[corrupt][2] == b""
    assert changed == {corrupt, f"{lost}/parent", layout.tag_file("overlay2")}


@pytest.mark.parametrize("driver", ["overlay2", "vfs"])
@pytest.mark.parametrize("damage", [True, False])
def test_a_check_finds_exactly_what_was_planted(tmp_path: Path, driver: str, damage: bool) -> None:
    sample = samples.make(str(tmp_path / "docker"), driver=driver, damage=damage)
    store = kinds.open(sample.path)
    found = sorted((finding.rule, finding.path) for finding in store.check(None, content=False, progress=Silent()))
    store.close()
    assert found == list(sample.expected)


def test_a_store_of_ones_own_takes_a_few_lines(tmp_path: Path) -> None:
    root = samples.DataRoot.create(str(tmp_path / "docker"))
    base = root.image({"bin/sh": b"#!"}, names=["base:1"])
    app = root.image({"srv/app": b"app"}, on=base, names=["localhost:5000/app:1", "app:latest"], local=True)
    names = json.loads((tmp_path / "docker" / layout.tag_file("overlay2")).read_bytes())["Repositories"]
    assert names == {
        "app": {"app:latest": app.id},
        "base": {"base:1": base.id},
        "localhost:5000/app": {"localhost:5000/app:1": app.id},
    }
    assert (tmp_path / "docker" / layout.metadata("overlay2", app.id) / "parent").read_text() == base.id
    assert [layer.below for layer in app.layers] == [None, base.layers[0]]


def test_a_folder_with_something_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep")
    with pytest.raises(AlreadyExists):
        samples.make(str(tmp_path))
    assert os.listdir(tmp_path) == ["mine"]


def test_an_unknown_driver_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="zfs"):
        samples.make(str(tmp_path / "docker"), driver="zfs")
    assert not (tmp_path / "docker").exists()
