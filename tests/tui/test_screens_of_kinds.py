"""The browser over a registry's and an ACI store's sample: what is seen of them, and changed on the disk."""

import asyncio
import os
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from orlop import samples
from orlop.records import Facet, Flag, Key, Row
from orlop.rkt import layout
from orlop_tui.app import OrlopApp
from orlop_tui.gateway import Gateway
from orlop_tui.screens.asking import CleanDialog, FetchDialog, RefusalNotice
from orlop_tui.screens.changing import PlanDialog, TagDialog, UndoDialog
from orlop_tui.screens.dialog import Ask, Dialog, Menu, Notice
from orlop_tui.screens.stores import OpenStore
from orlop_tui.widgets.shown import Pane

REPOSITORIES = "docker/registry/v2/repositories"


@dataclass
class Seat:
    """A person before the screen."""

    app: OrlopApp
    folder: Path

    @property
    def store(self) -> OpenStore:
        assert self.app.browse.store is not None
        return self.app.browse.store

    @property
    def screen(self) -> str:
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.app.simulate_key(key)

    async def until(self, true: Callable[[], object]) -> None:
        try:
            async with asyncio.timeout(15):
                while not true():
                    assert self.app._exception is None
                    await asyncio.sleep(0.02)
        except TimeoutError:
            pytest.fail(f"it never came to that; on the screen:\n{self.screen}")

    async def shows(self, *texts: str) -> None:
        await self.until(lambda: all(text in self.screen for text in texts))

    async def dialog(self, kind: type[Dialog[Any]]) -> None:
        await self.until(lambda: isinstance(self.app.screen, kind) and self.app.screen.is_painted)

    async def applied(self) -> None:
        """Apply the plan that is asked for, and wait for its end."""
        await self.dialog(PlanDialog)
        self.press("D")
        await self.until(lambda: self.app.screen is self.app.browse and not self.app.browse.changes.busy)
        await self.until(lambda: "done: " in self.screen)

    def row(self, name: str) -> Row:
        return next(row for row in self.store.snapshot.rows if name in (row.key.name, row.key.id))

    def put_on(self, key: Key) -> None:
        assert self.store.listing.jump(key)
        self.app.browse.table.sync()

    def names(self) -> set[str]:
        return {row.key.name for row in self.store.snapshot.rows if row.key.name is not None}

    def path(self, *parts: str) -> Path:
        return self.folder.joinpath(*parts)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    samples.make_registry(str(folder / "registry"))
    samples.make_rkt(str(folder / "rkt"))
    return folder


@pytest.fixture
def registry(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "registry", tmp_path / "registry", symlinks=True))


@pytest.fixture
def rkt(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "rkt", tmp_path / "rkt", symlinks=True))


@asynccontextmanager
async def opened(
    *folders: Path, size: tuple[int, int] = (120, 50), unlocked: bool = True, watching: bool = False
) -> AsyncIterator[Seat]:
    paths = [str(folder) for folder in folders]
    app = OrlopApp(Gateway(paths, watching=watching, poll=0.1), paths, unlocked=unlocked)
    async with app.run_test(size=size, notifications=True, tooltips=True):
        seat = Seat(app, folders[0])
        await seat.until(lambda: len(app.browse.stores) == len(folders))
        await seat.until(lambda: all(store.findings is not None for store in app.browse.stores))
        await seat.until(lambda: not unlocked or all(store.unlocked for store in app.browse.stores))
        yield seat


def tags(folder: Path, repository: str) -> set[str]:
    return set(os.listdir(folder / REPOSITORIES / repository / "_manifests/tags"))


def in_registry(names: Iterable[str], repository: str) -> set[str]:
    return {name.rpartition(":")[2] for name in names if name.rpartition(":")[0] == repository}


# --- seeing


@pytest.mark.parametrize("size", [(60, 12), (80, 24), (120, 40), (200, 50)])
async def test_a_registry_fits_every_size(registry: Path, size: tuple[int, int]) -> None:
    async with opened(registry, size=size, unlocked=False) as seat:
        for text in ("registry", "REPOSITORY", "TAG", "STATE", "library/base", "READ-ONLY"):
            assert text in seat.screen
        assert all(len(line) <= size[0] for line in seat.screen.split("\n"))


