"""What the plans of an ACI store are made of: steps bound to what was seen, and a reason for each.

A change of rows is one new catalogue file in the place of the old. It stands between the
files that rows are to lead to, which come before it, and those that no row leads to any
more, which go after it: rkt's own order (v1.30.0, store/imagestore/store.go: WriteACI,
RemoveACI), so that a cut anywhere leaves at most files without a row.

rkt opens its database anew for each transaction, so that a file that was put in its place
by a rename is what it meets next. While a plan is applied no program has it open: each
holds the store's folder, and the guard has that alone.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from orlop.errors import NotFound, WrongKind
from orlop.fs import Root, changed_meanwhile
from orlop.intent import Intent
from orlop.plan import Place, Plan, Quarantine, Reason, Refusal, Replace, Step
from orlop.progress import Silent
from orlop.records import StoreId
from orlop.rkt import checkimages, layout
from orlop.rkt.catalogue import DropImage, Edit, ImageRow, PutImage, SetLatest, SetTreeSize
from orlop.rkt.cataloguefile import QL
from orlop.rkt.changeable import catalogue_bytes, catalogue_format, stat_of, unchangeable
from orlop.rkt.choosing import Chooser
from orlop.rkt.content import Verdict, verdicts
from orlop.rkt.files import DATABASE_MODE, FOLDER_MODE, MANIFEST_MODE
from orlop.rkt.imagefiles import parsed
from orlop.rkt.model import Blob, Image, Manifest, Model, State, Tree
from orlop.rkt.rows import key_of

MANY = 20
"""Images that a plan may take without being weighty."""

_SQLITE_MODE = 0o660
_CHUNK = 1 << 20
_MOVABLE = ("file", "folder", "link")


class Steps:
    """The steps, reasons and images of a plan in the making."""

    def __init__(self, root: Root, model: Model) -> None:
        self.root = root
        self.model = model
        self.reasons: list[Reason] = []
        self.images: set[str] = set()
        self.obstacles: list[str] = []
        """What stands in the way, each one clause."""
        self.edits: list[Edit] = []
        """What becomes of the rows, in order."""
        self.base: bytes | None = None
        """The catalogue file that the edits are made on, where it is not the one that is there."""
        self.added = 0
        """Bytes that were not in the store before."""
        self._first: list[Step] = []
        self._last: list[Step] = []
        self._moved: set[str] = set()
        self._manifests: dict[str, Manifest] = {}
        self._written: dict[str, bytes] = {}
        self._rows: dict[str, ImageRow] | None = None
        self._seen: tuple[bytes | None, int] = (None, 0)

    def say(self, verb: str, subject: str, because: str = "") -> None:
        """Give a reason."""
        self.reasons.append(Reason(verb=verb, subject=subject, because=because))

    def move(self, path: str, *, first: bool = False) -> bool:
        """Move what is at a path to the quarantine; False where nothing is, or it went with what is above it.

        Args:
            path: relative to the store's folder.
            first: before the rows change, where something else comes to that place.

        Raises:
            NoPermission, StorageFailure
        """
        if any(above in self._moved for above in _upwards(path)):
            return False
        found = stat_of(self.root, path)
        if found is None:
            return False
        if found.kind not in _MOVABLE:
            self.obstacles.append(f"a {found.kind} is at {path}; Orlop moves files, folders and links only")
        elif found.device != self.root.stat(path.rpartition("/")[0]).device:
            self.obstacles.append(f"another file system is mounted at {path}, which nothing can move")
        else:
            size = self.root.allocated(path)
            step = Quarantine(path=path, kind=found.kind, inode=found.inode, bytes=size)
            (self._first if first else self._last).append(step)
            self._moved.add(path)
        return True

    def drop(self, key: str) -> None:
        """Remove a row with the records that lead to it, and then the archive and the manifest.

        Raises:
            NoPermission, StorageFailure
        """
        image = self.model.images[key]
        if image.row is not None:
            self.edits.append(DropImage(key=key))
        if layout.is_key(key):
            self.move(layout.blob(key))
            self.move(layout.manifest(key))
        self.images.add(key)

    def drop_tree(self, tree: Tree) -> bool:
        """Remove a rendered tree whole, and its size from the row of its image, as rkt does.

        Raises:
            NoPermission, StorageFailure
        """
        if not self.move(tree.path):
            return False
        image = self.model.images.get(tree.image or "")
        if image is not None and image.row is not None and image.row.tree_size:
            self.edits.append(SetTreeSize(key=image.key, size=0))
            self.images.add(image.key)
        return True

    def manifest(self, key: str, raw: bytes) -> bool:
        """Let the stored manifest of a key be these bytes; False where it is, or will be.

        Raises:
            Changed: it is no longer what was read.
            NoPermission, StorageFailure
        """
        path = layout.manifest(key)
        found = self._known_manifest(key)
        if raw in (found.raw, self._written.get(key)):
            return False
        self._written[key] = raw
        old: str | None = None
        if found.raw is not None:
            old = "sha256:" + hashlib.sha256(found.raw).hexdigest()
        elif found.state is State.WRONG_KIND:
            self.move(path, first=True)
        elif found.state is not State.MISSING:
            old = content_digest(self.root, path)
        self._first.append(Replace(path=path, old=old, new=raw, mode=MANIFEST_MODE, folders=FOLDER_MODE))
        self._manifests[key] = parsed(raw)
        self.images.add(key)
        return True

    def place(self, step: Place) -> None:
        """Add an archive that waits in the store."""
        self._first.append(step)
        self.added += step.size

    def knows(self, key: str, raw: bytes) -> None:
        """Say what the manifest of a key is, which the model does not know."""
        self._manifests[key] = parsed(raw)

    def _known_manifest(self, key: str) -> Manifest:
        image = self.model.images.get(key)
        return image.manifest if image is not None else Manifest(state=State.MISSING)

    # --- what comes of it ------------------------------------------------------

    def lost(self) -> Iterator[tuple[str, str, str | None]]:
        """Dependencies that would change: the key above, the key that goes, and the one that is taken then."""
        chooser = Chooser(self.rows_after(), self.manifests_after())
        for row in self.rows_after():
            image = self.model.images.get(row.key)
            if image is None or image.row is None:
                continue
            for wanted, before in zip(image.manifest.dependencies, image.dependencies, strict=True):
                if before is not None and (now := chooser.dependency(wanted)) != before:
                    yield image.key, before, now

    def _reveals(self) -> tuple[tuple[str, str, str], ...]:
        """Dependencies that nothing answers afterwards, as the check will tell of them, and did not before."""
        before = {identity for image in self.model.images.values() for identity in _lacking(self.model, image)}
        rows = {row.key: row for row in self.rows_after()}
        manifests = self.manifests_after()
        chooser = Chooser(tuple(rows.values()), manifests)
        found: set[tuple[str, str, str]] = set()
        for key, row in rows.items():
            manifest = manifests.get(key, Manifest(state=State.MISSING))
            chosen = tuple(map(chooser.dependency, manifest.dependencies))
            if None in chosen:
                known = self.model.images.get(key)
                blob = known.blob if known is not None else Blob(state=State.GOOD)
                image = Image(key=key, row=row, blob=blob, manifest=manifest, dependencies=chosen)
                lacking = set(_lacking(self.model, image)) - before
                if lacking:
                    self.images.add(key)
                found |= lacking
        return tuple(sorted(found))

    def rows_after(self) -> tuple[ImageRow, ...]:
        """Every row after the edits so far, newest written first."""
        return tuple(reversed(self._current().values()))

    def row_after(self, key: str) -> ImageRow | None:
        """The row of a key after the edits so far."""
        return self._current().get(key)

    def _current(self) -> dict[str, ImageRow]:
        """Rows by key, oldest first, after the edits so far; each edit is looked at once."""
        if self._seen[0] is not self.base:
            self._rows, self._seen = None, (self.base, 0)
        if self._rows is None:
            contents = self.model.catalogue.contents
            if self.base is not None:
                contents = catalogue_format(self.model).contents(self.base)
            self._rows = {row.key: row for row in reversed(contents.images)}
        for edit in self.edits[self._seen[1] :]:
            _edit(self._rows, edit)
        self._seen = (self.base, len(self.edits))
        return self._rows

    def manifests_after(self) -> dict[str, Manifest]:
        """Every manifest after the steps so far, by key."""
        return {key: image.manifest for key, image in self.model.images.items()} | self._manifests

    # --- the end ---------------------------------------------------------------

    @property
    def taken(self) -> tuple[Step, ...]:
        """The steps so far, but for that on the catalogue."""
        return (*self._first, *self._last)

    def plan(
        self, identity: StoreId, intent: Intent, action: str, *, do: str = "", rows: bool = False
    ) -> Plan | Refusal:
        """The plan of all that was collected; or what stands in its way.

        Args:
            identity: the store.
            intent: what it is made for.
            action: its headline.
            do: what a person can do where something stands in the way.
            rows: whether it needs to know all rows, though it may change none.

        Raises:
            Changed: the catalogue is no longer what was read.
            NoPermission, StorageFailure
        """
        if (rows or self.edits) and self.base is None and (bad := unchangeable(self.root, self.model)) is not None:
            return replace(bad, action=action)
        if self.obstacles:
            return Refusal(action=action, reasons=tuple(dict.fromkeys(self.obstacles)), do=do)
        steps = (*self._first, *self._catalogue(), *self._last)
        reveals = self._reveals() if self.edits or self.base is not None else ()
        return Plan(
            action=action,
            kind=identity.kind,
            store=identity.token,
            intent=intent,
            steps=steps,
            reasons=tuple(self.reasons),
            images=tuple(sorted(self.images)),
            bytes_now=0,
            bytes_freed=sum(step.bytes for step in steps if isinstance(step, Quarantine)),
            bytes_kept=0,
            bytes_added=self.added,
            weighty=len(self.images) > MANY,
            reveals=reveals,
        )

    def _catalogue(self) -> Iterator[Step]:
        """The step that changes the rows, where they do change."""
        if not self.edits and self.base is None:
            return
        found = self.model.catalogue
        present = found.digest is not None and found.path not in self._moved
        data = self.base if self.base is not None else catalogue_bytes(self.root, self.model)
        new = catalogue_format(self.model).edited(data, self.edits)
        if present and "sha256:" + hashlib.sha256(new).hexdigest() == found.digest:
            return
        yield Replace(
            path=found.path,
            old=found.digest if present else None,
            new=new,
            mode=DATABASE_MODE if found.kind == QL else _SQLITE_MODE,
            folders=FOLDER_MODE,
        )


def _edit(rows: dict[str, ImageRow], edit: Edit) -> None:
    match edit:
        case DropImage(key=key):
            rows.pop(key, None)
        case PutImage(row=row):
            rows.pop(row.key, None)
            rows[row.key] = row
        case SetLatest(key=key) if key in rows:
            rows[key] = replace(rows[key], latest=edit.latest)
        case SetTreeSize(key=key) if key in rows:
            rows[key] = replace(rows[key], tree_size=edit.size)
        case _:
            pass


def _lacking(model: Model, image: Image) -> Iterator[tuple[str, str, str]]:
    yield from (finding.identity for finding in checkimages.dependencies(model, image))


# --- images -------------------------------------------------------------------


def image_of(model: Model, key: str) -> Image:
    """The image of a key.

    Raises:
        NotFound: neither a row nor a file has it.
    """
    image = model.images.get(key)
    if image is None:
        raise NotFound(f"no image {key} is in the store", do="`orlop ls PATH` lists the images")
    return image


def title(model: Model, key: str) -> str:
    """An image for people: its name with the version, and its short key."""
    image = model.images.get(key)
    name = key_of(image).name if image is not None else None
    return f"{name} ({short(key)})" if name else short(key)


def hashed(root: Root, images: Sequence[Image]) -> dict[str, Verdict]:
    """What hashing the archives of some images gives, by key; those without one are left out."""
    return {verdict.key: verdict for verdict in verdicts(root, images, Silent())}


def content_digest(root: Root, path: str) -> str:
    """The sha256 of a regular file as it is now.

    Raises:
        Changed: there is none any more.
        NoPermission, StorageFailure
    """
    total = hashlib.sha256()
    try:
        with root.stream(path) as file:
            while chunk := file.read(_CHUNK):
                total.update(chunk)
    except (NotFound, WrongKind) as error:
        raise changed_meanwhile(path) from error
    return "sha256:" + total.hexdigest()


# --- words --------------------------------------------------------------------


def short(key: str) -> str:
    """A key for a headline, as rkt's own list cuts it: the algorithm and twelve digits."""
    return key[:19]


def counted(count: int, noun: str, plural: str = "") -> str:
    """A number with its noun."""
    return f"{count} {noun}" if count == 1 else f"{count} {plural or noun + 's'}"


def some(items: Iterable[str], limit: int = 2) -> str:
    """The first few of some texts, sorted, and how many more there are."""
    found = sorted(items)
    rest = len(found) - limit
    return ", ".join(found[:limit]) + (f" and {rest} more" if rest > 0 else "")


def _upwards(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path.rpartition("/")[0]
