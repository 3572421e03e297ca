"""Every finding that can be put right is, with proof; what cannot is left and said."""

import hashlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from orlop.errors import NotFound
from orlop.finding import Severity
from orlop.intent import Remove, Repair, SetLatest
from orlop.rkt import layout
from orlop.rkt.catalogue import ImageRow
from orlop.rkt.qlcatalogue import LOG
from orlop.rkt.store import AciStore
from orlop.samples import make_rkt
from orlop.samples.rkt import NOW, Aci, AciRoot
from tests.rkt.plan_stores import Changing, changing, files, moved, said, tables
from tests.rkt.ql_files import cut_log, database
from tests.rkt.rkt_stores import unpacked
from tests.rkt.test_rkt_door_guard import pod


@pytest.fixture(params=["ql", "sqlite"])
def root(tmp_path: Path, request: pytest.FixtureRequest) -> AciRoot:
    return AciRoot.create(str(tmp_path / "rkt"), catalogue=request.param)


def asked(change: Changing, *rules: str, guess: bool = False, content: bool = True) -> Repair:
    """The repair of everything that a check finds, or of some rules."""
    change.store.refresh(None)
    found = [one for one in change.check(content=content) if one.severity <= Severity.SPACE]
    return Repair(findings=tuple(one.identity for one in found if not rules or one.rule in rules), guess=guess)


def bad(change: Changing) -> list[str]:
    return [finding.rule for finding in change.check(content=True) if finding.severity <= Severity.SPACE]


def test_all_that_the_sample_has_is_put_right_and_can_be_taken_back(tmp_path: Path) -> None:
    for catalogue in ("ql", "sqlite"):
        sample = make_rkt(str(tmp_path / catalogue), catalogue=catalogue)
        with changing(f"{sample.path}/cas") as change:
            before = bad(change)
            assert sorted(before) == ["RK03", "RK04", "RK05", "RK06", "RK12", "RK13"]
            with change.there_and_back(asked(change)):
                assert bad(change) == []
            assert bad(change) == before


# --- images ---------------------------------------------------------------------


def test_rk02_the_image_is_taken_away_and_the_urls_to_fetch_it_from_are_named(root: AciRoot) -> None:
    app, other = root.image("example.com/app"), root.image("example.com/other")
    root.remote("https://example.com/app.aci", app, etag='"1"')
    with changing(root) as change:
        os.truncate(root.at(layout.blob(app.key)), app.size - 512)
        with change.there_and_back(asked(change, "RK02")) as plan:
            assert moved(plan) == [layout.blob(app.key), layout.manifest(app.key)]
            assert "fetch it again from https://example.com/app.aci" in plan.reasons[0].because
            assert change.store.model.images.keys() == {other.key}
            assert change.rows.remotes == ()


def test_rk02_what_is_built_on_it_is_named_and_waits(root: AciRoot) -> None:
    base = root.image("example.com/base")
    app = root.image("example.com/app", needs=[base])
    with changing(root) as change:
        Path(root.at(layout.blob(base.key))).write_bytes(b"x" * base.size)
        with change.there_and_back(asked(change, "RK02")) as plan:
            assert plan.images == tuple(sorted((app.key, base.key)))
            assert said(plan, "note") == [f"image example.com/app ({app.key[:19]})"]
            assert bad(change) == ["RK11"]


def test_rk02_an_image_that_a_pod_uses_stays(root: AciRoot) -> None:
    app = root.image("example.com/app")
    pod(root, "prepared", 1, app)
    with changing(root) as change:
        Path(root.at(layout.blob(app.key))).write_bytes(b"x" * app.size)
        assert "in prepared, has an app" in change.refused(asked(change, "RK02")).reasons[0]


def test_rk02_a_sound_archive_is_no_such_finding(root: AciRoot) -> None:
    app = root.image("example.com/app")
    with changing(root) as change, pytest.raises(NotFound, match="no such finding"):
        change.store.plan(Repair(findings=(("RK02", layout.blob(app.key), ""),)))


