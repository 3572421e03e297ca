"""Whether an ACI is signed by a key that rkt trusts for its name.

::

    <configuration>/trustedkeys/root.d/<fingerprint>              trusted for every image
    <configuration>/trustedkeys/prefix.d/<name>/<fingerprint>     for images whose name begins so

A key is armored; an empty file takes the trust away from a key of an earlier folder. What
is signed is the file as it is served, compressed as it is. ``gpgv`` checks, with these keys
and no others; nothing of the user's own is read, and no file is written.

Facts: rkt v1.30.0, pkg/keystore/keystore.go, rkt/config.go (the two folders).
"""

import base64
import binascii
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Self

from orlop.errors import Malformed, NotFound, OrlopError
from orlop.fs import Root, join

TRUSTED_KEYS = ("/usr/lib/rkt/trustedkeys", "/etc/rkt/trustedkeys")
"""Where rkt looks, in this order."""

PROGRAMS = ("/usr/bin/gpgv", "/usr/local/bin/gpgv", "/bin/gpgv")
"""Where ``gpgv`` may be: it comes with GnuPG."""

_KEY_LIMIT = 1 << 20
_MANY_KEYS = 1000
_DEEP = 20
_FINGERPRINT = re.compile(r"[0-9a-f]{40}", re.ASCII)
_STATUS = b"[GNUPG:] "
_WAIT = 30.0


class Judgement(Enum):
    """What a signature proves."""

    GOOD = "good"
    BAD = "bad"  # it is not of these bytes, or its key has expired or was revoked
    UNKNOWN = "unknown"  # it is of a key that is not trusted here, or is none at all


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One signature, judged."""

    judgement: Judgement
    signers: tuple[str, ...] = ()
    """Fingerprints of the keys, in small letters."""
    who: str = ""
    """What the key says whose it is."""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKey:
    """One key, or that it is not trusted."""

    fingerprint: str
    prefix: str
    """The name that an image's must begin with; empty for all."""
    data: bytes
    """Not armored; empty where the trust is taken away."""


class Keys:
    """The keys that rkt trusts on this host."""

    def __init__(self, keys: Sequence[TrustedKey]) -> None:
        self._keys = tuple(keys)

    @classmethod
    def read(cls, folders: Iterable[str] = TRUSTED_KEYS) -> Self:
        """Read the keys of some folders ``trustedkeys``, the later ones deciding.

        Raises:
            Malformed: a file is no armored key.
            WrongKind, NoPermission, StorageFailure: a folder or file cannot be read.
        """
        found: list[TrustedKey] = []
        for part in ("root.d", "prefix.d"):
            for folder in folders:
                found.extend(_keys_in(folder, part))
        return cls(found)

    @property
    def ring(self) -> bytes:
        """All of them, as ``gpgv`` reads a keyring."""
        return b"".join({key.fingerprint: key.data for key in self._keys if key.data}.values())

    def trusted_for(self, name: str) -> frozenset[str]:
        """Fingerprints of the keys that may sign an image of this name."""
        trusted: set[str] = set()
        for key in self._keys:
            if key.prefix and key.prefix != name and not name.startswith(key.prefix + "/"):
                continue
            if key.data:
                trusted.add(key.fingerprint)
            else:
                trusted.discard(key.fingerprint)
        return frozenset(trusted)


def _keys_in(folder: str, part: str) -> Iterator[TrustedKey]:
    try:
        root = Root.open(folder)
    except NotFound:
        return
    with root:
        for path in _files(root, part, _DEEP if part == "prefix.d" else 0):
            above, _, name = path.rpartition("/")
            if _FINGERPRINT.fullmatch(name) is None:
                continue
            raw = root.read(path, _KEY_LIMIT)
            prefix = above.removeprefix(part).strip("/")
            yield TrustedKey(fingerprint=name, prefix=prefix, data=dearmored(raw, f"{folder}/{path}") if raw else b"")


def _files(root: Root, folder: str, depth: int) -> Iterator[str]:
    """Files below a folder, those of a folder before those of the folders in it."""
    try:
        entries = root.kinds(folder)[:_MANY_KEYS]
    except NotFound:
        return
    yield from (join(folder, name) for name, kind in entries if kind == "file")
    if depth:
        for name, kind in entries:
            if kind == "folder":
                yield from _files(root, join(folder, name), depth - 1)


