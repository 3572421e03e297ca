"""Holding a registry's storage: a statement is needed, and a registry that is seen is never overridden."""

import os
from pathlib import Path

import pytest

from orlop.errors import Locked, NeedsStatement, ReadOnly
from orlop.fs import Root
from orlop.records import EngineState
from orlop.registry import processes
from orlop.registry.door import RegistryStore
from orlop.registry.guard import guard
from orlop.store import Statement
from tests.registry.pushing import V2, Registry

OFFLINE = Statement(offline=True)


@pytest.mark.parametrize("statement", [None, Statement()])
def test_without_a_statement_nothing_is_held(registry: Registry, statement: Statement | None) -> None:
    with Root.open(str(registry.path)) as root, pytest.raises(NeedsStatement) as caught, guard(root, statement):
        pytest.fail("it was held")
    assert "--offline" in caught.value.do


def test_with_a_statement_it_is_held_and_nothing_is_made(registry: Registry) -> None:
    before = sorted(registry.path.rglob("*"))
    store = RegistryStore(Root.open(str(registry.path)), V2)
    with store.guard(OFFLINE) as held:
        assert held.by == "stated by --offline"
        assert sorted(registry.path.rglob("*")) == before
    store.close()


def test_a_registry_that_is_seen_is_not_overridden(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = processes.Registry(pid=4711, command="registry", certain=True, how="it serves the rootdirectory of c.yml")
    monkeypatch.setattr(processes, "find", lambda root: seen)
    with Root.open(str(registry.path)) as root:
        for statement in (None, OFFLINE):
            with pytest.raises(Locked) as caught, guard(root, statement):
                pytest.fail("it was held")
            assert caught.value.holder == "registry (process 4711)"
        assert processes.engine_state(root)[0] is EngineState.RUNNING


def test_a_file_system_that_cannot_be_written_is_refused(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    class Mounted:
        f_flag = os.ST_RDONLY

    monkeypatch.setattr(os, "fstatvfs", lambda fd: Mounted)
    with Root.open(str(registry.path)) as root, pytest.raises(ReadOnly), guard(root, OFFLINE):
        pytest.fail("it was held")


def test_where_no_registry_is_seen_the_engine_is_unknown(registry: Registry) -> None:
    with Root.open(str(registry.path)) as root:
        assert processes.engine_state(root) == (EngineState.UNKNOWN, processes.NO_LOCK)


class Host:
    """The kernel's view of some processes."""

    def __init__(self, folder: Path) -> None:
        self.proc = folder / "proc"
        self.proc.mkdir()
        (self.proc / "self").mkdir()
        self.folder = folder

    def process(self, pid: int, *arguments: str, cwd: str = "/", environ: bytes = b"", root: str = "/") -> None:
        process = self.proc / str(pid)
        process.mkdir()
        (process / "cmdline").write_bytes(b"".join(argument.encode() + b"\0" for argument in arguments))
        (process / "environ").write_bytes(environ)
        (process / "cwd").symlink_to(cwd)
        (process / "root").symlink_to(root)

    def config(self, folder: str) -> str:
        path = self.folder / "config.yml"
        path.write_text(f"storage:\n  filesystem:\n    rootdirectory: {folder}\n")
        return str(path)

    def find(self, registry: Registry) -> processes.Registry | None:
        with Root.open(str(registry.path)) as root:
            return processes.find(root, str(self.proc))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.mark.parametrize(
    "command", ["registry", "/bin/registry", "/usr/bin/docker-registry", "registry-2.8.3", "/x/registry-v3.0.0"]
)
@pytest.mark.parametrize("action", ["serve", "garbage-collect"])
def test_a_registry_is_known_by_its_command(registry: Registry, host: Host, command: str, action: str) -> None:
    host.process(7, command, action, host.config(str(registry.path)))
    found = host.find(registry)
    assert found is not None
    assert (found.pid, found.certain) == (7, True)


def test_the_first_registries_have_no_action(registry: Registry, host: Host) -> None:
    host.process(7, "registry", host.config(str(registry.path)))
    found = host.find(registry)
    assert found is not None
    assert found.certain


@pytest.mark.parametrize(
    "arguments",
    [("nginx", "serve"), ("registry-browser", "serve"), ("vim", "registry"), ("registry", "x", "y")],
)
def test_other_programs_are_none(registry: Registry, host: Host, arguments: tuple[str, ...]) -> None:
    host.process(7, *arguments, host.config(str(registry.path)), cwd=str(registry.path))
    assert host.find(registry) is None


def test_a_configuration_is_read_through_the_processs_own_root(registry: Registry, host: Host, tmp_path: Path) -> None:
    inside = tmp_path / "container"
    (inside / "etc").mkdir(parents=True)
    (inside / "etc/config.yml").write_text("storage:\n  filesystem:\n    rootdirectory: /data\n")
    os.rename(registry.path, inside / "data")
    registry.path = inside / "data"
    host.process(7, "registry", "serve", "/etc/config.yml", root=str(inside))
    assert host.find(registry) is not None


def test_a_registry_whose_configuration_is_gone_counts_where_it_works_in_the_folder(
    registry: Registry, host: Host
) -> None:
    host.process(7, "registry", "serve", "/no/such/config.yml", cwd=str(registry.path))
    found = host.find(registry)
    assert found is not None
    assert not found.certain
    assert "cannot be read" in found.how


def test_processes_that_go_or_hide_are_passed_over(registry: Registry, host: Host) -> None:
    (host.proc / "5").mkdir()
    (host.proc / "6").mkdir()
    (host.proc / "6/cmdline").write_bytes(b"registry\0serve\0/x\0")
    host.process(7, "registry", "serve", host.config(str(registry.path)))
    found = host.find(registry)
    assert found is not None
    assert found.pid == 7


def test_without_a_list_of_processes_nothing_is_seen(registry: Registry, tmp_path: Path) -> None:
    with Root.open(str(registry.path)) as root:
        assert processes.find(root, str(tmp_path / "none")) is None
