"""Every fault of an ACI store, each with its file and what it affects.

The structure is checked from what the last read found; with ``content`` every archive
is hashed to its key, its manifest compared with the stored one, and every rendered tree
with its hash. Nothing here stops at a bad file, and one damage gives one finding.
"""

from collections.abc import Iterable, Iterator, Sequence

from orlop.finding import Finding
from orlop.fs import Root
from orlop.progress import Progress
from orlop.records import Key
from orlop.rkt import checkimages, checkspace
from orlop.rkt.checktrees import trees
from orlop.rkt.content import verdicts
from orlop.rkt.model import Image, Model

_STEP = 500
"""Images between two reports of progress."""


def check(
    root: Root, model: Model, keys: Iterable[Key] | None, *, content: bool, progress: Progress
) -> Iterator[Finding]:
    """Findings of the whole store, or only those that affect the images of some rows; worst first.

    Raises:
        Cancelled: `progress` stopped it.
    """
    wanted = None if keys is None else {key.id for key in keys}
    images = [image for image in model.images.values() if wanted is None or image.key in wanted]
    found = [*_structure(root, model, images, whole=wanted is None, progress=progress)]
    if content:
        hashed = [*_content(root, model, images, progress)]
        wrong = {key for finding in hashed if finding.rule == "RK02" for key in finding.images}
        # Of an archive that is not what its key says, the size in the row tells nothing more.
        found = [finding for finding in found if not (finding.rule == "RK12" and wrong.issuperset(finding.images))]
        found += hashed
        found += trees(root, model, wanted, progress)
    if wanted is not None:
        found = [finding for finding in found if wanted.intersection(finding.images)]
    yield from sorted(found, key=lambda finding: (finding.severity, finding.rule, finding.path, finding.subject))


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


def _content(root: Root, model: Model, images: Sequence[Image], progress: Progress) -> Iterator[Finding]:
    for verdict in verdicts(root, images, progress):
        yield from checkimages.content(model, model.images[verdict.key], verdict)
