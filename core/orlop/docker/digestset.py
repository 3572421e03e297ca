"""Digest texts by the rules of the engines, and the set that finds an image by the start of its id.

Everything that Orlop itself writes is a strict `orlop.digest.Digest`. What is here
reads what engines take: other algorithms and upper case too.

Source: docker/distribution as moby v1.12.0-rc4 has it: digest/digest.go (Validate),
digest/set.go.
"""

import re
from bisect import bisect_left, insort

from orlop.digest import Digest
from orlop.errors import Ambiguous, Malformed, NotFound

_SHAPE = re.compile(r"[a-zA-Z0-9\-_+.]+:[a-fA-F0-9]+")
_HEX_DIGITS = {"sha256": 64, "sha384": 96, "sha512": 128}


def parse_digest(text: str) -> tuple[str, str]:
    """The algorithm and the hex of a digest as engines ≥ 1.10 take it: sha256, sha384, sha512; hex of either case.

    Raises:
        Malformed: another shape, algorithm or length; `engine` has the engine's words.
    """
    if _SHAPE.fullmatch(text) is None:
        raise Malformed("not an algorithm, a colon and hex digits", engine="invalid checksum digest format")
    algorithm, _, digits = text.partition(":")
    if algorithm not in _HEX_DIGITS:
        raise Malformed(f"the algorithm {algorithm} is not known", engine="unsupported digest algorithm")
    if len(digits) != _HEX_DIGITS[algorithm]:
        raise Malformed(f"{algorithm} has {_HEX_DIGITS[algorithm]} hex digits", engine="invalid checksum digest length")
    return algorithm, digits


class DigestSet:
    """Digests that are found by a full text, by the hex alone, or by the start of either."""

    def __init__(self) -> None:
        self._sorted: list[str] = []

    def __len__(self) -> int:
        return len(self._sorted)

    def add(self, digest: Digest) -> None:
        """Add a digest; one that is there already stays."""
        index = bisect_left(self._sorted, digest.hex)
        if self._sorted[index : index + 1] != [digest.hex]:
            insort(self._sorted, digest.hex)

    def remove(self, digest: Digest) -> None:
        """Take a digest out; one that is not there is no error."""
        index = bisect_left(self._sorted, digest.hex)
        if self._sorted[index : index + 1] == [digest.hex]:
            del self._sorted[index]

    def lookup(self, term: str) -> Digest:
        """The one digest that a term stands for.

        A text ``algorithm:hex`` asks for that algorithm, with as many digits as it has.
        Any other text is the start of the hex, the empty one too; case counts.

        Raises:
            NotFound: none begins like this.
            Ambiguous: several do; `candidates` has the first nine.
        """
        algorithm, colon, start = term.partition(":") if _SHAPE.fullmatch(term) else ("", "", term)
        if colon and algorithm != "sha256":
            raise _none(term)
        index = bisect_left(self._sorted, start)
        found = []
        for hexes in self._sorted[index : index + 9]:
            if not hexes.startswith(start):
                break
            found.append(Digest.from_hex(hexes))
        if not found:
            raise _none(term)
        if len(found) > 1:
            raise Ambiguous(term, found, engine="ambiguous digest string")
        return found[0]


def _none(term: str) -> NotFound:
    return NotFound(f"no digest begins with {term!r}", engine="digest not found")