def test_rk03_an_archive_gets_its_row_again_with_the_times_of_its_file(root: AciRoot) -> None:
    app = root.image("example.com/app", version="3", imported=NOW - 10**15)
    root.forget(app)
    with changing(root) as change, change.there_and_back(asked(change, "RK03")):
        [row] = change.rows.images
        assert row == ImageRow(
            key=app.key,
            name="example.com/app",
            imported=NOW,
            last_used=NOW,
            latest=False,
            size=app.size,
            tree_size=0,
        )
        assert bad(change) == []


def test_rk03_its_manifest_comes_from_the_archive_where_it_is_lost(root: AciRoot) -> None:
    app = root.image("example.com/app", version="3")
    manifest = root.at(layout.manifest(app.key))
    before = Path(manifest).read_bytes()
    os.unlink(manifest)
    root.forget(app)
    with changing(root) as change, change.there_and_back(asked(change, "RK03")):
        assert Path(manifest).read_bytes() == before
        assert os.stat(manifest).st_mode & 0o7777 == 0o660


def test_rk03_an_archive_that_is_not_what_its_key_says_gets_none(root: AciRoot) -> None:
    app = root.image("example.com/app")
    root.forget(app)
    root.write(layout.blob(app.key), b"x" * app.size, 0o600)
    with changing(root) as change:
        assert "do not have its key" in change.refused(asked(change, "RK03")).reasons[0]


def test_rk03_what_it_lacks_comes_to_light_and_is_no_harm(root: AciRoot) -> None:
    base = root.image("example.com/base")
    app = root.image("example.com/app", needs=[base])
    for image in (base, app):
        root.forget(image)
    os.unlink(root.at(layout.blob(base.key)))
    with changing(root) as change, change.there_and_back(asked(change, "RK03")):
        assert "RK11" in bad(change)


def test_rk04_a_row_without_its_archive_goes(root: AciRoot) -> None:
    app = root.image("example.com/app")
    folder = root.image("example.com/folder")
    os.unlink(root.at(layout.blob(app.key)))
    os.unlink(root.at(layout.blob(folder.key)))
    root.make(layout.blob(folder.key))
    with changing(root) as change, change.there_and_back(asked(change, "RK04")):
        assert (bad(change), change.rows.images) == ([], ())


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b'{"acKind":'),
        lambda path: path.write_bytes(path.read_bytes().replace(b"amd64", b"i386")),
        lambda path: (path.unlink(), path.symlink_to("/etc/passwd")),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: path.write_bytes(path.read_bytes().replace(b"example.com/app", b"example.com/other")),
    ],
    ids=["missing", "empty", "cut", "altered", "link", "folder", "another's"],
)
def test_rk05_the_manifest_is_written_again_from_the_archive(root: AciRoot, damage: Callable[[Path], object]) -> None:
    app = root.image("example.com/app", version="3")
    path = Path(root.at(layout.manifest(app.key)))
    good = path.read_bytes()
    damage(path)
    with changing(root) as change, change.there_and_back(asked(change)):
        assert path.read_bytes() == good
        assert not path.is_symlink()
        assert bad(change) == []


def test_rk05_without_an_archive_that_proves_it_nothing_is_written(root: AciRoot) -> None:
    app = root.image("example.com/app")
    root.write(layout.manifest(app.key), b"{")
    root.write(layout.blob(app.key), b"x" * app.size, 0o600)
    with changing(root) as change:
        assert "do not have its key" in change.refused(asked(change, "RK05")).reasons[0]


def test_rk05_a_wrong_name_in_a_row_is_put_right_and_its_times_keep_their_bytes(tmp_path: Path) -> None:
    root = AciRoot.create(str(tmp_path / "rkt"))
    app = root.image("example.com/app", latest=True, tree_size=7)
    row = ImageRow(
        key=app.key, name="example.com/no", imported=NOW - 9, last_used=NOW, latest=True, size=app.size, tree_size=7
    )
    root.row(row)
    with changing(root) as change:
        [raw] = tables(change.path)["aciinfo"]
        with change.there_and_back(asked(change, "RK05")):
            [after] = tables(change.path)["aciinfo"]
            assert after[2] == b"example.com/app"
            assert after[3:] == raw[3:]


