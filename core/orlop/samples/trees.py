"""Small layer trees, their tar files, and the recipe that rebuilds the tar from the tree.

Format facts: tar-split's asm and storage packages (v0.11.1 to v0.12.1) and Go's
hash/crc64 with the ISO polynomial; seen on stores of Docker Engine 20.10.24.
"""

import base64
import hashlib
import json
import struct
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TypeAlias

TREE_TIME = 1_785_000_000
"""Modification time of everything in a layer, seconds."""


@dataclass(frozen=True, slots=True)
class Symlink:
    """A symbolic link in a layer; nothing says that its target exists."""

    target: str


Files: TypeAlias = Mapping[str, "bytes | Symlink | None"]
"""Path in the image → content of a file, a link, or None for a folder.

Folders above a path need not be named. A path with ``bin`` among its parts is executable.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One member of a layer's tar."""

    name: str
    """As in the tar: a folder's ends in ``/``."""
    content: "bytes | Symlink | None"

    @property
    def mode(self) -> int:
        if self.content is None or "bin" in self.name.split("/"):
            return 0o755
        return 0o644

    def header(self) -> bytes:
        """The tar header, USTAR, of root, at `TREE_TIME`."""
        info = tarfile.TarInfo(self.name)
        info.mtime = TREE_TIME
        info.mode = self.mode
        if self.content is None:
            info.type = tarfile.DIRTYPE
        elif isinstance(self.content, Symlink):
            info.type, info.linkname, info.mode = tarfile.SYMTYPE, self.content.target, 0o777
        else:
            info.size = len(self.content)
        return info.tobuf(format=tarfile.USTAR_FORMAT, errors="surrogateescape")


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A layer as the engine records it."""

    diff_id: str
    size: int
    """Bytes of the files' content, which is what the layer record says."""
    tar_split: bytes
    """Content of ``tar-split.json.gz``."""
    tar: bytes


def entries(files: Files) -> tuple[Entry, ...]:
    """The members of the tar: every folder before what is in it, sorted by name."""
    found: dict[str, bytes | Symlink | None] = {}
    for path in sorted(files):
        parts = path.split("/")
        for depth in range(1, len(parts)):
            found.setdefault("/".join(parts[:depth]) + "/", None)
        content = files[path]
        found[path + "/" if content is None else path] = content
    return tuple(Entry(name=name, content=content) for name, content in found.items())


def pack(files: Files) -> Packed:
    """Write the tar of a layer, and the recipe beside it."""
    tar = bytearray()
    segment = bytearray()
    recipe: list[dict[str, object]] = []
    size = 0
    for entry in entries(files):
        segment += entry.header()
        recipe.append(_segment(bytes(segment), len(recipe)))
        tar += segment
        segment.clear()
        content = entry.content if isinstance(entry.content, bytes) else b""
        recipe.append(_file(entry.name, content, len(recipe)))
        tar += content
        size += len(content)
        segment += bytes(-len(content) % tarfile.BLOCKSIZE)
    segment += bytes(2 * tarfile.BLOCKSIZE)
    recipe.append(_segment(bytes(segment), len(recipe)))
    recipe.append(_segment(b"", len(recipe)))
    tar += segment
    lines = b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in recipe)
    diff_id = "sha256:" + hashlib.sha256(tar).hexdigest()
    return Packed(diff_id=diff_id, size=size, tar_split=_gzip(lines), tar=bytes(tar))


def _segment(payload: bytes, position: int) -> dict[str, object]:
    return {"type": 2, "payload": base64.b64encode(payload).decode(), "position": position}


def _file(name: str, content: bytes, position: int) -> dict[str, object]:
    line: dict[str, object] = {"type": 1}
    raw = name.encode("utf-8", "surrogateescape")
    try:
        line["name"] = raw.decode()
    except UnicodeDecodeError:
        line["name_raw"] = base64.b64encode(raw).decode()
    if content:
        line["size"] = len(content)
    line["payload"] = base64.b64encode(struct.pack(">Q", crc64(content))).decode() if content else None
    return {**line, "position": position}


def _gzip(data: bytes) -> bytes:
    """A gzip file without name and time, as Go's writer begins it."""
    deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflate.compress(data) + deflate.flush()
    trailer = struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)
    return bytes.fromhex("1f8b08000000000000ff") + body + trailer


# --- the checksum of file contents -----------------------------------------

_POLYNOMIAL = 0xD800000000000000
_ALL_ONES = 0xFFFFFFFFFFFFFFFF


def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE = _table()


@lru_cache(maxsize=256)
def crc64(data: bytes) -> int:
    """CRC-64 with the ISO 3309 polynomial, reflected, as Go's ``crc64.Checksum(data, MakeTable(ISO))``."""
    head = data.rstrip(b"\0")
    value = _ALL_ONES
    for byte in head:
        value = _TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    return _zeros(value, len(data) - len(head)) ^ _ALL_ONES


def _zeros(value: int, count: int) -> int:
    """The register after `count` zero bytes: that step is linear, so it is squared instead of repeated."""
    for bit in range(count.bit_length()):
        if count >> bit & 1:
            value = _times(_zero_step(bit), value)
    return value


@cache
def _zero_step(bit: int) -> tuple[int, ...]:
    """The step over ``2 ** bit`` zero bytes, as the images of the 64 single bits."""
    if bit == 0:
        return tuple(_TABLE[1 << lane & 0xFF] ^ (1 << lane >> 8) for lane in range(64))
    half = _zero_step(bit - 1)
    return tuple(_times(half, column) for column in half)


def _times(columns: tuple[int, ...], value: int) -> int:
    result = 0
    while value:
        low = value & -value
        result ^= columns[low.bit_length() - 1]
        value ^= low
    return result
