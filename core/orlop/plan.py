"""A change as a value: what is intended, the exact steps, and why each thing goes or stays.

Making a plan reads and never writes; the same state gives the same plan. A plan
is bound to what it saw: applying makes it anew under the store's lock and
refuses when anything differs (`fingerprint`).
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from orlop.errors import Malformed, Unsupported
from orlop.intent import Clean, Intent, intent_from_json, intent_to_json

# --- steps -----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Replace:
    """Put new content in place of a file, atomically; the old bytes go to the quarantine.

    Owner, mode and extended attributes of the old file are kept.
    """

    path: str
    old: str | None
    """Digest of the content that must be there; None: no file may be there."""
    new: bytes
    mode: int = 0o600
    """Permission bits where no old file gives them."""
    folders: int = 0o700
    """Permission bits of the folders that are missing above it."""

    @property
    def new_digest(self) -> str:
        return "sha256:" + hashlib.sha256(self.new).hexdigest()

    def to_json(self) -> dict[str, object]:
        return {
            "op": "replace",
            "path": self.path,
            "old": self.old,
            "new": self.new_digest,
            "size": len(self.new),
            "mode": self.mode,
            "folders": self.folders,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """As `Replace`, where the new content is too large for memory and waits in a file of the store already.

    That file keeps its place until the change is done, so that a plan can be made again.
    """

    path: str
    old: str | None
    """Digest of the content that must be there; None: no file may be there."""
    source: str
    """Path of the waiting file; its owner and mode are what the placed file gets."""
    digest: str
    """What the content must hash to: ``sha256:<64 hex>``."""
    size: int
    """Bytes of the content."""
    folders: int = 0o700
    """Permission bits of the folders that are missing above it."""

    @property
    def new_digest(self) -> str:
        return self.digest

    def to_json(self) -> dict[str, object]:
        return {
            "op": "place",
            "path": self.path,
            "old": self.old,
            "new": self.digest,
            "size": self.size,
            "source": self.source,
            "folders": self.folders,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Make a symbolic link where nothing is."""

    path: str
    target: str
    """What it holds, as it is."""
    folders: int = 0o700
    """Permission bits of the folders that are missing above it."""

    @property
    def old(self) -> None:
        """As `Replace.old`: nothing may be there."""
        return None

    @property
    def new_digest(self) -> str:
        return link_digest(self.target)

    def to_json(self) -> dict[str, object]:
        return {"op": "link", "path": self.path, "target": self.target, "folders": self.folders}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """Move a file, link or folder into the quarantine: one rename on one file system."""

    path: str
    kind: str
    """``file``, ``link`` or ``folder``: what must be there."""
    inode: int
    """The inode number that must be there, so that nothing else is moved in its stead."""
    bytes: int
    """Allocated on disk, the whole tree; freed when the quarantine is emptied."""

    def to_json(self) -> dict[str, object]:
        return {"op": "quarantine", "path": self.path, "kind": self.kind, "inode": self.inode, "bytes": self.bytes}


Step: TypeAlias = Replace | Place | Link | Quarantine


def link_digest(target: str) -> str:
    """What stands for a symbolic link where a file has the digest of its content: no file's digest is the same."""
    return "link:" + hashlib.sha256(target.encode("utf-8", "surrogateescape")).hexdigest()


