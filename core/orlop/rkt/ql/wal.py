"""The write-ahead log of a database: what a commit was about to write when its program ended.

A commit writes the log and syncs it; then the database; then it empties the log. A log
with something in it thus means a program that was killed: before its last packet the
database is untouched, after it the database may be half written and the log has the
rest. ql never replays it: it refuses to open, and rkt then deletes it.

A packet is the length of its values in 4 bytes, the values, and zeros up to 16 bytes.
``[0, 0, ""]`` begins the log, ``[1, bytes, offset]`` writes, ``[2, size]`` is the last:
the database is cut to that size. Offsets and sizes leave the 16 bytes of header out.

Facts: cznic/exp/lldb (2015), 2pc.go; cznic/ql file.go as vendored by rkt v1.30.0.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from orlop.errors import Malformed
from orlop.rkt.ql import scalars
from orlop.rkt.ql.blocks import ATOM, HEADER
from orlop.rkt.ql.faults import faults

_BEGIN, _WRITE, _END = 0, 1, 2
_LARGEST = 64 << 20


class LogState(Enum):
    """What a log means for its database."""

    EMPTY = "empty"
    """The last commit came to its end."""
    COMPLETE = "complete"
    """The commit was decided, and the database may have a part of it: `applied` gives the whole."""
    INCOMPLETE = "incomplete"
    """The commit was not decided, and the database is as before it; or it is no such log at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A log, read."""

    state: LogState
    writes: tuple[tuple[int, bytes], ...] = ()
    """Offset in the file, header included, and the bytes to be there."""
    size: int = 0
    """Bytes of the whole file after a complete log."""
    why: str = ""
    """Why it is incomplete, a clause."""


def parse(data: bytes) -> Log:
    """What a log holds; nothing makes this fail.

    Args:
        data: the whole log.
    """
    if not data:
        return Log(state=LogState.EMPTY)
    try:
        return _parsed(data)
    except Malformed as error:
        return Log(state=LogState.INCOMPLETE, why=error.why)


def wal_state(data: bytes) -> LogState:
    """Whether a log is empty, complete or neither."""
    return parse(data).state


def applied(database: bytes, log: bytes) -> bytes:
    """The file of a database after all that a complete log has for it; applying it twice is the same as once.

    Args:
        database: the whole file, at any state between before and after the commit.
        log: the whole log.

    Returns:
        A file whose rows can be read, and whose indexes and free lists agree with them.

    Raises:
        Malformed: the log is empty or incomplete; or what it makes is no such file.
    """
    parsed = parse(log)
    if parsed.state is not LogState.COMPLETE:
        raise Malformed(f"the write-ahead log is {parsed.state.value}", field=parsed.why)
    result = bytearray(database[: parsed.size].ljust(parsed.size, b"\0"))
    result[: len(HEADER)] = HEADER
    for offset, data in parsed.writes:
        kept = data[: max(parsed.size - offset, 0)]
        result[offset : offset + len(kept)] = kept
    made = bytes(result)
    found = faults(made)
    if found:
        raise Malformed(f"the write-ahead log does not belong to this database: {found[0]}")
    return made


def _parsed(data: bytes) -> Log:
    packets = _packets(data)
    if next(packets, None) != [0, 0, ""]:
        raise Malformed("it does not begin as a log does")
    writes: list[tuple[int, bytes]] = []
    for packet in packets:
        match packet:
            case [int(tag), bytes(written), int(offset)] if tag == _WRITE and 0 <= offset <= _LARGEST:
                writes.append((offset + len(HEADER), written))
            case [int(tag), int(size)] if tag == _END and 0 <= size <= _LARGEST:
                if next(packets, None) is not None:
                    raise Malformed("something follows the packet that ends it")
                return Log(state=LogState.COMPLETE, writes=tuple(writes), size=size + len(HEADER))
            case _:
                raise Malformed("a packet is of no known kind")
    raise Malformed("the packet that ends it is missing: the commit was cut off before it was decided")


def _packets(data: bytes) -> Iterator[list[scalars.Scalar]]:
    at = 0
    while at < len(data):
        start = at + 4
        end = start + int.from_bytes(data[at:start], "big")
        at = end + -end % ATOM
        if at > len(data):
            raise Malformed("it ends in the middle of a packet: the commit was cut off before it was decided")
        yield scalars.decode(data[start:end], 3)
