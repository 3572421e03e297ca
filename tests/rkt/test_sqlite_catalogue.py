"""The catalogue on SQLite: migrations, what a killed process leaves, and files that are none of Orlop's."""

import dataclasses
import io
import itertools
import os
import random
import sqlite3
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from orlop.errors import AlreadyExists, Malformed, NotFound, OrlopError, Unsupported, WrongKind
from orlop.fs import Root
from orlop.rkt import layout, opening, sqlitecatalogue
from orlop.rkt.catalogue import (
    VERSION,
    ZERO_TIME,
    DropImage,
    DropRemote,
    Edit,
    ImageRow,
    PutImage,
    PutRemote,
    RemoteRow,
    SetLatest,
    SetTreeSize,
    UseImage,
)
from orlop.rkt.cataloguefile import catalogue_file
from orlop.rkt.files import Files
from orlop.rkt.model import CatalogueState
from orlop.rkt.sqlitecatalogue import SqliteCatalogue, SqliteFormat
from orlop.rkt.sqlitejournal import rolled_back
from orlop.rkt.sqliteschema import APPLICATION, SCHEMA, VERSION_TABLE, Schema
from orlop.rkt.sqlitewal import applied
from orlop.rkt.store import AciStore


def _image(number: int, **values: object) -> ImageRow:
    row = ImageRow(
        key=f"sha512-{number:064x}",
        name=f"example.com/{number}",
        imported=number,
        last_used=number + 1,
        latest=False,
        size=number * 512,
        tree_size=0,
    )
    return dataclasses.replace(row, **values)  # type: ignore[arg-type]


def _remote(url: str, key: str = "") -> RemoteRow:
    return RemoteRow(url=url, signature_url="s", etag='"e"', key=key, max_age=60, downloaded=ZERO_TIME)


EDITS: Sequence[Edit] = (
    *(PutImage(row=_image(number)) for number in range(50)),
    PutRemote(row=_remote("u1", _image(1).key)),
    PutRemote(row=_remote("u2", _image(2).key)),
    PutRemote(row=_remote("bytes \udcff", "no\0key")),
    SetLatest(key=_image(3).key, latest=True),
    SetTreeSize(key=_image(4).key, size=-5),
    DropImage(key=_image(1).key),
    DropRemote(url="nothing"),
    PutImage(row=_image(7, name="é 'x' \udcfe", imported=ZERO_TIME)),
    UseImage(key=_image(9).key, at=77),
)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    (tmp_path / "cas" / "db").mkdir(parents=True)
    with Root.open(str(tmp_path / "cas")) as opened:
        yield opened


@pytest.fixture
def catalogue(root: Root) -> SqliteCatalogue:
    made = SqliteCatalogue(root, patience=0)
    made.create()
    return made


@pytest.fixture
def file(root: Root) -> Path:
    return Path(root.path, layout.SQLITE)


# --- the file and its bytes --------------------------------------------------


def test_the_file_and_its_bytes_are_edited_alike(catalogue: SqliteCatalogue, file: Path) -> None:
    changed = SqliteFormat().edited(SqliteFormat().empty(), EDITS)
    catalogue.change(EDITS)

    assert catalogue.read() == SqliteFormat().contents(changed) == SqliteFormat().contents(file.read_bytes())
    images = catalogue.read().images
    assert images[0] == _image(9, last_used=77)
    assert images[1] == _image(7, name="é 'x' \udcfe", imported=ZERO_TIME)
    assert images[2].key == _image(49).key
    assert _image(1).key not in {row.key for row in images}
    assert [row.url for row in catalogue.read().remotes] == ["bytes \udcff", "u2"]


def test_the_same_edits_give_the_same_bytes() -> None:
    once, again = (SqliteFormat().edited(SqliteFormat().empty(), EDITS) for _ in range(2))

    assert once == again
    assert SqliteFormat().edited(once, ()) == once


def test_the_bytes_stand_for_themselves_and_are_no_file_in_wal_mode(catalogue: SqliteCatalogue, file: Path) -> None:
    catalogue.change(EDITS)

    assert file.read_bytes()[18:20] == b"\2\2"
    assert SqliteFormat().edited(file.read_bytes(), EDITS)[18:20] == b"\1\1"


