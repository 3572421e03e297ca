"""The ACI image store: every operation of rkt's, on a store of rkt's or on one of Orlop's own.

rkt v1.30.0: store/imagestore/{store,aciinfo,remote}.go. Images lie in files, what is
known about them in a catalogue: rkt's ``ql.db``, or SQLite::

    with AciStore.create("/srv/images") as store:
        with open("app.aci", "rb") as image:
            key = store.write_aci(image, latest=True)
        store.get_aci("example.com/app", {"os": "linux"})   # the same key
        store.remove_aci(key)

The locks are rkt's, so both can use a store at the same time. Where rkt is unsafe,
this is stricter: a key that would leave the store is refused, manifests are replaced
whole, an image that is refused leaves no file behind, and hostile ones are refused.
"""

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import BinaryIO, Self

from orlop import times
from orlop.errors import Locked, Malformed, NotFound, OrlopError, ReadOnly, WrongKind
from orlop.progress import Progress, Silent
from orlop.rkt import aci, keylocks, layout, manifest, opening, selection
from orlop.rkt.catalogue import (
    Catalogue,
    DropImage,
    DropRemote,
    ImageRow,
    PutImage,
    PutRemote,
    RemoteRow,
    SetLatest,
    SetTreeSize,
    UseImage,
)
from orlop.rkt.compression import LIMITS, Limits, decompressed
from orlop.rkt.errors import (
    BadImage,
    ImportFailed,
    LockFailed,
    ManifestDamaged,
    ManifestUnreadable,
    RemoteNotFound,
    RowNotFound,
    StoreRemoval,
)
from orlop.rkt.files import LOCK_MODE, MANIFEST_MODE, Files
from orlop.rkt.manifest import ImageManifest, Pair

_DUMPED = 128
_TRIES = 8

Labels = Mapping[str, str] | Iterable[tuple[str, str]]


