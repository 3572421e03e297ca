"""TarSum: the checksum of what a layer unpacks to, rather than of its bytes.

Source: moby v1.5.0, ``pkg/tarsum`` with its specification. Texts are ``tarsum.v1+sha256:``
and 64 hex digits; version 0 is ``tarsum+sha256:``, the floating one ``tarsum.dev+sha256:``.
Two byte streams can share a sum: times (from version 1 on), the order of entries, the
dialect of the headers, padding and what lies behind the end do not count.
"""

import hashlib
from collections import Counter
from functools import cmp_to_key
from typing import BinaryIO, Literal, NamedTuple

from orlop.errors import Malformed
from orlop.registry.tarentries import Entry, entries

Version = Literal["v0", "v1", "dev"]

LABELS: dict[Version, str] = {"v0": "tarsum", "v1": "tarsum.v1", "dev": "tarsum.dev"}
"""How each version is written before the ``+``."""

ENTRIES_LIMIT = 5_000_000
"""Entries of one archive; each is remembered until all are sorted."""

_INSERTED = 12  # up to here Go's sort is an insertion sort


class _Sum(NamedTuple):
    digest: bytes
    name: bytes
    position: int


def tarsum(stream: BinaryIO, version: Version = "v1") -> str:
    """The sum of a tar archive, read once and forwards; some hundred bytes an entry are held.

    Raises:
        Malformed: not a tar archive, or one that stops in the middle of an entry
            (`engine`: ``archive/tar: invalid tar header`` or ``unexpected EOF``).
    """
    sums: list[_Sum] = []
    for entry, content in entries(stream):
        if len(sums) == ENTRIES_LIMIT:
            raise Malformed(f"the tar archive has more than {ENTRIES_LIMIT} entries")
        state = hashlib.sha256(_fields(entry, version))
        for piece in content:
            state.update(piece)
        sums.append(_Sum(state.digest(), _name(entry), len(sums)))
    whole = hashlib.sha256()
    for one in _ordered(sums):
        whole.update(one.digest.hex().encode())
    return f"{LABELS[version]}+sha256:{whole.hexdigest()}"


def version_of(text: str) -> Version:
    """The version that a text begins with, up to its ``+``.

    Raises:
        Malformed: no version of TarSum is named there.
    """
    label = text.partition("+")[0]
    for version, known in LABELS.items():
        if label == known:
            return version
    raise Malformed("not the text of a TarSum", engine="string does not include a TarSum Version")


def _fields(entry: Entry, version: Version) -> bytes:
    """What is hashed before the content: keys and values with nothing between them."""
    times = [(b"mtime", entry.modified)] if version == "v0" else []
    attributes = [] if version == "v0" else sorted(entry.attributes.items())
    fields: list[tuple[bytes, bytes | int]] = [
        (b"name", entry.name),
        (b"mode", entry.mode),
        (b"uid", entry.user_id),
        (b"gid", entry.group_id),
        (b"size", entry.size),
        *times,
        (b"typeflag", entry.typeflag),
        (b"linkname", entry.link_name),
        (b"uname", entry.user),
        (b"gname", entry.group),
        (b"devmajor", entry.device_major),
        (b"devminor", entry.device_minor),
        *attributes,
    ]
    return b"".join(key + (value if isinstance(value, bytes) else b"%d" % value) for key, value in fields)


def _name(entry: Entry) -> bytes:
    """What tells entries of one name: short, for a hostile name can be long."""
    name = entry.name.removeprefix(b"./").removesuffix(b"/")
    return hashlib.blake2b(name, digest_size=16).digest()


def _ordered(sums: list[_Sum]) -> list[_Sum]:
    """By digest; entries of one name by position.

    The two can contradict each other when other sums lie between those of one name. The
    original then gives what its sort happens to do: for a dozen entries an insertion
    sort, which is repeated here; beyond, its answer changed with Go's releases.
    """
    names = Counter(one.name for one in sums)
    if len(names) == len(sums):
        return sorted(sums)
    if len(sums) > _INSERTED:
        return sorted(sums, key=cmp_to_key(_compared))
    ordered: list[_Sum] = []
    for one in sums:
        place = len(ordered)
        while place and _before(one, ordered[place - 1]):
            place -= 1
        ordered.insert(place, one)
    return ordered


def _before(one: _Sum, other: _Sum) -> bool:
    if one.name == other.name:
        return one.position < other.position
    return one.digest < other.digest


def _compared(one: _Sum, other: _Sum) -> int:
    return int(_before(other, one)) - int(_before(one, other))
