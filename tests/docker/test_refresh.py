"""A re-read of what changed shows exactly what opening the store anew shows."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orlop import kinds
from orlop.docker import layout
from orlop.docker.store import DockerStore
from orlop.progress import Silent
from orlop.records import Facet
from orlop.samples import DataRoot, Image
from orlop.store import Store
from tests.examples import examples

DRIVER = "overlay2"


class World:
    """A store that changes, and what a watch would have told of it."""

    def __init__(self, path: str) -> None:
        self.data = DataRoot.create(path)
        self.images = [self.data.image({"base": b"x"}, names=["base:1"])]
        self.hints: list[str] = []
        self.count = 0

    def touch(self, path: str) -> None:
        self.hints.append(path)

    def pull(self) -> None:
        self.count += 1
        made = self.data.image({"f": b"%d" % self.count}, on=self.images[self.count % len(self.images)], local=True)
        self.images.append(made)
        self._told(made)

    def _told(self, made: Image) -> None:
        self.touch(layout.config(DRIVER, made.id))
        self.touch(layout.metadata(DRIVER, made.id))
        self.touch(layout.layer(DRIVER, made.layers[-1].chain_id))

    def change(self, how: "Callable[[World], None]") -> None:
        """Change something, with a hint for each folder of layer data that came or went meanwhile."""
        before = set(os.listdir(self.data.at("overlay2")))
        how(self)
        self.hints += [f"overlay2/{name}" for name in before ^ set(os.listdir(self.data.at("overlay2")))]

    def tag(self) -> None:
        self.count += 1
        self.data.tag(f"app:{self.count}", self.images[self.count % len(self.images)].id)
        self.touch(layout.tag_file(DRIVER))

    def spoil(self) -> None:
        path = layout.config(DRIVER, self.images[-1].id)
        if os.path.exists(self.data.at(path)):
            Path(self.data.at(path)).write_bytes(b"")
            self.touch(path)

    def lose_config(self) -> None:
        path = layout.config(DRIVER, self.images[-1].id)
        if os.path.exists(self.data.at(path)):
            os.unlink(self.data.at(path))
            self.touch(path)

    def lose_layer(self) -> None:
        path = layout.layer(DRIVER, self.images[-1].layers[-1].chain_id)
        shutil.rmtree(self.data.at(path), ignore_errors=True)
        self.touch(path)

    def lose_data(self) -> None:
        path = f"overlay2/{self.images[-1].layers[-1].cache_id}"
        shutil.rmtree(self.data.at(path), ignore_errors=True)
        self.touch(path)

    def map(self) -> None:
        layer = self.images[-1].layers[-1]
        digest = self.data.mapping(layer, "localhost:5000/x")
        self.touch(layout.v2_list(DRIVER, layer.diff_id))
        self.touch(layout.v2_reverse(DRIVER, digest))

    def contain(self) -> None:
        self.count += 1
        made = self.data.container(f"c{self.count}", self.images[0])
        self.touch(layout.container(made))
        self.touch(f"{layout.mounts(DRIVER)}/{made}")

    def untag(self) -> None:
        repositories = self.names()
        for tags in repositories.values():
            if tags:
                del tags[min(tags)]
                break
        self.rename(repositories)

    def retag(self) -> None:
        """Let a name lead to another image, to nothing, and to no digest, in turn."""
        self.count += 1
        repositories = self.names()
        targets = (self.images[self.count % len(self.images)].id, "sha256:" + "0" * 64, "nothing")
        for tags in repositories.values():
            for name in tags:
                tags[name] = targets[self.count % 3]
                break
        self.rename(repositories)

    def names(self) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = json.loads(Path(self.data.at(layout.tag_file(DRIVER))).read_bytes())[
            "Repositories"
        ]
        return found

    def rename(self, repositories: dict[str, dict[str, str]]) -> None:
        spelled = json.dumps({"Repositories": repositories}, separators=(",", ":"))
        Path(self.data.at(layout.tag_file(DRIVER))).write_text(spelled)
        self.touch(layout.tag_file(DRIVER))

    def lose_metadata(self) -> None:
        path = layout.metadata(DRIVER, self.images[-1].id)
        shutil.rmtree(self.data.at(path), ignore_errors=True)
        self.touch(path)

    def lose_parent(self) -> None:
        path = layout.layer(DRIVER, self.images[-1].layers[-1].chain_id)
        Path(self.data.at(f"{path}/parent")).unlink(missing_ok=True)
        self.touch(path)

    def discard(self) -> None:
        """Remove the container that was made last."""
        for path in (layout.CONTAINERS, layout.mounts(DRIVER)):
            for name in sorted(os.listdir(self.data.at(path)))[:1]:
                shutil.rmtree(self.data.at(f"{path}/{name}"))
                self.touch(f"{path}/{name}")

    def leave_debris(self) -> None:
        path = f"{layout.configs(DRIVER)}/.tmp-{self.count}"
        Path(self.data.at(path)).write_bytes(b"x")
        self.touch(path)


CHANGES: list[Callable[[World], None]] = [
    World.pull,
    World.tag,
    World.spoil,
    World.lose_config,
    World.lose_layer,
    World.lose_data,
    World.map,
    World.contain,
    World.untag,
    World.retag,
    World.lose_metadata,
    World.lose_parent,
    World.discard,
    World.leave_debris,
]


def seen(store: Store) -> tuple[object, ...]:
    snapshot = store.rows()
    assert isinstance(store, DockerStore)
    model = replace(store.model, seen_at=0)
    return (
        {name: getattr(model, name) for name in type(model).__slots__ if name not in ("debris", "unreadable")},
        snapshot.total_size,
        snapshot.rows,
        snapshot.images,
        snapshot.notes,
        store.facet(Facet.MAPPINGS, None),
        tuple(store.check(None, content=False, progress=Silent())),
    )


@settings(max_examples=examples(0.6), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(st.sampled_from(CHANGES), min_size=1, max_size=4), min_size=1, max_size=4))
def test_a_refresh_by_hints_equals_a_fresh_opening(rounds: list[list[Callable[[World], None]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(os.path.join(folder, "docker"))
        store = kinds.open(world.data.path)
        for changes in rounds:
            world.hints.clear()
            for change in changes:
                world.change(change)
            before = store.rows()
            delta = store.refresh(list(world.hints))
            fresh = kinds.open(world.data.path)
            assert seen(store) == seen(fresh)
            fresh.close()
            was, now = ({row.key: row for row in rows} for rows in (before.rows, delta.snapshot.rows))
            assert delta.added == frozenset(now.keys() - was.keys())
            assert delta.removed == frozenset(was.keys() - now.keys())
            assert delta.changed == {key for key in now.keys() & was.keys() if now[key] != was[key]}
        store.close()


def test_a_refresh_without_change_gives_an_empty_delta(tmp_path: Path) -> None:
    world = World(str(tmp_path / "docker"))
    store = kinds.open(world.data.path)
    assert not store.refresh([])
    assert not store.refresh(None)


def test_a_folder_as_hint_reads_all_of_it_again(tmp_path: Path) -> None:
    world = World(str(tmp_path / "docker"))
    store = kinds.open(world.data.path)
    world.spoil()
    assert store.refresh([layout.configs(DRIVER)]).changed


def test_only_what_is_named_is_read_again(tmp_path: Path) -> None:
    world = World(str(tmp_path / "docker"))
    world.pull()
    store = kinds.open(world.data.path)
    assert isinstance(store, DockerStore)
    before = {image.id: image for image in store.model.images.values() if image.parent is None}
    world.tag()
    store.refresh([layout.tag_file(DRIVER)])
    assert all(store.model.images[identity] is image for identity, image in before.items())


def test_every_watched_folder_exists_and_covers_what_changes(tmp_path: Path) -> None:
    world = World(str(tmp_path / "docker"))
    watched = kinds.open(world.data.path).watched()
    assert all(os.path.isdir(world.data.at(path)) for path in watched)
    for change in (World.tag, World.pull, World.map, World.contain):
        change(world)
    assert {os.path.dirname(path) for path in world.hints} <= set(watched)
