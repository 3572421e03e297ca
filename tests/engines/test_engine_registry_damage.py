"""Damaged registries: what the registry really answers is what the findings say, and after a repair it serves.

Each damage is done by hand to a copy of a real root. The registry is asked over its API
and its garbage collection is run, before the repair and after it; what cannot be derived
is moved aside so that a push heals it.
"""

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orlop import times
from orlop.errors import Locked
from orlop.finding import Finding, Severity
from orlop.finding import Repair as Cure
from orlop.intent import Clean, DropUploads, RemoveRepository, Repair, Untag
from orlop.plan import Refusal
from tests.engines.registry_judge import (
    ACCEPT,
    BLOBS,
    MANIFESTS,
    V2,
    Question,
    Service,
    blob_file,
    change,
    differences,
    expect_answers,
    findings,
    layer_link,
    opened,
    planned,
    pulled,
    repository_folder,
    revision_link,
    skopeo,
    state_of,
    tag_link,
    undo,
)

if TYPE_CHECKING:
    from tests.engines.registry_maker import MadeRegistry

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]

Figure = Callable[[str], None]
Services = Callable[..., Service]
Do = Callable[[Path, "MadeRegistry"], None]

HEALED, PUSH, GONE = "all is served again", "a push heals it", "what it was is gone"
DAY = 86_400 * 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """What is done by hand, and what comes of it."""

    do: Do
    rule: str
    severity: Severity
    asked: Callable[["MadeRegistry"], Mapping[tuple[str, str, str], int]]
    """Question → status."""
    then: str
    """What a repair reaches."""
    collected: tuple[bool, bool] = (True, True)
    """Whether garbage collection runs through, plain and with --delete-untagged."""
    content: bool = False
    """Whether only hashing finds it."""
    guess: bool = False
    """Whether its repair needs consent."""


def altered(content: bytes) -> bytes:
    """As long, and otherwise in one bit."""
    return content[:20] + bytes([content[20] ^ 1]) + content[21:]


def writes(path: Callable[[Path, "MadeRegistry"], Path], content: bytes | Callable[[bytes], bytes] | None) -> Do:
    """Write a file in place, as a registry's own cut write leaves it; None removes it."""

    def do(root: Path, made: "MadeRegistry") -> None:
        file = path(root, made)
        if content is None:
            file.unlink()
        else:
            file.write_bytes(content(file.read_bytes()) if callable(content) else content)

    return do


def layer(name: str, number: int = -1) -> Callable[[Path, "MadeRegistry"], Path]:
    return lambda root, made: blob_file(root, made.needs(name)[number])


def manifest(name: str) -> Callable[[Path, "MadeRegistry"], Path]:
    return lambda root, made: blob_file(root, made.digest(name))


def tag(name: str, tag: str) -> Callable[[Path, "MadeRegistry"], Path]:
    return lambda root, made: tag_link(root, name, tag)


def revision(name: str, of: str) -> Callable[[Path, "MadeRegistry"], Path]:
    return lambda root, made: revision_link(root, name, made.digest(f"{name}:{of}"))


def link(name: str, of: str, number: int = -1) -> Callable[[Path, "MadeRegistry"], Path]:
    return lambda root, made: layer_link(root, name, made.needs(f"{name}:{of}")[number])


def blob(name: str, number: int, status: int) -> Callable[["MadeRegistry"], Mapping[tuple[str, str, str], int]]:
    return lambda made: {(name.rpartition(":")[0], BLOBS, made.needs(name)[number]): status}


def tagged(name: str, by_tag: int, by_digest: int) -> Callable[["MadeRegistry"], Mapping[tuple[str, str, str], int]]:
    repository, _, tag = name.rpartition(":")
    return lambda made: {
        (repository, MANIFESTS, tag): by_tag,
        (repository, MANIFESTS, made.digest(name)): by_digest,
    }


def children_of_index(made: "MadeRegistry") -> list[str]:
    return [each["digest"] for each in json.loads(made.manifest(made.digest("team/multi:all")))["manifests"]]


def unlink_children(root: Path, made: "MadeRegistry") -> None:
    for digest in children_of_index(made):
        shutil.rmtree(revision_link(root, "team/multi", digest).parent)


def stray_blob(root: Path, made: "MadeRegistry") -> None:
    folder = root / V2 / BLOBS / "stray" / "folder"
    folder.mkdir(parents=True)
    (folder / "data").write_bytes(b"restored in the wrong place")


