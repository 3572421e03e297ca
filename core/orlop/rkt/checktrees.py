"""Rendered trees against their hash, and the sizes that rows have for them."""

from collections.abc import Iterator, Set

from orlop.errors import Cancelled, NoPermission, NotFound, OrlopError
from orlop.finding import Finding, Severity
from orlop.fs import Root
from orlop.progress import Progress
from orlop.rkt import treestore
from orlop.rkt.checkfinding import finding
from orlop.rkt.model import Model, Tree


def trees(root: Root, model: Model, images: Set[str] | None, progress: Progress) -> Iterator[Finding]:
    """RK08, and RK12 for a tree; of the trees of some images, or of all for None.

    Raises:
        Cancelled: `progress` stopped it.
    """
    for identity in sorted(model.trees):
        tree = model.trees[identity]
        if tree.problem or tree.hash is None or (images is not None and tree.image not in images):
            continue
        try:
            yield from _hash(root, model, tree, tree.hash, progress)
            yield from _size(root, model, tree)
        except Cancelled:
            raise
        except NotFound:
            continue  # it went away, or changes: the next check says how it is
        except NoPermission:
            detail = "this user may not read all of it: it was not hashed"
            yield _finding(model, tree, detail, severity=Severity.INFORMATION)
        except OrlopError as error:
            yield _finding(model, tree, f"it cannot be read: {error.why or error.what}")


def _finding(model: Model, tree: Tree, detail: str, *, says: str = "", severity: Severity | None = None) -> Finding:
    images = [tree.image] if tree.image is not None and tree.image in model.images else []
    pods = model.tree_pods.get(tree.id, ())
    return finding(model, "RK08", tree.path, detail, images=images, says=says, severity=severity, pods=pods)


def _hash(root: Root, model: Model, tree: Tree, expected: str, progress: Progress) -> Iterator[Finding]:
    same, actual = treestore.matches(root, tree.path, expected, progress)
    if not same:
        says = f"wrong tree hash: {actual}, expected: {expected}"
        yield _finding(model, tree, f"its files hash to {actual}, its file hash says {expected}", says=says)


def _size(root: Root, model: Model, tree: Tree) -> Iterator[Finding]:
    """Of an image with one tree: the row has the size of the one that was rendered last."""
    image = model.images.get(tree.image) if tree.image is not None else None
    if image is None or image.row is None or len(model.trees_of.get(image.key, ())) != 1:
        return
    size = treestore.tree_size(root, tree.path)
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
