"""The sample registry and ACI store: the same each time; a check finds what was planted, and nothing else."""

import os
from pathlib import Path
from typing import Any

import pytest

from orlop import kinds, samples
from orlop.errors import AlreadyExists
from orlop.finding import Severity
from orlop.progress import Silent

MAKERS = {
    "registry": samples.make_registry,
    "ql": samples.make_rkt,
    "sqlite": lambda folder, damage=True: samples.make_rkt(folder, damage=damage, catalogue="sqlite"),
}


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest) -> Any:
    return MAKERS[request.param]


def found_in(path: str) -> list[tuple[str, str, Severity]]:
    store = kinds.open(path)
    try:
        return sorted((f.rule, f.path, f.severity) for f in store.check(None, content=False, progress=Silent()))
    finally:
        store.close()


def test_a_check_finds_every_planted_fault_and_nothing_else(make: Any, tmp_path: Path) -> None:
    sample = make(str(tmp_path / "sample"))
    assert [(rule, path) for rule, path, _ in found_in(sample.path)] == list(sample.expected)


def test_without_damage_only_space_and_information_are_found(make: Any, tmp_path: Path) -> None:
    sample = make(str(tmp_path / "sample"), damage=False)
    found = found_in(sample.path)
    assert [(rule, path) for rule, path, _ in found] == list(sample.expected)
    assert not any(severity.is_damage for _, _, severity in found)


def test_the_same_bytes_and_times_come_each_time(make: Any, tmp_path: Path) -> None:
    trees = []
    for name in ("one", "other"):
        sample = make(str(tmp_path / name))
        trees.append(
            {
                os.path.relpath(os.path.join(here, file), sample.path): (
                    Path(here, file).read_bytes(),
                    os.stat(os.path.join(here, file)).st_mtime_ns,
                    os.stat(os.path.join(here, file)).st_mode,
                )
                for here, _, files in os.walk(sample.path)
                for file in files
            }
        )
    assert trees[0] == trees[1]


def test_a_folder_with_something_in_it_is_left_alone(make: Any, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("mine")
    with pytest.raises(AlreadyExists):
        make(str(tmp_path))
    assert os.listdir(tmp_path) == ["kept"]


def test_every_byte_of_an_undamaged_sample_is_what_its_name_says(make: Any, tmp_path: Path) -> None:
    sample = make(str(tmp_path / "sample"), damage=False)
    store = kinds.open(sample.path)
    found = list(store.check(None, content=True, progress=Silent()))
    store.close()
    assert [finding for finding in found if finding.severity.is_damage] == []
