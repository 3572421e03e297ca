"""Where the bytes of a registry's storage are: blobs by who needs them, links, uploads, what nothing needs."""

from collections.abc import Iterator
from typing import NamedTuple

from orlop import incoming, journal
from orlop.fs import Root, join
from orlop.progress import Progress
from orlop.records import Key
from orlop.registry import layout, place
from orlop.registry.checkfinding import GRACE
from orlop.registry.marking import mark
from orlop.registry.model import Manifest, Model, Repository, State
from orlop.space import ImageSpace, Part, Space, Use
from orlop.usage import Usage, group, measure, names_in, needed_by, space_of


class Account(NamedTuple):
    """What a file or folder is counted for."""

    kind: str
    name: str = ""


def space(root: Root, model: Model, *, progress: Progress) -> Space:
    """Where the bytes below a registry's root are.

    Raises:
        Cancelled: `progress` stopped it.
        StorageFailure, NoPermission: the root cannot be listed.
    """
    usage = measure(root, _claims(root, model), rest=Account("root"), progress=progress)
    counting = _Counting(model, usage)
    return space_of(root, usage, counting.parts(), counting.images())


def _claims(root: Root, model: Model) -> dict[str, Account]:
    """Every path that is counted for something."""
    found: dict[str, Account] = {name: Account("beside", name) for name in names_in(root, "")}
    top = model.base.partition("/")[0]
    for folder in ("", model.base, place.blobs(model.base), place.repositories(model.base)):
        if folder:
            found[folder] = Account("folders")
    if top:
        found[top] = Account("folders")
    found[layout.SCHEDULER] = Account("scheduler")
    for digest in model.blobs:
        found[place.blob_folder(model.base, digest)] = Account("blob", digest)
    for name, repository in model.repositories.items():
        found[repository.path] = Account("links", name)
        for upload in repository.uploads.values():
            found[upload.path] = Account("upload", upload.path)
    for stray in model.foreign:
        found[stray.path] = Account("foreign", stray.path)
    found |= {join(journal.CHANGES, name): Account("change", name) for name in names_in(root, journal.CHANGES)}
    found[incoming.FOLDER] = Account("incoming")
    return found


