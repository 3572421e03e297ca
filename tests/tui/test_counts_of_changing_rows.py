"""How many images are not as they should be, while the rows change here and there."""

from hypothesis import given
from hypothesis import strategies as st

from orlop.records import Condition, EngineState, Key, Row, Snapshot, StoreId, Trust
from orlop_tui.screens.stores import Odd, OpenStore, differing

LOOKS = st.tuples(st.sampled_from(Condition), st.sampled_from(Trust))
LISTS = st.dictionaries(st.integers(0, 9), LOOKS)


def row(number: int, condition: Condition, trust: Trust) -> Row:
    return Row(
        key=Key("", f"sha256:{number // 2}", f"a:{number}"),
        repository="a",
        tag=str(number),
        created=None,
        size=None,
        own_size=None,
        platform="",
        trust=trust,
        verified_at=None,
        condition=condition,
        flags=frozenset(),
        reason="",
    )


def snapshot(rows: dict[int, tuple[Condition, Trust]], *, partial: bool = False) -> Snapshot:
    return Snapshot(
        identity=StoreId(kind="docker", scope="overlay2", path="/", token=""),
        rows=tuple(row(number, *rows[number]) for number in sorted(rows)),
        images=0,
        total_size=0,
        seen_at=0,
        engine=EngineState.STOPPED,
        engine_text="",
        notes=(),
        partial=partial,
    )


@given(st.lists(LISTS, min_size=1, max_size=4))
def test_counts_are_those_of_the_last_rows_alone(lists: list[dict[int, tuple[Condition, Trust]]]) -> None:
    store = OpenStore.opened(0, "/", snapshot(lists[0]))
    for rows in lists[1:]:
        store.update(snapshot(rows))
    fresh = Odd()
    fresh.update(snapshot(lists[-1]))
    assert store.counts == fresh.counts() == OpenStore.opened(0, "/", snapshot(lists[-1])).counts
    bad = {number // 2 for number, (condition, _) in lists[-1].items() if condition is Condition.DAMAGED}
    assert store.counts.damaged == len(bad)


@given(LISTS, LISTS)
def test_all_that_differs_lies_between_what_does_not(
    one: dict[int, tuple[Condition, Trust]], other: dict[int, tuple[Condition, Trust]]
) -> None:
    before, after = snapshot(one).rows, snapshot(other).rows
    start, end = differing(before, after)
    assert before[:start] == after[:start]
    assert before[len(before) - end :] == after[len(after) - end :]
    rest = (before[start : len(before) - end], after[start : len(after) - end])
    assert not (rest[0] and rest[1]) or (rest[0][0] != rest[1][0] and rest[0][-1] != rest[1][-1])


def test_of_a_store_that_is_being_read_nothing_is_wrong_yet() -> None:
    rows = {1: (Condition.SOUND, Trust.LISTED)}
    store = OpenStore.opened(0, "/", snapshot(rows, partial=True))
    assert store.counts.spans() == []
    store.update(snapshot(rows))
    assert store.counts.listed == 1
