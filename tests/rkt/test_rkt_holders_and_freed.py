"""Which images of an ACI store hold a thing, and what the deletion of some of them frees."""

from pathlib import Path

from orlop.records import Holding
from orlop.samples.rkt import AciRoot
from tests.rkt.rkt_stores import opened, settled


def test_images_are_found_by_key_dependency_and_url(tmp_path: Path) -> None:
    root = AciRoot.create(str(tmp_path / "rkt"))
    base = root.image("example.com/base")
    app = root.image("example.com/app", version="1", needs=[base])
    root.remote("https://example.com/App.aci", app)
    with opened(settled(root)) as store:
        assert store.holders(Holding.LAYER, base.key[:20]) == {base.key, app.key}
        assert store.holders(Holding.DIGEST, app.key.removeprefix("sha512-").upper()) == {app.key}
        assert store.holders(Holding.SOURCE, "app.ACI") == {app.key}
        (chain,) = store.why("https://example.com/App.aci").kept_by
        assert [link.key for link in chain] == [store.find("example.com/app")[0]]


def test_an_aci_shares_nothing(tmp_path: Path) -> None:
    root = AciRoot.create(str(tmp_path / "rkt"))
    root.image("example.com/one")
    root.image("example.com/two")
    with opened(settled(root)) as store:
        rows = store.rows().rows
        assert len(rows) == 2
        assert store.freed([row.key for row in rows]) == sum(row.size or 0 for row in rows)
        assert store.freed([]) == 0
