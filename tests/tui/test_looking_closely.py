from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from orlop import kinds
from orlop.records import Detail, Facet, Key, LayerRecord, Upload
from orlop.samples import DataRoot, make
from orlop_tui.app import OrlopApp
from orlop_tui.gateway import Gateway
from orlop_tui.screens.comparing import Side, compared
from orlop_tui.screens.frozen import Frozen, record_changes
from orlop_tui.screens.raw import hex_lines
from orlop_tui.screens.sharing import sharing_lines
from orlop_tui.screens.since import since_lines
from orlop_tui.widgets.lines import Line, LinesView


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make(str(tmp_path_factory.mktemp("looking"))).path


def texts(lines: Sequence[Line]) -> list[str]:
    return ["".join(piece.text for piece in each.spans) for each in lines]


def shown(app: OrlopApp) -> list[str]:
    return texts(app.screen.query_one("#said", LinesView).lines)


async def until(pilot: Pilot[None], holds: Callable[[], bool]) -> None:
    while not holds():
        await pilot.pause(0.01)


async def opened(app: OrlopApp, pilot: Pilot[None]) -> None:
    await until(pilot, lambda: bool(app.browse.stores))
    await until(pilot, lambda: app.browse._shown.detail is not None)


# --- raw


async def test_a_config_is_shown_as_json_text_and_hex(path: str) -> None:
    app = OrlopApp(Gateway([path], watching=False))
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        await pilot.press("r")
        await pilot.pause()
        await pilot.press("1")
        await until(pilot, lambda: app.screen.query("#said") is not None and shown(app)[:1] == ["{"])
        assert any('"rootfs": {' in line for line in shown(app))
        await pilot.press("h")
        await pilot.pause()
        assert shown(app)[0].startswith("00000000  7b 22")
        await pilot.press("t")
        await pilot.pause()
        assert shown(app)[0].startswith('{"')


def test_hex_has_offset_bytes_and_what_is_printable_of_them() -> None:
    assert hex_lines(b"orlop\x00\x1b]52;c;x\x07!") == [
        "00000000  6f 72 6c 6f 70 00 1b 5d  35 32 3b 63 3b 78 07 21  orlop..]52;c;x.!"
    ]
    assert hex_lines(b"ab")[0] == "00000000  61 62                                             ab"


# --- layers


def layer(name: str, size: int, *shared: str) -> LayerRecord:
    return LayerRecord(
        diff_id=f"sha256:{name * 64}", chain_id="", size=size, shared_with=shared, data_path=None, problem=""
    )


def detail(image: str, *layers: LayerRecord, config: dict[str, object] | None = None) -> Detail:
    return Detail(
        key=Key("", image, f"{image}:v1"), row=None, names=(f"{image}:v1",), config_path="", config_raw=None,
        config=config or {}, problems=(), layers=layers,
    )  # fmt: skip


def test_each_layer_says_which_images_share_it() -> None:
    found = texts(sharing_lines(detail("a", layer("1", 3_000_000, "b", "c"), layer("2", 1000)), {}, 80))
    assert found[0].split() == ["#", "LAYER", "SIZE", "A", "B"]
    assert found[1].split()[:4] == ["1", "1" * 12, "3.0", "MB"]
    assert found[1].endswith("x x")
    assert found[2].endswith("· ·  only this image")
    assert found[4] == "1.0 kB of 3.0 MB only here; 2 other images share the rest"


def test_more_images_than_there_is_room_for_are_still_named() -> None:
    many = [f"image{number:03}" for number in range(40)]
    found = texts(sharing_lines(detail("a", layer("1", 10, *many)), {}, 60))
    assert len(found[0].split()) == 3 + 10
    assert sum("1 layer" in line for line in found) == 40


# --- side by side


