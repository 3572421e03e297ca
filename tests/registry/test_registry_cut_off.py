"""Every change of a registry's storage, killed or failed at every system call: old or new, and it can be repeated."""

import contextlib
import errno
import io
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from uuid import UUID

import pytest

from orlop import times
from orlop.digest import Digest
from orlop.errors import Malformed, NotFound, OrlopError
from orlop.fs.writer import System
from orlop.registry.blobs import BlobStore
from orlop.registry.filedriver import FileDriver
from orlop.registry.layers import LayerStore
from orlop.registry.layout import MODERN
from orlop.registry.storage import RegistryStorage

pytestmark = pytest.mark.long

NAME = "team/app"
CONTENT = b"a layer " * 1_000
DIGEST = Digest.of(CONTENT)
ALIAS = Digest.of(CONTENT, "sha512")
FIRST, SECOND = b'{"schemaVersion":2}', b'{"schemaVersion":2,"second":1}'
BLOB = MODERN.blob_data(DIGEST)
FIXED = UUID("11111111-2222-4333-8444-555555555555")
START = times.parse("2026-11-21T05:00:00Z")

Tree: TypeAlias = dict[str, bytes]


class Killed(BaseException):
    """The end of a process, for a test that goes on in the same one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What the n-th call meets."""

    name: str
    number: int | None
    """The errno; None for a kill: then all later calls meet it too."""
    when: str = "before"
    """``before`` the call, ``after`` it, or ``half``: half of a write is done."""


KILLED = Fault(name="killed", number=None)
# Faults take turns within a series: call 1 meets the first, call 2 the next, and so on.
SERIES = {
    "kills": (KILLED,),
    "failures": (
        Fault(name="ENOSPC amid a write", number=errno.ENOSPC, when="half"),
        Fault(name="killed amid a write", number=None, when="half"),
        Fault(name="EIO though it was done", number=errno.EIO, when="after"),
    ),
}


