"""A registry that is watched: hints, the sweep by times, turns, and what is not read twice."""

import contextlib
import os
import shutil
from collections.abc import Iterator

import pytest

from orlop import times
from orlop.errors import Cancelled
from orlop.fs import Root
from orlop.progress import Silent, Stoppable
from orlop.records import Condition, EngineState, Key
from orlop.registry import loose, manifest, processes, read
from orlop.registry.door import RegistryStore
from orlop.registry.model import Manifest
from tests.registry.pushing import V2, Made, Registry

UUID = "0a1b2c3d-0000-4000-8000-00000000000a"


@contextlib.contextmanager
def opened(registry: Registry) -> Iterator[RegistryStore]:
    """A store whose files are all an hour older."""
    registry.age()
    store = RegistryStore(Root.open(str(registry.path)), V2)
    try:
        yield store
    finally:
        store.close()


@pytest.fixture
def no_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store so large that the turns of a sweep reach nothing, under a clock without ticks."""
    monkeypatch.setattr(read, "TURN", 0)
    monkeypatch.setattr(loose, "HOT", 0)


def names(store: RegistryStore) -> list[str | None]:
    return [row.key.name for row in store.rows().rows]


def key(repository: str, made: Made, tag: str) -> Key:
    return Key(repository, made.digest, f"{repository}:{tag}")


def the_same_as_anew(store: RegistryStore, registry: Registry) -> bool:
    fresh = RegistryStore(Root.open(str(registry.path)), V2)
    try:
        models = (fresh.model, store.model)
        return fresh.rows().rows == store.rows().rows and all(
            len({repr(sorted(getattr(model, part).items())) for model in models}) == 1
            for part in ("blobs", "manifests", "configs")
        )
    finally:
        fresh.close()


# --- the sweep --------------------------------------------------------------------


@pytest.mark.usefixtures("no_turns")
def test_nothing_new_gives_nothing_and_a_later_time(registry: Registry) -> None:
    registry.image("app", "v1")
    with opened(registry) as store:
        before = store.rows()
        delta = store.refresh(())
        assert not delta
        assert delta.snapshot is store.rows()
        assert store.rows().rows is before.rows
        assert store.rows().seen_at > before.seen_at


@pytest.mark.usefixtures("no_turns")
def test_a_push_is_seen_without_a_hint(registry: Registry) -> None:
    registry.image("team/app", "v1")
    with opened(registry) as store:
        pushed = registry.image("team/app", "v2", layers=(b"base", b"new"))
        delta = store.refresh(())
        assert delta.added == {key("team/app", pushed, "v2")}
        assert store.rows().rows[1].condition is Condition.SOUND
        assert the_same_as_anew(store, registry)


@pytest.mark.usefixtures("no_turns")
@pytest.mark.parametrize("name", ["other", "team/other", "team/app/below", "a/b/c/d"])
def test_a_new_repository_is_seen_wherever_it_lies(registry: Registry, name: str) -> None:
    registry.image("team/app", "v1")
    with opened(registry) as store:
        pushed = registry.image(name, "v1", layers=(b"new",))
        assert store.refresh(()).added == {key(name, pushed, "v1")}
        assert the_same_as_anew(store, registry)


@pytest.mark.usefixtures("no_turns")
def test_a_repository_that_goes_takes_what_is_below_it_along(registry: Registry) -> None:
    first = registry.image("team/app", "v1")
    below = registry.image("team/app/below", "v1")
    registry.image("team/stays", "v1")
    with opened(registry) as store:
        shutil.rmtree(registry.repository("team/app"))
        assert store.refresh(()).removed == {key("team/app", first, "v1"), key("team/app/below", below, "v1")}
        assert the_same_as_anew(store, registry)


@pytest.mark.usefixtures("no_turns")
def test_what_no_link_leads_to_any_more_is_no_manifest(registry: Registry) -> None:
    registry.image("team/app", "v1", layers=(b"gone",))
    registry.image("team/app", "v2")
    stays = registry.image("stays", "v1")
    with opened(registry) as store:
        shutil.rmtree(registry.repository("team/app"))
        store.refresh(())
        assert list(store.model.manifests) == [stays.digest]
        assert the_same_as_anew(store, registry)


@pytest.mark.usefixtures("no_turns")
def test_a_repository_above_nested_ones_that_goes_alone_goes_alone(registry: Registry) -> None:
    first = registry.image("team", "v1")
    registry.image("team/app", "v1")
    with opened(registry) as store:
        for folder in ("_layers", "_manifests"):
            shutil.rmtree(registry.repository("team") / folder)
        assert store.refresh(()).removed == {key("team", first, "v1")}
        assert names(store) == ["team/app:v1"]


@pytest.mark.usefixtures("no_turns")
def test_an_untagging_is_seen(registry: Registry) -> None:
    made = registry.image("app", "v1", "v2")
    with opened(registry) as store:
        shutil.rmtree(registry.tag_path("app", "v1"))
        assert store.refresh(()).removed == {key("app", made, "v1")}


@pytest.mark.usefixtures("no_turns")
def test_a_blob_that_the_registry_collects_is_missed(registry: Registry) -> None:
    made = registry.image("app", "v1")
    with opened(registry) as store:
        shutil.rmtree(registry.blob_path(made.layers[0]).parent)
        delta = store.refresh(())
        assert delta.changed == {key("app", made, "v1")}
        assert store.rows().rows[0].condition is Condition.INCOMPLETE


@pytest.mark.usefixtures("no_turns")
def test_an_upload_that_grows_is_seen(registry: Registry) -> None:
    path = registry.upload("app", UUID, b"some")
    with opened(registry) as store:
        (path / "data").write_bytes(b"some and more")
        store.refresh(())
        assert store.model.repositories["app"].uploads[UUID].size == 13
        shutil.rmtree(path)
        store.refresh(())
        assert not store.model.repositories["app"].uploads


@pytest.mark.usefixtures("no_turns")
def test_what_expires_in_a_cache_is_seen(registry: Registry) -> None:
    registry.image("app", "v1")
    with opened(registry) as store:
        registry.cache({"app@sha256:" + "0" * 64: ("2999-01-01T00:00:00Z", True)})
        assert store.refresh(()).changed
        assert store.model.cache is not None


def test_folders_changed_this_very_moment_are_looked_at_again(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.image("app", "v1")
    monkeypatch.setattr(read, "TURN", 0)
    store = RegistryStore(Root.open(str(registry.path)), V2)  # nothing in it is older than a tick
    try:
        found = os.stat(registry.tag_path("app", "v1").parent)
        pushed = registry.image("app", "v2", layers=(b"x",))
        # A change in the same tick of the clock leaves the time as it was.
        os.utime(registry.tag_path("app", "v1").parent, ns=(found.st_atime_ns, found.st_mtime_ns))
        assert key("app", pushed, "v2") in store.refresh(()).added
    finally:
        store.close()


@pytest.mark.usefixtures("no_turns")
def test_repositories_that_were_not_there_at_first_are_seen(registry: Registry) -> None:
    shutil.rmtree(registry.path / V2 / "repositories")
    shutil.rmtree(registry.path / V2 / "blobs")
    with opened(registry) as store:
        assert not store.rows().rows
        pushed = registry.image("app", "v1")
        assert store.refresh(()).added == {key("app", pushed, "v1")}
        shutil.rmtree(registry.path / V2)
        store.refresh(())
        assert not store.rows().rows


# --- turns ------------------------------------------------------------------------


def move_in_place(registry: Registry, tag: str, digest: str) -> None:
    """As registries up to 3.0 move a tag to what it meant before: no folder's time changes."""
    registry.current_link("app", tag).write_text(digest)


