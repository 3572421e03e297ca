"""Image manifests: read as rkt reads them, checked by the rules of appc, and written again as rkt stores them.

What lies in ``imageManifest/`` is not the file of the archive but the parsed
manifest, written anew: known members in a fixed order, empty ones left out, JSON as
Go's encoder writes it.

Facts: appc/spec v0.8.11, schema/image.go and schema/types; rkt v1.30.0,
store/imagestore/store.go.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from orlop import jsonrules
from orlop.errors import Malformed
from orlop.jsonrules.raw import raw_members
from orlop.rkt import appc

KIND = "ImageManifest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A label, an annotation or a variable: a name and a value."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """Another image that must be below this one."""

    image_name: str
    image_id: str
    """``sha512-…``, mostly 128 digits; empty where any image of that name will do."""
    labels: tuple[Pair, ...]
    size: int
    """Bytes; 0 where it is not said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventHandler:
    """A program to run ``pre-start`` or ``post-stop``."""

    name: str
    command: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MountPoint:
    """Where a volume may be mounted."""

    name: str
    path: str
    read_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A port, or `count` ports from there on."""

    name: str
    protocol: str
    port: int
    count: int
    socket_activated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolator:
    """A limit on the app; `value` is the JSON of the manifest, compact."""

    name: str
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """What is run, and how."""

    command: tuple[str, ...] | None
    """Member ``exec``; None where it is not there, and written as null."""
    event_handlers: tuple[EventHandler, ...]
    user: str
    group: str
    supplementary_gids: tuple[int, ...]
    working_directory: str
    environment: tuple[Pair, ...]
    mount_points: tuple[MountPoint, ...]
    ports: tuple[Port, ...]
    isolators: tuple[Isolator, ...]
    user_annotations: tuple[Pair, ...]
    user_labels: tuple[Pair, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageManifest:
    """A manifest that validates."""

    ac_version: str
    name: str
    labels: tuple[Pair, ...]
    app: App | None
    annotations: tuple[Pair, ...]
    dependencies: tuple[Dependency, ...]
    path_whitelist: tuple[str, ...]

    def label(self, name: str) -> str | None:
        """The value of a label, or None."""
        return next((label.value for label in self.labels if label.name == name), None)

    def marshal(self) -> bytes:
        """The bytes that rkt stores: compact, members in its order."""
        members = [
            ("acKind", _text(KIND)),
            ("acVersion", _text(self.ac_version)),
            ("name", _text(self.name)),
            ("labels", _pairs(self.labels)),
            ("app", _app(self.app) if self.app is not None else b""),
            ("annotations", _pairs(self.annotations)),
            ("dependencies", _list(map(_dependency, self.dependencies))),
            ("pathWhitelist", _list(map(_text, self.path_whitelist))),
        ]
        return _object(members)


def parse(data: bytes) -> ImageManifest:
    """Read and check a manifest.

    Args:
        data: JSON, at most `orlop.fs.PARSE_LIMIT` bytes.

    Raises:
        Malformed: not JSON, or not a manifest by appc's rules; `field` has the place
            and `engine` the schema library's words.
    """
    document = jsonrules.the_object(jsonrules.loads(data), go_type="schema.imageManifest")
    if jsonrules.text(document, "acKind") != KIND:
        words = 'missing or bad ACKind (must be "ImageManifest")'
        raise Malformed(f"not {KIND}", field="acKind", engine=words)
    if jsonrules.member(document, "acVersion") is None:
        raise Malformed("it is missing", field="acVersion", engine="acVersion must be set")
    if jsonrules.member(document, "name") is None:
        raise Malformed("it is missing", field="name", engine="name must be set")
    app = jsonrules.mapping(document, "app", go_type="types.app")
    return ImageManifest(
        ac_version=appc.version(jsonrules.text(document, "acVersion"), "acVersion"),
        name=appc.check_identifier(jsonrules.text(document, "name"), "name"),
        labels=_read_labels(document, "labels"),
        app=None if app is None else _read_app(app, data),
        annotations=_read_annotations(document),
        dependencies=tuple(_read_dependencies(document)),
        path_whitelist=jsonrules.texts(document, "pathWhitelist"),
    )


# --- reading -----------------------------------------------------------------


def _objects(holder: object, name: str, at: str = "") -> Iterator[tuple[str, dict[str, object]]]:
    """The elements of a list of objects, each with its place; of repeated lists the last."""
    place = f"{at}.{name}" if at else name
    found = jsonrules.occurrences(holder, name)
    items = jsonrules.mappings({name: found[-1]}, name, at=at) if found else ()
    for number, item in enumerate(items):
        yield f"{place}[{number}]", item


def _read_labels(holder: object, name: str, at: str = "") -> tuple[Pair, ...]:
    labels: dict[str, Pair] = {}
    for place, item in _objects(holder, name, at):
        label = _read_pair(item, place)
        if label.name == "name":
            raise Malformed("a label cannot be called name", field=place, engine='invalid label name: "name"')
        if label.name in labels:
            words = f'duplicate labels of name "{label.name}"'
            raise Malformed(f"the label {label.name} is given twice", field=place, engine=words)
        labels[label.name] = label
    appc.check_platform({label.name: label.value for label in labels.values()}, name)
    return tuple(labels.values())


def _read_pair(item: object, place: str) -> Pair:
    name = appc.check_identifier(jsonrules.text(item, "name", at=place), f"{place}.name")
    return Pair(name=name, value=jsonrules.text(item, "value", at=place))


def _read_annotations(document: object) -> tuple[Pair, ...]:
    annotations: dict[str, Pair] = {}
    for place, item in _objects(document, "annotations"):
        annotation = _read_pair(item, place)
        if annotation.name in annotations:
            words = f'duplicate annotations of name "{annotation.name}"'
            raise Malformed(f"the annotation {annotation.name} is given twice", field=place, engine=words)
        appc.check_annotation(annotation.name, annotation.value, place)
        annotations[annotation.name] = annotation
    return tuple(annotations.values())


def _read_dependencies(document: object) -> Iterator[Dependency]:
    for place, item in _objects(document, "dependencies"):
        image_name = jsonrules.text(item, "imageName", at=place)
        if not image_name:
            raise Malformed("it names no image", field=place, engine="imageName cannot be empty")
        image_id = jsonrules.text(item, "imageID", at=place) if jsonrules.member(item, "imageID") is not None else None
        yield Dependency(
            image_name=appc.check_identifier(image_name, f"{place}.imageName"),
            image_id="" if image_id is None else appc.check_hash(image_id, f"{place}.imageID"),
            labels=_read_labels(item, "labels", place),
            size=_unsigned(item, "size", place),
        )


def _read_app(app: dict[str, object], data: bytes) -> App:
    user, group = jsonrules.text(app, "user", at="app"), jsonrules.text(app, "group", at="app")
    for name, value in (("user", user), ("group", group)):
        if not value:
            raise Malformed("it is missing", field=f"app.{name}", engine=f"{name} is required")
    folder = jsonrules.text(app, "workingDirectory", at="app")
    if folder and not folder.startswith("/"):
        words = "workingDirectory must be an absolute path"
        raise Malformed("not an absolute path", field="app.workingDirectory", engine=words)
    return App(
        command=_read_command(app, "app"),
        event_handlers=_read_handlers(app),
        user=user,
        group=group,
        supplementary_gids=_read_numbers(app),
        working_directory=folder,
        environment=_read_environment(app),
        mount_points=tuple(_read_mount_points(app)),
        ports=tuple(_read_ports(app)),
        isolators=_read_isolators(app, data),
        user_annotations=_read_map(app, "userAnnotations"),
        user_labels=_read_map(app, "userLabels"),
    )


def _read_command(holder: object, at: str) -> tuple[str, ...] | None:
    found = jsonrules.occurrences(holder, "exec")
    if not found or found[-1] is None:
        return None
    return jsonrules.texts({"exec": found[-1]}, "exec", at=at)


def _read_handlers(app: object) -> tuple[EventHandler, ...]:
    handlers: dict[str, EventHandler] = {}
    for place, item in _objects(app, "eventHandlers", "app"):
        name = jsonrules.text(item, "name", at=place)
        if name not in ("pre-start", "post-stop"):
            words = f'bad eventHandler "name": "{name}"' if name else 'eventHandler "name" cannot be empty'
            raise Malformed("neither pre-start nor post-stop", field=f"{place}.name", engine=words)
        if name in handlers:
            words = f'Only one eventHandler of name "{name}" allowed'
            raise Malformed(f"{name} is given twice", field=place, engine=words)
        handlers[name] = EventHandler(name=name, command=_read_command(item, place))
    return tuple(handlers.values())


def _read_numbers(app: object) -> tuple[int, ...]:
    found = jsonrules.member(app, "supplementaryGIDs")
    if found is None:
        return ()
    if not isinstance(found, list):
        raise Malformed("not a list", field="app.supplementaryGIDs")
    place = "app.supplementaryGIDs"
    return tuple(jsonrules.integer({"gid": item}, "gid", at=place, go_type="int") for item in found)


def _read_environment(app: object) -> tuple[Pair, ...]:
    variables: dict[str, Pair] = {}
    for place, item in _objects(app, "environment", "app"):
        name = appc.check_variable(jsonrules.text(item, "name", at=place), f"{place}.name")
        if name in variables:
            words = f'duplicate environment variable of name "{name}"'
            raise Malformed(f"the variable {name} is given twice", field=place, engine=words)
        variables[name] = Pair(name=name, value=jsonrules.text(item, "value", at=place))
    return tuple(variables.values())


def _read_mount_points(app: object) -> Iterator[MountPoint]:
    for place, item in _objects(app, "mountPoints", "app"):
        yield MountPoint(
            name=appc.check_name(jsonrules.text(item, "name", at=place), f"{place}.name"),
            path=jsonrules.text(item, "path", at=place),
            read_only=jsonrules.boolean(item, "readOnly", at=place),
        )


def _read_ports(app: object) -> Iterator[Port]:
    for place, item in _objects(app, "ports", "app"):
        port, count = _unsigned(item, "port", place), _unsigned(item, "count", place)
        if not 1 <= port <= 65_535:
            words = "port must be in 1-65535 range"
            raise Malformed("not a number from 1 to 65535", field=f"{place}.port", engine=words)
        if port + count > 65_536:
            words = "end of port range must be in 1-65535 range"
            raise Malformed("more ports than there are", field=f"{place}.count", engine=words)
        yield Port(
            name=appc.check_name(jsonrules.text(item, "name", at=place), f"{place}.name"),
            protocol=jsonrules.text(item, "protocol", at=place),
            port=port,
            count=count or 1,
            socket_activated=jsonrules.boolean(item, "socketActivated", at=place),
        )


def _read_isolators(app: object, data: bytes) -> tuple[Isolator, ...]:
    read = list(_objects(app, "isolators", "app"))
    if not read:
        return ()
    written = _raw_values(data)
    isolators: list[Isolator] = []
    for number, (place, item) in enumerate(read):
        name = appc.check_identifier(jsonrules.text(item, "name", at=place), f"{place}.name")
        appc.check_isolator(name, jsonrules.member(item, "value"), f"{place}.value")
        if len(written) != len(read):
            raise Malformed("the isolators are given in more than one way", field="app.isolators")
        isolators.append(Isolator(name=name, value=written[number]))
    appc.check_isolators_together([isolator.name for isolator in isolators], "app.isolators")
    return tuple(isolators)


def _raw_values(data: bytes) -> list[bytes]:
    """The JSON of each isolator's value, as Go writes a raw one."""
    values: list[bytes] = []
    for isolator in _raw_items(_raw_member(_raw_member(data, "app"), "isolators")):
        values.append(_raw_member(isolator, "value"))
    return values


