"""The reference store, its ancestor, and the grammars of names."""

from typing import Any

from orlop import reference
from orlop.docker.referencestore import FAMILIAR, PLAIN, ReferenceStore, familiar_name, id_or_name
from tests.vectors.adapter import Component, Operation


def _add_tag(store: ReferenceStore, args: dict[str, Any]) -> None:
    store.add_tag(args["ref"], args["id"], force=args["force"])


def _add_digest(store: ReferenceStore, args: dict[str, Any]) -> None:
    store.add_digest(args["ref"], args["id"])


def _add(store: ReferenceStore, args: dict[str, Any]) -> None:
    if "@" in args["ref"]:
        _add_digest(store, args)
    else:
        _add_tag(store, args)


def _delete(store: ReferenceStore, args: dict[str, Any]) -> object:
    store.delete(args["ref"])
    return True


def _references_by_name(store: ReferenceStore, args: dict[str, Any]) -> object:
    return [{"ref": found.name, "id": found.image} for found in store.references_by_name(args["ref"])]


def _parse_named(_: ReferenceStore, args: dict[str, Any]) -> object:
    name, found = familiar_name(args["ref"]), reference.parse(args["ref"])
    parts = {"tag": name.tag, "digest": name.digest}
    return {
        "name": name.repository,
        "string": name.text,
        "full_name": f"{found.domain}/{found.path}",
        "hostname": found.domain,
        "remote_name": found.path,
        "name_only": name.tag is None and name.digest is None,
        "with_default_tag": name.tagged.text,
        **{part: text for part, text in parts.items() if text is not None},
    }


def _parse_id_or_reference(_: ReferenceStore, args: dict[str, Any]) -> object:
    found = id_or_name(args["s"])
    return {"digest": found} if isinstance(found, str) else {"reference": found.text}


_OPERATIONS: dict[str, Operation] = {
    "get": lambda store, args: store.get(args["ref"]),
    "delete": _delete,
    "references": lambda store, args: store.references(args["id"]),
    "references_by_name": _references_by_name,
}

REFERENCE_STORE = Component(
    open=lambda root, _: ReferenceStore.open(f"{root}/repositories.json", names=FAMILIAR),
    operations={
        **_OPERATIONS,
        "add_tag": _add_tag,
        "add_digest": _add_digest,
        "parse_named": _parse_named,
        "parse_id_or_reference": _parse_id_or_reference,
    },
    root_mode=0o700,
)

TAG_STORE = Component(
    open=lambda root, _: ReferenceStore.open(f"{root}/repositories.json", names=PLAIN),
    operations={**_OPERATIONS, "add": _add},
    root_mode=0o700,
)
