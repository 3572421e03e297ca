"""An image out of an ACI store: its archive as it is, under the same key wherever it is taken in."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from orlop.errors import DigestMismatch, NotFound, OrlopError, Unsupported
from orlop.progress import Silent
from orlop.rkt import layout
from orlop.rkt.door import RktStore
from orlop.samples.rkt import Aci, AciRoot
from orlop.store import Saved
from tests.rkt.rkt_stores import opened, settled


@pytest.fixture
def root(tmp_path: Path) -> AciRoot:
    return AciRoot.create(str(tmp_path / "rkt"))


@pytest.fixture
def app(root: AciRoot) -> Aci:
    base = root.image("example.com/base", version="1", files={"etc/base": b"base"})
    return root.image("example.com/app", version="2", files={"srv/app": b"app" * 100_000}, needs=[base])


@pytest.fixture
def store(root: AciRoot, app: Aci) -> Iterator[RktStore]:
    with opened(settled(root)) as found:
        yield found


def written(store: RktStore, *images: str, form: str | None = None) -> tuple[bytes, tuple[Saved, ...]]:
    to = io.BytesIO()
    keys = [key for image in images for key in store.find(image)]
    saved = store.save(keys, to, form=form, progress=Silent())
    return to.getvalue(), saved


def refused(store: RktStore, error: type[OrlopError], *images: str, form: str | None = None) -> OrlopError:
    with pytest.raises(error) as caught:
        written(store, *images, form=form)
    assert caught.value.do
    return caught.value


def test_an_image_is_written_as_it_is_stored(store: RktStore, root: AciRoot, app: Aci) -> None:
    archive, [saved] = written(store, "example.com/app:2")

    assert archive == Path(root.at(layout.blob(app.key))).read_bytes()
    assert (saved.form, saved.id, saved.names) == ("aci", app.key, ("example.com/app:2",))
    assert saved.bytes == len(archive)
    assert any("built on another image" in remark for remark in saved.remarks)


def test_a_store_takes_it_in_under_the_same_key(store: RktStore, app: Aci, tmp_path: Path) -> None:
    archive = tmp_path / "app.aci"
    archive.write_bytes(written(store, app.key)[0])
    other = AciRoot.create(str(tmp_path / "other"))

    with opened(settled(other)) as found:
        intent = found.stage(str(archive), name="", latest=False, at=1, progress=Silent())
        assert app.key in str(found.plan(intent))


def test_one_flipped_byte_is_found_and_the_archive_named(store: RktStore, root: AciRoot, app: Aci) -> None:
    path = Path(root.at(layout.blob(app.key)))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)

    error = refused(store, DigestMismatch, app.key)

    assert error.path == layout.blob(app.key)
    path.unlink()
    assert refused(store, NotFound, app.key).path == layout.blob(app.key)


def test_one_image_of_this_form_only(store: RktStore) -> None:
    refused(store, Unsupported, "example.com/app", "example.com/base")
    refused(store, Unsupported, "example.com/app", form="docker-archive")
