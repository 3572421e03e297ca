"""Every change of a registry's storage, judged by a registry that serves the root afterwards.

It answers each question that could be asked before, byte for byte as before, but for
what the change is about; skopeo takes everything that is left; undo brings all back.
"""

import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from orlop import apply as executor
from orlop import times
from orlop.errors import Locked, NeedsStatement
from orlop.intent import Clean, DropUploads, Intent, Remove, RemoveRepository, Tag, Untag
from orlop.journal import Journal
from orlop.plan import Quarantine, Refusal
from orlop.records import EngineState, Key
from orlop.store import Store
from tests.engines.registry_judge import (
    BLOBS,
    MANIFESTS,
    OFFLINE,
    Everything,
    Question,
    Reply,
    Service,
    change,
    differences,
    expect_served,
    opened,
    planned,
    pulled,
    pulled_one_by_one,
    state_of,
    undo,
)

if TYPE_CHECKING:
    from tests.engines.registry_maker import MadeRegistry

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]

Figure = Callable[[str], None]
Command = Callable[..., subprocess.CompletedProcess[str]]
Services = Callable[..., Service]
Names: TypeAlias = Callable[["MadeRegistry"], Set[tuple[str, str]]]

UNKNOWN = Reply(404, "", "", "")
_ELIGIBLE = re.compile(r"blob eligible for deletion: (sha256:[0-9a-f]{64})")


# --- the changes ---------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One change, and what the registry serves when it is done."""

    intent: Callable[[Store, "MadeRegistry"], Intent]
    line: Callable[["MadeRegistry"], list[str]]
    """Arguments of the command line that does the same; PATH stands for the store."""
    gone: Names = lambda made: frozenset()
    """(repository, tag or digest) of what is no longer known."""
    given: Callable[["MadeRegistry"], Mapping[str, str]] = lambda made: {}
    """``REPOSITORY:TAG`` that is new or means something else → digest."""
    repositories: Set[str] = frozenset()
    """Those that are gone."""

    def after(self, before: Everything, made: "MadeRegistry") -> Everything:
        """What the registry answers to the same questions afterwards, and to those for new tags."""
        gone = self.gone(made)
        replies = {
            question: UNKNOWN
            if (question.repository, question.reference) in gone or question.repository in self.repositories
            else reply
            for question, reply in before.replies.items()
        }
        tags = {name: None if name in self.repositories else found for name, found in before.tags.items()}
        for name, found in tags.items():
            if found is not None:
                tags[name] = frozenset(tag for tag in found if (name, tag) not in gone)
        by_digest = {reply.digest: reply for question, reply in before.replies.items() if question.what == MANIFESTS}
        for name, digest in self.given(made).items():
            repository, _, tag = name.rpartition(":")
            replies[Question(repository, MANIFESTS, tag)] = by_digest[digest]
            tags[repository] = (tags.get(repository) or frozenset()) | {tag}
        catalog = (before.catalog | {name.rpartition(":")[0] for name in self.given(made)}) - self.repositories
        return Everything(catalog=catalog, tags=tags, replies=replies)


def _tag(made: "MadeRegistry", source: str, name: str) -> Intent:
    return Tag(image=made.digest(source), name=name, scope=source.rpartition(":")[0])


def tagging(source: str, name: str) -> Turn:
    return Turn(
        intent=lambda store, made: _tag(made, source, name),
        line=lambda made: ["tag", "PATH", source, name],
        given=lambda made: {name: made.digest(source)},
    )


def rows(*names: str) -> Callable[[Store, "MadeRegistry"], Intent]:
    """Remove by the names that a person would type."""
    return lambda store, made: Remove(keys=tuple(key for name in names for key in store.find(name)))


def children(made: "MadeRegistry") -> list[str]:
    """The manifests of the index."""
    return [child["digest"] for child in json.loads(made.manifest(made.digest("team/multi:all")))["manifests"]]


def of_emptied(made: "MadeRegistry") -> Set[tuple[str, str]]:
    """The links of what was deleted over the API, which nothing needs any more."""
    needed = {*made.needs("team/deleted:stays")}
    return {
        (question.repository, question.reference)
        for question in made.questions
        if question.what == BLOBS and question.repository == "team/deleted" and question.reference not in needed
    }


