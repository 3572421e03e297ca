"""The files of images: archives and manifests, two levels below ``blob`` and ``imageManifest``, by key.

Reading never stops at a bad file: what is wrong with one is said in its place. What
did not change since an earlier reading, by its stat, is not read again.
"""

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from orlop.errors import Malformed, NoPermission, NotFound, OrlopError, TooLarge, WrongKind
from orlop.fs import Folder, Root, Stat, join
from orlop.rkt import layout, usual
from orlop.rkt.leftovers import leftover
from orlop.rkt.model import Blob, Debris, Dependency, Manifest, State, Unreadable
from orlop.rkt.touched import Touched
from orlop.verified import Version

_HASH = "sha512"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard(Generic[T]):
    """One folder of two hex digits."""

    entries: Mapping[str, tuple[Version, T]] = field(default_factory=dict)
    """By key, with the version of the file that was read."""
    debris: tuple[Debris, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedFiles(Generic[T]):
    """Everything below ``blob`` or ``imageManifest``."""

    shards: Mapping[str, Shard[T]] = field(default_factory=dict)
    """By the two digits."""
    loose: Shard[T] = field(default_factory=Shard)
    """What lies above the shards and is none."""

    def items(self) -> Iterator[tuple[str, T]]:
        """Each key with what was found, sorted by key."""
        for digits in sorted(self.shards):
            for key, (_, value) in self.shards[digits].entries.items():
                yield key, value

    def debris(self) -> Iterator[Debris]:
        yield from self.loose.debris
        for shard in self.shards.values():
            yield from shard.debris

    def unreadable(self) -> Iterator[Unreadable]:
        yield from self.loose.unreadable
        for shard in self.shards.values():
            yield from shard.unreadable


def blobs(root: Root, previous: KeyedFiles[Blob] | None, touched: Touched) -> KeyedFiles[Blob]:
    """Look at every archive; none is opened."""
    return _scan(root, layout.BLOBS, _blob, previous, touched)


def stored_manifests(root: Root, previous: KeyedFiles[Manifest] | None, touched: Touched) -> KeyedFiles[Manifest]:
    """Read and parse every manifest."""
    return _scan(root, layout.MANIFESTS, _manifest, previous, touched)


# --- one file ----------------------------------------------------------------


def _blob(folder: Folder, name: str, found: Stat) -> Blob:
    if found.kind != "file":
        why = f"a {found.kind} is in the place of the archive"
        return Blob(state=State.WRONG_KIND, mtime=found.mtime, why=why)
    if not found.size:
        return Blob(state=State.EMPTY, mtime=found.mtime, why="the archive is empty", version=found.version)
    return Blob(state=State.GOOD, size=found.size, mtime=found.mtime, version=found.version)


def _manifest(folder: Folder, name: str, found: Stat) -> Manifest:
    try:
        raw = folder.read(name)
    except NotFound:
        raise  # it went away meanwhile
    except TooLarge as error:
        return Manifest(state=State.TOO_LARGE, why=f"the manifest is {error.what}: {error.why}")
    except WrongKind as error:
        return Manifest(state=State.WRONG_KIND, why=f"a {error.found} is in the place of the manifest")
    except NoPermission as error:
        return Manifest(state=State.UNREADABLE, why=error.why)
    except OrlopError as error:
        return Manifest(state=State.UNREADABLE, why=error.why or error.what, engine_says=error.why or error.what)
    return parsed(raw, found.version)


def parsed(raw: bytes, version: Version | None = None) -> Manifest:
    """A manifest as rkt reads it, or what is wrong with it; nothing makes this fail.

    Args:
        raw: at most `orlop.fs.PARSE_LIMIT` bytes.
        version: of the file that they were read from.
    """
    if not raw:
        return Manifest(state=State.EMPTY, raw=raw, why="the manifest is empty")
    try:
        read = usual.parse(raw)
    except Malformed as error:
        return Manifest(state=State.MALFORMED, raw=raw, why=error.why, engine_says=error.engine)
    return Manifest(
        state=State.GOOD,
        raw=raw,
        name=read.name,
        labels=tuple((label.name, label.value) for label in read.labels),
        dependencies=tuple(
            Dependency(
                name=wanted.image_name,
                image_id=wanted.image_id,
                labels=tuple((label.name, label.value) for label in wanted.labels),
                size=wanted.size,
            )
            for wanted in read.dependencies
        ),
        path_whitelist=read.path_whitelist,
        annotations=tuple((note.name, note.value) for note in read.annotations),
        ac_version=read.ac_version,
        parsed=read,
        version=version,
    )


# --- folders -----------------------------------------------------------------


def _scan(
    root: Root, base: str, look: Callable[[Folder, str, Stat], T], previous: KeyedFiles[T] | None, touched: Touched
) -> KeyedFiles[T]:
    top = join(base, _HASH)
    above: Shard[T] = _strangers(root, base, lambda name, kind: name == _HASH and kind == "folder")
    try:
        folder = root.folder(top)
    except NotFound:
        return KeyedFiles(loose=above)
    except OrlopError as error:
        hidden = Unreadable(path=top, why=error.why or error.what)
        return KeyedFiles(loose=Shard(debris=above.debris, unreadable=(*above.unreadable, hidden)))
    with folder:
        inside: Shard[T] = _strangers(root, top, _is_shard)
        shards: dict[str, Shard[T]] = {}
        unreadable: list[Unreadable] = []
        for digits in _shard_names(folder):
            known = previous.shards.get(digits) if previous is not None else None
            names = touched.below(join(top, digits))
            if known is not None and names is not None and not names and not known.unreadable:
                shards[digits] = known
                continue
            try:
                with folder.folder(digits) as here:
                    shards[digits] = _shard(root, here, look, known, names)
            except NotFound:
                continue
            except OrlopError as error:
                unreadable.append(Unreadable(path=join(top, digits), why=error.why or error.what))
    return KeyedFiles(
        shards=shards,
        loose=Shard(
            debris=(*above.debris, *inside.debris),
            unreadable=(*above.unreadable, *inside.unreadable, *unreadable),
        ),
    )


def _is_shard(name: str, kind: str) -> bool:
    return kind == "folder" and len(name) == 2 and not set(name) - set("0123456789abcdef")


def _shard_names(folder: Folder) -> list[str]:
    try:
        return [name for name, kind in folder.kinds() if _is_shard(name, kind)]
    except OrlopError:
        return []  # `_strangers` listed the same folder, and said why it cannot be


def _strangers(root: Root, path: str, wanted: Callable[[str, str], bool]) -> Shard[T]:
    """What lies in a folder and has no place there."""
    debris: list[Debris] = []
    try:
        for name, kind in root.kinds(path):
            if not wanted(name, kind) and (found := leftover(root, join(path, name))) is not None:
                debris.append(found)
    except NotFound:
        return Shard()
    except OrlopError as error:
        return Shard(unreadable=(Unreadable(path=path, why=error.why or error.what),))
    return Shard(debris=tuple(debris))


def _shard(
    root: Root, folder: Folder, look: Callable[[Folder, str, Stat], T], known: Shard[T] | None, touched: Set[str] | None
) -> Shard[T]:
    """Read a folder's files; those that `known` has in the same version are not read again."""
    before = known.entries if known is not None else {}
    entries: dict[str, tuple[Version, T]] = {}
    debris: list[Debris] = []
    unreadable: list[Unreadable] = []
    for name in folder.names():
        path = join(folder.path, name)
        if layout.key_at(path) != name:
            if (found := leftover(root, path)) is not None:
                debris.append(found)
            continue
        old = before.get(name)
        if old is not None and touched is not None and name not in touched:
            entries[name] = old
            continue
        try:
            stat = folder.stat(name)
            same = old is not None and old[0] == stat.version
            entries[name] = old if old is not None and same else (stat.version, look(folder, name, stat))
        except NotFound:
            continue
        except OrlopError as error:
            unreadable.append(Unreadable(path=path, why=error.why or error.what))
    return Shard(entries=entries, debris=tuple(debris), unreadable=tuple(unreadable))
