"""tar-split.json.gz: what a layer's archive held.

Format: github.com/vbatts/tar-split, tar/storage (entry.go): gzip of JSON lines; an
entry of type 1 is a file with its ``size``, one of type 2 raw bytes of the archive.
"""

import json
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from orlop.errors import Malformed

_BLOCK = 256 * 1024
LIMIT = 4 * 1024 * 1024 * 1024
"""Unpacked bytes that are read at most: far above any real recipe, and an end to a gzip bomb."""
_LINE_LIMIT = 64 * 1024 * 1024


def content_size(stream: BinaryIO) -> int:
    """The sum of the sizes of all files in a layer's archive, in bytes.

    Raises:
        Malformed: no gzip, cut, or a line that is no entry.
    """
    total = 0
    for line in _lines(stream):
        try:
            entry = json.loads(line)
            if entry.get("type") == 1:
                total += int(entry.get("size") or 0)
        except (ValueError, AttributeError, TypeError, RecursionError) as error:
            raise Malformed("a line is no tar-split entry") from error
    return total


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Lines of the unpacked text, in pieces, so that no recipe is held whole."""
    unpack = zlib.decompressobj(wbits=31)
    rest = b""
    done = 0
    while block := stream.read(_BLOCK):
        while block:
            try:
                text = unpack.decompress(block, _BLOCK)
            except zlib.error as error:
                raise Malformed("it is no gzip file, or damaged", engine=f"gzip: {error}") from error
            block = unpack.unconsumed_tail
            done += len(text)
            *lines, rest = (rest + text).split(b"\n")
            if done > LIMIT or len(rest) > _LINE_LIMIT:
                raise Malformed("it unpacks to more than any layer's recipe")
            yield from lines
    if not unpack.eof:
        raise Malformed("the file is cut short", engine="unexpected EOF")
    if rest:
        yield rest
