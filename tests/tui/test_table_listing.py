"""The image list without a screen: rows, filter, sort, cursor and marks."""

import string
import sys
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orlop.records import Condition, Flag, Holding, Key, Row, Trust
from orlop_tui.widgets.completing import Names, of_filter, of_name
from orlop_tui.widgets.filtering import BadFilter, Haystack, Held, fields_of, parse
from orlop_tui.widgets.listing import Column, Listing
from tests.examples import examples

NOW = 1_800_000_000_000_000_000
DAY = 86_400_000_000_000


def identity(number: int) -> str:
    return f"sha256:{number:064x}"


def row(
    name: str | None,
    number: int,
    *,
    size: int | None = 100,
    own: int | None = 10,
    days: int = 1,
    condition: Condition = Condition.SOUND,
    trust: Trust = Trust.LINKED,
) -> Row:
    repository, _, tag = (name or "").rpartition(":")
    return Row(
        key=Key("", identity(number), name),
        repository=repository,
        tag=tag,
        created=NOW - days * DAY,
        size=size,
        own_size=own,
        platform="linux/amd64",
        trust=trust,
        verified_at=None,
        condition=condition,
        flags=frozenset() if name else frozenset({Flag.UNTAGGED}),
        reason="" if condition is Condition.SOUND else "config is empty",
    )


FEW = (
    row("alpine:3.20", 1, size=8, own=8, days=3),
    row("ghcr.io/acme/web:1.0", 2, size=400, own=None, condition=Condition.DAMAGED),
    row("ghcr.io/acme/web:2.0", 3, size=410, own=20, days=100),
    row("nginx:latest", 4, size=None, own=None),
    row(None, 0xABC << 244, size=7, own=7, trust=Trust.LISTED),
)


def names(listing: Listing) -> list[str | None]:
    return [shown.key.name for shown in listing.shown]


def filtered(text: str) -> list[str | None]:
    listing = Listing(FEW)
    listing.set_filter(parse(text, now=NOW))
    return names(listing)


# --- the filter


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["alpine:3.20", "ghcr.io/acme/web:1.0", "ghcr.io/acme/web:2.0", "nginx:latest", None]),
        ("ACME", ["ghcr.io/acme/web:1.0", "ghcr.io/acme/web:2.0"]),
        ("web:2", ["ghcr.io/acme/web:2.0"]),
        ("acme !2.0", ["ghcr.io/acme/web:1.0"]),
        ("abc", [None]),
        ("sha256:abc", [None]),
        ("id:abc", [None]),
        ("!acme !nginx !abc", ["alpine:3.20"]),
        ("repo:nginx", ["nginx:latest"]),
        ("tag:0", ["alpine:3.20", "ghcr.io/acme/web:1.0", "ghcr.io/acme/web:2.0"]),
        ("state:bad", ["ghcr.io/acme/web:1.0"]),
        ("state:untagged", [None]),
        ("state:linked acme", ["ghcr.io/acme/web:2.0"]),
        ("!state:linked acme", ["ghcr.io/acme/web:1.0"]),
        ("re:/WEB:[12].0$/ !re:/2[.]0/", ["ghcr.io/acme/web:1.0"]),
        ("re:/ngi|no such/", ["nginx:latest"]),
        ("what:image used:no own>10", ["ghcr.io/acme/web:2.0"]),
        ("own>10", ["ghcr.io/acme/web:2.0"]),
        ("size<0.009k", ["alpine:3.20", None]),
        ("age>90d", ["ghcr.io/acme/web:2.0"]),
        ("foo:bar", []),
    ],
)
def test_every_word_of_a_filter_must_hold(text: str, expected: list[str | None]) -> None:
    assert filtered(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("size>", "size> needs an amount, such as size>100M"),
        ("own>lots", "own> needs an amount"),
        ("age<3parsecs", "such as age>90d"),
        ("!", "! needs a word after it"),
        ("state:", "state: needs one of bad, partial"),
        ("state:tagged", "state:tagged is unknown; nearest: untagged"),
        ("web re:/(/", "re:/(/ is no regular expression: "),
        ("re:web", "re: needs an expression between slashes"),
        ("latest:yes", "latest: only an ACI store"),
    ],
)
def test_a_filter_that_cannot_be_understood_says_which_word_and_why(text: str, said: str) -> None:
    with pytest.raises(BadFilter) as told:
        parse(text, now=NOW)
    assert said in str(told.value)


