"""What nothing needs goes, with a reason each; what could be of use, or is too new, or cannot be known, stays."""

import os
from pathlib import Path

import pytest

from orlop.intent import Clean
from orlop.rkt import layout
from orlop.samples import make_rkt
from orlop.samples.rkt import NOW, AciRoot
from tests.rkt.plan_stores import LATER, changing, files, moved, said
from tests.rkt.test_rkt_door_guard import pod

ALL = Clean(before=LATER)
GONE = "sha512-" + "ab" * 32


@pytest.fixture(params=["ql", "sqlite"])
def root(tmp_path: Path, request: pytest.FixtureRequest) -> AciRoot:
    return AciRoot.create(str(tmp_path / "rkt"), catalogue=request.param)


def test_a_sound_store_has_nothing_to_clean(root: AciRoot) -> None:
    app = root.image("example.com/app")
    root.remote("https://example.com/app.aci", app)
    with changing(root) as change:
        plan = change.planned(ALL)
        assert (plan.steps, plan.reasons, plan.action) == ((), (), "clean: nothing to remove")


def test_everything_in_the_sample_that_nothing_needs_goes_and_comes_back(tmp_path: Path) -> None:
    sample = make_rkt(str(tmp_path / "rkt"))
    with changing(f"{sample.path}/cas") as change, change.there_and_back(ALL) as plan:
        assert plan.action == "clean: 1 temporary file, 1 remote record, 1 row"
        left = {finding.rule for finding in change.check(content=True)}
        assert left == {"RK03", "RK05", "RK07", "RK12", "RK13"}  # what a repair puts right, and a lock


@pytest.mark.parametrize("rendered", [True, False])
def test_a_tree_without_a_pod_goes_and_its_size_in_the_row_too(root: AciRoot, rendered: bool) -> None:
    app = root.image("example.com/app", tree_size=4242)
    tree = root.tree(app, {"a": b"1"}, hash="x", rendered=rendered)
    pod(root, "run", 1)
    with changing(root) as change, change.there_and_back(ALL) as plan:
        assert [step.path for step in plan.steps] == [change.store.model.catalogue.path, layout.tree(tree)]
        assert [row.tree_size for row in change.rows.images] == [0]
        assert [finding.path for finding in change.check()] == ["treestorelocks"]  # its lock, as with rkt


def test_a_tree_that_a_pod_stood_on_stays(root: AciRoot) -> None:
    app = root.image("example.com/app", tree_size=4242)
    tree = root.tree(app, {"a": b"1"}, hash="x")
    pod(root, "exited-garbage", 1, app, tree=tree)
    with changing(root) as change:
        assert change.planned(ALL).steps == ()


def test_trees_stay_where_the_pods_cannot_be_known(root: AciRoot) -> None:
    app = root.image("example.com/app")
    root.tree(app, {"a": b"1"}, hash="x", rendered=False)
    with changing(root) as change:
        plan = change.planned(ALL)
        assert plan.steps == ()
        assert said(plan, "keep") == ["1 rendered tree"]


def test_what_changed_lately_stays(root: AciRoot) -> None:
    app = root.image("example.com/app")
    lost = root.image("example.com/lost", imported=NOW)
    os.unlink(root.at(layout.blob(lost.key)))
    root.remote("https://example.com/x.aci", GONE, downloaded=NOW)
    root.write("tmp/4711", b"half")
    root.write(layout.lock("sha512-" + "ef" * 32), b"")
    root.write(layout.manifest(GONE), b"{}")
    root.write(layout.blob("sha512-" + "cd" * 32), b"no such bytes")
    root.tree(app, {"a": b"1"}, hash="x")
    pod(root, "run", 1)
    with changing(root) as change:
        assert change.planned(Clean(before=NOW)).steps == ()
        assert len(change.planned(Clean(before=NOW + 1)).steps) == 7


def test_locks_of_keys_and_trees_that_are_gone_go_and_others_stay(root: AciRoot) -> None:
    app = root.image("example.com/app")
    stale = [root.write(layout.lock(GONE), b""), root.write(f"treestorelocks/deps-{GONE}", b"", 0o640)]
    with changing(root) as change, change.there_and_back(ALL) as plan:
        assert sorted(moved(plan)) == sorted(stale)
        assert [reason.subject for reason in plan.reasons] == ["2 locks"]
        assert os.path.exists(root.at(layout.lock(app.key)))


def test_what_is_foreign_stays(root: AciRoot) -> None:
    root.image("example.com/app")
    root.write("notes.txt", b"mine")
    root.write("blob/sha512/ab/stranger", b"mine")
    with changing(root) as change:
        assert change.planned(ALL).steps == ()


def test_an_archive_without_a_row_goes_only_if_its_bytes_are_not_its_keys(root: AciRoot) -> None:
    good, bad = root.image("example.com/good"), root.image("example.com/bad")
    root.forget(good)
    root.forget(bad)
    root.write(layout.blob(bad.key), b"x" * bad.size, 0o600)
    with changing(root) as change, change.there_and_back(ALL) as plan:
        assert moved(plan) == [layout.blob(bad.key), layout.manifest(bad.key)]
        [kept] = [reason for reason in plan.reasons if reason.verb == "keep"]
        assert good.key[:19] in kept.subject
        assert "`orlop repair PATH` gives it a row" in kept.because


def test_a_row_without_its_archive_stays_while_something_needs_the_image(root: AciRoot) -> None:
    base, used = root.image("example.com/base"), root.image("example.com/used")
    root.image("example.com/app", needs=[base])
    pod(root, "prepared", 1, used)
    for image in (base, used):
        os.unlink(root.at(layout.blob(image.key)))
    with changing(root) as change:
        plan = change.planned(ALL)
        assert plan.steps == ()
        because = [reason.because for reason in plan.reasons]
        assert any("example.com/app" in why and "depends on it" in why for why in because)
        assert any("has an app of it" in why for why in because)


def test_a_manifest_of_no_image_goes(root: AciRoot) -> None:
    root.image("example.com/app")
    path = root.write(layout.manifest(GONE), b"{}")
    with changing(root) as change, change.there_and_back(ALL) as plan:
        assert moved(plan) == [path]


def test_images_are_never_without_a_name(root: AciRoot) -> None:
    root.image("example.com/app")
    with changing(root) as change:
        [reason] = change.planned(Clean(before=LATER, untagged=True)).reasons
        assert "inside an image's manifest" in reason.because


def test_where_the_rows_are_lost_only_leftovers_go(root: AciRoot) -> None:
    root.image("example.com/app")
    left = root.write("tmp/4711", b"half")
    with changing(root) as change:
        Path(change.path, change.store.model.catalogue.path).write_bytes(b"cut")
        change.store.refresh(None)
        plan = change.planned(ALL)
        assert moved(plan) == [left]
        assert said(plan, "keep") == ["every image and record"]
        before = files(change.path)
        change.apply(ALL)
        change.undo()
        assert files(change.path) == before
