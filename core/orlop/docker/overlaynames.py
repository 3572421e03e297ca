"""The short names by which overlay2 mounts layers, put right from the chain of layer records.

What each file must hold: `orlop.docker.overlaylinks`. A name that is still known anywhere is
kept, so that the lists of the layers above stay as they are; otherwise a new one is made.
"""

import base64
import hashlib
from collections.abc import Iterator, Sequence

from orlop.docker import layout
from orlop.docker.layerproof import Proofs
from orlop.docker.model import Model
from orlop.docker.overlaylinks import below, is_name
from orlop.docker.planning import Steps
from orlop.errors import OrlopError
from orlop.plan import Link

_NAME_LIMIT = 4096
_LOWER_LIMIT = 64 * 1024


class ShortNames:
    """The names of one store, and the steps that put them right."""

    def __init__(self, steps: Steps, model: Model, proofs: Proofs) -> None:
        """Read the names.

        Args:
            steps: the plan in the making.
            model: the store as it will be once its records are put right.
            proofs: what decides between a record and a list that contradict each other.
        """
        self._steps = steps
        self._proofs = proofs
        self._proven: dict[str, bool] = {}
        self._model = model
        self._root = steps.root
        self._stacks: dict[str, list[str]] = {}
        twice: set[str] = set()
        for cache_id, stack in self._known_stacks():
            if (
                self._stacks.setdefault(cache_id, stack) != stack
            ):  # one of two records names a folder that is not its own
                twice.add(cache_id)
        for cache_id in twice:
            del self._stacks[cache_id]
        self._targets = dict(self._known_targets())
        self._written = {cache_id: self._text(layout.link_file(cache_id), _NAME_LIMIT) for cache_id in self._stacks}
        self._claims: dict[str, list[str]] = {}
        for cache_id, text in self._written.items():
            self._claims.setdefault(text, []).append(cache_id)
        self._names: dict[str, str] = {}
        self._done: set[str] = set()

    def mend(self, cache_id: str) -> str:
        """Put right the name of a folder, its link, and its list of the layers below; why not, else empty.

        Raises:
            NoPermission, StorageFailure
        """
        if cache_id not in self._stacks:
            return "the records of its layers do not tell what it stands on: repair those first"
        self._own(cache_id)
        return self._lower(cache_id)

    def folders(self) -> tuple[str, ...]:
        """Cache ids of all folders whose stack is known."""
        return tuple(sorted(self._stacks))

    # --- what is known -----------------------------------------------------------

    def _known_stacks(self) -> Iterator[tuple[str, list[str]]]:
        """Each folder with the folders below it, nearest first, where the records tell them."""
        model = self._model
        for layer in model.layers.values():
            if layer.cache_id is None or not layer.data or layer.problems or layer.parent_lost:
                continue
            stack = below(model, layer.parent)
            if stack is not None:
                yield layer.cache_id, stack
        for mount in model.mounts.values():
            stack = below(model, mount.parent) if mount.parent is not None else None
            if stack is None or mount.problem or mount.mount_id is None:
                continue
            if mount.init_id is not None:
                yield mount.init_id, stack
                stack = [mount.init_id, *stack]
            yield mount.mount_id, stack

    def _known_targets(self) -> Iterator[tuple[str, str]]:
        """Every short link with what it leads to; what is no link leads nowhere."""
        try:
            names = self._root.names("overlay2/l")
        except OrlopError:
            return
        for name in names:
            try:
                yield name, self._root.link_target(layout.link(name))
            except OrlopError:
                yield name, ""

    def _text(self, path: str, limit: int) -> str:
        try:
            return self._root.read(path, limit).decode("utf-8", "surrogateescape")
        except OrlopError:
            return ""

    # --- names ---------------------------------------------------------------------

    def _name(self, cache_id: str) -> str:
        """The short name that a folder has, or gets."""
        if cache_id not in self._names:
            self._names[cache_id] = next(self._possible(cache_id))
            self._claims.setdefault(self._names[cache_id], []).append(cache_id)
        return self._names[cache_id]

    def _possible(self, cache_id: str) -> Iterator[str]:
        """Names that a folder may have, the best first: there always is one."""
        own = self._written.get(cache_id, "")
        leads = self._targets.get(own)
        if is_name(own) and (leads in (None, _target(cache_id)) or self._claims.get(own) == [cache_id]):
            yield own
        yield from sorted(name for name, target in self._targets.items() if target == _target(cache_id))
        for name in self._listed(cache_id):
            if name not in self._targets and not self._claims.get(name):
                yield name
        number = 0
        while True:
            made = hashlib.sha256(f"short name {number} of {cache_id}".encode()).digest()
            name = base64.b32encode(made).decode("ascii")[:26]  # as overlay2 makes them, of 26 characters
            if name not in self._targets and not self._claims.get(name):
                yield name
            number += 1

    def _listed(self, cache_id: str) -> Iterator[str]:
        """Names that the lists of the folders above have in this one's place."""
        for upper, stack in sorted(self._stacks.items()):
            if cache_id in stack:
                entries = self._text(f"overlay2/{upper}/lower", _LOWER_LIMIT).split(":")
                if len(entries) == len(stack):
                    folder, _, name = entries[stack.index(cache_id)].partition("/")
                    if folder == "l" and is_name(name):
                        yield name

    # --- steps -----------------------------------------------------------------------

    def _own(self, cache_id: str) -> None:
        """The file ``link`` of a folder, and the link that it names."""
        if cache_id in self._done or self._steps.goes(f"overlay2/{cache_id}"):
            return
        self._done.add(cache_id)
        name = self._name(cache_id)
        path = layout.link_file(cache_id)
        had = self._written.get(cache_id, "")
        if self._steps.replace(path, name.encode("utf-8", "surrogateescape")):
            self._steps.say("repair", path, f"the short name {name}, by which the layers above mount it")
        link = layout.link(name)
        if self._targets.get(name) != _target(cache_id):
            if name in self._targets:
                self._steps.move(link)
            self._steps.put(Link(path=link, target=_target(cache_id)))
            self._steps.say("repair", link, f"leads to {_target(cache_id)}")
        if had != name:
            for upper, stack in sorted(self._stacks.items()):
                if cache_id in stack:
                    self._lower(upper)

    def _lower(self, cache_id: str) -> str:
        """The file ``lower`` of a folder, and the names that it lists; why it cannot be put right, else empty."""
        stack = self._stacks[cache_id]
        path = f"overlay2/{cache_id}/lower"
        key = f"{cache_id}/lower"
        if key in self._done or self._steps.goes(path):
            return ""
        self._done.add(key)
        listed = self._text(path, _LOWER_LIMIT).split(":")
        if stack and self._is_true(listed, stack):
            return ""
        wrong = self._contradicted(cache_id, listed, stack)
        if wrong:
            return f"its list leads to other layers, and overlay2/{wrong} does not prove to be what its record says"
        if not stack:
            if self._steps.move(path):
                self._steps.say("repair", path, "moved aside, the layer stands on none")
            return ""
        for lower in stack:
            self._own(lower)
        text = ":".join(f"l/{self._name(lower)}" for lower in stack)
        if self._steps.replace(path, text.encode("utf-8", "surrogateescape")):
            self._steps.say("repair", path, f"lists the {len(stack)} layers below, as their records have them")
        return ""

    def _contradicted(self, cache_id: str, listed: Sequence[str], stack: Sequence[str]) -> str:
        """A folder whose record says other than a list by which the engine can mount, and that cannot be proved.

        The engine mounts by the lists alone: where records name wrong folders, what it serves is right.
        """
        targets = [self._targets.get(entry.removeprefix("l/"), "") for entry in listed]
        leads = [target.removeprefix("../").removesuffix("/diff") for target in targets if target]
        if all(other in stack or not self._is_folder(other) for other in leads):
            return ""
        doubted = (cache_id, *(lower for lower in stack if lower not in leads))
        return next((one for one in doubted if not self._is_proven(one)), "")

    def _is_folder(self, cache_id: str) -> bool:
        try:
            return is_name(cache_id) and self._root.stat(f"overlay2/{cache_id}").kind == "folder"
        except OrlopError:
            return False

    def _is_proven(self, cache_id: str) -> bool:
        """Whether the files of a folder hash to what its layer's record says; one of a container is as it is."""
        if cache_id not in self._proven:
            layers = [layer for layer in self._model.layers.values() if layer.cache_id == cache_id]
            self._proven[cache_id] = all(
                self._proofs.hashed(layer, cache_id, layer.diff_id or "", layer.parent).matches for layer in layers
            )
        return self._proven[cache_id]

    def _is_true(self, entries: Sequence[str], stack: Sequence[str]) -> bool:
        """Whether a list leads to the right folders, or will once their own names are put right."""
        if len(entries) != len(stack):
            return False
        for entry, lower in zip(entries, stack, strict=True):
            name = entry.removeprefix("l/")
            if entry != f"l/{name}" or not is_name(name):
                return False
            if name != self._name(lower) and self._targets.get(name) != _target(lower):
                return False
        return True


def _target(cache_id: str) -> str:
    return f"../{cache_id}/diff"
