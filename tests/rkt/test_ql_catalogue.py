"""rkt's own catalogue, read and changed on disk: its locks, its log, and what a change keeps."""

import dataclasses
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orlop.errors import AlreadyExists, Locked, Malformed, NotFound, Unsupported, WrongKind
from orlop.fs import Root
from orlop.rkt import ql
from orlop.rkt.catalogue import (
    ZERO_TIME,
    Catalogue,
    Contents,
    DropImage,
    DropRemote,
    Edit,
    Format,
    ImageRow,
    PutImage,
    PutRemote,
    RemoteRow,
    SetLatest,
    SetTreeSize,
)
from orlop.rkt.qlcatalogue import LOCK, LOG, PATH, LogNotEmpty, QlCatalogue, QlFormat
from tests.rkt.ql_files import CURRENT, NEW, cut_log, database
from tests.rkt.ql_verifier import verify

NEW_IMAGE = ImageRow(
    key="sha512-" + "a" * 64,
    name="example.com/new",
    imported=1_795_221_672_536_824_551,
    last_used=ZERO_TIME,
    latest=True,
    size=10_240,
    tree_size=0,
)
NEW_REMOTE = RemoteRow(
    url="https://example.com/nëw.aci",
    signature_url="",
    etag='W/"1"',
    key=NEW_IMAGE.key,
    max_age=-1,
    downloaded=1_700_000_000_000_000_001,
)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    (tmp_path / "db").mkdir(mode=0o770)
    (tmp_path / PATH).write_bytes(database("rkt-store"))
    (tmp_path / LOG).touch()
    with Root.open(str(tmp_path)) as opened:
        yield opened


def _catalogue(root: Root) -> QlCatalogue:
    return QlCatalogue(root, patience=0)


def _edited(edits: list[Edit], name: str = "rkt-store") -> tuple[Contents, Contents]:
    """What a file says before and after edits; what they made is whole."""
    data = database(name)
    made = QlFormat().edited(data, edits)
    verify(made)
    assert ql.faults(made) == ()
    return QlFormat().contents(data), QlFormat().contents(made)


def test_it_is_a_catalogue_and_a_format(root: Root) -> None:
    catalogue: Catalogue = _catalogue(root)
    form: Format = QlFormat()

    assert catalogue.path == "db/ql.db"
    assert catalogue.read() == form.contents(database("rkt-store"))


# --- edits -------------------------------------------------------------------


def test_a_new_row_stands_first_with_the_next_id() -> None:
    before, after = _edited([PutImage(row=NEW_IMAGE), PutRemote(row=NEW_REMOTE)])

    assert after.images == (NEW_IMAGE, *before.images)
    assert after.remotes == (NEW_REMOTE, *before.remotes)
    found = ql.read(QlFormat().edited(database("rkt-store"), [PutImage(row=NEW_IMAGE), PutRemote(row=NEW_REMOTE)]))
    images, remotes = found.table("aciinfo"), found.table("remote")
    assert images is not None
    assert remotes is not None
    assert (images.rows[0].id, remotes.rows[0].id, found.last_id) == (39, 40, 40)


def test_a_row_written_again_moves_to_the_front() -> None:
    before, _ = _edited([])
    again = dataclasses.replace(before.images[3], last_used=before.images[3].last_used + 1)

    _, after = _edited([PutImage(row=again)])

    assert after.images == (again, *before.images[:3], *before.images[4:])


def test_a_time_that_stays_keeps_its_bytes_and_a_new_one_gets_what_leads_the_others() -> None:
    data = database("rkt-store")
    images = ql.read(data).table("aciinfo")
    assert images is not None
    row = QlFormat().contents(data).images[3]

    made = ql.read(QlFormat().edited(data, [PutImage(row=dataclasses.replace(row, last_used=1))])).table("aciinfo")

    assert made is not None
    assert made.rows[0].values[2] == images.rows[3].values[2]
    used = made.rows[0].values[3]
    assert isinstance(used, ql.Blob)
    assert used.data[:6] == bytes.fromhex("13ff8a000f01")
    assert used.data[-6:] == b"\0\0\0\1\xff\xff"