class AciStore:
    """A store that is open, and held against migration until it is closed.

    All methods raise, besides what they name: Locked where another program holds an
    image or the database for too long; Malformed and Unsupported where the database is
    damaged or of another version; NoPermission, ReadOnly, NoSpace, StorageFailure.
    It may be used from several threads, and by several processes that each open it.
    """

    def __init__(self, opened: opening.Opened) -> None:
        self._opened = opened
        self._root = opened.root
        self._files: Files = opened.files
        self._catalogue: Catalogue = opened.catalogue

    @classmethod
    def create(cls, path: str, catalogue: str = opening.SQLITE, *, patience: float = keylocks.PATIENCE) -> Self:
        """Open a store, and make what is missing of it, as rkt does when it opens one.

        Args:
            path: the store's folder, rkt's ``cas``.
            catalogue: ``sqlite`` for Orlop's own, ``ql`` for rkt's.
            patience: seconds that the locks of other programs are waited for.

        Raises:
            AlreadyExists: the store there has the other catalogue.
            Unsupported: its database is of a later version; or a catalogue of that name is not known.
        """
        return cls(opening.create(path, catalogue, patience))

    @classmethod
    def open(cls, path: str, *, read_only: bool = False, patience: float = keylocks.PATIENCE) -> Self:
        """Open a store that is there, with whichever catalogue it has.

        Args:
            path: the store's folder, rkt's ``cas``.
            read_only: take no lock and make nothing: what would change the store is refused.
            patience: seconds that the locks of other programs are waited for.

        Raises:
            NotAStore: no catalogue is there.
            Unsupported: its database is of a later version.
        """
        return cls(opening.look(path) if read_only else opening.open_store(path, patience))

    def close(self) -> None:
        """Give the store free; it cannot be used any more."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def path(self) -> str:
        """The store's folder, absolute."""
        return self._root.path

    # --- images ------------------------------------------------------------

    def write_aci(
        self,
        stream: BinaryIO,
        *,
        latest: bool = False,
        limits: Limits = LIMITS,
        progress: Progress | None = None,
    ) -> str:
        """Take an image into the store, and give its key.

        The same image again replaces its row: import time, last use, latest flag, and
        the tree's size, which becomes 0. On a refusal or failure nothing is left of it;
        only where the row cannot be written may the files be there already, as in rkt.

        Args:
            stream: the image, plain or compressed; read once, and only forwards.
            latest: whether it was asked for without a version.
            limits: beyond which it is refused.
            progress: told the bytes of the plain archive.

        Raises:
            BadImage: no archive, a hostile one, or one without a valid manifest.
            ImportFailed: something else than a file is in its place.
            Unsupported: the database is of an older version, and cannot be changed.
        """
        self._catalogue.change(())  # that it can be, before the work is done
        parts = decompressed(stream, limits)
        digest = hashlib.sha512()
        temporary = self._files.temporary(_hashed(parts, digest, progress or Silent()))
        with self._files.discarding(temporary):
            size = self._root.stat(temporary).size
            read = self._examined(temporary, limits)
            key = layout.key_of(digest.digest())
            with self._lock(key, exclusive=True, masked=False):
                self._place(temporary, key, read)
                imported = times.now()
                row = ImageRow(
                    key=key,
                    name=read.name,
                    imported=imported,
                    last_used=times.now(),
                    latest=latest,
                    size=size,
                    tree_size=0,
                )
                self._catalogue.change((PutImage(row=row),))
        return key

    def read_stream(self, key: str) -> BinaryIO:
        """The archive of an image, opened for reading; it is not verified. Its last use becomes now.

        Args:
            key: a key, or what one begins with.

        Raises:
            BadKey, KeyNotFound, Ambiguous: as `resolve_key`.
            NotFound: the row is there, and the archive is not.
        """
        key = self._resolved(key)
        with self._lock(key, exclusive=False, masked=True):
            selection.row_of(self._catalogue.read().images, key)
            self._catalogue.change((UseImage(key=key, at=times.now()),))
            try:
                return self._root.stream(layout.blob(key))
            except WrongKind as error:
                words = "file does not exist"
                raise NotFound(
                    "the archive of the image is not there", path=error.path, why=error.why, engine=words
                ) from error

    def get_aci(self, name: str, labels: Labels = ()) -> str:
        """The key of the image that a name and labels mean; `selection.choose` has the rules.

        Args:
            name: of the image.
            labels: that it must have, with these values.

        Raises:
            BadIdentifier: the name, or that of a label, is outside the grammar.
            AciNotFound: no image has the name and the labels.
            ManifestUnreadable, ManifestDamaged: of any image of that name.
        """
        wanted = [Pair(name=label, value=value) for label, value in _pairs(labels)]
        selection.check_request(name, wanted)
        with _saying("error getting image manifest", ManifestUnreadable, ManifestDamaged):
            for _ in range(_TRIES):
                rows = self._catalogue.read().images
                try:
                    return selection.choose(rows, name, wanted, self._manifest)
                except ManifestUnreadable as error:
                    if self._catalogue.read().images == rows:
                        raise
                    last = error  # an image was removed between the two reads
            raise last

    def resolve_key(self, key: str) -> str:
        """The whole key that begins so; one that is longer than a key is cut first.

        Raises:
            BadKey: it does not begin with ``sha512-`` and two digits.
            KeyNotFound: no image's does.
            Ambiguous: those of several do.
        """
        return selection.resolve_key(self._catalogue.read().images, key)

    def resolve_name(self, name: str) -> tuple[str, ...]:
        """The keys of all images of exactly this name, newest written first; none where there is none."""
        return selection.resolve_name(self._catalogue.read().images, name)

    def remove_aci(self, key: str) -> None:
        """Remove an image: its row and its remote records first, then its archive, then its manifest.

        A rendered tree stays, and the lock file too.

        Args:
            key: the whole key.

        Raises:
            RowNotFound: no row has exactly this key; nothing was done.
            StoreRemoval: the row is gone, and some file could not be removed.
            Escapes: it is no single name.
        """
        with self._lock(key, exclusive=True, masked=True):
            with _saying(f"cannot remove image with ID: {key} from db", RowNotFound):
                selection.row_of(self._catalogue.read().images, key)
            self._catalogue.change((DropImage(key=key),))
            causes: list[OrlopError] = []
            words = "some aci disk entries cannot be removed: "
            for path, keep in ((layout.blob(key), layout.BLOBS), (layout.manifest(key), layout.MANIFESTS)):
                try:
                    self._files.erase(path, keep=keep)
                except OrlopError as error:
                    error.path = path
                    causes.append(error)
                    words += f"[{self._spelled(error)}]"
        if causes:
            raise StoreRemoval(key, causes, engine=words)

    def has_full_key(self, key: str) -> bool:
        """Whether the manifest of exactly this key is there.

        Raises:
            Malformed: it has no ``-``, or fewer than two characters behind it.
            Escapes: it would leave the store.
        """
        try:
            return self._root.stat(layout.manifest(key)).kind == "file"
        except (NotFound, WrongKind):
            return False

    @staticmethod
    def hash_to_key(digest: bytes) -> str:
        """The key for the SHA-512 of a plain archive, its 64 bytes.

        Raises:
            Malformed: another number of bytes.
        """
        return layout.key_of(digest)

    def get_image_manifest_json(self, key: str) -> bytes:
        """The bytes of the stored manifest, whatever they are.

        Args:
            key: a key, or what one begins with.

        Raises:
            BadKey, KeyNotFound, Ambiguous: as `resolve_key`.
            ManifestUnreadable: it is not there, or cannot be read.
        """
        return self._manifest_bytes(self._resolved(key))

    def get_image_manifest(self, key: str) -> ImageManifest:
        """The stored manifest.

        Raises:
            BadKey, KeyNotFound, Ambiguous, ManifestUnreadable: as `get_image_manifest_json`.
            ManifestDamaged: it does not parse, or does not validate.
        """
        return self._manifest(self._resolved(key))

    # --- rows --------------------------------------------------------------

    def aci_info(self, key: str) -> ImageRow:
        """The row of exactly this key.

        Raises:
            RowNotFound: there is none, or the database cannot be read.
        """
        try:
            rows = self._catalogue.read().images
        except (Malformed, NotFound) as error:
            words = f'ACI info not found with blob key "{key}"'
            raise RowNotFound("the row cannot be read", path=error.path, why=error.why, engine=words) from error
        return selection.row_of(rows, key)

    def all_aci_infos(self, sort: Sequence[str] = (), *, ascending: bool = True) -> tuple[ImageRow, ...]:
        """Every row, sorted by these columns in one direction; by none, newest written first.

        Raises:
            BadQuery: a column that rows do not have, or cannot be sorted by.
        """
        return selection.in_order(self._catalogue.read().images, sort, ascending)

    def update_tree_store_size(self, key: str, size: int) -> None:
        """Note the bytes of an image's rendered tree; nothing where there is no such row."""
        self._catalogue.change((SetTreeSize(key=key, size=size),))

    def set_latest(self, key: str, latest: bool) -> None:
        """Set or clear the latest flag of exactly this key.

        Raises:
            RowNotFound: there is no such row.
        """
        selection.row_of(self._catalogue.read().images, key)
        self._catalogue.change((SetLatest(key=key, latest=latest),))

    # --- remote records ----------------------------------------------------

    def get_remote(self, url: str) -> RemoteRow:
        """The record of a url.

        Raises:
            RemoteNotFound: there is none.
        """
        found = next((row for row in self._catalogue.read().remotes if row.url == url), None)
        if found is None:
            raise RemoteNotFound(f"no record of {url}", engine="remote target not found")
        return found

    def write_remote(self, remote: RemoteRow) -> None:
        """Write a record, in place of that of its url where there is one; nothing in it is checked."""
        self._catalogue.change((PutRemote(row=remote),))

    def all_remotes(self) -> tuple[RemoteRow, ...]:
        """Every record, newest written first."""
        return self._catalogue.read().remotes

    def remove_remote(self, url: str) -> None:
        """Remove the record of a url; the image that it leads to stays.

        Raises:
            RemoteNotFound: there is none.
        """
        self.get_remote(url)
        self._catalogue.change((DropRemote(url=url),))

    # --- temporary files ---------------------------------------------------

    def tmp_dir(self) -> str:
        """A folder on the store's file system for temporary files, absolute."""
        self._refuse_looking()
        self._files.make_folders(layout.TEMPORARY, masked=True)
        return f"{self.path}/{layout.TEMPORARY}"

    def tmp_file(self) -> BinaryIO:
        """A new file in `tmp_dir`, for its owner only; the caller removes it."""
        self.tmp_dir()
        return self._files.unnamed()

    def tmp_named_file(self, name: str) -> BinaryIO:
        """The file of this name in `tmp_dir`, made or as it was left, its position at its end.

        Raises:
            NotFound: the name has a folder in it that is not there.
            Escapes: it would leave the folder.
            WrongKind: a link, folder, pipe or device has the name.
        """
        self._refuse_looking()
        return self._files.named(name)

    # --- the whole ---------------------------------------------------------

    def dump(self, *, hexadecimal: bool = False) -> str:
        """The first 128 bytes of every archive and every manifest, one a line, and how many there are.

        Args:
            hexadecimal: bytes as hex digits; else as text, with surrogate escapes.
        """
        lines: list[str] = []
        for folder in (layout.BLOBS, layout.MANIFESTS):
            paths = list(self._paths(folder))
            for path in paths:
                with self._root.stream(path) as file:
                    data = file.read(_DUMPED)
                text = data.hex() if hexadecimal else data.decode("utf-8", "surrogateescape")
                lines.append(f"{self.path}/{folder}/{layout.key_at(path)}: {text}\n")
            lines.append(f"{len(paths)} total image ID(s)\n")
        return "".join(lines)

    # --- inside ------------------------------------------------------------

    def _refuse_looking(self) -> None:
        if self._opened.read_only:
            raise ReadOnly("the store was opened for reading only", do="open it for changing")

    def _paths(self, folder: str) -> Iterator[str]:
        """Where keys have their files, in order."""
        pending = [folder] if self._root.exists(folder) else []
        while pending:
            here = pending.pop()
            below: list[str] = []
            for name, kind in self._root.kinds(here):
                path = f"{here}/{name}"
                if kind == "folder":
                    below.append(path)
                elif kind == "file" and layout.key_at(path) is not None:
                    yield path
            pending.extend(reversed(below))

    def _resolved(self, key: str) -> str:
        with _saying("error resolving image ID", OrlopError):
            return self.resolve_key(key)

    @contextlib.contextmanager
    def _lock(self, key: str, *, exclusive: bool, masked: bool) -> Iterator[None]:
        """Hold the lock of an image; `masked`: rkt makes its file under the umask, save while it takes an image."""
        path = layout.lock(key)
        if self._opened.read_only:
            yield
            return
        try:
            self._files.touch(path, mode=LOCK_MODE, masked=masked)
            fd = keylocks.acquire(self._root, path, exclusive=exclusive, patience=self._opened.patience)
        except Locked:
            raise
        except OrlopError as error:
            words = "error locking image"
            raise LockFailed("the image cannot be locked", path=path, why=str(error), engine=words) from error
        try:
            yield
        finally:
            keylocks.release(fd)

    def _examined(self, temporary: str, limits: Limits) -> ImageManifest:
        try:
            with self._root.stream(temporary) as file:
                return manifest.parse(aci.examine(file, limits))
        except Malformed as error:
            words = "error extracting image manifest"
            raise BadImage(error.why, engine=words) from error

    def _place(self, temporary: str, key: str, read: ImageManifest) -> None:
        """The archive first, then its manifest, as rkt does."""
        try:
            self._files.place(temporary, layout.blob(key))
        except WrongKind as error:
            words = "error importing image"
            raise ImportFailed(
                "the image cannot be put in its place", path=error.path, why=str(error), engine=words
            ) from error
        try:
            self._files.write(layout.manifest(key), read.marshal(), mode=MANIFEST_MODE)
        except WrongKind as error:
            words = "error importing image manifest"
            raise ImportFailed(
                "the manifest cannot be put in its place", path=error.path, why=str(error), engine=words
            ) from error

    def _manifest(self, key: str) -> ImageManifest:
        data = self._manifest_bytes(key)
        try:
            return manifest.parse(data)
        except Malformed as error:
            words = "error unmarshalling image manifest"
            raise ManifestDamaged(error.why, path=layout.manifest(key), engine=words) from error

    def _manifest_bytes(self, key: str) -> bytes:
        with self._lock(key, exclusive=False, masked=True):
            try:
                return self._root.read(layout.manifest(key))
            except OrlopError as error:
                words = "error retrieving image manifest"
                raise ManifestUnreadable(
                    "the stored manifest cannot be read", path=error.path, why=error.why, engine=words
                ) from error

    def _spelled(self, cause: OrlopError) -> str:
        """Why a file stayed, as the original lists it."""
        match cause:
            case NotFound():
                return f"stat {self.path}/{cause.path}: no such file or directory"
            case WrongKind():
                return "bad key"
        return str(cause)


def _hashed(parts: Iterable[bytes], digest: "hashlib._Hash", progress: Progress) -> Iterator[bytes]:
    done = 0
    for part in parts:
        digest.update(part)
        done += len(part)
        progress.step("import", done, 0)
        yield part


def _pairs(labels: Labels) -> Iterable[tuple[str, str]]:
    return labels.items() if isinstance(labels, Mapping) else labels


@contextlib.contextmanager
def _saying(engine: str, *kinds: type[OrlopError]) -> Iterator[None]:
    """Give errors of these kinds the words of the original that come outermost."""
    try:
        yield
    except kinds as error:
        error.engine = engine
        raise
