"""Plans that remove what nothing needs: rendered trees, debris, and records of the catalogue that lead nowhere.

rkt's own ``image gc`` (v1.30.0, rkt/image_gc.go) removes trees, and images by the time of
their last use; images that can be used stay here. An archive without a row that is what
its key says is no garbage but half an image: a repair gives it its row.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from orlop.fs import Root
from orlop.intent import Clean
from orlop.plan import Parts, Plan, Refusal
from orlop.records import StoreId
from orlop.rkt import catalogue, layout
from orlop.rkt.changeable import unchangeable
from orlop.rkt.leftovers import LOCK_FILE, TEMPORARY
from orlop.rkt.model import CatalogueState, Image, Model, State
from orlop.rkt.planning import Steps, counted, hashed, short, title
from orlop.rkt.remoteplans import shown

PARTS = ("trees", "debris", "remotes", "rows", "archives", "manifests")
"""What can be cleaned by itself."""
_WITHOUT_ROWS = ("trees", "debris")
"""What can be cleaned though the catalogue cannot be changed."""

_GONE = (State.MISSING, State.WRONG_KIND)


def plan_clean(root: Root, model: Model, identity: StoreId, intent: Clean) -> Plan | Refusal:
    """Remove what nothing needs and what was last changed before a time; reasons say what stays and why.

    Raises:
        Changed, NoPermission, StorageFailure: as `Steps.plan`; an archive without a row cannot be hashed.
    """
    parts = Parts(intent, PARTS)
    sweep = _Sweep(root, model, intent.before)
    bad = unchangeable(root, model)
    if bad is not None and model.catalogue.state in (CatalogueState.OLD, CatalogueState.LATER):
        return Refusal(action="clean", reasons=bad.reasons, do=bad.do)
    for name, take in zip(PARTS, sweep.takes(), strict=True):
        if intent.wants(name) and (bad is None or name in _WITHOUT_ROWS):
            take()
            parts.add(name, sweep.things, sweep.steps.taken)
    if bad is not None:
        sweep.keep_all(bad.reasons[0])
    if intent.untagged:
        sweep.steps.say("note", "images without a name", "there are none: the name is inside an image's manifest")
    action = "clean: " + (", ".join(sweep.counted()) or "nothing to remove")
    plan = sweep.steps.plan(identity, intent, action)
    return plan if isinstance(plan, Refusal) else replace(plan, parts=tuple(parts.found))


class _Sweep:
    """One plan in the making."""

    def __init__(self, root: Root, model: Model, before: int) -> None:
        self.root = root
        self.model = model
        self.before = before
        self.steps = Steps(root, model)
        self._counts: dict[str, int] = {}

    @property
    def things(self) -> int:
        """How many things go so far."""
        return sum(self._counts.values())

    def takes(self) -> tuple[Callable[[], None], ...]:
        """What takes each of `PARTS`."""
        return (self.trees, self.debris, self.remotes, self.rows, self.archives, self.manifests)

    def counted(self) -> Iterator[str]:
        """What goes, each kind with its number."""
        for noun, count in self._counts.items():
            yield counted(count, noun)

    def trees(self) -> None:
        """Rendered trees that no pod stands on, finished or not."""
        unused = [tree for _, tree in sorted(self.model.trees.items()) if not self.model.tree_pods.get(tree.id)]
        if unused and not self.model.pods_known:
            subject = counted(len(unused), "rendered tree")
            self.steps.say("keep", subject, "the pods cannot all be known, and one may stand on it")
            return
        rows_known = unchangeable(self.root, self.model) is None
        for tree in unused:
            if tree.mtime >= self.before:
                self.steps.say("keep", f"tree {tree.id}", "it changed too lately")
            elif self.steps.drop_tree(tree) if rows_known else self.steps.move(tree.path):
                because = tree.problem or "no pod stands on it: rkt renders it again when one does"
                self._say("tree", tree.id, because)

    def debris(self) -> None:
        """Temporary files, and locks of keys and trees that are gone."""
        locks = 0
        for stray in sorted(self.model.debris, key=lambda stray: stray.path):
            if stray.mtime >= self.before:
                continue
            folder = stray.path.rpartition("/")[0]
            if stray.kind == TEMPORARY and self.steps.move(stray.path):
                self._say("temporary file", stray.path, f"{stray.bytes} bytes; a fetch that was refused or cut left it")
            elif stray.kind == LOCK_FILE and folder in (layout.LOCKS, layout.TREE_LOCKS):
                locks += self.steps.move(stray.path)
        if locks:
            self._counts["lock"] = locks
            self.steps.say(
                "debris", counted(locks, "lock"), "of images and trees that are gone: rkt never removes them"
            )

    def remotes(self) -> None:
        """Records that lead to no row."""
        for url, row in sorted(self.model.remotes.items()):
            image = self.model.images.get(row.key)
            if (image is None or image.row is None) and row.downloaded < self.before:
                self.steps.edits.append(catalogue.DropRemote(url=url))
                self._say("remote record", shown(url), f"leads to {short(row.key)}, which has no row")

    def rows(self) -> None:
        """Rows whose archive is gone, with what is left of the image."""
        for key, image in sorted(self.model.images.items()):
            if image.row is None or image.blob.state not in _GONE or image.row.imported >= self.before:
                continue
            why = self._needed(image)
            if why:
                self.steps.say("keep", f"image {title(self.model, key)}", f"{image.blob.why}; but {why}")
                continue
            self.steps.drop(key)
            self._say("row", title(self.model, key), f"{image.blob.why}: nothing of the image can be used")

    def archives(self) -> None:
        """Archives that no row leads to and that are not what their key says."""
        loose = [
            image
            for _, image in sorted(self.model.images.items())
            if image.row is None and image.blob.state is not State.MISSING and image.blob.mtime < self.before
        ]
        verdicts = hashed(self.root, loose)
        for image in loose:
            verdict = verdicts.get(image.key)
            if verdict is not None and verdict.sound:
                because = "no row leads to it, but its bytes have its key: `orlop repair PATH` gives it a row"
                self.steps.say("keep", f"archive {title(self.model, image.key)}", because)
            elif verdict is not None and not verdict.actual:
                self.steps.say("keep", f"archive {title(self.model, image.key)}", f"it cannot be read: {verdict.why}")
            elif self._needed(image):
                self.steps.say("keep", f"archive {title(self.model, image.key)}", self._needed(image))
            else:
                self.steps.drop(image.key)
                self._say(
                    "archive", title(self.model, image.key), "no row leads to it, and its bytes are not its key's"
                )

    def manifests(self) -> None:
        """Manifests that have neither a row nor an archive."""
        for key, image in sorted(self.model.images.items()):
            if image.row is not None or image.blob.state is not State.MISSING or self._unseen(key):
                continue
            path = layout.manifest(key)
            if self.root.exists(path) and self.root.stat(path).mtime < self.before and self.steps.move(path):
                self._say("manifest", title(self.model, key), "neither a row nor an archive is left of the image")

    def keep_all(self, why: str) -> None:
        """Say that nothing can be told of images."""
        self.steps.say("keep", "every image and record", why)

    # judging

    def _needed(self, image: Image) -> str:
        """Why a broken image is left: it is in use, or cannot be seen, or others are built on it."""
        if self._unseen(image.key):
            return "its place cannot be looked at"
        pods = self.model.pods.get(image.key, ())
        if pods:
            return f"pod {pods[0]} has an app of it"
        above = [key for key in self.model.dependents_of.get(image.key, ()) if self.model.images[key].row is not None]
        if above:
            return f"{title(self.model, above[0])} depends on it: fetch it again, or remove both"
        return ""

    def _unseen(self, key: str) -> bool:
        paths = (layout.blob(key), layout.manifest(key)) if layout.is_key(key) else ()
        return any(self.model.unseen(path) for path in paths)

    def _say(self, noun: str, subject: str, because: str) -> None:
        self._counts[noun] = self._counts.get(noun, 0) + 1
        self.steps.say("debris" if noun in ("temporary file", "manifest") else "remove", f"{noun} {subject}", because)
