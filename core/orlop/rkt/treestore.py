"""Rendered trees: what their ids and hashes are made of; reading only.

A tree is an image and its dependencies, unpacked over each other. Its id says of which
images, its file ``hash`` what it held when it was finished.

The hash is taken over the headers of a tar archive that is never written, so it depends
on what Go put in them: from Go 1.9 on ``Mode`` has the permission bits only, before it
those of the file type too; and rkt's own names of two members changed once (``Uid``,
``UID``). All of them count.

Facts: rkt v1.30.0, store/treestore/tree.go; appc/spec v0.8.11, pkg/acirenderer and
pkg/tarheader; Go 1.8 and 1.9, archive/tar/common.go, FileInfoHeader.
"""

import contextlib
import hashlib
import os
import stat as stat_module
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from orlop import jsonrules
from orlop.errors import Malformed, Unsupported
from orlop.fs import Folder, Root, join, translate
from orlop.progress import Progress, Silent
from orlop.rkt import layout
from orlop.rkt.manifest import Dependency, ImageManifest
from orlop.verified import Version, version_text

_DEEPEST = 256
"""Folders that are held open at once."""

_MOST_DEPENDENCIES = 10_000
_CHUNK = 1 << 20

_OWN = frozenset({layout.MANIFEST_NAME, layout.HASH_NAME, layout.RENDERED_NAME, layout.IMAGE_NAME})
"""What the tree store itself puts beside the image's files."""

_TYPES = {"file": "0", "hard link": "1", "link": "2", "folder": "5", "fifo": "6"}
_CHARACTER, _BLOCK = "3", "4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How a program writes the headers that it hashes."""

    types_in_mode: bool
    owner: tuple[str, str]


FORMS = tuple(
    Form(types_in_mode=types, owner=owner) for types in (False, True) for owner in (("UID", "GID"), ("Uid", "Gid"))
)
"""Every one that there was, the latest first."""


def tree_id(keys: Sequence[str]) -> str:
    """The id of the tree of an image.

    Args:
        keys: of the image and its dependencies, in the order of `dependency_keys`.
    """
    return layout.TREE_PREFIX + layout.key_of(hashlib.sha512(",".join(keys).encode()).digest())


def dependency_keys(
    key: str, manifest: Callable[[str], ImageManifest], resolve: Callable[[Dependency], str]
) -> tuple[str, ...]:
    """The keys of an image and of everything below it, in the order in which rkt renders them.

    Each image is followed by its dependencies, the last one first, each of them with
    its own. An image that is needed twice is there twice.

    Args:
        key: of the image.
        manifest: from a key to its manifest.
        resolve: from a dependency to the key of the image in the store.

    Raises:
        Malformed: images need each other in a circle, or are more than can be.
        What `manifest` and `resolve` raise.
    """
    found: list[str] = []
    pending = [key]
    while pending:
        here = pending.pop()
        found.append(here)
        if len(found) > _MOST_DEPENDENCIES:
            raise Malformed("its dependencies have no end: images need each other in a circle", field=key)
        # The latest that is put here comes next, as rkt inserts each right behind its image.
        pending.extend(resolve(dependency) for dependency in manifest(here).dependencies)
    return tuple(found)


def matches(root: Root, path: str, expected: str, progress: Progress | None = None) -> tuple[bool, str]:
    """Whether a tree has the hash that was kept of it, in any form; and the hash that it has.

    Args:
        root: the store's folder.
        path: of the tree, relative to it.
        expected: as its file ``hash`` has it.
        progress: told the bytes that were hashed.

    Raises:
        As `tree_hash`.
    """
    found = [tree_hash(root, path, progress=progress)]
    for form in FORMS[1:]:
        if found[-1] == expected:
            break
        found.append(tree_hash(root, path, form=form, progress=progress))
    return (True, expected) if expected in found else (False, found[0])


