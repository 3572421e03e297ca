"""The image backend and the image store over it, as ratios to `cat` of the same files in the same run.

pytest -m bench tests/bench/test_bench_image_backend.py
"""

import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

import pytest

from tests.bench.table import Table

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]

CORE = Path(__file__).parents[2] / "core"
ROUNDS = 3
_PRELUDE = """
import sys, time
sys.path.insert(0, sys.argv[2])
from orlop.docker.imagebackend import FileImageBackend
from orlop.docker.imagestore import ImageStore, MemoryLayerReferences
backend = FileImageBackend(sys.argv[1])
start = time.perf_counter()
"""
_WALK = _PRELUDE + "count = sum(1 for image in backend.walk() if backend.get(image))\n"
_OPEN = _PRELUDE + "count = len(ImageStore(backend, MemoryLayerReferences())._known)\n"
_REPORT = "print(count, time.perf_counter() - start)\n"


class LargeStore(Protocol):
    """As the fixture `large` gives it."""

    path: str
    images: int


def measured(code: str, root: str, images: int) -> float:
    done = subprocess.run(
        [sys.executable, "-c", code + _REPORT, root, str(CORE)], capture_output=True, text=True, check=True
    )
    count, seconds = done.stdout.split()
    assert int(count) == images
    return float(seconds)


def test_walk_with_verified_get_and_opening_the_store(large: LargeStore, table: Table) -> None:
    root = f"{large.path}/image/overlay2/imagedb"
    cat = ["sh", "-c", f"find {root}/content -type f -print0 | xargs -0 cat > /dev/null"]
    subprocess.run(cat, check=True)  # all meet a warm page cache
    readings, walks, openings = [], [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        subprocess.run(cat, check=True)
        readings.append(time.perf_counter() - start)
        walks.append(measured(_WALK, root, large.images))
        openings.append(measured(_OPEN, root, large.images))
    best = min(readings)
    table.about(f"docker: the image backend over {large.images} configs (best of {ROUNDS})")
    walked = "walk, and a verified get of each; the original's: 1.4"
    table.row(walked, min(walks), beside="find | xargs cat", yardstick=best)
    table.row("the image store opened; the original's: 18", min(openings), beside="find | xargs cat", yardstick=best)
