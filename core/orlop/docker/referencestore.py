"""Names of images as a library: tags and digest references in repositories.json.

Drawn from moby ``reference/store.go`` (v1.12.0-rc4) and, with the grammar `PLAIN`, from its
ancestor ``tag/store.go`` (commit 01ba0a935b). The file is written whole at every
change, by the engine's rules for what stays. Two things are stricter than there: an
update starts from what the file holds at that moment, under a lock, so that none
of another process is lost; and a change that could not be saved has not happened.

    >>> import tempfile
    >>> store = ReferenceStore.open(tempfile.mkdtemp() + "/repositories.json")
    >>> store.add_tag("busybox", "sha256:aa")
    >>> store.get("docker.io/library/busybox:latest")
    'sha256:aa'
"""

import contextlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from orlop import jsonrules, reference
from orlop.digest import is_hex
from orlop.direct import Place
from orlop.docker import digestset
from orlop.docker.tagfile import TAG_FILE_LIMIT, check_tag_file
from orlop.docker.tagmap import ReferenceMap
from orlop.errors import AlreadyExists, Malformed, NotFound, Refused

__all__ = [
    "FAMILIAR",
    "PLAIN",
    "Association",
    "Grammar",
    "Name",
    "ReferenceStore",
    "familiar_name",
    "id_or_name",
    "plain_name",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """A name that parsed, as a reference store keeps it."""

    repository: str
    text: str
    """The whole name, as the file has it."""
    tag: str | None
    digest: str | None

    @property
    def tagged(self) -> "Name":
        """The same with the tag ``latest`` where it has neither tag nor digest."""
        if self.tag is not None or self.digest is not None:
            return self
        return replace(self, text=f"{self.repository}:{reference.DEFAULT_TAG}", tag=reference.DEFAULT_TAG)


@dataclass(frozen=True, slots=True, kw_only=True)
class Association:
    """A name and the image id that it has."""

    name: str
    image: str


def familiar_name(text: str) -> Name:
    """Read a name in any spelling, and put it into the engine's short one: ``docker.io/library/a`` is ``a``.

    Raises:
        Malformed: not a name; `engine` has the engine's words.
    """
    found = reference.parse(text)
    return Name(repository=found.repository, text=found.familiar, tag=found.tag, digest=found.digest)


def plain_name(text: str) -> Name:
    """Read a name by the ancestor's grammar, which knows no domains and keeps each spelling as its own name.

    docker/distribution ``reference/reference.go`` as of October 2015.

    Raises:
        Malformed: not a name; `engine` has the engine's words.
    """
    if not text:
        raise Malformed("there is no name", engine="repository name must have at least one component")
    found = _PLAIN.fullmatch(text)
    if found is None:
        raise Malformed("not a name with an optional tag and digest", engine="invalid reference format")
    repository, tag, digest = found.groups()
    if len(repository) > reference.NAME_LIMIT:
        raise Malformed(
            f"the name has {len(repository)} characters, where {reference.NAME_LIMIT} are allowed",
            engine=f"repository name must not be more than {reference.NAME_LIMIT} characters",
        )
    if digest is not None:
        digestset.parse_digest(digest)
    return Name(repository=repository, text=text, tag=tag, digest=digest)


_HOST_PART = r"(?:[a-z0-9]|[a-z0-9][a-z0-9-]*[a-z0-9])"
_HOST = rf"{_HOST_PART}(?:\.{_HOST_PART})*(?::[0-9]+)?"
_WORD = r"[a-z0-9]+(?:-+[a-z0-9]+)*"
_PART = rf"{_WORD}(?:(?:[._]|__){_WORD})*"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_PLAIN = re.compile(
    rf"((?:{_HOST}/)?{_PART}(?:/{_PART})*)(?::([A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}))?(?:@({_DIGEST}))?", re.ASCII
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """How a reference store reads names, and which it lets nobody add."""

    read: Callable[[str], Name]
    """Raises Malformed."""
    check_new: Callable[[Name], None]
    """Raises Malformed for a name that may be there but not be added."""


def _no_digest_algorithm(name: Name) -> None:
    reference.check_new(reference.parse(name.text))


FAMILIAR = Grammar(read=familiar_name, check_new=_no_digest_algorithm)
"""As engines from 1.10 do it."""
PLAIN = Grammar(read=plain_name, check_new=lambda _: None)
"""As their ancestor did it."""


def id_or_name(text: str) -> str | Name:
    """What a person means who may give an id or a name: a full digest for 64 hex digits or a digest, else a name.

    moby: reference.ParseIDOrReference.

    Raises:
        Malformed: neither.
    """
    if is_hex(text):
        return f"sha256:{text}"
    try:
        digestset.parse_digest(text)
    except Malformed:
        return familiar_name(text)
    return text


class ReferenceStore:
    """The tags and digest references of a store, by name and by image.

    Names may be given in any spelling that the grammar reads; a bare one means ``:latest``
    wherever a single name is meant. Image ids are texts and are not checked. Answers
    come from memory, as the file was at opening, at the last change made here or at
    the last `refresh`. Safe between threads and between processes.
    """

    def __init__(self, path: str, names: Grammar) -> None:
        """Use `open` instead."""
        folder, self._file = os.path.split(os.path.abspath(path))
        self._place = Place(folder, folders=0o700)
        self._names = names
        self._map = ReferenceMap({})
        self._null = False

    @classmethod
    def open(cls, path: str, *, names: Grammar = FAMILIAR) -> Self:
        """Read a repositories.json; where there is none, write an empty one (0600).

        Args:
            path: the file, such as ``/var/lib/docker/image/overlay2/repositories.json``.
            names: how names are read and spelled: `FAMILIAR`, or `PLAIN` for the ancestor's files.

        Raises:
            Malformed: no engine could read it; `engine` has its words.
            WrongKind, TooLarge, NoPermission, ReadOnly, NoSpace, StorageFailure
        """
        store = cls(path, names)
        try:
            store.refresh()
        except NotFound:
            store._place.create()
            with store._place.exclusive():
                try:
                    store.refresh()
                except NotFound:
                    store._place.run(store._map.change(store._file))
        return store

    def refresh(self) -> None:
        """Read the file anew.

        Raises:
            NotFound: there is none; what was read last stays.
            Malformed, WrongKind, TooLarge, NoPermission, StorageFailure: as `open`.
        """
        raw = self._place.read(self._file, TAG_FILE_LIMIT)
        check_tag_file(raw)
        value = jsonrules.loads(raw, stream=True)
        listed = jsonrules.occurrences(value, "Repositories")
        self._map, self._null = ReferenceMap.read(raw), bool(listed) and listed[-1] is None

    def add_tag(self, name: str, image: str, *, force: bool = False) -> None:
        """Give an image a tag; with `force` a tag that exists moves.

        Raises:
            Malformed: not a name, or one that would read as a digest.
            Refused: it is a digest reference.
            AlreadyExists: the tag exists (whatever its image), and `force` is not set.
            WrongKind, NoPermission, ReadOnly, NoSpace, StorageFailure: it was not saved.
        """
        wanted = self._names.read(name)
        if wanted.digest is not None:
            words = "refusing to create a tag with a digest reference"
            raise Refused("a tag was asked for", (f"{name} is a digest reference",), engine=words)
        self._add(wanted.tagged, image, force=force)

    def add_digest(self, name: str, image: str) -> None:
        """Give an image a digest reference, ``name@digest``; one that exists is never changed.

        Raises:
            Malformed: not a name, or without a digest.
            AlreadyExists: the reference exists (whatever its image).
            WrongKind, NoPermission, ReadOnly, NoSpace, StorageFailure: it was not saved.
        """
        wanted = self._names.read(name)
        if wanted.digest is None:
            raise Malformed(f"{name} has no digest")
        self._add(wanted, image, force=False)

    def delete(self, name: str) -> None:
        """Take a tag or digest reference away.

        Raises:
            Malformed: not a name.
            NotFound: there is no such reference.
            WrongKind, NoPermission, ReadOnly, NoSpace, StorageFailure: it was not saved.
        """
        wanted = self._names.read(name).tagged

        def change(names: ReferenceMap) -> None:
            if names.get(wanted.repository, wanted.text) is None:
                raise _unknown(wanted)
            names.take(wanted.repository, wanted.text)

        self._update(change)

    def get(self, name: str) -> str:
        """The image id that a tag or digest reference has.

        Raises:
            Malformed: not a name.
            NotFound: there is no such reference.
        """
        wanted = self._names.read(name).tagged
        image = self._map.get(wanted.repository, wanted.text)
        if image is None:
            raise _unknown(wanted)
        return image

    def references(self, image: str) -> tuple[str, ...]:
        """All names of an image, tags and digest references, sorted; keys that are no names are left out."""
        found: set[str] = set()
        for repository in self._map.repositories():
            for text, identity in self._map.names(repository).items():
                if identity == image:
                    found.update(self._spelled(text))
        return tuple(sorted(found))

    def references_by_name(self, name: str) -> tuple[Association, ...]:
        """All names in the repository of a name, whose own tag or digest does not matter; sorted.

        None where the repository has none, and, as the engine has it, where any of
        its keys in the file is no name.

        Raises:
            Malformed: not a name.
        """
        found: list[Association] = []
        for text, image in self._map.names(self._names.read(name).repository).items():
            spelled = self._spelled(text)
            if not spelled:
                return ()
            found.append(Association(name=spelled[0], image=image))
        return tuple(sorted(found, key=lambda association: association.name))

    def _spelled(self, text: str) -> tuple[str, ...]:
        """A key of the file as a name; nothing where it is none."""
        try:
            return (self._names.read(text).text,)
        except Malformed:
            return ()

    def _add(self, wanted: Name, image: str, *, force: bool) -> None:
        self._names.check_new(wanted)

        def change(names: ReferenceMap) -> None:
            old = names.get(wanted.repository, wanted.text)
            if old is not None and (wanted.digest is not None or not force):
                raise _taken(wanted, old)
            names.put(wanted.repository, wanted.text, image)

        self._update(change)

    def _update(self, change: Callable[[ReferenceMap], None]) -> None:
        """Change the names as the file has them now, alone; where it is gone, as it was read last."""
        with self._place.exclusive():
            with contextlib.suppress(NotFound):  # a file that vanished is written again with what it held
                self.refresh()
            changed = self._map.copy()
            change(changed)
            if self._null:
                raise Malformed(
                    "its member Repositories is null",
                    path=os.path.join(self._place.path, self._file),
                    engine="panic: assignment to entry in nil map",
                )
            self._place.run(changed.change(self._file))
            self._map = changed


def _unknown(name: Name) -> NotFound:
    return NotFound(f"nothing is named {name.text}", engine="reference does not exist")


def _taken(name: Name, image: str) -> AlreadyExists:
    if name.digest is not None:
        engine = f"Cannot overwrite digest {name.digest}"
        return AlreadyExists(f"{name.text} exists already", why=f"it names {image}", engine=engine)
    return AlreadyExists(
        f"the tag {name.text} exists already",
        why=f"it names {image}",
        do="say that it shall move, if you want that",
        engine=f"Conflict: Tag {name.text} is already set to image {image}, "
        "if you want to replace it, please use -f option",
    )
