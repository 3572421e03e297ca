import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from orlop.samples import DataRoot, make

Orlop: TypeAlias = Callable[..., Any]
Types: TypeAlias = Callable[[str], None]

NAME = "ghcr.io/acme/web:2026.08"


def names(orlop: Orlop, store: Path) -> set[str]:
    return {name for one in orlop("ls", store, "--json").objects("image") for name in one["names"]}


def cut_off(store: Path) -> None:
    """Leave the store as a kill right before the last line of the journal would."""
    (journal,) = (store / ".orlop" / "changes").glob("*/journal")
    lines = journal.read_bytes().splitlines(keepends=True)
    assert b'"done"' in lines[-1]
    journal.write_bytes(b"".join(lines[:-1]))


def test_a_plan_names_what_goes_what_stays_and_the_bytes(orlop: Orlop, own: Path, small: Any) -> None:
    ran = orlop("rm", own, small.images["untagged"], "--dry-run")

    assert ran.code == 0
    for part in ("Remove", "Layers", "Space", "0 B now", "Basis", "engine not running", "by command", "dry run"):
        assert part in ran.out
    assert f"orlop rm {own} {small.images['untagged']}" in ran.out


def test_a_plan_says_its_bytes_first_and_has_whole_digests_in_a_pipe(orlop: Orlop, own: Path, small: Any) -> None:
    ran = orlop("rm", own, small.images["untagged"], "--dry-run")

    assert ran.out.splitlines()[2].split()[0] == "Space"
    assert f"image {small.images['untagged']}  (asked for by its id)" in ran.out


def test_a_dry_run_changes_nothing(orlop: Orlop, own: Path) -> None:
    before = names(orlop, own)

    orlop("rm", own, NAME, "--dry-run")
    orlop("untag", own, NAME, "--dry-run")
    orlop("tag", own, NAME, "x:1", "--dry-run")

    assert names(orlop, own) == before
    assert not (own / ".orlop").exists()


def test_a_plan_in_json_has_its_steps_and_bytes(orlop: Orlop, own: Path, small: Any) -> None:
    (plan,) = orlop("rm", own, small.images["untagged"], "--dry-run", "--json").objects()

    assert plan["type"] == "plan"
    assert {"op", "path"} <= set(plan["steps"][0])
    assert {"action", "bytes_now", "bytes_freed", "bytes_kept", "reasons"} < set(plan)


def test_without_a_terminal_and_without_yes_nothing_is_done(orlop: Orlop, own: Path) -> None:
    ran = orlop("untag", own, NAME)

    assert ran.code == 4
    assert "nobody is there to ask" in ran.err
    assert "--yes" in ran.err
    assert NAME in names(orlop, own)


def test_yes_does_it_and_says_how_to_undo(orlop: Orlop, own: Path) -> None:
    ran = orlop("untag", own, NAME, "--yes")

    assert ran.code == 0
    assert "Done: " in ran.out
    assert f"orlop undo {own}" in ran.out
    assert NAME not in names(orlop, own)


def test_a_person_who_types_yes_is_heard(orlop: Orlop, own: Path, types: Types) -> None:
    types("yes")

    ran = orlop("tag", own, NAME, "acme/new:1")

    assert ran.code == 0
    assert "Type yes" in ran.err
    assert "acme/new:1" in names(orlop, own)


@pytest.mark.parametrize("answer", ["", "no", "y", "YES please"])
def test_anything_but_yes_is_a_no(orlop: Orlop, own: Path, types: Types, answer: str) -> None:
    types(answer)

    ran = orlop("untag", own, NAME)

    assert ran.code == 4
    assert "nothing was changed" in ran.err
    assert NAME in names(orlop, own)


def test_a_weighty_plan_asks_for_the_count(orlop: Orlop, own: Path, types: Types) -> None:
    types("yes")

    refused = orlop("untag", own, "postgres:16")

    assert refused.code == 4
    assert "Type 1 to go on (1 name; a repository loses its last tag)" in refused.err

    types("1")
    assert orlop("untag", own, "postgres:16").code == 0


def test_an_undo_brings_everything_back(orlop: Orlop, own: Path, small: Any) -> None:
    before = orlop("ls", own, "--json").out
    assert orlop("rm", own, small.images["untagged"], "--yes").code == 0
    assert orlop("ls", own, "--json").out != before

    ran = orlop("undo", own)

    assert ran.code == 0
    assert "To take back: " in ran.out
    assert orlop("ls", own, "--json").out == before


def test_an_undo_without_a_change_is_one_clear_error(orlop: Orlop, own: Path) -> None:
    ran = orlop("undo", own)

    assert ran.code == 3
    assert "nothing to take back" in ran.err


