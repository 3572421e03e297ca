"""``check --content``: hashed once, remembered, within a budget, and told in bytes."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from orlop import kinds
from orlop.finding import Finding, Severity
from orlop.samples import RegistrySample, make_registry, make_rkt
from orlop.verified import Proof
from orlop_tui import format
from orlop_tui.cli import check, hashing
from orlop_tui.cli.arguments import parser
from orlop_tui.cli.output import Output

if TYPE_CHECKING:
    from tests.cli.conftest import Ran, Small

Orlop: TypeAlias = Callable[..., "Ran"]


@pytest.fixture
def registry(tmp_path: Path) -> RegistrySample:
    return make_registry(str(tmp_path / "registry"), damage=False)


def hashed(ran: Any) -> dict[str, Any]:
    (found,) = ran.objects("hashed")
    return dict(found)


@pytest.mark.parametrize("kind", ["registry", "rkt"])
def test_what_was_hashed_is_not_hashed_again_unless_asked_for(orlop: Orlop, tmp_path: Path, kind: str) -> None:
    folder = str(tmp_path / "store")
    path = (make_registry if kind == "registry" else make_rkt)(folder, damage=False).path
    first = hashed(orlop("check", path, "--content", "--json"))
    assert first["complete"]
    assert first["bytes"] > 500_000
    assert hashed(orlop("check", path, "--content", "--json"))["bytes"] == 0
    assert hashed(orlop("check", path, "--content", "--again", "--json"))["bytes"] == first["bytes"]


def test_each_layer_says_when_it_was_verified(orlop: Orlop, small: "Small") -> None:
    [before] = orlop("show", small.path, "redis:7", "--json").objects("image")
    assert [layer["verified_at"] for layer in before["layers"]] == [None]
    assert "VERIFIED" not in orlop("show", small.path, "redis:7").out
    orlop("check", small.path, "redis:7", "--content")
    [after] = orlop("show", small.path, "redis:7", "--json").objects("image")
    assert [layer["verified_at"] for layer in after["layers"]] == [after["verified_at"]]
    assert after["trust"] == "verified"
    assert "VERIFIED" in orlop("show", small.path, "redis:7").out


def test_a_budget_of_bytes_stops_and_the_next_run_goes_on(orlop: Orlop, registry: RegistrySample) -> None:
    whole = hashed(orlop("check", registry.path, "--content", "--again", "--json"))["bytes"]
    for folder in Path(os.environ["XDG_CACHE_HOME"]).rglob("*.verified"):
        folder.unlink()
    done = 0
    for _ in range(100):
        one = hashed(orlop("check", registry.path, "--content", "--bytes", "100K", "--json"))
        done += one["bytes"]
        if one["complete"]:
            break
        assert one["reached"] == "the bytes were used up"
    assert done == whole


def test_a_check_that_was_cut_short_says_so(orlop: Orlop, registry: RegistrySample) -> None:
    out = orlop("check", registry.path, "--content", "--bytes", "1K").out
    assert "not everything was hashed" in out
    assert "all bytes hashed" not in out


def test_damage_is_found_though_its_file_was_verified_before(orlop: Orlop, registry: RegistrySample) -> None:
    assert orlop("check", registry.path, "--content").code == 1
    blob = max(Path(registry.path).rglob("blobs/**/data"), key=lambda path: path.stat().st_size)
    before = blob.stat()
    blob.write_bytes(blob.read_bytes()[:-1] + b"!")
    assert orlop("check", registry.path, "--content").code == 2
    os.utime(blob, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert orlop("check", registry.path, "--content", "--again").code == 2


@pytest.mark.parametrize("option", [["--again"], ["--for", "1h"], ["--bytes", "1G"], ["--rate", "1M"]])
def test_how_to_hash_is_refused_where_nothing_is_hashed(
    orlop: Orlop, registry: RegistrySample, option: list[str]
) -> None:
    ran = orlop("check", registry.path, *option)
    assert ran.code == 64
    assert option[0] in ran.err


@pytest.mark.parametrize("option", [["--bytes", "many"], ["--bytes", "0"], ["--rate", "5 GB"], ["--for", "soon"]])
def test_a_budget_that_is_none_is_refused(orlop: Orlop, registry: RegistrySample, option: list[str]) -> None:
    assert orlop("check", registry.path, "--content", *option).code == 64


def test_a_cache_that_cannot_be_kept_is_said_and_the_check_stands(
    orlop: Orlop, registry: RegistrySample, cache: Path
) -> None:
    (cache / "orlop").write_text("a file in the place of the folder")
    ran = orlop("check", registry.path, "--content")
    assert ran.code == 1
    assert "cannot be remembered" in ran.err


def test_bytes_are_told_with_rate_time_and_a_bar() -> None:
    line = format.hashing(25_000_000, 100_000_000, 10.0, width=100)
    assert line.startswith("[#######---")
    assert "25.0 MB of 100.0 MB, 2.5 MB/s, 30 s left" in line
    assert "[" not in format.hashing(25_000_000, 100_000_000, 10.0, width=45)
    assert format.hashing(0, 100, 0.0, width=200).endswith("0 B of 100 B, 0 B/s")
    assert format.duration(3 * 3600 + 125) == "3 h 2 min"


def test_what_was_verified_is_listed_with_its_date_until_a_byte_is_written(
    orlop: Orlop, registry: RegistrySample
) -> None:
    orlop("check", registry.path, "--content")
    images = orlop("ls", registry.path, "--json").objects("image")
    assert {image["trust"] for image in images} == {"verified"}
    assert all(image["verified_at"] for image in images)
    blob = max(Path(registry.path).rglob("blobs/**/data"), key=lambda path: path.stat().st_size)
    blob.write_bytes(blob.read_bytes())
    trusts = {image["trust"] for image in orlop("ls", registry.path, "--json").objects("image")}
    assert trusts == {"verified", "linked"}


def test_a_layer_that_could_not_be_hashed_takes_the_word_all_away(registry: RegistrySample) -> None:
    hindered = Finding(
        rule="DK08",
        title="layer-content-mismatch",
        severity=Severity.INFORMATION,
        path="zfs",
        detail="its layers cannot be read",
        engine_says="",
        repair=None,
    )
    store = kinds.open(registry.path)
    try:
        assert "all bytes hashed" in check.summary(store, (), whole=True, content=True)
        assert "as far as they can be read" in check.summary(store, (hindered,), whole=True, content=True)
    finally:
        store.close()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_what_was_verified_is_kept_where_a_signal_ends_the_check(
    registry: RegistrySample, cache: Path, ending: signal.Signals
) -> None:
    arguments = parser().parse_args(["check", registry.path, "--content"])
    [store] = kinds.open_all(registry.path)

    def check_until_the_signal() -> None:
        with hashing.under_way(store, arguments, Output()) as how:
            assert how.hashing is not None
            assert how.hashing.verified is not None
            how.hashing.verified.add([Proof(digest="sha256:1", version="1", at=1)])
            signal.raise_signal(ending)

    with pytest.raises((SystemExit, KeyboardInterrupt)):
        check_until_the_signal()
    store.close()
    [kept] = cache.rglob("*.verified")
    assert kept.stat().st_size > 0


def test_what_was_verified_is_kept_once_a_minute_too(
    registry: RegistrySample, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    arguments = parser().parse_args(["check", registry.path, "--content"])
    [store] = kinds.open_all(registry.path)
    with hashing.under_way(store, arguments, Output()) as how:
        assert how.hashing is not None
        assert how.hashing.verified is not None
        how.hashing.verified.add([Proof(digest="sha256:1", version="1", at=1)])
        how.progress.step("contents", 1, 2)
        assert list(cache.rglob("*.verified")) == []
        now += 61
        how.progress.step("contents", 2, 2)
        assert len(list(cache.rglob("*.verified"))) == 1
    store.close()