def test_a_tag_that_moves_back_in_place_is_seen_in_its_turn(registry: Registry) -> None:
    old = registry.image("app", "v1", layers=(b"old",))
    new = registry.image("app", "v1", layers=(b"new",))
    with opened(registry) as store:
        move_in_place(registry, "v1", old.digest)
        delta = store.refresh(())
        assert delta.added == {key("app", old, "v1"), Key("app", new.digest, None)}


def test_turns_reach_every_repository_in_the_end(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        registry.image(f"app{number}", "v1")
    monkeypatch.setattr(read, "TURN", 1)
    with opened(registry) as store:
        before = {name: part.read_at for name, part in store._reader._repositories.items()}
        for _ in range(10):
            store.refresh(())
        after = {name: part.read_at for name, part in store._reader._repositories.items()}
        assert all(after[name] > at for name, at in before.items())


@pytest.mark.usefixtures("no_turns")
def test_what_is_old_says_how_old(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.image("app", "v1")
    with opened(registry) as store:
        assert not store.rows().notes
        now = store.rows().seen_at
        monkeypatch.setattr(times, "now", lambda: now + 130 * 10**9)
        store.refresh(())
        (note,) = store.rows().notes
        assert "2 min old" in note.text


# --- hints ------------------------------------------------------------------------


@pytest.mark.usefixtures("no_turns")
@pytest.mark.parametrize("depth", range(6))
def test_a_hint_at_any_depth_reads_the_repository_again(registry: Registry, depth: int) -> None:
    old = registry.image("app", "v1", layers=(b"old",))
    registry.image("app", "v1", layers=(b"new",))
    with opened(registry) as store:
        move_in_place(registry, "v1", old.digest)
        assert not store.refresh((f"{V2}/repositories/other/_manifests",))
        path = registry.current_link("app", "v1").relative_to(registry.path)
        hint = str(path.parents[depth - 1]) if depth else str(path)
        assert key("app", old, "v1") in store.refresh((hint,)).added


@pytest.mark.usefixtures("no_turns")
@pytest.mark.parametrize("hint", [V2, "docker/registry", "docker", ""])
def test_a_hint_above_everything_reads_everything(registry: Registry, hint: str) -> None:
    old = registry.image("app", "v1", layers=(b"old",))
    registry.image("app", "v1", layers=(b"new",))
    with opened(registry) as store:
        move_in_place(registry, "v1", old.digest)
        assert key("app", old, "v1") in store.refresh((hint,)).added


@pytest.mark.usefixtures("no_turns")
def test_a_hint_of_a_blob_looks_at_its_neighbours(registry: Registry) -> None:
    made = registry.image("app", "v1")
    with opened(registry) as store:
        path = registry.blob_path(made.layers[0])
        path.write_bytes(b"")
        assert not store.refresh(())
        assert store.refresh((str(path.relative_to(registry.path)),)).changed == {key("app", made, "v1")}


@pytest.mark.usefixtures("no_turns")
@pytest.mark.parametrize(
    "hint",
    ["nothing", ".orlop", f"{V2}/repositories/no/such/_uploads/x", f"{V2}/blobs/x", f"{V2}/blobs", "\udcff/\x00"],
)
def test_hints_of_nothing_harm_nothing(registry: Registry, hint: str) -> None:
    registry.image("app", "v1")
    with opened(registry) as store:
        assert not store.refresh((hint,))
        assert the_same_as_anew(store, registry)


# --- what is kept -----------------------------------------------------------------


def test_manifests_are_parsed_once_while_their_file_is_the_same(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = registry.image("app", "v1")
    changed = registry.image("app", "v2", layers=(b"x",))
    parsed: list[str] = []

    def counting(digest: str, data: bytes, real: object = manifest.parse) -> Manifest:
        assert callable(real)
        parsed.append(digest)
        found = real(digest, data)
        assert isinstance(found, Manifest)
        return found

    with opened(registry) as store:
        monkeypatch.setattr(manifest, "parse", counting)
        store.refresh(None)
        assert parsed == []
        registry.blob_path(changed.digest).write_bytes(b"{}")
        delta = store.refresh(None)
        assert parsed == [changed.digest]
        assert delta.changed == {key("app", changed, "v2")}
        assert kept.digest in store.model.manifests


def test_a_model_that_was_handed_out_does_not_change(registry: Registry) -> None:
    made = registry.image("app", "v1")
    with opened(registry) as store:
        before = store.model
        rows = store.rows().rows
        registry.image("other", "v1")
        shutil.rmtree(registry.repository("app"))
        store.refresh(())
        assert list(before.repositories) == ["app"]
        assert before.tags_of == {("app", made.digest): ("v1",)}
        assert rows[0].key.scope == "app"


def test_a_read_that_is_stopped_says_so_and_can_be_done_again(registry: Registry) -> None:
    registry.image("app", "v1")
    stop = Stoppable(Silent())
    stop.stopped = True
    with pytest.raises(Cancelled):
        RegistryStore(Root.open(str(registry.path)), V2, progress=stop)
    with opened(registry) as store:
        with pytest.raises(Cancelled):
            store._reader.read(stop)
        store.refresh(None)
        assert names(store) == ["app:v1"]


def test_a_registry_that_starts_is_news(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.image("app", "v1")
    with opened(registry) as store:
        assert store.rows().engine is EngineState.UNKNOWN
        running = (EngineState.RUNNING, "registry (process 1) serves it")
        monkeypatch.setattr(processes, "engine_state", lambda root: running)
        store.refresh((".orlop",))
        assert (store.rows().engine, store.rows().engine_text) == running
        assert "a registry runs" in store.rows().notes[0].text


# --- watching ---------------------------------------------------------------------


def test_few_folders_are_watched_however_many_repositories_there_are(registry: Registry) -> None:
    for number in range(100):
        for folder in ("_manifests/tags", "_manifests/revisions/sha256", "_uploads"):
            (registry.repository(f"app{number}") / folder).mkdir(parents=True)
    with opened(registry) as store:
        watched = store.watched()
    assert len(watched) == read.WATCHES
    assert all((registry.path / folder).is_dir() for folder in watched)
    assert f"{V2}/repositories" in watched


def test_in_a_small_store_every_place_where_a_push_shows_is_watched(registry: Registry) -> None:
    registry.image("team/app", "v1")
    base = f"{V2}/repositories/team/app/_manifests"
    with opened(registry) as store:
        assert {f"{base}/tags", f"{base}/tags/v1/current", f"{base}/revisions/sha256"} <= set(store.watched())


@pytest.mark.usefixtures("no_turns")
def test_what_changed_last_is_watched_first(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        registry.image(f"app{number}", "v1")
    registry.age()
    registry.image("app7", "v2", layers=(b"x",))
    monkeypatch.setattr(read, "WATCHES", 4)
    with opened(registry) as store:
        assert {folder.split("/")[4] for folder in store.watched() if folder.count("/") > 3} == {"app7"}
