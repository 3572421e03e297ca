"""Archives are read in every form that rkt takes, and refused where they were made to do harm."""

import bz2
import gzip
import io
import itertools
import lzma
import tarfile
import tracemalloc
from collections.abc import Callable
from typing import BinaryIO

import pytest

from orlop.rkt.aci import examine, manifest_of, open_archive
from orlop.rkt.compression import Limits, decompressed
from orlop.rkt.errors import BadImage

MANIFEST = b'{"acKind":"ImageManifest","acVersion":"0.8.11","name":"a"}'
FILE, FOLDER, LINK, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE

MakeArchive = Callable[..., bytes]


class Unseekable(io.BytesIO):
    """As a socket is: it cannot be sought in, and gives a little at a time."""

    def seekable(self) -> bool:
        return False

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 0, 700) if size and size > 0 else size)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("opened", [io.BytesIO, Unseekable])
def test_the_manifest_is_found_in_every_compression(
    archive: MakeArchive, pack: Callable[[bytes], bytes], opened: Callable[[bytes], BinaryIO]
) -> None:
    image = archive([("rootfs", b"", FOLDER), ("rootfs/x", b"x" * 5000, FILE), ("manifest", MANIFEST, FILE)])

    assert manifest_of(opened(pack(image))) == MANIFEST
    assert examine(opened(pack(image))) == MANIFEST
    assert b"".join(decompressed(opened(pack(image)))) == image


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_streams_may_follow_each_other(archive: MakeArchive, pack: Callable[[bytes], bytes]) -> None:
    image = archive([("manifest", MANIFEST, FILE)])

    assert b"".join(decompressed(io.BytesIO(pack(image[:700]) + pack(image[700:])))) == image


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_cut_off_compression_is_refused(archive: MakeArchive, pack: Callable[[bytes], bytes], kept: float) -> None:
    image = pack(archive([("manifest", MANIFEST, FILE)]))

    with pytest.raises(BadImage, match="cut off"):
        list(decompressed(io.BytesIO(image[: int(len(image) * kept)])))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_damaged_compression_is_refused(archive: MakeArchive, pack: Callable[[bytes], bytes]) -> None:
    image = bytearray(pack(archive([("manifest", MANIFEST, FILE)])))
    image[40:60] = bytes(20)

    with pytest.raises(BadImage, match="damaged"):
        list(decompressed(io.BytesIO(image)))


@pytest.mark.parametrize("text", [b"", b"plain text", b"\0\1\2", bytes(10240), b"x" * 2000])
def test_what_is_no_image_is_refused_before_anything_is_given(text: bytes) -> None:
    with pytest.raises(BadImage) as refusal:
        decompressed(io.BytesIO(text))
    assert refusal.value.engine == "error decompressing image"


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_bomb_is_refused_early_and_in_little_memory(pack: Callable[[bytes], bytes]) -> None:
    head = tarfile.TarInfo("rootfs/zeros")
    head.size = 24 << 20
    bomb = pack(head.tobuf() + bytes(24 << 20))
    limits = Limits(ratio=20, free=8 << 20)
    tracemalloc.start()
    try:
        parts = map(len, decompressed(io.BytesIO(bomb), limits))
        with pytest.raises(BadImage, match="bomb"):
            sum(itertools.takewhile(lambda size: size > 0, parts))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20


def test_no_more_comes_out_than_is_allowed(archive: MakeArchive) -> None:
    image = archive([("rootfs/x", bytes(1 << 20), FILE), ("manifest", MANIFEST, FILE)])

    with pytest.raises(BadImage, match="no more are taken"):
        list(decompressed(io.BytesIO(image), Limits(size=1 << 20)))


def test_a_dictionary_of_gigabytes_is_not_allocated() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1536 << 20, "mf": lzma.MF_HC3, "nice_len": 10}]
    try:
        bomb = lzma.compress(b"x" * 600, filters=filters)
    except MemoryError:
        pytest.skip("this machine cannot even make it")

    with pytest.raises(BadImage, match=r"(?i)memory"):
        list(decompressed(io.BytesIO(bomb)))


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (("/etc/passwd", b"", FILE), "absolute path"),
        (("../escaped", b"", FILE), "leads out"),
        (("rootfs/../../escaped", b"", FILE), "leads out"),
        (("rootfs/x", "../../escaped", LINK), "leads out"),
        (("rootfs/x", "../escaped", HARD), "leads out"),
        (("rootfs/x", "/etc/shadow", HARD), "absolute path"),
        (("x", "/etc", LINK), "absolute path"),
    ],
)
def test_an_entry_that_leaves_the_archive_is_refused(
    archive: MakeArchive, entry: tuple[str, bytes | str, bytes], why: str
) -> None:
    for entries in ([("manifest", MANIFEST, FILE), entry], [entry, ("manifest", MANIFEST, FILE)]):
        with pytest.raises(BadImage, match=why):
            examine(io.BytesIO(archive(entries)))


