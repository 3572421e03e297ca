"""Plans that put right what findings name: rebuilt with proof, else out of the engine's way so that it can fetch it.

A record is written anew only as its name, or the content, proves (`orlop.docker.layerproof`).
What cannot be rebuilt is moved aside with all that keeps a pull from bringing it back
(`orlop.docker.settingaside`); what a container needs stays. Names lost with the file of names
come back only as a guess, for which a person consents.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TypeAlias

from orlop.docker import check, detail, layout, overlaylinks
from orlop.docker.layerproof import Proofs
from orlop.docker.model import ConfigState, Layer, Model
from orlop.docker.overlaynames import ShortNames
from orlop.docker.planning import Steps, counted, record_file, some
from orlop.docker.salvage import salvaged
from orlop.docker.settingaside import reveal_missing, set_aside
from orlop.docker.tagmap import ReferenceMap, TagMap
from orlop.docker.unmapping import plan_unmap
from orlop.docker.unrecorded import Owner, folders
from orlop.errors import NotFound, OrlopError
from orlop.fs import Root, join
from orlop.intent import Repair, Unmap
from orlop.plan import Plan, Refusal
from orlop.progress import Silent
from orlop.records import StoreId

_ELSEWHERE: Mapping[str, str] = {
    "DK18": "it is no fault: `docker info` says which store is in use",
    "DK19": "nothing in the store can mend it: `umount` it when no engine runs",
    "DK20": "it is no fault: `orlop rm PATH ID`, or `orlop clean PATH --untagged`, removes it",
    "DK21": "what the container stands on cannot be proved: keep its folder if its files matter",
}

_Identity: TypeAlias = tuple[str, str, str]
_Cure: TypeAlias = Callable[[str, str], str]
"""Adds the steps for a path and a subject; why not where it cannot, else empty."""


def plan_repair(root: Root, model: Model, identity: StoreId, intent: Repair) -> Plan | Refusal:
    """Put right what some findings name; what cannot be is left, with the reason.

    Raises:
        NotFound: a finding is not, or no longer, true of the store.
        Changed: a file changed while it was looked at.
        NoPermission, StorageFailure: something cannot be looked at.
    """
    findings = sorted(set(intent.findings))
    mending = _Mending(root, model, identity, intent.guess)
    left: list[str] = []
    cured = 0
    for rule, path, subject in findings:
        why = mending.cure(rule, path, subject)
        if why:
            left.append(f"{rule} at {path}: {why}")
            mending.steps.say("keep", path, why)
        else:
            cured += 1
    mending.finish()
    steps = mending.steps
    if steps.obstacles or (left and not cured):
        action = "repair " + (findings[0][0] if len(findings) == 1 else counted(len(findings), "finding"))
        return Refusal(
            action=action, reasons=(*left, *steps.obstacles), do="`orlop explain RULE` says what can be done"
        )
    return steps.plan(identity, intent, f"repair {counted(cured, 'finding')}")


class _Mending:
    """One plan in the making."""

    def __init__(self, root: Root, model: Model, identity: StoreId, guess: bool) -> None:
        self.root = root
        self.model = model
        self.identity = identity
        self.guess = guess
        self.steps = Steps(root, model)
        self._proofs = Proofs(root, model)
        self._tags: TagMap | None = None
        self._guessed: dict[str, str] = {}
        """Names that come back, each with its image."""
        self._names: ShortNames | None = None
        self._judged: dict[str, str] = {}
        self._rebuilt: dict[str, Layer] = {}
        self._mappings: set[tuple[str, str, str]] = set()
        self._cures: dict[str, _Cure] = {
            "DK01": self.tag_file,
            "DK02": self.name,
            "DK03": self.config,
            "DK04": self.record,
            "DK05": self.record,
            "DK06": self.record,
            "DK07": self.lost_data,
            "DK08": self.content,
            "DK09": self.recipe,
            "DK10": self.short_name,
            "DK11": self.unrecorded,
            "DK12": self.orphan,
            "DK13": self.mount,
            "DK14": self.missing_layer,
            "DK15": self.debris,
            "DK16": self.mapping,
            "DK17": self.parent_key,
            "DK22": self.name,
        }

    def cure(self, rule: str, path: str, subject: str) -> str:
        """Add what puts a finding right; why it cannot be, else empty.

        Raises:
            NotFound: there is no such finding.
        """
        cure = self._cures.get(rule)
        if cure is None:
            if rule not in _ELSEWHERE:
                raise NotFound(f"there is no rule {rule}", do="`orlop explain` lists the rules")
            return _ELSEWHERE[rule]
        return cure(path, subject)

    def finish(self) -> None:
        """Add what all cures share: the one write of the names, the mappings, what comes to light."""
        if self._tags is not None:
            self.steps.steps.insert(0, self._tags.step())
            self.steps.reasons.extend(self._tags.remarks())
        if self._mappings:
            wanted = tuple(sorted(self._mappings))
            plan = plan_unmap(self.root, self.model, self.identity, Unmap(mappings=wanted))
            for step in plan.steps:
                self.steps.put(step)
            self.steps.reasons.extend(plan.reasons)
        for text, image in self._guessed.items():
            if self.steps.goes(layout.config(self.model.driver, image)):
                self.steps.reveals.add(("DK02", layout.tag_file(self.model.driver), text))
        self._reveal()

    # --- names -------------------------------------------------------------------

    def tag_file(self, path: str, subject: str) -> str:
        """Write the file of names anew from what is left of it and from containers' records."""
        tags = self.model.tags
        if tags.state != "bad" or path != layout.tag_file(self.model.driver):
            raise _not_found(path, "the file of names can be read")
        if self.model.unseen(path):
            return f"this user may not read it: {tags.why}"
        found, remarks = salvaged(self.model)
        listed = some((name.text for name in found), 6) or "none"
        if not self.guess:
            return (
                f"only a guess could give names back ({counted(len(found), 'name')}: {listed}): state it with --guess"
            )
        names = ReferenceMap({})
        for name in found:
            names.put(name.repository, name.text, name.image)
            self._guessed[name.text] = name.image
            self.steps.say("repair", name.text, f"means {name.image}, a guess: {name.because}")
            self.steps.images.add(name.image)
        for remark in remarks:
            self.steps.say("note", path, remark)
        change = names.change(path)
        self.steps.replace(path, change.data, mode=change.mode)
        bare = len([one for one in self.model.images.values() if one.config is ConfigState.GOOD]) - len(
            {name.image for name in found}
        )
        if bare:
            self.steps.say("note", counted(bare, "image"), "without a name until it is tagged: what it had is lost")
        return ""

    def name(self, path: str, subject: str) -> str:
        """Drop a name that leads to nothing, or that the engine cannot use."""
        tags = self.model.tags
        if tags.state == "bad":
            return "the file of names cannot be read: repair that first (DK01)"
        entry = tags.references.get(subject)
        image = self.model.images.get(entry.image) if entry is not None else None
        gone = image is None or image.config is ConfigState.MISSING
        if entry is None or not (entry.problem or gone):
            raise _not_found(path, f"no such name is at fault: {subject}")
        if self._tags is None:
            self._tags = TagMap(self.model)
        self._tags.take(subject, entry.image)
        where = "which is not in the store" if gone else f"and cannot be used: {entry.problem}"
        self.steps.say("untag", subject, f"it leads to {entry.image}, {where}")
        if entry.image in self.model.images:
            self.steps.images.add(entry.image)
        return ""

    # --- configs -------------------------------------------------------------------

    def config(self, path: str, subject: str) -> str:
        """Move a config aside that is not what its name says; its names stay."""
        image = "sha256:" + path.rpartition("/")[2]
        found = self.model.images.get(image)
        fine = (ConfigState.GOOD, ConfigState.MISSING, ConfigState.TOO_LARGE)
        if found is None or found.config in fine or path != layout.config(self.model.driver, image):
            raise _not_found(path, "the config is what its name says")
        if found.config is ConfigState.UNREADABLE and not found.engine_says:
            return f"this user may not read it: {found.why}"
        if found.config is ConfigState.MALFORMED:
            return (
                "its bytes are those that were pulled or built, and a pull would bring the same: `orlop rm` removes it"
            )
        if self.steps.move(path):
            self.steps.say("repair", f"image {image}", f"its config is moved aside, it is {found.config}")
        reveal_missing(self.steps, image)
        self.steps.say("note", f"layers of {image}", "they stay: a pull or load of the image takes them as they are")
        return ""

    def parent_key(self, path: str, subject: str) -> str:
        """Drop the parent of an image that names nothing."""
        image = "sha256:" + path.split("/")[-2] if path.count("/") > 1 else ""
        found = self.model.images.get(image)
        if found is None or path != join(layout.metadata(self.model.driver, image), "parent"):
            raise _not_found(path, "no image's parent key is there")
        named = self.model.images.get(found.parent or "")
        if not found.parent_problem and (found.parent is None or (named and named.config is not ConfigState.MISSING)):
            raise _not_found(path, "the parent is in the store")
        if self.steps.move(path):
            self.steps.say("repair", path, "moved aside, it names no image of the store")
        self.steps.images.add(image)
        return ""

    # --- layer records -----------------------------------------------------------

    def record(self, path: str, subject: str) -> str:
        """Write the small files of a record as they must be; where nothing proves them, move aside what is stuck."""
        layer = self._layer_at(path)
        if not layer.problems and not layer.parent_lost and not self._proofs.is_wrong_size(layer):
            raise _not_found(path, "the record is whole")
        return self._rebuild(layer)

    def lost_data(self, path: str, subject: str) -> str:
        """Find the data of a layer under another name, or move aside what needs it."""
        layer = next((one for one in self.model.layers.values() if one.data_path == path and not one.data), None)
        if layer is None:
            raise _not_found(path, "no layer lacks this folder")
        lacking = [one for one in self.model.layers.values() if one.data_path == path]
        return "; ".join(why for one in lacking if (why := self._rebuild(one)))

    def _layer_at(self, path: str) -> Layer:
        """The layer whose record a path is in.

        Raises:
            NotFound: none.
        """
        above = layout.layers(self.model.driver) + "/"
        layer = self.model.layers.get("sha256:" + path.removeprefix(above).partition("/")[0])
        if layer is None or not path.startswith(above):
            raise _not_found(path, "no layer's record is there")
        return layer

    def _rebuild(self, layer: Layer) -> str:
        """Make a record whole, or set its layer aside; judged once."""
        if layer.chain_id not in self._judged:
            lacks = self._write(layer)
            self._judged[layer.chain_id] = self._aside([layer.chain_id], lacks) if lacks else ""
        return self._judged[layer.chain_id]

    def _write(self, layer: Layer) -> str:
        """Write what a record must hold; what cannot be proved, one clause, else empty."""
        if "." in layer.problems:
            return f"its record cannot be rebuilt: {layer.problems['.']}"
        stack = self._proofs.stack(layer)
        if stack is None:
            return "nothing proves which layer it stands on"
        parent, diff_id = stack
        cache_id = layer.cache_id if layer.data else None
        if cache_id is None:
            cache_id = self._proofs.cache_id(layer, parent, diff_id)
            if cache_id is None:
                return (
                    "its data is nowhere to be found" if layer.cache_id else "no folder of layer data proves to be its"
                )
        size = layer.size
        if "size" in layer.problems or self._proofs.is_wrong_size(layer):
            size = self._proofs.size(layer, cache_id)
            if size is None:
                return "its recipe, which would tell its size, cannot be read"
        self._write_files(layer, parent, diff_id, cache_id, size)
        return ""

    def _write_files(self, layer: Layer, parent: str | None, diff_id: str, cache_id: str, size: int | None) -> None:
        wanted = {
            "diff": (diff_id, layer.diff_id, "on the layer below it gives the record's name"),
            "parent": (
                parent,
                layer.parent if "parent" not in layer.problems else "",
                "with the layer's diff id it gives the record's name",
            ),
            "cache-id": (cache_id, layer.cache_id, "the files of that folder hash to the layer's diff id"),
            "size": (None if size is None else str(size), None if layer.size is None else str(layer.size), "measured"),
        }
        for file, (new, old, because) in wanted.items():
            path = record_file(self.model, layer.chain_id, file)
            if new == old:
                continue
            if new is None:
                if self.steps.move(path):
                    self.steps.say("repair", path, "moved aside: the layer stands on none")
            elif self.steps.replace(path, new.encode("ascii")):
                self.steps.say("repair", path, f"{new}: {because}")
        self.steps.images.update(self.model.users_of.get(layer.chain_id, ()))
        self._rebuilt[layer.chain_id] = replace(
            layer,
            diff_id=diff_id,
            parent=parent,
            size=size,
            cache_id=cache_id,
            problems={},
            parent_lost=False,
            data=True,
            data_path=layout.layer_data(self.model.driver, cache_id),
        )

    def _aside(self, bottoms: list[str], because: str) -> str:
        why = set_aside(self.steps, bottoms, because)
        return f"{because}; {why}" if why else ""

    def _after(self) -> Model:
        """The store as it will be once the records are written."""
        if not self._rebuilt:
            return self.model
        return replace(self.model, layers={**self.model.layers, **self._rebuilt})

    def _reveal(self) -> None:
        """Tell what is wrong with rebuilt layers, and those on them, and could not be said before."""
        if not self._rebuilt:
            return
        after = self._after()
        chains = set(self._rebuilt)
        waiting = list(chains)
        while waiting:
            above = [one for one in self.model.layer_children_of.get(waiting.pop(), ()) if one not in chains]
            chains.update(above)
            waiting += above
        for found in (
            *check.recipes(self.root, after, set(self._rebuilt), Silent()),
            *overlaylinks.broken(self.root, after, chains, Silent()),
        ):
            if found.rule != "DK06" and found.identity not in self.steps.reveals:
                self.steps.reveals.add(found.identity)
                self.steps.say("note", found.path, f"{found.rule} comes to light: {found.detail}")

    # --- layer content -------------------------------------------------------------

    def content(self, path: str, subject: str) -> str:
        """Set aside a layer whose files are not what they were, once they are hashed again."""
        layer = self.model.layers.get(subject)
        if layer is None or layer.cache_id is None:
            return "nothing can be said of its bytes"
        stack = self._proofs.stack(layer)
        if stack is None or layer.problems or layer.parent_lost:
            return "its record is incomplete: repair that first"
        result = self._proofs.hashed(layer, layer.cache_id, stack[1], stack[0])
        if result.hindered:
            return f"it cannot be hashed: {result.hindered}"
        if result.matches:
            raise _not_found(path, "every byte of the layer is what it was")
        if not result.wrong_count:
            return "its files are what its recipe says: the recipe is at fault (DK09)"
        return self._once(subject, f"{counted(result.wrong_count, 'file')} of it with other contents than it had")

    def recipe(self, path: str, subject: str) -> str:
        """Copy the recipe of the same layer elsewhere, or set the layer aside."""
        layer = self._layer_at(path)
        stack = self._proofs.stack(layer)
        if stack is None or layer.problems or layer.parent_lost or layer.cache_id is None:
            return "its record is incomplete: repair that first"
        result = self._proofs.hashed(layer, layer.cache_id, stack[1], stack[0])
        if result.hindered:
            return f"it cannot be read: {result.hindered}"
        if result.matches:
            raise _not_found(path, "the recipe gives the layer's diff id")
        found = self._proofs.recipe(layer, *stack)
        if found is not None:
            if self.steps.replace(path, found):
                self.steps.say("repair", path, "the recipe of the same layer elsewhere: by it the files hash to it")
            self.steps.images.update(self.model.users_of.get(layer.chain_id, ()))
            return ""
        return self._once(layer.chain_id, "nothing else has the recipe of its archive")

    def missing_layer(self, path: str, subject: str) -> str:
        """Take an image whose layers are gone out of the way of a pull."""
        image = self.model.images.get(subject)
        gone = [] if image is None else [one for one in image.chain if one not in self.model.layers]
        gone = [one for one in gone if not self.model.unseen(layout.layer(self.model.driver, one))]
        if not gone:
            raise _not_found(path, "no layer of the image is missing")
        return self._once(gone[0], "a layer of it is missing")

    def _once(self, bottom: str, because: str) -> str:
        """Set aside a layer that was not yet."""
        if bottom not in self._judged:
            self._judged[bottom] = self._aside([bottom], because)
        return self._judged[bottom]

    # --- short names ---------------------------------------------------------------

    def short_name(self, path: str, subject: str) -> str:
        """Put right the short names of an overlay2 layer."""
        if self.model.driver != "overlay2":
            raise _not_found(path, "only overlay2 has short names")
        if self._names is None:
            self._names = ShortNames(self.steps, self._after(), self._proofs)  # rules are sorted: records come first
        if not subject:
            return self._all_names(path)
        layer = self._after().layers.get(subject)
        cache_id = layer.cache_id if layer is not None else subject
        if cache_id is None:
            return "its record does not name its folder: repair that first (DK04)"
        why = self._names.mend(cache_id)
        if why:
            return why
        self.steps.images.update(self.model.users_of.get(subject, ()))
        return ""

    def _all_names(self, path: str) -> str:
        """The folder of all short names, which is gone."""
        assert self._names is not None
        if path != "overlay2/l":
            raise _not_found(path, "it is no folder of short names")
        if self._is_no_folder(path):
            self.steps.move(path)
        for cache_id in self._names.folders():
            self._names.mend(cache_id)
        self.steps.images.update(image for users in self.model.users_of.values() for image in users)
        return ""

    def _is_no_folder(self, path: str) -> bool:
        try:
            return self.root.stat(path).kind != "folder"
        except NotFound:
            return False

    # --- what nothing needs ----------------------------------------------------------

    def unrecorded(self, path: str, subject: str) -> str:
        """Move aside a folder of the driver that nothing names."""
        for folder in folders(self.root, self.model):
            if folder.path == path and folder.owner is Owner.UNRECORDED:
                if self.steps.move_data(folder.name):
                    self.steps.say("data", path, folder.because)
                return ""
        if path == layout.layer_data_folder(self.model.driver):
            return f"whose they are cannot be told: {subject}"
        raise _not_found(path, "something names it")

    def orphan(self, path: str, subject: str) -> str:
        """Move aside a layer that nothing needs, with what stands on it."""
        layer = self._layer_at(path)
        orphans = {found.path for found in check.orphan_layers(self.model)}
        if path not in orphans:
            raise _not_found(path, "something needs the layer, or that cannot be known")
        if any(one.config in check.LAYERS_LOST for one in self.model.images.values()):
            return "it may belong to an image whose config is damaged: repair that first (DK03)"
        return self._once(layer.chain_id, "nothing needs it")

    def mount(self, path: str, subject: str) -> str:
        """Move aside the mount record of a container that is gone, with what that wrote."""
        name = path.rpartition("/")[2]
        found = self.model.mounts.get(name)
        if found is None or path != join(layout.mounts(self.model.driver), name):
            raise _not_found(path, "no mount record is there")
        if found.container_known or self.model.unseen(layout.container(name)):
            raise _not_found(path, "there is such a container")
        if not self.root.exists(layout.CONTAINERS):
            return f"{layout.CONTAINERS} is not there, so whether there is such a container cannot be known"
        if self.steps.move(path):
            self.steps.say("mount", name, "there is no such container; what it wrote goes too")
        named = {layer.cache_id for layer in self.model.layers.values()}
        for other, mount in self.model.mounts.items():
            if other != name:
                named.update((mount.mount_id, mount.init_id))
        for identity in dict.fromkeys((found.mount_id, found.init_id)):
            if identity is not None and identity not in named:
                self.steps.move_data(identity)
        return ""

    def debris(self, path: str, subject: str) -> str:
        """Move aside what an interrupted operation left, or what is no part of the layout."""
        known = {debris.path: debris.kind for debris in self.model.debris}
        known |= {layout.metadata(self.model.driver, image): "metadata" for image in self.model.metadata_only}
        if path not in known:
            raise _not_found(path, "no leftover is there")
        if self.steps.move(path):
            self.steps.say("debris", path, f"{known[path]}: moved aside")
        for folder in self._data_of(path):
            self.steps.move_data(folder)
        return ""

    def _data_of(self, path: str) -> Iterator[str]:
        """The driver's folders that only half a layer names."""
        try:
            found = folders(self.root, self.model)
        except OrlopError:
            return
        yield from (one.name for one in found if one.owner is Owner.DEBRIS and one.subject == path)

    def mapping(self, path: str, subject: str) -> str:
        """Remove the mappings of a file that are stale, or a file of them that cannot be read."""
        found = {
            (one.diff_id, one.digest, one.source)
            for one in detail.mappings(self.model, None)
            if one.path == path and one.stale
        }
        for listed in self.model.v2_lists.values():
            if listed.path == path and listed.problem and not listed.entries:
                found.add((listed.diff_id, "", ""))
        for record in self.model.v2_reverse.values():
            if record.path == path and record.problem:
                found.add((record.diff_id or "", record.digest, ""))
        if not found:
            raise _not_found(path, "no stale mapping is there")
        self._mappings |= found
        return ""


def _not_found(path: str, why: str) -> OrlopError:
    error = NotFound("there is no such finding", path=path, do="`orlop check PATH` lists what there is now")
    error.why = why
    return error
