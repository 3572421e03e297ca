"""Damaged stores: what the engine hides Orlop shows, with the reason and in the engine's words."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import orlop.kinds
from orlop.digest import chain_ids
from orlop.finding import Finding, Severity
from orlop.intent import Remove
from orlop.plan import Refusal
from orlop.progress import Silent
from orlop.records import Condition, Key
from orlop.store import Store

if TYPE_CHECKING:
    from tests.engines.conftest import Engine, Made

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

Figure = Callable[[str], None]

BAD_CONFIGS = {
    "cut short": b'{"architecture":"amd64","rootfs"',
    "without rootfs": b'{"architecture":"amd64"}',
    "with rootfs null": b'{"rootfs":null}',
    "a list": b"[]",
    "a text": b'"config"',
    "null": b"null",
    "nested too deep": b'{"rootfs":{"type":"layers"},"x":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "with a layer that is no digest": b'{"rootfs":{"type":"layers","diff_ids":["nonsense"]}}',
    "with layers of a wrong type": b'{"rootfs":{"type":"layers","diff_ids":"one"}}',
    "with a date that is none": b'{"created":"yesterday","rootfs":{"type":"layers"}}',
    "with something after it": b'{"rootfs":{"type":"layers"}} {}',
}
"""Configs whose bytes hash to their name, and that an engine cannot use."""

OTHER_WORDS = {"config with a date that is none"}
"""Damage for which a finding's words are near the engine's: a date's are those of Go 1.20 and later."""

BAD_TAG_FILES = {
    "empty": b"",
    "cut short": b'{"Repositories":{"base":{"base:1.0":"sha256:',
    "a list": b"[]",
    "with a wrong type inside": b'{"Repositories":{"base":["base:1.0"]}}',
    "no JSON": b"Repositories",
}
"""Files of names with which an engine does not start."""


@dataclass(slots=True)
class Damaged:
    """A copy of the store, and what is done to it."""

    engine: "Engine"
    made: "Made"
    loud: dict[str, str] = field(default_factory=dict)
    """Image id to its damage, where the engine hides the image."""
    silent: dict[str, str] = field(default_factory=dict)
    """Image id to its damage, where the engine lists the image as if it were whole."""

    @property
    def images(self) -> Path:
        return self.engine.data / "image" / self.engine.driver

    def config(self, id: str) -> Path:
        return self.images / "imagedb" / "content" / "sha256" / id.removeprefix("sha256:")

    def chain(self, id: str) -> tuple[str, ...]:
        rootfs = self.made.images[id].inspect["RootFS"]
        assert isinstance(rootfs, dict)
        return chain_ids(rootfs.get("Layers", []))

    def top_record(self, id: str) -> Path:
        return self.images / "layerdb" / "sha256" / self.chain(id)[-1].removeprefix("sha256:")

    def top_data(self, id: str) -> Path:
        folder = self.engine.data / ("vfs/dir" if self.engine.driver == "vfs" else "overlay2")
        return folder / (self.top_record(id) / "cache-id").read_text()

    def on_layer_of(self, id: str, note: dict[str, str], what: str) -> None:
        """Every image that stands on the top layer of this one has the damage."""
        top = self.chain(id)[-1]
        note.update({other: what for other in self.made.images if top in self.chain(other)})


def hurt_configs(damaged: Damaged) -> None:
    empty, altered, folder = damaged.made.facts["app1"], damaged.made.facts["untagged"], damaged.made.facts["moved"]
    damaged.config(empty).write_bytes(b"")
    altered_file = damaged.config(altered)
    altered_file.write_bytes(altered_file.read_bytes().replace(b"amd64", b"amd65", 1))
    damaged.config(folder).unlink()
    damaged.config(folder).mkdir()
    damaged.loud |= {empty: "empty config", altered: "altered config", folder: "folder in place of the config"}
    for what, content in BAD_CONFIGS.items():
        id = "sha256:" + hashlib.sha256(content).hexdigest()
        damaged.config(id).write_bytes(content)
        damaged.loud[id] = f"config {what}"


def hurt_layers(damaged: Damaged) -> None:
    made = damaged.made
    by_name: dict[str, tuple[str, Callable[[Path], object]]] = {
        "diff empty": ("app2:v2", lambda record: (record / "diff").write_bytes(b"")),
        "cache-id missing": ("moved:latest", lambda record: (record / "cache-id").unlink()),
        "size with a newline": ("built:2", lambda record: (record / "size").write_text("4\n")),
        "parent no digest": ("built:1", lambda record: (record / "parent").write_text("sha256:zz")),
        "record missing": (f"{made.registry}/mirror/other:1", shutil.rmtree),
    }
    for what, (name, hurt) in by_name.items():
        id = made.id_of(name)
        damaged.on_layer_of(id, damaged.loud, what)
        hurt(damaged.top_record(id))
    lone = made.id_of("lone:1")
    (damaged.top_record(lone) / "parent").unlink()
    damaged.on_layer_of(lone, damaged.silent, "parent missing")
    twin = made.id_of(made.facts["by digest"])
    shutil.rmtree(damaged.top_data(twin))
    damaged.on_layer_of(twin, damaged.silent, "layer data missing")


def hurt_names(damaged: Damaged) -> None:
    path = damaged.images / "repositories.json"
    names = json.loads(path.read_bytes())
    names["Repositories"]["ghost"] = {"ghost:1": "sha256:" + "0" * 64}
    path.write_bytes(json.dumps(names, separators=(",", ":"), sort_keys=True).encode())