def test_a_word_that_is_in_no_name_and_nearly_a_field_is_doubted() -> None:
    hay = Haystack(FEW)
    assert parse("stat:bad", now=NOW).doubt(hay) == "stat:bad is in no name, and no field; nearest: state:"
    assert parse("tage:bad nginx:latest", now=NOW).doubt(hay).endswith("nearest: tag:")
    assert parse("source:app", now=NOW).doubt(hay).endswith("nearest: src:")
    assert parse("repository:app", now=NOW).doubt(hay).endswith("nearest: repo:")
    assert parse("nginx:latest web:2", now=NOW).doubt(hay) == ""


def test_a_registry_knows_no_use_and_an_aci_store_a_latest() -> None:
    with pytest.raises(BadFilter, match="a registry does not know"):
        parse("used:no", now=NOW, kind="registry")
    assert "latest:" in fields_of("rkt")
    assert "latest:" not in fields_of("docker")


def test_what_an_image_holds_is_what_the_store_answers() -> None:
    listing = Listing(FEW)
    wanted = parse("acme layer:abc !src:team", now=NOW)
    layer, source = Held(Holding.LAYER, "abc"), Held(Holding.SOURCE, "team")
    assert listing.unanswered(wanted) == wanted.held == (layer, source)
    listing.answer(layer, frozenset({FEW[1].key.id, FEW[2].key.id, FEW[3].key.id}))
    assert listing.unanswered(wanted) == (source,)
    listing.answer(source, frozenset({FEW[1].key.id}))
    listing.set_filter(wanted)
    assert names(listing) == ["ghcr.io/acme/web:2.0"]
    listing.answer(source, frozenset())
    assert names(listing) == ["ghcr.io/acme/web:1.0", "ghcr.io/acme/web:2.0"]
    for number in range(50):
        listing.answer(Held(Holding.LAYER, str(number)), frozenset())
    assert listing.unanswered(wanted) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("r", "repo:"),
        ("nginx !st", "nginx !state:"),
        ("state:pa", "state:partial"),
        ("repo:gh", "repo:ghcr.io/acme/web"),
        ("tag:3", "tag:3.20"),
        ("ngi", "nginx"),
        ("si", "size>"),
        ("", None),
        ("nginx ", None),
        ("state:bad", None),
        ("\x1b]52", None),
    ],
)
def test_the_last_word_of_a_filter_is_completed(text: str, expected: str | None) -> None:
    ways = of_filter(text, Names(FEW), "docker")
    assert next(iter(ways), None) == expected
    assert all(way.startswith(text) for way in ways)


def test_names_are_completed_first_the_repository_and_then_its_tags() -> None:
    known = Names((*FEW, row("odd\x1b[2Jname:1", 9)))
    assert of_name("g", known)[0] == "ghcr.io/acme/web:"
    assert of_name("ghcr.io/acme/web:", known) == ("ghcr.io/acme/web:1.0", "ghcr.io/acme/web:2.0")
    assert of_name("n", known, scope="alpine") == ()
    assert of_name("odd", known) == ()


def test_a_size_that_is_unknown_is_neither_more_nor_less() -> None:
    assert "nginx:latest" not in filtered("size>0") + filtered("size<1t")


# --- order


def test_sizes_sort_by_bytes_with_the_biggest_first_and_the_unknown_last() -> None:
    listing = Listing(FEW)
    listing.sort_by(Column.SIZE)
    assert names(listing) == ["ghcr.io/acme/web:2.0", "ghcr.io/acme/web:1.0", "alpine:3.20", None, "nginx:latest"]
    listing.reverse()
    assert names(listing) == [None, "alpine:3.20", "ghcr.io/acme/web:1.0", "ghcr.io/acme/web:2.0", "nginx:latest"]


def test_states_sort_with_the_worst_first() -> None:
    listing = Listing(FEW)
    listing.sort_by(Column.STATE)
    assert [names(listing)[0], names(listing)[1]] == ["ghcr.io/acme/web:1.0", None]


