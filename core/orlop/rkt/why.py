"""What a key, URL, tree, pod, name or file of an ACI store is, and what keeps it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from orlop.errors import Ambiguous, NotFound
from orlop.fs import Root
from orlop.records import Key, Link, Why
from orlop.rkt import layout
from orlop.rkt.find import find
from orlop.rkt.model import Image, Model, State, Tree
from orlop.rkt.remotes import trouble
from orlop.rkt.rows import key_of
from orlop.text import masked

_MANY = 20
"""Chains of references that are spelled out at most."""

_SHORTEST_TREE = len(layout.TREE_PREFIX) + layout.SHORTEST_PREFIX


def why(root: Root, model: Model, subject: str) -> Why:
    """Answer for a key, the start of one, a whole SHA-512, a name, a URL, a tree's id, a pod's id, or a path.

    A path is absolute, or relative to the store's folder or to the data directory above it.
    What is no longer there is answered from the journal of changes.

    Raises:
        NotFound: the store knows nothing of it.
        Ambiguous: the start of several.
        NoPermission, StorageFailure: the place cannot be looked at.
    """
    from orlop import asked  # with it comes what writes files, which looking at a store does not need
    from orlop.rkt import whypath

    if subject in model.remotes:
        return _remote(model, subject)
    pod = subject if subject in model.pods_seen else whypath.pod_of(model, subject)
    if pod is not None:
        return _pod(model, pod)
    if subject.startswith(layout.TREE_PREFIX) and "/" not in subject:
        return _tree(model, model.trees[_tree_id(model, subject)])
    path = whypath.path_of(root, subject)
    answer = None if path is None else asked.in_own_folder(root, path) or _path(model, path)
    if answer is not None:
        return answer
    try:
        return _image(model, model.images[find(model, subject, path=root.path)[0].id])
    except NotFound as error:
        answer = None if path is None else whypath.at(root, model, path)
        answer = answer or asked.gone(root, subject)
        if answer is not None:
            return answer
        raise NotFound(
            f"the store knows nothing of {subject!r}",
            path=root.path,
            do="give a key, a name, a URL, the id of a tree or pod, or a path in the store",
        ) from error


def _tree_id(model: Model, start: str) -> str:
    found = sorted(identity for identity in model.trees if identity.startswith(start))
    if start in model.trees:
        return start
    if not found or len(start) < _SHORTEST_TREE:
        raise NotFound(f"no rendered tree is called {start!r}", do="`orlop show PATH IMAGE` lists those of an image")
    if len(found) > 1:
        raise Ambiguous(start, found)
    return found[0]


def _path(model: Model, path: str) -> Why | None:
    """What is at a path below the store; None where it has no place in it."""
    parts = path.split("/")
    debris = next((found for found in model.debris if path == found.path or path.startswith(found.path + "/")), None)
    if debris is not None:
        return Why(
            subject=path,
            is_a=(debris.kind,),
            kept_by=(),
            related={"bytes": str(debris.bytes)},
            remark="nothing needs it" if debris.kind != "foreign" else "it is no part of the store",
            judged=debris.kind != "foreign",
        )
    key = layout.key_at(path)
    if key is not None and key in model.images:
        return _image(model, model.images[key], file=path)
    if parts[0] == layout.TREES and len(parts) > 1 and parts[1] in model.trees:
        return _tree(model, model.trees[parts[1]], inside=parts[2:])
    if parts[0] == layout.LOCKS and len(parts) == 2 and parts[1] in model.images:
        return _image(model, model.images[parts[1]], file=path)
    if parts[0] == layout.TREE_LOCKS and len(parts) == 2 and parts[1] in model.trees:
        answer = _tree(model, model.trees[parts[1]])
        return replace(answer, is_a=("lock of a rendered tree", *answer.is_a))
    if path == model.catalogue.path:
        rows = model.catalogue.contents
        count = f"{len(rows.images)} rows of images, {len(rows.remotes)} remote records"
        link = (Link(what="the store", path=layout.DATABASE),)
        return Why(subject=path, is_a=("the catalogue",), kept_by=(link,), related={"holds": count})
    return None


_FILES = {
    layout.BLOBS: "archive of an image",
    layout.MANIFESTS: "manifest of an image",
    layout.LOCKS: "lock of an image",
}


def _image(model: Model, image: Image, *, file: str = "") -> Why:
    kept = list(_keepers(model, image))
    related = {"key": image.key}
    if layout.is_key(image.key):
        if image.blob.state is not State.MISSING:
            related["archive"] = layout.blob(image.key)
        if image.manifest.state is not State.MISSING:
            related["manifest"] = layout.manifest(image.key)
    if urls := model.remotes_of.get(image.key, ()):
        related["fetched from"] = ", ".join(masked("", url) for url in urls)
    if trees := model.trees_of.get(image.key, ()):
        related["rendered trees"] = ", ".join(trees)
    name = key_of(image).name
    kind = _FILES.get(file.split("/", 1)[0], "image")
    remark = "" if kept else "no row leads to it: rkt neither lists it nor removes it"
    return Why(
        subject=file or image.key,
        is_a=(f"{kind} {name}" if name is not None else kind,),
        kept_by=tuple(kept[:_MANY]),
        related=related,
        remark=f"and {len(kept) - _MANY} more references" if len(kept) > _MANY else remark,
    )


def _keepers(model: Model, image: Image) -> Iterator[tuple[Link, ...]]:
    """Its row; images that depend on it; pods that use it."""
    path = layout.blob(image.key) if layout.is_key(image.key) else None
    here = Link(what=f"image {image.key}", path=path, key=key_of(image))
    if image.row is not None:
        yield (Link(what=f"row of {key_of(image).name or image.key}", path=model.catalogue.path), here)
    for key in model.dependents_of.get(image.key, ()):
        above = key_of(model.images[key])
        what = f"image {above.name or key}, which depends on it"
        yield (Link(what=what, path=layout.manifest(key), key=above), here)
    for identity in model.pods.get(image.key, ()):
        yield (Link(what=f"pod {identity}", path=model.pods_seen[identity].path), here)


def _tree(model: Model, tree: Tree, inside: Sequence[str] = ()) -> Why:
    from orlop.rkt.whypath import in_tree

    here = Link(what=f"rendered tree {tree.id}", path=tree.path)
    pods = model.tree_pods.get(tree.id, ())
    kept = tuple((Link(what=f"pod {identity}", path=model.pods_seen[identity].path), here) for identity in pods)
    related = {"folder": tree.path}
    if tree.image is not None:
        image = model.images.get(tree.image)
        name = key_of(image).name if image is not None else None
        related["image"] = f"{name} {tree.image}" if name else tree.image
    if tree.hash is not None:
        related["hash"] = tree.hash
    remark = "no pod stands on it: rkt's gc would remove it" if model.pods_known else "its pods cannot be known"
    return Why(
        subject=tree.id,
        is_a=("rendered tree", *in_tree(inside)),
        kept_by=kept[:_MANY],
        related=related,
        remark=tree.problem or ("" if kept else remark),
    )


def _remote(model: Model, url: str) -> Why:
    row = model.remotes[url]
    image = model.images.get(row.key)
    leads_to = key_of(image) if image is not None else Key("", row.key, None)
    record = Link(what=f"remote record {masked('', url)}", path=model.catalogue.path, key=leads_to)
    related = {"image": row.key}
    if image is not None and (name := key_of(image).name):
        related["name"] = name
    if row.etag:
        related["etag"] = row.etag
    if row.signature_url:
        related["signature"] = masked("", row.signature_url)
    return Why(subject=url, is_a=("remote record",), kept_by=((record,),), related=related, remark=trouble(model, row))


def _pod(model: Model, identity: str) -> Why:
    pod = model.pods_seen[identity]
    related = {"state": "running" if pod.running else pod.state, "folder": pod.path}
    if pod.images:
        related["images"] = ", ".join(pod.images)
    if pod.trees:
        related["rendered trees"] = ", ".join(pod.trees)
    link = (Link(what=f"pod {identity}", path=pod.path),)
    return Why(subject=identity, is_a=("pod",), kept_by=(link,), related=related, remark=pod.problem)
