"""Ids, keys and names that would lead out of the store lead nowhere."""

from collections.abc import Callable
from typing import Any

import pytest

from orlop.docker import layout

pytestmark = pytest.mark.timeout(20)

WAYS_OUT = (
    "../../outside",
    "..",
    ".",
    "/etc",
    "l",
    "x\0y",
    "x\ny",
    "sha256:" + "../" * 21 + "x",
    "x" * 5_000,
    "../outside",
    "sha256:../../../../outside",
    "sha256:" + "A" * 64,
    "sha512:" + "0" * 128,
    "-rf",
    "",
)

TEXT_FILES: dict[str, Callable[[Any], str]] = {
    "cache-id": lambda s: s.record(s.app) + "/cache-id",
    "diff": lambda s: s.record(s.app) + "/diff",
    "layer parent": lambda s: s.record(s.app) + "/parent",
    "mount-id": lambda s: f"{layout.mounts('overlay2')}/{s.container}/mount-id",
    "init-id": lambda s: f"{layout.mounts('overlay2')}/{s.container}/init-id",
    "mount parent": lambda s: f"{layout.mounts('overlay2')}/{s.container}/parent",
    "parent key": lambda s: layout.metadata("overlay2", s.app.id) + "/parent",
    "v2 reverse": lambda s: layout.v2_reverse("overlay2", s.blob),
    "overlay link": lambda s: s.data(s.app) + "/link",
    "overlay lower": lambda s: s.data(s.child) + "/lower",
}


@pytest.mark.parametrize("way", WAYS_OUT[:9], ids=lambda way: repr(way[:24]))
@pytest.mark.parametrize("file", list(TEXT_FILES))
def test_a_record_that_names_a_way_out_is_not_followed(small: Any, walk: Any, file: str, way: str) -> None:
    small.root.write(TEXT_FILES[file](small), way.encode())
    seen = walk(small.path)
    if not file.startswith("overlay"):
        assert seen.complaints() or "DK16" in seen.rules


@pytest.mark.parametrize("way", WAYS_OUT, ids=lambda way: repr(way[:24]))
def test_names_ids_and_digests_that_lead_out_are_not_followed(small: Any, walk: Any, command: Any, way: str) -> None:
    small.root.tag("out:1", way)
    small.root.tag(f"{way}:1", small.app.id)
    small.root.tag(f"out@{way}", small.app.id)
    small.root.mapping(small.app.layers[-1], way, digest=way, reverse=False)
    record = small.root.at(f"{layout.container(small.container)}/config.v2.json")
    with open(record, "rb") as file:
        text = file.read().decode()
    small.root.write(
        f"{layout.container(small.container)}/config.v2.json",
        text.replace(small.app.id, way.replace("\0", "\\u0000").replace("\n", "\\n")).encode(),
    )
    seen = walk(small.path)
    assert "DK22" in seen.rules or "DK02" in seen.rules
    command("check", small.path, "--all")
    command("show", small.path, "out:1")
    command("rm", small.path, "out:1", "--dry-run")
    for words in (("show",), ("why",), ("mappings",), ("rm", "--dry-run")):
        command(words[0], small.path, way.replace("\0", ""), *words[1:])


@pytest.mark.parametrize("way", ["../outside", "/", "image/../../outside", "overlay2/../../outside/diff", "\x1b[2J"])
def test_why_does_not_leave_the_store(small: Any, command: Any, way: str) -> None:
    assert command("why", small.path, way).code in (3, 64)