@pytest.fixture
def damaged(made: "Made", engine: "Engine") -> Damaged:
    return Damaged(engine, made)


def damage_found(store: Store) -> list[Finding]:
    found = store.check(None, content=False, progress=Silent())
    return [finding for finding in found if finding.severity.is_damage]


def test_every_image_that_the_engine_hides_is_a_row_with_the_reason(
    made: "Made", damaged: Damaged, figure: Figure
) -> None:
    hurt_configs(damaged)
    hurt_layers(damaged)
    hurt_names(damaged)
    store = orlop.kinds.open(str(damaged.engine.data))
    rows = {row.id: row for row in store.rows().rows}
    findings = damage_found(store)
    store.close()
    ghost = rows.pop("sha256:" + "0" * 64)

    with damaged.engine.running() as engine:
        listed = engine.listed()
        log = words(engine)
        answer = engine.try_docker("rmi", "ghost:1").stderr.decode()

    assert set(rows) == set(made.images) | set(damaged.loud)
    assert set(rows) - set(listed) == set(damaged.loud)
    unsound = {id: row for id, row in rows.items() if row.condition is not Condition.SOUND}
    assert set(unsound) == set(damaged.loud) | set(damaged.silent)
    assert all(row.reason for row in unsound.values())
    assert {id for finding in findings for id in finding.images} >= set(unsound)
    assert (ghost.key.name, ghost.condition) == ("ghost:1", Condition.INCOMPLETE)
    [tag] = [finding for finding in findings if finding.rule == "DK02"]
    assert tag.engine_says in answer
    said = [finding for finding in findings if finding.rule in ("DK03", "DK04", "DK14")]
    unlogged = {damaged.loud[id]: finding for finding in said for id in finding.images if not logged(finding, log)}
    assert set(unlogged) <= OTHER_WORDS, unlogged
    figure(
        f"{made.driver}: {len(damaged.loud)} images that the engine hides and {len(damaged.silent)} that it takes for "
        f"whole, each a row with its reason; {len(said) - len(unlogged)} messages as the engine logged them"
    )


def words(engine: "Engine") -> str:
    """The engine's messages, with paths relative to its data root."""
    return engine.messages().replace(f"{engine.data}/", "")


def logged(finding: Finding, log: str) -> bool:
    """Whether the engine logged what the finding says that it says.

    A wrong type is reported in the words of Go's JSON package, which name the
    engine's own types and differ between its versions: their beginning counts.
    """
    said = re.sub("(?<=json: cannot unmarshal) .*", "", finding.engine_says).replace("<root>/", "")
    return bool(said) and said in log


def test_a_lost_parent_is_silent_in_the_engine_and_blocks_every_removal_beside_it(
    made: "Made", damaged: Damaged
) -> None:
    lone = made.id_of("lone:1")
    (damaged.top_record(lone) / "parent").unlink()
    store = orlop.kinds.open(str(damaged.engine.data))

    [finding] = damage_found(store)
    plans = [store.plan(Remove(keys=store.find(name))) for name in ("lone:1", "single:1")]

    store.close()
    assert finding.rule == "DK05"
    assert lone in finding.images
    assert finding.engine_says == ""
    assert isinstance(plans[0], Refusal), plans[0]
    with damaged.engine.running() as engine:
        assert set(engine.listed()) == set(made.images)


def test_missing_layer_data_is_found_before_the_engine_needs_it(made: "Made", damaged: Damaged) -> None:
    twin = made.id_of(made.facts["by digest"])
    data = damaged.top_data(twin)
    shutil.rmtree(data)
    store = orlop.kinds.open(str(damaged.engine.data))

    found = damage_found(store)

    store.close()
    assert [(finding.rule, finding.severity) for finding in found if twin in finding.images] == [
        ("DK07", Severity.UNUSABLE)
    ]
    assert data.name in found[0].path
    with damaged.engine.running() as engine:
        assert twin in engine.listed()
        refused = engine.try_docker("create", twin, "/bin/true")
        assert refused.returncode != 0


def test_a_file_of_names_that_keeps_the_engine_from_starting_is_the_first_finding(
    made: "Made", damaged: Damaged, figure: Figure
) -> None:
    path = damaged.images / "repositories.json"
    for what, content in BAD_TAG_FILES.items():
        path.write_bytes(content)
        store = orlop.kinds.open(str(damaged.engine.data))
        first = next(iter(store.check(None, content=False, progress=Silent())))
        rows = store.rows().rows
        plan = store.plan(Remove(keys=(Key("", made.facts["untagged"], None),)))
        store.close()

        server = damaged.engine.launch()
        assert server.process.wait(60) != 0, what
        log = words(damaged.engine)
        damaged.engine.stop()

        assert (first.rule, first.severity) == ("DK01", Severity.BLOCKS), what
        assert logged(first, log), what
        assert {row.id for row in rows} == set(made.images), what
        assert isinstance(plan, Refusal), what
    figure(f"{made.driver}: {len(BAD_TAG_FILES)} files of names that keep the engine from starting, in its own words")


def test_names_are_lost_without_words_where_the_engine_takes_the_file(made: "Made", damaged: Damaged) -> None:
    """Data after the first value is ignored, and lost at the engine's next write."""
    path = damaged.images / "repositories.json"
    path.write_bytes(path.read_bytes() + b" trailing")
    store = orlop.kinds.open(str(damaged.engine.data))

    names = {row.key.name for row in store.rows().rows if row.key.name}

    store.close()
    with damaged.engine.running() as engine:
        assert names == {name for found in engine.listed().values() for name in found}