async def test_a_registry_says_that_no_lock_tells_whether_its_registry_is_stopped(registry: Path) -> None:
    async with opened(registry, unlocked=False) as seat:
        assert "no lock: stopped?" in seat.screen
        assert "repositories" in seat.screen
        seat.press("i", "3")
        await seat.shows("This store", "of blobs, each once", "a registry locks nothing")


async def test_a_platform_stands_under_its_index_and_is_followed_from_it(registry: Path) -> None:
    async with opened(registry, size=(80, 40)) as seat:
        seat.put_on(seat.row("team/web:2.1").key)
        await seat.shows("└ linux/amd64")
        browse = seat.app.browse
        seat.press("enter")
        await seat.shows("Platforms")
        seat.press("enter")
        await seat.until(lambda: browse.row is not None and browse.row.under is not None)
        await seat.shows("Under")


async def test_uploads_have_a_pane_and_a_number_beside_its_title(registry: Path) -> None:
    async with opened(registry, size=(80, 24)) as seat:
        seat.press("5")
        await seat.shows("[5 Uploads 2]", "2 uploads in the whole store", "team/api/0f6a1c2e")
        seat.press("a")
        await seat.shows("0 uploads in library/base", "a: 2 more in the whole store")


async def test_an_aci_store_shows_its_columns_and_its_remote_records(rkt: Path) -> None:
    async with opened(rkt, size=(80, 24)) as seat:
        await seat.shows("NAME", "VERSION", "LATEST", "example.com/etcd")
        seat.put_on(next(row.key for row in seat.store.snapshot.rows if row.tag == "3.3.2"))
        seat.press("3")
        await seat.shows("https://example.com/etcd-3.3.2.aci", 'ETag     "5c3-9f"', "1 d: ")
        seat.press("a")
        await seat.shows("4 remote records in the whole store, 1 with a fault first", "lost.aci", "Fault")


async def test_what_a_kind_has_no_use_for_says_why(rkt: Path) -> None:
    async with opened(rkt) as seat:
        for key, reason in (
            ("5", "only a registry's storage keeps uploads"),
            ("t", "an ACI's name is part of its manifest"),
            ("X", "only a registry has repositories"),
        ):
            seat.press(key)
            await seat.shows(reason)
        assert seat.app.screen is seat.app.browse


async def test_three_kinds_stand_beside_each_other_with_their_own_words(
    registry: Path, rkt: Path, tmp_path: Path
) -> None:
    samples.make(str(tmp_path / "docker"))
    async with opened(registry, rkt, tmp_path / "docker", size=(200, 50)) as seat:
        await seat.shows("> registry", "rkt", "docker:overlay2", " repo", " img")
        seat.press("o")
        await seat.shows("of blobs", "of images and trees", "of layers")
        seat.press("2")
        await seat.shows("LATEST", "USED", "VERSION")
        assert seat.app.browse.pane is Pane.META


# --- changing a registry


async def test_a_registry_is_unlocked_only_after_the_person_stated_that_it_is_stopped(registry: Path) -> None:
    async with opened(registry, unlocked=False) as seat:
        seat.press("exclamation_mark")
        await seat.dialog(Ask)
        await seat.shows("Nothing proves that the registry is stopped")
        seat.app.screen.query_one("#typed", Input).value = "offline"
        seat.press("enter")
        await seat.until(lambda: seat.store.unlocked and seat.store.offline)


async def test_a_tag_is_given_in_the_rows_own_repository_and_taken_away_alone(registry: Path) -> None:
    async with opened(registry) as seat:
        seat.put_on(seat.row("team/api:2.0").key)
        seat.press("t")
        await seat.dialog(TagDialog)
        typed = seat.app.screen.query_one("#typed", Input)
        assert typed.value == "team/api:"
        typed.value = "team/api:Bad Tag"
        await seat.shows("a tag is 1 to 128")
        typed.value = "team/api:stable2"
        await seat.shows("team/api:stable2 is new")
        seat.press("enter")
        await seat.applied()
        assert "stable2" in tags(registry, "team/api")
        seat.put_on(seat.row("team/api:stable2").key)
        seat.press("T")
        await seat.applied()
        assert tags(registry, "team/api") == {"2.0", "stable"}