def test_rk12_a_wrong_size_is_put_right_only_where_the_archive_is_proved(root: AciRoot) -> None:
    app, cut = root.image("example.com/app"), root.image("example.com/cut")
    root.row(_row(app, size=1))
    with changing(root) as change:
        os.truncate(root.at(layout.blob(cut.key)), cut.size - 512)
        intent = asked(change, content=False)
        assert [rule for rule, _, _ in intent.findings] == ["RK12", "RK12"]
        with change.there_and_back(intent) as plan:
            sizes = {row.key: row.size for row in change.rows.images}
            assert sizes == {app.key: app.size, cut.key: cut.size}
            assert said(plan, "keep") == [cut.key]


def test_rk12_the_size_of_a_rendered_tree_is_counted_as_rkt_does(root: AciRoot) -> None:
    app = root.image("example.com/app", tree_size=1)
    tree = root.tree(app, {"a": b"1" * 5000}, hash="x")
    with changing(root) as change:
        intent = Repair(findings=(("RK12", change.store.model.catalogue.path, tree),))
        with change.there_and_back(intent):
            [row] = change.rows.images
            folders = sum(os.stat(root.at(f"tree/{tree}{sub}")).st_size for sub in ("", "/rootfs"))
            assert row.tree_size >= folders + 5000


def test_one_image_may_have_several_faults(root: AciRoot) -> None:
    app = root.image("example.com/app", version="1")
    root.row(_row(app, size=1, name="example.com/no"))
    manifest = Path(root.at(layout.manifest(app.key)))
    manifest.write_bytes(manifest.read_bytes().replace(b"example.com/app", b"example.com/other"))
    with changing(root) as change:
        assert bad(change) == ["RK05", "RK05", "RK12"]
        with change.there_and_back(asked(change)):
            assert change.rows.images == (_row(app),)
            assert bad(change) == []


# --- trees, records, leftovers ----------------------------------------------------


def test_rk06_a_record_that_leads_nowhere_goes(root: AciRoot) -> None:
    app = root.image("example.com/app")
    root.remote("https://example.com/app.aci", app)
    root.remote("https://example.com/gone.aci", "sha512-" + "0" * 64)
    with changing(root) as change, change.there_and_back(asked(change, "RK06")):
        assert [row.url for row in change.rows.remotes] == ["https://example.com/app.aci"]


def test_rk08_to_rk10_a_tree_goes_where_no_pod_stands_on_it(root: AciRoot) -> None:
    app, other = root.image("example.com/app", tree_size=9), root.image("example.com/other")
    wrong, half = root.tree(app, {"a": b"1"}, hash="sha512-" + "0" * 64), root.tree(other, {}, rendered=False)
    with changing(root) as change:
        intent = Repair(findings=(("RK08", layout.tree(wrong), ""), ("RK09", layout.tree(half), "")))
        assert "cannot be known" in change.refused(intent).reasons[0]
    exited = pod(root, "exited-garbage", 1, app, tree=wrong)
    with changing(root.at("").rstrip("/")) as change, change.there_and_back(intent) as plan:
        assert moved(plan) == [layout.tree(half)]
        assert exited in next(reason.because for reason in plan.reasons if reason.verb == "keep")


def test_rk13_a_leftover_goes_and_what_may_be_somebodys_stays(root: AciRoot) -> None:
    root.image("example.com/app")
    left = root.write("tmp/4711", b"half")
    orphan = root.write(layout.manifest("sha512-" + "ab" * 32), b"{}")
    root.write("notes.txt", b"mine")
    with changing(root) as change:
        intent = Repair(findings=(("RK13", left, ""), ("RK13", orphan, ""), ("RK13", "notes.txt", "")))
        with change.there_and_back(intent) as plan:
            assert sorted(moved(plan)) == sorted((left, orphan))
            assert said(plan, "keep") == ["notes.txt"]


