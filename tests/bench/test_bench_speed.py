"""Speed and memory as ratios to yardsticks of the same run; nothing here passes or fails by a time.

pytest -m bench tests/bench/test_bench_speed.py
"""

import contextlib
import json
import os
import re
import select
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bench.table import Table

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]

TOP = Path(__file__).parents[2]
ROUNDS = 3
_TAKE = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.executable, sys.argv[1:])"
_LIST = """
import sys, time
from orlop import kinds
from orlop.verified import VerifiedCache
start = time.perf_counter()
folder = sys.argv[2] if len(sys.argv) > 2 else None
store = kinds.open(sys.argv[1], verified=lambda identity: VerifiedCache(folder, identity.token))
rows = store.rows().rows
sound = sum(row.condition == "sound" for row in rows)
print(len(rows), sound, time.perf_counter() - start)
"""
_EMPTY_APP = """
from textual.app import App
from textual.widgets import DataTable
class Empty(App):
    def compose(self):
        yield DataTable()
    def on_mount(self):
        table = self.query_one(DataTable)
        table.add_columns("NAME", "TAG", "ID", "SIZE", "STATE")
        table.add_row("first-row", "x", "x", "x", "x")
Empty().run()
"""
_LIVE = """
import json, os, sys, threading, time
from orlop_tui import messages
from orlop_tui.gateway import Gateway

class Desk:
    def __init__(self):
        self.got, self.news = [], threading.Condition()
    def post_message(self, message):
        with self.news:
            self.got.append((time.perf_counter(), message))
            self.news.notify_all()
        return True
    def call_after_refresh(self, callback):
        callback()
    def wait(self, wanted):
        with self.news:
            assert self.news.wait_for(lambda: any(wanted(m) for _, m in self.got), 600)
            return next(at for at, m in self.got if wanted(m))

desk = Desk()
gateway = Gateway([sys.argv[1]])
gateway.attach(desk)
gateway.open()
desk.wait(lambda m: isinstance(m, messages.LiveState) and m.text == "live")
cpu, start = time.process_time(), time.perf_counter()
time.sleep(12)
idle = (time.process_time() - cpu) / (time.perf_counter() - start)
path = sys.argv[1] + "/image/overlay2/repositories.json"
beside = sys.argv[1] + ".tags"
before = open(path, "rb").read()
tags = json.loads(before)
some = next(iter(next(iter(tags["Repositories"].values())).values()))
times = []
for number in range(20):
    tags["Repositories"]["aaa"] = {f"aaa:{number}": some}
    with open(beside, "wb") as file:  # out of the watch's sight
        file.write(json.dumps(tags, separators=(",", ":")).encode())
    desk.got.clear()
    start = time.perf_counter()
    os.rename(beside, path)
    times.append(desk.wait(lambda m: isinstance(m, messages.StoreChanged)) - start)
    time.sleep(0.5)
with open(beside, "wb") as file:
    file.write(before)
os.rename(beside, path)
gateway.close()
print(json.dumps({"idle": idle, "times": times}))
"""


class LargeStore:
    """As the fixture `large` gives it."""

    path: str
    images: int
    layers: int
    first_name: str