def test_the_newest_is_first_when_sorted_by_age() -> None:
    listing = Listing(FEW)
    listing.sort_by(Column.AGE)
    assert names(listing)[-2:] == ["alpine:3.20", "ghcr.io/acme/web:2.0"]


def test_sorting_leaves_the_cursor_on_its_row() -> None:
    listing = Listing(FEW)
    listing.jump(FEW[3].key)
    listing.sort_by(Column.SIZE)
    assert listing.row == FEW[3]
    assert listing.position == 4


# --- the cursor


def test_the_cursor_returns_to_its_row_when_the_filter_goes() -> None:
    listing = Listing(FEW)
    listing.jump(FEW[0].key)
    listing.set_filter(parse("nginx", now=NOW))
    assert listing.cursor == FEW[3].key
    listing.set_filter(parse("", now=NOW))
    assert listing.cursor == FEW[0].key


def test_the_cursor_stays_where_it_was_moved_to_while_filtered() -> None:
    listing = Listing(FEW)
    listing.set_filter(parse("acme", now=NOW))
    listing.move(1)
    listing.set_filter(parse("", now=NOW))
    assert listing.cursor == FEW[2].key


def test_removing_a_row_above_leaves_the_cursor_on_the_same_image() -> None:
    listing = Listing(FEW)
    listing.jump(FEW[3].key)
    listing.load(FEW[1:])
    assert listing.cursor == FEW[3].key


def test_the_row_below_takes_the_cursor_of_one_that_went() -> None:
    listing = Listing(FEW)
    listing.jump(FEW[1].key)
    listing.load((FEW[0], *FEW[2:]))
    assert listing.cursor == FEW[2].key


def test_a_row_that_was_renamed_keeps_the_cursor() -> None:
    listing = Listing(FEW)
    listing.jump(FEW[4].key)
    named = row("zoo:new", 0xABC << 244)
    listing.load((*FEW[:4], named))
    assert listing.cursor == named.key


def test_another_name_of_the_same_image_is_not_taken_for_a_rename() -> None:
    first, between, second = row("a:1", 1), row("b:1", 2), row("z:1", 1)
    listing = Listing((first, between, second))
    listing.load((between, second))
    assert listing.cursor == between.key


def test_a_row_that_comes_back_does_not_pull_the_cursor_away() -> None:
    listing = Listing(FEW)
    listing.load(FEW[1:])
    listing.load(FEW)
    assert listing.cursor == FEW[1].key


def test_an_emptied_list_has_no_cursor_and_no_target() -> None:
    listing = Listing(FEW)
    listing.load(())
    listing.move(1)
    assert listing.row is None
    assert listing.targets().keys == ()


# --- marks


def test_without_marks_the_target_is_the_row_under_the_cursor() -> None:
    listing = Listing(FEW)
    listing.move(2)
    assert listing.targets().keys == (FEW[2].key,)
    assert not listing.targets().marked


def test_marks_that_the_filter_hides_are_left_out_and_counted() -> None:
    listing = Listing(FEW)
    listing.mark_all_shown()
    listing.set_filter(parse("acme", now=NOW))
    targets = listing.targets()
    assert targets.keys == (FEW[1].key, FEW[2].key)
    assert targets.left_out == listing.hidden_marks() == 3


def test_with_all_marks_hidden_nothing_is_acted_on_instead() -> None:
    listing = Listing(FEW)
    listing.toggle_mark()
    listing.set_filter(parse("nginx", now=NOW))
    assert listing.targets().keys == ()
    assert listing.targets().left_out == 1


def test_a_range_follows_the_cursor_both_ways_and_keeps_earlier_marks() -> None:
    listing = Listing(FEW)
    listing.toggle_mark()
    listing.move_to(2)
    listing.start_range()
    listing.move_to(4)
    assert listing.marks == {FEW[0].key, FEW[2].key, FEW[3].key, FEW[4].key}
    listing.move_to(1)
    assert listing.marks == {FEW[0].key, FEW[1].key, FEW[2].key}


