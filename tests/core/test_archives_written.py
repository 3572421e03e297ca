"""The tar that images are written into: sizes of any number, the same bytes, and never one that looks whole."""

import hashlib
import io
import tarfile
from collections.abc import Iterable

import pytest

from orlop import archives
from orlop.archives import Content, Image
from orlop.errors import Changed, DigestMismatch, OrlopError


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def content(data: bytes, *, pieces: Iterable[bytes] | None = None, size: int | None = None) -> Content:
    """A content that must be `data`, and is what `pieces` give."""
    found = [data] if pieces is None else list(pieces)
    wanted = digest(data)

    def blame(actual: str) -> OrlopError:
        return DigestMismatch(wanted, actual)

    return Content(digest=wanted, size=len(data) if size is None else size, pieces=lambda: found, blame=blame)


def cut(image: Image, error: type[OrlopError]) -> bytes:
    to = io.BytesIO()
    with pytest.raises(error):
        archives.docker_archive(to, [image])
    return to.getvalue()


def test_what_is_counted_is_what_is_written() -> None:
    shared = content(b"shared layer")
    images = [Image(contents=(content(b"{1}"), shared)), Image(contents=(content(b"{2}"), shared, content(b"own")))]
    for write in (archives.docker_archive, archives.oci_archive):
        to = io.BytesIO()
        assert sum(write(to, images)) == len(to.getvalue())
        with tarfile.open(fileobj=io.BytesIO(to.getvalue())) as tar:
            names = tar.getnames()
        assert len(names) == len(set(names))


def test_the_last_bytes_of_a_wrong_content_are_held_back() -> None:
    wrong = content(b"good", pieces=[b"go", b"xx"])
    written = cut(Image(contents=(content(b"{}"), wrong)), DigestMismatch)

    assert b"go" in written
    assert b"xx" not in written
    with tarfile.open(fileobj=io.BytesIO(written)) as tar, pytest.raises(tarfile.ReadError):
        tar.getmembers()


@pytest.mark.parametrize("size", [3, 5])
def test_a_content_of_another_size_is_refused(size: int) -> None:
    written = cut(Image(contents=(content(b"{}"), content(b"good", size=size))), Changed)

    assert not written.endswith(bytes(1024))


def test_layers_past_the_sizes_of_old_tar_have_a_record_of_theirs() -> None:
    large = 9 << 30
    header = archives._header("layer.tar", large, tarfile.REGTYPE)

    with tarfile.open(fileobj=io.BytesIO(header)) as tar:
        assert next(iter(tar)).size == large


def test_an_empty_content_is_written() -> None:
    to = io.BytesIO()
    archives.oci_archive(to, [Image(contents=(content(b""),))])

    with tarfile.open(fileobj=io.BytesIO(to.getvalue())) as tar:
        assert tar.getmember(f"blobs/sha256/{digest(b'')[7:]}").size == 0
