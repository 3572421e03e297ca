"""Layers that a real engine wrote: every one hashes to its diff id, and what is done to one the engine's save meets."""

import hashlib
import io
import json
import os
import random
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import orlop.kinds
from orlop.docker import layout
from orlop.docker.store import DockerStore
from orlop.finding import Finding
from orlop.progress import Silent
from orlop.spread import Budget
from orlop.store import Hashing
from orlop.verified import VerifiedCache

if TYPE_CHECKING:
    from tests.engines.conftest import Engine, Made

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

Figure = Callable[[str], None]
FLIPS = 12


def info(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.mode, made.mtime = kind, target, mode, 1_500_000_000
    return made


def layer(*members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as tar:
        for one in members:
            member, content = one if isinstance(one, tuple) else (one, b"")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def device(name: str) -> tarfile.TarInfo:
    made = info(name, tarfile.CHRTYPE)
    made.devmajor, made.devminor = 1, 3
    return made


def capable(name: str) -> tarfile.TarInfo:
    made = info(name, mode=0o755)
    made.pax_headers = {"SCHILY.xattr.security.capability": "\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0"}
    return made


def folder(name: str) -> tarfile.TarInfo:
    return info(name, tarfile.DIRTYPE, mode=0o755)


def awkward() -> list[bytes]:
    """Layers with all that archives of healthy images hold."""
    return [
        layer(
            folder("usr/"),
            folder("usr/lib/"),
            info("lib", tarfile.SYMTYPE, "usr/lib"),
            (info("usr/lib/a"), b"a" * 700),
            info("usr/lib/hard", tarfile.LNKTYPE, "usr/lib/a"),
            (info("opt/gone"), b"gone"),
            (info("opt/kept"), b"kept"),
            (info("hidden/one"), b"one"),
            (info("hidden/deep/two"), b"two"),
            (info("folder/inner/file"), b"a file takes this folder's place"),
            (info("replaced"), b"same size, other bytes"),
            device("dev/null"),
            info("pipe", tarfile.FIFOTYPE),
        ),
        layer(
            (info("usr/bin/sudo", mode=0o4755), b"setuid" * 9),
            (capable("usr/bin/ping"), b"capable"),
            (info("empty"), b""),
            (info("zeros"), bytes(3 << 20)),
            (info("d" * 120 + "/" + "f" * 150), b"a long name"),
            (info("caf\udce9"), b"not UTF-8"),
            (info("./dotted/./x"), b"a name with dots"),
            (info("/absolute"), b"a name from the root"),
            (info('quote"\\<new>\nline'), b"a name with a line's end"),
            folder("opt/"),
            info("opt/.wh.gone"),
            folder("hidden/"),
            info("hidden/.wh..wh..opq"),
            (info("hidden/three"), b"three"),
            (info("folder"), b"a file in the place of a folder"),
            (info("replaced"), b"SAME SIZE, OTHER BYTES"),
            info("zeros-too", tarfile.LNKTYPE, "zeros"),
        ),
        layer((info("lib/through"), b"written through a link")),
        layer((info("usr/lib/through"), b"WRITTEN THROUGH A LINK"), info("nothing/.wh.there")),
    ]


def absolute() -> list[bytes]:
    """Layers with a file behind a link from the root, which the engine unpacks and (vfs) cannot save again."""
    return [
        layer(folder("usr/lib/"), info("lib64", tarfile.SYMTYPE, "/usr/lib")),
        layer((info("lib64/through"), b"written through a link")),
    ]


def loadable(layers: list[bytes], name: str = "awkward:1") -> bytes:
    """An archive that `docker load` takes."""
    diff_ids = ["sha256:" + hashlib.sha256(one).hexdigest() for one in layers]
    rootfs = {"type": "layers", "diff_ids": diff_ids}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/x"]}, "rootfs": rootfs}).encode()
    names = [f"layer{number}.tar" for number in range(len(layers))]
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": names}]
    files = [
        ("config.json", config),
        ("manifest.json", json.dumps(manifest).encode()),
        *zip(names, layers, strict=True),
    ]
    return layer(*((info(name), content) for name, content in files))


@pytest.fixture
def store(engine: "Engine") -> Iterator[Callable[[], DockerStore]]:
    opened: list[DockerStore] = []

    def open() -> DockerStore:
        found = orlop.kinds.open(str(engine.data))
        assert isinstance(found, DockerStore)
        opened.append(found)
        return found

    yield open
    for one in opened:
        one.close()


def damage(store: DockerStore, hashing: Hashing | None = None) -> list[Finding]:
    found = store.check(None, content=True, progress=Silent(), hashing=hashing)
    return [one for one in found if one.severity.is_damage]


def build(engine: "Engine", name: str) -> None:
    """Build with BuildKit, whose layers are registered as they lie; without a program to run."""
    from tests.engines.conftest import archive, environment

    context = archive({"Dockerfile": b"FROM base:1.0\nCOPY f /f\nCOPY etc /etc\n", "f": b"f" * 999, "etc/data": b"new"})
    argv = ["docker", "--host", engine.host, "--config", str(engine.room / "cli"), "build", "-t", name, "-"]
    env = environment() | {"DOCKER_BUILDKIT": "1"}
    done = subprocess.run(argv, env=env, input=context, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")


def files_of(store: DockerStore) -> list[Path]:
    """Every regular file with content in every layer's folder."""
    trees = [
        Path(store.root.path) / (layout.layer_tree(store.model.driver, one.cache_id or "") or "")
        for one in store.model.layers.values()
    ]
    files = [file for tree in trees for file in tree.rglob("*") if not file.is_symlink() and file.is_file()]
    return sorted(file for file in files if file.stat().st_size)


def test_what_an_engine_made_is_sound_in_every_state(
    engine: "Engine", store: Callable[[], DockerStore], figure: Figure
) -> None:
    before = store()
    assert damage(before) == []
    states = 1
    with engine.running():
        engine.docker("load", data=loadable(awkward()))
        engine.docker("load", data=loadable(absolute(), "absolute:1"))
        made = engine.docker("create", "awkward:1", "/x")
        engine.docker("cp", "-", f"{made}:/", data=layer((info("written"), b"in the container")))
        engine.docker("commit", made, "committed:1")
        build(engine, "kit:1")
        for name in ("awkward:1", "committed:1", "kit:1"):
            saved = engine.try_docker("save", name)
            assert saved.returncode == 0, saved.stderr
        assert damage(store()) == []
        engine.docker("rmi", "kit:1")
        assert damage(store()) == []
        states += 2
    after = store()
    purse = Budget()
    assert damage(after, Hashing(budget=purse)) == []
    figure(
        f"{engine.driver}: {len(after.model.layers)} layers with {len(files_of(after))} files, {purse.done} bytes "
        f"hashed, sound in {states + 1} states"
    )


def test_a_layer_that_the_engine_removes_meanwhile_is_no_damage(
    engine: "Engine", store: Callable[[], DockerStore]
) -> None:
    with engine.running():
        engine.docker("load", data=loadable(awkward()))
        running = store()  # as it is now: the layers go before they are hashed
        engine.docker("rmi", "awkward:1")
        assert damage(running) == []


def test_a_flipped_byte_is_found_and_its_file_named(
    engine: "Engine", made: "Made", store: Callable[[], DockerStore], figure: Figure
) -> None:
    with engine.running():
        engine.docker("load", data=loadable(awkward()))
    files = files_of(store())
    for file in random.Random(7).sample(files, FLIPS):
        before, data = file.stat(), bytearray(file.read_bytes())
        at = random.Random(os.fsencode(file)).randrange(len(data))
        data[at] ^= 0x10
        file.write_bytes(data)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        found = damage(store())
        assert {one.rule for one in found} == {"DK08"}, file
        names = {other.name for other in files if other.samefile(file)}  # a hard link has the same bytes
        assert any(name in one.detail for one in found for name in names), (file, found)
        data[at] ^= 0x10
        file.write_bytes(data)
    assert damage(store()) == []
    figure(f"{engine.driver}: {FLIPS} flips in {len(files)} files tried and found")


def test_the_engine_says_on_save_what_the_finding_says(engine: "Engine", store: Callable[[], DockerStore]) -> None:
    top = store()
    [image] = [entry.image for name, entry in top.model.tags.references.items() if name == "app0:v2"]
    lowest = top.model.layers[top.model.images[image].chain[0]]
    tree = Path(top.root.path) / (layout.layer_tree(engine.driver, lowest.cache_id or "") or "")
    (tree / "etc/data").write_bytes(b"other bytes, and fewer")
    [found] = [one for one in damage(store()) if one.path.endswith("etc/data") and image in one.images]
    with engine.running():
        saved = engine.try_docker("save", "app0:v2")
    assert saved.returncode != 0
    assert found.engine_says in saved.stderr.decode()


def test_a_second_check_reads_nothing_after_the_engine_only_ran(
    engine: "Engine", store: Callable[[], DockerStore]
) -> None:
    verified = VerifiedCache(None, "store")
    assert damage(store(), Hashing(verified=verified)) == []
    with engine.running():
        engine.docker("create", "app0:v2", "/x")
    purse = Budget()
    assert damage(store(), Hashing(verified=verified, budget=purse)) == []
    assert purse.done == 0


def test_a_lost_short_name_keeps_the_engine_from_mounting(engine: "Engine", store: Callable[[], DockerStore]) -> None:
    if engine.driver != "overlay2":
        pytest.skip("only overlay2 has short names")
    top = store()
    [image] = [entry.image for name, entry in top.model.tags.references.items() if name == "app0:v2"]
    cache_id = top.model.layers[top.model.images[image].chain[0]].cache_id or ""
    link = engine.data / layout.link((engine.data / layout.link_file(cache_id)).read_text())
    link.unlink()
    [found] = [one for one in damage(store()) if one.rule == "DK10"]
    assert image in found.images
    with engine.running():
        refused = engine.try_docker("create", "app0:v2", "/x")
    assert refused.returncode != 0
    assert found.engine_says.rpartition(": ")[2] in refused.stderr.decode()
