"""Times: integer nanoseconds UTC since 1970 inside, RFC 3339 at the edge.

Go writes times as RFC 3339 with up to nine digits of fraction, trailing zeros
dropped (package time, ``RFC3339Nano``). No float is ever used: one cannot hold
nanoseconds. Go's zero time, ``0001-01-01T00:00:00Z``, is a negative number.
"""

import re
import time
from functools import lru_cache

from orlop.errors import Malformed
from orlop.text import middle

_SHAPE = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]+))?(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)
USUAL = (
    r"[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?Z"
)
"""A pattern of what nearly every time looks like; all that matches is one."""
_USUAL = re.compile(USUAL)
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_SECOND = 1_000_000_000
_DAY = 86_400


def parse(text: str) -> int:
    """The instant of an RFC 3339 text, exact; digits after the ninth of the fraction are dropped.

    As Go's ``time.Parse`` reads it: capital ``T`` and ``Z``, no leap second, an hour of
    one digit too, a comma too before the fraction, offsets of 24 hours and of 60
    minutes too. In JSON, Go ≥ 1.20 refuses those four; engines made with an older one
    load such an image, so it is read here.

    Raises:
        Malformed: anything else; `engine` has Go's words.
    """
    if _USUAL.fullmatch(text) is not None:
        seconds = _midnight(text[:10]) + int(text[11:13]) * 3600 + int(text[14:16]) * 60 + int(text[17:19])
        return seconds * _SECOND + int(text[20:29].rstrip("Z").ljust(9, "0"))
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise _malformed(text)
    year, month, day, hour, minute, second = map(int, match.group(1, 2, 3, 4, 5, 6))
    fraction, sign, offset_hours, offset_minutes = match.group(7, 8, 9, 10)
    if not 1 <= month <= 12 or not 1 <= day <= _days_in(year, month) or hour > 23 or minute > 59 or second > 59:
        raise _malformed(text)
    seconds = _days_before(year, month, day) * _DAY + hour * 3600 + minute * 60 + second
    if sign is not None:
        if int(offset_hours) > 24 or int(offset_minutes) > 60:
            raise _malformed(text)
        offset = int(offset_hours) * 3600 + int(offset_minutes) * 60
        seconds += offset if sign == "-" else -offset
    return seconds * _SECOND + (int(fraction[:9].ljust(9, "0")) if fraction else 0)


@lru_cache(maxsize=4096)
def _midnight(date: str) -> int:
    """Seconds since 1970 of the first instant of a valid date."""
    return _days_before(int(date[:4]), int(date[5:7]), int(date[8:])) * _DAY


def is_time(text: str) -> bool:
    """Whether `parse` reads a text; quicker."""
    if _USUAL.fullmatch(text) is not None:
        return True
    try:
        parse(text)
    except Malformed:
        return False
    return True


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


_LAYOUT = "2006-01-02T15:04:05Z07:00"
_ELEMENTS = (
    ("2006", r"[0-9]{4}", 0, 9999, ""),
    ("-", r"-", 0, 0, ""),
    ("01", r"[0-9]{2}", 1, 12, "month"),
    ("-", r"-", 0, 0, ""),
    ("02", r"[0-9]{2}", 0, 99, ""),
    ("T", r"T", 0, 0, ""),
    ("15", r"[0-9]{1,2}", 0, 23, "hour"),
    (":", r":", 0, 0, ""),
    ("04", r"[0-9]{2}", 0, 59, "minute"),
    (":", r":", 0, 0, ""),
    ("05", r"[0-9]{2}(?:[.,][0-9]+)?", 0, 59, "second"),
    ("Z07:00", r"Z|[+-][0-9]{2}:[0-9]{2}", 0, 0, ""),
)
"""What Go looks for in turn: its name in a layout, its pattern, its least and greatest number, what it is."""


def _malformed(text: str) -> Malformed:
    return Malformed("not a time as RFC 3339 writes it", engine=f"parsing time {_quoted(text)}{_complaint(text)}")


def _complaint(text: str) -> str:
    """What Go's ``time.Parse`` finds first in a text that `parse` refuses."""
    at = 0
    part = ""
    for element, pattern, least, greatest, name in _ELEMENTS:
        found = re.compile(pattern).match(text, at)
        if found is None:
            return f" as {_quoted(_LAYOUT)}: cannot parse {_quoted(text[at:])} as {_quoted(element)}"
        part, at = found.group(), found.end()
        if name and not least <= int(part[:2]) <= greatest:
            return f": {name} out of range"
    if part != "Z" and (int(part[1:3]) > 24 or int(part[4:]) > 60):
        return f": time zone offset {'hour' if int(part[1:3]) > 24 else 'minute'} out of range"
    return f": extra text: {_quoted(text[at:])}" if at < len(text) else ": day out of range"


def _quoted(text: str) -> str:
    """As Go quotes a time that it refuses; a long one cut, which Go does not."""
    quoted = ""
    for byte in middle(text, 120).encode("utf-8", "surrogatepass"):
        if byte < 0x20 or byte >= 0x80:
            quoted += f"\\x{byte:02x}"
        else:
            quoted += f"\\{chr(byte)}" if byte in b'"\\' else chr(byte)
    return f'"{quoted}"'


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
