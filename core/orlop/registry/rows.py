"""The image list of a registry: a row per tag, and one per manifest that has none."""

from collections.abc import Iterable, Iterator, Mapping

from orlop.records import Condition, Flag, Key, Note, Row, Snapshot, StoreId, Trust
from orlop.registry.faults import ABSENT, DEEPEST, Faults
from orlop.registry.layout import is_name, is_tag
from orlop.registry.model import Config, Manifest, Model, Repository, Tag, What
from orlop.registry.sizes import Sizes
from orlop.text import is_odd


def rows(model: Model) -> tuple[Row, ...]:
    """All rows, sorted by repository and tag, those without a tag last.

    What an index names follows it, unless it has a tag of its own; it stands once, under the
    first index of its repository that names it. The repository is given of rows without
    a tag too: it is where they are served.
    """
    listing = _Listing(model)
    named: list[Row] = []
    bare: list[Row] = []
    for repository in model.repositories.values():
        found = _Grouping(listing, repository)
        named += found.named()
        bare += found.bare()
    return (*named, *bare)


def snapshot(model: Model, identity: StoreId, notes: tuple[Note, ...]) -> Snapshot:
    """Everything the image list shows, with these notes."""
    found = rows(model)
    return Snapshot(
        identity=identity,
        rows=found,
        images=len({row.key[:2] for row in found if row.key.id}),
        total_size=sum(blob.size for blob in model.blobs.values()),
        seen_at=model.seen_at,
        engine=model.engine,
        engine_text=model.engine_text,
        notes=notes,
    )


def by_key(rows: Iterable[Row]) -> Mapping[Key, Row]:
    """Rows by their key."""
    return {row.key: row for row in rows}


class _Grouping:
    """The rows of one repository; those of an index's children follow the index."""

    def __init__(self, listing: "_Listing", repository: Repository) -> None:
        self._listing = listing
        self._repository = repository
        tags = (tag.current.target for tag in repository.tags.values())
        self._tagged = {target for target in tags if target is not None}
        self._placed: set[str] = set()

    def named(self) -> Iterator[Row]:
        for name in sorted(self._repository.tags):
            tag = self._repository.tags[name]
            row = self._listing.tag(self._repository, tag)
            yield row
            if row.id:
                yield from self._children(row.id, row.key)

    def bare(self) -> Iterator[Row]:
        """What has no tag and stands under no index that has one: indexes first, with what they name."""
        left = [d for d in sorted(self._repository.revisions) if d not in self._tagged and d not in self._placed]
        named = {digest for digest in left if self._listing.parents(self._repository, digest)}
        for digest in [*(d for d in left if d not in named), *(d for d in left if d in named)]:
            if digest not in self._placed:  # of indexes that name each other the first stands alone
                self._placed.add(digest)
                row = self._listing.revision(self._repository, digest, None)
                yield row
                yield from self._children(digest, row.key)

    def _children(self, index: str, under: Key, depth: int = 1) -> Iterator[Row]:
        """The rows under an index; what lies too deep stands alone."""
        for digest in self._listing.children(index):
            if digest in self._placed or digest in self._tagged or digest not in self._repository.revisions:
                continue
            self._placed.add(digest)
            row = self._listing.revision(self._repository, digest, under)
            yield row
            if depth < DEEPEST:
                yield from self._children(digest, row.key, depth + 1)


class _Listing:
    """Makes rows; equal sets of flags are one object."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._faults = Faults(model)
        self._sizes = Sizes(model)
        self._sets: dict[frozenset[Flag], frozenset[Flag]] = {}
        self._odd: dict[str, bool] = {}

    def children(self, index: str) -> Iterator[str]:
        """What an index names."""
        manifest = self._model.manifests.get(index)
        return (child.digest for child in manifest.children) if manifest is not None else iter(())

    def parents(self, repository: Repository, digest: str) -> tuple[str, ...]:
        """The indexes of a repository that name a manifest."""
        return self._model.indexes_of.get((repository.name, digest), ())

    def tag(self, repository: Repository, tag: Tag) -> Row:
        name = f"{repository.name}:{tag.name}"
        odd = not is_tag(tag.name) or is_odd(tag.name)
        if tag.current.target is not None:
            return self._row(Key(repository.name, tag.current.target, name), repository, tag.name, None, odd)
        why = tag.problem or f"what it means is unknown: {tag.current.why}"
        condition = Condition.INCOMPLETE if tag.current.state in ABSENT and not tag.problem else Condition.DAMAGED
        flags = {Flag.ODD_NAME} if odd or self._is_odd(repository) else set()
        return Row(
            key=Key(repository.name, "", name),
            repository=repository.name,
            tag=tag.name,
            created=None,
            size=None,
            own_size=None,
            platform="",
            trust=Trust.LISTED,
            verified_at=None,
            condition=condition,
            flags=self._shared(flags),
            reason=why,
            what="unknown",
        )

    def revision(self, repository: Repository, digest: str, under: Key | None) -> Row:
        return self._row(Key(repository.name, digest, None), repository, "", under, False)

    def _row(self, key: Key, repository: Repository, tag: str, under: Key | None, odd: bool) -> Row:
        manifest = self._model.manifests.get(key.id)
        config = self._config(manifest)
        condition, reason = self._faults.of(repository.name, key.id)
        size, own = self._sizes.of(key.id)
        return Row(
            key=key,
            repository=repository.name,
            tag=tag,
            created=_created(manifest, config),
            size=size,
            own_size=own,
            platform=self._platform(key, manifest, config),
            trust=self._faults.trust(repository.name, key.id),
            verified_at=None,
            condition=condition,
            flags=self._flags(key, repository, manifest, odd),
            reason=reason,
            what=(manifest.what if manifest is not None else What.UNKNOWN).value,
            under=under,
        )

    def _config(self, manifest: Manifest | None) -> Config | None:
        if manifest is None or manifest.config is None:
            return None
        return self._model.configs.get(manifest.config.digest)

    def _platform(self, key: Key, manifest: Manifest | None, config: Config | None) -> str:
        """What the config says, and more exactly the index, which may know the variant."""
        said = config.platform if config is not None else manifest.platform if manifest is not None else ""
        for index in self._model.indexes_of.get((key.scope, key.id), ()):
            for child in self._model.manifests[index].children:
                if child.digest == key.id and child.platform.startswith(said):
                    return child.platform
        return said

    def _flags(self, key: Key, repository: Repository, manifest: Manifest | None, odd: bool) -> frozenset[Flag]:
        found: set[Flag] = set()
        if self._model.indexes_of.get((repository.name, key.id)):
            found.add(Flag.CHILD)
        if manifest is not None and manifest.subject is not None:
            found.add(Flag.REFERRER)
        if key.name is None and not found:
            found.add(Flag.UNTAGGED)
        if self._model.cache is not None:
            found.add(Flag.CACHED)
        if odd or self._is_odd(repository):
            found.add(Flag.ODD_NAME)
        return self._shared(found)

    def _is_odd(self, repository: Repository) -> bool:
        name = repository.name
        if name not in self._odd:
            self._odd[name] = not is_name(name) or is_odd(name)
        return self._odd[name]

    def _shared(self, flags: set[Flag]) -> frozenset[Flag]:
        found = frozenset(flags)
        return self._sets.setdefault(found, found)


def _created(manifest: Manifest | None, config: Config | None) -> int | None:
    if config is not None and config.created is not None:
        return config.created
    return manifest.created if manifest is not None else None