def stray_revision(root: Path, made: "MadeRegistry") -> None:
    folder = repository_folder(root, "team/app") / "_manifests" / "revisions" / "stray"
    folder.mkdir()
    (folder / "link").write_bytes(b"nothing")


def stray_tag(root: Path, made: "MadeRegistry") -> None:
    (repository_folder(root, "team/app") / "_manifests" / "tags" / "notes.txt").write_bytes(b"a note")


def signature(root: Path, made: "MadeRegistry") -> None:
    folder = revision_link(root, "team/app", made.digest(V3)).parent / "signatures" / "sha256" / ("ab" * 32)
    folder.mkdir(parents=True)
    (folder / "link").write_bytes(b"")


def overwrite(file: Path, text: str) -> None:
    file.write_text(text)


def without_layers(root: Path, made: "MadeRegistry") -> None:
    shutil.rmtree(repository_folder(root, "team/app") / "_layers")


BLOCKS, UNUSABLE = Severity.BLOCKS, Severity.UNUSABLE
V3, V1, LATEST = "team/app:v3", "team/app:v1", "team/app:latest"

DAMAGES = {
    "an empty layer": Damage(
        do=writes(layer(V3), b""), rule="RG01", severity=UNUSABLE, asked=blob(V3, -1, 200), then=PUSH
    ),
    "a layer cut short": Damage(
        do=writes(layer(V3), lambda old: old[:-9]), rule="RG01", severity=UNUSABLE, asked=blob(V3, -1, 200), then=PUSH
    ),
    "one bit of a layer": Damage(
        do=writes(layer(V3), altered),
        rule="RG01",
        severity=UNUSABLE,
        asked=blob(V3, -1, 200),
        then=PUSH,
        content=True,
    ),
    "one bit of a config": Damage(
        do=writes(layer(V3, 0), altered), rule="RG01", severity=UNUSABLE, asked=blob(V3, 0, 200), then=PUSH
    ),
    "a manifest written otherwise": Damage(
        do=writes(manifest(V3), lambda old: old + b"\n"),
        rule="RG02",
        severity=UNUSABLE,
        asked=tagged(V3, 200, 200),
        then=PUSH,
    ),
    "an empty manifest": Damage(
        do=writes(manifest(V3), b""),
        rule="RG03",
        severity=BLOCKS,
        asked=tagged(V3, 500, 500),
        then=PUSH,
        collected=(False, False),
    ),
    "a manifest cut short": Damage(
        do=writes(manifest(V3), lambda old: old[:100]),
        rule="RG03",
        severity=BLOCKS,
        asked=tagged(V3, 500, 500),
        then=PUSH,
        collected=(False, False),
    ),
    "a manifest of 5 MiB": Damage(
        do=writes(manifest(V3), lambda old: old + b" " * (5 << 20)),
        rule="RG03",
        severity=BLOCKS,
        asked=tagged(V3, 500, 500),
        then=PUSH,
        collected=(False, False),
    ),
    "a list in a manifest's place": Damage(
        do=writes(manifest(V3), b"[]"),
        rule="RG03",
        severity=BLOCKS,
        asked=tagged(V3, 500, 500),
        then=PUSH,
        collected=(False, False),
    ),
    "a manifest that is gone": Damage(
        do=writes(manifest(V3), None), rule="RG04", severity=UNUSABLE, asked=tagged(V3, 404, 404), then=GONE
    ),
    "a layer that is gone": Damage(
        do=writes(layer(V3), None), rule="RG05", severity=UNUSABLE, asked=blob(V3, -1, 404), then=GONE
    ),
    "a config that is gone": Damage(
        do=writes(layer(V3, 0), None), rule="RG05", severity=UNUSABLE, asked=blob(V3, 0, 404), then=GONE
    ),
    "an empty tag": Damage(
        do=writes(tag("team/app", "v3"), b""),
        rule="RG08",
        severity=BLOCKS,
        asked=tagged(V3, 500, 200),
        then=HEALED,
        collected=(True, False),
    ),
    "a tag with a newline": Damage(
        do=writes(tag("team/app", "v3"), lambda old: old + b"\n"),
        rule="RG08",
        severity=BLOCKS,
        asked=tagged(V3, 500, 200),
        then=HEALED,
        collected=(True, False),
    ),
    "a tag with another algorithm": Damage(
        do=writes(tag("team/app", "v3"), lambda old: old.replace(b"sha256", b"sha257")),
        rule="RG08",
        severity=BLOCKS,
        asked=tagged(V3, 500, 200),
        then=HEALED,
        collected=(True, False),
    ),
    "an empty tag that meant two things": Damage(
        do=writes(tag("team/app", "latest"), b""),
        rule="RG08",
        severity=BLOCKS,
        asked=tagged(LATEST, 500, 200),
        then=HEALED,
        collected=(True, False),
        guess=True,
    ),
    "a tag without its link": Damage(
        do=writes(tag("team/app", "v3"), None),
        rule="RG09",
        severity=UNUSABLE,
        asked=tagged(V3, 404, 200),
        then=HEALED,
    ),
    "an empty revision": Damage(
        do=writes(revision("team/app", "v3"), b""),
        rule="RG11",
        severity=BLOCKS,
        asked=tagged(V3, 500, 500),
        then=HEALED,
        collected=(False, False),
    ),
    "a revision with a newline": Damage(
        do=writes(revision("team/app", "v3"), lambda old: old + b"\n"),
        rule="RG11",
        severity=BLOCKS,
        asked=tagged(V3, 500, 500),
        then=HEALED,
        collected=(False, False),
    ),
    "a revision that is gone under its tag": Damage(
        do=lambda root, made: shutil.rmtree(revision_link(root, "team/app", made.digest(V3)).parent),
        rule="RG10",
        severity=UNUSABLE,
        asked=tagged(V3, 404, 404),
        then=HEALED,
    ),
    "an empty link to a layer": Damage(
        do=writes(link("team/app", "v3"), b""),
        rule="RG12",
        severity=UNUSABLE,
        asked=blob(V3, -1, 500),
        then=HEALED,
    ),
    "a link to a layer with rubbish": Damage(
        do=writes(link("team/app", "v3"), b"sha256:zz"),
        rule="RG12",
        severity=UNUSABLE,
        asked=blob(V3, -1, 500),
        then=HEALED,
    ),
    "a link to a layer that is gone": Damage(
        do=writes(link("team/app", "v3"), None),
        rule="RG12",
        severity=UNUSABLE,
        asked=blob(V3, -1, 404),
        then=HEALED,
    ),
    "all links to layers gone": Damage(
        do=without_layers, rule="RG12", severity=UNUSABLE, asked=blob(V3, -1, 404), then=HEALED
    ),
    "parts of an index that are no longer known": Damage(
        do=unlink_children,
        rule="RG06",
        severity=UNUSABLE,
        asked=lambda made: {("team/multi", MANIFESTS, each): 404 for each in children_of_index(made)},
        then=HEALED,
    ),
    "a foreign folder below the blobs": Damage(
        do=stray_blob,
        rule="RG18",
        severity=BLOCKS,
        asked=tagged(V3, 200, 200),
        then=HEALED,
        collected=(False, False),
    ),
    "a foreign folder among the revisions": Damage(
        do=stray_revision,
        rule="RG18",
        severity=BLOCKS,
        asked=tagged(V3, 200, 200),
        then=HEALED,
        collected=(False, False),
    ),
    "an empty link of a signature of 2.0": Damage(
        do=signature,
        rule="RG11",
        severity=BLOCKS,
        asked=tagged(V3, 200, 200),
        then=HEALED,
        collected=(False, False),
    ),
    "a revision that leads to a layer": Damage(
        do=lambda root, made: overwrite(revision_link(root, "team/app", made.digest(V3)), made.needs(V3)[-1]),
        rule="RG11",
        severity=BLOCKS,
        asked=tagged(V3, 500, 500),
        then=HEALED,
        collected=(False, True),
    ),
    "a file among the tags": Damage(
        do=stray_tag,
        rule="RG18",
        severity=BLOCKS,
        asked=lambda made: {("team/app", MANIFESTS, "notes.txt"): 500},
        then=HEALED,
        collected=(True, False),
    ),
}


