"""The short names by which overlay2 mounts layers: DK10.

moby: daemon/graphdriver/overlay2/overlay.go (create, getLower, Get; 1.12 to 28)::

    overlay2/<cache id>/link     the layer's short name
    overlay2/l/<short name>      a link to ../<cache id>/diff
    overlay2/<cache id>/lower    l/<short name>:… of the layers below, nearest first; none at the bottom
"""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from orlop.docker import layout
from orlop.docker.checkfinding import finding
from orlop.docker.model import Model, Mount
from orlop.errors import NoPermission, NotFound, OrlopError, WrongKind
from orlop.finding import Finding, Severity
from orlop.fs import Folder, Root, join
from orlop.progress import Progress

_NAME_LIMIT = 4096
_LOWER_LIMIT = 64 * 1024
_STEP = 500
"""Layers between two reports of progress."""


@dataclass(frozen=True, slots=True)
class _Broken:
    """One thing that is wrong with a layer's names."""

    path: str
    why: str
    says: str = ""
    severity: Severity | None = None


def broken(root: Root, model: Model, chains: Container[str] | None, progress: Progress) -> Iterator[Finding]:
    """What is wrong with the short names of layers and of containers.

    Args:
        chains: chain ids of the layers that matter; None for all, and for containers.
    """
    if model.driver != "overlay2":
        return
    try:
        with root.folder("overlay2") as data, data.folder("l") as links:
            yield from _Links(root, model, data, links).all(chains, progress)
    except NotFound as error:
        if model.layers and error.path == "overlay2/l":
            users = sorted({user for users in model.users_of.values() for user in users})
            yield finding(model, "DK10", "overlay2/l", "the folder of all short names is not there", images=users)
    except (NoPermission, WrongKind) as error:
        if isinstance(error, WrongKind) and error.path == "overlay2/l":
            yield finding(model, "DK10", "overlay2/l", error.what)


