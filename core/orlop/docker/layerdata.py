"""Where a storage driver keeps a layer's files, and how an archive becomes them.

moby: pkg/archive/diff.go (UnpackLayer) for vfs, pkg/archive/archive.go (Unpack) with
archive_linux.go (whiteouts) for overlay2, daemon/graphdriver/{vfs/driver.go,
overlay2/overlay.go}; 20.10. What those would do outside of the layer is refused, and so is
what they would unpack and could never give back: `tarsplit` finds a file by its name.
"""

import base64
import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from orlop.docker import layout
from orlop.docker.archives import Archive, Member
from orlop.errors import AlreadyExists, Escapes, Malformed, NotFound, Unsupported, WrongKind
from orlop.fs import Root, join
from orlop.fs.trees import Looks, Tree, copy_tree
from orlop.fs.writer import Writer

_WHITEOUT = ".wh."
_AUFS = ".wh..wh."
_OPAQUE = ".wh..wh..opq"

Token = Callable[[int], bytes]
"""So many random bytes."""


class Driver(Protocol):
    """A storage driver's folders below a data root."""

    name: str

    def create(self, cache_id: str, below: str | None) -> None:
        """Make the folder of a layer on top of another one, by their cache ids.

        Raises:
            NotFound: the folder of the layer below is not there.
            AlreadyExists, NoPermission, ReadOnly, NoSpace, StorageFailure
        """
        ...

    def unpack(self, cache_id: str, archive: Archive) -> int:
        """Unpack an archive into a new layer's folder; the size that the engine records, in bytes.

        Raises:
            Escapes: a name leaves the layer, or leads through a link.
            Malformed: no tar, damaged, or a member undoes an earlier one.
            Unsupported: a device, a sparse file, AUFS's own records.
            NotFound: a hard link to what is not in the layer.
            NoPermission: an owner that this user cannot give.
            NoSpace, StorageFailure
        """
        ...

    def tree(self, cache_id: str) -> str:
        """The folder in which the layer's files are, for reading them by the names in its archive."""
        ...


def driver(name: str, root: Root, token: Token) -> Driver:
    """The driver of this name.

    Raises:
        Unsupported: layers of this driver are no plain files.
    """
    if name == "overlay2":
        return Overlay2(root, token)
    if name == "vfs":
        return Vfs(root)
    raise Unsupported(f"layers of the driver {name} cannot be written", do="vfs and overlay2 can")


class Vfs:
    """``vfs/dir/<cache id>``: the whole file system as of a layer."""

    name = "vfs"

    def __init__(self, root: Root) -> None:
        self._root = root
        self._writer = Writer(root)

    def tree(self, cache_id: str) -> str:
        return layout.layer_tree(self.name, cache_id) or ""

    def create(self, cache_id: str, below: str | None) -> None:
        if below is not None:
            _require(self._root, self.tree(below))
        self._writer.create_folders("vfs/dir", mode=0o710)
        self._writer.create_folder(self.tree(cache_id), mode=0o755)
        if below is not None:
            copy_tree(self._root, self.tree(below), self.tree(cache_id))

    def unpack(self, cache_id: str, archive: Archive) -> int:
        with Tree(self._root, self.tree(cache_id)) as tree:
            _Merge(tree).take(archive)
        return archive.size


class Overlay2:
    """``overlay2/<cache id>``: what a layer changes, in ``diff``, with the names of those below it in ``lower``."""

    name = "overlay2"

    def __init__(self, root: Root, token: Token) -> None:
        self._root = root
        self._writer = Writer(root)
        self._token = token

    def tree(self, cache_id: str) -> str:
        return layout.layer_tree(self.name, cache_id) or ""

    def create(self, cache_id: str, below: str | None) -> None:
        folder = f"overlay2/{cache_id}"
        lower = None if below is None else self._lower(below)
        self._writer.create_folders("overlay2", mode=0o710)
        with contextlib.suppress(AlreadyExists):
            self._writer.create_folder("overlay2/l", mode=0o700)
        self._writer.create_folder(folder, mode=0o710)
        self._writer.create_folder(f"{folder}/diff", mode=0o755)
        link = base64.b32encode(self._token(20)).decode()[:26]
        own = Looks(uid=os.geteuid(), gid=os.getegid())
        self._writer.create(layout.link_file(cache_id), link.encode(), mode=0o644)
        with Tree(self._root, "overlay2/l") as links:
            links.make_link(link, f"../{cache_id}/diff", own)
        if lower is None:
            return
        self._writer.create(f"{folder}/lower", lower.encode(), mode=0o644)
        self._writer.create_folder(f"{folder}/work", mode=0o700)
        with contextlib.suppress(AlreadyExists):
            self._writer.create(f"overlay2/{below}/committed", b"", mode=0o600)

    def unpack(self, cache_id: str, archive: Archive) -> int:
        with Tree(self._root, self.tree(cache_id)) as tree:
            _Overlay(tree).take(archive)
        return self._root.content_size(self.tree(cache_id))  # as pkg/directory counts, links' texts included

    def _lower(self, below: str) -> str:
        """The links of all layers below a new one, nearest first."""
        _require(self._root, self.tree(below))
        link = self._root.read(layout.link_file(below), 4096).decode("ascii", "surrogateescape").strip()
        with contextlib.suppress(NotFound):
            further = self._root.read(f"overlay2/{below}/lower", 64 * 1024).decode("ascii", "surrogateescape").strip()
            return f"l/{link}:{further}"
        return f"l/{link}"


