"""Where the bytes of a Docker data root are: layers, containers, the build cache, what nothing needs.

moby: image/fs.go, layer/filestore.go, daemon/graphdriver, daemon/daemon.go (``tmp``,
``containers``), volume/service, builder/builder-next (``buildkit``); 20.10 to 28.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from orlop import incoming, journal
from orlop.docker import layout, unrecorded
from orlop.docker.model import ConfigState, Layer, Model, Mount
from orlop.docker.unrecorded import DataFolder, Owner
from orlop.errors import OrlopError
from orlop.fs import Root, join
from orlop.progress import Progress
from orlop.records import Key
from orlop.space import ImageSpace, Part, Space, Use
from orlop.usage import Usage, group, measure, needed_by, space_of

_DRIVERS = frozenset(
    {"aufs", "btrfs", "devicemapper", "fuse-overlayfs", "overlay", "overlay2", "vfs", "windowsfilter", "zfs"}
)
"""Folders of the data root that storage drivers keep their layers in."""
_BUILDER = re.compile(r"[0-9a-z]{25}", re.ASCII)
"""BuildKit's own names: identity.NewID, 25 characters of base 36."""
_LAYERS_UNKNOWN = (ConfigState.TOO_LARGE, ConfigState.UNREADABLE)


class Account(NamedTuple):
    """What a file or folder is counted for."""

    kind: str
    name: str = ""


def space(root: Root, model: Model, *, progress: Progress) -> Space:
    """Where the bytes below a data root are.

    Raises:
        Cancelled: `progress` stopped it.
        StorageFailure, NoPermission: the data root cannot be listed.
    """
    places = _Places(root, model)
    usage = measure(root, places.claims, rest=Account("root", "."), progress=progress)
    counting = _Counting(model, places, usage)
    return space_of(root, usage, counting.parts(), counting.images())


# --- who claims what -----------------------------------------------------------


@dataclass(slots=True)
class _Places:
    """Every path that is counted for something."""

    root: Root
    model: Model
    claims: dict[str, Account] = field(default_factory=dict)
    folders: tuple[DataFolder, ...] = ()
    """Below the driver's layer folder."""

    def __post_init__(self) -> None:
        model = self.model
        for name in self._names(""):
            self.claims[name] = Account("root", name)
        self.claims |= {join("volumes", name): Account("volume", name) for name in self._names("volumes")}
        self.claims |= {layout.image_root(name): Account("driver", name) for name in self._names(layout.IMAGE)}
        self._records()
        for chain_id in model.layers:
            self.claims[layout.layer(model.driver, chain_id)] = Account("layer", chain_id)
        self._containers()
        for debris in model.debris:
            self.claims[debris.path] = Account("debris", debris.path)
        self._data()
        self.claims |= {join(journal.CHANGES, name): Account("change", name) for name in self._names(journal.CHANGES)}
        self.claims[incoming.FOLDER] = Account("incoming")

    def _names(self, path: str) -> list[str]:
        """What is in a folder; nothing where it cannot be listed, which the walk tells."""
        try:
            return self.root.names(path)
        except OrlopError:
            return []

    def _records(self) -> None:
        driver = self.model.driver
        self.claims[layout.tag_file(driver)] = Account("names")
        self.claims[f"{layout.image_root(driver)}/distribution"] = Account("mappings")
        self.claims[f"{layout.image_root(driver)}/imagedb"] = Account("configs")
        self.claims[layout.layerdb(driver)] = Account("layerdb")
        for identity, image in self.model.images.items():
            if image.config is not ConfigState.MISSING:
                self.claims[layout.config(driver, identity)] = Account("image", identity)
                self.claims[layout.metadata(driver, identity)] = Account("image", identity)
        for identity in self.model.metadata_only:
            path = layout.metadata(driver, identity)
            self.claims[path] = Account("debris", path)

    def _containers(self) -> None:
        for name in self._names(layout.CONTAINERS):
            self.claims[layout.container(name)] = Account("container", name)
        for name in self.model.mounts:
            self.claims[join(layout.mounts(self.model.driver), name)] = Account("written", name)

    def _data(self) -> None:
        """The driver's folders; nothing of them can be told apart where they cannot be listed."""
        try:
            self.folders = unrecorded.folders(self.root, self.model)
        except OrlopError:
            return
        owners = {folder.name: _owner(folder) for folder in self.folders}
        self.claims |= {folder.path: owners[folder.name] for folder in self.folders}
        if self.model.driver == "overlay2":
            self._short_names(owners)

    def _short_names(self, owners: Mapping[str, Account]) -> None:
        """overlay2's links to layers, each a block of its own: their text is too long for an inode of ext4."""
        try:
            with self.root.folder(layout.link("").rstrip("/")) as links:
                for name, kind in links.kinds():
                    target = links.link_target(name) if kind == "link" else ""
                    owner = owners.get(target.removeprefix("../").removesuffix("/diff"))
                    if owner is not None:
                        self.claims[layout.link(name)] = owner
        except OrlopError:
            return  # what is left of them counts as the driver's


