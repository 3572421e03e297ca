"""The files of an image in an imagedb folder, and what a delete makes of them.

moby: image/fs.go, ``fs.Delete``. The library's image backend does these changes at
once; a plan moves the same paths, in the same order, to the quarantine.
"""

from orlop.change import Drop
from orlop.fs import join

CONTENT = "content"
METADATA = "metadata"


def removal(imagedb: str, path: str) -> tuple[Drop, Drop]:
    """The changes that remove an image: its metadata folder, which need not be there, and then its config.

    Args:
        imagedb: the folder of ``content`` and ``metadata``; empty where that is the root.
        path: the image's own path in both, ``sha256/<hex>``.
    """
    return (
        Drop(path=join(imagedb, METADATA, path), tree=True, missing_ok=True),
        Drop(path=join(imagedb, CONTENT, path)),
    )
