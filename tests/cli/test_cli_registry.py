"""The commands on a registry's storage: what they show, and what they change and take back."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from orlop.digest import Digest
from orlop.samples import RegistrySample, make_registry

if TYPE_CHECKING:
    from tests.cli.conftest import Ran

Orlop: TypeAlias = Callable[..., "Ran"]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> RegistrySample:
    """The sample registry, for looking only."""
    return make_registry(str(tmp_path_factory.mktemp("registry") / "sample"))


@pytest.fixture
def own(tmp_path: Path) -> RegistrySample:
    """A sample registry of one's own."""
    return make_registry(str(tmp_path / "registry"))


@pytest.fixture
def sound(tmp_path: Path) -> RegistrySample:
    return make_registry(str(tmp_path / "registry"), damage=False)


def names(orlop: Orlop, path: str) -> set[str]:
    return {name for image in orlop("ls", path, "--json").objects("image") for name in image["names"]}


# --- looking ---------------------------------------------------------------------


def test_ls_lists_every_tag_and_an_indexs_platforms_under_it(orlop: Orlop, seen: RegistrySample) -> None:
    lines = orlop("ls", seen.path).out.splitlines()
    index = next(i for i, line in enumerate(lines) if line.startswith("team/web:2.1"))
    assert lines[index + 1].startswith("└ linux/amd64")
    assert lines[index + 2].startswith("└ linux/arm64/v8")
    assert any(line.startswith("team/api (no name)") for line in lines)


def test_ls_in_json_says_what_each_image_is(orlop: Orlop, seen: RegistrySample) -> None:
    images = {image["id"]: image for image in orlop("ls", seen.path, "--json").objects("image")}
    index, child = images[seen.images["web-all"]], images[seen.images["web"]]
    assert (index["what"], index["scope"], index["names"]) == ("index", "team/web", ["team/web:2.1", "team/web:latest"])
    assert (child["what"], child["in_index"], child["names"]) == ("image", index["id"], [])
    assert images[seen.images["sbom"]]["what"] == "artifact"


@pytest.mark.parametrize("how", ["team/web:latest", "team/web@{}", "{}"])
def test_show_finds_an_image_by_name_and_by_digest(orlop: Orlop, seen: RegistrySample, how: str) -> None:
    ran = orlop("show", seen.path, how.format(seen.images["web-all"]))
    assert ran.code == 0
    assert "Platforms" in ran.out
    assert "application/spdx+json" in ran.out


def test_show_in_json_has_sections_and_the_manifests_file(orlop: Orlop, seen: RegistrySample) -> None:
    (shown,) = orlop("show", seen.path, "team/web:latest", "--json").objects("image")
    assert {"Platforms", "Referrers"} <= {section["title"] for section in shown["sections"]}
    assert [one["title"] for one in shown["documents"]] == ["manifest"]


def test_uploads_are_listed_with_their_bytes(orlop: Orlop, seen: RegistrySample) -> None:
    uploads = orlop("uploads", seen.path, "--json").objects("upload")
    assert {one["repository"]: one["bytes"] for one in uploads} == {"team/api": 104_000, "tools/docs": 1200}
    assert "startedat is empty" in orlop("uploads", seen.path).out


def test_check_finds_what_was_planted_and_says_how_far_it_looked(orlop: Orlop, seen: RegistrySample) -> None:
    ran = orlop("check", seen.path)
    assert ran.code == 2
    assert "layer blobs not hashed" in ran.out
    found = orlop("check", seen.path, "--json").objects("finding")
    assert sorted((one["rule"], one["path"]) for one in found) == list(seen.expected)


def test_a_content_check_hashes_every_blob(orlop: Orlop, own: RegistrySample) -> None:
    data = next(Path(own.path).rglob(f"blobs/sha256/*/{_layer_of(own, 'team/web/worker')}/data"))
    flipped = bytearray(data.read_bytes())
    flipped[-1] ^= 1
    data.write_bytes(bytes(flipped))
    found = orlop("check", own.path, "--content", "--json").objects("finding")
    bad = [one for one in found if one["rule"] == "RG01"]
    assert [str(Path(own.path, one["path"])) for one in bad] == [str(data)]
    assert "team/web/worker:nightly" in bad[0]["names"]
    assert "all bytes hashed" in orlop("check", own.path, "--content").out


