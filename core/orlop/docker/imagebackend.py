"""Where image configs and their metadata are kept: by id, verified whenever they are read.

The engine's image backend (moby image/fs.go: ``StoreBackend``), v1.12.0-rc4 and as it
stayed in kind to 28. On disk, below a folder such as ``image/overlay2/imagedb``::

    content/sha256/<hex>          0600   the config; its name is its sha256
    metadata/sha256/<hex>/<key>   0600   parent, lastUpdated, builtLocally; the folder only where there is a key

Folders are 0700 under the umask. Where the original is unsafe this is stricter: ids and
keys that leave their folder are refused, links are not followed, every write has a
temporary file with a random name, is synced, and leaves nothing behind when it fails.

    >>> backend = MemoryImageBackend()
    >>> image = backend.set(b'{"rootfs":{"type":"layers"}}')
    >>> backend.set_metadata(image, "parent", b"sha256:...")
    >>> [backend.get(found) for found in backend.walk()]
    [b'{"rootfs":{"type":"layers"}}']
"""

import hashlib
import os
import threading
from collections.abc import Iterator
from typing import Protocol

from orlop.change import Drop, Put
from orlop.digest import Digest
from orlop.direct import Place
from orlop.docker import imagefiles
from orlop.docker.digestset import parse_digest
from orlop.errors import DigestMismatch, Escapes, Malformed, NotFound, TooLarge, WrongKind
from orlop.fs import PARSE_LIMIT, Folder, join
from orlop.kv import path_of

_CONTENT = imagefiles.CONTENT
_METADATA = imagefiles.METADATA
_USUAL = "sha256"


class FailedToVerify(DigestMismatch):
    """A config does not hash to its id; `engine` has the engine's words."""

    def __init__(self, image: str, actual: str, *, path: str | None = None) -> None:
        super().__init__(image, actual, path=path, engine=f"failed to verify image: {image}")


class ImageBackend(Protocol):
    """Configs by id, and small values by id and key.

    An id is ``sha256:`` and 64 hex digits. Other texts with a colon are looked up all
    the same and never verify. A text without one is `Malformed`, for every method.
    """

    def walk(self) -> Iterator[str]:
        """The ids that have content, sorted by their bytes, as they are when this is called.

        Names that cannot be an id are left out; what has the name of one is given
        whatever it is, upper case too: `get` tells. A visitor stops by leaving the loop.

        Raises:
            NotFound: the folder of the content is gone.
            WrongKind, NoPermission, StorageFailure
        """
        ...

    def get(self, image: str) -> bytes:
        """The config of an image, hashed against its id.

        Raises:
            FailedToVerify: it hashes to something else; `engine` has the engine's words.
            NotFound: there is none.
            WrongKind: a folder or a link is in its place.
            TooLarge: it has more than `orlop.fs.PARSE_LIMIT` bytes.
            Malformed, Escapes, NoPermission, StorageFailure
        """
        ...

    def set(self, config: bytes) -> Digest:
        """Keep a config; gives its id. One that is there is written anew, which repairs it.

        Durable and atomic: a reader meets the old bytes or the new ones.

        Raises:
            Malformed: it is empty; `engine` has the engine's words.
            TooLarge: it has more than `orlop.fs.PARSE_LIMIT` bytes.
            NotFound: the folder of the content is gone.
            WrongKind: a folder has its name.
            NoPermission, ReadOnly, NoSpace, StorageFailure
        """
        ...

    def delete(self, image: str) -> None:
        """Remove the metadata of an image, all of it, and then its config. Neither is looked at.

        Raises:
            NotFound: there is no config; the metadata is gone all the same.
            AlreadyExists: a folder with something in it has the name of the config.
            Escapes: the id is no single name in a folder of ids; nothing was touched.
            Malformed, WrongKind, NoPermission, ReadOnly, StorageFailure
        """
        ...

    def set_metadata(self, image: str, key: str, value: bytes) -> None:
        """Keep a value for an image, durably and atomically.

        Raises:
            FailedToVerify, NotFound, WrongKind, TooLarge: as `get`, whose image must be sound.
            NotFound: the key has a ``/``, and there is no such folder.
            WrongKind: the key is empty, or names a folder.
            Escapes: the key would leave the image's folder; nothing was touched.
            Malformed, NoPermission, ReadOnly, NoSpace, StorageFailure
        """
        ...

    def get_metadata(self, image: str, key: str) -> bytes:
        """A value of an image.

        Raises:
            FailedToVerify, NotFound, WrongKind, TooLarge: as `get`, whose image must be sound.
            NotFound: there is no such key.
            WrongKind: the key is empty, or names a folder or a link.
            Escapes, Malformed, NoPermission, StorageFailure
        """
        ...

    def delete_metadata(self, image: str, key: str) -> None:
        """Remove a value, or a folder of them; the empty key removes all. Neither need be there.

        Raises:
            Escapes: the key would leave the image's folder; nothing was touched.
            Malformed, WrongKind, NoPermission, ReadOnly, StorageFailure
        """
        ...