def _require(root: Root, path: str) -> None:
    if not root.exists(path):
        raise NotFound("the files of the layer below are missing", path=path, do="`orlop check PATH` says what is left")


def unpack_names(archive: Archive) -> None:
    """Read an archive to its end, with everything refused that `Driver.unpack` refuses, and nothing written."""
    _Overlay(_Names()).take(archive)


# --- unpacking ---------------------------------------------------------------


class _Target(Protocol):
    """What an archive is unpacked into; as `orlop.fs.trees.Tree`."""

    def stat(self, path: str) -> "_Kind | None": ...
    def names(self, path: str) -> list[str]: ...
    def make_folders(self, path: str) -> None: ...
    def make_folder(self, path: str, looks: Looks) -> None: ...
    def make_file(self, path: str, content: Iterator[bytes], looks: Looks) -> None: ...
    def make_link(self, path: str, target: str, looks: Looks) -> None: ...
    def make_hard_link(self, path: str, target: str) -> None: ...
    def make_pipe(self, path: str, looks: Looks) -> None: ...
    def make_whiteout(self, path: str, looks: Looks) -> None: ...
    def make_opaque(self, path: str) -> None: ...
    def date(self, path: str, looks: Looks) -> None: ...
    def remove(self, path: str) -> None: ...


class _Kind(Protocol):
    @property
    def kind(self) -> str: ...


@dataclass(frozen=True, slots=True)
class _Named:
    kind: str


class _Names:
    """A tree of which only the names are kept."""

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {"": "folder"}

    def stat(self, path: str) -> _Named | None:
        self._enter(path.rpartition("/")[0])
        kind = self._kinds.get(path)
        return None if kind is None else _Named(kind)

    def names(self, path: str) -> list[str]:
        above = path + "/" if path else ""
        return [name[len(above) :].partition("/")[0] for name in self._kinds if name.startswith(above) and name]

    def make_folders(self, path: str) -> None:
        here = ""
        for part in path.split("/") if path else ():
            here = join(here, part)
            self._kinds.setdefault(here, "folder")
        self._enter(path)

    def make_folder(self, path: str, looks: Looks) -> None:
        self._kinds[path] = "folder"

    def make_file(self, path: str, content: Iterator[bytes], looks: Looks) -> None:
        self._kinds[path] = "file"

    def make_link(self, path: str, target: str, looks: Looks) -> None:
        self._kinds[path] = "link"

    def make_hard_link(self, path: str, target: str) -> None:
        found = self.stat(target)
        if found is None:
            raise NotFound("the target of a hard link is not in the layer", path=target)
        if found.kind == "folder":
            raise WrongKind("folder", "file", path=target)
        self._kinds[path] = found.kind

    def make_pipe(self, path: str, looks: Looks) -> None:
        self._kinds[path] = "fifo"

    def make_whiteout(self, path: str, looks: Looks) -> None:
        self._kinds[path] = "device"

    def make_opaque(self, path: str) -> None: ...

    def date(self, path: str, looks: Looks) -> None: ...

    def remove(self, path: str) -> None:
        self._kinds.pop(path, None)

    def _enter(self, path: str) -> None:
        while path:
            kind = self._kinds.get(path, "folder")
            if kind == "link":
                raise Escapes(path, "the path leads through a link")
            if kind != "folder":
                raise WrongKind(kind, "folder", path=path)
            path = path.rpartition("/")[0]


