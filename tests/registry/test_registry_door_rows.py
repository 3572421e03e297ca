"""The image list of a registry: rows, their order, sizes, states and flags."""

import json
from pathlib import Path

import pytest

from orlop.fs import Root
from orlop.records import Condition, Flag, Row, Snapshot, Trust
from orlop.registry.door import RegistryStore
from tests.registry.pushing import V2, Made, Registry


def rows_of(registry: Registry) -> tuple[Row, ...]:
    return snapshot_of(registry).rows


def snapshot_of(registry: Registry) -> Snapshot:
    store = RegistryStore(Root.open(str(registry.path)), V2)
    try:
        return store.rows()
    finally:
        store.close()


def only(registry: Registry) -> Row:
    (row,) = rows_of(registry)
    return row


def named(registry: Registry, name: str) -> Row:
    return next(row for row in rows_of(registry) if row.key.name == name)


def size_of(registry: Registry, *digests: str) -> int:
    return sum(registry.blob_path(digest).stat().st_size for digest in set(digests))


# --- which rows there are ----------------------------------------------------------


def test_each_tag_is_a_row(registry: Registry) -> None:
    made = registry.image("team/app", "v2", "v1")
    rows = rows_of(registry)
    assert [(row.key.scope, row.key.id, row.key.name) for row in rows] == [
        ("team/app", made.digest, "team/app:v1"),
        ("team/app", made.digest, "team/app:v2"),
    ]
    assert [(row.repository, row.tag, row.what) for row in rows] == [
        ("team/app", "v1", "image"),
        ("team/app", "v2", "image"),
    ]


def test_a_manifest_without_a_tag_is_a_row_of_its_repository_after_all_names(registry: Registry) -> None:
    bare = registry.image("a", layers=(b"bare",))
    registry.image("b", "v1")
    first, last = rows_of(registry)
    assert first.key.name == "b:v1"
    assert (last.key, last.repository, last.tag) == (("a", bare.digest, None), "a", "")
    assert last.flags == {Flag.UNTAGGED}


def test_what_an_index_names_follows_it_and_is_no_untagged_image(registry: Registry) -> None:
    amd = registry.image("app")
    arm = registry.image("app", architecture="arm64", layers=(b"base", b"arm"))
    index = registry.index("app", "v1", children=[amd, arm])
    registry.image("app", "v2", layers=(b"later",))
    rows = rows_of(registry)
    assert [row.key.id for row in rows][:3] == [index.digest, amd.digest, arm.digest]
    assert [row.under for row in rows] == [None, rows[0].key, rows[0].key, None]
    assert [row.platform for row in rows[1:3]] == ["linux/amd64", "linux/arm64"]
    assert rows[0].what == "index"
    assert rows[1].flags == {Flag.CHILD}


def test_a_child_with_a_tag_of_its_own_stays_where_its_name_is(registry: Registry) -> None:
    child = registry.image("app", "amd64")
    registry.index("app", "v1", children=[child])
    rows = rows_of(registry)
    assert [(row.key.name, row.under) for row in rows] == [("app:amd64", None), ("app:v1", None)]
    assert Flag.CHILD in rows[0].flags


def test_a_child_of_several_indexes_is_there_once(registry: Registry) -> None:
    child = registry.image("app")
    other = registry.image("app", layers=(b"other",))
    registry.index("app", "v1", "v2", children=[child])
    registry.index("app", "v3", children=[child, other])
    rows = rows_of(registry)
    assert [row.key.name or (row.under and row.under.name) for row in rows] == [
        "app:v1",
        "app:v1",
        "app:v2",
        "app:v3",
        "app:v3",
    ]


def test_indexes_in_indexes_are_grouped_in_turn(registry: Registry) -> None:
    child = registry.image("app")
    inner = registry.index("app", children=[child])
    registry.index("app", "v1", children=[inner])
    outer_row, inner_row, child_row = rows_of(registry)
    assert inner_row.under == outer_row.key
    assert child_row.under == inner_row.key


def test_an_untagged_index_has_its_children_too(registry: Registry) -> None:
    child = registry.image("app")
    index = registry.index("app", children=[child])
    first, second = rows_of(registry)
    assert first.key.id == index.digest
    assert first.flags == {Flag.UNTAGGED}
    assert (second.key.id, second.under) == (child.digest, first.key)


def test_a_child_in_another_repository_only_is_no_row_here(registry: Registry) -> None:
    child = registry.image("app")
    registry.index("app", "v1", children=[child])
    registry.revision_link("app", child.digest).unlink()
    row = only(registry)
    assert row.condition is Condition.INCOMPLETE
    assert "linux/amd64" in row.reason


def test_indexes_that_name_each_other_are_rows_once_each(registry: Registry) -> None:
    names = [f"sha256:{letter * 64}" for letter in "ab"]
    for here, other in (names, names[::-1]):
        content = json.dumps({"schemaVersion": 2, "manifests": [{"digest": other, "size": 1, "mediaType": ""}]})
        registry.write(registry.blob_path(here), content)
        registry.write(registry.revision_link("app", here), here)
    rows = rows_of(registry)
    assert sorted(row.key.id for row in rows) == names
    assert {row.condition for row in rows} == {Condition.DAMAGED}


