"""A clean-up of some parts only: what it is made of, what each frees, and that nothing else goes."""

from dataclasses import replace
from pathlib import Path

import pytest

from orlop import kinds
from orlop.errors import Malformed
from orlop.intent import Clean, intent_from_json, intent_to_json
from orlop.plan import Plan
from orlop.samples import DataRoot, make_registry, make_rkt
from orlop.store import Store

LATER = 4_000_000_000 * 10**9
ALL = Clean(before=LATER, untagged=True)


def planned(store: Store, intent: Clean) -> Plan:
    made = store.plan(intent)
    assert isinstance(made, Plan), made
    return made


def docker(tmp_path: Path) -> Store:
    data = DataRoot.create(str(tmp_path / "docker"))
    image = data.image({"a": b"a"}, names=["app:1"])
    data.image({"u": b"u" * 100}, on=image)
    data.layer({"o": b"o" * 100}, on=image.layers[0])
    data.mapping("sha256:" + "5" * 64, "host/gone")
    data.write(f"overlay2/{'ab' * 32}/diff/file", b"stray")
    return kinds.open(data.path)


def registry(tmp_path: Path) -> Store:
    return kinds.open(make_registry(str(tmp_path / "registry")).path)


def rkt(tmp_path: Path) -> Store:
    return kinds.open(f"{make_rkt(str(tmp_path / 'rkt')).path}/cas")


@pytest.mark.parametrize("kind", [docker, registry, rkt])
def test_each_part_alone_takes_what_the_whole_says_of_it(kind: object, tmp_path: Path) -> None:
    assert callable(kind)
    store = kind(tmp_path)
    whole = planned(store, ALL)
    assert len(whole.parts) > 1
    assert sum(part.bytes for part in whole.parts) == whole.bytes_freed
    none = planned(store, replace(ALL, only=()))
    assert (none.steps, none.parts) == ((), ())
    for part in whole.parts:
        alone = planned(store, replace(ALL, only=(part.name,)))
        assert {found.name for found in alone.parts} <= {part.name}
        paths = {step.path for step in whole.steps}
        assert {step.path for step in alone.steps} <= paths, part
    store.close()


def test_a_part_that_is_none_is_refused_with_those_that_are(tmp_path: Path) -> None:
    store = docker(tmp_path)
    with pytest.raises(Malformed, match="no part 'blobs'") as told:
        store.plan(replace(ALL, only=("layers", "blobs")))
    assert "mappings" in told.value.do
    store.close()


def test_parts_are_written_only_where_some_were_chosen() -> None:
    assert "only" not in intent_to_json(ALL)
    for intent in (ALL, replace(ALL, only=()), replace(ALL, only=("layers", "data"))):
        assert intent_from_json(intent_to_json(intent)) == intent
