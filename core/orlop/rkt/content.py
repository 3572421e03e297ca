"""Every byte of a store's archives against their keys, and of its rendered trees against their hashes.

Each archive and each tree is a task that can be pickled and run anywhere
(`orlop.spread`). Memory is bounded by a block for each worker, whatever the archives
are; what cannot be read stops nothing else. What was verified before, in the versions
that its files still have, is not hashed again (`orlop.verified`).
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from typing import BinaryIO, TypeAlias, TypeVar, cast

from orlop import times
from orlop.errors import Cancelled, NoPermission, NotFound, OrlopError
from orlop.fs import PARSE_LIMIT, Root, translate
from orlop.progress import CONTENTS, Progress
from orlop.rkt import aci, layout, manifest, treestore
from orlop.rkt.manifest import ImageManifest
from orlop.rkt.model import Image, Model, State, Tree
from orlop.rkt.proven import comparison
from orlop.spread import Task, Told
from orlop.store import Hashing
from orlop.verified import Proof, VerifiedCache, Version, settled, version_text
from orlop.workers import work_off

_BLOCK = 1 << 20
_LEAST_BLOCK = 1 << 14
_ARCHIVE = 250e-6
"""Seconds that Python needs for one archive and its manifest, beside hashing."""
_FILE = 80e-6
"""The same for one file of a tree."""
_TREE_FILE = 16 << 10
"""Bytes of a tree that has one file more, about."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What hashing one archive gave."""

    key: str
    actual: str = ""
    """The key that its bytes have; empty where they cannot be read."""
    manifest: ImageManifest | None = None
    """The one in the archive, where that hashes to its key and has a valid one."""
    gone: bool = False
    """Whether it was removed meanwhile."""
    denied: bool = False
    """Whether this user may not read it."""
    why: str = ""
    """Why it cannot be read; else empty."""
    hashed: bool = True
    """Whether its bytes were read now, and not only its manifest."""
    version: Version | None = None
    """Of the archive when reading began; None where it could not be opened."""
    lasting: bool = False
    """Whether that version tells if something was written to it since."""
    stored: Version | None = None
    """Of the stored manifest, where that is still what the task was made from, and its version tells of changes."""

    @property
    def sound(self) -> bool:
        return self.actual == self.key


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeVerdict:
    """What hashing one rendered tree gave."""

    id: str
    actual: str = ""
    """The hash that its files have; empty where they cannot be read."""
    sound: bool = False
    """Whether that is the one that was kept of it."""
    size: int = 0
    """As rkt counts it."""
    gone: bool = False
    denied: bool = False
    why: str = ""
    hashed: bool = False
    version: Version | None = None
    """Of its folder."""
    depth: bytes = b""
    """As `treestore.Survey.depth`."""
    lasting: bool = False


Result: TypeAlias = Verdict | TreeVerdict
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveTask:
    """One archive to hash, and its manifest to read."""

    root: str
    """Absolute path of the store's folder, links resolved."""
    key: str
    size: int
    """Bytes, as they were when the store was read."""
    stored: bytes = b""
    """sha256 of the stored manifest as it was read; empty where there is none, or nothing is remembered."""
    known: Version | None = None
    """The version in which it was hashed before: then only its manifest is read."""

    @property
    def bytes(self) -> int:
        """For `orlop.spread`."""
        return 0 if self.known is not None else self.size

    def run(self, told: Told) -> Verdict:
        """Hash it.

        Raises:
            Cancelled: `told` said so.
        """
        version: Version | None = None
        try:
            with _opened(self.root) as root, root.stream(layout.blob(self.key)) as stream:
                version = _version(stream)
                lasting = settled(version)
                known = version == self.known
                actual = self.key if known else _key(stream, version[4], told)
                found = _manifest(stream) if actual == self.key else None
                return Verdict(
                    key=self.key,
                    actual=actual,
                    manifest=found,
                    hashed=not known,
                    version=version,
                    lasting=lasting and _version(stream) == version,
                    stored=_stored(root, self.key, self.stored) if found is not None and self.stored else None,
                )
        except NotFound:
            return Verdict(key=self.key, gone=True)
        except NoPermission as error:
            return Verdict(key=self.key, denied=True, why=error.why, version=version)
        except Cancelled:
            raise
        except OrlopError as error:
            return Verdict(key=self.key, why=error.why or error.what, version=version)
        except OSError as error:
            return Verdict(key=self.key, why=error.strerror or str(error), version=version)


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeTask:
    """One rendered tree to hash."""

    root: str
    id: str
    path: str
    expected: str
    """The hash that was kept of it."""
    size: int
    """Bytes, about."""

    @property
    def bytes(self) -> int:
        """For `orlop.spread`."""
        return self.size

    def run(self, told: Told) -> TreeVerdict:
        """Hash it.

        Raises:
            Cancelled: `told` said so.
        """
        version: Version | None = None
        try:
            with _opened(self.root) as root:
                before = treestore.survey(root, self.path)
                version = before.version
                lasting = settled(before.newest)
                sound, actual = treestore.matches(root, self.path, self.expected, _Counting(told))
                lasting = lasting and treestore.survey(root, self.path).depth == before.depth
        except NotFound:
            return TreeVerdict(id=self.id, gone=True)
        except NoPermission as error:
            return TreeVerdict(id=self.id, denied=True, why=error.why, version=version)
        except Cancelled:
            raise
        except OrlopError as error:
            return TreeVerdict(id=self.id, why=error.why or error.what, version=version)
        return TreeVerdict(
            id=self.id,
            actual=actual,
            sound=sound,
            size=before.size,
            hashed=True,
            version=version,
            depth=before.depth,
            lasting=lasting,
        )


