"""Images that Orlop takes in from archives, judged by a registry that serves the root afterwards."""

import contextlib
import gzip
import hashlib
import json
import os
import signal
import subprocess
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orlop import apply as executor
from orlop import incoming, times
from orlop.digest import Digest
from orlop.journal import Journal
from orlop.plan import Plan
from orlop.progress import Progress, Silent
from tests.crash.conftest import in_child
from tests.engines.registry_judge import (
    ACCEPT,
    BLOBS,
    MANIFESTS,
    OFFLINE,
    Question,
    Reply,
    Service,
    blob_file,
    differences,
    opened,
    planned,
    pulled_one_by_one,
    questions_of,
    skopeo,
    state_of,
    undo,
)

if TYPE_CHECKING:
    from tests.engines.registry_maker import MadeRegistry

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]

Figure = Callable[[str], None]
Command = Callable[..., subprocess.CompletedProcess[str]]

NAMES = {
    "a new repository": "new/repository:v1",
    "one that is there": "team/app:later",
    "a tag that moves": "team/app:v1",
}
CASES = (
    ("oci-archive", "a new repository"),
    ("docker-archive", "a new repository"),
    ("oci-archive.gz", "one that is there"),
    ("docker-archive", "a tag that moves"),
    ("folder", "a tag that moves"),
)


def archived(made: "MadeRegistry", kind: str, folder: Path, name: str = "later", *options: str) -> Path:
    """One image of the source as a file or folder of a kind."""
    target = folder / f"{name}.{kind}"
    if kind == "folder":
        skopeo("copy", "-q", *options, f"oci:{made.source.folder}:{name}", f"oci:{target}:{name}")
    elif kind == "oci-archive.gz":
        target.write_bytes(gzip.compress(archived(made, "oci-archive", folder, name, *options).read_bytes()))
    else:
        skopeo("copy", "-q", *options, f"oci:{made.source.folder}:{name}", f"{kind}:{target}:some/where:{name}")
    return target


def take_in(root: Path, archive: Path, name: str, progress: Progress | None = None) -> Plan:
    """Stage an archive, plan and apply, and discard what waited."""
    with opened(root) as store:
        intent = store.stage(str(archive), name=name, latest=False, at=times.now(), progress=progress or Silent())
        plan = planned(store, intent)
        receipt = executor.apply(store, plan, Journal.of(store.root), statement=OFFLINE)
        assert receipt.findings == ()
        incoming.discard(store.root, intent.staged)
        return plan


def expect_image(service: Service, made: "MadeRegistry", name: str, source: str = "later") -> str:
    """The registry serves an image of the source under a name: its config, and layers of its content; its digest."""
    repository, _, tag = name.rpartition(":")
    [descriptor] = [each for each in made.source.index if _called(each) == source]
    wanted = json.loads(_blob(made, str(descriptor["digest"])))
    answer = service.ask("GET", f"{repository}/manifests/{tag}", Accept=ACCEPT)
    assert answer.status == 200, answer.body
    found = json.loads(answer.body)
    assert found["config"]["digest"] == wanted["config"]["digest"]
    diff_ids = json.loads(_blob(made, wanted["config"]["digest"]))["rootfs"]["diff_ids"]
    for layer, diff_id in zip(found["layers"], diff_ids, strict=True):
        content = service.ask("GET", f"{repository}/blobs/{layer['digest']}").body
        assert (len(content), Digest.of(content)) == (layer["size"], layer["digest"])
        plain = zlib.decompress(content, wbits=31) if content[:2] == b"\x1f\x8b" else content
        assert f"sha256:{hashlib.sha256(plain).hexdigest()}" == diff_id
    return Digest.of(answer.body)


def _blob(made: "MadeRegistry", digest: str) -> bytes:
    return (made.source.folder / "blobs" / "sha256" / digest[7:]).read_bytes()


def _called(descriptor: object) -> str:
    assert isinstance(descriptor, dict)
    return str(descriptor["annotations"]["org.opencontainers.image.ref.name"])


@pytest.mark.parametrize(("kind", "where"), CASES)
def test_an_archive_is_served_like_a_push_and_undo_takes_it_back(
    made_registry: "MadeRegistry", service: Service, kind: str, where: str, tmp_path: Path, figure: Figure
) -> None:
    name = NAMES[where]
    repository, _, tag = name.rpartition(":")
    question = Question(repository, MANIFESTS, tag)
    before = state_of(service.root)

    plan = take_in(service.root, archived(made_registry, kind, tmp_path), name)

    assert plan.bytes_added > 0
    after = state_of(service.root)
    replies = {each: reply for each, reply in made_registry.answers.replies.items() if each != question}
    with service.running():
        expect_image(service, made_registry, name)
        expect_served_but_for(service, replies)
        found = service.everything([question])
        assert found.tags[repository] == (made_registry.answers.tags.get(repository) or frozenset()) | {tag}
        assert found.catalog == made_registry.answers.catalog | {repository}
        assert pulled_one_by_one(service, found, [question]) == 1
    assert differences(state_of(service.root), after) == {}, "the registry changed the store"
    undo(service.root)
    assert differences(state_of(service.root), before) == {}
    figure(f"registry: {kind} imported into {where}: {len(plan.steps)} steps, {len(replies)} answers as before; undone")


