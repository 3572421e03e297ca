"""repositories.json with names put in and taken out, written as the engine writes it.

moby: reference/store.go (addReference, Delete, save). Everything that is not
touched stays: keys that do not parse, entries under a foreign repository, and
repositories without entries. A repository that becomes empty is dropped.
"""

from typing import Self

from orlop import jsonrules
from orlop.change import Put
from orlop.docker import layout
from orlop.docker.model import Model
from orlop.errors import Malformed
from orlop.plan import Reason, Refusal, Replace


def by_digest(name: str) -> bool:
    """Whether a name is a digest reference: no tag can hold an ``@``."""
    return "@" in name


def refusal_of_bad_file(model: Model, action: str) -> Refusal | None:
    """The answer where the names cannot be read: nothing is written over what may still be rescued."""
    if model.tags.state != "bad":
        return None
    path = layout.tag_file(model.driver)
    return Refusal(
        action=action,
        reasons=(f"DK01: the tag file {path} cannot be read: {model.tags.why}",),
        do="names can neither be kept nor changed before it is repaired; `orlop explain DK01` says how",
    )


class ReferenceMap:
    """The file's map in memory: repository → name → image id; what a change of a name makes of the file.

    The store door (`TagMap`) and the library's reference store both change names with it.
    """

    def __init__(self, repositories: dict[str, dict[str, str] | None]) -> None:
        self._repositories = repositories

    @classmethod
    def read(cls, raw: bytes | None) -> Self:
        """The map of a file that the engine can read; None stands for no file."""
        return cls(_repositories(raw))

    def copy(self) -> Self:
        """The same map, to be changed by itself."""
        return type(self)({name: None if found is None else dict(found) for name, found in self._repositories.items()})

    def repositories(self) -> tuple[str, ...]:
        """The repositories, those without names too."""
        return tuple(self._repositories)

    def names(self, repository: str) -> dict[str, str]:
        """The names of a repository as the file has them, with their image ids."""
        return dict(self._repositories.get(repository) or {})

    def get(self, repository: str, name: str) -> str | None:
        """The image id that a name has in its repository."""
        return (self._repositories.get(repository) or {}).get(name)

    def put(self, repository: str, name: str, image: str) -> None:
        """Give an image a name; a name that exists moves."""
        entries = self._repositories.get(repository) or {}
        entries[name] = image
        self._repositories[repository] = entries

    def take(self, repository: str, name: str) -> None:
        """Take a name away, and its repository with the last one."""
        entries = self._repositories.get(repository)
        if entries is not None and entries.pop(name, None) is not None and not entries:
            del self._repositories[repository]

    def change(self, path: str) -> Put:
        """The one write that makes the file at `path` hold these names."""
        return Put(path=path, data=jsonrules.dumps({"Repositories": self._repositories}), mode=0o600)


class TagMap:
    """The names of a store, to be changed in memory and turned into one step."""

    def __init__(self, model: Model) -> None:
        self._path = layout.tag_file(model.driver)
        self._raw = model.tags.raw
        self._digest = model.tags.digest
        self._map = ReferenceMap.read(model.tags.raw)
        self._listed: dict[str, list[str]] = {}
        self._tags_left: dict[str, int] = {}
        for repository in self._map.repositories():
            names = self._map.names(repository)
            self._tags_left[repository] = sum(not by_digest(name) for name in names)
            for name in names:
                self._listed.setdefault(name, []).append(repository)
        self.without_tags: set[str] = set()
        """Repositories that lost their last tag."""

    def get(self, repository: str, name: str) -> str | None:
        """The image id that a name has in its repository."""
        return self._map.get(repository, name)

    def put(self, repository: str, name: str, image: str) -> None:
        """Give an image a name; a name that exists moves."""
        if self._map.get(repository, name) is None:
            self._listed.setdefault(name, []).append(repository)
            self._tags_left[repository] = self._tags_left.get(repository, 0) + (not by_digest(name))
        self._map.put(repository, name, image)

    def take(self, name: str, image: str) -> None:
        """Take a name of an image away, under whichever repository it is listed."""
        for repository in self._listed.get(name, ()):
            if self._map.get(repository, name) != image:
                continue
            self._map.take(repository, name)
            if not by_digest(name):
                self._tags_left[repository] -= 1
                if not self._tags_left[repository]:
                    self.without_tags.add(repository)

    def step(self) -> Replace:
        """The one write that makes the file hold these names; 0600 where there was none."""
        change = self._map.change(self._path)
        return Replace(path=change.path, old=self._digest, new=change.data, mode=change.mode)

    def remarks(self) -> tuple[Reason, ...]:
        """What the file holds beside its names, and loses with any write, the engine's own too."""
        if self._raw is None:
            return ()
        lost: list[Reason] = []
        try:
            jsonrules.loads(self._raw)
        except Malformed:
            lost.append(self._lost("the text after the first JSON value"))
        value = jsonrules.loads(self._raw, stream=True)
        others = [member for member in value if member.lower() != "repositories"] if isinstance(value, dict) else []
        lost.extend(self._lost(f"the member {member}") for member in sorted(others))
        return tuple(lost)

    def _lost(self, what: str) -> Reason:
        return Reason(verb="note", subject=self._path, because=f"{what} is lost, as at any write of the engine")


def _repositories(raw: bytes | None) -> dict[str, dict[str, str] | None]:
    """The file's map, decoded anew: one name may be listed under two repositories, which `TagFile` cannot tell."""
    if raw is None:
        return {}
    found = jsonrules.member(jsonrules.loads(raw, stream=True), "Repositories")
    if not isinstance(found, dict):
        return {}
    return {repository: dict(entries) if isinstance(entries, dict) else None for repository, entries in found.items()}
