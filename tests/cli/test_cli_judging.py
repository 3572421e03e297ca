from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from orlop.errors import (
    Ambiguous,
    Changed,
    Locked,
    Malformed,
    NeedsStatement,
    NoPermission,
    NoSpace,
    NotAStore,
    NotFound,
    OrlopError,
    ReadOnly,
    Refused,
    StorageFailure,
    Unfinished,
    Unsupported,
    WouldHarm,
)
from orlop.finding import Severity
from orlop.samples import Sample
from orlop_tui.cli import exits

Orlop: TypeAlias = Callable[..., Any]

S1, S2, S3, S4, S5 = Severity


@pytest.mark.parametrize(
    ("found", "unreadable", "code"),
    [
        ((), False, 0),
        ((S5,), False, 0),
        ((S5, S4), False, 1),
        ((S3,), False, 2),
        ((S2, S4), False, 2),
        ((S1,), False, 2),
        ((), True, 3),
        ((S4, S5), True, 3),
        ((S3, S4), True, 2),
    ],
)
def test_damage_beats_unreadable_beats_space(found: Iterable[Severity], unreadable: bool, code: int) -> None:
    assert exits.of_check(found, unreadable=unreadable) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFound("x"), 3),
        (NotAStore("x"), 3),
        (Ambiguous("x", ["a", "b"]), 3),
        (Malformed("x"), 3),
        (NoPermission("x"), 3),
        (NoSpace("x"), 3),
        (StorageFailure("x"), 3),
        (WouldHarm("x"), 3),
        (Locked("x"), 4),
        (NeedsStatement("x"), 4),
        (ReadOnly("x"), 4),
        (Refused("x", []), 4),
        (Changed("x"), 4),
        (Unfinished("x"), 4),
        (exits.Declined("x"), 4),
        (Unsupported("x"), 64),
        (exits.Usage("x"), 64),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, OrlopError) else str(value),
)
def test_each_error_has_its_exit_code(error: OrlopError, code: int) -> None:
    assert exits.of_error(error) == code


def test_a_healthy_store_is_clean_and_says_how_it_knows(orlop: Orlop, healthy: Sample) -> None:
    ran = orlop("check", healthy.path)

    assert ran.code == 0
    assert "layer contents not hashed" in ran.out.splitlines()[-1]


def test_space_alone_is_exit_code_1(orlop: Orlop, own: Path) -> None:
    (own / "image" / "overlay2" / "layerdb" / "tmp" / "write-set-1").mkdir(parents=True)

    assert orlop("check", own).code == 1


def test_damage_is_exit_code_2_and_the_worst_comes_first(orlop: Orlop, sample: Sample) -> None:
    ran = orlop("check", sample.path)

    assert ran.code == 2
    headings = [line[:2] for line in ran.out.splitlines() if line.startswith("S")]
    assert headings == sorted(set(headings))
    assert "S2" in headings


def test_a_finding_in_json_has_every_member(orlop: Orlop, sample: Sample) -> None:
    found = orlop("check", sample.path, "--json").objects()

    assert sorted((one["rule"], one["path"]) for one in found) == sorted(sample.expected)
    (corrupt,) = [one for one in found if one["rule"] == "DK03"]
    assert corrupt["type"] == "finding"
    assert corrupt["severity"] == "S2"
    assert corrupt["images"] == [sample.images["corrupt"]]
    assert corrupt["names"] == ["ghcr.io/acme/batch:rc3"]
    assert "failed to verify" in corrupt["engine_says"]
    assert corrupt["repair"] == "B"
    assert {"containers", "bytes", "detail", "title"} < set(corrupt)


def test_a_finding_for_people_names_file_engine_and_cure(orlop: Orlop, sample: Sample) -> None:
    out = orlop("check", sample.path).out

    block = out[out.index("DK03") :].split("\n\n")[0]
    assert sample.images["corrupt"].removeprefix("sha256:") in block
    assert "ghcr.io/acme/batch:rc3" in block
    assert "failed to verify" in block
    assert "move it aside" in block


def test_a_check_of_one_image_tells_only_what_affects_it(orlop: Orlop, sample: Sample) -> None:
    found = orlop("check", sample.path, "ghcr.io/acme/batch:rc3", "--json").objects("finding")

    assert {one["rule"] for one in found} == {"DK03"}
    assert orlop("check", sample.path, "postgres:16").code == 0


def test_a_part_that_cannot_be_read_is_said_and_exit_code_3(orlop: Orlop, own: Path) -> None:
    folder = own / "image" / "overlay2" / "layerdb"
    folder.rename(own / "elsewhere")
    folder.symlink_to(own / "elsewhere")

    ran = orlop("ls", own, "--json")

    assert ran.code == 3
    assert "could not read" in ran.err
    assert ran.objects("error")


def test_explain_lists_every_rule(orlop: Orlop) -> None:
    out = orlop("explain").out

    assert {"DK01", "DK05", "DK20"} <= {line.split()[0] for line in out.splitlines()}


@pytest.mark.parametrize("name", ["DK05", "dk05", "dk5", "layer-parent-lost"])
def test_explain_says_what_a_rule_means_in_any_spelling(orlop: Orlop, name: str) -> None:
    ran = orlop("explain", name)

    assert ran.code == 0
    for part in ("DK05", "What it is", "How it comes", "The engine", "What to do"):
        assert part in ran.out
    assert max(map(len, ran.out.splitlines())) <= 88


def test_explain_suggests_the_nearest_rule(orlop: Orlop) -> None:
    ran = orlop("explain", "DK051")

    assert ran.code == 3
    assert "did you mean" in ran.err
    assert "DK05" in ran.err


def test_explain_in_json_is_one_object_a_rule(orlop: Orlop) -> None:
    (rule,) = orlop("explain", "dk05", "--json").objects()

    assert (rule["type"], rule["rule"], rule["severity"]) == ("rule", "DK05", "S2")


def test_hashing_layer_contents_is_done_or_said_to_be_unsupported(orlop: Orlop, healthy: Sample) -> None:
    ran = orlop("check", healthy.path, "--content")

    assert (ran.code, "all bytes hashed" in ran.out) in {(0, True), (64, False)}
