"""Every recorded case, performed with Orlop's library: the same answers and the same folder, or a rule says why."""

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.vectors import adapter, rules, table


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    folder: Path = metafunc.config.getoption("--vectors")
    found = [
        pytest.param(row, records, id=f"{row}:{case}")
        for component, case, records in adapter.cases(folder)
        for row in table.rows(component)
    ]
    metafunc.parametrize(("component", "records"), found)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Path]:
    """An empty folder; in memory where the system has such a place, for every change is synced."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="vectors-") as folder:
        yield Path(folder)


def test_vector(
    component: str,
    records: list[adapter.Record],
    sandbox: Path,
    record_property: Callable[[str, object], None],
) -> None:
    row = table.component(component)
    if row is None:
        pytest.skip(f"no class stands for {component} yet")
    if adapter.needs_root(records) and os.geteuid() != 0:
        pytest.skip("the case takes permissions from the owner, and was recorded as root: needs uid 0")
    counts: Counter[str] = Counter()
    tainted: frozenset[str] = frozenset()
    deviated = False
    wrong: list[str] = []
    for step in adapter.play(row, records, sandbox):
        step.tainted, step.deviated = tainted, deviated
        if step.same and not step.differing:
            counts["passed"] += 1
            tainted = frozenset()
            continue
        rule = rules.rule_for(step)
        if rule is None:
            wrong.append(step.told())
            break
        counts[rule.name] += 1
        sys.stdout.write(f"{rule.name}: {component}, {step.record['case']}, {step.told()}\n")  # seen with -s
        tainted = step.differing
        deviated = True
    for answer, steps in counts.items():
        record_property("vectors", (component, answer, steps))
    assert not wrong, f"{component}, case {records[0]['case']}: {records[0].get('note', '')}\n" + "\n".join(wrong)
