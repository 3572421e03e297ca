"""Plans that put right what findings name, where what is there proves how.

A link is written anew only where the blob that it is to lead to is there and its bytes,
hashed now, have that digest. A damaged blob moves aside, because the registry takes
no push of a blob that exists. What cannot be put right is left and said.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from orlop.errors import NotFound, OrlopError
from orlop.fs import Root
from orlop.intent import Repair
from orlop.plan import Plan, Refusal
from orlop.records import StoreId
from orlop.registry import layout, place
from orlop.registry.layout import MODERN
from orlop.registry.linking import Mount, resolved, wrong
from orlop.registry.model import Link, Manifest, Model, Repository, State, Tag
from orlop.registry.naming import put_tag
from orlop.registry.planning import (
    Steps,
    content_digest,
    counted,
    folder_of,
    layer_link,
    revision_link,
    some,
)

_PUSH = "push the images again"
_ELSEWHERE: Mapping[str, str] = {
    "RG04": "the manifest is gone and nothing here can give it back: push it again, or `orlop rm` what leads to it",
    "RG05": "the blob is gone and nothing here can give it back: push one of its images again",
    "RG07": "it is no fault",
    "RG13": "`orlop clean PATH --untagged` removes it",
    "RG14": "`orlop clean PATH` removes it",
    "RG15": "`orlop clean PATH` removes them",
    "RG16": "`orlop clean PATH` removes it",
    "RG17": "`orlop clean PATH --uploads` removes it",
    "RG19": "it is no fault",
    "RG20": "it is no fault",
}

_Cure: TypeAlias = Callable[[str], str]
"""Adds the steps for a path; why not where it cannot, else empty."""


def plan_repair(root: Root, model: Model, identity: StoreId, intent: Repair) -> Plan | Refusal:
    """Put right what some findings name; what cannot be is left, with the reason.

    Raises:
        NotFound: a finding is not, or no longer, true of the store.
        Changed: a file changed while it was looked at.
        NoPermission, StorageFailure: a blob cannot be hashed.
    """
    findings = sorted(set(intent.findings))
    mending = _Mending(root, model, intent.guess)
    left: list[str] = []
    cured = 0
    for rule, path, _subject in findings:
        why = mending.cure(rule, path)
        if why:
            left.append(f"{rule} at {path}: {why}")
            mending.steps.say("keep", path, why)
        else:
            cured += 1
    steps = mending.steps
    if steps.obstacles or (left and not cured):
        action = "repair " + (findings[0][0] if len(findings) == 1 else counted(len(findings), "finding"))
        return Refusal(
            action=action, reasons=(*left, *steps.obstacles), do="`orlop explain RULE` says what can be done"
        )
    return steps.plan(identity, intent, f"repair {counted(cured, 'finding')}")


class _Mending:
    """One plan in the making."""

    def __init__(self, root: Root, model: Model, guess: bool) -> None:
        self.root = root
        self.model = model
        self.guess = guess
        self.steps = Steps(root, model)
        self._true: dict[str, bool] = {}
        self._mounts: dict[str, Mount] = {}
        self._tags = {
            path: (repository, tag)
            for repository in model.repositories.values()
            for tag in repository.tags.values()
            for path in (tag.path, tag.current.path)
        }
        self._revisions = {
            link.path: (repository, digest)
            for repository in model.repositories.values()
            for digest, link in repository.revisions.items()
        }
        self._layers = {
            link.path: (repository, digest)
            for repository in model.repositories.values()
            for digest, link in repository.layers.items()
        }
        self._folders = {repository.path: repository for repository in model.repositories.values()}
        self._cures: dict[str, _Cure] = {
            "RG01": self.bad_blob,
            "RG02": self.bad_blob,
            "RG03": self.bad_blob,
            "RG06": self.unknown_manifest,
            "RG08": self.bad_tag,
            "RG09": self.bad_tag,
            "RG10": self.unknown_manifest,
            "RG11": self.bad_revision,
            "RG12": self.bad_layer,
            "RG18": self.foreign,
            "RG21": self.bad_record,
        }

    def cure(self, rule: str, path: str) -> str:
        """Add what puts a finding right; why it cannot be, else empty.

        Raises:
            NotFound: there is no such finding.
        """
        cure = self._cures.get(rule)
        if cure is None:
            if rule not in _ELSEWHERE:
                raise NotFound(f"there is no rule {rule}", do="`orlop explain` lists the rules")
            return _ELSEWHERE[rule]
        return cure(path)

    # --- blobs -----------------------------------------------------------------

    def bad_blob(self, path: str) -> str:
        """Move a blob aside that is not what its name says, so that a push can put it there."""
        digest = self._blob_at(path)
        blob = self.model.blobs[digest]
        if blob.state is State.UNREADABLE:
            return f"it cannot be read: {blob.why}"
        if blob.state is State.GOOD and self._is_true(digest):
            if digest in self.model.manifests and self.model.manifests[digest].state is not State.GOOD:
                return "its bytes are what was pushed, and are no manifest: `orlop rm` removes what leads to it"
            raise _not_found(path, "its bytes have the digest that its name says")
        users = self._users(digest)
        names = sorted({f"{name}:{tag}" for name, user in users for tag in self._tags_over(name, user)})
        again = f"push {some(names, 5)} again" if names else "a push of it is taken again"
        if self.steps.move(place.blob_folder(self.model.base, digest)):
            self.steps.say("repair", digest, f"moved aside, its bytes are something else: {again}")
            self.steps.images.update(image for name, user in users for image in self._above(name, user))
            for rule in ("RG04", "RG05"):  # to those who need it, it is missing now
                self.steps.reveals.add((rule, path, ""))
        return ""

    def _blob_at(self, path: str) -> str:
        """The digest that the folders of a blob's file spell."""
        parts = path.removesuffix(f"/{layout.DATA}").split("/")
        digest = f"{parts[-3]}:{parts[-1]}" if len(parts) > 2 else ""
        if digest not in self.model.blobs or path != place.blob_data(self.model.base, digest):
            raise _not_found(path, "no blob is there")
        return digest

    def _users(self, digest: str) -> list[tuple[str, str]]:
        """The manifests that need a blob, or are it, each with its repository."""
        needed_by = {*self.model.users_of.get(digest, ()), digest}
        for name in self.model.linked_in.get(digest, ()):
            for alias, link in self.model.repositories[name].layers.items():
                if link.target == digest:
                    needed_by.update(self.model.users_of.get(alias, ()))
        found = {(name, user) for user in needed_by for name in self.model.repositories_of.get(user, ())}
        found.update(at for at in (*self.model.tags_of, *self.model.indexes_of) if at[1] in needed_by)
        return sorted(found)

    def _above(self, name: str, digest: str) -> set[str]:
        """A manifest and all indexes of its repository over it."""
        found = {digest}
        waiting = [digest]
        while waiting:
            new = set(self.model.indexes_of.get((name, waiting.pop()), ())) - found
            found |= new
            waiting.extend(new)
        return found

    def _tags_over(self, name: str, digest: str) -> Iterator[str]:
        for above in self._above(name, digest):
            yield from self.model.tags_of.get((name, above), ())

    # --- tags ------------------------------------------------------------------

    def bad_tag(self, path: str) -> str:
        """Write again what a tag means, from its history."""
        found = self._tags.get(path)
        if found is None:
            return self._bad_history(path)
        repository, tag = found
        if tag.current.target is not None:
            raise _not_found(path, f"the tag means {tag.current.target}")
        if tag.problem:
            return f"{tag.problem}: repair that first"
        if tag.current.state is State.UNREADABLE:
            return f"it cannot be read: {tag.current.why}"
        known = self._candidates(repository, tag)
        name = f"{repository.name}:{tag.name}"
        if not known:
            return f"the history of {name} names no manifest that is still known: `orlop untag` drops the tag"
        if len(known) > 1 and not self.guess:
            listed = some((link.named for link in known), 4)
            return f"the history of {name} names {len(known)} manifests, and only a guess could choose: {listed}"
        chosen = known[0].named
        if not self._is_true(chosen):
            return wrong(self._manifest(chosen), chosen)
        put_tag(self.steps, repository.name, tag.name, chosen)
        because = "the only one of its history that is still known"
        if len(known) > 1:
            because = f"a guess: the newest of {len(known)} in its history"
        self.steps.say("repair", name, f"means {chosen}, {because}")
        self.steps.images.add(chosen)
        return ""

    def _candidates(self, repository: Repository, tag: Tag) -> list[Link]:
        """What a tag's history names and the repository still knows, newest first."""
        known = [link for digest, link in tag.history.items() if digest in repository.revisions]
        return sorted(known, key=lambda link: (-link.mtime, link.named))

    def _bad_history(self, path: str) -> str:
        for repository in self.model.repositories.values():
            for tag in repository.tags.values():
                for digest, link in tag.history.items():
                    if link.path == path:
                        return self._write_history(repository, tag, digest, link)
        raise _not_found(path, "no tag is there")

    def _write_history(self, repository: Repository, tag: Tag, digest: str, link: Link) -> str:
        if link.target == digest:
            raise _not_found(link.path, "it is a good link")
        if self.steps.link(link.path, digest, link):
            name = f"{repository.name}:{tag.name}"
            self.steps.say("repair", link.path, f"the history of {name} names {digest} by its folder")
        return ""

    # --- manifests that a repository knows ---------------------------------------

    def bad_revision(self, path: str) -> str:
        """Write the link of a manifest again: its folders spell the digest."""
        if path in self._revisions:
            repository, digest = self._revisions[path]
            if repository.revisions[digest].target == digest:
                raise _not_found(path, "it is a good link")
            return self._known(repository, digest, "its folders spell the digest")
        if f"/{layout.SIGNATURES}/" in path:
            return self._signature(path)
        raise _not_found(path, "no manifest's link is there")

    def _signature(self, path: str) -> str:
        """The link of a signature of 2.0 to 2.4, which nothing reads but garbage collection."""
        algorithm, _, hexadecimal = folder_of(path)[len(folder_of(folder_of(folder_of(path)))) + 1 :].partition("/")
        digest = layout.digest_of(algorithm, hexadecimal)
        if digest is None or not self.root.exists(path):
            raise _not_found(path, "no signature's link is there")
        old = Link(path=path, named=digest, target=None, state=State.MALFORMED)
        if content_digest(self.root, path) == digest.of(digest.encode("ascii")):
            raise _not_found(path, "it is a good link")
        self.steps.link(path, digest, old)
        self.steps.say("repair", path, "its folders spell the digest")
        return ""

    def unknown_manifest(self, path: str) -> str:
        """Make the link of a manifest that a tag or an index names and whose blob is there."""
        found = self._place_of(path, f"{MODERN.manifests}/{layout.REVISIONS}")
        if found is None:
            raise _not_found(path, "no manifest's link belongs there")
        repository, digest = found
        if not digest:
            return f"the manifests never were here: {_PUSH} for all platforms"
        at = (repository.name, digest)
        if not (self.model.tags_of.get(at) or self.model.indexes_of.get(at)) or digest in repository.revisions:
            raise _not_found(path, "nothing names a manifest there that the repository does not know")
        return self._known(repository, digest, "the blob is there and has that digest")

    def _known(self, repository: Repository, digest: str, because: str) -> str:
        """Let a repository know a manifest, and serve what that needs where links for it are missing."""
        manifest = self._manifest(digest)
        if manifest is None or manifest.state is not State.GOOD or not self._is_true(digest):
            return wrong(manifest, digest) + f": {_PUSH}, or `orlop rm` what leads to it"
        for need in manifest.needs:
            if not self._absent(repository, need.digest):
                self.steps.say("keep", need.digest, "it gets no link: its bytes are not what its name says")
                for path in (layer_link(repository.path, need.digest), f"{repository.path}/{MODERN.layers}"):
                    self.steps.reveals.add(("RG12", path, ""))
        self._mount(repository).revision(digest, because)
        self._reveal(repository, manifest)
        self.steps.images.update(self._above(repository.name, digest))
        return ""

    def _reveal(self, repository: Repository, manifest: Manifest) -> None:
        """Tell what is wrong with a manifest and was not said while its repository did not know it."""
        for need in manifest.needs:
            lost = resolved(repository, need.digest)
            if lost not in self.model.blobs and not need.foreign:
                self._tell("RG05", place.blob_data(self.model.base, lost), f"{manifest.digest} needs it: {_PUSH}")
        for child in manifest.children:
            if child.digest not in repository.revisions:
                path = revision_link(repository.path, child.digest)
                self._tell("RG06", path, f"the index {manifest.digest} names it")

    def _tell(self, rule: str, path: str, because: str) -> None:
        if (rule, path, "") not in self.steps.reveals:
            self.steps.reveals.add((rule, path, ""))
            self.steps.say("note", path, f"it is not there, and {because}")

    # --- links to layers ---------------------------------------------------------

    def bad_layer(self, path: str) -> str:
        """Write a link to a layer again, or all that are missing in a repository."""
        if path in self._layers:
            repository, digest = self._layers[path]
            return self._bad_layer(repository, digest, repository.layers[digest])
        found = self._place_of(path, MODERN.layers)
        if found is None:
            raise _not_found(path, "no link to a layer belongs there")
        repository, digest = found
        missing = [one for one in self._missing(repository) if digest in ("", one)]
        if not missing:
            raise _not_found(path, "no manifest of the repository needs a link there")
        failed = [one for one in missing if not self._absent(repository, one)]
        if len(failed) == len(missing):
            return f"{some(failed)} has other bytes than its name says: repair that first"
        for one in failed:
            self.steps.say("keep", one, "its bytes are not what its name says")
        return ""

    def _bad_layer(self, repository: Repository, digest: str, link: Link) -> str:
        if link.target == digest or (link.target is not None and link.target[:6] != digest[:6]):
            raise _not_found(link.path, "it is a good link")
        blob = self.model.blobs.get(digest)
        if blob is not None and self._is_true(digest):
            if self.steps.link(link.path, digest, link):
                self.steps.say("repair", link.path, "its folders spell the digest, and the blob has it")
        elif blob is not None and blob.state is not State.MISSING:
            return f"the bytes of {digest} are not what its name says: repair that first"
        elif self.model.unseen(place.blobs(self.model.base) + "/" + digest.replace(":", "/")):
            return f"whether {digest} is there cannot be seen"
        elif self.steps.move(folder_of(link.path)):
            self.steps.say("repair", link.path, f"moved aside, {digest} is not there: a push of it is taken again")
        self.steps.images.update(
            above
            for user in self.model.users_of.get(digest, ())
            if user in repository.revisions
            for above in self._above(repository.name, user)
        )
        return ""

    def _missing(self, repository: Repository) -> list[str]:
        """Blobs that are there, that a repository's manifests need, and that it has no link for."""
        found: set[str] = set()
        for digest, link in repository.revisions.items():
            manifest = self.model.manifests.get(digest)
            if link.target == digest and manifest is not None and manifest.state is State.GOOD:
                found.update(need.digest for need in manifest.needs)
        return sorted(one for one in found if one not in repository.layers and one in self.model.blobs)

    def _absent(self, repository: Repository, digest: str) -> bool:
        """Make a link to a blob where there is none; whether that was right to do."""
        if digest in repository.layers or digest not in self.model.blobs:
            return True
        if not self._is_true(resolved(repository, digest)):
            return False
        self._mount(repository).layer(digest, "its manifests need it, and the blob has that digest")
        return True

    # --- the rest --------------------------------------------------------------

    def foreign(self, path: str) -> str:
        """Move aside what is no part of the layout."""
        strays = {stray.path for stray in self.model.foreign}
        if path in strays:
            if self.steps.move(path):
                self.steps.say("repair", path, "moved aside, it is no part of the layout")
            return ""
        if path in self._folders and not layout.is_name(self._folders[path].name):
            return "it holds a repository: `orlop rm` removes it, or move the folder where it belongs"
        if path in self._tags and not layout.is_tag(self._tags[path][1].name):
            return "it is a tag that means something: `orlop untag` takes it away"
        raise _not_found(path, "nothing foreign is there")

    def bad_record(self, path: str) -> str:
        """Move aside the record of a pull-through cache, which starts without it and not with a broken one."""
        cache = self.model.cache
        if cache is None or cache.state is State.GOOD or path != layout.SCHEDULER:
            raise _not_found(path, "it is no broken record of a cache")
        if cache.state is State.UNREADABLE:
            return f"it cannot be read: {cache.why}"
        if self.steps.move(path):
            self.steps.say("repair", path, "moved aside: what the cache holds stays, and is no longer known to expire")
        return ""

    def _place_of(self, path: str, below: str) -> tuple[Repository, str] | None:
        """The repository and the digest that a link's path spells; no digest for the folder of all links itself."""
        top, found, rest = path.partition(f"/{below}")
        while found and top not in self._folders:
            more, found, rest = rest.partition(f"/{below}")
            top = f"{top}/{below}{more}"
        repository = self._folders.get(top)
        if repository is None or not found:
            return None
        if not rest:
            return repository, ""
        algorithm, _, hexadecimal = rest.strip("/").removesuffix(f"/{layout.LINK}").partition("/")
        digest = layout.digest_of(algorithm, hexadecimal)
        makes = layer_link if below == MODERN.layers else revision_link
        if digest is None or makes(repository.path, digest) != path:
            return None
        return repository, str(digest)

    def _manifest(self, digest: str) -> Manifest | None:
        return self.model.manifests.get(digest)

    def _mount(self, repository: Repository) -> Mount:
        return self._mounts.setdefault(repository.name, Mount(self.steps, repository.name))

    def _is_true(self, digest: str) -> bool:
        """Whether a blob's bytes have its digest; hashed once."""
        if digest not in self._true:
            self._true[digest] = self._hash(digest)
        return self._true[digest]

    def _hash(self, digest: str) -> bool:
        blob = self.model.blobs.get(digest)
        if blob is None or blob.state is not State.GOOD:
            return False
        path = place.blob_data(self.model.base, digest)
        return content_digest(self.root, path, digest.partition(":")[0]) == digest


def _not_found(path: str, why: str) -> OrlopError:
    error = NotFound("there is no such finding", path=path, do="`orlop check PATH` lists what there is now")
    error.why = why
    return error
