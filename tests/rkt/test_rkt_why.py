"""`why` answers for any key, name, URL and path of an ACI store."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from orlop import kinds
from orlop.apply import apply
from orlop.errors import NotFound
from orlop.intent import Remove
from orlop.journal import Journal
from orlop.plan import Plan
from orlop.records import Key, Why
from orlop.rkt import layout
from orlop.samples.rkt import Aci, AciRoot
from tests.rkt.test_rkt_door_guard import pod

URL = "https://example.com/app.aci"


@dataclass
class Sample:
    root: AciRoot
    app: Aci
    tree: str
    pod: str

    def why(self, subject: str) -> Why:
        store = kinds.open(self.root.path)
        try:
            return store.why(subject)
        finally:
            store.close()

    def filled(self, text: str) -> str:
        return text.format(
            root=self.root.path,
            key=self.app.key,
            id=self.app.image_id,
            tree=self.tree,
            pod=self.pod,
            blob=layout.blob(self.app.key),
            manifest=layout.manifest(self.app.key),
        )


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    root = AciRoot.create(str(tmp_path_factory.mktemp("why") / "rkt"))
    app = root.image("example.com/app", version="1", files={"a": b"a"})
    tree = root.tree(app, {"a": b"a"}, hash="sha512-" + "0" * 64)
    root.remote(URL, app)
    root.write(f"{layout.TEMPORARY}/123", b"x")
    root.write(f"{layout.LOCKS}/{layout.PREFIX}{'0' * 64}", b"")
    root.write(f"{layout.tree_lock(tree)}", b"")
    root.write(f"{layout.backup(0)}/ql.db", b"x")
    root.write("beside", b"x")
    root.write(".orlop/incoming/abcdef12/file", b"x")
    root.settle()
    return Sample(root, app, tree, pod(root, "prepared", 1, app, tree=tree))


TABLE = [
    ("example.com/app", "image example.com/app:1"),
    ("example.com/app:1", "image example.com/app:1"),
    ("{key}", "image example.com/app:1"),
    ("{key:.15}", "image example.com/app:1"),
    ("{id}", "image example.com/app:1"),
    (URL, "remote record"),
    ("{tree}", "rendered tree"),
    ("{tree:.20}", "rendered tree"),
    ("{pod}", "pod"),
    ("{root}/pods/prepared/{pod}/pod", "pod"),
    ("pods/prepared/{pod}", "pod"),
    ("{root}/cas/{blob}", "archive of an image example.com/app:1"),
    ("cas/{blob}", "archive of an image example.com/app:1"),
    ("{blob}", "archive of an image example.com/app:1"),
    ("{manifest}", "manifest of an image example.com/app:1"),
    ("imagelocks/{key}", "lock of an image example.com/app:1"),
    ("imagelocks/sha512-" + "0" * 64, "lock file"),
    ("treestorelocks/{tree}", "lock of a rendered tree"),
    ("tree/{tree}", "rendered tree"),
    ("tree/{tree:.20}", "rendered tree"),
    ("tree/{tree}/rootfs/a", "files of the image"),
    ("tree/{tree}/hash", "hash of the tree"),
    ("tree/{tree}/other", "no part of a tree"),
    ("tmp/123", "temporary file"),
    ("tmp", "folder of what is being written"),
    ("blob/sha512", "folder of archives"),
    ("db/ql.db", "the catalogue"),
    ("db", "folder of the catalogue"),
    ("db-backups/0/ql.db", "an older catalogue"),
    ("beside", "foreign"),
    (".orlop/incoming/abcdef12", "an import that waits to be taken in"),
    ("{root}/cas", "the store"),
]


@pytest.mark.parametrize(("subject", "is_a"), TABLE)
def test_why_knows_what_it_is(sample: Sample, subject: str, is_a: str) -> None:
    assert is_a in sample.why(sample.filled(subject)).is_a


@pytest.mark.parametrize("subject", ["{key}", "{blob}", "{manifest}", "imagelocks/{key}"])
def test_every_file_of_an_image_leads_to_what_keeps_it(sample: Sample, subject: str) -> None:
    kept = sample.why(sample.filled(subject)).kept_by

    assert [chain[0].what for chain in kept] == ["row of example.com/app:1", f"pod {sample.pod}"]


def test_a_tree_leads_to_its_pod(sample: Sample) -> None:
    found = sample.why(f"tree/{sample.tree}/rootfs")

    assert [[link.what for link in chain] for chain in found.kept_by] == [
        [f"pod {sample.pod}", f"rendered tree {sample.tree}"]
    ]


@pytest.mark.parametrize(
    "subject",
    ["nothing", "sha512-" + "1" * 64, "/etc/passwd", "..", "tmp/9", "tree/deps-sha512-0000", "pods/run/x", "a\0b", ""],
)
def test_nothing_is_said_of_what_is_not_there(sample: Sample, subject: str) -> None:
    with pytest.raises(NotFound):
        sample.why(subject)


def test_what_a_change_moved_away_is_still_known(tmp_path: Path) -> None:
    root = AciRoot.create(str(tmp_path / "rkt"))
    app = root.image("example.com/app", version="1")
    root.image("example.com/other", version="1")
    root.settle()
    store = kinds.open(root.path)
    plan = store.plan(Remove(keys=(Key("", app.key, None),)))
    assert isinstance(plan, Plan), plan
    apply(store, plan, Journal.of(store.root))
    store.refresh()

    found = [store.why(subject) for subject in (app.key, layout.blob(app.key), app.key[7:30])]

    store.close()
    for one in found:
        assert one.is_a == ("no longer in the store",)
        assert "`orlop undo PATH` brings it back" in one.related["once"]
