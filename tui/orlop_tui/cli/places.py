"""Where this host may keep stores: the one place of the program that reads the environment for it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from orlop.errors import NotAStore, NotFound, OrlopError, WrongKind
from orlop_tui import format

WHAT_TO_GIVE = "give Docker's data root, a registry's rootdirectory, or rkt's data directory"
"""What to do about a path that holds no store."""

_ENGINE_FOLDERS = (
    "/var/lib/docker",
    "/var/snap/docker/common/var-lib-docker",
    "/var/lib/registry",
    "/var/lib/docker-registry",
    "/var/lib/rkt",
)
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
        with explained(path):
            found = kinds.open_all(path)
        for store in found:
            store.close()


@contextmanager
def explained(path: str) -> Iterator[None]:
    """While a path that a person gave is opened: an error says the whole place, and what to give instead."""
    try:
        yield
    except WrongKind as error:
        if error.path != path:
            raise
        why = "it is no folder"
        raise NotAStore("no container image store is here", path=path, why=why, do=WHAT_TO_GIVE) from error
    except OrlopError as error:
        if error.path is not None and error.path != path:
            error.path = os.path.join(path, error.path)
        if isinstance(error, NotFound | NotAStore):
            near = _store_near(path)
            error.do = f"a store is near: {format.shell([near])}" if near else error.do or WHAT_TO_GIVE
        raise


def _store_near(path: str) -> str | None:
    """A store in the usual places below a folder, such as a mounted disk's, or the one that the folder is a part of."""
    from orlop import kinds

    if not os.path.isdir(path):
        return None
    below = [os.path.join(path, inner) for inner in _INNER]
    above = [os.path.normpath(os.path.join(path, *[os.pardir] * steps)) for steps in range(1, 6)]
    return next(iter(kinds.host_folders([*below, *above], ())), None)


_INNER = ("docker", "registry", "rkt", "lib/docker", "var/lib/docker", "var/lib/registry", "var/lib/rkt")


def data_homes() -> tuple[str, ...]:
    """Folders that an engine uses when nobody says otherwise: the system's first, then this user's rootless one."""
    home = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return (*_ENGINE_FOLDERS, os.path.join(home, "docker"))


def daemon_files() -> tuple[str, ...]:
    """Configuration files whose ``data-root`` may name another folder."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return (*_DAEMON_FILES, os.path.join(home, "docker", "daemon.json"))
