"""Database files made by nobody: only errors of Orlop come out, soon, and with little memory."""

import contextlib
import random
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orlop.errors import Malformed, OrlopError
from orlop.rkt import ql
from orlop.rkt.catalogue import DropImage, PutRemote, RemoteRow, SetTreeSize
from orlop.rkt.ql import scalars, times, zappy
from orlop.rkt.ql.blocks import FREE_LISTS, HEADER, Writer, offset_of
from orlop.rkt.ql.reading import Reader
from orlop.rkt.qlcatalogue import QlFormat
from tests.examples import examples
from tests.rkt.ql_files import EVERY, cut_log, database
from tests.rkt.ql_verifier import verify

SMALL = ("sample", "rkt-store", "rkt-store-dbv2", "rkt-store-dbv6")
EDITS = (
    DropImage(key="sha512-33b880dc1170cfc6a22563f26f0480a1cbacb30847f1833e48e3a64f88026f62"),
    SetTreeSize(key="sha512-a17563ad4a1c798c9cba50a6a72298896bc159443789aa9d43d62fb62155d68e", size=1),
    PutRemote(
        row=RemoteRow(url="https://example.com/new.aci", signature_url="", etag="", key="", max_age=0, downloaded=0)
    ),
)


def _survives(data: bytes) -> bool:
    """Ask everything of a file; whether its rows could be read."""
    with contextlib.suppress(OrlopError):
        ql.faults(data)
    with contextlib.suppress(OrlopError):
        made = QlFormat().edited(data, EDITS)
        if made != data:
            verify(made)
    try:
        QlFormat().contents(data)
    except OrlopError:
        return False
    return True


