"""The browser and its dialogs over a stand-in for the gateway, with records made by hand."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from textual.app import App
from textual.message import Message
from textual.pilot import Pilot
from textual.widgets import Input

from orlop.errors import Cancelled, Changed, Locked, NeedsStatement, NotAStore, OrlopError
from orlop.finding import Finding, Repair, Severity
from orlop.intent import Import, Intent, Remove, Tag, Unmap, Untag
from orlop.plan import Plan, Quarantine, Reason, Refusal
from orlop.records import (
    Absent,
    Condition,
    Delta,
    Detail,
    EngineState,
    Facet,
    Flag,
    HistoryEntry,
    Holding,
    Key,
    LayerRecord,
    Mapping,
    Note,
    Records,
    Remote,
    Row,
    Snapshot,
    StoreId,
    Trust,
    Why,
)
from orlop_tui import messages
from orlop_tui.app import OrlopApp
from orlop_tui.screens import dialog as dialog_module
from orlop_tui.screens.changing import PlanDialog, PurgeDialog, TagDialog, UndoDialog, UnfinishedDialog
from orlop_tui.screens.dialog import Ask, Confirm, Menu, Notice
from orlop_tui.screens.journal import JournalDialog
from orlop_tui.widgets.shown import Pane

SEEN = 1_800_000_000_000_000_000
SIZES = [(80, 24), (120, 40), (200, 50)]
OSC = "redis\x1b]52;c;SEVMTE8=\x07"
MARKUP = "[@click=app.quit]x[/] [/nope] [bold]"
BIDI = "abc\u202egnp.exe"


def identity(number: int) -> str:
    return f"sha256:{number:02x}" + f"{number * 7919:062x}"


def row(name: str | None, number: int, **changes: Any) -> Row:
    repository, _, tag = (name or "").rpartition(":")
    made = Row(
        key=Key("", identity(number), name),
        repository=repository,
        tag=tag,
        created=SEEN - number * 86_400_000_000_000,
        size=412_000_000,
        own_size=number * 10_000_000,
        platform="linux/amd64",
        trust=Trust.LINKED,
        verified_at=None,
        condition=Condition.SOUND,
        flags=frozenset() if name else frozenset({Flag.UNTAGGED}),
        reason="",
    )
    return replace(made, **changes)


ROWS = (
    row("ghcr.io/acme/batch:rc3", 1, trust=Trust.LISTED),
    row("ghcr.io/acme/web:2026.07", 2),
    row("ghcr.io/acme/web:2026.08", 3),
    row("nginx:latest", 4),
    row("postgres:16", 5, condition=Condition.DAMAGED, reason="its config has 0 bytes"),
    row(f"{OSC}:7", 6, flags=frozenset({Flag.ODD_NAME})),
    row(f"{MARKUP}:8", 7, flags=frozenset({Flag.ODD_NAME})),
    row(f"{BIDI}:9", 8, flags=frozenset({Flag.ODD_NAME})),
    row(None, 9),
)
STORE = StoreId(kind="docker", scope="overlay2", path="/var/lib/docker", token="t")


def snapshot(rows: Sequence[Row] = ROWS, **changes: Any) -> Snapshot:
    made = Snapshot(
        identity=STORE,
        rows=tuple(rows),
        images=len({r.key.id for r in rows}),
        total_size=38_200_000_000,
        seen_at=SEEN,
        engine=EngineState.STOPPED,
        engine_text="its lock was free",
        notes=(),
    )
    return replace(made, **changes)


DIFF = identity(0xD1)
BLOB = identity(0xB1)
MAPPING = Mapping(
    diff_id=DIFF,
    digest=BLOB,
    source="ghcr.io/acme/base",
    authenticated=False,
    images=(ROWS[0].key.id,),
    layer_known=True,
    reverse=DIFF,
    stale=False,
    reason="",
    path="image/overlay2/distribution/v2metadata-by-diffid/sha256/d1",
)
STALE = replace(MAPPING, digest=identity(0xB2), source=MARKUP, stale=True, reason="the layer is gone")


def detail(of: Row) -> Detail:
    return Detail(
        key=of.key,
        row=of,
        names=(of.key.name,) if of.key.name else (),
        config_path=f"image/overlay2/imagedb/content/sha256/{of.key.id[7:]}",
        config_raw=b"{}",
        config={"config": {"Cmd": ["sh", "-c", f"echo {OSC}"], "Env": ["TOKEN=hunter2"], "Labels": {MARKUP: BIDI}}},
        problems=(of.reason,) if of.reason else (),
        history=(
            HistoryEntry(created=SEEN, created_by=f"RUN {OSC}\n[/]", comment="", author="", empty=False, layer=0),
        ),
        layers=(
            LayerRecord(
                diff_id=DIFF,
                chain_id=DIFF,
                size=120_000_000,
                shared_with=(identity(3),),
                data_path="overlay2/abc/diff",
                problem="",
            ),
        ),
        parent=identity(2),
        parent_known=True,
    )


REMOTE = Remote(kind="digest reference", reference=f"ghcr.io/acme/web@{identity(0xEE)}", image_known=True)

FINDINGS = (
    Finding(
        rule="DK01",
        title="config-empty",
        severity=Severity.UNUSABLE,
        path=f"image/overlay2/imagedb/content/sha256/{OSC}",
        detail="0 bytes, where a config was expected [/]",
        engine_says="unexpected end of JSON input",
        repair=Repair.QUARANTINE,
        images=(ROWS[4].key.id,),
        names=("postgres:16",),
    ),
    Finding(
        rule="DK18",
        title="leftover",
        severity=Severity.SPACE,
        path="image/overlay2/layerdb/tmp/x",
        detail="a transaction that was cut off",
        engine_says="",
        repair=Repair.REMOVE,
    ),
)


def plan_for(intent: Intent, *, weighty: bool = False, mark: str = "") -> Plan:
    subject = intent.keys[0].name or "" if isinstance(intent, Remove) else "x:1"
    return Plan(
        action="delete 1 tag, 1 image",
        kind="docker",
        store="t",
        intent=intent,
        steps=(Quarantine(path=f"image/x{mark}", kind="file", inode=1, bytes=4096),),
        reasons=(
            Reason(verb="untag", subject=subject),
            *(Reason(verb="remove", subject=f"image {identity(n)}") for n in range(23 if weighty else 0)),
            Reason(verb="layer", subject="7 layers", because="only this image used them"),
            Reason(verb="keep", subject="9 layers", because="4 other images need them"),
        ),
        images=tuple(identity(n) for n in range(23 if weighty else 1)),
        bytes_now=0,
        bytes_freed=1_700_000_000,
        bytes_kept=300_000_000,
        weighty=weighty,
    )


@dataclass
class Receipt:
    change: str = "c1"
    action: str = "delete 1 tag, 1 image"
    steps: int = 1
    bytes_freed: int = 0
    bytes_quarantined: int = 4096
    findings: tuple[Finding, ...] = ()
    remarks: tuple[str, ...] = ()


PAST = messages.PastChange(
    id="c1",
    at=SEEN,
    action=f"delete {OSC}",
    state="done",
    bytes=4096,
    by="root",
    lines=("quarantine image/x",),
    back=("file image/x comes back",),
)


class StandIn:
    """Answers at once, as the real gateway would, and remembers what it was asked."""

    def __init__(self, *snapshots: Snapshot) -> None:
        self.snapshots = list(snapshots)
        self.asked: list[tuple[Any, ...]] = []
        self.failures: dict[str, OrlopError] = {}
        self.plans: Callable[[Intent], Plan | Refusal] = plan_for
        self.past: tuple[messages.PastChange, ...] = ()
        self.unfinished: messages.PastChange | None = None
        self.mappings: Records | Absent = (MAPPING, STALE)
        self.of_store: dict[Facet, Records | Absent] = {
            Facet.MAPPINGS: (MAPPING, STALE),
            Facet.REMOTES: (REMOTE,),
            Facet.UPLOADS: (),
        }
        self.fetched: Intent = Import(staged="0" * 16)
        self.whys: dict[tuple[int, str], Why] = {}
        self.held: dict[tuple[Holding, str], frozenset[str]] = {}
        self.in_the_way: OrlopError | None = None
        self.mute: set[str] = set()
        self.running = False
        self.app: App[Any] | None = None

    def attach(self, app: App[Any]) -> None:
        self.app = app

    def _answer(self, action: str, index: int | None, message: Message, *said: object) -> None:
        assert self.app is not None
        self.asked.append((action, *said))
        if action in self.failures:
            message = messages.Failed(index, action, self.failures[action])
        if action not in self.mute:
            self.app.post_message(message)

    def calls(self, action: str) -> list[tuple[Any, ...]]:
        return [call[1:] for call in self.asked if call[0] == action]

    def open(self) -> None:
        assert self.app is not None
        for index, found in enumerate(self.snapshots):
            opened = messages.StoreOpened(index, found, path="/var/lib/docker", unfinished=self.unfinished)
            self.app.post_message(opened)
        if "open" in self.failures:
            self.app.post_message(messages.OpenFailed("/nowhere", self.failures["open"]))
        self.app.post_message(messages.AllOpened(len(self.snapshots)))

    def detail(self, index: int, key: Key) -> None:
        found = next((r for r in self.snapshots[index].rows if r.key == key), None)
        assert found is not None
        answer = messages.DetailReady(index, key, detail(found), self.mappings, (REMOTE,))
        self._answer("detail", index, answer, index, key)

    def details(self, wanted: Sequence[tuple[int, Key]]) -> None:
        found = tuple(
            (index, key, detail(next(r for r in self.snapshots[index].rows if r.key == key))) for index, key in wanted
        )
        self._answer("details", None, messages.DetailsReady(found), tuple(wanted))

    def records(self, index: int, facet: Facet) -> None:
        self._answer(f"records {facet}", index, messages.RecordsReady(index, facet, self.of_store[facet]), index)

    def fetch(self, index: int, url: str) -> None:
        self._answer(
            "fetch", index, messages.ImageFetched(index, self.fetched, ("the signature was not checked",)), url
        )

    def discard(self, index: int, intent: Intent) -> None:
        self.asked.append(("discard", intent))

    def check(self, index: int) -> None:
        self._answer("check", index, messages.Findings(index, FINDINGS), index)

    def why(self, text: str) -> None:
        answers = tuple(
            messages.Explanation(index=index, why=self.whys.get((index, text))) for index in range(len(self.snapshots))
        )
        self._answer("why", None, messages.Explained(text, answers), text)

    def holders(self, index: int, words: Sequence[tuple[Holding, str]]) -> None:
        answers = tuple((holding, text, self.held.get((holding, text), frozenset())) for holding, text in words)
        self._answer("holders", index, messages.HoldersReady(index, answers), tuple(words))

    def freed(self, index: int, keys: frozenset[Key]) -> None:
        self._answer("freed", index, messages.FreedReady(index, keys, 1_000_000 * len(keys)), keys)

    def plan(self, index: int, intent: Intent) -> None:
        self._answer("plan", index, messages.PlanReady(index, self.plans(intent)), intent)

    def probe(self, index: int, *, offline: bool) -> None:
        if offline:
            self.failures.pop("unlock", None)
        self._answer("unlock", index, messages.Writable(index, "its lock", offline=offline), offline)

    def apply(self, index: int, plan: Plan, *, offline: bool) -> None:
        self._answer("apply", index, messages.Applied(index, "apply", Receipt()), plan, offline)

    def undo(self, index: int, change: str | None, *, offline: bool) -> None:
        self._answer("undo", index, messages.Applied(index, "undo", Receipt()), change)

    def finish(self, index: int, *, offline: bool) -> None:
        self._answer("finish", index, messages.Applied(index, "finish", Receipt()), index)

    def purge(self, index: int, changes: Sequence[str], *, offline: bool) -> None:
        self._answer("purge", index, messages.Applied(index, "purge", Receipt(bytes_freed=4096)), tuple(changes))

    def preview(self, index: int, change: str) -> None:
        self._answer("preview", index, messages.Previewed(index, change, self.in_the_way), change)

    def journal(self, index: int) -> None:
        self._answer("journal", index, messages.JournalReady(index, self.past), index)

    def rescan(self, index: int) -> None:
        self._answer("rescan", index, changed(self.snapshots[index], index), index)

    def save_plan(self, plan: Plan, path: str) -> None:
        self._answer("save plan", None, messages.PlanSaved(path), path)

    def verify(self, index: int, keys: Sequence[Key] | None, *, again: bool = False) -> None:
        self.asked.append(("verify", index, None if keys is None else tuple(keys), again))

    def measure(self, index: int) -> None:
        self.asked.append(("measure", index))

    def pause(self, job: int) -> None:
        self.asked.append(("pause", job))

    def resume(self, job: int) -> None:
        self.asked.append(("resume", job))

    def cancel(self, job: int) -> None:
        self.asked.append(("cancel", job))

    def snapshot(self, index: int, path: str) -> None: ...

    def copy(self, what: str, text: str | Sequence[str]) -> None:
        self._answer("copy", None, messages.Copied(what, "terminal"), what, text)

    def stop(self) -> bool:
        was, self.running = self.running, False
        return was

    def close(self) -> None:
        self.asked.append(("close",))


def changed(after: Snapshot, index: int = 0, *, added: Sequence[Key] = (), removed: Sequence[Key] = ()) -> Message:
    delta = Delta(snapshot=after, added=frozenset(added), removed=frozenset(removed), changed=frozenset())
    return messages.StoreChanged(index, delta)


@dataclass
class Seat:
    """A person before the screen."""

    app: OrlopApp
    gateway: StandIn
    pilot: Pilot[None]

    async def press(self, *keys: str) -> None:
        for key in keys:
            self.app.simulate_key(key)
            await self.settle()

    async def rush(self, *keys: str) -> None:
        """Keys as a terminal gives them that has them all at once: none waits for what the one before led to."""
        for key in keys:
            self.app.simulate_key(key)
        await self.settle()

    async def settle(self) -> None:
        """Wait until every message is handled and everything is laid out; much sooner than the pilot is sure of it."""
        quiet = 0
        async with asyncio.timeout(60):
            while quiet < 3:
                await asyncio.sleep(0.001)
                quiet = 0 if self._is_busy() else quiet + 1

    def _is_busy(self) -> bool:
        assert self.app._exception is None
        pumps = [self.app, *self.app.screen_stack]
        pumps += [widget for screen in self.app.screen_stack for widget in screen.walk_children()]
        screen = self.app.screen
        waiting = screen._layout_required or screen._dirty_widgets or screen._callbacks
        return bool(waiting) or any(pump.message_queue_size for pump in pumps)

    async def tell(self, message: Message) -> None:
        self.app.post_message(message)
        await self.settle()

    async def type(self, text: str) -> None:
        name = "#filter" if self.top is self.app.browse else "#typed"
        self.app.screen.query_one(name, Input).value = text
        await self.settle()

    @property
    def screen(self) -> str:
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)

    @property
    def top(self) -> object:
        return self.app.screen

    @property
    def cursor(self) -> Key | None:
        store = self.app.browse.store
        return None if store is None else store.listing.cursor


@asynccontextmanager
async def seated(
    gateway: StandIn | None = None, size: tuple[int, int] = (80, 24), *, unlocked: bool = False
) -> AsyncIterator[Seat]:
    gateway = gateway or StandIn(snapshot())
    app = OrlopApp(gateway, ["/var/lib/docker"], unlocked=unlocked)
    async with app.run_test(size=size, notifications=True, tooltips=True) as pilot:
        seat = Seat(app, gateway, pilot)
        await seat.settle()
        yield seat


def nothing_was_changed(gateway: StandIn) -> bool:
    return not any(gateway.calls(action) for action in ("apply", "undo", "finish", "purge"))


# --- what is on the screen


@pytest.mark.parametrize("size", SIZES)
async def test_list_panes_and_keys_are_shown_at_every_size(size: tuple[int, int]) -> None:
    async with seated(size=size) as seat:
        shown = seat.screen
        for text in ("docker:overlay2", "9 images", "1 BAD", "READ-ONLY", "REPOSITORY", "listed", "? help", "q quit"):
            assert text in shown
        assert "[1 Meta]" in shown
        assert all(len(text) <= size[0] for text in shown.split("\n"))


async def test_eighty_columns_show_a_whole_digest_on_one_line() -> None:
    async with seated() as seat:
        assert f"Image    {ROWS[0].key.id}" in seat.screen


async def test_a_narrow_pane_breaks_a_digest_once_at_its_half() -> None:
    async with seated(size=(120, 40)) as seat:
        whole = ROWS[0].key.id
        assert f"Image    {whole[:39]}" in seat.screen
        assert f"                {whole[39:]}" in seat.screen


async def test_side_by_side_the_other_panes_need_no_key() -> None:
    async with seated(size=(120, 40)) as seat:
        for title in ("──── 2 Digests", "──── 3 Remote", "──── 4 Problems"):
            assert title in seat.screen


async def test_two_hundred_columns_show_the_stores_and_their_health() -> None:
    async with seated(StandIn(snapshot(), snapshot(ROWS[:2])), (200, 50)) as seat:
        for text in ("STORES", "> docker:overlay2", "HEALTH", "1 S2 unusable", "QUARANTINE", "AGE", "SIZE"):
            assert text in seat.screen


@pytest.mark.parametrize("size", [(59, 24), (80, 11)])
async def test_too_small_a_screen_says_so_and_keys_still_work(size: tuple[int, int]) -> None:
    async with seated(size=size) as seat:
        assert "orlop needs 60 columns and 12 lines" in seat.screen
        await seat.press("j")
        assert seat.cursor == ROWS[1].key


async def test_sixty_by_twelve_shows_the_list_alone() -> None:
    async with seated(size=(60, 12)) as seat:
        assert "REPOSITORY" in seat.screen
        assert "Meta" not in seat.screen
        await seat.press("enter")
        assert "[1 Meta]" in seat.screen
        await seat.press("escape")
        assert "REPOSITORY" in seat.screen


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_nothing_of_a_hostile_store_is_drawn_raw_or_acts(size: tuple[int, int]) -> None:
    async with seated(size=size) as seat:
        drawn = seat.screen
        for key in ("end", "2", "3", "4", "a", "enter", "escape", "question_mark", "escape", "y", "escape", "d"):
            await seat.press(key)
            drawn += seat.screen
        assert all(text.isprintable() for text in drawn.split("\n"))
        assert "redis␛]52;c;" in drawn
        assert "[@click=app" in drawn


async def test_secrets_in_a_config_are_masked() -> None:
    async with seated(size=(120, 60)) as seat:
        await seat.press("enter")
        assert "TOKEN=" in seat.screen
        assert "hunter2" not in seat.screen


async def test_the_frame_is_there_before_the_store_is_read() -> None:
    gateway = StandIn(snapshot())
    opened: list[str] = []
    gateway.open = lambda: opened.append(seat_screen(app))  # type: ignore[method-assign]
    app = OrlopApp(gateway, ["/var/lib/docker"])
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert "reading /var/lib/docker" in opened[0]


def seat_screen(app: OrlopApp) -> str:
    return "\n".join("".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips())


async def test_a_store_that_cannot_be_opened_says_what_where_why_and_what_to_do() -> None:
    gateway = StandIn()
    gateway.failures["open"] = NotAStore("no store is here", path="/nowhere", why="it is empty", do="name another")
    async with seated(gateway) as seat:
        for text in ("no store is here", "/nowhere", "it is empty", "name another", "q quits"):
            assert text in seat.screen
        await seat.press("d", "t", "s", "slash", "space", "z")
        assert "no store is open" in seat.screen


async def test_an_empty_store_and_an_empty_filter_say_what_helps() -> None:
    async with seated(StandIn(snapshot(()))) as seat:
        assert "this store holds no images" in seat.screen
    async with seated() as seat:
        await seat.press("slash")
        await seat.type("zzz")
        assert "no row is shown: 9 rows hidden" in seat.screen


async def test_notes_of_the_store_are_announced_and_shown() -> None:
    noted = snapshot(notes=(Note(text=f"a hidden store {OSC}", path="containerd", unreadable=True),))
    async with seated(StandIn(noted)) as seat:
        assert "1 note: i" in seat.screen
        await seat.press("i")
        assert "a hidden store redis␛" in seat.screen
        assert "its lock was free" in seat.screen


# --- moving, sorting, filtering, marking


async def test_the_cursor_moves_and_its_image_is_shown() -> None:
    async with seated() as seat:
        await seat.press("j", "j", "k", "down")
        assert seat.cursor == ROWS[2].key
        assert f"Image    {ROWS[2].key.id}" in seat.screen
        await seat.press("G")
        assert seat.cursor == ROWS[-1].key
        await seat.press("g")
        assert seat.cursor == ROWS[0].key


async def test_while_one_image_is_read_only_the_last_of_those_passed_is_asked_next() -> None:
    async with seated() as seat:
        seat.gateway.mute.add("detail")
        await seat.press("j", "j", "j")
        assert len(seat.gateway.calls("detail")) == 2
        seat.gateway.mute.clear()
        await seat.tell(messages.DetailReady(0, ROWS[1].key, detail(ROWS[1]), Absent(because="x"), Absent(because="x")))
        assert seat.gateway.calls("detail")[-1] == (0, ROWS[3].key)
        assert f"Image    {ROWS[3].key.id}" in seat.screen


async def test_sorting_by_menu_by_key_and_by_a_click() -> None:
    async with seated() as seat:
        await seat.press("s", "o")
        assert "OWN v" in seat.screen
        assert seat.app.browse.store is not None
        assert seat.app.browse.store.listing.shown[0] == ROWS[-1]
        await seat.press("S")
        assert "OWN ^" in seat.screen
        await seat.pilot.click("#head", offset=(5, 0))
        await seat.settle()
        assert "REPOSITORY ^" in seat.screen


async def test_the_filter_narrows_while_it_is_typed_and_says_what_it_does_not_understand() -> None:
    async with seated() as seat:
        await seat.press("slash", "a", "c", "m", "e")
        assert "3 of 9 rows" in seat.screen
        await seat.type("acme own>")
        assert "needs an amount, such as own>100M" in seat.screen
        assert seat.screen.count("ghcr.io/acme") >= 3
        assert "nginx" not in seat.screen
        await seat.press("escape")
        assert "filter none" in seat.screen
        assert seat.app.browse.table.has_focus


async def test_marks_show_what_they_free_together_and_how_many_are_hidden() -> None:
    async with seated(size=(120, 40)) as seat:
        await seat.press("space", "j", "space")
        assert "3 marked" not in seat.screen
        assert "2 marked, frees 2.0 MB, 0 hidden" in seat.screen
        await seat.press("slash", "w", "e", "b", "enter")
        assert "2 marked, frees 1.0 MB, 1 hidden" in seat.screen
        await seat.press("escape", "escape")
        assert "marked" not in seat.screen


async def test_a_change_on_disk_leaves_the_cursor_on_its_image() -> None:
    async with seated() as seat:
        await seat.press("j", "j", "space", "k")
        kept = seat.cursor
        await seat.tell(changed(snapshot(ROWS[1:]), removed=[ROWS[0].key]))
        assert seat.cursor == kept == ROWS[2].key
        assert "on disk: 1 gone" in seat.screen
        assert seat.app.browse.store is not None
        assert seat.app.browse.store.listing.marks == {ROWS[2].key}


ARMED = "dD!zJqQtTiuRpm"
"""Letters that are commands in the list."""


@pytest.mark.parametrize("pane", [False, True])
async def test_what_is_typed_in_one_go_after_the_filter_key_is_the_filter(pane: bool) -> None:
    async with seated(unlocked=True) as seat:
        await seat.rush(*(["2", "tab"] if pane else ["j"]), "slash", *ARMED)
        assert seat.app.browse.entry.value == ARMED
        assert seat.top is seat.app.browse
        assert seat.gateway.calls("plan") == []
        await seat.rush("escape", "slash", *"nginx", "enter", "d")
        assert seat.gateway.calls("plan") == [(Remove(keys=(ROWS[3].key,)),)]


async def test_keys_before_the_filter_key_come_before_it() -> None:
    async with seated() as seat:
        await seat.rush("j", "space", "slash", *"nginx", "enter")
        assert seat.app.browse.store is not None
        assert seat.app.browse.store.listing.marks == {ROWS[1].key}


async def test_what_is_typed_in_one_go_after_the_go_to_key_is_where_to_go() -> None:
    async with seated(unlocked=True) as seat:
        await seat.rush("number_sign", *ARMED)
        assert isinstance(seat.top, Ask)
        assert seat.top.typed == ARMED
        await seat.rush("escape", "number_sign", *"nginx:latest", "enter", "d")
        assert seat.gateway.calls("plan") == [(Remove(keys=(ROWS[3].key,)),)]


async def test_what_is_typed_in_one_go_after_the_tag_key_is_the_name() -> None:
    async with seated(unlocked=True) as seat:
        await seat.rush("t", *"dd/q:D1")
        assert isinstance(seat.top, TagDialog)
        assert seat.top.typed == "dd/q:D1"
        await seat.rush("enter", "D")
        assert seat.gateway.calls("plan") == [(Tag(image=ROWS[0].key.id, name="dd/q:D1"),)]
        assert nothing_was_changed(seat.gateway)


async def test_what_is_typed_in_one_go_after_the_palette_key_is_looked_for() -> None:
    async with seated(unlocked=True) as seat:
        await seat.rush("colon", *ARMED)
        assert seat.app.screen.query_one(Input).value == ARMED
        assert seat.gateway.calls("plan") == []


async def test_keys_typed_in_one_go_with_the_key_of_a_dialog_do_not_reach_it() -> None:
    gateway = StandIn(snapshot())
    gateway.past = (PAST,)
    async with seated(gateway, unlocked=True) as seat:
        await seat.rush("z", "D")
        await seat.rush("escape")
        await seat.rush("d", "D", "D")
        assert nothing_was_changed(gateway)


async def test_go_to_takes_a_row_number_an_id_or_a_name() -> None:
    async with seated() as seat:
        for text, expected in (("3", 2), (ROWS[4].key.id[7:20], 4), ("nginx:latest", 3)):
            await seat.press("number_sign")
            assert isinstance(seat.top, Ask)
            await seat.type(text)
            await seat.press("enter")
            assert seat.cursor == ROWS[expected].key


# --- panes


async def test_panes_open_by_number_and_by_brackets() -> None:
    async with seated() as seat:
        for key, title in (("2", "[2 Digests]"), ("right_square_bracket", "[3 Remote]"), ("4", "[4 Problems")):
            await seat.press(key)
            assert title in seat.screen
        await seat.press("left_square_bracket")
        assert REMOTE.reference[-64:] in seat.screen


async def test_a_stale_mapping_is_marked_with_its_reason() -> None:
    async with seated() as seat:
        await seat.press("2", "enter")
        assert "STALE" in seat.screen
        assert "the layer is gone" in seat.screen
        assert BLOB in seat.screen


async def test_the_panes_let_go_of_an_image_that_is_gone_and_say_that_no_row_is_there() -> None:
    async with seated(size=(120, 40)) as seat:
        await seat.press("j", "j", "j", "slash", *"nginx", "enter")
        assert f"Image    {ROWS[3].key.id[:39]}" in seat.screen
        await seat.tell(changed(snapshot(ROWS[:3]), removed=[ROWS[3].key]))
        assert "Image  " not in seat.screen
        assert seat.screen.count("no row is under the cursor") == 3
        await seat.press("escape")
        assert "Image  " in seat.screen


async def test_a_whole_digest_is_shown_once_for_all_sources_of_a_layer() -> None:
    gateway = StandIn(snapshot())
    gateway.mappings = (MAPPING, replace(MAPPING, source="b"), replace(MAPPING, source="c"), STALE)
    async with seated(gateway) as seat:
        await seat.press("2", "enter")
        assert seat.screen.count(BLOB) == 1
        assert seat.screen.count(BLOB[7:19]) == 4
        await seat.pilot.resize_terminal(140, 40)
        await seat.press("enter")
        await seat.settle()
        assert f"{BLOB}  ghcr.io/acme/base" in seat.screen


async def test_the_layers_of_an_unreadable_config_are_unknown_and_not_none() -> None:
    gateway = StandIn(snapshot([replace(ROWS[4], size=None, own_size=None)]))
    async with seated(gateway) as seat:
        seen = detail(ROWS[4])
        bare = replace(seen, row=gateway.snapshots[0].rows[0], layers=())
        await seat.tell(messages.DetailReady(0, ROWS[4].key, bare, gateway.mappings, (REMOTE,)))
        await seat.press("enter")
        assert "Layers   ?" in seat.screen
        assert "of which other images" not in seat.screen


async def test_problems_only_keeps_what_a_check_found_fault_with() -> None:
    gateway = StandIn(snapshot())
    async with seated(gateway) as seat:
        await seat.press("p")
        assert seat.app.browse.store is not None
        listing = seat.app.browse.store.listing
        assert {r.key.name for r in listing.shown} == {ROWS[n].key.name for n in (0, 4, 5, 6, 7)}
        late = replace(FINDINGS[0], severity=Severity.LATENT, images=(ROWS[8].key.id,), names=())
        named = replace(late, images=(ROWS[2].key.id,), names=("nginx:latest",))
        harmless = replace(late, severity=Severity.INFORMATION, images=(ROWS[1].key.id,))
        await seat.tell(messages.Findings(0, (late, named, harmless)))
        assert [r.key for r in listing.shown] == [ROWS[n].key for n in (0, 3, 4, 5, 6, 7, 8)]


async def test_what_a_store_lacks_is_said_in_a_sentence() -> None:
    gateway = StandIn(snapshot())
    gateway.mappings = Absent(because="this store keeps no such records")
    async with seated(gateway) as seat:
        await seat.press("2")
        assert "this store keeps no such records" in seat.screen


async def test_a_finding_of_the_whole_store_leads_to_its_row() -> None:
    async with seated() as seat:
        await seat.press("4")
        assert "0 findings in this row  a: 2 more in the whole store" in seat.screen
        await seat.press("a", "tab", "enter")
        assert seat.cursor == ROWS[4].key


async def test_a_parent_is_followed_with_enter() -> None:
    async with seated(size=(80, 50)) as seat:
        await seat.press("tab", "enter")
        assert seat.cursor == ROWS[1].key


# --- plans


async def test_delete_shows_the_plan_while_writing_is_locked_and_applies_nothing() -> None:
    async with seated() as seat:
        await seat.press("d")
        assert isinstance(seat.top, PlanDialog)
        assert seat.gateway.calls("plan") == [(Remove(keys=(ROWS[0].key,)),)]
        for text in ("Delete 1 tag, 1 image", "only this image used them", "4 other images need them"):
            assert text in seat.screen
        for text in (
            "Space    0 B now, 1.7 GB after a purge; 300.0 MB of layers stay",
            "orlop rm /var/lib/docker ghcr.io/acme/batch:rc3",
            "keep everything",
        ):
            assert text in seat.screen
        await seat.press("D")
        assert "writing is locked: ! unlocks it" in seat.screen
        assert nothing_was_changed(seat.gateway)


def layered_plan(intent: Intent) -> Plan:
    """A plan over nine layers that stay and one that goes."""
    kept = [Reason(verb="keep", subject=f"layer {identity(n)}", because=f"needed by image {DIFF}") for n in range(9)]
    gone = Reason(verb="layer", subject=BLOB, because="137000 bytes; nothing else needs it")
    image = Reason(verb="remove", subject=f"image {DIFF}", because="its last name goes")
    return replace(plan_for(intent), reasons=(image, gone, *kept), kept_for=4)


async def test_a_plan_fits_its_dialog_short_digests_bytes_first_and_layers_that_stay_summed_up() -> None:
    gateway = StandIn(snapshot())
    gateway.plans = layered_plan
    async with seated(gateway) as seat:
        await seat.press("d")
        lines = [text.strip(" │") for text in seat.screen.split("\n")]
        headline = lines.index("Delete 1 tag, 1 image")
        assert lines[headline + 1].startswith("Space ")
        assert f"image {DIFF[7:19]}  (its last name goes)" in seat.screen
        assert f"{BLOB[7:19]}  (137.0 kB; nothing else needs it)" in seat.screen
        assert "9 layers stay, needed by 4 other images" in seat.screen
        assert DIFF not in seat.screen
        assert "keep everything" in seat.screen
        await seat.press("tab")
        assert seat.screen.count(f"needed by image {DIFF[7:19]}") == 9
        await seat.press("tab")
        assert "9 layers stay" in seat.screen
        assert nothing_was_changed(gateway)


async def test_the_steps_of_a_past_change_are_short_until_all_are_asked_for() -> None:
    gateway = StandIn(snapshot())
    paths = [f"layerdb/sha256/{identity(n)[7:]}" for n in range(7)]
    lines, back = (f"quarantine {path}" for path in paths), (f"folder {path} comes back" for path in paths)
    gateway.past = (replace(PAST, lines=tuple(lines), back=tuple(back)),)
    async with seated(gateway, unlocked=True) as seat:
        for key in ("z", "J"):
            await seat.press(key)
            assert f"layerdb/sha256/{identity(0)[7:19]}…" in seat.screen
            assert "and 3 more steps" in seat.screen
            await seat.press("tab")
            assert f"layerdb/sha256/{identity(6)[7:19]}…" in seat.screen
            await seat.press("escape")


@pytest.mark.parametrize("key", ["enter", "escape"])
async def test_enter_and_escape_keep_everything(key: str) -> None:
    async with seated(unlocked=True) as seat:
        await seat.press("d", "d", "d", key)
        assert seat.top is seat.app.browse
        assert nothing_was_changed(seat.gateway)


async def test_unlocking_in_the_dialog_lets_the_other_key_apply() -> None:
    async with seated() as seat:
        await seat.press("d", "exclamation_mark", "D")
        applied = seat.gateway.calls("apply")
        assert len(applied) == 1
        assert applied[0][1] is False
        assert "done: delete 1 tag" in seat.screen
        assert "UNLOCKED" in seat.screen


async def test_marked_rows_that_are_hidden_are_not_in_the_plan_and_it_says_so() -> None:
    async with seated() as seat:
        await seat.press("asterisk", "slash", "w", "e", "b", "enter", "d")
        assert seat.gateway.calls("plan") == [(Remove(keys=(ROWS[1].key, ROWS[2].key)),)]
        assert "7 marked rows hidden by the filter" in seat.screen


async def test_with_every_mark_hidden_nothing_is_planned() -> None:
    async with seated() as seat:
        await seat.press("space", "slash", "w", "e", "b", "enter", "d")
        assert not seat.gateway.calls("plan")
        assert "marked rows are hidden" in seat.screen


async def test_marks_go_once_the_change_is_done() -> None:
    async with seated(unlocked=True) as seat:
        await seat.press("space", "space", "d", "D")
        assert seat.app.browse.store is not None
        assert not seat.app.browse.store.listing.marks


async def test_marks_stay_when_the_change_failed_and_the_error_stays_until_closed() -> None:
    gateway = StandIn(snapshot())
    gateway.failures["apply"] = Changed("the store is no longer what the plan saw", path="image/x", do="plan again")
    async with seated(gateway, unlocked=True) as seat:
        await seat.press("space", "d", "D")
        assert isinstance(seat.top, Notice)
        for text in ("the store is no longer what the plan saw", "image/x", "plan again"):
            assert text in seat.screen
        await seat.press("escape")
        assert seat.app.browse.store is not None
        assert seat.app.browse.store.listing.marks
        await seat.press("L")
        assert "the store is no longer what the plan saw" in seat.screen


async def test_a_weighty_plan_wants_the_number_typed() -> None:
    gateway = StandIn(snapshot())
    gateway.plans = lambda intent: plan_for(intent, weighty=True)
    async with seated(gateway, unlocked=True) as seat:
        await seat.press("d", "D")
        assert "type 23 and Enter" in seat.screen
        assert "23 = the number of images that go" in seat.screen
        assert "Enter apply  Esc back" in seat.screen
        assert "D apply" not in seat.screen
        await seat.press("escape")
        assert "D apply" in seat.screen
        await seat.press("D")
        await seat.press("2", "enter")
        assert nothing_was_changed(gateway)
        await seat.press("3", "enter")
        assert len(gateway.calls("apply")) == 1


async def test_a_weighty_plan_that_takes_names_only_counts_names() -> None:
    gateway = StandIn(snapshot())
    gateway.plans = lambda intent: replace(plan_for(intent), weighty=True)
    async with seated(gateway, unlocked=True) as seat:
        await seat.press("T", "D")
        assert "1 = the number of names that go" in seat.screen
        await seat.press("1", "enter")
        assert len(gateway.calls("apply")) == 1


async def test_a_change_of_the_store_disarms_the_open_plan_until_it_is_planned_again() -> None:
    async with seated(unlocked=True) as seat:
        await seat.press("d")
        await seat.tell(changed(snapshot(ROWS[:-1]), removed=[ROWS[-1].key]))
        assert "the store changed under this plan: p plans again" in seat.screen
        await seat.press("D")
        assert nothing_was_changed(seat.gateway)
        seat.gateway.plans = lambda intent: plan_for(intent, mark="other")
        await seat.press("p")
        assert "planned again: the steps differ" in seat.screen
        await seat.press("D")
        assert seat.gateway.calls("apply")[0][0].steps[0].path == "image/xother"


async def test_keys_typed_before_the_dialog_was_painted_are_dropped() -> None:
    async with seated(unlocked=True) as seat:
        dialog = PlanDialog(seat.app.browse.stores[0], seat.app.browse.changes, plan_for(Remove(keys=(ROWS[0].key,))))
        assert dialog.check_action("apply", ()) is False
        await seat.app.push_screen(dialog)
        await seat.settle()
        assert dialog.check_action("apply", ()) is True


async def test_a_dialog_hears_keys_in_the_end_though_nothing_told_that_it_was_painted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dialog_module, "LIVE_AFTER", 0.05)
    monkeypatch.setattr(Menu, "call_after_refresh", lambda *_: True)
    heard = asyncio.Event()
    listen = Menu.now_painted

    def now_painted(menu: Menu) -> None:
        listen(menu)
        heard.set()

    monkeypatch.setattr(Menu, "now_painted", now_painted)
    async with seated() as seat:
        await seat.press("y")
        await asyncio.wait_for(heard.wait(), 10)
        await seat.press("n")
        assert seat.top is seat.app.browse
        assert seat.gateway.calls("copy") == [("name", ROWS[0].key.name)]


async def test_a_refusal_names_its_reasons() -> None:
    gateway = StandIn(snapshot())
    gateway.plans = lambda intent: Refusal(action="delete x", reasons=("container c1 uses it",), do="remove c1")
    async with seated(gateway) as seat:
        await seat.press("d")
        for text in ("The store refuses this", "container c1 uses it", "remove c1"):
            assert text in seat.screen


async def test_a_plan_is_saved_to_a_file_that_the_person_names() -> None:
    async with seated() as seat:
        await seat.press("d", "s")
        await seat.type("/tmp/later.json")
        await seat.press("enter")
        assert seat.gateway.calls("save plan") == [("/tmp/later.json",)]
        assert isinstance(seat.top, PlanDialog)


async def test_untag_takes_the_names_of_the_marked_rows() -> None:
    async with seated() as seat:
        await seat.press("j", "space", "space", "T")
        assert seat.gateway.calls("plan") == [(Untag(names=("ghcr.io/acme/web:2026.07", "ghcr.io/acme/web:2026.08")),)]


async def test_a_mapping_is_planned_away_from_its_line_only() -> None:
    async with seated() as seat:
        await seat.press("2", "tab")
        assert "d unmap" in seat.screen
        await seat.press("d")
        assert seat.gateway.calls("plan") == [(Unmap(mappings=((DIFF, BLOB, "ghcr.io/acme/base"),)),)]
        await seat.press("escape", "escape", "d")
        assert seat.gateway.calls("plan")[1:] == [(Remove(keys=(ROWS[0].key,)),)]


# --- tagging


async def test_a_new_name_is_judged_while_it_is_typed() -> None:
    async with seated() as seat:
        await seat.press("t")
        assert isinstance(seat.top, TagDialog)
        for text, said in (
            ("App:x", "lower"),
            ("app:1", "app:1 is new"),
            ("nginx", "moves nginx:latest from 04"),
            ("ghcr.io/acme/batch:rc3", "a name of this image already"),
        ):
            await seat.type(text)
            assert said in seat.screen, text
        await seat.press("enter")
        assert not seat.gateway.calls("plan")


async def test_enter_on_a_good_name_asks_for_the_plan_and_changes_nothing() -> None:
    async with seated(unlocked=True) as seat:
        await seat.press("t")
        await seat.type("app")
        await seat.press("enter")
        assert seat.gateway.calls("plan") == [(Tag(image=ROWS[0].key.id, name="app:latest"),)]
        assert isinstance(seat.top, PlanDialog)
        assert nothing_was_changed(seat.gateway)


async def test_several_marked_rows_cannot_share_one_name() -> None:
    async with seated() as seat:
        await seat.press("space", "t")
        assert seat.top is seat.app.browse
        assert "a name leads to one image only" in seat.screen


# --- locking


async def test_a_store_that_the_engine_holds_stays_locked_and_says_who_holds_it() -> None:
    gateway = StandIn(snapshot())
    gateway.failures["unlock"] = Locked("the engine is running", path="volumes/metadata.db", holder="dockerd (pid 7)")
    async with seated(gateway) as seat:
        await seat.press("exclamation_mark")
        assert "held by dockerd (pid 7)" in seat.screen
        await seat.press("escape")
        assert "READ-ONLY" in seat.screen


async def test_without_a_lock_to_hold_the_person_states_that_the_engine_is_stopped() -> None:
    gateway = StandIn(snapshot())
    gateway.failures["unlock"] = NeedsStatement("nothing can prove that the engine is stopped")
    async with seated(gateway) as seat:
        await seat.press("exclamation_mark")
        await seat.type("yes")
        await seat.press("enter")
        assert isinstance(seat.top, Ask)
        await seat.type("offline")
        await seat.press("enter")
        assert "UNLOCKED" in seat.screen
        await seat.press("d", "D")
        assert gateway.calls("apply")[0][1] is True


async def test_an_engine_that_starts_locks_writing_again() -> None:
    async with seated(unlocked=True) as seat:
        await seat.tell(changed(snapshot(engine=EngineState.RUNNING)))
        assert "ENGINE RUNNING" in seat.screen
        await seat.press("d", "D")
        assert nothing_was_changed(seat.gateway)


async def test_another_program_that_holds_the_store_for_a_while_locks_nothing() -> None:
    held = snapshot(engine=EngineState.HELD, engine_text="the lock is held by orlop (process 7)")
    async with seated(unlocked=True) as seat:
        await seat.tell(changed(held))
        assert "STORE HELD" in seat.screen
        assert "the store is held: the lock is held by orlop (process 7)" in seat.screen
        await seat.tell(changed(snapshot()))
        assert "UNLOCKED" in seat.screen
        assert "the store is held no longer" in seat.screen
        await seat.press("d", "D")
        assert len(seat.gateway.calls("apply")) == 1


# --- undo, journal, a change that was cut off


async def test_undo_shows_what_it_takes_back_and_waits_for_another_key() -> None:
    gateway = StandIn(snapshot())
    gateway.past = (PAST,)
    async with seated(gateway, unlocked=True) as seat:
        await seat.press("z")
        assert isinstance(seat.top, UndoDialog)
        assert "file image/x comes back" in seat.screen
        await seat.press("z", "enter")
        assert nothing_was_changed(gateway)
        await seat.press("z", "D")
        assert gateway.calls("undo") == [("c1",)]


async def test_with_an_empty_journal_there_is_nothing_to_undo() -> None:
    async with seated() as seat:
        await seat.press("z")
        assert "there is nothing to undo" in seat.screen


async def test_the_quarantine_is_emptied_only_after_its_word_was_typed() -> None:
    gateway = StandIn(snapshot())
    gateway.past = (PAST, replace(PAST, id="c2", state="undone", bytes=0))
    async with seated(gateway, unlocked=True) as seat:
        await seat.press("J")
        assert isinstance(seat.top, JournalDialog)
        await seat.press("e")
        assert "its quarantine is empty" in seat.screen
        await seat.press("j", "e")
        assert isinstance(seat.top, PurgeDialog)
        await seat.press("D", "enter")
        assert nothing_was_changed(gateway)
        await seat.type("purge")
        await seat.press("enter")
        assert gateway.calls("purge") == [(("c1",),)]
        assert "4.1 kB freed" in seat.screen


@pytest.mark.parametrize(
    ("state", "held", "keys", "said"),
    [
        ("done", 4096, "u undo  e empty this  E empty all", "it was not cut off"),
        ("undone", 0, "c copy  Enter/Esc back", "it was taken back already"),
        ("purged", 0, "c copy  Enter/Esc back", "its quarantine was emptied"),
        ("unfinished", 4096, "f complete  c copy  Enter/Esc back", ""),
        ("damaged", 0, "c copy  Enter/Esc back", "its record cannot be read"),
    ],
)
async def test_the_journal_offers_what_can_be_done_with_a_change_and_says_why_no_more(
    state: str, held: int, keys: str, said: str
) -> None:
    gateway = StandIn(snapshot())
    gateway.past = (replace(PAST, state=state, bytes=held),)
    async with seated(gateway) as seat:
        await seat.press("J")
        bottom = seat.app.screen.query_one("#box").region.bottom
        assert seat.screen.split("\n")[bottom - 2].partition("│")[2].strip().startswith(keys)
        if said:
            await seat.press("f")
            assert said in seat.screen
            assert isinstance(seat.top, JournalDialog)
        if state != "done":
            await seat.press("u", "e", "E")
            assert isinstance(seat.top, JournalDialog)


@pytest.mark.parametrize(("key", "action"), [("F", "finish"), ("U", "undo")])
async def test_a_change_that_was_cut_off_is_named_and_settled(key: str, action: str) -> None:
    gateway = StandIn(snapshot())
    gateway.unfinished = replace(PAST, state="unfinished")
    async with seated(gateway) as seat:
        assert isinstance(seat.top, UnfinishedDialog)
        assert "delete redis␛" in seat.screen
        await seat.press(key)
        assert nothing_was_changed(gateway)
        await seat.press("exclamation_mark", key)
        assert len(gateway.calls(action)) == 1


# --- the rest


async def test_the_help_lists_every_key_with_the_reason_why_it_is_not_possible() -> None:
    async with seated(size=(120, 90)) as seat:
        await seat.press("question_mark")
        for text in ("half a page down", "plan to delete", "V2 digest mappings", "not now: nothing can be put right"):
            assert text in seat.screen


@pytest.mark.parametrize("size", [(80, 24), (60, 12), (200, 50)])
async def test_toasts_leave_the_keys_of_every_dialog_in_sight(size: tuple[int, int]) -> None:
    async with seated(size=size) as seat:
        for key in ("J", "y", "question_mark"):
            await seat.press(key)
            box = seat.app.screen.query_one("#box").region
            for number in range(4):
                seat.app.browse.toast(f"toast {number}: " + "many words " * 8)
            await seat.settle()
            assert "toast 0" in seat.screen
            remark, keys = seat.screen.split("\n")[box.bottom - 3 : box.bottom - 1]
            assert not {"toast", "words"} & {*remark.split(), *keys.split()}
            assert "Esc" in keys
            await seat.press("escape")


async def test_the_help_lists_no_key_that_is_not_of_orlop() -> None:
    async with seated(size=(120, 120)) as seat:
        await seat.press("question_mark")
        assert "mark or unmark" in seat.screen
        assert "down" in seat.screen
        for text in ("Copy selected text", "Focus Next", "super+c", "Scroll"):
            assert text not in seat.screen


async def test_what_can_be_copied_goes_to_the_gateway() -> None:
    async with seated() as seat:
        await seat.press("y")
        assert isinstance(seat.top, Menu)
        await seat.press("i")
        assert seat.gateway.calls("copy") == [("id", ROWS[0].key.id)]
        assert "id sent to the clipboard through terminal" in seat.screen
        await seat.press("y", "c")
        assert seat.gateway.calls("copy")[-1] == ("command", "orlop show /var/lib/docker ghcr.io/acme/batch:rc3")


async def test_a_line_of_a_pane_is_copied_whole() -> None:
    async with seated() as seat:
        await seat.press("2", "tab", "y", "l")
        assert seat.gateway.calls("copy") == [("this line", BLOB)]


async def test_the_palette_runs_commands_and_knows_nothing_of_the_store() -> None:
    async with seated() as seat:
        await seat.press("colon")
        await seat.press(*"journal")
        assert "ghcr.io" not in seat.screen.partition("journal")[2].partition("\n")[0]
        await seat.press("enter")
        await seat.settle()
        assert isinstance(seat.top, JournalDialog)


async def test_stores_are_changed_with_a_key_and_keep_their_own_cursor() -> None:
    other = snapshot(ROWS[:2], identity=replace(STORE, scope="vfs"))
    async with seated(StandIn(snapshot(), other)) as seat:
        await seat.press("j", "j", "o", "2")
        assert "docker:vfs" in seat.screen
        assert seat.cursor == ROWS[0].key
        await seat.press("o", "1")
        assert seat.cursor == ROWS[2].key


async def test_ctrl_c_stops_the_job_first_and_then_asks() -> None:
    async with seated() as seat:
        seat.gateway.running = True
        await seat.press("ctrl+c")
        assert "stopping" in seat.screen
        await seat.tell(messages.Failed(0, "check", Cancelled()))
        await seat.press("ctrl+c")
        assert isinstance(seat.top, Confirm)
        await seat.press("escape")
        assert seat.app.screen is seat.app.browse


async def test_quitting_while_something_is_changed_asks() -> None:
    async with seated(unlocked=True) as seat:
        seat.gateway.mute.add("apply")
        await seat.press("d", "D", "q")
        assert isinstance(seat.top, Confirm)
        await seat.press("escape", "d")
        assert "wait: delete 1 tag" in seat.screen


async def test_a_running_job_is_told_in_the_status_line() -> None:
    async with seated() as seat:
        await seat.tell(messages.Working(0, "layer records", 41, 100))
        assert "layer records 41%" in seat.screen
        await seat.tell(messages.Working(0, "", 0, 0))
        assert "layer records" not in seat.screen


async def test_the_window_may_change_its_size_at_any_time() -> None:
    async with seated() as seat:
        await seat.press("j", "2")
        for width, height in ((120, 40), (59, 10), (200, 50), (80, 24)):
            await seat.pilot.resize_terminal(width, height)
            await seat.settle()
        assert re.search(r"> +ghcr\.io/acme/web", seat.screen)
        assert seat.app.browse.pane is Pane.DIGESTS


async def test_no_single_key_changes_the_store_nor_any_key_twice() -> None:
    gateway = StandIn(snapshot())
    gateway.past = (PAST,)
    async with seated(gateway, unlocked=True) as seat:
        for binding in list(seat.app.browse.active_bindings):
            if binding in ("q", "ctrl+c", "ctrl+q"):
                continue
            for key in (binding, binding, "enter"):
                seat.app.simulate_key(key)
            await seat.settle()
            while seat.app.screen is not seat.app.browse:
                await seat.press("escape")
        assert nothing_was_changed(gateway)
