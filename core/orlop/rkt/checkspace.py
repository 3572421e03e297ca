"""Faults that take space only, or concern the store as a whole: the database, rendered trees, leftovers."""

from collections.abc import Iterator

from orlop.errors import OrlopError
from orlop.finding import Finding, Severity
from orlop.fs import Root
from orlop.records import EngineState
from orlop.rkt import layout, ql
from orlop.rkt.cataloguefile import LIMIT, QL
from orlop.rkt.checkfinding import finding
from orlop.rkt.leftovers import FOREIGN, LOCK_FILE
from orlop.rkt.model import CatalogueState, Model, Tree

_SHOWN = 3


def catalogue(root: Root, model: Model) -> Iterator[Finding]:
    """RK01."""
    found = model.catalogue
    count = len(model.images)
    match found.state:
        case CatalogueState.DAMAGED:
            detail = f"the rows of all images cannot be read: {found.why}"
            yield finding(model, "RK01", found.path, detail, says=found.engine_says)
        case CatalogueState.MISSING if count:
            images = "1 image" if count == 1 else f"{count} images"
            detail = f"it is missing, and the files of {images} are there: rkt makes an empty one and loses them"
            yield finding(model, "RK01", found.path, detail)
        case CatalogueState.PENDING if model.engine not in (EngineState.RUNNING, EngineState.HELD):
            yield finding(model, "RK01", found.log_path, found.why, says=found.engine_says)
        case CatalogueState.GOOD | CatalogueState.OLD if found.kind == QL:
            yield from _faults(root, model)
        case _:
            return  # a note tells of what may not be read, and of a later version


def _faults(root: Root, model: Model) -> Iterator[Finding]:
    """Where rkt's database contradicts itself though its rows can be read."""
    try:
        faults = ql.faults(root.read(layout.QL, LIMIT))
    except OrlopError:
        return  # it changed since it was read: the next check says how it is
    if faults:
        more = f", and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        detail = f"its rows can be read, and it contradicts itself: {'; '.join(faults[:_SHOWN])}{more}"
        yield finding(model, "RK01", layout.QL, detail, severity=Severity.LATENT, subject="faults")


def tree(model: Model, tree: Tree) -> Iterator[Finding]:
    """RK09 and RK10."""
    pods = model.tree_pods.get(tree.id, ())
    images = [tree.image] if tree.image is not None and tree.image in model.images else []
    if tree.problem:
        harmless = not tree.rendered and not pods
        yield finding(
            model,
            "RK09",
            tree.path,
            tree.problem,
            images=images,
            severity=Severity.SPACE if harmless else None,
            pods=pods,
            says="" if harmless else "error setting up stage0",
        )
    elif not pods and model.pods_known:
        gone = "" if images else "; its image is gone too"
        yield finding(model, "RK10", tree.path, f"no pod stands on it{gone}", images=images)
    elif not pods and not images:
        detail = "its image is gone; whether a pod stands on it cannot be known"
        yield finding(model, "RK10", tree.path, detail, severity=Severity.INFORMATION)


def debris(model: Model) -> Iterator[Finding]:
    """RK13."""
    locks: dict[str, int] = {}
    for found in sorted(model.debris, key=lambda debris: debris.path):
        if found.kind == LOCK_FILE and (folder := found.path.rpartition("/")[0]) != layout.DATABASE:
            locks[folder] = locks.get(folder, 0) + 1
        elif found.kind in (FOREIGN, LOCK_FILE):
            detail = "it is no part of the store" if found.kind == FOREIGN else "a lock that a killed program left"
            information = Severity.INFORMATION
            yield finding(model, "RK13", found.path, detail, severity=information, size=found.bytes)
        else:
            yield finding(model, "RK13", found.path, found.kind, size=found.bytes)
    for folder, count in sorted(locks.items()):
        what = "trees" if folder == layout.TREE_LOCKS else "images"
        detail = f"{count} lock{'' if count == 1 else 's'} of {what} that are gone: rkt never removes them"
        yield finding(model, "RK13", folder, detail, severity=Severity.INFORMATION)
