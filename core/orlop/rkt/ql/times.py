"""Times in rows: Go's binary form of an instant inside a message of its gob encoding.

::

    13        length of the rest        ff 8a  type id, which depends on the program that wrote it
    00        no differences            0f     length of the rest
    01 <8: seconds since year 1> <4: nanoseconds> <2: minutes east of UTC, or ffff for UTC>

A program can only read times that have its own type id, so new ones are written with
the bytes that lead those already in the file.

Facts: Go time.Time.MarshalBinary (version 2, with seconds of the zone, has 16 bytes);
cznic/ql etc.go as vendored by rkt v1.30.0; files written by rkt 1.30.0.
"""

from functools import lru_cache

from orlop.errors import Malformed
from orlop.rkt.ql import scalars

PREFIX = bytes.fromhex("13ff8a000f")
"""What rkt 1.30.0 leads its times with."""

_SECOND = 1_000_000_000
_YEAR_1 = -62_135_596_800
_UTC = b"\xff\xff"


@lru_cache(maxsize=4096)
def parse(data: bytes) -> int:
    """The instant of a time value: nanoseconds UTC since 1970.

    Raises:
        Malformed: it is no such message.
    """
    binary = data[_head(data) :]
    seconds = int.from_bytes(binary[1:9], "big", signed=True) + _YEAR_1
    return seconds * _SECOND + int.from_bytes(binary[9:13], "big", signed=True)


def prefix(data: bytes) -> bytes:
    """The bytes of a time value that lead a time of version 1, as this writer would write it.

    Raises:
        Malformed: it is no such message.
    """
    type_end = _head(data) - 2
    return bytes((type_end - 1 + 2 + 15,)) + data[1:type_end] + b"\0\x0f"


def form(instant: int, prefix: bytes = PREFIX) -> bytes:
    """The time value of an instant, in UTC.

    Args:
        instant: nanoseconds since 1970.
        prefix: what leads it, as `prefix` gives it.

    Raises:
        Malformed: the instant is beyond what the form can hold.
    """
    seconds, nanoseconds = divmod(instant, _SECOND)
    since = seconds - _YEAR_1
    if not scalars.INT_MIN <= since <= scalars.INT_MAX:
        raise Malformed(f"the time {instant} does not fit a row")
    return prefix + b"\1" + since.to_bytes(8, "big", signed=True) + nanoseconds.to_bytes(4, "big") + _UTC


def _head(data: bytes) -> int:
    """Where Go's binary form begins: after a length, a type id, a zero and another length."""
    if len(data) >= 18 and data[0] == len(data) - 1:
        at = 2 if data[1] < 0x80 else 2 + 0x100 - data[1]  # a number below 128 is its own byte
        if data[at : at + 1] == b"\0":
            rest = data[at + 1 : at + 3]
            if rest in (b"\x0f\x01", b"\x10\x02") and len(data) - at - 2 == rest[0]:
                return at + 2
    raise Malformed(f"a time of {len(data)} bytes is not in the form that rkt writes")
