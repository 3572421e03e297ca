"""rkt's ACI image store, on its own database and on SQLite."""

import dataclasses
import hashlib
import io
from typing import Any

from orlop import times
from orlop.rkt.catalogue import ZERO_TIME, ImageRow, RemoteRow
from orlop.rkt.store import AciStore
from tests.vectors.adapter import Component, Time


def _labels(args: dict[str, Any]) -> list[tuple[str, str]]:
    return [(label["name"], label["value"]) for label in args["labels"]]


def _at(value: int) -> object:
    return "zero" if value == ZERO_TIME else Time(value)


def told_image(row: ImageRow) -> dict[str, object]:
    """A row as the records tell it."""
    return {
        "blob_key": row.key,
        "name": row.name,
        "import_time": _at(row.imported),
        "last_used": _at(row.last_used),
        "size": row.size,
        "tree_store_size": row.tree_size,
        "latest": row.latest,
    }


def told_remote(row: RemoteRow) -> dict[str, object]:
    """A record of a remote as the records tell it."""
    return {
        "aci_url": row.url,
        "sig_url": row.signature_url,
        "etag": row.etag,
        "blob_key": row.key,
        "cache_max_age": row.max_age,
        "download_time": _at(row.downloaded),
    }


def write_aci(store: AciStore, args: dict[str, Any]) -> str:
    return store.write_aci(io.BytesIO(args["data"]), latest=args["latest"])


def read_stream(store: AciStore, args: dict[str, Any]) -> dict[str, object]:
    with store.read_stream(args["key"]) as stream:
        data = stream.read()
    return {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


def resolve_name(store: AciStore, args: dict[str, Any]) -> dict[str, object]:
    keys = store.resolve_name(args["name"])
    return {"found": bool(keys), "keys_sorted": sorted(keys)}


def get_all_aciinfos(store: AciStore, args: dict[str, Any]) -> list[dict[str, object]]:
    rows = store.all_aci_infos(args["sort"], ascending=args["ascending"])
    told = [told_image(row) for row in rows]
    return told if args["sort"] else sorted(told, key=lambda row: str(row["blob_key"]))


def get_all_remotes(store: AciStore, args: dict[str, Any]) -> list[dict[str, object]]:
    return [told_remote(row) for row in sorted(store.all_remotes(), key=lambda row: row.url)]


def write_remote(store: AciStore, args: dict[str, Any]) -> None:
    at = args.get("download_time")
    store.write_remote(
        RemoteRow(
            url=args["aci_url"],
            signature_url=args.get("sig_url", ""),
            etag=args.get("etag", ""),
            key=args.get("blob_key", ""),
            max_age=args.get("cache_max_age", 0),
            downloaded=ZERO_TIME if at is None else times.now() if at == "now" else times.parse(at),
        )
    )


def tmp_named_file(store: AciStore, args: dict[str, Any]) -> dict[str, object]:
    data = args.get("append", b"")
    with store.tmp_named_file(args["name"]) as file:
        size = file.tell()
        file.write(data.encode() if isinstance(data, str) else data)
    return {"existing_size": size}


def dump(store: AciStore, args: dict[str, Any]) -> str:
    return store.dump(hexadecimal=args["hex"]).replace(store.path, "$ROOT")


OPERATIONS = {
    "write_aci": write_aci,
    "get_aci": lambda store, args: store.get_aci(args["name"], _labels(args)),
    "resolve_key": lambda store, args: store.resolve_key(args["key"]),
    "resolve_name": resolve_name,
    "remove_aci": lambda store, args: store.remove_aci(args["key"]),
    "has_full_key": lambda store, args: store.has_full_key(args["key"]),
    "read_stream": read_stream,
    "get_image_manifest_json": lambda store, args: store.get_image_manifest_json(args["key"]),
    "get_image_manifest": lambda store, args: store.get_image_manifest(args["key"]).marshal(),
    "get_aciinfo": lambda store, args: told_image(store.aci_info(args["key"])),
    "get_all_aciinfos": get_all_aciinfos,
    "write_remote": write_remote,
    "get_remote": lambda store, args: told_remote(store.get_remote(args["aci_url"])),
    "get_all_remotes": get_all_remotes,
    "update_treestore_size": lambda store, args: store.update_tree_store_size(args["key"], args["size"]),
    "tmp_named_file": tmp_named_file,
    "dump": dump,
}

RKT_STORE = Component(
    open=lambda root, _: AciStore.create(root, "ql"),
    operations=OPERATIONS,
    close=lambda store: store.close(),
    spelled=lambda store: {store.path: "$ROOT"},
)

RKT_STORE_ON_SQLITE = dataclasses.replace(RKT_STORE, open=lambda root, _: AciStore.create(root, "sqlite"), masked="db/")
