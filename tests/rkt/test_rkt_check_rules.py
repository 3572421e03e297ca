"""Each fault of an ACI store is found once, by its rule, with its file; what is sound gives nothing."""

import dataclasses
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orlop.errors import Cancelled
from orlop.finding import Finding, Severity
from orlop.fs import Root
from orlop.intent import Remove
from orlop.plan import Plan
from orlop.progress import CONTENTS, Silent
from orlop.records import Key
from orlop.rkt import layout, treestore
from orlop.rkt.catalogue import ImageRow
from orlop.rkt.qlcatalogue import LOG
from orlop.rkt.rules import RULES
from orlop.samples.rkt import NOW, Aci, AciRoot
from tests.rkt.rkt_stores import RECORDED, checked, opened, row_of, settled, told, unpacked
from tests.rkt.test_rkt_door_guard import pod

GONE = "sha512-" + "ab" * 32


class Store:
    """A small sound store that a test damages: an app on a base, and another image."""

    def __init__(self, root: AciRoot) -> None:
        self.root = root
        self.base = root.image("example.com/base", version="1", files={"bin/sh": b"#!" * 500})
        self.app = root.image("example.com/app", version="2", needs=[self.base], latest=True)
        self.other = root.image("example.com/other")
        root.remote("https://example.com/app.aci", self.app, etag='"1"', max_age=4_000_000_000, downloaded=NOW)

    def found(self, damage: Callable[[], object] = lambda: None, *, content: bool = False) -> list[Finding]:
        """What a check finds after the store was finished and damaged."""
        cas = settled(self.root)
        damage()
        return checked(cas, content=content)

    def one(self, damage: Callable[[], object] = lambda: None, *, content: bool = False) -> Finding:
        """The only finding."""
        (finding,) = self.found(damage, content=content)
        about = RULES[finding.rule]
        assert finding.title == about.title
        assert finding.detail
        return finding

    def at(self, path: str) -> Path:
        return Path(self.root.at(path))

    def root_row(self, image: Aci) -> ImageRow:
        """The row of an image as it was written."""
        with opened(settled(self.root)) as door:
            row = door.model.images[image.key].row
        assert row is not None
        return row

    def blob(self, image: Aci) -> Path:
        return self.at(layout.blob(image.key))

    def manifest(self, image: Aci) -> Path:
        return self.at(layout.manifest(image.key))


@pytest.fixture(params=["ql", "sqlite"])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Store:
    return Store(AciRoot.create(str(tmp_path / "rkt"), catalogue=request.param))


def test_a_sound_store_gives_nothing_with_content_or_without(store: Store) -> None:
    assert store.found() == []
    assert store.found(content=True) == []


@pytest.mark.parametrize("name", RECORDED)
def test_stores_that_rkt_wrote_are_sound(tmp_path: Path, name: str) -> None:
    found = checked(unpacked(name, tmp_path), content=True)
    planted = [("RK12", "db/ql.db")] * 2 if name == "rkt-store-dbv6" else []  # sizes that no archive has
    assert told(found) == planted


# --- the database ------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"\x60\xdb\x71\x6c" + bytes(12), b"SQLite format 3\0" + bytes(600)])
def test_rk01_a_database_that_cannot_be_read_is_one_finding(store: Store, content: bytes) -> None:
    path = layout.QL if store.root.catalogue == "ql" else layout.SQLITE
    finding = store.one(lambda: store.at(path).write_bytes(content))
    assert (finding.rule, finding.severity, finding.path) == ("RK01", Severity.BLOCKS, path)


def test_rk01_a_database_that_is_gone_is_told_where_images_are_left(store: Store) -> None:
    path = layout.QL if store.root.catalogue == "ql" else layout.SQLITE
    finding = store.one(lambda: store.at(path).unlink())
    assert (finding.rule, finding.path) == ("RK01", layout.QL)
    assert "3 images" in finding.detail


def test_rk01_an_empty_folder_of_a_new_store_is_no_fault(tmp_path: Path) -> None:
    root = AciRoot.create(str(tmp_path / "rkt"))
    assert checked(root.at("")) == []


def test_rk01_a_write_ahead_log_that_was_left_is_told(tmp_path: Path) -> None:
    root = AciRoot.create(str(tmp_path / "rkt"))
    data = Path(__file__).parent / "data"
    root.write(layout.QL, lzma.decompress((data / "cut-half.ql.db.xz").read_bytes()))
    root.write(LOG, lzma.decompress((data / "cut.wal.xz").read_bytes()))
    (finding,) = (finding for finding in checked(root.at("")) if finding.rule == "RK01")
    assert (finding.severity, finding.path) == (Severity.BLOCKS, LOG)
    assert "complete" in finding.detail
    assert "(file-001)" in finding.engine_says


