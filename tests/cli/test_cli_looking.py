import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from orlop.samples import BIDI_NAME, ESCAPED_NAME, MISSING_IMAGE, DataRoot, Sample

Orlop: TypeAlias = Callable[..., Any]

LOOKS = [
    ["ls", "STORE"],
    ["show", "STORE", "postgres:16"],
    ["mappings", "STORE"],
    ["remotes", "STORE"],
    ["check", "STORE"],
    ["why", "STORE", MISSING_IMAGE],
    ["journal", "STORE"],
    ["rm", "STORE", "postgres:16", "--dry-run"],
    ["tag", "STORE", "postgres:16", "db:1", "--dry-run"],
]


def with_store(words: list[str], store: str) -> list[str]:
    return [store if word == "STORE" else word for word in words]


def tree(folder: str) -> Iterator[tuple[str, int, int, str]]:
    for above, _, names in os.walk(folder):
        for path in [above, *(f"{above}/{name}" for name in names)]:
            found = os.lstat(path)
            content = hashlib.sha256(Path(path).read_bytes()).hexdigest() if stat.S_ISREG(found.st_mode) else ""
            yield path, found.st_mtime_ns, found.st_ino, content


@pytest.mark.parametrize("words", LOOKS, ids=lambda words: words[0])
def test_looking_changes_nothing(orlop: Orlop, sample: Sample, words: list[str]) -> None:
    before = sorted(tree(sample.path))

    orlop(*with_store(words, sample.path))

    assert sorted(tree(sample.path)) == before


@pytest.mark.parametrize("words", LOOKS, ids=lambda words: words[0])
@pytest.mark.parametrize("option", [[], ["--json"]], ids=["plain", "json"])
def test_nothing_raw_of_a_hostile_store_is_printed(
    orlop: Orlop, sample: Sample, words: list[str], option: list[str]
) -> None:
    ran = orlop(*with_store(words, sample.path), *option)

    for stream in (ran.out, ran.err):
        assert all(line.isprintable() for line in stream.split("\n"))


def test_ls_lists_every_name_and_every_untagged_image(orlop: Orlop, sample: Sample) -> None:
    lines = orlop("ls", sample.path).out.splitlines()

    assert lines[0].split()[:3] == ["NAME", "IMAGE", "ID"]
    assert any(line.startswith("postgres:16 ") for line in lines)
    assert any(line.startswith("(no name) ") and sample.images["untagged"] in line for line in lines)


def test_ls_shows_what_an_engine_hides_and_says_why(orlop: Orlop, sample: Sample) -> None:
    lines = orlop("ls", sample.path).out.splitlines()

    (corrupt,) = [line for line in lines if sample.images["corrupt"] in line]
    (missing,) = [line for line in lines if MISSING_IMAGE in line]
    assert "BAD" in corrupt
    assert "partial" in missing
    assert lines[0].endswith("WHY")


def test_ids_are_never_cut_in_a_pipe(orlop: Orlop, sample: Sample) -> None:
    ran = orlop("ls", sample.path)

    assert all(image in ran.out for image in sample.images.values())
    assert "…" not in ran.out


def test_json_has_one_object_an_image_with_all_its_names(orlop: Orlop, sample: Sample) -> None:
    images = orlop("ls", sample.path, "--json").objects()

    assert sorted(one["id"] for one in images) == sorted(sample.images.values())
    (web,) = [one for one in images if one["id"] == sample.images["web"]]
    assert {"ghcr.io/acme/web:2026.08", "ghcr.io/acme/web:stable", BIDI_NAME} <= set(web["names"])
    assert web["type"] == "image"
    assert web["created"] == "2026-08-29T10:14:07.123456789Z"
    assert web["size"] > web["own_size"] > 0
    assert (web["trust"], web["condition"], web["verified_at"]) == ("linked", "sound", None)
    assert (web["platform"], web["scope"]) == ("linux/amd64", "overlay2")
    assert web["flags"] == ["odd name"]
    (digest_only,) = [one for one in images if one["id"] == sample.images["digest-only"]]
    assert digest_only["flags"] == ["digest only"]


