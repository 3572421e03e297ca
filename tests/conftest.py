"""What the whole test run shares: where recorded vectors lie, and their account at the end."""

import itertools
import sys
from collections import Counter
from pathlib import Path

import pytest

VECTORS = Path(__file__).parent / "vectors" / "data"

_HOMES = itertools.count()


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
    """Engines and measurements want the machine for themselves: one after the other, in this process."""
    return 0 if config.getoption("markexpr") in ("engine", "bench") else None
