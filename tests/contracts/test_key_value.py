"""What every key/value store does, whatever it is made of."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from orlop.errors import AlreadyExists, Escapes, NotFound, TooLarge, WrongKind
from orlop.kv import VALUE_LIMIT, FileKeyValue, KeyValue, MemoryKeyValue

MAKERS: dict[str, Callable[[Path], KeyValue]] = {
    "files": lambda folder: FileKeyValue(str(folder / "store")),
    "memory": lambda _: MemoryKeyValue(),
}


@pytest.fixture(params=sorted(MAKERS))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> KeyValue:
    return MAKERS[request.param](tmp_path)


def test_a_value_is_found_under_its_namespace_and_key_only(store: KeyValue) -> None:
    store.set("v1id", "a", b"one")
    store.set("other", "a", b"two")
    assert (store.get("v1id", "a"), store.get("other", "a")) == (b"one", b"two")
    for namespace, key in (("v1id", "b"), ("nothing", "a"), ("", "a")):
        with pytest.raises(NotFound):
            store.get(namespace, key)


def test_a_value_is_replaced_and_may_be_empty(store: KeyValue) -> None:
    store.set("n", "k", b"old")
    store.set("n", "k", b"")
    assert store.get("n", "k") == b""


def test_a_deleted_value_is_gone_and_cannot_be_deleted_again(store: KeyValue) -> None:
    store.set("n", "k", b"x")
    store.delete("n", "k")
    for call in (store.get, store.delete):
        with pytest.raises(NotFound):
            call("n", "k")


def test_a_key_with_slashes_lies_in_folders_that_are_keys_without_a_value(store: KeyValue) -> None:
    store.set("n", "sha256/abc", b"x")
    with pytest.raises(WrongKind) as error:
        store.get("n", "sha256")
    assert error.value.found == "folder"
    with pytest.raises(WrongKind):
        store.set("n", "sha256", b"y")
    with pytest.raises(AlreadyExists):
        store.delete("n", "sha256")
    store.delete("n", "sha256/abc")
    store.delete("n", "sha256")
    store.set("n", "sha256", b"y")
    assert store.get("n", "sha256") == b"y"


def test_nothing_lies_below_a_value(store: KeyValue) -> None:
    store.set("n", "k", b"x")
    for call in (store.get, store.delete):
        with pytest.raises(WrongKind):
            call("n", "k/below")
    with pytest.raises(WrongKind):
        store.set("n", "k/below", b"y")
    assert store.get("n", "k") == b"x"


@pytest.mark.parametrize("key", ["./k", "x/../k", "/k", "//k/", "../n/k"])
def test_spellings_of_a_key_are_resolved_as_text(store: KeyValue, key: str) -> None:
    store.set("n", "k", b"x")
    assert store.get("n", key) == b"x"


@pytest.mark.parametrize("key", ["../../k", "../..", "a/../../../k", "nul\0", "\ud800"])
def test_what_would_leave_the_store_is_refused(store: KeyValue, key: str, tmp_path: Path) -> None:
    for call in (store.get, store.delete):
        with pytest.raises(Escapes):
            call("n", key)
    with pytest.raises(Escapes):
        store.set("n", key, b"x")
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == []


def test_the_store_itself_is_no_key(store: KeyValue) -> None:
    with pytest.raises(Escapes):
        store.delete("", "")
    with pytest.raises(WrongKind):
        store.set("n", "..", b"x")


def test_a_value_that_could_not_be_read_back_is_refused(store: KeyValue) -> None:
    class Long(bytes):
        def __len__(self) -> int:
            return VALUE_LIMIT + 1

    with pytest.raises(TooLarge):
        store.set("n", "k", Long())
    with pytest.raises(NotFound):
        store.get("n", "k")


def test_reading_and_then_writing_loses_nothing_between_threads(store: KeyValue) -> None:
    def add() -> None:
        for _ in range(10):
            with store.exclusive(), store.exclusive():  # it may be entered again
                store.set("n", "count", str(int(store.get("n", "count")) + 1).encode())

    store.set("n", "count", b"0")
    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.get("n", "count") == b"40"
