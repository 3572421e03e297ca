"""Where this host may keep stores: the one place of the program that reads the environment for it."""

import os

from orlop.errors import NotFound

_ENGINE_FOLDERS = ("/var/lib/docker", "/var/snap/docker/common/var-lib-docker")
_DAEMON_FILES = ("/etc/docker/daemon.json", "/var/snap/docker/current/config/daemon.json")


def stores_of_this_host() -> tuple[str, ...]:
    """The folders of this host that hold a store.

    Raises:
        NotFound: none does, as far as this user may read.
    """
    from orlop import kinds

    homes = data_homes()
    found = kinds.host_folders(homes, daemon_files())
    if not found:
        raise NotFound(
            "no store was found on this host",
            why=f"looked in {', '.join(homes)} and for a data-root in the engine's daemon.json",
            do="name one: `orlop PATH`; run as root where you may not read it; or try `orlop demo`",
        )
    return found


def check_store(path: str) -> None:
    """Make sure that a folder holds a store, before the screens open; reads hardly anything where it does.

    Raises:
        NotFound, NotAStore, NoPermission, Unsupported, …: it holds none, or cannot be read.
    """
    from orlop import kinds

    if not kinds.host_folders((path,), ()):
        for store in kinds.open_all(path):
            store.close()


def data_homes() -> tuple[str, ...]:
    """Folders that an engine uses when nobody says otherwise: the system's first, then this user's rootless one."""
    home = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return (*_ENGINE_FOLDERS, os.path.join(home, "docker"))


def daemon_files() -> tuple[str, ...]:
    """Configuration files whose ``data-root`` may name another folder."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return (*_DAEMON_FILES, os.path.join(home, "docker", "daemon.json"))
