"""What a person wants of a store, as values that a plan is made from and a file can hold.

An intent holds everything that the plan depends on besides the store, the time
included: the same intent and the same store give the same plan.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from orlop.errors import Malformed
from orlop.records import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """Give an image a name; a tag that exists moves, and its image keeps its other names."""

    image: str
    name: str
    scope: str = ""
    """`Key.scope` of the image, where an id alone does not tell which one is meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Untag:
    """Take names away; no image and no layer goes, even with the last name."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """Remove rows: a named row loses that name and its image goes with the last one.

    A key without a name stands for the image with all its names.
    """

    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveRepository:
    """Remove whole repositories: their tags, revisions, links and uploads; those nested below them stay."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmap:
    """Remove V2 digest mappings, by (diff id, digest, source repository)."""

    mappings: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DropUploads:
    """Remove uploads that will not be finished."""

    before: int
    """Only those begun, and last written to, before this time: nanoseconds UTC."""
    uploads: tuple[str, ...] | None = None
    """Only these, each ``<repository>/<id>``; None for every one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clean:
    """Remove what nothing needs."""

    before: int
    """Only what was last changed before this time: nanoseconds UTC."""
    untagged: bool = False
    """Whether an image without a name goes too, where nothing else needs it."""
    only: tuple[str, ...] | None = None
    """The parts of the plan that are wanted, by `orlop.plan.Part.name`; None for all."""

    def wants(self, part: str) -> bool:
        """Whether a part is wanted."""
        return self.only is None or part in self.only


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """Put right what findings name, where it can be derived from what is there."""

    findings: tuple[tuple[str, str, str], ...]
    """`Finding.identity` of each."""
    guess: bool = False
    """Whether a person consents to what is likely and cannot be proved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """Take in an image whose content waits in the store's `orlop.incoming`."""

    staged: str
    """Name of its folder there."""
    name: str = ""
    """The name that it gets; empty where it brings its own."""
    latest: bool = False
    at: int = 0
    """The time of import: nanoseconds UTC."""
    remote: "PutRemote | None" = None
    """The remote record that is to lead to it; the record's own `image` is left empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLatest:
    """Say that an image is the newest of its name, or that it is not."""

    image: str
    latest: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PutRemote:
    """Make or renew the remote record of a URL."""

    url: str
    image: str
    signature_url: str = ""
    etag: str = ""
    max_age: int = 0
    """Seconds."""
    downloaded: int = 0
    """Nanoseconds UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DropRemotes:
    """Forget where images came from, by URL; the images stay."""

    urls: tuple[str, ...]


Intent: TypeAlias = (
    Tag
    | Untag
    | Remove
    | RemoveRepository
    | Unmap
    | DropUploads
    | Clean
    | Repair
    | Import
    | SetLatest
    | PutRemote
    | DropRemotes
)

_NAMES: Mapping[str, Callable[["_Members"], Intent]] = {
    "tag": lambda m: Tag(image=m.text("image"), name=m.text("name"), scope=m.text("scope", "")),
    "untag": lambda m: Untag(names=m.texts("names")),
    "remove": lambda m: Remove(keys=m.keys("keys")),
    "remove-repository": lambda m: RemoveRepository(names=m.texts("names")),
    "unmap": lambda m: Unmap(mappings=m.triples("mappings")),
    "drop-uploads": lambda m: DropUploads(
        before=m.whole("before"), uploads=None if m.absent("uploads") else m.texts("uploads")
    ),
    "clean": lambda m: Clean(
        before=m.whole("before"),
        untagged=m.flag("untagged"),
        only=None if m.absent("only") else m.texts("only"),
    ),
    "repair": lambda m: Repair(findings=m.triples("findings"), guess=m.flag("guess")),
    "import": lambda m: Import(
        staged=m.text("staged"),
        name=m.text("name"),
        latest=m.flag("latest"),
        at=m.whole("at"),
        remote=None if m.absent("remote") else _remote(m.inner("remote")),
    ),
    "set-latest": lambda m: SetLatest(image=m.text("image"), latest=m.flag("latest")),
    "put-remote": lambda m: _remote(m),
    "drop-remotes": lambda m: DropRemotes(urls=m.texts("urls")),
}
_DO: Mapping[type, str] = {
    Tag: "tag",
    Untag: "untag",
    Remove: "remove",
    RemoveRepository: "remove-repository",
    Unmap: "unmap",
    DropUploads: "drop-uploads",
    Clean: "clean",
    Repair: "repair",
    Import: "import",
    SetLatest: "set-latest",
    PutRemote: "put-remote",
    DropRemotes: "drop-remotes",
}


