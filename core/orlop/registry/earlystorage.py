"""A registry's storage of January 2015 as a whole.

It is chosen when a registry is opened: `RegistryStorage` reads and writes what 2.0 and
later do, this one what came before the underscores (see `orlop.registry.early`)::

    storage = EarlyStorage(FileDriver("/var/lib/registry"))
    layer = storage.repository("library/busybox").layers.fetch("tarsum.v1+sha256:…")
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from orlop.errors import OrlopError
from orlop.registry.driver import Driver
from orlop.registry.early import EARLY
from orlop.registry.earlydriver import EarlyDriver, is_path
from orlop.registry.earlylayers import EarlyLayerStore
from orlop.registry.earlymanifests import EarlyManifestStore
from orlop.registry.repositories import repositories


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyRepository:
    """One repository: what it serves, knows and names."""

    name: str
    layers: EarlyLayerStore
    manifests: EarlyManifestStore


class EarlyStorage:
    """Repositories over any driver; nothing is made by opening it.

    Args:
        driver: where the registry lies; its root is the registry's ``rootdirectory``.
    """

    layout = EARLY

    def __init__(self, driver: Driver) -> None:
        self.driver = EarlyDriver(driver)
        self._any_path = driver

    def repository(self, name: str) -> EarlyRepository:
        """A repository by its name, whether anything of it is there or not.

        Raises:
            Escapes: the name leaves its folder.
        """
        return EarlyRepository(
            name=name,
            layers=EarlyLayerStore(self.driver, name),
            manifests=EarlyManifestStore(self.driver, name),
        )

    def repositories(self, unreadable: Callable[[OrlopError], None] | None = None) -> Iterator[str]:
        """The names of all repositories that can be reached: see `orlop.registry.repositories.repositories`."""
        return filter(is_path, repositories(self._any_path, layout=EARLY, unreadable=unreadable))
