"""Read an ACI store whole.

Nothing is written and no lock is kept, so that it works on a read-only copy and while
rkt runs. Each part is read for itself: where one cannot be, the others are still there.
"""

from orlop.fs import Root
from orlop.progress import Progress
from orlop.rkt.join import join_model
from orlop.rkt.model import Model
from orlop.rkt.parts import read_parts
from orlop.rkt.touched import Touched


def read(root: Root, *, progress: Progress) -> Model:
    """What the store holds now.

    Raises:
        Cancelled: `progress` stopped it.
    """
    return join_model(root, read_parts(root, progress=progress, previous=None, touched=Touched(None)))
