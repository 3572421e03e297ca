"""Deleting images: what goes, in which order, what keeps them, and that rows and files come back together."""

import os
from pathlib import Path

import pytest

from orlop.errors import NotFound
from orlop.intent import Remove
from orlop.plan import Replace
from orlop.records import Key
from orlop.rkt import layout
from orlop.rkt.catalogue import ImageRow
from orlop.samples.rkt import NOW, AciRoot
from tests.rkt.plan_stores import changing, files, moved, said, tables, unlike
from tests.rkt.rkt_stores import unpacked
from tests.rkt.test_rkt_door_guard import pod


@pytest.fixture(params=["ql", "sqlite"])
def root(tmp_path: Path, request: pytest.FixtureRequest) -> AciRoot:
    return AciRoot.create(str(tmp_path / "rkt"), catalogue=request.param)


def test_an_image_goes_row_first_then_archive_then_manifest(root: AciRoot) -> None:
    app, other = root.image("example.com/app", version="1"), root.image("example.com/other")
    root.remote("https://example.com/app.aci", app, etag='"1"')
    root.remote("https://example.com/app-1.aci", app)
    root.remote("https://example.com/other.aci", other)
    with changing(root) as change:
        rows = change.rows
        with change.there_and_back(Remove(keys=change.store.find("example.com/app:1"))) as plan:
            catalogue = change.store.model.catalogue.path
            assert [step.path for step in plan.steps] == [catalogue, layout.blob(app.key), layout.manifest(app.key)]
            assert plan.images == (app.key,)
            assert plan.bytes_freed >= app.size
            assert change.store.model.images.keys() == {other.key}
            assert change.store.model.remotes.keys() == {"https://example.com/other.aci"}
            gone, come = unlike(rows.images, change.rows.images)
            assert ([row.key for row in gone], come) == ([app.key], [])
            assert os.path.exists(root.at(layout.lock(app.key)))
            assert change.check() != [], "the record of the other image has no ETag"
            assert {finding.rule for finding in change.check()} == {"RK07", "RK13"}


def test_a_name_and_a_key_mean_the_same_image(root: AciRoot) -> None:
    app = root.image("example.com/app", version="1")
    with changing(root) as change:
        by_name = change.planned(Remove(keys=change.store.find("example.com/app")))
        by_key = change.planned(Remove(keys=(Key("", app.key, None),)))
        both = change.planned(Remove(keys=(*change.store.find("example.com/app"), Key("", app.key, None))))
        assert by_name.steps == by_key.steps == both.steps


def test_a_name_that_the_image_does_not_have_is_not_found(root: AciRoot) -> None:
    app = root.image("example.com/app", version="1")
    with changing(root) as change:
        for key in (Key("", app.key, "example.com/app:2"), Key("", "sha512-" + "0" * 64, None)):
            with pytest.raises(NotFound):
                change.store.plan(Remove(keys=(key,)))


def test_an_image_that_a_pod_uses_stays(root: AciRoot) -> None:
    app, stage1 = root.image("example.com/app"), root.image("example.com/stage1")
    tree = root.tree(stage1, {"init": b"1"}, hash="x")
    running = pod(root, "prepared", 1, app, stage1=tree)
    with changing(root) as change:
        for image, words in ((app, "has an app of"), (stage1, "stands on the rendered tree of")):
            refusal = change.refused(Remove(keys=(change.key(image),)))
            assert len(refusal.reasons) == 1
            assert f"pod {running}, in prepared, {words}" in refusal.reasons[0]
            assert "rkt itself removes an image" in refusal.do


def test_trees_of_the_image_go_along_unless_an_exited_pod_stood_on_one(root: AciRoot) -> None:
    app, other = root.image("example.com/app", tree_size=4242), root.image("example.com/other")
    unused, used = root.tree(app, {"a": b"1"}, hash="x"), root.tree(other, {"a": b"1"}, hash="x")
    exited = pod(root, "exited-garbage", 1, other, tree=used)
    with changing(root) as change:
        intent = Remove(keys=(change.key(app), change.key(other)))
        with change.there_and_back(intent) as plan:
            assert moved(plan)[-1] == layout.tree(unused)
            assert layout.tree(used) not in moved(plan)
            assert said(plan, "keep") == [f"tree {used}"]
            assert exited in next(reason.because for reason in plan.reasons if reason.verb == "keep")


def test_trees_stay_where_the_pods_cannot_be_known(root: AciRoot) -> None:
    app = root.image("example.com/app")
    tree = root.tree(app, {"a": b"1"}, hash="x")
    with changing(root) as change:
        plan = change.planned(Remove(keys=(change.key(app),)))
        assert layout.tree(tree) not in moved(plan)
        assert said(plan, "keep") == [f"tree {tree}"]
        assert said(plan, "note") == ["pods"]


