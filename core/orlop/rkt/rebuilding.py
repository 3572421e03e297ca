"""The database as a whole: logs that a killed program left, and rows made anew from archives and manifests.

What an archive proves of its row: key, name and size. Its times become those of the file.
Where it came from, when it was last used and whether it is the latest is nowhere else: a
database that was lost whole is made again only with consent.

A log is never replayed over a database that it does not belong to. Where its commit is
applied, the database is replaced first and the log goes after it: applying it once more to
what it made changes nothing, and SQLite would do no more. Where it is discarded, it goes
before the database is touched.
"""

from collections.abc import Sequence

from orlop.errors import Malformed, NotFound, OrlopError
from orlop.fs import Root, changed_meanwhile
from orlop.rkt import ql
from orlop.rkt.catalogue import Contents, Edit, ImageRow, PutImage, PutRemote
from orlop.rkt.cataloguefile import LIMIT, QL, SQLITE_JOURNAL, SQLITE_LOG
from orlop.rkt.changeable import catalogue_format, full_logs
from orlop.rkt.content import Verdict
from orlop.rkt.manifest import ImageManifest
from orlop.rkt.model import CatalogueFile, CatalogueState, Image, Model, State
from orlop.rkt.planning import Steps, counted, hashed, title
from orlop.rkt.qlcatalogue import LOG
from orlop.rkt.sqlitejournal import rolled_back
from orlop.rkt.sqlitewal import applied as sqlite_applied

_CONSENT = "with --guess you consent to that"
_INDEX = SQLITE_LOG.removesuffix("-wal") + "-shm"


