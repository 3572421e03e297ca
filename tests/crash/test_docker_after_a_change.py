"""What a Docker store shows after a change, an undo and a purge, without being read again."""

from pathlib import Path

from orlop import kinds, samples
from orlop.apply import apply, purge, undo
from orlop.finding import Finding
from orlop.intent import Untag
from orlop.journal import Journal
from orlop.plan import Plan
from orlop.progress import Silent
from orlop.records import EngineState
from orlop.store import Store


def damage(store: Store) -> list[Finding]:
    return list(store.check(None, content=False, progress=Silent()))


def test_the_store_is_not_taken_for_its_own_engine_and_orlops_folder_is_no_finding(tmp_path: Path) -> None:
    folder = tmp_path / "sample"
    folder.mkdir()
    sample = samples.make(str(folder))
    store = kinds.open(sample.path)
    journal = Journal.of(store.root)
    before, found = store.rows(), damage(store)
    named = next(row for row in before.rows if row.key.name is not None and row.reason == "" and row.tag)
    assert named.key.name is not None
    plan = store.plan(Untag(names=(named.key.name,)))
    assert isinstance(plan, Plan)
    assert before.engine is EngineState.STOPPED

    apply(store, plan, journal)
    assert store.rows().engine is EngineState.STOPPED
    assert named.key not in {row.key for row in store.rows().rows}
    store.refresh(None)
    assert [f.path for f in damage(store) if ".orlop" in f.path] == []

    undo(store, journal)
    assert store.rows().engine is EngineState.STOPPED
    assert store.rows().rows == before.rows
    assert damage(store) == found
    purge(store, journal)
    store.close()
