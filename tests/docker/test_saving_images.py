"""Images out of a data root as archives: what they hold, and what is refused."""

import hashlib
import io
import json
import os
import random
import tarfile
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

from orlop.docker import layout
from orlop.docker.join import read
from orlop.docker.saving import save
from orlop.errors import Cancelled, DigestMismatch, Malformed, NotFound, Unsupported
from orlop.fs import Root
from orlop.progress import CONTENTS, Progress, Silent
from orlop.records import Key
from orlop.samples import DataRoot
from orlop.samples.docker import Image
from orlop.store import Saved

BIG = random.Random(7).randbytes(3 << 20)


@pytest.fixture(params=["overlay2", "vfs"])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> DataRoot:
    return DataRoot.create(str(tmp_path / "docker"), driver=request.param)


@pytest.fixture
def app(data: DataRoot) -> Image:
    """An image of two layers, the upper one with a large file."""
    base = data.image({"etc/base": b"base\n", "etc/empty": b""}, names=("base:1",))
    return data.image({"srv/app": BIG, "srv/level": b"1"}, on=base, names=("app:v1", "example.com/app:x"), local=True)


def written(
    data: DataRoot, *keys: Key, form: str | None = None, progress: Progress | None = None
) -> tuple[bytes, tuple[Saved, ...]]:
    to = io.BytesIO()
    with Root.open(data.path) as root:
        model = read(root, data.driver, progress=Silent())
        saved = save(root, model, keys, to, form=form, progress=progress or Silent())
    return to.getvalue(), saved


def files(archive: bytes) -> dict[str, bytes]:
    """Every file of an archive; no name comes twice, and every one is nobody's."""
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
        for member in tar.getmembers():
            assert (member.uid, member.gid, member.mtime) == (0, 0, 0)
            if member.isfile():
                content = tar.extractfile(member)
                assert content is not None
                assert member.name not in found
                found[member.name] = content.read()
    return found


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def of_layer(data: DataRoot, image: Image, number: int, *parts: str) -> Path:
    """A file of a layer, where the driver keeps it."""
    folder = layout.layer_tree(data.driver, image.layers[number].cache_id)
    assert folder is not None
    return Path(data.at(folder), *parts)


# --- what is written -----------------------------------------------------------


def test_a_docker_archive_lists_configs_layers_and_names(data: DataRoot, app: Image) -> None:
    archive, [saved] = written(data, Key("", app.id, None))
    found = files(archive)

    [entry] = json.loads(found["manifest.json"])
    assert entry["RepoTags"] == ["app:v1", "example.com/app:x"]
    assert digest(found[entry["Config"]]) == app.id
    assert [digest(found[name]) for name in entry["Layers"]] == [layer.diff_id for layer in app.layers]
    top = app.layers[-1].diff_id[7:]
    assert json.loads(found["repositories"]) == {"app": {"v1": top}, "example.com/app": {"x": top}}
    assert saved == Saved(
        form="docker-archive", id=app.id, names=("app:v1", "example.com/app:x"), bytes=len(archive), remarks=()
    )


def test_a_name_is_the_only_one_that_the_archive_gives(data: DataRoot, app: Image) -> None:
    archive, [saved] = written(data, Key("", app.id, "app:v1"))

    assert json.loads(files(archive)["manifest.json"])[0]["RepoTags"] == ["app:v1"]
    assert saved.names == ("app:v1",)


def test_an_oci_archive_has_an_index_of_names_over_uncompressed_layers(data: DataRoot, app: Image) -> None:
    archive, [saved] = written(data, Key("", app.id, None), form="oci-archive")
    found = files(archive)

    entries = json.loads(found["index.json"])["manifests"]
    names = [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in entries]
    assert (names, found["oci-layout"]) == (["app:v1", "example.com/app:x"], b'{"imageLayoutVersion":"1.0.0"}')
    for name, content in found.items():
        if name.startswith("blobs/"):
            assert digest(content) == name.removeprefix("blobs/").replace("/", ":")
    blobs = {name.replace("/", ":")[6:]: content for name, content in found.items() if name.startswith("blobs/")}
    manifest = json.loads(blobs[entries[0]["digest"]])
    assert manifest["config"]["digest"] == app.id == saved.id
    assert [layer["digest"] for layer in manifest["layers"]] == [layer.diff_id for layer in app.layers]
    for each in (*entries, manifest["config"], *manifest["layers"]):
        assert each["size"] == len(blobs[each["digest"]])


