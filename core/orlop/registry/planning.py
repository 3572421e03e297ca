"""What the plans of a registry's storage are made of: steps bound to what was seen, and a reason for each.

Additions go blob, link, name; removals the other way round: cut anywhere, no name
leads to what is not there.
"""

import os
from collections.abc import Iterable, Iterator

from orlop.digest import Digest, hasher
from orlop.errors import NoPermission, NotFound, WrongKind
from orlop.fs import Folder, Root, Stat, changed_meanwhile, join
from orlop.intent import Intent
from orlop.plan import Place, Plan, Quarantine, Reason, Replace, Step
from orlop.records import StoreId
from orlop.registry import layout, place
from orlop.registry.layout import MODERN
from orlop.registry.model import Link, Model, Repository, State

MANY = 20
"""Images that a plan may take without being weighty."""
FILE_MODE = 0o644
FOLDER_MODE = 0o755
"""What docker-registry gives new files and folders (distribution 2.3 and later, under the usual umask)."""

_CHUNK = 1 << 20
_MOVABLE = ("file", "folder", "link")


class Steps:
    """The steps, reasons and images of a plan in the making."""

    def __init__(self, root: Root, model: Model) -> None:
        self.root = root
        self.model = model
        self.steps: list[Step] = []
        self.reasons: list[Reason] = []
        self.images: set[str] = set()
        self.obstacles: list[str] = []
        """What stands in the way, each one clause."""
        self.reveals: set[tuple[str, str, str]] = set()
        """Findings that the check could not make before."""
        self._moved: set[str] = set()

    def say(self, verb: str, subject: str, because: str = "") -> None:
        """Give a reason."""
        self.reasons.append(Reason(verb=verb, subject=subject, because=because))

    def move(self, path: str) -> bool:
        """Move what is at a path to the quarantine; False where nothing is, or it went with what is above it.

        Raises:
            NoPermission, StorageFailure
        """
        if any(above in self._moved for above in _upwards(path)):
            return False
        above, _, name = path.rpartition("/")
        try:
            with self.root.folder(above) as folder:
                found = folder.stat(name)
                device = os.fstat(folder.fd).st_dev
                size = _allocated(self.root, folder, name, found)
        except (NotFound, WrongKind):
            return False
        if found.kind not in _MOVABLE:
            self.obstacles.append(f"a {found.kind} is at {path}; Orlop moves files, folders and links only")
        elif found.device != device:
            self.obstacles.append(f"another file system is mounted at {path}, which nothing can move")
        else:
            self.steps.append(Quarantine(path=path, kind=found.kind, inode=found.inode, bytes=size))
            self._moved.add(path)
        return True

    def link(self, path: str, digest: str, found: Link | None, *, again: bool = False) -> bool:
        """Let a link hold a digest; False where it does.

        Args:
            path: the link's file.
            digest: what it is to hold.
            found: the link as it was read; None for none.
            again: whether it is written where it holds the digest already, which renews its time.

        Raises:
            Changed: the link is no longer what was read.
            NoPermission, StorageFailure
        """
        state = State.MISSING if found is None else found.state
        if state is State.GOOD and found is not None and found.target == digest and not again:
            return False
        if self.model.unseen(path) or state is State.UNREADABLE:
            self.obstacles.append(f"{path} cannot be read")
            return False
        old: str | None = None
        if state is State.WRONG_KIND:
            self.move(path)
        elif state is State.GOOD and found is not None and found.target is not None:
            old = Digest.of(found.target.encode("ascii"))
        elif state is not State.MISSING:
            old = content_digest(self.root, path)
        new = digest.encode("ascii")
        self.steps.append(Replace(path=path, old=old, new=new, mode=FILE_MODE, folders=FOLDER_MODE))
        return True

    def plan(
        self,
        identity: StoreId,
        intent: Intent,
        action: str,
        *,
        kept: int = 0,
        kept_for: int = 0,
        added: int = 0,
        weighty: bool = False,
    ) -> Plan:
        """The plan of all that was collected."""
        return Plan(
            action=action,
            kind=identity.kind,
            store=identity.token,
            intent=intent,
            steps=tuple(self.steps),
            reasons=tuple(self.reasons),
            images=tuple(sorted(self.images)),
            bytes_now=0,
            bytes_freed=sum(step.bytes for step in self.steps if isinstance(step, Quarantine)),
            bytes_kept=kept,
            kept_for=kept_for,
            bytes_added=added,
            weighty=weighty,
            reveals=tuple(sorted(self.reveals)),
        )

    def put(self, step: Place) -> None:
        """Add a step that places content which waits in the store."""
        self.steps.append(step)


