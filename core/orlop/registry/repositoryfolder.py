"""One repository's own folders: links of layers, revisions, tags, uploads."""

from collections.abc import Mapping
from dataclasses import dataclass

from orlop import times
from orlop.errors import Malformed, NotFound, OrlopError
from orlop.fs import Folder, Root
from orlop.registry import layout, usual
from orlop.registry.layout import MODERN, is_uuid
from orlop.registry.linkfolders import Links, read_link_folder, read_links
from orlop.registry.loose import Loose, Stamp, folder_stamp, read_file, settled
from orlop.registry.model import Foreign, Link, Repository, State, Tag, Unreadable, Upload

OWN = frozenset(MODERN.repository_folders)
"""The names in a folder that make it a repository: one of them is enough."""

_UPLOAD_FILES = frozenset({layout.DATA, layout.STARTED_AT, layout.HASH_STATES, layout.PROVEN})
_STARTED_LIMIT = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryPart:
    """A repository as it was last read, and what tells that it must be read again."""

    repository: Repository
    """Without `Repository.nested`, which only the whole tree tells."""
    stamps: Mapping[str, Stamp | None]
    """By path; None is to be read again in any case."""
    foreign: tuple[Foreign, ...]
    unreadable: tuple[Unreadable, ...]
    read_at: int
    """Nanoseconds UTC."""
    links: int
    """Files that it has, which is what reading it costs."""


def read_repository(root: Root, folder: Folder, name: str) -> RepositoryPart:
    """Read a repository; damage is a value, and a part that cannot be read is noted.

    Args:
        root: the store.
        folder: its folder, which stays open.
        name: as its folders below ``repositories`` spell it.
    """
    loose = Loose(root)
    now = times.now()
    stamps: dict[str, Stamp | None] = {}
    layers, revisions = Links(), Links()
    tags: dict[str, Tag] = {}
    uploads: dict[str, Upload] = {}
    has: set[str] = set()
    folders, *others = loose.listing(folder)
    for part in (name for names in others for name in names if name in OWN):
        loose.stray(folder, part, "repositories")
    for part in folders:
        if part not in OWN:
            continue  # a nested repository, or what the walk of the tree notes
        has.add(part)
        inner = loose.folder(folder, part)
        if inner is None:
            continue
        with inner:
            if part == MODERN.layers:
                layers = read_links(inner, "layers", loose, now)
            elif part == MODERN.manifests:
                revisions, tags = _manifests(inner, loose, stamps, now)
            else:
                uploads = _uploads(inner, loose, stamps, now)
    stamps.update(layers.stamps)
    stamps.update(revisions.stamps)
    repository = Repository(
        name=name,
        path=folder.path,
        tags=tags,
        revisions=revisions.links,
        deleted_revisions=frozenset(revisions.emptied),
        layers=layers.links,
        deleted_layers=frozenset(layers.emptied),
        uploads=uploads,
        has_layers=MODERN.layers in has,
        has_manifests=MODERN.manifests in has,
        signatures=frozenset(revisions.signed),
        signature_blobs=frozenset(revisions.signatures),
    )
    return RepositoryPart(
        repository=repository,
        stamps=stamps,
        foreign=tuple(loose.foreign),
        unreadable=tuple(loose.unreadable),
        read_at=now,
        links=1 + len(layers.links) + len(revisions.links) + 2 * len(tags) + len(uploads),
    )


def _manifests(folder: Folder, loose: Loose, stamps: dict[str, Stamp | None], now: int) -> tuple[Links, dict[str, Tag]]:
    stamps[folder.path] = folder_stamp(folder, now)
    revisions = Links()
    tags: dict[str, Tag] = {}
    folders, *others = loose.listing(folder)
    for name in (name for names in others for name in names):
        loose.stray(folder, name, "repositories")
    for name in folders:
        if name not in (layout.REVISIONS, layout.TAGS):
            loose.stray(folder, name, "repositories")
            continue
        inner = loose.folder(folder, name)
        if inner is None:
            continue
        with inner:
            if name == layout.REVISIONS:
                revisions = read_links(inner, "revisions", loose, now)
            else:
                stamps[inner.path] = folder_stamp(inner, now)
                tags = {
                    tag: usual.tag(inner.fd, inner.path, tag) or _tag(inner, tag, kind, loose, now)
                    for tag, kind in loose.kinds(inner)
                }
    return revisions, tags


