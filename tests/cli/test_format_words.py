import pytest

from orlop.errors import DigestMismatch, NotFound, OrlopError, Refused
from orlop.intent import Remove, Tag, Unmap, Untag
from orlop.plan import Plan, Reason
from orlop.records import Condition, Fact, Flag, Key, Row, Trust
from orlop_tui import format
from orlop_tui.cli import objects
from orlop_tui.equivalent import command

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
ID = "sha256:" + "ab" * 32


def row(
    *, trust: Trust = Trust.LINKED, condition: Condition = Condition.SOUND, flags: frozenset[Flag] = frozenset()
) -> Row:
    return Row(
        key=Key("", ID, None),
        repository="",
        tag="",
        created=None,
        size=None,
        own_size=None,
        platform="",
        trust=trust,
        verified_at=None,
        condition=condition,
        flags=flags,
        reason="",
    )


def test_an_error_answers_what_where_why_and_what_to_do_in_that_order() -> None:
    error = OrlopError("it broke", path="image/a", why="the disk", do="buy one")

    assert format.words(error) == [("what", "it broke"), ("where", "image/a"), ("why", "the disk"), ("do", "buy one")]


def test_an_error_leaves_out_what_it_cannot_answer() -> None:
    assert [label for label, _ in format.words(NotFound("nothing is there"))] == ["what"]


def test_each_reason_of_a_refusal_has_its_line() -> None:
    assert format.words(Refused("no", ["a", "b"])) == [("what", "no"), ("why", "a"), ("", "b")]


def test_hostile_bytes_in_an_error_are_spelled_out() -> None:
    texts = "".join(text for _, text in format.words(Refused("x\x1b]52;c;\x07", ["\udcff", "a\nb"], path="\u202egnp")))

    assert texts.isprintable()


def test_a_digest_mismatch_keeps_both_digests_whole() -> None:
    assert ID in dict(format.words(DigestMismatch(ID, "sha256:" + "cd" * 32)))["why"]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "?"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1_700_000_000, "1.7 GB"),
        (10**18, "1.0 EB"),
    ],
)
def test_sizes_have_a_unit_and_unknown_is_never_zero(count: int | None, text: str) -> None:
    assert format.size(count) == text


def test_a_rounded_size_stands_beside_the_exact_one() -> None:
    assert format.both_sizes(1_702_345_678) == "1.7 GB (1 702 345 678 B)"
    assert format.both_sizes(12) == "12 B"


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (0, "0 s"),
        (59 * SECOND, "59 s"),
        (60 * SECOND, "1 min"),
        (3 * 3600 * SECOND, "3 h"),
        (DAY, "1 d"),
        (201 * DAY, "201 d"),
        (4 * 365 * DAY, "4 y"),
        (-30 * SECOND, "0 s"),
        (-DAY, "future"),
    ],
)
def test_an_age_is_one_short_unit(ago: int, text: str) -> None:
    now = 2_000_000_000 * SECOND

    assert format.age(now - ago, now) == text


def test_an_unknown_time_is_said_to_be_unknown() -> None:
    assert (format.age(None, 0), format.moment(None)) == ("?", "?")


def test_a_moment_is_utc_to_the_second() -> None:
    assert format.moment(1_787_998_447_123_456_789) == "2026-08-29 10:14:07Z"


@pytest.mark.parametrize(
    ("shown", "word"),
    [
        (row(), "linked"),
        (row(trust=Trust.VERIFIED), "verified"),
        (row(trust=Trust.LISTED), "listed"),
        (row(flags=frozenset({Flag.UNTAGGED})), "untagged"),
        (row(flags=frozenset({Flag.ODD_NAME, Flag.UNTAGGED})), "odd name"),
        (row(flags=frozenset({Flag.BUSY})), "busy"),
        (row(condition=Condition.INCOMPLETE, trust=Trust.LISTED), "partial"),
        (row(condition=Condition.DAMAGED, flags=frozenset(Flag)), "BAD"),
    ],
)
def test_the_state_is_one_word_and_damage_comes_first(shown: Row, word: str) -> None:
    assert format.state_word(shown) == word


def test_a_sound_image_never_claims_more_than_was_read() -> None:
    assert "not hashed" in format.state_sentence(row(), 0)
    assert "unverified" in format.state_sentence(row(trust=Trust.LISTED), 0)


def test_ids_are_short_and_other_texts_whole_and_safe() -> None:
    assert format.short(ID) == "ab" * 6
    assert format.short("ab" * 32) == "ab" * 6
    assert format.short("no\x1bid") == "no␛id"


def test_digests_in_a_sentence_can_be_shortened_and_nothing_else_is() -> None:
    assert format.shortened(f"image {ID}, file {'ab' * 32}\n") == f"image {'ab' * 6}, file {'ab' * 32}␊"


def plan(*reasons: Reason) -> Plan:
    return Plan(
        action="x",
        kind="docker",
        store="t",
        intent=Remove(keys=()),
        steps=(),
        reasons=reasons,
        images=(),
        bytes_now=0,
        bytes_freed=0,
        bytes_kept=0,
        kept_for=1,
    )


def test_a_plan_has_whole_digests_for_a_pipe_and_short_ones_for_a_person() -> None:
    path = f"image/sha256/{'cd' * 32}"
    made = plan(
        Reason(verb="layer", subject=ID, because="400007 bytes; nothing else needs it"),
        Reason(verb="note", subject=path, because=f"container web ({'ef' * 32}) has it"),
    )

    assert format.plan_lines(made) == [
        ("Layers", f"{ID}  (400.0 kB; nothing else needs it)"),
        ("Note", f"{path}  (container web ({'ef' * 32}) has it)"),
    ]
    assert format.plan_lines(made, full=False) == [
        ("Layers", f"{'ab' * 6}  (400.0 kB; nothing else needs it)"),
        ("Note", f"{path}  (container web ({'ef' * 6}) has it)"),
    ]


