"""Whatever a name, a label or a history line holds, it is shown spelled out and acts on nothing."""

import json
import os
from typing import Any

import pytest

from orlop.docker import layout
from orlop.records import Flag
from orlop.text import is_odd

pytestmark = pytest.mark.timeout(30)


def as_json(value: object) -> bytes:
    """JSON with the text's own bytes, invalid UTF-8 included."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogateescape")


def config_with(text: str, small: Any) -> bytes:
    return as_json(
        {
            "architecture": text,
            "variant": text,
            "os": text,
            "author": text,
            "comment": text,
            text: text,
            "config": {
                "Env": [text, f"{text}={text}", f"SECRET_{text}={text}"],
                "Cmd": [text, "second"],
                "Labels": {text: text},
                "ExposedPorts": {text: {}},
                "User": text,
                "WorkingDir": text,
                text: [text, {text: text}],
            },
            "created": "2026-08-01T00:00:00Z",
            "docker_version": text,
            "history": [{"created": text, "created_by": text, "comment": text, "author": text}, {text: text}],
            "rootfs": {"type": text, "diff_ids": [layer.diff_id for layer in small.app.layers]},
        }
    )


def write_tags(small: Any, text: str, image: str) -> None:
    document = {"Repositories": {"x": {f"x:{text}": image}, text: {text: image, "hostile:1": image}}}
    document["Repositories"]["app"] = {"app:1": small.app.id}
    small.root.write(layout.tag_file("overlay2"), as_json(document), 0o600)


def plant(small: Any, text: str) -> str:
    """The text in every place that takes one."""
    image: str = small.root.config(config_with(text, small)).id
    write_tags(small, text, image)
    small.root.metadata(image, "parent", text.encode("utf-8", "surrogateescape"))
    small.root.metadata(image, "lastUpdated", text.encode("utf-8", "surrogateescape"))
    entry = {"Digest": small.blob, "SourceRepository": text, "HMAC": text}
    entries = [entry, {"Digest": text, "SourceRepository": "ghcr.io/acme/app", "HMAC": ""}]
    small.root.write(layout.v2_list("overlay2", small.app.layers[-1].diff_id), as_json(entries))
    small.root.write(layout.v2_reverse("overlay2", small.blob), text.encode("utf-8", "surrogateescape"))
    container = f"{layout.container(small.container)}/config.v2.json"
    record = {
        "ID": text,
        "Name": text,
        "Image": image,
        "Driver": text,
        "Config": {"Image": text},
        "State": {"Running": False},
    }
    small.root.write(container, as_json(record))
    for record_file in ("cache-id", "diff", "parent", "size"):
        path = f"{small.record(small.child)}/{record_file}"
        small.root.write(path, text.encode("utf-8", "surrogateescape"))
    return image


def file_name(text: str) -> bytes:
    """The text as far as a file can be called so."""
    return text.encode("utf-8", "surrogateescape").replace(b"/", b"").replace(b"\0", b"")[:200] or b"empty"


def plant_names(small: Any, text: str) -> None:
    """Files and folders that are called so, in every folder of the format."""
    name = os.fsdecode(file_name(text))
    for folder in (
        layout.configs("overlay2"),
        layout.metadata_folders("overlay2"),
        layout.metadata("overlay2", small.app.id),
        layout.layers("overlay2"),
        small.record(small.app),
        layout.mounts("overlay2"),
        layout.transactions("overlay2"),
        layout.v2_lists("overlay2"),
        layout.v2_reverses("overlay2"),
        layout.CONTAINERS,
        layout.image_root("overlay2"),
        "overlay2",
    ):
        small.root.write(f"{folder}/{name}", b"")
    small.root.make(f"{layout.IMAGE}/{name}-driver/imagedb")
    small.root.make(f"{layout.layers('overlay2')}/{name}-removing")


def test_a_text_anywhere_is_harmless_to_every_question(small: Any, walk: Any, text: str) -> None:
    image = plant(small, text)
    seen = walk(small.path)
    assert image in {row.key.id for row in seen.rows}
    assert seen.complaints()
    if is_odd(text):
        assert any(Flag.ODD_NAME in row.flags for row in seen.rows if row.key.id == image)


def test_a_text_anywhere_is_harmless_to_every_command(small: Any, command_text: str, command: Any) -> None:
    text = command_text
    image = plant(small, text)
    for words in (("ls",), ("mappings",), ("remotes",), ("check", "--all")):
        command(words[0], small.path, *words[1:])
        command(words[0], small.path, *words[1:], "--json")
    for json_flag in ((), ("--json",)):
        command("show", small.path, image, "--reveal", *json_flag)
        command("show", small.path, image, *json_flag)
        command("why", small.path, image, *json_flag)
        command("rm", small.path, image, "--dry-run", *json_flag)
        command("untag", small.path, f"x:{text}", "--dry-run", *json_flag)
        command("why", small.path, text, *json_flag)
        command("tag", small.path, image, f"x:{text}", "--dry-run", *json_flag)


def test_file_names_are_harmless_to_every_question(small: Any, walk: Any, text: str) -> None:
    plant_names(small, text)
    seen = walk(small.path)
    assert small.app.id in {row.key.id for row in seen.rows}
    assert "DK15" in seen.rules


def test_file_names_are_harmless_to_every_command(small: Any, joined_text: str, command: Any) -> None:
    for text in joined_text.split("~"):
        plant_names(small, text)
    command("ls", small.path, "--driver", "overlay2")
    command("check", small.path, "--all", "--driver", "overlay2")
    command("check", small.path, "--all")
    command("show", small.path, "app:1", "--driver", "overlay2")


def test_a_path_with_such_a_name_is_opened_and_said_safely(tmp_path: Any, text: str, command: Any) -> None:
    path = os.path.join(str(tmp_path), os.fsdecode(file_name(text)))
    command("ls", path)
    os.mkdir(path)
    command("ls", path)
    os.mkdir(os.path.join(path, "image"))
    command("check", path)