def _tag(folder: Folder, name: str, kind: str, loose: Loose, now: int) -> Tag:
    """A name in ``tags``; a file or link there is served as a tag too, and is foreign at the same time."""
    path = f"{folder.path}/{name}"
    current = Link(
        path=f"{path}/{layout.CURRENT}/{layout.LINK}",
        named="",
        target=None,
        state=State.MISSING,
        why="there is no such file",
    )
    if kind != "folder":
        loose.stray(folder, name, "tags")
        return Tag(name=name, path=path, current=current, history={}, problem=f"a {kind} is in the place of its folder")
    history: dict[str, Link] = {}
    try:
        with folder.folder(name) as here:
            for part, part_kind in here.kinds():
                if part_kind != "folder" or part not in (layout.CURRENT, layout.INDEX):
                    loose.stray(here, part, "tags")
                elif part == layout.CURRENT:
                    current = _current(here, loose) or current
                else:
                    with here.folder(part) as inner:
                        history = read_links(inner, "tags", loose, now).links
    except NotFound:
        pass  # it went away meanwhile: what was read of it stands
    except OrlopError as error:
        loose.unread(error.path or path, error)
        if current.state is State.MISSING:
            why = error.why or error.what
            current = Link(path=current.path, named="", target=None, state=State.UNREADABLE, why=why)
    return Tag(name=name, path=path, current=current, history=history)


def _current(folder: Folder, loose: Loose) -> Link | None:
    with folder.folder(layout.CURRENT) as inner:
        return read_link_folder(inner, "", "tags", loose)[0]


# --- uploads -----------------------------------------------------------------


def _uploads(folder: Folder, loose: Loose, stamps: dict[str, Stamp | None], now: int) -> dict[str, Upload]:
    stamps[folder.path] = folder_stamp(folder, now)
    found: dict[str, Upload] = {}
    for name, kind in loose.kinds(folder):
        if kind != "folder":
            loose.stray(folder, name, "uploads")
            continue
        inner = loose.folder(folder, name)
        if inner is None:
            continue
        with inner:
            found[name] = _upload(inner, name, loose, stamps, now)
    return found


def _upload(folder: Folder, name: str, loose: Loose, stamps: dict[str, Stamp | None], now: int) -> Upload:
    stamps[folder.path] = folder_stamp(folder, now)
    size = 0
    changed = 0
    started: int | None = None
    problem = "there is no startedat"
    for part, kind in loose.kinds(folder):
        try:
            seen = folder.stat(part)
            changed = max(changed, seen.mtime)
            if part == layout.DATA and kind == "file":
                size = seen.size
                path = f"{folder.path}/{part}"
                stamps[path] = settled((seen.device, seen.inode, seen.mtime, seen.ctime, seen.size), now)
            elif part == layout.STARTED_AT and kind == "file":
                started, problem = _started(folder)
            elif part not in _UPLOAD_FILES or kind == "link":
                loose.stray(folder, part, "uploads")
        except NotFound:
            continue
        except OrlopError as error:
            loose.unread(f"{folder.path}/{part}", error)
    if not changed and (stamp := stamps[folder.path]) is not None:
        changed = stamp[2]
    return Upload(
        id=name,
        path=folder.path,
        started=started,
        started_problem=problem,
        size=size,
        changed=changed,
        known=is_uuid(name),
    )


def _started(folder: Folder) -> tuple[int | None, str]:
    try:
        content, _ = read_file(folder, layout.STARTED_AT, _STARTED_LIMIT)
    except OrlopError as error:
        return None, f"startedat cannot be read: {error.why or error.what}"
    if not content:
        return None, "startedat is empty, so that the registry never purges this upload"
    try:
        return times.parse(content.decode("ascii")), ""
    except (UnicodeDecodeError, Malformed):
        return None, "startedat holds no time"