def dearmored(raw: bytes, path: str) -> bytes:
    """The packets of an armored key (RFC 9580, section 6.2)."""
    lines = [line.strip() for line in raw.splitlines()]
    try:
        begin = lines.index(b"-----BEGIN PGP PUBLIC KEY BLOCK-----")
        first = lines.index(b"", begin) + 1
        end = lines.index(b"-----END PGP PUBLIC KEY BLOCK-----", first)
        return base64.b64decode(b"".join(line for line in lines[first:end] if not line.startswith(b"=")), validate=True)
    except (ValueError, binascii.Error) as error:
        raise Malformed("no armored public key", path=path) from error


# --- checking ------------------------------------------------------------------


def program() -> str | None:
    """The path of ``gpgv``; None where it is not installed."""
    return next((path for path in PROGRAMS if os.access(path, os.X_OK)), None)


class Check:
    """One signature being checked against bytes that come in pieces."""

    def __init__(self, gpgv: str, ring: bytes, signature: bytes) -> None:
        self._files = [_in_memory("orlop-keys", ring), _in_memory("orlop-signature", signature)]
        keys, signed = (f"/proc/self/fd/{fd}" for fd in self._files)
        self._process = subprocess.Popen(
            [gpgv, "--homedir", "/nonexistent", "--status-fd", "1", "--keyring", keys, signed, "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=self._files,
            env={"LC_ALL": "C"},
            cwd="/",
        )
        self._refused = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue  # it ended before it had read all
        self._process.wait()
        for fd in self._files:
            os.close(fd)
        self._files = []

    def feed(self, data: bytes) -> None:
        """Give some more of what is signed."""
        if self._refused or self._process.stdin is None:
            return
        try:
            self._process.stdin.write(data)
        except BrokenPipeError:
            self._refused = True  # it knows enough: the signature is none, or its key is not there

    def result(self) -> Signature:
        """What the signature proves, once all was given."""
        try:
            out, _ = self._process.communicate(timeout=_WAIT)
        except subprocess.TimeoutExpired:
            return Signature(judgement=Judgement.BAD, why="gpgv came to no end")
        return _judged(out)


def _judged(out: bytes) -> Signature:
    words = [line.removeprefix(_STATUS).split() for line in out.splitlines() if line.startswith(_STATUS)]
    said = {line[0].decode("ascii", "replace") for line in words if line}
    signers = tuple(line[-1].decode("ascii", "replace").lower() for line in words if line[:1] == [b"VALIDSIG"])
    who = next(
        (b" ".join(line[2:]).decode("utf-8", "surrogateescape") for line in words if line[:1] == [b"GOODSIG"]), ""
    )
    for word, why in _FAULTS.items():
        if word in said:
            return Signature(judgement=Judgement.BAD, signers=signers, why=why)
    if signers and "GOODSIG" in said:
        return Signature(judgement=Judgement.GOOD, signers=signers, who=who)
    if "NO_PUBKEY" in said:
        line = next(line for line in words if line[0] == b"NO_PUBKEY")
        key = line[1].decode("ascii", "replace") if len(line) > 1 else "?"
        return Signature(judgement=Judgement.UNKNOWN, why=f"it is by the key {key}, which is not trusted on this host")
    return Signature(judgement=Judgement.UNKNOWN, why="what is there is no signature that gpgv can read")


_FAULTS = {
    "BADSIG": "it is not a signature of what the server sent",
    "REVKEYSIG": "its key was revoked",
    "EXPKEYSIG": "its key has expired",
    "EXPSIG": "it has expired",
}


def _in_memory(name: str, data: bytes) -> int:
    """A descriptor of a file that lies nowhere, at its beginning."""
    fd = os.memfd_create(name)
    with open(fd, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def read_keys(folders: Iterable[str]) -> tuple[Keys | None, str]:
    """The keys of some folders; None and why where they cannot be read."""
    try:
        return Keys.read(folders), ""
    except OrlopError as error:
        return None, str(error)
