"""Manifests and tags of January 2015: a payload, and the signatures beside it.

Source: distribution at commit 83d62628fc, ``storage/manifeststore.go``,
``revisionstore.go`` and ``tagstore.go``. A revision is known when its folder is there, be
it empty; a manifest is reached by its tag only, and deleted with everything that the tag
ever meant.
"""

from dataclasses import dataclass

from orlop.digest import Digest
from orlop.errors import NotFound
from orlop.registry.blobs import BlobStore
from orlop.registry.driver import Driver
from orlop.registry.early import EARLY
from orlop.registry.earlydriver import EarlyDriver, check_path
from orlop.registry.layout import LINK
from orlop.registry.links import linked_digests, read_link, write_link


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyManifest:
    """A manifest of schema 1, taken apart."""

    digest: Digest
    """Of the payload."""
    payload: bytes
    """What was signed."""
    signatures: tuple[bytes, ...]
    """Each a JSON text, in the order of their digests."""


class EarlyManifestStore:
    """The manifests and tags of one repository.

    Methods raise, besides what they name: Malformed for a path that the drivers of the time
    refused, Escapes for a tag that leaves its folder, and WrongKind, NoPermission, ReadOnly,
    NoSpace, StorageFailure.

    Args:
        driver: where the registry lies.
        repository: its name; every part must be the name of a folder.

    Raises:
        Escapes: the name leaves its folder.
    """

    def __init__(self, driver: Driver, repository: str) -> None:
        self.repository = repository
        self._driver = driver if isinstance(driver, EarlyDriver) else EarlyDriver(driver)
        self._blobs = BlobStore(self._driver, layout=EARLY)
        EARLY.repository(repository)

    def tags(self) -> tuple[str, ...]:
        """Every name in the folder of tags, sorted, whatever it leads to.

        Raises:
            NotFound: the repository has no folder of tags.
        """
        return self._driver.names(EARLY.tags(self.repository))

    def exists(self, tag: str) -> bool:
        """Whether there is such a tag, whatever it leads to."""
        return self._there(EARLY.tag(self.repository, tag))

    def knows(self, digest: str) -> bool:
        """Whether the repository knows a revision: its folder is enough."""
        return self._there(EARLY.revision(self.repository, Digest.parse(digest)))

    def get(self, tag: str) -> EarlyManifest:
        """The manifest that a tag means now, its payload and signatures hashed, unlike the original did.

        Raises:
            NotFound: there is no such tag, or no such revision.
            Malformed: a link on the way does not hold a digest.
            DigestMismatch: a payload or signature is another thing than its digest says.
            TooLarge: one of them is.
        """
        digest = Digest.parse(read_link(self._driver, EARLY.tag_current(self.repository, tag), Digest.parse))
        revision = read_link(self._driver, EARLY.revision_link(self.repository, digest), Digest.parse)
        return EarlyManifest(
            digest=digest,
            payload=self._blobs.read(revision),
            signatures=tuple(self._blobs.read(signature) for signature in self._signatures(digest)),
        )

    def put(self, tag: str, payload: bytes, signatures: tuple[bytes, ...] = ()) -> Digest:
        """Keep a manifest and let a tag mean it.

        In this order, each file atomic and durable: the payload's blob, its link, each
        signature's blob and link, the tag's history, what the tag means now. Earlier
        signatures of the same payload stay.
        """
        current = check_path(EARLY.tag_current(self.repository, tag))  # before a blob is left for nothing
        digest = self._blobs.put(payload)
        write_link(self._driver, EARLY.revision_link(self.repository, digest), digest)
        for content in signatures:
            signature = self._blobs.put(content)
            write_link(self._driver, EARLY.signature_link(self.repository, digest, signature), signature)
        write_link(self._driver, EARLY.tag_index_link(self.repository, tag, digest), digest)
        write_link(self._driver, current, digest)
        return digest

    def delete(self, tag: str) -> tuple[Digest, ...]:
        """Forget every revision that a tag ever meant, then the tag; blobs stay.

        So the original did it: other tags that mean one of them lead nowhere afterwards. Cut
        off in the middle, the tag means nothing; doing it again ends it.

        Returns:
            The revisions in the tag's history.

        Raises:
            NotFound: there is no such tag.
        """
        folder = EARLY.tag(self.repository, tag)
        self._driver.stat(folder)
        revisions = tuple(linked_digests(self._driver, EARLY.tag_index(self.repository, tag)))
        self._discard(EARLY.tag_current(self.repository, tag))
        for digest in revisions:
            self._discard(EARLY.revision(self.repository, digest))
        self._driver.delete(folder)
        return revisions

    # --- inside ------------------------------------------------------------

    def _signatures(self, digest: Digest) -> list[str]:
        folder = EARLY.signatures(self.repository, digest)
        links = (f"{folder}/{EARLY.digest_path(name)}/{LINK}" for name in linked_digests(self._driver, folder))
        return [read_link(self._driver, link, Digest.parse) for link in links]

    def _there(self, path: str) -> bool:
        try:
            self._driver.stat(path)
        except NotFound:
            return False
        return True

    def _discard(self, path: str) -> None:
        try:
            self._driver.delete(path)
        except NotFound:
            return  # what is not there need not go
