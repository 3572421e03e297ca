"""The whole program while its store is beaten: a flood of events, a store that goes and comes back."""

import asyncio
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from orlop.samples import DataRoot
from orlop_tui.app import OrlopApp
from orlop_tui.gateway import Gateway

EVENTS = 30_000

FLOOD = """\
import os, sys
for number in range(int(sys.argv[2])):
    passing = os.path.join(sys.argv[1], f".tmp-{number}")
    open(passing, "wb").close()
    os.unlink(passing)
"""


async def until(pilot: Pilot[None], holds: Callable[[], bool]) -> None:
    while not holds():
        await pilot.pause(0.02)


def names(app: OrlopApp) -> list[str | None]:
    return [row.key.name for row in app.browse.stores[0].listing.rows]


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    root = DataRoot.create(str(tmp_path / "docker"))
    base = root.image({"a": b"a"}, names=["app:v1"])
    root.image({"b": b"b"}, on=base, names=["app:v2"])
    return root


@pytest.mark.long
async def test_a_flood_of_events_leaves_the_keys_alive_and_the_rows_right(root: DataRoot) -> None:
    app = OrlopApp(Gateway([root.path], poll=0.5))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: bool(app.browse.stores) and app.browse.stores[0].live.startswith("live"))
        folder = Path(root.at("image/overlay2/imagedb/content/sha256"))

        image = app.browse.stores[0].listing.rows[0].key.id
        flooding = await asyncio.create_subprocess_exec(sys.executable, "-c", FLOOD, str(folder), str(EVENTS))
        turns = 0  # of the loop: pilot.press would wait until the whole process has nothing to do
        while flooding.returncode is None:
            app.simulate_key("j" if turns % 2 == 0 else "k")
            await asyncio.sleep(0.005)
            turns += 1
        await flooding.wait()
        assert flooding.returncode == 0
        root.tag("app:v3", image)
        await until(pilot, lambda: "app:v3" in names(app))
        assert turns > 10
        assert names(app) == ["app:v1", "app:v2", "app:v3"]


async def test_a_store_that_vanishes_and_comes_back_is_shown_again(root: DataRoot, tmp_path: Path) -> None:
    app = OrlopApp(Gateway([root.path], poll=0.05))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: bool(app.browse.stores) and bool(app.browse.stores[0].live))
        away = str(tmp_path / "away")
        shutil.move(root.path, away)
        await pilot.press("j", "d")
        await pilot.pause()
        await pilot.press("escape", "escape", "k")
        await until(pilot, lambda: app.browse.stores[0].live.startswith("STALE"))
        shutil.move(away, root.path)
        await until(pilot, lambda: app.browse.stores[0].live.startswith("live"))
        root.tag("app:v3", app.browse.stores[0].snapshot.rows[0].key.id)
        await until(pilot, lambda: "app:v3" in names(app))
        assert app._exception is None


async def test_a_store_that_is_wiped_is_shown_as_empty_and_filled_again(root: DataRoot) -> None:
    app = OrlopApp(Gateway([root.path], poll=0.05))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: bool(app.browse.stores) and bool(app.browse.stores[0].live))
        shutil.rmtree(root.path)
        await pilot.press("j", "r")
        await pilot.pause()
        await pilot.press("escape")
        again = DataRoot.create(root.path)
        again.image({"c": b"c"}, names=["other:v1"])
        await until(pilot, lambda: names(app) == ["other:v1"])