def test_indexes_nested_a_hundred_deep_are_all_rows(registry: Registry) -> None:
    made: Made = registry.image("app")
    for _ in range(100):
        made = registry.index("app", children=[made])
    rows = rows_of(registry)
    assert len(rows) == 101
    assert len({row.key for row in rows}) == 101


def test_rows_under_another_come_right_after_it_or_its_own(registry: Registry) -> None:
    for repository in ("a", "b"):
        children = [registry.image(repository, layers=(b"x", str(number).encode())) for number in range(3)]
        registry.index(repository, "v1", children=children)
        registry.index(repository, children=children[:1], typed=False)
    seen = set()
    for row in rows_of(registry):
        assert row.under is None or row.under in seen
        seen.add(row.key)


def test_a_referrer_says_so(registry: Registry) -> None:
    made = registry.image("app", "v1")
    sbom = registry.artifact("app", subject=made)
    row = next(row for row in rows_of(registry) if row.key.id == sbom.digest)
    assert row.what == "artifact"
    assert row.flags == {Flag.REFERRER}


def test_what_a_cache_holds_says_so_and_lacks_nothing(registry: Registry) -> None:
    made = registry.image("app", "v1")
    registry.blob_path(made.layers[0]).unlink()
    registry.cache({f"app@{made.digest}": ("2026-11-28T04:52:04Z", True)})
    row = only(registry)
    assert row.flags == {Flag.CACHED}
    assert (row.condition, row.trust) == (Condition.SOUND, Trust.LISTED)
    assert "fetches it again" in row.reason


@pytest.mark.parametrize(
    ("repository", "tag"), [("UPPER", "v1"), ("app", "-dash"), ("app", "\x1b[31m"), ("a_/b", "v1")]
)
def test_names_that_break_the_grammar_are_odd(registry: Registry, repository: str, tag: str) -> None:
    registry.image(repository, tag)
    row = only(registry)
    assert row.flags == {Flag.ODD_NAME}
    assert row.key.name == f"{repository}:{tag}"


def test_schema_1_has_its_time_and_platform(registry: Registry) -> None:
    registry.schema_1("old", "v1")
    row = only(registry)
    assert (row.what, row.platform, row.created) == ("schema 1", "linux/amd64", 1425445567 * 10**9)
    assert row.trust is Trust.LINKED


def test_an_image_is_linked_with_its_time_and_platform(registry: Registry) -> None:
    registry.image("app", "v1", created="2026-01-02T03:04:05.5Z", architecture="riscv64")
    row = only(registry)
    assert (row.created, row.platform) == (1767323045500000000, "linux/riscv64")
    assert (row.trust, row.condition, row.reason) == (Trust.LINKED, Condition.SOUND, "")


# --- sizes ------------------------------------------------------------------------


def test_the_size_is_manifest_config_and_layers_each_once(registry: Registry) -> None:
    made = registry.image("app", "v1", layers=(b"same", b"same", b"other"))
    row = only(registry)
    assert row.size == row.own_size == size_of(registry, made.digest, made.config, *made.layers)


def test_own_bytes_are_those_that_no_other_manifest_needs(registry: Registry) -> None:
    one = registry.image("app", "v1", layers=(b"shared base", b"one"))
    registry.image("other", "v1", layers=(b"shared base", b"and two"))
    row = named(registry, "app:v1")
    assert row.own_size == size_of(registry, one.digest, one.config, one.layers[1])


def test_the_same_manifest_elsewhere_makes_nothing_shared(registry: Registry) -> None:
    made = registry.image("app", "v1")
    registry.image("copy", "v1")
    row = named(registry, "app:v1")
    assert row.own_size == row.size == size_of(registry, made.digest, made.config, *made.layers)


def test_an_index_weighs_all_that_it_names_each_once(registry: Registry) -> None:
    amd = registry.image("app", layers=(b"base", b"amd"))
    arm = registry.image("app", layers=(b"base", b"arm"))
    index = registry.index("app", "v1", children=[amd, arm])
    rows = rows_of(registry)
    everything = (*amd.layers, *arm.layers, amd.config, arm.config, amd.digest, arm.digest, index.digest)
    assert rows[0].size == rows[0].own_size == size_of(registry, *everything)
    assert rows[1].own_size == size_of(registry, amd.digest, amd.config, amd.layers[1])


def test_the_total_counts_every_blob_once(registry: Registry) -> None:
    registry.image("app", "v1")
    registry.image("copy", "v1")
    registry.blob(b"nobody needs this")
    assert snapshot_of(registry).total_size == sum(
        path.stat().st_size for path in (registry.path / V2 / "blobs").rglob("data")
    )


