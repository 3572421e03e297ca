"""What an engine remembers of its pushes and pulls, as a library: V1 ids and V2 digests of layers.

Drawn from moby ``distribution/metadata`` (v1_id_service.go, v2_metadata_service.go,
v1.11.2-rc1 to 28). Both services work over any `orlop.kv.KeyValue`; on an engine's
store that is a `FileKeyValue` on ``image/<driver>/distribution``. It is only a cache:
an engine that finds less uploads or downloads more. Each call that reads and then
writes is exclusive, so that no update of other threads or processes is lost.

    >>> from orlop.kv import MemoryKeyValue
    >>> service = V2MetadataService(MemoryKeyValue())
    >>> service.add("sha256:aa", V2Entry(digest="sha256:bb", source="docker.io/library/busybox", hmac=None))
    >>> service.get_diff_id("sha256:bb")
    'sha256:aa'
"""

from orlop.docker import distribution
from orlop.docker.model import V2Entry
from orlop.docker.v1 import validate_id
from orlop.errors import Malformed, OrlopError
from orlop.kv import KeyValue, path_of

__all__ = ["MAX_ENTRIES", "V1IdService", "V2Entry", "V2MetadataService"]

MAX_ENTRIES = 50
"""Entries of a layer that are kept; the oldest go first (moby: maxMetadata)."""

_V1_IDS = "v1id"
_LISTS = "v2metadata-by-diffid"
_REVERSES = "diffid-by-digest"


class V1IdService:
    """The DiffID of a layer that was pushed or pulled by the V1 protocol, by registry and V1 image id.

    Args:
        store: where the ids are; namespace ``v1id``, key ``<registry>,<v1 id>``.
    """

    def __init__(self, store: KeyValue) -> None:
        self._store = store

    def get(self, v1_id: str, registry: str) -> str:
        """The DiffID, as it was stored.

        Raises:
            NotFound: none is known.
            Malformed: `v1_id` is not 64 lower-case hex digits.
            Escapes: `registry` would lead out of the store.
            WrongKind, NoPermission, StorageFailure
        """
        validate_id(v1_id)
        return _text(self._store.get(_V1_IDS, f"{registry},{v1_id}"))

    def set(self, v1_id: str, registry: str, diff_id: str) -> None:
        """Remember the DiffID; it is not checked.

        Raises:
            Malformed: `v1_id` is not 64 lower-case hex digits.
            Escapes: `registry` would lead out of the store.
            WrongKind, NoPermission, ReadOnly, NoSpace, StorageFailure
        """
        validate_id(v1_id)
        self._store.set(_V1_IDS, f"{registry},{v1_id}", _bytes(diff_id))


class V2MetadataService:
    """Which blobs of which repositories a layer is, by its DiffID, and back.

    Digests and DiffIDs are texts with a colon; nothing else about them is checked.
    Two entries are equal when all members are, an ``HMAC`` that is not written
    counting as an empty one (as for engines from 1.13).

    Args:
        store: where the lists are; namespaces ``v2metadata-by-diffid`` and ``diffid-by-digest``.
    """

    def __init__(self, store: KeyValue) -> None:
        self._store = store

    def get_metadata(self, diff_id: str) -> tuple[V2Entry, ...]:
        """The entries of a layer, oldest first; of an empty list, none.

        Raises:
            NotFound: none are known.
            Malformed: the id has no colon, or the list is no JSON that an engine reads.
            WrongKind, Escapes, TooLarge, NoPermission, StorageFailure
        """
        return distribution.entries(self._store.get(_LISTS, _key(diff_id)))

    def get_diff_id(self, digest: str) -> str:
        """The DiffID of the layer that a blob was last added to, as it was stored.

        Raises:
            NotFound: none is known.
            Malformed: the digest has no colon.
            WrongKind, Escapes, NoPermission, StorageFailure
        """
        return _text(self._store.get(_REVERSES, _key(digest)))

    def add(self, diff_id: str, entry: V2Entry) -> None:
        """Put an entry at the end of a layer's list, in place of an equal one, and note the way back.

        Of more than `MAX_ENTRIES` the oldest are dropped; their ways back stay. A
        list that cannot be read counts as empty. Two writes, the list first; a
        failure between them leaves an entry without its way back.

        Raises:
            Malformed: the id or the digest has no colon; nothing was written.
            Escapes: one of them would lead out of the store; nothing was written.
            WrongKind, NoPermission, ReadOnly, NoSpace, StorageFailure
        """
        key, reverse = _key(diff_id), _key(entry.digest)
        path_of(_LISTS, key)
        path_of(_REVERSES, reverse)
        with self._store.exclusive():
            kept = distribution.without(self._known(key), entry)
            self._write(key, (*kept, entry)[-MAX_ENTRIES:])
            self._store.set(_REVERSES, reverse, _bytes(diff_id))

    def remove(self, entry: V2Entry) -> None:
        """Take an entry from the list of the layer that its blob was last added to; the way back stays.

        The list goes with its last entry.

        Raises:
            NotFound: the blob is not known, or its layer has no list any more.
            Malformed: the digest or the DiffID it leads to has no colon.
            WrongKind, Escapes, NoPermission, ReadOnly, NoSpace, StorageFailure
        """
        self.get_diff_id(entry.digest)  # a blob that is not known does not even lock
        with self._store.exclusive():
            key = _key(self.get_diff_id(entry.digest))
            self._write(key, distribution.without(self._known(key), entry))

    def _known(self, key: str) -> tuple[V2Entry, ...]:
        try:
            return distribution.entries(self._store.get(_LISTS, key))
        except OrlopError:
            return ()  # as the engine takes it: what cannot be read is replaced

    def _write(self, key: str, entries: tuple[V2Entry, ...]) -> None:
        spelled = distribution.spelled(entries)
        if spelled is None:
            self._store.delete(_LISTS, key)
        else:
            self._store.set(_LISTS, key, spelled)


def _key(digest: str) -> str:
    algorithm, colon, hex_digits = digest.partition(":")
    if not colon:
        raise Malformed("a digest has a colon after its algorithm", engine=f"could not find ':' in digest: {digest}")
    return f"{algorithm}/{hex_digits}"


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise Malformed("a surrogate in it stands for no byte") from error
