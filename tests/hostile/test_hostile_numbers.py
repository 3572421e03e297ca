"""Too much, too deep, too long, round in circles: answered in bounded time and memory."""

import hashlib
import json
import os
import zlib
from typing import Any

import pytest

from orlop import kinds
from orlop.docker import layout
from orlop.progress import Silent
from orlop.records import Condition, Trust

pytestmark = pytest.mark.timeout(60)


def config(rootfs: object | None = None, **members: object) -> bytes:
    document = {"architecture": "amd64", "os": "linux", "rootfs": rootfs or {"type": "layers"}, **members}
    return json.dumps(document).encode()


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    return (opening * depth + closing * depth).encode()


READABLE = {
    (b"nu", "config.v2.json"),  # Go takes null for an empty object
    (b'{"', "repositories.json"),
    (b'{"', "config.v2.json"),
}
"""Beginnings of what the engine can read in that file, odd as it is."""


def row_of(seen: Any, image: str) -> Any:
    return next(row for row in seen.rows if row.key.id == image)


@pytest.mark.parametrize("shape", [b"[" * 100_000, nested(100_000), nested(100_000, '{"a":', "}")[:-100_000]])
def test_json_nested_beyond_reason_is_a_damaged_row(small: Any, walk: Any, command: Any, shape: bytes) -> None:
    image = small.rewrite_config(b'{"config":' + shape + b',"rootfs":{"type":"layers"}}')
    seen = walk(small.path)
    assert row_of(seen, image).condition is not Condition.SOUND
    assert "DK03" in seen.rules
    command("show", small.path, image)
    command("show", small.path, image, "--json")


@pytest.mark.parametrize("depth", [900, 9_990])
def test_json_nested_as_deep_as_the_engine_reads_it_is_shown(small: Any, walk: Any, command: Any, depth: int) -> None:
    labels = b'{"architecture":"amd64","config":{"x":' + nested(depth) + b'},"rootfs":{"type":"layers"}}'
    image = small.rewrite_config(labels)
    seen = walk(small.path)
    assert row_of(seen, image).condition is Condition.SOUND
    command("show", small.path, image)
    command("show", small.path, image, "--json")


@pytest.mark.parametrize(
    "path",
    [
        lambda s: layout.tag_file("overlay2"),
        lambda s: layout.v2_list("overlay2", s.app.layers[-1].diff_id),
        lambda s: f"{layout.container(s.container)}/config.v2.json",
    ],
    ids=["tag file", "v2 list", "config.v2.json"],
)
@pytest.mark.parametrize(
    "data",
    [
        nested(100_000),
        nested(100_000, '{"Repositories":', "}"),
        b"null",
        b"NaN",
        b"1e999999",
        b"9" * 5_000,
        b"\xff\xfe\x00",
        b'"' + b"\\ud800" * 1000 + b'"',
        b"[{}]",
        b"[[],null,1]",
        b'{"Repositories":[],"repositories":{"a":{"a:1":5}}}',
        b'{"ID":{},"Image":[],"Name":1,"State":[],"Config":7}',
        b"",
        b"\0" * 4096,
    ],
    ids=lambda data: repr(data[:12]),
)
def test_any_json_in_any_file_is_told(small: Any, walk: Any, path: Any, data: bytes) -> None:
    small.root.write(path(small), data)
    seen = walk(small.path)
    if (data[:2], path(small).rpartition("/")[2]) not in READABLE and "v2metadata" not in path(small):
        assert seen.complaints()


