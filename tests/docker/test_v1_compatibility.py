"""Configs and ids of images as they were before 1.10."""

import hashlib
import json

import pytest

from orlop.docker import imagejson, v1
from orlop.docker.digestset import parse_digest
from orlop.docker.imagejson import History, RootFS
from orlop.errors import Malformed

ID = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"


def test_a_v1_id_is_64_lower_case_hex_digits_and_nothing_after_them() -> None:
    v1.validate_id(ID)

    with pytest.raises(Malformed) as refused:
        v1.validate_id(ID + "\n")

    assert refused.value.engine == f'image ID "{ID}\\n" is invalid'


@pytest.mark.parametrize(
    ("text", "words"),
    [("\x00\x7f", r'"\x00\x7f"'), ('"\\', r'"\"\\"'), ("é\u2028", r'"é\u2028"'), ("\udcff", r'"\xff"')],
)
def test_a_refused_id_is_quoted_as_the_engine_quotes_it(text: str, words: str) -> None:
    assert v1.quoted(text) == words


def test_unknown_members_survive_from_1_8_3_on_with_the_spelling_of_their_numbers() -> None:
    config = b'{"docker_version":"1.8.3","extra":{"b":1.50},"id":"x","throwaway":true}'

    made = v1.make_config_from_v1_config(config, RootFS(), [History(created_by="a && b")])

    assert made == (
        b'{"docker_version":"1.8.3","extra":{"b":1.50},'
        b'"history":[{"created":"0001-01-01T00:00:00Z","created_by":"a \\u0026\\u0026 b"}],'
        b'"rootfs":{"type":"layers"}}'
    )


@pytest.mark.parametrize(
    "version", ["1.8.2", "1.8", "", "garbage", "1.8.3-rc1", "1.8.3.-1", "-99999999999999999999999"]
)
def test_only_known_members_survive_from_older_engines(version: str) -> None:
    config = json.dumps({"docker_version": version, "extra": 1}).encode()

    assert b"extra" not in v1.make_config_from_v1_config(config, RootFS(), None)


@pytest.mark.parametrize("version", ["1.8.3", "1.8.3.0", "1.10", "2", "99999999999999999999999", "+1.9"])
def test_versions_are_compared_number_by_number(version: str) -> None:
    config = json.dumps({"docker_version": version, "extra": 1}).encode()

    assert b'"extra":1' in v1.make_config_from_v1_config(config, RootFS(), None)


def test_a_v1_id_hashes_the_sorted_config_with_the_layer_and_the_parent() -> None:
    made = v1.create_id(b'{"id":"gone","os":"linux","parent":"old"}', layer_id="sha256:1", parent="sha256:2")

    written = json.loads(imagejson.parse(b'{"os":"linux","rootfs":{}}').marshal())
    del written["rootfs"]
    written |= {"layer_id": "sha256:1", "parent": "sha256:2"}
    text = json.dumps({name: written[name] for name in sorted(written)}, separators=(",", ":"))
    assert made == "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def test_the_command_of_a_v1_config_becomes_one_text_and_its_time_keeps_its_zone() -> None:
    config = b'{"created":"2015-10-20T00:00:00.10+02:00","container_config":{"Cmd":"one text"},"author":"a"}'

    entry = v1.history_from_config(config, empty_layer=True)

    assert entry == History(created="2015-10-20T00:00:00.1+02:00", author="a", created_by="one text", empty_layer=True)
    assert entry.created_at == 1445292000_100000000


def test_a_v1_config_keeps_an_existing_parent_unless_another_is_given() -> None:
    config = imagejson.parse(b'{"rootfs":{},"history":[],"parent":"p","z":1.0}')

    assert v1.make_v1_config_from_config(config, v1_id="i") == b'{"id":"i","parent":"p","z":1.0}'
    assert v1.make_v1_config_from_config(config, v1_id="i", parent_v1_id="q", throwaway=True) == (
        b'{"id":"i","parent":"q","throwaway":true,"z":1.0}'
    )


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2016-01-01T00:00:00.120000Z", "2016-01-01T00:00:00.12Z"),
        ("2016-01-01T00:00:00-03:30", "2016-01-01T00:00:00-03:30"),
        ("2016-01-01T00:00:00.5+00:00", "2016-01-01T00:00:00.5Z"),
        ("0000-12-31T23:59:59.999999999+14:00", "0000-12-31T23:59:59.999999999+14:00"),
    ],
)
def test_times_are_written_again_in_their_own_zone(text: str, written: str) -> None:
    assert imagejson.written_time(text) == written


def test_null_leaves_a_struct_alone_and_empties_a_pointer() -> None:
    config = imagejson.parse(
        b'{"rootfs":{},"config":{"Cmd":["a"]},"config":null,"container_config":{"Cmd":["b"]},"container_config":null}'
    )

    written = json.loads(config.marshal())

    assert "config" not in written
    assert written["container_config"]["Cmd"] == ["b"]


def test_absent_lists_are_null_and_empty_ones_stay_empty() -> None:
    written = json.loads(imagejson.parse(b'{"rootfs":{},"config":{"Env":[],"Volumes":{},"Healthcheck":{}}}').marshal())

    assert written["config"]["Env"] == []
    assert written["config"]["Volumes"] == {}
    assert written["config"]["Healthcheck"] == {}
    assert written["config"]["OnBuild"] is None
    assert "ExposedPorts" not in written["config"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sha256:" + "a" * 63, "invalid checksum digest length"),
        ("sha256:" + "a" * 64 + "\n", "invalid checksum digest format"),
        ("md5:aa", "unsupported digest algorithm"),
        ("", "invalid checksum digest format"),
    ],
)
def test_digest_texts_are_refused_in_the_engines_words(text: str, words: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse_digest(text)

    assert refused.value.engine == words
