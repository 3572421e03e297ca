"""Damage to layers and configs, with and without hashing them."""

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest

from orlop import times, workers
from orlop.errors import Cancelled
from orlop.finding import Repair, Severity
from orlop.fs import Root
from orlop.progress import CONTENTS, Silent, Stoppable
from orlop.records import Key
from orlop.registry import content
from orlop.spread import Budget
from orlop.store import Hashing
from orlop.verified import VerifiedCache
from tests.registry.judging import everything, findings, only, told
from tests.registry.making import DAY, Image, Storage, digest_of


class Shop(Storage):
    """``app:1`` and ``web:1`` share the layer ``base``."""

    app: Image
    web: Image

    @property
    def base(self) -> str:
        return self.web.layers[0]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path / "registry")
    shop.app = shop.image("app", "1", layers=[b"base", b"app"])
    shop.web = shop.image("web", "1", layers=[b"base", b"web" * 1000])
    shop.age()
    return shop


# --- without hashing ---------------------------------------------------------


def test_an_empty_layer_is_one_finding_for_all_who_need_it(shop: Shop) -> None:
    path = shop.put(shop.blob_path(shop.base), b"")
    found = only(shop, "RG01", path)
    assert (found.title, found.severity, found.repair) == ("blob-empty", Severity.UNUSABLE, Repair.QUARANTINE)
    assert set(found.images) == {shop.app.digest, shop.web.digest}
    assert found.names == ("app:1", "web:1")
    assert found.engine_says == f"filesystem layer verification failed for digest {shop.base}"


def test_the_digest_of_nothing_may_be_empty(shop: Shop) -> None:
    shop.image("nothing", "1", layers=[b""])
    shop.age()
    assert findings(shop, content=True) == []


def test_a_missing_layer_is_one_finding_for_all_who_need_it(shop: Shop) -> None:
    path = shop.blob_path(shop.base)
    path.unlink()
    found = only(shop, "RG05", path)
    assert set(found.images) == {shop.app.digest, shop.web.digest}
    assert found.names == ("app:1", "web:1")
    assert (found.engine_says, found.bytes) == ("blob unknown to registry", len(b"base"))
    assert "2 manifests in 2 repositories need it" in found.detail


def test_a_layer_that_is_gone_with_its_links_is_one_finding(shop: Shop) -> None:
    shutil.rmtree(shop.blob_path(shop.web.layers[1]).parents[1])
    shutil.rmtree(shop.layer_path("web", shop.web.layers[1]).parent)
    only(shop, "RG05", shop.blob_path(shop.web.layers[1]))


@pytest.mark.parametrize("content_too", [False, True])
def test_a_layer_that_was_cut_shows_by_its_size(shop: Shop, content_too: bool) -> None:
    path = shop.put(shop.blob_path(shop.web.layers[1]), b"web" * 10)
    found = only(shop, "RG01", path, content=content_too)
    assert "has 30 bytes, and 1 manifest says 3000: they hash to sha256:" in found.detail
    assert found.names == ("web:1",)


def test_a_manifest_that_says_a_wrong_size_is_not_the_blobs_fault(shop: Shop) -> None:
    layers = [{"mediaType": "x", "digest": shop.base, "size": 5}]
    digest = shop.manifest("app", {**shop.app.document, "layers": layers}, "2")
    shop.age()
    found = only(shop, "RG01", shop.blob_path(shop.base))
    assert (found.title, found.severity, found.repair) == ("size-in-manifest-wrong", Severity.LATENT, None)
    assert found.images == (digest,)


def test_an_altered_config_is_found_because_configs_are_hashed(shop: Shop) -> None:
    path = shop.blob_path(shop.web.config)
    path.write_bytes(path.read_bytes().replace(b"amd64", b"arm64"))
    found = only(shop, "RG01", path)
    assert found.names == ("web:1",)
    assert "hash to sha256:" in found.detail


def test_a_config_that_does_not_parse_is_damaged_unless_it_was_pushed_so(shop: Shop) -> None:
    path = shop.put(shop.blob_path(shop.web.config), b"\0" * shop.blob_path(shop.web.config).stat().st_size)
    only(shop, "RG01", path)
    odd = shop.layer("odd", b"no config")
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": odd, "size": 9}
    shop.manifest("odd", {**shop.web.document, "config": config, "layers": []}, "1")
    shop.age()
    only(shop, "RG01", path)
    assert {f.title: f.severity for f in told(shop, "RG01")}["config-unreadable"] is Severity.INFORMATION


@pytest.mark.parametrize(("kind", "says"), [("fifo", ""), ("link", ""), ("folder", "blob unknown to registry")])
def test_a_thing_in_the_place_of_a_layer_is_named_and_not_opened(shop: Shop, kind: str, says: str) -> None:
    path = shop.blob_path(shop.base)
    path.unlink()
    {"fifo": os.mkfifo, "link": lambda at: at.symlink_to("/etc/passwd"), "folder": Path.mkdir}[kind](path)
    for content_too in (False, True):
        found = only(shop, "RG01", path, content=content_too)
        assert f"a {kind} is in the place of its file" in found.detail
        assert found.engine_says == says


