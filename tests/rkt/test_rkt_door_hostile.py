"""An ACI store that somebody made to harm whoever looks at it: nothing fails, nothing outside is read."""

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orlop.errors import OrlopError
from orlop.progress import Silent
from orlop.records import Facet, Key
from orlop.rkt import layout
from orlop.rkt.catalogue import ImageRow
from orlop.rkt.imagefiles import parsed
from orlop.rkt.model import State
from orlop.rkt.qlcatalogue import LOG
from orlop.samples.rkt import NOW, AciRoot
from tests.examples import examples
from tests.rkt.rkt_stores import everything, opened, settled

CANARY = "canary-in-the-coal-mine-4711"

texts = st.text(max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)
members = st.sampled_from(
    ["acKind", "acVersion", "name", "labels", "app", "dependencies", "annotations", "pathWhitelist", "NAME", "ſize"]
)


def look(path: str) -> str:
    """Everything that the door says of a store."""
    said: list[object] = []
    with opened(path) as store:
        snapshot = store.rows()
        said.append(snapshot)
        for row in snapshot.rows:
            assert store.model.images[row.id]
            said += [store.detail(row.key), store.facet(Facet.MAPPINGS, row.key), store.facet(Facet.REMOTES, row.key)]
            with suppress(OrlopError):
                said.append(store.why(row.id))
        said.append(store.facet(Facet.REMOTES, None))
        said += list(store.check(None, content=True, progress=Silent()))
        said.append(store.refresh(None))
        for word in ("", "..", "../outside/secret", "sha512-ab", "\0", "\udcff", "/etc/passwd"):
            with suppress(OrlopError):
                said.append(store.find(word))
            with suppress(OrlopError):
                said.append(store.why(word))
    return repr(said)