def test_a_time_is_led_as_those_of_another_program_are() -> None:
    data = database("sample").replace(bytes.fromhex("13ff8a000f01"), bytes.fromhex("13ff9c000f01"))

    made = ql.read(QlFormat().edited(data, [PutImage(row=NEW_IMAGE)])).table("aciinfo")

    assert made is not None
    imported = made.rows[0].values[2]
    assert isinstance(imported, ql.Blob)
    assert imported.data.startswith(bytes.fromhex("13ff9c000f01"))


def test_flag_and_size_change_in_their_place() -> None:
    before, _ = _edited([])
    key, other = before.images[2].key, before.images[0].key

    _, after = _edited([SetLatest(key=key, latest=False), SetTreeSize(key=other, size=1 << 40)])

    assert [row.key for row in after.images] == [row.key for row in before.images]
    assert after.images[2] == dataclasses.replace(before.images[2], latest=False)
    assert after.images[0] == dataclasses.replace(before.images[0], tree_size=1 << 40)
    assert after.images[3:] == before.images[3:]


def test_an_image_goes_with_every_remote_that_leads_to_it() -> None:
    before, _ = _edited([])
    key = before.remotes[1].key

    _, after = _edited([PutRemote(row=dataclasses.replace(NEW_REMOTE, key=key)), DropImage(key=key)])

    assert after.images == tuple(row for row in before.images if row.key != key)
    assert after.remotes == tuple(row for row in before.remotes if row.key != key)
    assert len(after.remotes) == len(before.remotes) - 1


def test_a_remote_goes_alone_and_a_changed_one_moves_to_the_front() -> None:
    before, _ = _edited([])
    moved = dataclasses.replace(before.remotes[2], key=before.images[0].key, etag="")

    _, after = _edited([DropRemote(url=before.remotes[0].url), PutRemote(row=moved)])

    assert after.images == before.images
    assert after.remotes == (moved, before.remotes[1], *before.remotes[3:])


def test_edits_that_change_nothing_leave_every_byte() -> None:
    row = QlFormat().contents(database("rkt-store")).images[1]
    nothing: list[Edit] = [
        DropImage(key="sha512-"),
        DropRemote(url=""),
        SetLatest(key="no such", latest=True),
        SetTreeSize(key="no such", size=1),
        SetLatest(key=row.key, latest=row.latest),
        SetTreeSize(key=row.key, size=row.tree_size),
    ]

    assert QlFormat().edited(database("rkt-store"), nothing) == database("rkt-store")


@pytest.mark.parametrize("name", CURRENT)
def test_what_an_edit_does_not_mean_keeps_every_value_and_id(name: str) -> None:
    before = ql.read(database(name))

    after = ql.read(QlFormat().edited(database(name), [PutRemote(row=NEW_REMOTE)]))

    for old, new in zip(before.tables, after.tables, strict=True):
        assert (old.name, old.columns, old.indexes) == (new.name, new.columns, new.indexes)
        if old.name == "__Index2":
            assert [(row.id, row.values[:4]) for row in old.rows] == [(row.id, row.values[:4]) for row in new.rows]
        else:
            assert old.rows == (new.rows[1:] if old.name == "remote" else new.rows)


def test_the_same_edits_give_the_same_bytes() -> None:
    edits: list[Edit] = [PutImage(row=NEW_IMAGE), PutRemote(row=NEW_REMOTE)]

    assert QlFormat().edited(database("sample"), edits) == QlFormat().edited(database("sample"), edits)


@pytest.mark.parametrize(
    "row",
    [
        dataclasses.replace(NEW_IMAGE, name="n" * 70_000),
        dataclasses.replace(NEW_IMAGE, name="half \ud800"),
        dataclasses.replace(NEW_IMAGE, size=1 << 63),
        dataclasses.replace(NEW_IMAGE, imported=1 << 100),
    ],
)
def test_what_no_row_can_hold_is_refused(row: ImageRow) -> None:
    with pytest.raises(Malformed):
        QlFormat().edited(database("sample"), [PutImage(row=row)])


