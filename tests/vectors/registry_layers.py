"""The registry's layer store of January 2015, its digests and TarSum."""

import io
import os
import re
from dataclasses import dataclass, field
from typing import Any

from orlop import times
from orlop.errors import NotFound, OrlopError
from orlop.registry import tarsum
from orlop.registry.early import EarlyDigest
from orlop.registry.earlylayers import EarlyLayerStore, EarlyUpload, LayerReader
from orlop.registry.earlystorage import EarlyStorage
from orlop.registry.filedriver import FileDriver
from orlop.registry.layer import Layer
from tests.vectors.adapter import Answered, Component

_RECENTLY = 3600 * 1_000_000_000
_FRACTION = re.compile(r"\.[0-9]+")


@dataclass(slots=True, kw_only=True)
class Opened:
    """A registry with the handles of a case."""

    root: str
    storage: EarlyStorage
    uploads: dict[str, EarlyUpload] = field(default_factory=dict)
    layers: dict[str, LayerReader] = field(default_factory=dict)
    spelled: dict[str, str] = field(default_factory=dict)

    def of(self, name: str) -> EarlyLayerStore:
        return self.storage.repository(name).layers

    def upload(self, args: dict[str, Any]) -> EarlyUpload:
        if args["upload"] not in self.uploads:
            raise NotFound(f"the upload {args['upload']!r} was refused")
        return self.uploads[args["upload"]]

    def remember(self, args: dict[str, Any], upload: EarlyUpload) -> dict[str, Any]:
        """Keep a handle; an upload is called after the first one."""
        self.uploads[args["as"]] = upload
        spelling = self.spelled.setdefault(upload.uuid, f"<uuid:{args['as']}>")
        return {"name": upload.repository, "uuid": spelling}


def _told(opened: Opened, layer: Layer) -> dict[str, Any]:
    path = os.path.join(opened.root, layer.path)
    with layer.reader() as stream:
        content = stream.read()
    on_disk = layer.created_at == os.stat(path).st_mtime_ns
    return {
        "name": layer.repository,
        "digest": layer.digest,
        "content": content,
        "created_at": "mtime" if on_disk else times.rfc3339(layer.created_at),
    }


def _resume(opened: Opened, args: dict[str, Any]) -> object:
    upload = opened.of(args["name"]).resume(args["uuid"])
    recent = len(upload.started) == 20 and abs(times.now() - upload.started_at) < _RECENTLY
    started = "recent" if recent else _FRACTION.sub("", upload.started)  # recorded to the second
    return opened.remember(args, upload) | {"started_at": started}


def _write(opened: Opened, args: dict[str, Any]) -> object:
    return _nothing_written(lambda: opened.upload(args).write(args["data"]))


def _write_at(opened: Opened, args: dict[str, Any]) -> object:
    return _nothing_written(lambda: opened.upload(args).write_at(args["data"], args["offset"]))


def _copy_from(opened: Opened, args: dict[str, Any]) -> object:
    return _nothing_written(lambda: opened.upload(args).read_from(io.BytesIO(args["data"])))


def _nothing_written(write: Any) -> object:
    try:
        return write()
    except OrlopError as error:
        raise Answered(error, 0) from error


def _seek(handle: EarlyUpload | LayerReader, args: dict[str, Any]) -> object:
    try:
        return handle.seek(args["offset"], args["whence"])
    except OrlopError as error:
        closed = error.engine.endswith("closed")
        raise Answered(error, 0 if closed else handle.offset) from error


def _layer_open(opened: Opened, args: dict[str, Any]) -> object:
    layer = opened.of(args["name"]).fetch(args["digest"])
    opened.layers[args["as"]] = LayerReader(layer)
    return {"name": layer.repository, "digest": layer.digest}


def _layer_read(opened: Opened, args: dict[str, Any]) -> object:
    data = opened.layers[args["layer"]].read(args["n"])
    return {"data": data, "eof": len(data) < args["n"]}


def _parse_digest(_: Opened, args: dict[str, Any]) -> object:
    digest = EarlyDigest.parse(args["s"])
    found = {"algorithm": digest.algorithm, "hex": digest.hex}
    if digest.tarsum is None:
        return found
    inner = digest.tarsum
    return found | {"tarsum": {"algorithm": inner.algorithm, "digest": inner.digest, "version": inner.version}}


REGISTRY = Component(
    open=lambda root, _: Opened(root=root, storage=EarlyStorage(FileDriver(root))),
    root_mode=0o755,
    spelled=lambda opened: opened.spelled,
    operations={
        "exists": lambda opened, args: opened.of(args["name"]).exists(args["digest"]),
        "fetch": lambda opened, args: _told(opened, opened.of(args["name"]).fetch(args["digest"])),
        "upload": lambda opened, args: opened.remember(args, opened.of(args["name"]).upload()),
        "resume": _resume,
        "write": _write,
        "write_at": _write_at,
        "copy_from": _copy_from,
        "seek": lambda opened, args: _seek(opened.upload(args), args),
        "close": lambda opened, args: opened.upload(args).close(),
        "finish": lambda opened, args: _told(opened, opened.upload(args).finish(args["digest"])),
        "cancel": lambda opened, args: opened.upload(args).cancel(),
        "layer_open": _layer_open,
        "layer_read": _layer_read,
        "layer_seek": lambda opened, args: _seek(opened.layers[args["layer"]], args),
        "layer_close": lambda opened, args: opened.layers[args["layer"]].close(),
        "tarsum": lambda _, args: tarsum.tarsum(io.BytesIO(args["data"]), args["version"]),
        "parse_digest": _parse_digest,
    },
)
