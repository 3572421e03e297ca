"""The one digest type: an algorithm and its hex, checked once and never again.

Format: ``sha256:`` and 64 lower-case hex digits (OCI image-spec, descriptor.md;
moby and distribution write the same). Registries also take ``sha384:`` and
``sha512:`` with 96 and 128 digits (opencontainers/go-digest, algorithm.go); what
is Docker's is sha256 only. rkt's ``sha512-`` keys are another thing.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Protocol, Self

from orlop.errors import Malformed, Unsupported

CANONICAL = "sha256"
"""The algorithm that everything has a digest of."""
ALGORITHMS = {"sha256": 64, "sha384": 96, "sha512": 128}
"""Hex digits by algorithm; all that registries take."""

_SHAPE = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_ANY_SHAPE = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}", re.ASCII)
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Hasher(Protocol):
    """A hash under way, as `hashlib` makes it."""

    @property
    def name(self) -> str: ...

    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...

    def copy(self) -> Self: ...


class Digest(str):
    """A well-formed ``<algorithm>:<hex>``; a text that says so by its type.

    Of sha256, unless it was made by `parse_any`, `of` or `of_hasher` with another algorithm.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> "Digest":
        """Check a text that must be of sha256.

        Raises:
            Malformed: another algorithm, upper case, blanks, or another length.
        """
        if _SHAPE.fullmatch(text) is None:
            raise Malformed("not sha256: and 64 lower-case hex digits")
        return cls(text)

    @classmethod
    def parse_any(cls, text: str) -> "Digest":
        """Check a text of any algorithm that registries take.

        Raises:
            Malformed: another algorithm, upper case, blanks, or another length.
        """
        if _ANY_SHAPE.fullmatch(text) is None:
            raise Malformed("not sha256:, sha384: or sha512: and as many lower-case hex digits as it has")
        return cls(text)

    @classmethod
    def from_hex(cls, text: str) -> "Digest":
        """Check a bare hex text, such as a file's name.

        Raises:
            Malformed: not 64 lower-case hex digits.
        """
        if _HEX.fullmatch(text) is None:
            raise Malformed("not 64 lower-case hex digits")
        return cls("sha256:" + text)

    @classmethod
    def of(cls, data: bytes, algorithm: str = CANONICAL) -> "Digest":
        """The digest of some bytes.

        Raises:
            Unsupported: none of the three algorithms.
        """
        hashing = hasher(algorithm)
        hashing.update(data)
        return cls.of_hasher(hashing)

    @classmethod
    def of_hasher(cls, hashing: Hasher) -> "Digest":
        """The digest of all that was given to a hasher so far."""
        return cls(f"{hashing.name}:{hashing.hexdigest()}")

    @property
    def algorithm(self) -> str:
        """``sha256``, ``sha384`` or ``sha512``."""
        return self[:6]

    @property
    def hex(self) -> str:
        """The digits without the algorithm."""
        return self[7:]


def hasher(algorithm: str = CANONICAL) -> Hasher:
    """A hash of nothing yet.

    Raises:
        Unsupported: none of the three algorithms.
    """
    if algorithm not in ALGORITHMS:
        raise Unsupported(f"digests of the algorithm {algorithm!r} cannot be made", why="only sha256, sha384, sha512")
    return hashlib.new(algorithm)


def is_digest(text: str) -> bool:
    """Whether a text is a well-formed digest."""
    return _SHAPE.fullmatch(text) is not None


def is_hex(text: str) -> bool:
    """Whether a text is 64 lower-case hex digits: the file name of a digest, a container's or a cache id."""
    return _HEX.fullmatch(text) is not None


def chain_ids(diff_ids: Iterable[str]) -> tuple[str, ...]:
    """The chain id of each layer, bottom first.

    The bottom layer's is its diff id; every other one is the sha256 of
    ``<chain id below> <diff id>`` (OCI image-spec, config.md, "Layer ChainID").
    """
    chain: list[str] = []
    for diff_id in diff_ids:
        if chain:
            chain.append("sha256:" + hashlib.sha256(f"{chain[-1]} {diff_id}".encode()).hexdigest())
        else:
            chain.append(diff_id)
    return tuple(chain)
