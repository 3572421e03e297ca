"""The browser through the real gateway, over the sample store: a change on the screen is a change on the disk."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.widgets import Input

from orlop import samples
from orlop_tui.app import OrlopApp
from orlop_tui.gateway import Gateway
from orlop_tui.remembered import Remembered
from orlop_tui.screens.changing import PlanDialog, TagDialog, UndoDialog
from orlop_tui.widgets.listing import Column, Sort


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    samples.make(str(folder))
    return folder


@pytest.fixture
def folder(sample: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sample, tmp_path / "store", symlinks=True))


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[OrlopApp]:
    app = OrlopApp(Gateway([str(folder)], watching=False), [str(folder)], unlocked=True)
    async with app.run_test(size=(120, 40), notifications=True, tooltips=True):
        await until(lambda: is_ready(app))
        yield app


def is_ready(app: OrlopApp) -> bool:
    store = app.browse.store
    return store is not None and store.unlocked and store.findings is not None


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - the app has no event for what is on the disk
            await asyncio.sleep(0.01)


def names(folder: Path) -> set[str]:
    tags = json.loads((folder / "image/overlay2/repositories.json").read_text())["Repositories"]
    return {name for repository in tags.values() for name in repository}


def jump_to(app: OrlopApp, name: str) -> None:
    assert app.browse.store is not None
    key = next(row.key for row in app.browse.store.snapshot.rows if row.key.name == name)
    assert app.browse.store.listing.jump(key)
    app.browse.table.sync()


def painted(app: OrlopApp, kind: type[PlanDialog] | type[UndoDialog] | type[TagDialog]) -> bool:
    return isinstance(app.screen, kind) and app.screen.check_action("apply", ()) is True


async def test_a_tag_is_deleted_and_given_back(folder: Path) -> None:
    async with opened(folder) as app:
        before = names(folder)
        jump_to(app, "ghcr.io/acme/web:2026.06")
        app.simulate_key("d")
        await until(lambda: painted(app, PlanDialog))
        assert names(folder) == before
        app.simulate_key("D")
        await until(lambda: names(folder) == before - {"ghcr.io/acme/web:2026.06"})
        await until(lambda: not app.browse.changes.busy)
        assert app.browse.store is not None
        assert app.browse.store.unlocked
        assert all(row.key.name != "ghcr.io/acme/web:2026.06" for row in app.browse.store.snapshot.rows)
        app.simulate_key("z")
        await until(lambda: painted(app, UndoDialog))
        app.simulate_key("D")
        await until(lambda: names(folder) == before and not app.browse.changes.busy)


async def test_a_tag_is_given_and_the_cursor_stays_with_its_row(folder: Path) -> None:
    async with opened(folder) as app:
        jump_to(app, "redis:7")
        app.simulate_key("t")
        await until(lambda: painted(app, TagDialog))
        app.screen.query_one("#typed", Input).value = "cache/redis:stable"
        app.simulate_key("enter")
        await until(lambda: painted(app, PlanDialog))
        app.simulate_key("D")
        await until(lambda: "cache/redis:stable" in names(folder) and not app.browse.changes.busy)
        assert app.browse.row is not None
        assert app.browse.row.key.name == "redis:7"


async def test_the_list_is_sorted_and_filtered_as_it_was_in_the_last_session(folder: Path, tmp_path: Path) -> None:
    for keys in (("s", "s", "slash", *"layer:a !redis", "enter"), ()):
        memory = Remembered(str(tmp_path / "state"))
        app = OrlopApp(Gateway([str(folder)], watching=False), [str(folder)], remembered=memory)
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            await until(lambda app=app: app.browse.store is not None)  # type: ignore[misc]
            await pilot.press(*("space" if key == " " else key for key in keys))
            await app.workers.wait_for_complete()
            assert app.browse.store is not None
            listing = app.browse.store.listing
            assert listing.sort == Sort(Column.SIZE, reverse=True)
            await until(lambda listing=listing: listing.filter.text == "layer:a !redis")  # type: ignore[misc]
            assert app.browse.entry.value == "layer:a !redis"
            assert 0 < len(listing) < len(listing.rows)
