from collections.abc import Sequence

import pytest
from textual.pilot import Pilot

from orlop.samples import make
from orlop_tui.app import OrlopApp
from orlop_tui.gateway import Gateway
from orlop_tui.screens.searching import Search
from orlop_tui.widgets.lines import LinesView


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make(str(tmp_path_factory.mktemp("searching"))).path


def shown(app: OrlopApp) -> Sequence[str]:
    view = app.screen.query_one("#said", LinesView)
    return ["".join(piece.text for piece in each.spans) for each in view.lines]


async def opened(app: OrlopApp, pilot: Pilot[None], *keys: str) -> None:
    while not app.browse.stores:
        await pilot.pause(0.01)
    await pilot.press(*keys)
    await pilot.pause()


async def test_every_action_is_listed_with_its_key_and_why_it_cannot_be_done_now(path: str) -> None:
    app = OrlopApp(Gateway([path], watching=False))
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot, "x")
        lines = shown(app)
        assert any(line.startswith("d ") and "plan to delete" in line for line in lines)
        assert any(line.startswith("l ") and "(not now:" in line for line in lines)


async def test_typing_narrows_the_actions_and_enter_does_the_one_under_the_cursor(path: str) -> None:
    app = OrlopApp(Gateway([path], watching=False))
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot, "x", *"problem row")
        assert [line.split()[0] for line in shown(app) if "only rows" in line] == ["p"]
        await pilot.press("enter")
        await pilot.pause()
        assert app.screen is app.browse
        assert app.browse.store is not None
        assert app.browse.store.listing.only_problems


async def test_an_action_that_cannot_be_done_says_why_and_stays(path: str) -> None:
    app = OrlopApp(Gateway([path], watching=False))
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot, "x", *"latest", "enter")
        assert isinstance(app.screen, Search)


async def test_the_help_is_searched_too_and_does_nothing(path: str) -> None:
    app = OrlopApp(Gateway([path], watching=False))
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot, "question_mark", *"size>")
        assert [line for line in shown(app) if line.strip()] == [
            "Filter: every word must hold",
            "size>1G own>100M    sizes; K M G T are powers of 1000",
        ]
        await pilot.press("enter")
        await pilot.pause()
        assert app.screen is app.browse


async def test_words_that_nothing_has_are_said(path: str) -> None:
    app = OrlopApp(Gateway([path], watching=False))
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot, "question_mark", *"qqq")
        assert shown(app) == ["nothing has qqq"]