@pytest.mark.parametrize(("number", "lines"), [(2, 3), (3, 2)])
def test_more_than_a_few_layers_that_stay_are_summed_up_in_their_place(number: int, lines: int) -> None:
    kept = [Reason(verb="keep", subject=f"layer {n}", because="needed by image a") for n in range(number)]
    made = plan(*kept, Reason(verb="note", subject="n"))

    assert len(format.plan_lines(made, listed=False)) == lines
    assert len(format.plan_lines(made)) == number + 1
    assert format.plan_lines(made, listed=False)[-1] == ("Note", "n")


def test_layers_that_stay_for_other_reasons_are_not_laid_to_images() -> None:
    kept = [Reason(verb="keep", subject=f"layer {n}", because="needed by container c") for n in range(4)]

    summed = format.plan_lines(plan(*kept), listed=False)
    assert summed == [("Keep", "4 layers stay, needed by 1 other image, some by containers or other layers")]


def test_advice_names_the_store_so_that_it_can_be_copied() -> None:
    assert format.advice("run `orlop ls PATH`, or set PATH", "/a b") == "run `orlop ls '/a b'`, or set PATH"


def test_secrets_are_masked_in_every_part_of_a_config() -> None:
    config = {
        "config": {
            "Env": ["PATH=/bin", "DB_PASSWORD=hunter2"],
            "Labels": {"api.token": "hunter2", "vendor": "ACME"},
            "Cmd": ["serve", "--url=https://user:hunter2@host/"],
        },
        "container_config": {"Cmd": ["/bin/sh", "-c", "#(nop)  ENV SECRET='hunter2 and more'"]},
    }

    shown = str(format.masked_config(config))

    assert "hunter2" not in shown
    assert "/bin" in shown
    assert "ACME" in shown


def test_secrets_are_masked_in_pairs_of_name_and_value() -> None:
    pairs = [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "MODE", "value": "fast"}, {"name": "token"}]
    config = {"app": {"environment": pairs}}

    assert "hunter2" not in str(format.masked_config(config))
    assert "fast" in str(format.masked_config(config))
    assert format.masked_config(config, reveal=True) == config


def test_a_password_in_the_url_that_names_a_fact_is_masked() -> None:
    fact = Fact(name="https://me:hunter2@example.com/app.aci", value="no ETag")

    assert "hunter2" not in str(format.fact_line(fact))
    assert "hunter2" not in str(objects.fact_object(fact, reveal=False))
    assert "hunter2" in str(format.fact_line(fact, reveal=True))


def test_a_history_line_keeps_its_words_and_loses_its_secrets() -> None:
    shown = format.masked_command("RUN |1 NPM_TOKEN=abc123 /bin/sh -c npm install # buildkit")

    assert "abc123" not in shown
    assert "npm install # buildkit" in shown


def test_an_option_with_a_secret_is_masked() -> None:
    assert "abc123" not in format.masked_command("login --password=abc123 --token='abc123 d'")


def test_masking_takes_time_in_step_with_the_length() -> None:
    long = "y" * 2_000_000

    assert format.masked_command(long) == long
    assert format.masked_command("a='" * 300_000).count("a") == 300_000


def test_a_monstrous_value_does_not_widen_every_line() -> None:
    columns = [format.Column(title="NAME", gives=True), format.Column(title="X")]
    rows = [["m" * 1_000_000, "1"], ["short", "2"]]

    whole = format.table(columns, rows)
    fitted = format.table(columns, rows, width=80)

    assert whole[1] == "m" * 1_000_000 + "  1"
    assert len(whole[2]) < 1000
    assert [len(line) for line in fitted] == [80, 80, 80]


def test_a_table_is_as_wide_as_it_needs_to_be() -> None:
    columns = [format.Column(title="NAME", gives=True), format.Column(title="SIZE", right=True)]

    assert format.table(columns, [["a" * 100, "1 B"]]) == ["NAME" + " " * 98 + "SIZE", "a" * 100 + "   1 B"]


def test_a_table_too_wide_is_cut_where_it_gives_and_nowhere_else() -> None:
    columns = [format.Column(title="NAME", gives=True), format.Column(title="ID")]

    lines = format.table(columns, [["registry.example/a/very/long/name/of/an/app:tag", "0123456789ab"]], width=40)

    assert all(format.cells(line) <= 40 for line in lines)
    assert lines[1].endswith("0123456789ab")
    assert lines[1].startswith("registry.ex")
    assert "…" in lines[1]


def test_wide_and_combining_characters_keep_the_columns_straight() -> None:
    columns = [format.Column(title="NAME"), format.Column(title="X")]

    lines = format.table(columns, [["日本", "1"], ["e\u0301a", "2"], ["abcd", "3"]])

    assert {format.cells(line) for line in lines} == {7}


def test_the_command_of_a_change_survives_a_shell() -> None:
    assert command("/a b", Tag(image=ID, name="x:1")) == f"orlop tag '/a b' {ID} x:1"
    assert command("/s", Remove(keys=(Key("", ID, "x:1"), Key("", ID, None)))) == f"orlop rm /s x:1 {ID}"
    assert command("/s", Untag(names=("a\x1b'b",)), driver="vfs") == r"orlop untag /s $'a\x1b\x27b' --driver vfs"


def test_mappings_of_several_repositories_are_one_command_each() -> None:
    intent = Unmap(mappings=((ID, "d1", "r1"), (ID, "d2", "r1"), (ID, "d1", "r2")))

    assert command("/s", intent) == "orlop unmap /s d1 d2 --source r1\norlop unmap /s d1 --source r2"
