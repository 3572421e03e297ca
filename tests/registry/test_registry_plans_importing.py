"""Archives are taken in whole and true, or not at all; cut off, they go on where they were."""

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from orlop import apply as executor
from orlop import incoming
from orlop.errors import Ambiguous, Cancelled, Changed, DigestMismatch, Malformed, NotFound, TooLarge, Unsupported
from orlop.intent import Import
from orlop.journal import Journal
from orlop.plan import Place, Plan
from orlop.progress import Progress, Silent
from tests.registry.making import OCI_INDEX, OCI_MANIFEST, digest_of
from tests.registry.packing import OciLayout, config_of, docker_save, pack
from tests.registry.planned import OFFLINE, Planning, said, written

REFUSED = (Malformed, DigestMismatch, TooLarge, Unsupported, NotFound, Ambiguous)


@pytest.fixture
def planning(tmp_path: Path) -> Planning:
    return Planning(tmp_path / "registry")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "image.tar"


def stage(planning: Planning, archive: Path, name: str = "", progress: Progress | None = None) -> Import:
    store = planning.store()
    try:
        return store.stage(str(archive), name=name, latest=False, at=0, progress=progress or Silent())
    finally:
        store.close()


def take(planning: Planning, archive: Path, name: str = "") -> Import:
    """Stage and apply, as the command does."""
    intent = stage(planning, archive, name)
    planning.do(intent)
    store = planning.store()
    incoming.discard(store.root, intent.staged)
    store.close()
    return intent


def waits(planning: Planning) -> list[str]:
    folder = planning.path / ".orlop/incoming"
    return sorted(os.listdir(folder)) if folder.exists() else []


@pytest.mark.parametrize("compressed", [False, True])
def test_an_oci_archive_is_taken_in_byte_for_byte(planning: Planning, archive: Path, compressed: bool) -> None:
    layout = OciLayout()
    digest = layout.top(layout.image(b"one", b"two"), "v1")
    intent = take(planning, layout.pack(archive, compressed=compressed), "team/app:v1")
    assert intent.name == "team/app:v1"
    assert planning.names() == {"team/app:v1"}
    assert planning.damage(content=True) == []
    assert planning.storage.tag_path("team/app", "v1").read_text() == digest
    assert planning.storage.blob_path(digest).read_bytes() == layout.files[layout.path(digest)]
    assert planning.storage.blob_path(digest).stat().st_mode & 0o777 == 0o644
    assert planning.storage.blob_path(digest).parent.stat().st_mode & 0o777 == 0o755
    assert waits(planning) == []


def test_the_order_is_blobs_then_links_then_manifests_then_the_name(planning: Planning, archive: Path) -> None:
    layout = OciLayout()
    layout.top(layout.index(layout.image(b"amd64", cmd="a"), layout.image(b"arm64", cmd="b")))
    plan = planning.plan(stage(planning, layout.pack(archive), "multi:all"))
    kinds = []
    for path in written(plan):
        for mark in ("/blobs/", "/_layers/", "/revisions/", "/index/", "/current/"):
            if mark in "/" + path:
                kinds.append(mark.strip("/"))
    assert kinds == ["blobs"] * 7 + ["_layers"] * 4 + ["revisions"] * 3 + ["index", "current"]
    assert all(isinstance(step, Place) for step in plan.steps[:7])
    assert plan.bytes_added == sum(len(data) for name, data in layout.files.items() if name.startswith("blobs/"))
    planning.do(plan.intent)
    assert planning.damage(content=True) == []


def test_what_the_store_has_already_is_not_copied(planning: Planning, archive: Path) -> None:
    layout = OciLayout()
    layout.top(layout.image(b"shared", b"own"))
    planning.storage.image("other", "v1", layers=[b"shared"])
    intent = stage(planning, layout.pack(archive), "app:v1")
    staged = os.listdir(planning.path / ".orlop/incoming" / intent.staged)
    assert digest_of(b"shared").replace(":", "-") not in staged
    assert digest_of(b"own").replace(":", "-") in staged
    planning.do(intent)
    assert planning.damage(content=True) == []


def test_a_damaged_blob_of_the_store_is_replaced_by_the_true_one(planning: Planning, archive: Path) -> None:
    layout = OciLayout()
    layout.top(layout.image(b"shared"))
    planning.storage.image("other", "v1", layers=[b"shared"])
    planning.storage.blob_path(digest_of(b"shared")).write_bytes(b"sharea")
    plan = planning.plan(stage(planning, layout.pack(archive), "app:v1"))
    assert "6 bytes, in place of bytes that are something else" in said(plan)
    planning.do(plan.intent)
    assert planning.damage(content=True) == []
    planning.undo()
    assert planning.storage.blob_path(digest_of(b"shared")).read_bytes() == b"sharea"


