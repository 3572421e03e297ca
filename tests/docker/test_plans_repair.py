"""Repairs: rebuilt as names and contents prove, else out of the engine's way; undone, nothing is left of them."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import orlop.kinds
from orlop.apply import apply, undo
from orlop.docker import layout
from orlop.errors import NotFound
from orlop.finding import Finding
from orlop.intent import Clean, Repair
from orlop.journal import Journal
from orlop.plan import Plan, Quarantine, Refusal
from orlop.progress import Silent
from orlop.records import Key
from orlop.samples.docker import Image
from orlop.samples.docker import Layer as MadeLayer
from orlop.store import Store

LONG = pytest.mark.long
STRAY = "ab" * 32


def tree(path: str) -> dict[str, bytes | str | None]:
    """Every file of a store with its bytes, every link with what it holds, every folder."""
    found: dict[str, bytes | str | None] = {}
    for above, folders, files in os.walk(path):
        if ".orlop" in folders:
            folders.remove(".orlop")
        for name in [*folders, *files]:
            full = os.path.join(above, name)
            link = os.readlink(full) if os.path.islink(full) else None
            found[os.path.relpath(full, path)] = link if link or os.path.isdir(full) else Path(full).read_bytes()
    return found


class Mending:
    """A data root that is damaged, and mended through the store door."""

    def __init__(self, planning: Any) -> None:
        self.data = planning.data
        self.planning = planning

    def record(self, layer: MadeLayer, file: str = "") -> str:
        return f"{layout.layer(self.data.driver, layer.chain_id)}/{file}".rstrip("/")

    def folder(self, layer: MadeLayer) -> str:
        return layout.layer_data(self.data.driver, layer.cache_id) or ""

    def file(self, layer: MadeLayer, name: str) -> str:
        return f"{layout.layer_tree(self.data.driver, layer.cache_id)}/{name}"

    def open(self) -> Store:
        return orlop.kinds.open(self.data.path)

    def findings(self, *, content: bool = False, all_of_them: bool = False) -> list[Finding]:
        store = self.open()
        try:
            found = list(store.check(None, content=content, progress=Silent()))
        finally:
            store.close()
        return found if all_of_them else [one for one in found if one.severity.is_damage]

    def plan(self, *rules: str, guess: bool = False, content: bool = False) -> Plan | Refusal:
        found = self.findings(content=content, all_of_them=True)
        chosen = tuple(one.identity for one in found if one.rule in rules)
        assert chosen, f"no {rules} among {found}"
        store = self.open()
        try:
            return store.plan(Repair(findings=chosen, guess=guess))
        finally:
            store.close()

    def mend(self, *rules: str, guess: bool = False, content: bool = False) -> Plan:
        """Repair all findings of some rules; make sure that it can be undone whole; repair again."""
        before = tree(self.data.path)
        made = self.plan(*rules, guess=guess, content=content)
        assert isinstance(made, Plan), made
        store = self.open()
        journal = Journal.of(store.root)
        try:
            apply(store, made, journal)
            undo(store, journal)
            assert tree(self.data.path) == before
            again = store.plan(made.intent)
            assert isinstance(again, Plan)
            apply(store, again, journal)
        finally:
            store.close()
        return made

    def pullable(self, image: Image) -> bool:
        """Whether nothing of an image keeps an engine from pulling it."""
        records = [self.record(layer) for layer in image.layers]
        there = [os.path.exists(self.data.at(path)) for path in records]
        whole = there == sorted(there, reverse=True)  # a record stands on those below it
        return whole and not os.path.exists(self.data.at(layout.config(self.data.driver, image.id)))


@pytest.fixture
def mending(planning: Any) -> Mending:
    return Mending(planning)


def lose(mending: Mending, path: str) -> None:
    target = mending.data.at(path)
    shutil.rmtree(target) if os.path.isdir(target) and not os.path.islink(target) else os.unlink(target)


# --- records that can be rebuilt ----------------------------------------------


@pytest.mark.parametrize("file", ["diff", "size", "parent", "cache-id"])
@pytest.mark.parametrize("how", ["gone", *(pytest.param(how, marks=LONG) for how in ("empty", "garbage", "folder"))])
def test_a_file_of_a_record_is_written_again_as_it_was(mending: Mending, file: str, how: str) -> None:
    image = mending.data.image({"a": b"aa"}, {"b": b"b", "c/d": b"cd"}, {"e": b"e"}, names=["app:1"])
    mending.data.image({"z": b"z"}, names=["other:1"])
    whole = tree(mending.data.path)
    path = mending.record(image.layers[1], file)
    if how in ("gone", "folder"):
        lose(mending, path)
    else:
        mending.data.write(path, b"" if how == "empty" else b"n o n s e n s e")
    if how == "folder":
        os.mkdir(mending.data.at(path))
    found = mending.findings()
    plan = mending.mend(*{one.rule for one in found})
    assert {one.rule for one in found} == {"DK05" if (file, how) == ("parent", "gone") else "DK04"}
    assert tree(mending.data.path) == whole
    assert plan.images == (image.id,)
    assert mending.findings(content=True) == []


def test_a_record_that_no_image_names_is_rebuilt_by_its_name_alone(mending: Mending) -> None:
    base = mending.data.image({"a": b"a"}, names=["base:1"])
    orphan = mending.data.layer({"o": b"o"}, on=base.layers[0])
    whole = tree(mending.data.path)
    lose(mending, mending.record(orphan, "parent"))
    mending.mend("DK05")
    assert tree(mending.data.path) == whole
    lose(mending, mending.record(orphan, "diff"))
    mending.mend("DK04")
    assert tree(mending.data.path) == whole, "the diff id is that of the layer's archive"


def test_a_wrong_size_is_measured_again(mending: Mending) -> None:
    image = mending.data.image({"a": b"aa"}, names=["app:1"])
    whole = tree(mending.data.path)
    mending.data.write(mending.record(image.layers[0], "size"), b"1000000000")
    mending.mend("DK06")
    assert tree(mending.data.path) == whole


def test_a_wrong_cache_id_is_found_again_among_folders_that_nothing_names(mending: Mending) -> None:
    image = mending.data.image({"a": b"aa"}, {"b": b"b"}, names=["app:1"])
    whole = tree(mending.data.path)
    mending.data.write(mending.record(image.layers[1], "cache-id"), STRAY.encode())
    assert [one.rule for one in mending.findings()] == ["DK07"]
    mending.mend("DK07")
    assert tree(mending.data.path) == whole


def test_a_folder_with_other_bytes_is_not_taken_for_the_layers(mending: Mending) -> None:
    image = mending.data.image({"a": b"aa"}, names=["app:1"])
    mending.data.write(mending.file(image.layers[0], "a"), b"ab")
    mending.data.write(mending.record(image.layers[0], "cache-id"), b"")
    plan = mending.mend("DK04")
    assert any("no folder of layer data proves to be its" in reason.because for reason in plan.reasons)
    assert mending.pullable(image)


def test_a_recipe_is_taken_from_the_same_layer_elsewhere(mending: Mending) -> None:
    image = mending.data.image({"a": b"aa"}, names=["app:1"])
    mending.data.image({"z": b"z"}, {"a": b"aa"}, names=["other:1"])
    whole = tree(mending.data.path)
    lose(mending, mending.record(image.layers[0], "tar-split.json.gz"))
    mending.mend("DK09")
    assert tree(mending.data.path) == whole


# --- what goes out of the engine's way --------------------------------------------


def damage_data(mending: Mending, image: Image) -> str:
    lose(mending, mending.folder(image.layers[1]))
    return "DK07"


def damage_content(mending: Mending, image: Image) -> str:
    mending.data.write(mending.file(image.layers[1], "b"), b"X")
    return "DK08"


def damage_recipe(mending: Mending, image: Image) -> str:
    mending.data.write(mending.record(image.layers[1], "tar-split.json.gz"), b"no gzip")
    return "DK09"


def damage_record(mending: Mending, image: Image) -> str:
    lose(mending, mending.record(image.layers[1]))
    return "DK14"


def damage_empty(mending: Mending, image: Image) -> str:
    lose(mending, mending.record(image.layers[1]))
    os.mkdir(mending.data.at(mending.record(image.layers[1])))
    return "DK04"


DAMAGE = [damage_data, damage_content, damage_recipe, damage_record, damage_empty]


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_cannot_be_rebuilt_is_moved_aside_with_all_that_keeps_a_pull_away(
    mending: Mending, damage: Callable[[Mending, Image], str]
) -> None:
    low = mending.data.image({"a": b"a"}, names=["low:1"])
    image = mending.data.image({"b": b"b"}, on=low, names=["app:1", f"app@sha256:{'1' * 64}"])
    upper = mending.data.image({"c": b"c"}, on=image, names=["upper:1"])
    aside = mending.data.image({"z": b"z"}, names=["aside:1"])
    rule = damage(mending, image)
    plan = mending.mend(rule, content=rule == "DK08")
    assert mending.pullable(image)
    assert mending.pullable(upper)
    assert set(plan.images) == {image.id, upper.id}
    words = "\n".join(f"{reason.verb} {reason.subject}: {reason.because}" for reason in plan.reasons)
    assert f"docker pull app@sha256:{'1' * 64}" in words
    assert "load, build or pull it again" in words, "of the one above nothing tells where it came from"
    assert f"layer {upper.layers[2].chain_id}: 1 bytes; it stands on one that goes" in words
    left = mending.findings(content=True)
    assert {(one.rule, one.subject) for one in left} == {
        ("DK02", name) for name in ("app:1", f"app@sha256:{'1' * 64}", "upper:1")
    }
    rows = mending.open().rows().rows
    assert {row.id for row in rows if row.condition.value == "sound"} == {low.id, aside.id}


def test_what_stands_on_a_damaged_layer_goes_also_where_its_record_does_not_say_so(mending: Mending) -> None:
    image = mending.data.image({"a": b"a"}, {"b": b"b"}, {"c": b"c"}, names=["app:1"])
    lose(mending, mending.folder(image.layers[1]))
    lose(mending, mending.record(image.layers[2], "parent"))
    mending.mend("DK07")
    assert mending.pullable(image)


@pytest.mark.parametrize("damage", [damage_data, damage_content, damage_empty])
def test_a_layer_that_a_container_needs_stays_and_the_container_is_named(
    mending: Mending, damage: Callable[[Mending, Image], str]
) -> None:
    low = mending.data.image({"a": b"a"}, names=["low:1"])
    image = mending.data.image({"b": b"b"}, on=low, names=["app:1"])
    upper = mending.data.image({"c": b"c"}, on=image, names=["upper:1"])
    mending.data.container("worker", upper)
    rule = damage(mending, image)
    refusal = mending.plan(rule, content=rule == "DK08")
    assert isinstance(refusal, Refusal)
    assert any("container worker" in reason for reason in refusal.reasons)


def test_what_was_mended_meanwhile_is_no_finding(mending: Mending) -> None:
    image = mending.data.image({"a": b"a"}, {"b": b"b"}, names=["app:1"])
    damage_content(mending, image)
    [found] = mending.findings(content=True)
    mending.data.write(mending.file(image.layers[1], "b"), b"b")
    store = mending.open()
    with pytest.raises(NotFound, match="no such finding"):
        store.plan(Repair(findings=(found.identity,)))
    store.close()


# --- configs and names ----------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"{}", None])
def test_a_damaged_config_goes_and_its_names_stay(mending: Mending, content: bytes | None) -> None:
    image = mending.data.image({"a": b"a"}, names=["app:1", "app:2"])
    child = mending.data.image({"b": b"b"}, on=image, names=["child:1"], local=True)
    path = layout.config(mending.data.driver, image.id)
    if content is None:
        lose(mending, path)
        os.mkdir(mending.data.at(path))
    else:
        mending.data.write(path, content)
    mending.mend("DK03")
    assert not os.path.exists(mending.data.at(path))
    left = {(one.rule, one.subject) for one in mending.findings()}
    assert left == {("DK02", "app:1"), ("DK02", "app:2"), ("DK17", "")}
    mending.mend("DK02", "DK17")
    assert mending.findings() == []
    assert {row.id for row in mending.open().rows().rows} == {child.id}


def test_names_that_lead_nowhere_or_cannot_be_used_go_in_one_write(mending: Mending) -> None:
    image = mending.data.image({"a": b"a"}, names=["app:1"])
    mending.data.tag("gone:1", "sha256:" + "0" * 64)
    mending.data.tag("Odd Name:1", image.id)
    plan = mending.mend("DK02", "DK22")
    assert [step.path for step in plan.steps] == [layout.tag_file(mending.data.driver)]
    names = json.loads(Path(mending.data.at(layout.tag_file(mending.data.driver))).read_bytes())
    assert names == {"Repositories": {"app": {"app:1": image.id}}}


def test_lost_names_come_back_only_as_a_guess(mending: Mending) -> None:
    one = mending.data.image({"a": b"a"}, names=["app:1"])
    two = mending.data.image({"b": b"b"}, names=["worker:1"])
    mending.data.image({"c": b"c"}, names=["third:1"])
    mending.data.container("worker", two, image_name="worker:1")
    path = layout.tag_file(mending.data.driver)
    raw = Path(mending.data.at(path)).read_bytes()
    mending.data.write(path, raw[: raw.index(b'"third') + 12])
    refusal = mending.plan("DK01")
    assert isinstance(refusal, Refusal)
    assert any("--guess" in reason and "app:1, worker:1" in reason for reason in refusal.reasons)
    plan = mending.mend("DK01", guess=True)
    names = json.loads(Path(mending.data.at(path)).read_bytes())["Repositories"]
    assert names == {"app": {"app:1": one.id}, "worker": {"worker:1": two.id}}
    assert any(reason.subject == "1 image" and "without a name" in reason.because for reason in plan.reasons)


@pytest.mark.parametrize("content", [b"", b"null", b"[]"])
def test_an_empty_file_of_names_lets_the_engine_start(mending: Mending, content: bytes) -> None:
    mending.data.image({"a": b"a"}, names=["app:1"])
    path = layout.tag_file(mending.data.driver)
    mending.data.write(path, content)
    mending.mend("DK01", guess=True)
    assert Path(mending.data.at(path)).read_bytes() == b'{"Repositories":{}}'
    assert mending.findings() == []


def test_containers_that_differ_give_a_name_to_neither(mending: Mending) -> None:
    one = mending.data.image({"a": b"a"}, names=["app:1"])
    two = mending.data.image({"b": b"b"})
    mending.data.container("old", one, image_name="app:1")
    mending.data.container("new", two, image_name="app:1")
    mending.data.write(layout.tag_file(mending.data.driver), b"")
    plan = mending.mend("DK01", guess=True)
    assert any("given to none" in reason.because for reason in plan.reasons)
    assert all(row.key == Key("", row.id, None) for row in mending.open().rows().rows)


def test_data_that_has_another_name_is_no_waste_beside_the_layer_that_lacks_it(mending: Mending) -> None:
    image = mending.data.image({"a": b"a"}, names=["app:1"])
    folder = mending.data.at(mending.folder(image.layers[0]))
    os.rename(folder, os.path.join(os.path.dirname(folder), STRAY))
    store = mending.open()
    try:
        plan = store.plan(Clean(before=1 << 62))
        assert isinstance(plan, Plan)
        assert [step.path for step in plan.steps] == []
    finally:
        store.close()
    found = {one.rule for one in mending.findings(all_of_them=True)}
    mending.mend(*found)
    if mending.data.driver == "overlay2":
        mending.mend("DK10")  # that its short name leads elsewhere comes to light
    assert mending.findings(content=True) == []
    assert Path(mending.data.at(mending.record(image.layers[0], "cache-id"))).read_text() == STRAY


@pytest.mark.parametrize("file", ["cache-id", "mount-id"])
@pytest.mark.parametrize("names", ["another's", "nobody's"])
def test_a_folder_is_kept_whose_record_names_another_one(mending: Mending, file: str, names: str) -> None:
    image = mending.data.image({"a": b"a"}, {"b": b"b"}, names=["app:1"])
    identity = mending.data.container("worker", image)
    record = (
        mending.record(image.layers[1]) if file == "cache-id" else f"{layout.mounts(mending.data.driver)}/{identity}"
    )
    mending.data.write(f"{record}/{file}", (image.layers[0].cache_id if names == "another's" else STRAY).encode())
    store = mending.open()
    try:
        plan = store.plan(Clean(before=1 << 62))
        assert isinstance(plan, Plan)
        assert [step.path for step in plan.steps] == []
        assert "DK11" not in {one.rule for one in mending.findings(all_of_them=True) if not one.subject}
    finally:
        store.close()


def test_data_that_half_a_layer_names_stays_while_a_record_does_not_name_its_own(mending: Mending) -> None:
    image = mending.data.image({"a": b"a"}, names=["app:1"])
    lose(mending, mending.record(image.layers[0], "cache-id"))
    half = f"{layout.transactions(mending.data.driver)}/write-set-123"
    mending.data.write(f"{half}/cache-id", image.layers[0].cache_id.encode())
    store = mending.open()
    try:
        plan = store.plan(Clean(before=1 << 62))
        assert isinstance(plan, Plan)
        assert [step.path for step in plan.steps] == [half]
    finally:
        store.close()
    mending.mend("DK04", "DK15")
    assert mending.findings(content=True) == []


def test_one_folder_is_never_found_for_two_layers(mending: Mending) -> None:
    image = mending.data.image({"a": b"a"}, {"b": b"b"}, names=["app:1"])
    records = [mending.data.at(mending.record(layer, "cache-id")) for layer in image.layers]
    for layer in image.layers:
        lose(mending, mending.record(layer, "cache-id"))
    lose(mending, mending.folder(image.layers[0]))  # vfs has the files of the lower layer in the upper one's folder too
    mending.mend("DK04")
    found = [Path(path).read_text() for path in records if os.path.exists(path)]
    assert len(found) == len(set(found))


def test_names_come_back_beside_an_image_that_goes_for_a_pull(mending: Mending) -> None:
    image = mending.data.image({"a": b"a"}, names=["app:1"])
    tags = Path(mending.data.at(layout.tag_file(mending.data.driver)))
    tags.write_bytes(tags.read_bytes()[:-1])
    Path(mending.data.at(mending.file(image.layers[0], "a"))).write_bytes(b"b")
    made = mending.mend("DK01", "DK08", guess=True, content=True)
    assert ("DK02", layout.tag_file(mending.data.driver), "app:1") in made.reveals
    assert {one.rule for one in mending.findings()} == {"DK02"}
    assert mending.pullable(image)


# --- short names of overlay2 ------------------------------------------------------------


def stacked(data_root: Any) -> tuple[Mending, Image]:
    mending = Mending(data_root("overlay2"))
    image = mending.data.image({"a": b"a"}, {"b": b"b"}, {"c": b"c"}, names=["app:1"])
    mending.data.container("worker", image)
    return mending, image


@pytest.mark.parametrize("number", [1, pytest.param(0, marks=LONG), pytest.param(2, marks=LONG)])
@pytest.mark.parametrize("what", ["name", "link", "both", "list", "wrong link", "copied link"])
def test_short_names_are_put_right_as_they_were(data_root: Any, number: int, what: str) -> None:
    mending, image = stacked(data_root)
    whole = tree(mending.data.path)
    layer = image.layers[number]
    link = layout.link(layer.link)
    if what in ("name", "both"):
        mending.data.write(layout.link_file(layer.cache_id), b"")
    if what in ("link", "both", "wrong link", "copied link"):
        lose(mending, link)
    if what == "wrong link":
        os.symlink("../elsewhere/diff", mending.data.at(link))
    if what == "copied link":
        os.mkdir(mending.data.at(link))
    if what == "list":
        path = f"overlay2/{layer.cache_id}/lower"
        mending.data.write(path, b"") if number else mending.data.write(path, b"l/NONSENSE")
    mending.mend("DK10")
    assert mending.findings() == []
    assert tree(mending.data.path) == whole


def test_a_short_name_that_nothing_knows_is_made_anew(data_root: Any) -> None:
    mending = Mending(data_root("overlay2"))
    image = mending.data.image({"a": b"a"}, names=["app:1"])
    lose(mending, layout.link(image.layers[0].link))
    mending.data.write(layout.link_file(image.layers[0].cache_id), b"")
    mending.mend("DK10")
    name = Path(mending.data.at(layout.link_file(image.layers[0].cache_id))).read_text()
    assert os.readlink(mending.data.at(layout.link(name))) == f"../{image.layers[0].cache_id}/diff"
    assert mending.findings() == []


def test_a_short_name_that_is_another_layers_is_made_anew_and_listed(data_root: Any) -> None:
    mending, image = stacked(data_root)
    low, middle, _ = image.layers
    mending.data.write(layout.link_file(middle.cache_id), low.link.encode())
    lose(mending, layout.link(middle.link))
    found = [one for one in mending.findings() if one.subject == middle.chain_id]
    store = mending.open()
    plan = store.plan(Repair(findings=tuple(one.identity for one in found)))
    assert isinstance(plan, Plan)
    apply(store, plan, Journal.of(store.root))
    store.close()
    assert mending.findings() == []


def test_all_short_names_at_once(data_root: Any) -> None:
    mending, _ = stacked(data_root)
    whole = tree(mending.data.path)
    lose(mending, "overlay2/l")
    mending.mend("DK10")
    assert tree(mending.data.path) == whole


def with_records_that_name_each_others_folders(data_root: Any, number: int) -> tuple[Mending, Image]:
    mending, image = stacked(data_root)
    other = mending.data.image({"z": b"zz"}, names=["other:1"])
    for one, two in ((image.layers[number], other.layers[0]), (other.layers[0], image.layers[number])):
        mending.data.write(mending.record(one, "cache-id"), two.cache_id.encode())
    return mending, image


def test_lists_by_which_layers_are_mounted_are_not_bent_to_records_that_nothing_proves(data_root: Any) -> None:
    mending, image = with_records_that_name_each_others_folders(data_root, 0)
    found = [one for one in mending.findings() if one.rule == "DK10"]
    assert {one.subject for one in found} > {layer.chain_id for layer in image.layers[1:]}
    made = mending.plan("DK10")
    assert isinstance(made, Refusal)
    assert len([why for why in made.reasons if "does not prove to be" in why]) == len(found)


def test_a_layers_list_stays_where_a_container_names_its_folder(data_root: Any) -> None:
    mending = Mending(data_root("overlay2"))
    image = mending.data.image({"a": b"a"}, {"b": b"b"}, {"c": b"c"}, names=["app:1"])
    identity = mending.data.container("worker", image)
    middle = image.layers[1].cache_id
    mending.data.write(f"{layout.mounts('overlay2')}/{identity}/mount-id", middle.encode())
    assert [one.subject for one in mending.findings() if one.rule == "DK10"] == [middle]
    assert isinstance(mending.plan("DK10"), Refusal)


def test_nothing_is_written_into_a_folder_that_goes(data_root: Any) -> None:
    mending, _ = with_records_that_name_each_others_folders(data_root, 2)
    lose(mending, "containers")
    mending.data.write("containers/.keep", b"")
    found = {one.rule for one in mending.findings(content=True)}
    made = mending.mend(*found, content=True)
    gone = [step.path for step in made.steps if isinstance(step, Quarantine) and step.kind == "folder"]
    assert gone
    assert not [step.path for step in made.steps for folder in gone if step.path.startswith(f"{folder}/")]


def test_what_a_rebuilt_record_brings_to_light_is_told_and_does_no_harm(data_root: Any) -> None:
    mending, image = stacked(data_root)
    mending.data.write(mending.record(image.layers[0], "diff"), b"")
    mending.data.write(f"overlay2/{image.layers[1].cache_id}/lower", b"l/NONSENSE")
    mending.data.write(mending.record(image.layers[0], "tar-split.json.gz"), b"no gzip")
    plan = mending.mend("DK04")
    assert sum("comes to light" in reason.because for reason in plan.reasons) == 2
    assert {one.rule for one in mending.findings()} == {"DK09", "DK10"}


# --- what nothing needs ------------------------------------------------------------------


def test_orphans_and_leftovers_go_one_by_one(mending: Mending) -> None:
    image = mending.data.image({"a": b"a"}, names=["app:1"])
    orphan = mending.data.layer({"o": b"o"}, on=image.layers[0])
    container = mending.data.container("worker", image)
    mending.data.mapping("sha256:" + "5" * 64, "host/gone")
    whole = set(tree(mending.data.path))
    lose(mending, layout.container(container))
    above = layout.layer_data_folder(mending.data.driver)
    mending.data.write(f"{above}/{STRAY}/file", b"stray")
    mending.data.write(f"{layout.transactions(mending.data.driver)}/write-set-1/cache-id", b"cd" * 32)
    mending.data.write(f"{above}/{'cd' * 32}/file", b"half")
    plan = mending.mend("DK11", "DK12", "DK13", "DK15", "DK16")
    assert mending.findings(all_of_them=True) == []
    left = set(tree(mending.data.path))
    assert not any(STRAY in path or "cd" * 32 in path or orphan.cache_id in path for path in left)
    assert left < whole
    assert plan.images == ()


def test_rules_that_no_repair_is_for_are_answered_in_words(mending: Mending) -> None:
    mending.data.image({"a": b"a"})
    refusal = mending.plan("DK20")
    assert isinstance(refusal, Refusal)
    assert "orlop rm" in refusal.reasons[0]