# --- archives and manifests --------------------------------------------------


def test_rk02_an_empty_archive(store: Store) -> None:
    finding = store.one(lambda: store.blob(store.other).write_bytes(b""))
    assert (finding.rule, finding.path) == ("RK02", layout.blob(store.other.key))
    assert finding.images == (store.other.key,)
    assert finding.names == ("example.com/other",)


def test_rk02_one_flipped_bit_is_found_by_the_content_only(store: Store) -> None:
    def flip() -> None:
        data = bytearray(store.blob(store.base).read_bytes())
        data[700] ^= 1
        store.blob(store.base).write_bytes(data)

    assert store.found(flip) == []
    flip()
    finding = store.one(flip, content=True)
    assert (finding.rule, finding.severity, finding.path) == ("RK02", Severity.UNUSABLE, layout.blob(store.base.key))


def test_rk02_an_archive_that_was_cut_is_one_finding_with_its_content(store: Store) -> None:
    def cut() -> None:
        data = store.blob(store.base).read_bytes()
        store.blob(store.base).write_bytes(data[:-512])

    assert store.one(cut).rule == "RK12"
    finding = store.one(cut, content=True)
    assert finding.rule == "RK02"
    assert "its row says" in finding.detail


def test_rk03_files_without_a_row(store: Store) -> None:
    store.root.forget(store.other)
    finding = store.one(content=True)
    assert (finding.rule, finding.severity, finding.path) == ("RK03", Severity.SPACE, layout.blob(store.other.key))
    assert finding.bytes == store.other.size
    assert store.one(lambda: store.manifest(store.other).unlink()).rule == "RK03"


def test_rk13_a_manifest_that_is_all_that_is_left_of_an_image(store: Store) -> None:
    store.root.forget(store.other)
    finding = store.one(lambda: store.blob(store.other).unlink())
    assert (finding.rule, finding.severity, finding.path) == ("RK13", Severity.SPACE, layout.manifest(store.other.key))


def test_rk04_a_row_without_an_archive(store: Store) -> None:
    finding = store.one(lambda: store.blob(store.other).unlink(), content=True)
    assert (finding.rule, finding.severity, finding.path) == ("RK04", Severity.UNUSABLE, layout.blob(store.other.key))


def test_rk04_a_row_without_any_file_is_one_finding(store: Store) -> None:
    def remove() -> None:
        store.blob(store.other).unlink()
        store.manifest(store.other).unlink()

    assert "nor is its manifest" in store.one(remove).detail


@pytest.mark.parametrize("kind", ["folder", "link", "fifo"])
def test_rk04_something_else_in_the_place_of_an_archive_is_never_opened(store: Store, kind: str) -> None:
    def replace() -> None:
        path = store.blob(store.other)
        path.unlink()
        if kind == "folder":
            path.mkdir()
        elif kind == "link":
            path.symlink_to("/dev/zero")
        else:
            os.mkfifo(path)

    finding = store.one(replace, content=True)
    assert finding.rule == "RK04"
    assert kind in finding.detail


@pytest.mark.parametrize("content", [None, b"", b"{", b"null", b'{"acKind":"PodManifest"}', b"[" * 100_000])
def test_rk05_a_manifest_that_is_not_there_or_does_not_parse(store: Store, content: bytes | None) -> None:
    path = store.manifest(store.other)
    finding = store.one(path.unlink if content is None else lambda: path.write_bytes(content), content=True)
    assert (finding.rule, finding.severity, finding.path) == (
        "RK05",
        Severity.UNUSABLE,
        layout.manifest(store.other.key),
    )


def test_rk05_a_manifest_larger_than_is_parsed(store: Store) -> None:
    finding = store.one(lambda: os.truncate(store.manifest(store.other), 9 << 20))
    assert finding.rule == "RK05"
    assert "too large" in finding.detail


def test_rk05_a_manifest_that_is_not_the_one_in_the_archive(store: Store) -> None:
    def swap() -> None:
        path = store.manifest(store.other)
        path.write_bytes(path.read_bytes().replace(b"linux", b"freebsd"))

    assert store.found(swap) == []
    finding = store.one(swap, content=True)
    assert (finding.rule, finding.path) == ("RK05", layout.manifest(store.other.key))


def test_rk05_a_manifest_of_another_name_than_its_row(store: Store) -> None:
    row = ImageRow(
        key=store.other.key,
        name="example.com/old",
        imported=NOW,
        last_used=NOW,
        latest=False,
        size=store.other.size,
        tree_size=0,
    )
    store.root.row(row)
    finding = store.one()
    assert (finding.rule, finding.severity) == ("RK05", Severity.LATENT)
    assert "example.com/old" in finding.detail