class _Counting:
    """The parts and images of one registry."""

    def __init__(self, model: Model, usage: Usage[Account]) -> None:
        self._model = model
        self._usage = usage
        self._marks = mark(model)
        self._keys = _keys(model)
        self._needs = {key: _needs(model, model.repositories[key[0]], key[1]) for key in self._keys}
        """Repository and digest of each manifest → digests of the blobs that it needs, its own included."""
        self._users: dict[str, list[tuple[str, str]]] = {}
        self._needed_in: dict[str, set[str]] = {}
        """Repository → digests of the blobs that its manifests need."""
        for at, blobs in self._needs.items():
            self._needed_in.setdefault(at[0], set()).update(blobs)
            for digest in blobs:
                self._users.setdefault(digest, []).append(at)

    def _of(self, kind: str, name: str = "") -> int:
        return self._usage.of(Account(kind, name))

    def parts(self) -> Iterator[Part]:
        """Everything, in parts of one use each."""
        model = self._model
        yield from self._blobs()
        yield group("links and tags", Use.RECORDS, self._links(), path=place.repositories(model.base))
        yield group("uploads", Use.UPLOADS, self._uploads())
        yield group("left by what was cut off", Use.DEBRIS, self._foreign(temporary=True))
        yield group("no part of the layout", Use.OTHER, (*self._foreign(temporary=False), *self._beside()))
        yield group("quarantine of Orlop", Use.QUARANTINE, self._quarantine(), path=journal.FOLDER)

    # blobs

    def _blobs(self) -> Iterator[Part]:
        """What repositories need, each with what it has to itself; what several need; and the others."""
        alone: dict[str, list[Part]] = {name: [] for name in self._model.repositories}
        shared: list[Part] = []
        kept: list[Part] = []
        others: dict[Use, list[Part]] = {Use.UNREFERENCED: [], Use.UNKNOWN: [], Use.RECORDS: []}
        for digest in self._model.blobs:
            part = self._blob(digest)
            repositories = {name for name, _ in self._users.get(digest, ())}
            if part.use is not Use.CONTENT:
                others[part.use].append(part)
            elif len(repositories) == 1:
                alone[repositories.pop()].append(part)
            else:
                (shared if repositories else kept).append(part)
        repositories_of = (self._repository(name, parts) for name, parts in alone.items())
        common = group("shared by repositories", Use.CONTENT, shared)
        doubtful = group("kept for what cannot be read, or by a cache", Use.CONTENT, kept)
        path = place.blobs(self._model.base)
        yield group("blobs of repositories", Use.CONTENT, (*repositories_of, common, doubtful), path=path)
        yield group("blobs that nothing needs", Use.UNREFERENCED, others[Use.UNREFERENCED])
        yield group("cannot tell whether needed", Use.UNKNOWN, others[Use.UNKNOWN])

    def _repository(self, name: str, parts: list[Part]) -> Part:
        blobs = [Account("blob", digest) for digest in self._needed_in.get(name, ())]
        shared = self._usage.takes(blobs) - sum(part.bytes for part in parts)
        remark = f"its own; {shared} bytes more it shares with others" if shared > 0 else "all of it its own"
        path = self._model.repositories[name].path
        return group(f"repository {name}", Use.CONTENT, parts, path=path, remark=remark)

    def _blob(self, digest: str) -> Part:
        model = self._model
        users = self._users.get(digest, ())
        because = self._marks.blobs.get(digest, "")
        use, remark = Use.CONTENT, because
        if users:
            keys = tuple(sorted({self._keys[at] for at in users}))
            remark = needed_by("image", [_title(key) for key in keys])
        else:
            keys = ()
            if not because:
                use, remark = self._unneeded(digest)
        return Part(
            title=f"blob {digest}",
            use=use,
            bytes=self._of("blob", digest),
            path=place.blob_data(model.base, digest),
            remark=remark,
            images=keys,
        )

    def _unneeded(self, digest: str) -> tuple[Use, str]:
        model = self._model
        if self._marks.blocked:
            return Use.UNKNOWN, self._marks.blocked
        for part in model.unreadable:
            return Use.UNKNOWN, f"{part.path} cannot be read, and may need it: {part.why}"
        young = model.seen_at - model.blobs[digest].mtime < GRACE
        linked = model.linked_in.get(digest, ())
        remark = "no manifest of any repository needs it" + (f"; {linked[0]} links it" if linked else "")
        return Use.UNREFERENCED, remark + ("; younger than a day, it may belong to a push under way" if young else "")

    # the rest

    def _links(self) -> Iterator[Part]:
        for name, repository in self._model.repositories.items():
            counts = (
                f"{len(repository.tags)} tags, {len(repository.revisions)} manifests, {len(repository.layers)} layers"
            )
            yield Part(
                title=f"links of {name}",
                use=Use.RECORDS,
                bytes=self._of("links", name),
                path=repository.path,
                remark=counts,
            )
        yield Part(
            title="folders of the layout",
            use=Use.RECORDS,
            bytes=self._of("folders") + self._of("root"),
            path=self._model.base,
        )
        yield Part(title="what the cache knows", use=Use.RECORDS, bytes=self._of("scheduler"), path=layout.SCHEDULER)

    def _uploads(self) -> Iterator[Part]:
        for name, repository in self._model.repositories.items():
            for upload in repository.uploads.values():
                yield Part(
                    title=f"upload {upload.id}",
                    use=Use.UPLOADS,
                    bytes=self._of("upload", upload.path),
                    path=upload.path,
                    remark=f"to {name}",
                )
        yield Part(title="imports of Orlop", use=Use.UPLOADS, bytes=self._of("incoming"), path=incoming.FOLDER)

    def _foreign(self, *, temporary: bool) -> Iterator[Part]:
        use = Use.DEBRIS if temporary else Use.OTHER
        for stray in self._model.foreign:
            if (stray.where == "temporary") is temporary:
                title = f"temporary {stray.kind}" if temporary else stray.kind
                yield Part(
                    title=title,
                    use=use,
                    bytes=self._of("foreign", stray.path),
                    path=stray.path,
                    remark="a write was cut off" if temporary else f"no part of {stray.where}",
                )

    def _beside(self) -> Iterator[Part]:
        for account in self._usage.counted:
            if account.kind == "beside" and account.name != journal.FOLDER:
                yield Part(title="beside the registry", use=Use.OTHER, bytes=self._usage.of(account), path=account.name)

    def _quarantine(self) -> Iterator[Part]:
        for account in self._usage.counted:
            if account.kind == "change":
                yield Part(
                    title=f"change {account.name}",
                    use=Use.QUARANTINE,
                    bytes=self._usage.of(account),
                    path=join(journal.CHANGES, account.name),
                )
        yield Part(
            title="its folder", use=Use.QUARANTINE, bytes=self._of("beside", journal.FOLDER), path=journal.FOLDER
        )

    # images

    def images(self) -> Iterator[ImageSpace]:
        """What each manifest of each repository takes; parts of an index go with it."""
        for (name, digest), key in self._keys.items():
            known = self._is_known(name, digest)
            yield ImageSpace(
                key=key,
                names=tuple(f"{name}:{tag}" for tag in self._model.tags_of.get((name, digest), ())),
                bytes=self._usage.takes([Account("blob", one) for one in self._needs[name, digest]]) if known else None,
                own=self._usage.freed([Account("blob", one) for one in self._own(name, digest)]) if known else None,
            )

    def _is_known(self, name: str, digest: str) -> bool:
        manifest = self._model.manifests.get(digest)
        if manifest is None or manifest.state is not State.GOOD:
            return False
        return all(
            one in self._model.blobs and self._usage.is_whole(place.blob_folder(self._model.base, one))
            for one in self._needs[name, digest]
        )

    def _own(self, name: str, digest: str) -> list[str]:
        """Blobs that go with a manifest, and with those parts of it that only it holds; none while nothing can go."""
        if self._marks.blocked:
            return []
        going = {(name, digest)}
        manifest = self._model.manifests.get(digest)
        for child in manifest.children if manifest is not None else ():
            at = (name, child.digest)
            if self._model.indexes_of.get(at) == (digest,) and not self._model.tags_of.get(at):
                going.add(at)
        return [one for one in self._needs[name, digest] if going.issuperset(self._users.get(one, ()))]


