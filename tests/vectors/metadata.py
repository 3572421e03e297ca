"""The key/value store, and the id and metadata services over it."""

from typing import Any

from orlop.docker.metadata import V1IdService, V2Entry, V2MetadataService
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


def _v1_get(store: FileKeyValue, args: dict[str, Any]) -> object:
    return V1IdService(store).get(args["v1_id"], args["registry"])


def _v1_set(store: FileKeyValue, args: dict[str, Any]) -> None:
    V1IdService(store).set(args["v1_id"], args["registry"], args["diff_id"])


def _entry(args: dict[str, Any]) -> V2Entry:
    return V2Entry(digest=args["digest"], source=args["source_repository"], hmac=None)


def _v2_add(store: FileKeyValue, args: dict[str, Any]) -> None:
    V2MetadataService(store).add(args["diff_id"], _entry(args))


def _v2_remove(store: FileKeyValue, args: dict[str, Any]) -> None:
    V2MetadataService(store).remove(_entry(args))


def _v2_get_metadata(store: FileKeyValue, args: dict[str, Any]) -> object:
    found = V2MetadataService(store).get_metadata(args["diff_id"])
    return [{"digest": entry.digest, "source_repository": entry.source} for entry in found]


def _v2_get_diff_id(store: FileKeyValue, args: dict[str, Any]) -> object:
    return V2MetadataService(store).get_diff_id(args["digest"])


METADATA_SERVICES = Component(
    open=METASTORE.open,
    operations={
        **KEY_VALUE,
        "v1_get": _v1_get,
        "v1_set": _v1_set,
        "v2_add": _v2_add,
        "v2_remove": _v2_remove,
        "v2_get_metadata": _v2_get_metadata,
        "v2_get_diffid": _v2_get_diff_id,
    },
)