def verdicts(
    root: Root, images: Iterable[Image], progress: Progress, hashing: Hashing | None = None
) -> Iterator[Verdict]:
    """Hash the archives of some images, in any order; those that are not there are left out.

    With `hashing`, those that were verified before are left out too.

    Raises:
        Cancelled: `progress` stopped it; what was given stands.
        StorageFailure: as `orlop.spread.spread`.
    """
    how = hashing or Hashing()
    by_key = {image.key: image for image in images}
    for verdict in _hash(root, [*_archives(root, by_key.values(), how)], progress, how):
        _note(how.verified, by_key[verdict.key], verdict)
        yield verdict


def results(
    root: Root, model: Model, images: Iterable[Image], trees: Iterable[Tree], progress: Progress, how: Hashing
) -> Iterator[Result]:
    """Hash archives and rendered trees, as `verdicts`; a tree that was verified before has its verdict all the same."""
    work: list[Task[Result]] = [*_archives(root, images, how)]
    there = [tree for tree in trees if tree.hash is not None and not tree.problem]
    for number, tree in enumerate(there):
        progress.step("trees", number, len(there))
        known = _verified_tree(root, tree, how)
        if known is not None:
            yield known
        else:
            work.append(_tree_task(root, model, tree))
    for result in _hash(root, work, progress, how):
        if isinstance(result, Verdict):
            _note(how.verified, model.images[result.key], result)
        else:
            _note_tree(how.verified, model.trees[result.id], result)
        yield result


def _hash(root: Root, work: Sequence[Task[R]], progress: Progress, how: Hashing) -> Iterator[R]:
    """What needs no hashing first; then what never was hashed, the largest first, or was longest ago."""
    ordered = sorted(work, key=lambda task: (task.bytes > 0, _last(root, task, how), -task.bytes))
    alone = sum(_alone(task) for task in ordered)
    return work_off(ordered, progress, what=CONTENTS, alone=alone, budget=how.budget)


def _last(root: Root, task: Task[R], how: Hashing) -> int:
    """When something that is to be hashed again was verified; 0 for all else."""
    if how.verified is None or not how.again or not isinstance(task, ArchiveTask | TreeTask):
        return 0
    if isinstance(task, ArchiveTask):
        path, digest = layout.blob(task.key), task.key
    else:
        path, digest = task.path, task.expected
    try:
        seen = how.verified.find(digest, version_text(root.stat(path).version))
    except OrlopError:
        return 0  # hashing says what is wrong with it
    return seen.at if seen is not None else 0


def _alone(task: Task[R]) -> float:
    return _ARCHIVE + (task.bytes / _TREE_FILE * _FILE if isinstance(task, TreeTask) else 0.0)


# --- what there is to do -----------------------------------------------------


def _archives(root: Root, images: Iterable[Image], how: Hashing) -> Iterator[ArchiveTask]:
    for image in images:
        if image.blob.state is not State.GOOD or not layout.is_key(image.key):
            continue
        known = _known(root, image, how)
        found = image.manifest
        compared = found.parsed is None
        if known is not None and how.verified is not None and found.version is not None:
            text = version_text(found.version)
            compared |= how.verified.find(comparison(image.key, known), text) is not None
        if known is not None and compared:
            continue
        compares = how.verified is not None and found.raw is not None and found.parsed is not None
        stored = hashlib.sha256(found.raw or b"").digest() if compares else b""
        yield ArchiveTask(root=root.path, key=image.key, size=image.blob.size, stored=stored, known=known)


