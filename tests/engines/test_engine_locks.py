"""The engine and Orlop never write at the same time: whoever holds the store keeps the other out."""

import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

import orlop.kinds
from orlop import apply as executor
from orlop.errors import Locked
from orlop.intent import Remove
from orlop.journal import Journal
from orlop.plan import Plan

if TYPE_CHECKING:
    from tests.engines.conftest import Engine, Made

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_while_the_engine_runs_nothing_is_written_and_its_name_is_said(
    made: "Made", engine: "Engine", command: Command
) -> None:
    with engine.running():
        assert engine.server is not None
        pid = str(engine.server.process.pid)
        store = orlop.kinds.open(str(engine.data))
        plan = store.plan(Remove(keys=store.find("moved:latest")))
        assert isinstance(plan, Plan)
        journal = Journal.of(store.root)

        with pytest.raises(Locked) as refused:
            executor.apply(store, plan, journal)
        with pytest.raises(Locked), store.guard(None):
            pass
        lines = [
            ["rm", str(engine.data), "moved:latest", "--yes"],
            ["tag", str(engine.data), "base:1.0", "new:1", "--yes"],
            ["untag", str(engine.data), "base:1.0", "--yes"],
            ["rm", str(engine.data), "moved:latest", "--yes", "--offline"],
        ]
        answers = [command(*line) for line in lines]

        store.close()
        assert "dockerd" in refused.value.holder
        assert pid in refused.value.holder
        assert [answer.returncode for answer in answers] == [4, 4, 4, 4], [answer.stderr for answer in answers]
        assert all("dockerd" in answer.stderr for answer in answers), [answer.stderr for answer in answers]
        assert engine.listed() == made.names
    with engine.running():
        assert engine.images() == made.images


def test_a_plan_is_shown_while_the_engine_runs(engine: "Engine", command: Command) -> None:
    with engine.running():
        done = command("rm", str(engine.data), "moved:latest", "--dry-run")

    assert done.returncode == 0, done.stderr
    assert "moved:latest" in done.stdout


def test_while_orlop_holds_the_store_the_engine_does_not_start(made: "Made", engine: "Engine") -> None:
    store = orlop.kinds.open(str(engine.data))
    with store.guard(None) as exclusive:
        assert "volumes/metadata.db" in exclusive.by
        status = engine.launch().process.wait(60)
        said = engine.messages()
        engine.stop()
    store.close()

    assert status != 0
    assert "error while opening volume store metadata database: timeout" in said
    with engine.running():
        assert engine.images() == made.images
