"""Where the bytes of an ACI store are: archives, rendered trees, the catalogue, what is left over."""

from collections.abc import Iterator
from typing import NamedTuple

from orlop import incoming, journal
from orlop.fs import Root, join
from orlop.progress import Progress
from orlop.rkt import layout
from orlop.rkt.leftovers import FOREIGN, LOCK_FILE
from orlop.rkt.model import Image, Model, State, Tree
from orlop.rkt.rows import key_of
from orlop.space import ImageSpace, Part, Space, Use
from orlop.usage import Usage, group, measure, names_in, needed_by, space_of


class Account(NamedTuple):
    """What a file or folder is counted for."""

    kind: str
    name: str = ""


def space(root: Root, model: Model, *, progress: Progress) -> Space:
    """Where the bytes below a store's folder are.

    Raises:
        Cancelled: `progress` stopped it.
        StorageFailure, NoPermission: the store's folder cannot be listed.
    """
    usage = measure(root, _claims(root, model), rest=Account("folders"), progress=progress)
    counting = _Counting(model, usage)
    return space_of(root, usage, counting.parts(), counting.images())


def _claims(root: Root, model: Model) -> dict[str, Account]:
    """Every path that is counted for something."""
    found = {name: Account("top", name) for name in names_in(root, "")}
    for key in model.images:
        if layout.is_key(key):
            found[layout.blob(key)] = found[layout.manifest(key)] = Account("image", key)
            found[layout.lock(key)] = Account("locks")
    for tree in model.trees.values():
        found[tree.path] = Account("tree", tree.id)
        found[layout.tree_lock(tree.id)] = Account("locks")
    for name in names_in(root, layout.BACKUPS):
        found[join(layout.BACKUPS, name)] = Account("backup", name)
    for debris in model.debris:
        found[debris.path] = Account("debris", debris.path)
    found |= {join(journal.CHANGES, name): Account("change", name) for name in names_in(root, journal.CHANGES)}
    found[incoming.FOLDER] = Account("incoming")
    return found


