"""Manifest revisions: which manifests a repository knows, tagged or not.

distribution: ``registry/storage/manifeststore.go`` and ``registry/handlers/manifests.go``
(2.1 to 3.1). A manifest is a blob whose bytes are kept as they were pushed; its digest is
over all of them.
"""

from collections.abc import Iterator

from orlop.digest import CANONICAL, Digest
from orlop.errors import DigestMismatch, NotFound
from orlop.fs import PARSE_LIMIT
from orlop.registry.blobs import BlobStore
from orlop.registry.driver import Driver
from orlop.registry.layout import Layout, check_name
from orlop.registry.links import follow_link, linked_digests, write_link
from orlop.registry.tags import TagStore


class RevisionStore:
    """The manifests of one repository.

    Methods raise, besides what they name: Malformed for what is no digest, and
    WrongKind, NoPermission, ReadOnly, NoSpace, StorageFailure.

    Args:
        blobs: the registry's blobs; they give the driver and the layout too.
        repository: its name.

    Raises:
        Malformed: no name of a repository.
    """

    def __init__(self, blobs: BlobStore, repository: str) -> None:
        self.blobs = blobs
        self.repository = check_name(repository)
        self._tags = TagStore(blobs, repository)

    def exists(self, digest: str) -> bool:
        """Whether the repository knows a manifest; its bytes are not hashed.

        Raises:
            Malformed: the link is damaged, or leads to no blob.
        """
        try:
            self._follow(digest)
        except NotFound:
            return False
        return True

    def get(self, digest: str, limit: int = PARSE_LIMIT) -> bytes:
        """The bytes of a manifest as they were pushed; they hash to the digest.

        Raises:
            NotFound: the repository does not know it, whatever others know.
            Malformed: its link is damaged, or leads to no blob.
            DigestMismatch: the bytes are another thing.
            TooLarge: they are more than `limit`.
        """
        content = self.blobs.read(self._follow(digest), limit)
        actual = Digest.of(content, Digest.parse_any(digest).algorithm)
        if actual != digest:  # the link leads to another manifest
            raise DigestMismatch(digest, actual, path=self._layout.revision_link(self.repository, digest))
        return content

    def put(self, content: bytes, algorithm: str = CANONICAL) -> Digest:
        """Let the repository know a manifest: the blob, then the link; what it refers to is not looked at.

        Raises:
            Unsupported: no algorithm that registries take.
        """
        digest = self.blobs.put(content, algorithm)
        write_link(self._driver, self._layout.revision_link(self.repository, digest), digest)
        return digest

    def delete(self, digest: str) -> tuple[str, ...]:
        """Let the repository forget a manifest, and the tags that mean it; the blob stays, as do other tags' histories.

        What is left is what the registry leaves, but the names go first: cut off, no tag leads
        to a manifest that is gone, and doing it again ends it.

        Returns:
            The tags that went with it.

        Raises:
            NotFound: the repository does not know it.
        """
        link = self._layout.revision_link(self.repository, digest)
        try:
            self._driver.stat(link)
        except NotFound as error:
            raise self._unknown(digest, link) from error
        tags = tuple(self._tags.having(digest))
        for tag in tags:
            self._tags.untag(tag)
        self._driver.delete(link)
        return tags

    def digests(self) -> Iterator[Digest]:
        """Every manifest that the repository has a link of, in order of their text; the links are not read."""
        return linked_digests(self._driver, self._layout.revisions(self.repository))

    # --- inside ------------------------------------------------------------

    @property
    def _driver(self) -> Driver:
        return self.blobs.driver

    @property
    def _layout(self) -> Layout:
        return self.blobs.layout

    def _follow(self, digest: str) -> str:
        link = self._layout.revision_link(self.repository, digest)
        try:
            return follow_link(self.blobs, link)[0]
        except NotFound as error:
            raise self._unknown(digest, link) from error

    def _unknown(self, digest: str, link: str) -> NotFound:
        return NotFound(f"there is no manifest {digest} in {self.repository}", path=link, engine="manifest unknown")
