"""Blobs, manifest revisions, tags with their history, and which repositories there are."""

import os
from pathlib import Path

import pytest

from orlop.digest import Digest
from orlop.errors import DigestMismatch, Malformed, NoPermission, NotFound, OrlopError, TooLarge, WrongKind
from orlop.fs.writer import System
from orlop.registry.driver import Driver
from orlop.registry.filedriver import FileDriver
from orlop.registry.layout import MODERN, Layout
from orlop.registry.memorydriver import MemoryDriver
from orlop.registry.storage import RegistryStorage, Repository

NAME = "team/app"
MANIFEST = b'{\n  "schemaVersion": 2\n}'
DIGEST = Digest.of(MANIFEST)
SECOND = b'{"schemaVersion":2,"second":true}'
DAMAGED_LINKS = (b"", DIGEST.encode() + b"\n", b"sha256:short", b"{}", b"\xff\xfe")


class Unsynced(System):
    """Waits for no disk."""

    def fsync(self, fd: int) -> None:
        return None


@pytest.fixture(params=["memory", "files"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Driver:
    return MemoryDriver() if request.param == "memory" else FileDriver(str(tmp_path), ops=Unsynced())


@pytest.fixture
def storage(driver: Driver) -> RegistryStorage:
    return RegistryStorage(driver)


@pytest.fixture
def app(storage: RegistryStorage) -> Repository:
    return storage.repository(NAME)


# --- blobs -------------------------------------------------------------------


def test_a_blob_lies_under_the_digest_of_its_bytes(storage: RegistryStorage, driver: Driver) -> None:
    digest = storage.blobs.put(b"bytes")

    assert digest == Digest.of(b"bytes")
    assert storage.blobs.path(digest) == f"docker/registry/v2/blobs/sha256/{digest.hex[:2]}/{digest.hex}/data"
    assert driver.get(storage.blobs.path(digest)) == b"bytes"
    assert storage.blobs.exists(digest)
    assert storage.blobs.stat(digest).size == 5
    assert storage.blobs.read(digest) == b"bytes"
    assert storage.blobs.verify(digest).size == 5
    with storage.blobs.open(digest, 2) as stream:
        assert stream.read() == b"tes"


def test_a_blob_that_is_not_there_is_not_found(storage: RegistryStorage) -> None:
    blobs = storage.blobs
    assert not blobs.exists(DIGEST)
    for look in (blobs.stat, blobs.open, blobs.read, blobs.verify):
        with pytest.raises(NotFound):
            look(DIGEST)


@pytest.mark.parametrize("damage", [b"", b"byte?", b"bytes and more"])
def test_a_damaged_blob_is_told_and_replaced(storage: RegistryStorage, driver: Driver, damage: bytes) -> None:
    digest = storage.blobs.put(b"bytes")
    driver.put(storage.blobs.path(digest), damage)

    for look in (storage.blobs.read, storage.blobs.verify):
        with pytest.raises(DigestMismatch) as caught:
            look(digest)
        assert (caught.value.expected, caught.value.actual) == (digest, Digest.of(damage))
        assert caught.value.path == storage.blobs.path(digest)
    assert storage.blobs.exists(digest), "only its bytes are wrong"
    storage.blobs.put(b"bytes")
    assert storage.blobs.read(digest) == b"bytes"


def test_a_sound_blob_is_left_as_it_is(storage: RegistryStorage) -> None:
    digest = storage.blobs.put(b"bytes")
    version = storage.blobs.stat(digest).version
    storage.blobs.put(b"bytes")
    assert storage.blobs.stat(digest).version == version


def test_a_large_blob_is_verified_and_not_read_into_memory(storage: RegistryStorage) -> None:
    content = bytes(3 << 20)
    digest = storage.blobs.put(content, "sha512")
    steps: list[tuple[int, int]] = []

    class Told:
        def step(self, what: str, done: int, total: int) -> None:
            steps.append((done, total))

    assert storage.blobs.verify(digest, Told()).size == len(content)
    assert steps == [(n << 20, 3 << 20) for n in (1, 2, 3)]
    with pytest.raises(TooLarge):
        storage.blobs.read(digest, limit=1 << 20)


def test_every_blob_is_listed_and_nothing_else(storage: RegistryStorage, driver: Driver) -> None:
    digests = [storage.blobs.put(b"%d" % n) for n in range(20)] + [storage.blobs.put(b"x", "sha512")]
    blobs = MODERN.blobs
    some = digests[0]
    for stray in (
        "stray",
        "md5/aa/" + "a" * 32 + "/data",
        "sha256/stray",
        f"sha256/{'zz' if some.hex[:2] == 'aa' else 'aa'}/{some.hex}/data",  # under another's first digits
        f"sha256/ff/{'f' * 63}/data",
        f"sha256/ff/{'F' * 64}/data",
        f"sha256/ff/{'f' * 64}/other",
        f"sha256/fe/{'fe' * 32}/data/below",
    ):
        driver.put(f"{blobs}/{stray}", b"")
    assert list(storage.blobs.digests()) == sorted(digests)


# --- manifests ------------------------------------------------------------------


def test_a_manifest_is_got_back_byte_for_byte(app: Repository) -> None:
    assert not app.manifests.exists(DIGEST)
    assert app.manifests.put(MANIFEST) == DIGEST

    assert app.manifests.exists(DIGEST)
    assert app.manifests.get(DIGEST) == MANIFEST
    assert list(app.manifests.digests()) == [DIGEST]


def test_a_repository_knows_only_its_own_manifests(storage: RegistryStorage, app: Repository) -> None:
    app.manifests.put(MANIFEST)
    other = storage.repository("other").manifests
    assert not other.exists(DIGEST)
    for use in (other.get, other.delete):
        with pytest.raises(NotFound):
            use(DIGEST)


def test_a_manifest_of_another_algorithm_is_kept_under_it(app: Repository) -> None:
    digest = app.manifests.put(MANIFEST, "sha512")
    assert digest == Digest.of(MANIFEST, "sha512")
    assert app.manifests.get(digest) == MANIFEST


@pytest.mark.parametrize("content", DAMAGED_LINKS)
def test_a_damaged_revision_link_is_an_error(app: Repository, driver: Driver, content: bytes) -> None:
    app.manifests.put(MANIFEST)
    link = MODERN.revision_link(NAME, DIGEST)
    driver.put(link, content)
    for look in (app.manifests.exists, app.manifests.get):
        with pytest.raises(Malformed) as caught:
            look(DIGEST)
        assert caught.value.path == link


def test_a_revision_whose_blob_is_gone_is_an_error(app: Repository, driver: Driver) -> None:
    app.manifests.put(MANIFEST)
    driver.delete(MODERN.blob(DIGEST))
    for look in (app.manifests.exists, app.manifests.get):
        with pytest.raises(Malformed, match="does not exist"):
            look(DIGEST)


def test_a_link_to_another_manifest_is_not_taken_for_this_one(app: Repository, driver: Driver) -> None:
    app.manifests.put(MANIFEST)
    second = app.manifests.put(SECOND)
    driver.put(MODERN.revision_link(NAME, DIGEST), second.encode())
    with pytest.raises(DigestMismatch) as caught:
        app.manifests.get(DIGEST)
    assert caught.value.path == MODERN.revision_link(NAME, DIGEST)
    driver.put(MODERN.blob_data(second), b"damaged")
    with pytest.raises(DigestMismatch) as caught:
        app.manifests.get(second)
    assert caught.value.path == MODERN.blob_data(second)


def test_a_manifest_goes_with_the_tags_that_mean_it_and_its_bytes_stay(
    storage: RegistryStorage, app: Repository
) -> None:
    first, second = app.manifests.put(MANIFEST), app.manifests.put(SECOND)
    app.tags.tag("a", first)
    app.tags.tag("b", first)
    app.tags.tag("b", second)
    app.tags.tag("c", first)

    assert app.manifests.delete(first) == ("a", "c")
    assert app.tags.names() == ("b",)
    assert app.tags.get("b") == second
    assert {entry.digest for entry in app.tags.history("b")} == {first, second}
    assert list(app.manifests.digests()) == [second]
    assert not app.manifests.exists(first)
    assert storage.blobs.exists(first)
    with pytest.raises(NotFound):
        app.manifests.delete(first)


def test_a_deleted_manifest_leaves_its_folder_as_the_registry_does(tmp_path: Path) -> None:
    app = RegistryStorage(FileDriver(str(tmp_path), ops=Unsynced())).repository(NAME)
    app.manifests.put(MANIFEST)
    app.manifests.delete(DIGEST)
    assert os.listdir(tmp_path / MODERN.revision(NAME, DIGEST)) == []


# --- tags -------------------------------------------------------------------------


def test_a_tag_means_a_manifest_and_remembers_the_others(app: Repository, driver: Driver) -> None:
    first, second = app.manifests.put(MANIFEST), app.manifests.put(SECOND)
    app.tags.tag("latest", first)
    assert app.tags.get("latest") == first
    app.tags.tag("latest", second)
    app.tags.tag("v1.0_x-y", first)

    assert app.tags.get("latest") == second
    assert app.tags.names() == ("latest", "v1.0_x-y")
    assert driver.get(MODERN.tag_current(NAME, "latest")) == second.encode()
    assert driver.get(MODERN.tag_index_link(NAME, "latest", first)) == first.encode()
    assert {entry.digest for entry in app.tags.history("latest")} == {first, second}
    assert list(app.tags.having(first)) == ["v1.0_x-y"]


def test_the_history_begins_with_what_came_last(tmp_path: Path) -> None:
    app = RegistryStorage(FileDriver(str(tmp_path), ops=Unsynced())).repository(NAME)
    digests = [app.manifests.put(b"%d" % n) for n in range(4)]
    for at, digest in enumerate(digests):
        app.tags.tag("t", digest)
        os.utime(tmp_path / MODERN.tag_index_link(NAME, "t", digest), ns=(0, at * 10**9))

    history = app.tags.history("t")
    assert [entry.digest for entry in history] == digests[::-1]
    assert [entry.since for entry in history] == [3 * 10**9, 2 * 10**9, 10**9, 0]


def test_no_tag_is_set_on_what_is_not_there(app: Repository, driver: Driver) -> None:
    with pytest.raises(NotFound):
        app.tags.tag("t", DIGEST)
    app.manifests.put(MANIFEST)
    driver.delete(MODERN.blob(DIGEST))
    with pytest.raises(Malformed):
        app.tags.tag("t", DIGEST)
    assert app.tags.names() == ()


def test_an_untagged_manifest_is_served_by_its_digest(app: Repository, driver: Driver) -> None:
    app.manifests.put(MANIFEST)
    app.tags.tag("t", DIGEST)
    app.tags.tag("u", DIGEST)
    app.tags.untag("t")

    assert app.tags.names() == ("u",)
    assert app.manifests.get(DIGEST) == MANIFEST
    with pytest.raises(NotFound):
        driver.stat(MODERN.tag(NAME, "t"))
    for ask in (app.tags.get, app.tags.untag, app.tags.history):
        with pytest.raises(NotFound):
            ask("t")


def test_a_tag_that_means_nothing_is_listed_and_hides_no_other(app: Repository, driver: Driver) -> None:
    app.manifests.put(MANIFEST)
    for tag in ("b", "d"):
        app.tags.tag(tag, DIGEST)
    driver.put(MODERN.tag_index_link(NAME, "a", DIGEST), DIGEST.encode())
    driver.put(MODERN.tag_current(NAME, "c"), b"")
    driver.put(MODERN.tags(NAME) + "/stray", b"")

    assert app.tags.names() == ("a", "b", "c", "d", "stray")
    with pytest.raises(NotFound):
        app.tags.get("a")
    with pytest.raises(Malformed):
        app.tags.get("c")
    with pytest.raises(WrongKind):
        app.tags.get("stray")
    assert [entry.digest for entry in app.tags.history("a")] == [DIGEST]
    assert app.tags.history("c") == ()
    assert list(app.tags.having(DIGEST)) == ["b", "d"]
    app.tags.untag("c")
    app.tags.untag("stray")
    assert app.tags.names() == ("a", "b", "d")


@pytest.mark.parametrize("tag", ["", ".", "..", ".hidden", "-x", "a/b", "a b", "ä", "x" * 129, "a\n", "../../../up"])
def test_what_is_no_tag_is_refused(app: Repository, tag: str) -> None:
    app.manifests.put(MANIFEST)
    for use in (app.tags.get, app.tags.history, app.tags.untag, lambda text: app.tags.tag(text, DIGEST)):
        with pytest.raises(Malformed):
            use(tag)
    assert app.tags.names() == ()


def test_nothing_is_ever_put_into_the_folder_of_tags_itself(tmp_path: Path) -> None:
    """Any name in it is served as a tag, a temporary one too."""
    seen: set[str] = set()
    tags = tmp_path / MODERN.tags(NAME)

    class Watching(System):
        def write(self, fd: int, data: bytes) -> int:
            if tags.exists():
                seen.update(os.listdir(tags))
            return super().write(fd, data)

    app = RegistryStorage(FileDriver(str(tmp_path), ops=Watching())).repository(NAME)
    app.manifests.put(MANIFEST)
    app.tags.tag("t", DIGEST)
    app.tags.tag("t", DIGEST)
    assert seen == {"t"}


# --- repositories ---------------------------------------------------------------------


def test_repositories_are_found_nested_and_with_anything_in_them(storage: RegistryStorage, driver: Driver) -> None:
    for name in ("team", "team/app", "team-x", "zoo"):
        storage.repository(name).manifests.put(MANIFEST)
    storage.repository("only/upload").layers.upload()
    layers = storage.repository("only/layers").layers
    layers.upload().finish(Digest.of(b""))
    for stray in (
        "stray",
        "empty/folder/stray",
        "team/_other/_layers/x",
        "Upper/_layers/x",
        "a__b/_manifests/x",
        "a___b/_manifests/x",
        "Host.example/app/_manifests/x",
    ):
        driver.put(f"{MODERN.repositories}/{stray}", b"")
    assert list(storage.repositories()) == [
        "Host.example/app",
        "a__b",
        "only/layers",
        "only/upload",
        "team",
        "team/app",
        "team-x",
        "zoo",
    ]


def test_a_layout_without_underscores_keeps_its_own_folders_apart(driver: Driver) -> None:
    plain = Layout(layers="layers", manifests="manifests", uploads="uploads")
    storage = RegistryStorage(driver, layout=plain)
    storage.repository("team").manifests.put(MANIFEST)
    storage.repository("team/app").layers.upload()
    driver.put(f"{plain.repositories}/team/layers/uploads/stray", b"")
    assert list(storage.repositories()) == ["team", "team/app"]


def test_the_longest_name_is_found_and_no_longer_one(storage: RegistryStorage, driver: Driver) -> None:
    longest = "/".join(["a" * 50] * 5)
    assert len(longest) == 254
    for name in (longest + "x", longest + "xx", "/".join(["b"] * 128), "/".join(["b"] * 129)):
        driver.put(f"{MODERN.repositories}/{name}/_layers/stray", b"")
    assert list(storage.repositories()) == [longest + "x", "/".join(["b"] * 128)]
    storage.repository(longest + "x")
    with pytest.raises(Malformed):
        storage.repository(longest + "xx")


def test_repositories_are_looked_for_only_as_far_as_they_are_asked_for() -> None:
    class Counting(MemoryDriver):
        listed = 0

        def names(self, path: str) -> tuple[str, ...]:
            self.listed += 1
            return super().names(path)

    driver = Counting()
    storage = RegistryStorage(driver)
    for n in range(50):
        storage.repository(f"r{n:02}").manifests.put(MANIFEST)
    found = storage.repositories()
    assert driver.listed == 0
    assert [next(found), next(found)] == ["r00", "r01"]
    assert driver.listed == 3
    assert len(list(found)) == 48


def test_a_folder_that_cannot_be_listed_hides_no_other() -> None:
    class Locked(MemoryDriver):
        def names(self, path: str) -> tuple[str, ...]:
            if path.endswith("/b"):
                raise NoPermission("the folder cannot be listed", path=path)
            return super().names(path)

    storage = RegistryStorage(Locked())
    for name in ("a", "b/x", "c"):
        storage.repository(name).manifests.put(MANIFEST)
    told: list[OrlopError] = []
    assert list(storage.repositories(told.append)) == ["a", "c"]
    assert [error.path for error in told] == [f"{MODERN.repositories}/b"]
    with pytest.raises(NoPermission):
        list(storage.repositories())


def test_a_link_among_the_repositories_is_not_entered(tmp_path: Path) -> None:
    storage = RegistryStorage(FileDriver(str(tmp_path), ops=Unsynced()))
    storage.repository("a/b").manifests.put(MANIFEST)
    (tmp_path / MODERN.repositories / "loop").symlink_to(".")
    (tmp_path / MODERN.repositories / "a/up").symlink_to("..")
    assert list(storage.repositories()) == ["a/b"]


def test_a_link_that_may_hide_blobs_is_an_error_and_no_absence(tmp_path: Path) -> None:
    storage = RegistryStorage(FileDriver(str(tmp_path), ops=Unsynced()))
    storage.blobs.put(b"x")
    (tmp_path / MODERN.blobs / "sha256").rename(tmp_path / "elsewhere")
    (tmp_path / MODERN.blobs / "sha256").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(WrongKind):
        list(storage.blobs.digests())
