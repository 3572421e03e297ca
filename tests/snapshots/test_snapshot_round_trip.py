"""A snapshot of a store tells what the store told, and nothing that is secret."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orlop import kinds, samples
from orlop.errors import NotFound, ReadOnly, Unsupported
from orlop.intent import Untag
from orlop.plan import Refusal
from orlop.progress import Silent
from orlop.records import EngineState, Facet, Holding, Key
from orlop.samples import DataRoot
from orlop.snapshots.writing import HIDDEN, write
from orlop.store import Store
from orlop.text import MASK
from orlop_tui.format import masked_config


def written(store: Store, file: Path, *, space: bool = False) -> bytes:
    to = io.BytesIO()
    packed = file.suffix == ".gz"
    write(store, to, masked_config=masked_config, program="test", packed=packed, space=space, progress=Silent())
    file.write_bytes(to.getvalue())
    return to.getvalue()


@pytest.fixture(scope="module")
def sample_stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    made = samples.make_all(str(tmp_path_factory.mktemp("samples")))
    return {Path(sample.path).name: sample.path for sample in made}


@pytest.fixture(params=["docker", "registry", "rkt"])
def pair(
    request: pytest.FixtureRequest, sample_stores: dict[str, str], tmp_path: Path
) -> Iterator[tuple[Store, Store]]:
    """A sample store with its planted faults, and the snapshot of it."""
    store = kinds.open(sample_stores[request.param])
    written(store, tmp_path / "taken.gz")
    taken = kinds.open(str(tmp_path / "taken.gz"))
    yield store, taken
    taken.close()
    store.close()


def keys_of(store: Store) -> list[Key]:
    rows = [row.key for row in store.rows().rows]
    return [*rows, *dict.fromkeys(Key(key.scope, key.id, None) for key in rows if key.id)]


def test_rows_findings_and_notes_are_those_of_the_store(pair: tuple[Store, Store]) -> None:
    store, taken = pair
    before, after = store.rows(), taken.rows()

    assert after.rows == before.rows
    assert (after.images, after.total_size, after.seen_at) == (before.images, before.total_size, before.seen_at)
    assert after.notes[1:] == before.notes
    assert before.identity.path in after.notes[0].text
    check = [list(each.check(None, content=False, progress=Silent())) for each in pair]
    assert check[0] == check[1]
    assert check[0]
    assert taken.rules() == store.rules()


def test_every_image_is_told_whole(pair: tuple[Store, Store]) -> None:
    store, taken = pair
    exact = 0
    for key in keys_of(store):
        before, after = store.detail(key), taken.detail(key)
        if any(section.title == HIDDEN for section in after.sections):
            assert MASK in json.dumps(after.config, ensure_ascii=False) + str(after.sections)
            assert before.config_raw is None or after.config_raw is None or before.documents != after.documents
            before = replace(before, config_raw=None, documents=(), sections=(), history=(), config={})
            after = replace(after, config_raw=None, documents=(), sections=(), history=(), config={})
        else:
            exact += 1
        assert after == before
    assert exact > len(keys_of(store)) / 2


def test_mappings_remotes_and_uploads_are_those_of_the_store(pair: tuple[Store, Store]) -> None:
    store, taken = pair
    for facet in Facet:
        for key in (None, *keys_of(store)):
            assert taken.facet(facet, key) == store.facet(facet, key)


def test_images_are_found_as_in_the_store(pair: tuple[Store, Store]) -> None:
    store, taken = pair
    for key in keys_of(store):
        for text in (key.name, key.id, key.id.partition(":")[2][:20], f"{key.scope}@{key.id[:30]}"):
            if text and store_finds(store, text):
                assert [found.id for found in taken.find(text)] == [found.id for found in store.find(text)]
    with pytest.raises(NotFound):
        taken.find("nothing:1")


def store_finds(store: Store, text: str) -> bool:
    try:
        return bool(store.find(text))
    except NotFound:
        return False


def test_why_and_holders_answer_from_the_images(pair: tuple[Store, Store]) -> None:
    store, taken = pair
    for key in keys_of(store):
        if key.name is not None and key.id:
            assert key.id in str(taken.why(key.name))
        for layer in taken.detail(key).layers if key.id else ():
            if layer.diff_id:
                assert taken.why(layer.diff_id).kept_by
                assert key.id in taken.holders(Holding.LAYER, layer.diff_id)
    with pytest.raises(NotFound):
        taken.why("sha256:" + "0" * 64)


def test_nothing_can_be_changed_or_read_beyond_it(pair: tuple[Store, Store]) -> None:
    _, taken = pair
    refusal = taken.plan(Untag(names=("any:1",)))
    assert isinstance(refusal, Refusal)
    assert refusal.reasons == ("a snapshot cannot be changed",)
    with pytest.raises(ReadOnly):
        taken.guard(None)
    with pytest.raises(Unsupported):
        list(taken.check(None, content=True, progress=Silent()))
    with pytest.raises(Unsupported):
        taken.save([], io.BytesIO(), form=None, progress=Silent())
    with pytest.raises(Unsupported):
        taken.space(Silent())
    assert taken.engine()[0] is EngineState.UNKNOWN
    assert (taken.watched(), bool(taken.refresh(["anything"]))) == ((), False)
    assert not taken.root.exists("image")


def test_a_check_of_some_images_gives_what_affects_them(pair: tuple[Store, Store]) -> None:
    _, taken = pair
    whole = list(taken.check(None, content=False, progress=Silent()))
    affected = next(finding for finding in whole if finding.images)
    key = Key("", affected.images[0], None)

    found = list(taken.check([key], content=False, progress=Silent()))

    assert affected in found
    assert all(key.id in finding.images for finding in found)


def test_the_same_reading_gives_the_same_bytes_packed_or_not(sample_stores: dict[str, str], tmp_path: Path) -> None:
    store = kinds.open(sample_stores["registry"])
    packed, plain = written(store, tmp_path / "a.gz"), written(store, tmp_path / "a.jsonl")
    assert packed == written(store, tmp_path / "b.gz")
    assert plain == written(store, tmp_path / "b.jsonl")
    store.close()

    assert len(packed) < len(plain) / 3
    assert all(isinstance(json.loads(line), dict) for line in plain.splitlines())
    with_gz, without = kinds.open(str(tmp_path / "a.gz")), kinds.open(str(tmp_path / "a.jsonl"))
    assert with_gz.rows().rows == without.rows().rows
    with_gz.close()
    without.close()


def test_where_the_bytes_are_is_told_when_asked_for(sample_stores: dict[str, str], tmp_path: Path) -> None:
    store = kinds.open(sample_stores["registry"])
    expected = store.space(Silent())
    written(store, tmp_path / "a.gz", space=True)
    store.close()

    taken = kinds.open(str(tmp_path / "a.gz"))
    assert replace(taken.space(Silent()), free=expected.free) == expected
    taken.close()


def test_no_secret_is_in_the_file(tmp_path: Path) -> None:
    data = DataRoot.create(str(tmp_path / "docker"))
    secrets = ("hunter2-env", "hunter2-label", "hunter2-arg", "hunter2-url")
    config = {
        "Env": ["PATH=/bin", f"DB_PASSWORD={secrets[0]}"],
        "Labels": {"api.token": secrets[1], "plain": "kept-label"},
        "Cmd": ["run", f"https://user:{secrets[3]}@example.com/"],
    }
    step = samples.Step(created_by=f"RUN SECRET_KEY={secrets[2]} make", files={"a": b"a"})
    image = data.image(step, names=("app:1",), config=config)
    store = kinds.open(data.path)
    plain = written(store, tmp_path / "a.jsonl").decode()
    store.close()

    assert [secret for secret in secrets if secret in plain] == []
    assert "kept-label" in plain
    taken = kinds.open(str(tmp_path / "a.jsonl"))
    detail = taken.detail(Key("", image.id, None))
    assert detail.config_raw is None
    assert [section.title for section in detail.sections] == [HIDDEN]
    taken.close()