class _Links:
    """The names of one data root."""

    def __init__(self, root: Root, model: Model, data: Folder, links: Folder) -> None:
        self._root = root
        self._model = model
        self._data = data
        self._links = links
        self._names: dict[str, str | None] = {}

    def all(self, chains: Container[str] | None, progress: Progress) -> Iterator[Finding]:
        layers = self._model.layers
        wanted = [chain_id for chain_id in sorted(layers) if chains is None or chain_id in chains]
        for number, chain_id in enumerate(wanted):
            if number % _STEP == 0:
                progress.step("overlay links", number, len(wanted))
            layer = layers[chain_id]
            if layer.cache_id is None or not layer.data:
                continue  # DK04 and DK07 say so
            for wrong in self._of(
                layer.cache_id, None if layer.parent_lost or layer.problems else below(self._model, layer.parent)
            ):
                if self._root.exists(layout.layer(self._model.driver, chain_id)):  # else an engine removed it just now
                    yield self._layer_finding(chain_id, wrong)
        if chains is None:
            for name, mount in sorted(self._model.mounts.items()):
                yield from self._mount(name, mount)

    def _layer_finding(self, chain_id: str, wrong: _Broken) -> Finding:
        users = self._model.users_of.get(chain_id, ())
        severity = wrong.severity or (None if users else Severity.LATENT)
        return finding(
            self._model,
            "DK10",
            wrong.path,
            wrong.why,
            images=users,
            says=wrong.says,
            severity=severity,
            subject=chain_id,
        )

    def _mount(self, name: str, mount: Mount) -> Iterator[Finding]:
        """A container's own folder, and the one that it was begun with; of one that goes, the rest is no damage."""
        container = self._model.containers.get(name)
        if container is not None and container.going:
            return
        layers = below(self._model, mount.parent) if mount.parent is not None else None  # no layers, or DK21 says so
        lower = layers
        for cache_id in (mount.init_id, mount.mount_id):
            if cache_id is None or mount.problem or not self._is_there(cache_id):
                continue
            for wrong in self._of(cache_id, lower):
                if self._root.exists(join(layout.mounts(self._model.driver), name)):
                    yield finding(
                        self._model,
                        "DK10",
                        wrong.path,
                        wrong.why,
                        says=wrong.says,
                        severity=Severity.LATENT,
                        containers=[name],
                        subject=cache_id,
                    )
            if layers is not None and cache_id == mount.init_id:
                lower = [cache_id, *layers]

    def _is_there(self, cache_id: str) -> bool:
        try:
            return self._data.stat(cache_id).kind == "folder"
        except OrlopError:
            return False

    def _of(self, cache_id: str, below: Sequence[str] | None) -> Iterator[_Broken]:
        """What is wrong with the names of one folder, and with those that it lists."""
        try:
            with self._data.folder(cache_id) as folder:
                yield from self._own(cache_id, folder)
                if below is not None:
                    yield from self.wrong_list(cache_id, folder, below)
        except NoPermission:
            return  # a note says that this user may not read it
        except OrlopError as error:
            yield _Broken(error.path or f"overlay2/{cache_id}", error.why or error.what)

    def _name(self, cache_id: str, folder: Folder | None = None) -> str | None:
        """A layer's short name; None where it has none that could be one.

        Args:
            folder: the layer's, where it is open.
        """
        if cache_id not in self._names:
            try:
                if folder is None:
                    with self._data.folder(cache_id) as opened:
                        self._names[cache_id] = _name_in(opened)
                else:
                    self._names[cache_id] = _name_in(folder)
            except NoPermission:
                raise
            except OrlopError:
                self._names[cache_id] = None
        return self._names[cache_id]

    def _own(self, cache_id: str, folder: Folder) -> Iterator[_Broken]:
        path = layout.link_file(cache_id)
        name = self._name(cache_id, folder)
        if name is None:
            says = "readlink <root>/overlay2/l: invalid argument"
            yield _Broken(path, f"the file link does not hold a name: it is {_what(folder)}", says)
            return
        wanted = f"../{cache_id}/diff"
        try:
            target = self._links.link_target(name)
        except NotFound:
            says = f"failed to mount overlay: readlink {layout.spelled(layout.link(name))}: no such file or directory"
            yield _Broken(layout.link(name), f"the link to {wanted}, which {path} names, is missing", says)
            return
        except WrongKind as error:
            severity = Severity.LATENT if error.found == "folder" else None  # a copy of the layer, which can be mounted
            yield _Broken(layout.link(name), f"a {error.found} is in the place of the link to {wanted}", "", severity)
            return
        if target != wanted:
            yield _Broken(layout.link(name), f"it leads to {target}, and must lead to {wanted}")

    def wrong_list(self, cache_id: str, folder: Folder, below: Sequence[str]) -> Iterator[_Broken]:
        """What is wrong with a folder's list of the layers below, whose cache ids are known."""
        path = f"overlay2/{cache_id}/lower"
        try:
            listed = folder.read("lower", _LOWER_LIMIT).decode("utf-8", "surrogateescape")
        except NotFound:
            if below:
                yield _Broken(path, f"the list of the {len(below)} layers below is missing")
            return
        if not below:
            yield _Broken(path, "it lists layers below one that stands on none")
            return
        names = listed.split(":")
        if len(names) != len(below):
            count = len(names) if listed else 0
            yield _Broken(path, f"it lists {count} layers, and {len(below)} are below")
            return
        for name, wanted in zip(names, below, strict=True):
            wrong = self._entry(name, wanted)
            if wrong:
                yield _Broken(path, wrong)
                return

    def _entry(self, entry: str, wanted: str) -> str:
        """Why one entry of a list does not lead to its layer; empty where it does, or that is told of the layer."""
        name = self._name(wanted)
        if name is not None and entry == f"l/{name}":
            return ""  # where the link itself is broken, that is told of the layer
        folder, _, last = entry.partition("/")
        if folder == "l" and last and "/" not in last:
            try:
                target = self._links.link_target(last)
            except NotFound:
                return "" if name is None else f"it lists {entry}, which is missing"
            except WrongKind as error:
                return f"it lists {entry}, which is a {error.found}"
            if target == f"../{wanted}/diff":
                return ""
            return f"it lists {entry}, which leads to {target}, where ../{wanted}/diff must stand"
        return f"it lists {entry!r}, where the name of {wanted} must stand"


def below(model: Model, parent: str | None) -> list[str] | None:
    """Cache ids of the layers from one down, nearest first; None where their records do not tell them."""
    found: list[str] = []
    while parent is not None:
        layer = model.layers.get(parent)
        if layer is None or layer.cache_id is None or layer.problems or layer.parent_lost:
            return None
        if len(found) > len(model.layers):
            return None  # they stand on one another in a circle
        found.append(layer.cache_id)
        parent = layer.parent
    return found


def lists_names_of(root: Root, model: Model, cache_id: str, parent: str | None) -> bool:
    """Whether a folder's list of the layers below may be that of a layer on `parent`."""
    layers = below(model, parent)
    if layers is None:
        return True  # nothing tells
    try:
        with root.folder("overlay2") as data, data.folder("l") as links, data.folder(cache_id) as folder:
            return not any(_Links(root, model, data, links).wrong_list(cache_id, folder, layers))
    except OrlopError:
        return False


def is_name(text: str) -> bool:
    """Whether a text can be the name of a short link."""
    return text not in ("", ".", "..") and not set(text) & set("/\0:")


def _name_in(folder: Folder) -> str | None:
    text = folder.read("link", _NAME_LIMIT).decode("utf-8", "surrogateescape")
    return text if is_name(text) else None


def _what(folder: Folder) -> str:
    """What there is instead of a name."""
    try:
        found = folder.stat("link")
    except NotFound:
        return "missing"
    except OrlopError as error:
        return error.what
    if found.kind != "file":
        return f"a {found.kind}"
    return "no name" if found.size else "empty"
