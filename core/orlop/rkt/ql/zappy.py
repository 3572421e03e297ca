"""The compression of blocks: literal bytes and copies of what came before.

A block begins with the length of what it unpacks to (unsigned varint); then pieces,
each led by a signed varint n (zigzag): n ≥ 0 stands before n + 1 literal bytes, n < 0
before an unsigned varint that says how far back −n bytes are copied from. A copy may
run into itself. Nothing is ever written compressed here: a plain block is always right.

Facts: cznic/zappy (2015), decode.go; cznic/exp/lldb, falloc.go.
"""

from orlop.errors import Malformed

_LONGEST_VARINT = 10


def unpack(data: bytes, limit: int) -> bytes:
    """What a compressed block stands for.

    Args:
        data: the content of the block.
        limit: bytes that it may unpack to at most; the length it claims is checked first.

    Raises:
        Malformed: it is no such content, or would be larger.
    """
    length, at = _varint(data, 0)
    if length > limit:
        raise Malformed(f"a compressed block claims {length} bytes, where {limit} are the most")
    unpacked = bytearray()
    end = len(data)
    while at < end:
        head = data[at]
        if head < 0x80:
            at += 1
        else:
            head, at = _varint(data, at)
        if head & 1:
            count = (head + 1) >> 1
            if at < end and data[at] < 0x80:
                back = data[at]
                at += 1
            else:
                back, at = _varint(data, at)
            have = len(unpacked)
            if not 0 < back <= have:
                raise Malformed("a compressed block copies from before its beginning")
            if have + count > length:
                raise Malformed("a compressed block unpacks to more than it claims")
            if back >= count:
                unpacked += unpacked[have - back : have - back + count]
            else:
                unpacked += (bytes(unpacked[have - back :]) * (count // back + 1))[:count]
        else:
            count = (head >> 1) + 1
            if at + count > end or len(unpacked) + count > length:
                raise Malformed("a compressed block has literal bytes beyond its end")
            unpacked += data[at : at + count]
            at += count
    if len(unpacked) != length:
        raise Malformed("a compressed block unpacks to less than it claims")
    return bytes(unpacked)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned varint, and where it ends: seven bits a byte, lowest first."""
    value = 0
    for index, byte in enumerate(data[at : at + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise Malformed("a compressed block ends in the middle of a number")
