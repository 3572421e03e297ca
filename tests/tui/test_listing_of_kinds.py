"""The list of a registry and of an ACI store: their columns, what stands under an index, their filters."""

from collections.abc import Sequence

import pytest

from orlop.records import Condition, Flag, Key, Row, Trust
from orlop_tui.widgets.columns import all_fields, cell, fields_for
from orlop_tui.widgets.filtering import parse
from orlop_tui.widgets.lines import fit
from orlop_tui.widgets.listing import Column, Listing, Sort

NOW = 1_800_000_000_000_000_000
DAY = 86_400_000_000_000


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def pushed(
    repository: str, tag: str, number: int, *, what: str = "image", platform: str = "", under: Key | None = None
) -> Row:
    return Row(
        key=Key(repository, digest(number), f"{repository}:{tag}" if tag else None),
        repository=repository,
        tag=tag,
        created=NOW - number * DAY,
        size=1000 + number,
        own_size=number,
        platform=platform,
        trust=Trust.LINKED,
        verified_at=None,
        condition=Condition.SOUND,
        flags=frozenset({Flag.CHILD} if under else set()),
        reason="",
        what=what,
        under=under,
    )


INDEX = pushed("team/web", "2.1", 2, what="index")
ARM = pushed("team/web", "", 3, platform="linux/arm64/v8", under=INDEX.key)
AMD = pushed("team/web", "", 4, platform="linux/amd64", under=INDEX.key)
ROWS = (
    pushed("library/base", "1.0", 1, platform="linux/amd64"),
    INDEX,
    ARM,
    AMD,
    pushed("team/web", "old", 5, platform="linux/amd64"),
    pushed("team/web", "", 6, platform="linux/amd64"),
)


def aci(name: str, version: str, number: int, *, used: int | None = None, latest: bool = False) -> Row:
    return Row(
        key=Key("", f"sha512-{number:064x}", f"{name}:{version}"),
        repository=name,
        tag=version,
        created=NOW - number * DAY,
        size=number,
        own_size=number,
        platform="linux/amd64",
        trust=Trust.LINKED,
        verified_at=None,
        condition=Condition.SOUND,
        flags=frozenset({Flag.LATEST} if latest else set()),
        reason="",
        last_used=used,
    )


ACIS = (
    aci("example.com/etcd", "3.3", 0xAB << 248, used=NOW - DAY, latest=True),
    aci("example.com/etcd", "3.2", 2, used=NOW - 400 * DAY),
    aci("example.com/new", "1", 3),
)


def shown(listing: Listing) -> list[int]:
    return [int(row.key.id[-64:], 16) for row in listing.shown]


def titles(width: int, kind: str) -> list[str]:
    return [field.title for field in fields_for(width, kind)]


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("registry", ["REPOSITORY", "TAG", "DIGEST", "WHAT", "PLATFORM", "SIZE", "OWN", "CREATED", "STATE"]),
        ("rkt", ["NAME", "VERSION", "LATEST", "ID", "SIZE", "IMPORTED", "USED", "PLATFORM", "STATE"]),
    ],
)
def test_each_kind_has_its_columns_and_narrow_lists_keep_name_tag_and_state(kind: str, wanted: list[str]) -> None:
    assert titles(160, kind) == wanted
    assert titles(40, kind) == [wanted[0], wanted[1], "STATE"]


@pytest.mark.parametrize("kind", ["docker", "registry", "rkt"])
def test_the_columns_fill_every_width_exactly_and_none_comes_back_in_a_narrower_list(kind: str) -> None:
    before: set[Column] = set()
    for width in range(59, 220):
        fields = fields_for(width, kind)
        assert sum(field.width for field in fields) + len(fields) - 1 + 3 == width - 1
        assert before <= {field.column for field in fields}
        before = {field.column for field in fields}
    assert before == {field.column for field in all_fields(kind)}


def test_rows_stand_indented_under_their_index_in_the_order_of_names() -> None:
    listing = Listing(ROWS)
    assert [listing.depth(row) for row in listing.shown] == [0, 0, 1, 1, 0, 0]
    assert cell(ARM, Column.NAME, NOW, depth=1) == "  └ linux/arm64/v8"
    assert cell(ARM, Column.TAG, NOW, depth=1) == ""
    assert cell(INDEX, Column.NAME, NOW) == "team/web"


def test_in_any_other_order_and_under_a_filter_a_child_stands_flat_and_says_what_it_is() -> None:
    listing = Listing(ROWS)
    listing.sort_by(Column.SIZE)
    assert {listing.depth(row) for row in listing.shown} == {0}
    listing.sort_as(Sort())
    listing.set_filter(parse("web", now=NOW))
    assert {listing.depth(row) for row in listing.shown} == {0}
    assert cell(ARM, Column.NAME, NOW) == "team/web"
    assert cell(ARM, Column.TAG, NOW) == "└ arm64/v8"


