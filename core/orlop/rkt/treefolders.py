"""The rendered trees of a store, looked at: their few small files, not their content."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from orlop.errors import NotFound, OrlopError, WrongKind
from orlop.fs import Folder, Root, join
from orlop.rkt import layout
from orlop.rkt.leftovers import leftover
from orlop.rkt.model import Debris, Tree, Unreadable
from orlop.rkt.touched import Touched
from orlop.text import decode

_SMALL = 4096
"""Bytes of a file that holds a key or a hash: 71."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trees:
    """What ``tree`` held when it was read."""

    entries: Mapping[str, Tree] = field(default_factory=dict)
    """By id."""
    versions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Of the folders: a file that came or went changes it, and nobody else tells of that."""
    debris: tuple[Debris, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()


def trees(root: Root, previous: Trees | None, touched: Touched) -> Trees:
    """Look at every rendered tree, or only at those that changed."""
    names = touched.below(layout.TREES)
    old = previous if previous is not None and names is not None else Trees()
    versions: dict[str, tuple[int, ...]] = {}
    entries: dict[str, Tree] = {}
    debris: list[Debris] = []
    unreadable: list[Unreadable] = []
    try:
        with root.folder(layout.TREES) as folder:
            for name, kind in folder.kinds():
                path = join(layout.TREES, name)
                if kind != "folder" or not layout.is_tree_id(name):
                    if (found := leftover(root, path)) is not None:
                        debris.append(found)
                    continue
                versions[name] = _version(folder, name)
                if name in old.entries and names is not None and name not in names and _same(old, versions, name):
                    entries[name] = old.entries[name]
                else:
                    _add(folder, name, entries, unreadable)
    except NotFound:
        return Trees()
    except OrlopError as error:
        unreadable.append(Unreadable(path=layout.TREES, why=error.why or error.what))
    return Trees(entries=entries, versions=versions, debris=tuple(debris), unreadable=tuple(unreadable))


def _version(folder: Folder, name: str) -> tuple[int, ...]:
    try:
        return folder.stat(name).version
    except OrlopError:
        return ()  # it went away, or reading it will say why not


def _same(old: Trees, versions: Mapping[str, tuple[int, ...]], name: str) -> bool:
    return bool(versions[name]) and old.versions.get(name) == versions[name]


def _add(folder: Folder, name: str, entries: dict[str, Tree], unreadable: list[Unreadable]) -> None:
    try:
        with folder.folder(name) as here:
            entries[name] = _tree(here, name, folder.stat(name).mtime)
    except NotFound:
        return  # it went away meanwhile
    except OrlopError as error:
        unreadable.append(Unreadable(path=join(folder.path, name), why=error.why or error.what))


def _tree(folder: Folder, name: str, mtime: int) -> Tree:
    image, hash_, problems = None, None, []
    rendered = _is_file(folder, layout.RENDERED_NAME)
    if not rendered:
        problems.append("there is no file rendered: it was never finished, or its removal was cut off")
    text, problem = _text(folder, layout.IMAGE_NAME)
    if text is not None and layout.is_key(text):
        image = text
    else:
        problems.append(problem or "the file image holds no key")
    hash_, problem = _text(folder, layout.HASH_NAME)
    if problem:
        problems.append(problem)
    return Tree(
        id=name,
        path=folder.path,
        image=image,
        rendered=rendered,
        hash=hash_,
        bytes=None,
        mtime=mtime,
        problem=problems[0] if problems else "",
    )


def _is_file(folder: Folder, name: str) -> bool:
    try:
        return folder.stat(name).kind == "file"
    except NotFound:
        return False


def _text(folder: Folder, name: str) -> tuple[str | None, str]:
    """The text of a small file, or None and why there is none."""
    try:
        text = decode(folder.read(name, _SMALL)).strip()
    except NotFound:
        return None, f"there is no file {name}"
    except WrongKind as error:
        return None, f"a {error.found} is in the place of its file {name}"
    except OrlopError as error:
        return None, f"its file {name} cannot be read: {error.why or error.what}"
    return text, "" if text else f"its file {name} is empty"