class Faulty(System):
    """The system calls, of which the n-th fails; syncs are left out, and for a kill they do not count."""

    def __init__(self, fault: Fault = KILLED, at: int = 0) -> None:
        self.fault = fault
        self.at = at
        self.calls = 0

    @property
    def fired(self) -> bool:
        return 0 < self.at <= self.calls

    def _do(self, do: Callable[[], object], half: Callable[[], object] | None = None) -> object:
        dead = self.fault.number is None and self.fired
        self.calls += 1
        if self.calls != self.at and not dead:
            return do()
        if not dead and self.fault.when == "after":
            do()
        if not dead and self.fault.when == "half" and half is not None:
            half()
        if self.fault.number is None:
            raise Killed
        raise OSError(self.fault.number, os.strerror(self.fault.number))

    def create(self, name: str, mode: int, folder: int) -> int:
        made = self._do(lambda: System.create(self, name, mode, folder))
        assert isinstance(made, int)
        return made

    def write(self, fd: int, data: bytes) -> int:
        def write(part: bytes) -> int:
            return System.write(self, fd, part)

        written = self._do(lambda: write(data), lambda: write(data[: len(data) // 2]))
        assert isinstance(written, int)
        return written

    def fsync(self, fd: int) -> None:
        if self.fault.number is not None:
            self._do(lambda: None)

    def rename(self, source: str, source_folder: int, target: str, target_folder: int, *, replace: bool) -> None:
        self._do(lambda: System.rename(self, source, source_folder, target, target_folder, replace=replace))

    def mkdir(self, name: str, mode: int, folder: int) -> None:
        self._do(lambda: System.mkdir(self, name, mode, folder))

    def unlink(self, name: str, folder: int) -> None:
        self._do(lambda: System.unlink(self, name, folder))

    def rmdir(self, name: str, folder: int) -> None:
        self._do(lambda: System.rmdir(self, name, folder))


# --- what is done -------------------------------------------------------------


def prepare_manifests(storage: RegistryStorage) -> None:
    repository = storage.repository(NAME)
    first, second = repository.manifests.put(FIRST), repository.manifests.put(SECOND)
    repository.tags.tag("latest", first)
    repository.tags.tag("latest", second)
    repository.tags.tag("old", first)


def prepare_layers(storage: RegistryStorage) -> None:
    with layers_of(storage, "half").upload() as upload:
        upload.read_from(io.BytesIO(CONTENT[:5_000]))
        storage.driver.put(f"{MODERN.upload_hash_states('half', upload.uuid)}/sha256/5000", b"sha\x03")
    with layers_of(storage, "done").upload() as upload:
        upload.read_from(io.BytesIO(CONTENT))
    with layers_of(storage, "source").upload() as upload:
        upload.write(b"to be mounted")
        upload.finish(Digest.of(b"to be mounted", "sha512"))


def layers_of(storage: RegistryStorage, name: str) -> LayerStore:
    return LayerStore(storage.blobs, name, new_uuid=lambda: FIXED, now=lambda: START)


def upload(storage: RegistryStorage) -> None:
    with layers_of(storage, NAME).upload() as upload:
        upload.read_from(io.BytesIO(CONTENT))


def go_on(storage: RegistryStorage) -> None:
    with layers_of(storage, "half").resume(str(FIXED)) as upload:
        upload.seek(5_000)
        upload.read_from(io.BytesIO(CONTENT[5_000:]))


def finish(storage: RegistryStorage, digest: Digest = DIGEST) -> None:
    """As a person repeats it: the upload is resumed and finished, unless that was done."""
    layers = layers_of(storage, "done")
    try:
        resumed = layers.resume(str(FIXED))
    except NotFound:
        assert layers.exists(digest)
        layers.blobs.verify(layers.fetch(digest).canonical)
        storage.driver.delete(MODERN.upload("done", str(FIXED))) if layers.uploads() else None
        return
    resumed.finish(digest)


def finish_under_another_digest(storage: RegistryStorage) -> None:
    finish(storage, ALIAS)


def finish_where_it_is_damaged(storage: RegistryStorage) -> None:
    if not storage.blobs.exists(DIGEST):
        write_damage(storage)
    finish(storage)


def write_damage(storage: RegistryStorage) -> None:
    assert isinstance(storage.driver, FileDriver)
    damaged = Path(storage.driver.path, BLOB)
    damaged.parent.mkdir(parents=True, exist_ok=True)
    damaged.write_bytes(CONTENT[:-1] + b"?")


def cancel(storage: RegistryStorage) -> None:
    layers = layers_of(storage, "done")
    try:
        layers.resume(str(FIXED)).cancel()
    except NotFound:
        for uuid in layers.uploads():
            storage.driver.delete(MODERN.upload("done", uuid))


def mount(storage: RegistryStorage) -> None:
    layers_of(storage, "mounted").mount("source", Digest.of(b"to be mounted", "sha512"))


def put_manifest(storage: RegistryStorage) -> None:
    repository = storage.repository("new/place")
    repository.tags.tag("t", repository.manifests.put(FIRST + b" "))


def retag(storage: RegistryStorage) -> None:
    storage.repository(NAME).tags.tag("latest", Digest.of(FIRST))


def untag(storage: RegistryStorage) -> None:
    tags = storage.repository(NAME).tags
    if "latest" in tags.names():
        tags.untag("latest")


def delete_manifest(storage: RegistryStorage) -> None:
    manifests = storage.repository(NAME).manifests
    if manifests.exists(Digest.of(FIRST)):
        manifests.delete(Digest.of(FIRST))


ON_LAYERS = (upload, go_on, finish, finish_under_another_digest, finish_where_it_is_damaged, cancel, mount)
ON_MANIFESTS = (put_manifest, retag, untag, delete_manifest)


# --- doing it -------------------------------------------------------------------


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {}
    for name, prepare in (("manifests", prepare_manifests), ("layers", prepare_layers)):
        folders[name] = tmp_path_factory.mktemp(name)
        prepare(RegistryStorage(FileDriver(str(folders[name]), ops=Faulty())))
    return folders


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("act", ON_LAYERS + ON_MANIFESTS, ids=lambda act: act.__name__)
def test_what_is_cut_off_anywhere_is_whole_and_can_be_done_again(
    tmp_path: Path, bases: dict[str, Path], act: Callable[[RegistryStorage], None], series: str
) -> None:
    base = bases["layers" if act in ON_LAYERS else "manifests"]
    before = tree(base)
    done = tmp_path / "done"
    shutil.copytree(base, done)
    act(RegistryStorage(FileDriver(str(done), ops=Faulty())))
    after = tree(done)
    assert after != before

    work = tmp_path / "work"
    for at in range(1, 500):
        shutil.copytree(base, work)
        fault = SERIES[series][at % len(SERIES[series])]
        if not cut_off(work, act, fault, at):
            assert at > 3, "nothing was cut off"
            return
        try:
            look_at(work, before, after, damaged=act is finish_where_it_is_damaged)
            assert act in (untag, delete_manifest) or every_meaning_is_remembered(work)
            act(RegistryStorage(FileDriver(str(work), ops=Faulty())))
            assert without_temporaries(tree(work)) == after
        except (AssertionError, OrlopError) as error:
            error.add_note(f"{fault.name} at call {at}")
            raise
        shutil.rmtree(work)
    raise AssertionError("it never ends")


def cut_off(work: Path, act: Callable[[RegistryStorage], None], fault: Fault, at: int) -> bool:
    """Do it with the fault; whether the fault was met."""
    ops = Faulty(fault, at)
    try:
        act(RegistryStorage(FileDriver(str(work), ops=ops)))
    except (Killed, OrlopError):
        if not ops.fired:
            raise
    return ops.fired


def look_at(work: Path, before: Tree, after: Tree, *, damaged: bool) -> None:
    """Each file is old or new; data of an upload is some beginning; what a link leads to is there, and sound."""
    for path, content in tree(work).items():
        if path.rpartition("/")[2].startswith(".tmp-"):
            assert "/tags/.tmp-" not in path
        elif path.endswith("/data") and "_uploads" in path:
            assert CONTENT.startswith(content)
        elif path.endswith("/proven"):
            assert content.startswith(DIGEST.encode())
        elif damaged and path == BLOB:
            assert content in (CONTENT, CONTENT[:-1] + b"?")
        else:
            assert content in (before.get(path), after.get(path)), path
    storage = RegistryStorage(FileDriver(str(work)))
    for name in storage.repositories():
        repository = storage.repository(name)
        for digest in repository.layers.digests():
            storage.blobs.verify(repository.layers.fetch(digest).canonical)
        for digest in repository.manifests.digests():
            repository.manifests.get(digest)
        for tag in repository.tags.names():
            with_meaning(repository.tags.get, tag, repository.manifests.exists)
    if not damaged:
        for digest in storage.blobs.digests():
            storage.blobs.verify(digest)


def with_meaning(get: Callable[[str], Digest], tag: str, exists: Callable[[str], bool]) -> None:
    """A tag means a manifest that is there, or nothing: cut off while it came or went."""
    try:
        digest = get(tag)
    except NotFound:
        return
    assert exists(digest)


def every_meaning_is_remembered(work: Path) -> bool:
    storage = RegistryStorage(FileDriver(str(work)))
    every = [(name, tag) for name in storage.repositories() for tag in storage.repository(name).tags.names()]
    for name, tag in every:
        tags = storage.repository(name).tags
        history = {entry.digest for entry in tags.history(tag)}
        with contextlib.suppress(NotFound):  # cut off before it meant anything
            assert tags.get(tag) in history
    return True


def tree(folder: Path) -> Tree:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def without_temporaries(found: Tree) -> Tree:
    return {path: content for path, content in found.items() if not path.rpartition("/")[2].startswith(".tmp-")}


# --- by the same object -------------------------------------------------------------


def test_a_finish_that_failed_is_repeated_by_the_same_upload(tmp_path: Path, bases: dict[str, Path]) -> None:
    for at in range(1, 200):
        work = tmp_path / str(at)
        shutil.copytree(bases["layers"], work)
        ops = Faulty(Fault(name="EIO", number=errno.EIO), at)
        resumed = LayerStore(BlobStore(FileDriver(str(work), ops=ops)), "done").resume(str(FIXED))
        try:
            resumed.finish(ALIAS)
            assert not ops.fired
            return
        except OrlopError:
            layer = resumed.finish(ALIAS)
        with layer.reader() as stream:
            assert stream.read() == CONTENT
        shutil.rmtree(work)
    raise AssertionError("it never ends")


def test_a_cut_finish_is_not_finished_as_something_else(tmp_path: Path, bases: dict[str, Path]) -> None:
    shutil.copytree(bases["layers"], tmp_path / "work")
    driver = FileDriver(str(tmp_path / "work"), ops=Faulty())
    layers = LayerStore(BlobStore(driver), "done")
    os.makedirs(tmp_path / "work" / Path(BLOB).parent)
    os.rename(tmp_path / "work" / MODERN.upload_data("done", str(FIXED)), tmp_path / "work" / BLOB)
    driver.put(MODERN.upload_proven("done", str(FIXED)), f"{DIGEST}\n{DIGEST}".encode())
    with pytest.raises(OrlopError):
        layers.resume(str(FIXED)).finish(ALIAS)
    with pytest.raises(OrlopError):
        layers.resume(str(FIXED)).finish(Digest.of(b"to be mounted"))
    assert list(layers.digests()) == []
    driver.put(MODERN.upload_proven("done", str(FIXED)), b"\xff not what was written")
    with pytest.raises(OrlopError):
        layers.resume(str(FIXED)).finish(DIGEST)
    driver.put(MODERN.upload_proven("done", str(FIXED)), f"{DIGEST}\n{DIGEST}".encode())
    assert layers.resume(str(FIXED)).finish(DIGEST).size == len(CONTENT)


def test_an_upload_whose_start_was_lost_is_listed_and_told(tmp_path: Path, bases: dict[str, Path]) -> None:
    shutil.copytree(bases["layers"], tmp_path / "work")
    layers = LayerStore(BlobStore(FileDriver(str(tmp_path / "work"))), "half")
    (tmp_path / "work" / MODERN.upload_started_at("half", str(FIXED))).write_bytes(b"")
    assert layers.uploads() == (str(FIXED),)
    with pytest.raises(Malformed):
        layers.resume(str(FIXED))
