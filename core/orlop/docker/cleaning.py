"""Plans that remove what nothing needs: layers, layer data, mount records, debris, stale mappings, untagged images.

What is needed is what images, containers, live mounts and BuildKit's own records say. Where
one of them cannot be read, nothing that it might need goes, and the plan says so.
Nothing of BuildKit's is ever touched: `docker builder prune` is for that.
"""

from collections.abc import Callable, Iterator, Set
from dataclasses import replace

from orlop.digest import is_hex
from orlop.docker import detail, imagefiles, layout, unrecorded
from orlop.docker.check import LAYERS_LOST, LAYERS_UNKNOWN
from orlop.docker.model import ConfigState, Image, Model, Mount
from orlop.docker.planning import Steps, counted
from orlop.docker.release import refusals
from orlop.docker.removal import MANY, users_of_image
from orlop.docker.unmapping import plan_unmap
from orlop.docker.unrecorded import DataFolder, Owner
from orlop.errors import OrlopError
from orlop.fs import Root, join
from orlop.intent import Clean, Unmap
from orlop.plan import Parts, Plan, Refusal
from orlop.records import StoreId

PARTS = ("images", "mounts", "layers", "data", "debris", "mappings")
"""What can be cleaned by itself, in the order in which it goes; images go only where untagged ones are to, with layers.
"""

_UNTOUCHED = "foreign"


def plan_clean(root: Root, model: Model, identity: StoreId, intent: Clean) -> Plan | Refusal:
    """Remove what nothing needs and what was last changed before a time.

    Raises:
        NoPermission, StorageFailure: something that would go cannot be looked at.
    """
    parts = Parts(intent, PARTS)
    sweep = _Sweep(root, model, identity, intent)
    for name, take in zip(PARTS, sweep.takes(), strict=True):
        if intent.wants(name) and not sweep.steps.is_full():  # what comes first needs what comes later: it may wait
            take()
            parts.add(name, sweep.things, sweep.steps.steps)
    sweep.remarks()
    if sweep.steps.obstacles:
        return Refusal(action="clean", reasons=tuple(sweep.steps.obstacles))
    action = "clean: " + (", ".join(sweep.counted()) or "nothing to remove")
    gone = len(sweep.going_images)
    plan = sweep.steps.plan(identity, intent, action, weighty=gone > MANY)
    return replace(plan, parts=tuple(parts.found))