def _damaged(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    match chance.randrange(6):
        case 0:
            return bytes(changed[: chance.randrange(len(changed))])
        case 1:
            at = chance.randrange(len(changed))
            changed[at:at] = chance.randbytes(chance.choice((1, 8, 16)))
        case 2:
            at = 16 * chance.randrange(len(changed) // 16)
            changed[at : at + 16] = changed[(other := 16 * chance.randrange(len(changed) // 16)) : other + 16]
        case 3:
            at = 16 * chance.randrange(8, len(changed) // 16)
            changed[at] = chance.choice((0xFB, 0xFC, 0xFD, 0xFE, 0xFF, 0))
        case _:
            for _ in range(chance.randrange(1, 4)):
                changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def test_a_damaged_file_gives_its_rows_or_an_error() -> None:
    chance = random.Random(1)
    read = 0

    for _ in range(1200):
        read += _survives(_damaged(database(chance.choice(SMALL)), chance))

    assert 0 < read < 1200


def test_a_large_damaged_file_gives_its_rows_or_an_error() -> None:
    chance = random.Random(2)

    for _ in range(25):
        _survives(_damaged(database("rkt-store-large"), chance))


@settings(max_examples=examples(3), deadline=None)
@given(st.binary(max_size=600))
def test_any_bytes_after_a_header_give_an_error_or_rows(data: bytes) -> None:
    _survives(HEADER + FREE_LISTS + data.ljust(-(-len(data) // 16) * 16, b"\0"))


@settings(max_examples=examples(3), deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_are_values_or_an_error(data: bytes) -> None:
    for parse in (lambda d: scalars.decode(d, 8), lambda d: zappy.unpack(d, 65_787), times.parse, ql.wal_state):
        with contextlib.suppress(Malformed):
            parse(data)


@pytest.mark.parametrize("name", EVERY)
def test_a_file_that_is_cut_anywhere_is_refused_or_read_in_part(name: str) -> None:
    data = database(name)
    for end in range(0, len(data), max(len(data) // 60, 1)):
        with contextlib.suppress(OrlopError):
            QlFormat().edited(data[:end], EDITS)
            pytest.fail("a database whose end is missing was written anew")


def _file(build: Callable[[Writer], None]) -> bytes:
    writer = Writer()
    build(writer)
    return writer.data()


def test_tables_in_a_loop_are_refused() -> None:
    def build(writer: Writer) -> None:
        writer.add(scalars.encode(4))
        writer.add(bytes(8))
        writer.add(scalars.encode(0))
        writer.add(scalars.encode(4, "lversion", 3, "version"))

    with pytest.raises(Malformed, match=r"byte 176: block 4 .* loop"):
        ql.read(_file(build))


def test_rows_in_a_loop_are_refused() -> None:
    def build(writer: Writer) -> None:
        writer.add(scalars.encode(5))
        writer.add(bytes(8))
        writer.add(scalars.encode(4))
        writer.add(scalars.encode(4, 1, 7))
        writer.add(scalars.encode(0, "lversion", 3, "version"))

    with pytest.raises(Malformed, match="loop"):
        ql.read(_file(build))


def test_an_error_names_the_byte_of_the_file() -> None:
    data = bytearray(database("sample"))
    images = ql.read(bytes(data)).table("aciinfo")
    assert images is not None
    at = data.index(b"https://example.com/gone.aci")  # in a row: its block begins some bytes before
    data[at - 1 : at] = b"\xff"

    with pytest.raises(Malformed, match=r"byte \d+") as refused:
        ql.read(bytes(data))
    assert abs(int(refused.value.field.split()[1]) - at) < 64


def test_a_block_that_was_moved_to_itself_is_refused() -> None:
    data = bytearray(ql.empty())
    at = offset_of(1)
    data[at : at + 8] = b"\xfd" + (1).to_bytes(7, "big")

    with pytest.raises(Malformed, match="moved"):
        ql.read(bytes(data))


def _varint(value: int) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*parts, value))


def _packed_row(link: int, length: int) -> bytes:
    """A row with one long text, packed into two atoms."""
    head = scalars.encode(link, 1000) + b"\x3c" + length.to_bytes(2, "big") + b"a"
    literal = _varint(2 * (len(head) - 1)) + head
    copied = _varint(2 * (length - 1) - 1) + _varint(1)
    content = _varint(len(head) + length - 1) + literal + copied
    return (bytes((len(content),)) + content).ljust(31, b"\0") + b"\1"


def _packed(rows: int, length: int) -> bytes:
    writer = Writer()
    writer.add(scalars.encode(4))
    writer.add(bytes(8))
    writer.add(scalars.encode(6))
    writer.add(scalars.encode(0, "sname", 3, "aciinfo"))
    assert writer.next == 6
    links = [8 + 2 * number for number in range(rows - 1)]
    return writer.data() + b"".join(_packed_row(link, length) for link in (*links, 0))


def test_a_row_may_unpack_to_much() -> None:
    images = ql.read(_packed(3, 60_000)).table("aciinfo")

    assert images is not None
    assert [row.values for row in images.rows] == [("a" * 60_000,)] * 3


def test_small_rows_that_unpack_to_much_do_not_fill_the_memory() -> None:
    data = _packed(100_000, 65_000)  # 3 MiB that claim 6 GiB
    tracemalloc.start()

    with pytest.raises(Malformed, match="far more"):
        ql.read(data)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 << 20


@pytest.mark.parametrize(
    "packed", ["ffffffffffffffffffff01", "8a80048008", "05020101", "0500610302", "058080808080808080808001"]
)
def test_a_packed_block_that_lies_is_refused(packed: str) -> None:
    with pytest.raises(Malformed, match="compressed block"):
        zappy.unpack(bytes.fromhex(packed), 65_787)


def test_a_damaged_log_is_incomplete_or_says_the_same() -> None:
    log, chance = cut_log(), random.Random(3)
    whole = ql.applied(database("sample"), log)

    for _ in range(400):
        damaged = _damaged(log, chance)
        with contextlib.suppress(OrlopError):
            made = ql.applied(database("sample"), damaged)
            assert ql.faults(made) == ()
    assert whole == database("cut-whole")


def test_a_row_that_only_an_index_still_knows_keeps_the_file_from_being_written() -> None:
    data = bytearray(ql.write(ql.read(database("sample"))))
    newest = Reader(bytes(data)).row_handles[0][0]
    assert data[offset_of(newest) + 1] == 0x4D  # its link to the next row, a number of one byte
    data[offset_of(newest) + 2] = 0

    assert len(QlFormat().contents(bytes(data)).images) == 1
    with pytest.raises(Malformed, match="index blobkeyidx of the table aciinfo is damaged"):
        QlFormat().edited(bytes(data), EDITS)
    assert any("nameidx" in text for text in ql.faults(bytes(data)))
