"""Plans that remove what nothing needs: manifests without a name, links, blobs, empty folders, debris.

What is needed: `orlop.registry.marking`. Unlike distribution's own garbage
collection (``registry/storage/garbagecollect.go``) it follows indexes and subjects,
leaves alone what is new, hides nothing behind one bad file, and can be taken back.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from orlop.fs import Root
from orlop.intent import Clean
from orlop.plan import Parts, Plan, Refusal
from orlop.records import StoreId
from orlop.registry import place
from orlop.registry.layout import MODERN
from orlop.registry.marking import Marks, mark
from orlop.registry.model import Blob, Link, Model, Repository, State, What
from orlop.registry.planning import MANY, Steps, counted, folder_of, move_repository, some

MOST = 50_000
"""Things that one plan removes at most: the journal of a change must be read again."""

PARTS = ("repositories", "manifests", "links", "blobs", "folders", "debris")
"""What can be cleaned by itself, in the order in which it goes; manifests go only where untagged ones are to."""

_HIDDEN = (State.UNREADABLE, State.WRONG_KIND)


def plan_clean(root: Root, model: Model, identity: StoreId, intent: Clean) -> Plan | Refusal:
    """Remove what nothing needs and what was last changed before a time.

    Where a manifest cannot be read, all that its repository links stays; where a part of the
    tree cannot be followed, or no folder of repositories is there, every blob stays; reasons say so.
    """
    marks = mark(model, before=intent.before, untagged=intent.untagged and intent.wants("manifests"))
    repositories = place.repositories(model.base)
    if not marks.blocked and not root.exists(repositories):  # a volume that is not mounted, a copy cut short
        marks.blocked = f"{repositories} is not there, so what needs them cannot be known"
    parts = Parts(intent, PARTS)
    sweep = _Sweep(root, model, intent, marks)
    for name, take in zip(PARTS, sweep.takes(), strict=True):
        if intent.wants(name) and not sweep.is_full():  # what comes first needs what comes later, so the rest may wait
            take()
            parts.add(name, sweep.things, sweep.steps.steps)
    sweep.remarks()
    steps = sweep.steps
    if steps.obstacles:
        return Refusal(action="clean", reasons=tuple(steps.obstacles))
    action = "clean: " + (", ".join(sweep.counted()) or "nothing to remove")
    plan = steps.plan(identity, intent, action, kept=sweep.kept_bytes, weighty=len(steps.images) > MANY)
    return replace(plan, parts=tuple(parts.found))


class _Sweep:
    """One plan in the making."""

    def __init__(self, root: Root, model: Model, intent: Clean, marks: Marks) -> None:
        self.model = model
        self.before = intent.before
        self.marks = marks
        self.steps = Steps(root, model)
        self.kept_bytes = 0
        self._counts: dict[str, int] = {}
        entries = model.cache.entries if model.cache is not None else ()
        self._cached = {(entry.repository, entry.digest) for entry in entries}
        wanted = model.repositories.values() if intent.wants("repositories") else ()
        self._empty = {found.name for found in wanted if self._will_be_empty(found)}
        self._links_go = intent.wants("links")

    def is_full(self) -> bool:
        """Whether the plan has as many steps as one can."""
        return len(self.steps.steps) >= MOST

    @property
    def things(self) -> int:
        """How many things go so far."""
        return sum(self._counts.values())

    def takes(self) -> tuple[Callable[[], None], ...]:
        """What takes each of `PARTS`."""
        return (self.repositories, self.revisions, self.links, self.blobs, self.empty_folders, self.debris)

    def counted(self) -> Iterator[str]:
        """What goes, each kind with its number."""
        for noun, count in self._counts.items():
            yield counted(count, noun, noun[:-1] + "ies" if noun.endswith("y") else "")

    # what goes

    def revisions(self) -> None:
        """Manifests that nothing keeps: indexes before what they name, what belongs to others before those."""
        for name, digest in sorted(self.marks.going, key=lambda known: (self._rank(known[1]), known)):
            if self.is_full():
                return
            link = self.model.repositories[name].revisions[digest]
            if name not in self._empty and self.steps.move(folder_of(link.path)):
                self._say_gone(name, digest)

    def repositories(self) -> None:
        """Repositories with nothing in them."""
        for name in sorted(self._empty, reverse=True):
            if self.is_full():
                return
            repository = self.model.repositories[name]
            for digest in sorted(repository.revisions):
                self._say_gone(name, digest)
            move_repository(self.steps, repository)
            left = f"only {counted(len(repository.layers), 'link')} to layers" if repository.layers else "nothing"
            self._say("repository", name, f"{left} would be in it")

    def links(self) -> None:
        """Links to layers that no manifest of their repository names."""
        for name, repository in sorted(self.model.repositories.items()):
            if name in self._empty or name in self.marks.shielded:
                continue
            for digest, link in sorted(repository.layers.items()):
                if self.is_full():
                    return
                if self._is_over(repository, link) and self.steps.move(folder_of(link.path)):
                    self._say("link", f"{digest} in {name}", "none of its manifests needs it")

    def blobs(self) -> None:
        """Blobs that nothing needs."""
        if self.marks.blocked:
            return
        for digest, blob in sorted(self.model.blobs.items()):
            if self.is_full():
                return
            if not self._links_go and self.model.linked_in.get(digest):
                continue  # a link that stays would lead to nothing
            if digest not in self.marks.blobs and self.steps.move(place.blob_folder(self.model.base, digest)):
                self._say("blob", digest, f"{blob.size} bytes; {self._why_none(blob)}")

    def empty_folders(self) -> None:
        """Folders that deleted blobs left."""
        for path in sorted(self.model.empty_shards):
            if self._is_old(path) and self.steps.move(path):
                self._say("debris", path, "an empty folder of a blob that was deleted", noun="empty folder")

    def debris(self) -> None:
        """What cut writes left."""
        for stray in sorted(self.model.foreign, key=lambda stray: stray.path):
            if stray.where == "temporary" and stray.mtime < self.before and self.steps.move(stray.path):
                self._say("debris", stray.path, f"{stray.bytes} bytes; what a write that was cut left")

    # what stays

    def remarks(self) -> None:
        """Why not more goes."""
        marks = self.marks
        if self.is_full():
            self.steps.say("keep", "the rest", f"one change removes {MOST} things at most: clean again")
        if marks.blocked:
            self.steps.say("keep", "every blob", marks.blocked)
        for name, why in sorted(marks.shielded.items()):
            if name not in self.model.repositories or not self.model.repositories[name].layers:
                continue
            self.steps.say("keep", f"everything that {name} links", why)
        needed = mark(self.model, untagged=False, gone=marks.going.keys()).blobs
        spared = [blob for digest, blob in self.model.blobs.items() if digest not in needed]
        spared = [blob for blob in spared if marks.blocked or blob.digest in marks.blobs]
        if spared:
            self.kept_bytes = sum(blob.size for blob in spared)
            because = f"{self.kept_bytes} bytes that no manifest names; {self._why_spared(spared)}"
            self.steps.say("keep", counted(len(spared), "blob"), because)

    def _why_spared(self, spared: list[Blob]) -> str:
        if self.marks.blocked:
            return "what cannot be read may need them"
        return some({self.marks.blobs[blob.digest] for blob in spared})

    # judging

    def _rank(self, digest: str) -> int:
        manifest = self.model.manifests.get(digest)
        if manifest is None:
            return 2
        return 0 if manifest.what is What.INDEX else 1 if manifest.subject is not None else 2

    def _is_over(self, repository: Repository, link: Link) -> bool:
        if link.state in _HIDDEN or link.mtime >= self.before:
            return False
        needed = self.marks.names.get(repository.name, set())
        if link.named in needed or (link.target is not None and link.target in needed):
            return False
        return not self._is_cached(repository.name, link)

    def _is_cached(self, name: str, link: Link) -> bool:
        """Whether the record of a pull-through cache names what a link leads to."""
        places = {(where, digest) for where in (name, "") for digest in (link.named, link.target)}
        return not places.isdisjoint(self._cached)

    def _will_be_empty(self, repository: Repository) -> bool:
        """Whether nothing but old links is left of a repository, and no part of it is unknown."""
        if repository.tags or repository.uploads or repository.name in self.marks.shielded:
            return False
        if any((repository.name, digest) not in self.marks.going for digest in repository.revisions):
            return False
        if not all(self._is_over(repository, link) for link in repository.layers.values()):
            return False
        own = [f"{repository.path}/{part}" for part in MODERN.repository_folders]
        if any(stray.path.startswith(f"{repository.path}/_") for stray in self.model.foreign):
            return False
        if any(part.path.startswith(repository.path) for part in self.model.unreadable):
            return False
        root = self.steps.root
        return all(self._is_old(path) for path in own if root.exists(path))

    def _is_old(self, path: str) -> bool:
        return self.steps.root.stat(path).mtime < self.before

    def _why_none(self, blob: Blob) -> str:
        linked = self.model.linked_in.get(blob.digest, ())
        if self.model.users_of.get(blob.digest) or self.model.repositories_of.get(blob.digest):
            return "only manifests that go need it"
        if linked:
            return f"no manifest needs it, though {some(linked)} {'links' if len(linked) == 1 else 'link'} it"
        return "no manifest needs it, and no repository links it"

    def _say_gone(self, name: str, digest: str) -> None:
        self._say("revision", f"{name}@{digest}", self.marks.going[name, digest])
        self.steps.images.add(digest)

    def _say(self, verb: str, subject: str, because: str, *, noun: str = "") -> None:
        noun = noun or ("piece of debris" if verb == "debris" else verb)
        self._counts[noun] = self._counts.get(noun, 0) + 1
        self.steps.say(verb, subject, because)
