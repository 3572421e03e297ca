"""Where Docker Engine keeps what, below its data root.

Drawn from moby's image/fs.go, layer/filestore.go, reference/store.go and
distribution/metadata/metadata.go (1.10 to 28), and seen on stores of 20.10.24::

    image/<driver>/                               one folder per storage driver ever used
      repositories.json                           names → image ids
      imagedb/content/sha256/<hex>                image config; the name is the sha256 of the file
      imagedb/metadata/sha256/<hex>/              parent, lastUpdated, builtLocally
      layerdb/sha256/<chain hex>/                 one record per layer:
        diff cache-id size parent tar-split.json.gz
      layerdb/mounts/<container id>/              mount-id init-id parent
      layerdb/tmp/write-set-<digits>/             layer transactions in progress
      distribution/v2metadata-by-diffid/sha256/<diff id hex>
      distribution/diffid-by-digest/sha256/<blob hex>
    <driver>/                                     vfs/dir/<cache id>, overlay2/<cache id> and overlay2/l/<link>
    containers/<id>/config.v2.json
    volumes/metadata.db                           held under flock while an engine runs (from 1.11)

Every function gives a path relative to the data root. Ids are full digests
(``sha256:<hex>``); the caller has checked them, so no path leaves its folder.
"""

LOCK = "volumes/metadata.db"
CONTAINERS = "containers"
IMAGE = "image"
BUILD_CACHE = "buildkit/snapshots.db"
"""BuildKit's record of which layer each of its snapshots stands on (builder-next/adapters/snapshot, from 18.06)."""
CONTAINERD = "containerd/daemon"
"""The root of the engine's own containerd; from 20.10 manifests of pulled images lie in its content store too."""

READABLE_DRIVERS = ("overlay2", "vfs")
"""Drivers whose layer folders are understood and may be moved."""

RECORD_FILES = ("diff", "size", "cache-id", "parent")
"""Small files of a layer record that the engine reads at start; ``parent`` only where there is one."""


def spelled(path: str) -> str:
    """A path as a message of the engine is quoted: below its data root, wherever that is."""
    return f"<root>/{path}"


def image_root(driver: str) -> str:
    """The folder of a driver's image store."""
    return f"{IMAGE}/{driver}"


def tag_file(driver: str) -> str:
    """The reference store."""
    return f"{IMAGE}/{driver}/repositories.json"


def beside_layers(driver: str) -> tuple[str, ...]:
    """Everything of an image store that is no layer's, as files and folders."""
    here = image_root(driver)
    return (tag_file(driver), f"{here}/imagedb", f"{here}/distribution")


def configs(driver: str) -> str:
    """The folder of all image configs."""
    return f"{IMAGE}/{driver}/imagedb/content/sha256"


def config(driver: str, image: str) -> str:
    """The config of an image."""
    return f"{configs(driver)}/{image[7:]}"


def metadata_folders(driver: str) -> str:
    """The folder of all images' metadata folders."""
    return f"{IMAGE}/{driver}/imagedb/metadata/sha256"


def metadata(driver: str, image: str) -> str:
    """The metadata folder of an image."""
    return f"{metadata_folders(driver)}/{image[7:]}"


def layerdb(driver: str) -> str:
    """The folder of everything that is recorded about layers."""
    return f"{IMAGE}/{driver}/layerdb"


def layers(driver: str) -> str:
    """The folder of all layer records."""
    return f"{layerdb(driver)}/sha256"


def layer(driver: str, chain_id: str) -> str:
    """The record of a layer."""
    return f"{layers(driver)}/{chain_id[7:]}"


def layer_going(driver: str, chain_id: str, token: str) -> str:
    """A record that is being removed: engines from 20.10 sweep such names when they stop, older ones ignore them."""
    return f"{layer(driver, chain_id)}-{token}-removing"


def mounts(driver: str) -> str:
    """The folder of all containers' mount records."""
    return f"{layerdb(driver)}/mounts"


def transactions(driver: str) -> str:
    """The folder in which layer records are put together."""
    return f"{layerdb(driver)}/tmp"


def v2_lists(driver: str) -> str:
    """The folder of V2 metadata lists, by diff id."""
    return f"{IMAGE}/{driver}/distribution/v2metadata-by-diffid/sha256"


def v2_list(driver: str, diff_id: str) -> str:
    """The V2 metadata of a layer."""
    return f"{v2_lists(driver)}/{diff_id[7:]}"


def v2_reverses(driver: str) -> str:
    """The folder of diff ids, by blob digest."""
    return f"{IMAGE}/{driver}/distribution/diffid-by-digest/sha256"


def v2_reverse(driver: str, digest: str) -> str:
    """The diff id of a blob."""
    return f"{v2_reverses(driver)}/{digest[7:]}"


def container(identity: str) -> str:
    """The folder of a container."""
    return f"{CONTAINERS}/{identity}"


def layer_data_folder(driver: str) -> str | None:
    """The folder that holds a driver's layer folders; None for drivers whose layout is not known."""
    return {"vfs": "vfs/dir", "overlay2": "overlay2"}.get(driver)


def layer_data(driver: str, cache_id: str) -> str | None:
    """The driver's folder of a layer or mount; None for drivers whose layout is not known."""
    folder = layer_data_folder(driver)
    return None if folder is None else f"{folder}/{cache_id}"


def layer_tree(driver: str, cache_id: str) -> str | None:
    """The folder below which a layer's files lie by their names; None for drivers whose layout is not known."""
    folder = layer_data(driver, cache_id)
    return f"{folder}/diff" if driver == "overlay2" else folder


def tar_split(driver: str, chain_id: str) -> str:
    """The recipe that rebuilds a layer's archive."""
    return f"{layer(driver, chain_id)}/tar-split.json.gz"


def link_file(cache_id: str) -> str:
    """overlay2: the file that names a layer's short link."""
    return f"overlay2/{cache_id}/link"


def link(name: str) -> str:
    """overlay2: a layer's short link, a symbolic link to ``../<cache id>/diff``."""
    return f"overlay2/l/{name}"
