"""The layer store: archives become layers, layers become their exact archives again.

moby: layer/layer_store.go, layer/filestore.go, layer/ro_layer.go (1.10 to 28; what is
written is what 20.10 writes). A layer is a record in ``layerdb`` and a folder of the
storage driver; it is there as long as something holds it::

    layers = LayerStore("/srv/docker", driver="overlay2")
    with open("layer.tar", "rb") as archive:
        base = layers.register(archive)                 # held by whoever registered it
    top = layers.register(more, parent=base.chain_id)   # holds the one below
    layers.release(base.chain_id)                       # stays: `top` stands on it
    layers.release(top.chain_id)                        # both are gone now, and returned
"""

import contextlib
import gzip
import hashlib
import io
import os
import secrets
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from orlop.change import Change, Drop
from orlop.digest import Digest, chain_ids, is_hex
from orlop.direct import Place
from orlop.docker import layerdb, layout, tarsplit
from orlop.docker.archives import Archive
from orlop.docker.layerdata import Driver, Token, driver, unpack_names
from orlop.docker.layertree import LayerTree, pieces
from orlop.docker.model import Layer
from orlop.docker.release import parts_of
from orlop.errors import AlreadyExists, DigestMismatch, Malformed, NotFound, OrlopError, Refused
from orlop.fs import Root, join
from orlop.fs.trees import sync
from orlop.fs.writer import Writer

