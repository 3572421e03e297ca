"""One damage, one finding: which rule, at which file, with the engine's words, and nothing else."""

import dataclasses
import gzip
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orlop import kinds
from orlop.docker import layout
from orlop.docker.check import check
from orlop.docker.store import DockerStore
from orlop.finding import Finding, Severity
from orlop.progress import Silent
from orlop.records import Condition, EngineState, Key, Row, Trust
from orlop.samples import DataRoot, Image
from orlop.store import Store


class Shop:
    """A small healthy store: a base image, two images on it, one container, one mapping."""

    def __init__(self, path: str, driver: str) -> None:
        self.data = DataRoot.create(path, driver=driver)
        self.driver = driver
        self.base = self.data.image({"etc/os": b"base\n"}, names=["base:1"])
        self.web = self.data.image({"srv/web": b"web" * 100}, on=self.base, names=["web:1"], local=True)
        self.api = self.data.image({"srv/api": b"api" * 200}, {"srv/conf": b"c"}, on=self.base, names=["api:1"])
        self.data.mapping(self.web.layers[-1], "localhost:5000/web")
        self.container = self.data.container("kept", self.api)

    def at(self, path: str) -> Path:
        return Path(self.data.at(path))

    def config(self, image: Image) -> Path:
        return self.at(layout.config(self.driver, image.id))

    def record(self, image: Image, depth: int = -1) -> Path:
        return self.at(layout.layer(self.driver, image.layers[depth].chain_id))

    def relative(self, path: Path) -> str:
        return os.path.relpath(path, self.data.path)

    def open(self) -> Store:
        return kinds.open(self.data.path)


@pytest.fixture(params=["overlay2", "vfs"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    return Shop(str(tmp_path / "docker"), request.param)


def findings(shop: Shop) -> list[Finding]:
    store = shop.open()
    try:
        return [
            f for f in store.check(None, content=False, progress=Silent()) if f.severity is not Severity.INFORMATION
        ]
    finally:
        store.close()


def row(shop: Shop, name: str) -> Row:
    store = shop.open()
    try:
        return next(row for row in store.rows().rows if row.key.name == name)
    finally:
        store.close()


def only(shop: Shop, rule: str, path: Path) -> Finding:
    found = findings(shop)
    assert [(f.rule, f.path) for f in found] == [(rule, shop.relative(path))]
    return found[0]


def test_a_healthy_store_has_no_findings(shop: Shop) -> None:
    assert findings(shop) == []
    assert row(shop, "web:1").trust is Trust.LINKED


@pytest.mark.parametrize(
    ("content", "clause"),
    [(b"", "empty"), (b"\0" * 300, "zero bytes"), (b'{"os":"linux"}', "hashes to sha256:")],
    ids=["empty", "zeros", "altered"],
)
def test_a_config_that_does_not_hash_to_its_name_is_a_damaged_row(shop: Shop, content: bytes, clause: str) -> None:
    shop.config(shop.web).write_bytes(content)
    found = only(shop, "DK03", shop.config(shop.web))
    assert found.images == (shop.web.id,)
    assert found.names == ("web:1",)
    assert found.engine_says == f"invalid image {shop.web.id}, failed to verify: {shop.web.id}"
    assert row(shop, "web:1").condition is Condition.DAMAGED
    assert clause in row(shop, "web:1").reason


def test_a_config_of_a_true_digest_that_does_not_parse_is_damaged(shop: Shop) -> None:
    made = shop.data.config(b'{"rootfs":')
    shop.data.tag("cut:1", made.id)
    assert only(shop, "DK03", shop.config(made)).engine_says == f"invalid image {made.id}, unexpected end of JSON input"


def test_a_config_without_rootfs_is_what_the_engine_refuses(shop: Shop) -> None:
    made = shop.data.config(b'{"os":"linux"}')
    shop.data.tag("bare:1", made.id)
    assert "no RootFS key" in only(shop, "DK03", shop.config(made)).engine_says


def replace_by_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("replace", [replace_by_fifo, replace_by_link, replace_by_folder])
def test_a_thing_in_the_place_of_a_config_is_named_and_not_followed(
    shop: Shop, replace: Callable[[Path], None]
) -> None:
    replace(shop.config(shop.web))
    assert "is in its place" in only(shop, "DK03", shop.config(shop.web)).detail


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "EOF"),
        (b'{"Repositories":', "unexpected EOF"),
        (b"null", "panic"),
        (b'{"Repositories":{"a":1}}', "json: cannot unmarshal"),
    ],
    ids=["empty", "cut", "null", "wrong type"],
)
def test_a_tag_file_that_stops_the_engine_blocks_the_store(shop: Shop, content: bytes, says: str) -> None:
    path = shop.at(layout.tag_file(shop.driver))
    path.write_bytes(content)
    found = only(shop, "DK01", path)
    assert found.severity is Severity.BLOCKS
    assert says in found.engine_says


