"""What was verified is remembered: for exactly these bytes' version, between programs, and never out of a torn file."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orlop import times, verified
from orlop.errors import OrlopError
from orlop.verified import Dates, Proof, Seen, VerifiedCache, settled, version_text
from tests.examples import examples

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def file_of(folder: Path) -> Path:
    (found,) = folder.glob("*.verified")
    return found


def kept(folder: Path, *proofs: Proof) -> VerifiedCache:
    cache = VerifiedCache(str(folder), "store")
    cache.add(proofs)
    cache.save()
    return VerifiedCache(str(folder), "store")


def test_what_was_verified_is_found_by_digest_and_version(tmp_path: Path) -> None:
    cache = kept(tmp_path, Proof(digest=A, version="1", at=5), Proof(digest=B, version="1", at=7, depth=b"d" * 16))
    assert cache.find(A, "1") == Seen(5, bytes(16))
    assert cache.find(B, "1") == Seen(7, b"d" * 16)
    assert cache.find(A, "2") is None
    assert VerifiedCache(str(tmp_path), "another store").find(A, "1") is None


def test_nothing_is_written_where_nothing_is_new(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    VerifiedCache(str(folder), "store").save()
    assert not folder.exists()


def test_without_a_folder_it_lasts_as_long_as_the_program() -> None:
    cache = VerifiedCache(None, "store")
    cache.add([Proof(digest=A, version="1", at=5)])
    cache.save()
    assert cache.find(A, "1") == Seen(5, bytes(16))


def test_what_was_found_wrong_is_forgotten_for_good(tmp_path: Path) -> None:
    cache = kept(tmp_path, Proof(digest=A, version="1", at=5), Proof(digest=B, version="1", at=5))
    cache.forget(A, "1")
    cache.save()
    again = VerifiedCache(str(tmp_path), "store")
    assert (again.find(A, "1"), again.find(B, "1")) == (None, Seen(5, bytes(16)))


def test_two_programs_do_not_lose_what_the_other_wrote(tmp_path: Path) -> None:
    one, other = VerifiedCache(str(tmp_path), "store"), VerifiedCache(str(tmp_path), "store")
    one.add([Proof(digest=A, version="1", at=5)])
    other.add([Proof(digest=B, version="1", at=6)])
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(VerifiedCache.save, (one, other)))
    assert len(VerifiedCache(str(tmp_path), "store")) == 2


def test_the_oldest_go_where_there_are_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verified, "MOST", 3)
    cache = kept(tmp_path, *(Proof(digest=A, version=str(n), at=n) for n in range(1, 6)))
    assert [cache.find(A, str(n)) is not None for n in range(1, 6)] == [False, False, True, True, True]


@settings(max_examples=examples(0.6), deadline=None)
@given(data=st.data())
def test_a_torn_file_is_worth_nothing(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("cache")
    kept(folder, Proof(digest=A, version="1", at=5), Proof(digest=B, version="1", at=6))
    file = file_of(folder)
    whole = file.read_bytes()
    if data.draw(st.booleans()):
        torn = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        at = data.draw(st.integers(0, len(whole) - 1))
        torn = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    file.write_bytes(torn)
    cache = VerifiedCache(str(folder), "store")
    assert (len(cache), cache.why != "") == (0, True)
    cache.add([Proof(digest=A, version="1", at=9)])
    cache.save()
    assert len(VerifiedCache(str(folder), "store")) == 1


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    kept(tmp_path, Proof(digest=A, version="1", at=5))
    file = file_of(tmp_path)
    victim = tmp_path / "victim"
    os.rename(file, victim)
    file.symlink_to(victim)
    before = victim.read_bytes()
    cache = VerifiedCache(str(tmp_path), "store")
    assert (len(cache), cache.why != "") == (0, True)
    cache.add([Proof(digest=B, version="1", at=5)])
    with pytest.raises(OrlopError):
        cache.save()
    assert victim.read_bytes() == before


@pytest.mark.parametrize("open_to_others", ["the file", "its folder"])
def test_what_others_could_have_written_is_not_believed(tmp_path: Path, open_to_others: str) -> None:
    folder = tmp_path / "cache"
    kept(folder, Proof(digest=A, version="1", at=5))
    opened = file_of(folder) if open_to_others == "the file" else folder
    opened.chmod(0o777)
    cache = VerifiedCache(str(folder), "store")
    assert (len(cache), cache.why != "") == (0, True)
    cache.add([Proof(digest=B, version="1", at=5)])
    cache.save()
    assert cache.find(A, "1") is None
    opened.chmod(0o700)
    assert len(VerifiedCache(str(folder), "store")) == 1


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    kept(folder, Proof(digest=A, version="1", at=5))
    assert {oct(path.stat().st_mode & 0o077) for path in (folder, file_of(folder))} == {"0o0"}


def test_dates_are_of_one_version_and_follow_the_cache() -> None:
    cache, version = VerifiedCache(None, "store"), (1, 2, 3, 4, 5)
    dates = Dates(cache)
    assert not dates
    assert dates.of(A, version) is None
    cache.add([Proof(digest=A, version=version_text(version), at=7)])
    assert dates
    assert dates.renew()
    assert not dates.renew()
    assert dates.of(A, version) == 7
    assert dates.of(A, (1, 2, 3, 4, 6)) is None
    assert dates.of(A, None) is None
    cache.forget(A, version_text(version))
    assert dates.renew()
    assert dates.of(A, version) is None


def test_without_a_cache_nothing_has_a_date() -> None:
    dates = Dates(None)
    assert not dates
    assert not dates.renew()
    assert dates.of(A, (1, 2, 3, 4, 5)) is None


def test_a_file_is_waited_for_until_its_times_tell_of_what_is_written_next(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    now = 1_790_000_000_123_456_789
    monkeypatch.setattr(times, "now", lambda: now)
    assert settled((1, 2, now + 10**18, now - 60_000_000, 5))  # whatever somebody set as its modification time
    assert waits == []
    assert settled((1, 2, 0, now - 10_000_000, 5))
    assert waits == [pytest.approx(0.04)]
    assert not settled((1, 2, 0, now + 1, 5))
    whole = now - now % 10**9
    assert not settled((1, 2, 0, whole, 5))
    assert settled((1, 2, 0, whole - 2 * 10**9, 5))
    assert len(waits) == 1