def test_an_image_that_is_pushed_after_its_import_is_the_same_one(
    made_registry: "MadeRegistry", service: Service, tmp_path: Path
) -> None:
    take_in(service.root, archived(made_registry, "oci-archive", tmp_path), "new/app:imported")
    before = set(state_of(service.root))
    with service.running():
        digest = expect_image(service, made_registry, "new/app:imported")
        service.push(made_registry.source.folder, "later", "new/app:pushed")
        assert service.reply(Question("new/app", MANIFESTS, "pushed")).digest == digest
    added = {path for path in set(state_of(service.root)) - before if "/pushed" not in path}
    assert [path for path in added if not path.endswith("/_uploads")] == [], "the push had to send something"


def expect_served_but_for(service: Service, replies: Mapping[Question, Reply]) -> None:
    """These answers, whatever else there is."""
    found = service.everything(replies.keys())
    assert found.replies == replies


def test_an_index_is_taken_in_with_all_its_parts(
    made_registry: "MadeRegistry", service: Service, tmp_path: Path
) -> None:
    archive = archived(made_registry, "oci-archive", tmp_path, "multi", "--all")
    take_in(service.root, archive, "new/multi:all")
    with service.running():
        question = Question("new/multi", MANIFESTS, "all")
        found = service.everything([question, *questions_of(service.root)])
        assert found.replies[question] == made_registry.answers.replies[Question("team/multi", MANIFESTS, "all")]
        assert pulled_one_by_one(service, found, found.served("new/multi")) == 4
        expect_served_but_for(service, made_registry.answers.replies)


def test_importing_an_image_heals_the_damaged_blobs_that_it_has(
    made_registry: "MadeRegistry", service: Service, tmp_path: Path
) -> None:
    layer = made_registry.needs("team/app:v3")[2]
    blob_file(service.root, layer).write_bytes(b"no layer")
    take_in(service.root, archived(made_registry, "oci-archive", tmp_path, "app3"), "healing/app:v3")
    with service.running():
        replies = made_registry.answers.replies
        assert service.reply(Question("team/app", BLOBS, layer)) == replies[Question("team/app", BLOBS, layer)]
        expect_served_but_for(service, replies)
    undo(service.root)
    assert blob_file(service.root, layer).read_bytes() == b"no layer"


def test_reading_an_archive_in_is_gone_on_with_after_a_kill(
    made_registry: "MadeRegistry", service: Service, tmp_path: Path, figure: Figure
) -> None:
    archive = archived(made_registry, "oci-archive", tmp_path)
    before = state_of(service.root)
    reports = Counting()
    with opened(service.root) as store:
        told = store.stage(str(archive), name="new/app:v1", latest=False, at=1, progress=reports)
        incoming.discard(store.root, told.staged)
    assert reports.steps > 0
    kills = 0
    for number in range(1, reports.steps + 1):
        if not in_child(lambda: _stage(service.root, archive, Counting(number))):  # noqa: B023
            break
        kills += 1
        assert state_of(service.root) == before
    assert kills
    take_in(service.root, archive, "new/app:v1")
    with service.running():
        expect_image(service, made_registry, "new/app:v1")
        expect_served_but_for(service, made_registry.answers.replies)
    assert not (service.root / incoming.FOLDER).exists()
    figure(f"registry: reading an archive in killed at {kills} reports, then taken in")


class Counting:
    """Counts reports of progress, and kills its process at one of them."""

    def __init__(self, deadly: int = 0) -> None:
        self.steps = 0
        self.deadly = deadly

    def step(self, what: str, done: int, total: int) -> None:
        self.steps += 1
        if self.steps == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)


def _stage(root: Path, archive: Path, progress: Progress) -> None:
    with opened(root) as store:
        store.stage(str(archive), name="new/app:v1", latest=False, at=1, progress=progress)


def test_the_command_takes_an_archive_in_and_out(
    made_registry: "MadeRegistry", service: Service, tmp_path: Path, command: Command
) -> None:
    archive = archived(made_registry, "docker-archive", tmp_path)
    before = state_of(service.root)
    line = ["import", str(service.root), "new/app:v1", str(archive)]
    assert command(*line, "--dry-run").returncode == 0
    assert command(*line, "--yes").returncode == 4
    assert state_of(service.root) == before
    done = command(*line, "--yes", "--offline")
    assert done.returncode == 0, (done.stdout, done.stderr)
    with service.running():
        expect_image(service, made_registry, "new/app:v1")
    done = command("undo", str(service.root), "--yes", "--offline")
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert differences(state_of(service.root), before) == {}
    with contextlib.suppress(FileNotFoundError):
        assert os.listdir(service.root / incoming.FOLDER) == []
