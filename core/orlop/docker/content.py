"""Hashing a layer: its archive rebuilt from the recipe and the driver's files, byte for byte, against its diff id.

Each layer is a task that can be pickled and run anywhere (`orlop.spread`). Nothing is
kept in memory but one piece; every file is checked against its own CRC-64 on the way, so
that a layer which does not hash to its diff id tells which of its files are wrong.

moby: layer/ro_layer.go (TarStream), tar-split v0.11, tar/asm/assemble.go (the words of the engine).
"""

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import BinaryIO

from orlop.docker import layout, tarsplit
from orlop.docker.inherited import Inherited
from orlop.docker.layerplace import Place, version_of
from orlop.docker.layertree import LayerTree, is_hindrance, pieces, why_of
from orlop.errors import Cancelled, Escapes, Malformed, NotFound, OrlopError, StorageFailure, WrongKind
from orlop.fs import Root, join, translate
from orlop.spread import Told
from orlop.verified import settled_at

NAMED = 8
"""Wrong files of one layer that are named; the others are counted."""
_TELL = 1 << 20
"""Bytes that are read between two reports."""
_TELL_AFTER = 256
"""Files between two reports, however small they are."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One layer to hash."""

    root: str
    """Absolute path of the data root, links resolved."""
    chain_id: str
    diff_id: str
    """What its archive must hash to."""
    place: Place
    below: tuple[Place, ...] = ()
    """vfs: the layers below, nearest first, whose files this one has copies of."""
    size: int
    """Bytes that there are to read, about."""
    remember: bool = False
    """Whether the versions of all its files are wanted, too."""

    @property
    def bytes(self) -> int:
        """For `orlop.spread`."""
        return self.size

    def run(self, told: Told) -> "Result":
        """Hash it.

        Raises:
            Cancelled: `told` said so.
        """
        work = _Work(self, _Gauge(told))
        try:
            with self._opened() as root:
                work.go(root)
        except Cancelled:
            raise
        except OrlopError as error:
            work.hindered = error.why or error.what
        return work.result()

    def _opened(self) -> Root:
        try:
            return Root(os.open(self.root, _FOLDER), self.root)
        except OSError as error:
            raise translate(error, "the store cannot be opened", self.root) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """One file that is not what it was in the layer's archive."""

    name: str
    """Below the layer's folder; empty for the folder itself."""
    why: str
    """One clause."""
    size: int
    """Bytes that it must have."""
    says: str = ""
    """What the engine says when it saves the layer; empty where it does not notice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What hashing one layer gave."""

    task: Task
    actual: str
    """The digest of its archive; empty where it cannot be rebuilt."""
    read: int
    """Bytes of files that were read."""
    wrong: tuple[Wrong, ...]
    """Files that are wrong, at most `NAMED` of them."""
    wrong_count: int
    wrong_bytes: int
    """Bytes that all wrong files must have."""
    recipe: str
    """Why the recipe cannot be used, one clause; else empty."""
    recipe_says: str
    hindered: str
    """Why nobody can say anything about the layer: this user may not read it, descriptors ran out; else empty."""
    gone: bool
    """Whether it went away: an engine removed it meanwhile."""
    version: str
    """What stands for the layer, as `version_of` gives it."""
    depth: bytes
    """As `LayerTree.depth`, from before it was read; empty where it is not wanted or proves nothing."""

    @property
    def matches(self) -> bool:
        """Whether every byte is what it was."""
        return (
            self.actual == self.task.diff_id
            and not self.wrong_count
            and not (self.recipe or self.hindered or self.gone)
        )


@dataclass(slots=True)
class _Gauge:
    """Gathers small counts of bytes, so that they are told seldom."""

    told: Told
    total: int = 0
    _held: int = 0
    _calls: int = 0

    def add(self, count: int) -> None:
        self._held += count
        self._calls += 1
        if self._held >= _TELL or self._calls >= _TELL_AFTER:
            self.flush()

    def flush(self) -> None:
        held, self._held, self._calls = self._held, 0, 0
        self.total += held
        self.told(held)