def test_a_damaged_blob_that_nothing_needs_would_block_a_push_later(shop: Shop) -> None:
    lost = "sha256:" + "ab" * 32
    path = shop.put(shop.blob_path(lost), b"")
    found = only(shop, "RG01", path)
    assert found.severity is Severity.LATENT
    assert "no manifest needs it now" in found.detail


# --- with hashing ------------------------------------------------------------


def flip(path: Path) -> None:
    """Change one byte and nothing else."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_one_altered_byte_of_a_layer_is_found_only_by_hashing(shop: Shop) -> None:
    path = shop.blob_path(shop.base)
    flip(path)
    assert findings(shop) == []
    found = only(shop, "RG01", path, content=True)
    assert found.names == ("app:1", "web:1")
    assert found.detail == f"its 4 bytes hash to {digest_of(path.read_bytes())}"


def test_hashing_tells_every_altered_blob_and_the_worst_first(shop: Shop) -> None:
    flip(shop.blob_path(shop.base))
    flip(shop.blob_path(shop.web.layers[1]))
    lost = shop.blob(b"nothing needs this")
    flip(shop.blob_path(lost))
    shop.put(shop.tag_path("app", "1"), b"")
    found = everything(shop, content=True)
    assert [f.severity for f in found] == sorted(f.severity for f in found)
    assert [f.rule for f in found if f.severity.is_damage] == ["RG08", "RG01", "RG01", "RG01"]


def test_hashing_some_rows_reads_only_what_they_need(shop: Shop) -> None:
    flip(shop.blob_path(shop.app.layers[1]))
    flip(shop.blob_path(shop.base))

    class Counted:
        total = 0

        def step(self, what: str, done: int, total: int) -> None:
            if what == CONTENTS:
                self.total = total

    counted = Counted()
    found = everything(shop, [Key("web", shop.web.digest, "web:1")], content=True, progress=counted)
    assert [f.path for f in found if f.rule == "RG01"] == [shop.relative(shop.blob_path(shop.base))]
    needed = [shop.web.digest, shop.web.config, *shop.web.layers]
    assert counted.total == sum(shop.blob_path(digest).stat().st_size for digest in needed)


def test_hashing_follows_an_index_to_the_layers_of_its_images(shop: Shop) -> None:
    index = shop.index("web", [shop.web.digest], "all")
    shop.age()
    flip(shop.blob_path(shop.web.layers[1]))
    found = everything(shop, [Key("web", index, "web:all")], content=True)
    assert [f.rule for f in found if f.severity.is_damage] == ["RG01"]


def test_blobs_of_other_algorithms_are_hashed_by_them(shop: Shop) -> None:
    digest = shop.blob(b"long digest", "sha512")
    layers = [{"mediaType": "x", "digest": digest, "size": 11}]
    shop.put(shop.layer_path("app", digest), digest)
    shop.manifest("app", {**shop.app.document, "layers": layers}, "512")
    shop.age()
    assert findings(shop, content=True) == []
    flip(shop.blob_path(digest))
    only(shop, "RG01", shop.blob_path(digest), content=True)


def test_a_blob_that_goes_away_meanwhile_stops_no_other(shop: Shop) -> None:
    flip(shop.blob_path(shop.web.layers[1]))
    with Root.open(str(shop.path)) as root:
        items = [(digest, shop.relative(shop.blob_path(digest)), 1) for digest in (shop.base, shop.web.layers[1])]
        work = content.tasks(root, items)
    shop.blob_path(shop.base).unlink()
    results = {result.task.digest: result for result in content.hash_all(work, Silent())}
    assert results[shop.base].gone
    assert not results[shop.web.layers[1]].matches
    assert results[shop.web.layers[1]].read == 3000


def test_what_is_to_be_hashed_can_be_sent_to_another_process(shop: Shop) -> None:
    with Root.open(str(shop.path)) as root:
        task = content.tasks(root, [(shop.base, shop.relative(shop.blob_path(shop.base)), 4)])[0]
    result = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(task)).run(lambda _: None)))
    assert (result.task, result.actual, result.read) == (task, shop.base, 4)
    assert result.matches


def test_much_is_hashed_in_threads_with_the_same_result(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "fastest", lambda *_: workers.Where.THREADS)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    flip(shop.blob_path(shop.base))
    only(shop, "RG01", shop.blob_path(shop.base), content=True)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second has gone by: what was written to in the same tick of the clock proves nothing."""
    now = times.now
    monkeypatch.setattr(times, "now", lambda: now() + 1_000_000_000)


def hashed(shop: Shop, hashing: Hashing) -> tuple[list[str], int]:
    """The rules of the damage found, and how many bytes there were to hash."""
    steps: list[int] = []

    class Watching:
        def step(self, what: str, done: int, total: int) -> None:
            if what == CONTENTS:
                steps.append(total)

    found = everything(shop, content=True, progress=Watching(), hashing=hashing)
    return [f.rule for f in found if f.severity.is_damage], max(steps)


