"""Every plan of an ACI store, with both catalogues, cut off or failing at every file operation in turn.

After each failure every object is old or new, the journal tells the truth, and both ways
out, finishing and undoing, reach exactly what they promise; the check finds no damage
that was not there before.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orlop import incoming
from orlop.finding import Severity
from orlop.fs import Root
from orlop.intent import Clean, DropRemotes, Import, Intent, PutRemote, Remove, Repair, SetLatest
from orlop.plan import Plan
from orlop.progress import Silent
from orlop.records import Key
from orlop.rkt import layout
from orlop.rkt.door import RktStore
from orlop.rkt.qlcatalogue import LOG
from orlop.rkt.staging import receive
from orlop.samples.rkt import NOW, Aci, AciRoot
from orlop.samples.trees import archive
from orlop.store import Store
from tests.rkt.ql_files import cut_log, database
from tests.rkt.test_rkt_door_guard import pod

pytestmark = pytest.mark.long

URL = "https://example.com/app.aci"
STAGED = "0123456789abcdef"
TREES = "trees"
NEW = archive({"manifest": b'{"acKind":"ImageManifest","acVersion":"0.8.11","name":"a/new"}', "rootfs": None})


def opened(path: str) -> RktStore:
    """The store in a data directory; archives get one time, which the harness's copies do not keep."""
    for here, _, names in os.walk(f"{path}/cas/{layout.BLOBS}"):
        for name in names:
            os.utime(os.path.join(here, name), ns=(NOW, NOW))
    return RktStore(Root.open(f"{path}/cas"))


def plain(root: AciRoot) -> dict[str, Aci]:
    """An image, one on it, and records."""
    base = root.image("a/base", files={"f": b"base"}, tree_size=4096)
    app = root.image("a/app", version="1", needs=[base], latest=True)
    root.remote(URL, app, etag='"1"', max_age=60)
    return {"base": base, "app": app}


def rendered(root: AciRoot) -> dict[str, Aci]:
    """As `plain`, with a rendered tree that no pod stands on, and leftovers."""
    images = plain(root)
    root.tree(images["base"], {"f": b"base"}, hash="x")
    pod(root, "run", 1)
    root.write("tmp/1", b"half")
    root.remote("https://example.com/gone.aci", "sha512-" + "0" * 64)
    return images


def damaged(root: AciRoot) -> dict[str, Aci]:
    """As `plain`, with a fault of each kind that a repair puts right."""
    images = plain(root)
    unlisted, gone = root.image("a/unlisted"), root.image("a/gone")
    root.forget(unlisted)
    os.unlink(root.at(layout.blob(gone.key)))
    root.write(layout.manifest(images["app"].key), b"")
    root.write(layout.manifest(unlisted.key), b"{")
    root.remote("https://example.com/gone.aci", "sha512-" + "0" * 64)
    return images


def removal(*names: str) -> Callable[[Store], Intent]:
    return lambda store: Remove(keys=tuple(Key("", store.find(name)[0].id, None) for name in names))


def record(store: Store) -> Intent:
    return PutRemote(url=URL, image=store.find("a/base")[0].id, etag='"2"', downloaded=NOW)


def repair(store: Store) -> Intent:
    found = store.check(None, content=False, progress=Silent())
    return Repair(findings=tuple(one.identity for one in found if one.severity <= Severity.SPACE), guess=True)


def taken(store: Store) -> Intent:
    remote = PutRemote(url=URL, image="", etag='"2"', downloaded=NOW)
    return Import(staged=STAGED, latest=True, at=NOW, remote=remote)


def waiting(cas: str) -> None:
    """An image that waits to be taken in."""
    with Root.open(cas) as root, incoming.receiving(root, STAGED) as into:
        receive(root, into, [NEW])


def waiting_over_half(cas: str) -> None:
    """The same, where a cut import left its archive damaged and no manifest."""
    waiting(cas)
    with Root.open(cas) as root:
        key = str(incoming.noted(root, STAGED)["key"])
    path = Path(cas, layout.blob(key))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(NEW[:700])


