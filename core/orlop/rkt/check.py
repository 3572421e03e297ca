"""Every fault of an ACI store, each with its file and what it affects.

The structure is checked from what the last read found; with ``content`` every archive
is hashed to its key, its manifest compared with the stored one, and every rendered tree
with its hash. Nothing here stops at a bad file, and one damage gives one finding.
"""

from collections.abc import Iterable, Iterator, Sequence, Set

from orlop.finding import Finding, Severity
from orlop.fs import Root
from orlop.progress import Progress
from orlop.records import Key
from orlop.rkt import checkimages, checkspace, checktrees
from orlop.rkt.content import Verdict, results
from orlop.rkt.model import Image, Model
from orlop.store import Hashing

_STEP = 500
"""Images between two reports of progress."""
_AT_ONCE = (Severity.BLOCKS, Severity.UNUSABLE)
"""What is told as soon as it is found."""


def check(
    root: Root,
    model: Model,
    keys: Iterable[Key] | None,
    *,
    content: bool,
    progress: Progress,
    hashing: Hashing | None = None,
) -> Iterator[Finding]:
    """Findings of the whole store, or only those that affect the images of some rows; worst first.

    What hashing finds to be unusable comes as it is found, after what the structure tells.

    Args:
        root: the store.
        model: what was read of it.
        keys: rows; None for everything.
        content: whether archives and trees are hashed.
        progress: told of the images, then of the bytes.
        hashing: what was verified before, and how far to go.

    Raises:
        Cancelled: `progress` stopped it; what was given stands.
        StorageFailure: as `orlop.spread.spread`.
    """
    wanted = None if keys is None else {key.id for key in keys}
    images = [image for image in model.images.values() if wanted is None or image.key in wanted]
    found = [*_structure(root, model, images, whole=wanted is None, progress=progress)]
    found = sorted((one for one in found if _touches(one, wanted)), key=_order)
    if not content:
        yield from found
        return
    yield from (one for one in found if one.severity in _AT_ONCE)
    rest: list[Finding] = []
    wrong: set[str] = set()
    for one in _content(root, model, images, wanted, progress, hashing or Hashing()):
        if one.rule == "RK02":
            wrong.update(one.images)
        if not _touches(one, wanted):
            continue
        if one.severity in _AT_ONCE:
            yield one
        else:
            rest.append(one)
    later = (one for one in found if one.severity not in _AT_ONCE)
    # Of an archive that is not what its key says, the size in the row tells nothing more.
    rest += (one for one in later if not (one.rule == "RK12" and wrong.issuperset(one.images)))
    yield from sorted(rest, key=_order)


def _touches(finding: Finding, wanted: Set[str] | None) -> bool:
    return wanted is None or not wanted.isdisjoint(finding.images)


def _order(finding: Finding) -> tuple[Severity, str, str, str]:
    return (finding.severity, finding.rule, finding.path, finding.subject)


def _structure(
    root: Root, model: Model, images: Sequence[Image], *, whole: bool, progress: Progress
) -> Iterator[Finding]:
    for number, image in enumerate(images):
        if number % _STEP == 0:
            progress.step("images", number, len(images))
        yield from checkimages.archive(model, image)
        yield from checkimages.manifest(model, image)
        yield from checkimages.dependencies(model, image)
        yield from checkimages.size(model, image)
        yield from checkimages.use(model, image)
    yield from checkimages.remotes(model)
    for identity in sorted(model.trees):
        yield from checkspace.tree(model, model.trees[identity])
    if whole:
        yield from checkspace.catalogue(root, model)
        yield from checkspace.debris(model)


def _content(
    root: Root, model: Model, images: Sequence[Image], wanted: Set[str] | None, progress: Progress, hashing: Hashing
) -> Iterator[Finding]:
    """What hashing archives and trees finds."""
    trees = [tree for tree in model.trees.values() if wanted is None or tree.image in wanted]
    for result in results(root, model, images, trees, progress, hashing):
        if isinstance(result, Verdict):
            yield from checkimages.content(model, model.images[result.key], result)
        else:
            yield from checktrees.content(model, model.trees[result.id], result)
