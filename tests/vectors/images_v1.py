"""How the recorded calls of the stateless image helpers are performed."""

from typing import Any

from orlop.docker import digestset, imagejson, v1
from orlop.docker.imagejson import History, RootFS
from orlop.jsonrules import dumps
from tests.vectors.adapter import Component, Operation


def _digest(_: object, args: dict[str, Any]) -> object:
    algorithm, digits = digestset.parse_digest(args["s"])
    return {"algorithm": algorithm, "hex": digits}


def _history(_: object, args: dict[str, Any]) -> bytes:
    return dumps(v1.history_from_config(args["config"], empty_layer=args["empty_layer"]).to_json())


def _make_config(_: object, args: dict[str, Any]) -> bytes:
    rootfs, history = args.get("rootfs"), args.get("history")
    return v1.make_config_from_v1_config(
        args["config"],
        rootfs and RootFS(type=rootfs.get("type", ""), diff_ids=tuple(rootfs.get("diff_ids", ()))),
        None if history is None else [History(**entry) for entry in history],
    )


def _make_v1_config(_: object, args: dict[str, Any]) -> bytes:
    return v1.make_v1_config_from_config(
        imagejson.parse(args["config"]),
        v1_id=args["v1_id"],
        parent_v1_id=args["parent_v1_id"],
        throwaway=args["throwaway"],
    )


_OPERATIONS: dict[str, Operation] = {
    "v1_validate_id": lambda _, args: v1.validate_id(args["id"]),
    "parse_digest": _digest,
    "chain_id": lambda _, args: v1.chain_id_of(args["diff_ids"]),
    "v1_create_id": lambda _, args: v1.create_id(args["v1_image"], layer_id=args["layer_id"], parent=args["parent"]),
    "v1_history_from_config": _history,
    "v1_make_config": _make_config,
    "v1_make_v1_config": _make_v1_config,
    "image_marshal": lambda _, args: imagejson.parse(args["config"]).marshal(),
}

IMAGE_V1 = Component(open=lambda root, variant: None, operations=_OPERATIONS)
