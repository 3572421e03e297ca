"""The folder of blobs: every blob looked at once, the bytes of manifests and configs read on demand."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from sys import intern

from orlop import times
from orlop.digest import ALGORITHMS, Digest
from orlop.errors import NotFound, OrlopError
from orlop.fs import PARSE_LIMIT, Folder, Root
from orlop.registry import layout, place, usual
from orlop.registry.loose import (
    Loose,
    Stamp,
    digest_text,
    folder_stamp,
    is_hex,
    read_file,
    stamp_of,
)
from orlop.registry.model import Blob, Foreign, State, Unreadable

_SHARD = frozenset(f"{number:02x}" for number in range(256))
_EMPTY = frozenset(str(Digest.of(b"", algorithm)) for algorithm in ALGORITHMS)
_FILE = 0o100000
_KIND = 0o170000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One two-digit folder below ``blobs/<alg>`` as it was last read."""

    blobs: Mapping[str, Blob]
    stamps: Mapping[str, Stamp]
    """Of each blob's file, by digest."""
    empty: tuple[str, ...]
    """Folders of blobs without anything in them; the shard itself where it is empty."""
    foreign: tuple[Foreign, ...]
    unreadable: tuple[Unreadable, ...]
    stamp: Stamp | None
    read_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Above:
    """The folders above the shards as they were last read."""

    shards: tuple[str, ...]
    """Paths of the two-digit folders."""
    stamps: Mapping[str, Stamp | None]
    empty: tuple[str, ...]
    foreign: tuple[Foreign, ...]
    unreadable: tuple[Unreadable, ...]


def read_above(root: Root, base: str) -> Above:
    """List ``blobs`` and the algorithms in it."""
    loose = Loose(root)
    now = times.now()
    stamps: dict[str, Stamp | None] = {}
    shards: list[str] = []
    empty: list[str] = []
    path = place.blobs(base)
    try:
        top = root.folder(path)
    except NotFound:
        return Above(shards=(), stamps={path: None}, empty=(), foreign=(), unreadable=())
    except OrlopError as error:
        loose.unread(path, error)
        return Above(shards=(), stamps={path: None}, empty=(), foreign=(), unreadable=tuple(loose.unreadable))
    with top:
        stamps[path] = folder_stamp(top, now)
        for algorithm, kind in loose.kinds(top):
            if kind != "folder" or algorithm not in ALGORITHMS:
                loose.stray(top, algorithm, "blobs")
                continue
            folder = loose.folder(top, algorithm)
            if folder is None:
                continue
            with folder:
                stamps[folder.path] = folder_stamp(folder, now)
                kinds = loose.kinds(folder)
                for name, kind in kinds:
                    if kind == "folder" and name in _SHARD:
                        shards.append(f"{folder.path}/{name}")
                    else:
                        loose.stray(folder, name, "blobs")
    return Above(
        shards=tuple(shards),
        stamps=stamps,
        empty=tuple(empty),
        foreign=tuple(loose.foreign),
        unreadable=tuple(loose.unreadable),
    )