def test_what_follows_the_first_value_of_the_tag_file_does_not_matter(shop: Shop) -> None:
    path = shop.at(layout.tag_file(shop.driver))
    path.write_bytes(path.read_bytes() + b"}}")
    assert findings(shop) == []
    assert row(shop, "web:1").id == shop.web.id


def test_a_tag_to_nothing_is_a_row_with_the_missing_id(shop: Shop) -> None:
    gone = "sha256:" + "5e" * 32
    shop.data.tag("gone:1", gone)
    found = only(shop, "DK02", shop.at(layout.tag_file(shop.driver)))
    assert found.engine_says == "No such image: gone:1"
    assert row(shop, "gone:1").id == gone
    assert row(shop, "gone:1").condition is Condition.INCOMPLETE


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("diff", b"", "failed to get diff id for {}: invalid checksum digest format"),
        ("diff", b"sha256:12", "failed to get diff id for {}: invalid checksum digest length"),
        ("diff", None, "failed to get diff id for {}: open"),
        ("size", b"12\n", "failed to get size for {}: strconv.ParseInt"),
        ("cache-id", b"", "failed to get cache id for {}: invalid cache id value"),
        ("cache-id", b"../../etc", "failed to get cache id for {}: invalid cache id value"),
        ("parent", b"", "failed to get parent for {}: invalid checksum digest format"),
    ],
)
def test_a_broken_file_of_a_layer_record_makes_its_images_incomplete(
    shop: Shop, file: str, content: bytes | None, says: str
) -> None:
    path = shop.record(shop.web) / file
    path.unlink() if content is None else path.write_bytes(content)
    found = only(shop, "DK04", path)
    assert found.images == (shop.web.id,)
    assert says.format(shop.web.layers[-1].chain_id) in found.engine_says
    assert row(shop, "web:1").condition is Condition.INCOMPLETE
    assert row(shop, "base:1").condition is Condition.SOUND


def test_an_empty_layer_record_is_one_finding(shop: Shop) -> None:
    record = shop.record(shop.web)
    shutil.rmtree(record)
    record.mkdir()
    assert only(shop, "DK04", record).detail == "the record's folder is empty"


def test_a_lost_parent_names_what_the_file_must_hold(shop: Shop) -> None:
    (shop.record(shop.api) / "parent").unlink()
    found = only(shop, "DK05", shop.record(shop.api) / "parent")
    assert shop.api.layers[-2].chain_id in found.detail
    assert found.images == (shop.api.id,)
    assert "lost its parent" in row(shop, "api:1").reason


def test_a_wrong_size_is_told_with_both_numbers(shop: Shop) -> None:
    path = shop.record(shop.web) / "size"
    path.write_bytes(b"1000000000")
    found = only(shop, "DK06", path)
    assert "1000000000" in found.detail
    assert "300" in found.detail


