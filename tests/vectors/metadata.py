"""The key/value store, and the id and metadata services over it."""

from typing import Any

from orlop.kv import FileKeyValue
from tests.vectors.adapter import Component, Operation


def _get(store: FileKeyValue, args: dict[str, Any]) -> object:
    return store.get(args["namespace"], args["key"])


def _set(store: FileKeyValue, args: dict[str, Any]) -> None:
    store.set(args["namespace"], args["key"], args["data"])


def _delete(store: FileKeyValue, args: dict[str, Any]) -> None:
    store.delete(args["namespace"], args["key"])


KEY_VALUE: dict[str, Operation] = {"get": _get, "set": _set, "delete": _delete}

METASTORE = Component(open=lambda root, _: FileKeyValue(root), operations=KEY_VALUE)
