"""Reading an archive of an image into the store's incoming folder, every byte hashed on the way.

The store itself stays as it is until the plan over what waits is applied. Cut off, it
goes on where it was: what is whole there, and what the store has already, is not copied
again. An archive that is not what it must be leaves nothing.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence

from orlop import incoming
from orlop.digest import Digest, hasher
from orlop.errors import Cancelled, DigestMismatch, Malformed, OrlopError, Unsupported
from orlop.fs import Root, translate
from orlop.incoming import Incoming
from orlop.intent import Import
from orlop.progress import Progress
from orlop.registry import archives, place
from orlop.registry.archives import ImageArchive
from orlop.registry.bundles import Bundle, Part, read_bundle
from orlop.registry.model import Model, State
from orlop.registry.naming import split_name
from orlop.registry.planning import FILE_MODE, content_digest

KIND = "registry"


def stage(root: Root, model: Model, archive: str, *, name: str, latest: bool, at: int, progress: Progress) -> Import:
    """Take an archive in, as `orlop.store.Store.stage` promises: an OCI layout or what ``docker save`` writes.

    Args:
        root: the registry's ``rootdirectory``.
        model: what the last read found: blobs that it has and that are sound are not copied.
        archive: path of a tar, plain or gzip, or of a folder with an OCI layout.
        name: ``repository[:tag]``; empty where the archive brings its own.
        latest: not for registries, where it is a tag like any other.
        at: the time of import, nanoseconds UTC.
        progress: told of the bytes.

    Raises:
        Malformed, TooLarge, DigestMismatch: the archive or the name is not what it must be; nothing waits.
        NotFound: the archive, or a part of what it must hold, is not there.
        Ambiguous: it holds several images and the name chooses none.
        Unsupported: an archive that is not taken in.
        Locked: another program is reading the same archive in.
        ReadOnly, NoSpace: it cannot wait in the store; nothing does.
        Cancelled: `progress` stopped it; what is whole waits, to be gone on with.
    """
    if latest:
        raise Unsupported("a registry has no mark for the latest", do="name it REPOSITORY:latest")
    wanted = ":".join(split_name(name)) if name else ""
    staged = _name_of(archive, wanted)
    with archives.opened(archive, progress) as opened, incoming.receiving(root, staged) as waiting:
        try:
            called = _Staging(root, model, opened, waiting).take(wanted)
        except Cancelled:
            raise
        except OrlopError:
            incoming.discard(root, staged)
            raise
    return Import(staged=staged, name=called, at=at)


def file_of(digest: str) -> str:
    """The name of a blob's file while it waits."""
    return digest.replace(":", "-")


class _Staging:
    def __init__(self, root: Root, model: Model, archive: ImageArchive, waiting: Incoming) -> None:
        self._root = root
        self._model = model
        self._archive = archive
        self._waiting = waiting
        self._sound: dict[str, bool] = {}
        blobs = place.blobs(model.base)
        self._like = blobs if root.exists(blobs) else None

    def take(self, wanted: str) -> str:
        """Copy what is missing, and say what it all is; gives the name."""
        bundle = read_bundle(self._archive, wanted, has=self._has)
        called = wanted or bundle.name
        if not called:
            raise Malformed("the archive does not say what its image is called", do="give a name: REPOSITORY:TAG")
        split_name(called)
        self._copy([part for part in bundle.blobs if not self._is_here(part)])
        self._waiting.note(_said(bundle))
        return called

    def _has(self, digest: str, size: int) -> bool:
        """Whether the store has a blob whose bytes, hashed once now, are true."""
        blob = self._model.blobs.get(digest)
        if blob is None or blob.state is not State.GOOD or blob.size != size:
            return False
        if digest not in self._sound:
            path = place.blob_data(self._model.base, digest)
            self._sound[digest] = content_digest(self._root, path, digest.partition(":")[0]) == digest
        return self._sound[digest]

    def _is_here(self, part: Part) -> bool:
        return self._waiting.size(file_of(part.digest)) == part.size or self._has(part.digest, part.size)

    def _copy(self, parts: Sequence[Part]) -> None:
        files: dict[str, Part] = {}
        for part in parts:
            if part.data is not None:
                self._put(part, iter((part.data,)))
            elif part.file in files:
                raise DigestMismatch(part.digest, files[part.file].digest, path=part.file)
            else:
                files[part.file] = part
        for name, content in self._archive.contents(files.keys()):
            self._put(files.pop(name), content)
        if files:
            name, part = next(iter(files.items()))
            raise Malformed(f"another layer of it is the same file as {part.digest}", path=name)

    def _put(self, part: Part, content: Iterator[bytes]) -> None:
        self._waiting.put(file_of(part.digest), _proven(part, content), mode=FILE_MODE, like=self._like)


def _proven(part: Part, content: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes; the last of them come with the proof that they are what the digest says."""
    hashing = hasher(part.digest.partition(":")[0])
    size = 0
    for piece in content:
        hashing.update(piece)
        size += len(piece)
        if size > part.size:
            break
        yield piece
    actual = Digest.of_hasher(hashing)
    if size != part.size or actual != part.digest:
        raise DigestMismatch(part.digest, actual, path=part.file or None)


def _said(bundle: Bundle) -> Mapping[str, object]:
    """What the plan needs to know of the files."""
    here = {part.digest for part in bundle.blobs}
    return {
        "kind": KIND,
        "manifests": [
            {
                "digest": manifest.digest,
                "needs": [digest for digest in dict.fromkeys(need.digest for need in manifest.needs) if digest in here],
            }
            for manifest in bundle.manifests
        ],
        "blobs": [{"digest": part.digest, "size": part.size} for part in bundle.blobs],
    }


def _name_of(archive: str, wanted: str) -> str:
    """The name under which an archive waits: the same for the same file, as long as nobody writes to it."""
    try:
        seen = os.stat(os.path.join(archive, "index.json") if os.path.isdir(archive) else archive)
    except OSError as error:
        raise translate(error, "the archive cannot be opened", archive) from error
    told = "\0".join((os.path.realpath(archive), str(seen.st_size), str(seen.st_mtime_ns), wanted))
    return hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()[:32]
