"""Small layer trees, and their tar files with the recipe that rebuilds them."""

import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from orlop.docker.archives import Archive

TREE_TIME = 1_785_000_000
"""Modification time of everything in a layer, seconds."""


@dataclass(frozen=True, slots=True)
class Symlink:
    """A symbolic link in a layer; nothing says that its target exists."""

    target: str


Files: TypeAlias = Mapping[str, "bytes | Symlink | None"]
"""Path in the image → content of a file, a link, or None for a folder.

Folders above a path need not be named. A path with ``bin`` among its parts is executable.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One member of a layer's tar."""

    name: str
    """As in the tar: a folder's ends in ``/``."""
    content: "bytes | Symlink | None"

    @property
    def mode(self) -> int:
        if self.content is None or "bin" in self.name.split("/"):
            return 0o755
        return 0o644

    def header(self) -> bytes:
        """The tar header, USTAR, of root, at `TREE_TIME`."""
        info = tarfile.TarInfo(self.name)
        info.mtime = TREE_TIME
        info.mode = self.mode
        if self.content is None:
            info.type = tarfile.DIRTYPE
        elif isinstance(self.content, Symlink):
            info.type, info.linkname, info.mode = tarfile.SYMTYPE, self.content.target, 0o777
        else:
            info.size = len(self.content)
        return info.tobuf(format=tarfile.USTAR_FORMAT, errors="surrogateescape")


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A layer as the engine records it."""

    diff_id: str
    size: int
    """Bytes of the files' content, which is what the layer record says."""
    tar_split: bytes
    """Content of ``tar-split.json.gz``."""


def entries(files: Files) -> tuple[Entry, ...]:
    """The members of the tar: every folder before what is in it, sorted by name."""
    found: dict[str, bytes | Symlink | None] = {}
    for path in sorted(files):
        parts = path.split("/")
        for depth in range(1, len(parts)):
            found.setdefault("/".join(parts[:depth]) + "/", None)
        content = files[path]
        found[path + "/" if content is None else path] = content
    return tuple(Entry(name=name, content=content) for name, content in found.items())


def archive(files: Files) -> bytes:
    """The tar of a layer."""
    tar = bytearray()
    for entry in entries(files):
        content = entry.content if isinstance(entry.content, bytes) else b""
        tar += entry.header() + content + bytes(-len(content) % tarfile.BLOCKSIZE)
    return bytes(tar + bytes(2 * tarfile.BLOCKSIZE))


def pack(files: Files) -> Packed:
    """Write the tar of a layer, and the recipe beside it."""
    read = Archive(io.BytesIO(archive(files)))
    for _member in read:
        pass
    return Packed(diff_id=read.diff_id, size=read.size, tar_split=read.tar_split)
