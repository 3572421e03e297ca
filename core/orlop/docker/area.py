"""One folder full of like entries, read whole or again only where something changed."""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from orlop.docker.model import Debris, Unreadable
from orlop.errors import NotFound, OrlopError
from orlop.fs import Folder, Root, join

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Area(Generic[T]):
    """What one folder held when it was read; a folder that is not there held nothing."""

    entries: Mapping[str, T] = field(default_factory=dict)
    """By name in the folder."""
    debris: tuple[Debris, ...] = ()
    """Names that are no entries: leftovers and foreign things."""
    unreadable: tuple[Unreadable, ...] = ()


def scan(
    root: Root,
    path: str,
    read: Callable[[Folder, str, str], T],
    *,
    wanted: Callable[[str], bool],
    previous: Area[T] | None = None,
    touched: Set[str] | None = None,
) -> Area[T]:
    """Read every wanted entry of a folder.

    Args:
        root: the store.
        path: the folder, relative to the root.
        read: makes the value from the open folder, the name and its kind; a `NotFound` that
            it raises means that the entry went away meanwhile.
        wanted: whether a name is an entry; every other name is debris or foreign.
        previous: what the folder held before; its values are kept for names not in `touched`.
        touched: names that changed; None for all.
    """
    try:
        folder = root.folder(path)
    except NotFound:
        return Area()
    except OrlopError as error:
        return Area(unreadable=(Unreadable(path=path, why=error.why or error.what),))
    with folder:
        return _scan(root, folder, read, wanted, previous, touched)


def _scan(
    root: Root,
    folder: Folder,
    read: Callable[[Folder, str, str], T],
    wanted: Callable[[str], bool],
    previous: Area[T] | None,
    touched: Set[str] | None,
) -> Area[T]:
    known: Mapping[str, T] = previous.entries if previous is not None and touched is not None else {}
    entries: dict[str, T] = {}
    debris: list[Debris] = []
    unreadable: list[Unreadable] = []
    try:
        kinds = folder.kinds()
    except OrlopError as error:
        return Area(unreadable=(Unreadable(path=folder.path, why=error.why or error.what),))
    for name, kind in kinds:
        try:
            if not wanted(name):
                debris.append(leftover(root, folder, name))
            elif name in known and touched is not None and name not in touched:
                entries[name] = known[name]
            else:
                entries[name] = read(folder, name, kind)
        except NotFound:
            continue
        except OrlopError as error:
            unreadable.append(Unreadable(path=join(folder.path, name), why=error.why or error.what))
    return Area(entries=entries, debris=tuple(debris), unreadable=tuple(unreadable))


def leftover(root: Root, folder: Folder, name: str) -> Debris:
    """Describe a name that is no entry.

    Names of moby: ``.tmp-<name><digits>`` (pkg/ioutils, from 1.12), ``<name>.tmp`` (to 1.11),
    ``<chain>-<hex>-removing`` (layer/filestore.go, from 20.10), ``write-set-<digits>`` and
    ``layer-<digits>`` below layerdb/tmp.

    Raises:
        NotFound: it went away.
    """
    found = folder.stat(name)
    path = join(folder.path, name)
    return Debris(path=path, kind=leftover_kind(name), bytes=root.allocated(path), mtime=found.mtime)


def leftover_kind(name: str) -> str:
    """The word for a name that is no entry."""
    if name.startswith(".tmp-") or name.endswith(".tmp"):
        return "temporary file"
    if name.startswith(("write-set-", "layer-")):
        return "layer transaction"
    if name.endswith("-removing"):
        return "layer being removed"
    return "foreign"
