"""Plans that delete: names, manifests with their last name, whole repositories.

Blobs stay, as for the engine: they may be needed by others, and `plan_clean` tells
which are not. Unlike the engine, a manifest goes neither while an index names it nor
behind the back of another name of it.
"""

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field

from orlop.errors import NotFound
from orlop.fs import Root
from orlop.intent import Remove, RemoveRepository
from orlop.plan import Plan, Refusal
from orlop.records import Key, StoreId
from orlop.registry.layout import MODERN
from orlop.registry.marking import Known, mark
from orlop.registry.model import Model, Repository, State, What
from orlop.registry.naming import take_tag, takes_last_tag
from orlop.registry.planning import MANY, Steps, counted, folder_of, move_repository, named_tag, some

_DO = "remove the index too, or `orlop untag` what you want to lose only the name of"


def plan_removal(root: Root, model: Model, identity: StoreId, intent: Remove) -> Plan | Refusal:
    """Delete rows: tags, and manifests with their last one; rows without a name delete the manifest with all its tags.

    With a manifest go the parts of an index that nothing else keeps, and what belongs to it by
    its subject: signatures, bills of materials.

    Raises:
        NotFound: a tag or manifest is not in the store, or a tag means another manifest than its row says.
    """
    keys = tuple(sorted(set(intent.keys), key=lambda key: (key.scope, key.id, key.name or "")))
    action = "delete " + _asked(keys)
    parts = _parts(model, keys)
    obstacles = [clause for _, part in sorted(parts.items()) for clause in part.obstacles()]
    if obstacles:
        return Refusal(action=action, reasons=tuple(obstacles), do=_DO)
    steps = Steps(root, model)
    for _, part in sorted(parts.items()):
        part.take_tags(steps)
    for _, part in sorted(parts.items()):
        part.take_manifests(steps)
    for _, part in sorted(parts.items()):
        part.remarks(steps)
    tags = frozenset((name, tag) for name, part in parts.items() for tag in part.tags)
    gone = frozenset((name, digest) for name, part in parts.items() for digest in part.going)
    kept, others = _say_blobs(steps, model, gone)
    if steps.obstacles:
        return Refusal(action=action, reasons=tuple(steps.obstacles))
    return steps.plan(
        identity,
        intent,
        "delete " + _counted(len(tags), len(gone)),
        kept=kept,
        kept_for=others,
        weighty=len(gone) > MANY or takes_last_tag(model, tags),
    )


def going(model: Model, keys: Iterable[Key]) -> frozenset[Known]:
    """Manifests that go when these rows are deleted, with their repositories; what stands in the way is not asked.

    Raises:
        NotFound: as `plan_removal`.
    """
    return frozenset((name, digest) for name, part in _parts(model, keys).items() for digest in part.going)


def _parts(model: Model, keys: Iterable[Key]) -> "dict[str, _Part]":
    """What goes of each repository when these rows are deleted."""
    parts: dict[str, _Part] = {}
    for key in keys:
        repository, tag = _found(model, key)
        part = parts.setdefault(repository.name, _Part(model=model, repository=repository))
        part.ask(key.id, tag)
    for part in parts.values():
        part.close()
    return parts


def plan_remove_repository(root: Root, model: Model, identity: StoreId, intent: RemoveRepository) -> Plan | Refusal:
    """Remove repositories with their tags, manifests, links and uploads; those nested below them stay.

    Raises:
        NotFound: there is no such repository.
    """
    names = sorted(set(intent.names))
    steps = Steps(root, model)
    for name in names:
        if name not in model.repositories:
            raise NotFound(f"there is no repository {name}", do="`orlop ls PATH` lists the names")
    gone: set[Known] = set()
    for name in reversed(names):  # nested ones before those that they lie in
        repository = model.repositories[name]
        move_repository(steps, repository)
        steps.say("repository", name, _contents(repository))
        gone.update((name, digest) for digest in repository.revisions)
        steps.images.update(repository.revisions)
        steps.images.update(tag.current.target for tag in repository.tags.values() if tag.current.target is not None)
        nested = [other for other in repository.nested if other not in names]
        if nested:
            steps.say(
                "keep", counted(len(nested), "repository", "repositories"), f"{some(nested)}, nested below {name}"
            )
    kept, others = _say_blobs(steps, model, frozenset(gone), frozenset(names))
    action = "remove the repository " + names[0] if len(names) == 1 else f"remove {len(names)} repositories"
    if steps.obstacles:
        return Refusal(action=action, reasons=tuple(steps.obstacles))
    return steps.plan(identity, intent, action, kept=kept, kept_for=others, weighty=True)


