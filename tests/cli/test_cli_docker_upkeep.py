"""``clean`` and ``repair`` of a Docker store, as a person types them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from orlop.docker import layout
from orlop.samples import DataRoot, Image

if TYPE_CHECKING:
    from tests.cli.conftest import Ran

Orlop: TypeAlias = Callable[..., "Ran"]


@pytest.fixture
def data(tmp_path: Path) -> DataRoot:
    return DataRoot.create(str(tmp_path / "docker"))


@pytest.fixture
def app(data: DataRoot) -> Image:
    base = data.image({"base": b"base"}, names=["base:1"])
    return data.image({"app": b"app"}, on=base, names=["app:1"])


def test_what_can_be_proved_is_put_right_without_being_named(orlop: Orlop, data: DataRoot, app: Image) -> None:
    os.unlink(data.at(f"{layout.layer('overlay2', app.layers[1].chain_id)}/parent"))
    assert orlop("check", data.path).code == 2
    done = orlop("repair", data.path, "--yes")
    assert done.code == 0, done.err
    assert app.layers[0].chain_id in done.out
    assert orlop("check", data.path).code == 0
    assert orlop("undo", data.path, "--yes").code == 2, "the damage is back"


def test_rotten_bytes_are_found_with_content_and_named_by_their_layer(orlop: Orlop, data: DataRoot, app: Image) -> None:
    data.write(f"{layout.layer_tree('overlay2', app.layers[1].cache_id)}/app", b"APP")
    without = orlop("repair", data.path, "DK08", "--dry-run")
    assert without.code == 3
    assert "--content" in without.err
    planned = orlop("repair", data.path, f"DK08:{app.layers[1].chain_id}", "--content", "--dry-run")
    assert planned.code == 0, planned.err
    assert f"DK08:{app.layers[1].chain_id} --content" in planned.out, "the command that does the same"
    assert orlop("repair", data.path, "DK08", "--content", "--yes").code == 0
    assert not os.path.exists(data.at(layout.config("overlay2", app.id)))


def test_lost_names_need_consent(orlop: Orlop, data: DataRoot, app: Image) -> None:
    data.write(layout.tag_file("overlay2"), b"")
    refused = orlop("repair", data.path, "DK01", "--yes")
    assert refused.code == 4
    assert "--guess" in refused.out + refused.err
    assert orlop("repair", data.path, "DK01", "--guess", "--yes").code == 0
    assert orlop("check", data.path).code == 0


def test_what_nothing_needs_is_cleaned_and_frees_its_bytes(orlop: Orlop, data: DataRoot, app: Image) -> None:
    data.layer({"orphan": b"o" * 9000}, on=app.layers[0])
    data.write(f"overlay2/{'ab' * 32}/diff/file", b"x" * 9000)
    assert orlop("check", data.path).code == 1
    new = orlop("clean", data.path, "--dry-run")
    assert "nothing to remove" in new.out.lower(), "it is younger than a day"
    done = orlop("clean", data.path, "--before", "2100-01-01T00:00:00Z", "--yes")
    assert done.code == 0, done.err
    assert orlop("check", data.path).code == 0
    assert orlop("purge", data.path, "--yes").code == 0
