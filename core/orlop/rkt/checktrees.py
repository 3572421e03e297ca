"""Rendered trees against their hash, and the sizes that rows have for them."""

from collections.abc import Iterator

from orlop.finding import Finding, Severity
from orlop.rkt.checkfinding import finding
from orlop.rkt.content import TreeVerdict
from orlop.rkt.model import Model, Tree


def content(model: Model, tree: Tree, verdict: TreeVerdict) -> Iterator[Finding]:
    """RK08 of a tree that was hashed, and RK12 for its size."""
    if verdict.gone:
        return  # it went away, or changes: the next check says how it is
    if verdict.denied:
        detail = "this user may not read all of it: it was not hashed"
        yield _finding(model, tree, detail, severity=Severity.INFORMATION)
        return
    if verdict.why:
        yield _finding(model, tree, f"it cannot be read: {verdict.why}")
        return
    if not verdict.sound:
        says = f"wrong tree hash: {verdict.actual}, expected: {tree.hash}"
        detail = f"its files hash to {verdict.actual}, its file hash says {tree.hash}"
        yield _finding(model, tree, detail, says=says)
    yield from _size(model, tree, verdict.size)


def _finding(model: Model, tree: Tree, detail: str, *, says: str = "", severity: Severity | None = None) -> Finding:
    images = [tree.image] if tree.image is not None and tree.image in model.images else []
    pods = model.tree_pods.get(tree.id, ())
    return finding(model, "RK08", tree.path, detail, images=images, says=says, severity=severity, pods=pods)


def _size(model: Model, tree: Tree, size: int) -> Iterator[Finding]:
    """Of an image with one tree: the row has the size of the one that was rendered last."""
    image = model.images.get(tree.image) if tree.image is not None else None
    if image is None or image.row is None or len(model.trees_of.get(image.key, ())) != 1:
        return
    if size != image.row.tree_size:
        detail = f"the row of {image.row.name} says {image.row.tree_size} bytes for its rendered tree, which has {size}"
        yield finding(
            model,
            "RK12",
            model.catalogue.path,
            detail,
            images=[image.key],
            severity=Severity.INFORMATION,
            size=abs(size - image.row.tree_size),
            subject=tree.id,
        )
