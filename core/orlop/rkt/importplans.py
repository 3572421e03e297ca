"""The plan that takes in an image that waits: archive, manifest, then its row, as rkt writes them."""

from dataclasses import replace

from orlop import incoming, times
from orlop.fs import Root
from orlop.intent import Import
from orlop.plan import Place, Plan, Refusal
from orlop.records import StoreId
from orlop.rkt import catalogue, layout
from orlop.rkt.catalogue import ImageRow, PutImage
from orlop.rkt.choosing import Chooser
from orlop.rkt.files import FOLDER_MODE
from orlop.rkt.model import Model, State
from orlop.rkt.planning import Steps, content_digest, title
from orlop.rkt.remoteplans import put_remote
from orlop.rkt.staging import ARCHIVE, Staged, staged


def plan_import(root: Root, model: Model, identity: StoreId, intent: Import) -> Plan | Refusal:
    """Take an image in. One that is there already keeps its row, its import time included.

    rkt's own WriteACI writes the row anew in any case, and the rendered tree's size and the
    flag of the latest are lost; here only what is asked for, or wrong, changes.

    Raises:
        NotFound: nothing waits under that name.
        Malformed: what waits there is no such image.
        Changed, NoPermission, StorageFailure: as `Steps.plan`.
    """
    found = staged(root, intent.staged)
    version = _version(found)
    action = f"import {found.name}" + (f":{version}" if version else "")
    if intent.name not in ("", found.name, f"{found.name}:{version}"):
        return Refusal(
            action=action,
            reasons=(f"it is not {intent.name}: an ACI's name is inside it",),
            do="leave the name out",
        )
    taking = _Taking(root, model, found, intent)
    taking.archive()
    taking.row()
    if intent.remote is not None:
        put_remote(taking.steps, intent.remote, found.key)
    taking.remarks()
    return taking.steps.plan(identity, intent, action, rows=True)


class _Taking:
    """One plan in the making."""

    def __init__(self, root: Root, model: Model, found: Staged, intent: Import) -> None:
        self.root = root
        self.model = model
        self.found = found
        self.intent = intent
        self.steps = Steps(root, model)
        self.steps.knows(found.key, found.manifest)
        self.image = model.images.get(found.key)

    def archive(self) -> None:
        """The archive and its manifest, where they are not there or are not what they must be."""
        key, path = self.found.key, layout.blob(self.found.key)
        if self.model.unseen(path):
            self.steps.obstacles.append(f"{path} cannot be looked at")
            return
        old = self._old(path)
        if old == self.found.digest:
            self.steps.say("keep", f"archive {key}", "it is there already, byte for byte")
        else:
            self.steps.place(
                Place(
                    path=path,
                    old=old,
                    source=incoming.path_of(self.intent.staged, ARCHIVE),
                    digest=self.found.digest,
                    size=self.found.size,
                    folders=FOLDER_MODE,
                )
            )
            damaged = "; what is there has other bytes" if old is not None else ""
            self.steps.say("add", f"archive {key}", f"{self.found.size} bytes{damaged}")
            self.steps.images.add(key)
        if self.steps.manifest(key, self.found.manifest):
            self.steps.say("add", f"manifest {key}", "as the archive has it")

    def _old(self, path: str) -> str | None:
        """The digest of what is in the archive's place; None where nothing is, or it moves aside."""
        state = self.image.blob.state if self.image is not None else State.MISSING
        if state is State.MISSING:
            return None
        if state is State.WRONG_KIND:
            self.steps.move(path, first=True)
            return None
        return content_digest(self.root, path)

    def row(self) -> None:
        """Its row: a new one, or what is to be different in the one that it has."""
        found, intent = self.found, self.intent
        row = self.image.row if self.image is not None else None
        if row is None:
            fresh = ImageRow(
                key=found.key,
                name=found.name,
                imported=intent.at,
                last_used=intent.at,
                latest=intent.latest,
                size=found.size,
                tree_size=0,
            )
            self.steps.edits.append(PutImage(row=fresh))
            self.steps.images.add(found.key)
            marked = ", marked as latest" if intent.latest else ""
            self.steps.say("add", f"image {found.name}", f"{found.key}, imported {times.rfc3339(intent.at)}{marked}")
            return
        here = f"row of {title(self.model, found.key)}"
        self.steps.say("keep", here, f"imported {times.rfc3339(row.imported)}, as it was: the same image")
        right = replace(row, name=found.name, size=found.size)
        if right != row:
            self.steps.edits.append(PutImage(row=right))
            self.steps.say(
                "repair", here, f"its name and size as the archive has them: {found.name}, {found.size} bytes"
            )
        if intent.latest and not row.latest:
            self.steps.edits.append(catalogue.SetLatest(key=found.key, latest=True))
            self.steps.say("set", here, "marked as latest")
        if self.steps.edits:
            self.steps.images.add(found.key)

    def remarks(self) -> None:
        """Images below it that the store does not have."""
        chooser = Chooser(self.steps.rows_after(), self.steps.manifests_after())
        for wanted in self.steps.manifests_after()[self.found.key].dependencies:
            if chooser.dependency(wanted) is None:
                because = "it is built on that, which is not in the store: until it is, rkt cannot render it"
                self.steps.say("note", f"{self.found.name} needs {wanted.name}", because)


def _version(found: Staged) -> str:
    from orlop.rkt import manifest

    return manifest.parse(found.manifest).label("version") or ""
