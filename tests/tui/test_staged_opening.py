"""A large store shows its names before the rest of it is read."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orlop import kinds
from orlop.docker import layout
from orlop.errors import OrlopError
from orlop.records import Snapshot, Trust
from orlop.samples import DataRoot
from orlop_tui.gateway import Gateway, opening
from orlop_tui.messages import AllOpened, OpenFailed, StoreOpened, StoreRead

NAMES = 2500


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store of one image with very many names."""
    data = DataRoot.create(str(tmp_path_factory.mktemp("large") / "docker"))
    made = data.image({"a": b"x"}, names=["base:1"])
    names = {f"app{number:05}": {f"app{number:05}:1": made.id} for number in range(NAMES)}
    raw = json.dumps({"Repositories": names}, separators=(",", ":"))
    Path(data.at(layout.tag_file(data.driver))).write_text(raw)
    return data.path


class Desk:
    """Stands in for the app."""

    def __init__(self) -> None:
        self.got: list[object] = []
        self._news = threading.Condition()

    def post_message(self, message: object) -> bool:
        with self._news:
            self.got.append(message)
            self._news.notify_all()
        return True

    def call_after_refresh(self, callback: Callable[[], object]) -> bool:
        return True

    def wait(self, kind: type) -> None:
        with self._news:
            assert self._news.wait_for(lambda: any(isinstance(one, kind) for one in self.got), 20)


@pytest.fixture
def opened(store: str) -> Iterator[Callable[[], Desk]]:
    gateways: list[Gateway] = []

    def go() -> Desk:
        desk = Desk()
        gateway = Gateway([store])
        gateways.append(gateway)
        gateway.attach(desk)  # type: ignore[arg-type]
        gateway.open()
        desk.wait(AllOpened)
        return desk

    yield go
    for gateway in gateways:
        gateway.close()


def test_the_first_names_come_before_all_names_and_those_before_the_rest(opened: Callable[[], Desk]) -> None:
    told = [one for one in opened().got if isinstance(one, StoreOpened | StoreRead)]
    assert [type(one) for one in told] == [StoreOpened, StoreRead, StoreRead]
    first, names, whole = (one.snapshot for one in told)
    assert [one.partial for one in (first, names, whole)] == [True, True, False]
    assert 100 < len(first.rows) < NAMES == len(names.rows)
    keys = [row.key for row in whole.rows]
    assert [row.key for row in first.rows] == keys[: len(first.rows)]
    assert [row.key for row in names.rows] == keys
    assert {(row.trust, row.size) for row in names.rows} == {(Trust.LISTED, None)}
    assert {row.size for row in whole.rows} == {1}


def test_a_small_store_is_read_at_once(tmp_path: Path) -> None:
    data = DataRoot.create(str(tmp_path / "docker"))
    data.image({"a": b"x"}, names=["base:1"])
    told: list[Snapshot] = []
    kinds.open_all(data.path, early=told.append)[0].close()
    assert told == []


def test_what_is_asked_of_a_store_that_could_not_be_read_is_answered(
    opened: Callable[[], Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    from orlop_tui.gateway.slots import open_all as really

    def fail(path: str, progress: object, early: Callable[[Snapshot], None] | None = None) -> object:
        def names(snapshot: Snapshot) -> None:
            assert early is not None
            early(snapshot)
            if len(snapshot.rows) == NAMES:
                raise OrlopError("the disk is gone")

        return really(path, progress, names)  # type: ignore[arg-type]

    monkeypatch.setattr(opening, "open_all", fail)
    monkeypatch.setattr("orlop_tui.gateway.following.open_all", fail)
    desk = opened()
    failed = [one for one in desk.got if isinstance(one, OpenFailed)]
    assert [one.error.what for one in failed] == ["the disk is gone"]
    assert [one.count for one in desk.got if isinstance(one, AllOpened)] == [0]


async def test_the_cursor_and_the_marks_stay_when_the_rest_is_read(store: str) -> None:
    from orlop_tui.app import OrlopApp

    taken: list[Snapshot] = []
    whole = kinds.open_all(store, early=taken.append)[0].rows()

    class Quiet(Gateway):
        """Opens nothing by itself."""

        def open(self) -> None:
            pass

    app = OrlopApp(Quiet([store]), [store])
    async with app.run_test(size=(120, 40)) as pilot:
        browse = app.browse
        app.post_message(StoreOpened(0, taken[0], path=store))
        await pilot.pause()
        await pilot.press("j", "j", "space")
        assert browse.store is not None
        under, marked = browse.store.listing.cursor, browse.store.listing.marks
        assert browse.why_not("delete") == "the store is still being read"
        assert not browse.why_not("filter")
        assert browse.store.counts.spans() == []
        for snapshot in (taken[1], whole):
            app.post_message(StoreRead(0, snapshot))
            await pilot.pause()
            assert (browse.store.listing.cursor, browse.store.listing.marks) == (under, marked)
        assert len(browse.store.listing.shown) == NAMES
        assert browse.why_not("delete") == ""
