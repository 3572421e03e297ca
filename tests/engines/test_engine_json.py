"""The engine is the judge of what a JSON file says: odd configs and an odd tag file, read by both."""

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from orlop import jsonrules
from orlop.docker.configshape import IMAGE
from orlop.errors import Malformed

if TYPE_CHECKING:
    from tests.engines.conftest import Engine, Made

pytestmark = [
    pytest.mark.engine,
    pytest.mark.parametrize("driver", ["vfs"], indirect=True, scope="session"),  # every driver reads the same files
]

READ: dict[str, str | bytes] = {
    "any case, last wins": '"OS":"linux","Architecture":"a","architecture":"b","AUTHOR":"x"',
    "letters that fold to ASCII": '"o\u017f":"linux","Wor\u212aing":5',
    "structs merge": '"config":{"User":"u","Labels":{"a":"1","b":"1"},"Env":["A=1","B=2"]},'
    '"Config":{"labels":{"b":"2"},"Env":["C=3"]}',
    "null after a value": '"os":"linux","os":null,"config":{"User":"u"},"config":null',
    "null in a list": '"config":{"Env":["A=1","B=2"],"Env":["C=3",null]}',
    "null and repetition in a map": '"config":{"Labels":{"a":"1","a":"2","n":null}}',
    "lists are read over earlier ones": '"history":[{"created_by":"a","comment":"c"},'
    '{"created_by":"z","empty_layer":true}],"history":[{"comment":"b"}]',
    "what a shorter list hid": '"history":[{"created_by":"a"},{"created_by":"z","empty_layer":true}],'
    '"history":[{"comment":"b"}],"history":[{},{"empty_layer":true}]',
    "a new list after an empty one": '"config":{"Env":["A=1","B=2"],"Env":[],"Env":[null,null]}',
    "lone surrogates": '"author":"x\\ud800y\\ud83d\\ude00\\ude00","comment":"\\ud83d\\u0041"',
    "bytes that are not UTF-8": b'"author":"x\xff\xe2\x82\xed\xa0\x80\xf0\x9f\x98\x80"',
    "a command that is one text": '"config":{"Cmd":"sh -c x","Entrypoint":["a",null]}',
    "a command emptied again": '"config":{"Cmd":"x","cmd":null}',
    "deep, and a long number": '"x":' + "[" * 9_990 + "]" * 9_990 + ',"y":' + "1" * 6_000,
    "times that are written oddly": '"created":"2020-01-01T1:00:00,5Z"',
}
REFUSED: dict[str, str | bytes] = {
    "a number for a text": '"os":5',
    "a number before a text": '"os":5,"os":"linux"',
    "a list for an object": '"rootfs":[]',
    "a text for a list": '"rootfs":{"diff_ids":"x"}',
    "a boolean among texts": '"config":{"Env":["x",true]}',
    "a number among labels": '"config":{"Labels":{"a":1}}',
    "a text among objects": '"history":[{},"x"]',
    "a list for ports": '"config":{"ExposedPorts":[]}',
    "an object for a command": '"config":{"Cmd":{}}',
    "a fraction": '"Size":1.5',
    "too deep": '"x":' + "[" * 10_001 + "]" * 10_001,
    "not a number": '"x":NaN',
    "half a number": '"x":[1.x]',
    "no such escape": '"x":"\\q"',
    "a raw newline": '"x":"\n"',
    "a comma too many": '"x":[1,]',
    "something after it": '"x":1} {',
    "a zero byte after it": '"x":1}\0{',
}


def _document(layers: list[str], members: str | bytes) -> bytes:
    start = json.dumps({"rootfs": {"type": "layers", "diff_ids": layers}})[:-1].encode() + b","
    return start + (members if isinstance(members, bytes) else members.encode()) + b"}"


def _one_layer(made: "Made") -> list[str]:
    inspected = made.images[made.id_of("base:1.0")].inspect["RootFS"]
    assert isinstance(inspected, dict)
    return list(inspected["Layers"])


def _write(engine: "Engine", data: bytes) -> str:
    name = hashlib.sha256(data).hexdigest()
    (engine.data / "image" / engine.driver / "imagedb/content/sha256" / name).write_bytes(data)
    return f"sha256:{name}"


