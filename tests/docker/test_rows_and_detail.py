"""What a Docker store shows of an image: its row, its detail, its mappings, and what keeps it."""

import os
from pathlib import Path

import pytest

from orlop import kinds
from orlop.docker import layout
from orlop.errors import Ambiguous, NotAStore, NotFound, Unsupported, WrongKind
from orlop.records import Facet, Flag, Key, Mapping, Remote, Snapshot
from orlop.samples import DataRoot, Image, Step
from orlop.store import Store


@pytest.fixture
def data(tmp_path: Path) -> DataRoot:
    return DataRoot.create(str(tmp_path / "docker"))


def opened(data: DataRoot) -> Store:
    return kinds.open(data.path)


def by_name(snapshot: Snapshot) -> dict[str | None, Key]:
    return {row.key.name: row.key for row in snapshot.rows}


def test_own_size_is_what_no_other_image_uses(data: DataRoot) -> None:
    base = data.image({"a": b"x" * 10}, names=["base:1"])
    data.image({"b": b"y" * 100}, on=base, names=["one:1"])
    data.image({"c": b"z" * 1000}, {"d": b"w"}, on=base, names=["two:1"])
    sizes = {row.key.name: (row.size, row.own_size) for row in opened(data).rows().rows}
    assert sizes == {"base:1": (10, 0), "one:1": (110, 100), "two:1": (1011, 1001)}


def test_each_name_is_a_row_and_an_image_without_one_is_a_row(data: DataRoot) -> None:
    base = data.image({"a": b"x"}, names=["base:1", "base:2", "other/base:1"])
    bare = data.image({"b": b"y"}, on=base)
    snapshot = opened(data).rows()
    assert [row.key for row in snapshot.rows] == [
        Key("", base.id, "base:1"),
        Key("", base.id, "base:2"),
        Key("", base.id, "other/base:1"),
        Key("", bare.id, None),
    ]
    assert snapshot.images == 2
    assert Flag.UNTAGGED in snapshot.rows[-1].flags


def test_created_and_platform_are_the_configs(data: DataRoot) -> None:
    data.image({"a": b"x"}, names=["arm:1"], created="2026-08-01T10:00:00.5Z", extra={"variant": "v8"})
    row = opened(data).rows().rows[0]
    assert row.created == 1785578400500000000
    assert row.platform == "linux/amd64/v8"


def test_an_image_without_layers_is_sound_and_has_size_0(data: DataRoot) -> None:
    data.image(Step(created_by="LABEL a=b"), names=["empty:1"])
    row = opened(data).rows().rows[0]
    assert (row.size, row.own_size, row.reason) == (0, 0, "")


def test_history_is_joined_to_the_layer_it_made(data: DataRoot) -> None:
    data.image(
        Step(created_by="ADD a", files={"a": b"x"}),
        Step(created_by="ENV B=1"),
        Step(created_by="ADD c", files={"c": b"y"}),
        names=["built:1"],
    )
    store = opened(data)
    detail = store.detail(by_name(store.rows())["built:1"])
    assert [(entry.created_by, entry.empty, entry.layer) for entry in detail.history] == [
        ("ADD a", False, 0),
        ("ENV B=1", True, None),
        ("ADD c", False, 1),
    ]


def family(data: DataRoot) -> tuple[Image, Image]:
    base = data.image({"a": b"x"}, names=["base:1"])
    child = data.image({"b": b"y"}, on=base, names=["child:1"], local=True)
    return base, child


def test_detail_knows_parent_children_metadata_sharers_and_containers(data: DataRoot) -> None:
    base, child = family(data)
    container = data.container("kept", child)
    store = opened(data)
    detail = store.detail(Key("", child.id, "child:1"))
    assert (detail.parent, detail.parent_known) == (base.id, True)
    assert {record.name for record in detail.metadata} == {"parent", "lastUpdated"}
    assert [layer.shared_with for layer in detail.layers] == [(base.id,), ()]
    assert [found.id for found in detail.containers] == [container]
    assert store.detail(Key("", base.id, None)).children == (child.id,)
    assert detail.config_raw == child.config


def test_mappings_go_both_ways_and_stale_ones_say_why(data: DataRoot) -> None:
    base, _ = family(data)
    digest = data.mapping(base.layers[0], "localhost:5000/base")
    gone = "sha256:" + "ab" * 32
    data.reverse("sha256:" + "cd" * 32, gone)
    found = opened(data).facet(Facet.MAPPINGS, None)
    assert isinstance(found, tuple)
    records = [record for record in found if isinstance(record, Mapping)]
    assert [(r.diff_id, r.digest, r.source, r.stale, r.reason) for r in records] == sorted(
        [
            (base.layers[0].diff_id, digest, "localhost:5000/base", False, ""),
            (gone, "sha256:" + "cd" * 32, "", True, "the layer is gone"),
        ]
    )
    assert base.id in next(r for r in records if not r.stale).images


def test_digest_references_are_the_remote_records(data: DataRoot) -> None:
    manifest = "sha256:" + "12" * 32
    base, _ = family(data)
    data.tag(f"base@{manifest}", base.id)
    found = opened(data).facet(Facet.REMOTES, Key("", base.id, None))
    assert isinstance(found, tuple)
    assert [(r.reference, r.image, r.image_known) for r in found if isinstance(r, Remote)] == [
        (f"base@{manifest}", base.id, True)
    ]