def test_missing_layer_data_is_found_without_reading_it(shop: Shop) -> None:
    folder = shop.at(layout.layer_data(shop.driver, shop.web.layers[-1].cache_id) or "")
    shutil.rmtree(folder)
    assert only(shop, "DK07", folder).images == (shop.web.id,)


@pytest.mark.parametrize("content", [b"", b"no gzip", gzip.compress(b'{"type":1')[:12]], ids=["empty", "text", "cut"])
def test_a_damaged_recipe_is_found(shop: Shop, content: bytes) -> None:
    path = shop.record(shop.web) / "tar-split.json.gz"
    path.write_bytes(content)
    only(shop, "DK09", path)


def test_a_layer_that_nothing_needs_takes_space_only(shop: Shop) -> None:
    shop.config(shop.web).unlink()
    shutil.rmtree(shop.at(layout.metadata(shop.driver, shop.web.id)))
    names = shop.at(layout.tag_file(shop.driver))
    names.write_bytes(names.read_bytes().replace(b'"web":{"web:1":"' + shop.web.id.encode() + b'"}', b'"web":{}'))
    assert only(shop, "DK12", shop.record(shop.web)).severity is Severity.SPACE


def test_two_tags_of_one_image_are_no_call_to_remove_it(shop: Shop) -> None:
    shop.data.tag("web:2", shop.web.id)
    store = shop.open()
    try:
        (twice,) = (f for f in store.check(None, content=False, progress=Silent()) if f.title == "duplicate-tags")
    finally:
        store.close()
    assert (twice.rule, twice.names, twice.repair) == ("DK20", ("web:1", "web:2"), None)


def test_a_mount_without_its_container_is_found(shop: Shop) -> None:
    shutil.rmtree(shop.at(layout.container(shop.container)))
    assert only(shop, "DK13", shop.at(layout.mounts(shop.driver)) / shop.container).containers == (shop.container,)


def test_an_image_whose_layer_has_no_record_is_a_row_with_the_reason(shop: Shop) -> None:
    shutil.rmtree(shop.record(shop.web))
    found, data = findings(shop)
    assert (found.rule, shop.at(found.path)) == ("DK14", shop.record(shop.web))
    assert (data.rule, data.severity) == ("DK11", Severity.SPACE), "nothing names the layer's files any more"
    assert found.engine_says == f"layer does not exist, not restoring image {shop.web.id}"
    assert "no record" in row(shop, "web:1").reason
    assert row(shop, "web:1").size is None


def test_leftovers_of_the_engine_are_debris(shop: Shop) -> None:
    configs = shop.at(layout.configs(shop.driver))
    (configs / (".tmp-" + "ab" * 32 + "12345")).write_bytes(b"half")
    transaction = shop.at(layout.transactions(shop.driver)) / "write-set-123"
    transaction.mkdir()
    removing = shop.record(shop.web).with_name("ab" * 32 + "-" + "cd" * 32 + "-removing")
    removing.mkdir()
    found = findings(shop)
    assert {f.rule for f in found} == {"DK15"}
    assert sorted(f.detail for f in found) == ["layer being removed", "layer transaction", "temporary file"]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'[{"Digest":5}]'])
def test_an_unreadable_mapping_is_worth_a_word_only(shop: Shop, content: bytes) -> None:
    path = shop.at(layout.v2_list(shop.driver, shop.web.layers[-1].diff_id))
    path.write_bytes(content)
    assert only(shop, "DK16", path).severity is Severity.SPACE


def test_a_parent_key_to_nothing_is_found(shop: Shop) -> None:
    path = shop.at(layout.metadata(shop.driver, shop.web.id)) / "parent"
    path.write_bytes(b"sha256:" + b"ab" * 32)
    only(shop, "DK17", path)


def test_another_driver_is_told_and_changes_nothing(shop: Shop) -> None:
    shop.at("image/aufs/imagedb").mkdir(parents=True)
    store = kinds.open(shop.data.path, scope=shop.driver)
    found = [f for f in store.check(None, content=False, progress=Silent()) if f.rule == "DK18"]
    assert [(f.path, f.severity) for f in found] == [("image/aufs", Severity.INFORMATION)]
    assert len(kinds.open_all(shop.data.path)) == 2