def test_thousands_of_rows_are_added_and_taken_again() -> None:
    rows = [
        dataclasses.replace(NEW_IMAGE, key=f"sha512-{n * 7919:064x}", name=f"n{n % 5}", tree_size=n)
        for n in range(3000)
    ]
    full = QlFormat().edited(QlFormat().empty(), [PutImage(row=row) for row in rows])

    assert QlFormat().contents(full).images == tuple(rows[::-1])
    assert verify(full).pages["aciinfo.blobkeyidx"] == (8, 1)
    bare = QlFormat().edited(full, [DropImage(key=row.key) for row in rows])
    assert QlFormat().contents(bare).images == ()
    assert verify(bare).pages["aciinfo.blobkeyidx"] == (0, 0)
    assert ql.read(bare).last_id == 19 + 3000


# --- on disk -----------------------------------------------------------------


def test_a_change_is_on_disk_with_the_mode_and_the_owner_of_before(root: Root) -> None:
    os.chmod(f"{root.path}/{PATH}", 0o640)

    _catalogue(root).change([PutImage(row=NEW_IMAGE)])

    assert _catalogue(root).read().images[0] == NEW_IMAGE
    found = root.stat(PATH)
    assert (found.mode, found.uid, found.gid) == (0o640, os.getuid(), os.getgid())
    assert sorted(os.listdir(f"{root.path}/db")) == sorted([os.path.basename(LOG), "ql.db"])


def test_a_change_of_nothing_writes_nothing(root: Root) -> None:
    before = root.stat(PATH)

    _catalogue(root).change([DropRemote(url="no such")])

    assert root.stat(PATH) == before


def test_reading_writes_nothing_and_needs_no_log(root: Root) -> None:
    os.unlink(f"{root.path}/{LOG}")
    before = root.stat("db"), root.stat(PATH)

    _catalogue(root).read()

    assert (root.stat("db"), root.stat(PATH)) == before


def test_a_failing_edit_leaves_the_file(root: Root) -> None:
    with pytest.raises(Malformed) as refused:
        _catalogue(root).change([PutImage(row=NEW_IMAGE), PutImage(row=dataclasses.replace(NEW_IMAGE, size=1 << 70))])

    assert refused.value.path == PATH
    assert root.read(PATH) == database("rkt-store")


def test_a_new_catalogue_is_empty_and_never_takes_the_place_of_another(tmp_path: Path) -> None:
    with Root.open(str(tmp_path)) as root:
        with pytest.raises(NotFound):
            _catalogue(root).read()
        _catalogue(root).create()

        assert _catalogue(root).read() == Contents(version=7, images=(), remotes=())
        assert (root.stat("db").mode & 0o777, root.stat(PATH).mode) == (0o770, 0o666)
        with pytest.raises(AlreadyExists):
            _catalogue(root).create()


def test_an_error_names_the_file(root: Root) -> None:
    Path(root.path, PATH).write_bytes(b"")

    with pytest.raises(Malformed, match="empty file") as refused:
        _catalogue(root).read()
    assert refused.value.path == PATH
    Path(root.path, PATH).write_bytes(database(NEW))
    with pytest.raises(Unsupported) as later:
        _catalogue(root).change([])
    assert later.value.path == PATH