# --- one repository ------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class _Part:
    """What goes of one repository."""

    model: Model
    repository: Repository
    asked: set[str] = field(default_factory=set)
    """Manifests that are asked for by their digest."""
    named: dict[str, str] = field(default_factory=dict)
    """Tags that are asked for, or go with a manifest that is → why."""
    tags: dict[str, str] = field(default_factory=dict)
    going: dict[str, str] = field(default_factory=dict)
    """Manifests that go → why."""
    staying: dict[str, str] = field(default_factory=dict)
    """Manifests that lose their last tag and stay → why."""

    def ask(self, digest: str, tag: str | None) -> None:
        """Note what a person wants."""
        if tag is not None:
            self.named.setdefault(tag, "")
            return
        self.asked.add(digest)
        for name in self._tags_of(digest):
            self.named.setdefault(name, f"all names of {digest} go")

    def close(self) -> None:
        """Find all that goes along, and what must stay."""
        nameless = {
            target
            for target in (self.repository.tags[tag].current.target for tag in self.named)
            if target is not None and target in self.repository.revisions
            if target not in self.asked and set(self._tags_of(target)) <= self.named.keys()
        }
        while True:
            self._spread(nameless)
            held = {digest: why for digest in nameless if (why := self._holder(digest))}
            if not held:
                return
            self.staying.update(held)
            nameless -= held.keys()

    def _spread(self, nameless: Set[str]) -> None:
        """What goes when these do, and everything with them."""
        self.tags = dict(self.named)
        self.going = {digest: "asked for by its digest" for digest in self.asked if digest in self.repository.revisions}
        self.going.update((digest, "its last name goes") for digest in nameless)
        unreadable = self._unreadable()
        before = -1
        while before != len(self.going) + len(self.tags):
            before = len(self.going) + len(self.tags)
            for digest in sorted(self.going):
                self._take_list(digest)
                for near, why in self._near(digest):
                    if unreadable.keys() - self.going.keys() - {near}:
                        continue  # one of those may be an index that names it too
                    if near not in self.going and self._is_free(near):
                        self.going[near] = why

    def _take_list(self, digest: str) -> None:
        """The tag under which clients list what belongs to a manifest (OCI distribution-spec, referrers tag schema)."""
        tag = digest.replace(":", "-")
        if tag in self.repository.tags and tag not in self.tags:
            self.tags[tag] = f"lists what belongs to {digest}, which goes"

    def _near(self, digest: str) -> Iterator[tuple[str, str]]:
        manifest = self.model.manifests.get(digest)
        for child in manifest.children if manifest is not None else ():
            yield child.digest, f"a part of the index {digest}, which goes; nothing else keeps it"
        for referrer in self.model.referrers_of.get((self.repository.name, digest), ()):
            yield referrer, f"belongs to {digest}, which goes"
        listing = self.repository.tags.get(digest.replace(":", "-"))
        if listing is not None and listing.current.target is not None:
            yield listing.current.target, f"lists what belongs to {digest}, which goes"

    def _is_free(self, digest: str) -> bool:
        """Whether nothing that stays keeps a manifest."""
        if digest not in self.repository.revisions or not set(self._tags_of(digest)) <= self.tags.keys():
            return False
        return not self._indexes(digest) and self._subject(digest) is None

    def _holder(self, digest: str) -> str:
        """What keeps a manifest that loses its last name, one clause; empty for nothing."""
        indexes = self._indexes(digest)
        if indexes:
            return f"the index {some(indexes)} names it"
        subject = self._subject(digest)
        if subject is not None:
            return f"it belongs to {subject}, which stays"
        referrers = self._referrers(digest)
        return f"{some(referrers)} belongs to it, and stays" if referrers else ""

    def _tags_of(self, digest: str) -> tuple[str, ...]:
        return self.model.tags_of.get((self.repository.name, digest), ())

    def _indexes(self, digest: str) -> list[str]:
        """Indexes that stay and name a manifest."""
        return [
            index
            for index in self.model.indexes_of.get((self.repository.name, digest), ())
            if index not in self.going and index in self.repository.revisions
        ]

    def _referrers(self, digest: str) -> list[str]:
        return [
            referrer
            for referrer in self.model.referrers_of.get((self.repository.name, digest), ())
            if referrer not in self.going and referrer in self.repository.revisions
        ]

    def _subject(self, digest: str) -> str | None:
        """What a manifest belongs to, where that stays."""
        manifest = self.model.manifests.get(digest)
        subject = manifest.subject.digest if manifest is not None and manifest.subject is not None else None
        return subject if subject in self.repository.revisions and subject not in self.going else None

    # what comes of it

    def obstacles(self) -> Iterator[str]:
        """Why some of it cannot go."""
        if not self.going:
            return
        for part in self.model.unreadable:
            if f"{part.path}/".startswith(f"{self.repository.path}/{MODERN.manifests}/"):
                yield f"{part.path} cannot be read ({part.why}), so what needs these images cannot be known"
        for digest in sorted(self.asked & self.going.keys()):
            indexes = self._indexes(digest)
            if indexes:
                names = [f"{self.repository.name}:{tag}" for index in indexes for tag in self._tags_of(index)]
                known_as = f" ({some(names)})" if names else ""
                noun = "the index" if len(indexes) == 1 else "the indexes"
                yield f"{noun} {some(indexes)}{known_as} of {self.repository.name} names {digest}, and would be broken"

    def take_tags(self, steps: Steps) -> None:
        for tag, why in sorted(self.tags.items()):
            take_tag(steps, self.repository, tag, why)
            target = self.repository.tags[tag].current.target
            if target is not None:
                steps.images.add(target)

    def take_manifests(self, steps: Steps) -> None:
        """Indexes before what they name, and what belongs to others before those."""
        for digest in sorted(self.going, key=lambda digest: (self._rank(digest), digest)):
            steps.images.add(digest)
            if steps.move(folder_of(self.repository.revisions[digest].path)):
                steps.say("remove", f"image {digest}", f"{self.going[digest]}; of {self.repository.name}")

    def remarks(self, steps: Steps) -> None:
        for digest, why in sorted(self.staying.items()):
            steps.say("keep", f"image {digest}", why)
        for target in sorted(
            {self.repository.tags[tag].current.target or "" for tag in self.tags} - self.staying.keys()
        ):
            left = [tag for tag in self._tags_of(target) if tag not in self.tags]
            if left:
                steps.say(
                    "keep", f"image {target}", f"named by {some(f'{self.repository.name}:{tag}' for tag in left)}"
                )
        for digest in sorted(self.going):
            for referrer in self._referrers(digest):
                steps.say("note", f"image {referrer}", f"belongs to {digest}, which goes, and stays under its own name")
        if self.going:
            self._unknowable(steps)

    def _unknowable(self, steps: Steps) -> None:
        """Damaged manifests that stay: if one is an index of what goes, its next push brings that back."""
        for digest, state in sorted(self._unreadable().items()):
            if digest not in self.going:
                steps.say("note", f"image {digest}", f"it is {state}, so whether it names what goes cannot be known")

    def _unreadable(self) -> dict[str, State]:
        """Manifests of which nobody can tell what they name."""
        known = (self.model.manifests[d] for d in self.repository.revisions if d in self.model.manifests)
        return {found.digest: found.state for found in known if found.state not in (State.GOOD, State.MISSING)}

    def _rank(self, digest: str) -> int:
        manifest = self.model.manifests.get(digest)
        if manifest is None:
            return 2
        return 0 if manifest.what is What.INDEX else 1 if manifest.subject is not None else 2


