"""Taking images in: what is staged, what is refused and leaves nothing, and what an image that is there keeps."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orlop import incoming
from orlop.errors import (
    Cancelled,
    Changed,
    Locked,
    Malformed,
    NotFound,
    OrlopError,
    Unsupported,
    WrongKind,
)
from orlop.intent import Import, PutRemote
from orlop.plan import Place
from orlop.progress import Silent, Stoppable
from orlop.rkt import layout
from orlop.rkt.catalogue import ImageRow
from orlop.rkt.compression import Limits
from orlop.rkt.door import RktStore
from orlop.rkt.errors import BadImage
from orlop.rkt.importing import stage
from orlop.rkt.store import AciStore
from orlop.samples.rkt import NOW, AciRoot
from tests.rkt.conftest import aci
from tests.rkt.plan_stores import Changing, changing, files, said
from tests.rkt.rkt_stores import unpacked

IMAGE = aci("example.com/new", {"version": "7", "os": "linux", "arch": "amd64"})


@pytest.fixture(params=["ql", "sqlite"])
def root(tmp_path: Path, request: pytest.FixtureRequest) -> AciRoot:
    return AciRoot.create(str(tmp_path / "rkt"), catalogue=request.param)


@pytest.fixture
def ql(tmp_path: Path) -> AciRoot:
    return AciRoot.create(str(tmp_path / "rkt"))


@pytest.fixture
def given(tmp_path: Path) -> Callable[[bytes], str]:
    """Writes an archive; gives its path."""

    def write(data: bytes) -> str:
        path = tmp_path / f"archive-{len(os.listdir(tmp_path))}.aci"
        path.write_bytes(data)
        return str(path)

    return write


def staged(store: RktStore, archive: str, **more: Any) -> Import:
    more = {"name": "", "latest": False, "at": NOW, "progress": Silent(), **more}
    return stage(store.root, store.model, archive, **more)


def nothing_waits(change: Changing) -> bool:
    return incoming.waiting(change.store.root) == () and not change.store.root.exists(".orlop")


def test_an_image_is_taken_in_archive_first_and_row_last(root: AciRoot, given: Callable[[bytes], str]) -> None:
    other = root.image("example.com/other")
    with changing(root) as change:
        intent = staged(change.store, given(gzip.compress(IMAGE)), latest=True)
        with change.there_and_back(intent) as plan:
            [key] = change.store.model.images.keys() - {other.key}
            catalogue = change.store.model.catalogue.path
            assert [step.path for step in plan.steps] == [layout.blob(key), layout.manifest(key), catalogue]
            assert plan.bytes_added == len(IMAGE)
            row = change.store.model.images[key].row
            assert row == ImageRow(
                key=key,
                name="example.com/new",
                imported=NOW,
                last_used=NOW,
                latest=True,
                size=len(IMAGE),
                tree_size=0,
            )
            assert Path(root.at(layout.blob(key))).read_bytes() == IMAGE
            modes = [os.stat(root.at(path)).st_mode & 0o7777 for path in (layout.blob(key), layout.manifest(key))]
            assert modes == [0o600, 0o660]
            assert [finding.rule for finding in change.check(content=True)] == []


def test_it_is_what_the_library_would_have_written(tmp_path: Path, given: Callable[[bytes], str]) -> None:
    with AciStore.create(str(tmp_path / "library"), "ql") as library:
        key = library.write_aci(io.BytesIO(IMAGE))
        manifest = library.get_image_manifest_json(key)
    with AciStore.create(str(tmp_path / "planned"), "ql"):
        pass
    with changing(tmp_path / "planned") as change:
        change.apply(staged(change.store, given(IMAGE)))
        assert Path(change.path, layout.manifest(key)).read_bytes() == manifest
        written = {path: entry for path, entry in files(change.path).items() if path.startswith(("blob/", "imageM"))}
        wanted = {path: entry for path, entry in files(tmp_path / "library").items() if path in written}
        assert {path: entry[1] for path, entry in written.items()} == {path: entry[1] for path, entry in wanted.items()}
    with AciStore.open(str(tmp_path / "planned")) as library:
        assert library.get_aci("example.com/new", {"version": "7"}) == key


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_however_it_is_compressed_the_plain_archive_is_kept(
    ql: AciRoot, given: Callable[[bytes], str], pack: Callable[[bytes], bytes]
) -> None:
    seen: list[tuple[str, int, int]] = []

    class Watching:
        def step(self, what: str, done: int, total: int) -> None:
            seen.append((what, done, total))

    data = pack(IMAGE)
    with changing(ql) as change:
        intent = staged(change.store, given(data), progress=Watching())
        assert change.store.root.read(incoming.path_of(intent.staged, "image")) == IMAGE
        assert seen[-1] == ("archive", len(data), len(data))


# --- what is there already ---------------------------------------------------------


def test_the_same_image_again_changes_nothing_and_keeps_its_import_time(
    root: AciRoot, given: Callable[[bytes], str]
) -> None:
    app = root.image("example.com/app", imported=NOW - 5, latest=True, tree_size=9)
    data = Path(root.at(layout.blob(app.key))).read_bytes()
    with changing(root) as change:
        plan = change.planned(staged(change.store, given(data)))
        assert plan.steps == ()
        assert len(said(plan, "keep")) == 2
        assert change.apply(plan.intent).steps == 0


def test_it_is_marked_as_latest_where_that_is_asked_for(root: AciRoot, given: Callable[[bytes], str]) -> None:
    app = root.image("example.com/app", imported=NOW - 5)
    data = Path(root.at(layout.blob(app.key))).read_bytes()
    with changing(root) as change:
        [before] = change.rows.images
        with change.there_and_back(staged(change.store, given(data), latest=True)) as plan:
            assert [step.path for step in plan.steps] == [change.store.model.catalogue.path]
            [row] = change.rows.images
            assert (row.latest, row.imported, row.last_used) == (True, before.imported, before.last_used)


@pytest.mark.parametrize("damage", ["bytes", "cut", "empty", "missing", "folder", "link", "manifest", "row"])
def test_what_is_damaged_of_it_is_put_right(root: AciRoot, given: Callable[[bytes], str], damage: str) -> None:
    app = root.image("example.com/app", imported=NOW - 5)
    blob = Path(root.at(layout.blob(app.key)))
    data = blob.read_bytes()
    match damage:
        case "bytes":
            blob.write_bytes(b"x" * len(data))
        case "cut":
            blob.write_bytes(data[:512])
        case "empty":
            blob.write_bytes(b"")
        case "missing":
            blob.unlink()
        case "folder":
            blob.unlink()
            blob.mkdir()
        case "link":
            blob.unlink()
            blob.symlink_to("/etc/passwd")
        case "manifest":
            root.write(layout.manifest(app.key), b"{")
        case "row":
            root.forget(app)
    with changing(root) as change, change.there_and_back(staged(change.store, given(data))):
        assert blob.read_bytes() == data
        assert not blob.is_symlink()
        assert change.check(content=True) == []
        imported = change.rows.images[0].imported
        assert imported == (NOW if damage == "row" else NOW - 5)


def test_a_record_moves_to_it(root: AciRoot, given: Callable[[bytes], str]) -> None:
    old = root.image("example.com/app")
    root.remote("https://example.com/app.aci", old, etag='"1"')
    with changing(root) as change:
        waiting = staged(change.store, given(IMAGE))
        remote = PutRemote(url="https://example.com/app.aci", image="", etag='"2"', max_age=5, downloaded=NOW)
        with change.there_and_back(Import(staged=waiting.staged, at=NOW, remote=remote)):
            [row] = change.rows.remotes
            assert row.key != old.key
            assert (row.etag, row.max_age) == ('"2"', 5)


def test_an_image_whose_dependencies_are_not_there_is_taken_in_and_that_is_said(
    root: AciRoot, given: Callable[[bytes], str]
) -> None:
    data = aci("example.com/top", dependencies=[{"imageName": "example.com/base"}])
    with changing(root) as change, change.there_and_back(staged(change.store, given(data))) as plan:
        assert said(plan, "note") == ["example.com/top needs example.com/base"]
        assert [finding.rule for finding in change.check()] == ["RK11"]


def test_a_store_that_has_no_database_yet_gets_one(tmp_path: Path, given: Callable[[bytes], str]) -> None:
    (tmp_path / "cas" / "blob").mkdir(parents=True)
    with changing(tmp_path / "cas") as change:
        change.apply(staged(change.store, given(IMAGE)))
        assert [row.name for row in change.rows.images] == ["example.com/new"]
    with AciStore.open(str(tmp_path / "cas")) as library:
        assert library.get_aci("example.com/new")


# --- refusals ------------------------------------------------------------------------


def bomb() -> bytes:
    return gzip.compress(aci(extra=[("rootfs/zeros", bytes(20 << 20), b"0")]))


def long_manifest() -> bytes:
    return aci(annotations=[{"name": "a", "value": "v" * 200_000}])


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "neither a tar"),
    "text": (lambda: b"hello" * 999, "neither a tar"),
    "an absolute path": (lambda: aci(extra=[("/etc/passwd", b"x", tarfile.REGTYPE)]), "leaves the archive"),
    "a path that leads out": (lambda: aci(extra=[("rootfs/../../x", b"x", tarfile.REGTYPE)]), "leaves the archive"),
    "a hard link out": (lambda: aci(extra=[("rootfs/x", "../../etc/passwd", tarfile.LNKTYPE)]), "leaves the archive"),
    "a link out": (lambda: aci(extra=[("rootfs/x", "../../../etc", tarfile.SYMTYPE)]), "leaves the archive"),
    "a bomb": (bomb, "decompression bomb"),
    "too many entries": (lambda: aci(extra=[(f"rootfs/{n}", b"", b"0") for n in range(400)]), "entries"),
    "a huge manifest": (long_manifest, "its manifest has"),
    "a name outside the grammar": (lambda: aci("Example.com/APP"), "name"),
    "an os that is not known": (lambda: aci(labels={"os": "linux", "arch": "arm64"}), "arch"),
    "a wrong kind": (lambda: aci(acKind="PodManifest"), "acKind"),
    "cut in the middle": (lambda: gzip.compress(IMAGE)[:-40], "cut off"),
    "damaged data": (lambda: gzip.compress(IMAGE)[:100] + b"\xff" * 60, "damaged|cut off"),
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_archive_is_refused_with_the_reason_and_leaves_nothing(
    ql: AciRoot, given: Callable[[bytes], str], hostile: tuple[Callable[[], bytes], str]
) -> None:
    make, words = hostile
    limits = Limits(entries=300, manifest=100_000, free=1 << 20)
    with changing(ql) as change:
        before = files(change.path)
        path = given(make())
        with pytest.raises(BadImage, match=words) as error:
            staged(change.store, path, limits=limits)
        assert error.value.path == path
        assert nothing_waits(change)
        assert files(change.path) == before


def test_a_file_that_cannot_be_read_is_named(ql: AciRoot, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    cases: dict[str, type[OrlopError]] = {"missing": NotFound, "pipe": WrongKind, "": WrongKind}
    with changing(ql) as change:
        for name, kind in cases.items():
            with pytest.raises(kind):
                staged(change.store, str(tmp_path / name))
        assert nothing_waits(change)


@pytest.mark.parametrize("name", ["example.com/new", "example.com/new:7", ""])
def test_the_name_that_it_has_may_be_given(ql: AciRoot, given: Callable[[bytes], str], name: str) -> None:
    with changing(ql) as change:
        assert change.planned(staged(change.store, given(IMAGE), name=name)).steps


def test_another_name_is_refused(ql: AciRoot, given: Callable[[bytes], str]) -> None:
    with changing(ql) as change:
        with pytest.raises(Malformed, match=r"it is example.com/new:7.*inside it"):
            staged(change.store, given(IMAGE), name="example.com/new:8")
        assert nothing_waits(change)
        waiting = staged(change.store, given(IMAGE))
        assert change.refused(Import(staged=waiting.staged, name="a/b", at=NOW)).reasons


def test_a_person_can_stop_it(ql: AciRoot, given: Callable[[bytes], str]) -> None:
    stopped = Stoppable()
    stopped.stopped = True
    with changing(ql) as change:
        with pytest.raises(Cancelled):
            staged(change.store, given(IMAGE), progress=stopped)
        assert nothing_waits(change)


def test_two_programs_do_not_read_the_same_file_in_at_once(ql: AciRoot, given: Callable[[bytes], str]) -> None:
    path = given(IMAGE)
    with changing(ql) as change:
        first = staged(change.store, path)
        with incoming.receiving(change.store.root, first.staged), pytest.raises(Locked):
            staged(change.store, path)
        assert incoming.noted(change.store.root, first.staged)["name"] == "example.com/new"


def test_a_store_of_an_older_rkt_takes_nothing(tmp_path: Path, given: Callable[[bytes], str]) -> None:
    with changing(unpacked("rkt-store-dbv6", tmp_path)) as change:
        before = files(change.path)
        with pytest.raises(Unsupported):
            staged(change.store, given(IMAGE))
        assert (files(change.path), nothing_waits(change)) == (before, True)


def test_what_waits_is_not_believed_blindly(ql: AciRoot, given: Callable[[bytes], str]) -> None:
    with changing(ql) as change:
        intent = staged(change.store, given(IMAGE))
        plan = change.planned(intent)
        assert isinstance(plan.steps[0], Place)
        Path(change.path, incoming.path_of(intent.staged, "image")).write_bytes(b"x" * len(IMAGE))
        with pytest.raises(OrlopError) as error:
            change.apply(intent)
        assert isinstance(error.value, Changed | Malformed)
        assert change.rows.images == ()
        with pytest.raises(NotFound):
            change.store.plan(Import(staged="00000000"))
        note = Path(change.path, incoming.path_of(intent.staged), "staged.json")
        for text in ("{}", '{"kind":"aci","version":2}', note.read_text().replace("sha512-", "sha512/")):
            note.write_text(text)
            with pytest.raises(Malformed):
                change.store.plan(intent)