def test_the_same_archive_twice_changes_nothing_more(planning: Planning, archive: Path) -> None:
    layout = OciLayout()
    layout.top(layout.image(b"one"))
    take(planning, layout.pack(archive), "app:v1")
    assert planning.plan(stage(planning, archive, "app:v1")).steps == ()


def test_an_import_over_a_name_moves_it(planning: Planning, archive: Path) -> None:
    old = planning.storage.image("app", "v1")
    layout = OciLayout()
    digest = layout.top(layout.image(b"new"))
    plan = planning.plan(stage(planning, layout.pack(archive), "app:v1"))
    assert f"moves from {old.digest} to {digest}" in said(plan)
    assert set(plan.images) == {old.digest, digest}


def test_a_layer_of_another_algorithm_is_linked_by_the_name_it_has(planning: Planning, archive: Path) -> None:
    layout = OciLayout()
    layout.top(layout.image(b"layer", algorithm="sha512"))
    take(planning, layout.pack(archive), "app:v1")
    assert planning.damage(content=True) == []


@pytest.mark.parametrize("compressed", [False, True])
def test_what_docker_save_wrote_is_taken_in_with_its_layers_as_they_are(
    planning: Planning, archive: Path, compressed: bool
) -> None:
    layers = [b"bottom layer", b"top layer"]
    docker_save(archive, layers, ["docker.io/team/app:v1"], compressed=compressed)
    intent = take(planning, archive)
    assert intent.name == "team/app:v1"
    assert planning.damage(content=True) == []
    digest = planning.storage.tag_path("team/app", "v1").read_text()
    document = json.loads(planning.storage.blob_path(digest).read_bytes())
    assert document["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    assert document["config"]["digest"] == digest_of(config_of(layers))
    assert [layer["digest"] for layer in document["layers"]] == [digest_of(layer) for layer in layers]
    assert {layer["mediaType"] for layer in document["layers"]} == {"application/vnd.docker.image.rootfs.diff.tar"}
    again = Planning(planning.path.parent / "another")
    take(again, archive, "x:y")
    assert again.storage.tag_path("x", "y").read_text() == digest


def test_layers_that_docker_save_wrote_as_links_are_followed_within_the_archive(
    planning: Planning, archive: Path
) -> None:
    layers = [b"same", b"same"]
    docker_save(archive, layers, ["app:v1"])
    relinked = io.BytesIO()
    with tarfile.open(archive) as old, tarfile.open(fileobj=relinked, mode="w") as new:
        for member in old:
            if member.name == "layer1/layer.tar":
                link = tarfile.TarInfo(member.name)
                link.type, link.linkname = tarfile.SYMTYPE, "../layer0/layer.tar"
                new.addfile(link)
            else:
                new.addfile(member, old.extractfile(member))
    archive.write_bytes(relinked.getvalue())
    take(planning, archive)
    assert planning.damage(content=True) == []


def test_a_folder_with_an_oci_layout_is_taken_in(planning: Planning, tmp_path: Path) -> None:
    layout = OciLayout()
    layout.top(layout.image(b"one"), "v1")
    for name, data in layout.all().items():
        path = tmp_path / "layout" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    take(planning, tmp_path / "layout", "app")
    assert planning.names() == {"app:latest"}
    assert planning.damage(content=True) == []


def test_of_several_images_the_name_chooses(planning: Planning, archive: Path) -> None:
    layout = OciLayout()
    layout.top(layout.image(b"one", cmd="1"), "v1")
    second = layout.top(layout.image(b"two", cmd="2"), "v2")
    layout.pack(archive)
    take(planning, archive, "app:v2")
    assert planning.storage.tag_path("app", "v2").read_text() == second
    with pytest.raises(Ambiguous):
        stage(planning, archive, "app:v3")


def test_a_name_is_needed_where_the_archive_has_none(planning: Planning, archive: Path) -> None:
    layout = OciLayout()
    layout.top(layout.image(b"one"))
    with pytest.raises(Malformed, match="what its image is called"):
        stage(planning, layout.pack(archive))
    assert waits(planning) == []


# --- cut off -------------------------------------------------------------------


class StopAfter:
    """Stops the work at the n-th report."""

    def __init__(self, reports: int) -> None:
        self.left = reports

    def step(self, what: str, done: int, total: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise Cancelled


def test_cut_off_anywhere_it_goes_on_and_copies_nothing_twice(planning: Planning, archive: Path) -> None:
    layout = OciLayout()
    layout.top(layout.image(*(bytes([number]) * 100_000 for number in range(6))))
    layout.pack(archive)
    stops = 0
    kept: dict[str, int] = {}
    for reports in range(0, 60, 6):
        try:
            intent = stage(planning, archive, "app:v1", StopAfter(reports))
        except Cancelled:
            stops += 1
            for name in waits(planning):
                folder = planning.path / ".orlop/incoming" / name
                now = {file.name: file.stat().st_ino for file in folder.iterdir() if not file.name.endswith(".part")}
                assert kept.items() <= now.items()
                kept = now
        else:
            break
    assert stops > 2
    intent = stage(planning, archive, "app:v1")
    assert waits(planning) == [intent.staged]
    planning.do(intent)
    assert planning.damage(content=True) == []


def test_a_blob_that_the_store_had_and_has_no_more_makes_the_plan_void(planning: Planning, archive: Path) -> None:
    layout = OciLayout()
    layout.top(layout.image(b"shared"))
    image = planning.storage.image("other", "v1", layers=[b"shared"])
    intent = stage(planning, layout.pack(archive), "app:v1")
    planning.storage.blob_path(image.layers[0]).unlink()
    with pytest.raises(Changed, match="is gone"):
        planning.ask(intent)
    planning.do(stage(planning, archive, "app:v1"))


def test_what_does_not_wait_is_not_found(planning: Planning) -> None:
    with pytest.raises(NotFound, match="no image waits"):
        planning.ask(Import(staged="0" * 32, name="app:v1"))


def test_what_waits_is_bound_to_its_bytes(planning: Planning, archive: Path) -> None:
    layout = OciLayout()
    layout.top(layout.image(b"layer"))
    intent = stage(planning, layout.pack(archive), "app:v1")
    store = planning.store()
    plan = store.plan(intent)
    assert isinstance(plan, Plan)
    file = planning.path / ".orlop/incoming" / intent.staged / digest_of(b"layer").replace(":", "-")
    file.write_bytes(b"other")
    with pytest.raises(Changed):
        executor.apply(store, plan, Journal.of(store.root), statement=OFFLINE)
    store.close()
    assert planning.names() == set()


# --- what is refused ------------------------------------------------------------


def bad_layer(layout: OciLayout) -> None:
    layout.top(layout.image(b"layer"))
    layout.files[layout.path(digest_of(b"layer"))] = b"LAYER"


def short_layer(layout: OciLayout) -> None:
    layout.top(layout.image(b"layer"))
    layout.files[layout.path(digest_of(b"layer"))] = b"lay"


def missing_layer(layout: OciLayout) -> None:
    layout.top(layout.image(b"layer"))
    del layout.files[layout.path(digest_of(b"layer"))]


def bad_manifest(layout: OciLayout) -> None:
    digest = layout.top(layout.image(b"layer"))
    layout.files[layout.path(digest)] = layout.files[layout.path(digest)].replace(b"amd", b"AMD")[:-1] + b" "


def wrong_size(layout: OciLayout) -> None:
    layout.top({**layout.image(b"layer"), "size": 3})


def nested_index(layout: OciLayout) -> None:
    layout.top(layout.index(layout.index(layout.image(b"layer"))))


def sparse_index(layout: OciLayout) -> None:
    child = {"mediaType": OCI_MANIFEST, "digest": digest_of(b"elsewhere"), "size": 9}
    layout.top(layout.index(layout.image(b"layer"), child))


def huge_manifest(layout: OciLayout) -> None:
    layout.top(layout.manifest({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "x": "x" * 5_000_000}))


def many_children(layout: OciLayout) -> None:
    child = layout.image(b"layer")
    layout.top(layout.index(*[child] * 1001))


def unknown_type(layout: OciLayout) -> None:
    layout.top(layout.manifest({"schemaVersion": 2, "mediaType": "text/plain"}))


def bad_digest(layout: OciLayout) -> None:
    layout.top({"mediaType": OCI_MANIFEST, "digest": "sha256:../../etc/passwd", "size": 1})


def no_image(layout: OciLayout) -> None:
    layout.files["index.json"] = b"{}"


def later_layout(layout: OciLayout) -> None:
    layout.top(layout.image(b"layer"))
    layout.files["oci-layout"] = b'{"imageLayoutVersion":"2.0.0"}'


@pytest.mark.parametrize(
    "spoil",
    [
        bad_layer,
        short_layer,
        missing_layer,
        bad_manifest,
        wrong_size,
        nested_index,
        sparse_index,
        huge_manifest,
        many_children,
        unknown_type,
        bad_digest,
        no_image,
        later_layout,
    ],
)
def test_an_oci_archive_that_is_not_what_it_must_be_leaves_nothing(
    planning: Planning, archive: Path, spoil: Callable[[OciLayout], None]
) -> None:
    layout = OciLayout()
    spoil(layout)
    with pytest.raises(REFUSED):
        stage(planning, layout.pack(archive), "app:v1")
    assert waits(planning) == []


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../outside", "a/../../outside", "blobs/../../outside", "./../x", "..", "index.json"]
)
def test_a_name_that_leads_out_or_comes_twice_is_refused(planning: Planning, archive: Path, name: str) -> None:
    layout = OciLayout()
    layout.top(layout.image(b"layer"))
    layout.pack(archive)
    with tarfile.open(archive, "a") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(Malformed):
        stage(planning, archive, "app:v1")
    assert waits(planning) == []


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.SYMTYPE, "../../../etc/passwd"),
        (tarfile.SYMTYPE, "nothing"),
        (tarfile.LNKTYPE, "index.json"),
        (tarfile.CHRTYPE, ""),
        (tarfile.FIFOTYPE, ""),
    ],
)
def test_links_and_devices_in_an_archive_are_refused(
    planning: Planning, archive: Path, kind: bytes, target: str
) -> None:
    layout = OciLayout()
    layout.top(layout.image(b"layer"))
    layout.pack(archive)
    with tarfile.open(archive, "a") as tar:
        member = tarfile.TarInfo("blobs/sha256/more")
        member.type, member.linkname = kind, target
        tar.addfile(member)
    with pytest.raises(Malformed):
        stage(planning, archive, "app:v1")
    assert waits(planning) == []


