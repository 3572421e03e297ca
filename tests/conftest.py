"""What the whole test run shares: where recorded vectors lie, and their account at the end; and what keeps it quick."""

import gc
import itertools
import os
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

VECTORS = Path(__file__).parent / "vectors" / "data"

_HOMES = itertools.count()
_MEMORY = "/dev/shm"
_ROOM = 2 << 30
"""Bytes free in memory from which on the tests' folders are there."""


settings.register_profile("few", max_examples=30, deadline=None)
settings.register_profile("many", max_examples=300, deadline=None)
settings.load_profile("few")  # else --hypothesis-profile=many, as .ci/run once does


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Spend the run's time on what is tested; worker processes and the programs that tests start inherit it."""
    gc.set_threshold(100_000, 50, 100)  # thousands of short-lived screens and stores, each of many objects
    if sys.dont_write_bytecode:  # else every worker and every program that is started compiles all of it again
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(config.rootpath / ".pytest_cache" / "bytecode")
        sys.dont_write_bytecode = False
    if not _alone(config) and _is_roomy(_MEMORY):  # where a sync costs nothing: what it is for, no test can see
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", _MEMORY)


def _alone(config: pytest.Config) -> bool:
    """Whether engines or measurements are run: on a disk, and with the machine for themselves."""
    return config.getoption("markexpr") in ("engine", "bench")


def _is_roomy(folder: str) -> bool:
    return os.path.isdir(folder) and os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > _ROOM


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tests' own cache and state folders are."""
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(autouse=True)
def nobodys_folders(homes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a program keeps for its user is kept for nobody, and each test begins without any of it."""
    home = homes / str(next(_HOMES))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    hashed = sys.modules.get("orlop_tui.hashed")  # else nothing can have been remembered yet
    if hashed is not None:
        hashed.verified.cache_clear()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--vectors",
        type=Path,
        default=VECTORS,
        metavar="DIR",
        help="folder of recorded vectors (*.json or *.jsonl.xz) instead of those that come along",
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Steps passed and deviating, by component and by rule; each vector test reports its own (also from workers)."""
    counts: Counter[tuple[str, str]] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()) if getattr(report, "when", "") == "call" else ():
                if name == "vectors":
                    component, answer, steps = value
                    counts[component, answer] += steps
    if not counts:
        return
    terminalreporter.section("vectors")
    answers = sorted({answer for _, answer in counts}, key=lambda answer: (answer != "passed", answer))
    for component in sorted({component for component, _ in counts}):
        found = ", ".join(f"{counts[component, a]} {a}" for a in answers if counts[component, a])
        terminalreporter.line(f"{component}: {found}")
    total = ", ".join(f"{sum(n for (_, a), n in counts.items() if a == answer)} {answer}" for answer in answers)
    terminalreporter.line(f"in all {sum(counts.values())} steps: {total}")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Engines and measurements: one after the other, in this process."""
    return 0 if _alone(config) else None
