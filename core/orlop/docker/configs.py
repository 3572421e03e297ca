"""Image configs: hashed against their name, and read as the engine reads them.

moby: image/fs.go (get verifies), image/image.go (NewFromJSON), image/store.go (restore).
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Set
from sys import intern
from typing import TypeAlias

from orlop import jsonrules, times
from orlop.digest import chain_ids, is_digest, is_hex
from orlop.docker import layout
from orlop.docker.area import Area, Reading, scan, stamp
from orlop.docker.configshape import IMAGE, read_plain
from orlop.docker.model import ConfigState, Image, TagFile
from orlop.docker.remembering import Memory
from orlop.errors import Malformed, NoPermission, NotFound, OrlopError, StorageFailure, TooLarge, WrongKind
from orlop.fs import Folder, Root, join
from orlop.progress import Progress

_BLOCK = 1 << 20
_Known: TypeAlias = tuple[int | None, str, tuple[str, ...], tuple[str, ...]]
"""Creation time, platform, diff ids and chain ids."""


class ConfigReader:
    """Reads configs and shares what many of them have in common: ids, chains, platforms."""

    def __init__(self, memory: Memory | None = None) -> None:
        self._chains: dict[tuple[str, ...], tuple[tuple[str, ...], tuple[str, ...]]] = {}
        self._above: dict[tuple[str, str], str] = {}
        """Chain id by that of the layer below and the diff id."""
        self._platforms: dict[tuple[bytes, ...], str] = {}
        self._ids: Mapping[str, str] = {}
        """Ids that are known as texts already, and need not be kept twice."""
        self._now = 0
        """As for `stamp`."""
        self._memory = memory

    def scan(
        self,
        root: Root,
        driver: str,
        tags: TagFile,
        *,
        previous: Area[Image] | None,
        touched: Set[str] | None,
        progress: Progress,
    ) -> Area[Image]:
        """Read the configs of a driver, as `orlop.docker.area.scan`."""
        self._now = times.now()
        if touched is None:
            self._ids = {entry.image: entry.image for entry in tags.references.values()}
        if self._memory is not None:
            self._memory.share(self._stack)
        reading = Reading(path=layout.configs(driver), read=self.read, wanted=is_hex, same=self.same, what="configs")
        try:
            return scan(root, reading, previous=previous, touched=touched, progress=progress)
        finally:
            self._ids = {}
            self._memory = None
            self._above.clear()  # what a few new stacks stand on is quickly made again

    def read(self, folder: Folder, name: str, kind: str) -> Image:
        """Read one config; damage becomes a state, never an error.

        Raises:
            NotFound: the file went away.
        """
        image = "sha256:" + name
        image = self._ids.get(image, image)
        found: os.stat_result | None = None
        memory = self._memory
        if memory is not None and kind == "file" and memory.has_configs:
            stamped = stamp(self._now, folder.stat_listed(name))
            if stamped and (known := memory.image(name, stamped, image)) is not None:
                return known
        try:
            if kind == "file":
                data, found = folder.read_listed(name)
            else:
                data = folder.read(name)
        except NotFound:
            raise
        except TooLarge as error:
            return _large(folder, name, image, error.size)
        except WrongKind as error:
            return _bad(
                image,
                ConfigState.WRONG_KIND,
                f"a {error.found} is in its place",
                says=_wrong_kind(folder, image, error),
            )
        except NoPermission as error:
            return _bad(image, ConfigState.UNREADABLE, error.why)
        except StorageFailure as error:
            return _bad(image, ConfigState.UNREADABLE, error.why, says=_says(image, error.why))
        if hashlib.sha256(data).hexdigest() != name:
            return _altered(image, data)
        return self._parsed(image, data, stamp(self._now, found) if found is not None else 0)

    def same(self, folder: Folder, name: str, kind: str, image: Image) -> bool:
        """Whether a config is the one that was read, told by its times."""
        return kind == "file" and image.stamp != 0 and stamp(self._now, folder.stat_listed(name)) == image.stamp

    def _parsed(self, image: str, data: bytes, stamped: int) -> Image:
        try:
            created, platform, diff_ids, chain = self._plain(data) or self._whole(data)
        except Malformed as error:
            return _bad(image, ConfigState.MALFORMED, error.why, len(data), _says(image, error.engine or error.why))
        return Image(
            id=image,
            config=ConfigState.GOOD,
            why="",
            engine_says="",
            size=len(data),
            created=created,
            platform=platform,
            diff_ids=diff_ids,
            chain=chain,
            parent=None,
            stamp=stamped,
        )

    def _plain(self, data: bytes) -> _Known | None:
        """What `_whole` gives for a config that holds nothing unusual, as nearly all do; None for any other."""
        found = read_plain(data)
        if found is None:
            return None
        created, *parts, diff_ids = found
        platform = self._platforms.get(tuple(parts))
        if platform is None:
            platform = "/".join(part.decode() for part in parts if part)
            self._platforms[tuple(parts)] = platform
        stack = tuple(diff_ids[:-1].decode().split('","'))
        if stack not in self._chains and not all(map(is_digest, stack)):
            return None
        return times.parse(created.decode()), platform, *self._stack(stack)

    def _whole(self, data: bytes) -> _Known:
        config = jsonrules.loads(data)
        IMAGE.conform(config)
        created, platform, diff_ids = _members(config)
        return created, platform, *self._stack(diff_ids)

    def _stack(self, diff_ids: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Diff ids with their chain ids; every text and every stack is kept once."""
        shared = self._chains.get(diff_ids)
        if shared is None:
            diff_ids = tuple(map(intern, diff_ids))
            shared = (diff_ids, tuple(self._chain(diff_ids)))
            self._chains[diff_ids] = shared
        return shared

    def _chain(self, diff_ids: tuple[str, ...]) -> Iterator[str]:
        below = ""
        for diff_id in diff_ids:
            here = self._above.get((below, diff_id))
            if here is None:
                here = intern(chain_ids((below, diff_id))[-1]) if below else diff_id
                self._above[below, diff_id] = here
            yield here
            below = here


