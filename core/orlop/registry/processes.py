"""Registries that run on this host, and whether one of them works on a store.

Nothing on disk tells: a registry locks nothing, keeps no file open while it is idle
and writes no pid file. So every process is asked for its command line (``registry
serve CONFIG``, ``docker-registry serve CONFIG``), its environment
(``REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY`` wins over the file) and its configuration,
which is read through the process's own root, and folders are compared by device and
inode. A registry on another host, or one that this user may not look at, is not seen.

distribution 2.8: ``configuration/configuration.go``, ``registry/root.go``.
"""

import os
import re
import stat
from dataclasses import dataclass

from orlop.fs import Root
from orlop.records import EngineState
from orlop.text import decode

DEFAULT_ROOT = "/var/lib/registry"
"""Where the filesystem driver lies when nothing names a folder (filesystem/driver.go)."""
NO_LOCK = "a registry locks nothing, and none is seen here that uses this folder"

_ROOT_VARIABLE = b"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY="
_PATH_VARIABLE = b"REGISTRY_CONFIGURATION_PATH="
_CONFIG_LIMIT = 1 << 20
_MOST_WORDS = 4096
_WORD = re.compile(r"\"([^\"\n]*)\"|'([^'\n]*)'|([^\s\"'{}\[\],]+)")
_ACTIONS = (b"serve", b"garbage-collect")
_COMMAND = re.compile(rb"(docker-)?registry|registry-v?[0-9.]+|distribution")
_KEY = re.compile(r"(?P<indent> *)(?P<key>[A-Za-z_][\w-]*|\"[^\"]*\"|'[^']*')\s*:(?:\s+(?P<value>.*))?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """A registry process that may work on a store."""

    pid: int
    command: str
    certain: bool
    """Whether its configuration names the folder; False where only its working folder could be compared."""
    how: str
    """One clause: what says so."""

    @property
    def holder(self) -> str:
        """For people."""
        return f"{self.command} (process {self.pid})"


def engine_state(root: Root) -> tuple[EngineState, str]:
    """Whether a registry of this host works on a store, and the clause that says so; raises nothing."""
    found = find(root)
    if found is None:
        return EngineState.UNKNOWN, NO_LOCK
    return EngineState.RUNNING, f"{found.holder} serves it: {found.how}"


def find(root: Root, proc: str = "/proc") -> Registry | None:
    """The registry process that works on a store; None where none is seen.

    Args:
        root: the store.
        proc: where the kernel shows its processes.
    """
    try:
        here = os.fstat(root.fd)
        pids = [int(name) for name in os.listdir(proc) if name.isdecimal()]
    except OSError:
        return None
    wanted = (here.st_dev, here.st_ino)
    for pid in sorted(pids):
        found = _registry(f"{proc}/{pid}", pid, wanted)
        if found is not None:
            return found
    return None


def _registry(process: str, pid: int, wanted: tuple[int, int]) -> Registry | None:
    arguments = [part for part in _bytes(f"{process}/cmdline").split(b"\0") if part]
    if not arguments or _COMMAND.fullmatch(arguments[0].rpartition(b"/")[2]) is None:
        return None
    if arguments[1:2] == [b"garbage-collect"]:
        kind = "collects its garbage"
    elif b"serve" in arguments[1:] or len(arguments) == 2:  # 2.0 has no actions, and its configuration only
        kind = "serves"
    else:
        return None
    command = decode(arguments[0].rpartition(b"/")[2])
    told = _told(process, arguments)
    if told.folder is not None:
        same = _identity(_seen_by(process, told.folder)) == wanted
        return Registry(pid=pid, command=command, certain=True, how=f"it {kind} {told.how}") if same else None
    if any(_identity(_seen_by(process, name)) == wanted for name in told.mentioned):
        how = f"its configuration mentions this folder, and not in a way that is understood: {told.how}"
        return Registry(pid=pid, command=command, certain=False, how=how)
    if _identity(f"{process}/cwd") == wanted:
        how = f"it works in this folder, and its configuration says nothing that can be read: {told.how}"
        return Registry(pid=pid, command=command, certain=False, how=how)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What a process was told of its root folder."""

    how: str
    """What told it, or why it cannot be known."""
    folder: str | None = None
    """As the process spells it; None where it cannot be known."""
    mentioned: tuple[str, ...] = ()
    """Then whatever in its configuration may be a path."""


def _told(process: str, arguments: list[bytes]) -> _Told:
    environment = _bytes(f"{process}/environ").split(b"\0")
    for entry in environment:
        if entry.startswith(_ROOT_VARIABLE):
            return _Told(folder=decode(entry[len(_ROOT_VARIABLE) :]), how="the folder that its environment names")
    named = [part for part in arguments[1:] if part not in _ACTIONS and not part.startswith(b"-")]
    path = decode(named[-1]) if named else None
    if path is None:
        path = next((decode(e[len(_PATH_VARIABLE) :]) for e in environment if e.startswith(_PATH_VARIABLE)), None)
    if path is None:
        return _Told(how="no configuration is named on its command line")
    try:
        with open(_seen_by(process, path), "rb", opener=_opener) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return _Told(how=f"{path} is no regular file")
            text = decode(file.read(_CONFIG_LIMIT))
    except OSError as error:
        return _Told(how=f"{path} cannot be read: {os.strerror(error.errno or 0)}")
    found = root_directory(text)
    if found.driver:
        return _Told(folder=found.folder or DEFAULT_ROOT, how=f"the rootdirectory of {path}")
    return _Told(how=found.why or f"{path} names no filesystem driver", mentioned=_mentioned(text))


def _mentioned(text: str) -> tuple[str, ...]:
    """Whatever in a configuration may be a path, however it is written: YAML has many ways, JSON among them."""
    words = {first or second or plain for first, second, plain in _WORD.findall(text)}
    return tuple(sorted(word for word in words if word)[:_MOST_WORDS])


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)


