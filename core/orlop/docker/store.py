"""A Docker Engine data root, as screens and commands see it."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
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
from orlop.docker.proven import Dates, proven
from orlop.docker.read import Parts, Touched, read_parts
from orlop.docker.rejoin import rejoin
from orlop.docker.remembering import Memory
from orlop.docker.rowchanges import changed_rows, compared, row_of
from orlop.docker.rows import Maker, Names, rows, snapshot
from orlop.docker.surroundings import engine_state
from orlop.errors import Ambiguous, Malformed, NotFound, OrlopError, Unsupported
from orlop.finding import Finding, Rule
from orlop.fs import Root
from orlop.intent import Import, Intent
from orlop.plan import Plan, Refusal
from orlop.progress import Progress, Silent
from orlop.records import (
    Absent,
    Delta,
    Detail,
    EngineState,
    Facet,
    Holding,
    Key,
    Records,
    Snapshot,
    StoreId,
    Why,
)
from orlop.remembered import Remembered
from orlop.store import Exclusive, Fetched, Hashing, Saved, Statement
from orlop.verified import VerifiedCache

if TYPE_CHECKING:
    from orlop.space import Space

KIND = "docker"


class DockerStore:
    """One driver's image store in a data root; see `orlop.store.Store` for what each method promises."""

    def __init__(
        self,
        root: Root,
        driver: str,
        *,
        progress: Progress | None = None,
        verified: VerifiedCache | None = None,
        early: Callable[[Snapshot], None] | None = None,
    ) -> None:
        """Read the store.

        Args:
            root: the data root; it belongs to the store from now on.
            driver: the storage driver.
            progress: told of each phase.
            verified: what was hashed before: rows tell of it, also of what a check notes in it meanwhile. Beside
                it lies what the small files of the store said: those that have the version that they had then are
                not read again.
            early: given the names of a large store, in partial snapshots, before the rest is read.

        Raises:
            Cancelled: `progress` stopped it.
        """
        self._root = root
        self._driver = driver
        self._identity = identity_of(root, driver)
        self._dates = Dates(root, verified)
        self._taking = threading.Lock()
        self._dated: set[Key] = set()
        """Rows whose date changed since the last refresh: its delta names them, whatever others saw between."""
        memory = Memory(Remembered(verified.folder, self._identity.token)) if verified is not None else None
        self._parts: Parts = read_parts(
            root,
            driver,
            progress=progress or Silent(),
            previous=None,
            touched=Touched(None),
            early=Names(self._identity, root, early) if early is not None else None,
            memory=memory,
        )
        if memory is not None:
            memory.keep(self._parts.configs.entries.values(), self._parts.layers.entries.values())
        self._model = join_model(root, self._parts)
        self._dates.look(self._model, None)
        self._snapshot = snapshot(self._model, self._identity, rows(self._model, self._dates))

    def _look_at_dates(self) -> None:
        """Show what was verified, or found wrong, since the rows were made."""
        if self._dates.renew():
            before = self._snapshot.rows
            self._snapshot = replace(self._snapshot, rows=proven(self._model, before, self._dates))
            self._dated.update(new.key for old, new in zip(before, self._snapshot.rows, strict=True) if new is not old)

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
        row = row_of(self._snapshot.rows, key)
        return details.detail(self._root, self._model, key, row, self._dates)

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
        found = checks.check(self._root, self._model, keys, progress, content=content, hashing=hashing)
        return self._shown(found) if content else found

    def check_near(self, paths: Iterable[str], *, progress: Progress) -> Iterator[Finding]:
        return checks.check_near(self._root, self._model, paths, progress)

    def _shown(self, found: Iterator[Finding]) -> Iterator[Finding]:
        """Findings of a check that notes what it hashed; however it ends, the rows then show that."""
        try:
            yield from found
        finally:
            with self._taking:
                self._look_at_dates()

    def rules(self) -> tuple[Rule, ...]:
        return tuple(rules.RULES.values())

    def why(self, subject: str) -> Why:
        return whys.why(self._root, self._model, subject)

    def holders(self, holding: Holding, text: str) -> frozenset[str]:
        from orlop.docker.holders import holders

        return holders(self._model, holding, text)

    def freed(self, keys: Iterable[Key]) -> int:
        from orlop.docker.freed import freed

        return freed(self._model, keys)

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
        touched = Touched(hints)
        old, model = self._parts, self._model
        parts = read_parts(self._root, self._driver, progress=Silent(), previous=old, touched=touched)
        again = rejoin(self._root, parts, old, model)
        data = layout.layer_data_folder(self._driver)
        with self._taking:
            before = self._snapshot
            dated = self._dates.look(again.model, touched.below(data) if data is not None else None)
            self._parts, self._model = parts, again.model
            if again.images is None or dated is None:
                shown = rows(again.model, self._dates)
                added, removed, changed = compared(before.rows, shown)
            else:
                images = again.images.union(*(again.model.users_of.get(chain_id, ()) for chain_id in dated))
                maker = Maker(again.model, self._dates)
                shown, added, removed, changed = changed_rows(before.rows, images, model, maker)
            self._snapshot = snapshot(again.model, self._identity, shown)
            untold, self._dated = self._dated - added - removed, set()
            return Delta(snapshot=self._snapshot, added=added, removed=removed, changed=changed | untold)

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
