"""Plans that put right what findings name, where what is there proves how.

An archive is proof of its image: its bytes, hashed now, must have its key. From it come the
manifest, the name, the size, and a row where there is none. What cannot be put right is
left, and said. The database as a whole: `orlop.rkt.rebuilding`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

from orlop.errors import NotFound
from orlop.fs import Root
from orlop.intent import Repair
from orlop.plan import Plan, Refusal
from orlop.records import StoreId
from orlop.rkt import catalogue, layout
from orlop.rkt.catalogue import PutImage, SetTreeSize
from orlop.rkt.content import Verdict
from orlop.rkt.leftovers import FOREIGN, LOCK_FILE
from orlop.rkt.model import Image, Model, State
from orlop.rkt.planning import Steps, counted, hashed, some, title
from orlop.rkt.rebuilding import Rebuilding
from orlop.rkt.remoteplans import shown
from orlop.rkt.removal import obstacles
from orlop.rkt.treestore import tree_size

_ELSEWHERE: Mapping[str, str] = {
    "RK07": "it is no fault: `orlop fetch PATH URL` asks the server",
    "RK11": "the image that it needs is not in the store: fetch or import that one",
    "RK14": "it is no fault",
}

_FETCH = "fetch it again"

_Cure: TypeAlias = Callable[[str, str], str]
"""Adds the steps for a path and a subject; why not where it cannot, else empty."""


def plan_repair(root: Root, model: Model, identity: StoreId, intent: Repair) -> Plan | Refusal:
    """Put right what some findings name; what cannot be is left, with the reason.

    Raises:
        NotFound: a finding is not, or no longer, true of the store.
        Changed: a file changed while it was looked at.
        NoPermission, StorageFailure: an archive cannot be hashed.
    """
    findings = sorted(set(intent.findings))
    mending = _Mending(root, model, intent.guess)
    left: list[str] = []
    cured = 0
    for rule, path, subject in findings:
        why = mending.cure(rule, path, subject)
        if why:
            left.append(f"{rule} at {path}: {why}")
            mending.steps.say("keep", subject or path, f"{rule}: {why}")
        else:
            cured += 1
    if left and not cured:
        action = "repair " + (findings[0][0] if len(findings) == 1 else counted(len(findings), "finding"))
        return Refusal(action=action, reasons=tuple(left), do="`orlop explain RULE` says what can be done")
    return mending.steps.plan(identity, intent, f"repair {counted(cured, 'finding')}")


class _Mending:
    """One plan in the making."""

    def __init__(self, root: Root, model: Model, guess: bool) -> None:
        self.root = root
        self.model = model
        self.steps = Steps(root, model)
        self.rebuilding = Rebuilding(self.steps, guess)
        self._verdicts: dict[str, Verdict | None] = {}
        self._dropped: set[str] = set()
        self._mended: set[str] = set()
        self._trees = {tree.path: tree for tree in model.trees.values()}
        self._strays = {stray.path: stray for stray in model.debris}
        self._cures: dict[str, _Cure] = {
            "RK01": self.rebuilding.database,
            "RK02": self.bad_archive,
            "RK03": self.without_row,
            "RK04": self.without_archive,
            "RK05": self.bad_manifest,
            "RK06": self.lost_remote,
            "RK08": self.bad_tree,
            "RK09": self.bad_tree,
            "RK10": self.bad_tree,
            "RK12": self.wrong_size,
            "RK13": self.debris,
        }

    def cure(self, rule: str, path: str, subject: str) -> str:
        """Add what puts a finding right; why it cannot be, else empty.

        Raises:
            NotFound: there is no such finding.
        """
        if self.rebuilding.has_applied and rule != "RK01":
            return "the database comes first: check and repair again when it is right"
        cure = self._cures.get(rule)
        if cure is None:
            if rule not in _ELSEWHERE:
                raise NotFound(f"there is no rule {rule}", do="`orlop explain` lists the rules")
            return _ELSEWHERE[rule]
        return cure(path, subject)

    # --- images ------------------------------------------------------------------

    def bad_archive(self, path: str, subject: str) -> str:
        """Take an image away whose archive is not what its key says, so that it can be fetched again."""
        image = self._image_at(path, subject)
        if image.blob.state is State.GOOD:
            verdict = self._verdict(image)
            if verdict is None or not verdict.actual:
                return "the archive cannot be read" + (f": {verdict.why}" if verdict is not None else "")
            if verdict.sound:
                raise _not_found(path, "its bytes have its key")
        elif image.blob.state is State.UNREADABLE:
            return f"the archive cannot be read: {image.blob.why}"
        return self._take_away(image, "its archive is not what its key says")

    def without_archive(self, path: str, subject: str) -> str:
        """Take a row away whose archive is gone."""
        image = self._image_at(path, subject)
        if image.row is None or image.blob.state not in (State.MISSING, State.WRONG_KIND):
            raise _not_found(path, "no row without an archive is there")
        return self._take_away(image, image.blob.why)

    def _take_away(self, image: Image, because: str) -> str:
        if image.key in self._dropped:
            return ""
        for why in obstacles(self.model, image):
            return why
        urls = self.model.remotes_of.get(image.key, ())
        again = f"{_FETCH} from {some(map(shown, urls))}" if urls else f"{_FETCH}, its name is free again"
        self._dropped.add(image.key)
        self.steps.drop(image.key)
        self.steps.say("repair", f"image {title(self.model, image.key)}", f"taken away, {because}: {again}")
        for above in self.model.dependents_of.get(image.key, ()):
            self.steps.images.add(above)
            self.steps.say("note", f"image {title(self.model, above)}", "it is built on it, and waits until it is back")
        return ""

    def without_row(self, path: str, subject: str) -> str:
        """Give an archive that is what its key says the row that it lacks."""
        image = self._image_at(path, subject)
        if image.row is not None:
            raise _not_found(path, "a row leads to it")
        if self.rebuilding.is_asked:
            return ""  # every archive gets its row
        why = self.rebuilding.row(image, self._verdict(image))
        return f"{why}: `orlop clean PATH` removes what is not its key's" if why else ""

    def bad_manifest(self, path: str, subject: str) -> str:
        """Write a manifest again from the archive, and the name that it has into the row."""
        image = self._image_at(path, subject)
        if image.key in self._dropped or image.key in self._mended:
            return ""
        manifest, why = self.rebuilding.manifest(image, self._verdict(image))
        if manifest is None:
            return why
        here = title(self.model, image.key)
        changed = self.steps.manifest(image.key, manifest.marshal())
        if changed:
            self.steps.say("repair", f"manifest of {here}", "written again from the archive, which has its key")
        if image.row is not None and image.row.name != manifest.name:
            self._change(image.key, name=manifest.name)
            self.steps.say("repair", f"row of {here}", f"its name is {manifest.name}, as the archive says")
        elif not changed:
            raise _not_found(path, "it is the manifest of its archive")
        self._mended.add(image.key)
        return ""

    def wrong_size(self, path: str, subject: str) -> str:
        """Write the size of the archive, or of the rendered tree, into the row."""
        tree = self.model.trees.get(subject)
        if tree is not None:
            image = self.model.images.get(tree.image or "")
            if image is None or image.row is None:
                raise _not_found(path, "no row has a size of that tree")
            size = tree_size(self.root, tree.path)
            self.steps.edits.append(SetTreeSize(key=image.key, size=size))
            self.steps.images.add(image.key)
            self.steps.say("repair", f"row of {title(self.model, image.key)}", f"{size} bytes of rendered tree")
            return ""
        image = self.model.images.get(subject)
        if image is None or image.row is None or image.row.size == image.blob.size:
            raise _not_found(path, "no row has a wrong size there")
        if image.key in self._dropped:
            return ""
        verdict = self._verdict(image)
        if verdict is None or not verdict.sound:
            return "the archive is not what its key says, and the row may be right: repair that first"
        self._change(image.key, size=image.blob.size)
        because = f"{image.blob.size} bytes instead of {image.row.size} bytes: its archive has its key"
        self.steps.say("repair", f"row of {title(self.model, image.key)}", because)
        return ""

    def _change(self, key: str, *, name: str | None = None, size: int | None = None) -> None:
        """Write a row again, with what an earlier cure of the same plan made of it."""
        row = self.steps.row_after(key)
        if row is not None:
            changed = replace(row, name=row.name if name is None else name, size=row.size if size is None else size)
            self.steps.edits.append(PutImage(row=changed))
            self.steps.images.add(key)

    # --- the rest ------------------------------------------------------------------

    def lost_remote(self, path: str, subject: str) -> str:
        """Forget a record that leads to no row."""
        row = self.model.remotes.get(subject)
        image = self.model.images.get(row.key) if row is not None else None
        if row is None or (image is not None and image.row is not None):
            raise _not_found(path, "no record of that URL leads nowhere")
        self.steps.edits.append(catalogue.DropRemote(url=subject))
        self.steps.say("repair", shown(subject), "forgotten: it led to an image that has no row")
        return ""

    def bad_tree(self, path: str, subject: str) -> str:
        """Remove a rendered tree that no pod stands on."""
        tree = self._trees.get(path)
        if tree is None:
            raise _not_found(path, "no rendered tree is there")
        pods = self.model.tree_pods.get(tree.id, ())
        if pods:
            return f"{counted(len(pods), 'pod')} stands on it: remove {some(pods)} first"
        if not self.model.pods_known:
            return "whether a pod stands on it cannot be known"
        if self.steps.drop_tree(tree):
            self.steps.say("repair", f"tree {tree.id}", "removed: rkt renders it again from the archive")
        return ""

    def debris(self, path: str, subject: str) -> str:
        """Remove a leftover that is surely one."""
        key = layout.key_at(path)
        if key is not None and key in self.model.images and path == layout.manifest(key):
            if self.model.images[key].row is not None or self.model.images[key].blob.state is not State.MISSING:
                raise _not_found(path, "it is the manifest of an image")
            self.steps.drop(key)
            self.steps.say("repair", path, "removed, the manifest of an image that is gone")
            return ""
        stray = self._strays.get(path)
        if stray is None and path in (layout.LOCKS, layout.TREE_LOCKS):
            return "locks do no harm: `orlop clean PATH` removes those of keys that are gone"
        if stray is None:
            raise _not_found(path, "no leftover is there")
        if stray.kind in (FOREIGN, LOCK_FILE):
            return "nobody here knows what it is for" if stray.kind == FOREIGN else "it does no harm"
        if self.steps.move(path):
            self.steps.say("repair", path, f"removed, {stray.bytes} bytes of a {stray.kind}")
        return ""

    # --- looking -------------------------------------------------------------------

    def _image_at(self, path: str, subject: str) -> Image:
        """The image that a finding is about: by its file, or by its key where no file could have that.

        Raises:
            NotFound: there is none.
        """
        image = self.model.images.get(layout.key_at(path) or subject)
        if image is None:
            raise _not_found(path, "no image is there")
        return image

    def _verdict(self, image: Image) -> Verdict | None:
        """What hashing the archive gives; once."""
        if image.key not in self._verdicts:
            self._verdicts[image.key] = hashed(self.root, (image,)).get(image.key)
        return self._verdicts[image.key]


def _not_found(path: str, why: str) -> NotFound:
    return NotFound("the store has no such finding", path=path, why=why, do="check again: `orlop check PATH --content`")