def test_nothing_but_the_file_is_left_after_a_change(catalogue: SqliteCatalogue, file: Path) -> None:
    catalogue.change(EDITS)

    assert os.listdir(file.parent) == [file.name]
    assert stat.S_IMODE(file.stat().st_mode) == 0o660
    with pytest.raises(AlreadyExists):
        catalogue.create()


def test_edits_are_made_together_or_not_at_all(catalogue: SqliteCatalogue, file: Path) -> None:
    catalogue.change(EDITS)
    before = file.read_bytes()

    for bad in (_image(60, size=1 << 63), _image(60, imported=1 << 70), _image(60, name="\ud800")):
        with pytest.raises(Malformed):
            catalogue.change((DropImage(key=_image(3).key), PutImage(row=bad)))

    assert file.read_bytes() == before


def test_reading_writes_nothing_even_where_a_log_is_left(catalogue: SqliteCatalogue, file: Path) -> None:
    catalogue.change(EDITS)
    before = catalogue.read()
    _die_after_a_commit(file)
    left = {path.name: path.read_bytes() for path in file.parent.iterdir() if not path.name.endswith("-shm")}

    read = catalogue.read()

    assert len(left) == 2
    assert read.images[0].name == "committed"
    assert read.images[1:] == before.images
    assert {name: (file.parent / name).read_bytes() for name in left} == left


def test_a_change_takes_up_what_a_killed_process_committed(catalogue: SqliteCatalogue, file: Path) -> None:
    catalogue.change(EDITS)
    _die_after_a_commit(file)

    catalogue.change((SetLatest(key=_image(5).key, latest=True),))

    assert os.listdir(file.parent) == [file.name]
    assert catalogue.read().images[0].name == "committed"


def test_a_torn_log_counts_up_to_its_last_commit(catalogue: SqliteCatalogue, file: Path) -> None:
    catalogue.change(EDITS)
    before = catalogue.read()
    _die_after_a_commit(file)
    log = Path(f"{file}-wal")
    whole = log.read_bytes()

    for torn in (whole[:-1], whole[:40], whole[:10], whole[:60] + b"\xff" + whole[61:], b"garbage" * 100):
        log.write_bytes(torn)
        assert catalogue.read() == before
    log.write_bytes(whole + whole[32:])
    assert catalogue.read().images[0].name == "committed"


def test_a_log_of_a_few_bytes_makes_no_database_of_terabytes(
    root: Root, catalogue: SqliteCatalogue, file: Path
) -> None:
    page, data = bytes(512), file.read_bytes()
    header = struct.pack(">6I", 0x377F0682, 3007000, len(page), 0, 1, 2)
    frame = struct.pack(">2I", 1, 0xFFFF_FFFF)
    sums = _words(header)
    log = header + struct.pack(">2I", *sums) + frame
    log += struct.pack(">4I", 1, 2, *_words(page, _words(frame, sums))) + page
    journal = struct.pack(">8s5I", bytes.fromhex("d9d505f920a163d7"), 1, 0, 0xFFFF_FFFF, 512, 512).ljust(512, b"\0")
    journal += struct.pack(">I", 1) + page + struct.pack(">I", 0)

    for combined, tail in ((applied, log), (rolled_back, journal)):
        with pytest.raises(Malformed, match="no more than"):
            combined(data, tail)
    Path(f"{file}-wal").write_bytes(log)
    with pytest.raises(Malformed) as told:
        catalogue.read()
    assert told.value.path == f"{layout.SQLITE}-wal"
    assert catalogue_file(root).state is CatalogueState.DAMAGED


def _words(data: bytes, sums: tuple[int, int] = (0, 0)) -> tuple[int, int]:
    """The checksum of SQLite's log, over words of the small end first."""
    one, two = sums
    for even, odd in struct.iter_unpack("<2I", data):
        one = (one + even + two) & 0xFFFF_FFFF
        two = (two + odd + one) & 0xFFFF_FFFF
    return one, two


