"""What the plans that clean and repair a Docker store are made of: steps, reasons, and what they may show."""

import os
from collections.abc import Iterable, Iterator, Mapping

from orlop.digest import Digest, hasher
from orlop.docker import layout
from orlop.docker.model import Model
from orlop.docker.release import Parts, Removal, parts_of
from orlop.errors import NotFound, WrongKind
from orlop.fs import Root, join
from orlop.intent import Intent
from orlop.plan import Plan, Quarantine, Reason, Replace, Step
from orlop.records import StoreId

MOST = 50_000
"""Things that one plan moves at most: the journal of a change must be read again."""


_CHUNK = 1 << 20


class Steps:
    """The steps, reasons and images of a plan in the making; nothing is moved twice."""

    def __init__(self, root: Root, model: Model) -> None:
        self.root = root
        self.model = model
        self.steps: list[Step] = []
        self.reasons: list[Reason] = []
        self.images: set[str] = set()
        """Ids of the images that go or change."""
        self.reveals: set[tuple[str, str, str]] = set()
        """Findings that were there and could not be told, or that come with what goes."""
        self._removal = Removal(root, model)
        self._moved: set[str] = set()

    @property
    def obstacles(self) -> list[str]:
        """What stands in the way, each one clause."""
        return self._removal.obstacles

    def is_full(self) -> bool:
        """Whether the plan has as many steps as one can."""
        return len(self.steps) >= MOST

    def say(self, verb: str, subject: str, because: str = "") -> None:
        """Give a reason, once."""
        reason = Reason(verb=verb, subject=subject, because=because)
        if reason not in self.reasons:
            self.reasons.append(reason)

    def put(self, step: Step) -> None:
        """Add a step as it is."""
        self.steps.append(step)

    def goes(self, path: str) -> bool:
        """Whether what is at a path goes, by itself or with what is above it."""
        return any(above in self._moved for above in _upwards(path))

    def replace(self, path: str, new: bytes, *, mode: int = 0o644, folders: int = 0o700) -> bool:
        """Let a file hold these bytes; False where it does, or goes with what is above it.

        What is no file there is moved aside.

        Raises:
            NoPermission, StorageFailure
        """
        if self.goes(os.path.dirname(path)):
            return False
        try:
            found = self.root.stat(path)
        except NotFound:
            found = None
        old = None
        if found is not None and found.kind != "file":
            self.move(path)
        elif found is not None:
            old = self._digest(path)
            if old == Digest.of(new):
                return False
        self.put(Replace(path=path, old=old, new=new, mode=mode, folders=folders))
        return True

    def _digest(self, path: str) -> Digest:
        hashing = hasher("sha256")
        with self.root.stream(path) as file:
            while chunk := file.read(_CHUNK):
                hashing.update(chunk)
        return Digest.of_hasher(hashing)

    def move(self, path: str) -> bool:
        """Move what is at a path to the quarantine; False where nothing is, or it went with what is above it.

        Raises:
            NoPermission, StorageFailure
        """
        if self.goes(path):
            return False
        try:
            if not self._removal.add(path):
                return False
        except WrongKind:
            return False  # what is above it is no folder, so nothing is there
        self._drain()
        self._moved.add(path)
        return True

    def move_layers(self, chain_ids: Iterable[str], because: Mapping[str, str] | None = None) -> None:
        """Move the records of layers, top-down, each with its data and overlay2's short link, and say so."""
        going = [chain_id for chain_id in chain_ids if layout.layer(self.model.driver, chain_id) not in self._moved]
        self._removal.add_layers(going, because)
        self._drain()
        self._moved.update(layout.layer(self.model.driver, chain_id) for chain_id in going)

    def move_data(self, cache_id: str) -> bool:
        """Move the driver's folder that no layer record names, and overlay2's short link to it."""
        parts: Parts = parts_of(self.root, self.model.driver, cache_id)
        moved = [self.move(path) for path in (parts.link, parts.data) if path is not None]
        return any(moved)

    def mtime(self, path: str) -> int | None:
        """When something was modified, in nanoseconds; None where nothing is."""
        try:
            return self.root.stat(path).mtime
        except (NotFound, WrongKind):
            return None

    def plan(
        self,
        identity: StoreId,
        intent: Intent,
        action: str,
        *,
        kept: int = 0,
        weighty: bool = False,
    ) -> Plan:
        """The plan of all that was collected."""
        return Plan(
            action=action,
            kind=identity.kind,
            store=identity.token,
            intent=intent,
            steps=tuple(self.steps),
            reasons=tuple(self.reasons),
            images=tuple(sorted(self.images)),
            bytes_now=0,
            bytes_freed=sum(step.bytes for step in self.steps if isinstance(step, Quarantine)),
            bytes_kept=kept,
            weighty=weighty,
            reveals=tuple(sorted(self.reveals)),
        )

    def _drain(self) -> None:
        """Take over what the removal of layers has found."""
        self.steps.extend(step for step in self._removal.steps if step.path not in self._moved)
        self._moved.update(step.path for step in self._removal.steps)
        self.reasons.extend(self._removal.reasons)
        self._removal.steps.clear()
        self._removal.reasons.clear()


def counted(count: int, noun: str, plural: str = "") -> str:
    """A number with its noun."""
    return f"{count} {noun}" if count == 1 else f"{count} {plural or noun + 's'}"


def some(items: Iterable[str], limit: int = 3) -> str:
    """The first few of some texts, sorted, and how many more there are."""
    found = sorted(set(items))
    rest = len(found) - limit
    return ", ".join(found[:limit]) + (f" and {rest} more" if rest > 0 else "")


def record_file(model: Model, chain_id: str, file: str) -> str:
    """The path of a small file of a layer's record."""
    return join(layout.layer(model.driver, chain_id), file)


def _upwards(path: str) -> Iterator[str]:
    while path:
        yield path
        path = os.path.dirname(path)