# --- what the registry says ------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Everything that the registry said to some questions, and its garbage collection."""

    answers: str
    collecting: str
    through: tuple[bool, bool]
    """Whether garbage collection ran through, plain and with --delete-untagged."""

    def says(self, words: str, root: Path) -> bool:
        """Whether it said this, where it is said."""
        where = self.collecting if words.startswith(("failed to garbage collect", "panic")) else self.answers
        pattern = re.escape(words.replace("<root>", str(root))).replace("…", ".*")
        return re.search(pattern, where) is not None


def hear(service: Service, asked: Mapping[tuple[str, str, str], int]) -> Heard:
    """Ask, expecting these statuses."""
    said = []
    with service.running():
        for (repository, what, reference), status in asked.items():
            answer = service.ask("GET", f"{repository}/{what}/{reference}", Accept=ACCEPT)
            assert answer.status == status, (repository, what, reference, answer.body[:500])
            said.append(answer.message if status >= 400 else "")
    runs = [service.collect("--dry-run", *more) for more in ((), ("--delete-untagged",))]
    return Heard(
        answers="\n".join([*said, service.log()]),
        collecting="\n".join(run.stderr for run in runs),
        through=(runs[0].returncode == 0, runs[1].returncode == 0),
    )


def of_rule(found: Iterable[Finding], rule: str) -> list[Finding]:
    return [finding for finding in found if finding.rule == rule and finding.severity.is_damage]