def _raw_member(data: bytes, name: str) -> bytes:
    """A member whose name is spelled in any case; of several spellings the last."""
    near = [value for key, value in raw_members(data).items() if jsonrules.occurrences({key: 0}, name)]
    return near[-1] if near else b"null"


_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},]', re.DOTALL)


def _raw_items(data: bytes) -> list[bytes]:
    """The elements of a JSON list that is compact."""
    if data[:1] != b"[" or data == b"[]":
        return []
    items: list[bytes] = []
    depth, start = 0, 1
    for token in _TOKEN.finditer(data):
        byte = token.group()
        if byte in (b"[", b"{"):
            depth += 1
        elif byte in (b"]", b"}"):
            depth -= 1
        if (byte == b"," and depth == 1) or depth == 0:
            items.append(data[start : token.start()])
            start = token.end()
    return items


def _read_map(app: object, name: str) -> tuple[Pair, ...]:
    found = jsonrules.text_map(app, name, at="app")
    return tuple(Pair(name=key, value=found[key]) for key in sorted(found, key=_bytes))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _unsigned(holder: object, name: str, at: str) -> int:
    found = jsonrules.member(holder, name)
    if isinstance(found, int) and not isinstance(found, bool) and (found < 0 or found >= 1 << 64):
        raise Malformed("not a whole number without sign of 64 bits", field=f"{at}.{name}")
    if isinstance(found, int) and not isinstance(found, bool):
        return found
    return jsonrules.integer(holder, name, at=at, go_type="uint")


