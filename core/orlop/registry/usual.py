"""Folders of a registry that hold exactly what they should, as nearly all do.

A store has them by the ten thousand. Each function here opens what it reads once, part
by part and following no link as everywhere, and makes nothing on the way but its answer;
of anything unusual it says nothing and gives None: the reading that knows all the cases then
looks again.
"""

import os
import re
from sys import intern

from orlop.registry.loose import Stamp
from orlop.registry.model import Link, State, Tag

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_LINK = re.compile(rb"sha256:[0-9a-f]{64}")
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)
_LINK_SIZE = 71
_KIND = 0o170000
_REGULAR = 0o100000


def link(above: int, path: str, name: str, named: str) -> Link | None:
    """The sound link in a folder that holds nothing else.

    Args:
        above: descriptor of the folder that it is in.
        path: of that one, for the link's own path.
        name: of the folder.
        named: the digest that its folders spell; empty for a tag's ``current``.
    """
    try:
        folder = os.open(name, _FOLDER, dir_fd=above)
    except OSError:
        return None
    try:
        if os.listdir(folder) != ["link"]:
            return None
        file = os.open("link", _FILE, dir_fd=folder)
        try:
            found = os.fstat(file)
            content = os.read(file, _LINK_SIZE + 1) if found.st_mode & _KIND == _REGULAR else b""
        finally:
            os.close(file)
    except OSError:
        return None
    finally:
        os.close(folder)
    if len(content) != _LINK_SIZE or _LINK.fullmatch(content) is None:
        return None
    target = content.decode("ascii")
    return Link(
        path=f"{path}/{name}/link",
        named=named,
        target=named if target == named else intern(target),
        state=State.GOOD,
        mtime=found.st_mtime_ns,
    )


def tag(above: int, path: str, name: str) -> Tag | None:
    """The tag in a folder that holds a sound ``current`` and an ``index`` of sha256 digests, and nothing else.

    Args:
        above: descriptor of ``tags``.
        path: of that folder.
        name: of the tag.
    """
    here = f"{path}/{name}"
    try:
        folder = os.open(name, _FOLDER, dir_fd=above)
    except OSError:
        return None
    try:
        if sorted(os.listdir(folder)) != ["current", "index"]:
            return None
        current = link(folder, here, "current", "")
        history = _history(folder, f"{here}/index") if current is not None else None
    except OSError:
        return None
    finally:
        os.close(folder)
    if current is None or history is None:
        return None
    return Tag(name=intern(name), path=here, current=current, history=history)


def _history(above: int, path: str) -> dict[str, Link] | None:
    folder = os.open("index", _FOLDER, dir_fd=above)
    try:
        if os.listdir(folder) != ["sha256"]:
            return None
        inner = os.open("sha256", _FOLDER, dir_fd=folder)
        try:
            found: dict[str, Link] = {}
            for name in sorted(os.listdir(inner)):
                if _HEX.fullmatch(name) is None:
                    return None
                named = intern(f"sha256:{name}")
                one = link(inner, f"{path}/sha256", name, named)
                if one is None:
                    return None
                found[named] = one
            return found
        finally:
            os.close(inner)
    finally:
        os.close(folder)


def blob(above: int, name: str) -> Stamp | None:
    """The stamp of the file ``data`` of at least one byte in a folder that holds nothing else.

    Args:
        above: descriptor of the two-digit folder.
        name: of the blob's folder.
    """
    try:
        folder = os.open(name, _FOLDER, dir_fd=above)
    except OSError:
        return None
    try:
        if os.listdir(folder) != ["data"]:
            return None
        found = os.stat("data", dir_fd=folder, follow_symlinks=False)
    except OSError:
        return None
    finally:
        os.close(folder)
    if found.st_mode & _KIND != _REGULAR or not found.st_size:
        return None
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)


def content(above: int, name: str, limit: int) -> tuple[Stamp, bytes] | None:
    """The bytes of a blob that was seen as a regular file, and their stamp; None for more than `limit` of them.

    Args:
        above: descriptor of the two-digit folder.
        name: of the blob's folder.
        limit: bytes at most.
    """
    try:
        folder = os.open(name, _FOLDER, dir_fd=above)
    except OSError:
        return None
    try:
        file = os.open("data", _FILE, dir_fd=folder)
        try:
            found = os.fstat(file)
            if found.st_mode & _KIND != _REGULAR or found.st_size > limit:
                return None
            data = os.read(file, found.st_size + 1)
        finally:
            os.close(file)
    except OSError:
        return None
    finally:
        os.close(folder)
    if len(data) != found.st_size:
        return None
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size), data