def test_two_images_say_what_both_have_and_what_only_one_has() -> None:
    left = detail("a", layer("1", 10), layer("2", 20), config={"config": {"Env": ["A=1", "TOKEN=x"], "User": "me"}})
    right = detail("b", layer("1", 10), layer("3", 30), config={"config": {"Env": ["A=1"], "User": "you"}})
    found = texts(compared(Side(store="docker", detail=left), Side(store="registry", detail=right), 0, 100))
    assert "Layers  1 layer of 2 and 2 from the base up are the same; 10 B shared" in found
    assert [line.split()[0] for line in found if line.startswith(("both  ", "left  ", "right  "))][2:] == [
        "both",
        "left",
        "right",
    ]
    at = found.index("config.User")
    assert [line.split() for line in found[at + 1 : at + 3]] == [["left", "me"], ["right", "you"]]
    assert not any("TOKEN=x" in line for line in found)


async def test_two_marked_images_are_compared(path: str) -> None:
    app = OrlopApp(Gateway([path], watching=False))
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        await pilot.press("C")
        assert "mark two images" in app.browse._remark[0].text
        await pilot.press("space", "j", "space", "C")
        await until(pilot, lambda: app.screen is not app.browse)
        await pilot.pause()
        assert shown(app)[0].startswith("left      docker:")


# --- frozen


async def test_a_frozen_list_stands_still_and_then_says_what_changed(tmp_path: Path) -> None:
    root = DataRoot.create(str(tmp_path / "docker"))
    one = root.image({"a": b"a"}, names=["app:v1"])
    app = OrlopApp(Gateway([str(tmp_path / "docker")], watching=False))
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        await pilot.press("f")
        store = app.browse.stores[0]
        assert store.frozen is not None
        frozen = store.frozen
        await until(pilot, lambda: len(frozen.records) == len(Facet))
        root.tag("app:v2", one.id)
        await pilot.press("R")
        await until(pilot, lambda: frozen.after is not None)
        assert [row.key.name for row in store.listing.rows] == ["app:v1"]
        assert "frozen" in app.browse.why_not("delete")
        await pilot.press("f")
        await until(pilot, lambda: app.screen is not app.browse)
        await until(pilot, lambda: bool(shown(app)))
        assert any(line.startswith("new       app:v2") for line in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: len(store.listing.rows) == 2)
        assert app.browse.why_not("delete") == ""


def test_records_that_came_went_and_changed_are_told_apart() -> None:
    one = Upload(repository="team/app", id="1", started=None, changed=0, bytes=10, path="")
    two = replace(one, id="2")
    found = list(record_changes((one, two), (replace(one, bytes=20), replace(one, id="3"))))
    assert [(change.word, change.text) for change in found] == [
        ("changed", "team/app/1"),
        ("new", "team/app/3"),
        ("gone", "team/app/2"),
    ]


async def test_a_snapshot_of_the_store_is_written_and_can_be_opened(path: str, tmp_path: Path) -> None:
    app = OrlopApp(Gateway([path], watching=False))
    file = tmp_path / "store.gz"
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        await pilot.press("E", *str(file), "enter")
        await until(pilot, file.exists)
        await pilot.pause()
    (store,) = kinds.open_all(str(file))
    assert len(store.rows().rows) > 20
    store.close()


def test_what_changed_and_who_shares_are_never_cut(path: str) -> None:
    (store,) = kinds.open_all(path)
    rows = store.rows()
    store.close()
    lines = texts(since_lines(Frozen(before=replace(rows, rows=()), after=rows), 74))
    name = next(row.key.name for row in rows.rows if row.key.name and "@" in row.key.name)
    assert max(map(len, lines)) <= 74
    assert name.partition("@")[2] in "".join(each[10:] for each in lines)
    key = Key("", "sha256:" + "ab" * 32, name)
    said = texts(sharing_lines(detail("a", layer("l", 1, key.id)), {key.id: key}, 74))
    assert max(map(len, said)) <= 74
    assert name.partition("@")[2] in "".join(each[4:] for each in said)
