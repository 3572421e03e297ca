"""Whatever a registry's storage shows is what the registry itself answers, and a healthy one is healthy."""

import contextlib
import hashlib
import json
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orlop import times
from orlop.digest import Digest
from orlop.finding import Severity
from orlop.records import Condition, Facet, Flag, Mapping, Remote, Row, Trust, Upload
from tests.engines.registry_judge import (
    BLOBS,
    MANIFESTS,
    V2,
    Question,
    Service,
    findings,
    layer_link,
    opened,
    pulled,
    pulled_one_by_one,
    state_of,
)

if TYPE_CHECKING:
    from tests.engines.registry_maker import MadeRegistry

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]

Figure = Callable[[str], None]
Command = Callable[..., subprocess.CompletedProcess[str]]

EXPECTED = {
    ("RG13", Severity.SPACE): 1,
    ("RG07", Severity.INFORMATION): 1,
    ("RG14", Severity.INFORMATION): 4,
    ("RG15", Severity.INFORMATION): 1,
    ("RG16", Severity.INFORMATION): 1,
    ("RG19", Severity.INFORMATION): 1,
    ("RG20", Severity.INFORMATION): 9,
}
"""All that is found in what the maker leaves: nothing is damaged, and what is young is no waste yet."""


@pytest.fixture(scope="module")
def rows(made_registry: "MadeRegistry") -> tuple[Row, ...]:
    with opened(made_registry.root) as store:
        return store.rows().rows


@contextlib.contextmanager
def asking(made: "MadeRegistry") -> Iterator[Service]:
    """The registry over the made store itself, for what changes nothing."""
    before = state_of(made.root)
    service = Service(made.root)
    with service.running():
        yield service
    shutil.rmtree(service.room)
    assert state_of(made.root) == before


# --- rows ----------------------------------------------------------------------


def test_the_tags_and_what_they_mean_are_those_that_the_registry_lists(
    made_registry: "MadeRegistry", rows: tuple[Row, ...], figure: Figure
) -> None:
    listed: dict[str, set[str]] = {}
    for row in rows:
        if row.key.name is not None:
            listed.setdefault(row.repository, set()).add(row.tag)
            assert row.key.name == f"{row.repository}:{row.tag}"
            assert row.id == made_registry.digest(row.key.name)
    answers = made_registry.answers
    assert listed == {name: set(tags) for name, tags in answers.tags.items() if tags}
    figure(f"registry: {sum(map(len, listed.values()))} tags in {len(listed)} repositories equal to its API")


def test_every_manifest_that_the_registry_serves_has_a_row_in_its_repository(
    made_registry: "MadeRegistry", rows: tuple[Row, ...]
) -> None:
    served = {
        (question.repository, reply.digest)
        for question, reply in made_registry.answers.replies.items()
        if question.what == MANIFESTS
    }
    assert {(row.repository, row.id) for row in rows} == served
    assert {row.condition for row in rows} == {Condition.SOUND}
    assert {row.trust for row in rows} == {Trust.LINKED}


def test_sizes_are_the_bytes_that_the_registry_sends(made_registry: "MadeRegistry", rows: tuple[Row, ...]) -> None:
    with asking(made_registry) as service:
        for row in rows:
            assert row.size == _sent(service, row.repository, row.id, set()), row.key


def _sent(service: Service, name: str, digest: str, seen: set[str]) -> int:
    """Bytes of a manifest, and of everything that it names, each once."""
    manifest = service.ask("GET", f"{name}/manifests/{digest}", Accept="*/*, " + _TYPES).body
    told = json.loads(manifest)
    total = len(manifest)
    for child in told.get("manifests", ()):
        total += _sent(service, name, child["digest"], seen)
    for blob in [told["config"], *told["layers"]] if "config" in told else []:
        if blob["digest"] not in seen:
            seen.add(blob["digest"])
            total += len(service.ask("GET", f"{name}/blobs/{blob['digest']}").body)
    return total


_TYPES = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.manifest.v1",
        "oci.image.index.v1",
        "docker.distribution.manifest.v2",
        "docker.distribution.manifest.list.v2",
    )
)


