"""Image configs: hashed against their name, and read as the engine reads them.

moby: image/fs.go (get verifies), image/image.go (NewFromJSON), image/store.go (restore).
"""

import hashlib

from orlop import jsonrules, times
from orlop.digest import chain_ids, is_digest
from orlop.docker import layout
from orlop.docker.configshape import IMAGE
from orlop.docker.model import ConfigState, Image
from orlop.errors import Malformed, NoPermission, NotFound, OrlopError, StorageFailure, TooLarge, WrongKind
from orlop.fs import Folder, join

_BLOCK = 1 << 20


class ConfigReader:
    """Reads configs and shares what many of them have in common: ids, chains, platforms."""

    def __init__(self) -> None:
        self._chains: dict[tuple[str, ...], tuple[tuple[str, ...], tuple[str, ...]]] = {}
        self._platforms: dict[str, str] = {}

    def read(self, folder: Folder, name: str, kind: str) -> Image:
        """Read one config; damage becomes a state, never an error.

        Raises:
            NotFound: the file went away.
        """
        image = "sha256:" + name
        try:
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
        return self._parsed(image, data)

    def _parsed(self, image: str, data: bytes) -> Image:
        try:
            config = jsonrules.loads(data)
            IMAGE.conform(config)
            created, platform, diff_ids = self._known(config) or _members(config)
        except Malformed as error:
            return _bad(image, ConfigState.MALFORMED, error.why, len(data), _says(image, error.engine or error.why))
        shared = self._chains.get(diff_ids)
        if shared is None:
            shared = (diff_ids, chain_ids(diff_ids))
            self._chains[diff_ids] = shared
        return Image(
            id=image,
            config=ConfigState.GOOD,
            why="",
            engine_says="",
            size=len(data),
            created=created,
            platform=self._platforms.setdefault(platform, platform),
            diff_ids=shared[0],
            chain=shared[1],
            parent=None,
        )

    def _known(self, config: object) -> tuple[int | None, str, tuple[str, ...]] | None:
        """`_members` of a config that holds nothing unusual, as nearly all do; None for any other.

        Only exact spellings of the engine's own members, once each, plain texts, and a stack
        of layers that was checked before.
        """
        if type(config) is not dict or not config.keys() <= _MEMBERS:
            return None
        rootfs = config.get("rootfs")
        if type(rootfs) is not dict or not rootfs.keys() <= _ROOTFS_MEMBERS:
            return None
        listed = rootfs.get("diff_ids")
        created = config.get("created")
        parts = (config.get("os", ""), config.get("architecture", ""), config.get("variant", ""))
        if type(listed) is not list or type(created) is not str or not created:
            return None
        if not all(type(text) is str for text in (*parts, *listed)):
            return None
        shared = self._chains.get(tuple(listed))
        if shared is None:
            return None
        return times.parse(created), "/".join(filter(None, parts)), shared[0]


_MEMBERS = frozenset(
    (
        *("architecture", "author", "comment", "config", "container", "container_config", "created"),
        *("docker_version", "history", "id", "os", "os.features", "os.version", "parent", "rootfs", "variant", "Size"),
    )
)
"""Top-level members of the engine's image struct (moby image/image.go, V1Image and Image)."""
_ROOTFS_MEMBERS = frozenset(("type", "diff_ids"))


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
