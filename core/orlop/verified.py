"""What was hashed and found to be what its name says, remembered between runs; never in the store itself.

One file for each store in a folder of the user's. It is compact, so that a hundred
thousand entries load in milliseconds, and ends in a hash of itself: torn or
written over, it is worth nothing and is begun anew; nor is it believed where somebody
else owns it, or may write to it or to its folder. An entry is found by a hash of
what was verified and of the version that the file had, so none can ever stand for
other bytes of another file; bytes that rot under an unchanged version are what
verifying again is for, and why the date is always shown.

::

    orlopv1\\n                       8 bytes
    entries, sorted by key          40 bytes each: key 16, time 8, depth 16
    hash of all before              blake2b, 32 bytes

Numbers are big-endian; a time is nanoseconds UTC.
"""

import hashlib
import os
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from orlop import times
from orlop.errors import Locked, NotFound, OrlopError
from orlop.fs import Root, translate

Version: TypeAlias = tuple[int, int, int, int, int]
"""As `orlop.fs.Stat.version`: device, inode, modification and change time in nanoseconds, size."""

MOST = 1_000_000
"""Entries of one store that are kept; the oldest go first."""

_MAGIC = b"orlopv1\n"
_KEY = 16
_VALUE = struct.Struct(">q16s")
_SIZE = _KEY + _VALUE.size
_SUM = 32
_PATIENCE = 10.0
_SECOND = 1_000_000_000
_TICKS = 50_000_000
_COARSE = 2 * _SECOND
"""The same where a file system keeps whole seconds, or every other one."""
_OTHERS_WRITE = 0o022
_NOTHING = bytes(16)
_GONE = _VALUE.pack(0, _NOTHING)


class Seen(NamedTuple):
    """When something was verified."""

    at: int
    """Nanoseconds UTC."""
    depth: bytes
    """For a thing of many files: a hash of all their versions, 16 bytes; zeros for a single file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One thing that was verified, on its way into the cache."""

    digest: str
    """What it is: a digest, diff id or key."""
    version: str
    """Opaque: of the file, or of what stands for a thing of many files."""
    at: int
    depth: bytes = _NOTHING


class VerifiedCache:
    """What was verified of one store.

    Args:
        folder: of the user; None: nothing is kept beyond this object's life.
        store: `StoreId.token`.
    """

    def __init__(self, folder: str | None, store: str) -> None:
        self._folder = folder
        self._name = hashlib.blake2b(store.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest() + ".verified"
        self._entries: dict[bytes, bytes] = {}
        """Key → value, packed: a hundred thousand are not taken apart before somebody asks."""
        self._fresh: dict[bytes, bytes] = {}
        self.changes = 0
        """Grows with everything that is noted or forgotten."""
        self.why = ""
        """Why what was remembered could not be used, one clause; else empty."""
        self._load()

    @property
    def folder(self) -> str | None:
        """The folder of the user that it is kept in."""
        return self._folder

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, digest: str, version: str) -> Seen | None:
        """When this digest was verified in this version; None where it never was, as far as is known."""
        found = self._entries.get(_key(digest, version))
        return None if found is None else Seen(*_VALUE.unpack(found))

    def add(self, proofs: Iterable[Proof]) -> None:
        """Remember, in memory; `save` makes it last."""
        for proof in proofs:
            key = _key(proof.digest, proof.version)
            self._entries[key] = self._fresh[key] = _VALUE.pack(proof.at, proof.depth)
            self.changes += 1

    def forget(self, digest: str, version: str) -> None:
        """What was found wrong is no longer verified."""
        key = _key(digest, version)
        if self._entries.pop(key, None) is not None:
            self._fresh[key] = _GONE
            self.changes += 1

    def save(self) -> None:
        """Write down what is new, beside what another program wrote meanwhile; atomic.

        Raises:
            Locked: another program holds the file for too long.
            ReadOnly, NoPermission, NoSpace, StorageFailure: it cannot be written; nothing is lost but time.
        """
        if self._folder is None or not self._fresh:
            return
        from filelock import FileLock, Timeout  # deferred: only what writes needs it

        from orlop.fs.writer import Writer

        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            lock = FileLock(os.path.join(self._folder, f"{self._name}.lock"), timeout=_PATIENCE, mode=0o600)
            with lock, Root.open(self._folder) as root:
                merged = {**_read(root, self._name)[0], **self._fresh}
                merged = {key: value for key, value in merged.items() if value != _GONE}
                if len(merged) > MOST:
                    newest = sorted(merged.items(), key=lambda item: item[1], reverse=True)  # the time comes first
                    merged = dict(newest[:MOST])
                Writer(root).replace(self._name, _written(merged))
        except Timeout as error:
            raise Locked("what was verified cannot be remembered", path=self._folder) from error
        except OSError as error:
            raise translate(error, "what was verified cannot be remembered", self._folder) from error
        self._entries = merged
        self._fresh = {}

    def _load(self) -> None:
        if self._folder is None:
            return
        try:
            with Root.open(self._folder) as root:
                self._entries, self.why = _read(root, self._name)
        except NotFound:
            return
        except OrlopError as error:
            self.why = str(error)