def test_images_are_counted_once_for_all_their_tags(registry: Registry) -> None:
    registry.image("app", "v1", "v2")
    registry.image("app", layers=(b"bare",))
    assert snapshot_of(registry).images == 2


# --- states -----------------------------------------------------------------------


DAMAGE = [
    ("no manifest", Condition.INCOMPLETE, "manifest blob is missing"),
    ("empty manifest", Condition.DAMAGED, "the file is empty"),
    ("altered manifest", Condition.DAMAGED, "hash to"),
    ("no config", Condition.INCOMPLETE, "config"),
    ("altered config", Condition.DAMAGED, "config"),
    ("no layer", Condition.INCOMPLETE, "has no blob"),
    ("empty layer", Condition.DAMAGED, "the file is empty"),
    ("short layer", Condition.DAMAGED, "2 bytes, where the manifest says 3"),
    ("no layer link", Condition.INCOMPLETE, "no link to layer"),
    ("empty layer link", Condition.DAMAGED, "the link is empty"),
    ("no revision link", Condition.INCOMPLETE, "no revision link"),
    ("empty revision link", Condition.DAMAGED, "the link is empty"),
    ("wrong revision link", Condition.DAMAGED, "revision link names"),
]


def harm(registry: Registry, made: Made, damage: str) -> None:
    path: Path = {
        "manifest": registry.blob_path(made.digest),
        "config": registry.blob_path(made.config),
        "layer": registry.blob_path(made.layers[1]),
        "layer link": registry.layer_link("app", made.layers[1]),
        "revision link": registry.revision_link("app", made.digest),
    }[damage.partition(" ")[2]]
    match damage.partition(" ")[0]:
        case "no":
            path.unlink()
        case "empty":
            path.write_bytes(b"")
        case "altered":
            path.write_bytes(path.read_bytes() + b"\n")
        case "short":
            path.write_bytes(path.read_bytes()[:-1])
        case "wrong":
            path.write_text(made.config)


@pytest.mark.parametrize(("damage", "condition", "words"), DAMAGE)
def test_damage_is_a_row_that_says_why(registry: Registry, damage: str, condition: Condition, words: str) -> None:
    made = registry.image("app", "v1")
    registry.image("other", "v1", layers=(b"sound",))
    harm(registry, made, damage)
    row = named(registry, "app:v1")
    assert (row.condition, row.trust, row.key.id) == (condition, Trust.LISTED, made.digest)
    assert words in row.reason
    assert named(registry, "other:v1").trust is Trust.LINKED


def test_damage_below_an_index_is_told_by_its_platform(registry: Registry) -> None:
    child = registry.image("app", architecture="arm64")
    registry.index("app", "v1", children=[child])
    registry.blob_path(child.layers[0]).unlink()
    row = named(registry, "app:v1")
    assert row.condition is Condition.INCOMPLETE
    assert row.reason.startswith("linux/arm64: layer")


@pytest.mark.parametrize(
    ("content", "condition"), [(b"", Condition.DAMAGED), (b"nonsense", Condition.DAMAGED), (None, Condition.INCOMPLETE)]
)
def test_a_tag_that_means_nothing_is_a_row_without_an_id(
    registry: Registry, content: bytes | None, condition: Condition
) -> None:
    registry.image("app", "v1")
    if content is None:
        registry.current_link("app", "v1").unlink()
    else:
        registry.current_link("app", "v1").write_bytes(content)
    row = named(registry, "app:v1")
    assert (row.key.id, row.condition, row.size) == ("", condition, None)
    assert row.reason.startswith("what it means is unknown")


def test_a_file_in_the_place_of_a_tag_is_a_damaged_row(registry: Registry) -> None:
    registry.image("app", "v1")
    registry.write(registry.tag_path("app", "stray"), b"")
    row = named(registry, "app:stray")
    assert (row.key.id, row.condition) == ("", Condition.DAMAGED)


def test_a_manifest_of_fifty_megabytes_is_listed_and_not_called_damaged(registry: Registry) -> None:
    made = registry.image("app", "v1")
    with open(registry.blob_path(made.digest), "r+b") as file:
        file.truncate(50_000_000)
    row = only(registry)
    assert (row.condition, row.trust, row.what) == (Condition.SOUND, Trust.LISTED, "unknown")


def test_layers_that_lie_elsewhere_by_design_are_not_missed(registry: Registry) -> None:
    made = registry.image("app", "v1")
    document = json.loads(registry.blob_path(made.digest).read_bytes())
    document["layers"][0]["urls"] = ["https://example.com/layer"]
    again = registry.manifest("app", ["v2"], document)
    registry.blob_path(made.layers[0]).unlink()
    registry.layer_link("app", made.layers[0]).unlink()
    row = named(registry, "app:v2")
    assert (row.key.id, row.condition, row.trust) == (again.digest, Condition.SOUND, Trust.LINKED)
    assert named(registry, "app:v1").condition is Condition.INCOMPLETE
