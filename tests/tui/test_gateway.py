"""The gateway: what is asked of it in one thread is answered by messages from others."""

import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from textual.message import Message

import orlop.apply
from orlop import incoming, samples
from orlop.apply import Receipt
from orlop.errors import Cancelled, Locked, NotFound, OrlopError, TooLarge
from orlop.finding import Finding, Rule
from orlop.fs import Root
from orlop.intent import Import, Intent, Tag, Untag
from orlop.plan import Plan, Refusal, saved_plan_from_json
from orlop.progress import Progress
from orlop.records import Absent, Delta, Detail, EngineState, Facet, Key, Snapshot, StoreId, Why
from orlop.store import Exclusive, Fetched, Statement, Store
from orlop_tui import messages
from orlop_tui.gateway import Gateway

M = TypeVar("M", bound=Message)
PATIENCE = 20.0


class Desk:
    """Stands in for the app: keeps what is posted, and lets a test wait for it."""

    def __init__(self) -> None:
        self.got: list[Message] = []
        self.written: list[str] = []
        self._changed = threading.Condition()

    def post_message(self, message: Message) -> bool:
        with self._changed:
            self.got.append(message)
            self._changed.notify_all()
        return True

    def call_after_refresh(self, callback: Callable[[], object]) -> bool:
        callback()
        return True

    @property
    def _driver(self) -> "Desk":
        return self

    def write(self, data: str) -> None:
        self.written.append(data)

    def all(self, kind: type[M]) -> list[M]:
        with self._changed:
            return [message for message in self.got if isinstance(message, kind)]

    def wait(self, kind: type[M], wanted: Callable[[M], bool] = lambda _: True) -> M:
        """The first such message, as soon as it is there."""

        def found() -> M | None:
            return next((m for m in self.got if isinstance(m, kind) and wanted(m)), None)

        with self._changed:
            message = self._changed.wait_for(found, PATIENCE)
            assert message is not None, f"no {kind.__name__} among {[type(m).__name__ for m in self.got]}"
            return message


class StandIn:
    """A store whose answers a test decides; by default it has nothing."""

    def __init__(self, folder: Path, scope: str = "") -> None:
        self.root = Root.open(str(folder))
        self.identity = StoreId(kind="docker", scope=scope, path=str(folder), token="t")
        self.lock = self._seen = EngineState.STOPPED
        self.refreshed: list[frozenset[str] | None] = []
        self.on_detail: Callable[[Key], None] = lambda key: None
        self.on_check: Callable[[Progress], None] = lambda progress: None
        self.on_guard: Callable[[], None] = lambda: None
        self.after_refresh = threading.Event()
        self.closed = False

    def rows(self) -> Snapshot:
        return Snapshot(
            identity=self.identity,
            rows=(),
            images=len(self.refreshed),
            total_size=0,
            seen_at=0,
            engine=self._seen,
            engine_text="",
            notes=(),
        )

    def engine(self) -> tuple[EngineState, str]:
        return self.lock, ""

    def detail(self, key: Key) -> Detail:
        self.on_detail(key)
        return Detail(key=key, row=None, names=(), config_path="", config_raw=None, config={}, problems=())

    def facet(self, facet: Facet, key: Key | None) -> Absent:
        return Absent(because=f"no {facet.value} here")

    def find(self, image: str) -> tuple[Key, ...]:
        raise NotFound(image)

    def check(self, keys: Iterable[Key] | None, *, content: bool, progress: Progress) -> Iterator[Finding]:
        self.on_check(progress)
        return iter(())

    def rules(self) -> tuple[Rule, ...]:
        return ()

    def why(self, subject: str) -> Why:
        raise NotFound(subject)

    def plan(self, intent: Intent) -> Plan | Refusal:
        return Refusal(action="tag", reasons=("the test says no",))

    def refresh(self, hints: Iterable[str] | None = None) -> Delta:
        self.refreshed.append(None if hints is None else frozenset(hints))
        self._seen = self.lock
        self.after_refresh.set()
        empty: frozenset[Key] = frozenset()
        return Delta(snapshot=self.rows(), added=empty, removed=empty, changed=empty)

    def watched(self) -> tuple[str, ...]:
        return ("",)

    def guard(self, statement: Statement | None) -> AbstractContextManager[Exclusive]:
        self.on_guard()
        return nullcontext(Exclusive(by="the test"))

    def close(self) -> None:
        self.closed = True
        self.root.close()


