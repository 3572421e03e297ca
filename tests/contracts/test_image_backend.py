"""What every image backend does, whatever it is made of."""

from collections.abc import Callable
from pathlib import Path

import pytest

from orlop.digest import Digest
from orlop.docker.imagebackend import FailedToVerify, FileImageBackend, ImageBackend, MemoryImageBackend
from orlop.errors import Escapes, Malformed, NotFound, TooLarge, WrongKind
from orlop.fs import PARSE_LIMIT

MAKERS: dict[str, Callable[[Path], ImageBackend]] = {
    "files": lambda folder: FileImageBackend(str(folder / "imagedb")),
    "memory": lambda _: MemoryImageBackend(),
}
ABSENT = Digest.of(b"never stored")


@pytest.fixture(params=sorted(MAKERS))
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> ImageBackend:
    return MAKERS[request.param](tmp_path)


def test_a_config_is_found_under_its_digest(backend: ImageBackend) -> None:
    image = backend.set(b"{}")

    assert image == Digest.of(b"{}")
    assert backend.get(image) == b"{}"
    with pytest.raises(NotFound):
        backend.get(ABSENT)


def test_ids_come_sorted_and_as_they_were_when_asked_for(backend: ImageBackend) -> None:
    images = [backend.set(b"%d" % number) for number in range(9)]

    ids = backend.walk()
    backend.set(b"later")

    assert list(ids) == sorted(images)


def test_a_visitor_may_stop_and_the_backend_goes_on(backend: ImageBackend) -> None:
    backend.set(b"a")
    backend.set(b"b")

    for image in backend.walk():
        backend.delete(image)
        break

    assert len(list(backend.walk())) == 1


def test_an_empty_config_and_one_too_large_to_be_read_again_are_refused(backend: ImageBackend) -> None:
    with pytest.raises(Malformed) as empty:
        backend.set(b"")
    with pytest.raises(TooLarge):
        backend.set(b" " * (PARSE_LIMIT + 1))

    assert empty.value.engine == "Invalid empty data"
    assert list(backend.walk()) == []


def test_deleting_takes_the_metadata_also_of_an_image_that_is_not_there(backend: ImageBackend) -> None:
    image = backend.set(b"{}")
    backend.set_metadata(image, "parent", b"x")

    backend.delete(image)

    with pytest.raises(NotFound):
        backend.delete(image)
    backend.set(b"{}")
    with pytest.raises(NotFound):
        backend.get_metadata(image, "parent")


def test_metadata_is_kept_by_image_and_key(backend: ImageBackend) -> None:
    one, other = backend.set(b"1"), backend.set(b"2")

    backend.set_metadata(one, "parent", b"old")
    backend.set_metadata(one, "parent", b"")
    backend.set_metadata(other, "./parent/", b"other")

    assert (backend.get_metadata(one, "parent"), backend.get_metadata(other, "parent")) == (b"", b"other")
    with pytest.raises(NotFound):
        backend.get_metadata(one, "lastUpdated")


def test_metadata_of_an_image_that_is_not_there_is_neither_taken_nor_given(backend: ImageBackend) -> None:
    with pytest.raises(NotFound):
        backend.set_metadata(ABSENT, "parent", b"x")
    with pytest.raises(NotFound):
        backend.get_metadata(ABSENT, "parent")


def test_deleting_metadata_needs_neither_key_nor_image(backend: ImageBackend) -> None:
    image = backend.set(b"{}")
    backend.set_metadata(image, "parent", b"x")
    backend.set_metadata(image, "lastUpdated", b"y")

    for _ in range(2):
        backend.delete_metadata(image, "parent")
        backend.delete_metadata(ABSENT, "parent")
    assert backend.get_metadata(image, "lastUpdated") == b"y"

    backend.delete_metadata(image, "")
    with pytest.raises(NotFound):
        backend.get_metadata(image, "lastUpdated")


def test_the_empty_key_is_the_folder_of_all_keys(backend: ImageBackend) -> None:
    image = backend.set(b"{}")

    with pytest.raises(NotFound):
        backend.get_metadata(image, "")
    with pytest.raises(WrongKind):
        backend.set_metadata(image, "", b"x")
    with pytest.raises(WrongKind):
        backend.get_metadata(image, "")


def test_a_key_in_a_folder_that_is_not_there_cannot_be_set(backend: ImageBackend) -> None:
    image = backend.set(b"{}")
    backend.set_metadata(image, "file", b"x")

    with pytest.raises(NotFound):
        backend.set_metadata(image, "sub/key", b"x")
    with pytest.raises(WrongKind):
        backend.set_metadata(image, "file/key", b"x")
    with pytest.raises(NotFound):
        backend.get_metadata(image, "sub/key")


CALLS: dict[str, Callable[[ImageBackend, str], object]] = {
    "get": lambda backend, image: backend.get(image),
    "delete": lambda backend, image: backend.delete(image),
    "set_metadata": lambda backend, image: backend.set_metadata(image, "k", b"v"),
    "get_metadata": lambda backend, image: backend.get_metadata(image, "k"),
    "delete_metadata": lambda backend, image: backend.delete_metadata(image, "k"),
}


@pytest.mark.parametrize("call", sorted(CALLS))
@pytest.mark.parametrize("image", ["", "nocolon", "0" * 64])
def test_an_id_without_a_colon_is_refused_everywhere(backend: ImageBackend, call: str, image: str) -> None:
    with pytest.raises(Malformed) as refused:
        CALLS[call](backend, image)

    assert refused.value.engine == f"could not find ':' in digest: {image}"


@pytest.mark.parametrize("call", ["delete", "delete_metadata"])
@pytest.mark.parametrize(
    "image",
    ["sha256:", ":", "sha256:.", "sha256:a/b", "sha256:../x", "../..:x", "sha256:a/../b", "sha256:\ud800"],
)
def test_no_change_is_made_where_an_id_is_no_single_name(backend: ImageBackend, call: str, image: str) -> None:
    kept = backend.set(b"{}")
    backend.set_metadata(kept, "k", b"v")

    with pytest.raises(Escapes):
        CALLS[call](backend, image)

    assert backend.get_metadata(kept, "k") == b"v"


@pytest.mark.parametrize("key", ["..", "../other", "a/../../b", "../../../content", "k/../..", "\udfff"])
def test_a_key_that_leaves_its_image_is_refused(backend: ImageBackend, key: str) -> None:
    image = backend.set(b"{}")

    for call in (
        lambda: backend.get_metadata(image, key),
        lambda: backend.set_metadata(image, key, b"x"),
        lambda: backend.delete_metadata(image, key),
    ):
        with pytest.raises(Escapes):
            call()

    assert backend.get(image) == b"{}"


def test_other_algorithms_and_spellings_are_looked_up_and_never_found_sound(backend: ImageBackend) -> None:
    image = backend.set(b"{}")

    for other in (image.upper(), "SHA256:" + image.hex, "sha512:" + "0" * 128, image[:20]):
        with pytest.raises((NotFound, FailedToVerify)):
            backend.get(other)
    for folder in ("sha256:", ":"):
        with pytest.raises(WrongKind):
            backend.get(folder)
