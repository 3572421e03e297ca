"""Fetching an image again, and what waits for a plan that nobody applies: over a stand-in for the gateway."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.message import Message

from orlop.errors import Cancelled, Changed, FetchFailed, OrlopError, StorageFailure, Unsupported
from orlop.finding import Finding, Repair, Severity
from orlop.intent import Import, Intent, PutRemote
from orlop.intent import Repair as RepairIntent
from orlop.plan import Plan, Reason, Refusal, Replace
from orlop.records import (
    Absent,
    Condition,
    Delta,
    Detail,
    EngineState,
    Facet,
    Holding,
    Key,
    Records,
    Remote,
    Row,
    Snapshot,
    StoreId,
    Trust,
)
from orlop_tui import messages
from orlop_tui.app import OrlopApp
from orlop_tui.screens.asking import FetchDialog, RefusalNotice
from orlop_tui.screens.changing import PlanDialog
from orlop_tui.screens.dialog import Ask, Menu, Notice

NOW = 1_800_000_000_000_000_000
URL = "https://example.com/etcd.aci"
KEY = Key("", f"sha512-{1:064x}", "example.com/etcd:3")
ROW = Row(
    key=KEY,
    repository="example.com/etcd",
    tag="3",
    created=NOW,
    size=1,
    own_size=1,
    platform="",
    trust=Trust.LINKED,
    verified_at=None,
    condition=Condition.SOUND,
    flags=frozenset(),
    reason="",
)
REMOTE = Remote(
    kind="discovery",
    reference=URL,
    url=URL,
    etag='"5c3"',
    max_age=60,
    expires=NOW - 10**9,
    fresh=False,
    image=KEY.id,
    image_known=True,
)
IMPORT = Import(staged="0123456789abcdef", remote=PutRemote(url=URL, image=""))
FINDING = Finding(
    rule="RK03",
    title="row missing",
    severity=Severity.UNUSABLE,
    path="blob/x",
    detail="x",
    engine_says="",
    repair=Repair.REBUILD,
    images=(KEY.id,),
)


def plan_for(intent: Intent) -> Plan | Refusal:
    return Plan(
        action="take an image in",
        kind="rkt",
        store="t",
        intent=intent,
        steps=(Replace(path="x", old=None, new=b"x"),),
        reasons=(Reason(verb="add", subject="x"),),
        images=(KEY.id,),
        bytes_now=0,
        bytes_freed=0,
        bytes_kept=0,
        bytes_added=7_000_000,
    )


@dataclass
class Receipt:
    change: str = "c1"
    action: str = "take an image in"
    steps: int = 1
    bytes_freed: int = 0
    bytes_quarantined: int = 0
    findings: tuple[Finding, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass
class StandIn:
    """A gateway whose answers a test decides."""

    kind: str = "rkt"
    remotes: Records | Absent = (REMOTE,)
    fetched: Intent = IMPORT
    plans: Callable[[Intent], Plan | Refusal] = plan_for
    failures: dict[str, OrlopError] = field(default_factory=dict)
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    slow: set[str] = field(default_factory=set)
    app: App[Any] | None = None

    def attach(self, app: App[Any]) -> None:
        self.app = app

    def post(self, message: Message) -> None:
        assert self.app is not None
        self.app.post_message(message)

    def answer(self, action: str, message: Message, *said: object) -> None:
        self.asked.append((action, *said))
        if action in self.slow:
            return
        self.post(messages.Failed(0, action, self.failures[action]) if action in self.failures else message)

    def calls(self, action: str) -> list[tuple[Any, ...]]:
        return [call[1:] for call in self.asked if call[0] == action]

    def open(self) -> None:
        seen = Snapshot(
            identity=StoreId(kind=self.kind, scope="", path="/var/lib/rkt/cas", token="t"),
            rows=(ROW,),
            images=1,
            total_size=1,
            seen_at=NOW,
            engine=EngineState.STOPPED,
            engine_text="its lock is free",
            notes=(),
        )
        self.post(messages.StoreOpened(0, seen, path="/var/lib/rkt"))
        self.post(messages.AllOpened(1))

    def detail(self, index: int, key: Key) -> None:
        found = Detail(key=key, row=ROW, names=(), config_path="", config_raw=None, config={}, problems=())
        self.answer("detail", messages.DetailReady(0, key, found, Absent(because="none"), self.remotes))

    def records(self, index: int, facet: Facet) -> None:
        self.answer("records", messages.RecordsReady(0, facet, self.remotes))

    def check(self, index: int) -> None:
        self.answer("check", messages.Findings(0, (FINDING,)))

    def plan(self, index: int, intent: Intent) -> None:
        self.answer("plan", messages.PlanReady(0, self.plans(intent)), intent)

    def probe(self, index: int, *, offline: bool) -> None:
        self.answer("unlock", messages.Writable(0, "its lock", offline=offline))

    def fetch(self, index: int, url: str) -> None:
        self.answer("fetch", messages.ImageFetched(0, self.fetched, ("the signature was not checked",)), url)

    def discard(self, index: int, intent: Intent) -> None:
        self.asked.append(("discard", intent))

    def apply(self, index: int, plan: Plan, *, offline: bool) -> None:
        self.answer("apply", messages.Applied(0, "apply", Receipt()), plan)

    def journal(self, index: int) -> None:
        self.answer("journal", messages.JournalReady(0, ()))

    def save_plan(self, plan: Plan, path: str) -> None:
        self.answer("save plan", messages.PlanSaved(path), path)

    def snapshot(self, index: int, path: str) -> None: ...

    def copy(self, what: str, text: str | Sequence[str]) -> None:
        self.answer("copy", messages.Copied(what, "terminal"), text)

    def undo(self, index: int, change: str | None, *, offline: bool) -> None: ...
    def finish(self, index: int, *, offline: bool) -> None: ...
    def purge(self, index: int, changes: Sequence[str], *, offline: bool) -> None: ...
    def rescan(self, index: int) -> None: ...
    def details(self, wanted: Sequence[tuple[int, Key]]) -> None: ...
    def why(self, text: str) -> None: ...
    def holders(self, index: int, words: Sequence[tuple[Holding, str]]) -> None: ...
    def freed(self, index: int, keys: frozenset[Key]) -> None: ...
    def preview(self, index: int, change: str) -> None: ...
    def verify(self, index: int, keys: Sequence[Key] | None, *, again: bool = False) -> None: ...
    def measure(self, index: int) -> None: ...
    def pause(self, job: int) -> None: ...
    def resume(self, job: int) -> None: ...
    def cancel(self, job: int) -> None: ...

    def stop(self) -> bool:
        self.asked.append(("stop",))
        return True

    def close(self) -> None: ...


class Seat:
    """A person before the screen."""

    def __init__(self, app: OrlopApp, gateway: StandIn) -> None:
        self.app, self.gateway = app, gateway

    async def press(self, *keys: str) -> None:
        for key in keys:
            self.app.simulate_key(key)
            await self.settle()

    async def settle(self) -> None:
        """Wait until every message is handled and everything is laid out."""
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

    @property
    def top(self) -> object:
        return self.app.screen

    @property
    def screen(self) -> str:
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)


@asynccontextmanager
async def seated(gateway: StandIn | None = None, *, unlocked: bool = True) -> AsyncIterator[Seat]:
    gateway = gateway or StandIn()
    app = OrlopApp(gateway, ["/var/lib/rkt"], unlocked=unlocked)
    async with app.run_test(size=(100, 40), notifications=True):
        seat = Seat(app, gateway)
        await seat.settle()
        yield seat


async def test_the_url_is_shown_and_nobody_is_asked_before_the_other_key() -> None:
    async with seated() as seat:
        await seat.press("F")
        assert isinstance(seat.top, FetchDialog)
        for text in (URL, 'ETag     "5c3"', "expired 1 s ago", f"orlop fetch /var/lib/rkt {URL}"):
            assert text in seat.screen
        await seat.press("F", "enter")
        assert not isinstance(seat.app.screen, FetchDialog)
        assert not seat.gateway.calls("fetch")


async def test_while_writing_is_locked_nothing_is_fetched() -> None:
    async with seated(unlocked=False) as seat:
        await seat.press("F", "D")
        assert not seat.gateway.calls("fetch")
        assert "writing is locked" in seat.screen
        await seat.press("exclamation_mark", "D")
        assert seat.gateway.calls("fetch") == [(URL,)]


async def test_what_a_server_gave_is_planned_with_what_was_learned_and_applied_by_its_own_key() -> None:
    async with seated() as seat:
        await seat.press("F", "D")
        assert isinstance(seat.top, PlanDialog)
        assert "Learned  the signature was not checked" in seat.screen
        assert "7.0 MB are added" in seat.screen
        await seat.press("D")
        assert seat.gateway.calls("apply")[0][0].intent == IMPORT
        assert not seat.gateway.calls("discard")


async def test_what_waits_for_a_plan_that_is_left_is_let_go() -> None:
    async with seated() as seat:
        await seat.press("F", "D", "escape")
        assert seat.gateway.calls("discard") == [(IMPORT,)]


async def test_what_waits_for_a_plan_in_a_file_stays() -> None:
    async with seated() as seat:
        await seat.press("F", "D", "s", "enter", "escape")
        assert seat.gateway.calls("save plan")
        assert not seat.gateway.calls("discard")


async def test_what_was_fetched_and_refused_is_let_go() -> None:
    gateway = StandIn(plans=lambda intent: Refusal(action="import", reasons=("it is there already",)))
    async with seated(gateway) as seat:
        await seat.press("F", "D")
        assert isinstance(seat.top, RefusalNotice)
        assert gateway.calls("discard") == [(IMPORT,)]
        await seat.press("x")
        assert len(gateway.calls("plan")) == 1


@pytest.mark.parametrize(
    ("error", "lost"), [(Changed("the store changed"), True), (StorageFailure("the disk fails"), False)]
)
async def test_what_a_failed_change_may_still_need_is_kept(error: OrlopError, lost: bool) -> None:
    async with seated(StandIn(failures={"apply": error})) as seat:
        await seat.press("F", "D", "D")
        assert isinstance(seat.top, Notice)
        assert bool(seat.gateway.calls("discard")) is lost


async def test_a_server_that_gives_nothing_says_so_and_leaves_nothing_busy() -> None:
    error = FetchFailed("the server cannot be reached", path=URL, why="connection refused")
    async with seated(StandIn(failures={"fetch": error})) as seat:
        await seat.press("F", "D")
        assert isinstance(seat.top, Notice)
        assert "connection refused" in seat.screen
        await seat.press("escape")
        assert not seat.app.browse.changes.busy


async def test_a_fetch_can_be_stopped_and_other_changes_wait_for_it() -> None:
    gateway = StandIn(slow={"fetch"})
    async with seated(gateway) as seat:
        await seat.press("F", "D")
        assert f"fetching {URL}" in seat.screen
        await seat.press("l")
        assert not gateway.calls("plan")
        await seat.press("ctrl+c")
        assert gateway.calls("stop")
        gateway.post(messages.Failed(0, "fetch", Cancelled()))
        await seat.press("l")
        assert gateway.calls("plan")


async def test_without_a_record_the_url_is_typed_and_with_several_one_is_chosen() -> None:
    async with seated(StandIn(remotes=())) as seat:
        await seat.press("F")
        assert isinstance(seat.top, Ask)
        await seat.press(*"x", "enter")
        assert isinstance(seat.top, FetchDialog)
    two = (REMOTE, Remote(kind="discovery", reference="https://b", url="https://b"))
    async with seated(StandIn(remotes=two)) as seat:
        await seat.press("F")
        assert isinstance(seat.top, Menu)
        await seat.press("2", "D")
        assert seat.gateway.calls("fetch") == [("https://b",)]


async def test_a_row_that_is_still_being_read_is_waited_for() -> None:
    async with seated(StandIn(slow={"detail"})) as seat:
        await seat.press("F")
        assert "its remote records are still being read" in seat.screen


async def test_a_kind_without_urls_is_not_asked() -> None:
    async with seated(StandIn(kind="registry")) as seat:
        await seat.press("F")
        assert seat.top is seat.app.browse
        assert "only an ACI store keeps the URLs" in seat.screen


async def test_the_password_in_a_url_is_shown_nowhere_and_goes_to_the_server_alone() -> None:
    secret = "https://me:hunter2@example.com/a.aci"
    two = tuple(Remote(kind="discovery", reference=f"{secret}{n}", url=f"{secret}{n}") for n in "12")
    gateway = StandIn(remotes=two, slow={"fetch"})
    async with seated(gateway) as seat:
        await seat.press("3", "F")
        shown = [seat.screen]
        await seat.press("1")
        shown.append(seat.screen)
        await seat.press("D")
        shown.append(seat.screen)
        assert gateway.calls("fetch") == [(f"{secret}1",)]
        gateway.post(messages.Failed(0, "fetch", Cancelled()))
        await seat.press("tab", "d")
        assert isinstance(seat.top, PlanDialog)
        shown.append(seat.screen)
        assert all("example.com/a.aci" in screen for screen in shown)
        assert not any("hunter2" in screen for screen in shown)


async def test_the_program_that_a_store_belongs_to_is_named_where_it_runs() -> None:
    async with seated() as seat:
        store = seat.app.browse.store
        assert store is not None
        seen = replace(store.snapshot, engine=EngineState.RUNNING, engine_text="held by rkt (1)")
        seat.gateway.post(messages.StoreChanged(0, Delta(snapshot=seen, added=_NONE, removed=_NONE, changed=_NONE)))
        await seat.settle()
        assert "RKT RUNNING" in seat.screen
        assert "rkt was started: writing is locked again" in seat.screen


_NONE: frozenset[Key] = frozenset()


# --- consent


async def test_a_repair_that_needs_consent_is_planned_again_with_it() -> None:
    def plans(intent: Intent) -> Plan | Refusal:
        if isinstance(intent, RepairIntent) and not intent.guess:
            return Refusal(action="repair RK03", reasons=("with --guess you consent to that",))
        return plan_for(intent)

    async with seated(StandIn(plans=plans)) as seat:
        await seat.press("P", "r")
        assert isinstance(seat.top, RefusalNotice)
        assert "x plan what is likely too" in seat.screen
        await seat.press("x")
        assert isinstance(seat.top, PlanDialog)
        assert "[x] what is likely and cannot be proved is done too" in seat.screen
        await seat.press("x")
        assert [call[0].guess for call in seat.gateway.calls("plan")] == [False, True, False]


async def test_what_a_store_cannot_do_at_all_is_said_in_its_words() -> None:
    error = Unsupported("the store cannot be changed", why="its tables have version 6")
    async with seated(StandIn(failures={"plan": error})) as seat:
        await seat.press("l")
        assert isinstance(seat.top, Notice)
        for text in ("The store refuses this", "its tables have version 6"):
            assert text in seat.screen


def test_the_stand_in_is_a_gateway(tmp_path: Path) -> None:
    gateway: messages.Gateway = StandIn()
    assert gateway.stop()
