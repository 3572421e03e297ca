"""The values in a block, one after the other, each led by a tag.

::

    00 null   01 false   02 true
    15–26     bytes, length = tag − 15h          27, 28  bytes, length in 1, 2 bytes (2: less one)
    29–3a     text, length = tag − 29h           3b, 3c  text, length in 1, 2 bytes
    45–4c     negative, 4dh − tag bytes          4d–54   positive, tag − 4ch bytes
    55–ff     the integer tag − 55h

The others are floats, complex numbers and unsigned integers, which no table of rkt
has. A negative integer is its bytes with ones before them. Texts are UTF-8 by intent;
what is not is kept with surrogate escapes. Integers are written in their shortest
form, as ql does.

Facts: cznic/exp/lldb (2015), gb.go.
"""

from typing import TypeAlias

from orlop.errors import Malformed

MOST_BYTES = 1 << 16
MOST_TEXT = (1 << 16) - 1
INT_MIN, INT_MAX = -(1 << 63), (1 << 63) - 1

_SMALL = tuple(bytes((tag,)) for tag in range(0x55, 0x100))
"""The integers that are their own tag."""


Scalar: TypeAlias = bool | int | str | bytes | None


def decode(data: bytes, most: int) -> list[Scalar]:
    """All values of some bytes.

    Args:
        data: the content of a block, or of a value inside it.
        most: how many values there may be.

    Raises:
        Malformed: a value reaches beyond the end, or there are more.
    """
    values: list[Scalar] = []
    at, end = 0, len(data)
    while at < end:
        if len(values) == most:
            raise Malformed(f"more than {most} values, where no more can be")
        tag = data[at]
        at += 1
        if tag >= 0x55:
            values.append(tag - 0x55)
            continue
        if tag >= 0x4D:
            start, at = at, at + tag - 0x4C
            values.append(int.from_bytes(data[start:at], "big", signed=tag == 0x54))
        elif tag >= 0x45:
            start, at = at, at + 0x4D - tag
            values.append(int.from_bytes(data[start:at], "big") - (1 << 8 * (0x4D - tag)))
        elif 0x15 <= tag <= 0x3C:
            start, at = _span(data, tag, at)
            value = data[start:at]
            values.append(value.decode("utf-8", "surrogateescape") if tag >= 0x29 else value)
        elif tag <= 0x02:
            values.append(None if tag == 0 else tag == 2)
        else:
            raise Malformed(f"a value with the tag {tag:02x}, which no table of rkt has")
        if at > end:
            raise Malformed(f"a value with the tag {tag:02x} reaches beyond its block")
    return values


def _span(data: bytes, tag: int, at: int) -> tuple[int, int]:
    """Where bytes or a text begin and end; the end may lie beyond the data."""
    if tag <= 0x26:
        return at, at + tag - 0x15
    if tag <= 0x28:
        start = at + tag - 0x26
        return start, start + int.from_bytes(data[at:start], "big") + (tag == 0x28)
    if tag <= 0x3A:
        return at, at + tag - 0x29
    start = at + tag - 0x3A
    return start, start + int.from_bytes(data[at:start], "big")


def encode(*values: Scalar) -> bytes:
    """The bytes of some values, one after the other.

    Raises:
        Malformed: a text, bytes or an integer is larger than the format can hold.
    """
    return b"".join(map(_encoded, values))


def _encoded(value: Scalar) -> bytes:
    if value is None:
        return b"\0"
    if isinstance(value, bool):
        return b"\2" if value else b"\1"
    if isinstance(value, int):
        return _SMALL[value] if 0 <= value < len(_SMALL) else _integer(value)
    return _text(text_bytes(value)) if isinstance(value, str) else _bytes(value)


def _integer(value: int) -> bytes:
    if not INT_MIN <= value <= INT_MAX:
        raise Malformed(f"the integer {value} does not fit 64 bits")
    if value > 0:
        width = (value.bit_length() + 7) // 8
        return bytes((0x4C + width,)) + value.to_bytes(width, "big")
    width = max(1, ((-value - 1).bit_length() + 7) // 8)  # -256 fits one byte: the sign is in the tag
    return bytes((0x4D - width,)) + (value & ((1 << 8 * width) - 1)).to_bytes(width, "big")


def text_bytes(value: str) -> bytes:
    """The bytes of a text, with those that were not UTF-8 as they came.

    Raises:
        Malformed: it has half of a surrogate pair that stands for no byte.
    """
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise Malformed("a text has half of a surrogate pair") from error


def _text(value: bytes) -> bytes:
    length = len(value)
    if length <= 0x3A - 0x29:
        return bytes((0x29 + length,)) + value
    if length <= 0xFF:
        return bytes((0x3B, length)) + value
    if length <= MOST_TEXT:
        return b"\x3c" + length.to_bytes(2, "big") + value
    raise Malformed(f"a text of {length} bytes, where the database holds {MOST_TEXT}")


def _bytes(value: bytes) -> bytes:
    length = len(value)
    if length <= 0x26 - 0x15:
        return bytes((0x15 + length,)) + value
    if length <= 0xFF:
        return bytes((0x27, length)) + value
    if length <= MOST_BYTES:
        return b"\x28" + (length - 1).to_bytes(2, "big") + value
    raise Malformed(f"{length} bytes in one value, where the database holds {MOST_BYTES}")