@pytest.mark.parametrize("rule", ["RK07", "RK11", "RK14"])
def test_what_is_no_fault_or_needs_another_image_is_said(root: AciRoot, rule: str) -> None:
    root.image("example.com/app")
    with changing(root) as change:
        assert change.refused(Repair(findings=((rule, "db/ql.db", ""),))).reasons


def test_a_finding_that_is_not_there_is_not_found(root: AciRoot) -> None:
    app = root.image("example.com/app")
    here = (layout.blob(app.key), layout.manifest(app.key), "db/ql.db", "tmp/1", "tree/x")
    with changing(root) as change:
        for rule in ("RK01", "RK02", "RK03", "RK04", "RK05", "RK06", "RK08", "RK12", "RK13", "RK99"):
            for path in here:
                with pytest.raises(NotFound):
                    change.store.plan(Repair(findings=((rule, path, ""),)))


# --- the database ------------------------------------------------------------------


@pytest.mark.parametrize("how", ["missing", "cut", "empty", "folder"])
def test_rk01_all_rows_are_made_anew_from_the_archives_with_consent(root: AciRoot, how: str) -> None:
    base = root.image("example.com/base", version="1", latest=True)
    app = root.image("example.com/app", needs=[base])
    lacking = root.image("example.com/lacking", needs=[Aci(key="", name="a/b", image_id=f"sha512-{'9' * 128}", size=1)])
    broken = root.image("example.com/broken")
    root.remote("https://example.com/app.aci", app)
    root.write(layout.manifest(app.key), b"")
    with changing(root) as change:
        Path(root.at(layout.blob(broken.key))).write_bytes(b"x" * broken.size)
        path = Path(change.path, change.store.model.catalogue.path)
        _destroy(path, how)
        change.store.refresh(None)
        where = change.store.model.catalogue.path  # of a missing one it is rkt's, whatever there was
        intent = Repair(findings=(("RK01", where, ""),))
        refusal = change.refused(intent)
        assert "are lost: with --guess" in refusal.reasons[0]
        before = files(change.path)
        consented = Repair(findings=intent.findings, guess=True)
        change.apply(consented)
        rows = {row.key: row for row in change.rows.images}
        assert rows.keys() == {base.key, app.key, lacking.key}
        assert rows[app.key] == _row(app, name="example.com/app")
        assert rows[base.key].latest is False
        assert change.rows.remotes == ()
        assert sorted(bad(change)) == ["RK02", "RK03", "RK11"]
        change.undo()
        assert files(change.path) == before


def test_rk01_a_database_with_rows_that_contradict_it_is_written_anew_from_them(tmp_path: Path) -> None:
    with changing(unpacked("rkt-store", tmp_path)) as change:
        path = Path(change.path, layout.QL)
        raw = bytearray(path.read_bytes())
        index = raw.rindex(b"https://example.com/")  # in a leaf of the index, written after the rows
        raw[index : index + 5] = b"httpz"
        path.write_bytes(raw)
        change.store.refresh(None)
        rows = change.rows
        found = [one for one in change.check() if one.rule == "RK01"]
        intent = Repair(findings=(found[0].identity,))
        assert "would be lost" in change.refused(intent).reasons[0]
        change.apply(Repair(findings=intent.findings, guess=True))
        assert change.rows == rows
        assert [one for one in change.check() if one.rule == "RK01"] == []


def test_rk01_a_complete_log_is_applied_and_goes_after_that(tmp_path: Path) -> None:
    root = AciRoot.create(str(tmp_path / "rkt"))
    with changing(root) as change:
        _cut_commit(Path(change.path), cut_log())
        change.store.refresh(None)
        rows = change.store.model.catalogue.contents
        intent = Repair(findings=tuple(one.identity for one in change.check() if one.rule == "RK01"))
        with change.there_and_back(intent) as plan:
            assert [step.path for step in plan.steps] == [layout.QL, LOG]
            assert change.rows == rows
            assert not os.path.exists(os.path.join(change.path, LOG))
            assert "RK01" not in bad(change)