def test_the_parts_of_an_index_follow_it_and_what_belongs_to_others_says_so(
    made_registry: "MadeRegistry", rows: tuple[Row, ...]
) -> None:
    [index] = [row for row in rows if row.key.name == "team/multi:all"]
    told = json.loads(made_registry.manifest(index.id))
    at = rows.index(index)
    children = rows[at + 1 : at + 3]
    assert index.what == "index"
    assert [(row.id, row.under, row.flags) for row in children] == [
        (child["digest"], index.key, frozenset({Flag.CHILD})) for child in told["manifests"]
    ]
    assert [row.platform for row in children] == ["linux/amd64", "linux/arm64"]
    facts = made_registry.facts
    by_id = {(row.repository, row.id): row for row in rows}
    for word in ("signature", "materials"):
        row = by_id["team/signed", facts[word]]
        assert (row.what, row.flags) == ("artifact", frozenset({Flag.REFERRER}))
    assert by_id["team/moved", facts["untagged"]].flags == {Flag.UNTAGGED}
    assert ("team/deleted", facts["deleted"]) not in by_id


def test_details_hold_the_bytes_that_the_registry_sends(made_registry: "MadeRegistry", rows: tuple[Row, ...]) -> None:
    replies = made_registry.answers.replies
    with opened(made_registry.root) as store:
        for row in rows:
            detail = store.detail(row.key)
            sent = replies[Question(row.repository, MANIFESTS, row.id)]
            assert [Digest.of(document.raw or b"") for document in detail.documents][:1] == [sent.content]
            assert detail.problems == ()
            if row.what == "image":
                config = json.loads(made_registry.manifest(row.id))["config"]["digest"]
                assert Digest.of(detail.config_raw or b"") == replies[Question(row.repository, BLOBS, config)].content


# --- records -------------------------------------------------------------------


def test_mappings_pair_a_layer_with_the_digest_of_its_content_wherever_it_is_served(
    made_registry: "MadeRegistry", figure: Figure
) -> None:
    with opened(made_registry.root) as store:
        records = store.facet(Facet.MAPPINGS, None)
    assert isinstance(records, tuple)
    with asking(made_registry) as service:
        for record in records:
            assert isinstance(record, Mapping)
            assert not record.stale
            blob = service.ask("GET", f"{record.source}/blobs/{record.digest}")
            assert blob.status == 200
            content = zlib.decompress(blob.body, wbits=31)
            assert record.diff_id == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert len(records) > 10
    figure(f"registry: {len(records)} mappings proved by decompressing what the registry sends")


def test_uploads_in_progress_are_those_that_clients_began(made_registry: "MadeRegistry") -> None:
    facts = made_registry.facts
    with opened(made_registry.root) as store:
        records = store.facet(Facet.UPLOADS, None)
    assert isinstance(records, tuple)
    found = {}
    for record in records:
        assert isinstance(record, Upload)
        assert record.started is not None
        assert abs(record.started - times.now()) < 3600 * 10**9
        assert record.problem == ""
        found[record.repository, record.id] = record.bytes
    part = len(b"a part of it ") * 40
    assert found == {
        ("team/deleted", facts["upload of 0 to team/deleted"]): 0,
        ("team/deleted", facts["upload of 2 to team/deleted"]): 2 * part,
        ("only-upload", facts["upload of 1 to only-upload"]): part,
    }


def test_a_cache_shows_what_it_holds_and_when_each_expires(made_cache: "MadeRegistry") -> None:
    schedule = json.loads((made_cache.root / "scheduler-state.json").read_bytes())
    with opened(made_cache.root) as store:
        records = store.facet(Facet.REMOTES, None)
        cached = store.rows().rows
    assert isinstance(records, tuple)
    found = {}
    for record in records:
        assert isinstance(record, Remote)
        assert (record.kind, record.trouble) == ("pull-through cache", "")
        assert record.expires is not None
        found[record.reference] = times.rfc3339(record.expires)[:19]
    assert found == {key: entry["ExpiryData"][:19] for key, entry in schedule.items()}
    week = timedelta(hours=168)
    for entry in schedule.values():
        left = datetime.fromisoformat(entry["ExpiryData"][:19] + "+00:00") - datetime.now().astimezone()
        assert week - timedelta(hours=1) < left <= week
    assert {(row.repository, row.id) for row in cached} == {
        (question.repository, reply.digest)
        for question, reply in made_cache.answers.replies.items()
        if question.what == MANIFESTS
    }
    assert all(Flag.CACHED in row.flags for row in cached)