def _layer_of(sample: RegistrySample, repository: str) -> str:
    """The hex of the last layer of a repository's only manifest."""
    revisions = Path(sample.path, "docker/registry/v2/repositories", repository, "_manifests/revisions/sha256")
    (revision,) = [path.name for path in revisions.iterdir()]
    data = Path(sample.path, "docker/registry/v2/blobs/sha256", revision[:2], revision, "data").read_bytes()
    return str(json.loads(data)["layers"][-1]["digest"]).removeprefix("sha256:")


# --- changing --------------------------------------------------------------------


def test_nothing_is_changed_before_a_person_states_that_the_registry_is_stopped(
    orlop: Orlop, sound: RegistrySample
) -> None:
    ran = orlop("untag", sound.path, "team/api:stable", "--yes")
    assert ran.code == 4
    assert "--offline" in ran.err
    assert "team/api:stable" in names(orlop, sound.path)


def test_untag_takes_one_tag_and_leaves_the_others_of_the_manifest(orlop: Orlop, sound: RegistrySample) -> None:
    assert orlop("untag", sound.path, "team/api:stable", "--offline", "--yes").code == 0
    assert "team/api:stable" not in names(orlop, sound.path)
    assert "team/api:2.0" in names(orlop, sound.path)
    assert orlop("undo", sound.path, "--offline").code == 0
    assert "team/api:stable" in names(orlop, sound.path)


def test_a_platform_is_not_removed_from_under_its_index(orlop: Orlop, sound: RegistrySample) -> None:
    ran = orlop("rm", sound.path, f"team/web@{sound.images['web']}", "--offline", "--yes")
    assert ran.code == 4
    assert sound.images["web-all"] in ran.err


def test_a_repository_goes_and_the_one_nested_in_it_stays(orlop: Orlop, sound: RegistrySample) -> None:
    ran = orlop("rm", sound.path, "--repository", "team/web", "--offline", "--yes")
    assert ran.code == 0
    left = names(orlop, sound.path)
    assert "team/web/worker:nightly" in left
    assert not any(name.startswith("team/web:") for name in left)
    assert orlop("undo", sound.path, "--offline").code == 0
    assert "team/web:latest" in names(orlop, sound.path)


def test_the_command_that_is_shown_can_be_given_as_it_stands(orlop: Orlop, sound: RegistrySample) -> None:
    shown = orlop("rm", sound.path, "team/web:2.1", "team/web:latest", "--offline", "--dry-run").out
    command = shown.partition("The same by command:\n")[2].splitlines()[0].split()
    assert command[:2] == ["orlop", "rm"]
    assert orlop(*command[1:], "--yes").code == 0
    assert not any(name.startswith("team/web:") for name in names(orlop, sound.path))


def test_a_tag_moves_and_keeps_its_history(orlop: Orlop, sound: RegistrySample) -> None:
    old, new = sound.images["api-old"], sound.images["api"]
    assert orlop("tag", sound.path, f"team/api@{old}", "team/api:stable", "--offline", "--yes").code == 0
    assert old in orlop("show", sound.path, "team/api:stable").out
    index = Path(sound.path, "docker/registry/v2/repositories/team/api/_manifests/tags/stable/index/sha256")
    assert {path.name for path in index.iterdir()} == {old[7:], new[7:]}


def test_clean_keeps_an_indexs_platforms_and_what_refers_to_it(orlop: Orlop, sound: RegistrySample) -> None:
    ran = orlop("clean", sound.path, "--untagged", "--before", "2027-01-01T00:00:00Z", "--offline", "--yes")
    assert ran.code == 0
    left = {image["id"] for image in orlop("ls", sound.path, "--json").objects("image")}
    assert {sound.images[name] for name in ("web-all", "web", "web-arm", "sbom", "api")} <= left
    assert sound.images["api-old"] not in left


def test_uploads_are_dropped_by_age_and_by_name(orlop: Orlop, sound: RegistrySample) -> None:
    assert "nothing" in orlop("clean", sound.path, "--uploads", "--older", "5000d", "--offline", "--yes").out.lower()
    assert orlop("clean", sound.path, "--uploads", "--offline", "--yes").code == 0
    assert orlop("uploads", sound.path, "--json").objects("upload") == []