def push_again(service: Service, made: "MadeRegistry") -> None:
    """What a person does who has the image elsewhere."""
    service.push(made.source.folder, "app3", V3)


def expect_whole(service: Service, made: "MadeRegistry") -> None:
    """The registry answers as before the damage, and skopeo takes what was damaged."""
    with service.running():
        found = expect_answers(service, made.answers)
        tags = [each for each in found.served("team/app", "team/multi") if each.is_tag]
        assert pulled(service, found, tags) > 2


# --- the judge -----------------------------------------------------------------


@pytest.mark.parametrize("what", DAMAGES)
def test_the_registry_answers_as_the_finding_says_and_serves_after_the_repair(
    made_registry: "MadeRegistry", service: Service, what: str, figure: Figure
) -> None:
    damage = DAMAGES[what]
    damage.do(service.root, made_registry)
    damaged = state_of(service.root)

    found = findings(service.root, content=damage.content)
    mine = of_rule(found, damage.rule)

    assert [finding for finding in found if finding.severity.is_damage and finding.rule != damage.rule] == []
    assert mine
    assert {finding.severity for finding in mine} == {damage.severity}
    heard = hear(service, damage.asked(made_registry))
    assert heard.through == damage.collected
    for finding in mine:
        if damage.rule not in ("RG01", "RG02"):  # it serves what is wrong without a word
            assert heard.says(finding.engine_says, service.root), (finding.engine_says, heard)
    assert differences(state_of(service.root), damaged) == {}

    outcome = _repair(service, made_registry, damage, mine)
    figure(f"registry: {what}: {damage.rule} {damage.severity}: {mine[0].engine_says or 'says nothing'}: {outcome}")


def _repair(service: Service, made: "MadeRegistry", damage: Damage, mine: list[Finding]) -> str:
    damaged = state_of(service.root)
    intent = Repair(findings=tuple(finding.identity for finding in mine), guess=damage.guess)
    if damage.guess:
        with opened(service.root) as store:
            refusal = store.plan(Repair(findings=intent.findings))
            assert isinstance(refusal, Refusal), refusal
    if damage.then == GONE:
        with opened(service.root) as store:
            refusal = store.plan(intent)
            assert isinstance(refusal, Refusal), refusal
        return _pushed_again(service, made)
    if damage.then == PUSH:
        with service.running():  # it takes the push, and nothing changes
            push_again(service, made)
            assert {question: status for question, status in damage.asked(made).items() if status != 200} == {
                question: service.reply(Question(*question)).status
                for question, status in damage.asked(made).items()
                if status != 200
            }
        damaged = state_of(service.root)
    change(service.root, lambda store: intent)
    repaired = state_of(service.root)
    assert of_rule(findings(service.root, content=damage.content), damage.rule) == []
    assert service.collect("--dry-run").returncode == 0
    assert service.collect("--dry-run", "--delete-untagged").returncode == 0
    if damage.then == HEALED:
        expect_whole(service, made)
    assert differences(state_of(service.root), repaired) == {}
    undo(service.root)
    assert differences(state_of(service.root), damaged) == {}
    if damage.then == HEALED:
        return damage.then
    change(service.root, lambda store: intent)
    return _pushed_again(service, made)