def test_an_image_that_others_are_built_on_goes_with_them_or_not_at_all(root: AciRoot) -> None:
    base = root.image("example.com/base")
    middle = root.image("example.com/middle", needs=[base])
    top = root.image("example.com/top", needs=[middle])
    with changing(root) as change:
        refusal = change.refused(Remove(keys=(change.key(base),)))
        assert refusal.reasons == (
            f"example.com/middle ({middle.key[:19]}) depends on example.com/base ({base.key[:19]}) and would stay",
        )
        refusal = change.refused(Remove(keys=(change.key(base), change.key(middle))))
        assert "example.com/top" in refusal.reasons[0]
        change.apply(Remove(keys=tuple(map(change.key, (base, middle, top)))))
        assert change.store.model.images == {}
        change.undo()
        assert change.check() == []


def test_a_dependency_by_name_may_go_where_another_image_answers_it(root: AciRoot) -> None:
    older, newer = root.image("example.com/base", version="1"), root.image("example.com/base", version="2", latest=True)
    app = root.image("example.com/app")
    for path in (layout.manifest(app.key),):
        raw = Path(root.at(path)).read_bytes()
        root.write(path, raw[:-1] + b',"dependencies":[{"imageName":"example.com/base"}]}')
    with changing(root) as change:
        plan = change.planned(Remove(keys=(change.key(newer),)))
        notes = [reason for reason in plan.reasons if reason.verb == "note" and reason.subject != "pods"]
        assert [note.because for note in notes] == [
            f"depends on it by name, and gets example.com/base:1 ({older.key[:19]})"
        ]
        assert change.refused(Remove(keys=(change.key(newer), change.key(older)))).reasons


def test_half_an_image_can_be_deleted(root: AciRoot) -> None:
    rowless, blobless, bare = (root.image(f"example.com/{name}") for name in ("rowless", "blobless", "bare"))
    root.forget(rowless)
    os.unlink(root.at(layout.blob(blobless.key)))
    os.unlink(root.at(layout.manifest(bare.key)))
    with changing(root) as change:
        plan = change.planned(Remove(keys=(change.key(rowless),)))
        assert not any(isinstance(step, Replace) for step in plan.steps)
        change.apply(Remove(keys=tuple(map(change.key, (rowless, blobless, bare)))))
        assert change.store.model.images == {}


def test_a_row_whose_key_no_file_can_have_is_only_a_row(root: AciRoot) -> None:
    app = root.image("example.com/app")
    root.row(ImageRow(key="../../escape", name="a/b", imported=NOW, last_used=NOW, latest=False, size=1, tree_size=0))
    with changing(root) as change, change.there_and_back(Remove(keys=(Key("", "../../escape", None),))) as plan:
        assert [step.path for step in plan.steps] == [change.store.model.catalogue.path]
        assert change.store.model.images.keys() == {app.key}


def test_more_than_twenty_images_at_once_are_weighty(root: AciRoot) -> None:
    images = [root.image(f"example.com/app{number}") for number in range(21)]
    with changing(root) as change:
        assert change.planned(Remove(keys=tuple(map(change.key, images)))).weighty
        assert not change.planned(Remove(keys=tuple(map(change.key, images[1:])))).weighty


@pytest.mark.parametrize("name", ["rkt-store", "rkt-store-large"])
def test_in_a_store_of_rkts_all_other_rows_keep_their_bytes(tmp_path: Path, name: str) -> None:
    with changing(unpacked(name, tmp_path)) as change:
        model = change.store.model
        keys = [key for key in sorted(model.images) if not model.dependents_of.get(key)][::2]
        gone = {key.encode() for key in keys}
        raw = tables(change.path)
        with change.there_and_back(Remove(keys=tuple(Key("", key, None) for key in keys))):
            after = tables(change.path)
            assert after["aciinfo"] == [row for row in raw["aciinfo"] if row[1] not in gone]
            assert after["remote"] == [row for row in raw["remote"] if row[4] not in gone]
            assert {name: rows for name, rows in after.items() if name in ("version", "__Column2")} == {
                name: rows for name, rows in raw.items() if name in ("version", "__Column2")
            }
            assert change.rows.images == tuple(
                row for row in model.catalogue.contents.images if row.key.encode() not in gone
            )


@pytest.mark.parametrize("name", ["rkt-store-dbv2", "rkt-store-dbv6", "rkt-store-dbv8"])
def test_a_store_of_another_version_is_not_changed(tmp_path: Path, name: str) -> None:
    with changing(unpacked(name, tmp_path)) as change:
        before = files(change.path)
        key = next(iter(change.store.model.images))
        refusal = change.refused(Remove(keys=(Key("", key, None),)))
        assert "version" in refusal.reasons[0] or "reads" in refusal.reasons[0]
        assert refusal.do
        assert files(change.path) == before