class _Counting:
    """The parts and images of one store."""

    def __init__(self, model: Model, usage: Usage[Account]) -> None:
        self._model = model
        self._usage = usage

    def _of(self, kind: str, name: str = "") -> int:
        return self._usage.of(Account(kind, name))

    def parts(self) -> Iterator[Part]:
        """Everything, in parts of one use each."""
        trees = [(tree, *self._use(tree)) for _, tree in sorted(self._model.trees.items())]
        yield group(
            "images", Use.CONTENT, (self._image(image) for image in self._model.images.values()), path=layout.BLOBS
        )
        for use, title in _TREES.items():
            parts = [self._tree(tree, use, why) for tree, found, why in trees if found is use]
            yield group(title, use, parts, path=layout.TREES)
        yield group("the store's records", Use.RECORDS, self._records())
        yield group("left by what was cut off", Use.DEBRIS, self._debris(foreign=False))
        yield group("on its way in", Use.UPLOADS, self._incoming())
        yield group("no part of the store", Use.OTHER, self._debris(foreign=True))
        yield group("quarantine of Orlop", Use.QUARANTINE, self._quarantine(), path=journal.FOLDER)

    # images and trees

    def _image(self, image: Image) -> Part:
        key = key_of(image)
        remark = "its row keeps it" if image.row is not None else "no row leads to it"
        above = self._model.dependents_of.get(image.key, ())
        pods = self._model.pods.get(image.key, ())
        remark = "; ".join(
            part
            for part in (remark, needed_by("image", [self._title(one) for one in above]), needed_by("pod", pods))
            if part
        )
        path = layout.blob(image.key) if layout.is_key(image.key) else ""
        return Part(
            title=f"image {key.name or image.key}",
            use=Use.CONTENT,
            bytes=self._of("image", image.key),
            path=path,
            remark=remark,
            images=(key,),
        )

    def _title(self, key: str) -> str:
        image = self._model.images.get(key)
        return (key_of(image).name if image is not None else None) or key

    def _use(self, tree: Tree) -> tuple[Use, str]:
        pods = self._model.tree_pods.get(tree.id, ())
        if pods:
            return Use.CONTAINERS, needed_by("pod", pods)
        if not self._model.pods_known:
            return Use.UNKNOWN, "whether a pod stands on it cannot be known"
        return Use.UNREFERENCED, "no pod stands on it: rkt renders it again when one does"

    def _tree(self, tree: Tree, use: Use, remark: str) -> Part:
        image = self._model.images.get(tree.image) if tree.image is not None else None
        of = f"of {self._title(tree.image)}" if tree.image is not None else "of no known image"
        keys = (key_of(image),) if image is not None else ()
        return Part(
            title=f"rendered tree {tree.id}",
            use=use,
            bytes=self._of("tree", tree.id),
            path=tree.path,
            remark="; ".join(filter(None, (of, tree.problem, remark))),
            images=keys,
        )

    # the rest

    def _records(self) -> Iterator[Part]:
        use = Use.RECORDS
        yield Part(title="the catalogue", use=use, bytes=self._of("top", layout.DATABASE), path=layout.DATABASE)
        backups = [account for account in self._usage.counted if account.kind == "backup"]
        total = self._of("top", layout.BACKUPS) + sum(self._usage.of(account) for account in backups)
        yield Part(title="older catalogues", use=use, bytes=total, path=layout.BACKUPS)
        locks = self._of("locks") + self._of("top", layout.LOCKS) + self._of("top", layout.TREE_LOCKS)
        yield Part(title="locks", use=use, bytes=locks, path=layout.LOCKS)
        folders = (layout.BLOBS, layout.MANIFESTS, layout.TREES, layout.TEMPORARY)
        rest = self._of("folders") + sum(self._of("top", name) for name in folders)
        yield Part(title="folders of the store", use=use, bytes=rest)

    def _debris(self, *, foreign: bool) -> Iterator[Part]:
        told = {debris.path for debris in self._model.debris}
        for debris in self._model.debris:
            if (debris.kind == FOREIGN) is foreign:
                remark = (
                    "it is no part of the store"
                    if foreign
                    else "of what is gone"
                    if debris.kind == LOCK_FILE
                    else "a fetch was cut off"
                )
                yield Part(
                    title=debris.kind,
                    use=Use.OTHER if foreign else Use.DEBRIS,
                    bytes=self._of("debris", debris.path),
                    path=debris.path,
                    remark=remark,
                )
        if foreign:
            for account in self._usage.counted:
                if account.kind == "top" and account.name not in (*layout.FOLDERS, journal.FOLDER, *told):
                    yield Part(
                        title="beside the store's folders",
                        use=Use.OTHER,
                        bytes=self._usage.of(account),
                        path=account.name,
                    )

    def _incoming(self) -> Iterator[Part]:
        yield Part(title="imports of Orlop", use=Use.UPLOADS, bytes=self._of("incoming"), path=incoming.FOLDER)

    def _quarantine(self) -> Iterator[Part]:
        for account in self._usage.counted:
            if account.kind == "change":
                yield Part(
                    title=f"change {account.name}",
                    use=Use.QUARANTINE,
                    bytes=self._usage.of(account),
                    path=join(journal.CHANGES, account.name),
                )
        yield Part(title="its folder", use=Use.QUARANTINE, bytes=self._of("top", journal.FOLDER), path=journal.FOLDER)

    def images(self) -> Iterator[ImageSpace]:
        """What each image takes: archive, manifest and rendered trees."""
        for image in self._model.images.values():
            key = key_of(image)
            trees = self._model.trees_of.get(image.key, ())
            unused = [tree for tree in trees if self._model.pods_known and not self._model.tree_pods.get(tree)]
            mine = Account("image", image.key)
            places = [layout.blob(image.key), layout.manifest(image.key)] if layout.is_key(image.key) else []
            places += [layout.tree(tree) for tree in trees]
            known = image.blob.state is not State.UNREADABLE and all(map(self._usage.is_whole, places))
            yield ImageSpace(
                key=key,
                names=(key.name,) if key.name else (),
                bytes=self._usage.takes([mine, *(Account("tree", tree) for tree in trees)]) if known else None,
                own=self._usage.freed([mine, *(Account("tree", tree) for tree in unused)]) if known else None,
            )


_TREES = {
    Use.CONTAINERS: "rendered trees of pods",
    Use.UNREFERENCED: "rendered trees that no pod needs",
    Use.UNKNOWN: "rendered trees whose pods cannot be known",
}
