"""Where rkt keeps what, below a store's folder (``cas``).

Drawn from rkt v1.30.0, store/imagestore/store.go and store/treestore/tree.go, and
seen on stores of that release::

    blob/sha512/<2 hex>/<key>           the image: an uncompressed archive (0600)
    imageManifest/sha512/<2 hex>/<key>  its manifest, one line of JSON (0660)
    imagelocks/<key>                    empty; one for each key ever locked
    db/ql.db                            rows of images and remotes; held under flock for a transaction
    db/orlop.sqlite3                    the same, in a store that Orlop made
    db-backups/0 … 4/                   copies of db/ made before migrations, 0 the newest
    tmp/<digits>                        images that are being written; leftovers are normal
    tree/<tree id>/                     a rendered image
      manifest rootfs/ hash rendered image
    treestorelocks/<tree id>            empty

A **key** is ``sha512-`` and the first half of the SHA-512 of the uncompressed
archive, 71 characters. A **tree id** is ``deps-`` and what looks like a key.

Every function gives a path relative to the store's folder, and refuses a key that
would leave its own.
"""

import re

from orlop.errors import Escapes, Malformed

BLOBS = "blob"
MANIFESTS = "imageManifest"
LOCKS = "imagelocks"
DATABASE = "db"
BACKUPS = "db-backups"
TEMPORARY = "tmp"
TREES = "tree"
TREE_LOCKS = "treestorelocks"

FOLDERS = (BLOBS, MANIFESTS, LOCKS, DATABASE, BACKUPS, TEMPORARY, TREES, TREE_LOCKS)
"""Everything that may lie in the store's folder."""

QL = f"{DATABASE}/ql.db"
SQLITE = f"{DATABASE}/orlop.sqlite3"

PREFIX = "sha512-"
KEY_LENGTH = len(PREFIX) + 64
SHORTEST_PREFIX = len(PREFIX) + 2
"""Of a key that is looked up: two hex digits."""

TREE_PREFIX = "deps-"
MANIFEST_NAME, ROOTFS_NAME, HASH_NAME, RENDERED_NAME, IMAGE_NAME = "manifest", "rootfs", "hash", "rendered", "image"
"""What lies in a rendered tree, beside the image's own files below ``rootfs``."""

BACKUPS_KEPT = 5

_KEY = re.compile(r"sha512-[0-9a-f]{64}", re.ASCII)
_TREE_ID = re.compile(r"deps-sha512-[0-9a-f]{64}", re.ASCII)


def is_key(text: str) -> bool:
    """Whether a text is a whole, well-formed key."""
    return _KEY.fullmatch(text) is not None


def is_tree_id(text: str) -> bool:
    """Whether a text is a well-formed id of a rendered tree."""
    return _TREE_ID.fullmatch(text) is not None


def key_of(digest: bytes) -> str:
    """The key for the whole SHA-512 of an archive, 64 bytes (the original's HashToKey).

    Raises:
        Malformed: another number of bytes.
    """
    if len(digest) != 64:
        raise Malformed(
            f"{len(digest)} bytes, where a whole SHA-512 has 64", engine=f"bad hash passed to hashToKey: {digest.hex()}"
        )
    return PREFIX + digest.hex()[:64]


def blob(key: str) -> str:
    """The archive of an image. Raises as `manifest`."""
    return f"{BLOBS}/{_below(key)}"


def manifest(key: str) -> str:
    """The manifest of an image.

    Raises:
        Malformed: the text has no ``-``, or fewer than two characters behind it.
        Escapes: it would lead out of its folder.
    """
    return f"{MANIFESTS}/{_below(key)}"


def lock(key: str) -> str:
    """The lock of an image.

    Raises:
        Escapes: the text is no single name.
    """
    return f"{LOCKS}/{_name(key)}"


def tree(tree_id: str) -> str:
    """The folder of a rendered tree. Raises as `lock`."""
    return f"{TREES}/{_name(tree_id)}"


def tree_lock(tree_id: str) -> str:
    """The lock of a rendered tree. Raises as `lock`."""
    return f"{TREE_LOCKS}/{_name(tree_id)}"


def backup(number: int) -> str:
    """A copy of the database's folder; 0 is the newest."""
    return f"{BACKUPS}/{number}"


def key_at(path: str) -> str | None:
    """The key whose blob or manifest a path is; None for any other path, and for a key in a folder of another."""
    parts = path.split("/")
    if len(parts) != 4 or parts[0] not in (BLOBS, MANIFESTS) or not is_key(parts[3]):
        return None
    return parts[3] if path == f"{parts[0]}/{_below(parts[3])}" else None


def _below(key: str) -> str:
    """As diskv places a key with rkt's transform (store/imagestore/utils.go, blockTransform)."""
    algorithm, dash, digits = _name(key).partition("-")
    if not dash or len(digits) < 2:
        raise Malformed(
            "not a key: an algorithm, a dash and hex digits",
            engine=f"blockTransform should never receive non-hash, got {key}",
        )
    return f"{_name(algorithm)}/{digits[:2]}/{key}"


def _name(text: str) -> str:
    if text in ("", ".", "..") or "/" in text or "\0" in text:
        raise Escapes(text, "a key is a single name, and this would leave its folder")
    return text