@settings(max_examples=examples(0.5))
@given(st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
def test_no_bytes_make_parsing_a_manifest_fail(data: bytes) -> None:
    found = parsed(data)
    assert found.state in (State.EMPTY, State.MALFORMED, State.GOOD)
    assert bool(found.why) == (found.state is not State.GOOD)


@settings(max_examples=examples(0.5))
@given(st.dictionaries(members, json_values, max_size=6))
def test_manifests_of_nearly_the_right_shape_are_good_or_say_why(document: dict[str, object]) -> None:
    whole = {"acKind": "ImageManifest", "acVersion": "0.8.11", "name": "example.com/app", **document}
    found = parsed(json.dumps(whole).encode())
    assert found.state in (State.MALFORMED, State.GOOD)
    assert (found.parsed is not None) == (found.state is State.GOOD)


@settings(max_examples=examples(0.25))
@given(st.lists(st.tuples(texts, texts, st.integers(-(2**63), 2**63 - 1)), max_size=4))
def test_rows_may_hold_anything(rows: list[tuple[str, str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = AciRoot.create(f"{folder}/rkt", catalogue="sqlite")
        image = root.image("example.com/app")
        for key, name, size in rows:
            root.row(
                ImageRow(key=key, name=name, imported=NOW, last_used=NOW, latest=True, size=size, tree_size=size // 2)
            )
            root.remote(name, key, max_age=size)
        with opened(settled(root)) as store:
            assert {row.id for row in store.rows().rows} >= {image.key}
        look(root.at(""))


@settings(max_examples=examples(0.3))
@given(st.data())
def test_a_database_with_any_bytes_changed_is_read_or_refused(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = AciRoot.create(f"{folder}/rkt", catalogue=data.draw(st.sampled_from(["ql", "sqlite"])))
        image = root.image("example.com/app", needs=[root.image("example.com/base")])
        settled(root)
        path = Path(root.at(layout.QL if root.catalogue == "ql" else layout.SQLITE))
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
        with opened(root.at("")) as store:
            assert image.key in store.model.images
        look(root.at(""))


@settings(max_examples=examples(0.15))
@given(st.binary(max_size=200))
def test_any_log_beside_the_database_is_only_told(log: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for catalogue, path in (("ql", LOG), ("sqlite", layout.SQLITE + "-wal")):
            root = AciRoot.create(f"{folder}/{catalogue}", catalogue=catalogue)
            root.image("example.com/app")
            settled(root)
            root.write(path, log)
            look(root.at(""))


def test_links_pipes_and_folders_in_every_place_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text(CANARY)
    places = [
        layout.QL,
        LOG,
        "db",
        "blob",
        "blob/sha512",
        "imageManifest",
        "imagelocks",
        "tmp",
        "tree",
        "BLOB",
        "MANIFEST",
        "SHARD",
        "TREE/image",
        "TREE/hash",
        "TREE/rendered",
        "TREE",
    ]
    for number, place in enumerate(places):
        for kind in ("file link", "folder link", "pipe", "folder"):
            root = AciRoot.create(str(tmp_path / f"{number}-{kind}"))
            image = root.image("example.com/app")
            tree = root.tree(image, {"a": b"1"}, hash="x")
            cas = settled(root)
            names = {
                "BLOB": layout.blob(image.key),
                "MANIFEST": layout.manifest(image.key),
                "SHARD": os.path.dirname(layout.blob(image.key)),
            }
            path = Path(cas, names.get(place, place.replace("TREE", layout.tree(tree))))
            if path.exists():
                path.rename(tmp_path / f"{number}-{kind}-moved")
            if kind == "file link":
                path.symlink_to(outside / "secret")
            elif kind == "folder link":
                path.symlink_to(outside)
            elif kind == "pipe":
                os.mkfifo(path)
            else:
                path.mkdir()
            before = everything(cas)
            assert CANARY not in look(cas), (place, kind)
            assert everything(cas) == before


def test_a_manifest_of_a_hundred_megabytes_is_not_read(tmp_path: Path) -> None:
    root = AciRoot.create(str(tmp_path / "rkt"))
    image = root.image("example.com/app")
    cas = settled(root)
    os.truncate(root.at(layout.manifest(image.key)), 100 << 20)
    with opened(cas) as store:
        assert store.model.images[image.key].manifest.state is State.TOO_LARGE
        assert store.model.images[image.key].manifest.raw is None
        assert store.detail(Key("", image.key, None)).config == {}


def test_an_archive_that_is_no_archive_under_its_true_key_is_only_unparsed(tmp_path: Path) -> None:
    root = AciRoot.create(str(tmp_path / "rkt"))
    manifest = b'{"acKind":"ImageManifest","acVersion":"0.8.11","name":"example.com/app"}'
    for number, data in enumerate((b"\0" * 1024, b"\x1f\x8b" + b"x" * 600, b"ustar" * 300)):
        image = root.keep(data, manifest, "example.com/app")
        root.row(
            ImageRow(
                key=image.key,
                name="example.com/app",
                imported=NOW + number,
                last_used=NOW,
                latest=False,
                size=image.size,
                tree_size=0,
            )
        )
    with opened(settled(root)) as store:
        assert [f for f in store.check(None, content=True, progress=Silent()) if f.rule == "RK02"] == []


@pytest.mark.parametrize("name", ["x" * 255, "\udcff\udcfe", "a\nb", "sha512-" + "0" * 64, ".tmp-1", "..."])
def test_foreign_names_anywhere_are_told_and_harm_nothing(tmp_path: Path, name: str) -> None:
    root = AciRoot.create(str(tmp_path / "rkt"))
    image = root.image("example.com/app")
    cas = settled(root)
    folders = ("", "blob", "blob/sha512", os.path.dirname(layout.blob(image.key)), "tree", "tmp", "imagelocks", "db")
    for folder in folders:
        Path(cas, folder, name).write_bytes(b"x")
    with opened(cas) as store:
        assert [row.id for row in store.rows().rows] == [image.key]
        found = list(store.check(None, content=True, progress=Silent()))
        assert not [finding for finding in found if finding.severity.is_damage]
        assert {finding.rule for finding in found} == {"RK13"}
        assert len(found) == len(folders)
