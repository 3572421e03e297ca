"""`why` answers for any digest, name and path of a registry's storage."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from orlop import kinds
from orlop.apply import apply
from orlop.errors import NotFound
from orlop.intent import RemoveRepository
from orlop.journal import Journal
from orlop.plan import Plan
from orlop.records import Why
from orlop.registry import layout
from orlop.registry.layout import MODERN
from orlop.samples.registry import Pushed, RegistryRoot
from orlop.store import Statement

UPLOAD = "0f6a1c2e-5b7d-4c3a-9e8f-1a2b3c4d5e6f"


@dataclass
class Sample:
    root: RegistryRoot
    app: Pushed
    old: Pushed
    orphan: str

    def why(self, subject: str) -> Why:
        store = kinds.open(self.root.path)
        try:
            return store.why(subject)
        finally:
            store.close()

    def filled(self, text: str) -> str:
        return text.format(
            root=self.root.path,
            manifest=self.app.digest[7:],
            config=self.app.config[7:],
            layer=self.app.layers[0].digest[7:],
            diff=self.app.layers[0].diff_id[7:],
            old=self.old.digest[7:],
            orphan=self.orphan[7:],
        )


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    root = RegistryRoot.create(str(tmp_path_factory.mktemp("why") / "registry"))
    old = root.image("team/app", {"old": b"o"}, tags=["v1"])
    app = root.image("team/app", {"app": b"a"}, tags=["v1"])
    orphan = root.blob(b"orphan")
    root.upload("team/app", UPLOAD, b"data", started="2026-08-01T10:00:00Z")
    root.write(f"{MODERN.tags('team/app')}/stray", b"x")
    root.write("beside/file", b"x")
    root.write(".orlop/incoming/abcdef12/file", b"x")
    root.make(f"{MODERN.blobs}/sha256/00/{'0' * 64}")
    return Sample(root, app, old, orphan)


V2 = "docker/registry/v2"
TABLE = [
    ("team/app:v1", "tag of manifest"),
    ("team/app", "repository"),
    ("team/app@sha256:{manifest:.9}", "manifest: image"),
    ("{manifest}", "manifest: image"),
    ("sha256:{manifest}", "manifest: image"),
    ("{config:.12}", "config of an image"),
    ("{layer:.12}", "layer"),
    ("{diff}", "diff id of a layer"),
    ("{old}", "manifest: image"),
    ("{orphan}", "blob that no manifest names"),
    (UPLOAD, "upload in progress"),
    (UPLOAD[:14], "upload in progress"),
    (f"{{root}}/{V2}/blobs/sha256", "folder of blobs"),
    (f"{V2}/repositories/team/app/_manifests/tags/v1/current/link", "tag of manifest"),
    (f"{V2}/repositories/team/app/_manifests/tags/v1", "tag of manifest"),
    (f"{V2}/repositories/team/app/_manifests/tags/v1/index/sha256/{{old}}", "what tag team/app:v1 means or once meant"),
    (f"{V2}/repositories/team/app/_manifests/tags/stray", "foreign file"),
    (
        f"{V2}/repositories/team/app/_manifests/revisions/sha256/{{manifest}}/link",
        "link by which team/app knows a manifest",
    ),
    (f"{V2}/repositories/team/app/_layers/sha256/{{layer}}", "link by which team/app serves a blob"),
    (f"{V2}/repositories/team/app/_layers/sha256/{{layer:.12}}", "link by which team/app serves a blob"),
    (f"{V2}/repositories/team/app/_layers", "repository"),
    (f"{V2}/repositories/team/app/_uploads/{UPLOAD}/data", "upload in progress"),
    (f"{V2}/repositories/team", "folder of repositories"),
    (f"{V2}/repositories", "folder of repositories"),
    (f"{V2}/blobs/sha256/00/{'0' * 64}", "empty folder of blobs"),
    (V2, "the registry's storage"),
    ("docker", "the registry's storage"),
    ("{root}", "the registry's storage"),
    ("beside/file", "no part of the registry"),
    (".orlop/incoming/abcdef12", "an import that waits to be taken in"),
]


@pytest.mark.parametrize(("subject", "is_a"), TABLE)
def test_why_knows_what_it_is(sample: Sample, subject: str, is_a: str) -> None:
    assert any(one.startswith(is_a) for one in sample.why(sample.filled(subject)).is_a)


def test_a_blob_is_known_by_its_path(sample: Sample) -> None:
    for digest in (sample.app.digest, sample.app.config, sample.app.layers[0].digest, sample.orphan):
        path = MODERN.blob_data(digest)
        for spelled in (path, f"{sample.root.path}/{path}", os.path.dirname(path), os.path.dirname(path)[:-40]):
            assert sample.why(spelled).subject == digest


def test_what_a_tag_once_meant_is_kept_by_its_revision_only(sample: Sample) -> None:
    found = sample.why(sample.old.digest)

    assert [chain[0].what for chain in found.kept_by] == [f"manifest {sample.old.digest} of team/app, which has no tag"]
    assert sample.why("team/app:v1").related["meant before"] == sample.old.digest


def test_nothing_keeps_an_orphan(sample: Sample) -> None:
    assert sample.why(sample.orphan).remark == "nothing keeps it: `orlop clean` would remove it"


def test_cannot_tell_is_said_where_it_is_so(tmp_path: Path) -> None:
    root = RegistryRoot.create(str(tmp_path / "registry"))
    app = root.image("team/app", {"app": b"a"}, tags=["v1"])
    orphan = root.blob(b"orphan")
    root.write(MODERN.blob_data(app.digest), b"no manifest")
    os.symlink("team", root.at(f"{MODERN.repositories}/link"))
    store = kinds.open(root.path)

    layer, blob = store.why(app.layers[0].digest), store.why(orphan)

    store.close()
    assert layer.remark.startswith("it stays: team/app links it, and its manifest")
    assert blob.remark.startswith("cannot tell whether anything needs it: ")


def test_a_caches_record_is_known(tmp_path: Path) -> None:
    root = RegistryRoot.create(str(tmp_path / "registry"))
    root.image("team/app", {"app": b"a"}, tags=["v1"])
    root.write(layout.SCHEDULER, b"{}")
    store = kinds.open(root.path)

    assert store.why(layout.SCHEDULER).is_a == ("the record of what a cache keeps until when",)
    store.close()


@pytest.mark.parametrize(
    "subject", ["nothing", "0" * 63 + "1", "/etc/passwd", "..", "team/none", f"{V2}/none", "a\0b", "team/app:v9"]
)
def test_nothing_is_said_of_what_is_not_there(sample: Sample, subject: str) -> None:
    with pytest.raises(NotFound):
        sample.why(subject)


def test_what_a_change_moved_away_is_still_known(tmp_path: Path) -> None:
    root = RegistryRoot.create(str(tmp_path / "registry"))
    root.image("team/app", {"app": b"a"}, tags=["v1"])
    root.image("team/other", {"b": b"b"}, tags=["v1"])
    store = kinds.open(root.path)
    plan = store.plan(RemoveRepository(names=("team/app",)))
    assert isinstance(plan, Plan), plan
    apply(store, plan, Journal.of(store.root), statement=Statement(offline=True))
    store.refresh()

    found = store.why(f"{MODERN.repositories}/team/app/_manifests/tags/v1")

    store.close()
    assert found.is_a == ("no longer in the store",)
    assert "`orlop undo PATH` brings it back" in found.related["once"]
