"""Speed of an ACI store as ratios to yardsticks of the same run; nothing here passes or fails by a time.

pytest -m bench tests/bench/test_bench_rkt.py

Environment: ``ORLOP_BENCH_ACIS`` (10000) tiny images for the list, ``ORLOP_BENCH_MB`` (512) of
content in large ones for the import and the check.
"""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orlop.rkt import layout
from orlop.rkt.catalogue import ImageRow, PutImage
from orlop.rkt.qlcatalogue import QlFormat
from orlop.rkt.sqlitecatalogue import SqliteFormat
from tests.bench.table import Table

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]

TOP = Path(__file__).parents[2]
ROUNDS = 3
_TIME = 1_790_000_000_000_000_000

_LIST = """
import sys, time
from orlop import kinds
start = time.perf_counter()
store = kinds.open(sys.argv[1])
rows = store.rows().rows
read = time.perf_counter() - start
start = time.perf_counter()
assert not store.refresh(None)
print(len(rows), sum(row.condition == "sound" for row in rows), read, time.perf_counter() - start)
"""
_CHECK = """
import sys
from orlop import kinds
from orlop.progress import Silent
store = kinds.open(sys.argv[1])
assert not [f for f in store.check(None, content=True, progress=Silent()) if f.severity.is_damage]
"""
_IMPORT = """
import sys
from orlop.rkt.store import AciStore
with AciStore.create(sys.argv[1], sys.argv[2]) as store:
    for path in sys.argv[3:]:
        with open(path, "rb") as file:
            store.write_aci(file)
"""


def environ() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(TOP / "core")}


def best(run: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Seconds of the quickest of some runs."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def python(program: str, *arguments: str) -> str:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, env=environ(), capture_output=True, text=True, check=True).stdout


def shell(program: str, *arguments: str) -> None:
    subprocess.run(["sh", "-c", program, "sh", *arguments], check=True, stdout=subprocess.DEVNULL)


def manifest(number: int) -> bytes:
    document = {
        "acKind": "ImageManifest",
        "acVersion": "0.8.11",
        "name": f"example.com/team-{number % 97:02}/service-{number % 1999:04}",
        "labels": [
            {"name": "version", "value": f"1.{number}.0"},
            {"name": "os", "value": "linux"},
            {"name": "arch", "value": "amd64"},
        ],
        "app": {
            "exec": ["/bin/service"],
            "user": "0",
            "group": "0",
            "environment": [{"name": "BUILD", "value": str(number)}],
            "ports": [{"name": "http", "protocol": "tcp", "port": 80, "count": 1, "socketActivated": False}],
        },
    }
    return json.dumps(document, separators=(",", ":")).encode()


def archive(number: int, content: bytes = b"") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in (("manifest", manifest(number)), ("rootfs/content", content)):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def write(cas: Path, count: int, catalogue: str) -> None:
    """Write a store of tiny images, as rkt would have left it."""
    edits = []
    for number in range(count):
        data = archive(number)
        key = layout.key_of(hashlib.sha512(data).digest())
        for path, content in ((layout.blob(key), data), (layout.manifest(key), manifest(number))):
            (cas / path).parent.mkdir(parents=True, exist_ok=True)
            (cas / path).write_bytes(content)
        name = json.loads(manifest(number))["name"]
        row = ImageRow(key=key, name=name, imported=_TIME, last_used=_TIME, latest=False, size=len(data), tree_size=0)
        edits.append(PutImage(row=row))
    (cas / "db").mkdir()
    if catalogue == "ql":
        (cas / layout.QL).write_bytes(QlFormat().edited(QlFormat().empty(), edits))
    else:
        (cas / layout.SQLITE).write_bytes(SqliteFormat().edited(SqliteFormat().empty(), edits))


@pytest.mark.parametrize("catalogue", ["ql", "sqlite"])
def test_the_list_of_many_images(tmp_path: Path, catalogue: str, table: Table) -> None:
    count = int(os.environ.get("ORLOP_BENCH_ACIS", "10000"))
    cas = tmp_path / "cas"
    write(cas, count, catalogue)
    outputs: list[str] = []
    yardstick = 'find "$1/imageManifest" "$1/db" -type f -print0 | xargs -0 cat'
    reading = best(lambda: shell(yardstick, str(cas)))
    listing = best(lambda: outputs.append(python(_LIST, str(cas))))
    rows, sound, read, again = outputs[-1].split()
    assert (int(rows), int(sound)) == (count, count)
    size = (cas / (layout.QL if catalogue == "ql" else layout.SQLITE)).stat().st_size
    table.about(f"rkt: {count} images listed, every manifest parsed, {catalogue} of {size} bytes (best of {ROUNDS})")
    table.row("interpreter included", listing, beside="find | xargs cat", yardstick=reading)
    table.row("inside the process (last run)", float(read), beside="find | xargs cat", yardstick=reading)
    table.row("the same again, unchanged", float(again), beside="find | xargs cat", yardstick=reading, at_most=0.5)


def test_the_content_of_large_images(tmp_path: Path, table: Table) -> None:
    megabytes = int(os.environ.get("ORLOP_BENCH_MB", "512"))
    files = []
    for number in range(8):
        path = tmp_path / f"{number}.aci"
        path.write_bytes(archive(number, os.urandom(megabytes // 8 << 20)))
        files.append(str(path))
    one = best(lambda: shell('sha512sum "$@"', *files))
    all_cores = best(lambda: shell(f"printf '%s\\0' \"$@\" | xargs -0 -n 1 -P {os.cpu_count()} sha512sum", *files))
    cores = f"sha512sum, {os.cpu_count()} at a time"
    table.about(f"rkt: {megabytes} MB in 8 ACIs (best of {ROUNDS})")
    for catalogue in ("ql", "sqlite"):
        cas = tmp_path / catalogue
        taken = best(lambda cas=cas, catalogue=catalogue: python(_IMPORT, str(cas), catalogue, *files))  # type: ignore[misc]
        checked = best(lambda cas=cas: python(_CHECK, str(cas)))  # type: ignore[misc]
        table.row(f"imported, {catalogue}: copied, hashed, judged, synced", taken, beside="sha512sum", yardstick=one)
        table.row(f"contents verified, {catalogue}", checked, beside=cores, yardstick=all_cores, at_least=0.95)