def _known(root: Root, image: Image, how: Hashing) -> Version | None:
    """The version that an archive has, where it was verified in it."""
    if how.verified is None or how.again:
        return None
    try:
        version = root.stat(layout.blob(image.key)).version
    except OrlopError:
        return None  # hashing says what is wrong with it
    return version if how.verified.find(image.key, version_text(version)) is not None else None


def _verified_tree(root: Root, tree: Tree, how: Hashing) -> TreeVerdict | None:
    """The verdict of a tree that is as it was when it was verified; None for any other."""
    if how.verified is None or how.again or tree.hash is None:
        return None
    try:
        seen = how.verified.find(tree.hash, version_text(root.stat(tree.path).version))
        found = treestore.survey(root, tree.path) if seen is not None else None
    except OrlopError:
        return None  # hashing says what is wrong with it
    if seen is None or found is None or found.depth != seen.depth:
        return None
    return TreeVerdict(id=tree.id, actual=tree.hash, sound=True, size=found.size)


def _tree_task(root: Root, model: Model, tree: Tree) -> TreeTask:
    size = _size(root, model, tree)
    return TreeTask(root=root.path, id=tree.id, path=tree.path, expected=tree.hash or "", size=size)


def _size(root: Root, model: Model, tree: Tree) -> int:
    """Bytes of a tree, about: as its image's row has them, else counted."""
    image = model.images.get(tree.image) if tree.image is not None else None
    if image is not None and image.row is not None and image.row.tree_size > 0:
        return image.row.tree_size
    try:
        return treestore.tree_size(root, tree.path)
    except OrlopError:
        return 0  # hashing says what is wrong with it


# --- what was done -----------------------------------------------------------


def _note(verified: VerifiedCache | None, image: Image, verdict: Verdict) -> None:
    """Remember what was found good, and no longer what was found wrong."""
    if verified is None or verdict.version is None:
        return
    version = version_text(verdict.version)
    if not verdict.sound:
        verified.forget(verdict.key, version)
        return
    if not verdict.lasting:
        return
    if verdict.hashed:
        verified.add([Proof(digest=verdict.key, version=version, at=times.now())])
    pair = comparison(verdict.key, verdict.version)
    if image.manifest.version is None or verdict.manifest is None:
        return
    if image.manifest.parsed != verdict.manifest:
        verified.forget(pair, version_text(image.manifest.version))
    elif verdict.stored == image.manifest.version:
        verified.add([Proof(digest=pair, version=version_text(verdict.stored), at=times.now())])


def _note_tree(verified: VerifiedCache | None, tree: Tree, verdict: TreeVerdict) -> None:
    if verified is None or verdict.version is None or tree.hash is None:
        return
    version = version_text(verdict.version)
    if not verdict.sound:
        verified.forget(tree.hash, version)
    elif verdict.hashed and verdict.lasting:
        verified.add([Proof(digest=tree.hash, version=version, at=times.now(), depth=verdict.depth)])


# --- one file ----------------------------------------------------------------


def _opened(path: str) -> Root:
    try:
        return Root(os.open(path, _FOLDER), path)
    except OSError as error:
        raise translate(error, "the store cannot be opened", path) from error


def _version(stream: BinaryIO) -> Version:
    found = os.fstat(stream.fileno())
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)


def _key(stream: BinaryIO, size: int, told: Told) -> str:
    """The key of a stream's bytes.

    Raises:
        OSError: they cannot be read.
        Cancelled
    """
    hasher = hashlib.sha512()
    block = memoryview(bytearray(max(_LEAST_BLOCK, min(size + 1, _BLOCK))))
    while count := cast("BufferedReader", stream).readinto(block):
        hasher.update(block[:count])
        told(count)
    return layout.key_of(hasher.digest())


def _manifest(stream: BinaryIO) -> ImageManifest | None:
    """The manifest of an archive that is what its key says; None for one that appc does not allow today."""
    stream.seek(0)
    try:
        return manifest.parse(aci.manifest_of(stream))
    except OrlopError:
        return None


def _stored(root: Root, key: str, expected: bytes) -> Version | None:
    """The version of a stored manifest that has these bytes; None where it has others, or the version tells nothing."""
    try:
        with root.stream(layout.manifest(key)) as stream:
            version = _version(stream)
            lasting = settled(version)
            if version[4] > PARSE_LIMIT or hashlib.sha256(stream.read(version[4] + 1)).digest() != expected:
                return None
            return version if lasting and _version(stream) == version else None
    except (OrlopError, OSError):
        return None  # it was read before, and what it is now the next look tells


class _Counting:
    """Progress that tells the bytes since the last report."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._last = 0

    def step(self, what: str, done: int, total: int) -> None:
        self._told(done - self._last if done >= self._last else done)  # else the tree is hashed in another form
        self._last = done
