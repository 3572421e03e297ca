"""What every ACI store does, whichever catalogue it has."""

import bz2
import contextlib
import fcntl
import gzip
import hashlib
import io
import itertools
import json
import lzma
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orlop.errors import (
    AlreadyExists,
    Ambiguous,
    Escapes,
    Locked,
    Malformed,
    NotAStore,
    NotFound,
    OrlopError,
    ReadOnly,
    Unsupported,
)
from orlop.fs.writer import System
from orlop.rkt import layout, opening
from orlop.rkt.catalogue import VERSION, ZERO_TIME, ImageRow, PutImage, RemoteRow
from orlop.rkt.compression import Limits
from orlop.rkt.errors import (
    AciNotFound,
    BadIdentifier,
    BadImage,
    BadKey,
    BadQuery,
    KeyNotFound,
    ManifestDamaged,
    ManifestUnreadable,
    RemoteNotFound,
    RowNotFound,
    StoreRemoval,
)
from orlop.rkt.files import Files
from orlop.rkt.manifest import Pair
from orlop.rkt.store import AciStore

CATALOGUES = ("ql", "sqlite")

Aci = Callable[..., bytes]


def make_aci(name: str = "example.com/app", labels: dict[str, str] | None = None, content: bytes = b"hello") -> bytes:
    """A whole image, its manifest last."""
    manifest = {
        "acKind": "ImageManifest",
        "acVersion": "0.8.11",
        "name": name,
        "labels": [{"name": label, "value": value} for label, value in (labels or {}).items()],
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, data in (("rootfs/file", content), ("manifest", json.dumps(manifest).encode())):
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def key_for(image: bytes) -> str:
    return "sha512-" + hashlib.sha512(image).hexdigest()[:64]


@pytest.fixture(params=CATALOGUES)
def catalogue(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty folder; in memory where the system has such a place, for every change is synced."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="aci-") as path:
        yield Path(path)


@pytest.fixture
def cas(folder: Path) -> Path:
    return folder / "cas"


@pytest.fixture
def store(catalogue: str, cas: Path) -> Iterator[AciStore]:
    with AciStore.create(str(cas), catalogue, patience=0) as opened:
        yield opened


def _write(store: AciStore, *, latest: bool = False, **image: object) -> str:
    return store.write_aci(io.BytesIO(make_aci(**image)), latest=latest)  # type: ignore[arg-type]


def _files(cas: Path) -> dict[str, bytes]:
    """Every file but the database's."""
    return {
        str(path.relative_to(cas)): path.read_bytes()
        for path in sorted(cas.rglob("*"))
        if path.is_file() and path.relative_to(cas).parts[0] != "db"
    }


# --- images ------------------------------------------------------------------


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_an_image_is_stored_plain_under_the_hash_of_what_is_plain(
    store: AciStore, cas: Path, pack: Callable[[bytes], bytes]
) -> None:
    image = make_aci(labels={"version": "1"})

    key = store.write_aci(io.BytesIO(pack(image)))

    assert key == key_for(image) == store.hash_to_key(hashlib.sha512(image).digest())
    with store.read_stream(key) as stream:
        assert stream.read() == image
    assert (cas / layout.blob(key)).stat().st_size == len(image) == store.aci_info(key).size
    assert store.get_image_manifest(key).labels == (Pair(name="version", value="1"),)
    assert store.get_image_manifest_json(key) == store.get_image_manifest(key).marshal()
    assert store.has_full_key(key)
    assert os.listdir(cas / "tmp") == []


def test_modes_are_rkts_whatever_the_umask(catalogue: str, cas: Path) -> None:
    umask = os.umask(0o077)
    try:
        with AciStore.create(str(cas), catalogue) as store:
            key = _write(store)
    finally:
        os.umask(umask)

    def mode(path: str) -> int:
        return stat.S_IMODE((cas / path).stat().st_mode)

    assert {mode(path) for path in (".", "blob", "imageManifest/sha512", "imagelocks", "db", "tmp")} == {0o770}
    assert mode(layout.blob(key)) == 0o600
    assert mode(layout.manifest(key)) == mode(layout.lock(key)) == 0o660


def test_writing_an_image_again_makes_its_row_anew(store: AciStore) -> None:
    key = _write(store, latest=True)
    first = store.aci_info(key)
    store.update_tree_store_size(key, 4242)

    assert _write(store) == key

    again = store.aci_info(key)
    assert again.imported > first.imported
    assert (again.latest, again.tree_size) == (False, 0)
    assert first.latest
    assert len(store.all_aci_infos()) == 1


def test_reading_an_image_is_its_last_use_and_moves_its_row_to_the_front(store: AciStore) -> None:
    keys = [_write(store, labels={"version": str(number)}) for number in range(3)]
    before = store.aci_info(keys[0])
    assert [row.key for row in store.all_aci_infos()] == keys[::-1]

    store.read_stream(keys[0][:20]).close()

    after = store.aci_info(keys[0])
    assert after.last_used > before.last_used
    assert after.imported == before.imported
    assert [row.key for row in store.all_aci_infos()] == [keys[0], keys[2], keys[1]]
    store.get_image_manifest(keys[1])
    store.get_aci("example.com/app")
    assert store.aci_info(keys[0]) == after


def test_the_latest_of_a_name_wins_unless_a_version_is_asked_for(store: AciStore) -> None:
    old = _write(store, labels={"version": "1", "os": "linux"}, latest=True)
    new = _write(store, labels={"version": "2", "os": "linux"})
    twin = _write(store, labels={"version": "2", "os": "linux", "x": "y"})

    assert store.get_aci("example.com/app") == old
    assert store.get_aci("example.com/app", {"os": "linux"}) == old
    assert store.get_aci("example.com/app", {"version": "2"}) == twin
    store.set_latest(old, False)
    assert store.get_aci("example.com/app") == twin
    store.set_latest(new, True)
    assert store.get_aci("example.com/app") == new
    for labels in ({"version": "3"}, {"os": "linux", "no": "such"}):
        with pytest.raises(AciNotFound):
            store.get_aci("example.com/app", labels)
    with pytest.raises(AciNotFound):
        store.get_aci("example.com/app", [("version", "1"), ("version", "2")])
    for name in ("", "UPPER", "-x", "a b", "../x"):
        with pytest.raises(BadIdentifier):
            store.get_aci(name)
    with pytest.raises(BadIdentifier):
        store.get_aci("a", {"Bad Label": ""})


def test_a_key_is_found_by_its_beginning(store: AciStore) -> None:
    keys = sorted(_write(store, labels={"version": str(number)}) for number in range(40))
    pairs = [(one, two) for one, two in itertools.pairwise(keys) if one[:9] == two[:9]]

    assert store.resolve_key(keys[0]) == keys[0]
    assert store.resolve_key(keys[0] + "more") == keys[0]
    with pytest.raises(Ambiguous) as several:
        store.resolve_key(pairs[0][0][:9])
    assert set(pairs[0]) <= set(several.value.candidates)
    for text in ("", "sha512", "SHA512-aa", "sha512-a"):
        with pytest.raises(BadKey):
            store.resolve_key(text)
    for text in ("sha512-zz", keys[0].upper().replace("SHA", "sha")):
        with pytest.raises(KeyNotFound):
            store.resolve_key(text)
    assert set(store.resolve_name("example.com/app")) == set(keys)
    assert store.resolve_name("example.com/ap") == ()


def test_removal_takes_row_remotes_files_and_empty_folders_but_not_the_lock(store: AciStore, cas: Path) -> None:
    key, other = _write(store), _write(store, labels={"version": "2"})
    for url, of in (("u1", key), ("u2", key), ("u3", other)):
        store.write_remote(RemoteRow(url=url, signature_url="", etag="", key=of, max_age=0, downloaded=ZERO_TIME))
    before = _files(cas)

    store.remove_aci(key)

    assert [row.key for row in store.all_aci_infos()] == [other]
    assert [row.url for row in store.all_remotes()] == ["u3"]
    assert before.keys() - _files(cas).keys() == {layout.blob(key), layout.manifest(key)}
    assert (cas / layout.lock(key)).exists()
    store.remove_aci(other)
    assert os.listdir(cas / "blob") == os.listdir(cas / "imageManifest") == []
    with pytest.raises(RowNotFound):
        store.remove_aci(key)
    with pytest.raises(RowNotFound):
        store.remove_aci(other[:20])


def test_files_that_cannot_be_removed_are_told_after_the_row_is_gone(store: AciStore, cas: Path) -> None:
    key = _write(store)
    (cas / layout.manifest(key)).unlink()
    (cas / layout.manifest(key)).mkdir()

    with pytest.raises(StoreRemoval) as removal:
        store.remove_aci(key)

    assert [cause.path for cause in removal.value.causes] == [layout.manifest(key)]
    assert store.all_aci_infos() == ()
    assert not (cas / layout.blob(key)).exists()


def test_one_damaged_manifest_makes_its_name_unusable_and_no_other(store: AciStore, cas: Path) -> None:
    key, twin = _write(store), _write(store, labels={"version": "2"})
    other = _write(store, name="example.com/other")
    (cas / layout.manifest(key)).write_bytes(b"garbage")

    with pytest.raises(ManifestDamaged):
        store.get_aci("example.com/app", {"version": "2"})
    assert store.get_image_manifest_json(key) == b"garbage"
    (cas / layout.manifest(key)).write_bytes(b"null")
    with pytest.raises(ManifestDamaged):
        store.get_image_manifest(key)
    (cas / layout.manifest(key)).unlink()
    with pytest.raises(ManifestUnreadable):
        store.get_aci("example.com/app")
    assert not store.has_full_key(key)
    assert store.get_aci("example.com/other") == other
    store.remove_aci(twin)
    assert _write(store) == key
    assert store.get_aci("example.com/app") == key


def test_rows_are_sorted_by_known_columns_only(store: AciStore) -> None:
    keys = [_write(store, name=f"a/{number}", content=b"x" * number * 700) for number in (2, 3, 1)]

    assert [row.name for row in store.all_aci_infos(["name"])] == ["a/1", "a/2", "a/3"]
    assert [row.name for row in store.all_aci_infos(["name"], ascending=False)] == ["a/3", "a/2", "a/1"]
    assert [row.key for row in store.all_aci_infos(["importtime", "blobkey"])] == keys
    sizes = [row.size for row in store.all_aci_infos(["treestoresize", "size", "name"])]
    assert sizes == sorted(sizes)
    for column in ("latest", "position", "name; DROP TABLE image", "1"):
        with pytest.raises(BadQuery):
            store.all_aci_infos(["name", column])


# --- what is refused ---------------------------------------------------------


@pytest.mark.parametrize(
    "image",
    [
        b"",
        b"plain text",
        gzip.compress(b"not a tar"),
        gzip.compress(make_aci())[:-20],
        make_aci()[:700],
        make_aci(name="UPPER"),
        make_aci(labels={"os": "linux", "arch": "arm64"}),
        make_aci().replace(b"rootfs/file", b"../escaped1"),
    ],
    ids=["empty", "text", "packed text", "cut gzip", "cut tar", "name", "platform", "escape"],
)
def test_what_is_refused_leaves_nothing(store: AciStore, cas: Path, image: bytes) -> None:
    before = _files(cas)

    with pytest.raises(BadImage):
        store.write_aci(io.BytesIO(image))

    assert _files(cas) == before
    assert store.all_aci_infos() == ()


def test_limits_of_an_image_can_be_set(store: AciStore, cas: Path) -> None:
    bomb = gzip.compress(make_aci(content=bytes(4 << 20)))

    with pytest.raises(BadImage, match="bomb"):
        store.write_aci(io.BytesIO(bomb), limits=Limits(free=1 << 20, ratio=100))
    with pytest.raises(BadImage, match="entries"):
        store.write_aci(io.BytesIO(bomb), limits=Limits(entries=1))
    assert os.listdir(cas / "tmp") == []
    store.write_aci(io.BytesIO(bomb))


@pytest.mark.parametrize("key", ["", ".", "..", "a/b", "../../x-yy", "../evil", "/etc-passwd", "a-b/../c", "nul-\0\0"])
def test_a_key_that_would_leave_the_store_is_refused_before_anything_is_touched(
    store: AciStore, cas: Path, key: str
) -> None:
    _write(store)
    before = _files(cas.parent)

    for call in (store.remove_aci, store.has_full_key):
        with pytest.raises(Escapes):
            call(key)
    with pytest.raises(BadKey):
        store.get_image_manifest_json(key)
    if key:
        with pytest.raises((Escapes, NotFound, AlreadyExists)):
            store.tmp_named_file(key)

    assert _files(cas.parent) == before


@pytest.mark.parametrize("place", [layout.blob, layout.manifest, layout.lock])
def test_a_link_in_the_place_of_a_file_is_not_followed(
    store: AciStore, cas: Path, tmp_path: Path, place: Callable[[str], str]
) -> None:
    key = _write(store)
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    (cas / place(key)).unlink()
    (cas / place(key)).symlink_to(target)

    with contextlib.suppress(OrlopError), store.read_stream(key) as stream:
        assert stream.read() == make_aci()
    with contextlib.suppress(OrlopError):
        assert store.get_image_manifest(key).name == "example.com/app"
    with contextlib.suppress(OrlopError):
        store.remove_aci(key)

    assert target.read_bytes() == b"precious"
    assert (cas / place(key)).is_symlink() or not (cas / place(key)).exists()


# --- remotes -----------------------------------------------------------------


def test_remotes_are_written_replaced_listed_and_removed(store: AciStore) -> None:
    first = RemoteRow(
        url="https://x/é?q=<1>", signature_url="s", etag='"e"', key="k", max_age=-1, downloaded=-1_000_000_001
    )
    second = RemoteRow(url="", signature_url="", etag="", key="", max_age=(1 << 31) - 1, downloaded=ZERO_TIME)
    store.write_remote(first)
    store.write_remote(second)

    assert store.all_remotes() == (second, first)
    changed = RemoteRow(url=first.url, signature_url="", etag="", key="k", max_age=7, downloaded=1)
    store.write_remote(changed)
    assert store.all_remotes() == (changed, second)
    assert store.get_remote(first.url) == changed
    store.remove_remote("")
    assert store.all_remotes() == (changed,)
    for call in (store.get_remote, store.remove_remote):
        with pytest.raises(RemoteNotFound):
            call("")


@pytest.mark.parametrize("at", [ZERO_TIME, -1, 0, 1, 1_479_686_400_123_456_789, 1_479_686_400_000_000_001])
def test_times_are_kept_to_the_nanosecond(catalogue: str, cas: Path, at: int) -> None:
    row = ImageRow(
        key="sha512-" + "0" * 64, name="a", imported=at, last_used=at, latest=True, size=1 << 40, tree_size=-5
    )
    remote = RemoteRow(url="u", signature_url="", etag="", key="", max_age=0, downloaded=at)
    with AciStore.create(str(cas), catalogue) as store:
        store.write_remote(remote)
    opened = opening.open_store(str(cas))
    opened.catalogue.change((PutImage(row=row),))
    opened.close()

    with AciStore.open(str(cas)) as store:
        assert store.all_aci_infos() == (row,)
        assert store.all_remotes() == (remote,)


# --- temporary files and the dump --------------------------------------------


def test_temporary_files_lie_in_the_store(store: AciStore, cas: Path) -> None:
    assert store.tmp_dir() == str(cas / "tmp")
    with store.tmp_file() as file:
        file.write(b"x")
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600
        assert Path(file.name).parent == cas / "tmp"
    for size in (0, 3):
        with store.tmp_named_file("download") as file:
            assert file.tell() == size
            file.write(b"abc")
    assert (cas / "tmp/download").read_bytes() == b"abcabc"


def test_the_dump_tells_the_beginning_of_every_archive_and_manifest(store: AciStore, cas: Path) -> None:
    key = _write(store)
    (cas / "blob/sha512/foreign").write_bytes(b"x")
    told = store.dump(hexadecimal=True).splitlines()

    assert told[0] == f"{cas}/blob/{key}: {make_aci()[:128].hex()}"
    assert told[1] == "1 total image ID(s)"
    assert told[3] == "1 total image ID(s)"
    assert store.dump().startswith(f"{cas}/blob/{key}: rootfs/file")


# --- opening -----------------------------------------------------------------


def test_a_store_is_opened_again_with_the_catalogue_that_it_has(catalogue: str, cas: Path) -> None:
    with AciStore.create(str(cas), catalogue) as store:
        key = _write(store, latest=True)
        row = store.aci_info(key)

    with AciStore.open(str(cas)) as store:
        assert store.all_aci_infos() == (row,)
    with AciStore.create(str(cas), catalogue) as store:
        assert store.all_aci_infos() == (row,)
    other = next(name for name in CATALOGUES if name != catalogue)
    with pytest.raises(AlreadyExists):
        AciStore.create(str(cas), other)


def test_what_is_no_store_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in ("empty", "missing"):
        with pytest.raises(NotAStore):
            AciStore.open(str(tmp_path / path))
    with pytest.raises(Unsupported):
        AciStore.create(str(tmp_path / "new"), "mysql")
    assert os.listdir(tmp_path) == ["empty"]


def test_looking_changes_nothing_and_takes_no_lock(catalogue: str, cas: Path) -> None:
    with AciStore.create(str(cas), catalogue) as store:
        key = _write(store)
    held = os.open(cas, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    before = {path: path.lstat() for path in cas.rglob("*")}

    with AciStore.open(str(cas), read_only=True, patience=0) as looking:
        assert looking.get_aci("example.com/app") == key
        assert looking.aci_info(key).key == key
        assert looking.get_image_manifest(key).name == "example.com/app"
        for change in (
            lambda: looking.read_stream(key),
            lambda: looking.remove_aci(key),
            lambda: looking.update_tree_store_size(key, 1),
            lambda: looking.write_aci(io.BytesIO(make_aci())),
            lambda: looking.tmp_named_file("x"),
            looking.tmp_file,
            looking.tmp_dir,
        ):
            with pytest.raises(ReadOnly):
                change()

    os.close(held)
    after = {path: path.lstat() for path in cas.rglob("*")}
    assert {path: (s.st_mtime_ns, s.st_size) for path, s in before.items()} == {
        path: (s.st_mtime_ns, s.st_size) for path, s in after.items()
    }


def test_a_damaged_database_is_told_and_never_written_to(catalogue: str, cas: Path) -> None:
    path = cas / (layout.QL if catalogue == "ql" else layout.SQLITE)
    with AciStore.create(str(cas), catalogue) as store:
        key = _write(store)
        path.write_bytes(b"not a database, but longer than sixteen bytes")
        for call in (store.all_aci_infos, store.all_remotes, lambda: store.resolve_key(key), lambda: _write(store)):
            with pytest.raises(Malformed) as damage:
                call()
            assert damage.value.path == str(path.relative_to(cas))
        with pytest.raises(RowNotFound):
            store.aci_info(key)
    with pytest.raises(Malformed):
        AciStore.open(str(cas))

    assert path.read_bytes() == b"not a database, but longer than sixteen bytes"
    assert os.listdir(cas / "tmp") == []


# --- locks -------------------------------------------------------------------


def test_whoever_holds_a_lock_of_rkts_is_waited_for(catalogue: str, cas: Path) -> None:
    with AciStore.create(str(cas), catalogue, patience=0) as store:
        key = _write(store)

        def held(path: str, operation: int) -> int:
            fd = os.open(cas / path, os.O_RDONLY)
            fcntl.flock(fd, operation)
            return fd

        image = held(layout.lock(key), fcntl.LOCK_SH)
        store.get_image_manifest(key)
        for call in (lambda: store.remove_aci(key), lambda: _write(store)):
            with pytest.raises(Locked):
                call()
        os.close(image)
        rows = held("db", fcntl.LOCK_EX)
        with pytest.raises(Locked):
            store.all_aci_infos()
        os.close(rows)
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock := os.open(cas, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        assert os.listdir(cas / "tmp") == []
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with pytest.raises(Locked):
        AciStore.open(str(cas), patience=0)
    os.close(lock)


def test_several_threads_lose_nothing(catalogue: str, cas: Path) -> None:
    images = [make_aci(labels={"version": str(number)}) for number in range(8)]
    with AciStore.create(str(cas), catalogue) as store:
        threads = [threading.Thread(target=store.write_aci, args=(io.BytesIO(image),)) for image in images * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert {row.key for row in store.all_aci_infos()} == {key_for(image) for image in images}


def _run(function: str, *arguments: str) -> "subprocess.Popen[str]":
    """A function of this file in a process of its own."""
    here = Path(__file__).parent
    code = f"import test_aci_stores; test_aci_stores.{function}({', '.join(map(repr, arguments))})"
    path = os.pathsep.join([str(here), *(folder for folder in sys.path if folder)])
    return subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.PIPE, text=True
    )


def _finished(*processes: "subprocess.Popen[str]") -> None:
    for process in processes:
        _, told = process.communicate(timeout=60)
        assert process.returncode == 0, told


def work_on(cas: str, number: str) -> None:
    """Write, read and remove the same few images, as another process does."""
    images = [make_aci(labels={"version": str(version)}) for version in range(3)]
    with AciStore.open(cas) as store:
        own = store.write_aci(io.BytesIO(make_aci(name=f"own/{number}")))
        for turn in range(12):
            key = store.write_aci(io.BytesIO(images[turn % 3]))
            with contextlib.suppress(KeyNotFound, RowNotFound, AciNotFound):  # the other one removed it
                with store.read_stream(key) as stream:
                    assert key_for(stream.read()) == key
                store.get_aci("example.com/app")
            if turn % 2:
                with contextlib.suppress(RowNotFound):
                    store.remove_aci(key)
            store.update_tree_store_size(own, turn)
        assert store.aci_info(own).tree_size == 11


def test_two_processes_share_a_store(catalogue: str, cas: Path) -> None:
    AciStore.create(str(cas), catalogue).close()

    _finished(_run("work_on", str(cas), "0"), _run("work_on", str(cas), "1"))

    with AciStore.open(str(cas)) as store:
        _assert_whole(store, cas)
        assert {"own/0", "own/1"} <= {row.name for row in store.all_aci_infos()}
        assert os.listdir(cas / "tmp") == []


def _assert_whole(store: AciStore, cas: Path) -> None:
    """Every row has its archive, with the right hash, and its manifest."""
    for row in store.all_aci_infos():
        assert key_for((cas / layout.blob(row.key)).read_bytes()) == row.key
        assert store.get_image_manifest(row.key).name == row.name


class _Mortal(System):
    """The system calls of a process that dies at one of them."""

    def __init__(self, left: int) -> None:
        self.left = left

    def __getattribute__(self, name: str) -> object:
        if name in ("create", "write", "fsync", "rename", "mkdir", "unlink", "rmdir", "fchmod"):
            self.left -= 1
            if self.left < 0:
                os._exit(9)
        return object.__getattribute__(self, name)


def _dies(work: Path, act: Callable[[AciStore], object], calls: int) -> bool:
    """Whether a child process dies before an act ends, if it may make so many calls."""
    child = os.fork()
    if not child:
        with AciStore(opening.open_store(str(work), files_of=lambda root: Files(root, _Mortal(calls)))) as store:
            act(store)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, 9)
    return code == 9


def die_at_every_call(folder: str, catalogue: str) -> None:
    """Kill a process at each call that changes something, while it writes or removes an image."""
    base, work = Path(folder, "base"), Path(folder, "work")
    old, new = make_aci(name="a/old"), make_aci(name="a/new")
    acts: tuple[Callable[[AciStore], object], ...] = (
        lambda store: store.write_aci(io.BytesIO(new)),
        lambda store: store.write_aci(io.BytesIO(old), latest=True),
        lambda store: store.remove_aci(key_for(old)),
    )
    with AciStore.create(str(base), catalogue) as store:
        store.write_aci(io.BytesIO(old))
    deaths = 0
    for act in acts:
        for calls in itertools.count():
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(base, work)
            died = _dies(work, act, calls)
            deaths += died
            with AciStore.open(str(work)) as store:
                assert {row.key for row in store.all_aci_infos()} <= {key_for(old), key_for(new)}
                _assert_whole(store, work)
                store.write_aci(io.BytesIO(new))
                _assert_whole(store, work)
            if not died:
                break
    assert deaths > 15, deaths


@pytest.mark.long
def test_a_process_that_is_killed_leaves_whole_images_only(catalogue: str, folder: Path) -> None:
    _finished(_run("die_at_every_call", str(folder), catalogue))


def test_the_schema_of_a_new_store_is_the_present_one(catalogue: str, cas: Path) -> None:
    AciStore.create(str(cas), catalogue).close()
    opened = opening.open_store(str(cas))

    assert opened.catalogue.read().version == VERSION
    opened.close()
