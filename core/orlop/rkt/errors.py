"""What an ACI store answers besides the errors of the core; each has the original's words in `engine`.

::

    NotFound
    ├── AciNotFound        no image has this name and these labels
    ├── KeyNotFound        no image's key begins so
    ├── RowNotFound        no row has exactly this key
    └── RemoteNotFound     no record has this url
    Malformed
    ├── BadKey             a text that is not the beginning of a key
    ├── BadIdentifier      a name outside the grammar of appc
    ├── BadQuery           a field that rows cannot be sorted by
    ├── BadImage           an archive that is no image, or a hostile one
    └── ManifestDamaged    a stored manifest that does not parse
    ManifestUnreadable     a stored manifest that is not there, or not readable
    ImportFailed           an image that was good could not be put in its place
    LockFailed             the lock of an image could not be made or taken
    StoreRemoval           an image is removed, but some of its files are not
"""

from collections.abc import Sequence

from orlop.errors import Malformed, NotFound, OrlopError


class AciNotFound(NotFound):
    """No image in the store has this name and all these labels."""


class KeyNotFound(NotFound):
    """No row's key begins so."""


class RowNotFound(NotFound):
    """No row has exactly this key."""


class RemoteNotFound(NotFound):
    """No remote record has this url."""


class BadKey(Malformed):
    """A text that cannot be the beginning of a key."""


class BadIdentifier(Malformed):
    """A name, or the name of a label, outside the grammar of appc."""


class BadQuery(Malformed):
    """A field that rows do not have, or cannot be sorted by."""


class BadImage(Malformed):
    """An archive that is no image by the rules of appc, or one that was made to do harm.

    `engine` is the original's outermost sentence: ``error decompressing image``,
    ``error copying image`` or ``error extracting image manifest``.
    """


class ManifestDamaged(Malformed):
    """A stored manifest does not parse, or does not validate."""


class ManifestUnreadable(OrlopError):
    """A stored manifest is not there or cannot be read; the cause says which."""


class ImportFailed(OrlopError):
    """An image could not be put in its place; the cause says why."""


class LockFailed(OrlopError):
    """The lock of an image could not be made or taken; the cause says why."""


class StoreRemoval(OrlopError):
    """The row of an image is gone, and some of its files are not.

    Attributes:
        causes: why each of them stayed, in the order of removal.
    """

    def __init__(self, key: str, causes: Sequence[OrlopError], *, engine: str) -> None:
        super().__init__(
            "the image is removed, but not all of its files",
            path=causes[0].path if causes else None,
            why="; ".join(str(cause) for cause in causes),
            do="`orlop check PATH` shows what is left",
            engine=engine,
        )
        self.key = key
        self.causes = tuple(causes)