def _owner(folder: DataFolder) -> Account:
    match folder.owner:
        case Owner.LAYER:
            return Account("layer", folder.subject)
        case Owner.CONTAINER:
            return Account("written", folder.subject)
        case Owner.DEBRIS:
            return Account("debris", folder.subject)
        case _:
            return Account("folder", folder.name)


# --- what it is for ------------------------------------------------------------


class _Counting:
    """The parts and images of one data root."""

    def __init__(self, model: Model, places: _Places, usage: Usage[Account]) -> None:
        self._model = model
        self._places = places
        self._usage = usage
        self._keys = {
            identity: Key("", identity, (*model.names_of.get(identity, ()), None)[0]) for identity in model.images
        }
        self._uses = dict(_uses(model))
        self._titled: dict[str, str] = {}

    def _of(self, kind: str, name: str = "") -> int:
        return self._usage.of(Account(kind, name))

    def parts(self) -> Iterator[Part]:
        """Everything, in parts of one use each."""
        yield group("layers of images", Use.CONTENT, self._layers(Use.CONTENT))
        yield group("image records", Use.RECORDS, self._records(), path=layout.image_root(self._model.driver))
        yield group(
            "containers",
            Use.CONTAINERS,
            (*self._containers(), *self._layers(Use.CONTAINERS), *self._folders(Owner.MOUNTED, Use.CONTAINERS)),
        )
        yield group("build cache", Use.BUILD_CACHE, self._build_cache())
        yield group(
            "layers that nothing needs", Use.UNREFERENCED, (*self._layers(Use.UNREFERENCED), *self._left_mounts())
        )
        yield group(
            "layer folders that no record names", Use.UNRECORDED, self._folders(Owner.UNRECORDED, Use.UNRECORDED)
        )
        yield group(
            "cannot tell whose",
            Use.UNKNOWN,
            (*self._layers(Use.UNKNOWN), *self._folders(Owner.UNKNOWN, Use.UNKNOWN), *self._unread()),
        )
        yield group("left by what was cut off", Use.DEBRIS, self._debris())
        yield group("on its way in", Use.UPLOADS, self._incoming())
        yield group("quarantine of Orlop", Use.QUARANTINE, self._quarantine(), path=journal.FOLDER)
        yield group("of other stores in this root", Use.HIDDEN, self._hidden())
        yield group("volumes", Use.OTHER, self._volumes(), path="volumes")
        yield group("the engine's own", Use.OTHER, self._rest())

    # layers

    def _layers(self, use: Use) -> Iterator[Part]:
        for chain_id, (found, remark) in self._uses.items():
            if found is use:
                yield self._layer(self._model.layers[chain_id], use, remark)

    def _layer(self, layer: Layer, use: Use, remark: str) -> Part:
        users = self._model.users_of.get(layer.chain_id, ()) if use is Use.CONTENT else ()
        keys = tuple(self._keys[image] for image in users)
        return Part(
            title=f"layer {layer.chain_id}",
            use=use,
            bytes=self._of("layer", layer.chain_id),
            path=layer.data_path or layout.layer(self._model.driver, layer.chain_id),
            remark=remark or needed_by("image", [key.name or key.id for key in keys]),
            images=keys,
        )

    def _folders(self, owner: Owner, use: Use) -> Iterator[Part]:
        for folder in self._places.folders:
            if folder.owner is owner:
                yield Part(
                    title=f"folder {folder.name}",
                    use=use,
                    bytes=self._of("folder", folder.name),
                    path=folder.path,
                    remark=folder.because,
                )

    # records

    def _records(self) -> Iterator[Part]:
        driver, use = self._model.driver, Use.RECORDS
        configs = self._of("configs") + sum(self._of("image", identity) for identity in self._model.images)
        yield Part(
            title="image configs and metadata", use=use, bytes=configs, path=f"{layout.image_root(driver)}/imagedb"
        )
        yield Part(title="names", use=use, bytes=self._of("names"), path=layout.tag_file(driver))
        yield Part(
            title="V2 digest mappings",
            use=use,
            bytes=self._of("mappings"),
            path=f"{layout.image_root(driver)}/distribution",
        )
        yield Part(title="folders of layer records", use=use, bytes=self._of("layerdb"), path=layout.layerdb(driver))
        yield Part(
            title="folder of the store", use=use, bytes=self._of("driver", driver), path=layout.image_root(driver)
        )
        yield Part(title="folder of all stores", use=use, bytes=self._of("root", layout.IMAGE), path=layout.IMAGE)
        if layout.layer_data_folder(driver) is not None:
            yield Part(title="folders of the driver", use=use, bytes=self._of("root", driver), path=driver)

    # containers and the build cache

    def _containers(self) -> Iterator[Part]:
        names = {
            *self._model.mounts,
            *(account.name for account in self._places.claims.values() if account.kind == "container"),
        }
        for name in sorted(names):
            mount = self._model.mounts.get(name)
            if _is_builders(self._model, name) or (mount is not None and _is_left(self._model, mount)):
                continue
            yield self._container(name, mount)

    def _container(self, name: str, mount: Mount | None) -> Part:
        found = self._model.containers.get(name)
        data = layout.layer_data(self._model.driver, mount.mount_id) if mount is not None and mount.mount_id else None
        written = Part(title="what it wrote", use=Use.CONTAINERS, bytes=self._of("written", name), path=data or "")
        own = Part(
            title="its records and logs",
            use=Use.CONTAINERS,
            bytes=self._of("container", name),
            path=layout.container(name),
        )
        image = self._keys.get(found.image) if found is not None and found.image is not None else None
        of = f"of {image.name or image.id}" if image is not None else "its image is not here"
        title = f"container {found.name or name}" if found is not None else f"container {name}"
        return group(title, Use.CONTAINERS, (written, own), path=layout.container(name), remark=of)

    def _left_mounts(self) -> Iterator[Part]:
        for name, mount in sorted(self._model.mounts.items()):
            if _is_left(self._model, mount) and not _is_builders(self._model, name):
                path = layout.layer_data(self._model.driver, mount.mount_id) if mount.mount_id else None
                yield Part(
                    title=f"mount record {name}",
                    use=Use.UNREFERENCED,
                    bytes=self._of("written", name),
                    path=path or join(layout.mounts(self._model.driver), name),
                    remark="its container is gone",
                )

    def _build_cache(self) -> Iterator[Part]:
        use = Use.BUILD_CACHE
        yield Part(title="records of the build cache", use=use, bytes=self._of("root", "buildkit"), path="buildkit")
        yield from self._folders(Owner.BUILD_CACHE, use)
        yield from self._layers(use)
        for name in sorted(self._model.mounts):
            if _is_builders(self._model, name):
                yield Part(
                    title=f"mount {name}",
                    use=use,
                    bytes=self._of("written", name),
                    path=join(layout.mounts(self._model.driver), name),
                    remark="the name is one of BuildKit's",
                )

    # the rest

    def _debris(self) -> Iterator[Part]:
        for debris in self._model.debris:
            yield Part(
                title=debris.kind,
                use=Use.DEBRIS,
                bytes=self._of("debris", debris.path),
                path=debris.path,
                remark="an operation was cut off",
            )
        for identity in sorted(self._model.metadata_only):
            path = layout.metadata(self._model.driver, identity)
            yield Part(
                title="metadata of no image",
                use=Use.DEBRIS,
                bytes=self._of("debris", path),
                path=path,
                remark=f"of {identity}, which has no config",
            )

    def _incoming(self) -> Iterator[Part]:
        remark = "what a pull or load receives; the engine empties it when it starts"
        for name in ("tmp", "tmp-old"):
            yield Part(title=f"folder {name}", use=Use.UPLOADS, bytes=self._of("root", name), path=name, remark=remark)
        yield Part(title="imports of Orlop", use=Use.UPLOADS, bytes=self._of("incoming"), path=incoming.FOLDER)

    def _quarantine(self) -> Iterator[Part]:
        for account in dict.fromkeys(self._places.claims.values()):
            if account.kind == "change":
                yield Part(
                    title=f"change {account.name}",
                    use=Use.QUARANTINE,
                    bytes=self._usage.of(account),
                    path=join(journal.CHANGES, account.name),
                )
        yield Part(title="its folder", use=Use.QUARANTINE, bytes=self._of("root", journal.FOLDER), path=journal.FOLDER)

    def _hidden(self) -> Iterator[Part]:
        own = self._model.driver
        names = {account.name for account in self._places.claims.values() if account.kind == "driver"}
        for name in sorted(names - {own}):
            yield Part(
                title=f"records of the driver {name}",
                use=Use.HIDDEN,
                bytes=self._of("driver", name),
                path=layout.image_root(name),
            )
        for name in sorted(_DRIVERS - {own}):
            yield Part(title=f"layers of the driver {name}", use=Use.HIDDEN, bytes=self._of("root", name), path=name)
        if self._model.containerd_store:
            yield Part(
                title="images of containerd",
                use=Use.HIDDEN,
                bytes=self._of("root", "containerd"),
                path=layout.CONTAINERD,
            )

    def _unread(self) -> Iterator[Part]:
        """The driver's folder, where its layout is not known or it cannot be listed."""
        driver = self._model.driver
        if layout.layer_data_folder(driver) is None:
            remark = f"the layer folders of the driver {driver} are not understood"
            yield Part(
                title=f"layers of the driver {driver}",
                use=Use.UNKNOWN,
                bytes=self._of("root", driver),
                path=driver,
                remark=remark,
            )

    def _volumes(self) -> Iterator[Part]:
        names = sorted({account.name for account in self._places.claims.values() if account.kind == "volume"})
        for name in names:
            title = f"volume {name}" if name not in ("metadata.db", "backingFsBlockDev") else name
            yield Part(title=title, use=Use.OTHER, bytes=self._of("volume", name), path=join("volumes", name))
        yield Part(title="their folder", use=Use.OTHER, bytes=self._of("root", "volumes"), path="volumes")

    def _rest(self) -> Iterator[Part]:
        yield from self._folders(Owner.FOREIGN, Use.OTHER)
        told = {layout.IMAGE, "buildkit", "volumes", "tmp", "tmp-old", journal.FOLDER, self._model.driver, *_DRIVERS}
        if self._model.containerd_store:
            told.add("containerd")
        for account in dict.fromkeys((*self._places.claims.values(), Account("root", "."))):
            if account.kind == "root" and account.name not in told:
                title = "the root's own folder" if account.name == "." else f"folder {account.name}"
                yield Part(title=title, use=Use.OTHER, bytes=self._usage.of(account), path=account.name)

    # images

    def images(self) -> Iterator[ImageSpace]:
        """What each image takes; a name to nothing takes nothing and is left out."""
        found = self._model.layers.items()
        layers = {chain_id: Account("layer", chain_id) for chain_id, layer in found if self._counted(layer)}
        for identity, image in self._model.images.items():
            if image.config is ConfigState.MISSING:
                continue
            known = image.config is ConfigState.GOOD and layers.keys() >= set(image.chain)
            mine = Account("image", identity)
            own = _own(self._model, image.chain) if known else ()
            yield ImageSpace(
                key=self._keys[identity],
                names=tuple(self._model.names_of.get(identity, ())),
                bytes=self._usage.takes([mine, *(layers[one] for one in dict.fromkeys(image.chain))])
                if known
                else None,
                own=self._usage.freed([mine, *(layers[one] for one in own)]) if known else None,
            )

    def _counted(self, layer: Layer) -> bool:
        """Whether a layer's record and data were counted, all of them."""
        if layer.data_path is None:
            return False
        record = layout.layer(self._model.driver, layer.chain_id)
        return self._usage.is_whole(layer.data_path) and self._usage.is_whole(record)


