"""Building blocks for Docker data roots: real layers, real configs, every digest true.

A store takes a few lines::

    root = DataRoot.create(folder)                     # overlay2; or driver="vfs"
    base = root.image({"bin/sh": b"#!"}, names=["base:1"])
    app = root.image({"srv/app": b"app"}, on=base, names=["app:1", "app:latest"])
    root.mapping(app.layers[-1], "ghcr.io/acme/app")   # pushed there once
    root.container("web", app)
    root.settle()                                      # times fixed: same bytes, same times

Everything is derived from the content, so the same calls give the same bytes.
What it writes is what engine 20.10.24 writes, and that engine starts on it.
Files are given their place directly: a folder that is just being made has no
reader yet, and nothing in it is worth a flush to disk.
"""

import base64
import hashlib
import hmac
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orlop.digest import Digest, chain_ids
from orlop.docker import layout
from orlop.errors import AlreadyExists
from orlop.jsonrules import Fields, dumps
from orlop.samples.trees import TREE_TIME, Files, Packed, Symlink, entries, pack

ENGINE = "20.10.24"
NOW = "2026-09-01T08:00:00.000000001Z"
"""When the sample engine was last stopped: the time of every record."""

_NOW_NS = 1_788_249_600_000_000_001
_AUTH = "sha256:" + hashlib.sha256(b"{}").hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer that was written."""

    diff_id: str
    chain_id: str
    size: int
    cache_id: str
    files: Files
    below: "Layer | None"

    @property
    def blob(self) -> str:
        """A digest that a registry could know it by."""
        return Digest.of(b"blob of " + self.diff_id.encode())

    @property
    def link(self) -> str:
        """overlay2: its short name, 26 characters of base32."""
        return _link(self.cache_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line of an image's history, with the layer that it made if it made one."""

    created_by: str
    files: Files | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image that was written."""

    id: str
    layers: tuple[Layer, ...]
    """Bottom first."""
    config: bytes
    history: tuple[Mapping[str, object], ...]
    settings: Mapping[str, object]
    """The member ``config`` of the config."""

    @property
    def top(self) -> Layer | None:
        return self.layers[-1] if self.layers else None


@dataclass(slots=True)
class DataRoot:
    """A Docker data root that is being made."""

    path: str
    driver: str
    _references: dict[str, dict[str, str]] = field(default_factory=dict)
    _lists: dict[str, list[Fields]] = field(default_factory=dict)
    _layers: dict[str, Layer] = field(default_factory=dict)

    @classmethod
    def create(cls, path: str, *, driver: str = "overlay2") -> "DataRoot":
        """Make the folders of an empty store.

        Args:
            path: an empty folder, or one that is still to be made.
            driver: ``overlay2`` or ``vfs``.

        Raises:
            AlreadyExists: there is something in the folder.
            ValueError: another driver.
        """
        if driver not in layout.READABLE_DRIVERS:
            raise ValueError(f"no sample can be made for the driver {driver!r}")
        if os.path.lexists(path) and (not os.path.isdir(path) or os.listdir(path)):
            raise AlreadyExists("a sample store needs an empty folder", path=path)
        root = cls(os.path.abspath(path), driver)
        for folder, mode in _FOLDERS:
            root.make(folder, mode)
        for folder, mode in _IMAGE_FOLDERS:
            root.make(f"{layout.image_root(driver)}/{folder}".rstrip("/"), mode)
        for folder, mode in _DRIVER_FOLDERS[driver]:
            root.make(folder, mode)
        root.write(layout.LOCK, b"", 0o600)
        root._save_tags()
        return root

    # --- single files ------------------------------------------------------

    def at(self, path: str) -> str:
        """The absolute path of a path in the store."""
        return os.path.join(self.path, path)

    def make(self, path: str, mode: int = 0o755) -> None:
        """Make a folder, and those above it; one that exists keeps what is in it."""
        os.makedirs(self.at(path), exist_ok=True)
        os.chmod(self.at(path), mode)

    def write(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Write a file over whatever file is there."""
        os.makedirs(os.path.dirname(self.at(path)), exist_ok=True)
        with open(self.at(path), "wb") as file:
            file.write(data)
        os.chmod(self.at(path), mode)

    # --- layers ------------------------------------------------------------

    def layer(self, files: Files, *, on: Layer | None = None) -> Layer:
        """Write one layer: record, tar-split and the driver's folder; one that is there stays as it is."""
        packed = pack(files)
        chain = packed.diff_id if on is None else chain_ids((on.chain_id, packed.diff_id))[-1]
        known = self._layers.get(chain)
        if known is not None:
            return known
        made = Layer(
            diff_id=packed.diff_id,
            chain_id=chain,
            size=packed.size,
            cache_id=_made_up(f"cache id of {chain}"),
            files=files,
            below=on,
        )
        self._write_data(made)
        self._write_record(made, packed)
        self._layers[chain] = made
        return made

    def _write_record(self, made: Layer, packed: Packed) -> None:
        folder = layout.layer(self.driver, made.chain_id)
        self.make(folder, 0o700)
        self.write(f"{folder}/tar-split.json.gz", packed.tar_split)
        self.write(f"{folder}/diff", made.diff_id.encode())
        self.write(f"{folder}/size", str(made.size).encode())
        self.write(f"{folder}/cache-id", made.cache_id.encode())
        if made.below is not None:
            self.write(f"{folder}/parent", made.below.chain_id.encode())

    def _write_data(self, made: Layer) -> None:
        if self.driver == "vfs":
            folder = f"vfs/dir/{made.cache_id}"
            self.make(folder, 0o755)
            self._write_tree(folder, _merged(made))
            return
        self._write_overlay(made.cache_id, made.below)
        self._write_tree(f"overlay2/{made.cache_id}/diff", made.files)

    def _write_overlay(self, cache_id: str, below: Layer | None, *, init: str | None = None) -> None:
        folder = f"overlay2/{cache_id}"
        self.make(folder, 0o710)
        self.make(f"{folder}/diff", 0o755)
        self.write(f"{folder}/link", _link(cache_id).encode())
        os.symlink(f"../{cache_id}/diff", self.at(f"overlay2/l/{_link(cache_id)}"))
        links = [f"l/{layer.link}" for layer in _downward(below)]
        if init is not None:
            links.insert(0, f"l/{_link(init)}")
        if not links:
            return
        self.write(f"{folder}/lower", ":".join(links).encode())
        self.make(f"{folder}/work", 0o700)
        parent = init if init is not None else below.cache_id if below is not None else ""
        self.write(f"overlay2/{parent}/committed", b"", 0o600)

    def _write_tree(self, folder: str, files: Files) -> None:
        for entry in entries(files):
            path = f"{folder}/{entry.name.rstrip('/')}"
            if entry.content is None:
                self.make(path, entry.mode)
            elif isinstance(entry.content, Symlink):
                os.symlink(entry.content.target, self.at(path))
            else:
                self.write(path, entry.content, entry.mode)

    # --- images ------------------------------------------------------------

    def image(
        self,
        *steps: "Step | Files",
        on: Image | None = None,
        names: Iterable[str] = (),
        created: str = "2026-08-01T10:00:00.5Z",
        author: str = "",
        config: Mapping[str, object] | None = None,
        extra: Mapping[str, object] | None = None,
        local: bool = False,
    ) -> Image:
        """Write one image: its layers, its config and its names.

        Args:
            steps: history lines, oldest first; bare files are a layer that was copied in.
            on: the image that it continues: layers, history and settings.
            names: tags and digest references, in their familiar spelling.
            created: RFC 3339.
            config: members of the config's ``config`` that differ from those of `on`.
            extra: further members of the config's top level; a value of None leaves one out.
            local: whether it was built here: ``parent`` and ``lastUpdated`` are kept beside it.
        """
        layers = list(on.layers) if on is not None else []
        history = list(on.history) if on is not None else []
        for given in steps:
            step = given if isinstance(given, Step) else Step(created_by="COPY . / # buildkit", files=given)
            line: dict[str, object] = {"created": created}
            if author:
                line["author"] = author
            line["created_by"] = step.created_by
            if step.comment:
                line["comment"] = step.comment
            if step.files is None:
                line["empty_layer"] = True
            else:
                layers.append(self.layer(step.files, on=layers[-1] if layers else None))
            history.append(line)
        settings = {**(on.settings if on is not None else _SETTINGS), **(config or {})}
        document = _document(layers, history, settings, created, author, extra or {})
        made = self.config(document, layers=layers, history=history, settings=settings)
        for name in names:
            self.tag(name, made.id)
        if local:
            if on is not None:
                self.metadata(made.id, "parent", on.id.encode())
            if names:
                self.metadata(made.id, "lastUpdated", created.encode())
        return made

    def config(
        self,
        data: bytes,
        *,
        layers: Sequence[Layer] = (),
        history: Sequence[Mapping[str, object]] = (),
        settings: Mapping[str, object] | None = None,
    ) -> Image:
        """Write these very bytes as an image's config; the id is their digest."""
        identity = Digest.of(data)
        self.write(layout.config(self.driver, identity), data, 0o600)
        return Image(
            id=identity, layers=tuple(layers), config=data, history=tuple(history), settings=settings or _SETTINGS
        )

    def build(
        self, *steps: Step, on: Image, names: Iterable[str] = (), created: str = "2026-08-02T10:00:00.25Z"
    ) -> tuple[Image, ...]:
        """An image as `docker build` of 20.10 makes it: one untagged image a step, each the parent of the next."""
        made: list[Image] = []
        for step in steps:
            last = step is steps[-1]
            made.append(
                self.image(
                    step,
                    on=made[-1] if made else on,
                    names=names if last else (),
                    created=created,
                    local=True,
                )
            )
        return tuple(made)

    def metadata(self, image: str, key: str, value: bytes) -> None:
        """Write a metadata key of an image."""
        folder = layout.metadata(self.driver, image)
        self.make(folder, 0o700)
        self.write(f"{folder}/{key}", value, 0o600)

    def tag(self, name: str, image: str) -> None:
        """Give an id a name, whatever either is; a digest reference has ``@`` in it."""
        at = name.find("@")
        repository = name[:at] if at >= 0 else name[: name.rfind(":")] if name.rfind(":") > name.rfind("/") else name
        self._references.setdefault(repository, {})[name] = image
        self._save_tags()

    def _save_tags(self) -> None:
        data = dumps(Fields({"Repositories": self._references}))
        self.write(layout.tag_file(self.driver), data, 0o600)

    # --- distribution ------------------------------------------------------

    def mapping(
        self, layer: Layer | str, source: str, *, digest: str | None = None, pushed: bool = False, reverse: bool = True
    ) -> str:
        """Record that a repository knows a layer; gives the blob digest.

        Args:
            layer: a layer, or a diff id that no layer needs to have.
            source: repository with host.
            digest: of the blob; without it the layer's own `Layer.blob`.
            pushed: whether the record carries the keyed hash of the (empty) credentials.
            reverse: whether `diffid-by-digest` is written too.
        """
        diff_id = layer if isinstance(layer, str) else layer.diff_id
        blob = digest or Digest.of(b"blob of " + diff_id.encode())
        mac = hmac.new(_AUTH.encode(), (blob + source).encode(), hashlib.sha256).hexdigest() if pushed else ""
        entry = Fields({"Digest": blob, "SourceRepository": source, "HMAC": mac})
        known = self._lists.setdefault(diff_id, [])
        if entry in known:
            known.remove(entry)
        known.append(entry)
        self.write(layout.v2_list(self.driver, diff_id), dumps(known))
        if reverse:
            self.reverse(blob, diff_id)
        return blob

    def reverse(self, digest: str, diff_id: str) -> None:
        """Record which diff id a blob has."""
        self.write(layout.v2_reverse(self.driver, digest), diff_id.encode())

    # --- containers --------------------------------------------------------

    def container(self, name: str, image: Image, *, image_name: str = "", created: str = NOW) -> str:
        """Write a stopped container: its record, its mount record and its writable layer; gives its id."""
        identity = _made_up(f"container {name} of {image.id}")
        mount = _made_up(f"mount of {identity}")
        self._write_mount(identity, mount, image.top)
        folder = layout.container(identity)
        self.make(folder, 0o710)
        self.make(f"{folder}/checkpoints", 0o700)
        record = _container(identity, name, image, image_name, created, self.driver)
        self.write(f"{folder}/config.v2.json", dumps(Fields(record)) + b"\n", 0o600)
        self.write(f"{folder}/hostconfig.json", dumps(Fields(_HOST)) + b"\n", 0o644)
        return identity

    def _write_mount(self, identity: str, mount: str, top: Layer | None) -> None:
        folder = f"{layout.mounts(self.driver)}/{identity}"
        self.make(folder, 0o755)
        self.write(f"{folder}/mount-id", mount.encode())
        self.write(f"{folder}/init-id", f"{mount}-init".encode())
        if top is not None:
            self.write(f"{folder}/parent", top.chain_id.encode())
        if self.driver == "vfs":
            below = {} if top is None else _merged(top)
            for cache_id, files in ((f"{mount}-init", {**below, **_INIT}), (mount, {**below, **_INIT, **_WRITTEN})):
                self.make(f"vfs/dir/{cache_id}", 0o755)
                self._write_tree(f"vfs/dir/{cache_id}", files)
            return
        self._write_overlay(f"{mount}-init", top)
        self._write_tree(f"overlay2/{mount}-init/diff", _INIT)
        self._write_overlay(mount, top, init=f"{mount}-init")
        self._write_tree(f"overlay2/{mount}/diff", _WRITTEN)

    # --- the end -----------------------------------------------------------

    def settle(self) -> None:
        """Give everything its fixed time: what the layers hold `TREE_TIME`, all else `NOW`."""
        inside = self.at(layout.layer_data_folder(self.driver) or "") + os.sep
        for folder, _folders, files in os.walk(self.path, topdown=False):
            for name in files:
                _date(os.path.join(folder, name), inside)
            for name in _folders:
                _date(os.path.join(folder, name), inside)
        _date(self.path, inside)


