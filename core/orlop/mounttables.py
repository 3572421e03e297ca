"""What the kernel's mount tables say of a store: its file system, and parts of it that are mounted somewhere.

Format: proc_pid_mountinfo(5). Containers may run without their engine (live
restore, a leftover after a kill): then nothing holds the engine's lock, and only
the mount tables tell that layers are in use. Best effort: a process that this
user may not look at, or of another pid namespace, is not seen.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

PROC = "/proc"

_OCTAL = re.compile(r"\\([0-7]{3})")
_OVERLAY_FOLDERS = frozenset({"lowerdir", "lowerdir+", "datadir+", "upperdir", "workdir"})
_NETWORK = frozenset(
    {
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "orangefs",
        "prl_fs",
        "smb2",
        "smb3",
        "smbfs",
        "vboxsf",
        "vmhgfs",
    }
)
_NETWORK_FUSE = frozenset(
    {
        "fuse.ceph",
        "fuse.ceph-fuse",
        "fuse.davfs",
        "fuse.glusterfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "fuse.vmhgfs-fuse",
    }
)
"""File systems whose files another host may hold, so that a free lock proves nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a mount table."""

    device: str
    """``major:minor``."""
    root: str
    """Which folder of the file system is mounted."""
    at: str
    """Where, as the process sees it."""
    kind: str
    """The file system's type."""
    options: str
    """Those of the file system itself, as they are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InUse:
    """A mount that stands on folders of a data root."""

    path: str
    """The folder in use, as the mount table has it."""
    at: str
    pid: int
    command: str


def file_system(path: str, proc: str = PROC) -> str:
    """The type of the file system that an absolute path lies on; empty where it cannot be known."""
    found = _holding(path, _table(f"{proc}/self/mountinfo"))
    return "" if found is None else found.kind


def bind_mounted(path: str, proc: str = PROC) -> bool:
    """Whether a folder is mounted on itself: what an engine leaves when it is killed."""
    entry = next((entry for entry in _table(f"{proc}/self/mountinfo") if entry.at == path), None)
    if entry is None or entry.root == "/":
        return False
    return entry.root.endswith(path) or path.endswith(entry.root)


def is_network(kind: str) -> bool:
    """Whether locks on such a file system may not reach another host that uses it."""
    return kind in _NETWORK or kind in _NETWORK_FUSE


def in_use(root: str, folders: Iterable[str], proc: str = PROC) -> InUse | None:
    """A mount of any process that stands on a layer of this root; None for none.

    Args:
        root: absolute path of the data root.
        folders: the folders of layers, relative to it, such as ``overlay2`` and ``vfs/dir``.
        proc: the kernel's process folder.

    Of several, one that is some process's own root comes first: that process is in the container.
    """
    wanted = tuple(f"{root}/{folder}/" for folder in folders)
    bound = _bound_paths(root, folders, _table(f"{proc}/self/mountinfo"))
    found = [use for pid in _processes(proc) for use in _uses(proc, pid, wanted, bound)]
    return min(found, key=lambda use: (use.at != "/", use.pid, use.path), default=None)


def all_in_use(root: str, folder: str, proc: str = PROC) -> dict[str, InUse]:
    """What is mounted of a folder of layers → a mount that stands on it.

    The names are relative to the folder and as the mount tables have them: ``<id>``, or
    ``l/<short name>``, which overlay2 mounts by. Options of an overlay that are relative
    count for this folder, because nothing tells what to.

    Args:
        root: absolute path of the data root.
        folder: relative to it, such as ``overlay2``.
        proc: the kernel's process folder.
    """
    _, bound = _bound_paths(root, [folder], _table(f"{proc}/self/mountinfo"))
    prefixes = (f"{root}/{folder}/", *bound)
    found: dict[str, InUse] = {}
    for pid in _processes(proc):
        for entry in _table(f"{proc}/{pid}/mountinfo"):
            for path in (*_overlay_folders(entry), entry.root, entry.at):
                name = _layer_name(path, prefixes)
                if name and name not in found:
                    found[name] = InUse(path=path, at=entry.at, pid=pid, command=_command(proc, pid))
    return found


def _layer_name(path: str, prefixes: Iterable[str]) -> str:
    """The layer's part of a path below one of the prefixes, or of a relative path; empty for any other path."""
    below = next((path[len(prefix) :] for prefix in prefixes if path.startswith(prefix)), None)
    if below is None:
        if path.startswith("/"):
            return ""
        below = path
    first, _, rest = below.partition("/")
    return f"l/{rest.partition('/')[0]}" if first == "l" and rest else first


def _uses(proc: str, pid: int, wanted: tuple[str, ...], bound: tuple[str, tuple[str, ...]]) -> Iterator[InUse]:
    device, roots = bound
    for entry in _table(f"{proc}/{pid}/mountinfo"):
        path = next((folder for folder in _overlay_folders(entry) if folder.startswith(wanted)), "")
        if not path and roots and entry.device == device and entry.root.startswith(roots):
            path = entry.root
        if path:
            yield InUse(path=path, at=entry.at, pid=pid, command=_command(proc, pid))


def _overlay_folders(entry: Entry) -> Iterator[str]:
    if entry.kind != "overlay":
        return
    yield entry.at
    for option in entry.options.split(","):
        name, _, value = option.partition("=")
        if name in _OVERLAY_FOLDERS:
            yield from (_plain(folder) for folder in value.split(":"))


def _bound_paths(root: str, folders: Iterable[str], table: Iterable[Entry]) -> tuple[str, tuple[str, ...]]:
    """Device of the root, and the layers' folders as paths of its file system: what a bind mount of one names."""
    found = _holding(root, table)
    if found is None:
        return "", ()
    inside = root[len(found.at.rstrip("/")) :]
    return found.device, tuple(f"{found.root.rstrip('/')}{inside}/{folder}/" for folder in folders)


def _holding(path: str, table: Iterable[Entry]) -> Entry | None:
    """The mount that a path lies on: the longest mount point above it, of several the last."""
    found: Entry | None = None
    for entry in table:
        above = entry.at.rstrip("/") + "/"
        if (path + "/").startswith(above) and (found is None or len(entry.at) >= len(found.at)):
            found = entry
    return found


def _processes(proc: str) -> Iterator[int]:
    """One process of each mount namespace, the first of each; those that cannot be told apart all."""
    seen: set[str] = set()
    for name in sorted((name for name in os.listdir(proc) if name.isascii() and name.isdigit()), key=int):
        try:
            namespace = os.readlink(f"{proc}/{name}/ns/mnt")
        except OSError:
            namespace = name  # hidden from this user: its table may be readable all the same
        if namespace not in seen:
            seen.add(namespace)
            yield int(name)


def _table(path: str) -> list[Entry]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.readlines()
    except OSError:
        return []  # the process has ended, or is hidden from this user
    return [entry for line in lines if (entry := _entry(line)) is not None]


def _entry(line: str) -> Entry | None:
    mount, dash, file_system_part = line.rstrip("\n").partition(" - ")
    fields, rest = mount.split(" "), file_system_part.split(" ")
    if not dash or len(fields) < 6 or len(rest) < 3:
        return None
    return Entry(device=fields[2], root=_plain(fields[3]), at=_plain(fields[4]), kind=rest[0], options=rest[2])


def _plain(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match.group(1), 8)), text)


def _command(proc: str, pid: int) -> str:
    try:
        with open(f"{proc}/{pid}/comm", "rb") as file:
            return os.fsdecode(file.read().strip())
    except OSError:
        return ""  # it has ended meanwhile
