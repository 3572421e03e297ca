"""Compatibility with images as they were before 1.10: their ids, their configs and what becomes of them.

Byte for byte what the engine writes, since ids are hashes of it.

Source: moby v1.12.0-rc4 image/v1/imagev1.go; pkg/version for the order of versions.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import zip_longest

from orlop import jsonrules
from orlop.digest import Digest, is_hex
from orlop.docker.imagejson import History, ImageConfig, RootFS, chain_id, parse_v1, time_of, v1_members
from orlop.errors import Malformed
from orlop.jsonrules.raw import raw_members, write_members
from orlop.jsonrules.shapes import Struct, Text

__all__ = [
    "chain_id_of",
    "create_id",
    "history_from_config",
    "make_config_from_v1_config",
    "make_v1_config_from_config",
    "validate_id",
]

_FIRST_WHOLE_VERSION = (1, 8, 3)
"""Engines from this version wrote configs without blank fields, so theirs go through untouched."""
_VERSION_ONLY = Struct("struct { DockerVersion string }", {"docker_version": Text()})
_OF_V1 = ("id", "parent", "Size", "parent_id", "layer_id", "throwaway")
"""Members that a config of an image has no more."""
_OF_IMAGE = ("rootfs", "history", "os.version", "os.features")
"""Members that a config of a v1 image had not yet."""


def validate_id(text: str) -> None:
    """Check the id of a v1 image: exactly 64 lower-case hex digits.

    Raises:
        Malformed: it is not; `engine` has the engine's words.
    """
    if not is_hex(text):
        raise Malformed("a v1 image id has 64 lower-case hex digits", engine=f"image ID {quoted(text)} is invalid")


def chain_id_of(diff_ids: Iterable[str]) -> str:
    """The id of the top one of some layers, bottom first: empty for none, the DiffID itself for one.

    Of more, the sha256 of the text ``<chain id below> <diff id>``. The ids are not checked.
    """
    return chain_id(tuple(diff_ids))


def history_from_config(config: bytes, *, empty_layer: bool) -> History:
    """The history entry that a v1 config gives: when, by whom, with what command.

    Args:
        config: the JSON of a v1 image.
        empty_layer: whether its layer holds nothing.

    Raises:
        Malformed: the config cannot be read; `engine` has the engine's words.
    """
    document = parse_v1(config)
    command = jsonrules.command(jsonrules.mapping(document, "container_config"), "Cmd")
    return History(
        created=time_of(document, "created"),
        author=jsonrules.text(document, "author"),
        created_by=" ".join(command),
        comment=jsonrules.text(document, "comment"),
        empty_layer=empty_layer,
    )


def create_id(v1_image: bytes, *, layer_id: str, parent: str = "") -> Digest:
    """A v1 id for an image that never had one, from its config, its layer's chain id and its parent's id.

    Its hex is the id; the sha256 of the known fields (those of engine 1.12), sorted,
    without ``id``, with ``layer_id`` (also when empty) and ``parent`` (where given).

    Raises:
        Malformed: the config cannot be read; `engine` has the engine's words.
    """
    members = v1_members(parse_v1(v1_image))
    members.pop("id", None)
    members["layer_id"] = jsonrules.dumps(layer_id)
    if parent:
        members["parent"] = jsonrules.dumps(parent)
    return Digest.of(write_members(members))


def make_config_from_v1_config(v1_config: bytes, rootfs: RootFS | None, history: Sequence[History] | None) -> bytes:
    """The config of an image from that of a v1 image.

    Members that the engine does not know are kept, with the bytes of their values, where
    the config says that 1.8.3 or later wrote it; else only the known fields are (an
    absent or unreadable ``docker_version`` is old).

    Args:
        v1_config: the JSON of a v1 image.
        rootfs: the layers; None writes ``null``, which no engine takes.
        history: one entry a step; None writes ``null``.

    Raises:
        Malformed: the config cannot be read; `engine` has the engine's words.
    """
    document = jsonrules.loads(v1_config)
    _VERSION_ONLY.conform(document)
    if _is_older(jsonrules.text(document, "docker_version"), _FIRST_WHOLE_VERSION):
        members = v1_members(parse_v1(v1_config))
    else:
        members = raw_members(v1_config)
    for name in _OF_V1:
        members.pop(name, None)
    entries = None if history is None else [entry.to_json() for entry in history]
    members["rootfs"] = jsonrules.dumps(None if rootfs is None else rootfs.to_json())
    members["history"] = jsonrules.dumps(entries)
    return write_members(members)


def make_v1_config_from_config(
    config: ImageConfig, *, v1_id: str, parent_v1_id: str = "", throwaway: bool = False
) -> bytes:
    """The config of a v1 image from that of an image: its members with their bytes, the id put in.

    Args:
        config: as `orlop.docker.imagejson.parse` gives it.
        v1_id: the v1 image's id.
        parent_v1_id: the id of its parent; empty leaves the member as it is.
        throwaway: whether the v1 image stands for a layer only, not for the image.
    """
    members = raw_members(config.raw)
    for name in _OF_IMAGE:
        members.pop(name, None)
    members["id"] = jsonrules.dumps(v1_id)
    if parent_v1_id:
        members["parent"] = jsonrules.dumps(parent_v1_id)
    if throwaway:
        members["throwaway"] = jsonrules.dumps(True)
    return write_members(members)


_NUMBER = re.compile(r"[+-]?[0-9]+")
_LARGEST = (1 << 63) - 1


def _is_older(text: str, than: tuple[int, ...]) -> bool:
    """Whether a version comes before another: numbers between dots, one that is missing or no number is 0."""
    for part, other in zip_longest(text.split("."), than, fillvalue=0):
        number = _number(part) if isinstance(part, str) else part
        if number != other:
            return number < other
    return False


def _number(text: str) -> int:
    if _NUMBER.fullmatch(text) is None:
        return 0
    if len(text) > 20:
        return -_LARGEST if text.startswith("-") else _LARGEST
    return max(-_LARGEST, min(_LARGEST, int(text)))


_NAMED = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v"}


def quoted(text: str) -> str:
    """A text as Go's ``%q`` writes it (strconv/quote.go)."""
    return '"' + "".join(_quoted(character) for character in text) + '"'


def _quoted(character: str) -> str:
    code = ord(character)
    if character in '"\\':
        return "\\" + character
    if character in _NAMED:
        return _NAMED[character]
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if character.isprintable():
        return character
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