def _pushed_again(service: Service, made: "MadeRegistry") -> str:
    with service.running():
        push_again(service, made)
    expect_whole(service, made)
    assert [finding for finding in findings(service.root, content=True) if finding.severity.is_damage] == []
    return PUSH


def test_pushing_a_damaged_layer_again_changes_nothing_until_it_is_moved_aside(
    made_registry: "MadeRegistry", service: Service
) -> None:
    digest = made_registry.needs(V3)[-1]
    question = Question("team/app", BLOBS, digest)
    blob_file(service.root, digest).write_bytes(b"")
    with service.running():
        push_again(service, made_registry)
        assert service.reply(question).content != digest
        with pytest.raises(AssertionError, match="Digest did not match"):
            skopeo("copy", "--src-tls-verify=false", f"docker://{service.host}/{V3}", f"dir:{service.room / 'copy'}")
    [finding] = of_rule(findings(service.root), "RG01")
    assert set(finding.names) >= {V3}
    change(service.root, lambda store: Repair(findings=(finding.identity,)))
    with service.running():
        assert service.reply(question).status == 404
        push_again(service, made_registry)
        assert service.reply(question) == made_registry.answers.replies[question]


# --- commands of the registry that meet damage -----------------------------------


def test_a_deletion_that_an_empty_tag_stopped_half_way_is_put_right_with_the_tag(
    made_registry: "MadeRegistry", service: Service
) -> None:
    tag_link(service.root, "team/app", "v3").write_bytes(b"")
    path = f"team/app/manifests/{made_registry.digest(V1)}"
    with service.running():
        assert service.tags("team/app") == frozenset({"latest", "v1", "v2", "v3"})
        assert service.ask("DELETE", path).status == 500
        assert service.ask("GET", "team/app/manifests/v1", Accept=ACCEPT).status == 404, "its first step was done"
    assert "invalid checksum digest format" in service.log()
    found = [finding for finding in findings(service.root) if finding.severity.is_damage]
    assert {finding.rule for finding in found} == {"RG08", "RG10"}
    change(service.root, lambda store: Repair(findings=tuple(finding.identity for finding in found)))
    expect_whole(service, made_registry)
    with service.running():
        assert service.ask("DELETE", path).status == 202
        assert service.tags("team/app") == frozenset({"latest", "v2", "v3"})


def test_a_push_stops_at_an_empty_link_to_a_layer_and_works_after_the_repair(
    made_registry: "MadeRegistry", service: Service
) -> None:
    layer_link(service.root, "team/app", made_registry.needs(V3)[-1]).write_bytes(b"")
    with service.running(), pytest.raises(AssertionError, match=r"500 \(Internal Server Error\)"):
        push_again(service, made_registry)
    [finding] = of_rule(findings(service.root), "RG12")
    change(service.root, lambda store: Repair(findings=(finding.identity,)))
    with service.running():
        push_again(service, made_registry)
    expect_whole(service, made_registry)


def test_a_lost_manifest_makes_the_registry_collect_its_layers_and_the_finding_says_so(
    made_registry: "MadeRegistry", services: Services
) -> None:
    service, twin = services(), services()
    for each in (service, twin):
        blob_file(each.root, made_registry.digest("other/solo:only")).unlink()
    own = made_registry.needs("other/solo:only")
    [finding] = of_rule(findings(service.root), "RG04")
    assert f"would now delete the {len(own)} blobs" in finding.detail
    assert twin.collect().returncode == 0
    assert [blob_file(twin.root, each).exists() for each in own] == [False, False]

    change(service.root, lambda store: Clean(before=times.now(), untagged=True))

    assert [blob_file(service.root, each).exists() for each in own] == [True, True]
    with service.running():
        service.push(made_registry.source.folder, "solo", "other/solo:only")
        question = Question("other/solo", MANIFESTS, "only")
        assert service.reply(question) == made_registry.answers.replies[question]