def lost(cas: str) -> None:
    """The database is cut."""
    for path in (layout.QL, layout.SQLITE):
        if os.path.exists(f"{cas}/{path}"):
            os.truncate(f"{cas}/{path}", 700)


def log_left(cas: str) -> None:
    """A commit was decided and cut off."""
    Path(cas, layout.QL).write_bytes(database("sample"))
    Path(cas, LOG).write_bytes(cut_log())


def log_cut(cas: str) -> None:
    """A commit was cut off before it was decided."""
    Path(cas, LOG).write_bytes(cut_log()[:-30])


@dataclass(frozen=True)
class Case:
    """One plan on a store of its own."""

    fill: Callable[[AciRoot], object]
    intent: Callable[[Store], Intent]
    steps: int
    """How many steps the plan must have at least: a harness on less would prove less."""
    after: Callable[[str], None] = lambda cas: None
    """What happens to the store when it is finished."""
    catalogue: str = "ql"
    daily: bool = False
    """Whether a kill at every file operation is part of every run of the tests."""

    def make(self, path: str) -> None:
        data = AciRoot.create(path, catalogue=self.catalogue)
        self.fill(data)
        data.write(".orlop/kept", b"so that no failure removes the folder")
        os.symlink("cas/.orlop", f"{path}/.orlop")  # where the harness looks for the journal
        data.settle()
        self.after(data.at("").rstrip("/"))

    def check(self, folder: Path) -> None:
        folder.mkdir()
        self.make(str(folder))
        store = opened(str(folder))
        plan = store.plan(self.intent(store))
        store.close()
        assert isinstance(plan, Plan), plan
        assert len(plan.steps) >= self.steps


def both(name: str, *, daily: str = "", **case: Any) -> dict[str, Case]:
    """A case for each catalogue; `daily` names the one that is killed everywhere in every run."""
    return {f"{name}, {kind}": Case(catalogue=kind, daily=kind == daily, **case) for kind in ("ql", "sqlite")}


CASES = {
    **both("latest", fill=plain, intent=lambda s: SetLatest(image=s.find("a/base")[0].id, latest=True), steps=1),
    **both("record", fill=plain, intent=record, steps=1),
    **both("forget", fill=plain, intent=lambda _: DropRemotes(urls=(URL,)), steps=1),
    **both("remove", fill=plain, intent=removal("a/app"), steps=3, daily="ql"),
    **both("remove two", fill=plain, intent=removal("a/app", "a/base"), steps=5),
    **both("remove with its tree", fill=rendered, intent=removal("a/app", "a/base"), steps=6),
    **both("clean", fill=rendered, intent=lambda _: Clean(before=NOW * 2), steps=3),
    **both("repair", fill=damaged, intent=repair, steps=4),
    **both("rebuild", fill=damaged, intent=repair, steps=2, after=lost),
    **both("take in", fill=plain, intent=taken, steps=3, after=waiting, daily="sqlite"),
    **both("take in over a half", fill=plain, intent=taken, steps=3, after=waiting_over_half),
    "apply a log": Case(plain, repair, 2, after=log_left),
    "drop a log": Case(plain, repair, 1, after=log_cut),
}


@pytest.fixture(autouse=True)
def _group_may_write() -> Iterator[None]:
    """A folder has its mode from its first instant, as where rkt clears the umask."""
    before = os.umask(0o007)
    yield
    os.umask(before)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_plan_survives_every_failure(harness: Any, case: Case, tmp_path: Path) -> None:
    """Daily, each plan is done and taken back, and some are killed at every file operation.

    With ORLOP_EVERY_FAILURE in the environment all of them meet every failure at
    every file operation of applying, undoing, finishing and purging.
    """
    case.check(tmp_path / "sample")
    run = harness(case.make, opened, case.intent)
    if "ORLOP_EVERY_FAILURE" in os.environ:
        assert run.run() > 250
        return
    run.series = run.series[:1]
    assert run.run(acts=("apply",) if case.daily else ()) >= (20 if case.daily else 0)
