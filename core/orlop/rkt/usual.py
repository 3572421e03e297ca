"""The quick way for a manifest with nothing unusual, as nearly all are: `orlop.rkt.manifest` gives the same answer.

Only members in their exact spelling, each once, of the type that they must have, and no
value that breaks a rule: of anything else nothing is said here, and `manifest` reads it
by the engine's rules.
"""

from typing import TypeVar

from orlop import jsonrules
from orlop.errors import Malformed
from orlop.rkt import appc, manifest
from orlop.rkt.manifest import KIND, App, Dependency, ImageManifest, MountPoint, Pair, Port

_Value = TypeVar("_Value")

_DOCUMENT = frozenset(
    {"acKind", "acVersion", "name", "labels", "app", "annotations", "dependencies", "pathWhitelist"},
)
_APP = frozenset({"exec", "user", "group", "workingDirectory", "environment", "mountPoints", "ports"})
_PAIR = frozenset({"name", "value"})
_DEPENDENCY = frozenset({"imageName", "imageID", "labels", "size"})
_MOUNT_POINT = frozenset({"name", "path", "readOnly"})
_PORT = frozenset({"name", "protocol", "port", "count", "socketActivated"})
_LARGEST = 1 << 63


class _Unusual(Exception):
    """Something that the exact way has to judge."""


def parse(data: bytes) -> ImageManifest:
    """What `manifest.parse` gives, sooner where nothing is unusual.

    Raises:
        Malformed: as there.
    """
    document = jsonrules.loads(data)
    try:
        return _manifest(document)
    except (_Unusual, Malformed):
        return manifest.parse(data)


def _manifest(value: object) -> ImageManifest:
    document = _object(value, _DOCUMENT)
    if document.get("acKind") != KIND:
        raise _Unusual
    app = document.get("app")
    return ImageManifest(
        ac_version=appc.version(_text(document, "acVersion")),
        name=appc.check_identifier(_text(document, "name")),
        labels=_labels(document),
        app=None if "app" not in document else _app(_object(app, _APP)),
        annotations=_annotations(document),
        dependencies=tuple([_dependency(_object(item, _DEPENDENCY)) for item in _items(document, "dependencies")]),
        path_whitelist=_texts(document, "pathWhitelist"),
    )


def _app(app: dict[str, object]) -> App:
    user, group = _text(app, "user"), _text(app, "group")
    folder = _text(app, "workingDirectory") if "workingDirectory" in app else ""
    if not user or not group or (folder and not folder.startswith("/")):
        raise _Unusual
    environment = _pairs(app, "environment")
    for variable in environment:
        appc.check_variable(variable.name)
    return App(
        command=_texts(app, "exec") if "exec" in app else None,
        event_handlers=(),
        user=user,
        group=group,
        supplementary_gids=(),
        working_directory=folder,
        environment=environment,
        mount_points=tuple([_mount_point(_object(item, _MOUNT_POINT)) for item in _items(app, "mountPoints")]),
        ports=tuple([_port(_object(item, _PORT)) for item in _items(app, "ports")]),
        isolators=(),
        user_annotations=(),
        user_labels=(),
    )


def _labels(holder: dict[str, object]) -> tuple[Pair, ...]:
    labels = _pairs(holder, "labels")
    values = {label.name: label.value for label in labels}
    if "name" in values:
        raise _Unusual
    for name in values:
        appc.check_identifier(name)
    appc.check_platform(values)
    return labels


def _annotations(document: dict[str, object]) -> tuple[Pair, ...]:
    annotations = _pairs(document, "annotations")
    for annotation in annotations:
        appc.check_identifier(annotation.name)
        appc.check_annotation(annotation.name, annotation.value)
    return annotations


def _dependency(item: dict[str, object]) -> Dependency:
    return Dependency(
        image_name=appc.check_identifier(_text(item, "imageName")),
        image_id=appc.check_hash(_text(item, "imageID")) if "imageID" in item else "",
        labels=_labels(item),
        size=_number(item, "size"),
    )


def _mount_point(item: dict[str, object]) -> MountPoint:
    path = _text(item, "path") if "path" in item else ""
    return MountPoint(name=appc.check_name(_text(item, "name")), path=path, read_only=_flag(item, "readOnly"))


def _port(item: dict[str, object]) -> Port:
    port, count = _number(item, "port"), _number(item, "count")
    if not 1 <= port <= 65_535 or port + count > 65_536:
        raise _Unusual
    return Port(
        name=appc.check_name(_text(item, "name")),
        protocol=_text(item, "protocol") if "protocol" in item else "",
        port=port,
        count=count or 1,
        socket_activated=_flag(item, "socketActivated"),
    )


def _pairs(holder: dict[str, object], name: str) -> tuple[Pair, ...]:
    """A list of names and values, none of them twice."""
    if name not in holder:
        return ()
    items = [_object(item, _PAIR) for item in _items(holder, name)]
    pairs = tuple([Pair(name=_text(item, "name"), value=_text(item, "value")) for item in items])
    if len({pair.name for pair in pairs}) < len(pairs):
        raise _Unusual
    return pairs


def _object(value: object, names: frozenset[str]) -> dict[str, object]:
    """An object with no other members; one with a member given twice is of another type."""
    if type(value) is not dict or not value.keys() <= names:
        raise _Unusual
    return value


def _items(holder: dict[str, object], name: str) -> list[object]:
    return _of_type(holder[name], list) if name in holder else []


def _texts(holder: dict[str, object], name: str) -> tuple[str, ...]:
    return tuple([_of_type(item, str) for item in _items(holder, name)])


def _text(holder: dict[str, object], name: str) -> str:
    return _of_type(holder.get(name), str)


def _flag(holder: dict[str, object], name: str) -> bool:
    return _of_type(holder.get(name, False), bool)


def _number(holder: dict[str, object], name: str) -> int:
    number = _of_type(holder.get(name, 0), int)
    if not 0 <= number < _LARGEST:
        raise _Unusual
    return number


def _of_type(value: object, kind: type[_Value]) -> _Value:
    if type(value) is not kind:
        raise _Unusual
    return value
