"""Databases written anew: the same rows, and files in which nothing contradicts anything."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orlop.errors import Malformed
from orlop.rkt import ql
from orlop.rkt.ql import indexes
from orlop.rkt.ql.blocks import Blocks, Writer
from orlop.rkt.ql.schema import empty_database
from tests.examples import examples
from tests.rkt.ql_files import EVERY, database
from tests.rkt.ql_verifier import verify


def _without_roots(found: ql.Database) -> ql.Database:
    """The database without the handles that every file has its own."""
    tables = (
        dataclasses.replace(table, rows=tuple(ql.Row(row.id, row.values[:4]) for row in table.rows))
        if table.name == "__Index2"
        else table
        for table in found.tables
    )
    return dataclasses.replace(found, tables=tuple(tables))


def _with_rows(name: str, rows: tuple[ql.Row, ...]) -> ql.Database:
    tables = empty_database().tables
    return ql.Database(
        last_id=max((row.id for row in rows), default=19),
        tables=tuple(dataclasses.replace(table, rows=rows) if table.name == name else table for table in tables),
    )


def _image(number: int, key: str | None = None, name: str = "example.com/app") -> ql.Row:
    time = ql.Blob(ql.TIME, bytes.fromhex("13ff8a000f010000000ee292dfa81fff4ae60000"))
    return ql.Row(number, (f"sha512-{number:064x}" if key is None else key, name, time, time, False, number, 0))


@pytest.mark.parametrize("name", EVERY)
def test_a_database_of_rkt_written_anew_says_the_same(name: str) -> None:
    before = ql.read(database(name))

    new = ql.write(before)

    assert _without_roots(ql.read(new)) == _without_roots(before)
    report = verify(new)
    assert (report.free, report.packed, report.moved) == (0, 0, 0)
    assert ql.write(ql.read(new)) == new


def test_an_empty_database_is_that_of_rkt_without_its_rows() -> None:
    of_rkt, made = _without_roots(ql.read(database("rkt-store"))), _without_roots(ql.read(ql.empty()))

    assert made.last_id == 19
    for theirs, ours in zip(of_rkt.tables, made.tables, strict=True):
        rows = () if theirs.name in ("aciinfo", "remote") else theirs.rows
        assert ours == dataclasses.replace(theirs, rows=rows)
    verify(ql.empty())


@pytest.mark.parametrize("count", [0, 1, 511, 512, 513, 1200])
def test_an_index_of_any_size_is_linked_and_in_order(count: int) -> None:
    rows = tuple(_image(20 + (n * 7919) % 100_003, name=f"n{n % 7}") for n in range(count))

    report = verify(ql.write(_with_rows("aciinfo", rows)))

    pages = 1 if count <= 512 else -(-count // 384)
    for index in ("aciinfo.blobkeyidx", "aciinfo.nameidx"):
        assert report.pages[index] == ((pages, int(pages > 1)) if count else (0, 0))


def test_inner_pages_stand_on_inner_pages() -> None:
    rows = [(_image(n), n) for n in range(1, 2000)]
    index = ql.Index(name="nameidx", unique=False, slot=2)
    items = indexes.entries(index, rows)
    writer = Writer()
    root = indexes.build(writer, items, per_page=4, children=5)
    handle = writer.add(root)

    assert list(indexes.walk(Blocks(writer.data()), handle)) == items
    assert sorted(items, key=lambda item: len(item.key)) == items  # handles of more bytes come later


_TEXT = st.text(st.characters(codec="utf-8"), max_size=40) | st.sampled_from(
    ["", "a" * 17, "a" * 18, "a" * 255, "a" * 256, "é" * 200, "a\udcff", "x" * 3000]
)
_NUMBER = st.integers(-(1 << 63), (1 << 63) - 1) | st.sampled_from(
    [0, 170, 171, 255, 256, -1, -255, -256, -257, 1 << 16, -(1 << 16), -(1 << 16) - 1, (1 << 56) - 1, 1 << 56]
)
_TIME = st.builds(
    lambda seconds, nano: ql.Blob(
        ql.TIME, bytes.fromhex("13ff8a000f01") + seconds.to_bytes(8, "big") + nano.to_bytes(4, "big") + b"\xff\xff"
    ),
    st.integers(0, 1 << 40),
    st.integers(0, 999_999_999),
)
_IMAGES = st.lists(
    st.tuples(_TEXT, _TEXT, _TIME | st.none(), _TIME, st.booleans(), _NUMBER, _NUMBER),
    max_size=30,
    unique_by=lambda values: values[0],
)


@settings(max_examples=examples(1.5), deadline=None)
@given(_IMAGES, st.integers(0, 1 << 60))
def test_any_rows_come_back_and_the_file_is_whole(images: list[tuple[Any, ...]], first: int) -> None:
    rows = tuple(ql.Row(first + 20 + n, values) for n, values in enumerate(images))
    before = _with_rows("aciinfo", rows)

    new = ql.write(before)

    assert _without_roots(ql.read(new)) == _without_roots(before)
    report = verify(new)
    assert [row[0] for row in report.tables["aciinfo"]] == [row.id for row in rows]
    assert ql.faults(new) == ()


def test_a_value_of_any_length_is_chained_and_comes_back() -> None:
    rows = []
    for number, size in enumerate((0, 17, 18, 256, 257, 65_536, 65_537, 65_792, 65_793, 200_000)):
        values = _image(20 + number).values
        blob = ql.Blob(3, (bytes(range(256)) * 800)[:size])
        rows.append(ql.Row(20 + number, (*values[:2], blob, *values[3:])))
    before = _with_rows("aciinfo", tuple(rows))

    new = ql.write(before)

    assert ql.read(new).table("aciinfo") == before.table("aciinfo")
    verify(new)


def test_an_index_on_times_is_in_their_order_and_not_in_that_of_their_bytes() -> None:
    def time(seconds: int) -> ql.Blob:
        return ql.Blob(ql.TIME, bytes.fromhex("13ff8a000f01") + seconds.to_bytes(8, "big", signed=True) + bytes(6))

    table = ql.Table(
        name="t",
        columns=(ql.Column(type="T", name="time"),),
        indexes=(ql.Index(name="i", unique=True, slot=1),),
        rows=tuple(ql.Row(n, (value,)) for n, value in enumerate((time(5), time(-3), None, time(200), None))),
    )

    new = ql.write(ql.Database(last_id=9, tables=(table,)))

    assert ql.read(new).tables == (table,)
    assert ql.faults(new) == ()


def test_rows_that_a_unique_index_does_not_allow_are_refused() -> None:
    with pytest.raises(Malformed, match="same value in the unique index 'blobkeyidx'"):
        ql.write(_with_rows("aciinfo", (_image(21, key="one"), _image(20, key="one"))))


@pytest.mark.parametrize("length", [65_536, 70_000])
def test_a_text_that_no_row_can_hold_is_refused_with_the_row(length: int) -> None:
    with pytest.raises(Malformed, match="the row 20 of aciinfo"):
        ql.write(_with_rows("aciinfo", (_image(20, name="n" * length),)))


def test_a_row_that_no_block_can_hold_is_refused_with_the_row() -> None:
    with pytest.raises(Malformed, match="the row 20 of aciinfo"):
        ql.write(_with_rows("aciinfo", (_image(20, key="k" * 60_000, name="n" * 60_000),)))


def test_an_index_that_no_table_lists_is_not_written_over() -> None:
    before = ql.read(ql.empty())
    tables = tuple(
        dataclasses.replace(table, indexes=None) if table.name == "remote" else table for table in before.tables
    )

    with pytest.raises(Malformed, match="aciurlidx"):
        ql.write(dataclasses.replace(before, tables=tables))