class Dates:
    """When single files of a store were verified, for those who ask of all of them again and again.

    An answer is kept for as long as the file and the cache stay what they are.
    """

    def __init__(self, cache: VerifiedCache | None) -> None:
        self._cache = cache
        self._known: dict[str, tuple[Version, int | None]] = {}
        self._as_of = cache.changes if cache is not None else 0

    def __bool__(self) -> bool:
        """Whether there is anything to ask."""
        return self._cache is not None and len(self._cache) > 0

    def renew(self) -> bool:
        """Let go of the answers if the cache is no longer what it was; whether that was so."""
        if self._cache is None or self._cache.changes == self._as_of:
            return False
        self._as_of = self._cache.changes
        self._known = {}
        return True

    def of(self, digest: str, version: Version | None) -> int | None:
        """When this was verified, nanoseconds UTC; None where it was not, or the version is not known."""
        if self._cache is None or version is None:
            return None
        known = self._known.get(digest)
        if known is None or known[0] != version:
            seen = self._cache.find(digest, version_text(version))
            known = self._known[digest] = (version, seen.at if seen is not None else None)
        return known[1]


def version_text(version: Version) -> str:
    """The version of a single file, as proofs have it."""
    device, inode, mtime, ctime, size = version
    return f"{device}:{inode}:{mtime}:{ctime}:{size}"


def settled(version: Version) -> bool:
    """Whether anything written to a file from now on gives it another version; waits for a moment where that helps.

    The kernel takes the times of files from a clock of coarse ticks: what is written in
    the tick of the last change would not show. Whoever sets the modification time of a
    file cannot set that of its change.

    Args:
        version: of the file, before its bytes are read.
    """
    return settled_at(version[3])


def settled_at(changed: int) -> bool:
    """As `settled`, by the time of the last change, nanoseconds UTC."""
    missing = changed + (_TICKS if changed % _SECOND else _COARSE) - times.now()
    if missing > _TICKS:
        return False  # a file of the future, or of a file system that keeps whole seconds
    if missing > 0:
        time.sleep(missing / _SECOND)
    return True


def _key(digest: str, version: str) -> bytes:
    text = f"{digest}\0{version}".encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text, digest_size=16).digest()


def _read(root: Root, name: str) -> tuple[dict[bytes, bytes], str]:
    """The entries of a file, and why there are none."""
    try:
        if not all(
            found.uid == os.geteuid() and not found.mode & _OTHERS_WRITE for found in map(root.stat, ("", name))
        ):
            return {}, f"others could have written {root.path}/{name}, so what it says was verified is not believed"
        data = root.read(name, len(_MAGIC) + MOST * _SIZE + _SUM)
    except NotFound:
        return {}, ""
    except OrlopError as error:
        return {}, str(error)
    body = data[len(_MAGIC) : -_SUM]
    whole = data.startswith(_MAGIC) and len(data) >= len(_MAGIC) + _SUM and len(body) % _SIZE == 0
    if not whole or hashlib.blake2b(data[:-_SUM], digest_size=_SUM).digest() != data[-_SUM:]:
        return {}, "the file of what was verified is torn, and is begun anew"
    return {body[at : at + _KEY]: body[at + _KEY : at + _SIZE] for at in range(0, len(body), _SIZE)}, ""


def _written(entries: dict[bytes, bytes]) -> bytes:
    body = b"".join(key + value for key, value in sorted(entries.items()))
    return _MAGIC + body + hashlib.blake2b(_MAGIC + body, digest_size=_SUM).digest()
