"""What small files said when they were read, remembered between runs; never in the store itself.

One file for each store in a folder of the user's: tables of bytes whose meaning the kind
knows. It is believed only if it belongs to this user, nobody else may write to it, it was
written by this very version of the program, and its hash is right; else it is as if there
were none. What it says of a file is worth something only together with a number for the
version of that file, which whoever fills the tables puts beside it.

::

    orlopr1\\n                        8 bytes
    version of the program           1 byte of length, text
    tables                           1 byte of count; for each a name as above, 8 bytes of length; then their bytes
    hash of all before               blake2b, 32 bytes

Numbers are big-endian.
"""

import hashlib
import os
import struct
from collections.abc import Mapping

from orlop import __version__
from orlop.errors import Malformed, NotFound, OrlopError
from orlop.fs import Root, translate

LIMIT = 256 * 1024 * 1024
"""Bytes of a file that are read or written at most."""

_MAGIC = b"orlopr1\n"
_LENGTH = struct.Struct(">Q")
_SUM = 32
_OTHERS_WRITE = 0o022


class Remembered:
    """The tables of one store.

    Args:
        folder: of the user; None: nothing is remembered.
        store: `StoreId.token`.
    """

    def __init__(self, folder: str | None, store: str) -> None:
        self._folder = folder
        self._name = hashlib.blake2b(store.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest() + ".read"

    def tables(self) -> Mapping[str, bytes]:
        """What was saved last; nothing where that cannot be had or believed."""
        if self._folder is None:
            return {}
        try:
            with Root.open(self._folder) as root:
                for found in (root.stat(""), root.stat(self._name)):
                    if found.uid != os.geteuid() or found.mode & _OTHERS_WRITE:
                        return {}
                return _parsed(root.read(self._name, LIMIT))
        except NotFound:
            return {}
        except OrlopError:
            return {}  # it is written anew

    def save(self, tables: Mapping[str, bytes]) -> None:
        """Put tables in place of what was saved before; atomic, also between programs: the last one stays.

        Raises:
            ReadOnly, NoPermission, NoSpace, StorageFailure: it cannot be written; nothing is lost but time.
        """
        data = _written(tables)
        if self._folder is None or len(data) > LIMIT:
            return
        from orlop.fs.writer import Writer  # deferred: only what writes needs it

        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
        except OSError as error:
            raise translate(error, "what was read cannot be remembered", self._folder) from error
        with Root.open(self._folder) as root:
            Writer(root).replace(self._name, data)


def _written(tables: Mapping[str, bytes]) -> bytes:
    head = [_MAGIC, _text(__version__), bytes((len(tables),))]
    for name, table in tables.items():
        head += (_text(name), _LENGTH.pack(len(table)))
    hashing = hashlib.blake2b(digest_size=_SUM)
    parts = [*head, *tables.values()]
    for part in parts:
        hashing.update(part)
    return b"".join((*parts, hashing.digest()))


def _text(text: str) -> bytes:
    return bytes((len(text),)) + text.encode("ascii")


def _parsed(data: bytes) -> Mapping[str, bytes]:
    if not data.startswith(_MAGIC) or hashlib.blake2b(data[:-_SUM], digest_size=_SUM).digest() != data[-_SUM:]:
        raise Malformed("it is torn")
    at = len(_MAGIC)

    def text() -> str:
        nonlocal at
        end = at + 1 + data[at]
        found = data[at + 1 : end].decode("ascii")
        at = end
        return found

    if text() != __version__:
        return {}
    at += 1
    lengths: list[tuple[str, int]] = []
    for _ in range(data[at - 1]):
        name = text()
        lengths.append((name, _LENGTH.unpack_from(data, at)[0]))
        at += _LENGTH.size
    tables: dict[str, bytes] = {}
    for name, length in lengths:
        tables[name] = data[at : at + length]
        at += length
    return tables
