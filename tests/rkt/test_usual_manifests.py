"""The quick way for usual manifests gives what the exact way gives, or leaves it to that."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orlop.errors import Malformed
from orlop.rkt import manifest, usual
from orlop.rkt.manifest import ImageManifest
from tests.examples import examples

PAIRS = [{"name": "version", "value": "1.2"}, {"name": "os", "value": "linux"}, {"name": "arch", "value": "amd64"}]
DOCUMENT: dict[str, Any] = {
    "acKind": "ImageManifest",
    "acVersion": "0.8.11",
    "name": "example.com/app",
    "labels": PAIRS,
    "app": {
        "exec": ["/bin/app", "-v"],
        "user": "0",
        "group": "0",
        "workingDirectory": "/srv",
        "environment": [{"name": "A_B", "value": ""}],
        "mountPoints": [{"name": "data", "path": "/data", "readOnly": True}],
        "ports": [{"name": "http", "protocol": "tcp", "port": 80, "count": 2, "socketActivated": False}],
    },
    "annotations": [{"name": "created", "value": "2016-01-02T03:04:05Z"}],
    "dependencies": [{"imageName": "example.com/base", "imageID": "sha512-" + "a" * 64, "labels": PAIRS, "size": 3}],
    "pathWhitelist": ["/a"],
}
ODD: list[Any] = [
    None, True, 0, 1, -1, 1.5, 65_536, 1 << 63, 1 << 64, "", "a", "A", "-a", "/", "name", "os", "x y", "\u017f",
    [], {}, [None], ["a"], [{}], [{"name": "a"}], {"name": "a", "value": "b"}, [*PAIRS, *PAIRS],
]  # fmt: skip
NAMES = ["NAME", "Value", "isolators", "eventHandlers", "userLabels", "unknown", "app", "exec", "\u017fize", "port"]


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, item in inner for place in places(item, (*at, key)))]


PLACES = places(DOCUMENT)[1:]


def answer(data: bytes, *, quick: bool) -> ImageManifest | tuple[str, str, str]:
    try:
        return usual.parse(data) if quick else manifest.parse(data)
    except Malformed as error:
        return error.field, error.why, error.engine


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """The document with some values replaced, dropped, added or given twice."""
    document = json.loads(json.dumps(DOCUMENT))
    for _ in range(draw(st.integers(0, 2))):
        *above, last = draw(st.sampled_from(PLACES))
        holder = document
        for step in above:
            if not isinstance(holder, (dict, list)) or (isinstance(holder, list) and step >= len(holder)):
                break
            holder = holder.get(step) if isinstance(holder, dict) else holder[step]
        if isinstance(holder, dict):
            what = draw(st.sampled_from(["replace", "drop", "add"]))
            if what == "drop":
                holder.pop(last, None)
            else:
                holder[last if what == "replace" else draw(st.sampled_from(NAMES))] = draw(st.sampled_from(ODD))
    data = json.dumps(document)
    if draw(st.booleans()):
        twice = draw(st.sampled_from(['"name": "example.com/app"', '"user": "0"', '"port": 80', '"size": 3']))
        data = data.replace(twice, f"{twice}, {twice.partition(':')[0]}: {json.dumps(draw(st.sampled_from(ODD)))}", 1)
    return data.encode()


@settings(max_examples=examples(5))
@given(documents())
def test_there_are_never_two_answers(data: bytes) -> None:
    assert answer(data, quick=True) == answer(data, quick=False)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: "-".join(map(str, place)))
def test_no_value_in_any_place_has_two_answers(place: tuple[Any, ...]) -> None:
    for odd in ODD:
        document = json.loads(json.dumps(DOCUMENT))
        holder = document
        for step in place[:-1]:
            holder = holder[step]
        holder[place[-1]] = odd
        data = json.dumps(document).encode()
        assert answer(data, quick=True) == answer(data, quick=False), odd


def test_what_is_usual_does_not_take_the_exact_way(monkeypatch: pytest.MonkeyPatch) -> None:
    data = json.dumps(DOCUMENT).encode()
    expected = manifest.parse(data)
    monkeypatch.setattr(manifest, "parse", None)
    assert usual.parse(data) == expected


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{", b'{"acKind":"ImageManifest"}', b"\xff", b"1 2"])
def test_what_is_no_manifest_fails_alike(data: bytes) -> None:
    assert answer(data, quick=True) == answer(data, quick=False)