def of_moved(made: "MadeRegistry") -> Set[tuple[str, str]]:
    """The untagged manifest, and the links that only it needs."""
    needed = {*made.needs("team/moved:latest")}
    mine = {each for each in made.needs("team/app:v1") if each not in needed}
    return {("team/moved", each) for each in (made.facts["untagged"], *mine)}


TURNS = {
    "a new tag": tagging("team/app:v1", "team/app:stable"),
    "a new tag by default": Turn(
        intent=lambda store, made: Tag(image=made.digest("other/solo:only"), name="other/solo"),
        line=lambda made: ["tag", "PATH", "other/solo:only", "other/solo"],
        given=lambda made: {"other/solo:latest": made.digest("other/solo:only")},
    ),
    "a tag that moves": tagging("team/app:v3", "team/app:latest"),
    "a tag that moves back": tagging("team/app:v1", "team/app:latest"),
    "an image tagged into another repository": tagging("team/app:v3", "library/base:app"),
    "an index tagged into a new repository": tagging("team/multi:all", "copies/of/multi:all"),
    "an artifact tagged into a repository that has its blobs": tagging("team/signed:materials", "team/signed:again"),
    "one tag of several taken away": Turn(
        intent=lambda store, made: Untag(names=("library/base:latest",)),
        line=lambda made: ["untag", "PATH", "library/base:latest"],
        gone=lambda made: {("library/base", "latest")},
    ),
    "the last tag of an image taken away": Turn(
        intent=lambda store, made: Untag(names=("other/solo:only",)),
        line=lambda made: ["untag", "PATH", "other/solo:only"],
        gone=lambda made: {("other/solo", "only")},
    ),
    "a name deleted whose image has another": Turn(
        intent=rows("team/app:v2"),
        line=lambda made: ["rm", "PATH", "team/app:v2"],
        gone=lambda made: {("team/app", "v2")},
    ),
    "an image deleted with its last name": Turn(
        intent=rows("team/app:v3"),
        line=lambda made: ["rm", "PATH", "team/app:v3"],
        gone=lambda made: {("team/app", "v3"), ("team/app", made.digest("team/app:v3"))},
    ),
    "an image deleted with what belongs to it": Turn(
        intent=rows("team/signed:materials", "team/signed:v1"),
        line=lambda made: ["rm", "PATH", "team/signed:materials", "team/signed:v1"],
        gone=lambda made: {
            ("team/signed", each)
            for each in (
                "v1",
                "materials",
                made.digest("team/signed:v1"),
                *map(made.facts.get, ("signature", "materials")),
            )
            if each is not None
        },
    ),
    "an image deleted by its digest": Turn(
        intent=lambda store, made: Remove(keys=(Key("team/app", made.digest("team/app:latest"), None),)),
        line=lambda made: ["rm", "PATH", f"team/app@{made.digest('team/app:latest')}"],
        gone=lambda made: {("team/app", each) for each in ("latest", "v2", made.digest("team/app:latest"))},
    ),
    "an untagged manifest deleted": Turn(
        intent=lambda store, made: Remove(keys=(Key("team/moved", made.facts["untagged"], None),)),
        line=lambda made: ["rm", "PATH", f"team/moved@{made.facts['untagged']}"],
        gone=lambda made: {("team/moved", made.facts["untagged"])},
    ),
    "an index deleted with its parts": Turn(
        intent=rows("team/multi:all"),
        line=lambda made: ["rm", "PATH", "team/multi:all"],
        gone=lambda made: {("team/multi", each) for each in ("all", made.digest("team/multi:all"), *children(made))},
    ),
    "a repository removed, those nested below it kept": Turn(
        intent=lambda store, made: RemoveRepository(names=("team/app",)),
        line=lambda made: ["rm", "PATH", "--repository", "team/app"],
        repositories={"team/app"},
    ),
    "a repository removed with one that is nested": Turn(
        intent=lambda store, made: RemoveRepository(names=("team/app/nested", "team/app/nested/deep")),
        line=lambda made: ["rm", "PATH", "--repository", "team/app/nested", "team/app/nested/deep"],
        repositories={"team/app/nested", "team/app/nested/deep"},
    ),
    "uploads dropped": Turn(
        intent=lambda store, made: DropUploads(before=times.now()),
        line=lambda made: ["clean", "PATH", "--uploads", "--before", times.rfc3339(times.now() + 10**9)],
    ),
    "cleaned": Turn(
        intent=lambda store, made: Clean(before=times.now()),
        line=lambda made: ["clean", "PATH", "--before", times.rfc3339(times.now() + 10**9)],
        gone=of_emptied,
        repositories={"team/emptied"},
    ),
    "cleaned of untagged manifests too": Turn(
        intent=lambda store, made: Clean(before=times.now(), untagged=True),
        line=lambda made: ["clean", "PATH", "--untagged", "--before", times.rfc3339(times.now() + 10**9)],
        gone=lambda made: of_emptied(made) | of_moved(made),
        repositories={"team/emptied"},
    ),
}