async def test_a_name_that_begins_like_a_host_is_none_in_a_registry(registry: Path) -> None:
    async with opened(registry) as seat:
        seat.put_on(seat.row("library/base:1.0").key)
        seat.press("t")
        await seat.dialog(TagDialog)
        seat.app.screen.query_one("#typed", Input).value = "library/base:2.0"
        await seat.shows("library/base:2.0 is new")
        seat.app.screen.query_one("#typed", Input).value = "library/base:latest"
        await seat.shows("library/base:latest is a name of this manifest already")


async def test_marked_rows_of_a_registry_are_removed_and_given_back(registry: Path) -> None:
    async with opened(registry) as seat:
        before = seat.names()
        for number, name in enumerate(("team/api:2.0", "team/api:stable"), 1):
            seat.put_on(seat.row(name).key)
            seat.press("space")
            await seat.until(partial(_are_marked, seat, number))
        seat.press("d")
        await seat.dialog(PlanDialog)
        await seat.shows("Basis", "no lock: stopped?")
        seat.press("D")
        await seat.until(lambda: "done: " in seat.screen or "and Enter to apply" in seat.screen)
        if isinstance(seat.app.screen, PlanDialog):  # the repository's last tags: the number is asked for
            seat.app.screen.query_one("#typed", Input).value = str(_weight(seat.app.screen))
            seat.press("enter")
        await seat.until(lambda: not in_registry(seat.names(), "team/api"))
        assert not tags(registry, "team/api")
        await seat.until(lambda: not seat.app.browse.changes.busy)
        seat.press("z")
        await seat.dialog(UndoDialog)
        seat.press("D")
        await seat.until(lambda: seat.names() == before)


def _are_marked(seat: Seat, number: int) -> bool:
    return len(seat.store.listing.marks) == number


def _weight(dialog: PlanDialog) -> int:
    from orlop_tui.format import weight

    return weight(dialog.plan)[0]


async def test_a_whole_repository_goes_with_a_key_of_its_own(registry: Path) -> None:
    async with opened(registry) as seat:
        seat.put_on(seat.row("team/web/worker:nightly").key)
        seat.press("X")
        await seat.dialog(PlanDialog)
        await seat.shows("--repository team/web/worker")
        seat.press("D")
        await seat.until(lambda: "type 1 and Enter" in seat.screen or "done: " in seat.screen)
        if isinstance(seat.app.screen, PlanDialog):
            seat.app.screen.query_one("#typed", Input).value = "1"
            seat.press("enter")
        await seat.until(lambda: "team/web/worker:nightly" not in seat.names())
        assert not (registry / REPOSITORIES / "team/web/worker/_manifests").exists()


async def test_cleaning_asks_for_an_age_and_shows_its_plan_first(registry: Path) -> None:
    async with opened(registry) as seat:
        seat.press("c")
        await seat.dialog(CleanDialog)
        await seat.shows("24h: only what", "[ ] manifests without a tag stay")
        seat.press("n", "a")
        await seat.shows("[x] manifests without a tag go too")
        typed = seat.app.screen.query_one("#typed", Input)
        typed.value = "soon"
        seat.press("enter")
        await seat.shows("is no age")
        typed.value = "2d"
        seat.press("enter")
        await seat.shows("2d: only what")
        seat.press("enter")
        await seat.dialog(PlanDialog)
        await seat.shows("--untagged", "--offline")
        seat.press("escape")
        await seat.until(lambda: seat.app.screen is seat.app.browse)


async def test_an_upload_is_dropped_from_its_line(registry: Path) -> None:
    async with opened(registry, size=(80, 24)) as seat:
        seat.press("5")
        await seat.shows("[5 Uploads 2]")
        seat.press("tab", "d")
        await seat.applied()
        await seat.until(lambda: len(_records(seat, Facet.UPLOADS)) == 1)
        assert not os.listdir(registry / REPOSITORIES / "team/api/_uploads")


async def test_uploads_that_were_left_are_dropped_by_age(registry: Path) -> None:
    async with opened(registry, size=(80, 24)) as seat:
        seat.press("5", "c")
        await seat.dialog(CleanDialog)
        await seat.shows("uploads that clients began and left", "7d: only what")
        seat.press("enter")
        await seat.applied()
        await seat.until(lambda: not _records(seat, Facet.UPLOADS))