class Rebuilding:
    """What a repair does to the rows of a store."""

    def __init__(self, steps: Steps, guess: bool) -> None:
        self.steps = steps
        self.root: Root = steps.root
        self.model: Model = steps.model
        self.guess = guess
        self.is_asked = False
        """Whether every row is made anew."""
        self.has_applied = False
        """Whether a log is applied: the database is then exactly what that makes, for as long as the log is there."""
        self._made: set[str] = set()

    # --- one image ---------------------------------------------------------------

    def manifest(self, image: Image, verdict: Verdict | None) -> tuple[ImageManifest | None, str]:
        """The manifest that an archive proves; None and why where it proves none."""
        if verdict is None:
            return None, f"there is no archive to take it from: {image.blob.why}"
        if not verdict.actual:
            return None, f"the archive cannot be read: {verdict.why}"
        if not verdict.sound:
            return None, "the bytes of the archive do not have its key"
        if verdict.manifest is None:
            return None, "the archive holds no manifest that appc allows"
        return verdict.manifest, ""

    def row(self, image: Image, verdict: Verdict | None) -> str:
        """Give an image a row; why it cannot have one, else empty."""
        manifest, why = self.manifest(image, verdict)
        if manifest is None:
            return why
        if image.key in self._made:
            return ""
        self._made.add(image.key)
        if image.manifest.parsed != manifest:
            self.steps.manifest(image.key, manifest.marshal())
            self.steps.say("repair", f"manifest of {title(self.model, image.key)}", "written again from the archive")
        mtime = image.blob.mtime
        row = ImageRow(
            key=image.key,
            name=manifest.name,
            imported=mtime,
            last_used=mtime,
            latest=False,
            size=image.blob.size,
            tree_size=0,
        )
        self.steps.edits.append(PutImage(row=row))
        self.steps.images.add(image.key)
        because = "a row again: its bytes have its key; imported and last used when its file was written"
        self.steps.say("repair", f"image {manifest.name} {image.key}", because)
        return ""

    # --- the database --------------------------------------------------------------

    def database(self, path: str, subject: str) -> str:
        """Put the database right as far as what is there proves it; why not, else empty.

        Raises:
            NotFound: nothing is wrong with it.
            Changed, NoPermission, StorageFailure
        """
        found = self.model.catalogue
        if path not in (found.path, found.log_path):
            raise _not_found(path)
        if self.is_asked or self.steps.base is not None:
            return ""
        match found.state:
            case CatalogueState.PENDING:
                return self._log(found)
            case CatalogueState.DAMAGED if found.log_path and found.kind != QL:
                return self._sqlite_log(found, self._read(found.path))
            case CatalogueState.DAMAGED | CatalogueState.MISSING:
                return self._anew(found)
            case CatalogueState.GOOD if subject == "faults":
                return self._faults(found)
            case CatalogueState.GOOD:
                raise _not_found(path)
            case _:
                return found.why or "nothing here can change it"

    def _log(self, found: CatalogueFile) -> str:
        data = self._read(found.path)
        if found.kind != QL:
            return self._sqlite_log(found, data)
        log = self._read(LOG)
        if ql.wal_state(log) is ql.LogState.COMPLETE:
            try:
                self.steps.base = ql.applied(data, log)
            except Malformed as error:
                return self._foreign_log(found, data, error.why)
            self.has_applied = True
            self.steps.move(LOG)
            self.steps.say("repair", found.path, "the commit in its write-ahead log was decided: it is applied")
            return ""
        try:
            catalogue_format(self.model).contents(data)
        except Malformed as error:
            return self._anew(found, error.why)
        self.steps.base = data
        self.steps.move(LOG, first=True)
        self.steps.say("repair", LOG, "removed: the commit was cut off before it was decided, the rows are as before")
        return ""

    def _foreign_log(self, found: CatalogueFile, data: bytes, why: str) -> str:
        if not self.guess:
            return f"the write-ahead log is complete, and cannot be applied ({why}); it would be lost: {_CONSENT}"
        try:
            catalogue_format(self.model).contents(data)
        except Malformed as error:
            return self._anew(found, error.why)
        self.steps.base = data
        self.steps.move(LOG, first=True)
        self.steps.say("repair", LOG, f"removed, a guess: it is complete, and {why}")
        return ""

    def _sqlite_log(self, found: CatalogueFile, data: bytes) -> str:
        """What SQLite would do at its next opening: put old pages back, and take over what was committed."""
        logs = full_logs(self.root, self.model)
        try:
            if SQLITE_JOURNAL in logs:
                data = rolled_back(data, self._read(SQLITE_JOURNAL))
            if SQLITE_LOG in logs:
                data = sqlite_applied(data, self._read(SQLITE_LOG))
            catalogue_format(self.model).contents(data)
        except Malformed as error:
            return self._anew(found, error.why)
        self.steps.base = data
        self.has_applied = True
        for log in (*logs, _INDEX):
            self.steps.move(log)
        self.steps.say("repair", found.path, f"as SQLite makes it from {' and '.join(logs)} at its next opening")
        return ""

    def _faults(self, found: CatalogueFile) -> str:
        """A database that contradicts itself, and whose rows can be read: written anew from these."""
        contents = found.contents
        unlisted = [image for image in self.model.images.values() if image.row is None]
        if not self.guess:
            return (
                "it can be written anew from the rows that can be read; a remote record that only its index "
                f"still knew would be lost: {_CONSENT}"
            )
        self._rewrite(contents)
        kept = f"{counted(len(contents.images), 'image')}, {counted(len(contents.remotes), 'remote record')}"
        self.steps.say("repair", found.path, f"written anew, a guess: with all rows that could be read ({kept})")
        self._rows(unlisted)
        return ""

    def _anew(self, found: CatalogueFile, why: str = "") -> str:
        """A database that is lost: every row made from its archive."""
        if not self.guess:
            count = counted(len(self.model.images), "image")
            return (
                f"the rows of {count} can be made anew from the archives; remote records, last uses and the "
                f"flag of the latest are lost: {_CONSENT}"
            )
        for log in full_logs(self.root, self.model):
            self.steps.move(log, first=True)
            self.steps.say("repair", log, "removed: it cannot be applied to a database that is lost")
        if found.digest is None and found.state is not CatalogueState.MISSING:
            self.steps.move(found.path, first=True)  # a folder or link in its place
        if found.kind != QL:
            self.steps.move(_INDEX, first=True)
        self._rewrite(Contents(version=0, images=(), remotes=()))
        because = f"made anew, a guess: {why or found.why}; remote records and the flag of the latest are lost"
        self.steps.say("repair", found.path, because)
        self._rows(list(self.model.images.values()))
        return ""

    def _rewrite(self, contents: Contents) -> None:
        """Begin with a file of exactly these rows."""
        self.is_asked = True
        formatting = catalogue_format(self.model)
        rows: list[Edit] = [
            *(PutImage(row=row) for row in reversed(contents.images)),
            *(PutRemote(row=row) for row in reversed(contents.remotes)),
        ]
        self.steps.base = formatting.edited(formatting.empty(), rows)

    def _rows(self, images: Sequence[Image]) -> None:
        """Give rows to all whose archive proves them, oldest first, so that the newest is listed first."""
        verdicts = hashed(self.root, images)
        for image in sorted(images, key=lambda image: (image.blob.mtime, image.key)):
            if image.blob.state is State.MISSING:
                continue
            why = self.row(image, verdicts.get(image.key))
            if why:
                self.steps.say("keep", f"image {title(self.model, image.key)}", f"no row: {why}")

    def _read(self, path: str) -> bytes:
        try:
            return self.root.read(path, LIMIT)
        except OrlopError as error:
            raise changed_meanwhile(path) from error


def _not_found(path: str) -> NotFound:
    return NotFound(
        "the store has no such finding", path=path, why="the database can be read", do="check again: `orlop check PATH`"
    )