DEEPEST = 125
"""Layers in a chain at most (layer/layer_store.go, maxLayerDepth)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLayer:
    """One layer, as its record says."""

    chain_id: Digest
    diff_id: Digest
    """Of its uncompressed archive."""
    parent: Digest | None
    """Chain id of the layer below; None at the bottom."""
    size: int
    """Bytes of this layer alone."""
    cache_id: str
    """The name of its folder in the storage driver."""


class Layers(Protocol):
    """What a layer store can do; with `get` and `release` it is the `LayerReferences` of an image store."""

    def register(self, archive: BinaryIO, parent: str | None = None) -> StoredLayer:
        """Store a layer, and hold it; one that is there already is held once more.

        Args:
            archive: the layer's tar, uncompressed or gzip; read once, to its end.
            parent: chain id of the layer that it stands on.

        Raises:
            NotFound: there is no such parent, or a hard link leads to what is not in the layer.
            Refused: the chain would have more than `DEEPEST` layers.
            Escapes: a name in the archive leaves the layer, or leads through a link.
            Malformed: no tar, damaged or cut short, or members undo one another.
            Unsupported: a device, a sparse file, a record of aufs.
            NoPermission, ReadOnly, NoSpace, StorageFailure
            Whatever it raises, nothing of the layer is left.
        """
        ...

    def find(self, chain_id: str) -> StoredLayer:
        """What is recorded of a layer; it is not held by this.

        Raises:
            NotFound: there is none, or its record or one below it is damaged.
        """
        ...

    def get(self, chain_id: str) -> StoredLayer:
        """A layer, held from now on until `release`.

        Raises:
            NotFound: as `find`.
        """
        ...

    def release(self, chain_id: str) -> tuple[StoredLayer, ...]:
        """Let go of a layer; it goes when nothing holds it, and then those below it that nothing else holds.

        Returns:
            The layers that are gone, from the top.

        Raises:
            NotFound: there is no such layer.
            Refused: nobody holds it; or a damaged record makes it uncertain what stands on what.
        """
        ...

    def map(self) -> Mapping[str, StoredLayer]:
        """All layers by chain id; none of them is held by this."""
        ...

    def reassemble(self, chain_id: str) -> Iterator[bytes]:
        """The layer's archive, byte for byte, in pieces.

        Raises:
            NotFound: there is no such layer, or a file of it is missing.
            DigestMismatch: after the last piece: what was given does not hash to the diff id.
            Malformed, WrongKind, Escapes: the recipe or a file is not what it must be.
        """
        ...


class _Ledger:
    """Which layers there are, and what holds each: holders, layers that stand on it, containers."""

    def __init__(self) -> None:
        self.layers: dict[str, StoredLayer] = {}
        self.mounted: Counter[str] = Counter()
        self._held: Counter[str] = Counter()
        self._children: Counter[str] = Counter()

    def add(self, layer: StoredLayer) -> None:
        self.layers[layer.chain_id] = layer
        if layer.parent is not None:
            self._children[layer.parent] += 1

    def find(self, chain_id: str) -> StoredLayer:
        found = self.layers.get(chain_id)
        if found is None:
            raise NotFound(f"there is no layer {chain_id}")
        return found

    def hold(self, chain_id: str) -> StoredLayer:
        found = self.find(chain_id)
        self._held[chain_id] += 1
        return found

    def depth(self, chain_id: str | None) -> int:
        """Layers from this one down."""
        count = 0
        while chain_id is not None:
            count += 1
            chain_id = self.find(chain_id).parent
        return count

    def let_go(self, chain_id: str) -> tuple[StoredLayer, ...]:
        """Count one holder less; the layers that nothing holds any more, from the top. They stay on the books."""
        self.find(chain_id)
        if not self._held[chain_id]:
            raise Refused(f"layer {chain_id} cannot be released", ("nobody holds it",))
        self._held[chain_id] -= 1
        going: list[StoredLayer] = []
        here: str | None = chain_id
        while here is not None and not self._needed(here, above=bool(going)):
            going.append(self.layers[here])
            here = self.layers[here].parent
        return tuple(going)

    def _needed(self, chain_id: str, *, above: bool) -> bool:
        children = self._children[chain_id] - above
        return chain_id not in self.layers or bool(self._held[chain_id] or children or self.mounted[chain_id])

    def forget(self, layer: StoredLayer) -> None:
        del self.layers[layer.chain_id]
        if layer.parent is not None:
            self._children[layer.parent] -= 1


class LayerStore:
    """Layers of a Docker data root, with the driver vfs or overlay2: see `Layers` for what each method does.

    Opening makes the folders of ``layerdb`` where they are missing. Holders are counted in
    memory, as the engine counts them: besides those that `get` and `register` add, a layer
    is held by the layers that stand on it and by the containers in ``layerdb/mounts``. An
    image's hold is taken by the image store over this one; without it, a release that
    leaves nobody removes layers that an image on disk may need.

    A record appears whole or not at all, with one rename, after all its files are on disk.
    Registering and releasing are exclusive between threads and processes that use this
    class. The engine has no lock for it: it must be stopped, which
    `orlop.docker.guard.guard` makes sure of.

    Args:
        path: the data root, a folder that exists.
        driver: ``overlay2`` or ``vfs``.
        token: gives random bytes, for cache ids and temporary names.

    Raises:
        Unsupported: another driver.
        NotFound, WrongKind, NoPermission, ReadOnly, NoSpace, StorageFailure
    """

    def __init__(self, path: str, *, driver: str = "overlay2", token: Token = secrets.token_bytes) -> None:
        self._driver = driver
        self._token = token
        self._place = Place(path)
        self._ledger = _Ledger()
        self._damaged: dict[str, str] = {}  # by path
        self._versions: dict[str, object] = {}
        self._mount_ids: set[str] = set()
        with self._changing() as (root, _data):
            writer = Writer(root)
            writer.create_folders(layout.layerdb(driver), mode=0o700)
            for folder in (layout.layers(driver), layout.mounts(driver), layout.transactions(driver)):
                writer.create_folders(folder, mode=0o755)

    def register(self, archive: BinaryIO, parent: str | None = None) -> StoredLayer:
        with self._changing() as (root, data):
            below = None if parent is None else self._ledger.find(parent)
            _refuse_depth(self._ledger.depth(parent) + 1)
            made = self._unpack(root, data, archive, below)
            if made.chain_id not in self._ledger.layers:
                self._ledger.add(made)
            return self._ledger.hold(made.chain_id)

    def find(self, chain_id: str) -> StoredLayer:
        with self._place.exclusive(), self._place.open() as root:
            if not self._still(root, chain_id):
                self._look(root)
            return self._ledger.find(chain_id)

    def get(self, chain_id: str) -> StoredLayer:
        with self._place.exclusive():
            self.find(chain_id)
            return self._ledger.hold(chain_id)

    def release(self, chain_id: str) -> tuple[StoredLayer, ...]:
        with self._changing() as (root, _data):
            going = self._ledger.let_go(chain_id)
            if going and self._damaged:
                reasons = [f"{path}: {why}" for path, why in sorted(self._damaged.items())]
                do = "`orlop check PATH` names what to repair first"
                raise Refused(f"layer {chain_id} is let go, but cannot be removed", reasons, do=do)
            for layer in going:
                self._remove(root, layer)
                self._ledger.forget(layer)
            return going

    def map(self) -> Mapping[str, StoredLayer]:
        with self._changing():
            return dict(self._ledger.layers)

    def reassemble(self, chain_id: str) -> Iterator[bytes]:
        with self._changing() as (_root, data):
            layer = self._ledger.find(chain_id)
            tree = data.tree(layer.cache_id)
        with self._place.open() as root:
            record = layout.layer(self._driver, chain_id)
            yield from _verified(layer, _rebuilt(root, f"{record}/tar-split.json.gz", tree))

    # --- inside ------------------------------------------------------------

    @contextlib.contextmanager
    def _changing(self) -> Iterator[tuple[Root, Driver]]:
        """Alone in the store, and with what others have changed there since."""
        with self._place.exclusive(), self._place.open() as root:
            data = driver(self._driver, root, self._token)
            self._look(root)
            yield root, data

    def _still(self, root: Root, chain_id: str) -> bool:
        """Whether a layer's record says what it said; without a look at all the others."""
        known = self._ledger.layers.get(chain_id)
        if known is None:
            return False
        with contextlib.suppress(NotFound), root.folder(layout.layers(self._driver)) as records:
            read = layerdb.record(self._driver, {}, records, known.chain_id.hex, "folder")
            if not read.problems and not read.parent_lost and _stored(read) == known:
                return True
        self._ledger.forget(known)
        return False

    def _look(self, root: Root) -> None:
        """Take note of layers and containers that came, went or came back as others."""
        folder = layout.layers(self._driver)
        if not root.exists(folder):
            return
        with root.folder(folder) as records:
            kinds = {"sha256:" + name: kind for name, kind in records.kinds() if is_hex(name)}
            versions = {chain_id: records.stat(chain_id[7:]).version for chain_id in kinds}
            for chain_id, layer in list(self._ledger.layers.items()):
                if chain_id not in versions or versions[chain_id] != self._versions.get(chain_id):
                    self._ledger.forget(layer)
            self._versions = {**versions}
            self._damaged = {}
            found: dict[str, StoredLayer] = {}
            for chain_id in kinds.keys() - self._ledger.layers.keys():
                read = layerdb.record(self._driver, {}, records, chain_id[7:], kinds[chain_id])
                if read.problems or read.parent_lost:
                    problems = (f"{file} {why}" for file, why in read.problems.items())
                    self._damaged[records.path + "/" + chain_id[7:]] = "; ".join(problems) or "its parent is lost"
                else:
                    found[chain_id] = _stored(read)
        self._add(found)
        self._look_at_mounts(root)

    def _add(self, found: dict[str, StoredLayer]) -> None:
        """Add layers, those below first; one whose layer below is not there does not exist for the engine either."""
        for chain_id in list(found):
            way = []
            here: str | None = chain_id
            while here in found:
                way.append(found.pop(here))
                here = way[-1].parent
            if here is not None and here not in self._ledger.layers:
                why = f"the layer below is not there: {here}"
                self._damaged.update((layout.layer(self._driver, layer.chain_id), why) for layer in way)
                continue
            for layer in reversed(way):
                self._ledger.add(layer)

    def _look_at_mounts(self, root: Root) -> None:
        """Take note of what each container stands on, and of the folders that are its own."""
        folder = layout.mounts(self._driver)
        self._ledger.mounted = Counter()
        self._mount_ids = set()
        if not root.exists(folder):
            return
        with root.folder(folder) as mounts:
            for name, kind in mounts.kinds():
                if kind != "folder":
                    continue
                mount = layerdb.mount(frozenset(), mounts, name, kind)
                if mount.parent is not None:
                    self._ledger.mounted[mount.parent] += 1
                elif mount.problem:
                    self._damaged[f"{folder}/{name}"] = mount.problem  # what it stands on cannot be known
                self._mount_ids.update(found for found in (mount.mount_id, mount.init_id) if found is not None)

    def _unpack(self, root: Root, data: Driver, archive: BinaryIO, below: StoredLayer | None) -> StoredLayer:
        cache_id = self._token(32).hex()
        writer = Writer(root)
        transaction = f"{layout.transactions(self._driver)}/write-set-{int.from_bytes(self._token(4)):010}"
        if root.exists(layout.layer_data(self._driver, cache_id) or ""):
            raise AlreadyExists("the folder of a new layer is there already", path=cache_id)
        try:
            data.create(cache_id, below.cache_id if below is not None else None)
            read = Archive(archive)
            size = data.unpack(cache_id, read)
            layer = _layer(read.diff_id, below, size, cache_id)
            if layer.chain_id in self._ledger.layers:
                self._undo(root, cache_id, transaction)
                return layer
            writer.create_folder(transaction, mode=0o700)
            for name, content in _record(layer, read.tar_split):
                writer.create(f"{transaction}/{name}", content, mode=0o644)
            sync(root)
            self._publish(writer, transaction, layer)
        except BaseException:
            with contextlib.suppress(OrlopError):  # the first failure is the one to tell
                self._undo(root, cache_id, transaction)
            raise
        return layer

    def _publish(self, writer: Writer, transaction: str, layer: StoredLayer) -> None:
        """Give the record its name, or leave it where it was: the rename may be done and only its sync fail."""
        record = layout.layer(self._driver, layer.chain_id)
        try:
            writer.move(transaction, record)
        except BaseException:
            if not writer.root.exists(transaction):
                with contextlib.suppress(OrlopError):  # the name is back before the sync that may fail again
                    writer.move(record, transaction)
            raise

    def _undo(self, root: Root, cache_id: str, transaction: str) -> None:
        """Remove what was made of a layer."""
        self._run((*parts_of(root, self._driver, cache_id).drops(), Drop(path=transaction, tree=True, missing_ok=True)))

    def _remove(self, root: Root, layer: StoredLayer) -> None:
        """As engines from 20.10: the record gets a name that is none, then goes the data, then the record."""
        record = layout.layer(self._driver, layer.chain_id)
        going = layout.layer_going(self._driver, layer.chain_id, self._token(32).hex())
        drops = () if self._shared(layer) else parts_of(root, self._driver, layer.cache_id).drops()
        Writer(root).move(record, going)
        self._run((*drops, Drop(path=going, tree=True)))

    def _shared(self, layer: StoredLayer) -> bool:
        """Whether another record, or a container, names the same folder: a copied record must not cost it its files."""
        others = (other.cache_id for other in self._ledger.layers.values() if other.chain_id != layer.chain_id)
        return layer.cache_id in self._mount_ids or layer.cache_id in others

    def _run(self, changes: Iterable[Change]) -> None:
        self._place.run(*changes)