def read_shard(
    root: Root, path: str, wanted: Callable[[str, Stamp], bool], content: Callable[[str, Stamp, bytes], None]
) -> Shard:
    """Look at every blob of one two-digit folder.

    Args:
        root: the store.
        path: the folder.
        wanted: asked with a digest and its file's stamp whether the bytes are wanted too.
        content: given the bytes of a wanted blob.
    """
    loose = Loose(root)
    now = times.now()
    blobs: dict[str, Blob] = {}
    stamps: dict[str, Stamp] = {}
    empty: list[str] = []
    stamp: Stamp | None = None
    algorithm, shard = path.rsplit("/", 2)[-2:]
    try:
        folder = root.folder(path)
    except NotFound:
        return Shard(blobs={}, stamps={}, empty=(), foreign=(), unreadable=(), stamp=None, read_at=now)
    except OrlopError as error:
        loose.unread(path, error)
        unreadable = tuple(loose.unreadable)
        return Shard(blobs={}, stamps={}, empty=(), foreign=(), unreadable=unreadable, stamp=None, read_at=now)
    with folder:
        stamp = folder_stamp(folder, now)
        names, *strays = loose.listing(folder)
        if not names and not any(strays) and not loose.unreadable:
            empty.append(path)
        for name in (stray for listed in strays for stray in listed):
            loose.stray(folder, name, "blobs")
        for name in names:
            if not is_hex(algorithm, name) or not name.startswith(shard):
                loose.stray(folder, name, "blobs")
                continue
            digest = digest_text(algorithm, name)
            usually = usual.blob(folder.fd, name)
            if usually is not None:
                blobs[digest] = Blob(
                    digest=digest, state=State.GOOD, size=usually[4], mtime=usually[2], version=usually
                )
                stamps[digest] = usually
                if wanted(digest, usually) and (read := usual.content(folder.fd, name, PARSE_LIMIT)) is not None:
                    content(digest, *read)
                continue
            inner = loose.folder(folder, name)
            if inner is None:
                continue
            with inner:
                found = _blob(inner, digest, loose, empty)
                if found is None:
                    continue
                blob, seen = found
                blobs[digest] = blob
                if seen is not None:
                    stamps[digest] = seen
    return Shard(
        blobs=blobs,
        stamps=stamps,
        empty=tuple(empty),
        foreign=tuple(loose.foreign),
        unreadable=tuple(loose.unreadable),
        stamp=stamp,
        read_at=now,
    )


def _blob(folder: Folder, digest: str, loose: Loose, empty: list[str]) -> tuple[Blob, Stamp | None] | None:
    """The blob in an open folder; None where there is none."""
    try:
        names = os.listdir(folder.fd)
        found = os.stat(layout.DATA, dir_fd=folder.fd, follow_symlinks=False) if layout.DATA in names else None
    except FileNotFoundError:
        return None  # it went away
    except OSError as error:
        why = os.strerror(error.errno or 0)
        loose.unreadable.append(Unreadable(path=folder.path, why=why))
        return None
    if names != [layout.DATA]:
        if not names:
            empty.append(folder.path)
        for name in sorted(names, key=os.fsencode):
            if name != layout.DATA:
                loose.stray(folder, name, "blobs")
    if found is None:
        return None
    if found.st_mode & _KIND != _FILE:
        kind = folder.stat(layout.DATA).kind
        why = f"a {kind} is in the place of its file"
        return Blob(digest=digest, state=State.WRONG_KIND, size=0, mtime=found.st_mtime_ns, why=why), None
    stamp = stamp_of(found)
    if found.st_size == 0 and digest not in _EMPTY:
        why = "the file is empty"
        return Blob(digest=digest, state=State.EMPTY, size=0, mtime=found.st_mtime_ns, why=why, version=stamp), stamp
    return Blob(digest=digest, state=State.GOOD, size=found.st_size, mtime=found.st_mtime_ns, version=stamp), stamp


def read_contents(
    root: Root,
    base: str,
    digests: Iterable[str],
    content: Callable[[str, Stamp, bytes], None],
    failed: Callable[[str, OrlopError], None],
) -> None:
    """Read the bytes of some blobs, each shard's folder opened once.

    Args:
        root: the store.
        base: where ``v2`` is.
        digests: well-formed ones, in any order.
        content: given the bytes of each.
        failed: given the reason for each that cannot be read.
    """
    shard: Folder | None = None
    here = ""
    try:
        for digest in sorted(digests):
            path = place.blob_folder(base, digest)
            above, _, name = path.rpartition("/")
            try:
                if shard is None or above != here:
                    if shard is not None:
                        shard.close()
                        shard = None
                    shard = root.folder(above)
                    here = above
                quick = usual.content(shard.fd, name, PARSE_LIMIT)
                if quick is not None:
                    content(digest, *quick)
                    continue
                with shard.folder(name) as folder:
                    if folder.stat(layout.DATA).kind != "file":
                        folder.read(layout.DATA, PARSE_LIMIT)  # which says what is there
                    data, found = read_file(folder, layout.DATA, PARSE_LIMIT)
                    content(intern(digest), stamp_of(found), data)
            except OrlopError as error:
                failed(digest, error)
    finally:
        if shard is not None:
            shard.close()