class FileImageBackend:
    """An `ImageBackend` on files. Safe between threads and between processes.

    For many small reads it keeps the two folders of ids open, as long as it is there:
    their file system cannot be unmounted meanwhile.

    Args:
        root: the folder, such as ``/var/lib/docker/image/overlay2/imagedb``. It, what is
            missing above it, ``content/sha256`` and ``metadata/sha256`` are made.

    Raises:
        WrongKind: something on the way is no folder.
        NoPermission, ReadOnly, NoSpace, StorageFailure
    """

    def __init__(self, root: str) -> None:
        self._place = Place(root, folders=0o700)
        self._place.create(join(_CONTENT, _USUAL), join(_METADATA, _USUAL))
        self._contents = _KeptFolder(self._place, join(_CONTENT, _USUAL))
        self._values = _KeptFolder(self._place, join(_METADATA, _USUAL))

    def walk(self) -> Iterator[str]:
        with self._place.open() as root:
            names = root.names(join(_CONTENT, _USUAL))
        return iter([f"{_USUAL}:{name}" for name in names if _is_name(name)])

    def get(self, image: str) -> bytes:
        path = _looked_up(image)
        if path.startswith(f"{_USUAL}/") and path.count("/") == 1:
            data = self._contents.folder().read(path[len(_USUAL) + 1 :])
        else:
            data = self._place.read(join(_CONTENT, path), PARSE_LIMIT)
        _verify(image, data, join(_CONTENT, path))
        return data

    def set(self, config: bytes) -> Digest:
        image = _checked(config)
        with self._place.exclusive():
            self._contents.folder()
            self._place.run(Put(path=join(_CONTENT, _USUAL, image.hex), data=config))
        return image

    def delete(self, image: str) -> None:
        self._place.run(*imagefiles.removal("", _single(image)))

    def set_metadata(self, image: str, key: str, value: bytes) -> None:
        name = _key(key)
        self.get(image)  # refuses before anything is locked, or made
        folder = join(_METADATA, _single(image))
        path = join(folder, name)
        with self._place.exclusive():
            self.get(image)  # it may have been deleted while this waited
            self._place.create(folder)
            if "/" in name:
                with self._place.open() as root:
                    root.folder(path.rpartition("/")[0]).close()
            self._place.run(Put(path=path, data=value))

    def get_metadata(self, image: str, key: str) -> bytes:
        name = _key(key)
        self.get(image)
        with self._values.folder().folder(_single(image).rpartition("/")[2]) as folder:
            if name and "/" not in name:
                return folder.read(name)
        return self._place.read(join(_METADATA, _single(image), name), PARSE_LIMIT)

    def delete_metadata(self, image: str, key: str) -> None:
        self._place.run(Drop(path=join(_METADATA, _single(image), _key(key)), tree=True, missing_ok=True))