def test_images_share_their_layers_and_a_parent_stays_one(data: DataRoot, app: Image) -> None:
    base = app.layers[0]
    with Root.open(data.path) as root:
        model = read(root, data.driver, progress=Silent())
    [parent] = [id for id, image in model.images.items() if image.diff_ids == (base.diff_id,)]

    archive, saved = written(data, Key("", app.id, None), Key("", parent, None))
    entries = {entry["Config"][:64]: entry for entry in json.loads(files(archive)["manifest.json"])}

    assert entries[app.id[7:]]["Parent"] == parent
    assert "Parent" not in entries[parent[7:]]
    assert entries[app.id[7:]]["Layers"][0] == entries[parent[7:]]["Layers"][0]
    assert sum(one.bytes for one in saved) == len(archive)


def test_the_same_images_give_the_same_bytes(data: DataRoot, app: Image) -> None:
    for form in ("docker-archive", "oci-archive"):
        assert written(data, Key("", app.id, None), form=form) == written(data, Key("", app.id, None), form=form)


def test_names_that_no_archive_can_give_are_left_out_with_a_remark(data: DataRoot, app: Image) -> None:
    by_digest = f"app@sha256:{'a' * 64}"
    data.tag(by_digest, app.id)
    data.tag("App:\x1b[2J", app.id)

    archive, [saved] = written(data, Key("", app.id, None))

    assert json.loads(files(archive)["manifest.json"])[0]["RepoTags"] == ["app:v1", "example.com/app:x"]
    assert any(by_digest in remark for remark in saved.remarks)
    assert any("none that an engine reads" in remark for remark in saved.remarks)


def test_an_image_without_layers_and_without_names_is_written(data: DataRoot) -> None:
    image = data.image(names=())

    found = files(written(data, Key("", image.id, None))[0])

    assert json.loads(found["manifest.json"]) == [{"Config": f"{image.id[7:]}.json", "RepoTags": None, "Layers": []}]
    assert "repositories" not in found


class OneWay(io.RawIOBase):
    """Takes bytes and has nothing else, as a pipe."""

    def __init__(self) -> None:
        self.taken = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        assert isinstance(data, bytes)
        self.taken += data
        return len(data)


def test_the_output_need_not_be_able_to_seek(data: DataRoot, app: Image) -> None:
    to = OneWay()
    with Root.open(data.path) as root:
        model = read(root, data.driver, progress=Silent())
        save(root, model, [Key("", app.id, None)], cast(BinaryIO, to), form=None, progress=Silent())

    assert bytes(to.taken) == written(data, Key("", app.id, None))[0]


def test_progress_is_told_of_all_bytes_and_can_stop_it(data: DataRoot, app: Image) -> None:
    seen: list[tuple[int, int]] = []

    class Told:
        def step(self, what: str, done: int, total: int) -> None:
            if what == CONTENTS:
                seen.append((done, total))

    archive, _ = written(data, Key("", app.id, None), progress=Told())
    sizes = [len(content) for name, content in files(archive).items() if name.endswith("layer.tar")]
    assert seen[-1] == (sum(sizes), sum(sizes))

    class Stopping:
        def step(self, what: str, done: int, total: int) -> None:
            if done > 1 << 20:
                raise Cancelled

    with pytest.raises(Cancelled):
        written(data, Key("", app.id, None), progress=Stopping())


# --- damage --------------------------------------------------------------------