def test_json_keeps_hostile_names_exactly(orlop: Orlop, sample: Sample) -> None:
    ran = orlop("ls", sample.path, "--json")

    assert ran.out.isascii()
    assert ESCAPED_NAME in [name for one in ran.objects("image") for name in one["names"]]


def test_what_is_absent_is_null_in_json(orlop: Orlop, sample: Sample) -> None:
    images = orlop("ls", sample.path, "--json").objects("image")

    (missing,) = [one for one in images if one["id"] == MISSING_IMAGE]
    assert (missing["created"], missing["size"], missing["own_size"], missing["platform"]) == (None,) * 4


def test_an_empty_store_is_said_to_be_empty(orlop: Orlop, tmp_path: Path) -> None:
    DataRoot.create(str(tmp_path / "store"))

    ran = orlop("ls", tmp_path / "store")

    assert ran.code == 0
    assert "empty" in ran.out


def test_show_prints_one_image_whole(orlop: Orlop, sample: Sample) -> None:
    out = orlop("show", sample.path, "ghcr.io/acme/web:2026.08").out

    for part in (
        sample.images["web"],
        "ghcr.io/acme/web:stable",
        "Layers",
        "History",
        "V2 digest mappings",
        "remotely",
    ):
        assert part in out
    assert "layer contents not hashed" in out


def test_show_masks_secrets_until_asked(orlop: Orlop, sample: Sample) -> None:
    name = "ghcr.io/acme/web:2026.08"
    masked, revealed = orlop("show", sample.path, name), orlop("show", sample.path, name, "--reveal")

    assert "SESSION_SECRET=••••••" in masked.out
    assert "SESSION_SECRET=" in revealed.out
    assert "••••••" not in revealed.out
    assert "\\u2022" in orlop("show", sample.path, name, "--json").out


def test_show_in_json_is_the_object_of_ls_and_more(orlop: Orlop, sample: Sample) -> None:
    (listed,) = [one for one in orlop("ls", sample.path, "--json").objects() if one["id"] == sample.images["web"]]
    (shown,) = orlop("show", sample.path, sample.images["web"], "--json").objects()

    assert listed.items() <= shown.items()
    assert [layer["problem"] for layer in shown["layers"]] == [None] * 4
    assert shown["mappings"]
    assert shown["remotes"]


def test_show_of_a_damaged_image_says_what_is_wrong(orlop: Orlop, sample: Sample) -> None:
    ran = orlop("show", sample.path, sample.images["corrupt"])

    assert ran.code == 0
    assert "Problems" in ran.out
    assert "zero bytes" in ran.out


def test_an_image_is_found_by_the_first_digits_of_its_id(orlop: Orlop, sample: Sample) -> None:
    assert sample.images["postgres"] in orlop("show", sample.path, sample.images["postgres"][7:15]).out


def test_an_ambiguous_prefix_lists_its_candidates(orlop: Orlop, sample: Sample) -> None:
    ran = orlop("show", sample.path, "a")

    assert ran.code == 3
    assert "candidates: sha256:a" in ran.err


def test_an_unknown_image_is_one_clear_error(orlop: Orlop, sample: Sample) -> None:
    ran = orlop("show", sample.path, "nosuch:1", "--json")

    assert ran.code == 3
    assert ran.err.startswith("orlop: ")
    assert "Traceback" not in ran.err
    (error,) = ran.objects("error")
    assert {"what", "path", "why", "do"} < set(error)
    assert error["what"]


def test_mappings_name_layer_blob_and_repository(orlop: Orlop, sample: Sample) -> None:
    found = orlop("mappings", sample.path, "--json").objects("mapping")

    (web,) = [one for one in found if one["images"] == [sample.images["web"]] and one["source"] == "ghcr.io/acme/web"]
    assert web["stale"] is False
    assert web["diff_id"].startswith("sha256:")
    assert web["digest"].startswith("sha256:")
    assert any(one["stale"] and one["reason"] for one in found)


def test_a_mapping_that_is_not_stale_agrees_in_both_directions(orlop: Orlop, sample: Sample) -> None:
    lines = orlop("mappings", sample.path).out.splitlines()[1:]

    states = {line.split("  ")[-1].strip().partition(":")[0] for line in lines}
    assert states == {"agrees", "stale"}


