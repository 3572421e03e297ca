"""The table that a run of measurements ends with, and a large Docker data root: deterministic, quick to write, sound.

    pytest -m bench

Environment: ``ORLOP_BENCH_IMAGES`` (100000) and ``ORLOP_BENCH_LAYERS`` (30000) choose the size,
``ORLOP_BENCH_FOLDER`` a folder in which the store stays for the next run; else it is temporary.
"""

import hashlib
import json
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orlop.docker.tarsplit import Content, Recipe, Segment
from tests.bench.table import Table

DEPTH = 15
"""Layers in one stack."""
CONFIG_BYTES = 4500
RECIPES = 64
"""Different tar-split records, each with a size of its own."""


_TABLE = pytest.StashKey[Table]()


@pytest.fixture
def table(request: pytest.FixtureRequest) -> Table:
    """Takes what is measured; see `tests.bench.table`."""
    whole = request.config.stash.setdefault(_TABLE, Table())
    whole.about(request.node.name.removeprefix("test_").replace("_", " "))
    return whole


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    measured = config.stash.get(_TABLE, None)
    if measured is not None and measured.sections:
        terminalreporter.section("measured, beside what was run in the same minute")
        for line in measured.lines():
            terminalreporter.line(line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Large:
    """What was written."""

    path: str
    images: int
    layers: int
    first_name: str
    """The name that sorts first."""


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Large]:
    images = int(os.environ.get("ORLOP_BENCH_IMAGES", "100000"))
    layers = int(os.environ.get("ORLOP_BENCH_LAYERS", "30000"))
    kept = os.environ.get("ORLOP_BENCH_FOLDER")
    folder = Path(kept or tmp_path_factory.mktemp("large"), f"docker-{images}-{layers}")
    note = folder.with_suffix(".json")
    if not note.exists():
        shutil.rmtree(folder, ignore_errors=True)
        note.write_text(json.dumps({"first_name": write(folder, images, layers)}))
    yield Large(path=str(folder), images=images, layers=layers, first_name=json.loads(note.read_text())["first_name"])
    if not kept:
        shutil.rmtree(folder)


def write(folder: Path, images: int, layers: int) -> str:
    """Write the store; gives the name that sorts first."""
    chance = random.Random(1)
    top = str(folder)
    image_root = f"{top}/image/overlay2"
    for path in (
        "imagedb/content/sha256",
        "imagedb/metadata/sha256",
        "layerdb/sha256",
        "layerdb/mounts",
        "layerdb/tmp",
        "distribution/v2metadata-by-diffid/sha256",
        "distribution/diffid-by-digest/sha256",
    ):
        os.makedirs(f"{image_root}/{path}")
    os.makedirs(f"{top}/overlay2/l")
    os.makedirs(f"{top}/containers")
    os.makedirs(f"{top}/volumes")
    put(f"{top}/volumes/metadata.db", b"")
    recipes = [recipe(1000 + 777 * number) for number in range(RECIPES)]
    stacks = [stack(top, number, recipes) for number in range(max(1, layers // DEPTH))]
    cut = [chance.choice(stacks)[: chance.randint(3, DEPTH)] for _ in range(images - len(stacks))]
    ids = [config(image_root, number, diff_ids) for number, diff_ids in enumerate((*stacks, *cut)[:images])]
    repositories: dict[str, dict[str, str]] = {}
    for number, identity in enumerate(ids):
        repository = f"registry.example.com/team-{number % 97:02}/service-{number % 1999:04}"
        repositories.setdefault(repository, {})[f"{repository}:b{number:06}"] = identity
    put(f"{image_root}/repositories.json", json.dumps({"Repositories": repositories}, separators=(",", ":")).encode())
    return min(name for names in repositories.values() for name in names)


def recipe(size: int) -> tuple[int, bytes]:
    """The size of a layer, and a tar-split record that adds up to it: one file, as short as real records are small."""
    made = Recipe()
    made.add(Segment(bytes(512)))
    made.add(Content("data", size, bytes(8)))
    made.add(Segment(bytes(1024)))
    return size, made.close()


def stack(top: str, number: int, recipes: list[tuple[int, bytes]]) -> list[str]:
    """Write one chain of layer records with their data folders and mappings; gives its diff ids."""
    image_root = f"{top}/image/overlay2"
    diff_ids: list[str] = []
    chain = ""
    lower: list[str] = []
    for depth in range(DEPTH):
        diff_id = digest(f"layer {number} {depth}")
        below, chain = chain, digest(f"{chain} {diff_id}") if chain else diff_id
        diff_ids.append(diff_id)
        cache_id = digest(f"cache {chain}")[7:]
        size, tar_split = recipes[(number * DEPTH + depth) % len(recipes)]
        record = f"{image_root}/layerdb/sha256/{chain[7:]}"
        os.mkdir(record)
        put(f"{record}/diff", diff_id.encode())
        put(f"{record}/size", str(size).encode())
        put(f"{record}/cache-id", cache_id.encode())
        put(f"{record}/tar-split.json.gz", tar_split)
        if below:
            put(f"{record}/parent", below.encode())
        data(top, cache_id, lower)
        if depth < 3:
            blob = digest(f"blob {diff_id}")
            source = f"registry.example.com/team-{number % 97:02}/base"
            entry = [{"Digest": blob, "SourceRepository": source, "HMAC": ""}]
            at = f"{image_root}/distribution"
            put(f"{at}/v2metadata-by-diffid/sha256/{diff_id[7:]}", json.dumps(entry).encode())
            put(f"{at}/diffid-by-digest/sha256/{blob[7:]}", diff_id.encode())
    return diff_ids


def data(top: str, cache_id: str, lower: list[str]) -> None:
    """Write a layer's folder of overlay2 with its short name, and put that before those of the layers below."""
    folder = f"{top}/overlay2/{cache_id}"
    short = cache_id[:26].upper()
    os.makedirs(f"{folder}/diff")
    put(f"{folder}/link", short.encode())
    os.symlink(f"../{cache_id}/diff", f"{top}/overlay2/l/{short}")
    if lower:
        put(f"{folder}/lower", ":".join(f"l/{name}" for name in lower).encode())
        os.mkdir(f"{folder}/work")
    lower.insert(0, short)


def config(image_root: str, number: int, diff_ids: list[str]) -> str:
    """Write one image's config, and for some its parent; gives the id."""
    history = [
        {"created": f"2026-0{1 + i % 9}-11T10:00:00.{i + 1:09}Z", "created_by": f"RUN /bin/sh -c make step-{i}"}
        for i in range(len(diff_ids))
    ]
    value: dict[str, object] = {
        "architecture": "amd64",
        "config": {
            "Cmd": ["/bin/service"],
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", f"BUILD={number}"],
            "Labels": {"org.opencontainers.image.revision": digest(str(number))[7:47], "padding": ""},
        },
        "created": f"2026-0{1 + number % 9}-{1 + number % 28:02}T10:14:07.{number:09}Z",
        "docker_version": "20.10.24",
        "history": history,
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    data = json.dumps(value, separators=(",", ":"))
    padding = "x" * max(0, CONFIG_BYTES - len(data))
    whole = data.replace('"padding":""', f'"padding":"{padding}"').encode()
    identity = "sha256:" + hashlib.sha256(whole).hexdigest()
    put(f"{image_root}/imagedb/content/sha256/{identity[7:]}", whole)
    return identity


def digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def put(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
