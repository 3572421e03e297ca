"""The layer store: exists, fetch, upload, resume, finish, cancel, mount; on files and in memory."""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orlop import times
from orlop.digest import Digest
from orlop.errors import Cancelled, DigestMismatch, Malformed, NotFound, OrlopError, Refused, StorageFailure, WrongKind
from orlop.fs.writer import System
from orlop.registry.blobs import BlobStore
from orlop.registry.driver import Driver
from orlop.registry.filedriver import FileDriver
from orlop.registry.layers import LayerStore
from orlop.registry.layout import MODERN
from orlop.registry.memorydriver import MemoryDriver
from orlop.registry.storage import RegistryStorage
from tests.examples import examples

NAME = "team/app"
CONTENT = b"some layer's bytes" * 1000
DIGEST = Digest.of(CONTENT)
OTHER = Digest.of(b"other")
START = times.parse("2026-11-21T05:00:00.123456789Z")


class Unsynced(System):
    """Waits for no disk."""

    def fsync(self, fd: int) -> None:
        return None


class Counting:
    """A driver that counts the bytes that are read from it."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.read_bytes = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.driver, name)

    def reader(self, path: str, offset: int = 0) -> BinaryIO:
        self.read_bytes += self.driver.stat(path).size - offset
        return self.driver.reader(path, offset)


@pytest.fixture(params=["memory", "files"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Driver:
    return MemoryDriver() if request.param == "memory" else FileDriver(str(tmp_path), ops=Unsynced())


@pytest.fixture
def layers(driver: Driver) -> LayerStore:
    return store(driver)


def store(driver: Driver, name: str = NAME) -> LayerStore:
    return LayerStore(BlobStore(driver), name, now=lambda: START)


def push(layers: LayerStore, content: bytes = CONTENT, digest: str | None = None) -> Digest:
    with layers.upload() as upload:
        upload.read_from(io.BytesIO(content))
        return cast(Digest, upload.finish(digest or Digest.of(content)).digest)


def content_of(layers: LayerStore, digest: str) -> bytes:
    with layers.fetch(digest).reader() as stream:
        return stream.read()


def there(driver: Driver, path: str) -> bool:
    try:
        driver.stat(path)
    except NotFound:
        return False
    return True


# --- exists and fetch ------------------------------------------------------------


def test_a_layer_that_was_uploaded_is_there_and_fetched_whole(layers: LayerStore) -> None:
    assert not layers.exists(DIGEST)
    push(layers)

    layer = layers.fetch(DIGEST)
    assert layers.exists(DIGEST)
    assert (layer.repository, layer.digest, layer.canonical, layer.size) == (NAME, DIGEST, DIGEST, len(CONTENT))
    assert abs(layer.created_at - times.now()) < 3600 * 10**9
    assert content_of(layers, DIGEST) == CONTENT
    with layer.reader(17) as stream:
        assert stream.read(5) == CONTENT[17:22]
    assert list(layers.digests()) == [DIGEST]


def test_a_repository_sees_only_what_it_links(driver: Driver, layers: LayerStore) -> None:
    push(layers)
    for name in ("team", "team/app/more", "other"):
        stranger = store(driver, name)
        assert not stranger.exists(DIGEST)
        with pytest.raises(NotFound):
            stranger.fetch(DIGEST)
        assert list(stranger.digests()) == []


def test_a_link_to_a_blob_that_is_gone_is_damage_and_not_an_absence(driver: Driver, layers: LayerStore) -> None:
    push(layers)
    driver.delete(MODERN.blob(DIGEST))
    for ask in (layers.fetch, layers.exists):
        with pytest.raises(Malformed) as caught:
            ask(DIGEST)
        assert caught.value.path == MODERN.layer_link(NAME, DIGEST)
        assert DIGEST in caught.value.why


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        DIGEST.encode() + b"\n",
        b" " + DIGEST.encode(),
        DIGEST.encode()[:-1],
        DIGEST.upper().encode(),
        b"sha1:" + b"a" * 40,
        b"tarsum.v1+sha256:" + b"a" * 64,
        b"\xff" * 71,
        b"sha256:../../../../etc/passwd",
        b"x" * 100_000,
    ],
)
def test_a_link_that_holds_anything_but_one_digest_is_damaged(
    driver: Driver, layers: LayerStore, content: bytes
) -> None:
    push(layers)
    driver.put(MODERN.layer_link(NAME, DIGEST), content)
    with pytest.raises(Malformed) as caught:
        layers.exists(DIGEST)
    assert caught.value.path == MODERN.layer_link(NAME, DIGEST)


def test_a_folder_in_the_place_of_a_blob_is_said_to_be_one(driver: Driver, layers: LayerStore) -> None:
    push(layers)
    driver.delete(MODERN.blob_data(DIGEST))
    driver.put(MODERN.blob_data(DIGEST) + "/stray", b"")
    with pytest.raises(WrongKind):
        layers.fetch(DIGEST)


@pytest.mark.parametrize(
    "digest", ["", "sha256:", "sha256:../../x", "x" * 71, "tarsum.v1+sha256:" + "a" * 64, "\udcff"]
)
def test_what_is_no_digest_is_asked_of_no_disk(layers: LayerStore, digest: str) -> None:
    for ask in (layers.exists, layers.fetch, layers.unlink, layers.upload().finish):
        with pytest.raises(Malformed):
            ask(digest)


@pytest.mark.parametrize("name", ["", "..", "../up", "a//b", "/a", "a/", "Team", "a/_layers", "_a", "a b", "a" * 256])
def test_what_is_no_repository_has_no_layers(driver: Driver, name: str) -> None:
    with pytest.raises(Malformed):
        store(driver, name)


# --- upload ------------------------------------------------------------------------


def test_an_upload_has_a_random_uuid_and_a_start_in_whole_seconds(driver: Driver, layers: LayerStore) -> None:
    upload, another = layers.upload(), layers.upload()

    assert UUID(upload.uuid).version == 4
    assert upload.uuid != another.uuid
    assert driver.get(MODERN.upload_started_at(NAME, upload.uuid)) == b"2026-11-21T05:00:00Z"
    assert upload.started_at == START // 10**9 * 10**9
    assert set(layers.uploads()) == {upload.uuid, another.uuid}


def test_what_is_left_of_a_finished_upload_is_the_blob_and_its_link(driver: Driver, layers: LayerStore) -> None:
    push(layers)
    assert files_of(driver) == {
        MODERN.blob_data(DIGEST): CONTENT,
        MODERN.layer_link(NAME, DIGEST): DIGEST.encode(),
    }
    assert layers.uploads() == ()


def test_bytes_come_in_by_every_way_and_in_any_order(layers: LayerStore) -> None:
    upload = layers.upload()
    assert upload.write(b"0123") == 4
    assert upload.read_from(io.BytesIO(b"4567")) == 4
    assert upload.write_at(b"XY", 1) == 2
    assert (upload.offset, upload.size) == (8, 8)
    assert upload.seek(-2, os.SEEK_END) == 6
    assert upload.write(b"ab") == 2
    assert upload.seek(2, os.SEEK_CUR) == 10
    assert upload.size == 8
    assert upload.write(b"end") == 3
    wanted = b"0XY345ab\0\0end"
    assert upload.size == len(wanted)
    assert content_of(layers, upload.finish(Digest.of(wanted)).digest) == wanted


def test_a_position_before_the_beginning_is_refused_and_the_offset_stays(layers: LayerStore) -> None:
    upload = layers.upload()
    upload.write(b"0123")
    for offset, whence in ((-1, os.SEEK_SET), (-5, os.SEEK_CUR), (-5, os.SEEK_END), (0, 3)):
        with pytest.raises(Malformed):
            upload.seek(offset, whence)
    with pytest.raises(Malformed):
        upload.write_at(b"x", -1)
    assert (upload.offset, upload.size) == (4, 4)


def test_a_wrong_digest_is_refused_and_the_upload_goes_on(driver: Driver, layers: LayerStore) -> None:
    upload = layers.upload()
    upload.write(b"oth")
    for digest in (OTHER, DIGEST, Digest.of(b"other", "sha512")):
        with pytest.raises(DigestMismatch):
            upload.finish(digest)
    assert layers.uploads() == (upload.uuid,)
    assert list(layers.blobs.digests()) == []
    assert list(layers.digests()) == []

    upload.write(b"er")
    assert upload.finish(OTHER).size == 5
    assert content_of(layers, OTHER) == b"other"


@pytest.mark.parametrize("written", [False, True], ids=["nothing written", "no bytes written"])
def test_an_empty_layer_is_a_layer(layers: LayerStore, written: bool) -> None:
    upload = layers.upload()
    if written:
        upload.write(b"")
    with pytest.raises(DigestMismatch):
        upload.finish(DIGEST)
    layer = upload.finish(Digest.of(b""))
    assert layer.size == 0
    assert content_of(layers, layer.digest) == b""


@pytest.mark.parametrize("algorithm", ["sha384", "sha512"])
def test_a_layer_asked_for_by_another_algorithm_is_kept_under_sha256_and_linked_twice(
    driver: Driver, layers: LayerStore, algorithm: str
) -> None:
    alias = Digest.of(CONTENT, algorithm)
    push(layers, digest=alias)

    assert files_of(driver) == {
        MODERN.blob_data(DIGEST): CONTENT,
        MODERN.layer_link(NAME, DIGEST): DIGEST.encode(),
        MODERN.layer_link(NAME, alias): DIGEST.encode(),
    }
    layer = layers.fetch(alias)
    assert (layer.digest, layer.canonical) == (alias, DIGEST)
    assert list(layers.digests()) == sorted((DIGEST, alias))


def test_bytes_that_are_there_already_are_kept_once(driver: Driver, layers: LayerStore) -> None:
    push(layers)
    version = driver.stat(MODERN.blob_data(DIGEST)).version
    push(store(driver, "other"))
    push(layers)
    assert driver.stat(MODERN.blob_data(DIGEST)).version == version
    assert content_of(store(driver, "other"), DIGEST) == CONTENT


@pytest.mark.parametrize("damage", [b"", CONTENT[:-1], CONTENT[:-1] + b"?", CONTENT + b"more"])
def test_a_damaged_blob_is_replaced_by_an_upload_of_it(driver: Driver, layers: LayerStore, damage: bytes) -> None:
    push(layers)
    driver.put(MODERN.blob_data(DIGEST), damage)
    push(store(driver, "other"))
    assert content_of(layers, DIGEST) == CONTENT


# --- resume --------------------------------------------------------------------------


def test_a_resumed_upload_goes_on_at_the_end(layers: LayerStore) -> None:
    first = layers.upload()
    first.write(CONTENT[:5000])
    first.close()

    second = layers.resume(first.uuid)
    assert (second.size, second.offset, second.started_at) == (5000, 5000, first.started_at)
    second.read_from(io.BytesIO(CONTENT[5000:]))
    assert content_of(layers, second.finish(DIGEST).digest) == CONTENT


def test_an_upload_that_was_only_begun_is_resumed_at_0(layers: LayerStore) -> None:
    upload = layers.resume(layers.upload().uuid)
    assert (upload.size, upload.offset) == (0, 0)


def test_what_no_upload_is_cannot_be_resumed(driver: Driver, layers: LayerStore) -> None:
    elsewhere = store(driver, "other").upload()
    for uuid in (elsewhere.uuid, "00000000-0000-4000-8000-000000000000"):
        with pytest.raises(NotFound):
            layers.resume(uuid)
    for uuid in ("", "..", "../" + elsewhere.uuid, elsewhere.uuid + "/data", "x" * 36):
        with pytest.raises(Malformed):
            layers.resume(uuid)


@pytest.mark.parametrize("text", [b"", b"yesterday", b"\xff", b"2026-13-01T00:00:00Z", b"9" * 100_000])
def test_a_start_that_is_no_time_is_an_error(driver: Driver, layers: LayerStore, text: bytes) -> None:
    upload = layers.upload()
    driver.put(MODERN.upload_started_at(NAME, upload.uuid), text)
    with pytest.raises(Malformed) as caught:
        layers.resume(upload.uuid)
    assert caught.value.path == MODERN.upload_started_at(NAME, upload.uuid)


def test_the_start_is_what_the_file_says(driver: Driver, layers: LayerStore) -> None:
    upload = layers.upload()
    driver.put(MODERN.upload_started_at(NAME, upload.uuid), b"2015-01-02T03:04:05.5+01:00")
    assert layers.resume(upload.uuid).started_at == times.parse("2015-01-02T02:04:05.5Z")


def test_what_another_wrote_meanwhile_is_proven_too(layers: LayerStore) -> None:
    first = layers.upload()
    first.write(CONTENT[:100])
    layers.resume(first.uuid).write(CONTENT[100:])
    with pytest.raises(DigestMismatch):
        first.finish(Digest.of(CONTENT[:100]))
    assert first.finish(DIGEST).size == len(CONTENT)


@pytest.mark.parametrize("going_on", [False, True], ids=["finished at once", "written to once more"])
def test_what_another_wrote_over_is_read_again(layers: LayerStore, going_on: bool) -> None:
    first = layers.upload()
    first.write(b"0123")
    layers.resume(first.uuid).write_at(b"abcde", 0)
    wanted = b"abcde"
    if going_on:
        first.seek(0, os.SEEK_END)
        assert first.offset == 4, "what another wrote is not known yet"
        first.seek(5)
        first.write(b"f")
        wanted = b"abcdef"
    assert content_of(layers, first.finish(Digest.of(wanted)).digest) == wanted


def test_saved_hash_states_go_as_soon_as_the_data_moves_on(driver: Driver, layers: LayerStore) -> None:
    upload = layers.upload()
    upload.write(b"oth")
    states = MODERN.upload_hash_states(NAME, upload.uuid)
    driver.put(f"{states}/sha256/0", b"sha\x03")
    driver.put(f"{states}/sha256/3", b"sha\x03")

    resumed = layers.resume(upload.uuid)
    assert there(driver, states), "nothing was written yet"
    resumed.write(b"er")
    assert not there(driver, states)
    assert resumed.finish(OTHER).size == 5


# --- closing and cancelling --------------------------------------------------------------


def test_a_closed_upload_takes_nothing_and_can_be_resumed(layers: LayerStore) -> None:
    with layers.upload() as upload:
        upload.write(b"oth")
    upload.close()
    for use in (lambda: upload.write(b"x"), lambda: upload.seek(0), lambda: upload.finish(OTHER)):
        with pytest.raises(Refused):
            use()
    with pytest.raises(Refused):
        upload.read_from(io.BytesIO(b"x"))
    with pytest.raises(Refused):
        upload.write_at(b"x", 0)
    assert layers.resume(upload.uuid).size == 3


def test_a_cancelled_upload_is_gone(driver: Driver, layers: LayerStore) -> None:
    upload = layers.upload()
    upload.write(CONTENT)
    upload.cancel()
    upload.cancel()
    assert files_of(driver) == {}
    assert layers.uploads() == ()
    with pytest.raises(NotFound):
        layers.resume(upload.uuid)
    with pytest.raises(Refused):
        upload.write(b"x")


def test_a_finished_upload_is_gone(layers: LayerStore) -> None:
    upload = layers.upload()
    upload.write(CONTENT)
    upload.finish(DIGEST)
    with pytest.raises(Refused):
        upload.finish(DIGEST)
    with pytest.raises(NotFound):
        layers.resume(upload.uuid)


def test_another_repositorys_blob_is_not_had_by_finishing_nothing(driver: Driver, layers: LayerStore) -> None:
    push(layers)
    stranger = store(driver, "other")
    with pytest.raises(DigestMismatch):
        stranger.upload().finish(DIGEST)
    assert not stranger.exists(DIGEST)


def test_a_finish_that_is_stopped_leaves_the_upload(layers: LayerStore) -> None:
    class Stopped:
        def step(self, what: str, done: int, total: int) -> None:
            raise Cancelled

    upload = layers.upload()
    upload.write(CONTENT)
    resumed = layers.resume(upload.uuid)
    with pytest.raises(Cancelled):
        resumed.finish(DIGEST, Stopped())
    assert resumed.finish(DIGEST).size == len(CONTENT)


def test_a_source_that_breaks_leaves_what_it_gave(layers: LayerStore) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "the cable came off")

    upload = layers.upload()
    upload.write(b"oth")
    with pytest.raises(StorageFailure, match="cable"):
        upload.read_from(Broken())
    assert (upload.size, upload.offset) == (3, 3)
    upload.read_from(io.BytesIO(b"er"))
    assert upload.finish(OTHER).size == 5


# --- mount and unlink -------------------------------------------------------------------


def test_a_mounted_layer_is_served_by_both(driver: Driver, layers: LayerStore) -> None:
    alias = Digest.of(CONTENT, "sha512")
    push(layers, digest=alias)
    other = store(driver, "other/place")
    version = driver.stat(MODERN.blob_data(DIGEST)).version

    layer = other.mount(NAME, alias)
    assert (layer.repository, layer.digest, layer.canonical) == ("other/place", alias, DIGEST)
    assert content_of(other, DIGEST) == content_of(other, alias) == CONTENT
    assert driver.stat(MODERN.blob_data(DIGEST)).version == version


def test_nothing_is_mounted_that_the_other_does_not_serve(driver: Driver, layers: LayerStore) -> None:
    push(layers)
    other = store(driver, "other")
    with pytest.raises(NotFound):
        other.mount("third", DIGEST)
    with pytest.raises(NotFound):
        other.mount(NAME, OTHER)
    with pytest.raises(Malformed):
        other.mount("../up", DIGEST)
    driver.delete(MODERN.blob(DIGEST))
    with pytest.raises(Malformed):
        other.mount(NAME, DIGEST)
    assert list(other.digests()) == []


def test_an_unlinked_layer_stays_for_others(driver: Driver, layers: LayerStore) -> None:
    push(layers)
    other = store(driver, "other")
    other.mount(NAME, DIGEST)
    layers.unlink(DIGEST)
    assert not layers.exists(DIGEST)
    assert other.exists(DIGEST)
    with pytest.raises(NotFound):
        layers.unlink(DIGEST)


# --- what is read -------------------------------------------------------------------------


def test_what_is_written_in_one_session_is_hashed_once(driver: Driver) -> None:
    counting = Counting(driver)
    layers = store(cast(Driver, counting))
    with layers.upload() as upload:
        upload.write(CONTENT[:100])
        upload.read_from(io.BytesIO(CONTENT[100:]))
        upload.finish(DIGEST)
    assert counting.read_bytes == 0


def test_only_what_follows_a_gap_or_comes_from_before_is_read_again(driver: Driver) -> None:
    counting = Counting(driver)
    layers = store(cast(Driver, counting))
    upload = layers.upload()
    upload.write(b"0123")
    upload.write_at(b"9", 9)
    upload.finish(Digest.of(b"0123\0\0\0\0\0009"))
    assert counting.read_bytes == 6

    counting.read_bytes = 0
    upload = layers.upload()
    upload.write(b"0123")
    upload = layers.resume(upload.uuid)
    upload.write(b"4567")
    upload.finish(Digest.of(b"01234567"))
    assert counting.read_bytes == 8


Edit = tuple[str, int, bytes]
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["write", "read_from", "write_at", "seek", "resume", "wrong"]),
        st.integers(0, 12),
        st.binary(max_size=5),
    ),
    max_size=12,
)


@given(edits=EDITS)
@settings(max_examples=examples(1.2), deadline=None, database=None)
def test_an_upload_holds_what_was_written_wherever_it_was_written(edits: list[Edit]) -> None:
    layers = store(MemoryDriver())
    upload = layers.upload()
    wanted = bytearray()
    offset = 0
    for what, at, data in edits:
        match what:
            case "write" | "read_from":
                write(wanted, offset, data)
                offset += len(data)
                assert len(data) == (upload.write(data) if what == "write" else upload.read_from(io.BytesIO(data)))
            case "write_at":
                write(wanted, at, data)
                upload.write_at(data, at)
            case "seek":
                offset = upload.seek(at)
            case "resume":
                upload = layers.resume(upload.uuid)
                offset = len(wanted)
            case "wrong":
                with pytest.raises(DigestMismatch):
                    upload.finish(Digest.of(bytes(wanted) + b"?"))
        assert (upload.offset, upload.size) == (offset, len(wanted))
    assert content_of(layers, upload.finish(Digest.of(bytes(wanted))).digest) == bytes(wanted)


def write(wanted: bytearray, offset: int, data: bytes) -> None:
    if data:
        wanted.extend(bytes(max(0, offset - len(wanted))))
        wanted[offset : offset + len(data)] = data


# --- on files ------------------------------------------------------------------------------


def test_a_link_on_disk_is_not_followed(tmp_path: Path) -> None:
    driver = FileDriver(str(tmp_path / "root"), ops=Unsynced())
    (tmp_path / "root").mkdir()
    layers = store(driver)
    push(layers)
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    data = tmp_path / "root" / MODERN.blob_data(DIGEST)
    data.unlink()
    data.symlink_to(secret)
    with pytest.raises(OrlopError):
        layers.fetch(DIGEST)
    with pytest.raises(WrongKind):
        push(layers)
    assert secret.read_bytes() == b"secret"
    uploads = tmp_path / "root" / MODERN.uploads_of("evil")
    uploads.parent.mkdir(parents=True)
    uploads.symlink_to(tmp_path)
    with pytest.raises(WrongKind):
        store(driver, "evil").upload()
    assert sorted(os.listdir(tmp_path)) == ["root", "secret"]


def test_a_registry_is_opened_without_a_trace(tmp_path: Path) -> None:
    storage = RegistryStorage(FileDriver(str(tmp_path)))
    repository = storage.repository(NAME)
    assert not repository.layers.exists(DIGEST)
    assert (list(storage.repositories()), list(storage.blobs.digests())) == ([], [])
    assert (repository.layers.uploads(), repository.tags.names()) == ((), ())
    assert os.listdir(tmp_path) == []


def files_of(driver: Driver, folder: str = "docker") -> dict[str, bytes]:
    return dict(_files_of(driver, folder))


def _files_of(driver: Driver, folder: str) -> Iterator[tuple[str, bytes]]:
    try:
        names = driver.names(folder)
    except NotFound:
        return
    for name in names:
        path = f"{folder}/{name}"
        if driver.stat(path).folder:
            yield from _files_of(driver, path)
        else:
            yield path, driver.get(path)
