"""Several faults at once: check, repair all, check again; what was sound is byte for byte what it was."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from orlop.finding import Severity
from orlop.intent import Clean, Repair
from orlop.plan import Refusal
from orlop.rkt import layout
from orlop.rkt.catalogue import ImageRow
from orlop.samples.rkt import NOW, Aci, AciRoot
from tests.rkt.plan_stores import LATER, Changing, changing, files
from tests.rkt.test_rkt_door_guard import pod

ROUNDS = 3
"""Repairs that are made at most: one may bring another fault to light."""

Fault = Callable[[AciRoot, Aci, random.Random], None]


def _blob(root: AciRoot, image: Aci) -> Path:
    return Path(root.at(layout.blob(image.key)))


def other_bytes(root: AciRoot, image: Aci, chance: random.Random) -> None:
    data = bytearray(_blob(root, image).read_bytes())
    data[chance.randrange(len(data))] ^= 0xFF
    _blob(root, image).write_bytes(data)


def cut(root: AciRoot, image: Aci, chance: random.Random) -> None:
    os.truncate(_blob(root, image), chance.randrange(image.size))


def no_archive(root: AciRoot, image: Aci, chance: random.Random) -> None:
    _blob(root, image).unlink()


def no_row(root: AciRoot, image: Aci, chance: random.Random) -> None:
    root.forget(image)


def no_manifest(root: AciRoot, image: Aci, chance: random.Random) -> None:
    os.unlink(root.at(layout.manifest(image.key)))


def cut_manifest(root: AciRoot, image: Aci, chance: random.Random) -> None:
    os.truncate(root.at(layout.manifest(image.key)), chance.randrange(40))


def wrong_row(root: AciRoot, image: Aci, chance: random.Random) -> None:
    name = chance.choice([image.name, "example.com/wrong"])
    size = chance.choice([0, 1, image.size + 1])
    row = ImageRow(key=image.key, name=name, imported=NOW, last_used=NOW, latest=True, size=size, tree_size=0)
    root.row(row)


def half_a_tree(root: AciRoot, image: Aci, chance: random.Random) -> None:
    if os.path.exists(root.at(layout.manifest(image.key))):
        root.tree(image, {"a": b"1"}, rendered=chance.random() < 0.5, hash=chance.choice(["", "sha512-" + "0" * 64]))


def lost_record(root: AciRoot, image: Aci, chance: random.Random) -> None:
    root.remote(f"https://example.com/{chance.random()}.aci", f"sha512-{chance.getrandbits(256):064x}")


def leftover(root: AciRoot, image: Aci, chance: random.Random) -> None:
    root.write(f"tmp/{chance.getrandbits(60)}", b"half of it")


FAULTS: tuple[Fault, ...] = (
    other_bytes,
    cut,
    no_archive,
    no_row,
    no_manifest,
    cut_manifest,
    wrong_row,
    half_a_tree,
    lost_record,
    leftover,
)


SPOILS: dict[Fault, str] = {
    **dict.fromkeys((other_bytes, cut, no_archive), "archive"),
    **dict.fromkeys((no_manifest, cut_manifest), "manifest"),
}
"""What a fault spoils so that no other of the kind can follow."""


def wrong(change: Changing) -> set[tuple[str, str, str]]:
    found = [one for one in change.check(content=True) if one.severity <= Severity.SPACE]
    return {one.identity for one in found if one.rule != "RK11"}  # of an image below, which may be taken away


@pytest.mark.parametrize("seed", range(16))
def test_after_repairs_and_a_clean_nothing_is_wrong_and_nothing_good_was_touched(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    root = AciRoot.create(str(tmp_path / "rkt"), catalogue=chance.choice(["ql", "sqlite"]))
    pod(root, "run", 1)
    base = root.image("example.com/base")
    images = [root.image(f"example.com/app{number}", needs=[base] if number % 2 else []) for number in range(6)]
    for image in images:
        root.remote(f"https://{image.name}.aci", image)
    broken = chance.sample(images, 4)
    applied: set[tuple[Aci, Fault | str]] = set()
    for _ in range(chance.randrange(2, 7)):
        image, fault = chance.choice(broken), chance.choice(FAULTS)
        if (image, SPOILS.get(fault, fault)) not in applied:
            applied.add((image, SPOILS.get(fault, fault)))
            fault(root, image, chance)
    sound = [image.key for image in (*images, base) if image not in broken]
    with changing(root) as change:
        before = files(change.path)
        kept = {path: entry for path, entry in before.items() if any(key in path for key in sound)}
        rows = {row.key: row for row in change.rows.images}
        changes = 0
        for _ in range(ROUNDS):
            found = wrong(change)
            plan = change.store.plan(Repair(findings=tuple(found))) if found else None
            if plan is None or isinstance(plan, Refusal):
                break
            change.apply(plan.intent)
            changes += 1
        changes += change.apply(Clean(before=LATER)).steps > 0
        assert wrong(change) == set(), applied
        after = files(change.path)
        assert {path: after.get(path) for path in kept} == kept
        assert {key: {row.key: row for row in change.rows.images}.get(key) for key in sound} == {
            key: rows[key] for key in sound
        }
        for _ in range(changes):
            change.undo()
        assert files(change.path) == before
