"""`why` answers for any digest, id, name and path of a Docker data root."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from orlop.apply import apply
from orlop.docker import layout
from orlop.docker.store import DockerStore
from orlop.errors import Ambiguous, NotFound
from orlop.fs import Root
from orlop.intent import Remove
from orlop.journal import Journal
from orlop.plan import Plan
from orlop.records import Key, Why
from orlop.samples import DataRoot
from orlop.samples.docker import Image

_BUILDERS = "a" * 24 + "z"


def opened(path: str) -> DockerStore:
    return DockerStore(Root.open(path), "overlay2")


@dataclass
class Sample:
    data: DataRoot
    base: Image
    app: Image
    container: str
    mount: str
    blob: str

    def why(self, subject: str) -> Why:
        store = opened(self.data.path)
        try:
            return store.why(subject)
        finally:
            store.close()

    def filled(self, text: str) -> str:
        layer = self.base.layers[0]
        return text.format(
            root=self.data.path,
            image=self.app.id[7:],
            chain=layer.chain_id[7:],
            cache=layer.cache_id,
            link=layer.link,
            diff=layer.diff_id[7:],
            blob=self.blob[7:],
            container=self.container,
            mount=self.mount,
        )


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    data = DataRoot.create(str(tmp_path_factory.mktemp("why") / "docker"))
    base = data.image({"base": b"b"}, names=["base:1"])
    app = data.image({"app": b"a"}, on=base, names=["app:1"])
    blob = data.mapping(base.layers[0], "example.com/base")
    container = data.container("worker", app)
    mount = Path(data.at(f"{layout.mounts('overlay2')}/{container}/mount-id")).read_text()
    data.layer({"left": b"l"})
    data.write(layout.BUILD_CACHE, b"\0" + _BUILDERS.encode() + b"\0")
    data.write(f"overlay2/{_BUILDERS}/diff/file", b"c")
    data.write(f"{layout.transactions('overlay2')}/write-set-1/diff", b"x")
    data.write(f"{layout.configs('overlay2')}/.tmp-x1", b"x")
    data.write("volumes/db/_data/file", b"x")
    data.write("image/vfs/imagedb/content/sha256/x", b"x")
    data.write("vfs/dir/x/file", b"x")
    data.write("stray", b"x")
    data.write(".orlop/incoming/abcdef12/file", b"x")
    return Sample(data, base, app, container, mount, blob)


TABLE = [
    ("app:1", "name of image"),
    ("{image}", "image"),
    ("sha256:{image}", "image"),
    ("{chain}", "layer (chain id)"),
    ("{diff}", "diff id of a layer"),
    ("{blob}", "compressed blob of a layer (V2 mapping)"),
    ("{cache}", "data folder of a layer (cache id)"),
    ("{container}", "container"),
    ("worker", "container"),
    ("{mount}", "writable layer of a container"),
    ("{mount}-init", "what a container began with"),
    ("{link}", "short name of a layer"),
    (_BUILDERS, "snapshot of the build cache"),
    ("{root}/image/overlay2/imagedb/content/sha256/{image}", "config of an image"),
    ("image/overlay2/imagedb/content/sha256/{image}", "config of an image"),
    ("./image//overlay2/imagedb/content/sha256/{image}", "config of an image"),
    ("image/overlay2/imagedb/content/sha256/.tmp-x1", "temporary file"),
    ("image/overlay2/layerdb/sha256/{chain}", "record of a layer"),
    ("image/overlay2/layerdb/sha256/{chain}/cache-id", "record of a layer: cache-id"),
    ("image/overlay2/layerdb/mounts/{container}/parent", "mount record of a container"),
    ("image/overlay2/layerdb/tmp/write-set-1/diff", "layer transaction"),
    ("image/overlay2/distribution/v2metadata-by-diffid/sha256/{diff}", "V2 mapping of a layer, by its diff id"),
    ("image/overlay2/distribution/diffid-by-digest/sha256/{blob}", "V2 mapping of a layer, by its blob's digest"),
    ("image/overlay2/repositories.json", "the file of all names"),
    ("image/overlay2", "the image store of the driver overlay2"),
    ("image/overlay2/imagedb", "part of the image store"),
    ("image/vfs/imagedb", "records of the driver vfs"),
    ("image", "folder of all image stores"),
    ("overlay2", "folder of the driver overlay2"),
    ("overlay2/l", "folder of the short names of all layers"),
    ("overlay2/l/{link}", "short name of a layer"),
    ("overlay2/{cache}", "data folder of a layer (cache id)"),
    ("overlay2/{cache}/", "data folder of a layer (cache id)"),
    ("overlay2/{cache}/diff", "the files of a layer: diff"),
    ("overlay2/{cache}/diff/base", "the files of a layer: diff/base"),
    ("overlay2/{cache}/link", "the short name of a layer: link"),
    ("overlay2/{mount}", "writable layer of a container"),
    ("overlay2/{mount}-init", "what a container began with"),
    ("overlay2/{mount}/merged", "where the file system of a container is mounted while it runs: merged"),
    (f"overlay2/{_BUILDERS}", "snapshot of the build cache"),
    ("vfs/dir/x", "layers of the driver vfs"),
    ("containers/{container}/config.v2.json", "container"),
    ("containers", "folder of all containers"),
    ("volumes/db", "volume db"),
    ("volumes/db/_data/file", "volume db"),
    ("buildkit/snapshots.db", "records of the build cache"),
    ("stray", "no part of the image store"),
    (".orlop", "Orlop's own folder"),
    (".orlop/incoming/abcdef12", "an import that waits to be taken in"),
    ("{root}", "the data root"),
]


@pytest.mark.parametrize(("subject", "is_a"), TABLE)
def test_why_knows_what_it_is(sample: Sample, subject: str, is_a: str) -> None:
    assert any(one.startswith(is_a) for one in sample.why(sample.filled(subject)).is_a)


@pytest.mark.parametrize(
    "subject",
    ["{chain}", "{diff}", "{blob}", "{cache}", "overlay2/{cache}/diff", "overlay2/l/{link}", "{chain:.14}"],
)
def test_every_identity_of_a_layer_leads_to_what_keeps_it(sample: Sample, subject: str) -> None:
    kept = sample.why(sample.filled(subject)).kept_by

    assert {chain[0].what for chain in kept} == {"name base:1", "name app:1", "container worker"}


def test_a_link_to_the_root_is_as_good_as_the_root(sample: Sample, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(sample.data.path)

    found = sample.why(sample.filled(f"{tmp_path}/link/overlay2/{{cache}}"))

    assert found.is_a == ("data folder of a layer (cache id)",)


@pytest.mark.parametrize(
    "subject",
    ["nothing", "0" * 64, "overlay2/0", "/etc/passwd", "../..", "overlay2/../image", "image/none", "a\0b"],
)
def test_nothing_is_said_of_what_is_not_there(sample: Sample, subject: str) -> None:
    with pytest.raises(NotFound):
        sample.why(subject)


def test_the_start_of_a_folders_name_is_enough_unless_several_begin_so(sample: Sample) -> None:
    cache = sample.base.layers[0].cache_id
    os.makedirs(sample.data.at("overlay2/zz1/diff"), exist_ok=True)
    os.makedirs(sample.data.at("overlay2/zz2/diff"), exist_ok=True)

    assert sample.why(f"overlay2/{cache[:12]}").subject == f"overlay2/{cache}"
    with pytest.raises(Ambiguous):
        sample.why("overlay2/zz")
    assert sample.why("overlay2/zz1").remark == "no engine gives a folder such a name"


def test_the_build_cache_keeps_layers(data: Callable[[], DataRoot], tmp_path: Path) -> None:
    root = data()
    cached = root.layer({"c": b"c"})
    root.write(layout.BUILD_CACHE, cached.chain_id.encode())
    store = opened(root.path)

    found = store.why(cached.cache_id)

    store.close()
    assert [[link.what for link in chain] for chain in found.kept_by] == [
        ["the build cache, which may use it", f"layer {cached.chain_id}"]
    ]


@pytest.fixture
def data(tmp_path: Path) -> Callable[[], DataRoot]:
    return lambda: DataRoot.create(str(tmp_path / "docker"))


def test_cannot_tell_is_said_where_it_is_so(data: Callable[[], DataRoot]) -> None:
    root = data()
    app = root.image({"a": b"a"}, names=["app:1"])
    root.write(layout.config("overlay2", app.id), b"")
    web = root.image({"w": b"w"}, names=["web:1"])
    os.unlink(root.at(f"{layout.layer('overlay2', web.layers[0].chain_id)}/cache-id"))
    store = opened(root.path)

    layer, lost = store.why(app.layers[0].cache_id), store.why(web.layers[0].cache_id)

    store.close()
    assert layer.remark == f"cannot tell whether anything needs it: it may be of {app.id}, whose config is empty"
    whose = f"it may be the data of layer {web.layers[0].chain_id}, whose record does not name its folder"
    assert lost.remark == f"cannot tell whose it is: {whose}"


def test_what_a_change_moved_away_is_still_known(data: Callable[[], DataRoot]) -> None:
    root = data()
    app = root.image({"a": b"a"}, names=["app:1"])
    store = opened(root.path)
    plan = store.plan(Remove(keys=(Key("", app.id, "app:1"),)))
    assert isinstance(plan, Plan)
    apply(store, plan, Journal.of(store.root))
    store.refresh()
    layer = app.layers[0]
    (change,) = os.listdir(root.at(".orlop/changes"))
    shelf = f".orlop/changes/{change}"

    by_digest = store.why(app.id)
    by_path = store.why(f"overlay2/{layer.cache_id}/diff")
    shelved = [store.why(f"{shelf}/{name}").is_a[0] for name in os.listdir(root.at(shelf))]

    store.close()
    for found in (by_digest, by_path):
        assert found.is_a == ("no longer in the store",)
        assert "it lies in quarantine, and `orlop undo PATH` brings it back" in found.related["once"]
    assert {f"in quarantine: it was overlay2/{layer.cache_id}", "the record of a change"} <= set(shelved)
