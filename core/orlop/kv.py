"""A namespaced key/value store on plain files, as moby keeps its push and pull metadata.

Drawn from moby ``distribution/metadata/metadata.go`` (v1.11.2-rc1 to 28): the value
of a key is the file ``<root>/<namespace>/<key>``; a key with ``/`` lies in folders.
Where the original is unsafe this is stricter: what leaves the root is refused, links
are not followed, every write is synced and atomic, and `KeyValue.exclusive` keeps
reading and then writing together, between threads and between processes.

    >>> store = MemoryKeyValue()
    >>> store.set("v1id", "registry.example,0123", b"sha256:...")
    >>> store.get("v1id", "registry.example,0123")
    b'sha256:...'
"""

import contextlib
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from orlop.change import Drop, Put
from orlop.direct import Place
from orlop.errors import AlreadyExists, Escapes, NotFound, TooLarge, WrongKind

VALUE_LIMIT = 64 * 1024 * 1024
"""Bytes of a value at most."""


class KeyValue(Protocol):
    """Values by namespace and key.

    Both are texts; together they are a path in which ``.``, ``..`` and repeated
    ``/`` are resolved as text, and which may not leave the store. Either may be empty.
    A key can be a folder of other keys: then it has no value of its own.
    """

    def get(self, namespace: str, key: str) -> bytes:
        """The value, whole: the one before or the one after any concurrent `set`.

        Raises:
            NotFound: there is none.
            WrongKind: the key is a folder of others, one above it is a value, or a link is there.
            Escapes: the key would leave the store, or holds what no file name can.
            TooLarge: it has more than `VALUE_LIMIT` bytes.
            NoPermission, StorageFailure
        """
        ...

    def set(self, namespace: str, key: str, value: bytes) -> None:
        """Store a value; durable and atomic when it returns, and the old value is kept on any failure.

        Raises:
            WrongKind: the key is a folder of others, or one above it is a value.
            Escapes: the key would leave the store, or holds what no file name can.
            TooLarge: more than `VALUE_LIMIT` bytes.
            NoPermission, ReadOnly, NoSpace, StorageFailure
        """
        ...

    def delete(self, namespace: str, key: str) -> None:
        """Remove a value, or a folder that has no keys left.

        Raises:
            NotFound: there is none.
            AlreadyExists: the key is a folder, and others are in it.
            WrongKind: one above it is a value.
            Escapes: the key would leave the store, is the store itself, or holds what no file name can.
            NoPermission, ReadOnly, StorageFailure
        """
        ...

    def exclusive(self) -> AbstractContextManager[None]:
        """A block in which nobody else sets or deletes: for a read and the write that depends on it.

        It waits for others who are in such a block, threads and processes alike, and
        may be entered again inside itself. Every `set` and `delete` is one by itself.
        Reading is never held up.
        """
        ...


def path_of(namespace: str, key: str) -> str:
    """The file of a key, relative to the root; empty for the root itself.

    Raises:
        Escapes: it leaves the root, or has a surrogate that stands for no byte.
    """
    _refuse_unwritable(f"{namespace}/{key}")
    parts: list[str] = []
    for part in f"{namespace}/{key}".split("/"):
        if part == "..":
            if not parts:
                raise Escapes(f"{namespace}/{key}", "the key would leave the store")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _refuse_unwritable(path: str) -> None:
    try:
        path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise Escapes(path, "no key can hold a surrogate that stands for no byte") from error


class FileKeyValue:
    """A `KeyValue` on files below a folder, byte for byte as moby's ``FSMetadataStore``.

    Folders are made 0755 under the umask and files 0644 exactly. Links below the
    root are not followed; `set` and `delete` replace and remove them.

    Args:
        root: the folder, such as ``/var/lib/docker/image/overlay2/distribution``;
            made (0700, under the umask; what is missing above it too) where it is not there.

    Raises:
        WrongKind: it is no folder.
        NoPermission, ReadOnly, NoSpace, StorageFailure
    """

    def __init__(self, root: str) -> None:
        self._place = Place(root)
        self._place.create(mode=0o700)

    def get(self, namespace: str, key: str) -> bytes:
        return self._place.read(_file_of(namespace, key), VALUE_LIMIT)

    def set(self, namespace: str, key: str, value: bytes) -> None:
        if len(value) > VALUE_LIMIT:
            raise TooLarge(len(value), VALUE_LIMIT, path=path_of(namespace, key))
        self._place.run(Put(path=_file_of(namespace, key), data=value, mode=0o644, folders=0o755))

    def delete(self, namespace: str, key: str) -> None:
        self._place.run(Drop(path=_deletable(namespace, key)))

    def exclusive(self) -> AbstractContextManager[None]:
        self._place.create()
        return self._place.exclusive()


class MemoryKeyValue:
    """A `KeyValue` in memory, for tests and for what need not last; one process."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}
        self._folders: set[str] = set()
        self._lock = threading.RLock()

    def get(self, namespace: str, key: str) -> bytes:
        path = _file_of(namespace, key)
        with self._lock:
            self._check(path)
            if path in self._values:
                return self._values[path]
        raise NotFound("there is no such key", path=path)

    def set(self, namespace: str, key: str, value: bytes) -> None:
        path = _file_of(namespace, key)
        if len(value) > VALUE_LIMIT:
            raise TooLarge(len(value), VALUE_LIMIT, path=path)
        with self._lock:
            self._check(path)
            self._folders.update(_above(path))
            self._values[path] = bytes(value)

    def delete(self, namespace: str, key: str) -> None:
        path = _deletable(namespace, key)
        with self._lock:
            if path in self._folders:
                if any(other.startswith(path + "/") for other in (*self._values, *self._folders)):
                    raise AlreadyExists("it cannot be removed", path=path, why="other keys are in it")
                self._folders.discard(path)
                return
            self._check(path)
            if self._values.pop(path, None) is None:
                raise NotFound("there is no such key", path=path)

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        with self._lock:
            yield

    def _check(self, path: str) -> None:
        if "\0" in path:
            raise Escapes(path, "no key can hold a NUL")
        if path in self._folders:
            raise WrongKind("folder", "file", path=path)
        for above in _above(path):
            if above in self._values:
                raise WrongKind("file", "folder", path=above)


def _file_of(namespace: str, key: str) -> str:
    path = path_of(namespace, key)
    if not path:
        raise WrongKind("folder", "file", path=".")
    return path


def _deletable(namespace: str, key: str) -> str:
    path = path_of(namespace, key)
    if not path:
        raise Escapes(f"{namespace}/{key}", "the store itself is no key")
    return path


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts))]