def test_marking_all_shown_a_second_time_takes_the_marks_away() -> None:
    listing = Listing(FEW)
    listing.mark_all_shown()
    listing.mark_all_shown()
    assert listing.marks == frozenset()


def test_marked_rows_can_be_shown_alone() -> None:
    listing = Listing(FEW)
    listing.move_to(1)
    listing.toggle_mark()
    listing.show_only(marked=True)
    assert names(listing) == ["ghcr.io/acme/web:1.0"]
    listing.clear_marks()
    assert len(listing) == len(FEW)


# --- properties

NAMES = st.sampled_from([*[f"{letter}:{digit}" for letter in "abcdef" for digit in "12"], None])
ROWS = st.lists(st.tuples(NAMES, st.integers(0, 7), st.integers(0, 3)), max_size=14, unique_by=lambda t: (t[0], t[1]))
ACTIONS = st.one_of(
    st.tuples(st.just("load"), ROWS),
    st.tuples(st.just("filter"), st.sampled_from(["", "a", "!a", "tag:1", "size>1", "zz"])),
    st.tuples(st.just("sort"), st.sampled_from(list(Column))),
    st.tuples(st.just("move"), st.integers(-15, 15)),
    st.tuples(st.sampled_from(["toggle", "range", "all", "clear", "reverse", "marked", "problems"]), st.none()),
)


def made(rows: list[tuple[str | None, int, int]]) -> tuple[Row, ...]:
    return tuple(row(name, number, size=size) for name, number, size in rows)


def perform(listing: Listing, action: str, value: object) -> None:
    match action:
        case "load":
            listing.load(made(value))  # type: ignore[arg-type]
        case "filter":
            listing.set_filter(parse(str(value), now=NOW))
        case "sort":
            listing.sort_by(Column(value))  # type: ignore[arg-type]
        case "move":
            listing.move(value)  # type: ignore[arg-type]
        case "toggle":
            listing.toggle_mark()
        case "range":
            listing.start_range()
        case "all":
            listing.mark_all_shown()
        case "clear":
            listing.clear_marks()
        case "reverse":
            listing.reverse()
        case "marked":
            listing.show_only(marked=not listing.only_marked)
        case "problems":
            listing.show_only(problems=not listing.only_problems)


@given(ROWS, st.lists(ACTIONS, max_size=12))
@settings(max_examples=examples(1), deadline=None)
def test_cursor_and_marks_never_name_what_is_not_there(
    rows: list[tuple[str | None, int, int]], actions: list[tuple[str, object]]
) -> None:
    listing = Listing(made(rows))
    for action, value in actions:
        cursor, marks, old_shown = listing.cursor, listing.marks, [shown.key for shown in listing.shown]
        perform(listing, action, value)
        shown = [r.key for r in listing.shown]
        present = {r.key for r in listing.rows}
        assert set(shown) <= present
        assert listing.marks <= present
        assert (listing.cursor in shown) if shown else (listing.row is None)
        assert set(listing.targets().keys) <= set(shown)
        if action in ("load", "filter", "sort", "reverse", "marked", "problems"):
            assert listing.marks <= marks
        if action in ("load", "sort", "reverse") and cursor in shown and cursor in old_shown:
            assert listing.cursor == cursor


@pytest.mark.bench
def test_a_hundred_thousand_rows_are_filtered_and_sorted(capsys: pytest.CaptureFixture[str]) -> None:
    letters = string.ascii_lowercase
    rows = [row(f"registry/{letters[i % 26]}{i}:v{i % 7}", i, size=(i * 7919) % 100_003) for i in range(100_000)]
    listing = Listing(rows)
    one_pass = seconds(lambda: [r.key.name.upper() for r in rows if r.key.name])
    filtering = seconds(lambda: listing.set_filter(parse("v3 !registry/a", now=NOW)))
    sorting = seconds(lambda: listing.sort_by(Column.SIZE))
    assert len(listing.shown) > 1000
    figures = f"filter {filtering / one_pass:.1f} x, sort {sorting / one_pass:.1f} x one pass over 100,000 rows"
    with capsys.disabled():
        sys.stdout.write(f"\n{figures}\n")


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def test_a_haystack_is_made_once() -> None:
    hay = Haystack(FEW)
    assert hay.names() is hay.names()