def test_a_containerd_image_store_in_the_same_root_is_told(shop: Shop) -> None:
    shop.at(f"{layout.CONTAINERD}/io.containerd.snapshotter.v1.overlayfs/snapshots/1").mkdir(parents=True)
    store = shop.open()
    assert [f.path for f in store.check(None, content=False, progress=Silent()) if f.rule == "DK18"] == [
        layout.CONTAINERD
    ]
    assert any("containerd" in note.text for note in store.rows().notes)


def test_a_container_whose_record_cannot_be_read_is_found(shop: Shop) -> None:
    path = shop.at(layout.container(shop.container)) / "config.v2.json"
    path.write_bytes(b"{")
    assert only(shop, "DK21", path).containers == (shop.container,)


def test_a_mount_that_lost_its_parent_is_found(shop: Shop) -> None:
    path = shop.at(f"{layout.mounts(shop.driver)}/{shop.container}/parent")
    top = path.read_text()
    path.unlink()
    assert top in only(shop, "DK21", path).detail


def test_a_name_that_the_engine_cannot_look_up_is_found(shop: Shop) -> None:
    shop.data.tag("UPPER:1", shop.web.id)
    found = only(shop, "DK22", shop.at(layout.tag_file(shop.driver)))
    assert found.names == ("UPPER:1",)


def test_a_check_of_one_image_says_nothing_of_the_others(shop: Shop) -> None:
    shop.config(shop.web).write_bytes(b"")
    (shop.record(shop.api) / "size").write_bytes(b"")
    store = shop.open()
    found = store.check([Key("", shop.web.id, None)], content=False, progress=Silent())
    assert {f.rule for f in found} == {"DK03"}


def test_every_rule_that_a_check_can_give_is_explained(shop: Shop) -> None:
    rules = {rule.id for rule in kinds.rules()}
    wanted = {f"DK{number:02}" for number in (*range(1, 8), *range(12, 15), *range(16, 21))}
    assert wanted <= rules


def every_name(folder: str) -> Iterator[tuple[str, int, int]]:
    for path, _, files in os.walk(folder):
        for name in files:
            found = os.lstat(os.path.join(path, name))
            yield os.path.join(path, name), found.st_mtime_ns, found.st_ino


def test_looking_writes_nothing(shop: Shop) -> None:
    before = sorted(every_name(shop.data.path))
    store = shop.open()
    list(store.check(None, content=False, progress=Silent()))
    for found in store.rows().rows:
        store.detail(found.key)
    store.refresh(None)
    store.close()
    assert sorted(every_name(shop.data.path)) == before


def test_findings_serialise_whatever_is_in_them(shop: Shop) -> None:
    shop.data.tag("x\x1b]52;c;aGk=\x07:1", shop.web.id)
    assert all(json.dumps(f.detail) for f in findings(shop))


@pytest.mark.parametrize(
    "extra",
    [{"config": {"ExposedPorts": []}}, {"history": [{"created": "yesterday"}]}, {"architecture": 5}],
    ids=["ports", "history", "architecture"],
)
def test_one_field_of_a_wrong_type_hides_the_image_as_in_the_engine(shop: Shop, extra: dict[str, object]) -> None:
    document = {**json.loads(shop.web.config), **extra}
    made = shop.data.config(json.dumps(document).encode(), layers=shop.web.layers)
    shop.data.tag("odd:1", made.id)
    found = only(shop, "DK03", shop.config(made))
    assert found.engine_says.startswith(f"invalid image {made.id}, ")
    assert row(shop, "odd:1").condition is Condition.DAMAGED


