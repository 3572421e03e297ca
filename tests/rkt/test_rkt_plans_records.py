"""The flag of the latest and the remote records: one write of the rows each, and nothing where nothing changes."""

from pathlib import Path

import pytest

from orlop.errors import Malformed, NotFound, Unsupported
from orlop.intent import (
    DropRemotes,
    DropUploads,
    Intent,
    PutRemote,
    RemoveRepository,
    SetLatest,
    Tag,
    Unmap,
    Untag,
)
from orlop.rkt.catalogue import RemoteRow
from orlop.samples.rkt import NOW, Aci, AciRoot
from tests.rkt.plan_stores import changing, said, tables, unlike
from tests.rkt.rkt_stores import unpacked

URL = "https://example.com/app.aci"


@pytest.fixture(params=["ql", "sqlite"])
def root(tmp_path: Path, request: pytest.FixtureRequest) -> AciRoot:
    return AciRoot.create(str(tmp_path / "rkt"), catalogue=request.param)


def test_the_latest_flag_is_set_in_its_row_and_nowhere_else(root: AciRoot) -> None:
    one, two = root.image("example.com/app", version="1"), root.image("example.com/app", version="2", latest=True)
    with changing(root) as change:
        rows = change.rows
        with change.there_and_back(SetLatest(image=one.key, latest=True)) as plan:
            assert [step.path for step in plan.steps] == [change.store.model.catalogue.path]
            gone, come = unlike(rows.images, change.rows.images)
            assert ([row.latest for row in gone], [row.latest for row in come]) == ([False], [True])
            assert change.store.model.images[two.key].row == next(row for row in rows.images if row.key == two.key)


def test_who_is_taken_for_the_name_then_is_said(root: AciRoot) -> None:
    older = root.image("example.com/app", version="1", imported=NOW - 9)
    newer = root.image("example.com/app", version="2", imported=NOW, latest=True)
    with changing(root) as change:

        def note(image: Aci, latest: bool) -> str:
            reasons = change.planned(SetLatest(image=image.key, latest=latest)).reasons
            return next(reason.because for reason in reasons if reason.verb == "note")

        assert "still takes example.com/app:2" in note(older, True)
        assert "still takes example.com/app:2" in note(newer, False)
        change.apply(SetLatest(image=newer.key, latest=False))
        assert "takes example.com/app:1" in note(older, True)


def test_a_flag_that_is_set_already_changes_nothing(root: AciRoot) -> None:
    app = root.image("example.com/app", latest=True)
    with changing(root) as change:
        assert change.planned(SetLatest(image=app.key, latest=True)).steps == ()
        assert change.apply(SetLatest(image=app.key, latest=True)).steps == 0


def test_an_image_without_a_row_has_no_flag(root: AciRoot) -> None:
    app = root.image("example.com/app")
    root.forget(app)
    with changing(root) as change:
        assert "repair" in change.refused(SetLatest(image=app.key, latest=True)).do
        with pytest.raises(NotFound):
            change.store.plan(SetLatest(image="sha512-" + "0" * 64, latest=True))


def test_a_record_is_made_renewed_and_moved(root: AciRoot) -> None:
    app, other = root.image("example.com/app"), root.image("example.com/other")
    with changing(root) as change:
        made = PutRemote(url=URL, image=app.key, etag='"1"', max_age=60, downloaded=NOW)
        change.apply(made)
        row = RemoteRow(url=URL, signature_url="", etag='"1"', key=app.key, max_age=60, downloaded=NOW)
        assert change.rows.remotes == (row,)
        assert change.planned(made).steps == ()
        with change.there_and_back(PutRemote(url=URL, image=other.key, etag='"2"', downloaded=NOW + 1)) as plan:
            [moved] = change.rows.remotes
            assert (moved.key, moved.etag) == (other.key, '"2"')
            assert said(plan, "keep") == [f"image example.com/app ({app.key[:19]})"]


def test_a_record_leads_to_an_image_with_a_row(root: AciRoot) -> None:
    app = root.image("example.com/app")
    root.forget(app)
    with changing(root) as change:
        assert change.refused(PutRemote(url=URL, image=app.key)).reasons
        with pytest.raises(NotFound):
            change.store.plan(PutRemote(url=URL, image="sha512-" + "0" * 64))


@pytest.mark.parametrize("seconds", [-1, 2**31])
def test_an_age_that_rkt_could_not_hold_is_refused(root: AciRoot, seconds: int) -> None:
    app = root.image("example.com/app")
    with changing(root) as change, pytest.raises(Malformed):
        change.store.plan(PutRemote(url=URL, image=app.key, max_age=seconds))


def test_records_are_forgotten_and_the_images_stay(root: AciRoot) -> None:
    app = root.image("example.com/app")
    root.remote(URL, app)
    root.remote("https://me:s3cret@example.com/gone.aci", "sha512-" + "0" * 64)
    with changing(root) as change:
        intent = DropRemotes(urls=(URL, "https://me:s3cret@example.com/gone.aci"))
        with change.there_and_back(intent) as plan:
            assert change.rows.remotes == ()
            assert app.key in change.store.model.images
            assert "s3cret" not in " ".join(f"{reason.subject} {reason.because}" for reason in plan.reasons)
        with pytest.raises(NotFound):
            change.store.plan(DropRemotes(urls=("https://example.com/other.aci",)))


def test_in_a_store_of_rkts_only_the_record_changes(tmp_path: Path) -> None:
    with changing(unpacked("rkt-store", tmp_path)) as change:
        raw = tables(change.path)
        url = sorted(change.store.model.remotes)[2]
        with change.there_and_back(DropRemotes(urls=(url,))):
            after = tables(change.path)
            assert after["aciinfo"] == raw["aciinfo"]
            assert after["remote"] == [row for row in raw["remote"] if row[1] != url.encode()]


@pytest.mark.parametrize(
    "intent",
    [
        Tag(image="x", name="y"),
        Untag(names=("x",)),
        Unmap(mappings=()),
        RemoveRepository(names=("x",)),
        DropUploads(before=0),
    ],
    ids=lambda intent: type(intent).__name__,
)
def test_what_this_kind_has_no_use_for_is_said(root: AciRoot, intent: Intent) -> None:
    with changing(root) as change, pytest.raises(Unsupported) as error:
        change.store.plan(intent)
    assert error.value.do
    if isinstance(intent, Tag | Untag):
        assert "name is inside its manifest" in error.value.why
