"""Which repositories there are: folders that nest, told apart by what begins with an underscore.

distribution: ``registry/storage/catalog.go``. 2.x takes a folder with ``_layers`` for a
repository, 3.x one with ``_manifests``; here either is enough, and ``_uploads`` too.
"""

import re
from collections.abc import Callable, Iterator

from orlop.errors import NoPermission, NotFound, OrlopError, StorageFailure, WrongKind
from orlop.registry.driver import Driver
from orlop.registry.layout import MODERN, NAME_LIMIT, Layout, is_name

_COMPONENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)


def repositories(
    driver: Driver, *, layout: Layout = MODERN, unreadable: Callable[[OrlopError], None] | None = None
) -> Iterator[str]:
    """The names of all repositories, one at a time: each before those nested in it, neighbours sorted.

    Folders are listed as the names are asked for, so a registry may change meanwhile. Stray
    files, links and folders that no name can reach are passed over.

    Args:
        driver: where the registry lies.
        layout: its tree.
        unreadable: is told of each folder that cannot be listed, and the others follow; None: the error ends it.

    Raises:
        NoPermission, StorageFailure: a folder cannot be listed, and nobody is told.
    """
    pending = [""]
    while pending:
        name = pending.pop()
        try:
            names = driver.names(f"{layout.repositories}/{name}".rstrip("/"))
        except (NotFound, WrongKind):
            continue
        except (NoPermission, StorageFailure) as error:
            if unreadable is None:
                raise
            unreadable(error)
            continue
        if is_name(name) and not set(names).isdisjoint(layout.repository_folders):
            yield name
        pending.extend(reversed([child for part in names if (child := _child(layout, name, part))]))


def _child(layout: Layout, name: str, part: str) -> str:
    """The name of what may be a repository below another; empty where it cannot be one."""
    if part in layout.repository_folders or _COMPONENT.fullmatch(part) is None:
        return ""
    child = f"{name}/{part}" if name else part
    return child if len(child) <= NAME_LIMIT else ""
