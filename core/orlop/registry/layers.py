"""The layer store: which blobs a repository serves, and how new ones come in.

distribution: ``registry/storage/layerstore.go`` (2.0), ``linkedblobstore.go`` (2.1 to
3.1). A repository sees only what it links::

    layers = RegistryStorage(FileDriver("/var/lib/registry")).repository("team/app").layers
    with layers.upload() as upload, open("layer.tar.gz", "rb") as archive:
        upload.read_from(archive)
        layer = upload.finish("sha256:...")
    with layers.fetch(layer.digest).reader() as stream: ...
"""

from collections.abc import Callable, Iterator
from uuid import UUID, uuid4

from orlop import times
from orlop.digest import Digest
from orlop.errors import Malformed, NotFound, TooLarge, WrongKind
from orlop.registry.blobs import BlobStore, names_in
from orlop.registry.driver import Driver
from orlop.registry.layer import Layer
from orlop.registry.layout import Layout, check_name, is_uuid
from orlop.registry.links import follow_link, linked_digests, write_layer_links
from orlop.registry.uploads import LayerUpload

_SECOND = 1_000_000_000
_TIME_LIMIT = 256


class LayerStore:
    """The layers and configs of one repository, and its uploads.

    Methods raise, besides what they name: Malformed for what is no digest, and
    WrongKind, NoPermission, ReadOnly, NoSpace, StorageFailure.

    Args:
        blobs: the registry's blobs; they give the driver and the layout too.
        repository: its name.
        new_uuid: names uploads.
        now: nanoseconds UTC.

    Raises:
        Malformed: no name of a repository.
    """

    def __init__(
        self,
        blobs: BlobStore,
        repository: str,
        *,
        new_uuid: Callable[[], UUID] = uuid4,
        now: Callable[[], int] = times.now,
    ) -> None:
        self.blobs = blobs
        self.repository = check_name(repository)
        self._new_uuid = new_uuid
        self._now = now

    # --- what is there -------------------------------------------------------

    def exists(self, digest: str) -> bool:
        """Whether the repository serves this digest; its bytes are not hashed.

        Raises:
            Malformed: the link is damaged, or leads to no blob.
        """
        try:
            self.fetch(digest)
        except NotFound:
            return False
        return True

    def fetch(self, digest: str) -> Layer:
        """A layer that the repository serves; its bytes are not hashed.

        Raises:
            NotFound: the repository has no link of this digest, whatever others have.
            Malformed: the link is damaged, or leads to no blob.
        """
        asked = Digest.parse_any(digest)
        path = self._layout.layer_link(self.repository, asked)
        try:
            canonical, found = follow_link(self.blobs, path)
        except NotFound as error:
            raise self._unknown(asked, path) from error
        return Layer(
            repository=self.repository,
            digest=asked,
            canonical=canonical,
            size=found.size,
            created_at=found.modified,
            path=found.path,
            driver=self._driver,
        )

    def digests(self) -> Iterator[Digest]:
        """Every digest that the repository has a link of, in order of their text; the links are not read."""
        return linked_digests(self._driver, self._layout.layer_links(self.repository))

    # --- coming and going ------------------------------------------------------

    def upload(self) -> LayerUpload:
        """Begin an upload."""
        uuid = str(self._new_uuid())
        started_at = self._now() // _SECOND * _SECOND
        path = self._layout.upload_started_at(self.repository, uuid)
        self._driver.put(path, times.rfc3339(started_at).encode("ascii"))
        return self._upload(uuid, started_at, 0)

    def resume(self, uuid: str) -> LayerUpload:
        """Go on with an upload that this or another program began; it stands at the end of its data.

        Raises:
            NotFound: there is no such upload.
            Malformed: no UUID, or its start time does not parse.
        """
        path = self._layout.upload_started_at(self.repository, uuid)
        try:
            started_at = _time(self._driver.get(path, _TIME_LIMIT), path)
        except NotFound as error:
            raise NotFound(
                f"there is no upload {uuid} in {self.repository}", path=path, engine="blob upload unknown"
            ) from error
        except TooLarge as error:
            raise Malformed(f"{error.size} bytes, where a time must be", path=path) from error
        return self._upload(uuid, started_at, self._data_size(uuid))

    def uploads(self) -> tuple[str, ...]:
        """The names of the uploads in progress, sorted; some may have lost their start time and cannot be resumed."""
        return tuple(filter(is_uuid, names_in(self._driver, self._layout.uploads_of(self.repository))))

    def mount(self, source: str, digest: str) -> Layer:
        """Serve what another repository of this registry serves, without a copy.

        Raises:
            NotFound: the other repository has no link of this digest.
            Malformed: its link is damaged or leads to no blob, or `source` is no name.
        """
        other = LayerStore(self.blobs, source).fetch(digest)
        write_layer_links(self.blobs, self.repository, other.canonical, other.digest)
        return self.fetch(digest)

    def unlink(self, digest: str) -> None:
        """Serve a digest no longer; the blob stays, for others may link it.

        Raises:
            NotFound: there is no such link.
        """
        asked = Digest.parse_any(digest)
        path = self._layout.layer_link(self.repository, asked)
        try:
            self._driver.delete(path)
        except NotFound as error:
            raise self._unknown(asked, path) from error

    # --- inside ------------------------------------------------------------

    @property
    def _driver(self) -> Driver:
        return self.blobs.driver

    @property
    def _layout(self) -> Layout:
        return self.blobs.layout

    def _unknown(self, asked: str, path: str) -> NotFound:
        return NotFound(f"there is no layer {asked} in {self.repository}", path=path, engine="blob unknown to registry")

    def _upload(self, uuid: str, started_at: int, size: int) -> LayerUpload:
        return LayerUpload(
            blobs=self.blobs,
            repository=self.repository,
            uuid=uuid,
            started_at=started_at,
            size=size,
            fetch=self.fetch,
        )

    def _data_size(self, uuid: str) -> int:
        try:
            found = self._driver.stat(self._layout.upload_data(self.repository, uuid))
        except NotFound:
            return 0
        if found.folder:
            raise WrongKind("folder", "file", path=found.path)
        return found.size


def _time(content: bytes, path: str) -> int:
    try:
        return times.parse(content.decode("ascii"))
    except UnicodeDecodeError as error:
        raise Malformed("not a time as RFC 3339 writes it", path=path) from error
    except Malformed as error:
        raise Malformed(error.why, path=path, engine=error.engine) from error
