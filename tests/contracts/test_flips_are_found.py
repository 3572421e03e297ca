"""One byte that is another one, anywhere in what a check of contents claims: it is found, and its file named."""

import contextlib
import os
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.flipping import KINDS, Claim, Claimed
from tests.examples import examples


@pytest.fixture(scope="module", params=KINDS)
def claimed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Claimed:
    made = KINDS[request.param](tmp_path_factory.mktemp("flips"))
    assert made.damage() == []
    return made


@contextlib.contextmanager
def flipped(claim: Claim, at: int, mask: int) -> Iterator[bool]:
    """A file with one byte changed and its times kept; whether that changes what it means."""
    before, data = claim.path.stat(), claim.path.read_bytes()
    other = data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]
    claim.path.write_bytes(other)
    os.utime(claim.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    try:
        yield claim.means(other) != claim.means(data)
    finally:
        claim.path.write_bytes(data)


def tried(claimed: Claimed, claim: Claim, at: int, mask: int) -> bool:
    """Flip, and look; whether there was anything to find."""
    with flipped(claim, at, mask) as matters:
        found = claimed.damage() if matters else []
        assert not matters or claimed.named(claim, found), (claim.path, at, mask, found)
    return matters


def test_a_flipped_byte_is_found_and_its_file_named(claimed: Claimed) -> None:
    counts: Counter[str] = Counter()

    @settings(max_examples=examples(0.3), deadline=None)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        what = data.draw(st.sampled_from(sorted({claim.what for claim in claimed.claims})))
        claim = data.draw(st.sampled_from([claim for claim in claimed.claims if claim.what == what]))
        at = data.draw(st.integers(0, claim.path.stat().st_size - 1))
        counts[what] += tried(claimed, claim, at, data.draw(st.integers(1, 255)))

    check()
    _tell(claimed, counts)


@pytest.mark.long
def test_every_byte_of_what_is_small_is_found(claimed: Claimed) -> None:
    """The first and last bytes of every file, each with three masks."""
    counts: Counter[str] = Counter()
    for claim in claimed.claims:
        size = claim.path.stat().st_size
        for at in sorted({*range(min(size, 6)), *range(max(0, size - 6), size)}):
            for mask in (0x01, 0x20, 0x80):
                counts[claim.what] += tried(claimed, claim, at, mask)
    _tell(claimed, counts)


def _tell(claimed: Claimed, counts: Counter[str]) -> None:
    said = ", ".join(f"{count} in {what}" for what, count in sorted(counts.items()))
    print(f"\n{claimed.path.name}: flips found: {said}")  # noqa: T201
