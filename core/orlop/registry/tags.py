"""Tags: names for manifests, with everything that each name ever meant.

distribution: ``registry/storage/tagstore.go`` (2.1 to 3.1).
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from orlop.digest import Digest
from orlop.errors import Malformed, NotFound, WrongKind
from orlop.registry.blobs import BlobStore, names_in
from orlop.registry.driver import Driver
from orlop.registry.layout import Layout, check_name, is_tag
from orlop.registry.links import follow_link, linked_digests, read_link, write_link


@dataclass(frozen=True, slots=True, kw_only=True)
class TagMeaning:
    """A manifest that a tag means or once meant."""

    digest: Digest
    since: int
    """When the tag was last pointed there: nanoseconds UTC, 0 where the driver cannot tell."""


class TagStore:
    """The tags of one repository.

    Methods raise, besides what they name: Malformed for what is no tag, and WrongKind,
    NoPermission, ReadOnly, NoSpace, StorageFailure.

    Args:
        blobs: the registry's blobs; they give the driver and the layout too.
        repository: its name.

    Raises:
        Malformed: no name of a repository.
    """

    def __init__(self, blobs: BlobStore, repository: str) -> None:
        self.blobs = blobs
        self.repository = check_name(repository)

    def names(self) -> tuple[str, ...]:
        """Every tag, sorted; as the registry lists them, those too that mean nothing any more."""
        return tuple(filter(is_tag, names_in(self._driver, self._layout.tags(self.repository))))

    def get(self, tag: str) -> Digest:
        """The manifest that a tag means now, whether it is there or not.

        Raises:
            NotFound: there is no such tag, or it means nothing.
            Malformed: its link is damaged.
        """
        path = self._layout.tag_current(self.repository, tag)
        try:
            return read_link(self._driver, path)
        except NotFound as error:
            raise self._unknown(tag, path) from error

    def history(self, tag: str) -> tuple[TagMeaning, ...]:
        """Everything that a tag ever meant, what it was pointed to last first; the links are not read.

        Raises:
            NotFound: there is no such tag.
        """
        path = self._layout.tag(self.repository, tag)
        try:
            self._driver.stat(path)
        except NotFound as error:
            raise self._unknown(tag, path) from error
        links = linked_digests(self._driver, self._layout.tag_index(self.repository, tag))
        entries = [self._meaning(tag, digest) for digest in links]
        return tuple(sorted(entries, key=lambda entry: (-entry.since, entry.digest)))

    def having(self, digest: str) -> Iterator[str]:
        """The tags that mean a manifest now, sorted; those with a damaged link, or none, mean nothing."""
        for tag in self.names():
            try:
                if self.get(tag) == digest:
                    yield tag
            except (NotFound, Malformed, WrongKind):
                continue

    def tag(self, tag: str, digest: str) -> None:
        """Let a tag mean a manifest of this repository; the history first, then what it means now, each atomic.

        Raises:
            NotFound: the repository does not know the manifest.
            Malformed: its link is damaged or leads to no blob, or no digest.
        """
        current = self._layout.tag_current(self.repository, tag)
        revision = self._layout.revision_link(self.repository, digest)
        try:
            follow_link(self.blobs, revision)
        except NotFound as error:
            raise NotFound(
                f"there is no manifest {digest} in {self.repository}", path=revision, engine="manifest unknown"
            ) from error
        write_link(self._driver, self._layout.tag_index_link(self.repository, tag, digest), digest)
        write_link(self._driver, current, digest)

    def untag(self, tag: str) -> None:
        """Remove a tag with its history; the manifest stays, and is served by its digest.

        The history goes first: cut off, the tag means what it meant, or is listed and means nothing;
        doing it again ends it.

        Raises:
            NotFound: there is no such tag.
        """
        path = self._layout.tag(self.repository, tag)
        with contextlib.suppress(NotFound, WrongKind):  # a tag without a history, or a stray file, goes as a whole
            self._driver.delete(self._layout.tag_index(self.repository, tag))
        try:
            self._driver.delete(path)
        except NotFound as error:
            raise self._unknown(tag, path) from error

    # --- inside ------------------------------------------------------------

    @property
    def _driver(self) -> Driver:
        return self.blobs.driver

    @property
    def _layout(self) -> Layout:
        return self.blobs.layout

    def _meaning(self, tag: str, digest: Digest) -> TagMeaning:
        found = self._driver.stat(self._layout.tag_index_link(self.repository, tag, digest))
        return TagMeaning(digest=digest, since=found.modified)

    def _unknown(self, tag: str, path: str) -> NotFound:
        return NotFound(f"there is no tag {tag} in {self.repository}", path=path, engine="manifest unknown")