def test_links_inside_the_image_are_taken_but_nothing_below_an_absolute_one(archive: MakeArchive) -> None:
    usual = [
        ("manifest", MANIFEST, FILE),
        ("rootfs/bin", "usr/bin", LINK),
        ("rootfs/etc/mtab", "../proc/mounts", LINK),
        ("rootfs/run", "/var/run", LINK),
        ("rootfs/two", "rootfs/one", HARD),
        ("x/../rootfs/odd", b"", FILE),
    ]

    assert examine(io.BytesIO(archive(usual))) == MANIFEST
    with pytest.raises(BadImage, match="below a link"):
        examine(io.BytesIO(archive([*usual, ("rootfs/run/deep/file", b"", FILE)])))


@pytest.mark.parametrize(
    ("kind", "content", "word"),
    [
        (FOLDER, b"", "folder"),
        (LINK, "rootfs/x", "link"),
        (HARD, "rootfs/x", "hard link"),
        (tarfile.CHRTYPE, b"", "device"),
        (tarfile.FIFOTYPE, b"", "fifo"),
    ],
)
def test_a_manifest_of_another_kind_is_refused(
    archive: MakeArchive, kind: bytes, content: bytes | str, word: str
) -> None:
    image = archive([("manifest", content, kind), ("manifest", MANIFEST, FILE)])

    with pytest.raises(BadImage, match=f"is a {word}"):
        manifest_of(io.BytesIO(image))


def test_of_two_manifests_the_first_counts(archive: MakeArchive) -> None:
    image = archive([("./manifest", MANIFEST, FILE), ("manifest", b"{}", FILE)])

    assert examine(io.BytesIO(image)) == MANIFEST


def test_a_manifest_of_a_hundred_megabytes_is_not_read() -> None:
    head = tarfile.TarInfo("manifest")
    head.size = 100 << 20

    with pytest.raises(BadImage, match="104857600 bytes"):
        manifest_of(io.BytesIO(head.tobuf() + b"{" * 4096))


def test_entries_before_the_manifest_are_counted(archive: MakeArchive) -> None:
    many = [(f"rootfs/{number}", b"", FILE) for number in range(300)]
    image = archive([*many, ("manifest", MANIFEST, FILE)])

    assert manifest_of(io.BytesIO(image)) == MANIFEST
    with pytest.raises(BadImage, match="more than 200 entries"):
        manifest_of(io.BytesIO(image), Limits(entries=200))


def test_memory_does_not_grow_with_the_entries() -> None:
    header = tarfile.TarInfo("rootfs/x").tobuf()
    tracemalloc.start()
    try:
        with pytest.raises(BadImage, match="no manifest"):
            manifest_of(io.BytesIO(header * 8000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * len(header) * 8000


def _long_header(kind: bytes, size: int) -> bytes:
    entry = tarfile.TarInfo("x")
    entry.type, entry.size = kind, size
    return entry.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_header_of_gigabytes_is_not_read(kind: bytes) -> None:
    with pytest.raises(BadImage, match="header"):
        manifest_of(io.BytesIO(_long_header(kind, 1 << 30) + bytes(4096)))


@pytest.mark.parametrize(
    "image",
    [
        _long_header(tarfile.GNUTYPE_LONGNAME, 1) * 1500,
        _long_header(FILE, -512) + bytes(1024),
        _long_header(tarfile.XHDTYPE, 512) + b"99999 size=-1\n".ljust(512, b"\0") + _long_header(FILE, 0),
        _long_header(tarfile.XHDTYPE, 512) + b"11 size=-1\n".ljust(512, b"\0") + _long_header(FILE, 0) * 2,
        _long_header(tarfile.XHDTYPE, 512) + b"x".ljust(512, b"\0") + _long_header(FILE, 0),
        _long_header(FILE, 1 << 62) + bytes(4096),
        _long_header(tarfile.GNUTYPE_SPARSE, 0)[:482] + b"\1" + bytes(29) + (bytes(504) + b"\1" + bytes(7)) * 3000,
    ],
    ids=["long names", "negative", "pax length", "pax size", "pax garbage", "exabytes", "sparse"],
)
def test_headers_that_lie_are_refused(image: bytes) -> None:
    with pytest.raises(BadImage):
        examine(io.BytesIO(image))


def test_an_archive_that_ends_early_is_refused(archive: MakeArchive) -> None:
    image = archive([("manifest", MANIFEST, FILE), ("rootfs/x", b"x" * 2000, FILE)])

    for size in (1024 + 100, 1536 + 100, 2048):
        with pytest.raises(BadImage):
            examine(io.BytesIO(image[:size]))
    assert examine(io.BytesIO(image[: 1536 + 2048])) == MANIFEST  # without the zeros at the end


def test_garbage_between_entries_is_refused(archive: MakeArchive) -> None:
    image = archive([("manifest", MANIFEST, FILE)])

    with pytest.raises(BadImage, match="damaged"):
        examine(io.BytesIO(image[:1024] + b"garbage!" * 64 + image[1024:]))


def test_entries_are_given_in_order_with_what_they_are(archive: MakeArchive) -> None:
    image = archive([("./rootfs/", b"", FOLDER), ("rootfs/l", "x", LINK), ("rootfs/f", b"abc", FILE)])

    opened = open_archive(io.BytesIO(gzip.compress(image)))
    seen = [(entry.path, entry.kind, entry.size, entry.target) for entry in itertools.islice(opened, 3)]

    assert seen == [("rootfs", "folder", 0, ""), ("rootfs/l", "link", 0, "x"), ("rootfs/f", "file", 3, "")]