# --- what leads to images ----------------------------------------------------


def test_rk06_a_remote_record_to_an_image_that_is_gone(store: Store) -> None:
    store.root.remote("https://example.com/gone.aci", GONE, etag='"1"', max_age=4_000_000_000)
    finding = store.one()
    assert (finding.rule, finding.severity, finding.subject) == (
        "RK06",
        Severity.LATENT,
        "https://example.com/gone.aci",
    )
    assert finding.engine_says == f'ACI info not found with blob key "{GONE}"'


def test_rk07_records_that_expired_or_cannot_be_asked_are_information(store: Store) -> None:
    store.root.remote("https://example.com/1", store.app, etag='"1"', max_age=60)
    store.root.remote("https://example.com/2", store.app, max_age=4_000_000_000)
    found = store.found()
    assert [(finding.rule, finding.severity, finding.subject) for finding in found] == [
        ("RK07", Severity.INFORMATION, "https://example.com/1"),
        ("RK07", Severity.INFORMATION, "https://example.com/2"),
    ]
    assert "max age ended" in found[0].detail
    assert "no ETag" in found[1].detail


def test_a_password_in_the_url_of_a_record_is_in_no_sentence(store: Store) -> None:
    url = "https://me:hunter2@example.com/1"
    store.root.remote(url, store.app)
    store.root.remote(f"{url}/lost", "sha512-" + "0" * 64)
    found = store.found()
    assert [finding.rule for finding in found] == ["RK06", "RK07"]
    assert not [finding.detail for finding in found if "hunter2" in finding.detail]
    with opened(store.root.at("")) as door:
        plan = door.plan(Remove(keys=(row_of(door, store.app.key).key,)))
        assert isinstance(plan, Plan)
        assert "hunter2" not in str(plan.reasons)
        assert "example.com/1" in str(plan.reasons)
        why = door.why(url)
        assert "hunter2" not in f"{why.kept_by} {why.related}"


def test_rk11_an_image_whose_dependency_is_gone(store: Store) -> None:
    store.root.forget(store.base)

    def remove() -> None:
        store.blob(store.base).unlink()
        store.manifest(store.base).unlink()

    found = store.found(remove)
    assert [(f.rule, f.severity, f.path) for f in found if f.severity is not Severity.INFORMATION] == [
        ("RK11", Severity.LATENT, layout.manifest(store.app.key))
    ]
    assert "example.com/base" in found[0].detail


def test_rk12_a_size_that_is_not_the_archives(store: Store) -> None:
    row = ImageRow(
        key=store.other.key, name="example.com/other", imported=NOW, last_used=NOW, latest=False, size=7, tree_size=0
    )
    store.root.row(row)
    finding = store.one(content=True)
    assert (finding.rule, finding.severity, finding.subject) == ("RK12", Severity.LATENT, store.other.key)
    store.root.row(dataclasses.replace(row, size=0))
    assert store.one().severity is Severity.INFORMATION


# --- trees, leftovers, pods --------------------------------------------------


def test_rk09_a_tree_that_was_never_finished_takes_space_only(store: Store) -> None:
    tree = store.root.tree(store.app, {"a": b"1"}, rendered=False, hash="sha512-" + "0" * 64)
    finding = store.one()
    assert (finding.rule, finding.severity, finding.path) == ("RK09", Severity.SPACE, layout.tree(tree))


@pytest.mark.parametrize("file", ["image", "hash"])
def test_rk09_a_tree_that_lacks_what_rkt_asks_it_for(store: Store, file: str) -> None:
    tree = store.root.tree(store.app, {"a": b"1"}, hash="sha512-" + "0" * 64)
    finding = store.one(lambda: store.at(f"{layout.tree(tree)}/{file}").unlink())
    assert (finding.rule, finding.severity, finding.path) == ("RK09", Severity.UNUSABLE, layout.tree(tree))


def test_rk08_a_tree_that_is_not_what_its_hash_says(store: Store) -> None:
    tree = store.root.tree(store.app, {"a": b"1", "b/c": b"2"}, hash="sha512-" + "0" * 64)
    path = layout.tree(tree)
    settled(store.root)
    with Root.open(store.root.at("")) as root:
        hashed = treestore.tree_hash(root, path)
        size = treestore.tree_size(root, path)
    store.root.row(dataclasses.replace(store.root_row(store.app), tree_size=size))
    found = store.found(lambda: store.at(f"{path}/hash").write_bytes(hashed.encode()), content=True)
    assert found == []

    def damage() -> None:
        store.at(f"{path}/hash").write_bytes(hashed.encode())
        store.at(f"{path}/rootfs/b/c").write_bytes(b"3")

    finding = store.one(damage, content=True)
    assert (finding.rule, finding.severity, finding.path) == ("RK08", Severity.UNUSABLE, path)
    assert finding.engine_says.startswith("wrong tree hash: ")
    assert finding.images == (store.app.key,)


