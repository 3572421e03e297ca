"""Snapshot files of strangers: refused in words, within bounds, and leading nowhere."""

import gzip
import io
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orlop import kinds
from orlop.errors import Escapes, Malformed, NotAStore, NotFound, OrlopError, TooLarge, Unsupported, WrongKind
from orlop.progress import Silent
from orlop.records import Facet, Key
from orlop.samples.registry import RegistryRoot
from orlop.snapshots import lines as bounds
from orlop.snapshots import store as reading
from orlop.snapshots.writing import write
from orlop.store import Store
from tests.examples import examples

Lines = list[dict[str, Any]]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The lines of a snapshot of a small registry."""
    root = RegistryRoot.create(str(tmp_path_factory.mktemp("hostile") / "registry"))
    base = root.image("team/base", {"base": b"b"}, tags=("1",))
    root.image("team/app", {"app": b"a"}, on=base, tags=("1", "2"))
    to = io.BytesIO()
    store = kinds.open(root.path)
    write(store, to, masked_config=lambda value: value, program="t", packed=False, space=True, progress=Silent())
    store.close()
    return to.getvalue()


def opened(data: bytes, tmp_path: Path) -> Store:
    file = tmp_path / "snapshot"
    file.write_bytes(data)
    return kinds.open(str(file))


def changed(good: bytes, change: Callable[[Lines], object]) -> bytes:
    """The lines after a change, with an end that fits."""
    found = [json.loads(line) for line in good.splitlines()]
    change(found)
    found[-1]["lines"] = len(found)
    return b"".join(json.dumps(line).encode() + b"\n" for line in found)


def of(found: Lines, kind: str) -> dict[str, Any]:
    return next(line for line in found if line["type"] == kind)


CHANGES: dict[str, Callable[[Lines], object]] = {
    "a later version": lambda found: found[0].update(version=2),
    "no version": lambda found: found[0].pop("version"),
    "another kind": lambda found: found[0]["snapshot"]["identity"].update(kind="../kind"),
    "a number for a text": lambda found: found[0]["snapshot"].update(engine_text=1),
    "a text for a number": lambda found: of(found, "row")["row"].update(size="1"),
    "true for a number": lambda found: of(found, "row")["row"].update(size=True),
    "a number past all disks": lambda found: of(found, "row")["row"].update(size=1 << 70),
    "a fraction": lambda found: of(found, "row")["row"].update(size=1.5),
    "an unknown condition": lambda found: of(found, "row")["row"].update(condition="fine"),
    "a key that is none": lambda found: of(found, "row")["row"].update(key=["a", "b"]),
    "a row that is there twice": lambda found: found.insert(1, of(found, "row")),
    "a row under one that is not": lambda found: of(found, "row")["row"].update(under=["a", "b", None]),
    "a row that is none": lambda found: of(found, "row").update(row=[]),
    "a row that lacks something": lambda found: of(found, "row")["row"].pop("trust"),
    "a detail that is none": lambda found: of(found, "detail").update(detail={"key": ["", "a", None]}),
    "a detail's text that is none": lambda found: of(found, "detail")["detail"].update(names=[1]),
    "bytes that are none": lambda found: of(found, "detail")["detail"].update(config_raw="!!"),
    "an unknown facet": lambda found: of(found, "record").update(facet="nonsense"),
    "a record that is none": lambda found: of(found, "record").update(record={"a": 1}),
    "a finding that is none": lambda found: found.insert(1, {"type": "finding", "finding": None}),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_is_not_as_it_was_written_is_refused_in_words(good: bytes, what: str, tmp_path: Path) -> None:
    with pytest.raises((Malformed, Unsupported)) as caught:
        opened(changed(good, CHANGES[what]), tmp_path)
    assert caught.value.what
    assert str(caught.value)


def test_unknown_members_and_lines_of_a_later_program_are_passed_over(good: bytes, tmp_path: Path) -> None:
    def more(found: Lines) -> None:
        found[0]["host"] = "a"
        of(found, "row")["row"]["colour"] = "red"
        found.insert(3, {"type": "picture", "of": []})

    store = opened(changed(good, more), tmp_path)
    assert len(store.rows().rows) == 3
    store.close()


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_that_is_cut_anywhere_is_refused(good: bytes, packed: bool, tmp_path: Path) -> None:
    data = gzip.compress(good, mtime=0) if packed else good
    for end in range(1, len(data), len(data) // 40):
        with pytest.raises((Malformed, NotAStore, WrongKind, OrlopError)):
            opened(data[:end], tmp_path)


def test_a_flipped_bit_of_a_packed_file_is_found(good: bytes, tmp_path: Path) -> None:
    data = bytearray(gzip.compress(good, mtime=0))
    data[len(data) // 2] ^= 1
    with pytest.raises(OrlopError):
        opened(bytes(data), tmp_path)


def test_lines_and_files_that_are_too_long_are_not_held(
    good: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = good.splitlines()[0]
    with pytest.raises(TooLarge):
        opened(head + b'\n{"type":"' + b"a" * (bounds.LINE_LIMIT + 1) + b'"}', tmp_path)
    monkeypatch.setattr(bounds, "WHOLE_LIMIT", 2 << 20)
    bomb = gzip.compress(head + b"\n" + (b"{" + b" " * 4094 + b"}\n") * 1024, mtime=0)
    with pytest.raises(TooLarge):
        opened(bomb, tmp_path)
    monkeypatch.setattr(reading, "_MOST", 2)
    with pytest.raises(Malformed, match="cannot be read"):
        opened(good, tmp_path)


def test_nesting_without_end_is_refused(good: bytes, tmp_path: Path) -> None:
    head, *rest = good.splitlines()
    deep = b'{"type":"detail","key":["","a",null],"detail":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    with pytest.raises(Malformed):
        opened(b"\n".join([head, deep, *rest]) + b"\n", tmp_path)


def test_hostile_texts_and_paths_lead_nowhere(good: bytes, tmp_path: Path) -> None:
    def hostile(found: Lines) -> None:
        found[0]["snapshot"]["identity"]["path"] = "\x1b]52;c;eA==\x07"
        detail = of(found, "detail")["detail"]
        detail["config_path"] = "../../../etc/passwd"
        for layer in detail["layers"]:
            layer["data_path"] = "/etc/shadow"

    store = opened(changed(good, hostile), tmp_path)
    for path in ("/etc/shadow", "../../../etc/passwd", "docker"):
        with pytest.raises((Escapes, NotFound)):
            store.root.read(path)
    assert store.identity.path == str(tmp_path / "snapshot")
    store.close()


@settings(max_examples=examples(0.6), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_store_or_an_error_and_never_anything_else(good: bytes, tmp_path: Path, data: st.DataObject) -> None:
    """Bytes replaced anywhere: what opens then answers every question, or says no in words."""
    raw = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + 1] = data.draw(st.binary(max_size=3))
    try:
        store = opened(bytes(raw), tmp_path)
    except OrlopError:
        return
    try:
        for key in (row.key for row in store.rows().rows):
            store.detail(key)
            store.find(key.name or key.id)
        for facet in Facet:
            store.facet(facet, None)
            store.facet(facet, Key("", "", None))
        list(store.check(None, content=False, progress=Silent()))
        store.freed([row.key for row in store.rows().rows])
        store.space(Silent())
    except OrlopError:
        return
    finally:
        store.close()


def test_other_files_are_no_snapshots(tmp_path: Path) -> None:
    for data in (b"", b"{}\n", b"\x1f\x8b", b"\x00" * 100, b"[" * 100_000, zlib.compress(b"x")):
        with pytest.raises(OrlopError):
            opened(data, tmp_path)