IN_A_ROW = (
    "a new tag by default",
    "an image tagged into another repository",
    "an index tagged into a new repository",
    "an artifact tagged into a repository that has its blobs",
    "one tag of several taken away",
    "an image deleted with its last name",
    "an image deleted by its digest",
    "an untagged manifest deleted",
    "an index deleted with its parts",
    "uploads dropped",
    "a repository removed with one that is nested",
)
"""Changes of which none stands in another's way."""


# --- the judge -----------------------------------------------------------------


@pytest.mark.parametrize("what", TURNS)
def test_after_a_change_the_registry_serves_all_else_byte_for_byte_and_undo_takes_it_back(
    made_registry: "MadeRegistry", service: Service, what: str, figure: Figure
) -> None:
    turn = TURNS[what]
    before = state_of(service.root)
    plan = change(service.root, lambda store: turn.intent(store, made_registry))
    assert plan.steps
    after = state_of(service.root)
    touched = {name.rpartition(":")[0] for name in turn.given(made_registry)}
    touched |= {repository for repository, _ in turn.gone(made_registry)}
    with service.running():
        answers, taken = expect_served(service, turn.after(made_registry.answers, made_registry), *touched)
    assert differences(state_of(service.root), after) == {}, "the registry changed the store"

    undo(service.root)

    assert differences(state_of(service.root), before) == {}
    figure(f"registry: {what}: {len(plan.steps)} steps, {answers} answers compared, {taken} copies by skopeo; undone")


def test_changes_add_up_and_are_all_undone(made_registry: "MadeRegistry", service: Service, figure: Figure) -> None:
    states = [state_of(service.root)]
    wanted = made_registry.answers
    for what in IN_A_ROW:
        turn = TURNS[what]
        change(service.root, lambda store, turn=turn: turn.intent(store, made_registry))  # type: ignore[misc]
        states.append(state_of(service.root))
        wanted = turn.after(wanted, made_registry)
    with service.running():
        expect_served(service, wanted)
    for what, state in zip(reversed(IN_A_ROW), reversed(states[:-1]), strict=True):
        undo(service.root)
        assert differences(state_of(service.root), state) == {}, what
    with service.running():
        expect_served(service, made_registry.answers)
    figure(f"registry: {len(IN_A_ROW)} changes one after the other, served, all undone, served as at first")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("team/app:v1", "team/app:stable"),
        ("team/app:v3", "team/app:latest"),
        ("team/app:v1", "team/app:latest"),
        ("team/multi:all", "team/multi:same"),
        ("team/signed:materials", "team/signed:again"),
    ],
)
def test_a_tag_is_written_as_the_registry_itself_writes_it(
    made_registry: "MadeRegistry", services: Services, source: str, name: str
) -> None:
    mine, twin = services(), services()
    repository, _, tag = name.rpartition(":")
    reply = made_registry.answers.replies[Question(repository, MANIFESTS, source.rpartition(":")[2])]
    change(mine.root, lambda store: _tag(made_registry, source, name))
    with twin.running():
        body = made_registry.manifest(reply.digest)
        assert twin.put(repository, tag, body, reply.media_type).status == 201
    assert differences(state_of(mine.root), state_of(twin.root)) == {}


# --- what is needed, by the registry's own collection ---------------------------


