"""The watch over real folders: what is handed on, and what it survives."""

import os
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orlop_tui.watch import Watch

PATIENCE = 5.0


class Seen:
    """What a watch told, and a way to wait for it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.held = os.open(root, os.O_RDONLY)  # as a store does, so that its inode number stays taken
        self.calls: queue.Queue[frozenset[str]] = queue.Queue()
        self.states: list[str] = []
        self.replaced = 0
        self.opens = True
        self._said = threading.Condition()

    def changed(self, hints: frozenset[str]) -> None:
        self.calls.put(hints)

    def state(self, text: str) -> None:
        with self._said:
            self.states.append(text)
            self._said.notify_all()

    def reopen(self) -> tuple[int, int] | None:
        self.replaced += 1
        if not self.opens:
            return None
        return identity(self.root)

    def wait_for_state(self, wanted: Callable[[str], bool]) -> str:
        with self._said:
            assert self._said.wait_for(lambda: bool(self.states) and wanted(self.states[-1]), PATIENCE), self.states
            return self.states[-1]

    def wait_for_hint(self, *wanted: str) -> list[frozenset[str]]:
        calls: list[frozenset[str]] = []
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                hints = self.calls.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                pytest.fail(f"{wanted!r} was never handed on, only {calls}")
            calls.append(hints)
            if hints.intersection(wanted):
                return calls


def identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return (found.st_dev, found.st_ino)


@contextmanager
def watching(seen: Seen, folders: Callable[[], tuple[str, ...]], poll: float = 60.0, since: int = 0) -> Iterator[Watch]:
    made = Watch(
        str(seen.root),
        identity(seen.root),
        folders,
        changed=seen.changed,
        replaced=seen.reopen,
        state=seen.state,
        poll=poll,
        since=since,
    )
    made.start()
    try:
        yield made
    finally:
        ended = made.stop()
        os.close(seen.held)
    assert ended, "the thread did not end"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "store"
    (made / "image" / "vfs").mkdir(parents=True)
    (made / "layers").mkdir()
    return made


def both() -> tuple[str, ...]:
    return ("image/vfs", "layers")


def test_a_written_file_is_handed_on_relative_to_the_root(root: Path) -> None:
    seen = Seen(root)
    with watching(seen, both):
        seen.wait_for_state(lambda text: text == "live")
        (root / "image/vfs/repositories.json").write_text("{}")
        seen.wait_for_hint("image/vfs/repositories.json")


def test_a_folder_named_like_something_ignorable_is_watched(root: Path) -> None:
    (root / "node_modules").mkdir()
    seen = Seen(root)
    with watching(seen, lambda: ("node_modules",)):
        seen.wait_for_state(lambda text: text == "live")
        (root / "node_modules/.git").write_text("x")
        seen.wait_for_hint("node_modules/.git")


def test_nothing_below_an_unwatched_folder_is_handed_on(root: Path) -> None:
    (root / "layers/deep").mkdir()
    seen = Seen(root)
    with watching(seen, both):
        seen.wait_for_state(lambda text: text == "live")
        (root / "layers/deep/file").write_text("x")
        (root / "layers/last").write_text("x")
        calls = seen.wait_for_hint("layers/last")
    assert not any(hint.endswith("deep/file") for hints in calls for hint in hints)


def test_a_burst_of_a_thousand_events_becomes_few_calls(root: Path) -> None:
    seen = Seen(root)
    with watching(seen, both):
        seen.wait_for_state(lambda text: text == "live")
        for number in range(1000):
            (root / "layers" / str(number)).touch()
        (root / "image/vfs/end").touch()
        calls = seen.wait_for_hint("image/vfs", "image/vfs/end")
    assert len(calls) < 20
    assert any("layers" in hints or any(hint.startswith("layers/") for hint in hints) for hints in calls)


def test_a_folder_that_appears_is_watched_from_then_on(root: Path) -> None:
    seen = Seen(root)

    def existing() -> tuple[str, ...]:
        return tuple(name for name in ("image/vfs", "image/vfs/new") if (root / name).is_dir())

    with watching(seen, existing, poll=0.2):
        seen.wait_for_state(lambda text: text == "live")
        (root / "image/vfs/new").mkdir()
        seen.wait_for_hint("image/vfs/new")
        assert_heard(seen, "image/vfs/new")


def test_a_folder_replaced_by_another_is_watched_again(root: Path) -> None:
    seen = Seen(root)
    with watching(seen, both):
        seen.wait_for_state(lambda text: text == "live")
        os.rename(root / "layers", root / "old")
        (root / "layers").mkdir()
        seen.wait_for_hint("layers")
        assert_heard(seen, "layers")


def assert_heard(seen: Seen, folder: str) -> None:
    """Write into a folder until an event tells it: a new watch is armed some milliseconds later."""
    deadline = time.monotonic() + PATIENCE
    number = 0
    while time.monotonic() < deadline:
        number += 1
        (seen.root / folder / f"file{number}").write_text("x")
        try:
            if any(hint.startswith(f"{folder}/file") for hint in seen.calls.get(timeout=0.3)):
                return
        except queue.Empty:
            continue
    pytest.fail(f"{folder} is deaf")


def test_a_root_deleted_and_made_again_is_opened_anew(root: Path) -> None:
    seen = Seen(root)
    with watching(seen, both):
        seen.wait_for_state(lambda text: text == "live")
        shutil.rmtree(root)
        seen.wait_for_state(lambda text: text.startswith("STALE: the store's folder is gone"))
        (root / "image" / "vfs").mkdir(parents=True)
        (root / "layers").mkdir()
        seen.wait_for_state(lambda text: text == "live")
        assert seen.replaced == 1
        (root / "layers/after").write_text("x")
        seen.wait_for_hint("layers/after")


def test_a_root_renamed_away_is_noticed_without_an_event(root: Path) -> None:
    seen = Seen(root)
    with watching(seen, both):
        seen.wait_for_state(lambda text: text == "live")
        os.rename(root, root.parent / "elsewhere")
        seen.wait_for_state(lambda text: text.startswith("STALE"))
        os.rename(root.parent / "elsewhere", root)
        seen.wait_for_state(lambda text: text == "live")
    assert seen.replaced == 0, "the same folder came back: nothing to open anew"


def test_a_root_in_which_nothing_can_be_opened_yet_is_tried_again(root: Path) -> None:
    seen = Seen(root)
    seen.opens = False
    with watching(seen, both, poll=0.1):
        seen.wait_for_state(lambda text: text == "live")
        os.rename(root, root.parent / "elsewhere")
        root.mkdir()
        seen.wait_for_state(lambda text: text.startswith("STALE: another folder"))
        seen.opens = True
        seen.wait_for_state(lambda text: text == "live")
    assert seen.replaced >= 2


def test_without_any_events_the_poll_notices(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import watchfiles

    def refuse(*_: object, **__: object) -> Iterator[set[tuple[object, str]]]:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr(watchfiles, "watch", refuse)
    seen = Seen(root)
    with watching(seen, both, poll=0.05):
        assert seen.wait_for_state(lambda text: text.startswith("poll")) == "poll 0.05 s"
        (root / "layers/quiet").write_text("x")
        seen.wait_for_hint("layers")


def test_a_poll_that_finds_nothing_is_told_so_that_more_can_be_asked(root: Path) -> None:
    seen = Seen(root)
    asked = threading.Semaphore(0)
    made = Watch(
        str(root),
        identity(root),
        both,
        changed=seen.changed,
        replaced=seen.reopen,
        state=seen.state,
        polled=asked.release,
        poll=0.05,
    )
    made.start()
    try:
        assert asked.acquire(timeout=PATIENCE)
        assert asked.acquire(timeout=PATIENCE)
        assert seen.calls.empty()
    finally:
        assert made.stop()
        os.close(seen.held)


def test_an_unreadable_folder_is_polled_and_the_others_stay_live(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def denied(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if str(path).endswith("/layers"):
            raise PermissionError(13, "Permission denied")
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", denied)
    seen = Seen(root)
    with watching(seen, both, poll=0.1):
        seen.wait_for_state(lambda text: text == "live, 1 folder by poll")
        (root / "image/vfs/heard").write_text("x")
        seen.wait_for_hint("image/vfs/heard")
        (root / "layers/quiet").write_text("x")
        seen.wait_for_hint("layers")


def test_a_fault_in_a_callback_does_not_end_the_watching(root: Path) -> None:
    seen = Seen(root)
    faults = [ValueError("planted")]
    inner = seen.changed

    def fail_once(hints: frozenset[str]) -> None:
        if faults:
            raise faults.pop()
        inner(hints)

    seen.changed = fail_once  # type: ignore[method-assign]
    with watching(seen, both, poll=0.1):
        seen.wait_for_state(lambda text: text == "live")
        (root / "layers/first").write_text("x")
        seen.wait_for_state(lambda text: text.startswith("STALE: watching failed"))
        seen.wait_for_state(lambda text: text == "live")
        (root / "layers/second").write_text("x")
        seen.wait_for_hint("layers/second")


def test_what_changed_between_the_first_read_and_the_watch_is_handed_on(root: Path) -> None:
    seen = Seen(root)
    since = time.time_ns()
    (root / "layers/meanwhile").write_text("x")
    with watching(seen, both, since=since):
        seen.wait_for_hint("layers")


def test_a_watch_that_never_began_stops(root: Path) -> None:
    seen = Seen(root)
    made = Watch(str(root), identity(root), both, changed=seen.changed, replaced=seen.reopen, state=seen.state)
    assert made.stop()
    os.close(seen.held)