def _keys(model: Model) -> dict[tuple[str, str], Key]:
    """Each manifest that a repository knows → its first row."""
    found: dict[tuple[str, str], Key] = {}
    for name, repository in model.repositories.items():
        digests = dict.fromkeys(
            (*repository.revisions, *(tag.current.target for tag in repository.tags.values() if tag.current.target))
        )
        for digest in digests:
            tags = model.tags_of.get((name, digest), ())
            found[name, digest] = Key(name, digest, f"{name}:{tags[0]}" if tags else None)
    return found


def _title(key: Key) -> str:
    return key.name or f"{key.scope}@{key.id}"


def _needs(model: Model, repository: Repository, digest: str) -> tuple[str, ...]:
    """Digests of the blobs that a manifest needs: its own, config and layers, an index's parts with theirs."""
    found: dict[str, None] = {}
    waiting = [digest]
    while waiting:
        here = waiting.pop()
        if here in found:
            continue
        found[here] = None
        manifest: Manifest | None = model.manifests.get(here)
        if manifest is None:
            continue
        for need in manifest.needs:
            link = repository.layers.get(need.digest)
            blob = need.digest if link is None or link.target is None else link.target
            if blob in model.blobs or not need.foreign:
                found.setdefault(blob)
        waiting.extend(child.digest for child in manifest.children if child.digest in model.blobs)
    return tuple(found)
