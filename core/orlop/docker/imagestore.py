"""Images over a backend: which there are, who is whose parent, which layers they hold, and how one is found.

The engine's image store (moby v1.12.0-rc4 image/store.go), with the keys that later
engines added (17.12: when an image last changed; 26.0: whether it was built here).
As there, what is known of families and layers is read once, at opening, and kept in
memory: another process that changes the same backend is seen at the next opening.
Reading a config or a key always reads the backend, and verifies.

    >>> store = ImageStore(MemoryImageBackend(), MemoryLayerReferences())
    >>> image = store.create(b'{"os":"linux","rootfs":{"type":"layers"}}')
    >>> store.get(store.search(image[7:19])).config.os
    'linux'
    >>> store.delete(image).freed
    ()
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from orlop import times
from orlop.digest import Digest
from orlop.docker import imagejson
from orlop.docker.digestset import DigestSet
from orlop.docker.imagebackend import ImageBackend, MemoryImageBackend
from orlop.docker.imagejson import ImageConfig
from orlop.docker.layerreferences import FreedLayer, LayerReferences, MemoryLayerReferences
from orlop.errors import Malformed, NotFound, OrlopError
from orlop.text import decode

__all__ = [
    "Deletion",
    "ImageRecord",
    "ImageStore",
    "LayerMissing",
    "MemoryImageBackend",
    "MemoryLayerReferences",
    "NoSuchImage",
    "UnknownParent",
    "UnrecognizedImage",
]

_PARENT = "parent"
_LAST_UPDATED = "lastUpdated"
_BUILT_LOCALLY = "builtLocally"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """An image as the store has it."""

    id: str
    parent: str
    """What the key ``parent`` holds, whatever that is; empty where there is none, or it cannot be read."""
    config: ImageConfig

    def marshal(self) -> bytes:
        """The config as the engine writes it again, its parent included (`ImageConfig.marshal`)."""
        return self.config.marshal(parent=self.parent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """What became of an image that was deleted."""

    freed: tuple[FreedLayer, ...]
    """Layers that are gone with it, top first."""
    failures: tuple[OrlopError, ...] = ()
    """What could not be removed of its own files and of its children's ``parent`` keys, and why.

    The image is forgotten all the same; a config that stayed is an image again at
    the next opening.
    """


class NoSuchImage(NotFound):
    """No image's id begins like this; `engine` has the engine's words."""

    def __init__(self, term: str) -> None:
        super().__init__(f"no image's id begins with {term!r}", engine=f"No such image: {term}")


class UnrecognizedImage(NotFound):
    """The store knows no image of this id; `engine` has the engine's words."""

    def __init__(self, image: str) -> None:
        super().__init__(f"the store knows no image {image}", engine=f"unrecognized image ID {image}")


class UnknownParent(NotFound):
    """The parent is no image that the store knows; `engine` has the engine's words."""

    def __init__(self, parent: str) -> None:
        super().__init__(f"the parent {parent} is no image of the store", engine=f"unknown parent image ID {parent}")


class LayerMissing(NotFound):
    """The layer store does not have the top layer of an image; `engine` has the engine's words."""

    def __init__(self, chain_id: str) -> None:
        super().__init__(f"the layer {chain_id} does not exist", engine="layer does not exist")
        self.chain_id = chain_id


@dataclass(slots=True)
class _Known:
    """What is kept of an image in memory."""

    chain_id: str
    """Its top layer, one reference to which is counted; empty where it has none."""
    children: set[str] = field(default_factory=set)