def test_a_name_under_two_repositories_is_one_row_and_a_finding(shop: Shop) -> None:
    path = shop.at(layout.tag_file(shop.driver))
    names = json.loads(path.read_bytes())
    names["Repositories"]["another"] = {"web:1": shop.base.id}
    path.write_text(json.dumps(names))
    found = only(shop, "DK22", path)
    assert (found.names, found.images) == (("web:1",), (shop.web.id,))
    assert shop.base.id in found.detail


def test_a_container_without_its_mount_record_is_found(shop: Shop) -> None:
    record = shop.at(layout.mounts(shop.driver)) / shop.container
    shutil.rmtree(record)
    found = only(shop, "DK21", record)
    assert found.engine_says == f"Failed to load container mount {shop.container}: mount does not exist"


def test_a_container_of_another_driver_is_no_matter_of_this_store(shop: Shop) -> None:
    path = shop.at(layout.container(shop.container)) / "config.v2.json"
    record = json.loads(path.read_bytes())
    path.write_text(json.dumps({**record, "Driver": "btrfs", "Image": "sha256:" + "77" * 32}))
    mount = shop.at(layout.mounts(shop.driver)) / shop.container
    for name in ("mount-id", "init-id"):
        shutil.rmtree(shop.at(layout.layer_data(shop.driver, (mount / name).read_text()) or ""))
    shutil.rmtree(mount)
    assert findings(shop) == []
    store = shop.open()
    assert "sha256:" + "77" * 32 not in {row.id for row in store.rows().rows}
    store.close()


def test_a_layer_of_the_build_cache_is_no_orphan(shop: Shop) -> None:
    layer = shop.data.layer({"cache": b"built"}, on=shop.base.layers[-1])
    record = shop.at(layout.layer(shop.driver, layer.chain_id))
    only(shop, "DK12", record)
    cache = shop.at(layout.BUILD_CACHE)
    cache.parent.mkdir()
    cache.write_bytes(b"\0" * (1 << 20) + b"x" * 30 + layer.chain_id.encode() + b"\0" * 100)
    assert findings(shop) == []
    cache.write_bytes(b"x" * ((1 << 20) - 40) + layer.chain_id.encode())
    assert findings(shop) == []


def test_a_size_is_not_judged_where_the_layers_folder_is_gone(shop: Shop) -> None:
    (shop.record(shop.web) / "size").write_bytes(b"304")
    folder = shop.at(layout.layer_data(shop.driver, shop.web.layers[-1].cache_id) or "")
    shutil.rmtree(folder)
    assert {f.rule for f in findings(shop)} == ({"DK07"} if shop.driver == "overlay2" else {"DK06", "DK07"})


def test_a_root_still_mounted_on_itself_is_told_unless_an_engine_runs(shop: Shop) -> None:
    store = shop.open()
    assert isinstance(store, DockerStore)
    for engine, told in ((EngineState.STOPPED, ["DK19"]), (EngineState.RUNNING, [])):
        model = dataclasses.replace(store.model, bind_mounted=True, engine=engine)
        found = [f.rule for f in check(store.root, model, None, Silent()) if f.rule == "DK19"]
        assert found == told
    store.close()


def test_a_layer_that_a_build_left_has_a_shorter_folder_name(shop: Shop) -> None:
    """BuildKit's layers are registered as they lie, in folders of 25 digits and letters."""
    layer = shop.web.layers[-1]
    folder = shop.at(layout.layer_data(shop.driver, layer.cache_id) or "")
    folder.rename(folder.with_name("k3p9x0q2m8z1v7c5b4n6a2s8d"))
    (shop.record(shop.web) / "cache-id").write_text(folder.with_name("k3p9x0q2m8z1v7c5b4n6a2s8d").name)
    if shop.driver == "overlay2":
        link = shop.at(layout.link(layer.link))
        link.unlink()
        link.symlink_to("../k3p9x0q2m8z1v7c5b4n6a2s8d/diff")
    assert findings(shop) == []
    assert row(shop, "web:1").condition is Condition.SOUND