class MemoryLayerStore:
    """Layers in memory: the same operations, for tests and for stores that need no files; see `Layers`."""

    def __init__(self) -> None:
        self._ledger = _Ledger()
        self._archives: dict[str, bytes] = {}
        self._lock = threading.RLock()

    def register(self, archive: BinaryIO, parent: str | None = None) -> StoredLayer:
        with self._lock:
            below = None if parent is None else self._ledger.find(parent)
            _refuse_depth(self._ledger.depth(parent) + 1)
            given = archive.read()
            read = Archive(io.BytesIO(given))
            unpack_names(read)
            layer = _layer(read.diff_id, below, read.size, hashlib.sha256(read.diff_id.encode()).hexdigest())
            if layer.chain_id not in self._ledger.layers:
                self._ledger.add(layer)
                self._archives[layer.chain_id] = gzip.decompress(given) if read.compressed else given
            return self._ledger.hold(layer.chain_id)

    def find(self, chain_id: str) -> StoredLayer:
        with self._lock:
            return self._ledger.find(chain_id)

    def get(self, chain_id: str) -> StoredLayer:
        with self._lock:
            return self._ledger.hold(chain_id)

    def release(self, chain_id: str) -> tuple[StoredLayer, ...]:
        with self._lock:
            going = self._ledger.let_go(chain_id)
            for layer in going:
                self._ledger.forget(layer)
                del self._archives[layer.chain_id]
            return going

    def map(self) -> Mapping[str, StoredLayer]:
        with self._lock:
            return dict(self._ledger.layers)

    def reassemble(self, chain_id: str) -> Iterator[bytes]:
        with self._lock:
            layer = self._ledger.find(chain_id)
            archive = self._archives[chain_id]
        yield from _verified(layer, iter((archive,)))