# --- writing -----------------------------------------------------------------


def _object(members: Iterable[tuple[str, bytes]]) -> bytes:
    """An object of members in order; those without bytes are left out."""
    return b"{" + b",".join(_text(name) + b":" + value for name, value in members if value) + b"}"


def _list(items: Iterable[bytes], *, empty: bytes = b"") -> bytes:
    """A list; of none, `empty`: the member is left out."""
    written = b",".join(items)
    return b"[" + written + b"]" if written else empty


def _text(text: str) -> bytes:
    return jsonrules.dumps(text)


def _optional(text: str) -> bytes:
    return _text(text) if text else b""


def _flag(value: bool) -> bytes:
    return b"true" if value else b""


def _pairs(pairs: Sequence[Pair]) -> bytes:
    return _list(_object((("name", _text(pair.name)), ("value", _text(pair.value)))) for pair in pairs)


def _map(pairs: Sequence[Pair]) -> bytes:
    return _object((pair.name, _text(pair.value)) for pair in pairs) if pairs else b""


def _dependency(dependency: Dependency) -> bytes:
    return _object(
        (
            ("imageName", _text(dependency.image_name)),
            ("imageID", _optional(dependency.image_id)),
            ("labels", _pairs(dependency.labels)),
            ("size", jsonrules.dumps(dependency.size) if dependency.size else b""),
        )
    )