def test_a_refusal_gives_each_reason_on_its_line(orlop: Orlop, own: Path, small: Any) -> None:
    ran = orlop("rm", own, small.images["parent"], small.images["used"], "--yes")

    assert ran.code == 4
    assert ran.err.startswith("orlop: refused")
    assert len(ran.err[ran.err.index("why:") : ran.err.index("do:")].splitlines()) >= 3
    assert not (own / ".orlop").exists()


def test_a_name_that_does_not_parse_is_wrong_usage(orlop: Orlop, own: Path) -> None:
    ran = orlop("tag", own, NAME, "Not A Name", "--yes")

    assert ran.code == 64
    assert "cannot be a name" in ran.err


def test_untag_takes_names_and_no_ids(orlop: Orlop, own: Path, small: Any) -> None:
    assert orlop("untag", own, small.images["web"], "--yes").code == 64


def test_an_engine_that_runs_is_refused_before_anything_is_asked(orlop: Orlop, own: Path, types: Types) -> None:
    import fcntl

    types("yes")
    with (own / "volumes" / "metadata.db").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ran = orlop("untag", own, NAME)

    assert ran.code == 4
    assert "Type yes" not in ran.err
    assert "volumes/metadata.db" in ran.err


def test_a_store_without_a_lock_needs_the_statement(orlop: Orlop, own: Path) -> None:
    (own / "volumes" / "metadata.db").unlink()

    assert orlop("untag", own, NAME, "--yes").code == 4
    assert orlop("untag", own, NAME, "--yes", "--offline").code == 0


class TestPlanFiles:
    def test_a_plan_is_written_and_applied_later(self, orlop: Orlop, own: Path, tmp_path: Path) -> None:
        file = tmp_path / "later.json"

        made = orlop("untag", own, NAME, "--plan", file)

        assert made.code == 0
        assert f"orlop apply {own} {file}" in made.err
        assert NAME in names(orlop, own)
        assert json.loads(file.read_bytes())["type"] == "plan"

        assert orlop("apply", own, file, "--yes").code == 0
        assert NAME not in names(orlop, own)

    def test_a_plan_of_what_has_changed_since_is_refused(self, orlop: Orlop, own: Path, tmp_path: Path) -> None:
        file = tmp_path / "later.json"
        orlop("untag", own, NAME, "--plan", file)
        orlop("tag", own, NAME, "acme/other:1", "--yes")

        ran = orlop("apply", own, file, "--yes")

        assert ran.code == 4
        assert "changed since" in ran.err
        assert NAME in names(orlop, own)

    def test_a_plan_of_another_store_is_refused(self, orlop: Orlop, own: Path, tmp_path: Path) -> None:
        DataRoot.create(str(tmp_path / "other"))
        orlop("untag", own, NAME, "--plan", tmp_path / "p.json")

        ran = orlop("apply", tmp_path / "other", tmp_path / "p.json", "--yes")

        assert ran.code == 4
        assert "another store" in ran.err

    def test_a_plan_is_never_written_into_the_store(self, orlop: Orlop, own: Path) -> None:
        ran = orlop("untag", own, NAME, "--plan", own / "image" / "plan.json")

        assert ran.code == 64
        assert not (own / "image" / "plan.json").exists()

    def test_a_file_that_exists_is_not_overwritten(self, orlop: Orlop, own: Path, tmp_path: Path) -> None:
        (tmp_path / "p.json").write_text("mine")

        assert orlop("untag", own, NAME, "--plan", tmp_path / "p.json").code == 3
        assert (tmp_path / "p.json").read_text() == "mine"

    @pytest.mark.parametrize("text", ["", "{}", '{"type":"plan","version":9}', "[" * 100_000])
    def test_a_file_that_is_no_plan_is_said_to_be_none(
        self, orlop: Orlop, own: Path, tmp_path: Path, text: str
    ) -> None:
        (tmp_path / "p.json").write_text(text)

        ran = orlop("apply", own, tmp_path / "p.json", "--yes")

        assert ran.code == 3
        assert str(tmp_path / "p.json") in ran.err


