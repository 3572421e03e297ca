"""overlay2's short names: what keeps a layer from being mounted is found, and told once."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from orlop import kinds
from orlop.docker import layout
from orlop.finding import Finding, Severity
from orlop.progress import Silent
from orlop.records import Key
from orlop.samples import DataRoot
from orlop.samples.docker import Layer


class Shop:
    """Two images on one base, and a container on one of them."""

    def __init__(self, path: str) -> None:
        self.data = DataRoot.create(path, driver="overlay2")
        base = self.data.image({"a": b"a"}, {"b": b"b"}, names=["base:1"])
        self.base = base
        self.web = self.data.image({"w": b"w"}, on=base, names=["web:1"])
        self.api = self.data.image({"p": b"p"}, on=base, names=["api:1"])
        self.container = self.data.container("kept", self.api)

    def at(self, path: str) -> Path:
        return Path(self.data.at(path))

    def link_of(self, layer: Layer) -> Path:
        return self.at(layout.link(layer.link))

    def lower_of(self, layer: Layer) -> Path:
        return self.at(f"overlay2/{layer.cache_id}/lower")

    def findings(self, *keys: Key) -> list[Finding]:
        store = kinds.open(self.data.path)
        try:
            found = store.check(keys or None, content=False, progress=Silent())
            return [one for one in found if one.severity.is_damage]
        finally:
            store.close()


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(str(tmp_path / "docker"))


def test_sound_names_are_no_finding(shop: Shop) -> None:
    assert shop.findings() == []


def leads_elsewhere(shop: Shop, layer: Layer) -> None:
    shop.link_of(layer).unlink()
    shop.link_of(layer).symlink_to("../../etc")


def file_in_its_place(shop: Shop, layer: Layer) -> None:
    shop.link_of(layer).unlink()
    shop.link_of(layer).write_bytes(b"")


LINKS: dict[str, tuple[Callable[[Shop, Layer], object], str]] = {
    "link file empty": (lambda shop, layer: shop.at(layout.link_file(layer.cache_id)).write_bytes(b""), "it is empty"),
    "link file missing": (lambda shop, layer: shop.at(layout.link_file(layer.cache_id)).unlink(), "it is missing"),
    "link file a path": (
        lambda shop, layer: shop.at(layout.link_file(layer.cache_id)).write_bytes(b"../x"),
        "it is no name",
    ),
    "link missing": (lambda shop, layer: shop.link_of(layer).unlink(), "is missing"),
    "link elsewhere": (leads_elsewhere, "it leads to ../../etc"),
    "file in its place": (file_in_its_place, "a file is in the place of the link"),
}


@pytest.mark.parametrize("what", LINKS)
def test_a_broken_name_is_told_once_with_all_that_stand_on_it(shop: Shop, what: str) -> None:
    hurt, clause = LINKS[what]
    hurt(shop, shop.base.layers[0])
    [found] = shop.findings()
    assert (found.rule, found.severity) == ("DK10", Severity.UNUSABLE)
    assert clause in found.detail
    assert set(found.images) == {shop.base.id, shop.web.id, shop.api.id}
    assert found.containers == (shop.container,)


def test_a_copied_layer_in_the_place_of_its_link_can_be_mounted(shop: Shop) -> None:
    """As a copy of the data root has it that followed links."""
    link = shop.link_of(shop.base.layers[0])
    link.unlink()
    link.mkdir()
    [found] = shop.findings()
    assert (found.rule, found.severity) == ("DK10", Severity.LATENT)


LOWERS: dict[str, tuple[Callable[[Shop], bytes | None], str]] = {
    "missing": (lambda shop: None, "the list of the 2 layers below is missing"),
    "empty": (lambda shop: b"", "it lists 0 layers, and 2 are below"),
    "short": (lambda shop: f"l/{shop.base.layers[1].link}".encode(), "it lists 1 layers, and 2 are below"),
    "turned round": (
        lambda shop: f"l/{shop.base.layers[0].link}:l/{shop.base.layers[1].link}".encode(),
        "where ../",
    ),
    "gone names": (lambda shop: b"l/AAAAAAAAAAAAAAAAAAAAAAAAAA:l/B", "which is missing"),
    "garbage": (lambda shop: b"\0\xff:/etc", "where the name of"),
}


@pytest.mark.parametrize("what", LOWERS)
def test_a_broken_list_of_lower_layers_is_told(shop: Shop, what: str) -> None:
    content, clause = LOWERS[what]
    top = shop.web.layers[-1]
    data = content(shop)
    shop.lower_of(top).unlink() if data is None else shop.lower_of(top).write_bytes(data)
    [found] = shop.findings()
    assert (found.rule, found.path) == ("DK10", f"overlay2/{top.cache_id}/lower")
    assert clause in found.detail
    assert found.images == (shop.web.id,)


def test_a_list_at_the_bottom_is_told(shop: Shop) -> None:
    shop.lower_of(shop.base.layers[0]).write_bytes(b"l/X")
    [found] = shop.findings()
    assert "stands on none" in found.detail


def test_all_links_lost_is_one_finding(shop: Shop) -> None:
    shutil.rmtree(shop.at("overlay2/l"))
    [found] = shop.findings()
    assert (found.rule, found.path, len(found.images)) == ("DK10", "overlay2/l", 3)


def test_a_containers_own_names_are_looked_at(shop: Shop) -> None:
    mount = (shop.at(f"{layout.mounts('overlay2')}/{shop.container}") / "mount-id").read_text()
    shop.at(layout.link_file(mount)).write_bytes(b"")
    [found] = shop.findings()
    assert (found.rule, found.severity, found.containers) == ("DK10", Severity.LATENT, (shop.container,))
    assert found.images == ()


@pytest.mark.parametrize("state", ["Dead", "RemovalInProgress"])
def test_what_is_left_of_a_container_that_goes_is_no_damage(shop: Shop, state: str) -> None:
    mount = (shop.at(f"{layout.mounts('overlay2')}/{shop.container}") / "mount-id").read_text()
    shop.at(layout.link_file(mount)).unlink()
    assert len(shop.findings()) == 1
    record = shop.at(layout.container(shop.container)) / "config.v2.json"
    record.write_bytes(record.read_bytes().replace(f'"{state}":false'.encode(), f'"{state}":true'.encode()))
    assert shop.findings() == []


def test_only_the_names_of_some_rows_are_looked_at(shop: Shop) -> None:
    shop.link_of(shop.web.layers[-1]).unlink()
    assert shop.findings(Key("", shop.api.id, "api:1")) == []
    assert [one.rule for one in shop.findings(Key("", shop.web.id, "web:1"))] == ["DK10"]


def test_a_layer_whose_folder_is_gone_is_told_as_that(shop: Shop) -> None:
    layer = shop.base.layers[0]
    shutil.rmtree(shop.at(f"overlay2/{layer.cache_id}"))
    shop.link_of(layer).unlink()
    assert [one.rule for one in shop.findings()] == ["DK07"]


def test_a_hostile_name_is_not_opened(shop: Shop) -> None:
    pipe = shop.at(layout.link_file(shop.web.layers[-1].cache_id))
    pipe.unlink()
    os.mkfifo(pipe)
    [found] = shop.findings()
    assert found.rule == "DK10"
    assert "fifo" in found.detail