def _as_read(document: object) -> dict[str, object]:
    """What `docker inspect` says of these members, by Orlop's reading."""
    config = jsonrules.mapping(document, "config")
    return {
        "Os": jsonrules.text(document, "os") or "linux",
        "Architecture": jsonrules.text(document, "architecture"),
        "Author": jsonrules.text(document, "author"),
        "Comment": jsonrules.text(document, "comment") or next((comment for _, comment in _history(document)), ""),
        "User": jsonrules.text(config, "User"),
        "Env": list(jsonrules.texts(config, "Env")),
        "Labels": jsonrules.text_map(config, "Labels"),
        "Cmd": list(jsonrules.command(config, "Cmd")),
        "Entrypoint": list(jsonrules.command(config, "Entrypoint")),
    }


def _as_inspected(found: dict[str, object]) -> dict[str, object]:
    config = found["Config"] or {}
    assert isinstance(config, dict)
    return {
        **{
            name: found[name] or ("linux" if name == "Os" else "")
            for name in ("Os", "Architecture", "Author", "Comment")
        },
        "User": config.get("User", ""),
        "Labels": config.get("Labels") or {},
        **{name: config.get(name) or [] for name in ("Env", "Cmd", "Entrypoint")},
    }


def _history(document: object) -> list[tuple[str, str]]:
    """Commands and comments, newest first."""
    entries = jsonrules.mappings(document, "history")
    return [(jsonrules.text(entry, "created_by"), jsonrules.text(entry, "comment")) for entry in entries][::-1]


def test_odd_configs_say_the_same_to_the_engine_and_to_orlop(made: "Made", engine: "Engine") -> None:
    layers = _one_layer(made)
    documents = {case: _document(layers, members) for case, members in READ.items()}
    ids = {case: _write(engine, data) for case, data in documents.items()}

    with engine.running():
        for case, data in documents.items():
            [inspected] = json.loads(engine.docker("image", "inspect", ids[case]))
            history = [(line["CreatedBy"], line["Comment"]) for line in engine._history(ids[case])]

            document = jsonrules.loads(data)
            IMAGE.conform(document)
            assert _as_read(document) == _as_inspected(inspected), case
            assert _history(document) == history, case


def test_configs_that_the_engine_refuses_are_refused_with_its_words(made: "Made", engine: "Engine") -> None:
    layers = _one_layer(made)
    documents = {case: _document(layers, members) for case, members in REFUSED.items()}
    documents |= {"a list": b"[]", "a byte order mark": b"\xef\xbb\xbf{}", "half of it": b'{"rootfs":'}
    words = {}
    for case, data in documents.items():
        with pytest.raises(Malformed) as refusal:
            IMAGE.conform(jsonrules.loads(data))
        words[case] = (_write(engine, data), refusal.value.engine)

    with engine.running():
        listed = engine.listed()

    messages = engine.messages()
    for case, (image, said) in words.items():
        assert image not in listed, case
        assert f"invalid image {image}, {said}" in messages, case


def test_an_odd_tag_file_says_the_same_to_the_engine_and_to_orlop(made: "Made", engine: "Engine") -> None:
    image, other = made.id_of("base:1.0").encode(), made.id_of("single:1").encode()
    raw = (
        b' {"x":[1],"repositories":{"aa":{"aa:1":"%b","aa:1":"%b"},"bb":{"bb:1":"%b"},"bb":{"bb:2":"%b"},'
        b'"cc":{"cc:1":"%b"}},'
        b'"Repo\xc5\xbfitories":{"cc":{"cc:2":"%b"},"dd":{"dd:1":"%b","dd:\xff":"%b"},"ee":null}} and more \xff'
    ) % (image, other, image, image, image, image, image, image)
    (engine.data / "image" / engine.driver / "repositories.json").write_bytes(raw)

    repositories = jsonrules.member(jsonrules.loads(raw, stream=True), "Repositories")
    assert repositories == {
        "aa": {"aa:1": other.decode()},
        "bb": {"bb:2": image.decode()},
        "cc": {"cc:2": image.decode()},
        "dd": {"dd:1": image.decode(), "dd:\ufffd": image.decode()},
        "ee": None,
    }
    with engine.running():
        names = {name for found in engine.listed().values() for name in found}
    assert names == {"aa:1", "bb:2", "cc:2", "dd:1"}  # the last of dd is no name