class TestMappings:
    def test_stale_ones_are_removed_together(self, orlop: Orlop, tmp_path: Path) -> None:
        store = make(str(tmp_path / "store")).path
        stale = sum(one["stale"] for one in orlop("mappings", store, "--json").objects())
        assert stale

        assert orlop("unmap", store, "--stale", "--yes").code == 0

        assert not any(one["stale"] for one in orlop("mappings", store, "--json").objects())

    def test_one_repository_loses_a_digest_and_the_others_keep_it(self, orlop: Orlop, own: Path) -> None:
        found = orlop("mappings", own, "ghcr.io/acme/web:2026.08", "--json").objects()
        one = next(mapping for mapping in found if mapping["source"] == "localhost:5000/web")

        assert orlop("unmap", own, one["digest"], "--source", "localhost:5000/web", "--yes").code == 0

        left = orlop("mappings", own, "--json").objects()
        sources = {mapping["source"] for mapping in left if mapping["digest"] == one["digest"]}
        assert "localhost:5000/web" not in sources
        assert sources

    def test_an_unknown_digest_is_one_clear_error(self, orlop: Orlop, own: Path) -> None:
        assert orlop("unmap", own, "sha256:" + "0" * 64, "--yes").code == 3

    @pytest.mark.parametrize("words", [[], ["sha256:00", "--stale"]])
    def test_it_must_be_clear_which_are_meant(self, orlop: Orlop, own: Path, words: list[str]) -> None:
        assert orlop("unmap", own, *words).code == 64


class TestJournal:
    def test_nothing_was_changed_yet(self, orlop: Orlop, own: Path) -> None:
        ran = orlop("journal", own)

        assert (ran.code, ran.out) == (0, "Orlop changed nothing here\n")

    def test_it_lists_what_was_done_and_undone(self, orlop: Orlop, own: Path) -> None:
        orlop("untag", own, NAME, "--yes")
        orlop("undo", own)
        orlop("tag", own, NAME, "x:1", "--yes")

        changes = orlop("journal", own, "--json").objects("change")

        assert [one["state"] for one in changes] == ["undone", "done"]
        assert all(one["at"] and one["action"] and one["id"] for one in changes)

    def test_a_purge_frees_the_space_and_ends_the_undo(self, orlop: Orlop, own: Path, small: Any) -> None:
        orlop("rm", own, small.images["untagged"], "--yes")
        held = orlop("journal", own, "--json").objects()[0]["bytes"]
        assert held > 0
        assert orlop("purge", own).code == 4
        assert orlop("purge", own, "--dry-run").code == 0
        assert orlop("journal", own, "--json").objects()[0]["bytes"] == held

        ran = orlop("purge", own, "--yes")

        assert ran.code == 0
        assert "freed" in ran.out
        assert orlop("journal", own, "--json").objects()[0]["bytes"] == 0
        assert orlop("undo", own).code == 3

    def test_a_purge_of_old_changes_leaves_young_ones(self, orlop: Orlop, own: Path) -> None:
        orlop("untag", own, NAME, "--yes")

        ran = orlop("purge", own, "--older", "7d", "--yes")

        assert ran.code == 0
        assert "nothing to do" in ran.out
        assert orlop("undo", own).code == 0

    def test_an_age_that_is_none_is_wrong_usage(self, orlop: Orlop, own: Path) -> None:
        assert orlop("purge", own, "--older", "soon").code == 64


class TestCutOff:
    @pytest.fixture
    def store(self, orlop: Orlop, own: Path) -> Path:
        orlop("untag", own, NAME, "--yes")
        cut_off(own)
        return own

    @pytest.mark.parametrize("words", [["ls"], ["check"], ["mappings"], ["journal"], ["show", "redis:7"]])
    def test_every_command_names_it_and_what_to_do(self, orlop: Orlop, store: Path, words: list[str]) -> None:
        ran = orlop(words[0], store, *words[1:])

        assert "cut off" in ran.err
        assert f"orlop undo {store}" in ran.err
        assert f"orlop apply {store} --finish" in ran.err

    def test_the_journal_lists_it_as_unfinished(self, orlop: Orlop, store: Path) -> None:
        assert [one["state"] for one in orlop("journal", store, "--json").objects()] == ["unfinished"]

    def test_no_other_change_is_made_before(self, orlop: Orlop, store: Path) -> None:
        assert orlop("tag", store, "postgres:16", "x:1", "--yes").code == 4

    def test_it_can_be_finished(self, orlop: Orlop, store: Path) -> None:
        ran = orlop("apply", store, "--finish", "--yes")

        assert ran.code == 0
        assert NAME not in names(orlop, store)
        assert "cut off" not in orlop("ls", store).err

    def test_it_can_be_taken_back(self, orlop: Orlop, store: Path) -> None:
        assert orlop("undo", store).code == 0
        assert NAME in names(orlop, store)

    def test_apply_wants_a_file_or_finish_and_not_both(self, orlop: Orlop, store: Path) -> None:
        assert orlop("apply", store).code == 64
        assert orlop("apply", store, "plan.json", "--finish").code == 64


def test_finish_without_a_cut_off_change_has_nothing_to_do(orlop: Orlop, own: Path) -> None:
    ran = orlop("apply", own, "--finish", "--yes")

    assert (ran.code, "nothing to finish" in ran.out) == (0, True)
