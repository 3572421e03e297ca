"""A real Docker engine and a real registry, private to the tests, and a store that they made.

Everything lies in temporary folders and listens on loopback or on a socket there.
No container is ever run. Processes are ended by their pid, also after a failure,
and whatever the engine left mounted below its folders is unmounted.

With the environment variable ORLOP_ENGINES=required a missing engine fails the
tests; otherwise they are skipped, and say why.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.engines.registry_judge import Service
    from tests.engines.registry_maker import MadeRegistry

REQUIRED = os.environ.get("ORLOP_ENGINES") == "required"
PATH = os.pathsep.join(["/usr/bin", "/usr/sbin", os.environ.get("PATH", "")])
"""Debian's client first: it is of the same version as the engine."""
CONTENT = b"a line that fills a file of an image\n" * 400
DRIVERS = ("vfs", "overlay2")


# --- processes -------------------------------------------------------------


@dataclass(slots=True)
class Server:
    """One program that runs until it is stopped."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @classmethod
    def start(cls, argv: Sequence[str], log: Path) -> "Server":
        with log.open("ab") as sink:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env=environment(),
                start_new_session=True,
            )
        return cls(argv[0], process, log)

    def wait_until(self, ready: Callable[[], bool], seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not ready():
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended with status {self.process.returncode}:\n{self.tail()}")
            if time.monotonic() > end:
                raise AssertionError(f"{self.name} did not come up in {seconds:g} s:\n{self.tail()}")
            time.sleep(0.05)

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]

    def stop(self) -> None:
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def environment() -> dict[str, str]:
    """This environment without proxies: everything is on loopback."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return kept | {"PATH": PATH, "LC_ALL": "C.UTF-8", "DOCKER_BUILDKIT": "0"}


def unmount_below(*folders: Path) -> None:
    """Unmount what is mounted on these folders or below them, the innermost first."""
    lines = Path("/proc/self/mounts").read_bytes().decode("utf-8", "surrogateescape").splitlines()
    points = [re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), line.split(" ")[1]) for line in lines]
    for point in sorted(points, reverse=True):
        if any(point == str(folder) or point.startswith(f"{folder}/") for folder in folders):
            subprocess.run(["umount", "-l", point], check=False)


# --- the engine ------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What the engine says of one image."""

    id: str
    names: frozenset[str]
    inspect: Mapping[str, object]
    history: Sequence[Mapping[str, str]]
    """Newest first."""


