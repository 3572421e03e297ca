from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orlop import times
from orlop.errors import Malformed

SECOND = 1_000_000_000
FIRST = times.parse("0000-01-01T00:00:00Z")
LAST = times.parse("9999-12-31T23:59:59.999999999Z")


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-08-29T10:14:07.123456789Z", 1_787_998_447_123_456_789),
        ("2026-08-29T12:14:07.5+02:00", 1_787_998_447_500_000_000),
        ("2026-08-29T10:14:07-00:30", 1_788_000_247 * SECOND),
        ("0001-01-01T00:00:00Z", -62_135_596_800 * SECOND),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("2000-02-29T00:00:00Z", 951_782_400 * SECOND),
        ("1970-01-01T00:00:00.1234567899Z", 123_456_789),
        ("1970-01-01T1:00:00,5Z", 3_600_500_000_000),
        ("1970-01-02T00:00:00+24:00", 0),
    ],
)
def test_a_time_is_read_to_the_nanosecond(text: str, at: int) -> None:
    assert times.parse(text) == at


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_787_998_447_123_456_789, "2026-08-29T10:14:07.123456789Z"),
        (1_787_998_447_120_000_000, "2026-08-29T10:14:07.12Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (-62_135_596_800 * SECOND, "0001-01-01T00:00:00Z"),
        (FIRST - SECOND, "-0001-12-31T23:59:59Z"),
        (LAST + 1, "10000-01-01T00:00:00Z"),
    ],
)
def test_a_time_is_written_as_go_writes_it(at: int, text: str) -> None:
    assert times.rfc3339(at) == text


@given(st.integers(FIRST, LAST))
def test_a_written_time_reads_back_exactly(at: int) -> None:
    assert times.parse(times.rfc3339(at)) == at


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_date_agrees_with_the_standard_library(moment: datetime) -> None:
    at = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    assert times.parse(moment.isoformat()) == at
    assert datetime.fromisoformat(times.rfc3339(at).ljust(20)) == moment


AS = ' as "2006-01-02T15:04:05Z07:00": '


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", AS + 'cannot parse "" as "2006"'),
        ("garbage", AS + 'cannot parse "garbage" as "2006"'),
        ("2015-01-15 10:32:18Z", AS + 'cannot parse " 10:32:18Z" as "T"'),
        ("2015-01-15T10:32:18Z\n", r': extra text: "\x0a"'),
        ("2015-01-15T10:32:18", AS + 'cannot parse "" as "Z07:00"'),
        ("2015-01-15T10:32:18z", AS + 'cannot parse "z" as "Z07:00"'),
        ("2015-01-15T10:32:18.5", AS + 'cannot parse "" as "Z07:00"'),
        ("2015-01-15t10:32:18Z", AS + 'cannot parse "t10:32:18Z" as "T"'),
        ("2015-1-15T10:32:18Z", AS + 'cannot parse "1-15T10:32:18Z" as "01"'),
        ("2015-13-15T10:32:18Z", ": month out of range"),
        ("2015-00-15T10:32:18Z", ": month out of range"),
        ("2015-02-29T10:32:18Z", ": day out of range"),
        ("1900-02-29T10:32:18Z", ": day out of range"),
        ("2015-01-00T10:32:18Z", ": day out of range"),
        ("2015-01-15T10:60:18Z", ": minute out of range"),
        ("2015-01-15T10:32:60Z", ": second out of range"),
        ("2015-01-15T10:32:18+25:00", ": time zone offset hour out of range"),
        ("2015-01-15T10:32:18+00:61", ": time zone offset minute out of range"),
        ("2015-01-15T10:32:18.Z", AS + 'cannot parse ".Z" as "Z07:00"'),
        ("2015-01-15T:32:18Z", AS + 'cannot parse ":32:18Z" as "15"'),
        ("2015-01-15T24:00:00Z", ": hour out of range"),
        ("２０15-01-15T10:32:18Z", None),
        ("2015-01-15T10:32:18.٣Z", None),
        ("+015-01-15T10:32:18Z", None),
        ("\udcff", None),
        ("9" * 1_000_000, None),
    ],
)
def test_any_other_text_is_refused_with_the_words_of_go(text: str, complaint: str | None) -> None:
    with pytest.raises(Malformed) as caught:
        times.parse(text)
    assert caught.value.engine.startswith("parsing time ")
    assert len(caught.value.engine) < 1000
    if complaint is not None:
        assert caught.value.engine.endswith(f'"{complaint}')


@given(st.text(max_size=40) | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.,]?[0-9]*Z?"))
def test_a_text_gives_a_time_or_is_refused(text: str) -> None:
    try:
        at = times.parse(text)
    except Malformed:
        assert not times.is_time(text)
        return
    assert times.is_time(text)
    assert times.parse(times.rfc3339(at)) == at


def test_the_last_day_of_each_month_is_a_day_and_the_next_is_none() -> None:
    lengths = {1: 31, 2: 28, 3: 31, 4: 30, 5: 31, 6: 30, 7: 31, 8: 31, 9: 30, 10: 31, 11: 30, 12: 31}
    for year in (1900, 2000, 2023, 2024):
        for month, days in lengths.items():
            days += month == 2 and year in (2000, 2024)
            assert times.is_time(f"{year}-{month:02}-{days}T00:00:00Z")
            assert not times.is_time(f"{year}-{month:02}-{days + 1}T00:00:00Z")
            assert not times.is_time(f"{year}-{month:02}-00T00:00:00Z")


def test_now_is_after_this_was_written() -> None:
    assert times.now() > times.parse("2024-01-01T00:00:00Z")