def _refuse_depth(depth: int) -> None:
    if depth > DEEPEST:
        raise Refused("the layer cannot be stored", (f"its chain would have more than {DEEPEST} layers",))


def _layer(diff_id: Digest, below: StoredLayer | None, size: int, cache_id: str) -> StoredLayer:
    parent = below.chain_id if below is not None else None
    chain_id = chain_ids((diff_id,) if parent is None else (parent, diff_id))[-1]
    return StoredLayer(chain_id=Digest(chain_id), diff_id=diff_id, parent=parent, size=size, cache_id=cache_id)


def _stored(read: Layer) -> StoredLayer:
    """A sound record."""
    assert read.diff_id is not None
    assert read.size is not None
    assert read.cache_id is not None
    return StoredLayer(
        chain_id=Digest(read.chain_id),
        diff_id=Digest(read.diff_id),
        parent=None if read.parent is None else Digest(read.parent),
        size=read.size,
        cache_id=read.cache_id,
    )


def _record(layer: StoredLayer, tar_split: bytes) -> Iterator[tuple[str, bytes]]:
    """The files of a record, in the order in which the engine writes them."""
    yield "tar-split.json.gz", tar_split
    yield "diff", layer.diff_id.encode()
    yield "size", str(layer.size).encode()
    yield "cache-id", layer.cache_id.encode()
    if layer.parent is not None:
        yield "parent", layer.parent.encode()


def _rebuilt(root: Root, recipe: str, tree: str) -> Iterator[bytes]:
    """The archive by its recipe, from the files of a tree."""
    with root.stream(recipe) as lines, LayerTree.at(root, tree) as files:
        for entry in tarsplit.entries(lines):
            if isinstance(entry, tarsplit.Segment):
                yield entry.payload
            elif entry.size:
                yield from _content(files, entry)


def _content(files: LayerTree, wanted: tarsplit.Content) -> Iterator[bytes]:
    checksum = 0
    fd, size = files.file(wanted.name)
    try:
        for piece in pieces(fd, size, wanted.name):
            checksum = tarsplit.checksum(piece, checksum)
            yield piece
    finally:
        os.close(fd)
    if wanted.checksum is not None and checksum.to_bytes(8, "big") != wanted.checksum:
        path = join(files.path, wanted.name)
        raise Malformed("the file's content is not what the layer's archive held", path=path)


def _verified(layer: StoredLayer, pieces: Iterable[bytes]) -> Iterator[bytes]:
    found = hashlib.sha256()
    for piece in pieces:
        found.update(piece)
        yield piece
    actual = "sha256:" + found.hexdigest()
    if actual != layer.diff_id:
        raise DigestMismatch(layer.diff_id, actual)