class _Sweep:
    """One plan in the making."""

    def __init__(self, root: Root, model: Model, identity: StoreId, intent: Clean) -> None:
        self.root = root
        self.model = model
        self.identity = identity
        self.intent = intent
        self.before = intent.before
        self.steps = Steps(root, model)
        self._counts: dict[str, int] = {}
        self._kept: dict[tuple[str, str], int] = {}
        self._folders = self._looked()
        self._lost_mounts = self._why_no_mount()
        self._going_mounts = {
            name for name, mount in model.mounts.items() if intent.wants("mounts") and self._is_orphan(name, mount)
        }
        self.going_images: frozenset[str] = frozenset()
        self._going_layers: tuple[str, ...] = ()
        self._blocked = self._why_no_layer()
        if not self._blocked and intent.wants("layers"):
            untagged = intent.untagged and intent.wants("images")
            self.going_images = frozenset(self._untagged()) if untagged else frozenset()
            self._going_layers = self._unneeded()
            self._blocked = next(refusals(model, self._going_layers, self.going_images), "")
        if self._blocked:  # an image without its layers would only make them harder to explain
            self.going_images, self._going_layers = frozenset(), ()

    @property
    def things(self) -> int:
        """How many things go so far."""
        return sum(self._counts.values())

    def takes(self) -> tuple[Callable[[], None], ...]:
        """What takes each of `PARTS`."""
        return (self.images, self.mounts, self.layers, self.data, self.debris, self.mappings)

    def counted(self) -> Iterator[str]:
        """What goes, each kind with its number."""
        for noun, count in self._counts.items():
            first, space, rest = noun.partition(" of ")
            yield counted(count, noun, f"{first}s{space}{rest}")

    # --- what nothing needs --------------------------------------------------

    def _why_no_layer(self) -> str:
        """Why no layer can go, one clause; empty where some may."""
        model = self.model
        if self._lost_mounts:
            return self._lost_mounts
        parts = (f"{layout.image_root(model.driver)}/imagedb", f"{layout.image_root(model.driver)}/layerdb")
        for part in model.unreadable:
            if part.path.startswith((*parts, layout.BUILD_CACHE)):
                return f"{part.path} cannot be read ({part.why}), so what needs them cannot be known"
        for image in sorted(model.images):
            state = model.images[image].config
            if state in LAYERS_UNKNOWN:
                return f"the config of image {image} is {state}, so which layers it needs cannot be known"
        return ""

    def _may_belong(self) -> str:
        """Which damaged image a layer that no image names may belong to, one clause; empty for none."""
        for image in sorted(self.model.images):
            state = self.model.images[image].config
            if state in LAYERS_LOST:
                return f"it may belong to image {image}, whose config is {state}: repair that first (DK03)"
        return ""

    def _why_no_mount(self) -> str:
        """Why not even a mount record can go, one clause; empty where some may."""
        model = self.model
        if model.driver not in layout.READABLE_DRIVERS:
            return f"the layer folders of the driver {model.driver} are not understood"
        for part in model.unreadable:
            if part.path.startswith((layout.CONTAINERS, layout.mounts(model.driver))):
                return f"{part.path} cannot be read ({part.why}), so what containers need cannot be known"
        if not self.root.exists(layout.CONTAINERS):  # a copy cut short, a mount that is missing
            return f"{layout.CONTAINERS} is not there, so what containers need cannot be known"
        return ""

    def _looked(self) -> tuple[DataFolder, ...]:
        """The driver's folders, each with whose it is."""
        try:
            return unrecorded.folders(self.root, self.model, before=self.before)
        except OrlopError as error:
            self.steps.say("keep", "all layer data", f"it cannot be listed: {error.why or error.what}")
            return ()

    def _untagged(self) -> Iterator[str]:
        """Images without a name that nothing else needs, with all that would come back if one were left."""
        tags = self.model.tags
        if tags.state != "good":
            why = tags.why or f"{layout.tag_file(self.model.driver)} is not there"
            self.steps.say("keep", "every image", f"which ones have a name cannot be known: {why}")
            return
        spare = self._closed({image.id for image in self.model.images.values() if self._is_spare(image)})
        going = {image for image in spare if self._is_old(layout.config(self.model.driver, image))}
        if young := len(spare) - len(going):
            self._kept["untagged image", _YOUNG] = young
        yield from self._closed(going)

    def _closed(self, images: Set[str]) -> Set[str]:
        """Those of some images whose children are all among them."""
        before = -1
        while before != len(images):
            before = len(images)
            images = {image for image in images if images >= set(self._children(image))}
        return images

    def _is_spare(self, image: Image) -> bool:
        if image.config is not ConfigState.GOOD or self.model.names_of.get(image.id):
            return False
        return not any(users_of_image(self.model, image))

    def _children(self, image: str) -> tuple[str, ...]:
        return self.model.children_of.get(image, ())

    def _is_orphan(self, name: str, mount: Mount) -> bool:
        """Whether a mount record is of no container, and old."""
        if mount.container_known or self._lost_mounts:
            return False
        return self._is_old(self._mount_path(name))

    def _unneeded(self) -> tuple[str, ...]:
        """Chain ids of records that nothing needs once the images and mount records are gone; top-down."""
        model = self.model
        needed: set[str] = set()
        for chain_id, users in model.users_of.items():
            if any(user not in self.going_images for user in users):
                needed.add(chain_id)
        tops = [mount.parent for name, mount in model.mounts.items() if name not in self._going_mounts]
        for top in (*tops, *self._stray_tops()):
            self._keep_stack(top, needed)
        spare = model.layers.keys() - needed
        for top in sorted(model.build_cache):
            self._keep_stack(top, needed)
        if cached := len(spare & needed):
            self._kept["layer", "the build cache may use it: `docker builder prune` gives it back"] = cached
        candidates = [chain_id for chain_id in model.layers if chain_id not in needed]
        lost = self._may_belong()
        folders = {model.layers[chain_id].cache_id for chain_id in candidates}
        shared, _ = unrecorded.in_build_cache(self.root, {name for name in folders if name and not is_hex(name)})
        for chain_id in sorted(candidates):
            why = self._why_not_yet(chain_id) or (lost if chain_id not in model.users_of else "")
            if model.layers[chain_id].cache_id in shared:
                why = "the build cache has its folder: `docker builder prune` gives it back"
            if why:
                self._keep("layer", why)
                self._keep_stack(chain_id, needed)
        return tuple(self._topdown(model.layers.keys() - needed))

    def _stray_tops(self) -> Iterator[str]:
        """Layers that mount records of other names stand on, as BuildKit makes them: the engine counts those too."""
        above = layout.mounts(self.model.driver) + "/"
        for debris in self.model.debris:
            if debris.path.startswith(above):
                yield unrecorded.text_of(self.root, join(debris.path, "parent"))

    def _keep_stack(self, top: str | None, needed: set[str]) -> None:
        """A layer that stays keeps those below it."""
        here = top
        while here is not None and here not in needed:
            needed.add(here)
            layer = self.model.layers.get(here)
            here = layer.parent if layer is not None else None

    def _why_not_yet(self, chain_id: str) -> str:
        layer = self.model.layers[chain_id]
        if layer.problems:
            return "its record is incomplete: repair that first (DK04)"
        return "" if self._is_old(layout.layer(self.model.driver, chain_id)) else _YOUNG

    def _topdown(self, going: Set[str]) -> Iterator[str]:
        """Records in an order in which each comes before the one that it stands on."""
        depth: dict[str, int] = {}
        for start in sorted(going):
            walked: list[str] = []
            here: str | None = start
            while here is not None and here in going and here not in depth and here not in walked:
                walked.append(here)
                here = self.model.layers[here].parent
            base = depth.get(here, 0) if here is not None else 0
            for number, chain_id in enumerate(reversed(walked), 1):
                depth[chain_id] = base + number
        yield from sorted(going, key=lambda chain_id: (-depth[chain_id], chain_id))

    # --- what goes -----------------------------------------------------------

    def images(self) -> None:
        """Untagged images, children before their parents."""
        imagedb = f"{layout.image_root(self.model.driver)}/imagedb"
        for image in self._children_first():
            if self.steps.is_full():
                return
            for drop in imagefiles.removal(imagedb, image.replace(":", "/")):
                self.steps.move(drop.path)
            self._say("remove", f"image {image}", "it has no name, and nothing else needs it", noun="untagged image")
            self.steps.images.add(image)

    def _children_first(self) -> list[str]:
        left = set(self.going_images)
        found: list[str] = []
        while left:
            leaves = sorted(image for image in left if left.isdisjoint(self._children(image))) or sorted(left)
            found += leaves
            left.difference_update(leaves)
        return found

    def mounts(self) -> None:
        """Mount records of containers that are gone, with what those containers wrote."""
        for name in sorted(self._going_mounts):
            if self.steps.is_full():
                return
            mount = self.model.mounts[name]
            if not self.steps.move(self._mount_path(name)):
                continue
            self._say("mount", name, "there is no such container; what it wrote goes too", noun="mount record")
            for identity in dict.fromkeys((mount.mount_id, mount.init_id)):
                if identity is not None and identity not in self._named_elsewhere(name):
                    self.steps.move_data(identity)

    def _named_elsewhere(self, going: str) -> set[str]:
        """Folders that a layer, or another mount record, names too."""
        found = {layer.cache_id for layer in self.model.layers.values() if layer.cache_id is not None}
        for name, mount in self.model.mounts.items():
            if name != going:
                found.update(identity for identity in (mount.mount_id, mount.init_id) if identity is not None)
        return found

    def layers(self) -> None:
        """Layer records that nothing needs, with their data."""
        going = self._going_layers[:_MOST_LAYERS]
        if going:
            self._counts["layer"] = len(going)
            self.steps.move_layers(going)

    def data(self) -> None:
        """Folders of the driver that no record names."""
        for folder in self._folders:
            if folder.owner is Owner.UNKNOWN:
                self._keep("folder of layer data", folder.because)
            elif folder.owner is Owner.UNRECORDED and not self.steps.is_full() and self.steps.move_data(folder.name):
                self._say("data", folder.path, folder.because, noun="folder of layer data")

    def debris(self) -> None:
        """What interrupted operations left."""
        for debris in sorted(self.model.debris, key=lambda found: found.path):
            if debris.kind == _UNTOUCHED:
                self._keep("foreign name", "no engine gives such a name: `orlop repair PATH DK15` moves it aside")
            elif debris.mtime >= self.before:
                self._keep("piece of debris", _YOUNG)
            elif not self.steps.is_full() and self.steps.move(debris.path):
                self._say("debris", debris.path, f"{debris.bytes} bytes; {debris.kind}", noun="piece of debris")
                self._data_of_debris(debris.path)
        for image in sorted(self.model.metadata_only):
            path = layout.metadata(self.model.driver, image)
            if not self._is_wanted(image) and self._is_old(path) and self.steps.move(path):
                self._say("debris", path, "metadata of an image that is gone", noun="piece of debris")

    def _is_wanted(self, image: str) -> bool:
        """Whether a name leads to an image that is gone: the metadata is its own again once it is pulled."""
        return bool(self.model.names_of.get(image)) or self.model.unseen(layout.config(self.model.driver, image))

    def _data_of_debris(self, path: str) -> None:
        """The driver's folder that half a layer names, where nothing else does."""
        for folder in self._folders:
            if folder.owner is Owner.DEBRIS and folder.subject == path:
                self.steps.move_data(folder.name)

    def mappings(self) -> None:
        """V2 mappings of layers that are gone, and those that cannot be read."""
        records = [record for record in detail.mappings(self.model, None) if record.stale]
        wanted = {(one.diff_id, one.digest, one.source) for one in records if self._is_old(one.path)}
        wanted |= {
            (one.diff_id, "", "")
            for one in self.model.v2_lists.values()
            if one.problem and not one.entries and self._is_old(one.path)
        }
        wanted |= {
            (one.diff_id or "", one.digest, "")
            for one in self.model.v2_reverse.values()
            if one.problem and self._is_old(one.path)
        }
        if not wanted or self.steps.is_full():
            return
        for step in plan_unmap(self.root, self.model, self.identity, Unmap(mappings=tuple(sorted(wanted)))).steps:
            self.steps.put(step)
        self._counts["stale mapping"] = len(wanted)
        self.steps.say("unmap", counted(len(wanted), "stale mapping"), "of layers that are gone, or in disagreement")

    # --- what stays ----------------------------------------------------------

    def remarks(self) -> None:
        """Why not more goes."""
        if self.steps.is_full():
            self.steps.say("keep", "the rest", "one change removes no more: clean again")
        if self._blocked:
            self.steps.say("keep", "every layer and image", self._blocked)
        for (noun, why), count in sorted(self._kept.items()):
            first, space, rest = noun.partition(" of ")
            self.steps.say("keep", counted(count, noun, f"{first}s{space}{rest}"), why)

    # --- judging ---------------------------------------------------------------

    def _mount_path(self, name: str) -> str:
        return join(layout.mounts(self.model.driver), name)

    def _is_old(self, path: str) -> bool:
        modified = self.steps.mtime(path)
        return modified is not None and modified < self.before

    def _keep(self, noun: str, why: str) -> None:
        self._kept[noun, why] = self._kept.get((noun, why), 0) + 1

    def _say(self, verb: str, subject: str, because: str, *, noun: str) -> None:
        self._counts[noun] = self._counts.get(noun, 0) + 1
        self.steps.say(verb, subject, because)


_YOUNG = "it was changed since the time that was given"
_MOST_LAYERS = 16_000
"""Layers that one plan removes at most, each with up to three steps."""
