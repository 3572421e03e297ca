"""A check of a registry's structure, as a ratio to the registry's own garbage collection on the same store.

pytest -m bench tests/bench/test_bench_registry.py

Environment: ``ORLOP_BENCH_MANIFESTS`` (10000) chooses the size, ``ORLOP_BENCH_FOLDER`` a folder in
which the store stays for the next run; else it is temporary. Cold figures need root.
"""

import contextlib
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bench.table import Table

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]

TOP = Path(__file__).parents[2]
ROUNDS = 3
TAGS = 20
"""Images, and tags, of one repository."""
SHARED = 4
"""Layers of an image that it shares with others of its repository; the lowest is that of all repositories."""
OWN = 8
"""Layers of its own."""

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """What was written."""

    path: str
    manifests: int


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    manifests = int(os.environ.get("ORLOP_BENCH_MANIFESTS", "10000"))
    kept = os.environ.get("ORLOP_BENCH_FOLDER")
    folder = Path(kept or tmp_path_factory.mktemp("large"), f"registry-{manifests}")
    done = folder.with_suffix(".done")
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        write(str(folder / "docker/registry/v2"), manifests)
        done.touch()
    yield Registry(path=str(folder), manifests=manifests)
    if not kept:
        shutil.rmtree(folder)


def write(top: str, manifests: int) -> None:
    """Write a sound registry: repositories of twenty tags each, layers shared in a repository and beyond."""
    chance = random.Random(1)
    base = blob(top, b"the base of all")
    for number in range(-(-manifests // TAGS)):
        repository = f"{top}/repositories/team-{number % 17:02}/service-{number:05}"
        below = [base, *(blob(top, b"%d shared %d" % (number, depth)) for depth in range(SHARED + 3))]
        linked = {*below}
        for tag in range(min(TAGS, manifests - number * TAGS)):
            shared = below[: chance.randint(2, SHARED + 1)]
            own = [blob(top, b"%d own %d %d" % (number, tag, depth)) for depth in range(OWN)]
            document = config(number, tag, len(shared) + len(own))
            settings = blob(top, document)
            linked.update(own, [settings])
            digest = blob(top, manifest(settings, len(document), [*shared, *own]))
            link(f"{repository}/_manifests/revisions", digest)
            link(f"{repository}/_manifests/tags/v{tag}/index", digest)
            put(f"{repository}/_manifests/tags/v{tag}/current", "link", digest.encode())
        for digest in sorted(linked):
            link(f"{repository}/_layers", digest)
        os.makedirs(f"{repository}/_uploads")


def config(number: int, tag: int, layers: int) -> bytes:
    diff_ids = [f"sha256:{hashlib.sha256(b'%d %d %d' % (number, tag, depth)).hexdigest()}" for depth in range(layers)]
    history = [{"created": "2026-01-01T00:00:00Z", "created_by": f"RUN step {depth}"} for depth in range(layers)]
    document = {
        "created": "2026-01-01T00:00:00Z",
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/usr/bin:/bin"], "Cmd": [f"service-{number}"], "Labels": {"build": str(tag)}},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": history,
    }
    return json.dumps(document, separators=(",", ":")).encode()


def manifest(settings: str, size: int, layers: list[str]) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": {"mediaType": _CONFIG, "digest": settings, "size": size},
        "layers": [{"mediaType": _LAYER, "digest": digest, "size": SIZES[digest]} for digest in layers],
    }
    return json.dumps(document, separators=(",", ":")).encode()


SIZES: dict[str, int] = {}


def blob(top: str, content: bytes) -> str:
    hexadecimal = hashlib.sha256(content).hexdigest()
    digest = f"sha256:{hexadecimal}"
    if digest not in SIZES:
        SIZES[digest] = len(content)
        put(f"{top}/blobs/sha256/{hexadecimal[:2]}/{hexadecimal}", "data", content)
    return digest


def link(folder: str, digest: str) -> None:
    put(f"{folder}/sha256/{digest[7:]}", "link", digest.encode())


def put(folder: str, name: str, content: bytes) -> None:
    try:
        os.mkdir(folder)
    except FileNotFoundError:
        os.makedirs(folder)
    fd = os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.write(fd, content)
    os.close(fd)


# --- measuring ---------------------------------------------------------------


def forget() -> bool:
    """Empty the page cache and that of names; whether this user may."""
    os.sync()
    with contextlib.suppress(OSError):  # no root, or a container that may not
        Path("/proc/sys/vm/drop_caches").write_text("3")
        return True
    return False


def taken(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def test_check_beside_the_registrys_own_garbage_collection(registry: Registry, tmp_path: Path, table: Table) -> None:
    if shutil.which("docker-registry") is None:
        pytest.skip("needs Debian's docker-registry")
    settings = tmp_path / "registry.yml"
    settings.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem:\n    rootdirectory: {registry.path}\n"
    )
    paths = os.environ | {"PYTHONPATH": f"{TOP / 'core'}{os.pathsep}{TOP / 'tui'}"}

    def collecting() -> None:
        subprocess.run(
            ["docker-registry", "garbage-collect", "--dry-run", str(settings)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )

    def checking() -> None:
        run = [sys.executable, "-m", "orlop_tui", "check", registry.path]
        subprocess.run(run, env=paths, stdout=subprocess.DEVNULL, check=True)  # fails where anything is found

    cold: list[tuple[float, float]] = []
    if forget():
        cold.append((taken(collecting), 0.0))
        forget()
        cold[-1] = (cold[-1][0], taken(checking))
    collecting()
    warm = [(taken(collecting), taken(checking)) for _ in range(ROUNDS)]
    table.about(f"registry of {registry.manifests} manifests: `orlop check`, of its structure")
    for name, runs in (("cold", cold), (f"warm, best of {ROUNDS}", warm)):
        if runs:
            theirs, ours = (min(run[side] for run in runs) for side in (0, 1))
            table.row(name, ours, beside="docker-registry garbage-collect -n", yardstick=theirs, at_most=1)