@pytest.mark.usefixtures("later")
def test_what_was_verified_is_hashed_again_only_when_asked_or_written_to(shop: Shop) -> None:
    known = VerifiedCache(None, "store")
    every = sum(path.stat().st_size for path in shop.path.rglob("data"))
    assert hashed(shop, Hashing(verified=known)) == ([], every)
    assert hashed(shop, Hashing(verified=known)) == ([], 0)
    assert hashed(shop, Hashing(verified=known, again=True)) == ([], every)
    path = shop.blob_path(shop.base)
    before = path.stat()
    flip(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    rules, count = hashed(shop, Hashing(verified=known))
    assert (rules, count) == (["RG01"], len(b"base"))
    assert hashed(shop, Hashing(verified=known))[0] == ["RG01"]


def test_what_is_written_in_the_future_is_not_remembered_as_verified(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = shop.blob_path(shop.base).stat().st_ctime_ns
    monkeypatch.setattr(times, "now", lambda: written - 1_000_000_000)
    known = VerifiedCache(None, "store")
    hashed(shop, Hashing(verified=known))
    assert hashed(shop, Hashing(verified=known))[1] >= len(b"base")


@pytest.mark.usefixtures("later")
def test_a_budget_ends_the_hashing_and_the_rest_comes_later(shop: Shop) -> None:
    known = VerifiedCache(None, "store")
    budget = Budget(bytes=1)
    hashed(shop, Hashing(verified=known, budget=budget))
    assert budget.reached
    assert len(known) == 1
    hashed(shop, Hashing(verified=known))
    assert len(known) == sum(1 for _ in shop.path.rglob("data"))


def test_hashing_can_be_stopped_between_pieces(shop: Shop) -> None:
    path = shop.blob_path(shop.base)
    with path.open("wb") as file:
        file.truncate(64 << 20)

    class Stopping(Stoppable):
        def step(self, what: str, done: int, total: int) -> None:
            super().step(what, done, total)
            self.stopped = what == CONTENTS and done > 0

    with pytest.raises(Cancelled):
        everything(shop, content=True, progress=Stopping())


def test_what_is_told_of_the_progress_of_hashing_grows_to_the_total(shop: Shop) -> None:
    steps: list[tuple[int, int]] = []

    class Watching:
        def step(self, what: str, done: int, total: int) -> None:
            if what == CONTENTS:
                steps.append((done, total))

    everything(shop, content=True, progress=Watching())
    assert steps[0][0] == 0
    assert steps[-1][0] == steps[-1][1] > 3000
    assert steps == sorted(steps)


# --- pull-through caches -------------------------------------------------------


def cached(shop: Shop, *digests: str) -> None:
    entries = {
        f"web@{digest}": {"Key": f"web@{digest}", "ExpiryData": "2030-01-01T00:00:00Z", "EntryType": 0}
        for digest in digests
    }
    shop.put(shop.path / "scheduler-state.json", json.dumps(entries))


def test_a_cache_may_lack_whatever_was_not_asked_for(shop: Shop) -> None:
    index = shop.index("web", [shop.web.digest, "sha256:" + "ab" * 32], "all")
    cached(shop, index)
    shop.blob_path(shop.base).unlink()
    shutil.rmtree(shop.layer_path("web", shop.web.layers[1]).parent)
    shop.revision_path("app", shop.app.digest).unlink()
    shop.blob_path(shop.web.digest).unlink()
    shop.age()
    assert [f for f in findings(shop) if f.rule not in ("RG14", "RG15")] == []


def test_what_a_cache_will_expire_is_no_orphan(shop: Shop) -> None:
    lost = shop.layer("web", b"of a manifest that expired")
    shop.age()
    cached(shop, lost)
    assert findings(shop) == []
    cached(shop)
    assert {f.rule for f in findings(shop)} == {"RG14", "RG15"}


def test_the_bytes_of_a_cache_are_judged_like_any_other(shop: Shop) -> None:
    cached(shop)
    flip(shop.blob_path(shop.base))
    only(shop, "RG01", shop.blob_path(shop.base), content=True)


@pytest.mark.parametrize("state", [b"", b'{"a":', b"[]", b'{"x":1}'])
def test_a_cache_whose_schedule_cannot_be_read_does_not_start(shop: Shop, state: bytes) -> None:
    path = shop.put(shop.path / "scheduler-state.json", state)
    found = only(shop, "RG21", path)
    assert (found.severity, found.repair) == (Severity.BLOCKS, Repair.LOSSY)


def test_age_is_that_of_the_reading(shop: Shop) -> None:
    young = shop.blob(b"just now")
    assert findings(shop) == []
    (found,) = told(shop, "RG14")
    assert (found.path, found.severity) == (shop.relative(shop.blob_path(young)), Severity.INFORMATION)
    old = shop.blob_path(young).stat().st_mtime - 2 * DAY
    os.utime(shop.blob_path(young), (old, old))
    assert only(shop, "RG14", shop.blob_path(young)).bytes == len(b"just now")