def intent_to_json(intent: Intent) -> dict[str, object]:
    """An intent as JSON members; `intent_from_json` is the way back."""
    return {"do": _DO[type(intent)], **_members(intent)}


def _members(intent: Intent) -> dict[str, object]:
    found: dict[str, object] = {}
    for field in dataclasses.fields(intent):
        value = getattr(intent, field.name)
        if (field.name == "scope" and not value) or (field.name == "only" and value is None):
            continue  # what a kind without scopes, and an earlier version, never wrote
        found[field.name] = _members(value) if isinstance(value, PutRemote) else _plain(value)
    return found


def _plain(value: object) -> object:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def intent_from_json(value: object) -> Intent:
    """Read an intent back.

    Raises:
        Malformed: a member is missing, has another type, or the action is unknown.
    """
    if not isinstance(value, dict):
        raise Malformed("not an object", field="intent")
    do = value.get("do")
    make = _NAMES.get(do) if isinstance(do, str) else None
    if make is None:
        raise Malformed(f"unknown action {do!r}", field="intent.do")
    return make(_Members(value))


def _remote(members: "_Members") -> PutRemote:
    return PutRemote(
        url=members.text("url"),
        image=members.text("image"),
        signature_url=members.text("signature_url"),
        etag=members.text("etag"),
        max_age=members.whole("max_age"),
        downloaded=members.whole("downloaded"),
    )


class _Members:
    """The members of an object, each of the type that is asked for or `Malformed`."""

    def __init__(self, value: Mapping[str, object], at: str = "intent") -> None:
        self._value = value
        self._at = at

    def _wrong(self, name: str, what: str) -> Malformed:
        return Malformed(f"not {what}", field=f"{self._at}.{name}")

    def absent(self, name: str) -> bool:
        return self._value.get(name) is None

    def text(self, name: str, default: str | None = None) -> str:
        found = self._value.get(name, default)
        if not isinstance(found, str):
            raise self._wrong(name, "a text")
        return found

    def whole(self, name: str) -> int:
        found = self._value.get(name)
        if type(found) is not int:
            raise self._wrong(name, "a whole number")
        return found

    def flag(self, name: str) -> bool:
        found = self._value.get(name)
        if not isinstance(found, bool):
            raise self._wrong(name, "true or false")
        return found

    def inner(self, name: str) -> "_Members":
        found = self._value.get(name)
        if not isinstance(found, dict):
            raise self._wrong(name, "an object")
        return _Members(found, f"{self._at}.{name}")

    def _list(self, name: str) -> list[object]:
        found = self._value.get(name)
        if not isinstance(found, list):
            raise self._wrong(name, "a list")
        return found

    def texts(self, name: str) -> tuple[str, ...]:
        return _all_texts(self._list(name), f"{self._at}.{name}")

    def triples(self, name: str) -> tuple[tuple[str, str, str], ...]:
        found: list[tuple[str, str, str]] = []
        for index, item in enumerate(self._list(name)):
            match item:
                case [str(one), str(two), str(three)]:
                    found.append((one, two, three))
                case _:
                    raise self._wrong(f"{name}[{index}]", "three texts")
        return tuple(found)

    def keys(self, name: str) -> tuple[Key, ...]:
        found: list[Key] = []
        for index, item in enumerate(self._list(name)):
            match item:
                case [str(scope), str(identity), (str() | None) as named]:
                    found.append(Key(scope, identity, named))
                case _:
                    raise self._wrong(f"{name}[{index}]", "a scope, an id and a name")
        return tuple(found)


def _all_texts(items: list[object], at: str) -> tuple[str, ...]:
    texts = tuple(item for item in items if isinstance(item, str))
    if len(texts) != len(items):
        raise Malformed("not a list of texts", field=at)
    return texts
