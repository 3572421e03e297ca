"""Times: integer nanoseconds UTC since 1970 inside, RFC 3339 at the edge.

Go writes times as RFC 3339 with up to nine digits of fraction, trailing zeros
dropped (package time, ``RFC3339Nano``). No float is ever used: one cannot hold
nanoseconds. Go's zero time, ``0001-01-01T00:00:00Z``, is a negative number.
"""

import re
import time

from orlop.errors import Malformed

_SHAPE = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_SECOND = 1_000_000_000
_DAY = 86_400


def parse(text: str) -> int:
    """The instant of an RFC 3339 text, exact; digits after the ninth of the fraction are dropped.

    As Go ≥ 1.20 reads a time in JSON: capital ``T`` and ``Z``, two-digit hour, a
    full stop before the fraction, an offset below 24:00, no leap second.

    Raises:
        Malformed: anything else.
    """
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise _malformed(text)
    year, month, day, hour, minute, second = map(int, match.group(1, 2, 3, 4, 5, 6))
    fraction, sign, offset_hours, offset_minutes = match.group(7, 8, 9, 10)
    if not 1 <= month <= 12 or not 1 <= day <= _days_in(year, month) or hour > 23 or minute > 59 or second > 59:
        raise _malformed(text)
    seconds = _days_before(year, month, day) * _DAY + hour * 3600 + minute * 60 + second
    if sign is not None:
        if int(offset_hours) > 23 or int(offset_minutes) > 59:
            raise _malformed(text)
        offset = int(offset_hours) * 3600 + int(offset_minutes) * 60
        seconds += offset if sign == "-" else -offset
    return seconds * _SECOND + (int(fraction[:9].ljust(9, "0")) if fraction else 0)


def rfc3339(at: int) -> str:
    """The instant in UTC with ``Z``, as many digits of fraction as it needs, at most nine."""
    seconds, fraction = divmod(at, _SECOND)
    days, rest = divmod(seconds, _DAY)
    year, month, day = _date_of(days)
    text = f"{_year(year)}-{month:02}-{day:02}T{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    if fraction:
        text += f".{fraction:09}".rstrip("0")
    return text + "Z"


def now() -> int:
    """The present instant."""
    return time.time_ns()


def _malformed(text: str) -> Malformed:
    return Malformed(
        "not a time as RFC 3339 writes it",
        engine=f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00"',
    )


def _year(year: int) -> str:
    return f"{year:04}" if year >= 0 else f"-{-year:04}"


def _leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _days_in(year: int, month: int) -> int:
    return 29 if month == 2 and _leap(year) else _MONTH_DAYS[month - 1]


def _days_before(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01, in the proleptic Gregorian calendar with a year 0."""
    if month <= 2:
        year -= 1
        month += 12
    # Counted in years that begin in March, so that the leap day is the last.
    return year * 365 + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 1 - 719_468


def _date_of(days: int) -> tuple[int, int, int]:
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    march_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * march_month + 2) // 5 + 1
    month = march_month + 3 if march_month < 10 else march_month - 9
    return era * 400 + year_of_era + (1 if month <= 2 else 0), month, day
