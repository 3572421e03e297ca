"""The adapter notices what differs, and the rules cover no more than they say."""

from pathlib import Path
from typing import Any

import pytest

from orlop.errors import Escapes, NotFound
from tests.vectors import adapter, rules
from tests.vectors.adapter import Answer, Record, Step, Tree

FILE = {"type": "file", "mode": "0644", "size": 1, "sha256": "a" * 64}
OTHER = {**FILE, "sha256": "b" * 64}


def _step(
    answer: Answer,
    *,
    result: dict[str, Any] | None = None,
    expected: Tree | None = None,
    before: Tree | None = None,
    after: Tree | None = None,
    deviated: bool = False,
    **record: Any,
) -> Step:
    whole: Record = {
        "component": "metastore",
        "variant": "moby-1.12.0-rc4",
        "case": "case",
        "step": 0,
        "op": "get",
        "args": {"namespace": "n", "key": "k"},
        "result": result or {"ok": True, "value": None},
        **record,
    }
    return Step(
        record=whole,
        answer=answer,
        expected=expected or {},
        before=before or {},
        after=after or {},
        sandbox=Path("nowhere"),
        deviated=deviated,
    )


@pytest.mark.parametrize(
    ("expected", "found", "same"),
    [
        ({"utf8": "a"}, b"a", True),
        ({"utf8": "a"}, b"b", False),
        ({"b64": "AAE="}, b"\0\1", True),
        ({"sha256": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb", "size": 1}, b"a", True),
        ({"sha256": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb", "size": 1}, b"b", False),
        ([{"a": 1}], [{"a": 1}], True),
        ([{"a": 1}], [{"a": 1, "b": 2}], False),
        ([1, 2], [1], False),
        (True, 1, False),
        (None, None, True),
    ],
)
def test_values_are_compared_as_what_they_are(expected: object, found: object, same: bool) -> None:
    assert adapter.same_value(expected, found) is same


def test_an_error_is_told_by_its_number_and_its_own_words() -> None:
    missing = Answer(error=NotFound("gone", engine="reference does not exist"))
    assert adapter.same_answer({"ok": False, "kind": "os", "errno": "ENOENT", "error": "-"}, missing)
    assert not adapter.same_answer({"ok": False, "kind": "os", "errno": "EISDIR", "error": "-"}, missing)
    known = {"ok": False, "kind": "does_not_exist", "error": "reference does not exist"}
    assert adapter.same_answer(known, missing)
    assert not adapter.same_answer({**known, "error": "other words"}, missing)
    assert not adapter.same_answer(known, Answer(value=None))


def test_a_size_that_was_not_fixed_is_any() -> None:
    assert not adapter.differences({"a": {**FILE, "size": "*", "sha256": "*"}}, {"a": OTHER})
    assert adapter.differences({"a": FILE, "b": FILE}, {"a": OTHER, "c": FILE}) == {"a", "b", "c"}


def test_a_wrong_answer_has_no_rule() -> None:
    assert rules.rule_for(_step(Answer(value=b"wrong"), result={"ok": True, "value": {"utf8": "right"}})) is None
    assert rules.rule_for(_step(Answer(error=NotFound("gone")))) is None


def test_a_wrong_folder_has_no_rule() -> None:
    assert rules.rule_for(_step(Answer(), expected={"a": FILE}, after={"a": OTHER})) is None
    assert rules.rule_for(_step(Answer(), expected={"a": FILE}, after={})) is None
    assert rules.rule_for(_step(Answer(), expected={}, after={".tmp-left1": FILE})) is None


def test_a_refusal_is_covered_where_the_input_was_hostile_and_nothing_was_touched() -> None:
    refused = Answer(error=Escapes("../k"))
    rule = rules.rule_for(_step(refused, hostile=True))
    assert rule is not None
    assert rule.name == "hostile input refused"
    assert rules.rule_for(_step(refused)) is None
    assert rules.rule_for(_step(refused, hostile=True, after={"a": FILE})) is None


def test_a_file_that_the_original_left_need_not_be_left() -> None:
    failed = {"ok": False, "kind": "os", "errno": "ENOENT", "error": "-"}
    rule = rules.rule_for(_step(Answer(error=NotFound("gone")), result=failed, expected={"n/.tmp-k*": FILE}))
    assert rule is not None
    assert rule.name == "no file left after a refusal"


def test_what_differs_anew_does_not_follow_from_an_earlier_deviation() -> None:
    assert rules.rule_for(_step(Answer(), expected={"a": FILE}, after={"a": OTHER}, deviated=True)) is None
    assert rules.rule_for(_step(Answer(value=b"wrong"), deviated=True)) is None


def test_a_mode_of_the_registry_may_be_exact_and_nothing_else_differ() -> None:
    written: dict[str, Any] = {"component": "registry", "variant": "distribution-83d62628fc"}
    masked = {**FILE, "mode": "0600", "size": "*", "sha256": "*"}
    rule = rules.rule_for(_step(Answer(), expected={"a": masked}, after={"a": FILE}, **written))
    assert rule is not None
    assert rule.name == "exact modes"
    open_to_all = {**FILE, "mode": "0666"}
    assert rules.rule_for(_step(Answer(), expected={"a": masked}, after={"a": open_to_all}, **written)) is None
    masked["sha256"] = OTHER["sha256"]
    assert rules.rule_for(_step(Answer(), expected={"a": masked}, after={"a": FILE}, **written)) is None
    assert rules.rule_for(_step(Answer(), expected={}, after={"a": FILE}, **written)) is None


def test_random_names_are_compared_as_the_case_calls_them(tmp_path: Path) -> None:
    (tmp_path / "root" / "1f-2e").mkdir(parents=True)
    assert set(adapter.snapshot(tmp_path, {"1f-2e": "<uuid:u>"})) == {".", "<uuid:u>"}
    assert set(adapter.snapshot(tmp_path)) == {".", "1f-2e"}


def test_a_log_of_rkts_database_may_stay_but_rows_may_not_be_lost() -> None:
    log = {**FILE, "size": 1}
    lost = {"ok": False, "kind": "aciinfo_not_found", "error": "…"}

    def step(answer: Answer, before: Tree) -> Step:
        kept = {rules.LOG: log, "blob": OTHER}
        return _step(answer, component="rkt", result=lost, expected={"blob": OTHER}, before=before, after=kept)

    found = step(Answer(value={"name": "a"}), {rules.LOG: log})
    assert _name(found) == "logs are kept"
    assert _name(step(Answer(value={"name": "a"}), {})) == ""
    assert _name(step(Answer(error=NotFound("gone")), {rules.LOG: log})) == ""


def test_only_what_was_done_to_rkts_database_excuses_another() -> None:
    done: Record = {"op": "fs_write", "args": {"path": "db/ql.db"}}
    lost = {"ok": False, "kind": "db_bad_magic", "error": "…"}

    def step(*earlier: Record, masked: str = "db/") -> Step:
        found = _step(Answer(), component="rkt", result=lost)
        found.masked = masked
        found.earlier = list(earlier)
        return found

    assert _name(step(done)) == "another database"
    assert _name(step()) == ""
    assert _name(step(done, masked="")) == ""


def test_a_time_is_told_by_the_step_that_took_it() -> None:
    clock = [(10, 20), (20, 30)]

    assert adapter.timed([adapter.Time(25), {"at": adapter.Time(10)}], clock) == ["@1", {"at": "@0"}]
    assert adapter.timed(adapter.Time(31), clock) == "1970-01-01T00:00:00.000000031Z"


def _name(step: Step) -> str:
    rule = rules.rule_for(step)
    return rule.name if rule is not None else ""
