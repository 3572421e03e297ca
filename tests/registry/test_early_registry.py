"""The registry of January 2015 beyond what was recorded: hostile names and links, manifests, many at once."""

import hashlib
import io
import os
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest

from orlop.digest import Digest
from orlop.errors import (
    DigestMismatch,
    Escapes,
    Malformed,
    NotFound,
    OrlopError,
    StorageFailure,
    Unsupported,
    WrongKind,
)
from orlop.registry.driver import Driver
from orlop.registry.early import EARLY, EarlyDigest
from orlop.registry.earlylayers import BadSeek, Closed, LayerReader
from orlop.registry.earlystorage import EarlyStorage
from orlop.registry.filedriver import FileDriver
from orlop.registry.layout import PREFIX
from orlop.registry.memorydriver import MemoryDriver
from orlop.registry.tarsum import tarsum

NAME = "library/busybox"
SUM = "tarsum.v1+sha256:" + "ab" * 32
LINK = f"{PREFIX}/repositories/{NAME}/layers/tarsum/v1/sha256/{'ab' * 32}/link"


class Untouchable:
    """A driver that nothing may ask anything of."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"the driver was asked to {name}")


@pytest.fixture(params=["memory", "file"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Driver:
    return MemoryDriver() if request.param == "memory" else FileDriver(str(tmp_path))


@pytest.fixture
def storage(driver: Driver) -> EarlyStorage:
    return EarlyStorage(driver)


def archive(content: bytes = b"hello\n", *, ended: bool = True) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        member = tarfile.TarInfo("greeting")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
        size = tar.offset
    return written.getvalue() if ended else written.getvalue()[:size]


def pushed(storage: EarlyStorage, content: bytes, name: str = NAME) -> str:
    upload = storage.repository(name).layers.upload()
    upload.write(content)
    return upload.finish(tarsum(io.BytesIO(content))).digest


# --- what leaves its place ---------------------------------------------------------

LEAVING = ["", ".", "..", "../up", "a/../b", "a/..", "a//b", "/a", "a/", "./a"]
ODD = ["Upper", "a b", "-x", "_a", "a..b", "a\n", "a\0b", "ä", "a\udcff", "a/_layers"]


def untouched() -> EarlyStorage:
    return EarlyStorage(cast("Driver", Untouchable()))


@pytest.mark.parametrize("name", LEAVING)
def test_a_repository_whose_name_leaves_its_folder_is_refused_untouched(name: str) -> None:
    with pytest.raises(Escapes):
        untouched().repository(name)


@pytest.mark.parametrize("name", ODD)
def test_a_repository_with_an_odd_name_is_refused_untouched(name: str) -> None:
    repository = untouched().repository(name)
    for use in (
        lambda: repository.layers.exists(SUM),
        lambda: repository.layers.fetch(SUM),
        repository.layers.upload,
        repository.layers.uploads,
        lambda: repository.layers.resume("11111111-2222-3333-4444-555555555555"),
        repository.manifests.tags,
        lambda: repository.manifests.put("latest", b"{}"),
        lambda: repository.manifests.delete("latest"),
    ):
        with pytest.raises(Malformed) as refused:
            cast("Callable[[], object]", use)()
        assert refused.value.engine.startswith("Invalid path: /docker/registry/v2/")


@pytest.mark.parametrize(
    ("digest", "error"),
    [
        ("tarsum.v1+sha256:aa/../../../../../../victim/secret/layers/tarsum/v1/sha256/" + "ab" * 32, Escapes),
        ("tarsum.v1+sha256:ab/cd", Escapes),
        ("tarsum.v1+sha256:ab/..", Escapes),
        ("x:../tarsum.v1+sha256:ab", Escapes),
        ("tarsum.v1+sha256:ab\n", Malformed),
        ("tarsum.v1+sha256:ab\0", Malformed),
        ("tarsum.v1+sha256:AB", Malformed),
        ("nocolon", Malformed),
        ("tarsum.v1", Malformed),
        ("", Malformed),
        ("sha256:", Malformed),
        ("sha512:" + "ab" * 64, Malformed),
        ("sha256:" + "ab" * 32, Unsupported),
    ],
)
def test_a_digest_that_names_no_layer_is_refused_untouched(digest: str, error: type[OrlopError]) -> None:
    layers = untouched().repository(NAME).layers
    for use in (layers.exists, layers.fetch):
        with pytest.raises(error):
            use(digest)


@pytest.mark.parametrize("uuid", ["", ".", "..", "../x", "x/y", "/", "../../victim/uploads/x"])
def test_an_upload_whose_name_leaves_its_folder_is_unknown_untouched(uuid: str) -> None:
    with pytest.raises(NotFound) as refused:
        untouched().repository(NAME).layers.resume(uuid)
    assert refused.value.engine == "layer upload unknown"


@pytest.mark.parametrize(("tag", "error"), [("..", Escapes), ("a/b", Escapes), ("", Escapes), ("Upper", Malformed)])
def test_a_tag_that_is_none_is_refused_untouched(tag: str, error: type[OrlopError]) -> None:
    manifests = untouched().repository(NAME).manifests
    for use in (manifests.exists, manifests.get, manifests.delete):
        with pytest.raises(error):
            use(tag)
    with pytest.raises(error):
        manifests.put(tag, b"{}", (b"{}",))


# --- links -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        SUM.encode() + b"\n",
        b"tarsum.v1+sha256:a",
        b"tarsum.v1+sha256:ab/../../../../repositories/victim",
        b"tarsum.v1+sha256:ab\xff",
        b"\xff\xfe",
        b"sha256:" + b"not hex at all",
        b"md5:x",
        SUM.encode() * 100_000,
        b"sha256:" + b"cd" * 32,
    ],
)
def test_a_damaged_link_is_named_and_never_taken_for_an_unknown_layer(
    driver: Driver, storage: EarlyStorage, content: bytes
) -> None:
    driver.put(LINK, content)
    layers = storage.repository(NAME).layers
    for use in (layers.exists, layers.fetch):
        with pytest.raises(Malformed) as refused:
            use(SUM)
        assert refused.value.path == LINK
    assert driver.get(LINK) == content


def test_a_link_of_megabytes_is_not_read(driver: Driver, storage: EarlyStorage) -> None:
    driver.put(LINK, SUM.encode() * 100_000)
    with pytest.raises(Malformed) as refused:
        storage.repository(NAME).layers.fetch(SUM)
    assert "8100000 bytes" in refused.value.why


def test_a_digest_of_one_digit_has_no_place_among_the_blobs() -> None:
    with pytest.raises(Malformed):
        EARLY.blob_data("tarsum.v1+sha256:a")


def test_a_symbolic_link_in_place_of_a_link_or_a_blob_is_not_followed(tmp_path: Path) -> None:
    storage = EarlyStorage(FileDriver(str(tmp_path)))
    secret = tmp_path / "secret"
    secret.write_text(SUM)
    digest = pushed(storage, archive())
    layers = storage.repository(NAME).layers
    for path in (EARLY.blob_data(digest), EARLY.layer_link(NAME, digest)):
        (tmp_path / path).unlink()
        (tmp_path / path).symlink_to(secret)
        with pytest.raises(WrongKind):
            layers.fetch(digest)


def test_a_short_digest_is_a_layer_like_any_other_until_it_leads_to_a_blob(
    driver: Driver, storage: EarlyStorage
) -> None:
    layers = storage.repository(NAME).layers
    assert not layers.exists("tarsum.v1+sha256:a")
    driver.put(EARLY.layer_link(NAME, "tarsum.v1+sha256:a"), SUM.encode())
    driver.put(EARLY.blob_data(SUM), b"bytes")
    found = layers.fetch("tarsum.v1+sha256:a")
    assert (found.digest, found.canonical, found.size) == ("tarsum.v1+sha256:a", SUM, 5)


# --- uploads -----------------------------------------------------------------------


@pytest.mark.parametrize("digest", ["tarsum.v1", "tarsum.v1+", "nocolon", "tarsum.v1+sha256"])
def test_finishing_with_a_text_without_a_colon_is_refused_and_the_upload_can_go_on(
    storage: EarlyStorage, digest: str
) -> None:
    upload = storage.repository(NAME).layers.upload()
    upload.write(archive())
    with pytest.raises(Malformed):
        upload.finish(digest)
    assert upload.finish(tarsum(io.BytesIO(archive()))).size == len(archive())


def test_a_text_that_only_contains_the_sum_is_refused(storage: EarlyStorage) -> None:
    upload = storage.repository(NAME).layers.upload()
    upload.write(archive())
    found = tarsum(io.BytesIO(archive()))
    for text in (found + "z", found.upper().replace("TARSUM.V1+SHA256", "tarsum.v1+sha256")):
        with pytest.raises(DigestMismatch):
            upload.finish(text)


def test_the_right_sum_of_an_archive_without_an_end_is_never_refused(storage: EarlyStorage) -> None:
    content = archive(b"", ended=False)
    assert len(content) == 512
    for _ in range(20):
        assert pushed(storage, content).startswith("tarsum.v1+sha256:")


def test_an_upload_goes_on_after_its_program_was_killed(driver: Driver) -> None:
    content = archive(os.urandom(100_000))
    uuid = EarlyStorage(driver).repository(NAME).layers.upload().uuid
    first = EarlyStorage(driver).repository(NAME).layers.resume(uuid)
    first.write(content[:60_000])
    layers = EarlyStorage(driver).repository(NAME).layers
    assert layers.uploads() == (uuid,)
    second = layers.resume(uuid)
    assert second.seek(0, os.SEEK_END) == 60_000
    assert second.read_from(io.BytesIO(content[60_000:])) == len(content) - 60_000
    layer = second.finish(tarsum(io.BytesIO(content)))
    with layer.reader() as stream:
        assert stream.read() == content
    assert layers.uploads() == ()


def test_a_stream_that_fails_leaves_the_offset_where_it_was(storage: EarlyStorage) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(5, "the line is dead")

    upload = storage.repository(NAME).layers.upload()
    upload.write(b"head")
    with pytest.raises(StorageFailure):
        upload.read_from(Failing())
    assert (upload.offset, upload.size) == (4, 4)


def test_a_start_time_of_a_megabyte_is_refused(driver: Driver, storage: EarlyStorage) -> None:
    uuid = "11111111-2222-3333-4444-555555555555"
    driver.put(EARLY.upload_started_at(NAME, uuid), b"2015-01-15T10:32:18Z" * 50_000)
    with pytest.raises(Malformed) as refused:
        storage.repository(NAME).layers.resume(uuid)
    assert refused.value.path == EARLY.upload_started_at(NAME, uuid)
    assert "1000000 bytes" in refused.value.why


def test_nothing_is_written_before_the_beginning(storage: EarlyStorage) -> None:
    upload = storage.repository(NAME).layers.upload()
    with pytest.raises(BadSeek):
        upload.write_at(b"x", -1)
    with pytest.raises(NotFound):
        upload.finish(SUM)


def test_a_layer_can_be_uploaded_by_many_at_once(driver: Driver) -> None:
    content = archive(os.urandom(50_000))
    digest = tarsum(io.BytesIO(content))

    def push(number: int) -> str:
        return pushed(EarlyStorage(driver), content, f"team/app{number % 3}")

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(push, range(12))) == {digest}
    storage = EarlyStorage(driver)
    assert list(storage.repositories()) == ["team/app0", "team/app1", "team/app2"]
    for name in storage.repositories():
        assert storage.repository(name).layers.exists(digest)
        assert storage.repository(name).layers.uploads() == ()


def test_a_closed_layer_is_read_no_more(storage: EarlyStorage) -> None:
    reader = LayerReader(storage.repository(NAME).layers.fetch(pushed(storage, archive())))
    assert reader.read(8) == b"greeting"
    with pytest.raises(Closed):
        reader.close()
    with pytest.raises(Closed):
        reader.read(1)


def test_repositories_of_odd_names_are_passed_over(driver: Driver, storage: EarlyStorage) -> None:
    pushed(storage, archive())
    for name in ("Upper/app", "a..b", "_odd"):
        driver.put(f"{PREFIX}/repositories/{name}/layers/x/link", b"")
    assert list(storage.repositories()) == [NAME]


# --- digests -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("digest", "path", "sharded"),
    [
        ("tarsum.v1+sha256:abcd", "tarsum/v1/sha256/abcd", "tarsum/v1/sha256/ab/abcd"),
        ("tarsum+sha512:abcd", "tarsum/v0/sha512/abcd", "tarsum/v0/sha512/ab/abcd"),
        ("tarsum.dev+md5:abcd", "tarsum/dev/md5/abcd", "tarsum/dev/md5/ab/abcd"),
        ("xtarsum.v1+sha256:abzz", "tarsum/v1/sha256/abzz", "tarsum/v1/sha256/ab/abzz"),
        ("sha1:abcd", "sha1/abcd", "sha1/ab/abcd"),
    ],
)
def test_digests_lie_where_that_commit_put_them(digest: str, path: str, sharded: str) -> None:
    assert EarlyDigest.parse(digest).text == digest
    assert EARLY.digest_path(digest) == path
    assert EARLY.digest_path(digest, sharded=True) == sharded


# --- manifests ---------------------------------------------------------------------

PAYLOAD, OTHER = b'{"name":"library/busybox","tag":"latest"}', b'{"name":"library/busybox","tag":"1.0"}'
SIGNATURES = (b'{"signature":"a"}', b'{"signature":"b"}')


def test_a_manifest_lies_where_that_commit_put_it(driver: Driver, storage: EarlyStorage) -> None:
    digest = storage.repository(NAME).manifests.put("latest", PAYLOAD, SIGNATURES[:1])
    assert digest == f"sha256:{hashlib.sha256(PAYLOAD).hexdigest()}"
    above, signature = f"{PREFIX}/repositories/{NAME}/manifests", Digest.of(SIGNATURES[0])
    for link, text in (
        (f"{above}/revisions/sha256/{digest.hex}/link", digest),
        (f"{above}/revisions/sha256/{digest.hex}/signatures/sha256/{signature.hex}/link", signature),
        (f"{above}/tags/latest/index/sha256/{digest.hex}/link", digest),
        (f"{above}/tags/latest/current/link", digest),
    ):
        assert driver.get(link) == text.encode()
    for blob, content in ((digest, PAYLOAD), (signature, SIGNATURES[0])):
        assert driver.get(f"{PREFIX}/blobs/sha256/{blob.hex[:2]}/{blob.hex}/data") == content


def test_a_manifest_is_got_by_its_tag_with_its_signatures(storage: EarlyStorage) -> None:
    manifests = storage.repository(NAME).manifests
    digest = manifests.put("latest", PAYLOAD, SIGNATURES)
    found = manifests.get("latest")
    assert (found.digest, found.payload, set(found.signatures)) == (digest, PAYLOAD, set(SIGNATURES))
    assert manifests.tags() == ("latest",)
    assert manifests.exists("latest")
    assert not manifests.exists("other")
    assert manifests.knows(digest)
    assert not storage.repository("other").manifests.knows(digest)


def test_a_revision_is_known_by_its_folder_alone(tmp_path: Path) -> None:
    manifests = EarlyStorage(FileDriver(str(tmp_path))).repository(NAME).manifests
    digest = manifests.put("latest", PAYLOAD)
    (tmp_path / EARLY.revision_link(NAME, digest)).unlink()
    assert manifests.knows(digest)
    with pytest.raises(NotFound):
        manifests.get("latest")


def test_deleting_a_tag_forgets_everything_that_it_ever_meant_and_keeps_the_blobs(
    driver: Driver, storage: EarlyStorage
) -> None:
    manifests = storage.repository(NAME).manifests
    old, new = manifests.put("latest", PAYLOAD), manifests.put("latest", OTHER, SIGNATURES)
    kept = manifests.put("other", b"{}")
    assert manifests.delete("latest") == tuple(sorted((old, new)))
    assert not manifests.knows(old)
    assert not manifests.knows(new)
    assert manifests.tags() == ("other",)
    assert manifests.get("other").digest == kept
    for digest, content in ((old, PAYLOAD), (new, OTHER)):
        assert driver.get(EARLY.blob_data(digest)) == content
    with pytest.raises(NotFound):
        manifests.delete("latest")


def test_a_delete_that_was_cut_off_is_ended_by_doing_it_again(driver: Driver, storage: EarlyStorage) -> None:
    manifests = storage.repository(NAME).manifests
    digest = manifests.put("latest", PAYLOAD)
    driver.delete(EARLY.tag_current(NAME, "latest"))
    driver.delete(EARLY.revision(NAME, digest))
    assert manifests.delete("latest") == (digest,)
    assert not manifests.exists("latest")


def test_a_delete_that_fails_in_the_middle_leaves_a_tag_that_means_nothing(tmp_path: Path) -> None:
    class Failing(FileDriver):
        def delete(self, path: str) -> None:
            if "/revisions/" in path:
                raise StorageFailure("the disk is dead", path=path)
            super().delete(path)

    manifests = EarlyStorage(Failing(str(tmp_path))).repository(NAME).manifests
    digest = manifests.put("latest", PAYLOAD)
    with pytest.raises(StorageFailure):
        manifests.delete("latest")
    with pytest.raises(NotFound):
        manifests.get("latest")
    assert EarlyStorage(FileDriver(str(tmp_path))).repository(NAME).manifests.delete("latest") == (digest,)


def test_a_damaged_payload_is_not_given(driver: Driver, storage: EarlyStorage) -> None:
    manifests = storage.repository(NAME).manifests
    digest = manifests.put("latest", PAYLOAD)
    driver.put(EARLY.blob_data(digest), OTHER)
    with pytest.raises(DigestMismatch):
        manifests.get("latest")


def test_a_tag_whose_link_is_damaged_is_told(driver: Driver, storage: EarlyStorage) -> None:
    manifests = storage.repository(NAME).manifests
    digest = manifests.put("latest", PAYLOAD)
    link = EARLY.tag_current(NAME, "latest")
    for content in (digest.encode() + b"\n", b"", b"../../x"):
        driver.put(link, content)
        with pytest.raises(Malformed) as refused:
            manifests.get("latest")
        assert refused.value.path == link