class _Merge:
    """An archive on its way into a tree that may hold the files of the layers below; whiteouts take them away."""

    def __init__(self, tree: _Target) -> None:
        self._tree = tree
        self._made: set[str] = set()
        self._folders: dict[str, Looks] = {}

    def take(self, archive: Archive) -> None:
        """Unpack all members; folders get their times last, when nothing is added to them any more."""
        for member in archive:
            if member.kind != "global":
                self._take(member, archive.content())
        for path, looks in reversed(self._folders.items()):
            self._tree.date(path, looks)

    def _take(self, member: Member, content: Iterator[bytes]) -> None:
        path = inside(member.name)
        above, _, name = path.rpartition("/")
        if path != join(above, _OPAQUE) and any(part.startswith(_AUFS) for part in path.split("/")):
            raise Unsupported(f"{member.name!r} is a record of the driver aufs", why="it has no meaning in a layer")
        if above not in self._made:
            self._tree.make_folders(above)
        if name.startswith(_WHITEOUT):
            self._whiteout(member, above, name)
        elif path or member.kind == "folder":
            self._clear(path, member.kind)
            self._note(path)
            self._make(path, member, content)
        else:
            raise Escapes(member.name, "the layer itself can be nothing but a folder")

    def _make(self, path: str, member: Member, content: Iterator[bytes]) -> None:
        looks = looks_of(member)
        match member.kind:
            case "folder":
                self._folder(path, looks)
            case "file":
                self._tree.make_file(path, content, looks)
            case "link":
                refuse_climbing(path, member.target)
                self._tree.make_link(path, member.target, looks)
            case "hard link":
                self._tree.make_hard_link(path, inside(member.target))
            case "fifo":
                self._tree.make_pipe(path, looks)
            case _:
                raise Unsupported(f"{member.name!r} is a device", why="layers are unpacked without devices")

    def _folder(self, path: str, looks: Looks) -> None:
        self._tree.make_folder(path, looks)
        self._folders[path] = looks

    def _whiteout(self, member: Member, above: str, name: str) -> None:
        hidden = name.removeprefix(_WHITEOUT)
        if member.size:
            raise Malformed(f"{member.name!r} marks a deletion and has content, which no engine could give back")
        if name == _OPAQUE:
            self._note(above)
            self._hide_all(above)
        elif hidden in ("", ".", ".."):
            raise Escapes(member.name, "what it marks as deleted is no name")
        else:
            self._refuse_undoing(join(above, hidden))
            self._note(above)
            self._hide(join(above, hidden), looks_of(member))

    def _hide(self, path: str, looks: Looks) -> None:
        self._tree.remove(path)

    def _hide_all(self, path: str) -> None:
        """Remove what the layers below have in a folder, and keep what this one has made there."""
        for name in self._tree.names(path):
            child = join(path, name)
            if child not in self._made:
                self._tree.remove(child)
                continue
            found = self._tree.stat(child)
            if found is not None and found.kind == "folder":
                self._hide_all(child)

    def _clear(self, path: str, kind: str) -> None:
        """Make room: folders are merged, everything else takes the place of what is there."""
        found = self._tree.stat(path) if path else None
        if found is not None and not (found.kind == kind == "folder"):
            self._refuse_undoing(path)
            self._tree.remove(path)

    def _refuse_undoing(self, path: str) -> None:
        if path in self._made:
            raise Malformed(f"a later member takes {path!r} away, which an earlier one made")

    def _note(self, path: str) -> None:
        while path not in self._made:
            self._made.add(path)
            path = path.rpartition("/")[0]


class _Overlay(_Merge):
    """An archive on its way into an overlay's upper folder, where marks stand for what is deleted."""

    def _folder(self, path: str, looks: Looks) -> None:
        if path:  # the engine leaves the layer's own folder as the driver made it
            super()._folder(path, looks)

    def _hide(self, path: str, looks: Looks) -> None:
        self._tree.make_whiteout(path, looks)

    def _hide_all(self, path: str) -> None:
        self._tree.make_opaque(path)


def inside(name: str) -> str:
    """The path of a member below its layer; empty for the layer itself.

    Raises:
        Escapes: absolute, or with a part ``..``.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts:
        raise Escapes(name, "a name in the archive would leave the layer")
    return "/".join(parts)


def refuse_climbing(path: str, target: str) -> None:
    """Make sure that a link's target stays in the layer, as the engine does (archive.go, "invalid symlink").

    Raises:
        Escapes: it climbs above it.
    """
    depth = path.count("/")
    for part in target.split("/"):
        depth += 0 if part in ("", ".") else -1 if part == ".." else 1
        if depth < 0:
            raise Escapes(path, f"the link's target {target!r} would leave the layer")


def looks_of(member: Member) -> Looks:
    """What a member has besides its content."""
    return Looks(
        mode=member.mode,
        uid=member.uid,
        gid=member.gid,
        mtime=member.mtime,
        atime=member.atime,
        attributes=member.attributes,
    )