def test_mappings_of_one_image_are_those_of_its_layers(orlop: Orlop, sample: Sample) -> None:
    found = orlop("mappings", sample.path, "ghcr.io/acme/web:2026.08", "--json").objects("mapping")

    assert found
    assert all(sample.images["web"] in one["images"] for one in found)


def test_remotes_are_the_digest_references(orlop: Orlop, sample: Sample) -> None:
    found = orlop("remotes", sample.path, "--json").objects("remote")

    (web,) = [one for one in found if one["reference"].startswith("ghcr.io/acme/web@sha256:")]
    assert web["image"] == sample.images["web"]
    assert web["etag"] is None


def test_why_names_what_keeps_a_layer(orlop: Orlop, sample: Sample) -> None:
    ran = orlop("why", sample.path, sample.layers["debian"])

    assert ran.code == 0
    assert "kept by" in ran.out
    assert "repositories.json" in ran.out


def test_why_says_that_nothing_keeps_an_orphan(orlop: Orlop, tmp_path: Path) -> None:
    root = DataRoot.create(str(tmp_path / "docker"))
    orphan = root.layer({"left": b"l"})

    assert orlop("why", root.path, orphan.chain_id).out.splitlines()[-2:] == ["nothing keeps it", "it takes space only"]


@pytest.mark.parametrize("words", [["ls"], ["check"], ["journal"], ["mappings"], ["rm", "x"]], ids=lambda w: w[0])
@pytest.mark.parametrize("place", ["absent", "empty", "file"])
def test_a_wrong_path_is_one_clear_error(orlop: Orlop, tmp_path: Path, place: str, words: list[str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")

    ran = orlop(words[0], tmp_path / place, *words[1:])

    assert ran.code == 3
    assert ran.out == ""
    assert ran.err.startswith("orlop: ")
    assert f"where: {tmp_path / place}" in ran.err


def test_a_kind_that_cannot_be_opened_yet_is_recognised(orlop: Orlop, tmp_path: Path) -> None:
    (tmp_path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    ran = orlop("ls", tmp_path)

    assert ran.code == 64
    assert "OCI image layout" in ran.err


class TestSeveralDrivers:
    @pytest.fixture
    def store(self, tmp_path: Path) -> Path:
        for driver in ("overlay2", "vfs"):
            root = DataRoot.create(str(tmp_path / driver), driver=driver)
            root.image({"a": b"a"}, names=(f"only-{driver}:1", "both:1"))
        (tmp_path / "vfs" / "image" / "vfs").rename(tmp_path / "overlay2" / "image" / "vfs")
        return tmp_path / "overlay2"

    def test_all_are_listed_with_their_driver(self, orlop: Orlop, store: Path) -> None:
        assert {one["scope"] for one in orlop("ls", store, "--json").objects()} == {"overlay2", "vfs"}
        assert "DRIVER" in orlop("ls", store).out.splitlines()[0]

    def test_one_is_chosen_by_name(self, orlop: Orlop, store: Path) -> None:
        assert {one["scope"] for one in orlop("ls", store, "--json", "--driver", "vfs").objects()} == {"vfs"}

    def test_an_unknown_driver_lists_the_known_ones(self, orlop: Orlop, store: Path) -> None:
        ran = orlop("ls", store, "--driver", "zfs")

        assert ran.code == 3
        assert "overlay2, vfs" in ran.err

    def test_an_image_of_one_of_them_is_found(self, orlop: Orlop, store: Path) -> None:
        assert orlop("show", store, "only-vfs:1").code == 0

    def test_an_image_of_several_must_be_told_apart(self, orlop: Orlop, store: Path) -> None:
        ran = orlop("show", store, "both:1")

        assert ran.code == 3
        assert "--driver" in ran.err

    def test_a_change_needs_to_know_which_is_meant(self, orlop: Orlop, store: Path) -> None:
        ran = orlop("rm", store, "only-vfs:1", "--dry-run")

        assert ran.code == 64
        assert "--driver" in ran.err
        assert orlop("rm", store, "only-vfs:1", "--dry-run", "--driver", "vfs").code == 0