def cut_archive(data: DataRoot, image: Image, error: type[Exception]) -> tuple[bytes, Any]:
    """What was written of an image that is damaged, and the error."""
    to = io.BytesIO()
    with Root.open(data.path) as root:
        model = read(root, data.driver, progress=Silent())
        with pytest.raises(error) as caught:
            save(root, model, [Key("", image.id, None)], to, form=None, progress=Silent())
    return to.getvalue(), caught.value


def test_one_flipped_byte_is_found_its_file_named_and_the_archive_is_cut(data: DataRoot, app: Image) -> None:
    file = of_layer(data, app, 1, "srv", "level")
    file.write_bytes(b"2")

    archive, error = cut_archive(data, app, DigestMismatch)

    assert "srv/level" in error.path
    assert "srv/level (other bytes)" in error.why
    assert error.expected == app.layers[1].diff_id
    assert "--content" in error.do
    with pytest.raises(tarfile.ReadError, match="unexpected end of data"):  # no reader takes it for whole
        files(archive)


def test_a_file_that_is_longer_or_gone_is_named(data: DataRoot, app: Image) -> None:
    file = of_layer(data, app, 1, "srv", "level")
    file.write_bytes(b"10")
    assert "2 bytes instead of 1" in cut_archive(data, app, DigestMismatch)[1].why

    file.unlink()
    assert "srv/level (missing)" in cut_archive(data, app, DigestMismatch)[1].why


def test_a_link_in_the_place_of_a_file_is_not_followed(data: DataRoot, app: Image, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"1")
    file = of_layer(data, app, 1, "srv", "level")
    file.unlink()
    file.symlink_to(secret)

    _, error = cut_archive(data, app, DigestMismatch)

    assert "srv/level (a link is in the place of a file)" in error.why


def test_a_recipe_that_is_gone_or_damaged_is_named(data: DataRoot, app: Image) -> None:
    recipe = Path(data.at(layout.tar_split(data.driver, app.layers[0].chain_id)))
    whole = recipe.read_bytes()
    recipe.write_bytes(whole[:-9])
    archive, error = cut_archive(data, app, Malformed)
    assert (error.path, archive) == (layout.tar_split(data.driver, app.layers[0].chain_id), b"")
    assert "recipe" in error.why

    recipe.unlink()
    archive, error = cut_archive(data, app, NotFound)
    assert (error.path, archive) == (layout.tar_split(data.driver, app.layers[0].chain_id), b"")


def test_a_config_that_was_altered_is_refused(data: DataRoot, app: Image) -> None:
    config = Path(data.at(layout.config(data.driver, app.id)))
    config.write_bytes(config.read_bytes().replace(b"amd64", b"arm64"))

    archive, error = cut_archive(data, app, DigestMismatch)

    assert (error.path, archive) == (layout.config(data.driver, app.id), b"")


def test_layers_without_a_record_and_images_that_are_not_there_are_not_found(
    data: DataRoot, app: Image, tmp_path: Path
) -> None:
    with pytest.raises(NotFound, match="is not in the store"):
        written(data, Key("", "sha256:" + "0" * 64, None))

    os.rename(data.at(layout.layer(data.driver, app.layers[0].chain_id)), tmp_path / "aside")
    _, error = cut_archive(data, app, NotFound)
    assert error.path == layout.layer(data.driver, app.layers[0].chain_id)


def test_other_forms_are_refused(data: DataRoot, app: Image) -> None:
    with pytest.raises(Unsupported, match="cannot be saved as aci"):
        written(data, Key("", app.id, None), form="aci")


def test_nothing_in_the_store_is_changed(data: DataRoot, app: Image) -> None:
    def state() -> dict[str, tuple[int, int]]:
        return {
            path: (found.st_mtime_ns, found.st_ctime_ns)
            for here, _, names in os.walk(data.path)
            for path in (here, *(os.path.join(here, name) for name in names))
            for found in [os.lstat(path)]
        }

    before = state()
    written(data, Key("", app.id, None))
    assert state() == before