def test_repair_without_a_name_rebuilds_what_can_be_proved(orlop: Orlop, own: RegistrySample) -> None:
    assert orlop("repair", own.path, "--offline", "--yes").code == 0
    rules = {one["rule"] for one in orlop("check", own.path, "--json").objects("finding")}
    assert not rules & {"RG08", "RG12"}


def test_a_finding_that_is_not_there_is_said(orlop: Orlop, sound: RegistrySample) -> None:
    ran = orlop("repair", sound.path, "RG11", "--offline", "--yes")
    assert ran.code == 3
    assert "RG11" in ran.err


# --- taking in ---------------------------------------------------------------------


def oci_archive(path: Path) -> str:
    """An OCI archive of one small image; its manifest's digest."""
    layer = _tar({"srv/app": b"imported"})
    blobs = {Digest.of(layer): layer}

    def keep(value: object) -> dict[str, object]:
        data = json.dumps(value).encode()
        blobs[Digest.of(data)] = data
        return {"digest": Digest.of(data), "size": len(data)}

    config = keep(
        {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [Digest.of(layer)]}}
    )
    kind = "application/vnd.oci.image"
    manifest = keep(
        {
            "schemaVersion": 2,
            "mediaType": f"{kind}.manifest.v1+json",
            "config": {"mediaType": f"{kind}.config.v1+json", **config},
            "layers": [{"mediaType": f"{kind}.layer.v1.tar", "digest": Digest.of(layer), "size": len(layer)}],
        }
    )
    index = {"schemaVersion": 2, "manifests": [{"mediaType": f"{kind}.manifest.v1+json", **manifest}]}
    files: dict[str, bytes] = {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": json.dumps(index).encode(),
    }
    files |= {f"blobs/sha256/{digest[7:]}": data for digest, data in blobs.items()}
    path.write_bytes(_tar(files))
    return str(manifest["digest"])


def _tar(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


def test_an_archive_is_taken_in_under_a_name_and_taken_back(
    orlop: Orlop, sound: RegistrySample, tmp_path: Path
) -> None:
    digest = oci_archive(tmp_path / "app.tar")
    ran = orlop("import", sound.path, "team/new:v1", tmp_path / "app.tar", "--offline", "--yes")
    assert ran.code == 0, ran.err
    assert digest in orlop("show", sound.path, "team/new:v1").out
    assert [
        one for one in orlop("check", sound.path, "--content", "--json").objects("finding") if one["severity"] < "S4"
    ] == []
    assert not Path(sound.path, ".orlop/incoming").exists()
    assert orlop("undo", sound.path, "--offline").code == 0
    assert "team/new:v1" not in names(orlop, sound.path)


def test_of_an_import_that_nobody_agreed_to_nothing_waits(orlop: Orlop, sound: RegistrySample, tmp_path: Path) -> None:
    oci_archive(tmp_path / "app.tar")

    ran = orlop("import", sound.path, "team/new:v1", tmp_path / "app.tar", "--offline")

    assert ran.code != 0
    assert "nobody is there to ask" in ran.err
    assert not list(Path(sound.path).rglob(".orlop/incoming/*"))


def test_an_archive_that_lies_is_refused_and_nothing_is_left(
    orlop: Orlop, sound: RegistrySample, tmp_path: Path
) -> None:
    oci_archive(tmp_path / "app.tar")
    data = (tmp_path / "app.tar").read_bytes().replace(b"imported", b"imposter")
    (tmp_path / "app.tar").write_bytes(data)
    ran = orlop("import", sound.path, "team/new:v1", tmp_path / "app.tar", "--offline", "--yes")
    assert ran.code in (3, 4)
    assert "team/new:v1" not in names(orlop, sound.path)
    assert not Path(sound.path, ".orlop/incoming").exists()


def test_import_wants_the_registry_stopped_before_it_reads_anything(
    orlop: Orlop, sound: RegistrySample, tmp_path: Path
) -> None:
    oci_archive(tmp_path / "app.tar")
    assert orlop("import", sound.path, "team/new:v1", tmp_path / "app.tar", "--yes").code == 4
    assert not Path(sound.path, ".orlop").exists()