def test_no_link_is_followed_out_of_the_store(root: Root, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(database("sample"))
    os.replace(f"{root.path}/{PATH}", tmp_path / "kept")
    os.symlink(tmp_path / "outside", f"{root.path}/{PATH}")

    for act in (lambda: _catalogue(root).read(), lambda: _catalogue(root).change([PutImage(row=NEW_IMAGE)])):
        with pytest.raises(WrongKind):
            act()
    assert (tmp_path / "outside").read_bytes() == database("sample")


# --- locks and the log -------------------------------------------------------


def test_nothing_is_read_or_changed_while_another_program_holds_the_folder(root: Root) -> None:
    held = os.open(f"{root.path}/db", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        with pytest.raises(Locked):
            _catalogue(root).read()
        with pytest.raises(Locked):
            _catalogue(root).change([PutImage(row=NEW_IMAGE)])
    finally:
        os.close(held)
    _catalogue(root).read()


def test_a_transaction_waits_for_that_of_another_program(root: Root) -> None:
    code = (
        "import fcntl, os, sys, time; fd = os.open(sys.argv[1], os.O_RDONLY); fcntl.flock(fd, fcntl.LOCK_EX);"
        "print('held', flush=True); sys.stdin.readline(); time.sleep(0.05)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, f"{root.path}/db"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "held\n"
        other.stdin.write("\n")
        other.stdin.flush()

        QlCatalogue(root, patience=30).change([PutImage(row=NEW_IMAGE)])

    assert _catalogue(root).read().images[0] == NEW_IMAGE


def test_the_lock_of_ql_itself_is_respected_and_a_leftover_of_it_is_not(root: Root) -> None:
    code = (
        "import fcntl, sys; file = open(sys.argv[1], 'wb'); fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB);"
        "print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, f"{root.path}/{LOCK}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        for act in (lambda: _catalogue(root).read(), lambda: _catalogue(root).change([PutImage(row=NEW_IMAGE)])):
            with pytest.raises(Locked) as refused:
                act()
            assert refused.value.path == LOCK
            assert str(other.pid) in refused.value.holder
        other.communicate()
    assert root.exists(LOCK)
    _catalogue(root).change([PutImage(row=NEW_IMAGE)])


def test_many_processes_lose_no_row(root: Root) -> None:
    script = (
        "import sys\n"
        "from orlop.fs import Root\n"
        "from orlop.rkt.catalogue import ImageRow, PutImage\n"
        "from orlop.rkt.qlcatalogue import QlCatalogue\n"
        "with Root.open(sys.argv[1]) as root:\n"
        "    for n in range(8):\n"
        "        key = f'{sys.argv[2]}-{n}'\n"
        "        row = ImageRow(key=key, name='n', imported=n, last_used=0, latest=False, size=0, tree_size=0)\n"
        "        QlCatalogue(root).change([PutImage(row=row)])\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    started = [
        subprocess.Popen([sys.executable, "-c", script, root.path, str(name)], env=environment) for name in range(3)
    ]

    assert [process.wait() for process in started] == [0, 0, 0]
    keys = {row.key for row in _catalogue(root).read().images}
    assert {f"{name}-{n}" for name in range(3) for n in range(8)} <= keys
    assert len(keys) == 24 + 6


@pytest.mark.parametrize("log", [b"x", cut_log(), cut_log()[:-16], cut_log()[:100]])
def test_a_log_with_something_in_it_keeps_the_database_from_being_changed(root: Root, log: bytes) -> None:
    Path(root.path, PATH).write_bytes(database("sample"))
    Path(root.path, LOG).write_bytes(log)

    with pytest.raises(LogNotEmpty) as refused:
        _catalogue(root).change([PutImage(row=NEW_IMAGE)])

    assert isinstance(refused.value, Locked)
    assert refused.value.path == LOG
    assert refused.value.do
    assert root.read(PATH) == database("sample")
    assert root.read(LOG) == log


def test_a_commit_that_was_decided_is_read_and_one_that_was_not_is_not(root: Root) -> None:
    before, after = (QlFormat().contents(database(name)) for name in ("sample", "cut-whole"))
    assert before != after
    for name, log, expected in (
        ("sample", cut_log(), after),
        ("cut-half", cut_log(), after),
        ("cut-whole", cut_log(), after),
        ("sample", cut_log()[:-16], before),
        ("sample", b"x", before),
    ):
        Path(root.path, PATH).write_bytes(database(name))
        Path(root.path, LOG).write_bytes(log)

        assert _catalogue(root).read() == expected


def test_a_complete_log_makes_exactly_the_file_that_the_commit_would_have_made() -> None:
    for name in ("sample", "cut-half", "cut-whole"):
        assert ql.applied(database(name), cut_log()) == database("cut-whole")


def test_a_log_is_told_by_how_it_ends() -> None:
    log = cut_log()

    assert ql.wal_state(b"") is ql.LogState.EMPTY
    assert ql.wal_state(log) is ql.LogState.COMPLETE
    for bad in (log[:-1], log[:-16], log + bytes(16), log + log, log[16:], b"\0" * 16, b"x"):
        assert ql.wal_state(bad) is ql.LogState.INCOMPLETE
        with pytest.raises(Malformed, match="incomplete"):
            ql.applied(database("sample"), bad)


def test_a_log_of_another_database_is_not_applied() -> None:
    with pytest.raises(Malformed):
        ql.applied(database("rkt-store"), cut_log())