def _die_after_a_commit(file: Path) -> None:
    """Commit one more row, and end without the log being emptied."""
    code = (
        "import os, sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('PRAGMA wal_autocheckpoint = 0')\n"
        "row = \"VALUES ('k', 'committed', 0, 0, 0)\"\n"
        "connection.execute(f'INSERT INTO image (key, name, latest, size, tree_size) {row}')\n"
        "os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(file)], check=False).returncode == 9


# --- older and newer tables --------------------------------------------------

OLD = Schema(
    version=0,
    statements=(
        VERSION_TABLE,
        "CREATE TABLE images (imported_seconds INTEGER, name TEXT, key TEXT, latest INTEGER, bytes INTEGER)",
        "CREATE TABLE remotes (key TEXT, url TEXT)",
    ),
)
"""A version that never was: other names, another order, times in seconds, and less of them."""


def _from_old(connection: sqlite3.Connection) -> None:
    for statement in SCHEMA.statements[1:]:
        connection.execute(statement)
    connection.execute(
        "INSERT INTO image (key, name, imported, last_used, latest, size, tree_size)"
        " SELECT key, name, imported_seconds * 1000000000, NULL, latest, bytes, 0 FROM images ORDER BY rowid"
    )
    connection.execute("INSERT INTO remote SELECT rowid, url, '', '', key, 0, NULL FROM remotes ORDER BY rowid")
    connection.execute("DROP TABLE images")
    connection.execute("DROP TABLE remotes")


class Migrating(SqliteCatalogue):
    """As an Orlop would have it that knew the version that never was."""

    def __init__(self, root: Root, *, files: Files, patience: float) -> None:
        super().__init__(root, files=files, patience=patience, schema=MIGRATING)


MIGRATING = dataclasses.replace(SCHEMA, migrations={0: _from_old})


def _old_file() -> bytes:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.deserialize(SqliteFormat(OLD).empty())
    connection.execute("INSERT INTO images VALUES (1479686400, 'a', 'k1', 1, 512), (7, 'b', 'k2', 0, 1024)")
    connection.execute("INSERT INTO remotes VALUES ('k1', 'u')")
    data = connection.serialize()
    connection.close()
    return data


def test_older_tables_are_read_as_they_will_be_and_not_changed() -> None:
    contents = SqliteFormat(MIGRATING).contents(_old_file())

    assert contents.version == VERSION - 1
    assert [(row.key, row.imported, row.last_used) for row in contents.images] == [
        ("k2", 7_000_000_000, ZERO_TIME),
        ("k1", 1_479_686_400_000_000_000, ZERO_TIME),
    ]
    with pytest.raises(Unsupported, match="version 0"):
        SqliteFormat(MIGRATING).edited(_old_file(), EDITS)


def test_opening_migrates_once_after_a_backup(root: Root, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "SqliteCatalogue", Migrating)
    old = _old_file()
    for turn in range(7):
        file.write_bytes(old)
        (file.parent / "note").write_text(str(turn))
        with AciStore.open(root.path) as store:
            assert [row.name for row in store.all_aci_infos()] == ["b", "a"]
            store.set_latest("k2", True)
        with AciStore.open(root.path) as store:
            assert all(row.latest for row in store.all_aci_infos())

    backups = Path(root.path, "db-backups")
    assert sorted(os.listdir(backups)) == ["0", "1", "2", "3", "4"]
    assert [(backups / str(number) / "note").read_text() for number in range(5)] == ["6", "5", "4", "3", "2"]
    assert {(backups / str(number) / file.name).read_bytes() for number in range(5)} == {old}


def test_a_migration_that_fails_changes_nothing(root: Root, file: Path) -> None:
    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("DROP TABLE images")
        connection.execute("INSERT INTO nowhere VALUES (1)")

    file.write_bytes(_old_file())
    catalogue = SqliteCatalogue(root, patience=0, schema=dataclasses.replace(SCHEMA, migrations={0: broken}))

    with pytest.raises(Malformed):
        catalogue.migrate()

    assert file.read_bytes() == _old_file()


def test_newer_tables_are_refused_with_both_versions_named(file: Path, root: Root) -> None:
    newer = dataclasses.replace(SCHEMA, version=SCHEMA.version + 1)
    file.write_bytes(SqliteFormat(newer).empty())

    for act in (
        lambda: SqliteCatalogue(root).read(),
        lambda: SqliteCatalogue(root).change(EDITS),
        lambda: SqliteFormat().edited(file.read_bytes(), EDITS),
        lambda: AciStore.open(root.path),
    ):
        with pytest.raises(Unsupported, match=rf"version {newer.version}.*{SCHEMA.version}"):
            act()
    with pytest.raises(Unsupported, match="version 0"):
        SqliteFormat().contents(_old_file())


# --- files from elsewhere ----------------------------------------------------


def _made(*statements: str, application: int = APPLICATION, schema: Sequence[str] = SCHEMA.statements) -> bytes:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute(f"PRAGMA application_id = {application}")
    for statement in (*schema, f"INSERT INTO version VALUES ({SCHEMA.version})", *statements):
        connection.execute(statement)
    data = connection.serialize()
    connection.close()
    return data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x" * 5000,
        b"SQLite format 3\0",
        b"SQLite format 3\0" + bytes(5000),
        _made(application=7),
        _made("CREATE TABLE more (a)"),
        _made("CREATE TRIGGER t AFTER INSERT ON image BEGIN DELETE FROM remote; END"),
        _made("CREATE VIEW v AS SELECT 1"),
        _made("DELETE FROM version"),
        _made("INSERT INTO version VALUES (1)"),
        _made("DROP TABLE remote"),
        _made("DROP TABLE remote", "CREATE VIEW remote AS SELECT * FROM image"),
        _made("INSERT INTO image VALUES (1, x'00', 'n', 1, 1, 0, 0, 0)"),
        _made("INSERT INTO image VALUES (1, 'k', 'n', 'soon', 1, 0, 0, 0)"),
        _made("INSERT INTO image VALUES (1, 'k', 'n', 1, 1, 0, 1.5, 0)"),
    ],
    ids=itertools.count(),
)
def test_what_is_not_exactly_orlops_is_malformed(data: bytes, root: Root, file: Path) -> None:
    file.write_bytes(data)

    with pytest.raises(Malformed):
        SqliteFormat().contents(data)
    with pytest.raises(Malformed) as read:
        SqliteCatalogue(root).read()
    assert read.value.path == layout.SQLITE