def _date(path: str, inside: str) -> None:
    at = TREE_TIME * 1_000_000_000 if path.startswith(inside) else _NOW_NS
    os.utime(path, ns=(at, at), follow_symlinks=False)


def _made_up(text: str) -> str:
    """64 hex digits in the place of random ones."""
    return hashlib.sha256(text.encode()).hexdigest()


def _link(cache_id: str) -> str:
    return base64.b32encode(hashlib.sha256(f"link {cache_id}".encode()).digest()).decode()[:26]


def _downward(layer: Layer | None) -> list[Layer]:
    found = []
    while layer is not None:
        found.append(layer)
        layer = layer.below
    return found


def _merged(layer: Layer) -> Files:
    """The whole file system as of a layer."""
    merged: dict[str, bytes | Symlink | None] = {}
    for one in reversed(_downward(layer)):
        merged.update(one.files)
    return merged


def _document(
    layers: Sequence[Layer],
    history: Sequence[Mapping[str, object]],
    settings: Mapping[str, object],
    created: str,
    author: str,
    extra: Mapping[str, object],
) -> bytes:
    rootfs = Fields({"type": "layers"})
    if layers:
        rootfs["diff_ids"] = [layer.diff_id for layer in layers]
    document: dict[str, object] = {
        "architecture": "amd64",
        "author": author or None,
        "config": Fields(settings),
        "created": created,
        "docker_version": ENGINE,
        "history": [Fields(line) for line in history],
        "os": "linux",
        "rootfs": rootfs,
        **extra,
    }
    return dumps({name: value for name, value in document.items() if value is not None})


