"""Rendered trees against their hash, and the sizes that rows have for them."""

from collections.abc import Iterator, Set

from orlop.finding import Finding
from orlop.fs import Root
from orlop.progress import Progress
from orlop.rkt.model import Model


def trees(root: Root, model: Model, images: Set[str] | None, progress: Progress) -> Iterator[Finding]:
    """RK08, and RK12 for a tree; of the trees of some images, or of all for None."""
    yield from ()
