"""Join what was read into a `Model`: every question answered from values, without the disk."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from orlop import times
from orlop.records import EngineState, Note
from orlop.registry.layout import SCHEDULER
from orlop.registry.model import Blob, Cache, Config, Foreign, Manifest, Model, Repository, State, Unreadable

_MANY = 8
"""Unreadable entries of one folder that are told one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What was read, before anything is joined; the members are those of `Model`."""

    base: str
    repositories: Mapping[str, Repository]
    blobs: Mapping[str, Blob]
    manifests: Mapping[str, Manifest]
    configs: Mapping[str, Config]
    cache: Cache | None
    foreign: Sequence[Foreign]
    empty_shards: Sequence[str]
    unreadable: Sequence[Unreadable]


def join_model(parts: Parts, engine: EngineState, engine_text: str) -> Model:
    """The model of some parts, and of what is known of the registry that works on them."""
    repositories = parts.repositories.values()
    known = _repositories_of(repositories)
    return Model(
        base=parts.base,
        repositories=parts.repositories,
        blobs=parts.blobs,
        manifests=parts.manifests,
        configs=parts.configs,
        cache=parts.cache,
        foreign=parts.foreign,
        empty_shards=parts.empty_shards,
        unreadable=parts.unreadable,
        engine=engine,
        engine_text=engine_text,
        notes=tuple(_notes(parts, engine, engine_text)),
        seen_at=times.now(),
        tags_of=_tags_of(repositories),
        indexes_of=_parents(repositories, parts.manifests, _children),
        referrers_of=_parents(repositories, parts.manifests, _subjects),
        repositories_of=known,
        linked_in=_linked_in(repositories),
        users_of=_users_of(parts.manifests, known),
    )


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    groups: dict[str, list[str]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return {key: tuple(values) if len(values) == 1 else tuple(sorted(set(values))) for key, values in groups.items()}


def _tags_of(repositories: Iterable[Repository]) -> dict[tuple[str, str], tuple[str, ...]]:
    found: dict[tuple[str, str], list[str]] = {}
    for repository in repositories:
        for name, tag in repository.tags.items():
            if tag.current.target is not None:
                found.setdefault((repository.name, tag.current.target), []).append(name)
    return {key: tuple(sorted(names)) for key, names in found.items()}


def _children(found: Manifest) -> Iterator[str]:
    return (child.digest for child in found.children)


def _subjects(found: Manifest) -> Iterator[str]:
    if found.subject is not None:
        yield found.subject.digest


def _parents(
    repositories: Iterable[Repository], manifests: Mapping[str, Manifest], names: Callable[[Manifest], Iterator[str]]
) -> dict[tuple[str, str], tuple[str, ...]]:
    """(repository, digest) → digests of the manifests of that repository that name it."""
    naming = {digest: named for digest, found in manifests.items() if (named := tuple(names(found)))}
    if not naming:
        return {}
    found: dict[tuple[str, str], set[str]] = {}
    for repository in repositories:
        for digest in _known(repository):
            for below in naming.get(digest, ()):
                found.setdefault((repository.name, below), set()).add(digest)
    return {key: tuple(sorted(digests)) for key, digests in found.items()}


def _known(repository: Repository) -> set[str]:
    """Manifests that a repository's links mean, revisions' and tags'."""
    found = {link.target for link in repository.revisions.values() if link.target is not None}
    found.update(tag.current.target for tag in repository.tags.values() if tag.current.target is not None)
    return found


def _repositories_of(repositories: Iterable[Repository]) -> dict[str, tuple[str, ...]]:
    return _grouped(
        (digest, repository.name)
        for repository in repositories
        for digest, link in repository.revisions.items()
        if link.target == digest
    )


def _linked_in(repositories: Iterable[Repository]) -> dict[str, tuple[str, ...]]:
    return _grouped(
        (link.target, repository.name)
        for repository in repositories
        for link in repository.layers.values()
        if link.target is not None
    )


def _users_of(manifests: Mapping[str, Manifest], known: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    return _grouped(
        (needed.digest, digest) for digest, found in manifests.items() if digest in known for needed in found.needs
    )


# --- notes -------------------------------------------------------------------


def _notes(parts: Parts, engine: EngineState, engine_text: str) -> Iterator[Note]:
    """What a person should know of the store as a whole."""
    yield from _unreadable_notes(parts.unreadable)
    if engine is EngineState.RUNNING:
        yield Note(text=f"a registry runs on this store, and may change it while it is shown: {engine_text}")
    cache = parts.cache
    if cache is None:
        return
    if cache.state is State.GOOD:
        text = "this is a pull-through cache: what it holds expires, and its registry fetches it again"
        yield Note(text=text, path=SCHEDULER)
    else:
        text = f"the record of what this pull-through cache holds is damaged: {cache.why}"
        yield Note(text=text, path=SCHEDULER, unreadable=cache.state is State.UNREADABLE)


def _unreadable_notes(unreadable: Sequence[Unreadable]) -> Iterator[Note]:
    """One note for each part; one for all that a folder has of the same fault, where they are many."""
    alike: dict[tuple[str, str], list[str]] = {}
    for part in unreadable:
        alike.setdefault((part.path.rpartition("/")[0], part.why), []).append(part.path)
    for (folder, why), paths in alike.items():
        if len(paths) > _MANY:
            yield Note(text=f"{len(paths)} entries cannot be read: {why}", path=folder, unreadable=True)
        else:
            yield from (Note(text=f"cannot be read: {why}", path=path, unreadable=True) for path in paths)