def _is_builders(model: Model, mount: str) -> bool:
    return mount not in model.containers and _BUILDER.fullmatch(mount) is not None


def _is_left(model: Model, mount: Mount) -> bool:
    return not mount.container_known and not model.unseen(layout.container(mount.name))


def _own(model: Model, chain: tuple[str, ...]) -> list[str]:
    """Layers of an image that nothing else needs, from its top: below the first that stays, everything stays."""
    found: list[str] = []
    for chain_id in reversed(chain):
        above = model.layer_children_of.get(chain_id, ())
        if (
            len(model.users_of.get(chain_id, ())) > 1
            or model.mounts_on.get(chain_id)
            or chain_id in model.build_cache
            or any(child not in found for child in above)
        ):
            break
        found.append(chain_id)
    return found


def _uses(model: Model) -> Iterator[tuple[str, tuple[Use, str]]]:
    """Chain id of each record → what it is there for, and why where no image needs it."""
    kept: dict[str, tuple[Use, str]] = {}
    for chain_id in model.users_of:
        _keep(model, kept, chain_id, (Use.CONTENT, ""))
    for name, mount in model.mounts.items():
        if mount.parent is not None:
            found = model.containers.get(name)
            who = found.name if found is not None and found.name else name
            _keep(model, kept, mount.parent, (Use.CONTAINERS, f"needed by container {who}, whose image is not here"))
    for chain_id in model.build_cache:
        _keep(model, kept, chain_id, (Use.BUILD_CACHE, "the build cache may use it"))
    nothing = nothing_known(model)
    for chain_id in sorted(model.layers):
        yield chain_id, kept.get(chain_id, nothing)


def _keep(model: Model, kept: dict[str, tuple[Use, str]], top: str, use: tuple[Use, str]) -> None:
    """Note what a layer and those below it are for, as far as nothing stronger did."""
    here: str | None = top
    while here is not None and here not in kept:
        kept[here] = use
        layer = model.layers.get(here)
        here = layer.parent if layer is not None else None


def nothing_known(model: Model) -> tuple[Use, str]:
    """What a record is that nothing is known to need."""
    for image in model.images.values():
        if image.config in _LAYERS_UNKNOWN:
            return Use.UNKNOWN, f"which layers {image.id} needs cannot be known: its config is {image.config}"
        if image.config not in (ConfigState.GOOD, ConfigState.MISSING):
            return Use.UNKNOWN, f"it may be of {image.id}, whose config is {image.config}"
    for part in model.unreadable:
        return Use.UNKNOWN, f"{part.path} cannot be read, and may name it: {part.why}"
    return Use.UNREFERENCED, "no image, container or build cache needs it"