PLAN = Plan(
    action="move a tag",
    kind="docker",
    store="t",
    intent=Tag(image="sha256:" + "0" * 64, name="a:b"),
    steps=(),
    reasons=(),
    images=(),
    bytes_now=0,
    bytes_freed=0,
    bytes_kept=0,
)
RECEIPT = Receipt(change="1", action="move a tag", steps=1, bytes_freed=0, bytes_quarantined=0)


def key(number: int) -> Key:
    return Key("", f"sha256:{number:064x}", None)


@pytest.fixture
def desk() -> Desk:
    return Desk()


Opened = Callable[..., Gateway]


@pytest.fixture
def opened(desk: Desk) -> Iterator[Opened]:
    """Makes gateways over stores or paths, opened and ready; closes them afterwards."""
    made: list[Gateway] = []

    def build(*stores: StandIn | str, **options: Any) -> Gateway:
        by_path = {store.identity.path: store for store in stores if isinstance(store, StandIn)}

        def opener(path: str, progress: Progress) -> Sequence[Store]:
            return [cast(Store, by_path[path])]

        if by_path:
            options.setdefault("opener", opener)
            options.setdefault("watching", False)
        gateway = Gateway([s if isinstance(s, str) else s.identity.path for s in stores], **options)
        made.append(gateway)
        gateway.attach(cast(Any, desk))
        gateway.open()
        desk.wait(messages.AllOpened)
        return gateway

    yield build
    for gateway in made:
        gateway.close()


@pytest.fixture
def stand_in(tmp_path: Path) -> StandIn:
    return StandIn(tmp_path)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("sample")
    return samples.make(str(folder)).path


@pytest.fixture
def sample(pristine: str, tmp_path: Path) -> str:
    return shutil.copytree(pristine, tmp_path / "store", symlinks=True, copy_function=shutil.copy2).__str__()


# --- opening


def test_every_path_is_tried_and_told_of(desk: Desk, opened: Opened, pristine: str, tmp_path: Path) -> None:
    opened(str(tmp_path / "nothing"), pristine, str(tmp_path), watching=False)
    assert [message.path for message in desk.all(messages.OpenFailed)] == [str(tmp_path / "nothing"), str(tmp_path)]
    store = desk.wait(messages.StoreOpened)
    assert (store.index, store.path, store.unfinished) == (0, pristine, None)
    assert len(store.snapshot.rows) > 20
    assert desk.wait(messages.AllOpened).count == 1