async def test_what_can_be_proved_is_put_right_and_the_findings_go(registry: Path) -> None:
    async with opened(registry) as seat:
        proved = [finding for finding in seat.store.findings or () if finding.repair == "A"]
        assert proved
        seat.press("P")
        await seat.until(lambda: isinstance(seat.app.screen, Menu | PlanDialog))
        if isinstance(seat.app.screen, Menu):
            await seat.dialog(Menu)
            seat.press("a")
        await seat.applied()
        gone = {finding.identity for finding in proved}
        await seat.until(lambda: not gone & {finding.identity for finding in seat.store.findings or ()})


async def test_a_finding_that_nothing_can_put_right_is_refused_in_words(registry: Path) -> None:
    async with opened(registry) as seat:
        findings = seat.store.findings or ()
        lost = next(finding for finding in findings if finding.rule == "RG05")
        seat.put_on(seat.row(lost.names[0]).key)
        await seat.shows("Names    tools/scanner:0.9", "its blob is missing")
        seat.press("4", "tab")
        await seat.shows("RG05", "P repair")
        seat.press("P")
        await seat.until(lambda: isinstance(seat.app.screen, Menu | RefusalNotice))
        if isinstance(seat.app.screen, Menu):
            await seat.dialog(Menu)
            seat.press("t")
        await seat.dialog(RefusalNotice)
        await seat.shows("The store refuses this", "nothing here can give it back")


# --- changing an ACI store


async def test_the_mark_of_the_latest_is_set_and_taken_away(rkt: Path) -> None:
    async with opened(rkt) as seat:
        key = next(row.key for row in seat.store.snapshot.rows if row.tag == "3.3.2")
        seat.put_on(key)
        seat.press("l")
        await seat.applied()
        assert Flag.LATEST not in seat.row(key.id).flags
        seat.put_on(key)
        seat.press("l")
        await seat.dialog(PlanDialog)
        seat.press("D")
        await seat.until(lambda: Flag.LATEST in seat.row(key.id).flags)


async def test_a_remote_record_that_leads_nowhere_is_forgotten_from_its_line(rkt: Path) -> None:
    async with opened(rkt, size=(80, 24)) as seat:
        seat.press("3", "a")
        await seat.shows("4 remote records")
        seat.press("tab", "d")
        await seat.applied()
        await seat.until(lambda: len(_records(seat, Facet.REMOTES)) == 3)
        await seat.shows("3 remote records in the whole store")


async def test_an_image_of_an_aci_store_is_removed_and_given_back(rkt: Path) -> None:
    async with opened(rkt) as seat:
        key = next(row.key for row in seat.store.snapshot.rows if row.tag == "3.2.0")
        seat.put_on(key)
        seat.press("d")
        await seat.applied()
        assert key not in {row.key for row in seat.store.snapshot.rows}
        seat.press("z")
        await seat.dialog(UndoDialog)
        seat.press("D")
        await seat.until(lambda: key in {row.key for row in seat.store.snapshot.rows})


async def test_an_aci_store_is_cleaned_of_what_was_left(rkt: Path) -> None:
    async with opened(rkt) as seat:
        assert (rkt / "cas/tmp/803417265").exists()
        seat.press("c")
        await seat.dialog(CleanDialog)
        assert "Untagged" not in seat.screen
        seat.press("enter")
        await seat.applied()
        assert not (rkt / "cas/tmp/803417265").exists()


async def test_where_nothing_is_to_be_cleaned_the_plan_says_so_and_has_nothing_to_apply(tmp_path: Path) -> None:
    samples.RegistryRoot.create(str(tmp_path / "r")).image("a/b", {"x": b"x"}, tags=["1"])
    async with opened(tmp_path / "r") as seat:
        seat.press("c")
        await seat.dialog(CleanDialog)
        seat.press("enter")
        await seat.dialog(PlanDialog)
        await seat.shows("none: nothing has to be changed")
        seat.press("D")
        await seat.shows("there is nothing to apply")
        assert isinstance(seat.app.screen, PlanDialog)


