"""The one digest type: an algorithm and its hex, checked once and never again.

Format: ``sha256:`` and 64 lower-case hex digits (OCI image-spec, descriptor.md;
moby and distribution write the same). rkt's ``sha512-`` keys are another thing.
"""

import hashlib
import re
from collections.abc import Iterable

from orlop.errors import Malformed

_SHAPE = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Digest(str):
    """A well-formed ``sha256:<64 hex>``; a text that says so by its type."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> "Digest":
        """Check a text.

        Raises:
            Malformed: another algorithm, upper case, blanks, or another length.
        """
        if _SHAPE.fullmatch(text) is None:
            raise Malformed("not sha256: and 64 lower-case hex digits")
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
    def of(cls, data: bytes) -> "Digest":
        """The digest of some bytes."""
        return cls("sha256:" + hashlib.sha256(data).hexdigest())

    @property
    def hex(self) -> str:
        """The 64 digits without the algorithm."""
        return self[7:]


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