@dataclass(slots=True)
class _Work:
    """One layer under way."""

    task: Task
    gauge: _Gauge
    actual: str = ""
    wrong: list[Wrong] = field(default_factory=list)
    wrong_count: int = 0
    wrong_bytes: int = 0
    recipe: str = ""
    recipe_says: str = ""
    hindered: str = ""
    gone: bool = False
    version: str = ""
    depth: bytes = b""

    def go(self, root: Root) -> None:
        """Hash the layer.

        Raises:
            Cancelled
            OrlopError: nobody can say anything about it.
        """
        place = self.task.place
        try:
            self.version = version_of(root, place)
            with LayerTree.at(root, place.tree) as tree:
                if self.task.remember:
                    with contextlib.suppress(NotFound, WrongKind, StorageFailure):  # then nothing is remembered
                        found = tree.depth()
                        self.depth = found.versions if settled_at(found.newest) else b""
                self._hash(root, tree)
        except (NotFound, WrongKind) as error:
            self._unopened(error)
        self.gauge.flush()
        if (self.wrong_count or self.recipe) and not _recorded(root, place):
            self.gone = True

    def _hash(self, root: Root, tree: LayerTree) -> None:
        below = self.task.below
        inherited = Inherited(tree) if below else None
        try:
            with root.stream(self.task.place.recipe) as lines:
                self._rebuild(lines, tree, inherited)
        except Malformed as error:
            self.recipe, self.recipe_says = error.why, error.engine
            return
        except OSError as error:
            self.recipe = f"it cannot be read: {error.strerror}"
            return
        if inherited is not None:
            self._compare(root, inherited)

    def _rebuild(self, lines: BinaryIO, tree: LayerTree, inherited: Inherited | None) -> None:
        archive = hashlib.sha256()
        whole = True
        for entry in tarsplit.entries(lines):
            if isinstance(entry, tarsplit.Segment):
                if whole:
                    archive.update(entry.payload)
                continue
            if inherited is not None:
                inherited.note(entry.name)
            if not entry.size:
                self.gauge.add(0)
            elif not self._file(tree, entry, archive if whole else None):
                whole = False
        self.actual = f"sha256:{archive.hexdigest()}" if whole else ""
        if self.actual == self.task.diff_id and self.wrong_count:
            self.recipe = f"it has wrong checksums: {self.wrong[0].name}, while the files are what they were"
            self.recipe_says = self.wrong[0].says
            self._forgive()
        elif self.actual not in ("", self.task.diff_id) and not self.wrong_count:
            self.recipe = f"by it the layer, whose files are what it says, hashes to {self.actual}"

    def _forgive(self) -> None:
        self.wrong.clear()
        self.wrong_count = self.wrong_bytes = 0

    def _file(self, tree: LayerTree, entry: tarsplit.Content, archive: "hashlib._Hash | None") -> bool:
        """Read one file; whether all the bytes that it must have went into the archive's hash, right or wrong."""
        try:
            fd, size = tree.file(entry.name)
        except Escapes as error:
            raise Malformed(f"it names {entry.name!r}: {error.why}") from error
        except OrlopError as error:
            self._note(tree, entry, error)
            return False
        try:
            if size != entry.size:
                self._add(entry.name, f"{size} bytes instead of {entry.size}", entry.size, _fails(entry.name))
                return False
            checksum = 0
            for piece in pieces(fd, size, entry.name):
                checksum = tarsplit.checksum(piece, checksum)
                if archive is not None:
                    archive.update(piece)
                self.gauge.add(len(piece))
        except OrlopError as error:
            self._note(tree, entry, error)
            return False
        finally:
            os.close(fd)
        if checksum.to_bytes(8, "big") != entry.checksum:
            self._add(entry.name, "other bytes", entry.size, _fails(entry.name))
        return True

    def _note(self, tree: LayerTree, entry: tarsplit.Content, error: OrlopError) -> None:
        """A file that cannot be read.

        Raises:
            OrlopError: that one, where it tells nothing of the file.
        """
        if is_hindrance(error):
            raise error
        says = error.why if not isinstance(error, WrongKind) else ""
        if isinstance(error, NotFound):
            says = f"open {layout.spelled(join(tree.path, entry.name))}: no such file or directory"
        self._add(entry.name, why_of(error), entry.size, says)

    def _compare(self, root: Root, inherited: Inherited) -> None:
        for name, why, size in inherited.compare(root, self.task.below, self.gauge.add):
            self._add(name, why, size, "")

    def _add(self, name: str, why: str, size: int, says: str) -> None:
        self.wrong_count += 1
        self.wrong_bytes += size
        if len(self.wrong) < NAMED:
            self.wrong.append(Wrong(name=name, why=why, size=size, says=says))

    def _unopened(self, error: OrlopError) -> None:
        """The recipe or the layer's folder is not there, or something else is in its place."""
        if error.path is not None and error.path.endswith("tar-split.json.gz"):
            self.recipe = why_of(error)
        else:
            self._add("", why_of(error), self.task.size, error.why)

    def result(self) -> Result:
        return Result(
            task=self.task,
            actual=self.actual,
            read=self.gauge.total,
            wrong=tuple(self.wrong),
            wrong_count=self.wrong_count,
            wrong_bytes=self.wrong_bytes,
            recipe=self.recipe,
            recipe_says=self.recipe_says,
            hindered=self.hindered,
            gone=self.gone,
            version=self.version,
            depth=self.depth,
        )


def _recorded(root: Root, place: Place) -> bool:
    """Whether the layer's record is still there."""
    try:
        return root.exists(place.recipe.rpartition("/")[0])
    except OrlopError:
        return True


def _fails(name: str) -> str:
    return f"file integrity checksum failed for {json.dumps(name, ensure_ascii=False)}"