@dataclass(slots=True)
class Engine:
    """A dockerd over one data root, started and stopped as a test needs it."""

    data: Path
    driver: str
    room: Path
    """Short folder for its sockets and state: a socket's path has room for 107 bytes."""
    server: Server | None = None
    starts: int = 0

    @property
    def log(self) -> Path:
        return self.room / "dockerd.log"

    @property
    def host(self) -> str:
        return f"unix://{self.room}/d.sock"

    def launch(self) -> Server:
        """Start the program and do not wait for it."""
        assert self.server is None, "it runs already"
        self.starts += 1
        argv = ["dockerd", "--debug", "--data-root", str(self.data), "--exec-root", str(self.room / "exec")]
        argv += ["--pidfile", str(self.room / "d.pid"), "--host", self.host, "--storage-driver", self.driver]
        argv += ["--iptables=false", "--ip6tables=false", "--bridge=none"]
        self.server = Server.start(argv, self.log)
        return self.server

    def start(self) -> None:
        self.launch().wait_until(lambda: self.try_docker("version").returncode == 0)

    def stop(self) -> None:
        """End it, and its containerd where it was killed; unmount what it left."""
        if self.server is not None:
            self.server.stop()
            self.server = None
        self._end_containerd()
        unmount_below(self.data, self.room)

    def _end_containerd(self) -> None:
        pidfile = self.room / "exec" / "containerd" / "containerd.pid"
        with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError):
            pid = int(pidfile.read_text())
            if str(self.room).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)

    @contextlib.contextmanager
    def running(self) -> Iterator["Engine"]:
        self.start()
        try:
            yield self
        finally:
            self.stop()

    def try_docker(self, *args: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        argv = ["docker", "--host", self.host, "--config", str(self.room / "cli"), *args]
        return subprocess.run(argv, env=environment(), input=data, capture_output=True, check=False)

    def docker(self, *args: str, data: bytes = b"") -> str:
        done = self.try_docker(*args, data=data)
        if done.returncode != 0:
            raise AssertionError(f"docker {' '.join(args)}: {done.stderr.decode(errors='replace')}")
        return done.stdout.decode().strip()

    def build(self, name: str, dockerfile: str, files: Mapping[str, bytes]) -> None:
        """Build with the classic builder, from these files."""
        self.docker("build", "-t", name, "-", data=archive({"Dockerfile": dockerfile.encode(), **files}))

    def id_of(self, name: str) -> str:
        return self.docker("image", "inspect", "--format", "{{.Id}}", name)

    def listed(self) -> dict[str, frozenset[str]]:
        """Every image id with its tags and digest references, as ``docker images`` has them."""
        names: dict[str, set[str]] = {}
        for line in self.docker("images", "-a", "--no-trunc", "--digests", "--format", "{{json .}}").splitlines():
            row = json.loads(line)
            found = names.setdefault(row["ID"], set())
            for mark, member in ((":", "Tag"), ("@", "Digest")):
                if row["Repository"] != "<none>" and row[member] not in ("<none>", ""):
                    found.add(row["Repository"] + mark + row[member])
        return {id: frozenset(found) for id, found in names.items()}

    def images(self) -> dict[str, Image]:
        """Everything that the engine says of each of its images."""
        listed = self.listed()
        if not listed:
            return {}
        inspected = {each["Id"]: each for each in json.loads(self.docker("image", "inspect", *sorted(listed)))}
        for each in inspected.values():
            del each["GraphDriver"]  # absolute paths of this data root
        return {
            id: Image(id=id, names=names, inspect=inspected[id], history=self._history(id))
            for id, names in listed.items()
        }

    def _history(self, id: str) -> list[dict[str, str]]:
        lines = self.docker("history", "--no-trunc", "--human=false", "--format", "{{json .}}", id).splitlines()
        return [json.loads(line) for line in lines]

    def saved(self) -> dict[str, str]:
        """A digest of what ``docker save`` gives for each image: every member's name, kind and bytes."""
        return {id: self._save(id) for id in self.listed()}

    def _save(self, id: str) -> str:
        done = self.try_docker("save", id)
        if b"empty export" in done.stderr:
            return "refused: the image has no layers"
        assert done.returncode == 0, f"docker save {id}: {done.stderr.decode(errors='replace')}"
        whole = hashlib.sha256()
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            for member in sorted(archive.getmembers(), key=lambda each: each.name):
                source = archive.extractfile(member) if member.isreg() else None
                content = hashlib.sha256(source.read() if source else b"").hexdigest()
                line = (member.name, member.type.decode(), member.mode, member.linkname, member.size, content)
                whole.update(repr(line).encode())
        return whole.hexdigest()

    def messages(self) -> str:
        """What it logged since it was made: messages and fields, with quotes and escapes undone."""
        text = self.log.read_text(errors="replace")
        return re.sub(r'"((?:[^"\\]|\\.)*)"', lambda found: _unquoted(found[0]), text)


def _unquoted(text: str) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        return text


# --- the registry ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Registry:
    """A docker-registry on a loopback port."""

    host: str


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# --- making a store --------------------------------------------------------


def archive(files: Mapping[str, bytes]) -> bytes:
    """A tar of these files, the same bytes each time; a name that ends in ``/`` is a folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name.rstrip("/"))
            info.mtime = 1_600_000_000
            info.mode = 0o755 if name.endswith("/") else 0o644
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@dataclass(slots=True)
class Maker:
    """Fills an engine's store with images in every state that a healthy engine leaves."""

    engine: Engine
    registry: str
    facts: dict[str, str] = field(default_factory=dict)
    """Ids that tests ask for by a word."""

    def make(self) -> None:
        self._imported()
        self._committed()
        self._untagged()
        self._built()
        self._pushed_and_pulled()
        self._deleted()
        self._container()

    def _imported(self) -> None:
        changes = ["--change", 'CMD ["/bin/true"]', "--change", "ENV PATH=/bin", "--change", "LABEL role=base"]
        files = {"bin/": b"", "etc/": b"", "bin/true": b"#!/bin/sh\n", "etc/data": CONTENT, "etc/later": b"gone\n"}
        self.engine.docker("import", "--message", "from a tar", *changes, "-", "base:1.0", data=archive(files))
        self.engine.docker("tag", "base:1.0", "base:latest")
        self.engine.docker("tag", "base:1.0", "example/base:stable")
        self.engine.docker("import", "-", "other:only", data=archive({"other": CONTENT[::-1]}))

    def layer_on(self, image: str, name: str | None, files: Mapping[str, bytes]) -> str:
        """Commit a container with some files more; the new image's id."""
        container = self.engine.docker("create", image, "/bin/true")
        self.engine.docker("cp", "-", f"{container}:/", data=archive(files))
        options = ["--author", "Ann Author <ann@example.com>", "--message", f"a layer for <{name}> & more"]
        made = self.engine.docker("commit", *options, container, *([name] if name else []))
        self.engine.docker("rm", container)
        return made

    def _committed(self) -> None:
        for app in ("app0", "app1", "app2"):
            first = {"srv/": b"", f"srv/{app}": CONTENT, "srv/level": b"1"}
            self.layer_on("base:1.0", f"{app}:v1", first)
            self.facts[app] = self.layer_on(f"{app}:v1", f"{app}:v2", {"srv/level": b"2", f"srv/{app}-2": CONTENT})
            self.engine.docker("tag", f"{app}:v2", f"{app}:latest")
        self.layer_on("base:1.0", "twin:a", {"twin": b"twin\n"})
        self.layer_on("base:1.0", "twin:b", {"twin": b"twin\n"})
        self.layer_on("base:1.0", "single:1", {"single": CONTENT})

    def _untagged(self) -> None:
        self.facts["untagged"] = self.layer_on("base:1.0", None, {"never": b"named\n"})
        self.facts["moved"] = self.layer_on("base:1.0", "moved:latest", {"moved": b"1\n"})
        self.layer_on("base:1.0", "moved:latest", {"moved": b"2\n"})

    def _built(self) -> None:
        """The classic builder leaves an untagged parent for each step."""
        steps = "FROM base:1.0\nENV A=1\nCOPY f /f\nLABEL b=2\n"
        self.engine.build("built:1", steps + 'COPY g /g\nCMD ["/f"]\n', {"f": CONTENT, "g": b"g\n"})
        self.engine.build("built:2", steps + "COPY h /h\n", {"f": CONTENT, "h": b"h\n"})
        self.engine.build("lone:1", "FROM single:1\nCOPY f /alone\nENV LAST=yes\n", {"f": CONTENT})
        self.engine.build("nolayers:1", "FROM scratch\nLABEL empty=yes\n", {})

    def _pushed_and_pulled(self) -> None:
        for app in ("app0", "app1"):
            for tag in ("latest", "v2"):
                self._push(f"{app}:v2", f"{self.registry}/team/{app}:{tag}")
        self._push("app0:v2", f"{self.registry}/mirror/app0:copy")
        self._push("other:only", f"{self.registry}/mirror/other:1")
        self.engine.docker("rmi", f"{self.registry}/mirror/other:1", "other:only")
        self.engine.docker("pull", f"{self.registry}/mirror/other:1")
        self._push("twin:a", f"{self.registry}/team/twin:x")
        digests = json.loads(self.engine.docker("image", "inspect", "--format", "{{json .RepoDigests}}", "twin:a"))
        self.engine.docker("rmi", f"{self.registry}/team/twin:x", "twin:a")
        self.engine.docker("pull", digests[0])
        self.facts["by digest"] = digests[0]

    def _push(self, image: str, name: str) -> None:
        self.engine.docker("tag", image, name)
        self.engine.docker("push", name)

    def _deleted(self) -> None:
        self.engine.docker("rmi", "twin:b")

    def _container(self) -> None:
        container = self.engine.docker("create", "--name", "kept", "app0:latest", "/bin/true")
        self.engine.docker("cp", "-", f"{container}:/", data=archive({"written": b"in the container\n"}))
        self.facts["container"] = container


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A store as the engine left it, and what the engine said before it was stopped."""

    data: Path
    driver: str
    registry: str
    images: Mapping[str, Image]
    saved: Mapping[str, str]
    facts: Mapping[str, str]

    @property
    def names(self) -> dict[str, frozenset[str]]:
        """Image id to its tags and digest references."""
        return {id: image.names for id, image in self.images.items()}

    def id_of(self, name: str) -> str:
        """The id of the image with a name."""
        [found] = [id for id, image in self.images.items() if name in image.names]
        return found


# --- fixtures --------------------------------------------------------------


def _unfit(reason: str) -> None:
    if REQUIRED:
        pytest.fail(f"ORLOP_ENGINES=required, but {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def tools() -> None:
    """What the engine tests need of the machine."""
    if os.geteuid() != 0:
        _unfit("a Docker engine needs root")
    for program in ("dockerd", "docker", "docker-registry"):
        if shutil.which(program, path=PATH) is None:
            _unfit(f"{program} is not installed (Debian: docker.io, docker-registry)")


@pytest.fixture(scope="session")
def registry(tools: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that lives as long as the tests."""
    folder = tmp_path_factory.mktemp("registry")
    port = _free_port()
    settings = {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "root")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    (folder / "config.yml").write_text(json.dumps(settings))  # JSON is YAML
    server = Server.start(["docker-registry", "serve", str(folder / "config.yml")], folder / "log")
    try:
        server.wait_until(lambda: _answers(port))
        yield Registry(f"127.0.0.1:{port}")
    finally:
        server.stop()


@contextlib.contextmanager
def _engine(data: Path, driver: str) -> Iterator[Engine]:
    room = Path(tempfile.mkdtemp(prefix="orlop-"))
    engine = Engine(data, driver, room)
    try:
        yield engine
    finally:
        engine.stop()
        shutil.rmtree(room, ignore_errors=True)


@pytest.fixture(scope="session", params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def made(driver: str, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """The store that every test looks at, and copies before it changes anything."""
    data = tmp_path_factory.mktemp(driver) / "docker"
    begin = time.monotonic()
    with _engine(data, driver) as engine:
        try:
            engine.start()
        except AssertionError:
            if "driver not supported" not in engine.log.read_text(errors="replace"):
                raise
            _unfit(f"the engine cannot use the driver {driver} here")
        maker = Maker(engine, registry.host)
        maker.make()
        images, saved = engine.images(), engine.saved()
        engine.stop()
    names = sum(len(image.names) for image in images.values())
    figure(f"{driver}: made {len(images)} images with {names} names in {time.monotonic() - begin:.1f} s")
    yield Made(data=data, driver=driver, registry=registry.host, images=images, saved=saved, facts=maker.facts)
    shutil.rmtree(data)


@pytest.fixture
def copies(made: Made, tmp_path: Path) -> Iterator[Callable[[], Engine]]:
    """Makes copies of the store, each with an engine of its own that is not started yet."""
    with contextlib.ExitStack() as stack:
        count = 0

        def copy() -> Engine:
            nonlocal count
            count += 1
            data = tmp_path / f"copy{count}"
            subprocess.run(["cp", "-a", "--reflink=auto", str(made.data), str(data)], check=True)
            stack.callback(shutil.rmtree, data, ignore_errors=True)
            return stack.enter_context(_engine(data, made.driver))

        yield copy


@pytest.fixture
def engine(copies: Callable[[], Engine]) -> Engine:
    """A copy of the store and its engine, stopped."""
    return copies()


@pytest.fixture(scope="session")
def made_registry(tmp_path_factory: pytest.TempPathFactory) -> "MadeRegistry":
    """A registry's root that every test looks at, and copies before it changes anything."""
    from tests.engines.registry_maker import make

    for program in ("docker-registry", "skopeo"):
        if shutil.which(program, path=PATH) is None:
            _unfit(f"{program} is not installed (Debian: docker-registry, skopeo)")
    begin = time.monotonic()
    made = make(tmp_path_factory.mktemp("made-registry"))
    count = len(made.answers.served())
    figure(f"registry: made {count} tags and manifests to ask for in {time.monotonic() - begin:.1f} s")
    return made


@pytest.fixture(scope="session")
def made_cache(made_registry: "MadeRegistry", tmp_path_factory: pytest.TempPathFactory) -> "MadeRegistry":
    """The root of a pull-through cache of that registry, likewise."""
    from tests.engines.registry_maker import make_cache

    return make_cache(tmp_path_factory.mktemp("made-cache"), made_registry)


@pytest.fixture
def services(made_registry: "MadeRegistry", tmp_path: Path) -> Iterator[Callable[..., "Service"]]:
    """Makes copies of the registry's root, or of another one, each with a registry of its own, not started."""
    from tests.engines.registry_judge import Service, copy_of

    made: list[Service] = []

    def copy(root: Path | None = None) -> Service:
        service = Service(copy_of(root or made_registry.root, tmp_path / f"root{len(made)}"))
        made.append(service)
        return service

    yield copy
    for service in made:
        service.stop()
        shutil.rmtree(service.room)


@pytest.fixture
def service(services: Callable[..., "Service"]) -> "Service":
    """A copy of the registry's root and a registry for it, stopped."""
    return services()


@pytest.fixture
def command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command line in a process of its own."""
    top = Path(__file__).parents[2]
    paths = os.pathsep.join([str(top / "core"), str(top / "tui")])

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "orlop_tui", *args]
        env = os.environ | {"PYTHONPATH": paths}
        return subprocess.run(
            argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
        )

    return run


# --- figures ---------------------------------------------------------------

_FIGURES: list[str] = []


def figure(text: str) -> None:
    """Note a figure, to be printed when the tests are done."""
    _FIGURES.append(text)


@pytest.fixture(name="figure")
def figure_fixture() -> Callable[[str], None]:
    return figure


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _FIGURES:
        terminalreporter.section("figures of the engine tests")
        for line in _FIGURES:
            terminalreporter.write_line(line)
