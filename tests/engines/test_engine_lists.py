"""What Orlop says of a store that a real engine made is what the engine says of it."""

import json
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import orlop.kinds
from orlop.finding import Finding, Severity
from orlop.progress import Silent
from orlop.records import Condition, EngineState, Facet, Flag, Key, Remote, Trust
from orlop.records import Mapping as MappingRecord
from orlop.store import Store
from orlop.times import parse

if TYPE_CHECKING:
    from tests.engines.conftest import Engine, Image, Made

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

Figure = Callable[[str], None]
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def store(made: "Made") -> Iterator[Store]:
    """The store as the engine left it; every test here only looks."""
    opened = orlop.kinds.open(str(made.data))
    yield opened
    opened.close()


def names_in(store: Store) -> dict[str, frozenset[str]]:
    """Image id to its names, from the rows."""
    names: dict[str, set[str]] = {}
    for row in store.rows().rows:
        found = names.setdefault(row.id, set())
        if row.key.name is not None:
            found.add(row.key.name)
    return {id: frozenset(found) for id, found in names.items()}


def faults(store: Store) -> list[Finding]:
    """Findings that are more than information."""
    found = store.check(None, content=False, progress=Silent())
    return [finding for finding in found if finding.severity is not Severity.INFORMATION]


def tree(folder: Path) -> dict[str, tuple[int, int, int, int]]:
    """What a look must leave alone: kind and mode, size, time of content and of status, by path."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        stat = path.lstat()
        found[str(path)] = (stat.st_mode, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    return found


# --- rows and details ------------------------------------------------------


def test_rows_are_exactly_the_names_that_the_engine_lists(made: "Made", store: Store, figure: Figure) -> None:
    rows = store.rows().rows

    expected = {(id, name) for id, names in made.names.items() for name in names or [None]}
    assert sorted((row.id, row.key.name or "") for row in rows) == sorted((id, name or "") for id, name in expected)
    assert store.rows().images == len(made.images)
    figure(f"{made.driver}: {len(rows)} rows, and the details of {len(made.images)} images, are what the engine said")


def test_rows_have_the_engines_size_date_and_platform(made: "Made", store: Store) -> None:
    for row in store.rows().rows:
        inspect = made.images[row.id].inspect
        assert row.size == inspect["Size"]
        assert row.created == parse(str(inspect["Created"]))
        assert row.platform == f"{inspect['Os']}/{inspect['Architecture']}"
        assert (row.trust, row.condition, row.reason) == (Trust.LINKED, Condition.SOUND, "")
        assert (Flag.UNTAGGED in row.flags) == (row.key.name is None)


def test_a_detail_has_the_engines_parent_layers_and_config(made: "Made", store: Store) -> None:
    for id, image in made.images.items():
        detail = store.detail(Key("", id, None))
        rootfs = image.inspect["RootFS"]
        assert isinstance(rootfs, Mapping)
        assert detail.problems == ()
        assert frozenset(detail.names) == image.names
        assert (detail.parent or "") == image.inspect["Parent"]
        assert [layer.diff_id for layer in detail.layers] == rootfs.get("Layers", [])
        assert sum(layer.size or 0 for layer in detail.layers) == image.inspect["Size"]
        assert detail.config.get("author", "") == image.inspect["Author"]
        children = {other for other, each in made.images.items() if each.inspect["Parent"] == id}
        assert set(detail.children) == children


def test_a_detail_has_the_engines_history_joined_to_its_layers(made: "Made", store: Store) -> None:
    for id, image in made.images.items():
        detail = store.detail(Key("", id, None))
        assert len(detail.history) == len(image.history)
        for entry, said in zip(reversed(detail.history), image.history, strict=True):
            assert entry.created is not None
            assert entry.created // 10**9 == parse(said["CreatedAt"]) // 10**9
            assert entry.created_by.replace("\t", " ") == said["CreatedBy"]
            assert entry.comment == said["Comment"]
            size = 0 if entry.layer is None else detail.layers[entry.layer].size
            assert size == int(said["Size"])


def test_a_detail_has_the_time_of_the_last_tag(made: "Made", store: Store) -> None:
    for id, image in made.images.items():
        metadata = image.inspect["Metadata"]
        assert isinstance(metadata, Mapping)
        last = parse(metadata["LastTagTime"])
        mine = [each for each in store.detail(Key("", id, None)).metadata if each.name == "lastUpdated"]
        assert [parse(each.value.decode()) for each in mine] == ([last] if last > 0 else [])


def test_the_kept_container_is_shown_on_its_image(made: "Made", store: Store) -> None:
    detail = store.detail(Key("", made.facts["app0"], None))

    [container] = detail.containers
    assert (container.id, container.name, container.running) == (made.facts["container"], "kept", False)
    assert all(Flag.IN_USE in row.flags for row in store.rows().rows if row.id == made.facts["app0"])


def test_remote_records_are_the_engines_digest_references(made: "Made", store: Store) -> None:
    records = store.facet(Facet.REMOTES, None)

    assert isinstance(records, tuple)
    found = {(each.image, each.reference) for each in records if isinstance(each, Remote)}
    assert found == {(id, digest) for id, image in made.images.items() for digest in _texts(image, "RepoDigests")}


def _texts(image: "Image", member: str) -> list[str]:
    found = image.inspect[member]
    assert isinstance(found, list)
    return found


def test_mappings_name_the_blobs_that_the_registry_has(made: "Made", store: Store) -> None:
    host, repository = made.registry, "team/app1"
    accept = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
    request = urllib.request.Request(f"http://{host}/v2/{repository}/manifests/latest", headers=accept)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
        manifest = json.load(answer)

    detail = store.detail(Key("", manifest["config"]["digest"], None))
    records = store.facet(Facet.MAPPINGS, detail.key)

    assert isinstance(records, tuple)
    mine = {
        (each.diff_id, each.digest)
        for each in records
        if isinstance(each, MappingRecord) and each.source == f"{host}/{repository}" and not each.stale
    }
    pushed = [layer["digest"] for layer in manifest["layers"]]
    assert mine == set(zip([layer.diff_id for layer in detail.layers], pushed, strict=True))


def test_the_command_line_lists_the_same(made: "Made", command: Command) -> None:
    done = command("ls", str(made.data), "--json")

    assert done.returncode == 0, done.stderr
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    assert {each["id"]: frozenset(each["names"]) for each in objects if each["type"] == "image"} == made.names


# --- health ----------------------------------------------------------------


def test_a_healthy_store_has_no_faults_and_its_engine_is_known_to_be_stopped(made: "Made", store: Store) -> None:
    assert faults(store) == []
    assert store.rows().engine is EngineState.STOPPED


def test_looking_changes_nothing(made: "Made", command: Command) -> None:
    before = tree(made.data)

    store = orlop.kinds.open(str(made.data))
    assert faults(store) == []
    for row in store.rows().rows:
        store.detail(row.key)
    store.close()
    for name, *rest in (["ls"], ["check"], ["mappings"], ["remotes"], ["show", "app0:v2"], ["journal"]):
        done = command(name, str(made.data), *rest)
        assert done.returncode == 0, done.stderr

    assert tree(made.data) == before


def test_a_store_whose_engine_runs_has_no_faults_and_is_known_to_be_running(engine: "Engine") -> None:
    with engine.running():
        store = orlop.kinds.open(str(engine.data))
        assert faults(store) == []
        assert store.rows().engine is EngineState.RUNNING
        assert "dockerd" in store.rows().engine_text
        store.close()


def test_what_a_running_engine_does_is_seen_by_a_refresh(engine: "Engine") -> None:
    with engine.running():
        store = orlop.kinds.open(str(engine.data))
        engine.build("late:1", "FROM base:1.0\nENV LATE=1\nCOPY f /late\n", {"f": b"late\n"})
        engine.docker("rmi", "moved:latest")

        delta = store.refresh(None)

        assert {key.name for key in delta.added if key.name} == {"late:1"}
        assert {key.name for key in delta.removed} == {"moved:latest"}
        assert names_in(store) == engine.listed()
        assert faults(store) == []
        store.close()


def test_a_store_is_sound_right_after_its_engine_built_and_stopped(engine: "Engine") -> None:
    with engine.running():
        engine.build("late:1", "FROM base:1.0\nENV LATE=1\nCOPY f /late\n", {"f": b"late\n"})
        listed = engine.listed()

    store = orlop.kinds.open(str(engine.data))

    assert names_in(store) == listed
    assert faults(store) == []
    store.close()