@pytest.mark.parametrize(
    "members",
    [
        {"created": "9999-12-31T23:59:59.999999999Z"},
        {"created": "0001-01-01T00:00:00Z"},
        {"created": "not a time"},
        {"created": 5},
        {"history": [{}] * 5_000},
        {"history": {"a": 1}},
        {"history": [None, 1, "a", []]},
        {"history": [{"created": "9999-12-31T23:59:59Z", "created_by": None}] * 3},
        {"config": None},
        {"config": []},
        {"config": {"Env": "A=B", "Labels": ["a"], "Cmd": {"a": 1}}},
        {"config": {"Env": [None, 1, {}, []], "Labels": {"a": None, "b": 5}}},
        {"architecture": 7, "os": []},
        {"x": 10**400},
        {"x": "y" * 3_000_000},
        {"rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64] * 10_000}},
        {"rootfs": {"type": "layers", "diff_ids": [f"sha256:{n:064x}" for n in range(1_000)]}},
        {"rootfs": {"type": "layers", "diff_ids": [None, 1]}},
        {"rootfs": []},
        {"rootfs": None},
    ],
    ids=lambda members: repr(members)[:32],
)
def test_any_config_is_a_row(small: Any, walk: Any, command: Any, members: dict[str, object]) -> None:
    image = small.rewrite_config(config(**members))
    seen = walk(small.path)
    assert row_of(seen, image).key.name == "hostile:1"
    assert command("ls", small.path).code != 3 or seen.errors
    command("ls", small.path, "--json")
    command("show", small.path, image)
    command("show", small.path, image, "--json")
    command("check", small.path, "--all")


def test_a_config_of_200_megabytes_is_hashed_and_not_parsed(small: Any, walk: Any, command: Any) -> None:
    wrong = "sha256:" + "ab" * 32
    small.root.tag("big:1", wrong)
    small.root.write(layout.config("overlay2", wrong), b"")
    os.truncate(small.at(layout.config("overlay2", wrong)), 200_000_000)
    row = row_of(walk(small.path), wrong)
    assert row.condition is Condition.DAMAGED
    command("show", small.path, wrong)


def test_a_config_too_large_to_parse_whose_digest_holds_is_not_called_damaged(small: Any, walk: Any) -> None:
    data = b'{"rootfs":{"type":"layers"},"x":"' + b"y" * (9 * 1024 * 1024) + b'"}'
    image = small.rewrite_config(data)
    assert image == "sha256:" + hashlib.sha256(data).hexdigest()
    row = row_of(walk(small.path), image)
    assert (row.trust, row.condition) == (Trust.LISTED, Condition.SOUND)
    assert "not parsed" in row.reason


def test_ten_thousand_odd_names_in_a_folder_are_listed_and_left_alone(small: Any) -> None:
    folder = small.at(layout.layers("overlay2"))
    for number in range(10_000):
        (folder / f"\x1b]0;{number}\x07").touch()
    store = kinds.open(small.path)
    found = [finding.rule for finding in store.check(None, content=False, progress=Silent())]
    rows = store.rows().rows
    store.close()
    assert len(rows) == 3
    assert found.count("DK15") == 10_000


def test_a_recipe_that_unpacks_without_end_is_given_up(small: Any, walk: Any) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b"\0" * 1_000_000
    bomb = b"".join(packer.compress(block) for _ in range(200)) + packer.flush()
    small.root.write(small.record(small.app) + "/tar-split.json.gz", bomb)
    assert walk(small.path).rules & {"DK06", "DK09"}


def test_a_recipe_of_very_many_entries_is_read_to_its_end(small: Any, walk: Any) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b'{"type":1,"name":"x","size":1,"payload":"","position":1}\n' * 1_000
    bomb = b"".join(packer.compress(block) for _ in range(100)) + packer.flush()
    small.root.write(small.record(small.app) + "/tar-split.json.gz", bomb)
    small.root.write(small.record(small.app) + "/size", b"99999")
    assert "DK06" in walk(small.path).rules


@pytest.mark.parametrize(
    "size", [b"-5", b"+7", b"9223372036854775807", b"9" * 30, b"1_0", b" 3", b"3\n", "٣".encode(), b"0x10", b"1e3"]
)
def test_a_size_that_is_no_plain_number_is_told(small: Any, walk: Any, command: Any, size: bytes) -> None:
    small.root.write(small.record(small.app) + "/size", size)
    seen = walk(small.path)
    assert {"DK04", "DK06"} & seen.rules
    command("ls", small.path)


def test_images_that_are_each_others_parents_are_shown_and_can_be_removed(small: Any, walk: Any, command: Any) -> None:
    small.root.metadata(small.base.id, "parent", small.child.id.encode())
    seen = walk(small.path)
    assert len(seen.rows) == 3
    command("why", small.path, "base:1")
    command("rm", small.path, "app:1", "--dry-run")


def test_an_image_that_is_its_own_parent_is_shown(small: Any, walk: Any, command: Any) -> None:
    small.root.metadata(small.app.id, "parent", small.app.id.encode())
    assert len(walk(small.path).rows) == 3
    command("rm", small.path, "app:1", "--dry-run")


def test_layer_records_that_are_each_others_parents_are_told(small: Any, walk: Any) -> None:
    below, above = small.base.layers[-1].chain_id, small.app.layers[-1].chain_id
    small.root.write(layout.layer("overlay2", below) + "/parent", above.encode())
    assert "DK05" in walk(small.path).rules


def test_two_layer_records_on_one_folder_are_not_both_taken_away(small: Any, walk: Any) -> None:
    """Removing one image must leave what another image's record names."""
    shared = small.base.layers[-1].cache_id
    small.root.write(small.record(small.child) + "/cache-id", shared.encode())
    seen = walk(small.path)
    doomed = [
        step.path
        for plan in seen.plans
        for step in plan.steps
        if plan.images == (small.child.id,) and "overlay2/" in step.path
    ]
    assert f"overlay2/{shared}" not in doomed