def tree_hash(root: Root, path: str, *, form: Form = FORMS[0], progress: Progress | None = None) -> str:
    """The hash of a tree as it is now: ``sha512-`` and 64 digits.

    Args:
        root: the store's folder.
        path: of the tree, relative to it; links in it are not followed.
        form: how headers are written.
        progress: told the bytes that were hashed.

    Raises:
        NotFound, WrongKind: the tree is not there, or changes meanwhile.
        Unsupported: folders lie in each other too deep.
        NoPermission, StorageFailure
    """
    digest = hashlib.sha512()
    told = progress or Silent()
    done = 0
    for header, content in _headers(root, path, form):
        digest.update(header)
        for part in content:
            digest.update(part)
            done += len(part)
            told.step("tree", done, 0)
        told.step("tree", done, 0)
    return layout.key_of(digest.digest())


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What can be seen of a tree without reading what its files hold."""

    version: Version
    """Of its folder."""
    depth: bytes
    """16 bytes: a hash over the names and versions of everything in it, itself included."""
    newest: Version
    """Of what was changed last in it."""
    size: int
    """As `tree_size`."""


def survey(root: Root, path: str) -> Survey:
    """Look at everything in a tree.

    Raises:
        As `tree_hash`.
    """
    top = root.stat(path)
    seen = hashlib.blake2b(version_text(top.version).encode(), digest_size=16)
    newest, size = top, top.size
    for folder, name in _entries(root, path):
        found = folder.stat(name)
        size += found.size
        newest = found if found.ctime > newest.ctime else newest
        line = f"\0{join(folder.path, name)}\0{version_text(found.version)}"
        seen.update(line.encode("utf-8", "surrogateescape"))
    return Survey(version=top.version, depth=seen.digest(), newest=newest.version, size=size)


def tree_size(root: Root, path: str) -> int:
    """What rkt notes as the size of a tree: bytes of everything in it, folders' own and links included.

    Raises:
        As `tree_hash`.
    """
    total = root.stat(path).size
    for folder, name in _entries(root, path):
        total += folder.stat(name).size
    return total


# --- inside ------------------------------------------------------------------


def _headers(root: Root, path: str, form: Form) -> Iterator[tuple[bytes, Iterable[bytes]]]:
    """For each entry the header as it is hashed, and its content."""
    seen: dict[int, str] = {}
    prefix = len(path) + 1
    for folder, name in _entries(root, path):
        relative = join(folder.path, name)[prefix:]
        found = _stat(folder, name)
        kind = _kind(found.st_mode)
        if relative in _OWN or not kind:
            continue
        first = seen.setdefault(found.st_ino, relative)
        target = folder.link_target(name) if kind == _TYPES["link"] else ""
        regular = kind == _TYPES["file"]
        if first != relative:
            kind, target, regular = _TYPES["hard link"], first, False
        device = kind in (_CHARACTER, _BLOCK)
        header = jsonrules.Fields(
            {
                "Name": relative,
                "Mode": found.st_mode if form.types_in_mode else stat_module.S_IMODE(found.st_mode),
                form.owner[0]: found.st_uid,
                form.owner[1]: found.st_gid,
                "Size": found.st_size if regular else 0,
                "Typeflag": ord(kind),
                "Linkname": target,
                "Devmajor": os.major(found.st_rdev) if device else 0,
                "Devminor": os.minor(found.st_rdev) if device else 0,
                "Xattrs": [],
            }
        )
        yield jsonrules.dumps(header), _content(folder, name) if regular else ()


def _content(folder: Folder, name: str) -> Iterator[bytes]:
    with folder.stream(name) as file:
        while part := file.read(_CHUNK):
            yield part


def _stat(folder: Folder, name: str) -> os.stat_result:
    try:
        return os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
    except OSError as error:
        raise translate(error, "it cannot be looked at", join(folder.path, name)) from error


def _kind(mode: int) -> str:
    """The type of a tar header; empty for a socket, which is left out."""
    if stat_module.S_ISCHR(mode):
        return _CHARACTER
    if stat_module.S_ISBLK(mode):
        return _BLOCK
    for kind, test in (
        ("file", stat_module.S_ISREG),
        ("link", stat_module.S_ISLNK),
        ("folder", stat_module.S_ISDIR),
        ("fifo", stat_module.S_ISFIFO),
    ):
        if test(mode):
            return _TYPES[kind]
    return ""


def _entries(root: Root, path: str) -> Iterator[tuple[Folder, str]]:
    """Everything below a folder, in the order of names' bytes, a folder before what is in it."""
    with contextlib.ExitStack() as opened:
        top = root.folder(path)
        way = [(opened.enter_context(top), iter(top.kinds()))]
        while way:
            folder, rest = way[-1]
            name, kind = next(rest, ("", ""))
            if not name:
                way.pop()
                folder.close()
                continue
            yield folder, name
            if kind == "folder":
                if len(way) >= _DEEPEST:
                    raise Unsupported(f"more than {_DEEPEST} folders lie in each other", path=join(folder.path, name))
                below = opened.enter_context(folder.folder(name))
                way.append((below, iter(below.kinds())))