def test_a_torn_or_flipped_file_is_malformed_or_whole_and_never_a_crash() -> None:
    whole = SqliteFormat().edited(SqliteFormat().empty(), EDITS)
    contents = SqliteFormat().contents(whole)
    chance = random.Random(7)
    seen = 0
    for number in range(400):
        data = bytearray(whole)
        if number % 4 == 0:
            data = data[: chance.randrange(len(data))]
        for _ in range(chance.randrange(1, 6) if number % 4 else 0):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            SqliteFormat().edited(bytes(data), EDITS[:3])
            seen += SqliteFormat().contents(bytes(data)) == contents
        except (Malformed, Unsupported):
            seen += 1
    assert seen > 200


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_a_link_in_the_place_of_a_file_of_the_database_is_not_followed(
    catalogue: SqliteCatalogue, file: Path, tmp_path: Path, suffix: str
) -> None:
    target = tmp_path / "target"
    target.write_bytes(file.read_bytes())
    before = target.read_bytes()
    Path(f"{file}{suffix}").unlink(missing_ok=True)
    Path(f"{file}{suffix}").symlink_to(target)

    with pytest.raises(WrongKind):
        catalogue.read()
    with pytest.raises(WrongKind):
        catalogue.change(EDITS)

    assert target.read_bytes() == before


def test_no_database_is_not_found(root: Root) -> None:
    for act in (SqliteCatalogue(root).read, lambda: SqliteCatalogue(root).change(EDITS)):
        with pytest.raises(NotFound):
            act()


def test_a_database_that_is_larger_than_is_read_is_refused(
    catalogue: SqliteCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlitecatalogue, "LARGEST", 1000)

    with pytest.raises(OrlopError, match="too large"):
        catalogue.read()


def test_a_store_on_sqlite_can_be_opened_by_two_at_once(root: Root) -> None:
    with AciStore.create(root.path) as one, AciStore.open(root.path) as two:
        with pytest.raises(OrlopError):
            one.write_aci(io.BytesIO(b"no image"))
        two.write_remote(_remote("u"))

        assert one.all_remotes() == two.all_remotes() == (_remote("u"),)
    opened = opening.open_store(root.path, files_of=Files)
    assert opened.catalogue.path == layout.SQLITE
    opened.close()
    opened.close()