# --- health --------------------------------------------------------------------


@pytest.mark.parametrize("content", [False, True], ids=["structure", "content"])
def test_nothing_in_a_healthy_registry_is_damage(made_registry: "MadeRegistry", content: bool) -> None:
    found: dict[tuple[str, Severity], int] = {}
    for finding in findings(made_registry.root, content=content):
        found[finding.rule, finding.severity] = found.get((finding.rule, finding.severity), 0) + 1
    assert found == EXPECTED


@pytest.mark.parametrize("content", [False, True], ids=["structure", "content"])
def test_nothing_in_a_healthy_cache_is_more_than_information(made_cache: "MadeRegistry", content: bool) -> None:
    assert {finding.severity for finding in findings(made_cache.root, content=content)} <= {Severity.INFORMATION}


def test_a_registry_that_expired_collected_and_deleted_stays_healthy(
    services: Callable[..., Service], made_registry: "MadeRegistry"
) -> None:
    service = services()
    with service.running():
        digest = made_registry.digest("team/app/nested:v1")
        assert service.ask("DELETE", f"team/app/nested/manifests/{digest}").status == 202
    collected = service.collect()
    assert collected.returncode == 0
    assert "blob eligible for deletion" in collected.stdout
    assert [finding for finding in findings(service.root, content=True) if finding.severity.is_damage] == []
    with opened(service.root) as store:
        assert all(row.repository != "team/app/nested" for row in store.rows().rows)


def test_looking_at_a_registry_changes_no_byte_of_it(made_registry: "MadeRegistry", made_cache: "MadeRegistry") -> None:
    for made in (made_registry, made_cache):
        before = state_of(made.root)
        findings(made.root, content=True)
        assert state_of(made.root) == before
        assert not (made.root / ".orlop").exists()


def test_skopeo_takes_every_tag_and_digest_of_the_made_registry(made_registry: "MadeRegistry", figure: Figure) -> None:
    with asking(made_registry) as service:
        every = made_registry.answers.served()
        count = pulled(service, made_registry.answers, every)
        assert pulled_one_by_one(service, made_registry.answers, every) == count == len(every)
    figure(f"registry: {count} tags and digests taken by skopeo copy and skopeo inspect --raw")


# --- where it is opened, and by a command --------------------------------------


@pytest.mark.parametrize("below", ["", "docker/registry", V2])
def test_any_of_its_folders_opens_the_same_store(
    made_registry: "MadeRegistry", rows: tuple[Row, ...], below: str
) -> None:
    with opened(made_registry.root / below) as store:
        assert store.rows().rows == rows
        assert Path(store.identity.path) == made_registry.root


def test_the_command_lists_each_image_with_its_names(
    made_registry: "MadeRegistry", rows: tuple[Row, ...], command: Command
) -> None:
    done = command("ls", str(made_registry.root), "--json")
    assert done.returncode == 0, done.stderr
    images = [json.loads(line) for line in done.stdout.splitlines()]
    found = {(image["scope"], image["id"]): set(image["names"]) for image in images if image["type"] == "image"}
    wanted: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        wanted.setdefault((row.repository, row.id), set()).update([row.key.name] if row.key.name else [])
    assert found == wanted
    assert command("check", str(made_registry.root)).returncode == 1
    checked = command("check", str(made_registry.root), "library/base:1.0", "--content", "--json")
    assert checked.returncode == 0, checked.stdout


def test_a_cut_link_is_damage_by_the_exit_code(
    service: Service, made_registry: "MadeRegistry", command: Command
) -> None:
    layer_link(service.root, "team/app", made_registry.needs("team/app:v3")[1]).write_bytes(b"")
    done = command("check", str(service.root), "--json")
    assert done.returncode == 2
    worst = json.loads(done.stdout.splitlines()[0])
    assert (worst["rule"], worst["severity"], worst["engine_says"]) == ("RG12", "S2", "invalid checksum digest format")
