"""A Docker Engine data root, as screens and commands see it."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, BinaryIO

from orlop import reference
from orlop.digest import is_digest
from orlop.docker import check as checks
from orlop.docker import detail as details
from orlop.docker import guard as guards
from orlop.docker import layout, plans, rules
from orlop.docker import why as whys
from orlop.docker.join import join_model
from orlop.docker.model import Model
from orlop.docker.read import Parts, Touched, read_parts
from orlop.docker.rows import by_key, snapshot
from orlop.docker.surroundings import engine_state
from orlop.errors import Ambiguous, Malformed, NotFound, OrlopError, Unsupported
from orlop.finding import Finding, Rule
from orlop.fs import Root
from orlop.intent import Import, Intent
from orlop.plan import Plan, Refusal
from orlop.progress import Progress, Silent
from orlop.records import Absent, Delta, Detail, EngineState, Facet, Key, Records, Snapshot, StoreId, Why
from orlop.store import Exclusive, Fetched, Hashing, Saved, Statement

if TYPE_CHECKING:
    from orlop.space import Space

KIND = "docker"


class DockerStore:
    """One driver's image store in a data root; see `orlop.store.Store` for what each method promises."""

    def __init__(self, root: Root, driver: str, *, progress: Progress | None = None) -> None:
        """Read the store.

        Raises:
            Cancelled: `progress` stopped it.
        """
        self._root = root
        self._driver = driver
        self._identity = identity_of(root, driver)
        self._parts: Parts = read_parts(
            root, driver, progress=progress or Silent(), previous=None, touched=Touched(None)
        )
        self._take(join_model(root, self._parts))

    def _take(self, model: Model) -> None:
        self._model = model
        self._snapshot = snapshot(model, self._identity)

    @property
    def identity(self) -> StoreId:
        return self._identity

    @property
    def root(self) -> Root:
        return self._root

    @property
    def model(self) -> Model:
        """What the last read found."""
        return self._model

    def rows(self) -> Snapshot:
        return self._snapshot

    def engine(self) -> tuple[EngineState, str]:
        return engine_state(self._root)

    def detail(self, key: Key) -> Detail:
        row = next((row for row in self._snapshot.rows if row.key == key), None)
        return details.detail(self._root, self._model, key, row)

    def facet(self, facet: Facet, key: Key | None) -> Records | Absent:
        image = key.id if key is not None else None
        match facet:
            case Facet.MAPPINGS:
                return details.mappings(self._model, image)
            case Facet.REMOTES:
                return details.remotes(self._model, image)
            case Facet.UPLOADS:
                return Absent(
                    because="a Docker data root receives no uploads; a cut-off pull shows as debris in a check"
                )

    def find(self, image: str) -> tuple[Key, ...]:
        """As the Protocol says; the prefix rules are the engine's digest set's (digestset/set.go)."""
        model = self._model
        for whole in (image, f"sha256:{image}"):
            if is_digest(whole) and whole in model.images:
                return (Key("", whole, None),)
        for name in (image, _familiar(image)):
            if name is not None and (entry := model.tags.references.get(name)) is not None:
                return (Key("", entry.image, entry.text),)
        prefix = image.removeprefix("sha256:")
        if not prefix or set(prefix) - set("0123456789abcdef"):
            raise NotFound(f"no image is called {image!r}", path=self._root.path, do="`orlop ls PATH` lists them")
        found = sorted(identity for identity in model.images if identity.startswith(prefix, 7))
        if not found:
            raise NotFound(f"no image is called {image!r}", path=self._root.path, do="`orlop ls PATH` lists them")
        if len(found) > 1:
            raise Ambiguous(image, found)
        return (Key("", found[0], None),)

    def check(
        self, keys: Iterable[Key] | None, *, content: bool, progress: Progress, hashing: Hashing | None = None
    ) -> Iterator[Finding]:
        return checks.check(self._root, self._model, keys, progress, content=content, hashing=hashing)

    def rules(self) -> tuple[Rule, ...]:
        return tuple(rules.RULES.values())

    def why(self, subject: str) -> Why:
        return whys.why(self._root, self._model, subject)

    def plan(self, intent: Intent) -> Plan | Refusal:
        return plans.plan(self._root, self._model, self._identity, intent)

    def stage(self, archive: str, *, name: str, latest: bool, at: int, progress: Progress) -> Import:
        raise Unsupported(
            "a Docker data root takes no archives",
            path=archive,
            why="Docker's own load unpacks the layers for its storage driver",
            do="start the engine, and `docker load` the archive",
        )

    def fetch(self, url: str, *, at: int, progress: Progress) -> Fetched:
        raise Unsupported(
            "a Docker data root keeps no record that could be fetched anew",
            path=url,
            why="its digest references name registries, which the engine itself talks to",
            do="start the engine, and `docker pull`",
        )

    def space(self, progress: Progress) -> "Space":
        from orlop.docker.space import space

        return space(self._root, self._model, progress=progress)

    def save(self, keys: Iterable[Key], to: BinaryIO, *, form: str | None, progress: Progress) -> tuple[Saved, ...]:
        from orlop.docker.saving import save

        return save(self._root, self._model, keys, to, form=form, progress=progress)

    def refresh(self, hints: Iterable[str] | None = None) -> Delta:
        before = self._snapshot
        touched = Touched(hints)
        self._parts = read_parts(self._root, self._driver, progress=Silent(), previous=self._parts, touched=touched)
        self._take(join_model(self._root, self._parts))
        return delta(before, self._snapshot)

    def watched(self) -> tuple[str, ...]:
        driver = self._driver
        data = layout.layer_data_folder(driver)
        folders = [
            layout.IMAGE,
            layout.image_root(driver),
            layout.configs(driver),
            layout.metadata_folders(driver),
            layout.layers(driver),
            layout.mounts(driver),
            layout.transactions(driver),
            layout.v2_lists(driver),
            layout.v2_reverses(driver),
            layout.CONTAINERS,
            *([data] if data is not None else []),
        ]
        return tuple(folder for folder in folders if self._is_folder(folder))

    def _is_folder(self, path: str) -> bool:
        try:
            return self._root.stat(path).kind == "folder"
        except OrlopError:
            return False

    def guard(self, statement: Statement | None) -> AbstractContextManager[Exclusive]:
        return guards.guard(self._root, statement)

    def close(self) -> None:
        self._root.close()


def _familiar(text: str) -> str | None:
    """The spelling under which the engine would look a name up; None where it is no name."""
    try:
        return reference.with_default_tag(reference.parse(text)).familiar
    except Malformed:
        return None


def identity_of(root: Root, driver: str) -> StoreId:
    """Which store this is; the token is the root folder's device and inode with the driver."""
    found = root.stat("")
    return StoreId(
        kind=KIND,
        scope=driver,
        path=root.path,
        token=f"{KIND}-{driver}-{found.device:x}-{found.inode:x}",
    )


def delta(before: Snapshot, after: Snapshot) -> Delta:
    """What differs between two snapshots of one store."""
    old = by_key(before.rows)
    new = by_key(after.rows)
    return Delta(
        snapshot=after,
        added=frozenset(new.keys() - old.keys()),
        removed=frozenset(old.keys() - new.keys()),
        changed=frozenset(key for key in new.keys() & old.keys() if new[key] != old[key]),
    )