def environ(**more: str) -> dict[str, str]:
    paths = f"{TOP / 'core'}{os.pathsep}{TOP / 'tui'}"
    return os.environ | {"PYTHONPATH": paths, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"} | more


def taken(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def test_cold_list_with_every_config_verified(large: LargeStore, table: Table) -> None:
    folder = f"{large.path}/image/overlay2"
    wanted = f"{folder}/imagedb {folder}/layerdb {folder}/distribution {folder}/repositories.json"
    yardstick = f"find {wanted} -type f -print0 | xargs -0 cat > /dev/null"
    outputs: list[str] = []

    def listing() -> None:
        done = subprocess.run(
            [sys.executable, "-c", _LIST, large.path], env=environ(), capture_output=True, text=True, check=True
        )
        outputs.append(done.stdout)

    def reading() -> None:
        subprocess.run(["sh", "-c", yardstick], check=True)

    reading()  # both meet a warm page cache; "cold" means that Orlop remembers nothing
    listings, readings = [], []
    for _ in range(ROUNDS):
        readings.append(taken(reading))
        listings.append(taken(listing))
    rows, sound, inside = outputs[-1].split()
    assert (int(rows), int(sound)) == (large.images, large.images)
    table.about(f"docker: {large.images} images and {large.layers} layer records listed (best of {ROUNDS})")
    beside, reading_took = "find | xargs cat", min(readings)
    what = "every config hashed, interpreter included"
    table.row(what, min(listings), beside=beside, yardstick=reading_took, at_most=2)
    table.row("inside the process (last run)", float(inside), beside=beside, yardstick=reading_took)


def test_a_list_of_what_did_not_change_since_last_time(large: LargeStore, table: Table, tmp_path: Path) -> None:
    folder = f"{large.path}/image/overlay2"
    wanted = f"{folder}/imagedb {folder}/layerdb {folder}/distribution {folder}/repositories.json"
    yardstick = f"find {wanted} -type f -print0 | xargs -0 cat > /dev/null"
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    listing = [sys.executable, "-c", _LIST, large.path, str(cache)]

    def run() -> None:
        done = subprocess.run(listing, env=environ(), capture_output=True, text=True, check=True)
        rows, sound, _ = done.stdout.split()
        assert (int(rows), int(sound)) == (large.images, large.images)

    first = taken(run)
    listings, readings = [], []
    for _ in range(ROUNDS):
        readings.append(taken(lambda: subprocess.run(["sh", "-c", yardstick], check=True)))
        listings.append(taken(run))
    table.about(f"docker: {large.images} images listed again, unchanged since last time (best of {ROUNDS})")
    beside, reading_took = "find | xargs cat", min(readings)
    table.row("interpreter included", min(listings), beside=beside, yardstick=reading_took, at_most=0.5)
    table.row("the first time, which remembers it all", first, beside=beside, yardstick=reading_took)


def test_keys_are_answered_while_a_store_is_checked(large: LargeStore, table: Table) -> None:
    pauses: list[float] = []
    with terminal(["-m", "orlop_tui", large.path]) as (master, process):
        drawn = b""
        until = time.perf_counter() + 300
        while f" {large.images} images".encode() not in re.sub(rb"\x1b\[[0-?]*[ -/]*[@-~]", b"", drawn):
            assert time.perf_counter() < until
            if select.select([master], [], [], 0.5)[0]:
                drawn += os.read(master, 65536)
        os.write(master, b"4")  # the problems: a large store is checked when they are looked at
        time.sleep(1)
        for number in range(100):
            while select.select([master], [], [], 0.02)[0]:  # what is drawn by itself, such as how far the check is
                os.read(master, 65536)
            key = b"j" if number % 40 < 20 else b"k"
            start = time.perf_counter()
            os.write(master, key)
            assert select.select([master], [], [], 10)[0]
            os.read(master, 65536)
            pauses.append(time.perf_counter() - start)
        assert process.poll() is None
    pauses.sort()
    table.about(f"docker: keys while {large.layers} layers are checked")
    table.figure("key press to repaint, 95 % of 100", pauses[94] * 1000, "ms", at_most=50)
    table.figure("the middle one", pauses[50] * 1000, "ms")


@dataclass(slots=True)
class Seen:
    """How long a program on a pseudo-terminal took to show a text, and its memory then."""

    seconds: dict[str, float]
    peak_mb: float


def on_terminal(arguments: list[str], wanted: dict[str, str], *, end: str) -> Seen:
    """Run a program until each text was drawn; then end it with a key."""
    with terminal(arguments) as (master, process):
        start = time.perf_counter()
        seconds: dict[str, float] = {}
        data = b""
        while len(seconds) < len(wanted):
            assert time.perf_counter() - start < 300, f"never shown: {wanted.keys() - seconds.keys()}"
            if select.select([master], [], [], 0.5)[0]:
                data += os.read(master, 65536)
                drawn = re.sub(rb"\x1b\[[0-?]*[ -/]*[@-~]", b"", data).decode(errors="replace")
                for what, text in wanted.items():
                    if what not in seconds and text in drawn:
                        seconds[what] = time.perf_counter() - start
        status = Path(f"/proc/{process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        os.write(master, end.encode())
        with contextlib.suppress(OSError):  # the other side closes first
            while process.poll() is None:
                if select.select([master], [], [], 0.1)[0]:
                    os.read(master, 65536)
        return Seen(seconds, int(found.group(1)) / 1024)


@contextlib.contextmanager
def terminal(arguments: list[str]) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    cache = tempfile.mkdtemp()  # nothing is remembered of an earlier run
    master, slave = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _TAKE, sys.executable, *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environ(XDG_CACHE_HOME=cache),
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield master, process
    finally:
        process.kill()
        process.wait(60)
        os.close(master)
        shutil.rmtree(cache)


def test_first_frame_and_memory_of_the_screens(large: LargeStore, table: Table) -> None:
    service = large.first_name.rpartition(":")[2]
    empty = [on_terminal(["-c", _EMPTY_APP], {"row": "first-row"}, end="\x11") for _ in range(ROUNDS)]
    wanted = {"frame": "q quit", "row": service, "whole": f" {large.images} images"}
    ours = [on_terminal(["-m", "orlop_tui", large.path], wanted, end="q") for _ in range(2)]
    base = min(run.seconds["row"] for run in empty)
    frame, rows, whole = (min(run.seconds[what] for run in ours) for what in ("frame", "row", "whole"))
    memory = min(run.peak_mb for run in empty), min(run.peak_mb for run in ours)
    table.about(f"docker: screens over {large.images} images, on a pseudo-terminal of 120 by 40")
    beside = "an empty Textual app with one table"
    table.row("the frame", frame, beside=beside, yardstick=base)
    table.row("the first row", rows, beside=beside, yardstick=base, at_most=1.3)
    table.row("all that is known of all rows", whole, beside=beside, yardstick=base)
    table.figure("peak memory of the empty app", memory[0], "MB")
    table.figure("peak memory", memory[1], "MB")
    table.figure("more than the empty app", memory[1] - memory[0], "MB", at_most=150)


def test_a_change_on_disk_is_told_and_idling_costs_little(large: LargeStore, table: Table) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LIVE, large.path], env=environ(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{shlex.join(done.args[:2])}\n{done.stderr}"
    told = json.loads(done.stdout)
    table.about(f"docker: live over {large.images} images")
    times = sorted(told["times"])
    late = times[int(0.95 * len(times)) - 1]
    table.figure(f"a tag replaced on disk until it is told, 95 % of {len(times)}", late, "s", at_most=0.15)
    table.figure("the worst", times[-1], "s")
    table.figure("idle: share of one core", told["idle"] * 100, "%", at_most=1)
