"""A registry's storage as a whole: the library's front door.

::

    storage = RegistryStorage(FileDriver("/var/lib/registry"))
    for name in storage.repositories():
        repository = storage.repository(name)
        for tag in repository.tags.names():
            manifest = repository.manifests.get(repository.tags.get(tag))

There is no lock in any version of the registry: it must be stopped before anything here
that writes is used.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from orlop.errors import OrlopError
from orlop.registry.blobs import BlobStore
from orlop.registry.driver import Driver
from orlop.registry.layers import LayerStore
from orlop.registry.layout import MODERN, Layout
from orlop.registry.repositories import repositories
from orlop.registry.revisions import RevisionStore
from orlop.registry.tags import TagStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """One repository: what it serves, knows and names."""

    name: str
    layers: LayerStore
    manifests: RevisionStore
    tags: TagStore


class RegistryStorage:
    """Blobs and repositories over any driver; nothing is made by opening it.

    Args:
        driver: where the registry lies; its root is the registry's ``rootdirectory``.
        layout: its tree.
    """

    def __init__(self, driver: Driver, *, layout: Layout = MODERN) -> None:
        self.driver = driver
        self.layout = layout
        self.blobs = BlobStore(driver, layout=layout)

    def repository(self, name: str) -> Repository:
        """A repository by its name, whether anything of it is there or not.

        Raises:
            Malformed: no name of a repository.
        """
        return Repository(
            name=name,
            layers=LayerStore(self.blobs, name),
            manifests=RevisionStore(self.blobs, name),
            tags=TagStore(self.blobs, name),
        )

    def repositories(self, unreadable: Callable[[OrlopError], None] | None = None) -> Iterator[str]:
        """The names of all repositories: see `orlop.registry.repositories.repositories`."""
        return repositories(self.driver, layout=self.layout, unreadable=unreadable)
