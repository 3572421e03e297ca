"""The id and metadata services: what the recorded cases cannot show."""

import contextlib
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest

from orlop.docker.metadata import MAX_ENTRIES, V1IdService, V2Entry, V2MetadataService
from orlop.errors import Escapes, Malformed, NotFound
from orlop.kv import FileKeyValue, MemoryKeyValue

LAYER = "sha256:" + "a" * 64
PROCESSES = 4
UPDATES = 10


def _entry(number: int, source: str = "docker.io/library/busybox", hmac: str | None = None) -> V2Entry:
    return V2Entry(digest=f"sha256:{number:064x}", source=source, hmac=hmac)


def test_a_v1_id_with_a_newline_behind_it_is_none() -> None:
    service = V1IdService(MemoryKeyValue())
    with pytest.raises(Malformed):
        service.set("0" * 64 + "\n", "registry.example", LAYER)
    service.set("0" * 64, "registry.example", LAYER)
    assert service.get("0" * 64, "registry.example") == LAYER
    with pytest.raises(NotFound):
        service.get("0" * 64, "other.example")


def test_an_hmac_is_written_where_it_was_and_nowhere_else() -> None:
    store = MemoryKeyValue()
    service = V2MetadataService(store)
    store.set(
        "v2metadata-by-diffid",
        "sha256/" + "a" * 64,
        b'[{"Digest":"sha256:1","SourceRepository":"a","HMAC":""},{"Digest":"sha256:2","SourceRepository":"b"}]',
    )
    service.add(LAYER, V2Entry(digest="sha256:3", source="c", hmac="ff"))
    assert store.get("v2metadata-by-diffid", "sha256/" + "a" * 64) == (
        b'[{"Digest":"sha256:1","SourceRepository":"a","HMAC":""},{"Digest":"sha256:2","SourceRepository":"b"},'
        b'{"Digest":"sha256:3","SourceRepository":"c","HMAC":"ff"}]'
    )


def test_entries_that_differ_in_their_hmac_are_two_and_an_empty_one_is_none() -> None:
    service = V2MetadataService(MemoryKeyValue())
    for hmac in ("ff", "", None):
        service.add(LAYER, _entry(1, hmac=hmac))
    assert [entry.hmac for entry in service.get_metadata(LAYER)] == ["ff", None]
    service.remove(_entry(1, hmac=""))
    assert [entry.hmac for entry in service.get_metadata(LAYER)] == ["ff"]


def test_the_oldest_entries_go_and_their_ways_back_stay() -> None:
    service = V2MetadataService(MemoryKeyValue())
    for number in range(MAX_ENTRIES + 3):
        service.add(LAYER, _entry(number))
    assert service.get_metadata(LAYER) == tuple(_entry(number) for number in range(3, MAX_ENTRIES + 3))
    assert service.get_diff_id(_entry(0).digest) == LAYER


def test_a_refused_add_writes_nothing() -> None:
    service = V2MetadataService(MemoryKeyValue())
    with pytest.raises(Malformed) as error:
        service.add(LAYER, V2Entry(digest="nocolon", source="a", hmac=None))
    assert error.value.engine == "could not find ':' in digest: nocolon"
    with pytest.raises(NotFound):
        service.get_metadata(LAYER)


def _add(root: str, process: int) -> None:
    service = V2MetadataService(FileKeyValue(root))
    for number in range(UPDATES):
        service.add(LAYER, _entry(process * UPDATES + number))


def test_no_entry_that_many_processes_add_is_lost(tmp_path: Path) -> None:
    root = str(tmp_path / "distribution")
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_add, args=(root, process)) for process in range(PROCESSES)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0] * PROCESSES
    found = V2MetadataService(FileKeyValue(root)).get_metadata(LAYER)
    assert sorted(found, key=lambda entry: entry.digest) == [_entry(n) for n in range(PROCESSES * UPDATES)]


def test_an_entry_is_removed_from_the_list_as_it_is_once_no_other_writes() -> None:
    class Busy(MemoryKeyValue):
        """Another one adds an entry just before this one has the store for itself."""

        def __init__(self) -> None:
            super().__init__()
            self.meanwhile: list[V2Entry] = []

        @contextlib.contextmanager
        def exclusive(self) -> Iterator[None]:
            while self.meanwhile:
                V2MetadataService(self).add(LAYER, self.meanwhile.pop())
            with super().exclusive():
                yield

    store = Busy()
    service = V2MetadataService(store)
    service.add(LAYER, _entry(1))
    store.meanwhile = [_entry(2)]

    service.remove(_entry(1))

    assert store.meanwhile == []
    assert service.get_metadata(LAYER) == (_entry(2),)


def test_a_layer_id_that_no_file_can_hold_is_refused_before_anything_is_written() -> None:
    store = MemoryKeyValue()
    with pytest.raises(Malformed):
        V1IdService(store).set("0" * 64, "registry.example", "sha256:\ud800")
    with pytest.raises(Escapes):
        V2MetadataService(store).add("sha256:\ud800", _entry(1))
    with pytest.raises(NotFound):
        store.get("v1id", "registry.example," + "0" * 64)