def eligible(service: Service, *options: str) -> set[str]:
    """The blobs that the registry's own garbage collection would delete; it must not abort."""
    done = service.collect("--dry-run", *options)
    assert done.returncode == 0, done.stderr
    return set(_ELIGIBLE.findall(done.stdout))


def test_cleaning_removes_the_blobs_that_the_registry_would_collect_and_no_other(
    made_registry: "MadeRegistry", service: Service, figure: Figure
) -> None:
    wanted = eligible(service)
    plan = change(service.root, lambda store: Clean(before=times.now()))
    removed = {
        "sha256:" + step.path.rpartition("/")[2]
        for step in plan.steps
        if isinstance(step, Quarantine) and f"/{BLOBS}/sha256/" in step.path
    }
    assert removed == wanted
    assert len(wanted) == 4
    assert eligible(service) == set()
    figure(f"registry: cleaning removed {len(removed)} blobs, those that garbage-collect --dry-run names")


def test_cleaning_leaves_nothing_for_the_registry_that_no_tag_index_or_subject_keeps(
    made_registry: "MadeRegistry", service: Service
) -> None:
    change(service.root, lambda store: Clean(before=times.now(), untagged=True))
    assert eligible(service) == set()
    facts = made_registry.facts
    done = service.collect("--dry-run", "--delete-untagged")
    named = set(re.findall(r"manifest eligible for deletion: (sha256:[0-9a-f]{64})", done.stdout))
    assert named == {*children(made_registry), facts["signature"]}, "what 2.8 would destroy"


def test_an_index_that_the_registrys_collection_destroys_survives_orlops(
    made_registry: "MadeRegistry", services: Services, figure: Figure
) -> None:
    mine, twin = services(), services()
    parts = [Question("team/multi", MANIFESTS, digest) for digest in children(made_registry)]
    whole = Question("team/multi", MANIFESTS, "all")

    assert twin.collect("--delete-untagged").returncode == 0
    with twin.running():
        assert twin.reply(whole) == made_registry.answers.replies[whole]
        assert [twin.reply(part) for part in parts] == [UNKNOWN, UNKNOWN]

    change(mine.root, lambda store: Clean(before=times.now(), untagged=True))
    with mine.running():
        assert {part: mine.reply(part) for part in (whole, *parts)} == {
            part: made_registry.answers.replies[part] for part in (whole, *parts)
        }
        assert pulled_one_by_one(mine, made_registry.answers, [whole, *parts]) == 3
    figure("registry: garbage-collect --delete-untagged destroyed both parts of an index, orlop clean kept them")


def test_what_was_cleaned_away_can_be_pushed_again(made_registry: "MadeRegistry", service: Service) -> None:
    change(service.root, lambda store: Clean(before=times.now(), untagged=True))
    with service.running():
        service.push(made_registry.source.folder, "doomed", "team/deleted:gone")
        service.push(made_registry.source.folder, "app1", "team/moved:old")
        gone = Question("team/deleted", MANIFESTS, "gone")
        old = Question("team/moved", MANIFESTS, "old")
        found = service.everything([gone, old])
        assert found.replies[gone].digest == made_registry.facts["deleted"]
        assert found.replies[old].digest == made_registry.facts["untagged"]
        assert pulled_one_by_one(service, found, [gone, old]) == 2


def test_nothing_young_is_cleaned_away(made_registry: "MadeRegistry", service: Service) -> None:
    before = state_of(service.root)
    with opened(service.root) as store:
        assert planned(store, Clean(before=times.now() - 3600 * 10**9, untagged=True)).steps == ()
        assert planned(store, DropUploads(before=times.now() - 3600 * 10**9)).steps == ()
    assert state_of(service.root) == before


def test_a_part_of_an_index_is_not_deleted_alone(made_registry: "MadeRegistry", service: Service) -> None:
    with opened(service.root) as store:
        part = children(made_registry)[0]
        refusal = store.plan(Remove(keys=(Key("team/multi", part, None),)))
    assert isinstance(refusal, Refusal)
    assert "team/multi:all" in refusal.reasons[0]