def test_what_the_registrys_collection_made_of_an_index_is_found_and_healed_by_a_push(
    made_registry: "MadeRegistry", service: Service
) -> None:
    assert service.collect("--delete-untagged").returncode == 0
    children = children_of_index(made_registry)
    found = of_rule(findings(service.root), "RG06")
    assert {finding.images[-1] for finding in found} == {made_registry.digest("team/multi:all")}
    assert {finding.path.split("/")[-2] for finding in found} == {each[7:] for each in children}
    assert {(finding.engine_says, finding.repair) for finding in found} == {("manifest unknown", Cure.REBUILD)}
    change(service.root, lambda store: Repair(findings=tuple(finding.identity for finding in found)))
    with service.running():  # the manifests were only hidden, their layers are gone
        for digest in children:
            question = Question("team/multi", MANIFESTS, digest)
            assert service.reply(question) == made_registry.answers.replies[question]
    assert {finding.rule for finding in findings(service.root) if finding.severity.is_damage} == {"RG05"}
    with service.running():
        service.push(made_registry.source.folder, "multi", "team/multi:all", "--all")
        for question, reply in made_registry.answers.replies.items():
            if question.repository == "team/multi":
                assert service.reply(question) == reply
    assert [finding for finding in findings(service.root, content=True) if finding.severity.is_damage] == []


def test_collecting_during_a_push_loses_a_layer_and_orlop_refuses_to_do_so(
    made_registry: "MadeRegistry", service: Service
) -> None:
    config = json.dumps({"architecture": "amd64", "os": "linux"}).encode()
    with service.running():
        pushed = service.upload("team/app", config)
        with pytest.raises(Locked):
            change(service.root, lambda store: Clean(before=times.now()))
        with opened(service.root) as store:
            assert planned(store, Clean(before=times.now() - DAY)).steps == ()
        assert service.collect().returncode == 0
        told = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": pushed, "size": len(config)}
        body = json.dumps({"schemaVersion": 2, "config": told, "layers": []}).encode()
        answer = service.put("team/app", "new", body, "application/vnd.oci.image.manifest.v1+json")
        assert answer.status == 400
        assert answer.message == f'blob unknown to registry "{pushed}"'
    assert not blob_file(service.root, pushed).exists()


def test_collecting_under_a_registry_that_remembers_blobs_is_found_after_the_next_push(
    made_registry: "MadeRegistry", service: Service
) -> None:
    service.remembers = True
    source = made_registry.source.folder
    layer = made_registry.needs("other/solo:only")[-1]
    with service.running():
        service.push(source, "solo", "other/solo:only")
        digest = made_registry.digest("other/solo:only")
        assert service.ask("DELETE", f"other/solo/manifests/{digest}").status == 202
        assert service.collect().returncode == 0
        service.push(source, "solo", "other/solo:again")
        assert not blob_file(service.root, layer).exists(), "it says that the layer exists"
        with pytest.raises(Locked):
            change(service.root, lambda store: Clean(before=times.now()))
    found = [finding for finding in findings(service.root) if finding.severity.is_damage]
    assert [(finding.rule, finding.names) for finding in found] == [("RG04", ("other/solo:again",))]
    with service.running():
        service.push(source, "solo", "other/solo:again")
    assert [finding for finding in findings(service.root, content=True) if finding.severity.is_damage] == []


@pytest.mark.parametrize("name", ["Upper", "team/Upper", "/".join(["a" * 100] * 3)], ids=["upper", "nested", "long"])
def test_a_repository_that_no_reference_can_name_stops_collecting_until_it_is_removed(
    made_registry: "MadeRegistry", service: Service, name: str
) -> None:
    shutil.copytree(repository_folder(service.root, "library/base"), repository_folder(service.root, name))
    [finding] = of_rule(findings(service.root), "RG18")
    heard = hear(service, {})
    assert heard.through == (False, False)
    assert heard.says(finding.engine_says, service.root), heard
    change(service.root, lambda store: RemoveRepository(names=(name,)))
    assert hear(service, {}).through == (True, True)
    expect_whole(service, made_registry)


def test_a_tag_that_no_client_can_ask_for_stops_collecting_until_it_is_taken_away(
    made_registry: "MadeRegistry", service: Service
) -> None:
    tags = tag_link(service.root, "team/app", "v3").parents[2]
    shutil.copytree(tags / "v3", tags / "no tag")
    [finding] = of_rule(findings(service.root), "RG18")
    heard = hear(service, {})
    assert heard.through == (True, False)
    assert heard.says(finding.engine_says, service.root), heard
    change(service.root, lambda store: Untag(names=("team/app:no tag",)))
    assert hear(service, {}).through == (True, True)
    expect_whole(service, made_registry)