def test_an_image_is_found_by_id_name_or_prefix_in_that_order(data: DataRoot) -> None:
    base, child = family(data)
    data.tag("library-less:latest", base.id)
    store = opened(data)
    assert store.find(base.id) == store.find(base.id[7:]) == (Key("", base.id, None),)
    assert store.find("base:1") == store.find("docker.io/library/base:1") == (Key("", base.id, "base:1"),)
    assert store.find("library-less") == (Key("", base.id, "library-less:latest"),)
    assert store.find(child.id[7:19]) == store.find(child.id[:19]) == (Key("", child.id, None),)


def test_a_prefix_of_several_ids_lists_them(data: DataRoot) -> None:
    for number in range(40):
        data.image({"n": str(number).encode()})
    store = opened(data)
    shared = next(first for first in "0123456789abcdef" if sum(row.id[7] == first for row in store.rows().rows) > 1)
    with pytest.raises(Ambiguous) as told:
        store.find(shared)
    assert len(told.value.candidates) > 1


@pytest.mark.parametrize("nothing", ["", "sha256:", "nope:1", "zz", "ABCDEF"])
def test_what_is_not_there_is_not_found(data: DataRoot, nothing: str) -> None:
    family(data)
    with pytest.raises(NotFound):
        opened(data).find(nothing)


def test_why_tells_every_identity_of_a_layer_and_what_keeps_it(data: DataRoot) -> None:
    base, child = family(data)
    layer = child.layers[-1]
    digest = data.mapping(layer, "localhost:5000/child")
    store = opened(data)
    subjects = (layer.diff_id, layer.chain_id, layer.cache_id, digest, digest[7:19], f"overlay2/{layer.cache_id}")
    for subject in (*subjects, os.path.join(data.path, "overlay2", layer.cache_id, "diff")):
        answer = store.why(subject)
        assert answer.related["chain id"] == layer.chain_id, subject
        assert [link.what for link in answer.kept_by[0]] == [
            "name child:1",
            f"image {child.id}",
            f"layer {layer.chain_id}",
        ]
    assert store.why("base:1").is_a == (f"name of image {base.id}",)
    assert store.why("docker.io/library/base:1").is_a == store.why("base:1").is_a
    with pytest.raises(NotFound):
        store.why("0" * 64)


def test_a_root_is_found_from_the_folders_inside_it(data: DataRoot) -> None:
    family(data)
    for path in (data.path, f"{data.path}/image", f"{data.path}/image/overlay2/"):
        assert kinds.open(path).identity.path == data.path


def test_a_remapped_root_is_found_one_level_down(tmp_path: Path) -> None:
    DataRoot.create(str(tmp_path / "100000.100000")).image({"a": b"x"}, names=["a:1"])
    assert kinds.open(str(tmp_path)).rows().images == 1


def test_several_drivers_are_several_stores(data: DataRoot) -> None:
    family(data)
    Path(data.at("image/vfs/imagedb")).mkdir(parents=True)
    assert [store.identity.scope for store in kinds.open_all(data.path)] == ["overlay2", "vfs"]
    with pytest.raises(Ambiguous):
        kinds.open(data.path)
    assert kinds.open(f"{data.path}/image/vfs").identity.scope == "vfs"


def test_what_is_no_store_says_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(NotAStore, match="no container image store") as told:
        kinds.open(str(tmp_path))
    assert "empty" in told.value.why
    (tmp_path / "oci-layout").write_text("{}")
    with pytest.raises(Unsupported, match="OCI image layout"):
        kinds.open(str(tmp_path))
    with pytest.raises(NotFound):
        kinds.open(str(tmp_path / "nowhere"))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WrongKind):
        kinds.open(str(tmp_path / "file"))


def test_half_a_store_opens_and_shows_what_is_there(data: DataRoot) -> None:
    base, _ = family(data)
    os.rename(data.at("image/overlay2/layerdb"), data.at("elsewhere"))
    rows = opened(data).rows().rows
    assert {row.reason for row in rows} == {f"layer {base.layers[0].chain_id[7:19]} has no record"}


@pytest.mark.skipif(os.geteuid() != 0, reason="a folder is closed to everyone but root; needs another user than root")
def test_an_unreadable_part_is_a_note_and_the_rest_is_shown(data: DataRoot) -> None:
    family(data)
    hidden = data.at(layout.layers("overlay2"))
    pid = os.fork()
    if pid == 0:  # pragma: no cover - the child reports by its exit code
        os.chown(data.path, 65534, 65534)
        for path, folders, files in os.walk(data.path):
            for name in (*folders, *files):
                os.chown(os.path.join(path, name), 65534, 65534, follow_symlinks=False)
        for above in (Path(data.path), *Path(data.path).parents):
            if above != Path("/tmp") and above != Path("/"):
                os.chmod(above, os.stat(above).st_mode | 0o711)
        os.chown(hidden, 0, 0)
        os.chmod(hidden, 0)
        os.setgid(65534)
        os.setuid(65534)
        snapshot = opened(data).rows()
        told = [note.path for note in snapshot.notes if note.unreadable]
        os._exit(0 if told == [layout.layers("overlay2")] and len(snapshot.rows) == 2 else 1)
    assert os.waitpid(pid, 0)[1] == 0


def test_names_that_cannot_be_known_are_told_beside_the_list(data: DataRoot) -> None:
    family(data)
    names = Path(data.at(layout.tag_file("overlay2")))
    names.write_bytes(b"")
    [note] = opened(data).rows().notes
    assert (note.path, note.unreadable) == (layout.tag_file("overlay2"), True)
    names.unlink()
    [note] = opened(data).rows().notes
    assert "untagged" in note.text
    assert not note.unreadable