def _container(
    identity: str, name: str, image: Image, image_name: str, created: str, driver: str
) -> Mapping[str, object]:
    settings = {**image.settings, "Hostname": identity[:12], "Image": image_name or image.id}
    command = settings.get("Cmd")
    return {
        "StreamConfig": {},
        "State": {
            "Running": False,
            "Paused": False,
            "Restarting": False,
            "OOMKilled": False,
            "RemovalInProgress": False,
            "Dead": False,
            "Pid": 0,
            "ExitCode": 0,
            "Error": "",
            "StartedAt": created,
            "FinishedAt": NOW,
            "Health": None,
        },
        "ID": identity,
        "Created": created,
        "Managed": False,
        "Path": command[0] if isinstance(command, list) and command else "/bin/sh",
        "Args": [],
        "Config": Fields(settings),
        "Image": image.id,
        "NetworkSettings": {"Bridge": "", "Networks": {}, "Service": None, "Ports": None},
        "LogPath": "",
        "Name": f"/{name}",
        "Driver": driver,
        "OS": "linux",
        "RestartCount": 0,
        "HasBeenStartedBefore": True,
        "HasBeenManuallyStopped": True,
        "MountPoints": {},
        "SecretReferences": None,
        "ConfigReferences": None,
    }


_SETTINGS: Mapping[str, object] = {
    "Hostname": "",
    "Domainname": "",
    "User": "",
    "AttachStdin": False,
    "AttachStdout": False,
    "AttachStderr": False,
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    "Cmd": ["/bin/sh"],
    "Image": "",
    "Volumes": None,
    "WorkingDir": "",
    "Entrypoint": None,
    "OnBuild": None,
    "Labels": None,
}