class MemoryImageBackend:
    """An `ImageBackend` in memory, for tests and for what need not last; one process."""

    def __init__(self) -> None:
        self._contents: dict[str, bytes] = {}
        self._values: dict[str, dict[str, bytes]] = {}
        self._lock = threading.RLock()

    def walk(self) -> Iterator[str]:
        with self._lock:
            return iter(sorted(self._contents))

    def get(self, image: str) -> bytes:
        path = _looked_up(image)
        if path in ("", _USUAL):
            raise WrongKind("folder", "file", path=join(_CONTENT, path))
        with self._lock:
            data = self._contents.get(image)
        if data is None:
            raise NotFound("there is no such image", path=join(_CONTENT, path))
        return data

    def set(self, config: bytes) -> Digest:
        image = _checked(config)
        with self._lock:
            self._contents[image] = bytes(config)
        return image

    def delete(self, image: str) -> None:
        path = _single(image)
        with self._lock:
            self._values.pop(image, None)
            if self._contents.pop(image, None) is None:
                raise NotFound("there is no such image", path=join(_CONTENT, path))

    def set_metadata(self, image: str, key: str, value: bytes) -> None:
        name = _key(key)
        with self._lock:
            self.get(image)
            values = self._values.setdefault(image, {})
            path = join(_METADATA, _single(image), name)
            if not name:
                raise WrongKind("folder", "file", path=path)
            if "/" in name:
                raise _no_folder(values, name, path)
            values[name] = bytes(value)

    def get_metadata(self, image: str, key: str) -> bytes:
        name = _key(key)
        with self._lock:
            self.get(image)
            values = self._values.get(image)
            path = join(_METADATA, _single(image), name)
            if values is not None and not name:
                raise WrongKind("folder", "file", path=path)
            if values is not None and name in values:
                return values[name]
            raise _no_folder(values or {}, name, path)

    def delete_metadata(self, image: str, key: str) -> None:
        name = _key(key)
        _single(image)
        with self._lock:
            if not name:
                self._values.pop(image, None)
            else:
                self._values.get(image, {}).pop(name, None)


class _KeptFolder:
    """A folder of the place that stays open for as long as its path names it, for many small reads."""

    def __init__(self, place: Place, path: str) -> None:
        self._place = place
        self._path = path
        self._at = join(place.path, path)
        self._kept: tuple[_ClosedByItself, tuple[int, int]] | None = None

    def __getstate__(self) -> tuple[Place, str]:
        return self._place, self._path

    def __setstate__(self, state: tuple[Place, str]) -> None:
        _KeptFolder.__init__(self, *state)

    def folder(self) -> Folder:
        """The folder as it is now; the caller does not close it.

        Raises:
            NotFound, WrongKind, NoPermission, StorageFailure
        """
        kept = self._kept
        if kept is not None:
            try:
                found = os.stat(self._at)
            except OSError:
                self._kept = None  # what it is now is told when it is opened
            else:
                if kept[1] == (found.st_dev, found.st_ino):
                    return kept[0]
        with self._place.open() as root, root.folder(self._path) as folder:
            opened = _ClosedByItself(os.dup(folder.fd), folder.path)
        status = os.fstat(opened.fd)
        self._kept = (opened, (status.st_dev, status.st_ino))
        return opened


class _ClosedByItself(Folder):
    """Closed once nobody holds it: another thread may still read when it is replaced."""

    __slots__ = ()

    def __del__(self) -> None:
        self.close()


def _is_name(name: str) -> bool:
    try:
        parse_digest(f"{_USUAL}:{name}")
    except Malformed:
        return False
    return True


def _checked(config: bytes) -> Digest:
    if not config:
        raise Malformed("an empty config is no image", engine="Invalid empty data")
    if len(config) > PARSE_LIMIT:
        raise TooLarge(len(config), PARSE_LIMIT)
    return Digest.of(config)


def _verify(image: str, data: bytes, path: str) -> None:
    actual = "sha256:" + hashlib.sha256(data).hexdigest()
    if actual != image:
        raise FailedToVerify(image, actual, path=path)


def _split(image: str) -> tuple[str, str]:
    algorithm, colon, digits = image.partition(":")
    if not colon:
        raise Malformed("an image id has a colon", engine=f"could not find ':' in digest: {image}")
    return algorithm, digits


def _looked_up(image: str) -> str:
    """Where an id leads, for reading, within the content."""
    algorithm, digits = _split(image)
    return path_of(algorithm, digits)


def _single(image: str) -> str:
    """Where an id leads, for changing: two names, so that no change reaches another image or a whole folder."""
    algorithm, digits = _split(image)
    path = f"{algorithm}/{digits}"
    if path_of(algorithm, digits) != path or path.count("/") != 1:
        raise Escapes(image, "the id is no name in a folder of ids")
    return path


def _key(key: str) -> str:
    """The path of a key in the image's folder; empty for the folder itself."""
    return path_of("", key)


def _no_folder(values: dict[str, bytes], name: str, path: str) -> NotFound | WrongKind:
    if name.partition("/")[0] in values:
        return WrongKind("file", "folder", path=path)
    return NotFound("there is no such key", path=path)