async def test_an_image_that_changed_at_its_url_is_fetched_planned_and_taken_in(tmp_path: Path) -> None:
    store = samples.AciRoot.create(str(tmp_path / "rkt"))
    newer = samples.AciRoot.create(str(tmp_path / "newer"))
    image = newer.image("example.com/app", version="2", files={"bin/app": b"two"})
    with serving(Path(newer.at(layout.blob(image.key)))) as url:
        older = store.image("example.com/app", version="1", files={"bin/app": b"one"})
        store.remote(url, older, etag='"one"')
        store.settle()
        async with opened(tmp_path / "rkt", size=(80, 40)) as seat:
            seat.press("3")
            await seat.shows(url)
            seat.press("F")
            await seat.dialog(FetchDialog)
            await seat.shows("Fetch an image over the network", "each fetch asks again")
            assert image.key not in {row.id for row in seat.store.snapshot.rows}
            seat.press("D")
            await seat.dialog(PlanDialog)
            await seat.shows("Learned", "are added")
            assert os.listdir(tmp_path / "rkt/cas/.orlop/incoming")
            seat.press("D")
            await seat.until(lambda: image.key in {row.id for row in seat.store.snapshot.rows})
            await seat.until(lambda: not seat.app.browse.changes.busy)
            seat.put_on(seat.row(image.key).key)
            seat.press("3")
            await seat.shows(url, 'ETag     "two"')
            assert not (tmp_path / "rkt/cas/.orlop/incoming").exists()


@contextmanager
def serving(image: Path) -> Iterator[str]:
    """A server on this host that has one image, and no signature of it; gives its URL."""
    body = image.read_bytes()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/app.aci"
            self.send_response(200 if found else 404)
            self.send_header("ETag", '"two"')
            self.send_header("Content-Length", str(len(body) if found else 0))
            self.end_headers()
            self.wfile.write(body if found else b"")

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/app.aci"
        finally:
            server.shutdown()
            thread.join()


def _records(seat: Seat, facet: Facet) -> tuple[object, ...]:
    found = seat.store.records.get(facet)
    return found if isinstance(found, tuple) else ()


# --- following the disk


async def test_an_image_that_is_pushed_into_a_registry_shows_with_the_cursor_where_it_was(registry: Path) -> None:
    async with opened(registry, watching=True) as seat:
        await seat.until(lambda: seat.store.live.startswith("live"))
        cursor = seat.row("team/api:2.0").key
        seat.put_on(cursor)
        root = samples.RegistryRoot(str(registry))
        root.image("team/api", {"srv/new": b"new"}, tags=["3.0"])
        await seat.until(lambda: "team/api:3.0" in seat.names())
        root.image("brand/new", {"srv/new": b"other"}, tags=["1"])
        await seat.until(lambda: "brand/new:1" in seat.names())
        assert seat.store.listing.cursor == cursor
        shutil.rmtree(registry / REPOSITORIES / "brand")
        await seat.until(lambda: "brand/new:1" not in seat.names())


async def test_a_registry_is_looked_at_again_though_no_event_came_and_says_when(registry: Path) -> None:
    async with opened(registry, watching=True) as seat:
        await seat.until(lambda: seat.store.looked_at > seat.store.snapshot.seen_at)


async def test_a_row_that_is_added_to_an_aci_store_shows(rkt: Path) -> None:
    async with opened(rkt, watching=True) as seat:
        await seat.until(lambda: seat.store.live.startswith("live"))
        before = len(seat.store.snapshot.rows)
        root = samples.AciRoot(str(rkt), "ql")
        root.image("example.com/pushed", version="1", files={"bin/x": b"x"})
        await seat.until(lambda: len(seat.store.snapshot.rows) == before + 1)
        await seat.shows("example.com/pushed")


async def test_notes_and_errors_of_a_hostile_registry_are_drawn_safely(registry: Path) -> None:
    odd = registry / REPOSITORIES / "x\x1b]52;c;SEVMTE8=\x07" / "_manifests/tags/\u202e1"
    odd.mkdir(parents=True)
    async with opened(registry, size=(80, 24)) as seat:
        for key in ("G", "1", "4", "a", "5", "i", "escape", "question_mark", "escape", "d"):
            seat.press(key)
            await asyncio.sleep(0.02)
            assert all(line.isprintable() for line in seat.screen.split("\n"))
        await seat.until(lambda: isinstance(seat.app.screen, PlanDialog | Notice))
        assert all(line.isprintable() for line in seat.screen.split("\n"))
