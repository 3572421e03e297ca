"""Plans that remove V2 mappings: lists as the engine spells them, and reverse records nothing else needs."""

import json
from typing import Any

import pytest

from orlop.docker import layout
from orlop.docker.join import read
from orlop.docker.plans import plan
from orlop.errors import Changed, NotFound
from orlop.fs import Root
from orlop.intent import Unmap
from orlop.plan import Quarantine, Replace
from orlop.progress import Silent
from orlop.records import StoreId

DIFF = "sha256:" + "1" * 64
OTHER = "sha256:" + "2" * 64
BLOB = "sha256:" + "b" * 64


@pytest.fixture
def planning(data_root: Any) -> Any:
    """Mappings are the same for every driver."""
    return data_root("overlay2")


def paths(made: Any) -> list[str]:
    return [step.path for step in made.steps]


def test_one_of_several_entries_goes_and_the_rest_keeps_order_and_spelling(planning: Any) -> None:
    for source in ("host/a", "host/b", "host/c"):
        planning.data.mapping(DIFF, source, digest=BLOB, pushed=True)
    path = layout.v2_list("overlay2", DIFF)
    with open(planning.data.at(path), "rb") as file:
        before = file.read()
    made = planning.plan(Unmap(mappings=((DIFF, BLOB, "host/b"),)))
    [step] = made.steps
    assert isinstance(step, Replace)
    assert (step.path, step.mode) == (path, 0o644)
    left = [entry for entry in json.loads(before) if entry["SourceRepository"] != "host/b"]
    assert step.new == json.dumps(left, separators=(",", ":")).encode()
    assert len(step.new) < len(before)
    assert made.action == "unmap 1 mapping"
    assert [r.subject for r in made.reasons if r.verb == "keep"] == ["2 other mappings"]


def test_entries_without_the_keyed_hash_stay_without_it(planning: Any) -> None:
    entries = [{"Digest": BLOB, "SourceRepository": name} for name in ("host/a&b", "host/c")]
    text = json.dumps(entries, separators=(",", ":"))
    planning.data.write(layout.v2_list("overlay2", DIFF), text.encode())
    [step] = planning.plan(Unmap(mappings=((DIFF, BLOB, "host/c"),))).steps
    assert step.new == b'[{"Digest":"%s","SourceRepository":"host/a\\u0026b"}]' % BLOB.encode()


def test_entries_that_differ_in_the_keyed_hash_only_go_together(planning: Any) -> None:
    planning.data.mapping(DIFF, "host/a", digest=BLOB)
    planning.data.mapping(DIFF, "host/a", digest=BLOB, pushed=True)
    made = planning.plan(Unmap(mappings=((DIFF, BLOB, "host/a"),)))
    assert made.action == "unmap 2 mappings"
    assert paths(made) == [layout.v2_list("overlay2", DIFF), layout.v2_reverse("overlay2", BLOB)]
    assert all(isinstance(step, Quarantine) for step in made.steps)
    assert made.bytes_freed > 0


def test_the_reverse_record_stays_while_another_list_has_the_digest(planning: Any) -> None:
    planning.data.mapping(OTHER, "host/b", digest=BLOB)
    planning.data.mapping(DIFF, "host/a", digest=BLOB)
    assert paths(planning.plan(Unmap(mappings=((DIFF, BLOB, "host/a"),)))) == [layout.v2_list("overlay2", DIFF)]
    both = planning.plan(Unmap(mappings=((OTHER, BLOB, "host/b"), (DIFF, BLOB, "host/a"))))
    assert paths(both) == [
        layout.v2_list("overlay2", DIFF),
        layout.v2_list("overlay2", OTHER),
        layout.v2_reverse("overlay2", BLOB),
    ]


def test_the_reverse_record_of_another_layer_stays(planning: Any) -> None:
    planning.data.mapping(DIFF, "host/a", digest=BLOB)
    planning.data.reverse(BLOB, OTHER)
    assert paths(planning.plan(Unmap(mappings=((DIFF, BLOB, "host/a"),)))) == [layout.v2_list("overlay2", DIFF)]


def test_a_reverse_record_that_stands_alone_goes_by_an_empty_source(planning: Any) -> None:
    planning.data.reverse(BLOB, DIFF)
    made = planning.plan(Unmap(mappings=((DIFF, BLOB, ""),)))
    assert paths(made) == [layout.v2_reverse("overlay2", BLOB)]
    assert made.action == "unmap 1 mapping"


@pytest.mark.parametrize("content", [b"", b"{", b'{"a":1}', b"[1]", b"\x00" * 40])
def test_a_list_that_cannot_be_read_goes_whole(planning: Any, content: bytes) -> None:
    planning.data.write(layout.v2_list("overlay2", DIFF), content)
    made = planning.plan(Unmap(mappings=((DIFF, "", ""),)))
    assert paths(made) == [layout.v2_list("overlay2", DIFF)]
    assert isinstance(made.steps[0], Quarantine)


@pytest.mark.parametrize(
    "triple",
    [(DIFF, BLOB, "host/z"), (DIFF, OTHER, "host/a"), (OTHER, BLOB, "host/a"), (DIFF, "", ""), (OTHER, BLOB, "")],
)
def test_a_mapping_that_is_not_there_is_not_found(planning: Any, triple: tuple[str, str, str]) -> None:
    planning.data.mapping(DIFF, "host/a", digest=BLOB)
    with pytest.raises(NotFound):
        planning.ask(Unmap(mappings=(triple,)))


def test_a_list_that_changed_since_it_was_read_is_not_written_over(planning: Any) -> None:
    planning.data.mapping(DIFF, "host/a", digest=BLOB)
    planning.data.mapping(DIFF, "host/b", digest=BLOB)
    with Root.open(planning.data.path) as root:
        model = read(root, "overlay2", progress=Silent())
        identity = StoreId(kind="docker", scope="overlay2", path=root.path, token="token")
        planning.data.mapping(DIFF, "host/new", digest=BLOB)
        with pytest.raises(Changed):
            plan(root, model, identity, Unmap(mappings=((DIFF, BLOB, "host/a"),)))


def test_the_order_asked_makes_no_difference(planning: Any) -> None:
    for source in ("host/a", "host/b"):
        planning.data.mapping(DIFF, source, digest=BLOB)
        planning.data.mapping(OTHER, source)
    triples = ((DIFF, BLOB, "host/a"), (OTHER, planning.model().v2_lists[OTHER].entries[0].digest, "host/b"))
    first, second = planning.plan(Unmap(mappings=triples)), planning.plan(Unmap(mappings=triples[::-1]))
    assert (first.steps, first.reasons) == (second.steps, second.reasons)