def _command(command: tuple[str, ...] | None) -> bytes:
    return b"null" if command is None else _list(map(_text, command), empty=b"[]")


def _app(app: App) -> bytes:
    return _object(
        (
            ("exec", _command(app.command)),
            ("eventHandlers", _list(map(_handler, app.event_handlers))),
            ("user", _text(app.user)),
            ("group", _text(app.group)),
            ("supplementaryGIDs", _list(map(jsonrules.dumps, app.supplementary_gids))),
            ("workingDirectory", _optional(app.working_directory)),
            ("environment", _pairs(app.environment)),
            ("mountPoints", _list(map(_mount_point, app.mount_points))),
            ("ports", _list(map(_port, app.ports))),
            ("isolators", _list(map(_isolator, app.isolators))),
            ("userAnnotations", _map(app.user_annotations)),
            ("userLabels", _map(app.user_labels)),
        )
    )


def _handler(handler: EventHandler) -> bytes:
    return _object((("name", _text(handler.name)), ("exec", _command(handler.command))))


def _mount_point(point: MountPoint) -> bytes:
    return _object((("name", _text(point.name)), ("path", _text(point.path)), ("readOnly", _flag(point.read_only))))


def _port(port: Port) -> bytes:
    return jsonrules.dumps(
        jsonrules.Fields(
            name=port.name,
            protocol=port.protocol,
            port=port.port,
            count=port.count,
            socketActivated=port.socket_activated,
        )
    )


def _isolator(isolator: Isolator) -> bytes:
    return _object((("name", _text(isolator.name)), ("value", isolator.value)))
