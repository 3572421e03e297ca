"""Building blocks for ACI stores as rkt left them: real archives and manifests, every key true.

::

    root = AciRoot.create(folder)                      # the data directory; the store is its cas
    base = root.image("example.com/base", version="1.0", files={"bin/sh": b"#!"})
    app = root.image("example.com/app", version="2", needs=[base], latest=True)
    root.remote("https://example.com/app.aci", app, etag='"2"', max_age=3600)
    root.settle()                                      # rows written, times fixed

Everything is derived from the content, so the same calls give the same bytes.
Files are given their place directly: a folder that is just being made has no
reader yet.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orlop import times
from orlop.errors import AlreadyExists
from orlop.rkt import layout
from orlop.rkt.catalogue import DropImage, Edit, ImageRow, PutImage, PutRemote, RemoteRow
from orlop.samples.trees import Files, archive

NOW = times.parse("2026-09-01T08:00:00.000000001Z")
"""When rkt was last used on the sample."""

_DAY = 86_400 * 1_000_000_000
CAS = "cas"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aci:
    """An image that was written."""

    key: str
    name: str
    image_id: str
    """``sha512-`` and all 128 digits, as a dependency names it."""
    size: int
    """Bytes of the archive."""


@dataclass(slots=True)
class AciRoot:
    """An rkt data directory that is being made."""

    path: str
    catalogue: str
    _edits: list[Edit] = field(default_factory=list)
    _times: dict[str, int] = field(default_factory=dict)

    @classmethod
    def create(cls, path: str, *, catalogue: str = "ql") -> "AciRoot":
        """Begin an empty store; `catalogue` is ``ql`` as rkt has it, or ``sqlite``.

        Raises:
            AlreadyExists: there is something in the folder.
        """
        if os.path.lexists(path) and (not os.path.isdir(path) or os.listdir(path)):
            raise AlreadyExists("a sample store needs an empty folder", path=path)
        root = cls(os.path.abspath(path), catalogue)
        for folder in layout.FOLDERS:
            root.make(folder)
        return root

    # --- single files ------------------------------------------------------

    def at(self, path: str) -> str:
        """The absolute path of a path in the store."""
        return os.path.join(self.path, CAS, path)

    def make(self, path: str, mode: int = 0o770) -> None:
        """Make a folder, and those above it."""
        os.makedirs(self.at(path), exist_ok=True)
        os.chmod(self.at(path), mode)

    def write(self, path: str, data: bytes, mode: int = 0o660, *, at: int | None = None) -> str:
        """Write a file over whatever file is there, changed last at this time; gives its path."""
        folder = os.path.dirname(path)
        if not os.path.isdir(self.at(folder)):
            self.make(folder)
        with open(self.at(path), "wb") as file:
            file.write(data)
        os.chmod(self.at(path), mode)
        if at is not None:
            self._times[path] = at
        return path

    # --- images ------------------------------------------------------------

    def image(
        self,
        name: str,
        *,
        version: str = "",
        files: Files | None = None,
        labels: Mapping[str, str] | None = None,
        needs: Sequence[Aci] = (),
        app: Mapping[str, object] | None = None,
        annotations: Mapping[str, str] | None = None,
        latest: bool = False,
        imported: int = NOW - 40 * _DAY,
        used: int | None = None,
        tree_size: int = 0,
    ) -> Aci:
        """Write one image: archive, manifest and row.

        Args:
            name: an AC identifier.
            version: its version label; empty for none.
            files: what its root file system holds.
            labels: further labels; Linux on amd64 if none says otherwise.
            needs: the images that it is built on.
            app: what it runs.
            annotations: of the manifest.
            latest: whether it was fetched without a version.
            imported: nanoseconds UTC.
            used: the same; None: when it was imported.
            tree_size: what the row says of its rendered tree.
        """
        wanted = {**({"version": version} if version else {}), "os": "linux", "arch": "amd64", **(labels or {})}
        document: dict[str, object] = {"acKind": "ImageManifest", "acVersion": "0.8.11", "name": name}
        document["labels"] = [{"name": label, "value": value} for label, value in wanted.items()]
        if app is not None:
            document["app"] = {"exec": ["/bin/sh"], "user": "0", "group": "0", **app}
        if annotations:
            document["annotations"] = [{"name": key, "value": value} for key, value in annotations.items()]
        if needs:
            document["dependencies"] = [{"imageName": one.name, "imageID": one.image_id} for one in needs]
        manifest = json.dumps(document, separators=(",", ":")).encode()
        content = {f"rootfs/{path}": data for path, data in (files or {}).items()}
        data = archive({"manifest": manifest, "rootfs": None, **content})
        made = self.keep(data, manifest, name)
        self.row(
            ImageRow(
                key=made.key,
                name=name,
                imported=imported,
                last_used=imported + 45 if used is None else used,
                latest=latest,
                size=made.size,
                tree_size=tree_size,
            )
        )
        return made

    def keep(self, data: bytes, manifest: bytes, name: str) -> Aci:
        """Keep an archive and its manifest under their key, without a row."""
        digest = hashlib.sha512(data)
        key = layout.key_of(digest.digest())
        self.write(layout.blob(key), data, 0o600)
        self.write(layout.manifest(key), manifest)
        self.write(layout.lock(key), b"")
        return Aci(key=key, name=name, image_id=f"sha512-{digest.hexdigest()}", size=len(data))

    def row(self, row: ImageRow) -> None:
        """Put a row into the catalogue, whatever it says."""
        self._edits.append(PutImage(row=row))

    def forget(self, image: Aci) -> None:
        """Take the row of an image out of the catalogue; its files stay."""
        self._edits.append(DropImage(key=image.key))

    def remote(
        self, url: str, image: Aci | str, *, etag: str = "", max_age: int = 0, downloaded: int = NOW - _DAY
    ) -> None:
        """Record where an image came from; `image` may be any key."""
        key = image if isinstance(image, str) else image.key
        signature = f"{url}.asc" if etag else ""
        row = RemoteRow(url=url, signature_url=signature, etag=etag, key=key, max_age=max_age, downloaded=downloaded)
        self._edits.append(PutRemote(row=row))

    def tree(self, image: Aci, files: Files, *, rendered: bool = True, hash: str = "") -> str:
        """Render an image; gives the id of the tree."""
        tree_id = f"deps-{layout.key_of(hashlib.sha512(image.key.encode()).digest())}"
        folder = layout.tree(tree_id)
        self.make(folder, 0o755)
        self.make(f"{folder}/rootfs", 0o755)
        for path, data in files.items():
            if isinstance(data, bytes):
                self.write(f"{folder}/rootfs/{path}", data, 0o644)
        with open(self.at(layout.manifest(image.key)), "rb") as file:
            self.write(f"{folder}/manifest", file.read(), 0o644)
        self.write(f"{folder}/hash", hash.encode(), 0o644)
        if rendered:
            self.write(f"{folder}/rendered", b"", 0o644)
        self.write(f"{folder}/image", image.key.encode(), 0o644)
        self.write(layout.tree_lock(tree_id), b"", 0o640)
        return tree_id

    # --- the end -----------------------------------------------------------

    def settle(self) -> None:
        """Write the catalogue, and give every file and folder its time."""
        path, data = self._catalogue(self._edits)
        self.write(path, data)
        for here, _, names in os.walk(os.path.join(self.path, CAS), topdown=False):
            for name in names:
                file = os.path.join(here, name)
                at = self._times.get(os.path.relpath(file, self.at("")), NOW)
                os.utime(file, ns=(at, at), follow_symlinks=False)
            os.utime(here, ns=(NOW, NOW))

    def _catalogue(self, edits: Iterable[Edit]) -> tuple[str, bytes]:
        if self.catalogue == "ql":
            from orlop.rkt.qlcatalogue import QlFormat

            return layout.QL, QlFormat().edited(QlFormat().empty(), tuple(edits))
        from orlop.rkt.sqlitecatalogue import SqliteFormat

        return layout.SQLITE, SqliteFormat().edited(SqliteFormat().empty(), tuple(edits))