def test_an_archive_that_is_cut_short_is_refused(planning: Planning, archive: Path) -> None:
    layout = OciLayout()
    layout.top(layout.image(b"x" * 50_000))
    for compressed in (False, True):
        data = layout.pack(archive, compressed=compressed).read_bytes()
        for length in (0, 1, 600, len(data) // 2, len(data) - len(data) // 5):
            archive.write_bytes(data[:length])
            with pytest.raises(REFUSED):
                stage(planning, archive, "app:v1")
            assert waits(planning) == []


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x28\xb5\x2f\xfd....", b"\x1f\x8b\x08\x00", b"\0" * 2048])
def test_what_is_no_archive_is_refused(planning: Planning, archive: Path, content: bytes) -> None:
    archive.write_bytes(content)
    with pytest.raises(REFUSED):
        stage(planning, archive, "app:v1")
    assert waits(planning) == []


def test_an_archive_that_is_not_there_is_not_found(planning: Planning, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        stage(planning, tmp_path / "nothing.tar", "app:v1")


def test_layers_of_docker_save_that_are_not_what_the_config_says_are_refused(planning: Planning, archive: Path) -> None:
    docker_save(archive, [b"layer"], ["app:v1"])
    data = archive.read_bytes()
    archive.write_bytes(data.replace(b"layer" + b"\0" * 50, b"LAYER" + b"\0" * 50))
    with pytest.raises(DigestMismatch):
        stage(planning, archive)
    assert waits(planning) == []


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        [{"Config": "config.json"}],
        [{"Config": "../config.json", "Layers": []}],
        [{"Config": "config.json", "Layers": ["one"]}],
        [{"Config": "config.json", "Layers": [7]}],
        [{"Config": "nothing.json", "Layers": []}],
        [{"Config": "0" * 64 + ".json", "Layers": []}],
    ],
)
def test_a_list_of_docker_save_that_is_none_is_refused(planning: Planning, archive: Path, document: object) -> None:
    files = {"manifest.json": json.dumps(document).encode(), "config.json": config_of([]), "one": b""}
    files["0" * 64 + ".json"] = config_of([])
    pack(archive, files)
    with pytest.raises(REFUSED):
        stage(planning, archive, "app:v1")
    assert waits(planning) == []


def test_latest_is_a_tag_like_any_other(planning: Planning, archive: Path) -> None:
    layout = OciLayout()
    layout.top(layout.image(b"layer"))
    store = planning.store()
    with pytest.raises(Unsupported):
        store.stage(str(layout.pack(archive)), name="app:v1", latest=True, at=0, progress=Silent())
    store.close()


@pytest.mark.parametrize("name", ["App:v1", "app:", "../app", "app@sha256:" + "0" * 64, ":v1"])
def test_a_name_that_is_none_is_refused_before_anything_is_read(planning: Planning, archive: Path, name: str) -> None:
    with pytest.raises(Malformed):
        stage(planning, archive, name)