def _seen_by(process: str, path: str) -> str:
    """A path as it can be reached from here when a process says it."""
    return f"{process}/root{path}" if path.startswith("/") else f"{process}/cwd/{path}"


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino)


def _bytes(path: str) -> bytes:
    """A file of the kernel's; nothing where the process is gone or this user may not look."""
    try:
        with open(path, "rb") as file:
            return file.read(_CONFIG_LIMIT)
    except OSError:
        return b""


# --- the configuration -------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RootDirectory:
    """What a configuration says of the filesystem driver."""

    driver: bool
    """Whether it names that driver."""
    folder: str
    """Its root; empty where it names none."""
    why: str = ""
    """What could not be understood; else empty."""


def root_directory(text: str) -> RootDirectory:
    """The ``rootdirectory`` below ``storage: filesystem:`` of a registry's YAML configuration.

    Only block mappings of plain keys are understood, and plain or quoted scalars, which is how
    these files are written; of anything else at these keys it is said that it is not. Lines
    of other keys are passed over unread.
    """
    path: list[tuple[int, str]] = []
    driver = False
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#") or line.startswith(("---", "%", "...")):
            continue
        if "\t" in line[: len(line) - len(line.lstrip())]:
            continue
        match = _KEY.match(line)
        if match is None or match.end() != len(line):
            continue
        indent = len(match["indent"])
        while path and path[-1][0] >= indent:
            path.pop()
        path.append((indent, match["key"].strip("\"'").lower()))
        value = _scalar(match["value"] or "")
        keys = [key for _, key in path]
        if keys == ["storage"] and value not in ("", None):
            if value == "filesystem":
                return RootDirectory(driver=True, folder="")
            return RootDirectory(driver=False, folder="", why="storage is written in a way that is not understood here")
        if keys == ["storage"] and value is None:
            return RootDirectory(driver=False, folder="", why="storage is written in a way that is not understood here")
        if keys == ["storage", "filesystem"]:
            driver = True
            if value is None or value not in ("", "null", "~", "{}"):
                why = "filesystem is written in a way that is not understood here"
                return RootDirectory(driver=False, folder="", why=why)
        if keys == ["storage", "filesystem", "rootdirectory"]:
            if value is None:
                why = "rootdirectory is written in a way that is not understood here"
                return RootDirectory(driver=False, folder="", why=why)
            return RootDirectory(driver=True, folder=value)
    return RootDirectory(driver=driver, folder="")


def _scalar(text: str) -> str | None:
    """A plain or quoted scalar on one line; None for anything else."""
    text = text.strip()
    if not text or text.startswith("#"):
        return ""
    if text[0] in "\"'":
        end = text.find(text[0], 1)
        rest = text[end + 1 :].strip()
        if end < 0 or (rest and not rest.startswith("#")) or "\\" in text[:end] or rest.startswith(text[0]):
            return None
        return text[1:end]
    if text == "{}":
        return text
    if text[0] in "[{&*!|>%@`?":
        return None
    return re.split(r"\s#", text, maxsplit=1)[0].rstrip()