def test_rk01_an_incomplete_log_is_moved_away_and_the_rows_stay(tmp_path: Path) -> None:
    root = AciRoot.create(str(tmp_path / "rkt"))
    with changing(root) as change:
        _cut_commit(Path(change.path), cut_log()[:-20])
        change.store.refresh(None)
        rows = change.rows
        intent = Repair(findings=tuple(one.identity for one in change.check() if one.rule == "RK01"))
        with change.there_and_back(intent) as plan:
            assert [step.path for step in plan.steps] == [LOG]
            assert change.rows == rows


def test_rk01_a_log_that_does_not_belong_is_lost_only_with_consent(tmp_path: Path) -> None:
    root = AciRoot.create(str(tmp_path / "rkt"))
    root.image("example.com/app")
    with changing(root) as change:
        Path(change.path, LOG).write_bytes(cut_log())
        change.store.refresh(None)
        findings = tuple(one.identity for one in change.check() if one.rule == "RK01")
        assert "it would be lost" in change.refused(Repair(findings=findings)).reasons[0]
        with change.there_and_back(Repair(findings=findings, guess=True)) as plan:
            assert moved(plan) == [LOG]
            assert [row.name for row in change.rows.images] == ["example.com/app"]


def test_rk01_a_log_of_sqlite_is_merged_before_it_goes(tmp_path: Path) -> None:
    root = AciRoot.create(str(tmp_path / "rkt"), catalogue="sqlite")
    app = root.image("example.com/app")
    with changing(root) as change:
        _leave_log(Path(change.path, layout.SQLITE), f"UPDATE image SET latest = 1 WHERE key = '{app.key}'")
        change.store.refresh(None)
        assert change.store.model.images[app.key].row == _row(app, latest=True, like=change)
        intent = Repair(findings=tuple(one.identity for one in change.check() if one.rule == "RK01"))
        rows = change.rows
        with change.there_and_back(intent) as plan:
            assert moved(plan)[0] == f"{layout.SQLITE}-wal"
            assert plan.steps[0].path == layout.SQLITE
            assert change.rows == rows
            assert os.listdir(os.path.join(change.path, "db")) == ["orlop.sqlite3"]


@pytest.mark.parametrize("mode", ["DELETE", "TRUNCATE", "PERSIST"])
def test_rk01_pages_from_before_a_cut_transaction_are_put_back(tmp_path: Path, mode: str) -> None:
    root = AciRoot.create(str(tmp_path / "rkt"), catalogue="sqlite")
    for number in range(60):
        root.image(f"example.com/app{number:02}")
    with changing(root) as change:
        rows = change.rows
        _cut_transaction(Path(change.path, layout.SQLITE), mode)
        change.store.refresh(None)
        findings = tuple(one.identity for one in change.check() if one.rule == "RK01")
        assert len(findings) == 1
        plan = change.planned(Repair(findings=findings))
        assert [step.path for step in plan.steps] == [layout.SQLITE, f"{layout.SQLITE}-journal"]
        change.apply(plan.intent)
        assert change.rows == rows
        assert change.check() == []
        change.undo()


def test_a_journal_that_holds_nothing_is_only_moved_away(tmp_path: Path) -> None:
    root = AciRoot.create(str(tmp_path / "rkt"), catalogue="sqlite")
    root.image("example.com/app")
    with changing(root) as change:
        rows = change.rows
        Path(change.path, f"{layout.SQLITE}-journal").write_bytes(bytes(600))
        change.store.refresh(None)
        intent = Repair(findings=tuple(one.identity for one in change.check() if one.rule == "RK01"))
        with change.there_and_back(intent) as plan:
            assert moved(plan) == [f"{layout.SQLITE}-journal"] == [step.path for step in plan.steps]
            assert change.rows == rows