def test_the_names_from_last_to_first_keep_what_stands_under_an_index_below_it() -> None:
    listing = Listing(ROWS)
    listing.reverse()
    assert shown(listing) == [6, 5, 2, 3, 4, 1]
    assert [listing.depth(row) for row in listing.shown] == [0, 0, 0, 1, 1, 0]


def test_an_index_in_an_index_is_indented_further_and_a_ring_of_them_ends() -> None:
    inner = pushed("r", "", 2, what="index", under=Key("r", digest(1), "r:1"))
    leaf = pushed("r", "", 3, under=inner.key)
    listing = Listing((pushed("r", "1", 1, what="index"), inner, leaf))
    assert [listing.depth(row) for row in listing.shown] == [0, 1, 2]
    one = pushed("r", "", 1, under=Key("r", digest(2), None))
    two = pushed("r", "", 2, under=Key("r", digest(1), None))
    assert Listing((one, two)).depth(one) > 1
    backwards = Listing((one, two))
    backwards.reverse()
    assert sorted(shown(backwards)) == [1, 2]


def test_cursor_and_marks_keep_their_rows_when_a_child_is_gone() -> None:
    listing = Listing(ROWS)
    listing.move_to(3)
    listing.toggle_mark()
    listing.move_to(3)
    listing.load(tuple(row for row in ROWS if row is not ARM))
    assert listing.cursor == AMD.key
    assert listing.marks == {AMD.key}
    assert [listing.depth(row) for row in listing.shown] == [0, 0, 1, 0, 0]


def test_a_row_without_a_name_is_found_by_its_repository_and_by_its_digits() -> None:
    listing = Listing(ROWS)
    listing.set_filter(parse("team/web", now=NOW))
    assert shown(listing) == [2, 3, 4, 5, 6]
    listing = Listing(ACIS)
    for text in ("ab00", "sha512-ab00", "SHA512-AB00", "id:ab00", "id:sha512-ab00"):
        listing.set_filter(parse(text, now=NOW))
        assert [row.tag for row in listing.shown] == ["3.3"], text


@pytest.mark.parametrize(
    ("text", "rows", "wanted"),
    [
        ("what:index", ROWS, [2]),
        ("!what:im", ROWS, [2]),
        ("state:in-an-index", ROWS, [3, 4]),
        ("used>90d", ACIS, [2]),
        ("used<90d", ACIS, [0xAB << 248]),
        ("state:latest", ACIS, [0xAB << 248]),
    ],
)
def test_the_filter_knows_what_the_new_columns_hold(text: str, rows: Sequence[Row], wanted: list[int]) -> None:
    listing = Listing(rows)
    listing.set_filter(parse(text, now=NOW))
    assert shown(listing) == wanted


def test_the_new_columns_sort_with_what_is_unknown_last() -> None:
    listing = Listing(ACIS)
    listing.sort_by(Column.USED)
    assert shown(listing) == [0xAB << 248, 2, 3]
    listing.reverse()
    assert shown(listing) == [2, 0xAB << 248, 3]
    listing.sort_by(Column.LATEST)
    assert shown(listing)[0] == 0xAB << 248
    listing = Listing(ROWS)
    listing.sort_by(Column.WHAT)
    assert listing.shown[-1].what == "index"


def test_cells_of_an_aci_say_latest_and_never_used() -> None:
    assert [cell(row, Column.LATEST, NOW) for row in ACIS] == ["latest", "", ""]
    assert [cell(row, Column.USED, NOW) for row in ACIS] == ["1 d", "400 d", "-"]
    assert cell(ACIS[1], Column.ID, NOW) == "0" * 12


def test_a_hostile_platform_and_kind_reach_no_cell_raw() -> None:
    odd = pushed("r", "", 1, what="\x1b]52;c;x\x07", platform="\x1b[2J", under=INDEX.key)
    for column in Column:
        for depth in (0, 1):
            text = fit(cell(odd, column, NOW, depth=depth), 20)
            assert text.isprintable()


def test_a_list_without_groups_makes_no_index_of_them() -> None:
    listing = Listing(ACIS)
    assert [listing.depth(row) for row in listing.shown] == [0, 0, 0]
    listing.sort_by(Column.SIZE)
    assert listing._under is None
    grouped = Listing(ROWS)
    assert grouped.depth(INDEX) == 0
    assert grouped._under is None, "only a row that stands under another is looked for"
    assert grouped.depth(ARM) == 1
    assert grouped._under is not None