# --- inside --------------------------------------------------------------------


def _found(model: Model, key: Key) -> tuple[Repository, str | None]:
    """The repository of a row, and its tag."""
    if key.name is None:
        repository = model.repositories.get(key.scope)
        if repository is None or (
            key.id not in repository.revisions and not model.tags_of.get((repository.name, key.id))
        ):
            raise NotFound(f"no image {key.id} is in {key.scope or 'the store'}")
        return repository, None
    repository, tag = _row(model, key.scope, key.name)
    current = repository.tags[tag].current
    if current.target is not None and current.target != key.id:
        raise NotFound(f"{key.name} does not mean {key.id}", path=current.path, do="look again: the tag may have moved")
    return repository, tag


def _row(model: Model, scope: str, name: str) -> tuple[Repository, str]:
    repository = model.repositories.get(scope)
    tag = name.removeprefix(f"{scope}:")
    if repository is not None and tag in repository.tags:
        return repository, tag
    return named_tag(model, name)


def _say_blobs(
    steps: Steps, model: Model, gone: frozenset[Known], repositories: frozenset[str] = frozenset()
) -> tuple[int, int]:
    """Say what becomes of the blobs of manifests that go; bytes that stay, and how many other manifests need them."""
    used = _blobs_of(model, gone)
    if not used:
        return 0, 0
    marks = mark(model, gone=gone, gone_repositories=repositories)
    needed = used if marks.blocked else marks.blobs.keys()
    free = [model.blobs[digest].size for digest in used if digest not in needed]
    held = [model.blobs[digest].size for digest in used if digest in needed]
    if free:
        because = f"{sum(free)} bytes that nothing else needs; `orlop clean PATH` removes them"
        steps.say("keep", counted(len(free), "blob"), because)
    if held:
        steps.say("keep", counted(len(held), "blob"), f"{sum(held)} bytes that others need too, or may need")
    others = {user for digest in used for user in model.users_of.get(digest, ())} - {digest for _, digest in gone}
    return sum(free) + sum(held), len(others)


def _blobs_of(model: Model, gone: frozenset[Known]) -> set[str]:
    found: set[str] = set()
    for _, digest in gone:
        manifest = model.manifests.get(digest)
        found.add(digest)
        if manifest is not None:
            found.update(need.digest for need in manifest.needs)
    return found & model.blobs.keys()


def _contents(repository: Repository) -> str:
    parts = [
        counted(len(repository.tags), "tag"),
        counted(len(repository.revisions), "manifest"),
        counted(len(repository.layers), "link") + " to layers",
    ]
    if repository.uploads:
        parts.append(counted(len(repository.uploads), "upload"))
    return ", ".join(parts)


def _asked(keys: tuple[Key, ...]) -> str:
    if len(keys) == 1:
        return keys[0].name or f"image {keys[0].id}"
    return f"{len(keys)} rows"


def _counted(tags: int, images: int) -> str:
    parts = [counted(count, noun) for count, noun in ((tags, "tag"), (images, "image")) if count]
    return ", ".join(parts) or "nothing"