def test_an_index_that_a_killed_process_left_harms_no_change(tmp_path: Path) -> None:
    root = AciRoot.create(str(tmp_path / "rkt"), catalogue="sqlite")
    app = root.image("example.com/app")
    with changing(root) as change:
        _leave_log(Path(change.path, layout.SQLITE), "UPDATE image SET latest = 1")
        os.truncate(os.path.join(change.path, f"{layout.SQLITE}-wal"), 0)
        change.store.refresh(None)
        change.apply(SetLatest(image=app.key, latest=True))
    with AciStore.open(str(Path(root.path) / "cas")) as library:
        assert library.aci_info(app.key).latest
        library.set_latest(app.key, False)
        assert not library.aci_info(app.key).latest


def test_other_repairs_wait_until_a_log_is_applied(tmp_path: Path) -> None:
    root = AciRoot.create(str(tmp_path / "rkt"))
    with changing(root) as change:
        _cut_commit(Path(change.path), cut_log())
        change.store.refresh(None)
        intent = asked(change, content=False)
        assert len(intent.findings) > 1
        plan = change.planned(intent)
        assert [step.path for step in plan.steps] == [layout.QL, LOG]
        assert len(said(plan, "keep")) == len(intent.findings) - 1


def test_nothing_else_is_planned_over_a_log_that_holds_something(tmp_path: Path) -> None:
    root = AciRoot.create(str(tmp_path / "rkt"), catalogue="sqlite")
    app = root.image("example.com/app")
    with changing(root) as change:
        _leave_log(Path(change.path, layout.SQLITE), "UPDATE image SET latest = 1")
        change.store.refresh(None)
        refusal = change.refused(Remove(keys=(change.key(app),)))
        assert "-wal is not empty" in refusal.reasons[0]
        assert "orlop repair" in refusal.do


# --- helpers ------------------------------------------------------------------------


def _row(
    image: Aci, *, size: int | None = None, name: str = "", latest: bool = False, like: Changing | None = None
) -> ImageRow:
    row = ImageRow(
        key=image.key,
        name=name or image.name,
        imported=NOW,
        last_used=NOW,
        latest=latest,
        size=image.size if size is None else size,
        tree_size=0,
    )
    if like is None:
        return row
    from dataclasses import replace

    before = next(found for found in like.rows.images if found.key == image.key)
    return replace(before, latest=latest)


def _destroy(path: Path, how: str) -> None:
    data = path.read_bytes()
    path.unlink()
    match how:
        case "cut":
            path.write_bytes(data[: len(data) // 2 - 7])
        case "empty":
            path.write_bytes(b"")
        case "folder":
            path.mkdir()


def _cut_commit(cas: Path, log: bytes) -> None:
    """The database that the recorded log belongs to, in the middle of its commit."""
    (cas / layout.QL).write_bytes(database("sample"))
    (cas / LOG).write_bytes(log)


def _cut_transaction(path: Path, mode: str) -> None:
    """What a process leaves that is killed in a transaction, with pages written already."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA journal_mode = {mode}")
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("BEGIN")
    connection.execute("UPDATE image SET name = name || hex(randomblob(300)), latest = 1")
    connection.execute("DELETE FROM image WHERE name LIKE '%app0%'")
    kept = {name: Path(f"{path}{name}").read_bytes() for name in ("", "-journal")}
    connection.execute("ROLLBACK")
    connection.close()
    assert kept[""] != path.read_bytes()
    for name, data in kept.items():
        Path(f"{path}{name}").write_bytes(data)


def _leave_log(path: Path, statement: str) -> None:
    """What a process leaves that is killed after it committed."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute(statement)
    connection.commit()
    kept = {name: Path(f"{path}{name}").read_bytes() for name in ("", "-wal", "-shm")}
    connection.close()
    for name, data in kept.items():
        Path(f"{path}{name}").write_bytes(data)
    assert hashlib.sha256(kept["-wal"]).digest()