def test_a_fault_while_opening_is_told_as_a_failure(
    desk: Desk, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(path: str, progress: Progress) -> Sequence[Store]:
        raise ZeroDivisionError("planted")

    opened("somewhere", opener=broken)
    assert "ZeroDivisionError: planted" in desk.wait(messages.OpenFailed).error.why
    assert "planted" in caplog.text


def test_work_in_progress_is_told_and_its_end_too(desk: Desk, opened: Opened, stand_in: StandIn) -> None:
    def opener(path: str, progress: Progress) -> Sequence[Store]:
        progress.step("configs", 3, 9)
        progress.step("configs", 4, 9)
        return [cast(Store, stand_in)]

    opened("somewhere", opener=opener, watching=False)
    told = [(message.what, message.done, message.total) for message in desk.all(messages.Working)]
    assert told == [("configs", 3, 9), ("", 0, 0)], "at most ten times a second"


# --- reading


def test_a_detail_comes_with_mappings_and_remotes(desk: Desk, opened: Opened, stand_in: StandIn) -> None:
    opened(stand_in).detail(0, key(1))
    ready = desk.wait(messages.DetailReady)
    assert (ready.index, ready.key, ready.detail.key) == (0, key(1), key(1))
    assert isinstance(ready.mappings, Absent)
    assert ready.mappings.because == "no mappings here"
    assert isinstance(ready.remotes, Absent)
    assert ready.remotes.because == "no remotes here"


def test_only_the_detail_that_was_asked_for_last_is_told(desk: Desk, opened: Opened, stand_in: StandIn) -> None:
    entered, release = threading.Event(), threading.Event()

    def slow(asked: Key) -> None:
        if asked == key(1):
            entered.set()
            assert release.wait(PATIENCE)

    stand_in.on_detail = slow
    gateway = opened(stand_in)
    gateway.detail(0, key(1))
    assert entered.wait(PATIENCE)
    gateway.detail(0, key(2))
    desk.wait(messages.DetailReady, lambda message: message.key == key(2))
    release.set()
    gateway.journal(0)
    desk.wait(messages.JournalReady)
    gateway.close()
    assert [message.key for message in desk.all(messages.DetailReady)] == [key(2)]


def test_an_error_is_told_with_what_was_asked(desk: Desk, opened: Opened, stand_in: StandIn) -> None:
    def gone(asked: Key) -> None:
        raise NotFound("it went away")

    stand_in.on_detail = gone
    opened(stand_in).detail(0, key(1))
    failed = desk.wait(messages.Failed)
    assert (failed.index, failed.action) == (0, "detail")
    assert isinstance(failed.error, NotFound)


def test_a_fault_is_logged_and_told_and_ends_nothing(
    desk: Desk, opened: Opened, stand_in: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    def fault(asked: Key) -> None:
        raise ZeroDivisionError("planted")

    stand_in.on_detail = fault
    gateway = opened(stand_in)
    gateway.detail(0, key(1))
    failed = desk.wait(messages.Failed)
    assert "fault of Orlop" in failed.error.what
    assert "Traceback" in caplog.text
    gateway.plan(0, PLAN.intent)
    assert isinstance(desk.wait(messages.PlanReady).plan, Refusal)


def test_nothing_of_a_fault_reaches_the_terminal(
    desk: Desk, opened: Opened, stand_in: StandIn, capfd: pytest.CaptureFixture[str]
) -> None:
    def fault(asked: Key) -> None:
        raise ZeroDivisionError("planted")

    handlers = logging.getLogger().handlers[:]
    for handler in handlers:
        logging.getLogger().removeHandler(handler)
    try:
        stand_in.on_detail = fault
        opened(stand_in).detail(0, key(1))
        desk.wait(messages.Failed)
    finally:
        for handler in handlers:
            logging.getLogger().addHandler(handler)
    assert capfd.readouterr() == ("", "")


def test_a_check_tells_all_findings_of_the_sample(desk: Desk, opened: Opened, pristine: str) -> None:
    opened(pristine, watching=False).check(0)
    assert desk.wait(messages.Findings).findings


def test_a_check_can_be_stopped(desk: Desk, opened: Opened, stand_in: StandIn) -> None:
    entered = threading.Event()

    def endless(progress: Progress) -> None:
        while True:
            progress.step("configs", 0, 0)
            entered.set()

    stand_in.on_check = endless
    gateway = opened(stand_in)
    assert not gateway.stop(), "nothing runs"
    gateway.check(0)
    assert entered.wait(PATIENCE)
    assert gateway.stop()
    failed = desk.wait(messages.Failed)
    assert failed.action == "check"
    assert isinstance(failed.error, Cancelled)
    assert desk.got[-1] is failed
    assert isinstance(desk.got[-2], messages.Working)
    assert desk.got[-2].what == "", "its end is told"


def test_a_newer_check_ends_the_older_one_without_a_word(desk: Desk, opened: Opened, stand_in: StandIn) -> None:
    entered = threading.Event()

    def endless_at_first(progress: Progress) -> None:
        if not entered.is_set():
            entered.set()
            while True:
                progress.step("configs", 0, 0)

    stand_in.on_check = endless_at_first
    gateway = opened(stand_in)
    gateway.check(0)
    assert entered.wait(PATIENCE)
    gateway.check(0)
    desk.wait(messages.Findings)
    gateway.close()
    assert len(desk.all(messages.Findings)) == 1
    assert desk.all(messages.Failed) == []


def test_a_rescan_is_told_even_where_nothing_differs(desk: Desk, opened: Opened, stand_in: StandIn) -> None:
    opened(stand_in).rescan(0)
    assert not desk.wait(messages.StoreChanged).delta
    assert stand_in.refreshed == [None]


# --- writing


def test_a_tag_goes_and_comes_back(desk: Desk, opened: Opened, sample: str) -> None:
    gateway = opened(sample, watching=False)
    snapshot = desk.wait(messages.StoreOpened).snapshot
    name = next(row.key.name for row in snapshot.rows if row.key.name and row.condition.value == "sound")
    gateway.plan(0, Untag(names=(name,)))
    plan = desk.wait(messages.PlanReady).plan
    assert isinstance(plan, Plan)
    gateway.apply(0, plan, offline=True)
    assert desk.wait(messages.Applied).action == "apply"
    kinds = [type(message) for message in desk.got]
    assert kinds.index(messages.StoreChanged) < kinds.index(messages.Applied), "the rows come before the word"
    changed = desk.wait(messages.StoreChanged)
    assert [gone.name for gone in changed.delta.removed] == [name]
    gateway.undo(0, None, offline=True)
    undone = desk.wait(messages.Applied, lambda message: message.action == "undo")
    gateway.journal(0)
    (change,) = desk.wait(messages.JournalReady).changes
    assert (change.id, change.state) == (undone.receipt.change, "undone")
    assert change.lines
    after = desk.all(messages.StoreChanged)[-1].delta.snapshot
    assert {row.key for row in after.rows} == {row.key for row in snapshot.rows}


def test_a_change_that_failed_reads_everything_again(
    desk: Desk, opened: Opened, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> Receipt:
        raise OrlopError("the disk failed")

    monkeypatch.setattr(orlop.apply, "apply", fails)
    opened(stand_in).apply(0, PLAN, offline=False)
    assert desk.wait(messages.Failed).action == "apply"
    assert stand_in.refreshed == [None]


def test_two_writers_never_meet(desk: Desk, opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = threading.Lock()
    met: list[str] = []

    def write(*_: object, **__: object) -> Receipt:
        if not busy.acquire(blocking=False):
            met.append("two writers")
            return RECEIPT
        threading.Event().wait(0.01)  # long enough for the next one to begin, if it could
        busy.release()
        return RECEIPT

    for name in ("apply", "undo", "finish", "purge"):
        monkeypatch.setattr(orlop.apply, name, write)
    stores = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        stores.append(StandIn(tmp_path / name))
    gateway = opened(*stores)
    for index in (0, 1):
        gateway.apply(index, PLAN, offline=False)
        gateway.undo(index, None, offline=False)
        gateway.finish(index, offline=False)
        gateway.purge(index, ["1"], offline=False)
    desk.wait(messages.Applied, lambda message: message.index == 1 and message.action == "purge")
    assert met == []
    assert len(desk.all(messages.Applied)) == 8


def test_hints_wait_for_the_end_of_a_change_and_become_one_reading(
    desk: Desk, opened: Opened, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, release = threading.Event(), threading.Event()

    def slow(*_: object, **__: object) -> Receipt:
        entered.set()
        assert release.wait(PATIENCE)
        return RECEIPT

    monkeypatch.setattr(orlop.apply, "apply", slow)
    gateway = opened(stand_in, watching=True, poll=60)
    desk.wait(messages.LiveState, lambda message: message.text == "live")
    stand_in.refreshed.clear()
    gateway.apply(0, PLAN, offline=False)
    assert entered.wait(PATIENCE)
    heard = threading.Event()
    real = gateway._hold_back

    def hold_back(slot: Any, hints: Iterable[str]) -> None:
        hints = list(hints)
        real(slot, hints)
        if "second" in hints:
            heard.set()

    monkeypatch.setattr(gateway, "_hold_back", hold_back)
    for name in ("first", "second"):
        Path(stand_in.root.path, name).touch()
    assert heard.wait(PATIENCE)
    assert stand_in.refreshed == []
    release.set()
    desk.wait(messages.Applied)
    assert len(stand_in.refreshed) == 1
    assert {"first", "second"} <= (stand_in.refreshed[0] or frozenset())


def test_the_guard_is_tried_and_let_go(desk: Desk, opened: Opened, stand_in: StandIn) -> None:
    opened(stand_in).probe(0, offline=True)
    told = desk.wait(messages.Writable)
    assert (told.by, told.offline) == ("the test", True)
    assert stand_in.refreshed == [], "it said what the screen says already"


def test_a_guard_that_knows_better_than_the_screen_makes_it_look_again(
    desk: Desk, opened: Opened, stand_in: StandIn
) -> None:
    def running() -> None:
        stand_in.lock = EngineState.RUNNING
        raise Locked("the engine runs", holder="dockerd")

    stand_in.on_guard = running
    opened(stand_in).probe(0, offline=False)
    failed = desk.wait(messages.Failed)
    assert failed.action == "unlock"
    assert len(stand_in.refreshed) == 1


# --- what others change


def test_an_engine_that_starts_and_stops_is_told_though_no_folder_changed(
    desk: Desk, opened: Opened, stand_in: StandIn
) -> None:
    def tells(state: EngineState, message: messages.StoreChanged) -> bool:
        return message.delta.snapshot.engine is state

    opened(stand_in, watching=True, poll=0.05)
    desk.wait(messages.LiveState)
    for state in (EngineState.RUNNING, EngineState.STOPPED, EngineState.HELD):
        stand_in.lock = state
        desk.wait(messages.StoreChanged, partial(tells, state))
    assert len(stand_in.refreshed) == 3, "the lock alone is asked as long as nothing else is new"


def test_a_tag_that_somebody_else_writes_appears(desk: Desk, opened: Opened, sample: str) -> None:
    opened(sample)
    desk.wait(messages.LiveState, lambda message: message.text == "live")
    row = next(row for row in desk.wait(messages.StoreOpened).snapshot.rows if row.key.name and ":" in row.key.name)
    (driver,) = [name for name in os.listdir(f"{sample}/image") if os.path.isdir(f"{sample}/image/{name}")]
    path = Path(sample, "image", driver, "repositories.json")
    tags = json.loads(path.read_bytes())
    tags["Repositories"].setdefault("elsewhere", {})["elsewhere:made"] = row.id
    fresh = path.with_name(".tmp-repositories.json123")
    fresh.write_text(json.dumps(tags))
    os.replace(fresh, path)
    desk.wait(
        messages.StoreChanged,
        lambda message: Key("", row.id, "elsewhere:made") in {row.key for row in message.delta.snapshot.rows},
    )


def test_a_replaced_root_is_opened_anew(desk: Desk, opened: Opened, sample: str, pristine: str) -> None:
    opened(sample)
    desk.wait(messages.LiveState, lambda message: message.text == "live")
    images = desk.wait(messages.StoreOpened).snapshot.images
    os.rename(sample, sample + "-old")
    desk.wait(messages.LiveState, lambda message: message.text.startswith("STALE"))
    shutil.copytree(pristine, sample + "-new", symlinks=True)
    (driver,) = [name for name in os.listdir(f"{sample}-new/image") if os.path.isdir(f"{sample}-new/image/{name}")]
    Path(f"{sample}-new/image/{driver}/repositories.json").write_text('{"Repositories":{}}')
    os.rename(sample + "-new", sample)
    changed = desk.wait(messages.StoreChanged)
    assert changed.delta.removed
    assert changed.delta.snapshot.images <= images
    assert all(row.key.name is None for row in changed.delta.snapshot.rows if row.condition.value == "sound")


# --- beside the store


def test_a_plan_is_saved_as_a_file_that_can_be_read_back(
    desk: Desk, opened: Opened, stand_in: StandIn, tmp_path: Path
) -> None:
    path = tmp_path / "plan.json"
    opened(stand_in).save_plan(PLAN, str(path))
    assert desk.wait(messages.PlanSaved).path == str(path)
    assert saved_plan_from_json(path.read_bytes()).fingerprint == PLAN.fingerprint
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_in_the_way_of_a_plan_is_left_alone(
    desk: Desk, opened: Opened, stand_in: StandIn, tmp_path: Path
) -> None:
    path = tmp_path / "plan.json"
    path.write_text("precious")
    opened(stand_in).save_plan(PLAN, str(path))
    failed = desk.wait(messages.Failed)
    assert (failed.action, failed.index) == ("save plan", None)
    assert path.read_text() == "precious"


def test_a_copied_text_goes_to_the_terminal_and_is_told(
    desk: Desk, opened: Opened, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TMUX", raising=False)
    monkeypatch.delenv("STY", raising=False)
    opened(stand_in).copy("digest", "sha256:abc")
    told = desk.wait(messages.Copied)
    assert (told.what, told.how) == ("digest", "terminal")
    assert desk.written == ["\x1b]52;c;c2hhMjU2OmFiYw==\x07"]


def test_a_text_too_long_for_the_clipboard_is_refused(desk: Desk, opened: Opened, stand_in: StandIn) -> None:
    opened(stand_in).copy("config", "x" * 100_000)
    failed = desk.wait(messages.Failed)
    assert failed.action == "copy"
    assert isinstance(failed.error, TooLarge)
    assert desk.written == []


# --- the end


def ours() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("orlop-")]


def test_closing_leaves_no_thread_and_lets_the_stores_go(desk: Desk, opened: Opened, stand_in: StandIn) -> None:
    gateway = opened(stand_in, watching=True)
    desk.wait(messages.LiveState)
    assert ours()
    gateway.close()
    gateway.close()
    for thread in threading.enumerate():
        if thread.name.startswith("orlop-read"):
            thread.join(PATIENCE)
    assert ours() == []
    assert stand_in.closed


def test_closing_waits_for_a_change_and_stops_a_check(
    desk: Desk, opened: Opened, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, release, checking = threading.Event(), threading.Event(), threading.Event()

    def slow(*_: object, progress: Progress, **__: object) -> Receipt:
        entered.set()
        assert release.wait(PATIENCE)
        progress.step("steps", 1, 2)
        return RECEIPT

    def endless(progress: Progress) -> None:
        while True:
            progress.step("configs", 0, 0)
            checking.set()

    monkeypatch.setattr(orlop.apply, "apply", slow)
    stand_in.on_check = endless
    gateway = opened(stand_in)
    gateway.check(0)
    gateway.apply(0, PLAN, offline=False)
    assert entered.wait(PATIENCE)
    assert checking.wait(PATIENCE)
    closing = threading.Thread(target=gateway.close)
    closing.start()
    closing.join(0.05)
    assert closing.is_alive(), "a change is under way"
    release.set()
    closing.join(PATIENCE)
    assert not closing.is_alive()
    desk.wait(messages.Applied)
    assert stand_in.closed


def test_a_read_that_hangs_holds_up_nobody_at_the_end(desk: Desk, opened: Opened, stand_in: StandIn) -> None:
    entered, release = threading.Event(), threading.Event()

    def hang(asked: Key) -> None:
        entered.set()
        release.wait(PATIENCE)

    stand_in.on_detail = hang
    gateway = opened(stand_in)
    gateway.detail(0, key(1))
    assert entered.wait(PATIENCE)
    before = time.monotonic()
    gateway.close()
    assert time.monotonic() - before < PATIENCE / 2
    assert not stand_in.closed, "somebody still reads in it"
    assert all(thread.daemon for thread in threading.enumerate() if thread.name.startswith("orlop-read"))
    release.set()


def test_what_is_asked_after_the_end_is_left_alone(desk: Desk, opened: Opened, stand_in: StandIn) -> None:
    gateway = opened(stand_in)
    gateway.close()
    before = len(desk.got)
    gateway.detail(0, key(1))
    gateway.apply(0, PLAN, offline=False)
    assert len(desk.got) == before


def test_an_answer_after_the_event_loop_closed_is_dropped(
    desk: Desk, opened: Opened, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = opened(stand_in)
    tried = threading.Event()

    def closed(message: Message) -> bool:
        tried.set()
        raise RuntimeError("Event loop is closed")

    monkeypatch.setattr(desk, "post_message", closed)
    gateway.detail(0, key(1))
    assert tried.wait(PATIENCE)
    monkeypatch.undo()
    gateway.journal(0)
    desk.wait(messages.JournalReady)


# --- registries and ACI stores


def test_records_of_the_whole_store_are_told_with_what_they_are(desk: Desk, opened: Opened, stand_in: StandIn) -> None:
    gateway = opened(stand_in)
    gateway.records(0, Facet.UPLOADS)
    gateway.records(0, Facet.REMOTES)
    desk.wait(messages.RecordsReady, lambda message: message.facet is Facet.UPLOADS)
    desk.wait(messages.RecordsReady, lambda message: message.facet is Facet.REMOTES)
    told = {message.facet: message.records for message in desk.all(messages.RecordsReady)}
    assert told[Facet.UPLOADS] == Absent(because="no uploads here")
    assert told[Facet.REMOTES] == Absent(because="no remotes here")


def test_what_a_server_gave_is_told_and_let_go_when_nobody_takes_it(
    desk: Desk, opened: Opened, stand_in: StandIn
) -> None:
    intent = staged(stand_in.root)
    asked: list[str] = []

    def fetch(url: str, *, at: int, progress: Progress) -> Fetched:
        asked.append(url)
        progress.step("fetching", 1, 2)
        return Fetched(intent=intent, remarks=("not signed",))

    stand_in.fetch = fetch  # type: ignore[attr-defined]
    gateway = opened(stand_in)
    gateway.fetch(0, "https://example.com/a.aci")
    ready = desk.wait(messages.ImageFetched)
    assert (ready.intent, ready.remarks, asked) == (intent, ("not signed",), ["https://example.com/a.aci"])
    assert "fetching" in [message.what for message in desk.all(messages.Working)]
    assert incoming.waiting(stand_in.root) == (intent.staged,)
    gateway.discard(0, intent)
    gateway.probe(0, offline=False)
    desk.wait(messages.Writable)
    assert not os.path.exists(f"{stand_in.identity.path}/.orlop/incoming")


def test_what_was_taken_in_waits_no_longer(
    desk: Desk, opened: Opened, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    intent = staged(stand_in.root)
    monkeypatch.setattr(orlop.apply, "apply", lambda *_, **__: RECEIPT)
    opened(stand_in).apply(0, replace(PLAN, intent=intent), offline=False)
    desk.wait(messages.Applied)
    assert incoming.waiting(stand_in.root) == ()


def test_what_a_failed_change_may_need_goes_on_waiting(
    desk: Desk, opened: Opened, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> Receipt:
        raise Locked("somebody holds it")

    intent = staged(stand_in.root)
    monkeypatch.setattr(orlop.apply, "apply", broken)
    opened(stand_in).apply(0, replace(PLAN, intent=intent), offline=False)
    desk.wait(messages.Failed)
    assert incoming.waiting(stand_in.root) == (intent.staged,)


def staged(root: Root) -> Import:
    with incoming.receiving(root, "0123456789abcdef") as place:
        place.put("x", [b"content"], mode=0o600)
        place.note({})
        return Import(staged=place.name)


def test_a_registry_is_swept_at_every_poll_and_says_when_it_was_looked_at(
    desk: Desk, opened: Opened, tmp_path: Path
) -> None:
    registry = Swept(tmp_path)
    opened(registry, watching=True, poll=0.02)
    first = desk.wait(messages.Looked)
    assert desk.wait(messages.Looked, lambda message: message.seen_at > first.seen_at).index == 0
    assert set(registry.refreshed[1:]) == {frozenset({".orlop"})}, "nothing is read anew, only times are compared"
    assert not desk.all(messages.StoreChanged)


def test_a_sweep_rests_a_hundred_times_as_long_as_it_took(desk: Desk, opened: Opened, tmp_path: Path) -> None:
    registry = Swept(tmp_path, takes=0.05)
    opened(registry, watching=True, poll=0.02)
    desk.wait(messages.Looked)
    gone_on = threading.Event()
    assert not gone_on.wait(0.3)
    assert len(registry.refreshed) <= 2, "the first look of the watch, and one sweep"


def test_a_docker_store_is_never_swept(desk: Desk, opened: Opened, stand_in: StandIn) -> None:
    opened(stand_in, watching=True, poll=0.02)
    desk.wait(messages.LiveState)
    assert not threading.Event().wait(0.2)
    assert frozenset({".orlop"}) not in stand_in.refreshed


class Swept(StandIn):
    """A registry in which nothing changes but the time of the last look."""

    def __init__(self, folder: Path, takes: float = 0.0) -> None:
        super().__init__(folder)
        self.identity = replace(self.identity, kind="registry")
        self._takes = takes

    def rows(self) -> Snapshot:
        return replace(super().rows(), images=0, seen_at=len(self.refreshed))

    def refresh(self, hints: Iterable[str] | None = None) -> Delta:
        until = time.thread_time() + self._takes
        while time.thread_time() < until:
            pass
        return super().refresh(hints)
