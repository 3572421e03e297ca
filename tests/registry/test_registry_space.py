"""Where the bytes of a registry's storage are, and what each manifest and repository has to itself."""

import os
import subprocess
from pathlib import Path

import pytest

from orlop import kinds
from orlop.progress import Silent
from orlop.registry import layout
from orlop.registry.layout import MODERN
from orlop.samples.company_registry import make_registry
from orlop.samples.registry import RegistryRoot
from orlop.space import ImageSpace, Part, Space, Use


@pytest.fixture
def root(tmp_path: Path) -> RegistryRoot:
    return RegistryRoot.create(str(tmp_path / "registry"))


def measured(path: str) -> Space:
    """The space of a registry, which must add up to what du says."""
    store = kinds.open(path)
    found = store.space(Silent())
    store.close()
    ran = subprocess.run(["du", "--block-size=1", "-s", "-x", path], capture_output=True, check=True)
    assert found.disk == sum(part.bytes for part in found.parts) == int(ran.stdout.split()[0])
    for part in (inner for top in found.parts for inner in top.walk()):
        assert not part.parts or sum(inner.bytes for inner in part.parts) == part.bytes
    return found


def parts(found: Space) -> dict[str, Part]:
    return {part.title: part for top in found.parts for part in top.walk()}


def image(found: Space, repository: str, digest: str) -> ImageSpace:
    return next(one for one in found.images if (one.key.scope, one.key.id) == (repository, digest))


def test_a_repository_has_what_only_it_needs(root: RegistryRoot) -> None:
    base = root.image("library/base", {"base": b"b" * 9000}, tags=["1"])
    app = root.image("team/app", {"app": b"a"}, on=base, tags=["v1"])

    found = measured(root.path)

    shared = next(part for title, part in parts(found).items() if title == "shared by repositories")
    assert [part.title for part in shared.parts] == [f"blob {base.layers[0].digest}"]
    assert shared.parts[0].remark == "needed by 2 images: library/base:1, team/app:v1"
    mine = parts(found)["repository team/app"]
    assert {part.title for part in mine.parts} == {
        f"blob {digest}" for digest in (app.digest, app.config, app.layers[1].digest)
    }
    assert mine.remark == f"its own; {shared.bytes} bytes more it shares with others"
    assert image(found, "team/app", app.digest).own == mine.bytes
    assert image(found, "team/app", app.digest).bytes == mine.bytes + shared.bytes


def test_a_manifest_in_two_repositories_is_free_with_neither(root: RegistryRoot) -> None:
    one = root.image("team/one", {"app": b"a"}, tags=["v1"])
    assert root.image("team/two", {"app": b"a"}, tags=["v1"]).digest == one.digest

    found = measured(root.path)

    assert [image(found, name, one.digest).own for name in ("team/one", "team/two")] == [0, 0]


def test_parts_of_an_index_go_with_it_unless_they_have_a_tag(root: RegistryRoot) -> None:
    left = root.image("team/multi", {"a": b"a"}, platform="linux/arm64")
    right = root.image("team/multi", {"b": b"b"}, tags=["amd64"])
    index = root.index("team/multi", [left, right], tags=["all"])

    found = measured(root.path)

    blobs = parts(found)
    sizes = [
        blobs[f"blob {digest}"].bytes for digest in (index.digest, left.digest, left.config, left.layers[0].digest)
    ]
    assert image(found, "team/multi", index.digest).own == sum(sizes)
    assert image(found, "team/multi", left.digest).own == 0  # the index needs it
    assert image(found, "team/multi", index.digest).names == ("team/multi:all",)


def test_what_nothing_needs_is_told_apart(root: RegistryRoot) -> None:
    root.image("team/app", {"a": b"a"}, tags=["v1"])
    orphan = root.blob(b"orphan")
    root.serve("team/app", orphan)
    upload = root.upload("team/app", "0f6a1c2e-5b7d-4c3a-9e8f-1a2b3c4d5e6f", b"u" * 9000, started=None)
    root.write(f"{MODERN.blobs}/stray", b"x")
    root.write("beside", b"x")
    root.write(".orlop/changes/20260101T000000.000000000Z-00000000/000001.old", b"q")
    root.settle()

    found = measured(root.path)

    by_path = {part.path: part for part in parts(found).values()}
    blob = parts(found)[f"blob {orphan}"]
    assert (blob.use, blob.remark) == (
        Use.UNREFERENCED,
        "no manifest of any repository needs it; team/app links it",
    )
    assert (by_path[upload].use, by_path[upload].remark) == (Use.UPLOADS, "to team/app")
    assert by_path[f"{MODERN.blobs}/stray"].use is Use.OTHER
    assert by_path["beside"].use is Use.OTHER
    assert found.of(Use.QUARANTINE) > 0


def test_a_new_blob_may_belong_to_a_push(root: RegistryRoot) -> None:
    orphan = root.blob(b"orphan")

    blob = parts(measured(root.path))[f"blob {orphan}"]

    assert blob.remark.endswith("; younger than a day, it may belong to a push under way")


def test_blobs_of_a_manifest_that_cannot_be_read_are_kept(root: RegistryRoot) -> None:
    app = root.image("team/app", {"a": b"a"}, tags=["v1"])
    root.write(MODERN.blob_data(app.digest), b"no manifest")

    found = measured(root.path)

    layer = parts(found)[f"blob {app.layers[0].digest}"]
    assert layer.use is Use.CONTENT
    assert "what it needs cannot be known" in layer.remark
    assert (image(found, "team/app", app.digest).bytes, image(found, "team/app", app.digest).own) == (None, None)


def test_nothing_is_free_while_a_part_cannot_be_followed(root: RegistryRoot) -> None:
    app = root.image("team/app", {"a": b"a"}, tags=["v1"])
    os.symlink("team", root.at(f"{MODERN.repositories}/link"))

    assert image(measured(root.path), "team/app", app.digest).own == 0


def test_a_caches_record_is_its_own(root: RegistryRoot) -> None:
    root.image("team/app", {"a": b"a"}, tags=["v1"])
    root.write(layout.SCHEDULER, b"{}")

    assert parts(measured(root.path))["what the cache knows"].path == layout.SCHEDULER


def test_the_damaged_sample_adds_up(tmp_path: Path) -> None:
    found = measured(make_registry(str(tmp_path / "sample")).path)

    assert found.differences == ()
    owns = [one.own for one in found.images if one.own is not None]
    assert owns == sorted(owns, reverse=True)
