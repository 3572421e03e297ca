"""Content on its way into a store: files that wait in ``.orlop/incoming`` until a change takes them.

::

    .orlop/incoming/<name>/         one import; flock on the folder while it is being filled
        <file>                      whole and durable, or not there
        <file>.part                 what was cut off; written anew
        staged.json                 written last: what the files are, for whoever plans with them

Nothing of the store itself is touched, so that filling it needs no guard; it
can be cut off at any instant and gone on with, and what is whole is not read
again. Discarding it loses nothing that a store holds.
"""

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from orlop import locks
from orlop.errors import AlreadyExists, Malformed, NotFound, OrlopError
from orlop.fs import Root, join
from orlop.fs.writer import SYSTEM, FileOps, Writer

FOLDER = ".orlop/incoming"
_NOTE = "staged.json"
_PART = ".part"
_NAME = re.compile(r"[0-9a-f]{8,64}", re.ASCII)
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}", re.ASCII)


def path_of(name: str, file: str | None = None) -> str:
    """Where an import's folder, or a file of it, lies; relative to the root.

    Raises:
        Malformed: no name that an import or a file of it can have.
    """
    if _NAME.fullmatch(name) is None:
        raise Malformed("no name of an import", field=repr(name))
    if file is None:
        return join(FOLDER, name)
    if _FILE.fullmatch(file) is None or file.endswith(_PART):
        raise Malformed("no name of a file to be imported", field=repr(file))
    return join(FOLDER, name, file)


def noted(root: Root, name: str) -> Mapping[str, object]:
    """What `Incoming.note` wrote of a whole import. Reads only.

    Raises:
        NotFound: there is no such import, or it was cut off before its end.
        Malformed: it is not what `note` writes.
    """
    path = join(path_of(name), _NOTE)
    try:
        value = json.loads(root.read(path))
    except (ValueError, RecursionError) as error:
        raise Malformed(str(error), path=path) from error
    if not isinstance(value, dict):
        raise Malformed("not an object", path=path)
    return value


class Incoming:
    """One import that is being filled; made by `receiving`."""

    def __init__(self, root: Root, writer: Writer, name: str) -> None:
        self._root = root
        self._writer = writer
        self.name = name

    def size(self, file: str) -> int | None:
        """Bytes of a file that is whole already; None where there is none."""
        try:
            return self._root.stat(path_of(self.name, file)).size
        except NotFound:
            return None

    def put(self, file: str, chunks: Iterable[bytes], *, mode: int, like: str | None = None) -> int:
        """Write a file whole, in place of one that is there; gives its bytes.

        What `chunks` raises ends it, and nothing of the file is left.

        Args:
            file: its name.
            chunks: its content.
            mode: its exact permission bits, which it keeps in the store.
            like: a folder of the store whose owner it gets.

        Raises:
            NoSpace and others of `Writer`.
        """
        path = path_of(self.name, file)
        part = path + _PART
        self._writer.remove(part, missing_ok=True)
        size = self._writer.create_from(part, chunks, mode=mode, like=like)
        self._writer.move(part, path, replace=True)
        return size

    def note(self, what: Mapping[str, object]) -> None:
        """Say what the files are: the import is whole."""
        data = json.dumps(what, separators=(",", ":"), sort_keys=True).encode()
        self._writer.replace(join(path_of(self.name), _NOTE), data)


@contextmanager
def receiving(root: Root, name: str, *, ops: FileOps = SYSTEM) -> Iterator[Incoming]:
    """Fill an import, or go on with one that was cut off; no other program does so meanwhile.

    Args:
        root: the store's root.
        name: 8 to 64 hex digits; the same for the same content, so that it is found again.
        ops: the file operations, for tests.

    Raises:
        Locked: another program is filling it.
        ReadOnly, NoPermission, NoSpace: the folder cannot be made.
    """
    writer = Writer(root, ops)
    folder = path_of(name)
    with contextlib.suppress(AlreadyExists):
        writer.create_folders(folder)
    with locks.hold(root, folder):
        yield Incoming(root, writer, name)


def discard(root: Root, name: str, *, ops: FileOps = SYSTEM) -> None:
    """Remove an import, whole or not; one that is not there is fine."""
    writer = Writer(root, ops)
    with contextlib.suppress(NotFound):
        writer.remove_tree(path_of(name))
    for folder in (FOLDER, FOLDER.rpartition("/")[0]):
        with contextlib.suppress(OrlopError):  # best effort: something else is in it, or an empty folder harms nobody
            writer.remove_folder(folder)


def waiting(root: Root) -> tuple[str, ...]:
    """Names of the imports that wait or were cut off."""
    try:
        return tuple(name for name in root.names(FOLDER) if _NAME.fullmatch(name))
    except NotFound:
        return ()
