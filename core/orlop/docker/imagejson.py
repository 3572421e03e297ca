"""An image config as a value: what the engine reads in it, and what it writes of it again.

The bytes of a config are the identity of its image and are never written again in
their place. Some operations of the engine do write what they understood of one
(v1 compatibility, `ImageConfig.marshal`): only the fields that they know, zero values
among them, members sorted.

Source: moby v1.12.0-rc4: image/image.go (V1Image, Image, History, NewFromJSON,
MarshalJSON), image/rootfs.go, engine-api container.Config. Read by the rules of
v20.10 (`orlop.docker.configshape`), which only know more fields.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import dropwhile

from orlop import jsonrules, times
from orlop.digest import chain_ids
from orlop.docker.configshape import IMAGE, V1_IMAGE
from orlop.errors import Malformed
from orlop.jsonrules import Fields, Repeated
from orlop.jsonrules.raw import write_members

ZERO_TIME = "0001-01-01T00:00:00Z"
"""What the engine has where no time is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One entry of a config's history: a layer, or a step that changed no file."""

    created: str = ZERO_TIME
    """RFC 3339 as the engine writes it, in the time zone that was written; nine digits of fraction at most."""
    author: str = ""
    created_by: str = ""
    comment: str = ""
    empty_layer: bool = False

    @property
    def created_at(self) -> int:
        """`created` in nanoseconds UTC; the zero time is a negative number."""
        return times.parse(self.created)

    def to_json(self) -> Fields:
        """As the engine writes it, for `orlop.jsonrules.dumps`."""
        return _fields(
            ("created", written_time(self.created), False),
            ("author", self.author, True),
            ("created_by", self.created_by, True),
            ("comment", self.comment, True),
            ("empty_layer", self.empty_layer, True),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RootFS:
    """The layers of an image, bottom first."""

    type: str = "layers"
    diff_ids: tuple[str, ...] = ()
    """As the config has them; the engine checks their shape nowhere."""

    @property
    def chain_id(self) -> str:
        """The id of the top layer in the layer store; empty where there is no layer."""
        return chain_id(self.diff_ids)

    def to_json(self) -> Fields:
        """As the engine writes it, for `orlop.jsonrules.dumps`."""
        return _fields(("type", self.type, False), ("diff_ids", list(self.diff_ids), True))


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """What the engine reads in the config of an image."""

    raw: bytes
    """The config as it is stored; the sha256 of these bytes is the id of the image."""
    rootfs: RootFS
    history: tuple[History, ...]
    created: str
    """As `History.created`."""
    author: str
    comment: str
    docker_version: str
    architecture: str
    os: str
    variant: str
    os_version: str
    os_features: tuple[str, ...]
    size: int
    """The member ``Size`` of configs older than 1.10, bytes; nearly always 0, whatever the image holds."""
    v1_id: str
    """The member ``id``, of configs older than 1.10."""

    @property
    def chain_id(self) -> str:
        """The id of the top layer in the layer store; empty where there is no layer."""
        return self.rootfs.chain_id

    @property
    def created_at(self) -> int:
        """`created` in nanoseconds UTC; the zero time is a negative number."""
        return times.parse(self.created)

    def marshal(self, *, parent: str | None = None) -> bytes:
        """The config written again by the engine (1.12): known fields only, the members sorted.

        Args:
            parent: the member ``parent``, left out where empty; None: as the config has it.
        """
        members = struct_members(jsonrules.loads(self.raw), _IMAGE_FIELDS)
        if parent is not None:
            members.pop("parent", None)
            if parent:
                members["parent"] = jsonrules.dumps(parent)
        return write_members(members)


def parse(data: bytes) -> ImageConfig:
    """Read a config as the engine does when it takes or lists an image.

    Raises:
        Malformed: not JSON, a field of another type than the engine's, or no ``rootfs``;
            `engine` has the engine's words, `field` the member.
    """
    document, rootfs = _read(data)
    return ImageConfig(
        raw=data,
        rootfs=RootFS(type=jsonrules.text(rootfs, "type"), diff_ids=jsonrules.texts(rootfs, "diff_ids")),
        history=tuple(_history(entry) for entry in jsonrules.mappings(document, "history")),
        created=time_of(document, "created"),
        author=jsonrules.text(document, "author"),
        comment=jsonrules.text(document, "comment"),
        docker_version=jsonrules.text(document, "docker_version"),
        architecture=jsonrules.text(document, "architecture"),
        os=jsonrules.text(document, "os"),
        variant=jsonrules.text(document, "variant"),
        os_version=jsonrules.text(document, "os.version"),
        os_features=jsonrules.texts(document, "os.features"),
        size=jsonrules.integer(document, "Size"),
        v1_id=jsonrules.text(document, "id"),
    )


def diff_ids_of(data: bytes) -> tuple[str, ...]:
    """The layers alone of a config that `parse` reads, much quicker. Raises as `parse`."""
    return jsonrules.texts(_read(data)[1], "diff_ids")


def _read(data: bytes) -> tuple[object, Mapping[str, object]]:
    """The document and its ``rootfs``; all that the engine would refuse is refused here."""
    document = jsonrules.loads(data)
    IMAGE.conform(document)
    rootfs = jsonrules.mapping(document, "rootfs")
    if rootfs is None:
        raise Malformed("it has no rootfs", field="rootfs", engine="Invalid image JSON, no RootFS key.")
    return document, rootfs


def parse_v1(data: bytes) -> object:
    """Read the config of an image as it was before 1.10, for `v1_members` and the getters of `orlop.jsonrules`.

    Raises:
        Malformed: not JSON, or a field of another type than the engine's.
    """
    document = jsonrules.loads(data)
    V1_IMAGE.conform(document)
    return document


def v1_members(document: object) -> dict[str, bytes]:
    """What `parse_v1` read, written again: known fields only, by name."""
    return struct_members(document, _V1_FIELDS)


def chain_id(diff_ids: tuple[str, ...]) -> str:
    """The id of the top layer of a stack of layers, bottom first; empty for no layer.

    An empty id is no layer as long as no other is below it, as the engine has it (moby layer/layer.go).
    """
    chain = chain_ids(dropwhile(lambda diff_id: not diff_id, diff_ids))
    return chain[-1] if chain else ""


# --- times -------------------------------------------------------------------

_OFFSET = re.compile(r"([+-])([0-9]{2}):([0-9]{2})")


def written_time(text: str) -> str:
    """A time as the engine writes it again: zeros at the end of the fraction dropped, the zone kept, ``Z`` for none.

    Raises:
        Malformed: not a time.
    """
    at = times.parse(text)
    zone = _OFFSET.fullmatch(text[-6:])
    if zone is None:
        return times.rfc3339(at)
    minutes = int(zone[2]) * 60 + int(zone[3])
    if not minutes:
        return times.rfc3339(at)
    shift = (minutes if zone[1] == "+" else -minutes) * 60 * 1_000_000_000
    return f"{times.rfc3339(at + shift)[:-1]}{zone[1]}{minutes // 60:02}:{minutes % 60:02}"


# --- known fields, written again ---------------------------------------------
#
# A field is its name, how its value is read, and whether an empty one is left out
# (Go: omitempty). A list or an object that is not there is written as null.

_Reader = Callable[[object, str], object]
_FieldTable = tuple[tuple[str, _Reader, bool], ...]


def struct_members(document: object, fields: _FieldTable) -> dict[str, bytes]:
    """The known fields of a document as JSON, by name, those left out that the engine leaves out."""
    written = _struct(document, fields)
    return {name: jsonrules.dumps(value) for name, value in written.items()}


def _struct(value: object, fields: _FieldTable) -> Fields:
    return _fields(*((name, read(value, name), omitted) for name, read, omitted in fields))


def _fields(*entries: tuple[str, object, bool]) -> Fields:
    """Those fields that the engine writes: an empty one only where it must be there."""
    return Fields((name, value) for name, value, omitted in entries if not omitted or not _is_empty(value))


def _is_empty(value: object) -> bool:
    """Go's omitempty; a struct behind a pointer is never empty."""
    return not isinstance(value, Fields) and not value


def _history(entry: object) -> History:
    return History(
        created=time_of(entry, "created"),
        author=jsonrules.text(entry, "author"),
        created_by=jsonrules.text(entry, "created_by"),
        comment=jsonrules.text(entry, "comment"),
        empty_layer=jsonrules.boolean(entry, "empty_layer"),
    )


def _histories(value: object, name: str) -> list[Fields]:
    return [_history(entry).to_json() for entry in jsonrules.mappings(value, name)]


def time_of(value: object, name: str) -> str:
    """A time member as `History.created` has it; the zero time where it is absent or null."""
    texts = [item for item in jsonrules.occurrences(value, name) if isinstance(item, str)]
    return written_time(texts[-1]) if texts else ZERO_TIME


def _list(value: object, name: str) -> list[str] | None:
    found = jsonrules.member(value, name)
    return [item if isinstance(item, str) else "" for item in found] if isinstance(found, list) else None


def _command(value: object, name: str) -> list[str] | None:
    """moby's strslice.StrSlice: the last one whole, a text is a list of one."""
    found = jsonrules.occurrences(value, name)
    last = found[-1] if found else None
    if isinstance(last, str):
        return [last]
    return [item if isinstance(item, str) else "" for item in last] if isinstance(last, list) else None


def _set(value: object, name: str) -> dict[str, object] | None:
    found = jsonrules.member(value, name)
    return {key: Fields() for key in found} if isinstance(found, dict) else None


def _labels(value: object, name: str) -> dict[str, object] | None:
    found = jsonrules.member(value, name)
    if not isinstance(found, dict):
        return None
    return {key: item if isinstance(item, str) else "" for key, item in found.items()}


def _pointer(fields: _FieldTable) -> _Reader:
    def read(value: object, name: str) -> Fields | None:
        found = jsonrules.member(value, name)
        return _struct(found, fields) if isinstance(found, dict) else None

    return read


def _container(value: object, name: str) -> Fields:
    """The struct itself, no pointer: null leaves it as it is, and it is always written."""
    found = [item for item in jsonrules.occurrences(value, name) if isinstance(item, dict)]
    merged = Repeated([pair for item in found for pair in _pairs(item)])
    return _struct(merged, _CONFIG_FIELDS)


def _pairs(item: Mapping[str, object]) -> list[tuple[str, object]]:
    return list(item.pairs) if isinstance(item, Repeated) else list(item.items())


_HEALTH_FIELDS: _FieldTable = (
    ("Test", _list, True),
    ("Interval", jsonrules.integer, True),
    ("Timeout", jsonrules.integer, True),
    ("Retries", jsonrules.integer, True),
)

_CONFIG_FIELDS: _FieldTable = (
    ("Hostname", jsonrules.text, False),
    ("Domainname", jsonrules.text, False),
    ("User", jsonrules.text, False),
    ("AttachStdin", jsonrules.boolean, False),
    ("AttachStdout", jsonrules.boolean, False),
    ("AttachStderr", jsonrules.boolean, False),
    ("ExposedPorts", _set, True),
    ("Tty", jsonrules.boolean, False),
    ("OpenStdin", jsonrules.boolean, False),
    ("StdinOnce", jsonrules.boolean, False),
    ("Env", _list, False),
    ("Cmd", _command, False),
    ("Healthcheck", _pointer(_HEALTH_FIELDS), True),
    ("ArgsEscaped", jsonrules.boolean, True),
    ("Image", jsonrules.text, False),
    ("Volumes", _set, False),
    ("WorkingDir", jsonrules.text, False),
    ("Entrypoint", _command, False),
    ("NetworkDisabled", jsonrules.boolean, True),
    ("MacAddress", jsonrules.text, True),
    ("OnBuild", _list, False),
    ("Labels", _labels, False),
    ("StopSignal", jsonrules.text, True),
    ("Shell", _command, True),
)

_V1_FIELDS: _FieldTable = (
    ("id", jsonrules.text, True),
    ("parent", jsonrules.text, True),
    ("comment", jsonrules.text, True),
    ("created", time_of, False),
    ("container", jsonrules.text, True),
    ("container_config", _container, False),
    ("docker_version", jsonrules.text, True),
    ("author", jsonrules.text, True),
    ("config", _pointer(_CONFIG_FIELDS), True),
    ("architecture", jsonrules.text, True),
    ("os", jsonrules.text, True),
    ("Size", jsonrules.integer, True),
)


def _rootfs(value: object, name: str) -> Fields | None:
    found = jsonrules.mapping(value, name)
    if found is None:
        return None
    return RootFS(type=jsonrules.text(found, "type"), diff_ids=jsonrules.texts(found, "diff_ids")).to_json()


_IMAGE_FIELDS: _FieldTable = (
    *_V1_FIELDS,
    ("rootfs", _rootfs, True),
    ("history", _histories, True),
    ("os.version", jsonrules.text, True),
    ("os.features", _list, True),
)