def test_rk12_the_size_of_a_tree_in_its_row_is_information(store: Store) -> None:
    tree = store.root.tree(store.app, {"a": b"1"}, hash="sha512-" + "0" * 64)
    settled(store.root)
    with Root.open(store.root.at("")) as root:
        hashed = treestore.tree_hash(root, layout.tree(tree))
    finding = store.one(lambda: store.at(f"{layout.tree(tree)}/hash").write_bytes(hashed.encode()), content=True)
    assert (finding.rule, finding.severity, finding.subject) == ("RK12", Severity.INFORMATION, tree)


def test_rk10_a_tree_that_no_pod_stands_on(store: Store) -> None:
    tree = store.root.tree(store.app, {"a": b"1"}, hash="sha512-" + "0" * 64)
    assert store.found() == []  # whether there are pods is not known
    pod(store.root, "run", 1, store.base)
    finding = store.one()
    assert (finding.rule, finding.severity, finding.path) == ("RK10", Severity.SPACE, layout.tree(tree))
    pod(store.root, "exited-garbage", 2, store.app, tree=tree)
    assert store.found() == []


def test_rk13_what_is_left_over_is_told_and_locks_are_counted(store: Store) -> None:
    store.root.write("tmp/4711", b"cut off")
    store.root.write(layout.lock(GONE), b"")
    store.root.write(layout.lock(GONE.replace("ab", "cd")), b"")
    store.root.write("blob/sha512/ab/stranger", b"foreign")
    store.root.write("notes.txt", b"foreign")
    found = store.found()
    assert [(finding.severity, finding.path) for finding in found] == [
        (Severity.SPACE, "tmp/4711"),
        (Severity.INFORMATION, "blob/sha512/ab/stranger"),
        (Severity.INFORMATION, "imagelocks"),
        (Severity.INFORMATION, "notes.txt"),
    ]
    assert {finding.rule for finding in found} == {"RK13"}
    assert "2 locks" in found[2].detail


def test_rk14_an_image_in_use_is_information(store: Store) -> None:
    identity = pod(store.root, "prepared", 1, store.app)
    finding = store.one()
    assert (finding.rule, finding.severity) == ("RK14", Severity.INFORMATION)
    assert finding.containers == (identity,)
    assert finding.images == (store.app.key,)


# --- all of them -------------------------------------------------------------


def test_no_damage_hides_another_and_the_worst_comes_first(store: Store) -> None:
    store.root.remote("https://example.com/gone.aci", GONE, etag='"1"', max_age=4_000_000_000)
    store.root.write("tmp/4711", b"cut off")

    def damage() -> None:
        store.blob(store.other).unlink()
        store.manifest(store.app).write_bytes(b"{")
        store.blob(store.base).write_bytes(b"x" * store.base.size)

    found = store.found(damage, content=True)
    assert [finding.rule for finding in found] == ["RK04", "RK05", "RK02", "RK06", "RK13"]
    assert [finding.severity for finding in found] == sorted(finding.severity for finding in found)


def test_a_check_of_some_images_finds_only_what_affects_them(store: Store) -> None:
    cas = settled(store.root)
    store.blob(store.other).write_bytes(b"x" * store.other.size)
    store.manifest(store.app).write_bytes(b"{")
    with opened(cas) as door:
        found = list(door.check([Key("", store.other.key, None)], content=True, progress=Silent()))
    assert [(finding.rule, finding.images) for finding in found] == [("RK02", (store.other.key,))]


def test_a_content_check_tells_its_bytes_and_can_be_stopped(store: Store) -> None:
    seen: list[tuple[str, int, int]] = []

    class Watching:
        def step(self, what: str, done: int, total: int) -> None:
            seen.append((what, done, total))

    class Stopping:
        def step(self, what: str, done: int, total: int) -> None:
            if what == CONTENTS:
                raise Cancelled

    with opened(settled(store.root)) as door:
        assert list(door.check(None, content=True, progress=Watching())) == []
        total = store.base.size + store.app.size + store.other.size
        assert {whole for what, _, whole in seen if what == CONTENTS} == {total}
        with pytest.raises(Cancelled):
            list(door.check(None, content=True, progress=Stopping()))


def test_every_rule_says_what_it_means_and_what_to_do() -> None:
    assert list(RULES) == [f"RK{number:02}" for number in range(1, 15)]
    for rule in RULES.values():
        assert rule.meaning.endswith(".")
        assert rule.do.rstrip().endswith(".")
        assert rule.engine
        assert rule.causes