def content_digest(root: Root, path: str, algorithm: str = "sha256") -> Digest:
    """The digest of a regular file as it is now.

    Raises:
        Changed: there is none any more.
        NoPermission, StorageFailure
    """
    hashing = hasher(algorithm)
    try:
        with root.stream(path) as file:
            while chunk := file.read(_CHUNK):
                hashing.update(chunk)
    except (NotFound, WrongKind) as error:
        raise changed_meanwhile(path) from error
    return Digest.of_hasher(hashing)


def move_repository(steps: Steps, repository: Repository) -> None:
    """Move a repository without those nested below it: whole where it is alone, else its names before its layers."""
    names = set(steps.root.names(repository.path))
    own = (MODERN.manifests, MODERN.layers, MODERN.uploads)
    if names <= set(own):
        steps.move(repository.path)
        return
    for part in own:
        steps.move(f"{repository.path}/{part}")


# --- paths --------------------------------------------------------------------


def repository_path(model: Model, name: str) -> str:
    """The folder of a repository that is there or may be made.

    Raises:
        Malformed: no name that a new repository can have.
    """
    found = model.repositories.get(name)
    return found.path if found is not None else f"{place.repositories(model.base)}/{layout.check_name(name)}"


def layer_link(repository: str, digest: str) -> str:
    """The link to a layer, below a repository's folder; `digest` must be a well-formed one."""
    return f"{repository}/{MODERN.layers}/{MODERN.digest_path(digest)}/{layout.LINK}"


def revision_link(repository: str, digest: str) -> str:
    """The link of a revision, likewise."""
    return f"{repository}/{MODERN.manifests}/{layout.REVISIONS}/{MODERN.digest_path(digest)}/{layout.LINK}"


def tag_folder(repository: str, tag: str) -> str:
    """The folder of a tag, likewise."""
    return f"{repository}/{MODERN.manifests}/{layout.TAGS}/{tag}"


def current_link(repository: str, tag: str) -> str:
    """The link that says what a tag means."""
    return f"{tag_folder(repository, tag)}/{layout.CURRENT}/{layout.LINK}"


def history_link(repository: str, tag: str, digest: str) -> str:
    """The link that says that a tag once meant this."""
    return f"{tag_folder(repository, tag)}/{layout.INDEX}/{MODERN.digest_path(digest)}/{layout.LINK}"


def folder_of(path: str) -> str:
    """The folder that a link's file lies in, which is its own."""
    return path.rpartition("/")[0]


# --- names --------------------------------------------------------------------


def named_tag(model: Model, text: str) -> tuple[Repository, str]:
    """The repository and tag that a listed name means; ``latest`` where it has no tag.

    Raises:
        NotFound: no such tag is in the store.
    """
    for name, tag in (*_splits(text), (text, "latest")):
        repository = model.repositories.get(name)
        if repository is not None and tag in repository.tags:
            return repository, tag
    raise NotFound(f"nothing is named {text}", do="`orlop ls PATH` lists the names")


def _splits(text: str) -> Iterator[tuple[str, str]]:
    """Every way to read a text as a repository and a tag; names of stray folders may hold a colon too."""
    at = text.rfind(":")
    while at >= 0:
        yield text[:at], text[at + 1 :]
        at = text.rfind(":", 0, at)


# --- words --------------------------------------------------------------------


def short(digest: str) -> str:
    """A digest for a headline: the algorithm and twelve digits."""
    return digest[:19]


def counted(count: int, noun: str, plural: str = "") -> str:
    """A number with its noun."""
    return f"{count} {noun}" if count == 1 else f"{count} {plural or noun + 's'}"


def some(items: Iterable[str], limit: int = 2) -> str:
    """The first few of some texts, sorted, and how many more there are."""
    found = sorted(items)
    rest = len(found) - limit
    return ", ".join(found[:limit]) + (f" and {rest} more" if rest > 0 else "")


def _upwards(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path.rpartition("/")[0]


def _allocated(root: Root, folder: Folder, name: str, found: Stat) -> int:
    """Bytes on disk of a name in an open folder, the whole tree; a folder of plain files is not walked to again."""
    if found.kind != "folder":
        return found.allocated
    total = found.allocated
    try:
        with folder.folder(name) as inner:
            for inside in inner.names():
                file = inner.stat(inside)
                if file.kind == "folder" or file.links > 1:
                    return root.allocated(join(folder.path, name))
                total += file.allocated
    except (NotFound, NoPermission):
        return total  # as `Root.allocated` does
    return total