def test_a_cache_goes_on_with_what_was_left_and_fetches_again_what_was_removed(
    made_registry: "MadeRegistry", made_cache: "MadeRegistry", services: Services
) -> None:
    upstream, cache = services(), services(made_cache.root)
    change(cache.root, lambda store: Remove(keys=store.find("library/base:1.0")))
    change(cache.root, lambda store: Clean(before=times.now(), untagged=True))
    with upstream.running():
        cache.upstream = upstream.host
        with cache.running():
            found = cache.everything(made_cache.questions)
            assert found.replies == made_cache.answers.replies
            pulled(cache, made_cache.answers, made_cache.answers.served())


# --- the guard -----------------------------------------------------------------


@pytest.mark.parametrize("spelled", ["its path", "a symbolic link", "a relative path", "the environment"])
def test_nothing_is_written_while_a_registry_serves_the_root_however_it_names_it(
    service: Service, spelled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if spelled == "a symbolic link":
        (tmp_path / "link").symlink_to(service.root)
        service.spelled = str(tmp_path / "link")
    elif spelled == "a relative path":
        monkeypatch.chdir(tmp_path)
        service.spelled = os.path.relpath(service.root)
    elif spelled == "the environment":
        service.spelled = str(tmp_path / "another")
        monkeypatch.setenv("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", str(service.root))
    before = state_of(service.root)
    intent = Untag(names=("library/base:latest",))
    with opened(service.root) as store:
        plan = planned(store, intent)
        with service.running():
            assert "latest" in (service.tags("library/base") or ())
            assert store.engine()[0] is EngineState.RUNNING
            with pytest.raises(Locked) as refusal:
                executor.apply(store, plan, Journal.of(store.root), statement=OFFLINE)
            assert refusal.value.holder == f"docker-registry (process {service.pid})"
            assert str(service.pid) in store.engine()[1]
            with opened(service.root) as other:
                assert other.rows().engine is EngineState.RUNNING
        assert state_of(service.root) == before
        assert store.engine()[0] is EngineState.UNKNOWN
        with pytest.raises(NeedsStatement):
            executor.apply(store, plan, Journal.of(store.root))
        assert state_of(service.root) == before
        executor.apply(store, plan, Journal.of(store.root), statement=OFFLINE)
    with service.running():
        assert "latest" not in (service.tags("library/base") or ())


def test_a_registry_of_another_root_stands_in_nobodys_way(services: Services) -> None:
    mine, other = services(), services()
    with other.running():
        change(mine.root, lambda store: Untag(names=("library/base:latest",)))
        with pytest.raises(Locked):
            change(other.root, lambda store: Untag(names=("library/base:latest",)))


# --- by a command --------------------------------------------------------------


BY_COMMAND = (
    "a tag that moves",
    "an image deleted by its digest",
    "a repository removed, those nested below it kept",
    "uploads dropped",
    "cleaned of untagged manifests too",
)


def test_the_same_by_the_command_line(
    made_registry: "MadeRegistry", service: Service, command: Command, figure: Figure
) -> None:
    path = str(service.root)
    before = state_of(service.root)
    wanted = made_registry.answers
    for what in BY_COMMAND:
        turn = TURNS[what]
        line = [path if word == "PATH" else word for word in turn.line(made_registry)]
        if what == BY_COMMAND[0]:
            dry = command(*line, "--dry-run")
            assert dry.returncode == 0, (dry.stdout, dry.stderr)
            refused = command(*line, "--yes")
            assert refused.returncode == 4, (refused.stdout, refused.stderr)
            assert "--offline" in refused.stderr
            with service.running():
                locked = command(*line, "--yes", "--offline")
                assert locked.returncode == 4
                assert f"docker-registry (process {service.pid})" in locked.stderr
            assert state_of(service.root) == before
        done = command(*line, "--yes", "--offline")
        assert done.returncode == 0, (what, done.stdout, done.stderr)
        wanted = turn.after(wanted, made_registry)
    with service.running():
        expect_served(service, wanted)
    for _ in BY_COMMAND:
        done = command("undo", path, "--yes", "--offline")
        assert done.returncode == 0, (done.stdout, done.stderr)
    assert differences(state_of(service.root), before) == {}
    assert command("check", path).returncode == 1
    assert command("purge", path, "--yes", "--offline").returncode == 0
    with service.running():
        expect_served(service, made_registry.answers)
    figure(f"registry: {len(BY_COMMAND)} changes and undos by the command line")
