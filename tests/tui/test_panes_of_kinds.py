"""The panes of a registry's and of an ACI store's rows, as lines for a width."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from orlop.records import (
    Absent,
    Condition,
    Detail,
    Document,
    Fact,
    Flag,
    Key,
    LayerRecord,
    Mapping,
    Remote,
    Row,
    Section,
    Trust,
    Upload,
)
from orlop_tui.widgets.lines import Line
from orlop_tui.widgets.metapane import metadata
from orlop_tui.widgets.panes import builder, place_of
from orlop_tui.widgets.recordpanes import digests, freshness, remotes, row_of, uploads
from orlop_tui.widgets.shown import Pane, Shown, ToRemote, ToRow, ToUpload, panes_of

NOW = 1_800_000_000_000_000_000
HOUR = 3_600_000_000_000
DAY = 24 * HOUR
OSC = "x\x1b]52;c;SEVMTE8=\x07"


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def aci(number: int) -> str:
    return f"sha512-{number:064x}"


INDEX = Row(
    key=Key("team/web", digest(1), "team/web:2.1"),
    repository="team/web",
    tag="2.1",
    created=None,
    size=2231,
    own_size=1980,
    platform="",
    trust=Trust.LINKED,
    verified_at=None,
    condition=Condition.SOUND,
    flags=frozenset(),
    reason="",
    what="index",
)
CHILD = Key("team/web", digest(2), None)
DETAIL = Detail(
    key=INDEX.key,
    row=INDEX,
    names=("team/web:2.1",),
    config_path="",
    config_raw=None,
    config={},
    problems=(),
    children=(CHILD.id, digest(3)),
    documents=(Document(title="manifest", path="docker/registry/x/data", media_type="application/x", raw=b"{}"),),
    sections=(
        Section(
            title="Platforms",
            facts=(
                Fact(name="linux/amd64", value=CHILD.id, leads_to=CHILD),
                Fact(name="linux/arm64", value=digest(3), remark="its manifest is not in the registry", problem=True),
            ),
        ),
        Section(
            title="Annotations", facts=(Fact(name="org.example.token", value="hunter2"), Fact(name=OSC, value=OSC))
        ),
    ),
)
SHOWN = Shown(row=INDEX, now=NOW, kind="registry", detail=DETAIL, mappings=(), remotes=())


def text(lines: Iterator[Line] | Sequence[Line]) -> str:
    return "\n".join("".join(piece.text for piece in line.spans).rstrip() for line in lines)


def targets(lines: Iterator[Line]) -> list[object]:
    return [line.target for line in lines if line.target is not None]


def test_sections_are_shown_with_their_faults_and_lead_to_rows() -> None:
    lines = list(metadata(SHOWN, 100))
    said = text(lines)
    assert f"  linux/amd64  {CHILD.id}" in said
    assert "\n               (PROBLEM: its manifest is not in the registry)" in said
    assert [line.target for line in lines if line.target is not None] == [ToRow(CHILD)]
    faults = [line for line in lines if any("PROBLEM" in piece.text or digest(3) in piece.text for piece in line.spans)]
    assert all(any(piece.role == "bad" for piece in line.spans) for line in faults)


def test_a_fact_whose_digest_has_no_room_beside_its_name_stands_below_it_whole() -> None:
    assert f"\n  linux/amd64\n    {CHILD.id}\n" in text(metadata(SHOWN, 80))


def test_secrets_of_annotations_are_masked_and_hostile_ones_made_safe() -> None:
    said = text(metadata(SHOWN, 80))
    assert "hunter2" not in said
    assert all(character.isprintable() or character == "\n" for character in said)


def test_a_manifest_is_named_with_its_media_type_and_size() -> None:
    said = text(metadata(SHOWN, 80))
    assert "Manifest docker/registry/x/data" in said
    assert "application/x, 2 B" in said
    assert "Notes    index" in said
    assert "Layers" not in said


def test_layers_of_a_registry_are_blobs_with_their_diff_ids() -> None:
    layer = LayerRecord(
        diff_id=digest(8),
        chain_id="",
        size=120,
        shared_with=(digest(9),),
        data_path="blobs/x",
        problem="the repository has no link to it",
        digest=digest(7),
        media_type="application/layer",
    )
    row = replace(INDEX, what="image", platform="linux/amd64")
    said = text(metadata(replace(SHOWN, row=row, detail=replace(DETAIL, row=row, layers=(layer,))), 100))
    assert f"120 B  {digest(7)}" in said
    assert f"diff id {digest(8)}" in said
    assert "type    application/layer" in said
    assert "problem the repository has no link to it" in said
    assert "chain" not in said


def test_a_child_names_the_row_that_it_stands_under() -> None:
    row = replace(INDEX, key=CHILD, tag="", what="image", under=INDEX.key, flags=frozenset({Flag.CHILD}))
    lines = list(metadata(Shown(row=row, now=NOW, kind="registry"), 80))
    assert "Under    team/web:2.1" in text(lines)
    assert "In       team/web" in text(lines)
    assert targets(iter(lines)) == [ToRow(INDEX.key)]


def test_an_aci_says_when_it_was_imported_and_last_used_and_has_no_layers() -> None:
    row = replace(
        INDEX, key=Key("", aci(1), "example.com/etcd:3"), what="image", created=NOW - DAY, last_used=NOW - HOUR
    )
    said = text(metadata(Shown(row=row, now=NOW, kind="rkt", detail=replace(DETAIL, row=row, sections=())), 80))
    assert "Imported 2027-01-14" in said
    assert "1 d ago" in said
    assert "Used     2027-01-15" in said
    assert "Layers" not in said
    assert f"Image    {aci(1)}" in said


# --- digests


def mapping(source: str, number: int = 7, **changes: object) -> Mapping:
    made = Mapping(
        diff_id=digest(8),
        digest=digest(number),
        source=source,
        authenticated=False,
        images=(INDEX.id,),
        layer_known=True,
        reverse=digest(8),
        stale=False,
        reason="",
        path="",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_a_blob_that_many_repositories_link_takes_one_line_with_its_own_first() -> None:
    found = tuple(mapping(source) for source in ("a", "b", "team/web"))
    lines = list(digests(replace(SHOWN, mappings=found), 70))
    assert len(lines) == 2
    assert text(lines).endswith("team/web +2")
    assert "BLOB DIGEST" in text(lines)


def test_a_broken_pair_says_why_and_an_unknown_diff_id_is_named_so() -> None:
    found = (mapping("a", diff_id="", reverse=None, stale=True, reason="the blob is missing"),)
    said = text(digests(replace(SHOWN, mappings=found), 70))
    assert "unknown" in said
    assert "BROKEN" in said
    assert "the blob is missing" in said
    assert "reverse" not in said


def test_what_an_aci_has_instead_of_mappings_is_one_sentence() -> None:
    said = text(digests(replace(SHOWN, kind="rkt", mappings=Absent(because="an ACI is one archive")), 70))
    assert said == "an ACI is one archive"


# --- remote records

FETCHED = Remote(
    kind="discovery",
    reference="https://example.com/a.aci",
    url="https://example.com/a.aci",
    signature_url="https://example.com/a.aci.asc",
    etag='"5c3"',
    max_age=86_400,
    downloaded=NOW - 3 * DAY,
    expires=NOW - 2 * DAY,
    fresh=False,
    image=INDEX.id,
    image_known=True,
    path="db/ql.db",
)
CACHED = Remote(
    kind="pull-through cache", reference=f"team/web@{digest(1)}", expires=NOW + 5 * DAY, fresh=True, image=digest(1)
)
ALSO = Remote(kind="same registry", reference="other/web:1", image=digest(1), image_known=True)


def test_a_remote_record_is_shown_whole_with_its_freshness_in_words() -> None:
    said = text(remotes(replace(SHOWN, remotes=(FETCHED,)), 80))
    for part in (
        "Remote   https://example.com/a.aci",
        "Signed   https://example.com/a.aci.asc",
        'ETag     "5c3"',
        "Max age  1 d: expired 2 d ago",
        "the next fetch asks",
        "3 d ago",
        "discovery  db/ql.db",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"expires": NOW + 12 * HOUR, "fresh": True}, "1 d: fresh for 12 h more"),
        ({"expires": None, "max_age": None, "fresh": False}, "none: each fetch asks again"),
        ({"kind": "pull-through cache", "max_age": None, "expires": NOW - DAY}, "expired 1 d ago"),
        ({"fresh": None}, None),
    ],
)
def test_freshness_says_since_or_until_when(changes: dict[str, object], wanted: str | None) -> None:
    said = freshness(replace(FETCHED, **changes), NOW)  # type: ignore[arg-type]
    assert said is None if wanted is None else said is not None and said.startswith(wanted)


def test_what_is_wrong_with_a_record_stands_out() -> None:
    lines = list(remotes(replace(SHOWN, remotes=(replace(FETCHED, trouble="it leads nowhere"),)), 80))
    fault = next(line for line in lines if "it leads nowhere" in text([line]))
    assert any(piece.role == "warn" for piece in fault.spans)


def test_where_else_a_manifest_is_known_comes_after_the_cache_and_leads_there() -> None:
    lines = list(remotes(replace(SHOWN, remotes=(ALSO, CACHED)), 80))
    said = text(lines)
    assert said.index("Expires  fresh for 5 d more") < said.index("Also in  other/web:1")
    assert [line.target for line in lines if line.target is not None] == [ToRemote(CACHED), ToRemote(ALSO)]
    assert row_of(ALSO, INDEX.key) == Key("other/web", digest(1), "other/web:1")
    assert row_of(replace(ALSO, reference=f"other/web@{digest(1)}"), INDEX.key) == Key(
        "other/web", digest(1), f"other/web@{digest(1)}"
    )
    assert row_of(replace(CACHED, image_known=True), INDEX.key) == Key("team/web", digest(1), None)
    assert row_of(FETCHED, Key("", aci(1), "x")) == Key("", INDEX.id, None)
    assert row_of(CACHED, INDEX.key) is None


def test_the_whole_stores_records_come_with_those_that_lead_nowhere_first() -> None:
    lost = replace(FETCHED, reference="https://example.com/lost.aci", url=None, trouble="it leads nowhere")
    shown = replace(SHOWN, whole=frozenset({Pane.REMOTE}), all_remotes=(FETCHED, lost), remotes=())
    said = text(remotes(shown, 120))
    assert "2 remote records in the whole store, 1 with a fault first  a: only this row's" in said
    assert said.index("lost.aci") < said.index("a.aci.asc")


def test_a_store_with_very_many_records_names_the_command_that_lists_them() -> None:
    many = tuple(replace(FETCHED, reference=f"https://example.com/{n}") for n in range(2100))
    shown = replace(SHOWN, whole=frozenset({Pane.REMOTE}), all_remotes=many)
    assert text(remotes(shown, 80)).endswith("and 100 more: `orlop remotes` lists them all")


# --- uploads

MINE = Upload(repository="team/web", id="0f6a1c2e", started=NOW - 9 * DAY, changed=NOW - 2 * HOUR, bytes=1500, path="p")
OTHER = Upload(
    repository=OSC, id="7c9d", started=None, changed=NOW - DAY, bytes=7, path="q", problem="its startedat is empty"
)


def test_uploads_show_bytes_and_age_and_what_is_wrong_with_them() -> None:
    shown = replace(SHOWN, uploads=(MINE, OTHER), whole=frozenset({Pane.UPLOADS}))
    lines = list(uploads(shown, 80))
    said = text(lines)
    assert "2 uploads in the whole store, 1.5 kB  a: only team/web's 1" in said
    assert "1.5 kB  team/web/0f6a1c2e" in said
    assert "begun 9 d ago, last written 2 h ago" in said
    assert "begun at an unknown time" in said
    assert "problem its startedat is empty" in said
    assert "\x1b" not in said
    assert targets(iter(lines)) == [ToUpload(MINE), ToUpload(OTHER)]


def test_uploads_of_the_rows_repository_alone_tell_how_many_others_there_are() -> None:
    said = text(uploads(replace(SHOWN, uploads=(MINE, OTHER)), 80))
    assert "1 upload in team/web, 1.5 kB  a: 1 more in the whole store" in said


def test_only_a_registry_has_a_pane_of_uploads() -> None:
    assert panes_of("registry") == tuple(Pane)
    assert panes_of("docker") == panes_of("rkt") == tuple(Pane)[:4]


@pytest.mark.parametrize("width", [55, 62, 80, 120])
@pytest.mark.parametrize("kind", ["registry", "rkt", "docker", "a kind to come"])
def test_no_line_of_any_pane_is_wider_than_the_view(kind: str, width: int) -> None:
    shown = replace(SHOWN, kind=kind, mappings=(mapping("a"),), remotes=(FETCHED, CACHED, ALSO), uploads=(MINE, OTHER))
    panes: Callable[[int], Sequence[Line]] = builder(shown, tuple(Pane))
    lines = panes(width)
    assert max(sum(piece.cells for piece in line.spans) for line in lines) <= width
    for pane in tuple(Pane)[1:]:
        assert place_of(pane, lines) > 0