def unseen(image: str, why: str) -> Image:
    """The image for an id that other records name, where nobody can look whether it has a config."""
    return _bad(image, ConfigState.UNREADABLE, why)


def missing(image: str, folder: str) -> Image:
    """The image for an id that other records name and that has no config."""
    path = join(folder, image.removeprefix("sha256:"))
    return _bad(
        image,
        ConfigState.MISSING,
        "there is no config file",
        says=f"open {layout.spelled(path)}: no such file or directory",
    )


def _members(config: object) -> tuple[int | None, str, tuple[str, ...]]:
    """Creation time, platform and diff ids, with the engine's own refusals."""
    created = jsonrules.text(config, "created")
    at = times.parse(created) if created else None
    rootfs = jsonrules.mapping(config, "rootfs")
    if rootfs is None:
        raise Malformed("it has no rootfs", field="rootfs", engine="invalid image JSON, no RootFS key")
    diff_ids = tuple(jsonrules.texts(rootfs, "diff_ids"))
    for index, diff_id in enumerate(diff_ids):
        if not is_digest(diff_id):
            raise Malformed("not a digest", field=f"rootfs.diff_ids[{index}]", engine=_NO_LAYER)
    parts = (jsonrules.text(config, member) for member in ("os", "architecture", "variant"))
    return at, "/".join(part for part in parts if part), diff_ids


_NO_LAYER = "layer does not exist"


def _says(image: str, why: str) -> str:
    if why == _NO_LAYER:  # a layer that cannot exist is looked for all the same
        return f"{_NO_LAYER}, not restoring image {image}"
    return f"invalid image {image}, {why}"


def _wrong_kind(folder: Folder, image: str, error: WrongKind) -> str:
    """The engine reads whatever is there: it follows a link, and waits at a pipe."""
    if error.found != "folder":
        return ""
    path = layout.spelled(join(folder.path, image.removeprefix("sha256:")))
    return _says(image, f"failed to get digest {image}: read {path}: is a directory")


def _bad(image: str, state: ConfigState, why: str, size: int = 0, says: str = "") -> Image:
    return Image(
        id=image,
        config=state,
        why=why,
        engine_says=says,
        size=size,
        created=None,
        platform="",
        diff_ids=(),
        chain=(),
        parent=None,
    )


def _altered(image: str, data: bytes) -> Image:
    says = _says(image, f"failed to verify: {image}")
    if not data:
        return _bad(image, ConfigState.EMPTY, "the config is empty: zero bytes", 0, says)
    if not data.strip(b"\0"):
        return _bad(
            image, ConfigState.EMPTY, f"the config holds {len(data)} zero bytes and nothing else", len(data), says
        )
    found = hashlib.sha256(data).hexdigest()
    return _bad(image, ConfigState.ALTERED, f"the config hashes to sha256:{found}", len(data), says)


def _large(folder: Folder, name: str, image: str, size: int) -> Image:
    """A config that is only hashed: a block at a time, whatever its size."""
    found = hashlib.sha256()
    try:
        with folder.stream(name) as stream:
            while block := stream.read(_BLOCK):
                found.update(block)
    except (OSError, OrlopError) as error:
        return _bad(image, ConfigState.UNREADABLE, str(error), size)
    if found.hexdigest() != name:
        why = f"the config of {size} bytes hashes to sha256:{found.hexdigest()}"
        return _bad(image, ConfigState.ALTERED, why, size, _says(image, f"failed to verify: {image}"))
    return _bad(image, ConfigState.TOO_LARGE, f"the config has {size} bytes; its digest holds, it was not parsed", size)
