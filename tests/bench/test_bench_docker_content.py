"""How fast layers are hashed, beside `sha256sum` with as many processes as there are cores.

pytest -m bench tests/bench/test_bench_docker_content.py

Environment: ``ORLOP_BENCH_BYTES`` (1 GiB) is the size of the store with large files.
"""

import io
import os
import random
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orlop.docker.layerstore import LayerStore
from tests.bench.table import Table

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]

TOP = Path(__file__).parents[2]
LAYERS = 8
ROUNDS = 3
CORES = len(os.sched_getaffinity(0))
_CHECK = """
import resource, sys, time
from orlop import kinds
from orlop.progress import Silent
from orlop.spread import Budget
from orlop.store import Hashing
from orlop.verified import VerifiedCache
verified = VerifiedCache(None, "bench")
def spent():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
for _ in range(2):
    store = kinds.open(sys.argv[1])
    purse = Budget()
    before = spent()
    start = time.perf_counter()
    found = list(store.check(None, content=True, progress=Silent(), hashing=Hashing(verified=verified, budget=purse)))
    taken = time.perf_counter() - start
    assert not [one for one in found if one.rule != "DK12"], found
    cpu = spent() - before
    with open("/proc/self/status") as status:
        peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
    print(purse.done, taken, cpu, peak)
"""


def layer(files: Iterator[tuple[str, bytes]]) -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size, info.uid, info.gid = len(content), os.geteuid(), os.getegid()
            tar.addfile(info, io.BytesIO(content))
    buffer.seek(0)
    return buffer


def large(chance: random.Random) -> Iterator[tuple[str, bytes]]:
    size = int(os.environ.get("ORLOP_BENCH_BYTES", str(1 << 30))) // LAYERS // 4
    return ((f"large-{number}", chance.randbytes(size)) for number in range(4))


def small(chance: random.Random) -> Iterator[tuple[str, bytes]]:
    sizes = (100, 1000, 4000, 8000, 30_000)
    return ((f"usr/lib/d{number // 50}/f{number}", chance.randbytes(chance.choice(sizes))) for number in range(5000))


@pytest.mark.parametrize("make", [large, small], ids=["large", "small"])
def test_layers_are_hashed_beside_sha256sum(make, tmp_path: Path, table: Table) -> None:  # type: ignore[no-untyped-def]
    chance = random.Random(1)
    layers = LayerStore(str(tmp_path))
    for _ in range(LAYERS):
        layers.register(layer(make(chance)))
    (tmp_path / "image/overlay2/imagedb/content/sha256").mkdir(parents=True)
    env = os.environ | {"PYTHONPATH": str(TOP / "core")}
    each = 1 if make is large else 2000
    command = f"find {tmp_path}/overlay2 -path '*/diff/*' -type f -print0 | xargs -0 -P {CORES} -n {each} sha256sum"
    sums, checks, passes, cpu, peak, size = [], [], [], [], 0, 0
    for _ in range(ROUNDS):
        start = time.perf_counter()
        subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL)
        sums.append(time.perf_counter() - start)
        done = subprocess.run(
            [sys.executable, "-c", _CHECK, str(tmp_path)], env=env, capture_output=True, text=True, check=True
        )
        first, second = (line.split() for line in done.stdout.splitlines())
        size, peak = int(first[0]), max(peak, int(first[3]))
        assert int(second[0]) == 0
        checks.append(float(first[1]))
        cpu.append(float(first[2]))
        passes.append(float(second[1]))
    count = LAYERS * (4 if make is large else 5000)
    table.about(f"docker: {count} files, {size} bytes in {LAYERS} layers verified (best of {ROUNDS})")
    beside = f"sha256sum, {CORES} at a time"
    table.row("contents and structure", min(checks), beside=beside, yardstick=min(sums), at_least=0.95)
    table.row("a second time, where nothing changed", min(passes), beside=beside, yardstick=min(sums))
    table.figure("throughput", size / min(checks) / 1e6, "MB/s")
    table.figure("processor time, that of helpers too", min(cpu), "s")
    table.figure("peak memory, helpers left aside", peak / 1024, "MB")