class ImageStore:
    """Images over a backend. Safe between threads.

    Opening reads every image. One that cannot be read, verified or parsed, or has no
    ``rootfs``, is left out and told in `skipped`. A reference to the top layer of each
    other one is counted.

    Args:
        backend: where configs and keys are.
        layers: where layers are.
        skip_missing_layers: what to do with an image whose top layer is missing. False:
            opening fails, as engines ≤ 17.12 do; True: the image is left out, as
            engines ≥ 18.09 do.

    Raises:
        LayerMissing: the top layer of an image is missing. References to layers of images
            before it stay counted: letting them go could remove the layers.
        NotFound, WrongKind, NoPermission, StorageFailure: the images cannot be listed.
    """

    def __init__(self, backend: ImageBackend, layers: LayerReferences, *, skip_missing_layers: bool = False) -> None:
        self._backend = backend
        self._layers = layers
        self._lock = threading.RLock()
        self._known: dict[str, _Known] = {}
        self._digests = DigestSet()
        self.skipped: dict[str, OrlopError] = {}
        """Ids that have content and are no images here, with the reason."""
        self._restore(skip_missing_layers)

    # --- images ------------------------------------------------------------

    def create(self, config: bytes) -> Digest:
        """Add an image by its config, which is kept byte for byte; gives its id.

        An image that is known already is written anew and else left as it is.

        Raises:
            Malformed: the config cannot be read, has no ``rootfs``, or more history entries
                with a layer than layers; nothing was written, `engine` has the engine's words.
            LayerMissing: its top layer is not in the layer store. As with the engine the config
                **is** written: it becomes an image at the next opening that finds the layer.
            TooLarge, NotFound, WrongKind, NoPermission, ReadOnly, NoSpace, StorageFailure: as
                `ImageBackend.set`.
        """
        parsed = imagejson.parse(config)
        if sum(not entry.empty_layer for entry in parsed.history) > len(parsed.rootfs.diff_ids):
            raise Malformed(
                "it has more entries with a layer than layers",
                field="history",
                engine="too many non-empty layers in History section",
            )
        with self._lock:
            image = self._backend.set(config)
            if image not in self._known:
                self._remember(image, parsed.chain_id)
        return image

    def get(self, image: str) -> ImageRecord:
        """An image, read from the backend and verified now, whether the store knows it or not.

        Raises:
            FailedToVerify, NotFound, WrongKind, TooLarge, Escapes, NoPermission, StorageFailure: as
                `ImageBackend.get`.
            Malformed: the config cannot be read, or has no ``rootfs``; the id has no colon.
        """
        config = imagejson.parse(self._backend.get(image))
        return ImageRecord(id=image, parent=self._parent_or_nothing(image), config=config)

    def delete(self, image: str) -> Deletion:
        """Forget an image and remove it: its children's ``parent`` keys, its keys, its config, its layers.

        Children become heads of their own; they are not given to the grandparent. Layers
        go last, and only those that nothing else refers to.

        Raises:
            UnrecognizedImage: the store knows no such image; nothing was done.
            Refused, NoPermission, ReadOnly, StorageFailure: of the layer store; the image is gone by then.
        """
        with self._lock:
            known = self._known.get(image)
            if known is None:
                raise UnrecognizedImage(image)
            failures = [self._without_parent(child) for child in sorted(known.children)]
            self._leave_parent(image)
            self._digests.remove(Digest.parse(image))
            del self._known[image]
            failures.append(self._removed(image))
            freed = tuple(self._layers.release(known.chain_id)) if known.chain_id else ()
        return Deletion(freed=freed, failures=tuple(failure for failure in failures if failure is not None))

    def search(self, term: str) -> Digest:
        """The one image whose id is this, or begins like this: with ``sha256:`` or without.

        The empty text stands for the only image; upper case matches nothing.

        Raises:
            NoSuchImage: none begins like this.
            Ambiguous: several do; `candidates` has some.
        """
        with self._lock:
            try:
                return self._digests.lookup(term)
            except NotFound:
                raise NoSuchImage(term) from None

    def map(self) -> dict[str, ImageRecord]:
        """Every known image by id, each read and verified now; those that cannot be read are left out."""
        return self._records(list(self._known))

    def heads(self) -> dict[str, ImageRecord]:
        """As `map`, the images without children."""
        with self._lock:
            ids = [image for image, known in self._known.items() if not known.children]
        return self._records(ids)

    # --- families ----------------------------------------------------------

    def set_parent(self, image: str, parent: str) -> None:
        """Make an image the child of another; it leaves the parent that it had.

        Neither itself nor one of its own children is refused as a parent: such images are
        never heads.

        Raises:
            UnknownParent: the store does not know the parent; nothing was done.
            NotFound, FailedToVerify, WrongKind, Escapes, NoPermission, ReadOnly, NoSpace, StorageFailure: the
                key cannot be written. Until the next opening the store counts it as a child all the same.
            Malformed: the id has no colon; nothing was done.
        """
        with self._lock:
            known = self._known.get(parent)
            if known is None:
                raise UnknownParent(parent)
            if ":" not in image:
                self.get_parent(image)  # refuses, before anything is done
            self._leave_parent(image)
            known.children.add(image)
            self._backend.set_metadata(image, _PARENT, parent.encode())

    def get_parent(self, image: str) -> str:
        """What the key ``parent`` of an image holds; it is not checked.

        Raises:
            NotFound: there is no such image, or it has no parent.
            FailedToVerify, WrongKind, TooLarge, Malformed, Escapes, NoPermission, StorageFailure: as
                `ImageBackend.get_metadata`.
        """
        return decode(self._backend.get_metadata(image, _PARENT))

    def children(self, image: str) -> tuple[str, ...]:
        """The ids of an image's children, sorted; none for an image that the store does not know."""
        with self._lock:
            known = self._known.get(image)
            return tuple(sorted(known.children)) if known is not None else ()

    # --- keys of later engines ---------------------------------------------

    def set_last_updated(self, image: str, at: int | None = None) -> None:
        """Note when an image last changed here, as engines ≥ 17.12 do when they tag, import or commit one.

        Args:
            image: its id.
            at: nanoseconds UTC; None: now.

        Raises:
            NotFound and others, as `ImageBackend.set_metadata`.
        """
        text = times.rfc3339(times.now() if at is None else at)
        self._backend.set_metadata(image, _LAST_UPDATED, text.encode())

    def get_last_updated(self, image: str) -> int | None:
        """When an image last changed here, nanoseconds UTC; None where nothing, or an empty text, says so.

        Raises:
            Malformed: what is there is no time.
            FailedToVerify, NotFound, WrongKind, NoPermission, StorageFailure: of the image itself.
        """
        text = self._value(image, _LAST_UPDATED)
        return times.parse(decode(text)) if text else None

    def set_built_locally(self, image: str) -> None:
        """Note that an image was built on this host, as engines ≥ 26.0 do. Raises as `set_last_updated`."""
        self._backend.set_metadata(image, _BUILT_LOCALLY, b"\x01")

    def is_built_locally(self, image: str) -> bool:
        """Whether an image is noted as built on this host.

        Raises:
            FailedToVerify, NotFound, WrongKind, NoPermission, StorageFailure: of the image itself.
        """
        return self._value(image, _BUILT_LOCALLY) == b"\x01"

    # --- inside ------------------------------------------------------------

    def _restore(self, skip_missing_layers: bool) -> None:
        chains: dict[tuple[str, ...], str] = {}  # many images stand on the same layers
        for image in self._backend.walk():
            try:
                diff_ids = imagejson.diff_ids_of(self._backend.get(image))
            except OrlopError as error:
                self.skipped[image] = error
                continue
            if diff_ids not in chains:
                chains[diff_ids] = imagejson.chain_id(diff_ids)
            try:
                self._remember(Digest.parse(image), chains[diff_ids])
            except LayerMissing as error:
                if not skip_missing_layers:
                    raise
                self.skipped[image] = error
        for image in self._known:
            known = self._known.get(self._parent_or_nothing(image))
            if known is not None:
                known.children.add(image)

    def _remember(self, image: Digest, chain_id: str) -> None:
        if chain_id:
            try:
                self._layers.get(chain_id)
            except NotFound as error:
                raise LayerMissing(chain_id) from error
        self._known[image] = _Known(chain_id)
        self._digests.add(image)

    def _records(self, images: Iterable[str]) -> dict[str, ImageRecord]:
        found: dict[str, ImageRecord] = {}
        for image in images:
            try:
                found[image] = self.get(image)
            except OrlopError:  # as the engine: an image that went bad is not listed, and `get` tells why
                continue
        return found

    def _parent_or_nothing(self, image: str) -> str:
        try:
            return self.get_parent(image)
        except OrlopError:  # as the engine: an unreadable parent is none, and `get_parent` tells why
            return ""

    def _leave_parent(self, image: str) -> None:
        known = self._known.get(self._parent_or_nothing(image))
        if known is not None:
            known.children.discard(image)

    def _without_parent(self, child: str) -> OrlopError | None:
        try:
            self._backend.delete_metadata(child, _PARENT)
        except OrlopError as error:
            return error
        return None

    def _removed(self, image: str) -> OrlopError | None:
        try:
            self._backend.delete(image)
        except NotFound:  # gone already
            return None
        except OrlopError as error:
            return error
        return None

    def _value(self, image: str, key: str) -> bytes:
        try:
            return self._backend.get_metadata(image, key)
        except NotFound:
            self._backend.get(image)  # it may be the image that is not there
            return b""
