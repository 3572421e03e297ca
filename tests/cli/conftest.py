import gc
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from orlop.samples import DataRoot, Sample, make
from orlop_tui import hashed
from orlop_tui.__main__ import main


@dataclass(frozen=True)
class Ran:
    """What one command answered."""

    code: int
    out: str
    err: str

    def objects(self, kind: str | None = None) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.out.splitlines()]
        return [one for one in found if kind in (None, one["type"])]


Orlop: TypeAlias = Callable[..., Ran]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder, empty for each test."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def orlop(capsys: pytest.CaptureFixture[str]) -> Orlop:
    """Runs a command in this process; nobody sits at its input."""

    def run(*words: str | Path) -> Ran:
        capsys.readouterr()
        hashed.verified.cache_clear()  # each command is a program of its own
        try:
            code = main([str(word) for word in words])
        finally:
            gc.enable()
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return run


class Keyboard(io.StringIO):
    """An input where a person types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def types(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets a person answer the next question."""
    return lambda text: monkeypatch.setattr("sys.stdin", Keyboard(text + "\n"))


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """The sample store, for looking only."""
    return make(str(tmp_path_factory.mktemp("cli") / "sample"))


@pytest.fixture(scope="session")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """The sample store without its faults, for looking only."""
    return make(str(tmp_path_factory.mktemp("cli") / "healthy"), damage=False)


@dataclass(frozen=True)
class Small:
    """A healthy store of a few images, quick to copy."""

    path: str
    images: dict[str, str]


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    path = str(tmp_path_factory.mktemp("cli") / "small")
    root = DataRoot.create(path)
    base = root.image({"base": b"b"}, names=("base:1",))
    web = root.image({"web": b"w"}, on=base, names=("ghcr.io/acme/web:2026.08", "ghcr.io/acme/web:stable"))
    used = root.image({"old": b"o"}, on=base, names=("ghcr.io/acme/web:2026.07",))
    root.container("acme-web-1", used)
    root.image({"pg": b"p"}, on=base, names=("postgres:16",))
    root.image({"redis": b"r"}, names=("redis:7",))
    untagged = root.image({"left": b"l"}, on=base)
    parent = root.image({"step": b"1"}, on=base, local=True)
    root.image({"step": b"2"}, on=parent, names=("built:1",), local=True)
    for layer in web.layers:
        root.mapping(layer, "ghcr.io/acme/web")
        root.mapping(layer, "localhost:5000/web")
    images = {"web": web.id, "used": used.id, "untagged": untagged.id, "parent": parent.id}
    return Small(path, images)


@pytest.fixture
def own(small: Small, tmp_path: Path) -> Path:
    """A healthy store of one's own, to change."""
    return Path(shutil.copytree(small.path, tmp_path / "own", symlinks=True))
