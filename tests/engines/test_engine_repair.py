"""Repair and clean, judged by the engine: what it cannot use any more it serves again, or can pull or load again."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import orlop.kinds
from orlop.apply import apply, undo
from orlop.digest import chain_ids
from orlop.finding import Finding
from orlop.intent import Clean, Intent, Repair
from orlop.journal import Journal
from orlop.plan import Plan
from orlop.progress import Silent
from orlop.store import Store

if TYPE_CHECKING:
    from tests.engines.conftest import Engine, Made

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

Figure = Callable[[str], None]
FAR = 4_000_000_000 * 10**9
STRAY = "ab" * 32
STUCK_NAMES = ("moved:latest",)


class Patient:
    """A copy of the made store, its files by what they belong to."""

    def __init__(self, made: "Made", engine: "Engine") -> None:
        self.made = made
        self.engine = engine
        self.images = engine.data / "image" / engine.driver
        self.layer_data = engine.data / ("vfs/dir" if engine.driver == "vfs" else "overlay2")

    def config(self, image: str) -> Path:
        return self.images / "imagedb/content/sha256" / image[7:]

    def chain(self, image: str) -> tuple[str, ...]:
        rootfs = self.made.images[image].inspect["RootFS"]
        assert isinstance(rootfs, dict)
        return chain_ids(rootfs.get("Layers", []))

    def record(self, image: str, layer: int = -1) -> Path:
        return self.images / "layerdb/sha256" / self.chain(image)[layer][7:]

    def data(self, image: str, layer: int = -1) -> Path:
        return self.layer_data / (self.record(image, layer) / "cache-id").read_text()

    def files(self, image: str) -> Path:
        return self.data(image) / ("diff" if self.engine.driver == "overlay2" else "")

    @property
    def tags(self) -> Path:
        return self.images / "repositories.json"

    @contextmanager
    def opened(self) -> Iterator[Store]:
        store = orlop.kinds.open(str(self.engine.data))
        try:
            yield store
        finally:
            store.close()

    def findings(self) -> list[Finding]:
        with self.opened() as store:
            return list(store.check(None, content=True, progress=Silent()))

    def damage(self) -> list[Finding]:
        return [one for one in self.findings() if one.severity.is_damage]

    def change(self, intent: Intent) -> Plan:
        """Do a change, take it back, make sure that all is as it was, and do it again."""
        before = self.tree()
        with self.opened() as store:
            plan = store.plan(intent)
            assert isinstance(plan, Plan), plan
            journal = Journal.of(store.root)
            apply(store, plan, journal)
            undo(store, journal)
            assert self.tree() == before
            again = store.plan(intent)
            assert isinstance(again, Plan)
            assert again.fingerprint == plan.fingerprint
            apply(store, again, journal)
        return plan

    def repair(self, *, guess: bool = False) -> Plan:
        found = tuple(one.identity for one in self.damage())
        return self.change(Repair(findings=found, guess=guess))

    def tree(self) -> dict[str, tuple[int, int, str | bytes]]:
        """Inode and content of everything of images and layers, by path."""
        found: dict[str, tuple[int, int, str | bytes]] = {}
        for top in (self.images, self.layer_data):
            for above, folders, files in os.walk(top):
                for name in (*folders, *files):
                    path = os.path.join(above, name)
                    status = os.lstat(path)
                    content: str | bytes = ""
                    if os.path.islink(path):
                        content = os.readlink(path)
                    elif os.path.isfile(path) and status.st_size < 1 << 20:
                        content = Path(path).read_bytes()
                    found[path] = (status.st_ino, status.st_mode, content)
        return found


@pytest.fixture
def patient(made: "Made", engine: "Engine") -> Patient:
    return Patient(made, engine)


def stuck(patient: Patient) -> dict[str, Callable[["Engine"], str]]:
    """Damage that nothing can mend offline: the image → how the engine is to get it back."""
    made = patient.made
    other = made.id_of(f"{made.registry}/mirror/other:1")
    twin = made.id_of(made.facts["by digest"])
    app1, first = made.facts["app1"], made.id_of("app1:v1")
    moved, named, nameless = made.id_of("moved:latest"), made.facts["app2"], made.facts["untagged"]
    tars = {image: patient.engine.try_docker("save", image).stdout for image in (nameless,)}
    for name in ("app1:v1", "moved:latest", "app2:v2"):
        tars[made.id_of(name)] = patient.engine.try_docker("save", name).stdout
    patient.engine.stop()

    shutil.rmtree(patient.data(other))
    flipped = next(path for path in patient.files(twin).rglob("twin") if path.is_file())
    flipped.write_bytes(b"TWIN\n")
    shutil.rmtree(patient.record(first))
    shutil.rmtree(patient.record(moved))
    patient.record(moved).mkdir()
    patient.config(named).write_bytes(b"")
    (patient.record(nameless) / "tar-split.json.gz").write_bytes(b"")

    def pull(name: str) -> Callable[["Engine"], str]:
        return lambda engine: answer(engine, "pull", name)

    def load(image: str) -> Callable[["Engine"], str]:
        return lambda engine: answer(engine, "load", data=tars[image])

    return {
        other: pull(f"{made.registry}/mirror/other:1"),
        twin: pull(made.facts["by digest"]),
        first: load(first),
        app1: pull(f"{made.registry}/team/app1:v2"),
        moved: load(moved),
        named: load(named),
        nameless: load(nameless),
    }


def answer(engine: "Engine", *args: str, data: bytes = b"") -> str:
    done = engine.try_docker(*args, data=data)
    return (done.stdout + done.stderr).decode(errors="replace")


def build(engine: "Engine", name: str, files: Mapping[str, bytes]) -> str:
    """Build with BuildKit; what it said."""
    from tests.engines.conftest import archive, environment

    argv = ["docker", "--host", engine.host, "--config", str(engine.room / "cli"), "build", "--progress=plain"]
    env = environment() | {"DOCKER_BUILDKIT": "1"}
    done = subprocess.run([*argv, "-t", name, "-"], env=env, input=archive(files), capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == 0, said
    return said


def hurt_records(patient: Patient) -> None:
    """Damage that what is left proves how to mend."""
    made = patient.made
    (patient.record(made.id_of("lone:1")) / "parent").unlink()
    (patient.record(made.id_of("built:1")) / "diff").write_bytes(b"")
    (patient.record(made.id_of("built:2")) / "cache-id").write_bytes(b"")
    (patient.record(made.id_of("single:1")) / "size").write_text("1000000000")
    if patient.engine.driver == "overlay2":
        base = patient.data(made.id_of("base:1.0"))
        link = (base / "link").read_text()
        (base / "link").write_bytes(b"")
        (patient.layer_data / "l" / link).unlink()
        (patient.data(made.facts["app0"]) / "lower").write_bytes(b"")


def test_what_is_stuck_can_be_pulled_or_loaded_again_and_the_rest_is_served(
    made: "Made", patient: Patient, figure: Figure
) -> None:
    patient.engine.start()
    again = stuck(patient)
    hurt_records(patient)

    with patient.engine.running() as engine:
        listed = engine.listed()
        tried = [made.id_of(name) for name in STUCK_NAMES] + [made.id_of(made.facts["by digest"]), made.facts["app1"]]
        tried.append(made.id_of(f"{made.registry}/mirror/other:1"))
        before = {image: again[image](engine) for image in tried}
    missing = set(made.images) - set(listed)
    assert {made.id_of("built:1"), made.id_of("built:2"), made.facts["app1"], made.facts["app2"]} <= missing
    by_digest, other = made.id_of(made.facts["by digest"]), made.id_of(f"{made.registry}/mirror/other:1")
    assert "up to date" in before[by_digest]
    assert "up to date" in before[other]
    assert "file exists" in before[made.id_of("moved:latest")]
    assert "up to date" in before[made.facts["app1"]]

    rules = {one.rule for one in patient.damage()}
    assert {"DK03", "DK04", "DK05", "DK06", "DK07", "DK08", "DK09", "DK14"} <= rules
    plan = patient.repair()
    left = patient.damage()
    assert {one.rule for one in left} <= {"DK02", "DK17"}, left

    with patient.engine.running() as engine:
        answers = {image: get(engine) for image, get in again.items()}
        served, saved = engine.listed(), engine.saved()
        written = engine.try_docker("cp", f"{made.facts['container']}:/written", "-")
        created = engine.try_docker("create", "app0:latest", "/bin/true")
    assert served == made.names, answers
    assert saved == made.saved
    assert b"in the container" in written.stdout
    assert created.returncode == 0, created.stderr
    assert patient.damage() == []
    figure(
        f"{made.driver}: {len(rules)} kinds of damage to {len(set(plan.images))} images, of which the engine listed "
        f"{len(listed)} of {len(made.images)}, mended in one change of {len(plan.steps)} steps; all served again"
    )


def test_with_lost_names_the_engine_starts_again_and_has_those_that_are_left(made: "Made", patient: Patient) -> None:
    raw = patient.tags.read_bytes()
    patient.tags.write_bytes(raw[: raw.index(b'"lone"')])
    with pytest.raises(AssertionError):
        patient.engine.start()
    assert "Couldn't create reference store repository" in patient.engine.messages()
    patient.engine.stop()
    patient.repair(guess=True)

    mount = patient.images / "layerdb/mounts" / ("12" * 32)
    shutil.copytree(next((patient.images / "layerdb/mounts").iterdir()), mount)
    (mount / "mount-id").write_text("34" * 32)
    (mount / "init-id").write_text("34" * 32 + "-init")
    (patient.layer_data / ("34" * 32)).mkdir()
    (patient.layer_data / STRAY).mkdir()
    (patient.layer_data / STRAY / "file").write_bytes(b"stray")
    orphans = patient.made.id_of(f"{made.registry}/mirror/other:1")
    patient.config(orphans).unlink()
    with patient.opened() as store:
        plan = store.plan(Clean(before=FAR, untagged=False))
    assert isinstance(plan, Plan)
    paths = {step.path for step in plan.steps}
    assert any(STRAY in path for path in paths)
    assert any("34" * 32 in path for path in paths)
    assert any(patient.chain(orphans)[0][7:] in path for path in paths)
    patient.change(Clean(before=FAR))

    with patient.engine.running() as engine:
        served, saved = engine.listed(), engine.saved()
        pulled = answer(engine, "pull", f"{made.registry}/mirror/other:1")
        assert orphans in engine.listed()
    expected = json.loads(raw)["Repositories"]
    kept = {name for repository in expected for name in expected[repository] if repository < "lone"}
    assert {name for names in served.values() for name in names} >= kept - made.images[orphans].names
    assert saved == {image: digest for image, digest in made.saved.items() if image != orphans}
    assert "Pull complete" in pulled, "its layers had gone too"


def test_the_cache_of_buildkit_is_no_waste_and_works_after_a_clean(made: "Made", patient: Patient) -> None:
    stages = b"FROM base:1.0 AS one\nCOPY a /a\nFROM base:1.0\nCOPY --from=one /a /b\nCOPY c /c\n"
    files = {"Dockerfile": stages, "a": b"a", "c": b"c"}
    with patient.engine.running() as engine:
        build(engine, "kit:1", files)
        build(engine, "kit:1", files | {"c": b"new"})
        live = patient.findings()
    assert not any(one.rule in ("DK11", "DK12") for one in live), "also while the engine runs"
    names = {path.name for path in patient.layer_data.iterdir()}
    assert any(len(name) == 25 for name in names), "BuildKit has folders of its own"
    assert not any(one.rule in ("DK11", "DK12") for one in patient.findings())
    with patient.opened() as store:
        plan = store.plan(Clean(before=FAR, untagged=True))
        assert isinstance(plan, Plan)
        apply(store, plan, Journal.of(store.root))
    assert not any(len(name) == 25 for name in names - {path.name for path in patient.layer_data.iterdir()})
    with patient.engine.running() as engine:
        served = engine.saved()
        again = build(engine, "kit:2", files)
    assert served.keys() >= {image for image, found in made.images.items() if found.names}
    assert again.count("CACHED") >= 3, again
