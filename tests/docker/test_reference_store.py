"""The reference store: what the recorded cases cannot show."""

import contextlib
import errno
import json
import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from orlop.direct import Place
from orlop.docker.referencestore import PLAIN, Association, ReferenceStore
from orlop.errors import AlreadyExists, Malformed, NoSpace, NotFound, Refused, WrongKind
from orlop.fs.writer import SYSTEM

IMAGE = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64
BLOB = "sha256:" + "c" * 64
PROCESSES = 4
UPDATES = 10


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "overlay2" / "repositories.json"


@pytest.fixture
def store(file: Path) -> ReferenceStore:
    return ReferenceStore.open(str(file))


def test_opening_makes_an_empty_store_that_only_its_owner_reads(store: ReferenceStore, file: Path) -> None:
    assert file.read_bytes() == b'{"Repositories":{}}'
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file, file.parent)] == [0o600, 0o700]


def test_every_spelling_of_a_name_is_one_name(store: ReferenceStore) -> None:
    store.add_tag("docker.io/library/busybox", IMAGE)
    store.add_digest(f"index.docker.io/busybox@{BLOB}", IMAGE)
    assert store.get("busybox:latest") == IMAGE
    assert store.references(IMAGE) == ("busybox:latest", f"busybox@{BLOB}")
    assert store.references_by_name("library/busybox:other") == (
        Association(name="busybox:latest", image=IMAGE),
        Association(name=f"busybox@{BLOB}", image=IMAGE),
    )


def test_the_ancestors_names_keep_their_spelling(file: Path) -> None:
    store = ReferenceStore.open(str(file), names=PLAIN)
    store.add_tag("docker.io/library/busybox", IMAGE)
    assert store.references(IMAGE) == ("docker.io/library/busybox:latest",)
    with pytest.raises(NotFound):
        store.get("busybox")
    with pytest.raises(Malformed) as error:
        store.add_digest("busybox@md5:" + "a" * 32, IMAGE)
    assert error.value.engine == "unsupported digest algorithm"


def test_a_tag_moves_only_by_force_and_a_digest_never(store: ReferenceStore) -> None:
    store.add_tag("a", IMAGE)
    store.add_digest(f"a@{BLOB}", IMAGE)
    with pytest.raises(AlreadyExists):
        store.add_tag("a", OTHER)
    store.add_tag("a", OTHER, force=True)
    assert (store.get("a"), store.references(IMAGE)) == (OTHER, (f"a@{BLOB}",))
    with pytest.raises(AlreadyExists):
        store.add_digest(f"a@{BLOB}", OTHER)
    with pytest.raises(Refused):
        store.add_tag(f"a@{BLOB}", OTHER, force=True)


def test_a_change_that_is_not_saved_has_not_happened(store: ReferenceStore, file: Path) -> None:
    store.add_tag("a", IMAGE)
    file.unlink()
    file.mkdir()
    with pytest.raises(WrongKind):
        store.add_tag("a:b", IMAGE)
    assert store.references(IMAGE) == ("a:latest",)
    file.rmdir()
    store.add_tag("a:c", IMAGE)
    assert ReferenceStore.open(str(file)).references(IMAGE) == ("a:c", "a:latest")


def test_a_file_that_broke_meanwhile_is_not_written_over(store: ReferenceStore, file: Path) -> None:
    file.write_bytes(b'{"Repositories":{"rescue me')
    with pytest.raises(Malformed):
        store.add_tag("a", IMAGE)
    assert file.read_bytes() == b'{"Repositories":{"rescue me'


def test_another_handles_change_is_seen_after_a_refresh(store: ReferenceStore, file: Path) -> None:
    ReferenceStore.open(str(file)).add_tag("a", IMAGE)
    with pytest.raises(NotFound):
        store.get("a")
    store.refresh()
    assert store.get("a") == IMAGE


def _add(file: str, process: int) -> None:
    store = ReferenceStore.open(file)
    for number in range(UPDATES):
        store.add_tag(f"repository-{process}:{number}", IMAGE)


def test_no_name_that_many_processes_add_is_lost(file: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_add, args=(str(file), process)) for process in range(PROCESSES)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0] * PROCESSES
    found = json.loads(file.read_bytes())["Repositories"]
    assert {name: len(entries) for name, entries in found.items()} == {
        f"repository-{process}": UPDATES for process in range(PROCESSES)
    }
    assert [path.name for path in file.parent.iterdir()] == ["repositories.json"]


def test_what_a_full_disk_does_not_take_is_not_answered_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ReferenceStore.open(str(tmp_path / "repositories.json"))
    store.add_tag("app:1", "sha256:aa")

    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(SYSTEM, "write", full)
        with pytest.raises(NoSpace):
            store.add_tag("app:2", "sha256:bb")
        with pytest.raises(NoSpace):
            store.delete("app:1")

    assert store.references("sha256:bb") == ()
    assert store.get("app:1") == "sha256:aa"
    assert os.listdir(tmp_path) == ["repositories.json"]


def test_a_change_starts_from_the_file_once_no_other_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, other = (ReferenceStore.open(str(tmp_path / "repositories.json")) for _ in range(2))
    exclusive = Place.exclusive
    calls: list[Place] = []

    def delayed(place: Place) -> contextlib.AbstractContextManager[None]:
        calls.append(place)
        if len(calls) == 1:
            other.add_tag("app:theirs", "sha256:bb")
        return exclusive(place)

    monkeypatch.setattr(Place, "exclusive", delayed)
    store.add_tag("app:ours", "sha256:aa")

    assert store.get("app:theirs") == "sha256:bb"
    again = ReferenceStore.open(str(tmp_path / "repositories.json"))
    assert [found.name for found in again.references_by_name("app")] == ["app:ours", "app:theirs"]