def test_a_client_says_of_an_altered_layer_what_the_finding_says(
    made_registry: "MadeRegistry", service: Service, tmp_path: Path
) -> None:
    from tests.engines.conftest import _engine

    digest = made_registry.needs(V3)[-1]
    blob_file(service.root, digest).write_bytes(altered(blob_file(service.root, digest).read_bytes()))
    [finding] = of_rule(findings(service.root, content=True), "RG01")
    with service.running(), _engine(tmp_path / "docker", "vfs") as engine, engine.running():
        done = engine.try_docker("pull", f"{service.host}/{V3}")
    assert done.returncode != 0
    assert finding.engine_says in done.stderr.decode()


# --- what only takes space --------------------------------------------------------


def aged(root: Path) -> None:
    """As it would be after ten days."""
    long_ago = time.time() - 10 * 86_400
    for started in root.rglob("startedat"):
        started.write_text(times.rfc3339(int(long_ago) * 10**9))
    for path in (*root.rglob("*"), root):
        os.utime(path, (long_ago, long_ago))


def test_what_takes_space_is_what_the_registry_collects_or_leaves_for_ever(
    made_registry: "MadeRegistry", services: Services
) -> None:
    mine, twin = services(), services()
    for each in (mine, twin):
        aged(each.root)
    found = findings(mine.root)
    assert {(finding.rule, finding.severity) for finding in found if finding.severity is not Severity.INFORMATION} == {
        (rule, Severity.SPACE) for rule in ("RG13", "RG14", "RG15", "RG16", "RG17")
    }
    orphans = {finding.path for finding in found if finding.rule == "RG14"}
    uploads = {finding.path for finding in found if finding.rule == "RG17"}
    assert len(uploads) == 3

    assert twin.collect().returncode == 0
    left = {str(path.relative_to(twin.root)) for path in twin.root.rglob("*")}
    assert orphans.isdisjoint(left)
    assert uploads <= left
    with twin.running():
        assert "team/emptied" in twin.catalog()
        assert twin.tags("team/emptied") == frozenset()
        assert twin.ask("GET", f"team/moved/manifests/{made_registry.facts['untagged']}", Accept=ACCEPT).status == 200

    change(mine.root, lambda store: DropUploads(before=times.now()))
    change(mine.root, lambda store: Clean(before=times.now(), untagged=True))
    rest = [finding for finding in findings(mine.root) if finding.severity is not Severity.INFORMATION]
    assert rest == []
    with mine.running():
        assert mine.catalog() == made_registry.answers.catalog - {"team/emptied"}


def test_an_upload_that_a_full_disk_left_undated_is_found_and_dropped(
    made_registry: "MadeRegistry", service: Service
) -> None:
    facts = made_registry.facts
    upload = repository_folder(service.root, "team/deleted") / "_uploads" / facts["upload of 2 to team/deleted"]
    (upload / "startedat").write_bytes(b"")
    aged_by = time.time() - 10 * 86_400
    for path in (*upload.rglob("*"), upload):
        os.utime(path, (aged_by, aged_by))
    [finding] = [each for each in findings(service.root) if each.rule == "RG17"]
    assert (finding.title, finding.severity) == ("upload-undated", Severity.SPACE)
    assert service.collect().returncode == 0
    assert upload.exists()
    change(service.root, lambda store: DropUploads(before=times.now() - 7 * DAY))
    assert not upload.exists()


# --- caches ----------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b'{"library/base@sha256:'], ids=["empty", "cut"])
def test_a_cache_whose_schedule_is_broken_starts_again_after_the_repair(
    made_registry: "MadeRegistry", made_cache: "MadeRegistry", services: Services, content: bytes
) -> None:
    upstream, cache = services(), services(made_cache.root)
    (cache.root / "scheduler-state.json").write_bytes(content)
    [finding] = of_rule(findings(cache.root), "RG21")
    with upstream.running():
        cache.upstream = upstream.host
        with pytest.raises(AssertionError) as failure:
            cache.start()
        assert "panic: unexpected end of JSON input" in str(failure.value)
        assert finding.engine_says in str(failure.value)
        cache.stop()
        change(cache.root, lambda store: Repair(findings=(finding.identity,), guess=True))
        with cache.running():
            assert cache.everything(made_cache.questions).replies == made_cache.answers.replies
