"""Where the bytes are, judged by du while an engine works, and by what deleting an image really frees."""

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import orlop.kinds
from orlop.progress import Silent
from orlop.records import Flag, Key
from orlop.space import Space, Use
from tests.engines.test_engine_content import info, layer
from tests.engines.test_engine_repair import build
from tests.engines.test_engine_sound_docker import PAUSE, program

if TYPE_CHECKING:
    from tests.engines.conftest import Engine

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]


def du(*paths: Path) -> int:
    ran = subprocess.run(["du", "--block-size=1", "-c", "-s", "-x", *paths], capture_output=True, check=True)
    return int(ran.stdout.split(b"\n")[-2].split()[0])


def measured(engine: "Engine") -> Space:
    """The space of the engine's store, which must add up to what du says; twice, where the engine wrote meanwhile."""
    for last in (False, False, True):
        before = du(engine.data)
        store = orlop.kinds.open(str(engine.data))
        found = store.space(Silent())
        store.close()
        assert sum(part.bytes for part in found.parts) == found.disk
        if last or found.disk == before == du(engine.data):
            break
    assert found.disk == du(engine.data)
    return found


def test_live_mounts_and_the_build_cache_are_accounted_for(engine: "Engine") -> None:
    dockerfile = b'FROM pausing:1\nCOPY a /a\nCMD ["/pause"]\n'
    with engine.running():
        engine.docker("import", "-", "pausing:1", data=layer((info("pause", mode=0o755), program(PAUSE))))
        build(engine, "kit:1", {"Dockerfile": dockerfile, "a": b"a" * 50_000})
        build(engine, "kit:1", {"Dockerfile": dockerfile + b"COPY b /b\n", "a": b"a" * 50_000, "b": b"b"})
        engine.docker("run", "-d", "--network", "none", "--name", "runs", "kit:1")
        live = measured(engine)
        engine.docker("rm", "-f", "runs")
        engine.docker("rmi", "kit:1")
        removed = measured(engine)
    stopped = measured(engine)

    for found in (live, removed, stopped):
        assert [found.of(use) for use in (Use.UNREFERENCED, Use.UNRECORDED, Use.UNKNOWN)] == [0, 0, 0]
        cache = next(part for part in found.parts if part.use is Use.BUILD_CACHE)
        assert any(part.title.startswith("folder ") for part in cache.parts), "BuildKit has folders of its own"
    assert "container runs" in [part.title for top in live.parts for part in top.parts]
    merged = [one for one in live.differences if "/merged is of another file system" in one]
    assert len(merged) == (1 if engine.driver == "overlay2" else 0)
    left = next(part for part in removed.parts if part.use is Use.BUILD_CACHE)
    assert any(part.remark == "the build cache may use it" for part in left.parts), "it keeps the layers of kit:1"


def lone(engine: "Engine") -> dict[str, int]:
    """Images that the engine deletes alone, without untagged parents: id and own bytes, the largest first."""
    store = orlop.kinds.open(str(engine.data))
    rows = store.rows().rows
    named = {row.id for row in rows if row.key.name is not None}
    held = {row.id for row in rows if row.flags & {Flag.PARENT, Flag.IN_USE}}
    own = {image.key.id: image.own or 0 for image in store.space(Silent()).images}
    parents = {identity: store.detail(Key("", identity, None)).parent for identity in own}
    store.close()
    return {one: own[one] for one in own if one in named - held and parents[one] in {None, *named}}


def test_deleting_an_image_frees_what_it_has_to_itself(engine: "Engine") -> None:
    folders = [engine.data / "image" / engine.driver / name for name in ("imagedb", "layerdb")]
    folders.append(engine.data / ("vfs/dir" if engine.driver == "vfs" else "overlay2"))
    for _ in range(3):
        identity, own = next(iter(lone(engine).items()))
        before = du(*folders)
        with engine.running():
            engine.docker("rmi", "-f", identity)
        assert before - du(*folders) == own, identity