# --- plans -----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One line of a plan for people: what happens to a thing, and why."""

    verb: str
    """One word: ``untag``, ``tag``, ``remove``, ``layer``, ``blob``, ``add``, ``set``, ``repair``, ``keep``, …"""
    subject: str
    because: str = ""

    def to_json(self) -> dict[str, object]:
        return {"verb": self.verb, "subject": self.subject, "because": self.because}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a plan that can be had without the others."""

    name: str
    """One word, as in `orlop.intent.Clean.only`: ``layers``, ``blobs``, ``debris``, …"""
    things: int
    """How many go."""
    bytes: int
    """What they free when the quarantine is emptied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What will be done, in order, and nothing else."""

    action: str
    """A headline, such as ``delete 2 tags, 1 image``."""
    kind: str
    """Kind of store it was made for."""
    store: str
    """`StoreId.token` of that store."""
    intent: Intent
    steps: tuple[Step, ...]
    reasons: tuple[Reason, ...]
    images: tuple[str, ...]
    """Ids of the images that go or change; every other one must be as good afterwards as before."""
    bytes_now: int
    """Bytes freed at once: 0 where all goes to the quarantine."""
    bytes_freed: int
    """Bytes freed when the quarantine is emptied."""
    bytes_kept: int
    """Bytes of layers that the images use and that stay."""
    kept_for: int = 0
    """Images that stay and need those layers; for people, and no part of the plan's identity."""
    bytes_added: int = 0
    """Bytes of content that was not in the store before."""
    parts: tuple[Part, ...] = ()
    """What it is made of, where a person can choose among it; no part of the plan's identity."""
    weighty: bool = False
    """Whether a person should type the count before it is done: many images, or a repository's last tag."""
    reveals: tuple[tuple[str, str, str], ...] = ()
    """`Finding.identity` of damage that was there and could not be seen before, or that comes with what is
    taken in: the change is not taken back for it. Reasons tell of each; no part of the plan's identity."""

    @property
    def fingerprint(self) -> str:
        """A digest of intent, steps and reasons: equal only when the plan would do exactly the same.

        Sizes are left out: they are for people, and may be counted anew.
        """
        steps = [{k: v for k, v in step.to_json().items() if k != "bytes"} for step in self.steps]
        seen = [self.kind, self.store, intent_to_json(self.intent), steps, [r.to_json() for r in self.reasons]]
        text = json.dumps(seen, sort_keys=True, separators=(",", ":"))
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> dict[str, object]:
        return {
            "type": "plan",
            "version": 1,
            "action": self.action,
            "kind": self.kind,
            "store": self.store,
            "intent": intent_to_json(self.intent),
            "fingerprint": self.fingerprint,
            "steps": [step.to_json() for step in self.steps],
            "bytes_now": self.bytes_now,
            "bytes_freed": self.bytes_freed,
            "bytes_kept": self.bytes_kept,
            "bytes_added": self.bytes_added,
            "reasons": [reason.to_json() for reason in self.reasons],
            **({"parts": [dataclasses.asdict(part) for part in self.parts]} if self.parts else {}),
        }


class Parts:
    """The parts of a plan to clean, counted while it is made.

    Args:
        intent: which of them are wanted.
        names: all that there are.

    Raises:
        Malformed: something else is wanted.
    """

    def __init__(self, intent: Clean, names: Iterable[str]) -> None:
        known = tuple(names)
        unknown = sorted(set(intent.only or ()) - set(known))
        if unknown:
            do = f"there are {', '.join(known)}"
            raise Malformed(f"there is no part {unknown[0]!r} to be cleaned", field="only", do=do)
        self.found: list[Part] = []
        self._things = self._bytes = 0

    def add(self, name: str, things: int, steps: Iterable[Step]) -> None:
        """Note a part, where there is anything of it.

        Args:
            name: its word.
            things: how many things go so far, with the parts before.
            steps: all steps so far.
        """
        freed = sum(step.bytes for step in steps if isinstance(step, Quarantine))
        if things > self._things:
            self.found.append(Part(name=name, things=things - self._things, bytes=freed - self._bytes))
        self._things, self._bytes = things, freed


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why the store will not make such a plan."""

    action: str
    """What was asked, a clause: ``delete image sha256:…``."""
    reasons: tuple[str, ...]
    """Each one clause naming what stands in the way."""
    do: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPlan:
    """A plan read back from a file: enough to make it anew and compare."""

    kind: str
    store: str
    intent: Intent
    fingerprint: str
    document: Mapping[str, object] = field(default_factory=dict)


def unsupported(kind: str, intent: Intent) -> Unsupported:
    """The error for an intent that a kind of store has no use for."""
    return Unsupported(
        f"this kind of store cannot do that: {intent_to_json(intent)['do']}",
        why=f"a {kind} store has nothing that it could mean",
        do="`orlop --help` lists the commands, each with the kinds it works on",
    )


def saved_plan_from_json(data: bytes, *, path: str | None = None) -> SavedPlan:
    """Read a plan file that `Plan.to_json` made.

    Raises:
        Malformed: it is not such a file, or of a later version.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Malformed(str(error), path=path) from error
    if not isinstance(value, dict) or value.get("type") != "plan":
        raise Malformed("not a plan: there is no member type with the value plan", path=path)
    if value.get("version") != 1:
        raise Malformed(f"version {value.get('version')!r}, where this program knows 1", path=path, field="version")
    try:
        return SavedPlan(
            kind=_text(value, "kind"),
            store=_text(value, "store"),
            intent=intent_from_json(value.get("intent")),
            fingerprint=_text(value, "fingerprint"),
            document=value,
        )
    except Malformed as error:
        raise Malformed(error.why, path=path) from error


def _text(value: Mapping[str, object], name: str) -> str:
    found = value.get(name)
    if not isinstance(found, str):
        raise Malformed("not a text", field=name)
    return found
