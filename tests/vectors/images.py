"""How the recorded calls of the image backend and of the image store over it are performed."""

import json
from dataclasses import dataclass
from typing import Any

from orlop.docker.imagebackend import FileImageBackend
from orlop.docker.imagestore import ImageStore, MemoryLayerReferences
from tests.vectors.adapter import Answered, CallbackStopped, Component, Operation


def _walk(backend: FileImageBackend, args: dict[str, Any]) -> object:
    visited: list[str] = []
    try:
        for image in backend.walk():
            if len(visited) == args.get("fail_after"):
                raise CallbackStopped("callback stopped the walk")
            visited.append(image)
    except Exception as error:
        raise Answered(error, visited) from error
    return visited


_BACKEND: dict[str, Operation] = {
    "walk": _walk,
    "get": lambda backend, args: backend.get(args["id"]),
    "set": lambda backend, args: backend.set(args["data"]),
    "delete": lambda backend, args: backend.delete(args["id"]),
    "set_metadata": lambda backend, args: backend.set_metadata(args["id"], args["key"], args["data"]),
    "get_metadata": lambda backend, args: backend.get_metadata(args["id"], args["key"]),
    "delete_metadata": lambda backend, args: backend.delete_metadata(args["id"], args["key"]),
}

IMAGE_BACKEND = Component(open=lambda root, variant: FileImageBackend(root), operations=_BACKEND)


# --- image store -------------------------------------------------------------

_MISSING: dict[str, frozenset[str]] = {}
"""Layers that do not exist, by the store's root: opening it anew forgets the counts, but not them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An image store, and the layers that it holds."""

    root: str
    layers: MemoryLayerReferences
    store: ImageStore


def _open(root: str, _: str) -> Opened:
    layers = MemoryLayerReferences(_MISSING.get(root, ()))
    return Opened(root=root, layers=layers, store=ImageStore(FileImageBackend(root), layers))


def get_image(opened: Opened, args: dict[str, Any]) -> dict[str, object]:
    """What the recorded ``get`` tells of an image."""
    record = opened.store.get(args["id"])
    config = record.config
    return {
        "id": record.id,
        "parent": record.parent,
        "raw": config.raw,
        "marshal": record.marshal(),
        "chain_id": config.chain_id,
        "diff_ids": list(config.rootfs.diff_ids),
        "history_len": len(config.history),
        "os": config.os,
        "architecture": config.architecture,
        "author": config.author,
        "comment": config.comment,
        "created": config.created,
        "docker_version": config.docker_version,
        "size": config.size,
        "v1_id": config.v1_id,
        "v1_parent": json.loads(record.marshal()).get("v1_parent", ""),  # never set: the image's own parent hides it
        "rootfs_type": config.rootfs.type,
    }


def _delete(opened: Opened, args: dict[str, Any]) -> object:
    return {"released": [layer.chain_id for layer in opened.store.delete(args["id"]).freed]}


def _set_missing(opened: Opened, args: dict[str, Any]) -> None:
    opened.layers.missing = _MISSING[opened.root] = frozenset(args["chain_ids"])


_STORE: dict[str, Operation] = {
    "create": lambda opened, args: opened.store.create(args["config"]),
    "get": get_image,
    "delete": _delete,
    "search": lambda opened, args: opened.store.search(args["term"]),
    "set_parent": lambda opened, args: opened.store.set_parent(args["id"], args["parent"]),
    "get_parent": lambda opened, args: opened.store.get_parent(args["id"]),
    "children": lambda opened, args: list(opened.store.children(args["id"])),
    "map": lambda opened, args: {image: record.parent for image, record in opened.store.map().items()},
    "heads": lambda opened, args: {image: record.parent for image, record in opened.store.heads().items()},
    "ls_missing": _set_missing,
    "ls_refs": lambda opened, args: opened.layers.counts(),
}

IMAGE_STORE = Component(open=_open, operations=_STORE)
