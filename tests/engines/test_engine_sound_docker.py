"""No false alarm: whatever state a healthy engine leaves, or is in, a check of every byte finds no damage in it."""

import contextlib
import json
import os
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.engines.conftest import archive, environment
from tests.engines.corpus import Corpus
from tests.engines.stalling import Stalling
from tests.engines.test_engine_content import absolute, awkward, info, layer, loadable

if TYPE_CHECKING:
    from tests.engines.conftest import Engine, Registry

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

Figure = Callable[[str], None]

PAUSE, EXIT = b"\xb8\x22\0\0\0\x0f\x05\xeb\xf7", b"\xb8\x3c\0\0\0\x31\xff\x0f\x05"
"""x86-64: wait for a signal, again and again; end with status 0."""


def program(code: bytes) -> bytes:
    """A whole ELF program of this machine code."""
    at, size = 0x400000, 120 + len(code)
    ident = b"\x7fELF\2\1\1" + bytes(9)
    header = struct.pack("<16sHHIQQQIHHHHHH", ident, 2, 62, 1, at + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return header + struct.pack("<IIQQQQQQ", 1, 5, 0, at, at, size, size, 4096) + code


@pytest.fixture
def corpus(engine: "Engine", figure: Figure) -> Iterator[Corpus]:
    made = Corpus(engine.data)
    yield made
    figure(f"no false alarm, {engine.driver}: {made}")


def killed(engine: "Engine") -> None:
    """End the engine and all that it started, as a power cut would."""
    assert engine.server is not None
    started = _of(engine)
    engine.server.process.kill()
    engine.server.process.wait()
    for pid in started:
        with contextlib.suppress(ProcessLookupError):  # it went with another one
            os.kill(pid, signal.SIGKILL)
    engine.stop()
    shutil.rmtree(engine.room / "exec", ignore_errors=True)


def _of(engine: "Engine") -> list[int]:
    """The processes that an engine started, those in containers and builds too."""
    sign = os.fsencode(f"{engine.room}/")
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # it ended meanwhile, or is no process
            if folder.name.isdigit() and sign in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    for pid in found:  # which grows meanwhile
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                found += [int(child) for child in (thread / "children").read_text().split() if int(child) not in found]
    return found


@contextlib.contextmanager
def under_way(engine: "Engine", *args: str) -> Iterator[subprocess.Popen[bytes]]:
    """A client that waits for the engine, or for what it is given."""
    argv = ["docker", "--host", engine.host, "--config", str(engine.room / "cli"), *args]
    silent = subprocess.DEVNULL
    with subprocess.Popen(argv, env=environment(), stdin=subprocess.PIPE, stdout=silent, stderr=silent) as client:
        try:
            yield client
        finally:
            client.kill()


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


# --- containers and images ---------------------------------------------------------


def test_containers_in_every_state(engine: "Engine", corpus: Corpus) -> None:
    corpus.sound("as it was made")
    with engine.running():
        engine.docker("import", "-", "pausing:1", data=layer((info("pause", mode=0o755), program(PAUSE))))
        run = ("run", "-d", "--network", "none", "--name")
        engine.docker(*run, "first", "pausing:1", "/pause")
        engine.docker(*run, "second", "--tmpfs", "/scratch", "-v", "/volume", "pausing:1", "/pause")
        corpus.sound("containers run")
        engine.docker("pause", "first")
        corpus.sound("a container is paused")
        engine.docker("unpause", "first")
        engine.docker("cp", "-", "first:/", data=archive({"written": b"while it runs\n" * 99}))
        engine.docker("commit", "first", "committed:1")
        corpus.sound("a running container was committed")
        engine.docker("kill", "first")
        corpus.sound("a container is stopped")
        engine.docker("rmi", "committed:1")
        refused = _undeletable(engine, "first")
        if refused:
            corpus.sound("a container is dead")
        with contextlib.suppress(AssertionError):  # gone already, where nothing could be made undeletable
            engine.docker("rm", "-f", "first")
        killed(engine)
    corpus.sound("the engine was killed while a container ran")
    with engine.running():
        corpus.sound("the engine started again after it was killed")
        engine.docker("kill", "second") if engine.docker("ps", "-q") else None
        engine.docker("system", "prune", "-af", "--volumes")
        corpus.sound("everything unused was pruned")
    corpus.sound("stopped after pruning")


def _undeletable(engine: "Engine", container: str) -> bool:
    """Make the engine fail to remove a container, where the file system has a means for that."""
    identity = engine.docker("inspect", "--format", "{{.Id}}", container)
    mount = (engine.data / "image" / engine.driver / "layerdb/mounts" / identity / "mount-id").read_text()
    tree = engine.data / ("vfs/dir" if engine.driver == "vfs" else "overlay2") / mount
    kept = tree / "written" if engine.driver == "vfs" else tree / "diff/written"
    if subprocess.run(["chattr", "+i", str(kept)], check=False, capture_output=True).returncode != 0:
        return False
    try:
        refused = engine.try_docker("rm", container).returncode != 0
        assert not refused or engine.docker("inspect", "--format", "{{.State.Status}}", container) == "dead"
        return refused
    finally:
        subprocess.run(["chattr", "-i", str(kept)], check=False)


def test_whatever_an_archive_may_hold(engine: "Engine", corpus: Corpus) -> None:
    with engine.running():
        for name, layers in (("awkward:1", awkward()), ("absolute:1", absolute())):
            engine.docker("load", data=loadable(layers, name))
        engine.docker("import", "-", "whole:1", data=awkward()[1])
        corpus.sound("odd archives were loaded and imported")
        with under_way(engine, "load") as client:
            given = loadable([layer((info("large"), os.urandom(8 << 20)))], "half:1")
            assert client.stdin is not None
            client.stdin.write(given[: len(given) // 2])
            client.stdin.flush()
            time.sleep(0.3)
            corpus.sound("half an archive is loaded")
            killed(engine)
    corpus.sound("the engine was killed amid a load")
    with engine.running(), under_way(engine, "import", "-", "half:2") as client:
        assert client.stdin is not None
        client.stdin.write(given[: len(given) // 2])
        client.stdin.flush()
        time.sleep(0.3)
        corpus.sound("half an archive is imported")
        killed(engine)
    corpus.sound("the engine was killed amid an import")


# --- builds -----------------------------------------------------------------------

STAGES = """
FROM base:1.0 AS first
COPY exit /exit
RUN ["/exit"]
COPY one /files/one
FROM first AS second
COPY two /files/two
RUN ["/exit"]
FROM scratch
COPY --from=first /files /from/first
COPY --from=second /files/two /from/two
ENV A=1
"""
FILES = {"exit": b"", "pause": b"", "one": b"1" * 5000, "two": b"2" * 3000}


def _build(
    engine: "Engine", name: str, dockerfile: str, *options: str, kit: bool
) -> subprocess.CompletedProcess[bytes]:
    argv = ["docker", "--host", engine.host, "--config", str(engine.room / "cli"), "build", "--network", "none"]
    env = environment() | {"DOCKER_BUILDKIT": "1" if kit else "0"}
    return subprocess.run(
        [*argv, *options, "-t", name, "-"], env=env, input=_context(dockerfile), capture_output=True, check=False
    )


def _context(dockerfile: str) -> bytes:
    programs = {"exit": program(EXIT), "pause": program(PAUSE)}
    return layer(
        (info("Dockerfile"), dockerfile.encode()),
        *((info(name, mode=0o755), programs.get(name, content)) for name, content in FILES.items()),
    )


@pytest.mark.parametrize("kit", [False, True], ids=["classic", "buildkit"])
def test_builds_and_what_they_leave(engine: "Engine", corpus: Corpus, kit: bool) -> None:
    with engine.running():
        for name, options in (("staged:1", ()), ("staged:2", ("--no-cache",)), ("second:1", ("--target", "second"))):
            done = _build(engine, name, STAGES, *options, kit=kit)
            assert done.returncode == 0, done.stderr.decode(errors="replace")
        corpus.sound("stages were built")
        failed = _build(engine, "failed:1", STAGES + 'COPY --from=first /exit /exit\nRUN ["/nothing"]\n', kit=kit)
        assert failed.returncode != 0
        corpus.sound("a build failed")
        endless = 'FROM base:1.0\nCOPY pause /pause\nRUN ["/pause"]\n'
        with _building(engine, endless, kit=kit):
            corpus.sound("a build is under way")
            killed(engine)
    corpus.sound("the engine was killed amid a build")
    with engine.running():
        corpus.sound("the engine started again after it was killed amid a build")
        engine.docker("rmi", "staged:1", "staged:2", "second:1")
        corpus.sound("images were removed, and the build cache has their layers")
        engine.docker("builder", "prune", "-af")
        engine.docker("image", "prune", "-f")
        corpus.sound("the build cache was pruned")
    corpus.sound("stopped after the builds")


@contextlib.contextmanager
def _building(engine: "Engine", dockerfile: str, *, kit: bool) -> Iterator[None]:
    """A build that has come to its last step, and does not end."""
    argv = ["docker", "--host", engine.host, "--config", str(engine.room / "cli"), "build", "--network", "none", "-"]
    env = environment() | {"DOCKER_BUILDKIT": "1" if kit else "0"}
    log = engine.room / "build.log"
    with log.open("wb") as sink:
        client = subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=sink, stderr=sink)
        try:
            assert client.stdin is not None
            client.stdin.write(_context(dockerfile))
            client.stdin.close()
            until(lambda: b'RUN ["/pause"]' in log.read_bytes() or b"RUN [/pause]" in log.read_bytes())
            time.sleep(0.5)
            yield
        finally:
            client.kill()
            client.wait()


# --- pulls and pushes --------------------------------------------------------------


def test_pulls_and_pushes_that_were_cut_off(engine: "Engine", corpus: Corpus, registry: "Registry") -> None:
    small, large = layer((info("small"), b"small" * 999)), layer((info("large"), os.urandom(4 << 20)))
    with engine.running(), Stalling(registry.host) as slow:
        engine.docker("load", data=loadable([small, large], "pulled:1"))
        name = f"{registry.host}/half/pulled:{engine.driver}"
        engine.docker("tag", "pulled:1", name)
        engine.docker("push", name)
        engine.docker("rmi", name, "pulled:1")
        with under_way(engine, "pull", f"{slow.host}/half/pulled:{engine.driver}"):
            assert slow.stalled.wait(30)
            corpus.sound("half an image is pulled")
            killed(engine)
    corpus.sound("the engine was killed amid a pull")
    with engine.running(), Stalling(registry.host) as slow:
        corpus.sound("the engine started again after it was killed amid a pull")
        engine.docker("pull", name)
        corpus.sound("the rest was pulled")
        engine.docker("load", data=loadable([small, layer((info("other"), os.urandom(4 << 20)))], "pushed:1"))
        pushed = f"{slow.host}/half/pushed:{engine.driver}"
        engine.docker("tag", "pushed:1", pushed)
        with under_way(engine, "push", pushed):
            assert slow.stalled.wait(30)
            corpus.sound("half an image is pushed")
            killed(engine)
    corpus.sound("the engine was killed amid a push")
    with engine.running():
        assert name in json.dumps(engine.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}"))
        corpus.sound("the engine started again after it was killed amid a push")