_HOST: Mapping[str, object] = {
    "Binds": None,
    "ContainerIDFile": "",
    "LogConfig": {"Type": "json-file", "Config": {}},
    "NetworkMode": "default",
    "PortBindings": {},
    "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
    "AutoRemove": False,
    "IpcMode": "private",
    "CgroupnsMode": "host",
    "ShmSize": 67108864,
    "Runtime": "runc",
    "ConsoleSize": [0, 0],
}

_INIT: Files = {
    ".dockerenv": b"",
    "dev/console": b"",
    "dev/pts": None,
    "dev/shm": None,
    "etc/hostname": b"",
    "etc/hosts": b"",
    "etc/mtab": Symlink("/proc/mounts"),
    "etc/resolv.conf": b"",
    "proc": None,
    "sys": None,
}
"""What the engine puts between an image and a container's writable layer."""

_WRITTEN: Files = {"var/log/app.log": b"ready\n"}

_FOLDERS = (
    ("", 0o710),
    ("containers", 0o710),
    ("image", 0o700),
    ("network/files", 0o750),
    ("plugins", 0o700),
    ("runtimes", 0o700),
    ("swarm", 0o700),
    ("tmp", 0o700),
    ("trust", 0o700),
    ("volumes", 0o701),
)

_IMAGE_FOLDERS = (
    ("", 0o700),
    ("distribution", 0o700),
    ("distribution/diffid-by-digest/sha256", 0o755),
    ("distribution/v2metadata-by-diffid/sha256", 0o755),
    ("imagedb", 0o700),
    ("imagedb/content", 0o700),
    ("imagedb/content/sha256", 0o700),
    ("imagedb/metadata", 0o700),
    ("imagedb/metadata/sha256", 0o700),
    ("layerdb", 0o700),
    ("layerdb/mounts", 0o755),
    ("layerdb/sha256", 0o755),
    ("layerdb/tmp", 0o755),
)

_DRIVER_FOLDERS = {
    "overlay2": (("overlay2", 0o710), ("overlay2/l", 0o700)),
    "vfs": (("vfs", 0o710), ("vfs/dir", 0o710)),
}
